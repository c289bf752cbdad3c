/*
 * chaos_worker.c -- one client process, with several threads of sessions, until it is killed or told to end.
 *
 * Owns:     the client, the threads, the file of operations.
 * Must not know: what is done to it meanwhile.
 * Threads:  the main one obeys stdin; each of the others runs one session after the other.
 * Fails:    ends with 1 when the client cannot be opened for good.
 * Begin at: main().
 *
 * Says on stdout: "open" once the client is open, "resting" when no operation is under way any more, "done" when all
 * keys were read at rest.  Obeys on stdin: "rest", "read", and its end.
 */
#include "worker.h"

#include <errno.h>
#include <execinfo.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
    THREADS_MAX = 16,
    RECORDS_MAX = 2000000,
    LOG_LINES_MAX = 5000,
    STRICT_LEASE_MS = 5000,
    TIMEOUT_MS = 3000,
    OPEN_SECONDS_MAX = 60
};

static _Noreturn void give_up(const char *what, const char *why)
{
    fprintf(stderr, "chaos_worker: %s: %s\n", what, why);
    exit(1);
}

static void write_log(void *owner, uint64_t level, const char *origin, const char *message)
{
    static atomic_uint lines;
    (void)owner;
    if (atomic_fetch_add(&lines, 1) < LOG_LINES_MAX)
        fprintf(stderr, "%.4f %" PRIu64 " %s: %s\n", (double)chaos_now_ns() / 1e9, level, origin,
                message);
}

/* ---- the client ---- */

static struct tears_str l1_of(unsigned worker)
{
    static const char *const kinds[] = {"memory:64MiB", "memory:256KiB", "sqlite:16MiB",
                                        "memory:64MiB"};
    return tears_str_c(kinds[worker % 4]);
}

static tears_status open_client(struct chaos_worker *worker, struct tears_error *error)
{
    const struct chaos_options *options = &worker->options;
    struct tears_client_options client = TEARS_CLIENT_OPTIONS_INIT;
    client.l3_url = tears_str_c(options->pg_url);
    client.l2_url = tears_str_c(options->nats_url);
    client.namespace_name = tears_str_c(options->namespace_name);
    client.l1 = l1_of(options->worker);
    client.l1_age_ms_max = 20000;
    client.timeout_ms = TIMEOUT_MS;
    client.l3_pool_max = 6;
    client.l2_replicas = options->replicas;
    client.l2_storage = tears_str_c(options->replicas > 1 ? "file" : "memory");
    client.staleness_ms_max = options->bug == CHAOS_BUG_NO_BOUND ? 3600000 : 0;
    client.log = write_log;
    client.log_level = TEARS_LOG_INFO;
    return tears_client_open(&client, &worker->client, error);
}

static tears_status open_table(struct chaos_worker *worker, uint32_t table,
                               struct tears_error *error)
{
    struct tears_collection_options options = TEARS_COLLECTION_OPTIONS_INIT;
    struct tears_collection_status status = TEARS_COLLECTION_STATUS_INIT;
    options.strict = table == CHAOS_STRICT;
    options.strict_lease_ms = table == CHAOS_STRICT ? STRICT_LEASE_MS : 0;
    options.fill_lease_ms = table == CHAOS_RELAXED ? 300 : 0;
    options.early_refresh = table == CHAOS_OUTBOX;
    const tears_status opened =
        tears_collection_open(worker->client, tears_str_c(chaos_table_name(table)), &options,
                              &worker->tables[table], error);
    if (opened != TEARS_OK)
        return opened;
    tears_collection_status(worker->tables[table], &status);
    worker->bound_ms[table] = worker->options.bug == CHAOS_BUG_NO_BOUND || status.bound_ms == 0
                                  ? 3000
                                  : (uint32_t)status.bound_ms;
    return TEARS_OK;
}

/* The database may be away just now. */
static void open_all(struct chaos_worker *worker)
{
    struct tears_error error = {0};
    uint32_t table = 0;
    for (int tries = 0; tries < OPEN_SECONDS_MAX * 4; tries++) {
        if (worker->client == NULL && open_client(worker, &error) != TEARS_OK)
            worker->client = NULL;
        while (worker->client != NULL && table < CHAOS_TABLES &&
               open_table(worker, table, &error) == TEARS_OK)
            table++;
        if (table == CHAOS_TABLES)
            return;
        usleep(250000);
    }
    give_up("cannot open", error.message);
}

