/*
 * test_weaknesses.c -- the weaknesses of the Python package that need no second process to show
 * (spec core.md section 32): each test is named after the one it shows to be gone.
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

static tears_entity *insert_note(int64_t id, const char *title)
{
    const struct tears_field fields[] = {field_int("id", id), field_text("title", title)};
    tears_entity *entity = NULL;
    if (tears_insert(world.session, notes, fields, 2, &entity) != TEARS_OK)
        fail_msg("insert: %s", tears_session_error(world.session)->message);
    return entity;
}

static tears_entity *get_note(int64_t id)
{
    const struct tears_value key = tears_int(id);
    tears_entity *entity = NULL;
    if (tears_get(world.session, notes, &key, 1, &entity) != TEARS_OK)
        fail_msg("get: %s", tears_session_error(world.session)->message);
    return entity;
}

static bool in_l1(int64_t id)
{
    const struct tears_value key = tears_int(id);
    return tears_exists_in_l1(world.session, notes, &key, 1);
}

static tears_status update_title(const tears_entity *base, const char *title, tears_entity **out)
{
    const struct tears_field change = field_text("title", title);
    return tears_update(world.session, base, &change, 1, out);
}

/* An entity is made of a row without writing that row anywhere. */
static void w02_making_an_entity_fills_nothing(void **state)
{
    (void)state;
    insert_note(1, "a");
    tears_entity *entity = get_note(1);
    const struct tears_value key = tears_int(1);
    assert_int_equal(tears_evict(world.session, notes, &key, 1), TEARS_OK);
    assert_string_equal(embedded_text(entity, "title"), "a");
    tears_entity *copy = NULL;
    assert_int_equal(tears_entity_copy(entity, world.session, &copy), TEARS_OK);
    assert_false(in_l1(1));
}

/* Inside a transaction nothing is seen outside it; after a rollback nothing is left in a cache. */
static void w11_caches_follow_the_commit(void **state)
{
    (void)state;
    tears_entity *before = insert_note(1, "old");
    tears_session *other = NULL;
    assert_int_equal(tears_session_new(world.client, NULL, &other), TEARS_OK);
    const struct tears_value key = tears_int(1);
    tears_entity *seen = NULL;

    assert_int_equal(tears_begin(world.session), TEARS_OK);
    assert_int_equal(update_title(before, "new", NULL), TEARS_OK);
    assert_string_equal(embedded_text(get_note(1), "title"), "new");
    assert_int_equal(tears_get(other, notes, &key, 1, &seen), TEARS_OK);
    assert_string_equal(embedded_text(seen, "title"), "old");
    assert_int_equal(tears_rollback(world.session), TEARS_OK);
    assert_string_equal(embedded_text(get_note(1), "title"), "old");

    assert_int_equal(tears_begin(world.session), TEARS_OK);
    assert_int_equal(update_title(before, "newer", NULL), TEARS_OK);
    assert_int_equal(tears_commit(world.session), TEARS_OK);
    assert_int_equal(tears_get(other, notes, &key, 1, &seen), TEARS_OK);
    assert_string_equal(embedded_text(seen, "title"), "newer");
    tears_session_free(other);
}

/* A row inserted, changed and deleted in one transaction leaves nothing behind. */
static void w11_last_change_of_a_transaction_counts(void **state)
{
    (void)state;
    assert_int_equal(tears_begin(world.session), TEARS_OK);
    tears_entity *entity = insert_note(1, "a");
    assert_int_equal(update_title(entity, "b", &entity), TEARS_OK);
    const struct tears_value key = tears_int(1);
    assert_int_equal(tears_delete(world.session, notes, &key, 1), TEARS_OK);
    insert_note(2, "c");
    assert_int_equal(tears_commit(world.session), TEARS_OK);
    tears_entity *gone = NULL;
    assert_int_equal(tears_get(world.session, notes, &key, 1, &gone), TEARS_NOT_FOUND);
    assert_string_equal(embedded_text(get_note(2), "title"), "c");
}

/* Changes are private to their entity until saved, and a failed save leaves no trace. */
static void w12_changes_are_private(void **state)
{
    (void)state;
    insert_note(1, "a");
    tears_entity *mine = get_note(1);
    tears_entity *theirs = get_note(1);
    assert_int_equal(tears_entity_set(mine, TEARS_STR("title"), tears_text(TEARS_STR("mine"))),
                     TEARS_OK);
    assert_string_equal(embedded_text(mine, "title"), "mine");
    assert_string_equal(embedded_text(theirs, "title"), "a");
    assert_string_equal(embedded_text(get_note(1), "title"), "a");

    assert_int_equal(update_title(theirs, "theirs", NULL), TEARS_OK);
    assert_int_equal(tears_entity_save(mine), TEARS_CONFLICT);
    assert_true(tears_entity_is_dirty(mine));
    assert_string_equal(embedded_text(get_note(1), "title"), "theirs");
}

