/*
 * test_l2.c -- the shared tier on a real nats-server: rows, races, damage, and servers that go
 * away.
 */
#include "base/alloc.h"
#include "support/l2_fixture.h"
#include "support/nats_server.h"

#include <nats/nats.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

/* -- fixture ------------------------------------------------------------------------------- */

struct fixture {
    char name[32];
    struct tears_schema *schema;
    struct t3_l2 *l2;    /* one process */
    struct t3_l2 *other; /* another */
    struct test_news news;
    struct t3_arena arena;
    natsConnection *raw; /* a peer without this library */
    char bucket[64];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    test_namespace(f->name);
    snprintf(f->bucket, sizeof f->bucket, "%s-collections", f->name);
    f->schema = test_notes_schema(true);
    f->l2 = test_l2_open(test_nats_shared_url(), f->name, "one", &f->news);
    f->other = test_l2_open(test_nats_shared_url(), f->name, "two", NULL);
    assert_int_equal(natsConnection_ConnectTo(&f->raw, test_nats_shared_url()), NATS_OK);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char subject[128];
    natsMsg *reply = NULL;
    snprintf(subject, sizeof subject, "$JS.API.STREAM.DELETE.KV_%s", f->bucket);
    natsConnection_Request(&reply, f->raw, subject, NULL, 0, 1000);
    natsMsg_Destroy(reply);
    t3_l2_free(f->l2);
    t3_l2_free(f->other);
    natsConnection_Destroy(f->raw);
    tears_schema_free(f->schema);
    t3_arena_done(&f->arena);
    free(f);
    return 0;
}

static struct t3_deadline soon(void)
{
    return t3_deadline_in_ms(5000);
}

static struct t3_l2_entry get(struct fixture *f, struct t3_l2 *l2, int64_t id)
{
    return test_note_get(l2, f->schema, &f->arena, id);
}

static struct t3_l2_put put_change(struct fixture *f, struct t3_l2 *l2, struct test_change change)
{
    return test_note_put(l2, f->schema, &f->arena, change);
}

#define UNSEEN UINT64_MAX

static void assert_note(struct fixture *f, int64_t id, const char *body, int64_t version)
{
    const struct t3_l2_entry entry = get(f, f->other, id);
    assert_int_equal(entry.state, T3_L2_ROW);
    assert_int_equal(entry.version, version);
    const struct tears_str text = test_note_body(f->schema, entry.row);
    assert_int_equal(text.len, strlen(body));
    assert_memory_equal(text.ptr, body, text.len);
}

/* Puts bytes under a note's key as a peer without this library would; gives the reply's text. */
static void raw_put(struct fixture *f, int64_t id, const void *data, size_t len)
{
    char subject[128];
    natsMsg *reply = NULL;
    snprintf(subject, sizeof subject, "$KV.%s.notes.%d", f->bucket, (int)id);
    assert_int_equal(natsConnection_Request(&reply, f->raw, subject, data, (int)len, 2000),
                     NATS_OK);
    natsMsg_Destroy(reply);
}

/* -- reading and writing ------------------------------------------------------------------- */

static void test_a_row_comes_back_as_it_went(void **state)
{
    struct fixture *f = *state;
    const struct t3_l2_put put = put_change(
        f, f->l2, (struct test_change){1, "gr\xc3\xbc\xc3\x9f \"dich\" \n", 3, UNSEEN, true});
    assert_int_equal(put.status, TEARS_OK);
    assert_true(put.revision > 0);
    assert_note(f, 1, "gr\xc3\xbc\xc3\x9f \"dich\" \n", 3);
    assert_int_equal(get(f, f->other, 1).revision, put.revision);
    assert_int_equal(get(f, f->l2, 2).state, T3_L2_ABSENT);
}

