/*
 * l3_pg.c -- the durable tier on PostgreSQL: opening, connections for calls, transactions.
 *
 * Owns:     the pool and the plans.
 * Must not know: libpq (driver/pg), caches, sessions.
 * Threads:  any; a transaction by one at a time.
 * Fails:    as tier/l3.h says.
 * Begin at: t3_l3_pg_open(); the operations are in l3_pg_read.c, l3_pg_write.c, l3_pg_catalogue.c.
 *
 * An error inside a transaction of the caller leaves that transaction unusable until it is rolled
 * back: that is how PostgreSQL works, and savepoints around every call would cost each of them two
 * round trips.
 */
#include "base/alloc.h"
#include "tier/l3_pg_impl.h"

#include "base/str.h"

#include <tears/client.h>

enum { ROLLBACK_MS_MAX = 2000 };

static struct t3_l3_pg *of(struct t3_l3 *l3)
{
    return (struct t3_l3_pg *)(void *)l3; /* `base` is the first member */
}

/* ---- work -------------------------------------------------------------------------------------
 */

tears_status t3_pg_work_begin(struct t3_l3 *l3, struct t3_l3_call *call,
                              const struct tears_schema *schema, struct t3_pg_work *work)
{
    memset(work, 0, sizeof *work);
    work->l3 = of(l3);
    work->call = call;
    work->schema = schema;
    work->pg.deadline = call->deadline;
    work->pg.error = call->error;
    call->outcome_unknown = false;
    if (call->tx == NULL) {
        T3_TRY(t3_pg_acquire(work->l3->pool, &work->pg, &work->conn));
        return t3_pg_settle_path(work);
    }
    if (!t3_pg_conn_is_alive(call->tx->conn))
        return t3_fail(call->error, TEARS_UNAVAILABLE, T3_PG_ORIGIN,
                       "the transaction was lost with its connection");
    work->conn = call->tx->conn;
    return t3_pg_settle_path(work);
}

static bool is_lost(tears_status status)
{
    return status == TEARS_UNAVAILABLE || status == TEARS_TIMEOUT;
}

void t3_pg_work_end(struct t3_pg_work *work, tears_status status, bool writes)
{
    if (work->conn == NULL)
        return;
    const bool own = work->call->tx == NULL;
    if (writes && own && is_lost(status) && work->pg.sent && !t3_pg_conn_is_alive(work->conn))
        work->call->outcome_unknown = true;
    if (writes && status != TEARS_OK && work->applied) {
        work->call->outcome_unknown = own;
        if (!own)
            t3_pg_conn_abandon(work->conn);
    }
    if (own)
        t3_pg_release(work->conn);
    work->conn = NULL;
}

bool t3_pg_work_may_retry(const struct t3_pg_work *work, tears_status status)
{
    return status == TEARS_UNAVAILABLE && work->call->tx == NULL && work->pg.sent &&
           !t3_deadline_passed(work->call->deadline);
}

/* ---- transactions ------------------------------------------------------------------------------
 */

static tears_status run_simple(struct t3_pg_conn *conn, struct t3_pg_call *pg, const char *sql,
                               bool *as_asked_out)
{
    struct t3_pg_result *result = NULL;
    T3_TRY(t3_pg_query(conn, pg, sql, NULL, &result));
    *as_asked_out = strcmp(t3_pg_result_tag(result), sql) == 0;
    t3_pg_result_free(result);
    return TEARS_OK;
}

static tears_status begin(struct t3_l3 *l3, struct t3_l3_call *call, struct t3_l3_tx **tx_out)
{
    T3_ASSERT(call->tx == NULL);
    struct t3_l3_tx *tx = t3_alloc_zero(1, sizeof *tx);
    if (tx == NULL)
        return t3_fail_memory(call->error, T3_PG_ORIGIN);
    struct t3_pg_work work;
    bool as_asked = false;
    tears_status status = t3_pg_work_begin(l3, call, NULL, &work);
    if (status == TEARS_OK)
        status = run_simple(work.conn, &work.pg, "BEGIN", &as_asked);
    if (status != TEARS_OK) {
        t3_pg_work_end(&work, status, false);
        t3_free(tx);
        return status;
    }
    tx->conn = work.conn;
    *tx_out = tx;
    return TEARS_OK;
}

