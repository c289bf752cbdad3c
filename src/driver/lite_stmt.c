/*
 * lite_stmt.c -- prepared statements, found again by key, the least recently used given up.
 *
 * Owns:     a connection's statements: a hash table with chains, and a list by last use.
 * Must not know: what the keys mean.
 * Threads:  the connection's.
 * Fails:    with what SQLite says; a statement that failed is reset and can be used again.
 * Begin at: t3_lite_find(), t3_lite_prepare().
 */
#include "base/alloc.h"
#include "base/fail.h"
#include "base/hash.h"
#include "base/str.h"
#include "driver/lite_impl.h"

#include <limits.h>

static struct t3_lite_stmt **bucket_of(struct t3_lite_conn *conn, uint64_t hash)
{
    return &conn->buckets[hash & (T3_LITE_BUCKETS - 1)];
}

/* ---- the list by last use ---- */

static void unlink_use(struct t3_lite_conn *conn, struct t3_lite_stmt *stmt)
{
    *(stmt->newer != NULL ? &stmt->newer->older : &conn->newest) = stmt->older;
    *(stmt->older != NULL ? &stmt->older->newer : &conn->oldest) = stmt->newer;
}

static void link_newest(struct t3_lite_conn *conn, struct t3_lite_stmt *stmt)
{
    stmt->newer = NULL;
    stmt->older = conn->newest;
    *(conn->newest != NULL ? &conn->newest->newer : &conn->oldest) = stmt;
    conn->newest = stmt;
}

/* ---- life ---- */

static void stmt_free(struct t3_lite_stmt *stmt)
{
    sqlite3_finalize(stmt->handle);
    if (stmt->release != NULL)
        stmt->release(stmt->held);
    t3_free(stmt);
}

static void drop(struct t3_lite_conn *conn, struct t3_lite_stmt *stmt)
{
    struct t3_lite_stmt **at = bucket_of(conn, stmt->hash);
    while (*at != stmt)
        at = &(*at)->same_bucket;
    *at = stmt->same_bucket;
    unlink_use(conn, stmt);
    conn->stmt_count--;
    stmt_free(stmt);
}

void t3_lite_drop_statements(struct t3_lite_conn *conn)
{
    while (conn->oldest != NULL)
        drop(conn, conn->oldest);
}

/* Statements that run are few and recent, so the first that is at rest is near the old end. */
static void drop_oldest(struct t3_lite_conn *conn)
{
    struct t3_lite_stmt *stmt = conn->oldest;
    while (stmt != NULL && stmt->in_use)
        stmt = stmt->newer;
    if (stmt != NULL)
        drop(conn, stmt);
}

static void keep(struct t3_lite_conn *conn, struct t3_lite_stmt *stmt)
{
    if (conn->stmt_count >= T3_LITE_STATEMENTS_MAX)
        drop_oldest(conn);
    struct t3_lite_stmt **bucket = bucket_of(conn, stmt->hash);
    stmt->same_bucket = *bucket;
    *bucket = stmt;
    link_newest(conn, stmt);
    conn->stmt_count++;
}

struct t3_lite_stmt *t3_lite_find(struct t3_lite_conn *conn, struct tears_str key)
{
    const uint64_t hash = t3_hash(key.ptr, key.len, 0);
    struct t3_lite_stmt *stmt = *bucket_of(conn, hash);
    while (stmt != NULL && (stmt->hash != hash || stmt->in_use || !t3_str_equal(stmt->key, key)))
        stmt = stmt->same_bucket;
    if (stmt == NULL)
        return NULL;
    if (conn->newest != stmt) {
        unlink_use(conn, stmt);
        link_newest(conn, stmt);
    }
    stmt->in_use = true;
    return stmt;
}

/* ---- prepare ---- */

/* Whether only blanks, comments and semicolons are left. */
static bool is_blank_sql(struct t3_lite_conn *conn, const char *tail, const char *end)
{
    while (tail < end) {
        sqlite3_stmt *more = NULL;
        const char *next = tail;
        const int rc = sqlite3_prepare_v3(conn->handle, tail, (int)(end - tail), 0, &more, &next);
        const bool found = more != NULL;
        sqlite3_finalize(more);
        if (rc != SQLITE_OK || found)
            return false;
        if (next <= tail)
            break;
        tail = next;
    }
    return true;
}

