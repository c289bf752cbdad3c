/*
 * lint_locks.c -- L-n: what blocks or breaks a program that is running.
 *
 * Owns:     nothing.
 * Must not know: where statements come from.
 * Threads:  any.
 * Fails:    TEARS_NO_MEMORY.
 * Begin at: t3_lint_locks().
 *
 * A table that the file itself makes has no rows and no users: nothing here concerns it.
 */
#include "base/str.h"
#include "data/lint_impl.h"

/* ---- new columns ---- */

/* Functions whose value is one and the same for all rows of a statement: PostgreSQL stores it once.  Of a function that is not
 * here it is not known. */
static bool is_stable_call(struct tears_str function)
{
    static const char *const stable[] = {"now",
                                         "transaction_timestamp",
                                         "statement_timestamp",
                                         "current_setting",
                                         "to_jsonb",
                                         "to_json",
                                         "jsonb_build_object",
                                         "json_build_object",
                                         "jsonb_build_array",
                                         "json_build_array",
                                         "make_interval",
                                         "make_date",
                                         "lower",
                                         "upper",
                                         "md5",
                                         "coalesce",
                                         "nullif",
                                         "timezone",
                                         "date_trunc",
                                         "cast",
                                         "array",
                                         "current_schema"};
    for (size_t i = 0; i < T3_COUNT(stable); i++)
        if (t3_str_is(function, stable[i]))
            return true;
    return false;
}

/* Whether the expression calls something that may give each row another value.  varchar(9) behind :: is no call. */
static bool is_volatile(struct lint_pass *pass, struct lint_cursor expression)
{
    const struct t3_sql_token *before = NULL;
    while (!t3_lint_at_end(&expression)) {
        const struct t3_sql_token *start = expression.at;
        const bool is_type =
            before != NULL && (t3_sql_mark_is(before, "::") || t3_sql_word_is(before, "AS"));
        const struct tears_str name = t3_lint_name(pass, &expression).name;
        if (name.len > 0 && !is_type && !t3_lint_at_end(&expression) &&
            t3_sql_mark_is(expression.at, "(") && !is_stable_call(name))
            return true;
        if (expression.at == start)
            expression.at++;
        before = expression.at - 1;
    }
    return false;
}

static bool is_serial(struct lint_cursor type)
{
    return t3_lint_eat(&type, "SERIAL") || t3_lint_eat(&type, "BIGSERIAL") ||
           t3_lint_eat(&type, "SMALLSERIAL") || t3_lint_eat(&type, "SERIAL4") ||
           t3_lint_eat(&type, "SERIAL8");
}

static bool computes_each_row(struct lint_pass *pass, struct lint_cursor definition)
{
    static const char *const until_default[] = {"DEFAULT", NULL};
    static const char *const behind[] = {"NOT",     "CONSTRAINT", "UNIQUE",
                                         "PRIMARY", "REFERENCES", "CHECK",
                                         "COLLATE", "GENERATED",  NULL};
    if (is_serial(definition) || t3_lint_has(definition, "AS IDENTITY") ||
        t3_lint_has(definition, "STORED"))
        return true;
    (void)t3_lint_until(&definition, until_default);
    if (!t3_lint_eat(&definition, "DEFAULT"))
        return false;
    return is_volatile(pass, t3_lint_until(&definition, behind));
}

static tears_status new_column(struct lint_pass *pass, const struct lint_statement *statement,
                               const struct lint_action *action)
{
    if (computes_each_row(pass, action->rest))
        T3_TRY(t3_lint_report(pass, statement, "L-3", T3_STR_FMT "." T3_STR_FMT,
                              LINT_NAME_ARG(action->table), T3_STR_ARG(action->name)));
    if (t3_lint_has(action->rest, "UNIQUE") || t3_lint_has(action->rest, "PRIMARY KEY"))
        T3_TRY(t3_lint_report(pass, statement, "L-6", T3_STR_FMT "." T3_STR_FMT,
                              LINT_NAME_ARG(action->table), T3_STR_ARG(action->name)));
    if (t3_lint_has(action->rest, "REFERENCES") || t3_lint_has(action->rest, "CHECK"))
        T3_TRY(t3_lint_report(pass, statement, "L-5", T3_STR_FMT "." T3_STR_FMT,
                              LINT_NAME_ARG(action->table), T3_STR_ARG(action->name)));
    return TEARS_OK;
}

/* ---- constraints and columns that are there ---- */

