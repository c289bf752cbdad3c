/*
 * l2_truth.h -- the durable tier of a table that has none: its rows live in L2.
 *
 * Why a tier and not a test in every path: reads that go past the caches, reads of rows that L2 has just not given, and a
 * bucket that cannot be reached are then what they are for every table.  What writes is refused, and says what to use.
 */
#ifndef T3_CORE_L2_TRUTH_H
#define T3_CORE_L2_TRUTH_H

#include "tier/l2.h"
#include "tier/l3.h"

/* `l2` must outlive the tier.  TEARS_NO_MEMORY. */
tears_status t3_l2_truth_open(struct t3_l2 *l2, struct t3_l3 **l3_out,
                              struct tears_error *error_out);

#endif
