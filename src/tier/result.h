/*
 * result.h -- rows of an ad-hoc statement, typed by the database.
 */
#ifndef T3_TIER_RESULT_H
#define T3_TIER_RESULT_H

#include <tears/value.h>

struct t3_result {
    struct tears_str *names;
    struct tears_value *values; /* row by row */
    size_t column_count;
    size_t row_count;
    uint64_t affected; /* rows changed, or returned */
};

#endif
