/*
 * lite.h -- SQLite: a database file, its pool of connections, cached statements, typed cells.
 *
 * The only way to SQLite: nothing outside src/driver/lite*.c includes sqlite3.h.
 *
 * Settings of every connection: journal_mode=WAL and synchronous=FULL (a commit that returned
 * survives a power failure), foreign_keys=ON, and busy waiting that ends at the call's deadline.
 * One writer connection, several readers; readers never wait for the writer.
 *
 * How values are stored, the same in L3 and in the SQL form of L1:
 *   UUID 36 lower-case characters · TIMESTAMP 2026-06-03T12:00:00.000000+00:00 (always 32
 * characters, so that text order is time order) · DECIMAL, JSON, TEXT exact text · BOOL 0/1 · BYTES
 * a BLOB · VECTOR [1.0, 2.5] · DOUBLE a REAL, but NaN, which SQLite would turn into NULL, the text
 * NaN.
 *
 * SQL functions of ours: tears_now() is the time in that form; tears_next_us(old) is the later of
 * now and old + 1 microsecond: a version column moves strictly forward with it.
 */
#ifndef T3_DRIVER_LITE_H
#define T3_DRIVER_LITE_H

#include "base/arena.h"
#include "base/clock.h"
#include "observe/log.h"

#include <tears/value.h>

struct t3_lite;      /* a database file; shared by all threads */
struct t3_lite_conn; /* one connection; one thread at a time */
struct t3_lite_stmt; /* a prepared statement of a connection */

struct t3_lite_options {
    struct tears_str path; /* ":memory:": a private database that dies with the pool */
    const char *origin;    /* of errors; a literal */
    uint32_t reader_max;   /* 0: 4 */
    const struct t3_log *log;
    bool
        is_relaxed; /* synchronous=NORMAL: the last commits may be lost with the power, never half of one */
    uint32_t wal_pages_max; /* the WAL begins anew at the latest when it has so many; 0: 16,384 */
    bool must_exist;        /* a missing file is not made */
    int32_t
        application; /* not 0: a database of another application_id is TEARS_CORRUPT, and is not touched; an empty one is fine */
    const char *vfs; /* tests: SQLite's way to the files; NULL its default */
};

/* ---- database and pool (lite.c, lite_pool.c) ---- */

/* The file that a URL names: "sqlite:PATH", or, as other tools write an absolute path, "sqlite:///PATH".  False: another URL. */
bool t3_lite_url(struct tears_str url, struct tears_str *path_out);

/*
 * Opens the file, or creates it in an existing directory.  A file that cannot be written is opened
 * for reading. TEARS_OK, TEARS_UNAVAILABLE (no such directory), TEARS_DENIED, TEARS_CORRUPT (not a
 * database, damaged), TEARS_TIMEOUT (locked), TEARS_LIMIT (disk full), TEARS_NO_MEMORY.
 */
tears_status t3_lite_open(const struct t3_lite_options *options, struct t3_deadline deadline,
                          struct t3_lite **lite_out, struct tears_error *error_out);
void t3_lite_free(struct t3_lite *lite);

struct tears_str t3_lite_path(const struct t3_lite *lite);
uint32_t t3_lite_reader_max(const struct t3_lite *lite);

/* Borrow a connection until t3_lite_give; its calls end by the deadline.  TEARS_TIMEOUT;
 * TEARS_DENIED (writer, read-only file). */
tears_status t3_lite_take_reader(struct t3_lite *lite, struct t3_deadline deadline,
                                 struct t3_lite_conn **conn_out, struct tears_error *error_out);
tears_status t3_lite_take_writer(struct t3_lite *lite, struct t3_deadline deadline,
                                 struct t3_lite_conn **conn_out, struct tears_error *error_out);

/* Gives a connection back; a transaction still open is rolled back. */
void t3_lite_give(struct t3_lite_conn *conn);

/* For T3_AUTO: gives back unless the variable is NULL. */
void t3_lite_give_auto(struct t3_lite_conn **conn);

/* Copies what the WAL holds into the database file, as the background thread does; for tests and
 * before a copy of the file. */
tears_status t3_lite_checkpoint(struct t3_lite *lite, struct t3_deadline deadline,
                                struct tears_error *error_out);

