/*
 * sized.c -- public structs that start with their size, from headers of any age.
 *
 * Owns:     nothing.
 * Must not know: what the members mean.
 * Threads:  any.
 * Fails:    TEARS_MISUSE, TEARS_UNSUPPORTED.
 * Begin at: t3_sized_copy().
 */
#include "base/sized.h"

#include "base/fail.h"

static size_t size_of(const void *given)
{
    size_t size;
    memcpy(&size, given, sizeof size); /* the first member of every such struct */
    return size;
}

tears_status t3_sized_copy(void *own, size_t own_size, const void *given, const char *origin,
                           struct tears_error *error_out)
{
    const size_t size = size_of(given);
    if (size < sizeof(size_t))
        return t3_fail(error_out, TEARS_MISUSE, origin,
                       "a struct has size %zu: start from its _INIT macro", size);
    const unsigned char *bytes = given;
    for (size_t i = own_size; i < size; i++)
        if (bytes[i] != 0)
            return t3_fail(error_out, TEARS_UNSUPPORTED, origin,
                           "a struct has a setting at byte %zu that this version of the library "
                           "(%s) does not know",
                           i, TEARS_VERSION);
    memcpy(own, given, size < own_size ? size : own_size);
    memcpy(own, &own_size, sizeof own_size);
    return TEARS_OK;
}

void t3_sized_give(void *given_out, const void *own, size_t own_size)
{
    const size_t size = size_of(given_out);
    if (size <= sizeof(size_t))
        return;
    const size_t known = size < own_size ? size : own_size;
    memcpy((char *)given_out + sizeof(size_t), (const char *)own + sizeof(size_t),
           known - sizeof(size_t));
}
