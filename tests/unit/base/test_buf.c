/*
 * test_buf.c -- buffers: growth, limits, embedded NULs, taking, failing allocations.
 */
#include "base/alloc.h"
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void content_grows_and_stays_terminated(void **state)
{
    (void)state;
    T3_AUTO(t3_buf_done) struct t3_buf buf = {0};
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(t3_buf_put(&buf, tears_str_n("x\0y", 3)), TEARS_OK);
        assert_int_equal(buf.ptr[buf.len], '\0');
    }
    assert_int_equal(buf.len, 3000);
    assert_memory_equal(buf.ptr + 2997, "x\0y", 3);
    t3_buf_clear(&buf);
    assert_string_equal(buf.ptr, "");
    assert_int_equal(t3_buf_printf(&buf, "%d-%s", 7, "seven"), TEARS_OK);
    assert_string_equal(buf.ptr, "7-seven");
}

static void the_limit_is_exact(void **state)
{
    (void)state;
    T3_AUTO(t3_buf_done) struct t3_buf buf = {.len_max = 100};
    for (int i = 0; i < 100; i++)
        assert_int_equal(t3_buf_put_char(&buf, 'a'), TEARS_OK);
    assert_int_equal(t3_buf_put_char(&buf, 'a'), TEARS_LIMIT);
    assert_int_equal(t3_buf_room(&buf, 1), TEARS_LIMIT);
    assert_int_equal(t3_buf_printf(&buf, "b"), TEARS_LIMIT);
    assert_int_equal(buf.len, 100);
    assert_int_equal(t3_buf_reserve(&buf, SIZE_MAX), TEARS_LIMIT);
}

static void a_failed_growth_keeps_the_content(void **state)
{
    (void)state;
    T3_AUTO(t3_buf_done) struct t3_buf buf = {0};
    assert_int_equal(t3_buf_put(&buf, TEARS_STR("kept")), TEARS_OK);
    t3_alloc_fail_at(1);
    assert_int_equal(t3_buf_reserve(&buf, 10000), TEARS_NO_MEMORY);
    t3_alloc_fail_at(0);
    assert_string_equal(buf.ptr, "kept");
}

static void taking_moves_the_bytes_out(void **state)
{
    (void)state;
    struct t3_buf buf = {0};
    assert_null(t3_buf_take(&buf));
    assert_int_equal(t3_buf_str(&buf).len, 0);
    assert_int_equal(t3_buf_put(&buf, TEARS_STR("mine")), TEARS_OK);
    char *taken = t3_buf_take(&buf);
    assert_string_equal(taken, "mine");
    assert_null(buf.ptr);
    t3_buf_done(&buf);
    t3_free(taken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(content_grows_and_stays_terminated),
        cmocka_unit_test(the_limit_is_exact),
        cmocka_unit_test(a_failed_growth_keeps_the_content),
        cmocka_unit_test(taking_moves_the_bytes_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