static void test_many_rows_in_one_call(void **state)
{
    enum { COUNT = 3000 };
    struct fixture *f = *state;
    struct tears_value *values = t3_arena_array(&f->arena, COUNT, sizeof *values);
    struct t3_key *keys = t3_arena_array(&f->arena, COUNT, sizeof *keys);
    struct t3_l2_put *puts = t3_arena_array(&f->arena, COUNT, sizeof *puts);
    struct t3_l2_entry *entries = t3_arena_array(&f->arena, COUNT, sizeof *entries);
    for (size_t i = 0; i < COUNT; i++) {
        char body[32];
        snprintf(body, sizeof body, "note %zu", i);
        keys[i] = test_note_key((int64_t)i, &values[i]);
        puts[i] = (struct t3_l2_put){.key = &keys[i],
                                     .row = test_note(f->schema, &f->arena, (int64_t)i, body, 1),
                                     .version = 1,
                                     .seen = 0,
                                     .versioned = true};
    }
    assert_int_equal(t3_l2_put(f->l2, f->schema, puts, COUNT - 500, &f->arena, soon(), NULL),
                     TEARS_OK);
    assert_int_equal(t3_l2_get(f->other, f->schema, keys, COUNT, &f->arena, soon(), entries, NULL),
                     TEARS_OK);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(entries[i].state, i < COUNT - 500 ? T3_L2_ROW : T3_L2_ABSENT);
        if (entries[i].state == T3_L2_ROW)
            assert_int_equal(t3_row_value(entries[i].row, &f->schema->layout, 0).as.integer, i);
    }
    struct t3_l2_stats stats;
    t3_l2_stats(f->l2, &stats);
    assert_int_equal(stats.puts, COUNT - 500);
}

static void test_a_delete_leaves_a_tombstone_with_its_version(void **state)
{
    struct fixture *f = *state;
    const struct t3_l2_put put =
        put_change(f, f->l2, (struct test_change){1, "x", 4, UNSEEN, true});
    const struct t3_l2_put gone =
        put_change(f, f->l2, (struct test_change){1, NULL, 4, put.revision, true});
    assert_int_equal(gone.status, TEARS_OK);
    const struct t3_l2_entry entry = get(f, f->other, 1);
    assert_int_equal(entry.state, T3_L2_TOMBSTONE);
    assert_int_equal(entry.version, 4);
    assert_int_equal(entry.revision, gone.revision);
}

/* -- W-01, W-05: order --------------------------------------------------------------------- */

static void test_an_older_version_never_replaces_a_newer_one(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(put_change(f, f->l2, (struct test_change){1, "v2", 2, UNSEEN, false}).status,
                     TEARS_OK);
    assert_int_equal(
        put_change(f, f->other, (struct test_change){1, "v1", 1, UNSEEN, false}).status,
        TEARS_CONFLICT);
    assert_int_equal(put_change(f, f->other, (struct test_change){1, "v1", 1, 0, false}).status,
                     TEARS_CONFLICT);
    assert_note(f, 1, "v2", 2);
    assert_int_equal(
        put_change(f, f->other, (struct test_change){1, "v3", 3, 999999, false}).status, TEARS_OK);
    assert_note(f, 1, "v3", 3);
    struct t3_l2_stats stats;
    t3_l2_stats(f->other, &stats);
    assert_int_equal(stats.put_conflicts, 2);
}

static void test_the_same_version_is_there_already(void **state)
{
    struct fixture *f = *state;
    const struct t3_l2_put first =
        put_change(f, f->other, (struct test_change){1, "same", 5, UNSEEN, false});
    const struct t3_l2_put second =
        put_change(f, f->l2, (struct test_change){1, "same", 5, 0, false});
    assert_int_equal(second.status, TEARS_OK);
    assert_int_equal(second.revision, first.revision);
}

static void test_a_stale_put_loses_against_a_delete(void **state)
{
    struct fixture *f = *state;
    const struct t3_l2_put put =
        put_change(f, f->l2, (struct test_change){1, "x", 4, UNSEEN, true});
    (void)put_change(f, f->l2, (struct test_change){1, NULL, 4, UNSEEN, true});
    assert_int_equal(put_change(f, f->other, (struct test_change){1, "x", 4, UNSEEN, false}).status,
                     TEARS_CONFLICT);
    assert_int_equal(
        put_change(f, f->other, (struct test_change){1, "x", 4, put.revision, false}).status,
        TEARS_CONFLICT);
    assert_int_equal(get(f, f->l2, 1).state, T3_L2_TOMBSTONE);
}

