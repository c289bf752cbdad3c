/*
 * lite_function.c -- the SQL functions of ours: tears_now() and tears_next_us(old).
 *
 * Owns:     the text of a stored timestamp.
 * Must not know: which statements call them.
 * Threads:  any.
 * Fails:    inside SQL, as an SQL error.
 * Begin at: t3_lite_timestamp_text().
 */
#include "base/fail.h"
#include "codec/text.h"
#include "driver/lite_impl.h"

enum { US_PER_SECOND = 1000000 };
static const int64_t us_per_day = 86400 * (int64_t)US_PER_SECOND;

static void put_digits(char *at, uint32_t number, int count)
{
    for (int i = count - 1; i >= 0; i--) {
        at[i] = (char)('0' + number % 10);
        number /= 10;
    }
}

/*
 * The date of a day counted from 1970-01-01, in the proleptic Gregorian calendar.  Years are taken
 * to begin in March, so that the leap day is a year's last; an era is the 400 years (146,097 days)
 * after which the calendar repeats.
 */
static void put_date(char *at, int64_t day)
{
    const int64_t shifted = day + 719468; /* days since 0000-03-01 */
    const int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    const uint32_t day_of_era = (uint32_t)(shifted - era * 146097);
    const uint32_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const uint32_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const uint32_t march_month = (5 * day_of_year + 2) / 153;
    const uint32_t month = march_month < 10 ? march_month + 3 : march_month - 9;
    const int64_t year = (int64_t)year_of_era + era * 400 + (month <= 2 ? 1 : 0);
    put_digits(at, (uint32_t)year, 4);
    at[4] = '-';
    put_digits(at + 5, month, 2);
    at[7] = '-';
    put_digits(at + 8, day_of_year - (153 * march_month + 2) / 5 + 1, 2);
}

tears_status t3_lite_timestamp_text(int64_t us, char text_out[T3_LITE_TIMESTAMP_LEN + 1])
{
    static const int64_t first_day = -719162; /* 0001-01-01 */
    static const int64_t end_day = 2932897;   /* 10000-01-01 */
    if (us < first_day * us_per_day || us >= end_day * us_per_day)
        return TEARS_INVALID;
    int64_t day = us / us_per_day;
    int64_t rest = us % us_per_day;
    if (rest < 0) {
        rest += us_per_day;
        day--;
    }
    const uint32_t seconds = (uint32_t)(rest / US_PER_SECOND);
    put_date(text_out, day);
    memcpy(text_out + 10, "T00:00:00.000000+00:00", 23);
    put_digits(text_out + 11, seconds / 3600, 2);
    put_digits(text_out + 14, seconds / 60 % 60, 2);
    put_digits(text_out + 17, seconds % 60, 2);
    put_digits(text_out + 20, (uint32_t)(rest % US_PER_SECOND), 6);
    return TEARS_OK;
}

static void answer_timestamp(sqlite3_context *context, int64_t us)
{
    char text[T3_LITE_TIMESTAMP_LEN + 1];
    if (t3_lite_timestamp_text(us, text) != TEARS_OK)
        sqlite3_result_error(context, "the time is outside years 1 to 9999", -1);
    else
        sqlite3_result_text(context, text, T3_LITE_TIMESTAMP_LEN, SQLITE_TRANSIENT);
}

static void call_now(sqlite3_context *context, int count, sqlite3_value **arguments)
{
    (void)count;
    (void)arguments;
    answer_timestamp(context, t3_calendar_us());
}

/* The later of now and one microsecond after the old time, so that versions move forward even when
 * the clock does not. */
static void call_next_us(sqlite3_context *context, int count, sqlite3_value **arguments)
{
    (void)count;
    int64_t next = t3_calendar_us();
    const char *text = (const char *)sqlite3_value_text(arguments[0]);
    if (text != NULL) {
        int64_t old;
        const size_t len = (size_t)sqlite3_value_bytes(arguments[0]);
        if (t3_timestamp_parse(tears_str_n(text, len), &old) != TEARS_OK || old == INT64_MAX) {
            sqlite3_result_error(context, "tears_next_us: the argument is not a timestamp", -1);
            return;
        }
        next = old >= next ? old + 1 : next;
    } else if (sqlite3_value_type(arguments[0]) != SQLITE_NULL) {
        sqlite3_result_error_nomem(context);
        return;
    }
    answer_timestamp(context, next);
}

tears_status t3_lite_add_functions(struct t3_lite_conn *conn, struct tears_error *error_out)
{
    /* Innocuous, so that a column's DEFAULT and triggers may use them. */
    const int flags = SQLITE_UTF8 | SQLITE_INNOCUOUS;
    int rc = sqlite3_create_function_v2(conn->handle, "tears_now", 0, flags, NULL, call_now, NULL,
                                        NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_create_function_v2(conn->handle, "tears_next_us", 1, flags, NULL, call_next_us,
                                        NULL, NULL, NULL);
    return rc == SQLITE_OK ? TEARS_OK : t3_lite_fail(conn, rc, TEARS_STR(""), error_out);
}

void t3_lite_call_function(sqlite3_context *context, int count, sqlite3_value **arguments)
{
    (void)count;
    const struct t3_lite_function *function = sqlite3_user_data(context);
    sqlite3_result_int64(context,
                         function->call(function->owner, sqlite3_value_int64(arguments[0])));
}
