/*
 * test_data_store.c -- owners, their tables, and two processes (clients) that share L2: on PostgreSQL and on SQLite.
 */
#include "support/embedded.h"
#include "support/nats_server.h"
#include "support/pg_server.h"
#include "support/temp_folder.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tears/coherence.h>
#include <tears/data.h>
#include <tears/tears.h>
#include <time.h>

#include <cmocka.h>

static const uint8_t ada_id[16] = {0xad, 0xa0, 1};
static const uint8_t bob_id[16] = {0xb0, 0xb0, 2};

/* What one process has. */
struct process {
    tears_client *client;
    tears_session *session;
    tears_data *ada;
    tears_data *bob;
};

static struct world {
    bool is_postgresql;
    char url[256];
    char namespace_name[32];
    struct temp_folder folder;
    struct process here;
    struct process there;
} world;

/* ---- shorthands ------------------------------------------------------------------------------ */

static void expect_ok(const struct process *process, tears_status status)
{
    if (status != TEARS_OK)
        fail_msg("%s: %s", tears_status_name(status),
                 tears_session_error(process->session)->message);
}

static void expect_failure(const struct process *process, tears_status status,
                           tears_status expected, const char *fragment)
{
    const char *message = tears_session_error(process->session)->message;
    if (status != expected || strstr(message, fragment) == NULL)
        fail_msg("%s (%s), and not %s with '%s'", tears_status_name(status), message,
                 tears_status_name(expected), fragment);
}

static tears_data *open_owner(const struct process *process, const uint8_t *owner)
{
    struct tears_data_options options = TEARS_DATA_OPTIONS_INIT;
    struct tears_error error;
    tears_data *data = NULL;
    options.owner = owner;
    options.create_schema = 1;
    if (tears_data_open(process->client, &options, &data, &error) != TEARS_OK)
        fail_msg("open: %s", error.message);
    return data;
}

static void open_process(struct process *process)
{
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    struct tears_error error;
    options.l3_url = tears_str_c(world.url);
    options.l2_url = tears_str_c(test_nats_shared_url());
    options.namespace_name = tears_str_c(world.namespace_name);
    options.l3_pool_max = 2; /* few, so that owners meet on the same connections */
    if (tears_client_open(&options, &process->client, &error) != TEARS_OK)
        fail_msg("open: %s", error.message);
    assert_int_equal(tears_session_new(process->client, NULL, &process->session), TEARS_OK);
    process->ada = open_owner(process, ada_id);
    process->bob = open_owner(process, bob_id);
}

static void close_process(struct process *process)
{
    tears_data_free(process->ada);
    tears_data_free(process->bob);
    tears_session_free(process->session);
    tears_client_free(process->client);
}

static int open_world(bool is_postgresql)
{
    world.is_postgresql = is_postgresql;
    test_namespace(world.namespace_name);
    temp_folder_make(&world.folder);
    if (is_postgresql)
        test_pg_database(world.url, sizeof world.url);
    else
        (void)snprintf(world.url, sizeof world.url, "sqlite:%s",
                       temp_folder_path(&world.folder, "app.db"));
    open_process(&world.here);
    open_process(&world.there);
    return 0;
}

static int open_postgresql(void **state)
{
    (void)state;
    return open_world(true);
}

static int open_sqlite(void **state)
{
    (void)state;
    return open_world(false);
}

static int close_world(void **state)
{
    (void)state;
    close_process(&world.here);
    close_process(&world.there);
    temp_folder_remove(&world.folder);
    return 0;
}

static tears_schema *schema_of(const char *json)
{
    struct tears_error error;
    tears_schema *schema = NULL;
    if (tears_schema_from_json(tears_str_c(json), &schema, &error) != TEARS_OK)
        fail_msg("%s", error.message);
    return schema;
}

static tears_status try_create(const struct process *process, tears_data *data, const char *json,
                               struct tears_table_result *result)
{
    tears_schema *schema = schema_of(json);
    const struct tears_table_result empty = TEARS_TABLE_RESULT_INIT;
    *result = empty;
    const tears_status status =
        tears_data_create_table(process->session, data, schema, NULL, result);
    tears_schema_free(schema);
    return status;
}

static tears_collection *create(const struct process *process, tears_data *data, const char *json)
{
    struct tears_table_result result;
    expect_ok(process, try_create(process, data, json, &result));
    return result.collection;
}

static void run(const struct process *process, tears_data *data, const char *sql)
{
    expect_ok(process, tears_data_execute(process->session, data, tears_str_c(sql), NULL, 0, NULL));
}

/* The one integer of a statement. */
static int64_t number(const struct process *process, tears_data *data, const char *sql)
{
    tears_cursor *cursor = NULL;
    const struct tears_field *fields = NULL;
    size_t count = 0;
    expect_ok(process,
              tears_data_query(process->session, data, tears_str_c(sql), NULL, 0, &cursor));
    assert_int_equal(tears_cursor_next(cursor, &fields, &count), TEARS_OK);
    assert_int_equal(fields[0].value.kind, TEARS_KIND_INT);
    return fields[0].value.as.integer;
}

static tears_entity *insert(const struct process *process, tears_collection *notes, int64_t id,
                            const char *title)
{
    const struct tears_field fields[] = {field_int("id", id), field_text("title", title)};
    tears_entity *entity = NULL;
    expect_ok(process, tears_insert(process->session, notes, fields, 2, &entity));
    return entity;
}

static const char *title_of(const struct process *process, tears_collection *notes, int64_t id)
{
    const struct tears_value key = tears_int(id);
    tears_entity *entity = NULL;
    expect_ok(process, tears_get(process->session, notes, &key, 1, &entity));
    return embedded_text(entity, "title");
}

