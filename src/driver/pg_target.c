/*
 * pg_target.c -- a connection string, taken apart once.
 *
 * Owns:     the parsed options.
 * Must not know: connections, pools.
 * Threads:  any, after it is made.
 * Fails:    TEARS_INVALID when libpq cannot understand it; TEARS_NO_MEMORY.
 * Begin at: t3_pg_target_init().
 *
 * Every option of libpq passes through (TLS, several hosts, service files ...).  Two are ours: the
 * client encoding is always UTF8, because text of the library is; and the fallback name of the
 * application.
 */
#include "base/alloc.h"
#include "driver/pg_impl.h"

#include "base/str.h"

static tears_status url_refused(struct tears_error *error_out, const char *message)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    const struct tears_str reason = tears_str_c(message);
    if (t3_pg_redact(&text, reason, TEARS_STR(""), true) != TEARS_OK || text.ptr == NULL)
        return t3_fail(error_out, TEARS_INVALID, T3_PG_ORIGIN,
                       "the connection string cannot be understood");
    return t3_fail(error_out, TEARS_INVALID, T3_PG_ORIGIN,
                   "the connection string cannot be understood: %s", text.ptr);
}

static tears_status parse(struct t3_pg_target *target, const char *url,
                          struct tears_error *error_out)
{
    char *message = NULL;
    target->options = PQconninfoParse(url, &message);
    if (target->options != NULL)
        return TEARS_OK;
    if (message == NULL)
        return t3_fail_memory(error_out, T3_PG_ORIGIN);
    const tears_status status = url_refused(error_out, message);
    PQfreemem(message);
    return status;
}

static bool is_ours(const char *keyword)
{
    return strcmp(keyword, "client_encoding") == 0 ||
           strcmp(keyword, "fallback_application_name") == 0;
}

static size_t option_count(const PQconninfoOption *options)
{
    size_t count = 0;
    while (options[count].keyword != NULL)
        count++;
    return count;
}

static tears_status collect(struct t3_pg_target *target, struct tears_error *error_out)
{
    const size_t room = option_count(target->options) + 3;
    target->keywords = t3_alloc_zero(room, sizeof *target->keywords);
    target->values = t3_alloc_zero(room, sizeof *target->values);
    if (target->keywords == NULL || target->values == NULL)
        return t3_fail_memory(error_out, T3_PG_ORIGIN);
    size_t count = 0;
    for (const PQconninfoOption *option = target->options; option->keyword != NULL; option++) {
        if (option->val == NULL || is_ours(option->keyword))
            continue;
        target->keywords[count] = option->keyword;
        target->values[count++] = option->val;
        if (strcmp(option->keyword, "password") == 0)
            target->secret = tears_str_c(option->val);
    }
    target->keywords[count] = "client_encoding";
    target->values[count++] = "UTF8";
    target->keywords[count] = "fallback_application_name";
    target->values[count] = "tears";
    return TEARS_OK;
}

tears_status t3_pg_target_init(struct t3_pg_target *target, struct tears_str url,
                               struct tears_error *error_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    if (memchr(url.len > 0 ? url.ptr : "", '\0', url.len) != NULL)
        return t3_fail(error_out, TEARS_INVALID, T3_PG_ORIGIN,
                       "the connection string contains a NUL byte");
    if (t3_buf_put(&text, url) != TEARS_OK)
        return t3_fail_memory(error_out, T3_PG_ORIGIN);
    T3_TRY(parse(target, text.ptr != NULL ? text.ptr : "", error_out));
    return collect(target, error_out);
}

void t3_pg_target_done(struct t3_pg_target *target)
{
    if (target->options != NULL)
        PQconninfoFree(target->options);
    t3_free(target->keywords);
    t3_free(target->values);
    memset(target, 0, sizeof *target);
}
