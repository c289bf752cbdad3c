/*
 * test_kv_follow.c -- the followed stream on real servers: in order, resumed, wiped, silent, bounced, left behind.
 *
 * Every test has a server of its own, because it is killed, stopped or asked what is left on it.
 */
#include "base/alloc.h"
#include "base/lock.h"
#include "base/thread.h"
#include "driver/kv_follow.h"
#include "driver/kv_wire.h"
#include "driver/nats_impl.h"
#include "support/nats_server.h"

#include <tears/client.h>

#include <jansson.h>
#include <nats/nats.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define BUCKET "follow-collections"

enum {
    EVENTS_MAX = 4096,
    PROOFS_MAX = 4096,
    TEXT_BYTES = 64,
    WAIT_MS = 500,
    LONG_MS = 20000,
    HERD = 50
};

/* One client: connections, bucket, follower, and all the follower said. */
struct seen {
    char key[TEXT_BYTES];
    char origin[TEXT_BYTES];
    char epoch[TEXT_BYTES];
    char ids[TEXT_BYTES];
    struct t3_follow_event event; /* its texts are stale */
};

/* What one proof promised: of all losses before it, up to that revision. */
struct proof {
    uint64_t as_of_ms;
    uint64_t revision;
    size_t losses;
};

struct peer {
    struct t3_nats *prompt;
    struct t3_nats *pumped;
    struct t3_nats *gathering;
    struct t3_kv *kv;
    struct t3_follow *follow;
    atomic_uint block_ms; /* the next event's sink call takes that long */
    struct t3_mutex mutex;
    struct t3_cond changed;
    size_t events, currents, doubts, losses;
    uint64_t as_of_ms;
    uint64_t revision;
    uint64_t since_ms;
    bool is_trusted;
    bool is_in_order;
    char epoch[TEXT_BYTES];
    char why[128];
    struct seen seen[EVENTS_MAX];
    struct proof proofs[PROOFS_MAX];
    atomic_int warnings;
    struct t3_log log;
};

/* -- what the follower says ---------------------------------------------------------------- */

static void copy_text(char to[TEXT_BYTES], struct tears_str text)
{
    snprintf(to, TEXT_BYTES, "%.*s", (int)text.len, text.ptr);
}

static void on_event(void *owner, const struct t3_follow_event *event)
{
    struct peer *peer = owner;
    t3_lock(&peer->mutex);
    struct seen *seen = &peer->seen[peer->events % EVENTS_MAX];
    copy_text(seen->key, event->key);
    copy_text(seen->origin, event->origin);
    copy_text(seen->epoch, event->epoch);
    copy_text(seen->ids, event->ids);
    seen->event = *event;
    peer->is_in_order = peer->is_in_order && event->revision > peer->revision;
    peer->revision = event->revision;
    peer->events++;
    t3_cond_broadcast(&peer->changed);
    t3_unlock(&peer->mutex);
    t3_pause_us(atomic_exchange(&peer->block_ms, 0) * 1000u);
}

static void on_current(void *owner, uint64_t as_of_ms, uint64_t revision)
{
    struct peer *peer = owner;
    t3_lock(&peer->mutex);
    peer->is_in_order = peer->is_in_order && as_of_ms >= peer->as_of_ms &&
                        revision >= peer->revision && as_of_ms <= t3_now_coarse_ms();
    peer->as_of_ms = as_of_ms;
    peer->revision = revision;
    peer->is_trusted = true;
    peer->proofs[peer->currents % PROOFS_MAX] =
        (struct proof){.as_of_ms = as_of_ms, .revision = revision, .losses = peer->losses};
    peer->currents++;
    t3_cond_broadcast(&peer->changed);
    t3_unlock(&peer->mutex);
}

static void on_doubt(void *owner, const char *why)
{
    struct peer *peer = owner;
    t3_lock(&peer->mutex);
    snprintf(peer->why, sizeof peer->why, "%s", why);
    peer->is_trusted = false;
    peer->doubts++;
    t3_cond_broadcast(&peer->changed);
    t3_unlock(&peer->mutex);
}

static void on_lost(void *owner, uint64_t since_ms, const char *epoch, const char *why)
{
    struct peer *peer = owner;
    t3_lock(&peer->mutex);
    snprintf(peer->why, sizeof peer->why, "%s", why);
    snprintf(peer->epoch, sizeof peer->epoch, "%s", epoch);
    peer->since_ms = since_ms;
    peer->is_trusted = false;
    peer->revision = 0;
    peer->losses++;
    t3_cond_broadcast(&peer->changed);
    t3_unlock(&peer->mutex);
    t3_kv_set_epoch(peer->kv, epoch);
}

