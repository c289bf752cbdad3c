/*
 * finding.h -- what doctor finds out about a tier.
 */
#ifndef T3_TIER_FINDING_H
#define T3_TIER_FINDING_H

#include "base/arena.h"

#include <tears/client.h>

struct t3_findings {
    struct t3_arena *arena;
    struct tears_finding *items;
    size_t count;
    size_t capacity;
};

/* Adds a finding; value and advice are formatted by the caller and copied.  TEARS_NO_MEMORY. */
tears_status t3_finding_add(struct t3_findings *findings, const char *tier, uint64_t severity,
                            const char *subject, struct tears_str value, struct tears_str advice);

#endif
