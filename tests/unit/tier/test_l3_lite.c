/*
 * test_l3_lite.c -- the durable tier on one SQLite file: every operation of l3.h, and what may go
 * wrong with it.
 */
#include "tier/l3.h"

#include "base/alloc.h"
#include "schema/ddl.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- a file of its own for every test ---- */

struct world {
    char directory[64];
    char url[96];
    struct t3_l3 *l3;
    struct t3_arena arena;
    struct tears_error error;
    struct t3_l3_call call;
};

static tears_status open_l3(struct world *world)
{
    const struct t3_l3_options options = {.url = tears_str_c(world->url), .connect_ms = 2000};
    return t3_l3_lite_open(&options, &world->l3, &world->error);
}

static int set_up(void **state)
{
    static struct world world;
    world = (struct world){.directory = "/tmp/test_l3_lite_XXXXXX"};
    assert_non_null(mkdtemp(world.directory));
    snprintf(world.url, sizeof world.url, "sqlite:%s/data.db", world.directory);
    assert_int_equal(open_l3(&world), TEARS_OK);
    world.call = (struct t3_l3_call){
        .arena = &world.arena, .deadline = t3_deadline_in_ms(60000), .error = &world.error};
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    world->l3->ops->free(world->l3);
    static const char *const ends[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < T3_COUNT(ends); i++) {
        char name[128];
        snprintf(name, sizeof name, "%s%s", world->url + 7, ends[i]);
        (void)unlink(name);
    }
    assert_int_equal(rmdir(world->directory), 0);
    t3_arena_done(&world->arena);
    return 0;
}

static tears_status query(struct world *world, const char *sql, struct t3_result *result)
{
    return world->l3->ops->query(world->l3, &world->call, tears_str_c(sql), NULL, 0, result);
}

static void run(struct world *world, const char *sql)
{
    struct t3_result result;
    const tears_status status = query(world, sql, &result);
    if (status != TEARS_OK)
        print_error("%s\n", world->error.message);
    assert_int_equal(status, TEARS_OK);
}

static int64_t number(struct world *world, const char *sql)
{
    struct t3_result result;
    assert_int_equal(query(world, sql, &result), TEARS_OK);
    assert_int_equal(result.row_count, 1);
    return result.values[0].as.integer;
}

static struct tears_schema *describe(struct world *world, const char *table)
{
    struct tears_schema *schema = NULL;
    const tears_status status = world->l3->ops->describe(
        world->l3, &world->call, tears_str_c(table), TEARS_STR(""), 0, &schema);
    if (status != TEARS_OK)
        print_error("%s\n", world->error.message);
    assert_int_equal(status, TEARS_OK);
    return schema;
}

/* ---- a table of users: id, name, email (unique), row_version ---- */

static const char users_sql[] =
    "CREATE TABLE users (id BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL DEFAULT 'nobody',"
    " email TEXT UNIQUE, age BIGINT CHECK (age >= 0), row_version BIGINT NOT NULL)";
enum { ID, NAME, EMAIL, AGE, ROW_VERSION };

struct change {
    struct t3_cell cells[4];
    struct tears_value id;
    struct t3_write write;
};

static struct t3_key key_of(const struct tears_value *id)
{
    return (struct t3_key){.values = id, .count = 1};
}

/* A write of a user's name; NULL: only the key. */
static struct t3_write *user(struct change *change, enum t3_write_kind kind, int64_t id,
                             const char *name)
{
    *change = (struct change){.id = tears_int(id)};
    uint32_t count = 0;
    if (kind == T3_WRITE_INSERT || kind == T3_WRITE_UPSERT)
        change->cells[count++] = (struct t3_cell){ID, change->id};
    if (name != NULL)
        change->cells[count++] = (struct t3_cell){NAME, tears_text(tears_str_c(name))};
    change->write =
        (struct t3_write){.cells = change->cells, .cell_count = count, .key = key_of(&change->id)};
    return &change->write;
}

static tears_status write_one(struct world *world, const struct tears_schema *schema,
                              enum t3_write_kind kind, struct t3_write *write)
{
    return world->l3->ops->write(world->l3, &world->call, schema, kind, write, 1);
}

static void insert_user(struct world *world, const struct tears_schema *schema, int64_t id,
                        const char *name)
{
    struct change change;
    assert_int_equal(
        write_one(world, schema, T3_WRITE_INSERT, user(&change, T3_WRITE_INSERT, id, name)),
        TEARS_OK);
    assert_int_equal(change.write.status, TEARS_OK);
}

static struct t3_row *fetch(struct world *world, const struct tears_schema *schema, int64_t id)
{
    const struct tears_value value = tears_int(id);
    const struct t3_key key = key_of(&value);
    struct t3_row *row = NULL;
    assert_int_equal(world->l3->ops->fetch(world->l3, &world->call, schema, &key, 1, &row),
                     TEARS_OK);
    return row;
}

static void assert_text(const struct tears_schema *schema, const struct t3_row *row,
                        uint32_t column, const char *text)
{
    assert_non_null(row);
    const struct tears_value value = t3_row_value(row, &schema->layout, column);
    assert_int_equal(value.as.bytes.len, strlen(text));
    assert_string_equal(value.as.bytes.ptr, text);
}

static struct tears_schema *with_users(struct world *world)
{
    run(world, users_sql);
    return describe(world, "users");
}

/* ---- writing and reading ---- */

