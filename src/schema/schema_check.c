/*
 * schema_check.c -- the rules that a table's declaration has to keep.
 *
 * Owns:     nothing; it reads a declaration and says what is wrong with it.
 * Knows:    base/, the declaration structs.
 * Must not know: how schemas are stored, SQL.
 * Threads:  any.
 * Fails:    TEARS_INVALID (table, column and rule in the message), TEARS_LIMIT.
 * Begin at: t3_schema_check().
 *
 * Source: spec core.md 25.1, data.md 3.2 to 3.4.  A catalogue describes a table that exists, so
 * rules about how a column must be declared (names of enum types, precision) do not apply to it.
 */
#include "schema/schema_impl.h"

#include "base/fail.h"
#include "base/limits.h"
#include "base/str.h"

enum { NUMERIC_PRECISION_MAX = 1000 /* digits: PostgreSQL's own limit */ };

/* What the small checks below share. */
struct check {
    const struct t3_declaration *declaration;
    struct tears_error *error;
};

static tears_status refuse(const struct check *check, struct tears_str column, const char *rule)
{
    const struct tears_str table = check->declaration->def->name;
    return t3_fail(check->error, TEARS_INVALID, "schema",
                   "table '" T3_STR_FMT "', column '" T3_STR_FMT "': %s", T3_STR_ARG(table),
                   T3_STR_ARG(column), rule);
}

static tears_status refuse_part(const struct check *check, const char *part, struct tears_str name,
                                const char *rule)
{
    const struct tears_str table = check->declaration->def->name;
    return t3_fail(check->error, TEARS_INVALID, "schema",
                   "table '" T3_STR_FMT "', %s '" T3_STR_FMT "': %s", T3_STR_ARG(table), part,
                   T3_STR_ARG(name), rule);
}

static bool name_is_valid(struct tears_str name)
{
    return name.len > 0 && name.len <= T3_NAME_BYTES_MAX && memchr(name.ptr, 0, name.len) == NULL &&
           t3_str_is_utf8(name);
}

size_t t3_declared_find(const struct t3_declaration *declaration, struct tears_str name)
{
    for (size_t i = 0; i < declaration->def->column_count; i++)
        if (t3_str_equal(t3_declared(declaration, i)->name, name))
            return i;
    return SIZE_MAX;
}

/* ---- columns ----------------------------------------------------------------------------------
 */

static tears_status check_enum(const struct check *check, const struct tears_column_def *column)
{
    if (column->type != TEARS_TYPE_ENUM) {
        if (column->enum_values != NULL || column->enum_value_count > 0)
            return refuse(check, column->name, "enum values are only valid for an enum column");
        return TEARS_OK;
    }
    if (check->declaration->catalogue != NULL)
        return TEARS_OK;
    if (column->enum_value_count > 0 && column->enum_name.len == 0)
        return refuse(check, column->name, "enum values require the name of the enum type");
    if (column->enum_value_count == 0)
        return refuse(check, column->name, "an enum column requires at least one label");
    for (size_t i = 0; i < column->enum_value_count; i++)
        if (!name_is_valid(column->enum_values[i]))
            return refuse(check, column->name, "an enum label is empty, too long or not UTF-8");
    return TEARS_OK;
}

static tears_status check_vector(const struct check *check, const struct tears_column_def *column)
{
    if (column->type != TEARS_TYPE_VECTOR)
        return column->vector_dim == 0
                   ? TEARS_OK
                   : refuse(check, column->name, "vector_dim is only valid for a vector column");
    if (column->vector_dim > T3_VECTOR_DIM_MAX)
        return refuse(check, column->name, "vector_dim is above 16000");
    if (column->vector_dim == 0 && check->declaration->catalogue == NULL)
        return refuse(check, column->name, "a vector column requires vector_dim");
    return TEARS_OK;
}

static tears_status check_numeric(const struct check *check, const struct tears_column_def *column)
{
    const bool has_precision = column->precision > 0;
    if (column->type != TEARS_TYPE_NUMERIC) {
        if (has_precision || column->has_scale || column->scale > 0)
            return refuse(check, column->name,
                          "precision and scale are only valid for a numeric column");
        return TEARS_OK;
    }
    if (check->declaration->catalogue != NULL)
        return TEARS_OK;
    if (check->declaration->dynamic && !has_precision && !column->has_scale)
        return TEARS_OK;
    if (!has_precision || !column->has_scale)
        return refuse(check, column->name, "a numeric column requires both precision and scale");
    if (column->precision > NUMERIC_PRECISION_MAX || column->scale > column->precision)
        return refuse(check, column->name, "precision is above 1000, or scale is above precision");
    return TEARS_OK;
}

