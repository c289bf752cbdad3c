/*
 * test_l2_away.c -- the shared tier when its server is away, comes back empty, hangs, refuses, or
 * was set up by others.
 *
 * Every test has a server of its own, because it is killed, stopped or configured.
 */
#include "driver/breaker.h"
#include "support/l2_fixture.h"
#include "support/nats_server.h"

#include <nats/nats.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

enum { WAIT_MS = 500 }; /* what test_l2_open asks for */

struct fixture {
    struct test_nats *server;
    struct tears_schema *schema;
    struct test_news news;
    struct t3_l2 *l2;
    struct t3_arena arena;
};

static struct fixture *start(const struct test_nats_options *options)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->server = test_nats_start(options);
    f->schema = test_notes_schema(true);
    return f;
}

static void open_l2(struct fixture *f)
{
    f->l2 = test_l2_open(test_nats_url(f->server), "away", "one", &f->news);
}

static void finish(struct fixture *f)
{
    t3_l2_free(f->l2);
    tears_schema_free(f->schema);
    t3_arena_done(&f->arena);
    test_nats_free(f->server);
    free(f);
}

static tears_status get_entry(struct fixture *f, struct t3_l2_entry *entry_out)
{
    struct tears_value value;
    const struct t3_key key = test_note_key(1, &value);
    return t3_l2_get(f->l2, f->schema, &key, 1, &f->arena, t3_deadline_in_ms(5000), entry_out,
                     NULL);
}

static tears_status get(struct fixture *f)
{
    struct t3_l2_entry entry;
    return get_entry(f, &entry);
}

static struct t3_l2_put put(struct fixture *f, const char *body, int64_t version)
{
    struct tears_value value;
    const struct t3_key key = test_note_key(1, &value);
    struct t3_l2_put one = {
        .key = &key,
        .row = test_note(f->schema, &f->arena, 1, body, version),
        .version = version,
        .seen = UINT64_MAX,
        .versioned = true,
    };
    (void)t3_l2_put(f->l2, f->schema, &one, 1, &f->arena, t3_deadline_in_ms(5000), NULL);
    return one;
}

static void sleep_ms(long ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

/* Reads until that works, for at most ten seconds. */
static bool works_again(struct fixture *f)
{
    for (int i = 0; i < 200; i++) {
        if (get(f) == TEARS_OK)
            return true;
        sleep_ms(50);
    }
    return false;
}

/* The time of the fastest of some gets, all of which must be refused. */
static uint64_t refusal_us(struct fixture *f)
{
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < 20; i++) {
        const uint64_t start_us = t3_now_us();
        assert_int_equal(get(f), TEARS_UNAVAILABLE);
        const uint64_t us = t3_now_us() - start_us;
        best = us < best ? us : best;
    }
    return best;
}

/* Puts until the row itself is there: while the bucket becomes another one, a marker may stand for it, and only who has seen that
 * one puts a row over it. */
static bool puts_again(struct fixture *f, int64_t version)
{
    struct tears_value value;
    const struct t3_key key = test_note_key(1, &value);
    for (int i = 0; i < 100; i++) {
        struct t3_l2_entry entry;
        if (get_entry(f, &entry) == TEARS_OK) {
            struct t3_l2_put one = {.key = &key,
                                    .row = test_note(f->schema, &f->arena, 1, "x", version + i),
                                    .version = version + i,
                                    .seen = entry.revision,
                                    .versioned = true};
            (void)t3_l2_put(f->l2, f->schema, &one, 1, &f->arena, t3_deadline_in_ms(5000), NULL);
            if (one.status == TEARS_OK)
                return true;
            assert_int_equal(one.status, TEARS_CONFLICT);
        }
        sleep_ms(20);
    }
    return false;
}

static void test_server_down_at_open(void **state)
{
    struct fixture *f = start(NULL);
    (void)state;
    test_nats_end(f->server);
    open_l2(f);
    assert_false(t3_l2_is_connected(f->l2));
    assert_true(refusal_us(f) < 1000);
    assert_int_equal(put(f, "x", 1).status, TEARS_UNAVAILABLE);
    test_nats_again(f->server);
    assert_true(works_again(f));
    assert_true(test_wait_for(&f->news.reconnected, 1));
    assert_true(put(f, "x", 1).status == TEARS_OK || puts_again(f, 2));
    finish(f);
}

