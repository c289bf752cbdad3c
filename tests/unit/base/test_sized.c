/*
 * test_sized.c -- public structs of any age: what an older or a newer header means.
 */
#include "base/sized.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct options {
    size_t size;
    uint64_t first;
    uint64_t second;
};

static void test_an_older_struct_leaves_the_rest_zero(void **state)
{
    (void)state;
    const struct options older = {
        .size = offsetof(struct options, second), .first = 1, .second = 2};
    struct options own = {0};
    assert_int_equal(t3_sized_copy(&own, sizeof own, &older, "test", NULL), TEARS_OK);
    assert_int_equal(own.size, sizeof own);
    assert_int_equal(own.first, 1);
    assert_int_equal(own.second, 0);
}

static void test_a_newer_struct_must_not_ask_for_what_is_unknown(void **state)
{
    (void)state;
    struct {
        struct options known;
        uint64_t unknown;
    } newer = {.known = {.size = sizeof newer, .first = 1, .second = 2}};
    struct options own = {0};
    struct tears_error error;
    assert_int_equal(t3_sized_copy(&own, sizeof own, &newer, "test", NULL), TEARS_OK);
    assert_int_equal(own.second, 2);
    newer.unknown = 1;
    assert_int_equal(t3_sized_copy(&own, sizeof own, &newer, "test", &error), TEARS_UNSUPPORTED);
    assert_string_equal(error.origin, "test");
}

static void test_a_struct_without_a_size_is_misuse(void **state)
{
    (void)state;
    const struct options none = {.first = 1};
    struct options own = {0};
    assert_int_equal(t3_sized_copy(&own, sizeof own, &none, "test", NULL), TEARS_MISUSE);
    assert_int_equal(own.first, 0);
}

static void test_giving_writes_no_more_than_the_caller_has(void **state)
{
    (void)state;
    const struct options own = {.size = sizeof own, .first = 1, .second = 2};
    struct options older = {.size = offsetof(struct options, second), .second = 7};
    struct options none = {.first = 7};
    t3_sized_give(&older, &own, sizeof own);
    assert_int_equal(older.size, offsetof(struct options, second));
    assert_int_equal(older.first, 1);
    assert_int_equal(older.second, 7);
    t3_sized_give(&none, &own, sizeof own);
    assert_int_equal(none.first, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_older_struct_leaves_the_rest_zero),
        cmocka_unit_test(test_a_newer_struct_must_not_ask_for_what_is_unknown),
        cmocka_unit_test(test_a_struct_without_a_size_is_misuse),
        cmocka_unit_test(test_giving_writes_no_more_than_the_caller_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
