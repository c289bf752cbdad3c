/*
 * lint_read.c -- lays out what is run: statements, those in the bodies of DO blocks, those that EXECUTE makes of text.
 *
 * Owns:     the list of statements of a file, in its arena.
 * Must not know: rules.
 * Threads:  one.
 * Fails:    TEARS_NO_MEMORY, TEARS_LIMIT.
 * Begin at: t3_lint_read().
 *
 * A block of PL/pgSQL is not parsed, only cut at its keywords: a statement begins behind a semicolon, BEGIN, THEN, ELSE and
 * LOOP.  What stands under `IF ... EXISTS (...) THEN`, behind `IF ... THEN RETURN`, or in a block that catches duplicate_* counts
 * as guarded: running it again does no harm.
 *
 * LIMITATIONS: functions that a migration calls are not looked into.
 */
#include "base/str.h"
#include "data/lint_impl.h"

enum { LEVELS_MAX = 64 };

/* An IF, LOOP, CASE or BEGIN that is open. */
struct level {
    bool is_begin;
    bool probes; /* of IF: the condition asks whether something is there */
    bool returns;
    size_t guard;
    size_t outer_guard;
    size_t first; /* of BEGIN: its first statement */
};

struct body {
    struct lint_pass *pass;
    const struct t3_sql_tokens *tokens;
    struct lint_statement model; /* unit and block of what is found */
    size_t first_line;
    unsigned depth;
    size_t guard;
    struct level levels[LEVELS_MAX];
    size_t level_count;
};

static tears_status read_text(struct lint_pass *pass, const struct lint_statement *model,
                              struct tears_str text, unsigned depth);

/* ---- adding ---- */

tears_status t3_lint_allow(struct lint_pass *pass, size_t unit, size_t line,
                           struct tears_str comment)
{
    struct lint_allowance read = {.unit = unit, .line = line};
    if (!t3_lint_comment(comment, &read.rules, &read.rationale))
        return TEARS_OK;
    struct lint_allowance *allowance = t3_arena_alloc(pass->arena, sizeof *allowance);
    if (allowance == NULL)
        return TEARS_NO_MEMORY;
    *allowance = read;
    allowance->next = pass->allowances;
    pass->allowances = allowance;
    return TEARS_OK;
}

static bool has_dml(struct lint_pass *pass, struct lint_cursor cursor)
{
    struct lint_update update;
    if (t3_lint_has(cursor, "INSERT INTO") || t3_lint_has(cursor, "DELETE FROM") ||
        t3_lint_has(cursor, "MERGE INTO"))
        return true;
    return t3_lint_next_update(pass, &cursor, &update);
}

static enum lint_class class_of(struct lint_pass *pass, struct lint_cursor cursor)
{
    static const char *const ddl[] = {"CREATE", "ALTER",   "DROP",     "COMMENT", "GRANT",
                                      "REVOKE", "REINDEX", "SECURITY", "REASSIGN"};
    static const char *const dml[] = {"UPDATE", "INSERT", "DELETE", "MERGE", "COPY", "TRUNCATE"};
    for (size_t i = 0; i < T3_COUNT(ddl); i++)
        if (t3_lint_eat(&cursor, ddl[i]))
            return LINT_DDL;
    for (size_t i = 0; i < T3_COUNT(dml); i++)
        if (t3_lint_eat(&cursor, dml[i]))
            return LINT_DML;
    return has_dml(pass, cursor) ? LINT_DML : LINT_OTHER;
}

static tears_status add(struct lint_pass *pass, const struct lint_statement *statement)
{
    if (pass->count == pass->room) {
        const size_t wider = pass->room == 0 ? 64 : pass->room * 2;
        struct lint_statement *items = t3_arena_array(pass->arena, wider, sizeof *pass->statements);
        if (items == NULL)
            return TEARS_NO_MEMORY;
        if (pass->count > 0)
            memcpy(items, pass->statements, pass->count * sizeof *items);
        pass->statements = items;
        pass->room = wider;
    }
    pass->statements[pass->count++] = *statement;
    return TEARS_OK;
}

/* ---- EXECUTE ---- */

/* What format() or || would make of it, with a name where a value is put in: `%I` and what is no string. */
static tears_status dynamic_text(struct lint_cursor cursor, struct t3_buf *out)
{
    for (; !t3_lint_at_end(&cursor); cursor.at++) {
        const bool is_text = cursor.at->kind == T3_SQL_STRING || cursor.at->kind == T3_SQL_DOLLAR;
        if (t3_sql_word_is(cursor.at, "USING"))
            break;
        if (!is_text) {
            if (cursor.at->kind == T3_SQL_WORD && out->len > 0)
                T3_TRY(t3_buf_put(out, TEARS_STR(" __PLACEHOLDER__ ")));
            continue;
        }
        const struct tears_str inner = t3_sql_inner(cursor.at);
        for (size_t i = 0; i < inner.len; i++) {
            if (inner.ptr[i] == '%' && i + 1 < inner.len &&
                strchr("IsL", inner.ptr[i + 1]) != NULL) {
                T3_TRY(t3_buf_put(out, TEARS_STR("__PLACEHOLDER__")));
                i++;
            } else if (!(inner.ptr[i] == '\'' && i + 1 < inner.len && inner.ptr[i + 1] == '\'' &&
                         cursor.at->kind == T3_SQL_STRING)) {
                T3_TRY(t3_buf_put_char(out, inner.ptr[i]));
            }
        }
    }
    return TEARS_OK;
}

