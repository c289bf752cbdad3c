/*
 * test_dml.c -- statements: PostgreSQL's by their text, SQLite's by what they do in a database.
 *
 * The SQLite half runs DDL, writes and scans in memory, with the two functions that dml.h asks a
 * connection to define.
 */
#include "schema/dml.h"

#include "base/alloc.h"
#include "base/str.h"
#include "schema/ddl.h"
#include "unit/schema/tables.h"

#include <sqlite3.h>
#include <stdio.h>

/* ---- PostgreSQL -------------------------------------------------------------------------------
 */

/* A schema of few columns, so that the texts can be read here. */
static struct tears_schema *make_small(size_t key_count, bool versioned)
{
    static const struct tears_str key[] = {{"id", 2}, {"part", 4}};
    const struct tears_column_def columns[] = {
        {.name = TEARS_STR("id"), .type = TEARS_TYPE_BIGINT},
        {.name = TEARS_STR("part"), .type = TEARS_TYPE_NUMERIC, .precision = 5, .has_scale = true},
        {.name = TEARS_STR("doc"), .type = TEARS_TYPE_JSONB, .nullable = true},
        {.name = TEARS_STR("made"),
         .type = TEARS_TYPE_TIMESTAMPTZ,
         .immutable = true,
         .nullable = true},
        {.name = TEARS_STR("ver"), .type = TEARS_TYPE_TIMESTAMPTZ},
    };
    const struct tears_schema_def def = {.name = TEARS_STR("app.t"),
                                         .columns = columns,
                                         .column_count = 5,
                                         .primary_key = key,
                                         .primary_key_count = key_count,
                                         .version_column =
                                             versioned ? TEARS_STR("ver") : TEARS_STR("")};
    return make_schema(&def);
}

#define ALL    "\"id\", \"part\", \"doc\", \"made\", \"ver\""
#define OF_ROW "t3_row.\"id\", t3_row.\"part\", t3_row.\"doc\", t3_row.\"made\", t3_row.\"ver\""
#define NEXT   "\"ver\" = GREATEST(clock_timestamp(), "
#define LATER  "\"ver\" + interval '1 microsecond')"

static void postgresql_statements_read_so(void **state)
{
    (void)state;
    static const struct t3_cell cells[] = {
        {.column = 0}, {.column = 1}, {.column = 2}, {.column = 3}};
    struct tears_schema *schema = make_small(1, true);
    T3_AUTO(t3_dml_done) struct t3_dml dml = {0};
    struct t3_shape shape = {.dialect = T3_DIALECT_POSTGRESQL};
    assert_int_equal(t3_dml_fetch(schema, &shape, &dml), TEARS_OK);
    assert_string_equal(dml.sql.ptr, "SELECT " ALL " FROM \"app\".\"t\" WHERE \"id\" = $1");
    shape.has_base = true;
    assert_int_equal(t3_dml_delete(schema, &shape, &dml), TEARS_OK);
    assert_string_equal(dml.sql.ptr, "DELETE FROM \"app\".\"t\" WHERE \"id\" = $1 AND \"ver\" = $2 "
                                     "RETURNING \"id\", \"ver\"");
    assert_int_equal(dml.param_count, 2);
    assert_int_equal(dml.params[1].role, T3_PARAM_BASE);
    assert_int_equal(dml.params[1].wire, T3_WIRE_TIMESTAMPTZ);
    shape.cells = cells + 1;
    shape.cell_count = 2;
    assert_int_equal(t3_dml_update(schema, &shape, &dml), TEARS_OK);
    assert_string_equal(
        dml.sql.ptr,
        "UPDATE \"app\".\"t\" SET \"part\" = $2::numeric, \"doc\" = $3::jsonb, " NEXT LATER
        " WHERE \"id\" = $1 AND \"ver\" = $4 RETURNING " ALL);
    assert_int_equal(dml.params[2].role, T3_PARAM_CELL);
    assert_int_equal(dml.params[2].column, 2);
    assert_int_equal(dml.params[2].index, 1);
    assert_int_equal(dml.params[2].wire, T3_WIRE_TEXT);
    shape.cells = cells;
    shape.cell_count = 4;
    assert_int_equal(t3_dml_upsert(schema, &shape, &dml), TEARS_OK);
    assert_string_equal(
        dml.sql.ptr,
        "INSERT INTO \"app\".\"t\" AS t3_row (" ALL ") VALUES ($1, $2::numeric, $3::jsonb, $4, "
        "clock_timestamp()) ON CONFLICT (\"id\") DO UPDATE SET \"part\" = EXCLUDED.\"part\", "
        "\"doc\" = EXCLUDED.\"doc\", " NEXT "t3_row." LATER " RETURNING " ALL);
    tears_schema_free(schema);
}

