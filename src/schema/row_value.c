/*
 * row_value.c -- one member of a row's JSON object as a value of its column's kind.
 *
 * Owns:     nothing; memory is the decoder's.
 * Must not know: the object around the value.
 * Threads:  one per decoder.
 * Fails:    TEARS_CORRUPT (TEARS_INVALID for input by people) with column and position;
 * TEARS_NO_MEMORY. Begin at: t3_row_decode_value().
 *
 * What is accepted is what peers write and read (spec wire-observed.md 5): more than we write.
 */
#include "base/fail.h"
#include "base/limits.h"
#include "codec/text.h"
#include "schema/row_codec_impl.h"

#include <math.h>

static const char origin[] = "codec.row";

static tears_status damage(const struct t3_row_decoder *decoder)
{
    return decoder->strict ? TEARS_INVALID : TEARS_CORRUPT;
}

static void *take_memory(struct t3_row_decoder *decoder, size_t bytes)
{
    if (decoder->stack_at == NULL || (size_t)(decoder->stack_end - decoder->stack_at) < bytes)
        return t3_arena_alloc(decoder->arena, bytes);
    char *memory = decoder->stack_at;
    decoder->stack_at += bytes;
    return memory;
}

static const char *kind_of_json(enum t3_json_kind kind)
{
    static const char *const names[] = {"null",     "true",     "false",    "a number",
                                        "a string", "an array", "an object"};
    return names[kind];
}

/*
 * The value is of a type or has a content that the column cannot have.  A person is shown what was
 * written; a damaged cache entry's content is nobody's to see in a log.
 */
static tears_status fail_value(struct t3_row_decoder *decoder, uint32_t column,
                               const struct t3_json_value *value, const char *expected)
{
    const struct tears_str name = decoder->schema->columns[column].name;
    if (decoder->strict)
        return t3_fail(
            decoder->error, TEARS_INVALID, origin,
            "table '" T3_STR_FMT "': column '" T3_STR_FMT "' expects %s, not '" T3_STR_FMT "'",
            T3_STR_ARG(decoder->schema->name), T3_STR_ARG(name), expected, T3_STR_ARG(value->text));
    return t3_fail(
        decoder->error, TEARS_CORRUPT, origin,
        "table '" T3_STR_FMT "': column '" T3_STR_FMT "' at byte %zu: expected %s, found %s",
        T3_STR_ARG(decoder->schema->name), T3_STR_ARG(name),
        (size_t)(value->text.ptr - decoder->reader.text.ptr), expected, kind_of_json(value->kind));
}

tears_status t3_row_fail_json(struct t3_row_decoder *decoder, tears_status status)
{
    if (status == TEARS_LIMIT)
        return t3_fail(decoder->error, TEARS_LIMIT, origin,
                       "table '" T3_STR_FMT "': JSON is nested deeper than %d levels at byte %zu",
                       T3_STR_ARG(decoder->schema->name), T3_JSON_DEPTH_MAX, decoder->reader.at);
    return t3_fail(decoder->error, damage(decoder), origin,
                   "table '" T3_STR_FMT "': malformed JSON at byte %zu of %zu",
                   T3_STR_ARG(decoder->schema->name), decoder->reader.at, decoder->reader.text.len);
}

tears_status t3_row_fail_memory(struct t3_row_decoder *decoder)
{
    return t3_fail_memory(decoder->error, origin);
}

tears_status t3_row_resolve(struct t3_row_decoder *decoder, const struct t3_json_value *string,
                            struct tears_str *text_out)
{
    if (!string->escaped) {
        *text_out = string->text;
        return TEARS_OK;
    }
    char *text = take_memory(decoder, string->text.len);
    if (text == NULL)
        return t3_row_fail_memory(decoder);
    const size_t len = t3_json_unescape_to(string->text, text);
    T3_ASSERT(len != SIZE_MAX); /* the reader has checked it */
    *text_out = tears_str_n(text, len);
    return TEARS_OK;
}

static tears_status decode_text(struct t3_row_decoder *decoder, uint32_t column,
                                const struct t3_json_value *value, struct tears_value *out)
{
    if (value->kind != T3_JSON_STRING)
        return fail_value(decoder, column, value, "a string");
    out->kind = decoder->schema->columns[column].kind;
    return t3_row_resolve(decoder, value, &out->as.bytes);
}

