/*
 * coerce.c -- making a caller's value one that a column can hold, or saying why not.
 *
 * Owns:     nothing; what has to be made is the arena's.
 * Knows:    base/, codec/ (the text forms), schema.h.
 * Must not know: databases, tiers.
 * Threads:  any.
 * Fails:    TEARS_INVALID with table, column and value; TEARS_NO_MEMORY, TEARS_LIMIT.
 * Begin at: t3_value_coerce().
 */
#include "schema/coerce.h"

#include "base/buf.h"
#include "base/fail.h"
#include "base/str.h"
#include "codec/json.h"
#include "codec/text.h"
#include "schema/schema_impl.h"

#include <math.h>

static const uint8_t kind_of_type[] = {
    [TEARS_TYPE_UUID] = TEARS_KIND_UUID,     [TEARS_TYPE_STRING] = TEARS_KIND_TEXT,
    [TEARS_TYPE_ENUM] = TEARS_KIND_TEXT,     [TEARS_TYPE_NUMERIC] = TEARS_KIND_DECIMAL,
    [TEARS_TYPE_TSVECTOR] = TEARS_KIND_TEXT, [TEARS_TYPE_TIMESTAMPTZ] = TEARS_KIND_TIMESTAMP,
    [TEARS_TYPE_JSONB] = TEARS_KIND_JSON,    [TEARS_TYPE_BYTES] = TEARS_KIND_BYTES,
    [TEARS_TYPE_INT] = TEARS_KIND_INT,       [TEARS_TYPE_BIGINT] = TEARS_KIND_INT,
    [TEARS_TYPE_BOOL] = TEARS_KIND_BOOL,     [TEARS_TYPE_VECTOR] = TEARS_KIND_VECTOR,
    [TEARS_TYPE_DOUBLE] = TEARS_KIND_DOUBLE,
};

uint8_t t3_kind_of_type(uint64_t type)
{
    T3_ASSERT(type >= TEARS_TYPE_UUID && type < T3_COUNT(kind_of_type));
    return kind_of_type[type];
}

/* ---- to the column's kind ---------------------------------------------------------------------
 */

static tears_status convert_text(uint64_t type, struct tears_str text, struct t3_arena *arena,
                                 struct tears_value *out)
{
    struct tears_value value = tears_null();
    value.kind = t3_kind_of_type(type);
    switch (type) {
    case TEARS_TYPE_UUID:
        T3_TRY(tears_uuid_parse(text, value.as.uuid));
        break;
    case TEARS_TYPE_TIMESTAMPTZ:
        T3_TRY(t3_timestamp_parse(text, &value.as.integer));
        break;
    case TEARS_TYPE_NUMERIC:
        if (!t3_decimal_is_valid(text))
            return TEARS_INVALID;
        value.as.bytes = text;
        break;
    case TEARS_TYPE_JSONB:
        if (!t3_json_is_valid(text))
            return TEARS_INVALID;
        value.as.bytes = text;
        break;
    case TEARS_TYPE_VECTOR:
        T3_TRY(t3_vector_parse(arena, text, &value.as.vector));
        break;
    default:
        return TEARS_INVALID;
    }
    *out = value;
    return TEARS_OK;
}

/* The exact decimal text of a number. */
static tears_status to_decimal(const struct tears_value *in, struct t3_arena *arena,
                               struct tears_value *out)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    if (in->kind == TEARS_KIND_INT)
        T3_TRY(t3_buf_printf(&text, "%lld", (long long)in->as.integer));
    else if (isfinite(in->as.number))
        T3_TRY(t3_json_put_double(&text, in->as.number));
    else
        return TEARS_INVALID;
    struct tears_str kept;
    T3_TRY(t3_arena_str(arena, t3_buf_str(&text), &kept));
    *out = tears_decimal(kept);
    return TEARS_OK;
}

tears_status t3_value_convert(uint64_t type, const struct tears_value *in, struct t3_arena *arena,
                              struct tears_value *out)
{
    if (in->kind == TEARS_KIND_NULL || in->kind == t3_kind_of_type(type)) {
        *out = *in;
        return TEARS_OK;
    }
    if (in->kind == TEARS_KIND_TEXT)
        return convert_text(type, in->as.bytes, arena, out);
    if (type == TEARS_TYPE_DOUBLE && in->kind == TEARS_KIND_INT) {
        *out = tears_double((double)in->as.integer);
        return TEARS_OK;
    }
    if (type == TEARS_TYPE_NUMERIC && (in->kind == TEARS_KIND_INT || in->kind == TEARS_KIND_DOUBLE))
        return to_decimal(in, arena, out);
    return TEARS_INVALID;
}

