/*
 * file_lock.h -- a lock between processes that the kernel takes away from whoever dies.
 *
 * The file is made when it is missing, is empty, and stays: removing it would let two holders in, one with the old
 * file and one with a new one.
 */
#ifndef T3_BASE_FILE_LOCK_H
#define T3_BASE_FILE_LOCK_H

#include "base/macros.h"

/*
 * Tries once.  *fd_out is the lock while it is open.  TEARS_OK; TEARS_CONFLICT: another has it, this process' other
 * callers included; TEARS_DENIED, TEARS_UNAVAILABLE, TEARS_LIMIT (too many open files).
 */
tears_status t3_file_lock_try(const char *path, int *fd_out, struct tears_error *error_out);

/* Gives it up. */
void t3_file_lock_drop(int fd);

#endif
