/*
 * demo_load.c -- a load as a service makes it: few rows are asked for often, most rows rarely, some
 * are changed.
 *
 * Owns:     the threads of the load and their random numbers.
 * Must not know: which tier holds what; it only notes which one answered.
 * Threads:  starts `threads` of them, each with a session of its own, and waits for them.
 * Fails:    when a thread cannot start; single calls that fail are counted.
 * Begin at: cli_load_run().
 *
 * Rows are chosen by Zipf's law: the row of rank r is asked for 1/r as often as the first.  Which
 * row has which rank follows from the seed, and is the same in every thread and process, so that
 * they meet at the same rows.
 */
#include "demo.h"

#include <pthread.h>
#include <stdlib.h>

enum { RETRIES_MAX = 3 };

const struct cli_option cli_demo_options[] = {
    {"processes", "N", "processes that share the load (else 1)"},
    {"threads", "N", "threads of each process (else 4)"},
    {"seconds", "N", "how long the load runs (else 3)"},
    {"writes", "PERCENT", "calls that change a row (else 2)"},
    {"seed", "N", "of the random choices (else 1)"},
    {"packages", "FILE", "the package list (else /var/lib/dpkg/status)"},
    {NULL, NULL, NULL},
};

int cli_load_options(const struct cli_args *args, struct cli_load *load)
{
    CLI_TRY(cli_option_number(args, "threads", (struct cli_range){1, 64, 4}, &load->threads));
    CLI_TRY(cli_option_number(args, "seconds", (struct cli_range){1, 600, 3}, &load->seconds));
    CLI_TRY(cli_option_number(args, "writes", (struct cli_range){0, 100, 2}, &load->write_percent));
    return cli_option_number(args, "seed", (struct cli_range){0, INT64_MAX, 1}, &load->seed);
}

const char *cli_packages_path(const struct cli_args *args)
{
    const char *path = cli_option(args, "packages");
    return path != NULL ? path : "/var/lib/dpkg/status";
}

/* ---- choosing ---- */

