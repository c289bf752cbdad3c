/*
 * schema.c -- making, sharing and reading schemas.
 *
 * Owns:     each schema's arena, in which everything the caller declared is copied.
 * Knows:    base/, codec/json.h (how a column's name stands in an L2 value).
 * Must not know: tiers, databases.
 * Threads:  any; a schema never changes after it was made, and its count of holders is atomic.
 * Fails:    TEARS_INVALID, TEARS_LIMIT (see schema_check.c), TEARS_NO_MEMORY.
 * Begin at: t3_schema_build().
 */
#include "schema/schema.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fail.h"
#include "base/limits.h"
#include "base/str.h"
#include "codec/json.h"
#include "schema/schema_impl.h"

/* ---- copying a declaration --------------------------------------------------------------------
 */

static tears_status copy_names(struct t3_arena *arena, const struct tears_str *names, size_t count,
                               const struct tears_str **copy_out)
{
    struct tears_str *copy = t3_arena_array(arena, count, sizeof *copy);
    if (copy == NULL)
        return TEARS_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        T3_TRY(t3_arena_str(arena, names[i], &copy[i]));
    *copy_out = copy;
    return TEARS_OK;
}

static tears_status make_json_name(struct t3_arena *arena, struct tears_str name,
                                   struct tears_str *json_name_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    T3_TRY(t3_json_put_string(&text, name));
    T3_TRY(t3_buf_put(&text, TEARS_STR(": ")));
    return t3_arena_str(arena, t3_buf_str(&text), json_name_out);
}

static tears_status copy_column(struct t3_arena *arena, const struct tears_column_def *def,
                                struct t3_column *column)
{
    column->type = (uint8_t)def->type;
    column->kind = t3_kind_of_type(def->type);
    column->nullable = def->nullable;
    column->immutable = def->immutable || def->partition || def->type == TEARS_TYPE_TSVECTOR;
    column->partition = def->partition;
    column->vector_dim = (uint32_t)def->vector_dim;
    column->precision = (uint32_t)def->precision;
    column->scale = (uint32_t)def->scale;
    column->has_scale = def->has_scale;
    column->enum_value_count = (uint32_t)def->enum_value_count;
    T3_TRY(t3_arena_str(arena, def->name, &column->name));
    T3_TRY(t3_arena_str(arena, def->server_default, &column->server_default));
    T3_TRY(t3_arena_str(arena, def->enum_name, &column->enum_name));
    T3_TRY(t3_arena_str(arena, def->references_table, &column->references_table));
    T3_TRY(t3_arena_str(arena, def->references_column, &column->references_column));
    T3_TRY(copy_names(arena, def->enum_values, def->enum_value_count, &column->enum_values));
    return make_json_name(arena, def->name, &column->json_name);
}

static tears_status copy_columns(struct tears_schema *schema,
                                 const struct t3_declaration *declaration)
{
    struct t3_arena *arena = &schema->arena;
    const size_t count = declaration->def->column_count;
    uint8_t *kinds = t3_arena_array(arena, count, sizeof *kinds);
    schema->columns = t3_arena_array(arena, count, sizeof *schema->columns);
    if (kinds == NULL || schema->columns == NULL)
        return TEARS_NO_MEMORY;
    schema->column_count = (uint32_t)count;
    for (uint32_t i = 0; i < count; i++) {
        struct t3_column *column = &schema->columns[i];
        T3_TRY(copy_column(arena, t3_declared(declaration, i), column));
        kinds[i] = column->kind;
        if (column->partition)
            schema->partition_column = i;
        if (declaration->catalogue == NULL)
            continue;
        const struct t3_catalogue_column *seen = &declaration->catalogue[i];
        column->generated = seen->generated;
        column->text_cast = seen->text_cast;
        T3_TRY(t3_arena_str(arena, seen->sql_type, &column->sql_type));
    }
    schema->layout.kinds = kinds;
    schema->layout.count = schema->column_count;
    return TEARS_OK;
}

