/*
 * test_words.c -- the quoting of the shell.
 */
#include "words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* Splits and joins the words with | between, or gives the defect after a "!". */
static char *split(const char *line)
{
    struct cli_words words = {0};
    struct cli_text joined = {0};
    const char *defect = cli_words_split(tears_str_c(line), &words);

    if (defect != NULL) {
        cli_text_printf(&joined, "!%s", defect);
    } else {
        cli_text_put_c(&joined, "");
        for (size_t i = 0; i < words.count; i++) {
            cli_text_put_c(&joined, i > 0 ? "|" : "");
            cli_text_put(&joined, words.words[i]);
        }
    }
    cli_words_done(&words);
    return joined.ptr;
}

static void check(const char *line, const char *expected)
{
    char *joined = split(line);
    assert_string_equal(joined, expected);
    free(joined);
}

static void blanks_separate_words(void **state)
{
    (void)state;
    check("get users 7", "get|users|7");
    check("  get\tusers   7  ", "get|users|7");
    check("", "");
    check(" \t ", "");
}

static void quotes_keep_blanks_wherever_they_open(void **state)
{
    (void)state;
    check("set t 1 name=\"Ada Lovelace\"", "set|t|1|name=Ada Lovelace");
    check("set t 1 'name=Ada Lovelace' x", "set|t|1|name=Ada Lovelace|x");
    check("a''b", "ab");
    check("'' \"\"", "|");
}

static void double_quotes_know_the_escapes_of_json(void **state)
{
    (void)state;
    check("\"a\\\"b\\\\c\\n\\t\"", "a\"b\\c\n\t");
    check("\"\\u00e4\\u20ac\\ud83d\\ude00\"", "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80");
    check("\"\\x00ff\"", "\\x00ff"); /* bytes are written this way: the backslash stays */
    check("\"\\ud83d\"", "!\\u gives half a surrogate pair");
    check("\"\\ude00\"", "!\\u gives half a surrogate pair");
    check("\"\\u12\"", "!\\u needs four hexadecimal digits");
}

static void single_quotes_keep_json_as_it_is(void **state)
{
    (void)state;
    check("'{\"a\":\"b\\n\"}'", "{\"a\":\"b\\n\"}");
    check("'it\\'s \\\\'", "it's \\");
}

static void outside_quotes_a_backslash_is_itself(void **state)
{
    (void)state;
    check("data=\\x00ff a\\b", "data=\\x00ff|a\\b");
}

static void an_open_quote_is_named(void **state)
{
    (void)state;
    check("get 'users 7", "!a quote is never closed");
    check("get \"users\\", "!a quote is never closed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blanks_separate_words),
        cmocka_unit_test(quotes_keep_blanks_wherever_they_open),
        cmocka_unit_test(double_quotes_know_the_escapes_of_json),
        cmocka_unit_test(single_quotes_keep_json_as_it_is),
        cmocka_unit_test(outside_quotes_a_backslash_is_itself),
        cmocka_unit_test(an_open_quote_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
