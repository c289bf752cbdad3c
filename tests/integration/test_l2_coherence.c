/*
 * test_l2_coherence.c -- what keeps several processes that share a bucket from seeing, or leaving behind, old rows.
 *
 * Two instances of the tier stand for two processes, a plain connection for a peer without this library.  Cases whose names begin
 * with trap_ fail when the protection they are about is taken out.
 */
#include "base/alloc.h"
#include "support/l2_fixture.h"
#include "support/nats_server.h"
#include "tier/l2_impl.h"

#include <nats/nats.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

/* -- fixture ------------------------------------------------------------------------------- */

#define UNSEEN UINT64_MAX

enum { LEASE_MS = 5000 };

struct fixture {
    char name[32];
    struct test_nats *server; /* of its own, else NULL */
    const char *url;
    struct tears_schema *schema;
    struct t3_l2 *l2;
    struct t3_l2 *other;
    struct test_news news; /* of l2 */
    struct t3_arena arena;
    natsConnection *raw;
    char bucket[64];
};

static struct fixture *new_fixture(struct test_nats *server)
{
    struct fixture *f = calloc(1, sizeof *f);
    test_namespace(f->name);
    snprintf(f->bucket, sizeof f->bucket, "%s-collections", f->name);
    f->server = server;
    f->url = server != NULL ? test_nats_url(server) : test_nats_shared_url();
    f->schema = test_notes_schema(true);
    assert_int_equal(natsConnection_ConnectTo(&f->raw, f->url), NATS_OK);
    return f;
}

static int set_up(void **state)
{
    struct fixture *f = new_fixture(NULL);
    f->l2 = test_l2_open(f->url, f->name, "one", &f->news);
    f->other = test_l2_open(f->url, f->name, "two", NULL);
    *state = f;
    return 0;
}

/* With a server that the test may stop. */
static int set_up_alone(void **state)
{
    struct fixture *f = new_fixture(test_nats_start(NULL));
    f->l2 = test_l2_open(f->url, f->name, "one", &f->news);
    f->other = test_l2_open(f->url, f->name, "two", NULL);
    *state = f;
    return 0;
}

static void ask_raw(struct fixture *f, const char *verb, const char *body)
{
    char subject[128];
    natsMsg *reply = NULL;
    snprintf(subject, sizeof subject, "$JS.API.STREAM.%s.KV_%s", verb, f->bucket);
    natsConnection_RequestString(&reply, f->raw, subject, body, 2000);
    natsMsg_Destroy(reply);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    ask_raw(f, "DELETE", "");
    t3_l2_free(f->l2);
    t3_l2_free(f->other);
    natsConnection_Destroy(f->raw);
    tears_schema_free(f->schema);
    t3_arena_done(&f->arena);
    test_nats_free(f->server);
    free(f);
    return 0;
}

static struct t3_deadline soon(void)
{
    return t3_deadline_in_ms(5000);
}

