/*
 * sandbox_beneath.c -- opens what is below a directory, by the kernel or by a walk of our own.
 *
 * Owns:     the descriptors of a walk, until t3_walk_done.
 * Knows:    base/, the system calls.
 * Must not know: globs, roots with names, secrets.
 * Threads:  any.
 * Fails:    with an errno, as the system calls it is made of; the descriptor is then untouched.
 * Begin at: t3_beneath_open().
 *
 * Why not check a path and then open it: between the two, anyone who may write in the directory can put a
 * symbolic link where the check saw a file.  openat2(2) resolves and opens in one call and refuses
 * what leaves the directory.  Where the kernel lacks it, or a filter forbids it, we walk: every
 * component is opened with O_NOFOLLOW relative to the descriptor of the one before it, links are
 * read and resolved here, and ".." goes back to the descriptor we came from instead of asking the file system,
 * which may have moved the directory elsewhere meanwhile.
 *
 * LIMITATIONS: a hard link is the file itself, wherever its other names are, and a mount below the
 * root counts as being below it.
 */
#include "security/sandbox_beneath.h"

#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(SYS_openat2) && __has_include(<linux/openat2.h>)
#include <linux/openat2.h>
#define HAS_OPENAT2 1
#else
#define HAS_OPENAT2 0
#endif

/* A path that changed under our hands is tried again this often. */
enum { TRIES_MAX = 32 };

static atomic_bool openat2_is_off;

void t3_beneath_use_openat2(bool use)
{
    atomic_store_explicit(&openat2_is_off, !use,
                          memory_order_relaxed); /* a switch; pairs with nothing */
}

/* ---- the walk ---------------------------------------------------------------------------------- */

/* Puts text in front of what is left to do. */
static int rest_prepend(struct t3_walk *walk, struct tears_str text)
{
    if (text.len + 1 > walk->rest_at)
        return ENAMETOOLONG;
    walk->rest[--walk->rest_at] =
        '/'; /* between the text and the rest; more than one does not matter */
    walk->rest_at -= text.len;
    if (text.len > 0)
        memcpy(walk->rest + walk->rest_at, text.ptr, text.len);
    return 0;
}

/* The next component, NUL-terminated; its length is 0 at the end.  ENAMETOOLONG. */
static int rest_take(struct t3_walk *walk, char name[T3_WALK_NAME_BYTES_MAX + 1])
{
    while (walk->rest_at < sizeof walk->rest && walk->rest[walk->rest_at] == '/')
        walk->rest_at++;
    size_t len = 0;
    while (walk->rest_at + len < sizeof walk->rest && walk->rest[walk->rest_at + len] != '/')
        len++;
    if (len > T3_WALK_NAME_BYTES_MAX)
        return ENAMETOOLONG;
    if (len > 0)
        memcpy(name, walk->rest + walk->rest_at, len);
    name[len] = '\0';
    walk->rest_at += len;
    return 0;
}

int t3_walk_fd(const struct t3_walk *walk)
{
    return walk->depth > 0 ? walk->steps[walk->depth - 1].fd : walk->root;
}

static void walk_pop(struct t3_walk *walk)
{
    const int fd = walk->steps[--walk->depth].fd;
    if (fd >= 0)
        (void)close(fd); /* opened with O_PATH: there is nothing to lose */
    walk->key[walk->depth > 0 ? walk->steps[walk->depth - 1].key_len : 0] = '\0';
}

void t3_walk_done(struct t3_walk *walk)
{
    while (walk->depth > 0)
        walk_pop(walk);
}

/* Takes over the descriptor, also when it fails. */
static int walk_push(struct t3_walk *walk, const char *name, int fd)
{
    const size_t before = walk->depth > 0 ? walk->steps[walk->depth - 1].key_len : 0;
    const size_t start = before > 0 ? before + 1 : 0;
    const size_t len = strlen(name);
    if (walk->depth == T3_WALK_DEPTH_MAX || start + len >= sizeof walk->key) {
        if (fd >= 0)
            (void)close(fd);
        return ENAMETOOLONG;
    }
    if (before > 0)
        walk->key[before] = '/';
    memcpy(walk->key + start, name, len + 1);
    walk->steps[walk->depth].fd = fd;
    walk->steps[walk->depth].key_len = start + len;
    walk->depth++;
    return 0;
}

static int walk_up(struct t3_walk *walk)
{
    if (walk->depth > 0)
        walk_pop(walk);
    else if (!walk->unconfined)
        return EXDEV;
    return 0;
}

/* Goes on with the target of the link that `fd` is. */
static int walk_link(struct t3_walk *walk, int fd)
{
    char target[T3_WALK_PATH_BYTES_MAX];
    if (!walk->follow || ++walk->links > T3_WALK_LINKS_MAX)
        return ELOOP;
    const ssize_t len = readlinkat(fd, "", target, sizeof target);
    if (len < 0)
        return errno;
    if (len == 0 || (size_t)len == sizeof target)
        return len == 0 ? ENOENT : ENAMETOOLONG;
    if (target[0] == '/' && !walk->unconfined)
        return EXDEV;
    if (target[0] == '/')
        t3_walk_done(walk);
    return rest_prepend(walk, tears_str_n(target, (size_t)len));
}

