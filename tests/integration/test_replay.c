/*
 * test_replay.c -- a nonce is accepted once: by several guards, many threads, over lost answers and restarts.
 */
#include "base/macros.h"
#include "support/nats_server.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
// clang-format on

#include <nats/nats.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <tears/replay.h>
#include <unistd.h>

static char space[32];

static tears_coord *open_coord(const char *url)
{
    struct tears_coord_options options = TEARS_COORD_OPTIONS_INIT;
    tears_coord *coord = NULL;
    options.url = tears_str_c(url);
    options.namespace_name = tears_str_c(space);
    assert_int_equal(tears_coord_open(&options, &coord, NULL), TEARS_OK);
    return coord;
}

static tears_replay_guard *open_guard(tears_coord *coord, const char *bucket, uint64_t ttl_ms)
{
    struct tears_replay_options options = TEARS_REPLAY_OPTIONS_INIT;
    struct tears_error error = {.status = TEARS_OK};
    tears_replay_guard *guard = NULL;
    options.bucket = tears_str_c(bucket);
    options.ttl_ms = ttl_ms;
    assert_int_equal(tears_replay_guard_open(coord, &options, &guard, &error), TEARS_OK);
    return guard;
}

static tears_status record(tears_replay_guard *guard, const char *nonce)
{
    struct tears_error error = {.status = TEARS_OK};
    const tears_status status = tears_replay_guard_record(guard, tears_str_c(nonce), &error);
    assert_int_equal(error.status, status);
    return status;
}

static void test_once_among_all(void **state)
{
    (void)state;
    tears_coord *one = open_coord(test_nats_shared_url());
    tears_coord *other = open_coord(test_nats_shared_url());
    tears_replay_guard *first = open_guard(one, "pop_nonces", 60000);
    tears_replay_guard *second = open_guard(other, "pop_nonces", 60000);
    tears_replay_guard *third = open_guard(other, "proxy_nonces", 60000);
    assert_int_equal(record(first, "n"), TEARS_OK);
    assert_int_equal(record(first, "n"), TEARS_CONFLICT);  /* known here */
    assert_int_equal(record(second, "n"), TEARS_CONFLICT); /* known by the bucket */
    assert_int_equal(record(third, "n"), TEARS_OK);        /* another kind */
    assert_int_equal(record(second, ""), TEARS_OK);
    assert_int_equal(record(first, ""), TEARS_CONFLICT);
    tears_replay_guard_free(first);
    tears_replay_guard_free(second);
    tears_replay_guard_free(third);
    tears_coord_free(one);
    tears_coord_free(other);
}

static void test_options_are_checked(void **state)
{
    (void)state;
    struct tears_replay_options options = TEARS_REPLAY_OPTIONS_INIT;
    tears_coord *coord = open_coord(test_nats_shared_url());
    tears_replay_guard *guard = NULL;
    options.bucket = TEARS_STR("b");
    assert_int_equal(tears_replay_guard_open(coord, &options, &guard, NULL), TEARS_INVALID);
    options.ttl_ms = UINT64_MAX; /* -1 */
    assert_int_equal(tears_replay_guard_open(coord, &options, &guard, NULL), TEARS_INVALID);
    options.ttl_ms = 1000;
    options.bucket = TEARS_STR("a.b");
    assert_int_equal(tears_replay_guard_open(coord, &options, &guard, NULL), TEARS_INVALID);
    assert_null(guard);
    tears_coord_free(coord);
}

struct racing {
    tears_replay_guard *guard;
    atomic_int fresh, replays;
};

static void *race(void *owner)
{
    struct racing *racing = owner;
    for (int i = 0; i < 20; i++) {
        char nonce[24];
        snprintf(nonce, sizeof nonce, "race-%d", i);
        const tears_status status =
            tears_replay_guard_record(racing->guard, tears_str_c(nonce), NULL);
        atomic_fetch_add(status == TEARS_OK ? &racing->fresh : &racing->replays,
                         status == TEARS_OK || status == TEARS_CONFLICT);
    }
    return NULL;
}

static void test_one_of_many_at_once(void **state)
{
    (void)state;
    tears_coord *coord = open_coord(test_nats_shared_url());
    struct racing racing = {.guard = open_guard(coord, "race", 60000)};
    pthread_t threads[8];
    for (size_t i = 0; i < T3_COUNT(threads); i++)
        pthread_create(&threads[i], NULL, race, &racing);
    for (size_t i = 0; i < T3_COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&racing.fresh), 20);
    assert_int_equal(atomic_load(&racing.replays), 20 * 7);
    tears_replay_guard_free(racing.guard);
    tears_coord_free(coord);
}

