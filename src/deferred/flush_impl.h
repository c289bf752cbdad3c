/*
 * flush_impl.h -- what the sources of the flusher share; private to src/deferred/flush*.c.
 *
 *   flush.c          a pass: rounds of batches, verdicts, settling with the last owner's batches
 *   flush_tables.c   tables that the flusher has met, and what their rows refer to
 *   flush_batch.c    which rows go together, and which must wait for others
 *   flush_split.c    a batch that fails: again, without the rows that cannot go, or in halves
 *   flush_send.c     one transaction; the one before is ended meanwhile
 *   flush_sender.c   the thread for that
 *   flush_settle.c   what became of rows: caches, the index, the journal
 */
#ifndef T3_DEFERRED_FLUSH_IMPL_H
#define T3_DEFERRED_FLUSH_IMPL_H

#include "base/lock.h"
#include "deferred/flush.h"
#include "deferred/flush_class.h"
#include "deferred/flush_fence.h"
#include "deferred/order.h"

#include <stdatomic.h>

#define T3_FLUSH_ORIGIN "flush"

/* ---- a map from hashes to numbers, for keys and ids (flush_map.c) ---- */

struct t3_flush_map {
    uint64_t *hashes;
    uint32_t *values; /* + 1; 0: free */
    size_t mask;
};

#define T3_FLUSH_MAP_END UINT32_MAX

tears_status t3_flush_map_init(struct t3_flush_map *map, size_t count_max, struct t3_arena *arena);
void t3_flush_map_put(struct t3_flush_map *map, uint64_t hash, uint32_t value);
/* The next value under the hash; *at is 0 for the first.  T3_FLUSH_MAP_END: no more. */
uint32_t t3_flush_map_next(const struct t3_flush_map *map, uint64_t hash, size_t *at);

/* ---- tables (flush_tables.c) ---- */

struct t3_flush_known;

/* A foreign key of a table. */
struct t3_flush_reference {
    struct tears_str table;
    const uint32_t
        *columns; /* of the child, in the order of the parent's key once `parent` is known */
    const struct tears_str *names; /* of the parent's columns; NULL: its key */
    uint32_t count;
    struct t3_flush_known *parent; /* NULL: not deferred, not known, or not by its primary key */
};

struct t3_flush_known {
    struct t3_flush_known *next;
    struct t3_flush_table table;
    const struct tears_schema *schema;
    struct t3_fence *fence;
    struct t3_flush_reference *references;
    uint32_t reference_count;
    uint64_t asked_pass; /* in which parents were last looked for */
    bool is_out;         /* no row of it can be written in this pass */
    struct tears_error why;
};

/* ---- rows under way ---- */

struct t3_flush_entry {
    struct t3_pending_item item;
    struct t3_flush_known *known;
    struct t3_key key;
    uint64_t ticket;
    struct t3_write *write;  /* of this attempt; of a REPLACE its insert */
    struct t3_write *remove; /* of a REPLACE: its deletion */
    uint32_t rank;           /* of its table in the batch */
    bool in_cycle;           /* its table refers to itself, or to one that refers to it */
    bool is_held;            /* waits for a row that does not go with it */
    bool is_orphan;          /* refers to a row that is not there */
    bool is_done;            /* its fate is settled for this round */
    enum t3_pending_fate fate;
    struct t3_row
        *stored; /* LANDED: as it is in L3 now, for the caches; NULL: deleted, or not asked for */
    int64_t stored_version;
    const struct t3_row *made; /* LANDED: as this write made it, for what follows */
    int64_t made_version;
    struct t3_record replacement;
    struct tears_str message; /* PARKED: why */
};

/* A row that is refused, told at the end of the round. */
struct t3_flush_verdict {
    struct t3_flush_verdict *next;
    struct t3_flush_known *known;
    struct t3_journal_ref ref;
    bool
        is_clash; /* with a row that may itself be about to go: final only when nothing else moves */
    struct tears_str sqlstate, message;
};

enum t3_flush_outcome { T3_OUTCOME_UNKNOWN, T3_OUTCOME_LANDED, T3_OUTCOME_LOST };

