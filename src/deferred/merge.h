/*
 * merge.h -- three rows become one: before, mine, theirs.  Pure.
 */
#ifndef T3_DEFERRED_MERGE_H
#define T3_DEFERRED_MERGE_H

#include "deferred/record.h"

#include <tears/deferred.h>

struct t3_merger {
    uint64_t policy;   /* TEARS_ON_STALE_* */
    tears_merge_fn fn; /* NULL: fields that both have changed are refused */
    void *owner;
};

/*
 * The record that writes `record` over `theirs` (NULL: the row is gone), by the policy; based on theirs' version.  When theirs already says all that the
 * record would write, *is_done is set: there is nothing left to do.
 *
 *   LAST_WRITER  an UPDATE of the changed columns (an INSERT of the whole row when it is gone); a DELETE without a base
 *   MERGE        as above for columns that theirs left as they were before; of the others `fn` decides.  A row that is gone, or a DELETE of a row that
 *                was changed, is refused
 *
 * TEARS_OK, TEARS_CONFLICT (refused: the message names the column), TEARS_NO_MEMORY.
 */
tears_status t3_merge(const struct tears_schema *schema, const struct t3_merger *merger,
                      const struct t3_record *record, const struct t3_row *theirs,
                      struct t3_arena *arena, struct t3_record *record_out, bool *is_done,
                      struct tears_error *error_out);

/* Whether `theirs` already is as the record would make it. */
bool t3_merge_is_landed(const struct tears_schema *schema, const struct t3_record *record,
                        const struct t3_row *theirs);

#endif
