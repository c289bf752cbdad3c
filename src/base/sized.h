/*
 * sized.h -- reading public structs that start with their size, from headers of any age.
 */
#ifndef T3_BASE_SIZED_H
#define T3_BASE_SIZED_H

#include "base/macros.h"

/*
 * Copies what the caller gave into our own struct (all zero before): an older, shorter one leaves
 * the rest zero; a newer, longer one is accepted while what we do not know is zero.
 * TEARS_MISUSE (no size), TEARS_UNSUPPORTED.
 */
tears_status t3_sized_copy(void *own, size_t own_size, const void *given, const char *origin,
                           struct tears_error *error_out);

/* Copies our own struct out to the caller's, as much of it as the caller knows. */
void t3_sized_give(void *given_out, const void *own, size_t own_size);

#endif
