/*
 * test_client.c -- opening a client: its options, the environment, the kinds of L1.
 */
#include "support/embedded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *const table_sql =
    "CREATE TABLE notes (id INTEGER PRIMARY KEY, title TEXT NOT NULL, row_version BIGINT NOT NULL)";

static struct embedded world; /* its file is what the clients below open */

static int open_world(void **state)
{
    (void)state;
    embedded_open(&world, "");
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    embedded_close(&world);
    return 0;
}

static struct tears_client_options options_for(const char *l1)
{
    static char url[160];
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    snprintf(url, sizeof url, "sqlite:%s", world.path);
    options.l3_url = tears_str_c(url);
    options.l2_url = TEARS_STR("none");
    options.l1 = tears_str_c(l1);
    return options;
}

/* Opening must fail so, with a message that has the words. */
static void assert_refused(const struct tears_client_options *options, tears_status wanted,
                           const char *word)
{
    tears_client *client = NULL;
    struct tears_error error = {.status = TEARS_OK};
    const tears_status status = tears_client_open(options, &client, &error);
    if (status != wanted || error.status != wanted || client != NULL)
        fail_msg("%s instead of %s: %s", tears_status_name(status), tears_status_name(wanted),
                 error.message);
    if (strstr(error.message, word) == NULL)
        fail_msg("'%s' is not in: %s", word, error.message);
}

static void an_l1_that_cannot_be_understood(void **state)
{
    (void)state;
    static const char *const specs[] = {
        "memoryy",       "memory:", "memory:x",   "memory:12XiB", "memory:-1",
        "memory:1.5GiB", "redis",   "sqlite:big", "MEMORY:1MB",   "memory:99999999999999999999"};
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        const struct tears_client_options options = options_for(specs[i]);
        assert_refused(&options, TEARS_INVALID, specs[i]);
    }
}

static void urls_that_cannot_be_understood(void **state)
{
    (void)state;
    struct tears_client_options options = options_for("");
    options.l3_url = TEARS_STR("mysql://user:sesame@host/db");
    assert_refused(&options, TEARS_INVALID, "postgresql://");
    options.l3_url = TEARS_STR("sqlite:/no/such/directory/file.db");
    tears_client *client = NULL;
    struct tears_error error;
    assert_int_not_equal(tears_client_open(&options, &client, &error), TEARS_OK);
    assert_non_null(strstr(error.message, "/no/such/directory/file.db"));
    options = options_for("");
    options.l2_url = TEARS_STR("http://127.0.0.1:4222");
    assert_refused(&options, TEARS_INVALID, "http");
    options = options_for("");
    options.l3_pool_min = 9;
    options.l3_pool_max = 3;
    assert_refused(&options, TEARS_INVALID, "l3_pool_min 9");
}

/* A password in a URL that is refused is in no message. */
static void passwords_stay_secret(void **state)
{
    (void)state;
    static const char *const urls[] = {"mysql://user:sesame@host/db", "mysql:user:sesame@host"};
    for (size_t i = 0; i < 2; i++) {
        struct tears_client_options options = options_for("");
        tears_client *client = NULL;
        struct tears_error error;
        options.l3_url = tears_str_c(urls[i]);
        assert_int_equal(tears_client_open(&options, &client, &error), TEARS_INVALID);
        if (strstr(error.message, "sesame") != NULL)
            fail_msg("the password is in: %s", error.message);
    }
}

static void options_of_another_age(void **state)
{
    (void)state;
    struct {
        struct tears_client_options known;
        uint64_t from_the_future;
    } newer = {.known = options_for("")};
    tears_client *client = NULL;
    struct tears_error error;
    newer.known.size = sizeof newer;
    assert_int_equal(tears_client_open(&newer.known, &client, &error), TEARS_OK);
    tears_client_free(client);
    newer.from_the_future = 1;
    assert_refused(&newer.known, TEARS_UNSUPPORTED, "does not know");
    newer.known.size = 0;
    assert_refused(&newer.known, TEARS_MISUSE, "_INIT");
    struct tears_client_options older = options_for("none");
    older.size = offsetof(struct tears_client_options, l1); /* a header that had no l1 */
    client = NULL;
    assert_int_equal(tears_client_open(&older, &client, &error), TEARS_OK);
    struct tears_client_stats stats = TEARS_CLIENT_STATS_INIT;
    tears_client_stats(client, &stats);
    assert_true(stats.l1_bytes_max > 0); /* the default L1 */
    tears_client_free(client);
    assert_int_equal(tears_client_open(&older, NULL, &error), TEARS_MISUSE);
}

