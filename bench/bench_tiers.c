/*
 * bench_tiers.c -- paths through L2 and L3 together: a cold read and a save.
 */
#include "raw_kv.h"
#include "raw_pg.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ROWS = 20000, ROUND = 800 };
enum { SAVED_FIRST = ROWS - ROUND }; /* the rows that the library saves; raw libpq saves others */

struct tiers_case {
    struct raw_kv kv;
    PGconn *conn;
    tears_client *client;
    tears_session *session;
    tears_collection *collection;
    uint64_t cold; /* number of the next row that no cache has seen */
    uint64_t state;
    char value[512];
    int value_len;
};

/* ---- absent in both caches, found in L3 ------------------------------------------------------- */

static double raw_cold(void *context)
{
    struct tiers_case *one = context;
    double times[ROUND];
    for (int i = 0; i < ROUND; i++) {
        char key[64];
        kvEntry *entry = NULL;
        const uint64_t number = bench_random(&one->state) % ROWS;
        const uint64_t start = bench_now_ns();
        raw_kv_key(number + 1000000000, key, sizeof key); /* nothing is under this key */
        if (kvStore_Get(&entry, one->kv.kv, key) == NATS_OK)
            exit(2);
        raw_pg_fetch(one->conn, number);
        times[i] = (double)(bench_now_ns() - start) / 1000;
    }
    return bench_median(times, ROUND);
}

static double our_cold(void *context)
{
    struct tiers_case *one = context;
    double times[ROUND];
    for (int i = 0; i < ROUND; i++) {
        uint8_t id[16];
        bench_uuid(one->cold++ % SAVED_FIRST, id);
        const struct tears_value key = tears_uuid(id);
        tears_entity *entity;
        const uint64_t start = bench_now_ns();
        bench_check(tears_get(one->session, one->collection, &key, 1, &entity), one->session,
                    "get");
        times[i] = (double)(bench_now_ns() - start) / 1000;
        if (tears_entity_tier(entity) != TEARS_TIER_L3)
            exit(2); /* this case is about rows that no cache has */
        tears_session_reset(one->session);
    }
    return bench_median(times, ROUND);
}

/* ---- save ---------------------------------------------------------------------------------------- */

static double raw_save(void *context)
{
    struct tiers_case *one = context;
    double times[ROUND];
    for (int i = 0; i < ROUND; i++) {
        struct bench_row row;
        const uint64_t number = bench_random(&one->state) % SAVED_FIRST;
        bench_row_of(number, &row);
        row.n = (int64_t)(one->state >> 1);
        const uint64_t start = bench_now_ns();
        raw_pg_upsert(one->conn, &row);
        raw_kv_put(&one->kv, number, one->value, one->value_len);
        times[i] = (double)(bench_now_ns() - start) / 1000;
    }
    return bench_median(times, ROUND);
}

/* Reads the rows that are then saved; what that has started in the background is over soon. */
static void read_for_save(struct tiers_case *one, tears_entity **entities)
{
    struct tears_value keys[ROUND];
    for (uint64_t i = 0; i < ROUND; i++) {
        uint8_t id[16];
        bench_uuid(SAVED_FIRST + i, id);
        keys[i] = tears_uuid(id);
    }
    bench_check(tears_get_many(one->session, one->collection, keys, ROUND, entities), one->session,
                "get_many");
    usleep(20000);
}

static double our_save(void *context)
{
    struct tiers_case *one = context;
    double times[ROUND];
    tears_entity *entities[ROUND];
    read_for_save(one, entities);
    for (int i = 0; i < ROUND; i++) {
        const struct tears_field n =
            tears_field_of(TEARS_STR("n"), tears_int((int64_t)(bench_random(&one->state) >> 1)));
        const uint64_t start = bench_now_ns();
        bench_check(tears_update(one->session, entities[i], &n, 1, NULL), one->session, "update");
        times[i] = (double)(bench_now_ns() - start) / 1000;
    }
    tears_session_reset(one->session);
    return bench_median(times, ROUND);
}

/* ---- all ----------------------------------------------------------------------------------------- */

static void open_client(struct tiers_case *one, const char *pg_url, const char *nats_url)
{
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    struct tears_error error;
    options.l3_url = tears_str_c(pg_url);
    options.l2_url = tears_str_c(nats_url);
    options.namespace_name = TEARS_STR("bench");
    options.l1 = TEARS_STR("memory:64MiB");
    if (tears_client_open(&options, &one->client, &error) != TEARS_OK) {
        fprintf(stderr, "bench: %s\n", error.message);
        exit(2);
    }
    bench_check(tears_session_new(one->client, NULL, &one->session), NULL, "session");
    bench_check(tears_collection_find(one->client, TEARS_STR("bench"), &one->collection), NULL,
                "find");
}

/* Rows straight into the database, so that no cache has them. */
static void fill(struct tiers_case *one)
{
    struct bench_row *rows = calloc(ROWS, sizeof *rows);
    for (uint64_t i = 0; i < ROWS; i++)
        bench_row_of(i, &rows[i]);
    raw_pg_upsert_many(one->conn, rows, ROWS, 1000);
    raw_pg_exec(one->conn, "VACUUM ANALYZE bench");
    free(rows);
}

static void make_value(struct tiers_case *one)
{
    struct bench_row row;
    bench_row_of(1, &row);
    one->value_len = snprintf(one->value, sizeof one->value,
                              "{\"id\": \"%036d\", \"owner\": \"%036d\", \"name\": \"%.80s\", "
                              "\"body\": \"%.172s\", \"n\": 123456789, \"row_version\": 17}",
                              1, 2, row.name, row.body);
}

void bench_tiers(const char *pg_url, const char *nats_url)
{
    static const char *const cold = "absent in L2, found in L3";
    static const char *const save = "save, PostgreSQL + L2";
    if (!bench_wants(cold) && !bench_wants(save))
        return;
    struct tiers_case one = {.state = 11};
    PGconn *setup = PQconnectdb(pg_url);
    raw_pg_exec(setup, "DROP TABLE IF EXISTS bench");
    raw_pg_exec(setup, BENCH_TABLE_PG);
    PQfinish(setup);
    one.conn = raw_pg_open(pg_url);
    fill(&one);
    make_value(&one);
    open_client(&one, pg_url, nats_url);
    raw_kv_open(&one.kv, nats_url);
    js_PurgeStream(one.kv.js, "KV_bench-collections", NULL, NULL);
    raw_pg_share_core(one.conn, true);
    bench_run(&(struct bench_case){cold, "raw KV get + raw select", "us p50", false, 1.2, raw_cold,
                                   our_cold, &one});
    bench_run(&(struct bench_case){save, "raw upsert + raw KV put", "us p50", false, 1.25, raw_save,
                                   our_save, &one});
    raw_kv_close(&one.kv);
    PQfinish(one.conn);
    tears_session_free(one.session);
    tears_client_free(one.client);
}
