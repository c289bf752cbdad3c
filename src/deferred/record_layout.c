/*
 * record_layout.c -- what a table was when its records were written, and records of a table that has changed since.
 *
 * Owns:     nothing; a schema that is read belongs to the caller.
 * Knows:    schemas and rows.
 * Must not know: files, SQL.
 * Threads:  any.
 * Fails:    TEARS_CORRUPT, TEARS_INVALID (a record that the table of today cannot take), TEARS_NO_MEMORY.
 * Begin at: t3_record_layout_put().
 *
 * A layout's bytes: a number for their form, then texts (four bytes of length before each) and numbers (four bytes each):
 * name, columns (name, type, properties, size of vectors, precision, scale, labels), key, version column.
 */
#include "base/fail.h"
#include "base/limits.h"
#include "base/str.h"
#include "deferred/record.h"

enum { FORM = 1 };

enum {
    NULLABLE = 1,
    IMMUTABLE = 2,
    PARTITION = 4,
    GENERATED = 8,
    TEXT_CAST = 16,
    HAS_SCALE = 32,
};

/* ---- writing ------------------------------------------------------------------------------------ */

static tears_status put_number(struct t3_buf *out, uint32_t number)
{
    return t3_buf_put(out, tears_str_n((const char *)&number, sizeof number));
}

static tears_status put_text(struct t3_buf *out, struct tears_str text)
{
    T3_TRY(put_number(out, (uint32_t)text.len));
    return t3_buf_put(out, text);
}

static uint32_t properties_of(const struct t3_column *column)
{
    return (column->nullable ? NULLABLE : 0u) | (column->immutable ? IMMUTABLE : 0u) |
           (column->partition ? PARTITION : 0u) | (column->generated ? GENERATED : 0u) |
           (column->text_cast ? TEXT_CAST : 0u) | (column->has_scale ? HAS_SCALE : 0u);
}

static tears_status put_column(const struct t3_column *column, struct t3_buf *out)
{
    T3_TRY(put_text(out, column->name));
    T3_TRY(put_number(out, column->type));
    T3_TRY(put_number(out, properties_of(column)));
    T3_TRY(put_number(out, column->vector_dim));
    T3_TRY(put_number(out, column->precision));
    T3_TRY(put_number(out, column->scale));
    T3_TRY(put_text(out, column->enum_name));
    T3_TRY(put_number(out, column->enum_value_count));
    for (uint32_t i = 0; i < column->enum_value_count; i++)
        T3_TRY(put_text(out, column->enum_values[i]));
    return TEARS_OK;
}

tears_status t3_record_layout_put(const struct tears_schema *schema, struct t3_buf *out)
{
    T3_TRY(put_number(out, FORM));
    T3_TRY(put_text(out, schema->name));
    T3_TRY(put_number(out, schema->column_count));
    for (uint32_t i = 0; i < schema->column_count; i++)
        T3_TRY(put_column(&schema->columns[i], out));
    T3_TRY(put_number(out, schema->key_count));
    for (uint32_t i = 0; i < schema->key_count; i++)
        T3_TRY(put_number(out, schema->key[i]));
    T3_TRY(put_number(out, schema->version_column));
    return put_number(out, schema->byte_codec);
}

/* ---- reading ------------------------------------------------------------------------------------ */

struct reader {
    struct tears_str rest;
    struct t3_arena *arena;
};

static tears_status take_number(struct reader *reader, uint32_t max, uint32_t *number_out)
{
    if (reader->rest.len < sizeof *number_out)
        return TEARS_CORRUPT;
    uint32_t number;
    memcpy(&number, reader->rest.ptr, sizeof number);
    if (number > max)
        return TEARS_CORRUPT;
    reader->rest.ptr += sizeof number;
    reader->rest.len -= sizeof number;
    *number_out = number;
    return TEARS_OK;
}

static tears_status take_text(struct reader *reader, struct tears_str *text_out)
{
    uint32_t len;
    T3_TRY(take_number(reader, UINT32_MAX, &len));
    if (len > reader->rest.len)
        return TEARS_CORRUPT;
    *text_out = tears_str_n(reader->rest.ptr, len);
    reader->rest.ptr += len;
    reader->rest.len -= len;
    return TEARS_OK;
}

static tears_status take_labels(struct reader *reader, struct tears_column_def *def)
{
    uint32_t count;
    T3_TRY(take_number(reader, UINT32_MAX, &count));
    if (count > reader->rest.len / sizeof(uint32_t)) /* each has its length at least */
        return TEARS_CORRUPT;
    struct tears_str *labels = t3_arena_array(reader->arena, (size_t)count + 1, sizeof *labels);
    if (labels == NULL)
        return TEARS_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++)
        T3_TRY(take_text(reader, &labels[i]));
    def->enum_values = count > 0 ? labels : NULL;
    def->enum_value_count = count;
    return TEARS_OK;
}