/* Waits until a condition that news from the other process make true is true. */
static bool wait_until(bool (*is_true)(void *owner), void *owner)
{
    for (int i = 0; i < 500; i++) {
        if (is_true(owner))
            return true;
        const struct timespec pause = {.tv_nsec = 10000000};
        (void)nanosleep(&pause, NULL);
    }
    return false;
}

static const char notes_json[] =
    "{\"name\": \"notes\", \"version_column\": \"rev\", \"columns\": ["
    "{\"name\": \"id\", \"column_type\": \"bigint\", \"primary_key\": true},"
    "{\"name\": \"title\", \"column_type\": \"text\", \"nullable\": false, \"default\": \"'new'\"},"
    "{\"name\": \"stars\", \"column_type\": \"integer\", \"default\": \"3\"},"
    "{\"name\": \"raw\", \"column_type\": \"bytea\"},"
    "{\"name\": \"rev\", \"column_type\": \"bigint\", \"nullable\": false}]}";

/* ---- statements run in the owner's schema ------------------------------------------------------ */

static void statements_run_where_the_owner_is(void **state)
{
    (void)state;
    const struct process *p = &world.here;
    expect_ok(p,
              tears_execute(p->session, TEARS_STR("CREATE TABLE raws (n INTEGER)"), NULL, 0, NULL));
    run(p, p->ada, "CREATE TABLE raws (n INTEGER)");
    run(p, p->bob, "CREATE TABLE raws (n INTEGER)");
    for (int i = 0; i < 4; i++) { /* over and over, on the two connections there are */
        run(p, p->ada, "INSERT INTO raws VALUES (1)");
        run(p, p->bob, "INSERT INTO raws VALUES (2), (2)");
        expect_ok(p, tears_execute(p->session, TEARS_STR("INSERT INTO raws VALUES (3), (3), (3)"),
                                   NULL, 0, NULL));
    }
    assert_int_equal(number(p, p->ada, "SELECT count(*) FROM raws WHERE n = 1"), 4);
    assert_int_equal(number(p, p->ada, "SELECT count(*) FROM raws"), 4);
    assert_int_equal(number(p, p->bob, "SELECT count(*) FROM raws WHERE n = 2"), 8);
    assert_int_equal(number(p, p->bob, "SELECT count(*) FROM raws"), 8);
    run(p, p->ada, "CREATE TABLE of_ada (n INTEGER)");
    expect_failure(
        p, tears_data_execute(p->session, p->bob, TEARS_STR("SELECT * FROM of_ada"), NULL, 0, NULL),
        TEARS_INVALID, "of_ada");
    expect_failure(p, tears_execute(p->session, TEARS_STR("SELECT * FROM of_ada"), NULL, 0, NULL),
                   TEARS_INVALID, "of_ada");
}

static void an_owners_path_ends_with_its_statement(void **state)
{
    (void)state;
    const struct process *p = &world.here;
    if (!world.is_postgresql)
        return;
    tears_cursor *cursor = NULL;
    const struct tears_field *fields = NULL;
    size_t count = 0;
    const struct tears_str ask = TEARS_STR("SELECT current_schema()::text");
    run(p, p->ada, "CREATE TABLE marks (n INTEGER)");
    expect_ok(p, tears_data_begin(p->session, p->ada));
    run(p, p->ada, "SAVEPOINT here");
    expect_ok(p, tears_query(p->session, ask, NULL, 0, &cursor));
    assert_int_equal(tears_cursor_next(cursor, &fields, &count), TEARS_OK);
    assert_string_equal(fields[0].value.as.bytes.ptr, "public");
    /* takes the owner's path back as well, which was set before the savepoint */
    expect_ok(p, tears_execute(p->session, TEARS_STR("ROLLBACK TO here"), NULL, 0, NULL));
    expect_ok(p, tears_query(p->session, ask, NULL, 0, &cursor));
    assert_int_equal(tears_cursor_next(cursor, &fields, &count), TEARS_OK);
    assert_string_equal(fields[0].value.as.bytes.ptr, "public");
    run(p, p->ada, "INSERT INTO marks VALUES (1)");
    expect_ok(p, tears_rollback(p->session));
    assert_int_equal(number(p, p->ada, "SELECT count(*) FROM marks"), 0);
}

/* PostgreSQL passes over schemas of search_path that do not exist. */
static void nothing_is_made_elsewhere_when_the_schema_is_gone(void **state)
{
    (void)state;
    static const uint8_t owner[16] = {0xde, 0xad};
    const struct process *p = &world.here;
    struct tears_data_options options = TEARS_DATA_OPTIONS_INIT;
    struct tears_error error;
    tears_data *data = NULL;
    options.owner = owner;
    assert_int_equal(tears_data_open(p->client, &options, &data, &error), TEARS_NOT_FOUND);
    if (!world.is_postgresql)
        return;
    data = open_owner(p, owner);
    assert_string_equal(tears_data_schema(data).ptr, "agent_dead0000000000000000000000000000");
    run(p, data, "CREATE TABLE lost (n INTEGER)");
    expect_ok(p, tears_execute(p->session, TEARS_STR("CREATE EXTENSION IF NOT EXISTS plpgsql;"),
                               NULL, 0, NULL));
    expect_ok(p, tears_execute(p->session,
                               TEARS_STR("DROP SCHEMA agent_dead0000000000000000000000000000 "
                                         "CASCADE"),
                               NULL, 0, NULL));
    expect_failure(p,
                   tears_data_execute(p->session, data, TEARS_STR("CREATE TABLE lost (n INTEGER)"),
                                      NULL, 0, NULL),
                   TEARS_INVALID, "agent_dead");
    tears_data_free(data);
}

