/*
 * run_faults.c -- the plan: what is done to whom, by chance, and when it is over again.
 *
 * Owns:     the agenda.
 * Must not know: how a server is ended.
 * Threads:  one.
 * Fails:    never; what cannot be done now is left out.
 * Begin at: run_disturb().
 */
#include "run.h"
#include "support/pg_server.h"

#include <signal.h>

static void remember(struct run *run, enum run_task task, unsigned who, uint64_t in_ms)
{
    for (unsigned i = 0; i < CHAOS_AGENDA_MAX; i++) {
        if (run->agenda[i].task != TASK_NONE)
            continue;
        run->agenda[i] = (struct run_agenda){task, who, chaos_now_ns() + in_ms * 1000000u};
        return;
    }
}

static void do_task(struct run *run, const struct run_agenda *item)
{
    struct run_worker *worker = &run->workers[item->who];
    switch (item->task) {
    case TASK_CONTINUE:
        if (worker->pid != 0 && worker->is_stopped) {
            kill(worker->pid, SIGCONT);
            worker->is_stopped = false;
            run_note(run, "worker %u goes on", item->who);
        }
        break;
    case TASK_SPAWN:
        if (worker->pid == 0) {
            run_spawn(run, item->who);
            run_note(run, "worker %u is started again", item->who);
        } else {
            remember(run, TASK_SPAWN, item->who, 20); /* its end was not noticed yet */
        }
        break;
    case TASK_NATS_AGAIN:
        run_nats_again(run, item->who);
        run_note(run, "nats-server %u is there again", item->who);
        break;
    case TASK_NONE:
        break;
    }
}

void run_do_agenda(struct run *run, bool all)
{
    const uint64_t now_ns = chaos_now_ns();
    for (unsigned i = 0; i < CHAOS_AGENDA_MAX; i++) {
        const struct run_agenda item = run->agenda[i];
        if (item.task == TASK_NONE || (!all && item.due_ns > now_ns))
            continue;
        run->agenda[i].task = TASK_NONE;
        do_task(run, &item);
    }
}

void run_set_noise(struct run *run)
{
    (void)run_tell_proxy(run, NULL, 0, "noise notice 20000 10000 5000");
    (void)run_tell_proxy(run, NULL, 0, "noise stream 300 500 300");
    (void)run_tell_proxy(run, NULL, 0, "noise reply 30 200 30");
}

/* ---- what can be done ---- */

/* A worker that is there and goes on, or `workers` when the one picked is not. */
static unsigned pick_worker(struct run *run)
{
    const unsigned who = (unsigned)chaos_random_below(&run->random, run->options.workers);
    const struct run_worker *worker = &run->workers[who];
    return worker->pid != 0 && worker->is_open && !worker->is_stopped ? who : run->options.workers;
}

static void kill_worker(struct run *run)
{
    const unsigned who = pick_worker(run);
    if (who == run->options.workers)
        return;
    run_note(run, "worker %u is killed", who);
    kill(run->workers[who].pid, SIGKILL);
    run->workers[who].is_open = false;
    run->counts.kills++;
    remember(run, TASK_SPAWN, who, chaos_random_between(&run->random, 50, 1500));
}

static void stop_worker(struct run *run)
{
    const unsigned who = pick_worker(run);
    if (who == run->options.workers)
        return;
    const uint64_t ms = chaos_random_between(&run->random, 1000, 8000);
    run_note(run, "worker %u is stopped for %u ms", who, (unsigned)ms);
    kill(run->workers[who].pid, SIGSTOP);
    run->workers[who].is_stopped = true;
    run->counts.stops++;
    remember(run, TASK_CONTINUE, who, ms);
}

static bool all_nodes_are_up(const struct run *run)
{
    for (unsigned i = 0; i < run->node_count; i++)
        if (run->node_is_down[i])
            return false;
    return true;
}

