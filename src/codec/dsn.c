/*
 * dsn.c -- what may be shown of a connection string, and pool settings of the environment.
 *
 * Owns:     nothing.
 * Knows:    base/, codec/text.h.
 * Must not know: libpq.
 * Threads:  any.
 * Fails:    never: what is not understood for sure is not shown.
 * Begin at: tears_dsn_redact().
 *
 * Why so little is understood: a message or a log line with half a password in it is worse than one
 * without the name of the host.  Wherever two readers could disagree about the end of the password, there
 * is doubt, and nothing is shown.
 */
#include <tears/dsn.h>

#include "base/str.h"
#include "codec/text.h"

#include <math.h>

#define IDLE_SECONDS     300.0
#define IDLE_SECONDS_MAX (365.0 * 86400)

static const char unparseable[] = "<unparseable>";

/* ---- connection strings ------------------------------------------------------------------------ */

/* What is shown of a URL. */
struct shown {
    struct tears_str user;
    struct tears_str hosts;
    struct tears_str database;
};

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

/* A name that can hold nothing else: printable, without a sign that some reader takes for its end. */
static bool is_name(struct tears_str text)
{
    static const char signs[] = "-_.~%+$";
    for (size_t i = 0; i < text.len; i++) {
        const unsigned char c = (unsigned char)text.ptr[i];
        const bool is_word =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_word && memchr(signs, c, sizeof signs - 1) == NULL)
            return false;
    }
    return true;
}

/* What stands in the brackets of an IPv6 address, with a zone. */
static bool is_address(struct tears_str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] != ':' && !is_name(tears_str_n(text.ptr + i, 1)))
            return false;
    return text.len > 0;
}

/* One `host`, `host:port`, `[v6]` or `[v6]:port`.  Anything else may be part of a password. */
static bool is_host(struct tears_str text)
{
    size_t end = find_any(text, ":");
    if (text.len > 0 && text.ptr[0] == '[') {
        end = find_any(text, "]");
        if (end == text.len || !is_address(tears_str_n(text.ptr + 1, end - 1)))
            return false;
        end++;
    } else if (end == 0 || !is_name(tears_str_n(text.ptr, end))) {
        return false;
    }
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

/* False when the parts cannot be told apart for sure. */
static bool split(struct tears_str dsn, struct shown *shown)
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
    shown->user = tears_str_n(authority.ptr, 0);
    shown->hosts = authority;
    if (sign < authority.len) {
        const struct tears_str login = tears_str_n(authority.ptr, sign);
        shown->user = tears_str_n(login.ptr, find_any(login, ":"));
        shown->hosts = t3_str_from(authority, sign + 1);
    }
    shown->database = tears_str_n(path.ptr, 0);
    if (path.len > 0 && path.ptr[0] == '/') {
        const struct tears_str name = t3_str_from(path, 1);
        shown->database = tears_str_n(name.ptr, find_any(name, "?#"));
    }
    return are_hosts(shown->hosts) && is_name(shown->user) && is_name(shown->database);
}

/* The parts, one behind the other; false when there is no room. */
static bool write_shown(const struct shown *shown, char out[TEARS_DSN_SHOWN_BYTES])
{
    const struct tears_str parts[] = {
        shown->user,     shown->user.len > 0 ? TEARS_STR("@") : TEARS_STR(""),
        shown->hosts,    shown->database.len > 0 ? TEARS_STR("/") : TEARS_STR(""),
        shown->database,
    };
    size_t len = 0;
    for (size_t i = 0; i < T3_COUNT(parts); i++) {
        if (parts[i].len >= TEARS_DSN_SHOWN_BYTES - len)
            return false;
        if (parts[i].len > 0)
            memcpy(out + len, parts[i].ptr, parts[i].len);
        len += parts[i].len;
    }
    out[len] = '\0';
    return true;
}

void tears_dsn_redact(struct tears_str dsn, char shown_out[TEARS_DSN_SHOWN_BYTES])
{
    struct shown shown;
    if (!split(dsn, &shown) || !write_shown(&shown, shown_out))
        memcpy(shown_out, unparseable, sizeof unparseable);
}

/* ---- pools ------------------------------------------------------------------------------------- */

uint64_t tears_pool_idle_ms(struct tears_str seconds, bool *usable_out)
{
    const struct tears_str text = t3_str_trim(seconds, T3_BLANKS);
    double number = IDLE_SECONDS;
    bool is_usable = text.len == 0 || t3_double_parse(text, &number) == TEARS_OK;
    is_usable = is_usable && isfinite(number) && number > 0 && number <= IDLE_SECONDS_MAX;
    if (usable_out != NULL)
        *usable_out = is_usable;
    /* at least one: 0 means "the default" wherever such a number goes */
    return is_usable ? (uint64_t)fmax(1, number * 1000) : (uint64_t)(IDLE_SECONDS * 1000);
}
