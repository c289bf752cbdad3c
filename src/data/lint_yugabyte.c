/*
 * lint_yugabyte.c -- Y-n: what YugabyteDB does otherwise than PostgreSQL; and M-1, whose reason is the same.
 *
 * Owns:     nothing.
 * Must not know: where statements come from.
 * Threads:  any.
 * Fails:    TEARS_NO_MEMORY.
 * Begin at: t3_lint_yugabyte(), t3_lint_mixes().
 *
 * There each change of a table commits by itself, also between BEGIN and COMMIT and inside a DO block, and what follows in the
 * same call works on a snapshot from before it.
 */
#include "base/str.h"
#include "data/lint_impl.h"

/* ---- single statements ---- */

static tears_status check_transaction(struct lint_pass *pass,
                                      const struct lint_statement *statement)
{
    static const char *const words[] = {"BEGIN",     "START",   "COMMIT", "ROLLBACK",
                                        "SAVEPOINT", "RELEASE", "END",    "ABORT"};
    for (size_t i = 0; i < T3_COUNT(words); i++) {
        struct lint_cursor cursor = statement->tokens;
        if (t3_lint_eat(&cursor, words[i]))
            return t3_lint_report(pass, statement, "Y-2", "%s", words[i]);
    }
    return TEARS_OK;
}

/* TIMESTAMP, TIMESTAMP(3), TIMESTAMP WITHOUT TIME ZONE. */
static bool is_naive_timestamp(struct lint_cursor type)
{
    struct lint_cursor digits;
    if (!t3_lint_eat(&type, "TIMESTAMP"))
        return false;
    (void)t3_lint_eat_parentheses(&type, &digits);
    return !t3_lint_eat(&type, "WITH TIME ZONE");
}

static tears_status check_column(struct lint_pass *pass, const struct lint_statement *statement,
                                 struct tears_str column, struct lint_cursor type)
{
    if (!is_naive_timestamp(type))
        return TEARS_OK;
    return t3_lint_report(pass, statement, "Y-4", "column " T3_STR_FMT, T3_STR_ARG(column));
}

static tears_status check_columns(struct lint_pass *pass, const struct lint_statement *statement)
{
    struct lint_create create;
    struct lint_actions actions;
    struct lint_action action;
    struct lint_cursor list;
    struct lint_cursor part;
    if (t3_lint_create(pass, statement, &create) && t3_str_is(create.kind, "TABLE") &&
        t3_lint_eat_parentheses(&create.rest, &list)) {
        while (t3_lint_next_part(&list, &part)) {
            const struct tears_str column = t3_lint_identifier(pass, &part);
            T3_TRY(check_column(pass, statement, column, part));
        }
    }
    if (!t3_lint_alter_table(pass, statement, &actions))
        return TEARS_OK;
    while (t3_lint_next_action(pass, &actions, &action))
        if (action.verb == LINT_ADD_COLUMN)
            T3_TRY(check_column(pass, statement, action.name, action.rest));
    return TEARS_OK;
}

/* A probe of the catalogue that any schema may answer. */
static tears_status check_probe(struct lint_pass *pass, struct lint_statement const *statement,
                                struct lint_cursor tokens)
{
    static const char *const views[] = {
        "pg_constraint", "pg_class",   "pg_indexes", "pg_policies", "pg_tables",
        "pg_type",       "pg_trigger", "tables",     "columns",     "table_constraints"};
    static const char *const schema[] = {"nspname",
                                         "schemaname",
                                         "table_schema",
                                         "constraint_schema",
                                         "current_schema",
                                         "to_regclass",
                                         "regclass",
                                         "regtype",
                                         "relnamespace",
                                         "connamespace",
                                         "typnamespace",
                                         "oid",
                                         "pg_table_is_visible",
                                         "pg_type_is_visible",
                                         "to_regtype"};
    const bool standard = t3_lint_has(tokens, "information_schema");
    const char *found = NULL;
    for (size_t i = 0; i < T3_COUNT(schema); i++)
        if (t3_lint_has(tokens, schema[i]))
            return TEARS_OK;
    for (size_t i = 0; i < T3_COUNT(views) && found == NULL; i++)
        if (t3_lint_has(tokens, views[i]) && (standard || strncmp(views[i], "pg_", 3) == 0))
            found = views[i];
    return found != NULL ? t3_lint_report(pass, statement, "Y-5", "%s", found) : TEARS_OK;
}

/* The conditions of a DO block are in its text, not in a statement of its own. */
static tears_status check_do_probe(struct lint_pass *pass, const struct lint_statement *statement)
{
    struct t3_sql_tokens tokens;
    for (const struct t3_sql_token *at = statement->tokens.at; at < statement->tokens.end; at++) {
        if (at->kind != T3_SQL_DOLLAR && at->kind != T3_SQL_STRING)
            continue;
        T3_TRY(t3_sql_scan(pass->arena, t3_sql_inner(at), pass->dialect, &tokens));
        const struct t3_sql_range all = {.first = 0, .end = tokens.count};
        T3_TRY(check_probe(pass, statement, t3_lint_cursor(&tokens, all)));
    }
    return TEARS_OK;
}

