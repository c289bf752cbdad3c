/*
 * test_lint.c -- the migration linter: each rule where it should and should not fire, what deceived linters that search
 * text (W-36), suppressions, folders (W-37).
 */
#include "base/alloc.h"
#include "base/str.h"
#include "support/temp_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <tears/lint.h>

#include <cmocka.h>

/* The rules found in a file's text, in order, with blanks between them; allowed ones in parentheses. */
static const char *rules_of(tears_lint *lint)
{
    static char text[1024];
    size_t at = 0;
    text[0] = '\0';
    for (size_t i = 0; i < tears_lint_finding_count(lint); i++) {
        const struct tears_lint_finding *finding = tears_lint_finding_at(lint, i);
        const bool allowed = finding->rationale.len > 0;
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%s%.*s%s", at > 0 ? " " : "",
                               allowed ? "(" : "", (int)finding->rule->id.len,
                               finding->rule->id.ptr, allowed ? ")" : "");
        assert_true(at < sizeof text);
        assert_true(finding->message.len > 0);
    }
    return text;
}

static tears_lint *linter(uint64_t groups, bool sqlite)
{
    struct tears_lint_options options = TEARS_LINT_OPTIONS_INIT;
    struct tears_error error;
    tears_lint *lint = NULL;
    options.groups = groups;
    options.sqlite = sqlite;
    assert_int_equal(tears_lint_new(&options, &lint, &error), TEARS_OK);
    return lint;
}

static void expect_found(uint64_t groups, bool sqlite, const char *sql, const char *wanted)
{
    tears_lint *lint = linter(groups, sqlite);
    assert_int_equal(tears_lint_add_sql(lint, TEARS_STR("f.sql"), tears_str_c(sql), NULL),
                     TEARS_OK);
    const char *found = rules_of(lint);
    if (strcmp(found, wanted) != 0)
        fail_msg("'%s' instead of '%s' in: %s", found, wanted, sql);
    tears_lint_free(lint);
}

struct lint_case {
    const char *sql;
    const char *rules;
};

static void expect_all(uint64_t groups, const struct lint_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        expect_found(groups, false, cases[i].sql, cases[i].rules);
}

/* ---- M: what deceived the reference ---- */

static void w36_nothing_hides_from_m1(void **state)
{
    (void)state;
    static const struct lint_case cases[] = {
        {"DO $body$ BEGIN ALTER TABLE t ADD COLUMN IF NOT EXISTS a INT; UPDATE t SET a = 1 WHERE a "
         "IS NULL; END $body$",
         "M-1"},
        {"DO LANGUAGE plpgsql $$ BEGIN DROP TABLE IF EXISTS t; DELETE FROM u; END $$", "M-1"},
        {"-- first\nDO\t$$ BEGIN DROP TABLE IF EXISTS t; INSERT INTO u VALUES (1); END $$", "M-1"},
        {"DO $$ BEGIN EXECUTE 'ALTER TABLE t DROP COLUMN a'; EXECUTE format('DELETE FROM %I', "
         "'u'); "
         "END $$",
         "M-1"},
        {"DO $$ BEGIN ALTER TABLE t DROP CONSTRAINT c; IF FOUND THEN WITH x AS (UPDATE u SET a = 1 "
         "WHERE a IS NULL RETURNING a) SELECT 1; END IF; END $$",
         "M-1"},
        {"DO 'BEGIN DROP TABLE IF EXISTS t; DELETE FROM u; END'", "M-1"},
        {"DO $$ BEGIN -- DELETE FROM u\n DROP TABLE IF EXISTS t; /* UPDATE t SET a = 1 */ END $$",
         ""},
        {"DO $$ BEGIN DROP TABLE IF EXISTS t; END $$; DELETE FROM u WHERE id = 1", ""},
    };
    expect_all(TEARS_LINT_SPEC, cases, T3_COUNT(cases));
}

