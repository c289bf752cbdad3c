/*
 * test_lite.c -- the SQLite driver: settings, deadlines, rollback, cells, and files that are not
 * what they should be.
 */
#include "driver/lite.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- a file of its own for every test ---- */

struct world {
    char directory[64];
    char path[96];
    struct t3_lite *lite;
    struct t3_arena arena;
    struct tears_error error;
};

static void remove_files(const struct world *world)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < T3_COUNT(ends); i++) {
        char name[128];
        snprintf(name, sizeof name, "%s%s", world->path, ends[i]);
        (void)unlink(name);
    }
    (void)rmdir(world->directory);
}

static tears_status open_path(struct world *world, const char *path)
{
    const struct t3_lite_options options = {
        .path = tears_str_c(path), .origin = "l3.sqlite", .reader_max = 2};
    return t3_lite_open(&options, t3_deadline_in_ms(2000), &world->lite, &world->error);
}

static int set_up(void **state)
{
    static struct world world;
    world = (struct world){.directory = "/tmp/test_lite_XXXXXX"};
    assert_non_null(mkdtemp(world.directory));
    snprintf(world.path, sizeof world.path, "%s/data.db", world.directory);
    assert_int_equal(open_path(&world, world.path), TEARS_OK);
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    t3_lite_free(world->lite);
    remove_files(world);
    t3_arena_done(&world->arena);
    return 0;
}

static struct t3_lite_conn *writer_of(struct world *world)
{
    struct t3_lite_conn *conn = NULL;
    assert_int_equal(
        t3_lite_take_writer(world->lite, t3_deadline_in_ms(2000), &conn, &world->error), TEARS_OK);
    return conn;
}

static struct t3_lite_conn *reader_of(struct world *world)
{
    struct t3_lite_conn *conn = NULL;
    assert_int_equal(
        t3_lite_take_reader(world->lite, t3_deadline_in_ms(2000), &conn, &world->error), TEARS_OK);
    return conn;
}

static tears_status exec(struct world *world, const char *sql)
{
    struct t3_lite_conn *conn = writer_of(world);
    const tears_status status = t3_lite_exec(conn, sql, &world->error);
    t3_lite_give(conn);
    return status;
}

static int64_t number(struct world *world, const char *sql)
{
    struct t3_lite_conn *conn = reader_of(world);
    int64_t value = -1;
    assert_int_equal(t3_lite_int(conn, sql, &value, &world->error), TEARS_OK);
    t3_lite_give(conn);
    return value;
}

static struct t3_lite_stmt *prepared(struct world *world, struct t3_lite_conn *conn,
                                     const char *text)
{
    const struct tears_str sql = tears_str_c(text);
    struct t3_lite_stmt *stmt = t3_lite_find(conn, sql);
    const struct t3_lite_sql prepare = {.key = sql, .sql = sql};
    if (stmt == NULL)
        assert_int_equal(t3_lite_prepare(conn, &prepare, &stmt, &world->error), TEARS_OK);
    return stmt;
}

/* ---- settings ---- */

static void commits_are_durable_and_readers_run_beside_the_writer(void **state)
{
    struct world *world = *state;
    struct t3_lite_conn *writer = writer_of(world);
    int64_t value;
    assert_int_equal(t3_lite_int(writer, "PRAGMA synchronous", &value, NULL), TEARS_OK);
    assert_int_equal(value, 2); /* FULL */
    assert_int_equal(t3_lite_int(writer, "PRAGMA foreign_keys", &value, NULL), TEARS_OK);
    assert_int_equal(value, 1);
    assert_int_equal(t3_lite_exec(writer, "CREATE TABLE t (a)", NULL), TEARS_OK);
    assert_int_equal(t3_lite_begin(writer, true, NULL), TEARS_OK);
    assert_int_equal(t3_lite_exec(writer, "INSERT INTO t VALUES (1)", NULL), TEARS_OK);
    assert_int_equal(number(world, "SELECT count(*) FROM t"), 0); /* does not wait, does not see */
    assert_int_equal(t3_lite_commit(writer, NULL), TEARS_OK);
    assert_int_equal(number(world, "SELECT count(*) FROM t"), 1);
    t3_lite_give(writer);
}

static void readers_cannot_write(void **state)
{
    struct world *world = *state;
    struct t3_lite_conn *reader = reader_of(world);
    assert_int_equal(t3_lite_exec(reader, "CREATE TABLE t (a)", &world->error), TEARS_DENIED);
    t3_lite_give(reader);
}