/* ---- two owners in all tiers -------------------------------------------------------------------- */

static void two_owners_never_meet(void **state)
{
    (void)state;
    const struct process *a = &world.here;
    const struct process *b = &world.there;
    tears_collection *of_ada = create(a, a->ada, notes_json);
    tears_collection *of_bob = create(a, a->bob, notes_json);
    assert_ptr_not_equal(of_ada, of_bob);
    insert(a, of_ada, 1, "Ada's");
    insert(a, of_bob, 1, "Bob's");
    assert_string_equal(title_of(a, of_ada, 1), "Ada's"); /* L1 */
    assert_string_equal(title_of(a, of_bob, 1), "Bob's");
    /* another process, which has not made the tables: from L2 */
    tears_collection *there_ada = NULL;
    tears_collection *there_bob = NULL;
    struct tears_error error;
    assert_int_equal(tears_data_collection(b->ada, TEARS_STR("notes"), NULL, &there_ada, &error),
                     TEARS_OK);
    assert_int_equal(tears_data_collection(b->bob, TEARS_STR("notes"), NULL, &there_bob, &error),
                     TEARS_OK);
    assert_string_equal(title_of(b, there_ada, 1), "Ada's");
    assert_int_equal(tears_session_tier(b->session), TEARS_TIER_L2);
    assert_string_equal(title_of(b, there_bob, 1), "Bob's");
    assert_int_equal(tears_session_tier(b->session), TEARS_TIER_L2);
    /* and from L3 */
    assert_int_equal(number(a, a->ada, "SELECT count(*) FROM notes"), 1);
    /* a write of the one is news of the one */
    const struct tears_value key = tears_int(1);
    const struct tears_field change = field_text("title", "Ada's second");
    tears_entity *entity = NULL;
    expect_ok(b, tears_get(b->session, there_ada, &key, 1, &entity));
    expect_ok(b, tears_update(b->session, entity, &change, 1, &entity));
    expect_ok(b, tears_delete(b->session, there_bob, &key, 1));
    for (int i = 0; i < 500 && tears_exists_in_l1(a->session, of_ada, &key, 1); i++) {
        const struct timespec pause = {.tv_nsec = 5000000};
        (void)nanosleep(&pause, NULL);
    }
    assert_string_equal(title_of(a, of_ada, 1), "Ada's second");
    assert_int_equal(number(a, a->bob, "SELECT count(*) FROM notes"), 0);
    assert_int_equal(number(a, a->ada, "SELECT count(*) FROM notes"), 1);
}

static void collections_are_locked_optimistically(void **state)
{
    (void)state;
    const struct process *p = &world.here;
    tears_collection *notes = create(p, p->ada, notes_json);
    tears_entity *first = insert(p, notes, 50, "one");
    const struct tears_field change = field_text("title", "two");
    tears_entity *winner = NULL;
    assert_int_equal(embedded_int(first, "stars"), 3); /* the default was applied */
    expect_ok(p, tears_update(p->session, first, &change, 1, &winner));
    assert_int_equal(tears_update(p->session, first, &change, 1, &winner), TEARS_CONFLICT);
    assert_string_equal(embedded_text(winner, "title"), "two");
}

/* ---- declarations -------------------------------------------------------------------------------- */

static const struct tears_table_difference *difference(const struct tears_table_result *result,
                                                       const char *part, const char *name,
                                                       const char *aspect)
{
    for (size_t i = 0; i < result->difference_count; i++) {
        const struct tears_table_difference *one = &result->differences[i];
        if (strcmp(one->part.ptr, part) == 0 && strcmp(one->name.ptr, name) == 0 &&
            strcmp(one->aspect.ptr, aspect) == 0)
            return one;
    }
    fail_msg("no difference: %s '%s' %s", part, name, aspect);
    return NULL;
}

static void a_table_is_made_once(void **state)
{
    (void)state;
    const struct process *p = &world.here;
    struct tears_table_options options = TEARS_TABLE_OPTIONS_INIT;
    struct tears_table_result result;
    tears_schema *schema = schema_of(notes_json);
    expect_ok(p, tears_data_drop_table(p->session, p->ada, TEARS_STR("notes")));
    expect_ok(p, try_create(p, p->ada, notes_json, &result));
    assert_int_equal(result.created, 1);
    expect_ok(p, try_create(p, p->ada, notes_json, &result));
    assert_int_equal(result.created, 0);
    options.must_create = 1;
    expect_failure(p, tears_data_create_table(p->session, p->ada, schema, &options, &result),
                   TEARS_CONFLICT, "is there already");
    tears_schema_free(schema);
}

