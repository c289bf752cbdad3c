/*
 * lite_conn.c -- one connection: its settings, its deadline, its transactions.
 *
 * Owns:     the SQLite handle and its statements.
 * Must not know: the pool, tables, values.
 * Threads:  one at a time; SQLite's own locking is off (NOMUTEX).
 * Fails:    as lite.h says; after any failure no statement is left running.
 * Begin at: t3_lite_conn_open().
 *
 * Why a deadline on the connection: SQLite waits for locks (busy handler) and computes (progress
 * handler) inside our calls; both handlers look at it, so that no call outlives what its session
 * allows.
 */
#include "base/alloc.h"
#include "base/fail.h"
#include "base/str.h"
#include "driver/lite_impl.h"

#include <time.h>

enum {
    BUSY_US_MIN = 50,   /* first sleep while another process holds the lock */
    BUSY_US_MAX = 5000, /* longest: a commit takes less than this */
    PROGRESS_STEPS =
        10000, /* of SQLite's virtual machine between two looks at the clock: about 1 ms */
};

/* ---- waiting and computing end at the deadline ---- */

static int on_busy(void *context, int tries)
{
    const struct t3_lite_conn *conn = context;
    const uint64_t now = t3_now_us();
    if (now >= conn->deadline.at_us)
        return 0;
    uint64_t us = (uint64_t)BUSY_US_MIN << (tries < 7 ? tries : 7);
    us = us > BUSY_US_MAX ? BUSY_US_MAX : us;
    us = us > conn->deadline.at_us - now ? conn->deadline.at_us - now : us;
    const struct timespec pause = {.tv_nsec = (long)us * 1000};
    nanosleep(&pause, NULL);
    return 1;
}

static int on_progress(void *context)
{
    const struct t3_lite_conn *conn = context;
    return t3_deadline_passed(conn->deadline) ? 1 : 0;
}

/* ---- what the application's own SQL may not do ---- */

/* Pragmas that take an argument and only read. */
static bool pragma_only_reads(const char *name)
{
    static const char *const names[] = {
        "table_info",  "table_xinfo",      "table_list",        "index_list",      "index_info",
        "index_xinfo", "foreign_key_list", "foreign_key_check", "integrity_check", "quick_check"};
    for (size_t i = 0; i < T3_COUNT(names); i++)
        if (t3_str_equal_nocase(tears_str_c(name), tears_str_c(names[i])))
            return true;
    return false;
}

/*
 * A connection goes back to a pool: a transaction it was left in, or a setting, would surprise the
 * next user.
 */
static int on_authorize(void *context, int action, const char *first, const char *second,
                        const char *database, const char *trigger)
{
    (void)database;
    (void)trigger;
    const struct t3_lite_conn *conn = context;
    if (!conn->foreign)
        return SQLITE_OK;
    switch (action) {
    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT:
    case SQLITE_ATTACH:
    case SQLITE_DETACH:
        return SQLITE_DENY;
    case SQLITE_PRAGMA:
        return second == NULL || pragma_only_reads(first) ? SQLITE_OK : SQLITE_DENY;
    default:
        return SQLITE_OK;
    }
}

/* ---- life ---- */

static tears_status relax(struct t3_lite_conn *conn, struct tears_error *error_out)
{
    const bool is_relaxed = conn->lite != NULL && conn->lite->is_relaxed;
    return is_relaxed ? t3_lite_exec(conn, "PRAGMA synchronous=NORMAL", error_out) : TEARS_OK;
}

