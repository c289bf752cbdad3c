/*
 * vector_value.c -- the vectors' inputs as the library's values, and its values as their outputs.
 *
 * Owns:     nothing; what is made lives in the vector's arena.
 * Threads:  one.
 * Begin at: value_of(), schema_of().
 */
#include "base/str.h"
#include "codec/text.h"
#include "vectors/vectors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_t *refuse(struct vector *vector, const char *kind)
{
    vector->error = kind;
    return NULL;
}

void give_up(const char *what)
{
    fprintf(stderr, "run_vectors: %s\n", what);
    exit(2);
}

void must(tears_status status, const char *what)
{
    if (status != TEARS_OK) {
        fprintf(stderr, "run_vectors: %s: %s\n", what, tears_status_name(status));
        exit(2);
    }
}

/* ---- inputs -----------------------------------------------------------------------------------
 */

struct tears_str text_of(const json_t *string)
{
    if (!json_is_string(string))
        return tears_str_n(NULL, 0);
    return tears_str_n(json_string_value(string), json_string_length(string));
}

struct tears_str in_text(const struct vector *vector, const char *member)
{
    return text_of(json_object_get(vector->in, member));
}

static struct tears_str from_base64(struct vector *vector, struct tears_str text)
{
    T3_AUTO(t3_buf_done) struct t3_buf bytes = {0};
    must(t3_base64_parse(&bytes, text, false), "base64 in a vector");
    struct tears_str kept;
    must(t3_arena_str(vector->arena, t3_buf_str(&bytes), &kept), "arena");
    return kept;
}

struct tears_str in_base64(const struct vector *vector, const char *member)
{
    struct vector copy = *vector;
    return from_base64(&copy, in_text(vector, member));
}

struct tears_str *names_of(struct vector *vector, const json_t *array, size_t *count_out)
{
    const size_t count = json_array_size(array);
    struct tears_str *names = t3_arena_array(vector->arena, count, sizeof *names);
    if (names == NULL)
        give_up("out of memory");
    for (size_t i = 0; i < count; i++)
        names[i] = text_of(json_array_get(array, i));
    *count_out = count;
    return names;
}

static struct tears_value vector_value(struct vector *vector, const json_t *numbers)
{
    const size_t count = json_array_size(numbers);
    double *doubles = t3_arena_array(vector->arena, count, sizeof *doubles);
    if (doubles == NULL)
        give_up("out of memory");
    for (size_t i = 0; i < count; i++)
        must(t3_double_parse(text_of(json_array_get(numbers, i)), &doubles[i]), "vector element");
    return tears_vector(doubles, count);
}

static struct tears_value timestamp_value(struct tears_str text, bool naive)
{
    struct tears_value value = tears_timestamp_us(0);
    must(t3_timestamp_parse(text, &value.as.integer), "timestamp in a vector");
    value.flags = naive ? T3_VALUE_NAIVE : 0;
    return value;
}

struct tears_value value_of(struct vector *vector, const json_t *typed)
{
    const struct tears_str type = text_of(json_object_get(typed, "t"));
    const json_t *v = json_object_get(typed, "v");
    const struct tears_str text = text_of(v);
    struct tears_value value = tears_null();
    if (t3_str_is(type, "str") || t3_str_is(type, "vector_text")) {
        value = tears_text(text);
    } else if (t3_str_is(type, "int")) {
        value = tears_int(0);
        must(t3_int_parse(text, &value.as.integer), "integer in a vector");
    } else if (t3_str_is(type, "float")) {
        value = tears_double(0);
        must(t3_double_parse(text, &value.as.number), "float in a vector");
    } else if (t3_str_is(type, "bool")) {
        value = tears_bool(json_is_true(v));
    } else if (t3_str_is(type, "uuid")) {
        value.kind = TEARS_KIND_UUID;
        must(tears_uuid_parse(text, value.as.uuid), "uuid in a vector");
    } else if (t3_str_is(type, "datetime") || t3_str_is(type, "naive_datetime")) {
        value = timestamp_value(text, t3_str_is(type, "naive_datetime"));
    } else if (t3_str_is(type, "decimal")) {
        value = tears_decimal(text);
    } else if (t3_str_is(type, "bytes")) {
        value = tears_bytes(from_base64(vector, text_of(json_object_get(typed, "v_b64"))));
    } else if (t3_str_is(type, "json")) {
        value = tears_json(text);
    } else if (t3_str_is(type, "vector")) {
        value = vector_value(vector, v);
    } else if (!t3_str_is(type, "null")) {
        give_up("a typed value of an unknown type");
    }
    return value;
}

struct tears_value *values_of(struct vector *vector, const json_t *array, size_t *count_out)
{
    const size_t count = json_array_size(array);
    struct tears_value *values = t3_arena_array(vector->arena, count, sizeof *values);
    if (values == NULL)
        give_up("out of memory");
    for (size_t i = 0; i < count; i++)
        values[i] = value_of(vector, json_array_get(array, i));
    *count_out = count;
    return values;
}

