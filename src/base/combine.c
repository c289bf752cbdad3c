/*
 * combine.c -- batches made of concurrent calls.
 *
 * Owns:     the queue of waiting callers.
 * Must not know: what a call does.
 * Threads:  any; one mutex, never held while a batch runs.
 * Fails:    TEARS_TIMEOUT, and then the call was not started.
 * Begin at: t3_combine_call().
 *
 * Why a futex: all callers sleep on one word, each with a bit of its own kind, so that one system
 * call wakes a whole batch and the leader of the next one.  With a semaphore each, the leader makes
 * one call for every caller, and each of those it wakes may take its processor away before it has
 * woken the others; with a condition variable everyone who is woken would queue up for its mutex.
 */
#include "base/combine.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BATCH_MAX = 1024, HALF_BITS = 16 };

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
    /* Those who wait for the batch after this one have the other half of the bits. */
    const uint32_t half = (combine->taken & 1u) * HALF_BITS;
    item->bit = 1u << (half + combine->queued++ % HALF_BITS);
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
    combine->taken++;
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

/* The first waiter is to lead the next batch, if there is one and room for it.  Gives the bit to
 * wake it by, or 0. */
static uint32_t promote_locked(struct t3_combine *combine) T3_REQUIRES(combine->mutex)
{
    struct t3_combine_item *next = combine->first;
    if (next == NULL || state_of(next) == LEADING || combine->running >= combine->running_max)
        return 0;
    const uint32_t bit = next->bit; /* it may be gone once it leads */
    set_state(next, LEADING);
    combine->running++;
    return bit;
}

/* Wakes all who sleep with one of the bits; who has nothing to do yet goes to sleep again. */
static void wake(struct t3_combine *combine, uint32_t bits)
{
    if (bits == 0)
        return;
    atomic_fetch_add(&combine->wakes, 1);
    const long rc =
        syscall(SYS_futex, &combine->wakes, FUTEX_WAKE_BITSET_PRIVATE, INT_MAX, NULL, NULL, bits);
    T3_ASSERT(rc >= 0);
}

/* The items may be gone as soon as they are finished.  Gives the bits to wake them by. */
static uint32_t finish(struct t3_combine_item **items, size_t count,
                       const struct t3_combine_item *own)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < count; i++) {
        if (items[i] == own)
            continue;
        bits |= items[i]->bit;
        set_state(items[i], FINISHED);
    }
    return bits;
}

/*
 * The caller leads: its own item is first in the queue, and `running` counts it already.  Nobody is
 * woken under the mutex, which the next leader needs.
 */
static void lead(struct t3_combine *combine, struct t3_combine_item *own)
{
    struct t3_combine_item *items[BATCH_MAX];
    t3_lock(&combine->mutex);
    const size_t count = take_batch_locked(combine, items);
    uint32_t bits = promote_locked(combine); /* of what did not fit into this batch */
    t3_unlock(&combine->mutex);
    wake(combine, bits);

    combine->run(combine->owner, items, count);

    t3_lock(&combine->mutex);
    combine->running--;
    bits = promote_locked(combine);
    t3_unlock(&combine->mutex);
    wake(combine, bits | finish(items, count, own));
}

/* Sleeps until the item is finished or is to lead.  False when the deadline passed. */
static bool sleep_until(struct t3_combine *combine, struct t3_combine_item *item,
                        struct t3_deadline deadline)
{
    const struct timespec at = {
        .tv_sec = (time_t)(deadline.at_us / 1000000u),
        .tv_nsec = (long)(deadline.at_us % 1000000u) * 1000,
    };
    for (;;) {
        const uint32_t seen = atomic_load(&combine->wakes); /* before the state: see wake() */
        const int state = state_of(item);
        if (state == LEADING || state == FINISHED)
            return true;
        const long rc = syscall(SYS_futex, &combine->wakes, FUTEX_WAIT_BITSET_PRIVATE, seen, &at,
                                NULL, item->bit);
        if (rc != 0 && errno == ETIMEDOUT)
            return false;
        T3_ASSERT(rc == 0 || errno == EAGAIN || errno == EINTR);
    }
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
    if (sleep_until(combine, item, item->deadline))
        return true;
    if (withdraw(combine, item))
        return false;
    /* Someone works on it: that is bounded, and must be waited for. */
    (void)sleep_until(combine, item, never);
    return true;
}

tears_status t3_combine_call(struct t3_combine *combine, struct t3_combine_item *item,
                             struct t3_deadline deadline)
{
    item->deadline = deadline;
    atomic_init(&item->state, WAITING);
    t3_lock(&combine->mutex);
    const bool at_once = combine->running < combine->running_max && combine->first == NULL;
    enqueue_locked(combine, item);
    if (at_once) {
        set_state(item, LEADING);
        combine->running++;
        t3_unlock(&combine->mutex);
        lead(combine, item);
        return TEARS_OK;
    }
    t3_unlock(&combine->mutex);
    const bool is_taken = wait_for_turn(combine, item);
    if (is_taken && state_of(item) == LEADING)
        lead(combine, item);
    return is_taken ? TEARS_OK : TEARS_TIMEOUT;
}
