/*
 * test_migrate_helpers.c -- the helpers of migrations on both databases: run again they change nothing, and a process that
 * is killed before any statement is followed by one that comes to the same tables.
 *
 * Each helper is a case: tables to begin with, a body, and what must be true in the end.  A case is run in a version that is one
 * transaction, in one that is not, twice, and killed before each of its statements in turn.
 */
#include "base/macros.h"
#include "support/migrate_place.h"
#include "support/pg_server.h"
#include "tier/l3_admin.h"

#include <tears/migrate_helpers.h>

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
// clang-format on

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STATEMENTS_MAX = 400, BOTH = 0, ONLY_PG = 1 };

struct helper_case {
    const char *name;
    int where;  /* BOTH, ONLY_PG */
    bool alone; /* it needs TEARS_MIGRATION_NO_TRANSACTION */
    const char *setup;
    tears_migration_fn body;
    const char *truth; /* a query that gives 1 in the end */
};

static struct tears_table_part part(const char *table, const char *name)
{
    struct tears_table_part it = TEARS_TABLE_PART_INIT;
    it.table = tears_str_c(table);
    it.name = tears_str_c(name);
    return it;
}

/* ---- bodies ---- */

static const struct tears_str a_b[] = {{"a", 1}, {"b", 1}};
static const struct tears_str id[] = {{"id", 2}};

static tears_status add_column(void *owner, tears_migration *migration)
{
    struct tears_add_column add = TEARS_ADD_COLUMN_INIT;
    (void)owner;
    add.table = TEARS_STR("t");
    add.column = TEARS_STR("order");
    add.type = TEARS_STR("varchar(10)");
    add.default_value = TEARS_STR("'x'");
    add.not_null = 1;
    add.backfill = TEARS_STR("'y'");
    add.predicate = TEARS_STR("id > 3");
    return tears_migration_add_column(migration, &add);
}

static tears_status add_column_in_batches(void *owner, tears_migration *migration)
{
    struct tears_add_column add = TEARS_ADD_COLUMN_INIT;
    (void)owner;
    add.table = TEARS_STR("t");
    add.column = TEARS_STR("c");
    add.type = TEARS_STR("INTEGER");
    add.default_value = TEARS_STR("0");
    add.backfill = TEARS_STR("id * 2");
    add.batch_rows = 3;
    return tears_migration_add_column(migration, &add);
}

/* Not one row may be met twice: the value would tell. */
static tears_status backfill(void *owner, tears_migration *migration)
{
    struct tears_backfill work = TEARS_BACKFILL_INIT;
    uint64_t rows = 0;
    (void)owner;
    work.table = TEARS_STR("t");
    work.set = TEARS_STR("n = n + 1");
    work.predicate = TEARS_STR("id <> 5 OR id = 5");
    work.batch_rows = 4;
    return tears_migration_backfill(migration, &work, &rows);
}

static tears_status backfill_wide_key(void *owner, tears_migration *migration)
{
    struct tears_backfill work = TEARS_BACKFILL_INIT;
    (void)owner;
    work.table = TEARS_STR("w");
    work.set = TEARS_STR("n = n + 1");
    work.batch_rows = 3;
    return tears_migration_backfill(migration, &work, NULL);
}

static tears_status partition_column(void *owner, tears_migration *migration)
{
    static const struct tears_str values[] = {{"it's", 4}, {"$$b$$", 5}};
    struct tears_add_partition_column add = TEARS_ADD_PARTITION_COLUMN_INIT;
    (void)owner;
    add.table = TEARS_STR("t");
    add.column = TEARS_STR("owner");
    add.type = TEARS_STR("TEXT");
    add.default_value = TEARS_STR("'it''s'");
    add.backfill = TEARS_STR("'$$b$$'");
    add.predicate = TEARS_STR("id = 2");
    add.values = values;
    add.value_count = 2;
    return tears_migration_add_partition_column(migration, &add);
}

static tears_status drop_and_rename(void *owner, tears_migration *migration)
{
    const struct tears_table_part gone = part("t", "n");
    const struct tears_table_part old_name = part("t", "note");
    const struct tears_table_part old_table = part("w", "unused");
    const struct tears_table_part old = part("u", "unused");
    (void)owner;
    T3_TRY(tears_migration_drop_column(migration, &gone));
    T3_TRY(tears_migration_rename_column(migration, &old_name, TEARS_STR("Remark")));
    T3_TRY(tears_migration_rename_table(migration, &old_table, TEARS_STR("wide")));
    return tears_migration_drop_table(migration, &old);
}

static tears_status columns(void *owner, tears_migration *migration)
{
    const struct tears_table_part n = part("t", "n");
    const struct tears_table_part note = part("t", "note");
    const struct tears_table_part row_id = part("t", "id");
    (void)owner;
    T3_TRY(tears_migration_set_not_null(migration, &n));
    T3_TRY(tears_migration_set_default(migration, &n, TEARS_STR("7")));
    T3_TRY(tears_migration_change_type(migration, &note, TEARS_STR("varchar(40)"), TEARS_STR("")));
    T3_TRY(tears_migration_change_type(migration, &n, TEARS_STR("numeric(9,2)"),
                                       TEARS_STR("n::numeric / 1")));
    return tears_migration_drop_not_null(migration, &row_id);
}

