/*
 * test_collection.c -- what one table may have of its own: tiers, ages, version column, store.
 */
#include "base/clock.h"
#include "support/embedded.h"
#include "support/hook_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <unistd.h>

static struct embedded world;

static int open_world(void **state)
{
    (void)state;
    embedded_open(&world, "");
    embedded_sql(&world,
                 "CREATE TABLE notes (id INTEGER PRIMARY KEY, title TEXT NOT NULL, "
                 "changed BIGINT NOT NULL DEFAULT 1, row_version BIGINT NOT NULL DEFAULT 1)");
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    embedded_close(&world);
    return 0;
}

static tears_collection *open_notes(const struct tears_collection_options *options)
{
    tears_collection *notes = NULL;
    struct tears_error error;
    if (tears_collection_open(world.client, TEARS_STR("notes"), options, &notes, &error) !=
        TEARS_OK)
        fail_msg("open: %s", error.message);
    return notes;
}

static tears_entity *insert_note(tears_collection *notes, int64_t id, const char *title)
{
    const struct tears_field fields[] = {field_int("id", id), field_text("title", title)};
    tears_entity *entity = NULL;
    if (tears_insert(world.session, notes, fields, 2, &entity) != TEARS_OK)
        fail_msg("insert: %s", tears_session_error(world.session)->message);
    return entity;
}

static tears_entity *get(tears_collection *notes, int64_t id, uint32_t tier)
{
    const struct tears_value key = tears_int(id);
    tears_entity *entity = NULL;
    if (tears_get(world.session, notes, &key, 1, &entity) != TEARS_OK)
        fail_msg("get: %s", tears_session_error(world.session)->message);
    assert_int_equal(tears_session_tier(world.session), tier);
    return entity;
}

static void a_table_has_one_collection(void **state)
{
    (void)state;
    struct tears_collection_options options = TEARS_COLLECTION_OPTIONS_INIT;
    struct tears_error error;
    tears_collection *notes = open_notes(NULL);
    tears_collection *again = NULL;
    assert_ptr_equal(open_notes(&options), notes);
    assert_int_equal(tears_collection_find(world.client, TEARS_STR("notes"), &again), TEARS_OK);
    assert_ptr_equal(again, notes);
    again = NULL;
    options.no_l1 = 1;
    assert_int_equal(
        tears_collection_open(world.client, TEARS_STR("notes"), &options, &again, &error),
        TEARS_MISUSE);
    assert_null(again);
    assert_non_null(strstr(error.message, "'notes'"));
    assert_int_equal(tears_collection_find(world.client, TEARS_STR("others"), &again),
                     TEARS_NOT_FOUND);
    assert_int_equal(tears_collection_open(world.client, TEARS_STR("others"), NULL, &again, &error),
                     TEARS_NOT_FOUND);
    assert_non_null(strstr(error.message, "others"));
}

static void a_table_without_l1(void **state)
{
    (void)state;
    struct tears_collection_options options = TEARS_COLLECTION_OPTIONS_INIT;
    options.no_l1 = 1;
    tears_collection *notes = open_notes(&options);
    insert_note(notes, 1, "a");
    const struct tears_value key = tears_int(1);
    assert_false(tears_exists_in_l1(world.session, notes, &key, 1));
    get(notes, 1, TEARS_TIER_L3);
    get(notes, 1, TEARS_TIER_L3);
    embedded_sql(&world, "UPDATE notes SET title = 'raw'");
    assert_string_equal(embedded_text(get(notes, 1, TEARS_TIER_L3), "title"), "raw");
}

/* A row is served from L1 for as long as the table's own age allows, and no longer. */
static void a_table_with_an_age_of_its_own(void **state)
{
    (void)state;
    struct tears_collection_options options = TEARS_COLLECTION_OPTIONS_INIT;
    options.l1_age_ms_max = 5000;
    options.l1_negative_ms = 300;
    tears_collection *notes = open_notes(&options);
    insert_note(notes, 1, "a");
    embedded_sql(&world, "UPDATE notes SET title = 'raw'");
    t3_clock_shift_ms(4000); /* the age is jittered down by a tenth at most */
    assert_string_equal(embedded_text(get(notes, 1, TEARS_TIER_L1), "title"), "a");
    t3_clock_shift_ms(1500);
    assert_string_equal(embedded_text(get(notes, 1, TEARS_TIER_L3), "title"), "raw");
    get(notes, 1, TEARS_TIER_L1);

    const struct tears_value absent = tears_int(2);
    tears_entity *entity = NULL;
    assert_int_equal(tears_get(world.session, notes, &absent, 1, &entity), TEARS_NOT_FOUND);
    embedded_sql(&world, "INSERT INTO notes (id, title) VALUES (2, 'now there')");
    assert_int_equal(tears_get(world.session, notes, &absent, 1, &entity), TEARS_NOT_FOUND);
    t3_clock_shift_ms(400);
    get(notes, 2, TEARS_TIER_L3);
}

