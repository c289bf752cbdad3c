/*
 * helper_constraint.c -- helpers for CHECK constraints and foreign keys.
 *
 * Owns:     nothing.
 * Must not know: how statements are counted.
 * Threads:  the migrator's.
 * Fails:    as migrate_helpers.h says.
 * Begin at: add_and_validate().
 *
 * A constraint is added NOT VALID, which holds its lock for a moment only, and validated by a statement that lets
 * others write.  A run that dies in between leaves one that is not validated; the next run finds that.
 */
#include "base/str.h"
#include "data/helper_impl.h"

static void put_alter(const struct tears_table_part *part, const char *action,
                      struct t3_words *words)
{
    t3_words_put(words, "ALTER TABLE ");
    t3_words_put_table(words, part->schema, part->table);
    t3_words_put(words, action);
    t3_words_put_name(words, part->name);
}

static tears_status run_alter(tears_migration *migration, const struct tears_table_part *part,
                              const char *action)
{
    T3_AUTO(t3_words_done) struct t3_words words = {.status = TEARS_OK};
    put_alter(part, action, &words);
    return t3_helper_run(migration, &words);
}

/* ---- adding ---- */

tears_status t3_helper_put_constraint(tears_migration *migration,
                                      const struct tears_table_part *constraint,
                                      struct tears_str definition)
{
    T3_AUTO(t3_words_done) struct t3_words words = {.status = TEARS_OK};
    struct t3_look_constraint found;
    T3_TRY(t3_look_at_constraint(migration, constraint, &found));
    if (found.is_there)
        return TEARS_OK;
    put_alter(constraint, " ADD CONSTRAINT ", &words);
    t3_words_put(&words, " ");
    t3_words_put_str(&words, definition);
    t3_words_put(&words, " NOT VALID");
    return t3_helper_run(migration, &words);
}

tears_status t3_helper_validate(tears_migration *migration,
                                const struct tears_table_part *constraint)
{
    struct t3_look_constraint found;
    T3_TRY(t3_look_at_constraint(migration, constraint, &found));
    if (found.is_valid)
        return TEARS_OK;
    T3_TRY(run_alter(migration, constraint, " VALIDATE CONSTRAINT "));
    return t3_helper_save(migration);
}

static tears_status add_and_validate(tears_migration *migration,
                                     const struct tears_table_part *constraint,
                                     struct tears_str definition)
{
    T3_TRY(t3_helper_put_constraint(migration, constraint, definition));
    T3_TRY(t3_helper_save(migration));
    return t3_helper_validate(migration, constraint);
}

static tears_status add_in_phase(tears_migration *migration, const char *verb,
                                 const struct tears_table_part *constraint,
                                 struct tears_str definition)
{
    bool done = false;
    T3_TRY(t3_helper_check_part(migration, constraint));
    T3_TRY(t3_helper_phase(migration, verb, constraint, &done));
    if (done)
        return TEARS_OK;
    T3_TRY(add_and_validate(migration, constraint, definition));
    return tears_migration_phase_end(migration);
}

static tears_status check_text(tears_migration *migration, struct tears_str expression,
                               struct t3_words *words)
{
    if (expression.len == 0)
        return t3_fail(&migration->error, TEARS_INVALID, T3_HELPER_ORIGIN,
                       "a CHECK needs an expression");
    t3_words_put(words, "CHECK (");
    t3_words_put_str(words, expression);
    t3_words_put(words, ")");
    return words->status == TEARS_OK ? TEARS_OK
                                     : t3_fail_memory(&migration->error, T3_HELPER_ORIGIN);
}

tears_status tears_migration_add_check(tears_migration *migration,
                                       const struct tears_table_part *given,
                                       struct tears_str expression)
{
    T3_AUTO(t3_words_done) struct t3_words definition = {.status = TEARS_OK};
    struct tears_table_part part = {.size = 0};
    T3_TRY(t3_helper_only_postgresql(migration, "add a constraint to a table that is there"));
    T3_TRY(t3_helper_options(migration, &part, sizeof part, given));
    T3_TRY(check_text(migration, expression, &definition));
    return add_in_phase(migration, "add check", &part, t3_buf_str(&definition.sql));
}