/* ---- sessions ---- */

static void pick_level(struct chaos_thread *thread)
{
    static const uint32_t bounds[] = {100, 300, 1000, 5000};
    const uint64_t chance = chaos_random_below(&thread->random, 100);
    thread->level = chance < 40   ? TEARS_READ_ANY
                    : chance < 60 ? TEARS_READ_BOUNDED
                    : chance < 90 ? TEARS_READ_SESSION
                                  : TEARS_READ_STRONG;
    thread->bound_ms = bounds[chaos_random_below(&thread->random, 4)];
}

static bool start_session(struct chaos_thread *thread)
{
    struct tears_session_options options = TEARS_SESSION_OPTIONS_INIT;
    const bool is_weak = thread->worker->options.bug == CHAOS_BUG_WEAK_STRONG;
    thread->session_id = chaos_number(thread->worker);
    thread->has_own = false;
    options.consistency =
        is_weak && thread->level == TEARS_READ_STRONG ? TEARS_READ_ANY : thread->level;
    options.bound_ms = thread->level == TEARS_READ_BOUNDED ? thread->bound_ms : 0;
    return tears_session_new(thread->worker->client, &options, &thread->session) == TEARS_OK;
}

static void pause_between(struct chaos_thread *thread)
{
    const unsigned pause_us = thread->worker->options.pause_us;
    if (pause_us > 0)
        usleep((useconds_t)chaos_random_below(&thread->random, 2u * pause_us));
}

static void *run_thread(void *owner)
{
    struct chaos_thread *thread = owner;
    struct chaos_worker *worker = thread->worker;
    while (!worker->is_resting) {
        pick_level(thread);
        if (!start_session(thread)) {
            usleep(100000);
            continue;
        }
        const uint64_t count = chaos_random_between(&thread->random, 5, 50);
        for (uint64_t i = 0; i < count && !worker->is_resting; i++) {
            chaos_operate(thread);
            pause_between(thread);
        }
        tears_session_free(thread->session);
    }
    atomic_fetch_sub(&worker->running, 1);
    return NULL;
}

static struct chaos_thread *make_thread(struct chaos_worker *worker, unsigned number)
{
    struct chaos_thread *thread = calloc(1, sizeof *thread);
    if (thread == NULL)
        give_up("threads", "out of memory");
    thread->worker = worker;
    chaos_random_init(&thread->random, worker->options.seed * 1000003u +
                                           worker->options.worker * 1009u +
                                           worker->options.life * 101u + number);
    return thread;
}

/* ---- obeying ---- */

static void say(const char *word)
{
    printf("%s\n", word);
    fflush(stdout);
}

static void read_at_rest(struct chaos_worker *worker)
{
    struct chaos_thread *thread = make_thread(worker, THREADS_MAX);
    thread->level = TEARS_READ_ANY;
    if (!start_session(thread))
        give_up("last reads", "no session");
    chaos_read_all(thread);
    tears_session_free(thread->session);
    free(thread);
}

/* What the client counted, for whoever looks into the folder. */
static void print_stats(struct chaos_worker *worker)
{
    struct tears_client_stats stats = TEARS_CLIENT_STATS_INIT;
    tears_client_stats(worker->client, &stats);
    fprintf(stderr,
            "stats: l1_hits %" PRIu64 ", l2_hits %" PRIu64 ", l3_reads %" PRIu64
            ", notices_received %" PRIu64 ", feed_events %" PRIu64 ", feed_gaps %" PRIu64
            ", feed_losses %" PRIu64 ", l1_suspects %" PRIu64 ", strong_reads %" PRIu64
            ", announcements %" PRIu64 ", fill_leases_won %" PRIu64 ", fill_leases_waited %" PRIu64
            ", outbox_notes %" PRIu64 ", outbox_corrections %" PRIu64 ", degraded_writes %" PRIu64
            ", l2_repairs_waiting %" PRIu64 "\n",
            stats.l1_hits, stats.l2_hits, stats.l3_reads, stats.notices_received, stats.feed_events,
            stats.feed_gaps, stats.feed_losses, stats.l1_suspects, stats.strong_reads,
            stats.announcements, stats.fill_leases_won, stats.fill_leases_waited,
            stats.outbox_notes, stats.outbox_corrections, stats.degraded_writes,
            stats.l2_repairs_waiting);
}

