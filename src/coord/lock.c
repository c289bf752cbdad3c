/*
 * lock.c -- runs a piece of work under a lease.
 *
 * Owns:     the lease, while the work runs.
 * Must not know: what the work is.
 * Threads:  any; the work runs on the caller's.
 * Fails:    see include/tears/lock.h.
 * Begin at: tears_lock_run().
 */
#include "base/fail.h"
#include "base/sized.h"
#include "base/str.h"

#include <tears/lock.h>

static const char origin[] = "lock";

enum { TTL_MS = 60000, LOST = 1 };

tears_status tears_lock_run(tears_coord *coord, struct tears_str name,
                            const struct tears_lease_options *options, tears_lock_body_fn body,
                            void *owner, struct tears_error *error_out)
{
    struct tears_lease_options own = TEARS_LEASE_OPTIONS_INIT;
    tears_lease *lease = NULL;
    t3_error_clear(error_out);
    if (options != NULL)
        T3_TRY(t3_sized_copy(&own, sizeof own, options, origin, error_out));
    if (own.no_renewal != 0)
        return t3_fail(error_out, TEARS_MISUSE, origin, "a lock is renewed while its work runs");
    if (own.ttl_ms == 0)
        own.ttl_ms = TTL_MS;
    T3_TRY(tears_lease_acquire(coord, name, &own, &lease, error_out));
    const tears_status status = body(owner, lease);
    const bool was_held = tears_lease_is_held(lease);
    tears_lease_free(lease);
    if (status == TEARS_OK && !was_held)
        return t3_fail_detail(error_out, TEARS_CONFLICT, origin, LOST, "",
                              "'" T3_STR_FMT "' was lost while the work ran", T3_STR_ARG(name));
    return status;
}
