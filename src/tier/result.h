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

static inline struct tears_value t3_result_at(const struct t3_result *result, size_t row,
                                              size_t column)
{
    return result->values[row * result->column_count + column];
}

/* One cell of a kind that the statement promises; NULL and other kinds are "", 0, false. */

static inline struct tears_str t3_result_text(const struct t3_result *result, size_t row,
                                              size_t column)
{
    const struct tears_value value = t3_result_at(result, row, column);
    return value.kind == TEARS_KIND_TEXT ? value.as.bytes : tears_str_n("", 0);
}

static inline int64_t t3_result_number(const struct t3_result *result, size_t row, size_t column)
{
    const struct tears_value value = t3_result_at(result, row, column);
    return value.kind == TEARS_KIND_INT ? value.as.integer : 0;
}

static inline bool t3_result_truth(const struct t3_result *result, size_t row, size_t column)
{
    const struct tears_value value = t3_result_at(result, row, column);
    return value.kind == TEARS_KIND_BOOL && value.as.boolean;
}

#endif
