/*
 * test_nearest.c -- suggestions help, and do not guess wildly; numbers are read whole or not at
 * all.
 */
#include "command.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char *const verbs[] = {"get", "set", "insert", "delete", "describe", "doctor"};

static const char *near(const char *word)
{
    return cli_nearest(word, verbs, CLI_COUNT(verbs));
}

static void slips_of_the_finger_are_understood(void **state)
{
    (void)state;
    assert_string_equal(near("gte"), "get");
    assert_string_equal(near("inser"), "insert");
    assert_string_equal(near("dleete"), "delete");
    assert_string_equal(near("descirbe"), "describe");
    assert_string_equal(near("docttor"), "doctor");
}

static void other_words_are_left_alone(void **state)
{
    (void)state;
    assert_null(near("frobnicate"));
    assert_null(near("x"));
    assert_null(near(""));
    assert_null(near("a word that is much longer than any name a command could reasonably have"));
}

static void numbers_are_whole_and_bounded(void **state)
{
    uint64_t number = 7;
    (void)state;
    assert_true(cli_number(TEARS_STR("0"), 10, &number));
    assert_int_equal(number, 0);
    assert_true(cli_number(TEARS_STR("18446744073709551615"), UINT64_MAX, &number));
    assert_true(number == UINT64_MAX);
    assert_false(cli_number(TEARS_STR("18446744073709551616"), UINT64_MAX, &number));
    assert_false(cli_number(TEARS_STR("11"), 10, &number));
    assert_false(cli_number(TEARS_STR("9"), 5, &number));
    assert_false(cli_number(TEARS_STR(""), 10, &number));
    assert_false(cli_number(TEARS_STR("1x"), 10, &number));
    assert_false(cli_number(TEARS_STR("-1"), 10, &number));
}

static void counts_are_grouped_by_thousands(void **state)
{
    static const struct {
        uint64_t number;
        const char *text;
    } cases[] = {{0, "0"}, {999, "999"}, {1000, "1,000"}, {1002003, "1,002,003"}};
    (void)state;
    for (size_t i = 0; i < CLI_COUNT(cases); i++) {
        struct cli_text text = {0};
        cli_text_put_count(&text, cases[i].number);
        assert_string_equal(text.ptr, cases[i].text);
        cli_text_done(&text);
    }
}

static void json_strings_are_valid_whatever_the_bytes(void **state)
{
    struct cli_text text = {0};
    (void)state;
    cli_text_put_json(&text, TEARS_STR("a\"\\\n\x01\xC3\xA4\xFF\xED\xA0\x80"));
    assert_string_equal(text.ptr, "\"a\\\"\\\\\\n\\u0001\xC3\xA4\\ufffd\\ufffd\\ufffd\\ufffd\"");
    cli_text_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slips_of_the_finger_are_understood),
        cmocka_unit_test(other_words_are_left_alone),
        cmocka_unit_test(numbers_are_whole_and_bounded),
        cmocka_unit_test(counts_are_grouped_by_thousands),
        cmocka_unit_test(json_strings_are_valid_whatever_the_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
