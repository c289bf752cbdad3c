/*
 * test_lease_faults.c -- what leases must not confuse: another bucket of the same name with the same revisions, a connection that was
 * away, an answer that came late.
 */
#include "base/clock.h"
#include "base/macros.h"
#include "support/nats_server.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
// clang-format on

#include <nats/nats.h>
#include <pthread.h>
#include <stdio.h>
#include <tears/lease.h>
#include <unistd.h>

static char space[32];

static void sleep_ms(unsigned ms)
{
    usleep(ms * 1000);
}

static tears_coord *open_at(const char *url, const char *storage)
{
    struct tears_coord_options options = TEARS_COORD_OPTIONS_INIT;
    tears_coord *coord = NULL;
    options.url = tears_str_c(url);
    options.namespace_name = tears_str_c(space);
    options.storage = tears_str_c(storage);
    assert_int_equal(tears_coord_open(&options, &coord, NULL), TEARS_OK);
    return coord;
}

static tears_coord *open_coord(void)
{
    return open_at(test_nats_shared_url(), "");
}

static tears_status try_acquire(tears_coord *coord, const char *name, uint64_t ttl_ms,
                                tears_lease **lease_out)
{
    struct tears_lease_options options = TEARS_LEASE_OPTIONS_INIT;
    options.ttl_ms = ttl_ms;
    options.no_renewal = 1; /* no message but those of the test */
    return tears_lease_acquire(coord, tears_str_c(name), &options, lease_out, NULL);
}

static tears_lease *acquire(tears_coord *coord, const char *name)
{
    tears_lease *lease = NULL;
    assert_int_equal(try_acquire(coord, name, 60000, &lease), TEARS_OK);
    return lease;
}

/* ---- the bucket, as another program would handle it ---- */

struct other_program {
    natsConnection *connection;
    jsCtx *js;
    char bucket[64];
};

static void open_other(struct other_program *other, const char *url)
{
    snprintf(other->bucket, sizeof other->bucket, "%s-leases", space);
    assert_int_equal(natsConnection_ConnectTo(&other->connection, url), NATS_OK);
    assert_int_equal(natsConnection_JetStream(&other->js, other->connection, NULL), NATS_OK);
}

static void close_other(struct other_program *other)
{
    jsCtx_Destroy(other->js);
    natsConnection_Destroy(other->connection);
}

static void delete_bucket(void)
{
    struct other_program other;
    open_other(&other, test_nats_shared_url());
    assert_int_equal(js_DeleteKeyValue(other.js, other.bucket), NATS_OK);
    close_other(&other);
}

static uint64_t revision_of(tears_coord *coord, const char *name)
{
    tears_lease_list *list = NULL;
    assert_int_equal(tears_lease_list_open(coord, tears_str_c(name), &list, NULL), TEARS_OK);
    assert_int_equal(tears_lease_list_count(list), 1);
    const uint64_t revision = tears_lease_list_at(list, 0).revision;
    tears_lease_list_free(list);
    return revision;
}

/* Holds the name under exactly this revision, in a bucket that had no other entries. */
static tears_lease *acquire_at(tears_coord *coord, const char *name, uint64_t revision)
{
    tears_lease *warm = acquire(coord, "warm");
    uint64_t at = revision_of(coord, "warm");
    while (++at < revision)
        assert_int_equal(tears_lease_refresh(warm, 0, NULL), TEARS_OK);
    tears_lease *lease = acquire(coord, name);
    assert_int_equal(revision_of(coord, name), revision);
    tears_lease_free(warm);
    return lease;
}

/* ---- another bucket ---- */

/* What was given back here is somebody else's in the bucket that came after, with the revision of our marker. */
static void test_marker_of_another_bucket(void **state)
{
    (void)state;
    tears_coord *coord = open_coord();
    tears_coord *other = open_coord();
    tears_lease *second = NULL;
    tears_lease *probe = acquire(coord, "probe");
    tears_lease *lease = acquire(coord, "marked");
    const uint64_t marker = revision_of(coord, "marked") + 1;
    tears_lease_free(lease);
    tears_lease_free(probe);
    delete_bucket();
    lease = acquire_at(other, "marked", marker);
    sleep_ms(50); /* it is heard of, as a busy machine may need a moment to */
    assert_int_equal(try_acquire(coord, "marked", 60000, &second), TEARS_CONFLICT);
    assert_null(second);
    assert_int_equal(tears_lease_refresh(lease, 0, NULL), TEARS_OK);
    tears_lease_free(lease);
    tears_coord_free(coord);
    tears_coord_free(other);
}