static void put_foreign_key(const struct tears_add_foreign_key *add, struct t3_words *words)
{
    const struct tears_foreign_key_def *key = &add->key;
    t3_words_put(words, "FOREIGN KEY ");
    t3_words_put_names(words, key->columns, key->column_count);
    t3_words_put(words, " REFERENCES ");
    t3_words_put_table(words, add->references_schema.len > 0 ? add->references_schema : add->schema,
                       key->references_table);
    t3_words_put(words, " ");
    t3_words_put_names(words, key->references_columns, key->references_column_count);
    if (key->on_delete.len > 0) {
        t3_words_put(words, " ON DELETE ");
        t3_words_put_str(words, key->on_delete);
    }
    if (key->on_update.len > 0) {
        t3_words_put(words, " ON UPDATE ");
        t3_words_put_str(words, key->on_update);
    }
}

static tears_status check_foreign_key(tears_migration *migration,
                                      const struct tears_foreign_key_def *key)
{
    if (key->column_count == 0 || key->column_count != key->references_column_count)
        return t3_fail(&migration->error, TEARS_INVALID, T3_HELPER_ORIGIN,
                       "the foreign key '" T3_STR_FMT "' has %zu columns for %zu",
                       T3_STR_ARG(key->name), key->column_count, key->references_column_count);
    if (!t3_text_is_action(key->on_delete) || !t3_text_is_action(key->on_update))
        return t3_fail(&migration->error, TEARS_INVALID, T3_HELPER_ORIGIN,
                       "the foreign key '" T3_STR_FMT
                       "' has an action that is none of CASCADE, SET "
                       "NULL, SET DEFAULT, RESTRICT, NO ACTION",
                       T3_STR_ARG(key->name));
    T3_TRY(t3_helper_check_names(migration, key->columns, key->column_count));
    T3_TRY(t3_helper_check_names(migration, key->references_columns, key->references_column_count));
    return t3_helper_check_names(migration, &key->references_table, 1);
}

tears_status tears_migration_add_foreign_key(tears_migration *migration,
                                             const struct tears_add_foreign_key *given)
{
    T3_AUTO(t3_words_done) struct t3_words definition = {.status = TEARS_OK};
    struct tears_add_foreign_key add = {.size = 0};
    T3_TRY(t3_helper_only_postgresql(migration, "add a constraint to a table that is there"));
    T3_TRY(t3_helper_options(migration, &add, sizeof add, given));
    T3_TRY(check_foreign_key(migration, &add.key));
    const struct tears_table_part part = {
        .schema = add.schema, .table = add.table, .name = add.key.name};
    put_foreign_key(&add, &definition);
    if (definition.status != TEARS_OK)
        return t3_fail_memory(&migration->error, T3_HELPER_ORIGIN);
    return add_in_phase(migration, "add foreign key", &part, t3_buf_str(&definition.sql));
}

tears_status tears_migration_drop_constraint(tears_migration *migration,
                                             const struct tears_table_part *given)
{
    struct tears_table_part part = {.size = 0};
    struct t3_look_constraint found;
    bool done = false;
    T3_TRY(t3_helper_only_postgresql(migration, "drop a constraint"));
    T3_TRY(t3_helper_options(migration, &part, sizeof part, given));
    T3_TRY(t3_helper_check_part(migration, &part));
    T3_TRY(t3_helper_phase(migration, "drop constraint", &part, &done));
    if (done)
        return TEARS_OK;
    T3_TRY(t3_look_at_constraint(migration, &part, &found));
    if (found.is_there)
        T3_TRY(run_alter(migration, &part, " DROP CONSTRAINT "));
    return tears_migration_phase_end(migration);
}

/* ---- replacing ---- */

/*
 * The new constraint is made beside the old one, under another name, and the database's own text of it is compared:
 *
 *   old   new   what is done
 *   yes   no    add the new one; the same text as the old: drop it again, and the old one was never touched
 *   yes   yes   another text: validate the new one, drop the old one
 *   no    yes   give the new one its name
 *   no    no    add it
 *
 * Each line is a state in which a run may have died; the next goes on from there.  At no moment does the table lack both.
 */
struct replacement {
    tears_migration *migration;
    struct tears_table_part old_one;
    struct tears_table_part new_one;
    struct tears_str definition;
};

