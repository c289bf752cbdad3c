/*
 * test_fail.c -- error texts: one line of whole UTF-8 characters, whatever goes into them.
 */
#include "base/fail.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void every_field_is_filled(void **state)
{
    (void)state;
    struct tears_error error;
    memset(&error, 0xaa, sizeof error);
    assert_int_equal(t3_fail_detail(&error, TEARS_CONFLICT, "l3.pg", 42, "23505", "key %d", 7),
                     TEARS_CONFLICT);
    assert_int_equal(error.status, TEARS_CONFLICT);
    assert_int_equal(error.detail, 42);
    assert_string_equal(error.sqlstate, "23505");
    assert_string_equal(error.origin, "l3.pg");
    assert_string_equal(error.message, "key 7");
    t3_error_clear(&error);
    assert_int_equal(error.status, TEARS_OK);
    assert_string_equal(error.message, "");
    assert_int_equal(t3_fail(NULL, TEARS_LIMIT, "x", "y"), TEARS_LIMIT);
    assert_int_equal(t3_fail_memory(&error, "x"), TEARS_NO_MEMORY);
}

static void control_characters_become_blanks(void **state)
{
    (void)state;
    struct tears_error error;
    (void)t3_fail(&error, TEARS_INVALID, "x", "a\nb\tc%c", 0x7f);
    assert_string_equal(error.message, "a b c ");
}

static void long_text_is_cut_between_characters(void **state)
{
    (void)state;
    char text[1200];
    for (size_t pad = 0; pad < 4; pad++) {
        size_t len = pad;
        memset(text, '.', pad);
        while (len + 4 < sizeof text) {
            memcpy(text + len, "\xf0\x9f\x99\x82", 4);
            len += 4;
        }
        text[len] = '\0';
        struct tears_error error;
        (void)t3_fail(&error, TEARS_INVALID, "x", "%s", text);
        const struct tears_str message = tears_str_c(error.message);
        assert_true(message.len < sizeof error.message);
        assert_true(message.len > sizeof error.message - 10);
        assert_true(t3_str_is_utf8(message));
        assert_memory_equal(message.ptr + message.len - 3, "...", 4);
    }
}

static void bytes_that_are_no_text_become_question_marks(void **state)
{
    (void)state;
    struct tears_error error;
    (void)t3_fail(&error, TEARS_INVALID, "x",
                  "a\xff"
                  "b\xc3\xa9\xc3");
    assert_string_equal(error.message, "a?b\xc3\xa9?");
}

static void names_and_sentences_exist_for_all_statuses(void **state)
{
    (void)state;
    for (int i = TEARS_OK; i <= TEARS_INTERNAL; i++) {
        assert_string_not_equal(tears_status_name((tears_status)i), "UNKNOWN");
        assert_true(strlen(tears_status_text((tears_status)i)) > 0);
    }
    assert_string_equal(tears_status_name((tears_status)99), "UNKNOWN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_is_filled),
        cmocka_unit_test(control_characters_become_blanks),
        cmocka_unit_test(long_text_is_cut_between_characters),
        cmocka_unit_test(bytes_that_are_no_text_become_question_marks),
        cmocka_unit_test(names_and_sentences_exist_for_all_statuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