static void resolve_columns(struct tears_schema *schema, const struct tears_schema_def *def)
{
    for (uint32_t i = 0; i < def->primary_key_count; i++) {
        const uint32_t column = t3_schema_find(schema, def->primary_key[i]);
        schema->key[i] = column;
        schema->columns[column].primary = true;
    }
    schema->key_count = (uint32_t)def->primary_key_count;
    if (def->version_column.len > 0) {
        schema->version_column = t3_schema_find(schema, def->version_column);
        schema->columns[schema->version_column].version = true;
    }
}

static tears_status copy_foreign_keys(struct tears_schema *schema,
                                      const struct tears_schema_def *def)
{
    struct t3_arena *arena = &schema->arena;
    struct tears_foreign_key_def *keys =
        t3_arena_array(arena, def->foreign_key_count, sizeof *keys);
    if (keys == NULL)
        return TEARS_NO_MEMORY;
    for (size_t i = 0; i < def->foreign_key_count; i++) {
        const struct tears_foreign_key_def *from = &def->foreign_keys[i];
        struct tears_foreign_key_def *to = &keys[i];
        T3_TRY(t3_arena_str(arena, from->name, &to->name));
        T3_TRY(copy_names(arena, from->columns, from->column_count, &to->columns));
        to->column_count = from->column_count;
        T3_TRY(t3_arena_str(arena, from->references_table, &to->references_table));
        T3_TRY(copy_names(arena, from->references_columns, from->references_column_count,
                          &to->references_columns));
        to->references_column_count = from->references_column_count;
        T3_TRY(t3_arena_str(arena, from->on_delete, &to->on_delete));
        T3_TRY(t3_arena_str(arena, from->on_update, &to->on_update));
    }
    schema->foreign_keys = keys;
    schema->foreign_key_count = def->foreign_key_count;
    return TEARS_OK;
}

static tears_status copy_index(struct t3_arena *arena, const struct tears_index_def *from,
                               struct tears_index_def *to)
{
    struct tears_parameter_def *parameters =
        t3_arena_array(arena, from->parameter_count, sizeof *parameters);
    if (parameters == NULL)
        return TEARS_NO_MEMORY;
    for (size_t i = 0; i < from->parameter_count; i++) {
        T3_TRY(t3_arena_str(arena, from->parameters[i].name, &parameters[i].name));
        T3_TRY(t3_arena_str(arena, from->parameters[i].value, &parameters[i].value));
    }
    to->parameters = parameters;
    to->parameter_count = from->parameter_count;
    to->column_count = from->column_count;
    to->include_count = from->include_count;
    to->unique = from->unique;
    T3_TRY(t3_arena_str(arena, from->name, &to->name));
    T3_TRY(copy_names(arena, from->columns, from->column_count, &to->columns));
    T3_TRY(t3_arena_str(arena, from->where, &to->where));
    T3_TRY(t3_arena_str(arena, from->using_method, &to->using_method));
    T3_TRY(copy_names(arena, from->include, from->include_count, &to->include));
    if (from->opclasses == NULL)
        return TEARS_OK;
    return copy_names(arena, from->opclasses, from->column_count, &to->opclasses);
}

static tears_status copy_indexes(struct tears_schema *schema, const struct tears_schema_def *def)
{
    struct t3_arena *arena = &schema->arena;
    struct tears_index_def *indexes = t3_arena_array(arena, def->index_count, sizeof *indexes);
    struct tears_unique_def *uniques =
        t3_arena_array(arena, def->unique_constraint_count, sizeof *uniques);
    if (indexes == NULL || uniques == NULL)
        return TEARS_NO_MEMORY;
    for (size_t i = 0; i < def->index_count; i++)
        T3_TRY(copy_index(arena, &def->indexes[i], &indexes[i]));
    for (size_t i = 0; i < def->unique_constraint_count; i++) {
        const struct tears_unique_def *from = &def->unique_constraints[i];
        uniques[i].column_count = from->column_count;
        T3_TRY(t3_arena_str(arena, from->name, &uniques[i].name));
        T3_TRY(copy_names(arena, from->columns, from->column_count, &uniques[i].columns));
    }
    schema->indexes = indexes;
    schema->index_count = def->index_count;
    schema->unique_constraints = uniques;
    schema->unique_constraint_count = def->unique_constraint_count;
    return TEARS_OK;
}

/* ---- names in SQL -----------------------------------------------------------------------------
 */

