/*
 * shrink.h -- makes a failing schedule simpler while it still fails.
 */
#ifndef TESTS_SIM_SHRINK_H
#define TESTS_SIM_SHRINK_H

#include "run.h"

/* A schedule that violates an invariant. */
struct sim_case {
    const struct sim_setup *setup; /* as in sim_run_once */
    uint64_t seed;                 /* of what means nothing */
    struct sim_decisions decisions;
    const char *failure;
};

/* Replaces the decisions by fewer and duller ones with which the same invariant is violated; at most `runs_max` runs. */
void sim_shrink(struct sim_case *failing, uint32_t runs_max);

#endif