static void sleep_ms(long ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

static struct t3_l2_entry get(struct fixture *f, struct t3_l2 *l2, int64_t id)
{
    return test_note_get(l2, f->schema, &f->arena, id);
}

static struct t3_l2_put put(struct fixture *f, struct t3_l2 *l2, struct test_change change)
{
    return test_note_put(l2, f->schema, &f->arena, change);
}

/* A fill that began `age_ms` ago; its outcome comes to news. */
static tears_status fill(struct fixture *f, struct test_change change, uint64_t age_ms)
{
    struct tears_value value;
    const struct t3_key key = test_note_key(change.id, &value);
    const struct t3_row *row = change.body != NULL ? test_note(f->schema, &f->arena, change.id,
                                                               change.body, change.version)
                                                   : NULL;
    return t3_l2_fill(f->l2, f->schema, f, &key, row, change.version, change.seen,
                      t3_now_coarse_ms() - age_ms);
}

static tears_status announce(struct fixture *f, struct t3_l2 *l2, int64_t id, uint64_t *seen)
{
    struct tears_value value;
    const struct t3_key key = test_note_key(id, &value);
    return t3_l2_announce(l2, f->schema, &key, 1, LEASE_MS, &f->arena, soon(), seen, NULL);
}

static tears_status lease(struct fixture *f, struct t3_l2 *l2, int64_t id, uint64_t seen,
                          uint64_t *revision_out)
{
    struct tears_value value;
    const struct t3_key key = test_note_key(id, &value);
    return t3_l2_lease(l2, f->schema, &key, seen, 0, LEASE_MS, soon(), revision_out);
}

static void assert_note(struct fixture *f, int64_t id, const char *body, int64_t version)
{
    const struct t3_l2_entry entry = get(f, f->other, id);
    assert_int_equal(entry.state, T3_L2_ROW);
    assert_int_equal(entry.version, version);
    const struct tears_str text = test_note_body(f->schema, entry.row);
    assert_int_equal(text.len, strlen(body));
    assert_memory_equal(text.ptr, body, text.len);
}

/* Puts a message under a note's key as a peer without this library would; headers is a list of names and values. */
static uint64_t raw_put(struct fixture *f, int64_t id, struct tears_str value,
                        const char *const *headers)
{
    char subject[128];
    natsMsg *message = NULL;
    natsMsg *reply = NULL;
    snprintf(subject, sizeof subject, "$KV.%s.notes.%d", f->bucket, (int)id);
    assert_int_equal(natsMsg_Create(&message, subject, NULL, value.ptr, (int)value.len), NATS_OK);
    for (; headers != NULL && headers[0] != NULL; headers += 2)
        assert_int_equal(natsMsgHeader_Set(message, headers[0], headers[1]), NATS_OK);
    assert_int_equal(natsConnection_RequestMsg(&reply, f->raw, message, 2000), NATS_OK);
    struct t3_kv_ack ack;
    t3_kv_parse_ack(tears_str_n(natsMsg_GetData(reply), (size_t)natsMsg_GetDataLength(reply)),
                    &ack);
    natsMsg_Destroy(message);
    natsMsg_Destroy(reply);
    assert_int_equal(ack.error, 0);
    return ack.revision;
}

/* -- trap 2: a slow reader on another host --------------------------------------------------- */

static void trap_02_a_slow_reader_cannot_put_the_old_row_back(void **state)
{
    struct fixture *f = *state;
    const struct t3_l2_entry missed = get(f, f->l2, 1); /* now it reads version 1 from L3, slowly */
    (void)put(f, f->other, (struct test_change){1, "v1", 1, UNSEEN, true});
    (void)put(f, f->other, (struct test_change){1, "v2", 2, UNSEEN, false});
    assert_int_equal(fill(f, (struct test_change){1, "v1", 1, missed.revision, false}, 0),
                     TEARS_OK);
    assert_true(test_wait_for(&f->news.lost, 1));
    assert_note(f, 1, "v2", 2);
    assert_int_equal(put(f, f->l2, (struct test_change){1, "v1", 1, missed.revision, false}).status,
                     TEARS_CONFLICT);
    assert_note(f, 1, "v2", 2);
}

/* The marker is older than the delete; what a reader saw under it must not come back over it. */
static void trap_02_a_fill_over_a_marker_does_not_outlive_a_later_delete(void **state)
{
    struct fixture *f = *state;
    (void)put(f, f->other, (struct test_change){1, NULL, 4, UNSEEN, true});
    const struct t3_l2_entry missed = get(f, f->l2, 1); /* and version 4 from L3, inserted anew */
    assert_int_equal(missed.state, T3_L2_TOMBSTONE);
    assert_int_equal(put(f, f->other, (struct test_change){1, NULL, 4, UNSEEN, true}).status,
                     TEARS_OK);
    assert_int_equal(fill(f, (struct test_change){1, "v4", 4, missed.revision, false}, 0),
                     TEARS_OK);
    assert_true(test_wait_for(&f->news.lost, 1));
    assert_int_equal(get(f, f->other, 1).state, T3_L2_TOMBSTONE);
}

/* A marker without a version stays for a put that has not seen it, but not for readers that have. */
static void trap_02_a_put_below_an_unknown_marker_stops_older_fills(void **state)
{
    static const char *const marker[] = {"KV-Operation", "DEL", NULL};
    struct fixture *f = *state;
    const uint64_t revision = raw_put(f, 1, TEARS_STR(""), marker);
    assert_int_equal(get(f, f->l2, 1).version, 0); /* and version 2 from L3 */
    assert_int_equal(put(f, f->other, (struct test_change){1, "v3", 3, UNSEEN, false}).status,
                     TEARS_CONFLICT);
    assert_int_equal(fill(f, (struct test_change){1, "v2", 2, revision, false}, 0), TEARS_OK);
    assert_true(test_wait_for(&f->news.lost, 1));
    assert_int_equal(get(f, f->other, 1).state, T3_L2_TOMBSTONE);
}

/* -- trap 3: markers that are forgotten ------------------------------------------------------ */

static void trap_03_a_fill_that_outlives_the_delete_marker(void **state)
{
    struct fixture *f = new_fixture(NULL);
    char config[512];
    snprintf(config, sizeof config,
             "{\"name\":\"KV_%s\",\"subjects\":[\"$KV.%s.>\"],\"max_msgs_per_subject\":1,"
             "\"storage\":\"memory\",\"num_replicas\":1,\"allow_rollup_hdrs\":true,"
             "\"allow_direct\":true,\"max_age\":1000000000,\"discard\":\"new\","
             "\"duplicate_window\":1000000000}",
             f->bucket, f->bucket);
    ask_raw(f, "CREATE", config);
    f->l2 = test_l2_open(f->url, f->name, "one", &f->news);
    f->other = test_l2_open(f->url, f->name, "two", NULL);
    *state = f;
    const uint64_t began_ms = t3_now_coarse_ms();
    assert_int_equal(get(f, f->l2, 1).state, T3_L2_ABSENT); /* and the row from L3, slowly */
    (void)put(f, f->other, (struct test_change){1, NULL, 1, UNSEEN, true});
    sleep_ms(1300); /* the marker is gone */
    assert_int_equal(get(f, f->other, 1).state, T3_L2_ABSENT);
    struct tears_value value;
    const struct t3_key key = test_note_key(1, &value);
    assert_int_equal(t3_l2_fill(f->l2, f->schema, f, &key,
                                test_note(f->schema, &f->arena, 1, "deleted", 1), 1, 0, began_ms),
                     TEARS_LIMIT);
    sleep_ms(100);
    assert_int_equal(get(f, f->other, 1).state, T3_L2_ABSENT);
    assert_int_equal(fill(f, (struct test_change){2, "fresh", 1, 0, false}, 0), TEARS_OK);
    assert_int_equal(fill(f, (struct test_change){3, "late", 1, 0, false}, 499 + 10), TEARS_LIMIT);
    assert_true(test_wait_for(&f->news.filled, 1));
}

/* -- trap 5: a writer that dies between its commit and its put -------------------------------- */

static void trap_05_a_dead_writers_announcement_keeps_old_rows_out(void **state)
{
    struct fixture *f = *state;
    uint64_t seen = put(f, f->other, (struct test_change){1, "v1", 1, UNSEEN, true}).revision;
    assert_int_equal(announce(f, f->other, 1, &seen), TEARS_OK);
    const struct t3_l2_entry entry = get(f, f->l2, 1);
    assert_int_equal(entry.state, T3_L2_TOMBSTONE);
    assert_int_equal(entry.revision, seen);
    assert_int_equal(entry.lease, T3_L2_WRITE_LEASE);
    assert_true(entry.lease_left_ms > LEASE_MS / 2);
    uint64_t revision;
    assert_int_equal(fill(f, (struct test_change){1, "v1", 1, seen, false}, 0), TEARS_LIMIT);
    assert_int_equal(lease(f, f->l2, 1, seen, &revision), TEARS_CONFLICT);
    t3_clock_shift_ms(LEASE_MS / 2);
    assert_int_equal(get(f, f->l2, 1).lease, T3_L2_WRITE_LEASE); /* counted from the first sight */
    t3_clock_shift_ms(LEASE_MS);
    assert_int_equal(get(f, f->l2, 1).lease, T3_L2_NO_LEASE);
    assert_int_equal(fill(f, (struct test_change){1, "v2", 2, seen, false}, 0), TEARS_OK);
    assert_true(test_wait_for(&f->news.filled, 1));
    assert_note(f, 1, "v2", 2);
}

/* A second writer's put must not end the protection of the first one's write. */
static void trap_05_another_writers_row_does_not_replace_an_announcement(void **state)
{
    struct fixture *f = *state;
    uint64_t seen = put(f, f->other, (struct test_change){1, "v1", 1, UNSEEN, true}).revision;
    assert_int_equal(announce(f, f->other, 1, &seen),
                     TEARS_OK); /* commits version 3 later, and dies */
    assert_int_equal(put(f, f->l2, (struct test_change){1, "v2", 2, UNSEEN, false}).status,
                     TEARS_CONFLICT);
    struct t3_l2_entry entry = get(f, f->l2, 1);
    assert_int_equal(entry.state, T3_L2_TOMBSTONE);
    assert_int_equal(entry.lease, T3_L2_WRITE_LEASE);
    assert_true(entry.revision > seen);
    /* if it does not die, it goes by versions */
    assert_int_equal(put(f, f->other, (struct test_change){1, "v3", 3, seen, false}).status,
                     TEARS_CONFLICT);
    assert_int_equal(get(f, f->l2, 1).lease, T3_L2_WRITE_LEASE);
    t3_clock_shift_ms(2 * LEASE_MS);
    entry = get(f, f->l2, 1);
    assert_int_equal(entry.lease, T3_L2_NO_LEASE);
    assert_int_equal(put(f, f->l2, (struct test_change){1, "v4", 4, UNSEEN, false}).status,
                     TEARS_CONFLICT);
    assert_int_equal(fill(f, (struct test_change){1, "v4", 4, get(f, f->l2, 1).revision, false}, 0),
                     TEARS_OK);
    assert_true(test_wait_for(&f->news.filled, 1));
    assert_note(f, 1, "v4", 4);
}

/* The second one announces too, over the first one's announcement. */
static void trap_05_an_announcement_over_another_takes_over_its_time(void **state)
{
    struct fixture *f = *state;
    uint64_t first = put(f, f->other, (struct test_change){1, "v1", 1, UNSEEN, true}).revision;
    uint64_t second = first;
    assert_int_equal(announce(f, f->other, 1, &first), TEARS_OK);
    assert_int_equal(announce(f, f->l2, 1, &second), TEARS_OK);
    assert_true(second > first);
    assert_int_equal(put(f, f->l2, (struct test_change){1, "v2", 2, second, false}).status,
                     TEARS_CONFLICT);
    assert_int_equal(get(f, f->l2, 1).lease, T3_L2_WRITE_LEASE);
}

/* Without versions, too, the second writer leaves the announcement in force. */
static void trap_05_without_versions_an_announcement_stays_in_force(void **state)
{
    struct fixture *f = *state;
    tears_schema_free(f->schema);
    f->schema = test_notes_schema(false);
    uint64_t seen = put(f, f->other, (struct test_change){1, "a", 0, 0, false}).revision;
    const uint64_t old = seen;
    assert_int_equal(announce(f, f->other, 1, &seen), TEARS_OK);
    assert_int_equal(put(f, f->l2, (struct test_change){1, "b", 0, old, false}).status,
                     TEARS_CONFLICT);
    assert_int_equal(get(f, f->l2, 1).lease, T3_L2_WRITE_LEASE);
}

/* What is not known to be right is marked, by a repair say; that says nothing about the other write. */
static void trap_05_a_mere_marker_does_not_end_an_announcement(void **state)
{
    struct fixture *f = *state;
    struct tears_value value;
    const struct t3_key key = test_note_key(1, &value);
    uint64_t seen = UNSEEN;
    assert_int_equal(announce(f, f->other, 1, &seen), TEARS_OK);
    struct t3_l2_put mark = {.key = &key, .seen = UNSEEN, .authoritative = true};
    assert_int_equal(t3_l2_put(f->l2, f->schema, &mark, 1, &f->arena, soon(), NULL), TEARS_OK);
    assert_int_equal(get(f, f->l2, 1).lease, T3_L2_WRITE_LEASE);
    assert_true(get(f, f->l2, 1).revision > seen);
}

/* -- announcements ---------------------------------------------------------------------------- */

static void test_an_announced_write_goes_over_its_announcement(void **state)
{
    struct fixture *f = *state;
    uint64_t seen = UNSEEN;
    assert_int_equal(announce(f, f->l2, 1, &seen), TEARS_OK); /* nothing is there */
    assert_int_equal(get(f, f->other, 1).lease, T3_L2_WRITE_LEASE);
    assert_true(get(f, f->other, 1).hides_nothing);
    const struct t3_l2_put inserted = put(f, f->l2, (struct test_change){1, "v1", 1, seen, true});
    assert_int_equal(inserted.status, TEARS_OK);
    assert_note(f, 1, "v1", 1);
    seen = inserted.revision;
    assert_int_equal(announce(f, f->l2, 1, &seen), TEARS_OK);
    assert_int_equal(put(f, f->l2, (struct test_change){1, "v2", 2, seen, false}).status, TEARS_OK);
    assert_note(f, 1, "v2", 2);
    seen = UNSEEN;
    assert_int_equal(announce(f, f->l2, 1, &seen), TEARS_OK);
    assert_int_equal(get(f, f->other, 1).version, 2); /* the highest known stays known */
    assert_int_equal(put(f, f->l2, (struct test_change){1, NULL, 2, seen, true}).status, TEARS_OK);
    assert_int_equal(get(f, f->other, 1).state, T3_L2_TOMBSTONE);
    assert_int_equal(get(f, f->other, 1).lease, T3_L2_NO_LEASE);
}

/* A long transaction announces again; that is not another writer. */
static void test_an_announcement_can_be_made_longer(void **state)
{
    struct fixture *f = *state;
    uint64_t seen = UNSEEN;
    assert_int_equal(announce(f, f->l2, 1, &seen), TEARS_OK);
    const uint64_t first = seen;
    assert_int_equal(announce(f, f->l2, 1, &seen), TEARS_OK);
    assert_true(seen > first);
    assert_int_equal(put(f, f->l2, (struct test_change){1, "v1", 1, seen, true}).status, TEARS_OK);
    assert_note(f, 1, "v1", 1);
}

/* A write that failed takes back its own announcement, and not the other one's under it. */
static void test_taking_back_leaves_the_other_announcement(void **state)
{
    struct fixture *f = *state;
    uint64_t first = put(f, f->other, (struct test_change){1, "v1", 1, UNSEEN, true}).revision;
    uint64_t second = first;
    assert_int_equal(announce(f, f->other, 1, &first), TEARS_OK);
    assert_int_equal(announce(f, f->l2, 1, &second), TEARS_OK);
    assert_int_equal(fill(f, (struct test_change){1, NULL, 0, second, false}, 0), TEARS_OK);
    assert_non_null(test_wait_for_event(&f->news, second + 1));
    assert_int_equal(get(f, f->other, 1).lease, T3_L2_WRITE_LEASE);
    uint64_t alone = UNSEEN;
    assert_int_equal(announce(f, f->l2, 2, &alone), TEARS_OK);
    assert_int_equal(fill(f, (struct test_change){2, NULL, 0, alone, false}, 0), TEARS_OK);
    assert_non_null(test_wait_for_event(&f->news, alone + 1));
    assert_int_equal(get(f, f->other, 2).lease, T3_L2_NO_LEASE);
}

static void test_a_run_out_announcement_does_not_stop_newer_rows(void **state)
{
    struct fixture *f = *state;
    uint64_t seen = UNSEEN;
    (void)put(f, f->other, (struct test_change){1, "v5", 5, UNSEEN, true});
    assert_int_equal(announce(f, f->other, 1, &seen), TEARS_OK);
    (void)get(f, f->l2, 1);
    t3_clock_shift_ms(2 * LEASE_MS);
    assert_int_equal(put(f, f->l2, (struct test_change){1, "v4", 4, UNSEEN, false}).status,
                     TEARS_CONFLICT);
    assert_int_equal(put(f, f->l2, (struct test_change){1, "v6", 6, UNSEEN, false}).status,
                     TEARS_OK);
    assert_note(f, 1, "v6", 6);
    uint64_t nothing = UNSEEN;
    assert_int_equal(announce(f, f->other, 2, &nothing), TEARS_OK);
    (void)get(f, f->l2, 2);
    t3_clock_shift_ms(2 * LEASE_MS);
    assert_int_equal(put(f, f->l2, (struct test_change){2, "v1", 1, UNSEEN, false}).status,
                     TEARS_OK);
    assert_note(f, 2, "v1", 1);
}

/* A slow announcer, back after its time, must not go over what a deletion left behind. */
static void test_a_delete_takes_a_run_out_announcement_from_its_writer(void **state)
{
    struct fixture *f = *state;
    uint64_t seen = put(f, f->other, (struct test_change){1, "v1", 1, UNSEEN, true}).revision;
    assert_int_equal(announce(f, f->other, 1, &seen), TEARS_OK);
    (void)get(f, f->l2, 1);
    t3_clock_shift_ms(2 * LEASE_MS);
    assert_int_equal(put(f, f->l2, (struct test_change){1, NULL, 2, UNSEEN, true}).status,
                     TEARS_OK);
    (void)put(f, f->other,
              (struct test_change){1, "v2", 2, seen, false}); /* it did commit in time */
    assert_int_equal(get(f, f->l2, 1).state, T3_L2_TOMBSTONE);
}

enum { MANY = 500 };

/* Announces MANY keys from `first` on; seen: unknown, right, and wrong in turn.  Gives the time. */
static uint64_t announce_many(struct fixture *f, int64_t first, struct t3_key *keys, uint64_t *seen)
{
    struct tears_value *values = t3_arena_array(&f->arena, MANY, sizeof *values);
    for (int64_t i = 0; i < MANY; i++) {
        keys[i] = test_note_key(first + i, &values[i]);
        seen[i] = i % 3 == 0 ? UNSEEN : i % 3 == 1 ? 0 : 777777;
    }
    const uint64_t start_us = t3_now_us();
    assert_int_equal(
        t3_l2_announce(f->l2, f->schema, keys, MANY, LEASE_MS, &f->arena, soon(), seen, NULL),
        TEARS_OK);
    return t3_now_us() - start_us;
}

static void test_five_hundred_keys_are_announced_together(void **state)
{
    enum { ALONE_COUNT = 50, TRIES = 3 };
    struct fixture *f = *state;
    struct t3_key *keys = t3_arena_array(&f->arena, MANY, sizeof *keys);
    uint64_t *seen = t3_arena_array(&f->arena, MANY, sizeof *seen);
    struct t3_l2_entry *entries = t3_arena_array(&f->arena, MANY, sizeof *entries);
    uint64_t best_us = UINT64_MAX;
    for (int64_t i = 0; i < TRIES; i++) {
        const uint64_t us = announce_many(f, i * MANY, keys, seen);
        best_us = us < best_us ? us : best_us;
    }
    const uint64_t start_us = t3_now_us();
    for (int64_t i = 0; i < ALONE_COUNT; i++) {
        uint64_t one = UNSEEN;
        assert_int_equal(announce(f, f->l2, TRIES * MANY + i, &one), TEARS_OK);
    }
    const uint64_t alone_us = (t3_now_us() - start_us) / ALONE_COUNT;
    print_message("%d keys: %d us; one: %d us\n", MANY, (int)best_us, (int)alone_us);
    assert_true(best_us < MANY * alone_us / 2);
    assert_int_equal(t3_l2_get(f->other, f->schema, keys, MANY, &f->arena, soon(), entries, NULL),
                     TEARS_OK);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(entries[i].lease, T3_L2_WRITE_LEASE);
        assert_int_equal(entries[i].revision, seen[i]);
    }
    t3_clock_shift_ms(2 * LEASE_MS);
    assert_int_equal(t3_l2_get(f->other, f->schema, keys, MANY, &f->arena, soon(), entries, NULL),
                     TEARS_OK);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(entries[i].lease, T3_L2_NO_LEASE);
}