static void an_insert_gives_the_row_as_stored(void **state)
{
    struct world *world = *state;
    struct tears_schema *schema = with_users(world);
    struct change change;
    struct t3_write *write = user(&change, T3_WRITE_INSERT, 7, NULL);
    assert_int_equal(write_one(world, schema, T3_WRITE_INSERT, write), TEARS_OK);
    assert_int_equal(write->status, TEARS_OK);
    assert_int_equal(write->version, 1);
    assert_text(schema, write->row, NAME, "nobody"); /* the database's default */
    assert_true(t3_row_is_null(write->row, EMAIL));
    const struct t3_row *row = fetch(world, schema, 7);
    assert_int_equal(row->size, write->row->size);
    assert_memory_equal(row, write->row, row->size);
    assert_null(fetch(world, schema, 8));
    tears_schema_free(schema);
}

static void a_duplicate_insert_conflicts_with_the_row_there(void **state)
{
    struct world *world = *state;
    struct tears_schema *schema = with_users(world);
    insert_user(world, schema, 7, "Ada");
    struct change change;
    struct t3_write *write = user(&change, T3_WRITE_INSERT, 7, "Bob");
    assert_int_equal(write_one(world, schema, T3_WRITE_INSERT, write), TEARS_OK);
    assert_int_equal(write->status, TEARS_CONFLICT);
    assert_text(schema, write->row, NAME, "Ada");
    assert_int_equal(write->version, 1);
    tears_schema_free(schema);
}

static void another_unique_column_conflicts_without_a_row(void **state)
{
    struct world *world = *state;
    struct tears_schema *schema = with_users(world);
    run(world, "INSERT INTO users VALUES (1, 'Ada', 'a@x', NULL, 1)");
    struct change change;
    struct t3_write *write = user(&change, T3_WRITE_INSERT, 2, "Bob");
    change.cells[write->cell_count++] = (struct t3_cell){EMAIL, tears_text(TEARS_STR("a@x"))};
    assert_int_equal(write_one(world, schema, T3_WRITE_INSERT, write), TEARS_OK);
    assert_int_equal(write->status, TEARS_CONFLICT);
    assert_null(write->row);
    assert_int_equal(number(world, "SELECT count(*) FROM users"), 1);
    tears_schema_free(schema);
}

static void broken_rules_name_table_and_column(void **state)
{
    struct world *world = *state;
    struct tears_schema *schema = with_users(world);
    struct change change;
    struct t3_write *write = user(&change, T3_WRITE_INSERT, 2, "Bob");
    change.cells[write->cell_count++] = (struct t3_cell){AGE, tears_int(-1)};
    assert_int_equal(write_one(world, schema, T3_WRITE_INSERT, write), TEARS_INVALID);
    assert_non_null(strstr(world->error.message, "users"));
    assert_non_null(strstr(world->error.message, "age"));
    assert_int_equal(world->error.detail, 275); /* SQLITE_CONSTRAINT_CHECK */
    write = user(&change, T3_WRITE_INSERT, 2, "Bob");
    change.cells[1].value = tears_null();
    assert_int_equal(write_one(world, schema, T3_WRITE_INSERT, write), TEARS_INVALID);
    assert_non_null(strstr(world->error.message, "users.name"));
    insert_user(world, schema, 2, "Bob"); /* nothing is left open (W-29) */
    tears_schema_free(schema);
}

static void an_update_needs_the_version_it_was_based_on(void **state)
{
    struct world *world = *state;
    struct tears_schema *schema = with_users(world);
    insert_user(world, schema, 7, "Ada");
    struct change change;
    struct t3_write *write = user(&change, T3_WRITE_UPDATE, 7, "Eve");
    write->has_base = true;
    write->base = 1;
    assert_int_equal(write_one(world, schema, T3_WRITE_UPDATE, write), TEARS_OK);
    assert_int_equal(write->status, TEARS_OK);
    assert_int_equal(write->version, 2);
    write = user(&change, T3_WRITE_UPDATE, 7, "Bob");
    write->has_base = true;
    write->base = 1;
    assert_int_equal(write_one(world, schema, T3_WRITE_UPDATE, write), TEARS_OK);
    assert_int_equal(write->status, TEARS_CONFLICT);
    assert_text(schema, write->row, NAME, "Eve");
    assert_int_equal(write->version, 2);
    change.id = tears_int(99);
    assert_int_equal(write_one(world, schema, T3_WRITE_UPDATE, write), TEARS_OK);
    assert_int_equal(write->status, TEARS_CONFLICT);
    assert_null(write->row);
    write->has_base = false;
    assert_int_equal(write_one(world, schema, T3_WRITE_UPDATE, write), TEARS_OK);
    assert_int_equal(write->status, TEARS_NOT_FOUND);
    write = user(&change, T3_WRITE_UPDATE, 7, NULL); /* moves the version only */
    assert_int_equal(write_one(world, schema, T3_WRITE_UPDATE, write), TEARS_OK);
    assert_int_equal(write->version, 3);
    tears_schema_free(schema);
}

static void a_timestamp_version_moves_strictly_forward(void **state)
{
    struct world *world = *state;
    run(world, "CREATE TABLE users (id BIGINT NOT NULL PRIMARY KEY, name TEXT,"
               " date_updated TEXT_DATETIME NOT NULL)");
    run(world, "INSERT INTO users VALUES (7, 'Ada', '2999-01-01 00:00:00')");
    struct tears_schema *schema = describe(world, "users");
    assert_int_equal(schema->version_column, 2);
    struct change change;
    struct t3_write *write = user(&change, T3_WRITE_UPDATE, 7, "Eve");
    write->has_base = true;
    write->base = 32472144000000000;
    assert_int_equal(write_one(world, schema, T3_WRITE_UPDATE, write), TEARS_OK);
    /* The base is compared as text of the fixed form; another program's form is another version. */
    assert_int_equal(write->status, TEARS_CONFLICT);
    write->has_base = false;
    assert_int_equal(write_one(world, schema, T3_WRITE_UPDATE, write), TEARS_OK);
    assert_int_equal(write->status, TEARS_OK);
    assert_true(write->version == 32472144000000001);
    write->has_base = true;
    write->base = write->version;
    assert_int_equal(write_one(world, schema, T3_WRITE_UPDATE, write), TEARS_OK);
    assert_int_equal(write->status, TEARS_OK);
    assert_true(write->version == 32472144000000002);
    tears_schema_free(schema);
}

