/*
 * dml_reference.c -- the Python package's own SQL, statement by statement.
 *
 * Owns:     nothing beyond what dml.c does.
 * Knows:    the pen (dml_impl.h).
 * Must not know: how the tiers write.
 * Threads:  any.
 * Fails:    TEARS_INVALID, TEARS_NO_MEMORY, TEARS_LIMIT.
 * Begin at: t3_reference_upsert().
 *
 * Two places where the package writes SQL that no server takes are written as its authors meant
 * them: nothing to set gives DO NOTHING (data.md W-56), and a DELETE or upsert without a key is
 * refused.
 */
#include "schema/dml_reference.h"

#include "base/fail.h"
#include "base/str.h"
#include "schema/dml_impl.h"
#include "schema/schema_impl.h"

#define ABSENT UINT32_MAX

/* ---- tables with a schema ---------------------------------------------------------------------
 */

/* The package casts two types only. */
static void put_placeholder(struct t3_pen *pen, uint32_t number)
{
    if (pen->status != TEARS_OK)
        return;
    const struct t3_param *param = &pen->dml->params[number];
    t3_pen_text(pen, "$");
    t3_pen_number(pen, number + 1);
    if (param->role != T3_PARAM_CELL)
        return;
    const uint8_t type = pen->schema->columns[param->column].type;
    if (type == TEARS_TYPE_JSONB)
        t3_pen_text(pen, "::jsonb");
    else if (type == TEARS_TYPE_VECTOR)
        t3_pen_text(pen, "::vector");
}

static void put_where_key(struct t3_pen *pen)
{
    for (uint32_t i = 0; i < pen->schema->key_count; i++) {
        t3_pen_text(pen, i > 0 ? " AND " : " WHERE ");
        t3_pen_own_column(pen, pen->schema->key[i]);
        t3_pen_text(pen, " = ");
        put_placeholder(pen, i);
    }
}

tears_status t3_reference_fetch(const struct tears_schema *schema, struct t3_dml *dml)
{
    struct t3_pen pen = t3_pen_start(schema, T3_DIALECT_POSTGRESQL, false, dml);
    t3_pen_add_key(&pen);
    t3_pen_text(&pen, "SELECT ");
    t3_pen_select_list(&pen);
    t3_pen_text(&pen, " FROM ");
    t3_pen_str(&pen, schema->sql_name);
    put_where_key(&pen);
    return pen.status;
}

tears_status t3_reference_delete(const struct tears_schema *schema, struct t3_dml *dml)
{
    struct t3_pen pen = t3_pen_start(schema, T3_DIALECT_POSTGRESQL, false, dml);
    t3_pen_add_key(&pen);
    t3_pen_text(&pen, "DELETE FROM ");
    t3_pen_str(&pen, schema->sql_name);
    put_where_key(&pen);
    return pen.status;
}

static uint32_t find_cell(const struct t3_reference_row *row, uint32_t column)
{
    for (uint32_t i = 0; i < row->cell_count; i++)
        if (row->cells[i].column == column)
            return i;
    return ABSENT;
}

/* A required column must be in the row, for an update as for an insert. */
static tears_status require(const struct tears_schema *schema, uint32_t column, uint32_t cell,
                            struct tears_error *error_out)
{
    if (cell != ABSENT || schema->columns[column].nullable)
        return TEARS_OK;
    return t3_fail(error_out, TEARS_INVALID, "schema",
                   "table '" T3_STR_FMT "': required column '" T3_STR_FMT "' is missing",
                   T3_STR_ARG(schema->name), T3_STR_ARG(schema->columns[column].name));
}

static bool is_mutable(const struct t3_column *column)
{
    return !column->immutable && !column->primary;
}

/* Adds the parameters of an INSERT: all columns but those that are left to their server default. */
static tears_status add_inserted(struct t3_pen *pen, const struct t3_reference_row *row,
                                 struct tears_error *error_out)
{
    const struct tears_schema *schema = pen->schema;
    for (uint32_t i = 0; i < schema->column_count; i++) {
        const uint32_t cell = find_cell(row, i);
        if (cell == ABSENT && schema->columns[i].server_default.len > 0)
            continue;
        T3_TRY(require(schema, i, cell, error_out));
        t3_pen_add(pen, T3_PARAM_CELL, i, cell);
    }
    return pen->status;
}

/* Whether a fenced update keeps what is stored: the column has a server default and the row has no
 * value for it. */
static bool keeps_stored(const struct t3_column *column, const struct t3_reference_row *row,
                         uint32_t cell)
{
    if (column->server_default.len == 0)
        return false;
    return cell == ABSENT || (!column->nullable && row->cells[cell].value.kind == TEARS_KIND_NULL);
}

