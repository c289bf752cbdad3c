/*
 * test_deferred_sleeper.c -- a journal's owner is stopped in the middle of its work, another process takes the journal over, and then the
 * first one wakes up.
 *
 * The sleeper is a process of its own that saves with one thread and flushes with another.  It is stopped at some moment, or exactly while
 * L3 works on its batch.
 */
#include "support/deferring.h"
#include "support/embedded.h"
#include "support/pg_server.h"

#include <libpq-fe.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ThreadSanitizer ends a child that starts threads, unless it is told that this is meant. */
__attribute__((visibility("default"))) const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "die_after_fork=0";
}

enum { TAKE_OVER_MS = 300, HOT_ROW = 1, ROUNDS = 6, MESSAGE_BYTES = 512 };

static const struct deferring_options options = {.take_over_ms = TAKE_OVER_MS, .shutdown_ms = 1};

/* ---- the sleeper -------------------------------------------------------------------------------------- */

/* Shared with the sleeper. */
struct sleeper {
    pid_t pid;
    atomic_int begun;            /* the last row whose save was begun: 2, 3, ... */
    atomic_int acknowledged;     /* the last one whose save was acknowledged */
    atomic_int flushes;          /* that went through */
    atomic_int saving, flushing; /* how the first ones that failed for good failed */
    char saving_message[MESSAGE_BYTES], flushing_message[MESSAGE_BYTES];
};

struct flushing {
    struct sleeper *sleeper;
    tears_client *client;
};

static void note_failure(const tears_session *session, tears_status status, atomic_int *status_out,
                         char *message_out)
{
    (void)snprintf(message_out, MESSAGE_BYTES, "%s", tears_session_error(session)->message);
    atomic_store(status_out, (int)status);
}

static void *flush_on(void *owner)
{
    const struct flushing *flushing = owner;
    struct sleeper *sleeper = flushing->sleeper;
    tears_session *session = NULL;
    tears_status status = tears_session_new(flushing->client, NULL, &session);
    while (status == TEARS_OK || status == TEARS_TIMEOUT || status == TEARS_UNAVAILABLE) {
        status = tears_flush(session, NULL, 0, 1000, NULL);
        atomic_fetch_add(&sleeper->flushes, status == TEARS_OK ? 1 : 0);
        (void)usleep(500);
    }
    note_failure(session, status, &sleeper->flushing, sleeper->flushing_message);
    tears_session_free(session);
    return NULL;
}

/* A row more, and a change of the hot row. */
static tears_status save_next(struct deferring *here, struct sleeper *sleeper)
{
    char body[24];
    const int next = atomic_load(&sleeper->begun) + 1;
    (void)snprintf(body, sizeof body, "%d", next);
    const struct tears_field row[] = {field_int("id", next), field_text("body", "row")};
    const struct tears_field hot[] = {field_int("id", HOT_ROW), field_text("body", body)};
    atomic_store(&sleeper->begun, next);
    const tears_status status = tears_insert(here->session, here->notes, row, 2, NULL);
    if (status != TEARS_OK)
        return status;
    atomic_store(&sleeper->acknowledged, next);
    return tears_upsert(here->session, here->notes, hot, 2, NULL);
}

static void run_sleeper(struct sleeper *sleeper)
{
    struct deferring here;
    struct tears_error error;
    pthread_t thread;
    if (deferring_try_open(&here, &deferring_case, &options, &error) != TEARS_OK)
        _exit(3);
    struct flushing flushing = {sleeper, here.client};
    if (pthread_create(&thread, NULL, flush_on, &flushing) != 0)
        _exit(4);
    tears_status status;
    while ((status = save_next(&here, sleeper)) == TEARS_OK) {
        tears_session_reset(here.session);
        (void)usleep(1000);
    }
    note_failure(here.session, status, &sleeper->saving, sleeper->saving_message);
    (void)pthread_join(thread, NULL);
    deferring_close(&here);
    _exit(0);
}

static struct sleeper *start_sleeper(void)
{
    struct sleeper *sleeper =
        mmap(NULL, sizeof *sleeper, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(sleeper != MAP_FAILED);
    atomic_store(&sleeper->begun, HOT_ROW);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* it ends with the test, however that ends */
        run_sleeper(sleeper);
    }
    sleeper->pid = pid; /* not as fork gives it: both would write here */
    for (int ms = 0; ms < 20000 && atomic_load(&sleeper->flushes) < 3; ms++)
        (void)usleep(1000);
    assert_true(atomic_load(&sleeper->flushes) >= 3);
    return sleeper;
}