/* A batch whose outcome is not known, or whose rows have not all heard of it. */
struct t3_flush_owed {
    struct t3_flush_owed *next;
    uint64_t batch;                /* 0: the journal has heard */
    enum t3_flush_outcome outcome; /* by the word of a fence */
    size_t count;
    struct t3_journal_ref refs[];
};

/* A batch that has landed, and is to be ended while the next one is being written. */
struct t3_flush_later {
    bool is_set;
    uint64_t batch;
    struct t3_flush_entry **entries;
    size_t count;
    uint64_t asked_ms;
    struct t3_flush_owed *owed;
};

struct t3_flush_sender;

/* Which records a batch was made of. */
struct t3_flush_members {
    struct t3_flush_entry *entries;
    struct t3_flush_map by_id; /* hash: the id; value: the place among the entries */
};

struct t3_flush {
    struct t3_flush_options options;
    struct t3_mutex mutex; /* guards is_busy */
    struct t3_cond idle;
    bool is_busy; /* a pass runs; what is below is its */
    struct t3_flush_known *known;
    struct t3_fence **fences;
    size_t fence_count;
    struct t3_arena tables; /* of what is known of tables */
    struct t3_flush_owed *owed;
    bool is_undecided; /* a batch is owed whose database is not known: none of its tables is open */
    uint64_t rows_now; /* of a batch: fewer after a failure */
    uint64_t pass_number;
    uint64_t complain_at_us;  /* of tables that are not open, not before this */
    struct t3_arena *batch;   /* of the batch: one of two, as the last one may not have ended */
    struct t3_arena *attempt; /* of one transaction of it: as well */
    struct t3_arena batches[2], attempts[2];
    struct t3_arena ending; /* of t3_flush_end */
    struct t3_arena round;  /* verdicts */
    struct t3_flush_later later;
    struct t3_flush_sender *sender; /* NULL: not needed yet */
    _Atomic bool is_hurried, is_stuck;
    struct {
        _Atomic uint64_t passes, batches, rows, bisections, conflicts, merged, retries;
    } counters;
};

/* A pass under way. */
struct t3_flush_run {
    struct t3_flush *flush;
    struct t3_deadline deadline;
    struct tears_error *error;
    struct t3_pending_table **tables; /* NULL: all */
    size_t table_count;
    bool is_forced; /* rows that wait for others are tried all the same */
    uint64_t id_max;
    uint64_t landed, moved, held, dead; /* moved: replaced after a merge */
    uint64_t parked_alone;              /* in this round: for a foreign key, and no orphan */
    uint32_t fruitless;                 /* rounds in a row in which nothing landed */
    struct t3_flush_verdict *verdicts;
    size_t verdict_count;
    struct t3_flush_members
        members; /* of the batch at hand; of the one before while another is made */
};