static void a_misspelled_column_is_an_error(void **state)
{
    struct world *world = *state;
    assert_int_equal(exec(world, "CREATE TABLE t (a)"), TEARS_OK);
    assert_int_equal(exec(world, "DELETE FROM t WHERE \"b\" = 1"), TEARS_INVALID);
    assert_non_null(strstr(world->error.message, "no such column: b"));
    assert_string_equal(world->error.origin, "l3.sqlite");
    assert_int_equal(world->error.detail, 1);
}

/* ---- deadlines ---- */

static void a_busy_writer_is_waited_for_until_the_deadline(void **state)
{
    struct world *world = *state;
    struct t3_lite_conn *first = writer_of(world);
    struct t3_lite_conn *second = NULL;
    const uint64_t start = t3_now_us();
    assert_int_equal(
        t3_lite_take_writer(world->lite, t3_deadline_in_ms(50), &second, &world->error),
        TEARS_TIMEOUT);
    assert_true(t3_now_us() - start >= 50000);
    assert_non_null(strstr(world->error.message, world->path));
    t3_lite_give(first);
}

static void another_process_lock_is_waited_for_until_the_deadline(void **state)
{
    struct world *world = *state;
    struct world other = {0};
    assert_int_equal(open_path(&other, world->path), TEARS_OK); /* as another process would */
    struct t3_lite_conn *holder = writer_of(&other);
    assert_int_equal(t3_lite_begin(holder, true, NULL), TEARS_OK);

    struct t3_lite_conn *waiter = writer_of(world);
    t3_lite_set_deadline(waiter, t3_deadline_in_ms(50));
    const uint64_t start = t3_now_us();
    assert_int_equal(t3_lite_begin(waiter, true, &world->error), TEARS_TIMEOUT);
    assert_in_range(t3_now_us() - start, 50000, 1500000);
    assert_false(t3_lite_in_transaction(waiter));
    t3_lite_rollback(holder);
    t3_lite_set_deadline(waiter, t3_deadline_in_ms(1000));
    assert_int_equal(t3_lite_begin(waiter, true, &world->error), TEARS_OK);
    t3_lite_give(waiter);
    t3_lite_give(holder);
    t3_lite_free(other.lite);
}

static void a_long_statement_ends_at_the_deadline(void **state)
{
    struct world *world = *state;
    struct t3_lite_conn *conn = reader_of(world);
    t3_lite_set_deadline(conn, t3_deadline_in_ms(50));
    int64_t value;
    const uint64_t start = t3_now_us();
    assert_int_equal(t3_lite_int(conn,
                                 "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
                                 " SELECT count(*) FROM n",
                                 &value, &world->error),
                     TEARS_TIMEOUT);
    assert_in_range(t3_now_us() - start, 50000, 1500000);
    t3_lite_set_deadline(conn, t3_deadline_in_ms(1000));
    assert_int_equal(t3_lite_int(conn, "SELECT 7", &value, NULL), TEARS_OK);
    t3_lite_give(conn);
}

/* ---- every failure rolls back (W-29) ---- */

static void a_connection_given_back_has_no_transaction(void **state)
{
    struct world *world = *state;
    assert_int_equal(exec(world, "CREATE TABLE t (a INTEGER PRIMARY KEY)"), TEARS_OK);
    struct t3_lite_conn *conn = writer_of(world);
    assert_int_equal(t3_lite_begin(conn, true, NULL), TEARS_OK);
    assert_int_equal(t3_lite_exec(conn, "INSERT INTO t VALUES (1)", NULL), TEARS_OK);
    assert_int_equal(t3_lite_exec(conn, "INSERT INTO t VALUES (1)", &world->error), TEARS_CONFLICT);
    t3_lite_give(conn);
    assert_int_equal(number(world, "SELECT count(*) FROM t"), 0);
    assert_int_equal(exec(world, "INSERT INTO t VALUES (1)"), TEARS_OK);
}

