/*
 * test_migrate.c -- migrations as a program uses them: each case on SQLite and on PostgreSQL.
 */
#include "support/migrate_place.h"
#include "support/pg_server.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
// clang-format on

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SQLITE, POSTGRES };

static bool wants_postgres(void **state)
{
    return *(const int *)*state == POSTGRES;
}

static const struct tears_error *why(const struct migrate_place *place)
{
    return tears_migrator_error(place->migrator);
}

static void assert_text(struct tears_str text, const char *expected)
{
    if (text.len != strlen(expected) || memcmp(text.ptr, expected, text.len) != 0)
        fail_msg("'%.*s' is not '%s'", (int)text.len, text.ptr, expected);
}

static uint64_t state_of(struct migrate_place *place, int64_t version)
{
    const struct tears_migration_status *all;
    size_t count;
    assert_int_equal(tears_migrate_status(place->migrator, &all, &count), TEARS_OK);
    for (size_t i = 0; i < count; i++)
        if (all[i].version == version)
            return all[i].state;
    return 0;
}

/* Three versions that everybody likes. */
static void add_three(struct migrate_place *place)
{
    const struct tears_migration_def versions[] = {
        migrate_sql(1,
                    "CREATE TABLE users (id INTEGER PRIMARY KEY);"
                    "INSERT INTO users VALUES (1)",
                    "DROP TABLE users"),
        migrate_sql(2, "ALTER TABLE users ADD COLUMN email TEXT",
                    "ALTER TABLE users DROP COLUMN email"),
        migrate_sql(3, "CREATE INDEX users_email ON users (email)", "DROP INDEX users_email")};
    migrate_add(place, "users", versions, 3);
}

/* ---- up, down ---- */

static void up_applies_once(void **state)
{
    struct migrate_place place;
    migrate_place_make(&place, wants_postgres(state));
    add_three(&place);
    migrate_up(&place, 3);
    assert_int_equal(migrate_place_number(&place, "SELECT id FROM users"), 1);
    assert_int_equal(migrate_place_number(&place, "SELECT count(*) FROM _schema_migrations"), 3);
    migrate_up(&place, 0);
    const struct tears_package_version *current;
    size_t count;
    assert_int_equal(tears_migrate_current(place.migrator, &current, &count), TEARS_OK);
    assert_int_equal(count, 1);
    assert_int_equal(current[0].version, 3);
    migrate_place_remove(&place);
}

static void down_and_up_again_equals_fresh(void **state)
{
    struct migrate_place place;
    migrate_place_make(&place, wants_postgres(state));
    add_three(&place);
    migrate_up(&place, 3);
    char *fresh = migrate_place_shape(&place);
    migrate_down(&place, 1, 1);
    migrate_down(&place, 5, 2);
    assert_false(migrate_place_has(&place, "users"));
    assert_int_equal(migrate_place_number(&place, "SELECT count(*) FROM _schema_migrations"), 0);
    assert_int_equal(migrate_place_number(&place, "SELECT count(*) FROM _tears_migrations"), 0);
    migrate_up(&place, 3);
    char *again = migrate_place_shape(&place);
    assert_string_equal(fresh, again);
    free(fresh);
    free(again);
    migrate_place_remove(&place);
}

static void targets_cap_versions(void **state)
{
    struct migrate_place place;
    struct tears_migrate_request request = TEARS_MIGRATE_REQUEST_INIT;
    uint64_t applied = 0;
    migrate_place_make(&place, wants_postgres(state));
    add_three(&place);
    const struct tears_package_version own = {.package = TEARS_STR("users"), .version = 2};
    request.has_target = 1;
    request.target = 0;
    assert_int_equal(tears_migrate_up(place.migrator, &request, &applied), TEARS_OK);
    assert_int_equal(applied, 0);
    request.targets = &own;
    request.target_count = 1;
    assert_int_equal(tears_migrate_up(place.migrator, &request, &applied), TEARS_OK);
    assert_int_equal(applied, 2);
    assert_int_equal(state_of(&place, 3), TEARS_MIGRATION_PENDING);
    migrate_place_remove(&place);
}

static void one_package_needs_its_dependencies(void **state)
{
    struct migrate_place place;
    struct tears_migrate_request request = TEARS_MIGRATE_REQUEST_INIT;
    migrate_place_make(&place, wants_postgres(state));
    add_three(&place);
    static const struct tears_str depends_on = {"users", 5};
    const struct tears_migration_def version = migrate_sql(1, "CREATE TABLE logs (a INTEGER)", "");
    struct tears_package_def def = TEARS_PACKAGE_DEF_INIT;
    def.name = TEARS_STR("logs");
    def.scope = TEARS_SCOPE_PLATFORM;
    def.depends_on = &depends_on;
    def.depends_on_count = 1;
    def.migrations = &version;
    def.migration_count = 1;
    assert_int_equal(tears_migrator_add(place.migrator, &def), TEARS_OK);
    request.package = TEARS_STR("logs");
    assert_int_equal(tears_migrate_up(place.migrator, &request, NULL), TEARS_CONFLICT);
    assert_int_equal(why(&place)->detail, TEARS_MIGRATE_DEPENDENCY);
    assert_false(migrate_place_has(&place, "logs"));
    migrate_up(&place, 4);
    request.package = TEARS_STR("nobody");
    assert_int_equal(tears_migrate_up(place.migrator, &request, NULL), TEARS_NOT_FOUND);
    migrate_place_remove(&place);
}

