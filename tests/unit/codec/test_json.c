/*
 * test_json.c -- the JSON reader and writer: grammar, positions, depth, escapes, exact numbers.
 */
#include "base/limits.h"
#include "base/str.h"
#include "codec/json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static bool is_valid(const char *text)
{
    /* A heap block without a NUL, so that AddressSanitizer sees a read past the end. */
    const size_t len = strlen(text);
    char *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);
    const bool valid = t3_json_is_valid(tears_str_n(copy, len));
    free(copy);
    return valid;
}

static void the_grammar_is_kept(void **state)
{
    (void)state;
    static const char *const good[] = {"0",
                                       "-0",
                                       "10",
                                       "1.5",
                                       "1e400",
                                       "-1.25E+10",
                                       "123456789012345678901234567890",
                                       "\"\"",
                                       "\"a\"",
                                       " [ ] ",
                                       "{}",
                                       "[1,2]",
                                       "{\"a\":[{\"b\":{}}]}",
                                       "true",
                                       "false",
                                       "null",
                                       "\"\\u00e9\\n\\/\"",
                                       "\"\\ud83d\\ude42\"",
                                       "\"\xc3\xa9\"",
                                       "\t\r\n 1 \n",
                                       "[[[]],[{}],{\"\":\"\"}]",
                                       "\"\x7f\"",
                                       "\"abcdefgh\\\\\""};
    static const char *const bad[] = {"",
                                      " ",
                                      "-",
                                      "01",
                                      "1.",
                                      ".5",
                                      "1e",
                                      "1e+",
                                      "+1",
                                      "0x1",
                                      "NaN",
                                      "Infinity",
                                      "-Infinity",
                                      "tru",
                                      "truee",
                                      "nul",
                                      "[",
                                      "]",
                                      "[1,]",
                                      "[,1]",
                                      "[1 2]",
                                      "{",
                                      "{\"a\"}",
                                      "{\"a\":}",
                                      "{\"a\":1,}",
                                      "{a:1}",
                                      "{\"a\":1 \"b\":2}",
                                      "[}",
                                      "{]",
                                      "[1}",
                                      "\"",
                                      "\"\\\"",
                                      "\"\\x\"",
                                      "\"\\u12\"",
                                      "\"\\u12g4\"",
                                      "\"\\ud83d\"",
                                      "\"\\ud83dx\"",
                                      "\"\\ud83d\\u0041\"",
                                      "\"\\ude42\"",
                                      "\"\n\"",
                                      "\"\x1f\"",
                                      "\"\xff\"",
                                      "\"\xc3\"",
                                      "\"\xed\xa0\x80\"",
                                      "1 2",
                                      "{} x",
                                      "\xef\xbb\xbf{}",
                                      "'a'",
                                      "[1]]",
                                      "{\"a\":1}}",
                                      "\"abcdefgh\\",
                                      "{\"a\":[1,{\"b\":2}}"};
    for (size_t i = 0; i < T3_COUNT(good); i++)
        if (!is_valid(good[i]))
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < T3_COUNT(bad); i++)
        if (is_valid(bad[i]))
            fail_msg("accepted: %s", bad[i]);
    assert_false(t3_json_is_valid(tears_str_n("\"a\0b\"", 5)));
    assert_false(t3_json_is_valid(tears_str_n("1\0", 2)));
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    const char text[] = "{\"a\": [1.5e3, \"\\ud83d\\ude42\xc3\xa9\", {\"b\": null}], \"c\": true}";
    char cut[sizeof text];
    for (size_t len = 0; len + 1 < sizeof text; len++) {
        memcpy(cut, text, len);
        cut[len] = '\0';
        assert_false(is_valid(cut));
    }
    assert_true(is_valid(text));
}

static void damage_has_a_position(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t at;
    } cases[] = {{"[1, x]", 4}, {"{\"a\" 1}", 5}, {"[1, \"a\\q\"]", 6}, {"[1, 2", 5}, {"[1.x]", 3}};
    for (size_t i = 0; i < T3_COUNT(cases); i++) {
        struct t3_json_reader reader = {.text = tears_str_c(cases[i].text)};
        struct t3_json_value value;
        assert_int_equal(t3_json_value(&reader, &value), TEARS_INVALID);
        assert_int_equal(reader.at, cases[i].at);
    }
}