/* The same, and the marker is removed when its second is over. */
static void test_removal_in_another_bucket(void **state)
{
    (void)state;
    tears_coord *coord = open_coord();
    tears_coord *other = open_coord();
    tears_lease *probe = acquire(coord, "probe");
    tears_lease *lease = acquire(coord, "removed");
    const uint64_t marker = revision_of(coord, "removed") + 1;
    tears_lease_free(lease);
    tears_lease_free(probe);
    delete_bucket();
    lease = acquire_at(other, "removed", marker);
    sleep_ms(50);
    tears_coord_free(coord); /* removes all of its markers */
    assert_int_equal(revision_of(other, "removed"), marker);
    assert_int_equal(tears_lease_refresh(lease, 0, NULL), TEARS_OK);
    tears_lease_free(lease);
    tears_coord_free(other);
}

/* A lease of the bucket that is gone is neither renewed nor given back over somebody else's with its revision. */
static void test_lease_of_another_bucket(void **state)
{
    (void)state;
    tears_coord *coord = open_coord();
    tears_coord *other = open_coord();
    tears_lease *probe = acquire(coord, "probe");
    tears_lease *lease = acquire(coord, "lasting");
    tears_lease *given = acquire(coord, "given");
    const uint64_t revision = revision_of(coord, "lasting");
    const uint64_t given_revision = revision_of(coord, "given");
    delete_bucket();
    tears_lease *second = acquire_at(other, "lasting", revision);
    tears_lease *third = acquire(other, "given");
    while (revision_of(other, "given") < given_revision)
        assert_int_equal(tears_lease_refresh(third, 0, NULL), TEARS_OK);
    sleep_ms(50);
    assert_int_equal(tears_lease_refresh(lease, 0, NULL), TEARS_CONFLICT);
    assert_false(tears_lease_is_held(lease));
    assert_int_equal(tears_lease_release(given, NULL), TEARS_OK);
    assert_int_equal(revision_of(other, "lasting"), revision);
    assert_int_equal(tears_lease_refresh(second, 0, NULL), TEARS_OK);
    assert_int_equal(tears_lease_refresh(third, 0, NULL), TEARS_OK);
    tears_lease_free(lease);
    tears_lease_free(given);
    tears_lease_free(probe);
    tears_lease_free(second);
    tears_lease_free(third);
    tears_coord_free(coord);
    tears_coord_free(other);
}

/* The new bucket has more revisions than we have seen of the old one: the numbers alone do not tell. */
static void test_tokens_of_another_bucket(void **state)
{
    (void)state;
    tears_coord *coord = open_coord();
    tears_coord *other = open_coord();
    tears_lease *probe = acquire(coord, "probe");
    const uint64_t revision = revision_of(coord, "probe");
    tears_lease_free(probe);
    delete_bucket();
    tears_lease *lease = acquire_at(other, "tokens", revision + 20);
    const uint64_t token = tears_lease_token(lease);
    tears_lease_free(lease);
    sleep_ms(50);
    lease = acquire(coord, "tokens");
    assert_true(tears_lease_token(lease) > token);
    tears_lease_free(lease);
    tears_coord_free(coord);
    tears_coord_free(other);
}

/* A broker that is started again may have lost its last writes, and gives their revisions a second time. */
static void test_tokens_after_a_restart(void **state)
{
    (void)state;
    struct test_nats *nats = test_nats_start(&(struct test_nats_options){0});
    struct tears_coord_bucket before = TEARS_COORD_BUCKET_INIT;
    struct tears_coord_bucket after = TEARS_COORD_BUCKET_INIT;
    tears_coord *coord = open_at(test_nats_url(nats), "file");
    assert_int_equal(tears_coord_bucket(coord, &before, NULL), TEARS_OK);
    tears_coord_free(coord);
    coord = open_at(test_nats_url(nats), "file");
    assert_int_equal(tears_coord_bucket(coord, &after, NULL), TEARS_OK);
    assert_true(after.token_base == before.token_base);
    tears_coord_free(coord);
    test_nats_kill(nats);
    test_nats_again(nats);
    coord = open_at(test_nats_url(nats), "file");
    assert_int_equal(tears_coord_bucket(coord, &after, NULL), TEARS_OK);
    assert_true(after.token_base > before.token_base + (1 << 20));
    tears_coord_free(coord);
    test_nats_free(nats);
}

static void test_ttl_longer_than_entries_are_kept(void **state)
{
    (void)state;
    struct other_program other;
    kvStore *kv = NULL;
    kvConfig config;
    char name[32];
    tears_lease *lease = NULL;
    memcpy(name, space, sizeof name);
    test_namespace(space);
    open_other(&other, test_nats_shared_url());
    assert_int_equal(kvConfig_Init(&config), NATS_OK);
    config.Bucket = other.bucket;
    config.History = 1;
    config.TTL = INT64_C(5000000000);
    assert_int_equal(js_CreateKeyValue(&kv, other.js, &config), NATS_OK);
    tears_coord *coord = open_coord();
    assert_int_equal(try_acquire(coord, "long", 6000, &lease), TEARS_INVALID);
    assert_int_equal(try_acquire(coord, "long", 5000, &lease), TEARS_OK);
    tears_lease_free(lease);
    tears_coord_free(coord);
    kvStore_Destroy(kv);
    close_other(&other);
    memcpy(space, name, sizeof space);
}

