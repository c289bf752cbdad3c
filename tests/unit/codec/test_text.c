/*
 * test_text.c -- values as text: numbers, timestamps, decimals, bytes, vectors, Python's str().
 */
#include "base/limits.h"
#include "base/str.h"
#include "codec/text.h"

#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void integers_go_both_ways(void **state)
{
    (void)state;
    static const int64_t numbers[] = {0, 1, -1, 9, 10, -10, INT64_MAX, INT64_MIN, INT32_MIN};
    for (size_t i = 0; i < T3_COUNT(numbers); i++) {
        char text[T3_INT_TEXT_MAX];
        int64_t back;
        const size_t len = t3_int_text(numbers[i], text);
        assert_int_equal(t3_int_parse(tears_str_n(text, len), &back), TEARS_OK);
        assert_int_equal(back, numbers[i]);
    }
    static const char *const refused[] = {
        "",   "-",  "+",   "9223372036854775808",    "-9223372036854775809", "1.0",
        " 1", "1 ", "0x1", "99999999999999999999999"};
    for (size_t i = 0; i < T3_COUNT(refused); i++) {
        int64_t number = 42;
        assert_int_equal(t3_int_parse(tears_str_c(refused[i]), &number), TEARS_INVALID);
        assert_int_equal(number, 42);
    }
}

/* The digits that count: without sign, point, exponent, and zeros at either end. */
static int significant_digits(const char *text, size_t len)
{
    int digits = 0;
    int zeros = 0;
    for (size_t i = 0; i < len && text[i] != 'e'; i++) {
        if (text[i] == '0') {
            zeros += digits > 0;
        } else if (text[i] >= '1' && text[i] <= '9') {
            digits += zeros + 1;
            zeros = 0;
        }
    }
    return digits;
}

static void check_double(double number)
{
    char text[T3_DOUBLE_TEXT_MAX];
    const size_t len = t3_double_text(number, text);
    double back;
    assert_int_equal(t3_double_parse(tears_str_n(text, len), &back), TEARS_OK);
    assert_memory_equal(&back, &number, sizeof back);
    for (int precision = 1; precision < 17; precision++) {
        char rounded[64];
        snprintf(rounded, sizeof rounded, "%.*e", precision - 1, number);
        const bool reads_back =
            t3_double_parse(tears_str_c(rounded), &back) == TEARS_OK && back == number;
        if (!reads_back)
            continue;
        assert_true(significant_digits(text, len) <= precision);
        return;
    }
}

static void doubles_are_the_shortest_that_read_back(void **state)
{
    (void)state;
    uint64_t random = 88172645463325252u;
    for (int i = 0; i < 50000; i++) {
        uint64_t bits = next_random(&random);
        double number;
        memcpy(&number, &bits, sizeof number);
        if (i % 3 == 1)
            number = (double)(int64_t)bits / 1e6;
        if (i % 3 == 2)
            number = ldexp(1.0, (int)(bits % 2098) - 1074);
        if (isfinite(number))
            check_double(number);
    }
    check_double(0.0);
    check_double(-0.0);
}

static void doubles_look_like_pythons(void **state)
{
    (void)state;
    static const struct {
        double number;
        const char *text;
    } cases[] = {{0x1p89, "6.189700196426902e+26"},
                 {0x1p-44, "5.684341886080802e-14"},
                 {5e-324, "5e-324"},
                 {1e22, "1e+22"},
                 {1e16, "1e+16"},
                 {1e15, "1000000000000000.0"},
                 {123456789012345680.0, "1.2345678901234568e+17"},
                 {0.0001, "0.0001"},
                 {0.00001, "1e-05"},
                 {0.1 + 0.2, "0.30000000000000004"},
                 {100.0, "100.0"},
                 {1.7976931348623157e308, "1.7976931348623157e+308"},
                 {-2.5, "-2.5"},
                 {2.2250738585072014e-308, "2.2250738585072014e-308"}};
    for (size_t i = 0; i < T3_COUNT(cases); i++) {
        char text[T3_DOUBLE_TEXT_MAX];
        const size_t len = t3_double_text(cases[i].number, text);
        assert_int_equal(len, strlen(cases[i].text));
        assert_memory_equal(text, cases[i].text, len);
    }
}

