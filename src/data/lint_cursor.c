/*
 * lint_cursor.c -- what the rules of the linter read statements with: words, names, lists, ALTER TABLE, CREATE, UPDATE.
 *
 * Owns:     nothing; names that must be folded go into the file's arena.
 * Must not know: rules.
 * Threads:  one.
 * Fails:    never: a text that is not what was expected gives an empty name or false.
 * Begin at: t3_lint_next_action().
 */
#include "base/str.h"
#include "data/lint_impl.h"

struct lint_cursor t3_lint_cursor(const struct t3_sql_tokens *tokens, struct t3_sql_range range)
{
    if (range.first == range.end) /* text without a token has no list of them */
        return (struct lint_cursor){.at = NULL, .end = NULL};
    return (struct lint_cursor){.at = tokens->items + range.first,
                                .end = tokens->items + range.end};
}

/* ---- words and marks ---- */

static bool eat_word(struct lint_cursor *cursor, struct tears_str word)
{
    if (t3_lint_at_end(cursor) || cursor->at->kind != T3_SQL_WORD ||
        !t3_str_equal_nocase(cursor->at->text, word))
        return false;
    cursor->at++;
    return true;
}

bool t3_lint_eat(struct lint_cursor *cursor, const char *words)
{
    struct lint_cursor ahead = *cursor;
    while (*words != '\0') {
        const size_t len = strcspn(words, " ");
        if (!eat_word(&ahead, tears_str_n(words, len)))
            return false;
        words += len + (words[len] == ' ');
    }
    *cursor = ahead;
    return true;
}

bool t3_lint_has(struct lint_cursor cursor, const char *words)
{
    for (; !t3_lint_at_end(&cursor); cursor.at++) {
        struct lint_cursor ahead = cursor;
        if (t3_lint_eat(&ahead, words))
            return true;
    }
    return false;
}

bool t3_lint_eat_mark(struct lint_cursor *cursor, const char *mark)
{
    if (t3_lint_at_end(cursor) || !t3_sql_mark_is(cursor->at, mark))
        return false;
    cursor->at++;
    return true;
}

/* +1 for what opens, -1 for what closes. */
static int nesting(const struct t3_sql_token *token)
{
    if (token->kind != T3_SQL_MARK || token->text.len != 1)
        return 0;
    const char c = token->text.ptr[0];
    return (c == '(' || c == '[') - (c == ')' || c == ']');
}

bool t3_lint_eat_parentheses(struct lint_cursor *cursor, struct lint_cursor *inside_out)
{
    struct lint_cursor ahead = *cursor;
    int depth = 1;
    if (!t3_lint_eat_mark(&ahead, "("))
        return false;
    const struct t3_sql_token *start = ahead.at;
    for (; !t3_lint_at_end(&ahead); ahead.at++) {
        depth += nesting(ahead.at);
        if (depth == 0)
            break;
    }
    *inside_out = (struct lint_cursor){.at = start, .end = ahead.at};
    cursor->at = t3_lint_at_end(&ahead) ? ahead.end : ahead.at + 1;
    return true;
}

bool t3_lint_next_part(struct lint_cursor *cursor, struct lint_cursor *part_out)
{
    int depth = 0;
    if (t3_lint_at_end(cursor))
        return false;
    *part_out = (struct lint_cursor){.at = cursor->at, .end = cursor->end};
    for (; !t3_lint_at_end(cursor); cursor->at++) {
        depth += nesting(cursor->at);
        if (depth <= 0 && t3_sql_mark_is(cursor->at, ",")) {
            part_out->end = cursor->at++;
            return true;
        }
    }
    return true;
}

struct lint_cursor t3_lint_until(struct lint_cursor *cursor, const char *const *words)
{
    const struct t3_sql_token *start = cursor->at;
    int depth = 0;
    for (; !t3_lint_at_end(cursor); cursor->at++) {
        depth += nesting(cursor->at);
        if (depth < 0)
            break;
        for (size_t i = 0; depth == 0 && words[i] != NULL; i++)
            if (t3_sql_word_is(cursor->at, words[i]))
                return (struct lint_cursor){.at = start, .end = cursor->at};
    }
    return (struct lint_cursor){.at = start, .end = cursor->at};
}

/* ---- names ---- */