/* ---- a connection of one's own (lite_own.c) ---- */

struct t3_lite_own {
    const char
        *path;   /* of another file, lives as long as the connection; NULL: the pool's database */
    bool create; /* makes the file when it is missing; otherwise that is TEARS_NOT_FOUND */
    struct t3_deadline deadline; /* until t3_lite_set_deadline */
};

/* Opens a connection beside the pool; it ends with t3_lite_conn_free.  Statuses as of t3_lite_open. */
tears_status t3_lite_connect(const struct t3_lite *lite, const struct t3_lite_own *own,
                             struct t3_lite_conn **conn_out, struct tears_error *error_out);

bool t3_lite_is_in_memory(const struct t3_lite *lite);

/* The byte of the SQL text at which the last failure was noticed; -1: not known. */
int t3_lite_error_offset(const struct t3_lite_conn *conn);

/* ---- one connection (lite_conn.c) ---- */

/* A private in-memory database without a pool.  TEARS_OK, TEARS_NO_MEMORY. */
tears_status t3_lite_conn_open_memory(const char *origin, struct t3_lite_conn **conn_out,
                                      struct tears_error *error_out);
void t3_lite_conn_free(struct t3_lite_conn *conn);

void t3_lite_set_deadline(struct t3_lite_conn *conn, struct t3_deadline deadline);

/* `write`: BEGIN IMMEDIATE, so that the lock is there from the start and a busy database is waited
 * for. */
tears_status t3_lite_begin(struct t3_lite_conn *conn, bool write, struct tears_error *error_out);
/* Ends the transaction, whatever it returns. */
tears_status t3_lite_commit(struct t3_lite_conn *conn, struct tears_error *error_out);
void t3_lite_rollback(struct t3_lite_conn *conn);
bool t3_lite_in_transaction(const struct t3_lite_conn *conn);

/* A part of a transaction that can be undone on its own.  End every one with keep or undo. */
tears_status t3_lite_savepoint(struct t3_lite_conn *conn, struct tears_error *error_out);
tears_status t3_lite_savepoint_keep(struct t3_lite_conn *conn, struct tears_error *error_out);
void t3_lite_savepoint_undo(struct t3_lite_conn *conn);

/* Runs statements without parameters or results. */
tears_status t3_lite_exec(struct t3_lite_conn *conn, const char *sql,
                          struct tears_error *error_out);

/* The integer a PRAGMA or SELECT of one value gives. */
tears_status t3_lite_int(struct t3_lite_conn *conn, const char *sql, int64_t *value_out,
                         struct tears_error *error_out);

/* A function of one integer for use in SQL. */
struct t3_lite_function {
    const char *name;
    int64_t (*call)(void *owner, int64_t argument);
    void *owner;
};

/* `function` must outlive the connection. */
tears_status t3_lite_add_function(struct t3_lite_conn *conn,
                                  const struct t3_lite_function *function,
                                  struct tears_error *error_out);

/* ---- statements (lite_stmt.c) ---- */

/*
 * What to prepare.  Statements stay prepared, the least recently used of T3_LITE_STATEMENTS_MAX are
 * given up.  `key` finds the statement again without making its SQL text; any bytes, but for a text
 * of its own a statement is found by (struct t3_lite_sql){.key = sql, .sql = sql}.
 */
struct t3_lite_sql {
    struct tears_str key;
    struct tears_str sql;
    struct tears_str table; /* for messages; "" none; must live as long as `held` */
    bool foreign; /* written by the application: may not end transactions, attach files or change
                     settings */
    void *held;   /* released with the statement */
    void (*release)(void *held);
};

enum { T3_LITE_STATEMENTS_MAX = 256 };

/* A cached statement, or NULL. */
struct t3_lite_stmt *t3_lite_find(struct t3_lite_conn *conn, struct tears_str key);

/*
 * Prepares and caches; on failure `held` is released too.
 * TEARS_OK, TEARS_INVALID (SQL error, with its text; or more than one statement), TEARS_DENIED
 * (foreign SQL that may not run), TEARS_NO_MEMORY.
 */
