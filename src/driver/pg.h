/*
 * pg.h -- PostgreSQL: a pool of connections, statements prepared once per connection, binary both
 * ways.
 *
 * The tier above brings SQL text and typed values; nothing here knows a table.  libpq stays inside
 * src/driver.
 *
 * A failure's status follows pg_status.c.  In particular TEARS_UNAVAILABLE: no connection, or it
 * broke; TEARS_TIMEOUT: the deadline passed, the statement was cancelled and the connection is
 * given up.  After either of them `sent` in the call says whether the server may have carried the
 * statement out.
 */
#ifndef T3_DRIVER_PG_H
#define T3_DRIVER_PG_H

#include "base/arena.h"
#include "base/clock.h"
#include "driver/pg_status.h"
#include "driver/pg_type.h"
#include "observe/log.h"

struct t3_pg_pool;
struct t3_pg_conn;
struct t3_pg_result;

struct t3_pg_options {
    struct tears_str url; /* anything PQconnectdb accepts: a URL or "key=value ..." */
    uint64_t pool_min;    /* connections kept open; 0: 1 */
    uint64_t pool_max;    /* 0: 8 */
    uint64_t idle_ms_max; /* a connection above the minimum is closed after this; 0: 300,000 */
    uint64_t connect_ms;  /* longest wait for one connection; 0: 30,000 */
    const struct t3_log *log;
};

/* What a call is given, and what is known after it failed. */
struct t3_pg_call {
    struct t3_deadline deadline;
    struct tears_error *error;
    bool sent;  /* out: the statement may have reached the server */
    bool stale; /* out: a prepared statement no longer fitted its table; the same call may now
                   succeed */
};

/*
 * A statement to prepare.  `sql` is NUL-terminated; the connection keeps a copy.  `types` are
 * object ids of the parameters, arrays' for array parameters.
 */
struct t3_pg_statement {
    struct tears_str sql;
    uint64_t hash; /* of the text */
    const uint32_t *types;
    uint32_t type_count;
};

/* ---- pool ---------------------------------------------------------------------------------- */

/*
 * Opens the pool with its minimum of connections.  TEARS_INVALID (the URL cannot be understood, no
 * such database), TEARS_DENIED, TEARS_UNAVAILABLE, TEARS_TIMEOUT, TEARS_NO_MEMORY.
 */
tears_status t3_pg_pool_open(const struct t3_pg_options *options, struct t3_pg_pool **pool_out,
                             struct tears_error *error_out);

/* All connections must have been given back.  Accepts NULL. */
void t3_pg_pool_free(struct t3_pg_pool *pool);

uint32_t t3_pg_pool_max(const struct t3_pg_pool *pool);

/*
 * Takes a connection, for one thread.  One that was idle is looked at first, and replaced when it
 * is broken.  With all of them busy, waits until the deadline: TEARS_TIMEOUT.  After a failed
 * attempt to connect there is a pause (50 ms, doubling up to 2 s, jittered) in which calls that
 * would need a new connection fail at once with TEARS_UNAVAILABLE and the reason of the failed
 * attempt, unless busy connections may come free.
 */
tears_status t3_pg_acquire(struct t3_pg_pool *pool, struct t3_pg_call *call,
                           struct t3_pg_conn **conn_out);

/* Gives a connection back.  One that is broken, or in a transaction, is closed. Accepts NULL. */
void t3_pg_release(struct t3_pg_conn *conn);

/* Connections open now, and of them those that are free: for tests and statistics. */
void t3_pg_pool_counts(struct t3_pg_pool *pool, uint32_t *open_out, uint32_t *free_out);

/* A number that whoever uses the connection leaves with it for the next user; 0 in a new one. */
uint32_t t3_pg_conn_mark(const struct t3_pg_conn *conn);
void t3_pg_conn_set_mark(struct t3_pg_conn *conn, uint32_t mark);

/* ---- a connection of one's own --------------------------------------------------------------- */

/* Opens a connection beside the pool, for one thread: neither counted nor lent.  Statuses as of t3_pg_pool_open. */
tears_status t3_pg_connect(struct t3_pg_pool *pool, struct t3_pg_call *call,
                           struct t3_pg_conn **conn_out);

/* Closes it; the server gives up what was locked by it.  Accepts NULL. */
void t3_pg_disconnect(struct t3_pg_conn *conn);

/*
 * Sleeps until a notification comes (after LISTEN), `wake_fd` can be read (-1: none) or the deadline passes; notifications that
 * came are forgotten.  TEARS_OK, TEARS_UNAVAILABLE (the connection broke).
 */
tears_status t3_pg_listen_wait(struct t3_pg_conn *conn, struct t3_deadline deadline, int wake_fd);

