/*
 * helper_index.c -- helpers for indexes, and for unique constraints over them.
 *
 * Owns:     nothing.
 * Must not know: how statements are counted.
 * Threads:  the migrator's.
 * Fails:    as migrate_helpers.h says.
 * Begin at: tears_migration_add_index().
 *
 * CREATE INDEX CONCURRENTLY runs in no transaction, and so in no phase.  It is one counted statement; an index that it left
 * invalid when it died is dropped by the migration before it is begun again.  One that somebody else left, IF NOT EXISTS would
 * take for the index: that is found afterwards, and refused.
 */
#include "base/str.h"
#include "data/helper_impl.h"

/* What the catalogue says of an index of this name in the table's schema. */
struct found_index {
    bool is_there;
    bool is_valid;
    bool is_unique;
    bool is_on_table;
    struct tears_str columns; /* names with ", " between them; "" for expressions */
};

static tears_status look_at_index(tears_migration *migration, const struct tears_add_index *add,
                                  struct found_index *found_out)
{
    struct tears_migration_rows rows;
    struct t3_look look = {
        .sql = TEARS_STR(
            "SELECT CASE WHEN i.indisvalid THEN '1' ELSE '' END, CASE WHEN i.indisunique THEN '1' "
            "ELSE "
            "'' END, CASE WHEN t.oid = pg_catalog.to_regclass($1) THEN '1' ELSE '' END, "
            "(SELECT pg_catalog.string_agg(a.attname, ', ' ORDER BY k.n) FROM "
            "pg_catalog.unnest(i.indkey::smallint[]) WITH ORDINALITY AS k(attnum, n) JOIN "
            "pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.attnum WHERE k.n <= "
            "i.indnkeyatts) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_index i ON i.indexrelid "
            "= "
            "c.oid JOIN pg_catalog.pg_class t ON t.oid = i.indrelid WHERE c.relname = $2 AND "
            "c.relnamespace = (SELECT relnamespace FROM pg_catalog.pg_class WHERE oid = "
            "pg_catalog.to_regclass($1))"),
        .param_count = 2};
    T3_TRY(t3_helper_table_text(migration, add->schema, add->table, &look.params[0]));
    look.params[1] = add->index.name;
    T3_TRY(t3_helper_ask(migration, &look, &rows));
    *found_out = (struct found_index){.is_there = rows.row_count > 0, .columns = TEARS_STR("")};
    if (rows.row_count == 0)
        return TEARS_OK;
    found_out->is_valid = t3_helper_cell(&rows, 0, 0).len > 0;
    found_out->is_unique = t3_helper_cell(&rows, 0, 1).len > 0;
    found_out->is_on_table = t3_helper_cell(&rows, 0, 2).len > 0;
    found_out->columns = t3_helper_cell(&rows, 0, 3);
    return TEARS_OK;
}

/* Whether the index is the one that was asked for, as far as that can be told. */
static tears_status is_that_index(const struct tears_add_index *add,
                                  const struct found_index *found, bool *same_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf columns = {0};
    for (size_t i = 0; i < add->index.column_count; i++) {
        T3_TRY(t3_buf_put(&columns, i > 0 ? TEARS_STR(", ") : TEARS_STR("")));
        T3_TRY(t3_buf_put(&columns, add->index.columns[i]));
    }
    const bool same_columns = (add->flags & TEARS_INDEX_EXPRESSIONS) != 0 ||
                              t3_str_equal(t3_buf_str(&columns), found->columns);
    *same_out = found->is_on_table && found->is_unique == add->index.unique && same_columns;
    return TEARS_OK;
}

/* IF NOT EXISTS is content with anything of that name. */
static tears_status check_index(tears_migration *migration, const struct tears_add_index *add)
{
    struct found_index found;
    bool is_same = false;
    if (t3_helper_is_lite(migration) || t3_helper_is_preview(migration))
        return TEARS_OK;
    T3_TRY(look_at_index(migration, add, &found));
    if (is_that_index(add, &found, &is_same) != TEARS_OK)
        return t3_fail_memory(&migration->error, T3_HELPER_ORIGIN);
    if (found.is_there && !found.is_valid)
        return t3_fail(&migration->error, TEARS_CONFLICT, T3_HELPER_ORIGIN,
                       "the index '" T3_STR_FMT
                       "' is not valid: its making was interrupted; drop it "
                       "and run this again",
                       T3_STR_ARG(add->index.name));
    if (found.is_there && is_same)
        return TEARS_OK;
    return t3_fail(&migration->error, TEARS_CONFLICT, T3_HELPER_ORIGIN,
                   "'" T3_STR_FMT "' is there, but not as that index of the table '" T3_STR_FMT "'",
                   T3_STR_ARG(add->index.name), T3_STR_ARG(add->table));
}

