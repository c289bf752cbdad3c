/*
 * test_watch.c -- news of the feeds reach those who watch, and nobody else.
 */
#include "support/embedded.h"
#include "support/nats_server.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { KINDS = 8 };

/* What one watch was told. */
struct seen {
    atomic_int count[KINDS];
    atomic_int own;
    pthread_mutex_t mutex; /* guards the rest */
    char table[64];
    char key[64];
    int64_t version;
    uint64_t revision;
};

static struct embedded a;
static tears_client *other; /* stands for another process on the same file */
static tears_session *other_session;
static char namespace_name[32];

static int open_world(void **state)
{
    (void)state;
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    struct tears_error error;
    static char l3_url[160];
    test_namespace(namespace_name);
    embedded_open_shared(&a, test_nats_shared_url(), namespace_name);
    embedded_sql(&a, "CREATE TABLE items (id BIGINT NOT NULL PRIMARY KEY, name TEXT, "
                     "row_version BIGINT NOT NULL)");
    embedded_sql(&a, "CREATE TABLE others (id BIGINT NOT NULL PRIMARY KEY, name TEXT, "
                     "row_version BIGINT NOT NULL)");
    snprintf(l3_url, sizeof l3_url, "sqlite:%s", a.path);
    options.l3_url = tears_str_c(l3_url);
    options.l2_url = tears_str_c(test_nats_shared_url());
    options.namespace_name = tears_str_c(namespace_name);
    if (tears_client_open(&options, &other, &error) != TEARS_OK)
        fail_msg("open: %s", error.message);
    assert_int_equal(tears_session_new(other, NULL, &other_session), TEARS_OK);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    tears_session_free(other_session);
    tears_client_free(other);
    embedded_close(&a);
    return 0;
}

static void see(void *owner, const struct tears_event *event)
{
    struct seen *seen = owner;
    assert_true(event->kind < KINDS);
    if (event->is_own)
        atomic_fetch_add(&seen->own, 1);
    pthread_mutex_lock(&seen->mutex);
    if (event->table.len > 0) {
        snprintf(seen->table, sizeof seen->table, "%.*s", (int)event->table.len, event->table.ptr);
        snprintf(seen->key, sizeof seen->key, "%.*s", (int)event->key.len, event->key.ptr);
    }
    if (event->kind == TEARS_EVENT_PUT) {
        seen->version = event->has_version ? event->version : -1;
        seen->revision = event->revision;
    }
    pthread_mutex_unlock(&seen->mutex);
    atomic_fetch_add(&seen->count[event->kind], 1);
}

static void pause_ms(long ms)
{
    const struct timespec pause = {.tv_nsec = ms * 1000000};
    nanosleep(&pause, NULL);
}

static bool wait_for(struct seen *seen, int kind, int least)
{
    for (int i = 0; i < 600 && atomic_load(&seen->count[kind]) < least; i++)
        pause_ms(5);
    return atomic_load(&seen->count[kind]) >= least;
}

static void put(tears_client *client, tears_session *session, const char *table, int64_t id,
                const char *name)
{
    const struct tears_field fields[] = {field_int("id", id), field_text("name", name)};
    tears_collection *collection = NULL;
    assert_int_equal(tears_collection_find(client, tears_str_c(table), &collection), TEARS_OK);
    assert_int_equal(tears_upsert(session, collection, fields, 2, NULL), TEARS_OK);
}

static tears_watch *watch(const char *table, struct seen *seen)
{
    tears_watch *started = NULL;
    memset(seen, 0, sizeof *seen);
    pthread_mutex_init(&seen->mutex, NULL);
    assert_int_equal(tears_watch_start(a.client, tears_str_c(table), see, seen, &started),
                     TEARS_OK);
    return started;
}

/* a has no collection of the table: it is watched all the same. */
static void a_table_without_a_collection_is_watched(void **state)
{
    (void)state;
    struct seen seen;
    tears_watch *started = watch("items", &seen);
    put(other, other_session, "items", 7, "x");
    put(other, other_session, "others", 8, "x");
    put(other, other_session, "items", 7, "y");
    assert_true(wait_for(&seen, TEARS_EVENT_NOTICE, 2));
    assert_true(wait_for(&seen, TEARS_EVENT_PUT, 1));
    tears_watch_free(started);
    assert_string_equal(seen.table, "items");
    assert_string_equal(seen.key, "7");
    assert_true(seen.version == 1 || seen.version == 2);
    assert_true(seen.revision > 0);
    assert_int_equal(atomic_load(&seen.own), 0);
    assert_int_equal(atomic_load(&seen.count[TEARS_EVENT_NOTICE]), 2);
}

static void one_who_watches_all_sees_all(void **state)
{
    (void)state;
    struct seen seen;
    tears_watch *started = watch("", &seen);
    put(other, other_session, "items", 7, "x");
    put(a.client, a.session, "others", 8, "x");
    assert_true(wait_for(&seen, TEARS_EVENT_NOTICE, 1));
    assert_true(wait_for(&seen, TEARS_EVENT_PUT, 2));
    assert_true(atomic_load(&seen.own) >= 1);
    tears_watch_free(started);
}

