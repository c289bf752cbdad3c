/*
 * text.h -- typed values and their text: timestamps, decimals, bytes, vectors, numbers.
 */
#ifndef T3_CODEC_TEXT_H
#define T3_CODEC_TEXT_H

#include "base/arena.h"
#include "base/buf.h"

#include <tears/value.h>

/* Appends ISO 8601 as Python's isoformat: 2026-06-03T12:00:00+00:00, six digits of fraction unless zero. `separator` is 'T' or ' '. */
tears_status t3_timestamp_put(struct t3_buf *out, int64_t us, char separator);
/* Reads ISO 8601 and PostgreSQL text: T or blank, fraction of any length (cut at microseconds), Z, +hh, +hhmm, +hh:mm[:ss] or
 * no offset (UTC). TEARS_INVALID. */
tears_status t3_timestamp_parse(struct tears_str text, int64_t *us_out);

/* Whether text is a decimal number, or NaN / Infinity as PostgreSQL and Python write them. */
bool t3_decimal_is_valid(struct tears_str text);

tears_status t3_hex_put(struct t3_buf *out, struct tears_str bytes);
tears_status t3_hex_parse(struct t3_buf *out, struct tears_str text);
tears_status t3_base64_put(struct t3_buf *out, struct tears_str bytes, bool url);
/* Strict: alphabet, padding and zero trailing bits. */
tears_status t3_base64_parse(struct t3_buf *out, struct tears_str text, bool url);

/* Whole text is an integer that fits. TEARS_INVALID. */
tears_status t3_int_parse(struct tears_str text, int64_t *out);
/* Whole text is a double; also nan, inf, infinity in any case. TEARS_INVALID. */
tears_status t3_double_parse(struct tears_str text, double *out);

/* [1.0, 2.5] as Python writes a list of floats. */
tears_status t3_vector_put(struct t3_buf *out, struct tears_doubles vector);
/* Reads [1,2.5, 3e4]; the doubles are the arena's. TEARS_INVALID, TEARS_NO_MEMORY, TEARS_LIMIT. */
tears_status t3_vector_parse(struct t3_arena *arena, struct tears_str text, struct tears_doubles *out);

/*
 * Appends the value as Python's str() writes it: this is what L2 keys and invalidation messages are made of
 * (spec core.md 2.3): uuid with hyphens, decimal digits, True/False, timestamps with a blank, b'..' for bytes.
 */
tears_status t3_value_put_python(struct t3_buf *out, const struct tears_value *value);

#endif
