/*
 * drift_lite_text.c -- the text of SQLite's CREATE TABLE: checks, generated columns, collations.
 *
 * Owns:     nothing; what is made is the catalogue's.
 * Knows:    sql_scan.h, drift_catalogue.h.
 * Must not know: connections.
 * Threads:  one at a time.
 * Fails:    TEARS_NO_MEMORY, TEARS_LIMIT.
 * Begin at: t3_lite_read_create().
 *
 * SQLite keeps CREATE statements as they were written.  Expressions are therefore compared token by token: blanks,
 * comments, the case of words and quotes around plain names make no difference.
 */
#include "data/drift_lite_text.h"

#include "base/str.h"

/* ---- text ------------------------------------------------------------------------------------- */

static bool is_plain(struct tears_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.ptr[i];
        if (!(c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              (i > 0 && c >= '0' && c <= '9')))
            return false;
    }
    return name.len > 0;
}

static tears_status put_lower(struct t3_buf *out, struct tears_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.ptr[i];
        T3_TRY(t3_buf_put_char(out, c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c));
    }
    return TEARS_OK;
}

static tears_status put_token(struct t3_buf *out, const struct t3_sql_token *token)
{
    if (token->kind == T3_SQL_WORD || token->kind == T3_SQL_NUMBER)
        return put_lower(out, token->text);
    if (token->kind == T3_SQL_QUOTED && is_plain(t3_sql_inner(token)))
        return put_lower(out, t3_sql_inner(token));
    return t3_buf_put(out, token->text);
}

static bool wants_blank(const struct t3_sql_token *before, const struct t3_sql_token *token)
{
    return !t3_sql_mark_is(before, "(") && !t3_sql_mark_is(before, ".") &&
           !t3_sql_mark_is(token, ")") && !t3_sql_mark_is(token, ",") &&
           !t3_sql_mark_is(token, ".");
}

/* The tokens in one way of writing them; the arena's. */
tears_status t3_lite_normalise(struct t3_arena *arena, const struct t3_sql_tokens *tokens,
                               struct t3_sql_range range, struct tears_str *text_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};

    for (size_t i = range.first; i < range.end; i++) {
        if (i > range.first && wants_blank(&tokens->items[i - 1], &tokens->items[i]))
            T3_TRY(t3_buf_put_char(&text, ' '));
        T3_TRY(put_token(&text, &tokens->items[i]));
    }
    return t3_arena_str(arena, t3_buf_str(&text), text_out);
}

/* A text by itself. */
tears_status t3_lite_normalise_text(struct t3_arena *arena, struct tears_str text,
                                    struct tears_str *text_out)
{
    struct t3_sql_tokens tokens;

    T3_TRY(t3_sql_scan(arena, text, T3_SQL_SQLITE, &tokens));
    return t3_lite_normalise(arena, &tokens, (struct t3_sql_range){0, tokens.count}, text_out);
}

/* The token behind the parenthesis that closes the one at `open`. */
static size_t behind_group(const struct t3_sql_tokens *tokens, size_t open, size_t end)
{
    size_t depth = 0;

    for (size_t i = open; i < end; i++) {
        if (t3_sql_mark_is(&tokens->items[i], "("))
            depth++;
        else if (t3_sql_mark_is(&tokens->items[i], ")") && --depth == 0)
            return i + 1;
    }
    return end;
}

static bool opens_group(const struct t3_sql_tokens *tokens, size_t at, size_t end)
{
    return at < end && t3_sql_mark_is(&tokens->items[at], "(");
}

struct t3_item t3_lite_item(uint8_t object, struct tears_str table, struct tears_str name)
{
    struct t3_item item = {.object = object,
                           .table = table,
                           .name = name,
                           .reference = TEARS_STR(""),
                           .create = TEARS_STR("")};

    for (size_t part = 0; part < T3_PART_COUNT; part++)
        item.parts[part] = TEARS_STR("");
    return item;
}

/* ---- the text of CREATE TABLE ----------------------------------------------------------------- */

#define NONE SIZE_MAX

/* What is being read: one column, or one constraint of the table.  Items are known by their place: adding one may move
 * them. */
struct clause {
    struct t3_catalogue *catalogue;
    const struct t3_sql_tokens *tokens;
    struct t3_sql_range range;
    struct tears_str table;
    size_t column; /* its item; NONE: the clause is of the table */
};

static size_t find_item(const struct t3_catalogue *catalogue, uint8_t object,
                        struct tears_str table, struct tears_str column)
{
    for (size_t i = 0; i < catalogue->count; i++) {
        const struct t3_item *item = &catalogue->items[i];
        if (item->object == object && t3_str_equal(item->table, table) &&
            (object != TEARS_DRIFT_OBJECT_COLUMN || t3_str_equal_nocase(item->name, column)))
            return i;
    }
    return NONE;
}

/* The name that `CONSTRAINT name` just before the token gives, "" without. */
static struct tears_str constraint_name(const struct clause *clause, size_t at)
{
    if (at < clause->range.first + 2 ||
        !t3_sql_word_is(&clause->tokens->items[at - 2], "CONSTRAINT"))
        return TEARS_STR("");
    return t3_sql_inner(&clause->tokens->items[at - 1]);
}