/* Empty options ask the environment; given ones do not. */
static void the_environment_is_asked(void **state)
{
    (void)state;
    char url[160];
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    tears_client *client = NULL;
    struct tears_error error;
    embedded_sql(&world, table_sql);
    snprintf(url, sizeof url, "sqlite:%s", world.path);
    assert_int_equal(setenv("TEARS_L3_URL", url, 1), 0);
    assert_int_equal(setenv("TEARS_L2_URL", "none", 1), 0);
    if (tears_client_open(NULL, &client, &error) != TEARS_OK)
        fail_msg("open: %s", error.message);
    tears_collection *notes = NULL;
    assert_int_equal(tears_collection_find(client, TEARS_STR("notes"), &notes), TEARS_OK);
    tears_client_free(client);

    assert_int_equal(setenv("TEARS_L3_URL", "nonsense", 1), 0);
    assert_refused(&options, TEARS_INVALID, "L3 URL");
    client = NULL;
    options = options_for("");
    assert_int_equal(tears_client_open(&options, &client, &error), TEARS_OK);
    tears_client_free(client);
    assert_int_equal(unsetenv("TEARS_L3_URL"), 0);
    assert_int_equal(unsetenv("TEARS_L2_URL"), 0);
}

/* ---- kinds of L1 --------------------------------------------------------------------------- */

/* The life of a row, the same whatever L1 is. */
static void live(const char *l1)
{
    const struct tears_client_options options = options_for(l1);
    struct embedded with;
    struct tears_error error;
    const struct tears_value key = tears_int(1);
    const bool cached = strcmp(l1, "none") != 0;
    if (tears_client_open(&options, &with.client, &error) != TEARS_OK)
        fail_msg("%s: %s", l1, error.message);
    assert_int_equal(tears_session_new(with.client, NULL, &with.session), TEARS_OK);
    tears_collection *notes = embedded_collection(&with, "notes");
    tears_entity *entity = NULL;
    assert_int_equal(tears_get(with.session, notes, &key, 1, &entity), TEARS_NOT_FOUND);
    const struct tears_field fields[] = {field_int("id", 1), field_text("title", "a")};
    assert_int_equal(tears_insert(with.session, notes, fields, 2, &entity), TEARS_OK);
    assert_true(tears_exists_in_l1(with.session, notes, &key, 1) == cached);
    assert_int_equal(tears_get(with.session, notes, &key, 1, &entity), TEARS_OK);
    assert_int_equal(tears_session_tier(with.session), cached ? TEARS_TIER_L1 : TEARS_TIER_L3);
    const struct tears_field change = field_text("title", "b");
    assert_int_equal(tears_update(with.session, entity, &change, 1, &entity), TEARS_OK);
    struct tears_value title;
    assert_int_equal(tears_get_field(with.session, notes, &key, 1, TEARS_STR("title"), &title),
                     TEARS_OK);
    assert_memory_equal(title.as.bytes.ptr, "b", 1);
    assert_int_equal(tears_evict(with.session, notes, &key, 1), TEARS_OK);
    assert_int_equal(tears_get(with.session, notes, &key, 1, &entity), TEARS_OK);
    assert_int_equal(tears_session_tier(with.session), TEARS_TIER_L3);
    assert_string_equal(embedded_text(entity, "title"), "b");
    assert_int_equal(tears_delete(with.session, notes, &key, 1), TEARS_OK);
    assert_int_equal(tears_get(with.session, notes, &key, 1, &entity), TEARS_NOT_FOUND);
    assert_int_equal(tears_delete(with.session, notes, &key, 1), TEARS_NOT_FOUND);
    tears_session_free(with.session);
    tears_client_free(with.client);
}

