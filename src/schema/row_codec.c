/*
 * row_codec.c -- rows as JSON objects: the bytes of an L2 value.
 *
 * Owns:     nothing; results are in the caller's arena or buffer.
 * Must not know: L2, keys, versions.
 * Threads:  any.
 * Fails:    TEARS_CORRUPT with a byte position on damaged values; TEARS_NO_MEMORY, TEARS_LIMIT.
 * Begin at: t3_row_decode(), t3_row_encode().
 *
 * A value nearly always comes from a writer that used the same column order and Python's spelling,
 * so the decoder first compares with the bytes that would come next then (`, "name": `) and only
 * parses a member's name when they differ. Text without escapes is not copied before it goes into
 * the row; what must be converted first goes into a few kilobytes on the stack, or into a scratch
 * arena when they are used up.
 */
#include "schema/row_codec.h"

#include "base/fail.h"
#include "base/limits.h"
#include "base/str.h"
#include "codec/json.h"
#include "codec/text.h"

#include <math.h>

static const char origin[] = "codec.row";

enum { STACK_COLUMNS = 64, STACK_SCRATCH_BYTES = 2048 };

/* ---- encoding -----------------------------------------------------------------------------------
 */

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

/* ---- decoding: one value ------------------------------------------------------------------------
 */

struct decoder {
    const struct tears_schema *schema;
    struct t3_json_reader reader;
    struct t3_arena *arena; /* for what the stack has no room for */
    char *stack_at; /* scratch memory that ends with the decoder; NULL: results must outlive it */
    char *stack_end;
    bool strict; /* input by people: nothing is bent to fit */
    struct tears_error *error;
};

static tears_status damage(const struct decoder *decoder)
{
    return decoder->strict ? TEARS_INVALID : TEARS_CORRUPT;
}

