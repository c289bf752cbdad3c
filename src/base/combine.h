/*
 * combine.h -- concurrent calls of one kind, carried out in batches by one of the callers.
 *
 * A caller whose call can start at once runs it itself: no other thread, no hand-over.  When
 * `running_max` batches are on their way, callers queue up; whoever finishes a batch wakes one of
 * those who wait, and that one takes everything queued (up to batch_max) as the next batch.  So one
 * round trip serves many callers exactly when there are many, and costs nothing when there are not.
 */
#ifndef T3_BASE_COMBINE_H
#define T3_BASE_COMBINE_H

#include "base/lock.h"

#include <stdatomic.h>

struct t3_combine_item {
    struct t3_combine_item *next;
    struct t3_deadline deadline;
    uint32_t bit;     /* what kind of sleeper it is */
    atomic_int state; /* changed under the mutex; who was woken reads it without */
};

/* Carries out the calls.  Must finish in bounded time; results go into what the items are embedded
 * in. */
typedef void (*t3_combine_fn)(void *owner, struct t3_combine_item **items, size_t count);

struct t3_combine {
    struct t3_mutex mutex;
    struct t3_combine_item *first;
    struct t3_combine_item *last;
    uint32_t running;
    uint32_t running_max;
    uint32_t queued;        /* items so far; wraps */
    uint32_t taken;         /* batches so far; wraps */
    _Atomic uint32_t wakes; /* the futex: moves whenever someone is woken */
    uint32_t batch_max;
    t3_combine_fn run;
    void *owner;
};

void t3_combine_init(struct t3_combine *combine, uint32_t running_max, uint32_t batch_max,
                     t3_combine_fn run, void *owner);
void t3_combine_done(struct t3_combine *combine);

/*
 * Has the call carried out, by this thread or another.  TEARS_OK: it was (its own result is in the
 * item's owner); TEARS_TIMEOUT: the deadline passed before any batch took it.
 */
tears_status t3_combine_call(struct t3_combine *combine, struct t3_combine_item *item,
                             struct t3_deadline deadline);

#endif