static void a_savepoint_undoes_its_part_only(void **state)
{
    struct world *world = *state;
    assert_int_equal(exec(world, "CREATE TABLE t (a)"), TEARS_OK);
    struct t3_lite_conn *conn = writer_of(world);
    assert_int_equal(t3_lite_begin(conn, true, NULL), TEARS_OK);
    assert_int_equal(t3_lite_exec(conn, "INSERT INTO t VALUES (1)", NULL), TEARS_OK);
    assert_int_equal(t3_lite_savepoint(conn, NULL), TEARS_OK);
    assert_int_equal(t3_lite_exec(conn, "INSERT INTO t VALUES (2)", NULL), TEARS_OK);
    t3_lite_savepoint_undo(conn);
    assert_int_equal(t3_lite_savepoint(conn, NULL), TEARS_OK);
    assert_int_equal(t3_lite_exec(conn, "INSERT INTO t VALUES (4)", NULL), TEARS_OK);
    assert_int_equal(t3_lite_savepoint_keep(conn, NULL), TEARS_OK);
    assert_int_equal(t3_lite_commit(conn, NULL), TEARS_OK);
    t3_lite_give(conn);
    assert_int_equal(number(world, "SELECT sum(a) FROM t"), 5);
}

/* ---- statements ---- */

static void statements_are_kept_and_bounded(void **state)
{
    struct world *world = *state;
    struct t3_lite_conn *conn = reader_of(world);
    char first[64] = "SELECT 0";
    struct t3_lite_stmt *stmt = prepared(world, conn, first);
    struct t3_lite_stmt *same = stmt;
    t3_lite_reset(&stmt);
    stmt = t3_lite_find(conn, tears_str_c(first));
    assert_ptr_equal(stmt, same);
    for (int i = 1; i <= T3_LITE_STATEMENTS_MAX * 2; i++) { /* `stmt` is in use: it must survive */
        char text[64];
        snprintf(text, sizeof text, "SELECT %d", i);
        struct t3_lite_stmt *other = prepared(world, conn, text);
        bool row;
        assert_int_equal(t3_lite_step(other, &row, NULL), TEARS_OK);
        assert_int_equal(t3_lite_cell_raw(other, 0).as.integer, i);
        t3_lite_reset(&other);
    }
    bool row;
    assert_int_equal(t3_lite_step(stmt, &row, NULL), TEARS_OK);
    assert_true(row);
    t3_lite_reset(&stmt);
    assert_null(t3_lite_find(conn, TEARS_STR("SELECT 1"))); /* given up long ago */
    t3_lite_give(conn);
}

static void count_release(void *held)
{
    ++*(int *)held;
}

static void what_a_statement_holds_is_released_once(void **state)
{
    struct world *world = *state;
    int released = 0;
    struct t3_lite_conn *conn = reader_of(world);
    struct t3_lite_sql sql = {.key = TEARS_STR("\0k"),
                              .sql = TEARS_STR("SELECT nonsense"),
                              .held = &released,
                              .release = count_release};
    struct t3_lite_stmt *stmt = NULL;
    assert_int_equal(t3_lite_prepare(conn, &sql, &stmt, &world->error), TEARS_INVALID);
    assert_int_equal(released, 1);
    sql.sql = TEARS_STR("SELECT 1");
    assert_int_equal(t3_lite_prepare(conn, &sql, &stmt, &world->error), TEARS_OK);
    assert_ptr_equal(t3_lite_held(stmt), &released);
    t3_lite_reset(&stmt);
    t3_lite_give(conn);
    assert_int_equal(released, 1);
    t3_lite_free(world->lite);
    assert_int_equal(released, 2);
    assert_int_equal(open_path(world, world->path), TEARS_OK);
}

static void a_statement_survives_a_changed_table(void **state)
{
    struct world *world = *state;
    assert_int_equal(exec(world, "CREATE TABLE t (a); INSERT INTO t VALUES (1)"), TEARS_OK);
    assert_int_equal(number(world, "SELECT sum(a) FROM t"), 1);
    assert_int_equal(exec(world, "ALTER TABLE t ADD COLUMN b; INSERT INTO t VALUES (2, 2)"),
                     TEARS_OK);
    assert_int_equal(number(world, "SELECT sum(a) FROM t"), 3);
}