static void an_upsert_overwrites_or_leaves(void **state)
{
    struct world *world = *state;
    struct tears_schema *schema = with_users(world);
    struct change change;
    struct t3_write *write = user(&change, T3_WRITE_UPSERT, 7, "Ada");
    assert_int_equal(write_one(world, schema, T3_WRITE_UPSERT, write), TEARS_OK);
    assert_int_equal(write->version, 1);
    write = user(&change, T3_WRITE_UPSERT, 7, "Eve");
    assert_int_equal(write_one(world, schema, T3_WRITE_UPSERT, write), TEARS_OK);
    assert_int_equal(write->status, TEARS_OK);
    assert_int_equal(write->version, 2);
    assert_text(schema, write->row, NAME, "Eve");
    tears_schema_free(schema);
}

static void a_delete_tells_the_last_version(void **state)
{
    struct world *world = *state;
    struct tears_schema *schema = with_users(world);
    insert_user(world, schema, 7, "Ada");
    struct change change;
    struct t3_write *write = user(&change, T3_WRITE_DELETE, 7, NULL);
    write->has_base = true;
    write->base = 5;
    assert_int_equal(write_one(world, schema, T3_WRITE_DELETE, write), TEARS_OK);
    assert_int_equal(write->status, TEARS_CONFLICT);
    assert_text(schema, write->row, NAME, "Ada");
    write->has_base = false;
    assert_int_equal(write_one(world, schema, T3_WRITE_DELETE, write), TEARS_OK);
    assert_int_equal(write->status, TEARS_OK);
    assert_int_equal(write->version, 1);
    assert_null(write->row);
    assert_int_equal(write_one(world, schema, T3_WRITE_DELETE, write), TEARS_OK);
    assert_int_equal(write->status, TEARS_NOT_FOUND);
    tears_schema_free(schema);
}

static void the_database_makes_keys(void **state)
{
    struct world *world = *state;
    run(world, "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)");
    struct tears_schema *schema = describe(world, "notes");
    assert_true(schema->columns[0].server_default.len > 0);
    for (int64_t i = 1; i <= 2; i++) {
        const struct t3_cell cell = {1, tears_text(TEARS_STR("x"))};
        struct t3_write write = {.cells = &cell, .cell_count = 1};
        assert_int_equal(write_one(world, schema, T3_WRITE_INSERT, &write), TEARS_OK);
        assert_int_equal(t3_row_value(write.row, &schema->layout, 0).as.integer, i);
    }
    tears_schema_free(schema);
}

/* ---- batches and transactions ---- */

enum { BATCH = 50 };

static void a_batch_is_all_or_nothing_but_for_conflicts(void **state)
{
    struct world *world = *state;
    struct tears_schema *schema = with_users(world);
    insert_user(world, schema, 10, "Ada");
    static struct change changes[BATCH];
    static struct t3_write writes[BATCH];
    for (int64_t i = 0; i < BATCH; i++)
        writes[i] = *user(&changes[i], T3_WRITE_INSERT, i, "x");
    assert_int_equal(
        world->l3->ops->write(world->l3, &world->call, schema, T3_WRITE_INSERT, writes, BATCH),
        TEARS_OK);
    for (int64_t i = 0; i < BATCH; i++)
        assert_int_equal(writes[i].status, i == 10 ? TEARS_CONFLICT : TEARS_OK);
    assert_int_equal(number(world, "SELECT count(*) FROM users"), BATCH);

    for (int64_t i = 0; i < BATCH; i++)
        writes[i] = *user(&changes[i], T3_WRITE_INSERT, 100 + i, "x");
    changes[BATCH - 1].cells[1].value = tears_null(); /* NOT NULL */
    assert_int_equal(
        world->l3->ops->write(world->l3, &world->call, schema, T3_WRITE_INSERT, writes, BATCH),
        TEARS_INVALID);
    assert_int_equal(number(world, "SELECT count(*) FROM users"), BATCH);
    tears_schema_free(schema);
}

static void many_keys_are_fetched_in_their_order(void **state)
{
    struct world *world = *state;
    struct tears_schema *schema = with_users(world);
    insert_user(world, schema, 1, "one");
    insert_user(world, schema, 3, "three");
    const struct tears_value ids[] = {tears_int(3), tears_int(2), tears_int(1), tears_int(3)};
    struct t3_key keys[4];
    struct t3_row *rows[4];
    for (size_t i = 0; i < 4; i++)
        keys[i] = key_of(&ids[i]);
    assert_int_equal(world->l3->ops->fetch(world->l3, &world->call, schema, keys, 4, rows),
                     TEARS_OK);
    assert_text(schema, rows[0], NAME, "three");
    assert_null(rows[1]);
    assert_text(schema, rows[2], NAME, "one");
    assert_text(schema, rows[3], NAME, "three");
    tears_schema_free(schema);
}

static void a_transaction_is_seen_by_itself_first(void **state)
{
    struct world *world = *state;
    struct tears_schema *schema = with_users(world);
    assert_int_equal(world->l3->ops->begin(world->l3, &world->call, &world->call.tx), TEARS_OK);
    insert_user(world, schema, 7, "Ada");
    assert_non_null(fetch(world, schema, 7));
    struct t3_l3_tx *tx = T3_TAKE(world->call.tx);
    assert_null(fetch(world, schema, 7));
    assert_int_equal(world->l3->ops->commit(world->l3, &world->call, tx), TEARS_OK);
    assert_non_null(fetch(world, schema, 7));
    assert_int_equal(world->l3->ops->begin(world->l3, &world->call, &world->call.tx), TEARS_OK);
    insert_user(world, schema, 8, "Bob");
    world->l3->ops->rollback(world->l3, T3_TAKE(world->call.tx));
    assert_null(fetch(world, schema, 8));
    tears_schema_free(schema);
}

