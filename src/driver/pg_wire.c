/*
 * pg_wire.c -- waiting, sending and receiving on a connection, never past the deadline.
 *
 * Owns:     nothing; works on a connection that its caller owns for the moment.
 * Must not know: what statements say, pools.
 * Threads:  one at a time per connection.
 * Fails:    TEARS_TIMEOUT, TEARS_UNAVAILABLE: the connection is broken afterwards.  Else what the
 * server said. Begin at: t3_pg_next_result().
 *
 * libpq is in non-blocking mode, and every wait is a poll() here.  The usual statement costs the
 * three system calls that PQexecPrepared costs as well: send, poll, recv.
 */
#include "driver/pg_impl.h"

#include "base/str.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>

static tears_status timed_out(struct t3_pg_conn *conn, struct t3_pg_call *call)
{
    conn->broken = true; /* closing it cancels what still runs there */
    return t3_fail(call->error, TEARS_TIMEOUT, T3_PG_ORIGIN,
                   "the database did not answer before the deadline");
}

tears_status t3_pg_wait(struct t3_pg_conn *conn, struct t3_pg_call *call, short events,
                        short *events_out)
{
    const int fd = PQsocket(conn->pg);
    if (fd < 0)
        return t3_pg_lost(conn, call);
    for (;;) {
        const uint64_t left = t3_deadline_left_ms(call->deadline);
        struct pollfd watched = {.fd = fd, .events = events};
        const int ready = poll(&watched, 1, left > INT_MAX ? INT_MAX : (int)left);
        if (ready > 0) {
            *events_out = watched.revents;
            return TEARS_OK;
        }
        if (ready < 0 && errno != EINTR)
            return t3_pg_lost(conn, call);
        if (left == 0)
            return timed_out(conn, call);
    }
}

/* libpq's reason, its first line.  At run time it names host, port and cause, never the password.
 */
tears_status t3_pg_lost(struct t3_pg_conn *conn, struct t3_pg_call *call)
{
    const struct tears_str reason = tears_str_c(PQerrorMessage(conn->pg));
    const char *end = reason.len > 0 ? memchr(reason.ptr, '\n', reason.len) : NULL;
    const struct tears_str line =
        end != NULL ? tears_str_n(reason.ptr, (size_t)(end - reason.ptr)) : reason;
    conn->broken = true;
    if (line.len == 0)
        return t3_fail(call->error, TEARS_UNAVAILABLE, T3_PG_ORIGIN,
                       "the connection to the database broke");
    return t3_fail(call->error, TEARS_UNAVAILABLE, T3_PG_ORIGIN,
                   "the connection to the database broke: " T3_STR_FMT, T3_STR_ARG(line));
}

tears_status t3_pg_flush(struct t3_pg_conn *conn, struct t3_pg_call *call)
{
    for (;;) {
        const int left = PQflush(conn->pg);
        if (left == 0)
            return TEARS_OK;
        if (left < 0)
            return t3_pg_lost(conn, call);
        /* Reading while sending: a server whose answers nobody takes stops taking questions. */
        short events = 0;
        T3_TRY(t3_pg_wait(conn, call, POLLIN | POLLOUT, &events));
        if ((events & POLLIN) != 0 && PQconsumeInput(conn->pg) == 0)
            return t3_pg_lost(conn, call);
    }
}

tears_status t3_pg_next_result(struct t3_pg_conn *conn, struct t3_pg_call *call,
                               PGresult **result_out)
{
    while (PQisBusy(conn->pg) != 0) {
        short events = 0;
        T3_TRY(t3_pg_wait(conn, call, POLLIN, &events));
        if (PQconsumeInput(conn->pg) == 0)
            return t3_pg_lost(conn, call);
    }
    *result_out = PQgetResult(conn->pg);
    return TEARS_OK;
}

/* ---- judging -------------------------------------------------------------------------------- */

/* Both are cured by preparing again: the server lost the statement, or its table has other columns
 * now. */
static bool is_stale(const PGresult *result, const char *sqlstate)
{
    if (strcmp(sqlstate, "26000") == 0)
        return true;
    const char *function = PQresultErrorField(result, PG_DIAG_SOURCE_FUNCTION);
    return strcmp(sqlstate, "0A000") == 0 && function != NULL &&
           strcmp(function, "RevalidateCachedQuery") == 0;
}

