/*
 * test_drift_migrations.c -- drift of a schema from the versions that were applied to it, on both databases.
 */
#include "core/core.h"
#include "support/drift_place.h"
#include "support/migrate_place.h"
#include "support/pg_server.h"
#include "tier/l3_admin.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { SQLITE, POSTGRES };

static int on_sqlite = SQLITE;
static int on_postgres = POSTGRES;

static struct migrate_place place;

static void make_place(void **state)
{
    migrate_place_make(&place, *(const int *)*state == POSTGRES);
}

static tears_drift *compare_with(const struct tears_drift_options *options)
{
    struct tears_error error = {0};
    tears_drift *drift = NULL;

    if (tears_drift_of_migrations(place.migrator, options, &drift, &error) != TEARS_OK)
        fail_msg("drift: %s", error.message);
    return drift;
}

static tears_drift *compare(void)
{
    return compare_with(NULL);
}

static tears_drift *compare_to_destroy(void)
{
    struct tears_drift_options options = TEARS_DRIFT_OPTIONS_INIT;
    options.destructive = 1;
    return compare_with(&options);
}

static void expect_none(const char *what)
{
    tears_drift *drift = compare();
    drift_expect_none(drift, what);
    tears_drift_free(drift);
}

static struct drift_seed seed(uint64_t difference, uint64_t object, const char *table,
                              const char *subject)
{
    return (struct drift_seed){subject, "", difference, object, table, subject};
}

static void up_to(int64_t version)
{
    struct tears_migrate_request request = TEARS_MIGRATE_REQUEST_INIT;
    request.has_target = 1;
    request.target = version;
    if (tears_migrate_up(place.migrator, &request, NULL) != TEARS_OK)
        fail_msg("up: %s", tears_migrator_error(place.migrator)->message);
}

/* ---- versions --------------------------------------------------------------------------------- */

static tears_status make_tags(void *owner, tears_migration *migration)
{
    (void)owner;
    return tears_migration_execute(
        migration, TEARS_STR("CREATE TABLE tags (word TEXT NOT NULL, item_id INTEGER)"), NULL, 0,
        NULL);
}

static void add_shop(void)
{
    struct tears_migration_def versions[] = {
        migrate_sql(1,
                    "CREATE TABLE items (id INTEGER PRIMARY KEY, title TEXT NOT NULL);"
                    "INSERT INTO items (id, title) VALUES (1, 'lamp')",
                    NULL),
        {.version = 2, .up = make_tags},
        migrate_sql(3, "ALTER TABLE items ADD COLUMN price INTEGER DEFAULT 0", NULL)};
    versions[1].description = TEARS_STR("tags");
    migrate_add(&place, "shop", versions, 3);
}

/* ---- what both databases do ------------------------------------------------------------------- */

/* W-26: what is pending is not missing. */
static void w26_applied_versions_are_declared(void **state)
{
    struct tears_drift_options all = TEARS_DRIFT_OPTIONS_INIT;
    const struct drift_seed pending =
        seed(TEARS_DRIFT_MISSING, TEARS_DRIFT_OBJECT_COLUMN, "items", "price");

    make_place(state);
    add_shop();
    expect_none("nothing applied to an empty schema");
    up_to(2);
    expect_none("two of three versions applied");
    all.all_versions = 1;
    tears_drift *drift = compare_with(&all);
    drift_expect(drift, &pending);
    assert_int_equal(tears_drift_count(drift), 1);
    tears_drift_free(drift);
    up_to(3);
    expect_none("all versions applied");
    migrate_place_remove(&place);
}

