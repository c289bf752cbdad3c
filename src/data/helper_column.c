/*
 * helper_column.c -- helpers for columns and tables.
 *
 * Owns:     nothing.
 * Must not know: how statements are counted.
 * Threads:  the migrator's.
 * Fails:    as migrate_helpers.h says.
 * Begin at: tears_migration_add_column().
 */
#include "base/str.h"
#include "data/helper_impl.h"

/* ---- one statement under a condition ---- */

/* A column of a table, as the helpers below see it. */
struct column_step {
    tears_migration *migration;
    struct tears_table_part part;
    struct t3_look_column found;
    bool done; /* an earlier run did all of it */
};

/* Checks the arguments, begins the phase and looks at the column. */
static tears_status begin(tears_migration *migration, const char *verb,
                          const struct tears_table_part *given, struct column_step *step)
{
    *step = (struct column_step){.migration = migration};
    T3_TRY(t3_helper_options(migration, &step->part, sizeof step->part, given));
    T3_TRY(t3_helper_check_part(migration, &step->part));
    T3_TRY(t3_helper_phase(migration, verb, &step->part, &step->done));
    if (step->done)
        return TEARS_OK;
    return t3_look_at_column(migration, &step->part, &step->found);
}

static void put_alter(const struct tears_table_part *part, const char *action,
                      struct t3_words *words)
{
    t3_words_put(words, "ALTER TABLE ");
    t3_words_put_table(words, part->schema, part->table);
    t3_words_put(words, action);
    if (part->name.len > 0)
        t3_words_put_name(words, part->name);
}

static tears_status no_column(const struct column_step *step)
{
    return t3_fail(&step->migration->error, TEARS_NOT_FOUND, T3_HELPER_ORIGIN,
                   "there is no column '" T3_STR_FMT "' in the table '" T3_STR_FMT "'",
                   T3_STR_ARG(step->part.name), T3_STR_ARG(step->part.table));
}

/* ---- adding ---- */

static bool is_serial(struct tears_str type)
{
    static const char *const serials[] = {"serial",  "bigserial", "smallserial",
                                          "serial2", "serial4",   "serial8"};
    for (size_t i = 0; i < T3_COUNT(serials); i++)
        if (t3_str_equal_nocase(type, tears_str_c(serials[i])))
            return true;
    return false;
}

/* IF NOT EXISTS is content with a column of any type. */
static tears_status check_type(tears_migration *migration, const struct tears_add_column *add,
                               const struct tears_table_part *part)
{
    struct t3_look_column found;
    struct tears_migration_rows rows;
    const struct t3_look same = {.sql = TEARS_STR("SELECT '' WHERE $1::pg_catalog.regtype = "
                                                  "$2::pg_catalog.regtype"),
                                 .params = {add->type},
                                 .param_count = 2};
    if (t3_helper_is_preview(migration) || is_serial(add->type))
        return TEARS_OK;
    T3_TRY(t3_look_at_column(migration, part, &found));
    if (!found.is_there)
        return t3_fail(&migration->error, TEARS_INTERNAL, T3_HELPER_ORIGIN,
                       "the column '" T3_STR_FMT "' is not there after it was added",
                       T3_STR_ARG(add->column));
    bool is_same = t3_str_equal_nocase(found.type, add->type);
    if (!is_same && !t3_helper_is_lite(migration)) {
        struct t3_look look = same;
        look.params[1] = found.type;
        T3_TRY(t3_helper_ask(migration, &look, &rows));
        is_same = rows.row_count > 0;
    }
    if (is_same)
        return TEARS_OK;
    return t3_fail(&migration->error, TEARS_CONFLICT, T3_HELPER_ORIGIN,
                   "the table '" T3_STR_FMT "' has a column '" T3_STR_FMT "' of type " T3_STR_FMT
                   ", not " T3_STR_FMT,
                   T3_STR_ARG(add->table), T3_STR_ARG(add->column), T3_STR_ARG(found.type),
                   T3_STR_ARG(add->type));
}

