/*
 * chaos_run.c -- private servers, client processes, faults by a seed, and a verdict.
 *
 *      chaos_worker 0 --port--+
 *      chaos_worker 1 --port--+-- chaos_proxy -- nats-server (one, or a cluster of three)
 *           ...               |
 *      each of them ----------+-- PostgreSQL, whose trigger keeps the audit
 *
 * Owns:     a temporary folder, and every process of the run; all are ended by process id, also on Ctrl-C.
 * Must not know: the library's insides.
 * Threads:  one.
 * Fails:    1: something was seen that must not be; 2: the harness itself could not work.
 * Begin at: main().
 *
 * The folder stays when something was found: `chaos_check FOLDER` judges it again.
 */
#include "history_impl.h"
#include "run.h"

#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    STEP_MS = 20,
    PROGRESS_S = 5,
    FAULT_MS_MIN = 700,
    FAULT_MS_MAX = 2300,
    /* A cluster that has lost a leader elects another one after 4 to 9 s: until then there is no L2 to be tested. */
    LEADER_MS_MIN = 10000,
    LEADER_MS_MAX = 14000,
    LEADER_AGAIN_MS = 1000,
    OPEN_S_MAX = 60,
    REST_S_MAX = 30,
    LEASE_MS = 5000, /* as chaos_worker.c has it */
    BOUND_MS = 3000, /* the library's default */
    LAG_MS = 15000,  /* an outbox note is worked on by then, whatever happens to its readers */
    CLUSTER_LAG_MS = 30000, /* and without a leader, now and then, L2 cannot be corrected */
    SLACK_MS = 30
};

volatile sig_atomic_t run_is_interrupted;

static void interrupt(int number)
{
    (void)number;
    run_is_interrupted = 1;
}

void run_pause_ms(unsigned ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&pause, NULL);
}

void run_note(struct run *run, const char *format, ...)
{
    va_list args;
    fprintf(run->events, "%" PRIu64 " ", chaos_now_ns());
    va_start(args, format);
    vfprintf(run->events, format, args);
    va_end(args);
    fputc('\n', run->events);
    fflush(run->events);
}

static uint64_t elapsed_ms(const struct run *run)
{
    return (chaos_now_ns() - run->began_ns) / 1000000u;
}

/* ---- command line ---- */

static const char usage[] =
    "usage: chaos_run [OPTION...]\n"
    "  --seconds N   how long faults are made (60)\n"
    "  --seed N      of the plan and the load; random when not given\n"
    "  --workers N   client processes, up to 8 (4)\n"
    "  --threads N   of each (3)\n"
    "  --keys N      of each table (300)\n"
    "  --pause US    mean pause of a thread between two operations (6000)\n"
    "  --cluster     three nats-servers, the bucket on file with 3 replicas\n"
    "  --calm        no faults but those of the proxy\n"
    "  --bug NAME    workers report what a broken cache would give: old-copy, no-floor, "
    "lost-write, phantom,\n"
    "                weak-strong, no-bound, stuck; all: each worker has another, and the run has "
    "to find every one\n"
    "  --restart-versions  integer versions begin at 1 again with each life of a row: seen to go "
    "wrong\n"
    "  --json        the summary as one JSON object\n"
    "  --keep        keep the folder\n";

static const struct option longs[] = {
    {"seconds", required_argument, NULL, 'n'},
    {"seed", required_argument, NULL, 's'},
    {"workers", required_argument, NULL, 'w'},
    {"threads", required_argument, NULL, 't'},
    {"keys", required_argument, NULL, 'k'},
    {"pause", required_argument, NULL, 'p'},
    {"cluster", no_argument, NULL, 'c'},
    {"calm", no_argument, NULL, 'q'},
    {"restart-versions", no_argument, NULL, 'r'},
    {"bug", required_argument, NULL, 'b'},
    {"json", no_argument, NULL, 'j'},
    {"keep", no_argument, NULL, 'K'},
    {0},
};

