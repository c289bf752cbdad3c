/*
 * lint_rules.c -- the table of rules, and M-1 to M-5.
 *
 * Owns:     the table.
 * Must not know: where statements come from, what is done with findings.
 * Threads:  any.
 * Fails:    TEARS_NO_MEMORY.
 * Begin at: rules, t3_lint_spec().
 */
#include "base/str.h"
#include "data/lint_impl.h"

#define RULE(id_text, severity_is, group_is, summary_text, remedy_text)                \
    {                                                                                  \
        .id = TEARS_STR_INIT(id_text), .severity = (severity_is), .group = (group_is), \
        .summary = TEARS_STR_INIT(summary_text), .remedy = TEARS_STR_INIT(remedy_text) \
    }
#define TEARS_STR_INIT(literal)        \
    {                                  \
        (literal), sizeof(literal) - 1 \
    }

/* In order of ids; tears_lint_rule_at gives them to people. */
static const struct tears_lint_rule rules[] = {
    RULE("L-1", TEARS_LINT_HIGH, TEARS_LINT_LOCKS,
         "an index built without CONCURRENTLY blocks writers until it is ready",
         "CREATE INDEX CONCURRENTLY IF NOT EXISTS, in a version without a transaction"),
    RULE("L-2", TEARS_LINT_HIGH, TEARS_LINT_LOCKS,
         "another type for a column rewrites the table under an exclusive lock",
         "add a new column, fill it in batches, and move readers over"),
    RULE("L-3", TEARS_LINT_HIGH, TEARS_LINT_LOCKS,
         "a new column whose value is computed for each row rewrites the table under an exclusive "
         "lock",
         "add the column without it, then SET DEFAULT, then fill old rows in batches"),
    RULE("L-4", TEARS_LINT_HIGH, TEARS_LINT_LOCKS,
         "SET NOT NULL reads the whole table under an exclusive lock",
         "ADD CONSTRAINT ... CHECK (column IS NOT NULL) NOT VALID, VALIDATE CONSTRAINT, then SET "
         "NOT NULL"),
    RULE("L-5", TEARS_LINT_HIGH, TEARS_LINT_LOCKS,
         "a constraint that is checked at once reads the whole table while writers wait",
         "ADD CONSTRAINT ... NOT VALID, then VALIDATE CONSTRAINT"),
    RULE("L-6", TEARS_LINT_HIGH, TEARS_LINT_LOCKS, "a key builds its index under an exclusive lock",
         "CREATE UNIQUE INDEX CONCURRENTLY, then ADD CONSTRAINT ... USING INDEX"),
    RULE("L-7", TEARS_LINT_MEDIUM, TEARS_LINT_LOCKS, "programs that are running know the old name",
         "add the new, write both, move readers over, and drop the old in a later release"),
    RULE("L-8", TEARS_LINT_MEDIUM, TEARS_LINT_LOCKS,
         "what is dropped may still be read by programs that are running, and is gone",
         "first release what does not use it; then allow this statement with that reason"),
    RULE("L-9", TEARS_LINT_HIGH, TEARS_LINT_LOCKS, "LOCK TABLE stops everybody else",
         "do without: statements take the locks that they need"),
    RULE("L-10", TEARS_LINT_MEDIUM, TEARS_LINT_LOCKS,
         "dropping an index without CONCURRENTLY waits for all readers and blocks new ones",
         "DROP INDEX CONCURRENTLY IF EXISTS, in a version without a transaction"),
    RULE("L-11", TEARS_LINT_HIGH, TEARS_LINT_LOCKS,
         "this rewrites the table under an exclusive lock",
         "REINDEX CONCURRENTLY, REFRESH ... CONCURRENTLY; or at a time when nobody works"),
    RULE("L-12", TEARS_LINT_LOW, TEARS_LINT_LOCKS,
         "one statement that may change every row keeps its locks to the end and bloats the table",
         "tears_helper_backfill works in batches"),
    RULE("L-13", TEARS_LINT_HIGH, TEARS_LINT_LOCKS,
         "CONCURRENTLY cannot run in a block, and so not in a transaction",
         "a statement of its own"),
    RULE(
        "M-1", TEARS_LINT_CRITICAL, TEARS_LINT_SPEC,
        "a DO block that changes tables and rows changes rows as they were before it on YugabyteDB",
        "two statements"),
    RULE("M-2", TEARS_LINT_HIGH, TEARS_LINT_SPEC,
         "an UPDATE that, run again, overwrites what was written since",
         "WHERE column IS NULL, or WHERE column = the old value"),
    RULE("M-3", TEARS_LINT_MEDIUM, TEARS_LINT_SPEC, "fails when it is run again", "IF NOT EXISTS"),
    RULE("M-4", TEARS_LINT_HIGH, TEARS_LINT_SPEC,
         "a primary key of several columns, and nothing keeps the old one unique for foreign keys",
         "ADD CONSTRAINT ... UNIQUE (id) in the same file"),
    RULE("M-5", TEARS_LINT_HIGH, TEARS_LINT_SPEC, "TRUNCATE takes all rows, each time it is run",
         "DELETE with a condition"),
    RULE("R-1", TEARS_LINT_MEDIUM, TEARS_LINT_REPLAY, "a DROP that fails when it is run again",
         "IF EXISTS"),
    RULE("R-2", TEARS_LINT_MEDIUM, TEARS_LINT_REPLAY, "a CREATE that fails when it is run again",
         "IF NOT EXISTS or OR REPLACE where there is one; else a block that asks first"),
    RULE("R-3", TEARS_LINT_HIGH, TEARS_LINT_REPLAY,
         "a new column that must have a value and has none fails on a table with rows",
         "DEFAULT, or NOT NULL later"),
    RULE("R-4", TEARS_LINT_MEDIUM, TEARS_LINT_REPLAY, "ADD CONSTRAINT fails when it is run again",
         "DROP CONSTRAINT IF EXISTS before it, or a block that asks first"),
    RULE("R-5", TEARS_LINT_MEDIUM, TEARS_LINT_REPLAY,
         "an INSERT that fails, or inserts twice, when it is run again", "ON CONFLICT DO NOTHING"),
    RULE("R-6", TEARS_LINT_HIGH, TEARS_LINT_REPLAY, "a DELETE without a condition takes all rows",
         "WHERE"),
    RULE("R-7", TEARS_LINT_MEDIUM, TEARS_LINT_REPLAY, "ADD VALUE fails when it is run again",
         "ADD VALUE IF NOT EXISTS"),
    RULE("X-1", TEARS_LINT_HIGH, TEARS_LINT_HYGIENE, "a quote or comment that never ends",
         "end it"),
    RULE("X-2", TEARS_LINT_HIGH, TEARS_LINT_HYGIENE, "an exemption without a reason",
         "rationale: and the reason"),
    RULE("X-3", TEARS_LINT_MEDIUM, TEARS_LINT_HYGIENE, "an exemption that nothing needs",
         "remove it"),
    RULE("Y-1", TEARS_LINT_CRITICAL, TEARS_LINT_YUGABYTE,
         "one call that changes tables and rows is no transaction on YugabyteDB",
         "a call for each statement"),
    RULE("Y-2", TEARS_LINT_HIGH, TEARS_LINT_YUGABYTE,
         "transactions are the migrator's, and YugabyteDB commits each change of a table by itself",
         "leave BEGIN, COMMIT and ROLLBACK out"),
    RULE("Y-3", TEARS_LINT_MEDIUM, TEARS_LINT_YUGABYTE,
         "a block with several changes of tables stays half done after a crash on YugabyteDB",
         "a condition for each, or a statement for each"),
    RULE("Y-4", TEARS_LINT_MEDIUM, TEARS_LINT_YUGABYTE,
         "a timestamp without time zone is read in the zone of whoever reads it", "TIMESTAMPTZ"),
    RULE("Y-5", TEARS_LINT_HIGH, TEARS_LINT_YUGABYTE,
         "the catalogue is asked without a schema: a table of that name elsewhere answers",
         "the table's oid (to_regclass), or a condition on the schema's name"),
    RULE("Y-6", TEARS_LINT_LOW, TEARS_LINT_YUGABYTE,
         "advisory locks are missing in older releases of YugabyteDB", "the migrator has a lock"),
};

