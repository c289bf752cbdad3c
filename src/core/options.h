/*
 * options.h -- option structs that can grow: size first, zero means the default.
 */
#ifndef T3_CORE_OPTIONS_H
#define T3_CORE_OPTIONS_H

#include "base/macros.h"

/*
 * Copies what the caller gave over the library's own struct, whose `own_size` bytes hold the
 * defaults.  A caller built against newer headers has a larger struct: what this library does not
 * know must be zero (as openat2(2) has it). TEARS_OK; TEARS_MISUSE (size 0); TEARS_UNSUPPORTED (a
 * setting this library does not know).
 */
tears_status t3_options_copy(void *own, size_t own_size, const void *given, size_t given_size,
                             struct tears_error *error_out);

/* A size such as 64MiB, 1GiB, 500KB or 1048576, in bytes.  TEARS_INVALID. */
tears_status t3_size_parse(struct tears_str text, uint64_t *bytes_out);

#endif
