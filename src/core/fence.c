/*
 * fence.c -- the table that refuses old tokens.
 *
 * Owns:     the SQL of `tears_fences`.
 * Knows:    that an upsert locks the row in PostgreSQL, and that SQLite has one writer.
 * Must not know: leases; it goes through the public functions of the session only.
 * Threads:  the session's.
 * Fails:    TEARS_DENIED when a larger token was here.
 * Begin at: tears_fence_check().
 */
#include "base/fail.h"
#include "base/str.h"
#include "core/core.h"

#include <tears/fence.h>

static const char origin[] = "fence";

enum { NAME_BYTES_MAX = 512 };

tears_status tears_fence_install(tears_session *session)
{
    return tears_execute(session,
                         TEARS_STR("CREATE TABLE IF NOT EXISTS tears_fences "
                                   "(name TEXT PRIMARY KEY, token BIGINT NOT NULL)"),
                         NULL, 0, NULL);
}

static tears_status check_fence(struct tears_session *session, struct tears_str name,
                                uint64_t token)
{
    if (name.len > 0 && name.len <= NAME_BYTES_MAX && t3_str_is_utf8(name) && token > 0 &&
        token <= INT64_MAX)
        return TEARS_OK;
    return t3_fail(&session->error, TEARS_INVALID, origin,
                   "'" T3_STR_FMT "' with this token is no fence", T3_STR_ARG(name));
}

tears_status tears_fence_check(tears_session *session, struct tears_str name, uint64_t token)
{
    uint64_t rows = 0;
    const struct tears_value params[] = {tears_text(name), tears_int((int64_t)token)};
    if (session->tx == NULL)
        return t3_fail(&session->error, TEARS_MISUSE, origin,
                       "a fence holds for a transaction; none is open");
    T3_TRY(check_fence(session, name, token));
    T3_TRY(tears_execute(session,
                         TEARS_STR("INSERT INTO tears_fences (name, token) VALUES ($1, $2) "
                                   "ON CONFLICT (name) DO UPDATE SET token = excluded.token "
                                   "WHERE tears_fences.token <= excluded.token"),
                         params, T3_COUNT(params), &rows));
    if (rows > 0)
        return TEARS_OK;
    return t3_fail(&session->error, TEARS_DENIED, origin,
                   "fenced off: somebody with a larger token was at '" T3_STR_FMT "'",
                   T3_STR_ARG(name));
}

static tears_status execute_in_own(tears_session *session, const struct tears_fence *fence,
                                   struct tears_str sql, const struct tears_value *params,
                                   size_t param_count, uint64_t *rows_out);

tears_status tears_fence_execute(tears_session *session, const struct tears_fence *fence,
                                 struct tears_str sql, const struct tears_value *params,
                                 size_t param_count, uint64_t *rows_out)
{
    if (session->tx == NULL)
        return execute_in_own(session, fence, sql, params, param_count, rows_out);
    T3_TRY(tears_fence_check(session, fence->name, fence->token));
    return tears_execute(session, sql, params, param_count, rows_out);
}

/* In a transaction of its own; the error is that of the statement, not of the rollback. */
static tears_status execute_in_own(tears_session *session, const struct tears_fence *fence,
                                   struct tears_str sql, const struct tears_value *params,
                                   size_t param_count, uint64_t *rows_out)
{
    uint64_t rows = 0;
    T3_TRY(tears_begin(session));
    const tears_status status =
        tears_fence_execute(session, fence, sql, params, param_count, &rows);
    if (status != TEARS_OK) {
        const struct tears_error error = session->error;
        (void)!tears_rollback(session);
        session->error = error;
        return status;
    }
    T3_TRY(tears_commit(session));
    if (rows_out != NULL)
        *rows_out = rows;
    return TEARS_OK;
}

tears_status tears_fence_read(tears_session *session, struct tears_str name, uint64_t *token_out)
{
    tears_cursor *cursor = NULL;
    const struct tears_field *fields = NULL;
    size_t count = 0;
    const struct tears_value param = tears_text(name);
    T3_TRY(tears_query(session, TEARS_STR("SELECT token FROM tears_fences WHERE name = $1"), &param,
                       1, &cursor));
    const tears_status status = tears_cursor_next(cursor, &fields, &count);
    if (status != TEARS_OK && status != TEARS_DONE)
        return status;
    const int64_t token = status == TEARS_OK && fields[0].value.kind == TEARS_KIND_INT
                              ? fields[0].value.as.integer
                              : 0;
    tears_cursor_free(cursor);
    *token_out = token > 0 ? (uint64_t)token : 0;
    return TEARS_OK;
}