static void test_an_insert_goes_over_the_tombstone_it_has_seen(void **state)
{
    struct fixture *f = *state;
    (void)put_change(f, f->l2, (struct test_change){1, "x", 9, UNSEEN, true});
    const struct t3_l2_put gone =
        put_change(f, f->l2, (struct test_change){1, NULL, 9, UNSEEN, true});
    assert_int_equal(
        put_change(f, f->l2, (struct test_change){1, "again", 1, gone.revision, true}).status,
        TEARS_OK);
    assert_note(f, 1, "again", 1);
}

static void test_an_insert_with_a_later_version_goes_over_any_tombstone(void **state)
{
    struct fixture *f = *state;
    (void)put_change(f, f->other, (struct test_change){1, NULL, 9, UNSEEN, true});
    assert_int_equal(
        put_change(f, f->l2, (struct test_change){1, "again", 10, UNSEEN, true}).status, TEARS_OK);
    assert_note(f, 1, "again", 10);
}

/* What a failed delete left behind must not be served as the newly inserted row. */
static void test_an_insert_below_an_unseen_row_leaves_no_row(void **state)
{
    struct fixture *f = *state;
    (void)put_change(f, f->other, (struct test_change){1, "left behind", 6, UNSEEN, true});
    assert_int_equal(put_change(f, f->l2, (struct test_change){1, "new", 1, UNSEEN, true}).status,
                     TEARS_CONFLICT);
    assert_int_equal(get(f, f->l2, 1).state, T3_L2_TOMBSTONE);
}

/* A marker must not lower the version, or a late put of an older row would pass it. */
static void test_a_late_delete_does_not_open_the_way_for_older_rows(void **state)
{
    struct fixture *f = *state;
    (void)put_change(f, f->l2, (struct test_change){1, "v7", 7, UNSEEN, true});
    (void)put_change(f, f->other, (struct test_change){1, NULL, 5, 0, true});
    assert_int_equal(
        put_change(f, f->other, (struct test_change){1, "v6", 6, UNSEEN, false}).status,
        TEARS_CONFLICT);
    assert_int_equal(get(f, f->l2, 1).state, T3_L2_TOMBSTONE);
}

static void test_without_versions_a_lost_race_ends_in_a_marker(void **state)
{
    struct fixture *f = *state;
    tears_schema_free(f->schema);
    f->schema = test_notes_schema(false);
    const struct t3_l2_put first = put_change(f, f->l2, (struct test_change){1, "a", 0, 0, false});
    assert_int_equal(first.status, TEARS_OK);
    const struct t3_l2_put next =
        put_change(f, f->l2, (struct test_change){1, "b", 0, first.revision, false});
    assert_int_equal(next.status, TEARS_OK);
    assert_int_equal(get(f, f->other, 1).state, T3_L2_ROW);
    assert_int_equal(
        put_change(f, f->other, (struct test_change){1, "c", 0, first.revision, false}).status,
        TEARS_CONFLICT);
    assert_int_equal(get(f, f->l2, 1).state, T3_L2_TOMBSTONE);
    assert_int_equal(put_change(f, f->l2, (struct test_change){1, NULL, 0, UNSEEN, false}).status,
                     TEARS_OK);
}

struct racer {
    struct fixture *f;
    struct t3_l2 *l2;
    int64_t first;
};

/* Puts every second version of one key, in its own order. */
static void *race(void *closure)
{
    struct racer *racer = closure;
    struct t3_arena arena = {0};
    for (int64_t version = racer->first; version <= 200; version += 2) {
        struct tears_value value;
        const struct t3_key key = test_note_key(1, &value);
        const struct tears_value cells[] = {tears_int(1), tears_text(TEARS_STR("race")),
                                            tears_int(version)};
        struct t3_row *row = NULL;
        if (t3_row_new(&arena, &racer->f->schema->layout, cells, &row) != TEARS_OK)
            break;
        struct t3_l2_put put = {
            .key = &key, .row = row, .version = version, .seen = UNSEEN, .versioned = true};
        (void)t3_l2_put(racer->l2, racer->f->schema, &put, 1, &arena, soon(), NULL);
        t3_arena_reset(&arena);
    }
    t3_arena_done(&arena);
    return NULL;
}