static void a_failed_batch_leaves_the_transaction_as_it_was(void **state)
{
    struct world *world = *state;
    struct tears_schema *schema = with_users(world);
    assert_int_equal(world->l3->ops->begin(world->l3, &world->call, &world->call.tx), TEARS_OK);
    insert_user(world, schema, 1, "Ada");
    struct change changes[2];
    struct t3_write writes[2] = {*user(&changes[0], T3_WRITE_INSERT, 2, "Bob"),
                                 *user(&changes[1], T3_WRITE_INSERT, 3, "Eve")};
    changes[1].cells[1].value = tears_null();
    assert_int_equal(
        world->l3->ops->write(world->l3, &world->call, schema, T3_WRITE_INSERT, writes, 2),
        TEARS_INVALID);
    assert_int_equal(world->l3->ops->commit(world->l3, &world->call, T3_TAKE(world->call.tx)),
                     TEARS_OK);
    assert_int_equal(number(world, "SELECT sum(id) FROM users"), 1);
    tears_schema_free(schema);
}

static void a_transaction_that_sqlite_gave_up_cannot_go_on(void **state)
{
    struct world *world = *state;
    struct tears_schema *schema = with_users(world);
    run(world, "CREATE TABLE big (a)");
    assert_int_equal(world->l3->ops->begin(world->l3, &world->call, &world->call.tx), TEARS_OK);
    insert_user(world, schema, 1, "Ada");
    /* A write that the deadline interrupts takes its whole transaction with it. */
    world->call.deadline = t3_deadline_in_ms(30);
    struct t3_result result;
    assert_int_equal(query(world,
                           "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
                           " INSERT INTO big SELECT i FROM n",
                           &result),
                     TEARS_TIMEOUT);
    world->call.deadline = t3_deadline_in_ms(60000);
    struct change change;
    assert_int_equal(
        write_one(world, schema, T3_WRITE_INSERT, user(&change, T3_WRITE_INSERT, 2, "Bob")),
        TEARS_TIMEOUT);
    assert_non_null(strstr(world->error.message, "rolled back"));
    assert_int_equal(world->l3->ops->commit(world->l3, &world->call, T3_TAKE(world->call.tx)),
                     TEARS_TIMEOUT);
    assert_int_equal(number(world, "SELECT count(*) FROM users"), 0);
    insert_user(world, schema, 3, "Eve");
    tears_schema_free(schema);
}

static void a_second_writer_waits_until_its_deadline(void **state)
{
    struct world *world = *state;
    struct tears_schema *schema = with_users(world);
    struct t3_l3_tx *tx = NULL;
    assert_int_equal(world->l3->ops->begin(world->l3, &world->call, &tx), TEARS_OK);
    world->call.deadline = t3_deadline_in_ms(30);
    struct change change;
    assert_int_equal(
        write_one(world, schema, T3_WRITE_INSERT, user(&change, T3_WRITE_INSERT, 1, "Ada")),
        TEARS_TIMEOUT);
    world->call.deadline = t3_deadline_in_ms(60000);
    world->l3->ops->rollback(world->l3, tx);
    insert_user(world, schema, 1, "Ada");
    tears_schema_free(schema);
}

/* ---- values ---- */

static const char things_sql[] =
    "CREATE TABLE things (id TEXT_UUID NOT NULL PRIMARY KEY, word TEXT, price TEXT_NUMERIC(12, 4),"
    " doc TEXT_JSON, raw BLOB, seen TEXT_DATETIME, flag INTEGER_BOOL, ratio REAL,"
    " place TEXT_VECTOR(2), whole BIGINT)";

static void every_kind_comes_back_exactly(void **state)
{
    struct world *world = *state;
    run(world, things_sql);
    struct tears_schema *schema = describe(world, "things");
    const uint8_t uuid[16] = {0xAB, 0xCD};
    const double numbers[] = {-0.0, 1e-300};
    const struct tears_value values[] = {
        tears_uuid(uuid),
        tears_text(TEARS_STR("a\0b\xF0\x9F\x90\x98")),
        tears_decimal(TEARS_STR("0.1000")),
        tears_json(TEARS_STR("{\"n\": 1e400, \"m\": 0.10}")),
        tears_bytes(TEARS_STR("\0\xFF\0")),
        tears_timestamp_us(-1),
        tears_bool(true),
        tears_double(5e-324),
        tears_vector(numbers, 2),
        tears_int(INT64_MIN),
    };
    struct t3_cell cells[10];
    for (uint32_t i = 0; i < T3_COUNT(cells); i++) {
        cells[i] = (struct t3_cell){i, values[i]};
        assert_int_equal(schema->layout.kinds[i], values[i].kind);
    }
    struct t3_write write = {
        .cells = cells, .cell_count = T3_COUNT(cells), .key = {.values = values, .count = 1}};
    assert_int_equal(write_one(world, schema, T3_WRITE_INSERT, &write), TEARS_OK);
    for (uint32_t i = 0; i < T3_COUNT(cells); i++) {
        const struct tears_value got = t3_row_value(write.row, &schema->layout, i);
        assert_true(tears_value_equal(&got, &values[i]));
    }
    struct t3_row *row;
    assert_int_equal(world->l3->ops->fetch(world->l3, &world->call, schema, &write.key, 1, &row),
                     TEARS_OK);
    assert_memory_equal(row, write.row, row->size);
    struct t3_result result;
    assert_int_equal(query(world, "SELECT id, seen, price, place FROM things", &result), TEARS_OK);
    assert_string_equal(result.values[0].as.bytes.ptr, "abcd0000-0000-0000-0000-000000000000");
    assert_string_equal(result.values[1].as.bytes.ptr, "1969-12-31T23:59:59.999999+00:00");
    assert_string_equal(result.values[2].as.bytes.ptr, "0.1000");
    assert_string_equal(result.values[3].as.bytes.ptr, "[-0.0, 1e-300]");

    cells[7].value = tears_double((double)NAN); /* SQLite itself would make NULL of it */
    struct t3_write update = {.cells = &cells[7], .cell_count = 1, .key = write.key};
    assert_int_equal(write_one(world, schema, T3_WRITE_UPDATE, &update), TEARS_OK);
    assert_true(isnan(t3_row_value(update.row, &schema->layout, 7).as.number));
    cells[5].value = tears_timestamp_us(INT64_MAX);
    update.cells = &cells[5];
    assert_int_equal(write_one(world, schema, T3_WRITE_UPDATE, &update), TEARS_INVALID);
    assert_non_null(strstr(world->error.message, "9999"));
    tears_schema_free(schema);
}

