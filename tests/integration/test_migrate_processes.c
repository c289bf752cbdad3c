/*
 * test_migrate_processes.c -- twenty processes start at once and all migrate the same schema, again and again.
 *
 * One applies, all others wait and see it done; nothing runs twice, and nobody fails.
 */
#include "support/migrate_place.h"
#include "support/pg_server.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
// clang-format on

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROCESSES = 20, ROUNDS = 50, VERSIONS = 3 };

struct shared {
    atomic_uint applied;
    atomic_uint appliers;
    atomic_uint failures;
};

enum kind { SQLITE, POSTGRES, ROW_LOCK };

static void add(struct migrate_place *place)
{
    struct tears_migration_def versions[VERSIONS] = {
        migrate_sql(1, "CREATE TABLE log (n INTEGER); INSERT INTO log VALUES (1)", ""),
        migrate_sql(2, "CREATE INDEX log_n ON log (n); INSERT INTO log VALUES (2)", ""),
        migrate_sql(3, "INSERT INTO log VALUES (3); ALTER TABLE log ADD COLUMN x TEXT", "")};
    versions[1].flags = TEARS_MIGRATION_NO_TRANSACTION;
    /* It waits for whoever waits for the migrator with an open statement. */
    if (place->is_postgres)
        versions[1].up_sql =
            TEARS_STR("CREATE INDEX CONCURRENTLY log_n ON log (n); INSERT INTO log VALUES (2)");
    migrate_add(place, "p", versions, VERSIONS);
}

static _Noreturn void contend(struct migrate_place *place, struct shared *shared, int start)
{
    char byte;
    uint64_t applied = 0;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (read(start, &byte, 1) > 0) /* until the parent closes its end */
        ;
    migrate_place_open(place);
    add(place);
    const tears_status status = tears_migrate_up(place->migrator, NULL, &applied);
    if (status != TEARS_OK) {
        fprintf(stderr, "%s: %s\n", tears_status_name(status),
                tears_migrator_error(place->migrator)->message);
        atomic_fetch_add(&shared->failures, 1);
    }
    atomic_fetch_add(&shared->applied, (unsigned)applied);
    atomic_fetch_add(&shared->appliers, applied > 0 ? 1 : 0);
    migrate_place_close(place);
    _exit(0);
}

static void start_all(struct migrate_place *place, struct shared *shared)
{
    pid_t pids[PROCESSES];
    int start[2];
    assert_int_equal(pipe(start), 0);
    for (int i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0) {
            close(start[1]);
            contend(place, shared, start[0]);
        }
    }
    close(start[0]);
    close(start[1]);
    for (int i = 0; i < PROCESSES; i++) {
        int status = 0;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            atomic_fetch_add(&shared->failures, 1);
    }
}

/* PostgreSQL without advisory locks, as older releases of YugabyteDB are.  (What is built in is found by its number, so to
 * replace its text would change nothing.) */
static const char *const no_advisory_sql =
    "ALTER FUNCTION pg_catalog.pg_try_advisory_lock(integer, integer) RENAME TO no_such_lock;"
    "CREATE FUNCTION pg_catalog.pg_try_advisory_lock(integer, integer) RETURNS boolean"
    " LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'advisory locks are not yet implemented'"
    " USING ERRCODE = '0A000'; END$$";

static void empty(struct migrate_place *place)
{
    if (place->is_postgres) {
        test_pg_run(place->url, "SET client_min_messages = warning;"
                                " DROP SCHEMA public CASCADE; CREATE SCHEMA public");
        return;
    }
    temp_folder_remove(&place->folder);
    temp_folder_make(&place->folder);
    (void)snprintf(place->url, sizeof place->url, "sqlite:%s",
                   temp_folder_path(&place->folder, "tears.db"));
}

static void check(struct migrate_place *place, const struct shared *shared)
{
    assert_int_equal(atomic_load(&shared->failures), 0);
    assert_int_equal(atomic_load(&shared->applied), VERSIONS);
    migrate_place_open(place);
    assert_int_equal(migrate_place_number(place, "SELECT count(*) FROM log"), VERSIONS);
    assert_int_equal(migrate_place_number(place, "SELECT count(*) FROM _schema_migrations"),
                     VERSIONS);
    migrate_place_close(place);
}

static void twenty_at_once(void **state)
{
    const enum kind kind = *(const enum kind *)*state;
    struct migrate_place place;
    const int rounds = kind == ROW_LOCK ? ROUNDS / 10 : ROUNDS;
    struct shared *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(shared, MAP_FAILED);
    migrate_place_make(&place, kind != SQLITE);
    migrate_place_close(&place);
    if (kind == ROW_LOCK)
        test_pg_run(place.url, no_advisory_sql);
    for (int i = 0; i < rounds; i++) {
        memset(shared, 0, sizeof *shared);
        empty(&place);
        start_all(&place, shared);
        check(&place, shared);
    }
    migrate_place_open(&place);
    migrate_place_remove(&place);
    munmap(shared, sizeof *shared);
}

int main(void)
{
    static enum kind kinds[] = {SQLITE, POSTGRES, ROW_LOCK};
    const struct CMUnitTest tests[] = {
        {.name = "sqlite", .test_func = twenty_at_once, .initial_state = &kinds[0]},
        {.name = "postgresql", .test_func = twenty_at_once, .initial_state = &kinds[1]},
        {.name = "no advisory locks", .test_func = twenty_at_once, .initial_state = &kinds[2]}};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