static void test_racing_writers_leave_the_newest_or_a_marker(void **state)
{
    struct fixture *f = *state;
    struct racer racers[] = {{f, f->l2, 1}, {f, f->other, 2}};
    pthread_t threads[2];
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    int64_t last = 0;
    for (int i = 0; i < 200; i++) {
        const struct t3_l2_entry entry = get(f, f->l2, 1);
        if (entry.state == T3_L2_ROW) {
            assert_true(entry.version >= last);
            last = entry.version;
        }
    }
    for (size_t i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    const struct t3_l2_entry entry = get(f, f->l2, 1);
    assert_true(entry.state == T3_L2_TOMBSTONE || entry.version == 200);
}

/* -- W-10: damage -------------------------------------------------------------------------- */

static void test_damaged_values_are_entries_not_errors(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } values[] = {
#define BYTES(text) {text, sizeof(text) - 1}
        BYTES("not json"),
        BYTES("null"),
        BYTES(""),
        BYTES("[]"),
        BYTES("{}"),
        BYTES("{\"id\": 2, \"body\": \"another row\", \"row_version\": 1}"),
        BYTES("{\"id\": 1, \"row_version\": 1}"),
        BYTES("{\"id\": 1, \"body\": \"\xff\xfe\", \"row_version\": 1}"),
        BYTES("{\"id\": 1, \"body\": \"x\", \"row_version\": \"y\"}"),
        BYTES("{\"id\": 1, \"body\": \"x\", \"row_version\": 1"),
#undef BYTES
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < T3_COUNT(values); i++) {
        raw_put(f, 1, values[i].bytes, values[i].len);
        const struct t3_l2_entry entry = get(f, f->l2, 1);
        if (entry.state != T3_L2_DAMAGED)
            fail_msg("'%s' passes", values[i].bytes);
        assert_true(entry.revision > 0);
        assert_null(entry.row);
    }
    struct t3_l2_stats stats;
    t3_l2_stats(f->l2, &stats);
    assert_int_equal(stats.damaged, T3_COUNT(values));
    assert_int_equal(
        put_change(f, f->l2, (struct test_change){1, "healed", 1, UNSEEN, false}).status, TEARS_OK);
    assert_note(f, 1, "healed", 1);
}

static void test_a_huge_damaged_value_is_a_miss(void **state)
{
    enum { BYTES = 900000 };
    struct fixture *f = *state;
    char *deep = malloc(BYTES);
    memset(deep, '[', BYTES);
    raw_put(f, 1, deep, BYTES);
    free(deep);
    assert_int_equal(get(f, f->l2, 1).state, T3_L2_DAMAGED);
}

static void test_a_peers_row_has_the_version_of_its_column(void **state)
{
    static const char row[] = "{\"row_version\":8,\"id\":1,\"extra\":[1],\"body\":\"peer\"}";
    struct fixture *f = *state;
    (void)put_change(f, f->l2, (struct test_change){1, "ours", 3, UNSEEN, true});
    raw_put(f, 1, row, sizeof row - 1);
    assert_note(f, 1, "peer", 8);
    assert_int_equal(put_change(f, f->l2, (struct test_change){1, "late", 7, UNSEEN, false}).status,
                     TEARS_CONFLICT);
}

/* -- fills --------------------------------------------------------------------------------- */

static tears_status fill(struct fixture *f, int64_t id, const char *body, int64_t version,
                         uint64_t seen)
{
    struct tears_value value;
    const struct t3_key key = test_note_key(id, &value);
    const struct t3_row *row = test_note(f->schema, &f->arena, id, body, version);
    return t3_l2_fill(f->l2, f->schema, f, &key, row, version, seen, t3_now_coarse_ms());
}

static void test_a_fill_arrives_and_is_reported(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fill(f, 1, "filled", 2, 0), TEARS_OK);
    assert_true(test_wait_for(&f->news.filled, 1));
    assert_note(f, 1, "filled", 2);
    assert_int_equal(get(f, f->l2, 1).revision, atomic_load(&f->news.last_revision));
}

static void test_a_fill_that_comes_late_is_lost(void **state)
{
    struct fixture *f = *state;
    (void)put_change(f, f->other, (struct test_change){1, "written meanwhile", 3, UNSEEN, true});
    assert_int_equal(fill(f, 1, "read before", 2, 0), TEARS_OK);
    assert_true(test_wait_for(&f->news.lost, 1));
    assert_note(f, 1, "written meanwhile", 3);
    struct t3_l2_stats stats;
    t3_l2_stats(f->l2, &stats);
    assert_int_equal(stats.fills_lost, 1);
}