static void what_has_no_way_down_stays(void **state)
{
    struct migrate_place place;
    struct tears_migrate_request request = TEARS_MIGRATE_REQUEST_INIT;
    migrate_place_make(&place, wants_postgres(state));
    const struct tears_migration_def versions[] = {
        migrate_sql(1, "CREATE TABLE a (x INTEGER)", ""),
        migrate_sql(2, "CREATE TABLE b (x INTEGER)", "DROP TABLE b")};
    migrate_add(&place, "p", versions, 2);
    migrate_up(&place, 2);
    request.steps = 2;
    assert_int_equal(tears_migrate_down(place.migrator, &request, NULL), TEARS_CONFLICT);
    assert_int_equal(why(&place)->detail, TEARS_MIGRATE_NO_DOWN);
    assert_true(migrate_place_has(&place, "b"));
    request.steps = 0;
    assert_int_equal(tears_migrate_down(place.migrator, &request, NULL), TEARS_INVALID);
    migrate_place_remove(&place);
}

/* ---- failures ---- */

static void a_failed_version_leaves_nothing(void **state)
{
    struct migrate_place place;
    struct tears_migration_failure failure = TEARS_MIGRATION_FAILURE_INIT;
    uint64_t applied = 0;
    migrate_place_make(&place, wants_postgres(state));
    const struct tears_migration_def versions[] = {
        migrate_sql(1, "CREATE TABLE a (x INTEGER)", ""),
        migrate_sql(2,
                    "CREATE TABLE b (x INTEGER);\n"
                    "-- a comment; with a semicolon\n"
                    "INSERT INTO b\n"
                    "  SELECT missing FROM a",
                    ""),
        migrate_sql(3, "CREATE TABLE c (x INTEGER)", "")};
    migrate_add(&place, "p", versions, 3);
    assert_int_equal(tears_migrate_up(place.migrator, NULL, &applied), TEARS_INVALID);
    assert_int_equal(applied, 1);
    assert_true(tears_migrator_failure(place.migrator, &failure));
    assert_text(failure.package, "p");
    assert_int_equal(failure.version, 2);
    assert_int_equal(failure.ordinal, 2);
    assert_text(failure.statement, "INSERT INTO b\n  SELECT missing FROM a");
    assert_int_equal(failure.line, 4);
    assert_int_equal(failure.position, 24);
    assert_int_equal(failure.is_partial, 0);
    assert_text(failure.sqlstate, place.is_postgres ? "42703" : "");
    assert_non_null(strstr(why(&place)->message, "line 4"));
    assert_true(migrate_place_has(&place, "a"));
    assert_false(migrate_place_has(&place, "b"));
    assert_false(migrate_place_has(&place, "c"));
    assert_int_equal(migrate_place_number(&place, "SELECT count(*) FROM _schema_migrations"), 1);
    assert_int_equal(state_of(&place, 2), TEARS_MIGRATION_FAILED);
    assert_int_equal(state_of(&place, 3), TEARS_MIGRATION_PENDING);
    migrate_place_sql(&place, "ALTER TABLE a ADD COLUMN missing INTEGER");
    migrate_up(&place, 2);
    assert_int_equal(state_of(&place, 2), TEARS_MIGRATION_APPLIED);
    migrate_place_remove(&place);
}

static void a_version_may_not_end_its_transaction(void **state)
{
    static const char *const texts[] = {"CREATE TABLE a (x INTEGER); COMMIT", "ROLLBACK", "begin",
                                        "SAVEPOINT s"};
    struct migrate_place place;
    migrate_place_make(&place, wants_postgres(state));
    for (size_t i = 0; i < 4; i++) {
        const struct tears_migration_def version = migrate_sql(1, texts[i], "");
        migrate_place_anew(&place);
        migrate_add(&place, "p", &version, 1);
        assert_int_equal(tears_migrate_up(place.migrator, NULL, NULL), TEARS_INVALID);
        assert_false(migrate_place_has(&place, "a"));
    }
    migrate_place_remove(&place);
}

/* ---- what is wrong with a package ---- */

static void packages_are_checked(void **state)
{
    struct migrate_place place;
    migrate_place_make(&place, wants_postgres(state));
    const struct tears_migration_def zero = migrate_sql(0, "SELECT 1", "");
    const struct tears_migration_def nothing = migrate_sql(1, "", "");
    const struct tears_migration_def blank = migrate_sql(1, " -- nothing\n ;", "");
    const struct tears_migration_def open = migrate_sql(1, "SELECT 'x", "");
    const struct tears_migration_def fine = migrate_sql(1, "SELECT 1", "");
    const struct tears_migration_def twice[] = {fine, fine};
    assert_int_equal(migrate_try_add(&place, "p", &zero, 1), TEARS_INVALID);
    assert_int_equal(migrate_try_add(&place, "p", &nothing, 1), TEARS_INVALID);
    assert_int_equal(migrate_try_add(&place, "p", &blank, 1), TEARS_INVALID);
    assert_int_equal(migrate_try_add(&place, "p", &open, 1), TEARS_INVALID);
    assert_int_equal(migrate_try_add(&place, "", &fine, 1), TEARS_INVALID);
    assert_int_equal(migrate_try_add(&place, "p", twice, 2), TEARS_CONFLICT);
    assert_int_equal(migrate_try_add(&place, "p", &fine, 1), TEARS_OK);
    assert_int_equal(migrate_try_add(&place, "p", &fine, 1), TEARS_CONFLICT);
    migrate_place_remove(&place);
}