static tears_status add_check(struct clause *clause, size_t at, size_t end)
{
    struct t3_item item =
        t3_lite_item(TEARS_DRIFT_OBJECT_CHECK, clause->table, constraint_name(clause, at));
    const struct t3_sql_range range = {at, end};

    T3_TRY(t3_lite_normalise(clause->catalogue->arena, clause->tokens, range,
                             &item.parts[T3_PART_DEFINITION]));
    return t3_catalogue_add(clause->catalogue, &item);
}

/* `AS (expression)` with its STORED or VIRTUAL, which is what it is when nothing is said. */
static tears_status set_generation(struct clause *clause, size_t at, size_t end)
{
    struct t3_item *column = &clause->catalogue->items[clause->column];
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    struct tears_str expression;
    const bool stored =
        end < clause->range.end && t3_sql_word_is(&clause->tokens->items[end], "STORED");

    T3_TRY(t3_lite_normalise(clause->catalogue->arena, clause->tokens,
                             (struct t3_sql_range){at, end}, &expression));
    T3_TRY(t3_buf_put(&text, TEARS_STR("GENERATED ALWAYS AS ")));
    T3_TRY(t3_buf_put(&text, expression));
    T3_TRY(t3_buf_put(&text, tears_str_c(stored ? " STORED" : " VIRTUAL")));
    return t3_arena_str(clause->catalogue->arena, t3_buf_str(&text),
                        &column->parts[T3_PART_GENERATION]);
}

tears_status t3_lite_append(struct t3_arena *arena, struct tears_str *text, const char *words,
                            struct tears_str more)
{
    T3_AUTO(t3_buf_done) struct t3_buf all = {0};

    T3_TRY(t3_buf_put(&all, *text));
    T3_TRY(t3_buf_put(&all, tears_str_c(words)));
    T3_TRY(put_lower(&all, more));
    return t3_arena_str(arena, t3_buf_str(&all), text);
}

static tears_status set_autoincrement(struct clause *clause)
{
    const size_t key =
        find_item(clause->catalogue, TEARS_DRIFT_OBJECT_PRIMARY_KEY, clause->table, TEARS_STR(""));

    if (key == NONE)
        return TEARS_OK;
    return t3_lite_append(clause->catalogue->arena,
                          &clause->catalogue->items[key].parts[T3_PART_DEFINITION], " ",
                          TEARS_STR("autoincrement"));
}

static tears_status read_word(struct clause *clause, size_t at, size_t *next_out)
{
    const struct t3_sql_token *token = &clause->tokens->items[at];
    const size_t group_end = opens_group(clause->tokens, at + 1, clause->range.end)
                                 ? behind_group(clause->tokens, at + 1, clause->range.end)
                                 : at + 1;

    *next_out = group_end;
    if (t3_sql_word_is(token, "CHECK") && group_end > at + 1)
        return add_check(clause, at, group_end);
    if (clause->column == NONE)
        return TEARS_OK;
    if (t3_sql_word_is(token, "AS") && group_end > at + 1)
        return set_generation(clause, at + 1, group_end);
    if (t3_sql_word_is(token, "COLLATE") && at + 1 < clause->range.end) {
        *next_out = at + 2;
        return t3_lite_append(clause->catalogue->arena,
                              &clause->catalogue->items[clause->column].parts[T3_PART_TYPE],
                              " COLLATE ", t3_sql_inner(&clause->tokens->items[at + 1]));
    }
    return t3_sql_word_is(token, "AUTOINCREMENT") ? set_autoincrement(clause) : TEARS_OK;
}

static bool begins_constraint(const struct t3_sql_token *token)
{
    static const char *const words[] = {"CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"};

    for (size_t i = 0; i < T3_COUNT(words); i++)
        if (t3_sql_word_is(token, words[i]))
            return true;
    return false;
}

static tears_status read_clause(struct clause *clause)
{
    const struct t3_sql_token *first = &clause->tokens->items[clause->range.first];
    size_t at = clause->range.first;

    clause->column = NONE;
    if (!begins_constraint(first)) {
        clause->column = find_item(clause->catalogue, TEARS_DRIFT_OBJECT_COLUMN, clause->table,
                                   t3_sql_inner(first));
        at++;
    }
    while (at < clause->range.end) {
        if (opens_group(clause->tokens, at, clause->range.end))
            at = behind_group(clause->tokens, at, clause->range.end);
        else
            T3_TRY(read_word(clause, at, &at));
    }
    return TEARS_OK;
}

/* The clauses between the first parenthesis and the one that closes it. */
tears_status t3_lite_read_create(struct t3_catalogue *catalogue, struct tears_str table,
                                 struct tears_str sql)
{
    struct t3_sql_tokens tokens;
    size_t at = 0;

    T3_TRY(t3_sql_scan(catalogue->arena, sql, T3_SQL_SQLITE, &tokens));
    while (at < tokens.count && !t3_sql_mark_is(&tokens.items[at], "("))
        at++;
    if (at == tokens.count)
        return TEARS_OK;
    const size_t end = behind_group(&tokens, at, tokens.count) - 1;
    struct clause clause = {.catalogue = catalogue, .tokens = &tokens, .table = table};
    clause.range.first = at + 1;
    for (at++; at <= end && at < tokens.count;) {
        if (at < end && opens_group(&tokens, at, end)) {
            at = behind_group(&tokens, at, end);
            continue;
        }
        if (at == end || t3_sql_mark_is(&tokens.items[at], ",")) {
            clause.range.end = at;
            if (clause.range.end > clause.range.first)
                T3_TRY(read_clause(&clause));
            clause.range.first = at + 1;
        }
        at++;
    }
    return TEARS_OK;
}
