/*
 * test_envelope.c -- values of leases, and what follows from them: pure.
 */
#include "coord/envelope.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
// clang-format on

#include <tears/lease.h>

static bool is_readable(const char *text)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct t3_envelope envelope;
    const tears_status status = t3_envelope_read(tears_str_c(text), &arena, &envelope);
    assert_true(status == TEARS_OK || status == TEARS_CORRUPT);
    return status == TEARS_OK;
}

static void test_reads_what_it_writes(void **state)
{
    (void)state;
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    const struct t3_envelope written = {TEARS_STR("p\"1\n"), 1500000, 1000000};
    struct t3_envelope read;
    assert_int_equal(t3_envelope_put(&written, &text), TEARS_OK);
    assert_string_equal(text.ptr, "{\"holder\": \"p\\\"1\\n\", \"expires_at\": "
                                  "\"1970-01-01T00:00:01.500000+00:00\", "
                                  "\"acquired_at\": \"1970-01-01T00:00:01+00:00\"}");
    assert_int_equal(t3_envelope_read(t3_buf_str(&text), &arena, &read), TEARS_OK);
    assert_string_equal(read.holder.ptr, "p\"1\n");
    assert_int_equal(read.expires_us, 1500000);
    assert_int_equal(read.acquired_us, 1000000);
}

#define TIMES "\"expires_at\": \"2026-01-01T00:00:00Z\", \"acquired_at\": \"2026-01-01T00:00:00Z\""

static void test_what_is_no_envelope(void **state)
{
    (void)state;
    assert_true(is_readable("{\"holder\": \"p\", " TIMES "}"));
    assert_true(is_readable("{\"x\": {\"holder\": []}, \"holder\": 7, " TIMES "}"));
    assert_false(is_readable("{\"holder\": null, " TIMES "}"));
    assert_false(is_readable("{\"holder\": [], " TIMES "}"));
    assert_false(is_readable("{" TIMES "}"));
    assert_false(is_readable("[]"));
    assert_false(is_readable("{\"holder\": \"p\", " TIMES "} x"));
    assert_false(is_readable("{\"holder\": \"p\", " TIMES ", \"expires_at\": \"infinity\"}"));
    assert_false(is_readable("{\"holder\": \"p\", " TIMES ", \"expires_at\": 1}"));
    assert_false(is_readable("{\"holder\": \"\\ud800\", " TIMES "}"));
}

static void test_for_how_long_it_counts(void **state)
{
    (void)state;
    struct t3_envelope envelope = {.expires_us = 31000000, .acquired_us = 1000000};
    assert_int_equal(t3_envelope_ttl_ms(&envelope, 0), 30000);
    assert_int_equal(t3_envelope_ttl_ms(&envelope, 500), 500);
    assert_int_equal(t3_envelope_ttl_ms(&envelope, UINT64_MAX), TEARS_LEASE_TTL_MS_MAX);
    envelope.acquired_us = envelope.expires_us + 1;
    assert_int_equal(t3_envelope_ttl_ms(&envelope, 0), 0);
    envelope.acquired_us = INT64_C(-62135596800000000);
    envelope.expires_us = INT64_C(253402300799999999);
    assert_int_equal(t3_envelope_ttl_ms(&envelope, 0), TEARS_LEASE_TTL_MS_MAX);
    envelope.acquired_us = INT64_MIN + 1;
    envelope.expires_us = INT64_MAX - 1;
    assert_int_equal(t3_envelope_ttl_ms(&envelope, 0), TEARS_LEASE_TTL_MS_MAX);
    envelope.acquired_us = INT64_MAX - 1;
    envelope.expires_us = INT64_MIN + 1;
    assert_int_equal(t3_envelope_ttl_ms(&envelope, 0), 0);
    envelope.acquired_us = envelope.expires_us - 1;
    assert_int_equal(t3_envelope_ttl_ms(&envelope, 0), 1); /* a part of one counts */
    assert_true(t3_envelope_is_over(&envelope, envelope.expires_us));
    assert_false(t3_envelope_is_over(&envelope, envelope.expires_us - 1));
}

/* A holder stops before anybody may take it, by a tenth of the ttl or 2 s, and is renewed well before that. */
static void test_holder_stops_first(void **state)
{
    (void)state;
    static const uint64_t ttls_ms[] = {TEARS_LEASE_TTL_MS_MIN, 1000, 30000, TEARS_LEASE_TTL_MS_MAX};
    for (size_t i = 0; i < T3_COUNT(ttls_ms); i++) {
        const uint64_t until_us = t3_lease_valid_until(5000, ttls_ms[i]);
        assert_true(until_us < 5000 + ttls_ms[i] * 1000);
        assert_true(until_us >= 5000 + ttls_ms[i] * 900);
        assert_true(t3_lease_renew_at(5000, ttls_ms[i]) < until_us / 2 + 5000);
    }
    assert_int_equal(t3_lease_valid_until(0, 30000), 28000000);
    assert_int_equal(t3_lease_valid_until(0, 1000), 900000);
}

static void test_next_steps(void **state)
{
    (void)state;
    assert_int_equal(t3_lease_next(T3_LEASE_NOTHING), T3_LEASE_CREATE);
    assert_int_equal(t3_lease_next(T3_LEASE_OVER), T3_LEASE_STEAL);
    assert_int_equal(t3_lease_next(T3_LEASE_OWN), T3_LEASE_STEAL);
    assert_int_equal(t3_lease_next(T3_LEASE_HELD), T3_LEASE_WAIT);
    assert_int_equal(t3_lease_next(T3_LEASE_CORRUPT), T3_LEASE_REFUSE);
    assert_int_equal(t3_lease_pause(10, 20, false).look_us, 10);
    assert_int_equal(t3_lease_pause(30, 20, false).look_us, 20);
    assert_true(t3_lease_pause(30, 20, true).is_over);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_what_it_writes),
        cmocka_unit_test(test_what_is_no_envelope),
        cmocka_unit_test(test_for_how_long_it_counts),
        cmocka_unit_test(test_holder_stops_first),
        cmocka_unit_test(test_next_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