static void foreign_sql_may_not_leave_traces(void **state)
{
    struct world *world = *state;
    static const char *const denied[] = {"BEGIN",       "COMMIT",
                                         "SAVEPOINT x", "ATTACH ':memory:' AS x",
                                         "DETACH main", "PRAGMA foreign_keys = OFF",
                                         "ROLLBACK",    "PRAGMA journal_mode = DELETE"};
    struct t3_lite_conn *conn = writer_of(world);
    for (size_t i = 0; i < T3_COUNT(denied); i++) {
        const struct tears_str text = tears_str_c(denied[i]);
        const struct t3_lite_sql sql = {.key = text, .sql = text, .foreign = true};
        struct t3_lite_stmt *stmt = NULL;
        assert_int_equal(t3_lite_prepare(conn, &sql, &stmt, &world->error), TEARS_DENIED);
    }
    static const char *const invalid[] = {"", "-- nothing", "SELECT 1; SELECT 2", "SELECT 1; bad"};
    for (size_t i = 0; i < T3_COUNT(invalid); i++) {
        const struct tears_str text = tears_str_c(invalid[i]);
        const struct t3_lite_sql sql = {.key = text, .sql = text, .foreign = true};
        struct t3_lite_stmt *stmt = NULL;
        assert_int_equal(t3_lite_prepare(conn, &sql, &stmt, &world->error), TEARS_INVALID);
    }
    struct t3_lite_stmt *stmt = prepared(world, conn, "SELECT 1; -- and a comment\n ;");
    t3_lite_reset(&stmt);
    t3_lite_give(conn);
}

static tears_status bind_numbers(struct world *world, const char *sql, size_t count,
                                 int64_t *sum_out)
{
    struct tears_value values[12];
    for (size_t i = 0; i < T3_COUNT(values); i++)
        values[i] = tears_int((int64_t)i + 1);
    struct t3_lite_conn *conn = reader_of(world);
    struct t3_lite_stmt *stmt = prepared(world, conn, sql);
    tears_status status = t3_lite_bind_numbered(stmt, values, count, &world->arena, &world->error);
    bool row;
    if (status == TEARS_OK)
        status = t3_lite_step(stmt, &row, &world->error);
    if (status == TEARS_OK)
        *sum_out = t3_lite_cell_raw(stmt, 0).as.integer;
    t3_lite_reset(&stmt);
    t3_lite_give(conn);
    return status;
}

static void placeholders_are_found_by_their_numbers(void **state)
{
    struct world *world = *state;
    int64_t sum = 0;
    assert_int_equal(bind_numbers(world, "SELECT $2 * 10 + $1", 2, &sum), TEARS_OK);
    assert_int_equal(sum, 21);
    assert_int_equal(bind_numbers(world, "SELECT $2 + $2 + $1 -- $3", 2, &sum), TEARS_OK);
    assert_int_equal(sum, 5);
    assert_int_equal(
        bind_numbers(world, "SELECT '$9' || \"$8\".i FROM (SELECT $1 AS i) AS \"$8\"", 1, &sum),
        TEARS_OK);
    assert_int_equal(bind_numbers(world, "SELECT ?12 + ?11", 12, &sum), TEARS_OK);
    assert_int_equal(sum, 23);
    assert_int_equal(bind_numbers(world, "SELECT $1", 2, &sum), TEARS_INVALID);
    assert_int_equal(bind_numbers(world, "SELECT $3", 2, &sum), TEARS_INVALID);
    assert_int_equal(bind_numbers(world, "SELECT $name", 1, &sum), TEARS_INVALID);
    assert_int_equal(bind_numbers(world, "SELECT :a", 1, &sum), TEARS_INVALID);
    assert_int_equal(bind_numbers(world, "SELECT $0", 1, &sum), TEARS_INVALID);
}

/* ---- cells ---- */

static void timestamps_have_one_form(void **state)
{
    (void)state;
    static const struct {
        int64_t us;
        const char *text;
    } known[] = {
        {0, "1970-01-01T00:00:00.000000+00:00"},
        {-1, "1969-12-31T23:59:59.999999+00:00"},
        {951825599999999, "2000-02-29T11:59:59.999999+00:00"},
        {1780488000000001, "2026-06-03T12:00:00.000001+00:00"},
        {-62135596800000000, "0001-01-01T00:00:00.000000+00:00"},
        {253402300799999999, "9999-12-31T23:59:59.999999+00:00"},
        {-2203891200000000, "1900-03-01T00:00:00.000000+00:00"},
    };
    char text[T3_LITE_TIMESTAMP_LEN + 1];
    for (size_t i = 0; i < T3_COUNT(known); i++) {
        assert_int_equal(t3_lite_timestamp_text(known[i].us, text), TEARS_OK);
        assert_string_equal(text, known[i].text);
    }
    assert_int_equal(t3_lite_timestamp_text(-62135596800000001, text), TEARS_INVALID);
    assert_int_equal(t3_lite_timestamp_text(253402300800000000, text), TEARS_INVALID);
    assert_int_equal(t3_lite_timestamp_text(INT64_MIN, text), TEARS_INVALID);
    assert_int_equal(t3_lite_timestamp_text(INT64_MAX, text), TEARS_INVALID);
}

