/*
 * ddl_reference.c -- CREATE TABLE, CREATE INDEX and UPDATE, byte for byte as the Python package writes them.
 *
 * Owns:     nothing.
 * Knows:    base/.
 * Must not know: our own DDL (ddl.c).
 * Threads:  any.
 * Fails:    TEARS_INVALID with a fault, TEARS_NO_MEMORY, TEARS_LIMIT.
 * Begin at: t3_reference_create_table().
 */
#include "schema/ddl_reference.h"

#include "base/fail.h"
#include "base/str.h"

/* ---- checks -------------------------------------------------------------------------------- */

static tears_status refuse(struct tears_error *error_out, enum t3_reference_fault fault,
                           struct tears_str what)
{
    return t3_fail_detail(error_out, TEARS_INVALID, "schema", (int32_t)fault, "",
                          "'" T3_STR_FMT "' is not accepted in a table definition",
                          T3_STR_ARG(what));
}

static bool is_identifier(struct tears_str name)
{
    if (name.len == 0 || name.ptr[0] < 'a' || name.ptr[0] > 'z')
        return false;
    for (size_t i = 1; i < name.len; i++) {
        const char c = name.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
            return false;
    }
    return true;
}

static tears_status check_names(const struct tears_str *names, size_t count,
                                struct tears_error *error_out)
{
    for (size_t i = 0; i < count; i++)
        if (!is_identifier(names[i]))
            return refuse(error_out, T3_REFERENCE_IDENTIFIER, names[i]);
    return TEARS_OK;
}

static const struct {
    const char *name;
    const char *sql;
} types[] = {
    {"text", "TEXT"},   {"integer", "INTEGER"},     {"bigint", "BIGINT"}, {"boolean", "BOOLEAN"},
    {"uuid", "UUID"},   {"timestamp", "TIMESTAMP"}, {"jsonb", "JSONB"},   {"decimal", "DECIMAL"},
    {"bytea", "BYTEA"}, {"vector", "VECTOR"},
};

static const char *sql_type(struct tears_str type)
{
    for (size_t i = 0; i < T3_COUNT(types); i++)
        if (t3_str_is(type, types[i].name))
            return types[i].sql;
    return NULL;
}

static tears_status check_column(const struct t3_reference_column *column,
                                 struct tears_error *error_out)
{
    T3_TRY(check_names(&column->name, 1, error_out));
    if (sql_type(column->type) == NULL)
        return refuse(error_out, T3_REFERENCE_TYPE, column->type);
    const bool is_vector = t3_str_is(column->type, "vector");
    if (column->has_dim && column->vector_dim <= 0)
        return refuse(error_out, T3_REFERENCE_DIM, column->name);
    if (is_vector && !column->has_dim)
        return refuse(error_out, T3_REFERENCE_DIM_MISSING, column->name);
    if (!is_vector && column->has_dim)
        return refuse(error_out, T3_REFERENCE_DIM_EXTRA, column->name);
    return TEARS_OK;
}

static bool is_action(struct tears_str word)
{
    return t3_str_is(word, "CASCADE") || t3_str_is(word, "SET NULL") ||
           t3_str_is(word, "RESTRICT") || t3_str_is(word, "NO ACTION");
}

static tears_status check_foreign_key(const struct tears_foreign_key_def *key,
                                      struct tears_error *error_out)
{
    T3_TRY(check_names(&key->name, 1, error_out));
    T3_TRY(check_names(key->columns, key->column_count, error_out));
    T3_TRY(check_names(&key->references_table, 1, error_out));
    T3_TRY(check_names(key->references_columns, key->references_column_count, error_out));
    if (!is_action(key->on_delete))
        return refuse(error_out, T3_REFERENCE_ACTION, key->on_delete);
    if (!is_action(key->on_update))
        return refuse(error_out, T3_REFERENCE_ACTION, key->on_update);
    return TEARS_OK;
}

tears_status t3_reference_table_check(const struct t3_reference_table *table,
                                      struct tears_error *error_out)
{
    T3_TRY(check_names(&table->name, 1, error_out));
    for (size_t i = 0; i < table->column_count; i++)
        T3_TRY(check_column(&table->columns[i], error_out));
    for (size_t i = 0; i < table->index_count; i++) {
        T3_TRY(check_names(&table->indexes[i].name, 1, error_out));
        T3_TRY(check_names(table->indexes[i].columns, table->indexes[i].column_count, error_out));
    }
    for (size_t i = 0; i < table->foreign_key_count; i++)
        T3_TRY(check_foreign_key(&table->foreign_keys[i], error_out));
    return TEARS_OK;
}

/* ---- writing ------------------------------------------------------------------------------- */

static tears_status put_c(struct t3_buf *out, const char *text)
{
    return t3_buf_put(out, tears_str_c(text));
}

