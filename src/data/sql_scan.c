/*
 * sql_scan.c -- SQL text as tokens and statements.
 *
 * Owns:     nothing; tokens are in the caller's arena and point into the caller's text.
 * Must not know: what a statement means.
 * Threads:  any.
 * Fails:    TEARS_NO_MEMORY; TEARS_LIMIT for text beyond T3_SQL_BYTES_MAX.
 * Begin at: t3_sql_scan().
 *
 * LIMITATIONS: strings are taken as with standard_conforming_strings on, PostgreSQL's default since 9.1; psql's backslash
 * commands are marks like others.
 */
#include "data/sql_scan.h"

#include "base/limits.h"
#include "base/str.h"

struct scanner {
    struct t3_arena *arena;
    struct tears_str text;
    enum t3_sql_dialect dialect;
    size_t at;
    uint32_t line;
    struct t3_sql_tokens *out;
    size_t token_room;
    size_t comment_room;
};

/* ---- characters ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80) != 0;
}

static bool is_name_part(char c)
{
    return is_name_start(c) || is_digit(c) || c == '$';
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || c == '\0';
}

/* The character `ahead` of the scanner; NUL past the end. */
static char peek(const struct scanner *scanner, size_t ahead)
{
    return ahead < scanner->text.len - scanner->at ? scanner->text.ptr[scanner->at + ahead] : '\0';
}

static bool at_end(const struct scanner *scanner)
{
    return scanner->at >= scanner->text.len;
}

static void step(struct scanner *scanner)
{
    if (scanner->text.ptr[scanner->at] == '\n')
        scanner->line++;
    scanner->at++;
}

static void step_over(struct scanner *scanner, size_t count)
{
    for (size_t i = 0; i < count && !at_end(scanner); i++)
        step(scanner);
}

static void unended(struct scanner *scanner, const char *what, uint32_t line)
{
    scanner->out->unended = what;
    scanner->out->unended_line = line;
}

/* ---- growing the result ---- */

/* A copy of the array with twice the room; what is left behind goes with the arena. */
static void *grown(struct t3_arena *arena, const void *items, size_t bytes_each, size_t *room)
{
    const size_t wider = *room == 0 ? 32 : *room * 2;
    void *copy = t3_arena_alloc(arena, wider * bytes_each);
    if (copy != NULL && *room > 0)
        memcpy(copy, items, *room * bytes_each);
    if (copy != NULL)
        *room = wider;
    return copy;
}

static tears_status put_token(struct scanner *scanner, enum t3_sql_kind kind, size_t start,
                              uint32_t line)
{
    struct t3_sql_tokens *out = scanner->out;
    if (out->count == scanner->token_room) {
        struct t3_sql_token *wider =
            grown(scanner->arena, out->items, sizeof *out->items, &scanner->token_room);
        if (wider == NULL)
            return TEARS_NO_MEMORY;
        out->items = wider;
    }
    out->items[out->count++] =
        (struct t3_sql_token){.kind = kind,
                              .line = line,
                              .text = tears_str_n(scanner->text.ptr + start, scanner->at - start)};
    return TEARS_OK;
}

static tears_status put_comment(struct scanner *scanner, struct tears_str text, uint32_t line)
{
    struct t3_sql_tokens *out = scanner->out;
    if (out->comment_count == scanner->comment_room) {
        struct t3_sql_comment *wider =
            grown(scanner->arena, out->comments, sizeof *out->comments, &scanner->comment_room);
        if (wider == NULL)
            return TEARS_NO_MEMORY;
        out->comments = wider;
    }
    out->comments[out->comment_count++] =
        (struct t3_sql_comment){.text = text, .line = line, .before = out->count};
    return TEARS_OK;
}

/* ---- comments and quotes ---- */

static tears_status line_comment(struct scanner *scanner)
{
    const size_t start = scanner->at + 2;
    while (!at_end(scanner) && peek(scanner, 0) != '\n')
        step(scanner);
    return put_comment(scanner, tears_str_n(scanner->text.ptr + start, scanner->at - start),
                       scanner->line);
}

/* PostgreSQL's comments nest, SQLite's do not. */
static tears_status block_comment(struct scanner *scanner)
{
    const size_t start = scanner->at + 2;
    const uint32_t line = scanner->line;
    size_t depth = 1;
    step_over(scanner, 2);
    while (!at_end(scanner) && depth > 0) {
        const bool opens = peek(scanner, 0) == '/' && peek(scanner, 1) == '*';
        const bool closes = peek(scanner, 0) == '*' && peek(scanner, 1) == '/';
        if (closes)
            depth--;
        else if (opens && scanner->dialect == T3_SQL_POSTGRES)
            depth++;
        step_over(scanner, opens || closes ? 2 : 1);
    }
    if (depth > 0)
        unended(scanner, "comment", line);
    const size_t end = depth > 0 ? scanner->at : scanner->at - 2;
    return put_comment(scanner, tears_str_n(scanner->text.ptr + start, end - start), line);
}