/* SQLite has no IF NOT EXISTS here. */
static tears_status add_on_lite(tears_migration *migration, const struct tears_add_column *add,
                                const struct tears_table_part *part)
{
    T3_AUTO(t3_words_done) struct t3_words words = {.status = TEARS_OK};
    struct t3_look_column found = {.is_there = false};
    bool done = false;
    T3_TRY(t3_helper_phase(migration, "add column", part, &done));
    if (done)
        return TEARS_OK;
    T3_TRY(t3_look_at_column(migration, part, &found));
    if (!found.is_there) {
        t3_text_add_column(add, false, &words);
        T3_TRY(t3_helper_run(migration, &words));
    }
    return tears_migration_phase_end(migration);
}

static tears_status backfill_in_batches(tears_migration *migration,
                                        const struct tears_add_column *add)
{
    T3_AUTO(t3_words_done) struct t3_words set = {.status = TEARS_OK};
    T3_AUTO(t3_words_done) struct t3_words predicate = {.status = TEARS_OK};
    struct tears_backfill backfill = TEARS_BACKFILL_INIT;
    t3_words_put_name(&set, add->column);
    t3_words_put(&set, " = ");
    t3_words_put_str(&set, add->backfill);
    t3_text_column_predicate(add, &predicate);
    if (set.status != TEARS_OK || predicate.status != TEARS_OK)
        return t3_fail_memory(&migration->error, T3_HELPER_ORIGIN);
    backfill.schema = add->schema;
    backfill.table = add->table;
    backfill.set = t3_buf_str(&set.sql);
    backfill.predicate = t3_buf_str(&predicate.sql);
    backfill.batch_rows = add->batch_rows;
    return tears_migration_backfill(migration, &backfill, NULL);
}

tears_status tears_migration_add_column(tears_migration *migration,
                                        const struct tears_add_column *given)
{
    T3_AUTO(t3_words_done) struct t3_words words = {.status = TEARS_OK};
    struct tears_add_column add = {.size = 0};
    T3_TRY(t3_helper_options(migration, &add, sizeof add, given));
    const struct tears_table_part part = {
        .schema = add.schema, .table = add.table, .name = add.column};
    T3_TRY(t3_helper_check_part(migration, &part));
    if (add.type.len == 0)
        return t3_fail(&migration->error, TEARS_INVALID, T3_HELPER_ORIGIN,
                       "the column '" T3_STR_FMT "' has no type", T3_STR_ARG(add.column));
    if (t3_helper_is_lite(migration)) {
        T3_TRY(add_on_lite(migration, &add, &part));
    } else {
        t3_text_add_column(&add, true, &words);
        T3_TRY(t3_helper_run(migration, &words));
    }
    T3_TRY(check_type(migration, &add, &part));
    if (add.backfill.len == 0)
        return TEARS_OK;
    if (add.batch_rows > 0)
        return backfill_in_batches(migration, &add);
    t3_text_column_backfill(&add, &words);
    return t3_helper_run(migration, &words);
}

static tears_status add_allowed_values(tears_migration *migration,
                                       const struct tears_add_partition_column *add)
{
    T3_AUTO(t3_words_done) struct t3_words expression = {.status = TEARS_OK};
    T3_AUTO(t3_words_done) struct t3_words name = {.status = TEARS_OK};
    struct tears_table_part part = TEARS_TABLE_PART_INIT;
    t3_words_put_str(&name, add->table);
    t3_words_put(&name, "_");
    t3_words_put_str(&name, add->column);
    t3_words_put(&name, "_ck");
    t3_words_put_name(&expression, add->column);
    for (size_t i = 0; i < add->value_count; i++) {
        t3_words_put(&expression, i > 0 ? ", " : " IN (");
        t3_words_put_literal(&expression, add->values[i]);
    }
    t3_words_put(&expression, ")");
    if (expression.status != TEARS_OK || name.status != TEARS_OK)
        return t3_fail_memory(&migration->error, T3_HELPER_ORIGIN);
    part.schema = add->schema;
    part.table = add->table;
    part.name = t3_buf_str(&name.sql);
    return tears_migration_add_check(migration, &part, t3_buf_str(&expression.sql));
}