static void test_announcing_fails_at_once_when_the_server_is_away(void **state)
{
    struct fixture *f = *state;
    uint64_t seen = UNSEEN;
    uint64_t best_us = UINT64_MAX;
    test_nats_kill(f->server);
    for (int i = 0; i < 1000 && t3_l2_is_connected(f->l2); i++)
        sleep_ms(1);
    for (int i = 0; i < 20; i++) {
        const uint64_t start_us = t3_now_us();
        assert_int_equal(announce(f, f->l2, 1, &seen), TEARS_UNAVAILABLE);
        const uint64_t us = t3_now_us() - start_us;
        best_us = us < best_us ? us : best_us;
    }
    assert_true(best_us < 1000);
    uint64_t revision;
    assert_int_equal(lease(f, f->l2, 1, 0, &revision), TEARS_UNAVAILABLE);
}

/* -- fill leases ------------------------------------------------------------------------------ */

static void test_one_of_two_processes_wins_the_lease(void **state)
{
    struct fixture *f = *state;
    uint64_t revision = 0;
    uint64_t none = 0;
    assert_int_equal(lease(f, f->l2, 1, 0, &revision), TEARS_OK);
    assert_int_equal(lease(f, f->other, 1, 0, &none), TEARS_CONFLICT);
    const struct t3_l2_entry entry = get(f, f->other, 1);
    assert_int_equal(entry.state, T3_L2_TOMBSTONE);
    assert_int_equal(entry.lease, T3_L2_FILL_LEASE);
    assert_int_equal(entry.revision, revision);
    assert_int_equal(fill(f, (struct test_change){1, "filled", 1, revision, false}, 0), TEARS_OK);
    assert_true(test_wait_for(&f->news.filled, 1));
    assert_note(f, 1, "filled", 1);
}

