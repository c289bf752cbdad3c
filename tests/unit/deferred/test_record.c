/*
 * test_record.c -- bytes of records and layouts: what comes back, and what is refused, whatever the bytes are.
 */
#include "deferred/record.h"
#include "unit/schema/tables.h"

#include "base/alloc.h"
#include "base/str.h"

#include <stdint.h>

/* A row of the table with a column of nearly every type. */
static const struct t3_row *make_row(const struct tears_schema *schema, struct t3_arena *arena)
{
    static const double numbers[] = {1.5, -2};
    struct tears_value values[NOTE_COLUMNS];
    struct t3_row *row;
    for (uint32_t i = 0; i < NOTE_COLUMNS; i++)
        values[i] = tears_null();
    values[NOTE_ID] = tears_int(7);
    values[NOTE_PART] = tears_text(TEARS_STR("part"));
    values[NOTE_TITLE] = tears_text(TEARS_STR("a title"));
    values[NOTE_PRICE] = tears_decimal(TEARS_STR("12.3400"));
    values[NOTE_RAW] = tears_bytes(tears_str_n("\0\1\2", 3));
    values[NOTE_DONE] = tears_bool(true);
    values[NOTE_EMBEDDING].kind = TEARS_KIND_VECTOR;
    values[NOTE_EMBEDDING].as.vector = (struct tears_doubles){numbers, 2};
    assert_int_equal(t3_row_new(arena, &schema->layout, values, &row), TEARS_OK);
    return row;
}

static const uint64_t some[] = {UINT64_C(1) << NOTE_TITLE | UINT64_C(1) << NOTE_ID};

static struct t3_record make_record(const struct tears_schema *schema, struct t3_arena *arena)
{
    const struct t3_row *row = make_row(schema, arena);
    return (struct t3_record){.kind = T3_RECORD_UPDATE,
                              .has_base = true,
                              .follows = true,
                              .base = 77,
                              .since_us = 123456,
                              .row = row,
                              .before = row,
                              .changed = some};
}

/* The bytes at an address aligned to 8, in memory of exactly that size: reading past it is noticed. */
static struct tears_str exactly(const struct t3_buf *buf, size_t len)
{
    char *copy = t3_alloc(len > 0 ? len : 1);
    assert_non_null(copy);
    if (len > 0)
        memcpy(copy, buf->ptr, len);
    return tears_str_n(copy, len);
}

static void a_record_comes_back_as_it_was(void **state)
{
    (void)state;
    struct tears_schema *schema = make_notes(2);
    struct t3_arena arena = {0};
    struct t3_buf buf = {0};
    const struct t3_record record = make_record(schema, &arena);
    struct t3_record read;
    assert_int_equal(t3_record_put(schema, &record, &buf), TEARS_OK);
    assert_int_equal(buf.len, t3_record_size(schema, &record));
    const struct tears_str bytes = exactly(&buf, buf.len);
    assert_int_equal(t3_record_read(schema, bytes, &arena, &read), TEARS_OK);
    assert_int_equal(read.kind, T3_RECORD_UPDATE);
    assert_true(read.has_base && read.follows);
    assert_int_equal(read.base, 77);
    assert_int_equal(read.since_us, 123456);
    assert_int_equal(t3_record_since(bytes), 123456);
    assert_memory_equal(read.row, record.row, record.row->size);
    assert_memory_equal(read.before, record.row, record.row->size);
    assert_memory_equal(read.changed, some, sizeof some);
    struct t3_cell cells[NOTE_COLUMNS];
    assert_int_equal(t3_record_cells(schema, &read, cells),
                     1); /* an update has no key among its cells */
    assert_int_equal(cells[0].column, NOTE_TITLE);
    read.kind = T3_RECORD_INSERT;
    assert_int_equal(t3_record_cells(schema, &read, cells), 2);
    t3_free((void *)(uintptr_t)bytes.ptr);
    t3_buf_done(&buf);
    t3_arena_done(&arena);
    tears_schema_free(schema);
}

/* Cut anywhere, or with any one byte changed: it is read, or it is corrupt, and nothing outside is touched. */
static void damaged_bytes_are_told_apart_or_harmless(void **state)
{
    (void)state;
    struct tears_schema *schema = make_notes(2);
    struct t3_arena arena = {0};
    struct t3_buf buf = {0};
    const struct t3_record record = make_record(schema, &arena);
    struct t3_record read;
    assert_int_equal(t3_record_put(schema, &record, &buf), TEARS_OK);
    for (size_t len = 0; len < buf.len; len++) {
        const struct tears_str bytes = exactly(&buf, len);
        assert_int_equal(t3_record_read(schema, bytes, &arena, &read), TEARS_CORRUPT);
        t3_free((void *)(uintptr_t)bytes.ptr);
    }
    for (size_t at = 0; at < buf.len * 8; at++) {
        buf.ptr[at / 8] ^= (char)(1 << at % 8);
        const struct tears_str bytes = exactly(&buf, buf.len);
        if (t3_record_read(schema, bytes, &arena, &read) == TEARS_OK) {
            struct t3_cell cells[NOTE_COLUMNS];
            assert_true(t3_record_cells(schema, &read, cells) <= NOTE_COLUMNS);
        }
        t3_free((void *)(uintptr_t)bytes.ptr);
        buf.ptr[at / 8] ^= (char)(1 << at % 8);
    }
    t3_buf_done(&buf);
    t3_arena_done(&arena);
    tears_schema_free(schema);
}