static void test_a_fill_over_the_marker_it_saw(void **state)
{
    struct fixture *f = *state;
    const struct t3_l2_put gone =
        put_change(f, f->other, (struct test_change){1, NULL, 3, UNSEEN, true});
    assert_int_equal(fill(f, 1, "again", 1, gone.revision), TEARS_OK);
    assert_true(test_wait_for(&f->news.filled, 1));
    assert_note(f, 1, "again", 1);
}

/* -- a network that says things twice ------------------------------------------------------- */

static void say_again(natsConnection *connection, natsSubscription *subscription, natsMsg *message,
                      void *owner)
{
    (void)subscription;
    (void)owner;
    natsConnection_PublishMsg(connection, message);
    natsMsg_Destroy(message);
}

/* A connection that repeats every answer, but not what it repeated itself. */
static natsConnection *connect_repeater(const char *url, natsSubscription **answers_out)
{
    natsOptions *options = NULL;
    natsConnection *repeater = NULL;
    assert_int_equal(natsOptions_Create(&options), NATS_OK);
    assert_int_equal(natsOptions_SetURL(options, url), NATS_OK);
    assert_int_equal(natsOptions_SetNoEcho(options, true), NATS_OK);
    assert_int_equal(natsConnection_Connect(&repeater, options), NATS_OK);
    assert_int_equal(natsConnection_Subscribe(answers_out, repeater, "_INBOX.>", say_again, NULL),
                     NATS_OK);
    assert_int_equal(natsConnection_Flush(repeater), NATS_OK);
    natsOptions_Destroy(options);
    return repeater;
}

/* Else the answer to one put would be the acknowledgement of the next, which may have been refused. */
static void test_an_answer_that_comes_twice_answers_nothing_else(void **state)
{
    struct fixture *f = *state;
    struct test_nats *server = test_nats_start(NULL);
    struct t3_l2 *l2 = test_l2_open(test_nats_url(server), "twice", "one", NULL);
    natsSubscription *answers = NULL;
    natsConnection *repeater = connect_repeater(test_nats_url(server), &answers);
    put_change(f, l2, (struct test_change){1, "one", 1, UNSEEN, true});
    put_change(f, l2, (struct test_change){2, "two", 1, UNSEEN, true});
    for (int64_t i = 0; i < 400; i++) {
        const struct t3_l2_entry entry = get(f, l2, 1 + i % 2);
        assert_int_equal(entry.state, T3_L2_ROW);
    }
    natsSubscription_Destroy(answers);
    natsConnection_Destroy(repeater);
    t3_l2_free(l2);
    test_nats_free(server);
}

/* -- notices ------------------------------------------------------------------------------- */

static void test_a_notice_arrives_byte_for_byte(void **state)
{
    struct fixture *f = *state;
    struct tears_value value;
    const struct t3_key key = test_note_key(42, &value);
    assert_int_equal(natsConnection_Flush(f->raw), NATS_OK);
    assert_int_equal(t3_l2_notify(f->other, f->schema, &key, 1, NULL), TEARS_OK);
    assert_true(test_wait_for(&f->news.notices, 1));
    assert_string_equal(f->news.last_notice,
                        "{\"table\":\"notes\",\"ids\":[\"42\"],\"origin\":\"two\"}");
}

static void test_dead_letters_are_few(void **state)
{
    struct fixture *f = *state;
    natsSubscription *letters = NULL;
    natsMsg *letter = NULL;
    char subject[128];
    snprintf(subject, sizeof subject, "%s.deadletter.threetears.cache.invalidate", f->name);
    assert_int_equal(natsConnection_SubscribeSync(&letters, f->raw, subject), NATS_OK);
    assert_int_equal(natsConnection_Flush(f->raw), NATS_OK);
    for (int i = 0; i < 50; i++)
        t3_l2_dead_letter(f->l2, TEARS_STR("nonsense"), "ValidationError", "not JSON");
    int count = 0;
    while (natsSubscription_NextMsg(&letter, letters, count == 0 ? 2000 : 200) == NATS_OK) {
        if (count++ == 0)
            assert_non_null(strstr(natsMsg_GetData(letter), "\"payload_b64\""));
        natsMsg_Destroy(letter);
    }
    assert_int_equal(count, 10);
    natsSubscription_Destroy(letters);
}

