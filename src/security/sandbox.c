/*
 * sandbox.c -- the path sandbox: named roots, and opening the files below them.
 *
 * Owns:     the copies of roots and patterns, one descriptor for each root.
 * Knows:    base/, the walk (sandbox_beneath.h), the decisions (sandbox_policy.c).
 * Must not know: what is in the files.
 * Threads:  any; a sandbox does not change after it is made.
 * Fails:    as tears/sandbox.h says; the results are then untouched.
 * Begin at: tears_sandbox_open().
 */
#include "base/alloc.h"
#include "base/fail.h"
#include "base/owned_text.h"
#include "base/sized.h"
#include "base/str.h"
#include "security/sandbox_beneath.h"
#include "security/sandbox_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define ORIGIN "sandbox"

/* ---- what the system said ---------------------------------------------------------------------- */

/* What is done to what, for messages. */
struct attempt {
    struct tears_str action;
    struct tears_str target;
    struct tears_error *error;
};

static tears_status attempt_deny(const struct attempt *attempt, int32_t detail, const char *reason)
{
    return t3_policy_deny(attempt->error, attempt->action, attempt->target, detail, reason);
}

static tears_status attempt_fail(const struct attempt *attempt, tears_status status, int rc)
{
    char text[128];
    return t3_fail_detail(attempt->error, status, ORIGIN, rc, "", "sandbox: " T3_STR_FMT " %s: %s",
                          T3_STR_ARG(attempt->action), t3_shown(attempt->target).text,
                          strerror_r(rc, text, sizeof text));
}

static tears_status attempt_end(const struct attempt *attempt, int rc)
{
    switch (rc) {
    case 0:
        return TEARS_OK;
    case EXDEV:
        return attempt_deny(attempt, TEARS_SANDBOX_ESCAPES_ROOT, "path escapes root");
    case ELOOP:
        return attempt_deny(attempt, TEARS_SANDBOX_LINK,
                            "a symbolic link that may not be followed, or too many of them");
    case ENOTSUP:
        return attempt_deny(attempt, TEARS_SANDBOX_NOT_REGULAR, "not a regular file");
    case EKEYREJECTED:
        return attempt_deny(attempt, TEARS_SANDBOX_NO_MATCH,
                            "no allow glob matched what the links lead to");
    case EACCES:
    case EPERM:
    case EROFS:
        return attempt_deny(attempt, TEARS_SANDBOX_PERMISSION, "the operating system said no");
    case ENOENT:
    case ENOTDIR:
        return attempt_fail(attempt, TEARS_NOT_FOUND, rc);
    case EEXIST:
        return attempt_fail(attempt, TEARS_CONFLICT, rc);
    case EINVAL:
    case ENAMETOOLONG:
        return attempt_fail(attempt, TEARS_INVALID, rc);
    default:
        return attempt_fail(attempt, TEARS_UNAVAILABLE, rc);
    }
}

static tears_status unknown_root(struct tears_error *error_out, struct tears_str name)
{
    return t3_fail_detail(error_out, TEARS_INVALID, ORIGIN, TEARS_SANDBOX_UNKNOWN_ROOT, "",
                          "sandbox: there is no root %s", t3_shown(name).text);
}

/* ---- making one -------------------------------------------------------------------------------- */

/* The path as it is from "/" on.  Relative ones start at the working directory. */
static int absolute_path(struct tears_str path, char absolute[T3_WALK_PATH_BYTES_MAX],
                         size_t *len_out)
{
    size_t len = 0;
    if (path.len == 0 || path.ptr[0] != '/') {
        if (getcwd(absolute, T3_WALK_PATH_BYTES_MAX) == NULL)
            return errno;
        len = strlen(absolute);
        absolute[len++] = '/';
    }
    if (path.len >= T3_WALK_PATH_BYTES_MAX - len)
        return ENAMETOOLONG;
    if (path.len > 0)
        memcpy(absolute + len, path.ptr, path.len);
    *len_out = len + path.len;
    return 0;
}