static void differences_are_told_one_by_one(void **state)
{
    (void)state;
    const struct process *p = &world.here;
    struct tears_table_result result;
    run(p, p->ada, "CREATE TABLE parent (id BIGINT PRIMARY KEY)");
    create(
        p, p->ada,
        "{\"name\": \"diff\", \"version_column\": \"rev\", \"columns\": ["
        "{\"name\": \"a\", \"column_type\": \"bigint\"},"
        "{\"name\": \"b\", \"column_type\": \"uuid\"},"
        "{\"name\": \"kept\", \"column_type\": \"text\", \"default\": \"'x'\"},"
        "{\"name\": \"price\", \"column_type\": \"decimal\", \"precision\": 10, \"scale\": 2},"
        "{\"name\": \"gone\", \"column_type\": \"bigint\"},"
        "{\"name\": \"rev\", \"column_type\": \"bigint\", \"nullable\": false}],"
        "\"primary_key\": [\"a\", \"b\"],"
        "\"unique_constraints\": [{\"name\": \"diff_uq\", \"columns\": [\"kept\", \"gone\"]}],"
        "\"indexes\": [{\"name\": \"diff_ix\", \"columns\": [\"kept\"], \"where\": \"gone > 3\"}],"
        "\"foreign_keys\": [{\"name\": \"diff_fk\", \"columns\": [\"gone\"],"
        " \"references_table\": \"parent\", \"references_columns\": [\"id\"]}]}");
    const tears_status status = try_create(
        p, p->ada,
        "{\"name\": \"diff\", \"on_conflict\": \"ignore\", \"columns\": ["
        "{\"name\": \"a\", \"column_type\": \"bigint\", \"partition\": true},"
        "{\"name\": \"b\", \"column_type\": \"text\"},"
        "{\"name\": \"kept\", \"column_type\": \"text\", \"nullable\": false,"
        " \"default\": \"'y'\", \"immutable\": true},"
        "{\"name\": \"price\", \"column_type\": \"decimal\", \"precision\": 12, \"scale\": 2},"
        "{\"name\": \"fresh\", \"column_type\": \"jsonb\"},"
        "{\"name\": \"rev\", \"column_type\": \"bigint\", \"nullable\": false}],"
        "\"primary_key\": [\"b\", \"a\"],"
        "\"unique_constraints\": [{\"name\": \"diff_uq\", \"columns\": [\"kept\"]},"
        " {\"name\": \"diff_uq2\", \"columns\": [\"b\"]}],"
        "\"indexes\": [{\"name\": \"diff_ix\", \"columns\": [\"kept\", \"a\"], \"unique\": true,"
        " \"where\": \"a > 3\"}, {\"name\": \"diff_ix2\", \"columns\": [\"a\"]}],"
        "\"foreign_keys\": [{\"name\": \"diff_fk\", \"columns\": [\"a\"],"
        " \"references_table\": \"parent\", \"references_columns\": [\"id\"]}]}",
        &result);
    expect_failure(p, status, TEARS_INVALID, "column 'b': type is '");
    assert_null(result.collection);
    static const char *const expected[][3] = {
        {"column", "a", "partition"},
        {"column", "b", "type"},
        {"column", "kept", "nullable"},
        {"column", "kept", "default"},
        {"column", "kept", "immutable"},
        {"column", "price", "type"},
        {"column", "fresh", "missing"},
        {"column", "gone", "extra"},
        {"primary key", "", "columns"},
        {"table", "", "version column"},
        {"table", "", "conflict policy"},
        {"unique constraint", "diff_uq", "columns"},
        {"unique constraint", "diff_uq2", "missing"},
        {"index", "diff_ix", "columns"},
        {"index", "diff_ix", "unique"},
        {"index", "diff_ix", "where"},
        {"index", "diff_ix2", "missing"},
        {"foreign key", "diff_fk", "missing"},
        {"foreign key", "diff_fk", "extra"},
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        (void)difference(&result, expected[i][0], expected[i][1], expected[i][2]);
    assert_int_equal(result.difference_count, sizeof expected / sizeof expected[0]);
    assert_string_equal(difference(&result, "primary key", "", "columns")->declared.ptr, "b, a");
    assert_string_equal(difference(&result, "primary key", "", "columns")->found.ptr, "a, b");
}

/* The types of enum columns stay when their table is dropped. */
static void labels_of_an_older_type_are_a_difference(void **state)
{
    (void)state;
    const struct process *p = &world.here;
    struct tears_table_result result;
    static const char one[] =
        "{\"name\": \"labelled\", \"columns\": ["
        "{\"name\": \"id\", \"column_type\": \"bigint\"},"
        "{\"name\": \"kind\", \"column_type\": \"enum\", \"enum_name\": \"labelled_kind\","
        " \"enum_values\": [\"a\", \"b\"]}]}";
    static const char other[] =
        "{\"name\": \"labelled\", \"columns\": ["
        "{\"name\": \"id\", \"column_type\": \"bigint\"},"
        "{\"name\": \"kind\", \"column_type\": \"enum\", \"enum_name\": \"labelled_kind\","
        " \"enum_values\": [\"a\", \"c\"]}]}";
    if (!world.is_postgresql)
        return;
    create(p, p->ada, one);
    expect_failure(p, try_create(p, p->ada, other, &result), TEARS_INVALID, "labels is 'a, b'");
    expect_ok(p, tears_data_drop_table(p->session, p->ada, TEARS_STR("labelled")));
    expect_failure(p, try_create(p, p->ada, other, &result), TEARS_INVALID, "labels is 'a, b'");
    const struct tears_str *names = NULL;
    size_t count = 0;
    expect_ok(p, tears_data_tables(p->session, p->ada, &names, &count));
    for (size_t i = 0; i < count;
         i++) /* nothing of the table that did not come out right is left */
        assert_string_not_equal(names[i].ptr, "labelled");
}

/* The database's own words for the same are no difference, and neither is an administrator's index. */
static void other_words_are_no_difference(void **state)
{
    (void)state;
    const struct process *p = &world.here;
    struct tears_table_result result;
    static const char words[] =
        "{\"name\": \"words\", \"columns\": ["
        "{\"name\": \"id\", \"column_type\": \"uuid\", \"default\": \"gen_random_uuid()\"},"
        "{\"name\": \"at\", \"column_type\": \"timestamp\", \"default\": \"CURRENT_TIMESTAMP\"},"
        "{\"name\": \"n\", \"column_type\": \"bigint\", \"default\": \"-1\"},"
        "{\"name\": \"doc\", \"column_type\": \"jsonb\", \"default\": \"'{}'\"}],"
        "\"indexes\": [{\"name\": \"words_ix\", \"columns\": [\"n\"], \"where\": \"n>3 and "
        "n<9\"}]}";
    expect_ok(p, try_create(p, p->ada, words, &result));
    run(p, p->ada, "CREATE INDEX by_hand ON words (at)");
    expect_ok(p, try_create(p, p->ada, words, &result));
    assert_int_equal(result.difference_count, 0);
    run(p, p->ada, "CREATE UNIQUE INDEX by_hand_unique ON words (at)");
    expect_failure(p, try_create(p, p->ada, words, &result), TEARS_INVALID,
                   "index 'by_hand_unique': extra");
}

static void composite_keys_defaults_and_references_work(void **state)
{
    (void)state;
    const struct process *p = &world.here;
    create(p, p->bob,
           "{\"name\": \"folders\", \"columns\": ["
           "{\"name\": \"id\", \"column_type\": \"bigint\"}]}");
    tears_collection *files =
        create(p, p->bob,
               "{\"name\": \"files\", \"columns\": ["
               "{\"name\": \"folder\", \"column_type\": \"bigint\"},"
               "{\"name\": \"path\", \"column_type\": \"text\"},"
               "{\"name\": \"size\", \"column_type\": \"bigint\", \"nullable\": false,"
               " \"default\": \"0\"}],"
               "\"primary_key\": [\"folder\", \"path\"],"
               "\"foreign_keys\": [{\"name\": \"files_folder\", \"columns\": [\"folder\"],"
               " \"references_table\": \"folders\", \"references_columns\": [\"id\"],"
               " \"on_delete\": \"CASCADE\"}]}");
    run(p, p->bob, "INSERT INTO folders VALUES (1)");
    const struct tears_field first[] = {field_int("folder", 1), field_text("path", "a")};
    const struct tears_field second[] = {field_int("folder", 1), field_text("path", "b")};
    const struct tears_field orphan[] = {field_int("folder", 7), field_text("path", "b")};
    tears_entity *entity = NULL;
    expect_ok(p, tears_insert(p->session, files, first, 2, &entity));
    assert_int_equal(embedded_int(entity, "size"), 0);
    expect_ok(p, tears_insert(p->session, files, second, 2, &entity));
    assert_int_equal(tears_insert(p->session, files, orphan, 2, &entity), TEARS_INVALID);
    const struct tears_value key[] = {tears_int(1), tears_text(TEARS_STR("a"))};
    expect_ok(p, tears_delete(p->session, files, key, 2)); /* this row, and not all of folder 1 */
    assert_int_equal(number(p, p->bob, "SELECT count(*) FROM files"), 1);
}

/* ---- many at once ---------------------------------------------------------------------------------- */

enum { CREATORS = 8 };

static void *create_at_once(void *argument)
{
    uint64_t *created = argument;
    struct process process;
    struct tears_table_result result;
    open_process(&process);
    const tears_status status =
        try_create(&process, process.bob,
                   "{\"name\": \"raced\", \"columns\": ["
                   "{\"name\": \"id\", \"column_type\": \"bigint\"},"
                   "{\"name\": \"kind\", \"column_type\": \"enum\", \"enum_name\": \"race_kind\","
                   " \"enum_values\": [\"a\", \"b\"]}],"
                   "\"indexes\": [{\"name\": \"raced_ix\", \"columns\": [\"kind\"]}]}",
                   &result);
    *created = status == TEARS_OK ? result.created : 100;
    close_process(&process);
    return NULL;
}

static void many_may_create_at_once(void **state)
{
    (void)state;
    pthread_t threads[CREATORS];
    uint64_t created[CREATORS] = {0};
    uint64_t sum = 0;
    for (int i = 0; i < CREATORS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, create_at_once, &created[i]), 0);
    for (int i = 0; i < CREATORS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        sum += created[i];
    }
    assert_int_equal(sum, 1);
}