static tears_status add_updated(struct t3_pen *pen, const struct t3_reference_row *row,
                                struct tears_error *error_out)
{
    const struct tears_schema *schema = pen->schema;
    for (uint32_t i = 0; i < schema->key_count; i++) {
        const uint32_t cell = find_cell(row, schema->key[i]);
        T3_TRY(require(schema, schema->key[i], cell, error_out));
        t3_pen_add(pen, T3_PARAM_KEY, schema->key[i], i);
    }
    for (uint32_t i = 0; i < schema->column_count; i++) {
        const uint32_t cell = find_cell(row, i);
        if (!is_mutable(&schema->columns[i]) || keeps_stored(&schema->columns[i], row, cell))
            continue;
        T3_TRY(require(schema, i, cell, error_out));
        t3_pen_add(pen, T3_PARAM_CELL, i, cell);
    }
    t3_pen_add(pen, T3_PARAM_BASE, schema->version_column, 0);
    return pen->status;
}

static void put_conflict(struct t3_pen *pen)
{
    const struct tears_schema *schema = pen->schema;
    t3_pen_text(pen, " ON CONFLICT (");
    for (uint32_t i = 0; i < schema->key_count; i++) {
        t3_pen_text(pen, i > 0 ? ", " : "");
        t3_pen_own_column(pen, schema->key[i]);
    }
    t3_pen_text(pen, ") DO ");
    const char *separator = "UPDATE SET ";
    for (uint32_t i = 0; i < pen->dml->param_count; i++) {
        const uint32_t column = pen->dml->params[i].column;
        if (!is_mutable(&schema->columns[column]) ||
            schema->on_conflict == TEARS_ON_CONFLICT_IGNORE)
            continue;
        t3_pen_text(pen, separator);
        t3_pen_own_column(pen, column);
        t3_pen_text(pen, " = EXCLUDED.");
        t3_pen_own_column(pen, column);
        separator = ", ";
    }
    if (separator[0] != ',')
        t3_pen_text(pen, "NOTHING");
}

static tears_status put_insert(struct t3_pen *pen)
{
    t3_pen_text(pen, "INSERT INTO ");
    t3_pen_str(pen, pen->schema->sql_name);
    for (uint32_t i = 0; i < pen->dml->param_count; i++) {
        t3_pen_text(pen, i > 0 ? ", " : " (");
        t3_pen_own_column(pen, pen->dml->params[i].column);
    }
    for (uint32_t i = 0; i < pen->dml->param_count; i++) {
        t3_pen_text(pen, i > 0 ? ", " : ") VALUES (");
        put_placeholder(pen, i);
    }
    t3_pen_text(pen, ")");
    if (pen->schema->on_conflict != TEARS_ON_CONFLICT_RAISE)
        put_conflict(pen);
    return pen->status;
}

static tears_status put_update(struct t3_pen *pen)
{
    const uint32_t fence = pen->dml->param_count - 1;
    t3_pen_text(pen, "UPDATE ");
    t3_pen_str(pen, pen->schema->sql_name);
    const char *separator = " SET ";
    for (uint32_t i = pen->schema->key_count; i < fence; i++) {
        t3_pen_text(pen, separator);
        t3_pen_own_column(pen, pen->dml->params[i].column);
        t3_pen_text(pen, " = ");
        put_placeholder(pen, i);
        separator = ", ";
    }
    put_where_key(pen);
    t3_pen_text(pen, " AND ");
    t3_pen_own_column(pen, pen->schema->version_column);
    t3_pen_text(pen, " = ");
    put_placeholder(pen, fence);
    return pen->status;
}

tears_status t3_reference_upsert(const struct tears_schema *schema,
                                 const struct t3_reference_row *row, struct t3_dml *dml,
                                 struct tears_error *error_out)
{
    struct t3_pen pen = t3_pen_start(schema, T3_DIALECT_POSTGRESQL, false, dml);
    const bool fenced = row->has_fence && schema->version_column != T3_NO_COLUMN &&
                        schema->on_conflict == TEARS_ON_CONFLICT_UPDATE;
    if (fenced) {
        T3_TRY(add_updated(&pen, row, error_out));
        return put_update(&pen);
    }
    T3_TRY(add_inserted(&pen, row, error_out));
    return put_insert(&pen);
}

/* ---- tables without a schema ------------------------------------------------------------------
 */

static tears_status put_name(struct t3_buf *out, struct tears_str name,
                             struct tears_error *error_out)
{
    if (name.len == 0 || memchr(name.ptr, '"', name.len) != NULL)
        return t3_fail_detail(error_out, TEARS_INVALID, "schema", T3_GENERIC_IDENTIFIER, "",
                              "'" T3_STR_FMT "' cannot be the name of a table or column",
                              T3_STR_ARG(name));
    return t3_put_identifier(out, name);
}

