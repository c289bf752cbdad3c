/*
 * test_store_definitions.c -- declarations by chance: made, described, made again from the description, and equal.
 */
#include "base/arena.h"
#include "support/pg_server.h"
#include "support/random_table.h"
#include "support/temp_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <tears/data.h>
#include <tears/tears.h>

#include <cmocka.h>

static const uint8_t first_owner[16] = {1, 2, 3};
static const uint8_t second_owner[16] = {4, 5, 6};

/* One database with two owners in it. */
struct world {
    tears_client *client;
    tears_session *session;
    tears_data *first;
    tears_data *second;
};

static tears_data *open_owner(struct world *world, const uint8_t *owner)
{
    struct tears_data_options options = TEARS_DATA_OPTIONS_INIT;
    struct tears_error error;
    tears_data *data = NULL;
    options.owner = owner;
    options.create_schema = 1;
    if (tears_data_open(world->client, &options, &data, &error) != TEARS_OK)
        fail_msg("open: %s", error.message);
    return data;
}

static void open_world(struct world *world, const char *url)
{
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    struct tears_error error;
    options.l3_url = tears_str_c(url);
    options.l2_url = TEARS_STR("none");
    if (tears_client_open(&options, &world->client, &error) != TEARS_OK)
        fail_msg("open: %s", error.message);
    assert_int_equal(tears_session_new(world->client, NULL, &world->session), TEARS_OK);
    world->first = open_owner(world, first_owner);
    world->second = open_owner(world, second_owner);
}

static void close_world(struct world *world)
{
    tears_data_free(world->first);
    tears_data_free(world->second);
    tears_session_free(world->session);
    tears_client_free(world->client);
}

static void create(struct world *world, tears_data *data, const tears_schema *schema, uint64_t seed)
{
    struct tears_table_result result = TEARS_TABLE_RESULT_INIT;
    if (tears_data_create_table(world->session, data, schema, NULL, &result) != TEARS_OK)
        fail_msg("seed %llu: %s", (unsigned long long)seed,
                 tears_session_error(world->session)->message);
    assert_int_equal(result.created, 1);
}

static struct tears_str definition_of(struct world *world, tears_data *data, const char *table)
{
    struct tears_str json;
    struct tears_str inexact;
    if (tears_data_definition(world->session, data, tears_str_c(table), &json, &inexact) !=
        TEARS_OK)
        fail_msg("definition: %s", tears_session_error(world->session)->message);
    if (inexact.len > 0)
        fail_msg("not said exactly: %s", inexact.ptr);
    return json;
}

static void expect_equal(struct world *world, tears_data *data, const tears_schema *schema,
                         uint64_t seed)
{
    struct tears_table_result result = TEARS_TABLE_RESULT_INIT;
    if (tears_data_compare_table(world->session, data, schema, &result) != TEARS_OK)
        fail_msg("seed %llu: %s", (unsigned long long)seed,
                 tears_session_error(world->session)->message);
    for (size_t i = 0; i < result.difference_count; i++) {
        const struct tears_table_difference *one = &result.differences[i];
        fail_msg("seed %llu: %s '%s' %s: declared '%s', found '%s'", (unsigned long long)seed,
                 one->part.ptr, one->name.ptr, one->aspect.ptr, one->declared.ptr, one->found.ptr);
    }
}

static void check_one(struct world *world, uint64_t seed)
{
    struct t3_arena arena = {0};
    struct test_chance chance = {seed};
    struct tears_error error;
    tears_schema *declared = NULL;
    tears_schema *again = NULL;
    const struct test_random_table wanted = {.name = "things", .parent = "parents"};
    const struct tears_schema_def *def = test_random_table(&chance, &wanted, &arena);
    if (tears_schema_new(def, &declared, &error) != TEARS_OK)
        fail_msg("seed %llu: %s", (unsigned long long)seed, error.message);
    create(world, world->first, declared, seed);
    expect_equal(world, world->first, declared, seed);
    const struct tears_str json = definition_of(world, world->first, "things");
    if (tears_schema_from_json(json, &again, &error) != TEARS_OK)
        fail_msg("seed %llu: %s in %s", (unsigned long long)seed, error.message, json.ptr);
    create(world, world->second, again, seed);
    expect_equal(world, world->second, declared, seed);
    expect_equal(world, world->first, again, seed);
    assert_string_equal(json.ptr, definition_of(world, world->second, "things").ptr);
    assert_int_equal(tears_data_drop_table(world->session, world->first, TEARS_STR("things")),
                     TEARS_OK);
    assert_int_equal(tears_data_drop_table(world->session, world->second, TEARS_STR("things")),
                     TEARS_OK);
    tears_schema_free(declared);
    tears_schema_free(again);
    t3_arena_done(&arena);
    tears_session_reset(world->session);
}

/* The types of enum columns outlive their table. */
static void drop_types(struct world *world, tears_data *data)
{
    static const char sql[] =
        "DO $$ DECLARE t record; BEGIN FOR t IN SELECT typname FROM pg_type"
        " WHERE typnamespace = current_schema()::regnamespace AND typtype = 'e' LOOP"
        " EXECUTE format('DROP TYPE %I', t.typname); END LOOP; END $$";
    if (tears_data_execute(world->session, data, tears_str_c(sql), NULL, 0, NULL) != TEARS_OK)
        fail_msg("%s", tears_session_error(world->session)->message);
}

static void make_parents(struct world *world, tears_data *data)
{
    assert_int_equal(tears_data_execute(world->session, data,
                                        TEARS_STR("CREATE TABLE parents (id BIGINT PRIMARY KEY)"),
                                        NULL, 0, NULL),
                     TEARS_OK);
}

static uint64_t seed_of_run(void)
{
    const char *given = getenv("TEARS_TEST_SEED");
    return given != NULL ? (uint64_t)atoll(given) : 1;
}

static void run_on(const char *url, unsigned count, bool has_types)
{
    struct world world;
    open_world(&world, url);
    make_parents(&world, world.first);
    make_parents(&world, world.second);
    for (unsigned i = 0; i < count; i++) {
        check_one(&world, seed_of_run() + i);
        if (has_types) {
            drop_types(&world, world.first);
            drop_types(&world, world.second);
        }
    }
    close_world(&world);
}

static void what_is_declared_is_described_on_postgresql(void **state)
{
    char url[256];
    (void)state;
    test_pg_database(url, sizeof url);
    run_on(url, 120, true);
}

static void what_is_declared_is_described_on_sqlite(void **state)
{
    struct temp_folder folder;
    char url[128];
    (void)state;
    temp_folder_make(&folder);
    (void)snprintf(url, sizeof url, "sqlite:%s", temp_folder_path(&folder, "app.db"));
    run_on(url, 300, false);
    temp_folder_remove(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_declared_is_described_on_postgresql),
        cmocka_unit_test(what_is_declared_is_described_on_sqlite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
