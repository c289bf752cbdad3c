/*
 * test_deferred_poison.c -- rows that L3 refuses, each for a reason of its own, among rows that it takes; rows that wait for others; tables that have
 * changed since a write was made.
 */
#include "support/deferring.h"
#include "support/embedded.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
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

static bool is_postgresql;

/* The table of the fixture with a column more; `code_type` is its type and what else there is to say of it. */
static void make_table(const char *code_type)
{
    char sql[512];
    deferring_run(&deferring_case, "DROP TABLE notes");
    (void)snprintf(sql, sizeof sql,
                   "CREATE TABLE notes (id BIGINT PRIMARY KEY, body TEXT NOT NULL CHECK "
                   "(length(body) <= 40), parent BIGINT REFERENCES notes (id), code %s, "
                   "row_version BIGINT NOT NULL DEFAULT 1)",
                   code_type);
    deferring_run(&deferring_case, sql);
}

static int on_sqlite(void **state)
{
    (void)state;
    is_postgresql = false;
    deferring_on_sqlite(&deferring_case);
    make_table("TEXT");
    return 0;
}

static int on_postgresql(void **state)
{
    (void)state;
    is_postgresql = true;
    deferring_on_postgresql(&deferring_case);
    make_table("TEXT");
    return 0;
}

/* ---- saving ------------------------------------------------------------------------------------------------- */

static void save(struct deferring *here, int64_t id, const char *body, const char *code)
{
    const struct tears_field fields[] = {field_int("id", id), field_text("body", body),
                                         field_text("code", code)};
    if (tears_insert(here->session, here->notes, fields, code != NULL ? 3 : 2, NULL) != TEARS_OK)
        fail_msg("insert: %s", tears_session_error(here->session)->message);
    tears_session_reset(here->session);
}

static void save_child(struct deferring *here, int64_t id, int64_t parent)
{
    const struct tears_field fields[] = {field_int("id", id), field_text("body", "child"),
                                         field_text("code", "1"), field_int("parent", parent)};
    if (tears_insert(here->session, here->notes, fields, 4, NULL) != TEARS_OK)
        fail_msg("insert: %s", tears_session_error(here->session)->message);
    tears_session_reset(here->session);
}