/* The value a cell of `kind` gives for what an SQL expression makes. */
static tears_status cell_of(struct world *world, const char *expression, uint8_t kind,
                            struct tears_value *value)
{
    char sql[256];
    snprintf(sql, sizeof sql, "SELECT %s", expression);
    struct t3_lite_conn *conn = reader_of(world);
    struct t3_lite_stmt *stmt = prepared(world, conn, sql);
    bool row;
    assert_int_equal(t3_lite_step(stmt, &row, &world->error), TEARS_OK);
    const tears_status status = t3_lite_cell(stmt, 0, kind, T3_LITE_FOREIGN, &world->arena, value);
    if (status == TEARS_OK && value->kind >= TEARS_KIND_TEXT && value->kind <= TEARS_KIND_BYTES)
        assert_int_equal(t3_arena_str(&world->arena, value->as.bytes, &value->as.bytes), TEARS_OK);
    t3_lite_reset(&stmt);
    t3_lite_give(conn);
    return status;
}

static void timestamps_are_read_in_any_form(void **state)
{
    struct world *world = *state;
    static const char *const same[] = {"'2026-06-03T12:00:00.500000+00:00'",
                                       "'2026-06-03 12:00:00.5'", "'2026-06-03T14:00:00.5+02:00'",
                                       "'2026-06-03T12:00:00.500Z'"};
    struct tears_value value;
    for (size_t i = 0; i < T3_COUNT(same); i++) {
        assert_int_equal(cell_of(world, same[i], TEARS_KIND_TIMESTAMP, &value), TEARS_OK);
        assert_true(value.as.integer == 1780488000500000);
    }
    for (int64_t day = -719162; day < 2932897;
         day += 97) { /* the short way and the long way agree */
        char text[T3_LITE_TIMESTAMP_LEN + 3];
        const int64_t us = day * 86400000000 + 86399999999;
        text[0] = '\'';
        assert_int_equal(t3_lite_timestamp_text(us, text + 1), TEARS_OK);
        memcpy(text + 33, "'", 2);
        if (day % 50 == 0) /* each is a statement: take some */
            assert_int_equal(cell_of(world, text, TEARS_KIND_TIMESTAMP, &value), TEARS_OK);
        if (day % 50 == 0)
            assert_true(value.as.integer == us);
    }
    static const char *const bad[] = {"'2026-02-29T00:00:00.000000+00:00'",
                                      "'soon'",
                                      "5",
                                      "x'00'",
                                      "'2026-13-01T00:00:00.000000+00:00'",
                                      "'2026-01-01T24:00:01.000000+00:00'"};
    for (size_t i = 0; i < T3_COUNT(bad); i++)
        assert_int_equal(cell_of(world, bad[i], TEARS_KIND_TIMESTAMP, &value), TEARS_CORRUPT);
}

static void cells_that_do_not_fit_are_corrupt(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *expression;
        uint8_t kind;
    } bad[] = {
        {"'x'", TEARS_KIND_INT},
        {"1.5", TEARS_KIND_INT},
        {"x'00'", TEARS_KIND_TEXT},
        {"2", TEARS_KIND_BOOL},
        {"'t'", TEARS_KIND_BOOL},
        {"'abc'", TEARS_KIND_DECIMAL},
        {"'{'", TEARS_KIND_JSON},
        {"'x'", TEARS_KIND_UUID},
        {"x'0011'", TEARS_KIND_UUID},
        {"'text'", TEARS_KIND_BYTES},
        {"'[1, x]'", TEARS_KIND_VECTOR},
        {"'1.5'", TEARS_KIND_DOUBLE},
        {"CAST(x'FF' AS TEXT)", TEARS_KIND_TEXT},
    };
    struct tears_value value;
    for (size_t i = 0; i < T3_COUNT(bad); i++)
        assert_int_equal(cell_of(world, bad[i].expression, bad[i].kind, &value), TEARS_CORRUPT);
    static const struct {
        const char *expression;
        uint8_t kind;
        const char *text;
    } good[] = {
        {"12", TEARS_KIND_DECIMAL, "12"},
        {"0.1", TEARS_KIND_DECIMAL, "0.1"},
        {"'0.1000'", TEARS_KIND_DECIMAL, "0.1000"},
        {"5", TEARS_KIND_TEXT, "5"},
        {"1", TEARS_KIND_JSON, "1"},
        {"x''", TEARS_KIND_BYTES, ""},
    };
    for (size_t i = 0; i < T3_COUNT(good); i++) {
        assert_int_equal(cell_of(world, good[i].expression, good[i].kind, &value), TEARS_OK);
        assert_int_equal(value.kind, good[i].kind);
        assert_string_equal(value.as.bytes.ptr, good[i].text);
    }
    assert_int_equal(cell_of(world, "x'000102030405060708090a0b0c0d0e0f'", TEARS_KIND_UUID, &value),
                     TEARS_OK);
    assert_int_equal(value.as.uuid[15], 15);
}