/* A change made before someone's reload is still in the save that follows. */
static void w13_no_silent_lost_update(void **state)
{
    (void)state;
    insert_note(1, "a");
    tears_entity *mine = get_note(1);
    const struct tears_value key = tears_int(1);
    assert_int_equal(tears_evict(world.session, notes, &key, 1), TEARS_OK);
    assert_int_equal(tears_entity_set(mine, TEARS_STR("title"), tears_text(TEARS_STR("mine"))),
                     TEARS_OK);
    (void)get_note(1);
    assert_int_equal(tears_entity_save(mine), TEARS_OK);
    assert_false(tears_entity_is_dirty(mine));
    assert_int_equal(tears_evict(world.session, notes, &key, 1), TEARS_OK);
    assert_string_equal(embedded_text(get_note(1), "title"), "mine");
}

/* What one holds stays readable and saveable whatever happens to the caches. */
static void w14_held_entities_stay_whole(void **state)
{
    (void)state;
    insert_note(1, "a");
    tears_entity *held = get_note(1);
    const struct tears_value key = tears_int(1);
    assert_int_equal(tears_invalidate(world.session, notes, &key, 1), TEARS_OK);
    assert_string_equal(embedded_text(held, "title"), "a");
    assert_int_equal(embedded_int(held, "stars"), 3);
    assert_int_equal(tears_entity_set(held, TEARS_STR("body"), tears_text(TEARS_STR("b"))),
                     TEARS_OK);
    assert_int_equal(tears_entity_save(held), TEARS_OK);
    assert_string_equal(embedded_text(held, "title"), "a");
    assert_string_equal(embedded_text(held, "body"), "b");
}

/* Of two writers with the same base one wins; an insert never overwrites. */
static void w15_locking_is_not_optional(void **state)
{
    (void)state;
    insert_note(1, "a");
    tears_entity *first = get_note(1);
    tears_entity *second = get_note(1);
    const int64_t version = tears_entity_version(first);
    assert_int_equal(update_title(first, "first", &first), TEARS_OK);
    assert_true(tears_entity_version(first) > version);
    tears_entity *winner = NULL;
    assert_int_equal(update_title(second, "second", &winner), TEARS_CONFLICT);
    assert_string_equal(embedded_text(winner, "title"), "first");

    const struct tears_field again[] = {field_int("id", 1), field_text("title", "again")};
    assert_int_equal(tears_insert(world.session, notes, again, 2, &winner), TEARS_CONFLICT);
    assert_string_equal(embedded_text(winner, "title"), "first");
    assert_int_equal(tears_session_error(world.session)->status, TEARS_CONFLICT);
}

/* After a conflict the next read gives the winner's row, and the next try succeeds. */
static void w17_conflict_refreshes(void **state)
{
    (void)state;
    insert_note(1, "a");
    tears_entity *mine = get_note(1);
    embedded_sql(&world, "UPDATE notes SET title = 'raw', row_version = row_version + 1");
    assert_string_equal(embedded_text(get_note(1), "title"), "a"); /* L1 cannot know */
    assert_int_equal(update_title(mine, "mine", NULL), TEARS_CONFLICT);
    tears_entity *now = get_note(1);
    assert_string_equal(embedded_text(now, "title"), "raw");
    assert_int_equal(update_title(now, "mine", NULL), TEARS_OK);
}

/* An unsaved entity is nobody's row; a mistyped column is refused; the key does not change. */
static void w18_no_ghosts(void **state)
{
    (void)state;
    const struct tears_field fields[] = {field_int("id", 9), field_text("title", "ghost")};
    tears_entity *ghost = NULL;
    assert_int_equal(tears_entity_new(world.session, notes, fields, 2, &ghost), TEARS_OK);
    const struct tears_value key = tears_int(9);
    tears_entity *found = NULL;
    assert_int_equal(tears_get(world.session, notes, &key, 1, &found), TEARS_NOT_FOUND);
    assert_int_equal(tears_entity_set(ghost, TEARS_STR("titel"), tears_null()), TEARS_INVALID);
    assert_int_equal(tears_entity_save(ghost), TEARS_OK);
    assert_int_equal(tears_entity_set(ghost, TEARS_STR("id"), tears_int(10)), TEARS_INVALID);
    assert_int_equal(tears_get(world.session, notes, &key, 1, &found), TEARS_OK);
}

