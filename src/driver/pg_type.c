/*
 * pg_type.c -- PostgreSQL's binary formats, byte by byte.
 *
 * Owns:     nothing.
 * Must not know: libpq, SQL, connections.
 * Threads:  any.
 * Fails:    TEARS_CORRUPT when bytes are not of the type they are said to be; TEARS_NO_MEMORY.
 * Begin at: t3_pg_decode(), t3_pg_encode().
 *
 * Everything is big-endian.  Timestamps count microseconds from 2000-01-01; ours from 1970.
 */
#include "driver/pg_type.h"

#include "base/str.h"
#include "codec/text.h"

#define EPOCH_GAP_US INT64_C(946684800000000) /* from 1970-01-01 to 2000-01-01 */

/* ---- bytes ---------------------------------------------------------------------------------- */

static uint16_t read_16(const char *at)
{
    uint16_t word;
    memcpy(&word, at, sizeof word);
    return __builtin_bswap16(word);
}

static uint32_t read_32(const char *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof word);
    return __builtin_bswap32(word);
}

static uint64_t read_64(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return __builtin_bswap64(word);
}

static void write_16(char *at, uint16_t word)
{
    word = __builtin_bswap16(word);
    memcpy(at, &word, sizeof word);
}

static void write_32(char *at, uint32_t word)
{
    word = __builtin_bswap32(word);
    memcpy(at, &word, sizeof word);
}

