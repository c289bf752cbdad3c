/*
 * row_codec.h -- a row as the JSON object that L2 holds, and back.
 *
 * Bytes are fixed by spec core.md 2.4, 3.3 and 3.4 and by vectors/rows.jsonl.
 */
#ifndef T3_SCHEMA_ROW_CODEC_H
#define T3_SCHEMA_ROW_CODEC_H

#include "base/buf.h"
#include "schema/schema.h"

/* Appends the row as one JSON object with all columns in schema order. TEARS_NO_MEMORY, TEARS_LIMIT. */
tears_status t3_row_encode(const struct tears_schema *schema, const struct t3_row *row,
                           struct t3_buf *out);

/* Appends one value as it stands in a row's JSON. */
tears_status t3_value_encode(const struct tears_value *value, uint8_t byte_codec, struct t3_buf *out);

/*
 * Decodes an L2 value.  Every declared column must be there, except that generated ones may be missing (W-08);
 * members that are not declared are skipped; of duplicate members the last counts.
 *
 * TEARS_OK, TEARS_CORRUPT (damaged or of another shape; the message has the position and column), TEARS_NO_MEMORY,
 * TEARS_LIMIT (too deep, too large).
 */
tears_status t3_row_decode(const struct tears_schema *schema, struct tears_str json,
                           struct t3_arena *arena, struct t3_row **row_out,
                           struct tears_error *error_out);

/*
 * Decodes a JSON object of some of the columns into fields (names point into the schema), for input by people:
 * duplicate members and unknown columns are TEARS_INVALID, as are values that do not fit.
 */
tears_status t3_fields_decode(const struct tears_schema *schema, struct tears_str json,
                              struct t3_arena *arena, struct tears_field **fields_out,
                              size_t *count_out, struct tears_error *error_out);

#endif
