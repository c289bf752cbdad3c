/*
 * test_kv_solo.c -- one question, its own answer: late ones, double ones, and none at all, from a real broker.
 */
#include "base/macros.h"
#include "driver/kv_solo.h"
#include "support/nats_server.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
// clang-format on

#include <nats/nats.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

enum { THREADS = 80, ROUNDS = 10 };

/* One connection, one bucket. */
struct peer {
    struct t3_nats *nats;
    struct t3_solo *solo;
    char bucket[48];
};

static void open_peer(struct peer *peer, const char *url, uint64_t wait_ms)
{
    char space[32];
    const struct t3_nats_options nats = {.url = tears_str_c(url), .name = "solo", .prompt = true};
    assert_int_equal(t3_nats_open(&nats, &peer->nats, NULL), TEARS_OK);
    test_namespace(space);
    snprintf(peer->bucket, sizeof peer->bucket, "%s-solo", space);
    const struct t3_solo_options solo = {.nats = peer->nats,
                                         .bucket = peer->bucket,
                                         .wanted = t3_kv_settings_wanted(true, 1),
                                         .wait_ms = wait_ms};
    assert_int_equal(t3_solo_new(&solo, &peer->solo, NULL), TEARS_OK);
}

static void close_peer(struct peer *peer)
{
    t3_solo_free(peer->solo);
    t3_nats_free(peer->nats);
}

static void ensure(struct peer *peer)
{
    struct t3_solo_bucket bucket;
    struct tears_error error = {.status = TEARS_OK};
    if (t3_solo_ensure(peer->solo, t3_deadline_in_ms(5000), &bucket, &error) != TEARS_OK)
        fail_msg("%s", error.message);
}

static tears_status put(struct peer *peer, const char *key, uint64_t *revision_out)
{
    const struct t3_solo_put put = {
        .key = key, .value = TEARS_STR("v"), .expected = T3_SOLO_ANY_REVISION};
    return t3_solo_put(peer->solo, &put, t3_deadline_in_ms(20000), revision_out, NULL);
}

/* What the bucket says of the key. */
static uint64_t revision_of(struct peer *peer, const char *key)
{
    struct t3_solo_entry entry = {.is_there = false};
    assert_int_equal(t3_solo_get(peer->solo, key, t3_deadline_in_ms(20000), &entry, NULL),
                     TEARS_OK);
    t3_solo_entry_done(&entry);
    return entry.revision;
}

/* ---- late answers -------------------------------------------------------------------------- */

static void test_late_answers_are_nobodys(void **state)
{
    (void)state;
    struct test_nats *nats = test_nats_start(&(struct test_nats_options){0});
    struct peer peer;
    uint64_t revision = 0;
    open_peer(&peer, test_nats_url(nats), 200);
    ensure(&peer);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(put(&peer, "warm", &revision), TEARS_OK);
        test_nats_pause(nats);
        assert_int_equal(put(&peer, "late", &revision), TEARS_TIMEOUT);
        test_nats_resume(nats); /* it is taken now, and the answer comes */
        usleep(50000);
        assert_int_equal(put(&peer, "own", &revision), TEARS_OK);
        assert_int_equal(revision_of(&peer, "own"), revision);
        assert_int_equal(revision_of(&peer, "late"), revision - 1);
    }
    close_peer(&peer);
    test_nats_free(nats);
}

/* That nobody listens comes without a word of what was asked. */
static void test_late_word_that_nobody_listens(void **state)
{
    (void)state;
    struct test_nats *nats = test_nats_start(&(struct test_nats_options){0});
    struct peer peer;
    uint64_t revision = 0;
    open_peer(&peer, test_nats_url(nats), 200);
    assert_int_equal(put(&peer, "a", &revision), TEARS_NOT_FOUND); /* there is no bucket */
    test_nats_pause(nats);
    assert_int_equal(put(&peer, "a", &revision), TEARS_TIMEOUT);
    test_nats_resume(nats);
    usleep(50000);
    ensure(&peer);
    assert_int_equal(put(&peer, "a", &revision), TEARS_OK);
    close_peer(&peer);
    test_nats_free(nats);
}

