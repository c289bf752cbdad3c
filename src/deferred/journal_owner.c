/*
 * journal_owner.c -- who owns a journal: a locked file beside it.
 *
 * Owns:     the descriptor of the lock file.
 * Must not know: what a journal holds.
 * Threads:  any may touch; the rest belongs to opening and closing.
 * Fails:    as journal_impl.h says.
 * Begin at: t3_owner_lock().
 *
 * The kernel ends the lock of a process that dies.  A process that lives but does not run keeps it, so whoever takes over puts a
 * file of its own in the place of the old one, which stays with the sleeper.  Hence everybody who has got a lock looks
 * whether the locked file still is the one at the path.
 */
#include "base/alloc.h"
#include "base/fail.h"
#include "codec/text.h"
#include "deferred/journal_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    TRIES_MAX = 100, /* of a lock file that is replaced again and again */
    PID_BYTES = 32
};

static tears_status failed(const struct t3_owner *owner, const char *what, int cause,
                           struct tears_error *error_out)
{
    tears_status status = TEARS_UNAVAILABLE;
    const char *text = "input/output error";
    if (cause == EACCES || cause == EPERM || cause == EROFS) {
        status = TEARS_DENIED;
        text = "permission denied";
    } else if (cause == ENOSPC || cause == EDQUOT || cause == EFBIG) {
        status = TEARS_LIMIT;
        text = "the disk is full, or a file size limit is reached";
    } else if (cause == EMFILE || cause == ENFILE) {
        status = TEARS_LIMIT;
        text = "too many open files";
    } else if (cause == ENOENT || cause == ENOTDIR) {
        text = "no such directory";
    }
    return t3_fail_detail(error_out, status, T3_JOURNAL_ORIGIN, cause, "",
                          "%s: the lock file cannot be %s: %s", owner->path, what, text);
}

tears_status t3_owner_init(struct t3_owner *owner, struct tears_str journal_path,
                           struct tears_error *error_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf path = {0};
    owner->fd = -1;
    if (t3_buf_put(&path, journal_path) != TEARS_OK ||
        t3_buf_put(&path, TEARS_STR(".owner")) != TEARS_OK)
        return t3_fail_memory(error_out, T3_JOURNAL_ORIGIN);
    owner->path = t3_buf_take(&path);
    return TEARS_OK;
}

void t3_owner_done(struct t3_owner *owner)
{
    if (owner->path == NULL)
        return; /* never began */
    t3_owner_unlock(owner);
    t3_free(T3_TAKE(owner->path));
}

/* ---- looking ---- */

