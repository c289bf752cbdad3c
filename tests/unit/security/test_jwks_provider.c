/*
 * test_jwks_provider.c -- keys kept fresh: what a failed fetch costs, who fetches, how old is too old.
 */
#include "base/alloc.h"
#include "base/clock.h"
#include "support/tokens.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <time.h>

#include <cmocka.h>

#define ONE                                                                 \
    "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"k0\",\"x\":" \
    "\"A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg\"}]}"
#define TWO                                                                 \
    "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"k1\",\"x\":" \
    "\"A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg\"},5]}"

/* Where documents come from in these tests. */
struct hub {
    _Atomic(const char *) document; /* NULL: unreachable */
    atomic_uint fetches;
    atomic_uint slow_ms;
};

static void sleep_ms(unsigned ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&pause, NULL);
}

static tears_status fetch(void *owner, struct tears_owned_text *document_out)
{
    struct hub *hub = owner;
    const char *document = atomic_load(&hub->document);
    atomic_fetch_add(&hub->fetches, 1);
    sleep_ms(atomic_load(&hub->slow_ms));
    if (document == NULL)
        return TEARS_UNAVAILABLE;
    return tears_owned_text_copy(tears_str_c(document), document_out);
}

static tears_jwks_provider *provider_of(struct hub *hub, uint64_t retry_ms)
{
    struct tears_jwks_provider_options options = TEARS_JWKS_PROVIDER_OPTIONS_INIT;
    tears_jwks_provider *provider = NULL;
    options.fetch = fetch;
    options.fetch_owner = hub;
    options.retry_ms = retry_ms;
    assert_int_equal(tears_jwks_provider_new(&options, &provider, NULL), TEARS_OK);
    return provider;
}

/* The digit in the name of the one key held; a hyphen when none is given out. */
static char held(tears_jwks_provider *provider)
{
    tears_jwks *jwks = NULL;
    struct tears_error error = {0};
    char last = '-';
    if (tears_jwks_provider_take(provider, &jwks, &error) == TEARS_OK)
        last = tears_jwks_at(jwks, 0).kid.ptr[1];
    else
        assert_int_equal(error.status, TEARS_UNAVAILABLE);
    tears_jwks_free(jwks);
    return last;
}

static struct tears_jwks_provider_stats stats_of(tears_jwks_provider *provider)
{
    struct tears_jwks_provider_stats stats = TEARS_JWKS_PROVIDER_STATS_INIT;
    tears_jwks_provider_stats(provider, &stats);
    return stats;
}

static void test_the_last_good_set_stays(void **state)
{
    (void)state;
    struct hub hub = {.document = NULL};
    tears_jwks_provider *provider = provider_of(&hub, 0);
    assert_int_equal(held(provider), '-');
    assert_int_equal(tears_jwks_provider_refresh(provider, NULL), TEARS_UNAVAILABLE);
    assert_int_equal(stats_of(provider).is_warm, 0);
    atomic_store(&hub.document, "{\"keys\":[]}");
    assert_int_equal(tears_jwks_provider_refresh(provider, NULL), TEARS_NOT_FOUND);
    assert_int_equal(stats_of(provider).is_warm, 0);
    atomic_store(&hub.document, ONE);
    assert_int_equal(tears_jwks_provider_refresh(provider, NULL), TEARS_OK);
    assert_int_equal(held(provider), '0');
    atomic_store(&hub.document, "nope");
    assert_int_equal(tears_jwks_provider_refresh(provider, NULL), TEARS_INVALID);
    atomic_store(&hub.document, "{\"keys\":[]}");
    assert_int_equal(tears_jwks_provider_refresh(provider, NULL), TEARS_NOT_FOUND);
    assert_int_equal(held(provider), '0');
    atomic_store(&hub.document, TWO);
    assert_int_equal(tears_jwks_provider_refresh(provider, NULL), TEARS_OK);
    assert_int_equal(held(provider), '1');
    assert_int_equal(stats_of(provider).refreshes, 6);
    assert_int_equal(stats_of(provider).failures, 4);
    assert_int_equal(stats_of(provider).skipped, 1);
    assert_int_equal(stats_of(provider).keys, 1);
    tears_jwks_provider_free(provider);
}

static void test_a_set_outlives_its_provider(void **state)
{
    (void)state;
    struct hub hub = {.document = ONE};
    tears_jwks_provider *provider = provider_of(&hub, 0);
    tears_jwks *jwks = NULL;
    assert_int_equal(tears_jwks_provider_refresh(provider, NULL), TEARS_OK);
    assert_int_equal(tears_jwks_provider_take(provider, &jwks, NULL), TEARS_OK);
    tears_jwks_provider_free(provider);
    assert_string_equal(tears_jwks_at(jwks, 0).kid.ptr, "k0");
    tears_jwks_free(jwks);
}

/* S15: a key that was revoked while the hub is away does not live for ever. */
static void test_a_set_gets_too_old(void **state)
{
    (void)state;
    struct hub hub = {.document = ONE};
    tears_jwks_provider *provider = provider_of(&hub, 0);
    assert_int_equal(tears_jwks_provider_refresh(provider, NULL), TEARS_OK);
    t3_clock_shift_ms(86400000 - 5000);
    assert_int_equal(held(provider), '0');
    t3_clock_shift_ms(6000);
    assert_int_equal(held(provider), '-');
    assert_true(stats_of(provider).age_ms > 86400000);
    assert_int_equal(tears_jwks_provider_refresh(provider, NULL), TEARS_OK);
    assert_int_equal(held(provider), '0');
    tears_jwks_provider_free(provider);
}