tears_status tears_migration_add_partition_column(tears_migration *migration,
                                                  const struct tears_add_partition_column *given)
{
    struct tears_add_partition_column add = {.size = 0};
    struct tears_add_column column = TEARS_ADD_COLUMN_INIT;
    T3_TRY(t3_helper_options(migration, &add, sizeof add, given));
    if (add.default_value.len == 0 || add.backfill.len == 0)
        return t3_fail(&migration->error, TEARS_INVALID, T3_HELPER_ORIGIN,
                       "the partition column '" T3_STR_FMT "' needs a default and a backfill",
                       T3_STR_ARG(add.column));
    column.schema = add.schema;
    column.table = add.table;
    column.column = add.column;
    column.type = add.type;
    column.default_value = add.default_value;
    column.not_null = 1;
    column.backfill = add.backfill;
    column.predicate = add.predicate;
    column.batch_rows = add.batch_rows;
    T3_TRY(tears_migration_add_column(migration, &column));
    return add.value_count > 0 ? add_allowed_values(migration, &add) : TEARS_OK;
}

/* ---- removing and renaming ---- */

tears_status tears_migration_drop_column(tears_migration *migration,
                                         const struct tears_table_part *given)
{
    T3_AUTO(t3_words_done) struct t3_words words = {.status = TEARS_OK};
    struct column_step step;
    T3_TRY(begin(migration, "drop column", given, &step));
    if (step.done)
        return TEARS_OK;
    if (step.found.is_there) {
        put_alter(&step.part, " DROP COLUMN ", &words);
        T3_TRY(t3_helper_run(migration, &words));
    }
    return tears_migration_phase_end(migration);
}

/* What a renaming finds. */
static tears_status judge_names(const struct column_step *step, bool old_is_there,
                                bool new_is_there, struct tears_str new_name)
{
    if (old_is_there && new_is_there)
        return t3_fail(&step->migration->error, TEARS_CONFLICT, T3_HELPER_ORIGIN,
                       "both '" T3_STR_FMT "' and '" T3_STR_FMT "' are there",
                       T3_STR_ARG(step->part.name), T3_STR_ARG(new_name));
    if (!old_is_there && !new_is_there && !t3_helper_is_preview(step->migration))
        return t3_fail(&step->migration->error, TEARS_NOT_FOUND, T3_HELPER_ORIGIN,
                       "there is neither '" T3_STR_FMT "' nor '" T3_STR_FMT "'",
                       T3_STR_ARG(step->part.name), T3_STR_ARG(new_name));
    return TEARS_OK;
}

tears_status tears_migration_rename_column(tears_migration *migration,
                                           const struct tears_table_part *given,
                                           struct tears_str new_name)
{
    T3_AUTO(t3_words_done) struct t3_words words = {.status = TEARS_OK};
    struct column_step step;
    struct t3_look_column renamed;
    T3_TRY(t3_helper_check_names(migration, &new_name, 1));
    T3_TRY(begin(migration, "rename column", given, &step));
    if (step.done)
        return TEARS_OK;
    struct tears_table_part new_part = step.part;
    new_part.name = new_name;
    T3_TRY(t3_look_at_column(migration, &new_part, &renamed));
    T3_TRY(judge_names(&step, step.found.is_there, renamed.is_there, new_name));
    if (!renamed.is_there) {
        put_alter(&step.part, " RENAME COLUMN ", &words);
        t3_words_put(&words, " TO ");
        t3_words_put_name(&words, new_name);
        T3_TRY(t3_helper_run(migration, &words));
    }
    return tears_migration_phase_end(migration);
}

tears_status tears_migration_drop_table(tears_migration *migration,
                                        const struct tears_table_part *given)
{
    T3_AUTO(t3_words_done) struct t3_words words = {.status = TEARS_OK};
    struct tears_table_part table = {.size = 0};
    T3_TRY(t3_helper_options(migration, &table, sizeof table, given));
    T3_TRY(t3_helper_check_names(migration, &table.table, 1));
    t3_words_put(&words, "DROP TABLE IF EXISTS ");
    t3_words_put_table(&words, table.schema, table.table);
    return t3_helper_run(migration, &words);
}

