/*
 * test_l3_pg.c -- the durable tier on a real PostgreSQL: types, batches, conflicts, transactions,
 * catalogue, failures.
 */
#include "base/alloc.h"
#include "base/str.h"
#include "support/pg_server.h"
#include "tier/l3.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { DEADLINE_MS = 20000 };

struct fixture {
    char url[256];
    struct t3_l3 *l3;
    struct t3_arena arena;
    struct tears_error error;
    struct t3_l3_call call;
    tears_schema *schema;
};

static struct t3_l3_call *fresh(struct fixture *f)
{
    struct t3_l3_tx *tx = f->call.tx;
    f->call = (struct t3_l3_call){.tx = tx,
                                  .arena = &f->arena,
                                  .deadline = t3_deadline_in_ms(DEADLINE_MS),
                                  .error = &f->error};
    return &f->call;
}

static void expect(struct fixture *f, tears_status status, tears_status wanted)
{
    if (status != wanted)
        fail_msg("%s instead of %s: %s", tears_status_name(status), tears_status_name(wanted),
                 f->error.message);
}

static void use_table(struct fixture *f, const char *sql, const char *table)
{
    test_pg_run(f->url, sql);
    tears_schema_free(f->schema);
    f->schema = NULL;
    expect(f,
           f->l3->ops->describe(f->l3, fresh(f), tears_str_c(table), TEARS_STR(""), 0, &f->schema),
           TEARS_OK);
}

static int open_fixture(void **state)
{
    static char url[256];
    if (url[0] == '\0')
        test_pg_database(url, sizeof url);
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    memcpy(f->url, url, sizeof url);
    test_pg_run(
        url, "SET client_min_messages = warning; DROP SCHEMA public CASCADE; CREATE SCHEMA public");
    const struct t3_l3_options options = {.url = tears_str_c(f->url), .pool_max = 4};
    expect(f, t3_l3_pg_open(&options, &f->l3, &f->error), TEARS_OK);
    *state = f;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *f = *state;
    tears_schema_free(f->schema);
    f->l3->ops->free(f->l3);
    t3_arena_done(&f->arena);
    free(f);
    return 0;
}

static uint32_t column(const struct fixture *f, const char *name)
{
    const uint32_t index = t3_schema_find(f->schema, tears_str_c(name));
    assert_int_not_equal(index, T3_NO_COLUMN);
    return index;
}

static struct tears_value value_of(const struct fixture *f, const struct t3_row *row,
                                   const char *name)
{
    return t3_row_value(row, &f->schema->layout, column(f, name));
}

static void assert_text(struct tears_value value, const char *wanted)
{
    assert_int_not_equal(value.kind, TEARS_KIND_NULL);
    if (!t3_str_is(value.as.bytes, wanted))
        fail_msg("'%.*s' instead of '%s'", (int)value.as.bytes.len, value.as.bytes.ptr, wanted);
}

/* A key of one integer or one text, in the fixture's arena. */
static struct t3_key key_of(struct fixture *f, struct tears_value value)
{
    struct tears_value *values = t3_arena_array(&f->arena, 1, sizeof *values);
    struct t3_key key;
    assert_non_null(values);
    values[0] = value;
    expect(f, t3_key_init(f->schema, values, 1, values, &f->arena, &key, &f->error), TEARS_OK);
    return key;
}

static struct t3_row *fetch_one(struct fixture *f, struct tears_value key_value)
{
    const struct t3_key key = key_of(f, key_value);
    struct t3_row *row = NULL;
    expect(f, f->l3->ops->fetch(f->l3, fresh(f), f->schema, &key, 1, &row), TEARS_OK);
    return row;
}

static tears_status write_rows(struct fixture *f, enum t3_write_kind kind, struct t3_write *writes,
                               size_t count)
{
    return f->l3->ops->write(f->l3, fresh(f), f->schema, kind, writes, count);
}

/* A write of (id, name) to table `items`; cells and key are the arena's. */
static struct t3_write item(struct fixture *f, int64_t id, const char *name)
{
    struct t3_cell *cells = t3_arena_array(&f->arena, 2, sizeof *cells);
    assert_non_null(cells);
    cells[0] = (struct t3_cell){column(f, "id"), tears_int(id)};
    cells[1] = (struct t3_cell){column(f, "name"), tears_text(tears_str_c(name))};
    return (struct t3_write){.cells = cells, .cell_count = 2, .key = key_of(f, tears_int(id))};
}

/* The same as an update: the key is no cell. */
static struct t3_write change(struct fixture *f, int64_t id, const char *name, int64_t base)
{
    struct t3_write write = item(f, id, name);
    write.cells++;
    write.cell_count = 1;
    write.has_base = base != 0;
    write.base = base;
    return write;
}

static const char items_sql[] =
    "CREATE TABLE items (id bigint PRIMARY KEY, name text NOT NULL, note text DEFAULT 'none',"
    " loud text GENERATED ALWAYS AS (upper(name)) STORED, row_version bigint NOT NULL)";

/* ---- types
 * --------------------------------------------------------------------------------------- */

static const char types_sql[] =
    "CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s \"fine\"');"
    "CREATE DOMAIN small AS int CHECK (VALUE < 1000);"
    "CREATE TABLE types (id int PRIMARY KEY, i2 smallint, i4 int, i8 bigint, f4 real, f8 float8,"
    " n numeric, p numeric(20,4), b bool, u uuid, t timestamptz, s text, v varchar(20), c char(5),"
    " j json, jb jsonb, y bytea, m mood, ts tsvector, d date, dom small, arr int[], ip inet, nm "
    "name,"
    " tz timestamp, iv interval)";