static void without_a_version_the_last_writer_wins(void **state)
{
    (void)state;
    struct tears_collection_options options = TEARS_COLLECTION_OPTIONS_INIT;
    options.version_column = TEARS_STR("none");
    tears_collection *notes = open_notes(&options);
    assert_int_equal(tears_schema_version_column(tears_collection_schema(notes)), SIZE_MAX);
    tears_entity *first = insert_note(notes, 1, "a");
    tears_entity *second = get(notes, 1, TEARS_TIER_L1);
    assert_int_equal(tears_entity_version(first), 0);
    const struct tears_field changes[] = {field_text("title", "first"),
                                          field_text("title", "second")};
    assert_int_equal(tears_update(world.session, first, &changes[0], 1, NULL), TEARS_OK);
    assert_int_equal(tears_update(world.session, second, &changes[1], 1, NULL), TEARS_OK);
    assert_string_equal(embedded_text(get(notes, 1, TEARS_TIER_L1), "title"), "second");
    const struct tears_value key = tears_int(1);
    assert_int_equal(tears_delete(world.session, notes, &key, 1), TEARS_OK);
    assert_int_equal(tears_update(world.session, second, &changes[1], 1, NULL), TEARS_CONFLICT);
}

static void a_version_column_by_name(void **state)
{
    (void)state;
    struct tears_collection_options options = TEARS_COLLECTION_OPTIONS_INIT;
    options.version_column = TEARS_STR("changed");
    tears_collection *notes = open_notes(&options);
    tears_entity *entity = insert_note(notes, 1, "a");
    const int64_t version = tears_entity_version(entity);
    const struct tears_field change = field_text("title", "b");
    tears_entity *stale = get(notes, 1, TEARS_TIER_L1);
    assert_int_equal(tears_update(world.session, entity, &change, 1, &entity), TEARS_OK);
    assert_true(tears_entity_version(entity) > version);
    assert_int_equal(embedded_int(entity, "changed"), tears_entity_version(entity));
    assert_int_equal(embedded_int(entity, "row_version"), 1); /* an ordinary column now */
    assert_int_equal(tears_update(world.session, stale, &change, 1, NULL), TEARS_CONFLICT);
}

static void a_version_column_that_is_none(void **state)
{
    (void)state;
    static const char *const names[] = {"title", "nothing"};
    for (size_t i = 0; i < 2; i++) {
        struct tears_collection_options options = TEARS_COLLECTION_OPTIONS_INIT;
        tears_collection *notes = NULL;
        struct tears_error error;
        options.version_column = tears_str_c(names[i]);
        assert_int_equal(
            tears_collection_open(world.client, TEARS_STR("notes"), &options, &notes, &error),
            TEARS_INVALID);
        assert_non_null(strstr(error.message, names[i]));
    }
}

static void options_of_another_age(void **state)
{
    (void)state;
    struct {
        struct tears_collection_options known;
        uint64_t from_the_future;
    } newer = {.known = {.size = sizeof newer}, .from_the_future = 1};
    tears_collection *notes = NULL;
    struct tears_error error;
    assert_int_equal(
        tears_collection_open(world.client, TEARS_STR("notes"), &newer.known, &notes, &error),
        TEARS_UNSUPPORTED);
    assert_null(notes);
    newer.from_the_future = 0;
    assert_int_equal(
        tears_collection_open(world.client, TEARS_STR("notes"), &newer.known, &notes, &error),
        TEARS_OK);
}

/* ---- a store of the table's own -------------------------------------------------------------- */

static struct hook_store hook;

static tears_collection *open_items(const tears_schema *schema)
{
    struct tears_collection_options options = TEARS_COLLECTION_OPTIONS_INIT;
    struct tears_error error;
    tears_collection *items = NULL;
    options.store = &hook.store;
    options.schema = schema;
    if (tears_collection_open(world.client, TEARS_STR("items"), &options, &items, &error) !=
        TEARS_OK)
        fail_msg("items: %s", error.message);
    return items;
}

