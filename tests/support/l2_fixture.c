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

struct t3_l2 *test_l2_open(const char *url, const char *name, const char *origin,
                           struct test_news *news)
{
    struct t3_l2_options options = {
        .url = tears_str_c(url),
        .namespace_name = tears_str_c(name),
        .origin = tears_str_c(origin),
        .wait_ms = 500,
    };
    if (news != NULL)
        options.sink = (struct t3_l2_sink){
            .filled = on_filled, .notice = on_notice, .reconnected = on_reconnected, .owner = news};
    struct t3_l2 *l2 = NULL;
    struct tears_error error = {0};
    if (t3_l2_open(&options, &l2, &error) != TEARS_OK)
        fail_msg("t3_l2_open: %s", error.message);
    return l2;
}

bool test_wait_for(atomic_int *counter, int least)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    for (int i = 0; i < 2000 && atomic_load(counter) < least; i++)
        nanosleep(&pause, NULL);
    return atomic_load(counter) >= least;
}