static tears_status put_names(struct t3_buf *out, const struct tears_str *names, size_t count,
                              struct tears_error *error_out)
{
    for (size_t i = 0; i < count; i++) {
        T3_TRY(t3_buf_put(out, i > 0 ? TEARS_STR(", ") : TEARS_STR("")));
        T3_TRY(put_name(out, names[i], error_out));
    }
    return TEARS_OK;
}

static tears_status put_where(const struct t3_generic *generic, struct t3_buf *out,
                              struct tears_error *error_out)
{
    for (size_t i = 0; i < generic->column_count; i++) {
        T3_TRY(t3_buf_put(out, i > 0 ? TEARS_STR(" AND ") : TEARS_STR(" WHERE ")));
        T3_TRY(put_name(out, generic->columns[i], error_out));
        T3_TRY(t3_buf_printf(out, " = $%zu", i + 1));
    }
    return TEARS_OK;
}

tears_status t3_generic_select(const struct t3_generic *generic, struct t3_buf *out,
                               struct tears_error *error_out)
{
    T3_TRY(t3_buf_put(out, TEARS_STR("SELECT * FROM ")));
    T3_TRY(put_name(out, generic->table, error_out));
    return put_where(generic, out, error_out);
}

tears_status t3_generic_delete(const struct t3_generic *generic, struct t3_buf *out,
                               struct tears_error *error_out)
{
    if (generic->column_count == 0)
        return t3_fail_detail(error_out, TEARS_INVALID, "schema", T3_GENERIC_KEY, "",
                              "a DELETE needs a key");
    T3_TRY(t3_buf_put(out, TEARS_STR("DELETE FROM ")));
    T3_TRY(put_name(out, generic->table, error_out));
    return put_where(generic, out, error_out);
}

static bool is_among(const struct tears_str *names, size_t count, struct tears_str name)
{
    for (size_t i = 0; i < count; i++)
        if (t3_str_equal(names[i], name))
            return true;
    return false;
}

static tears_status check_upsert(const struct t3_generic *generic, struct tears_error *error_out)
{
    if (!t3_str_is(generic->on_conflict, "update") && !t3_str_is(generic->on_conflict, "ignore") &&
        !t3_str_is(generic->on_conflict, "raise"))
        return t3_fail_detail(error_out, TEARS_INVALID, "schema", T3_GENERIC_ON_CONFLICT, "",
                              "on_conflict must be update, ignore or raise, not '" T3_STR_FMT "'",
                              T3_STR_ARG(generic->on_conflict));
    bool has_key = generic->key_count > 0;
    for (size_t i = 0; i < generic->key_count; i++)
        has_key = has_key && is_among(generic->columns, generic->column_count, generic->key[i]);
    if (!has_key)
        return t3_fail_detail(error_out, TEARS_INVALID, "schema", T3_GENERIC_KEY, "",
                              "an upsert into '" T3_STR_FMT "' needs its key among the columns",
                              T3_STR_ARG(generic->table));
    return TEARS_OK;
}

static tears_status put_generic_conflict(const struct t3_generic *generic, struct t3_buf *out,
                                         struct tears_error *error_out)
{
    T3_TRY(t3_buf_put(out, TEARS_STR(" ON CONFLICT (")));
    T3_TRY(put_names(out, generic->key, generic->key_count, error_out));
    T3_TRY(t3_buf_put(out, TEARS_STR(") DO ")));
    const char *separator = "UPDATE SET ";
    for (size_t i = 0; i < generic->column_count; i++) {
        if (is_among(generic->key, generic->key_count, generic->columns[i]) ||
            t3_str_is(generic->on_conflict, "ignore"))
            continue;
        T3_TRY(t3_buf_put(out, tears_str_c(separator)));
        T3_TRY(put_name(out, generic->columns[i], error_out));
        T3_TRY(t3_buf_put(out, TEARS_STR(" = EXCLUDED.")));
        T3_TRY(put_name(out, generic->columns[i], error_out));
        separator = ", ";
    }
    return separator[0] == ',' ? TEARS_OK : t3_buf_put(out, TEARS_STR("NOTHING"));
}

tears_status t3_generic_upsert(const struct t3_generic *generic, struct t3_buf *out,
                               struct tears_error *error_out)
{
    T3_TRY(check_upsert(generic, error_out));
    T3_TRY(t3_buf_put(out, TEARS_STR("INSERT INTO ")));
    T3_TRY(put_name(out, generic->table, error_out));
    T3_TRY(t3_buf_put(out, TEARS_STR(" (")));
    T3_TRY(put_names(out, generic->columns, generic->column_count, error_out));
    for (size_t i = 0; i < generic->column_count; i++)
        T3_TRY(t3_buf_printf(out, "%s$%zu", i > 0 ? ", " : ") VALUES (", i + 1));
    T3_TRY(t3_buf_put_char(out, ')'));
    if (t3_str_is(generic->on_conflict, "raise"))
        return TEARS_OK;
    return put_generic_conflict(generic, out, error_out);
}