static int walk_into(struct t3_walk *walk, const char *name)
{
    if (strcmp(name, ".") == 0)
        return 0;
    if (strcmp(name, "..") == 0)
        return walk_up(walk);
    const int here = t3_walk_fd(walk);
    const int fd = here < 0 ? -1 : openat(here, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && here >= 0 && errno != ENOENT)
        return errno;
    struct stat status;
    if (fd >= 0 && fstat(fd, &status) != 0) {
        const int why = errno;
        (void)close(fd);
        return why;
    }
    if (fd < 0 || !S_ISLNK(status.st_mode))
        return walk_push(walk, name, fd);
    const int rc = walk_link(walk, fd);
    (void)close(fd);
    return rc;
}

int t3_walk_path(struct t3_walk *walk, int root, struct tears_str path)
{
    char name[T3_WALK_NAME_BYTES_MAX + 1];
    walk->root = root;
    walk->links = 0;
    walk->depth = 0;
    walk->key[0] = '\0';
    walk->rest_at = sizeof walk->rest;
    if (path.len > 0 && memchr(path.ptr, '\0', path.len) != NULL)
        return EINVAL;
    if (path.len >= T3_WALK_PATH_BYTES_MAX)
        return ENAMETOOLONG;
    int rc = rest_prepend(walk, path);
    while (rc == 0) {
        rc = rest_take(walk, name);
        if (rc == 0 && name[0] == '\0')
            return 0;
        if (rc == 0)
            rc = walk_into(walk, name);
    }
    return rc;
}

/* ---- opening ----------------------------------------------------------------------------------- */

/* Never waits for a FIFO's other end, never becomes the process's terminal, never reaches a child. */
enum { SAFE_FLAGS = O_CLOEXEC | O_NOCTTY | O_NONBLOCK };

/*
 * Opens what a walk reached by its name in the directory it was found in.  ELOOP: it has become a
 * symbolic link since.
 */
static int open_reached(const struct t3_walk *walk, const struct t3_beneath_how *how, int *fd_out)
{
    if (walk->depth == 0)
        return EISDIR;
    const int folder = walk->depth > 1 ? walk->steps[walk->depth - 2].fd : walk->root;
    if (folder < 0)
        return ENOENT;
    const char *slash = strrchr(walk->key, '/');
    if (how->allows != NULL && !how->allows(how->owner, tears_str_c(walk->key)))
        return EKEYREJECTED;
    const int fd = openat(folder, slash != NULL ? slash + 1 : walk->key,
                          how->flags | O_NOFOLLOW | SAFE_FLAGS, how->mode);
    if (fd < 0)
        return errno;
    *fd_out = fd;
    return 0;
}

static int open_by_walk(int root, struct tears_str path, const struct t3_beneath_how *how,
                        int *fd_out)
{
    for (int i = 0; i < TRIES_MAX; i++) {
        struct t3_walk walk = {.follow = how->follow};
        int rc = t3_walk_path(&walk, root, path);
        const bool reached = rc == 0;
        if (reached)
            rc = open_reached(&walk, how, fd_out);
        t3_walk_done(&walk);
        if (!reached || rc != ELOOP)
            return rc;
    }
    return EAGAIN;
}

#if HAS_OPENAT2
/* ENOSYS: this way is not open here. */
static int open_by_kernel(int root, struct tears_str path, const struct t3_beneath_how *how,
                          int *fd_out)
{
    char name[T3_WALK_PATH_BYTES_MAX];
    if (path.len >= sizeof name || (path.len > 0 && memchr(path.ptr, '\0', path.len) != NULL))
        return ENOSYS; /* the walk says what is wrong with it */
    if (path.len > 0)
        memcpy(name, path.ptr, path.len);
    name[path.len] = '\0';
    struct open_how request = {0};
    request.flags = (unsigned)(how->flags | SAFE_FLAGS);
    request.mode = (how->flags & O_CREAT) != 0 ? how->mode : 0;
    request.resolve =
        RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | (how->follow ? 0 : RESOLVE_NO_SYMLINKS);
    for (int i = 0; i < TRIES_MAX; i++) {
        const long fd = syscall(SYS_openat2, root, name, &request, sizeof request);
        if (fd >= 0) {
            *fd_out = (int)fd;
            return 0;
        }
        /* EAGAIN: something on the way was renamed, and the kernel cannot tell whether ".." still is below. */
        if (errno != EAGAIN)
            return errno == EPERM || errno == E2BIG ? ENOSYS : errno;
    }
    return EAGAIN;
}
#else
static int open_by_kernel(int root, struct tears_str path, const struct t3_beneath_how *how,
                          int *fd_out)
{
    (void)root;
    (void)path;
    (void)how;
    (void)fd_out;
    return ENOSYS;
}
#endif

/* A regular file in blocking mode, or why not. */
static int check_regular(int fd)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return errno;
    if (!S_ISREG(status.st_mode))
        return ENOTSUP;
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) != 0)
        return errno;
    return 0;
}

int t3_beneath_open(int root, struct tears_str path, const struct t3_beneath_how *how, int *fd_out)
{
    int fd = -1;
    int rc = ENOSYS;
    if (path.len > 0 && path.ptr[path.len - 1] == '/')
        return ENOTSUP; /* a directory is asked for */
    /* The kernel does not tell which file it came to; whoever wants to know gets the walk. */
    if (how->allows == NULL && !atomic_load_explicit(&openat2_is_off, memory_order_relaxed))
        rc = open_by_kernel(root, path, how, &fd);
    if (rc == ENOSYS)
        rc = open_by_walk(root, path, how, &fd);
    if (rc == EISDIR || rc == ENXIO)
        return ENOTSUP; /* a directory to be written, a FIFO or a socket */
    if (rc != 0)
        return rc;
    rc = check_regular(fd);
    if (rc != 0)
        (void)close(fd);
    else
        *fd_out = fd;
    return rc;
}
