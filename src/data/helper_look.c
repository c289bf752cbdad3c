/*
 * helper_look.c -- running the statements of helpers, and what the catalogue says before.
 *
 * Owns:     nothing.
 * Must not know: what a helper is for.
 * Threads:  the migrator's.
 * Fails:    as migrate_helpers.h says.
 * Begin at: t3_helper_phase(), t3_look_at_column().
 *
 * On PostgreSQL a table is looked up by to_regclass under the migrator's search_path, and everything else by that oid: another
 * schema's table of the same name is never looked at.
 */
#include "base/sized.h"
#include "base/str.h"
#include "data/helper_impl.h"

enum { PARAMS_MAX = 4 };

/* ---- arguments ---- */

tears_status t3_helper_options(tears_migration *migration, void *own, size_t own_size,
                               const void *given)
{
    return t3_sized_copy(own, own_size, given, T3_HELPER_ORIGIN, &migration->error);
}

tears_status t3_helper_check_names(tears_migration *migration, const struct tears_str *names,
                                   size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct tears_str name = names[i];
        if (name.len == 0 || name.len > T3_HELPER_NAME_BYTES_MAX)
            return t3_fail(&migration->error, TEARS_INVALID, T3_HELPER_ORIGIN,
                           "the name '" T3_STR_FMT "' has %zu bytes; it may have 1 to %d",
                           T3_STR_ARG(name), name.len, (int)T3_HELPER_NAME_BYTES_MAX);
        if (memchr(name.ptr, '\0', name.len) != NULL)
            return t3_fail(&migration->error, TEARS_INVALID, T3_HELPER_ORIGIN,
                           "a name has a NUL in it");
    }
    return TEARS_OK;
}

tears_status t3_helper_check_part(tears_migration *migration, const struct tears_table_part *part)
{
    const struct tears_str names[] = {part->table, part->name};
    if (part->schema.len > 0)
        T3_TRY(t3_helper_check_names(migration, &part->schema, 1));
    return t3_helper_check_names(migration, names, T3_COUNT(names));
}

bool t3_helper_is_lite(const tears_migration *migration)
{
    return migration->migrator->dialect == T3_SQL_SQLITE;
}

bool t3_helper_is_preview(const tears_migration *migration)
{
    return migration->mode == T3_MODE_PREVIEW;
}

tears_status t3_helper_only_postgresql(tears_migration *migration, const char *what)
{
    if (!t3_helper_is_lite(migration))
        return TEARS_OK;
    return t3_fail(&migration->error, TEARS_UNSUPPORTED, T3_HELPER_ORIGIN, "SQLite cannot %s",
                   what);
}

/* ---- running ---- */

tears_status t3_helper_run_rows(tears_migration *migration, struct t3_words *words,
                                uint64_t *rows_out)
{
    if (words->status != TEARS_OK)
        return words->status == TEARS_NO_MEMORY
                   ? t3_fail_memory(&migration->error, T3_HELPER_ORIGIN)
                   : t3_fail(&migration->error, words->status, T3_HELPER_ORIGIN,
                             "a statement became too long");
    const tears_status status =
        tears_migration_execute(migration, t3_buf_str(&words->sql), NULL, 0, rows_out);
    t3_words_clear(words);
    return status;
}

tears_status t3_helper_run(tears_migration *migration, struct t3_words *words)
{
    return t3_helper_run_rows(migration, words, NULL);
}

tears_status t3_helper_phase_saved(tears_migration *migration, const char *verb,
                                   const struct tears_table_part *part, struct tears_str *saved_out,
                                   bool *done_out)
{
    T3_AUTO(t3_words_done) struct t3_words name = {.status = TEARS_OK};
    t3_words_put(&name, verb);
    t3_words_put(&name, " ");
    t3_words_put_table(&name, part->schema, part->table);
    if (part->name.len > 0) {
        t3_words_put(&name, ".");
        t3_words_put_name(&name, part->name);
    }
    if (name.status != TEARS_OK)
        return t3_fail_memory(&migration->error, T3_HELPER_ORIGIN);
    return tears_migration_phase(migration, t3_buf_str(&name.sql), saved_out, done_out);
}

tears_status t3_helper_phase(tears_migration *migration, const char *verb,
                             const struct tears_table_part *part, bool *done_out)
{
    struct tears_str saved;
    return t3_helper_phase_saved(migration, verb, part, &saved, done_out);
}

tears_status t3_helper_save(tears_migration *migration)
{
    return tears_migration_phase_save(migration, TEARS_STR(""));
}

/* ---- asking ---- */

