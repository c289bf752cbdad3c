/*
 * coalesce.h -- what becomes of a key's pending record when the key is written again.  Pure.
 */
#ifndef T3_DEFERRED_COALESCE_H
#define T3_DEFERRED_COALESCE_H

#include "deferred/record.h"

/* A write as the program made it. */
struct t3_defer {
    uint8_t kind; /* T3_RECORD_INSERT, UPSERT, UPDATE, DELETE */
    const struct t3_key *key;
    const struct t3_cell *cells; /* sorted by column; DELETE: none */
    uint32_t cell_count;
    bool has_base; /* UPDATE, DELETE: made from a row of version `base` ... */
    int64_t base;
    uint64_t pending_seq; /* ... or from what was pending at this seq; 0: not from a pending row */
    const struct t3_row *from; /* the row it was made from; NULL: not known */
};

/*
 * Makes the record that says both: what `last` says (NULL: nothing is pending), then `defer`.  `in_flight`: `last` is on its way to L3, so the new
 * record follows it and says only what is new.  The result may follow `last` (`follows`, when last does not) even if that is not in flight: an upsert that leaves
 * alone what is there and an update are never one record.  id, seq and since_us of the result are the caller's affair.
 *
 *   TEARS_OK         *record_out is in the arena
 *   TEARS_CONFLICT   the write was made from a row that is not the latest any more (in a table with versions), or inserts a key that is pending
 *                    and not a deletion, or updates one that is pending deletion
 *   TEARS_NOT_FOUND  deletes what is pending deletion
 *   TEARS_INVALID    an UPDATE of a row that nobody knows: `from` is NULL and nothing is pending
 *   TEARS_NO_MEMORY, TEARS_LIMIT (row too large)
 */
tears_status t3_coalesce(const struct tears_schema *schema, const struct t3_record *last,
                         bool in_flight, const struct t3_defer *defer, bool keep_before,
                         struct t3_arena *arena, struct t3_record *record_out);

/*
 * What is left of `record`, which follows another, when that one has landed as `landed` (NULL: it was a deletion) with `version`: a record of its
 * own with a base.  TEARS_NO_MEMORY.
 */
tears_status t3_coalesce_rebase(const struct tears_schema *schema, const struct t3_record *record,
                                const struct t3_row *landed, int64_t version,
                                struct t3_arena *arena, struct t3_record *record_out);

/*
 * The record that says what `first`, which was not written, and `second`, which follows it, say together.  TEARS_CONFLICT: no single record does,
 * both stay.  The result has second's seq, as it makes the same row.  TEARS_NO_MEMORY, TEARS_LIMIT.
 */
tears_status t3_coalesce_fold(const struct tears_schema *schema, const struct t3_record *first,
                              const struct t3_record *second, bool keep_before,
                              struct t3_arena *arena, struct t3_record *record_out);

#endif