static void test_a_lease_that_ran_out_can_be_taken(void **state)
{
    struct fixture *f = *state;
    uint64_t revision = 0;
    uint64_t next = 0;
    assert_int_equal(lease(f, f->l2, 1, 0, &revision), TEARS_OK);
    assert_int_equal(get(f, f->other, 1).lease, T3_L2_FILL_LEASE);
    t3_clock_shift_ms(LEASE_MS + 100);
    assert_int_equal(get(f, f->other, 1).lease, T3_L2_NO_LEASE);
    assert_int_equal(lease(f, f->other, 1, revision, &next), TEARS_OK);
    assert_int_equal(fill(f, (struct test_change){1, "late", 1, revision, false}, 0), TEARS_OK);
    assert_true(test_wait_for(&f->news.lost, 1));
    assert_int_equal(get(f, f->l2, 1).lease, T3_L2_FILL_LEASE);
}

static void test_a_lease_can_be_given_back(void **state)
{
    struct fixture *f = *state;
    uint64_t revision = 0;
    assert_int_equal(lease(f, f->l2, 1, 0, &revision), TEARS_OK);
    assert_int_equal(fill(f, (struct test_change){1, NULL, 0, revision, false}, 0), TEARS_OK);
    const struct test_event *event = test_wait_for_event(&f->news, revision + 1);
    assert_non_null(event);
    assert_int_equal(event->kind, T3_L2_EVENT_FILL_LEASE); /* no change to anyone */
    const struct t3_l2_entry entry = get(f, f->other, 1);
    assert_int_equal(entry.state, T3_L2_TOMBSTONE);
    assert_int_equal(entry.lease, T3_L2_NO_LEASE);
    assert_int_equal(put(f, f->other, (struct test_change){1, "v1", 1, UNSEEN, true}).status,
                     TEARS_OK);
    assert_note(f, 1, "v1", 1);
}

