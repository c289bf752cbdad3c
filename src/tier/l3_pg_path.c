/*
 * l3_pg_path.c -- the search_path of one call, on connections that all calls share.
 *
 * Owns:     the mark of a connection: whether its search_path is somebody's.
 * Must not know: owners of schemas.
 * Threads:  as the call.
 * Fails:    TEARS_INVALID (there is no such schema), else as a statement does.
 * Begin at: t3_pg_settle_path().
 *
 * A statement that has a path of its own sets it each time anew, for the one before it may have changed it, and looks in the
 * same round trip whether the schema is there: PostgreSQL passes over schemas that do not exist, and a table would be made
 * in the next one of the path.  A statement without a path sends nothing, unless the connection is marked.
 *
 * Within a transaction the path is set for that transaction only, and ends with it.
 */
#include "tier/l3_pg_impl.h"

enum { PATH_IS_DEFAULT = 0, PATH_IS_SOMEBODYS = 1 };

static tears_status run(struct t3_pg_work *work, const char *sql, const struct t3_pg_params *params)
{
    struct t3_pg_result *result = NULL;
    T3_TRY(t3_pg_query(work->conn, &work->pg, sql, params, &result));
    t3_pg_result_free(result);
    return TEARS_OK;
}

static tears_status set_path(struct t3_pg_work *work)
{
    const struct t3_l3_path *path = work->call->path;
    const bool is_local = work->call->tx != NULL;
    const struct tears_value values[] = {tears_text(path->search_path), tears_text(path->schema)};
    struct t3_pg_params params;
    tears_status status = t3_pg_params_init(&params, work->call->arena, T3_COUNT(values));
    for (size_t i = 0; i < T3_COUNT(values) && status == TEARS_OK; i++)
        status = t3_pg_put_text(&params, &values[i]);
    if (status != TEARS_OK)
        return t3_fail(work->call->error, status, T3_PG_ORIGIN, "the search_path cannot be set: %s",
                       tears_status_text(status));
    t3_pg_conn_set_mark(work->conn, PATH_IS_SOMEBODYS); /* also when the answer is lost */
    if (is_local)
        work->call->tx->had_path = true;
    return run(work,
               is_local
                   ? "SELECT pg_catalog.set_config('search_path', $1, true), $2::regnamespace"
                   : "SELECT pg_catalog.set_config('search_path', $1, false), $2::regnamespace",
               &params);
}

static tears_status reset_path(struct t3_pg_work *work)
{
    T3_TRY(run(work,
               work->call->tx != NULL ? "SET LOCAL search_path TO DEFAULT"
                                      : "SET search_path TO DEFAULT",
               NULL));
    t3_pg_conn_set_mark(work->conn, PATH_IS_DEFAULT);
    return TEARS_OK;
}

tears_status t3_pg_settle_path(struct t3_pg_work *work)
{
    if (work->call->path != NULL)
        T3_TRY(set_path(work));
    else if (t3_pg_conn_mark(work->conn) != PATH_IS_DEFAULT)
        T3_TRY(reset_path(work));
    work->pg.sent = false; /* of the statement itself nothing was sent so far */
    return TEARS_OK;
}

void t3_pg_doubt_path(struct t3_pg_work *work)
{
    if (work->conn != NULL && work->call->tx != NULL && work->call->tx->had_path)
        t3_pg_conn_set_mark(work->conn, PATH_IS_SOMEBODYS);
}

void t3_pg_forget_path(struct t3_l3_tx *tx)
{
    if (tx->had_path)
        t3_pg_conn_set_mark(tx->conn, PATH_IS_DEFAULT);
}
