/*
 * coherence.h -- obeys the other processes' invalidation messages.
 */
#ifndef T3_CORE_COHERENCE_H
#define T3_CORE_COHERENCE_H

#include "core/core.h"

/* The sink that L2 delivers news to; `client` must outlive the tier. */
struct t3_l2_sink t3_coherence_sink(struct tears_client *client);

#endif