struct sample {
    const char *column;
    struct tears_value value;
};

static void round_trip(struct fixture *f, int64_t id, const struct sample *samples, size_t count)
{
    struct t3_cell cells[32] = {{column(f, "id"), tears_int(id)}};
    for (size_t i = 0; i < count; i++) {
        const uint32_t at = column(f, samples[i].column);
        size_t place = 1 + i;
        for (; place > 1 && cells[place - 1].column > at; place--)
            cells[place] = cells[place - 1];
        cells[place] = (struct t3_cell){at, samples[i].value};
    }
    struct t3_write write = {
        .cells = cells, .cell_count = (uint32_t)count + 1, .key = key_of(f, tears_int(id))};
    expect(f, write_rows(f, T3_WRITE_INSERT, &write, 1), TEARS_OK);
    assert_int_equal(write.status, TEARS_OK);
    const struct t3_row *fetched = fetch_one(f, tears_int(id));
    assert_non_null(fetched);
    for (size_t i = 0; i < count; i++) {
        const uint32_t at = column(f, samples[i].column);
        if (!t3_row_cell_equal(write.row, &f->schema->layout, at, &samples[i].value) ||
            !t3_row_cell_equal(fetched, &f->schema->layout, at, &samples[i].value))
            fail_msg("column %s of row %d did not come back as it was", samples[i].column, (int)id);
    }
}

