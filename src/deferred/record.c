/*
 * record.c -- the bytes of a pending write.
 *
 *   +------+-------+-------+----------+------+----------+----------------+-------------+----------------+
 *   | kind | flags | words | row size | base | since_us | changed[words] | row, padded | row as it was  |
 *   | 1    | 1     | 2     | 4        | 8    | 8        | 8 each         | to 8        | UPDATE, if any |
 *   +------+-------+-------+----------+------+----------+----------------+-------------+----------------+
 *
 * Owns:     nothing.
 * Knows:    schemas and rows.
 * Must not know: the file the bytes are in, or when they are sent.
 * Threads:  any.
 * Fails:    TEARS_CORRUPT (bytes that no record has), TEARS_NO_MEMORY, TEARS_LIMIT.
 * Begin at: t3_record_put().
 *
 * Numbers are in the host's order, as in rows: the log is read on the machine that wrote it.
 */
#include "deferred/record.h"

#include "base/limits.h"

enum { HAS_BASE = 1, FOLLOWS = 2, HAS_BEFORE = 4, ALL_FLAGS = 7 };

struct head {
    uint8_t kind;
    uint8_t flags;
    uint16_t words;
    uint32_t row_size;
    int64_t base;
    int64_t since_us;
};

_Static_assert(sizeof(struct head) == 24, "the head of a record has no padding");
_Static_assert((T3_COLUMNS_MAX + 63) / 64 <= UINT16_MAX, "the number of words has 16 bits");

static size_t aligned(size_t at)
{
    return (at + 7) & ~(size_t)7;
}

/* ---- writing ------------------------------------------------------------------------------------ */

size_t t3_record_size(const struct tears_schema *schema, const struct t3_record *record)
{
    const size_t before = record->before != NULL ? record->before->size : 0;
    return sizeof(struct head) + t3_record_words(schema) * sizeof(uint64_t) +
           aligned(record->row->size) + before;
}

void t3_record_write(const struct tears_schema *schema, const struct t3_record *record, char *out)
{
    const struct head head = {
        .kind = record->kind,
        .flags = (uint8_t)((record->has_base ? HAS_BASE : 0) | (record->follows ? FOLLOWS : 0) |
                           (record->before != NULL ? HAS_BEFORE : 0)),
        .words = (uint16_t)t3_record_words(schema),
        .row_size = record->row->size,
        .base = record->base,
        .since_us = record->since_us,
    };
    memcpy(out, &head, sizeof head);
    out += sizeof head;
    memcpy(out, record->changed, head.words * sizeof(uint64_t));
    out += head.words * sizeof(uint64_t);
    memcpy(out, record->row, head.row_size);
    memset(out + head.row_size, 0, aligned(head.row_size) - head.row_size);
    out += aligned(head.row_size);
    if (record->before != NULL)
        memcpy(out, record->before, record->before->size);
}

tears_status t3_record_put(const struct tears_schema *schema, const struct t3_record *record,
                           struct t3_buf *out)
{
    const size_t size = t3_record_size(schema, record);
    T3_TRY(t3_buf_reserve(out, size));
    t3_record_write(schema, record, out->ptr + out->len);
    out->len += size;
    out->ptr[out->len] = '\0';
    return TEARS_OK;
}

/* ---- reading ------------------------------------------------------------------------------------ */

/* Bytes of memory aligned to 8, seen as what was written there. */
static const void *at(struct tears_str bytes, size_t offset)
{
    return bytes.ptr + offset;
}

void t3_record_view(struct tears_str bytes, struct t3_record *record_out)
{
    struct head head;
    memcpy(&head, bytes.ptr, sizeof head);
    const size_t row_at = sizeof head + head.words * sizeof(uint64_t);
    memset(record_out, 0, sizeof *record_out);
    record_out->kind = head.kind;
    record_out->has_base = (head.flags & HAS_BASE) != 0;
    record_out->follows = (head.flags & FOLLOWS) != 0;
    record_out->base = head.base;
    record_out->since_us = head.since_us;
    record_out->changed = at(bytes, sizeof head);
    record_out->row = at(bytes, row_at);
    if ((head.flags & HAS_BEFORE) != 0)
        record_out->before = at(bytes, row_at + aligned(head.row_size));
}

int64_t t3_record_since(struct tears_str bytes)
{
    struct head head = {0};
    if (bytes.len >= sizeof head)
        memcpy(&head, bytes.ptr, sizeof head);
    return head.since_us;
}

static bool head_is_sane(const struct tears_schema *schema, const struct head *head)
{
    if (head->kind < T3_RECORD_INSERT || head->kind > T3_RECORD_REPLACE ||
        (head->flags & ~ALL_FLAGS) != 0 || head->words != t3_record_words(schema))
        return false;
    if ((head->flags & HAS_BEFORE) != 0 && head->kind != T3_RECORD_UPDATE)
        return false;
    return (head->flags & HAS_BASE) != 0 || head->base == 0;
}

/* No bit is set for a column that the table does not have. */
static bool changed_is_sane(const struct tears_schema *schema, const uint64_t *changed)
{
    const uint32_t used = schema->column_count % 64;
    return used == 0 || changed[t3_record_words(schema) - 1] >> used == 0;
}

static bool row_is_sane(const struct tears_schema *schema, const struct t3_row *row, size_t size)
{
    if (!t3_row_is_sane(row, &schema->layout, size))
        return false;
    for (uint32_t i = 0; i < schema->key_count; i++)
        if (t3_row_is_null(row, schema->key[i]))
            return false;
    return true;
}

tears_status t3_record_read(const struct tears_schema *schema, struct tears_str bytes,
                            struct t3_arena *arena, struct t3_record *record_out)
{
    (void)arena; /* all of it is read in place */
    T3_ASSERT(((uintptr_t)bytes.ptr & 7) == 0);
    struct head head;
    if (bytes.len < sizeof head)
        return TEARS_CORRUPT;
    memcpy(&head, bytes.ptr, sizeof head);
    if (!head_is_sane(schema, &head))
        return TEARS_CORRUPT;
    const size_t row_at = sizeof head + head.words * sizeof(uint64_t);
    const size_t before_at = row_at + aligned(head.row_size);
    const bool has_before = (head.flags & HAS_BEFORE) != 0;
    if (has_before ? bytes.len <= before_at : bytes.len != before_at)
        return TEARS_CORRUPT;
    if (!changed_is_sane(schema, at(bytes, sizeof head)) ||
        !row_is_sane(schema, at(bytes, row_at), head.row_size))
        return TEARS_CORRUPT;
    if (has_before && !row_is_sane(schema, at(bytes, before_at), bytes.len - before_at))
        return TEARS_CORRUPT;
    t3_record_view(bytes, record_out);
    return TEARS_OK;
}

uint32_t t3_record_cells(const struct tears_schema *schema, const struct t3_record *record,
                         struct t3_cell *cells_out)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < schema->column_count; i++) {
        if (!t3_record_changes(record, i))
            continue;
        if (record->kind == T3_RECORD_UPDATE && schema->columns[i].primary)
            continue;
        cells_out[count].column = i;
        cells_out[count].value = t3_row_value(record->row, &schema->layout, i);
        count++;
    }
    return count;
}