static void w36_nothing_hides_from_m2(void **state)
{
    (void)state;
    static const struct lint_case cases[] = {
        {"UPDATE \"t\" SET a = 1", "M-2"},
        {"UPDATE t AS x SET a = 1", "M-2"},
        {"UPDATE t x SET a = 1 WHERE x.a IS NULL", ""},
        {"UPDATE ONLY t SET a = 1", "M-2"},
        {"UPDATE t * SET a = 1", "M-2"},
        {"UPDATE\tt\nSET a = 1", "M-2"},
        {"WITH x AS (UPDATE t SET a = 1 RETURNING a) SELECT a FROM x", "M-2"},
        {"UPDATE t SET a = 1 WHERE a = other", "M-2"},
        {"UPDATE t SET a = 1 WHERE a = 'old'", ""},
        {"UPDATE t SET a = 1, b = 2 WHERE b IS NULL", ""},
        {"UPDATE t SET a = 1, b = 2 WHERE c IS NULL", "M-2"},
        {"UPDATE t SET a = a, b = 2 WHERE a IS NULL", "M-2"},
        {"UPDATE t SET (a, b) = (1, 2) WHERE a IS NULL", ""},
        {"UPDATE t SET a = 1 WHERE a IS NULL OR b = 2", "M-2"},
        {"UPDATE t SET a = 1 WHERE (a IS NULL) AND b = 2", ""},
        {"UPDATE t SET a = 1 WHERE NOT (a IS NULL)", "M-2"},
        {"UPDATE t SET a = 1 FROM u WHERE t.a IS NULL AND u.id = t.id", ""},
        {"UPDATE t SET a = 'WHERE a IS NULL'", "M-2"},
        {"UPDATE t SET a = 1 -- WHERE a IS NULL\n", "M-2"},
        {"UPDATE t SET a = 1 WHERE id = '6b1f'::uuid", ""},
        {"INSERT INTO t VALUES (1) ON CONFLICT (id) DO UPDATE SET a = 1", ""},
        {"SELECT 1 FROM t FOR UPDATE", ""},
        {"CREATE TRIGGER g BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()", ""},
        {"CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'UPDATE t SET a = 1'", ""},
        {"UPDATE t SET a = 1 WHERE a IS NULL; UPDATE t SET b = 1", "M-2"},
    };
    expect_all(TEARS_LINT_SPEC, cases, T3_COUNT(cases));
}

static void w36_nothing_hides_from_m3_to_m5(void **state)
{
    (void)state;
    static const struct lint_case cases[] = {
        {"CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a)", ""},
        {"CREATE INDEX CONCURRENTLY i ON t (a)", "M-3"},
        {"CREATE INDEX ON t (a)", "M-3"},
        {"CREATE UNLOGGED TABLE t (a INT)", "M-3"},
        {"CREATE TEMP TABLE t (a INT)", ""},
        {"ALTER TABLE t ADD a INT", "M-3"},
        {"ALTER TABLE t ADD COLUMN IF NOT EXISTS a INT, ADD COLUMN b INT", "M-3"},
        {"ALTER TABLE t ADD CHECK (a > 0)", ""},
        {"DO $$ BEGIN IF NOT EXISTS (SELECT 1) THEN CREATE TABLE t (a INT); END IF; END $$", ""},
        {"DO $$ BEGIN IF EXISTS (SELECT 1) THEN RETURN; END IF; CREATE TABLE t (a INT); END $$",
         ""},
        {"DO $$ BEGIN IF EXISTS (SELECT 1) THEN PERFORM 1; END IF; CREATE TABLE t (a INT); END $$",
         "M-3"},
        {"DO $$ BEGIN CREATE TABLE t (a INT); EXCEPTION WHEN duplicate_table THEN NULL; END $$",
         ""},
        {"DO $$ BEGIN EXECUTE 'CREATE TABLE t (a INT)'; END $$", "M-3"},
        {"TRUNCATE t", "M-5"},
        {"truncate only t, u", "M-5"},
        {"DO $x$ BEGIN TRUNCATE t; END $x$", "M-5"},
        {"GRANT TRUNCATE ON t TO r", ""},
        {"ALTER TABLE t ADD PRIMARY KEY (a, b)", "M-4"},
        {"ALTER TABLE t ADD PRIMARY KEY (a, b); -- UNIQUE (a)\n", "M-4"},
        {"ALTER TABLE t ADD PRIMARY KEY (a, b); ALTER TABLE t ADD UNIQUE (b)", ""},
        {"SELECT 'CREATE TABLE t (a INT)'", ""},
    };
    expect_all(TEARS_LINT_SPEC, cases, T3_COUNT(cases));
}

