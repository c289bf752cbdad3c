/*
 * size.h -- sizes as people write them.
 */
#ifndef T3_CORE_SIZE_H
#define T3_CORE_SIZE_H

#include "base/macros.h"

/* A size such as 64MiB, 1GiB, 500KB or 1048576, in bytes.  TEARS_INVALID. */
tears_status t3_size_parse(struct tears_str text, uint64_t *bytes_out);

#endif
