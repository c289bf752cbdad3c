/**
 * @file sandbox.h
 * Asking before acting: a general policy, and one for files below named folders.
 *
 * A policy answers "may this action be done to this target?".  The path sandbox is a policy for
 * keys, which are relative paths: lists of patterns say what may be read and what may be written.
 * It can also open the file, and then what was asked about is what is opened: a path that is checked
 * and opened in two steps can be changed in between by whoever may write in the folder.
 * Source: spec platform.md section 2.7.
 */
#ifndef TEARS_SANDBOX_H
#define TEARS_SANDBOX_H

#include "text.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the general decision ---- */

/**
 * A policy: the program's own, or a path sandbox's (tears_sandbox_policy).  Start from
 * TEARS_POLICY_INIT.
 */
struct tears_policy {
    size_t size;
    void *owner; /**< passed to check */
    /**
     * TEARS_OK: allowed.  Any other status: denied, and error->message is the reason ("": no reason is given).  It
     * must deny an action that it does not know.  NULL: everything is denied.
     */
    tears_status (*check)(void *owner, struct tears_str action, struct tears_str target,
                          struct tears_error *error);
};

#define TEARS_POLICY_INIT TEARS_SIZED(struct tears_policy)

/**
 * Asks a policy and turns anything but a clear yes into a denial.
 *
 * The message of a denial is `sandbox denied '<action>' on '<target>': <reason>`, the reason
 * "policy denied" when the policy gives none; control characters in it are escaped, and a long target is shortened.
 *
 * @return TEARS_OK (allowed), TEARS_DENIED (error_out->detail is what the policy put there).
 * @thread any, as far as the policy's check is  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_policy_enforce(const struct tears_policy *policy,
                                                          struct tears_str action,
                                                          struct tears_str target,
                                                          struct tears_error *error_out);

/* ---- files below named folders ---- */

typedef struct tears_sandbox tears_sandbox;

/** Most bytes of a key. */
enum { TEARS_SANDBOX_KEY_BYTES_MAX = 512 };

/** Why a sandbox said no: in tears_error.detail next to TEARS_DENIED.  Appended only. */
enum {
    TEARS_SANDBOX_EMPTY = 1,             /**< the key is empty */
    TEARS_SANDBOX_TOO_LONG = 2,          /**< more than TEARS_SANDBOX_KEY_BYTES_MAX bytes */
    TEARS_SANDBOX_CONTROL_CHARACTER = 3, /**< any but TAB and LF; DEL and U+0080 to U+009F too */
    TEARS_SANDBOX_ABSOLUTE_PATH = 4,     /**< begins with a slash */
    TEARS_SANDBOX_PARENT_REFERENCE = 5,  /**< a component is ".." */
    TEARS_SANDBOX_NO_MATCH = 6,          /**< no pattern of the action's list matches */
    TEARS_SANDBOX_UNKNOWN_ACTION = 7,    /**< neither "read" nor "write" */
    TEARS_SANDBOX_ESCAPES_ROOT = 8,      /**< the path or a link leads out of the root */
    TEARS_SANDBOX_UNKNOWN_ROOT = 9,      /**< no root has this name (with TEARS_INVALID) */
    TEARS_SANDBOX_LINK = 10,             /**< a symbolic link that may not be followed, or a loop */
    TEARS_SANDBOX_NOT_REGULAR = 11,      /**< a directory, a device, a pipe, a socket */
    TEARS_SANDBOX_NOT_UTF8 = 12,         /**< the key is not UTF-8 */
    TEARS_SANDBOX_ROOT_ITSELF = 13,      /**< the key, such as ".", names the root */
    TEARS_SANDBOX_PERMISSION = 14        /**< the operating system said no */
};

/** A folder with a name.  It must exist; links in its path are resolved once, at the start. */
struct tears_sandbox_root {
    struct tears_str name;
    struct tears_str path; /**< absolute, or relative to the working directory of that moment */
};

/** What a sandbox allows.  All lists are copied.  An empty list of patterns allows nothing. */
struct tears_sandbox_options {
    size_t size;
    const struct tears_sandbox_root *roots;
    size_t root_count;
    const struct tears_str *allow_read; /**< patterns of keys that may be read */
    size_t allow_read_count;
    const struct tears_str *allow_write; /**< patterns of keys that may be written */
    size_t allow_write_count;
};

#define TEARS_SANDBOX_OPTIONS_INIT TEARS_SIZED(struct tears_sandbox_options)

/**
 * Makes a sandbox.  It holds one descriptor for each root, so a root that is renamed later stays the root.
 *
 * @param sandbox_out  owned by the caller; end it with tears_sandbox_free.
 * @return TEARS_OK, TEARS_INVALID (a root without a name or with the name of another, a path or
 * pattern with a NUL or too long), TEARS_NOT_FOUND (a root does not exist or is not a directory), TEARS_DENIED (the
 * operating system does not let us see it), TEARS_LIMIT (a root deeper than 64 directories), TEARS_UNSUPPORTED (options from a newer
 * header), TEARS_UNAVAILABLE (no descriptor is left), TEARS_NO_MEMORY.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_sandbox_new(const struct tears_sandbox_options *options,
                                                       tears_sandbox **sandbox_out,
                                                       struct tears_error *error_out);

/** Ends a sandbox.  NULL is accepted.  @thread setup  @since 0.1 */
TEARS_API void tears_sandbox_free(tears_sandbox *sandbox);

