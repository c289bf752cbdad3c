/*
 * test_soft_delete.c -- column bundles, and rows that are deleted by a mark: on SQLite always, on PostgreSQL when the
 * tests have a server.
 */
#include "base/macros.h"
#include "schema/ddl.h"
#include "support/embedded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { NAME = TEARS_COLUMNS_UUID_KEY, TIMES, MARKS = TIMES + TEARS_COLUMNS_TIMESTAMPS };
enum { COLUMNS = MARKS + TEARS_COLUMNS_SOFT_DELETE };

/* One database, and a table made of the bundles in it. */
struct place {
    const char *url;
    enum t3_dialect dialect;
    char table[64];
    char path[128];
    tears_client *client;
    tears_session *session;
    tears_session *all; /* sees what is marked, too */
    tears_collection *things;
    tears_schema *schema;
};

static tears_schema *declare(const char *table)
{
    static const struct tears_str key = {"id", 2};
    struct tears_column_def columns[COLUMNS];
    struct tears_schema_def def = {.name = tears_str_c(table),
                                   .primary_key = &key,
                                   .primary_key_count = 1,
                                   .columns = columns,
                                   .column_count = COLUMNS,
                                   .version_column = TEARS_STR("date_updated")};
    struct tears_error error = {.status = TEARS_OK};
    tears_schema *schema = NULL;
    tears_columns_uuid_key(columns);
    columns[NAME] = (struct tears_column_def){.name = TEARS_STR("name"), .type = TEARS_TYPE_STRING};
    tears_columns_timestamps(columns + TIMES);
    tears_columns_soft_delete(columns + MARKS);
    if (tears_schema_new(&def, &schema, &error) != TEARS_OK)
        fail_msg("schema: %s", error.message);
    return schema;
}

static void run_sql(struct place *place, struct tears_str sql)
{
    if (tears_execute(place->session, sql, NULL, 0, NULL) != TEARS_OK)
        fail_msg("%s", tears_session_error(place->session)->message);
}

static void open_table(struct place *place)
{
    struct tears_collection_options options = TEARS_COLLECTION_OPTIONS_INIT;
    struct tears_error error = {.status = TEARS_OK};
    T3_AUTO(t3_buf_done) struct t3_buf sql = {0};
    place->schema = declare(place->table);
    assert_int_equal(t3_ddl_create_table(place->schema, place->dialect, &sql), TEARS_OK);
    run_sql(place, t3_buf_str(&sql));
    options.schema = place->schema;
    options.soft_delete = 1;
    if (tears_collection_open(place->client, tears_str_c(place->table), &options, &place->things,
                              &error) != TEARS_OK)
        fail_msg("collection: %s", error.message);
}

static void open_place(struct place *place)
{
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    struct tears_session_options all = TEARS_SESSION_OPTIONS_INIT;
    struct tears_error error = {.status = TEARS_OK};
    options.l3_url = tears_str_c(place->url);
    options.l2_url = TEARS_STR("none");
    all.with_deleted = 1;
    if (tears_client_open(&options, &place->client, &error) != TEARS_OK)
        fail_msg("open: %s", error.message);
    assert_int_equal(tears_session_new(place->client, NULL, &place->session), TEARS_OK);
    assert_int_equal(tears_session_new(place->client, &all, &place->all), TEARS_OK);
    (void)snprintf(place->table, sizeof place->table, "soft_%d", (int)getpid());
    open_table(place);
}

static void close_place(struct place *place)
{
    T3_AUTO(t3_buf_done) struct t3_buf sql = {0};
    assert_int_equal(t3_buf_printf(&sql, "DROP TABLE %s", place->table), TEARS_OK);
    run_sql(place, t3_buf_str(&sql));
    tears_session_free(place->all);
    tears_session_free(place->session);
    tears_client_free(place->client);
    tears_schema_free(place->schema);
}

/* ---- what the cases share ---- */