/* Steps over a quoted text whose opening quote is here; two closing quotes stand for one. */
static void quoted(struct scanner *scanner, char closing, bool backslashes, const char *what)
{
    const uint32_t line = scanner->line;
    step(scanner);
    while (!at_end(scanner)) {
        const char c = peek(scanner, 0);
        const bool pair = c == closing && closing != ']' && peek(scanner, 1) == closing;
        step_over(scanner, pair || (c == '\\' && backslashes) ? 2 : 1);
        if (c == closing && !pair)
            return;
    }
    unended(scanner, what, line);
}

/* The length of `$tag$` here, 0 when there is none. */
static size_t dollar_tag(const struct scanner *scanner)
{
    size_t len = 1;
    if (is_digit(peek(scanner, 1)))
        return 0;
    while (is_name_part(peek(scanner, len)) && peek(scanner, len) != '$')
        len++;
    return peek(scanner, len) == '$' ? len + 1 : 0;
}

static void dollar_text(struct scanner *scanner, size_t tag_len)
{
    const uint32_t line = scanner->line;
    const char *tag = scanner->text.ptr + scanner->at;
    step_over(scanner, tag_len);
    while (!at_end(scanner)) {
        if (scanner->text.len - scanner->at >= tag_len &&
            memcmp(scanner->text.ptr + scanner->at, tag, tag_len) == 0) {
            step_over(scanner, tag_len);
            return;
        }
        step(scanner);
    }
    unended(scanner, "dollar-quoted text", line);
}

/* ---- tokens ---- */

/* How many characters stand before the quote of a string with a prefix; SIZE_MAX: no string here. */
static size_t string_prefix(const struct scanner *scanner)
{
    const char c = peek(scanner, 0);
    if (c == '\'')
        return 0;
    if (strchr("eEbBxXnN", c) != NULL && c != '\0' && peek(scanner, 1) == '\'')
        return 1;
    if ((c == 'u' || c == 'U') && peek(scanner, 1) == '&' && peek(scanner, 2) == '\'')
        return 2;
    return SIZE_MAX;
}

static enum t3_sql_kind word_or_string(struct scanner *scanner)
{
    const size_t prefix = string_prefix(scanner);
    if (prefix != SIZE_MAX) {
        const char first = peek(scanner, 0);
        step_over(scanner, prefix);
        quoted(scanner, '\'', first == 'e' || first == 'E', "string");
        return T3_SQL_STRING;
    }
    while (!at_end(scanner) && is_name_part(peek(scanner, 0)))
        step(scanner);
    return T3_SQL_WORD;
}

static enum t3_sql_kind number(struct scanner *scanner)
{
    while (is_name_part(peek(scanner, 0)) || peek(scanner, 0) == '.') {
        const char c = peek(scanner, 0);
        step(scanner);
        if ((c == 'e' || c == 'E') && (peek(scanner, 0) == '-' || peek(scanner, 0) == '+') &&
            is_digit(peek(scanner, 1)))
            step(scanner);
    }
    return T3_SQL_NUMBER;
}

static enum t3_sql_kind param(struct scanner *scanner)
{
    step(scanner);
    while (is_name_part(peek(scanner, 0)))
        step(scanner);
    return T3_SQL_PARAM;
}

static bool is_param(const struct scanner *scanner)
{
    const char c = peek(scanner, 0);
    if (c == '$')
        return is_name_part(peek(scanner, 1));
    if (scanner->dialect != T3_SQL_SQLITE)
        return false;
    return c == '?' || ((c == ':' || c == '@') && is_name_start(peek(scanner, 1)));
}

static enum t3_sql_kind mark(struct scanner *scanner)
{
    step_over(scanner, peek(scanner, 0) == ':' && peek(scanner, 1) == ':' ? 2 : 1);
    return T3_SQL_MARK;
}

static enum t3_sql_kind token(struct scanner *scanner)
{
    const char c = peek(scanner, 0);
    const bool lite = scanner->dialect == T3_SQL_SQLITE;
    const size_t tag = c == '$' && !lite ? dollar_tag(scanner) : 0;
    if (tag > 0) {
        dollar_text(scanner, tag);
        return T3_SQL_DOLLAR;
    }
    if (c == '"' || (lite && (c == '`' || c == '['))) {
        quoted(scanner, c == '[' ? ']' : c, false, "quoted name");
        return T3_SQL_QUOTED;
    }
    if ((c == 'u' || c == 'U') && peek(scanner, 1) == '&' && peek(scanner, 2) == '"') {
        step_over(scanner, 2);
        quoted(scanner, '"', false, "quoted name");
        return T3_SQL_QUOTED;
    }
    if (c == '\'' || is_name_start(c))
        return word_or_string(scanner);
    if (is_digit(c) || (c == '.' && is_digit(peek(scanner, 1))))
        return number(scanner);
    return is_param(scanner) ? param(scanner) : mark(scanner);
}

