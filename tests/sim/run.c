/*
 * run.c -- one world from beginning to end: work under faults, then rest, then the last questions.
 *
 * Owns:     the setup of the run, and its large faults.
 * Must not know: what is right; that is the judge's.
 * Threads:  the scheduler's own stack.
 * Fails:    never; what is wrong is in the outcome.
 * Begin at: sim_run_once().
 */
#include "run.h"

#include "fake_bus.h"
#include "fake_follow.h"
#include "fake_kv.h"
#include "fake_nats.h"
#include "fake_store.h"
#include "fiber.h"
#include "workload.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static struct sim_setup setup;

/* -- setups -------------------------------------------------------------------------------- */

static uint64_t one_of(const uint64_t *values, uint32_t count)
{
    return values[sim_pick(SIM_WORK, count, 600)];
}

static void decide_profile(struct sim_profile *profile)
{
    static const uint16_t rates[SIM_FAULT_KINDS] = {
        [SIM_NOTICE_DROPPED] = 300, [SIM_NOTICE_DOUBLED] = 100, [SIM_NOTICE_LATE] = 200,
        [SIM_REQUEST_LOST] = 30,    [SIM_ACK_LOST] = 40,        [SIM_PUT_REFUSED] = 30,
        [SIM_FEED_DROPPED] = 60,    [SIM_BEAT_LOST] = 200,      [SIM_STORE_ERROR] = 60,
        [SIM_STORE_SILENCE] = 60,   [SIM_STORE_LATE] = 30,      [SIM_CRASH] = 6,
    };
    for (uint32_t kind = 0; kind < SIM_FAULT_KINDS; kind++)
        profile->per_mille[kind] = sim_happens(SIM_FAULT, 400) ? rates[kind] : 0;
    profile->left = sim_pick(SIM_FAULT, 30, 800);
}

void sim_setup_decide(struct sim_setup *out)
{
    static const uint64_t bounds[] = {300, 100, 1000, 3000};
    static const uint64_t ages[] = {5000, 800, 60000};
    static const uint64_t waits[] = {60, 20, 500};
    static const uint64_t timeouts[] = {1000, 300, 5000};
    static const uint64_t fill_leases[] = {0, 50, 300};
    memset(out, 0, sizeof *out);
    out->hosts = 2 + sim_pick(SIM_WORK, 2, 500);
    out->keys = 1 + sim_pick(SIM_WORK, 3, 500);
    out->sessions = 1 + sim_pick(SIM_WORK, 3, 600);
    out->ops = 4 + 4 * sim_pick(SIM_WORK, 4, 800);
    out->pauses = sim_pick(SIM_WORK, 7, 900);
    out->bound_ms = one_of(bounds, 4);
    out->age_ms = one_of(ages, 3);
    out->negative_ms = 200;
    out->l2_wait_ms = one_of(waits, 3);
    out->timeout_ms = one_of(timeouts, 3);
    out->strict_lease_ms = 2000;
    out->fill_lease_ms = one_of(fill_leases, 3);
    out->stale_ms = sim_happens(SIM_WORK, 200) ? 20000 : 0;
    out->early_refresh = sim_happens(SIM_WORK, 300);
    out->versions_begin_anew = sim_happens(SIM_WORK, 100);
    out->troubles = sim_pick(SIM_FAULT, 6, 700);
    decide_profile(&out->profile);
    if (sim_happens(SIM_FAULT, 60)) {
        out->answers_may_be_old = true;
        out->profile.per_mille[SIM_STALE_ANSWER] = 200;
    }
}

void sim_setup_tell(const struct sim_setup *told)
{
    sim_tell("%u processes, %u keys, %u sessions each, %u calls each; bound %" PRIu64
             " ms, age %" PRIu64 " ms, L2 wait %" PRIu64 " ms, timeout %" PRIu64
             " ms, fill lease %" PRIu64 " ms%s%s",
             told->hosts, told->keys, told->sessions, told->ops, told->bound_ms, told->age_ms,
             told->l2_wait_ms, told->timeout_ms, told->fill_lease_ms,
             told->versions_begin_anew ? ", versions begin anew" : "",
             told->answers_may_be_old ? ", L2 has followers that lag" : "");
}

/* -- large faults -------------------------------------------------------------------------- */

enum trouble_kind { CRASH, STOP, CUT, DISCONNECT, WIPE, RESTART, OUTAGE, TROUBLE_KINDS };

struct trouble {
    enum trouble_kind kind;
    uint32_t host;
    uint64_t for_us;
};

static void end_outage(void *unused)
{
    (void)unused;
    sim_store_set_down(false);
}

static void stop(struct sim_process *process, uint64_t for_us)
{
    sim_tell("FAULT: %s is stopped for %" PRIu64 " ms", process->name, for_us / 1000);
    sim_tally.stops++;
    process->stops++;
    process->stopped_until_us = sim.now_us + for_us;
}