static tears_status checks(void *owner, tears_migration *migration)
{
    const struct tears_table_part positive = part("t", "positive");
    const struct tears_table_part old_check = part("t", "old_check");
    const struct tears_table_part gone = part("t", "gone_check");
    (void)owner;
    T3_TRY(tears_migration_add_check(migration, &positive, TEARS_STR("n >= 0 AND note <> '$$'")));
    T3_TRY(tears_migration_replace_check(migration, &old_check, TEARS_STR("n IN (0, 1, 2)")));
    return tears_migration_drop_constraint(migration, &gone);
}

static tears_status foreign_key(void *owner, tears_migration *migration)
{
    static const struct tears_str from[] = {{"t_id", 4}};
    struct tears_add_foreign_key add = TEARS_ADD_FOREIGN_KEY_INIT;
    (void)owner;
    add.table = TEARS_STR("u");
    add.key.name = TEARS_STR("u_t_fk");
    add.key.columns = from;
    add.key.column_count = 1;
    add.key.references_table = TEARS_STR("t");
    add.key.references_columns = id;
    add.key.references_column_count = 1;
    add.key.on_delete = TEARS_STR("CASCADE");
    return tears_migration_add_foreign_key(migration, &add);
}

static tears_status index_body(tears_migration *migration, uint64_t flags)
{
    struct tears_add_index add = TEARS_ADD_INDEX_INIT;
    const struct tears_table_part old = part("w", "w_old");
    add.table = TEARS_STR("w");
    add.index.name = TEARS_STR("w_b_a");
    add.index.columns = (const struct tears_str[]){{"b", 1}, {"a", 1}};
    add.index.column_count = 2;
    add.index.where = TEARS_STR("n > 0");
    add.flags = flags;
    T3_TRY(tears_migration_add_index(migration, &add));
    return tears_migration_drop_index(migration, &old, flags);
}

static tears_status indexes(void *owner, tears_migration *migration)
{
    (void)owner;
    return index_body(migration, 0);
}

static tears_status concurrent_indexes(void *owner, tears_migration *migration)
{
    struct tears_add_index add = TEARS_ADD_INDEX_INIT;
    (void)owner;
    T3_TRY(index_body(migration, TEARS_INDEX_CONCURRENTLY));
    add.table = TEARS_STR("t");
    add.index.name = TEARS_STR("t_id_n_unique");
    add.index.columns = (const struct tears_str[]){{"id", 2}, {"n", 1}};
    add.index.column_count = 2;
    add.flags = TEARS_INDEX_CONCURRENTLY;
    return tears_migration_add_unique(migration, &add);
}

static const struct tears_str t_id[] = {{"t_id", 4}};
static const struct tears_inbound_key inbound_keys[] = {
    {.table = {"u", 1},
     .name = {"u_t_id_fkey", 11},
     .columns = t_id,
     .column_count = 1,
     .on_delete = {"CASCADE", 7}},
    {.table = {"v", 1}, .name = {"v_t_id_fkey", 11}, .columns = t_id, .column_count = 1}};

static tears_status primary_key(void *owner, tears_migration *migration)
{
    struct tears_replace_primary_key replace = TEARS_REPLACE_PRIMARY_KEY_INIT;
    (void)owner;
    replace.table = TEARS_STR("t");
    replace.columns = (const struct tears_str[]){{"n", 1}, {"id", 2}};
    replace.column_count = 2;
    replace.inbound = inbound_keys;
    replace.inbound_count = 2;
    return tears_migration_replace_primary_key(migration, &replace);
}

static tears_status policies(void *owner, tears_migration *migration)
{
    struct tears_policy policy = TEARS_POLICY_INIT;
    const struct tears_table_part table = part("t", "unused");
    (void)owner;
    policy.table = TEARS_STR("t");
    policy.name = TEARS_STR("own rows");
    policy.using_expression = TEARS_STR("note = current_setting('app.owner', true)");
    policy.check = TEARS_STR("n > 0");
    policy.command = TEARS_STR(" update ");
    T3_TRY(tears_migration_create_policy(migration, &policy));
    return tears_migration_enable_row_security(migration, &table, true);
}