const struct tears_lint_rule *tears_lint_rule_at(size_t index)
{
    return index < T3_COUNT(rules) ? &rules[index] : NULL;
}

const struct tears_lint_rule *t3_lint_rule(struct tears_str id)
{
    for (size_t i = 0; i < T3_COUNT(rules); i++)
        if (t3_str_equal(rules[i].id, id))
            return &rules[i];
    return NULL;
}

/* ---- M-2: an UPDATE that may be run again ---- */

/* A column, perhaps with its table before it. */
static struct tears_str column_here(struct lint_pass *pass, struct lint_cursor *cursor)
{
    return t3_lint_name(pass, cursor).name;
}

/* `= value`, where the value is no other column: a literal, a parameter, NULL, true, a call. */
static bool eat_equals_value(struct lint_cursor cursor)
{
    static const char *const values[] = {"TRUE",         "FALSE", "CURRENT_TIMESTAMP",
                                         "CURRENT_DATE", "ARRAY", "CAST"};
    if (!t3_lint_eat_mark(&cursor, "=") || t3_lint_at_end(&cursor))
        return false;
    (void)t3_lint_eat_mark(&cursor, "-");
    if (t3_lint_at_end(&cursor))
        return false;
    const enum t3_sql_kind kind = cursor.at->kind;
    if (kind == T3_SQL_STRING || kind == T3_SQL_DOLLAR || kind == T3_SQL_NUMBER ||
        kind == T3_SQL_PARAM)
        return true;
    for (size_t i = 0; i < T3_COUNT(values); i++)
        if (t3_sql_word_is(cursor.at, values[i]))
            return true;
    const bool is_call = cursor.at + 1 < cursor.end && t3_sql_mark_is(cursor.at + 1, "(");
    return kind == T3_SQL_WORD && (is_call || t3_str_is(cursor.at->text, "__PLACEHOLDER__"));
}

