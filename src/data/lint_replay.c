/*
 * lint_replay.c -- R-n: what fails or does harm when it is run again; and what rules remember of a file.
 *
 * Owns:     nothing.
 * Must not know: where statements come from.
 * Threads:  any.
 * Fails:    TEARS_NO_MEMORY.
 * Begin at: t3_lint_replay(), t3_lint_learn().
 */
#include "base/str.h"
#include "data/lint_impl.h"

/* ---- rules ---- */

static bool was_dropped(const struct lint_pass *pass, struct tears_str constraint)
{
    for (size_t i = 0; i < pass->facts.dropped_count; i++)
        if (t3_str_equal(pass->facts.dropped[i].name, constraint))
            return true;
    return false;
}

static tears_status one_action(struct lint_pass *pass, const struct lint_statement *statement,
                               const struct lint_action *action)
{
    const bool is_drop = action->verb == LINT_DROP_COLUMN || action->verb == LINT_DROP_CONSTRAINT;
    const bool is_lite = pass->dialect == T3_SQL_SQLITE; /* there is no IF EXISTS here */
    if (is_drop && !action->is_guarded && statement->guard == 0 && !is_lite)
        return t3_lint_report(pass, statement, "R-1", T3_STR_FMT " of " T3_STR_FMT,
                              T3_STR_ARG(action->name), LINT_NAME_ARG(action->table));
    if (action->verb == LINT_ADD_COLUMN && t3_lint_has(action->rest, "NOT NULL") &&
        !t3_lint_has(action->rest, "DEFAULT") && !t3_lint_has(action->rest, "GENERATED") &&
        !t3_lint_is_created(pass, &action->table))
        return t3_lint_report(pass, statement, "R-3", T3_STR_FMT "." T3_STR_FMT,
                              LINT_NAME_ARG(action->table), T3_STR_ARG(action->name));
    if (action->verb == LINT_ADD_CONSTRAINT && statement->guard == 0 &&
        !was_dropped(pass, action->name))
        return t3_lint_report(
            pass, statement, "R-4", T3_STR_FMT " of " T3_STR_FMT,
            T3_STR_ARG(action->name.len > 0 ? action->name : TEARS_STR("constraint")),
            LINT_NAME_ARG(action->table));
    return TEARS_OK;
}

static tears_status check_actions(struct lint_pass *pass, const struct lint_statement *statement)
{
    struct lint_actions actions;
    struct lint_action action;
    if (!t3_lint_alter_table(pass, statement, &actions))
        return TEARS_OK;
    while (t3_lint_next_action(pass, &actions, &action))
        T3_TRY(one_action(pass, statement, &action));
    return TEARS_OK;
}

static tears_status check_drop(struct lint_pass *pass, const struct lint_statement *statement)
{
    struct lint_cursor cursor = statement->tokens;
    if (statement->guard != 0 || !t3_lint_eat(&cursor, "DROP") || t3_lint_has(cursor, "IF EXISTS"))
        return TEARS_OK;
    struct tears_str kind = TEARS_STR("");
    if (!t3_lint_at_end(&cursor))
        kind = (cursor.at++)->text;
    (void)t3_lint_eat(&cursor, "CONCURRENTLY");
    const struct lint_name name = t3_lint_name(pass, &cursor);
    return t3_lint_report(pass, statement, "R-1", T3_STR_FMT " " T3_STR_FMT, T3_STR_ARG(kind),
                          LINT_NAME_ARG(name));
}

/* Tables and indexes are M-3's. */
static tears_status check_create(struct lint_pass *pass, const struct lint_statement *statement)
{
    struct lint_create create;
    if (statement->guard != 0 || !t3_lint_create(pass, statement, &create) || create.is_guarded ||
        create.is_temporary || t3_str_is(create.kind, "TABLE") || t3_str_is(create.kind, "INDEX"))
        return TEARS_OK;
    return t3_lint_report(pass, statement, "R-2", T3_STR_FMT " " T3_STR_FMT,
                          T3_STR_ARG(create.kind), LINT_NAME_ARG(create.name));
}

