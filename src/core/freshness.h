/*
 * freshness.h -- whether a row in L1 is right as of a recent enough moment for who reads it.
 *
 * There is no flush and no tolerance: what L1 cannot show to be fresh is suspect, and is read anew as if it were not
 * there; what the feed has proven meanwhile is served again without having been read.
 */
#ifndef T3_CORE_FRESHNESS_H
#define T3_CORE_FRESHNESS_H

#include "core/core.h"

/* How old an answer of L1's may be for this session, in milliseconds. */
static inline uint64_t t3_bound_ms(const struct tears_session *session,
                                   const struct tears_collection *collection)
{
    return T3_UNLIKELY(session->level == TEARS_READ_BOUNDED) ? session->bound_ms
                                                             : collection->bound_ms;
}

/* The latest moment at which the row was certainly right.  The feed says nothing of tables that are not kept in L2. */
static inline uint64_t t3_as_of_ms(const struct tears_collection *collection, uint64_t confirmed_ms)
{
    return collection->l2 != NULL ? t3_trust_as_of(&collection->client->trust, confirmed_ms)
                                  : confirmed_ms;
}

/* Whether the row is as of at most `bound_ms` before the hit.  No clock, and mostly no shared memory, is read. */
static inline bool t3_is_fresh(const struct tears_collection *collection,
                               const struct t3_l1_hit *hit, uint64_t bound_ms)
{
    if (hit->now_ms - hit->confirmed_ms <= bound_ms)
        return true;
    /* a proof may have come after the hit's clock was read; what is much later is of a clock that went back */
    const uint64_t as_of_ms = t3_as_of_ms(collection, hit->confirmed_ms);
    const uint64_t gap_ms =
        as_of_ms > hit->now_ms ? as_of_ms - hit->now_ms : hit->now_ms - as_of_ms;
    return gap_ms <= bound_ms;
}

/* No flight that was opened before this moment may be joined: its answer could be older than the bound. */
static inline uint64_t t3_not_before_ms(uint64_t bound_ms)
{
    const uint64_t now_ms = t3_now_coarse_ms();
    return now_ms > bound_ms ? now_ms - bound_ms : 0;
}

#endif
