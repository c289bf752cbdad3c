/*
 * lite_impl.h -- what the sources of the SQLite driver share.
 */
#ifndef T3_DRIVER_LITE_IMPL_H
#define T3_DRIVER_LITE_IMPL_H

#include "base/lock.h"
#include "driver/lite.h"

#include <sqlite3.h>
#include <stdatomic.h>

enum { T3_LITE_BUCKETS = 512 }; /* a power of two, twice the statements */

struct t3_lite_stmt {
    struct t3_lite_conn *conn;
    sqlite3_stmt *handle;
    struct t3_lite_stmt *same_bucket;
    struct t3_lite_stmt *newer; /* ring of all statements by use, around conn->newest */
    struct t3_lite_stmt *older;
    uint64_t hash;
    struct tears_str key; /* allocated with the statement */
    struct tears_str table;
    void *held;
    void (*release)(void *held);
    uint32_t parameter_count;
    uint32_t column_count;
    bool in_use; /* between find or prepare and reset: may not be given up */
};

struct t3_lite_conn {
    sqlite3 *handle;
    struct t3_lite *lite;      /* NULL: a private in-memory database */
    struct t3_lite_conn *next; /* in the pool's list */
    const char *origin;
    const char *path;
    struct t3_deadline deadline;
    bool foreign; /* a foreign statement is being prepared */
    bool writes;  /* the pool's writer */
    uint32_t stmt_count;
    struct t3_lite_stmt *newest;
    struct t3_lite_stmt *oldest;
    struct t3_lite_stmt *buckets[T3_LITE_BUCKETS];
};

enum { T3_LITE_WAL_PAGES = 16384 }; /* 64 MiB */

/*
 *   mutex guards everything below it.  No SQLite call is made under it.
 *
 *   idle ──> reader ──> reader         writer (NULL while taken)
 */
struct t3_lite {
    char *path;
    char *uri;
    const char *origin;
    const struct t3_log *log;
    bool read_only;
    bool in_memory;
    bool is_relaxed;
    uint32_t wal_pages_max;
    bool must_exist;
    int32_t application;
    const char *vfs;
    uint32_t reader_max;

    struct t3_mutex mutex;
    struct t3_cond reader_back;
    struct t3_cond writer_back;
    struct t3_lite_conn *idle;
    uint32_t reader_count;
    struct t3_lite_conn *writer;

    struct t3_cond checkpoint_due;
    struct t3_lite_conn *checkpointer; /* used by the thread only */
    pthread_t thread;
    bool has_thread;
    bool stopping;
    uint32_t wal_pages;  /* in the WAL after the last commit */
    uint32_t wal_copied; /* of these, already in the database file */
    uint64_t commits;
    uint64_t committed_ms; /* when, by t3_now_us / 1000 */
    bool clock_runs;       /* the thread knows that there is something to copy */
};

struct t3_lite_conn_options {
    struct t3_lite *lite;
    const char *origin;
    const char *path; /* for messages */
    const char *uri;  /* what SQLite opens */
    bool read_only;
    bool must_exist;
    struct t3_deadline deadline;
};

tears_status t3_lite_conn_open(const struct t3_lite_conn_options *options,
                               struct t3_lite_conn **conn_out, struct tears_error *error_out);

/* Fills the error from the connection's last failure. */
tears_status t3_lite_fail(struct t3_lite_conn *conn, int code, struct tears_str table,
                          struct tears_error *error_out);
tears_status t3_lite_status(int code, int system_errno);

/* Makes write-ahead logging the file's way, unless it is already.  TEARS_UNSUPPORTED: the file system does not allow it. */
tears_status t3_lite_use_wal(struct t3_lite_conn *conn, struct tears_error *error_out);

tears_status t3_lite_add_functions(struct t3_lite_conn *conn, struct tears_error *error_out);
void t3_lite_call_function(sqlite3_context *context, int count, sqlite3_value **arguments);
void t3_lite_drop_statements(struct t3_lite_conn *conn);

/* Whether the thread must be woken for the last commit; the mutex is held. */
bool t3_lite_checkpoint_wanted(const struct t3_lite *lite);
tears_status t3_lite_checkpoint_start(struct t3_lite *lite, struct tears_error *error_out);
void t3_lite_checkpoint_stop(struct t3_lite *lite);

#endif