static void test_limits_of_types_round_trip(void **state)
{
    struct fixture *f = *state;
    use_table(f, types_sql, "types");
    static const uint8_t uuid[16] = {0, 1, 2, 255, 254, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const struct sample highest[] = {
        {"i2", tears_int(32767)},
        {"i4", tears_int(INT32_MAX)},
        {"i8", tears_int(INT64_MAX)},
        {"f4", tears_double(1.5)},
        {"f8", tears_double(1.7976931348623157e308)},
        {"n", tears_decimal(TEARS_STR("123456789012345678901234567890.000100"))},
        {"p", tears_decimal(TEARS_STR("9999999999999999.9999"))},
        {"b", tears_bool(true)},
        {"u", tears_uuid(uuid)},
        {"t", tears_timestamp_us(INT64_MAX)},
        {"s", tears_text(TEARS_STR("\xF0\x9F\x90\x98 \"quoted\" \\ back"))},
        {"v", tears_text(TEARS_STR("twenty characters ok"))},
        {"c", tears_text(TEARS_STR("five5"))},
        {"j", tears_json(TEARS_STR("{\"a\" : 0.10, \"a\":1e400}"))},
        {"jb", tears_json(TEARS_STR("{\"a\": 0.10}"))},
        {"y", tears_bytes(TEARS_STR("\0nul\0\xff"))},
        {"m", tears_text(TEARS_STR("it's \"fine\""))},
        {"ts", tears_text(TEARS_STR("'fat':2 'rat':3"))},
        {"d", tears_text(TEARS_STR("2024-02-29"))},
        {"dom", tears_int(999)},
        {"arr", tears_text(TEARS_STR("{1,NULL,3}"))},
        {"ip", tears_text(TEARS_STR("10.0.0.1/24"))},
        {"nm", tears_text(TEARS_STR("a name"))},
        {"tz", tears_text(TEARS_STR("2024-01-01 12:00:00.000001"))},
        {"iv", tears_text(TEARS_STR("1 day 02:03:04"))},
    };
    const struct sample lowest[] = {
        {"i2", tears_int(-32768)},
        {"i4", tears_int(INT32_MIN)},
        {"i8", tears_int(INT64_MIN)},
        {"f8", tears_double(-5e-324)},
        {"n", tears_decimal(TEARS_STR("-0.00000000000000000001"))},
        {"b", tears_bool(false)},
        {"t", tears_timestamp_us(INT64_MIN)},
        {"s", tears_text(TEARS_STR(""))},
        {"jb", tears_json(TEARS_STR("null"))},
        {"y", tears_bytes(TEARS_STR(""))},
        {"ip", tears_null()},
    };
    const struct sample odd[] = {
        {"n", tears_decimal(TEARS_STR("NaN"))},
        {"f8", tears_double((double)INFINITY)},
        {"t", tears_timestamp_us(-1)},
    };
    round_trip(f, 1, highest, T3_COUNT(highest));
    round_trip(f, 2, lowest, T3_COUNT(lowest));
    round_trip(f, 3, odd, T3_COUNT(odd));
}

/* Text -> PostgreSQL -> text, for many numbers of every size and scale. */
static void test_numeric_is_exact(void **state)
{
    struct fixture *f = *state;
    enum { NUMBERS = 2000 };
    use_table(f, "CREATE TABLE numbers (id int PRIMARY KEY, n numeric)", "numbers");
    struct t3_write *writes = calloc(NUMBERS, sizeof *writes);
    assert_non_null(writes);
    uint64_t seed = 20240229;
    for (int i = 0; i < NUMBERS; i++) {
        char text[128];
        size_t len = 0;
        const unsigned whole = 1 + (unsigned)(seed >> 33) % 40;
        const unsigned scale = (unsigned)(seed >> 23) % 40;
        if (seed & 1)
            text[len++] = '-';
        for (unsigned k = 0; k < whole + scale; k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            if (k == whole)
                text[len++] = '.';
            const bool zeros = (seed >> 60) < 6;
            text[len++] = (char)('0' + (k == 0  ? 1 + (seed >> 33) % 9
                                        : zeros ? 0
                                                : (seed >> 33) % 10));
        }
        struct t3_cell *cells = t3_arena_array(&f->arena, 2, sizeof *cells);
        struct tears_str copy;
        expect(f, t3_arena_str(&f->arena, tears_str_n(text, len), &copy), TEARS_OK);
        cells[0] = (struct t3_cell){0, tears_int(i)};
        cells[1] = (struct t3_cell){1, tears_decimal(copy)};
        writes[i] =
            (struct t3_write){.cells = cells, .cell_count = 2, .key = key_of(f, tears_int(i))};
    }
    expect(f, write_rows(f, T3_WRITE_INSERT, writes, NUMBERS), TEARS_OK);
    for (int i = 0; i < NUMBERS; i++) {
        assert_int_equal(writes[i].status, TEARS_OK);
        assert_true(
            t3_row_cell_equal(writes[i].row, &f->schema->layout, 1, &writes[i].cells[1].value));
    }
    free(writes);
}

static void test_numeric_keys_match_by_value(void **state)
{
    struct fixture *f = *state;
    use_table(f,
              "CREATE TABLE prices (n numeric PRIMARY KEY, s text);"
              "INSERT INTO prices VALUES (1.50, 'a'), (2, 'b')",
              "prices");
    const struct t3_key keys[] = {key_of(f, tears_decimal(TEARS_STR("1.5"))),
                                  key_of(f, tears_decimal(TEARS_STR("2.00"))),
                                  key_of(f, tears_decimal(TEARS_STR("3")))};
    struct t3_row *rows[3];
    expect(f, f->l3->ops->fetch(f->l3, fresh(f), f->schema, keys, 3, rows), TEARS_OK);
    assert_text(value_of(f, rows[0], "s"), "a");
    assert_text(value_of(f, rows[1], "s"), "b");
    assert_null(rows[2]);
}

static void test_a_value_the_database_refuses(void **state)
{
    struct fixture *f = *state;
    use_table(f, types_sql, "types");
    struct t3_cell cells[] = {{column(f, "id"), tears_int(1)}, {column(f, "i2"), tears_int(40000)}};
    struct t3_write write = {.cells = cells, .cell_count = 2, .key = key_of(f, tears_int(1))};
    expect(f, write_rows(f, T3_WRITE_INSERT, &write, 1), TEARS_INVALID);
    assert_string_equal(f->error.sqlstate, "22003");
    cells[1] = (struct t3_cell){column(f, "s"), tears_text(TEARS_STR("nul\0"))};
    expect(f, write_rows(f, T3_WRITE_INSERT, &write, 1), TEARS_INVALID);
    assert_string_equal(f->error.origin, "l3.pg");
    assert_false(f->call.outcome_unknown);
}

/* ---- writes
 * -------------------------------------------------------------------------------------- */

static void test_defaults_and_generated_columns_come_back(void **state)
{
    struct fixture *f = *state;
    use_table(f, items_sql, "items");
    struct t3_write write = item(f, 7, "ada");
    expect(f, write_rows(f, T3_WRITE_INSERT, &write, 1), TEARS_OK);
    assert_int_equal(write.status, TEARS_OK);
    assert_text(value_of(f, write.row, "loud"), "ADA");
    assert_text(value_of(f, write.row, "note"), "none");
    assert_int_equal(write.version, 1);
    struct t3_write update = change(f, 7, "eve", write.version);
    expect(f, write_rows(f, T3_WRITE_UPDATE, &update, 1), TEARS_OK);
    assert_int_equal(update.version, 2);
    assert_text(value_of(f, update.row, "loud"), "EVE");
}

static void test_a_duplicate_gives_the_row_that_is_there(void **state)
{
    struct fixture *f = *state;
    use_table(f, items_sql, "items");
    struct t3_write first = item(f, 1, "first");
    struct t3_write second = item(f, 1, "second");
    expect(f, write_rows(f, T3_WRITE_INSERT, &first, 1), TEARS_OK);
    expect(f, write_rows(f, T3_WRITE_INSERT, &second, 1), TEARS_OK);
    assert_int_equal(second.status, TEARS_CONFLICT);
    assert_text(value_of(f, second.row, "name"), "first");
    assert_int_equal(second.version, 1);
}

static void test_updates_with_and_without_a_base(void **state)
{
    struct fixture *f = *state;
    use_table(f, items_sql, "items");
    struct t3_write made = item(f, 1, "one");
    expect(f, write_rows(f, T3_WRITE_INSERT, &made, 1), TEARS_OK);
    struct t3_write writes[] = {change(f, 1, "stale", 99), change(f, 2, "gone", 1)};
    for (size_t i = 0; i < 2; i++)
        expect(f, write_rows(f, T3_WRITE_UPDATE, &writes[i], 1), TEARS_OK);
    assert_int_equal(writes[0].status, TEARS_CONFLICT);
    assert_text(value_of(f, writes[0].row, "name"), "one");
    assert_int_equal(writes[1].status, TEARS_CONFLICT);
    assert_null(writes[1].row);
    struct t3_write blind = change(f, 3, "nobody", 0);
    expect(f, write_rows(f, T3_WRITE_UPDATE, &blind, 1), TEARS_OK);
    assert_int_equal(blind.status, TEARS_NOT_FOUND);
    struct t3_write batch[] = {change(f, 1, "right", 1), change(f, 1, "again", 1),
                               change(f, 4, "nobody", 0)};
    expect(f, write_rows(f, T3_WRITE_UPDATE, batch, 3), TEARS_OK);
    assert_int_equal(batch[0].status, TEARS_OK);
    assert_int_equal(batch[1].status, TEARS_CONFLICT);
    assert_text(value_of(f, batch[1].row, "name"), "right");
    assert_int_equal(batch[2].status, TEARS_NOT_FOUND);
}

static void test_deletions(void **state)
{
    struct fixture *f = *state;
    use_table(f, items_sql, "items");
    struct t3_write made[] = {item(f, 1, "a"), item(f, 2, "b"), item(f, 3, "c")};
    expect(f, write_rows(f, T3_WRITE_INSERT, made, 3), TEARS_OK);
    struct t3_write batch[] = {{.key = key_of(f, tears_int(1))},
                               {.key = key_of(f, tears_int(1))},
                               {.key = key_of(f, tears_int(2)), .has_base = true, .base = 9},
                               {.key = key_of(f, tears_int(8)), .has_base = true, .base = 9}};
    expect(f, write_rows(f, T3_WRITE_DELETE, batch, 4), TEARS_OK);
    assert_int_equal(batch[0].status, TEARS_OK);
    assert_int_equal(batch[0].version, 1);
    assert_int_equal(batch[1].status, TEARS_NOT_FOUND);
    assert_int_equal(batch[2].status, TEARS_CONFLICT);
    assert_text(value_of(f, batch[2].row, "name"), "b");
    assert_int_equal(batch[3].status, TEARS_NOT_FOUND);
    struct t3_write one = {.key = key_of(f, tears_int(3)), .has_base = true, .base = 1};
    expect(f, write_rows(f, T3_WRITE_DELETE, &one, 1), TEARS_OK);
    assert_int_equal(one.status, TEARS_OK);
    assert_null(fetch_one(f, tears_int(3)));
}

static void test_a_batch_with_duplicates_and_conflicts(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 2500 };
    use_table(f, items_sql, "items");
    test_pg_run(f->url, "INSERT INTO items (id, name, row_version) VALUES (17, 'old', 5)");
    struct t3_write *writes = calloc(COUNT, sizeof *writes);
    assert_non_null(writes);
    for (int64_t i = 0; i < COUNT; i++) /* in descending order; the last repeats the first */
        writes[i] = item(f, i == COUNT - 1 ? COUNT : COUNT - i, i == COUNT - 1 ? "again" : "new");
    expect(f, write_rows(f, T3_WRITE_INSERT, writes, COUNT), TEARS_OK);
    for (int64_t i = 0; i < COUNT - 1; i++) {
        const bool taken = COUNT - i == 17;
        assert_int_equal(writes[i].status, taken ? TEARS_CONFLICT : TEARS_OK);
        assert_int_equal(value_of(f, writes[i].row, "id").as.integer, COUNT - i);
        assert_text(value_of(f, writes[i].row, "name"), taken ? "old" : "new");
    }
    assert_int_equal(writes[COUNT - 1].status, TEARS_CONFLICT);
    assert_text(value_of(f, writes[COUNT - 1].row, "name"), "new");
    free(writes);
}

