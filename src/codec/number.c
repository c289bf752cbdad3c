/*
 * number.c -- integers, doubles and lists of doubles as text, exactly.
 *
 * Owns:     nothing.
 * Must not know: where the text comes from, and the locale.
 * Threads:  any.
 * Fails:    TEARS_INVALID on text that is no number or does not fit.
 * Begin at: t3_double_parse(), t3_double_text().
 *
 * Most doubles of real tables are short decimals.  Those are read and written with one exact
 * division; only what that cannot do for certain goes to libc (in the "C" locale, whatever the
 * program has set).
 */
#include "base/limits.h"
#include "codec/json.h"
#include "codec/text.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    EXACT_POWER_MAX = 22,      /* 10^22 is the largest power of ten that is a double */
    LONG_EXACT_POWER_MAX = 27, /* and 10^27 the largest with a mantissa of 64 bits */
    DIGITS_KEPT = 800,         /* of a decimal: 767 decide every double */
    EXPONENT_MAX = 100000      /* larger ones are all infinity or zero */
};

static const double powers[EXACT_POWER_MAX + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* ---- integers -----------------------------------------------------------------------------------
 */

size_t t3_int_text(int64_t number, char text[T3_INT_TEXT_MAX])
{
    char reversed[T3_INT_TEXT_MAX];
    uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    size_t digits = 0;
    do {
        reversed[digits++] = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    size_t len = 0;
    if (number < 0)
        text[len++] = '-';
    while (digits > 0)
        text[len++] = reversed[--digits];
    return len;
}

tears_status t3_int_parse(struct tears_str text, int64_t *out)
{
    const bool negative = text.len > 0 && text.ptr[0] == '-';
    const bool has_sign = negative || (text.len > 0 && text.ptr[0] == '+');
    const uint64_t limit = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    if (text.len == (has_sign ? 1 : 0))
        return TEARS_INVALID;
    uint64_t number = 0;
    for (size_t i = has_sign ? 1 : 0; i < text.len; i++) {
        const unsigned digit = (unsigned)(unsigned char)text.ptr[i] - '0';
        if (digit > 9 || number > (limit - digit) / 10)
            return TEARS_INVALID;
        number = number * 10 + digit;
    }
    if (negative && number > 0)
        *out = -(int64_t)(number - 1) - 1; /* INT64_MIN has no positive counterpart */
    else
        *out = (int64_t)number;
    return TEARS_OK;
}

/* ---- reading doubles ----------------------------------------------------------------------------
 */

/* A decimal as read: digits without the point, and the power of ten of the last of them. */
struct decimal {
    bool negative;
    uint64_t mantissa; /* the first 19 significant digits */
    unsigned mantissa_digits;
    char digits[DIGITS_KEPT + 2];
    unsigned digit_count;
    int64_t exponent; /* the number is digits * 10^exponent */
};

static void add_digit(struct decimal *decimal, char c, bool after_point)
{
    if (decimal->digit_count == 0 && c == '0') {
        decimal->exponent -= after_point ? 1 : 0;
        return;
    }
    if (decimal->digit_count < DIGITS_KEPT) {
        decimal->digits[decimal->digit_count++] = c;
        decimal->exponent -= after_point ? 1 : 0;
        if (decimal->mantissa_digits < 19) {
            decimal->mantissa = decimal->mantissa * 10 + (uint64_t)(c - '0');
            decimal->mantissa_digits++;
        }
        return;
    }
    decimal->exponent += after_point ? 0 : 1;
    if (c != '0') /* what is left out only says on which side of a tie the number is */
        decimal->digits[DIGITS_KEPT - 1] =
            decimal->digits[DIGITS_KEPT - 1] == '0' || decimal->digits[DIGITS_KEPT - 1] == '5'
                ? (char)(decimal->digits[DIGITS_KEPT - 1] + 1)
                : decimal->digits[DIGITS_KEPT - 1];
}

/* Reads [+-]digits[.digits][e[+-]digits]; false when the text is anything else. */
static bool read_decimal(struct tears_str text, struct decimal *decimal)
{
    size_t i = text.len > 0 && (text.ptr[0] == '-' || text.ptr[0] == '+') ? 1 : 0;
    decimal->negative = i == 1 && text.ptr[0] == '-';
    bool any_digit = false;
    bool after_point = false;
    for (; i < text.len; i++) {
        const char c = text.ptr[i];
        if (c >= '0' && c <= '9') {
            add_digit(decimal, c, after_point);
            any_digit = true;
        } else if (c == '.' && !after_point) {
            after_point = true;
        } else {
            break;
        }
    }
    if (!any_digit)
        return false;
    if (i == text.len)
        return true;
    if (text.ptr[i] != 'e' && text.ptr[i] != 'E')
        return false;
    i++;
    const bool minus = i < text.len && text.ptr[i] == '-';
    i += i < text.len && (text.ptr[i] == '-' || text.ptr[i] == '+') ? 1 : 0;
    if (i == text.len)
        return false;
    int64_t exponent = 0;
    for (; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        if (exponent < ((int64_t)1 << 40))
            exponent = exponent * 10 + (text.ptr[i] - '0');
    }
    decimal->exponent += minus ? -exponent : exponent;
    return true;
}

/* One exact operation, when mantissa and power are both exact (Clinger's fast path). */
static bool convert_exactly(const struct decimal *decimal, double *out)
{
    if (decimal->mantissa_digits != decimal->digit_count ||
        decimal->mantissa > ((uint64_t)1 << 53) || decimal->exponent < -EXACT_POWER_MAX ||
        decimal->exponent > EXACT_POWER_MAX)
        return false;
    const double mantissa = (double)decimal->mantissa;
    *out = decimal->exponent < 0 ? mantissa / powers[-decimal->exponent]
                                 : mantissa * powers[decimal->exponent];
    return true;
}

#if LDBL_MANT_DIG == 64 && defined(__x86_64__)
static const long double long_powers[LONG_EXACT_POWER_MAX + 1] = {
    1e0L,  1e1L,  1e2L,  1e3L,  1e4L,  1e5L,  1e6L,  1e7L,  1e8L,  1e9L,
    1e10L, 1e11L, 1e12L, 1e13L, 1e14L, 1e15L, 1e16L, 1e17L, 1e18L, 1e19L,
    1e20L, 1e21L, 1e22L, 1e23L, 1e24L, 1e25L, 1e26L, 1e27L};

/*
 * The same with 64 bits of mantissa, which hold every 17-digit decimal.  The result is off by at
 * most half a unit of its last bit, so rounding it to 53 bits is right unless the 11 bits to be
 * dropped are next to a tie.
 */
static bool convert_with_long_double(const struct decimal *decimal, double *out)
{
    const int64_t exponent = decimal->exponent;
    if (decimal->mantissa_digits != decimal->digit_count || exponent < -LONG_EXACT_POWER_MAX ||
        exponent > LONG_EXACT_POWER_MAX)
        return false;
    const long double mantissa = (long double)decimal->mantissa;
    const long double result =
        exponent < 0 ? mantissa / long_powers[-exponent] : mantissa * long_powers[exponent];
    uint64_t bits;
    memcpy(&bits, &result, sizeof bits); /* the first 8 bytes are the mantissa */
    const uint64_t dropped = bits & 0x7ff;
    if (dropped >= 0x3ff && dropped <= 0x401)
        return false;
    *out = (double)result; /* between 1e-27 and 1e46: always normal */
    return true;
}
#else
static bool convert_with_long_double(const struct decimal *decimal, double *out)
{
    (void)decimal;
    (void)out;
    return false;
}
#endif

static double convert_in_c_locale(const char *text)
{
    /* glibc's "C" locale is static: this neither allocates nor can fail. */
    const locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    T3_ASSERT(c_locale != (locale_t)0);
    const double number = strtod_l(text, NULL, c_locale);
    freelocale(c_locale);
    return number;
}

static double convert_slowly(struct decimal *decimal)
{
    char *text = decimal->digits;
    int64_t exponent = decimal->exponent;
    if (exponent > EXPONENT_MAX || exponent < -EXPONENT_MAX)
        return exponent > 0 ? HUGE_VAL : 0.0;
    char whole[DIGITS_KEPT + 32];
    memcpy(whole, text, decimal->digit_count);
    size_t len = decimal->digit_count;
    whole[len++] = 'e';
    len += t3_int_text(exponent, whole + len);
    whole[len] = '\0';
    return convert_in_c_locale(whole);
}

static bool equal_nocase(struct tears_str text, const char *lower)
{
    if (text.len != strlen(lower))
        return false;
    for (size_t i = 0; i < text.len; i++)
        if ((text.ptr[i] | 0x20) != lower[i])
            return false;
    return true;
}

/* nan, inf and infinity, as every producer writes them. */
static bool read_nonfinite(struct tears_str text, double *out)
{
    const bool negative = text.len > 0 && text.ptr[0] == '-';
    const bool has_sign = negative || (text.len > 0 && text.ptr[0] == '+');
    const struct tears_str word = tears_str_n(text.ptr + has_sign, text.len - has_sign);
    if (equal_nocase(word, "nan"))
        *out = (double)NAN;
    else if (equal_nocase(word, "inf") || equal_nocase(word, "infinity"))
        *out = negative ? -HUGE_VAL : HUGE_VAL;
    else
        return false;
    return true;
}

tears_status t3_double_parse(struct tears_str text, double *out)
{
    if (text.len == 0)
        return TEARS_INVALID;
    struct decimal decimal;
    decimal.mantissa = 0;
    decimal.mantissa_digits = 0;
    decimal.digit_count = 0;
    decimal.exponent = 0;
    if (!read_decimal(text, &decimal))
        return read_nonfinite(text, out) ? TEARS_OK : TEARS_INVALID;
    double number = 0.0;
    if (decimal.digit_count > 0 && !convert_exactly(&decimal, &number) &&
        !convert_with_long_double(&decimal, &number))
        number = convert_slowly(&decimal);
    if (isinf(number))
        return TEARS_INVALID;
    *out = decimal.negative ? -number : number;
    return TEARS_OK;
}

/* ---- writing doubles ----------------------------------------------------------------------------
 */

/* The digits of a positive double: d.dddd * 10^exponent. */
struct shortest {
    char digits[20];
    int count;
    int exponent;
};

static void set_digits(struct shortest *shortest, const char *digits, size_t count, int exponent)
{
    while (count > 1 && digits[count - 1] == '0')
        count--;
    memcpy(shortest->digits, digits, count);
    shortest->count = (int)count;
    shortest->exponent = exponent;
}

/* Numbers that are a whole number of at most 15 digits over 10^0 ... 10^10: no other decimal as
 * short is the same double. */
static bool shorten_exactly(double number, struct shortest *shortest)
{
    for (int places = 0; places <= 10; places++) {
        const double scaled = number * powers[places];
        if (scaled >= 1e15)
            return false;
        const int64_t whole = (int64_t)(scaled + 0.5);
        if (whole == 0 || (double)whole / powers[places] != number)
            continue;
        char digits[T3_INT_TEXT_MAX];
        const size_t count = t3_int_text(whole, digits);
        set_digits(shortest, digits, count, (int)count - 1 - places);
        return true;
    }
    return false;
}

static bool reads_back(const struct shortest *shortest, double number)
{
    struct decimal decimal;
    decimal.negative = false;
    decimal.mantissa = 0;
    decimal.mantissa_digits = 0;
    decimal.digit_count = 0;
    decimal.exponent = 0;
    for (int i = 0; i < shortest->count; i++)
        add_digit(&decimal, shortest->digits[i], false);
    decimal.exponent = shortest->exponent - (shortest->count - 1);
    double back;
    if (!convert_exactly(&decimal, &back) && !convert_with_long_double(&decimal, &back))
        back = convert_slowly(&decimal);
    return back == number;
}

/* The correctly rounded decimal of `precision` digits. */
static void round_to(double number, int precision, struct shortest *shortest)
{
    char text[48]; /* d.ddde-308, with the point of whatever locale */
    const int len = snprintf(text, sizeof text, "%.*e", precision - 1, number);
    T3_ASSERT(len > 0 && len < (int)sizeof text);
    char digits[20];
    size_t count = 0;
    const char *at = text;
    for (; *at != 'e'; at++)
        if (*at >= '0' && *at <= '9')
            digits[count++] = *at;
    const bool negative = at[1] == '-';
    int exponent = 0;
    for (at += 2; *at != '\0'; at++)
        exponent = exponent * 10 + (*at - '0');
    set_digits(shortest, digits, count, negative ? -exponent : exponent);
}

/* The next larger decimal of `precision` digits; false when it would carry into a new digit. */
static bool step_up(struct shortest *shortest, int precision)
{
    while (shortest->count < precision)
        shortest->digits[shortest->count++] = '0';
    if (shortest->digits[precision - 1] == '9')
        return false;
    shortest->digits[precision - 1]++;
    return true;
}

#if LDBL_MANT_DIG == 64 && defined(__x86_64__)
/* The 17 digits before the point and what is behind them, off by less than 0.01. */
static bool scale_to_17_digits(double number, int *places_out, uint64_t *whole_out,
                               long double *rest_out)
{
    int places = 16 - (int)floor(log10(number));
    for (int attempt = 0; attempt < 2; attempt++) { /* the logarithm may be off by one */
        if (places > LONG_EXACT_POWER_MAX || places < -LONG_EXACT_POWER_MAX)
            return false;
        const long double scaled = places < 0 ? (long double)number / long_powers[-places]
                                              : (long double)number * long_powers[places];
        if (scaled < 1e16L) {
            places++;
        } else if (scaled >= 1e17L) {
            places--;
        } else {
            *places_out = places;
            *whole_out = (uint64_t)scaled;
            *rest_out = scaled - (long double)*whole_out;
            return true;
        }
    }
    return false;
}

/* Rounds those digits to 15, 16, 17 of them until they read back; gives up near ties. */
static bool shorten_with_long_double(double number, struct shortest *shortest)
{
    int places;
    uint64_t whole;
    long double rest;
    if (!scale_to_17_digits(number, &places, &whole, &rest))
        return false;
    uint64_t unit = 100;
    for (int zeros = 2; zeros >= 0; zeros--, unit /= 10) {
        const long double dropped = (long double)(whole % unit) + rest;
        const long double half = (long double)unit / 2;
        if (fabsl(dropped - half) < 0.02L)
            return false;
        char digits[T3_INT_TEXT_MAX];
        const size_t count =
            t3_int_text((int64_t)(whole / unit) + (dropped > half ? 1 : 0), digits);
        set_digits(shortest, digits, count, (int)count - 1 + zeros - places);
        if (zeros == 0 || reads_back(shortest, number))
            return true;
    }
    return false;
}
#else
static bool shorten_with_long_double(double number, struct shortest *shortest)
{
    (void)number;
    (void)shortest;
    return false;
}
#endif

static void shorten(double number, struct shortest *shortest)
{
    int ignored;
    const bool power_of_two = frexp(number, &ignored) == 0.5;
    if (shorten_exactly(number, shortest) ||
        (!power_of_two && number >= DBL_MIN && shorten_with_long_double(number, shortest)))
        return;
    for (int precision = number < DBL_MIN ? 1 : 15; precision < 17; precision++) {
        round_to(number, precision, shortest);
        if (reads_back(shortest, number))
            return;
        /* Below a power of two the doubles lie closer: the nearest decimal may fail where the next
         * one up does not. */
        if (power_of_two && step_up(shortest, precision) && reads_back(shortest, number))
            return;
    }
    round_to(number, 17, shortest);
}

static size_t put_fixed(const struct shortest *shortest, char *text)
{
    size_t len = 0;
    int i = 0;
    if (shortest->exponent < 0) {
        text[len++] = '0';
    } else {
        for (; i <= shortest->exponent; i++)
            text[len++] = i < shortest->count ? shortest->digits[i] : '0';
    }
    text[len++] = '.';
    for (int zeros = -1; zeros > shortest->exponent; zeros--)
        text[len++] = '0';
    if (i >= shortest->count)
        text[len++] = '0';
    for (; i < shortest->count; i++)
        text[len++] = shortest->digits[i];
    return len;
}

static size_t put_scientific(const struct shortest *shortest, char *text)
{
    size_t len = 0;
    text[len++] = shortest->digits[0];
    if (shortest->count > 1)
        text[len++] = '.';
    for (int i = 1; i < shortest->count; i++)
        text[len++] = shortest->digits[i];
    text[len++] = 'e';
    text[len++] = shortest->exponent < 0 ? '-' : '+';
    const int exponent = shortest->exponent < 0 ? -shortest->exponent : shortest->exponent;
    if (exponent < 10)
        text[len++] = '0';
    return len + t3_int_text(exponent, text + len);
}

size_t t3_double_text(double number, char text[T3_DOUBLE_TEXT_MAX])
{
    T3_ASSERT(isfinite(number));
    size_t len = 0;
    if (signbit(number))
        text[len++] = '-';
    struct shortest shortest = {.digits = "0", .count = 1, .exponent = 0};
    if (number != 0.0)
        shorten(fabs(number), &shortest);
    const bool fixed = shortest.exponent >= -4 && shortest.exponent < 16;
    return len + (fixed ? put_fixed(&shortest, text + len) : put_scientific(&shortest, text + len));
}

/* ---- vectors ------------------------------------------------------------------------------------
 */

tears_status t3_vector_parse(struct t3_arena *arena, struct tears_str text,
                             struct tears_doubles *out)
{
    size_t count_max = 1;
    for (size_t i = 0; i < text.len; i++)
        count_max += text.ptr[i] == ',' ? 1 : 0;
    if (count_max > T3_VECTOR_DIM_MAX)
        return TEARS_LIMIT;
    double *numbers = t3_arena_alloc(arena, count_max * sizeof *numbers);
    if (numbers == NULL)
        return TEARS_NO_MEMORY;
    struct t3_json_reader reader = {.text = text, .allow_nonfinite = true};
    T3_TRY(t3_json_array_open(&reader));
    size_t count = 0;
    for (bool first = true;; first = false) {
        bool done;
        T3_TRY(t3_json_element(&reader, first, &done));
        if (done)
            break;
        struct t3_json_value element;
        T3_TRY(t3_json_value(&reader, &element));
        if (element.kind != T3_JSON_NUMBER || count == count_max)
            return TEARS_INVALID;
        T3_TRY(t3_double_parse(element.text, &numbers[count]));
        count++;
    }
    T3_TRY(t3_json_end(&reader));
    *out = (struct tears_doubles){numbers, count};
    return TEARS_OK;
}