static void what_is_only_here_stays_unless_asked(void **state)
{
    const struct drift_seed by_hand =
        seed(TEARS_DRIFT_EXTRA, TEARS_DRIFT_OBJECT_COLUMN, "items", "by_hand");

    make_place(state);
    add_shop();
    up_to(3);
    migrate_place_sql(&place, "ALTER TABLE items ADD COLUMN by_hand TEXT");
    tears_drift *drift = compare();
    drift_expect(drift, &by_hand);
    assert_int_equal(tears_drift_count(drift), 1);
    drift_expect_sql(drift, "-- not run: ");
    drift_repair(drift);
    tears_drift_free(drift);
    assert_int_equal(migrate_place_number(&place, "SELECT count(by_hand) FROM items"), 0);
    drift = compare_to_destroy();
    drift_repair(drift);
    tears_drift_free(drift);
    expect_none("after a repair that may destroy");
    assert_int_equal(migrate_place_number(&place, "SELECT count(*) FROM items"), 1);
    migrate_place_remove(&place);
}

/* Between looking and repairing another process adds a column, by a version that this one does not know. */
static void repair_refuses_a_schema_that_has_changed(void **state)
{
    struct tears_error error = {0};
    uint64_t done = 9;

    make_place(state);
    add_shop();
    up_to(3);
    migrate_place_sql(&place, "CREATE TABLE spare (id INTEGER)");
    tears_drift *drift = compare_to_destroy();
    migrate_place_sql(&place, "ALTER TABLE spare ADD COLUMN precious TEXT");
    assert_int_equal(tears_drift_repair(drift, &done, &error), TEARS_CONFLICT);
    assert_int_equal(done, 0);
    tears_drift_free(drift);
    assert_int_equal(migrate_place_number(&place, "SELECT count(precious) FROM spare"), 0);
    migrate_place_remove(&place);
}

/* One statement of the repair cannot be done: none of it is. */
static void repair_is_all_or_nothing(void **state)
{
    struct tears_error error = {0};
    const struct tears_migration_def version = migrate_sql(
        1, "CREATE TABLE a (id INTEGER, n INTEGER); CREATE UNIQUE INDEX a_n ON a (n)", NULL);
    uint64_t done = 9;

    make_place(state);
    migrate_add(&place, "one", &version, 1);
    up_to(1);
    migrate_place_sql(&place, "DROP INDEX a_n");
    migrate_place_sql(&place, "ALTER TABLE a DROP COLUMN id");
    migrate_place_sql(&place, "INSERT INTO a (n) VALUES (7), (7)");
    tears_drift *drift = compare();
    assert_int_equal(tears_drift_count(drift), 2);
    assert_int_not_equal(tears_drift_repair(drift, &done, &error), TEARS_OK);
    assert_int_equal(done, 0);
    assert_non_null(strstr(error.message, "a_n"));
    tears_drift_free(drift);
    assert_int_equal(migrate_place_number(&place, "SELECT count(id) FROM a"), -1);
    migrate_place_remove(&place);
}

static void a_version_that_fails_is_named(void **state)
{
    struct tears_error error = {0};
    struct tears_drift_options all = TEARS_DRIFT_OPTIONS_INIT;
    const struct tears_migration_def version =
        migrate_sql(7, "CREATE TABLE a (id INTEGER); CREATE TABLE a (id INTEGER)", NULL);
    tears_drift *drift = NULL;

    make_place(state);
    migrate_add(&place, "twice", &version, 1);
    all.all_versions = 1;
    assert_int_equal(tears_drift_of_migrations(place.migrator, &all, &drift, &error),
                     TEARS_INVALID);
    assert_non_null(strstr(error.message, "package 'twice', version 7"));
    assert_non_null(strstr(error.message, "statement 2"));
    assert_null(drift);
    migrate_place_remove(&place);
}