static void test_reactive_refreshes_keep_their_distance(void **state)
{
    (void)state;
    struct hub hub = {.document = NULL};
    tears_jwks_provider *provider = provider_of(&hub, 0);
    assert_true(tears_jwks_provider_refresh_reactively(provider));
    assert_false(tears_jwks_provider_refresh_reactively(provider));
    t3_clock_shift_ms(4000);
    assert_false(tears_jwks_provider_refresh_reactively(provider));
    t3_clock_shift_ms(1100);
    assert_true(tears_jwks_provider_refresh_reactively(provider));
    assert_int_equal(atomic_load(&hub.fetches), 2);
    tears_jwks_provider_free(provider);
}

struct crowd {
    tears_jwks_provider *provider;
    atomic_uint fetched;
};

static void *join_crowd(void *argument)
{
    struct crowd *crowd = argument;
    if (tears_jwks_provider_refresh_reactively(crowd->provider))
        atomic_fetch_add(&crowd->fetched, 1);
    return NULL;
}

static void test_a_crowd_makes_one_fetch(void **state)
{
    (void)state;
    struct hub hub = {.document = ONE, .slow_ms = 50};
    struct crowd crowd = {.provider = provider_of(&hub, 0)};
    pthread_t threads[8];
    for (size_t i = 0; i < T3_COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, join_crowd, &crowd), 0);
    for (size_t i = 0; i < T3_COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&crowd.fetched), 1);
    assert_int_equal(atomic_load(&hub.fetches), 1);
    assert_int_equal(held(crowd.provider), '0');
    tears_jwks_provider_free(crowd.provider);
}

/* Waits until the hub was asked `count` times; false after five seconds. */
static bool asked(struct hub *hub, unsigned count)
{
    for (unsigned i = 0; i < 500 && atomic_load(&hub->fetches) < count; i++)
        sleep_ms(10);
    return atomic_load(&hub->fetches) >= count;
}

static void test_the_thread_retries_while_cold_and_rests_when_warm(void **state)
{
    (void)state;
    struct hub hub = {.document = NULL};
    tears_jwks_provider *provider = provider_of(&hub, 20);
    assert_int_equal(tears_jwks_provider_start(provider, NULL), TEARS_OK);
    assert_int_equal(tears_jwks_provider_start(provider, NULL), TEARS_OK);
    assert_true(asked(&hub, 3));
    atomic_store(&hub.document, ONE);
    for (unsigned i = 0; i < 500 && stats_of(provider).is_warm == 0; i++)
        sleep_ms(10);
    assert_int_equal(held(provider), '0');
    const unsigned fetches = atomic_load(&hub.fetches);
    sleep_ms(100);
    assert_int_equal(atomic_load(&hub.fetches), fetches);
    const uint64_t started_us = t3_now_us();
    tears_jwks_provider_free(provider); /* does not wait for the next refresh */
    assert_true(t3_now_us() - started_us < 2000000);
}

static void test_options_that_are_refused(void **state)
{
    (void)state;
    struct tears_jwks_provider_options options = TEARS_JWKS_PROVIDER_OPTIONS_INIT;
    tears_jwks_provider *provider = NULL;
    assert_int_equal(tears_jwks_provider_new(&options, &provider, NULL), TEARS_INVALID);
    options.fetch = fetch;
    t3_alloc_fail_at(1);
    assert_int_equal(tears_jwks_provider_new(&options, &provider, NULL), TEARS_NO_MEMORY);
    t3_alloc_fail_at(0);
    struct {
        struct tears_jwks_provider_options known;
        uint64_t unknown;
    } newer = {.known = options, .unknown = 1};
    newer.known.size = sizeof newer;
    assert_int_equal(tears_jwks_provider_new(&newer.known, &provider, NULL), TEARS_UNSUPPORTED);
    assert_null(provider);
    tears_jwks_provider_free(NULL);
}

static void test_a_refresh_may_run_out_of_memory(void **state)
{
    (void)state;
    struct hub hub = {.document = ONE};
    tears_jwks_provider *provider = provider_of(&hub, 0);
    assert_int_equal(tears_jwks_provider_refresh(provider, NULL), TEARS_OK);
    for (uint64_t nth = 1;; nth++) {
        t3_alloc_fail_at(nth);
        const tears_status status = tears_jwks_provider_refresh(provider, NULL);
        const bool was_reached = t3_alloc_count() >= nth;
        t3_alloc_fail_at(0);
        assert_int_equal(held(provider), '0');
        assert_int_equal(status == TEARS_OK, !was_reached);
        if (!was_reached)
            break;
    }
    tears_jwks_provider_free(provider);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_last_good_set_stays),
        cmocka_unit_test(test_a_set_outlives_its_provider),
        cmocka_unit_test(test_a_set_gets_too_old),
        cmocka_unit_test(test_reactive_refreshes_keep_their_distance),
        cmocka_unit_test(test_a_crowd_makes_one_fetch),
        cmocka_unit_test(test_the_thread_retries_while_cold_and_rests_when_warm),
        cmocka_unit_test(test_options_that_are_refused),
        cmocka_unit_test(test_a_refresh_may_run_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