/* The bucket forgets, and so does this process. */
static void test_forgotten_after_its_time(void **state)
{
    (void)state;
    tears_coord *coord = open_coord(test_nats_shared_url());
    tears_replay_guard *guard = open_guard(coord, "short", 400);
    assert_int_equal(record(guard, "n"), TEARS_OK);
    assert_int_equal(record(guard, "n"), TEARS_CONFLICT);
    usleep(2000000); /* the server looks about once a second */
    assert_int_equal(record(guard, "n"), TEARS_OK);
    tears_replay_guard_free(guard);
    tears_coord_free(coord);
}

static void make_bucket(const char *name, jsStorageType storage, int64_t ttl_ms)
{
    natsConnection *connection = NULL;
    jsCtx *js = NULL;
    kvStore *kv = NULL;
    kvConfig config;
    char bucket[64];
    kvConfig_Init(&config);
    snprintf(bucket, sizeof bucket, "%s-%s", space, name);
    config.Bucket = bucket;
    config.StorageType = storage;
    config.TTL = ttl_ms * 1000000;
    config.History = 1;
    assert_int_equal(natsConnection_ConnectTo(&connection, test_nats_shared_url()), NATS_OK);
    assert_int_equal(natsConnection_JetStream(&js, connection, NULL), NATS_OK);
    assert_int_equal(js_CreateKeyValue(&kv, js, &config), NATS_OK);
    kvStore_Destroy(kv);
    jsCtx_Destroy(js);
    natsConnection_Destroy(connection);
}

static void test_bucket_that_forgets_too_soon_is_refused(void **state)
{
    (void)state;
    tears_coord *coord = open_coord(test_nats_shared_url());
    make_bucket("hasty", js_FileStorage, 1000);
    make_bucket("weak", js_MemoryStorage, 60000);
    make_bucket("fine", js_FileStorage, 120000);
    static const char *const names[] = {"hasty", "weak", "fine"};
    for (size_t i = 0; i < T3_COUNT(names); i++) {
        tears_replay_guard *guard = open_guard(coord, names[i], 60000);
        assert_int_equal(record(guard, "n"), i < 2 ? TEARS_INVALID : TEARS_OK);
        tears_replay_guard_free(guard);
    }
    tears_coord_free(coord);
}

static void *resume_later(void *owner)
{
    usleep(1500000); /* longer than one answer is waited for */
    test_nats_resume(owner);
    return NULL;
}

/* The server takes the nonce, and its answer comes too late: that is no replay. */
static void test_lost_answer_is_no_replay(void **state)
{
    (void)state;
    struct test_nats *nats = test_nats_start(&(struct test_nats_options){0});
    tears_coord *coord = open_coord(test_nats_url(nats));
    tears_replay_guard *guard = open_guard(coord, "ack", 60000);
    pthread_t thread;
    assert_int_equal(record(guard, "before"), TEARS_OK);
    test_nats_pause(nats);
    pthread_create(&thread, NULL, resume_later, nats);
    assert_int_equal(record(guard, "n"), TEARS_OK);
    pthread_join(thread, NULL);
    tears_replay_guard_free(guard);
    guard = open_guard(coord, "ack", 60000);
    assert_int_equal(record(guard, "n"), TEARS_CONFLICT);
    tears_replay_guard_free(guard);
    tears_coord_free(coord);
    test_nats_free(nats);
}

static void test_broker_away_is_no_answer(void **state)
{
    (void)state;
    struct test_nats *nats = test_nats_start(&(struct test_nats_options){0});
    tears_coord *coord = open_coord(test_nats_url(nats));
    tears_replay_guard *guard = open_guard(coord, "away", 60000);
    assert_int_equal(record(guard, "a"), TEARS_OK);
    test_nats_pause(nats);
    const tears_status silent = record(guard, "silent");
    assert_true(silent == TEARS_UNAVAILABLE || silent == TEARS_TIMEOUT);
    test_nats_kill(nats);
    const tears_status status = record(guard, "b");
    assert_true(status == TEARS_UNAVAILABLE || status == TEARS_TIMEOUT);
    assert_int_equal(record(guard, "a"), TEARS_CONFLICT); /* known here */
    test_nats_again(nats);
    tears_status again = TEARS_UNAVAILABLE;
    for (int i = 0; i < 100 && again != TEARS_OK; i++) {
        usleep(50000);
        again = record(guard, "c");
    }
    assert_int_equal(again, TEARS_OK);
    tears_replay_guard_free(guard);
    guard = open_guard(coord, "away", 60000); /* one that remembers nothing itself */
    assert_int_equal(record(guard, "a"), TEARS_CONFLICT);
    tears_replay_guard_free(guard);
    tears_coord_free(coord);
    test_nats_free(nats);
}

int main(void)
{
    test_namespace(space);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_once_among_all),
        cmocka_unit_test(test_options_are_checked),
        cmocka_unit_test(test_one_of_many_at_once),
        cmocka_unit_test(test_forgotten_after_its_time),
        cmocka_unit_test(test_bucket_that_forgets_too_soon_is_refused),
        cmocka_unit_test(test_lost_answer_is_no_replay),
        cmocka_unit_test(test_broker_away_is_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
