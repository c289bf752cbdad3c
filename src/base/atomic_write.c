/*
 * atomic_write.c -- replaces a file as a whole.
 *
 * Owns:     the folder's descriptor and the new file, while a call lasts.
 * Must not know: what the content is.
 * Threads:  any.
 * Fails:    as tears/file.h says; before the rename everything is left as it was.
 * Begin at: tears_file_replace().
 *
 * Everything happens relative to a descriptor of the folder: what is looked at, written, renamed and
 * brought to the disk is in the same folder, also when someone renames it meanwhile.  A
 * link that appears after we looked is replaced by the rename, which never follows one.
 */
#include "base/fail.h"
#include "base/sized.h"
#include "base/str.h"

#include <tears/file.h>
#include <tears/value.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define ORIGIN "file"

enum {
    PATH_BYTES_MAX = 4096,
    NAME_BYTES_MAX = 255,
    LINKS_MAX = 40,        /* the kernel's own limit */
    SUFFIX_BYTES = 5 + 32, /* ".tmp." and the digits */
    TRIES_MAX = 4 /* a temporary name that exists already: another process's, or bad luck */
};

/* Where the file is. */
struct place {
    int folder;
    char name[NAME_BYTES_MAX + 1];
    struct stat old; /* of what is there; st_nlink 0: nothing */
};

/* The new file until it has its name. */
struct fresh {
    int fd;
    char name[NAME_BYTES_MAX + 1];
};

/* ---- finding the place ------------------------------------------------------------------------- */