static void a_value_of_another_type_is_corrupt_and_named(void **state)
{
    struct world *world = *state;
    run(world, users_sql);
    run(world, "CREATE TABLE loose (id BIGINT NOT NULL PRIMARY KEY, age BIGINT)");
    run(world, "INSERT INTO loose VALUES (7, 'seven'), (8, 8)");
    struct tears_schema *schema = describe(world, "loose");
    const struct tears_value id = tears_int(7);
    const struct t3_key key = key_of(&id);
    struct t3_row *row;
    assert_int_equal(world->l3->ops->fetch(world->l3, &world->call, schema, &key, 1, &row),
                     TEARS_CORRUPT);
    assert_non_null(strstr(world->error.message, "'loose'"));
    assert_non_null(strstr(world->error.message, "'age'"));
    assert_non_null(strstr(world->error.message, "7"));
    assert_non_null(fetch(world, schema, 8));
    tears_schema_free(schema);
}

/* ---- scan ---- */

static void pages_go_through_all_rows_once(void **state)
{
    struct world *world = *state;
    struct tears_schema *schema = with_users(world);
    for (int64_t i = 0; i < 100; i++)
        insert_user(world, schema, i, i % 2 == 0 ? "even" : "odd");
    const uint32_t order[] = {NAME, ID};
    struct tears_value after[2];
    struct t3_scan scan = {.order = order, .order_count = 2, .row_max = 7};
    uint64_t seen[2] = {0, 0};
    for (;;) {
        struct t3_row **rows;
        size_t count;
        assert_int_equal(
            world->l3->ops->scan(world->l3, &world->call, schema, &scan, &rows, &count), TEARS_OK);
        for (size_t i = 0; i < count; i++) {
            const int64_t id = t3_row_value(rows[i], &schema->layout, ID).as.integer;
            assert_int_equal(seen[id / 64] >> (id % 64) & 1, 0);
            seen[id / 64] |= (uint64_t)1 << (id % 64);
        }
        if (count < 7)
            break;
        after[0] = t3_row_value(rows[count - 1], &schema->layout, NAME);
        after[1] = t3_row_value(rows[count - 1], &schema->layout, ID);
        scan.after = after;
    }
    assert_true(seen[0] == UINT64_MAX && seen[1] == ((uint64_t)1 << 36) - 1);
    const struct t3_cell filter = {NAME, tears_text(TEARS_STR("odd"))};
    struct t3_scan filtered = {.filters = &filter,
                               .filter_count = 1,
                               .order = &order[1],
                               .order_count = 1,
                               .descending = true,
                               .row_max = 3};
    struct t3_row **rows;
    size_t count;
    assert_int_equal(
        world->l3->ops->scan(world->l3, &world->call, schema, &filtered, &rows, &count), TEARS_OK);
    assert_int_equal(count, 3);
    assert_int_equal(t3_row_value(rows[0], &schema->layout, ID).as.integer, 99);
    assert_int_equal(t3_row_value(rows[2], &schema->layout, ID).as.integer, 95);
    tears_schema_free(schema);
}

/* ---- SQL ---- */

static void ad_hoc_sql_reads_and_writes(void **state)
{
    struct world *world = *state;
    run(world, users_sql);
    const struct tears_value params[] = {tears_int(7), tears_text(TEARS_STR("Ada"))};
    struct t3_result result;
    assert_int_equal(world->l3->ops->query(
                         world->l3, &world->call,
                         TEARS_STR("INSERT INTO users (id, name, row_version) VALUES ($1, $2, 1)"),
                         params, 2, &result),
                     TEARS_OK);
    assert_int_equal(result.affected, 1);
    assert_int_equal(world->l3->ops->query(world->l3, &world->call,
                                           TEARS_STR("SELECT name, 1.5, NULL, x'00' FROM users"
                                                     " WHERE id = $1"),
                                           params, 1, &result),
                     TEARS_OK);
    assert_int_equal(result.row_count, 1);
    assert_int_equal(result.values[0].kind, TEARS_KIND_TEXT);
    assert_int_equal(result.values[1].kind, TEARS_KIND_DOUBLE);
    assert_int_equal(result.values[2].kind, TEARS_KIND_NULL);
    assert_int_equal(result.values[3].kind, TEARS_KIND_BYTES);
    assert_string_equal(result.names[0].ptr, "name");
    assert_int_equal(query(world, "CREATE TABLE other (a)", &result), TEARS_OK);
    assert_int_equal(result.affected, 0);
    assert_int_equal(query(world, "UPDATE users SET age = 5 RETURNING age", &result), TEARS_OK);
    assert_int_equal(result.affected, 1);
    assert_int_equal(result.values[0].as.integer, 5);
    assert_int_equal(query(world, "SELEC 1", &result), TEARS_INVALID);
    assert_non_null(strstr(world->error.message, "SELEC"));
    assert_int_equal(query(world, "BEGIN", &result), TEARS_DENIED);
    assert_int_equal(query(world, "PRAGMA foreign_keys = OFF", &result), TEARS_DENIED);
}

