/*
 * row_json.c -- the row codec as public functions: fields to JSON, and back.
 *
 * Owns:     nothing; what a row points to lives in an arena for the length of the call.
 * Knows:    base/, codec/, row_codec.h.
 * Must not know: tiers.
 * Threads:  any.
 * Fails:    as tears/row_json.h says.
 * Begin at: tears_row_to_json().
 */
#include "base/fail.h"
#include "base/owned_text.h"
#include "base/str.h"
#include "codec/json.h"
#include "codec/text.h"
#include "schema/row_codec.h"

#include <tears/row_json.h>

#define ORIGIN "row.json"

/* ---- writing ----------------------------------------------------------------------------------- */

/* What the caller gives has not been through a schema. */
static bool value_is_sound(const struct tears_value *value)
{
    switch (value->kind) {
    case TEARS_KIND_TEXT:
        return t3_str_is_utf8(value->as.bytes);
    case TEARS_KIND_DECIMAL:
        return t3_decimal_is_valid(value->as.bytes);
    case TEARS_KIND_JSON:
        return t3_json_is_valid(value->as.bytes);
    default:
        return value->kind <= TEARS_KIND_VECTOR;
    }
}

static bool has_name(const struct tears_field *fields, size_t count, struct tears_str name)
{
    for (size_t i = 0; i < count; i++)
        if (t3_str_equal(fields[i].name, name))
            return true;
    return false;
}

static tears_status put_field(const struct tears_field *field, bool first, uint8_t byte_codec,
                              struct t3_buf *out)
{
    T3_TRY(t3_buf_put(out, first ? TEARS_STR("{") : TEARS_STR(", ")));
    T3_TRY(t3_json_put_string(out, field->name));
    T3_TRY(t3_buf_put(out, TEARS_STR(": ")));
    return t3_value_encode(&field->value, byte_codec, out);
}

static tears_status fail_field(struct tears_error *error_out, tears_status status,
                               struct tears_str name)
{
    if (status == TEARS_NO_MEMORY)
        return t3_fail_memory(error_out, ORIGIN);
    return t3_fail(error_out, status, ORIGIN, "field '" T3_STR_FMT "': %s", T3_STR_ARG(name),
                   status == TEARS_INVALID ? "given twice, or not what its kind says"
                                           : tears_status_text(status));
}

tears_status tears_row_to_json(const struct tears_field *fields, size_t field_count,
                               uint64_t byte_codec, struct tears_owned_text *json_out,
                               struct tears_error *error_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    if (byte_codec != TEARS_BYTES_HEX && byte_codec != TEARS_BYTES_BASE64)
        return t3_fail(error_out, TEARS_MISUSE, ORIGIN, "there is no byte codec %llu",
                       (unsigned long long)byte_codec);
    for (size_t i = 0; i < field_count; i++) {
        const struct tears_field *field = &fields[i];
        tears_status status = TEARS_INVALID;
        if (value_is_sound(&field->value) && !has_name(fields, i, field->name))
            status = put_field(field, i == 0, (uint8_t)byte_codec, &text);
        if (status != TEARS_OK)
            return fail_field(error_out, status, field->name);
    }
    tears_status status = t3_buf_put(&text, field_count == 0 ? TEARS_STR("{}") : TEARS_STR("}"));
    if (status == TEARS_OK)
        status = t3_owned_text_take(&text, false, json_out);
    return status == TEARS_OK ? TEARS_OK : fail_field(error_out, status, TEARS_STR("}"));
}

/* ---- reading ----------------------------------------------------------------------------------- */

/* Members that are no columns. */
struct others {
    struct t3_arena *arena;
    struct tears_field *fields;
    size_t count;
    size_t capacity;
    tears_status status;
};

static tears_status others_add(struct others *others, struct tears_str name, struct tears_str json)
{
    if (others->count == others->capacity) {
        const size_t capacity = others->capacity == 0 ? 8 : others->capacity * 2;
        struct tears_field *fields = t3_arena_array(others->arena, capacity, sizeof *fields);
        if (fields == NULL)
            return TEARS_NO_MEMORY;
        if (others->count > 0)
            memcpy(fields, others->fields, others->count * sizeof *fields);
        others->fields = fields;
        others->capacity = capacity;
    }
    struct tears_str copy;
    T3_TRY(t3_arena_str(others->arena, name, &copy));
    others->fields[others->count++] = tears_field_of(copy, tears_json(json));
    return TEARS_OK;
}

static void others_put(void *owner, struct tears_str name, struct tears_str json)
{
    struct others *others = owner;
    if (others->status == TEARS_OK)
        others->status = others_add(others, name, json);
}

static tears_status give_row(const struct tears_schema *schema, const struct tears_value *values,
                             const struct others *others, const struct tears_row_sink *row)
{
    struct tears_field *fields =
        t3_arena_array(others->arena, schema->column_count + others->count + 1, sizeof *fields);
    size_t count = 0;
    if (fields == NULL)
        return TEARS_NO_MEMORY;
    for (uint32_t i = 0; i < schema->column_count; i++)
        if (values[i].kind != T3_KIND_ABSENT)
            fields[count++] = tears_field_of(schema->columns[i].name, values[i]);
    for (size_t i = 0; i < others->count; i++)
        fields[count++] = others->fields[i];
    return row->put(row->owner, fields, count);
}

tears_status tears_row_from_json(const tears_schema *schema, struct tears_str json,
                                 const struct tears_row_sink *row, struct tears_error *error_out)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct others others = {.arena = &arena};
    struct tears_value *values = t3_arena_array(&arena, schema->column_count + 1u, sizeof *values);
    if (values == NULL)
        return t3_fail_memory(error_out, ORIGIN);
    const struct t3_members members = {values, others_put, &others};
    T3_TRY(t3_members_decode(schema, json, &arena, &members, error_out));
    for (uint32_t i = 0; i < schema->column_count; i++)
        if (values[i].kind != T3_KIND_ABSENT)
            values[i].flags = 0; /* what the codec notes for itself is not the caller's */
    tears_status status = others.status;
    if (status == TEARS_OK)
        status = give_row(schema, values, &others, row);
    if (status == TEARS_OK)
        return TEARS_OK;
    return status == TEARS_NO_MEMORY
               ? t3_fail_memory(error_out, ORIGIN)
               : t3_fail(error_out, status, ORIGIN, "the row was not taken: %s",
                         tears_status_text(status));
}