/* ---- what outlives a process ---------------------------------------------------------------------- */

static void a_table_keeps_what_no_catalogue_has(void **state)
{
    (void)state;
    const struct process *a = &world.here;
    const struct process *b = &world.there;
    create(a, a->ada,
           "{\"name\": \"kept\", \"version_column\": \"rev\", \"columns\": ["
           "{\"name\": \"agent\", \"column_type\": \"bigint\", \"partition\": true},"
           "{\"name\": \"id\", \"column_type\": \"bigint\"},"
           "{\"name\": \"raw\", \"column_type\": \"bytea\", \"immutable\": true},"
           "{\"name\": \"rev\", \"column_type\": \"bigint\", \"nullable\": false}],"
           "\"primary_key\": [\"agent\", \"id\"]}");
    tears_collection *kept = NULL;
    struct tears_error error;
    struct tears_column_info info;
    assert_int_equal(tears_data_collection(b->ada, TEARS_STR("kept"), NULL, &kept, &error),
                     TEARS_OK);
    const tears_schema *schema = tears_collection_schema(kept);
    assert_int_equal(tears_schema_version_column(schema), 3);
    assert_int_equal(tears_schema_column(schema, 0, &info), TEARS_OK);
    assert_true(info.partition);
    assert_int_equal(tears_schema_column(schema, 2, &info), TEARS_OK);
    assert_true(info.immutable);
    struct tears_str json;
    expect_ok(b, tears_data_definition(b->session, b->ada, TEARS_STR("kept"), &json, NULL));
    assert_non_null(strstr(json.ptr, "\"partition\": true"));
}

struct gone {
    const struct process *process;
    tears_collection *collection;
};

static bool is_gone(void *owner)
{
    const struct gone *gone = owner;
    const struct tears_value key = tears_int(1);
    return !tears_exists_in_l1(gone->process->session, gone->collection, &key, 1);
}