static void a_layout_says_what_the_table_was(void **state)
{
    (void)state;
    struct tears_schema *schema = make_notes(2);
    struct tears_schema *read = NULL;
    struct t3_buf buf = {0};
    struct t3_buf again = {0};
    assert_int_equal(t3_record_layout_put(schema, &buf), TEARS_OK);
    assert_int_equal(t3_record_layout_read(t3_buf_str(&buf), &read), TEARS_OK);
    assert_int_equal(read->column_count, NOTE_COLUMNS);
    assert_int_equal(read->key_count, 2);
    assert_int_equal(read->version_column, NOTE_VERSION);
    assert_memory_equal(read->layout.kinds, schema->layout.kinds, NOTE_COLUMNS);
    assert_true(read->columns[NOTE_CREATED].immutable);
    assert_int_equal(t3_record_layout_put(read, &again), TEARS_OK);
    assert_true(t3_str_equal(t3_buf_str(&buf), t3_buf_str(&again)));
    tears_schema_free(read);
    for (size_t len = 0; len < buf.len; len++) {
        const struct tears_str bytes = exactly(&buf, len);
        assert_int_equal(t3_record_layout_read(bytes, &read), TEARS_CORRUPT);
        t3_free((void *)(uintptr_t)bytes.ptr);
    }
    for (size_t at = 0; at < buf.len * 8; at++) {
        buf.ptr[at / 8] ^= (char)(1 << at % 8);
        const struct tears_str bytes = exactly(&buf, buf.len);
        read = NULL;
        if (t3_record_layout_read(bytes, &read) == TEARS_OK)
            tears_schema_free(read);
        t3_free((void *)(uintptr_t)bytes.ptr);
        buf.ptr[at / 8] ^= (char)(1 << at % 8);
    }
    t3_buf_done(&buf);
    t3_buf_done(&again);
    tears_schema_free(schema);
}

static void a_record_is_converted_by_the_names_of_columns(void **state)
{
    (void)state;
    struct tears_schema *from = make_notes(2);
    struct t3_arena arena = {0};
    struct tears_schema_def def;
    struct tears_column_def columns[NOTE_COLUMNS];
    struct tears_error error;
    struct t3_record converted;
    const struct t3_record record = make_record(from, &arena);
    describe_notes(&def, columns);
    def.primary_key_count = 2;
    const struct tears_column_def price = columns[NOTE_PRICE];
    columns[NOTE_PRICE] =
        columns[NOTE_TITLE]; /* the title moves to another place, and the price is gone */
    columns[NOTE_TITLE] = price;
    columns[NOTE_TITLE].name = TEARS_STR("cost");
    struct tears_schema *to = make_schema(&def);
    assert_int_equal(t3_record_convert(from, &record, to, &arena, &converted, &error), TEARS_OK);
    const struct tears_value title = t3_row_value(converted.row, &to->layout, NOTE_PRICE);
    assert_true(t3_str_is(title.as.bytes, "a title"));
    assert_true(t3_row_is_null(converted.row, NOTE_TITLE));
    assert_true(t3_record_changes(&converted, NOTE_PRICE));
    assert_false(t3_record_changes(&converted, NOTE_TITLE));
    assert_int_equal(converted.base, 77);
    tears_schema_free(to);

    describe_notes(&def, columns);
    def.primary_key_count = 2;
    columns[NOTE_TITLE].name = TEARS_STR("headline");
    to = make_schema(&def);
    assert_int_equal(t3_record_convert(from, &record, to, &arena, &converted, &error),
                     TEARS_INVALID);
    assert_non_null(strstr(error.message, "'title'"));
    tears_schema_free(to);
    to = make_notes(1);
    assert_int_equal(t3_record_convert(from, &record, to, &arena, &converted, &error),
                     TEARS_INVALID);
    assert_non_null(strstr(error.message, "key"));
    tears_schema_free(to);
    describe_notes(&def, columns);
    def.primary_key_count = 2;
    def.version_column = TEARS_STR("");
    to = make_schema(&def);
    assert_int_equal(t3_record_convert(from, &record, to, &arena, &converted, &error),
                     TEARS_INVALID);
    assert_non_null(strstr(error.message, "'row_version'"));
    tears_schema_free(to);
    tears_schema_free(from);
    t3_arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_comes_back_as_it_was),
        cmocka_unit_test(damaged_bytes_are_told_apart_or_harmless),
        cmocka_unit_test(a_layout_says_what_the_table_was),
        cmocka_unit_test(a_record_is_converted_by_the_names_of_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
