/*
 * pg_text.c -- cells in text format, as ad-hoc statements give them.
 *
 * Owns:     nothing; what has to be copied is the arena's.
 * Must not know: libpq, which statement it was.
 * Threads:  any.
 * Fails:    TEARS_CORRUPT, TEARS_NO_MEMORY.
 * Begin at: t3_pg_decode_text().
 */
#include "driver/pg_type.h"

#include "base/str.h"
#include "codec/text.h"

/* One byte of bytea's older "escape" format, which a server may be set to; *at_io moves past it. */
static bool unescape_byte(struct tears_str cell, size_t *at_io, char *byte_out)
{
    const struct tears_str rest = t3_str_from(cell, *at_io);
    *byte_out = rest.ptr[0];
    *at_io += 1;
    if (rest.ptr[0] != '\\')
        return true;
    if (rest.len >= 2 && rest.ptr[1] == '\\') {
        *at_io += 1;
        return true;
    }
    if (rest.len < 4)
        return false;
    unsigned byte = 0;
    for (size_t i = 1; i < 4; i++) {
        if (rest.ptr[i] < '0' || rest.ptr[i] > '7')
            return false;
        byte = byte * 8 + (unsigned)(rest.ptr[i] - '0');
    }
    *byte_out = (char)(byte & 0xff);
    *at_io += 3;
    return byte <= 0xff;
}

static tears_status decode_bytea_text(struct tears_str cell, struct t3_arena *arena,
                                      struct tears_value *value_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf bytes = {0};
    if (t3_str_starts(cell, "\\x")) {
        const tears_status status = t3_hex_parse(&bytes, t3_str_from(cell, 2));
        if (status != TEARS_OK)
            return status == TEARS_NO_MEMORY ? status : TEARS_CORRUPT;
    } else {
        for (size_t at = 0; at < cell.len;) {
            char byte = 0;
            if (!unescape_byte(cell, &at, &byte))
                return TEARS_CORRUPT;
            T3_TRY(t3_buf_put_char(&bytes, byte));
        }
    }
    struct tears_str copy;
    T3_TRY(t3_arena_str(arena, t3_buf_str(&bytes), &copy));
    *value_out = tears_bytes(copy);
    return TEARS_OK;
}

static tears_status text_as_it_is(uint32_t kind, struct tears_str cell, struct t3_arena *arena,
                                  struct tears_value *value_out)
{
    struct tears_str copy;
    T3_TRY(t3_arena_str(arena, cell, &copy));
    *value_out = tears_bytes_of_kind(kind, copy);
    return TEARS_OK;
}

static tears_status decode_number_text(uint32_t type, struct tears_str cell,
                                       struct tears_value *value_out)
{
    double number = 0;
    int64_t integer = 0;
    if (type == T3_PG_FLOAT4 || type == T3_PG_FLOAT8) {
        if (t3_double_parse(cell, &number) != TEARS_OK)
            return TEARS_CORRUPT;
        *value_out = tears_double(number);
        return TEARS_OK;
    }
    if (t3_int_parse(cell, &integer) != TEARS_OK)
        return TEARS_CORRUPT;
    *value_out = tears_int(integer);
    return TEARS_OK;
}

tears_status t3_pg_decode_text(uint32_t type, struct tears_str cell, struct t3_arena *arena,
                               struct tears_value *value_out)
{
    switch (type) {
    case T3_PG_BOOL:
        *value_out = tears_bool(cell.len > 0 && cell.ptr[0] == 't');
        return TEARS_OK;
    case T3_PG_INT2:
    case T3_PG_INT4:
    case T3_PG_INT8:
    case T3_PG_OID:
    case T3_PG_FLOAT4:
    case T3_PG_FLOAT8:
        return decode_number_text(type, cell, value_out);
    case T3_PG_NUMERIC:
        return text_as_it_is(TEARS_KIND_DECIMAL, cell, arena, value_out);
    case T3_PG_JSON:
    case T3_PG_JSONB:
        return text_as_it_is(TEARS_KIND_JSON, cell, arena, value_out);
    case T3_PG_UUID:
        return t3_pg_decode(T3_PG_HOW_UUID_TEXT, TEARS_KIND_UUID, cell, arena, value_out);
    case T3_PG_TIMESTAMPTZ:
        return t3_pg_decode(T3_PG_HOW_TIMESTAMP_TEXT, TEARS_KIND_TIMESTAMP, cell, arena, value_out);
    case T3_PG_BYTEA:
        return decode_bytea_text(cell, arena, value_out);
    default:
        return text_as_it_is(TEARS_KIND_TEXT, cell, arena, value_out);
    }
}