/* A second CREATE TABLE IF NOT EXISTS is passed over by the database, and so here: W-24.  Renamed, dropped: as it is. */
static void w24_statements_mean_what_they_mean_to_the_database(void **state)
{
    const struct tears_migration_def versions[] = {
        migrate_sql(1,
                    "CREATE TABLE a (id INTEGER, old TEXT); CREATE TABLE gone (id INTEGER);"
                    "CREATE TABLE IF NOT EXISTS a (other TEXT)",
                    NULL),
        migrate_sql(2,
                    "DROP TABLE gone; ALTER TABLE a RENAME TO b; ALTER TABLE b ADD more TEXT;"
                    "ALTER TABLE b RENAME COLUMN old TO young",
                    NULL)};

    make_place(state);
    migrate_add(&place, "moves", versions, 2);
    up_to(2);
    expect_none("renamed and dropped");
    migrate_place_remove(&place);
}

/* ---- a migration under way -------------------------------------------------------------------- */

/* Has the schema's lock and a table that is there for a moment only, as in the middle of a version. */
struct worker {
    struct t3_admin *admin;
    struct tears_error error;
};

static void *work(void *argument)
{
    const struct timespec pause = {.tv_nsec = 400000000};
    struct worker *worker = argument;

    nanosleep(&pause, NULL);
    if (t3_admin_execute(worker->admin, TEARS_STR("DROP TABLE half_done"), &worker->error) !=
        TEARS_OK)
        return worker;
    t3_admin_unlock(worker->admin);
    return NULL;
}

static void drift_waits_for_a_migration_under_way(void **state)
{
    struct t3_admin_options options = {.deadline = t3_deadline_in_ms(30000)};
    struct t3_admin_wait wait = {.deadline = t3_deadline_in_ms(30000)};
    struct worker worker = {0};
    void *failed = NULL;
    pthread_t thread;

    make_place(state);
    add_shop();
    up_to(3);
    assert_int_equal(t3_admin_open(place.client->l3, &options, &worker.admin, NULL), TEARS_OK);
    t3_admin_set_deadline(worker.admin, t3_deadline_in_ms(30000));
    assert_int_equal(t3_admin_lock(worker.admin, &wait, NULL), TEARS_OK);
    assert_int_equal(
        t3_admin_execute(worker.admin, TEARS_STR("CREATE TABLE half_done (id INTEGER)"), NULL),
        TEARS_OK);
    assert_int_equal(pthread_create(&thread, NULL, work, &worker), 0);
    expect_none("after the migration under way");
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_null(failed);
    t3_admin_free(worker.admin);
    migrate_place_remove(&place);
}

/* ---- PostgreSQL ------------------------------------------------------------------------------- */