/* ---- our own rules ---- */

static void locks(void **state)
{
    (void)state;
    static const struct lint_case cases[] = {
        {"CREATE INDEX IF NOT EXISTS i ON t (a)", "L-1"},
        {"CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a)", ""},
        {"CREATE TABLE IF NOT EXISTS s.t (a INT); CREATE INDEX IF NOT EXISTS i ON s.t (a)", ""},
        {"CREATE TABLE IF NOT EXISTS \"T\" (a INT); CREATE INDEX IF NOT EXISTS i ON t (a)", "L-1"},
        {"ALTER TABLE t ALTER COLUMN a TYPE bigint", "L-2"},
        {"ALTER TABLE t ALTER a SET DATA TYPE bigint, ALTER b SET DEFAULT 1", "L-2"},
        {"ALTER TABLE t ADD COLUMN IF NOT EXISTS a uuid DEFAULT gen_random_uuid()", "L-3"},
        {"ALTER TABLE t ADD COLUMN IF NOT EXISTS a timestamptz NOT NULL DEFAULT now()", ""},
        {"ALTER TABLE t ADD COLUMN IF NOT EXISTS a varchar(9) DEFAULT 'x'::varchar(9)", ""},
        {"ALTER TABLE t ADD COLUMN IF NOT EXISTS a numeric(9,2) DEFAULT 0", ""},
        {"ALTER TABLE t ADD COLUMN IF NOT EXISTS a BIGSERIAL", "L-3"},
        {"ALTER TABLE t ADD COLUMN IF NOT EXISTS a INT GENERATED ALWAYS AS (b + 1) STORED", "L-3"},
        {"ALTER TABLE t ADD COLUMN IF NOT EXISTS a INT REFERENCES u (id)", "L-5"},
        {"ALTER TABLE t ALTER a SET NOT NULL", "L-4"},
        {"ALTER TABLE t ADD CONSTRAINT c CHECK (a IS NOT NULL) NOT VALID; ALTER TABLE t VALIDATE "
         "CONSTRAINT c; ALTER TABLE t ALTER a SET NOT NULL",
         ""},
        {"ALTER TABLE t ADD CONSTRAINT c CHECK (a IS NOT NULL) NOT VALID; ALTER TABLE t ALTER a "
         "SET "
         "NOT NULL",
         "L-4"},
        {"ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0)", "L-5"},
        {"ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u (id)", "L-5"},
        {"ALTER TABLE t ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES u (id) NOT VALID", ""},
        {"ALTER TABLE t ADD CONSTRAINT u UNIQUE (a)", "L-6"},
        {"ALTER TABLE t ADD CONSTRAINT u UNIQUE USING INDEX i", ""},
        {"ALTER TABLE t RENAME COLUMN a TO b", "L-7"},
        {"ALTER TABLE t RENAME TO u", "L-7"},
        {"ALTER TABLE t DROP COLUMN IF EXISTS a", "L-8"},
        {"DROP TABLE IF EXISTS t", "L-8"},
        {"LOCK TABLE t IN ACCESS EXCLUSIVE MODE", "L-9"},
        {"DROP INDEX IF EXISTS i", "L-10"},
        {"DROP INDEX CONCURRENTLY IF EXISTS i", ""},
        {"VACUUM FULL t", "L-11"},
        {"REINDEX TABLE t", "L-11"},
        {"REINDEX TABLE CONCURRENTLY t", ""},
        {"ALTER TABLE t SET LOGGED", "L-11"},
        {"UPDATE t SET a = 1 WHERE a IS NULL", "L-12"},
        {"UPDATE t SET a = 1 WHERE a IS NULL AND id = ANY($1)", ""},
        {"DO $$ BEGIN CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a); END $$", "L-13"},
    };
    expect_all(TEARS_LINT_LOCKS, cases, T3_COUNT(cases));
}