static void on_log(void *owner, uint64_t level, const char *where, const char *message)
{
    struct peer *peer = owner;
    if (level <= TEARS_LOG_WARN && strcmp(where, "l2.follow") == 0 &&
        strstr(message, "cannot be followed") != NULL)
        atomic_fetch_add(&peer->warnings, 1);
}

/* Waits until the counter is `least`; fails the test when it does not get there. */
static void wait_for(struct peer *peer, const size_t *counter, size_t least, const char *what)
{
    const struct t3_deadline deadline = t3_deadline_in_ms(LONG_MS);
    t3_lock(&peer->mutex);
    bool in_time = true;
    while (*counter < least && in_time)
        in_time = t3_cond_wait(&peer->changed, &peer->mutex, deadline);
    const size_t got = *counter;
    t3_unlock(&peer->mutex);
    if (got < least)
        fail_msg("%s: %zu instead of %zu (last: %s)", what, got, least, peer->why);
}

static bool is_in_order(struct peer *peer)
{
    t3_lock(&peer->mutex);
    const bool in_order = peer->is_in_order;
    t3_unlock(&peer->mutex);
    return in_order;
}

static size_t count_of(struct peer *peer, const size_t *counter)
{
    t3_lock(&peer->mutex);
    const size_t count = *counter;
    t3_unlock(&peer->mutex);
    return count;
}

/* A proof for a moment after this call. */
static void wait_for_proof(struct peer *peer)
{
    const uint64_t now_ms = t3_now_coarse_ms();
    const struct t3_deadline deadline = t3_deadline_in_ms(LONG_MS);
    t3_lock(&peer->mutex);
    bool in_time = true;
    while ((!peer->is_trusted || peer->as_of_ms < now_ms) && in_time)
        in_time = t3_cond_wait(&peer->changed, &peer->mutex, deadline);
    const bool is_proven = peer->is_trusted && peer->as_of_ms >= now_ms;
    t3_unlock(&peer->mutex);
    if (!is_proven)
        fail_msg("no proof came (last: %s)", peer->why);
}

/* -- clients ------------------------------------------------------------------------------- */

static void on_connected(void *owner)
{
    struct peer *peer = owner;
    t3_lock(&peer->mutex);
    struct t3_follow *follow = peer->follow;
    t3_unlock(&peer->mutex);
    if (follow != NULL)
        t3_follow_wake(follow);
}

static struct t3_nats *connect_to(const char *url, const char *name, struct peer *peer)
{
    struct t3_nats *nats = NULL;
    const struct t3_nats_options options = {
        .url = tears_str_c(url),
        .name = name,
        .prompt = strcmp(name, "prompt") == 0,
        .pumped = strcmp(name, "pumped") == 0,
        .connected = strcmp(name, "prompt") == 0 ? on_connected : NULL,
        .owner = peer,
    };
    assert_int_equal(t3_nats_open(&options, &nats, NULL), TEARS_OK);
    return nats;
}

struct peer_options {
    const char *url; /* NULL: the server's */
    const char *writer;
    bool on_file;
    bool is_idle; /* does not follow */
    bool is_indirect;
    uint64_t probe_ms;
};

static void follow_bucket(struct peer *peer, uint64_t probe_ms)
{
    struct t3_follow *follow = NULL;
    const struct t3_follow_options options = {
        .nats = peer->prompt,
        .kv = peer->kv,
        .bucket = BUCKET,
        .probe_ms = probe_ms != 0 ? probe_ms : 200,
        .wait_ms = WAIT_MS,
        .sink = {on_event, on_current, on_doubt, on_lost, peer},
        .log = &peer->log,
    };
    assert_int_equal(t3_follow_start(&options, &follow, NULL), TEARS_OK);
    t3_lock(&peer->mutex);
    peer->follow = follow;
    t3_unlock(&peer->mutex);
}