static void the_version_clock_moves_strictly_forward(void **state)
{
    struct world *world = *state;
    assert_int_equal(number(world, "SELECT tears_next_us('9000-01-01 00:00:00.999999') ="
                                   " '9000-01-01T00:00:01.000000+00:00'"),
                     1);
    assert_int_equal(number(world, "SELECT tears_next_us('1990-01-01') > '2020'"), 1);
    assert_int_equal(number(world, "SELECT length(tears_next_us(NULL))"), 32);
    assert_int_equal(number(world, "SELECT abs(julianday(tears_now()) - julianday('now')) < 0.001"),
                     1);
    struct t3_lite_conn *conn = reader_of(world);
    int64_t value;
    assert_int_equal(t3_lite_int(conn, "SELECT tears_next_us('never')", &value, &world->error),
                     TEARS_INVALID);
    t3_lite_give(conn);
}

/* ---- files that are not what they should be ---- */

static void reopen_expecting(struct world *world, const char *path, tears_status expected,
                             const char *words)
{
    struct world other = {0};
    assert_int_equal(open_path(&other, path), expected);
    assert_null(other.lite);
    assert_non_null(strstr(other.error.message, words));
    assert_non_null(strstr(other.error.message, path));
    (void)world;
}

static void write_file(const char *path, const char *text, size_t len)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static void bad_paths_have_clear_errors(void **state)
{
    struct world *world = *state;
    reopen_expecting(world, "/nonexistent/directory/data.db", TEARS_UNAVAILABLE,
                     "no such directory");
    reopen_expecting(world, world->directory, TEARS_UNAVAILABLE, "cannot be opened");
    struct world other = {0};
    assert_int_equal(open_path(&other, ""), TEARS_INVALID);
}

static void a_file_of_something_else_is_corrupt_and_untouched(void **state)
{
    struct world *world = *state;
    static const char text[] =
        "This is a letter, long enough to be taken for a page of a database, "
        "but it is none. Whoever opens it must leave it as it is, every byte.";
    char path[128];
    snprintf(path, sizeof path, "%s/letter", world->directory);
    write_file(path, text, sizeof text);
    reopen_expecting(world, path, TEARS_CORRUPT, "not an SQLite database");
    char again[sizeof text];
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fread(again, 1, sizeof again, file), sizeof again);
    assert_int_equal(fclose(file), 0);
    assert_memory_equal(again, text, sizeof text);
    assert_int_equal(unlink(path), 0);
}

static void a_damaged_database_is_corrupt(void **state)
{
    struct world *world = *state;
    assert_int_equal(exec(world,
                          "CREATE TABLE t (a TEXT); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL"
                          " SELECT i + 1 FROM n WHERE i < 2000)"
                          " INSERT INTO t SELECT hex(randomblob(50)) FROM n"),
                     TEARS_OK);
    t3_lite_free(world->lite); /* the WAL goes into the file */
    const int file = open(world->path, O_RDWR);
    assert_true(file >= 0);
    char garbage[4096];
    memset(garbage, 0x5a, sizeof garbage);
    for (off_t page = 2; page < 30; page++)
        assert_int_equal(pwrite(file, garbage, sizeof garbage, page * 4096), sizeof garbage);
    assert_int_equal(close(file), 0);
    assert_int_equal(open_path(world, world->path), TEARS_OK); /* the catalogue is whole */
    struct t3_lite_conn *conn = reader_of(world);
    int64_t value;
    assert_int_equal(t3_lite_int(conn, "SELECT sum(length(a)) FROM t", &value, &world->error),
                     TEARS_CORRUPT);
    assert_non_null(strstr(world->error.message, "damaged"));
    assert_int_equal(world->error.detail & 0xff, 11);
    t3_lite_give(conn);
}

