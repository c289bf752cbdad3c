/*
 * test_kv_follow_wire.c -- the consumer a follower asks for, and what the server says, as bytes.
 */
#include "driver/kv_follow_wire.h"

#include "base/str.h"
#include "driver/kv_wire.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_the_consumer_is_what_no_crash_leaves_behind(void **state)
{
    struct t3_buf text = {0};
    const struct t3_follow_consumer_settings settings = {
        .bucket = "b",
        .deliver = "_INBOX.x",
        .sequence = UINT64_C(9007199254740993),
        .heartbeat_ms = 1000,
        .inactive_ms = 5000,
    };
    (void)state;
    assert_int_equal(t3_follow_put_consumer(&settings, &text), TEARS_OK);
    json_t *json = json_loads(text.ptr, 0, NULL);
    const json_t *config = json_object_get(json, "config");
    assert_string_equal(json_string_value(json_object_get(json, "stream_name")), "KV_b");
    assert_string_equal(json_string_value(json_object_get(config, "deliver_subject")), "_INBOX.x");
    assert_string_equal(json_string_value(json_object_get(config, "deliver_policy")),
                        "by_start_sequence");
    assert_string_equal(json_string_value(json_object_get(config, "ack_policy")), "none");
    assert_int_equal(json_integer_value(json_object_get(config, "opt_start_seq")),
                     9007199254740993);
    assert_int_equal(json_integer_value(json_object_get(config, "idle_heartbeat")), 1000000000);
    assert_int_equal(json_integer_value(json_object_get(config, "inactive_threshold")), 5000000000);
    assert_true(json_is_true(json_object_get(config, "headers_only")));
    assert_true(json_is_true(json_object_get(config, "flow_control")));
    assert_null(json_object_get(config, "durable_name"));
    json_decref(json);
    t3_buf_done(&text);
}

static int64_t consumer_code(const char *json, char name[T3_FOLLOW_CONSUMER_BYTES])
{
    int64_t code = 0;
    t3_follow_parse_consumer(tears_str_c(json), name, &code);
    return code;
}

static void test_answers_about_consumers(void **state)
{
    char name[T3_FOLLOW_CONSUMER_BYTES] = "";
    (void)state;
    assert_int_equal(
        consumer_code("{\"type\":\"t\",\"stream_name\":\"KV_b\",\"name\":\"sU7g\"}", name), 0);
    assert_string_equal(name, "sU7g");
    assert_int_equal(consumer_code("{\"error\":{\"code\":400,\"err_code\":10026}}", name), 10026);
    assert_int_equal(consumer_code("{\"error\":{\"code\":404,\"err_code\":10059}}", name),
                     T3_JS_NO_STREAM);
    assert_int_equal(consumer_code("{\"error\":{}}", name), -1);
    assert_int_equal(consumer_code("{\"name\":7}", name), -1);
    assert_int_equal(consumer_code("{\"name\":\"\"}", name), -1);
    assert_int_equal(consumer_code("{\"name\":\"a.b\"}", name), -1);
    assert_int_equal(consumer_code("{\"name\":\"a b\"}", name), -1);
    assert_int_equal(
        consumer_code("{\"name\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                      "aaaaaaaaaaaaaaaa\"}",
                      name),
        -1);
    assert_int_equal(consumer_code("", name), -1);
    assert_string_equal(name, "sU7g"); /* untouched */
}

