/*
 * partitions.h -- a set of partitions of one table, never empty.
 */
#ifndef T3_CORE_PARTITIONS_H
#define T3_CORE_PARTITIONS_H

#include "core/core.h"

struct tears_partitions {
    const struct tears_collection *collection;
    struct tears_value *values; /* of the partition column's kind, without duplicates */
    uint32_t count;             /* at least 1 */
};

#endif
