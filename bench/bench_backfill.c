/*
 * bench_backfill.c -- a migration's backfill of 1,000,000 rows against plain UPDATEs in the same batches.
 *
 * Both change the same column of the same table, each batch a transaction; the floor knows the bounds of its batches
 * beforehand and notes nowhere how far it is.
 */
#include "harness.h"
#include "raw_pg.h"

#include <tears/migrate_helpers.h>

#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 1000000, BATCH_ROWS = 5000 };

struct backfill_case {
    const char *url;
    PGconn *conn;
    int64_t version; /* of the migration: each run is a new one */
};

/* The same pages for everybody: an updated table is twice as large. */
static void fresh_table(struct backfill_case *one)
{
    char sql[256];
    raw_pg_exec(one->conn, "DROP TABLE IF EXISTS bench_backfill");
    raw_pg_exec(one->conn,
                "CREATE TABLE bench_backfill (id BIGINT PRIMARY KEY, n INTEGER NOT NULL, "
                "body TEXT NOT NULL)");
    (void)snprintf(
        sql, sizeof sql,
        "INSERT INTO bench_backfill SELECT x, 0, repeat('x', 60) FROM generate_series(1, %d) x",
        (int)ROWS);
    raw_pg_exec(one->conn, sql);
    raw_pg_exec(one->conn, "VACUUM ANALYZE bench_backfill");
    raw_pg_exec(one->conn, "CHECKPOINT");
}

static double plain_updates(void *context)
{
    struct backfill_case *one = context;
    fresh_table(one);
    const uint64_t start = bench_now_ns();
    for (int at = 0; at < ROWS; at += BATCH_ROWS) {
        char sql[128];
        (void)snprintf(sql, sizeof sql,
                       "UPDATE bench_backfill SET n = n + 1 WHERE id > %d AND id <= %d", at,
                       at + BATCH_ROWS);
        raw_pg_exec(one->conn, sql);
    }
    return (double)(bench_now_ns() - start) / 1e9;
}

static tears_status fill(void *owner, tears_migration *migration)
{
    struct tears_backfill backfill = TEARS_BACKFILL_INIT;
    (void)owner;
    backfill.table = TEARS_STR("bench_backfill");
    backfill.set = TEARS_STR("n = n + 1");
    backfill.batch_rows = BATCH_ROWS;
    return tears_migration_backfill(migration, &backfill, NULL);
}

static void check(tears_status status, const struct tears_error *error)
{
    if (status == TEARS_OK)
        return;
    fprintf(stderr, "backfill: %s\n", error->message);
    exit(1);
}

static double our_backfill(void *context)
{
    struct backfill_case *one = context;
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    struct tears_package_def package = TEARS_PACKAGE_DEF_INIT;
    struct tears_migration_def def = {
        .version = ++one->version, .up = fill, .flags = TEARS_MIGRATION_NO_TRANSACTION};
    struct tears_error error = {.status = TEARS_OK};
    tears_client *client = NULL;
    tears_migrator *migrator = NULL;
    fresh_table(one);
    raw_pg_exec(one->conn, "DROP TABLE IF EXISTS _schema_migrations, _tears_migrations");
    options.l3_url = tears_str_c(one->url);
    options.l2_url = TEARS_STR("none");
    check(tears_client_open(&options, &client, &error), &error);
    check(tears_migrator_open(client, NULL, &migrator, &error), &error);
    package.name = TEARS_STR("bench");
    package.scope = TEARS_SCOPE_PLATFORM;
    package.migrations = &def;
    package.migration_count = 1;
    check(tears_migrator_add(migrator, &package), tears_migrator_error(migrator));
    const uint64_t start = bench_now_ns();
    check(tears_migrate_up(migrator, NULL, NULL), tears_migrator_error(migrator));
    const double seconds = (double)(bench_now_ns() - start) / 1e9;
    tears_migrator_free(migrator);
    tears_client_free(client);
    return seconds;
}

void bench_backfill(const char *pg_url)
{
    struct backfill_case one = {.url = pg_url};
    if (!bench_wants("migrations: backfill of 1,000,000 rows"))
        return;
    PGconn *setup = PQconnectdb(pg_url);
    raw_pg_exec(setup, "SET client_min_messages = warning");
    one.conn = setup;
    bench_run(&(struct bench_case){"migrations: backfill of 1,000,000 rows",
                                   "plain UPDATEs in the same batches", "s", false, 1.2,
                                   plain_updates, our_backfill, &one});
    raw_pg_exec(setup,
                "DROP TABLE IF EXISTS bench_backfill, _schema_migrations, _tears_migrations");
    PQfinish(setup);
}