static tears_status new_constraint(struct lint_pass *pass, const struct lint_statement *statement,
                                   const struct lint_action *action)
{
    const bool is_checked =
        t3_lint_has(action->rest, "CHECK") || t3_lint_has(action->rest, "FOREIGN KEY");
    const char *rule = NULL;
    if (is_checked && !t3_lint_has(action->rest, "NOT VALID"))
        rule = "L-5";
    else if (!is_checked && !t3_lint_has(action->rest, "USING INDEX"))
        rule = "L-6";
    if (rule == NULL)
        return TEARS_OK;
    return t3_lint_report(pass, statement, rule, T3_STR_FMT " of " T3_STR_FMT,
                          T3_STR_ARG(action->name.len > 0 ? action->name : TEARS_STR("constraint")),
                          LINT_NAME_ARG(action->table));
}

/* A validated CHECK (column IS NOT NULL) spares SET NOT NULL its reading. */
static bool is_known_not_null(const struct lint_pass *pass, const struct lint_action *action)
{
    for (size_t i = 0; i < pass->facts.check_count; i++) {
        const struct lint_not_null *check = &pass->facts.checks[i];
        if (check->is_validated && t3_lint_same(&check->table, &action->table) &&
            t3_str_equal(check->column, action->name))
            return true;
    }
    return false;
}

static tears_status altered_column(struct lint_pass *pass, const struct lint_statement *statement,
                                   const struct lint_action *action)
{
    struct lint_cursor rest = action->rest;
    const char *rule = NULL;
    if (t3_lint_eat(&rest, "TYPE") || t3_lint_eat(&rest, "SET DATA TYPE"))
        rule = "L-2";
    else if (t3_lint_eat(&rest, "SET NOT NULL") && !is_known_not_null(pass, action))
        rule = "L-4";
    if (rule == NULL)
        return TEARS_OK;
    return t3_lint_report(pass, statement, rule, T3_STR_FMT "." T3_STR_FMT,
                          LINT_NAME_ARG(action->table), T3_STR_ARG(action->name));
}

static tears_status other_action(struct lint_pass *pass, const struct lint_statement *statement,
                                 const struct lint_action *action)
{
    struct lint_cursor rest = action->whole;
    if (!t3_lint_eat(&rest, "SET LOGGED") && !t3_lint_eat(&rest, "SET UNLOGGED") &&
        !t3_lint_eat(&rest, "SET TABLESPACE") && !t3_lint_eat(&rest, "SET ACCESS METHOD"))
        return TEARS_OK;
    return t3_lint_report(pass, statement, "L-11", "ALTER TABLE " T3_STR_FMT,
                          LINT_NAME_ARG(action->table));
}

static tears_status one_action(struct lint_pass *pass, const struct lint_statement *statement,
                               const struct lint_action *action)
{
    switch (action->verb) {
    case LINT_ADD_COLUMN:
        return new_column(pass, statement, action);
    case LINT_ADD_CONSTRAINT:
        return new_constraint(pass, statement, action);
    case LINT_ALTER_COLUMN:
        return altered_column(pass, statement, action);
    case LINT_DROP_COLUMN:
        return t3_lint_report(pass, statement, "L-8", "column " T3_STR_FMT "." T3_STR_FMT,
                              LINT_NAME_ARG(action->table), T3_STR_ARG(action->name));
    case LINT_RENAME:
        return t3_lint_report(pass, statement, "L-7", "RENAME in " T3_STR_FMT,
                              LINT_NAME_ARG(action->table));
    case LINT_OTHER_ACTION:
        return other_action(pass, statement, action);
    case LINT_DROP_CONSTRAINT:
    case LINT_VALIDATE:
        return TEARS_OK;
    }
    return TEARS_OK;
}

static tears_status check_actions(struct lint_pass *pass, const struct lint_statement *statement)
{
    struct lint_actions actions;
    struct lint_action action;
    if (!t3_lint_alter_table(pass, statement, &actions) || t3_lint_is_created(pass, &actions.table))
        return TEARS_OK;
    while (t3_lint_next_action(pass, &actions, &action))
        T3_TRY(one_action(pass, statement, &action));
    return TEARS_OK;
}

/* ---- indexes ---- */

static tears_status check_index(struct lint_pass *pass, const struct lint_statement *statement)
{
    struct lint_create create;
    if (!t3_lint_create(pass, statement, &create) || !t3_str_is(create.kind, "INDEX"))
        return TEARS_OK;
    (void)t3_lint_eat(&create.rest, "ON");
    (void)t3_lint_eat(&create.rest, "ONLY");
    const struct lint_name table = t3_lint_name(pass, &create.rest);
    if (create.is_concurrent && statement->block != 0)
        return t3_lint_report(pass, statement, "L-13", "index " T3_STR_FMT,
                              LINT_NAME_ARG(create.name));
    if (create.is_concurrent || t3_lint_is_created(pass, &table))
        return TEARS_OK;
    return t3_lint_report(
        pass, statement, "L-1", T3_STR_FMT " on " T3_STR_FMT,
        T3_STR_ARG(create.name.name.len > 0 ? create.name.name : TEARS_STR("index")),
        LINT_NAME_ARG(table));
}