static int64_t nanoseconds(struct timespec time)
{
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static uint64_t read_pid(int fd)
{
    char text[PID_BYTES];
    const ssize_t len = pread(fd, text, sizeof text, 0);
    int64_t pid = 0;
    if (len <= 0 || text[len - 1] != '\n' ||
        t3_int_parse(tears_str_n(text, (size_t)len - 1), &pid) != TEARS_OK || pid < 0)
        return 0;
    return (uint64_t)pid;
}

static bool see(int fd, struct t3_owner_seen *seen_out)
{
    struct stat stat;
    if (fstat(fd, &stat) != 0)
        return false;
    const int64_t idle_ms = (t3_calendar_us() - nanoseconds(stat.st_mtim) / 1000) / 1000;
    *seen_out = (struct t3_owner_seen){.device = stat.st_dev,
                                       .inode = stat.st_ino,
                                       .touched_ns = nanoseconds(stat.st_mtim),
                                       .pid = read_pid(fd),
                                       .idle_ms = idle_ms > 0 ? (uint64_t)idle_ms : 0};
    return true;
}

bool t3_owner_is_unchanged(const struct t3_owner *owner, const struct t3_owner_seen *seen)
{
    struct stat now;
    return stat(owner->path, &now) == 0 && now.st_dev == seen->device &&
           now.st_ino == seen->inode && nanoseconds(now.st_mtim) == seen->touched_ns;
}

static bool is_at_path(const char *path, int fd)
{
    struct stat ours;
    struct stat there;
    return fstat(fd, &ours) == 0 && stat(path, &there) == 0 && ours.st_dev == there.st_dev &&
           ours.st_ino == there.st_ino;
}

bool t3_owner_is_ours(const struct t3_owner *owner)
{
    return owner->fd >= 0 && is_at_path(owner->path, owner->fd);
}

static int flock_again(int fd, int how)
{
    int rc = flock(fd, how | LOCK_NB);
    while (rc != 0 && errno == EINTR)
        rc = flock(fd, how | LOCK_NB);
    return rc;
}

bool t3_owner_look(const struct t3_owner *owner, struct t3_owner_seen *seen_out)
{
    const int fd = open(owner->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return false;
    /* A shared lock that is given back at once: whoever wants to own the journal meanwhile tries again. */
    const bool is_owned = flock_again(fd, LOCK_SH) != 0 && errno == EWOULDBLOCK;
    const bool is_seen = see(fd, seen_out);
    (void)close(fd); /* nothing was written */
    return is_owned && is_seen;
}

/* ---- locking ---- */

static tears_status write_pid(struct t3_owner *owner, int fd, struct tears_error *error_out)
{
    char text[PID_BYTES];
    const int len = snprintf(text, sizeof text, "%lld\n", (long long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)len, 0) != len)
        return failed(owner, "written", errno, error_out);
    return TEARS_OK;
}

/* TEARS_NOT_FOUND: another file has taken its place meanwhile. */
static tears_status lock_once(struct t3_owner *owner, struct t3_owner_seen *seen_out,
                              struct tears_error *error_out)
{
    const int fd = open(owner->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
    if (fd < 0)
        return failed(owner, "opened", errno, error_out);
    tears_status status = TEARS_OK;
    if (flock_again(fd, LOCK_EX) != 0)
        status = errno == EWOULDBLOCK ? TEARS_CONFLICT : failed(owner, "locked", errno, error_out);
    if (status == TEARS_CONFLICT)
        (void)see(fd, seen_out);
    if (status == TEARS_OK || status == TEARS_CONFLICT)
        status = is_at_path(owner->path, fd) ? status : TEARS_NOT_FOUND;
    if (status == TEARS_OK)
        status = write_pid(owner, fd, error_out);
    if (status == TEARS_OK)
        owner->fd = fd;
    else
        (void)close(fd); /* nothing that matters was written */
    return status;
}

tears_status t3_owner_lock(struct t3_owner *owner, struct t3_owner_seen *seen_out,
                           struct tears_error *error_out)
{
    tears_status status = TEARS_NOT_FOUND;
    for (int i = 0; i < TRIES_MAX && status == TEARS_NOT_FOUND; i++)
        status = lock_once(owner, seen_out, error_out);
    if (status == TEARS_NOT_FOUND)
        return failed(owner, "locked", EBUSY, error_out);
    return status;
}

bool t3_owner_hold(struct t3_owner *owner)
{
    const int fd = open(owner->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return false;
    if (flock_again(fd, LOCK_EX) != 0 || !is_at_path(owner->path, fd)) {
        (void)close(fd); /* nothing was written */
        return false;
    }
    owner->fd = fd;
    return true;
}

/* A locked file under a name of its own; what a process that died here leaves is taken over by name, not used. */
static tears_status make_file(struct t3_owner *owner, const char *name, int *fd_out,
                              struct tears_error *error_out)
{
    const int fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0666);
    if (fd < 0)
        return failed(owner, "replaced", errno, error_out);
    tears_status status = TEARS_OK;
    if (flock_again(fd, LOCK_EX) != 0)
        status = failed(owner, "locked", errno, error_out);
    if (status == TEARS_OK)
        status = write_pid(owner, fd, error_out);
    if (status != TEARS_OK) {
        (void)close(fd);
        (void)unlink(name);
        return status;
    }
    *fd_out = fd;
    return TEARS_OK;
}

tears_status t3_owner_replace(struct t3_owner *owner, struct tears_error *error_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf name = {0};
    uint8_t uuid[16];
    char text[40];
    int fd = -1;
    tears_uuid_new(uuid);
    tears_uuid_text(uuid, text);
    if (t3_buf_printf(&name, "%s-%s", owner->path, text) != TEARS_OK)
        return t3_fail_memory(error_out, T3_JOURNAL_ORIGIN);
    T3_TRY(make_file(owner, name.ptr, &fd, error_out));
    if (rename(name.ptr, owner->path) != 0) {
        const int cause = errno;
        (void)close(fd);
        (void)unlink(name.ptr);
        return failed(owner, "replaced", cause, error_out);
    }
    t3_owner_unlock(owner);
    owner->fd = fd;
    return TEARS_OK;
}

void t3_owner_touch(const struct t3_owner *owner)
{
    /* Without rights to do so a journal could not be open; whatever else fails shows as silence. */
    if (owner->fd >= 0)
        (void)futimens(owner->fd, NULL);
}

void t3_owner_unlock(struct t3_owner *owner)
{
    if (owner->fd >= 0)
        (void)close(owner->fd); /* the lock goes with it */
    owner->fd = -1;
}
