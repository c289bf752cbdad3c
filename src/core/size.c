/*
 * size.c -- reads sizes such as 64MiB.
 *
 * Owns: nothing.  Threads: any.  Fails: TEARS_INVALID.
 */
#include "core/size.h"

#include "base/str.h"

struct unit {
    const char *name;
    uint64_t bytes;
};

static const struct unit units[] = {
    {"", 1},           {"B", 1},        {"KiB", 1u << 10}, {"MiB", 1u << 20},
    {"GiB", 1u << 30}, {"KB", 1000},    {"MB", 1000000},   {"GB", 1000000000},
    {"K", 1u << 10},   {"M", 1u << 20}, {"G", 1u << 30},
};

tears_status t3_size_parse(struct tears_str text, uint64_t *bytes_out)
{
    uint64_t number = 0;
    size_t digits = 0;
    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9') {
        if (__builtin_mul_overflow(number, 10u, &number) ||
            __builtin_add_overflow(number, (uint64_t)(text.ptr[digits] - '0'), &number))
            return TEARS_INVALID;
        digits++;
    }
    if (digits == 0)
        return TEARS_INVALID;
    const struct tears_str suffix = t3_str_from(text, digits);
    for (size_t i = 0; i < T3_COUNT(units); i++)
        if (t3_str_equal_nocase(suffix, tears_str_c(units[i].name)))
            return __builtin_mul_overflow(number, units[i].bytes, bytes_out) ? TEARS_INVALID
                                                                             : TEARS_OK;
    return TEARS_INVALID;
}