static void doubles_are_rounded_correctly(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double number;
    } cases[] = {
        {"9007199254740993", 9007199254740992.0},
        {"9007199254740993.00000000000000000000000000000000000000000000001", 9007199254740994.0},
        {"1e-400", 0.0},
        {"0e999999999999", 0.0},
        {"-0", -0.0},
        {".5", 0.5},
        {"5.", 5.0},
        {"2.4703282292062328e-324", 4.9406564584124654e-324},
        {"17976931348623157e292", 1.7976931348623157e308},
        {"000.1000", 0.1},
        {"0.000000000000000000000000000000000000000000000000012e49", 0.12}};
    for (size_t i = 0; i < T3_COUNT(cases); i++) {
        double number;
        assert_int_equal(t3_double_parse(tears_str_c(cases[i].text), &number), TEARS_OK);
        assert_memory_equal(&number, &cases[i].number, sizeof number);
    }
    /* A tie that only the thousandth digit breaks. */
    char tie[1100] = "9007199254740993.";
    memset(tie + 17, '0', 1000);
    double number;
    assert_int_equal(t3_double_parse(tears_str_n(tie, 1017), &number), TEARS_OK);
    assert_true(number == 9007199254740992.0);
    tie[1016] = '1';
    assert_int_equal(t3_double_parse(tears_str_n(tie, 1017), &number), TEARS_OK);
    assert_true(number == 9007199254740994.0);
    static const char *const refused[] = {"",      "-",     ".",      "e5", "1e", "1e+",
                                          "1.2.3", "1e400", "-1e400", "x",  " 1", "1 ",
                                          "nanx",  "infin", "0x10",   "1_0"};
    for (size_t i = 0; i < T3_COUNT(refused); i++)
        assert_int_equal(t3_double_parse(tears_str_c(refused[i]), &number), TEARS_INVALID);
    assert_int_equal(t3_double_parse(TEARS_STR("-Infinity"), &number), TEARS_OK);
    assert_true(number == -HUGE_VAL);
    assert_int_equal(t3_double_parse(TEARS_STR("NaN"), &number), TEARS_OK);
    assert_true(isnan(number));
}

static void timestamps_go_both_ways(void **state)
{
    (void)state;
    uint64_t random = 4242;
    for (int i = 0; i < 100000; i++) {
        const int64_t us = (int64_t)next_random(&random) >> (i % 20);
        char text[T3_TIMESTAMP_TEXT_MAX];
        const size_t len = t3_timestamp_text(us, i % 2 == 0 ? 'T' : ' ', false, text);
        int64_t back;
        assert_int_equal(t3_timestamp_parse(tears_str_n(text, len), &back), TEARS_OK);
        assert_int_equal(back, us);
    }
    static const int64_t edges[] = {INT64_MAX, INT64_MIN, INT64_MAX - 1, INT64_MIN + 1, 0, -1};
    for (size_t i = 0; i < T3_COUNT(edges); i++) {
        T3_AUTO(t3_buf_done) struct t3_buf out = {0};
        int64_t back;
        assert_int_equal(t3_timestamp_put(&out, edges[i], 'T'), TEARS_OK);
        assert_int_equal(t3_timestamp_parse(t3_buf_str(&out), &back), TEARS_OK);
        assert_int_equal(back, edges[i]);
    }
}

