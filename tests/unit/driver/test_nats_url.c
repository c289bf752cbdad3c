/*
 * test_nats_url.c -- lists of NATS URLs: what is taken, what is refused, what is shown.
 */
#include "driver/nats_url.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static tears_status parse(const char *text, struct t3_nats_urls *urls, struct tears_error *error)
{
    static struct t3_arena arena;
    t3_arena_reset(&arena);
    const tears_status status = t3_nats_urls_parse(tears_str_c(text), &arena, urls, error);
    return status;
}

static void test_lists_are_split(void **state)
{
    struct t3_nats_urls urls;
    (void)state;
    assert_int_equal(parse("nats://a:4222, tls://u:p@b ,c:1", &urls, NULL), TEARS_OK);
    assert_int_equal(urls.count, 3);
    assert_string_equal(urls.items[0], "nats://a:4222");
    assert_string_equal(urls.items[1], "tls://u:p@b");
    assert_string_equal(urls.items[2], "c:1");
    assert_true(urls.secure);
    assert_int_equal(parse("nats://[::1]:4222", &urls, NULL), TEARS_OK);
    assert_false(urls.secure);
}

static void test_nonsense_is_refused_without_showing_secrets(void **state)
{
    static const char *const texts[] = {
        "",          "nats://",           "http://a",     "nats://u:hidden@",
        "nats://a:", "nats://a:99999",    "nats://a:1x",  "nats://u:hidden@a b",
        "a,,b",      "ws://u:hidden@a:1", "nats://:4222", "u:hidden@a:0",
    };
    (void)state;
    for (size_t i = 0; i < T3_COUNT(texts); i++) {
        struct t3_nats_urls urls;
        struct tears_error error = {0};
        if (parse(texts[i], &urls, &error) != TEARS_INVALID)
            fail_msg("'%s' is not refused", texts[i]);
        assert_null(strstr(error.message, "hidden"));
    }
}

static void test_secrets_are_redacted(void **state)
{
    struct t3_buf text = {0};
    (void)state;
    assert_int_equal(
        t3_nats_urls_put_redacted(tears_str_c("nats://u:p@ss@a:1,tls://token@b,c"), &text),
        TEARS_OK);
    assert_string_equal(text.ptr, "nats://***@a:1,tls://***@b,c");
    t3_buf_done(&text);
}

static void test_host_and_port_are_found(void **state)
{
    struct t3_nats_address address;
    (void)state;
    assert_true(t3_nats_url_address(tears_str_c("nats://u:p@host:99"), &address));
    assert_string_equal(address.host, "host");
    assert_string_equal(address.port, "99");
    assert_true(t3_nats_url_address(tears_str_c("[::1]"), &address));
    assert_string_equal(address.host, "::1");
    assert_string_equal(address.port, "4222");
    assert_true(t3_nats_url_address(tears_str_c("tls://[fe80::2]:7"), &address));
    assert_string_equal(address.host, "fe80::2");
    assert_string_equal(address.port, "7");
    assert_false(t3_nats_url_address(tears_str_c("nats://u@"), &address));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists_are_split),
        cmocka_unit_test(test_nonsense_is_refused_without_showing_secrets),
        cmocka_unit_test(test_secrets_are_redacted),
        cmocka_unit_test(test_host_and_port_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
