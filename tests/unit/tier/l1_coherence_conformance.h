/*
 * l1_coherence_conformance.h -- what every implementation of tier/l1.h must do so that processes agree.
 */
#ifndef TESTS_UNIT_TIER_L1_COHERENCE_CONFORMANCE_H
#define TESTS_UNIT_TIER_L1_COHERENCE_CONFORMANCE_H

#include "unit/tier/l1_conformance.h"

/* Runs all tests against tiers made by `make`; the number that failed. */
int l1_coherence_conformance_run(const char *name, l1_constructor make);

/*
 * Two keys of a table of two bigint columns that have one hash: for every `a` there is such a pair with `other_a`.  That they
 * have is checked by whoever uses them.
 */
struct tears_schema *l1_pairs_schema(void);
int64_t l1_colliding_b(int64_t a, int64_t b, int64_t other_a);

#endif