static tears_entity *insert(struct place *place, const char *name)
{
    const struct tears_field field = field_text("name", name);
    tears_entity *entity = NULL;
    if (tears_insert(place->session, place->things, &field, 1, &entity) != TEARS_OK)
        fail_msg("insert: %s", tears_session_error(place->session)->message);
    return entity;
}

static struct tears_value value_of(const tears_entity *entity, const char *column)
{
    struct tears_value value;
    assert_int_equal(tears_entity_get(entity, tears_str_c(column), &value), TEARS_OK);
    return value;
}

static tears_status get(struct place *place, tears_session *session, struct tears_value id,
                        tears_entity **entity_out)
{
    return tears_get(session, place->things, &id, 1, entity_out);
}

/* Gone from every read of a session, in whichever tier the row still is. */
static void expect_gone(struct place *place, struct tears_value id)
{
    tears_entity *entity = NULL;
    struct tears_value value = tears_null();
    size_t found = 1;
    for (unsigned round = 0; round < 2; round++) { /* from L3 or L1, then from L1 */
        assert_int_equal(get(place, place->session, id, &entity), TEARS_NOT_FOUND);
        assert_null(entity);
        assert_int_equal(tears_get_many(place->session, place->things, &id, 1, &entity), TEARS_OK);
        assert_null(entity);
        assert_int_equal(
            tears_get_field(place->session, place->things, &id, 1, TEARS_STR("name"), &value),
            TEARS_NOT_FOUND);
        assert_int_equal(tears_ensure(place->session, place->things, &id, 1, &found), TEARS_OK);
        assert_int_equal(found, 0);
    }
}

static size_t count_rows(struct place *place, tears_session *session)
{
    struct tears_page page;
    if (tears_page_read(session, place->things, NULL, &page) != TEARS_OK)
        fail_msg("page: %s", tears_session_error(session)->message);
    return page.count;
}

/* ---- the cases ---- */

static void the_database_fills_the_bundles(struct place *place)
{
    tears_entity *entity = insert(place, "a");
    assert_int_equal(value_of(entity, "id").kind, TEARS_KIND_UUID);
    assert_int_equal(value_of(entity, "date_created").kind, TEARS_KIND_TIMESTAMP);
    assert_int_equal(value_of(entity, "is_deleted").kind, TEARS_KIND_BOOL);
    assert_false(value_of(entity, "is_deleted").as.boolean);
    assert_int_equal(value_of(entity, "date_deleted").kind, TEARS_KIND_NULL);
    const struct tears_field change = field_text("name", "b");
    const int64_t before = tears_entity_version(entity);
    assert_int_equal(tears_update(place->session, entity, &change, 1, &entity), TEARS_OK);
    assert_true(tears_entity_version(entity) > before);
    assert_int_equal(tears_delete_entity(place->session, entity), TEARS_OK);
}

static void a_deleted_row_is_hidden_and_still_there(struct place *place)
{
    tears_entity *kept = insert(place, "kept");
    tears_entity *entity = insert(place, "deleted");
    const struct tears_value id = value_of(entity, "id");
    const size_t before = count_rows(place, place->session);
    assert_int_equal(get(place, place->session, id, &entity), TEARS_OK);
    assert_int_equal(tears_delete(place->session, place->things, &id, 1), TEARS_OK);
    expect_gone(place, id);
    assert_int_equal(count_rows(place, place->session), before - 1);
    assert_int_equal(tears_entity_reload(entity), TEARS_NOT_FOUND);

    assert_int_equal(get(place, place->all, id, &entity), TEARS_OK);
    assert_true(value_of(entity, "is_deleted").as.boolean);
    assert_int_equal(value_of(entity, "date_deleted").kind, TEARS_KIND_TIMESTAMP);
    assert_string_equal(embedded_text(entity, "name"), "deleted");
    assert_true(count_rows(place, place->all) > before - 1);
    assert_int_equal(tears_delete_entity(place->session, kept), TEARS_OK);
}