static void timestamps_of_peers_are_understood(void **state)
{
    (void)state;
    const int64_t base = INT64_C(1767323045) * 1000000; /* 2026-01-02T03:04:05Z */
    static const struct {
        const char *text;
        int64_t plus_us;
        bool naive;
    } cases[] = {{"2026-01-02T03:04:05+00:00", 0, false},
                 {"2026-01-02T03:04:05Z", 0, false},
                 {"2026-01-02 03:04:05+00", 0, false},
                 {"2026-01-02 03:04:05.000001+00", 1, false},
                 {"2026-01-02T03:04:05.1234567899Z", 123456, false},
                 {"2026-01-02T03:04:05", 0, true},
                 {"2026-01-02T03:04:05+0200", INT64_C(-7200000000), false},
                 {"2026-01-02T03:04:05-05:30", INT64_C(19800000000), false},
                 {"2026-01-02T03:04:05+00:00:01", -1000000, false},
                 {"2026-01-02", INT64_C(-11045000000), true},
                 {"2026-01-02T03:04", -5000000, true}};
    for (size_t i = 0; i < T3_COUNT(cases); i++) {
        int64_t us;
        bool naive;
        assert_int_equal(t3_timestamp_read(tears_str_c(cases[i].text), &us, &naive), TEARS_OK);
        assert_int_equal(us, base + cases[i].plus_us);
        assert_int_equal(naive, cases[i].naive);
    }
    int64_t us;
    int64_t bc;
    assert_int_equal(t3_timestamp_parse(TEARS_STR("0044-03-15 00:00:00+00 BC"), &bc), TEARS_OK);
    assert_int_equal(t3_timestamp_parse(TEARS_STR("-0043-03-15T00:00:00Z"), &us), TEARS_OK);
    assert_int_equal(us, bc);
    static const char *const refused[] = {"",
                                          "x",
                                          "2026-02-30T00:00:00Z",
                                          "2026-13-01",
                                          "2026-00-01",
                                          "2026-01-00",
                                          "2025-02-29",
                                          "1900-02-29",
                                          "2026-01-02T24:00:00Z",
                                          "2026-01-02T03:60:00Z",
                                          "2026-01-02T03:04:60Z",
                                          "2026-01-02T03:04:05.Z",
                                          "2026-01-02T03:04:05+",
                                          "2026-01-02T03:04:05+1",
                                          "2026-01-02T03:04:05+24:00",
                                          "2026-1-2",
                                          "2026-01-02T03:04:05Zx",
                                          "2026-01-02x",
                                          "2026-01-02T",
                                          "300001-01-01",
                                          "294277-01-10T00:00:00Z",
                                          "infinit",
                                          "0000-01-01 BC"};
    for (size_t i = 0; i < T3_COUNT(refused); i++)
        if (t3_timestamp_parse(tears_str_c(refused[i]), &us) != TEARS_INVALID)
            fail_msg("accepted: %s", refused[i]);
}

static void decimals_keep_their_text_and_know_pythons(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *python;
    } cases[] = {{"0", "0"},
                 {"1.50", "1.50"},
                 {"-0.10", "-0.10"},
                 {"1E+3", "1E+3"},
                 {"1e3", "1E+3"},
                 {"0.00000001", "1E-8"},
                 {"0.000001", "0.000001"},
                 {"0.0000001", "1E-7"},
                 {"0.00", "0.00"},
                 {"0E-8", "0E-8"},
                 {"-0.00", "-0.00"},
                 {"007.50", "7.50"},
                 {"+5", "5"},
                 {".5", "0.5"},
                 {"5.", "5"},
                 {"12.34e5", "1.234E+6"},
                 {"1234e-2", "12.34"},
                 {"nan", "NaN"},
                 {"-Infinity", "-Infinity"},
                 {"inf", "Infinity"},
                 {"123456789012345678901234567890.123", "123456789012345678901234567890.123"}};
    for (size_t i = 0; i < T3_COUNT(cases); i++) {
        T3_AUTO(t3_buf_done) struct t3_buf out = {0};
        assert_true(t3_decimal_is_valid(tears_str_c(cases[i].text)));
        assert_int_equal(t3_buf_put_char(&out, '>'), TEARS_OK);
        assert_int_equal(t3_decimal_put_python(&out, tears_str_c(cases[i].text)), TEARS_OK);
        assert_string_equal(out.ptr + 1, cases[i].python);
    }
    static const char *const refused[] = {"",   "-",  ".",  "abc", "1e",           "1e+", "1.2.3",
                                          " 1", "1 ", "e5", "--1", "1e9999999999", "0x1", "nan1"};
    for (size_t i = 0; i < T3_COUNT(refused); i++)
        assert_false(t3_decimal_is_valid(tears_str_c(refused[i])));
}

