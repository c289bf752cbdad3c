/*
 * vectors_sql.c -- sql.jsonl: statements of tables with and without a schema, coercions, tags.
 *
 * Threads:  one.
 * Begin at: sql_ops.
 */
#include "base/str.h"
#include "schema/coerce.h"
#include "schema/dml_reference.h"
#include "schema/tags.h"
#include "vectors/vectors_dynamic.h"

#include <tears/dsn.h>

static void free_schema(void *variable)
{
    tears_schema_free(*(struct tears_schema **)variable);
}

/* ---- tables with a schema ---------------------------------------------------------------------
 */

static json_t *give_statement(const struct tears_schema *schema, const struct t3_dml *dml)
{
    json_t *params = json_array();
    for (uint32_t i = 0; i < dml->param_count; i++)
        json_array_append_new(params, give_text(schema->columns[dml->params[i].column].name));
    return json_pack("{s:o, s:o}", "sql", give_text(t3_buf_str(&dml->sql)), "params", params);
}

static json_t *schema_by_key(struct vector *vector,
                             tears_status (*build)(const struct tears_schema *, struct t3_dml *))
{
    T3_AUTO(free_schema)
    struct tears_schema *schema = schema_of(vector, json_object_get(vector->in, "schema"));
    if (schema == NULL)
        return NULL;
    T3_AUTO(t3_dml_done) struct t3_dml dml = {0};
    must(build(schema, &dml), "statement by key");
    return give_statement(schema, &dml);
}

static json_t *schema_fetch(struct vector *vector)
{
    return schema_by_key(vector, t3_reference_fetch);
}

static json_t *schema_delete(struct vector *vector)
{
    return schema_by_key(vector, t3_reference_delete);
}

/* The row's declared columns, coerced; false when a value cannot be. */
static bool read_cells(struct vector *vector, const struct tears_schema *schema,
                       struct t3_reference_row *row)
{
    const json_t *pairs = json_object_get(vector->in, "row");
    struct t3_cell *cells = t3_arena_array(vector->arena, json_array_size(pairs), sizeof *cells);
    if (cells == NULL)
        give_up("out of memory");
    for (size_t i = 0; i < json_array_size(pairs); i++) {
        const json_t *pair = json_array_get(pairs, i);
        const uint32_t column = t3_schema_find(schema, text_of(json_array_get(pair, 0)));
        if (column == T3_NO_COLUMN)
            continue;
        const struct tears_value given = value_of(vector, json_array_get(pair, 1));
        struct t3_cell *cell = &cells[row->cell_count++];
        cell->column = column;
        if (t3_value_convert(schema->columns[column].type, &given, vector->arena, &cell->value) !=
            TEARS_OK)
            return false;
    }
    row->cells = cells;
    return true;
}

static struct tears_value param_value(const struct t3_param *param,
                                      const struct t3_reference_row *row)
{
    if (param->role == T3_PARAM_CELL)
        return param->index == UINT32_MAX ? tears_null() : row->cells[param->index].value;
    for (uint32_t i = 0; i < row->cell_count; i++)
        if (row->cells[i].column == param->column)
            return row->cells[i].value;
    return tears_null();
}

static json_t *give_params(struct vector *vector, const struct tears_schema *schema,
                           const struct t3_dml *dml, const struct t3_reference_row *row)
{
    json_t *params = json_array();
    for (uint32_t i = 0; i < dml->param_count; i++) {
        const struct t3_param *param = &dml->params[i];
        const bool is_fence = param->role == T3_PARAM_BASE;
        const struct tears_value value = is_fence
                                             ? value_of(vector, json_object_get(vector->in, "cas"))
                                             : param_value(param, row);
        const struct tears_str name =
            is_fence ? TEARS_STR("@cas") : schema->columns[param->column].name;
        json_array_append_new(params, json_pack("{s:o, s:o}", "name", give_text(name), "value",
                                                give_value(&value, true)));
    }
    return params;
}

static json_t *schema_upsert(struct vector *vector)
{
    T3_AUTO(free_schema)
    struct tears_schema *schema = schema_of(vector, json_object_get(vector->in, "schema"));
    if (schema == NULL)
        return NULL;
    const struct tears_value fence = value_of(vector, json_object_get(vector->in, "cas"));
    struct t3_reference_row row = {.has_fence = fence.kind != TEARS_KIND_NULL};
    if (!read_cells(vector, schema, &row))
        return refuse(vector, "bad_value");
    T3_AUTO(t3_dml_done) struct t3_dml dml = {0};
    struct tears_error error;
    const tears_status status = t3_reference_upsert(schema, &row, &dml, &error);
    if (status == TEARS_INVALID)
        return refuse(vector, "missing_required_column");
    must(status, "t3_reference_upsert");
    return json_pack("{s:o, s:o}", "sql", give_text(t3_buf_str(&dml.sql)), "params",
                     give_params(vector, schema, &dml, &row));
}

static json_t *schema_check(struct vector *vector)
{
    T3_AUTO(free_schema)
    struct tears_schema *schema = schema_of(vector, json_object_get(vector->in, "schema"));
    if (schema == NULL)
        return NULL;
    json_t *key = json_array();
    json_t *mutable_columns = json_array();
    json_t *immutable_columns = json_array();
    for (uint32_t i = 0; i < schema->key_count; i++)
        json_array_append_new(key, give_text(schema->columns[schema->key[i]].name));
    for (uint32_t i = 0; i < schema->column_count; i++) {
        const struct t3_column *column = &schema->columns[i];
        if (column->immutable)
            json_array_append_new(immutable_columns, give_text(column->name));
        else if (!column->primary)
            json_array_append_new(mutable_columns, give_text(column->name));
    }
    json_t *partition = schema->partition_column == T3_NO_COLUMN
                            ? json_null()
                            : give_text(schema->columns[schema->partition_column].name);
    return json_pack("{s:o, s:o, s:o, s:o}", "pk_columns", key, "mutable_columns", mutable_columns,
                     "immutable_columns", immutable_columns, "partition_column", partition);
}

