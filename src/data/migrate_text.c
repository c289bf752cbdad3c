/*
 * migrate_text.c -- what a statement is: whether a transaction can hold it, and what its failing a second time may mean.
 *
 * Owns:     nothing.
 * Must not know: connections, packages.
 * Threads:  any.
 * Fails:    TEARS_NO_MEMORY, TEARS_LIMIT.
 * Begin at: t3_step_classify().
 *
 * Only the first words are looked at, as the databases' own grammars allow: those statements that no transaction may hold
 * all say so at their beginning.
 *
 * LIMITATIONS.  A procedure that commits (CALL) is taken for a plain statement; the database refuses it in a transaction,
 * and the version then needs TEARS_MIGRATION_NO_TRANSACTION.
 */
#include "data/migrate_impl.h"

#include "base/hash.h"
#include "base/str.h"

/* A statement's tokens. */
struct words {
    const struct t3_sql_token *items;
    size_t count;
};

static bool is(const struct words *words, size_t at, const char *keyword)
{
    return at < words->count && t3_sql_word_is(&words->items[at], keyword);
}

static bool is_any(const struct words *words, size_t at, const char *const *keywords)
{
    for (; *keywords != NULL; keywords++)
        if (is(words, at, *keywords))
            return true;
    return false;
}

static bool has(const struct words *words, const char *keyword)
{
    for (size_t i = 0; i < words->count; i++)
        if (t3_sql_word_is(&words->items[i], keyword))
            return true;
    return false;
}

/* ---- kinds ---- */

static uint64_t kind_of(const struct words *words)
{
    static const char *const ddl[] = {"CREATE",   "ALTER",  "DROP",    "COMMENT",
                                      "GRANT",    "REVOKE", "REINDEX", "REFRESH",
                                      "SECURITY", "IMPORT", NULL};
    static const char *const dml[] = {"INSERT", "UPDATE", "DELETE",   "MERGE", "REPLACE",
                                      "COPY",   "WITH",   "TRUNCATE", NULL};
    if (is_any(words, 0, ddl))
        return TEARS_STATEMENT_DDL;
    return is_any(words, 0, dml) ? TEARS_STATEMENT_DML : TEARS_STATEMENT_OTHER;
}

static bool is_refused(const struct words *words)
{
    static const char *const refused[] = {"BEGIN",     "START",   "COMMIT",  "END",
                                          "ROLLBACK",  "ABORT",   "ATTACH",  "DETACH",
                                          "SAVEPOINT", "RELEASE", "DISCARD", NULL};
    return is_any(words, 0, refused) || (is(words, 0, "PREPARE") && is(words, 1, "TRANSACTION"));
}

/* SET LOCAL and SET CONSTRAINTS are the transaction's. */
static bool is_setting(const struct words *words)
{
    if (is(words, 0, "SET"))
        return !is(words, 1, "LOCAL") && !is(words, 1, "CONSTRAINTS") &&
               !is(words, 1, "TRANSACTION");
    return is(words, 0, "RESET") || is(words, 0, "PRAGMA");
}

/* ---- transactions ---- */

/* Where the word after CREATE, and UNIQUE, is. */
static size_t after_create(const struct words *words)
{
    return is(words, 1, "UNIQUE") ? 2 : 1;
}

static bool is_concurrent_index(const struct words *words)
{
    const size_t at = after_create(words);
    return is(words, 0, "CREATE") && is(words, at, "INDEX") && is(words, at + 1, "CONCURRENTLY");
}

static bool create_or_drop_is_alone(const struct words *words)
{
    static const char *const things[] = {"DATABASE", "TABLESPACE", "SUBSCRIPTION", NULL};
    return is_any(words, 1, things) || is_concurrent_index(words) ||
           (is(words, 0, "DROP") && is(words, 1, "INDEX") && is(words, 2, "CONCURRENTLY"));
}

static bool alter_is_alone(const struct words *words, uint32_t version)
{
    enum { ENUMS_IN_TRANSACTIONS = 120000 };
    if (is(words, 1, "SYSTEM"))
        return true;
    if (is(words, 1, "TYPE"))
        return version < ENUMS_IN_TRANSACTIONS && has(words, "ADD") && has(words, "VALUE");
    return is(words, 1, "TABLE") && has(words, "DETACH") && has(words, "CONCURRENTLY");
}

static bool is_alone_postgres(const struct words *words, uint32_t version)
{
    if (is(words, 0, "VACUUM"))
        return true;
    if (is(words, 0, "CREATE") || is(words, 0, "DROP"))
        return create_or_drop_is_alone(words);
    if (is(words, 0, "ALTER"))
        return alter_is_alone(words, version);
    if (is(words, 0, "CLUSTER"))
        return words->count == 1;
    return is(words, 0, "REINDEX") && (has(words, "CONCURRENTLY") || is(words, 1, "DATABASE") ||
                                       is(words, 1, "SYSTEM") || is(words, 1, "SCHEMA"));
}

/* Settings that SQLite does not change, or refuses to change, in a transaction. */
static bool is_alone_sqlite(const struct words *words)
{
    static const char *const pragmas[] = {
        "FOREIGN_KEYS", "JOURNAL_MODE",   "SYNCHRONOUS",        "PAGE_SIZE",
        "AUTO_VACUUM",  "WAL_CHECKPOINT", "INCREMENTAL_VACUUM", NULL};
    return is(words, 0, "VACUUM") || (is(words, 0, "PRAGMA") && is_any(words, 1, pragmas));
}

