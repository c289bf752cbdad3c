/*
 * lite_error.c -- SQLite's result codes as statuses, with messages that name the file and the
 * table.
 *
 * Owns:     the table of codes.
 * Must not know: what any statement was for.
 * Threads:  any; a connection's error is its user's.
 * Begin at: t3_lite_status().
 */
#include "base/fail.h"
#include "driver/lite_impl.h"

#include <errno.h>

static const struct {
    int code; /* an extended code, or a primary one that stands for all its others */
    tears_status status;
} statuses[] = {
    /* extended codes that differ from their primary code come first */
    {SQLITE_CONSTRAINT_PRIMARYKEY, TEARS_CONFLICT},
    {SQLITE_CONSTRAINT_ROWID, TEARS_CONFLICT},
    {SQLITE_CONSTRAINT_UNIQUE, TEARS_CONFLICT},
    {SQLITE_BUSY_SNAPSHOT, TEARS_CONFLICT},
    {SQLITE_IOERR_NOMEM, TEARS_NO_MEMORY},
    {SQLITE_IOERR_CORRUPTFS, TEARS_CORRUPT},
    {SQLITE_READONLY_DBMOVED, TEARS_UNAVAILABLE},
    /* primary codes */
    {SQLITE_CONSTRAINT,
     TEARS_INVALID}, /* NOT NULL, CHECK, FOREIGN KEY, a trigger's RAISE, a STRICT table's types */
    {SQLITE_MISMATCH, TEARS_INVALID},
    {SQLITE_ERROR, TEARS_INVALID}, /* the SQL text */
    {SQLITE_RANGE, TEARS_INVALID},
    {SQLITE_BUSY, TEARS_TIMEOUT}, /* the busy handler gives up only at the deadline */
    {SQLITE_LOCKED, TEARS_TIMEOUT},
    {SQLITE_INTERRUPT, TEARS_TIMEOUT}, /* as does the progress handler */
    {SQLITE_FULL, TEARS_LIMIT},
    {SQLITE_TOOBIG, TEARS_LIMIT},
    {SQLITE_NOLFS, TEARS_LIMIT},
    {SQLITE_NOMEM, TEARS_NO_MEMORY},
    {SQLITE_READONLY, TEARS_DENIED},
    {SQLITE_PERM, TEARS_DENIED},
    {SQLITE_AUTH, TEARS_DENIED},
    {SQLITE_CORRUPT, TEARS_CORRUPT},
    {SQLITE_NOTADB, TEARS_CORRUPT},
    {SQLITE_FORMAT, TEARS_CORRUPT},
    {SQLITE_CANTOPEN, TEARS_UNAVAILABLE},
    {SQLITE_IOERR, TEARS_UNAVAILABLE},
    {SQLITE_PROTOCOL, TEARS_UNAVAILABLE},
    {SQLITE_SCHEMA, TEARS_CONFLICT}, /* the table kept changing while the statement was prepared */
};

/* A full disk and missing rights reach SQLite as plain I/O errors in some places; errno tells. */
static tears_status status_of_errno(int system_errno, tears_status otherwise)
{
    if (system_errno == ENOSPC || system_errno == EDQUOT || system_errno == EFBIG)
        return TEARS_LIMIT;
    if (system_errno == EACCES || system_errno == EPERM || system_errno == EROFS)
        return TEARS_DENIED;
    return otherwise;
}

tears_status t3_lite_status(int code, int system_errno)
{
    for (size_t i = 0; i < T3_COUNT(statuses); i++) {
        const int known = statuses[i].code;
        if (known != code && (known > 0xff || known != (code & 0xff)))
            continue;
        const bool may_be_system = known == SQLITE_CANTOPEN || known == SQLITE_IOERR;
        return may_be_system ? status_of_errno(system_errno, statuses[i].status)
                             : statuses[i].status;
    }
    return TEARS_INTERNAL;
}

static int last_errno(sqlite3_file *file)
{
    int found = 0;
    if (file != NULL && file->pMethods != NULL)
        (void)file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &found);
    return found;
}

/*
 * Why the last call failed.  SQLite reads errno when it makes its error, and by then a later system
 * call may have changed it; the files remember the errno of their own last failure, so after a
 * failed write they are asked.
 */
static int errno_of(sqlite3 *handle, int code)
{
    sqlite3_file *files[2] = {NULL, NULL};
    const int known = sqlite3_system_errno(handle);
    if (code != SQLITE_IOERR_WRITE || status_of_errno(known, TEARS_OK) != TEARS_OK)
        return known;
    (void)sqlite3_file_control(handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &files[0]);
    (void)sqlite3_file_control(handle, "main", SQLITE_FCNTL_FILE_POINTER, &files[1]);
    const int journal = last_errno(files[0]);
    return status_of_errno(journal, TEARS_OK) != TEARS_OK ? journal : last_errno(files[1]);
}

static const char *cause_of_open_failure(int system_errno)
{
    switch (system_errno) {
    case ENOENT:
    case ENOTDIR:
        return "the file cannot be opened: no such directory";
    case EACCES:
    case EPERM:
    case EROFS:
        return "the file cannot be opened: permission denied";
    case EMFILE:
    case ENFILE:
        return "the file cannot be opened: too many open files";
    default:
        return "the file cannot be opened";
    }
}

/* SQLite's words where they would leave a person guessing. */
static const char *cause_of(sqlite3 *handle, int code, tears_status status)
{
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return "another connection holds the lock, and the deadline passed";
    case SQLITE_INTERRUPT:
        return "the deadline passed while the statement ran";
    case SQLITE_AUTH:
        return "a statement may not end transactions, attach files or change settings here";
    case SQLITE_NOTADB:
        return "the file is not an SQLite database";
    case SQLITE_CORRUPT:
        return "the database file is damaged (database disk image is malformed)";
    case SQLITE_CANTOPEN:
        return cause_of_open_failure(sqlite3_system_errno(handle));
    case SQLITE_IOERR:
        return status == TEARS_LIMIT ? "the disk is full, or a file size limit is reached"
                                     : sqlite3_errmsg(handle);
    default:
        return sqlite3_errmsg(handle);
    }
}

tears_status t3_lite_fail(struct t3_lite_conn *conn, int code, struct tears_str table,
                          struct tears_error *error_out)
{
    const int extended = sqlite3_extended_errcode(conn->handle);
    if ((extended & 0xff) ==
        (code & 0xff)) /* else the failure was noticed without the connection */
        code = extended;
    const int system_errno = errno_of(conn->handle, code);
    const tears_status status = t3_lite_status(code, system_errno);
    const char *cause = cause_of(conn->handle, code, status);
    if (table.len == 0)
        return t3_fail_detail(error_out, status, conn->origin, code, "", "%s: %s", conn->path,
                              cause);
    return t3_fail_detail(error_out, status, conn->origin, code, "",
                          "%s: table '" T3_STR_FMT "': %s", conn->path, T3_STR_ARG(table), cause);
}