/* A composite key works everywhere a single one does. */
static void w20_composite_keys(void **state)
{
    (void)state;
    embedded_sql(&world, "CREATE TABLE pairs (a TEXT, b TEXT, n BIGINT, row_version BIGINT, "
                         "PRIMARY KEY (a, b))");
    tears_collection *pairs = embedded_collection(&world, "pairs");
    const struct tears_field fields[] = {field_text("a", "a_b"), field_text("b", "c"),
                                         field_int("n", 1)};
    const struct tears_field others[] = {field_text("a", "a"), field_text("b", "b_c"),
                                         field_int("n", 2)};
    assert_int_equal(tears_insert(world.session, pairs, fields, 3, NULL), TEARS_OK);
    assert_int_equal(tears_insert(world.session, pairs, others, 3, NULL), TEARS_OK);
    const struct tears_value key[] = {tears_text(TEARS_STR("a_b")), tears_text(TEARS_STR("c"))};
    tears_entity *entity = NULL;
    assert_int_equal(tears_get(world.session, pairs, key, 2, &entity), TEARS_OK);
    assert_int_equal(embedded_int(entity, "n"), 1);
    struct tears_value n;
    assert_int_equal(tears_get_field(world.session, pairs, key, 2, TEARS_STR("n"), &n), TEARS_OK);
    assert_int_equal(n.as.integer, 1);
    assert_int_equal(tears_get(world.session, pairs, key, 1, &entity), TEARS_INVALID);
    assert_non_null(strstr(tears_session_error(world.session)->message, "arity"));
    assert_int_equal(tears_entity_reload(entity), TEARS_OK);
    assert_int_equal(tears_delete(world.session, pairs, key, 2), TEARS_OK);
    assert_int_equal(tears_get(world.session, pairs, key, 2, &entity), TEARS_NOT_FOUND);
}

/* A statement that fails leaves no transaction open behind it. */
static void w29_errors_roll_back(void **state)
{
    (void)state;
    embedded_sql(&world, "CREATE TABLE checked (id INTEGER PRIMARY KEY, n BIGINT CHECK (n > 0))");
    tears_collection *checked = embedded_collection(&world, "checked");
    const struct tears_field bad[] = {field_int("id", 1), field_int("n", -1)};
    const struct tears_field good[] = {field_int("id", 1), field_int("n", 1)};
    assert_int_equal(tears_insert(world.session, checked, bad, 2, NULL), TEARS_INVALID);
    assert_int_equal(tears_insert(world.session, checked, good, 2, NULL), TEARS_OK);
    const struct tears_row_input rows[] = {{good, 2, NULL}, {bad, 2, NULL}};
    assert_int_equal(tears_upsert_many(world.session, checked, rows, 2, NULL), TEARS_INVALID);
    assert_int_equal(tears_upsert(world.session, checked, good, 2, NULL), TEARS_OK);
}

/* Tables of nothing but a key, and names that are SQL words. */
static void w30_key_only_tables_and_reserved_words(void **state)
{
    (void)state;
    embedded_sql(&world, "CREATE TABLE tags (name TEXT PRIMARY KEY)");
    embedded_sql(&world, "CREATE TABLE \"select\" (\"from\" INTEGER PRIMARY KEY, \"order\" TEXT)");
    tears_collection *tags = embedded_collection(&world, "tags");
    tears_collection *words = embedded_collection(&world, "select");
    const struct tears_field tag = field_text("name", "x");
    assert_int_equal(tears_insert(world.session, tags, &tag, 1, NULL), TEARS_OK);
    assert_int_equal(tears_upsert(world.session, tags, &tag, 1, NULL), TEARS_OK);
    const struct tears_field word[] = {field_int("from", 1), field_text("order", "by")};
    tears_entity *entity = NULL;
    assert_int_equal(tears_insert(world.session, words, word, 2, &entity), TEARS_OK);
    const struct tears_field change = field_text("order", "to");
    assert_int_equal(tears_update(world.session, entity, &change, 1, &entity), TEARS_OK);
    assert_string_equal(embedded_text(entity, "order"), "to");
}

/* W-37: saving a row without changeable columns is no failure. */
static void w37_rows_without_changeable_columns(void **state)
{
    (void)state;
    embedded_sql(&world, "CREATE TABLE seen (a INTEGER, b INTEGER, PRIMARY KEY (a, b))");
    tears_collection *seen = embedded_collection(&world, "seen");
    const struct tears_field fields[] = {field_int("a", 1), field_int("b", 2)};
    tears_entity *entity = NULL;
    assert_int_equal(tears_insert(world.session, seen, fields, 2, &entity), TEARS_OK);
    assert_int_equal(tears_update(world.session, entity, NULL, 0, &entity), TEARS_OK);
    assert_int_equal(tears_upsert(world.session, seen, fields, 2, &entity), TEARS_OK);
    assert_int_equal(embedded_int(entity, "b"), 2);
}