static tears_status objects(void *owner, tears_migration *migration)
{
    static const struct tears_str labels[] = {{"new", 3}, {"it's", 4}};
    static const struct tears_str more[] = {{"new", 3}, {"old", 3}};
    const struct tears_table_part trigger = part("t", "touch");
    const struct tears_table_part gone = part("t", "gone_trigger");
    (void)owner;
    T3_TRY(tears_migration_create_enum(migration, TEARS_STR(""), TEARS_STR("mood"), labels, 2));
    T3_TRY(tears_migration_create_enum(migration, TEARS_STR(""), TEARS_STR("mood"), more, 2));
    T3_TRY(tears_migration_create_extension(migration, TEARS_STR("plpgsql")));
    T3_TRY(tears_migration_create_trigger(migration, &trigger, TEARS_STR("BEFORE UPDATE"),
                                          TEARS_STR("FOR EACH ROW EXECUTE FUNCTION touched()")));
    return tears_migration_drop_trigger(migration, &gone);
}

static tears_status lite_trigger(void *owner, tears_migration *migration)
{
    const struct tears_table_part trigger = part("t", "touch");
    const struct tears_table_part gone = part("t", "gone_trigger");
    (void)owner;
    T3_TRY(tears_migration_create_trigger(
        migration, &trigger, TEARS_STR("AFTER INSERT"),
        TEARS_STR("BEGIN UPDATE t SET n = 0 WHERE id = new.id; DELETE FROM u; END")));
    return tears_migration_drop_trigger(migration, &gone);
}

/* ---- cases ---- */

#define TABLES                                                                                    \
    "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, note VARCHAR(20));"                       \
    "INSERT INTO t SELECT x, 0, 'a' FROM (WITH RECURSIVE s(x) AS (SELECT 1 UNION ALL SELECT x + " \
    "1 "                                                                                          \
    "FROM s WHERE x < 10) SELECT x FROM s) AS ten;"                                               \
    "CREATE TABLE u (id INTEGER PRIMARY KEY, t_id INTEGER);"                                      \
    "CREATE TABLE w (a INTEGER NOT NULL, b VARCHAR(9) NOT NULL, n INTEGER, PRIMARY KEY (a, b));"  \
    "INSERT INTO w SELECT id / 4, 'it''s ' || id, 0 FROM t;"                                      \
    "CREATE INDEX w_old ON w (n);"

static const struct helper_case cases[] = {
    {"add column", BOTH, false, TABLES, add_column,
     "SELECT CAST(count(*) = 10 AS INTEGER) FROM t WHERE (id > 3 AND \"order\" = 'y') OR (id <= 3 "
     "AND \"order\" = 'x')"},
    {"add column in batches", BOTH, false, TABLES, add_column_in_batches,
     "SELECT CAST(count(*) = 10 AS INTEGER) FROM t WHERE c = id * 2"},
    {"backfill", BOTH, false, TABLES, backfill,
     "SELECT CAST(min(n) = max(n) AND count(*) = 10 AS INTEGER) FROM t"},
    {"backfill along a wide key", BOTH, false, TABLES, backfill_wide_key,
     "SELECT CAST(min(n) = max(n) AND count(*) = 10 AS INTEGER) FROM w"},
    {"partition column", ONLY_PG, false, TABLES, partition_column,
     "SELECT count(*)::int FROM t WHERE owner = '$$b$$' AND id = 2"},
    {"drop and rename", BOTH, false, TABLES, drop_and_rename,
     "SELECT CAST(count(\"Remark\") = 10 AS INTEGER) FROM t"},
    {"columns", ONLY_PG, false, TABLES "ALTER TABLE t DROP CONSTRAINT t_pkey;", columns,
     "SELECT count(*)::int FROM t WHERE id = 1"},
    {"checks", ONLY_PG, false,
     TABLES
     "ALTER TABLE t ADD CONSTRAINT old_check CHECK (n < 100), ADD CONSTRAINT gone_check CHECK "
     "(n < 50);",
     checks,
     "SELECT count(*)::int FROM pg_constraint WHERE conname = 'old_check' AND convalidated"},
    {"foreign key", ONLY_PG, false, TABLES "INSERT INTO u VALUES (1, 1);", foreign_key,
     "SELECT count(*)::int FROM pg_constraint WHERE conname = 'u_t_fk' AND convalidated"},
    {"indexes", BOTH, false, TABLES, indexes, "SELECT 1"},
    {"concurrent indexes", ONLY_PG, true, TABLES, concurrent_indexes,
     "SELECT count(*)::int FROM pg_index WHERE indexrelid = 't_id_n_unique'::regclass AND "
     "indisvalid"},
    {"primary key", ONLY_PG, false,
     TABLES
     "CREATE TABLE v (t_id INTEGER); ALTER TABLE u ADD CONSTRAINT u_t_id_fkey FOREIGN KEY (t_id) "
     "REFERENCES t (id) ON DELETE CASCADE; ALTER TABLE v ADD CONSTRAINT v_t_id_fkey FOREIGN KEY "
     "(t_id) REFERENCES t (id); INSERT INTO u VALUES (1, 1);",
     primary_key,
     "SELECT (pg_get_constraintdef(oid) = 'PRIMARY KEY (n, id)')::int FROM pg_constraint WHERE "
     "conname "
     "= 't_pkey'"},
    {"policies", ONLY_PG, false, TABLES, policies,
     "SELECT relforcerowsecurity::int FROM pg_class WHERE oid = 't'::regclass"},
    {"types and triggers", ONLY_PG, false,
     TABLES
     "CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';"
     "CREATE TRIGGER gone_trigger BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touched();",
     objects, "SELECT (count(*) = 3)::int FROM pg_enum WHERE enumtypid = 'mood'::regtype"},
};

