/*
 * test_sql_scan.c -- SQL as tokens and statements: what hides a semicolon or a keyword, in both databases.
 */
#include "base/str.h"
#include "data/sql_scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct t3_arena arena;

static struct t3_sql_tokens scan(const char *text, enum t3_sql_dialect dialect)
{
    struct t3_sql_tokens tokens;
    assert_int_equal(t3_sql_scan(&arena, tears_str_c(text), dialect, &tokens), TEARS_OK);
    return tokens;
}

static void expect_statements(const char *text, enum t3_sql_dialect dialect,
                              const char *const *wanted)
{
    const struct t3_sql_tokens tokens = scan(text, dialect);
    struct t3_sql_range range;
    size_t at = 0;
    size_t count = 0;
    while (t3_sql_next(&tokens, &at, &range)) {
        const struct tears_str found = t3_sql_text(&tokens, range);
        assert_non_null(wanted[count]);
        if (!t3_str_is(found, wanted[count]))
            fail_msg("'%.*s' instead of '%s'", (int)found.len, found.ptr, wanted[count]);
        count++;
    }
    assert_null(wanted[count]);
}

static void statements_end_at_semicolons_that_are_nowhere_else(void **state)
{
    (void)state;
    expect_statements(
        "SELECT ';'; ; -- a;b\nSELECT \"x;\" /* ; /* ; */ ; */, $t$ ; $x$ ; $t$;\n  ",
        T3_SQL_POSTGRES,
        (const char *[]){"SELECT ';'", "SELECT \"x;\" /* ; /* ; */ ; */, $t$ ; $x$ ; $t$", NULL});
    expect_statements("SELECT E'a\\';' || 'it''s;'; SELECT U&\"a;\"", T3_SQL_POSTGRES,
                      (const char *[]){"SELECT E'a\\';' || 'it''s;'", "SELECT U&\"a;\"", NULL});
    expect_statements("SELECT 'a\\'; SELECT 2", T3_SQL_POSTGRES,
                      (const char *[]){"SELECT 'a\\'", "SELECT 2", NULL});
    expect_statements("", T3_SQL_POSTGRES, (const char *[]){NULL});
    expect_statements(";;-- nothing", T3_SQL_POSTGRES, (const char *[]){NULL});
}

static void sqlite_has_quotes_of_its_own(void **state)
{
    (void)state;
    expect_statements("SELECT [a;b], `c;d` /* no /* nesting */; SELECT $a, ?1, :b", T3_SQL_SQLITE,
                      (const char *[]){"SELECT [a;b], `c;d`", "SELECT $a, ?1, :b", NULL});
    expect_statements("SELECT a[1]; SELECT $1", T3_SQL_POSTGRES,
                      (const char *[]){"SELECT a[1]", "SELECT $1", NULL});
}

static void bodies_keep_their_semicolons(void **state)
{
    (void)state;
    expect_statements(
        "CREATE TEMP TRIGGER g AFTER INSERT ON t BEGIN UPDATE t SET a = CASE WHEN 1 THEN 2 END; "
        "DELETE FROM u; END; SELECT 1",
        T3_SQL_SQLITE,
        (const char *[]){"CREATE TEMP TRIGGER g AFTER INSERT ON t BEGIN UPDATE t SET a = CASE WHEN "
                         "1 THEN 2 END; DELETE FROM u; END",
                         "SELECT 1", NULL});
    expect_statements(
        "CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END; BEGIN; "
        "SELECT 3; END",
        T3_SQL_POSTGRES,
        (const char *[]){
            "CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END",
            "BEGIN", "SELECT 3", "END", NULL});
}

static void what_never_ends_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *what;
        uint32_t line;
    } cases[] = {{"SELECT 'a", "string", 0},
                 {"SELECT 1;\n \"a", "quoted name", 1},
                 {"\n\n/* /* */", "comment", 2},
                 {"DO $x$ BEGIN $y$", "dollar-quoted text", 0},
                 {"SELECT E'\\", "string", 0}};
    for (size_t i = 0; i < T3_COUNT(cases); i++) {
        const struct t3_sql_tokens tokens = scan(cases[i].text, T3_SQL_POSTGRES);
        assert_non_null(tokens.unended);
        assert_string_equal(tokens.unended, cases[i].what);
        assert_int_equal(tokens.unended_line, cases[i].line);
    }
    assert_null(scan("SELECT 'a' -- '\n", T3_SQL_POSTGRES).unended);
}

static void expect_inner(const char *text, const char *inner)
{
    const struct t3_sql_tokens tokens = scan(text, T3_SQL_POSTGRES);
    assert_int_equal(tokens.count, 1);
    assert_true(t3_str_is(t3_sql_inner(&tokens.items[0]), inner));
}

static void the_inside_of_quotes_is_as_written(void **state)
{
    (void)state;
    expect_inner("'a''b'", "a''b");
    expect_inner("E'a\\n'", "a\\n");
    expect_inner("$$ x $$", " x ");
    expect_inner("$tag$x$tag$", "x");
    expect_inner("$tag$x$ta", "x$ta");
    expect_inner("\"A\"", "A");
    expect_inner("'", "");
    expect_inner("name", "name");
}

static void tokens_know_their_line(void **state)
{
    (void)state;
    const struct t3_sql_tokens tokens = scan("a 'x\ny' b\n$$\n\n$$ c", T3_SQL_POSTGRES);
    static const uint32_t lines[] = {0, 0, 1, 2, 4};
    assert_int_equal(tokens.count, T3_COUNT(lines));
    for (size_t i = 0; i < T3_COUNT(lines); i++)
        assert_int_equal(tokens.items[i].line, lines[i]);
}

static int end_arena(void **state)
{
    (void)state;
    t3_arena_done(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statements_end_at_semicolons_that_are_nowhere_else),
        cmocka_unit_test(sqlite_has_quotes_of_its_own),
        cmocka_unit_test(bodies_keep_their_semicolons),
        cmocka_unit_test(what_never_ends_is_said),
        cmocka_unit_test(the_inside_of_quotes_is_as_written),
        cmocka_unit_test(tokens_know_their_line),
    };
    return cmocka_run_group_tests(tests, NULL, end_arena);
}
