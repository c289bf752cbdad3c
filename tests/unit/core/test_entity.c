/*
 * test_entity.c -- entities: private changes over an immutable snapshot.
 */
#include "support/embedded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct embedded world;
static tears_collection *notes;

static int open_world(void **state)
{
    (void)state;
    embedded_open(&world, "");
    embedded_sql(&world,
                 "CREATE TABLE notes (id INTEGER PRIMARY KEY, title TEXT NOT NULL, "
                 "body TEXT, stars BIGINT NOT NULL DEFAULT 3, row_version BIGINT NOT NULL)");
    notes = embedded_collection(&world, "notes");
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    embedded_close(&world);
    return 0;
}

static void expect_ok(tears_status status)
{
    if (status != TEARS_OK)
        fail_msg("%s: %s", tears_status_name(status), tears_session_error(world.session)->message);
}

static tears_entity *new_note(int64_t id, const char *title)
{
    const struct tears_field fields[] = {field_int("id", id), field_text("title", title)};
    tears_entity *entity = NULL;
    expect_ok(tears_entity_new(world.session, notes, fields, 2, &entity));
    return entity;
}

static tears_entity *saved_note(int64_t id, const char *title)
{
    tears_entity *entity = new_note(id, title);
    expect_ok(tears_entity_save(entity));
    return entity;
}

static void set_text(tears_entity *entity, const char *column, const char *text)
{
    expect_ok(tears_entity_set(entity, tears_str_c(column), tears_text(tears_str_c(text))));
}

static void a_new_entity_becomes_a_row(void **state)
{
    (void)state;
    tears_entity *entity = new_note(1, "a");
    assert_true(tears_entity_is_new(entity));
    assert_true(tears_entity_is_dirty(entity));
    assert_int_equal(tears_entity_version(entity), 0);
    assert_int_equal(tears_entity_tier(entity), TEARS_TIER_NONE);
    assert_ptr_equal(tears_entity_collection(entity), notes);
    struct tears_value stars;
    expect_ok(tears_entity_get(entity, TEARS_STR("stars"), &stars));
    assert_int_equal(stars.kind, TEARS_KIND_NULL); /* the default is the database's to give */
    expect_ok(tears_entity_save(entity));
    assert_false(tears_entity_is_new(entity));
    assert_false(tears_entity_is_dirty(entity));
    assert_int_equal(embedded_int(entity, "stars"), 3);
    assert_true(tears_entity_version(entity) > 0);
}

static void changes_lie_over_the_snapshot(void **state)
{
    (void)state;
    tears_entity *entity = saved_note(1, "a");
    const struct tears_field *changes = NULL;
    size_t count = 9;
    expect_ok(tears_entity_changes(entity, &changes, &count));
    assert_int_equal(count, 0);
    set_text(entity, "title", "b");
    set_text(entity, "title", "c"); /* the last one counts */
    expect_ok(tears_entity_set(entity, TEARS_STR("body"), tears_null()));
    assert_true(tears_entity_is_dirty(entity));
    assert_string_equal(embedded_text(entity, "title"), "c");
    expect_ok(tears_entity_changes(entity, &changes, &count));
    assert_int_equal(count, 2);
    assert_int_equal(changes[0].name.len, 5);
    assert_memory_equal(changes[0].value.as.bytes.ptr, "c", 1);
    assert_int_equal(changes[1].value.kind, TEARS_KIND_NULL);
    struct tears_value value;
    expect_ok(tears_entity_at(entity, 1, &value));
    assert_string_equal(value.as.bytes.ptr, "c");
    assert_int_equal(tears_entity_at(entity, 99, &value), TEARS_INVALID);
    assert_int_equal(tears_entity_get(entity, TEARS_STR("nothing"), &value), TEARS_INVALID);
    assert_non_null(strstr(tears_session_error(world.session)->message, "'nothing'"));
}

/* What was given may change afterwards; what was set does not. */
static void values_are_copied(void **state)
{
    (void)state;
    char title[] = "kept";
    char body[] = "kept too";
    const struct tears_field fields[] = {field_int("id", 1), field_text("title", title)};
    tears_entity *entity = NULL;
    expect_ok(tears_entity_new(world.session, notes, fields, 2, &entity));
    set_text(entity, "body", body);
    memset(title, '#', sizeof title - 1);
    memset(body, '#', sizeof body - 1);
    assert_string_equal(embedded_text(entity, "title"), "kept");
    assert_string_equal(embedded_text(entity, "body"), "kept too");
    expect_ok(tears_entity_save(entity));
    assert_string_equal(embedded_text(entity, "body"), "kept too");
}

struct refusal {
    const char *column;
    struct tears_value value;
    const char *reason;
};

