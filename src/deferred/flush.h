/*
 * flush.h -- brings what is pending to L3.
 *
 * One thread at a time runs passes; a pass takes records in batches.  A batch is one transaction, in which the first statement asserts that this
 * process still owns the log (the table `tears_journals`: id of the log, epoch, number of the last batch that landed), and the rest is set-based.  The number makes a
 * batch's outcome certain after a crash or a lost connection: it landed if and only if the database has its number, or a larger one of the same epoch or log.  In a store that knows no SQL
 * the row itself is compared.
 *
 * What fails:
 *   connection, serialization, deadlock, lock timeout, shutdown, disk full ... the batch waits; pauses grow to 30 s, with jitter
 *   missing parent (23503)    the row is parked until a row of the parent's table lands, or a pause has passed
 *   table or column missing   the table is parked, and tried again after a pause
 *   conflict                  as the table's policy says (merge.h)
 *   anything else             the batch is halved until the bad rows are alone; they become dead letters, the others are written
 */
#ifndef T3_DEFERRED_FLUSH_H
#define T3_DEFERRED_FLUSH_H

#include "deferred/merge.h"
#include "deferred/pending.h"
#include "tier/l3.h"

/* What the flusher must know of a table. */
struct t3_flush_table {
    struct t3_pending_table *pending;
    struct t3_l3 *l3;
    struct t3_merger merger;
    void *collection; /* the hooks' own */
};

/* A row that landed, for the caches. */
struct t3_flush_landed {
    const struct t3_record *record;
    struct t3_row *
        row; /* as stored; NULL: deleted, or (the record is no DELETE) not asked for: one of too many */
    int64_t version;
    uint64_t ticket; /* what hooks.ticket gave before L3 was asked */
};

/* What the layer above does; called by the flushing thread, never under a lock. */
struct t3_flush_hooks {
    /* Finds a table by name, and opens it (t3_pending_table_open) when it is not.  TEARS_OK, or why its rows must wait. */
    tears_status (*table)(void *owner, struct tears_str name, struct t3_flush_table *table_out,
                          struct tears_error *error_out);
    /* A number that moves when news of the key arrive: asked of every row before its batch is sent, and given back with what landed. */
    uint64_t (*ticket)(void *owner, const struct t3_flush_table *table, const struct t3_key *key);
    /* Rows are in L3 and still read from `pending`: all caches are corrected before that ends. */
    void (*landed)(void *owner, const struct t3_flush_table *table,
                   const struct t3_flush_landed *landed, size_t count, uint64_t asked_ms);
    /* Rows were refused, and are not pending any more: what others saw of them must go. */
    void (*refused)(void *owner, const struct t3_flush_table *table,
                    const struct t3_record *const *records, size_t count);
    void *owner;
};

struct t3_flush_options {
    struct t3_pending *pending;
    struct t3_journal *journal;
    struct t3_flush_hooks hooks;
    uint64_t batch_rows_max;  /* 0: 20,000; the first has 5,000, and so has one after a failure */
    uint64_t batch_bytes_max; /* 0: 16 MiB */
    uint64_t l3_wait_ms;      /* deadline of one batch; 0: 30,000 */
    const struct t3_log *log;
};

struct t3_flush;

tears_status t3_flush_new(const struct t3_flush_options *options, struct t3_flush **flush_out,
                          struct tears_error *error_out);
void t3_flush_free(struct t3_flush *flush);

/* Batches that were under way when the last owner ended: passes settle them against the database before they send anything.  TEARS_NO_MEMORY. */
tears_status t3_flush_adopt(struct t3_flush *flush, const struct t3_pending_flight *flights,
                            size_t count);

/* Has a pass that is under way end soon, as at its deadline; until it is said otherwise. */
void t3_flush_hurry(struct t3_flush *flush, bool hurry);

/* Removes the journal's row from databases: for one that ends with its process. */
void t3_flush_forget(struct t3_flush *flush, struct t3_deadline deadline);

/*
 * One pass over all that may be sent, of the tables named (count 0: all) and of what their rows depend on.  One at a time: a second caller waits for the first, by its
 * deadline.
 * TEARS_OK (what is left is in the result), TEARS_UNAVAILABLE, TEARS_TIMEOUT (progress is kept), TEARS_DENIED (the log was taken over; the database refuses `tears_journals`),
 * TEARS_LIMIT (disk full here), TEARS_CORRUPT, TEARS_NO_MEMORY.
 */
tears_status t3_flush_pass(struct t3_flush *flush, const struct tears_str *tables,
                           size_t table_count, struct t3_deadline deadline,
                           struct tears_flush_result *result_out, struct tears_error *error_out);

/* How long a caller should wait before the next pass, after `failures` that were nobody's fault in a row. */
uint64_t t3_flush_pause_ms(uint32_t failures);

struct t3_flush_stats {
    uint64_t passes, batches, rows, bisections, conflicts, merged, retries;
    bool is_stuck; /* the last pass did not get through: L3 is away, or refuses all of it */
};
void t3_flush_stats(struct t3_flush *flush, struct t3_flush_stats *stats_out);

#endif