static void a_table_with_a_store_of_its_own(void **state)
{
    (void)state;
    hook_store_init(&hook);
    tears_schema *schema = hook_store_schema();
    tears_collection *items = open_items(schema);
    tears_collection *notes = open_notes(NULL);
    const struct tears_field fields[] = {field_int("id", 1), field_text("name", "in the store")};
    tears_entity *entity = NULL;
    assert_int_equal(tears_insert(world.session, items, fields, 2, &entity), TEARS_OK);
    insert_note(notes, 1, "in the file");
    get(items, 1, TEARS_TIER_L1);
    const struct tears_value key = tears_int(1);
    assert_int_equal(tears_evict(world.session, items, &key, 1), TEARS_OK);
    assert_string_equal(embedded_text(get(items, 1, TEARS_TIER_L3), "name"), "in the store");
    assert_string_equal(embedded_text(get(notes, 1, TEARS_TIER_L1), "title"), "in the file");
    assert_int_equal(atomic_load(&hook.writes), 1);
    tears_schema_free(schema);
}

/* A transaction is of the client's database: what goes to another store is there at once, and a
 * rollback does not take it back. */
static void transactions_do_not_span_stores(void **state)
{
    (void)state;
    hook_store_init(&hook);
    tears_schema *schema = hook_store_schema();
    tears_collection *items = open_items(schema);
    tears_collection *notes = open_notes(NULL);
    const struct tears_field fields[] = {field_int("id", 1), field_text("name", "stays")};
    assert_int_equal(tears_begin(world.session), TEARS_OK);
    assert_int_equal(tears_insert(world.session, items, fields, 2, NULL), TEARS_OK);
    insert_note(notes, 1, "goes");
    assert_int_equal(tears_rollback(world.session), TEARS_OK);
    const struct tears_value key = tears_int(1);
    tears_entity *entity = NULL;
    assert_int_equal(tears_get(world.session, notes, &key, 1, &entity), TEARS_NOT_FOUND);
    assert_int_equal(tears_get(world.session, items, &key, 1, &entity), TEARS_OK);
    assert_string_equal(embedded_text(entity, "name"), "stays");
    tears_schema_free(schema);
}

static void a_store_that_is_not_whole_is_refused(void **state)
{
    (void)state;
    struct tears_collection_options options = TEARS_COLLECTION_OPTIONS_INIT;
    struct tears_error error;
    tears_collection *items = NULL;
    hook_store_init(&hook);
    tears_schema *schema = hook_store_schema();
    struct tears_store broken = hook.store;
    broken.fetch = NULL;
    options.store = &broken;
    options.schema = schema;
    assert_int_equal(
        tears_collection_open(world.client, TEARS_STR("items"), &options, &items, &error),
        TEARS_INVALID);
    options.store = &hook.store;
    options.schema = NULL; /* a store has no catalogue */
    assert_int_equal(
        tears_collection_open(world.client, TEARS_STR("items"), &options, &items, &error),
        TEARS_UNSUPPORTED);
    options.schema = schema;
    assert_int_equal(
        tears_collection_open(world.client, TEARS_STR("notes"), &options, &items, &error),
        TEARS_INVALID); /* the schema of another table */
    assert_non_null(strstr(error.message, "'notes'"));
    tears_schema_free(schema);
}

/* A number that begins with 1 each time would make the second life of a row look older than the first. */
static void a_computed_first_version_outlives_deletion(void **state)
{
    (void)state;
    embedded_sql(&world,
                 "CREATE TABLE lives (id INTEGER PRIMARY KEY, title TEXT NOT NULL, row_version "
                 "BIGINT NOT NULL "
                 "DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)))");
    tears_collection *lives = embedded_collection(&world, "lives");
    const struct tears_value key = tears_int(1);
    const struct tears_field title = field_text("title", "b");
    tears_entity *entity = insert_note(lives, 1, "a");
    const int64_t first = tears_entity_version(entity);
    assert_true(first > 1000000000000000);
    assert_int_equal(tears_update(world.session, entity, &title, 1, &entity), TEARS_OK);
    assert_int_equal(tears_entity_version(entity), first + 1);
    const tears_entity *stale = entity;
    assert_int_equal(tears_delete(world.session, lives, &key, 1), TEARS_OK);
    usleep(5000); /* SQLite's clock counts milliseconds */
    assert_true(tears_entity_version(insert_note(lives, 1, "c")) > first + 1);
    assert_int_equal(tears_update(world.session, stale, &title, 1, NULL), TEARS_CONFLICT);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_table_has_one_collection),
        TEST(a_table_without_l1),
        TEST(a_table_with_an_age_of_its_own),
        TEST(without_a_version_the_last_writer_wins),
        TEST(a_version_column_by_name),
        TEST(a_version_column_that_is_none),
        TEST(options_of_another_age),
        TEST(a_table_with_a_store_of_its_own),
        TEST(transactions_do_not_span_stores),
        TEST(a_store_that_is_not_whole_is_refused),
        TEST(a_computed_first_version_outlives_deletion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