/* Lower case, as PostgreSQL folds what is not quoted; quotes and doubled quotes taken off. */
static struct tears_str folded(struct lint_pass *pass, const struct t3_sql_token *token)
{
    const struct tears_str inner = t3_sql_inner(token);
    char *copy = t3_arena_alloc(pass->arena, inner.len + 1);
    size_t len = 0;
    if (copy == NULL)
        return TEARS_STR("");
    for (size_t i = 0; i < inner.len; i++) {
        const char c = inner.ptr[i];
        if (token->kind == T3_SQL_QUOTED && c == '"' && i + 1 < inner.len)
            i++;
        copy[len++] = token->kind == T3_SQL_WORD && c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    return tears_str_n(copy, len);
}

struct tears_str t3_lint_identifier(struct lint_pass *pass, struct lint_cursor *cursor)
{
    if (t3_lint_at_end(cursor) ||
        (cursor->at->kind != T3_SQL_WORD && cursor->at->kind != T3_SQL_QUOTED))
        return TEARS_STR("");
    return folded(pass, cursor->at++);
}

struct lint_name t3_lint_name(struct lint_pass *pass, struct lint_cursor *cursor)
{
    struct lint_name name = {.schema = TEARS_STR(""), .name = t3_lint_identifier(pass, cursor)};
    while (name.name.len > 0 && t3_lint_eat_mark(cursor, ".")) {
        name.schema = name.name;
        name.name = t3_lint_identifier(pass, cursor);
    }
    return name;
}

bool t3_lint_same(const struct lint_name *a, const struct lint_name *b)
{
    const bool same_schema =
        a->schema.len == 0 || b->schema.len == 0 || t3_str_equal(a->schema, b->schema);
    return same_schema && a->name.len > 0 && t3_str_equal(a->name, b->name);
}

bool t3_lint_is_created(const struct lint_pass *pass, const struct lint_name *table)
{
    for (size_t i = 0; i < pass->facts.created_count; i++)
        if (t3_lint_same(&pass->facts.created[i], table))
            return true;
    return false;
}

/* ---- ALTER TABLE ---- */

bool t3_lint_alter_table(struct lint_pass *pass, const struct lint_statement *statement,
                         struct lint_actions *actions_out)
{
    struct lint_cursor cursor = statement->tokens;
    if (!t3_lint_eat(&cursor, "ALTER TABLE") && !t3_lint_eat(&cursor, "ALTER FOREIGN TABLE"))
        return false;
    (void)t3_lint_eat(&cursor, "IF EXISTS");
    (void)t3_lint_eat(&cursor, "ONLY");
    *actions_out = (struct lint_actions){.table = t3_lint_name(pass, &cursor)};
    (void)t3_lint_eat_mark(&cursor, "*");
    actions_out->rest = cursor;
    return actions_out->table.name.len > 0;
}

static bool begins_constraint(struct lint_cursor cursor)
{
    return t3_lint_eat(&cursor, "PRIMARY KEY") || t3_lint_eat(&cursor, "UNIQUE") ||
           t3_lint_eat(&cursor, "CHECK") || t3_lint_eat(&cursor, "FOREIGN KEY") ||
           t3_lint_eat(&cursor, "EXCLUDE");
}

static void read_add(struct lint_pass *pass, struct lint_cursor *cursor, struct lint_action *action)
{
    if (t3_lint_eat(cursor, "CONSTRAINT")) {
        action->verb = LINT_ADD_CONSTRAINT;
        action->name = t3_lint_identifier(pass, cursor);
        return;
    }
    if (begins_constraint(*cursor)) {
        action->verb = LINT_ADD_CONSTRAINT;
        return;
    }
    (void)t3_lint_eat(cursor, "COLUMN");
    action->verb = LINT_ADD_COLUMN;
    action->is_guarded = t3_lint_eat(cursor, "IF NOT EXISTS");
    action->name = t3_lint_identifier(pass, cursor);
}

static void read_drop(struct lint_pass *pass, struct lint_cursor *cursor,
                      struct lint_action *action)
{
    action->verb = t3_lint_eat(cursor, "CONSTRAINT") ? LINT_DROP_CONSTRAINT : LINT_DROP_COLUMN;
    (void)t3_lint_eat(cursor, "COLUMN");
    action->is_guarded = t3_lint_eat(cursor, "IF EXISTS");
    action->name = t3_lint_identifier(pass, cursor);
}

static void read_alter(struct lint_pass *pass, struct lint_cursor *cursor,
                       struct lint_action *action)
{
    if (t3_lint_eat(cursor, "CONSTRAINT"))
        return;
    (void)t3_lint_eat(cursor, "COLUMN");
    action->verb = LINT_ALTER_COLUMN;
    action->name = t3_lint_identifier(pass, cursor);
}

bool t3_lint_next_action(struct lint_pass *pass, struct lint_actions *actions,
                         struct lint_action *action_out)
{
    struct lint_cursor part;
    if (!t3_lint_next_part(&actions->rest, &part))
        return false;
    *action_out = (struct lint_action){
        .table = actions->table, .verb = LINT_OTHER_ACTION, .name = TEARS_STR(""), .whole = part};
    struct lint_cursor cursor = part;
    if (t3_lint_eat(&cursor, "ADD")) {
        read_add(pass, &cursor, action_out);
    } else if (t3_lint_eat(&cursor, "DROP")) {
        read_drop(pass, &cursor, action_out);
    } else if (t3_lint_eat(&cursor, "ALTER")) {
        read_alter(pass, &cursor, action_out);
    } else if (t3_lint_eat(&cursor, "RENAME")) {
        action_out->verb = LINT_RENAME;
    } else if (t3_lint_eat(&cursor, "VALIDATE CONSTRAINT")) {
        action_out->verb = LINT_VALIDATE;
        action_out->name = t3_lint_identifier(pass, &cursor);
    }
    action_out->rest = cursor;
    return true;
}

/* ---- CREATE ---- */

static const char *const created_kinds[] = {
    "TABLE",    "INDEX",     "TYPE",      "DOMAIN",    "POLICY",      "TRIGGER",
    "FUNCTION", "PROCEDURE", "SEQUENCE",  "SCHEMA",    "EXTENSION",   "VIEW",
    "RULE",     "ROLE",      "AGGREGATE", "COLLATION", "PUBLICATION", "STATISTICS"};

bool t3_lint_create(struct lint_pass *pass, const struct lint_statement *statement,
                    struct lint_create *create_out)
{
    struct lint_cursor cursor = statement->tokens;
    struct lint_create create = {.kind = TEARS_STR("")};
    if (!t3_lint_eat(&cursor, "CREATE"))
        return false;
    create.is_guarded = t3_lint_eat(&cursor, "OR REPLACE");
    for (bool more = true; more;) {
        more = t3_lint_eat(&cursor, "GLOBAL") || t3_lint_eat(&cursor, "LOCAL") ||
               t3_lint_eat(&cursor, "UNLOGGED") || t3_lint_eat(&cursor, "MATERIALIZED") ||
               t3_lint_eat(&cursor, "RECURSIVE") || t3_lint_eat(&cursor, "FOREIGN") ||
               t3_lint_eat(&cursor, "CONSTRAINT") || t3_lint_eat(&cursor, "VIRTUAL");
        if (t3_lint_eat(&cursor, "TEMP") || t3_lint_eat(&cursor, "TEMPORARY"))
            more = create.is_temporary = true;
        if (t3_lint_eat(&cursor, "UNIQUE"))
            more = create.is_unique = true;
    }
    for (size_t i = 0; i < T3_COUNT(created_kinds) && create.kind.len == 0; i++)
        if (t3_lint_eat(&cursor, created_kinds[i]))
            create.kind = tears_str_c(created_kinds[i]);
    if (create.kind.len == 0)
        return false;
    create.is_concurrent = t3_lint_eat(&cursor, "CONCURRENTLY");
    create.is_guarded = t3_lint_eat(&cursor, "IF NOT EXISTS") || create.is_guarded;
    struct lint_cursor ahead = cursor; /* an index may go without a name: CREATE INDEX ON t */
    if (!t3_lint_eat(&ahead, "ON"))
        create.name = t3_lint_name(pass, &cursor);
    else
        create.name = (struct lint_name){.schema = TEARS_STR(""), .name = TEARS_STR("")};
    create.rest = cursor;
    *create_out = create;
    return true;
}

/* ---- UPDATE ---- */

static bool read_update(struct lint_pass *pass, struct lint_cursor *cursor,
                        struct lint_update *update_out)
{
    static const char *const behind_set[] = {"FROM", "WHERE", "RETURNING", "ORDER", "LIMIT", NULL};
    static const char *const behind_from[] = {"WHERE", "RETURNING", "ORDER", "LIMIT", NULL};
    static const char *const behind_where[] = {"RETURNING", "ORDER", "LIMIT", NULL};
    struct lint_cursor ahead = *cursor;
    if (!t3_lint_eat(&ahead, "UPDATE"))
        return false;
    if (t3_lint_eat(&ahead, "OR")) /* SQLite: UPDATE OR IGNORE */
        (void)t3_lint_identifier(pass, &ahead);
    (void)t3_lint_eat(&ahead, "ONLY");
    *update_out = (struct lint_update){.table = t3_lint_name(pass, &ahead)};
    (void)t3_lint_eat_mark(&ahead, "*");
    if (!t3_lint_eat(&ahead, "SET")) {
        (void)t3_lint_eat(&ahead, "AS");
        (void)t3_lint_identifier(pass, &ahead);
        if (!t3_lint_eat(&ahead, "SET"))
            return false;
    }
    update_out->set = t3_lint_until(&ahead, behind_set);
    if (t3_lint_eat(&ahead, "FROM"))
        (void)t3_lint_until(&ahead, behind_from);
    update_out->has_where = t3_lint_eat(&ahead, "WHERE");
    update_out->where = update_out->has_where
                            ? t3_lint_until(&ahead, behind_where)
                            : (struct lint_cursor){.at = ahead.at, .end = ahead.at};
    *cursor = ahead;
    return true;
}

bool t3_lint_next_update(struct lint_pass *pass, struct lint_cursor *cursor,
                         struct lint_update *update_out)
{
    for (; !t3_lint_at_end(cursor); cursor->at++)
        if (read_update(pass, cursor, update_out))
            return true;
    return false;
}