/* A package of the other scope with the same name takes nothing away (W-7). */
static void scopes_are_apart(void **state)
{
    struct migrate_place place;
    migrate_place_make(&place, wants_postgres(state));
    add_three(&place);
    const struct tears_migration_def other = migrate_sql(9, "CREATE TABLE x (a INTEGER)", "");
    struct tears_package_def def = TEARS_PACKAGE_DEF_INIT;
    def.name = TEARS_STR("users");
    def.scope = TEARS_SCOPE_AGENT;
    def.migrations = &other;
    def.migration_count = 1;
    assert_int_equal(tears_migrator_add(place.migrator, &def), TEARS_OK);
    migrate_up(&place, 3);
    assert_false(migrate_place_has(&place, "x"));
    migrate_place_remove(&place);
}

/* ---- drifting histories ---- */

static void a_changed_text_is_noticed(void **state)
{
    struct migrate_place place;
    uint64_t accepted = 0;
    migrate_place_make(&place, wants_postgres(state));
    struct tears_migration_def version = migrate_sql(1, "CREATE TABLE a (x INTEGER)", "");
    migrate_add(&place, "p", &version, 1);
    migrate_up(&place, 1);
    migrate_place_anew(&place);
    version.up_sql = TEARS_STR("-- other words\nCREATE  TABLE a (x\nINTEGER);");
    migrate_add(&place, "p", &version, 1);
    migrate_up(&place, 0);
    migrate_place_anew(&place);
    version.up_sql = TEARS_STR("CREATE TABLE a (y INTEGER)");
    migrate_add(&place, "p", &version, 1);
    assert_int_equal(state_of(&place, 1), TEARS_MIGRATION_CHANGED);
    assert_int_equal(tears_migrate_up(place.migrator, NULL, NULL), TEARS_CONFLICT);
    assert_int_equal(why(&place)->detail, TEARS_MIGRATE_CHANGED);
    assert_int_equal(tears_migrate_accept(place.migrator, TEARS_STR("p"), &accepted), TEARS_OK);
    assert_int_equal(accepted, 1);
    migrate_up(&place, 0);
    migrate_place_remove(&place);
}

static void out_of_order_is_refused_or_allowed(void **state)
{
    struct migrate_place place;
    migrate_place_make(&place, wants_postgres(state));
    const struct tears_migration_def versions[] = {
        migrate_sql(5, "CREATE TABLE five (x INTEGER)", ""),
        migrate_sql(4, "CREATE TABLE four (x INTEGER)", "")};
    migrate_add(&place, "p", versions, 1);
    migrate_up(&place, 1);
    migrate_place_anew(&place);
    migrate_add(&place, "p", versions, 2);
    assert_int_equal(state_of(&place, 4), TEARS_MIGRATION_OUT_OF_ORDER);
    assert_int_equal(tears_migrate_up(place.migrator, NULL, NULL), TEARS_CONFLICT);
    assert_int_equal(why(&place)->detail, TEARS_MIGRATE_OUT_OF_ORDER);
    place.options.allow_out_of_order = 1;
    migrate_place_anew(&place);
    migrate_add(&place, "p", versions, 2);
    migrate_up(&place, 1);
    /* what was applied last is undone first, whatever its number (W-8) */
    const struct tears_migration_record *history;
    size_t count;
    assert_int_equal(tears_migrate_history(place.migrator, &history, &count), TEARS_OK);
    assert_int_equal(count, 2);
    assert_int_equal(history[1].version, 4);
    assert_int_equal(history[1].sequence, 2);
    migrate_place_remove(&place);
}

static void unknown_versions_are_shown(void **state)
{
    struct migrate_place place;
    migrate_place_make(&place, wants_postgres(state));
    add_three(&place);
    migrate_up(&place, 3);
    migrate_place_anew(&place);
    const struct tears_migration_def other = migrate_sql(9, "CREATE TABLE x (a INTEGER)", "");
    migrate_add(&place, "other", &other, 1);
    assert_int_equal(state_of(&place, 2), TEARS_MIGRATION_UNKNOWN);
    assert_int_equal(state_of(&place, 9), TEARS_MIGRATION_PENDING);
    migrate_place_remove(&place);
}

/* ---- stamps ---- */

static void stamps_are_checked(void **state)
{
    struct migrate_place place;
    migrate_place_make(&place, wants_postgres(state));
    add_three(&place);
    tears_migrator *migrator = place.migrator;
    const struct tears_str users = TEARS_STR("users");
    const struct tears_str none = TEARS_STR("");
    assert_int_equal(tears_migrate_stamp(migrator, users, 1, none), TEARS_OK);
    assert_int_equal(tears_migrate_stamp(migrator, users, 1, none), TEARS_CONFLICT);
    assert_int_equal(tears_migrate_stamp(migrator, users, 77, none), TEARS_NOT_FOUND);
    assert_int_equal(tears_migrate_stamp(migrator, users, 0, none), TEARS_INVALID);
    assert_int_equal(tears_migrate_stamp(migrator, TEARS_STR("legacy"), 7, none), TEARS_OK);
    const struct tears_migration_record *history;
    size_t count;
    assert_int_equal(tears_migrate_history(migrator, &history, &count), TEARS_OK);
    assert_int_equal(count, 2);
    assert_text(history[0].description, "stamped");
    assert_int_equal(history[0].checksum.len, 64);
    assert_true(history[0].actor.len > 0);
    assert_int_equal(tears_migrate_unstamp(migrator, users, 1), TEARS_OK);
    assert_int_equal(tears_migrate_unstamp(migrator, users, 1), TEARS_NOT_FOUND);
    migrate_place_remove(&place);
}

