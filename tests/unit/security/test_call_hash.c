/*
 * test_call_hash.c -- canonical JSON of calls, byte for byte as Python writes it.
 */
#include "base/alloc.h"
#include "base/macros.h"

#include <setjmp.h>
#include <stdarg.h>
#include <tears/call_hash.h>

#include <cmocka.h>

static tears_status canonical_of(const char *arguments, struct tears_owned_text *out)
{
    const struct tears_call call = {
        .tool_name = TEARS_STR("t"), .arguments = tears_str_c(arguments), .correlation_id = {0}};
    return tears_call_canonical(&call, out, NULL);
}

static void check(const char *arguments, const char *expected)
{
    static const char start[] = "{\"arguments\":";
    struct tears_owned_text text = {0};
    assert_int_equal(canonical_of(arguments, &text), TEARS_OK);
    assert_memory_equal(text.ptr, start, sizeof start - 1);
    char *const end = strstr(text.ptr, ",\"correlation_id\":null,\"tool_name\":\"t\"}");
    assert_non_null(end);
    *end = '\0';
    assert_string_equal(text.ptr + sizeof start - 1, expected);
    tears_owned_text_free(&text);
}

static void test_members_are_sorted_and_the_last_of_a_name_counts(void **state)
{
    (void)state;
    check(" { } ", "{}");
    check("{\"b\":1,\"a\":2}", "{\"a\":2,\"b\":1}");
    check("{\"a\":1,\"b\":2,\"a\":3}", "{\"a\":3,\"b\":2}");
    check("{\"a\":1,\"\\u0061\":[1 , {\"z\":0,\"y\":0}]}", "{\"a\":[1,{\"y\":0,\"z\":0}]}");
    check("{\"\xf0\x9f\x98\x80\":1,\"\xef\xbf\xbf\":2}", "{\"\\uffff\":2,\"\\ud83d\\ude00\":1}");
    check("{\"a\":1,\"aa\":2,\"\":3,\"a\\u0000\":4}", "{\"\":3,\"a\":1,\"a\\u0000\":4,\"aa\":2}");
}

static void test_numbers_are_those_of_python(void **state)
{
    (void)state;
    check("{\"a\":-0}", "{\"a\":0}");
    check("{\"a\":-0.0}", "{\"a\":-0.0}");
    check("{\"a\":123456789012345678901234567890}", "{\"a\":123456789012345678901234567890}");
    check("{\"a\":1e400,\"b\":-1E400,\"c\":1e-400}", "{\"a\":Infinity,\"b\":-Infinity,\"c\":0.0}");
    check("{\"a\":NaN,\"b\":-Infinity,\"c\":[Infinity]}",
          "{\"a\":NaN,\"b\":-Infinity,\"c\":[Infinity]}");
    check("{\"a\":1E2,\"b\":0.1e1,\"c\":1e22}", "{\"a\":100.0,\"b\":1.0,\"c\":1e+22}");
}

static void test_strings_are_ascii(void **state)
{
    (void)state;
    check("{\"a\":\"\\/\\u002f\x7f\xc3\xa9\\n\"}", "{\"a\":\"//\\u007f\\u00e9\\n\"}");
}

static void test_the_parts_of_a_call_count(void **state)
{
    (void)state;
    struct tears_call call = {.tool_name = TEARS_STR("t"), .arguments = TEARS_STR("{\"a\":1}")};
    char one[TEARS_CALL_HASH_BYTES];
    char other[TEARS_CALL_HASH_BYTES];
    assert_int_equal(tears_call_hash(&call, one, NULL), TEARS_OK);
    call.arguments = TEARS_STR("{\"a\":1.0}");
    assert_int_equal(tears_call_hash(&call, other, NULL), TEARS_OK);
    assert_string_not_equal(one, other);
    call.arguments = TEARS_STR("{\"a\":1}");
    call.correlation_id = TEARS_STR("");
    assert_int_equal(tears_call_hash(&call, other, NULL), TEARS_OK);
    assert_string_not_equal(one, other);
    call.correlation_id.ptr = NULL;
    assert_int_equal(tears_call_hash(&call, other, NULL), TEARS_OK);
    assert_string_equal(one, other);
    assert_int_equal(strlen(one), 43);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    static const char *const refused[] = {"",
                                          "[]",
                                          "5",
                                          "{\"a\":1}x",
                                          "{",
                                          "{\"a\":}",
                                          "{'a':1}",
                                          "{\"a\":\"\\ud800\"}",
                                          "{\"a\":\"\xff\"}"};
    struct tears_owned_text text = {0};
    for (size_t i = 0; i < T3_COUNT(refused); i++)
        assert_int_equal(canonical_of(refused[i], &text), TEARS_INVALID);
    const struct tears_call call = {.tool_name = TEARS_STR("\xff"), .arguments = TEARS_STR("{}")};
    assert_int_equal(tears_call_canonical(&call, &text, NULL), TEARS_INVALID);
    assert_null(text.ptr);
}

static void test_depth_is_bounded(void **state)
{
    (void)state;
    enum { DEPTH = 64 };
    char json[2 * DEPTH + 16] = "{\"a\":";
    struct tears_owned_text text = {0};
    memset(json + 5, '[', DEPTH - 1);
    memset(json + 5 + DEPTH - 1, ']', DEPTH - 1);
    json[5 + 2 * (DEPTH - 1)] = '}';
    json[6 + 2 * (DEPTH - 1)] = '\0';
    assert_int_equal(canonical_of(json, &text), TEARS_OK);
    tears_owned_text_free(&text);
    memset(json + 5, '[', 2 * DEPTH);
    assert_int_equal(canonical_of(json, &text), TEARS_LIMIT);
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct tears_owned_text text = {0};
        t3_alloc_fail_at(nth);
        const tears_status status =
            canonical_of("{\"b\":[1.5,\"\\u00e9\"],\"\\u0061\":{\"c\":null}}", &text);
        const bool was_reached = t3_alloc_count() >= nth;
        t3_alloc_fail_at(0);
        assert_int_equal(status, was_reached ? TEARS_NO_MEMORY : TEARS_OK);
        tears_owned_text_free(&text);
        if (!was_reached)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members_are_sorted_and_the_last_of_a_name_counts),
        cmocka_unit_test(test_numbers_are_those_of_python),
        cmocka_unit_test(test_strings_are_ascii),
        cmocka_unit_test(test_the_parts_of_a_call_count),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