tears_status t3_value_convert_read(uint64_t type, const struct tears_value *in,
                                   struct t3_arena *arena, struct tears_value *out)
{
    if (type == TEARS_TYPE_JSONB && in->kind == TEARS_KIND_TEXT &&
        !t3_json_is_valid(in->as.bytes)) {
        *out = *in;
        return TEARS_OK;
    }
    return t3_value_convert(type, in, arena, out);
}

/* ---- within the column's bounds ---------------------------------------------------------------
 */

static bool is_label(const struct t3_column *column, struct tears_str text)
{
    for (uint32_t i = 0; i < column->enum_value_count; i++)
        if (t3_str_equal(column->enum_values[i], text))
            return true;
    return column->enum_value_count == 0; /* not known: the database decides */
}

static const char *vector_misfit(const struct t3_column *column, struct tears_doubles vector)
{
    if (column->vector_dim != 0 && vector.len != column->vector_dim)
        return "the number of dimensions differs from the column's";
    for (size_t i = 0; i < vector.len; i++)
        if (!isfinite(vector.ptr[i]))
            return "a vector must not contain NaN or Infinity";
    return NULL;
}

const char *t3_value_misfit(const struct t3_column *column, const struct tears_value *value)
{
    switch (column->type) {
    case TEARS_TYPE_INT:
        return value->as.integer >= INT32_MIN && value->as.integer <= INT32_MAX
                   ? NULL
                   : "out of range for a 32-bit integer";
    case TEARS_TYPE_STRING:
    case TEARS_TYPE_TSVECTOR:
        return t3_str_is_utf8(value->as.bytes) ? NULL : "invalid UTF-8";
    case TEARS_TYPE_ENUM:
        return is_label(column, value->as.bytes) ? NULL : "not one of the labels of the enum";
    case TEARS_TYPE_NUMERIC:
        return t3_decimal_is_valid(value->as.bytes) ? NULL : "not a decimal number";
    case TEARS_TYPE_JSONB:
        return t3_json_is_valid(value->as.bytes) ? NULL : "not well-formed JSON";
    case TEARS_TYPE_VECTOR:
        return vector_misfit(column, value->as.vector);
    default:
        return NULL;
    }
}

/* ---- both, with a message ---------------------------------------------------------------------
 */

static const char *kind_name(uint32_t kind)
{
    static const char *const names[] = {"NULL",  "bool", "integer",   "double", "text",  "decimal",
                                        "bytes", "uuid", "timestamp", "JSON",   "vector"};
    return kind < T3_COUNT(names) ? names[kind] : "unknown";
}

/* Refuses a value, and shows it when it can be shown. */
static tears_status refuse(const struct tears_schema *schema, const struct t3_column *column,
                           const struct tears_value *value, const char *why,
                           struct tears_error *error_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf shown = {0};
    const bool is_text = value->kind == TEARS_KIND_TEXT || value->kind == TEARS_KIND_DECIMAL ||
                         value->kind == TEARS_KIND_JSON;
    if (is_text && t3_str_is_utf8(value->as.bytes))
        (void)t3_buf_put(&shown, value->as.bytes); /* without memory the message lacks the value */
    else if (!is_text && value->kind != TEARS_KIND_NULL && value->kind != TEARS_KIND_BYTES &&
             value->kind != TEARS_KIND_VECTOR)
        (void)t3_value_put_python(&shown, value);
    const struct tears_str text = t3_buf_str(&shown);
    return t3_fail(error_out, TEARS_INVALID, "schema",
                   "table '" T3_STR_FMT "', column '" T3_STR_FMT "': %s%s" T3_STR_FMT "%s",
                   T3_STR_ARG(schema->name), T3_STR_ARG(column->name), why,
                   text.len > 0 ? ": '" : "", T3_STR_ARG(text), text.len > 0 ? "'" : "");
}

static const char *type_name(uint64_t type)
{
    static const char *const names[] = {"",         "uuid",        "string", "enum",  "numeric",
                                        "tsvector", "timestamptz", "jsonb",  "bytes", "int",
                                        "bigint",   "bool",        "vector", "double"};
    return names[type];
}

static tears_status refuse_kind(const struct tears_schema *schema, const struct t3_column *column,
                                const struct tears_value *value, struct tears_error *error_out)
{
    char why[80];
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    if (t3_buf_printf(&text, "a %s column cannot take this %s value", type_name(column->type),
                      kind_name(value->kind)) != TEARS_OK ||
        text.len >= sizeof why)
        return refuse(schema, column, value, "a value of the wrong kind", error_out);
    memcpy(why, text.ptr, text.len + 1);
    return refuse(schema, column, value, why, error_out);
}