static void write_64(char *at, uint64_t word)
{
    word = __builtin_bswap64(word);
    memcpy(at, &word, sizeof word);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the readers above swap bytes");

static double read_float4(const char *at)
{
    const uint32_t bits = read_32(at);
    float number;
    memcpy(&number, &bits, sizeof number);
    return (double)number;
}

static double read_float8(const char *at)
{
    const uint64_t bits = read_64(at);
    double number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

/* ---- which type for which kind --------------------------------------------------------------- */

uint32_t t3_pg_array_of(uint32_t type)
{
    switch (type) {
    case T3_PG_BOOL:
        return 1000;
    case T3_PG_BYTEA:
        return 1001;
    case T3_PG_INT2:
        return 1005;
    case T3_PG_INT4:
        return 1007;
    case T3_PG_INT8:
        return 1016;
    case T3_PG_FLOAT4:
        return 1021;
    case T3_PG_FLOAT8:
        return 1022;
    case T3_PG_TIMESTAMPTZ:
        return 1185;
    case T3_PG_UUID:
        return 2951;
    default:
        return 1009; /* text[] */
    }
}

static bool is_number_type(uint32_t type)
{
    return type == T3_PG_INT2 || type == T3_PG_INT4 || type == T3_PG_INT8 || type == T3_PG_OID;
}

static bool is_text_type(uint32_t type)
{
    return type == T3_PG_TEXT || type == T3_PG_VARCHAR || type == T3_PG_BPCHAR ||
           type == T3_PG_NAME;
}

/* Types whose binary form is not their text; whatever else is unknown (enums, citext, domains) is
 * text. */
static bool is_binary_type(uint32_t type)
{
    switch (type) {
    case T3_PG_BOOL:
    case T3_PG_BYTEA:
    case T3_PG_INT8:
    case T3_PG_INT2:
    case T3_PG_INT4:
    case T3_PG_OID:
    case T3_PG_FLOAT4:
    case T3_PG_FLOAT8:
    case T3_PG_TIMESTAMP:
    case T3_PG_TIMESTAMPTZ:
    case T3_PG_NUMERIC:
    case T3_PG_UUID:
    case T3_PG_TSVECTOR:
    case T3_PG_JSONB:
        return true;
    default:
        return false;
    }
}

static enum t3_pg_how how_integer(uint32_t type)
{
    switch (type) {
    case T3_PG_INT2:
        return T3_PG_HOW_INT2;
    case T3_PG_INT4:
        return T3_PG_HOW_INT4;
    case T3_PG_INT8:
        return T3_PG_HOW_INT8;
    case T3_PG_OID:
        return T3_PG_HOW_OID;
    default:
        return T3_PG_HOW_NONE;
    }
}

static enum t3_pg_how how_decimal(uint32_t type)
{
    if (type == T3_PG_NUMERIC)
        return T3_PG_HOW_NUMERIC;
    if (is_number_type(type))
        return T3_PG_HOW_INT_DECIMAL;
    return is_text_type(type) ? T3_PG_HOW_DECIMAL_TEXT : T3_PG_HOW_NONE;
}

static enum t3_pg_how how_double(uint32_t type)
{
    if (type == T3_PG_FLOAT8)
        return T3_PG_HOW_FLOAT8;
    return type == T3_PG_FLOAT4 ? T3_PG_HOW_FLOAT4 : T3_PG_HOW_NONE;
}

static enum t3_pg_how how_timestamp(uint32_t type)
{
    if (type == T3_PG_TIMESTAMPTZ || type == T3_PG_TIMESTAMP)
        return T3_PG_HOW_TIMESTAMP;
    return is_text_type(type) ? T3_PG_HOW_TIMESTAMP_TEXT : T3_PG_HOW_NONE;
}

static enum t3_pg_how how_uuid(uint32_t type)
{
    if (type == T3_PG_UUID)
        return T3_PG_HOW_UUID;
    return is_text_type(type) ? T3_PG_HOW_UUID_TEXT : T3_PG_HOW_NONE;
}

static enum t3_pg_how how_json(uint32_t type)
{
    if (type == T3_PG_JSONB)
        return T3_PG_HOW_JSONB;
    return is_binary_type(type) ? T3_PG_HOW_NONE : T3_PG_HOW_BYTES;
}

static enum t3_pg_how how_vector(uint32_t type)
{
    if (is_text_type(type))
        return T3_PG_HOW_VECTOR_TEXT;
    return is_binary_type(type) ? T3_PG_HOW_NONE
                                : T3_PG_HOW_VECTOR; /* its id differs per database */
}

enum t3_pg_how t3_pg_how(uint32_t type, uint32_t kind)
{
    switch (kind) {
    case TEARS_KIND_BOOL:
        return type == T3_PG_BOOL ? T3_PG_HOW_BOOL : T3_PG_HOW_NONE;
    case TEARS_KIND_INT:
        return how_integer(type);
    case TEARS_KIND_DOUBLE:
        return how_double(type);
    case TEARS_KIND_DECIMAL:
        return how_decimal(type);
    case TEARS_KIND_BYTES:
        return type == T3_PG_BYTEA ? T3_PG_HOW_BYTES : T3_PG_HOW_NONE;
    case TEARS_KIND_UUID:
        return how_uuid(type);
    case TEARS_KIND_TIMESTAMP:
        return how_timestamp(type);
    case TEARS_KIND_JSON:
        return how_json(type);
    case TEARS_KIND_VECTOR:
        return how_vector(type);
    case TEARS_KIND_TEXT:
        return is_binary_type(type) ? T3_PG_HOW_NONE : T3_PG_HOW_BYTES;
    default:
        return T3_PG_HOW_NONE;
    }
}

/* ---- cells in binary format -------------------------------------------------------------------
 */

static tears_status decode_timestamp(struct tears_str cell, struct tears_value *value_out)
{
    if (cell.len != 8)
        return TEARS_CORRUPT;
    const int64_t since_2000 = (int64_t)read_64(cell.ptr);
    int64_t us = since_2000; /* the two infinities stay what they are */
    if (since_2000 != INT64_MIN && since_2000 != INT64_MAX &&
        __builtin_add_overflow(since_2000, EPOCH_GAP_US, &us))
        return TEARS_CORRUPT; /* after the year 294246 */
    *value_out = tears_timestamp_us(us);
    return TEARS_OK;
}

static tears_status decode_jsonb(struct tears_str cell, struct tears_value *value_out)
{
    if (cell.len < 1 || cell.ptr[0] != 1)
        return TEARS_CORRUPT; /* a format version that does not exist yet */
    *value_out = tears_json(t3_str_from(cell, 1));
    return TEARS_OK;
}

/* pgvector: dimensions, two bytes unused, then float4 each. */
static tears_status decode_vector(struct tears_str cell, struct t3_arena *arena,
                                  struct tears_value *value_out)
{
    if (cell.len < 4 || cell.len != 4 + 4 * (size_t)read_16(cell.ptr))
        return TEARS_CORRUPT;
    const size_t count = read_16(cell.ptr);
    double *numbers = t3_arena_array(arena, count, sizeof *numbers);
    if (numbers == NULL)
        return TEARS_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        numbers[i] = read_float4(cell.ptr + 4 + 4 * i);
    *value_out = tears_vector(numbers, count);
    return TEARS_OK;
}

static tears_status decode_vector_text(struct tears_str cell, struct t3_arena *arena,
                                       struct tears_value *value_out)
{
    struct tears_doubles numbers;
    const tears_status status = t3_vector_parse(arena, cell, &numbers);
    if (status != TEARS_OK)
        return status == TEARS_NO_MEMORY ? status : TEARS_CORRUPT;
    *value_out = tears_vector(numbers.ptr, numbers.len);
    return TEARS_OK;
}

static tears_status decode_integer(enum t3_pg_how how, struct tears_str cell, int64_t *integer_out)
{
    if (how == T3_PG_HOW_INT8 && cell.len == 8)
        *integer_out = (int64_t)read_64(cell.ptr);
    else if (how == T3_PG_HOW_INT4 && cell.len == 4)
        *integer_out = (int32_t)read_32(cell.ptr);
    else if (how == T3_PG_HOW_INT2 && cell.len == 2)
        *integer_out = (int16_t)read_16(cell.ptr);
    else if (how == T3_PG_HOW_OID && cell.len == 4)
        *integer_out = read_32(cell.ptr);
    else
        return TEARS_CORRUPT;
    return TEARS_OK;
}

static tears_status decode_int_decimal(struct tears_str cell, struct t3_arena *arena,
                                       struct tears_value *value_out)
{
    int64_t integer = 0;
    const enum t3_pg_how how = cell.len == 8   ? T3_PG_HOW_INT8
                               : cell.len == 4 ? T3_PG_HOW_INT4
                                               : T3_PG_HOW_INT2;
    T3_TRY(decode_integer(how, cell, &integer));
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    struct tears_str copy;
    T3_TRY(t3_buf_printf(&text, "%lld", (long long)integer));
    T3_TRY(t3_arena_str(arena, t3_buf_str(&text), &copy));
    *value_out = tears_decimal(copy);
    return TEARS_OK;
}

static tears_status decode_uuid_text(struct tears_str cell, struct tears_value *value_out)
{
    uint8_t uuid[16];
    if (tears_uuid_parse(cell, uuid) != TEARS_OK)
        return TEARS_CORRUPT;
    *value_out = tears_uuid(uuid);
    return TEARS_OK;
}

static tears_status decode_timestamp_text(struct tears_str cell, struct tears_value *value_out)
{
    int64_t us = 0;
    if (t3_timestamp_parse(cell, &us) != TEARS_OK)
        return TEARS_CORRUPT;
    *value_out = tears_timestamp_us(us);
    return TEARS_OK;
}

/* What needs memory or parsing. */
static tears_status decode_made(enum t3_pg_how how, struct tears_str cell, struct t3_arena *arena,
                                struct tears_value *value_out)
{
    if (how == T3_PG_HOW_NUMERIC) {
        struct tears_str text;
        T3_TRY(t3_pg_numeric_text(cell, arena, &text));
        *value_out = tears_decimal(text);
        return TEARS_OK;
    }
    if (how == T3_PG_HOW_INT_DECIMAL)
        return decode_int_decimal(cell, arena, value_out);
    if (how == T3_PG_HOW_VECTOR)
        return decode_vector(cell, arena, value_out);
    if (how == T3_PG_HOW_VECTOR_TEXT)
        return decode_vector_text(cell, arena, value_out);
    if (how == T3_PG_HOW_UUID_TEXT)
        return decode_uuid_text(cell, value_out);
    if (how == T3_PG_HOW_TIMESTAMP_TEXT)
        return decode_timestamp_text(cell, value_out);
    return TEARS_CORRUPT;
}

static tears_status decode_bool(struct tears_str cell, struct tears_value *value_out)
{
    if (cell.len != 1)
        return TEARS_CORRUPT;
    *value_out = tears_bool(cell.ptr[0] != 0);
    return TEARS_OK;
}

static tears_status decode_double(enum t3_pg_how how, struct tears_str cell,
                                  struct tears_value *value_out)
{
    if (cell.len != (how == T3_PG_HOW_FLOAT8 ? 8u : 4u))
        return TEARS_CORRUPT;
    *value_out =
        tears_double(how == T3_PG_HOW_FLOAT8 ? read_float8(cell.ptr) : read_float4(cell.ptr));
    return TEARS_OK;
}

static tears_status decode_uuid(struct tears_str cell, struct tears_value *value_out)
{
    if (cell.len != 16)
        return TEARS_CORRUPT;
    value_out->kind = TEARS_KIND_UUID;
    value_out->flags = 0;
    memcpy(value_out->as.uuid, cell.ptr, 16);
    return TEARS_OK;
}

tears_status t3_pg_decode(enum t3_pg_how how, uint32_t kind, struct tears_str cell,
                          struct t3_arena *arena, struct tears_value *value_out)
{
    switch (how) {
    case T3_PG_HOW_BYTES:
    case T3_PG_HOW_DECIMAL_TEXT:
        *value_out = tears_bytes_of_kind(kind, cell);
        return TEARS_OK;
    case T3_PG_HOW_UUID:
        return decode_uuid(cell, value_out);
    case T3_PG_HOW_TIMESTAMP:
        return decode_timestamp(cell, value_out);
    case T3_PG_HOW_INT2:
    case T3_PG_HOW_INT4:
    case T3_PG_HOW_INT8:
    case T3_PG_HOW_OID: {
        int64_t integer = 0;
        T3_TRY(decode_integer(how, cell, &integer));
        *value_out = tears_int(integer);
        return TEARS_OK;
    }
    case T3_PG_HOW_BOOL:
        return decode_bool(cell, value_out);
    case T3_PG_HOW_FLOAT4:
    case T3_PG_HOW_FLOAT8:
        return decode_double(how, cell, value_out);
    case T3_PG_HOW_JSONB:
        return decode_jsonb(cell, value_out);
    case T3_PG_HOW_NONE:
    case T3_PG_HOW_NUMERIC:
    case T3_PG_HOW_INT_DECIMAL:
    case T3_PG_HOW_VECTOR:
    case T3_PG_HOW_VECTOR_TEXT:
    case T3_PG_HOW_UUID_TEXT:
    case T3_PG_HOW_TIMESTAMP_TEXT:
    default:
        return decode_made(how, cell, arena, value_out);
    }
}

/* ---- parameters -------------------------------------------------------------------------------
 */

static bool kind_has_bytes(uint32_t kind)
{
    return kind == TEARS_KIND_TEXT || kind == TEARS_KIND_DECIMAL || kind == TEARS_KIND_JSON ||
           kind == TEARS_KIND_BYTES;
}

static bool timestamp_fits(int64_t us)
{
    int64_t since_2000 = 0;
    return us == INT64_MIN || us == INT64_MAX ||
           !__builtin_sub_overflow(us, EPOCH_GAP_US, &since_2000);
}

size_t t3_pg_encoded_size(uint32_t type, const struct tears_value *value)
{
    const uint32_t kind = value->kind;
    switch (type) {
    case T3_PG_BOOL:
        return kind == TEARS_KIND_BOOL ? 1 : SIZE_MAX;
    case T3_PG_INT8:
        return kind == TEARS_KIND_INT ? 8 : SIZE_MAX;
    case T3_PG_INT4:
        return kind == TEARS_KIND_INT && value->as.integer == (int32_t)value->as.integer ? 4
                                                                                         : SIZE_MAX;
    case T3_PG_INT2:
        return kind == TEARS_KIND_INT && value->as.integer == (int16_t)value->as.integer ? 2
                                                                                         : SIZE_MAX;
    case T3_PG_FLOAT8:
        return kind == TEARS_KIND_DOUBLE ? 8 : SIZE_MAX;
    case T3_PG_FLOAT4:
        return kind == TEARS_KIND_DOUBLE ? 4 : SIZE_MAX;
    case T3_PG_UUID:
        return kind == TEARS_KIND_UUID ? 16 : SIZE_MAX;
    case T3_PG_TIMESTAMPTZ:
        return kind == TEARS_KIND_TIMESTAMP && timestamp_fits(value->as.integer) ? 8 : SIZE_MAX;
    default:
        return kind_has_bytes(kind) ? value->as.bytes.len : SIZE_MAX;
    }
}

static void encode_double(uint32_t type, double number, char *out)
{
    if (type == T3_PG_FLOAT8) {
        uint64_t bits;
        memcpy(&bits, &number, sizeof bits);
        write_64(out, bits);
        return;
    }
    const float narrow = (float)number;
    uint32_t bits;
    memcpy(&bits, &narrow, sizeof bits);
    write_32(out, bits);
}

static int64_t since_2000_of(int64_t us)
{
    return us == INT64_MIN || us == INT64_MAX ? us : us - EPOCH_GAP_US;
}

void t3_pg_encode(uint32_t type, const struct tears_value *value, char *out)
{
    switch (type) {
    case T3_PG_BOOL:
        out[0] = value->as.boolean ? 1 : 0;
        return;
    case T3_PG_INT8:
        write_64(out, (uint64_t)value->as.integer);
        return;
    case T3_PG_INT4:
        write_32(out, (uint32_t)value->as.integer);
        return;
    case T3_PG_INT2:
        write_16(out, (uint16_t)value->as.integer);
        return;
    case T3_PG_FLOAT8:
    case T3_PG_FLOAT4:
        encode_double(type, value->as.number, out);
        return;
    case T3_PG_UUID:
        memcpy(out, value->as.uuid, 16);
        return;
    case T3_PG_TIMESTAMPTZ:
        write_64(out, (uint64_t)since_2000_of(value->as.integer));
        return;
    default:
        if (value->as.bytes.len > 0)
            memcpy(out, value->as.bytes.ptr, value->as.bytes.len);
    }
}