/* ---- bodies ---- */

static tears_status make_and_fill(void *owner, tears_migration *migration)
{
    const struct tears_value id = tears_int(*(const int *)owner);
    struct tears_migration_rows rows;
    uint64_t changed = 0;
    tears_status status = tears_migration_execute(
        migration, TEARS_STR("CREATE TABLE made (id INTEGER)"), NULL, 0, NULL);
    if (status == TEARS_OK)
        status = tears_migration_execute(migration, TEARS_STR("INSERT INTO made VALUES ($1)"), &id,
                                         1, &changed);
    if (status == TEARS_OK)
        status = tears_migration_query(migration, TEARS_STR("SELECT id FROM made"), NULL, 0, &rows);
    if (status == TEARS_OK &&
        (changed != 1 || rows.row_count != 1 || rows.values[0].as.integer != *(const int *)owner))
        return tears_migration_fail(migration, TEARS_INTERNAL, TEARS_STR("wrong rows"));
    return status;
}

static tears_status give_up(void *owner, tears_migration *migration)
{
    (void)owner;
    tears_status status = tears_migration_execute_all(
        migration, TEARS_STR("CREATE TABLE half (a INTEGER); CREATE TABLE whole (a INTEGER)"));
    return status != TEARS_OK
               ? status
               : tears_migration_fail(migration, TEARS_LIMIT, TEARS_STR("not today"));
}

static void functions_are_versions(void **state)
{
    struct migrate_place place;
    int seven = 7;
    migrate_place_make(&place, wants_postgres(state));
    const struct tears_migration_def versions[] = {
        {.version = 1, .up = make_and_fill, .revision = TEARS_STR("1")},
        {.version = 2, .up = give_up}};
    struct tears_package_def def = TEARS_PACKAGE_DEF_INIT;
    def.name = TEARS_STR("c");
    def.scope = TEARS_SCOPE_PLATFORM;
    def.migrations = versions;
    def.migration_count = 2;
    def.owner = &seven;
    assert_int_equal(tears_migrator_add(place.migrator, &def), TEARS_OK);
    assert_int_equal(tears_migrate_up(place.migrator, NULL, NULL), TEARS_LIMIT);
    assert_non_null(strstr(why(&place)->message, "not today"));
    assert_int_equal(migrate_place_number(&place, "SELECT id FROM made"), 7);
    assert_false(migrate_place_has(&place, "half"));
    migrate_place_remove(&place);
}

static tears_status create_things(void *owner, tears_migration *migration)
{
    return tears_migration_create_table(migration, owner);
}

static void tables_are_made_of_schemas(void **state)
{
    static const char json[] =
        "{\"name\": \"things\", \"columns\": [{\"name\": \"id\", \"column_type\": \"uuid\","
        " \"primary_key\": true}, {\"name\": \"label\", \"column_type\": \"text\"}],"
        " \"indexes\": [{\"name\": \"things_label\", \"columns\": [\"label\"]}]}";
    struct migrate_place place;
    struct tears_error error = {.status = TEARS_OK};
    tears_schema *schema = NULL;
    migrate_place_make(&place, wants_postgres(state));
    assert_int_equal(tears_schema_from_json(tears_str_c(json), &schema, &error), TEARS_OK);
    const struct tears_migration_def version = {.version = 1, .up = create_things};
    struct tears_package_def def = TEARS_PACKAGE_DEF_INIT;
    def.name = TEARS_STR("things");
    def.scope = TEARS_SCOPE_PLATFORM;
    def.migrations = &version;
    def.migration_count = 1;
    def.owner = schema;
    assert_int_equal(tears_migrator_add(place.migrator, &def), TEARS_OK);
    const struct tears_migration_statement *statements;
    size_t count;
    assert_int_equal(tears_migrate_preview(place.migrator, NULL, &statements, &count), TEARS_OK);
    /* two tables of ours, one of theirs, its index, the ledger's row; what PostgreSQL's catalogue has no place for is in a comment */
    assert_int_equal(count, place.is_postgres ? 6 : 5);
    assert_int_equal(statements[3].kind, TEARS_STATEMENT_DDL);
    assert_false(migrate_place_has(&place, "_schema_migrations"));
    assert_false(migrate_place_has(&place, "things"));
    migrate_up(&place, 1);
    assert_true(migrate_place_has(&place, "things"));
    tears_schema_free(schema);
    migrate_place_remove(&place);
}

/* ---- previews ---- */

static tears_status write_by_query(void *owner, tears_migration *migration)
{
    struct tears_migration_rows rows;
    (void)owner;
    return tears_migration_query(migration, TEARS_STR("INSERT INTO users VALUES (2) RETURNING id"),
                                 NULL, 0, &rows);
}

