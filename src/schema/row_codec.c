/*
 * row_codec.c -- decoding the JSON object of a row.
 *
 * Owns:     nothing; results are in the caller's arena.
 * Must not know: L2, keys, versions.
 * Threads:  any.
 * Fails:    TEARS_CORRUPT with a byte position on damaged values; TEARS_NO_MEMORY, TEARS_LIMIT.
 * Begin at: t3_row_decode().
 *
 * A value nearly always comes from a writer that used the same column order and Python's spelling,
 * so the decoder first compares with the bytes that would come next then (`, "name": `) and only
 * parses a member's name when they differ. Text without escapes is not copied before it goes into
 * the row; what must be converted first goes into a few kilobytes on the stack, or into a scratch
 * arena when they are used up.
 */
#include "base/fail.h"
#include "base/limits.h"
#include "base/str.h"
#include "schema/row_codec_impl.h"

static const char origin[] = "codec.row";

enum { STACK_COLUMNS = 64, STACK_SCRATCH_BYTES = 2048 };

/* ---- the object -----------------------------------------------------------------------
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
static tears_status next_member(struct t3_row_decoder *decoder, bool first, uint32_t expected,
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
        return t3_row_fail_json(decoder, status);
    if (member->done)
        return TEARS_OK;
    T3_TRY(t3_row_resolve(decoder, &name, &member->name));
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
static tears_status take_value(struct t3_row_decoder *decoder, const struct member *member,
                               const struct t3_members *members)
{
    struct t3_json_value value;
    decoder->reader.allow_nonfinite = may_be_nonfinite(decoder->schema, member->column);
    const tears_status status = t3_json_value(&decoder->reader, &value);
    if (status != TEARS_OK)
        return t3_row_fail_json(decoder, status);
    if (member->column != T3_NO_COLUMN) {
        struct tears_value *slot = &members->values[member->column];
        if (decoder->strict && slot->kind != T3_KIND_ABSENT)
            return t3_fail(decoder->error, TEARS_INVALID, origin,
                           "column '" T3_STR_FMT "' is given twice",
                           T3_STR_ARG(decoder->schema->columns[member->column].name));
        slot->flags = 0;
        return t3_row_decode_value(decoder, member->column, &value, slot);
    }
    if (decoder->strict)
        return t3_fail(decoder->error, TEARS_INVALID, origin,
                       "table '" T3_STR_FMT "' has no column '" T3_STR_FMT "'",
                       T3_STR_ARG(decoder->schema->name), T3_STR_ARG(member->name));
    if (members->unknown != NULL)
        members->unknown(members->owner, member->name, whole_text(&value));
    return TEARS_OK;
}

static tears_status decode_object(struct t3_row_decoder *decoder, const struct t3_members *members)
{
    for (uint32_t i = 0; i < decoder->schema->column_count; i++)
        members->values[i].kind = T3_KIND_ABSENT;
    if (decoder->reader.text.len > T3_ROW_BYTES_MAX)
        return t3_fail(decoder->error, TEARS_LIMIT, origin, "a row of %zu bytes; the limit is %zu",
                       decoder->reader.text.len, T3_ROW_BYTES_MAX);
    tears_status status = t3_json_object_open(&decoder->reader);
    if (status != TEARS_OK)
        return t3_row_fail_json(decoder, status);
    struct member member = {.column = T3_NO_COLUMN};
    for (bool first = true;; first = false) {
        T3_TRY(next_member(decoder, first, member.column + 1, &member)); /* T3_NO_COLUMN + 1 is 0 */
        if (member.done)
            break;
        T3_TRY(take_value(decoder, &member, members));
    }
    status = t3_json_end(&decoder->reader);
    return status == TEARS_OK ? TEARS_OK : t3_row_fail_json(decoder, status);
}

tears_status t3_members_decode(const struct tears_schema *schema, struct tears_str json,
                               struct t3_arena *arena, const struct t3_members *members,
                               struct tears_error *error_out)
{
    struct t3_row_decoder decoder = {
        .schema = schema, .reader = {.text = json}, .arena = arena, .error = error_out};
    return decode_object(&decoder, members);
}

/* ---- rows -----------------------------------------------------------------------------
 */

/* Puts NULL where a column that the database computes is missing; any other must be there. */
static tears_status complete(struct t3_row_decoder *decoder, struct tears_value *values)
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

static tears_status decode_row(struct t3_row_decoder *decoder, struct tears_value *values,
                               struct t3_arena *arena, struct t3_row **row_out)
{
    const struct t3_members members = {.values = values};
    T3_TRY(decode_object(decoder, &members));
    T3_TRY(complete(decoder, values));
    const tears_status status = t3_row_new(arena, &decoder->schema->layout, values, row_out);
    if (status == TEARS_NO_MEMORY)
        return t3_row_fail_memory(decoder);
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
    struct t3_row_decoder decoder = {.schema = schema,
                                     .reader = {.text = json},
                                     .arena = &scratch,
                                     .stack_at = stack,
                                     .stack_end = stack + sizeof stack,
                                     .error = error_out};
    struct tears_value *values = stack_values;
    if (schema->column_count > STACK_COLUMNS) {
        values = t3_arena_alloc(&scratch, schema->column_count * sizeof *values);
        if (values == NULL)
            return t3_row_fail_memory(&decoder);
    }
    return decode_row(&decoder, values, arena, row_out);
}

/* ---- input by people ------------------------------------------------------------------
 */

/* The members that are there, checked against their columns, in the order of the schema. */
static tears_status collect_fields(struct t3_row_decoder *decoder, const struct tears_value *values,
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
    struct t3_row_decoder decoder = {.schema = schema,
                                     .reader = {.text = json},
                                     .arena = arena,
                                     .strict = true,
                                     .error = error_out};
    struct tears_field *fields = t3_arena_array(arena, schema->column_count, sizeof *fields);
    struct tears_value *values = t3_arena_array(arena, schema->column_count, sizeof *values);
    if (fields == NULL || values == NULL)
        return t3_row_fail_memory(&decoder);
    const struct t3_members members = {.values = values};
    T3_TRY(decode_object(&decoder, &members));
    size_t count;
    T3_TRY(collect_fields(&decoder, values, fields, &count));
    *fields_out = fields;
    *count_out = count;
    return TEARS_OK;
}