static void test_server_dies_and_comes_back_empty(void **state)
{
    struct fixture *f = start(NULL);
    struct t3_l2_entry entry;
    (void)state;
    open_l2(f);
    assert_int_equal(put(f, "before", 1).status, TEARS_OK);
    test_nats_kill(f->server);
    sleep_ms(100);
    assert_true(refusal_us(f) < 1000);
    test_nats_again(f->server);
    assert_true(works_again(f)); /* the bucket was in memory: it is made again */
    assert_int_equal(get_entry(f, &entry), TEARS_OK);
    assert_int_equal(entry.state, T3_L2_ABSENT);
    assert_true(put(f, "after", 2).status == TEARS_OK || puts_again(f, 3));
    assert_int_equal(get_entry(f, &entry), TEARS_OK);
    assert_int_equal(entry.state, T3_L2_ROW);
    finish(f);
}

/* Deletes the stream under the tier's feet. */
static void test_bucket_removed_meanwhile(void **state)
{
    struct fixture *f = start(NULL);
    natsConnection *raw = NULL;
    natsMsg *reply = NULL;
    (void)state;
    open_l2(f);
    assert_int_equal(natsConnection_ConnectTo(&raw, test_nats_url(f->server)), NATS_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(natsConnection_Request(&reply, raw,
                                                "$JS.API.STREAM.DELETE.KV_away-collections", NULL,
                                                0, 1000),
                         NATS_OK);
        natsMsg_Destroy(reply);
        if (i == 0)
            assert_int_equal(get(f), TEARS_OK);
        else
            assert_true(put(f, "x", i).status == TEARS_OK || puts_again(f, 1000 * i));
    }
    natsConnection_Destroy(raw);
    finish(f);
}

static void test_server_dies_during_a_call(void **state)
{
    enum { COUNT = 2000 };
    struct fixture *f = start(NULL);
    (void)state;
    open_l2(f);
    struct tears_value *values = t3_arena_array(&f->arena, COUNT, sizeof *values);
    struct t3_key *keys = t3_arena_array(&f->arena, COUNT, sizeof *keys);
    struct t3_l2_entry *entries = t3_arena_array(&f->arena, COUNT, sizeof *entries);
    for (size_t i = 0; i < COUNT; i++)
        keys[i] = test_note_key((int64_t)i, &values[i]);
    test_nats_pause(f->server); /* the requests are on their way, and then nobody is there */
    const uint64_t start_us = t3_now_us();
    test_nats_kill(f->server);
    const tears_status status =
        t3_l2_get(f->l2, f->schema, keys, COUNT, &f->arena, t3_deadline_in_ms(5000), entries, NULL);
    assert_true(status == TEARS_UNAVAILABLE || status == TEARS_TIMEOUT);
    assert_true(t3_now_us() - start_us < (WAIT_MS + 400) * 1000);
    finish(f);
}

static void test_hung_server_is_waited_for_once(void **state)
{
    struct fixture *f = start(NULL);
    (void)state;
    open_l2(f);
    assert_int_equal(get(f), TEARS_OK);
    test_nats_pause(f->server);
    const uint64_t start_us = t3_now_us();
    const tears_status status = get(f);
    const uint64_t us = t3_now_us() - start_us;
    assert_true(status == TEARS_TIMEOUT || status == TEARS_UNAVAILABLE);
    assert_true(us >= (WAIT_MS - 50) * 1000 && us < (WAIT_MS + 400) * 1000);
    assert_true(refusal_us(f) < 1000);
    struct tears_value value;
    const struct t3_key key = test_note_key(1, &value);
    assert_int_equal(t3_l2_fill(f->l2, f->schema, NULL, &key,
                                test_note(f->schema, &f->arena, 1, "x", 1), 1, 0,
                                t3_now_coarse_ms()),
                     TEARS_UNAVAILABLE);
    test_nats_resume(f->server);
    assert_true(works_again(f));
    finish(f);
}

