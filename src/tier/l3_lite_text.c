/*
 * l3_lite_text.c -- conditions of indexes and names of constraints, read out of CREATE statements.
 *
 * Owns:     nothing.
 * Must not know: databases; it looks at text that SQLite has accepted already.
 * Threads:  any.
 * Fails:    TEARS_NO_MEMORY, TEARS_LIMIT; what is not found is "".
 * Begin at: t3_l3_lite_condition().
 */
#include "tier/l3_lite_text.h"

#include "base/buf.h"
#include "base/str.h"

/* Past the quoted text or name that starts at `at`: quotes in it are doubled. */
static size_t past_quotes(struct tears_str sql, size_t at)
{
    const char quote = sql.ptr[at] == '[' ? ']' : sql.ptr[at];
    for (at++; at < sql.len; at++) {
        if (sql.ptr[at] != quote)
            continue;
        if (at + 1 >= sql.len || sql.ptr[at + 1] != quote)
            return at + 1;
        at++;
    }
    return sql.len;
}

static bool opens_quotes(char c)
{
    return c == '\'' || c == '"' || c == '`' || c == '[';
}

/* Past the bracket that closes the first one; SIZE_MAX: there is none. */
static size_t past_brackets(struct tears_str sql)
{
    size_t depth = 0;
    for (size_t at = 0; at < sql.len;) {
        const char c = sql.ptr[at];
        if (opens_quotes(c)) {
            at = past_quotes(sql, at);
            continue;
        }
        depth += c == '(' ? 1 : 0;
        if (c == ')' && depth > 0 && --depth == 0)
            return at + 1;
        at++;
    }
    return SIZE_MAX;
}

struct tears_str t3_l3_lite_condition(struct tears_str index_sql)
{
    static const char where[] = "WHERE";
    const size_t end = past_brackets(index_sql);
    if (end == SIZE_MAX)
        return TEARS_STR("");
    const struct tears_str rest = t3_str_trim(t3_str_from(index_sql, end), T3_BLANKS);
    if (rest.len <= strlen(where) ||
        !t3_str_equal_nocase(tears_str_n(rest.ptr, strlen(where)), TEARS_STR("WHERE")))
        return TEARS_STR("");
    return t3_str_trim(t3_str_from(rest, strlen(where)), T3_BLANKS);
}

static tears_status put_constraint(const struct t3_lite_constraint *constraint, struct t3_buf *out)
{
    T3_TRY(t3_buf_printf(out, "\" %s (", constraint->kind));
    for (size_t i = 0; i < constraint->column_count; i++) {
        T3_TRY(t3_buf_put(out, i > 0 ? TEARS_STR(", \"") : TEARS_STR("\"")));
        for (size_t k = 0; k < constraint->columns[i].len; k++) {
            if (constraint->columns[i].ptr[k] == '"')
                T3_TRY(t3_buf_put_char(out, '"'));
            T3_TRY(t3_buf_put_char(out, constraint->columns[i].ptr[k]));
        }
        T3_TRY(t3_buf_put_char(out, '"'));
    }
    return t3_buf_put_char(out, ')');
}

/* The name whose closing quote is at `end`, when CONSTRAINT stands before it. */
static struct tears_str name_before(struct tears_str sql, size_t end)
{
    static const char word[] = "CONSTRAINT ";
    size_t at = end;
    while (at > 0 && (sql.ptr[at - 1] != '"' || (at > 1 && sql.ptr[at - 2] == '"')))
        at -= at > 1 && sql.ptr[at - 1] == '"' ? 2 : 1; /* a doubled quote is part of the name */
    if (at < strlen(word) + 1)
        return TEARS_STR("");
    const struct tears_str before = tears_str_n(sql.ptr + at - 1 - strlen(word), strlen(word));
    return t3_str_is(before, word) ? tears_str_n(sql.ptr + at, end - at) : TEARS_STR("");
}

/* The name with its doubled quotes made single. */
static tears_status keep_name(struct tears_str quoted, struct t3_arena *arena,
                              struct tears_str *name_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf name = {0};
    for (size_t i = 0; i < quoted.len; i++) {
        T3_TRY(t3_buf_put_char(&name, quoted.ptr[i]));
        if (quoted.ptr[i] == '"')
            i++;
    }
    return t3_arena_str(arena, t3_buf_str(&name), name_out);
}

tears_status t3_l3_lite_constraint_name(struct tears_str table_sql,
                                        const struct t3_lite_constraint *constraint,
                                        struct t3_arena *arena, struct tears_str *name_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf wanted = {0};
    *name_out = TEARS_STR("");
    T3_TRY(put_constraint(constraint, &wanted));
    for (size_t i = 0; i + wanted.len <= table_sql.len; i++)
        if (memcmp(table_sql.ptr + i, wanted.ptr, wanted.len) == 0)
            return keep_name(name_before(table_sql, i), arena, name_out);
    return TEARS_OK;
}
