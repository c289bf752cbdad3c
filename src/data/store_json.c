/*
 * store_json.c -- a table that is there, as the JSON definition that would make it.
 *
 * Owns:     nothing.
 * Knows:    schemas, the members of a definition (schema/schema_json.c).
 * Must not know: databases.
 * Threads:  any.
 * Fails:    TEARS_UNSUPPORTED (a name that is none in a definition), TEARS_NO_MEMORY, TEARS_LIMIT.
 * Begin at: t3_store_put_definition().
 */
#include "data/store_impl.h"

#include "base/fail.h"
#include "base/str.h"
#include "codec/json.h"

/* What the writers share; the first failure stays. */
struct writer {
    struct t3_buf *out;
    struct t3_buf *inexact;
    struct tears_error *error;
    tears_status status;
};

static void put(struct writer *writer, const char *text)
{
    if (writer->status == TEARS_OK)
        writer->status = t3_buf_put(writer->out, tears_str_c(text));
}

static void put_text(struct writer *writer, struct tears_str text)
{
    if (writer->status == TEARS_OK)
        writer->status = t3_json_put_string(writer->out, text);
}

static void put_number(struct writer *writer, const char *member, uint64_t number)
{
    if (writer->status == TEARS_OK)
        writer->status =
            t3_buf_printf(writer->out, ", \"%s\": %llu", member, (unsigned long long)number);
}

/* `, "member": "text"`, unless the text is empty. */
static void put_member(struct writer *writer, const char *member, struct tears_str text)
{
    if (text.len == 0)
        return;
    put(writer, ", \"");
    put(writer, member);
    put(writer, "\": ");
    put_text(writer, text);
}

static void put_names(struct writer *writer, const struct tears_str *names, size_t count)
{
    put(writer, "[");
    for (size_t i = 0; i < count; i++) {
        put(writer, i > 0 ? ", " : "");
        put_text(writer, names[i]);
    }
    put(writer, "]");
}

static bool is_identifier(struct tears_str name)
{
    if (name.len == 0 || name.len > 63 || name.ptr[0] < 'a' || name.ptr[0] > 'z')
        return false;
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
            return false;
    }
    return true;
}

static void put_identifier(struct writer *writer, struct tears_str name)
{
    if (writer->status == TEARS_OK && !is_identifier(name))
        writer->status = t3_fail(writer->error, TEARS_UNSUPPORTED, STORE_ORIGIN,
                                 "'" T3_STR_FMT "' is a name that a definition may not contain",
                                 T3_STR_ARG(name));
    put_text(writer, name);
}

static void note(struct writer *writer, const char *what, struct tears_str name,
                 struct tears_str text)
{
    if (writer->status == TEARS_OK)
        writer->status = t3_buf_printf(writer->inexact, "%s%s '" T3_STR_FMT "': " T3_STR_FMT,
                                       writer->inexact->len > 0 ? "; " : "", what, T3_STR_ARG(name),
                                       T3_STR_ARG(text));
}

/* ---- columns ----------------------------------------------------------------------------------- */

/* The type's name in a definition, and what the databases call exactly that. */
static const struct {
    const char *name;
    const char *postgresql;
    const char *sqlite;
} types[] = {
    [TEARS_TYPE_UUID] = {"uuid", "uuid", "TEXT_UUID"},
    [TEARS_TYPE_STRING] = {"text", "text", "TEXT"},
    [TEARS_TYPE_ENUM] = {"enum", NULL, "TEXT_ENUM"},
    [TEARS_TYPE_NUMERIC] = {"decimal", "numeric", "TEXT_NUMERIC"},
    [TEARS_TYPE_TSVECTOR] = {"tsvector", "tsvector", "TEXT_TSVECTOR"},
    [TEARS_TYPE_TIMESTAMPTZ] = {"timestamp", "timestamp with time zone", "TEXT_DATETIME"},
    [TEARS_TYPE_JSONB] = {"jsonb", "jsonb", "TEXT_JSON"},
    [TEARS_TYPE_BYTES] = {"bytea", "bytea", "BLOB"},
    [TEARS_TYPE_INT] = {"integer", "integer", NULL},
    [TEARS_TYPE_BIGINT] = {"bigint", "bigint", "BIGINT"},
    [TEARS_TYPE_BOOL] = {"boolean", "boolean", "INTEGER_BOOL"},
    [TEARS_TYPE_VECTOR] = {"vector", "vector", "TEXT_VECTOR"},
    [TEARS_TYPE_DOUBLE] = {"double", "double precision", "REAL"},
};

