/*
 * gate.c -- how many may be inside at once.
 *
 * Owns:     the queue of those who wait; each waiter's place is on its own stack.
 * Must not know: what is done inside.
 * Threads:  any.  The mutex is a leaf.
 * Fails:    TEARS_TIMEOUT.
 * Begin at: t3_gate_enter().
 *
 * Who leaves hands its place to the first in the queue: nobody who comes later can take it in between, so a stream of
 * new callers cannot keep an old one waiting.
 */
#include "core/gate.h"

struct t3_gate_waiter {
    struct t3_gate_waiter *next;
    struct t3_cond called;
    bool is_inside;
};

void t3_gate_init(struct t3_gate *gate, uint64_t inside_max)
{
    gate->first = NULL;
    gate->last = NULL;
    gate->inside = 0;
    gate->inside_max = inside_max;
    if (inside_max != 0)
        t3_mutex_init(&gate->mutex);
}

void t3_gate_done(struct t3_gate *gate)
{
    if (gate->inside_max == 0)
        return;
    T3_ASSERT(gate->inside == 0 && gate->first == NULL);
    t3_mutex_done(&gate->mutex);
    gate->inside_max = 0;
}

static void append_locked(struct t3_gate *gate, struct t3_gate_waiter *waiter)
    T3_REQUIRES(gate->mutex)
{
    if (gate->last != NULL)
        gate->last->next = waiter;
    else
        gate->first = waiter;
    gate->last = waiter;
}

static void remove_locked(struct t3_gate *gate, struct t3_gate_waiter *waiter)
    T3_REQUIRES(gate->mutex)
{
    struct t3_gate_waiter *before = NULL;
    struct t3_gate_waiter *one = gate->first;
    while (one != waiter) {
        before = one;
        one = one->next;
    }
    if (before != NULL)
        before->next = waiter->next;
    else
        gate->first = waiter->next;
    if (gate->last == waiter)
        gate->last = before;
}

static tears_status wait_locked(struct t3_gate *gate, struct t3_deadline deadline)
    T3_REQUIRES(gate->mutex)
{
    struct t3_gate_waiter self = {.next = NULL};
    t3_cond_init(&self.called);
    append_locked(gate, &self);
    while (!self.is_inside && !t3_deadline_passed(deadline))
        (void)t3_cond_wait(&self.called, &gate->mutex, deadline);
    if (!self.is_inside)
        remove_locked(gate, &self);
    t3_cond_done(&self.called);
    return self.is_inside ? TEARS_OK : TEARS_TIMEOUT;
}

tears_status t3_gate_enter(struct t3_gate *gate, struct t3_deadline deadline)
{
    if (gate->inside_max == 0)
        return TEARS_OK;
    tears_status status = TEARS_OK;
    t3_lock(&gate->mutex);
    if (gate->inside < gate->inside_max && gate->first == NULL)
        gate->inside++;
    else
        status = wait_locked(gate, deadline);
    t3_unlock(&gate->mutex);
    return status;
}

void t3_gate_leave(struct t3_gate *gate)
{
    if (gate->inside_max == 0)
        return;
    t3_lock(&gate->mutex);
    T3_ASSERT(gate->inside > 0);
    struct t3_gate_waiter *next = gate->first;
    if (next == NULL) {
        gate->inside--;
    } else { /* the place goes on: `inside` stays */
        remove_locked(gate, next);
        next->is_inside = true;
        t3_cond_signal(&next->called); /* under the mutex: `next` is gone as soon as it has it */
    }
    t3_unlock(&gate->mutex);
}