static tears_status take_column(struct reader *reader, struct t3_catalogue_column *column)
{
    struct tears_column_def *def = &column->def;
    uint32_t number;
    T3_TRY(take_text(reader, &def->name));
    T3_TRY(take_number(reader, UINT8_MAX, &number));
    def->type = number;
    T3_TRY(take_number(reader, UINT8_MAX, &number));
    def->nullable = (number & NULLABLE) != 0;
    def->immutable = (number & IMMUTABLE) != 0;
    def->partition = (number & PARTITION) != 0;
    def->has_scale = (number & HAS_SCALE) != 0;
    column->generated = (number & GENERATED) != 0;
    column->text_cast = (number & TEXT_CAST) != 0;
    T3_TRY(take_number(reader, UINT32_MAX, &number));
    def->vector_dim = number;
    T3_TRY(take_number(reader, UINT32_MAX, &number));
    def->precision = number;
    T3_TRY(take_number(reader, UINT32_MAX, &number));
    def->scale = number;
    T3_TRY(take_text(reader, &def->enum_name));
    return take_labels(reader, def);
}

static tears_status take_columns(struct reader *reader, struct tears_schema_def *def,
                                 struct t3_catalogue_column **columns_out)
{
    uint32_t count;
    T3_TRY(take_number(reader, T3_COLUMNS_MAX, &count));
    struct t3_catalogue_column *columns =
        t3_arena_array(reader->arena, (size_t)count + 1, sizeof *columns);
    if (columns == NULL)
        return TEARS_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++)
        T3_TRY(take_column(reader, &columns[i]));
    def->column_count = count;
    *columns_out = columns;
    return TEARS_OK;
}

/* The names of the key's columns and of the version column ("none" without one). */
static tears_status take_roles(struct reader *reader, const struct t3_catalogue_column *columns,
                               struct tears_schema_def *def, struct tears_str *version_out)
{
    const uint32_t last = (uint32_t)def->column_count - 1;
    uint32_t count;
    uint32_t column;
    T3_TRY(take_number(reader, T3_KEY_COLUMNS_MAX, &count));
    struct tears_str *names = t3_arena_array(reader->arena, (size_t)count + 1, sizeof *names);
    if (names == NULL)
        return TEARS_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++) {
        T3_TRY(take_number(reader, last, &column));
        names[i] = columns[column].def.name;
    }
    def->primary_key = names;
    def->primary_key_count = count;
    T3_TRY(take_number(reader, UINT32_MAX, &column));
    if (column != T3_NO_COLUMN && column > last)
        return TEARS_CORRUPT;
    *version_out = column == T3_NO_COLUMN ? TEARS_STR("none") : columns[column].def.name;
    T3_TRY(take_number(reader, TEARS_BYTES_HEX, &column));
    def->byte_codec = column;
    return TEARS_OK;
}

tears_status t3_record_layout_read(struct tears_str bytes, struct tears_schema **schema_out)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct reader reader = {bytes, &arena};
    struct tears_schema_def def = {0};
    struct t3_catalogue_column *columns = NULL;
    struct tears_str version;
    uint32_t form;
    T3_TRY(take_number(&reader, FORM, &form));
    if (form != FORM)
        return TEARS_CORRUPT;
    T3_TRY(take_text(&reader, &def.name));
    T3_TRY(take_columns(&reader, &def, &columns));
    if (def.column_count == 0)
        return TEARS_CORRUPT;
    T3_TRY(take_roles(&reader, columns, &def, &version));
    if (reader.rest.len > 0)
        return TEARS_CORRUPT;
    const tears_status status = t3_schema_from_catalogue(&def, columns, version, schema_out, NULL);
    return status == TEARS_OK || status == TEARS_NO_MEMORY ? status : TEARS_CORRUPT;
}

/* ---- records of another layout ------------------------------------------------------------------ */

struct conversion {
    const struct tears_schema *from;
    const struct tears_schema *to;
    struct t3_arena *arena;
    struct tears_error *error_out;
    uint32_t *source; /* of each column of `to`: the column of `from`, or T3_NO_COLUMN */
};

static tears_status refuse(const struct conversion *conversion, struct tears_str column,
                           const char *reason)
{
    return t3_fail(conversion->error_out, TEARS_INVALID, "deferred",
                   "table '" T3_STR_FMT "' has changed since this write: column '" T3_STR_FMT
                   "' %s",
                   T3_STR_ARG(conversion->to->name), T3_STR_ARG(column), reason);
}

