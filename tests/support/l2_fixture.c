/*
 * l2_fixture.c -- what the tests of the shared tier have in common.
 *
 * Owns: nothing.  Threads: one; the counters are atomic.  Fails: by failing the test.
 */
#include "support/l2_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <time.h>

#include <cmocka.h>

struct tears_schema *test_notes_schema(bool versioned)
{
    static const struct tears_str key[] = {{"id", 2}};
    const struct tears_column_def columns[] = {
        {.name = TEARS_STR("id"), .type = TEARS_TYPE_BIGINT},
        {.name = TEARS_STR("body"), .type = TEARS_TYPE_STRING},
        {.name = TEARS_STR("row_version"), .type = TEARS_TYPE_BIGINT, .nullable = true},
    };
    const struct tears_schema_def def = {
        .name = TEARS_STR("notes"),
        .primary_key = key,
        .primary_key_count = 1,
        .columns = columns,
        .column_count = 3,
        .version_column = versioned ? TEARS_STR("row_version") : tears_str_c(NULL),
    };
    struct tears_schema *schema = NULL;
    struct tears_error error = {0};
    if (tears_schema_new(&def, &schema, &error) != TEARS_OK)
        fail_msg("schema: %s", error.message);
    return schema;
}

struct t3_row *test_note(const struct tears_schema *schema, struct t3_arena *arena, int64_t id,
                         const char *body, int64_t version)
{
    const struct tears_value values[] = {tears_int(id), tears_text(tears_str_c(body)),
                                         tears_int(version)};
    struct t3_row *row = NULL;
    assert_int_equal(t3_row_new(arena, &schema->layout, values, &row), TEARS_OK);
    return row;
}

struct t3_key test_note_key(int64_t id, struct tears_value *value)
{
    *value = tears_int(id);
    const struct t3_key key = {.hash = (uint64_t)id, .values = value, .count = 1};
    return key;
}

struct tears_str test_note_body(const struct tears_schema *schema, const struct t3_row *row)
{
    return t3_row_value(row, &schema->layout, 1).as.bytes;
}

static void on_filled(void *owner, void *collection, const struct t3_key *key, int64_t version,
                      uint64_t revision, bool lost)
{
    struct test_news *news = owner;
    (void)collection;
    (void)version;
    if (key->count != 1 || key->values[0].kind != TEARS_KIND_INT)
        return; /* the waiting test will see that nothing came */
    atomic_store(&news->last_revision, revision);
    atomic_fetch_add(lost ? &news->lost : &news->filled, 1);
}

static void on_notice(void *owner, struct tears_str payload)
{
    struct test_news *news = owner;
    if (payload.len < sizeof news->last_notice) {
        memcpy(news->last_notice, payload.ptr, payload.len);
        news->last_notice[payload.len] = '\0';
    }
    atomic_fetch_add(&news->notices, 1);
}

static void on_reconnected(void *owner)
{
    struct test_news *news = owner;
    atomic_fetch_add(&news->reconnected, 1);
}

static void copy_text(struct tears_str text, char *to, size_t size)
{
    const size_t len = text.len < size ? text.len : size - 1;
    if (len > 0)
        memcpy(to, text.ptr, len);
    to[len] = '\0';
}

static void on_event(void *owner, const struct t3_l2_event *event)
{
    struct test_news *news = owner;
    const int index = atomic_load(&news->events);
    if (index < TEST_EVENTS_MAX) {
        struct test_event *copy = &news->event[index];
        copy->kind = event->kind;
        copy->revision = event->revision;
        copy->has_version = event->has_version;
        copy->version = event->version;
        copy->is_own = event->is_own;
        copy_text(event->key, copy->key, sizeof copy->key);
        copy_text(event->origin, copy->origin, sizeof copy->origin);
        copy_text(event->ids, copy->ids, sizeof copy->ids);
    }
    atomic_fetch_add(&news->events, 1);
}

static void on_current(void *owner, uint64_t as_of_ms, uint64_t revision)
{
    struct test_news *news = owner;
    (void)as_of_ms;
    (void)revision;
    atomic_fetch_add(&news->current, 1);
}

static void on_doubt(void *owner, const char *why)
{
    struct test_news *news = owner;
    (void)why;
    atomic_fetch_add(&news->doubts, 1);
}

static void on_lost(void *owner, uint64_t since_ms, const char *why)
{
    struct test_news *news = owner;
    (void)since_ms;
    (void)why;
    atomic_fetch_add(&news->losses, 1);
}

struct t3_l2 *test_l2_open(const char *url, const char *name, const char *origin,
                           struct test_news *news)
{
    return test_l2_open_probing(url, name, origin, news, 0);
}

struct t3_l2 *test_l2_open_probing(const char *url, const char *name, const char *origin,
                                   struct test_news *news, uint64_t probe_ms)
{
    struct t3_l2_options options = {
        .url = tears_str_c(url),
        .namespace_name = tears_str_c(name),
        .origin = tears_str_c(origin),
        .wait_ms = 500,
        .probe_ms = probe_ms,
    };
    if (news != NULL)
        options.sink = (struct t3_l2_sink){
            .filled = on_filled,
            .notice = on_notice,
            .reconnected = on_reconnected,
            .event = on_event,
            .current = on_current,
            .doubt = on_doubt,
            .lost = on_lost,
            .owner = news,
        };
    struct t3_l2 *l2 = NULL;
    struct tears_error error = {0};
    if (t3_l2_open(&options, &l2, &error) != TEARS_OK)
        fail_msg("t3_l2_open: %s", error.message);
    return l2;
}

const struct test_event *test_wait_for_event(struct test_news *news, uint64_t revision)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    for (int tries = 0; tries < 2000; tries++) {
        const int count = atomic_load(&news->events);
        for (int i = 0; i < count && i < TEST_EVENTS_MAX; i++)
            if (news->event[i].revision == revision)
                return &news->event[i];
        nanosleep(&pause, NULL);
    }
    return NULL;
}

bool test_wait_for(atomic_int *counter, int least)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    for (int i = 0; i < 2000 && atomic_load(counter) < least; i++)
        nanosleep(&pause, NULL);
    return atomic_load(counter) >= least;
}

struct t3_l2_entry test_note_get(struct t3_l2 *l2, const struct tears_schema *schema,
                                 struct t3_arena *arena, int64_t id)
{
    struct tears_value value;
    const struct t3_key key = test_note_key(id, &value);
    struct t3_l2_entry entry = {0};
    struct tears_error error = {0};
    if (t3_l2_get(l2, schema, &key, 1, arena, t3_deadline_in_ms(5000), &entry, &error) != TEARS_OK)
        fail_msg("get: %s", error.message);
    return entry;
}

struct t3_l2_put test_note_put(struct t3_l2 *l2, const struct tears_schema *schema,
                               struct t3_arena *arena, struct test_change change)
{
    struct tears_value value;
    const struct t3_key key = test_note_key(change.id, &value);
    struct t3_l2_put put = {
        .key = &key,
        .row = change.body != NULL
                   ? test_note(schema, arena, change.id, change.body, change.version)
                   : NULL,
        .version = change.version,
        .seen = change.seen,
        .versioned = schema->version_column != T3_NO_COLUMN,
        .authoritative = change.authoritative,
    };
    (void)t3_l2_put(l2, schema, &put, 1, arena, t3_deadline_in_ms(5000), NULL);
    put.key = NULL;
    return put;
}