/* -- trap 9: another bucket ------------------------------------------------------------------- */

/* The bucket is wiped under a process that has not noticed, and the key has the same revision there as before. */
static void trap_09_a_wiped_bucket(void **state)
{
    struct fixture *f = new_fixture(NULL);
    f->l2 = test_l2_open_probing(f->url, f->name, "one", &f->news, 60000);
    f->other = test_l2_open(f->url, f->name, "two", NULL);
    *state = f;
    for (int64_t id = 2; id < 12; id++)
        (void)put(f, f->l2, (struct test_change){id, "padding", 1, 0, true});
    const struct t3_l2_put remembered = put(f, f->l2, (struct test_change){1, "v1", 1, 0, true});
    assert_int_equal(remembered.status, TEARS_OK);
    t3_l2_free(f->other);
    ask_raw(f, "DELETE", "");
    f->other = test_l2_open(f->url, f->name, "two", NULL);
    uint64_t last = put(f, f->other, (struct test_change){2, "padding", 1, UNSEEN, false}).revision;
    for (int64_t version = 2; last + 1 < remembered.revision; version++)
        last = put(f, f->other, (struct test_change){2, "padding", version, last, false}).revision;
    assert_int_equal(put(f, f->other, (struct test_change){1, "v9", 9, 0, true}).revision,
                     remembered.revision);
    const struct t3_l2_put stale =
        put(f, f->l2, (struct test_change){1, "v2", 2, remembered.revision, false});
    assert_int_equal(stale.status, TEARS_OK); /* the server sees nothing wrong */
    const struct t3_l2_entry entry = get(f, f->other, 1);
    assert_int_equal(entry.state, T3_L2_DAMAGED);
    assert_int_equal(entry.revision, stale.revision);
    assert_null(entry.row);
    assert_int_equal(put(f, f->other, (struct test_change){1, "v10", 10, UNSEEN, false}).status,
                     TEARS_OK);
    assert_note(f, 1, "v10", 10);
}

struct putter {
    struct fixture *f;
    struct t3_l2_put put;
    uint64_t seen;
};

static void *put_in_a_thread(void *closure)
{
    struct putter *putter = closure;
    putter->put =
        put(putter->f, putter->f->l2, (struct test_change){1, "v2", 2, putter->seen, false});
    return NULL;
}

/* The news of another bucket come while a put over a remembered revision is under way. */
static void trap_09_the_bucket_changes_during_a_put(void **state)
{
    struct fixture *f = *state;
    struct putter putter = {.f = f};
    pthread_t thread;
    putter.seen = put(f, f->l2, (struct test_change){1, "v1", 1, 0, true}).revision;
    test_nats_pause(f->server);
    assert_int_equal(pthread_create(&thread, NULL, put_in_a_thread, &putter), 0);
    sleep_ms(100);
    atomic_fetch_add(&f->l2->feed.generation, 1); /* as on_lost() does */
    test_nats_resume(f->server);
    pthread_join(thread, NULL);
    assert_int_equal(putter.put.status, TEARS_CONFLICT);
    assert_int_equal(get(f, f->other, 1).state, T3_L2_TOMBSTONE);
}

static void test_a_wiped_bucket_is_noticed(void **state)
{
    struct fixture *f = *state;
    assert_true(test_wait_for(&f->news.losses, 1)); /* the first sight of any bucket is one */
    assert_true(test_wait_for(&f->news.current, 1));
    test_nats_kill(f->server);
    test_nats_again(f->server);
    for (int i = 0; i < 10 && atomic_load(&f->news.losses) < 2; i++)
        (void)test_wait_for(&f->news.losses, 2);
    assert_true(atomic_load(&f->news.losses) >= 2);
    assert_true(atomic_load(&f->news.doubts) >= 1);
    for (int i = 0; i < 100 && !(t3_l2_is_connected(f->l2) && t3_l2_is_connected(f->other)); i++)
        sleep_ms(100);
    assert_int_equal(put(f, f->l2, (struct test_change){1, "after", 1, UNSEEN, false}).status,
                     TEARS_OK);
    for (int i = 0; i < 100 && get(f, f->other, 1).state != T3_L2_ROW; i++)
        sleep_ms(100); /* until it has noticed too it believes nothing */
    assert_note(f, 1, "after", 1);
    struct t3_l2_stats stats;
    t3_l2_stats(f->l2, &stats);
    assert_true(stats.feed_losses >= 2);
}

/* -- trap 30: hostile values ------------------------------------------------------------------ */

