/*
 * page.h -- keyset pagination: opaque cursors, and the SQL fragments that peers build from them.
 *
 * A cursor is base64url, with padding, of a compact JSON array: the sort key of the last row of the
 * page (spec core.md 2.7 and 11).  It is not secret and not signed: what is decoded is checked,
 * never trusted.
 */
#ifndef T3_SCHEMA_PAGE_H
#define T3_SCHEMA_PAGE_H

#include "base/buf.h"
#include "schema/schema.h"

/*
 * Appends the cursor of a sort key.  What JSON lacks is written as Python's str() does; bytes as \x
 * and hexadecimal digits, and numbers that are not finite as text.  TEARS_NO_MEMORY, TEARS_LIMIT.
 */
tears_status t3_cursor_encode(const struct tears_value *values, size_t count, struct t3_buf *out);

/*
 * Reads a cursor: null, bool, integer, double and text as such, arrays and objects as JSON,
 * integers of more than 64 bits as decimal.  TEARS_INVALID (not base64, not JSON, not an array, too
 * long), TEARS_NO_MEMORY.
 */
tears_status t3_cursor_decode(struct tears_str token, struct t3_arena *arena,
                              struct tears_value **values_out, size_t *count_out,
                              struct tears_error *error_out);

/* The columns that a page is sorted by. */
struct t3_order {
    const uint32_t *columns;
    uint32_t count;
};

/* Reads a cursor of a table's page: one value per order column, each of the column's kind or NULL.
 */
tears_status t3_cursor_decode_for(const struct tears_schema *schema, const struct t3_order *order,
                                  struct tears_str token, struct t3_arena *arena,
                                  struct tears_value **values_out, struct tears_error *error_out);

/* A sort order as peers declare it: names are trusted text, as in their SQL. */
struct t3_keyset {
    const struct tears_str *columns;
    size_t column_count;
    const struct tears_str *casts; /* none, or one per column */
    size_t cast_count;
    bool descending;
};

/* TEARS_INVALID without columns, or with another number of casts. */
tears_status t3_keyset_check(const struct t3_keyset *keyset, struct tears_error *error_out);

/* Appends `c1 DESC, c2 DESC`. */
tears_status t3_keyset_put_order_by(const struct t3_keyset *keyset, struct t3_buf *out);

/* Appends `(c1, c2) < ($n::text::T1, $n+1::text::T2)`, for parameters that start at `first_param`.
 */
tears_status t3_keyset_put_predicate(const struct t3_keyset *keyset, uint64_t first_param,
                                     struct t3_buf *out);

/*
 * Of `row_count` rows fetched with a limit of page_size + 1: how many make up the page.  *more_out
 * says whether there is a next page; its cursor is the key of the last row kept.
 */
size_t t3_page_rows(size_t row_count, size_t page_size, bool *more_out);

#endif
