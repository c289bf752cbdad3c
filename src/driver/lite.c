/*
 * lite.c -- an SQLite database file and its pool: one writer, several readers.
 *
 * Owns:     the connections that are not lent out, and the thread that checkpoints.
 * Must not know: what is in the file.
 * Threads:  any.  One mutex, a leaf; SQLite is never called under it.
 * Fails:    as lite.h says.
 * Begin at: t3_lite_open(), t3_lite_take_writer().
 *
 * Why one writer: SQLite lets one transaction write at a time.  Threads of this process queue on a
 * condition variable and are woken at once; only other processes are met in the busy handler, which
 * must poll.
 */
#include "base/alloc.h"
#include "base/fail.h"
#include "base/str.h"
#include "driver/lite_impl.h"

#include <stdio.h>

enum { READERS_DEFAULT = 4, PATH_BYTES_MAX = 4096 };

/* ---- names ---- */

bool t3_lite_url(struct tears_str url, struct tears_str *path_out)
{
    static const char scheme[] = "sqlite:";
    if (!t3_str_starts(url, scheme))
        return false;
    *path_out = t3_str_from(url, sizeof scheme - 1);
    if (t3_str_starts(*path_out, "///"))
        *path_out = t3_str_from(*path_out, 2);
    return true;
}

/* A copy with `prefix` in front; NULL without memory. */
static char *joined(const char *prefix, struct tears_str text)
{
    const size_t len = strlen(prefix);
    char *copy = t3_alloc(len + text.len + 1);
    if (copy == NULL)
        return NULL;
    memcpy(copy, prefix, len);
    memcpy(copy + len, text.ptr, text.len);
    copy[len + text.len] = '\0';
    return copy;
}

static tears_status set_path(struct t3_lite *lite, struct tears_str path,
                             struct tears_error *error_out)
{
    if (path.len == 0 || path.len > PATH_BYTES_MAX || memchr(path.ptr, 0, path.len) != NULL)
        return t3_fail(error_out, TEARS_INVALID, lite->origin,
                       "the path of an SQLite file must have 1 to %d bytes and no NUL",
                       PATH_BYTES_MAX);
    lite->path = joined("", path);
    lite->in_memory = t3_str_is(path, ":memory:");
    if (lite->in_memory) {
        /* The connections of one pool share the database; the random name keeps other pools out. */
        uint8_t uuid[16];
        char name[64];
        tears_uuid_new(uuid);
        tears_uuid_text(uuid, name);
        lite->uri = joined("file:/tears-", tears_str_c(name));
        char *uri = lite->uri != NULL ? joined(lite->uri, TEARS_STR("?vfs=memdb")) : NULL;
        t3_free(lite->uri);
        lite->uri = uri;
    } else {
        /* SQLite gives names that begin with "file:" or ":" a meaning of their own. */
        lite->uri = joined(path.ptr[0] == '/' ? "" : "./", path);
    }
    return lite->path != NULL && lite->uri != NULL ? TEARS_OK
                                                   : t3_fail_memory(error_out, lite->origin);
}

/* ---- opening ---- */

static tears_status open_conn(struct t3_lite *lite, bool read_only, struct t3_deadline deadline,
                              struct t3_lite_conn **conn_out, struct tears_error *error_out)
{
    const struct t3_lite_conn_options options = {.lite = lite,
                                                 .origin = lite->origin,
                                                 .path = lite->path,
                                                 .uri = lite->uri,
                                                 .read_only = read_only,
                                                 .must_exist = lite->must_exist,
                                                 .deadline = deadline};
    return t3_lite_conn_open(&options, conn_out, error_out);
}

/* Called by SQLite on the writer's thread after each commit, with the number of pages in the WAL.
 */
static int on_commit(void *context, sqlite3 *handle, const char *database, int pages)
{
    (void)handle;
    (void)database;
    struct t3_lite *lite = context;
    t3_lock(&lite->mutex);
    /* A commit appends: when there are no more pages than have been copied, SQLite has started the
     * WAL anew. */
    if ((uint32_t)pages <= lite->wal_copied)
        lite->wal_copied = 0;
    lite->wal_pages = (uint32_t)pages;
    lite->commits++;
    lite->committed_ms = t3_now_us() / 1000;
    const bool wake = t3_lite_checkpoint_wanted(lite);
    if (wake)
        t3_cond_signal(&lite->checkpoint_due);
    t3_unlock(&lite->mutex);
    return SQLITE_OK;
}