/* A descriptor for the directory that the walk reached. */
static int take_directory(const struct t3_walk *walk, int *fd_out)
{
    struct stat status;
    const int reached = t3_walk_fd(walk);
    if (reached < 0)
        return ENOENT;
    if (fstat(reached, &status) != 0)
        return errno;
    if (!S_ISDIR(status.st_mode))
        return ENOTDIR;
    *fd_out = fcntl(reached, F_DUPFD_CLOEXEC, 0);
    return *fd_out < 0 ? errno : 0;
}

static tears_status put_path(struct t3_buf *text, struct tears_str root, const char *key)
{
    T3_TRY(t3_buf_put(text, root));
    if (root.len > 1 && key[0] != '\0')
        T3_TRY(t3_buf_put_char(text, '/'));
    return t3_buf_put(text, tears_str_c(key));
}

static tears_status open_root(tears_sandbox *sandbox, const struct tears_sandbox_root *given,
                              struct tears_error *error_out)
{
    struct t3_sandbox_root *root = &sandbox->roots[sandbox->root_count];
    const struct attempt attempt = {TEARS_STR("root"), given->path, error_out};
    char absolute[T3_WALK_PATH_BYTES_MAX];
    size_t len = 0;
    if (given->name.len == 0 || t3_sandbox_root(sandbox, given->name) != NULL)
        return t3_fail(error_out, TEARS_INVALID, ORIGIN, "sandbox: root %s: %s",
                       t3_shown(given->path).text,
                       given->name.len == 0 ? "it has no name" : "its name is another root's");
    T3_TRY(t3_arena_str(&sandbox->arena, given->name, &root->name));
    T3_TRY(attempt_end(&attempt, absolute_path(given->path, absolute, &len)));
    T3_AUTO(t3_buf_done) struct t3_buf path = {0};
    const int top = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (top < 0)
        return attempt_end(&attempt, errno);
    T3_AUTO(t3_walk_done) struct t3_walk walk = {.follow = true, .unconfined = true};
    int rc = t3_walk_path(&walk, top, tears_str_n(absolute, len));
    if (rc == 0)
        rc = take_directory(&walk, &root->fd);
    if (rc == 0)
        sandbox->root_count++; /* from here on its descriptor is closed with the sandbox */
    (void)close(top);
    T3_TRY(attempt_end(&attempt, rc));
    T3_TRY(put_path(&path, TEARS_STR("/"), walk.key));
    return t3_arena_str(&sandbox->arena, t3_buf_str(&path), &root->path);
}

static tears_status copy_patterns(tears_sandbox *sandbox, const struct tears_str *given,
                                  size_t count, struct t3_patterns *own,
                                  struct tears_error *error_out)
{
    own->items = t3_arena_array(&sandbox->arena, count + 1, sizeof *own->items);
    if (own->items == NULL)
        return t3_fail_memory(error_out, ORIGIN);
    for (size_t i = 0; i < count; i++) {
        if (given[i].len > TEARS_SANDBOX_KEY_BYTES_MAX ||
            (given[i].len > 0 && memchr(given[i].ptr, '\0', given[i].len) != NULL))
            return t3_fail(error_out, TEARS_INVALID, ORIGIN,
                           "sandbox: pattern %s is too long or contains NUL",
                           t3_shown(given[i]).text);
        if (t3_arena_str(&sandbox->arena, given[i], &own->items[i]) != TEARS_OK)
            return t3_fail_memory(error_out, ORIGIN);
    }
    own->count = count;
    return TEARS_OK;
}

