/*
 * record.h -- a write that waits to reach L3: what it says, and its bytes in the log.
 *
 * A record holds the whole row as it will be, so that it can be read while L3 is away, and says which columns the write changes.  All
 * rows of a table are of one layout; the log keeps the layout beside them (t3_record_layout_put), so that a table whose columns
 * have changed since can still be read: columns are found again by name.
 */
#ifndef T3_DEFERRED_RECORD_H
#define T3_DEFERRED_RECORD_H

#include "base/buf.h"
#include "schema/key.h"
#include "schema/schema.h"

enum t3_record_kind { /* the numbers of TEARS_PENDING_* */
                      T3_RECORD_INSERT = 1,
                      T3_RECORD_UPSERT = 2,
                      T3_RECORD_UPDATE = 3,
                      T3_RECORD_DELETE = 4,
                      T3_RECORD_REPLACE = 5 /* a deletion, then an insert of the same key */
};

struct t3_record {
    uint64_t id;  /* of its place in the log; what follows it for the same key has a larger one */
    uint64_t seq; /* grows with every change of any record */
    uint8_t kind;
    bool has_base; /* UPDATE, DELETE, REPLACE: only if L3's row still has version `base` */
    bool
        follows; /* to be sent when the record before it of the same key has landed.  With has_base: based on the row that this one makes,
                    whose version is the base then (t3_coalesce_rebase); `base` is 0 until it is known */
    int64_t base;
    int64_t since_us; /* wall clock, for people */
    const struct t3_row
        *row; /* as it will be; of a DELETE as it was, as far as is known: at least its key */
    const struct t3_row *before; /* UPDATE that may have to be merged: as it was; else NULL */
    const uint64_t *changed;     /* bits of the columns to write, t3_record_words(schema) words */
};

static inline uint32_t t3_record_words(const struct tears_schema *schema)
{
    return (schema->column_count + 63) / 64;
}

static inline bool t3_record_changes(const struct t3_record *record, uint32_t column)
{
    return (record->changed[column / 64] >> (column % 64) & 1) != 0;
}

/* Appends the record's bytes, all but id and seq.  TEARS_NO_MEMORY, TEARS_LIMIT. */
tears_status t3_record_put(const struct tears_schema *schema, const struct t3_record *record,
                           struct t3_buf *out);

/*
 * Reads them back; rows may point into `bytes`, which must be aligned to 8.  Checks everything: the bytes come from a file.
 * TEARS_OK, TEARS_CORRUPT (no text: the caller knows table and id), TEARS_NO_MEMORY.
 */
tears_status t3_record_read(const struct tears_schema *schema, struct tears_str bytes,
                            struct t3_arena *arena, struct t3_record *record_out);

/* The same in two steps, for who has the memory: exactly t3_record_size bytes, aligned to 8. */
size_t t3_record_size(const struct tears_schema *schema, const struct t3_record *record);
void t3_record_write(const struct tears_schema *schema, const struct t3_record *record, char *out);

/* Reads bytes that t3_record_put has made, or t3_record_read has checked; id and seq are 0. */
void t3_record_view(struct tears_str bytes, struct t3_record *record_out);

/* since_us of bytes that nobody has checked yet; 0: they are too short to have one. */
int64_t t3_record_since(struct tears_str bytes);

/* The cells that the write sets, in the order of columns, pointing into the row.  INSERT, UPSERT, REPLACE: the key's among them; UPDATE: without them.
 * `cells_out` has room for column_count. */
uint32_t t3_record_cells(const struct tears_schema *schema, const struct t3_record *record,
                         struct t3_cell *cells_out);

/* ---- layouts ---- */

/* Appends what a table was when its records were written: name, columns with their types, key, version column. */
tears_status t3_record_layout_put(const struct tears_schema *schema, struct t3_buf *out);

/* A schema of that, good for reading records and for people's edits, not for SQL.  TEARS_CORRUPT, TEARS_NO_MEMORY. */
tears_status t3_record_layout_read(struct tears_str bytes, struct tears_schema **schema_out);

/*
 * A record of an older layout, as one of the table as it is now: columns are matched by name and kind; new ones are NULL and not changed.
 * TEARS_OK, TEARS_INVALID (a column that the write changes is gone, or is of another kind, or the key is another one: the message names it),
 * TEARS_NO_MEMORY.
 */
tears_status t3_record_convert(const struct tears_schema *from, const struct t3_record *record,
                               const struct tears_schema *to, struct t3_arena *arena,
                               struct t3_record *record_out, struct tears_error *error_out);

#endif