/* Root may write anywhere, so the test becomes somebody else for a while. */
static void a_read_only_file_can_be_read(void **state)
{
    struct world *world = *state;
    assert_int_equal(exec(world, "CREATE TABLE t (a); INSERT INTO t VALUES (7)"), TEARS_OK);
    t3_lite_free(world->lite);
    world->lite = NULL;
    assert_int_equal(chmod(world->path, 0444), 0);
    assert_int_equal(chmod(world->directory, 0555), 0);
    const bool is_root = geteuid() == 0;
    if (is_root)
        assert_int_equal(seteuid(65534), 0);
    const tears_status status = open_path(world, world->path);
    if (status == TEARS_OK) {
        struct t3_lite_conn *conn = NULL;
        assert_true(t3_lite_is_read_only(world->lite));
        assert_int_equal(number(world, "SELECT a FROM t"), 7);
        assert_int_equal(
            t3_lite_take_writer(world->lite, t3_deadline_in_ms(100), &conn, &world->error),
            TEARS_DENIED);
        assert_non_null(strstr(world->error.message, "read-only"));
        t3_lite_free(world->lite);
    } else {
        assert_int_equal(status, TEARS_DENIED);
        assert_non_null(strstr(world->error.message, world->path));
    }
    if (is_root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(chmod(world->directory, 0755), 0);
    assert_int_equal(chmod(world->path, 0644), 0);
    world->lite = NULL;
    assert_int_equal(open_path(world, world->path), TEARS_OK);
    assert_int_equal(exec(world, "INSERT INTO t VALUES (8)"), TEARS_OK);
}

static const char fill_sql[] = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
                               " WHERE i < 2000) INSERT INTO t SELECT hex(randomblob(500)) FROM n";

static void a_full_database_keeps_what_it_has(void **state)
{
    struct world *world = *state;
    assert_int_equal(exec(world, "CREATE TABLE t (a); INSERT INTO t VALUES ('kept')"), TEARS_OK);
    assert_int_equal(exec(world, "PRAGMA max_page_count = 40"), TEARS_OK);
    assert_int_equal(exec(world, fill_sql), TEARS_LIMIT);
    assert_non_null(strstr(world->error.message, "full"));
    assert_int_equal(number(world, "SELECT count(*) FROM t"), 1);
    assert_int_equal(exec(world, "PRAGMA max_page_count = 100000"), TEARS_OK);
    assert_int_equal(exec(world, fill_sql), TEARS_OK);
    assert_int_equal(number(world, "SELECT count(*) FROM t"), 2001);
}

/* The kernel refuses to let files grow: to SQLite that is an I/O error, to people a full disk. */
static void a_full_disk_is_a_limit_and_is_survived(void **state)
{
    struct world *world = *state;
    assert_int_equal(exec(world, "CREATE TABLE t (a); INSERT INTO t VALUES ('kept')"), TEARS_OK);
    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    const struct rlimit small = {.rlim_cur = 100 * 1024, .rlim_max = old.rlim_max};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction before;
    assert_int_equal(sigaction(SIGXFSZ, &ignore, &before), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const tears_status status = exec(world, fill_sql);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(sigaction(SIGXFSZ, &before, NULL), 0);
    assert_int_equal(status, TEARS_LIMIT);
    assert_int_equal(number(world, "SELECT count(*) FROM t"), 1);
    assert_int_equal(exec(world, fill_sql), TEARS_OK);
    assert_int_equal(number(world, "SELECT count(*) FROM t"), 2001);
    assert_int_equal(number(world, "SELECT count(*) FROM pragma_integrity_check"
                                   " WHERE integrity_check = 'ok'"),
                     1);
}

/* ---- the WAL ---- */

static off_t file_bytes(const char *path)
{
    struct stat found;
    return stat(path, &found) == 0 ? found.st_size : -1;
}

static void the_wal_is_copied_while_nobody_waits(void **state)
{
    struct world *world = *state;
    assert_int_equal(exec(world, "CREATE TABLE t (a)"), TEARS_OK);
    assert_int_equal(exec(world, fill_sql), TEARS_OK);
    const struct t3_deadline deadline = t3_deadline_in_ms(10000);
    while (file_bytes(world->path) < 1000000 && !t3_deadline_passed(deadline))
        usleep(20000);
    assert_true(file_bytes(world->path) >= 1000000);
    assert_int_equal(t3_lite_checkpoint(world->lite, t3_deadline_in_ms(1000), &world->error),
                     TEARS_OK);
    char wal[128];
    snprintf(wal, sizeof wal, "%s-wal", world->path);
    assert_int_equal(file_bytes(wal), 0);
    assert_int_equal(number(world, "SELECT count(*) FROM t"), 2000);
}

static void a_private_database_is_shared_by_its_pool_only(void **state)
{
    (void)state;
    struct world one = {0};
    struct world two = {0};
    assert_int_equal(open_path(&one, ":memory:"), TEARS_OK);
    assert_int_equal(open_path(&two, ":memory:"), TEARS_OK);
    assert_int_equal(exec(&one, "CREATE TABLE t (a); INSERT INTO t VALUES (7)"), TEARS_OK);
    assert_int_equal(number(&one, "SELECT a FROM t"), 7);
    assert_int_equal(number(&two, "SELECT count(*) FROM sqlite_schema"), 0);
    t3_lite_free(one.lite);
    t3_lite_free(two.lite);
}

/* ---- threads, memory ---- */

enum { THREADS = 6, ROUNDS = 150 };

static void *hammer(void *context)
{
    struct world *world = context;
    struct tears_error error;
    for (int i = 0; i < ROUNDS; i++) {
        struct t3_lite_conn *conn = NULL;
        const struct t3_deadline deadline = t3_deadline_in_ms(60000);
        int64_t value = 0;
        tears_status status = t3_lite_take_writer(world->lite, deadline, &conn, &error);
        if (status == TEARS_OK)
            status = t3_lite_exec(conn, "INSERT INTO t VALUES (1)", &error);
        if (conn != NULL)
            t3_lite_give(conn);
        conn = NULL;
        if (status == TEARS_OK)
            status = t3_lite_take_reader(world->lite, deadline, &conn, &error);
        if (status == TEARS_OK)
            status = t3_lite_int(conn, "SELECT count(*) FROM t", &value, &error);
        if (conn != NULL)
            t3_lite_give(conn);
        if (status != TEARS_OK || value <= i)
            return context; /* failed */
    }
    return NULL;
}

static void threads_share_one_file(void **state)
{
    struct world *world = *state;
    assert_int_equal(exec(world, "CREATE TABLE t (a)"), TEARS_OK);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, world), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(number(world, "SELECT count(*) FROM t"), THREADS * ROUNDS);
}

static void every_failing_allocation_is_survived(void **state)
{
    struct world *world = *state;
    for (uint64_t nth = 1;; nth++) {
        struct world other = {0};
        struct t3_lite_conn *conn = NULL;
        int64_t value = 0;
        t3_alloc_fail_at(nth);
        tears_status status = open_path(&other, world->path);
        if (status == TEARS_OK)
            status = t3_lite_take_reader(other.lite, t3_deadline_in_ms(1000), &conn, &other.error);
        if (status == TEARS_OK)
            status = t3_lite_int(conn, "SELECT 7", &value, &other.error);
        const bool reached = t3_alloc_count() >= nth;
        t3_alloc_fail_at(0);
        assert_true(status == TEARS_OK || status == TEARS_NO_MEMORY);
        if (conn != NULL)
            t3_lite_give(conn);
        t3_lite_free(other.lite);
        if (!reached) {
            assert_int_equal(value, 7);
            assert_true(nth > 5);
            return;
        }
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(commits_are_durable_and_readers_run_beside_the_writer),
        TEST(readers_cannot_write),
        TEST(a_misspelled_column_is_an_error),
        TEST(a_busy_writer_is_waited_for_until_the_deadline),
        TEST(another_process_lock_is_waited_for_until_the_deadline),
        TEST(a_long_statement_ends_at_the_deadline),
        TEST(a_connection_given_back_has_no_transaction),
        TEST(a_savepoint_undoes_its_part_only),
        TEST(statements_are_kept_and_bounded),
        TEST(what_a_statement_holds_is_released_once),
        TEST(a_statement_survives_a_changed_table),
        TEST(foreign_sql_may_not_leave_traces),
        TEST(placeholders_are_found_by_their_numbers),
        TEST(timestamps_have_one_form),
        TEST(timestamps_are_read_in_any_form),
        TEST(cells_that_do_not_fit_are_corrupt),
        TEST(the_version_clock_moves_strictly_forward),
        TEST(bad_paths_have_clear_errors),
        TEST(a_file_of_something_else_is_corrupt_and_untouched),
        TEST(a_damaged_database_is_corrupt),
        TEST(a_read_only_file_can_be_read),
        TEST(a_full_database_keeps_what_it_has),
        TEST(a_full_disk_is_a_limit_and_is_survived),
        TEST(the_wal_is_copied_while_nobody_waits),
        cmocka_unit_test(a_private_database_is_shared_by_its_pool_only),
        TEST(threads_share_one_file),
        TEST(every_failing_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
