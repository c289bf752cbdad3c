/*
 * text.h -- typed values and their text: timestamps, decimals, bytes, vectors, numbers.
 */
#ifndef T3_CODEC_TEXT_H
#define T3_CODEC_TEXT_H

#include "base/arena.h"
#include "base/buf.h"

#include <tears/value.h>

/*
 * In tears_value.flags of a TIMESTAMP: the text had no offset, or shall be written without one.
 * Rows do not keep it: a row's timestamps are instants, and its schema knows which columns are
 * without time zone.
 */
#define T3_VALUE_NAIVE 1u

enum { T3_TIMESTAMP_TEXT_MAX = 40, T3_INT_TEXT_MAX = 21, T3_DOUBLE_TEXT_MAX = 32 };

/*
 * Appends ISO 8601 as Python's isoformat: 2026-06-03T12:00:00+00:00, six digits of fraction unless
 * zero.  `separator` is 'T' or ' '.  Beyond Python's years 1 to 9999: five or six digits,
 * "-0043-..." for 44 BC; INT64_MAX is "infinity", INT64_MIN
 * "-infinity".
 */
tears_status t3_timestamp_put(struct t3_buf *out, int64_t us, char separator);
/* The same into `text`, without the offset when `naive`; returns the length. */
size_t t3_timestamp_text(int64_t us, char separator, bool naive, char text[T3_TIMESTAMP_TEXT_MAX]);
/*
 * Reads ISO 8601 and PostgreSQL text: T or blank, fraction of any length (cut at microseconds), Z,
 * +hh, +hhmm, +hh:mm[:ss] or no offset (UTC); a date alone; BC; infinity.  *naive_out (NULL is
 * accepted) says that there was no offset.  TEARS_INVALID.
 */
tears_status t3_timestamp_read(struct tears_str text, int64_t *us_out, bool *naive_out);
tears_status t3_timestamp_parse(struct tears_str text, int64_t *us_out);

/* Whether text is a decimal number, or NaN / Infinity as PostgreSQL and Python write them. */
bool t3_decimal_is_valid(struct tears_str text);
/* Appends a valid decimal as Python's str(Decimal) writes it: 0.00000001 is 1E-8. */
tears_status t3_decimal_put_python(struct t3_buf *out, struct tears_str text);

tears_status t3_hex_put(struct t3_buf *out, struct tears_str bytes);
tears_status t3_hex_parse(struct t3_buf *out, struct tears_str text);
/* Into memory with room for text.len / 2 bytes; the number of bytes, or SIZE_MAX when it is not
 * hexadecimal. */
size_t t3_hex_parse_to(struct tears_str text, char *to);
tears_status t3_base64_put(struct t3_buf *out, struct tears_str bytes, bool url);
/* Strict: alphabet, padding and zero trailing bits. */
tears_status t3_base64_parse(struct t3_buf *out, struct tears_str text, bool url);
/* Into memory with room for text.len / 4 * 3 bytes; the number of bytes, or SIZE_MAX when it is not
 * base64. */
size_t t3_base64_parse_to(struct tears_str text, bool url, char *to);

/* Writes the decimal digits; returns the length.  No NUL. */
size_t t3_int_text(int64_t number, char text[T3_INT_TEXT_MAX]);
/* Whole text is an integer that fits. TEARS_INVALID. */
tears_status t3_int_parse(struct tears_str text, int64_t *out);
/* Python's repr of a finite double, the shortest that reads back; returns the length.  No NUL.
 * Whatever the locale. */
size_t t3_double_text(double number, char text[T3_DOUBLE_TEXT_MAX]);
/* Whole text is a double (correctly rounded); also nan, inf, infinity in any case.  TEARS_INVALID,
 * also when it is too large. */
tears_status t3_double_parse(struct tears_str text, double *out);

/* [1.0, 2.5] as Python writes a list of floats. */
tears_status t3_vector_put(struct t3_buf *out, struct tears_doubles vector);
/* Reads [1,2.5, 3e4]; the doubles are the arena's. TEARS_INVALID, TEARS_NO_MEMORY, TEARS_LIMIT. */
tears_status t3_vector_parse(struct t3_arena *arena, struct tears_str text,
                             struct tears_doubles *out);

/*
 * Appends the value as Python's str() writes it: this is what L2 keys and invalidation messages are
 * made of (spec core.md 2.3): uuid with hyphens, decimal digits, True/False, timestamps with a
 * blank, b'..' for bytes.
 */
tears_status t3_value_put_python(struct t3_buf *out, const struct tears_value *value);

#endif
