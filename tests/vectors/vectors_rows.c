/*
 * vectors_rows.c -- rows.jsonl: rows as L2 values.
 *
 * Threads:  one.
 * Begin at: rows_ops.
 */
#include "base/str.h"
#include "codec/text.h"
#include "schema/row_codec.h"
#include "vectors/vectors.h"

/* A schema of some of the vector's columns; the first is its key. */
static struct tears_schema *schema_of_columns(struct vector *vector, json_t *columns)
{
    const json_t *first = json_object_get(json_array_get(columns, 0), "name");
    struct tears_str codec = in_text(vector, "codec");
    struct tears_schema *schema = NULL;
    json_t *complete = json_array();
    for (size_t i = 0; i < json_array_size(columns); i++) {
        json_t *column = json_deep_copy(json_array_get(columns, i));
        /* the dynamic tables' decimals have no precision, which a declaration must give */
        if (type_of(column) == TEARS_TYPE_NUMERIC && json_object_get(column, "precision") == NULL) {
            json_object_set_new(column, "precision", json_integer(1000));
            json_object_set_new(column, "scale", json_integer(0));
        }
        if (type_of(column) == TEARS_TYPE_VECTOR && json_object_get(column, "vector_dim") == NULL)
            json_object_set_new(column, "vector_dim", json_integer(1));
        json_object_del(column, "partition"); /* would have to be part of the key */
        json_array_append_new(complete, column);
    }
    json_t *description = json_pack("{s:s, s:[s], s:o}", "name", "t", "primary_key",
                                    json_string_value(first), "columns", complete);
    schema = schema_of(vector, description);
    if (schema == NULL) {
        json_dumpf(columns, stderr, 0);
        give_up("these columns of a row make no schema");
    }
    schema->byte_codec = t3_str_is(codec, "plain") ? TEARS_BYTES_HEX : TEARS_BYTES_BASE64;
    json_decref(description);
    return schema;
}

static void free_schema(void *variable)
{
    tears_schema_free(*(struct tears_schema **)variable);
}

/* The declared columns that the row has, in the row's order. */
static json_t *columns_of_row(const struct vector *vector, const json_t *row)
{
    const json_t *columns = json_object_get(vector->in, "columns");
    json_t *present = json_array();
    for (size_t i = 0; i < json_array_size(row); i++) {
        const json_t *name = json_array_get(json_array_get(row, i), 0);
        for (size_t k = 0; k < json_array_size(columns); k++) {
            json_t *column = json_array_get(columns, k);
            if (json_equal(json_object_get(column, "name"), name))
                json_array_append(present, column);
        }
    }
    return present;
}

/* Rows keep instants, not whether they were written without offset: such a value is encoded by
 * itself. */
static void encode_by_value(const struct tears_schema *schema, const struct tears_value *values,
                            struct t3_buf *text)
{
    for (uint32_t i = 0; i < schema->column_count; i++) {
        must(t3_buf_put(text, i > 0 ? TEARS_STR(", ") : TEARS_STR("{")), "buffer");
        must(t3_buf_put(text, schema->columns[i].json_name), "buffer");
        must(t3_value_encode(&values[i], schema->byte_codec, text), "t3_value_encode");
    }
    must(t3_buf_put_char(text, '}'), "buffer");
}

static void encode_row(struct vector *vector, const struct tears_schema *schema,
                       const struct tears_value *values, struct t3_buf *text)
{
    struct t3_row *made = NULL;
    must(t3_row_new(vector->arena, &schema->layout, values, &made), "t3_row_new");
    must(t3_row_encode(schema, made, text), "t3_row_encode");
}

static json_t *encode(struct vector *vector)
{
    const json_t *row = json_object_get(vector->in, "row");
    json_t *columns = columns_of_row(vector, row);
    T3_AUTO(free_schema) struct tears_schema *schema = schema_of_columns(vector, columns);
    json_decref(columns);
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    struct tears_value *values =
        t3_arena_array(vector->arena, schema->column_count, sizeof *values);
    if (values == NULL)
        give_up("out of memory");
    bool naive = false;
    for (uint32_t i = 0; i < schema->column_count; i++) {
        values[i] = value_of(vector, json_array_get(json_array_get(row, i), 1));
        naive = naive || (values[i].flags & T3_VALUE_NAIVE) != 0;
    }
    if (naive)
        encode_by_value(schema, values, &text);
    else
        encode_row(vector, schema, values, &text);
    return give_member("text", t3_buf_str(&text));
}

static void add_unknown(void *owner, struct tears_str name, struct tears_str json)
{
    const struct tears_value value = tears_json(json);
    char key[256];
    if (name.len >= sizeof key)
        give_up("a long member name");
    memcpy(key, name.ptr, name.len);
    key[name.len] = '\0';
    json_object_set_new(owner, key, give_value(&value, false));
}

/* Whether the value's text stands in the vector's JSON without quotes around it. */
static bool was_number(const struct vector *vector, const struct tears_value *value)
{
    const struct tears_str text = in_text(vector, "text");
    const struct tears_str part = value->as.bytes;
    for (size_t i = 1; i + part.len <= text.len; i++)
        if (memcmp(text.ptr + i, part.ptr, part.len) == 0)
            return text.ptr[i - 1] != '"';
    return false;
}

static json_t *give_cell(const struct vector *vector, const struct t3_column *column,
                         struct tears_value value)
{
    const bool is_instant = t3_str_is(in_text(vector, "codec"), "schema");
    if (is_instant)
        value.flags = 0; /* in these tables a time without offset is in UTC */
    json_t *typed = give_value(&value, false);
    if (column->type == TEARS_TYPE_NUMERIC && value.kind == TEARS_KIND_DECIMAL &&
        was_number(vector, &value))
        json_object_set_new(typed, "was_number", json_true());
    return typed;
}

static json_t *decode(struct vector *vector)
{
    T3_AUTO(free_schema)
    struct tears_schema *schema = schema_of_columns(vector, json_object_get(vector->in, "columns"));
    struct tears_value *values =
        t3_arena_array(vector->arena, schema->column_count, sizeof *values);
    if (values == NULL)
        give_up("out of memory");
    json_t *row = json_object();
    const struct t3_members members = {values, add_unknown, row};
    struct tears_error error;
    const tears_status status =
        t3_members_decode(schema, in_text(vector, "text"), vector->arena, &members, &error);
    if (status != TEARS_OK) {
        json_decref(row);
        return refuse(vector, status == TEARS_CORRUPT ? "decode_error" : tears_status_name(status));
    }
    for (uint32_t i = 0; i < schema->column_count; i++)
        if (values[i].kind != T3_KIND_ABSENT)
            json_object_set_new(row, schema->columns[i].name.ptr,
                                give_cell(vector, &schema->columns[i], values[i]));
    return json_pack("{s:o}", "row", row);
}

const struct vector_op rows_ops[] = {
    {"rows", "encode", encode, false},
    {"rows", "decode", decode, false},
    {NULL, NULL, NULL, false},
};