static void postgresql_batches_read_so(void **state)
{
    (void)state;
    static const struct t3_cell doc = {.column = 2};
    struct tears_schema *one = make_small(1, true);
    struct tears_schema *two = make_small(2, false);
    T3_AUTO(t3_dml_done) struct t3_dml dml = {0};
    struct t3_shape shape = {.dialect = T3_DIALECT_POSTGRESQL, .many = true};
    assert_int_equal(t3_dml_fetch(one, &shape, &dml), TEARS_OK);
    assert_string_equal(dml.sql.ptr, "SELECT " OF_ROW " FROM \"app\".\"t\" AS t3_row "
                                     "WHERE t3_row.\"id\" = ANY($1::int8[])");
    assert_int_equal(t3_dml_fetch(two, &shape, &dml), TEARS_OK);
    assert_string_equal(dml.sql.ptr,
                        "SELECT " OF_ROW " FROM unnest($1::int8[], $2::text[]) AS u(k0, k1) "
                        "JOIN \"app\".\"t\" AS t3_row ON t3_row.\"id\" = u.k0 AND "
                        "t3_row.\"part\" = u.k1::numeric");
    shape.cells = &doc;
    shape.cell_count = 1;
    shape.has_base = true;
    assert_int_equal(t3_dml_update(one, &shape, &dml), TEARS_OK);
    assert_string_equal(
        dml.sql.ptr,
        "UPDATE \"app\".\"t\" AS t3_row SET \"doc\" = u.c0::jsonb, " NEXT "t3_row." LATER
        " FROM unnest($1::int8[], $2::text[], $3::timestamptz[]) AS u(k0, c0, base) "
        "WHERE t3_row.\"id\" = u.k0 AND t3_row.\"ver\" = u.base RETURNING " OF_ROW);
    shape.has_base = false;
    shape.cell_count = 0;
    assert_int_equal(t3_dml_update(two, &shape, &dml), TEARS_OK);
    assert_string_equal(
        dml.sql.ptr, "UPDATE \"app\".\"t\" AS t3_row SET \"id\" = t3_row.\"id\" "
                     "FROM unnest($1::int8[], $2::text[]) AS u(k0, k1) WHERE t3_row.\"id\" = u.k0 "
                     "AND t3_row.\"part\" = u.k1::numeric RETURNING " OF_ROW);
    tears_schema_free(one);
    tears_schema_free(two);
}

static void casts_never_cut_text(void **state)
{
    (void)state;
    static const struct {
        const char *sql_type;
        uint64_t type;
        const char *placeholder;
    } cases[] = {
        {"character varying(5)", TEARS_TYPE_STRING, "= $2 "},
        {"character(5)", TEARS_TYPE_STRING, "= $2::bpchar "},
        {"citext", TEARS_TYPE_STRING, "= $2::citext "},
        {"text", TEARS_TYPE_STRING, "= $2 "},
        {"numeric(10,2)", TEARS_TYPE_NUMERIC, "= $2::numeric "},
        {"\"My Mood\"", TEARS_TYPE_ENUM, "= $2::\"My Mood\" "},
        {"json", TEARS_TYPE_JSONB, "= $2::json "},
    };
    static const struct tears_str key[] = {{"id", 2}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct t3_catalogue_column columns[] = {
            {.def = {.name = key[0], .type = TEARS_TYPE_INT}},
            {.def = {.name = TEARS_STR("c"), .type = cases[i].type},
             .sql_type = tears_str_c(cases[i].sql_type)},
        };
        const struct tears_schema_def def = {
            .name = TEARS_STR("t"), .primary_key = key, .primary_key_count = 1, .column_count = 2};
        struct tears_schema *schema = NULL;
        struct tears_error error;
        assert_int_equal(
            t3_schema_from_catalogue(&def, columns, TEARS_STR("none"), &schema, &error), TEARS_OK);
        const struct t3_cell cell = {.column = 1};
        const struct t3_shape shape = {.cells = &cell, .cell_count = 1};
        T3_AUTO(t3_dml_done) struct t3_dml dml = {0};
        assert_int_equal(t3_dml_update(schema, &shape, &dml), TEARS_OK);
        if (strstr(dml.sql.ptr, cases[i].placeholder) == NULL)
            fail_msg("%s gave %s", cases[i].sql_type, dml.sql.ptr);
        tears_schema_free(schema);
    }
}

