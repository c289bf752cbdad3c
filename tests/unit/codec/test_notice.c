/*
 * test_notice.c -- invalidation messages and dead letters, and what peers may send.
 */
#include "base/alloc.h"
#include "base/str.h"
#include "codec/notice.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void a_message_is_compact_utf8(void **state)
{
    (void)state;
    const struct tears_value key[] = {tears_text(TEARS_STR("a:b \"\xc3\xa9\n")), tears_int(-5)};
    T3_AUTO(t3_buf_done) struct t3_buf out = {0};
    assert_int_equal(t3_notice_encode(TEARS_STR("users"), key, 2, TEARS_STR("me"), &out), TEARS_OK);
    assert_string_equal(out.ptr, "{\"table\":\"users\",\"ids\":[\"a:b \\\"\xc3\xa9\\n\",\"-5\"],"
                                 "\"origin\":\"me\"}");
    t3_buf_clear(&out);
    assert_int_equal(t3_notice_encode(TEARS_STR("t"), key + 1, 1, tears_str_n(NULL, 0), &out),
                     TEARS_OK);
    assert_string_equal(out.ptr, "{\"table\":\"t\",\"ids\":[\"-5\"],\"origin\":null}");
}

static void messages_of_peers_are_understood(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t ids;
        const char *origin;
    } cases[] = {
        {"{\"table\":\"t\",\"ids\":[\"a\"],\"origin\":null}", 1, NULL},
        {" {\"origin\":\"o\", \"ids\" : [\"a\",\"b\"],\n\"table\":\"t\"} ", 2, "o"},
        {"{\"table\":\"t\",\"ids\":[],\"future\":{\"x\":[1,NaN]}}", 0, NULL},
        {"{\"t\\u0061ble\":\"\\u0074\",\"ids\":[\"a,b\"],\"origin\":\"\"}", 1, ""},
        {"{\"table\":\"x\",\"table\":\"t\",\"ids\":[\"a\"],\"origin\":\"o\",\"origin\":null}", 1,
         NULL}};
    for (size_t i = 0; i < T3_COUNT(cases); i++) {
        T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
        struct t3_notice notice;
        assert_int_equal(t3_notice_decode(tears_str_c(cases[i].text), &arena, &notice, NULL),
                         TEARS_OK);
        assert_true(t3_str_is(notice.table, "t"));
        assert_int_equal(notice.id_count, cases[i].ids);
        if (cases[i].origin == NULL)
            assert_null(notice.origin.ptr);
        else
            assert_true(t3_str_is(notice.origin, cases[i].origin));
    }
}

static void anything_else_is_refused_with_a_reason(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *reason;
    } cases[] = {{"", "malformed JSON at byte 0"},
                 {"null", "malformed JSON"},
                 {"[]", "malformed JSON"},
                 {"{}", "\"table\" is missing"},
                 {"{\"table\":\"t\"}", "\"ids\" is missing"},
                 {"{\"table\":5,\"ids\":[]}", "\"table\" is not a string"},
                 {"{\"table\":\"t\",\"ids\":[5]}", "\"ids\" is not a string"},
                 {"{\"table\":\"t\",\"ids\":\"a\"}", "\"ids\" is not an array"},
                 {"{\"table\":\"t\",\"ids\":[\"a\"],\"origin\":1}", "\"origin\" is not a string"},
                 {"{\"table\":\"t\",\"ids\":[\"\xff\"]}", "malformed JSON at byte 21"},
                 {"{\"table\":\"t\",\"ids\":[\"\\ud800\"]}", "malformed JSON at byte 21"},
                 {"{\"table\":\"t\",\"ids\":[\"a\"]} x", "malformed JSON at byte 26"}};
    for (size_t i = 0; i < T3_COUNT(cases); i++) {
        T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
        struct t3_notice notice;
        struct tears_error error;
        assert_int_equal(t3_notice_decode(tears_str_c(cases[i].text), &arena, &notice, &error),
                         TEARS_INVALID);
        assert_non_null(strstr(error.message, cases[i].reason));
    }
}

static void memory_may_run_out_anywhere(void **state)
{
    (void)state;
    char text[9000] = "{\"table\":\"t\",\"origin\":\"o\",\"ids\":[\"";
    memset(text + strlen(text), 'a', 8000);
    memcpy(text + strlen(text), "\"]}", 4);
    for (uint64_t nth = 1;; nth++) {
        T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
        struct t3_notice notice;
        t3_alloc_fail_at(nth);
        const tears_status status = t3_notice_decode(tears_str_c(text), &arena, &notice, NULL);
        const bool failed = t3_alloc_count() >= nth;
        t3_alloc_fail_at(0);
        assert_int_equal(status, failed ? TEARS_NO_MEMORY : TEARS_OK);
        if (!failed)
            break;
    }
}

static void dead_letters_carry_the_payload_in_hexadecimal(void **state)
{
    (void)state;
    T3_AUTO(t3_buf_done) struct t3_buf out = {0};
    assert_int_equal(
        t3_dead_letter_subject(TEARS_STR("3tears"), TEARS_STR(T3_NOTICE_SUBJECT), &out), TEARS_OK);
    assert_string_equal(out.ptr, "3tears.deadletter.threetears.cache.invalidate");
    t3_buf_clear(&out);
    assert_int_equal(t3_dead_letter_encode(TEARS_STR("n.x"), tears_str_n("\0\xff", 2),
                                           TEARS_STR("ValidationError"), TEARS_STR("bad \xc3\xa9"),
                                           TEARS_STR("pod-1"), INT64_C(1767323045678000), &out),
                     TEARS_OK);
    assert_string_equal(out.ptr,
                        "{\"original_subject\": \"n.x\", \"error_type\": \"ValidationError\", "
                        "\"error_message\": \"bad \\u00e9\", "
                        "\"timestamp\": \"2026-01-02T03:04:05.678000+00:00\", "
                        "\"client_name\": \"pod-1\", \"payload_b64\": \"00ff\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_compact_utf8),
        cmocka_unit_test(messages_of_peers_are_understood),
        cmocka_unit_test(anything_else_is_refused_with_a_reason),
        cmocka_unit_test(memory_may_run_out_anywhere),
        cmocka_unit_test(dead_letters_carry_the_payload_in_hexadecimal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