static struct peer *open_peer(struct test_nats *server, const struct peer_options *options)
{
    static const struct peer_options none = {0};
    const struct peer_options *chosen = options != NULL ? options : &none;
    struct peer *peer = t3_alloc_zero(1, sizeof *peer);
    assert_non_null(peer);
    peer->is_in_order = true;
    t3_mutex_init(&peer->mutex);
    t3_cond_init(&peer->changed);
    const char *url = chosen->url != NULL ? chosen->url : test_nats_url(server);
    peer->log = (struct t3_log){.put = on_log, .owner = peer, .level_max = TEARS_LOG_DEBUG};
    peer->prompt = connect_to(url, "prompt", peer);
    peer->pumped = connect_to(url, "pumped", peer);
    peer->gathering = connect_to(url, "gathering", peer);
    struct t3_kv_options kv = {
        .prompt = peer->prompt,
        .pumped = peer->pumped,
        .gathering = peer->gathering,
        .bucket = BUCKET,
        .writer = chosen->writer != NULL ? chosen->writer : "",
        .wanted = t3_kv_settings_wanted(chosen->on_file, 1),
        .wait_ms = WAIT_MS,
    };
    kv.wanted.allow_direct = !chosen->is_indirect;
    assert_int_equal(t3_kv_new(&kv, &peer->kv, NULL), TEARS_OK);
    if (!chosen->is_idle)
        follow_bucket(peer, chosen->probe_ms);
    return peer;
}

static void close_peer(struct peer *peer)
{
    t3_lock(&peer->mutex);
    struct t3_follow *follow = peer->follow;
    peer->follow = NULL;
    t3_unlock(&peer->mutex);
    t3_follow_free(follow);
    t3_kv_free(peer->kv);
    t3_nats_free(peer->prompt);
    t3_nats_free(peer->pumped);
    t3_nats_free(peer->gathering);
    t3_cond_done(&peer->changed);
    t3_mutex_done(&peer->mutex);
    t3_free(peer);
}

/* -- the bucket ---------------------------------------------------------------------------- */

static uint64_t run_one(struct peer *peer, struct t3_kv_request *request)
{
    const struct t3_kv_call call = {
        .requests = request, .count = 1, .deadline = t3_deadline_in_ms(5000)};
    struct tears_error error = {0};
    if (t3_kv_run(peer->kv, &call, &error) != TEARS_OK)
        fail_msg("key '%s': %s", request->key, error.message);
    return request->revision;
}

static uint64_t put(struct peer *peer, const char *key, int64_t version)
{
    struct t3_kv_request request = {
        .verb = T3_KV_PUT,
        .key = key,
        .value = TEARS_STR("{}"),
        .expected = T3_KV_ANY_REVISION,
        .has_version = version != 0,
        .version = version,
    };
    const uint64_t revision = run_one(peer, &request);
    assert_int_equal(request.outcome, T3_KV_STORED);
    t3_kv_release(&request, 1);
    return revision;
}

/* Asks JetStream's interface over the peer's connection; the answer as JSON. */
static json_t *ask(struct peer *peer, const char *subject, const char *body)
{
    natsMsg *reply = NULL;
    const natsStatus status =
        natsConnection_RequestString(&reply, peer->prompt->connection, subject, body, 5000);
    if (status != NATS_OK)
        fail_msg("%s: %s", subject, natsStatus_GetText(status));
    json_t *answer =
        json_loadb(natsMsg_GetData(reply), (size_t)natsMsg_GetDataLength(reply), 0, NULL);
    natsMsg_Destroy(reply);
    return answer;
}

static int64_t state_of(struct peer *peer, const char *member)
{
    json_t *info = ask(peer, "$JS.API.STREAM.INFO.KV_" BUCKET, "");
    const int64_t number =
        json_integer_value(json_object_get(json_object_get(info, "state"), member));
    json_decref(info);
    return number;
}

static int64_t consumers_on_server(struct peer *peer)
{
    return state_of(peer, "consumer_count");
}

static void delete_stream(struct peer *peer)
{
    json_decref(ask(peer, "$JS.API.STREAM.DELETE.KV_" BUCKET, ""));
}

/* As Python does: the body alone. */
static void put_without_headers(struct peer *peer, const char *key)
{
    char subject[128];
    snprintf(subject, sizeof subject, "$KV." BUCKET ".%s", key);
    json_decref(ask(peer, subject, "{\"id\": 1}"));
}

/* -- tests --------------------------------------------------------------------------------- */