/* ---- the catalogue ---- */

static void a_table_is_described_with_all_it_has(void **state)
{
    struct world *world = *state;
    run(world, users_sql);
    run(world, "CREATE TABLE orders (region VARCHAR(8) NOT NULL, number INTEGER NOT NULL,"
               " user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,"
               " amount NUMERIC(10,2), at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, tags JSON,"
               " paid BOOLEAN, token UUID, half REAL, blob BLOB, anything,"
               " twice BIGINT GENERATED ALWAYS AS (number * 2) STORED,"
               " UNIQUE (user_id, at), PRIMARY KEY (number, region)) WITHOUT ROWID");
    run(world, "CREATE INDEX by_amount ON orders (amount)");
    struct tears_schema *schema = describe(world, "orders");
    static const uint8_t types[] = {TEARS_TYPE_STRING,  TEARS_TYPE_BIGINT,      TEARS_TYPE_BIGINT,
                                    TEARS_TYPE_NUMERIC, TEARS_TYPE_TIMESTAMPTZ, TEARS_TYPE_JSONB,
                                    TEARS_TYPE_BOOL,    TEARS_TYPE_UUID,        TEARS_TYPE_DOUBLE,
                                    TEARS_TYPE_BYTES,   TEARS_TYPE_STRING,      TEARS_TYPE_BIGINT};
    assert_int_equal(schema->column_count, T3_COUNT(types));
    for (size_t i = 0; i < T3_COUNT(types); i++)
        assert_int_equal(schema->columns[i].type, types[i]);
    assert_int_equal(schema->key_count, 2);
    assert_int_equal(schema->key[0], 1); /* in key order, not in table order */
    assert_int_equal(schema->key[1], 0);
    assert_int_equal(schema->columns[1].server_default.len, 0); /* no rowid */
    assert_int_equal(schema->columns[3].precision, 10);
    assert_int_equal(schema->columns[3].scale, 2);
    assert_false(schema->columns[2].nullable);
    assert_true(schema->columns[3].nullable);
    assert_true(schema->columns[11].generated);
    assert_int_equal(schema->foreign_key_count, 1);
    assert_int_equal(schema->index_count, 1);
    assert_int_equal(schema->unique_constraint_count, 1);
    assert_int_equal(schema->version_column, T3_NO_COLUMN);
    tears_schema_free(schema);

    struct tears_str *names;
    size_t count;
    assert_int_equal(world->l3->ops->tables(world->l3, &world->call, &names, &count), TEARS_OK);
    assert_int_equal(count, 2);
    assert_string_equal(names[0].ptr, "orders");
    assert_string_equal(names[1].ptr, "users");
}

static void a_table_made_by_us_is_described_as_declared(void **state)
{
    struct world *world = *state;
    const struct tears_str labels[] = {TEARS_STR("new"), TEARS_STR("it's, (done)")};
    const struct tears_column_def columns[] = {
        {.name = TEARS_STR("id"), .type = TEARS_TYPE_UUID},
        {.name = TEARS_STR("state"),
         .type = TEARS_TYPE_ENUM,
         .enum_name = TEARS_STR("state"),
         .enum_values = labels,
         .enum_value_count = 2},
        {.name = TEARS_STR("price"),
         .type = TEARS_TYPE_NUMERIC,
         .nullable = true,
         .precision = 12,
         .scale = 4,
         .has_scale = true},
        {.name = TEARS_STR("doc"), .type = TEARS_TYPE_JSONB, .nullable = true},
        {.name = TEARS_STR("raw"), .type = TEARS_TYPE_BYTES, .nullable = true},
        {.name = TEARS_STR("flag"), .type = TEARS_TYPE_BOOL, .nullable = true},
        {.name = TEARS_STR("ratio"), .type = TEARS_TYPE_DOUBLE, .nullable = true},
        {.name = TEARS_STR("place"), .type = TEARS_TYPE_VECTOR, .nullable = true, .vector_dim = 3},
        {.name = TEARS_STR("words"),
         .type = TEARS_TYPE_TSVECTOR,
         .nullable = true,
         .immutable = true},
        {.name = TEARS_STR("date_updated"), .type = TEARS_TYPE_TIMESTAMPTZ},
    };
    const struct tears_str key[] = {TEARS_STR("id")};
    const struct tears_schema_def def = {.name = TEARS_STR("jobs"),
                                         .primary_key = key,
                                         .primary_key_count = 1,
                                         .columns = columns,
                                         .column_count = T3_COUNT(columns),
                                         .version_column = TEARS_STR("date_updated")};
    struct tears_schema *declared = NULL;
    if (tears_schema_new(&def, &declared, &world->error) != TEARS_OK)
        fail_msg("%s", world->error.message);
    struct t3_buf sql = {0};
    assert_int_equal(t3_ddl_create_table(declared, T3_DIALECT_SQLITE, &sql), TEARS_OK);
    run(world, sql.ptr);
    t3_buf_done(&sql);
    struct tears_schema *found = describe(world, "jobs");
    assert_int_equal(found->column_count, T3_COUNT(columns));
    for (uint32_t i = 0; i < T3_COUNT(columns); i++) {
        assert_int_equal(found->columns[i].type, declared->columns[i].type);
        assert_int_equal(found->columns[i].nullable, declared->columns[i].nullable);
        assert_int_equal(found->columns[i].vector_dim, declared->columns[i].vector_dim);
        assert_int_equal(found->columns[i].precision, declared->columns[i].precision);
        assert_int_equal(found->columns[i].scale, declared->columns[i].scale);
    }
    assert_int_equal(found->version_column, declared->version_column);
    assert_int_equal(found->columns[1].enum_value_count, 2);
    assert_string_equal(found->columns[1].enum_values[0].ptr, "new");
    assert_string_equal(found->columns[1].enum_values[1].ptr, "it's, (done)");
    tears_schema_free(found);
    tears_schema_free(declared);
}