static void every_failing_allocation_is_survived(void **state)
{
    (void)state;
    struct t3_cell cells[NOTE_COLUMNS - 1];
    for (uint32_t i = 0; i < NOTE_COLUMNS - 1; i++)
        cells[i].column = i;
    const struct t3_shape shape = {.many = true, .cells = cells, .cell_count = NOTE_COLUMNS - 1};
    struct tears_schema *schema = make_notes(1);
    for (uint64_t nth = 1;; nth++) {
        struct t3_dml dml = {0};
        t3_alloc_fail_at(nth);
        const tears_status status = t3_dml_upsert(schema, &shape, &dml);
        const bool failed = t3_alloc_count() >= nth;
        t3_alloc_fail_at(0);
        t3_dml_done(&dml);
        assert_int_equal(status, failed ? TEARS_NO_MEMORY : TEARS_OK);
        if (!failed)
            break;
    }
    tears_schema_free(schema);
}

/* ---- SQLite -----------------------------------------------------------------------------------
 */

struct database {
    sqlite3 *handle;
    struct tears_schema *schema;
    struct t3_dml dml;
};

static void give_now(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    (void)values;
    sqlite3_result_text(context, "2026-01-01T00:00:00.000000+00:00", -1, SQLITE_STATIC);
}

static void open_database(struct database *database, struct tears_schema *schema)
{
    memset(database, 0, sizeof *database);
    database->schema = schema;
    assert_int_equal(sqlite3_open(":memory:", &database->handle), SQLITE_OK);
    sqlite3_create_function(database->handle, "tears_now", 0, SQLITE_UTF8, NULL, give_now, NULL,
                            NULL);
    T3_AUTO(t3_buf_done) struct t3_buf sql = {0};
    assert_int_equal(t3_ddl_create_table(schema, T3_DIALECT_SQLITE, &sql), TEARS_OK);
    char *why = NULL;
    if (sqlite3_exec(database->handle, sql.ptr, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %s", sql.ptr, why);
}

static void close_database(struct database *database)
{
    t3_dml_done(&database->dml);
    tears_schema_free(database->schema);
    assert_int_equal(sqlite3_close(database->handle), SQLITE_OK);
}

static sqlite3_stmt *prepare(struct database *database)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(database->handle, database->dml.sql.ptr, -1, &statement, NULL) !=
        SQLITE_OK)
        fail_msg("%s: %s", database->dml.sql.ptr, sqlite3_errmsg(database->handle));
    assert_int_equal(sqlite3_bind_parameter_count(statement), (int)database->dml.param_count);
    return statement;
}

static void bind(sqlite3_stmt *statement, int at, const struct tears_value *value)
{
    if (value->kind == TEARS_KIND_NULL)
        sqlite3_bind_null(statement, at);
    else if (value->kind == TEARS_KIND_INT)
        sqlite3_bind_int64(statement, at, value->as.integer);
    else
        sqlite3_bind_text(statement, at, value->as.bytes.ptr, (int)value->as.bytes.len,
                          SQLITE_STATIC);
}

/* Runs the statement with key `id` and the cells' values; the row's version, or 0 when none came
 * back. */
