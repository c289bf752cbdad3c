/*
 * test_pg_status.c -- SQLSTATEs as statuses, and messages without passwords.
 */
#include "driver/pg_status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_sqlstates(void **state)
{
    (void)state;
    static const struct {
        const char *sqlstate;
        tears_status status;
    } cases[] = {
        {"", TEARS_UNAVAILABLE},      {"08006", TEARS_UNAVAILABLE}, {"57P01", TEARS_UNAVAILABLE},
        {"57P03", TEARS_UNAVAILABLE}, {"53300", TEARS_UNAVAILABLE}, {"28P01", TEARS_DENIED},
        {"28000", TEARS_DENIED},      {"42501", TEARS_DENIED},      {"25006", TEARS_DENIED},
        {"23505", TEARS_CONFLICT},    {"40001", TEARS_CONFLICT},    {"40P01", TEARS_CONFLICT},
        {"55P03", TEARS_CONFLICT},    {"23502", TEARS_INVALID},     {"23503", TEARS_INVALID},
        {"23514", TEARS_INVALID},     {"22003", TEARS_INVALID},     {"42P01", TEARS_INVALID},
        {"3D000", TEARS_INVALID},     {"57014", TEARS_TIMEOUT},     {"53100", TEARS_LIMIT},
        {"53200", TEARS_LIMIT},       {"54000", TEARS_LIMIT},       {"0A000", TEARS_UNSUPPORTED},
        {"P0001", TEARS_INVALID},     {"XX001", TEARS_CORRUPT},     {"ZZ999", TEARS_INVALID},
    };
    for (size_t i = 0; i < T3_COUNT(cases); i++)
        if (t3_pg_status_of(cases[i].sqlstate) != cases[i].status)
            fail_msg("SQLSTATE '%s' gave %s", cases[i].sqlstate,
                     tears_status_name(t3_pg_status_of(cases[i].sqlstate)));
}

static void test_a_report_names_what_was_violated(void **state)
{
    (void)state;
    struct tears_error error;
    const struct t3_pg_report report = {.sqlstate = "23505",
                                        .primary = "duplicate key value",
                                        .detail = "Key (mail)=(a@b) already exists.",
                                        .table = "users",
                                        .constraint = "users_mail_key"};
    assert_int_equal(t3_pg_fail_report(&error, &report), TEARS_CONFLICT);
    assert_string_equal(error.sqlstate, "23505");
    assert_string_equal(error.origin, "l3.pg");
    assert_string_equal(error.message, "duplicate key value: Key (mail)=(a@b) already exists. "
                                       "(table \"users\", constraint \"users_mail_key\")");
    const struct t3_pg_report bare = {
        .sqlstate = "42601", .primary = "syntax error", .position = 8};
    assert_int_equal(t3_pg_fail_report(&error, &bare), TEARS_INVALID);
    assert_string_equal(error.message, "syntax error");
    assert_int_equal(error.detail, 8);
}

static void test_the_sqlstate_of_a_refused_connection(void **state)
{
    (void)state;
    char sqlstate[6] = "";
    struct tears_str text;
    assert_true(
        t3_pg_find_sqlstate("connection to server at \"h\", port 1 failed: FATAL:  28P01: "
                            "password authentication failed\nLOCATION:  auth_failed, auth.c:1\n",
                            sqlstate, &text));
    assert_string_equal(sqlstate, "28P01");
    assert_memory_equal(text.ptr, "password authentication failed", text.len);
    assert_false(t3_pg_find_sqlstate("could not connect:  refused", sqlstate, &text));
    assert_false(t3_pg_find_sqlstate("FATAL:  28P", sqlstate, &text));
}

static void redacts(const char *message, const char *secret, bool quotes, const char *wanted)
{
    T3_AUTO(t3_buf_done) struct t3_buf out = {0};
    assert_int_equal(t3_pg_redact(&out, tears_str_c(message), tears_str_c(secret), quotes),
                     TEARS_OK);
    assert_string_equal(t3_buf_str(&out).ptr, wanted);
}

static void test_passwords_are_hidden(void **state)
{
    (void)state;
    redacts("no secret here\nnor here", "", false, "no secret here");
    redacts("the pass is hush, hush!", "hush", false, "the pass is ***, ***!");
    redacts("invalid port \"hush:1\" in \"x\" given", "", true,
            "invalid port \"***\" in \"***\" given");
    redacts("open \"hush", "", true, "open \"***");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sqlstates),
        cmocka_unit_test(test_a_report_names_what_was_violated),
        cmocka_unit_test(test_the_sqlstate_of_a_refused_connection),
        cmocka_unit_test(test_passwords_are_hidden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
