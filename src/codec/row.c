/*
 * row.c -- building and reading the immutable block that a row is.
 *
 * Owns:     nothing; blocks belong to an arena or to L1.
 * Must not know: tables, names, JSON.
 * Threads:  any; a row never changes.
 * Fails:    TEARS_NO_MEMORY, TEARS_LIMIT.
 * Begin at: t3_row_new().
 */
#include "codec/row.h"

#include "base/limits.h"

static size_t aligned(size_t at)
{
    return (at + 7) & ~(size_t)7;
}

static size_t header_bytes(uint32_t count)
{
    return sizeof(struct t3_row) + (size_t)count * sizeof(uint32_t);
}

/* The bytes a cell of fixed size takes; 0 for those whose size is their own. */
static size_t fixed_bytes(uint8_t kind)
{
    switch (kind) {
    case TEARS_KIND_BOOL:
        return 1;
    case TEARS_KIND_INT:
    case TEARS_KIND_DOUBLE:
    case TEARS_KIND_TIMESTAMP:
        return 8;
    case TEARS_KIND_UUID:
        return 16;
    default:
        return 0;
    }
}

/* Where cell `index` starts (a vector's padding comes before). */
static size_t cell_start(const struct t3_row *row, uint8_t kind, uint32_t index)
{
    const size_t start =
        index == 0 ? header_bytes(row->count) : row->ends[index - 1] & ~T3_CELL_NULL;
    return kind == TEARS_KIND_VECTOR ? aligned(start) : start;
}

/* ---- reading ------------------------------------------------------------------------------------
 */

struct tears_value t3_row_value(const struct t3_row *row, const struct t3_layout *layout,
                                uint32_t index)
{
    T3_DEBUG_ASSERT(index < row->count && row->count == layout->count);
    struct tears_value value = tears_null();
    if (t3_row_is_null(row, index))
        return value;
    const uint8_t kind = layout->kinds[index];
    const size_t start = cell_start(row, kind, index);
    const size_t end = row->ends[index];
    const char *cell = (const char *)row + start;
    value.kind = kind;
    switch (kind) {
    case TEARS_KIND_BOOL:
        value.as.boolean = *cell != 0;
        break;
    case TEARS_KIND_INT:
    case TEARS_KIND_TIMESTAMP:
        memcpy(&value.as.integer, cell, sizeof value.as.integer);
        break;
    case TEARS_KIND_DOUBLE:
        memcpy(&value.as.number, cell, sizeof value.as.number);
        break;
    case TEARS_KIND_UUID:
        memcpy(value.as.uuid, cell, sizeof value.as.uuid);
        break;
    case TEARS_KIND_VECTOR:
        value.as.vector.ptr = (const double *)(const void *)cell;
        value.as.vector.len = (end - start) / sizeof(double);
        break;
    default:
        value.as.bytes = tears_str_n(cell, end - start - 1);
        break;
    }
    return value;
}

size_t t3_row_payload(const struct t3_row *row, const struct t3_layout *layout)
{
    size_t payload = 0;
    for (uint32_t i = 0; i < row->count; i++) {
        if (t3_row_is_null(row, i))
            continue;
        const uint8_t kind = layout->kinds[i];
        const bool has_nul = fixed_bytes(kind) == 0 && kind != TEARS_KIND_VECTOR;
        payload += row->ends[i] - cell_start(row, kind, i) - (has_nul ? 1 : 0);
    }
    return payload;
}

bool t3_row_cell_equal(const struct t3_row *row, const struct t3_layout *layout, uint32_t index,
                       const struct tears_value *value)
{
    const struct tears_value cell = t3_row_value(row, layout, index);
    return tears_value_equal(&cell, value);
}

/* ---- building -----------------------------------------------------------------------------------
 */