/* Whether the type in brackets is said by precision, scale or dimensions. */
static bool is_exact(const struct t3_column *column, const char *name)
{
    if (name == NULL || column->text_cast)
        return name == NULL && !column->text_cast;
    const bool has_arguments =
        column->type == TEARS_TYPE_NUMERIC || column->type == TEARS_TYPE_VECTOR;
    if (!has_arguments)
        return t3_str_equal_nocase(column->sql_type, tears_str_c(name));
    const size_t len = strlen(name);
    return column->sql_type.len >= len &&
           t3_str_equal_nocase(tears_str_n(column->sql_type.ptr, len), tears_str_c(name));
}

/* SQLite's INTEGER has 64 bits, and is described so; a definition makes it by its own name. */
static const char *type_name(const struct t3_column *column)
{
    if (column->type == TEARS_TYPE_BIGINT &&
        t3_str_equal_nocase(column->sql_type, TEARS_STR("INTEGER")))
        return "integer";
    return types[column->type].name;
}

static void put_type(struct writer *writer, const struct t3_column *column)
{
    put(writer, ", \"column_type\": \"");
    put(writer, type_name(column));
    put(writer, "\"");
    const bool is_lite_integer = column->type == TEARS_TYPE_BIGINT &&
                                 t3_str_equal_nocase(column->sql_type, TEARS_STR("INTEGER"));
    if (!is_lite_integer && column->sql_type.len > 0 &&
        !is_exact(column, types[column->type].postgresql) &&
        !is_exact(column, types[column->type].sqlite))
        note(writer, "column", column->name, column->sql_type);
    if (column->type == TEARS_TYPE_VECTOR)
        put_number(writer, "vector_dim", column->vector_dim);
    if (column->type == TEARS_TYPE_NUMERIC && column->precision > 0) {
        put_number(writer, "precision", column->precision);
        put_number(writer, "scale", column->scale);
    }
    if (column->type == TEARS_TYPE_ENUM) {
        put_member(writer, "enum_name",
                   column->enum_name.len > 0 ? column->enum_name : column->name);
        put(writer, ", \"enum_values\": ");
        put_names(writer, column->enum_values, column->enum_value_count);
    }
}

static void put_default(struct writer *writer, const struct t3_column *column)
{
    const struct tears_str text = column->server_default;
    if (text.len == 0 && !column->generated)
        return;
    if (column->generated || t3_str_starts(text, "GENERATED") || t3_str_starts(text, "nextval(") ||
        t3_str_is(text, "rowid")) {
        if (!t3_str_is(text, "rowid"))
            note(writer, "column", column->name,
                 text.len > 0 ? text : TEARS_STR("computed by the database"));
        return;
    }
    put_member(writer, "default", text);
}

static void put_column(struct writer *writer, const struct t3_column *column)
{
    put(writer, "    {\"name\": ");
    put_identifier(writer, column->name);
    put_type(writer, column);
    if (!column->nullable && !column->primary)
        put(writer, ", \"nullable\": false");
    put_default(writer, column);
    if (column->partition)
        put(writer, ", \"partition\": true");
    else if (column->immutable && column->type != TEARS_TYPE_TSVECTOR)
        put(writer, ", \"immutable\": true");
    put(writer, "}");
}

static void put_columns(struct writer *writer, const struct tears_schema *schema)
{
    put(writer, ",\n  \"columns\": [\n");
    for (uint32_t i = 0; i < schema->column_count; i++) {
        put(writer, i > 0 ? ",\n" : "");
        put_column(writer, &schema->columns[i]);
    }
    put(writer, "\n  ],\n  \"primary_key\": [");
    for (uint32_t i = 0; i < schema->key_count; i++) {
        put(writer, i > 0 ? ", " : "");
        put_text(writer, schema->columns[schema->key[i]].name);
    }
    put(writer, "]");
}

/* ---- the rest ---------------------------------------------------------------------------------- */

