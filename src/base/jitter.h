/*
 * jitter.h -- random pauses, so that those who lost a race together do not meet again.
 */
#ifndef T3_BASE_JITTER_H
#define T3_BASE_JITTER_H

#include "base/macros.h"

/* A number below `limit` (0 when that is 0).  Not for secrets.  Any thread. */
uint64_t t3_jitter(uint64_t limit);

#endif