/* Another program repeats each answer; each comes twice then, the second time before the answer to the next question. */
static void test_answers_that_come_twice(void **state)
{
    (void)state;
    struct test_nats *nats = test_nats_start(&(struct test_nats_options){0});
    natsConnection *connection = NULL;
    natsSubscription *answers = NULL;
    struct peer peer;
    uint64_t last = 0;
    open_peer(&peer, test_nats_url(nats), 2000);
    ensure(&peer);
    assert_int_equal(natsConnection_ConnectTo(&connection, test_nats_url(nats)), NATS_OK);
    assert_int_equal(natsConnection_SubscribeSync(&answers, connection, "_INBOX.>"), NATS_OK);
    assert_int_equal(natsConnection_Flush(connection), NATS_OK);
    for (int i = 0; i < 5; i++) {
        uint64_t revision = 0;
        natsMsg *answer = NULL;
        assert_int_equal(put(&peer, "a", &revision), TEARS_OK);
        assert_true(revision > last);
        last = revision;
        assert_int_equal(natsSubscription_NextMsg(&answer, answers, 2000), NATS_OK);
        assert_int_equal(natsConnection_Publish(connection, natsMsg_GetSubject(answer),
                                                natsMsg_GetData(answer),
                                                natsMsg_GetDataLength(answer)),
                         NATS_OK);
        natsMsg_Destroy(answer);
        assert_int_equal(natsConnection_Flush(connection), NATS_OK);
        assert_int_equal(natsSubscription_NextMsg(&answer, answers, 2000), NATS_OK); /* ours */
        natsMsg_Destroy(answer);
        usleep(20000);
    }
    natsSubscription_Destroy(answers);
    natsConnection_Destroy(connection);
    close_peer(&peer);
    test_nats_free(nats);
}

/* ---- no answer ----------------------------------------------------------------------------- */

static void *kill_soon(void *owner)
{
    usleep(100000);
    test_nats_kill(owner);
    return NULL;
}

/* The connection goes away with the question: nobody waits for the rest of ten seconds. */
static void test_lost_connection_ends_the_wait(void **state)
{
    (void)state;
    struct test_nats *nats = test_nats_start(&(struct test_nats_options){0});
    struct peer peer;
    uint64_t revision = 0;
    pthread_t thread;
    open_peer(&peer, test_nats_url(nats), 10000);
    ensure(&peer);
    test_nats_pause(nats);
    const uint64_t began_us = t3_now_us();
    assert_int_equal(pthread_create(&thread, NULL, kill_soon, nats), 0);
    assert_int_equal(put(&peer, "a", &revision), TEARS_UNAVAILABLE);
    assert_true(t3_now_us() - began_us < 3000000);
    assert_int_equal(put(&peer, "a", &revision), TEARS_UNAVAILABLE); /* and at once */
    pthread_join(thread, NULL);
    test_nats_again(nats);
    for (int i = 0; i < 100 && put(&peer, "a", &revision) != TEARS_OK; i++)
        usleep(50000);
    assert_int_equal(revision_of(&peer, "a"), revision);
    close_peer(&peer);
    test_nats_free(nats);
}

/* ---- many at once -------------------------------------------------------------------------- */

struct asking {
    struct peer *peer;
    int number;
    int wrong;
};

static void *ask(void *owner)
{
    struct asking *asking = owner;
    char key[24];
    snprintf(key, sizeof key, "key-%d", asking->number);
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t revision = 0;
        struct t3_solo_entry entry = {.is_there = false};
        asking->wrong += put(asking->peer, key, &revision) != TEARS_OK;
        asking->wrong += t3_solo_get(asking->peer->solo, key, t3_deadline_in_ms(20000), &entry,
                                     NULL) != TEARS_OK;
        asking->wrong += entry.revision != revision;
        t3_solo_entry_done(&entry);
    }
    return NULL;
}

/* More threads than inboxes are kept; each gets its own answers. */
static void test_many_at_once(void **state)
{
    (void)state;
    struct peer peer;
    pthread_t threads[THREADS];
    struct asking asking[THREADS];
    open_peer(&peer, test_nats_shared_url(), 20000);
    ensure(&peer);
    for (int i = 0; i < THREADS; i++) {
        asking[i] = (struct asking){.peer = &peer, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &asking[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(asking[i].wrong, 0);
    }
    close_peer(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_late_answers_are_nobodys),
        cmocka_unit_test(test_late_word_that_nobody_listens),
        cmocka_unit_test(test_answers_that_come_twice),
        cmocka_unit_test(test_lost_connection_ends_the_wait),
        cmocka_unit_test(test_many_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