/* Where a cell that starts at `at` ends; SIZE_MAX when it is too large to be added up. */
static size_t cell_end(const struct tears_value *value, size_t at)
{
    const size_t fixed = fixed_bytes((uint8_t)value->kind);
    if (fixed > 0)
        return at + fixed;
    if (value->kind == TEARS_KIND_NULL)
        return at;
    if (value->kind != TEARS_KIND_VECTOR)
        return value->as.bytes.len < T3_ROW_BYTES_MAX ? at + value->as.bytes.len + 1 : SIZE_MAX;
    if (value->as.vector.len >= T3_ROW_BYTES_MAX / sizeof(double))
        return SIZE_MAX;
    return aligned(at) + value->as.vector.len * sizeof(double);
}

static void put_cell(char *block, size_t at, const struct tears_value *value)
{
    switch (value->kind) {
    case TEARS_KIND_NULL:
        break;
    case TEARS_KIND_BOOL:
        block[at] = value->as.boolean ? 1 : 0;
        break;
    case TEARS_KIND_INT:
    case TEARS_KIND_TIMESTAMP:
        memcpy(block + at, &value->as.integer, sizeof value->as.integer);
        break;
    case TEARS_KIND_DOUBLE:
        memcpy(block + at, &value->as.number, sizeof value->as.number);
        break;
    case TEARS_KIND_UUID:
        memcpy(block + at, value->as.uuid, sizeof value->as.uuid);
        break;
    case TEARS_KIND_VECTOR:
        memset(block + at, 0, aligned(at) - at); /* equal rows are equal bytes */
        if (value->as.vector.len > 0)
            memcpy(block + aligned(at), value->as.vector.ptr,
                   value->as.vector.len * sizeof(double));
        break;
    default:
        if (value->as.bytes.len > 0)
            memcpy(block + at, value->as.bytes.ptr, value->as.bytes.len);
        block[at + value->as.bytes.len] = '\0';
        break;
    }
}

tears_status t3_row_new(struct t3_arena *arena, const struct t3_layout *layout,
                        const struct tears_value *values, struct t3_row **row_out)
{
    const uint32_t count = layout->count;
    size_t size = header_bytes(count);
    for (uint32_t i = 0; i < count; i++) {
        T3_DEBUG_ASSERT(values[i].kind == TEARS_KIND_NULL || values[i].kind == layout->kinds[i]);
        size = cell_end(&values[i], size);
        if (T3_UNLIKELY(size > T3_ROW_BYTES_MAX))
            return TEARS_LIMIT;
    }
    struct t3_row *row = t3_arena_alloc(arena, size);
    if (row == NULL)
        return TEARS_NO_MEMORY;
    row->size = (uint32_t)size;
    row->count = count;
    size_t at = header_bytes(count);
    for (uint32_t i = 0; i < count; i++) {
        put_cell((char *)row, at, &values[i]);
        at = cell_end(&values[i], at);
        row->ends[i] = (uint32_t)at | (values[i].kind == TEARS_KIND_NULL ? T3_CELL_NULL : 0);
    }
    *row_out = row;
    return TEARS_OK;
}

/* ---- checking -----------------------------------------------------------------------------------
 */

/* Whether a cell of this kind may take the bytes from `start` (before padding) to `end` of the
 * block. */
static bool cell_is_sane(const char *block, uint8_t kind, size_t start, size_t end)
{
    const size_t fixed = fixed_bytes(kind);
    if (fixed > 0)
        return end - start == fixed;
    if (kind == TEARS_KIND_VECTOR)
        return end >= aligned(start) && (end - aligned(start)) % sizeof(double) == 0;
    return end > start && block[end - 1] == '\0';
}

bool t3_row_is_sane(const struct t3_row *row, const struct t3_layout *layout, size_t size)
{
    if (size < sizeof *row || row->size != size || row->count != layout->count ||
        size < header_bytes(row->count))
        return false;
    size_t at = header_bytes(row->count);
    for (uint32_t i = 0; i < row->count; i++) {
        const size_t end = row->ends[i] & ~T3_CELL_NULL;
        if (end < at || end > size)
            return false;
        if (t3_row_is_null(row, i) ? end != at
                                   : !cell_is_sane((const char *)row, layout->kinds[i], at, end))
            return false;
        at = end;
    }
    return at == size;
}