/* pg_advisory_lock, pg_advisory_xact_lock and their shared kind. */
static bool is_advisory(const struct t3_sql_token *token)
{
    static const char *const names[] = {"pg_advisory_lock", "pg_advisory_xact_lock",
                                        "pg_advisory_lock_shared", "pg_advisory_xact_lock_shared"};
    for (size_t i = 0; i < T3_COUNT(names); i++)
        if (t3_sql_word_is(token, names[i]))
            return true;
    return false;
}

static tears_status check_advisory(struct lint_pass *pass, const struct lint_statement *statement)
{
    for (struct lint_cursor at = statement->tokens; !t3_lint_at_end(&at); at.at++)
        if (is_advisory(at.at))
            return t3_lint_report(pass, statement, "Y-6", T3_STR_FMT, T3_STR_ARG(at.at->text));
    return TEARS_OK;
}

tears_status t3_lint_yugabyte(struct lint_pass *pass, const struct lint_statement *statement)
{
    if (statement->block == 0)
        T3_TRY(check_transaction(pass, statement));
    T3_TRY(check_columns(pass, statement));
    T3_TRY(statement->is_do ? check_do_probe(pass, statement)
                            : check_probe(pass, statement, statement->tokens));
    return check_advisory(pass, statement);
}

/* ---- several statements ---- */

/* M-1: both classes in one DO block. */
static tears_status check_blocks(struct lint_pass *pass)
{
    for (size_t block = 1; block <= pass->blocks; block++) {
        const struct lint_statement *ddl = NULL;
        const struct lint_statement *dml = NULL;
        for (size_t i = 0; i < pass->count; i++) {
            const struct lint_statement *statement = &pass->statements[i];
            if (statement->block == block && statement->class == LINT_DDL && ddl == NULL)
                ddl = statement;
            if (statement->block == block && statement->class == LINT_DML && dml == NULL)
                dml = statement;
        }
        if (ddl != NULL && dml != NULL)
            T3_TRY(t3_lint_report(pass, dml > ddl ? dml : ddl, "M-1", T3_STR_FMT " and " T3_STR_FMT,
                                  T3_STR_ARG(ddl->tokens.at->text),
                                  T3_STR_ARG(dml->tokens.at->text)));
    }
    return TEARS_OK;
}

/* Y-1: both classes in one call, outside blocks. */
static tears_status check_unit(struct lint_pass *pass, size_t first, size_t end)
{
    const struct lint_statement *ddl = NULL;
    const struct lint_statement *dml = NULL;
    for (size_t i = first; i < end; i++) {
        const struct lint_statement *statement = &pass->statements[i];
        if (statement->block == 0 && statement->class == LINT_DDL && ddl == NULL)
            ddl = statement;
        if (statement->block == 0 && statement->class == LINT_DML && dml == NULL)
            dml = statement;
    }
    if (ddl == NULL || dml == NULL)
        return TEARS_OK;
    return t3_lint_report(pass, dml > ddl ? dml : ddl, "Y-1", T3_STR_FMT " and " T3_STR_FMT,
                          T3_STR_ARG(ddl->tokens.at->text), T3_STR_ARG(dml->tokens.at->text));
}

/* IF EXISTS and the like: done again, it does nothing. */
static bool guards_itself(const struct lint_statement *statement)
{
    return t3_lint_has(statement->tokens, "IF EXISTS") ||
           t3_lint_has(statement->tokens, "IF NOT EXISTS") ||
           t3_lint_has(statement->tokens, "OR REPLACE");
}

/* Y-3: two changes of tables under one condition: after a crash between them the condition is not what it was. */
static tears_status check_halves(struct lint_pass *pass)
{
    for (size_t i = 0; i < pass->count; i++) {
        const struct lint_statement *first = &pass->statements[i];
        if (first->block == 0 || first->class != LINT_DDL || guards_itself(first))
            continue;
        for (size_t k = i + 1; k < pass->count && pass->statements[k].block == first->block; k++) {
            const struct lint_statement *second = &pass->statements[k];
            if (second->class != LINT_DDL || second->guard != first->guard)
                continue;
            T3_TRY(t3_lint_report(pass, first, "Y-3", T3_STR_FMT " and " T3_STR_FMT,
                                  T3_STR_ARG(first->tokens.at->text),
                                  T3_STR_ARG(second->tokens.at->text)));
            break;
        }
    }
    return TEARS_OK;
}

tears_status t3_lint_mixes(struct lint_pass *pass)
{
    size_t first = 0;
    T3_TRY(check_blocks(pass));
    T3_TRY(check_halves(pass));
    for (size_t i = 1; i <= pass->count; i++) {
        if (i < pass->count && pass->statements[i].unit == pass->statements[first].unit)
            continue;
        T3_TRY(check_unit(pass, first, i));
        first = i;
    }
    return TEARS_OK;
}