static void test_late_answers_are_not_taken_for_others(void **state)
{
    struct fixture *f = start(NULL);
    struct t3_l2_entry entry;
    struct tears_value values[2];
    const struct t3_key keys[] = {test_note_key(1, &values[0]), test_note_key(2, &values[1])};
    (void)state;
    open_l2(f);
    assert_int_equal(put(f, "one", 1).status, TEARS_OK);
    test_nats_pause(f->server);
    assert_true(get(f) != TEARS_OK);
    test_nats_resume(f->server); /* now the answer for note 1 comes */
    sleep_ms(1100);
    assert_true(works_again(f));
    assert_int_equal(
        t3_l2_get(f->l2, f->schema, &keys[1], 1, &f->arena, t3_deadline_in_ms(5000), &entry, NULL),
        TEARS_OK);
    assert_int_equal(entry.state, T3_L2_ABSENT);
    finish(f);
}

static void test_a_bucket_made_by_a_python_peer(void **state)
{
    static const char config[] =
        "{\"name\": \"KV_away-collections\", \"subjects\": [\"$KV.away-collections.>\"], "
        "\"max_consumers\": -1, \"max_msgs\": -1, \"discard\": \"new\", "
        "\"discard_new_per_subject\": false, \"max_age\": 0, \"max_msgs_per_subject\": 1, "
        "\"storage\": \"memory\", \"num_replicas\": 1, \"no_ack\": false, "
        "\"duplicate_window\": 120000000000, \"sealed\": false, \"deny_delete\": true, "
        "\"deny_purge\": false, \"allow_rollup_hdrs\": true, \"allow_msg_ttl\": true}";
    struct fixture *f = start(NULL);
    natsConnection *raw = NULL;
    natsMsg *reply = NULL;
    struct t3_l2_entry entry;
    (void)state;
    assert_int_equal(natsConnection_ConnectTo(&raw, test_nats_url(f->server)), NATS_OK);
    assert_int_equal(natsConnection_RequestString(
                         &reply, raw, "$JS.API.STREAM.CREATE.KV_away-collections", config, 2000),
                     NATS_OK);
    assert_null(strstr(natsMsg_GetData(reply), "error"));
    natsMsg_Destroy(reply);
    natsConnection_Destroy(raw);
    open_l2(f);
    assert_int_equal(get_entry(f, &entry), TEARS_OK);
    assert_int_equal(entry.state, T3_L2_ABSENT);
    assert_int_equal(put(f, "gr\xc3\xbc\xc3\x9f", 5).status, TEARS_OK);
    assert_int_equal(get_entry(f, &entry), TEARS_OK);
    assert_int_equal(entry.state, T3_L2_ROW);
    assert_int_equal(entry.version, 5);
    assert_int_equal(put(f, "older", 4).status, TEARS_CONFLICT);
    struct tears_value value;
    const struct t3_key key = test_note_key(1, &value);
    struct t3_l2_put gone = {.key = &key,
                             .version = 5,
                             .seen = entry.revision,
                             .versioned = true,
                             .authoritative = true};
    assert_int_equal(
        t3_l2_put(f->l2, f->schema, &gone, 1, &f->arena, t3_deadline_in_ms(5000), NULL), TEARS_OK);
    assert_int_equal(get_entry(f, &entry), TEARS_OK);
    assert_int_equal(entry.state, T3_L2_TOMBSTONE);
    assert_int_equal(entry.version, 5);
    struct t3_findings findings = {.arena = &f->arena};
    assert_int_equal(t3_l2_doctor(f->l2, &findings, t3_deadline_in_ms(5000)), TEARS_OK);
    bool is_reported = false;
    for (size_t i = 0; i < findings.count; i++)
        is_reported = is_reported || (findings.items[i].severity == 1 &&
                                      memcmp(findings.items[i].subject.ptr, "bucket allow_direct",
                                             findings.items[i].subject.len) == 0);
    assert_true(is_reported);
    finish(f);
}