static void trap_30_hostile_values(void **state)
{
    enum { HUGE_BYTES = 1000000 };
    static const char good[] = "{\"id\": 1, \"body\": \"hostile\", \"row_version\": 1}";
    static const char *const foreign[] = {"Tears-Epoch", "0123456789abcdef", NULL};
    static const char *const odd[] = {"Tears-Version",
                                      "99999999999999999999",
                                      "Tears-Lease",
                                      "-1",
                                      "Tears-Fill",
                                      "perhaps",
                                      NULL};
    struct fixture *f = *state;
    char *bytes = malloc(HUGE_BYTES);
    uint32_t random = 12345;
    for (size_t round = 0; round < 200; round++) { /* noise */
        const size_t len = round * 7;
        for (size_t i = 0; i < len; i++) {
            random = random * 1664525 + 1013904223;
            bytes[i] = (char)(random >> 24);
        }
        (void)raw_put(f, 1, tears_str_n(bytes, len), NULL);
        assert_int_equal(get(f, f->l2, 1).state, T3_L2_DAMAGED);
    }
    for (size_t len = 0; len < sizeof good - 2; len++) { /* cut short */
        (void)raw_put(f, 1, tears_str_n(good, len), NULL);
        assert_int_equal(get(f, f->l2, 1).state, T3_L2_DAMAGED);
    }
    (void)raw_put(f, 2, tears_str_n(good, sizeof good - 1), NULL); /* another row's */
    assert_int_equal(get(f, f->l2, 2).state, T3_L2_DAMAGED);
    memset(bytes, '{', HUGE_BYTES);
    (void)raw_put(f, 1, tears_str_n(bytes, HUGE_BYTES), NULL);
    assert_int_equal(get(f, f->l2, 1).state, T3_L2_DAMAGED);
    (void)raw_put(f, 1, tears_str_n(good, sizeof good - 1), foreign); /* of another bucket */
    assert_int_equal(get(f, f->l2, 1).state, T3_L2_DAMAGED);
    (void)raw_put(f, 1, tears_str_n(good, sizeof good - 1), odd);
    assert_int_equal(get(f, f->l2, 1).state, T3_L2_ROW); /* headers that say nothing are none */
    assert_int_equal(get(f, f->l2, 1).version, 1);
    free(bytes);
    assert_int_equal(put(f, f->l2, (struct test_change){2, "healed", 1, UNSEEN, false}).status,
                     TEARS_OK);
    assert_note(f, 2, "healed", 1);
}

/* Nobody can close a key for ever with an announcement of centuries. */
static void trap_30_a_hostile_announcement_ends(void **state)
{
    static const char *const marker[] = {"KV-Operation", "DEL", "Tears-Lease",
                                         "9000000000000000000", NULL};
    struct fixture *f = *state;
    (void)raw_put(f, 1, TEARS_STR(""), marker);
    assert_int_equal(get(f, f->l2, 1).lease, T3_L2_WRITE_LEASE);
    t3_clock_shift_ms(L2_LEASE_MS_MAX + 1000);
    assert_int_equal(get(f, f->l2, 1).lease, T3_L2_NO_LEASE);
}

/* -- swaps ------------------------------------------------------------------------------------ */

static tears_status swap(struct fixture *f, struct t3_l2 *l2, struct test_change change,
                         struct t3_l2_swap *swap_out)
{
    struct tears_value value;
    const struct t3_key key = test_note_key(change.id, &value);
    *swap_out = (struct t3_l2_swap){
        .key = &key,
        .row = change.body != NULL
                   ? test_note(f->schema, &f->arena, change.id, change.body, change.version)
                   : NULL,
        .has_version = true,
        .version = change.version,
        .seen = change.seen,
    };
    const tears_status status =
        t3_l2_swap(l2, f->schema, swap_out, &f->arena, t3_deadline_in_ms(8000), NULL);
    swap_out->key = NULL;
    return status;
}

static void test_a_swap_goes_over_exactly_what_was_seen(void **state)
{
    struct fixture *f = *state;
    struct t3_l2_swap done;
    assert_int_equal(swap(f, f->l2, (struct test_change){1, "a", 1, 0, false}, &done), TEARS_OK);
    assert_false(done.had_happened);
    const uint64_t first = done.revision;
    assert_note(f, 1, "a", 1);
    assert_int_equal(swap(f, f->other, (struct test_change){1, "b", 1, 0, false}, &done),
                     TEARS_CONFLICT);
    assert_int_equal(swap(f, f->other, (struct test_change){1, "b", 2, first, false}, &done),
                     TEARS_OK);
    assert_int_equal(swap(f, f->l2, (struct test_change){1, NULL, 2, first, false}, &done),
                     TEARS_CONFLICT);
    assert_note(f, 1, "b", 2);
    const uint64_t second = get(f, f->l2, 1).revision;
    assert_int_equal(swap(f, f->l2, (struct test_change){1, NULL, 2, second, false}, &done),
                     TEARS_OK);
    assert_int_equal(get(f, f->other, 1).state, T3_L2_TOMBSTONE);
}

/* The same bytes over the same revision, by the same client: only one of them was stored. */
static void test_the_same_swap_twice_happens_once(void **state)
{
    struct fixture *f = *state;
    struct t3_l2_swap done;
    assert_int_equal(swap(f, f->l2, (struct test_change){1, "same", 1, 0, false}, &done), TEARS_OK);
    assert_int_equal(swap(f, f->l2, (struct test_change){1, "same", 1, 0, false}, &done),
                     TEARS_CONFLICT);
}

struct swapper {
    struct fixture *f;
    struct t3_l2 *l2;
    struct test_change change;
    struct t3_l2_swap done;
    struct t3_row *row;
    struct t3_arena arena;
    tears_status status;
};

static void *swap_in_a_thread(void *closure)
{
    struct swapper *swapper = closure;
    struct tears_value value;
    const struct t3_key key = test_note_key(swapper->change.id, &value);
    swapper->done = (struct t3_l2_swap){
        .key = &key,
        .row = swapper->row,
        .has_version = true,
        .version = swapper->change.version,
        .seen = swapper->change.seen,
    };
    swapper->status = t3_l2_swap(swapper->l2, swapper->f->schema, &swapper->done, &swapper->arena,
                                 t3_deadline_in_ms(8000), NULL);
    return NULL;
}

static pthread_t start_swapper(struct swapper *swapper)
{
    pthread_t thread;
    swapper->row = test_note(swapper->f->schema, &swapper->f->arena, swapper->change.id,
                             swapper->change.body, swapper->change.version);
    assert_int_equal(pthread_create(&thread, NULL, swap_in_a_thread, swapper), 0);
    return thread;
}

/* W-22: the server stores the swap when it wakes up, and by then nobody waits for its answer. */
static void test_a_swap_with_a_lost_answer_is_recognised(void **state)
{
    struct fixture *f = *state;
    struct t3_l2_swap done;
    assert_int_equal(swap(f, f->l2, (struct test_change){1, "before", 1, 0, false}, &done),
                     TEARS_OK);
    struct swapper swapper = {.f = f, .l2 = f->l2, .change = {1, "after", 2, done.revision, false}};
    test_nats_pause(f->server);
    const pthread_t thread = start_swapper(&swapper);
    sleep_ms(800);
    test_nats_resume(f->server);
    pthread_join(thread, NULL);
    assert_int_equal(swapper.status, TEARS_OK);
    assert_true(swapper.done.had_happened);
    const struct t3_l2_entry entry = get(f, f->l2, 1);
    assert_int_equal(entry.revision, swapper.done.revision);
    assert_int_equal(entry.version, 2);
}