static tears_status check_arguments(tears_migration *migration, const struct tears_add_index *add)
{
    const struct tears_table_part part = {
        .schema = add->schema, .table = add->table, .name = add->index.name};
    T3_TRY(t3_helper_check_part(migration, &part));
    if (add->index.column_count == 0)
        return t3_fail(&migration->error, TEARS_INVALID, T3_HELPER_ORIGIN,
                       "the index '" T3_STR_FMT "' has no columns", T3_STR_ARG(add->index.name));
    if ((add->flags & TEARS_INDEX_EXPRESSIONS) == 0)
        T3_TRY(t3_helper_check_names(migration, add->index.columns, add->index.column_count));
    return t3_helper_check_names(migration, add->index.include, add->index.include_count);
}

static tears_status add_index(tears_migration *migration, const struct tears_add_index *add)
{
    T3_AUTO(t3_words_done) struct t3_words words = {.status = TEARS_OK};
    t3_text_add_index(add, t3_helper_is_lite(migration) ? T3_DIALECT_SQLITE : T3_DIALECT_POSTGRESQL,
                      &words);
    return t3_helper_run(migration, &words);
}

tears_status tears_migration_add_index(tears_migration *migration,
                                       const struct tears_add_index *given)
{
    struct tears_add_index add = {.size = 0};
    T3_TRY(t3_helper_options(migration, &add, sizeof add, given));
    T3_TRY(check_arguments(migration, &add));
    T3_TRY(add_index(migration, &add));
    return check_index(migration, &add);
}

tears_status tears_migration_drop_index(tears_migration *migration,
                                        const struct tears_table_part *given, uint64_t flags)
{
    T3_AUTO(t3_words_done) struct t3_words words = {.status = TEARS_OK};
    struct tears_table_part part = {.size = 0};
    T3_TRY(t3_helper_options(migration, &part, sizeof part, given));
    T3_TRY(t3_helper_check_names(migration, &part.name, 1));
    const bool concurrently =
        (flags & TEARS_INDEX_CONCURRENTLY) != 0 && !t3_helper_is_lite(migration);
    t3_words_put(&words,
                 concurrently ? "DROP INDEX CONCURRENTLY IF EXISTS " : "DROP INDEX IF EXISTS ");
    t3_words_put_table(&words, part.schema, part.name);
    return t3_helper_run(migration, &words);
}

/* ---- unique constraints ---- */

/* The index becomes the constraint's and takes its name, which is the same. */
static tears_status attach(tears_migration *migration, const struct tears_add_index *add,
                           const struct tears_table_part *constraint)
{
    T3_AUTO(t3_words_done) struct t3_words words = {.status = TEARS_OK};
    struct t3_look_constraint found;
    bool done = false;
    T3_TRY(t3_helper_phase(migration, "add unique", constraint, &done));
    if (done)
        return TEARS_OK;
    T3_TRY(t3_look_at_constraint(migration, constraint, &found));
    if (!found.is_there) {
        t3_words_put(&words, "ALTER TABLE ");
        t3_words_put_table(&words, add->schema, add->table);
        t3_words_put(&words, " ADD CONSTRAINT ");
        t3_words_put_name(&words, add->index.name);
        t3_words_put(&words, " UNIQUE USING INDEX ");
        t3_words_put_name(&words, add->index.name);
        T3_TRY(t3_helper_run(migration, &words));
    }
    return tears_migration_phase_end(migration);
}

tears_status tears_migration_add_unique(tears_migration *migration,
                                        const struct tears_add_index *given)
{
    struct tears_add_index add = {.size = 0};
    T3_TRY(t3_helper_only_postgresql(migration, "add a constraint to a table that is there"));
    T3_TRY(t3_helper_options(migration, &add, sizeof add, given));
    add.index.unique = true;
    T3_TRY(check_arguments(migration, &add));
    if (add.index.where.len > 0 || (add.flags & TEARS_INDEX_EXPRESSIONS) != 0)
        return t3_fail(&migration->error, TEARS_INVALID, T3_HELPER_ORIGIN,
                       "the unique constraint '" T3_STR_FMT
                       "' has a condition or an expression, which "
                       "only an index may have",
                       T3_STR_ARG(add.index.name));
    T3_TRY(add_index(migration, &add));
    T3_TRY(check_index(migration, &add));
    const struct tears_table_part constraint = {
        .schema = add.schema, .table = add.table, .name = add.index.name};
    return attach(migration, &add, &constraint);
}