static void replay(void **state)
{
    (void)state;
    static const struct lint_case cases[] = {
        {"DROP TABLE t", "R-1"},
        {"DROP TABLE IF EXISTS t", ""},
        {"ALTER TABLE t DROP CONSTRAINT c", "R-1"},
        {"DO $$ BEGIN IF EXISTS (SELECT 1) THEN DROP TABLE t; END IF; END $$", ""},
        {"CREATE TYPE e AS ENUM ('a')", "R-2"},
        {"CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", ""},
        {"CREATE POLICY p ON t USING (true)", "R-2"},
        {"CREATE EXTENSION IF NOT EXISTS vector", ""},
        {"ALTER TABLE t ADD COLUMN IF NOT EXISTS a INT NOT NULL", "R-3"},
        {"CREATE TABLE IF NOT EXISTS t (a INT); ALTER TABLE t ADD COLUMN IF NOT EXISTS b INT NOT "
         "NULL",
         ""},
        {"ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0)", "R-4"},
        {"ALTER TABLE t DROP CONSTRAINT IF EXISTS c; ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0)",
         ""},
        {"INSERT INTO t VALUES (1)", "R-5"},
        {"INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING", ""},
        {"INSERT INTO t SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM t)", ""},
        {"DELETE FROM t", "R-6"},
        {"ALTER TYPE e ADD VALUE 'b'", "R-7"},
        {"ALTER TYPE e ADD VALUE IF NOT EXISTS 'b'", ""},
    };
    expect_all(TEARS_LINT_REPLAY, cases, T3_COUNT(cases));
}

static void yugabyte(void **state)
{
    (void)state;
    static const struct lint_case cases[] = {
        {"BEGIN; SELECT 1; COMMIT", "Y-2 Y-2"},
        {"DO $$ BEGIN PERFORM 1; END $$", ""},
        {"DO $$ BEGIN ALTER TABLE t DROP CONSTRAINT c; ALTER TABLE t ADD CONSTRAINT c CHECK (a > "
         "0); "
         "END $$",
         "Y-3"},
        {"DO $$ BEGIN ALTER TABLE t DROP CONSTRAINT IF EXISTS c; ALTER TABLE t ADD CONSTRAINT c "
         "CHECK "
         "(a > 0); END $$",
         ""},
        {"DO $$ BEGIN IF EXISTS (SELECT to_regclass('t')) THEN DROP TABLE t; END IF; IF EXISTS "
         "(SELECT "
         "1) THEN DROP TABLE u; END IF; END $$",
         ""},
        {"CREATE TABLE t (a TIMESTAMP, b TIMESTAMPTZ, c TIMESTAMP WITH TIME ZONE)", "Y-4"},
        {"ALTER TABLE t ADD COLUMN a TIMESTAMP(3)", "Y-4"},
        {"DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conname = 'c') THEN ALTER "
         "TABLE "
         "t ADD CONSTRAINT c CHECK (a > 0); END IF; END $$",
         "Y-5"},
        {"DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conrelid = "
         "to_regclass('t')) THEN "
         "ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0); END IF; END $$",
         ""},
        {"SELECT pg_advisory_lock(1)", "Y-6"},
    };
    expect_all(TEARS_LINT_YUGABYTE, cases, T3_COUNT(cases));
}