static void bytes_go_both_ways(void **state)
{
    (void)state;
    uint8_t bytes[70];
    uint64_t random = 99;
    for (size_t len = 0; len <= sizeof bytes; len++)
        for (int form = 0; form < 3; form++) {
            for (size_t i = 0; i < len; i++)
                bytes[i] = (uint8_t)next_random(&random);
            const struct tears_str whole = tears_str_n((const char *)bytes, len);
            T3_AUTO(t3_buf_done) struct t3_buf text = {0};
            T3_AUTO(t3_buf_done) struct t3_buf back = {0};
            assert_int_equal(form == 2 ? t3_hex_put(&text, whole)
                                       : t3_base64_put(&text, whole, form == 1),
                             TEARS_OK);
            assert_int_equal(form == 2 ? t3_hex_parse(&back, t3_buf_str(&text))
                                       : t3_base64_parse(&back, t3_buf_str(&text), form == 1),
                             TEARS_OK);
            assert_true(t3_str_equal(t3_buf_str(&back), whole));
        }
    static const char *const refused[] = {"a",    "YQ",   "YQ=",  "YQ==YQ==", "YR==", "YWI=x",
                                          "====", "Y===", "YQ=a", "-_8=",     "YWJ=", " YQ="};
    for (size_t i = 0; i < T3_COUNT(refused); i++) {
        T3_AUTO(t3_buf_done) struct t3_buf out = {0};
        assert_int_equal(t3_base64_parse(&out, tears_str_c(refused[i]), false), TEARS_INVALID);
        assert_int_equal(out.len, 0);
    }
    T3_AUTO(t3_buf_done) struct t3_buf out = {0};
    assert_int_equal(t3_hex_parse(&out, TEARS_STR("0")), TEARS_INVALID);
    assert_int_equal(t3_hex_parse(&out, TEARS_STR("0g")), TEARS_INVALID);
    assert_int_equal(t3_hex_parse(&out, TEARS_STR("00fF")), TEARS_OK);
    assert_memory_equal(out.ptr, "\x00\xff", 2);
}

static void vectors_are_lists_of_numbers(void **state)
{
    (void)state;
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct tears_doubles vector;
    assert_int_equal(t3_vector_parse(&arena, TEARS_STR(" [1,2.5, 3e4] "), &vector), TEARS_OK);
    assert_int_equal(vector.len, 3);
    assert_true(vector.ptr[0] == 1.0 && vector.ptr[1] == 2.5 && vector.ptr[2] == 30000.0);
    T3_AUTO(t3_buf_done) struct t3_buf out = {0};
    assert_int_equal(t3_vector_put(&out, vector), TEARS_OK);
    assert_string_equal(out.ptr, "[1.0, 2.5, 30000.0]");
    assert_int_equal(t3_vector_parse(&arena, TEARS_STR("[]"), &vector), TEARS_OK);
    assert_int_equal(vector.len, 0);
    static const char *const refused[] = {"",          "[",     "1",     "[1,]",
                                          "[1,\"2\"]", "[[1]]", "[1] x", "[1e999]"};
    for (size_t i = 0; i < T3_COUNT(refused); i++)
        assert_int_equal(t3_vector_parse(&arena, tears_str_c(refused[i]), &vector), TEARS_INVALID);
    T3_AUTO(t3_buf_done) struct t3_buf many = {0};
    for (int i = 0; i <= T3_VECTOR_DIM_MAX; i++)
        assert_int_equal(t3_buf_put(&many, i == 0 ? TEARS_STR("[0") : TEARS_STR(",0")), TEARS_OK);
    assert_int_equal(t3_buf_put_char(&many, ']'), TEARS_OK);
    assert_int_equal(t3_vector_parse(&arena, t3_buf_str(&many), &vector), TEARS_LIMIT);
}

