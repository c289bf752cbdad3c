/*
 * helper_object.c -- helpers for policies, types, triggers and extensions.
 *
 * Owns:     nothing.
 * Must not know: how statements are counted.
 * Threads:  the migrator's.
 * Fails:    as migrate_helpers.h says.
 * Begin at: tears_migration_create_policy().
 */
#include "base/str.h"
#include "data/helper_impl.h"

/* ---- row-level security ---- */

static tears_status policy_is_there(tears_migration *migration,
                                    const struct tears_table_part *policy, bool *there_out)
{
    struct tears_migration_rows rows;
    struct t3_look look = {.sql = TEARS_STR("SELECT '' FROM pg_catalog.pg_policy WHERE polrelid = "
                                            "pg_catalog.to_regclass($1) AND polname = $2"),
                           .params = {TEARS_STR(""), policy->name},
                           .param_count = 2};
    T3_TRY(t3_helper_table_text(migration, policy->schema, policy->table, &look.params[0]));
    T3_TRY(t3_helper_ask(migration, &look, &rows));
    *there_out = rows.row_count > 0;
    return TEARS_OK;
}

tears_status tears_migration_create_policy(tears_migration *migration,
                                           const struct tears_policy *given)
{
    T3_AUTO(t3_words_done) struct t3_words words = {.status = TEARS_OK};
    struct tears_policy policy = {.size = 0};
    bool done = false;
    bool is_there = false;
    T3_TRY(t3_helper_options(migration, &policy, sizeof policy, given));
    T3_TRY(t3_text_check_policy(&policy, &migration->error));
    T3_TRY(t3_helper_only_postgresql(migration, "protect rows by policies"));
    const struct tears_table_part part = {
        .schema = policy.schema, .table = policy.table, .name = policy.name};
    T3_TRY(t3_helper_check_part(migration, &part));
    T3_TRY(t3_helper_phase(migration, "create policy", &part, &done));
    if (done)
        return TEARS_OK;
    T3_TRY(policy_is_there(migration, &part, &is_there));
    if (!is_there) {
        t3_text_policy(&policy, &words);
        T3_TRY(t3_helper_run(migration, &words));
    }
    return tears_migration_phase_end(migration);
}

static tears_status row_security(tears_migration *migration, const struct tears_table_part *table,
                                 const char *action)
{
    T3_AUTO(t3_words_done) struct t3_words words = {.status = TEARS_OK};
    t3_words_put(&words, "ALTER TABLE ");
    t3_words_put_table(&words, table->schema, table->table);
    t3_words_put(&words, action);
    return t3_helper_run(migration, &words);
}

tears_status tears_migration_enable_row_security(tears_migration *migration,
                                                 const struct tears_table_part *given, bool force)
{
    struct tears_table_part table = {.size = 0};
    T3_TRY(t3_helper_only_postgresql(migration, "protect rows by policies"));
    T3_TRY(t3_helper_options(migration, &table, sizeof table, given));
    T3_TRY(t3_helper_check_names(migration, &table.table, 1));
    T3_TRY(row_security(migration, &table, " ENABLE ROW LEVEL SECURITY"));
    return force ? row_security(migration, &table, " FORCE ROW LEVEL SECURITY") : TEARS_OK;
}

/* ---- enum types ---- */

static tears_status add_labels(tears_migration *migration, const struct tears_table_part *type,
                               const struct tears_str *labels, size_t count)
{
    T3_AUTO(t3_words_done) struct t3_words words = {.status = TEARS_OK};
    for (size_t i = 0; i < count; i++) {
        t3_words_put(&words, "ALTER TYPE ");
        t3_words_put_table(&words, type->schema, type->table);
        t3_words_put(&words, " ADD VALUE IF NOT EXISTS ");
        t3_words_put_literal(&words, labels[i]);
        T3_TRY(t3_helper_run(migration, &words));
    }
    return TEARS_OK;
}

static tears_status create_type(tears_migration *migration, const struct tears_table_part *type,
                                const struct tears_str *labels, size_t count)
{
    T3_AUTO(t3_words_done) struct t3_words words = {.status = TEARS_OK};
    t3_words_put(&words, "CREATE TYPE ");
    t3_words_put_table(&words, type->schema, type->table);
    t3_words_put(&words, " AS ENUM (");
    for (size_t i = 0; i < count; i++) {
        t3_words_put(&words, i > 0 ? ", " : "");
        t3_words_put_literal(&words, labels[i]);
    }
    t3_words_put(&words, ")");
    return t3_helper_run(migration, &words);
}

static bool has_label(const struct tears_migration_rows *rows, struct tears_str label)
{
    for (size_t i = 0; i < rows->row_count; i++)
        if (t3_str_equal(t3_helper_cell(rows, i, 1), label))
            return true;
    return false;
}

