/*
 * trust.h -- what this process may believe of its L1.
 *
 * Two moments, both of t3_now_coarse_ms and moved by the feed (coherence.c):
 *   since   nothing that happened in the bucket from then on has been missed for good
 *   proof   everything that was in the bucket then has been obeyed here; 0: in doubt
 * A row that was confirmed after `since` is right as of `proof`; any row is right as of its own confirmation.
 */
#ifndef T3_CORE_TRUST_H
#define T3_CORE_TRUST_H

#include "base/clock.h"

#include <stdatomic.h>

struct t3_trust {
    _Atomic uint64_t since_ms; /* UINT64_MAX: no feed so far */
    _Atomic uint64_t proof_ms;
    _Atomic uint64_t revision; /* the last one obeyed */
};

/*
 * The latest moment at which a row was certainly right that was confirmed at `confirmed_ms`.  The loads are in this order because a loss
 * moves `since` before a later proof is stored: who sees the proof sees the loss.
 */
static inline uint64_t t3_trust_as_of(const struct t3_trust *trust, uint64_t confirmed_ms)
{
    const uint64_t proof = atomic_load_explicit(&trust->proof_ms, memory_order_acquire);
    const uint64_t since = atomic_load_explicit(&trust->since_ms, memory_order_acquire);
    return confirmed_ms >= since && proof > confirmed_ms ? proof : confirmed_ms;
}

/* Whether remembered revisions of L2 are of the bucket that is there now. */
static inline bool t3_trust_covers(const struct t3_trust *trust, uint64_t confirmed_ms)
{
    return atomic_load_explicit(&trust->proof_ms, memory_order_acquire) != 0 &&
           confirmed_ms >= atomic_load_explicit(&trust->since_ms, memory_order_acquire);
}

#endif