static int64_t write_note(struct database *database, int64_t id, const struct t3_shape *shape,
                          int64_t base)
{
    sqlite3_stmt *statement = prepare(database);
    for (uint32_t i = 0; i < database->dml.param_count; i++) {
        const struct t3_param *param = &database->dml.params[i];
        struct tears_value value = tears_int(param->role == T3_PARAM_BASE ? base : id);
        if (param->role == T3_PARAM_CELL)
            value = shape->cells[param->index].value;
        bind(statement, (int)i + 1, &value);
    }
    const int result = sqlite3_step(statement);
    const int64_t version =
        result == SQLITE_ROW ? sqlite3_column_int64(statement, sqlite3_column_count(statement) - 1)
                             : 0;
    assert_true(result == SQLITE_ROW || result == SQLITE_DONE);
    sqlite3_finalize(statement);
    return version;
}

static void sqlite_rows_live_their_life(void **state)
{
    (void)state;
    struct database database;
    open_database(&database, make_notes(1));
    const struct t3_cell cells[] = {{NOTE_ID, tears_int(7)},
                                    {NOTE_PART, tears_text(TEARS_STR("p"))},
                                    {NOTE_MOOD, tears_text(TEARS_STR("it's on"))},
                                    {NOTE_PRICE, tears_text(TEARS_STR("12.3400"))}};
    struct t3_shape shape = {.dialect = T3_DIALECT_SQLITE, .cells = cells, .cell_count = 4};
    assert_int_equal(t3_dml_insert(database.schema, &shape, &database.dml), TEARS_OK);
    assert_int_equal(write_note(&database, 7, &shape, 0), 1);
    assert_int_equal(write_note(&database, 7, &shape, 0), 0); /* the key exists */
    assert_int_equal(t3_dml_upsert(database.schema, &shape, &database.dml), TEARS_OK);
    assert_int_equal(write_note(&database, 7, &shape, 0), 2);
    shape.on_conflict = TEARS_ON_CONFLICT_IGNORE;
    assert_int_equal(t3_dml_upsert(database.schema, &shape, &database.dml), TEARS_OK);
    assert_int_equal(write_note(&database, 7, &shape, 0), 0);
    shape.cells = cells + 2;
    shape.cell_count = 1;
    shape.has_base = true;
    assert_int_equal(t3_dml_update(database.schema, &shape, &database.dml), TEARS_OK);
    assert_int_equal(write_note(&database, 7, &shape, 1), 0); /* another version is there */
    assert_int_equal(write_note(&database, 7, &shape, 2), 3);
    shape.cell_count = 0;
    assert_int_equal(t3_dml_update(database.schema, &shape, &database.dml), TEARS_OK);
    assert_int_equal(write_note(&database, 7, &shape, 3), 4); /* nothing to set moves the version */
    assert_int_equal(t3_dml_delete(database.schema, &shape, &database.dml), TEARS_OK);
    assert_int_equal(write_note(&database, 7, &shape, 3), 0);
    assert_int_equal(write_note(&database, 7, &shape, 4), 4);
    close_database(&database);
}

static void sqlite_keeps_exact_text(void **state)
{
    (void)state;
    struct database database;
    open_database(&database, make_notes(1));
    const struct t3_cell cells[] = {{NOTE_ID, tears_int(7)},
                                    {NOTE_PART, tears_text(TEARS_STR("0012"))},
                                    {NOTE_PRICE, tears_text(TEARS_STR("12.3400"))},
                                    {NOTE_BODY, tears_text(TEARS_STR("1e400"))},
                                    {NOTE_EMBEDDING, tears_text(TEARS_STR("[1.0, 2.5]"))}};
    const struct t3_shape shape = {.dialect = T3_DIALECT_SQLITE, .cells = cells, .cell_count = 5};
    assert_int_equal(t3_dml_insert(database.schema, &shape, &database.dml), TEARS_OK);
    assert_int_equal(write_note(&database, 7, &shape, 0), 1);
    assert_int_equal(t3_dml_fetch(database.schema, &shape, &database.dml), TEARS_OK);
    sqlite3_stmt *statement = prepare(&database);
    sqlite3_bind_int64(statement, 1, 7);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_string_equal(sqlite3_column_text(statement, NOTE_PART), "0012");
    assert_string_equal(sqlite3_column_text(statement, NOTE_PRICE), "12.3400");
    assert_string_equal(sqlite3_column_text(statement, NOTE_BODY), "1e400");
    assert_string_equal(sqlite3_column_text(statement, NOTE_EMBEDDING), "[1.0, 2.5]");
    assert_int_equal(sqlite3_column_int(statement, NOTE_DONE), 0); /* the default */
    assert_string_equal(sqlite3_column_text(statement, NOTE_CREATED),
                        "2026-01-01T00:00:00.000000+00:00");
    sqlite3_finalize(statement);
    close_database(&database);
}