static void deleting_again_finds_nothing_and_keeps_the_date(struct place *place)
{
    tears_entity *entity = insert(place, "once");
    const struct tears_value id = value_of(entity, "id");
    assert_int_equal(tears_delete(place->session, place->things, &id, 1), TEARS_OK);
    assert_int_equal(get(place, place->all, id, &entity), TEARS_OK);
    const int64_t date = value_of(entity, "date_deleted").as.integer;
    assert_int_equal(tears_delete(place->session, place->things, &id, 1), TEARS_NOT_FOUND);
    assert_int_equal(get(place, place->all, id, &entity), TEARS_OK);
    assert_int_equal(value_of(entity, "date_deleted").as.integer, date);
    static const uint8_t nobody[16] = {1};
    const struct tears_value other = tears_uuid(nobody);
    assert_int_equal(tears_delete(place->session, place->things, &other, 1), TEARS_NOT_FOUND);
}

static void a_deletion_is_checked_against_its_base(struct place *place)
{
    tears_entity *old = insert(place, "base");
    tears_entity *new = NULL;
    const struct tears_field change = field_text("name", "changed");
    assert_int_equal(tears_update(place->session, old, &change, 1, &new), TEARS_OK);
    assert_int_equal(tears_delete_entity(place->session, old), TEARS_CONFLICT);
    assert_int_equal(tears_delete_entity(place->session, new), TEARS_OK);
    tears_entity *winner = new;
    assert_int_equal(tears_update(place->session, new, &change, 1, &winner), TEARS_CONFLICT);
    assert_null(winner); /* what has won is that the row is gone */
}

static void a_key_stays_taken(struct place *place)
{
    tears_entity *entity = insert(place, "taken");
    const struct tears_value id = value_of(entity, "id");
    const struct tears_field fields[] = {tears_field_of(TEARS_STR("id"), id),
                                         field_text("name", "again")};
    const struct tears_field undo = tears_field_of(TEARS_STR("is_deleted"), tears_bool(false));
    assert_int_equal(tears_delete(place->session, place->things, &id, 1), TEARS_OK);
    assert_int_equal(tears_insert(place->session, place->things, fields, 2, &entity),
                     TEARS_CONFLICT);
    assert_null(entity);
    assert_int_equal(tears_upsert(place->session, place->things, fields, 2, NULL), TEARS_OK);
    expect_gone(place, id);
    assert_int_equal(get(place, place->all, id, &entity), TEARS_OK);
    assert_int_equal(tears_update(place->all, entity, &undo, 1, NULL), TEARS_OK);
    assert_int_equal(get(place, place->session, id, &entity), TEARS_OK);
    assert_string_equal(embedded_text(entity, "name"), "again");
    assert_int_equal(tears_delete(place->session, place->things, &id, 1), TEARS_OK);
}

static void many_are_deleted_at_once(struct place *place)
{
    enum { MANY = 50 };
    static const uint8_t nobody[16] = {2};
    struct tears_value ids[MANY + 1];
    size_t deleted = 0;
    for (unsigned i = 0; i < MANY; i++)
        ids[i] = value_of(insert(place, "many"), "id");
    ids[MANY] = tears_uuid(nobody);
    assert_int_equal(tears_delete(place->session, place->things, &ids[7], 1), TEARS_OK);
    assert_int_equal(tears_delete_many(place->session, place->things, ids, MANY + 1, &deleted),
                     TEARS_OK);
    assert_int_equal(deleted, MANY - 1);
    for (unsigned i = 0; i < MANY; i += 7)
        expect_gone(place, ids[i]);
    assert_int_equal(tears_delete_many(place->session, place->things, ids, 0, &deleted), TEARS_OK);
    assert_int_equal(deleted, 0);
}

static void a_transaction_may_take_it_back(struct place *place)
{
    const struct tears_value id = value_of(insert(place, "transaction"), "id");
    tears_entity *entity = NULL;
    assert_int_equal(tears_begin(place->session), TEARS_OK);
    assert_int_equal(tears_delete(place->session, place->things, &id, 1), TEARS_OK);
    assert_int_equal(get(place, place->session, id, &entity), TEARS_NOT_FOUND);
    assert_int_equal(tears_rollback(place->session), TEARS_OK);
    assert_int_equal(get(place, place->session, id, &entity), TEARS_OK);
    assert_int_equal(tears_begin(place->session), TEARS_OK);
    assert_int_equal(tears_delete(place->session, place->things, &id, 1), TEARS_OK);
    assert_int_equal(tears_commit(place->session), TEARS_OK);
    expect_gone(place, id);
}