static void test_upserts_of_one_key_happen_in_order(void **state)
{
    struct fixture *f = *state;
    use_table(f, items_sql, "items");
    struct t3_write batch[] = {item(f, 1, "a"), item(f, 2, "x"), item(f, 1, "b"), item(f, 1, "c")};
    expect(f, write_rows(f, T3_WRITE_UPSERT, batch, 4), TEARS_OK);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(batch[i].status, TEARS_OK);
    assert_int_equal(batch[3].version, 3);
    assert_text(value_of(f, fetch_one(f, tears_int(1)), "name"), "c");
}

static void test_a_batch_of_mixed_columns(void **state)
{
    struct fixture *f = *state;
    use_table(f, items_sql, "items");
    struct t3_write batch[] = {item(f, 1, "a"), item(f, 2, "b"), item(f, 3, "c")};
    struct t3_cell wide[] = {{column(f, "id"), tears_int(2)},
                             {column(f, "name"), tears_text(TEARS_STR("b"))},
                             {column(f, "note"), tears_null()}};
    batch[1].cells = wide;
    batch[1].cell_count = 3;
    expect(f, write_rows(f, T3_WRITE_INSERT, batch, 3), TEARS_OK);
    assert_text(value_of(f, batch[0].row, "note"), "none");
    assert_int_equal(value_of(f, batch[1].row, "note").kind, TEARS_KIND_NULL);
    assert_text(value_of(f, batch[2].row, "note"), "none");
}

static void test_a_refused_row_undoes_the_batch(void **state)
{
    struct fixture *f = *state;
    use_table(f, "CREATE TABLE checked (id int PRIMARY KEY, name text CHECK (name <> 'bad'))",
              "checked");
    struct t3_write batch[] = {item(f, 1, "good"), item(f, 2, "bad")};
    expect(f, write_rows(f, T3_WRITE_INSERT, batch, 2), TEARS_INVALID);
    assert_string_equal(f->error.sqlstate, "23514");
    assert_non_null(strstr(f->error.message, "checked_name_check"));
    assert_false(f->call.outcome_unknown);
    assert_null(fetch_one(f, tears_int(1)));
}

