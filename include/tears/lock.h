/**
 * @file lock.h
 * A piece of work that at most one process does at a time.
 *
 * A lock is a lease of the same name in the same bucket, held for as long as a function runs.  Source: spec platform.md sections 5.6
 * and 9.2 (C2).
 */
#ifndef TEARS_LOCK_H
#define TEARS_LOCK_H

#include "lease.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * The work.  It asks tears_lease_is_held between its steps and ends early when the lease is lost; writes to a
 * database carry tears_lease_token (fence.h).  Must not release or free the lease.
 */
typedef tears_status (*tears_lock_body_fn)(void *owner, tears_lease *lease);

/**
 * Acquires the lease, runs the function on the calling thread while the lease is renewed, and gives it back.
 *
 * @param options  as for tears_lease_acquire, but ttl_ms 0 is 60,000; NULL: the defaults.
 * @return what `body` returned; but TEARS_CONFLICT with detail 1 when the body said TEARS_OK and the lease had been lost by then.
 * Without having run it: as tears_lease_acquire, and TEARS_MISUSE (no renewal asked for).
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_lock_run(tears_coord *coord, struct tears_str name,
                                                    const struct tears_lease_options *options,
                                                    tears_lock_body_fn body, void *owner,
                                                    struct tears_error *error_out);

#ifdef __cplusplus
}
#endif
#endif
