/*
 * yaml_scalar.c -- what words of YAML mean, and how values are written as words.
 *
 * Owns:     nothing.
 * Knows:    base/, codec text of numbers, jansson.
 * Must not know: where in a document a word stands.
 * Threads:  any.
 * Fails:    TEARS_NO_MEMORY, TEARS_LIMIT.
 * Begin at: t3_yaml_resolve(), t3_yaml_put_flow().
 *
 * Words mean what YAML 1.2's core schema says: `no` and `on` are text.  As older readers take them for booleans, we put quotes
 * around them when we write.
 */
#include "base/macros.h"
#include "base/str.h"
#include "codec/json.h"
#include "codec/text.h"
#include "codec/yaml.h"

#include <math.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_one_of(struct tears_str word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (t3_str_is(word, words[i]))
            return true;
    return false;
}

/* ---- reading ----------------------------------------------------------------------------------- */

static size_t count_digits(struct tears_str text, size_t at)
{
    size_t count = 0;
    while (at + count < text.len && is_digit(text.ptr[at + count]))
        count++;
    return count;
}

/* 0o17 and 0xff; false: neither. */
static bool read_other_base(struct tears_str word, struct t3_yaml_meaning *meaning)
{
    if (word.len < 3 || word.ptr[0] != '0' || (word.ptr[1] != 'o' && word.ptr[1] != 'x'))
        return false;
    const uint64_t base = word.ptr[1] == 'o' ? 8 : 16;
    uint64_t number = 0;
    bool fits = true;
    for (size_t i = 2; i < word.len; i++) {
        const char c = (char)(word.ptr[i] | 0x20);
        const uint64_t digit = is_digit(word.ptr[i])  ? (uint64_t)(word.ptr[i] - '0')
                               : c >= 'a' && c <= 'f' ? (uint64_t)(c - 'a' + 10)
                                                      : 16;
        if (digit >= base)
            return false;
        fits = fits && number <= (uint64_t)INT64_MAX / base;
        number = fits ? number * base + digit : number;
        fits = fits && number <= (uint64_t)INT64_MAX;
    }
    meaning->word = fits ? T3_YAML_INT : T3_YAML_NO_NUMBER;
    meaning->integer = fits ? (int64_t)number : 0;
    return true;
}

/* Where the parts of a number stand: [-+]? digits [. digits] [e [-+] digits]. */
struct number {
    size_t digits;
    size_t digits_len;
    size_t fraction;
    size_t fraction_len;
    bool has_point;
    size_t exponent;
    bool has_exponent;
};

static bool take_number_apart(struct tears_str word, struct number *number)
{
    size_t at = word.len > 0 && (word.ptr[0] == '-' || word.ptr[0] == '+') ? 1 : 0;
    memset(number, 0, sizeof *number);
    number->digits = at;
    number->digits_len = count_digits(word, at);
    at += number->digits_len;
    if (at < word.len && word.ptr[at] == '.') {
        number->has_point = true;
        number->fraction = ++at;
        number->fraction_len = count_digits(word, at);
        at += number->fraction_len;
    }
    if (number->digits_len + number->fraction_len == 0)
        return false;
    if (at < word.len && (word.ptr[at] == 'e' || word.ptr[at] == 'E')) {
        number->has_exponent = true;
        number->exponent = ++at;
        at += at < word.len && (word.ptr[at] == '-' || word.ptr[at] == '+');
        const size_t digits = count_digits(word, at);
        if (digits == 0)
            return false;
        at += digits;
    }
    return at == word.len;
}

enum { NUMBER_BYTES_MAX = 400 };

/* The number as everybody reads it: a digit on both sides of the point. */
static void read_float(struct tears_str word, const struct number *number,
                       struct t3_yaml_meaning *meaning)
{
    char text[NUMBER_BYTES_MAX + 8];
    size_t len = 0;
    meaning->word = T3_YAML_NO_NUMBER;
    if (word.len > NUMBER_BYTES_MAX)
        return;
    if (word.ptr[0] == '-')
        text[len++] = '-';
    if (number->digits_len == 0)
        text[len++] = '0';
    memcpy(text + len, word.ptr + number->digits, number->digits_len);
    len += number->digits_len;
    if (number->fraction_len > 0) {
        text[len++] = '.';
        memcpy(text + len, word.ptr + number->fraction, number->fraction_len);
        len += number->fraction_len;
    }
    if (number->has_exponent) {
        const size_t exponent_len = word.len - number->exponent;
        text[len++] = 'e';
        memcpy(text + len, word.ptr + number->exponent, exponent_len);
        len += exponent_len;
    }
    if (t3_double_parse(tears_str_n(text, len), &meaning->number) == TEARS_OK &&
        isfinite(meaning->number))
        meaning->word = T3_YAML_FLOAT;
}

