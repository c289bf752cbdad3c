/*
 * test_coord.c -- the base of tokens, options, lines and observations, without a server.
 */
#include "base/alloc.h"
#include "base/str.h"
#include "coord/coord.h"
#include "coord/line.h"
#include "coord/nonce_cache.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
// clang-format on

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static tears_coord *open_without_server(void)
{
    struct tears_coord_options options = TEARS_COORD_OPTIONS_INIT;
    tears_coord *coord = NULL;
    options.url = TEARS_STR("nats://127.0.0.1:1"); /* nobody listens there */
    assert_int_equal(tears_coord_open(&options, &coord, NULL), TEARS_OK);
    return coord;
}

static void test_bases_grow(void **state)
{
    (void)state;
    const int64_t now_us = INT64_C(1700000000000000);
    const uint64_t first = t3_coord_next_base(0, now_us);
    assert_int_equal(first, now_us);
    assert_true(t3_coord_next_base(first, now_us) > first + 100000000); /* same moment: a restart */
    assert_true(t3_coord_next_base(first, now_us - 120000000) > first); /* the calendar went back */
    assert_int_equal(t3_coord_next_base(first, now_us + INT64_C(3600000000)), first + 3600000000u);
    assert_int_equal(t3_coord_next_base(0, -5), 1);
}

static void test_base_entries(void **state)
{
    (void)state;
    uint64_t base = 0;
    char server[T3_SOLO_SERVER_BYTES];
    assert_true(t3_coord_read_base(TEARS_STR("{\"base\": 7, \"server\": \"S\"}"), &base, server));
    assert_int_equal(base, 7);
    assert_string_equal(server, "S");
    assert_true(t3_coord_read_base(TEARS_STR("{\"x\":[1],\"base\":8}"), &base, server));
    assert_string_equal(server, "");
    static const char *const bad[] = {"",
                                      "{}",
                                      "[]",
                                      "{\"base\": 0}",
                                      "{\"base\": -1}",
                                      "{\"base\": \"7\"}",
                                      "{\"base\": 9223372036854775807}",
                                      "{\"base\": 7, \"server\": 1}"};
    for (size_t i = 0; i < T3_COUNT(bad); i++)
        assert_false(t3_coord_read_base(tears_str_c(bad[i]), &base, server));
}

static void test_options_are_checked(void **state)
{
    (void)state;
    struct tears_coord_options options = TEARS_COORD_OPTIONS_INIT;
    struct tears_error error = {.status = TEARS_OK};
    tears_coord *coord = NULL;
    unsetenv("TEARS_L2_URL");
    assert_int_equal(tears_coord_open(NULL, &coord, &error), TEARS_INVALID);
    assert_non_null(strstr(error.message, "TEARS_L2_URL"));
    options.url = TEARS_STR("nats://127.0.0.1:1");
    options.storage = TEARS_STR("paper");
    assert_int_equal(tears_coord_open(&options, &coord, &error), TEARS_INVALID);
    options.storage = TEARS_STR("");
    options.namespace_name = TEARS_STR("a.b");
    assert_int_equal(tears_coord_open(&options, &coord, &error), TEARS_INVALID);
    options.namespace_name = TEARS_STR("");
    options.holder = TEARS_STR("\xff");
    assert_int_equal(tears_coord_open(&options, &coord, &error), TEARS_INVALID);
    assert_null(coord);
}

static void test_holders_are_unique(void **state)
{
    (void)state;
    tears_coord *one = open_without_server();
    tears_coord *other = open_without_server();
    assert_true(tears_coord_holder(one).len > 40);
    assert_false(t3_str_equal(tears_coord_holder(one), tears_coord_holder(other)));
    tears_coord_free(one);
    tears_coord_free(other);
}

static void test_without_a_server_it_is_said_at_once(void **state)
{
    (void)state;
    tears_coord *coord = open_without_server();
    tears_lease *lease = NULL;
    struct tears_error error = {.status = TEARS_OK};
    const uint64_t began_us = t3_now_us();
    assert_int_equal(tears_lease_acquire(coord, TEARS_STR("a"), NULL, &lease, &error),
                     TEARS_UNAVAILABLE);
    assert_true(t3_now_us() - began_us < 500000);
    assert_null(lease);
    struct tears_lease_options options = TEARS_LEASE_OPTIONS_INIT;
    options.wait_ms = 300;
    assert_int_equal(tears_lease_acquire(coord, TEARS_STR("a"), &options, &lease, &error),
                     TEARS_UNAVAILABLE);
    assert_true(t3_now_us() - began_us >= 300000);
    tears_coord_free(coord);
}