static bool take_option(struct run_options *options, int letter)
{
    switch (letter) {
    case 's':
        options->seed = strtoull(optarg, NULL, 10);
        return true;
    case 'c':
        options->is_cluster = true;
        return true;
    case 'q':
        options->is_calm = true;
        return true;
    case 'r':
        options->versions_restart = true;
        return true;
    case 'j':
        options->as_json = true;
        return true;
    case 'K':
        options->keep = true;
        return true;
    case 'b':
        options->bug = optarg;
        return true;
    default:
        break;
    }
    unsigned *const number = letter == 'n'   ? &options->seconds
                             : letter == 'w' ? &options->workers
                             : letter == 't' ? &options->threads
                             : letter == 'k' ? &options->keys
                             : letter == 'p' ? &options->pause_us
                                             : NULL;
    if (number != NULL)
        *number = (unsigned)strtoul(optarg, NULL, 10);
    return number != NULL;
}

static bool read_options(int argc, char **argv, struct run_options *options)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    *options = (struct run_options){.seconds = 60,
                                    .seed = (uint64_t)now.tv_nsec % 1000000u,
                                    .workers = 4,
                                    .threads = 3,
                                    .keys = 300,
                                    .pause_us = 6000,
                                    .bug = "none"};
    int letter = 0;
    while ((letter = getopt_long(argc, argv, "", longs, NULL)) >= 0)
        if (!take_option(options, letter))
            return false;
    return optind == argc && options->workers > 0 && options->workers <= CHAOS_WORKERS_MAX &&
           options->keys > 0 && options->keys <= CHAOS_KEYS_MAX && options->threads > 0 &&
           options->threads <= 16;
}

/* ---- phases ---- */

static bool make_folder(struct run *run)
{
    const char *base = getenv("TMPDIR");
    char path[256];
    snprintf(run->folder, sizeof run->folder, "%s/tears-chaos-XXXXXX",
             base != NULL && base[0] != '\0' ? base : "/tmp");
    if (mkdtemp(run->folder) == NULL)
        return false;
    snprintf(path, sizeof path, "%s/%s", run->folder, CHAOS_EVENTS_FILE);
    run->events = fopen(path, "we");
    return run->events != NULL;
}

typedef bool (*worker_is)(const struct run_worker *worker);

static bool is_open(const struct run_worker *worker)
{
    return worker->pid != 0 && worker->is_open;
}

static bool is_resting(const struct run_worker *worker)
{
    return worker->is_resting;
}

static bool is_done(const struct run_worker *worker)
{
    return worker->is_done;
}

/* False when some worker did not come so far in time. */
static bool wait_for_all(struct run *run, worker_is reached, unsigned seconds_max, const char *what)
{
    for (unsigned waited = 0; waited < seconds_max * 1000; waited += STEP_MS) {
        bool all = true;
        run_hear(run);
        run_do_agenda(run, false);
        for (unsigned i = 0; i < run->options.workers; i++)
            all = all && reached(&run->workers[i]);
        if (all || run_is_interrupted)
            return all;
        run_pause_ms(STEP_MS);
    }
    for (unsigned i = 0; i < run->options.workers; i++)
        if (!reached(&run->workers[i]))
            fprintf(stderr, "chaos_run: worker %u is not %s after %u s\n", i, what, seconds_max);
    return false;
}

static void print_progress(struct run *run)
{
    const struct run_counts *counts = &run->counts;
    if (run->options.as_json)
        return;
    printf("%4" PRIu64 " s: %" PRIu64
           " operations; %u kills, %u stops, %u + %u NATS restarts, %u + %u wipes, "
           "%u PostgreSQL restarts, %u cuts, %u holes, %u storms\n",
           elapsed_ms(run) / 1000, run_operations(run), counts->kills, counts->stops,
           counts->nats_kills, counts->nats_ends, counts->wipes, counts->purges,
           counts->pg_restarts, counts->cuts, counts->holes, counts->storms);
    fflush(stdout);
}

/* Kills the leader when it is time.  Gives when it is time again. */
static uint64_t disturb_cluster(struct run *run, uint64_t next_ms)
{
    if (!run->options.is_cluster || run->options.is_calm || elapsed_ms(run) < next_ms)
        return next_ms;
    if (!run_kill_leader(run))
        return elapsed_ms(run) + LEADER_AGAIN_MS;
    return elapsed_ms(run) + chaos_random_between(&run->random, LEADER_MS_MIN, LEADER_MS_MAX);
}

static uint64_t disturb(struct run *run, uint64_t next_ms)
{
    if (run->options.is_calm || elapsed_ms(run) < next_ms)
        return next_ms;
    run_disturb(run);
    const uint64_t pause_ms = chaos_random_between(&run->random, FAULT_MS_MIN, FAULT_MS_MAX);
    return elapsed_ms(run) + (run->options.is_cluster ? 2 * pause_ms : pause_ms);
}