/* ---- schemas ----------------------------------------------------------------------------------
 */

uint64_t type_of(const json_t *column)
{
    static const struct {
        const char *name;
        uint64_t type;
    } types[] = {
        {"uuid", TEARS_TYPE_UUID},
        {"string", TEARS_TYPE_STRING},
        {"text", TEARS_TYPE_STRING},
        {"enum", TEARS_TYPE_ENUM},
        {"numeric", TEARS_TYPE_NUMERIC},
        {"decimal", TEARS_TYPE_NUMERIC},
        {"tsvector", TEARS_TYPE_TSVECTOR},
        {"datetimetz", TEARS_TYPE_TIMESTAMPTZ},
        {"timestamp", TEARS_TYPE_TIMESTAMPTZ},
        {"jsonb", TEARS_TYPE_JSONB},
        {"bytes", TEARS_TYPE_BYTES},
        {"bytea", TEARS_TYPE_BYTES},
        {"int", TEARS_TYPE_INT},
        {"integer", TEARS_TYPE_INT},
        {"bigint", TEARS_TYPE_BIGINT},
        {"bool", TEARS_TYPE_BOOL},
        {"boolean", TEARS_TYPE_BOOL},
        {"vector", TEARS_TYPE_VECTOR},
    };
    const struct tears_str name = text_of(json_object_get(column, "type"));
    for (size_t i = 0; i < T3_COUNT(types); i++)
        if (t3_str_is(name, types[i].name))
            return types[i].type;
    give_up("a column of an unknown type");
}

static void read_column(struct vector *vector, const json_t *column, struct tears_column_def *def)
{
    static const struct tears_str no_names[1];
    const json_t *labels = json_object_get(column, "enum_values");
    const json_t *reference = json_object_get(column, "foreign_key");
    const json_t *scale = json_object_get(column, "scale");
    def->name = text_of(json_object_get(column, "name"));
    def->type = type_of(column);
    def->nullable = json_is_true(json_object_get(column, "nullable"));
    def->immutable = json_is_true(json_object_get(column, "immutable"));
    def->partition = json_is_true(json_object_get(column, "partition"));
    def->server_default = text_of(json_object_get(column, "server_default"));
    def->enum_name = text_of(json_object_get(column, "enum_name"));
    def->vector_dim = (uint64_t)json_integer_value(json_object_get(column, "vector_dim"));
    def->precision = (uint64_t)json_integer_value(json_object_get(column, "precision"));
    def->scale = (uint64_t)json_integer_value(scale);
    def->has_scale = scale != NULL;
    def->references_table = text_of(json_array_get(reference, 0));
    def->references_column = text_of(json_array_get(reference, 1));
    if (labels != NULL)
        def->enum_values = names_of(vector, labels, &def->enum_value_count);
    if (labels != NULL && def->enum_value_count == 0)
        def->enum_values = no_names; /* given, and empty */
}

static const struct tears_column_def *read_columns(struct vector *vector, const json_t *array,
                                                   size_t *count_out)
{
    const size_t count = json_array_size(array);
    struct tears_column_def *columns = t3_arena_array(vector->arena, count, sizeof *columns);
    if (columns == NULL)
        give_up("out of memory");
    for (size_t i = 0; i < count; i++)
        read_column(vector, json_array_get(array, i), &columns[i]);
    *count_out = count;
    return columns;
}

static void read_foreign_keys(struct vector *vector, const json_t *array,
                              struct tears_schema_def *def)
{
    const size_t count = json_array_size(array);
    struct tears_foreign_key_def *keys = t3_arena_array(vector->arena, count, sizeof *keys);
    if (keys == NULL)
        give_up("out of memory");
    for (size_t i = 0; i < count; i++) {
        const json_t *key = json_array_get(array, i);
        keys[i].columns = names_of(vector, json_object_get(key, "columns"), &keys[i].column_count);
        keys[i].references_table = text_of(json_object_get(key, "ref_table"));
        keys[i].references_columns =
            names_of(vector, json_object_get(key, "ref_columns"), &keys[i].references_column_count);
        keys[i].on_delete = text_of(json_object_get(key, "on_delete"));
    }
    def->foreign_keys = keys;
    def->foreign_key_count = count;
}

static void read_indexes(struct vector *vector, const json_t *description,
                         struct tears_schema_def *def)
{
    const json_t *index_array = json_object_get(description, "indexes");
    const json_t *unique_array = json_object_get(description, "unique_constraints");
    def->index_count = json_array_size(index_array);
    def->unique_constraint_count = json_array_size(unique_array);
    struct tears_index_def *indexes =
        t3_arena_array(vector->arena, def->index_count, sizeof *indexes);
    struct tears_unique_def *uniques =
        t3_arena_array(vector->arena, def->unique_constraint_count, sizeof *uniques);
    if (indexes == NULL || uniques == NULL)
        give_up("out of memory");
    for (size_t i = 0; i < def->index_count; i++) {
        const json_t *index = json_array_get(index_array, i);
        indexes[i].name = text_of(json_object_get(index, "name"));
        indexes[i].unique = json_is_true(json_object_get(index, "unique"));
        indexes[i].columns =
            names_of(vector, json_object_get(index, "columns"), &indexes[i].column_count);
    }
    for (size_t i = 0; i < def->unique_constraint_count; i++) {
        const json_t *unique = json_array_get(unique_array, i);
        uniques[i].name = text_of(json_object_get(unique, "name"));
        uniques[i].columns =
            names_of(vector, json_object_get(unique, "columns"), &uniques[i].column_count);
    }
    def->indexes = indexes;
    def->unique_constraints = uniques;
}