/* Two threads of a client, one swap, no answers: it counts for one of them. */
static void test_of_two_equal_swaps_with_lost_answers_one_counts(void **state)
{
    struct fixture *f = *state;
    struct t3_l2_swap done;
    assert_int_equal(swap(f, f->l2, (struct test_change){1, "before", 1, 0, false}, &done),
                     TEARS_OK);
    struct swapper swappers[2];
    pthread_t threads[2];
    test_nats_pause(f->server);
    for (int i = 0; i < 2; i++) {
        swappers[i] =
            (struct swapper){.f = f, .l2 = f->l2, .change = {1, "after", 2, done.revision, false}};
        threads[i] = start_swapper(&swappers[i]);
    }
    sleep_ms(1300); /* one is sent when the other one has given up */
    test_nats_resume(f->server);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    const int counted = (swappers[0].status == TEARS_OK) + (swappers[1].status == TEARS_OK);
    assert_int_equal(counted, 1);
}

/* -- news of the stream ----------------------------------------------------------------------- */

static const struct test_event *event_at(struct fixture *f, uint64_t revision)
{
    const struct test_event *event = test_wait_for_event(&f->news, revision);
    if (event == NULL)
        fail_msg("no event for revision %d", (int)revision);
    return event;
}

static void test_events_say_what_happened_and_who_did_it(void **state)
{
    static const char python[] = "{\"id\": 1, \"body\": \"peer\", \"row_version\": 3}";
    struct fixture *f = *state;
    const uint64_t theirs = put(f, f->other, (struct test_change){1, "a", 1, 0, true}).revision;
    const struct test_event *event = event_at(f, theirs);
    assert_int_equal(event->kind, T3_L2_EVENT_PUT);
    assert_string_equal(event->key, "notes.1");
    assert_string_equal(event->origin, "two");
    assert_string_equal(event->ids, "");
    assert_false(event->is_own);
    assert_true(event->has_version);
    assert_int_equal(event->version, 1);
    const uint64_t own = put(f, f->l2, (struct test_change){1, "b", 2, theirs, false}).revision;
    assert_true(event_at(f, own)->is_own);
    const uint64_t peer = raw_put(f, 1, tears_str_n(python, sizeof python - 1), NULL);
    event = event_at(f, peer);
    assert_int_equal(event->kind, T3_L2_EVENT_PUT);
    assert_false(event->has_version);
    assert_false(event->is_own);
    assert_string_equal(event->origin, "");
    uint64_t seen = peer;
    assert_int_equal(announce(f, f->other, 1, &seen), TEARS_OK);
    assert_int_equal(event_at(f, seen)->kind, T3_L2_EVENT_WRITE_LEASE);
    const uint64_t gone = put(f, f->other, (struct test_change){1, NULL, 3, seen, true}).revision;
    assert_int_equal(event_at(f, gone)->kind, T3_L2_EVENT_MARKER);
    uint64_t leased = 0;
    assert_int_equal(lease(f, f->other, 2, 0, &leased), TEARS_OK);
    assert_int_equal(event_at(f, leased)->kind, T3_L2_EVENT_FILL_LEASE);
    assert_int_equal(fill(f, (struct test_change){3, "filled", 1, 0, false}, 0), TEARS_OK);
    assert_true(test_wait_for(&f->news.filled, 1));
    event = event_at(f, atomic_load(&f->news.last_revision));
    assert_int_equal(event->kind, T3_L2_EVENT_FILL);
    assert_true(event->is_own);
}

/* The stream keeps one message for a key: who was away sees the last only, and must not take it for no change. */
static void test_what_goes_over_a_marker_is_no_mere_fill(void **state)
{
    struct fixture *f = *state;
    const uint64_t gone = put(f, f->other, (struct test_change){1, NULL, 3, UNSEEN, true}).revision;
    uint64_t leased = 0;
    assert_int_equal(lease(f, f->l2, 1, gone, &leased), TEARS_OK);
    assert_int_equal(event_at(f, leased)->kind, T3_L2_EVENT_MARKER);
    assert_int_equal(get(f, f->other, 1).lease, T3_L2_FILL_LEASE);
    assert_int_equal(fill(f, (struct test_change){1, "again", 4, leased, false}, 0), TEARS_OK);
    assert_true(test_wait_for(&f->news.filled, 1));
    assert_int_equal(event_at(f, atomic_load(&f->news.last_revision))->kind, T3_L2_EVENT_PUT);
    uint64_t fresh = 0;
    assert_int_equal(lease(f, f->l2, 2, 0, &fresh), TEARS_OK);
    assert_int_equal(fill(f, (struct test_change){2, "cold", 1, fresh, false}, 0), TEARS_OK);
    assert_true(test_wait_for(&f->news.filled, 2));
    assert_int_equal(event_at(f, atomic_load(&f->news.last_revision))->kind, T3_L2_EVENT_FILL);
}

static void test_an_event_of_a_hashed_key_brings_its_ids(void **state)
{
    static const struct tears_str key_columns[] = {{"name", 4}};
    const struct tears_column_def columns[] = {
        {.name = TEARS_STR("name"), .type = TEARS_TYPE_STRING},
    };
    struct fixture *f = *state;
    const struct tears_schema_def def = {.name = TEARS_STR("names"),
                                         .primary_key = key_columns,
                                         .primary_key_count = 1,
                                         .columns = columns,
                                         .column_count = 1};
    struct tears_schema *schema = NULL;
    assert_int_equal(tears_schema_new(&def, &schema, NULL), TEARS_OK);
    const struct tears_value value = tears_text(TEARS_STR("gr\xc3\xbc\xc3\x9f dich"));
    const struct t3_key key = {.hash = 1, .values = &value, .count = 1};
    struct t3_row *row = NULL;
    assert_int_equal(t3_row_new(&f->arena, &schema->layout, &value, &row), TEARS_OK);
    struct t3_l2_put one = {.key = &key, .row = row, .seen = 0};
    assert_int_equal(t3_l2_put(f->other, schema, &one, 1, &f->arena, soon(), NULL), TEARS_OK);
    assert_string_equal(event_at(f, one.revision)->ids, "[\"gr\xc3\xbc\xc3\x9f dich\"]");
    uint64_t seen = one.revision;
    assert_int_equal(
        t3_l2_announce(f->other, schema, &key, 1, LEASE_MS, &f->arena, soon(), &seen, NULL),
        TEARS_OK);
    assert_string_equal(event_at(f, seen)->ids, "[\"gr\xc3\xbc\xc3\x9f dich\"]");
    tears_schema_free(schema);
}