static void a_preview_changes_nothing(void **state)
{
    struct migrate_place place;
    const struct tears_migration_statement *statements;
    size_t count;
    migrate_place_make(&place, wants_postgres(state));
    add_three(&place);
    assert_int_equal(tears_migrate_preview(place.migrator, NULL, &statements, &count), TEARS_OK);
    assert_int_equal(count, 2 + 4 + 3);
    assert_text(statements[2].sql, "CREATE TABLE users (id INTEGER PRIMARY KEY)");
    assert_int_equal(statements[2].ordinal, 1);
    assert_text(statements[3].sql, "INSERT INTO users VALUES (1)");
    assert_int_equal(statements[3].kind, TEARS_STATEMENT_DML);
    assert_int_equal(statements[3].in_transaction, 1);
    assert_int_equal(statements[4].kind, TEARS_STATEMENT_BOOKKEEPING);
    assert_false(migrate_place_has(&place, "_schema_migrations"));
    migrate_up(&place, 3);
    /* a body that writes while it reads (W-20) */
    const struct tears_migration_def sly = {.version = 1, .up = write_by_query};
    migrate_add(&place, "sly", &sly, 1);
    assert_int_equal(tears_migrate_preview(place.migrator, NULL, &statements, &count),
                     TEARS_INVALID);
    assert_int_equal(migrate_place_number(&place, "SELECT count(*) FROM users"), 1);
    struct tears_migrate_request request = TEARS_MIGRATE_REQUEST_INIT;
    request.steps = 1;
    assert_int_equal(tears_migrate_preview_down(place.migrator, &request, &statements, &count),
                     TEARS_OK);
    assert_int_equal(count, 2);
    assert_text(statements[0].sql, "DROP INDEX users_email");
    migrate_place_remove(&place);
}

/* ---- schemas ---- */

static void schemas_are_apart(void **state)
{
    struct migrate_place place;
    migrate_place_make(&place, wants_postgres(state));
    add_three(&place);
    migrate_up(&place, 3);
    place.options.schema = TEARS_STR("agent_1");
    migrate_place_anew(&place);
    add_three(&place);
    const struct tears_migration_status *all;
    size_t count;
    assert_int_equal(tears_migrate_status(place.migrator, &all, &count), TEARS_NOT_FOUND);
    place.options.create_schema = 1;
    /* a name that is missing here is not found there */
    const struct tears_migration_def stray =
        migrate_sql(1, "ALTER TABLE users ADD COLUMN stray TEXT", "");
    migrate_place_anew(&place);
    migrate_add(&place, "stray", &stray, 1);
    assert_int_equal(tears_migrate_up(place.migrator, NULL, NULL), TEARS_INVALID);
    migrate_place_anew(&place);
    add_three(&place);
    migrate_up(&place, 3);
    if (place.is_postgres)
        assert_int_equal(
            migrate_place_number(&place, "SELECT count(*) FROM agent_1._schema_migrations"), 3);
    migrate_down(&place, 3, 3);
    assert_true(migrate_place_has(&place, "users"));
    assert_int_equal(migrate_place_number(&place, "SELECT count(*) FROM _schema_migrations"), 3);
    migrate_place_remove(&place);
}

/* ---- the Python package's ledger ---- */

static void a_ledger_of_python_goes_on(void **state)
{
    struct migrate_place place;
    migrate_place_make(&place, wants_postgres(state));
    migrate_place_sql(&place,
                      place.is_postgres
                          ? "CREATE TABLE IF NOT EXISTS _schema_migrations (\n"
                            "    version INTEGER NOT NULL,\n    package VARCHAR(255) NOT NULL,\n"
                            "    description TEXT,\n"
                            "    date_applied TIMESTAMP NOT NULL DEFAULT now(),\n"
                            "    PRIMARY KEY (version, package)\n)"
                          : "CREATE TABLE IF NOT EXISTS _schema_migrations (version INTEGER NOT "
                            "NULL, package VARCHAR(255) NOT NULL, description TEXT, date_applied "
                            "TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY (version, "
                            "package))");
    migrate_place_sql(&place, "CREATE TABLE users (id INTEGER PRIMARY KEY)");
    migrate_place_sql(&place, "INSERT INTO _schema_migrations (version, package, description)"
                              " VALUES (1, 'users', 'v001_create_users')");
    add_three(&place);
    assert_int_equal(state_of(&place, 1), TEARS_MIGRATION_APPLIED);
    migrate_up(&place, 2);
    const struct tears_migration_record *history;
    size_t count;
    assert_int_equal(tears_migrate_history(place.migrator, &history, &count), TEARS_OK);
    assert_int_equal(count, 3);
    assert_text(history[0].description, "v001_create_users");
    assert_true(history[0].date_applied_us > (int64_t)1600000000 * 1000000);
    assert_int_equal(history[0].sequence, 1);
    /* Python undoes the newest, and applies it again: it reads and writes its own table alone */
    migrate_place_sql(&place, "DROP INDEX users_email");
    migrate_place_sql(&place, "DELETE FROM _schema_migrations WHERE version = 3");
    assert_int_equal(state_of(&place, 3), TEARS_MIGRATION_PENDING);
    migrate_up(&place, 1);
    migrate_down(&place, 3, 3);
    assert_false(migrate_place_has(&place, "users"));
    migrate_place_remove(&place);
}

/* ---- progress ---- */

static void count_events(void *owner, const struct tears_migrate_event *event)
{
    unsigned *counts = owner;
    counts[event->kind]++;
}