static void depth_is_limited(void **state)
{
    (void)state;
    char text[2 * T3_JSON_DEPTH_MAX + 3];
    for (int extra = 0; extra < 2; extra++) {
        const size_t depth = T3_JSON_DEPTH_MAX + (size_t)extra;
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        struct t3_json_reader reader = {.text = tears_str_n(text, 2 * depth)};
        struct t3_json_value value;
        assert_int_equal(t3_json_value(&reader, &value), extra == 0 ? TEARS_OK : TEARS_LIMIT);
    }
}

static void numbers_keep_their_text(void **state)
{
    (void)state;
    struct t3_json_reader reader = {.text = TEARS_STR("[0.10, 1e400, 18446744073709551616]")};
    static const char *const texts[] = {"0.10", "1e400", "18446744073709551616"};
    bool done;
    assert_int_equal(t3_json_array_open(&reader), TEARS_OK);
    for (size_t i = 0; i < 3; i++) {
        struct t3_json_value value;
        assert_int_equal(t3_json_element(&reader, i == 0, &done), TEARS_OK);
        assert_false(done);
        assert_int_equal(t3_json_value(&reader, &value), TEARS_OK);
        assert_int_equal(value.kind, T3_JSON_NUMBER);
        assert_true(t3_str_is(value.text, texts[i]));
    }
    assert_int_equal(t3_json_element(&reader, false, &done), TEARS_OK);
    assert_true(done);
    assert_int_equal(t3_json_end(&reader), TEARS_OK);
}

static void nonfinite_numbers_only_when_asked_for(void **state)
{
    (void)state;
    static const char *const words[] = {"NaN", "Infinity", "-Infinity"};
    for (size_t i = 0; i < 3; i++) {
        struct t3_json_reader reader = {.text = tears_str_c(words[i]), .allow_nonfinite = true};
        struct t3_json_value value;
        assert_int_equal(t3_json_value(&reader, &value), TEARS_OK);
        assert_int_equal(value.kind, T3_JSON_NUMBER);
        assert_true(t3_str_is(value.text, words[i]));
    }
}

static void strings_are_written_as_python_does(void **state)
{
    (void)state;
    const struct {
        struct tears_str text;
        const char *ascii;
        const char *utf8;
    } cases[] = {
        {TEARS_STR(""), "\"\"", "\"\""},
        {TEARS_STR("plain text of some length/"), "\"plain text of some length/\"",
         "\"plain text of some length/\""},
        {TEARS_STR("\"\\\b\f\n\r\t"), "\"\\\"\\\\\\b\\f\\n\\r\\t\"", "\"\\\"\\\\\\b\\f\\n\\r\\t\""},
        {TEARS_STR("\x01\x1f\x7f"), "\"\\u0001\\u001f\\u007f\"", "\"\\u0001\\u001f\x7f\""},
        {TEARS_STR("\0a"), "\"\\u0000a\"", "\"\\u0000a\""},
        {TEARS_STR("caf\xc3\xa9"), "\"caf\\u00e9\"", "\"caf\xc3\xa9\""},
        {TEARS_STR("\xf0\x9f\x99\x82\xe2\x80\xa8"), "\"\\ud83d\\ude42\\u2028\"",
         "\"\xf0\x9f\x99\x82\xe2\x80\xa8\""}};
    for (size_t i = 0; i < T3_COUNT(cases); i++) {
        T3_AUTO(t3_buf_done) struct t3_buf ascii = {0};
        T3_AUTO(t3_buf_done) struct t3_buf utf8 = {0};
        assert_int_equal(t3_json_put_string(&ascii, cases[i].text), TEARS_OK);
        assert_string_equal(ascii.ptr, cases[i].ascii);
        assert_int_equal(t3_json_put_string_utf8(&utf8, cases[i].text), TEARS_OK);
        assert_string_equal(utf8.ptr, cases[i].utf8);
    }
    T3_AUTO(t3_buf_done) struct t3_buf refused = {0};
    assert_int_equal(t3_json_put_string(&refused, TEARS_STR("a\xff")), TEARS_INVALID);
}