static void test_rows_read_right_after_open_are_covered(void **state)
{
    struct fixture *f = *state;
    struct t3_l2_feed feed = {0};
    assert_true(atomic_load(&f->news.current) >= 1);
    t3_l2_feed(f->l2, &feed);
    assert_true(feed.is_followed);
}

static void test_an_inspection_tells_the_writer(void **state)
{
    struct fixture *f = *state;
    struct tears_value value;
    const struct t3_key key = test_note_key(1, &value);
    struct t3_l2_entry entry;
    (void)put(f, f->other, (struct test_change){1, "a", 1, 0, true});
    assert_int_equal(t3_l2_inspect(f->l2, f->schema, &key, &f->arena, soon(), &entry, NULL),
                     TEARS_OK);
    assert_int_equal(entry.state, T3_L2_ROW);
    assert_int_equal(entry.origin.len, 3);
    assert_memory_equal(entry.origin.ptr, "two", 3);
}

/* -- trap 11 ---------------------------------------------------------------------------------- */

static const struct tears_finding *find(const struct t3_findings *findings, const char *subject)
{
    for (size_t i = 0; i < findings->count; i++)
        if (findings->items[i].subject.len == strlen(subject) &&
            memcmp(findings->items[i].subject.ptr, subject, strlen(subject)) == 0)
            return &findings->items[i];
    return NULL;
}

static void trap_11_the_doctor_warns_of_an_only_copy_in_memory(void **state)
{
    struct fixture *f = *state;
    struct t3_findings before = {.arena = &f->arena};
    struct t3_findings after = {.arena = &f->arena};
    assert_int_equal(t3_l2_doctor(f->l2, &before, soon()), TEARS_OK);
    assert_null(find(&before, "tables without L3"));
    assert_int_equal(find(&before, "feed")->severity, 0);
    t3_l2_set_only_copy(f->l2);
    assert_int_equal(t3_l2_doctor(f->l2, &after, soon()), TEARS_OK);
    assert_int_equal(find(&after, "tables without L3")->severity, 1);
}

/* -- memory ----------------------------------------------------------------------------------- */

static void test_every_failed_allocation_is_survived(void **state)
{
    struct fixture *f = *state;
    bool is_done = false;
    for (uint64_t nth = 1; !is_done && nth < 200; nth++) {
        struct tears_value value;
        const struct t3_key key = test_note_key(1, &value);
        struct t3_arena arena = {0};
        uint64_t seen = UNSEEN;
        uint64_t revision = 0;
        struct t3_l2_swap step = {.key = &key, .seen = UINT64_MAX - 1};
        t3_alloc_fail_at(nth);
        const tears_status announced =
            t3_l2_announce(f->l2, f->schema, &key, 1, LEASE_MS, &arena, soon(), &seen, NULL);
        const tears_status leased =
            t3_l2_lease(f->l2, f->schema, &key, seen, 0, LEASE_MS, soon(), &revision);
        const tears_status swapped = t3_l2_swap(f->l2, f->schema, &step, &arena, soon(), NULL);
        is_done = t3_alloc_count() < nth;
        t3_alloc_fail_at(0);
        assert_true(announced == TEARS_OK || announced == TEARS_NO_MEMORY);
        assert_true(leased == TEARS_CONFLICT || leased == TEARS_NO_MEMORY);
        assert_true(swapped == TEARS_CONFLICT || swapped == TEARS_NO_MEMORY);
        t3_arena_done(&arena);
    }
    assert_true(is_done);
}

#define TEST(function)  cmocka_unit_test_setup_teardown(function, set_up, tear_down)
#define ALONE(function) cmocka_unit_test_setup_teardown(function, set_up_alone, tear_down)
#define OWN(function)   cmocka_unit_test_setup_teardown(function, NULL, tear_down)

int main(void)
{
    test_nats_alone();
    const struct CMUnitTest tests[] = {
        TEST(trap_02_a_slow_reader_cannot_put_the_old_row_back),
        TEST(trap_02_a_fill_over_a_marker_does_not_outlive_a_later_delete),
        TEST(trap_02_a_put_below_an_unknown_marker_stops_older_fills),
        OWN(trap_03_a_fill_that_outlives_the_delete_marker),
        TEST(trap_05_a_dead_writers_announcement_keeps_old_rows_out),
        TEST(trap_05_another_writers_row_does_not_replace_an_announcement),
        TEST(trap_05_an_announcement_over_another_takes_over_its_time),
        TEST(trap_05_without_versions_an_announcement_stays_in_force),
        TEST(trap_05_a_mere_marker_does_not_end_an_announcement),
        TEST(test_an_announced_write_goes_over_its_announcement),
        TEST(test_an_announcement_can_be_made_longer),
        TEST(test_taking_back_leaves_the_other_announcement),
        TEST(test_a_run_out_announcement_does_not_stop_newer_rows),
        TEST(test_a_delete_takes_a_run_out_announcement_from_its_writer),
        TEST(test_five_hundred_keys_are_announced_together),
        ALONE(test_announcing_fails_at_once_when_the_server_is_away),
        TEST(test_one_of_two_processes_wins_the_lease),
        TEST(test_a_lease_that_ran_out_can_be_taken),
        TEST(test_a_lease_can_be_given_back),
        OWN(trap_09_a_wiped_bucket),
        ALONE(trap_09_the_bucket_changes_during_a_put),
        ALONE(test_a_wiped_bucket_is_noticed),
        TEST(trap_30_hostile_values),
        TEST(trap_30_a_hostile_announcement_ends),
        TEST(test_a_swap_goes_over_exactly_what_was_seen),
        TEST(test_the_same_swap_twice_happens_once),
        ALONE(test_a_swap_with_a_lost_answer_is_recognised),
        ALONE(test_of_two_equal_swaps_with_lost_answers_one_counts),
        TEST(test_events_say_what_happened_and_who_did_it),
        TEST(test_what_goes_over_a_marker_is_no_mere_fill),
        TEST(test_an_event_of_a_hashed_key_brings_its_ids),
        TEST(test_rows_read_right_after_open_are_covered),
        TEST(test_an_inspection_tells_the_writer),
        TEST(trap_11_the_doctor_warns_of_an_only_copy_in_memory),
        TEST(test_every_failed_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
