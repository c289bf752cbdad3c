/*
 * test_migrate_text.c -- the parts of migrations that ask no database: what a statement is, digests; and memory that runs out.
 */
#include "base/alloc.h"
#include "base/str.h"
#include "data/migrate_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct t3_step_text classify(const char *sql, enum t3_dialect dialect, uint32_t version,
                                    struct t3_arena *arena)
{
    const struct t3_admin_facts facts = {.dialect = dialect, .version = version};
    struct t3_sql_tokens tokens;
    struct t3_sql_range range;
    struct t3_step_text text;
    size_t at = 0;
    assert_int_equal(t3_sql_scan(arena, tears_str_c(sql),
                                 dialect == T3_DIALECT_SQLITE ? T3_SQL_SQLITE : T3_SQL_POSTGRES,
                                 &tokens),
                     TEARS_OK);
    assert_true(t3_sql_next(&tokens, &at, &range));
    assert_int_equal(t3_step_classify(arena, &tokens, range, &facts, &text), TEARS_OK);
    return text;
}

static void statements_know_whether_they_are_alone(void **state)
{
    static const struct {
        const char *sql;
        enum t3_dialect dialect;
        uint32_t version;
        enum t3_step_class class;
    } cases[] = {
        {"CREATE INDEX i ON t (a)", T3_DIALECT_POSTGRESQL, 150000, T3_STEP_PLAIN},
        {"create unique index concurrently i on t (a)", T3_DIALECT_POSTGRESQL, 150000,
         T3_STEP_ALONE},
        {"DROP INDEX CONCURRENTLY i", T3_DIALECT_POSTGRESQL, 150000, T3_STEP_ALONE},
        {"REINDEX TABLE t", T3_DIALECT_POSTGRESQL, 150000, T3_STEP_PLAIN},
        {"REINDEX (VERBOSE) TABLE CONCURRENTLY t", T3_DIALECT_POSTGRESQL, 150000, T3_STEP_ALONE},
        {"VACUUM (ANALYZE) t", T3_DIALECT_POSTGRESQL, 150000, T3_STEP_ALONE},
        {"ALTER TYPE mood ADD VALUE 'x'", T3_DIALECT_POSTGRESQL, 110000, T3_STEP_ALONE},
        {"ALTER TYPE mood ADD VALUE 'x'", T3_DIALECT_POSTGRESQL, 150000, T3_STEP_PLAIN},
        {"ALTER TABLE t DETACH PARTITION p CONCURRENTLY", T3_DIALECT_POSTGRESQL, 150000,
         T3_STEP_ALONE},
        {"ALTER SYSTEM SET work_mem = '1MB'", T3_DIALECT_POSTGRESQL, 150000, T3_STEP_ALONE},
        {"CREATE DATABASE d", T3_DIALECT_POSTGRESQL, 150000, T3_STEP_ALONE},
        {"SET search_path = a", T3_DIALECT_POSTGRESQL, 150000, T3_STEP_SETTING},
        {"SET LOCAL search_path = a", T3_DIALECT_POSTGRESQL, 150000, T3_STEP_PLAIN},
        {"SET CONSTRAINTS ALL DEFERRED", T3_DIALECT_POSTGRESQL, 150000, T3_STEP_PLAIN},
        {"DISCARD ALL", T3_DIALECT_POSTGRESQL, 150000, T3_STEP_REFUSED},
        {"PREPARE TRANSACTION 'x'", T3_DIALECT_POSTGRESQL, 150000, T3_STEP_REFUSED},
        {"PREPARE x AS SELECT 1", T3_DIALECT_POSTGRESQL, 150000, T3_STEP_PLAIN},
        {"/* a */ -- b\n COMMIT", T3_DIALECT_POSTGRESQL, 150000, T3_STEP_REFUSED},
        {"DO $x$ BEGIN COMMIT; END $x$", T3_DIALECT_POSTGRESQL, 150000, T3_STEP_PLAIN},
        {"VACUUM", T3_DIALECT_SQLITE, 3040001, T3_STEP_ALONE},
        {"PRAGMA foreign_keys = OFF", T3_DIALECT_SQLITE, 3040001, T3_STEP_SETTING},
        {"ATTACH 'x' AS y", T3_DIALECT_SQLITE, 3040001, T3_STEP_REFUSED},
    };
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    (void)state;
    for (size_t i = 0; i < T3_COUNT(cases); i++)
        if (classify(cases[i].sql, cases[i].dialect, cases[i].version, &arena).class !=
            cases[i].class)
            fail_msg("%s", cases[i].sql);
}

static void an_index_says_its_name(void **state)
{
    static const struct {
        const char *sql;
        const char *index;
        const char *table;
    } cases[] = {
        {"CREATE INDEX CONCURRENTLY Some_Name ON t (a)", "some_name", "t"},
        {"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS \"Odd\" ON ONLY a . \"B\" (a)", "Odd",
         "a . \"B\""},
        {"CREATE INDEX CONCURRENTLY ON t (a)", "", ""},
    };
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    (void)state;
    for (size_t i = 0; i < T3_COUNT(cases); i++) {
        const struct t3_step_text text =
            classify(cases[i].sql, T3_DIALECT_POSTGRESQL, 150000, &arena);
        if (!t3_str_is(text.index, cases[i].index) || !t3_str_is(text.table, cases[i].table))
            fail_msg("%s: '" T3_STR_FMT "' on '" T3_STR_FMT "'", cases[i].sql,
                     T3_STR_ARG(text.index), T3_STR_ARG(text.table));
    }
}

