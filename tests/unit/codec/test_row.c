/*
 * test_row.c -- rows: what goes in comes out, blocks are relocatable, damage is noticed.
 */
#include "base/alloc.h"
#include "base/limits.h"
#include "codec/row.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { COLUMNS = 11 };

static const uint8_t kinds[COLUMNS] = {TEARS_KIND_BOOL,      TEARS_KIND_VECTOR, TEARS_KIND_TEXT,
                                       TEARS_KIND_INT,       TEARS_KIND_VECTOR, TEARS_KIND_BYTES,
                                       TEARS_KIND_TIMESTAMP, TEARS_KIND_UUID,   TEARS_KIND_JSON,
                                       TEARS_KIND_DOUBLE,    TEARS_KIND_DECIMAL};
static const struct t3_layout layout = {kinds, COLUMNS};
static const double numbers[] = {1.0, -0.0, 1e300};

static void fill(struct tears_value values[COLUMNS])
{
    const uint8_t uuid[16] = {1, 2, 3, 0, 255};
    values[0] = tears_bool(true);
    values[1] = tears_vector(numbers, 3);
    values[2] = tears_text(TEARS_STR("a\0b"));
    values[3] = tears_int(INT64_MIN);
    values[4] = tears_vector(NULL, 0);
    values[5] = tears_bytes(tears_str_n(NULL, 0));
    values[6] = tears_timestamp_us(INT64_MAX);
    values[7] = tears_uuid(uuid);
    values[8] = tears_json(TEARS_STR("{\"a\": 0.10}"));
    values[9] = tears_double(-1.5);
    values[10] = tears_decimal(TEARS_STR("1E-8"));
}

/* Every subset of NULLs. */
static void values_come_back_from_a_copied_block(void **state)
{
    (void)state;
    struct tears_value values[COLUMNS];
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    for (unsigned nulls = 0; nulls < 1u << COLUMNS; nulls++) {
        fill(values);
        for (unsigned i = 0; i < COLUMNS; i++)
            if (nulls >> i & 1)
                values[i] = tears_null();
        struct t3_row *row;
        assert_int_equal(t3_row_new(&arena, &layout, values, &row), TEARS_OK);
        struct t3_row *copy = t3_alloc(row->size);
        assert_non_null(copy);
        memcpy(copy, row, row->size);
        assert_true(t3_row_is_sane(copy, &layout, row->size));
        for (uint32_t i = 0; i < COLUMNS; i++) {
            assert_int_equal(t3_row_is_null(copy, i), nulls >> i & 1);
            assert_true(t3_row_cell_equal(copy, &layout, i, &values[i]));
        }
        t3_free(copy);
        t3_arena_reset(&arena);
    }
}

static void text_is_terminated_and_vectors_are_aligned(void **state)
{
    (void)state;
    struct tears_value values[COLUMNS];
    fill(values);
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct t3_row *row;
    assert_int_equal(t3_row_new(&arena, &layout, values, &row), TEARS_OK);
    const struct tears_value json = t3_row_value(row, &layout, 8);
    assert_string_equal(json.as.bytes.ptr, "{\"a\": 0.10}");
    const struct tears_value vector = t3_row_value(row, &layout, 1);
    assert_int_equal((uintptr_t)vector.as.vector.ptr % 8, 0);
    assert_int_equal(t3_row_payload(row, &layout), 1 + 24 + 3 + 8 + 0 + 0 + 8 + 16 + 11 + 8 + 4);
}

static void equal_rows_are_equal_bytes(void **state)
{
    (void)state;
    struct tears_value values[COLUMNS];
    fill(values);
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    char *dirty = t3_arena_alloc(&arena, 1024);
    memset(dirty, 0xee, 1024);
    t3_arena_reset(&arena);
    struct t3_row *first;
    struct t3_row *second;
    assert_int_equal(t3_row_new(&arena, &layout, values, &first), TEARS_OK);
    assert_non_null(t3_arena_alloc(&arena, 2048));
    assert_int_equal(t3_row_new(&arena, &layout, values, &second), TEARS_OK);
    assert_int_equal(first->size, second->size);
    assert_memory_equal(first, second, first->size);
}

static void damaged_blocks_are_not_sane(void **state)
{
    (void)state;
    struct tears_value values[COLUMNS];
    fill(values);
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct t3_row *row;
    assert_int_equal(t3_row_new(&arena, &layout, values, &row), TEARS_OK);
    const size_t size = row->size;
    for (size_t less = 0; less < size; less++)
        assert_false(t3_row_is_sane(row, &layout, less));
    for (uint32_t i = 0; i < COLUMNS; i++) {
        const uint32_t end = row->ends[i];
        const uint32_t wrong[] = {0, end - 1, end + 1, end | T3_CELL_NULL, UINT32_MAX, 0x7fffffff};
        for (size_t k = 0; k < T3_COUNT(wrong); k++) {
            row->ends[i] = wrong[k];
            const bool empty_vector_as_null = i == 4 && k == 3;
            if (!empty_vector_as_null)
                assert_false(t3_row_is_sane(row, &layout, size));
        }
        row->ends[i] = end;
    }
    assert_true(t3_row_is_sane(row, &layout, size));
    const struct t3_layout other = {kinds, COLUMNS - 1};
    assert_false(t3_row_is_sane(row, &other, size));
}

static void a_row_may_have_no_columns(void **state)
{
    (void)state;
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    const struct t3_layout none = {NULL, 0};
    struct t3_row *row;
    assert_int_equal(t3_row_new(&arena, &none, NULL, &row), TEARS_OK);
    assert_true(t3_row_is_sane(row, &none, row->size));
}

static void limits_and_memory_are_statuses(void **state)
{
    (void)state;
    struct tears_value values[COLUMNS];
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct t3_row *row = NULL;
    fill(values);
    values[2].as.bytes.len = SIZE_MAX - 3; /* never read: the size is refused first */
    assert_int_equal(t3_row_new(&arena, &layout, values, &row), TEARS_LIMIT);
    fill(values);
    values[1].as.vector.len = SIZE_MAX / 8;
    assert_int_equal(t3_row_new(&arena, &layout, values, &row), TEARS_LIMIT);
    fill(values);
    t3_alloc_fail_at(1);
    assert_int_equal(t3_row_new(&arena, &layout, values, &row), TEARS_NO_MEMORY);
    t3_alloc_fail_at(0);
    assert_null(row);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_back_from_a_copied_block),
        cmocka_unit_test(text_is_terminated_and_vectors_are_aligned),
        cmocka_unit_test(equal_rows_are_equal_bytes),
        cmocka_unit_test(damaged_blocks_are_not_sane),
        cmocka_unit_test(a_row_may_have_no_columns),
        cmocka_unit_test(limits_and_memory_are_statuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
