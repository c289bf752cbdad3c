/*
 * run.h -- one run of one world: from an empty bucket to rest.
 */
#ifndef TESTS_SIM_RUN_H
#define TESTS_SIM_RUN_H

#include "judge.h"
#include "net.h"

/* What is simulated; the decisions fill it in, or a scenario does. */
struct sim_setup {
    uint32_t hosts;
    uint32_t keys;
    uint32_t sessions; /* of each process, at once */
    uint32_t ops;      /* of each session */
    uint32_t pauses;   /* 0: between calls nothing happens; more: longer pauses */
    uint64_t bound_ms; /* staleness_ms_max */
    uint64_t age_ms;   /* l1_age_ms_max */
    uint64_t negative_ms;
    uint64_t timeout_ms;
    uint64_t l2_wait_ms;
    uint64_t strict_lease_ms;
    uint64_t fill_lease_ms;
    uint64_t stale_ms;
    bool early_refresh;
    bool versions_begin_anew;
    bool answers_may_be_old;
    uint32_t troubles;                   /* large faults at random times */
    const struct sim_scenario *scenario; /* of a search; NULL: sessions do what is decided */
    struct sim_profile profile;
};

/* Decides a setup. */
void sim_setup_decide(struct sim_setup *setup);
void sim_setup_tell(const struct sim_setup *setup);

/* What is known of a run afterwards. */
struct sim_outcome {
    bool has_failed;
    char failure[1024];
};

/* `setup` NULL: as decided. */
void sim_run_once(const struct sim_setup *setup, bool is_told, struct sim_outcome *outcome_out);

#endif
