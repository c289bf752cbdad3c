/*
 * test_kv_wire.c -- JetStream's answers, names and settings, as bytes.
 */
#include "driver/breaker.h"
#include "driver/kv_bucket.h"
#include "driver/kv_wire.h"
#include "driver/nats_info.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct t3_kv_ack ack_of(const char *json)
{
    struct t3_kv_ack ack;
    t3_kv_parse_ack(tears_str_c(json), &ack);
    return ack;
}

static void test_acknowledgements(void **state)
{
    (void)state;
    struct t3_kv_ack ack = ack_of("{\"stream\":\"KV_3tears-collections\", \"seq\":1}");
    assert_int_equal(ack.error, 0);
    assert_int_equal(ack.revision, 1);
    ack = ack_of("{\"stream\":\"KV_b\",\"domain\":\"d\",\"seq\":987654321098,\"duplicate\":true}");
    assert_int_equal(ack.error, 0);
    assert_int_equal(ack.revision, 987654321098);
    ack = ack_of("{\"error\":{\"code\":400,\"err_code\":10071,\"description\":\"wrong last "
                 "sequence: 35\"},\"stream\":\"KV_b\",\"seq\":0}");
    assert_int_equal(ack.error, T3_JS_WRONG_REVISION);
    ack = ack_of("{\"error\":{\"code\":503,\"description\":\"x\"}}");
    assert_int_equal(ack.error, 503);
}

static void test_senseless_acknowledgements(void **state)
{
    static const char *const texts[] = {
        "",
        "{",
        "null",
        "[]",
        "{\"stream\":\"KV_b\"}",
        "{\"stream\":\"KV_b\", \"seq\":0}",
        "{\"stream\":\"KV_b\", \"seq\":-4}",
        "{\"stream\":\"KV_b\", \"seq\":\"4\"}",
        "{\"stream\":\"KV_b\", \"seq\":99999999999999999999}",
        "{\"error\":{}}",
        "{\"error\":5}",
    };
    (void)state;
    for (size_t i = 0; i < T3_COUNT(texts); i++)
        if (ack_of(texts[i]).error == 0)
            fail_msg("'%s' passes for an acknowledgement", texts[i]);
}

static void test_stored_messages(void **state)
{
    struct t3_kv_stored stored = {0};
    struct tears_str value;
    (void)state;
    assert_int_equal(
        t3_kv_parse_stored(
            tears_str_c("{\"type\":\"t\",\"message\":{\"subject\":\"s\",\"seq\":7,\"hdrs\":"
                        "\"TkFUUy8xLjANCktWLU9wZXJhdGlvbjogREVMDQoNCg==\",\"data\":\"e30=\"}}"),
            &stored),
        TEARS_OK);
    assert_int_equal(stored.error, 0);
    assert_int_equal(stored.revision, 7);
    assert_string_equal(stored.value.ptr, "{}");
    assert_true(t3_kv_find_header(t3_buf_str(&stored.headers), "KV-Operation", &value));
    assert_int_equal(value.len, 3);
    assert_memory_equal(value.ptr, "DEL", 3);
    assert_false(t3_kv_find_header(t3_buf_str(&stored.headers), "KV-Oper", &value));
    t3_kv_stored_done(&stored);

    assert_int_equal(t3_kv_parse_stored(tears_str_c("{\"error\":{\"code\":404,\"err_code\":10037,"
                                                    "\"description\":\"no message found\"}}"),
                                        &stored),
                     TEARS_OK);
    assert_int_equal(stored.error, T3_JS_NO_MESSAGE);
    t3_kv_stored_done(&stored);

    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"message\":{}}",
        "{\"message\":{\"seq\":0}}",
        "{\"message\":{\"seq\":1,\"data\":\"*\"}}",
        "{\"message\":{\"seq\":1,\"data\":5}}",
    };
    for (size_t i = 0; i < T3_COUNT(bad); i++)
        assert_int_equal(t3_kv_parse_stored(tears_str_c(bad[i]), &stored), TEARS_CORRUPT);
}