static void read_int(struct tears_str word, struct t3_yaml_meaning *meaning)
{
    const struct tears_str digits = word.ptr[0] == '+' ? t3_str_from(word, 1) : word;
    meaning->word = T3_YAML_INT;
    if (t3_int_parse(digits, &meaning->integer) == TEARS_OK)
        return;
    /* zeros in front mean nothing in YAML 1.2, and are no number elsewhere */
    size_t at = digits.ptr[0] == '-' ? 1 : 0;
    while (at + 1 < digits.len && digits.ptr[at] == '0')
        at++;
    char text[T3_INT_TEXT_MAX];
    size_t len = 0;
    if (digits.ptr[0] == '-' && digits.ptr[at] != '0')
        text[len++] = '-';
    if (digits.len - at > sizeof text - 1) {
        meaning->word = T3_YAML_NO_NUMBER;
        return;
    }
    memcpy(text + len, digits.ptr + at, digits.len - at);
    if (t3_int_parse(tears_str_n(text, len + digits.len - at), &meaning->integer) != TEARS_OK)
        meaning->word = T3_YAML_NO_NUMBER;
}

static bool is_special_number(struct tears_str word)
{
    static const char *const names[] = {".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"};
    const bool is_signed = word.len > 0 && (word.ptr[0] == '-' || word.ptr[0] == '+');
    return is_one_of(is_signed ? t3_str_from(word, 1) : word, names, T3_COUNT(names));
}

struct t3_yaml_meaning t3_yaml_resolve(struct tears_str word)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    static const char *const trues[] = {"true", "True", "TRUE"};
    static const char *const falses[] = {"false", "False", "FALSE"};
    struct t3_yaml_meaning meaning = {.word = T3_YAML_TEXT};
    struct number number;
    if (is_one_of(word, nulls, T3_COUNT(nulls))) {
        meaning.word = T3_YAML_NULL;
    } else if (is_one_of(word, trues, T3_COUNT(trues)) ||
               is_one_of(word, falses, T3_COUNT(falses))) {
        meaning.word = T3_YAML_BOOL;
        meaning.boolean = (word.ptr[0] | 0x20) == 't';
    } else if (is_special_number(word)) {
        meaning.word = T3_YAML_NO_NUMBER;
    } else if (!read_other_base(word, &meaning) && take_number_apart(word, &number)) {
        if (number.has_point || number.has_exponent)
            read_float(word, &number, &meaning);
        else
            read_int(word, &meaning);
    }
    return meaning;
}

/* ---- writing ----------------------------------------------------------------------------------- */

enum { PLAIN_BYTES_MAX = 200 };

/* Words that readers of YAML 1.1 take for booleans. */
static bool is_old_boolean(struct tears_str word)
{
    static const char *const words[] = {"y", "n", "yes", "no", "on", "off"};
    for (size_t i = 0; i < T3_COUNT(words); i++)
        if (t3_str_equal_nocase(word, tears_str_c(words[i])))
            return true;
    return false;
}

/* Whether the text can stand without quotes anywhere, and is text to every reader. */
static bool is_plain(struct tears_str text)
{
    static const char signs[] = "_./@+- ";
    if (text.len == 0 || text.len > PLAIN_BYTES_MAX || text.ptr[text.len - 1] == ' ')
        return false;
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.ptr[i];
        const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_letter && (i == 0 || (!is_digit(c) && memchr(signs, c, sizeof signs - 1) == NULL)))
            return false;
    }
    return t3_yaml_resolve(text).word == T3_YAML_TEXT && !is_old_boolean(text);
}

/* Characters that YAML takes for line breaks or refuses, though JSON writes them as they are. */
static bool must_escape(uint32_t c)
{
    return (c >= 0x7f && c <= 0xa0) || c == 0x2028 || c == 0x2029 || c == 0xfeff || c == 0xfffe ||
           c == 0xffff;
}

static uint32_t decode_char(const char *bytes, size_t len)
{
    static const uint8_t first_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t c = (uint8_t)bytes[0] & first_bits[len];
    for (size_t i = 1; i < len; i++)
        c = c << 6 | ((uint8_t)bytes[i] & 0x3f);
    return c;
}

/* Text in double quotes: JSON's string, with some more escapes. */
static tears_status put_quoted(struct tears_str text, struct t3_buf *out)
{
    size_t start = 0;
    T3_TRY(t3_buf_put_char(out, '"'));
    for (size_t i = 0; i < text.len;) {
        const size_t len = t3_utf8_length(text.ptr + i, text.len - i);
        const uint32_t c = decode_char(text.ptr + i, len);
        const bool is_short = c == '"' || c == '\\';
        if (is_short || c < 0x20 || must_escape(c)) {
            T3_TRY(t3_buf_put(out, tears_str_n(text.ptr + start, i - start)));
            T3_TRY(is_short    ? t3_buf_printf(out, "\\%c", (int)c)
                   : c == '\n' ? t3_buf_put(out, TEARS_STR("\\n"))
                   : c == '\t' ? t3_buf_put(out, TEARS_STR("\\t"))
                               : t3_buf_printf(out, "\\u%04x", (unsigned)c));
            start = i + len;
        }
        i += len;
    }
    T3_TRY(t3_buf_put(out, tears_str_n(text.ptr + start, text.len - start)));
    return t3_buf_put_char(out, '"');
}