static tears_status read_execute(struct body *body, struct lint_cursor cursor,
                                 const struct lint_statement *model)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    struct tears_str copy;
    T3_TRY(dynamic_text(cursor, &text));
    if (text.len == 0 || body->depth >= LINT_DEPTH_MAX)
        return TEARS_OK;
    T3_TRY(t3_arena_str(body->pass->arena, t3_buf_str(&text), &copy));
    return read_text(body->pass, model, copy, body->depth + 1);
}

/* ---- blocks of PL/pgSQL ---- */

static struct level *push(struct body *body)
{
    if (body->level_count == LEVELS_MAX)
        return NULL;
    struct level *level = &body->levels[body->level_count++];
    *level = (struct level){.outer_guard = body->guard, .guard = body->guard};
    return level;
}

static void pop(struct body *body)
{
    if (body->level_count == 0)
        return;
    const struct level *level = &body->levels[--body->level_count];
    body->guard = level->outer_guard;
    if (level->probes && level->returns) /* IF EXISTS (...) THEN RETURN; guards what follows */
        body->guard = ++body->pass->guards;
}

static bool is_probe(struct lint_cursor condition)
{
    return t3_lint_has(condition, "EXISTS") || t3_lint_has(condition, "to_regclass") ||
           t3_lint_has(condition, "FOUND");
}

/* IF or ELSIF, up to its THEN. */
static void open_if(struct body *body, struct lint_cursor *cursor, bool is_else)
{
    static const char *const then[] = {"THEN", NULL};
    const struct lint_cursor condition = t3_lint_until(cursor, then);
    struct level *level =
        is_else && body->level_count > 0 ? &body->levels[body->level_count - 1] : push(body);
    if (level == NULL || !is_probe(condition))
        return;
    level->probes = true;
    body->guard = level->guard = ++body->pass->guards;
}

/* EXCEPTION WHEN duplicate_object: what the block did before is guarded. */
static void catch_duplicates(struct body *body, struct lint_cursor cursor)
{
    static const char *const caught[] = {
        "duplicate_object",   "duplicate_table",  "duplicate_column", "duplicate_schema",
        "duplicate_function", "unique_violation", "undefined_object", "OTHERS"};
    bool catches = false;
    for (size_t i = 0; i < T3_COUNT(caught); i++)
        catches = catches || t3_lint_has(cursor, caught[i]);
    for (size_t i = body->level_count; catches && i > 0; i--) {
        if (!body->levels[i - 1].is_begin)
            continue;
        const size_t guard = ++body->pass->guards;
        for (size_t s = body->levels[i - 1].first; s < body->pass->count; s++)
            if (body->pass->statements[s].guard == 0)
                body->pass->statements[s].guard = guard;
        return;
    }
}

static bool opens_or_closes(struct body *body, struct lint_cursor *cursor)
{
    static const char *const loop[] = {"LOOP", NULL};
    static const char *const when[] = {"WHEN", NULL};
    static const char *const then[] = {"THEN", NULL};
    static const char *const begin[] = {"BEGIN", NULL};
    if (t3_lint_eat(cursor, "DECLARE")) {
        (void)t3_lint_until(cursor, begin);
    } else if (t3_lint_eat(cursor, "BEGIN")) {
        struct level *level = push(body);
        if (level != NULL) {
            level->is_begin = true;
            level->first = body->pass->count;
        }
    } else if (t3_lint_eat(cursor, "IF")) {
        open_if(body, cursor, false);
    } else if (t3_lint_eat(cursor, "ELSIF") || t3_lint_eat(cursor, "ELSEIF")) {
        open_if(body, cursor, true);
    } else if (t3_lint_eat(cursor, "CASE")) {
        (void)push(body);
        (void)t3_lint_until(cursor, when);
    } else if (t3_lint_eat(cursor, "EXCEPTION")) {
        catch_duplicates(body, *cursor);
    } else if (t3_lint_eat(cursor, "WHEN")) {
        (void)t3_lint_until(cursor, then);
    } else if (t3_lint_eat(cursor, "WHILE") || t3_lint_eat(cursor, "FOREACH")) {
        (void)t3_lint_until(cursor, loop);
    } else if (t3_lint_eat(cursor, "LOOP")) {
        (void)push(body);
    } else if (t3_lint_eat(cursor, "END")) {
        (void)(t3_lint_eat(cursor, "IF") || t3_lint_eat(cursor, "LOOP") ||
               t3_lint_eat(cursor, "CASE"));
        pop(body);
    } else {
        return t3_lint_eat(cursor, "THEN") || t3_lint_eat(cursor, "ELSE");
    }
    return true;
}

