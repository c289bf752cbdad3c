/*
 * row.h -- a row: one immutable, relocatable block of typed cells.
 *
 *   +--------+--------+----------------------+-----------------------------------------+
 *   | size   | count  | ends[count]          | cells                                   |
 *   | 4 bytes| 4 bytes| 4 bytes each         | each where the one before ended         |
 *   +--------+--------+----------------------+-----------------------------------------+
 *
 * ends[i] is where cell i ends, counted from the start of the block; its top bit says that the cell
 * is NULL (and then it is empty).  Kinds are not stored: the schema's layout knows them.  A cell of
 * BOOL is 1 byte; INT, TIMESTAMP and DOUBLE are 8 (host order); UUID is 16; TEXT, DECIMAL, JSON and
 * BYTES are their bytes and one NUL; VECTOR is its doubles, and starts at the next multiple of 8.
 * Only VECTOR is aligned.  A row contains no pointers: copying its `size` bytes copies the row; a
 * block is always aligned to 8.
 */
#ifndef T3_CODEC_ROW_H
#define T3_CODEC_ROW_H

#include "base/arena.h"

#include <tears/value.h>

#define T3_CELL_NULL 0x80000000u

struct t3_row {
    uint32_t size;
    uint32_t count;
    uint32_t ends[];
};

/* The kinds of a table's columns, in order: what is needed to read a row. */
struct t3_layout {
    const uint8_t *kinds; /* TEARS_KIND_* */
    uint32_t count;
};

static inline bool t3_row_is_null(const struct t3_row *row, uint32_t index)
{
    return (row->ends[index] & T3_CELL_NULL) != 0;
}

/* The value of a cell; bytes and vectors in it point into the row. */
struct tears_value t3_row_value(const struct t3_row *row, const struct t3_layout *layout,
                                uint32_t index);

/* The bytes of the row that are data (cells without padding and NULs): for accounting. */
size_t t3_row_payload(const struct t3_row *row, const struct t3_layout *layout);

/* Whether cell `index` equals the value (same kind, same bytes). */
bool t3_row_cell_equal(const struct t3_row *row, const struct t3_layout *layout, uint32_t index,
                       const struct tears_value *value);

/*
 * Makes a row of the values (one per column, in order; each of the column's kind or NULL).
 * TEARS_NO_MEMORY, TEARS_LIMIT (more than T3_ROW_BYTES_MAX).
 */
tears_status t3_row_new(struct t3_arena *arena, const struct t3_layout *layout,
                        const struct tears_value *values, struct t3_row **row_out);

/*
 * Whether the block of `size` bytes is a well-formed row of the layout: for rows that came from
 * outside this process's memory.
 */
bool t3_row_is_sane(const struct t3_row *row, const struct t3_layout *layout, size_t size);

#endif
