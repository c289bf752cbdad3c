/*
 * l2_sweep.h -- makes every process forget all rows of a table.
 */
#ifndef T3_TIER_L2_SWEEP_H
#define T3_TIER_L2_SWEEP_H

#include "tier/l2.h"

/*
 * Puts a delete marker over every entry of the table, markers too, and then one under a key that stands for no row: its text
 * looks like a hash that nobody can undo, so that whoever follows the stream drops all rows of the table from L1.
 * For what cannot be told row by row, such as TRUNCATE.  TEARS_OK, TEARS_UNAVAILABLE, TEARS_TIMEOUT, TEARS_NO_MEMORY.
 *
 * LIMITATIONS: a reader that found nothing in L2 and read the database before the change can still create an entry when it is
 * slower than the sweep; so the caller sweeps again when no such reader can be left.  And processes that hear notices
 * only are told nothing.
 */
tears_status t3_l2_sweep(struct t3_l2 *l2, struct tears_str table, struct t3_deadline deadline,
                         struct tears_error *error_out);

#endif
