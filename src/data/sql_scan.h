/*
 * sql_scan.h -- SQL text as tokens and statements, for those who must not be deceived by comments, quotes and dollar tags.
 *
 * Tokens point into the text; nothing is copied.
 */
#ifndef T3_DATA_SQL_SCAN_H
#define T3_DATA_SQL_SCAN_H

#include "base/arena.h"

enum t3_sql_dialect { T3_SQL_POSTGRES, T3_SQL_SQLITE };

enum t3_sql_kind {
    T3_SQL_WORD,   /* a keyword or a plain name */
    T3_SQL_QUOTED, /* "name"; SQLite also `name` and [name] */
    T3_SQL_STRING, /* '...' with its prefix: E, B, X, N, U& */
    T3_SQL_DOLLAR, /* $tag$...$tag$ */
    T3_SQL_NUMBER,
    T3_SQL_PARAM, /* $1; SQLite also ?, ?1, :a, @a, $a */
    T3_SQL_MARK   /* anything else: one character, or :: */
};

struct t3_sql_token {
    enum t3_sql_kind kind;
    uint32_t line; /* from 0 */
    struct tears_str text;
};

struct t3_sql_comment {
    struct tears_str text; /* without its marks */
    uint32_t line;
    size_t before; /* index of the token that follows it */
};

struct t3_sql_tokens {
    struct tears_str source;
    struct t3_sql_token *items;
    size_t count;
    struct t3_sql_comment *comments;
    size_t comment_count;
    const char *unended; /* NULL, or what begins and never ends: "string", "comment", ... */
    uint32_t unended_line;
};

/* Tokens from `first` up to, not with, `end`. */
struct t3_sql_range {
    size_t first;
    size_t end;
};

/* Reads the whole text; text that is no SQL gives tokens all the same.  TEARS_NO_MEMORY, TEARS_LIMIT (T3_SQL_BYTES_MAX). */
tears_status t3_sql_scan(struct t3_arena *arena, struct tears_str text, enum t3_sql_dialect dialect,
                         struct t3_sql_tokens *tokens_out);

/*
 * The next statement from token *at on, without its semicolon; *at moves behind that.  Semicolons in the bodies of triggers
 * and of functions in standard SQL end nothing.  Empty statements are passed over.  False: no more.
 */
bool t3_sql_next(const struct t3_sql_tokens *tokens, size_t *at, struct t3_sql_range *range_out);

/* The text from the first to the last token of a range that is not empty, with the comments between them. */
struct tears_str t3_sql_text(const struct t3_sql_tokens *tokens, struct t3_sql_range range);

/* Whether the token is this keyword (written in capitals), not a quoted name. */
bool t3_sql_word_is(const struct t3_sql_token *token, const char *keyword);

/* Whether the token is this mark. */
bool t3_sql_mark_is(const struct t3_sql_token *token, const char *mark);

/* What is between the quotes or dollar tags, as written; the whole text of other tokens. */
struct tears_str t3_sql_inner(const struct t3_sql_token *token);

#endif