/* A body that runs another one so many times. */
struct repeated {
    tears_migration_fn body;
    unsigned times;
};

/* What comes before the body is tested elsewhere. */
static bool body_has_begun;

static tears_status repeat(void *owner, tears_migration *migration)
{
    const struct repeated *repeated = owner;
    body_has_begun = true;
    for (unsigned i = 0; i < repeated->times; i++)
        T3_TRY(repeated->body(NULL, migration));
    return TEARS_OK;
}

/* ---- places ---- */

static void fresh_place(struct migrate_place *place, const struct helper_case *it)
{
    migrate_place_close(place);
    if (place->is_postgres) {
        test_pg_run(place->url,
                    "SET client_min_messages = warning; DROP SCHEMA public CASCADE; CREATE "
                    "SCHEMA public");
        test_pg_run(place->url, it->setup);
        return;
    }
    temp_folder_remove(&place->folder);
    temp_folder_make(&place->folder);
    (void)snprintf(place->url, sizeof place->url, "sqlite:%s",
                   temp_folder_path(&place->folder, "tears.db"));
    migrate_place_open(place);
    for (const char *at = it->setup; *at != '\0';) { /* no semicolon is anywhere else */
        char sql[1024];
        const size_t len = strcspn(at, ";");
        (void)snprintf(sql, sizeof sql, "%.*s", (int)len, at);
        migrate_place_sql(place, sql);
        at += len + 1;
    }
    migrate_place_close(place);
}

/* Everything that a helper can make. */
static const char *const shape_pg =
    "SELECT string_agg(line, E'\\n' ORDER BY line) FROM ("
    "SELECT 'column ' || c.relname || ' ' || a.attname || ' ' || format_type(a.atttypid, "
    "a.atttypmod) || "
    "' ' || a.attnotnull || ' ' || coalesce(pg_get_expr(d.adbin, d.adrelid), '') AS line FROM "
    "pg_class c "
    "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped LEFT JOIN "
    "pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum WHERE c.relnamespace = "
    "'public'::regnamespace AND c.relkind = 'r' AND c.relname NOT LIKE '\\_%'"
    " UNION ALL SELECT 'index ' || pg_get_indexdef(i.indexrelid) || ' ' || i.indisvalid FROM "
    "pg_index i "
    "JOIN pg_class c ON c.oid = i.indrelid WHERE c.relnamespace = 'public'::regnamespace AND "
    "c.relname "
    "NOT LIKE '\\_%'"
    " UNION ALL SELECT 'constraint ' || r.conname || ' ' || r.conrelid::regclass || ' ' || "
    "pg_get_constraintdef(r.oid) || ' ' || r.convalidated FROM pg_constraint r WHERE "
    "r.connamespace = "
    "'public'::regnamespace AND r.conrelid::regclass::text NOT LIKE '\\_%'"
    " UNION ALL SELECT 'policy ' || p.polname || ' ' || p.polcmd::text || ' ' || p.polpermissive "
    "|| ' ' "
    "|| "
    "pg_get_expr(p.polqual, p.polrelid) FROM pg_policy p"
    " UNION ALL SELECT 'security ' || relname || relrowsecurity || relforcerowsecurity FROM "
    "pg_class WHERE "
    "relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname NOT LIKE '\\_%'"
    " UNION ALL SELECT 'trigger ' || pg_get_triggerdef(g.oid) FROM pg_trigger g WHERE NOT "
    "g.tgisinternal"
    " UNION ALL SELECT 'label ' || enumtypid::regtype || ' ' || enumsortorder || ' ' || enumlabel "
    "FROM "
    "pg_enum WHERE enumtypid::regtype::text = 'mood') AS shape";

static char *shape_of(struct migrate_place *place)
{
    tears_cursor *cursor = NULL;
    const struct tears_field *fields;
    size_t count;
    if (!place->is_postgres)
        return migrate_place_shape(place);
    if (tears_query(place->session, tears_str_c(shape_pg), NULL, 0, &cursor) != TEARS_OK)
        fail_msg("%s", tears_session_error(place->session)->message);
    assert_int_equal(tears_cursor_next(cursor, &fields, &count), TEARS_OK);
    char *text = strndup(fields[0].value.as.bytes.ptr, fields[0].value.as.bytes.len);
    tears_cursor_free(cursor);
    return text;
}