/* `= $1`, `= '...'::uuid`, `= ANY (`: one row, or those that were listed. */
static bool eat_key_value(struct lint_cursor cursor)
{
    if (!t3_lint_eat_mark(&cursor, "=") || t3_lint_at_end(&cursor))
        return false;
    if (cursor.at->kind == T3_SQL_PARAM || t3_str_is(cursor.at->text, "__PLACEHOLDER__"))
        return true;
    if (cursor.at->kind == T3_SQL_STRING)
        return cursor.at + 2 < cursor.end && t3_sql_mark_is(cursor.at + 1, "::") &&
               t3_sql_word_is(cursor.at + 2, "UUID");
    return t3_lint_eat(&cursor, "ANY") && t3_lint_eat_mark(&cursor, "(");
}

/* Whether column's new value is the column itself, or (for a guard by IS NULL) nothing. */
static bool stays_the_same(struct lint_pass *pass, struct tears_str column,
                           struct lint_cursor value)
{
    struct lint_cursor ahead = value;
    if (t3_lint_eat(&ahead, "NULL") && t3_lint_at_end(&ahead))
        return true;
    ahead = value;
    return t3_str_equal(column_here(pass, &ahead), column) && t3_lint_at_end(&ahead);
}

/* Whether the UPDATE gives the column a new value. */
static bool sets_column(struct lint_pass *pass, struct lint_cursor set, struct tears_str column)
{
    struct lint_cursor part;
    while (t3_lint_next_part(&set, &part)) {
        struct lint_cursor columns;
        if (t3_lint_eat_parentheses(&part, &columns)) { /* SET (a, b) = (...) */
            struct lint_cursor one;
            while (t3_lint_next_part(&columns, &one))
                if (t3_str_equal(column_here(pass, &one), column))
                    return true;
            continue;
        }
        if (!t3_str_equal(column_here(pass, &part), column) || !t3_lint_eat_mark(&part, "="))
            continue;
        return !stays_the_same(pass, column, part);
    }
    return false;
}

/* One condition, without AND and OR outside parentheses. */
static bool is_guard(struct lint_pass *pass, const struct lint_update *update,
                     struct lint_cursor condition)
{
    struct lint_cursor cursor = condition;
    const struct tears_str column = column_here(pass, &cursor);
    if (column.len == 0)
        return false;
    if (t3_str_is(column, "id") && eat_key_value(cursor))
        return true;
    if (!sets_column(pass, update->set, column))
        return false;
    return t3_lint_eat(&cursor, "IS NULL") || t3_lint_eat(&cursor, "ISNULL") ||
           t3_lint_eat(&cursor, "IS DISTINCT FROM") ||
           t3_lint_eat(&cursor, "IS NOT DISTINCT FROM") || eat_equals_value(cursor);
}

/* A condition with ANDs: one of its parts must guard. */
static bool part_guards(struct lint_pass *pass, const struct lint_update *update,
                        struct lint_cursor condition)
{
    static const char *const and[] = {"AND", NULL};
    static const char *const or [] = {"OR", NULL};
    for (unsigned guard = 0; !t3_lint_at_end(&condition) && guard < 1000; guard++) {
        struct lint_cursor part = t3_lint_until(&condition, and);
        struct lint_cursor inside;
        struct lint_cursor ahead = part;
        if (t3_lint_eat_parentheses(&ahead, &inside) && t3_lint_at_end(&ahead) &&
            !t3_lint_has(inside, or [0]))
            part = inside;
        if (is_guard(pass, update, part))
            return true;
        if (!t3_lint_eat(&condition, "AND"))
            return false;
    }
    return false;
}