/* The column of `schema` that has this name and kind. */
static uint32_t same_column(const struct tears_schema *schema, const struct t3_column *column)
{
    const uint32_t found = t3_schema_find(schema, column->name);
    if (found == T3_NO_COLUMN || schema->columns[found].kind != column->kind)
        return T3_NO_COLUMN;
    return found;
}

static tears_status check_key(const struct conversion *conversion)
{
    const struct tears_schema *from = conversion->from;
    const struct tears_schema *to = conversion->to;
    for (uint32_t i = 0; i < to->key_count; i++) {
        const struct t3_column *column = &to->columns[to->key[i]];
        if (from->key_count != to->key_count || same_column(from, column) != from->key[i])
            return refuse(conversion, column->name, "is of another key than it had");
    }
    return TEARS_OK;
}

static tears_status check_changed(const struct conversion *conversion,
                                  const struct t3_record *record)
{
    for (uint32_t i = 0; i < conversion->from->column_count; i++) {
        const struct t3_column *column = &conversion->from->columns[i];
        if (!t3_record_changes(record, i))
            continue;
        if (t3_schema_find(conversion->to, column->name) == T3_NO_COLUMN)
            return refuse(conversion, column->name, "is gone");
        if (same_column(conversion->to, column) == T3_NO_COLUMN)
            return refuse(conversion, column->name, "is of another type");
    }
    return TEARS_OK;
}

/* A base is a version: of another version column it says nothing. */
static tears_status check_base(const struct conversion *conversion, const struct t3_record *record)
{
    const struct tears_schema *from = conversion->from;
    if (!record->has_base || from->version_column == T3_NO_COLUMN)
        return TEARS_OK;
    const struct t3_column *version = &from->columns[from->version_column];
    if (conversion->to->version_column == T3_NO_COLUMN ||
        same_column(conversion->to, version) != conversion->to->version_column)
        return refuse(conversion, version->name, "does not hold the version any more");
    return TEARS_OK;
}

static tears_status convert_row(const struct conversion *conversion, const struct t3_row *row,
                                const struct t3_row **row_out)
{
    const uint32_t count = conversion->to->column_count;
    struct tears_value *values = t3_arena_array(conversion->arena, count, sizeof *values);
    if (values == NULL)
        return TEARS_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++)
        if (conversion->source[i] != T3_NO_COLUMN)
            values[i] = t3_row_value(row, &conversion->from->layout, conversion->source[i]);
    struct t3_row *converted;
    T3_TRY(t3_row_new(conversion->arena, &conversion->to->layout, values, &converted));
    *row_out = converted;
    return TEARS_OK;
}

static tears_status convert_changed(const struct conversion *conversion,
                                    const struct t3_record *record, const uint64_t **changed_out)
{
    uint64_t *changed =
        t3_arena_array(conversion->arena, t3_record_words(conversion->to), sizeof *changed);
    if (changed == NULL)
        return TEARS_NO_MEMORY;
    for (uint32_t i = 0; i < conversion->to->column_count; i++)
        if (conversion->source[i] != T3_NO_COLUMN &&
            t3_record_changes(record, conversion->source[i]))
            changed[i / 64] |= UINT64_C(1) << (i % 64);
    *changed_out = changed;
    return TEARS_OK;
}

tears_status t3_record_convert(const struct tears_schema *from, const struct t3_record *record,
                               const struct tears_schema *to, struct t3_arena *arena,
                               struct t3_record *record_out, struct tears_error *error_out)
{
    struct conversion conversion = {from, to, arena, error_out, NULL};
    T3_TRY(check_key(&conversion));
    T3_TRY(check_changed(&conversion, record));
    T3_TRY(check_base(&conversion, record));
    conversion.source = t3_arena_array(arena, to->column_count, sizeof *conversion.source);
    if (conversion.source == NULL)
        return t3_fail_memory(error_out, "deferred");
    for (uint32_t i = 0; i < to->column_count; i++)
        conversion.source[i] = same_column(from, &to->columns[i]);
    struct t3_record converted = *record;
    tears_status status = convert_row(&conversion, record->row, &converted.row);
    if (status == TEARS_OK && record->before != NULL)
        status = convert_row(&conversion, record->before, &converted.before);
    if (status == TEARS_OK)
        status = convert_changed(&conversion, record, &converted.changed);
    if (status != TEARS_OK)
        return t3_fail_memory(error_out, "deferred");
    *record_out = converted;
    return TEARS_OK;
}
