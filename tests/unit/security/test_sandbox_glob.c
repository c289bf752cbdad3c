/*
 * test_sandbox_glob.c -- patterns: the table measured on the Python package, sets, and the time of
 * patterns made to take long.
 */
#include "base/clock.h"
#include "base/macros.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <tears/sandbox.h>

static void expect(const char *pattern, const char *key, bool matches)
{
    if (tears_sandbox_glob(tears_str_c(pattern), tears_str_c(key)) != matches)
        fail_msg("'%s' and '%s' should %smatch", pattern, key, matches ? "" : "not ");
}

/* Spec platform.md 2.7.2, word for word. */
static void the_measured_table_holds(void **state)
{
    (void)state;
    expect("*.yaml", "foo.yaml", true);
    expect("*.yaml", "sub/foo.yaml", false);
    expect("**/*.yaml", "a.yaml", true);
    expect("**/*.yaml", "a/b/c.yaml", true);
    expect("a/**/c", "a/c", true);
    expect("a/**", "a/b", true);
    expect("a/**", "a", false);
    expect("**", ".", true);
    expect("**/*", ".", false);
    expect("*", "a/b", false);
    expect("/a", "a", false);
    expect("/**", "a", false);
    expect("[]]", "]", true);
    expect("a[", "a[", true);
    expect("***", "a", true);
    expect("***", "a/b", false);
    expect("a**", "a/b", false);
}

static void paths_are_compared_in_their_normal_form(void **state)
{
    (void)state;
    expect("a//b", "a/b", true);
    expect("a/./b", "a/b", true);
    expect("a/b", "./a//b/", true);
    expect("a/b/", "a/b", true);
    expect("", "a", false);
    expect("", ".", false);
    expect("a/..", "a/..",
           true); /* ".." is a name like any other here; keys with it are refused before */
}

static void stars_go_back_as_far_as_needed(void **state)
{
    (void)state;
    expect("a*b*c", "aXbXbc", true);
    expect("a*b*c", "aXbX", false);
    expect("*ab", "aab", true);
    expect("**/a/b", "a/a/b", true);
    expect("**/a/**/b", "a/x/a/y/b", true);
    expect("**/a/**/b", "a/x/a/y/c", false);
    expect("x/**/**/y", "x/y", true);
    expect("**/**", ".", true);
    expect("a/**/**", "a", false);
    expect("*", "", false);
    expect("?*", "a", true);
    expect("?*?", "a", false);
}

static void sets_hold_characters_and_ranges(void **state)
{
    (void)state;
    expect("[abc]", "b", true);
    expect("[a-c]", "d", false);
    expect("[!a-c]", "d", true);
    expect("[!a-c]", "b", false);
    expect("[!]]", "]", false);
    expect("[!]]", "x", true);
    expect("[-a]", "-", true);
    expect("[a-]", "-", true);
    expect("[c-a]", "b", false);
    expect("[a-c-e]", "-", true);
    expect("[a-c-e]", "d", false);
    expect("[\xc3\xa0-\xc3\xbc]", "\xc3\xa9", true); /* à-ü, é */
    expect("[a-c", "b", false);
    expect("[!a]", "a/b", false); /* never a slash */
    expect("a[!x]b", "a/b", false);
    expect("[a/b]", "[a/b]", true); /* a component ends where a slash is */
    expect("?", "\xf0\x9f\x99\x82", true);
    expect("\\*", "\\x", true); /* nothing escapes */
}

/* With a star that is tried again from inside each other this takes longer than the universe. */
static void no_pattern_takes_long(void **state)
{
    (void)state;
    char pattern[512];
    char key[512];
    for (size_t i = 0; i + 2 < sizeof pattern; i += 2)
        memcpy(pattern + i, "*a", 2);
    memcpy(pattern + sizeof pattern - 2, "b", 2);
    memset(key, 'a', sizeof key - 1);
    key[sizeof key - 1] = '\0';
    const uint64_t start = t3_now_us();
    expect(pattern, key, false);
    for (size_t i = 1; i < sizeof key - 1; i += 2)
        key[i] = '/';
    expect("**/a/**/a/**/a/**/a/**/a/**/a/**/a/**/a/**/a/**/a/**/a/**/a/**/a/**/a/b", key, false);
    assert_true(t3_now_us() - start < 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_measured_table_holds),
        cmocka_unit_test(paths_are_compared_in_their_normal_form),
        cmocka_unit_test(stars_go_back_as_far_as_needed),
        cmocka_unit_test(sets_hold_characters_and_ranges),
        cmocka_unit_test(no_pattern_takes_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