/* W-03: the old value must not stay when the new one does not fit. */
static void test_a_value_too_large_becomes_a_marker(void **state)
{
    const struct test_nats_options options = {.config = "max_payload: 2048"};
    struct fixture *f = start(&options);
    struct t3_l2_entry entry;
    char large[4000];
    (void)state;
    open_l2(f);
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    assert_int_equal(put(f, "small", 1).status, TEARS_OK);
    const struct t3_l2_put one = put(f, large, 2);
    assert_int_equal(one.status, TEARS_OK);
    assert_int_equal(get_entry(f, &entry), TEARS_OK);
    assert_int_equal(entry.state, T3_L2_TOMBSTONE);
    assert_int_equal(entry.revision, one.revision);
    struct tears_value value;
    const struct t3_key key = test_note_key(1, &value);
    assert_int_equal(t3_l2_fill(f->l2, f->schema, NULL, &key,
                                test_note(f->schema, &f->arena, 1, large, 2), 2, one.revision,
                                t3_now_coarse_ms()),
                     TEARS_LIMIT);
    finish(f);
}

static void test_a_full_bucket_is_not_corrected(void **state)
{
    const struct test_nats_options options = {.jetstream = "max_mem: 65536"};
    struct fixture *f = start(&options);
    struct tears_value value;
    char large[20000];
    tears_status status = TEARS_OK;
    (void)state;
    open_l2(f);
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    for (int64_t id = 1; id <= 40 && status == TEARS_OK; id++) {
        const struct t3_key key = test_note_key(id, &value);
        struct t3_l2_put one = {.key = &key,
                                .version = 1,
                                .seen = 0,
                                .versioned = true,
                                .row = test_note(f->schema, &f->arena, id, large, 1)};
        status = t3_l2_put(f->l2, f->schema, &one, 1, &f->arena, t3_deadline_in_ms(5000), NULL);
    }
    assert_int_equal(status, TEARS_UNAVAILABLE); /* not even a marker fits: the caller must know */
    finish(f);
}

static void test_a_server_without_jetstream(void **state)
{
    const struct test_nats_options options = {.no_jetstream = true};
    struct fixture *f = start(&options);
    struct t3_findings findings = {.arena = &f->arena};
    (void)state;
    open_l2(f);
    assert_int_equal(get(f), TEARS_UNAVAILABLE);
    assert_int_equal(t3_l2_doctor(f->l2, &findings, t3_deadline_in_ms(5000)), TEARS_OK);
    bool is_reported = false;
    for (size_t i = 0; i < findings.count; i++)
        is_reported = is_reported || (findings.items[i].severity == 2 &&
                                      memcmp(findings.items[i].subject.ptr, "jetstream",
                                             findings.items[i].subject.len) == 0);
    assert_true(is_reported);
    finish(f);
}

static void test_a_wrong_password_is_no_crash_and_no_leak_of_it(void **state)
{
    const struct test_nats_options options = {
        .config = "authorization { user: somebody, password: right }"};
    struct fixture *f = start(&options);
    char url[128];
    (void)state;
    snprintf(url, sizeof url, "nats://somebody:wrong@%s", test_nats_url(f->server) + 7);
    f->l2 = test_l2_open(url, "away", "one", NULL);
    assert_int_equal(get(f), TEARS_UNAVAILABLE);
    sleep_ms(1000); /* the library gives up on the second refusal */
    assert_int_equal(get(f), TEARS_UNAVAILABLE);
    t3_l2_free(f->l2);
    snprintf(url, sizeof url, "nats://somebody:right@%s", test_nats_url(f->server) + 7);
    f->l2 = test_l2_open(url, "away", "one", NULL);
    assert_int_equal(get(f), TEARS_OK);
    finish(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_server_down_at_open),
        cmocka_unit_test(test_server_dies_and_comes_back_empty),
        cmocka_unit_test(test_bucket_removed_meanwhile),
        cmocka_unit_test(test_server_dies_during_a_call),
        cmocka_unit_test(test_hung_server_is_waited_for_once),
        cmocka_unit_test(test_late_answers_are_not_taken_for_others),
        cmocka_unit_test(test_a_bucket_made_by_a_python_peer),
        cmocka_unit_test(test_a_value_too_large_becomes_a_marker),
        cmocka_unit_test(test_a_full_bucket_is_not_corrected),
        cmocka_unit_test(test_a_server_without_jetstream),
        cmocka_unit_test(test_a_wrong_password_is_no_crash_and_no_leak_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
