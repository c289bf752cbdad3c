/*
 * bench_l3_lite.c -- one row read from and written to the embedded store, against raw prepared statements.
 */
#include "rows.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 10000, READS = 20000, WRITES = 300 };

struct lite_case {
    tears_client *client;
    tears_session *session;
    tears_collection *collection;
    sqlite3 *db;
    sqlite3_stmt *select;
    sqlite3_stmt *update;
    uint64_t state;
};

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL) != SQLITE_OK) {
        fprintf(stderr, "bench: %s\n", sqlite3_errmsg(db));
        exit(2);
    }
    return stmt;
}

static void bind_id(sqlite3_stmt *stmt, int at, uint64_t number)
{
    uint8_t id[16];
    char text[37];
    bench_uuid(number, id);
    tears_uuid_text(id, text);
    sqlite3_bind_text(stmt, at, text, 36, SQLITE_TRANSIENT);
}

static volatile int64_t sink;

static void read_row(sqlite3_stmt *stmt)
{
    for (int i = 0; i < 4; i++)
        sink += sqlite3_column_bytes(stmt, i) + sqlite3_column_text(stmt, i)[0];
    sink += sqlite3_column_int64(stmt, 4) + sqlite3_column_int64(stmt, 5);
}

static double raw_fetch(void *context)
{
    struct lite_case *one = context;
    const uint64_t start = bench_now_ns();
    for (int i = 0; i < READS; i++) {
        bind_id(one->select, 1, bench_random(&one->state) % ROWS);
        if (sqlite3_step(one->select) == SQLITE_ROW)
            read_row(one->select);
        sqlite3_reset(one->select);
    }
    return (double)(bench_now_ns() - start) / READS;
}

static double our_fetch(void *context)
{
    struct lite_case *one = context;
    const uint64_t start = bench_now_ns();
    for (int i = 0; i < READS; i++)
        bench_get(one->session, one->collection, bench_random(&one->state) % ROWS, TEARS_TIER_L3);
    return (double)(bench_now_ns() - start) / READS;
}

static double raw_save(void *context)
{
    struct lite_case *one = context;
    double times[WRITES];
    for (int i = 0; i < WRITES; i++) {
        const uint64_t start = bench_now_ns();
        bind_id(one->update, 1, bench_random(&one->state) % ROWS);
        sqlite3_bind_int64(one->update, 2, (sqlite3_int64)one->state >> 1);
        if (sqlite3_step(one->update) == SQLITE_ROW)
            read_row(one->update);
        sqlite3_reset(one->update);
        times[i] = (double)(bench_now_ns() - start) / 1000;
    }
    return bench_median(times, WRITES);
}

static double our_save(void *context)
{
    struct lite_case *one = context;
    double times[WRITES];
    for (int i = 0; i < WRITES; i++) {
        uint8_t id[16];
        bench_uuid(bench_random(&one->state) % ROWS, id);
        const struct tears_value key = tears_uuid(id);
        tears_entity *entity;
        bench_check(tears_get(one->session, one->collection, &key, 1, &entity), one->session,
                    "get");
        const struct tears_field n =
            tears_field_of(TEARS_STR("n"), tears_int((int64_t)(one->state >> 1)));
        const uint64_t start = bench_now_ns();
        bench_check(tears_update(one->session, entity, &n, 1, NULL), one->session, "update");
        times[i] = (double)(bench_now_ns() - start) / 1000;
        tears_session_reset(one->session);
    }
    return bench_median(times, WRITES);
}

void bench_l3_lite(void)
{
    if (!bench_wants("SQLite"))
        return;
    struct lite_case one = {.state = 7};
    struct bench_lite lite = {.rows = ROWS, .l1 = "none", .l2_url = "none"};
    one.client = bench_lite_client(&lite);
    bench_check(tears_session_new(one.client, NULL, &one.session), NULL, "session");
    bench_check(tears_collection_find(one.client, TEARS_STR("bench"), &one.collection), NULL,
                "find");
    if (sqlite3_open(lite.path, &one.db) != SQLITE_OK)
        exit(2);
    sqlite3_exec(one.db,
                 "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; "
                 "PRAGMA busy_timeout=5000; PRAGMA cache_size=-8192" /* as the library has it */,
                 NULL, NULL, NULL);
    one.select =
        prepare(one.db, "SELECT id, owner, name, body, n, row_version FROM bench WHERE id = ?1");
    one.update = prepare(one.db, "UPDATE bench SET n = ?2, row_version = row_version + 1 "
                                 "WHERE id = ?1 RETURNING id, owner, name, body, n, row_version");
    bench_run(&(struct bench_case){"SQLite fetch", "raw prepared select", "ns", false, 1.25,
                                   raw_fetch, our_fetch, &one});
    bench_run(&(struct bench_case){"SQLite save", "raw prepared update, FULL", "us p50", false,
                                   1.25, raw_save, our_save, &one});
    sqlite3_finalize(one.select);
    sqlite3_finalize(one.update);
    sqlite3_close(one.db);
    tears_session_free(one.session);
    tears_client_free(one.client);
}
