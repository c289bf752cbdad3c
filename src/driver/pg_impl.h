/*
 * pg_impl.h -- what the sources of the PostgreSQL driver share; private to src/driver.
 */
#ifndef T3_DRIVER_PG_IMPL_H
#define T3_DRIVER_PG_IMPL_H

#include "base/lock.h"
#include "driver/pg.h"

#include <libpq-fe.h>
#include <stdatomic.h>
#include <tears/client.h>

/* Prepared statements of one connection: sets of a few, the least recently used of a set gives way.
 */
enum { T3_PG_SETS = 64, T3_PG_WAYS = 4 };

struct t3_pg_prepared {
    char *sql; /* NULL: free */
    size_t sql_len;
    uint64_t hash;
    uint32_t number; /* its name is "t3_<number>" */
    uint32_t used;   /* when, by the connection's count of executions */
};

/* How to reach the server: parsed once, then only read. */
struct t3_pg_target {
    PQconninfoOption *options; /* libpq's */
    const char **keywords;     /* of those that are set, NULL-terminated */
    const char **values;
    struct tears_str secret; /* the password, to be hidden in messages */
};

struct t3_pg_conn {
    PGconn *pg;
    struct t3_pg_pool *pool;
    struct t3_pg_conn *next_free;
    const struct t3_log *log;
    uint64_t released_ms; /* when it became idle, on the coarse clock */
    uint32_t alarm;       /* the pool's alarm when it was last known to be sound */
    bool broken;
    bool in_pipeline;
    bool pipeline_failed; /* the server skips everything up to the next sync */
    bool pipeline_unflushed;
    uint32_t unanswered; /* statements sent in the pipeline whose results were not taken */
    uint32_t executions;
    uint32_t mark; /* of whoever uses it */
    uint32_t prepared_next;
    struct t3_pg_prepared prepared[T3_PG_SETS][T3_PG_WAYS];
};

/* ---- pg_target.c ---- */
tears_status t3_pg_target_init(struct t3_pg_target *target, struct tears_str url,
                               struct tears_error *error_out);
void t3_pg_target_done(struct t3_pg_target *target);

/* ---- pg_conn.c ---- */
tears_status t3_pg_conn_open(const struct t3_pg_target *target, const struct t3_log *log,
                             struct t3_pg_call *call, struct t3_pg_conn **conn_out);
/* Closes without waiting for the server; a statement that still runs is cancelled.  Accepts NULL.
 */
void t3_pg_conn_free(struct t3_pg_conn *conn);
/* Looks, without a round trip, whether the server has hung up. */
bool t3_pg_conn_looks_sound(struct t3_pg_conn *conn);
/* Asks the server for an answer. */
tears_status t3_pg_conn_ping(struct t3_pg_conn *conn, struct t3_pg_call *call);

/* ---- pg_execute.c ---- */
void t3_pg_forget_prepared(struct t3_pg_conn *conn);

/* ---- pg_wire.c: waiting, sending, receiving ---- */
tears_status t3_pg_wait(struct t3_pg_conn *conn, struct t3_pg_call *call, short events,
                        short *events_out);
tears_status t3_pg_flush(struct t3_pg_conn *conn, struct t3_pg_call *call);
/* The next result, NULL at the end of a statement's. */
tears_status t3_pg_next_result(struct t3_pg_conn *conn, struct t3_pg_call *call,
                               PGresult **result_out);
/* The one result of a statement that was sent, with everything after it read. */
tears_status t3_pg_take_result(struct t3_pg_conn *conn, struct t3_pg_call *call,
                               struct t3_pg_result **result_out);
/* Judges a result: on failure fills the error, frees it, and sets call->stale. */
tears_status t3_pg_judge(struct t3_pg_conn *conn, struct t3_pg_call *call, PGresult *result);
/* The connection is lost: fills the error with libpq's reason. */
tears_status t3_pg_lost(struct t3_pg_conn *conn, struct t3_pg_call *call);

/* ---- pg_cancel.c ---- */
/* Cancels what runs on the connection and closes it, on a thread of its own so that a dead server
 * delays nobody. */
void t3_pg_cancel_and_close(PGconn *pg);

#endif
