/*
 * pg_conn.c -- one connection: made, looked after, given up.
 *
 * Owns:     the PGconn.
 * Must not know: pools (it only carries the pointer), tables.
 * Threads:  one at a time.
 * Fails:    as pg_wire.c; connecting also TEARS_DENIED and TEARS_INVALID.
 * Begin at: t3_pg_conn_open().
 */
#include "base/alloc.h"
#include "driver/pg_impl.h"

#include "base/str.h"

#include <poll.h>

/* ---- opening --------------------------------------------------------------------------------- */

static void take_notice(void *owner, const PGresult *result)
{
    struct t3_pg_conn *conn = owner;
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const bool warning = severity != NULL && strcmp(severity, "WARNING") == 0;
    if (severity != NULL && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0))
        conn->broken = true; /* the server hangs up while nobody asked it anything */
    t3_log(conn->log, warning ? TEARS_LOG_WARN : TEARS_LOG_INFO, T3_PG_ORIGIN, "%s: %s (%s)",
           severity != NULL ? severity : "NOTICE", text != NULL ? text : "",
           sqlstate != NULL ? sqlstate : "");
}

static void take_no_notice(void *owner, const char *message)
{
    (void)owner;
    (void)message; /* libpq's own warnings, which it would print */
}

static tears_status connect_refused(const struct t3_pg_target *target, PGconn *pg,
                                    struct tears_error *error_out)
{
    const char *message = PQerrorMessage(pg);
    char sqlstate[6] = "";
    struct tears_str said = tears_str_c(message);
    const bool answered = t3_pg_find_sqlstate(message, sqlstate, &said);
    const tears_status status = t3_pg_status_of(sqlstate);
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    if (t3_pg_redact(&text, said, target->secret, false) != TEARS_OK)
        return t3_fail_memory(error_out, T3_PG_ORIGIN);
    const char *reason = text.ptr != NULL ? text.ptr : "no reason given";
    return t3_fail_detail(error_out, status, T3_PG_ORIGIN, 0, sqlstate, "%s: %s",
                          answered ? "the database refused the connection"
                                   : "the database cannot be reached",
                          reason);
}

static tears_status connect_step(struct t3_pg_conn *conn, struct t3_pg_call *call, bool reading)
{
    short events = 0;
    return t3_pg_wait(conn, call, reading ? POLLIN : POLLOUT, &events);
}

/* Verbose until connected: only so does libpq put the SQLSTATE of a refusal into its message. */
static tears_status connect_within(struct t3_pg_conn *conn, const struct t3_pg_target *target,
                                   struct t3_pg_call *call)
{
    (void)PQsetErrorVerbosity(conn->pg, PQERRORS_VERBOSE);
    bool reading = false;
    if (PQstatus(conn->pg) == CONNECTION_BAD)
        return connect_refused(target, conn->pg, call->error);
    for (;;) {
        T3_TRY(connect_step(conn, call, reading));
        const PostgresPollingStatusType state = PQconnectPoll(conn->pg);
        if (state == PGRES_POLLING_OK)
            break;
        if (state == PGRES_POLLING_FAILED)
            return connect_refused(target, conn->pg, call->error);
        reading = state == PGRES_POLLING_READING;
    }
    (void)PQsetErrorVerbosity(conn->pg, PQERRORS_DEFAULT);
    return TEARS_OK;
}

static bool parameter_starts(const struct t3_pg_conn *conn, const char *name, const char *prefix)
{
    return t3_str_starts(tears_str_c(t3_pg_conn_parameter(conn, name)), prefix);
}

/*
 * Columns of types without a binary decoder travel as text, which must not depend on how the role
 * or the database is configured.  Almost everywhere the settings are right already, and then this
 * costs nothing.
 */
static tears_status settle_formats(struct t3_pg_conn *conn, struct t3_pg_call *call)
{
    if (parameter_starts(conn, "DateStyle", "ISO") &&
        parameter_starts(conn, "IntervalStyle", "postgres") &&
        !parameter_starts(conn, "IntervalStyle", "postgres_verbose"))
        return TEARS_OK;
    struct t3_pg_result *result = NULL;
    T3_TRY(t3_pg_query(conn, call,
                       "SELECT set_config('datestyle', 'ISO', false),"
                       " set_config('intervalstyle', 'postgres', false)",
                       NULL, &result));
    t3_pg_result_free(result);
    return TEARS_OK;
}

