/*
 * refresh.c -- rows to be read anew, and the thread that reads them.
 *
 * Owns:     the queue, the marks of what is in it, one thread and its session once something is queued.
 * Must not know: why a row was queued.
 * Threads:  any may queue.
 * Fails:    by not refreshing: the row's age ends, and its next reader reads it.
 * Begin at: t3_refresh_soon().
 *
 * A hot row is hit thousands of times between the moment at which it should be refreshed and the moment at which it is.  The marks
 * keep these hits from the mutex: one word for each of MARKS places, the hash of the row that is queued there.  Two rows of one
 * place cannot be queued at once; the second is queued by a later hit.
 */
#include "core/refresh.h"

#include "base/alloc.h"
#include "base/thread.h"
#include "core/key_queue.h"
#include "core/read.h"

enum { MARKS = 1024, QUEUE_MAX = 256 };

struct t3_refresh {
    struct tears_client *client;
    struct t3_key_queue queue;
    struct t3_thread thread;
    atomic_bool has_started;
    _Atomic uint64_t marks[MARKS]; /* 0: free */
};

tears_status t3_refresh_new(struct tears_client *client, struct t3_refresh **refresh_out)
{
    struct t3_refresh *refresh = t3_alloc_zero(1, sizeof *refresh);
    if (refresh == NULL)
        return TEARS_NO_MEMORY;
    refresh->client = client;
    t3_key_queue_init(&refresh->queue, QUEUE_MAX);
    *refresh_out = refresh;
    return TEARS_OK;
}

static uint64_t mark_of(const struct tears_collection *collection, const struct t3_key *key)
{
    return t3_ticket_hash(collection->space, key) | 1; /* never 0 */
}

/* Relaxed: a mark orders nothing; what it protects from is only double work. */
static _Atomic uint64_t *place_of(struct t3_refresh *refresh, uint64_t mark)
{
    return &refresh->marks[(mark >> 16) % MARKS];
}

static void unmark(struct t3_refresh *refresh, uint64_t mark)
{
    atomic_store_explicit(place_of(refresh, mark), 0, memory_order_relaxed);
}

/* ---- the thread -------------------------------------------------------------------------------- */

static void read_anew(struct t3_refresh *refresh, tears_session *session,
                      const struct t3_key_job *job)
{
    struct t3_found found = {0};
    if (t3_session_enter(session) == TEARS_OK &&
        t3_read_anew(session, job->collection, &job->key, &found) == TEARS_OK)
        t3_count(&refresh->client->counters.early_refreshes, 1);
    tears_session_reset(session);
}

static void *run(void *owner)
{
    struct t3_refresh *refresh = owner;
    tears_session *session = NULL;
    struct t3_key_job *job;
    size_t count;
    while ((job = t3_key_queue_take(&refresh->queue, 1, &count)) != NULL) {
        if (session == NULL && tears_session_new(refresh->client, NULL, &session) != TEARS_OK)
            session = NULL;
        if (session != NULL)
            read_anew(refresh, session, job);
        unmark(refresh, mark_of(job->collection, &job->key));
        t3_key_jobs_free(job);
    }
    tears_session_free(session);
    return NULL;
}

/* ---- from outside ------------------------------------------------------------------------------ */

/* The thread is there once something has to be refreshed. */
static bool has_thread(struct t3_refresh *refresh)
{
    if (atomic_exchange(&refresh->has_started, true))
        return true;
    const bool starts = t3_thread_start(&refresh->thread, run, refresh) == TEARS_OK;
    if (!starts)
        atomic_store(&refresh->has_started, false);
    return starts;
}

void t3_refresh_soon(struct t3_refresh *refresh, struct tears_collection *collection,
                     const struct t3_key *key)
{
    const uint64_t mark = mark_of(collection, key);
    _Atomic uint64_t *place = place_of(refresh, mark);
    uint64_t none = 0;
    if (atomic_load_explicit(place, memory_order_relaxed) != 0 ||
        !atomic_compare_exchange_strong_explicit(place, &none, mark, memory_order_relaxed,
                                                 memory_order_relaxed))
        return;
    if (!has_thread(refresh) || !t3_key_queue_add(&refresh->queue, collection, key))
        unmark(refresh, mark);
}

void t3_refresh_free(struct t3_refresh *refresh)
{
    if (refresh == NULL)
        return;
    t3_key_queue_end(&refresh->queue);
    t3_thread_join(&refresh->thread);
    t3_key_queue_done(&refresh->queue);
    t3_free(refresh);
}