/* Every character at every offset of the eight-byte words, there and back. */
static void escaping_and_resolving_are_inverse(void **state)
{
    (void)state;
    for (uint32_t code = 0; code < 0x11000; code += code < 0x900 ? 1 : 251) {
        if (code >= 0xd800 && code <= 0xdfff)
            continue;
        char text[40];
        memset(text, 'x', sizeof text);
        const size_t at = code % 19;
        size_t len = 1;
        if (code < 0x80) {
            text[at] = (char)code;
        } else {
            len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
            for (size_t i = len - 1; i > 0; i--)
                text[at + i] = (char)(0x80 | (code >> 6 * (len - 1 - i) & 0x3f));
            text[at] = (char)((0xf00 >> len & 0xff) | code >> 6 * (len - 1));
        }
        const struct tears_str whole = tears_str_n(text, at + len + 11);
        assert_true(t3_str_is_utf8(whole));
        T3_AUTO(t3_buf_done) struct t3_buf json = {0};
        T3_AUTO(t3_buf_done) struct t3_buf back = {0};
        assert_int_equal(t3_json_put_string(&json, whole), TEARS_OK);
        assert_true(t3_json_is_valid(t3_buf_str(&json)));
        assert_int_equal(t3_json_unescape(tears_str_n(json.ptr + 1, json.len - 2), &back),
                         TEARS_OK);
        assert_true(t3_str_equal(t3_buf_str(&back), whole));
    }
}

static void bad_escapes_are_not_resolved(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\\",      "a\\",           "\\q", "\\u", "\\u123", "\\ud800", "\\ud800\\u0041",
        "\\udc00", "\\ud800\\ud800"};
    for (size_t i = 0; i < T3_COUNT(bad); i++) {
        T3_AUTO(t3_buf_done) struct t3_buf out = {0};
        assert_int_equal(t3_json_unescape(tears_str_c(bad[i]), &out), TEARS_INVALID);
        assert_int_equal(out.len, 0);
    }
}

static void documents_become_ascii_and_come_back(void **state)
{
    (void)state;
    const struct tears_str json = TEARS_STR(
        "{\"caf\xc3\xa9\": [0.10, 1e400, \"\xf0\x9f\x99\x82\x7f\\n\\\\u00e9\\u0001\"], \"b\":1 }");
    const char expected[] = "{\"caf\\u00e9\": [0.10, 1e400, "
                            "\"\\ud83d\\ude42\\u007f\\n\\\\u00e9\\u0001\"], \"b\":1 }";
    T3_AUTO(t3_buf_done) struct t3_buf ascii = {0};
    assert_int_equal(t3_json_put_ascii(&ascii, json), TEARS_OK);
    assert_string_equal(ascii.ptr, expected);
    char back[sizeof expected];
    const size_t len = t3_json_from_ascii(t3_buf_str(&ascii), back);
    assert_true(t3_str_equal(tears_str_n(back, len), json));
}

static void doubles_are_written_as_python_does(void **state)
{
    (void)state;
    static const struct {
        double number;
        const char *text;
    } cases[] = {
        {(double)NAN, "NaN"}, {HUGE_VAL, "Infinity"}, {-HUGE_VAL, "-Infinity"}, {1.0, "1.0"},
        {-0.0, "-0.0"},       {1e16, "1e+16"},        {1e-7, "1e-07"},          {0.1, "0.1"}};
    for (size_t i = 0; i < T3_COUNT(cases); i++) {
        T3_AUTO(t3_buf_done) struct t3_buf out = {0};
        assert_int_equal(t3_json_put_double(&out, cases[i].number), TEARS_OK);
        assert_string_equal(out.ptr, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_grammar_is_kept),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(damage_has_a_position),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(numbers_keep_their_text),
        cmocka_unit_test(nonfinite_numbers_only_when_asked_for),
        cmocka_unit_test(strings_are_written_as_python_does),
        cmocka_unit_test(escaping_and_resolving_are_inverse),
        cmocka_unit_test(bad_escapes_are_not_resolved),
        cmocka_unit_test(documents_become_ascii_and_come_back),
        cmocka_unit_test(doubles_are_written_as_python_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