static void a_table_made_anew_has_no_old_rows(void **state)
{
    (void)state;
    const struct process *a = &world.here;
    const struct process *b = &world.there;
    static const char json[] =
        "{\"name\": \"again\", \"version_column\": \"rev\", \"columns\": ["
        "{\"name\": \"id\", \"column_type\": \"bigint\"},"
        "{\"name\": \"title\", \"column_type\": \"text\"},"
        "{\"name\": \"rev\", \"column_type\": \"bigint\", \"nullable\": false}]}";
    tears_collection *first = create(a, a->ada, json);
    tears_collection *there = NULL;
    struct tears_error error;
    tears_entity *entity = insert(a, first, 1, "old");
    const struct tears_field change = field_text("title", "older and older");
    for (int i = 0; i < 5; i++)
        expect_ok(a, tears_update(a->session, entity, &change, 1, &entity));
    assert_int_equal(tears_data_collection(b->ada, TEARS_STR("again"), NULL, &there, &error),
                     TEARS_OK);
    assert_string_equal(title_of(b, there, 1), "older and older");
    expect_ok(a, tears_data_drop_table(a->session, a->ada, TEARS_STR("again")));
    struct gone gone = {b, there};
    assert_true(wait_until(is_gone, &gone));
    tears_collection *second = create(a, a->ada, json);
    assert_ptr_not_equal(first, second);
    const struct tears_value key = tears_int(1);
    assert_int_equal(tears_get(a->session, second, &key, 1, &entity), TEARS_NOT_FOUND);
    insert(a, second, 1, "new"); /* version 1, where version 6 was */
    expect_ok(a, tears_evict(a->session, second, &key, 1));
    assert_string_equal(title_of(a, second, 1), "new");
    tears_session_reset(b->session);
    expect_ok(b, tears_data_collection(b->ada, TEARS_STR("again"), NULL, &there, &error));
    expect_ok(b, tears_evict(b->session, there, &key, 1));
    assert_string_equal(title_of(b, there, 1), "new");
    assert_int_equal(tears_data_drop_table(a->session, a->ada, TEARS_STR("nowhere")),
                     TEARS_NOT_FOUND);
}

static void tables_are_listed_by_owner(void **state)
{
    (void)state;
    const struct process *p = &world.here;
    const struct tears_str *names = NULL;
    size_t count = 0;
    size_t found = 0;
    run(p, p->bob, "CREATE TABLE listed_of_bob (n INTEGER)");
    expect_ok(p, tears_data_tables(p->session, p->bob, &names, &count));
    for (size_t i = 0; i < count; i++)
        found += strcmp(names[i].ptr, "listed_of_bob") == 0 ? 1 : 0;
    assert_int_equal(found, 1);
    expect_ok(p, tears_data_tables(p->session, p->ada, &names, &count));
    for (size_t i = 0; i < count; i++)
        assert_string_not_equal(names[i].ptr, "listed_of_bob");
}

/* The Python package's L2 keys are `table.key` within the namespace. */
static void peers_know_tables_by_their_bare_names(void **state)
{
    (void)state;
    static const uint8_t owner[16] = {0xee};
    const struct process *p = &world.here;
    struct tears_data_options options = TEARS_DATA_OPTIONS_INIT;
    struct tears_error error;
    tears_data *data = NULL;
    options.owner = owner;
    options.create_schema = 1;
    options.peer_names = 1;
    assert_int_equal(tears_data_open(p->client, &options, &data, &error), TEARS_OK);
    tears_collection *notes = create(p, data, notes_json);
    assert_string_equal(tears_schema_name(tears_collection_schema(notes)).ptr, "notes");
    insert(p, notes, 1, "a peer's");
    assert_int_equal(number(p, data, "SELECT count(*) FROM notes"), 1);
    tears_data_free(data);
}

/* ---- partitions ------------------------------------------------------------------------------------ */

static tears_collection *memories(const struct process *p)
{
    tears_collection *collection =
        create(p, p->ada,
               "{\"name\": \"memories\", \"columns\": ["
               "{\"name\": \"agent\", \"column_type\": \"text\", \"partition\": true},"
               "{\"name\": \"id\", \"column_type\": \"bigint\"},"
               "{\"name\": \"kind\", \"column_type\": \"text\"}],"
               "\"primary_key\": [\"agent\", \"id\"]}");
    run(p, p->ada, "DELETE FROM memories");
    run(p, p->ada,
        "INSERT INTO memories VALUES ('a', 1, 'x'), ('a', 2, 'y'), ('b', 1, 'x'),"
        " ('c', 1, 'x'), ('c', 2, 'x')");
    return collection;
}

static void a_read_names_its_partition(void **state)
{
    (void)state;
    const struct process *p = &world.here;
    tears_collection *collection = memories(p);
    struct tears_page_options options = TEARS_PAGE_OPTIONS_INIT;
    struct tears_page page;
    const struct tears_field kind = field_text("kind", "x");
    const struct tears_field agent = field_text("agent", "a");
    const struct tears_field null = tears_field_of(TEARS_STR("agent"), tears_null());
    expect_failure(p, tears_page_read(p->session, collection, NULL, &page), TEARS_INVALID,
                   "a filter on 'agent', or partitions, is missing");
    options.filters = &kind;
    options.filter_count = 1;
    expect_failure(p, tears_page_read(p->session, collection, &options, &page), TEARS_INVALID,
                   "'agent'");
    options.filters = &null; /* the name alone does not do */
    assert_int_equal(tears_page_read(p->session, collection, &options, &page), TEARS_INVALID);
    options.filters = &agent;
    expect_ok(p, tears_page_read(p->session, collection, &options, &page));
    assert_int_equal(page.count, 2);
}

