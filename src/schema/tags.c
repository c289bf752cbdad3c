/*
 * tags.c -- command tags, statement kinds, redacted connection strings.
 *
 * Owns:     nothing.
 * Knows:    base/, codec/text.h.
 * Must not know: libpq.
 * Threads:  any.
 * Fails:    TEARS_NO_MEMORY.
 * Begin at: t3_dsn_put_redacted().
 */
#include "schema/tags.h"

#include "base/str.h"
#include "codec/text.h"

#include <math.h>

#define POOL_LIFETIME_SECONDS 300.0
#define UNPARSEABLE           "<unparseable>"

static const char *const operation_names[] = {
    [T3_OPERATION_SELECT] = "select", [T3_OPERATION_INSERT] = "insert",
    [T3_OPERATION_UPSERT] = "upsert", [T3_OPERATION_UPDATE] = "update",
    [T3_OPERATION_DELETE] = "delete",
};

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct tears_str trim(struct tears_str text)
{
    while (text.len > 0 && is_blank(text.ptr[0]))
        text = t3_str_from(text, 1);
    while (text.len > 0 && is_blank(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

/* ---- tags -------------------------------------------------------------------------------------
 */

int64_t t3_tag_row_count(struct tears_str tag)
{
    tag = trim(tag);
    size_t at = tag.len;
    while (at > 0 && !is_blank(tag.ptr[at - 1]))
        at--;
    int64_t count = 0;
    return t3_int_parse(t3_str_from(tag, at), &count) == TEARS_OK ? count : 0;
}

tears_status t3_tag_put(struct t3_buf *out, enum t3_operation operation, int64_t row_count)
{
    static const char *const words[] = {
        [T3_OPERATION_SELECT] = "SELECT",   [T3_OPERATION_INSERT] = "INSERT 0",
        [T3_OPERATION_UPSERT] = "INSERT 0", [T3_OPERATION_UPDATE] = "UPDATE",
        [T3_OPERATION_DELETE] = "DELETE",
    };
    return t3_buf_printf(out, "%s %lld", words[operation], (long long)row_count);
}

static bool starts_nocase(struct tears_str text, const char *word)
{
    const size_t len = strlen(word);
    return text.len >= len &&
           t3_str_equal_nocase(tears_str_n(text.ptr, len), tears_str_n(word, len));
}

static bool contains_nocase(struct tears_str text, const char *words)
{
    for (size_t i = 0; i < text.len; i++)
        if (starts_nocase(t3_str_from(text, i), words))
            return true;
    return false;
}

enum t3_operation t3_operation_of(struct tears_str sql)
{
    sql = trim(sql);
    if (starts_nocase(sql, "INSERT"))
        return contains_nocase(sql, "ON CONFLICT") ? T3_OPERATION_UPSERT : T3_OPERATION_INSERT;
    if (starts_nocase(sql, "UPDATE"))
        return T3_OPERATION_UPDATE;
    if (starts_nocase(sql, "DELETE"))
        return T3_OPERATION_DELETE;
    return T3_OPERATION_SELECT;
}

const char *t3_operation_name(enum t3_operation operation)
{
    return operation_names[operation];
}

tears_status t3_operation_find(struct tears_str name, enum t3_operation *operation_out)
{
    for (unsigned i = 0; i < T3_COUNT(operation_names); i++) {
        if (t3_str_is(name, operation_names[i])) {
            *operation_out = (enum t3_operation)i;
            return TEARS_OK;
        }
    }
    return TEARS_NOT_FOUND;
}

/* ---- connection strings -----------------------------------------------------------------------
 */

static size_t find_any(struct tears_str text, const char *characters)
{
    size_t at = 0;
    while (at < text.len && (text.ptr[at] == '\0' || strchr(characters, text.ptr[at]) == NULL))
        at++;
    return at;
}

static size_t find_last(struct tears_str text, char c)
{
    for (size_t at = text.len; at > 0; at--)
        if (text.ptr[at - 1] == c)
            return at - 1;
    return text.len;
}

static bool is_port(struct tears_str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
    return text.len > 0 && text.len <= 5;
}

/* One `host`, `host:port`, `[v6]` or `[v6]:port`.  Anything else may be part of a password. */
static bool is_host(struct tears_str text)
{
    size_t end = find_any(text, ":");
    if (text.len > 0 && text.ptr[0] == '[') {
        const size_t bracket = find_any(text, "]");
        if (bracket == text.len)
            return false;
        end = bracket + 1;
    }
    if (end == 0)
        return false;
    if (end == text.len)
        return true;
    return text.ptr[end] == ':' && is_port(t3_str_from(text, end + 1));
}

static bool are_hosts(struct tears_str text)
{
    for (;;) {
        const size_t comma = find_any(text, ",");
        if (!is_host(tears_str_n(text.ptr, comma)))
            return false;
        if (comma == text.len)
            return true;
        text = t3_str_from(text, comma + 1);
    }
}

/* The parts of a URL that may be shown; false when they cannot be told apart for sure. */
static bool split(struct tears_str dsn, struct tears_str *user, struct tears_str *hosts,
                  struct tears_str *database)
{
    size_t at = 0;
    while (at + 3 <= dsn.len && memcmp(dsn.ptr + at, "://", 3) != 0)
        at++;
    if (at == 0 || at + 3 > dsn.len)
        return false;
    const struct tears_str rest = t3_str_from(dsn, at + 3);
    const size_t authority_len = find_any(rest, "/?#");
    const struct tears_str authority = tears_str_n(rest.ptr, authority_len);
    const struct tears_str path = t3_str_from(rest, authority_len);
    if (find_last(path, '@') < path.len) /* the password may contain what looks like its end */
        return false;
    const size_t sign = find_last(authority, '@');
    *user = tears_str_n(authority.ptr, 0);
    *hosts = authority;
    if (sign < authority.len) {
        const struct tears_str login = tears_str_n(authority.ptr, sign);
        *user = tears_str_n(login.ptr, find_any(login, ":"));
        *hosts = t3_str_from(authority, sign + 1);
    }
    *database = tears_str_n(path.ptr, 0);
    if (path.len > 0 && path.ptr[0] == '/') {
        const struct tears_str name = t3_str_from(path, 1);
        *database = tears_str_n(name.ptr, find_any(name, "?#"));
    }
    return are_hosts(*hosts);
}

tears_status t3_dsn_put_redacted(struct t3_buf *out, struct tears_str dsn)
{
    struct tears_str user;
    struct tears_str hosts;
    struct tears_str database;
    if (!split(dsn, &user, &hosts, &database))
        return t3_buf_put(out, TEARS_STR(UNPARSEABLE));
    T3_TRY(t3_buf_put(out, user));
    T3_TRY(t3_buf_put(out, user.len > 0 ? TEARS_STR("@") : TEARS_STR("")));
    T3_TRY(t3_buf_put(out, hosts));
    T3_TRY(t3_buf_put(out, database.len > 0 ? TEARS_STR("/") : TEARS_STR("")));
    return t3_buf_put(out, database);
}

double t3_pool_lifetime_seconds(struct tears_str text)
{
    double seconds = 0;
    if (t3_double_parse(trim(text), &seconds) != TEARS_OK || !isfinite(seconds) || seconds <= 0)
        return POOL_LIFETIME_SECONDS;
    return seconds;
}