tears_status t3_sql_scan(struct t3_arena *arena, struct tears_str text, enum t3_sql_dialect dialect,
                         struct t3_sql_tokens *tokens_out)
{
    struct scanner scanner = {.arena = arena, .text = text, .dialect = dialect, .out = tokens_out};
    *tokens_out = (struct t3_sql_tokens){.source = text};
    if (text.len > T3_SQL_BYTES_MAX)
        return TEARS_LIMIT;
    while (!at_end(&scanner)) {
        const char c = peek(&scanner, 0);
        const char next = peek(&scanner, 1);
        if (is_blank(c)) {
            step(&scanner);
        } else if (c == '-' && next == '-') {
            T3_TRY(line_comment(&scanner));
        } else if (c == '/' && next == '*') {
            T3_TRY(block_comment(&scanner));
        } else {
            const size_t start = scanner.at;
            const uint32_t line = scanner.line;
            const enum t3_sql_kind kind = token(&scanner);
            T3_ASSERT(scanner.at > start);
            T3_TRY(put_token(&scanner, kind, start, line));
        }
    }
    return TEARS_OK;
}

/* ---- looking at tokens ---- */

bool t3_sql_word_is(const struct t3_sql_token *token, const char *keyword)
{
    return token->kind == T3_SQL_WORD && t3_str_equal_nocase(token->text, tears_str_c(keyword));
}

bool t3_sql_mark_is(const struct t3_sql_token *token, const char *mark)
{
    return token->kind == T3_SQL_MARK && t3_str_is(token->text, mark);
}

static bool is_closing_quote(char c)
{
    return c == '\'' || c == '"' || c == '`' || c == ']';
}

struct tears_str t3_sql_inner(const struct t3_sql_token *token)
{
    const struct tears_str text = token->text;
    size_t open = 0;
    size_t close = 1;
    if (token->kind == T3_SQL_STRING || token->kind == T3_SQL_QUOTED) {
        while (open < text.len && strchr("'\"`[", text.ptr[open]) == NULL)
            open++;
        open++;
    } else if (token->kind == T3_SQL_DOLLAR) {
        const char *end = memchr(text.ptr + 1, '$', text.len - 1);
        open = (size_t)(end - text.ptr) + 1;
        close = open;
    } else {
        return text;
    }
    /* A text that never ends has no closing part. */
    const bool ended =
        text.len >= open + close &&
        (token->kind == T3_SQL_DOLLAR ? memcmp(text.ptr + text.len - close, text.ptr, close) == 0
                                      : is_closing_quote(text.ptr[text.len - 1]));
    return tears_str_n(text.ptr + open, text.len - open - (ended ? close : 0));
}

struct tears_str t3_sql_text(const struct t3_sql_tokens *tokens, struct t3_sql_range range)
{
    T3_ASSERT(range.first < range.end && range.end <= tokens->count);
    const struct tears_str last = tokens->items[range.end - 1].text;
    const char *start = tokens->items[range.first].text.ptr;
    return tears_str_n(start, (size_t)(last.ptr + last.len - start));
}

/* ---- statements ---- */

/*
 * Whether the statement that begins at `first` may have statements inside it: SQLite's triggers, PostgreSQL's functions with
 * BEGIN ATOMIC.  The word stands near the beginning: CREATE OR REPLACE TEMP TRIGGER.
 */
static bool may_have_body(const struct t3_sql_tokens *tokens, size_t first)
{
    if (!t3_sql_word_is(&tokens->items[first], "CREATE"))
        return false;
    for (size_t i = first + 1; i < tokens->count && i < first + 5; i++)
        if (t3_sql_word_is(&tokens->items[i], "TRIGGER") ||
            t3_sql_word_is(&tokens->items[i], "FUNCTION") ||
            t3_sql_word_is(&tokens->items[i], "PROCEDURE"))
            return true;
    return false;
}

/* The index of the semicolon that ends the statement at `first`, or the number of tokens. */
static size_t statement_end(const struct t3_sql_tokens *tokens, size_t first)
{
    const bool body = may_have_body(tokens, first);
    size_t depth = 0;
    for (size_t i = first; i < tokens->count; i++) {
        const struct t3_sql_token *item = &tokens->items[i];
        if (t3_sql_mark_is(item, ";") && depth == 0)
            return i;
        if (!body || item->kind != T3_SQL_WORD)
            continue;
        if (t3_sql_word_is(item, "BEGIN") || (depth > 0 && t3_sql_word_is(item, "CASE")))
            depth++;
        else if (depth > 0 && t3_sql_word_is(item, "END"))
            depth--;
    }
    return tokens->count;
}

bool t3_sql_next(const struct t3_sql_tokens *tokens, size_t *at, struct t3_sql_range *range_out)
{
    while (*at < tokens->count && t3_sql_mark_is(&tokens->items[*at], ";"))
        (*at)++;
    if (*at >= tokens->count)
        return false;
    const size_t end = statement_end(tokens, *at);
    *range_out = (struct t3_sql_range){.first = *at, .end = end};
    *at = end < tokens->count ? end + 1 : end;
    return true;
}
