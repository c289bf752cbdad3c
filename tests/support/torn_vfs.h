/*
 * torn_vfs.h -- files as a machine leaves them whose power fails: an SQLite VFS named "torn".
 *
 * What was written and not synced since is lost, kept, or kept in part, in pieces of 512 bytes, in any order.  What was synced stays.
 * One world at a time; several threads may use it.
 */
#ifndef TESTS_SUPPORT_TORN_VFS_H
#define TESTS_SUPPORT_TORN_VFS_H

#include <stdbool.h>
#include <stdint.h>

#define TORN_VFS "torn"

/* Starts a world: the power fails in the middle of the `fails_at`th change of a file (0: never). */
void torn_begin(uint64_t seed, uint64_t fails_at);

/* Fails the power now. */
void torn_fail(void);
bool torn_has_failed(void);

/* Changes of files so far. */
uint64_t torn_changes(void);

/* Ends the world: the files become what is on the disk.  All connections have been closed. */
void torn_end(void);

/* While it is set, writes that make a file larger fail as on a full disk. */
void torn_fill_disk(bool full);

#endif
