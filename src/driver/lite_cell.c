/*
 * lite_cell.c -- values into parameters, and cells back into values.
 *
 * Owns:     how each kind is stored (the table in lite.h).
 * Must not know: tables and schemas.
 * Threads:  the connection's.
 * Fails:    INVALID on the way in, CORRUPT on the way out.
 * Begin at: t3_lite_bind(), t3_lite_cell().
 *
 * Why text for UUIDs and timestamps: people and other programs read the file, and the text sorts as
 * the value does.
 */
#include "base/buf.h"
#include "base/fail.h"
#include "base/str.h"
#include "codec/json.h"
#include "codec/text.h"
#include "driver/lite_impl.h"

#include <math.h>

/* ---- in ---- */

static int bind_text(struct t3_lite_stmt *stmt, int index, struct tears_str text)
{
    /* A NULL pointer would bind NULL, even with length 0. */
    return sqlite3_bind_text64(stmt->handle, index, text.ptr != NULL ? text.ptr : "", text.len,
                               SQLITE_STATIC, SQLITE_UTF8);
}

static int bind_blob(struct t3_lite_stmt *stmt, int index, struct tears_str bytes)
{
    return sqlite3_bind_blob64(stmt->handle, index, bytes.ptr != NULL ? bytes.ptr : "", bytes.len,
                               SQLITE_STATIC);
}

static int bind_double(struct t3_lite_stmt *stmt, int index, double number)
{
    if (isnan(number))
        return bind_text(stmt, index, TEARS_STR("NaN"));
    return sqlite3_bind_double(stmt->handle, index, number);
}

/* The text of a UUID, timestamp or vector, in the arena. */
static tears_status make_text(const struct tears_value *value, struct t3_arena *arena,
                              struct tears_str *text_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf buf = {0};
    if (value->kind == TEARS_KIND_VECTOR) {
        T3_TRY(t3_vector_put(&buf, value->as.vector));
        return t3_arena_str(arena, t3_buf_str(&buf), text_out);
    }
    char *text = t3_arena_alloc(arena, T3_LITE_TIMESTAMP_LEN + 8);
    if (text == NULL)
        return TEARS_NO_MEMORY;
    if (value->kind == TEARS_KIND_UUID) {
        tears_uuid_text(value->as.uuid, text);
        *text_out = tears_str_n(text, 36);
        return TEARS_OK;
    }
    T3_TRY(t3_lite_timestamp_text(value->as.integer, text));
    *text_out = tears_str_n(text, T3_LITE_TIMESTAMP_LEN);
    return TEARS_OK;
}

static tears_status fail_made_text(const struct t3_lite_stmt *stmt, const struct tears_value *value,
                                   tears_status status, struct tears_error *error_out)
{
    if (status == TEARS_INVALID)
        return t3_fail(error_out, status, stmt->conn->origin,
                       "the timestamp of %lld microseconds is outside years 1 to 9999",
                       (long long)value->as.integer);
    if (status == TEARS_NO_MEMORY)
        return t3_fail_memory(error_out, stmt->conn->origin);
    return t3_fail(error_out, status, stmt->conn->origin, "a vector of %zu numbers is too long",
                   value->as.vector.len);
}