static tears_status configure(struct t3_lite_conn *conn, struct tears_error *error_out)
{
    sqlite3_busy_handler(conn->handle, on_busy, conn);
    sqlite3_progress_handler(conn->handle, PROGRESS_STEPS, on_progress, conn);
    sqlite3_set_authorizer(conn->handle, on_authorize, conn);
    sqlite3_db_config(conn->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    /* "no_such_column" is an error, not a string. */
    sqlite3_db_config(conn->handle, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    T3_TRY(t3_lite_add_functions(conn, error_out));
    T3_TRY(t3_lite_exec(conn,
                        "PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY;"
                        "PRAGMA trusted_schema=OFF; PRAGMA synchronous=FULL;"
                        "PRAGMA secure_delete=OFF",
                        error_out));
    return relax(conn, error_out);
}

tears_status t3_lite_conn_open(const struct t3_lite_conn_options *options,
                               struct t3_lite_conn **conn_out, struct tears_error *error_out)
{
    struct t3_lite_conn *conn = t3_alloc_zero(1, sizeof *conn);
    if (conn == NULL)
        return t3_fail_memory(error_out, options->origin);
    conn->lite = options->lite;
    conn->origin = options->origin;
    conn->path = options->path;
    conn->deadline = options->deadline;
    const int creation = options->must_exist ? 0 : SQLITE_OPEN_CREATE;
    const int access = options->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | creation;
    const char *vfs = options->lite != NULL ? options->lite->vfs : NULL;
    const int flags = access | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE |
                      SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_URI;
    const int rc = sqlite3_open_v2(options->uri, &conn->handle, flags, vfs);
    tears_status status;
    if (conn->handle == NULL)
        status = t3_fail_memory(error_out, options->origin);
    else if (rc != SQLITE_OK)
        status = t3_lite_fail(conn, rc, TEARS_STR(""), error_out);
    else
        status = configure(conn, error_out);
    if (status != TEARS_OK) {
        t3_lite_conn_free(conn);
        return status;
    }
    *conn_out = conn;
    return TEARS_OK;
}

tears_status t3_lite_conn_open_memory(const char *origin, struct t3_lite_conn **conn_out,
                                      struct tears_error *error_out)
{
    /* An unnamed in-memory database belongs to its connection: two of them never share rows. */
    const struct t3_lite_conn_options options = {
        .origin = origin, .path = "memory", .uri = ":memory:", .deadline = {UINT64_MAX}};
    return t3_lite_conn_open(&options, conn_out, error_out);
}

void t3_lite_conn_free(struct t3_lite_conn *conn)
{
    if (conn == NULL)
        return;
    t3_lite_drop_statements(conn);
    const int rc = sqlite3_close(conn->handle);
    T3_ASSERT(rc == SQLITE_OK); /* anything else is a statement of ours left open */
    t3_free(conn);
}

void t3_lite_set_deadline(struct t3_lite_conn *conn, struct t3_deadline deadline)
{
    conn->deadline = deadline;
}

tears_status t3_lite_add_function(struct t3_lite_conn *conn,
                                  const struct t3_lite_function *function,
                                  struct tears_error *error_out)
{
    const int rc = sqlite3_create_function_v2(
        conn->handle, function->name, 1, SQLITE_UTF8 | SQLITE_INNOCUOUS,
        (void *)(uintptr_t)function, t3_lite_call_function, NULL, NULL, NULL);
    return rc == SQLITE_OK ? TEARS_OK : t3_lite_fail(conn, rc, TEARS_STR(""), error_out);
}

/* ---- short statements of our own ---- */

tears_status t3_lite_exec(struct t3_lite_conn *conn, const char *sql, struct tears_error *error_out)
{
    const int rc = sqlite3_exec(conn->handle, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? TEARS_OK : t3_lite_fail(conn, rc, TEARS_STR(""), error_out);
}

static tears_status run_cached(struct t3_lite_conn *conn, struct tears_str sql,
                               struct tears_error *error_out)
{
    T3_AUTO(t3_lite_reset) struct t3_lite_stmt *stmt = t3_lite_find(conn, sql);
    if (stmt == NULL) {
        const struct t3_lite_sql control = {.key = sql, .sql = sql};
        T3_TRY(t3_lite_prepare(conn, &control, &stmt, error_out));
    }
    bool row;
    return t3_lite_step(stmt, &row, error_out);
}

tears_status t3_lite_int(struct t3_lite_conn *conn, const char *sql, int64_t *value_out,
                         struct tears_error *error_out)
{
    const struct tears_str text = tears_str_c(sql);
    T3_AUTO(t3_lite_reset) struct t3_lite_stmt *stmt = t3_lite_find(conn, text);
    if (stmt == NULL) {
        const struct t3_lite_sql one = {.key = text, .sql = text};
        T3_TRY(t3_lite_prepare(conn, &one, &stmt, error_out));
    }
    bool row;
    T3_TRY(t3_lite_step(stmt, &row, error_out));
    *value_out = row ? sqlite3_column_int64(stmt->handle, 0) : 0;
    return TEARS_OK;
}

/* ---- write-ahead logging ---- */

static tears_status try_wal(struct t3_lite_conn *conn, struct tears_error *error_out)
{
    const struct tears_str sql = TEARS_STR("PRAGMA journal_mode=WAL");
    const struct t3_lite_sql pragma = {.key = sql, .sql = sql};
    T3_AUTO(t3_lite_reset) struct t3_lite_stmt *stmt = NULL;
    T3_TRY(t3_lite_prepare(conn, &pragma, &stmt, error_out));
    bool row;
    T3_TRY(t3_lite_step(stmt, &row, error_out));
    const char *mode = row ? (const char *)sqlite3_column_text(stmt->handle, 0) : NULL;
    if (mode != NULL && strcmp(mode, "wal") == 0)
        return TEARS_OK;
    return t3_fail(error_out, TEARS_UNSUPPORTED, conn->origin,
                   "%s: the file system does not allow write-ahead logging (journal_mode is %s)",
                   conn->path, mode != NULL ? mode : "unknown");
}

/*
 * The switch takes the whole file.  When several do it at once, SQLite gives all but one up without asking the busy
 * handler, for two that wait for each other's readers would wait for ever; so whoever lost tries again.
 */
tears_status t3_lite_use_wal(struct t3_lite_conn *conn, struct tears_error *error_out)
{
    tears_status status = try_wal(conn, error_out);
    for (int tries = 0; status == TEARS_TIMEOUT && on_busy(conn, tries) != 0; tries++)
        status = try_wal(conn, error_out);
    if (status == TEARS_OK)
        t3_error_clear(error_out);
    return status;
}

/* ---- transactions ---- */

bool t3_lite_in_transaction(const struct t3_lite_conn *conn)
{
    return sqlite3_get_autocommit(conn->handle) == 0;
}

tears_status t3_lite_begin(struct t3_lite_conn *conn, bool write, struct tears_error *error_out)
{
    return run_cached(conn, write ? TEARS_STR("BEGIN IMMEDIATE") : TEARS_STR("BEGIN"), error_out);
}

tears_status t3_lite_commit(struct t3_lite_conn *conn, struct tears_error *error_out)
{
    const tears_status status = run_cached(conn, TEARS_STR("COMMIT"), error_out);
    if (status != TEARS_OK)
        t3_lite_rollback(conn);
    return status;
}

void t3_lite_rollback(struct t3_lite_conn *conn)
{
    /* Severe failures (disk full, I/O, out of memory) have rolled back already. */
    if (!t3_lite_in_transaction(conn))
        return;
    /* Through exec: it needs no statement cache, so nothing can keep it from running. */
    (void)sqlite3_exec(conn->handle, "ROLLBACK", NULL, NULL, NULL);
    T3_ASSERT(!t3_lite_in_transaction(conn));
}

tears_status t3_lite_savepoint(struct t3_lite_conn *conn, struct tears_error *error_out)
{
    return run_cached(conn, TEARS_STR("SAVEPOINT t3_batch"), error_out);
}

tears_status t3_lite_savepoint_keep(struct t3_lite_conn *conn, struct tears_error *error_out)
{
    return run_cached(conn, TEARS_STR("RELEASE t3_batch"), error_out);
}

void t3_lite_savepoint_undo(struct t3_lite_conn *conn)
{
    if (!t3_lite_in_transaction(conn))
        return;
    const int rc =
        sqlite3_exec(conn->handle, "ROLLBACK TO t3_batch; RELEASE t3_batch", NULL, NULL, NULL);
    if (rc != SQLITE_OK) /* half a batch must not be committed: give the whole transaction up */
        t3_lite_rollback(conn);
}

/* ---- facts ---- */

const char *t3_lite_version(void)
{
    return sqlite3_libversion();
}

bool t3_lite_is_threadsafe(void)
{
    return sqlite3_threadsafe() != 0;
}
