/*
 * pg_param.c -- parameters of an execution, laid out for libpq.
 *
 * Owns:     nothing; memory is the arena's.
 * Must not know: libpq, SQL.
 * Threads:  one at a time.
 * Fails:    TEARS_INVALID (a value does not fit the type), TEARS_LIMIT (too large),
 * TEARS_NO_MEMORY. Begin at: t3_pg_put(), t3_pg_put_array().
 */
#include "driver/pg.h"

#include "base/str.h"
#include "codec/json.h"
#include "codec/text.h"

#include <limits.h>

enum { TEXT_FORMAT = 0, BINARY_FORMAT = 1 };

tears_status t3_pg_params_init(struct t3_pg_params *params, struct t3_arena *arena,
                               uint32_t capacity)
{
    const size_t room = capacity > 0 ? capacity : 1;
    memset(params, 0, sizeof *params);
    params->arena = arena;
    params->values = t3_arena_alloc(arena, room * sizeof *params->values);
    params->lengths = t3_arena_alloc(arena, room * sizeof *params->lengths);
    params->formats = t3_arena_alloc(arena, room * sizeof *params->formats);
    if (params->values == NULL || params->lengths == NULL || params->formats == NULL)
        return TEARS_NO_MEMORY;
    params->capacity = capacity;
    return TEARS_OK;
}

static tears_status add(struct t3_pg_params *params, const char *bytes, size_t len, int format)
{
    T3_ASSERT(params->count < params->capacity);
    if (len > INT_MAX)
        return TEARS_LIMIT;
    params->values[params->count] = bytes;
    params->lengths[params->count] = (int)len;
    params->formats[params->count] = format;
    params->count++;
    return TEARS_OK;
}

/* A value's bytes as they are, where the wire wants nothing else. */
static bool borrow(uint32_t type, const struct tears_value *value, const char **bytes_out)
{
    if (type != T3_PG_TEXT && type != T3_PG_BYTEA)
        return false;
    *bytes_out = value->as.bytes.len > 0 ? value->as.bytes.ptr : "";
    return true;
}

tears_status t3_pg_put(struct t3_pg_params *params, uint32_t type, const struct tears_value *value)
{
    if (value->kind == TEARS_KIND_NULL)
        return add(params, NULL, 0, BINARY_FORMAT);
    const size_t size = t3_pg_encoded_size(type, value);
    if (size == SIZE_MAX)
        return TEARS_INVALID;
    const char *bytes = NULL;
    if (!borrow(type, value, &bytes)) {
        char *copy = t3_arena_alloc(params->arena, size);
        if (copy == NULL)
            return TEARS_NO_MEMORY;
        t3_pg_encode(type, value, copy);
        bytes = copy;
    }
    return add(params, bytes, size, BINARY_FORMAT);
}

/* ---- arrays: dimensions, has-nulls, element type, length, lower bound; then length and bytes each
 * ---- */

enum { ARRAY_HEADER_BYTES = 20 };

static char *put_word(char *at, uint32_t word)
{
    word = __builtin_bswap32(word);
    memcpy(at, &word, sizeof word);
    return at + sizeof word;
}

static bool is_null(const struct tears_value *value)
{
    return value == NULL || value->kind == TEARS_KIND_NULL;
}

static tears_status array_size(uint32_t type, const struct tears_value *const *values, size_t count,
                               size_t *size_out)
{
    size_t size = ARRAY_HEADER_BYTES;
    for (size_t i = 0; i < count; i++) {
        const size_t element = is_null(values[i]) ? 0 : t3_pg_encoded_size(type, values[i]);
        if (element == SIZE_MAX)
            return TEARS_INVALID;
        size += 4 + element;
        if (size > INT_MAX)
            return TEARS_LIMIT;
    }
    *size_out = size;
    return TEARS_OK;
}

static char *put_element(char *at, uint32_t type, const struct tears_value *value)
{
    if (is_null(value))
        return put_word(at, UINT32_MAX);
    const size_t size = t3_pg_encoded_size(type, value);
    at = put_word(at, (uint32_t)size);
    t3_pg_encode(type, value, at);
    return at + size;
}

tears_status t3_pg_put_array(struct t3_pg_params *params, uint32_t type,
                             const struct tears_value *const *values, size_t count)
{
    size_t size = 0;
    T3_TRY(array_size(type, values, count, &size));
    char *bytes = t3_arena_alloc(params->arena, size);
    if (bytes == NULL)
        return TEARS_NO_MEMORY;
    bool has_nulls = false;
    for (size_t i = 0; i < count; i++)
        has_nulls = has_nulls || is_null(values[i]);
    char *at = put_word(bytes, 1);
    at = put_word(at, has_nulls ? 1 : 0);
    at = put_word(at, type);
    at = put_word(at, (uint32_t)count);
    at = put_word(at, 1);
    for (size_t i = 0; i < count; i++)
        at = put_element(at, type, values[i]);
    T3_ASSERT((size_t)(at - bytes) == size);
    return add(params, bytes, size, BINARY_FORMAT);
}

/* ---- as text ----------------------------------------------------------------------------------
 */

static tears_status put_uuid(struct t3_buf *out, const uint8_t uuid[16])
{
    char text[37];
    tears_uuid_text(uuid, text);
    return t3_buf_put(out, tears_str_n(text, 36));
}

static tears_status put_bytes(struct t3_buf *out, struct tears_str bytes)
{
    T3_TRY(t3_buf_put(out, TEARS_STR("\\x")));
    return t3_hex_put(out, bytes);
}

static tears_status put_as_text(struct t3_buf *out, const struct tears_value *value)
{
    switch (value->kind) {
    case TEARS_KIND_BOOL:
        return t3_buf_put_char(out, value->as.boolean ? 't' : 'f');
    case TEARS_KIND_INT:
        return t3_buf_printf(out, "%lld", (long long)value->as.integer);
    case TEARS_KIND_DOUBLE:
        return t3_json_put_double(out, value->as.number);
    case TEARS_KIND_BYTES:
        return put_bytes(out, value->as.bytes);
    case TEARS_KIND_UUID:
        return put_uuid(out, value->as.uuid);
    case TEARS_KIND_TIMESTAMP:
        return t3_timestamp_put(out, value->as.integer, ' ');
    case TEARS_KIND_VECTOR:
        return t3_vector_put(out, value->as.vector);
    default:
        if (memchr(value->as.bytes.len > 0 ? value->as.bytes.ptr : "", '\0', value->as.bytes.len) !=
            NULL)
            return TEARS_INVALID; /* PostgreSQL has no text with NUL */
        return t3_buf_put(out, value->as.bytes);
    }
}

tears_status t3_pg_put_text(struct t3_pg_params *params, const struct tears_value *value)
{
    if (value->kind == TEARS_KIND_NULL)
        return add(params, NULL, 0, TEXT_FORMAT);
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    T3_TRY(put_as_text(&text, value));
    struct tears_str copy;
    T3_TRY(t3_arena_str(params->arena, t3_buf_str(&text), &copy));
    return add(params, copy.ptr, copy.len, TEXT_FORMAT);
}