static tears_status check_column(const struct check *check, size_t index)
{
    const struct tears_column_def *column = t3_declared(check->declaration, index);
    if (!name_is_valid(column->name))
        return refuse(check, column->name, "the name is empty, too long or not UTF-8");
    if (t3_declared_find(check->declaration, column->name) != index)
        return refuse(check, column->name, "the name is declared twice");
    if (column->type < TEARS_TYPE_UUID || column->type > TEARS_TYPE_DOUBLE)
        return refuse(check, column->name, "unknown column type");
    T3_TRY(check_enum(check, column));
    T3_TRY(check_vector(check, column));
    if ((column->references_table.len == 0) != (column->references_column.len == 0))
        return refuse(check, column->name, "a foreign key needs both a table and a column");
    T3_TRY(check_numeric(check, column));
    if (column->type == TEARS_TYPE_TSVECTOR && !column->immutable &&
        check->declaration->catalogue == NULL)
        return refuse(check, column->name, "a tsvector column must be immutable");
    return TEARS_OK;
}

static tears_status check_columns(const struct check *check)
{
    const struct tears_schema_def *def = check->declaration->def;
    if (def->column_count == 0)
        return t3_fail(check->error, TEARS_INVALID, "schema",
                       "table '" T3_STR_FMT "' has no columns", T3_STR_ARG(def->name));
    if (def->column_count > T3_COLUMNS_MAX)
        return t3_fail(check->error, TEARS_LIMIT, "schema",
                       "table '" T3_STR_FMT "' has %zu columns; the limit is %d",
                       T3_STR_ARG(def->name), def->column_count, T3_COLUMNS_MAX);
    for (size_t i = 0; i < def->column_count; i++)
        T3_TRY(check_column(check, i));
    return TEARS_OK;
}

/* ---- keys -------------------------------------------------------------------------------------
 */

static bool is_key(const struct tears_schema_def *def, struct tears_str name)
{
    for (size_t i = 0; i < def->primary_key_count; i++)
        if (t3_str_equal(def->primary_key[i], name))
            return true;
    return false;
}

static tears_status check_primary_key(const struct check *check)
{
    const struct tears_schema_def *def = check->declaration->def;
    if (def->primary_key_count == 0)
        return t3_fail(check->error, TEARS_INVALID, "schema",
                       "table '" T3_STR_FMT "' has no primary key", T3_STR_ARG(def->name));
    if (def->primary_key_count > T3_KEY_COLUMNS_MAX)
        return t3_fail(check->error, TEARS_LIMIT, "schema",
                       "table '" T3_STR_FMT "' has %zu primary-key columns; the limit is %d",
                       T3_STR_ARG(def->name), def->primary_key_count, T3_KEY_COLUMNS_MAX);
    for (size_t i = 0; i < def->primary_key_count; i++) {
        const struct tears_str name = def->primary_key[i];
        if (t3_declared_find(check->declaration, name) == SIZE_MAX)
            return refuse(check, name, "primary_key column not found in columns");
        for (size_t k = 0; k < i; k++)
            if (t3_str_equal(def->primary_key[k], name))
                return refuse(check, name, "named twice in the primary key");
    }
    return TEARS_OK;
}

static tears_status check_partition(const struct check *check)
{
    const struct tears_schema_def *def = check->declaration->def;
    bool found = false;
    for (size_t i = 0; i < def->column_count; i++) {
        const struct tears_column_def *column = t3_declared(check->declaration, i);
        if (!column->partition)
            continue;
        if (found)
            return refuse(check, column->name, "only one partition column is allowed");
        if (!is_key(def, column->name))
            return refuse(check, column->name, "the partition column must be part of primary_key");
        found = true;
    }
    return TEARS_OK;
}

static tears_status check_version(const struct check *check)
{
    const struct tears_schema_def *def = check->declaration->def;
    const struct tears_str name = def->version_column;
    if (name.len == 0)
        return TEARS_OK;
    const size_t index = t3_declared_find(check->declaration, name);
    if (index == SIZE_MAX)
        return refuse(check, name, "the version column is not declared in columns");
    const struct tears_column_def *column = t3_declared(check->declaration, index);
    if (column->type != TEARS_TYPE_INT && column->type != TEARS_TYPE_BIGINT &&
        column->type != TEARS_TYPE_TIMESTAMPTZ)
        return refuse(check, name, "the version column must be an integer or a timestamptz");
    if (is_key(def, name))
        return refuse(check, name, "the version column must not be part of primary_key");
    if (column->immutable)
        return refuse(check, name, "the version column must not be immutable");
    return TEARS_OK;
}