static void test_a_constraint_checked_at_commit(void **state)
{
    struct fixture *f = *state;
    use_table(f,
              "CREATE TABLE parent (id int PRIMARY KEY);"
              "CREATE TABLE child (id int PRIMARY KEY,"
              " name text, p int DEFAULT 5 REFERENCES parent DEFERRABLE INITIALLY DEFERRED)",
              "child");
    struct t3_write batch[] = {item(f, 1, "a"), item(f, 2, "b")};
    expect(f, write_rows(f, T3_WRITE_INSERT, batch, 2), TEARS_INVALID);
    assert_string_equal(f->error.sqlstate, "23503");
    expect(f, write_rows(f, T3_WRITE_INSERT, batch, 1), TEARS_INVALID);
    assert_null(fetch_one(f, tears_int(1)));
}

static void test_keys_made_by_the_database(void **state)
{
    struct fixture *f = *state;
    use_table(f,
              "CREATE TABLE made (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text)",
              "made");
    struct t3_cell cells[3];
    struct t3_write batch[3];
    static const char *names[] = {"c", "a", "b"};
    for (size_t i = 0; i < 3; i++) {
        cells[i] = (struct t3_cell){column(f, "name"), tears_text(tears_str_c(names[i]))};
        batch[i] = (struct t3_write){.cells = &cells[i], .cell_count = 1};
    }
    expect(f, write_rows(f, T3_WRITE_INSERT, &batch[0], 1), TEARS_OK);
    assert_int_equal(value_of(f, batch[0].row, "id").as.integer, 1);
    expect(f, write_rows(f, T3_WRITE_INSERT, batch, 3), TEARS_OK);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(batch[i].status, TEARS_OK);
        assert_text(value_of(f, batch[i].row, "name"), names[i]);
    }
}

static void test_composite_keys(void **state)
{
    struct fixture *f = *state;
    use_table(f,
              "CREATE TABLE pairs (a text, b timestamptz, w int, PRIMARY KEY (b, a));"
              "INSERT INTO pairs VALUES ('x', 'epoch', 1), ('y', 'epoch', 2), ('x', 'infinity', 3)",
              "pairs");
    const struct tears_value values[4][2] = {
        {tears_timestamp_us(0), tears_text(TEARS_STR("y"))},
        {tears_timestamp_us(INT64_MAX), tears_text(TEARS_STR("x"))},
        {tears_timestamp_us(1), tears_text(TEARS_STR("x"))},
        {tears_timestamp_us(0), tears_text(TEARS_STR("y"))}};
    struct tears_value storage[4][2];
    struct t3_key keys[4];
    struct t3_row *rows[4];
    for (size_t i = 0; i < 4; i++)
        expect(f, t3_key_init(f->schema, values[i], 2, storage[i], &f->arena, &keys[i], &f->error),
               TEARS_OK);
    expect(f, f->l3->ops->fetch(f->l3, fresh(f), f->schema, keys, 4, rows), TEARS_OK);
    assert_int_equal(value_of(f, rows[0], "w").as.integer, 2);
    assert_int_equal(value_of(f, rows[1], "w").as.integer, 3);
    assert_null(rows[2]);
    assert_ptr_equal(rows[3], rows[0]);
}

static void test_more_keys_than_one_statement_takes(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 2300 };
    use_table(f, items_sql, "items");
    test_pg_run(f->url, "INSERT INTO items (id, name, row_version)"
                        " SELECT i, 'n' || i, 1 FROM generate_series(0, 2299, 2) i");
    struct t3_key *keys = calloc(COUNT, sizeof *keys);
    struct t3_row **rows = calloc(COUNT, sizeof *rows);
    assert_true(keys != NULL && rows != NULL);
    for (int64_t i = 0; i < COUNT; i++)
        keys[i] = key_of(f, tears_int(COUNT - 1 - i));
    expect(f, f->l3->ops->fetch(f->l3, fresh(f), f->schema, keys, COUNT, rows), TEARS_OK);
    for (int64_t i = 0; i < COUNT; i++) {
        const int64_t id = COUNT - 1 - i;
        assert_int_equal(rows[i] != NULL, id % 2 == 0);
        if (rows[i] != NULL)
            assert_int_equal(value_of(f, rows[i], "id").as.integer, id);
    }
    free(keys);
    free(rows);
}

static void test_scan_in_pages(void **state)
{
    struct fixture *f = *state;
    use_table(f, items_sql, "items");
    test_pg_run(f->url, "INSERT INTO items (id, name, row_version)"
                        " SELECT i, 'n' || i % 2, 1 FROM generate_series(1, 10) i");
    const uint32_t order[] = {column(f, "id")};
    const struct t3_cell filter = {column(f, "name"), tears_text(TEARS_STR("n1"))};
    struct tears_value after = tears_null();
    struct t3_scan scan = {
        .filters = &filter, .filter_count = 1, .order = order, .order_count = 1, .row_max = 2};
    struct t3_row **rows = NULL;
    size_t count = 0;
    int64_t sum = 0;
    do {
        expect(f, f->l3->ops->scan(f->l3, fresh(f), f->schema, &scan, &rows, &count), TEARS_OK);
        for (size_t i = 0; i < count; i++) {
            after = value_of(f, rows[i], "id");
            sum += after.as.integer;
        }
        scan.after = &after;
    } while (count > 0);
    assert_int_equal(sum, 1 + 3 + 5 + 7 + 9);
}

/* ---- transactions
 * -------------------------------------------------------------------------------- */