/* -- many threads -------------------------------------------------------------------------- */

static void *get_in_turn(void *closure)
{
    struct fixture *f = closure;
    struct t3_arena arena = {0};
    size_t good = 0;
    for (int64_t i = 0; i < 200; i++) {
        struct tears_value value;
        const struct t3_key key = test_note_key(i % 20, &value);
        struct t3_l2_entry entry;
        if (t3_l2_get(f->l2, f->schema, &key, 1, &arena, soon(), &entry, NULL) == TEARS_OK &&
            entry.state == T3_L2_ROW && t3_key_matches_row(f->schema, &key, entry.row))
            good++;
        t3_arena_reset(&arena);
    }
    t3_arena_done(&arena);
    return (void *)good;
}

static void test_threads_share_batches_and_get_their_own_rows(void **state)
{
    enum { THREADS = 16 };
    struct fixture *f = *state;
    pthread_t threads[THREADS];
    for (int64_t i = 0; i < 20; i++)
        (void)put_change(f, f->l2, (struct test_change){i, "shared", 1, 0, true});
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, get_in_turn, f), 0);
    for (size_t i = 0; i < THREADS; i++) {
        void *good = NULL;
        pthread_join(threads[i], &good);
        assert_int_equal((size_t)good, 200);
    }
}

/* -- memory -------------------------------------------------------------------------------- */

static void test_every_failed_allocation_is_survived(void **state)
{
    struct fixture *f = *state;
    (void)put_change(f, f->l2, (struct test_change){1, "kept", 2, UNSEEN, true});
    bool is_done = false;
    for (uint64_t nth = 1; !is_done && nth < 200; nth++) {
        struct tears_value value;
        const struct t3_key key = test_note_key(1, &value);
        struct t3_arena arena = {0};
        struct t3_l2_entry entry;
        t3_alloc_fail_at(nth);
        const tears_status got = t3_l2_get(f->l2, f->schema, &key, 1, &arena, soon(), &entry, NULL);
        const struct tears_value cells[] = {tears_int(1), tears_text(TEARS_STR("old")),
                                            tears_int(1)};
        struct t3_row *row = NULL;
        tears_status put_status = t3_row_new(&arena, &f->schema->layout, cells, &row);
        struct t3_l2_put put = {
            .key = &key, .row = row, .version = 1, .seen = UNSEEN, .versioned = true};
        if (put_status == TEARS_OK)
            put_status = t3_l2_put(f->l2, f->schema, &put, 1, &arena, soon(), NULL);
        const tears_status told = t3_l2_notify(f->l2, f->schema, &key, 1, NULL);
        is_done = t3_alloc_count() < nth;
        t3_alloc_fail_at(0);
        assert_true(got == TEARS_OK || got == TEARS_NO_MEMORY);
        assert_true(put_status == TEARS_OK || put_status == TEARS_NO_MEMORY);
        assert_true(told == TEARS_OK || told == TEARS_NO_MEMORY);
        t3_arena_done(&arena);
        assert_note(f, 1, "kept", 2);
    }
    assert_true(is_done);
}

static void test_opening_survives_every_failed_allocation(void **state)
{
    struct fixture *f = *state;
    const struct t3_l2_options options = {.url = tears_str_c(test_nats_shared_url()),
                                          .namespace_name = tears_str_c(f->name),
                                          .origin = TEARS_STR("one"),
                                          .wait_ms = 500};
    tears_status status = TEARS_NO_MEMORY;
    for (uint64_t nth = 1; status != TEARS_OK && nth < 100; nth++) {
        struct t3_l2 *l2 = NULL;
        t3_alloc_fail_at(nth);
        status = t3_l2_open(&options, &l2, NULL);
        t3_alloc_fail_at(0);
        assert_true(status == TEARS_OK || status == TEARS_NO_MEMORY);
        t3_l2_free(l2);
    }
    assert_int_equal(status, TEARS_OK);
}

/* -- options and doctor -------------------------------------------------------------------- */