static tears_status check_rows(struct lint_pass *pass, const struct lint_statement *statement)
{
    struct lint_cursor cursor = statement->tokens;
    if (t3_lint_eat(&cursor, "INSERT INTO")) {
        const struct lint_name table = t3_lint_name(pass, &cursor);
        if (statement->guard != 0 || t3_lint_has(cursor, "ON CONFLICT") ||
            t3_lint_has(cursor, "EXISTS") || t3_lint_is_created(pass, &table))
            return TEARS_OK;
        return t3_lint_report(pass, statement, "R-5", "INSERT INTO " T3_STR_FMT,
                              LINT_NAME_ARG(table));
    }
    if (t3_lint_eat(&cursor, "DELETE FROM")) {
        (void)t3_lint_eat(&cursor, "ONLY");
        const struct lint_name table = t3_lint_name(pass, &cursor);
        if (t3_lint_has(cursor, "WHERE"))
            return TEARS_OK;
        return t3_lint_report(pass, statement, "R-6", "DELETE FROM " T3_STR_FMT,
                              LINT_NAME_ARG(table));
    }
    return TEARS_OK;
}

static tears_status check_type(struct lint_pass *pass, const struct lint_statement *statement)
{
    struct lint_cursor cursor = statement->tokens;
    if (!t3_lint_eat(&cursor, "ALTER TYPE"))
        return TEARS_OK;
    const struct lint_name type = t3_lint_name(pass, &cursor);
    if (statement->guard != 0 || !t3_lint_eat(&cursor, "ADD VALUE") ||
        t3_lint_eat(&cursor, "IF NOT EXISTS"))
        return TEARS_OK;
    return t3_lint_report(pass, statement, "R-7", T3_STR_FMT, LINT_NAME_ARG(type));
}

tears_status t3_lint_replay(struct lint_pass *pass, const struct lint_statement *statement)
{
    T3_TRY(check_actions(pass, statement));
    T3_TRY(check_drop(pass, statement));
    T3_TRY(check_create(pass, statement));
    T3_TRY(check_rows(pass, statement));
    return check_type(pass, statement);
}

/* ---- what is remembered ---- */

static void learn_check(struct lint_pass *pass, const struct lint_action *action)
{
    struct lint_cursor rest = action->rest;
    struct lint_cursor inside;
    struct lint_facts *facts = &pass->facts;
    if (facts->check_count == LINT_NAMES_MAX || !t3_lint_eat(&rest, "CHECK") ||
        !t3_lint_eat_parentheses(&rest, &inside))
        return;
    while (t3_lint_eat_parentheses(&inside, &inside)) {
    }
    const struct tears_str column = t3_lint_identifier(pass, &inside);
    if (column.len == 0 || !t3_lint_eat(&inside, "IS NOT NULL"))
        return;
    facts->checks[facts->check_count++] =
        (struct lint_not_null){.table = action->table,
                               .column = column,
                               .constraint = action->name,
                               .is_validated = !t3_lint_has(rest, "NOT VALID")};
}

static void learn_validated(struct lint_pass *pass, const struct lint_action *action)
{
    for (size_t i = 0; i < pass->facts.check_count; i++) {
        struct lint_not_null *check = &pass->facts.checks[i];
        if (t3_lint_same(&check->table, &action->table) &&
            t3_str_equal(check->constraint, action->name))
            check->is_validated = true;
    }
}

static void learn_action(struct lint_pass *pass, const struct lint_action *action)
{
    struct lint_facts *facts = &pass->facts;
    if (action->verb == LINT_ADD_CONSTRAINT) {
        learn_check(pass, action);
    } else if (action->verb == LINT_VALIDATE) {
        learn_validated(pass, action);
    } else if (action->verb == LINT_DROP_CONSTRAINT && action->is_guarded &&
               facts->dropped_count < LINT_NAMES_MAX) {
        facts->dropped[facts->dropped_count++] =
            (struct lint_name){.schema = TEARS_STR(""), .name = action->name};
    }
}

void t3_lint_learn(struct lint_pass *pass, const struct lint_statement *statement)
{
    struct lint_create create;
    struct lint_actions actions;
    struct lint_action action;
    if (t3_lint_create(pass, statement, &create) && t3_str_is(create.kind, "TABLE") &&
        pass->facts.created_count < LINT_NAMES_MAX)
        pass->facts.created[pass->facts.created_count++] = create.name;
    if (t3_lint_alter_table(pass, statement, &actions))
        while (t3_lint_next_action(pass, &actions, &action))
            learn_action(pass, &action);
}