tears_status t3_lite_prepare(struct t3_lite_conn *conn, const struct t3_lite_sql *sql,
                             struct t3_lite_stmt **stmt_out, struct tears_error *error_out);

/* What `held` was; NULL none. */
void *t3_lite_held(const struct t3_lite_stmt *stmt);

/* Whether running it cannot change the database. */
bool t3_lite_is_readonly(const struct t3_lite_stmt *stmt);

/*
 * Binds parameter `index` (from 1).  The value's bytes are not copied: they must live until the
 * reset.  Text made here (UUIDs, timestamps) is the arena's.  TEARS_INVALID (a timestamp outside
 * years 1 to 9999), TEARS_NO_MEMORY, TEARS_LIMIT.
 */
tears_status t3_lite_bind(struct t3_lite_stmt *stmt, uint32_t index,
                          const struct tears_value *value, struct t3_arena *arena,
                          struct tears_error *error_out);

/* Binds $1..$n (also ?1..?n) by their numbers.  TEARS_INVALID: other names, or not that many
 * values. */
tears_status t3_lite_bind_numbered(struct t3_lite_stmt *stmt, const struct tears_value *values,
                                   size_t count, struct t3_arena *arena,
                                   struct tears_error *error_out);

/* Runs to the next row; *row_out false: the statement is complete. */
tears_status t3_lite_step(struct t3_lite_stmt *stmt, bool *row_out, struct tears_error *error_out);

/*
 * Ends the run of a statement that has given a row and whose changes must not stay: what it did is
 * rolled back, and with it the transaction that it is in.  Resetting would keep them, for SQLite has
 * changed all rows before it gives the first of RETURNING.
 */
void t3_lite_abandon(struct t3_lite_stmt *stmt);

/* Ends the statement's run and forgets its parameters.  For T3_AUTO; accepts NULL. */
void t3_lite_reset(struct t3_lite_stmt **stmt);

uint32_t t3_lite_column_count(const struct t3_lite_stmt *stmt);
const char *t3_lite_column_name(const struct t3_lite_stmt *stmt, uint32_t column);

/* Rows changed by the last completed INSERT, UPDATE or DELETE of the connection. */
uint64_t t3_lite_changes(const struct t3_lite_conn *conn);
/* The same of all statements so far, triggers' and foreign keys' changes included. */
uint64_t t3_lite_total_changes(const struct t3_lite_conn *conn);

/* ---- cells (lite_cell.c) ---- */

enum t3_lite_trust {
    T3_LITE_FOREIGN, /* any program may have written it: everything is checked */
    T3_LITE_OURS     /* written by this process through t3_lite_bind */
};

/*
 * A cell of the current row as a value of `kind`.  Bytes point into the row and live until the next
 * step or reset; made memory is the arena's.  TEARS_CORRUPT (does not fit the kind; no text: the
 * caller knows the table, column and key), TEARS_NO_MEMORY, TEARS_LIMIT.
 */
tears_status t3_lite_cell(struct t3_lite_stmt *stmt, uint32_t column, uint8_t kind,
                          enum t3_lite_trust trust, struct t3_arena *arena,
                          struct tears_value *value_out);

/* The cell as it is stored: INT, DOUBLE, TEXT (BYTES when it is no UTF-8), BYTES or NULL. */
struct tears_value t3_lite_cell_raw(struct t3_lite_stmt *stmt, uint32_t column);

/* The same of a cell that holds an integer, in a fraction of the time; of another one what SQLite makes of it, 0 in doubt. */
int64_t t3_lite_cell_int(struct t3_lite_stmt *stmt, uint32_t column);

/* What the cell holds, for messages: "integer", "text", ... */
const char *t3_lite_cell_class(struct t3_lite_stmt *stmt, uint32_t column);

/* The 32 characters of a timestamp.  TEARS_INVALID outside years 1 to 9999. */
enum { T3_LITE_TIMESTAMP_LEN = 32 };
tears_status t3_lite_timestamp_text(int64_t us, char text_out[T3_LITE_TIMESTAMP_LEN + 1]);

/* ---- facts for doctor ---- */

const char *t3_lite_version(void);
bool t3_lite_is_threadsafe(void);
bool t3_lite_is_read_only(const struct t3_lite *lite);

#endif
