/*
 * test_str.c -- text: UTF-8 by RFC 3629, comparisons with NULs in them.
 */
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Well-formed is exactly what encodes one of the 1112064 scalar values, in its shortest form. */
static bool is_character(const unsigned char *p, size_t len)
{
    uint32_t code = 0;
    if (len == 1)
        return p[0] < 0x80;
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return false;
        code = code << 6 | (p[i] & 0x3f);
    }
    if (len == 2)
        return (p[0] & 0xe0) == 0xc0 && (code | (p[0] & 0x1fu) << 6) >= 0x80;
    if (len == 3) {
        code |= (p[0] & 0x0fu) << 12;
        return (p[0] & 0xf0) == 0xe0 && code >= 0x800 && (code < 0xd800 || code > 0xdfff);
    }
    code |= (p[0] & 0x07u) << 18;
    return (p[0] & 0xf8) == 0xf0 && code >= 0x10000 && code <= 0x10ffff;
}

static void all_short_sequences_are_judged_by_the_standard(void **state)
{
    (void)state;
    const unsigned char tails[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90,
                                   0x9f, 0xa0, 0xbf, 0xc0, 0xff};
    for (unsigned lead = 0; lead < 256; lead++)
        for (size_t i = 0; i < T3_COUNT(tails); i++)
            for (size_t k = 0; k < T3_COUNT(tails); k++)
                for (size_t len = 1; len <= 4; len++) {
                    const unsigned char bytes[4] = {(unsigned char)lead, tails[i], tails[k], 0x80};
                    const size_t found = t3_utf8_length((const char *)bytes, len);
                    size_t expected = 0;
                    for (size_t n = 1; n <= len && expected == 0; n++)
                        expected = is_character(bytes, n) ? n : 0;
                    assert_int_equal(found, expected);
                }
}

static void damage_is_found_wherever_it_is(void **state)
{
    (void)state;
    char text[40];
    for (size_t at = 0; at < sizeof text; at++) {
        memset(text, 'a', sizeof text);
        assert_true(t3_str_is_utf8(tears_str_n(text, sizeof text)));
        text[at] = (char)0xc3;
        assert_false(t3_str_is_utf8(tears_str_n(text, sizeof text)));
        if (at + 1 < sizeof text) {
            text[at + 1] = (char)0xa9;
            assert_true(t3_str_is_utf8(tears_str_n(text, sizeof text)));
        }
    }
    assert_true(t3_str_is_utf8(tears_str_n(NULL, 0)));
}

static void comparisons_see_bytes_behind_a_nul(void **state)
{
    (void)state;
    assert_false(t3_str_equal(tears_str_n("a\0b", 3), tears_str_n("a\0c", 3)));
    assert_true(t3_str_compare(tears_str_n("a\0b", 3), tears_str_n("a\0c", 3)) < 0);
    assert_true(t3_str_compare(TEARS_STR("ab"), TEARS_STR("a")) > 0);
    assert_int_equal(t3_str_compare(tears_str_n(NULL, 0), TEARS_STR("")), 0);
    assert_true(t3_str_equal_nocase(TEARS_STR("SeLect"), TEARS_STR("sElEct")));
    assert_false(t3_str_equal_nocase(TEARS_STR("["), TEARS_STR("{")));
    assert_int_equal(t3_str_from(TEARS_STR("abc"), 5).len, 0);
}

static void blanks_go_from_both_ends_only(void **state)
{
    (void)state;
    assert_true(t3_str_is(t3_str_trim(TEARS_STR(" \t a b\n\v\f\r"), T3_BLANKS), "a b"));
    assert_true(t3_str_is(t3_str_trim(TEARS_STR("\na "), " "), "\na"));
    assert_int_equal(t3_str_trim(TEARS_STR("  "), T3_BLANKS).len, 0);
    assert_int_equal(t3_str_trim(tears_str_n("\0a\0", 3), T3_BLANKS).len, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_short_sequences_are_judged_by_the_standard),
        cmocka_unit_test(damage_is_found_wherever_it_is),
        cmocka_unit_test(comparisons_see_bytes_behind_a_nul),
        cmocka_unit_test(blanks_go_from_both_ends_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
