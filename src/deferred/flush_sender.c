/*
 * flush_sender.c -- a second pair of hands for the flusher: it talks to L3 while the flusher tells the journal.
 *
 * Owns:     one thread, started when it is first needed; one piece of work at a time.
 * Must not know: what the work is.
 * Threads:  begin and end by the pass; the mutex is a leaf, and not held while the work is done.
 * Fails:    without a thread the flusher does one thing after the other.
 * Begin at: t3_flush_sender_begin().
 */
#include "base/alloc.h"
#include "base/thread.h"
#include "deferred/flush_impl.h"

struct t3_flush_sender {
    struct t3_thread thread;
    struct t3_mutex mutex;
    struct t3_cond changed;
    void (*work)(void *owner); /* NULL: none, or done */
    void *owner;
    bool is_stopping;
};

static void *run(void *owner)
{
    struct t3_flush_sender *sender = owner;
    t3_lock(&sender->mutex);
    while (!sender->is_stopping) {
        if (sender->work == NULL) {
            (void)t3_cond_wait(&sender->changed, &sender->mutex, t3_deadline_in_ms(60000));
            continue;
        }
        void (*const work)(void *) = sender->work;
        void *const for_whom = sender->owner;
        t3_unlock(&sender->mutex);
        work(for_whom);
        t3_lock(&sender->mutex);
        sender->work = NULL;
        t3_cond_broadcast(&sender->changed);
    }
    t3_unlock(&sender->mutex);
    return NULL;
}

static struct t3_flush_sender *sender_new(void)
{
    struct t3_flush_sender *sender = t3_alloc_zero(1, sizeof *sender);
    if (sender == NULL)
        return NULL;
    t3_mutex_init(&sender->mutex);
    t3_cond_init(&sender->changed);
    if (t3_thread_start(&sender->thread, run, sender) == TEARS_OK)
        return sender;
    t3_flush_sender_free(sender);
    return NULL;
}

bool t3_flush_sender_begin(struct t3_flush *flush, void (*work)(void *owner), void *owner)
{
    if (flush->sender == NULL)
        flush->sender = sender_new();
    struct t3_flush_sender *sender = flush->sender;
    if (sender == NULL)
        return false;
    t3_lock(&sender->mutex);
    sender->work = work;
    sender->owner = owner;
    t3_cond_broadcast(&sender->changed);
    t3_unlock(&sender->mutex);
    return true;
}

void t3_flush_sender_end(struct t3_flush *flush)
{
    struct t3_flush_sender *sender = flush->sender;
    t3_lock(&sender->mutex);
    while (sender->work != NULL)
        (void)t3_cond_wait(&sender->changed, &sender->mutex, t3_deadline_in_ms(60000));
    t3_unlock(&sender->mutex);
}

void t3_flush_sender_free(struct t3_flush_sender *sender)
{
    if (sender == NULL)
        return;
    t3_lock(&sender->mutex);
    sender->is_stopping = true;
    t3_cond_broadcast(&sender->changed);
    t3_unlock(&sender->mutex);
    t3_thread_join(&sender->thread);
    t3_cond_done(&sender->changed);
    t3_mutex_done(&sender->mutex);
    t3_free(sender);
}
