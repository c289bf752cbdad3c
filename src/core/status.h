/*
 * status.h -- the state of the feed, in the words of the public API.
 */
#ifndef T3_CORE_STATUS_H
#define T3_CORE_STATUS_H

#include "core/core.h"

/* How long ago the feed was proven; UINT64_MAX: never, or it is in doubt. */
uint64_t t3_proof_age_ms(const struct t3_trust *trust);

/* TEARS_FEED_*. */
uint64_t t3_collection_feed(const struct tears_collection *collection);

/* The bound of ANY. A row is not served past its age either, whatever the feed can show. */
uint64_t t3_collection_bound_ms(const struct tears_collection *collection);

#endif