static void a_read_across_partitions_says_which(void **state)
{
    (void)state;
    const struct process *p = &world.here;
    tears_collection *collection = memories(p);
    struct tears_page_options options = TEARS_PAGE_OPTIONS_INIT;
    struct tears_page page;
    const tears_partitions *partitions = NULL;
    const struct tears_value values[] = {tears_text(TEARS_STR("c")), tears_text(TEARS_STR("a")),
                                         tears_text(TEARS_STR("c"))};
    const struct tears_field kind = field_text("kind", "x");
    expect_failure(p, tears_partitions_new(p->session, collection, NULL, 0, &partitions),
                   TEARS_INVALID, "at least one");
    assert_null(partitions);
    expect_ok(p, tears_partitions_new(p->session, collection, values, 3, &partitions));
    options.partitions = partitions;
    options.row_max = 2; /* pages, with a cursor that keeps the partitions */
    expect_ok(p, tears_page_read(p->session, collection, &options, &page));
    assert_int_equal(page.count, 2);
    assert_string_equal(embedded_text(page.entities[0], "agent"), "a");
    options.cursor = page.next_cursor;
    expect_ok(p, tears_page_read(p->session, collection, &options, &page));
    assert_int_equal(page.count, 2);
    assert_string_equal(embedded_text(page.entities[0], "agent"), "c");
    options.cursor = TEARS_STR("");
    options.row_max = 0;
    options.filters = &kind;
    options.filter_count = 1;
    expect_ok(p, tears_page_read(p->session, collection, &options, &page));
    assert_int_equal(page.count, 3);
    /* another number of partitions is another statement */
    expect_ok(p, tears_partitions_new(p->session, collection, values, 1, &partitions));
    options.partitions = partitions;
    expect_ok(p, tears_page_read(p->session, collection, &options, &page));
    assert_int_equal(page.count, 2);
}

static void a_partition_is_never_changed(void **state)
{
    (void)state;
    const struct process *p = &world.here;
    tears_collection *collection = memories(p);
    const struct tears_value key[] = {tears_text(TEARS_STR("a")), tears_int(1)};
    const struct tears_field change = field_text("agent", "b");
    tears_entity *entity = NULL;
    expect_ok(p, tears_get(p->session, collection, key, 2, &entity));
    assert_int_equal(tears_update(p->session, entity, &change, 1, &entity), TEARS_INVALID);
    assert_int_equal(tears_get(p->session, collection, key, 1, &entity), TEARS_INVALID);
}

/* ---- repoint --------------------------------------------------------------------------------------- */

static const char drafts_json[] =
    "{\"name\": \"drafts\", \"version_column\": \"rev\", \"columns\": ["
    "{\"name\": \"id\", \"column_type\": \"bigint\"},"
    "{\"name\": \"author\", \"column_type\": \"text\", \"immutable\": true},"
    "{\"name\": \"touched\", \"column_type\": \"timestamp\"},"
    "{\"name\": \"rev\", \"column_type\": \"bigint\", \"nullable\": false}]}";

static void insert_draft(const struct process *p, tears_collection *drafts, int64_t id,
                         const char *author)
{
    const struct tears_field fields[] = {field_int("id", id), field_text("author", author)};
    expect_ok(p, tears_upsert(p->session, drafts, fields, 2, NULL));
}

static const char *author_of(const struct process *p, tears_collection *drafts, int64_t id)
{
    const struct tears_value key = tears_int(id);
    tears_entity *entity = NULL;
    expect_ok(p, tears_get(p->session, drafts, &key, 1, &entity));
    return embedded_text(entity, "author");
}

static struct tears_repoint from_to(const char *column, const char *from, const char *to)
{
    struct tears_repoint repoint = TEARS_REPOINT_INIT;
    repoint.column = tears_str_c(column);
    repoint.from = tears_text(tears_str_c(from));
    repoint.to = tears_text(tears_str_c(to));
    return repoint;
}

static void rows_that_move_leave_the_caches_of_every_process(void **state)
{
    (void)state;
    const struct process *a = &world.here;
    const struct process *b = &world.there;
    tears_collection *drafts = create(a, a->ada, drafts_json);
    tears_collection *there = NULL;
    struct tears_error error;
    struct tears_repointed moved = {NULL, 0};
    insert_draft(a, drafts, 1, "ann");
    insert_draft(a, drafts, 2, "ann");
    insert_draft(a, drafts, 3, "cem");
    assert_int_equal(tears_data_collection(b->ada, TEARS_STR("drafts"), NULL, &there, &error),
                     TEARS_OK);
    for (int64_t id = 1; id <= 3; id++)
        (void)author_of(b, there, id); /* now in L2 and in both L1 */
    struct tears_repoint repoint = from_to("author", "ann", "bea");
    repoint.touch = TEARS_STR("touched");
    expect_ok(a, tears_data_begin(a->session, a->ada));
    expect_ok(a, tears_repoint(a->session, drafts, &repoint, &moved));
    assert_int_equal(moved.row_count, 2);
    assert_int_equal(moved.keys[0].as.integer + moved.keys[1].as.integer, 3);
    assert_string_equal(author_of(b, there, 1), "ann"); /* not before the commit */
    expect_ok(a, tears_commit(a->session));
    assert_int_equal(tears_session_degraded(a->session), 0);
    struct gone gone = {b, there};
    assert_true(wait_until(is_gone, &gone));
    assert_string_equal(author_of(a, drafts, 1), "bea");
    assert_string_equal(author_of(b, there, 1), "bea");
    assert_string_equal(author_of(b, there, 2), "bea");
    assert_string_equal(author_of(b, there, 3), "cem");
    assert_int_equal(number(a, a->ada, "SELECT count(*) FROM drafts WHERE touched IS NOT NULL"), 2);
    assert_int_equal(number(a, a->ada, "SELECT rev FROM drafts WHERE id = 1"), 2);
}