static void digests_pass_over_blanks_and_comments(void **state)
{
    char one[T3_MIGRATE_DIGEST_BYTES];
    char two[T3_MIGRATE_DIGEST_BYTES];
    (void)state;
    assert_int_equal(t3_migrate_digest(TEARS_STR("SELECT 'a  b' ; SELECT 2"), T3_SQL_POSTGRES, one),
                     TEARS_OK);
    assert_int_equal(t3_migrate_digest(TEARS_STR("SELECT /* x */ 'a  b';\n\nSELECT 2;;-- y"),
                                       T3_SQL_POSTGRES, two),
                     TEARS_OK);
    assert_string_equal(one, two);
    assert_int_equal(t3_migrate_digest(TEARS_STR("SELECT 'a b'; SELECT 2"), T3_SQL_POSTGRES, two),
                     TEARS_OK);
    assert_string_not_equal(one, two);
    assert_int_equal(t3_migrate_digest(TEARS_STR("SELECT 'a  b' SELECT 2"), T3_SQL_POSTGRES, two),
                     TEARS_OK);
    assert_string_not_equal(one, two);
}

/* ---- memory ---- */

static tears_status add_two(tears_migrator *migrator)
{
    const struct tears_migration_def versions[] = {
        {.version = 1,
         .description = TEARS_STR("one"),
         .up_sql = TEARS_STR("CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1)"),
         .down_sql = TEARS_STR("DROP TABLE a")},
        {.version = 2,
         .up_sql = TEARS_STR("INSERT INTO a VALUES (2); INSERT INTO a VALUES (3)"),
         .down_sql = TEARS_STR("DELETE FROM a WHERE x > 1"),
         .flags = TEARS_MIGRATION_NO_TRANSACTION}};
    struct tears_package_def def = TEARS_PACKAGE_DEF_INIT;
    def.name = TEARS_STR("p");
    def.scope = TEARS_SCOPE_PLATFORM;
    def.migrations = versions;
    def.migration_count = T3_COUNT(versions);
    return tears_migrator_add(migrator, &def);
}

static tears_status everything(tears_client *client)
{
    const struct tears_migration_statement *statements;
    const struct tears_migration_status *statuses;
    struct tears_migrate_request request = TEARS_MIGRATE_REQUEST_INIT;
    tears_migrator *migrator = NULL;
    size_t count;
    request.steps = 2;
    tears_status status = tears_migrator_open(client, NULL, &migrator, NULL);
    if (status == TEARS_OK)
        status = add_two(migrator);
    if (status == TEARS_OK)
        status = tears_migrate_preview(migrator, NULL, &statements, &count);
    if (status == TEARS_OK)
        status = tears_migrate_up(migrator, NULL, NULL);
    if (status == TEARS_OK)
        status = tears_migrate_status(migrator, &statuses, &count);
    if (status == TEARS_OK)
        status = tears_migrate_down(migrator, &request, NULL);
    tears_migrator_free(migrator);
    return status;
}

static void memory_may_run_out_anywhere(void **state)
{
    enum { ALLOCATIONS_MAX = 3000 };
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    struct tears_error error = {.status = TEARS_OK};
    (void)state;
    options.l3_url = TEARS_STR("sqlite::memory:");
    options.l2_url = TEARS_STR("none");
    uint64_t nth = 1;
    for (;; nth++) {
        tears_client *client = NULL;
        assert_true(nth < ALLOCATIONS_MAX);
        assert_int_equal(tears_client_open(&options, &client, &error), TEARS_OK);
        t3_alloc_fail_at(nth);
        const tears_status status = everything(client);
        const bool reached = t3_alloc_count() >= nth;
        t3_alloc_fail_at(0);
        if (status != TEARS_OK && status != TEARS_NO_MEMORY && status != TEARS_LIMIT)
            fail_msg("allocation %llu: %s", (unsigned long long)nth, tears_status_name(status));
        /* whatever it left can be gone on with */
        if (status != TEARS_OK) {
            tears_migrator *migrator = NULL;
            assert_int_equal(tears_migrator_open(client, NULL, &migrator, &error), TEARS_OK);
            assert_int_equal(add_two(migrator), TEARS_OK);
            const tears_status up = tears_migrate_up(migrator, NULL, NULL);
            const bool was_going_down =
                up == TEARS_CONFLICT &&
                tears_migrator_error(migrator)->detail == TEARS_MIGRATE_INTERRUPTED;
            if (up != TEARS_OK && !was_going_down)
                fail_msg("allocation %llu, then: %s", (unsigned long long)nth,
                         tears_migrator_error(migrator)->message);
            tears_migrator_free(migrator);
        }
        tears_client_free(client);
        if (!reached)
            break;
        if (status == TEARS_OK)
            print_message("allocation %llu was not missed\n", (unsigned long long)nth);
    }
    print_message("%llu allocations\n", (unsigned long long)nth);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statements_know_whether_they_are_alone),
        cmocka_unit_test(an_index_says_its_name),
        cmocka_unit_test(digests_pass_over_blanks_and_comments),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