/* ---- names ---- */

/* The name as PostgreSQL's catalogue has it: what is not quoted is in small letters. */
static tears_status folded(struct t3_arena *arena, const struct t3_sql_token *token,
                           struct tears_str *name_out)
{
    if (token->kind == T3_SQL_QUOTED) {
        *name_out = t3_sql_inner(token);
        return TEARS_OK;
    }
    char *copy = t3_arena_alloc(arena, token->text.len + 1);
    if (copy == NULL)
        return TEARS_NO_MEMORY;
    for (size_t i = 0; i < token->text.len; i++) {
        const char c = token->text.ptr[i];
        copy[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    copy[token->text.len] = '\0';
    *name_out = tears_str_n(copy, token->text.len);
    return TEARS_OK;
}

/* CREATE [UNIQUE] INDEX CONCURRENTLY [IF NOT EXISTS] name ON [ONLY] table: an index without a name leaves both empty. */
static tears_status name_index(struct t3_arena *arena, const struct words *words,
                               struct t3_step_text *text)
{
    size_t at = after_create(words) + 2;
    if (is(words, at, "IF"))
        at += 3;
    if (at + 2 >= words->count || is(words, at, "ON") || !is(words, at + 1, "ON"))
        return TEARS_OK;
    T3_TRY(folded(arena, &words->items[at], &text->index));
    at += is(words, at + 2, "ONLY") ? 3 : 2;
    size_t end = at;
    while (end + 2 < words->count && t3_sql_mark_is(&words->items[end + 1], "."))
        end += 2;
    const char *first = words->items[at].text.ptr;
    const struct tears_str last = words->items[end].text;
    text->table = tears_str_n(first, (size_t)(last.ptr + last.len - first));
    return TEARS_OK;
}

tears_status t3_step_classify(struct t3_arena *arena, const struct t3_sql_tokens *tokens,
                              struct t3_sql_range range, const struct t3_admin_facts *facts,
                              struct t3_step_text *text_out)
{
    const struct words words = {tokens->items + range.first, range.end - range.first};
    struct t3_step_text text = {.class = T3_STEP_PLAIN, .kind = kind_of(&words)};
    const bool is_sqlite = facts->dialect == T3_DIALECT_SQLITE;
    text.makes = is(&words, 0, "CREATE") || (is(&words, 0, "ALTER") && has(&words, "ADD"));
    text.removes = is(&words, 0, "DROP") ||
                   (is(&words, 0, "ALTER") && (has(&words, "DROP") || has(&words, "RENAME")));
    if (is_refused(&words))
        text.class = T3_STEP_REFUSED;
    else if (is_sqlite ? is_alone_sqlite(&words) : is_alone_postgres(&words, facts->version))
        text.class = is(&words, 0, "PRAGMA") ? T3_STEP_SETTING : T3_STEP_ALONE;
    else if (is_setting(&words))
        text.class = T3_STEP_SETTING;
    if (!is_sqlite && is_concurrent_index(&words))
        T3_TRY(name_index(arena, &words, &text));
    *text_out = text;
    return TEARS_OK;
}

/* ---- bookkeeping ---- */

/* Whether the text begins with the words, whatever blanks are between them. */
static bool begins(struct tears_str sql, const char *words)
{
    sql = t3_str_trim(sql, T3_BLANKS);
    size_t at = 0;
    for (; *words != '\0'; words++) {
        if (at >= sql.len)
            return false;
        if (*words == ' ') {
            const size_t before = at;
            while (at < sql.len && strchr(T3_BLANKS, sql.ptr[at]) != NULL && sql.ptr[at] != '\0')
                at++;
            if (at == before)
                return false;
            continue;
        }
        const char c = sql.ptr[at++];
        const char upper = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
        if (upper != *words)
            return false;
    }
    return true;
}

bool t3_migrate_is_bookkeeping(struct tears_str sql)
{
    return begins(sql, "CREATE TABLE IF NOT EXISTS _SCHEMA_MIGRATIONS") ||
           begins(sql, "INSERT INTO _SCHEMA_MIGRATIONS") ||
           begins(sql, "DELETE FROM _SCHEMA_MIGRATIONS");
}

/* ---- digests ---- */

static tears_status put_tokens(struct tears_str sql, enum t3_sql_dialect dialect,
                               struct t3_arena *arena, struct t3_buf *out)
{
    struct t3_sql_tokens tokens;
    struct t3_sql_range range;
    T3_TRY(t3_sql_scan(arena, sql, dialect, &tokens));
    for (size_t at = 0; t3_sql_next(&tokens, &at, &range);) {
        for (size_t i = range.first; i < range.end; i++) {
            T3_TRY(t3_buf_put(out, tokens.items[i].text));
            T3_TRY(t3_buf_put_char(out, '\0'));
        }
        T3_TRY(t3_buf_put_char(out, ';'));
    }
    return TEARS_OK;
}

tears_status t3_migrate_digest(struct tears_str sql, enum t3_sql_dialect dialect,
                               char digest_out[T3_MIGRATE_DIGEST_BYTES])
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    T3_TRY(put_tokens(sql, dialect, &arena, &text));
    t3_sha256_hex(t3_buf_str(&text), digest_out);
    return TEARS_OK;
}