static void progress_is_told(void **state)
{
    struct migrate_place place;
    unsigned counts[8] = {0};
    migrate_place_make(&place, wants_postgres(state));
    place.options.progress = count_events;
    place.options.progress_owner = counts;
    migrate_place_anew(&place);
    add_three(&place);
    migrate_up(&place, 3);
    assert_int_equal(counts[TEARS_MIGRATE_STARTED], 3);
    assert_int_equal(counts[TEARS_MIGRATE_STEP], 4);
    assert_int_equal(counts[TEARS_MIGRATE_FINISHED], 3);
    migrate_place_remove(&place);
}

/* ---- directories ---- */

static void directories_are_packages(void **state)
{
    struct migrate_place place;
    struct tears_migration_failure failure = TEARS_MIGRATION_FAILURE_INIT;
    migrate_place_make(&place, wants_postgres(state));
    const struct temp_folder *folder = &place.folder;
    temp_folder_dir(folder, "m");
    temp_folder_dir(folder, "m/users");
    temp_folder_file(folder, "m/users/package.json",
                     "{\"name\": \"users\", \"scope\": \"platform\"}");
    temp_folder_file(folder, "m/users/0001_create_users.up.sql",
                     "CREATE TABLE users (id INTEGER);\n");
    temp_folder_file(folder, "m/users/0001_create_users.down.sql", "DROP TABLE users;\n");
    temp_folder_file(folder, "m/users/0002_bad_one.up.sql", "SELECT 1;\n\nSELEC 2;\n");
    temp_folder_file(folder, "m/users/README.md", "nothing");
    temp_folder_dir(folder, "m/base");
    temp_folder_file(folder, "m/base/package.json",
                     "{\"name\": \"base\", \"scope\": \"platform\", \"depends_on\": [\"users\"]}");
    const struct tears_str path = tears_str_c(temp_folder_path(folder, "m"));
    assert_int_equal(tears_migrator_add_directory(place.migrator, path), TEARS_OK);
    assert_int_equal(tears_migrate_up(place.migrator, NULL, NULL), TEARS_INVALID);
    assert_true(tears_migrator_failure(place.migrator, &failure));
    assert_int_equal(failure.line, 3);
    assert_int_equal(failure.ordinal, 2);
    assert_non_null(strstr(failure.file.ptr, "m/users/0002_bad_one.up.sql"));
    assert_true(migrate_place_has(&place, "users"));
    migrate_place_remove(&place);
}

static void directories_are_checked(void **state)
{
    struct migrate_place place;
    migrate_place_make(&place, wants_postgres(state));
    const struct temp_folder *folder = &place.folder;
    temp_folder_dir(folder, "m");
    const struct tears_str path = tears_str_c(temp_folder_path(folder, "m"));
    assert_int_equal(tears_migrator_add_directory(place.migrator, TEARS_STR("/no/such")),
                     TEARS_NOT_FOUND);
    assert_int_equal(tears_migrator_add_directory(place.migrator, path), TEARS_NOT_FOUND);
    temp_folder_file(folder, "m/package.json", "{\"name\": \"x\"}");
    assert_int_equal(tears_migrator_add_directory(place.migrator, path), TEARS_INVALID);
    temp_folder_file(folder, "m/package.json",
                     "{\"name\": \"x\", \"scope\": \"platform\", \"depend_on\": []}");
    assert_int_equal(tears_migrator_add_directory(place.migrator, path), TEARS_INVALID);
    temp_folder_file(folder, "m/package.json", "{\"name\": \"x\", \"scope\": \"platform\"}");
    temp_folder_file(folder, "m/0001_a.down.sql", "SELECT 1");
    assert_int_equal(tears_migrator_add_directory(place.migrator, path), TEARS_INVALID);
    temp_folder_file(folder, "m/0001_a.up.sql", "SELECT 1");
    temp_folder_file(folder, "m/001_a.up.sql", "SELECT 1");
    assert_int_equal(tears_migrator_add_directory(place.migrator, path), TEARS_CONFLICT);
    migrate_place_remove(&place);
}

/* ---- statements without a transaction ---- */

static void alone_goes_on_behind_a_failure(void **state)
{
    struct migrate_place place;
    struct tears_migration_failure failure = TEARS_MIGRATION_FAILURE_INIT;
    migrate_place_make(&place, wants_postgres(state));
    struct tears_migration_def version =
        migrate_sql(1,
                    "CREATE TABLE a (x INTEGER);\nINSERT INTO a VALUES (1);\nVACUUM;\n"
                    "INSERT INTO b VALUES (2);",
                    "DROP TABLE a");
    migrate_add(&place, "p", &version, 1);
    assert_int_equal(tears_migrate_up(place.migrator, NULL, NULL), TEARS_INVALID);
    assert_true(tears_migrator_failure(place.migrator, &failure));
    assert_int_equal(failure.ordinal, 4);
    assert_int_equal(failure.line, 4);
    assert_int_equal(failure.is_partial, 1);
    assert_int_equal(state_of(&place, 1), TEARS_MIGRATION_INTERRUPTED);
    assert_int_equal(migrate_place_number(&place, "SELECT count(*) FROM a"), 1);
    /* nothing else is done before it */
    struct tears_migrate_request request = TEARS_MIGRATE_REQUEST_INIT;
    request.has_target = 1;
    assert_int_equal(tears_migrate_up(place.migrator, &request, NULL), TEARS_CONFLICT);
    assert_int_equal(why(&place)->detail, TEARS_MIGRATE_INTERRUPTED);
    /* what was done may not change, what comes may */
    migrate_place_anew(&place);
    version.up_sql = TEARS_STR("CREATE TABLE a (x INTEGER);\nINSERT INTO a VALUES (9);\nVACUUM;\n"
                               "INSERT INTO a VALUES (2);");
    migrate_add(&place, "p", &version, 1);
    assert_int_equal(tears_migrate_up(place.migrator, NULL, NULL), TEARS_CONFLICT);
    migrate_place_anew(&place);
    version.up_sql = TEARS_STR("CREATE TABLE a (x INTEGER);\nINSERT INTO a VALUES (1);\nVACUUM;\n"
                               "INSERT INTO a VALUES (2);");
    migrate_add(&place, "p", &version, 1);
    const struct tears_migration_statement *statements;
    size_t count;
    assert_int_equal(tears_migrate_preview(place.migrator, NULL, &statements, &count), TEARS_OK);
    assert_int_equal(count, 2);
    assert_int_equal(statements[0].ordinal, 4);
    migrate_up(&place, 1);
    assert_int_equal(migrate_place_number(&place, "SELECT count(*) FROM a"), 2);
    migrate_down(&place, 1, 1);
    migrate_place_remove(&place);
}

