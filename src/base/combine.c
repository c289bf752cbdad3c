/*
 * combine.c -- batches made of concurrent calls.
 *
 * Owns:     the queue of waiting callers.
 * Must not know: what a call does.
 * Threads:  any; one mutex, never held while a batch runs.
 * Fails:    TEARS_TIMEOUT, and then the call was not started.
 * Begin at: t3_combine_call().
 *
 * Why semaphores: every item is posted exactly once, when it is finished or is to lead, outside the
 * mutex.  With condition variables everyone who is woken would queue up for that mutex first.
 */
#include "base/combine.h"

#include <errno.h>

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

/* Release, and acquire below: who sees FINISHED sees what the batch has written. */
static void set_state(struct t3_combine_item *item, int state)
{
    atomic_store_explicit(&item->state, state, memory_order_release);
}

static int state_of(const struct t3_combine_item *item)
{
    return atomic_load_explicit(&item->state, memory_order_acquire);
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
        set_state(item, TAKEN);
        items[count++] = item;
    }
    return count;
}

/* The first waiter is to lead the next batch, if there is one and room for it. */
static struct t3_combine_item *promote_locked(struct t3_combine *combine)
    T3_REQUIRES(combine->mutex)
{
    struct t3_combine_item *next = combine->first;
    if (next == NULL || state_of(next) == LEADING || combine->running >= combine->running_max)
        return NULL;
    set_state(next, LEADING);
    combine->running++;
    return next;
}

/* The item may be gone as soon as it is woken. */
static void wake(struct t3_combine_item *item)
{
    const int rc = sem_post(&item->wake);
    T3_ASSERT(rc == 0);
}

/*
 * The caller leads: its own item is first in the queue, and `running` counts it already.  Nobody is
 * woken under the mutex, and the next leader first: it needs the mutex, and its batch can be on its
 * way while the others wake up.
 */
static void lead(struct t3_combine *combine, struct t3_combine_item *own)
{
    struct t3_combine_item *items[BATCH_MAX];
    t3_lock(&combine->mutex);
    const size_t count = take_batch_locked(combine, items);
    struct t3_combine_item *next =
        promote_locked(combine); /* of what did not fit into this batch */
    t3_unlock(&combine->mutex);
    if (next != NULL)
        wake(next);

    combine->run(combine->owner, items, count);

    t3_lock(&combine->mutex);
    combine->running--;
    next = promote_locked(combine);
    for (size_t i = 0; i < count; i++)
        set_state(items[i], FINISHED);
    t3_unlock(&combine->mutex);
    for (size_t i = 0; i < count; i++)
        if (items[i] != own)
            wake(items[i]);
    if (next != NULL)
        wake(next);
}

/* Waits to be woken.  False when the deadline passed. */
static bool sleep_until(struct t3_combine_item *item, struct t3_deadline deadline)
{
    struct timespec at;
    at.tv_sec = (time_t)(deadline.at_us / 1000000u);
    at.tv_nsec = (long)(deadline.at_us % 1000000u) * 1000;
    int rc;
    do
        rc = sem_clockwait(&item->wake, CLOCK_MONOTONIC, &at);
    while (rc != 0 && errno == EINTR);
    T3_ASSERT(rc == 0 || errno == ETIMEDOUT);
    return rc == 0;
}

/* Takes an item that nobody has taken yet out of the queue. */
static bool withdraw(struct t3_combine *combine, struct t3_combine_item *item)
{
    t3_lock(&combine->mutex);
    const bool is_waiting = state_of(item) == WAITING;
    if (is_waiting)
        unlink_locked(combine, item);
    t3_unlock(&combine->mutex);
    return is_waiting;
}

/* Waits until the item is finished or is to lead; false when the deadline passed before anyone took
 * it. */
static bool wait_for_turn(struct t3_combine *combine, struct t3_combine_item *item)
{
    const struct t3_deadline never = {INT64_MAX};
    if (sleep_until(item, item->deadline))
        return true;
    if (withdraw(combine, item))
        return false;
    (void)sleep_until(item, never); /* someone works on it: bounded, and must be waited for */
    return true;
}

tears_status t3_combine_call(struct t3_combine *combine, struct t3_combine_item *item,
                             struct t3_deadline deadline)
{
    item->deadline = deadline;
    atomic_init(&item->state, WAITING);
    const int rc = sem_init(&item->wake, 0, 0);
    T3_ASSERT(rc == 0);
    t3_lock(&combine->mutex);
    const bool at_once = combine->running < combine->running_max && combine->first == NULL;
    enqueue_locked(combine, item);
    if (at_once) {
        set_state(item, LEADING);
        combine->running++;
        t3_unlock(&combine->mutex);
        lead(combine, item);
        sem_destroy(&item->wake);
        return TEARS_OK;
    }
    t3_unlock(&combine->mutex);
    const bool is_taken = wait_for_turn(combine, item);
    if (is_taken && state_of(item) == LEADING)
        lead(combine, item);
    sem_destroy(&item->wake);
    return is_taken ? TEARS_OK : TEARS_TIMEOUT;
}
