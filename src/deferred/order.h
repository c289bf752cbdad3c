/*
 * order.h -- in which order pending rows must reach L3.  Pure.
 *
 * Tables are ranked by their schemas' foreign keys: a table comes after all that it refers to.  Tables that refer to each other in a circle share
 * a rank, and so does a table that refers to itself; within a rank, rows are ordered by the values of their foreign keys.
 */
#ifndef T3_DEFERRED_ORDER_H
#define T3_DEFERRED_ORDER_H

#include "deferred/record.h"

/* ranks_out[i] is the rank of schemas[i]; in_cycle_out[i]: it refers to its own rank.  Tables not in the list do not count.  TEARS_NO_MEMORY. */
tears_status t3_order_tables(const struct tears_schema *const *schemas, size_t count,
                             struct t3_arena *arena, uint32_t *ranks_out, bool *in_cycle_out);

/* A row to be ordered. */
struct t3_order_row {
    const struct tears_schema *schema;
    const struct t3_record *record;
    uint32_t rank;
};

/*
 * Puts indices of rows into order_out: what writes rows parents first, what deletes rows (before all of it) children first; otherwise as given.  Rows of one circle of
 * references that no order satisfies come in the order given, and *circles_out counts them.  Linear in rows and their foreign keys.  TEARS_NO_MEMORY.
 */
tears_status t3_order_rows(const struct t3_order_row *rows, size_t count, struct t3_arena *arena,
                           size_t *order_out, size_t *circles_out);

#endif