/* ---- scans ------------------------------------------------------------------------------------
 */

enum { SCANNED = 40 };

/* Rows whose title and count are NULL in every third and fourth. */
static void fill(struct database *database)
{
    char titles[SCANNED][8];
    for (int64_t id = 0; id < SCANNED; id++) {
        snprintf(titles[id], sizeof titles[id], "t%lld", (long long)(id % 5));
        const struct t3_cell cells[] = {
            {NOTE_ID, tears_int(id)},
            {NOTE_PART, tears_text(TEARS_STR("p"))},
            {NOTE_TITLE, id % 3 == 0 ? tears_null() : tears_text(tears_str_c(titles[id]))},
            {NOTE_COUNT, id % 4 == 0 ? tears_null() : tears_int(id % 2)}};
        const struct t3_shape shape = {
            .dialect = T3_DIALECT_SQLITE, .cells = cells, .cell_count = 4};
        assert_int_equal(t3_dml_insert(database->schema, &shape, &database->dml), TEARS_OK);
        assert_int_equal(write_note(database, id, &shape, 0), 1);
    }
}

static struct tears_value read_cell(sqlite3_stmt *statement, uint32_t column, char *text)
{
    const int type = sqlite3_column_type(statement, (int)column);
    if (type == SQLITE_NULL)
        return tears_null();
    if (type == SQLITE_INTEGER)
        return tears_int(sqlite3_column_int64(statement, (int)column));
    snprintf(text, 8, "%s", (const char *)sqlite3_column_text(statement, (int)column));
    return tears_text(tears_str_c(text));
}

/* Runs one page; appends the ids seen and gives the sort key of the last row. */
static size_t read_page(struct database *database, const struct t3_dml_scan *scan, int64_t *ids,
                        struct tears_value *last, char (*texts)[8])
{
    enum { PAGE = 3 };
    assert_int_equal(t3_dml_scan(database->schema, T3_DIALECT_SQLITE, scan, &database->dml),
                     TEARS_OK);
    sqlite3_stmt *statement = prepare(database);
    for (uint32_t i = 0; i < database->dml.param_count; i++) {
        const struct t3_param *param = &database->dml.params[i];
        struct tears_value value = tears_int(PAGE);
        if (param->role == T3_PARAM_AFTER)
            value = scan->after[param->index];
        else if (param->role == T3_PARAM_FILTER)
            value = scan->filters[param->index].value;
        bind(statement, (int)i + 1, &value);
    }
    /* `last` is what the parameters of this page point to: it changes only when they are done with
     */
    struct tears_value next[4];
    char next_texts[4][8];
    size_t count = 0;
    for (; sqlite3_step(statement) == SQLITE_ROW; count++) {
        ids[count] = sqlite3_column_int64(statement, NOTE_ID);
        for (uint32_t i = 0; i < scan->order_count; i++)
            next[i] = read_cell(statement, scan->order[i], next_texts[i]);
    }
    sqlite3_finalize(statement);
    for (uint32_t i = 0; i < scan->order_count && count > 0; i++) {
        memcpy(texts[i], next_texts[i], sizeof texts[i]);
        last[i] = next[i];
        if (last[i].kind == TEARS_KIND_TEXT)
            last[i].as.bytes = tears_str_c(texts[i]);
    }
    return count;
}

/* Reads all pages; every row must come once, in the order of one big page. */
static void expect_all_rows(struct database *database, struct t3_dml_scan scan, size_t expected)
{
    int64_t ids[SCANNED + 8];
    bool seen[SCANNED] = {false};
    struct tears_value last[4];
    char texts[4][8];
    size_t total = 0;
    for (;;) {
        const size_t count = read_page(database, &scan, ids + total, last, texts);
        for (size_t i = 0; i < count; i++) {
            assert_false(seen[ids[total + i]]);
            seen[ids[total + i]] = true;
        }
        total += count;
        if (count == 0)
            break;
        assert_in_range(total, 1, SCANNED);
        scan.after = last;
    }
    assert_int_equal(total, expected);
}