static tears_status check_drop(struct lint_pass *pass, const struct lint_statement *statement)
{
    struct lint_cursor cursor = statement->tokens;
    if (!t3_lint_eat(&cursor, "DROP"))
        return TEARS_OK;
    const bool is_index = t3_lint_eat(&cursor, "INDEX");
    const bool is_concurrent = t3_lint_eat(&cursor, "CONCURRENTLY");
    const bool is_table = t3_lint_eat(&cursor, "TABLE") || t3_lint_eat(&cursor, "VIEW") ||
                          t3_lint_eat(&cursor, "MATERIALIZED VIEW") ||
                          t3_lint_eat(&cursor, "SCHEMA");
    (void)t3_lint_eat(&cursor, "IF EXISTS");
    const struct lint_name name = t3_lint_name(pass, &cursor);
    if (is_concurrent && statement->block != 0)
        return t3_lint_report(pass, statement, "L-13", "index " T3_STR_FMT, LINT_NAME_ARG(name));
    if (is_index && !is_concurrent)
        return t3_lint_report(pass, statement, "L-10", T3_STR_FMT, LINT_NAME_ARG(name));
    if (!is_table || t3_lint_is_created(pass, &name))
        return TEARS_OK;
    return t3_lint_report(pass, statement, "L-8", T3_STR_FMT, LINT_NAME_ARG(name));
}

/* ---- other statements ---- */

static tears_status check_rewrite(struct lint_pass *pass, const struct lint_statement *statement)
{
    struct lint_cursor cursor = statement->tokens;
    const bool is_concurrent = t3_lint_has(cursor, "CONCURRENTLY");
    const bool rewrites = t3_lint_eat(&cursor, "CLUSTER") ||
                          (t3_lint_eat(&cursor, "VACUUM") && t3_lint_has(cursor, "FULL")) ||
                          (!is_concurrent && (t3_lint_eat(&cursor, "REINDEX") ||
                                              t3_lint_eat(&cursor, "REFRESH MATERIALIZED VIEW")));
    if (rewrites)
        return t3_lint_report(pass, statement, "L-11", T3_STR_FMT,
                              T3_STR_ARG(statement->tokens.at->text));
    if (t3_lint_eat(&cursor, "LOCK"))
        return t3_lint_report(pass, statement, "L-9", "LOCK");
    return TEARS_OK;
}

/* Whether a condition picks rows by a key, a range of one, or where they are stored. */
static bool picks_rows(struct lint_cursor where)
{
    return t3_lint_has(where, "BETWEEN") || t3_lint_has(where, "ANY") || t3_lint_has(where, "IN") ||
           t3_lint_has(where, "ctid") || t3_lint_has(where, "id") || t3_lint_has(where, "LIMIT");
}

static tears_status check_width(struct lint_pass *pass, const struct lint_statement *statement)
{
    struct lint_cursor cursor = statement->tokens;
    struct lint_update update;
    if (statement->class != LINT_DML)
        return TEARS_OK;
    while (t3_lint_next_update(pass, &cursor, &update))
        if (!picks_rows(update.where) && !t3_lint_is_created(pass, &update.table))
            T3_TRY(t3_lint_report(pass, statement, "L-12", "UPDATE " T3_STR_FMT,
                                  LINT_NAME_ARG(update.table)));
    cursor = statement->tokens;
    if (!t3_lint_eat(&cursor, "DELETE FROM"))
        return TEARS_OK;
    const struct lint_name table = t3_lint_name(pass, &cursor);
    if (picks_rows(cursor) || t3_lint_is_created(pass, &table))
        return TEARS_OK;
    return t3_lint_report(pass, statement, "L-12", "DELETE FROM " T3_STR_FMT, LINT_NAME_ARG(table));
}

tears_status t3_lint_locks(struct lint_pass *pass, const struct lint_statement *statement)
{
    T3_TRY(check_actions(pass, statement));
    T3_TRY(check_index(pass, statement));
    T3_TRY(check_drop(pass, statement));
    T3_TRY(check_rewrite(pass, statement));
    return check_width(pass, statement);
}