/* SplitMix64: one word of state, good enough to choose rows. */
static uint64_t next_random(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    uint64_t z = *state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* What all threads choose by: ranks[i] is a row, reached[i] the share of calls to ranks 0..i. */
struct popularity {
    size_t *ranks;
    double *reached;
    size_t count;
};

static void popularity_init(struct popularity *popularity, size_t count, uint64_t seed)
{
    uint64_t state = seed;
    double total = 0;

    popularity->count = count;
    popularity->ranks = cli_alloc(count, sizeof *popularity->ranks);
    popularity->reached = cli_alloc(count, sizeof *popularity->reached);
    for (size_t i = 0; i < count; i++) {
        const size_t other =
            (size_t)(next_random(&state) % (i + 1)); /* Fisher and Yates's shuffle */
        popularity->ranks[i] = popularity->ranks[other];
        popularity->ranks[other] = i;
        total += 1.0 / (double)(i + 1);
        popularity->reached[i] = total;
    }
    for (size_t i = 0; i < count; i++)
        popularity->reached[i] /= total;
}

static void popularity_done(struct popularity *popularity)
{
    free(popularity->ranks);
    free(popularity->reached);
}

static size_t choose(const struct popularity *popularity, uint64_t *state)
{
    const double wanted = (double)(next_random(state) >> 11) * 0x1p-53;
    size_t low = 0;
    size_t high = popularity->count - 1;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (popularity->reached[middle] < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return popularity->ranks[low];
}

/* ---- one thread ---- */

struct worker {
    const struct cli_load *load;
    const struct popularity *popularity;
    tears_collection *table;
    tears_session *session;
    uint64_t random;
    uint64_t until_ns;
    struct cli_figures figures;
    pthread_t thread;
    bool started;
};

static tears_entity *read_row(struct worker *worker, const char *name)
{
    const struct tears_value key = tears_text(tears_str_c(name));
    tears_entity *row = NULL;
    const uint64_t started = cli_now_ns();
    const tears_status status = tears_get(worker->session, worker->table, &key, 1, &row);
    const uint64_t took = cli_now_ns() - started;
    const uint32_t tier = tears_session_tier(worker->session);

    if (status == TEARS_OK && tier < CLI_COUNT(worker->figures.reads))
        cli_histogram_add(&worker->figures.reads[tier], took);
    worker->figures.failures += status != TEARS_OK && status != TEARS_NOT_FOUND;
    return status == TEARS_OK ? row : NULL;
}

/* A vote for the package: read, add one, write; on a conflict again with the row that won. */
static void write_row(struct worker *worker, tears_entity *row)
{
    for (int i = 0; row != NULL && i <= RETRIES_MAX; i++) {
        struct tears_value votes = tears_null();
        if (tears_entity_get(row, TEARS_STR("votes"), &votes) != TEARS_OK)
            return;
        const struct tears_field change =
            tears_field_of(TEARS_STR("votes"), tears_int(votes.as.integer + 1));
        const uint64_t started = cli_now_ns();
        const tears_status status = tears_update(worker->session, row, &change, 1, &row);
        const uint64_t took = cli_now_ns() - started;
        if (status == TEARS_OK)
            cli_histogram_add(&worker->figures.writes, took);
        worker->figures.conflicts += status == TEARS_CONFLICT;
        worker->figures.failures += status != TEARS_OK && status != TEARS_CONFLICT;
        if (status != TEARS_CONFLICT)
            return;
    }
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    const struct cli_packages *packages = worker->load->packages;

    while (cli_now_ns() < worker->until_ns) {
        const size_t index = choose(worker->popularity, &worker->random);
        const bool writes = next_random(&worker->random) % 100 < worker->load->write_percent;
        tears_entity *row = read_row(worker, packages->packages[index].name);
        if (writes)
            write_row(worker, row);
        tears_session_reset(worker->session);
    }
    return NULL;
}

/* ---- all threads ---- */

static int start_worker(const struct cli_args *args, struct worker *worker)
{
    const tears_status status = tears_session_new(worker->load->client, NULL, &worker->session);

    if (status != TEARS_OK)
        return cli_fail(args, cli_exit_of(status), tears_status_name(status),
                        "cannot start a session: %s", tears_status_text(status));
    const int failed = pthread_create(&worker->thread, NULL, work, worker);
    if (failed != 0)
        return cli_fail(args, CLI_EXIT_BROKEN, "THREAD", "cannot start a thread: %s",
                        strerror(failed));
    worker->started = true;
    return CLI_EXIT_OK;
}

static void end_worker(struct worker *worker, struct cli_figures *figures)
{
    if (worker->started)
        (void)pthread_join(worker->thread, NULL); /* fails only for threads that are none */
    tears_session_free(worker->session);
    cli_figures_merge(figures, &worker->figures);
}

static void take_stats(tears_client *client, struct cli_figures *figures)
{
    struct tears_client_stats stats = {.size = sizeof stats};
    tears_client_stats(client, &stats);
    figures->evictions += stats.l1_evictions;
    figures->l1_rows += stats.l1_rows;
    figures->l1_bytes = stats.l1_bytes;
    figures->l1_bytes_max = stats.l1_bytes_max;
    figures->processes++;
}

int cli_load_run(const struct cli_args *args, const struct cli_load *load,
                 struct cli_figures *figures)
{
    struct popularity popularity = {NULL, NULL, 0};
    tears_collection *table = NULL;
    int result = CLI_EXIT_OK;

    if (tears_collection_find(load->client, TEARS_STR("packages"), &table) != TEARS_OK)
        return cli_fail(args, CLI_EXIT_NO, "NOT_FOUND", "there is no table 'packages'");
    popularity_init(&popularity, load->packages->count, load->seed);
    struct worker *workers = cli_alloc(load->threads, sizeof *workers);
    const uint64_t started = cli_now_ns();
    for (size_t i = 0; i < load->threads && result == CLI_EXIT_OK; i++) {
        workers[i].load = load;
        workers[i].popularity = &popularity;
        workers[i].table = table;
        workers[i].random = load->seed * 1000003 + (load->process << 32) + (uint64_t)i + 1;
        workers[i].until_ns = started + load->seconds * 1000000000u;
        result = start_worker(args, &workers[i]);
    }
    for (size_t i = 0; i < load->threads; i++)
        end_worker(&workers[i], figures);
    figures->seconds = (double)(cli_now_ns() - started) * 1e-9;
    take_stats(load->client, figures);
    free(workers);
    popularity_done(&popularity);
    return result;
}