static void disturb_for_a_while(struct run *run)
{
    uint64_t next_fault_ms = 1500; /* caches fill first */
    uint64_t next_leader_ms = 3000;
    uint64_t next_line_s = PROGRESS_S;
    run_set_noise(run);
    while (elapsed_ms(run) < run->options.seconds * 1000ull && !run_is_interrupted &&
           !run->has_failed) {
        run_hear(run);
        run_do_agenda(run, false);
        next_fault_ms = disturb(run, next_fault_ms);
        next_leader_ms = disturb_cluster(run, next_leader_ms);
        if (elapsed_ms(run) / 1000 >= next_line_s) {
            print_progress(run);
            next_line_s += PROGRESS_S;
        }
        run_pause_ms(STEP_MS);
    }
}

static void heal(struct run *run)
{
    for (int i = 0; i < 100;
         i++) { /* a worker killed just now is started once its end was noticed */
        run_do_agenda(run, true);
        run_hear(run);
        run_pause_ms(5);
    }
    (void)run_tell_proxy(run, run->proxy_stats, sizeof run->proxy_stats, "stats");
    (void)run_tell_proxy(run, NULL, 0, "quiet");
    run_note(run, "no more faults");
}

static uint64_t lag_ms(const struct run *run)
{
    return run->options.is_cluster ? CLUSTER_LAG_MS : LAG_MS;
}

/* As long as a stale copy may be served: then every cache has to agree with the database. */
static void settle(struct run *run)
{
    const uint64_t began_ms = elapsed_ms(run);
    const uint64_t least_ms = BOUND_MS + LEASE_MS + 500;
    while (!run_is_interrupted && elapsed_ms(run) < began_ms + lag_ms(run)) {
        run_hear(run);
        if (elapsed_ms(run) >= began_ms + least_ms && run_outbox_is_empty(run))
            break;
        run_pause_ms(250);
    }
    run_pause_ms(BOUND_MS); /* what the outbox said last has to be obeyed, too */
}

/* False when a worker is stuck. */
static bool come_to_rest(struct run *run)
{
    bool is_well = wait_for_all(run, is_open, OPEN_S_MAX, "open");
    run_note(run, "workers come to rest");
    run_tell_all(run, "rest");
    is_well = wait_for_all(run, is_resting, REST_S_MAX, "at rest") && is_well;
    settle(run);
    run_note(run, "workers read everything");
    run_tell_all(run, "read");
    return wait_for_all(run, is_done, REST_S_MAX, "done") && is_well;
}

/* ---- the verdict ---- */

static void print_counts(const struct run *run)
{
    const struct run_counts *counts = &run->counts;
    printf("faults: %u workers killed, %u stopped; NATS: %u kills, %u graceful restarts, %u "
           "buckets deleted, %u purged; "
           "%u PostgreSQL restarts; %u cuts, %u black holes, %u storms\n",
           counts->kills, counts->stops, counts->nats_kills, counts->nats_ends, counts->wipes,
           counts->purges, counts->pg_restarts, counts->cuts, counts->holes, counts->storms);
    printf("proxy: %s\n", run->proxy_stats);
}

static void print_counts_json(const struct run *run)
{
    const struct run_counts *counts = &run->counts;
    printf("{\"seed\":%" PRIu64
           ",\"seconds\":%u,\"workers\":%u,\"cluster\":%s,\"kills\":%u,\"stops\":%u,"
           "\"nats_kills\":%u,\"nats_ends\":%u,\"wipes\":%u,\"purges\":%u,\"pg_restarts\":%u,"
           "\"cuts\":%u,"
           "\"holes\":%u,\"storms\":%u,\"crashes\":%u,\"proxy\":%s,",
           run->options.seed, run->options.seconds, run->options.workers,
           run->options.is_cluster ? "true" : "false", counts->kills, counts->stops,
           counts->nats_kills, counts->nats_ends, counts->wipes, counts->purges,
           counts->pg_restarts, counts->cuts, counts->holes, counts->storms, counts->crashes,
           run->proxy_stats[0] != '\0' ? run->proxy_stats : "null");
}