static void test_events_come_in_order_with_all_they_carry(void **state)
{
    struct test_nats *server = test_nats_start(NULL);
    struct peer *writer = open_peer(server, &(struct peer_options){.writer = "w", .is_idle = true});
    (void)state;
    put(writer, "notes.0", 1); /* before anybody follows: part of the baseline */
    struct peer *peer = open_peer(server, NULL);
    assert_true(t3_follow_wait_current(peer->follow, t3_deadline_in_ms(5000)));
    assert_int_equal(count_of(peer, &peer->losses), 1);
    assert_int_equal(strlen(peer->epoch), T3_KV_EPOCH_BYTES);
    t3_kv_set_epoch(writer->kv, peer->epoch);
    const uint64_t first = put(writer, "notes.1", 7);
    struct t3_kv_request lease = {
        .verb = T3_KV_DELETE,
        .key = "notes.2",
        .expected = T3_KV_ANY_REVISION,
        .is_fill = true,
        .lease_ms = 1500,
        .ids = TEARS_STR("[\"\xc3\xa9\"]"),
    };
    run_one(writer, &lease);
    t3_kv_release(&lease, 1);
    put_without_headers(writer, "notes.3");
    wait_for(peer, &peer->events, 3, "events");
    wait_for_proof(peer);
    assert_true(is_in_order(peer));
    assert_int_equal(count_of(peer, &peer->events), 3);
    assert_string_equal(peer->seen[0].key, "notes.1");
    assert_int_equal(peer->seen[0].event.revision, first);
    assert_true(peer->seen[0].event.has_version);
    assert_int_equal(peer->seen[0].event.version, 7);
    assert_string_equal(peer->seen[0].origin, "w");
    assert_string_equal(peer->seen[0].epoch, peer->epoch);
    assert_false(peer->seen[0].event.is_marker);
    assert_false(peer->seen[0].event.is_fill);
    assert_string_equal(peer->seen[1].key, "notes.2");
    assert_true(peer->seen[1].event.is_marker);
    assert_true(peer->seen[1].event.is_fill);
    assert_int_equal(peer->seen[1].event.lease_ms, 1500);
    assert_string_equal(peer->seen[1].ids, "[\"\xc3\xa9\"]");
    assert_string_equal(peer->seen[2].key, "notes.3");
    assert_false(peer->seen[2].event.has_version);
    assert_string_equal(peer->seen[2].origin, "");
    assert_int_equal(count_of(peer, &peer->doubts), 0);
    close_peer(peer);
    close_peer(writer);
    test_nats_free(server);
}

/* Every put that was acknowledged before a proof's moment has to be covered by it. */
static void check_proof(struct peer *peer, size_t losses, uint64_t acked_ms, uint64_t revision)
{
    t3_lock(&peer->mutex);
    const size_t count = peer->currents < PROOFS_MAX ? peer->currents : PROOFS_MAX;
    bool is_right = true;
    for (size_t i = 0; i < count; i++)
        if (peer->proofs[i].losses == losses && peer->proofs[i].as_of_ms > acked_ms)
            is_right = is_right && peer->proofs[i].revision >= revision;
    t3_unlock(&peer->mutex);
    assert_true(is_right);
}

static uint64_t put_number(struct peer *peer, size_t number)
{
    char key[32];
    snprintf(key, sizeof key, "notes.%zu", number);
    return put(peer, key, (int64_t)number + 1);
}

/* -- resuming ------------------------------------------------------------------------------ */

static void test_a_killed_server_with_files_costs_nothing_but_doubt(void **state)
{
    enum { ROUNDS = 3, PUTS = 40 };
    struct test_nats *server = test_nats_start(NULL);
    struct peer *writer =
        open_peer(server, &(struct peer_options){.on_file = true, .is_idle = true});
    struct peer *peer = open_peer(server, &(struct peer_options){.on_file = true});
    (void)state;
    wait_for_proof(peer);
    for (size_t round = 0; round < ROUNDS; round++) {
        test_nats_kill(server);
        wait_for(peer, &peer->doubts, round + 1, "doubts");
        test_nats_again(server);
        while (!t3_kv_is_usable(writer->kv))
            t3_pause_us(10000);
        for (size_t i = 0; i < PUTS; i++)
            put_number(writer, round * PUTS + i);
        wait_for(peer, &peer->events, (round + 1) * PUTS, "events");
        wait_for_proof(peer);
    }
    assert_true(is_in_order(peer));
    assert_int_equal(count_of(peer, &peer->losses), 1);
    assert_int_equal(count_of(peer, &peer->events), ROUNDS * PUTS);
    for (size_t i = 0; i < ROUNDS * PUTS; i++)
        assert_int_equal(peer->seen[i].event.version, i + 1);
    close_peer(peer);
    close_peer(writer);
    test_nats_free(server);
}