/* A lost update says whether the row was changed or is gone, and never brings it back. */
static void w38_conflict_tells_changed_from_gone(void **state)
{
    (void)state;
    tears_entity *mine = insert_note(1, "a");
    tears_entity *winner = mine;
    embedded_sql(&world, "UPDATE notes SET row_version = row_version + 1");
    assert_int_equal(update_title(mine, "b", &winner), TEARS_CONFLICT);
    assert_non_null(winner);
    embedded_sql(&world, "DELETE FROM notes");
    assert_int_equal(update_title(winner, "b", &winner), TEARS_CONFLICT);
    assert_null(winner);
    const struct tears_value key = tears_int(1);
    tears_entity *entity = NULL;
    assert_int_equal(tears_get(world.session, notes, &key, 1, &entity), TEARS_NOT_FOUND);
}

/* What the database fills in is what one gets back, at once and from the cache. */
static void w39_database_values_are_read_back(void **state)
{
    (void)state;
    embedded_sql(&world, "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, "
                         "state TEXT NOT NULL DEFAULT 'new', "
                         "length BIGINT GENERATED ALWAYS AS (length(name)) STORED, "
                         "row_version BIGINT NOT NULL DEFAULT 1)");
    tears_collection *items = embedded_collection(&world, "items");
    const struct tears_field name = field_text("name", "four");
    tears_entity *entity = NULL;
    if (tears_insert(world.session, items, &name, 1, &entity) != TEARS_OK)
        fail_msg("%s", tears_session_error(world.session)->message);
    assert_int_equal(embedded_int(entity, "id"), 1);
    assert_string_equal(embedded_text(entity, "state"), "new");
    assert_int_equal(embedded_int(entity, "length"), 4);
    const struct tears_value key = tears_int(1);
    tears_entity *again = NULL;
    assert_int_equal(tears_get(world.session, items, &key, 1, &again), TEARS_OK);
    assert_int_equal(tears_entity_tier(again), TEARS_TIER_L1);
    assert_int_equal(embedded_int(again, "length"), 4);
    const struct tears_field longer = field_text("name", "longer");
    assert_int_equal(tears_update(world.session, again, &longer, 1, &again), TEARS_OK);
    assert_int_equal(embedded_int(again, "length"), 6);
    assert_string_equal(embedded_text(again, "state"), "new");
}

/* Any JSON value is a JSON value: scalars and strings too, and each stays what it is. */
static void w31_w40_json_values_stay_what_they_are(void **state)
{
    (void)state;
    static const char *const values[] = {"true",
                                         "123",
                                         "\"123\"",
                                         "\"true\"",
                                         "null",
                                         "0.10",
                                         "1e400",
                                         "\"\"",
                                         "[1, \"x\"]",
                                         "{\"a\": 1.50}",
                                         "12345678901234567890123"};
    embedded_sql(&world, "CREATE TABLE docs (id INTEGER PRIMARY KEY, doc TEXT_JSON)");
    tears_collection *docs = embedded_collection(&world, "docs");
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        const struct tears_field fields[] = {
            field_int("id", (int64_t)i),
            tears_field_of(TEARS_STR("doc"), tears_json(tears_str_c(values[i])))};
        assert_int_equal(tears_insert(world.session, docs, fields, 2, NULL), TEARS_OK);
        const struct tears_value key = tears_int((int64_t)i);
        tears_entity *entity = NULL;
        assert_int_equal(tears_get(world.session, docs, &key, 1, &entity), TEARS_OK);
        assert_int_equal(tears_entity_tier(entity), TEARS_TIER_L1);
        assert_string_equal(embedded_text(entity, "doc"), values[i]);
        assert_int_equal(tears_evict(world.session, docs, &key, 1), TEARS_OK);
        assert_int_equal(tears_get(world.session, docs, &key, 1, &entity), TEARS_OK);
        assert_int_equal(tears_entity_tier(entity), TEARS_TIER_L3);
        assert_string_equal(embedded_text(entity, "doc"), values[i]);
    }
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(w02_making_an_entity_fills_nothing),
        IN_WORLD(w11_caches_follow_the_commit),
        IN_WORLD(w11_last_change_of_a_transaction_counts),
        IN_WORLD(w12_changes_are_private),
        IN_WORLD(w13_no_silent_lost_update),
        IN_WORLD(w14_held_entities_stay_whole),
        IN_WORLD(w15_locking_is_not_optional),
        IN_WORLD(w17_conflict_refreshes),
        IN_WORLD(w18_no_ghosts),
        IN_WORLD(w20_composite_keys),
        IN_WORLD(w29_errors_roll_back),
        IN_WORLD(w30_key_only_tables_and_reserved_words),
        IN_WORLD(w37_rows_without_changeable_columns),
        IN_WORLD(w38_conflict_tells_changed_from_gone),
        IN_WORLD(w39_database_values_are_read_back),
        IN_WORLD(w31_w40_json_values_stay_what_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