/**
 * Whether a key follows the rules of keys, whatever may be done to it: not empty, at most TEARS_SANDBOX_KEY_BYTES_MAX
 * bytes of UTF-8, no control character but TAB and LF, no slash at the start, no component "..",
 * and not the root itself.
 * @return TEARS_OK, TEARS_DENIED (error_out->detail: the first rule broken).
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_sandbox_check_key(struct tears_str key,
                                                             struct tears_error *error_out);

/**
 * Whether an action, "read" or "write", may be done to a key.  A decision about names: no file is
 * looked at.  To act on it, use tears_sandbox_open, which asks again.
 * @return TEARS_OK, TEARS_DENIED (error_out->detail: TEARS_SANDBOX_*).
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_sandbox_check(const tears_sandbox *sandbox,
                                                         struct tears_str action,
                                                         struct tears_str key,
                                                         struct tears_error *error_out);

/** The sandbox as a policy, valid until tears_sandbox_free.  @thread any  @since 0.1 */
TEARS_API void tears_sandbox_policy(const tears_sandbox *sandbox, struct tears_policy *policy_out);

/** How to open a file, in tears_sandbox_request.flags. */
enum {
    TEARS_SANDBOX_OPEN_READ = 1,      /**< the read list must allow the key */
    TEARS_SANDBOX_OPEN_WRITE = 2,     /**< the write list must allow the key */
    TEARS_SANDBOX_OPEN_CREATE = 4,    /**< a file that is missing is created; with WRITE only */
    TEARS_SANDBOX_OPEN_EXCLUSIVE = 8, /**< with CREATE: it must be missing */
    TEARS_SANDBOX_OPEN_TRUNCATE = 16, /**< it is emptied; with WRITE only */
    TEARS_SANDBOX_OPEN_APPEND = 32,   /**< what is written goes to its end; with WRITE only */
    /**
     * Symbolic links are followed as long as they stay below the root; the lists must allow the key
     * they lead to, too.  Without it a path with a symbolic link in it is denied.  A link with an absolute target
     * counts as leaving.
     */
    TEARS_SANDBOX_OPEN_FOLLOW = 64
};

struct tears_sandbox_request {
    size_t size;
    struct tears_str root; /**< the name of the root */
    struct tears_str key;
    uint64_t flags; /**< TEARS_SANDBOX_OPEN_*; at least READ or WRITE */
    uint64_t mode;  /**< permission bits of a file that is created, less the umask; 0: 0600 */
};

#define TEARS_SANDBOX_REQUEST_INIT TEARS_SIZED(struct tears_sandbox_request)

/**
 * Checks a key and opens the regular file, in one act that nobody can get between.
 *
 * Uses openat2(2), or where that is missing a walk that opens each component relative to the one
 * before.  Whatever is renamed or linked meanwhile, the descriptor is of a file that was found below
 * the root.  Not covered: hard links, which are the file itself, and file systems mounted below the root.
 *
 * @param fd_out  owned by the caller; close-on-exec.  A file that TRUNCATE emptied stays so when the call fails later.
 * @return TEARS_OK, TEARS_DENIED (error_out->detail: TEARS_SANDBOX_*), TEARS_NOT_FOUND (no such
 * file), TEARS_CONFLICT (EXCLUSIVE and it exists), TEARS_INVALID (an unknown root; a name longer than the
 * file system takes), TEARS_MISUSE (flags that contradict each other), TEARS_UNSUPPORTED (a request from a newer header), TEARS_UNAVAILABLE (error_out->detail is
 * the errno: no descriptor left, the path kept changing, an I/O error).
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_sandbox_open(const tears_sandbox *sandbox,
                                                        const struct tears_sandbox_request *request,
                                                        int *fd_out, struct tears_error *error_out);

/**
 * Where a path below a root really is: absolute, links followed, ".." taken as the file system does.
 * Its end need not exist.  "" and "." are the root.  No list is asked.
 *
 * The answer describes the past: the tree may have changed before it is used.  For names in messages
 * and comparisons; to open a file, use tears_sandbox_open.
 *
 * @param path_out  ended with tears_owned_text_free.
 * @return TEARS_OK, TEARS_DENIED (error_out->detail: ABSOLUTE_PATH, ESCAPES_ROOT, LINK for a loop, PERMISSION),
 * TEARS_INVALID (an unknown root, a NUL, a path or name too long or deeper than 64 directories), TEARS_NOT_FOUND (a
 * file is used as a directory), TEARS_UNAVAILABLE (error_out->detail is the errno), TEARS_NO_MEMORY.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_sandbox_resolve(const tears_sandbox *sandbox,
                                                           struct tears_str root,
                                                           struct tears_str path,
                                                           struct tears_owned_text *path_out,
                                                           struct tears_error *error_out);

/**
 * Whether a whole pattern matches a whole key, both without doubled slashes, "." and a slash at the
 * end.  Inside a component `*` stands for any characters, `?` for one, `[a-c]` and `[!a-c]` for one
 * of a set or not of it; a leading dot is nothing special, and case matters.  A component `**`
 * stands for any number of components (at the end of a pattern behind others: at least one).  An
 * absolute pattern matches no relative key.
 * @thread any  @since 0.1
 */
TEARS_API bool tears_sandbox_glob(struct tears_str pattern, struct tears_str key);

#ifdef __cplusplus
}
#endif
#endif