static int32_t position_of(const PGresult *result)
{
    const char *text = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
    int32_t position = 0;
    for (; text != NULL && *text >= '0' && *text <= '9' && position < 100000000; text++)
        position = position * 10 + (*text - '0');
    return position;
}

static tears_status refused(struct t3_pg_conn *conn, struct t3_pg_call *call,
                            const PGresult *result)
{
    struct t3_pg_report report = {.position = position_of(result)};
    report.sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    report.primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    report.detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    report.table = PQresultErrorField(result, PG_DIAG_TABLE_NAME);
    report.column = PQresultErrorField(result, PG_DIAG_COLUMN_NAME);
    report.constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
    if (PQstatus(conn->pg) == CONNECTION_BAD)
        conn->broken = true;
    if (report.sqlstate == NULL) { /* libpq's own: the connection, or its memory */
        if (!conn->broken && strstr(PQresultErrorMessage(result), "out of memory") != NULL)
            return t3_fail_memory(call->error, T3_PG_ORIGIN);
        return t3_pg_lost(conn, call);
    }
    call->stale = is_stale(result, report.sqlstate);
    const tears_status status = t3_pg_fail_report(call->error, &report);
    if (call->stale &&
        status == TEARS_UNSUPPORTED) { /* the table changed under us: reading again helps */
        if (call->error != NULL)
            call->error->status = TEARS_CONFLICT;
        return TEARS_CONFLICT;
    }
    return status;
}

static tears_status judge(struct t3_pg_conn *conn, struct t3_pg_call *call, const PGresult *result)
{
    switch (PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_EMPTY_QUERY:
    case PGRES_PIPELINE_SYNC:
        return TEARS_OK;
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH:
        conn->broken = true; /* cheaper than talking the server out of it */
        return t3_fail(call->error, TEARS_UNSUPPORTED, T3_PG_ORIGIN,
                       "COPY to or from the client is not supported");
    case PGRES_PIPELINE_ABORTED:
        return t3_fail(call->error, TEARS_INTERNAL, T3_PG_ORIGIN,
                       "a statement before this one failed unnoticed");
    case PGRES_BAD_RESPONSE:
    case PGRES_NONFATAL_ERROR:
    case PGRES_FATAL_ERROR:
    case PGRES_SINGLE_TUPLE:
    default:
        return refused(conn, call, result);
    }
}

tears_status t3_pg_judge(struct t3_pg_conn *conn, struct t3_pg_call *call, PGresult *result)
{
    const tears_status status = judge(conn, call, result);
    if (status != TEARS_OK)
        PQclear(result);
    return status;
}

static bool is_error(const PGresult *result)
{
    return result != NULL && PQresultStatus(result) == PGRES_FATAL_ERROR;
}

tears_status t3_pg_take_result(struct t3_pg_conn *conn, struct t3_pg_call *call,
                               struct t3_pg_result **result_out)
{
    PGresult *first = NULL;
    for (;;) {
        PGresult *next = NULL;
        const tears_status status = t3_pg_next_result(conn, call, &next);
        if (status == TEARS_UNAVAILABLE && is_error(first))
            return t3_pg_judge(conn, call, first); /* the server said why it hangs up */
        if (status != TEARS_OK) {
            PQclear(first);
            return status;
        }
        if (next == NULL)
            break;
        if (first == NULL || (is_error(next) && !is_error(first))) {
            PQclear(first); /* it succeeded, but its commit did not: a deferred constraint */
            first = next;
        } else {
            PQclear(next); /* after an error, the loss of the connection is told once more */
        }
        const ExecStatusType kind = PQresultStatus(first);
        if (kind == PGRES_COPY_IN || kind == PGRES_COPY_OUT || kind == PGRES_COPY_BOTH)
            break;
    }
    if (first == NULL)
        return t3_pg_lost(conn, call);
    T3_TRY(t3_pg_judge(conn, call, first));
    *result_out = (struct t3_pg_result *)first;
    return TEARS_OK;
}
