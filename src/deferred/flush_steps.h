/*
 * flush_steps.h -- the rows of a transaction as calls of L3; private to src/deferred/flush*.c.
 */
#ifndef T3_DEFERRED_FLUSH_STEPS_H
#define T3_DEFERRED_FLUSH_STEPS_H

#include "deferred/flush_impl.h"

/* One call, of a REPLACE two: rows of one table and kind. */
struct t3_flush_step {
    struct t3_flush_known *known;
    uint8_t kind; /* T3_RECORD_* */
    struct t3_flush_entry **entries;
    struct t3_write *writes;
    struct t3_write *removals; /* REPLACE */
    size_t count;
};

struct t3_flush_steps {
    struct t3_flush_step *steps;
    size_t count;
    struct t3_flush_entry **placed; /* all entries, in the order of the steps */
};

/* Each entry's `write` (and `remove`) is one of a step's. */
tears_status t3_flush_steps_build(struct t3_flush_entry **entries, size_t count,
                                  struct t3_arena *arena, struct t3_flush_steps *steps_out);

#endif