static void what_cannot_be_a_collection_says_why(void **state)
{
    struct world *world = *state;
    run(world, "CREATE TABLE keyless (a)");
    run(world, "CREATE VIEW seen AS SELECT 1 AS a");
    static const struct {
        const char *table;
        tears_status status;
        const char *words;
    } cases[] = {{"missing", TEARS_NOT_FOUND, "no such table"},
                 {"KEYLESS", TEARS_NOT_FOUND, "no such table"},
                 {"keyless", TEARS_INVALID, "no primary key"},
                 {"seen", TEARS_INVALID, "view"},
                 {"public.keyless", TEARS_NOT_FOUND, "main"},
                 {"", TEARS_NOT_FOUND, ""}};
    for (size_t i = 0; i < T3_COUNT(cases); i++) {
        struct tears_schema *schema = NULL;
        assert_int_equal(world->l3->ops->describe(world->l3, &world->call,
                                                  tears_str_c(cases[i].table), TEARS_STR(""), 0,
                                                  &schema),
                         cases[i].status);
        assert_null(schema);
        assert_non_null(strstr(world->error.message, cases[i].words));
    }
}

static void odd_names_work_everywhere(void **state)
{
    struct world *world = *state;
    run(world, "CREATE TABLE \"select \"\"x\"\"\" (\"group\" BIGINT NOT NULL PRIMARY KEY,"
               " \"a'b\" TEXT)");
    struct tears_schema *schema = describe(world, "select \"x\"");
    insert_user(world, schema, 1, "Ada");
    assert_text(schema, fetch(world, schema, 1), 1, "Ada");
    tears_schema_free(schema);
}

static void doctor_finds_the_settings(void **state)
{
    struct world *world = *state;
    struct t3_findings findings = {.arena = &world->arena};
    assert_int_equal(world->l3->ops->doctor(world->l3, &world->call, &findings), TEARS_OK);
    bool wal = false;
    bool sound = false;
    for (size_t i = 0; i < findings.count; i++) {
        assert_true(findings.items[i].severity < 2);
        wal |= strcmp(findings.items[i].value.ptr, "wal") == 0;
        sound |= strcmp(findings.items[i].subject.ptr, "integrity") == 0 &&
                 strcmp(findings.items[i].value.ptr, "ok") == 0;
    }
    assert_true(wal && sound);
}

/* ---- a full disk, and memory ---- */

