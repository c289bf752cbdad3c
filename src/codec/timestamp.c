/*
 * timestamp.c -- instants and their text.
 *
 * Owns:     nothing.
 * Must not know: time zones other than an offset written in the text.
 * Threads:  any.
 * Fails:    TEARS_INVALID on text that is no timestamp or is out of range.
 * Begin at: t3_timestamp_read(), t3_timestamp_text().
 *
 * The calendar is the proleptic Gregorian one, as in PostgreSQL and Python.  Days are counted in
 * eras of 400 years that begin on the first of March, so that the leap day is the last day of its
 * year.
 */
#include "base/str.h"
#include "codec/text.h"

#define US_PER_SECOND ((int64_t)1000000)
#define US_PER_DAY    (86400 * US_PER_SECOND)

enum { DAYS_PER_ERA = 146097, DAYS_TO_1970 = 719468, YEARS_MAX = 300000 };

struct date {
    int64_t year; /* astronomical: 0 is 1 BC */
    int month;
    int day;
};

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0 ? 1 : 0);
}

static struct date date_of_days(int64_t days_since_1970)
{
    const int64_t days = days_since_1970 + DAYS_TO_1970;
    const int64_t era = floor_div(days, DAYS_PER_ERA);
    const int64_t day_of_era = days - era * DAYS_PER_ERA;
    const int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const int64_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t march_month = (5 * day_of_year + 2) / 153;
    struct date date;
    date.day = (int)(day_of_year - (153 * march_month + 2) / 5 + 1);
    date.month = (int)(march_month < 10 ? march_month + 3 : march_month - 9);
    date.year = year_of_era + era * 400 + (date.month <= 2 ? 1 : 0);
    return date;
}

static int64_t days_of_date(struct date date)
{
    const int64_t year = date.year - (date.month <= 2 ? 1 : 0);
    const int64_t era = floor_div(year, 400);
    const int64_t year_of_era = year - era * 400;
    const int64_t march_month = date.month > 2 ? date.month - 3 : date.month + 9;
    const int64_t day_of_year = (153 * march_month + 2) / 5 + date.day - 1;
    const int64_t day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * DAYS_PER_ERA + day_of_era - DAYS_TO_1970;
}

static int days_in_month(int64_t year, int month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap ? 1 : 0);
}

/* ---- writing ------------------------------------------------------------------------------------
 */

static char *put_digits(char *to, int64_t number, int digits)
{
    for (int i = digits - 1; i >= 0; i--) {
        to[i] = (char)('0' + number % 10);
        number /= 10;
    }
    return to + digits;
}

static char *put_date(char *to, struct date date)
{
    const int64_t year = date.year < 0 ? -date.year : date.year;
    if (date.year < 0)
        *to++ = '-';
    to = put_digits(to, year, year > 99999 ? 6 : year > 9999 ? 5 : 4);
    *to++ = '-';
    to = put_digits(to, date.month, 2);
    *to++ = '-';
    return put_digits(to, date.day, 2);
}

size_t t3_timestamp_text(int64_t us, char separator, bool naive, char text[T3_TIMESTAMP_TEXT_MAX])
{
    if (us == INT64_MAX || us == INT64_MIN) {
        const struct tears_str word = us > 0 ? TEARS_STR("infinity") : TEARS_STR("-infinity");
        memcpy(text, word.ptr, word.len);
        return word.len;
    }
    const int64_t days = floor_div(us, US_PER_DAY);
    const int64_t remainder = us % US_PER_DAY;
    const int64_t in_day = remainder < 0 ? remainder + US_PER_DAY : remainder;
    const int64_t seconds = in_day / US_PER_SECOND;
    const int64_t fraction = in_day % US_PER_SECOND;
    char *to = put_date(text, date_of_days(days));
    *to++ = separator;
    to = put_digits(to, seconds / 3600, 2);
    *to++ = ':';
    to = put_digits(to, seconds / 60 % 60, 2);
    *to++ = ':';
    to = put_digits(to, seconds % 60, 2);
    if (fraction != 0) {
        *to++ = '.';
        to = put_digits(to, fraction, 6);
    }
    if (!naive) {
        memcpy(to, "+00:00", 6);
        to += 6;
    }
    return (size_t)(to - text);
}

tears_status t3_timestamp_put(struct t3_buf *out, int64_t us, char separator)
{
    char text[T3_TIMESTAMP_TEXT_MAX];
    return t3_buf_put(out, tears_str_n(text, t3_timestamp_text(us, separator, false, text)));
}

/* ---- reading ------------------------------------------------------------------------------------
 */

struct scan {
    const char *at;
    const char *end;
};

static bool scan_char(struct scan *scan, char c)
{
    if (scan->at == scan->end || *scan->at != c)
        return false;
    scan->at++;
    return true;
}

/* Exactly `digits` digits. */
static bool scan_digits(struct scan *scan, int digits, int *out)
{
    if (scan->end - scan->at < digits)
        return false;
    int number = 0;
    for (int i = 0; i < digits; i++) {
        const unsigned digit = (unsigned)(unsigned char)scan->at[i] - '0';
        if (digit > 9)
            return false;
        number = number * 10 + (int)digit;
    }
    scan->at += digits;
    *out = number;
    return true;
}

