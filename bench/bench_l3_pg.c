/*
 * bench_l3_pg.c -- rows read from and written to PostgreSQL, with the caches off, against raw libpq.
 */
#include "raw_pg.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 100000, READS = 2000, MANY = 1000, MANY_ROUNDS = 20, INSERTS = 10000 };
enum { THREADS = 32, CONNECTIONS = 4, READS_PER_THREAD = 400 };

struct pg_case {
    const char *url;
    PGconn *conn;
    tears_client *client;
    tears_session *session;
    tears_collection *collection;
    uint64_t state;
    uint64_t next; /* number of the next row that does not exist */
    struct bench_row *inserts;
    PGconn *shared[CONNECTIONS];
    pthread_mutex_t shared_mutex;
    pthread_cond_t shared_free;
    bool shared_busy[CONNECTIONS];
};

/* ---- one row ------------------------------------------------------------------------------- */

static double raw_fetch(void *context)
{
    struct pg_case *one = context;
    double times[READS];
    for (int i = 0; i < READS; i++) {
        const uint64_t start = bench_now_ns();
        raw_pg_fetch(one->conn, bench_random(&one->state) % ROWS);
        times[i] = (double)(bench_now_ns() - start) / 1000;
    }
    return bench_median(times, READS);
}

static double our_fetch(void *context)
{
    struct pg_case *one = context;
    double times[READS];
    for (int i = 0; i < READS; i++) {
        const uint64_t start = bench_now_ns();
        bench_get(one->session, one->collection, bench_random(&one->state) % ROWS, TEARS_TIER_L3);
        times[i] = (double)(bench_now_ns() - start) / 1000;
    }
    return bench_median(times, READS);
}

/* ---- many rows ------------------------------------------------------------------------------ */

static double raw_many(void *context)
{
    struct pg_case *one = context;
    uint64_t numbers[MANY];
    const uint64_t start = bench_now_ns();
    for (int i = 0; i < MANY_ROUNDS; i++) {
        bench_choose(&one->state, ROWS, numbers, MANY);
        raw_pg_fetch_many(one->conn, numbers, MANY);
    }
    return (double)MANY * MANY_ROUNDS * 1e9 / (double)(bench_now_ns() - start);
}

static double our_many(void *context)
{
    struct pg_case *one = context;
    uint64_t numbers[MANY];
    const uint64_t start = bench_now_ns();
    for (int i = 0; i < MANY_ROUNDS; i++) {
        bench_choose(&one->state, ROWS, numbers, MANY);
        bench_get_many(one->session, one->collection, numbers, MANY);
    }
    return (double)MANY * MANY_ROUNDS * 1e9 / (double)(bench_now_ns() - start);
}

/* ---- many threads ---------------------------------------------------------------------------- */

static int take_connection(struct pg_case *one)
{
    pthread_mutex_lock(&one->shared_mutex);
    for (;;) {
        for (int i = 0; i < CONNECTIONS; i++) {
            if (one->shared_busy[i])
                continue;
            one->shared_busy[i] = true;
            pthread_mutex_unlock(&one->shared_mutex);
            return i;
        }
        pthread_cond_wait(&one->shared_free, &one->shared_mutex);
    }
}

static void give_connection(struct pg_case *one, int at)
{
    pthread_mutex_lock(&one->shared_mutex);
    one->shared_busy[at] = false;
    pthread_cond_signal(&one->shared_free);
    pthread_mutex_unlock(&one->shared_mutex);
}

static void *raw_thread(void *context)
{
    struct pg_case *one = context;
    uint64_t state = (uint64_t)(uintptr_t)&state;
    for (int i = 0; i < READS_PER_THREAD; i++) {
        const int at = take_connection(one);
        raw_pg_fetch(one->shared[at], bench_random(&state) % ROWS);
        give_connection(one, at);
    }
    return NULL;
}

static void *our_thread(void *context)
{
    struct pg_case *one = context;
    uint64_t state = (uint64_t)(uintptr_t)&state;
    tears_session *session = NULL;
    bench_check(tears_session_new(one->client, NULL, &session), NULL, "session");
    for (int i = 0; i < READS_PER_THREAD; i++)
        bench_get(session, one->collection, bench_random(&state) % ROWS, TEARS_TIER_L3);
    tears_session_free(session);
    return NULL;
}

static double raw_threads(void *context)
{
    return bench_rate_of_threads(raw_thread, context, THREADS, READS_PER_THREAD);
}