static tears_status put_list(struct t3_buf *out, const struct tears_str *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        T3_TRY(put_c(out, i > 0 ? ", " : ""));
        T3_TRY(t3_buf_put(out, names[i]));
    }
    return TEARS_OK;
}

static tears_status put_column(struct t3_buf *out, const struct t3_reference_column *column)
{
    T3_TRY(t3_buf_printf(out, "    " T3_STR_FMT " %s", T3_STR_ARG(column->name),
                         sql_type(column->type)));
    if (column->has_dim)
        T3_TRY(t3_buf_printf(out, "(%lld)", (long long)column->vector_dim));
    T3_TRY(put_c(out, column->nullable ? "" : " NOT NULL"));
    if (column->server_default.len == 0)
        return TEARS_OK;
    T3_TRY(put_c(out, " DEFAULT "));
    return t3_buf_put(out, column->server_default);
}

static tears_status put_primary_key(struct t3_buf *out, const struct t3_reference_table *table)
{
    const char *before = ",\n    PRIMARY KEY (";
    for (size_t i = 0; i < table->column_count; i++) {
        if (!table->columns[i].primary)
            continue;
        T3_TRY(put_c(out, before));
        T3_TRY(t3_buf_put(out, table->columns[i].name));
        before = ", ";
    }
    return put_c(out, before[1] == ' ' ? ")" : "");
}

static tears_status put_foreign_key(struct t3_buf *out, const struct tears_foreign_key_def *key)
{
    T3_TRY(t3_buf_printf(out, ",\n    CONSTRAINT " T3_STR_FMT " FOREIGN KEY (",
                         T3_STR_ARG(key->name)));
    T3_TRY(put_list(out, key->columns, key->column_count));
    T3_TRY(t3_buf_printf(out, ") REFERENCES " T3_STR_FMT " (", T3_STR_ARG(key->references_table)));
    T3_TRY(put_list(out, key->references_columns, key->references_column_count));
    return t3_buf_printf(out, ") ON DELETE " T3_STR_FMT " ON UPDATE " T3_STR_FMT,
                         T3_STR_ARG(key->on_delete), T3_STR_ARG(key->on_update));
}

tears_status t3_reference_create_table(const struct t3_reference_table *table, struct t3_buf *out)
{
    T3_TRY(t3_buf_printf(out, "CREATE TABLE IF NOT EXISTS " T3_STR_FMT " (\n",
                         T3_STR_ARG(table->name)));
    for (size_t i = 0; i < table->column_count; i++) {
        T3_TRY(put_c(out, i > 0 ? ",\n" : ""));
        T3_TRY(put_column(out, &table->columns[i]));
    }
    T3_TRY(put_primary_key(out, table));
    for (size_t i = 0; i < table->foreign_key_count; i++)
        T3_TRY(put_foreign_key(out, &table->foreign_keys[i]));
    return put_c(out, "\n)");
}

tears_status t3_reference_create_index(const struct t3_reference_table *table, size_t at,
                                       struct t3_buf *out)
{
    const struct tears_index_def *index = &table->indexes[at];
    T3_TRY(t3_buf_printf(out, "CREATE %sINDEX IF NOT EXISTS " T3_STR_FMT " ON " T3_STR_FMT " (",
                         index->unique ? "UNIQUE " : "", T3_STR_ARG(index->name),
                         T3_STR_ARG(table->name)));
    T3_TRY(put_list(out, index->columns, index->column_count));
    return put_c(out, ")");
}

struct tears_str t3_reference_key(const struct t3_reference_table *table)
{
    for (size_t i = 0; i < table->column_count; i++)
        if (table->columns[i].primary)
            return table->columns[i].name;
    return TEARS_STR("id");
}

tears_status t3_reference_dynamic_delete(const struct t3_reference_table *table, struct t3_buf *out)
{
    const struct tears_str key = t3_reference_key(table);
    return t3_buf_printf(out, "DELETE FROM " T3_STR_FMT " WHERE " T3_STR_FMT " = $1",
                         T3_STR_ARG(table->name), T3_STR_ARG(key));
}

tears_status t3_reference_repoint(const struct t3_reference_repoint *repoint, struct t3_buf *out)
{
    T3_TRY(t3_buf_printf(out, "UPDATE " T3_STR_FMT " SET " T3_STR_FMT " = $2",
                         T3_STR_ARG(repoint->table), T3_STR_ARG(repoint->owner)));
    if (repoint->touched.len > 0)
        T3_TRY(t3_buf_printf(out, ", " T3_STR_FMT " = $3", T3_STR_ARG(repoint->touched)));
    T3_TRY(t3_buf_printf(out, " WHERE " T3_STR_FMT " = $1 RETURNING ", T3_STR_ARG(repoint->owner)));
    return put_list(out, repoint->key, repoint->key_count);
}