static void what_cannot_be_set_is_refused(void **state)
{
    (void)state;
    const struct refusal refusals[] = {
        {"title", tears_null(), "NULL"},
        {"title", tears_int(3), "title"},
        {"stars", tears_text(TEARS_STR("many")), "stars"},
        {"stars", tears_double(1.5), "stars"},
        {"id", tears_int(2), "primary-key"},
        {"row_version", tears_int(9), "version"},
        {"titel", tears_text(TEARS_STR("x")), "no such column"},
        {"title", tears_text(TEARS_STR("\xff\xfe")), "UTF-8"},
    };
    tears_entity *entity = saved_note(1, "a");
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        const struct refusal *refusal = &refusals[i];
        assert_int_equal(tears_entity_set(entity, tears_str_c(refusal->column), refusal->value),
                         TEARS_INVALID);
        const char *message = tears_session_error(world.session)->message;
        if (strstr(message, refusal->reason) == NULL || strstr(message, refusal->column) == NULL ||
            strstr(message, "notes") == NULL)
            fail_msg("%s: the message is: %s", refusal->column, message);
        assert_false(tears_entity_is_dirty(entity));
    }
    assert_string_equal(embedded_text(entity, "title"), "a");
}

static void an_immutable_column_is_set_once(void **state)
{
    (void)state;
    const struct tears_str key = TEARS_STR("id");
    struct tears_column_def columns[2];
    memset(columns, 0, sizeof columns);
    columns[0].name = TEARS_STR("id");
    columns[0].type = TEARS_TYPE_BIGINT;
    columns[1].name = TEARS_STR("born");
    columns[1].type = TEARS_TYPE_STRING;
    columns[1].immutable = true;
    const struct tears_schema_def def = {.name = TEARS_STR("people"),
                                         .primary_key = &key,
                                         .primary_key_count = 1,
                                         .columns = columns,
                                         .column_count = 2};
    tears_schema *schema = NULL;
    struct tears_error error;
    assert_int_equal(tears_schema_new(&def, &schema, &error), TEARS_OK);
    embedded_sql(&world, "CREATE TABLE people (id INTEGER PRIMARY KEY, born TEXT)");
    struct tears_collection_options options = TEARS_COLLECTION_OPTIONS_INIT;
    tears_collection *people = NULL;
    options.schema = schema;
    assert_int_equal(
        tears_collection_open(world.client, TEARS_STR("people"), &options, &people, &error),
        TEARS_OK);
    const struct tears_field id = field_int("id", 1);
    tears_entity *entity = NULL;
    expect_ok(tears_entity_new(world.session, people, &id, 1, &entity));
    set_text(entity, "born", "1815");
    expect_ok(tears_entity_save(entity));
    assert_int_equal(tears_entity_set(entity, TEARS_STR("born"), tears_text(TEARS_STR("1816"))),
                     TEARS_INVALID);
    assert_non_null(strstr(tears_session_error(world.session)->message, "immutable"));
    assert_string_equal(embedded_text(entity, "born"), "1815");
    tears_schema_free(schema);
}

static uint64_t l3_writes(void)
{
    struct tears_client_stats stats = TEARS_CLIENT_STATS_INIT;
    tears_client_stats(world.client, &stats);
    return stats.l3_writes;
}

static void saving_a_clean_entity_writes_nothing(void **state)
{
    (void)state;
    tears_entity *entity = saved_note(1, "a");
    const uint64_t before = l3_writes();
    const int64_t version = tears_entity_version(entity);
    expect_ok(tears_entity_save(entity));
    assert_int_equal(l3_writes(), before);
    assert_int_equal(tears_entity_version(entity), version);
    set_text(entity, "title", "b");
    expect_ok(tears_entity_save(entity));
    assert_int_equal(l3_writes(), before + 1);
}

/* A save sends what has changed and nothing else: another column's writer is not overwritten. */
static void a_save_sends_only_its_changes(void **state)
{
    (void)state;
    tears_entity *entity = saved_note(1, "a");
    set_text(entity, "body", "mine");
    embedded_sql(&world, "UPDATE notes SET title = 'theirs'"); /* the version stays */
    expect_ok(tears_entity_save(entity));
    assert_string_equal(embedded_text(entity, "title"), "theirs");
    assert_string_equal(embedded_text(entity, "body"), "mine");
}

static void a_conflict_keeps_the_changes(void **state)
{
    (void)state;
    tears_entity *entity = saved_note(1, "a");
    embedded_sql(&world, "UPDATE notes SET title = 'theirs', row_version = row_version + 1");
    set_text(entity, "body", "mine");
    assert_int_equal(tears_entity_save(entity), TEARS_CONFLICT);
    assert_string_equal(embedded_text(entity, "body"), "mine");
    assert_true(tears_entity_is_dirty(entity));
    expect_ok(tears_entity_reload(entity));
    assert_false(tears_entity_is_dirty(entity));
    assert_string_equal(embedded_text(entity, "title"), "theirs");
    set_text(entity, "body", "mine");
    expect_ok(tears_entity_save(entity));
    assert_string_equal(embedded_text(entity, "body"), "mine");

    set_text(entity, "body", "too late");
    embedded_sql(&world, "DELETE FROM notes");
    assert_int_equal(tears_entity_save(entity), TEARS_CONFLICT);
    assert_string_equal(embedded_text(entity, "body"), "too late");
    assert_int_equal(tears_entity_reload(entity), TEARS_NOT_FOUND);
    assert_string_equal(embedded_text(entity, "title"), "theirs"); /* still readable */
}