static void tx_free(struct t3_l3_tx *tx)
{
    t3_pg_forget_path(tx);
    t3_pg_release(tx->conn);
    t3_free(tx);
}

static tears_status commit(struct t3_l3 *l3, struct t3_l3_call *call, struct t3_l3_tx *tx)
{
    (void)l3;
    struct t3_pg_call pg = {.deadline = call->deadline, .error = call->error};
    call->outcome_unknown = false;
    if (!t3_pg_conn_is_alive(
            tx->conn)) { /* it broke before COMMIT was sent: nothing was committed */
        tx_free(tx);
        return t3_fail(call->error, TEARS_UNAVAILABLE, T3_PG_ORIGIN,
                       "the transaction was lost with its connection, and nothing was committed");
    }
    bool committed = false;
    const tears_status status = run_simple(tx->conn, &pg, "COMMIT", &committed);
    call->outcome_unknown = is_lost(status) && !t3_pg_conn_is_alive(tx->conn);
    tx_free(tx);
    if (status == TEARS_OK && !committed)
        return t3_fail(call->error, TEARS_INVALID, T3_PG_ORIGIN,
                       "the transaction was rolled back, because a statement in it had failed");
    return status;
}

static void rollback(struct t3_l3 *l3, struct t3_l3_tx *tx)
{
    (void)l3;
    struct t3_pg_call pg = {.deadline = t3_deadline_in_ms(ROLLBACK_MS_MAX)};
    bool as_asked = false;
    /* If it cannot be said, the connection is closed, and that rolls back as well. */
    if (t3_pg_conn_is_alive(tx->conn))
        (void)run_simple(tx->conn, &pg, "ROLLBACK", &as_asked);
    tx_free(tx);
}

/* ---- opening -----------------------------------------------------------------------------------
 */

static void l3_pg_free(struct t3_l3 *l3)
{
    if (l3 == NULL)
        return;
    struct t3_l3_pg *pg = of(l3);
    t3_pg_plans_done(&pg->plans);
    t3_pg_pool_free(pg->pool);
    t3_free(pg);
}

static const struct t3_l3_ops ops = {
    .name = "postgresql",
    .fetch = t3_l3_pg_fetch,
    .write = t3_l3_pg_write,
    .scan = t3_l3_pg_scan,
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .query = t3_l3_pg_query,
    .describe = t3_l3_pg_describe,
    .tables = t3_l3_pg_tables,
    .doctor = t3_l3_pg_doctor,
    .free = l3_pg_free,
    .outbox = &t3_l3_pg_outbox,
};

tears_status t3_l3_pg_open(const struct t3_l3_options *options, struct t3_l3 **l3_out,
                           struct tears_error *error_out)
{
    struct t3_l3_pg *pg = t3_alloc_zero(1, sizeof *pg);
    if (pg == NULL)
        return t3_fail_memory(error_out, T3_PG_ORIGIN);
    const struct t3_pg_options pool = {.url = options->url,
                                       .pool_min = options->pool_min,
                                       .pool_max = options->pool_max,
                                       .idle_ms_max = options->idle_ms_max,
                                       .connect_ms = options->connect_ms,
                                       .log = options->log};
    const tears_status status = t3_pg_pool_open(&pool, &pg->pool, error_out);
    if (status != TEARS_OK) {
        t3_free(pg);
        return status;
    }
    pg->base.ops = &ops;
    pg->base.parallel = t3_pg_pool_max(pg->pool);
    pg->log = options->log;
    t3_pg_plans_init(&pg->plans);
    *l3_out = &pg->base;
    return TEARS_OK;
}