static tears_status use_wal(struct t3_lite *lite, struct t3_lite_conn *conn,
                            struct tears_error *error_out)
{
    T3_TRY(t3_lite_use_wal(conn, error_out));
    T3_TRY(t3_lite_exec(conn, "PRAGMA journal_size_limit=67108864; PRAGMA cache_size=-8192",
                        error_out));
    /* Takes the place of SQLite's own automatic checkpoint, which would stall the writer. */
    sqlite3_wal_hook(conn->handle, on_commit, lite);
    return TEARS_OK;
}

/* Looked at before anything is written: the path may be that of somebody else's database. */
static tears_status check_application(struct t3_lite *lite, struct t3_lite_conn *conn,
                                      int64_t objects, struct tears_error *error_out)
{
    int64_t application = 0;
    if (lite->application == 0)
        return TEARS_OK;
    T3_TRY(t3_lite_int(conn, "PRAGMA application_id", &application, error_out));
    if (application == lite->application || (application == 0 && objects == 0))
        return TEARS_OK;
    return t3_fail(
        error_out, TEARS_CORRUPT, lite->origin,
        "%s: the file is an SQLite database of something else (its application_id is %lld)",
        lite->path, (long long)application);
}

/* The first connection tells whether the file can be used at all, and how. */
static tears_status open_writer(struct t3_lite *lite, struct t3_deadline deadline,
                                struct tears_error *error_out)
{
    struct t3_lite_conn *conn = NULL;
    T3_TRY(open_conn(lite, false, deadline, &conn, error_out));
    lite->writer = conn;
    conn->writes = true;
    int64_t objects; /* reading the catalogue finds out whether the file is a database */
    T3_TRY(t3_lite_int(conn, "SELECT count(*) FROM sqlite_schema", &objects, error_out));
    T3_TRY(check_application(lite, conn, objects, error_out));
    lite->read_only = sqlite3_db_readonly(conn->handle, "main") == 1;
    if (lite->read_only || lite->in_memory)
        return TEARS_OK;
    T3_TRY(use_wal(lite, conn, error_out));
    return t3_lite_checkpoint_start(lite, error_out);
}

tears_status t3_lite_open(const struct t3_lite_options *options, struct t3_deadline deadline,
                          struct t3_lite **lite_out, struct tears_error *error_out)
{
    struct t3_lite *lite = t3_alloc_zero(1, sizeof *lite);
    if (lite == NULL)
        return t3_fail_memory(error_out, options->origin);
    lite->origin = options->origin;
    lite->log = options->log;
    lite->reader_max = options->reader_max != 0 ? options->reader_max : READERS_DEFAULT;
    lite->is_relaxed = options->is_relaxed;
    lite->wal_pages_max = options->wal_pages_max != 0 ? options->wal_pages_max : T3_LITE_WAL_PAGES;
    lite->must_exist = options->must_exist;
    lite->application = options->application;
    lite->vfs = options->vfs;
    t3_mutex_init(&lite->mutex);
    t3_cond_init(&lite->reader_back);
    t3_cond_init(&lite->writer_back);
    t3_cond_init(&lite->checkpoint_due);
    tears_status status = set_path(lite, options->path, error_out);
    if (status == TEARS_OK)
        status = open_writer(lite, deadline, error_out);
    if (status != TEARS_OK) {
        t3_lite_free(lite);
        return status;
    }
    *lite_out = lite;
    return TEARS_OK;
}

void t3_lite_free(struct t3_lite *lite)
{
    if (lite == NULL)
        return;
    t3_lite_checkpoint_stop(lite);
    while (lite->idle != NULL) {
        struct t3_lite_conn *conn = lite->idle;
        lite->idle = conn->next;
        t3_lite_conn_free(conn);
    }
    /* Last, because the last connection to close copies the WAL into the file and removes it. */
    if (lite->writer != NULL)
        lite->writer->deadline = t3_deadline_in_ms(1000);
    t3_lite_conn_free(lite->writer);
    t3_cond_done(&lite->checkpoint_due);
    t3_cond_done(&lite->writer_back);
    t3_cond_done(&lite->reader_back);
    t3_mutex_done(&lite->mutex);
    t3_free(lite->uri);
    t3_free(lite->path);
    t3_free(lite);
}

struct tears_str t3_lite_path(const struct t3_lite *lite)
{
    return tears_str_c(lite->path);
}

