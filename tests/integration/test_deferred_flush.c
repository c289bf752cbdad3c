/*
 * test_deferred_flush.c -- the flusher on a real PostgreSQL: what the server itself refuses, breaks off and locks, and a second owner.
 *
 * The same on SQLite is tests/unit/deferred/test_flush.c.
 */
#include "deferred/flush_fence.h"
#include "support/fault_l3.h"
#include "support/flush_world.h"
#include "support/pg_server.h"
#include "support/temp_folder.h"

#include <libpq-fe.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { PASS_MS = 20000 };

/* ThreadSanitizer ends a child that starts threads, unless it is told that this is meant. */
__attribute__((visibility("default"))) const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "die_after_fork=0";
}

struct fixture {
    char url[256];
    struct temp_folder folder;
    char path[128];
    struct t3_l3 *pg;
    struct fault_l3 fault;
    struct flush_world world;
};

static void open_pg(struct fixture *f)
{
    struct tears_error error;
    const struct t3_l3_options options = {.url = tears_str_c(f->url), .pool_max = 3};
    if (t3_l3_pg_open(&options, &f->pg, &error) != TEARS_OK)
        fail_msg("%s", error.message);
    fault_l3_init(&f->fault, f->pg);
}

static int open_fixture(void **state)
{
    static char url[256];
    if (url[0] == '\0')
        test_pg_database(url, sizeof url);
    struct fixture *f = test_calloc(1, sizeof *f);
    memcpy(f->url, url, sizeof url);
    test_pg_run(url, "SET client_min_messages = warning; DROP SCHEMA public CASCADE; CREATE SCHEMA "
                     "public");
    for (size_t i = 0; flush_world_sql[i] != NULL; i++)
        test_pg_run(url, flush_world_sql[i]);
    temp_folder_make(&f->folder);
    (void)snprintf(f->path, sizeof f->path, "%s/journal.db", f->folder.path);
    open_pg(f);
    flush_world_open(&f->world, &f->fault.base, f->path);
    *state = f;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *f = *state;
    flush_world_done(&f->world);
    f->pg->ops->free(f->pg);
    temp_folder_remove(&f->folder);
    test_free(f);
    return 0;
}

static void put(struct flush_world *world, const char *table, uint8_t kind, int64_t id, int64_t ref,
                const char *note)
{
    const struct world_row row = {.id = id, .ref = ref, .note = note};
    flush_world_put(world, table, kind, &row);
}

static int64_t ask(struct fixture *f, const char *sql)
{
    PGconn *conn = PQconnectdb(f->url);
    PGresult *result = PQexec(conn, sql);
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(conn));
    const int64_t number = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    PQfinish(conn);
    return number;
}

/* ---- what the server refuses ---------------------------------------------------------------------- */

/* 2,000 rows in several tables, three of them bad, each with a child. */
static void trap_18_bad_rows_among_thousands_are_found_and_all_others_are_written(void **state)
{
    struct fixture *f = *state;
    const struct world_row clash = {.id = 700, .ref = -1, .note = "x", .code = "taken"};
    test_pg_run(f->url, "INSERT INTO parents VALUES (5000, NULL, 'x', 'taken', 1)");
    for (int64_t i = 1; i <= 1000; i++) {
        if (i == 700)
            flush_world_put(&f->world, "parents", T3_RECORD_INSERT, &clash);
        else
            put(&f->world, "parents", T3_RECORD_INSERT, i, -1,
                i == 100   ? "bad"
                : i == 400 ? NULL
                           : "x");
        put(&f->world, "children", T3_RECORD_INSERT, i, i, "x");
    }
    assert_int_equal(flush_world_pass(&f->world, PASS_MS), TEARS_OK);
    assert_int_equal(f->world.result.dead, 3);
    assert_int_equal(f->world.result.written, 1994);
    assert_int_equal(f->world.result.parked, 3);
    assert_in_range(f->fault.begins, 2, 3 * 2 * 12 + 12);
    assert_int_equal(ask(f, "SELECT count(*) FROM parents"), 998);
    assert_int_equal(ask(f, "SELECT count(*) FROM children"), 997);
}

/* What the type of the column can hold, the row codec cannot know. */
static void trap_18_a_text_that_the_column_cannot_hold_is_put_aside(void **state)
{
    struct fixture *f = *state;
    test_pg_run(f->url, "ALTER TABLE parents ALTER COLUMN note TYPE varchar(5)");
    put(&f->world, "parents", T3_RECORD_INSERT, 1, -1, "short");
    put(&f->world, "parents", T3_RECORD_INSERT, 2, -1, "much too long");
    put(&f->world, "parents", T3_RECORD_INSERT, 3, -1, "short");
    assert_int_equal(flush_world_pass(&f->world, PASS_MS), TEARS_OK);
    assert_int_equal(f->world.result.dead, 1);
    assert_int_equal(f->world.result.written, 2);
    assert_non_null(strstr(f->world.last_refusal, "row 2"));
}

