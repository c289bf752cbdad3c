/**
 * @file file.h
 * Replacing a file as a whole: after a crash there is the old content or the new, never a part.
 * Source: spec core.md section 28.
 */
#ifndef TEARS_FILE_H
#define TEARS_FILE_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What to do when the path is a symbolic link. */
enum {
    TEARS_FILE_LINK_REFUSE = 0, /**< TEARS_DENIED: nobody's link decides where we write */
    TEARS_FILE_LINK_FOLLOW =
        1, /**< the file it leads to is replaced (and created when it is missing) */
    TEARS_FILE_LINK_REPLACE = 2 /**< the link itself becomes the file; what it led to stays */
};

struct tears_file_options {
    size_t size;
    /**
     * Permission bits of the new file, 0 to 0777, whatever the umask.  0: those of the file it
     * replaces, its owner and group with them where the system allows that (where it does not, the group gets
     * no more than others had); 0600 when there was none.
     */
    uint64_t mode;
    uint64_t link; /**< TEARS_FILE_LINK_*; only the last component of the path is meant */
};

#define TEARS_FILE_OPTIONS_INIT TEARS_SIZED(struct tears_file_options)

/**
 * Writes a file by way of a new one: `NAME.tmp.<32 hexadecimal digits>` is created beside it with mode
 * 0600, written, brought to the disk (fsync), renamed over it, and the folder is brought to the disk.
 *
 * Until the rename a failure leaves everything as it was, without the new file.  After it the call
 * succeeds: should the folder not reach the disk, *durable_out is false, and a power loss may bring the old
 * content back.  Readers see the old file or the new one.  Other hard links of the old file keep the
 * old content.
 *
 * @param path         a path with a NUL in it is refused.
 * @param options      NULL: all defaults.
 * @param durable_out  NULL is accepted.
 * @return TEARS_OK, TEARS_INVALID (an empty path, a NUL in it, a directory or special file there, a name too
 * long), TEARS_NOT_FOUND (no such folder), TEARS_DENIED (no permission; a symbolic link that is
 * not to be followed, or a loop of them), TEARS_LIMIT (disk full, quota, file size limit), TEARS_MISUSE
 * (an unknown option), TEARS_UNSUPPORTED (options from a newer header), TEARS_UNAVAILABLE (an I/O error).  error_out->detail is the errno.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_file_replace(struct tears_str path,
                                                        struct tears_str content,
                                                        const struct tears_file_options *options,
                                                        bool *durable_out,
                                                        struct tears_error *error_out);

#ifdef __cplusplus
}
#endif
#endif