static void obey(struct chaos_worker *worker)
{
    char line[64];
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (strcmp(line, "rest\n") == 0) {
            worker->is_resting = true;
            while (worker->running > 0)
                usleep(20000);
            say("resting");
        } else if (strcmp(line, "read\n") == 0) {
            read_at_rest(worker);
            print_stats(worker);
            say("done");
        }
    }
}

/* Where it crashed, for addr2line; then the crash itself. */
static void tell_crash(int number)
{
    void *frames[64];
    backtrace_symbols_fd(frames, backtrace(frames, 64), STDERR_FILENO);
    signal(number, SIG_DFL);
    raise(number);
}

/* A sanitizer tells more by itself. */
static void prepare_for_crashes(void)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    static const int numbers[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    void *frames[1];
    (void)backtrace(frames, 1); /* loads what it needs, which a handler must not */
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        signal(numbers[i], tell_crash);
#else
    (void)tell_crash;
#endif
}

/* ---- command line ---- */

static const char *const names[] = {"pg",   "nats",    "namespace", "folder", "worker",   "life",
                                    "seed", "threads", "keys",      "pause",  "replicas", "bug"};

static void set_option(struct chaos_options *options, int index, const char *value)
{
    const unsigned long number = strtoul(value, NULL, 10);
    const char **const texts[] = {&options->pg_url, &options->nats_url, &options->namespace_name,
                                  &options->folder};
    unsigned *const numbers[] = {&options->worker,  &options->life, NULL,
                                 &options->threads, &options->keys, &options->pause_us,
                                 &options->replicas};
    if (index < 4)
        *texts[index] = value;
    else if (index == 6)
        options->seed = strtoull(value, NULL, 10);
    else if (index < 11)
        *numbers[index - 4] = (unsigned)number;
    else
        options->bug = chaos_bug_named(value);
}

static void read_options(int argc, char **argv, struct chaos_options *options)
{
    struct option longs[13] = {{0}};
    int index = 0;
    for (int i = 0; i < 12; i++)
        longs[i] = (struct option){names[i], required_argument, NULL, i};
    *options = (struct chaos_options){.namespace_name = "chaos",
                                      .folder = ".",
                                      .threads = 3,
                                      .keys = 300,
                                      .pause_us = 6000,
                                      .replicas = 1};
    while ((index = getopt_long(argc, argv, "", longs, NULL)) >= 0 && index != '?')
        set_option(options, index, optarg);
    if (index == '?' || options->pg_url == NULL || options->nats_url == NULL ||
        options->threads > THREADS_MAX || options->keys > CHAOS_KEYS_MAX ||
        options->bug == CHAOS_BUGS)
        give_up("usage", "--pg URL --nats URL --folder DIR --worker N ...");
}

int main(int argc, char **argv)
{
    static struct chaos_worker worker;
    struct chaos_thread *threads[THREADS_MAX];
    pthread_t ids[THREADS_MAX];
    char path[512];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_IGN); /* a Ctrl-C is for the runner */
    prepare_for_crashes();
    read_options(argc, argv, &worker.options);
    worker.next_number =
        ((uint64_t)(worker.options.worker + 1) << 52) | ((uint64_t)(worker.options.life + 1) << 36);
    snprintf(path, sizeof path, "%s/worker-%u-%u%s", worker.options.folder, worker.options.worker,
             worker.options.life, ".ops");
    worker.log = chaos_log_make(path, RECORDS_MAX);
    if (worker.log == NULL)
        give_up(path, strerror(errno));
    open_all(&worker);
    say("open");
    worker.running = worker.options.threads;
    for (unsigned i = 0; i < worker.options.threads; i++) {
        threads[i] = make_thread(&worker, i);
        if (pthread_create(&ids[i], NULL, run_thread, threads[i]) != 0)
            give_up("threads", "cannot start");
    }
    obey(&worker);
    worker.is_resting = true;
    for (unsigned i = 0; i < worker.options.threads; i++) {
        pthread_join(ids[i], NULL);
        free(threads[i]);
    }
    tears_client_free(worker.client);
    return 0;
}