/* Pages are cut in the database: none comes out short because rows of it are hidden. */
static void pages_stay_full(struct place *place)
{
    struct tears_page_options options = TEARS_PAGE_OPTIONS_INIT;
    const struct tears_field filter = field_text("name", "page");
    options.filters = &filter;
    options.filter_count = 1;
    options.row_max = 4;
    for (unsigned i = 0; i < 12; i++) {
        const struct tears_value id = value_of(insert(place, "page"), "id");
        if (i % 3 == 0)
            assert_int_equal(tears_delete(place->session, place->things, &id, 1), TEARS_OK);
    }
    struct tears_page page;
    assert_int_equal(tears_page_read(place->session, place->things, &options, &page), TEARS_OK);
    assert_int_equal(page.count, 4);
    options.cursor = page.next_cursor;
    assert_int_equal(tears_page_read(place->session, place->things, &options, &page), TEARS_OK);
    assert_int_equal(page.count, 4);
    assert_int_equal(page.next_cursor.len, 0);
}

static void run_cases(struct place *place)
{
    open_place(place);
    the_database_fills_the_bundles(place);
    a_deleted_row_is_hidden_and_still_there(place);
    deleting_again_finds_nothing_and_keeps_the_date(place);
    a_deletion_is_checked_against_its_base(place);
    a_key_stays_taken(place);
    many_are_deleted_at_once(place);
    a_transaction_may_take_it_back(place);
    pages_stay_full(place);
    close_place(place);
}

static void on_sqlite(void **state)
{
    (void)state;
    char url[160];
    struct embedded file;
    embedded_open(&file, ""); /* for a path of its own that is removed at the end */
    (void)snprintf(url, sizeof url, "sqlite:%s", file.path);
    struct place place = {.url = url, .dialect = T3_DIALECT_SQLITE};
    run_cases(&place);
    embedded_close(&file);
}

static void on_postgresql(void **state)
{
    (void)state;
    struct place place = {.url = getenv("TEARS_TEST_PG_URL"), .dialect = T3_DIALECT_POSTGRESQL};
    if (place.url == NULL)
        skip();
    run_cases(&place);
}

/* ---- what cannot be opened ---- */

static void a_table_without_the_columns_is_refused(void **state)
{
    (void)state;
    static const char *const tables[] = {
        "CREATE TABLE plain (id INTEGER PRIMARY KEY)",
        "CREATE TABLE texts (id INTEGER PRIMARY KEY, is_deleted TEXT NOT NULL)",
        "CREATE TABLE nullable (id INTEGER PRIMARY KEY, is_deleted INTEGER_BOOL)",
        "CREATE TABLE dated (id INTEGER PRIMARY KEY, is_deleted INTEGER_BOOL NOT NULL, "
        "date_deleted INTEGER)",
    };
    static const char *const names[] = {"plain", "texts", "nullable", "dated"};
    struct tears_collection_options options = TEARS_COLLECTION_OPTIONS_INIT;
    struct embedded world;
    embedded_open(&world, "");
    options.soft_delete = 1;
    for (size_t i = 0; i < T3_COUNT(tables); i++) {
        struct tears_error error = {.status = TEARS_OK};
        tears_collection *collection = NULL;
        embedded_sql(&world, tables[i]);
        assert_int_equal(tears_collection_open(world.client, tears_str_c(names[i]), &options,
                                               &collection, &error),
                         TEARS_INVALID);
        assert_non_null(strstr(error.message, "soft_delete"));
    }
    embedded_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(on_sqlite),
        cmocka_unit_test(on_postgresql),
        cmocka_unit_test(a_table_without_the_columns_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
