/*
 * sandbox_beneath.h -- opening files below a directory, and nothing outside it.
 */
#ifndef T3_SECURITY_SANDBOX_BENEATH_H
#define T3_SECURITY_SANDBOX_BENEATH_H

#include "base/macros.h"

#include <sys/types.h>

enum {
    T3_WALK_DEPTH_MAX = 64, /* directories deep; each holds a descriptor while a path is walked */
    T3_WALK_LINKS_MAX = 40, /* symbolic links on the way: the kernel's own limit */
    T3_WALK_PATH_BYTES_MAX = 4096, /* PATH_MAX of Linux */
    T3_WALK_NAME_BYTES_MAX = 255   /* NAME_MAX */
};

/* ---- walking: every component is looked up in the directory that the one before was ---- */

struct t3_walk_step {
    int fd;         /* O_PATH; -1: it does not exist */
    size_t key_len; /* the length of the key up to and with this component */
};

struct t3_walk {
    int root;    /* borrowed */
    bool follow; /* symbolic links are followed; else they end the walk with ELOOP */
    bool
        unconfined; /* the root is "/": absolute links and ".." at the root are what they always are */
    unsigned links;
    unsigned depth;
    struct t3_walk_step steps[T3_WALK_DEPTH_MAX];
    char key
        [T3_WALK_PATH_BYTES_MAX]; /* where the walk is, below the root, without links; NUL-terminated */
    char rest[2 * T3_WALK_PATH_BYTES_MAX]; /* what is left to do, at its end */
    size_t rest_at;
};

/*
 * Walks `path` from the directory `root`.  0, and then the key is the path without links, "." and
 * ".."; its end need not exist.  EXDEV: the path leaves the root; ELOOP: a symbolic link that is not
 * to be followed, or too many; ENAMETOOLONG: too long or too deep; or any errno of openat(2).
 * In each case the walk must be ended with t3_walk_done.
 */
int t3_walk_path(struct t3_walk *walk, int root, struct tears_str path);

/* The descriptor (O_PATH) of what was reached; -1: it does not exist. */
int t3_walk_fd(const struct t3_walk *walk);

void t3_walk_done(struct t3_walk *walk);

/* ---- opening ---- */

struct t3_beneath_how {
    int flags;   /* of open(2): the access mode, O_CREAT, O_EXCL, O_APPEND */
    mode_t mode; /* of a file that is created */
    bool follow; /* symbolic links that stay below the root are followed */
    /* NULL: every file below the root; else asked for the key of what would be opened, links resolved */
    bool (*allows)(const void *owner, struct tears_str key);
    const void *owner;
};

/*
 * Opens a regular file below `root`.  What is opened was found by walking from `root`'s descriptor
 * only, whatever is renamed or linked meanwhile.  0, or an errno: EXDEV, ELOOP and ENAMETOOLONG as
 * above, EKEYREJECTED (`allows` said no), ENOTSUP (not a regular file), EAGAIN (it kept changing).
 */
int t3_beneath_open(int root, struct tears_str path, const struct t3_beneath_how *how, int *fd_out);

/* Tests only: whether openat2(2) is used where the kernel has it. */
void t3_beneath_use_openat2(bool use);

#endif