static void an_ended_watch_is_told_nothing(void **state)
{
    (void)state;
    struct seen first;
    struct seen second;
    tears_watch *one = watch("items", &first);
    tears_watch *two = watch("items", &second);
    put(other, other_session, "items", 1, "x");
    assert_true(wait_for(&first, TEARS_EVENT_NOTICE, 1));
    tears_watch_free(one);
    const int told = atomic_load(&first.count[TEARS_EVENT_NOTICE]);
    put(other, other_session, "items", 1, "y");
    assert_true(wait_for(&second, TEARS_EVENT_NOTICE, 2));
    assert_int_equal(atomic_load(&first.count[TEARS_EVENT_NOTICE]), told);
    tears_watch_free(two);
    tears_watch_free(NULL);
}

/* More watches than are told at a time. */
static void many_watch(void **state)
{
    enum { MANY = 20 };
    (void)state;
    static struct seen seen[MANY];
    tears_watch *started[MANY];
    for (int i = 0; i < MANY; i++)
        started[i] = watch(i % 2 == 0 ? "items" : "", &seen[i]);
    put(other, other_session, "items", 1, "x");
    for (int i = 0; i < MANY; i++)
        assert_true(wait_for(&seen[i], TEARS_EVENT_NOTICE, 1));
    for (int i = 0; i < MANY; i++)
        tears_watch_free(started[i]);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(atomic_load(&seen[i].count[TEARS_EVENT_NOTICE]), 1);
}

static atomic_bool writing;

static void *write_on(void *owner)
{
    (void)owner;
    for (int64_t i = 0; atomic_load(&writing); i++)
        put(other, other_session, "items", i % 10, "x");
    return NULL;
}

/* A watch that ends while it is being told. */
static void watches_come_and_go_under_load(void **state)
{
    (void)state;
    pthread_t writer;
    atomic_store(&writing, true);
    assert_int_equal(pthread_create(&writer, NULL, write_on, NULL), 0);
    for (int i = 0; i < 200; i++) {
        struct seen *seen = calloc(1, sizeof *seen);
        assert_non_null(seen);
        tears_watch *started = watch("items", seen);
        if (i % 4 == 0)
            pause_ms(1);
        tears_watch_free(started);
        free(seen);
    }
    atomic_store(&writing, false);
    assert_int_equal(pthread_join(writer, NULL), 0);
}

static void doubt_and_trust_are_told(void **state)
{
    (void)state;
    struct seen seen;
    struct embedded mine;
    tears_watch *started = NULL;
    struct test_nats *server = test_nats_start(NULL);
    char name[32];
    test_namespace(name);
    embedded_open_shared(&mine, test_nats_url(server), name);
    memset(&seen, 0, sizeof seen);
    pthread_mutex_init(&seen.mutex, NULL);
    assert_int_equal(tears_watch_start(mine.client, TEARS_STR("items"), see, &seen, &started),
                     TEARS_OK);
    embedded_sql(&mine, "CREATE TABLE items (id BIGINT NOT NULL PRIMARY KEY)");
    struct tears_collection_status status = TEARS_COLLECTION_STATUS_INIT;
    tears_collection *items = embedded_collection(&mine, "items");
    for (int i = 0; i < 600 && status.feed != TEARS_FEED_CURRENT; i++) {
        tears_collection_status(items, &status);
        pause_ms(5);
    }
    assert_int_equal(status.feed, TEARS_FEED_CURRENT);
    test_nats_kill(server);
    assert_true(wait_for(&seen, TEARS_EVENT_DOUBT, 1));
    tears_collection_status(items, &status);
    assert_int_equal(status.feed, TEARS_FEED_AWAY);
    assert_int_equal(status.proof_age_ms, UINT64_MAX);
    test_nats_again(server);
    assert_true(wait_for(&seen, TEARS_EVENT_TRUST, 1));
    tears_watch_free(started);
    embedded_close(&mine);
    test_nats_free(server);
}

static void without_l2_there_is_nothing_to_watch(void **state)
{
    (void)state;
    struct embedded lone;
    tears_watch *started = NULL;
    embedded_open(&lone, "");
    assert_int_equal(tears_watch_start(lone.client, TEARS_STR("items"), see, NULL, &started),
                     TEARS_UNSUPPORTED);
    embedded_close(&lone);
}

#define WATCH_TEST(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)

int main(void)
{
    test_nats_alone();
    const struct CMUnitTest tests[] = {
        WATCH_TEST(a_table_without_a_collection_is_watched),
        WATCH_TEST(one_who_watches_all_sees_all),
        WATCH_TEST(an_ended_watch_is_told_nothing),
        WATCH_TEST(many_watch),
        WATCH_TEST(watches_come_and_go_under_load),
        cmocka_unit_test(doubt_and_trust_are_told),
        cmocka_unit_test(without_l2_there_is_nothing_to_watch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