static tears_status run_versions(struct migrate_place *place, struct repeated *repeated,
                                 size_t versions, bool alone)
{
    struct tears_package_def package = TEARS_PACKAGE_DEF_INIT;
    struct tears_migration_def defs[2] = {{.version = 1}, {.version = 2}};
    for (size_t i = 0; i < 2; i++) {
        defs[i].description = TEARS_STR("a helper");
        defs[i].up = repeat;
        defs[i].flags = alone ? TEARS_MIGRATION_NO_TRANSACTION : 0;
    }
    package.name = TEARS_STR("helpers");
    package.scope = TEARS_SCOPE_PLATFORM;
    package.migrations = defs;
    package.migration_count = versions;
    package.owner = repeated;
    assert_int_equal(tears_migrator_add(place->migrator, &package), TEARS_OK);
    return tears_migrate_up(place->migrator, NULL, NULL);
}

static void run_case(struct migrate_place *place, const struct helper_case *it,
                     struct repeated repeated, size_t versions, bool alone)
{
    migrate_place_open(place);
    if (run_versions(place, &repeated, versions, alone) != TEARS_OK)
        fail_msg("%s: %s", it->name, tears_migrator_error(place->migrator)->message);
    if (migrate_place_number(place, it->truth) != 1)
        fail_msg("%s: %s", it->name, it->truth);
}

static void expect_shape(struct migrate_place *place, const struct helper_case *it,
                         const char *wanted)
{
    char *shape = shape_of(place);
    if (strcmp(shape, wanted) != 0)
        fail_msg("%s:\n%s\ninstead of\n%s", it->name, shape, wanted);
    free(shape);
}

/* The tables after one run in the simplest way. */
static char *plain_shape(struct migrate_place *place, const struct helper_case *it)
{
    const struct repeated once = {it->body, 1};
    fresh_place(place, it);
    run_case(place, it, once, 1, it->alone);
    return shape_of(place);
}

static void for_each_case(void (*check)(struct migrate_place *place, const struct helper_case *it),
                          bool is_postgres)
{
    struct migrate_place place;
    migrate_place_make(&place, is_postgres);
    for (size_t i = 0; i < T3_COUNT(cases); i++)
        if (is_postgres || cases[i].where == BOTH)
            check(&place, &cases[i]);
    migrate_place_remove(&place);
}

/* ---- run again ---- */

static void check_again(struct migrate_place *place, const struct helper_case *it)
{
    const struct repeated twice = {it->body, 2};
    const struct repeated once = {it->body, 1};
    char *wanted = plain_shape(place, it);
    assert_true(strlen(wanted) > 100);
    fresh_place(place, it);
    run_case(place, it, once, 1, true);
    expect_shape(place, it, wanted);
    fresh_place(place, it);
    run_case(place, it, twice, 2, it->alone);
    expect_shape(place, it, wanted);
    fresh_place(place, it);
    run_case(place, it, twice, 2, true);
    expect_shape(place, it, wanted);
    free(wanted);
}

static void again_changes_nothing_pg(void **state)
{
    (void)state;
    for_each_case(check_again, true);
}

static void again_changes_nothing_lite(void **state)
{
    (void)state;
    for_each_case(check_again, false);
}

/* ---- killed ---- */

static void die_in_time(void *owner, struct tears_str sql)
{
    unsigned *left = owner;
    (void)sql;
    if (body_has_begun && --*left == 0)
        (void)kill(getpid(), SIGKILL);
}

static _Noreturn void child(struct migrate_place *place, const struct helper_case *it, bool alone,
                            unsigned die_at)
{
    struct repeated once = {it->body, 1};
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    body_has_begun = false;
    migrate_place_open(place);
    t3_admin_watch(die_in_time, &die_at);
    const tears_status status = run_versions(place, &once, 1, alone);
    if (status != TEARS_OK)
        fprintf(stderr, "child: %s\n", tears_migrator_error(place->migrator)->message);
    _exit(status == TEARS_OK ? 0 : 1);
}

static bool run_and_kill(struct migrate_place *place, const struct helper_case *it, bool alone,
                         unsigned die_at)
{
    int status = 0;
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        child(place, it, alone, die_at);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status))
        return true;
    assert_int_equal(WEXITSTATUS(status), 0);
    return false;
}

static unsigned kill_everywhere(struct migrate_place *place, const struct helper_case *it,
                                bool alone, const char *wanted)
{
    const struct repeated once = {it->body, 1};
    unsigned at = 1;
    for (;; at++) {
        assert_true(at < STATEMENTS_MAX);
        fresh_place(place, it);
        if (!run_and_kill(place, it, alone, at))
            break;
        run_case(place, it, once, 1, alone);
        expect_shape(place, it, wanted);
    }
    return at - 1;
}

static void check_killed(struct migrate_place *place, const struct helper_case *it)
{
    char *wanted = plain_shape(place, it);
    const unsigned kills = kill_everywhere(place, it, true, wanted);
    print_message("%s: killed before each of %u statements\n", it->name, kills);
    assert_true(kills >= 3);
    free(wanted);
}

