/*
 * gate.h -- lets so many in at once; the others wait in the order in which they came.
 *
 * What it is for: a database that has just come back must not be met by all readers together.
 */
#ifndef T3_CORE_GATE_H
#define T3_CORE_GATE_H

#include "base/lock.h"

struct t3_gate_waiter;

/* All zero: a gate that is always open, and needs no end. */
struct t3_gate {
    struct t3_mutex mutex;
    struct t3_gate_waiter *first;
    struct t3_gate_waiter *last;
    uint64_t inside;
    uint64_t inside_max; /* 0: no limit */
};

void t3_gate_init(struct t3_gate *gate, uint64_t inside_max);
void t3_gate_done(struct t3_gate *gate);

/* Goes in, or waits for it.  TEARS_OK: leave by t3_gate_leave; TEARS_TIMEOUT: the deadline passed outside. */
tears_status t3_gate_enter(struct t3_gate *gate, struct t3_deadline deadline);
void t3_gate_leave(struct t3_gate *gate);

#endif