static void test_transactions(void **state)
{
    struct fixture *f = *state;
    use_table(f, items_sql, "items");
    struct t3_write batch[] = {item(f, 1, "a"), item(f, 2, "b")};
    expect(f, f->l3->ops->begin(f->l3, fresh(f), &f->call.tx), TEARS_OK);
    expect(f, write_rows(f, T3_WRITE_INSERT, batch, 2), TEARS_OK);
    assert_non_null(fetch_one(f, tears_int(1)));
    struct t3_l3_tx *tx = T3_TAKE(f->call.tx);
    assert_null(fetch_one(f, tears_int(1)));
    f->l3->ops->rollback(f->l3, tx);
    assert_null(fetch_one(f, tears_int(1)));
    expect(f, f->l3->ops->begin(f->l3, fresh(f), &f->call.tx), TEARS_OK);
    expect(f, write_rows(f, T3_WRITE_INSERT, batch, 2), TEARS_OK);
    tx = T3_TAKE(f->call.tx);
    expect(f, f->l3->ops->commit(f->l3, fresh(f), tx), TEARS_OK);
    assert_non_null(fetch_one(f, tears_int(2)));
}

static void test_commit_after_a_failed_statement_is_no_success(void **state)
{
    struct fixture *f = *state;
    use_table(f, items_sql, "items");
    struct t3_result result;
    struct t3_write write = item(f, 1, "a");
    expect(f, f->l3->ops->begin(f->l3, fresh(f), &f->call.tx), TEARS_OK);
    expect(f, write_rows(f, T3_WRITE_INSERT, &write, 1), TEARS_OK);
    expect(f, f->l3->ops->query(f->l3, fresh(f), TEARS_STR("SELECT 1/0"), NULL, 0, &result),
           TEARS_INVALID);
    struct t3_l3_tx *tx = T3_TAKE(f->call.tx);
    expect(f, f->l3->ops->commit(f->l3, fresh(f), tx), TEARS_INVALID);
    assert_false(f->call.outcome_unknown);
    assert_null(fetch_one(f, tears_int(1)));
}

/* ---- raw SQL and the catalogue
 * --------------------------------------------------------------------- */

static void test_query_types(void **state)
{
    struct fixture *f = *state;
    struct t3_result r;
    const struct tears_value params[] = {tears_int(41), tears_text(TEARS_STR("it's")),
                                         tears_bytes(TEARS_STR("\0\xff"))};
    expect(f,
           f->l3->ops->query(f->l3, fresh(f),
                             TEARS_STR("SELECT $1::int + 1 AS n, $2::text AS t, $3::bytea AS y,"
                                       " NULL::int, 0.10::numeric, now()::date, ARRAY[1,2],"
                                       " true, '{\"a\": 0.10}'::jsonb, 'infinity'::timestamptz"),
                             params, 3, &r),
           TEARS_OK);
    assert_int_equal(r.row_count, 1);
    assert_true(t3_str_is(r.names[0], "n"));
    assert_int_equal(r.values[0].as.integer, 42);
    assert_text(r.values[1], "it's");
    assert_true(tears_value_equal(&r.values[2], &params[2]));
    assert_int_equal(r.values[3].kind, TEARS_KIND_NULL);
    assert_int_equal(r.values[4].kind, TEARS_KIND_DECIMAL);
    assert_text(r.values[4], "0.10");
    assert_int_equal(r.values[5].kind, TEARS_KIND_TEXT);
    assert_text(r.values[6], "{1,2}");
    assert_true(r.values[7].as.boolean);
    assert_int_equal(r.values[8].kind, TEARS_KIND_JSON);
    assert_int_equal(r.values[9].as.integer, INT64_MAX);
    expect(f,
           f->l3->ops->query(f->l3, fresh(f), TEARS_STR("COPY (SELECT 1) TO STDOUT"), NULL, 0, &r),
           TEARS_UNSUPPORTED);
    expect(f, f->l3->ops->query(f->l3, fresh(f), TEARS_STR("SELEC 1"), NULL, 0, &r), TEARS_INVALID);
    assert_int_equal(f->error.detail, 1);
}

static tears_status describe(struct fixture *f, const char *table)
{
    tears_schema *schema = NULL;
    const tears_status status =
        f->l3->ops->describe(f->l3, fresh(f), tears_str_c(table), TEARS_STR(""), 0, &schema);
    tears_schema_free(schema);
    return status;
}

static void test_describe(void **state)
{
    struct fixture *f = *state;
    test_pg_run(
        f->url,
        "CREATE SCHEMA other;"
        "CREATE TABLE other.\"Odd Name\" (\"Id\" uuid PRIMARY KEY DEFAULT gen_random_uuid());"
        "CREATE TABLE plain (a int);"
        "CREATE VIEW seen AS SELECT * FROM plain;"
        "CREATE TABLE part (k int, id int, PRIMARY KEY (id, k)) PARTITION BY LIST (k);"
        "CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1)");
    use_table(f, types_sql, "types");
    const struct t3_column *mood = &f->schema->columns[column(f, "m")];
    assert_int_equal(mood->type, TEARS_TYPE_ENUM);
    assert_int_equal(mood->enum_value_count, 3);
    assert_true(t3_str_is(mood->enum_values[2], "it's \"fine\""));
    assert_int_equal(f->schema->columns[column(f, "p")].precision, 20);
    assert_int_equal(f->schema->columns[column(f, "p")].scale, 4);
    assert_true(f->schema->columns[column(f, "d")].text_cast);
    assert_int_equal(f->schema->columns[column(f, "dom")].type, TEARS_TYPE_INT);
    expect(f, describe(f, "nothing"), TEARS_NOT_FOUND);
    expect(f, describe(f, "plain"), TEARS_INVALID);
    assert_non_null(strstr(f->error.message, "primary key"));
    expect(f, describe(f, "seen"), TEARS_INVALID);
    expect(f, describe(f, "other.Odd Name"), TEARS_OK);
    use_table(f, "SELECT 1", "part");
    assert_int_equal(f->schema->key_count, 2);
    assert_true(t3_str_is(f->schema->columns[f->schema->key[0]].name, "id"));
    struct tears_str *names = NULL;
    size_t count = 0;
    expect(f, f->l3->ops->tables(f->l3, fresh(f), &names, &count), TEARS_OK);
    assert_int_equal(count, 3);
    assert_true(t3_str_is(names[0], "part"));
    assert_true(t3_str_is(names[2], "types"));
    test_pg_run(f->url, "SET client_min_messages = warning; DROP SCHEMA other CASCADE");
}