static tears_status set_up(struct t3_pg_conn *conn, const struct t3_pg_target *target,
                           struct t3_pg_call *call)
{
    conn->pg = PQconnectStartParams(target->keywords, target->values, 0);
    if (conn->pg == NULL)
        return t3_fail_memory(call->error, T3_PG_ORIGIN);
    (void)PQsetNoticeReceiver(conn->pg, take_notice, conn);
    (void)PQsetNoticeProcessor(conn->pg, take_no_notice, NULL);
    T3_TRY(connect_within(conn, target, call));
    if (PQsetnonblocking(conn->pg, 1) != 0)
        return t3_pg_lost(conn, call);
    return settle_formats(conn, call);
}

tears_status t3_pg_conn_open(const struct t3_pg_target *target, const struct t3_log *log,
                             struct t3_pg_call *call, struct t3_pg_conn **conn_out)
{
    struct t3_pg_conn *conn = t3_alloc_zero(1, sizeof *conn);
    if (conn == NULL)
        return t3_fail_memory(call->error, T3_PG_ORIGIN);
    conn->log = log;
    const tears_status status = set_up(conn, target, call);
    if (status != TEARS_OK) {
        t3_pg_conn_free(conn);
        return status;
    }
    *conn_out = conn;
    return TEARS_OK;
}

/* ---- closing --------------------------------------------------------------------------------- */

void t3_pg_conn_free(struct t3_pg_conn *conn)
{
    if (conn == NULL)
        return;
    t3_pg_forget_prepared(conn);
    if (conn->pg != NULL) {
        (void)PQsetNoticeReceiver(conn->pg, NULL, NULL);
        const bool running =
            PQtransactionStatus(conn->pg) == PQTRANS_ACTIVE && PQstatus(conn->pg) == CONNECTION_OK;
        if (running)
            t3_pg_cancel_and_close(conn->pg);
        else
            PQfinish(conn->pg);
    }
    t3_free(conn);
}

/* ---- health ---------------------------------------------------------------------------------- */

void t3_pg_conn_abandon(struct t3_pg_conn *conn)
{
    conn->broken = true;
}

bool t3_pg_conn_is_alive(const struct t3_pg_conn *conn)
{
    return !conn->broken;
}

bool t3_pg_conn_in_transaction(const struct t3_pg_conn *conn)
{
    const PGTransactionStatusType state = PQtransactionStatus(conn->pg);
    return state == PQTRANS_INTRANS || state == PQTRANS_INERROR;
}

bool t3_pg_conn_looks_sound(struct t3_pg_conn *conn)
{
    enum { READS_MAX = 8 }; /* an idle server says little: settings that changed, a last word */
    struct pollfd watched = {.fd = PQsocket(conn->pg), .events = POLLIN};
    if (conn->broken || watched.fd < 0)
        return false;
    for (int i = 0; i < READS_MAX && poll(&watched, 1, 0) > 0; i++) {
        if (PQconsumeInput(conn->pg) == 0)
            return false;
        (void)PQisBusy(
            conn->pg); /* makes libpq read what came; a FATAL notice marks the connection */
    }
    return !conn->broken && PQstatus(conn->pg) == CONNECTION_OK;
}

tears_status t3_pg_conn_ping(struct t3_pg_conn *conn, struct t3_pg_call *call)
{
    struct t3_pg_result *result = NULL;
    T3_TRY(t3_pg_query(conn, call, "", NULL, &result));
    t3_pg_result_free(result);
    return TEARS_OK;
}

const char *t3_pg_conn_parameter(const struct t3_pg_conn *conn, const char *name)
{
    const char *value = PQparameterStatus(conn->pg, name);
    return value != NULL ? value : "";
}

bool t3_pg_conn_has_ssl(const struct t3_pg_conn *conn)
{
    return PQsslInUse(conn->pg) != 0;
}

/* ---- marks ------------------------------------------------------------------------------------ */

uint32_t t3_pg_conn_mark(const struct t3_pg_conn *conn)
{
    return conn->mark;
}

void t3_pg_conn_set_mark(struct t3_pg_conn *conn, uint32_t mark)
{
    conn->mark = mark;
}