static void put_index(struct writer *writer, const struct tears_index_def *index)
{
    put(writer, "    {\"name\": ");
    put_identifier(writer, index->name);
    put(writer, ", \"columns\": ");
    put_names(writer, index->columns, index->column_count);
    put(writer, index->unique ? ", \"unique\": true" : "");
    put_member(writer, "where", index->where);
    put_member(writer, "method", index->using_method);
    const char *before = ", \"opclass\": {";
    for (size_t i = 0; index->opclasses != NULL && i < index->column_count; i++) {
        if (index->opclasses[i].len == 0)
            continue;
        put(writer, before);
        put_text(writer, index->columns[i]);
        put(writer, ": ");
        put_text(writer, index->opclasses[i]);
        before = ", ";
    }
    put(writer, before[2] == '\0' ? "}" : "");
    if (index->include_count > 0) {
        put(writer, ", \"include\": ");
        put_names(writer, index->include, index->include_count);
    }
    for (size_t i = 0; i < index->parameter_count; i++) {
        put(writer, i > 0 ? ", " : ", \"with\": {");
        put_text(writer, index->parameters[i].name);
        put(writer, ": ");
        put_text(writer, index->parameters[i].value);
    }
    put(writer, index->parameter_count > 0 ? "}}" : "}");
}

static void put_foreign_key(struct writer *writer, const struct tears_schema *schema,
                            const struct tears_foreign_key_def *key)
{
    static const char none[] = "NO ACTION";
    put(writer, "    {\"name\": ");
    if (key->name.len > 0) {
        put_identifier(writer, key->name);
    } else if (writer->status == TEARS_OK) { /* SQLite's may have none, and a definition's must */
        T3_AUTO(t3_buf_done) struct t3_buf name = {0};
        writer->status = t3_buf_printf(&name, T3_STR_FMT "_fkey", T3_STR_ARG(key->columns[0]));
        put_text(writer, t3_buf_str(&name));
    }
    put(writer, ", \"columns\": ");
    put_names(writer, key->columns, key->column_count);
    put(writer, ", \"references_table\": ");
    put_identifier(writer, key->references_table);
    put(writer, ", \"references_columns\": ");
    put_names(writer, key->references_columns, key->references_column_count);
    put_member(writer, "on_delete", key->on_delete.len > 0 ? key->on_delete : tears_str_c(none));
    put_member(writer, "on_update", key->on_update.len > 0 ? key->on_update : tears_str_c(none));
    put(writer, "}");
    (void)schema;
}

static void put_lists(struct writer *writer, const struct tears_schema *schema)
{
    for (size_t i = 0; i < schema->unique_constraint_count; i++) {
        put(writer, i > 0 ? ",\n" : ",\n  \"unique_constraints\": [\n");
        put(writer, "    {\"name\": ");
        put_identifier(writer, schema->unique_constraints[i].name);
        put(writer, ", \"columns\": ");
        put_names(writer, schema->unique_constraints[i].columns,
                  schema->unique_constraints[i].column_count);
        put(writer, "}");
    }
    put(writer, schema->unique_constraint_count > 0 ? "\n  ]" : "");
    for (size_t i = 0; i < schema->index_count; i++) {
        put(writer, i > 0 ? ",\n" : ",\n  \"indexes\": [\n");
        put_index(writer, &schema->indexes[i]);
    }
    put(writer, schema->index_count > 0 ? "\n  ]" : "");
    for (size_t i = 0; i < schema->foreign_key_count; i++) {
        put(writer, i > 0 ? ",\n" : ",\n  \"foreign_keys\": [\n");
        put_foreign_key(writer, schema, &schema->foreign_keys[i]);
    }
    put(writer, schema->foreign_key_count > 0 ? "\n  ]" : "");
}

/* Without its schema: the definition may be carried out in another. */
static struct tears_str bare_name(struct tears_str name)
{
    const char *point = name.len > 0 ? memchr(name.ptr, '.', name.len) : NULL;
    return point != NULL ? t3_str_from(name, (size_t)(point - name.ptr) + 1) : name;
}

tears_status t3_store_put_definition(const struct tears_schema *schema, struct t3_buf *json,
                                     struct t3_buf *inexact, struct tears_error *error_out)
{
    static const char *const policies[] = {"", "ignore", "raise"};
    struct writer writer = {json, inexact, error_out, TEARS_OK};
    put(&writer, "{\n  \"name\": ");
    put_identifier(&writer, bare_name(schema->name));
    if (schema->version_column != T3_NO_COLUMN)
        put_member(&writer, "version_column", schema->columns[schema->version_column].name);
    put_member(&writer, "on_conflict", tears_str_c(policies[schema->on_conflict % 3]));
    if (schema->byte_codec != TEARS_BYTES_HEX)
        put_member(&writer, "byte_codec", TEARS_STR("base64"));
    put_columns(&writer, schema);
    put_lists(&writer, schema);
    put(&writer, "\n}");
    return writer.status;
}