static tears_status decode_bool(struct t3_row_decoder *decoder, uint32_t column,
                                const struct t3_json_value *value, struct tears_value *out)
{
    int64_t number = 0;
    const bool is_number = !decoder->strict && value->kind == T3_JSON_NUMBER &&
                           t3_int_parse(value->text, &number) == TEARS_OK;
    if (!is_number && value->kind != T3_JSON_TRUE && value->kind != T3_JSON_FALSE)
        return fail_value(decoder, column, value, "true or false");
    *out = tears_bool(value->kind == T3_JSON_TRUE || number != 0);
    return TEARS_OK;
}

/* 5.0 is 5, and 5.9 is 5 for peers, too; nothing that needs more than 64 bits. */
static bool truncate_double(struct tears_str text, bool whole_only, int64_t *out)
{
    double number;
    if (t3_double_parse(text, &number) != TEARS_OK ||
        !(number >= -9223372036854775808.0 && number < 9223372036854775808.0) ||
        (whole_only && number != trunc(number)))
        return false;
    *out = (int64_t)number;
    return true;
}

static tears_status decode_int(struct t3_row_decoder *decoder, uint32_t column,
                               const struct t3_json_value *value, struct tears_value *out)
{
    int64_t number = 0;
    bool fits = false;
    if (value->kind == T3_JSON_NUMBER)
        fits = t3_int_parse(value->text, &number) == TEARS_OK ||
               truncate_double(value->text, decoder->strict, &number);
    else if (!decoder->strict && value->kind == T3_JSON_STRING)
        fits = t3_int_parse(value->text, &number) == TEARS_OK;
    else if (!decoder->strict && (value->kind == T3_JSON_TRUE || value->kind == T3_JSON_FALSE)) {
        number = value->kind == T3_JSON_TRUE;
        fits = true;
    }
    if (!fits)
        return fail_value(decoder, column, value, "an integer of 64 bits");
    *out = tears_int(number);
    return TEARS_OK;
}

static tears_status decode_double(struct t3_row_decoder *decoder, uint32_t column,
                                  const struct t3_json_value *value, struct tears_value *out)
{
    double number;
    const bool is_text = value->kind == T3_JSON_NUMBER || value->kind == T3_JSON_STRING;
    if (!is_text || t3_double_parse(value->text, &number) != TEARS_OK)
        return fail_value(decoder, column, value, "a number");
    *out = tears_double(number);
    return TEARS_OK;
}

/* A number, as it is written, or a string that holds one. */
static tears_status decode_decimal(struct t3_row_decoder *decoder, uint32_t column,
                                   const struct t3_json_value *value, struct tears_value *out)
{
    struct tears_str text = value->text;
    if (value->kind == T3_JSON_STRING)
        T3_TRY(t3_row_resolve(decoder, value, &text));
    const bool is_text = value->kind == T3_JSON_NUMBER || value->kind == T3_JSON_STRING;
    if (!is_text || !t3_decimal_is_valid(text))
        return fail_value(decoder, column, value, "a decimal number");
    *out = tears_decimal(text);
    return TEARS_OK;
}

static tears_status decode_bytes(struct t3_row_decoder *decoder, uint32_t column,
                                 const struct t3_json_value *value, struct tears_value *out)
{
    const bool hex = decoder->schema->byte_codec == TEARS_BYTES_HEX;
    const char *expected = hex ? "bytes in hexadecimal" : "bytes in base64";
    if (value->kind != T3_JSON_STRING)
        return fail_value(decoder, column, value, expected);
    struct tears_str text;
    T3_TRY(t3_row_resolve(decoder, value, &text));
    char *bytes = take_memory(decoder, text.len);
    if (bytes == NULL)
        return t3_row_fail_memory(decoder);
    const size_t len = hex ? t3_hex_parse_to(text, bytes) : t3_base64_parse_to(text, false, bytes);
    if (len == SIZE_MAX)
        return fail_value(decoder, column, value, expected);
    *out = tears_bytes(tears_str_n(bytes, len));
    return TEARS_OK;
}