/* ---- a broker that is away for a moment ---- */

static void *resume_later(void *owner)
{
    sleep_ms(500);
    test_nats_resume(owner);
    return NULL;
}

/* The ttl began when the broker was asked, not when it answered. */
static void test_time_counts_from_the_question(void **state)
{
    (void)state;
    struct test_nats *nats = test_nats_start(&(struct test_nats_options){0});
    tears_coord *coord = open_at(test_nats_url(nats), "file");
    tears_lease *lease = NULL;
    pthread_t thread;
    tears_lease_free(acquire(coord, "warm"));
    test_nats_pause(nats);
    const uint64_t asked_us = t3_now_us();
    assert_int_equal(pthread_create(&thread, NULL, resume_later, nats), 0);
    assert_int_equal(try_acquire(coord, "slow", 10000, &lease), TEARS_OK);
    const uint64_t left_ms = tears_lease_left_ms(lease);
    const uint64_t passed_ms = (t3_now_us() - asked_us) / 1000;
    assert_true(passed_ms >= 450);
    assert_true(left_ms <=
                9000 - 450); /* a tenth less than the ttl, and as long as the answer took */
    pthread_join(thread, NULL);
    tears_lease_free(lease);
    tears_coord_free(coord);
    test_nats_free(nats);
}

/* Nobody renews it, and nobody had to say so. */
static void test_held_until_its_time_is_over(void **state)
{
    (void)state;
    tears_coord *coord = open_coord();
    tears_lease *lease = NULL;
    const uint64_t asked_us = t3_now_us();
    assert_int_equal(try_acquire(coord, "timed", 300, &lease), TEARS_OK);
    assert_true(tears_lease_is_held(lease) || t3_now_us() - asked_us > 250000);
    sleep_ms(300);
    assert_false(tears_lease_is_held(lease));
    assert_int_equal(tears_lease_left_ms(lease), 0);
    tears_lease_free(lease);
    tears_coord_free(coord);
}

struct waiting {
    tears_coord *coord;
    tears_lease *lease;
    tears_status status;
    uint64_t got_us;
};

static void *wait_for_it(void *owner)
{
    struct waiting *waiting = owner;
    struct tears_lease_options options = TEARS_LEASE_OPTIONS_INIT;
    options.ttl_ms = 60000;
    options.wait_ms = 30000;
    waiting->status =
        tears_lease_acquire(waiting->coord, TEARS_STR("gone"), &options, &waiting->lease, NULL);
    waiting->got_us = t3_now_us();
    return NULL;
}

/* The entry vanished while nobody could hear of it: who waits looks when the connection is back, not when the minute is over. */
static void test_waiter_looks_after_a_reconnect(void **state)
{
    (void)state;
    struct test_nats *nats = test_nats_start(&(struct test_nats_options){0});
    tears_coord *coord = open_at(test_nats_url(nats), "memory");
    tears_coord *other = open_at(test_nats_url(nats), "memory");
    struct waiting waiting = {.coord = other};
    pthread_t thread;
    tears_lease *lease = acquire(coord, "gone");
    assert_int_equal(pthread_create(&thread, NULL, wait_for_it, &waiting), 0);
    sleep_ms(200);
    test_nats_kill(nats);
    test_nats_again(nats);
    const uint64_t again_us = t3_now_us();
    pthread_join(thread, NULL);
    assert_int_equal(waiting.status, TEARS_OK);
    assert_true(waiting.got_us - again_us < 10000000);
    tears_lease_free(lease);
    tears_lease_free(waiting.lease);
    tears_coord_free(coord);
    tears_coord_free(other);
    test_nats_free(nats);
}

int main(void)
{
    test_nats_alone();
    test_namespace(space);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_marker_of_another_bucket),
        cmocka_unit_test(test_removal_in_another_bucket),
        cmocka_unit_test(test_lease_of_another_bucket),
        cmocka_unit_test(test_tokens_of_another_bucket),
        cmocka_unit_test(test_tokens_after_a_restart),
        cmocka_unit_test(test_ttl_longer_than_entries_are_kept),
        cmocka_unit_test(test_time_counts_from_the_question),
        cmocka_unit_test(test_held_until_its_time_is_over),
        cmocka_unit_test(test_waiter_looks_after_a_reconnect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