static void a_call_that_mixes_is_found(void **state)
{
    (void)state;
    const struct tears_str calls[] = {
        TEARS_STR(
            "ALTER TABLE t ADD COLUMN IF NOT EXISTS a INT; UPDATE t SET a = 1 WHERE a IS NULL"),
        TEARS_STR("CREATE TABLE IF NOT EXISTS u (a INT); CREATE TABLE IF NOT EXISTS v (a INT)")};
    tears_lint *lint = linter(TEARS_LINT_YUGABYTE, false);
    assert_int_equal(tears_lint_add_statements(lint, TEARS_STR("memory:3"), calls, 2, NULL),
                     TEARS_OK);
    assert_string_equal(rules_of(lint), "Y-1");
    assert_int_equal(tears_lint_finding_at(lint, 0)->statement, 0);
    assert_null(tears_lint_finding_at(lint, 1));
    tears_lint_free(lint);
}

static void sqlite_is_asked_for_what_it_has(void **state)
{
    (void)state;
    expect_found(0, true, "ALTER TABLE t ADD COLUMN a INT; CREATE INDEX IF NOT EXISTS i ON t (a)",
                 "");
    expect_found(0, true, "CREATE TABLE [t;] (a INT); UPDATE t SET a = 1", "M-2 M-3");
    expect_found(0, true,
                 "CREATE TRIGGER IF NOT EXISTS g AFTER INSERT ON t BEGIN UPDATE t SET a = 1; END",
                 "");
}

/* ---- exemptions ---- */

static void comments_allow_with_a_reason(void **state)
{
    (void)state;
    static const struct lint_case cases[] = {
        {"-- lint: allow M-5 rationale: empty since release 4\nTRUNCATE t", "(M-5)"},
        {"TRUNCATE t; -- lint: allow M-5 rationale: empty", "(M-5)"},
        {"TRUNCATE /* lint: allow M-5 rationale: empty */ t", "(M-5)"},
        {"TRUNCATE t;\n-- lint: allow M-5 rationale: the next one\nTRUNCATE u", "M-5 (M-5)"},
        {"-- lint: allow M-5, M-3 rationale: both\nTRUNCATE t; CREATE TABLE t (a INT)",
         "M-3 (M-5)"},
        {"-- LINT: Allow M-5 Rationale:\nTRUNCATE t", "X-2 M-5"},
        {"-- lint: allow M-5\nTRUNCATE t", "X-2 M-5"},
        {"-- lint: allow M-4 rationale: nothing needs it\nTRUNCATE t", "X-3 M-5"},
        {"-- lint: allow M-99 rationale: no such rule\nTRUNCATE t", "X-3 M-5"},
        {"DO $$ BEGIN\n-- lint: allow M-5 rationale: inside\nTRUNCATE t; END $$", "(M-5)"},
        {"SELECT '-- lint: allow M-5 rationale: x'; TRUNCATE t", "M-5"},
        {"TRUNCATE t; SELECT 'x", "M-5 X-1"},
    };
    expect_all(TEARS_LINT_SPEC | TEARS_LINT_HYGIENE, cases, T3_COUNT(cases));
}

static void exemption_files_allow_with_a_reason(void **state)
{
    (void)state;
    tears_lint *lint = linter(TEARS_LINT_SPEC | TEARS_LINT_HYGIENE, false);
    assert_int_equal(
        tears_lint_exempt(lint, TEARS_STR("allowed"),
                          TEARS_STR("# notes\n\na.sql:M-5 # Rationale: a reason: good\n"
                                    "a.sql:M-3 # rationale: not needed\n"
                                    "b.sql:M-5 # rationale:\n"
                                    "c.sql:M-5 # rationale: not looked at\n"
                                    "nothing # rationale: no rule\n"),
                          NULL),
        TEARS_OK);
    assert_string_equal(rules_of(lint), "X-2 X-2");
    assert_int_equal(tears_lint_add_sql(lint, TEARS_STR("a.sql"), TEARS_STR("TRUNCATE t"), NULL),
                     TEARS_OK);
    assert_int_equal(tears_lint_add_sql(lint, TEARS_STR("b.sql"), TEARS_STR("TRUNCATE t"), NULL),
                     TEARS_OK);
    assert_int_equal(tears_lint_finish(lint, NULL), TEARS_OK);
    assert_string_equal(rules_of(lint), "X-2 X-2 (M-5) M-5 X-3");
    assert_true(t3_str_is(tears_lint_finding_at(lint, 2)->rationale, "a reason: good"));
    assert_int_equal(tears_lint_finding_at(lint, 4)->line, 4);
    tears_lint_free(lint);
}