static void put_to_sleep(const struct sleeper *sleeper)
{
    int status = 0;
    assert_int_equal(kill(sleeper->pid, SIGSTOP), 0);
    assert_int_equal(waitpid(sleeper->pid, &status, WUNTRACED), sleeper->pid);
    assert_true(WIFSTOPPED(status));
}

static void wake(const struct sleeper *sleeper)
{
    assert_int_equal(kill(sleeper->pid, SIGCONT), 0);
}

static const char *journal_path(void)
{
    return temp_folder_path(&deferring_case.folder, "journal");
}

/* Whether the sleeper was stopped in the middle of a write to the journal, whose file stays locked then. */
static bool holds_the_file(void)
{
    sqlite3 *file = NULL;
    assert_int_equal(sqlite3_open(journal_path(), &file), SQLITE_OK);
    const int code = sqlite3_exec(file, "BEGIN IMMEDIATE; ROLLBACK", NULL, NULL, NULL);
    assert_int_equal(sqlite3_close(file), SQLITE_OK);
    return code == SQLITE_BUSY;
}

static void put_to_sleep_outside_the_journal(const struct sleeper *sleeper)
{
    put_to_sleep(sleeper);
    while (holds_the_file()) {
        wake(sleeper);
        (void)usleep(700);
        put_to_sleep(sleeper);
    }
}

/* ---- the one who takes over ----------------------------------------------------------------------------- */

static void take_over(struct deferring *taker)
{
    (void)usleep((TAKE_OVER_MS + 50) * 1000);
    deferring_open(taker, &deferring_case, &options);
}

static bool try_to_flush(struct deferring *taker, uint64_t wait_ms)
{
    struct tears_flush_result result = TEARS_FLUSH_RESULT_INIT;
    const tears_status status = tears_flush(taker->session, NULL, 0, wait_ms, &result);
    return status == TEARS_OK && result.waiting == 0;
}

/* The sleeper's last words. */
static void wait_for_end(const struct sleeper *sleeper)
{
    int status = 0;
    pid_t ended = 0;
    for (int ms = 0; ms < 20000 && ended == 0; ms += 5) {
        ended = waitpid(sleeper->pid, &status, WNOHANG);
        (void)usleep(5000);
    }
    if (ended == 0)
        fail_msg("the sleeper goes on: saving %d '%s', flushing %d '%s'",
                 atomic_load(&sleeper->saving), sleeper->saving_message,
                 atomic_load(&sleeper->flushing), sleeper->flushing_message);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void check_refused(const struct sleeper *sleeper)
{
    assert_int_equal(atomic_load(&sleeper->saving), TEARS_DENIED);
    assert_non_null(strstr(sleeper->saving_message, "another process has taken the journal over"));
    assert_int_equal(atomic_load(&sleeper->flushing), TEARS_DENIED);
    assert_non_null(strstr(sleeper->flushing_message, "taken"));
}

/* All that was acknowledged is in L3, once; one save may have been under way; the taker's word is the last. */
static void check_l3(struct deferring *taker, const struct sleeper *sleeper)
{
    const int64_t acknowledged = atomic_load(&sleeper->acknowledged);
    assert_int_equal(deferring_number_above(taker,
                                            "SELECT count(*) FROM notes WHERE id BETWEEN 2 AND $1",
                                            acknowledged),
                     acknowledged - 1);
    assert_in_range(
        deferring_number_above(taker, "SELECT count(*) FROM notes WHERE id > $1", acknowledged), 0,
        1);
    assert_string_equal(deferring_body_in_l3(taker, HOT_ROW), "taken");
    assert_int_equal(
        deferring_number_above(taker,
                               "SELECT count(*) FROM (SELECT id FROM written WHERE id >= $1 GROUP "
                               "BY id, body HAVING count(*) > 1) AS twice",
                               0),
        0);
    assert_int_equal(deferring_stats(taker).dead_letters, 0);
}

static void forget_rows(void)
{
    deferring_run(&deferring_case, "DELETE FROM notes");
    deferring_run(&deferring_case, "DELETE FROM written");
}

/* The journal becomes another's, who flushes for so long, and then the sleeper wakes up.  Whether all was flushed while it slept. */
static bool overtake(struct sleeper *sleeper, uint64_t wait_ms)
{
    struct deferring taker;
    const struct tears_field hot[] = {field_int("id", HOT_ROW), field_text("body", "taken")};
    take_over(&taker);
    assert_int_equal(tears_upsert(taker.session, taker.notes, hot, 2, NULL), TEARS_OK);
    const bool flushed_meanwhile = try_to_flush(&taker, wait_ms);
    wake(sleeper);
    wait_for_end(sleeper);
    while (!flushed_meanwhile && deferring_flush(&taker).waiting > 0)
        (void)usleep(10000);
    check_refused(sleeper);
    check_l3(&taker, sleeper);
    assert_int_equal(deferring_flush(&taker).written, 0);
    deferring_close(&taker);
    (void)munmap(sleeper, sizeof *sleeper);
    return flushed_meanwhile;
}

static void trap_21_an_owner_that_slept_through_its_take_over_writes_nothing_more(void **state)
{
    (void)state;
    int flushed = 0;
    unsigned seed = 21;
    for (int round = 0; round < ROUNDS; round++) {
        struct sleeper *sleeper = start_sleeper();
        (void)usleep((useconds_t)rand_r(&seed) % 30000);
        put_to_sleep_outside_the_journal(sleeper);
        flushed += overtake(sleeper, 1500) ? 1 : 0;
        forget_rows();
    }
    print_message("stopped %d times; %d times its rows were written while it slept\n", ROUNDS,
                  flushed);
    assert_true(flushed > 0); /* unless it was stopped with L3's locks in its hands */
}

/* ---- stopped exactly while L3 writes its batch ------------------------------------------------------------ */

static int64_t ask(PGconn *conn, const char *sql)
{
    PGresult *result = PQexec(conn, sql);
    const ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(conn));
    const int64_t number =
        status == PGRES_TUPLES_OK ? strtoll(PQgetvalue(result, 0, 0), NULL, 10) : 0;
    PQclear(result);
    return number;
}

