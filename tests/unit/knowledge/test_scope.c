/*
 * test_scope.c -- scopes by owners, names of scopes, table references.
 */
#include "base/alloc.h"
#include "base/str.h"

#include <tears/knowledge.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const uint8_t somebody[16] = {1};

static void owners_decide_the_scope(void **state)
{
    (void)state;
    uint32_t scope = 99;
    assert_int_equal(tears_scope_derive(NULL, NULL, &scope, NULL), TEARS_OK);
    assert_int_equal(scope, TEARS_SCOPE_PLATFORM);
    assert_int_equal(tears_scope_derive(somebody, NULL, &scope, NULL), TEARS_OK);
    assert_int_equal(scope, TEARS_SCOPE_CUSTOMER);
    assert_int_equal(tears_scope_derive(somebody, somebody, &scope, NULL), TEARS_OK);
    assert_int_equal(scope, TEARS_SCOPE_USER);
    assert_true(TEARS_SCOPE_PLATFORM < TEARS_SCOPE_CUSTOMER);
    assert_true(TEARS_SCOPE_CUSTOMER < TEARS_SCOPE_USER);
}

static void a_user_without_a_customer_is_refused(void **state)
{
    (void)state;
    uint32_t scope = 99;
    struct tears_error error;
    assert_int_equal(tears_scope_derive(NULL, somebody, &scope, &error), TEARS_INVALID);
    assert_int_equal(scope, 99);
    assert_non_null(strstr(error.message, "customer"));
    assert_int_equal(tears_scope_derive(NULL, NULL, NULL, &error), TEARS_MISUSE);
}

static void names_lead_there_and_back(void **state)
{
    (void)state;
    uint32_t scope = 99;
    struct tears_error error;
    for (uint32_t i = 0; i <= TEARS_SCOPE_USER; i++) {
        assert_int_equal(tears_scope_parse(tears_str_c(tears_scope_name(i)), &scope, NULL),
                         TEARS_OK);
        assert_int_equal(scope, i);
    }
    assert_string_equal(tears_scope_name(TEARS_SCOPE_NONE), "none");
    assert_string_equal(tears_scope_name(3), "none");
    assert_int_equal(tears_scope_parse(TEARS_STR("User"), &scope, &error), TEARS_INVALID);
    assert_non_null(strstr(error.message, "\"User\""));
    assert_int_equal(tears_scope_parse(TEARS_STR(""), &scope, NULL), TEARS_INVALID);
    assert_int_equal(tears_scope_parse(TEARS_STR("user\0"), &scope, NULL), TEARS_INVALID);
    assert_int_equal(tears_scope_parse(TEARS_STR("user"), NULL, NULL), TEARS_MISUSE);
    assert_int_equal(scope, TEARS_SCOPE_USER);
}

static void a_table_reference_needs_both_parts(void **state)
{
    (void)state;
    struct tears_owned_text ref = TEARS_OWNED_TEXT_INIT;
    assert_int_equal(tears_table_ref(TEARS_STR("S x"), TEARS_STR("T\""), &ref, NULL), TEARS_OK);
    assert_string_equal(ref.ptr, "S x.T\"");
    assert_int_equal(ref.len, 6);
    tears_owned_text_free(&ref);
    const struct tears_str absent = {NULL, 0};
    assert_int_equal(tears_table_ref(absent, TEARS_STR("t"), &ref, NULL), TEARS_OK);
    assert_null(ref.ptr);
    assert_int_equal(tears_table_ref(TEARS_STR("s"), TEARS_STR(""), &ref, NULL), TEARS_OK);
    assert_null(ref.ptr);
    assert_int_equal(tears_table_ref(absent, absent, NULL, NULL), TEARS_MISUSE);
}

static void memory_may_run_out_for_a_reference(void **state)
{
    (void)state;
    struct tears_owned_text ref = TEARS_OWNED_TEXT_INIT;
    struct tears_error error;
    t3_alloc_fail_at(1);
    assert_int_equal(tears_table_ref(TEARS_STR("s"), TEARS_STR("t"), &ref, &error),
                     TEARS_NO_MEMORY);
    t3_alloc_fail_at(0);
    assert_null(ref.ptr);
    assert_int_equal(error.status, TEARS_NO_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(owners_decide_the_scope),
        cmocka_unit_test(a_user_without_a_customer_is_refused),
        cmocka_unit_test(names_lead_there_and_back),
        cmocka_unit_test(a_table_reference_needs_both_parts),
        cmocka_unit_test(memory_may_run_out_for_a_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
