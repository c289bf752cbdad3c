/*
 * options.c -- reads option structs of any age, and sizes.
 *
 * Owns: nothing.  Threads: any.  Fails: TEARS_MISUSE, TEARS_UNSUPPORTED, TEARS_INVALID.
 */
#include "core/options.h"

#include "base/fail.h"
#include "base/str.h"

tears_status t3_options_copy(void *own, size_t own_size, const void *given, size_t given_size,
                             struct tears_error *error_out)
{
    if (given_size < sizeof(size_t))
        return t3_fail(error_out, TEARS_MISUSE, "core",
                       "an options struct has size %zu: start from its _INIT macro", given_size);
    const unsigned char *bytes = given;
    for (size_t i = own_size; i < given_size; i++)
        if (bytes[i] != 0)
            return t3_fail(error_out, TEARS_UNSUPPORTED, "core",
                           "an options struct has a setting at byte %zu that this version of the "
                           "library (%s) does not know",
                           i, TEARS_VERSION);
    memcpy(own, given, given_size < own_size ? given_size : own_size);
    memcpy(own, &own_size, sizeof own_size);
    return TEARS_OK;
}

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