static tears_status compile(struct t3_lite_conn *conn, const struct t3_lite_sql *sql,
                            sqlite3_stmt **handle_out, struct tears_error *error_out)
{
    if (sql->sql.len > INT_MAX - 1)
        return t3_fail(error_out, TEARS_LIMIT, conn->origin, "an SQL text of %zu bytes is too long",
                       sql->sql.len);
    const char *tail = NULL;
    sqlite3_stmt *handle = NULL;
    conn->foreign = sql->foreign;
    const int rc = sqlite3_prepare_v3(conn->handle, sql->sql.ptr, (int)sql->sql.len,
                                      SQLITE_PREPARE_PERSISTENT, &handle, &tail);
    tears_status status = TEARS_OK;
    if (rc != SQLITE_OK)
        status = t3_lite_fail(conn, rc, sql->table, error_out);
    else if (handle == NULL)
        status = t3_fail(error_out, TEARS_INVALID, conn->origin, "the SQL text has no statement");
    else if (!is_blank_sql(conn, tail, sql->sql.ptr + sql->sql.len))
        status = t3_fail(error_out, TEARS_INVALID, conn->origin,
                         "the SQL text has more than one statement");
    conn->foreign = false;
    if (status != TEARS_OK)
        sqlite3_finalize(handle);
    else
        *handle_out = handle;
    return status;
}

static struct t3_lite_stmt *stmt_new(struct t3_lite_conn *conn, const struct t3_lite_sql *sql)
{
    struct t3_lite_stmt *stmt = t3_alloc(sizeof *stmt + sql->key.len);
    if (stmt == NULL)
        return NULL;
    memset(stmt, 0, sizeof *stmt);
    char *key = (char *)(stmt + 1);
    if (sql->key.len > 0)
        memcpy(key, sql->key.ptr, sql->key.len);
    stmt->conn = conn;
    stmt->key = tears_str_n(key, sql->key.len);
    stmt->hash = t3_hash(key, sql->key.len, 0);
    stmt->table = sql->table;
    stmt->held = sql->held;
    stmt->release = sql->release;
    return stmt;
}

tears_status t3_lite_prepare(struct t3_lite_conn *conn, const struct t3_lite_sql *sql,
                             struct t3_lite_stmt **stmt_out, struct tears_error *error_out)
{
    struct t3_lite_stmt *stmt = stmt_new(conn, sql);
    tears_status status = stmt == NULL ? t3_fail_memory(error_out, conn->origin)
                                       : compile(conn, sql, &stmt->handle, error_out);
    if (status != TEARS_OK) {
        t3_free(stmt);
        if (sql->release != NULL)
            sql->release(sql->held);
        return status;
    }
    stmt->parameter_count = (uint32_t)sqlite3_bind_parameter_count(stmt->handle);
    stmt->column_count = (uint32_t)sqlite3_column_count(stmt->handle);
    stmt->in_use = true;
    keep(conn, stmt);
    *stmt_out = stmt;
    return TEARS_OK;
}

/* ---- run ---- */

tears_status t3_lite_step(struct t3_lite_stmt *stmt, bool *row_out, struct tears_error *error_out)
{
    const int rc = sqlite3_step(stmt->handle);
    if (T3_LIKELY(rc == SQLITE_ROW || rc == SQLITE_DONE)) {
        *row_out = rc == SQLITE_ROW;
        return TEARS_OK;
    }
    return t3_lite_fail(stmt->conn, rc, stmt->table, error_out);
}

void t3_lite_abandon(struct t3_lite_stmt *stmt)
{
    /* An interrupted statement is the only one that SQLite undoes half-way through its rows. */
    sqlite3_interrupt(stmt->conn->handle);
    (void)sqlite3_step(stmt->handle);
}

void t3_lite_reset(struct t3_lite_stmt **variable)
{
    struct t3_lite_stmt *stmt = *variable;
    if (stmt == NULL)
        return;
    /* It repeats the failure of the last step, which has been reported. */
    (void)sqlite3_reset(stmt->handle);
    if (stmt->parameter_count > 0)
        (void)sqlite3_clear_bindings(
            stmt->handle); /* never fails; the memory bound may go away now */
    stmt->in_use = false;
    *variable = NULL;
}

bool t3_lite_is_readonly(const struct t3_lite_stmt *stmt)
{
    return sqlite3_stmt_readonly(stmt->handle) != 0;
}

void *t3_lite_held(const struct t3_lite_stmt *stmt)
{
    return stmt->held;
}

uint32_t t3_lite_column_count(const struct t3_lite_stmt *stmt)
{
    /* Asked anew: another process may have altered the table since. */
    return (uint32_t)sqlite3_column_count(stmt->handle);
}

const char *t3_lite_column_name(const struct t3_lite_stmt *stmt, uint32_t column)
{
    return sqlite3_column_name(stmt->handle, (int)column);
}

uint64_t t3_lite_changes(const struct t3_lite_conn *conn)
{
    return (uint64_t)sqlite3_changes64(conn->handle);
}

uint64_t t3_lite_total_changes(const struct t3_lite_conn *conn)
{
    return (uint64_t)sqlite3_total_changes64(conn->handle);
}
