/*
 * row_codec.h -- a row as the JSON object that L2 holds, and back.
 *
 * Bytes are fixed by spec core.md 2.4, 3.3 and 3.4 and by vectors/rows.jsonl.
 */
#ifndef T3_SCHEMA_ROW_CODEC_H
#define T3_SCHEMA_ROW_CODEC_H

#include "base/buf.h"
#include "schema/schema.h"

/*
 * Appends the row as one JSON object with all columns in schema order.  TEARS_NO_MEMORY,
 * TEARS_LIMIT, TEARS_INVALID (text in the row is not UTF-8, which only a database without an
 * encoding can give); the buffer is then as it was.
 *
 * LIMITATION of the format: a jsonb column that holds the JSON value null reads back as SQL NULL,
 * as in the peers.
 */
tears_status t3_row_encode(const struct tears_schema *schema, const struct t3_row *row,
                           struct t3_buf *out);

/* Appends one value as it stands in a row's JSON. */
tears_status t3_value_encode(const struct tears_value *value, uint8_t byte_codec,
                             struct t3_buf *out);

/* In a struct t3_members: the JSON object has no member of this column. */
#define T3_KIND_ABSENT UINT32_MAX

/*
 * What the JSON object of a row holds, member by member; t3_row_decode and the conformance vectors
 * stand on it.  `values` has room for every column of the schema; what is in it afterwards is of
 * the column's kind, NULL or T3_KIND_ABSENT.  Its bytes are in the JSON text itself or in the
 * arena; timestamps written without offset have T3_VALUE_NAIVE in their flags. `unknown` (may be
 * NULL) is told every member that is no column: its name, resolved, and its value as JSON text.
 */
struct t3_members {
    struct tears_value *values;
    void (*unknown)(void *owner, struct tears_str name, struct tears_str json);
    void *owner;
};

/* Decodes whatever columns are there.  TEARS_CORRUPT, TEARS_NO_MEMORY, TEARS_LIMIT as
 * t3_row_decode. */
tears_status t3_members_decode(const struct tears_schema *schema, struct tears_str json,
                               struct t3_arena *arena, const struct t3_members *members,
                               struct tears_error *error_out);

/*
 * Decodes an L2 value.  Every declared column must be there, except that generated ones may be
 * missing (W-08); members that are not declared are skipped; of duplicate members the last counts.
 *
 * TEARS_OK, TEARS_CORRUPT (damaged or of another shape; the message has the position and column),
 * TEARS_NO_MEMORY, TEARS_LIMIT (too deep, too large).
 */
tears_status t3_row_decode(const struct tears_schema *schema, struct tears_str json,
                           struct t3_arena *arena, struct t3_row **row_out,
                           struct tears_error *error_out);

/*
 * Decodes a JSON object of some of the columns into fields, for input by people: duplicate members
 * and unknown columns are TEARS_INVALID, as are values that do not fit (t3_value_coerce; 5.5 is no
 * integer here, 1 no boolean).  NULL passes.  Names point into the schema; text without escapes
 * stays in `json`, everything else is the arena's.
 */
tears_status t3_fields_decode(const struct tears_schema *schema, struct tears_str json,
                              struct t3_arena *arena, struct tears_field **fields_out,
                              size_t *count_out, struct tears_error *error_out);

#endif
