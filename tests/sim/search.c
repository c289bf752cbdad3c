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
    {.name = "an update, and reads elsewhere", .is_warm = true, .calls = {"u", "gg"}},
    {.name = "an update, and cold reads elsewhere", .calls = {"u", "gg"}},
    {.name = "an upsert, and cold reads elsewhere", .calls = {"p", "gg"}, .more_others = 1},
    {.name = "a delete, and reads in both", .is_warm = true, .calls = {"d", "gg"}, .more = "gg"},
    {.name = "a delete, and cold reads in both", .calls = {"d", "g"}, .more = "g"},
    {.name = "a delete and an insert, and reads", .is_warm = true, .calls = {"di", "gg"}},
    {.name = "two updates at once", .is_warm = true, .calls = {"ug", "ug"}},
    {.name = "an upsert without versions, and cold reads",
     .table = SIM_NOTES,
     .calls = {"p", "gg"},
     .more = "g"},
    {.name = "two upserts without versions",
     .table = SIM_NOTES,
     .is_warm = true,
     .calls = {"pg", "pg"}},
    {.name = "a strict update, and cold reads", .table = SIM_STRICT, .calls = {"u", "gg"}},
    {.name = "two strict upserts", .table = SIM_STRICT, .is_warm = true, .calls = {"pg", "pg"}},
    {.name = "an update whose notice is lost",
     .is_warm = true,
     .calls = {"u", "gg"},
     .has_fault = true,
     .fault = SIM_NOTICE_DROPPED},
    {.name = "an update, and a message of the stream is lost",
     .is_warm = true,
     .calls = {"u", "gg"},
     .has_fault = true,
     .fault = SIM_FEED_DROPPED},
    {.name = "an update whose acknowledgement is lost",
     .is_warm = true,
     .calls = {"u", "gg"},
     .has_fault = true,
     .fault = SIM_ACK_LOST},
    {.name = "a delete that L3 carries out and calls failed",
     .is_warm = true,
     .calls = {"d", "gg"},
     .more = "g",
     .has_fault = true,
     .fault = SIM_STORE_SILENCE},
    {.name = "a strict upsert, a cold read, and a death",
     .table = SIM_STRICT,
     .calls = {"p", "g"},
     .has_fault = true,
     .fault = SIM_CRASH,
     .more_others = 1},
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
    } while (!outcome.has_failed && sim_decisions_next(&next, others_max + scenario->more_others));
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
