/*
 * lite_own.c -- a connection beside the pool, to its database or to a file next to it.
 *
 * Owns:     nothing; the connection is its caller's.
 * Must not know: what it is for.
 * Threads:  any; the connection one at a time.
 * Fails:    as lite.h says.
 * Begin at: t3_lite_connect().
 */
#include "base/buf.h"
#include "base/fail.h"
#include "driver/lite_impl.h"

#include <errno.h>
#include <unistd.h>

static tears_status look(const struct t3_lite *lite, const char *path,
                         struct tears_error *error_out)
{
    if (access(path, F_OK) == 0)
        return TEARS_OK;
    if (errno == ENOENT)
        return t3_fail(error_out, TEARS_NOT_FOUND, lite->origin, "%s: there is no such file", path);
    return t3_fail_detail(error_out, TEARS_UNAVAILABLE, lite->origin, errno, "",
                          "%s: the file cannot be looked at", path);
}

static tears_status open_path(const struct t3_lite *lite, const struct t3_lite_own *own,
                              struct t3_lite_conn **conn_out, struct tears_error *error_out)
{
    if (!own->create)
        T3_TRY(look(lite, own->path, error_out));
    T3_AUTO(t3_buf_done) struct t3_buf uri = {0};
    /* SQLite gives names that begin with "file:" or ":" a meaning of their own. */
    if (t3_buf_printf(&uri, "%s%s", own->path[0] == '/' ? "" : "./", own->path) != TEARS_OK)
        return t3_fail_memory(error_out, lite->origin);
    const struct t3_lite_conn_options options = {
        .origin = lite->origin, .path = own->path, .uri = uri.ptr, .deadline = own->deadline};
    struct t3_lite_conn *conn = NULL;
    T3_TRY(t3_lite_conn_open(&options, &conn, error_out));
    tears_status status = t3_lite_use_wal(conn, error_out);
    if (status == TEARS_OK)
        status = t3_lite_exec(conn, "PRAGMA journal_size_limit=67108864", error_out);
    if (status != TEARS_OK) {
        t3_lite_conn_free(conn);
        return status;
    }
    *conn_out = conn;
    return TEARS_OK;
}

tears_status t3_lite_connect(const struct t3_lite *lite, const struct t3_lite_own *own,
                             struct t3_lite_conn **conn_out, struct tears_error *error_out)
{
    if (own->path != NULL)
        return open_path(lite, own, conn_out, error_out);
    const struct t3_lite_conn_options options = {.origin = lite->origin,
                                                 .path = lite->path,
                                                 .uri = lite->uri,
                                                 .read_only = lite->read_only,
                                                 .deadline = own->deadline};
    return t3_lite_conn_open(&options, conn_out, error_out);
}

bool t3_lite_is_in_memory(const struct t3_lite *lite)
{
    return lite->in_memory;
}

int t3_lite_error_offset(const struct t3_lite_conn *conn)
{
    return sqlite3_error_offset(conn->handle);
}