/* ---- foreign keys, indexes, constraints -------------------------------------------------------
 */

static tears_status check_names(const struct check *check, const char *part, struct tears_str name,
                                const struct tears_str *columns, size_t count)
{
    if (count == 0 || columns == NULL)
        return refuse_part(check, part, name, "it has no columns");
    for (size_t i = 0; i < count; i++)
        if (t3_declared_find(check->declaration, columns[i]) == SIZE_MAX)
            return refuse_part(check, part, name, "a column of it is not declared in columns");
    return TEARS_OK;
}

static bool action_is_valid(struct tears_str action)
{
    return action.len == 0 || t3_str_is(action, "CASCADE") || t3_str_is(action, "SET NULL") ||
           t3_str_is(action, "RESTRICT") || t3_str_is(action, "NO ACTION");
}

static tears_status check_foreign_key(const struct check *check,
                                      const struct tears_foreign_key_def *key)
{
    const struct tears_str name = key->name.len > 0 ? key->name : key->references_table;
    if (key->references_table.len == 0)
        return refuse_part(check, "foreign key", name, "the referenced table is missing");
    if (key->column_count != key->references_column_count)
        return refuse_part(check, "foreign key", name,
                           "columns and referenced columns must have the same length");
    T3_TRY(check_names(check, "foreign key", name, key->columns, key->column_count));
    if (!action_is_valid(key->on_delete))
        return refuse_part(check, "foreign key", name,
                           "on_delete must be one of CASCADE, SET NULL, RESTRICT, NO ACTION");
    if (!action_is_valid(key->on_update))
        return refuse_part(check, "foreign key", name,
                           "on_update must be one of CASCADE, SET NULL, RESTRICT, NO ACTION");
    return TEARS_OK;
}

static tears_status check_indexes(const struct check *check)
{
    const struct tears_schema_def *def = check->declaration->def;
    for (size_t i = 0; i < def->index_count; i++) {
        const struct tears_index_def *index = &def->indexes[i];
        if (!name_is_valid(index->name))
            return refuse_part(check, "index", index->name, "the name is empty or not valid");
        T3_TRY(check_names(check, "index", index->name, index->columns, index->column_count));
        if (index->include_count > 0)
            T3_TRY(check_names(check, "index", index->name, index->include, index->include_count));
        for (size_t k = 0; k < i; k++)
            if (t3_str_equal(def->indexes[k].name, index->name))
                return refuse_part(check, "index", index->name, "duplicate index names");
    }
    return TEARS_OK;
}

static tears_status check_uniques(const struct check *check)
{
    const struct tears_schema_def *def = check->declaration->def;
    for (size_t i = 0; i < def->unique_constraint_count; i++) {
        const struct tears_unique_def *unique = &def->unique_constraints[i];
        if (!name_is_valid(unique->name))
            return refuse_part(check, "constraint", unique->name, "the name is empty or not valid");
        T3_TRY(
            check_names(check, "constraint", unique->name, unique->columns, unique->column_count));
        for (size_t k = 0; k < i; k++)
            if (t3_str_equal(def->unique_constraints[k].name, unique->name))
                return refuse_part(check, "constraint", unique->name,
                                   "duplicate unique-constraint names");
        for (size_t k = 0; k < def->index_count; k++)
            if (t3_str_equal(def->indexes[k].name, unique->name))
                return refuse_part(check, "constraint", unique->name,
                                   "the name is used by both an index and a constraint");
    }
    return TEARS_OK;
}

tears_status t3_schema_check(const struct t3_declaration *declaration,
                             struct tears_error *error_out)
{
    const struct check check = {declaration, error_out};
    const struct tears_schema_def *def = declaration->def;
    if (!name_is_valid(def->name))
        return t3_fail(error_out, TEARS_INVALID, "schema",
                       "table name '" T3_STR_FMT "' is empty, too long or not UTF-8",
                       T3_STR_ARG(def->name));
    if (def->on_conflict > TEARS_ON_CONFLICT_RAISE || def->byte_codec > TEARS_BYTES_HEX)
        return t3_fail(error_out, TEARS_INVALID, "schema",
                       "table '" T3_STR_FMT "': on_conflict or byte_codec is out of range",
                       T3_STR_ARG(def->name));
    T3_TRY(check_columns(&check));
    T3_TRY(check_primary_key(&check));
    T3_TRY(check_partition(&check));
    T3_TRY(check_version(&check));
    for (size_t i = 0; i < def->foreign_key_count; i++)
        T3_TRY(check_foreign_key(&check, &def->foreign_keys[i]));
    T3_TRY(check_indexes(&check));
    return check_uniques(&check);
}
