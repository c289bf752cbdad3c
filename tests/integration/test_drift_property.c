/*
 * test_drift_property.c -- random table definitions: made in any order they do not drift, changed they do, and are repaired.
 *
 * The seed of a failing round is in the message; TEARS_TEST_SEED runs that round first.
 */
#include "base/str.h"
#include "core/core.h"
#include "schema/ddl.h"
#include "support/drift_place.h"
#include "support/pg_server.h"
#include "support/random_table.h"
#include "support/temp_folder.h"
#include "tier/l3_admin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

enum { POSTGRES_ROUNDS = 40, SQLITE_ROUNDS = 120 };

static struct test_chance chance;

static const struct tears_column_def parent_columns[] = {
    {.name = {"id", 2}, .type = TEARS_TYPE_BIGINT}};
static const struct tears_str parent_key[] = {{"id", 2}};
static const struct tears_schema_def parent = {.name = {"parents", 7},
                                               .primary_key = parent_key,
                                               .primary_key_count = 1,
                                               .columns = parent_columns,
                                               .column_count = 1};

/* ---- definitions ------------------------------------------------------------------------------ */

static tears_schema *schema_of(const struct tears_schema_def *def)
{
    struct tears_error error = {0};
    tears_schema *schema = NULL;

    if (tears_schema_new(def, &schema, &error) != TEARS_OK)
        fail_msg("schema: %s", error.message);
    return schema;
}

static struct tears_column_def *copy_columns(const struct tears_schema_def *def,
                                             struct t3_arena *arena)
{
    struct tears_column_def *columns = t3_arena_array(arena, def->column_count, sizeof *columns);

    assert_non_null(columns);
    memcpy(columns, def->columns, def->column_count * sizeof *columns);
    return columns;
}

static void shuffle(struct tears_column_def *columns, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        const size_t other = test_chance_below(&chance, i);
        const struct tears_column_def column = columns[i - 1];
        columns[i - 1] = columns[other];
        columns[other] = column;
    }
}

static bool may_change(const struct tears_schema_def *def, const struct tears_column_def *column)
{
    for (size_t i = 0; i < def->primary_key_count; i++)
        if (t3_str_equal(def->primary_key[i], column->name))
            return false;
    return !t3_str_equal(def->version_column, column->name);
}

/* One thing is made otherwise: whether a column may be NULL, its type, an index or a constraint.  False: there is nothing to change. */
static bool change(struct tears_schema_def *def, struct tears_column_def *columns)
{
    const size_t at = test_chance_below(&chance, def->column_count);

    if (def->index_count > 0 && test_chance_below(&chance, 4) == 0) {
        def->index_count--;
        return true;
    }
    if (def->unique_constraint_count > 0 && test_chance_below(&chance, 4) == 0) {
        def->unique_constraint_count--;
        return true;
    }
    if (!may_change(def, &columns[at]))
        return false;
    columns[at].nullable = !columns[at].nullable;
    if (columns[at].type == TEARS_TYPE_INT && columns[at].server_default.len == 0)
        columns[at].type = TEARS_TYPE_STRING;
    return true;
}

/* ---- databases -------------------------------------------------------------------------------- */

struct site {
    struct drift_place place;
    enum t3_dialect dialect;
    const char *clear; /* what ends a round's tables */
};

static void make_one(const struct site *site, const struct tears_schema_def *def)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    const struct tears_str *statements = NULL;
    size_t count = 0;
    tears_schema *schema = schema_of(def);

    assert_int_equal(t3_ddl_statements(schema, site->dialect, &arena, &statements, &count),
                     TEARS_OK);
    for (size_t i = 0; i < count; i++)
        drift_place_run(&site->place, statements[i].ptr);
    tears_schema_free(schema);
}

static void make_live(const struct site *site, const struct tears_schema_def *def)
{
    drift_place_run(&site->place, site->clear);
    make_one(site, &parent);
    make_one(site, def);
}

/* The table before the one that it refers to: the order is found. */
static tears_drift *compare(const struct site *site, const struct tears_schema_def *def)
{
    struct tears_drift_options options = TEARS_DRIFT_OPTIONS_INIT;
    struct tears_error error = {0};
    tears_drift *drift = NULL;
    tears_schema *const schemas[] = {schema_of(def), schema_of(&parent)};

    options.schema = site->place.schema;
    options.destructive = 1;
    options.definitions = (const tears_schema *const *)schemas;
    options.definition_count = 2;
    if (tears_drift_of_schemas(site->place.client, &options, &drift, &error) != TEARS_OK)
        fail_msg("drift: %s", error.message);
    tears_schema_free(schemas[0]);
    tears_schema_free(schemas[1]);
    return drift;
}

static void expect_none(const struct site *site, const struct tears_schema_def *def,
                        const char *what)
{
    tears_drift *drift = compare(site, def);
    drift_expect_none(drift, what);
    tears_drift_free(drift);
}

/* ---- rounds ----------------------------------------------------------------------------------- */

static void round_with(const struct site *site, uint64_t seed)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    const struct test_random_table wanted = {.name = "things", .parent = "parents"};
    char what[64];

    chance.state = seed;
    (void)snprintf(what, sizeof what, "seed %llu", (unsigned long long)seed);
    const struct tears_schema_def *def = test_random_table(&chance, &wanted, &arena);
    struct tears_schema_def live = *def;
    struct tears_column_def *columns = copy_columns(def, &arena);
    live.columns = columns;
    shuffle(columns, def->column_count);
    make_live(site, &live);
    expect_none(site, def, what);

    if (!change(&live, columns))
        return;
    make_live(site, &live);
    tears_drift *drift = compare(site, def);
    if (tears_drift_count(drift) == 0)
        fail_msg("%s: the change is not found", what);
    drift_repair(drift);
    tears_drift_free(drift);
    expect_none(site, def, what);
}

static void rounds(const struct site *site, unsigned count)
{
    const char *given = getenv("TEARS_TEST_SEED");
    const uint64_t first = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 1000;

    for (unsigned i = 0; i < count; i++)
        round_with(site, first + i);
}

static void random_tables_on_sqlite(void **state)
{
    struct site site = {0};
    struct temp_folder folder;
    char url[256];
    (void)state;
    temp_folder_make(&folder);
    (void)snprintf(url, sizeof url, "sqlite:%s", temp_folder_path(&folder, "live.db"));
    site.dialect = T3_DIALECT_SQLITE;
    site.clear = "DROP TABLE IF EXISTS things; DROP TABLE IF EXISTS parents";
    drift_place_open(&site.place, url, "");
    rounds(&site, SQLITE_ROUNDS);
    drift_place_close(&site.place);
    temp_folder_remove(&folder);
}

static void random_tables_on_postgres(void **state)
{
    struct site site = {0};
    char url[256];
    (void)state;
    test_pg_database(url, sizeof url);
    site.dialect = T3_DIALECT_POSTGRESQL;
    site.clear = "SET client_min_messages TO error; DROP SCHEMA live CASCADE; CREATE SCHEMA live";
    drift_place_open(&site.place, url, "live");
    rounds(&site, POSTGRES_ROUNDS);
    drift_place_close(&site.place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_tables_on_sqlite),
        cmocka_unit_test(random_tables_on_postgres),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