static tears_status fill(tears_sandbox *sandbox, const struct tears_sandbox_options *options,
                         struct tears_error *error_out)
{
    T3_TRY(copy_patterns(sandbox, options->allow_read, options->allow_read_count, &sandbox->reads,
                         error_out));
    T3_TRY(copy_patterns(sandbox, options->allow_write, options->allow_write_count,
                         &sandbox->writes, error_out));
    sandbox->roots =
        t3_arena_array(&sandbox->arena, options->root_count + 1, sizeof *sandbox->roots);
    if (sandbox->roots == NULL)
        return t3_fail_memory(error_out, ORIGIN);
    for (size_t i = 0; i < options->root_count; i++) {
        const tears_status status = open_root(sandbox, &options->roots[i], error_out);
        if (status == TEARS_NO_MEMORY)
            return t3_fail_memory(error_out, ORIGIN);
        T3_TRY(status);
    }
    return TEARS_OK;
}

tears_status tears_sandbox_new(const struct tears_sandbox_options *options,
                               tears_sandbox **sandbox_out, struct tears_error *error_out)
{
    struct tears_sandbox_options own = {0};
    T3_TRY(t3_sized_copy(&own, sizeof own, options, ORIGIN, error_out));
    tears_sandbox *sandbox = t3_alloc_zero(1, sizeof *sandbox);
    if (sandbox == NULL)
        return t3_fail_memory(error_out, ORIGIN);
    const tears_status status = fill(sandbox, &own, error_out);
    if (status != TEARS_OK)
        tears_sandbox_free(sandbox);
    else
        *sandbox_out = sandbox;
    return status;
}

void tears_sandbox_free(tears_sandbox *sandbox)
{
    if (sandbox == NULL)
        return;
    for (size_t i = 0; i < sandbox->root_count; i++)
        (void)close(sandbox->roots[i].fd); /* O_PATH: there is nothing to lose */
    t3_arena_done(&sandbox->arena);
    t3_free(sandbox);
}

const struct t3_sandbox_root *t3_sandbox_root(const tears_sandbox *sandbox, struct tears_str name)
{
    for (size_t i = 0; i < sandbox->root_count; i++)
        if (t3_str_equal(sandbox->roots[i].name, name))
            return &sandbox->roots[i];
    return NULL;
}

/* ---- opening ----------------------------------------------------------------------------------- */

/* What a request may do, for the question about the key that links lead to. */
struct grant {
    const tears_sandbox *sandbox;
    uint64_t flags;
};

static bool grant_allows(const void *owner, struct tears_str key)
{
    const struct grant *grant = owner;
    return ((grant->flags & TEARS_SANDBOX_OPEN_READ) == 0 ||
            t3_patterns_match(&grant->sandbox->reads, key)) &&
           ((grant->flags & TEARS_SANDBOX_OPEN_WRITE) == 0 ||
            t3_patterns_match(&grant->sandbox->writes, key));
}

static bool flags_make_sense(uint64_t flags)
{
    const uint64_t access = TEARS_SANDBOX_OPEN_READ | TEARS_SANDBOX_OPEN_WRITE;
    const uint64_t changes =
        TEARS_SANDBOX_OPEN_CREATE | TEARS_SANDBOX_OPEN_TRUNCATE | TEARS_SANDBOX_OPEN_APPEND;
    const uint64_t known =
        access | changes | TEARS_SANDBOX_OPEN_EXCLUSIVE | TEARS_SANDBOX_OPEN_FOLLOW;
    if ((flags & access) == 0 || (flags & ~known) != 0)
        return false;
    if ((flags & changes) != 0 && (flags & TEARS_SANDBOX_OPEN_WRITE) == 0)
        return false;
    return (flags & TEARS_SANDBOX_OPEN_EXCLUSIVE) == 0 || (flags & TEARS_SANDBOX_OPEN_CREATE) != 0;
}

static int system_flags(uint64_t flags)
{
    int system = O_RDONLY;
    if ((flags & TEARS_SANDBOX_OPEN_WRITE) != 0)
        system = (flags & TEARS_SANDBOX_OPEN_READ) != 0 ? O_RDWR : O_WRONLY;
    system |= (flags & TEARS_SANDBOX_OPEN_CREATE) != 0 ? O_CREAT : 0;
    system |= (flags & TEARS_SANDBOX_OPEN_EXCLUSIVE) != 0 ? O_EXCL : 0;
    system |= (flags & TEARS_SANDBOX_OPEN_APPEND) != 0 ? O_APPEND : 0;
    return system; /* emptying waits until it is known to be a regular file */
}

