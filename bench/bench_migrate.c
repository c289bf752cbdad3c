/*
 * bench_migrate.c -- what a start costs when everything was applied long ago: status of 1,000 versions.
 *
 * The floor is the two tables, selected with the bare client of the same session.
 */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tears/migrate.h>
#include <unistd.h>

enum { VERSIONS = 1000, SAMPLES = 20 };

struct migrate_case {
    tears_client *client;
    tears_session *session;
    tears_migrator *migrator;
    char path[64];
};

static void must(const struct migrate_case *one, tears_status status, const char *what)
{
    if (status == TEARS_OK)
        return;
    fprintf(stderr, "bench: %s: %s\n", what,
            one->migrator != NULL ? tears_migrator_error(one->migrator)->message : "");
    exit(2);
}

static void select_all(struct migrate_case *one, struct tears_str sql)
{
    const struct tears_field *fields;
    tears_cursor *cursor = NULL;
    size_t count;
    bench_check(tears_query(one->session, sql, NULL, 0, &cursor), one->session, "select");
    tears_status status = tears_cursor_next(cursor, &fields, &count);
    while (status == TEARS_OK)
        status = tears_cursor_next(cursor, &fields, &count);
    tears_cursor_free(cursor);
    tears_session_reset(one->session);
}

static double two_selects(void *context)
{
    struct migrate_case *one = context;
    double times[SAMPLES];
    for (int i = 0; i < SAMPLES; i++) {
        const uint64_t start = bench_now_ns();
        select_all(one,
                   TEARS_STR("SELECT version, package, description, date_applied"
                             " FROM _schema_migrations ORDER BY date_applied, version, package"));
        select_all(one, TEARS_STR("SELECT * FROM _tears_migrations"));
        times[i] = (double)(bench_now_ns() - start) / 1000;
    }
    return bench_median(times, SAMPLES);
}

static double status_of_all(void *context)
{
    struct migrate_case *one = context;
    const struct tears_migration_status *statuses;
    size_t count;
    double times[SAMPLES];
    for (int i = 0; i < SAMPLES; i++) {
        const uint64_t start = bench_now_ns();
        must(one, tears_migrate_status(one->migrator, &statuses, &count), "status");
        times[i] = (double)(bench_now_ns() - start) / 1000;
        if (count != VERSIONS)
            exit(2);
    }
    return bench_median(times, SAMPLES);
}

/* What a process does when it starts and nothing is pending. */
static double up_with_nothing(void *context)
{
    struct migrate_case *one = context;
    double times[SAMPLES];
    for (int i = 0; i < SAMPLES; i++) {
        const uint64_t start = bench_now_ns();
        must(one, tears_migrate_up(one->migrator, NULL, NULL), "up");
        times[i] = (double)(bench_now_ns() - start) / 1000;
    }
    return bench_median(times, SAMPLES);
}

static void apply_all(struct migrate_case *one)
{
    struct tears_migration_def *versions = calloc(VERSIONS, sizeof *versions);
    struct tears_package_def package = TEARS_PACKAGE_DEF_INIT;
    if (versions == NULL)
        exit(2);
    for (int i = 0; i < VERSIONS; i++) {
        versions[i].version = i + 1;
        versions[i].description = TEARS_STR("a version of the benchmark");
        versions[i].up_sql = TEARS_STR("SELECT 1");
    }
    package.name = TEARS_STR("bench");
    package.scope = TEARS_SCOPE_PLATFORM;
    package.migrations = versions;
    package.migration_count = VERSIONS;
    must(one, tears_migrator_add(one->migrator, &package), "add");
    must(one, tears_migrate_up(one->migrator, NULL, NULL), "up");
    free(versions);
}

static void open_case(struct migrate_case *one, const char *url)
{
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    struct tears_migrator_options wanted = TEARS_MIGRATOR_OPTIONS_INIT;
    struct tears_error error = {.status = TEARS_OK};
    options.l3_url = tears_str_c(url);
    options.l2_url = TEARS_STR("none");
    options.timeout_ms = 60000;
    bench_check(tears_client_open(&options, &one->client, &error), NULL, "open");
    bench_check(tears_session_new(one->client, NULL, &one->session), NULL, "session");
    must(one, tears_migrator_open(one->client, &wanted, &one->migrator, &error), "migrator");
    apply_all(one);
}

static void close_case(struct migrate_case *one)
{
    tears_migrator_free(one->migrator);
    tears_session_free(one->session);
    tears_client_free(one->client);
}

static void run_on(const char *const names[2], const char *url)
{
    struct migrate_case one = {0};
    if (!bench_wants(names[0]) && !bench_wants(names[1]))
        return;
    open_case(&one, url);
    const struct bench_case status = {.name = names[0],
                                      .floor_name = "both tables, selected",
                                      .unit = "us p50",
                                      .limit = 3,
                                      .floor = two_selects,
                                      .ours = status_of_all,
                                      .context = &one};
    const struct bench_case up = {.name = names[1],
                                  .floor_name = "both tables, selected",
                                  .unit = "us p50",
                                  .limit = 3,
                                  .floor = two_selects,
                                  .ours = up_with_nothing,
                                  .context = &one};
    bench_run(&status);
    bench_run(&up);
    close_case(&one);
}

void bench_migrate(const char *pg_url)
{
    char path[64];
    char url[96];
    snprintf(path, sizeof path, "/tmp/tears-bench-%d.db", (int)getpid());
    snprintf(url, sizeof url, "sqlite:%s", path);
    static const char *const lite[] = {"migrate SQLite: status of 1000",
                                       "migrate SQLite: up, all applied"};
    static const char *const postgres[] = {"migrate PostgreSQL: status of 1000",
                                           "migrate PostgreSQL: up, all applied"};
    run_on(lite, url);
    static const char *const ends[] = {"", "-wal", "-shm", ".migrate-lock"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        snprintf(url, sizeof url, "%s%s", path, ends[i]);
        (void)unlink(url);
    }
    if (pg_url != NULL)
        run_on(postgres, pg_url);
}
