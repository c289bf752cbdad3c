/*
 * concept_name_impl.h -- the Unicode tables behind names; written by tools/unicode_names.py.
 *
 * All are ordered by code point.  Private to knowledge/concept_name*.c.
 */
#ifndef T3_KNOWLEDGE_CONCEPT_NAME_IMPL_H
#define T3_KNOWLEDGE_CONCEPT_NAME_IMPL_H

#include "base/macros.h"

/* Every `stride`-th character from `first` to `last` becomes the one at this distance. */
struct t3_map_range {
    uint32_t first;
    uint32_t last;
    uint32_t stride;
    int32_t distance;
};

/* A character that becomes several: `length` of t3_fold_pool, from `at`. */
struct t3_map_sequence {
    uint32_t code;
    uint16_t at;
    uint16_t length;
};

/* The characters from `first` to `last` have this value; those between spans have 0. */
struct t3_span {
    uint32_t first;
    uint32_t last;
    uint32_t value;
};

extern const struct t3_map_range t3_lower_ranges[];
extern const size_t t3_lower_ranges_count;
extern const struct t3_map_range t3_fold_ranges[];
extern const size_t t3_fold_ranges_count;
extern const struct t3_map_sequence t3_fold_sequences[];
extern const size_t t3_fold_sequences_count;
extern const uint32_t t3_fold_pool[];

/* What a capital sigma asks its neighbours. */
enum { T3_SIGMA_CASED = 1, T3_SIGMA_PASSED_OVER = 2 };
extern const struct t3_span t3_sigma_spans[];
extern const size_t t3_sigma_spans_count;
/* Canonical combining classes. */
extern const struct t3_span t3_class_spans[];
extern const size_t t3_class_spans_count;

#endif