static void a_full_disk_fails_the_batch_and_keeps_the_rest(void **state)
{
    struct world *world = *state;
    struct tears_schema *schema = with_users(world);
    insert_user(world, schema, 1000, "kept");
    static char name[20000];
    memset(name, 'x', sizeof name - 1);
    static struct change changes[BATCH];
    static struct t3_write writes[BATCH];
    for (int64_t i = 0; i < BATCH; i++)
        writes[i] = *user(&changes[i], T3_WRITE_INSERT, i, name);
    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    const struct rlimit small = {.rlim_cur = 200 * 1024, .rlim_max = old.rlim_max};
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction before;
    assert_int_equal(sigaction(SIGXFSZ, &ignore, &before), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const tears_status status =
        world->l3->ops->write(world->l3, &world->call, schema, T3_WRITE_INSERT, writes, BATCH);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(sigaction(SIGXFSZ, &before, NULL), 0);
    assert_int_equal(status, TEARS_LIMIT);
    assert_non_null(strstr(world->error.message, "full"));
    assert_non_null(strstr(world->error.message, world->url + 7));
    assert_int_equal(number(world, "SELECT count(*) FROM users"), 1);
    assert_int_equal(
        world->l3->ops->write(world->l3, &world->call, schema, T3_WRITE_INSERT, writes, BATCH),
        TEARS_OK);
    assert_int_equal(number(world, "SELECT count(*) FROM users"), BATCH + 1);
    tears_schema_free(schema);
}

static tears_status some_work(struct world *world, const struct tears_schema *schema, int64_t id)
{
    struct change change;
    T3_TRY(write_one(world, schema, T3_WRITE_UPSERT, user(&change, T3_WRITE_UPSERT, id, "Ada")));
    struct change pair[2];
    struct t3_write writes[2] = {*user(&pair[0], T3_WRITE_UPDATE, id, "Bob"),
                                 *user(&pair[1], T3_WRITE_UPDATE, id, "Eve")};
    T3_TRY(world->l3->ops->write(world->l3, &world->call, schema, T3_WRITE_UPDATE, writes, 2));
    struct t3_l3_tx *tx = NULL;
    T3_TRY(world->l3->ops->begin(world->l3, &world->call, &tx));
    T3_TRY(world->l3->ops->commit(world->l3, &world->call, tx));
    const struct tears_value value = tears_int(id);
    const struct t3_key key = key_of(&value);
    struct t3_row *row;
    T3_TRY(world->l3->ops->fetch(world->l3, &world->call, schema, &key, 1, &row));
    struct tears_schema *again;
    T3_TRY(world->l3->ops->describe(world->l3, &world->call, TEARS_STR("users"), TEARS_STR(""), 0,
                                    &again));
    tears_schema_free(again);
    struct t3_result result;
    return query(world, "SELECT * FROM users", &result);
}

static void every_failing_allocation_is_survived(void **state)
{
    struct world *world = *state;
    struct tears_schema *schema = with_users(world);
    for (uint64_t nth = 1;; nth++) {
        struct world here = {.arena = {0}};
        memcpy(here.url, world->url, sizeof here.url);
        here.call = (struct t3_l3_call){
            .arena = &here.arena, .deadline = t3_deadline_in_ms(60000), .error = &here.error};
        t3_alloc_fail_at(nth);
        tears_status status = open_l3(&here);
        if (status == TEARS_OK)
            status = some_work(&here, schema, (int64_t)nth);
        const bool reached = t3_alloc_count() >= nth;
        t3_alloc_fail_at(0);
        assert_true(status == TEARS_OK || status == TEARS_NO_MEMORY);
        if (status == TEARS_OK)
            assert_text(schema, fetch(world, schema, (int64_t)nth), NAME, "Eve");
        if (here.l3 != NULL)
            here.l3->ops->free(here.l3);
        t3_arena_done(&here.arena);
        insert_user(world, schema, -(int64_t)nth, "x"); /* nothing holds the lock */
        if (!reached) {
            assert_int_equal(status, TEARS_OK);
            assert_true(nth > 20);
            break;
        }
    }
    tears_schema_free(schema);
}

static void a_known_statement_allocates_nothing(void **state)
{
    struct world *world = *state;
    struct tears_schema *schema = with_users(world);
    insert_user(world, schema, 1, "Ada");
    struct change change;
    for (int i = 0; i < 3; i++) {
        t3_alloc_fail_at(UINT64_MAX); /* counts */
        assert_non_null(fetch(world, schema, 1));
        assert_int_equal(
            write_one(world, schema, T3_WRITE_UPDATE, user(&change, T3_WRITE_UPDATE, 1, "Eve")),
            TEARS_OK);
        if (i > 0)
            assert_int_equal(t3_alloc_count(), 0);
        t3_alloc_fail_at(0);
    }
    tears_schema_free(schema);
}

/* ---- threads ---- */

enum { THREADS = 6, ROUNDS = 100 };

struct worker {
    struct world *world;
    const struct tears_schema *schema;
    bool failed;
};

/* Each adds 1 to the same row's age, as often as it wins. */
static void *add_up(void *context)
{
    struct worker *worker = context;
    struct world here = {.l3 = worker->world->l3};
    here.call = (struct t3_l3_call){
        .arena = &here.arena, .deadline = t3_deadline_in_ms(60000), .error = &here.error};
    for (int done = 0; done < ROUNDS && !worker->failed;) {
        t3_arena_reset(&here.arena);
        const struct tears_value id = tears_int(1);
        const struct t3_key key = key_of(&id);
        struct t3_row *row = NULL;
        worker->failed =
            here.l3->ops->fetch(here.l3, &here.call, worker->schema, &key, 1, &row) != TEARS_OK ||
            row == NULL;
        if (worker->failed)
            break;
        const int64_t age = t3_row_value(row, &worker->schema->layout, AGE).as.integer;
        const struct t3_cell cell = {AGE, tears_int(age + 1)};
        struct t3_write write = {.cells = &cell,
                                 .cell_count = 1,
                                 .key = key,
                                 .has_base = true,
                                 .base = t3_schema_row_version(worker->schema, row)};
        worker->failed = write_one(&here, worker->schema, T3_WRITE_UPDATE, &write) != TEARS_OK;
        done += write.status == TEARS_OK ? 1 : 0;
    }
    t3_arena_done(&here.arena);
    return NULL;
}

static void no_update_is_lost_between_threads(void **state)
{
    struct world *world = *state;
    struct tears_schema *schema = with_users(world);
    run(world, "INSERT INTO users VALUES (1, 'Ada', NULL, 0, 1)");
    struct worker workers[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.world = world, .schema = schema};
        assert_int_equal(pthread_create(&threads[i], NULL, add_up, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_false(workers[i].failed);
    }
    assert_int_equal(number(world, "SELECT age FROM users"), THREADS * ROUNDS);
    assert_int_equal(number(world, "SELECT row_version FROM users"), THREADS * ROUNDS + 1);
    tears_schema_free(schema);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_insert_gives_the_row_as_stored),
        TEST(a_duplicate_insert_conflicts_with_the_row_there),
        TEST(another_unique_column_conflicts_without_a_row),
        TEST(broken_rules_name_table_and_column),
        TEST(an_update_needs_the_version_it_was_based_on),
        TEST(a_timestamp_version_moves_strictly_forward),
        TEST(an_upsert_overwrites_or_leaves),
        TEST(a_delete_tells_the_last_version),
        TEST(the_database_makes_keys),
        TEST(a_batch_is_all_or_nothing_but_for_conflicts),
        TEST(many_keys_are_fetched_in_their_order),
        TEST(a_transaction_is_seen_by_itself_first),
        TEST(a_failed_batch_leaves_the_transaction_as_it_was),
        TEST(a_transaction_that_sqlite_gave_up_cannot_go_on),
        TEST(a_second_writer_waits_until_its_deadline),
        TEST(every_kind_comes_back_exactly),
        TEST(a_value_of_another_type_is_corrupt_and_named),
        TEST(pages_go_through_all_rows_once),
        TEST(ad_hoc_sql_reads_and_writes),
        TEST(a_table_is_described_with_all_it_has),
        TEST(a_table_made_by_us_is_described_as_declared),
        TEST(what_cannot_be_a_collection_says_why),
        TEST(odd_names_work_everywhere),
        TEST(doctor_finds_the_settings),
        TEST(a_full_disk_fails_the_batch_and_keeps_the_rest),
        TEST(every_failing_allocation_is_survived),
        TEST(a_known_statement_allocates_nothing),
        TEST(no_update_is_lost_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