static void a_trigger_that_raises_refuses_its_row_only(void **state)
{
    struct fixture *f = *state;
    test_pg_run(f->url,
                "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id "
                "= 7 THEN RAISE 'not seven'; END IF; RETURN NEW; END $$; CREATE TRIGGER no "
                "BEFORE INSERT ON parents FOR EACH ROW EXECUTE FUNCTION no()");
    for (int64_t i = 1; i <= 20; i++)
        put(&f->world, "parents", T3_RECORD_INSERT, i, -1, "x");
    assert_int_equal(flush_world_pass(&f->world, PASS_MS), TEARS_OK);
    assert_int_equal(f->world.result.dead, 1);
    assert_int_equal(f->world.result.written, 19);
    assert_non_null(strstr(f->world.last_refusal, "not seven"));
}

static void rows_of_a_table_that_is_dropped_and_made_again_wait_meanwhile(void **state)
{
    struct fixture *f = *state;
    for (int64_t i = 1; i <= 100; i++) {
        put(&f->world, "nodes", T3_RECORD_INSERT, i, -1, "x");
        put(&f->world, "parents", T3_RECORD_INSERT, i, -1, "x");
    }
    test_pg_run(f->url, "DROP TABLE nodes");
    assert_int_equal(flush_world_pass(&f->world, PASS_MS), TEARS_OK);
    assert_int_equal(f->world.result.written, 100);
    assert_int_equal(f->world.result.parked, 100);
    assert_int_equal(f->world.result.dead, 0);
    test_pg_run(f->url, flush_world_sql[2]);
    t3_pending_unpark(f->world.pending, NULL);
    flush_world_drain(&f->world);
    assert_int_equal(ask(f, "SELECT count(*) FROM nodes"), 100);
}

/* Rows that refer to each other in a circle go in when their foreign key is checked at commit, and wait when it is not. */
static void a_circle_is_written_when_its_keys_are_deferred(void **state)
{
    struct fixture *f = *state;
    for (int64_t i = 1; i <= 3; i++)
        put(&f->world, "nodes", T3_RECORD_INSERT, i, i % 3 + 1, "x");
    flush_world_drain(&f->world); /* one statement: checked when all of them are there */
    assert_int_equal(ask(f, "SELECT count(*) FROM nodes"), 3);
    for (int64_t i = 11; i <= 13; i++)
        put(&f->world, "nodes", i == 12 ? T3_RECORD_UPSERT : T3_RECORD_INSERT, i,
            i == 13 ? 11 : i + 1, "x");
    assert_int_equal(flush_world_pass(&f->world, PASS_MS), TEARS_OK);
    assert_int_equal(f->world.result.parked, 3);
    test_pg_run(f->url, "ALTER TABLE nodes ALTER CONSTRAINT nodes_ref_fkey DEFERRABLE INITIALLY "
                        "DEFERRED");
    t3_pending_unpark(f->world.pending, NULL);
    flush_world_drain(&f->world);
    assert_int_equal(ask(f, "SELECT count(*) FROM nodes"), 6);
}

/* ---- what the server breaks off ---------------------------------------------------------------------- */

/* The backend is killed while the flusher is about to commit; `sql` says which, and how. */
static void terminate_backends(void *owner)
{
    struct fixture *f = owner;
    (void)ask(f, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> "
                 "pg_backend_pid() AND datname = current_database()");
}

static void a_backend_terminated_before_the_commit_loses_nothing(void **state)
{
    struct fixture *f = *state;
    put(&f->world, "parents", T3_RECORD_INSERT, 1, -1, "x");
    f->fault.before_commit = terminate_backends;
    f->fault.owner = f;
    assert_int_equal(flush_world_pass(&f->world, PASS_MS), TEARS_UNAVAILABLE);
    flush_world_drain(&f->world);
    assert_int_equal(ask(f, "SELECT row_version FROM parents"), 1);
    assert_int_equal(flush_world_dead(&f->world), 0);
}