tears_status t3_lite_bind(struct t3_lite_stmt *stmt, uint32_t index,
                          const struct tears_value *value, struct t3_arena *arena,
                          struct tears_error *error_out)
{
    const int at = (int)index;
    int rc = SQLITE_MISUSE;
    struct tears_str text;
    switch (value->kind) {
    case TEARS_KIND_NULL:
        rc = sqlite3_bind_null(stmt->handle, at);
        break;
    case TEARS_KIND_BOOL:
        rc = sqlite3_bind_int(stmt->handle, at, value->as.boolean ? 1 : 0);
        break;
    case TEARS_KIND_INT:
        rc = sqlite3_bind_int64(stmt->handle, at, value->as.integer);
        break;
    case TEARS_KIND_DOUBLE:
        rc = bind_double(stmt, at, value->as.number);
        break;
    case TEARS_KIND_TEXT:
    case TEARS_KIND_DECIMAL:
    case TEARS_KIND_JSON:
        rc = bind_text(stmt, at, value->as.bytes);
        break;
    case TEARS_KIND_BYTES:
        rc = bind_blob(stmt, at, value->as.bytes);
        break;
    case TEARS_KIND_UUID:
    case TEARS_KIND_TIMESTAMP:
    case TEARS_KIND_VECTOR: {
        const tears_status status = make_text(value, arena, &text);
        if (status != TEARS_OK)
            return fail_made_text(stmt, value, status, error_out);
        rc = bind_text(stmt, at, text);
        break;
    }
    default:
        return t3_fail(error_out, TEARS_INVALID, stmt->conn->origin, "value %u has no kind %u",
                       index, value->kind);
    }
    return rc == SQLITE_OK ? TEARS_OK : t3_lite_fail(stmt->conn, rc, stmt->table, error_out);
}

/* The number in a placeholder's name ("$3", "?3"); 0 when it is no number. */
static uint32_t placeholder_number(const char *name)
{
    int64_t number;
    if (name == NULL || (name[0] != '$' && name[0] != '?'))
        return 0;
    if (t3_int_parse(tears_str_c(name + 1), &number) != TEARS_OK || number < 1 || number > 65535)
        return 0;
    return (uint32_t)number;
}

tears_status t3_lite_bind_numbered(struct t3_lite_stmt *stmt, const struct tears_value *values,
                                   size_t count, struct t3_arena *arena,
                                   struct tears_error *error_out)
{
    uint32_t highest = 0;
    for (uint32_t i = 1; i <= stmt->parameter_count; i++) {
        /* A plain "?" has no name; nor have the numbers below a "?7" that stand nowhere. */
        const char *name = sqlite3_bind_parameter_name(stmt->handle, (int)i);
        const uint32_t number = name == NULL ? i : placeholder_number(name);
        if (number == 0)
            return t3_fail(error_out, TEARS_INVALID, stmt->conn->origin,
                           "placeholder '%s': write $1, $2 and so on", name);
        highest = number > highest ? number : highest;
        if (number <= count)
            T3_TRY(t3_lite_bind(stmt, i, &values[number - 1], arena, error_out));
    }
    if (highest != count)
        return t3_fail(error_out, TEARS_INVALID, stmt->conn->origin,
                       "the statement has %u parameters, but %zu values are given", highest, count);
    return TEARS_OK;
}

/* ---- out ---- */

static struct tears_str column_bytes(struct t3_lite_stmt *stmt, int column)
{
    /* SQLite's rule: ask for the pointer first, then for the length in that encoding. */
    const char *ptr = sqlite3_column_blob(stmt->handle, column);
    const int len = sqlite3_column_bytes(stmt->handle, column);
    return tears_str_n(ptr != NULL ? ptr : "", (size_t)len);
}

static int two_digits(const char *at)
{
    return (at[0] - '0') * 10 + (at[1] - '0');
}

/*
 * The fixed form is what nearly every cell holds, and reading it needs no grammar: every character
 * has its place. Anything else, odd dates included, is left to the general parser.
 */
static bool parse_fixed_timestamp(struct tears_str text, int64_t *us_out)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd.dddddd+00:00";
    static const uint16_t days_before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    if (text.len != T3_LITE_TIMESTAMP_LEN)
        return false;
    for (size_t i = 0; i < T3_LITE_TIMESTAMP_LEN; i++)
        if (form[i] == 'd' ? text.ptr[i] < '0' || text.ptr[i] > '9' : text.ptr[i] != form[i])
            return false;
    const char *at = text.ptr;
    const int year = two_digits(at) * 100 + two_digits(at + 2);
    const int month = two_digits(at + 5);
    const int day = two_digits(at + 8);
    const int hour = two_digits(at + 11);
    const int minute = two_digits(at + 14);
    const int second = two_digits(at + 17);
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > 28 || hour > 23 || minute > 59 ||
        second > 59)
        return false; /* days 29 to 31 too: whether they exist is the general parser's question */
    const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    const int64_t before = year - 1;
    const int64_t days = before * 365 + before / 4 - before / 100 + before / 400 +
                         days_before[month - 1] + (leap && month > 2 ? 1 : 0) + day - 1 - 719162;
    const int64_t seconds = days * 86400 + hour * 3600 + minute * 60 + second;
    const int64_t fraction =
        two_digits(at + 20) * 10000 + two_digits(at + 22) * 100 + two_digits(at + 24);
    *us_out = seconds * 1000000 + fraction;
    return true;
}

