/*
 * decimal.c -- exact decimals as text: what is one, and how Python writes it.
 *
 * Owns:     nothing.
 * Must not know: arithmetic; a decimal here is text and stays text.
 * Threads:  any.
 * Fails:    TEARS_NO_MEMORY, TEARS_LIMIT.
 * Begin at: t3_decimal_is_valid().
 */
#include "base/str.h"
#include "codec/text.h"

static bool is_special(struct tears_str word)
{
    return t3_str_equal_nocase(word, TEARS_STR("nan")) ||
           t3_str_equal_nocase(word, TEARS_STR("inf")) ||
           t3_str_equal_nocase(word, TEARS_STR("infinity"));
}

/* A decimal taken apart.  The digits are those of `whole` and `fraction`, one after the other. */
struct parts {
    bool negative;
    struct tears_str special; /* nan, inf, infinity; empty: a number */
    struct tears_str whole;
    struct tears_str fraction;
    int64_t exponent;
};

static size_t count_digits(struct tears_str text)
{
    size_t i = 0;
    while (i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9')
        i++;
    return i;
}

/* [eE][+-]digits, all of it, of at most nine digits: no database has more. */
static bool read_exponent(struct tears_str text, int64_t *exponent_out)
{
    if (text.len < 2 || (text.ptr[0] != 'e' && text.ptr[0] != 'E'))
        return false;
    const size_t signs = text.ptr[1] == '+' || text.ptr[1] == '-' ? 1 : 0;
    const struct tears_str digits = t3_str_from(text, 1 + signs);
    return digits.len <= 9 && count_digits(digits) == digits.len &&
           t3_int_parse(t3_str_from(text, 1), exponent_out) == TEARS_OK;
}

static bool take_apart(struct tears_str text, struct parts *parts)
{
    memset(parts, 0, sizeof *parts);
    const size_t signs = text.len > 0 && (text.ptr[0] == '+' || text.ptr[0] == '-') ? 1 : 0;
    parts->negative = signs == 1 && text.ptr[0] == '-';
    struct tears_str rest = t3_str_from(text, signs);
    if (is_special(rest)) {
        parts->special = rest;
        return true;
    }
    parts->whole = tears_str_n(rest.ptr, count_digits(rest));
    rest = t3_str_from(rest, parts->whole.len);
    if (rest.len > 0 && rest.ptr[0] == '.') {
        rest = t3_str_from(rest, 1);
        parts->fraction = tears_str_n(rest.ptr, count_digits(rest));
        rest = t3_str_from(rest, parts->fraction.len);
    }
    if (parts->whole.len + parts->fraction.len == 0)
        return false;
    return rest.len == 0 || read_exponent(rest, &parts->exponent);
}

bool t3_decimal_is_valid(struct tears_str text)
{
    struct parts parts;
    return take_apart(text, &parts);
}

/* The coefficient without leading zeros (but never empty), as text. */
static tears_status put_coefficient(const struct parts *parts, struct t3_buf *out)
{
    T3_TRY(t3_buf_put(out, parts->whole));
    T3_TRY(t3_buf_put(out, parts->fraction));
    size_t zeros = 0;
    while (zeros + 1 < out->len && out->ptr[zeros] == '0')
        zeros++;
    memmove(out->ptr, out->ptr + zeros, out->len - zeros + 1);
    out->len -= zeros;
    return TEARS_OK;
}

/* digits * 10^exponent with an exponent that lets every digit be seen: no more than six zeros after
 * the point. */
static tears_status put_plain(struct t3_buf *out, struct tears_str digits, size_t places)
{
    const size_t whole = digits.len > places ? digits.len - places : 0;
    T3_TRY(t3_buf_put(out, whole > 0 ? tears_str_n(digits.ptr, whole) : TEARS_STR("0")));
    if (places == 0)
        return TEARS_OK;
    T3_TRY(t3_buf_put_char(out, '.'));
    for (size_t zeros = digits.len; zeros < places; zeros++)
        T3_TRY(t3_buf_put_char(out, '0'));
    return t3_buf_put(out, t3_str_from(digits, whole));
}

static tears_status put_scientific(struct t3_buf *out, struct tears_str digits, int64_t exponent)
{
    T3_TRY(t3_buf_put_char(out, digits.ptr[0]));
    if (digits.len > 1) {
        T3_TRY(t3_buf_put_char(out, '.'));
        T3_TRY(t3_buf_put(out, t3_str_from(digits, 1)));
    }
    char text[T3_INT_TEXT_MAX];
    T3_TRY(t3_buf_put(out, exponent < 0 ? TEARS_STR("E") : TEARS_STR("E+")));
    return t3_buf_put(out, tears_str_n(text, t3_int_text(exponent, text)));
}

tears_status t3_decimal_put_python(struct t3_buf *out, struct tears_str text)
{
    struct parts parts;
    if (!take_apart(text, &parts))
        return TEARS_INVALID;
    if (parts.special.len == 3 && (parts.special.ptr[0] | 0x20) == 'n')
        return t3_buf_put(out, parts.negative ? TEARS_STR("-NaN") : TEARS_STR("NaN"));
    if (parts.negative)
        T3_TRY(t3_buf_put_char(out, '-'));
    if (parts.special.len > 0)
        return t3_buf_put(out, TEARS_STR("Infinity"));
    T3_AUTO(t3_buf_done) struct t3_buf coefficient = {0};
    T3_TRY(put_coefficient(&parts, &coefficient));
    const struct tears_str digits = t3_buf_str(&coefficient);
    const int64_t exponent = parts.exponent - (int64_t)parts.fraction.len;
    const int64_t leading = exponent + (int64_t)digits.len; /* digits before the point */
    if (exponent <= 0 && leading > -6)
        return put_plain(out, digits, (size_t)-exponent);
    return put_scientific(out, digits, leading - 1);
}