static void every_kind_of_l1_serves_the_same_life(void **state)
{
    (void)state;
    static const char *const kinds[] = {"memory", "memory:1MiB", "sqlite", "sqlite:2MB", "none"};
    embedded_sql(&world, table_sql);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        live(kinds[i]);
}

static void sql_over_cached_rows(void **state)
{
    (void)state;
    struct embedded with;
    tears_cursor *cursor = NULL;
    embedded_sql(&world, table_sql);
    assert_int_equal(tears_query_l1(world.session, TEARS_STR("SELECT 1"), NULL, 0, &cursor),
                     TEARS_UNSUPPORTED);
    assert_non_null(strstr(tears_session_error(world.session)->message, "sqlite"));

    embedded_open(&with, "sqlite");
    embedded_sql(&with, table_sql);
    tears_collection *notes = embedded_collection(&with, "notes");
    for (int64_t id = 1; id <= 5; id++) {
        const struct tears_field fields[] = {field_int("id", id), field_text("title", "t")};
        assert_int_equal(tears_insert(with.session, notes, fields, 2, NULL), TEARS_OK);
    }
    const struct tears_value key = tears_int(5);
    assert_int_equal(tears_evict(with.session, notes, &key, 1), TEARS_OK);
    const struct tears_value above = tears_int(2);
    if (tears_query_l1(with.session, TEARS_STR("SELECT id FROM notes WHERE id > $1 ORDER BY id"),
                       &above, 1, &cursor) != TEARS_OK)
        fail_msg("%s", tears_session_error(with.session)->message);
    const struct tears_field *fields;
    size_t columns;
    for (int64_t id = 3; id <= 4; id++) { /* 5 is not cached */
        assert_int_equal(tears_cursor_next(cursor, &fields, &columns), TEARS_OK);
        assert_int_equal(columns, 1);
        assert_int_equal(fields[0].value.as.integer, id);
    }
    assert_int_equal(tears_cursor_next(cursor, &fields, &columns), TEARS_DONE);
    tears_cursor_free(cursor);
    assert_int_not_equal(
        tears_query_l1(with.session, TEARS_STR("DELETE FROM notes"), NULL, 0, &cursor), TEARS_OK);
    embedded_close(&with);
}

/* ---- logging and counters ------------------------------------------------------------------ */

static void stats_of_an_older_header(void **state)
{
    (void)state;
    struct tears_client_stats stats;
    memset(&stats, 0xee, sizeof stats);
    stats.size = offsetof(struct tears_client_stats, l1_negative_hits);
    tears_client_stats(world.client, &stats);
    assert_int_equal(stats.l1_hits, 0);
    assert_int_equal(stats.l1_negative_hits, UINT64_C(0xeeeeeeeeeeeeeeee)); /* not touched */
}

static void doctor_and_tables(void **state)
{
    (void)state;
    const struct tears_finding *findings = NULL;
    const struct tears_str *names = NULL;
    size_t count = 0;
    embedded_sql(&world, table_sql);
    embedded_sql(&world, "CREATE TABLE a_first (id INTEGER PRIMARY KEY)");
    assert_int_equal(tears_tables(world.session, &names, &count), TEARS_OK);
    assert_int_equal(count, 2);
    assert_memory_equal(names[0].ptr, "a_first", 7);
    assert_int_equal(tears_client_doctor(world.session, &findings, &count), TEARS_OK);
    bool version = false;
    for (size_t i = 0; i < count; i++) {
        assert_true(findings[i].severity < 2);
        version = version || strcmp(findings[i].subject.ptr, "version") == 0;
    }
    assert_true(version);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_l1_that_cannot_be_understood),
        TEST(urls_that_cannot_be_understood),
        TEST(passwords_stay_secret),
        TEST(options_of_another_age),
        TEST(the_environment_is_asked),
        TEST(every_kind_of_l1_serves_the_same_life),
        TEST(sql_over_cached_rows),
        TEST(stats_of_an_older_header),
        TEST(doctor_and_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