tears_status tears_migration_rename_table(tears_migration *migration,
                                          const struct tears_table_part *given,
                                          struct tears_str new_name)
{
    T3_AUTO(t3_words_done) struct t3_words words = {.status = TEARS_OK};
    struct column_step step = {.migration = migration};
    bool old_is_there = false;
    bool new_is_there = false;
    T3_TRY(t3_helper_options(migration, &step.part, sizeof step.part, given));
    T3_TRY(t3_helper_check_names(migration, &step.part.table, 1));
    T3_TRY(t3_helper_check_names(migration, &new_name, 1));
    step.part.name = TEARS_STR("");
    T3_TRY(t3_helper_phase(migration, "rename table", &step.part, &step.done));
    if (step.done)
        return TEARS_OK;
    T3_TRY(t3_look_table(migration, step.part.schema, step.part.table, &old_is_there));
    T3_TRY(t3_look_table(migration, step.part.schema, new_name, &new_is_there));
    step.part.name = step.part.table;
    T3_TRY(judge_names(&step, old_is_there, new_is_there, new_name));
    step.part.name = TEARS_STR("");
    if (!new_is_there) {
        put_alter(&step.part, " RENAME TO ", &words);
        t3_words_put_name(&words, new_name);
        T3_TRY(t3_helper_run(migration, &words));
    }
    return tears_migration_phase_end(migration);
}

/* ---- what a column may hold ---- */

/* The CHECK that stands in for NOT NULL while it is being made. */
static tears_status stand_in(const struct column_step *step, struct tears_table_part *check_out)
{
    T3_AUTO(t3_words_done) struct t3_words name = {.status = TEARS_OK};
    t3_words_put(&name, "tears_not_null_");
    t3_words_put_str(&name, tears_str_n(step->part.name.ptr,
                                        step->part.name.len < 45 ? step->part.name.len : 45));
    *check_out = step->part;
    if (name.status != TEARS_OK ||
        t3_arena_str(&step->migration->arena, t3_buf_str(&name.sql), &check_out->name) != TEARS_OK)
        return t3_fail_memory(&step->migration->error, T3_HELPER_ORIGIN);
    return TEARS_OK;
}

static tears_status make_not_null(const struct column_step *step,
                                  const struct tears_table_part *check,
                                  const struct t3_look_constraint *found)
{
    T3_AUTO(t3_words_done) struct t3_words words = {.status = TEARS_OK};
    tears_migration *migration = step->migration;
    if (!found->is_there) {
        put_alter(check, " ADD CONSTRAINT ", &words);
        t3_words_put(&words, " CHECK (");
        t3_words_put_name(&words, step->part.name);
        t3_words_put(&words, " IS NOT NULL) NOT VALID");
        T3_TRY(t3_helper_run(migration, &words));
        T3_TRY(t3_helper_save(migration));
    }
    if (!found->is_valid) {
        put_alter(check, " VALIDATE CONSTRAINT ", &words);
        T3_TRY(t3_helper_run(migration, &words));
        T3_TRY(t3_helper_save(migration));
    }
    put_alter(&step->part, " ALTER COLUMN ", &words);
    t3_words_put(&words, " SET NOT NULL");
    T3_TRY(t3_helper_run(migration, &words));
    return t3_helper_save(migration);
}

tears_status tears_migration_set_not_null(tears_migration *migration,
                                          const struct tears_table_part *given)
{
    T3_AUTO(t3_words_done) struct t3_words words = {.status = TEARS_OK};
    struct column_step step;
    struct tears_table_part check;
    struct t3_look_constraint found;
    T3_TRY(t3_helper_only_postgresql(migration, "set NOT NULL on a column that is there"));
    T3_TRY(begin(migration, "set not null", given, &step));
    if (step.done)
        return TEARS_OK;
    if (!step.found.is_there && !t3_helper_is_preview(migration))
        return no_column(&step);
    T3_TRY(stand_in(&step, &check));
    T3_TRY(t3_look_at_constraint(migration, &check, &found));
    const bool is_missing = !step.found.is_not_null;
    if (is_missing)
        T3_TRY(make_not_null(&step, &check, &found));
    if (is_missing || found.is_there) {
        put_alter(&check, " DROP CONSTRAINT ", &words);
        T3_TRY(t3_helper_run(migration, &words));
    }
    return tears_migration_phase_end(migration);
}

/* ALTER COLUMN does nothing the second time: no look is needed, and the statement is counted. */
static tears_status alter_column(tears_migration *migration, const struct tears_table_part *given,
                                 const char *action, struct tears_str expression)
{
    T3_AUTO(t3_words_done) struct t3_words words = {.status = TEARS_OK};
    struct tears_table_part part = {.size = 0};
    T3_TRY(t3_helper_only_postgresql(migration, "alter a column"));
    T3_TRY(t3_helper_options(migration, &part, sizeof part, given));
    T3_TRY(t3_helper_check_part(migration, &part));
    put_alter(&part, " ALTER COLUMN ", &words);
    t3_words_put(&words, action);
    t3_words_put_str(&words, expression);
    return t3_helper_run(migration, &words);
}