static tears_status check_request(const tears_sandbox *sandbox,
                                  const struct tears_sandbox_request *request,
                                  struct tears_error *error_out)
{
    if (!flags_make_sense(request->flags) || request->mode > 0777)
        return t3_fail(error_out, TEARS_MISUSE, ORIGIN,
                       "sandbox: flags %llu and mode %llo make no request",
                       (unsigned long long)request->flags, (unsigned long long)request->mode);
    if ((request->flags & TEARS_SANDBOX_OPEN_READ) != 0)
        T3_TRY(tears_sandbox_check(sandbox, TEARS_STR("read"), request->key, error_out));
    if ((request->flags & TEARS_SANDBOX_OPEN_WRITE) != 0)
        T3_TRY(tears_sandbox_check(sandbox, TEARS_STR("write"), request->key, error_out));
    return TEARS_OK;
}

tears_status tears_sandbox_open(const tears_sandbox *sandbox,
                                const struct tears_sandbox_request *request, int *fd_out,
                                struct tears_error *error_out)
{
    struct tears_sandbox_request own = {0};
    T3_TRY(t3_sized_copy(&own, sizeof own, request, ORIGIN, error_out));
    const struct t3_sandbox_root *root = t3_sandbox_root(sandbox, own.root);
    if (root == NULL)
        return unknown_root(error_out, own.root);
    T3_TRY(check_request(sandbox, &own, error_out));
    const bool follow = (own.flags & TEARS_SANDBOX_OPEN_FOLLOW) != 0;
    const struct grant grant = {sandbox, own.flags};
    const struct t3_beneath_how how = {.flags = system_flags(own.flags),
                                       .mode = (mode_t)(own.mode != 0 ? own.mode : 0600),
                                       .follow = follow,
                                       .allows = follow ? grant_allows : NULL,
                                       .owner = &grant};
    const struct attempt attempt = {(own.flags & TEARS_SANDBOX_OPEN_WRITE) != 0 ? TEARS_STR("write")
                                                                                : TEARS_STR("read"),
                                    own.key, error_out};
    int fd = -1;
    T3_TRY(attempt_end(&attempt, t3_beneath_open(root->fd, own.key, &how, &fd)));
    if ((own.flags & TEARS_SANDBOX_OPEN_TRUNCATE) != 0 && ftruncate(fd, 0) != 0) {
        const int why = errno;
        (void)close(fd); /* nothing was written through it */
        return attempt_end(&attempt, why);
    }
    *fd_out = fd;
    return TEARS_OK;
}

tears_status tears_sandbox_resolve(const tears_sandbox *sandbox, struct tears_str root,
                                   struct tears_str path, struct tears_owned_text *path_out,
                                   struct tears_error *error_out)
{
    const struct t3_sandbox_root *found = t3_sandbox_root(sandbox, root);
    const struct attempt attempt = {TEARS_STR("resolve"), path, error_out};
    if (found == NULL)
        return unknown_root(error_out, root);
    if (path.len > 0 && path.ptr[0] == '/')
        return attempt_deny(&attempt, TEARS_SANDBOX_ABSOLUTE_PATH, "absolute path not allowed");
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    T3_AUTO(t3_walk_done) struct t3_walk walk = {.follow = true};
    T3_TRY(attempt_end(&attempt, t3_walk_path(&walk, found->fd, path)));
    if (put_path(&text, found->path, walk.key) != TEARS_OK ||
        t3_owned_text_take(&text, false, path_out) != TEARS_OK)
        return t3_fail_memory(error_out, ORIGIN);
    return TEARS_OK;
}