static double our_threads(void *context)
{
    return bench_rate_of_threads(our_thread, context, THREADS, READS_PER_THREAD);
}

/* ---- inserts ----------------------------------------------------------------------------------- */

static void new_rows(struct pg_case *one)
{
    for (uint64_t i = 0; i < INSERTS; i++)
        bench_row_of(one->next + i, &one->inserts[i]);
    one->next += INSERTS;
}

static double raw_insert(void *context)
{
    struct pg_case *one = context;
    new_rows(one);
    const uint64_t start = bench_now_ns();
    raw_pg_upsert_many(one->conn, one->inserts, INSERTS, 1000);
    return (double)INSERTS * 1e9 / (double)(bench_now_ns() - start);
}

static double our_insert(void *context)
{
    struct pg_case *one = context;
    new_rows(one);
    struct tears_field *fields =
        tears_session_alloc(one->session, INSERTS * BENCH_FIELDS * sizeof *fields);
    struct tears_row_input *rows = tears_session_alloc(one->session, INSERTS * sizeof *rows);
    const uint64_t start = bench_now_ns();
    for (int i = 0; i < INSERTS; i++) {
        bench_fields_of(&one->inserts[i], fields + (size_t)i * BENCH_FIELDS);
        rows[i].fields = fields + (size_t)i * BENCH_FIELDS;
        rows[i].field_count = BENCH_FIELDS;
        rows[i].base = NULL;
    }
    bench_check(tears_insert_many(one->session, one->collection, rows, INSERTS, NULL), one->session,
                "insert_many");
    const double rate = (double)INSERTS * 1e9 / (double)(bench_now_ns() - start);
    tears_session_reset(one->session);
    return rate;
}

/* ---- all ----------------------------------------------------------------------------------------- */

static void open_client(struct pg_case *one)
{
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    struct tears_error error;
    options.l3_url = tears_str_c(one->url);
    options.l2_url = TEARS_STR("none");
    options.l1 = TEARS_STR("none");
    options.l3_pool_min = CONNECTIONS;
    options.l3_pool_max = CONNECTIONS;
    if (tears_client_open(&options, &one->client, &error) != TEARS_OK) {
        fprintf(stderr, "bench: %s\n", error.message);
        exit(2);
    }
    bench_check(tears_session_new(one->client, NULL, &one->session), NULL, "session");
    bench_check(tears_collection_find(one->client, TEARS_STR("bench"), &one->collection), NULL,
                "find");
}

void bench_l3_pg(const char *pg_url)
{
    if (!bench_wants("PostgreSQL"))
        return;
    struct pg_case one = {.url = pg_url, .state = 3, .next = ROWS};
    PGconn *setup = PQconnectdb(pg_url);
    raw_pg_exec(setup, "DROP TABLE IF EXISTS bench");
    raw_pg_exec(setup, BENCH_TABLE_PG);
    PQfinish(setup);
    one.inserts = calloc(INSERTS, sizeof *one.inserts);
    one.conn = raw_pg_open(pg_url);
    for (int i = 0; i < CONNECTIONS; i++)
        one.shared[i] = raw_pg_open(pg_url);
    pthread_mutex_init(&one.shared_mutex, NULL);
    pthread_cond_init(&one.shared_free, NULL);
    open_client(&one);
    bench_insert(one.session, one.collection, 0, ROWS);
    raw_pg_exec(one.conn, "VACUUM ANALYZE bench");
    raw_pg_share_core(one.conn, true);
    bench_run(&(struct bench_case){"PostgreSQL fetch, one key", "raw prepared select", "us p50",
                                   false, 1.15, raw_fetch, our_fetch, &one});
    raw_pg_share_core(one.conn, false);
    bench_run(&(struct bench_case){"PostgreSQL get_many of 1,000", "raw = ANY($1)", "rows/s", true,
                                   0.7, raw_many, our_many, &one});
    bench_run(&(struct bench_case){"PostgreSQL fetches, 32 threads", "raw, 4 shared connections",
                                   "rows/s", true, 1.5, raw_threads, our_threads, &one});
    bench_run(&(struct bench_case){"PostgreSQL insert_many of 10,000", "raw unnest upsert",
                                   "rows/s", true, 0.6, raw_insert, our_insert, &one});
    PQfinish(one.conn);
    for (int i = 0; i < CONNECTIONS; i++)
        PQfinish(one.shared[i]);
    free(one.inserts);
    tears_session_free(one.session);
    tears_client_free(one.client);
}