/* Whether every seeded bug was seen. */
static bool all_bugs_were_found(const struct chaos_verdict *verdict)
{
    static const enum chaos_rule rules[] = {CHAOS_RULE_BOUND,  CHAOS_RULE_OWN_WRITE,
                                            CHAOS_RULE_LOST,   CHAOS_RULE_PHANTOM,
                                            CHAOS_RULE_STRONG, CHAOS_RULE_NOT_EQUAL};
    bool all = true;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (verdict->count[rules[i]] == 0) {
            printf("not found: %s\n", chaos_rule_text(rules[i]));
            all = false;
        }
    }
    return all;
}

/* A run in which some tier was never read from has shown nothing about it. */
static bool was_worth_it(const struct chaos_verdict *verdict)
{
    const uint64_t *reads = verdict->figures.reads_of_tier;
    if (reads[1] > 0 && reads[2] > 0 && reads[3] > 0)
        return true;
    fprintf(stderr, "chaos_run: some tier gave no row at all, so nothing is proven\n");
    return false;
}

static int give_verdict(struct run *run, bool is_well)
{
    struct chaos_folder folder;
    struct chaos_verdict verdict;
    if (!chaos_folder_open(run->folder, &folder))
        return 2;
    struct chaos_history *history = chaos_judge(&folder.evidence, &verdict);
    const bool is_bugged = strcmp(run->options.bug, "none") != 0;
    if (run->options.as_json) {
        print_counts_json(run);
        chaos_print_json(stdout, &verdict);
        printf("}\n");
    } else {
        chaos_print_violations(stdout, &folder, history, &verdict, is_bugged ? 3 : 12);
        print_counts(run);
        chaos_print_figures(stdout, &verdict);
    }
    chaos_history_free(history);
    chaos_folder_close(&folder);
    if (run->counts.crashes > 0)
        fprintf(stderr, "chaos_run: %u workers crashed\n", run->counts.crashes);
    if (verdict.total == 0 && (run->has_failed || !was_worth_it(&verdict)))
        return 2;
    if (strcmp(run->options.bug, "all") == 0)
        return all_bugs_were_found(&verdict) && is_well ? 0 : 1;
    return verdict.total > 0 || run->counts.crashes > 0 || !is_well;
}

static int judge(struct run *run, bool is_well)
{
    struct chaos_truth truth = {
        .rules = {.lease_ms = LEASE_MS, .lag_ms = lag_ms(run), .slack_ms = SLACK_MS},
        .began_ns = run->began_ns,
    };
    const bool is_read = run_read_truth(run, &truth) && chaos_truth_write(run->folder, &truth);
    free(truth.changes);
    free(truth.rows);
    return is_read ? give_verdict(run, is_well) : 2;
}

/* ---- all of it ---- */

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

static int run_all(struct run *run)
{
    run_start_servers(run);
    if (!run_make_tables(run))
        return 2;
    run->began_ns = chaos_now_ns();
    for (unsigned i = 0; i < run->options.workers; i++)
        run_spawn(run, i);
    if (!wait_for_all(run, is_open, OPEN_S_MAX, "open"))
        return 2;
    run->began_ns = chaos_now_ns();
    disturb_for_a_while(run);
    heal(run);
    const bool is_well = come_to_rest(run);
    if (run_is_interrupted)
        return 2;
    run_stop_workers(run);
    return judge(run, is_well);
}

int main(int argc, char **argv)
{
    static struct run run;
    const struct sigaction on_interrupt = {.sa_handler = interrupt};
    if (!read_options(argc, argv, &run.options)) {
        fputs(usage, stderr);
        return 2;
    }
    sigaction(SIGINT, &on_interrupt, NULL);
    sigaction(SIGTERM, &on_interrupt, NULL);
    signal(SIGPIPE, SIG_IGN);
    chaos_random_init(&run.random, run.options.seed);
    if (!make_folder(&run)) {
        perror("chaos_run: a folder");
        return 2;
    }
    if (!run.options.as_json)
        printf("chaos: seed %" PRIu64 ", %u s, %u workers of %u threads%s\n", run.options.seed,
               run.options.seconds, run.options.workers, run.options.threads,
               run.options.is_cluster ? ", a cluster of three" : "");
    const int result = run_all(&run);
    run_stop_workers(&run);
    run_stop_servers(&run);
    fclose(run.events);
    const bool is_bugged = strcmp(run.options.bug, "none") != 0;
    if ((result == 0 || is_bugged || run_is_interrupted) && !run.options.keep)
        nftw(run.folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    else
        fprintf(stderr, "chaos_run: the evidence is in %s\n", run.folder);
    return result;
}
