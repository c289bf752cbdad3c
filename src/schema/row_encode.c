/*
 * row_encode.c -- a row as the JSON object that L2 holds, byte for byte as Python's json.dumps
 * writes it.
 *
 * Owns:     nothing.
 * Must not know: L2, keys, versions.
 * Threads:  any.
 * Fails:    TEARS_NO_MEMORY, TEARS_LIMIT, TEARS_INVALID (text that is not UTF-8); the buffer is
 * then as it was. Begin at: t3_row_encode().
 */
#include "base/str.h"
#include "codec/json.h"
#include "codec/text.h"
#include "schema/row_codec.h"

/* All but text fits: the longest are a UUID in quotes and a timestamp in quotes. */
enum { FIXED_TEXT_MAX = 64 };

/* `timestamp without time zone`: peers read and write such columns without an offset. */
static bool is_naive(const struct tears_schema *schema, const struct t3_column *column)
{
    static const char without[] = " without time zone";
    const struct tears_str type = column->sql_type;
    if (type.len == 0)
        return schema->dynamic;
    return type.len >= sizeof without - 1 &&
           t3_str_is(t3_str_from(type, type.len - (sizeof without - 1)), without);
}

static size_t put_quoted_uuid(const uint8_t uuid[16], char *to)
{
    to[0] = '"';
    tears_uuid_text(uuid, to + 1);
    to[37] = '"';
    return 38;
}

static size_t put_quoted_timestamp(const struct tears_value *value, char *to)
{
    const bool naive = (value->flags & T3_VALUE_NAIVE) != 0;
    const size_t len = t3_timestamp_text(value->as.integer, 'T', naive, to + 1);
    to[0] = '"';
    to[len + 1] = '"';
    return len + 2;
}

/* Writes a value of a kind whose text is short; 0 for the others. */
static size_t put_short(const struct tears_value *value, char *to)
{
    switch (value->kind) {
    case TEARS_KIND_NULL:
        memcpy(to, "null", 4);
        return 4;
    case TEARS_KIND_BOOL:
        memcpy(to, value->as.boolean ? "true" : "false", 5);
        return value->as.boolean ? 4 : 5;
    case TEARS_KIND_INT:
        return t3_int_text(value->as.integer, to);
    case TEARS_KIND_UUID:
        return put_quoted_uuid(value->as.uuid, to);
    case TEARS_KIND_TIMESTAMP:
        return put_quoted_timestamp(value, to);
    default:
        return 0;
    }
}

static tears_status put_vector(struct tears_doubles vector, struct t3_buf *out)
{
    T3_TRY(t3_buf_put_char(out, '['));
    for (size_t i = 0; i < vector.len; i++) {
        if (i > 0)
            T3_TRY(t3_buf_put(out, TEARS_STR(", ")));
        T3_TRY(t3_json_put_double(out, vector.ptr[i]));
    }
    return t3_buf_put_char(out, ']');
}

static tears_status put_bytes(struct tears_str bytes, uint8_t byte_codec, struct t3_buf *out)
{
    T3_TRY(t3_buf_put_char(out, '"'));
    if (byte_codec == TEARS_BYTES_HEX)
        T3_TRY(t3_hex_put(out, bytes));
    else
        T3_TRY(t3_base64_put(out, bytes, false));
    return t3_buf_put_char(out, '"');
}

static tears_status put_long(const struct tears_value *value, uint8_t byte_codec,
                             struct t3_buf *out)
{
    switch (value->kind) {
    case TEARS_KIND_DOUBLE:
        return t3_json_put_double(out, value->as.number);
    case TEARS_KIND_JSON:
        return t3_json_put_ascii(out, value->as.bytes);
    case TEARS_KIND_BYTES:
        return put_bytes(value->as.bytes, byte_codec, out);
    case TEARS_KIND_VECTOR:
        return put_vector(value->as.vector, out);
    default:
        return t3_json_put_string(out, value->as.bytes);
    }
}

tears_status t3_value_encode(const struct tears_value *value, uint8_t byte_codec,
                             struct t3_buf *out)
{
    T3_TRY(t3_buf_room(out, FIXED_TEXT_MAX));
    const size_t len = put_short(value, out->ptr + out->len);
    out->len += len;
    out->ptr[out->len] = '\0';
    return len > 0 ? TEARS_OK : put_long(value, byte_codec, out);
}

static tears_status put_columns(const struct tears_schema *schema, const struct t3_row *row,
                                struct t3_buf *out)
{
    for (uint32_t i = 0; i < schema->column_count; i++) {
        const struct t3_column *column = &schema->columns[i];
        const struct tears_str name = column->json_name;
        T3_TRY(t3_buf_room(out, 2 + name.len + FIXED_TEXT_MAX));
        char *to = out->ptr + out->len;
        memcpy(to, i == 0 ? "{ " : ", ", 2);
        to += i == 0 ? 1 : 2;
        memcpy(to, name.ptr, name.len);
        to += name.len;
        struct tears_value value = t3_row_value(row, &schema->layout, i);
        if (value.kind == TEARS_KIND_TIMESTAMP && is_naive(schema, column))
            value.flags = T3_VALUE_NAIVE;
        const size_t len = put_short(&value, to);
        out->len = (size_t)(to + len - out->ptr);
        if (len == 0)
            T3_TRY(put_long(&value, schema->byte_codec, out));
    }
    return schema->column_count > 0 ? TEARS_OK : t3_buf_put_char(out, '{');
}

tears_status t3_row_encode(const struct tears_schema *schema, const struct t3_row *row,
                           struct t3_buf *out)
{
    T3_DEBUG_ASSERT(row->count == schema->column_count);
    const size_t start = out->len;
    tears_status status = put_columns(schema, row, out);
    if (status == TEARS_OK)
        status = t3_buf_put_char(out, '}');
    if (status != TEARS_OK) {
        out->len = start;
        if (out->ptr != NULL)
            out->ptr[start] = '\0';
    }
    return status;
}