tears_status t3_put_identifier(struct t3_buf *out, struct tears_str name)
{
    T3_TRY(t3_buf_put_char(out, '"'));
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '"') /* SQL doubles a quote inside a quoted name */
            T3_TRY(t3_buf_put_char(out, '"'));
        T3_TRY(t3_buf_put_char(out, name.ptr[i]));
    }
    return t3_buf_put_char(out, '"');
}

tears_status t3_put_table_name(struct t3_buf *out, struct tears_str name)
{
    const char *dot = memchr(name.ptr, '.', name.len);
    if (dot == NULL || dot == name.ptr || dot == name.ptr + name.len - 1)
        return t3_put_identifier(out, name);
    const size_t at = (size_t)(dot - name.ptr);
    T3_TRY(t3_put_identifier(out, tears_str_n(name.ptr, at)));
    T3_TRY(t3_buf_put_char(out, '.'));
    return t3_put_identifier(out, t3_str_from(name, at + 1));
}

static tears_status copy_table_name(struct tears_schema *schema, struct tears_str name)
{
    T3_AUTO(t3_buf_done) struct t3_buf quoted = {0};
    T3_TRY(t3_put_table_name(&quoted, name));
    T3_TRY(t3_arena_str(&schema->arena, t3_buf_str(&quoted), &schema->sql_name));
    return t3_arena_str(&schema->arena, name, &schema->name);
}

/* ---- making -----------------------------------------------------------------------------------
 */

static tears_status fill(struct tears_schema *schema, const struct t3_declaration *declaration)
{
    const struct tears_schema_def *def = declaration->def;
    schema->version_column = T3_NO_COLUMN;
    schema->partition_column = T3_NO_COLUMN;
    schema->on_conflict = (uint8_t)def->on_conflict;
    schema->byte_codec = (uint8_t)def->byte_codec;
    schema->dynamic = declaration->dynamic;
    T3_TRY(copy_table_name(schema, def->name));
    T3_TRY(copy_columns(schema, declaration));
    resolve_columns(schema, def);
    T3_TRY(copy_foreign_keys(schema, def));
    return copy_indexes(schema, def);
}

tears_status t3_schema_build(const struct t3_declaration *declaration,
                             struct tears_schema **schema_out, struct tears_error *error_out)
{
    T3_TRY(t3_schema_check(declaration, error_out));
    struct tears_schema *schema = t3_alloc_zero(1, sizeof *schema);
    if (schema == NULL)
        return t3_fail_memory(error_out, "schema");
    atomic_init(&schema->references, 1);
    const tears_status status = fill(schema, declaration);
    if (status != TEARS_OK) {
        tears_schema_free(schema);
        return t3_fail(error_out, status, "schema", "table '" T3_STR_FMT "': %s",
                       T3_STR_ARG(declaration->def->name), tears_status_text(status));
    }
    *schema_out = schema;
    return TEARS_OK;
}

tears_status tears_schema_new(const struct tears_schema_def *def, tears_schema **schema_out,
                              struct tears_error *error_out)
{
    if (def == NULL || schema_out == NULL || (def->columns == NULL && def->column_count > 0))
        return t3_fail(error_out, TEARS_MISUSE, "schema", "tears_schema_new: a NULL argument");
    const struct t3_declaration declaration = {.def = def};
    return t3_schema_build(&declaration, schema_out, error_out);
}

/* Whether the column can be what a table without a word about it orders its rows by. */
static bool is_version_by_convention(const struct t3_declaration *declaration, const char *name,
                                     bool timestamp)
{
    const size_t index = t3_declared_find(declaration, tears_str_c(name));
    if (index == SIZE_MAX || declaration->catalogue[index].generated)
        return false;
    const struct tears_column_def *column = t3_declared(declaration, index);
    for (size_t i = 0; i < declaration->def->primary_key_count; i++)
        if (t3_str_equal(declaration->def->primary_key[i], column->name))
            return false;
    if (timestamp)
        return column->type == TEARS_TYPE_TIMESTAMPTZ;
    return column->type == TEARS_TYPE_INT || column->type == TEARS_TYPE_BIGINT;
}