/* ---- findings ---- */

static void findings_say_where_and_what(void **state)
{
    (void)state;
    struct tears_owned_text text = TEARS_OWNED_TEXT_INIT;
    tears_lint *lint = linter(TEARS_LINT_SPEC, false);
    assert_int_equal(
        tears_lint_add_sql(lint, TEARS_STR("m/1.sql"),
                           TEARS_STR("SELECT 1;\n\nALTER TABLE s.t\n  ADD COLUMN a INT,\n  "
                                     "ADD COLUMN b INT;\nDO $$\nBEGIN\nTRUNCATE t; END $$"),
                           NULL),
        TEARS_OK);
    assert_string_equal(rules_of(lint), "M-3 M-5");
    assert_int_equal(tears_lint_finding_at(lint, 0)->line, 3);
    assert_int_equal(tears_lint_finding_at(lint, 1)->line, 8);
    assert_int_equal(tears_lint_finding_text(tears_lint_finding_at(lint, 0), &text, NULL),
                     TEARS_OK);
    assert_string_equal(
        text.ptr, "m/1.sql:3: [M-3] fails when it is run again: ADD COLUMN t.a, ADD COLUMN t.b "
                  "-- 'ALTER TABLE s.t ADD COLUMN a INT, ADD COLUMN b INT'");
    tears_owned_text_free(&text);
    tears_lint_free(lint);
}

static void excerpts_are_short_and_whole_characters(void **state)
{
    (void)state;
    char sql[1200] = "TRUNCATE ";
    for (size_t i = 0; i < 300; i++)
        memcpy(sql + 9 + i * 2, "\xc3\xa9", 3);
    tears_lint *lint = linter(TEARS_LINT_SPEC, false);
    assert_int_equal(tears_lint_add_sql(lint, TEARS_STR("a"), tears_str_c(sql), NULL), TEARS_OK);
    assert_int_equal(tears_lint_finding_at(lint, 0)->excerpt.len, 9 + 191 * 2);
    tears_lint_free(lint);
}

static void the_rules_are_in_order_and_complete(void **state)
{
    (void)state;
    size_t count = 0;
    for (; tears_lint_rule_at(count) != NULL; count++) {
        const struct tears_lint_rule *rule = tears_lint_rule_at(count);
        assert_true(rule->summary.len > 0 && rule->remedy.len > 0);
        assert_in_range(rule->severity, TEARS_LINT_CRITICAL, TEARS_LINT_LOW);
    }
    assert_true(count > 30);
}

/* ---- folders ---- */