static void rows_that_did_not_move_stay(void **state)
{
    (void)state;
    const struct process *p = &world.here;
    tears_collection *drafts = create(p, p->ada, drafts_json);
    struct tears_repointed moved = {NULL, 0};
    const struct tears_repoint repoint = from_to("author", "dan", "eva");
    const struct tears_repoint nobody = from_to("author", "nobody", "eva");
    const struct tears_repoint same = from_to("author", "dan", "dan");
    insert_draft(p, drafts, 11, "dan");
    expect_ok(p, tears_data_begin(p->session, p->ada));
    expect_ok(p, tears_repoint(p->session, drafts, &repoint, &moved));
    assert_int_equal(moved.row_count, 1);
    expect_ok(p, tears_rollback(p->session));
    assert_string_equal(author_of(p, drafts, 11), "dan");
    expect_ok(p, tears_repoint(p->session, drafts, &nobody, &moved));
    assert_int_equal(moved.row_count, 0);
    expect_failure(p, tears_repoint(p->session, drafts, &same, &moved), TEARS_INVALID,
                   "from is to");
    /* without a transaction it has one of its own */
    expect_ok(p, tears_repoint(p->session, drafts, &repoint, &moved));
    assert_string_equal(author_of(p, drafts, 11), "eva");
}

/* The partition is part of the key: the row goes from one key to another. */
static void a_row_may_move_to_another_key(void **state)
{
    (void)state;
    const struct process *p = &world.here;
    tears_collection *collection = memories(p);
    const struct tears_value old_key[] = {tears_text(TEARS_STR("b")), tears_int(1)};
    const struct tears_value new_key[] = {tears_text(TEARS_STR("d")), tears_int(1)};
    const struct tears_repoint repoint = from_to("agent", "b", "d");
    const struct tears_repoint taken = from_to("agent", "a", "c");
    struct tears_repointed moved = {NULL, 0};
    tears_entity *entity = NULL;
    expect_ok(p, tears_get(p->session, collection, old_key, 2, &entity));
    assert_int_equal(tears_get(p->session, collection, new_key, 2, &entity), TEARS_NOT_FOUND);
    expect_ok(p, tears_repoint(p->session, collection, &repoint, &moved));
    assert_int_equal(moved.row_count, 1);
    assert_string_equal(moved.keys[0].as.bytes.ptr, "d");
    assert_int_equal(tears_get(p->session, collection, old_key, 2, &entity), TEARS_NOT_FOUND);
    expect_ok(p, tears_get(p->session, collection, new_key, 2, &entity));
    assert_int_not_equal(tears_repoint(p->session, collection, &taken, &moved), TEARS_OK);
    assert_int_equal(number(p, p->ada, "SELECT count(*) FROM memories WHERE agent = 'a'"), 2);
}

/* A table that a migration or the Python package made has nothing noted. */
static void a_table_of_others_is_adopted(void **state)
{
    (void)state;
    const struct process *p = &world.here;
    struct tears_table_result result;
    static const char json[] =
        "{\"name\": \"adopted\", \"columns\": ["
        "{\"name\": \"agent\", \"column_type\": \"bigint\", \"partition\": true},"
        "{\"name\": \"id\", \"column_type\": \"bigint\"}], \"primary_key\": [\"agent\", \"id\"]}";
    run(p, p->ada,
        "CREATE TABLE adopted (agent BIGINT NOT NULL, id BIGINT NOT NULL, PRIMARY KEY (agent, "
        "id))");
    const tears_status status = try_create(p, p->ada, json, &result);
    if (world.is_postgresql)
        expect_ok(p, status);
    else /* SQLite has no place to note it afterwards */
        expect_failure(p, status, TEARS_INVALID, "column 'agent': partition is 'no'");
}

#define CASES                                                                                      \
    cmocka_unit_test(statements_run_where_the_owner_is),                                           \
        cmocka_unit_test(an_owners_path_ends_with_its_statement),                                  \
        cmocka_unit_test(nothing_is_made_elsewhere_when_the_schema_is_gone),                       \
        cmocka_unit_test(two_owners_never_meet),                                                   \
        cmocka_unit_test(collections_are_locked_optimistically),                                   \
        cmocka_unit_test(a_table_is_made_once), cmocka_unit_test(differences_are_told_one_by_one), \
        cmocka_unit_test(labels_of_an_older_type_are_a_difference),                                \
        cmocka_unit_test(other_words_are_no_difference),                                           \
        cmocka_unit_test(composite_keys_defaults_and_references_work),                             \
        cmocka_unit_test(many_may_create_at_once),                                                 \
        cmocka_unit_test(a_table_keeps_what_no_catalogue_has),                                     \
        cmocka_unit_test(a_table_made_anew_has_no_old_rows),                                       \
        cmocka_unit_test(tables_are_listed_by_owner),                                              \
        cmocka_unit_test(peers_know_tables_by_their_bare_names),                                   \
        cmocka_unit_test(a_read_names_its_partition),                                              \
        cmocka_unit_test(a_read_across_partitions_says_which),                                     \
        cmocka_unit_test(a_partition_is_never_changed),                                            \
        cmocka_unit_test(rows_that_move_leave_the_caches_of_every_process),                        \
        cmocka_unit_test(rows_that_did_not_move_stay),                                             \
        cmocka_unit_test(a_row_may_move_to_another_key),                                           \
        cmocka_unit_test(a_table_of_others_is_adopted)

int main(void)
{
    test_nats_alone();
    const struct CMUnitTest tests[] = {CASES};
    const int failed = cmocka_run_group_tests_name("sqlite", tests, open_sqlite, close_world);
    return failed + cmocka_run_group_tests_name("postgresql", tests, open_postgresql, close_world);
}