tears_status tears_migration_drop_not_null(tears_migration *migration,
                                           const struct tears_table_part *column)
{
    return alter_column(migration, column, " DROP NOT NULL", TEARS_STR(""));
}

tears_status tears_migration_set_default(tears_migration *migration,
                                         const struct tears_table_part *column,
                                         struct tears_str expression)
{
    return alter_column(migration, column, expression.len > 0 ? " SET DEFAULT " : " DROP DEFAULT",
                        expression);
}

/*
 * The type as format_type would write it.  The database is asked for its name; its modifier, which regtype drops, is put
 * back.  What is written otherwise all the same (numeric(9) for numeric(9,0)) costs an ALTER that changes nothing.
 */
static tears_status type_text(tears_migration *migration, struct tears_str type,
                              struct tears_str *text_out)
{
    T3_AUTO(t3_words_done) struct t3_words words = {.status = TEARS_OK};
    struct tears_migration_rows rows;
    t3_words_put(&words, "SELECT pg_catalog.format_type(t.oid, NULL) FROM (SELECT ");
    t3_words_put_literal(&words, type);
    t3_words_put(&words, "::pg_catalog.regtype AS oid) t");
    if (words.status != TEARS_OK)
        return t3_fail_memory(&migration->error, T3_HELPER_ORIGIN);
    const struct t3_look look = {.sql = t3_buf_str(&words.sql)};
    T3_TRY(t3_helper_ask(migration, &look, &rows));
    *text_out = t3_helper_cell(&rows, 0, 0);
    const char *open = memchr(type.ptr, '(', type.len);
    if (open == NULL)
        return TEARS_OK;
    t3_words_clear(&words);
    const char *close = memchr(open, ')', (size_t)(type.ptr + type.len - open));
    const size_t len = close != NULL ? (size_t)(close - open) + 1 : 0;
    /* "timestamp(3) with time zone": behind the first word; others behind the last */
    const char *blank = memchr(text_out->ptr, ' ', text_out->len);
    const bool splits = blank != NULL && (t3_str_starts(*text_out, "timestamp") ||
                                          t3_str_starts(*text_out, "time "));
    const size_t head = splits ? (size_t)(blank - text_out->ptr) : text_out->len;
    t3_words_put_str(&words, tears_str_n(text_out->ptr, head));
    for (size_t i = 0; i < len; i++)
        if (open[i] != ' ')
            t3_words_put_str(&words, tears_str_n(open + i, 1));
    t3_words_put_str(&words, t3_str_from(*text_out, head));
    if (words.status != TEARS_OK ||
        t3_arena_str(&migration->arena, t3_buf_str(&words.sql), text_out) != TEARS_OK)
        return t3_fail_memory(&migration->error, T3_HELPER_ORIGIN);
    return TEARS_OK;
}

tears_status tears_migration_change_type(tears_migration *migration,
                                         const struct tears_table_part *given,
                                         struct tears_str type, struct tears_str expression)
{
    T3_AUTO(t3_words_done) struct t3_words words = {.status = TEARS_OK};
    struct column_step step;
    struct tears_str wanted;
    T3_TRY(t3_helper_only_postgresql(migration, "change a column's type"));
    T3_TRY(begin(migration, "change type", given, &step));
    if (step.done)
        return TEARS_OK;
    if (!step.found.is_there && !t3_helper_is_preview(migration))
        return no_column(&step);
    T3_TRY(type_text(migration, type, &wanted));
    if (!t3_str_equal(step.found.type, wanted)) {
        put_alter(&step.part, " ALTER COLUMN ", &words);
        t3_words_put(&words, " TYPE ");
        t3_words_put_str(&words, type);
        if (expression.len > 0) {
            t3_words_put(&words, " USING ");
            t3_words_put_str(&words, expression);
        }
        T3_TRY(t3_helper_run(migration, &words));
    }
    return tears_migration_phase_end(migration);
}
