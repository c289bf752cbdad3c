/*
 * search.c -- small scenarios, and the search through all their schedules.
 *
 * Owns:     the scenarios.
 * Must not know: how a schedule is carried out.
 * Threads:  one.
 * Fails:    with the first schedule that violates an invariant, which is told.
 * Begin at: sim_search().
 *
 * A schedule is a list of choices: which of the messages under way arrives next, and whether the scenario's fault happens
 * here.  The dullest takes them in the order in which they were sent.  All schedules are enumerated, depth first, that differ
 * from it in at most so many choices: races need few (a message is late, and one thing happens meanwhile).
 */
#include "search.h"

#include "shrink.h"

#include <inttypes.h>
#include <stdio.h>

static const struct sim_scenario scenarios[] = {
    {"an update, and reads elsewhere", SIM_ITEMS, true, {"u", "gg"}, "", 0, false},
    {"an update, and cold reads elsewhere", SIM_ITEMS, false, {"u", "gg"}, "", 0, false},
    {"a delete, and reads in both", SIM_ITEMS, true, {"d", "gg"}, "gg", 0, false},
    {"a delete and an insert, and reads", SIM_ITEMS, true, {"di", "gg"}, "", 0, false},
    {"two updates at once", SIM_ITEMS, true, {"ug", "ug"}, "", 0, false},
    {"an upsert without versions, and cold reads", SIM_NOTES, false, {"p", "gg"}, "g", 0, false},
    {"two upserts without versions", SIM_NOTES, true, {"pg", "pg"}, "", 0, false},
    {"a strict update, and cold reads", SIM_STRICT, false, {"u", "gg"}, "", 0, false},
    {"two strict upserts", SIM_STRICT, true, {"pg", "pg"}, "", 0, false},
    {"an update whose notice is lost", SIM_ITEMS, true, {"u", "gg"}, "", SIM_NOTICE_DROPPED, true},
    {"an update, and a message of the stream is lost",
     SIM_ITEMS,
     true,
     {"u", "gg"},
     "",
     SIM_FEED_DROPPED,
     true},
    {"an update whose acknowledgement is lost",
     SIM_ITEMS,
     true,
     {"u", "gg"},
     "",
     SIM_ACK_LOST,
     true},
    {"a delete that L3 carries out and calls failed",
     SIM_ITEMS,
     true,
     {"d", "gg"},
     "g",
     SIM_STORE_SILENCE,
     true},
    {"a strict update, and a death", SIM_STRICT, true, {"u", "gg"}, "", SIM_CRASH, true},
};

static void set_up(struct sim_setup *setup, const struct sim_scenario *scenario)
{
    *setup = (struct sim_setup){
        .hosts = 2,
        .keys = 1,
        .sessions = 1,
        .ops = 4,
        .bound_ms = 300,
        .age_ms = 60000, /* what is wrong at rest must not age away */
        .negative_ms = 20000,
        .timeout_ms = 1000,
        .l2_wait_ms = 60,
        .strict_lease_ms = 2000,
        .scenario = scenario,
    };
    if (scenario->has_fault) {
        setup->profile.per_mille[scenario->fault] = 1;
        setup->profile.left = 1;
    }
}

static void report(const struct sim_setup *setup, const struct sim_outcome *outcome)
{
    struct sim_case failing = {.setup = setup, .seed = 1, .failure = outcome->failure};
    struct sim_outcome again;
    printf("violates %s\n\n", outcome->failure);
    sim_decisions_copy(&failing.decisions, sim_decided());
    sim_decide_begin(SIM_SEARCHED, 1, &failing.decisions);
    sim_run_once(setup, true, &again);
    sim_decisions_done(&failing.decisions);
}

/* False: a schedule violates an invariant. */
static bool search_one(const struct sim_scenario *scenario, uint32_t others_max)
{
    struct sim_setup setup;
    struct sim_decisions next = {0};
    struct sim_outcome outcome = {0};
    uint64_t schedules = 0;
    set_up(&setup, scenario);
    do {
        struct sim_decisions prefix = {0};
        sim_decisions_copy(&prefix, &next);
        sim_decide_begin(SIM_SEARCHED, 1, &prefix);
        sim_run_once(&setup, false, &outcome);
        sim_decisions_copy(&next, sim_decided());
        sim_decisions_done(&prefix);
        schedules++;
    } while (!outcome.has_failed && sim_decisions_next(&next, others_max));
    printf("%8" PRIu64 " schedules  %s\n", schedules, scenario->name);
    if (outcome.has_failed)
        report(&setup, &outcome);
    sim_decisions_done(&next);
    return !outcome.has_failed;
}

int sim_search(uint32_t others_max)
{
    bool is_good = true;
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0] && is_good; i++)
        is_good = search_one(&scenarios[i], others_max);
    return is_good ? 0 : 1;
}
