/*
 * fail.h -- filling struct tears_error, in one place.
 */
#ifndef T3_BASE_FAIL_H
#define T3_BASE_FAIL_H

#include "base/macros.h"

/*
 * Fills *error_out (NULL is accepted) with a status, where it was noticed and what happened, and
 * returns the status.  The message is one line: control characters become blanks; text that is too
 * long is cut at a character boundary and ends in "...".
 */
tears_status t3_fail(struct tears_error *error_out, tears_status status, const char *origin,
                     const char *format, ...) T3_PRINTF(4, 5);

/* The same, with a detail number and an SQLSTATE ("" none). */
tears_status t3_fail_detail(struct tears_error *error_out, tears_status status, const char *origin,
                            int32_t detail, const char *sqlstate, const char *format, ...)
    T3_PRINTF(6, 7);

/* Out of memory, with the fixed text. */
tears_status t3_fail_memory(struct tears_error *error_out, const char *origin);

/* Forgets an error: TEARS_OK and empty text.  NULL is accepted. */
void t3_error_clear(struct tears_error *error);

#endif