/* Opens the folder of `path` (relative to place->folder, which is closed) and keeps the name in it. */
static int place_enter(struct place *place, struct tears_str path)
{
    char folder[PATH_BYTES_MAX];
    size_t slash = path.len;
    while (slash > 0 && path.ptr[slash - 1] != '/')
        slash--;
    const struct tears_str name = t3_str_from(path, slash);
    if (path.len >= sizeof folder || name.len > NAME_BYTES_MAX)
        return ENAMETOOLONG;
    if (name.len == 0 || t3_str_is(name, ".") || t3_str_is(name, ".."))
        return EISDIR;
    memcpy(place->name, name.ptr, name.len);
    place->name[name.len] = '\0';
    if (slash > 0)
        memcpy(folder, path.ptr, slash);
    else
        folder[slash++] = '.';
    folder[slash] = '\0';
    const int fd = openat(place->folder, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    if (place->folder >= 0)
        (void)close(place->folder); /* nothing was written to it */
    place->folder = fd;
    return 0;
}

static int place_look(struct place *place)
{
    if (fstatat(place->folder, place->name, &place->old, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    place->old.st_nlink = 0;
    return errno == ENOENT ? 0 : errno;
}

/* Goes where the link leads. */
static int place_follow(struct place *place)
{
    char target[PATH_BYTES_MAX];
    const ssize_t len = readlinkat(place->folder, place->name, target, sizeof target);
    if (len < 0)
        return errno;
    if ((size_t)len == sizeof target)
        return ENAMETOOLONG;
    return place_enter(place, tears_str_n(target, (size_t)len));
}

static int place_find(struct place *place, struct tears_str path, uint64_t link)
{
    int rc = place_enter(place, path);
    for (unsigned links = 0; rc == 0 && links <= LINKS_MAX; links++) {
        rc = place_look(place);
        if (rc != 0 || place->old.st_nlink == 0 || S_ISREG(place->old.st_mode))
            return rc;
        if (!S_ISLNK(place->old.st_mode))
            return S_ISDIR(place->old.st_mode) ? EISDIR : EINVAL;
        if (link == TEARS_FILE_LINK_REPLACE) {
            place->old.st_nlink = 0; /* a link's mode says nothing about the file */
            return 0;
        }
        if (link == TEARS_FILE_LINK_REFUSE)
            return ELOOP;
        rc = place_follow(place);
    }
    return rc != 0 ? rc : ELOOP;
}

/* ---- the new file ------------------------------------------------------------------------------ */

static int fresh_create(const struct place *place, struct fresh *fresh)
{
    const size_t room = NAME_BYTES_MAX - SUFFIX_BYTES;
    size_t len = strlen(place->name);
    while (len > room ||
           (len < strlen(place->name) && ((unsigned char)place->name[len] & 0xc0) == 0x80))
        len--; /* a shorter name, cut between characters */
    for (unsigned tries = 0; tries < TRIES_MAX; tries++) {
        uint8_t id[16];
        tears_uuid_new(id);
        int used = snprintf(fresh->name, sizeof fresh->name, "%.*s.tmp.", (int)len, place->name);
        for (size_t i = 0; i < sizeof id; i++)
            used += snprintf(fresh->name + used, sizeof fresh->name - (size_t)used, "%02x", id[i]);
        fresh->fd = openat(place->folder, fresh->name,
                           O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fresh->fd >= 0)
            return 0;
        if (errno != EEXIST)
            return errno;
    }
    return EEXIST;
}

/* A write may take less than it was given; one that takes nothing would be tried for ever. */
static int fresh_write(const struct fresh *fresh, struct tears_str content)
{
    size_t done = 0;
    while (done < content.len) {
        const ssize_t taken = write(fresh->fd, content.ptr + done, content.len - done);
        if (taken < 0 && errno == EINTR)
            continue;
        if (taken < 0)
            return errno;
        if (taken == 0)
            return EIO;
        done += (size_t)taken;
    }
    return 0;
}

/* Owner first, for changing it may take mode bits away. */
static int fresh_own(const struct fresh *fresh, const struct place *place, uint64_t mode)
{
    struct stat now;
    if (mode == 0 && place->old.st_nlink == 0)
        return fchmod(fresh->fd, 0600) == 0 ? 0 : errno;
    if (mode != 0)
        return fchmod(fresh->fd, (mode_t)mode) == 0 ? 0 : errno;
    mode_t kept = place->old.st_mode & 0777;
    if (fstat(fresh->fd, &now) != 0)
        return errno;
    if ((now.st_uid != place->old.st_uid || now.st_gid != place->old.st_gid) &&
        fchown(fresh->fd, place->old.st_uid, place->old.st_gid) != 0 &&
        (now.st_gid != place->old.st_gid && fchown(fresh->fd, (uid_t)-1, place->old.st_gid) != 0))
        kept &= (mode_t)(0707 | ((kept & 07) << 3)); /* this group is not the one that was meant */
    return fchmod(fresh->fd, kept) == 0 ? 0 : errno;
}

static int sync_file(int fd)
{
    int rc = 0;
    do
        rc = fsync(fd);
    while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : errno;
}

/* Everything up to the rename; a file that was created and is not renamed is removed. */
static int fresh_put(const struct place *place, struct tears_str content, uint64_t mode)
{
    struct fresh fresh;
    int rc = fresh_create(place, &fresh);
    if (rc != 0)
        return rc;
    rc = fresh_write(&fresh, content);
    if (rc == 0)
        rc = fresh_own(&fresh, place, mode);
    if (rc == 0)
        rc = sync_file(fresh.fd);
    if (close(fresh.fd) != 0 && rc == 0 && errno != EINTR) /* EINTR: it is closed all the same */
        rc = errno;
    if (rc == 0 && renameat(place->folder, fresh.name, place->folder, place->name) != 0)
        rc = errno;
    if (rc != 0)
        (void)unlinkat(place->folder, fresh.name, 0); /* the first failure is the one to be told */
    return rc;
}

/* ---- the call ---------------------------------------------------------------------------------- */

static tears_status status_of(int rc)
{
    switch (rc) {
    case EINVAL:
    case EISDIR:
    case ENAMETOOLONG:
        return TEARS_INVALID;
    case ENOENT:
    case ENOTDIR:
        return TEARS_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
    case ELOOP:
        return TEARS_DENIED;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return TEARS_LIMIT;
    default:
        return TEARS_UNAVAILABLE;
    }
}

static tears_status fail(struct tears_error *error_out, struct tears_str path, int rc)
{
    char text[128];
    return t3_fail_detail(error_out, status_of(rc), ORIGIN, rc, "",
                          "file " T3_STR_FMT " was not replaced: %s", T3_STR_ARG(path),
                          rc == ELOOP
                              ? "a symbolic link that is not to be followed, or a loop of them"
                              : strerror_r(rc, text, sizeof text));
}

tears_status tears_file_replace(struct tears_str path, struct tears_str content,
                                const struct tears_file_options *options, bool *durable_out,
                                struct tears_error *error_out)
{
    struct tears_file_options own = {0};
    if (options != NULL)
        T3_TRY(t3_sized_copy(&own, sizeof own, options, ORIGIN, error_out));
    if (own.mode > 0777 || own.link > TEARS_FILE_LINK_REPLACE)
        return t3_fail(error_out, TEARS_MISUSE, ORIGIN, "mode %llo or link %llu is none",
                       (unsigned long long)own.mode, (unsigned long long)own.link);
    if (path.len == 0 || memchr(path.ptr, '\0', path.len) != NULL)
        return fail(error_out, path, EINVAL);
    struct place place = {.folder = AT_FDCWD};
    int rc = place_find(&place, path, own.link);
    if (rc == 0)
        rc = fresh_put(&place, content, own.mode);
    const bool durable = rc == 0 && sync_file(place.folder) == 0;
    if (place.folder >= 0)
        (void)close(place.folder); /* only synced */
    if (rc != 0)
        return fail(error_out, path, rc);
    if (durable_out != NULL)
        *durable_out = durable;
    return TEARS_OK;
}