/* -- another bucket ------------------------------------------------------------------------ */

/* How much was lost before the proof of that number. */
static size_t losses_at_proof(struct peer *peer, size_t number)
{
    t3_lock(&peer->mutex);
    const size_t losses = peer->proofs[number % PROOFS_MAX].losses;
    t3_unlock(&peer->mutex);
    return losses;
}

/*
 * The bucket is wiped by a restart while this process looks away, and its sequences are past the old ones before it
 * looks again: neither the consumer nor the numbers tell.
 */
static void trap_09_a_wiped_bucket_whose_sequences_passed_the_old_ones(void **state)
{
    enum { OLD = 5, NEW = 30 };
    struct test_nats *server = test_nats_start(NULL);
    struct peer *writer = open_peer(server, &(struct peer_options){.is_idle = true});
    struct peer *peer = open_peer(server, NULL);
    char epoch[TEXT_BYTES];
    (void)state;
    wait_for_proof(peer);
    for (size_t i = 0; i < OLD; i++)
        put_number(writer, i);
    wait_for(peer, &peer->events, OLD, "events");
    wait_for_proof(peer);
    memcpy(epoch, peer->epoch, sizeof epoch);
    atomic_store(&peer->block_ms, 3000);
    put_number(writer, OLD);
    wait_for(peer, &peer->events, OLD + 1, "the event that blocks");
    test_nats_kill(server);
    test_nats_again(server);
    while (!t3_kv_is_usable(writer->kv))
        t3_pause_us(10000);
    for (size_t i = 0; i < NEW; i++)
        put_number(writer, i);
    const size_t proofs = count_of(peer, &peer->currents);
    wait_for(peer, &peer->losses, 2, "losses");
    for (size_t i = proofs; i < count_of(peer, &peer->currents); i++)
        assert_int_equal(losses_at_proof(peer, i), 2); /* nothing was believed meanwhile */
    wait_for_proof(peer);
    assert_string_not_equal(peer->epoch, epoch);
    const size_t events = count_of(peer, &peer->events);
    put_number(writer, 1);
    wait_for(peer, &peer->events, events + 1, "events of the new bucket");
    close_peer(peer);
    close_peer(writer);
    test_nats_free(server);
}

static void test_a_stream_made_anew_without_a_disconnect_is_a_loss(void **state)
{
    enum { PUTS = 20 };
    struct test_nats *server = test_nats_start(NULL);
    struct peer *writer = open_peer(server, &(struct peer_options){.is_idle = true});
    struct peer *peer = open_peer(server, NULL);
    (void)state;
    wait_for_proof(peer);
    delete_stream(writer);
    t3_kv_forget_bucket(writer->kv);
    for (size_t i = 0; i < PUTS; i++)
        put_number(writer, i);
    const uint64_t acked_ms = t3_now_coarse_ms();
    wait_for(peer, &peer->losses, 2, "losses");
    wait_for_proof(peer);
    check_proof(peer, 1, acked_ms, UINT64_MAX); /* the old identity proves nothing after that */
    const size_t events = count_of(peer, &peer->events);
    put_number(writer, 1);
    wait_for(peer, &peer->events, events + 1, "events of the new bucket");
    close_peer(peer);
    close_peer(writer);
    test_nats_free(server);
}

static void test_a_missing_bucket_is_made(void **state)
{
    struct test_nats *server = test_nats_start(NULL);
    struct peer *peer = open_peer(server, NULL);
    (void)state;
    wait_for_proof(peer);
    delete_stream(peer);
    wait_for(peer, &peer->losses, 2, "losses");
    wait_for_proof(peer);
    assert_int_equal(state_of(peer, "messages"), 1); /* the identity */
    close_peer(peer);
    test_nats_free(server);
}