static void killed_anywhere_it_is_completed_pg(void **state)
{
    (void)state;
    for_each_case(check_killed, true);
}

static void killed_anywhere_it_is_completed_lite(void **state)
{
    (void)state;
    for_each_case(check_killed, false);
}

/* ---- what the reference did wrong ---- */

static void expect_failure(struct migrate_place *place, tears_migration_fn body,
                           tears_status wanted, const char *text)
{
    struct repeated once = {body, 1};
    migrate_place_open(place);
    const tears_status status = run_versions(place, &once, 1, false);
    const char *message = tears_migrator_error(place->migrator)->message;
    if (status != wanted || strstr(message, text) == NULL)
        fail_msg("%s: %s", tears_status_name(status), message);
    migrate_place_close(place);
}

static void make_pg(struct migrate_place *place, const char *setup)
{
    const struct helper_case it = {.setup = setup};
    migrate_place_make(place, true);
    fresh_place(place, &it);
}

static void run_body(struct migrate_place *place, tears_migration_fn body)
{
    struct repeated once = {body, 1};
    migrate_place_open(place);
    if (run_versions(place, &once, 1, true) != TEARS_OK)
        fail_msg("%s", tears_migrator_error(place->migrator)->message);
}

static void w27_another_schemas_constraint_is_not_this_one(void **state)
{
    struct migrate_place place;
    (void)state;
    make_pg(&place, TABLES
            "ALTER TABLE t ADD CONSTRAINT old_check CHECK (n < 100), ADD CONSTRAINT "
            "gone_check CHECK (n < 50); DROP SCHEMA IF EXISTS elsewhere CASCADE; CREATE "
            "SCHEMA elsewhere; CREATE TABLE elsewhere.t (n INTEGER, CONSTRAINT positive CHECK "
            "(n > 5), CONSTRAINT old_check CHECK (n = ANY (ARRAY[0, 1, 2])));");
    run_body(&place, checks);
    assert_int_equal(migrate_place_number(&place,
                                          "SELECT count(*) FROM pg_constraint WHERE conrelid = "
                                          "'public.t'::regclass AND conname IN ('positive', "
                                          "'old_check')"),
                     2);
    assert_int_equal(migrate_place_number(&place,
                                          "SELECT count(*) FROM pg_constraint WHERE conrelid = "
                                          "'elsewhere.t'::regclass"),
                     2);
    migrate_place_sql(&place, "DROP SCHEMA elsewhere CASCADE");
    migrate_place_remove(&place);
}

static tears_status qualified_key(void *owner, tears_migration *migration)
{
    struct tears_replace_primary_key replace = TEARS_REPLACE_PRIMARY_KEY_INIT;
    (void)owner;
    replace.schema = TEARS_STR("elsewhere");
    replace.table = TEARS_STR("t");
    replace.columns = a_b;
    replace.column_count = 2;
    return tears_migration_replace_primary_key(migration, &replace);
}

static void w28_a_key_in_another_schema_is_replaced(void **state)
{
    struct migrate_place place;
    (void)state;
    make_pg(&place,
            "DROP SCHEMA IF EXISTS elsewhere CASCADE; CREATE SCHEMA elsewhere; CREATE TABLE "
            "elsewhere.t (id INTEGER PRIMARY KEY, a INTEGER, b INTEGER);");
    run_body(&place, qualified_key);
    assert_int_equal(
        migrate_place_number(&place, "SELECT count(*) FROM pg_constraint WHERE conrelid = "
                                     "'elsewhere.t'::regclass AND pg_get_constraintdef(oid) IN "
                                     "('PRIMARY KEY (a, b)', 'UNIQUE (id)')"),
        2);
    migrate_place_sql(&place, "DROP SCHEMA elsewhere CASCADE");
    migrate_place_remove(&place);
}

/* As a database leaves it that commits each change of a table by itself. */
static void w29_a_key_that_was_dropped_is_completed(void **state)
{
    static const char *const halves[] = {
        "ALTER TABLE t DROP CONSTRAINT t_pkey;", "",
        "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD CONSTRAINT t_pkey PRIMARY KEY (n, id);",
        "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD CONSTRAINT t_pkey PRIMARY KEY (n, id), ADD "
        "CONSTRAINT "
        "t_id_unique UNIQUE (id);",
        "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD CONSTRAINT t_pkey PRIMARY KEY (n, id), ADD "
        "CONSTRAINT "
        "t_id_unique UNIQUE (id); ALTER TABLE u ADD CONSTRAINT u_t_id_fkey FOREIGN KEY (t_id) "
        "REFERENCES t "
        "(id) ON DELETE CASCADE NOT VALID;"};
    (void)state;
    for (size_t i = 0; i < T3_COUNT(halves); i++) {
        struct migrate_place place;
        char setup[2048];
        (void)snprintf(setup, sizeof setup, "%s CREATE TABLE v (t_id INTEGER); %s", TABLES,
                       halves[i]);
        make_pg(&place, setup);
        run_body(&place, primary_key);
        assert_int_equal(migrate_place_number(
                             &place,
                             "SELECT count(*) FROM pg_constraint WHERE convalidated AND "
                             "pg_get_constraintdef(oid) IN ('PRIMARY KEY (n, id)', 'UNIQUE (id)', "
                             "'FOREIGN KEY (t_id) REFERENCES t(id) ON DELETE CASCADE', "
                             "'FOREIGN KEY (t_id) REFERENCES t(id)') AND connamespace = "
                             "'public'::regnamespace"),
                         4);
        migrate_place_remove(&place);
    }
}

