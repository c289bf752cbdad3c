/*
 * test_pg_type.c -- PostgreSQL's binary formats, both ways, and bytes that only pretend to be of a
 * type.
 */
#include "base/str.h"
#include "driver/pg_type.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define BYTES(literal) tears_str_n(literal, sizeof(literal) - 1)

static void test_encoding_and_decoding_are_inverse(void **state)
{
    (void)state;
    static const uint8_t uuid[16] = {0xde, 0xad, 0xbe, 0xef, 9};
    const struct {
        uint32_t type;
        struct tears_value value;
    } cases[] = {
        {T3_PG_BOOL, tears_bool(true)},
        {T3_PG_INT8, tears_int(INT64_MIN)},
        {T3_PG_INT4, tears_int(INT32_MIN)},
        {T3_PG_INT2, tears_int(-2)},
        {T3_PG_FLOAT8, tears_double(-0.0)},
        {T3_PG_FLOAT4, tears_double(0.5)},
        {T3_PG_UUID, tears_uuid(uuid)},
        {T3_PG_TIMESTAMPTZ, tears_timestamp_us(-1)},
        {T3_PG_TIMESTAMPTZ, tears_timestamp_us(T3_PG_TIMESTAMP_HIGHEST)},
        {T3_PG_TIMESTAMPTZ, tears_timestamp_us(T3_PG_TIMESTAMP_LOWEST)},
        {T3_PG_BYTEA, tears_bytes(BYTES("\0\xff"))},
        {T3_PG_TEXT, tears_text(TEARS_STR("text"))},
    };
    struct t3_arena arena = {0};
    for (size_t i = 0; i < T3_COUNT(cases); i++) {
        char bytes[32];
        struct tears_value back;
        const uint32_t kind = cases[i].value.kind;
        const size_t size = t3_pg_encoded_size(cases[i].type, &cases[i].value);
        assert_in_range(size, 1, sizeof bytes);
        t3_pg_encode(cases[i].type, &cases[i].value, bytes);
        assert_int_equal(t3_pg_decode(t3_pg_how(cases[i].type, kind), kind,
                                      tears_str_n(bytes, size), &arena, &back),
                         TEARS_OK);
        assert_true(tears_value_equal(&back, &cases[i].value));
    }
    t3_arena_done(&arena);
}

static void test_values_that_do_not_fit(void **state)
{
    (void)state;
    const struct tears_value big = tears_int(INT64_C(1) << 31);
    const struct tears_value small = tears_int(-32769);
    const struct tears_value ancient = tears_timestamp_us(INT64_MIN + 1);
    const struct tears_value text = tears_text(TEARS_STR("1"));
    assert_true(t3_pg_encoded_size(T3_PG_INT4, &big) == SIZE_MAX);
    assert_true(t3_pg_encoded_size(T3_PG_INT2, &small) == SIZE_MAX);
    assert_true(t3_pg_encoded_size(T3_PG_TIMESTAMPTZ, &ancient) == SIZE_MAX);
    assert_true(t3_pg_encoded_size(T3_PG_INT8, &text) == SIZE_MAX);
    assert_true(t3_pg_encoded_size(T3_PG_TEXT, &big) == SIZE_MAX);
}

static void numeric_is(struct tears_str cell, const char *wanted)
{
    struct t3_arena arena = {0};
    struct tears_str text;
    assert_int_equal(t3_pg_numeric_text(cell, &arena, &text), TEARS_OK);
    assert_string_equal(text.ptr, wanted);
    t3_arena_done(&arena);
}

static void test_numeric(void **state)
{
    (void)state;
    numeric_is(BYTES("\0\0\0\0\0\0\0\0"), "0");
    numeric_is(BYTES("\0\0\0\0\0\0\0\3"), "0.000");
    numeric_is(BYTES("\0\1\0\0\0\0\0\0\0\7"), "7");
    numeric_is(BYTES("\0\1\0\1\0\0\0\0\0\1"), "10000");
    numeric_is(BYTES("\0\2\0\0\x40\0\0\2\0\14\x13\x88"), "-12.50");
    numeric_is(BYTES("\0\1\xff\xfe\0\0\0\6\3\xe8"), "0.000010");
    numeric_is(BYTES("\0\2\0\1\0\0\0\5\x27\x0f\0\1"), "99990001.00000");
    numeric_is(BYTES("\0\0\0\0\xC0\0\0\0"), "NaN");
    numeric_is(BYTES("\0\0\0\0\xF0\0\0\0"), "-Infinity");
}