static tears_status read_timestamp(struct tears_str text, struct tears_value *value_out)
{
    int64_t us;
    if (!parse_fixed_timestamp(text, &us) && t3_timestamp_parse(text, &us) != TEARS_OK)
        return TEARS_CORRUPT;
    *value_out = tears_timestamp_us(us);
    return TEARS_OK;
}

static tears_status read_uuid(struct tears_str bytes, int class, struct tears_value *value_out)
{
    uint8_t uuid[16];
    if (class == SQLITE_BLOB && bytes.len == 16)
        memcpy(uuid, bytes.ptr, 16); /* how other programs often keep them */
    else if (class != SQLITE_TEXT || tears_uuid_parse(bytes, uuid) != TEARS_OK)
        return TEARS_CORRUPT;
    *value_out = tears_uuid(uuid);
    return TEARS_OK;
}

static tears_status read_vector(struct tears_str text, struct t3_arena *arena,
                                struct tears_value *value_out)
{
    struct tears_doubles numbers;
    const tears_status status = t3_vector_parse(arena, text, &numbers);
    if (status != TEARS_OK)
        return status == TEARS_INVALID ? TEARS_CORRUPT : status;
    *value_out = tears_vector(numbers.ptr, numbers.len);
    return TEARS_OK;
}

/* Text of any of the textual kinds. */
static tears_status read_text(struct tears_str text, uint8_t kind, enum t3_lite_trust trust,
                              struct t3_arena *arena, struct tears_value *value_out)
{
    switch (kind) {
    case TEARS_KIND_UUID:
        return read_uuid(text, SQLITE_TEXT, value_out);
    case TEARS_KIND_TIMESTAMP:
        return read_timestamp(text, value_out);
    case TEARS_KIND_VECTOR:
        return read_vector(text, arena, value_out);
    case TEARS_KIND_DOUBLE:
        if (!t3_str_is(text, "NaN"))
            return TEARS_CORRUPT;
        *value_out = tears_double((double)NAN);
        return TEARS_OK;
    case TEARS_KIND_TEXT:
        if (trust == T3_LITE_FOREIGN && !t3_str_is_utf8(text))
            return TEARS_CORRUPT;
        break;
    case TEARS_KIND_DECIMAL:
        if (trust == T3_LITE_FOREIGN && !t3_decimal_is_valid(text))
            return TEARS_CORRUPT;
        break;
    case TEARS_KIND_JSON:
        if (trust == T3_LITE_FOREIGN && !t3_json_is_valid(text))
            return TEARS_CORRUPT;
        break;
    default:
        return TEARS_CORRUPT;
    }
    *value_out = tears_bytes_of_kind(kind, text);
    return TEARS_OK;
}

/* Numbers as text: what a column with numeric affinity makes of exact text, and what untyped
 * columns may hold. */
static tears_status number_text(struct t3_lite_stmt *stmt, int column, uint8_t kind,
                                struct t3_arena *arena, struct tears_value *value_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf buf = {0};
    if (sqlite3_column_type(stmt->handle, column) == SQLITE_INTEGER)
        T3_TRY(t3_buf_printf(&buf, "%lld", (long long)sqlite3_column_int64(stmt->handle, column)));
    else
        T3_TRY(t3_json_put_double(&buf, sqlite3_column_double(stmt->handle, column)));
    struct tears_str text;
    T3_TRY(t3_arena_str(arena, t3_buf_str(&buf), &text));
    *value_out = tears_bytes_of_kind(kind, text);
    return TEARS_OK;
}