/* A bucket whose entries live for four seconds, as an operator may make it. */
static void make_forgetful_bucket(struct peer *peer)
{
    json_decref(ask(peer, "$JS.API.STREAM.CREATE.KV_" BUCKET,
                    "{\"name\":\"KV_" BUCKET "\",\"subjects\":[\"$KV." BUCKET ".>\"],"
                    "\"retention\":\"limits\",\"discard\":\"new\",\"storage\":\"memory\","
                    "\"num_replicas\":1,\"max_msgs_per_subject\":1,\"max_age\":4000000000,"
                    "\"duplicate_window\":1000000000}"));
}

static void test_a_bucket_that_forgets_by_age_is_lost_after_looking_away(void **state)
{
    struct test_nats *server = test_nats_start(NULL);
    struct peer *writer = open_peer(server, &(struct peer_options){.is_idle = true});
    (void)state;
    make_forgetful_bucket(writer);
    struct peer *peer = open_peer(server, NULL);
    wait_for_proof(peer);
    atomic_store(&peer->block_ms, 2500);
    put(writer, "notes.1", 1);
    wait_for(peer, &peer->losses, 2, "losses");
    assert_non_null(strstr(peer->why, "by age"));
    wait_for_proof(peer);
    close_peer(peer);
    close_peer(writer);
    test_nats_free(server);
}

/* -- silence ------------------------------------------------------------------------------- */

static void test_a_stopped_server_is_doubted_and_believed_again(void **state)
{
    struct test_nats *server = test_nats_start(NULL);
    struct peer *peer = open_peer(server, NULL);
    (void)state;
    wait_for_proof(peer);
    const uint64_t start_us = t3_now_us();
    test_nats_pause(server);
    wait_for(peer, &peer->doubts, 1, "doubts");
    assert_true(t3_now_us() - start_us < 4000000);
    const size_t proofs = count_of(peer, &peer->currents);
    t3_pause_us(300000);
    assert_int_equal(count_of(peer, &peer->currents), proofs);
    test_nats_resume(server);
    wait_for_proof(peer);
    assert_int_equal(count_of(peer, &peer->losses), 1);
    close_peer(peer);
    test_nats_free(server);
}

/* A process that was stopped finds old news in its socket: no proof may be younger than what it has given out. */
static void test_a_stopped_process_never_looks_fresh(void **state)
{
    enum { PUTS = 200 };
    struct test_nats *server = test_nats_start(NULL);
    struct peer *writer = open_peer(server, &(struct peer_options){.is_idle = true});
    struct peer *peer = open_peer(server, &(struct peer_options){.probe_ms = 20});
    uint64_t acked_ms[PUTS];
    uint64_t revisions[PUTS];
    (void)state;
    wait_for_proof(peer);
    for (size_t i = 0; i < PUTS; i++) {
        if (i % 50 == 0)
            atomic_store(&peer->block_ms, 600);
        revisions[i] = put_number(writer, i);
        acked_ms[i] = t3_now_coarse_ms();
        t3_pause_us(5000);
    }
    wait_for(peer, &peer->events, PUTS, "events");
    wait_for_proof(peer);
    assert_true(is_in_order(peer));
    for (size_t i = 0; i < PUTS; i++)
        check_proof(peer, 1, acked_ms[i], revisions[i]);
    close_peer(peer);
    close_peer(writer);
    test_nats_free(server);
}

/* -- what is left on the server ------------------------------------------------------------ */

static void wait_for_consumers(struct peer *peer, int64_t wanted, uint64_t within_ms)
{
    const struct t3_deadline deadline = t3_deadline_in_ms(within_ms);
    int64_t count = consumers_on_server(peer);
    while (count != wanted && !t3_deadline_passed(deadline)) {
        t3_pause_us(50000);
        count = consumers_on_server(peer);
    }
    assert_int_equal(count, wanted);
}

static void test_a_freed_follower_leaves_nothing(void **state)
{
    struct test_nats *server = test_nats_start(NULL);
    struct peer *writer = open_peer(server, &(struct peer_options){.is_idle = true});
    struct peer *peer = open_peer(server, NULL);
    (void)state;
    wait_for_proof(peer);
    assert_int_equal(consumers_on_server(writer), 1);
    close_peer(peer);
    assert_int_equal(consumers_on_server(writer), 0);
    close_peer(writer);
    test_nats_free(server);
}

/* This program again, as a client that follows until it is killed. */
static void run_child(const char *url)
{
    (void)open_peer(NULL, &(struct peer_options){.url = url});
    for (;;)
        t3_pause_us(1000000);
}