struct tears_schema *schema_of(struct vector *vector, const json_t *description)
{
    struct tears_schema_def def;
    memset(&def, 0, sizeof def);
    const struct tears_str policy = text_of(json_object_get(description, "on_conflict"));
    def.name = text_of(json_object_get(description, "name"));
    def.columns = read_columns(vector, json_object_get(description, "columns"), &def.column_count);
    def.primary_key =
        names_of(vector, json_object_get(description, "primary_key"), &def.primary_key_count);
    def.version_column = text_of(json_object_get(description, "cas_column"));
    if (t3_str_is(policy, "ignore"))
        def.on_conflict = TEARS_ON_CONFLICT_IGNORE;
    else if (t3_str_is(policy, "raise"))
        def.on_conflict = TEARS_ON_CONFLICT_RAISE;
    read_foreign_keys(vector, json_object_get(description, "foreign_keys"), &def);
    read_indexes(vector, description, &def);
    struct tears_schema *schema = NULL;
    struct tears_error error;
    const tears_status status = tears_schema_new(&def, &schema, &error);
    if (status == TEARS_INVALID)
        refuse(vector, "invalid_schema");
    else
        must(status, "tears_schema_new");
    return schema;
}

/* ---- outputs ----------------------------------------------------------------------------------
 */

json_t *give_text(struct tears_str text)
{
    return text.ptr == NULL ? json_null() : json_stringn(text.ptr, text.len);
}

json_t *give_member(const char *member, struct tears_str text)
{
    return json_pack("{s:o}", member, give_text(text));
}

static json_t *give_typed(const char *type, struct tears_str text)
{
    return json_pack("{s:s, s:o}", "t", type, "v", give_text(text));
}

static json_t *give_numbers(struct tears_doubles vector)
{
    json_t *numbers = json_array();
    for (size_t i = 0; i < vector.len; i++) {
        char text[T3_DOUBLE_TEXT_MAX];
        const size_t len = t3_double_text(vector.ptr[i], text);
        json_array_append_new(numbers, json_stringn(text, len));
    }
    return json_pack("{s:s, s:o}", "t", "vector", "v", numbers);
}

static json_t *give_bytes(struct tears_str bytes)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    must(t3_base64_put(&text, bytes, false), "base64");
    return json_pack("{s:s, s:o}", "t", "bytes", "v_b64", give_text(t3_buf_str(&text)));
}

static json_t *give_printed(const struct tears_value *value)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    char stamp[T3_TIMESTAMP_TEXT_MAX];
    const bool naive = (value->flags & T3_VALUE_NAIVE) != 0;
    switch (value->kind) {
    case TEARS_KIND_TIMESTAMP:
        return give_typed(
            naive ? "naive_datetime" : "datetime",
            tears_str_n(stamp, t3_timestamp_text(value->as.integer, 'T', naive, stamp)));
    case TEARS_KIND_VECTOR:
        must(t3_vector_put(&text, value->as.vector), "vector");
        return give_typed("vector_text", t3_buf_str(&text));
    case TEARS_KIND_DOUBLE:
        must(t3_value_put_python(&text, value), "float");
        return give_typed("float", t3_buf_str(&text));
    case TEARS_KIND_INT:
        must(t3_value_put_python(&text, value), "int");
        return give_typed("int", t3_buf_str(&text));
    default:
        must(t3_value_put_python(&text, value), "uuid");
        return give_typed("uuid", t3_buf_str(&text));
    }
}

json_t *give_value(const struct tears_value *value, bool as_vector_text)
{
    switch (value->kind) {
    case TEARS_KIND_NULL:
        return json_pack("{s:s}", "t", "null");
    case TEARS_KIND_BOOL:
        return json_pack("{s:s, s:b}", "t", "bool", "v", value->as.boolean);
    case TEARS_KIND_TEXT:
        return give_typed("str", value->as.bytes);
    case TEARS_KIND_DECIMAL:
        return give_typed("decimal", value->as.bytes);
    case TEARS_KIND_JSON:
        return give_typed("json", value->as.bytes);
    case TEARS_KIND_BYTES:
        return give_bytes(value->as.bytes);
    case TEARS_KIND_VECTOR:
        return as_vector_text ? give_printed(value) : give_numbers(value->as.vector);
    default:
        return give_printed(value);
    }
}