static tears_status body_statement(struct body *body, struct lint_cursor cursor)
{
    struct lint_statement statement = body->model;
    const struct lint_cursor whole = cursor;
    if (t3_lint_at_end(&cursor))
        return TEARS_OK;
    const struct tears_str last = (cursor.end - 1)->text;
    statement.text =
        tears_str_n(cursor.at->text.ptr, (size_t)(last.ptr + last.len - cursor.at->text.ptr));
    statement.tokens = cursor;
    statement.class = class_of(body->pass, cursor);
    statement.line = body->first_line + cursor.at->line;
    statement.guard = body->guard;
    if (t3_lint_eat(&cursor, "EXECUTE"))
        return read_execute(body, cursor, &statement);
    if (t3_lint_eat(&cursor, "RETURN") && body->level_count > 0)
        body->levels[body->level_count - 1].returns = true;
    statement.tokens = whole;
    return add(body->pass, &statement);
}

/* `FOR row IN query LOOP`: the query is a statement. */
static tears_status body_for(struct body *body, struct lint_cursor *cursor)
{
    static const char *const in[] = {"IN", NULL};
    static const char *const loop[] = {"LOOP", NULL};
    (void)t3_lint_until(cursor, in);
    (void)t3_lint_eat(cursor, "IN");
    return body_statement(body, t3_lint_until(cursor, loop));
}

static tears_status read_body(struct body *body)
{
    struct lint_cursor cursor =
        t3_lint_cursor(body->tokens, (struct t3_sql_range){.first = 0, .end = body->tokens->count});
    while (!t3_lint_at_end(&cursor)) {
        if (t3_lint_eat_mark(&cursor, ";"))
            continue;
        if (t3_lint_eat(&cursor, "FOR")) {
            T3_TRY(body_for(body, &cursor));
            continue;
        }
        if (opens_or_closes(body, &cursor))
            continue;
        struct lint_cursor statement = cursor;
        while (!t3_lint_at_end(&cursor) && !t3_sql_mark_is(cursor.at, ";"))
            cursor.at++;
        statement.end = cursor.at;
        T3_TRY(body_statement(body, statement));
    }
    return TEARS_OK;
}

/* The body of a DO, whose text may stand before or behind its language. */
static tears_status read_do(struct lint_pass *pass, const struct lint_statement *model,
                            unsigned depth)
{
    struct t3_sql_tokens tokens;
    const struct t3_sql_token *text = model->tokens.at;
    while (text < model->tokens.end && text->kind != T3_SQL_DOLLAR && text->kind != T3_SQL_STRING)
        text++;
    if (text == model->tokens.end || depth >= LINT_DEPTH_MAX)
        return TEARS_OK;
    T3_TRY(t3_sql_scan(pass->arena, t3_sql_inner(text), pass->dialect, &tokens));
    struct body *body = t3_arena_array(pass->arena, 1, sizeof *body);
    if (body == NULL)
        return TEARS_NO_MEMORY;
    body->pass = pass;
    body->tokens = &tokens;
    body->model = *model;
    body->model.is_do = false;
    body->model.block = model->block != 0 ? model->block : ++pass->blocks;
    body->first_line = model->line + (text->line - model->tokens.at->line);
    for (size_t i = 0; i < tokens.comment_count; i++)
        T3_TRY(t3_lint_allow(pass, model->unit, body->first_line + tokens.comments[i].line,
                             tokens.comments[i].text));
    body->depth = depth;
    return read_body(body);
}

/* ---- statements ---- */

static tears_status read_statement(struct lint_pass *pass, const struct lint_statement *statement,
                                   unsigned depth)
{
    struct lint_cursor cursor = statement->tokens;
    struct lint_statement full = *statement;
    full.is_do = t3_lint_eat(&cursor, "DO");
    full.class = full.is_do ? LINT_OTHER : class_of(pass, statement->tokens);
    T3_TRY(add(pass, &full));
    return full.is_do ? read_do(pass, &full, depth + 1) : TEARS_OK;
}

/* What EXECUTE runs: the model says where it stands. */
static tears_status read_text(struct lint_pass *pass, const struct lint_statement *model,
                              struct tears_str text, unsigned depth)
{
    struct t3_sql_tokens tokens;
    struct t3_sql_range range;
    size_t at = 0;
    T3_TRY(t3_sql_scan(pass->arena, text, pass->dialect, &tokens));
    while (t3_sql_next(&tokens, &at, &range)) {
        struct lint_statement statement = *model;
        statement.tokens = t3_lint_cursor(&tokens, range);
        statement.text = t3_sql_text(&tokens, range);
        T3_TRY(read_statement(pass, &statement, depth));
    }
    return TEARS_OK;
}

tears_status t3_lint_read(struct lint_pass *pass, const struct lint_unit *unit)
{
    size_t at = unit->range.first;
    struct t3_sql_range range;
    while (at < unit->range.end && t3_sql_next(unit->tokens, &at, &range)) {
        const struct lint_statement statement = {
            .text = t3_sql_text(unit->tokens, range),
            .tokens = t3_lint_cursor(unit->tokens, range),
            .unit = unit->index,
            .line = (size_t)unit->tokens->items[range.first].line + 1};
        T3_TRY(read_statement(pass, &statement, 0));
    }
    return TEARS_OK;
}
