/*
 * journal_guard.c -- keeps aside what SQLite would drop from a damaged write-ahead log.
 *
 * Owns:     nothing that outlives a call; writes files PATH.damaged-TIME and never removes one.
 * Must not know: records.
 * Threads:  any; nobody else may be writing the journal meanwhile.
 * Fails:    as journal_impl.h says.
 * Begin at: t3_wal_guard().
 *
 * The database file itself is not opened here: POSIX takes all locks of a process on a file away when any descriptor of that file is closed,
 * and another part of this process may have the journal open through SQLite.  The WAL is never locked.
 */
#include "base/fail.h"
#include "deferred/journal_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <tears/client.h>
#include <time.h>
#include <unistd.h>

enum { NAMES_MAX = 1000, COPY_BYTES = 65536, HEADER_BYTES = 32 };

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd); /* what was written has been synced */
}

static bool read_at(void *owner, uint64_t at, void *to, size_t len)
{
    const int fd = *(const int *)owner;
    for (size_t done = 0; done < len;) {
        const ssize_t got = pread(fd, (char *)to + done, len - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        done += (size_t)got;
    }
    return true;
}

static tears_status fail_file(const char *path, const char *what, struct tears_error *error_out)
{
    const int cause = errno;
    tears_status status = TEARS_UNAVAILABLE;
    if (cause == ENOSPC || cause == EDQUOT || cause == EFBIG)
        status = TEARS_LIMIT;
    else if (cause == EACCES || cause == EPERM || cause == EROFS)
        status = TEARS_DENIED;
    return t3_fail_detail(error_out, status, T3_JOURNAL_ORIGIN, cause, "", "%s cannot be %s: %s",
                          path, what,
                          status == TEARS_LIMIT    ? "the disk is full"
                          : status == TEARS_DENIED ? "permission denied"
                                                   : "input/output error");
}

/* ---- keeping aside ---- */

/* A new file PATH.damaged-20260603T120000Z, with a number when that is taken. */
static tears_status make_aside(const char *path, struct t3_buf *name, int *fd_out,
                               struct tears_error *error_out)
{
    char text[32];
    struct tm utc;
    const time_t now = (time_t)(t3_calendar_us() / 1000000);
    if (gmtime_r(&now, &utc) == NULL || strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &utc) == 0)
        text[0] = '\0';
    for (int i = 0; i < NAMES_MAX; i++) {
        t3_buf_clear(name);
        tears_status status = t3_buf_printf(name, "%s.damaged-%s", path, text);
        if (status == TEARS_OK && i > 0)
            status = t3_buf_printf(name, "-%d", i);
        if (status != TEARS_OK)
            return t3_fail_memory(error_out, T3_JOURNAL_ORIGIN);
        *fd_out = open(name->ptr, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0600);
        if (*fd_out >= 0)
            return TEARS_OK;
        if (errno != EEXIST)
            break;
    }
    return fail_file(name->ptr, "made", error_out);
}