/* Its transaction holds the journal's row in the database, and waits for a statement that a sleeping process will never send. */
static void trap_21_an_owner_that_sleeps_with_an_open_transaction_stops_nobody(void **state)
{
    (void)state;
    PGconn *conn = PQconnectdb(deferring_case.url);
    struct sleeper *sleeper = start_sleeper();
    (void)ask(conn, "BEGIN");
    (void)ask(conn, "LOCK TABLE notes IN SHARE ROW EXCLUSIVE MODE");
    for (int ms = 0;
         ms < 10000 && ask(conn, "SELECT count(*) FROM pg_stat_activity WHERE datname = "
                                 "current_database() AND wait_event_type = 'Lock'") == 0;
         ms++)
        (void)usleep(1000);
    put_to_sleep_outside_the_journal(sleeper);
    (void)ask(conn, "ROLLBACK");
    assert_true(overtake(sleeper, 25000));
    PQfinish(conn);
}

/* ---- the databases ------------------------------------------------------------------------------------------ */

static int on_sqlite(void **state)
{
    (void)state;
    deferring_on_sqlite(&deferring_case);
    deferring_run(&deferring_case, "CREATE TABLE written (id BIGINT, body TEXT)");
    deferring_run(&deferring_case,
                  "CREATE TRIGGER note_insert AFTER INSERT ON notes BEGIN INSERT INTO "
                  "written VALUES (NEW.id, NEW.body); END");
    deferring_run(&deferring_case,
                  "CREATE TRIGGER note_update AFTER UPDATE ON notes BEGIN INSERT INTO "
                  "written VALUES (NEW.id, NEW.body); END");
    return 0;
}

static int on_postgresql(void **state)
{
    (void)state;
    deferring_on_postgresql(&deferring_case);
    test_pg_run(deferring_case.url,
                "CREATE TABLE written (id BIGINT, body TEXT);"
                "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO "
                "written VALUES (NEW.id, NEW.body); RETURN NULL; END $$;"
                "CREATE TRIGGER note AFTER INSERT OR UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION "
                "note()");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            trap_21_an_owner_that_slept_through_its_take_over_writes_nothing_more, on_sqlite,
            deferring_tear_down),
        cmocka_unit_test_setup_teardown(
            trap_21_an_owner_that_slept_through_its_take_over_writes_nothing_more, on_postgresql,
            deferring_tear_down),
        cmocka_unit_test_setup_teardown(
            trap_21_an_owner_that_sleeps_with_an_open_transaction_stops_nobody, on_postgresql,
            deferring_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
