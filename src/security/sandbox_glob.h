/*
 * sandbox_glob.h -- patterns of relative paths.
 */
#ifndef T3_SECURITY_SANDBOX_GLOB_H
#define T3_SECURITY_SANDBOX_GLOB_H

#include "base/macros.h"

/* Whether the whole pattern matches the whole key, as tears_sandbox_glob says. */
bool t3_glob_matches(struct tears_str pattern, struct tears_str key);

/* The next component that is not empty and not ".", from *at on; false at the end. */
bool t3_path_next(struct tears_str path, size_t *at, struct tears_str *component_out);

#endif