static void values_have_pythons_str(void **state)
{
    (void)state;
    const double numbers[] = {1.0, (double)NAN};
    uint8_t uuid[16];
    assert_int_equal(tears_uuid_parse(TEARS_STR("0190A1B2C3D47E5F8A6B0123456789AB"), uuid),
                     TEARS_OK);
    const struct {
        struct tears_value value;
        const char *text;
    } cases[] = {{tears_null(), "None"},
                 {tears_bool(true), "True"},
                 {tears_int(-5), "-5"},
                 {tears_double(HUGE_VAL), "inf"},
                 {tears_double(2.0), "2.0"},
                 {tears_text(TEARS_STR("a b")), "a b"},
                 {tears_decimal(TEARS_STR("1e3")), "1E+3"},
                 {tears_uuid(uuid), "0190a1b2-c3d4-7e5f-8a6b-0123456789ab"},
                 {tears_timestamp_us(INT64_C(1780488000000000)), "2026-06-03 12:00:00+00:00"},
                 {tears_bytes(TEARS_STR("a\0\xff\n\\'")), "b\"a\\x00\\xff\\n\\\\'\""},
                 {tears_bytes(TEARS_STR("'\"")), "b'\\'\"'"},
                 {tears_vector(numbers, 2), "[1.0, nan]"}};
    for (size_t i = 0; i < T3_COUNT(cases); i++) {
        T3_AUTO(t3_buf_done) struct t3_buf out = {0};
        assert_int_equal(t3_value_put_python(&out, &cases[i].value), TEARS_OK);
        assert_string_equal(out.ptr, cases[i].text);
    }
}

static void values_are_equal_by_content(void **state)
{
    (void)state;
    const double one[] = {1.0};
    const double zero = 0.0;
    const struct tears_value values[] = {tears_null(),
                                         tears_bool(false),
                                         tears_int(0),
                                         tears_timestamp_us(0),
                                         tears_double(zero),
                                         tears_double(-zero),
                                         tears_double((double)NAN),
                                         tears_text(TEARS_STR("a")),
                                         tears_bytes(TEARS_STR("a")),
                                         tears_text(TEARS_STR("a\0")),
                                         tears_vector(one, 1),
                                         tears_vector(NULL, 0)};
    for (size_t i = 0; i < T3_COUNT(values); i++)
        for (size_t k = 0; k < T3_COUNT(values); k++)
            assert_int_equal(tears_value_equal(&values[i], &values[k]), i == k);
}

/* A host program may have set a locale with a decimal comma. */
static void the_locale_does_not_matter(void **state)
{
    (void)state;
    static const char *const locales[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8"};
    for (size_t i = 0; i < T3_COUNT(locales); i++) {
        const locale_t locale = newlocale(LC_ALL_MASK, locales[i], (locale_t)0);
        if (locale == (locale_t)0)
            continue; /* not installed here */
        const locale_t before = uselocale(locale);
        doubles_look_like_pythons(state);
        doubles_are_rounded_correctly(state);
        uselocale(before);
        freelocale(locale);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_go_both_ways),
        cmocka_unit_test(doubles_are_the_shortest_that_read_back),
        cmocka_unit_test(doubles_look_like_pythons),
        cmocka_unit_test(doubles_are_rounded_correctly),
        cmocka_unit_test(timestamps_go_both_ways),
        cmocka_unit_test(timestamps_of_peers_are_understood),
        cmocka_unit_test(decimals_keep_their_text_and_know_pythons),
        cmocka_unit_test(bytes_go_both_ways),
        cmocka_unit_test(vectors_are_lists_of_numbers),
        cmocka_unit_test(values_have_pythons_str),
        cmocka_unit_test(values_are_equal_by_content),
        cmocka_unit_test(the_locale_does_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