static void test_names(void **state)
{
    (void)state;
    assert_true(t3_kv_key_is_good(TEARS_STR("users.0190a1b2-c3d4")));
    assert_false(t3_kv_key_is_good(TEARS_STR("users.a b")));
    assert_false(t3_kv_key_is_good(TEARS_STR("users.*")));
    assert_false(t3_kv_key_is_good(TEARS_STR("users.>")));
    assert_false(t3_kv_key_is_good(TEARS_STR("users.")));
    assert_false(t3_kv_key_is_good(TEARS_STR("users..a")));
    assert_false(t3_kv_key_is_good(TEARS_STR(".a")));
    assert_false(t3_kv_key_is_good(TEARS_STR("a\"b")));
    assert_false(t3_kv_key_is_good(TEARS_STR("a\r\nPUB x")));
    assert_false(t3_kv_key_is_good(TEARS_STR("")));
    assert_true(t3_kv_bucket_name_is_good(TEARS_STR("3tears-collections_X")));
    assert_false(t3_kv_bucket_name_is_good(TEARS_STR("a.b")));
    assert_false(t3_kv_bucket_name_is_good(TEARS_STR("")));
}

static void test_settings_are_read_and_compared(void **state)
{
    struct t3_buf text = {0};
    struct t3_kv_settings found = {0};
    int64_t code = 0;
    const struct t3_kv_settings wanted = t3_kv_settings_wanted(false, 0);
    (void)state;
    t3_kv_parse_info(
        tears_str_c("{\"config\":{\"storage\":\"file\",\"num_replicas\":1,\"discard\":"
                    "\"new\",\"max_age\":0,\"max_bytes\":-1,\"max_msgs_per_subject\":1},"
                    "\"state\":{\"messages\":3,\"bytes\":99}}"),
        &found, &code);
    assert_int_equal(code, 0);
    assert_int_equal(found.messages, 3);
    assert_int_equal(t3_kv_put_differences(&found, &wanted, &text), TEARS_OK);
    assert_string_equal(text.ptr,
                        "allow_direct is false (wanted true), storage is file (wanted memory)");
    t3_buf_clear(&text);
    assert_int_equal(t3_kv_put_differences(&wanted, &wanted, &text), TEARS_OK);
    assert_int_equal(text.len, 0);
    t3_buf_done(&text);
    t3_kv_parse_info(tears_str_c("{\"error\":{\"code\":404,\"err_code\":10059}}"), &found, &code);
    assert_int_equal(code, T3_JS_NO_STREAM);
    t3_kv_parse_info(tears_str_c("nonsense"), &found, &code);
    assert_int_equal(code, -1);
}

static void test_server_info(void **state)
{
    struct t3_nats_info info = {0};
    (void)state;
    assert_true(t3_nats_info_parse(
        tears_str_c(
            "INFO {\"version\":\"2.9.10\",\"jetstream\":true,\"max_payload\":1048576} \r\n"),
        &info));
    assert_string_equal(info.version, "2.9.10");
    assert_true(info.has_jetstream);
    assert_int_equal(info.payload_max, 1048576);
    assert_false(t3_nats_info_parse(tears_str_c("HTTP/1.1 400"), &info));
    assert_false(t3_nats_info_parse(tears_str_c("INFO {"), &info));
}

static void test_breaker_opens_probes_and_closes(void **state)
{
    struct t3_breaker breaker = {0};
    (void)state;
    const uint64_t s = 1000000;
    assert_true(t3_breaker_allows(&breaker, 10 * s));
    t3_breaker_open(&breaker, 9 * s, 10 * s);
    t3_breaker_open(&breaker, 9 * s, 10 * s + 5); /* another call under way at the time */
    assert_false(t3_breaker_allows(&breaker, 11 * s - 1));
    assert_true(t3_breaker_allows(&breaker, 11 * s));
    assert_false(t3_breaker_allows(&breaker, 11 * s)); /* one probe only */
    t3_breaker_open(&breaker, 11 * s, 11 * s + 500000);
    assert_false(t3_breaker_allows(&breaker, 13 * s));
    assert_true(t3_breaker_allows(&breaker, 14 * s)); /* the pause has doubled */
    t3_breaker_close(&breaker);
    assert_true(t3_breaker_allows(&breaker, 14 * s));
    assert_true(t3_breaker_is_closed(&breaker));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_acknowledgements),
        cmocka_unit_test(test_senseless_acknowledgements),
        cmocka_unit_test(test_stored_messages),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_settings_are_read_and_compared),
        cmocka_unit_test(test_server_info),
        cmocka_unit_test(test_breaker_opens_probes_and_closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