static tears_status decode_uuid(struct t3_row_decoder *decoder, uint32_t column,
                                const struct t3_json_value *value, struct tears_value *out)
{
    struct tears_str text = tears_str_n(NULL, 0);
    uint8_t uuid[16];
    if (value->kind == T3_JSON_STRING)
        T3_TRY(t3_row_resolve(decoder, value, &text));
    if (tears_uuid_parse(text, uuid) != TEARS_OK)
        return fail_value(decoder, column, value, "a UUID");
    *out = tears_uuid(uuid);
    return TEARS_OK;
}

static tears_status decode_timestamp(struct t3_row_decoder *decoder, uint32_t column,
                                     const struct t3_json_value *value, struct tears_value *out)
{
    struct tears_str text = tears_str_n(NULL, 0);
    int64_t us;
    bool naive;
    if (value->kind == T3_JSON_STRING)
        T3_TRY(t3_row_resolve(decoder, value, &text));
    if (t3_timestamp_read(text, &us, &naive) != TEARS_OK)
        return fail_value(decoder, column, value, "a timestamp");
    *out = tears_timestamp_us(us);
    out->flags = naive ? T3_VALUE_NAIVE : 0;
    return TEARS_OK;
}

/* The JSON text itself; what was written in ASCII becomes UTF-8 again. */
static tears_status decode_json(struct t3_row_decoder *decoder, const struct t3_json_value *value,
                                struct tears_value *out)
{
    struct tears_str json = value->text;
    if (value->kind == T3_JSON_STRING)
        json = tears_str_n(json.ptr - 1, json.len + 2); /* with its quotes */
    if (memchr(json.ptr, '\\', json.len) != NULL) {
        char *text = take_memory(decoder, json.len);
        if (text == NULL)
            return t3_row_fail_memory(decoder);
        json = tears_str_n(text, t3_json_from_ascii(json, text));
    }
    *out = tears_json(json);
    return TEARS_OK;
}

static tears_status decode_vector(struct t3_row_decoder *decoder, uint32_t column,
                                  const struct t3_json_value *value, struct tears_value *out)
{
    struct tears_str text = value->text;
    if (value->kind == T3_JSON_STRING) {
        T3_TRY(t3_row_resolve(decoder, value, &text));
    } else if (value->kind != T3_JSON_ARRAY) {
        if (decoder->strict)
            return fail_value(decoder, column, value, "an array of numbers");
        *out = tears_null(); /* as peers read it */
        return TEARS_OK;
    }
    struct tears_doubles vector;
    const tears_status status = t3_vector_parse(decoder->arena, text, &vector);
    if (status == TEARS_NO_MEMORY)
        return t3_row_fail_memory(decoder);
    if (status != TEARS_OK)
        return fail_value(decoder, column, value, "an array of numbers");
    *out = tears_vector(vector.ptr, vector.len);
    return TEARS_OK;
}

tears_status t3_row_decode_value(struct t3_row_decoder *decoder, uint32_t column,
                                 const struct t3_json_value *value, struct tears_value *out)
{
    if (value->kind == T3_JSON_NULL) {
        *out = tears_null();
        return TEARS_OK;
    }
    switch (decoder->schema->columns[column].kind) {
    case TEARS_KIND_BOOL:
        return decode_bool(decoder, column, value, out);
    case TEARS_KIND_INT:
        return decode_int(decoder, column, value, out);
    case TEARS_KIND_DOUBLE:
        return decode_double(decoder, column, value, out);
    case TEARS_KIND_DECIMAL:
        return decode_decimal(decoder, column, value, out);
    case TEARS_KIND_BYTES:
        return decode_bytes(decoder, column, value, out);
    case TEARS_KIND_UUID:
        return decode_uuid(decoder, column, value, out);
    case TEARS_KIND_TIMESTAMP:
        return decode_timestamp(decoder, column, value, out);
    case TEARS_KIND_JSON:
        return decode_json(decoder, value, out);
    case TEARS_KIND_VECTOR:
        return decode_vector(decoder, column, value, out);
    default:
        return decode_text(decoder, column, value, out);
    }
}