static tears_status vacuum(void *owner, tears_migration *migration)
{
    (void)owner;
    return tears_migration_execute(migration, TEARS_STR("VACUUM"), NULL, 0, NULL);
}

static void functions_must_say_that_they_are_alone(void **state)
{
    struct migrate_place place;
    migrate_place_make(&place, wants_postgres(state));
    struct tears_migration_def version = {.version = 1, .up = vacuum};
    migrate_add(&place, "p", &version, 1);
    assert_int_equal(tears_migrate_up(place.migrator, NULL, NULL), TEARS_UNSUPPORTED);
    migrate_place_anew(&place);
    version.flags = TEARS_MIGRATION_NO_TRANSACTION;
    migrate_add(&place, "p", &version, 1);
    migrate_up(&place, 1);
    migrate_place_remove(&place);
}

/* A loop over batches: fails after the third, and then goes on there. */
struct batches {
    int fail_after; /* -1: never */
    int ran;
};

static tears_status fill_in_batches(void *owner, tears_migration *migration)
{
    struct batches *batches = owner;
    struct tears_str saved;
    bool done;
    tears_status status = tears_migration_execute(
        migration, TEARS_STR("CREATE TABLE filled (n INTEGER PRIMARY KEY)"), NULL, 0, NULL);
    if (status == TEARS_OK)
        status = tears_migration_phase(migration, TEARS_STR("fill"), &saved, &done);
    if (status != TEARS_OK || done)
        return status;
    for (int i = saved.len > 0 ? saved.ptr[0] - '0' : 0; i < 6 && status == TEARS_OK; i++) {
        const struct tears_value number = tears_int(i);
        const char next[] = {(char)('1' + i), '\0'};
        if (i == batches->fail_after)
            return tears_migration_fail(migration, TEARS_LIMIT, TEARS_STR("enough"));
        batches->ran++;
        status = tears_migration_execute(migration, TEARS_STR("INSERT INTO filled VALUES ($1)"),
                                         &number, 1, NULL);
        if (status == TEARS_OK)
            status = tears_migration_phase_save(migration, tears_str_c(next));
    }
    return status == TEARS_OK ? tears_migration_phase_end(migration) : status;
}

static void phases_go_on_where_they_were(void **state)
{
    struct migrate_place place;
    struct batches batches = {.fail_after = 3};
    migrate_place_make(&place, wants_postgres(state));
    const struct tears_migration_def version = {
        .version = 1, .up = fill_in_batches, .flags = TEARS_MIGRATION_NO_TRANSACTION};
    struct tears_package_def def = TEARS_PACKAGE_DEF_INIT;
    def.name = TEARS_STR("p");
    def.scope = TEARS_SCOPE_PLATFORM;
    def.migrations = &version;
    def.migration_count = 1;
    def.owner = &batches;
    assert_int_equal(tears_migrator_add(place.migrator, &def), TEARS_OK);
    assert_int_equal(tears_migrate_up(place.migrator, NULL, NULL), TEARS_LIMIT);
    assert_int_equal(migrate_place_number(&place, "SELECT count(*) FROM filled"), 3);
    batches.fail_after = -1;
    migrate_up(&place, 1);
    assert_int_equal(batches.ran, 6);
    assert_int_equal(migrate_place_number(&place, "SELECT count(*) FROM filled"), 6);
    migrate_place_remove(&place);
}

/* ---- settings and locks ---- */

static void settings_end_with_their_version(void **state)
{
    struct migrate_place place;
    migrate_place_make(&place, wants_postgres(state));
    struct tears_migration_def versions[] = {
        migrate_sql(1, "PRAGMA foreign_keys = OFF", ""),
        migrate_sql(2, "CREATE TABLE seen AS SELECT foreign_keys AS n FROM pragma_foreign_keys",
                    "")};
    if (place.is_postgres) {
        versions[0].up_sql = TEARS_STR("SET work_mem = '3MB'");
        versions[1].up_sql = TEARS_STR("CREATE TABLE seen AS SELECT"
                                       " (current_setting('work_mem') <> '3MB')::int AS n");
    }
    migrate_add(&place, "p", versions, 2);
    migrate_up(&place, 2);
    assert_int_equal(migrate_place_number(&place, "SELECT n FROM seen"), 1);
    migrate_place_remove(&place);
}

