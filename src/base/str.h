/*
 * str.h -- text as pointer and length.
 */
#ifndef T3_BASE_STR_H
#define T3_BASE_STR_H

#include "base/macros.h"

static inline bool t3_str_equal(struct tears_str a, struct tears_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool t3_str_is(struct tears_str a, const char *literal)
{
    return t3_str_equal(a, tears_str_c(literal));
}

static inline bool t3_str_starts(struct tears_str a, const char *prefix)
{
    const size_t len = strlen(prefix);
    return a.len >= len && memcmp(a.ptr, prefix, len) == 0;
}

/* The part from `at` to the end; empty when `at` is past it. */
static inline struct tears_str t3_str_from(struct tears_str a, size_t at)
{
    return at < a.len ? tears_str_n(a.ptr + at, a.len - at) : tears_str_n(a.ptr, 0);
}

#define T3_BLANKS " \t\n\v\f\r" /* as isspace has them in the C locale */

/* The text without those of the characters in `blanks` that it begins and ends with. */
struct tears_str t3_str_trim(struct tears_str a, const char *blanks);

/* ASCII only, as SQL keywords and schemes need. */
bool t3_str_equal_nocase(struct tears_str a, struct tears_str b);

/* Orders by bytes, like memcmp, shorter first. */
int t3_str_compare(struct tears_str a, struct tears_str b);

/* Whether the text is well-formed UTF-8 (no surrogates, no overlong forms). */
bool t3_str_is_utf8(struct tears_str a);

/* The length of the well-formed UTF-8 character that starts at `bytes` (`left` of them); 0: there is none. */
size_t t3_utf8_length(const char *bytes, size_t left);

#endif