static void make_trouble(void *owner)
{
    const struct trouble *trouble = owner;
    struct sim_process *process = sim_hosts[trouble->host].process;
    if (sim.is_calm || process == NULL || process->is_dead)
        return;
    switch (trouble->kind) {
    case CRASH:
        sim_tell("FAULT: %s is killed", process->name);
        sim_crash(process);
        break;
    case STOP:
        stop(process, trouble->for_us);
        break;
    case CUT:
        sim_cut(process, trouble->for_us);
        break;
    case DISCONNECT:
        sim_disconnect_all(trouble->for_us);
        break;
    case WIPE:
        sim_server_wipe();
        break;
    case RESTART:
        sim_tally.restarts++;
        sim_disconnect_all(trouble->for_us);
        sim_server_wipe();
        break;
    case OUTAGE:
    case TROUBLE_KINDS:
        sim_store_set_down(true);
        sim_at(sim.now_us + trouble->for_us, end_outage, NULL);
        break;
    }
}

/* Within the first moments or seconds; of one kind, or of all. */
static void plan_troubles(void)
{
    static const uint64_t spans_us[] = {300000, 60000, 3000000};
    const uint64_t span_us = one_of(spans_us, 3);
    const uint32_t theme = sim_pick(SIM_FAULT, 1 + TROUBLE_KINDS, 600);
    for (uint32_t i = 0; i < setup.troubles; i++) {
        struct trouble *trouble = sim_alloc(sizeof *trouble);
        trouble->kind = (enum trouble_kind)sim_pick(SIM_FAULT, TROUBLE_KINDS, 850);
        if (theme > 0)
            trouble->kind = (enum trouble_kind)(theme - 1);
        trouble->host = sim_pick(SIM_FAULT, setup.hosts, 500);
        trouble->for_us = 2000u << (2 * sim_pick(SIM_FAULT, 6, 850)); /* up to 2 s */
        const uint64_t at = span_us / 1000 * sim_pick(SIM_FAULT, 1000, 900);
        sim_at(sim.now_us + at, make_trouble, trouble);
    }
}

/* -- deaths -------------------------------------------------------------------------------- */

static void boot_again(void *owner)
{
    sim_host_boot(owner);
}

static void on_death(uint32_t number)
{
    struct sim_host *host = &sim_hosts[number];
    host->is_up = false;
    host->busy = 1; /* until the next one is up */
    sim_at(sim.now_us + 20000 + sim_noise() % 300000, boot_again, host);
}

/* -- a run --------------------------------------------------------------------------------- */

static void begin(void)
{
    const struct sim_judge_rules judge = {
        .versions_begin_anew = setup.versions_begin_anew,
        .answers_may_be_old = setup.answers_may_be_old,
        .lease_ms = setup.strict_lease_ms,
        .l2_wait_ms = setup.l2_wait_ms,
    };
    const struct sim_store_rules store = {.versions_begin_anew = setup.versions_begin_anew};
    sim_profile = setup.profile;
    sim_on_death = on_death;
    sim_judge_begin(&judge);
    sim_server_begin();
    sim_store_begin(&store);
    sim_nats_begin();
    sim_kv_begin();
    sim_bus_begin();
    sim_follow_begin();
    sim_workload_begin(&setup);
    sim_setup_tell(&setup);
}

/* No more faults; everybody is awake and connected. */
static void calm_down(void)
{
    sim_tell("no more faults");
    sim.is_calm = true;
    sim_store_set_down(false);
    for (uint32_t i = 0; i < sim.process_count; i++) {
        struct sim_process *process = sim.processes[i];
        if (process->stopped_until_us > sim.now_us)
            process->stopped_until_us = sim.now_us;
    }
}

static void rest(uint64_t for_ms)
{
    sim_run(NULL, NULL, sim.now_us + for_ms * 1000);
}

/* The processes start, and work until they are done.  In a scenario all is quiet before the search begins. */
static void work(void)
{
    enum { WORK_US_MAX = 120000000, QUIET_MS = 100 };
    for (uint32_t i = 0; i < setup.hosts; i++)
        sim_host_boot(&sim_hosts[i]);
    if (setup.scenario == NULL) {
        plan_troubles();
        sim_run(sim_workload_is_done, NULL, sim.now_us + WORK_US_MAX);
        return;
    }
    sim.is_calm = true;
    rest(QUIET_MS);
    sim.is_calm = false;
    sim.is_searched = true;
    sim_workload_start();
    sim_run(sim_workload_is_done, NULL, sim.now_us + WORK_US_MAX);
    sim.is_searched = false;
}

static void work_and_rest(void)
{
    enum { RECONNECT_MS = 12000 };
    work();
    if (!sim.has_failed && !sim_workload_is_done(NULL)) {
        sim_tell_fibers();
        sim_fail("5 progress", "the sessions do not come to an end");
    }
    if (sim.has_failed)
        return;
    calm_down();
    rest(RECONNECT_MS + setup.strict_lease_ms + setup.fill_lease_ms + 2 * setup.bound_ms);
    if (!setup.answers_may_be_old) /* what a follower has said goes when its age is over */
        sim_workload_look();
    sim_judge_rest_of_l2();
    if (!sim.has_failed && setup.scenario == NULL) {
        rest(setup.age_ms + 1000);
        sim_workload_look();
    }
    if (!sim.has_failed)
        sim_workload_close();
}

void sim_run_once(const struct sim_setup *given, bool is_told, struct sim_outcome *outcome_out)
{
    sim_world_begin(is_told);
    if (given != NULL)
        setup = *given;
    else
        sim_setup_decide(&setup);
    begin();
    work_and_rest();
    outcome_out->has_failed = sim.has_failed;
    memcpy(outcome_out->failure, sim.failure, sizeof outcome_out->failure);
    sim_world_end();
}