static bool write_all(int fd, const char *bytes, size_t len)
{
    for (size_t done = 0; done < len;) {
        const ssize_t put = write(fd, bytes + done, len - done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return false;
        done += (size_t)put;
    }
    return true;
}

static bool copy(int from, int to, uint64_t at, uint64_t len)
{
    char bytes[COPY_BYTES];
    while (len > 0) {
        const size_t part = len < sizeof bytes ? (size_t)len : sizeof bytes;
        if (!read_at(&from, at, bytes, part) || !write_all(to, bytes, part))
            return false;
        at += part;
        len -= part;
    }
    return true;
}

/* The WAL's header, so that the frames can be read, and the tail. */
static tears_status keep_aside(const char *path, int wal, const struct t3_wal_report *report,
                               struct t3_buf *name, struct tears_error *error_out)
{
    T3_AUTO(close_fd) int fd = -1;
    T3_TRY(make_aside(path, name, &fd, error_out));
    const bool is_all = report->tail_at == 0;
    if ((is_all || copy(wal, fd, 0, HEADER_BYTES)) &&
        copy(wal, fd, report->tail_at, report->tail_bytes) && fsync(fd) == 0)
        return TEARS_OK;
    const tears_status status = fail_file(name->ptr, "written", error_out);
    (void)unlink(name->ptr); /* a part of it would only mislead */
    return status;
}

/* ---- what was found ---- */

static void tell(const char *path, const struct t3_wal_report *report, const char *name,
                 const struct t3_log *log)
{
    if (report->is_header_damaged)
        t3_log(log, TEARS_LOG_ERROR, T3_JOURNAL_ORIGIN,
               "%s-wal: its header is damaged; none of its %" PRIu64
               " bytes can be used, and writes that were durable are missing. They are kept in %s",
               path, report->tail_bytes, name);
    else if (report->lost_commits > 0)
        t3_log(log, TEARS_LOG_ERROR, T3_JOURNAL_ORIGIN,
               "%s-wal: %" PRIu64
               " bytes behind the last commit that checks are damaged; at least %" PRIu64
               " commits that were durable are missing. They are kept in %s",
               path, report->tail_bytes, report->lost_commits, name);
    else
        t3_log(log, TEARS_LOG_WARN, T3_JOURNAL_ORIGIN,
               "%s-wal: %" PRIu64 " bytes behind the last commit do not check: the process or the "
               "machine stopped while they were written, or they are "
               "damaged. They are kept in %s",
               path, report->tail_bytes, name);
}

static tears_status deal_with(const char *path, int wal, const struct t3_wal_report *report,
                              const struct t3_log *log, struct tears_error *error_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf name = {0};
    const tears_status status = keep_aside(path, wal, report, &name, error_out);
    if (status == TEARS_OK) {
        tell(path, report, name.ptr, log);
        return TEARS_OK;
    }
    if (report->lost_commits > 0 || report->is_header_damaged)
        return status; /* SQLite would write over them */
    t3_log(log, TEARS_LOG_WARN, T3_JOURNAL_ORIGIN,
           "%s-wal: %" PRIu64
           " bytes behind the last commit do not check, and cannot be kept aside",
           path, report->tail_bytes);
    t3_error_clear(error_out);
    return TEARS_OK;
}

/* SQLite deletes a WAL that has no database. */
static tears_status check_main(const char *path, const struct t3_wal_report *report,
                               struct tears_error *error_out)
{
    struct stat main;
    const bool is_missing = stat(path, &main) != 0 && errno == ENOENT;
    if ((!is_missing && main.st_size > 0) || (report->commits == 0 && report->tail_bytes == 0))
        return TEARS_OK;
    return t3_fail(error_out, TEARS_CORRUPT, T3_JOURNAL_ORIGIN,
                   "%s is %s, but %s-wal has %" PRIu64
                   " commits that belong to it: put the file back, or move the other away to begin "
                   "anew; nothing was changed",
                   path, is_missing ? "missing" : "empty", path, report->commits);
}

/* Waits a moment for whoever may be in the middle of a write: a tool that changes a dead letter is no owner. */
static tears_status check_at_rest(int wal, struct t3_wal_report *report)
{
    for (int i = 0;; i++) {
        struct stat stat;
        struct t3_wal_report again;
        if (fstat(wal, &stat) != 0)
            stat.st_size = 0;
        const struct t3_wal_source source = {
            .read = read_at, .owner = &wal, .size = (uint64_t)stat.st_size};
        T3_TRY(t3_wal_check(&source, &again));
        const bool is_same =
            i > 0 && again.tail_at == report->tail_at && again.tail_bytes == report->tail_bytes;
        *report = again;
        if (again.tail_bytes == 0 || is_same || i == 10)
            return TEARS_OK;
        const struct timespec pause = {.tv_nsec = 5000000};
        (void)nanosleep(&pause, NULL);
    }
}

tears_status t3_wal_guard(const char *path, const struct t3_log *log, bool *damaged_out,
                          struct tears_error *error_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf name = {0};
    if (t3_buf_printf(&name, "%s-wal", path) != TEARS_OK)
        return t3_fail_memory(error_out, T3_JOURNAL_ORIGIN);
    T3_AUTO(close_fd) int wal = open(name.ptr, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    *damaged_out = false;
    if (wal < 0)
        return errno == ENOENT || errno == ENOTDIR ? TEARS_OK
                                                   : fail_file(name.ptr, "opened", error_out);
    struct t3_wal_report report = {0};
    if (check_at_rest(wal, &report) != TEARS_OK)
        return t3_fail_memory(error_out, T3_JOURNAL_ORIGIN);
    T3_TRY(check_main(path, &report, error_out));
    if (report.tail_bytes == 0)
        return TEARS_OK;
    if (report.is_unfinished) {
        t3_log(log, TEARS_LOG_INFO, T3_JOURNAL_ORIGIN,
               "%s-wal: a write was not finished when the process or the machine stopped; nobody "
               "was told that it is durable",
               path);
        return TEARS_OK;
    }
    *damaged_out = true;
    return deal_with(path, wal, &report, log, error_out);
}
