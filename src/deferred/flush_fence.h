/*
 * flush_fence.h -- the row by which a database knows the journal: who may flush it, and which batch was the last.
 *
 *   tears_journals (id TEXT PRIMARY KEY, epoch BIGINT, batch BIGINT, changed TIMESTAMP WITH TIME ZONE)
 *
 * Whoever takes a journal over raises the epoch.  That waits for a transaction of the old owner's that is under way (it holds the row), and refuses
 * every later one: t3_fence_pass finds nothing to update.  So the row also is the one true answer to "did that batch land?".
 */
#ifndef T3_DEFERRED_FLUSH_FENCE_H
#define T3_DEFERRED_FLUSH_FENCE_H

#include "tier/l3.h"

struct t3_fence {
    struct t3_l3 *l3;
    struct tears_str id; /* of the journal; lives as long as the fence */
    uint64_t epoch;
    bool is_claimed;
    bool has_sql;   /* false: a store of rows, which has no such row; known once claimed */
    uint64_t batch; /* the last that landed, as of the claim */
};

/*
 * Makes the table if it is missing, and the row this process's; waits for the transactions of others that hold it.  Learns which batch was the last to
 * land, whenever it is called.
 * TEARS_OK, TEARS_DENIED (a later owner was here, or the database refuses the table), TEARS_UNAVAILABLE, TEARS_TIMEOUT, TEARS_NO_MEMORY.
 */
tears_status t3_fence_claim(struct t3_fence *fence, struct t3_deadline deadline,
                            struct tears_error *error_out);

/* Asserts, in the call's transaction, that the journal is still this process's, and notes the batch.  TEARS_DENIED: it is not. */
tears_status t3_fence_pass(const struct t3_fence *fence, struct t3_l3_call *call, uint64_t batch);

/* Removes the row: of a journal that ends with its process. */
void t3_fence_forget(const struct t3_fence *fence, struct t3_deadline deadline);

#endif