/* Has another process do something with the table, and die. */
static void in_a_process_that_dies(void (*work)(struct deferring *here))
{
    const pid_t pid = fork();
    int status = 0;
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* it ends with the test, however that ends */
        struct deferring here;
        struct tears_error error;
        const struct deferring_options none = {0};
        if (deferring_try_open(&here, &deferring_case, &none, &error) != TEARS_OK)
            _exit(1);
        work(&here);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- dead letters ---------------------------------------------------------------------------------------------- */

static tears_journal *open_journal(const struct deferring *process)
{
    struct tears_error error;
    tears_journal *journal = NULL;
    if (tears_journal_open(tears_str_c(process->journal), &journal, &error) != TEARS_OK)
        fail_msg("journal: %s", error.message);
    return journal;
}

static size_t read_dead(tears_journal *journal, const struct tears_dead **dead_out)
{
    struct tears_error error;
    size_t count = 0;
    if (tears_journal_dead(journal, TEARS_STR(""), 0, 1000, dead_out, &count, &error) != TEARS_OK)
        fail_msg("dead letters: %s", error.message);
    return count;
}

static bool contains(struct tears_str text, const char *part)
{
    char copy[1024];
    (void)snprintf(copy, sizeof copy, "%.*s", (int)text.len, text.ptr);
    return strstr(copy, part) != NULL;
}

static bool is(struct tears_str text, const char *other)
{
    return text.len == strlen(other) && memcmp(text.ptr, other, text.len) == 0;
}

/* ---- one bad row among many, with children ------------------------------------------------------------------------ */

enum { PARENTS = 60, BAD = 30, CHILD = 100 };

struct poison {
    const char *good, *bad;         /* code; NULL: none */
    const char *bad_body;           /* NULL: as the others */
    void (*meanwhile)(void);        /* between the saves and the flush */
    const char *sqlstate, *message; /* as PostgreSQL says it */
    const char *lite_message;
};

static void check_letter(const struct deferring *here, const struct poison *poison)
{
    const struct tears_dead *dead = NULL;
    tears_journal *journal = open_journal(here);
    assert_int_equal(read_dead(journal, &dead), 1);
    assert_true(is(dead->write.table, "notes"));
    assert_true(is(dead->write.key, "30"));
    assert_int_equal(dead->write.kind, TEARS_PENDING_INSERT);
    assert_true(contains(dead->write.row, "\"id\": 30"));
    assert_int_equal(dead->dependants, 1);
    assert_true(dead->died_us >= dead->write.since_us);
    assert_true(contains(dead->message, "'notes', row 30"));
    if (is_postgresql)
        assert_true(is(dead->sqlstate, poison->sqlstate));
    if (!contains(dead->message, is_postgresql ? poison->message : poison->lite_message))
        fail_msg("message: %.*s", (int)dead->message.len, dead->message.ptr);
    tears_journal_free(journal);
}

/* All but the bad row and its child land; the child waits. */
static void flush_poison(const struct poison *poison)
{
    struct deferring here;
    deferring_open(&here, &deferring_case, NULL);
    const int64_t before = deferring_rows_in_l3(&here);
    for (int64_t id = 1; id <= PARENTS; id++) {
        const bool is_bad = id == BAD;
        save(&here, id, is_bad && poison->bad_body != NULL ? poison->bad_body : "parent",
             is_bad ? poison->bad : poison->good);
        save_child(&here, id + CHILD, id);
    }
    if (poison->meanwhile != NULL)
        poison->meanwhile();
    const struct tears_flush_result result = deferring_flush(&here);
    assert_int_equal(result.written, 2 * (PARENTS - 1));
    assert_int_equal(result.dead, 1);
    assert_int_equal(result.waiting, 1);
    assert_int_equal(result.parked, 1);
    assert_true(deferring_rows_in_l3(&here) >= before + 2 * (PARENTS - 1));
    assert_string_equal(deferring_body(&here, BAD), "");
    assert_string_equal(deferring_body(&here, BAD + CHILD), "child");
    check_letter(&here, poison);
    deferring_close(&here);
}

static void trap_18_a_row_that_a_check_refuses(void **state)
{
    (void)state;
    flush_poison(
        &(struct poison){.good = "1",
                         .bad = "1",
                         .bad_body = "a body that is longer than the forty characters of it",
                         .sqlstate = "23514",
                         .message = "check constraint",
                         .lite_message = "CHECK constraint failed"});
}

static void make_code_required(void)
{
    make_table("TEXT NOT NULL");
}

static void trap_18_a_row_without_a_column_that_became_required(void **state)
{
    (void)state;
    flush_poison(&(struct poison){.good = "1",
                                  .meanwhile = make_code_required,
                                  .sqlstate = "23502",
                                  .message = "not-null constraint",
                                  .lite_message = "NOT NULL constraint failed"});
}

static void take_the_code(void)
{
    deferring_run(&deferring_case, "CREATE UNIQUE INDEX codes ON notes (code) WHERE code <> '1'");
    deferring_run(&deferring_case,
                  "INSERT INTO notes (id, body, code) VALUES (5000, 'x', 'taken')");
}

static void trap_18_a_row_that_clashes_with_another(void **state)
{
    (void)state;
    flush_poison(&(struct poison){.good = "1",
                                  .bad = "taken",
                                  .meanwhile = take_the_code,
                                  .sqlstate = "23505",
                                  .message = "unique constraint",
                                  .lite_message = "clashes with another"});
}

static void shorten_the_code(void)
{
    deferring_run(&deferring_case, "ALTER TABLE notes ALTER COLUMN code TYPE varchar(5)");
}

static void trap_18_a_text_that_is_too_long(void **state)
{
    (void)state;
    flush_poison(&(struct poison){.good = "1",
                                  .bad = "longer than five",
                                  .meanwhile = shorten_the_code,
                                  .sqlstate = "22001",
                                  .message = "too long for type character varying(5)"});
}

/* A parent that is not there is no fault of the row: it may come. */
static void trap_18_a_row_whose_parent_is_missing_waits(void **state)
{
    (void)state;
    struct deferring here;
    deferring_open(&here, &deferring_case, NULL);
    for (int64_t id = 1; id <= PARENTS; id++)
        save_child(&here, id + CHILD, id == BAD ? 999 : id + CHILD);
    const struct tears_flush_result result = deferring_flush(&here);
    assert_int_equal(result.written, PARENTS - 1);
    assert_int_equal(result.parked, 1);
    assert_int_equal(result.dead, 0);
    deferring_run(&deferring_case, "INSERT INTO notes (id, body) VALUES (999, 'it came')");
    assert_int_equal(deferring_flush(&here).written, 1);
    deferring_close(&here);
}

static void a_parent_that_comes_200_batches_later_lets_its_child_in(void **state)
{
    (void)state;
    enum { BATCHES = 200 };
    struct deferring here;
    deferring_open(&here, &deferring_case, NULL);
    save_child(&here, 1, 5000);
    for (int64_t id = 10; id < 10 + BATCHES; id++) {
        save(&here, id, "other", "1");
        const struct tears_flush_result result = deferring_flush(&here);
        assert_int_equal(result.written, 1);
        assert_int_equal(result.parked, 1);
    }
    save(&here, 5000, "parent", "1");
    const struct tears_flush_result result = deferring_flush(&here);
    assert_int_equal(result.written, 2);
    assert_int_equal(result.waiting, 0);
    assert_string_equal(deferring_body_in_l3(&here, 1), "child");
    deferring_close(&here);
}

/* ---- tables that nobody has opened ---------------------------------------------------------------------------------- */

static void save_elsewhere(struct deferring *here)
{
    struct tears_collection_options options = TEARS_COLLECTION_OPTIONS_INIT;
    tears_collection *others = NULL;
    struct tears_error error;
    options.flush_strategy = TEARS_FLUSH_ON_CHECKPOINT;
    if (tears_collection_open(here->client, TEARS_STR("others"), &options, &others, &error) !=
        TEARS_OK)
        _exit(2);
    for (int64_t id = 1; id <= 20; id++) {
        const struct tears_field fields[] = {field_int("id", id), field_text("body", "waits")};
        if (tears_insert(here->session, others, fields, 2, NULL) != TEARS_OK)
            _exit(3);
        save(here, id, "note", "1");
    }
}

static void rows_of_a_table_that_nobody_has_opened_wait_for_a_flush_of_everything(void **state)
{
    (void)state;
    const struct tears_str notes = TEARS_STR("notes");
    struct tears_flush_result result = TEARS_FLUSH_RESULT_INIT;
    struct deferring here;
    deferring_run(&deferring_case, "CREATE TABLE others (id BIGINT PRIMARY KEY, body TEXT)");
    in_a_process_that_dies(save_elsewhere);
    deferring_open(&here, &deferring_case, NULL);
    assert_int_equal(tears_flush(here.session, &notes, 1, 10000, &result), TEARS_OK);
    assert_int_equal(result.waiting, 0);
    assert_int_equal(deferring_rows_in_l3(&here), 20);
    (void)usleep(300000); /* a flusher that opened it by itself would do so now */
    assert_int_equal(deferring_stats(&here).pending_rows, 20);
    assert_int_equal(deferring_number_above(&here, "SELECT count(*) FROM others WHERE id > $1", 0),
                     0);
    assert_int_equal(deferring_flush(&here).written, 20);
    assert_int_equal(deferring_number_above(&here, "SELECT count(*) FROM others WHERE id > $1", 0),
                     20);
    assert_int_equal(deferring_stats(&here).pending_rows, 0);
    deferring_close(&here);
}

/* ---- tables that have changed --------------------------------------------------------------------------------------------- */

static void save_codes(struct deferring *here)
{
    for (int64_t id = 1; id <= 20; id++)
        save(here, id, "note", id == 7 ? "seven" : NULL);
}

static void a_column_that_was_added_has_its_default(void **state)
{
    (void)state;
    struct deferring here;
    in_a_process_that_dies(save_codes);
    deferring_run(&deferring_case, "ALTER TABLE notes ADD COLUMN extra BIGINT DEFAULT 77");
    deferring_open(&here, &deferring_case, NULL);
    assert_string_equal(deferring_body(&here, 7), "note");
    const struct tears_flush_result result = deferring_flush(&here);
    assert_int_equal(result.waiting + result.dead, 0);
    assert_int_equal(deferring_rows_in_l3(&here), 20);
    assert_int_equal(
        deferring_number_above(&here, "SELECT count(*) FROM notes WHERE extra = $1", 77), 20);
    deferring_close(&here);
}

static void a_write_of_a_column_that_was_dropped_is_a_dead_letter(void **state)
{
    (void)state;
    const struct tears_dead *dead = NULL;
    struct deferring here;
    in_a_process_that_dies(save_codes);
    deferring_run(&deferring_case, "ALTER TABLE notes DROP COLUMN code");
    deferring_open(&here, &deferring_case, NULL);
    (void)deferring_flush(&here);
    assert_int_equal(deferring_rows_in_l3(&here), 19);
    assert_string_equal(deferring_body(&here, 7), "");
    assert_int_equal(deferring_stats(&here).pending_rows, 0);
    tears_journal *journal = open_journal(&here);
    assert_int_equal(read_dead(journal, &dead), 1);
    assert_true(is(dead->write.key, "7"));
    assert_true(contains(dead->message, "code"));
    assert_true(contains(dead->write.row, "seven"));
    tears_journal_free(journal);
    deferring_close(&here);
}

/* While the process runs, its rows wait for the table to be as it was; a new process, which sees the new table, converts what can be. */
static void a_column_whose_type_was_changed_loses_nothing(void **state)
{
    (void)state;
    struct deferring here;
    deferring_open(&here, &deferring_case, &(struct deferring_options){.shutdown_ms = 1});
    for (int64_t id = 1; id <= 20; id++)
        save(&here, id, "note", id == 7 ? "seven" : "7");
    deferring_run(&deferring_case, "ALTER TABLE notes ALTER COLUMN code TYPE bigint USING 0");
    const struct tears_flush_result result = deferring_flush(&here);
    assert_int_equal(result.waiting + result.dead, 20);
    deferring_close(&here);
    deferring_open(&here, &deferring_case, NULL);
    (void)deferring_flush(&here);
    const struct tears_client_stats stats = deferring_stats(&here);
    const int64_t rows = deferring_rows_in_l3(&here);
    print_message("%lld landed, %llu dead, %llu wait\n", (long long)rows,
                  (unsigned long long)stats.dead_letters, (unsigned long long)stats.pending_rows);
    assert_int_equal((uint64_t)rows + stats.dead_letters + stats.pending_rows, 20);
    assert_int_equal(stats.pending_rows, 0);
    assert_true(stats.dead_letters >= 1);
    deferring_close(&here);
}

#define ON_SQLITE(test) cmocka_unit_test_setup_teardown(test, on_sqlite, deferring_tear_down)
#define ON_PG(test)     cmocka_unit_test_setup_teardown(test, on_postgresql, deferring_tear_down)
#define ON_BOTH(test)   ON_SQLITE(test), ON_PG(test)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(trap_18_a_row_that_a_check_refuses),
        ON_BOTH(trap_18_a_row_without_a_column_that_became_required),
        ON_BOTH(trap_18_a_row_that_clashes_with_another),
        ON_PG(trap_18_a_text_that_is_too_long),
        ON_BOTH(trap_18_a_row_whose_parent_is_missing_waits),
        ON_BOTH(a_parent_that_comes_200_batches_later_lets_its_child_in),
        ON_BOTH(rows_of_a_table_that_nobody_has_opened_wait_for_a_flush_of_everything),
        ON_BOTH(a_column_that_was_added_has_its_default),
        ON_BOTH(a_write_of_a_column_that_was_dropped_is_a_dead_letter),
        ON_PG(a_column_whose_type_was_changed_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