/* Each of the alternatives must guard. */
static bool is_guarded(struct lint_pass *pass, const struct lint_update *update)
{
    static const char *const or [] = {"OR", NULL};
    struct lint_cursor condition = update->where;
    if (!update->has_where)
        return false;
    for (unsigned guard = 0; guard < 1000; guard++) {
        if (!part_guards(pass, update, t3_lint_until(&condition, or)))
            return false;
        if (!t3_lint_eat(&condition, "OR"))
            return true;
    }
    return false;
}

static tears_status check_updates(struct lint_pass *pass, const struct lint_statement *statement)
{
    struct lint_cursor cursor = statement->tokens;
    struct lint_update update;
    if (t3_lint_has(cursor, "DO NOTHING"))
        return TEARS_OK;
    while (t3_lint_next_update(pass, &cursor, &update))
        if (!is_guarded(pass, &update))
            T3_TRY(t3_lint_report(pass, statement, "M-2", "UPDATE " T3_STR_FMT,
                                  LINT_NAME_ARG(update.table)));
    return TEARS_OK;
}

/* ---- M-3: IF NOT EXISTS ---- */

static tears_status check_create(struct lint_pass *pass, const struct lint_statement *statement)
{
    struct lint_create create;
    if (statement->guard != 0 || !t3_lint_create(pass, statement, &create) || create.is_guarded ||
        create.is_temporary)
        return TEARS_OK;
    const bool is_table = t3_str_is(create.kind, "TABLE");
    if (!is_table && !t3_str_is(create.kind, "INDEX"))
        return TEARS_OK;
    return t3_lint_report(pass, statement, "M-3", "CREATE %s " T3_STR_FMT,
                          is_table ? "TABLE" : "INDEX", LINT_NAME_ARG(create.name));
}

static tears_status check_actions(struct lint_pass *pass, const struct lint_statement *statement)
{
    struct lint_actions actions;
    struct lint_action action;
    if (!t3_lint_alter_table(pass, statement, &actions))
        return TEARS_OK;
    while (t3_lint_next_action(pass, &actions, &action)) {
        /* SQLite has no ADD COLUMN IF NOT EXISTS */
        if (action.verb == LINT_ADD_COLUMN && !action.is_guarded && statement->guard == 0 &&
            pass->dialect != T3_SQL_SQLITE)
            T3_TRY(t3_lint_report(pass, statement, "M-3", "ADD COLUMN " T3_STR_FMT "." T3_STR_FMT,
                                  LINT_NAME_ARG(action.table), T3_STR_ARG(action.name)));
        struct lint_cursor columns;
        struct lint_cursor column;
        size_t count = 0;
        if (action.verb != LINT_ADD_CONSTRAINT || !t3_lint_eat(&action.rest, "PRIMARY KEY") ||
            !t3_lint_eat_parentheses(&action.rest, &columns))
            continue;
        while (t3_lint_next_part(&columns, &column))
            count++;
        if (count >= 2 && !pass->facts.has_unique)
            T3_TRY(t3_lint_report(pass, statement, "M-4", "PRIMARY KEY of " T3_STR_FMT,
                                  LINT_NAME_ARG(action.table)));
    }
    return TEARS_OK;
}

static tears_status check_truncate(struct lint_pass *pass, const struct lint_statement *statement)
{
    struct lint_cursor cursor = statement->tokens;
    if (!t3_lint_eat(&cursor, "TRUNCATE"))
        return TEARS_OK;
    (void)t3_lint_eat(&cursor, "TABLE");
    (void)t3_lint_eat(&cursor, "ONLY");
    const struct lint_name table = t3_lint_name(pass, &cursor);
    return t3_lint_report(pass, statement, "M-5", "TRUNCATE " T3_STR_FMT, LINT_NAME_ARG(table));
}

/* What may define code that is run later: its UPDATEs are not this migration's. */
static bool defines_code(const struct lint_statement *statement)
{
    struct lint_cursor cursor = statement->tokens;
    return t3_lint_eat(&cursor, "CREATE");
}

tears_status t3_lint_spec(struct lint_pass *pass, const struct lint_statement *statement)
{
    if (!defines_code(statement))
        T3_TRY(check_updates(pass, statement));
    T3_TRY(check_create(pass, statement));
    T3_TRY(check_actions(pass, statement));
    return check_truncate(pass, statement);
}