static void test_what_the_stream_says(void **state)
{
    struct t3_follow_stream stream = {0};
    int64_t code = 0;
    (void)state;
    t3_follow_parse_stream(
        tears_str_c("{\"config\":{\"max_age\":1500000,\"num_replicas\":3,\"allow_direct\":true},"
                    "\"state\":{\"messages\":0,\"last_seq\":18014398509481985}}"),
        &stream, &code);
    assert_int_equal(code, 0);
    assert_int_equal(stream.last_sequence, 18014398509481985);
    assert_int_equal(stream.max_age_ms, 2); /* a fraction of a millisecond is not "for ever" */
    assert_int_equal(stream.replicas, 3);
    assert_true(stream.allow_direct);
    t3_follow_parse_stream(tears_str_c("{\"error\":{\"code\":404,\"err_code\":10059}}"), &stream,
                           &code);
    assert_int_equal(code, T3_JS_NO_STREAM);
    static const char *const bad[] = {"", "[]", "{\"config\":{}}",
                                      "{\"config\":{},\"state\":{\"last_seq\":-1}}",
                                      "{\"config\":{},\"state\":{\"last_seq\":\"7\"}}"};
    for (size_t i = 0; i < T3_COUNT(bad); i++) {
        t3_follow_parse_stream(tears_str_c(bad[i]), &stream, &code);
        assert_int_equal(code, -1);
    }
}

static void check_place(const char *reply, const char *consumer, uint64_t stream, uint64_t number)
{
    struct t3_follow_place place;
    if (!t3_follow_parse_place(tears_str_c(reply), &place))
        fail_msg("'%s' is not understood", reply);
    assert_true(t3_str_is(place.consumer, consumer));
    assert_int_equal(place.stream_sequence, stream);
    assert_int_equal(place.consumer_sequence, number);
}

static void test_the_place_of_a_message_in_both_forms(void **state)
{
    (void)state;
    check_place("$JS.ACK.KV_b.c1.1.45.7.1700000000000000000.0", "c1", 45, 7);
    check_place("$JS.ACK.hub.A7X.KV_b.c1.1.45.7.1700000000000000000.12", "c1", 45, 7);
    check_place("$JS.ACK._.A7X.KV_b.c1.1.45.7.1700000000000000000.12.r4nd", "c1", 45, 7);
    check_place("$JS.ACK._.A7X.KV_b.c1.1.45.7.1700000000000000000.12.r4nd.more.and.more", "c1", 45,
                7);
}

static void test_what_is_no_place(void **state)
{
    static const char *const bad[] = {
        "",
        "_INBOX.x",
        "$JS.ACK.KV_b.c1.1.45.7.17",
        "$JS.ACK.a.KV_b.c1.1.45.7.17.0",
        "$JS.ACK.KV_b.c1.1.x.7.17.0",
        "$JS.ACK.KV_b.c1.1.45..17.0",
        "$JS.ACK.KV_b..1.45.7.17.0",
        "$JS.ACK.KV_b.c1.1.99999999999999999999.7.17.0",
        "$JS.NAK.KV_b.c1.1.45.7.17.0",
    };
    struct t3_follow_place place;
    (void)state;
    for (size_t i = 0; i < T3_COUNT(bad); i++)
        if (t3_follow_parse_place(tears_str_c(bad[i]), &place))
            fail_msg("'%s' passes for a place", bad[i]);
}

static void test_identities(void **state)
{
    uint64_t number = 7;
    (void)state;
    assert_true(t3_kv_parse_epoch(TEARS_STR("00000000deadbeef"), &number));
    assert_int_equal(number, 0xdeadbeef);
    assert_false(t3_kv_parse_epoch(TEARS_STR("0000000000000000"), &number));
    assert_false(t3_kv_parse_epoch(TEARS_STR("00000000DEADBEEF"), &number));
    assert_false(t3_kv_parse_epoch(TEARS_STR("00000000deadbee"), &number));
    assert_false(t3_kv_parse_epoch(TEARS_STR("00000000deadbeef0"), &number));
    assert_false(t3_kv_parse_epoch(TEARS_STR("0x000000deadbeef"), &number));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_consumer_is_what_no_crash_leaves_behind),
        cmocka_unit_test(test_answers_about_consumers),
        cmocka_unit_test(test_what_the_stream_says),
        cmocka_unit_test(test_the_place_of_a_message_in_both_forms),
        cmocka_unit_test(test_what_is_no_place),
        cmocka_unit_test(test_identities),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