static void test_doctor(void **state)
{
    struct fixture *f = *state;
    struct t3_findings findings = {.arena = &f->arena};
    expect(f, f->l3->ops->doctor(f->l3, fresh(f), &findings), TEARS_OK);
    bool encoding = false;
    for (size_t i = 0; i < findings.count; i++)
        encoding = encoding || (t3_str_is(findings.items[i].subject, "server_encoding") &&
                                t3_str_is(findings.items[i].value, "UTF8"));
    assert_true(encoding);
}

/* ---- changes and failures
 * ---------------------------------------------------------------------------- */

static void test_tables_may_change_under_prepared_statements(void **state)
{
    struct fixture *f = *state;
    use_table(f, items_sql, "items");
    struct t3_write batch[] = {item(f, 1, "a"), item(f, 2, "b")};
    expect(f, write_rows(f, T3_WRITE_INSERT, batch, 2), TEARS_OK);
    assert_non_null(fetch_one(f, tears_int(1)));
    test_pg_run(f->url, "ALTER TABLE items ALTER COLUMN note TYPE varchar(50)");
    assert_non_null(fetch_one(f, tears_int(1)));
    test_pg_run(f->url, "ALTER TABLE items ALTER COLUMN note TYPE text");
    struct t3_write more[] = {item(f, 3, "a"), item(f, 4, "b")};
    expect(f, write_rows(f, T3_WRITE_INSERT, more, 2), TEARS_OK);
    assert_int_equal(more[1].status, TEARS_OK);
    struct t3_result result;
    for (int i = 0; i < 4; i++)
        expect(f, f->l3->ops->query(f->l3, fresh(f), TEARS_STR("DEALLOCATE ALL"), NULL, 0, &result),
               TEARS_OK);
    assert_non_null(fetch_one(f, tears_int(1)));
}

static const char fatal_sql[] =
    "CREATE FUNCTION hang_up() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$;"
    "CREATE TRIGGER fatal BEFORE INSERT ON items FOR EACH ROW WHEN (NEW.name = 'fatal')"
    " EXECUTE FUNCTION hang_up()";

static void test_a_write_cut_off_has_an_unknown_outcome(void **state)
{
    struct fixture *f = *state;
    use_table(f, items_sql, "items");
    test_pg_run(f->url, fatal_sql);
    struct t3_write one = item(f, 1, "fatal");
    expect(f, write_rows(f, T3_WRITE_INSERT, &one, 1), TEARS_UNAVAILABLE);
    assert_true(f->call.outcome_unknown);
    /* A batch is committed by its end only: when it breaks before, nothing was written. */
    struct t3_write batch[] = {item(f, 1, "fine"), item(f, 2, "fatal")};
    expect(f, write_rows(f, T3_WRITE_INSERT, batch, 2), TEARS_UNAVAILABLE);
    assert_false(f->call.outcome_unknown);
    assert_null(fetch_one(f, tears_int(1)));
}

static void test_a_transaction_that_loses_its_connection(void **state)
{
    struct fixture *f = *state;
    use_table(f, items_sql, "items");
    test_pg_run(f->url, fatal_sql);
    struct t3_write fine = item(f, 1, "fine");
    struct t3_write fatal = item(f, 2, "fatal");
    expect(f, f->l3->ops->begin(f->l3, fresh(f), &f->call.tx), TEARS_OK);
    expect(f, write_rows(f, T3_WRITE_INSERT, &fine, 1), TEARS_OK);
    expect(f, write_rows(f, T3_WRITE_INSERT, &fatal, 1), TEARS_UNAVAILABLE);
    assert_false(f->call.outcome_unknown);
    expect(f, write_rows(f, T3_WRITE_INSERT, &fine, 1), TEARS_UNAVAILABLE);
    struct t3_l3_tx *tx = T3_TAKE(f->call.tx);
    expect(f, f->l3->ops->commit(f->l3, fresh(f), tx), TEARS_UNAVAILABLE);
    assert_false(f->call.outcome_unknown);
    assert_null(fetch_one(f, tears_int(1)));
}

static void test_a_read_is_tried_again_when_its_connection_was_cut(void **state)
{
    struct fixture *f = *state;
    use_table(f, items_sql, "items");
    struct t3_write made = item(f, 1, "a");
    expect(f, write_rows(f, T3_WRITE_INSERT, &made, 1), TEARS_OK);
    for (int i = 0; i < 10; i++) {
        assert_non_null(fetch_one(f, tears_int(1)));
        test_pg_run(f->url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                            " WHERE application_name = 'tears' AND datname = current_database()");
        assert_non_null(fetch_one(f, tears_int(1)));
    }
}