static tears_status put_text(struct tears_str text, struct t3_buf *out)
{
    return is_plain(text) ? t3_buf_put(out, text) : put_quoted(text, out);
}

tears_status t3_yaml_put_name(struct tears_str name, struct t3_buf *out)
{
    return put_text(name, out);
}

static tears_status put_members(const json_t *value, struct t3_buf *out)
{
    json_t *object = t3_json_without_const(value);
    const char *comma = "";
    T3_TRY(t3_buf_put_char(out, '{'));
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        T3_TRY(t3_buf_put(out, tears_str_c(comma)));
        T3_TRY(put_text(tears_str_n(json_object_iter_key(at), json_object_iter_key_len(at)), out));
        T3_TRY(t3_buf_put(out, TEARS_STR(": ")));
        T3_TRY(t3_yaml_put_flow(json_object_iter_value(at), out));
        comma = ", ";
    }
    return t3_buf_put_char(out, '}');
}

static tears_status put_elements(const json_t *value, struct t3_buf *out)
{
    T3_TRY(t3_buf_put_char(out, '['));
    for (size_t i = 0; i < json_array_size(value); i++) {
        T3_TRY(t3_buf_put(out, i > 0 ? TEARS_STR(", ") : TEARS_STR("")));
        T3_TRY(t3_yaml_put_flow(json_array_get(value, i), out));
    }
    return t3_buf_put_char(out, ']');
}

tears_status t3_yaml_put_flow(const json_t *value, struct t3_buf *out)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return put_members(value, out);
    case JSON_ARRAY:
        return put_elements(value, out);
    case JSON_STRING:
        return put_text(tears_str_n(json_string_value(value), json_string_length(value)), out);
    case JSON_INTEGER:
        return t3_buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    case JSON_REAL:
        return t3_json_put_double(out, json_real_value(value));
    case JSON_TRUE:
        return t3_buf_put(out, TEARS_STR("true"));
    case JSON_FALSE:
        return t3_buf_put(out, TEARS_STR("false"));
    case JSON_NULL:
        break;
    }
    return t3_buf_put(out, TEARS_STR("null"));
}

/* ---- blocks ------------------------------------------------------------------------------------ */

static tears_status put_indent(size_t indent, struct t3_buf *out)
{
    for (size_t i = 0; i < indent; i++)
        T3_TRY(t3_buf_put_char(out, ' '));
    return TEARS_OK;
}

static tears_status put_block_members(const json_t *value, size_t indent, bool is_begun,
                                      struct t3_buf *out)
{
    json_t *object = t3_json_without_const(value);
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        const json_t *member = json_object_iter_value(at);
        if (!is_begun)
            T3_TRY(put_indent(indent, out));
        T3_TRY(put_text(tears_str_n(json_object_iter_key(at), json_object_iter_key_len(at)), out));
        T3_TRY(t3_buf_put(out, t3_yaml_is_block(member) ? TEARS_STR(":\n") : TEARS_STR(": ")));
        T3_TRY(t3_yaml_put_block(member, indent + 2, !t3_yaml_is_block(member), out));
        if (json_object_iter_next(object, at) != NULL)
            T3_TRY(t3_buf_put_char(out, '\n'));
        is_begun = false;
    }
    return TEARS_OK;
}

static tears_status put_block_elements(const json_t *value, size_t indent, bool is_begun,
                                       struct t3_buf *out)
{
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (i > 0)
            T3_TRY(t3_buf_put_char(out, '\n'));
        if (i > 0 || !is_begun)
            T3_TRY(put_indent(indent, out));
        T3_TRY(t3_buf_put(out, TEARS_STR("- ")));
        T3_TRY(t3_yaml_put_block(json_array_get(value, i), indent + 2, true, out));
    }
    return TEARS_OK;
}

tears_status t3_yaml_put_block(const json_t *value, size_t indent, bool is_begun,
                               struct t3_buf *out)
{
    if (json_object_size(value) > 0)
        return put_block_members(value, indent, is_begun, out);
    if (json_array_size(value) > 0)
        return put_block_elements(value, indent, is_begun, out);
    if (!is_begun)
        T3_TRY(put_indent(indent, out));
    return t3_yaml_put_flow(value, out);
}