static void trap_22_a_commit_whose_answer_never_comes_is_asked_for(void **state)
{
    struct fixture *f = *state;
    test_pg_run(f->url, "INSERT INTO parents VALUES (1, NULL, 'x', NULL, 1)");
    put(&f->world, "parents", T3_RECORD_INSERT, 2, -1, "x");
    flush_world_drain(&f->world);
    for (uint64_t nth = 1; nth <= 6; nth++) {
        put(&f->world, "parents", T3_RECORD_UPDATE, 1, -1, nth % 2 == 0 ? "even" : "odd");
        fault_l3_arm(&f->fault, nth, TEARS_UNAVAILABLE, "", true);
        (void)flush_world_pass(&f->world, PASS_MS);
        fault_l3_arm(&f->fault, 0, TEARS_OK, "", false);
        flush_world_drain(&f->world);
        assert_int_equal(ask(f, "SELECT row_version FROM parents WHERE id = 1"), (int64_t)nth + 1);
    }
}

/* A lock that another transaction holds beyond the server's patience. */
static void a_lock_that_is_not_given_is_waited_for(void **state)
{
    struct fixture *f = *state;
    test_pg_run(f->url, "INSERT INTO parents VALUES (1, NULL, 'x', NULL, 1)");
    put(&f->world, "parents", T3_RECORD_UPDATE, 1, -1, "mine");
    char sql[128];
    (void)snprintf(sql, sizeof sql, "ALTER ROLE CURRENT_USER SET lock_timeout = '50ms'");
    test_pg_run(f->url, sql);
    flush_world_close(&f->world);
    f->pg->ops->free(f->pg);
    open_pg(f); /* connections that know the setting */
    flush_world_reopen(&f->world);
    PGconn *other = PQconnectdb(f->url);
    PQclear(PQexec(other, "BEGIN"));
    PQclear(PQexec(other, "SELECT * FROM parents FOR UPDATE"));
    assert_int_equal(flush_world_pass(&f->world, 3000), TEARS_UNAVAILABLE);
    PQclear(PQexec(other, "COMMIT"));
    PQfinish(other);
    flush_world_drain(&f->world);
    test_pg_run(f->url, "ALTER ROLE CURRENT_USER RESET lock_timeout");
    assert_string_equal(flush_world_note(&f->world, "parents", 1, NULL), "mine");
    struct t3_flush_stats stats;
    t3_flush_stats(f->world.flush, &stats);
    assert_true(stats.retries > 0);
}

static void a_statement_that_takes_too_long_makes_batches_smaller(void **state)
{
    struct fixture *f = *state;
    test_pg_run(f->url,
                "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM "
                "pg_sleep(0.01); RETURN NEW; END $$; CREATE TRIGGER slow BEFORE INSERT ON "
                "parents FOR EACH ROW EXECUTE FUNCTION slow(); ALTER ROLE CURRENT_USER SET "
                "statement_timeout = '400ms'");
    for (int64_t i = 1; i <= 100; i++)
        put(&f->world, "parents", T3_RECORD_INSERT, i, -1, "x");
    flush_world_close(&f->world);
    f->pg->ops->free(f->pg);
    open_pg(f);
    f->world.batch_rows_max = 100;
    flush_world_reopen(&f->world);
    for (int i = 0; i < 20 && (i == 0 || flush_world_waiting(&f->world) > 0); i++)
        (void)flush_world_pass(&f->world, PASS_MS);
    test_pg_run(f->url, "ALTER ROLE CURRENT_USER RESET statement_timeout");
    assert_int_equal(ask(f, "SELECT count(*) FROM parents"), 100);
    assert_int_equal(flush_world_dead(&f->world), 0);
}

/* ---- owners ----------------------------------------------------------------------------------------------- */

/* One of many that use the database for the first time at once, each by a connection of its own. */
struct claimer {
    pthread_t thread;
    pthread_barrier_t *start;
    const char *url;
    char id[24];
    bool has_claimed;
};

static void *claim(void *owner)
{
    struct claimer *claimer = owner;
    struct t3_l3 *l3 = NULL;
    struct tears_error error;
    const struct t3_l3_options options = {.url = tears_str_c(claimer->url), .pool_max = 1};
    const tears_status opened = t3_l3_pg_open(&options, &l3, &error);
    (void)pthread_barrier_wait(claimer->start);
    if (opened != TEARS_OK)
        return NULL;
    struct t3_fence fence = {.l3 = l3, .id = tears_str_c(claimer->id), .epoch = 1};
    const tears_status status = t3_fence_claim(&fence, t3_deadline_in_ms(PASS_MS), &error);
    if (status != TEARS_OK)
        print_error("%s\n", error.message);
    claimer->has_claimed = status == TEARS_OK && fence.has_sql && fence.batch == 0;
    l3->ops->free(l3);
    return NULL;
}