/* ---- tables without a schema ------------------------------------------------------------------
 */

static const char *refusal(const struct tears_error *error)
{
    switch (error->detail) {
    case T3_GENERIC_IDENTIFIER:
        return "invalid_identifier";
    case T3_GENERIC_ON_CONFLICT:
        return "invalid_on_conflict";
    case T3_GENERIC_KEY:
        return "pk_required";
    default:
        return error->message;
    }
}

typedef tears_status (*generic_fn)(const struct t3_generic *, struct t3_buf *,
                                   struct tears_error *);

static json_t *generic(struct vector *vector, const char *columns, generic_fn build)
{
    struct t3_generic statement = {.table = in_text(vector, "table"),
                                   .on_conflict = in_text(vector, "on_conflict")};
    const json_t *names = json_object_get(vector->in, columns);
    statement.columns = names_of(vector, names, &statement.column_count);
    statement.key = names_of(vector, json_object_get(vector->in, "pk"), &statement.key_count);
    T3_AUTO(t3_buf_done) struct t3_buf sql = {0};
    struct tears_error error;
    if (build(&statement, &sql, &error) != TEARS_OK)
        return refuse(vector, refusal(&error));
    return json_pack("{s:o, s:O}", "sql", give_text(t3_buf_str(&sql)), "params", names);
}

static json_t *generic_fetch(struct vector *vector)
{
    return generic(vector, "pk", t3_generic_select);
}

static json_t *generic_delete(struct vector *vector)
{
    return generic(vector, "pk", t3_generic_delete);
}

static json_t *generic_scan(struct vector *vector)
{
    return generic(vector, "filters", t3_generic_select);
}

static json_t *generic_upsert(struct vector *vector)
{
    return generic(vector, "columns", t3_generic_upsert);
}

/* ---- coercions --------------------------------------------------------------------------------
 */

static json_t *write_coerce(struct vector *vector)
{
    const struct tears_value given = value_of(vector, json_object_get(vector->in, "value"));
    struct tears_value value;
    const uint64_t type = type_of(json_object_get(vector->in, "column"));
    if (t3_value_convert(type, &given, vector->arena, &value) != TEARS_OK)
        return refuse(vector, "bad_value");
    value.flags = 0; /* an instant: without offset means UTC */
    return json_pack("{s:o}", "value", give_value(&value, true));
}

static json_t *read_coerce(struct vector *vector)
{
    const struct tears_value given = value_of(vector, json_object_get(vector->in, "value"));
    struct tears_value value;
    const uint64_t type = type_of(json_object_get(vector->in, "column"));
    if (t3_value_convert_read(type, &given, vector->arena, &value) != TEARS_OK)
        return refuse(vector, "bad_value");
    value.flags = 0;
    return json_pack("{s:o}", "value", give_value(&value, false));
}

/* ---- tags -------------------------------------------------------------------------------------
 */

static json_t *parse_rowcount(struct vector *vector)
{
    return json_pack("{s:I}", "rows", (json_int_t)t3_tag_row_count(in_text(vector, "tag")));
}

static json_t *execute_tag(struct vector *vector)
{
    enum t3_operation operation = T3_OPERATION_SELECT;
    must(t3_operation_find(in_text(vector, "operation"), &operation), "operation");
    T3_AUTO(t3_buf_done) struct t3_buf tag = {0};
    const json_int_t count = json_integer_value(json_object_get(vector->in, "row_count"));
    must(t3_tag_put(&tag, operation, count), "t3_tag_put");
    return give_member("tag", t3_buf_str(&tag));
}

static json_t *detect_operation(struct vector *vector)
{
    return give_member("operation",
                       tears_str_c(t3_operation_name(t3_operation_of(in_text(vector, "sql")))));
}

static json_t *redact_dsn(struct vector *vector)
{
    char identity[TEARS_DSN_SHOWN_BYTES];
    tears_dsn_redact(in_text(vector, "dsn"), identity);
    return give_member("identity", tears_str_c(identity));
}

static json_t *pool_lifetime(struct vector *vector)
{
    const struct tears_value seconds =
        tears_double((double)tears_pool_idle_ms(in_text(vector, "env"), NULL) / 1000);
    json_t *typed = give_value(&seconds, false);
    json_t *out = json_pack("{s:O}", "seconds", json_object_get(typed, "v"));
    json_decref(typed);
    return out;
}

const struct vector_op sql_ops[] = {
    {"sql", "schema_fetch", schema_fetch, true},
    {"sql", "schema_delete", schema_delete, true},
    {"sql", "schema_upsert", schema_upsert, true},
    {"sql", "schema_check", schema_check, false},
    {"sql", "generic_fetch", generic_fetch, false},
    {"sql", "generic_delete", generic_delete, false},
    {"sql", "generic_scan", generic_scan, false},
    {"sql", "generic_upsert", generic_upsert, false},
    {"sql", "write_coerce", write_coerce, false},
    {"sql", "read_coerce", read_coerce, false},
    {"sql", "parse_rowcount", parse_rowcount, false},
    {"sql", "execute_tag", execute_tag, false},
    {"sql", "detect_operation", detect_operation, false},
    {"sql", "redact_dsn", redact_dsn, false},
    {"sql", "pool_lifetime", pool_lifetime, false},
    {"sql", "dynamic_create_table", dynamic_create_table, false},
    {"sql", "dynamic_delete", dynamic_delete, false},
    {"sql", "repoint_rows", repoint_rows, false},
    {NULL, NULL, NULL, false},
};
