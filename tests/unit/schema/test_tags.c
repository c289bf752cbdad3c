/*
 * test_tags.c -- what may be shown of a connection string: never a part of the password.
 */
#include "schema/tags.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void connection_strings_lose_their_secrets(void **state)
{
    (void)state;
    static const struct {
        const char *dsn;
        const char *shown;
    } cases[] = {
        {"postgres://u:secret@[::1]:5432/db", "u@[::1]:5432/db"},
        {"postgres://u:secret@[2001:db8::1]/db", "u@[2001:db8::1]/db"},
        {"postgres://u:secret@h1:1,h2:2/db?target=any", "u@h1:1,h2:2/db"},
        {"postgres://u:secret@h1,h2/db", "u@h1,h2/db"},
        {"postgres://u:se@cret@h/db", "u@h/db"},
        {"postgres://u:@h/db", "u@h/db"},
        {"postgres://:secret@h/db", "h/db"},
        {"postgres://h/", "h"},
        {"nats://u:secret@h:4222", "u@h:4222"},
        /* a password with what ends an authority must not appear as a host, port or database */
        {"postgres://u:secret/x@h/db", "<unparseable>"},
        {"postgres://u:12/secret@h/db", "<unparseable>"},
        {"postgres://u:12?secret@h/db", "<unparseable>"},
        {"postgres://u:12#secret@h/db", "<unparseable>"},
        {"postgres://u:secret", "<unparseable>"},
        {"postgres://u:secret@h:port/db", "<unparseable>"},
        {"postgres://u:secret@h:123456/db", "<unparseable>"},
        {"postgres://u:secret@[::1/db", "<unparseable>"},
        {"postgres://u:secret@h1,,h2/db", "<unparseable>"},
        {"://u:secret@h", "<unparseable>"},
        {"u:secret@h", "<unparseable>"},
        {"password=secret host=h", "<unparseable>"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        T3_AUTO(t3_buf_done) struct t3_buf shown = {0};
        assert_int_equal(t3_dsn_put_redacted(&shown, tears_str_c(cases[i].dsn)), TEARS_OK);
        assert_string_equal(shown.ptr, cases[i].shown);
        assert_null(strstr(shown.ptr, "secret"));
    }
}

static void only_usable_lifetimes_count(void **state)
{
    (void)state;
    static const char *const useless[] = {"nan", "inf", "0", "-1", "1e999", "", "5 s"};
    for (size_t i = 0; i < sizeof useless / sizeof useless[0]; i++)
        assert_true(t3_pool_lifetime_seconds(tears_str_c(useless[i])) == 300.0);
    assert_true(t3_pool_lifetime_seconds(TEARS_STR(" 2.5 ")) == 2.5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connection_strings_lose_their_secrets),
        cmocka_unit_test(only_usable_lifetimes_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