static void the_table_of_journals_may_be_made_by_many_at_once(void **state)
{
    enum { CLAIMERS = 8, ROUNDS = 5 };
    struct fixture *f = *state;
    for (int round = 0; round < ROUNDS; round++) {
        struct claimer claimers[CLAIMERS] = {0};
        pthread_barrier_t start;
        assert_int_equal(pthread_barrier_init(&start, NULL, CLAIMERS), 0);
        for (int i = 0; i < CLAIMERS; i++) {
            claimers[i].start = &start;
            claimers[i].url = f->url;
            (void)snprintf(claimers[i].id, sizeof claimers[i].id, "journal-%d", i);
            assert_int_equal(pthread_create(&claimers[i].thread, NULL, claim, &claimers[i]), 0);
        }
        for (int i = 0; i < CLAIMERS; i++) {
            assert_int_equal(pthread_join(claimers[i].thread, NULL), 0);
            assert_true(claimers[i].has_claimed);
        }
        (void)pthread_barrier_destroy(&start);
        assert_int_equal(ask(f, "SELECT count(*) FROM tears_journals"), CLAIMERS);
        test_pg_run(f->url, "DROP TABLE tears_journals");
    }
}

static void stop_myself(void *owner)
{
    (void)owner;
    (void)raise(SIGSTOP);
}

/* An owner that sleeps at the worst moment.  Saves one row and flushes it; 0: it was told that it is the owner no more. */
static int own_in_child(struct fixture *f, bool in_transaction)
{
    open_pg(f);
    flush_world_reopen(&f->world);
    put(&f->world, "parents", T3_RECORD_INSERT, 1, -1, "x");
    if (in_transaction)
        f->fault.before_commit = stop_myself;
    else
        f->fault.before_begin = stop_myself;
    const tears_status status = flush_world_pass(&f->world, PASS_MS);
    if (status != TEARS_DENIED)
        print_error("%s: %s\n", tears_status_name(status), f->world.error.message);
    return status == TEARS_DENIED ? 0 : 1;
}

static pid_t start_owner(struct fixture *f, bool in_transaction)
{
    int status = 0;
    flush_world_close(&f->world);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* it ends with the test, however that ends */
        _exit(own_in_child(f, in_transaction));
    }
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    assert_true(WIFSTOPPED(status));
    return child;
}

static void expect_refused(pid_t child)
{
    int status = 0;
    assert_int_equal(kill(child, SIGCONT), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* SIGSTOP between two statements, longer than the others' patience.  A row that was written and deleted meanwhile must not rise again. */
static void trap_21_an_owner_that_slept_is_refused_by_the_database(void **state)
{
    struct fixture *f = *state;
    const pid_t child = start_owner(f, false);
    f->world.take_over_ms = 300;
    flush_world_reopen(&f->world); /* waits until the owner counts as gone */
    flush_world_drain(&f->world);
    assert_int_equal(ask(f, "SELECT row_version FROM parents"), 1);
    test_pg_run(f->url, "DELETE FROM parents");
    expect_refused(child);
    assert_int_equal(ask(f, "SELECT count(*) FROM parents"), 0);
    assert_int_equal(flush_world_dead(&f->world), 0);
}

/* The same within its transaction: the new owner waits for that, and does not repeat what it did. */
static void trap_21_a_transaction_of_the_old_owner_is_waited_for(void **state)
{
    struct fixture *f = *state;
    const pid_t child = start_owner(f, true);
    f->world.take_over_ms = 300;
    flush_world_reopen(&f->world);
    const tears_status status = flush_world_pass(&f->world, 1000);
    assert_true(status == TEARS_TIMEOUT || status == TEARS_UNAVAILABLE);
    assert_int_equal(ask(f, "SELECT count(*) FROM parents"), 0);
    expect_refused(child); /* by the journal: it commits, and cannot say so */
    flush_world_drain(&f->world);
    assert_int_equal(ask(f, "SELECT row_version FROM parents"), 1);
    assert_int_equal(flush_world_dead(&f->world), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)
    const struct CMUnitTest tests[] = {
        T(trap_18_bad_rows_among_thousands_are_found_and_all_others_are_written),
        T(trap_18_a_text_that_the_column_cannot_hold_is_put_aside),
        T(a_trigger_that_raises_refuses_its_row_only),
        T(rows_of_a_table_that_is_dropped_and_made_again_wait_meanwhile),
        T(a_circle_is_written_when_its_keys_are_deferred),
        T(a_backend_terminated_before_the_commit_loses_nothing),
        T(trap_22_a_commit_whose_answer_never_comes_is_asked_for),
        T(a_lock_that_is_not_given_is_waited_for),
        T(a_statement_that_takes_too_long_makes_batches_smaller),
        T(the_table_of_journals_may_be_made_by_many_at_once),
        T(trap_21_an_owner_that_slept_is_refused_by_the_database),
        T(trap_21_a_transaction_of_the_old_owner_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
