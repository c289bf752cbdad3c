/*
 * coerce.h -- the two steps of t3_value_coerce: to the column's kind, and within the column's
 * bounds.
 */
#ifndef T3_SCHEMA_COERCE_H
#define T3_SCHEMA_COERCE_H

#include "schema/schema.h"

/*
 * Turns a value into one of the type's kind, without a look at lengths, labels, ranges or
 * dimensions (spec core.md 3.5): the same kind and NULL pass; text is parsed for uuid, timestamp,
 * numeric, jsonb and vector; integers are taken for numeric and double, a finite double for
 * numeric.  TEARS_INVALID, TEARS_NO_MEMORY, TEARS_LIMIT.
 */
tears_status t3_value_convert(uint64_t type, const struct tears_value *in, struct t3_arena *arena,
                              struct tears_value *out);

/* The same for what a database gave as text; JSON text that does not parse stays text. */
tears_status t3_value_convert_read(uint64_t type, const struct tears_value *in,
                                   struct t3_arena *arena, struct tears_value *out);

/* NULL when a value of the column's kind fits the column, else what is wrong with it. */
const char *t3_value_misfit(const struct t3_column *column, const struct tears_value *value);

#endif
