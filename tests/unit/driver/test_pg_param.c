/*
 * test_pg_param.c -- parameters as libpq is given them: arrays byte by byte, and values as text.
 */
#include "driver/pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static int open_arena(void **state)
{
    static struct t3_arena arena;
    *state = &arena;
    return 0;
}

static int close_arena(void **state)
{
    t3_arena_done(*state);
    return 0;
}

static void test_an_array_with_a_null_element(void **state)
{
    static const char wanted[] = "\0\0\0\1\0\0\0\1\0\0\0\27\0\0\0\3\0\0\0\1"
                                 "\0\0\0\4\0\0\0\7\xff\xff\xff\xff\0\0\0\4\xff\xff\xff\xfe";
    const struct tears_value seven = tears_int(7);
    const struct tears_value minus_two = tears_int(-2);
    const struct tears_value *const values[] = {&seven, NULL, &minus_two};
    struct t3_pg_params params;
    assert_int_equal(t3_pg_params_init(&params, *state, 1), TEARS_OK);
    assert_int_equal(t3_pg_put_array(&params, T3_PG_INT4, values, 3), TEARS_OK);
    assert_int_equal(params.lengths[0], sizeof wanted - 1);
    assert_memory_equal(params.values[0], wanted, sizeof wanted - 1);
    assert_int_equal(params.formats[0], 1);
}

static void test_a_value_that_does_not_fit_adds_nothing(void **state)
{
    const struct tears_value big = tears_int(INT64_MAX);
    const struct tears_value *const values[] = {&big};
    struct t3_pg_params params;
    assert_int_equal(t3_pg_params_init(&params, *state, 2), TEARS_OK);
    assert_int_equal(t3_pg_put(&params, T3_PG_INT4, &big), TEARS_INVALID);
    assert_int_equal(t3_pg_put_array(&params, T3_PG_INT4, values, 1), TEARS_INVALID);
    assert_int_equal(params.count, 0);
}

static void test_empty_text_is_not_null(void **state)
{
    const struct tears_value empty = tears_text(TEARS_STR(""));
    const struct tears_value nothing = tears_null();
    struct t3_pg_params params;
    assert_int_equal(t3_pg_params_init(&params, *state, 2), TEARS_OK);
    assert_int_equal(t3_pg_put(&params, T3_PG_TEXT, &empty), TEARS_OK);
    assert_int_equal(t3_pg_put(&params, T3_PG_TEXT, &nothing), TEARS_OK);
    assert_non_null(params.values[0]);
    assert_null(params.values[1]);
}

static void test_values_as_text(void **state)
{
    static const double numbers[] = {1, 2.5};
    const struct {
        struct tears_value value;
        const char *wanted;
    } cases[] = {
        {tears_int(INT64_MIN), "-9223372036854775808"},
        {tears_bool(false), "f"},
        {tears_double(0.1), "0.1"},
        {tears_bytes(tears_str_n("\0\xff", 2)), "\\x00ff"},
        {tears_timestamp_us(T3_PG_TIMESTAMP_HIGHEST), "infinity"},
        {tears_timestamp_us(0), "1970-01-01 00:00:00+00:00"},
        {tears_vector(numbers, 2), "[1.0, 2.5]"},
        {tears_json(TEARS_STR("{\"a\":0.10}")), "{\"a\":0.10}"},
    };
    struct t3_pg_params params;
    assert_int_equal(t3_pg_params_init(&params, *state, T3_COUNT(cases)), TEARS_OK);
    for (size_t i = 0; i < T3_COUNT(cases); i++) {
        assert_int_equal(t3_pg_put_text(&params, &cases[i].value), TEARS_OK);
        assert_string_equal(params.values[i], cases[i].wanted);
    }
}

static void test_text_with_nul_is_refused(void **state)
{
    const struct tears_value value = tears_text(tears_str_n("a\0b", 3));
    struct t3_pg_params params;
    assert_int_equal(t3_pg_params_init(&params, *state, 1), TEARS_OK);
    assert_int_equal(t3_pg_put_text(&params, &value), TEARS_INVALID);
}

#define WITH_ARENA(test) cmocka_unit_test_setup_teardown(test, open_arena, close_arena)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ARENA(test_an_array_with_a_null_element),
        WITH_ARENA(test_a_value_that_does_not_fit_adds_nothing),
        WITH_ARENA(test_empty_text_is_not_null),
        WITH_ARENA(test_values_as_text),
        WITH_ARENA(test_text_with_nul_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