static bool scan_date(struct scan *scan, struct date *date)
{
    const bool negative = scan_char(scan, '-');
    int digits = 0;
    while (digits < 7 && scan->end - scan->at > digits && scan->at[digits] >= '0' &&
           scan->at[digits] <= '9')
        digits++;
    int year;
    if (digits < 4 || digits > 6 || !scan_digits(scan, digits, &year) || !scan_char(scan, '-') ||
        !scan_digits(scan, 2, &date->month) || !scan_char(scan, '-') ||
        !scan_digits(scan, 2, &date->day))
        return false;
    date->year = negative ? -year : year;
    return true;
}

/* .digits, cut at microseconds; absent is zero. */
static bool scan_fraction(struct scan *scan, int64_t *us)
{
    if (!scan_char(scan, '.'))
        return true;
    int64_t unit = 100000;
    const char *first = scan->at;
    for (; scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9'; scan->at++) {
        *us += (*scan->at - '0') * unit;
        unit /= 10;
    }
    return scan->at > first;
}

/* hh:mm[:ss[.fraction]] as microseconds. */
static bool scan_time(struct scan *scan, int64_t *us)
{
    int hours;
    int minutes;
    int seconds = 0;
    if (!scan_digits(scan, 2, &hours) || !scan_char(scan, ':') || !scan_digits(scan, 2, &minutes) ||
        hours > 23 || minutes > 59)
        return false;
    *us = 0;
    if (scan_char(scan, ':') &&
        (!scan_digits(scan, 2, &seconds) || seconds > 59 || !scan_fraction(scan, us)))
        return false;
    *us += ((int64_t)hours * 3600 + minutes * 60 + seconds) * US_PER_SECOND;
    return true;
}

/* Z, +hh, +hhmm, +hh:mm, +hh:mm:ss; absent: UTC. */
static bool scan_offset(struct scan *scan, int64_t *us, bool *absent)
{
    *us = 0;
    *absent = false;
    if (scan_char(scan, 'Z') || scan_char(scan, 'z'))
        return true;
    const bool west = scan_char(scan, '-');
    if (!west && !scan_char(scan, '+')) {
        *absent = true;
        return true;
    }
    int hours;
    int minutes = 0;
    int seconds = 0;
    if (!scan_digits(scan, 2, &hours))
        return false;
    if (scan->at < scan->end && *scan->at != ' ') {
        const bool colon = scan_char(scan, ':');
        if (!scan_digits(scan, 2, &minutes))
            return false;
        if (colon && scan_char(scan, ':') && !scan_digits(scan, 2, &seconds))
            return false;
    }
    if (hours > 23 || minutes > 59 || seconds > 59)
        return false;
    const int64_t offset = ((int64_t)hours * 3600 + minutes * 60 + seconds) * US_PER_SECOND;
    *us = west ? -offset : offset;
    return true;
}

/* The part after the date; *naive says that it has no offset. */
static bool scan_rest(struct scan *scan, int64_t *time_us, int64_t *offset_us, bool *naive)
{
    *time_us = 0;
    *offset_us = 0;
    *naive = true;
    const bool is_bc_next = scan->end - scan->at == 3;
    if (scan->at == scan->end || is_bc_next)
        return true;
    if (!scan_char(scan, 'T') && !scan_char(scan, ' ') && !scan_char(scan, 't'))
        return false;
    return scan_time(scan, time_us) && scan_offset(scan, offset_us, naive);
}

static bool scan_infinity(struct tears_str text, int64_t *us_out)
{
    const bool negative = text.len > 0 && text.ptr[0] == '-';
    if (!t3_str_equal_nocase(t3_str_from(text, negative ? 1 : 0), TEARS_STR("infinity")))
        return false;
    *us_out = negative ? INT64_MIN : INT64_MAX;
    return true;
}

/* days and microseconds as microseconds; false beyond 64 bits, whose ends mean infinity. */
static bool add_up(int64_t days, int64_t us, int64_t *sum_out)
{
    if (days < 0) { /* the first day of all begins before INT64_MIN */
        days++;
        us -= US_PER_DAY;
    }
    int64_t sum;
    if (__builtin_mul_overflow(days, US_PER_DAY, &sum) || __builtin_add_overflow(sum, us, &sum) ||
        sum == INT64_MAX || sum == INT64_MIN)
        return false;
    *sum_out = sum;
    return true;
}

tears_status t3_timestamp_read(struct tears_str text, int64_t *us_out, bool *naive_out)
{
    bool naive = false;
    int64_t us;
    if (scan_infinity(text, &us)) {
        *us_out = us;
        if (naive_out != NULL)
            *naive_out = naive;
        return TEARS_OK;
    }
    if (text.len == 0)
        return TEARS_INVALID;
    struct scan scan = {text.ptr, text.ptr + text.len};
    struct date date;
    int64_t time_us;
    int64_t offset_us;
    if (!scan_date(&scan, &date) || !scan_rest(&scan, &time_us, &offset_us, &naive))
        return TEARS_INVALID;
    if (scan.end - scan.at == 3 && memcmp(scan.at, " BC", 3) == 0 && date.year > 0) {
        date.year = 1 - date.year;
        scan.at = scan.end;
    }
    if (scan.at != scan.end || date.month < 1 || date.month > 12 || date.day < 1 ||
        date.day > days_in_month(date.year, date.month) || date.year > YEARS_MAX ||
        date.year < -YEARS_MAX)
        return TEARS_INVALID;
    if (!add_up(days_of_date(date), time_us - offset_us, &us))
        return TEARS_INVALID;
    *us_out = us;
    if (naive_out != NULL)
        *naive_out = naive;
    return TEARS_OK;
}

tears_status t3_timestamp_parse(struct tears_str text, int64_t *us_out)
{
    return t3_timestamp_read(text, us_out, NULL);
}