static void test_damaged_cells(void **state)
{
    (void)state;
    static const struct {
        uint32_t type;
        uint32_t kind;
        const char *bytes;
        size_t len;
    } cases[] = {
        {T3_PG_INT4, TEARS_KIND_INT, "\0\0\0", 3},
        {T3_PG_BOOL, TEARS_KIND_BOOL, "", 0},
        {T3_PG_UUID, TEARS_KIND_UUID, "short", 5},
        {T3_PG_TIMESTAMPTZ, TEARS_KIND_TIMESTAMP, "\x7f\xff\xff\xff\xff\xff\xff\xfe", 8},
        {T3_PG_JSONB, TEARS_KIND_JSON, "\2{}", 3},
        {T3_PG_JSONB, TEARS_KIND_JSON, "", 0},
        {T3_PG_NUMERIC, TEARS_KIND_DECIMAL, "\0\2\0\0\0\0\0\0\0\1", 10},
        {T3_PG_NUMERIC, TEARS_KIND_DECIMAL, "\0\1\0\0\0\0\0\0\x27\x10", 10},
        {T3_PG_NUMERIC, TEARS_KIND_DECIMAL, "\0\0\0\0\x12\x34\0\0", 8},
        {T3_PG_TEXT, TEARS_KIND_UUID, "not a uuid", 10},
        {T3_PG_TEXT, TEARS_KIND_VECTOR, "[1,", 3},
        {16999, TEARS_KIND_VECTOR, "\0\2\0\0\0\0\0\0", 8},
    };
    struct t3_arena arena = {0};
    for (size_t i = 0; i < T3_COUNT(cases); i++) {
        const enum t3_pg_how how = t3_pg_how(cases[i].type, cases[i].kind);
        struct tears_value value;
        assert_int_not_equal(how, T3_PG_HOW_NONE);
        assert_int_equal(t3_pg_decode(how, cases[i].kind, tears_str_n(cases[i].bytes, cases[i].len),
                                      &arena, &value),
                         TEARS_CORRUPT);
    }
    t3_arena_done(&arena);
}

static void test_types_that_are_not_the_schemas(void **state)
{
    (void)state;
    assert_int_equal(t3_pg_how(T3_PG_TEXT, TEARS_KIND_INT), T3_PG_HOW_NONE);
    assert_int_equal(t3_pg_how(T3_PG_INT4, TEARS_KIND_TEXT), T3_PG_HOW_NONE);
    assert_int_equal(t3_pg_how(T3_PG_TSVECTOR, TEARS_KIND_TEXT), T3_PG_HOW_NONE);
    assert_int_equal(t3_pg_how(16999, TEARS_KIND_TEXT), T3_PG_HOW_BYTES); /* an enum */
}

static void test_vectors_in_both_forms(void **state)
{
    (void)state;
    struct t3_arena arena = {0};
    struct tears_value binary;
    struct tears_value text;
    assert_int_equal(t3_pg_decode(T3_PG_HOW_VECTOR, TEARS_KIND_VECTOR,
                                  BYTES("\0\2\0\0\x3f\x80\0\0\xbf\0\0\0"), &arena, &binary),
                     TEARS_OK);
    assert_int_equal(
        t3_pg_decode(T3_PG_HOW_VECTOR_TEXT, TEARS_KIND_VECTOR, BYTES("[1,-0.5]"), &arena, &text),
        TEARS_OK);
    assert_true(tears_value_equal(&binary, &text));
    t3_arena_done(&arena);
}

static void test_text_format(void **state)
{
    (void)state;
    struct t3_arena arena = {0};
    struct tears_value value;
    assert_int_equal(t3_pg_decode_text(T3_PG_BYTEA, BYTES("\\x00ff"), &arena, &value), TEARS_OK);
    assert_true(t3_str_equal(value.as.bytes, BYTES("\0\xff")));
    assert_int_equal(t3_pg_decode_text(T3_PG_BYTEA, BYTES("a\\\\\\000"), &arena, &value), TEARS_OK);
    assert_true(t3_str_equal(value.as.bytes, BYTES("a\\\0")));
    assert_int_equal(t3_pg_decode_text(T3_PG_BYTEA, BYTES("\\9"), &arena, &value), TEARS_CORRUPT);
    assert_int_equal(
        t3_pg_decode_text(T3_PG_TIMESTAMPTZ, BYTES("1970-01-01 00:00:01+00"), &arena, &value),
        TEARS_OK);
    assert_int_equal(value.as.integer, 1000000);
    assert_int_equal(
        t3_pg_decode_text(T3_PG_TIMESTAMPTZ, BYTES("0044-03-15 00:00:00+00 BC"), &arena, &value),
        TEARS_OK);
    assert_int_equal(value.as.integer, INT64_C(-63517824000000000));
    assert_int_equal(t3_pg_decode_text(T3_PG_TIMESTAMPTZ, BYTES("-infinity"), &arena, &value),
                     TEARS_OK);
    assert_int_equal(value.as.integer, T3_PG_TIMESTAMP_LOWEST);
    assert_int_equal(t3_pg_decode_text(T3_PG_INT8, BYTES("x"), &arena, &value), TEARS_CORRUPT);
    t3_arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encoding_and_decoding_are_inverse),
        cmocka_unit_test(test_values_that_do_not_fit),
        cmocka_unit_test(test_numeric),
        cmocka_unit_test(test_damaged_cells),
        cmocka_unit_test(test_types_that_are_not_the_schemas),
        cmocka_unit_test(test_vectors_in_both_forms),
        cmocka_unit_test(test_text_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
