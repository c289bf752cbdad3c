/*
 * test_dsn.c -- what may be shown of a connection string: never a part of the password.
 */
#include "base/macros.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <tears/dsn.h>

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
        {"host=h://u user=secret", "<unparseable>"},
        {"postgresql:///db?host=/run/postgresql&password=secret", "<unparseable>"},
        {"postgres://u;password=secret@h/db", "<unparseable>"},
        {"postgres://u@h/db;password=secret", "<unparseable>"},
        {"postgres://u@h/db&password=secret", "<unparseable>"},
        {"postgres://u@h/db password=secret", "<unparseable>"},
        {"postgres://u@secret:x@h/db", "<unparseable>"},
        {"postgres://u@h;secret/db", "<unparseable>"},
        {"postgres://u@h\nsecret/db", "<unparseable>"},
        {"postgres://u@h/db\x1b[2Jsecret", "<unparseable>"},
        {"postgres://u@h/db\xc2\x9bsecret", "<unparseable>"},
        {"postgres://u@[fe80::1%25eth0]:5432/db", "u@[fe80::1%25eth0]:5432/db"},
        {"postgres://u@[]/db", "<unparseable>"},
        {"postgres://u@[::1;secret]/db", "<unparseable>"},
        {"", "<unparseable>"},
        {"://", "<unparseable>"},
    };
    for (size_t i = 0; i < T3_COUNT(cases); i++) {
        char shown[TEARS_DSN_SHOWN_BYTES];
        tears_dsn_redact(tears_str_c(cases[i].dsn), shown);
        assert_string_equal(shown, cases[i].shown);
        assert_null(strstr(shown, "secret"));
    }
}

static void a_nul_and_a_long_name_are_not_shown(void **state)
{
    (void)state;
    char shown[TEARS_DSN_SHOWN_BYTES];
    char dsn[1024];
    tears_dsn_redact(TEARS_STR("postgres://u@h\0:p@h/db"), shown);
    assert_string_equal(shown, "<unparseable>");
    memset(dsn, 'h', sizeof dsn);
    memcpy(dsn, "x://", 4);
    tears_dsn_redact(tears_str_n(dsn, 4 + TEARS_DSN_SHOWN_BYTES), shown);
    assert_string_equal(shown, "<unparseable>");
    tears_dsn_redact(tears_str_n(dsn, 4 + TEARS_DSN_SHOWN_BYTES - 1), shown);
    assert_int_equal(strlen(shown), TEARS_DSN_SHOWN_BYTES - 1);
}

/* ---- generated connection strings -------------------------------------------------------------- */

static uint64_t random_state = 20261123;

static size_t below(size_t bound)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(random_state >> 33) % bound;
}

static void put(char *dsn, size_t *len, const char *text)
{
    const size_t more = strlen(text);
    memcpy(dsn + *len, text, more);
    *len += more;
}

/*
 * A password in which every second character is one of the marks Q and Z, which nothing else in the string has;
 * between them is whatever a generator of passwords, or an attacker, likes.
 */
static void put_password(char *dsn, size_t *len)
{
    static const char odd[] = "@:/?#[]%=&;, '\"\\\n\t.-_~!$()*+<>|`{}0129az";
    const size_t count = 1 + below(8);
    for (size_t i = 0; i < count; i++) {
        dsn[(*len)++] = "QZ"[below(2)];
        dsn[(*len)++] = i == 3 && below(4) == 0 ? '\0' : odd[below(sizeof odd - 1)];
    }
    dsn[(*len)++] = 'Q';
}

static size_t generate(char *dsn)
{
    static const char *const starts[] = {
        "postgresql://u:", "postgres://u:", "x://:", "nats://u:", "postgresql://user%20name:"};
    static const char *const ends[] = {"@h/db",          "@h:5432/db",  "@[::1]:5432/db",
                                       "@h1:1,h2:2/db",  "@h",          "@h/db?sslmode=require",
                                       "@/db?host=/run", "@h1,u2@h2/d", "@h/db#x@y"};
    static const char *const pairs[] = {
        "host=h dbname=d password=", "password='",
        "postgresql://h/db?user=u&password=", "postgresql:///db?password=", "service=s;password="};
    size_t len = 0;
    if (below(4) > 0) {
        put(dsn, &len, starts[below(T3_COUNT(starts))]);
        put_password(dsn, &len);
        put(dsn, &len, ends[below(T3_COUNT(ends))]);
    } else {
        put(dsn, &len, pairs[below(T3_COUNT(pairs))]);
        put_password(dsn, &len);
        put(dsn, &len, below(2) == 0 ? "'" : " host=h");
    }
    return len;
}

static void no_part_of_a_generated_password_is_shown(void **state)
{
    (void)state;
    size_t understood = 0;
    for (unsigned i = 0; i < 200000; i++) {
        char dsn[256];
        char shown[TEARS_DSN_SHOWN_BYTES];
        const size_t len = generate(dsn);
        tears_dsn_redact(tears_str_n(dsn, len), shown);
        assert_null(strpbrk(shown, "QZ"));
        understood += shown[0] != '<';
    }
    assert_true(understood > 10000); /* it does not hide everything either */
}

/* ---- pools ------------------------------------------------------------------------------------- */

static void only_usable_idle_times_count(void **state)
{
    (void)state;
    static const char *const useless[] = {"nan", "inf", "0", "-1", "1e999", "5 s", "1e9", "0x10"};
    bool is_usable = true;
    for (size_t i = 0; i < T3_COUNT(useless); i++) {
        assert_int_equal(tears_pool_idle_ms(tears_str_c(useless[i]), &is_usable), 300000);
        assert_false(is_usable);
    }
    assert_int_equal(tears_pool_idle_ms(TEARS_STR(" 2.5 "), &is_usable), 2500);
    assert_true(is_usable);
    assert_int_equal(tears_pool_idle_ms(TEARS_STR("1e-9"), NULL), 1);
    assert_int_equal(tears_pool_idle_ms(TEARS_STR(""), &is_usable), 300000);
    assert_true(is_usable);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connection_strings_lose_their_secrets),
        cmocka_unit_test(a_nul_and_a_long_name_are_not_shown),
        cmocka_unit_test(no_part_of_a_generated_password_is_shown),
        cmocka_unit_test(only_usable_idle_times_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