tears_status t3_helper_ask(tears_migration *migration, const struct t3_look *look,
                           struct tears_migration_rows *rows_out)
{
    struct tears_value params[PARAMS_MAX];
    T3_ASSERT(look->param_count <= PARAMS_MAX);
    for (size_t i = 0; i < look->param_count; i++)
        params[i] = tears_text(look->params[i]);
    return tears_migration_query(migration, look->sql, params, look->param_count, rows_out);
}

struct tears_str t3_helper_cell(const struct tears_migration_rows *rows, size_t row, size_t column)
{
    const struct tears_value *value = &rows->values[row * rows->column_count + column];
    return value->kind == TEARS_KIND_NULL ? TEARS_STR("") : value->as.bytes;
}

tears_status t3_helper_table_text(tears_migration *migration, struct tears_str schema,
                                  struct tears_str table, struct tears_str *text_out)
{
    T3_AUTO(t3_words_done) struct t3_words words = {.status = TEARS_OK};
    t3_words_put_table(&words, schema, table);
    if (words.status != TEARS_OK ||
        t3_arena_str(&migration->arena, t3_buf_str(&words.sql), text_out) != TEARS_OK)
        return t3_fail_memory(&migration->error, T3_HELPER_ORIGIN);
    return TEARS_OK;
}

/* Asks with the table's name as $1 and, when it is not empty, `name` as $2. */
static tears_status ask_about(tears_migration *migration, const struct tears_table_part *part,
                              const char *sql, struct tears_migration_rows *rows_out)
{
    struct t3_look look = {.sql = tears_str_c(sql), .param_count = part->name.len > 0 ? 2 : 1};
    if (t3_helper_is_lite(migration))
        look.params[0] = part->table;
    else
        T3_TRY(t3_helper_table_text(migration, part->schema, part->table, &look.params[0]));
    look.params[1] = part->name;
    return t3_helper_ask(migration, &look, rows_out);
}

tears_status t3_look_table(tears_migration *migration, struct tears_str schema,
                           struct tears_str table, bool *there_out)
{
    struct tears_migration_rows rows;
    const struct tears_table_part part = {.schema = schema, .table = table, .name = TEARS_STR("")};
    const char *sql =
        t3_helper_is_lite(migration)
            ? "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name = $1 "
              "COLLATE NOCASE"
            : "SELECT '' WHERE pg_catalog.to_regclass($1) IS NOT NULL";
    T3_TRY(ask_about(migration, &part, sql, &rows));
    *there_out = rows.row_count > 0;
    return TEARS_OK;
}

tears_status t3_look_at_column(tears_migration *migration, const struct tears_table_part *column,
                               struct t3_look_column *column_out)
{
    struct tears_migration_rows rows;
    const char *sql =
        t3_helper_is_lite(migration)
            ? "SELECT CASE \"notnull\" WHEN 0 THEN '' ELSE '1' END, type FROM "
              "pragma_table_xinfo($1) "
              "WHERE name = $2 COLLATE NOCASE"
            : "SELECT CASE WHEN attnotnull THEN '1' ELSE '' END, "
              "pg_catalog.format_type(atttypid, atttypmod) FROM pg_catalog.pg_attribute "
              "WHERE attrelid = pg_catalog.to_regclass($1) AND attname = $2 AND attnum > 0 AND NOT "
              "attisdropped";
    T3_TRY(ask_about(migration, column, sql, &rows));
    *column_out = (struct t3_look_column){.is_there = rows.row_count > 0, .type = TEARS_STR("")};
    if (rows.row_count == 0)
        return TEARS_OK;
    column_out->is_not_null = t3_helper_cell(&rows, 0, 0).len > 0;
    column_out->type = t3_helper_cell(&rows, 0, 1);
    return TEARS_OK;
}

tears_status t3_look_at_constraint(tears_migration *migration,
                                   const struct tears_table_part *constraint,
                                   struct t3_look_constraint *constraint_out)
{
    struct tears_migration_rows rows;
    T3_TRY(ask_about(
        migration, constraint,
        "SELECT contype::text, CASE WHEN convalidated THEN '1' ELSE '' END, "
        "pg_catalog.regexp_replace(pg_catalog.pg_get_constraintdef(oid), ' NOT VALID$', '') "
        "FROM pg_catalog.pg_constraint WHERE conrelid = pg_catalog.to_regclass($1) "
        "AND conname = $2",
        &rows));
    *constraint_out = (struct t3_look_constraint){
        .is_there = rows.row_count > 0, .type = TEARS_STR(""), .definition = TEARS_STR("")};
    if (rows.row_count == 0)
        return TEARS_OK;
    constraint_out->type = t3_helper_cell(&rows, 0, 0);
    constraint_out->is_valid = t3_helper_cell(&rows, 0, 1).len > 0;
    constraint_out->definition = t3_helper_cell(&rows, 0, 2);
    return TEARS_OK;
}