static void test_bad_options_are_named(void **state)
{
    static const struct {
        const char *url, *name, *storage, *part;
    } cases[] = {
        {"http://x", "a", "", "scheme"},
        {"nats://u:hidden@:1", "a", "", "HOST"},
        {"nats://127.0.0.1:4", "a.b", "", "namespace"},
        {"nats://127.0.0.1:4", "", "", "namespace"},
        {"nats://127.0.0.1:4", "a", "tape", "storage"},
    };
    (void)state;
    for (size_t i = 0; i < T3_COUNT(cases); i++) {
        const struct t3_l2_options options = {.url = tears_str_c(cases[i].url),
                                              .namespace_name = tears_str_c(cases[i].name),
                                              .storage = tears_str_c(cases[i].storage)};
        struct t3_l2 *l2 = NULL;
        struct tears_error error = {0};
        assert_int_equal(t3_l2_open(&options, &l2, &error), TEARS_INVALID);
        if (strstr(error.message, cases[i].part) == NULL || strstr(error.message, "hidden") != NULL)
            fail_msg("message: %s", error.message);
    }
    const struct t3_l2_options options = {.url = TEARS_STR("nats://127.0.0.1:4"),
                                          .namespace_name = TEARS_STR("a"),
                                          .creds_file = TEARS_STR("/nowhere/x.creds")};
    struct t3_l2 *l2 = NULL;
    struct tears_error error = {0};
    assert_int_equal(t3_l2_open(&options, &l2, &error), TEARS_INVALID);
    assert_non_null(strstr(error.message, "/nowhere/x.creds"));
}

static const struct tears_finding *find(const struct t3_findings *findings, const char *subject)
{
    for (size_t i = 0; i < findings->count; i++)
        if (findings->items[i].subject.len == strlen(subject) &&
            memcmp(findings->items[i].subject.ptr, subject, strlen(subject)) == 0)
            return &findings->items[i];
    fail_msg("no finding '%s'", subject);
    return NULL;
}

static void test_doctor_finds_a_healthy_tier(void **state)
{
    struct fixture *f = *state;
    struct t3_findings findings = {.arena = &f->arena};
    assert_int_equal(t3_l2_doctor(f->l2, &findings, soon()), TEARS_OK);
    assert_int_equal(find(&findings, "connection")->severity, 0);
    assert_int_equal(find(&findings, "jetstream")->severity, 0);
    assert_int_equal(find(&findings, "bucket allow_direct")->severity, 0);
    assert_memory_equal(find(&findings, "version")->value.ptr, "nats-server 2", 13);
    assert_non_null(strstr(find(&findings, "latency")->value.ptr, "us round trip"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    test_nats_alone();
    const struct CMUnitTest tests[] = {
        TEST(test_a_row_comes_back_as_it_went),
        TEST(test_many_rows_in_one_call),
        TEST(test_a_delete_leaves_a_tombstone_with_its_version),
        TEST(test_an_older_version_never_replaces_a_newer_one),
        TEST(test_the_same_version_is_there_already),
        TEST(test_a_stale_put_loses_against_a_delete),
        TEST(test_an_insert_goes_over_the_tombstone_it_has_seen),
        TEST(test_an_insert_with_a_later_version_goes_over_any_tombstone),
        TEST(test_an_insert_below_an_unseen_row_leaves_no_row),
        TEST(test_a_late_delete_does_not_open_the_way_for_older_rows),
        TEST(test_without_versions_a_lost_race_ends_in_a_marker),
        TEST(test_racing_writers_leave_the_newest_or_a_marker),
        TEST(test_damaged_values_are_entries_not_errors),
        TEST(test_a_huge_damaged_value_is_a_miss),
        TEST(test_a_peers_row_has_the_version_of_its_column),
        TEST(test_a_fill_arrives_and_is_reported),
        TEST(test_a_fill_that_comes_late_is_lost),
        TEST(test_a_fill_over_the_marker_it_saw),
        TEST(test_an_answer_that_comes_twice_answers_nothing_else),
        TEST(test_a_notice_arrives_byte_for_byte),
        TEST(test_dead_letters_are_few),
        TEST(test_threads_share_batches_and_get_their_own_rows),
        TEST(test_every_failed_allocation_is_survived),
        TEST(test_opening_survives_every_failed_allocation),
        cmocka_unit_test(test_bad_options_are_named),
        TEST(test_doctor_finds_a_healthy_tier),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
