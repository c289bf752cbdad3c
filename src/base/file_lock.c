/*
 * file_lock.c -- a lock between processes on a file of its own.
 *
 * Owns:     the descriptor, until it is handed out.
 * Must not know: what is locked.
 * Threads:  any.
 * Fails:    as file_lock.h says.
 * Begin at: t3_file_lock_try().
 *
 * Why flock and not fcntl: fcntl's locks belong to the process, so two callers within one would not keep each other out,
 * and closing any descriptor of the file would drop them.
 */
#include "base/file_lock.h"

#include "base/fail.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#define ORIGIN "file"

static tears_status failed(const char *path, int cause, struct tears_error *error_out)
{
    tears_status status = TEARS_UNAVAILABLE;
    const char *text = "it cannot be opened";
    if (cause == EACCES || cause == EPERM || cause == EROFS) {
        status = TEARS_DENIED;
        text = "permission denied";
    } else if (cause == EMFILE || cause == ENFILE || cause == ENOSPC || cause == EDQUOT) {
        status = TEARS_LIMIT;
        text = cause == EMFILE || cause == ENFILE ? "too many open files" : "the disk is full";
    } else if (cause == ENOENT || cause == ENOTDIR) {
        text = "no such directory";
    }
    return t3_fail_detail(error_out, status, ORIGIN, cause, "", "lock file %s: %s", path, text);
}

static int flock_again(int fd)
{
    int rc = flock(fd, LOCK_EX | LOCK_NB);
    while (rc != 0 && errno == EINTR)
        rc = flock(fd, LOCK_EX | LOCK_NB);
    return rc;
}

tears_status t3_file_lock_try(const char *path, int *fd_out, struct tears_error *error_out)
{
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
    if (fd < 0)
        return failed(path, errno, error_out);
    if (flock_again(fd) == 0) {
        *fd_out = fd;
        return TEARS_OK;
    }
    const int cause = errno;
    (void)close(fd); /* nothing was written */
    if (cause == EWOULDBLOCK)
        return TEARS_CONFLICT;
    return failed(path, cause, error_out);
}

void t3_file_lock_drop(int fd)
{
    (void)close(fd); /* the lock goes with it; nothing was written */
}
