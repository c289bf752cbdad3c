/*
 * nats_url.c -- checks and splits a list of NATS URLs.
 *
 * Owns:     nothing.
 * Must not know: the NATS library.
 * Threads:  any.
 * Fails:    TEARS_INVALID for text that names no server; a password never gets into a message.
 * Begin at: t3_nats_urls_parse().
 */
#include "driver/nats_url.h"

#include "base/fail.h"
#include "base/str.h"

#include <string.h>

static const char origin[] = "l2.url";

struct url_parts {
    struct tears_str scheme; /* "" none */
    struct tears_str user;   /* "" none; with its password */
    struct tears_str host;   /* with port */
};

static const char blanks[] = " \t";

/* Takes the part up to the next comma off the front of the list. */
static struct tears_str next_url(struct tears_str *list)
{
    const char *comma = list->len > 0 ? memchr(list->ptr, ',', list->len) : NULL;
    const size_t len = comma != NULL ? (size_t)(comma - list->ptr) : list->len;
    const struct tears_str url = tears_str_n(list->ptr, len);
    *list = t3_str_from(*list, comma != NULL ? len + 1 : len);
    return t3_str_trim(url, blanks);
}

static struct url_parts split(struct tears_str url)
{
    struct url_parts parts = {0};
    const char *scheme_end = url.len > 0 ? memmem(url.ptr, url.len, "://", 3) : NULL;
    if (scheme_end != NULL) {
        parts.scheme = tears_str_n(url.ptr, (size_t)(scheme_end - url.ptr));
        url = t3_str_from(url, parts.scheme.len + 3);
    }
    const char *at = url.len > 0 ? memrchr(url.ptr, '@', url.len) : NULL;
    if (at != NULL) {
        parts.user = tears_str_n(url.ptr, (size_t)(at - url.ptr));
        url = t3_str_from(url, parts.user.len + 1);
    }
    parts.host = url;
    return parts;
}

static bool scheme_is_secure(struct tears_str scheme)
{
    return t3_str_equal_nocase(scheme, TEARS_STR("tls"));
}

/* A port, when there is one, is 1 to 65535; brackets of IPv6 addresses may hold colons. */
static bool port_is_good(struct tears_str host)
{
    const char *bracket = memrchr(host.ptr, ']', host.len);
    const size_t after = bracket != NULL ? (size_t)(bracket - host.ptr) + 1 : 0;
    const char *colon = memrchr(host.ptr + after, ':', host.len - after);
    if (colon == NULL)
        return true;
    const char *end = host.ptr + host.len;
    uint32_t port = 0;
    for (const char *digit = colon + 1; digit < end; digit++) {
        if (*digit < '0' || *digit > '9' || port > 65535)
            return false;
        port = port * 10 + (uint32_t)(*digit - '0');
    }
    return colon + 1 < end && port >= 1 && port <= 65535;
}

static bool host_is_good(struct tears_str host)
{
    for (size_t i = 0; i < host.len; i++) {
        const unsigned char c = (unsigned char)host.ptr[i];
        if (c <= ' ' || c == 0x7f)
            return false;
    }
    return host.len > 0 && host.ptr[0] != ':' && port_is_good(host);
}

static tears_status check(const struct url_parts *parts, struct tears_error *error_out)
{
    if (parts->scheme.len > 0 && !scheme_is_secure(parts->scheme) &&
        !t3_str_equal_nocase(parts->scheme, TEARS_STR("nats")))
        return t3_fail(error_out, TEARS_INVALID, origin,
                       "URL scheme '" T3_STR_FMT "' is not supported; use nats:// or tls://",
                       T3_STR_ARG(parts->scheme));
    if (!host_is_good(parts->host))
        return t3_fail(error_out, TEARS_INVALID, origin,
                       "'" T3_STR_FMT "' is not HOST or HOST:PORT of a NATS URL",
                       T3_STR_ARG(parts->host));
    return TEARS_OK;
}

tears_status t3_nats_urls_parse(struct tears_str text, struct t3_arena *arena,
                                struct t3_nats_urls *urls_out, struct tears_error *error_out)
{
    struct t3_nats_urls urls = {0};
    do {
        struct tears_str url = next_url(&text);
        const struct url_parts parts = split(url);
        T3_TRY(check(&parts, error_out));
        if (urls.count == T3_NATS_URLS_MAX)
            return t3_fail(error_out, TEARS_INVALID, origin, "more than %d NATS URLs",
                           T3_NATS_URLS_MAX);
        struct tears_str copy;
        if (t3_arena_str(arena, url, &copy) != TEARS_OK)
            return t3_fail_memory(error_out, origin);
        urls.items[urls.count++] = copy.ptr;
        urls.secure = urls.secure || scheme_is_secure(parts.scheme);
    } while (text.len > 0);
    *urls_out = urls;
    return TEARS_OK;
}

tears_status t3_nats_urls_put_redacted(struct tears_str text, struct t3_buf *out)
{
    bool first = true;
    do {
        const struct url_parts parts = split(next_url(&text));
        if (!first)
            T3_TRY(t3_buf_put_char(out, ','));
        first = false;
        if (parts.scheme.len > 0) {
            T3_TRY(t3_buf_put(out, parts.scheme));
            T3_TRY(t3_buf_put(out, TEARS_STR("://")));
        }
        if (parts.user.len > 0)
            T3_TRY(t3_buf_put(out, TEARS_STR("***@")));
        T3_TRY(t3_buf_put(out, parts.host));
    } while (text.len > 0);
    return TEARS_OK;
}

bool t3_nats_url_address(struct tears_str url, struct t3_nats_address *address_out)
{
    struct tears_str host = split(t3_str_trim(url, blanks)).host;
    struct tears_str port = TEARS_STR("4222");
    const char *bracket = host.len > 0 ? memrchr(host.ptr, ']', host.len) : NULL;
    const size_t after = bracket != NULL ? (size_t)(bracket - host.ptr) + 1 : 0;
    const char *colon = host.len > after ? memrchr(host.ptr + after, ':', host.len - after) : NULL;
    if (colon != NULL) {
        port = t3_str_from(host, (size_t)(colon - host.ptr) + 1);
        host.len = (size_t)(colon - host.ptr);
    }
    if (bracket != NULL) { /* the resolver wants an IPv6 address without them */
        host.len = (size_t)(bracket - host.ptr);
        host = t3_str_from(host, 1);
    }
    if (host.len == 0 || host.len >= sizeof address_out->host ||
        port.len >= sizeof address_out->port)
        return false;
    memcpy(address_out->host, host.ptr, host.len);
    address_out->host[host.len] = '\0';
    memcpy(address_out->port, port.ptr, port.len);
    address_out->port[port.len] = '\0';
    return true;
}