static void w37_a_folder_is_looked_through_or_refused(void **state)
{
    (void)state;
    struct temp_folder folder;
    struct tears_error error;
    uint64_t files = 0;
    uint64_t statements = 0;
    temp_folder_make(&folder);
    temp_folder_dir(&folder, "b");
    temp_folder_dir(&folder, "empty");
    temp_folder_file(&folder, "b/0002_x.up.sql",
                     "TRUNCATE t; ALTER TABLE t DROP COLUMN IF EXISTS a");
    temp_folder_file(&folder, "b/0002_x.down.sql", "ALTER TABLE t DROP COLUMN IF EXISTS a");
    temp_folder_file(&folder, "a.sql", "SELECT 1");
    temp_folder_file(&folder, "package.json", "TRUNCATE t");

    struct tears_lint_options options = TEARS_LINT_OPTIONS_INIT;
    tears_lint *lint = NULL;
    options.root = tears_str_c(folder.path);
    assert_int_equal(tears_lint_new(&options, &lint, NULL), TEARS_OK);
    assert_int_equal(tears_lint_exempt(lint, TEARS_STR("allowed"),
                                       TEARS_STR("b/0002_x.up.sql:M-5 # rationale: yes\n"
                                                 "gone.sql:M-5 # rationale: no such file\n"),
                                       NULL),
                     TEARS_OK);
    assert_int_equal(tears_lint_add_path(lint, tears_str_c(folder.path), &error), TEARS_OK);
    assert_int_equal(tears_lint_finish(lint, NULL), TEARS_OK);
    assert_string_equal(rules_of(lint), "L-8 (M-5) X-3");
    assert_true(t3_str_is(tears_lint_finding_at(lint, 0)->path, "b/0002_x.up.sql"));
    tears_lint_looked_at(lint, &files, &statements);
    assert_int_equal(files, 3);
    assert_int_equal(statements, 4);

    const char *empty = temp_folder_path(&folder, "empty");
    assert_int_equal(tears_lint_add_path(lint, tears_str_c(empty), &error), TEARS_NOT_FOUND);
    assert_non_null(strstr(error.message, "no *.sql"));
    const char *missing = temp_folder_path(&folder, "missing");
    assert_int_equal(tears_lint_add_path(lint, tears_str_c(missing), &error), TEARS_NOT_FOUND);
    tears_lint_free(lint);
    temp_folder_remove(&folder);
}

/* ---- failures ---- */

static void memory_may_end_anywhere(void **state)
{
    (void)state;
    static const char sql[] =
        "CREATE TABLE t (a INT); -- lint: allow M-3 rationale: x\nDO $$ BEGIN TRUNCATE t; END $$; "
        "UPDATE t SET a = 1; ALTER TABLE u ADD CONSTRAINT c CHECK (a IS NOT NULL)";
    for (uint64_t nth = 1;; nth++) {
        struct tears_error error = {0};
        tears_lint *lint = NULL;
        t3_alloc_fail_at(nth);
        tears_status status = tears_lint_new(NULL, &lint, &error);
        if (status == TEARS_OK)
            status =
                tears_lint_exempt(lint, TEARS_STR("e"), TEARS_STR("a:M-1 # rationale: b"), &error);
        if (status == TEARS_OK)
            status = tears_lint_add_sql(lint, TEARS_STR("a"), tears_str_c(sql), &error);
        if (status == TEARS_OK)
            status = tears_lint_finish(lint, &error);
        t3_alloc_fail_at(0);
        tears_lint_free(lint);
        if (status == TEARS_OK)
            return;
        assert_int_equal(status, TEARS_NO_MEMORY);
        assert_int_equal(error.status, TEARS_NO_MEMORY);
    }
}

static void options_are_checked(void **state)
{
    (void)state;
    struct tears_lint_options options = TEARS_LINT_OPTIONS_INIT;
    struct tears_error error;
    tears_lint *lint = NULL;
    options.groups = 1024;
    assert_int_equal(tears_lint_new(&options, &lint, &error), TEARS_INVALID);
    assert_null(lint);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(w36_nothing_hides_from_m1),
        cmocka_unit_test(w36_nothing_hides_from_m2),
        cmocka_unit_test(w36_nothing_hides_from_m3_to_m5),
        cmocka_unit_test(locks),
        cmocka_unit_test(replay),
        cmocka_unit_test(yugabyte),
        cmocka_unit_test(a_call_that_mixes_is_found),
        cmocka_unit_test(sqlite_is_asked_for_what_it_has),
        cmocka_unit_test(comments_allow_with_a_reason),
        cmocka_unit_test(exemption_files_allow_with_a_reason),
        cmocka_unit_test(findings_say_where_and_what),
        cmocka_unit_test(excerpts_are_short_and_whole_characters),
        cmocka_unit_test(the_rules_are_in_order_and_complete),
        cmocka_unit_test(w37_a_folder_is_looked_through_or_refused),
        cmocka_unit_test(memory_may_end_anywhere),
        cmocka_unit_test(options_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