static inline void t3_flush_count(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

/* Batches begin small again: a bad row has to be looked for among fewer. */
void t3_flush_shrink(struct t3_flush *flush);

/* Whether the pass has to end. */
static inline bool t3_flush_is_over(const struct t3_flush_run *run)
{
    return t3_deadline_passed(run->deadline) ||
           atomic_load_explicit(&run->flush->is_hurried, memory_order_relaxed);
}

/* ---- flush_tables.c ---- */

/* By name; what hooks.table says when it is not known.  */
tears_status t3_flush_table_find(struct t3_flush *flush, struct tears_str name,
                                 struct t3_flush_known **known_out, struct tears_error *error_out);

/* By its pending rows. */
tears_status t3_flush_table_of(struct t3_flush *flush, struct t3_pending_table *pending,
                               struct t3_flush_known **known_out, struct tears_error *error_out);

/* Opens tables that have rows in the journal and were not opened yet, as far as that works. */
tears_status t3_flush_tables_open(struct t3_flush *flush, struct tears_error *error_out);

/*
 * The key of the row that `row` refers to; false: none (a NULL), or its parent is not known.  Values are the
 * row's.
 */
bool t3_flush_parent_key(const struct t3_flush_reference *reference,
                         const struct tears_schema *schema, const struct t3_row *row,
                         struct tears_value *storage, struct t3_key *key_out);

/* ---- flush_batch.c ---- */

struct t3_flush_batch {
    struct t3_flush_entry **entries; /* in the order to be sent */
    size_t count;
    uint64_t last_id; /* of those that were looked at */
    size_t looked_at;
};

/* What may go next of the records after `after_id`; looked_at 0: nothing is left.  Memory is flush->batch, which is emptied first. */
tears_status t3_flush_batch_build(struct t3_flush_run *run, uint64_t after_id, uint64_t max,
                                  struct t3_flush_batch *batch_out);

/* ---- flush_send.c ---- */

struct t3_flush_failure {
    tears_status status;
    struct t3_flush_known *known; /* whose rows were being written; NULL: not known */
    bool is_write;                /* false: begin, fence or commit */
    bool is_removal;
    struct tears_error error;
};

/*
 * Writes entries (of one database, in order) in one transaction, and settles those that landed or conflict.  TEARS_OK: all are done.  Else the failure says
 * why, and those that are not done are as they were: they may be sent again.  What fails for reasons of the journal is the status only (*failure
 * has TEARS_OK).
 */
tears_status t3_flush_send(struct t3_flush_run *run, struct t3_flush_entry **entries, size_t count,
                           struct t3_flush_failure *failure);

/* Ends the batch that was left for later, if there is one. */
tears_status t3_flush_end_later(struct t3_flush_run *run);

/* Sets what is `stored` now under entries' keys; absent: NULL. */
tears_status t3_flush_fetch(struct t3_flush_run *run, struct t3_flush_entry **entries, size_t count,
                            struct t3_arena *arena);

/* ---- flush_sender.c ---- */

/* Has another thread call `work` while this one does something else; false: there is no thread to be had. */
bool t3_flush_sender_begin(struct t3_flush *flush, void (*work)(void *owner), void *owner);
/* Waits until it has. */
void t3_flush_sender_end(struct t3_flush *flush);
void t3_flush_sender_free(struct t3_flush_sender *sender);

/* ---- flush_split.c ---- */

/* Brings the entries to L3, whatever becomes of each; TEARS_OK: all are done.  Else as t3_flush_pass. */
tears_status t3_flush_deliver(struct t3_flush_run *run, struct t3_flush_entry **entries,
                              size_t count);

/* ---- flush_settle.c ---- */

/* Ends a batch: tells the caches what landed, then the index and the journal what became of each; then what was refused. */
tears_status t3_flush_end(struct t3_flush_run *run, uint64_t batch, struct t3_flush_entry **entries,
                          size_t count, uint64_t asked_ms);

/* The entry landed as this row; NULL: it is deleted. */
void t3_flush_landed_as(struct t3_flush_entry *entry, struct t3_row *row, int64_t version);

/* Decides by the table's policy what becomes of an entry whose row in L3 is `theirs`: sets its fate. */
tears_status t3_flush_conflict(struct t3_flush_run *run, struct t3_flush_entry *entry,
                               struct t3_row *theirs, int64_t version);

/* ---- flush_verdict.c ---- */

/* Notes that an entry is refused. */
tears_status t3_flush_condemn(struct t3_flush_run *run, struct t3_flush_entry *entry,
                              const struct tears_error *cause, bool is_clash);

/* Carries verdicts out: `all`, or all but those that may yet go well. */
tears_status t3_flush_execute(struct t3_flush_run *run, bool all);

/* ---- flush_orphans.c ---- */

/* Looks for the rows that entries refer to, and parks those whose parent is neither there nor among them. */
tears_status t3_flush_park_orphans(struct t3_flush_run *run, struct t3_flush_entry **entries,
                                   size_t count, size_t *parked_out);

/* Parks one entry. */
tears_status t3_flush_park(struct t3_flush_run *run, struct t3_flush_entry **entries, size_t count,
                           struct tears_str why);

/* ---- flush_owed.c ---- */

/* Memory for a batch of `count` rows, got before it is sent: it must not be wanting afterwards.  Ended by t3_free. */
struct t3_flush_owed *t3_flush_owed_new(const struct t3_journal_ref *refs, size_t count);

/* Keeps a batch, which becomes the flusher's, until its outcome can be learned. */
void t3_flush_owe(struct t3_flush *flush, struct t3_flush_owed *owed);

/* Learns what became of the batches owed. */
tears_status t3_flush_settle_owed(struct t3_flush_run *run);

#endif