tears_status t3_value_coerce(const struct tears_schema *schema, uint32_t column_index,
                             const struct tears_value *in, bool allow_null, struct t3_arena *arena,
                             struct tears_value *out, struct tears_error *error_out)
{
    const struct t3_column *column = &schema->columns[column_index];
    if (in->kind == TEARS_KIND_NULL) {
        if (!allow_null)
            return refuse(schema, column, in, "NULL is not allowed", error_out);
        *out = tears_null();
        return TEARS_OK;
    }
    struct tears_value value;
    const tears_status status = t3_value_convert(column->type, in, arena, &value);
    if (status == TEARS_INVALID)
        return refuse_kind(schema, column, in, error_out);
    if (status != TEARS_OK)
        return t3_fail(error_out, status, "schema", "column '" T3_STR_FMT "': %s",
                       T3_STR_ARG(column->name), tears_status_text(status));
    const char *misfit = t3_value_misfit(column, &value);
    if (misfit != NULL)
        return refuse(schema, column, &value, misfit, error_out);
    value.flags = 0;
    *out = value;
    return TEARS_OK;
}

/* ---- from a person's text ---------------------------------------------------------------------
 */

static tears_status parse_bool(struct tears_str text, struct tears_value *out)
{
    static const char *const words[] = {"true",  "t", "yes", "on",  "1",
                                        "false", "f", "no",  "off", "0"};
    for (size_t i = 0; i < T3_COUNT(words); i++) {
        if (t3_str_equal_nocase(text, tears_str_c(words[i]))) {
            *out = tears_bool(i < T3_COUNT(words) / 2);
            return TEARS_OK;
        }
    }
    return TEARS_INVALID;
}

static tears_status parse_bytes(struct tears_str text, struct t3_arena *arena,
                                struct tears_value *out)
{
    T3_AUTO(t3_buf_done) struct t3_buf bytes = {0};
    T3_TRY(t3_hex_parse(&bytes, t3_str_starts(text, "\\x") ? t3_str_from(text, 2) : text));
    struct tears_str kept;
    T3_TRY(t3_arena_str(arena, t3_buf_str(&bytes), &kept));
    *out = tears_bytes(kept);
    return TEARS_OK;
}

/* The text's value, before the column's bounds are looked at. */
static tears_status parse(uint64_t type, struct tears_str text, struct t3_arena *arena,
                          struct tears_value *out)
{
    *out = tears_text(text);
    switch (type) {
    case TEARS_TYPE_BOOL:
        return parse_bool(text, out);
    case TEARS_TYPE_INT:
    case TEARS_TYPE_BIGINT:
        *out = tears_int(0);
        return t3_int_parse(text, &out->as.integer);
    case TEARS_TYPE_DOUBLE:
        *out = tears_double(0);
        return t3_double_parse(text, &out->as.number);
    case TEARS_TYPE_BYTES:
        return parse_bytes(text, arena, out);
    default:
        return TEARS_OK; /* t3_value_coerce reads all other types from text itself */
    }
}

tears_status t3_value_from_text(const struct tears_schema *schema, uint32_t column,
                                struct tears_str text, struct t3_arena *arena,
                                struct tears_value *out, struct tears_error *error_out)
{
    struct tears_value value;
    const tears_status status = parse(schema->columns[column].type, text, arena, &value);
    if (status == TEARS_INVALID) {
        value = tears_text(text);
        return refuse_kind(schema, &schema->columns[column], &value, error_out);
    }
    if (status != TEARS_OK)
        return t3_fail_memory(error_out, "schema");
    return t3_value_coerce(schema, column, &value, false, arena, out, error_out);
}

/* ---- inserts ----------------------------------------------------------------------------------
 */

static bool is_filled_without_us(const struct t3_column *column)
{
    return column->nullable || column->generated || column->version ||
           column->server_default.len > 0 || column->type == TEARS_TYPE_TSVECTOR ||
           t3_column_is_stamped(column);
}

static bool is_given(const struct t3_cell *cells, size_t count, uint32_t column)
{
    for (size_t i = 0; i < count; i++)
        if (cells[i].column == column)
            return true;
    return false;
}

tears_status t3_schema_check_insert(const struct tears_schema *schema, const struct t3_cell *cells,
                                    size_t cell_count, struct tears_error *error_out)
{
    for (uint32_t i = 0; i < schema->column_count; i++) {
        const struct t3_column *column = &schema->columns[i];
        if (is_filled_without_us(column) || is_given(cells, cell_count, i))
            continue;
        return t3_fail(error_out, TEARS_INVALID, "schema",
                       "table '" T3_STR_FMT "': required column '" T3_STR_FMT "' is missing",
                       T3_STR_ARG(schema->name), T3_STR_ARG(column->name));
    }
    return TEARS_OK;
}