static void test_a_killed_process_leaves_nothing(void **state)
{
    struct test_nats *server = test_nats_start(NULL);
    struct peer *peer = open_peer(server, NULL);
    (void)state;
    wait_for_proof(peer);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execl("/proc/self/exe", "test_kv_follow", "--child", test_nats_url(server), (char *)NULL);
        _exit(127);
    }
    wait_for_consumers(peer, 2, 10000);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    wait_for_consumers(peer, 1, 12000);
    close_peer(peer);
    test_nats_free(server);
}

static void open_herd(struct test_nats *server, struct peer *writer, struct peer *herd[HERD])
{
    for (size_t i = 0; i < HERD; i++) {
        herd[i] = t3_alloc_zero(1, sizeof *herd[i]);
        assert_non_null(herd[i]);
        herd[i]->is_in_order = true;
        t3_mutex_init(&herd[i]->mutex);
        t3_cond_init(&herd[i]->changed);
        herd[i]->kv = writer->kv; /* lent */
        herd[i]->prompt = connect_to(test_nats_url(server), "prompt", herd[i]);
        follow_bucket(herd[i], 500);
    }
}

static void close_herd(struct peer *herd[HERD])
{
    for (size_t i = 0; i < HERD; i++) {
        t3_follow_free(herd[i]->follow);
        herd[i]->follow = NULL;
        t3_nats_free(herd[i]->prompt);
        t3_cond_done(&herd[i]->changed);
        t3_mutex_done(&herd[i]->mutex);
        t3_free(herd[i]);
    }
}

static void trap_14_a_bounced_server_is_not_left_with_consumers(void **state)
{
    enum { BOUNCES = 4 };
    struct test_nats *server = test_nats_start(NULL);
    struct peer *writer =
        open_peer(server, &(struct peer_options){.on_file = true, .is_idle = true});
    struct peer *herd[HERD];
    (void)state;
    put_number(writer, 0);
    open_herd(server, writer, herd);
    for (size_t bounce = 0; bounce <= BOUNCES; bounce++) {
        for (size_t i = 0; i < HERD; i++)
            wait_for_proof(herd[i]);
        assert_int_equal(consumers_on_server(writer), HERD);
        if (bounce == BOUNCES)
            break;
        test_nats_kill(server);
        wait_for(herd[0], &herd[0]->doubts, bounce + 1, "doubts");
        test_nats_again(server);
        while (!t3_kv_is_usable(writer->kv))
            t3_pause_us(10000);
        put_number(writer, bounce + 1);
    }
    for (size_t i = 0; i < HERD; i++) {
        wait_for(herd[i], &herd[i]->events, BOUNCES, "events");
        assert_int_equal(count_of(herd[i], &herd[i]->losses), 1);
        assert_true(is_in_order(herd[i]));
    }
    close_herd(herd);
    wait_for_consumers(writer, 0, 8000); /* at once, unless one was about to open another */
    close_peer(writer);
    test_nats_free(server);
}

/* -- refusals ------------------------------------------------------------------------------ */

static void test_a_refused_consumer_is_said_once_and_proves_nothing(void **state)
{
    struct test_nats *server = test_nats_start(&(struct test_nats_options){
        .config =
            "authorization { users = [ { user: \"a\", password: \"b\", permissions: { publish: "
            "{ deny: [\"$JS.API.CONSUMER.CREATE.>\"] } } } ] }"});
    char url[128];
    (void)state;
    snprintf(url, sizeof url, "nats://a:b@%s", test_nats_url(server) + strlen("nats://"));
    struct peer *peer = open_peer(server, &(struct peer_options){.url = url});
    const struct t3_deadline deadline = t3_deadline_in_ms(LONG_MS);
    while (atomic_load(&peer->warnings) == 0 && !t3_deadline_passed(deadline))
        t3_pause_us(20000);
    t3_pause_us(2000000);
    assert_int_equal(atomic_load(&peer->warnings), 1);
    assert_int_equal(count_of(peer, &peer->currents), 0);
    assert_int_equal(count_of(peer, &peer->losses),
                     1); /* the bucket's identity is known all the same */
    assert_false(t3_follow_wait_current(peer->follow, t3_deadline_in_ms(1)));
    close_peer(peer);
    test_nats_free(server);
}