/* Makes the type, or adds what it lacks. */
static tears_status complete_type(tears_migration *migration, const struct tears_table_part *type,
                                  const struct tears_str *labels, size_t count)
{
    struct tears_migration_rows rows;
    struct t3_look look = {
        .sql = TEARS_STR(
            "SELECT t.typtype::text, e.enumlabel::text FROM pg_catalog.pg_type t LEFT JOIN "
            "pg_catalog.pg_enum e ON e.enumtypid = t.oid WHERE t.oid = "
            "pg_catalog.to_regtype($1)"),
        .param_count = 1};
    T3_TRY(t3_helper_table_text(migration, type->schema, type->table, &look.params[0]));
    T3_TRY(t3_helper_ask(migration, &look, &rows));
    if (rows.row_count == 0)
        return create_type(migration, type, labels, count);
    if (!t3_str_is(t3_helper_cell(&rows, 0, 0), "e"))
        return t3_fail(&migration->error, TEARS_CONFLICT, T3_HELPER_ORIGIN,
                       "the type '" T3_STR_FMT "' is there and is no enum",
                       T3_STR_ARG(type->table));
    for (size_t i = 0; i < count; i++)
        if (!has_label(&rows, labels[i]))
            T3_TRY(add_labels(migration, type, &labels[i], 1));
    return TEARS_OK;
}

tears_status tears_migration_create_enum(tears_migration *migration, struct tears_str schema,
                                         struct tears_str name, const struct tears_str *labels,
                                         size_t label_count)
{
    const struct tears_table_part type = {.schema = schema, .table = name, .name = TEARS_STR("")};
    bool done = false;
    T3_TRY(t3_helper_only_postgresql(migration, "make types"));
    T3_TRY(t3_helper_check_names(migration, &name, 1));
    T3_TRY(t3_helper_check_names(migration, labels, label_count));
    T3_TRY(t3_helper_phase(migration, "create enum", &type, &done));
    if (done)
        return TEARS_OK;
    T3_TRY(complete_type(migration, &type, labels, label_count));
    return tears_migration_phase_end(migration);
}

/* ---- triggers ---- */

static void put_drop_trigger(const tears_migration *migration, const struct tears_table_part *part,
                             struct t3_words *words)
{
    t3_words_put(words, "DROP TRIGGER IF EXISTS ");
    if (t3_helper_is_lite(migration)) {
        t3_words_put_table(words, part->schema, part->name);
        return;
    }
    t3_words_put_name(words, part->name);
    t3_words_put(words, " ON ");
    t3_words_put_table(words, part->schema, part->table);
}

tears_status tears_migration_create_trigger(tears_migration *migration,
                                            const struct tears_table_part *given,
                                            struct tears_str when, struct tears_str action)
{
    T3_AUTO(t3_words_done) struct t3_words words = {.status = TEARS_OK};
    struct tears_table_part part = {.size = 0};
    const bool is_lite = t3_helper_is_lite(migration);
    T3_TRY(t3_helper_options(migration, &part, sizeof part, given));
    T3_TRY(t3_helper_check_part(migration, &part));
    const bool can_replace = t3_admin_facts(migration->migrator->admin)->version >= 140000;
    if (!is_lite && !can_replace) {
        put_drop_trigger(migration, &part, &words);
        T3_TRY(t3_helper_run(migration, &words));
    }
    t3_words_put(&words, is_lite       ? "CREATE TRIGGER IF NOT EXISTS "
                         : can_replace ? "CREATE OR REPLACE TRIGGER "
                                       : "CREATE TRIGGER ");
    t3_words_put_table(&words, is_lite ? part.schema : TEARS_STR(""), part.name);
    t3_words_put(&words, " ");
    t3_words_put_str(&words, when);
    t3_words_put(&words, " ON ");
    t3_words_put_table(&words, is_lite ? TEARS_STR("") : part.schema, part.table);
    t3_words_put(&words, " ");
    t3_words_put_str(&words, action);
    return t3_helper_run(migration, &words);
}

tears_status tears_migration_drop_trigger(tears_migration *migration,
                                          const struct tears_table_part *given)
{
    T3_AUTO(t3_words_done) struct t3_words words = {.status = TEARS_OK};
    struct tears_table_part part = {.size = 0};
    T3_TRY(t3_helper_options(migration, &part, sizeof part, given));
    T3_TRY(t3_helper_check_part(migration, &part));
    put_drop_trigger(migration, &part, &words);
    return t3_helper_run(migration, &words);
}

/* ---- extensions ---- */

tears_status tears_migration_create_extension(tears_migration *migration, struct tears_str name)
{
    T3_AUTO(t3_words_done) struct t3_words words = {.status = TEARS_OK};
    T3_TRY(t3_helper_only_postgresql(migration, "install extensions"));
    T3_TRY(t3_helper_check_names(migration, &name, 1));
    t3_words_put(&words, "CREATE EXTENSION IF NOT EXISTS ");
    t3_words_put_name(&words, name);
    return t3_helper_run(migration, &words);
}