static void pages_go_on_through_nulls(void **state)
{
    (void)state;
    static const uint32_t by_two[] = {NOTE_TITLE, NOTE_COUNT, NOTE_ID};
    static const uint32_t by_id[] = {NOTE_ID};
    struct database database;
    open_database(&database, make_notes(1));
    fill(&database);
    for (int descending = 0; descending < 2; descending++) {
        struct t3_dml_scan scan = {
            .order = by_two, .order_count = 3, .descending = descending == 1};
        expect_all_rows(&database, scan, SCANNED);
        const struct t3_cell untitled = {NOTE_TITLE, tears_null()};
        scan.filters = &untitled;
        scan.filter_count = 1;
        expect_all_rows(&database, scan, (SCANNED + 2) / 3);
        const struct t3_cell counted = {NOTE_COUNT, tears_int(1)};
        scan.filters = &counted;
        expect_all_rows(&database, scan, SCANNED / 2);
        scan.filter_count = 0;
        scan.order = by_id;
        scan.order_count = 1;
        expect_all_rows(&database, scan, SCANNED);
    }
    close_database(&database);
}

static void defaults_of_postgresql_work_in_sqlite(void **state)
{
    (void)state;
    static const struct tears_str key[] = {{"id", 2}};
    const struct tears_column_def columns[] = {
        {.name = key[0], .type = TEARS_TYPE_UUID, .server_default = TEARS_STR("gen_random_uuid()")},
        {.name = TEARS_STR("at"),
         .type = TEARS_TYPE_TIMESTAMPTZ,
         .server_default = TEARS_STR("NOW()")},
        {.name = TEARS_STR("doc"),
         .type = TEARS_TYPE_JSONB,
         .server_default = TEARS_STR("'{\"a\": \"it''s\"}'::jsonb")},
    };
    const struct tears_schema_def def = {.name = TEARS_STR("t"),
                                         .columns = columns,
                                         .column_count = 3,
                                         .primary_key = key,
                                         .primary_key_count = 1};
    struct database database;
    open_database(&database, make_schema(&def));
    const struct t3_shape shape = {.dialect = T3_DIALECT_SQLITE};
    assert_int_equal(t3_dml_insert(database.schema, &shape, &database.dml), TEARS_OK);
    sqlite3_stmt *statement = prepare(&database);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    uint8_t uuid[16];
    assert_int_equal(
        tears_uuid_parse(tears_str_c((const char *)sqlite3_column_text(statement, 0)), uuid),
        TEARS_OK);
    assert_int_equal(uuid[6] >> 4, 4);
    assert_int_equal(sqlite3_column_bytes(statement, 1), 32);
    assert_string_equal(sqlite3_column_text(statement, 2), "{\"a\": \"it's\"}");
    sqlite3_finalize(statement);
    close_database(&database);
}

static void a_label_cannot_end_its_dollar_quote(void **state)
{
    (void)state;
    const struct tears_str labels[] = {TEARS_STR("$tears0$"), TEARS_STR("it's")};
    const struct t3_column column = {
        .enum_name = TEARS_STR("mood"), .enum_values = labels, .enum_value_count = 2};
    T3_AUTO(t3_buf_done) struct t3_buf sql = {0};
    assert_int_equal(t3_ddl_create_enum(&column, &sql), TEARS_OK);
    assert_string_equal(sql.ptr,
                        "DO $tears1$ BEGIN CREATE TYPE \"mood\" AS ENUM ('$tears0$', 'it''s'); "
                        "EXCEPTION WHEN duplicate_object THEN NULL; END $tears1$");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(postgresql_statements_read_so),
        cmocka_unit_test(postgresql_batches_read_so),
        cmocka_unit_test(casts_never_cut_text),
        cmocka_unit_test(every_failing_allocation_is_survived),
        cmocka_unit_test(sqlite_rows_live_their_life),
        cmocka_unit_test(sqlite_keeps_exact_text),
        cmocka_unit_test(pages_go_on_through_nulls),
        cmocka_unit_test(defaults_of_postgresql_work_in_sqlite),
        cmocka_unit_test(a_label_cannot_end_its_dollar_quote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
