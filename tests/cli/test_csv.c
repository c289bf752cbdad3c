/*
 * test_csv.c -- CSV as RFC 4180 has it, and nothing half understood.
 */
#include "csv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* The cells with | between, quoted ones in brackets; or the defect after a "!". */
static void check(const char *line, const char *expected)
{
    struct cli_csv_record record = {0};
    struct cli_text joined = {0};
    char *copy = cli_copy(tears_str_c(line));
    const char *defect = cli_csv_split(copy, strlen(copy), &record);

    for (size_t i = 0; defect == NULL && i < record.count; i++) {
        cli_text_put_c(&joined, i > 0 ? "|" : "");
        cli_text_put_c(&joined, record.cells[i].quoted ? "[" : "");
        cli_text_put(&joined, record.cells[i].text);
        cli_text_put_c(&joined, record.cells[i].quoted ? "]" : "");
    }
    if (defect != NULL)
        cli_text_printf(&joined, "!%s", defect);
    assert_string_equal(joined.ptr, expected);
    free(copy);
    cli_csv_done(&record);
    cli_text_done(&joined);
}

static void fields_are_split_at_commas(void **state)
{
    (void)state;
    check("a,b,c", "a|b|c");
    check("a,,c,", "a||c|");
    check(",", "|");
    check(" a , b ", " a | b ");
}

static void quoted_fields_hold_commas_quotes_and_newlines(void **state)
{
    (void)state;
    check("\"a,b\",c", "[a,b]|c");
    check("\"say \"\"hi\"\"\"", "[say \"hi\"]");
    check("\"two\nlines\",\"\"", "[two\nlines]|[]");
    check("\"\"\"\"", "[\"]");
}

static void what_is_malformed_is_named(void **state)
{
    (void)state;
    check("\"a\"b,c", "!text follows a closing quote");
    check("a\"b", "!a quote stands inside a field that is not quoted");
    check("\"a", "!a quote is never closed");
}

static void a_record_ends_where_its_quotes_are_closed(void **state)
{
    (void)state;
    assert_int_equal(cli_csv_state(TEARS_STR("a,b")), CLI_CSV_WHOLE);
    assert_int_equal(cli_csv_state(TEARS_STR("")), CLI_CSV_WHOLE);
    assert_int_equal(cli_csv_state(TEARS_STR(",\"\",")), CLI_CSV_WHOLE);
    assert_int_equal(cli_csv_state(TEARS_STR("\"a\",\"b\"\"c\"")), CLI_CSV_WHOLE);
    assert_int_equal(cli_csv_state(TEARS_STR("a,\"b")), CLI_CSV_OPEN);
    assert_int_equal(cli_csv_state(TEARS_STR("\"")), CLI_CSV_OPEN);
    assert_int_equal(cli_csv_state(TEARS_STR("\"a\"\"")), CLI_CSV_OPEN);
    assert_int_equal(cli_csv_state(TEARS_STR("5\" disk,x")), CLI_CSV_BAD);
    assert_int_equal(cli_csv_state(TEARS_STR("\"a\"b")), CLI_CSV_BAD);
}

static void what_is_written_is_read_back(void **state)
{
    static const char *const texts[] = {"",           "plain",   "a,b", "\"",
                                        "two\nlines", " blank ", "\r",  "ä€"};
    (void)state;
    for (size_t i = 0; i < CLI_COUNT(texts); i++) {
        struct cli_text written = {0};
        struct cli_csv_record record = {0};
        cli_csv_put(&written, tears_str_c(texts[i]));
        assert_int_equal(cli_csv_state(cli_text_str(&written)), CLI_CSV_WHOLE);
        assert_null(cli_csv_split(written.ptr, written.len, &record));
        assert_int_equal(record.count, 1);
        assert_true(cli_str_is(record.cells[0].text, texts[i]));
        assert_true(record.cells[0].quoted ||
                    record.cells[0].text.len > 0); /* else it would be NULL */
        cli_csv_done(&record);
        cli_text_done(&written);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_split_at_commas),
        cmocka_unit_test(quoted_fields_hold_commas_quotes_and_newlines),
        cmocka_unit_test(what_is_malformed_is_named),
        cmocka_unit_test(a_record_ends_where_its_quotes_are_closed),
        cmocka_unit_test(what_is_written_is_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