/* A copy has the snapshot and the changes, and a life of its own. */
static void a_copy_lives_on(void **state)
{
    (void)state;
    tears_entity *entity = saved_note(1, "a");
    tears_session *other = NULL;
    tears_entity *copy = NULL;
    assert_int_equal(tears_session_new(world.client, NULL, &other), TEARS_OK);
    set_text(entity, "body", "changed");
    assert_int_equal(tears_entity_copy(entity, other, &copy), TEARS_OK);
    set_text(entity, "body", "changed again");
    assert_string_equal(embedded_text(copy, "body"), "changed");
    tears_session_reset(world.session);
    assert_string_equal(embedded_text(copy, "title"), "a");
    assert_int_equal(tears_entity_save(copy), TEARS_OK);
    assert_string_equal(embedded_text(copy, "body"), "changed");
    tears_session_free(other);

    struct embedded elsewhere;
    tears_entity *foreign = NULL;
    embedded_open(&elsewhere, "");
    entity = new_note(2, "b");
    assert_int_equal(tears_entity_copy(entity, elsewhere.session, &foreign), TEARS_MISUSE);
    assert_null(foreign);
    embedded_close(&elsewhere);
}

static void json_has_all_columns_and_the_changes(void **state)
{
    (void)state;
    tears_entity *entity = saved_note(1, "a \"quoted\" title");
    set_text(entity, "body", "line\n");
    struct tears_str json;
    expect_ok(tears_entity_json(entity, &json));
    char expected[160];
    snprintf(expected, sizeof expected,
             "{\"id\": 1, \"title\": \"a \\\"quoted\\\" title\", \"body\": \"line\\n\", "
             "\"stars\": 3, \"row_version\": %lld}",
             (long long)tears_entity_version(entity));
    assert_string_equal(json.ptr, expected);
    const struct tears_field *fields = NULL;
    size_t count = 0;
    expect_ok(tears_fields_from_json(world.session, tears_collection_schema(notes), json, &fields,
                                     &count));
    assert_int_equal(count, 5);
    assert_memory_equal(fields[2].value.as.bytes.ptr, "line\n", 5);
}

/* A new entity whose key exists is a conflict; nothing is overwritten, and it stays new. */
static void saving_a_new_entity_never_overwrites(void **state)
{
    (void)state;
    saved_note(1, "there");
    tears_entity *entity = new_note(1, "mine");
    assert_int_equal(tears_entity_save(entity), TEARS_CONFLICT);
    assert_true(tears_entity_is_new(entity));
    assert_string_equal(embedded_text(entity, "title"), "mine");
    const struct tears_value key = tears_int(1);
    tears_entity *found = NULL;
    expect_ok(tears_get(world.session, notes, &key, 1, &found));
    assert_string_equal(embedded_text(found, "title"), "there");
}

static void a_new_entity_needs_its_required_columns(void **state)
{
    (void)state;
    const struct tears_field id = field_int("id", 1);
    tears_entity *entity = NULL;
    expect_ok(tears_entity_new(world.session, notes, &id, 1, &entity));
    assert_int_equal(tears_entity_save(entity), TEARS_INVALID);
    assert_non_null(strstr(tears_session_error(world.session)->message, "'title'"));
    set_text(entity, "title", "now it has one");
    expect_ok(tears_entity_save(entity));
}

/* A change may be many, and of all columns: the room for them grows. */
static void changes_of_many_columns(void **state)
{
    (void)state;
    enum { COLUMNS = 40 };
    char sql[2048];
    size_t used = (size_t)snprintf(sql, sizeof sql, "CREATE TABLE wide (id INTEGER PRIMARY KEY");
    for (int i = 0; i < COLUMNS; i++)
        used += (size_t)snprintf(sql + used, sizeof sql - used, ", c%d TEXT", i);
    (void)snprintf(sql + used, sizeof sql - used, ")");
    embedded_sql(&world, sql);
    tears_collection *wide = embedded_collection(&world, "wide");
    const struct tears_field id = field_int("id", 1);
    tears_entity *entity = NULL;
    expect_ok(tears_insert(world.session, wide, &id, 1, &entity));
    for (int i = COLUMNS - 1; i >= 0; i--) {
        char name[16];
        snprintf(name, sizeof name, "c%d", i);
        set_text(entity, name, name);
    }
    expect_ok(tears_entity_save(entity));
    for (int i = 0; i < COLUMNS; i++) {
        char name[16];
        snprintf(name, sizeof name, "c%d", i);
        assert_string_equal(embedded_text(entity, name), name);
    }
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_entity_becomes_a_row),
        TEST(changes_lie_over_the_snapshot),
        TEST(values_are_copied),
        TEST(what_cannot_be_set_is_refused),
        TEST(an_immutable_column_is_set_once),
        TEST(saving_a_clean_entity_writes_nothing),
        TEST(a_save_sends_only_its_changes),
        TEST(a_conflict_keeps_the_changes),
        TEST(a_copy_lives_on),
        TEST(json_has_all_columns_and_the_changes),
        TEST(saving_a_new_entity_never_overwrites),
        TEST(a_new_entity_needs_its_required_columns),
        TEST(changes_of_many_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
