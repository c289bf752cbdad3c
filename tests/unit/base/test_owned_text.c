/*
 * test_owned_text.c -- text that the caller owns: always a pointer, NUL-terminated, ended once.
 */
#include "base/alloc.h"
#include "base/owned_text.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_take_moves_the_bytes(void **state)
{
    (void)state;
    struct t3_buf buf = {0};
    struct tears_owned_text text = TEARS_OWNED_TEXT_INIT;
    assert_int_equal(t3_buf_put(&buf, TEARS_STR("secret")), TEARS_OK);
    const char *const bytes = buf.ptr;
    assert_int_equal(t3_owned_text_take(&buf, true, &text), TEARS_OK);
    assert_ptr_equal(text.ptr, bytes);
    assert_null(buf.ptr);
    assert_true(text.secret);
    assert_string_equal(text.ptr, "secret");
    tears_owned_text_free(&text);
    assert_null(text.ptr);
    tears_owned_text_free(&text);
    tears_owned_text_free(NULL);
}

static void test_empty_text_is_not_null(void **state)
{
    (void)state;
    struct t3_buf buf = {0};
    struct tears_owned_text text = TEARS_OWNED_TEXT_INIT;
    assert_int_equal(t3_owned_text_take(&buf, false, &text), TEARS_OK);
    assert_string_equal(text.ptr, "");
    tears_owned_text_free(&text);
    assert_int_equal(t3_owned_text_copy(tears_str_n(NULL, 0), false, &text), TEARS_OK);
    assert_string_equal(text.ptr, "");
    assert_int_equal(tears_owned_text_str(&text).len, 0);
    tears_owned_text_free(&text);
}

static void test_no_memory_leaves_the_result(void **state)
{
    (void)state;
    struct t3_buf buf = {0};
    struct tears_owned_text text = TEARS_OWNED_TEXT_INIT;
    t3_alloc_fail_at(1);
    assert_int_equal(t3_owned_text_copy(TEARS_STR("x"), false, &text), TEARS_NO_MEMORY);
    t3_alloc_fail_at(1);
    assert_int_equal(t3_owned_text_take(&buf, false, &text), TEARS_NO_MEMORY);
    t3_alloc_fail_at(0);
    assert_null(text.ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_take_moves_the_bytes),
        cmocka_unit_test(test_empty_text_is_not_null),
        cmocka_unit_test(test_no_memory_leaves_the_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