/* As in what pg_dump writes. */
static void a_version_may_leave_the_search_path(void **state)
{
    struct migrate_place place;
    (void)state;
    migrate_place_make(&place, true);
    const struct tears_migration_def versions[] = {
        migrate_sql(1,
                    "CREATE TABLE seen (n int);"
                    " SELECT pg_catalog.set_config('search_path', '', false)",
                    ""),
        migrate_sql(2, "INSERT INTO seen VALUES (1)", "")};
    migrate_add(&place, "p", versions, 2);
    migrate_up(&place, 2);
    assert_int_equal(migrate_place_number(&place, "SELECT count(*) FROM seen"), 1);
    migrate_place_remove(&place);
}

/* The Python package does not take the lock: it enters the version in the last moment. */
static void enter_as_python(void *owner, const struct tears_migrate_event *event)
{
    struct migrate_place *place = owner;
    if (event->kind == TEARS_MIGRATE_STARTED && event->version == 2)
        migrate_place_sql(place, "INSERT INTO _schema_migrations (version, package, description)"
                                 " VALUES (2, 'users', 'v002_add_email')");
}

static void a_runner_without_the_lock_is_noticed(void **state)
{
    struct migrate_place place;
    migrate_place_make(&place, wants_postgres(state));
    place.options.progress = enter_as_python;
    place.options.progress_owner = &place;
    migrate_place_anew(&place);
    add_three(&place);
    uint64_t applied = 0;
    struct tears_migrate_request request = TEARS_MIGRATE_REQUEST_INIT;
    request.has_target = 1;
    request.target = 2;
    assert_int_equal(tears_migrate_up(place.migrator, &request, &applied), TEARS_OK);
    assert_int_equal(applied, 1);
    assert_int_equal(migrate_place_number(&place, "SELECT count(email) FROM users"), -1);
    migrate_place_remove(&place);
}

/* Somebody reads the table for a while (W-15). */
static void *read_for_a_while(void *owner)
{
    struct migrate_place *place = owner;
    usleep(400000);
    if (tears_rollback(place->session) != TEARS_OK)
        abort();
    return NULL;
}

static void a_busy_table_is_tried_again(void **state)
{
    struct migrate_place place;
    pthread_t reader;
    (void)state;
    migrate_place_make(&place, true);
    migrate_place_sql(&place, "CREATE TABLE users (id INTEGER)");
    place.options.table_lock_ms = 50;
    migrate_place_anew(&place);
    const struct tears_migration_def version = migrate_sql(
        1, "CREATE TABLE first (x INTEGER); ALTER TABLE users ADD COLUMN x INTEGER", "");
    migrate_add(&place, "p", &version, 1);
    assert_int_equal(tears_begin(place.session), TEARS_OK);
    assert_int_equal(migrate_place_number(&place, "SELECT count(*) FROM users"), 0);
    assert_int_equal(pthread_create(&reader, NULL, read_for_a_while, &place), 0);
    uint64_t applied = 0;
    const tears_status status = tears_migrate_up(place.migrator, NULL, &applied);
    assert_int_equal(pthread_join(reader, NULL), 0);
    assert_int_equal(status, TEARS_OK);
    assert_int_equal(applied, 1);
    migrate_place_remove(&place);
}

int main(void)
{
    static int kinds[] = {SQLITE, POSTGRES};
#define BOTH(test)                                                                         \
    {.name = "sqlite: " #test, .test_func = test, .initial_state = &kinds[SQLITE]},        \
    {                                                                                      \
        .name = "postgresql: " #test, .test_func = test, .initial_state = &kinds[POSTGRES] \
    }
    const struct CMUnitTest tests[] = {BOTH(up_applies_once),
                                       BOTH(down_and_up_again_equals_fresh),
                                       BOTH(targets_cap_versions),
                                       BOTH(one_package_needs_its_dependencies),
                                       BOTH(what_has_no_way_down_stays),
                                       BOTH(a_failed_version_leaves_nothing),
                                       BOTH(a_version_may_not_end_its_transaction),
                                       BOTH(packages_are_checked),
                                       BOTH(scopes_are_apart),
                                       BOTH(a_changed_text_is_noticed),
                                       BOTH(out_of_order_is_refused_or_allowed),
                                       BOTH(unknown_versions_are_shown),
                                       BOTH(stamps_are_checked),
                                       BOTH(functions_are_versions),
                                       BOTH(tables_are_made_of_schemas),
                                       BOTH(a_preview_changes_nothing),
                                       BOTH(schemas_are_apart),
                                       BOTH(a_ledger_of_python_goes_on),
                                       BOTH(progress_is_told),
                                       BOTH(directories_are_packages),
                                       BOTH(directories_are_checked),
                                       BOTH(alone_goes_on_behind_a_failure),
                                       BOTH(functions_must_say_that_they_are_alone),
                                       BOTH(phases_go_on_where_they_were),
                                       BOTH(settings_end_with_their_version),
                                       cmocka_unit_test(a_version_may_leave_the_search_path),
                                       BOTH(a_runner_without_the_lock_is_noticed),
                                       cmocka_unit_test(a_busy_table_is_tried_again)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