static tears_status underscore_key(void *owner, tears_migration *migration)
{
    struct tears_replace_primary_key replace = TEARS_REPLACE_PRIMARY_KEY_INIT;
    (void)owner;
    replace.table = TEARS_STR("t");
    replace.columns = (const struct tears_str[]){{"a_b", 3}, {"Id", 2}};
    replace.column_count = 2;
    replace.preserve = (const struct tears_str[]){{"Id", 2}};
    replace.preserve_count = 1;
    return tears_migration_replace_primary_key(migration, &replace);
}

static void w30_columns_are_compared_not_patterns(void **state)
{
    struct migrate_place place;
    (void)state;
    make_pg(
        &place,
        "CREATE TABLE t (\"Id\" INTEGER, a_b INTEGER, axb INTEGER, PRIMARY KEY (axb, \"Id\"));");
    run_body(&place, underscore_key);
    assert_int_equal(
        migrate_place_number(&place, "SELECT count(*) FROM pg_constraint WHERE conrelid = "
                                     "'t'::regclass AND pg_get_constraintdef(oid) = 'PRIMARY KEY "
                                     "(a_b, \"Id\")'"),
        1);
    migrate_place_remove(&place);
}

static void w31_a_row_that_was_set_back_is_left_alone(void **state)
{
    struct migrate_place place;
    struct repeated once = {add_column, 1};
    (void)state;
    make_pg(&place, TABLES);
    run_body(&place, add_column);
    migrate_place_sql(&place, "UPDATE t SET \"order\" = 'x' WHERE id = 9");
    migrate_place_anew(&place);
    assert_int_equal(run_versions(&place, &once, 1, true), TEARS_OK);
    assert_int_equal(migrate_place_number(&place, "SELECT count(*) FROM t WHERE \"order\" = 'x'"),
                     4);
    migrate_place_remove(&place);
}

static tears_status fill_tokens(void *owner, tears_migration *migration)
{
    struct tears_add_column add = TEARS_ADD_COLUMN_INIT;
    (void)owner;
    add.table = TEARS_STR("t");
    add.column = TEARS_STR("token");
    add.type = TEARS_STR("uuid");
    add.default_value = TEARS_STR("gen_random_uuid()");
    add.backfill = TEARS_STR("'00000000-0000-0000-0000-000000000001'::uuid");
    add.no_guard = 1;
    add.batch_rows = 4;
    return tears_migration_add_column(migration, &add);
}

static void w31_a_volatile_default_hinders_no_backfill(void **state)
{
    struct migrate_place place;
    (void)state;
    make_pg(&place, TABLES);
    run_body(&place, fill_tokens);
    assert_int_equal(migrate_place_number(&place, "SELECT count(DISTINCT token) FROM t"), 1);
    migrate_place_remove(&place);
}

static void w34_a_column_of_another_type_is_refused(void **state)
{
    struct migrate_place place;
    (void)state;
    make_pg(&place, TABLES "ALTER TABLE t ADD COLUMN \"order\" INTEGER;");
    expect_failure(&place, add_column, TEARS_CONFLICT, "of type integer, not varchar(10)");
    migrate_place_remove(&place);
}

static void an_index_on_other_columns_is_refused(void **state)
{
    struct migrate_place place;
    (void)state;
    make_pg(&place, TABLES "CREATE INDEX w_b_a ON w (a);");
    expect_failure(&place, indexes, TEARS_CONFLICT, "w_b_a");
    migrate_place_remove(&place);
}

static void the_same_check_keeps_its_oid(void **state)
{
    struct migrate_place place;
    (void)state;
    make_pg(&place,
            TABLES "ALTER TABLE t ADD CONSTRAINT old_check CHECK (n IN (0, 1, 2)), ADD CONSTRAINT "
                   "gone_check CHECK (n < 50);");
    migrate_place_open(&place);
    const char *sql = "SELECT oid::bigint FROM pg_constraint WHERE conname = 'old_check'";
    const int64_t before = migrate_place_number(&place, sql);
    migrate_place_close(&place);
    run_body(&place, checks);
    assert_int_equal(migrate_place_number(&place, sql), before);
    migrate_place_remove(&place);
}