static void test_vectors_where_the_extension_is_installed(void **state)
{
    struct fixture *f = *state;
    struct t3_result found;
    expect(
        f,
        f->l3->ops->query(f->l3, fresh(f),
                          TEARS_STR("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'"),
                          NULL, 0, &found),
        TEARS_OK);
    if (found.row_count == 0) {
        print_message("pgvector is not installed on this server\n");
        skip();
    }
    static const double numbers[] = {1, -0.5, 0.1};
    const struct sample samples[] = {{"v", tears_vector(numbers, 3)}};
    use_table(f, "CREATE EXTENSION vector; CREATE TABLE vectors (id int PRIMARY KEY, v vector(3))",
              "vectors");
    assert_int_equal(f->schema->columns[column(f, "v")].vector_dim, 3);
    round_trip(f, 1, samples, 1);
}

/* Fails every allocation of a call, one after the other, until the call succeeds. */
static void test_every_allocation_may_fail(void **state)
{
    struct fixture *f = *state;
    use_table(f, items_sql, "items");
    struct t3_write made[] = {item(f, 1, "a"), item(f, 2, "b")};
    expect(f, write_rows(f, T3_WRITE_INSERT, made, 2), TEARS_OK);
    const struct t3_key keys[] = {key_of(f, tears_int(1)), key_of(f, tears_int(2))};
    for (size_t keys_wanted = 1; keys_wanted <= 2; keys_wanted++) {
        for (uint64_t nth = 1;; nth++) {
            struct t3_arena arena = {0};
            struct t3_row *rows[2] = {NULL, NULL};
            fresh(f)->arena = &arena;
            t3_alloc_fail_at(nth);
            const tears_status status =
                f->l3->ops->fetch(f->l3, &f->call, f->schema, keys, keys_wanted, rows);
            const bool reached = t3_alloc_count() >= nth;
            t3_alloc_fail_at(0);
            if (status == TEARS_OK)
                assert_non_null(rows[0]);
            t3_arena_done(&arena);
            expect(f, status, reached ? TEARS_NO_MEMORY : TEARS_OK);
            if (!reached)
                break;
        }
    }
}

static void test_a_failed_write_leaves_nothing_behind(void **state)
{
    struct fixture *f = *state;
    use_table(f, items_sql, "items");
    for (size_t count = 1; count <= 3; count += 2) {
        for (uint64_t nth = 1;; nth++) {
            struct t3_write writes[] = {item(f, 11, "a"), item(f, 12, "b"), item(f, 11, "c")};
            struct t3_arena arena = {0};
            fresh(f)->arena = &arena;
            t3_alloc_fail_at(nth);
            const tears_status status =
                f->l3->ops->write(f->l3, &f->call, f->schema, T3_WRITE_INSERT, writes, count);
            const bool reached = t3_alloc_count() >= nth;
            t3_alloc_fail_at(0);
            const bool unknown = f->call.outcome_unknown;
            t3_arena_done(&arena);
            if (status != TEARS_OK && !unknown)
                assert_null(fetch_one(f, tears_int(11)));
            expect(f, status, reached ? TEARS_NO_MEMORY : TEARS_OK);
            test_pg_run(f->url, "TRUNCATE items");
            if (!reached)
                break;
        }
    }
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, open_fixture, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_limits_of_types_round_trip),
        WITH_FIXTURE(test_numeric_is_exact),
        WITH_FIXTURE(test_numeric_keys_match_by_value),
        WITH_FIXTURE(test_a_value_the_database_refuses),
        WITH_FIXTURE(test_defaults_and_generated_columns_come_back),
        WITH_FIXTURE(test_a_duplicate_gives_the_row_that_is_there),
        WITH_FIXTURE(test_updates_with_and_without_a_base),
        WITH_FIXTURE(test_deletions),
        WITH_FIXTURE(test_a_batch_with_duplicates_and_conflicts),
        WITH_FIXTURE(test_upserts_of_one_key_happen_in_order),
        WITH_FIXTURE(test_a_batch_of_mixed_columns),
        WITH_FIXTURE(test_a_refused_row_undoes_the_batch),
        WITH_FIXTURE(test_a_constraint_checked_at_commit),
        WITH_FIXTURE(test_keys_made_by_the_database),
        WITH_FIXTURE(test_composite_keys),
        WITH_FIXTURE(test_more_keys_than_one_statement_takes),
        WITH_FIXTURE(test_scan_in_pages),
        WITH_FIXTURE(test_transactions),
        WITH_FIXTURE(test_commit_after_a_failed_statement_is_no_success),
        WITH_FIXTURE(test_query_types),
        WITH_FIXTURE(test_describe),
        WITH_FIXTURE(test_doctor),
        WITH_FIXTURE(test_tables_may_change_under_prepared_statements),
        WITH_FIXTURE(test_a_write_cut_off_has_an_unknown_outcome),
        WITH_FIXTURE(test_a_transaction_that_loses_its_connection),
        WITH_FIXTURE(test_a_read_is_tried_again_when_its_connection_was_cut),
        WITH_FIXTURE(test_vectors_where_the_extension_is_installed),
        WITH_FIXTURE(test_every_allocation_may_fail),
        WITH_FIXTURE(test_a_failed_write_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