static void *take_memory(struct decoder *decoder, size_t bytes)
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
static tears_status fail_value(struct decoder *decoder, uint32_t column,
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

static tears_status fail_json(struct decoder *decoder, tears_status status)
{
    if (status == TEARS_LIMIT)
        return t3_fail(decoder->error, TEARS_LIMIT, origin,
                       "table '" T3_STR_FMT "': JSON is nested deeper than %d levels at byte %zu",
                       T3_STR_ARG(decoder->schema->name), T3_JSON_DEPTH_MAX, decoder->reader.at);
    return t3_fail(decoder->error, damage(decoder), origin,
                   "table '" T3_STR_FMT "': malformed JSON at byte %zu of %zu",
                   T3_STR_ARG(decoder->schema->name), decoder->reader.at, decoder->reader.text.len);
}

static tears_status fail_memory(struct decoder *decoder)
{
    return t3_fail_memory(decoder->error, origin);
}

/* The content of a JSON string, resolved. */
static tears_status resolve(struct decoder *decoder, const struct t3_json_value *string,
                            struct tears_str *text_out)
{
    if (!string->escaped) {
        *text_out = string->text;
        return TEARS_OK;
    }
    char *text = take_memory(decoder, string->text.len);
    if (text == NULL)
        return fail_memory(decoder);
    const size_t len = t3_json_unescape_to(string->text, text);
    T3_ASSERT(len != SIZE_MAX); /* the reader has checked it */
    *text_out = tears_str_n(text, len);
    return TEARS_OK;
}

static tears_status decode_text(struct decoder *decoder, uint32_t column,
                                const struct t3_json_value *value, struct tears_value *out)
{
    if (value->kind != T3_JSON_STRING)
        return fail_value(decoder, column, value, "a string");
    out->kind = decoder->schema->columns[column].kind;
    return resolve(decoder, value, &out->as.bytes);
}

static tears_status decode_bool(struct decoder *decoder, uint32_t column,
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
    if (t3_double_parse(text, &number) != TEARS_OK || !(number >= -0x1p63 && number < 0x1p63) ||
        (whole_only && number != trunc(number)))
        return false;
    *out = (int64_t)number;
    return true;
}

static tears_status decode_int(struct decoder *decoder, uint32_t column,
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

static tears_status decode_double(struct decoder *decoder, uint32_t column,
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
static tears_status decode_decimal(struct decoder *decoder, uint32_t column,
                                   const struct t3_json_value *value, struct tears_value *out)
{
    struct tears_str text = value->text;
    if (value->kind == T3_JSON_STRING)
        T3_TRY(resolve(decoder, value, &text));
    const bool is_text = value->kind == T3_JSON_NUMBER || value->kind == T3_JSON_STRING;
    if (!is_text || !t3_decimal_is_valid(text))
        return fail_value(decoder, column, value, "a decimal number");
    *out = tears_decimal(text);
    return TEARS_OK;
}

static tears_status decode_bytes(struct decoder *decoder, uint32_t column,
                                 const struct t3_json_value *value, struct tears_value *out)
{
    const bool hex = decoder->schema->byte_codec == TEARS_BYTES_HEX;
    const char *expected = hex ? "bytes in hexadecimal" : "bytes in base64";
    if (value->kind != T3_JSON_STRING)
        return fail_value(decoder, column, value, expected);
    struct tears_str text;
    T3_TRY(resolve(decoder, value, &text));
    char *bytes = take_memory(decoder, text.len);
    if (bytes == NULL)
        return fail_memory(decoder);
    const size_t len = hex ? t3_hex_parse_to(text, bytes) : t3_base64_parse_to(text, false, bytes);
    if (len == SIZE_MAX)
        return fail_value(decoder, column, value, expected);
    *out = tears_bytes(tears_str_n(bytes, len));
    return TEARS_OK;
}

static tears_status decode_uuid(struct decoder *decoder, uint32_t column,
                                const struct t3_json_value *value, struct tears_value *out)
{
    struct tears_str text = tears_str_n(NULL, 0);
    uint8_t uuid[16];
    if (value->kind == T3_JSON_STRING)
        T3_TRY(resolve(decoder, value, &text));
    if (tears_uuid_parse(text, uuid) != TEARS_OK)
        return fail_value(decoder, column, value, "a UUID");
    *out = tears_uuid(uuid);
    return TEARS_OK;
}

static tears_status decode_timestamp(struct decoder *decoder, uint32_t column,
                                     const struct t3_json_value *value, struct tears_value *out)
{
    struct tears_str text = tears_str_n(NULL, 0);
    int64_t us;
    bool naive;
    if (value->kind == T3_JSON_STRING)
        T3_TRY(resolve(decoder, value, &text));
    if (t3_timestamp_read(text, &us, &naive) != TEARS_OK)
        return fail_value(decoder, column, value, "a timestamp");
    *out = tears_timestamp_us(us);
    out->flags = naive ? T3_VALUE_NAIVE : 0;
    return TEARS_OK;
}

/* The JSON text itself; what was written in ASCII becomes UTF-8 again. */
static tears_status decode_json(struct decoder *decoder, const struct t3_json_value *value,
                                struct tears_value *out)
{
    struct tears_str json = value->text;
    if (value->kind == T3_JSON_STRING)
        json = tears_str_n(json.ptr - 1, json.len + 2); /* with its quotes */
    if (memchr(json.ptr, '\\', json.len) != NULL) {
        char *text = take_memory(decoder, json.len);
        if (text == NULL)
            return fail_memory(decoder);
        json = tears_str_n(text, t3_json_from_ascii(json, text));
    }
    *out = tears_json(json);
    return TEARS_OK;
}

static tears_status decode_vector(struct decoder *decoder, uint32_t column,
                                  const struct t3_json_value *value, struct tears_value *out)
{
    struct tears_str text = value->text;
    if (value->kind == T3_JSON_STRING) {
        T3_TRY(resolve(decoder, value, &text));
    } else if (value->kind != T3_JSON_ARRAY) {
        if (decoder->strict)
            return fail_value(decoder, column, value, "an array of numbers");
        *out = tears_null(); /* as peers read it */
        return TEARS_OK;
    }
    struct tears_doubles vector;
    const tears_status status = t3_vector_parse(decoder->arena, text, &vector);
    if (status == TEARS_NO_MEMORY)
        return fail_memory(decoder);
    if (status != TEARS_OK)
        return fail_value(decoder, column, value, "an array of numbers");
    *out = tears_vector(vector.ptr, vector.len);
    return TEARS_OK;
}

static tears_status decode_value(struct decoder *decoder, uint32_t column,
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

/* ---- decoding: the object -----------------------------------------------------------------------
 */

/* Passes `{"name": ` or `, "name": ` of the expected column, if these are the next bytes. */
static bool skip_expected_name(struct t3_json_reader *reader, const struct t3_column *column,
                               bool first)
{
    const size_t separator = first ? 0 : 2;
    const size_t need = separator + column->json_name.len;
    const char *at = reader->text.ptr + reader->at;
    if (reader->text.len - reader->at < need || (!first && (at[0] != ',' || at[1] != ' ')) ||
        memcmp(at + separator, column->json_name.ptr, column->json_name.len) != 0)
        return false;
    reader->at += need;
    return true;
}

/* A member's name and where it belongs: the column, or T3_NO_COLUMN and the name. */
struct member {
    uint32_t column;
    struct tears_str name;
    bool done;
};

/* Reads up to the next member's value. */
static tears_status next_member(struct decoder *decoder, bool first, uint32_t expected,
                                struct member *member)
{
    const struct tears_schema *schema = decoder->schema;
    member->done = false;
    if (expected < schema->column_count &&
        skip_expected_name(&decoder->reader, &schema->columns[expected], first)) {
        member->column = expected;
        return TEARS_OK;
    }
    struct t3_json_value name;
    const tears_status status = t3_json_member(&decoder->reader, first, &name, &member->done);
    if (status != TEARS_OK)
        return fail_json(decoder, status);
    if (member->done)
        return TEARS_OK;
    T3_TRY(resolve(decoder, &name, &member->name));
    const bool is_expected = expected < schema->column_count &&
                             t3_str_equal(member->name, schema->columns[expected].name);
    member->column = is_expected ? expected : t3_schema_find(schema, member->name);
    return TEARS_OK;
}

/* NaN and Infinity are Python's, not JSON's: they stand for numbers, but not inside a jsonb value.
 */
static bool may_be_nonfinite(const struct tears_schema *schema, uint32_t column)
{
    if (column == T3_NO_COLUMN)
        return true;
    const uint8_t kind = schema->columns[column].kind;
    return kind == TEARS_KIND_DOUBLE || kind == TEARS_KIND_DECIMAL || kind == TEARS_KIND_VECTOR;
}

static struct tears_str whole_text(const struct t3_json_value *value)
{
    if (value->kind == T3_JSON_STRING)
        return tears_str_n(value->text.ptr - 1, value->text.len + 2);
    return value->text;
}

/* Takes the value of a member that the schema has or has not. */
static tears_status take_value(struct decoder *decoder, const struct member *member,
                               const struct t3_members *members)
{
    struct t3_json_value value;
    decoder->reader.allow_nonfinite = may_be_nonfinite(decoder->schema, member->column);
    const tears_status status = t3_json_value(&decoder->reader, &value);
    if (status != TEARS_OK)
        return fail_json(decoder, status);
    if (member->column != T3_NO_COLUMN) {
        struct tears_value *slot = &members->values[member->column];
        if (decoder->strict && slot->kind != T3_KIND_ABSENT)
            return t3_fail(decoder->error, TEARS_INVALID, origin,
                           "column '" T3_STR_FMT "' is given twice",
                           T3_STR_ARG(decoder->schema->columns[member->column].name));
        slot->flags = 0;
        return decode_value(decoder, member->column, &value, slot);
    }
    if (decoder->strict)
        return t3_fail(decoder->error, TEARS_INVALID, origin,
                       "table '" T3_STR_FMT "' has no column '" T3_STR_FMT "'",
                       T3_STR_ARG(decoder->schema->name), T3_STR_ARG(member->name));
    if (members->unknown != NULL)
        members->unknown(members->owner, member->name, whole_text(&value));
    return TEARS_OK;
}

static tears_status decode_object(struct decoder *decoder, const struct t3_members *members)
{
    for (uint32_t i = 0; i < decoder->schema->column_count; i++)
        members->values[i].kind = T3_KIND_ABSENT;
    if (decoder->reader.text.len > T3_ROW_BYTES_MAX)
        return t3_fail(decoder->error, TEARS_LIMIT, origin, "a row of %zu bytes; the limit is %zu",
                       decoder->reader.text.len, T3_ROW_BYTES_MAX);
    tears_status status = t3_json_object_open(&decoder->reader);
    if (status != TEARS_OK)
        return fail_json(decoder, status);
    struct member member = {.column = T3_NO_COLUMN};
    for (bool first = true;; first = false) {
        T3_TRY(next_member(decoder, first, member.column + 1, &member)); /* T3_NO_COLUMN + 1 is 0 */
        if (member.done)
            break;
        T3_TRY(take_value(decoder, &member, members));
    }
    status = t3_json_end(&decoder->reader);
    return status == TEARS_OK ? TEARS_OK : fail_json(decoder, status);
}

tears_status t3_members_decode(const struct tears_schema *schema, struct tears_str json,
                               struct t3_arena *arena, const struct t3_members *members,
                               struct tears_error *error_out)
{
    struct decoder decoder = {
        .schema = schema, .reader = {.text = json}, .arena = arena, .error = error_out};
    return decode_object(&decoder, members);
}

/* ---- decoding: rows -----------------------------------------------------------------------------
 */

/* Puts NULL where a column that the database computes is missing; any other must be there. */
static tears_status complete(struct decoder *decoder, struct tears_value *values)
{
    const struct tears_schema *schema = decoder->schema;
    for (uint32_t i = 0; i < schema->column_count; i++) {
        if (T3_LIKELY(values[i].kind != T3_KIND_ABSENT))
            continue;
        if (!schema->columns[i].generated)
            return t3_fail(decoder->error, TEARS_CORRUPT, origin,
                           "table '" T3_STR_FMT "': column '" T3_STR_FMT "' is missing",
                           T3_STR_ARG(schema->name), T3_STR_ARG(schema->columns[i].name));
        values[i] = tears_null();
    }
    return TEARS_OK;
}

static tears_status decode_row(struct decoder *decoder, struct tears_value *values,
                               struct t3_arena *arena, struct t3_row **row_out)
{
    const struct t3_members members = {.values = values};
    T3_TRY(decode_object(decoder, &members));
    T3_TRY(complete(decoder, values));
    const tears_status status = t3_row_new(arena, &decoder->schema->layout, values, row_out);
    if (status == TEARS_NO_MEMORY)
        return fail_memory(decoder);
    if (status != TEARS_OK)
        return t3_fail(decoder->error, status, origin,
                       "table '" T3_STR_FMT "': the row is too large",
                       T3_STR_ARG(decoder->schema->name));
    return TEARS_OK;
}

tears_status t3_row_decode(const struct tears_schema *schema, struct tears_str json,
                           struct t3_arena *arena, struct t3_row **row_out,
                           struct tears_error *error_out)
{
    char stack[STACK_SCRATCH_BYTES];
    struct tears_value stack_values[STACK_COLUMNS];
    T3_AUTO(t3_arena_done) struct t3_arena scratch = {0};
    struct decoder decoder = {.schema = schema,
                              .reader = {.text = json},
                              .arena = &scratch,
                              .stack_at = stack,
                              .stack_end = stack + sizeof stack,
                              .error = error_out};
    struct tears_value *values = stack_values;
    if (schema->column_count > STACK_COLUMNS) {
        values = t3_arena_alloc(&scratch, schema->column_count * sizeof *values);
        if (values == NULL)
            return fail_memory(&decoder);
    }
    return decode_row(&decoder, values, arena, row_out);
}

/* ---- decoding: input by people ------------------------------------------------------------------
 */

/* The members that are there, checked against their columns, in the order of the schema. */
static tears_status collect_fields(struct decoder *decoder, const struct tears_value *values,
                                   struct tears_field *fields, size_t *count_out)
{
    const struct tears_schema *schema = decoder->schema;
    size_t count = 0;
    for (uint32_t i = 0; i < schema->column_count; i++) {
        if (values[i].kind == T3_KIND_ABSENT)
            continue;
        fields[count].name = schema->columns[i].name;
        T3_TRY(t3_value_coerce(schema, i, &values[i], true, decoder->arena, &fields[count].value,
                               decoder->error));
        count++;
    }
    *count_out = count;
    return TEARS_OK;
}

tears_status t3_fields_decode(const struct tears_schema *schema, struct tears_str json,
                              struct t3_arena *arena, struct tears_field **fields_out,
                              size_t *count_out, struct tears_error *error_out)
{
    struct decoder decoder = {.schema = schema,
                              .reader = {.text = json},
                              .arena = arena,
                              .strict = true,
                              .error = error_out};
    struct tears_field *fields = t3_arena_array(arena, schema->column_count, sizeof *fields);
    struct tears_value *values = t3_arena_array(arena, schema->column_count, sizeof *values);
    if (fields == NULL || values == NULL)
        return fail_memory(&decoder);
    const struct t3_members members = {.values = values};
    T3_TRY(decode_object(&decoder, &members));
    size_t count;
    T3_TRY(collect_fields(&decoder, values, fields, &count));
    *fields_out = fields;
    *count_out = count;
    return TEARS_OK;
}