static bool kind_takes_numbers_as_text(uint8_t kind)
{
    return kind == TEARS_KIND_TEXT || kind == TEARS_KIND_DECIMAL || kind == TEARS_KIND_JSON;
}

static tears_status read_integer(struct t3_lite_stmt *stmt, int column, uint8_t kind,
                                 enum t3_lite_trust trust, struct t3_arena *arena,
                                 struct tears_value *value_out)
{
    const int64_t integer = sqlite3_column_int64(stmt->handle, column);
    if (kind == TEARS_KIND_INT) {
        *value_out = tears_int(integer);
    } else if (kind == TEARS_KIND_BOOL) {
        if (integer != 0 && integer != 1)
            return TEARS_CORRUPT;
        *value_out = tears_bool(integer == 1);
    } else if (kind == TEARS_KIND_DOUBLE) {
        *value_out = tears_double((double)integer);
    } else if (kind == TEARS_KIND_TIMESTAMP && trust == T3_LITE_OURS) {
        *value_out = tears_timestamp_us(integer); /* a time that has no text form */
    } else {
        return kind_takes_numbers_as_text(kind) ? number_text(stmt, column, kind, arena, value_out)
                                                : TEARS_CORRUPT;
    }
    return TEARS_OK;
}

tears_status t3_lite_cell(struct t3_lite_stmt *stmt, uint32_t column, uint8_t kind,
                          enum t3_lite_trust trust, struct t3_arena *arena,
                          struct tears_value *value_out)
{
    const int at = (int)column;
    const int class = sqlite3_column_type(stmt->handle, at);
    switch (class) {
    case SQLITE_NULL:
        *value_out = tears_null();
        return TEARS_OK;
    case SQLITE_TEXT:
        return read_text(column_bytes(stmt, at), kind, trust, arena, value_out);
    case SQLITE_INTEGER:
        return read_integer(stmt, at, kind, trust, arena, value_out);
    case SQLITE_FLOAT:
        if (kind == TEARS_KIND_DOUBLE) {
            *value_out = tears_double(sqlite3_column_double(stmt->handle, at));
            return TEARS_OK;
        }
        return kind_takes_numbers_as_text(kind) ? number_text(stmt, at, kind, arena, value_out)
                                                : TEARS_CORRUPT;
    default: /* SQLITE_BLOB */
        if (kind == TEARS_KIND_UUID)
            return read_uuid(column_bytes(stmt, at), class, value_out);
        if (kind != TEARS_KIND_BYTES)
            return TEARS_CORRUPT;
        *value_out = tears_bytes(column_bytes(stmt, at));
        return TEARS_OK;
    }
}

struct tears_value t3_lite_cell_raw(struct t3_lite_stmt *stmt, uint32_t column)
{
    const int at = (int)column;
    switch (sqlite3_column_type(stmt->handle, at)) {
    case SQLITE_INTEGER:
        return tears_int(sqlite3_column_int64(stmt->handle, at));
    case SQLITE_FLOAT:
        return tears_double(sqlite3_column_double(stmt->handle, at));
    case SQLITE_TEXT: {
        const struct tears_str text = column_bytes(stmt, at);
        return t3_str_is_utf8(text) ? tears_text(text) : tears_bytes(text);
    }
    case SQLITE_BLOB:
        return tears_bytes(column_bytes(stmt, at));
    default:
        return tears_null();
    }
}

int64_t t3_lite_cell_int(struct t3_lite_stmt *stmt, uint32_t column)
{
    return sqlite3_column_int64(stmt->handle, (int)column);
}

const char *t3_lite_cell_class(struct t3_lite_stmt *stmt, uint32_t column)
{
    switch (sqlite3_column_type(stmt->handle, (int)column)) {
    case SQLITE_INTEGER:
        return "an integer";
    case SQLITE_FLOAT:
        return "a real number";
    case SQLITE_TEXT:
        return "text";
    case SQLITE_BLOB:
        return "a blob";
    default:
        return "NULL";
    }
}