/* ---- parameters ------------------------------------------------------------------------------ */

/* Parameters of one execution; memory is the arena's. */
struct t3_pg_params {
    struct t3_arena *arena;
    const char **values;
    int *lengths;
    int *formats;
    uint32_t count;
    uint32_t capacity;
};

tears_status t3_pg_params_init(struct t3_pg_params *params, struct t3_arena *arena,
                               uint32_t capacity);

/* Adds one value in the binary format of `type`; NULL kinds are NULL.  TEARS_INVALID: it does not
 * fit. */
tears_status t3_pg_put(struct t3_pg_params *params, uint32_t type, const struct tears_value *value);

/* Adds an array of `count` elements; a NULL pointer or a value of kind NULL is a NULL element. */
tears_status t3_pg_put_array(struct t3_pg_params *params, uint32_t type,
                             const struct tears_value *const *values, size_t count);

/* Adds a value as text, for a parameter whose type the server finds out. */
tears_status t3_pg_put_text(struct t3_pg_params *params, const struct tears_value *value);

/* ---- execution ------------------------------------------------------------------------------- */

/*
 * Runs a prepared statement: one round trip, or two the first time on this connection.  A statement
 * that the server forgot or whose table has changed is prepared again once, outside a transaction.
 */
tears_status t3_pg_execute(struct t3_pg_conn *conn, struct t3_pg_call *call,
                           const struct t3_pg_statement *statement,
                           const struct t3_pg_params *params, struct t3_pg_result **result_out);

/* Runs any one statement without keeping it; parameters and results are text. `params` may be NULL.
 */
tears_status t3_pg_query(struct t3_pg_conn *conn, struct t3_pg_call *call, const char *sql,
                         const struct t3_pg_params *params, struct t3_pg_result **result_out);

/* Prepares a statement ahead, so that a pipeline need not send its text; those that were not run
 * all the same. */
tears_status t3_pg_prepare(struct t3_pg_conn *conn, struct t3_pg_call *call,
                           const struct t3_pg_statement *statement);

/*
 * Several statements in one transaction with their answers still on the way: open, then send and
 * receive in the same order (never more than T3_PG_WINDOW unanswered), then close.  Outside a
 * transaction everything between open and a successful close(keep) is committed by it, or nothing
 * is.  After a failure close(!keep) must be called; when the server would commit what it has, that
 * gives the connection up.
 */
enum { T3_PG_WINDOW = 64 };
tears_status t3_pg_pipeline_open(struct t3_pg_conn *conn, struct t3_pg_call *call);
tears_status t3_pg_pipeline_send(struct t3_pg_conn *conn, struct t3_pg_call *call,
                                 const struct t3_pg_statement *statement,
                                 const struct t3_pg_params *params);
tears_status t3_pg_pipeline_receive(struct t3_pg_conn *conn, struct t3_pg_call *call,
                                    struct t3_pg_result **result_out);
/* `keep` false: what was sent is undone. */
tears_status t3_pg_pipeline_close(struct t3_pg_conn *conn, struct t3_pg_call *call, bool keep);

/* Gives the connection up: whatever transaction it is in is undone when it is released. */
void t3_pg_conn_abandon(struct t3_pg_conn *conn);

/* Whether the connection can be used on. */
bool t3_pg_conn_is_alive(const struct t3_pg_conn *conn);

/* Whether a transaction is open on it, one that failed included. */
bool t3_pg_conn_in_transaction(const struct t3_pg_conn *conn);

/* What the server said about itself at connection time, "" when nothing: server_version,
 * server_encoding ... */
const char *t3_pg_conn_parameter(const struct t3_pg_conn *conn, const char *name);
bool t3_pg_conn_has_ssl(const struct t3_pg_conn *conn);

/* ---- results --------------------------------------------------------------------------------- */

size_t t3_pg_result_rows(const struct t3_pg_result *result);
uint32_t t3_pg_result_columns(const struct t3_pg_result *result);
const char *t3_pg_result_name(const struct t3_pg_result *result, uint32_t column);
uint32_t t3_pg_result_type(const struct t3_pg_result *result, uint32_t column);
/* The bytes of a cell; ptr NULL for NULL. */
struct tears_str t3_pg_result_cell(const struct t3_pg_result *result, size_t row, uint32_t column);
/* Rows changed, or returned. */
uint64_t t3_pg_result_affected(const struct t3_pg_result *result);
/* The command's tag, such as "COMMIT". */
const char *t3_pg_result_tag(const struct t3_pg_result *result);
void t3_pg_result_free(struct t3_pg_result *result);
void t3_pg_result_free_auto(struct t3_pg_result **result);

#endif