static void test_a_server_that_is_away_is_waited_for(void **state)
{
    struct test_nats *server = test_nats_start(NULL);
    (void)state;
    test_nats_end(server);
    struct peer *peer = open_peer(server, NULL);
    assert_false(t3_follow_wait_current(peer->follow, t3_deadline_in_ms(300)));
    test_nats_again(server);
    assert_true(t3_follow_wait_current(peer->follow, t3_deadline_in_ms(LONG_MS)));
    struct t3_follow_stats stats;
    t3_follow_stats(peer->follow, &stats);
    assert_int_equal(stats.losses, 1);
    assert_int_equal(stats.consumers, 1);
    assert_true(stats.probes >= 1);
    close_peer(peer);
    test_nats_free(server);
}

/* -- headers of the bucket's own reads ----------------------------------------------------- */

static void check_headers(bool is_indirect)
{
    struct test_nats *server = test_nats_start(NULL);
    struct peer *writer = open_peer(server, &(struct peer_options){
                                                .writer = "w",
                                                .is_idle = true,
                                                .is_indirect = is_indirect,
                                            });
    t3_kv_set_epoch(writer->kv, "00000000deadbeef");
    put(writer, "notes.1", -3);
    struct t3_kv_request get = {.verb = T3_KV_GET, .key = "notes.1"};
    run_one(writer, &get);
    assert_int_equal(get.outcome, T3_KV_VALUE);
    assert_int_equal(get.is_direct, !is_indirect);
    assert_int_equal(get.found_version, -3);
    assert_true(get.found_is_own);
    assert_false(get.found_is_fill);
    assert_int_equal(get.found_lease_ms, 0);
    assert_int_equal(get.found_epoch.len, 16);
    assert_memory_equal(get.found_epoch.ptr, "00000000deadbeef", 16);
    assert_int_equal(get.found_origin.len, 1);
    assert_memory_equal(get.found_origin.ptr, "w", 1);
    t3_kv_release(&get, 1);

    t3_kv_set_epoch(writer->kv, "");
    struct t3_kv_request lease = {
        .verb = T3_KV_DELETE,
        .key = "notes.1",
        .expected = T3_KV_ANY_REVISION,
        .is_fill = true,
        .lease_ms = UINT32_MAX,
    };
    run_one(writer, &lease);
    t3_kv_release(&lease, 1);
    run_one(writer, &get);
    assert_int_equal(get.outcome, T3_KV_MARKER);
    assert_true(get.found_is_fill);
    assert_int_equal(get.found_lease_ms, UINT32_MAX);
    assert_int_equal(get.found_epoch.len, 0);
    t3_kv_release(&get, 1);

    put_without_headers(writer, "notes.1");
    run_one(writer, &get);
    assert_int_equal(get.outcome, T3_KV_VALUE);
    assert_int_equal(get.found_origin.len, 0);
    assert_false(get.found_is_own);
    assert_false(get.found_has_version);
    t3_kv_release(&get, 1);
    close_peer(writer);
    test_nats_free(server);
}

static void test_headers_of_direct_gets(void **state)
{
    (void)state;
    check_headers(false);
}

static void test_headers_of_stored_gets(void **state)
{
    (void)state;
    check_headers(true);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events_come_in_order_with_all_they_carry),
        cmocka_unit_test(test_a_killed_server_with_files_costs_nothing_but_doubt),
        cmocka_unit_test(trap_09_a_wiped_bucket_whose_sequences_passed_the_old_ones),
        cmocka_unit_test(test_a_stream_made_anew_without_a_disconnect_is_a_loss),
        cmocka_unit_test(test_a_missing_bucket_is_made),
        cmocka_unit_test(test_a_bucket_that_forgets_by_age_is_lost_after_looking_away),
        cmocka_unit_test(test_a_stopped_server_is_doubted_and_believed_again),
        cmocka_unit_test(test_a_stopped_process_never_looks_fresh),
        cmocka_unit_test(test_a_freed_follower_leaves_nothing),
        cmocka_unit_test(test_a_killed_process_leaves_nothing),
        cmocka_unit_test(trap_14_a_bounced_server_is_not_left_with_consumers),
        cmocka_unit_test(test_a_refused_consumer_is_said_once_and_proves_nothing),
        cmocka_unit_test(test_a_server_that_is_away_is_waited_for),
        cmocka_unit_test(test_headers_of_direct_gets),
        cmocka_unit_test(test_headers_of_stored_gets),
    };
    if (argc == 3 && strcmp(argv[1], "--child") == 0)
        run_child(argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