static struct tears_str choose_version(const struct t3_declaration *declaration,
                                       struct tears_str asked)
{
    if (t3_str_is(asked, "none"))
        return TEARS_STR("");
    if (asked.len > 0)
        return asked;
    if (is_version_by_convention(declaration, "row_version", false))
        return TEARS_STR("row_version");
    if (is_version_by_convention(declaration, "date_updated", true))
        return TEARS_STR("date_updated");
    return TEARS_STR("");
}

tears_status t3_schema_from_catalogue(const struct tears_schema_def *def,
                                      const struct t3_catalogue_column *columns,
                                      struct tears_str version_column,
                                      struct tears_schema **schema_out,
                                      struct tears_error *error_out)
{
    struct tears_schema_def completed = *def;
    const struct t3_declaration declaration = {.def = &completed, .catalogue = columns};
    completed.version_column = choose_version(&declaration, version_column);
    return t3_schema_build(&declaration, schema_out, error_out);
}

tears_status t3_schema_call(struct tears_schema *schema, struct tears_str name)
{
    T3_ASSERT(atomic_load_explicit(&schema->references, memory_order_relaxed) == 1);
    if (name.len == 0 || name.len > T3_NAME_BYTES_MAX)
        return TEARS_INVALID;
    return t3_arena_str(&schema->arena, name, &schema->name);
}

struct tears_schema *t3_schema_hold(struct tears_schema *schema)
{
    atomic_fetch_add_explicit(&schema->references, 1, memory_order_relaxed);
    return schema;
}

void tears_schema_free(tears_schema *schema)
{
    if (schema == NULL)
        return;
    /* acq_rel: everything other holders did with the schema happens before it is freed */
    if (atomic_fetch_sub_explicit(&schema->references, 1, memory_order_acq_rel) != 1)
        return;
    t3_arena_done(&schema->arena);
    t3_free(schema);
}

/* ---- reading ----------------------------------------------------------------------------------
 */

uint32_t t3_schema_find(const struct tears_schema *schema, struct tears_str name)
{
    for (uint32_t i = 0; i < schema->column_count; i++)
        if (t3_str_equal(schema->columns[i].name, name))
            return i;
    return T3_NO_COLUMN;
}

int64_t t3_schema_row_version(const struct tears_schema *schema, const struct t3_row *row)
{
    if (schema->version_column == T3_NO_COLUMN || t3_row_is_null(row, schema->version_column))
        return 0;
    return t3_row_value(row, &schema->layout, schema->version_column).as.integer;
}

struct tears_str tears_schema_name(const tears_schema *schema)
{
    return schema->name;
}

size_t tears_schema_column_count(const tears_schema *schema)
{
    return schema->column_count;
}

tears_status tears_schema_column(const tears_schema *schema, size_t index,
                                 struct tears_column_info *info_out)
{
    if (index >= schema->column_count)
        return TEARS_NOT_FOUND;
    const struct t3_column *column = &schema->columns[index];
    struct tears_column_info info;
    memset(&info, 0, sizeof info);
    info.name = column->name;
    info.type = column->type;
    info.kind = column->kind;
    info.nullable = column->nullable;
    info.immutable = column->immutable;
    info.partition = column->partition;
    info.primary_key = column->primary;
    info.version = column->version;
    info.server_default = column->server_default;
    info.sql_type = column->sql_type;
    info.enum_values = column->enum_values;
    info.enum_value_count = column->enum_value_count;
    info.vector_dim = column->vector_dim;
    *info_out = info;
    return TEARS_OK;
}

tears_status tears_schema_find_column(const tears_schema *schema, struct tears_str name,
                                      size_t *index_out)
{
    const uint32_t column = t3_schema_find(schema, name);
    if (column == T3_NO_COLUMN)
        return TEARS_NOT_FOUND;
    *index_out = column;
    return TEARS_OK;
}

size_t tears_schema_key_count(const tears_schema *schema)
{
    return schema->key_count;
}

size_t tears_schema_key_column(const tears_schema *schema, size_t position)
{
    return position < schema->key_count ? schema->key[position] : SIZE_MAX;
}

size_t tears_schema_version_column(const tears_schema *schema)
{
    return schema->version_column == T3_NO_COLUMN ? SIZE_MAX : schema->version_column;
}
