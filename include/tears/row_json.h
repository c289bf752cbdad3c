/**
 * @file row_json.h
 * Rows as JSON text, in the form that the Python package and L2 use, without a client.
 *
 * Timestamps are ISO 8601, UUIDs and decimals strings, bytes base64 or hexadecimal; everything that is not
 * ASCII is escaped, members are separated by ", " and names from values by ": ".  Numbers that are not finite
 * are written NaN, Infinity and -Infinity, as Python does.
 * Source: spec core.md sections 2.4, 3.4 and 12.
 */
#ifndef TEARS_ROW_JSON_H
#define TEARS_ROW_JSON_H

#include "store.h"
#include "text.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Writes fields as one JSON object, in their order.
 *
 * @param byte_codec  TEARS_BYTES_HEX: the "plain" form of dynamic tables; TEARS_BYTES_BASE64: the
 *                    form of schema tables.
 * @param json_out    ended with tears_owned_text_free.
 * @return TEARS_OK, TEARS_INVALID (a name twice; text that is not UTF-8, a decimal or JSON that is none, an unknown kind),
 * TEARS_MISUSE (an unknown byte_codec), TEARS_LIMIT (too large), TEARS_NO_MEMORY.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_row_to_json(const struct tears_field *fields,
                                                       size_t field_count, uint64_t byte_codec,
                                                       struct tears_owned_text *json_out,
                                                       struct tears_error *error_out);

/**
 * Reads a JSON object as a row of a schema: the columns that are there get their column's kind (null stays
 * NULL), members that are no columns follow as JSON values.  Which form bytes have is the schema's
 * byte codec.  Of members given twice the last counts, as in Python, if they are columns.
 *
 * @param row  called once, with columns in the schema's order; what the fields point to lives until it returns.
 * @return TEARS_OK, TEARS_CORRUPT (not JSON, not an object, a value that is none of its column's), TEARS_LIMIT (too
 * deep, too large), TEARS_NO_MEMORY, or what row->put returned.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_row_from_json(const tears_schema *schema,
                                                         struct tears_str json,
                                                         const struct tears_row_sink *row,
                                                         struct tears_error *error_out);

#ifdef __cplusplus
}
#endif
#endif