uint32_t t3_lite_reader_max(const struct t3_lite *lite)
{
    return lite->reader_max;
}

bool t3_lite_is_read_only(const struct t3_lite *lite)
{
    return lite->read_only;
}

/* ---- lending ---- */

/* An idle reader, or the right to open one more (*conn_out NULL). */
static tears_status claim_reader_locked(struct t3_lite *lite, struct t3_deadline deadline,
                                        struct t3_lite_conn **conn_out) T3_REQUIRES(lite->mutex)
{
    while (lite->idle == NULL && lite->reader_count >= lite->reader_max)
        if (!t3_cond_wait(&lite->reader_back, &lite->mutex, deadline) && lite->idle == NULL)
            return TEARS_TIMEOUT;
    *conn_out = lite->idle;
    if (lite->idle != NULL)
        lite->idle = lite->idle->next;
    else
        lite->reader_count++;
    return TEARS_OK;
}

static void disclaim_reader(struct t3_lite *lite)
{
    t3_lock(&lite->mutex);
    lite->reader_count--;
    t3_cond_signal(&lite->reader_back);
    t3_unlock(&lite->mutex);
}

static tears_status open_reader(struct t3_lite *lite, struct t3_deadline deadline,
                                struct t3_lite_conn **conn_out, struct tears_error *error_out)
{
    T3_TRY(open_conn(lite, lite->read_only, deadline, conn_out, error_out));
    const tears_status status =
        t3_lite_exec(*conn_out, "PRAGMA query_only=ON; PRAGMA cache_size=-8192", error_out);
    if (status != TEARS_OK)
        t3_lite_conn_free(T3_TAKE(*conn_out));
    return status;
}

tears_status t3_lite_take_reader(struct t3_lite *lite, struct t3_deadline deadline,
                                 struct t3_lite_conn **conn_out, struct tears_error *error_out)
{
    struct t3_lite_conn *conn = NULL;
    t3_lock(&lite->mutex);
    tears_status status = claim_reader_locked(lite, deadline, &conn);
    t3_unlock(&lite->mutex);
    if (status != TEARS_OK)
        return t3_fail(error_out, status, lite->origin,
                       "%s: all %u reading connections are in use, and the deadline passed",
                       lite->path, lite->reader_max);
    if (conn == NULL) {
        status = open_reader(lite, deadline, &conn, error_out);
        if (status != TEARS_OK) {
            disclaim_reader(lite);
            return status;
        }
    }
    conn->deadline = deadline;
    *conn_out = conn;
    return TEARS_OK;
}

static struct t3_lite_conn *claim_writer_locked(struct t3_lite *lite, struct t3_deadline deadline)
    T3_REQUIRES(lite->mutex)
{
    while (lite->writer == NULL)
        if (!t3_cond_wait(&lite->writer_back, &lite->mutex, deadline) && lite->writer == NULL)
            return NULL;
    return T3_TAKE(lite->writer);
}

tears_status t3_lite_take_writer(struct t3_lite *lite, struct t3_deadline deadline,
                                 struct t3_lite_conn **conn_out, struct tears_error *error_out)
{
    if (lite->read_only)
        return t3_fail_detail(error_out, TEARS_DENIED, lite->origin, SQLITE_READONLY, "",
                              "%s: the file is read-only", lite->path);
    t3_lock(&lite->mutex);
    struct t3_lite_conn *conn = claim_writer_locked(lite, deadline);
    t3_unlock(&lite->mutex);
    if (conn == NULL)
        return t3_fail_detail(
            error_out, TEARS_TIMEOUT, lite->origin, SQLITE_BUSY, "",
            "%s: another transaction of this process is writing, and the deadline passed",
            lite->path);
    conn->deadline = deadline;
    *conn_out = conn;
    return TEARS_OK;
}

void t3_lite_give(struct t3_lite_conn *conn)
{
    struct t3_lite *lite = conn->lite;
    t3_lite_rollback(conn);
    t3_lock(&lite->mutex);
    if (conn->writes) {
        lite->writer = conn;
        t3_cond_signal(&lite->writer_back);
    } else {
        conn->next = lite->idle;
        lite->idle = conn;
        t3_cond_signal(&lite->reader_back);
    }
    t3_unlock(&lite->mutex);
}

void t3_lite_give_auto(struct t3_lite_conn **conn)
{
    if (*conn != NULL)
        t3_lite_give(T3_TAKE(*conn));
}