static tears_status name_new_one(struct replacement *replacement)
{
    T3_AUTO(t3_words_done) struct t3_words name = {.status = TEARS_OK};
    const struct tears_str old_name = replacement->old_one.name;
    t3_words_put(&name, "tears_new_");
    t3_words_put_str(&name, tears_str_n(old_name.ptr, old_name.len < 50 ? old_name.len : 50));
    replacement->new_one = replacement->old_one;
    if (name.status != TEARS_OK ||
        t3_arena_str(&replacement->migration->arena, t3_buf_str(&name.sql),
                     &replacement->new_one.name) != TEARS_OK)
        return t3_fail_memory(&replacement->migration->error, T3_HELPER_ORIGIN);
    return TEARS_OK;
}

static tears_status add_new_one(const struct replacement *replacement)
{
    T3_AUTO(t3_words_done) struct t3_words words = {.status = TEARS_OK};
    put_alter(&replacement->new_one, " ADD CONSTRAINT ", &words);
    t3_words_put(&words, " ");
    t3_words_put_str(&words, replacement->definition);
    t3_words_put(&words, " NOT VALID");
    return t3_helper_run(replacement->migration, &words);
}

static tears_status rename_new_one(const struct replacement *replacement)
{
    T3_AUTO(t3_words_done) struct t3_words words = {.status = TEARS_OK};
    put_alter(&replacement->new_one, " RENAME CONSTRAINT ", &words);
    t3_words_put(&words, " TO ");
    t3_words_put_name(&words, replacement->old_one.name);
    return t3_helper_run(replacement->migration, &words);
}

/* Makes the new one afresh: what an earlier run left may be of another expression. */
static tears_status compare(const struct replacement *replacement,
                            const struct t3_look_constraint *old_one, bool is_left_over,
                            bool *same_out)
{
    tears_migration *migration = replacement->migration;
    struct t3_look_constraint made;
    if (is_left_over)
        T3_TRY(run_alter(migration, &replacement->new_one, " DROP CONSTRAINT "));
    T3_TRY(add_new_one(replacement));
    T3_TRY(t3_look_at_constraint(migration, &replacement->new_one, &made));
    *same_out = old_one->is_valid && t3_str_equal(made.definition, old_one->definition);
    return TEARS_OK;
}

static tears_status replace(const struct replacement *replacement)
{
    tears_migration *migration = replacement->migration;
    struct t3_look_constraint old_one;
    struct t3_look_constraint new_one;
    T3_TRY(t3_look_at_constraint(migration, &replacement->old_one, &old_one));
    T3_TRY(t3_look_at_constraint(migration, &replacement->new_one, &new_one));
    if (!old_one.is_there && !new_one.is_there)
        return add_and_validate(migration, &replacement->old_one, replacement->definition);
    if (old_one.is_there) {
        bool is_same = false;
        T3_TRY(compare(replacement, &old_one, new_one.is_there, &is_same));
        if (is_same)
            return run_alter(migration, &replacement->new_one, " DROP CONSTRAINT ");
        T3_TRY(t3_helper_save(migration));
        new_one.is_valid = false;
    }
    if (!new_one.is_valid) {
        T3_TRY(run_alter(migration, &replacement->new_one, " VALIDATE CONSTRAINT "));
        T3_TRY(t3_helper_save(migration));
    }
    if (old_one.is_there)
        T3_TRY(run_alter(migration, &replacement->old_one, " DROP CONSTRAINT "));
    return rename_new_one(replacement);
}

tears_status tears_migration_replace_check(tears_migration *migration,
                                           const struct tears_table_part *given,
                                           struct tears_str expression)
{
    T3_AUTO(t3_words_done) struct t3_words definition = {.status = TEARS_OK};
    struct replacement replacement = {.migration = migration};
    bool done = false;
    T3_TRY(t3_helper_only_postgresql(migration, "replace a constraint"));
    T3_TRY(t3_helper_options(migration, &replacement.old_one, sizeof replacement.old_one, given));
    T3_TRY(t3_helper_check_part(migration, &replacement.old_one));
    T3_TRY(check_text(migration, expression, &definition));
    replacement.definition = t3_buf_str(&definition.sql);
    T3_TRY(name_new_one(&replacement));
    T3_TRY(t3_helper_phase(migration, "replace check", &replacement.old_one, &done));
    if (done)
        return TEARS_OK;
    T3_TRY(replace(&replacement));
    return tears_migration_phase_end(migration);
}