static void test_observations(void **state)
{
    (void)state;
    tears_coord *coord = open_without_server();
    const uint64_t first = t3_observe(coord, TEARS_STR("a"), 1);
    usleep(2000);
    assert_int_equal(t3_observe(coord, TEARS_STR("a"), 1), first);
    assert_true(t3_observe(coord, TEARS_STR("a"), 2) > first); /* another write counts anew */
    assert_int_not_equal(t3_write_hash(TEARS_STR("v"), TEARS_STR("id.1")),
                         t3_write_hash(TEARS_STR("v"), TEARS_STR("id.2")));
    tears_coord_free(coord);
}

/* Only the first looks; it is woken by a release; the second is first when the first has left. */
static void test_lines(void **state)
{
    (void)state;
    tears_coord *coord = open_without_server();
    struct t3_waiter first;
    struct t3_waiter second;
    const struct tears_str name = TEARS_STR("a");
    const uint64_t far_us = t3_now_us() + 60000000;
    assert_false(t3_line_is_there(coord, name));
    assert_int_equal(t3_line_join(coord, name, &first), TEARS_OK);
    assert_int_equal(t3_line_join(coord, name, &second), TEARS_OK);
    assert_int_equal(t3_line_wait(coord, &first, 0, t3_deadline_in_ms(1000)), T3_LINE_LOOK);
    const uint64_t second_us = t3_now_us();
    assert_int_equal(t3_line_wait(coord, &second, 0, t3_deadline_in_ms(10)), T3_LINE_TIMED_OUT);
    assert_true(t3_now_us() - second_us >= 9000); /* and did not ask */
    t3_line_ended(coord, name, true);
    assert_int_equal(t3_line_wait(coord, &first, far_us, t3_deadline_in_ms(1000)), T3_LINE_HEARD);
    t3_line_ended(coord, name, false);
    assert_int_equal(t3_line_wait(coord, &first, far_us, t3_deadline_in_ms(1000)), T3_LINE_LOOK);
    t3_lines_look(coord); /* the connection was away */
    assert_int_equal(t3_line_wait(coord, &first, far_us, t3_deadline_in_ms(1000)), T3_LINE_HEARD);
    t3_line_leave(coord, &first, t3_now_us() + 30000); /* it has got it, for 30 ms */
    const uint64_t began_us = t3_now_us();
    assert_int_equal(t3_line_wait(coord, &second, 0, t3_deadline_in_ms(1000)), T3_LINE_LOOK);
    assert_true(t3_now_us() - began_us >= 20000);
    t3_line_leave(coord, &second, 0);
    assert_false(t3_line_is_there(coord, name));
    tears_coord_free(coord);
}

static void test_nonces_are_remembered_for_a_while(void **state)
{
    (void)state;
    struct t3_nonce_cache *cache = t3_nonce_cache_new(64, 50);
    char key[65];
    size_t known = 0;
    assert_non_null(cache);
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "%032x%032x", i * 7919, i);
        assert_false(t3_nonce_cache_has(cache, key));
        t3_nonce_cache_add(cache, key);
        assert_true(t3_nonce_cache_has(cache, key));
    }
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "%032x%032x", i * 7919, i);
        known += t3_nonce_cache_has(cache, key);
    }
    assert_true(known <= 64);
    usleep(60000);
    assert_false(t3_nonce_cache_has(cache, key));
    t3_nonce_cache_free(cache);
}

/* Every allocation of opening fails once; nothing is left, nothing crashes. */
static void test_opening_without_memory(void **state)
{
    (void)state;
    struct tears_coord_options options = TEARS_COORD_OPTIONS_INIT;
    options.url = TEARS_STR("nats://127.0.0.1:1");
    for (uint64_t nth = 1;; nth++) {
        tears_coord *coord = NULL;
        struct tears_error error = {.status = TEARS_OK};
        t3_alloc_fail_at(nth);
        const tears_status status = tears_coord_open(&options, &coord, &error);
        const bool was_failed = t3_alloc_count() >= nth;
        t3_alloc_fail_at(0);
        assert_int_equal(status, was_failed ? TEARS_NO_MEMORY : TEARS_OK);
        tears_coord_free(coord);
        if (!was_failed)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bases_grow),
        cmocka_unit_test(test_base_entries),
        cmocka_unit_test(test_options_are_checked),
        cmocka_unit_test(test_holders_are_unique),
        cmocka_unit_test(test_without_a_server_it_is_said_at_once),
        cmocka_unit_test(test_observations),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_nonces_are_remembered_for_a_while),
        cmocka_unit_test(test_opening_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