static void a_table_without_a_usable_key_is_refused(void **state)
{
    struct migrate_place place;
    (void)state;
    make_pg(&place, "CREATE TABLE t (id INTEGER, n INTEGER);");
    expect_failure(&place, backfill, TEARS_INVALID, "no primary key");
    migrate_place_remove(&place);
}

static void sqlite_says_what_it_cannot_do(void **state)
{
    struct migrate_place place;
    const struct helper_case it = {.setup = TABLES};
    (void)state;
    migrate_place_make(&place, false);
    fresh_place(&place, &it);
    expect_failure(&place, checks, TEARS_UNSUPPORTED, "SQLite cannot");
    expect_failure(&place, policies, TEARS_UNSUPPORTED, "SQLite cannot");
    expect_failure(&place, primary_key, TEARS_UNSUPPORTED, "SQLite cannot");
    migrate_place_open(&place);
    struct repeated twice = {lite_trigger, 2};
    if (run_versions(&place, &twice, 2, true) != TEARS_OK)
        fail_msg("%s", tears_migrator_error(place.migrator)->message);
    migrate_place_sql(&place, "INSERT INTO t VALUES (77, 5, 'x')");
    assert_int_equal(migrate_place_number(&place, "SELECT n FROM t WHERE id = 77"), 0);
    migrate_place_remove(&place);
}

/* ---- previews ---- */

static tears_status all_of_them(void *owner, tears_migration *migration)
{
    T3_TRY(add_column(owner, migration));
    T3_TRY(backfill(owner, migration));
    T3_TRY(columns(owner, migration));
    T3_TRY(checks(owner, migration));
    return primary_key(owner, migration);
}

static void a_preview_notes_and_changes_nothing(void **state)
{
    struct migrate_place place;
    struct tears_package_def package = TEARS_PACKAGE_DEF_INIT;
    struct tears_migration_def def = {.version = 1, .up = all_of_them};
    const struct tears_migration_statement *statements;
    size_t count = 0;
    (void)state;
    make_pg(&place, TABLES "CREATE TABLE v (t_id INTEGER);");
    migrate_place_open(&place);
    char *before = shape_of(&place);
    package.name = TEARS_STR("p");
    package.scope = TEARS_SCOPE_PLATFORM;
    package.migrations = &def;
    package.migration_count = 1;
    assert_int_equal(tears_migrator_add(place.migrator, &package), TEARS_OK);
    if (tears_migrate_preview(place.migrator, NULL, &statements, &count) != TEARS_OK)
        fail_msg("%s", tears_migrator_error(place.migrator)->message);
    assert_true(count > 15);
    bool has_batches = false;
    for (size_t i = 0; i < count; i++)
        has_batches = has_batches || memmem(statements[i].sql.ptr, statements[i].sql.len,
                                            "in batches of 4 rows", 20) != NULL;
    assert_true(has_batches);
    char *after = shape_of(&place);
    assert_string_equal(before, after);
    free(before);
    free(after);
    migrate_place_remove(&place);
}

/* ---- progress ---- */

struct seen {
    uint64_t calls;
    uint64_t done;
};

static void note_progress(void *owner, const struct tears_migrate_event *event)
{
    struct seen *seen = owner;
    if (event->kind != TEARS_MIGRATE_STEP || event->phase.len == 0)
        return;
    assert_true(event->done > seen->done || event->done == 10);
    seen->done = event->done;
    seen->calls++;
}

static void a_backfill_tells_how_far_it_is(void **state)
{
    struct migrate_place place;
    struct seen seen = {0};
    (void)state;
    make_pg(&place, TABLES);
    place.options.progress = note_progress;
    place.options.progress_owner = &seen;
    run_body(&place, backfill);
    assert_int_equal(seen.done, 10);
    assert_true(seen.calls >= 3);
    migrate_place_remove(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(again_changes_nothing_pg),
        cmocka_unit_test(again_changes_nothing_lite),
        cmocka_unit_test(killed_anywhere_it_is_completed_pg),
        cmocka_unit_test(killed_anywhere_it_is_completed_lite),
        cmocka_unit_test(w27_another_schemas_constraint_is_not_this_one),
        cmocka_unit_test(w28_a_key_in_another_schema_is_replaced),
        cmocka_unit_test(w29_a_key_that_was_dropped_is_completed),
        cmocka_unit_test(w30_columns_are_compared_not_patterns),
        cmocka_unit_test(w31_a_row_that_was_set_back_is_left_alone),
        cmocka_unit_test(w31_a_volatile_default_hinders_no_backfill),
        cmocka_unit_test(w34_a_column_of_another_type_is_refused),
        cmocka_unit_test(an_index_on_other_columns_is_refused),
        cmocka_unit_test(the_same_check_keeps_its_oid),
        cmocka_unit_test(a_table_without_a_usable_key_is_refused),
        cmocka_unit_test(sqlite_says_what_it_cannot_do),
        cmocka_unit_test(a_preview_notes_and_changes_nothing),
        cmocka_unit_test(a_backfill_tells_how_far_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