/* What a version does elsewhere in the database was done when it was applied. */
static void other_schemas_are_left_alone(void **state)
{
    const struct tears_migration_def version =
        migrate_sql(1,
                    "CREATE TABLE mine (id INTEGER);"
                    "INSERT INTO elsewhere.audit VALUES ('made');"
                    "ALTER TABLE elsewhere.audit ADD COLUMN IF NOT EXISTS at date",
                    NULL);

    make_place(state);
    migrate_place_sql(&place, "CREATE SCHEMA elsewhere");
    migrate_place_sql(&place, "CREATE TABLE elsewhere.audit (what text)");
    migrate_add(&place, "auditing", &version, 1);
    up_to(1);
    expect_none("an applied version");
    assert_int_equal(migrate_place_number(&place, "SELECT count(*) FROM elsewhere.audit"), 1);
    assert_int_equal(migrate_place_number(
                         &place, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'tears%'"),
                     0);
    migrate_place_remove(&place);
}

static void statements_that_no_transaction_holds_are_declared(void **state)
{
    const struct tears_migration_def version =
        migrate_sql(1,
                    "CREATE TABLE a (id INTEGER); CREATE INDEX CONCURRENTLY a_id ON a (id);"
                    "VACUUM a; SET check_function_bodies TO off",
                    NULL);
    const struct tears_migration_def after = migrate_sql(2, "CREATE TABLE b (id INTEGER)", NULL);
    const struct tears_migration_def both[] = {version, after};

    make_place(state);
    migrate_add(&place, "alone", both, 2);
    up_to(2);
    expect_none("an index built concurrently");
    migrate_place_sql(&place, "DROP INDEX a_id");
    tears_drift *drift = compare();
    assert_int_equal(tears_drift_count(drift), 1);
    drift_repair(drift);
    tears_drift_free(drift);
    expect_none("after the repair");
    migrate_place_remove(&place);
}

/* W-25: two schemas of one database have tables of the same names, and one of them drifts. */
static void w25_schemas_of_one_database_do_not_disturb_each_other(void **state)
{
    static const char *const schemas[] = {"agent_one", "agent_two"};

    make_place(state);
    for (size_t i = 0; i < 2; i++) {
        place.options.schema = tears_str_c(schemas[i]);
        place.options.create_schema = 1;
        migrate_place_anew(&place);
        add_shop();
        up_to(3);
        expect_none(schemas[i]);
    }
    migrate_place_sql(&place, "ALTER TABLE agent_one.items DROP COLUMN title");
    migrate_place_sql(&place, "CREATE TABLE agent_one.spare (id int)");
    expect_none("agent_two beside a schema that has drifted");
    place.options.schema = tears_str_c(schemas[0]);
    migrate_place_anew(&place);
    add_shop();
    tears_drift *drift = compare_to_destroy();
    assert_int_equal(tears_drift_count(drift), 2);
    migrate_place_sql(&place, "DELETE FROM agent_one.items");
    drift_repair(drift);
    tears_drift_free(drift);
    expect_none("agent_one repaired");
    place.options.schema = tears_str_c(schemas[1]);
    migrate_place_anew(&place);
    add_shop();
    expect_none("agent_two beside a schema that was repaired");
    migrate_place_remove(&place);
}

/* W-23: everything that a reading of the text gets wrong. */
static void w23_nothing_is_read_from_text(void **state)
{
    const struct tears_migration_def version = migrate_sql(
        1,
        "CREATE TABLE a (tags TEXT[] NOT NULL, b TEXT NULL, c CHAR(3), d TIMESTAMP(3) WITH TIME"
        " ZONE, e SERIAL, f INT GENERATED ALWAYS AS IDENTITY, \"Mixed\" TEXT, Folded TEXT,"
        " UNIQUE(b,c)) WITH (fillfactor = 70); -- a comment, with commas\n"
        "ALTER TABLE a ADD COLUMN g INT, ADD COLUMN h INT /* two */, ADD i INT;"
        "CREATE TYPE shade AS ENUM ('dark', 'light'); ALTER TABLE a ADD j shade;"
        "CREATE TABLE p (at date) PARTITION BY RANGE (at);"
        "DO $body$ BEGIN EXECUTE 'CREATE TABLE made_by_code (x int)'; END $body$",
        NULL);

    make_place(state);
    migrate_add(&place, "text", &version, 1);
    up_to(1);
    expect_none("what a reading of the text gets wrong");
    migrate_place_remove(&place);
}

#define ON_BOTH(test)                                     \
    {#test "_sqlite", test, NULL, NULL, &on_sqlite},      \
    {                                                     \
#test " postgres", test, NULL, NULL, &on_postgres \
    }
#define ON_POSTGRES(test)                     \
    {                                         \
#test, test, NULL, NULL, &on_postgres \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(w26_applied_versions_are_declared),
        ON_BOTH(what_is_only_here_stays_unless_asked),
        ON_BOTH(repair_refuses_a_schema_that_has_changed),
        ON_BOTH(repair_is_all_or_nothing),
        ON_BOTH(a_version_that_fails_is_named),
        ON_BOTH(w24_statements_mean_what_they_mean_to_the_database),
        ON_BOTH(drift_waits_for_a_migration_under_way),
        ON_POSTGRES(other_schemas_are_left_alone),
        ON_POSTGRES(statements_that_no_transaction_holds_are_declared),
        ON_POSTGRES(w25_schemas_of_one_database_do_not_disturb_each_other),
        ON_POSTGRES(w23_nothing_is_read_from_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
