/*
 * test_l3_lite_text.c -- conditions and names, read out of what SQLite keeps as text.
 */
#include "base/str.h"
#include "tier/l3_lite_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void conditions_are_found(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"CREATE INDEX \"i\" ON \"t\" (\"a\")", ""},
        {"CREATE INDEX \"i\" ON \"t\" (\"a\") WHERE a > 3", "a > 3"},
        {"CREATE INDEX i ON t(a,b)where (a > 3 )  ", "(a > 3 )"},
        {"CREATE INDEX \"(i\" ON \"t)\" (\"a)\"\"(\", 'x)') WHERE \"a)\" = ')'", "\"a)\" = ')'"},
        {"CREATE INDEX [i(] ON `t(` (a) WHERE a", "a"},
        {"CREATE INDEX i ON t (a) WHEREVER", "VER"}, /* SQLite would not have kept it */
        {"CREATE INDEX i ON t (a", ""},
        {"CREATE INDEX i ON t (\"a", ""},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct tears_str found = t3_l3_lite_condition(tears_str_c(cases[i][0]));
        if (!t3_str_is(found, cases[i][1]))
            fail_msg("'%s' gave '%.*s'", cases[i][0], (int)found.len, found.ptr);
    }
}

static void names_of_constraints_are_found(void **state)
{
    (void)state;
    static const char sql[] =
        "CREATE TABLE \"t\" (\n    \"a\" TEXT,\n    \"b \"\"c\" TEXT,\n"
        "    CONSTRAINT \"u \"\"1\" UNIQUE (\"a\", \"b \"\"c\"),\n"
        "    CONSTRAINT \"f\" FOREIGN KEY (\"a\") REFERENCES \"o\" (\"id\"),\n"
        "    UNIQUE (\"a\")\n)";
    static const struct tears_str both[] = {{"a", 1}, {"b \"c", 4}};
    const struct t3_lite_constraint unique = {"UNIQUE", both, 2};
    const struct t3_lite_constraint nameless = {"UNIQUE", both, 1};
    const struct t3_lite_constraint foreign = {"FOREIGN KEY", both, 1};
    struct t3_arena arena = {0};
    struct tears_str name;
    assert_int_equal(t3_l3_lite_constraint_name(tears_str_c(sql), &unique, &arena, &name),
                     TEARS_OK);
    assert_string_equal(name.ptr, "u \"1");
    assert_int_equal(t3_l3_lite_constraint_name(tears_str_c(sql), &foreign, &arena, &name),
                     TEARS_OK);
    assert_string_equal(name.ptr, "f");
    assert_int_equal(t3_l3_lite_constraint_name(tears_str_c(sql), &nameless, &arena, &name),
                     TEARS_OK);
    assert_int_equal(name.len, 0);
    assert_int_equal(t3_l3_lite_constraint_name(TEARS_STR(""), &unique, &arena, &name), TEARS_OK);
    assert_int_equal(name.len, 0);
    t3_arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conditions_are_found),
        cmocka_unit_test(names_of_constraints_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
