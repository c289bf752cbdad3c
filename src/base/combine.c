/*
 * combine.c -- batches made of concurrent calls.
 *
 * Owns:     the queue of waiting callers.
 * Must not know: what a call does.
 * Threads:  any; one mutex, never held while a batch runs.
 * Fails:    TEARS_TIMEOUT, and then the call was not started.
 * Begin at: t3_combine_call().
 */
#include "base/combine.h"

enum { BATCH_MAX = 1024 };

enum { WAITING, LEADING, TAKEN, FINISHED };

void t3_combine_init(struct t3_combine *combine, uint32_t running_max, uint32_t batch_max,
                     t3_combine_fn run, void *owner)
{
    T3_ASSERT(running_max > 0 && batch_max > 0);
    memset(combine, 0, sizeof *combine);
    t3_mutex_init(&combine->mutex);
    combine->running_max = running_max;
    combine->batch_max = batch_max < BATCH_MAX ? batch_max : BATCH_MAX;
    combine->run = run;
    combine->owner = owner;
}

void t3_combine_done(struct t3_combine *combine)
{
    T3_ASSERT(combine->first == NULL && combine->running == 0);
    t3_mutex_done(&combine->mutex);
}

static void enqueue_locked(struct t3_combine *combine, struct t3_combine_item *item)
    T3_REQUIRES(combine->mutex)
{
    item->next = NULL;
    if (combine->last != NULL)
        combine->last->next = item;
    else
        combine->first = item;
    combine->last = item;
}

static void unlink_locked(struct t3_combine *combine, struct t3_combine_item *item)
    T3_REQUIRES(combine->mutex)
{
    struct t3_combine_item **link = &combine->first;
    struct t3_combine_item *before = NULL;
    while (*link != item) {
        before = *link;
        link = &before->next;
    }
    *link = item->next;
    if (combine->last == item)
        combine->last = before;
}

static size_t take_batch_locked(struct t3_combine *combine, struct t3_combine_item **items)
    T3_REQUIRES(combine->mutex)
{
    size_t count = 0;
    while (combine->first != NULL && count < combine->batch_max) {
        struct t3_combine_item *item = combine->first;
        combine->first = item->next;
        if (combine->first == NULL)
            combine->last = NULL;
        item->state = TAKEN;
        items[count++] = item;
    }
    return count;
}

/* Lets the first waiter lead the next batch, if there is one and room for it. */
static void pass_lead_locked(struct t3_combine *combine) T3_REQUIRES(combine->mutex)
{
    struct t3_combine_item *next = combine->first;
    if (next == NULL || next->state == LEADING || combine->running >= combine->running_max)
        return;
    next->state = LEADING;
    combine->running++;
    t3_cond_signal(&next->wake);
}

/* The caller leads: its own item is first in the queue, and `running` counts it already. */
static void lead(struct t3_combine *combine, struct t3_combine_item *own)
{
    struct t3_combine_item *items[BATCH_MAX];
    t3_lock(&combine->mutex);
    const size_t count = take_batch_locked(combine, items);
    pass_lead_locked(combine); /* what did not fit into this batch need not wait for its end */
    t3_unlock(&combine->mutex);

    combine->run(combine->owner, items, count);

    t3_lock(&combine->mutex);
    combine->running--;
    pass_lead_locked(combine);
    for (size_t i = 0; i < count; i++) {
        items[i]->state = FINISHED;
        if (items[i] != own)
            t3_cond_signal(
                &items[i]->wake); /* under the mutex: the item dies when its owner sees FINISHED */
    }
    t3_unlock(&combine->mutex);
}

/* Waits until the item is finished, is to lead, or (still waiting) the deadline has passed. */
static int wait_locked(struct t3_combine *combine, struct t3_combine_item *item)
    T3_REQUIRES(combine->mutex)
{
    while (item->state == WAITING || item->state == TAKEN) {
        if (item->state == TAKEN) { /* someone works on it: bounded, and must be waited for */
            (void)t3_cond_wait(&item->wake, &combine->mutex, t3_deadline_in_ms(1000));
            continue;
        }
        if (!t3_cond_wait(&item->wake, &combine->mutex, item->deadline) && item->state == WAITING &&
            t3_deadline_passed(item->deadline)) {
            unlink_locked(combine, item);
            return WAITING;
        }
    }
    return item->state;
}

tears_status t3_combine_call(struct t3_combine *combine, struct t3_combine_item *item,
                             struct t3_deadline deadline)
{
    item->deadline = deadline;
    item->state = WAITING;
    t3_lock(&combine->mutex);
    const bool at_once = combine->running < combine->running_max && combine->first == NULL;
    enqueue_locked(combine, item);
    if (at_once) {
        item->state = LEADING;
        combine->running++;
        t3_unlock(&combine->mutex);
        lead(combine, item);
        return TEARS_OK;
    }
    t3_cond_init(&item->wake);
    const int state = wait_locked(combine, item);
    t3_unlock(&combine->mutex);
    if (state == LEADING)
        lead(combine, item);
    t3_cond_done(&item->wake);
    return state == WAITING ? TEARS_TIMEOUT : TEARS_OK;
}