static void take_node_down(struct run *run, unsigned node, bool gracefully)
{
    const uint64_t ms = chaos_random_between(&run->random, 100, 2500);
    run_note(run, "nats-server %u is %s for %u ms", node, gracefully ? "ended" : "killed",
             (unsigned)ms);
    run_nats_down(run, node, gracefully);
    if (gracefully)
        run->counts.nats_ends++;
    else
        run->counts.nats_kills++;
    remember(run, TASK_NATS_AGAIN, node, ms);
}

static void kill_nats(struct run *run)
{
    if (all_nodes_are_up(run))
        take_node_down(run, 0, false);
}

bool run_kill_leader(struct run *run)
{
    const unsigned leader = all_nodes_are_up(run) ? run_leader(run) : run->node_count;
    if (leader >= run->node_count) /* one is being elected */
        return false;
    run_note(run, "nats-server %u leads the bucket's stream", leader);
    take_node_down(run, leader, false);
    return true;
}

static void end_nats(struct run *run)
{
    if (all_nodes_are_up(run))
        take_node_down(run, (unsigned)chaos_random_below(&run->random, run->node_count), true);
}

static void wipe(struct run *run)
{
    run_note(run, "the bucket is deleted");
    run->counts.wipes += run_wipe_bucket(run, false);
}

static void purge(struct run *run)
{
    run_note(run, "the bucket is purged");
    run->counts.purges += run_wipe_bucket(run, true);
}

static void restart_pg(struct run *run)
{
    run_note(run, "PostgreSQL is killed");
    test_pg_kill(run->pg);
    test_pg_again(run->pg);
    run_note(run, "PostgreSQL is there again");
    run->counts.pg_restarts++;
}

static void cut(struct run *run)
{
    const int who = chaos_random_chance(&run->random, 200)
                        ? -1
                        : (int)chaos_random_below(&run->random, run->options.workers);
    run_note(run, "connections of worker %d to NATS are cut", who);
    (void)run_tell_proxy(run, NULL, 0, "cut %d", who);
    run->counts.cuts++;
}

static void hole(struct run *run)
{
    const unsigned who = (unsigned)chaos_random_below(&run->random, run->options.workers);
    const unsigned ms = (unsigned)chaos_random_between(&run->random, 300, 6000);
    run_note(run, "nothing passes between worker %u and NATS for %u ms", who, ms);
    (void)run_tell_proxy(run, NULL, 0, "hole %u %u", who, ms);
    run->counts.holes++;
}

static void storm(struct run *run)
{
    const unsigned who = (unsigned)chaos_random_below(&run->random, run->options.workers);
    const unsigned ms = (unsigned)chaos_random_between(&run->random, 500, 4000);
    run_note(run, "worker %u gets no notices and misses a third of the stream for %u ms", who, ms);
    (void)run_tell_proxy(run, NULL, 0, "storm %u %u", who, ms);
    run->counts.storms++;
}

struct fault {
    void (*disturb)(struct run *run);
    unsigned weight;
    unsigned cluster_weight;
};

/* In a cluster the leader is killed besides, see run_kill_leader(). */
static const struct fault faults[] = {
    {kill_worker, 20, 20}, {stop_worker, 18, 18}, {kill_nats, 8, 0},  {end_nats, 4, 6},
    {wipe, 6, 4},          {purge, 5, 4},         {restart_pg, 6, 6}, {cut, 14, 14},
    {hole, 9, 9},          {storm, 10, 10},
};

void run_disturb(struct run *run)
{
    const size_t count = sizeof faults / sizeof faults[0];
    unsigned total = 0;
    for (size_t i = 0; i < count; i++)
        total += run->options.is_cluster ? faults[i].cluster_weight : faults[i].weight;
    uint64_t chance = chaos_random_below(&run->random, total);
    for (size_t i = 0; i < count; i++) {
        const unsigned weight =
            run->options.is_cluster ? faults[i].cluster_weight : faults[i].weight;
        if (chance < weight) {
            faults[i].disturb(run);
            return;
        }
        chance -= weight;
    }
}
