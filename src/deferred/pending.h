/*
 * pending.h -- what is pending, in memory: found by key in the time of a hash lookup, changed by one thread at a time.
 *
 * A key has at most two records: one that may be in flight, and one that follows it.  Savers queue up (base/combine.h); whoever leads
 * makes the records of all (coalesce.h), writes them to the journal in one commit, and only then shows them to readers: what a reader sees is durable.
 * Landings go through the same queue.  Readers copy rows out under the lock of a shard, for as long as the copy takes.
 */
#ifndef T3_DEFERRED_PENDING_H
#define T3_DEFERRED_PENDING_H

#include "deferred/coalesce.h"
#include "deferred/journal.h"

struct t3_pending;       /* all tables of a client */
struct t3_pending_table; /* one of them; lives as long as the client */

struct t3_pending_limits {
    /* 0 in any: no limit */
    uint64_t rows_max,
        bytes_max; /* hard: new records are not taken; one that is there may be changed */
    uint64_t flush_rows, flush_bytes, flush_age_ms; /* a flush is asked for */
};

struct t3_pending_options {
    struct t3_journal *journal;
    struct t3_pending_limits limits;
    void (*wake)(void *owner); /* a limit that asks for a flush is reached; never blocks */
    void *owner;
    const struct t3_log *log;
};

tears_status t3_pending_new(const struct t3_pending_options *options,
                            struct t3_pending **pending_out, struct tears_error *error_out);
void t3_pending_free(struct t3_pending *pending);

/*
 * Reads the journal into memory.  Tables need not be known yet: their records are kept under the layouts they were written with, and are joined to the table when
 * t3_pending_table_open names it.  `flights` gives the batches whose outcome is unknown, in order; what is in the arena.
 */
struct t3_pending_flight {
    uint64_t batch;
    const struct t3_journal_ref *refs;
    size_t count;
};
tears_status t3_pending_recover(struct t3_pending *pending, struct t3_arena *arena,
                                struct t3_deadline deadline,
                                const struct t3_pending_flight **flights_out, size_t *count_out,
                                struct tears_error *error_out);

/*
 * Makes a table known, and keeps a hold of its schema.  Records that were recovered under another layout are converted; what cannot be
 * becomes a dead letter.  The same name gives the same table.  TEARS_OK, TEARS_NO_MEMORY, as t3_journal_write.
 */
tears_status t3_pending_table_open(struct t3_pending *pending, struct tears_schema *schema,
                                   bool keep_before, struct t3_deadline deadline,
                                   struct t3_pending_table **table_out,
                                   struct tears_error *error_out);

/* Names of tables that have pending records and were not opened yet; in the arena. */
tears_status t3_pending_unopened(struct t3_pending *pending, struct t3_arena *arena,
                                 struct tears_str **names_out, size_t *count_out);

/* ---- reading ---- */

enum t3_pending_answer {
    T3_PENDING_NOTHING, /* ask the tiers */
    T3_PENDING_ROW,
    T3_PENDING_DELETED
};

struct t3_pending_hit {
    struct t3_row *row; /* a copy in the arena */
    uint64_t seq;
};

/* True: no key of the table is pending.  No lock. */
bool t3_pending_is_empty(const struct t3_pending_table *table);

/* TEARS_OK, TEARS_NO_MEMORY. */
tears_status t3_pending_look(struct t3_pending_table *table, const struct t3_key *key,
                             struct t3_arena *arena, enum t3_pending_answer *answer_out,
                             struct t3_pending_hit *hit_out);

/* ---- saving ---- */

struct t3_pending_outcome {
    tears_status status; /* OK, CONFLICT, NOT_FOUND; INVALID (the row it updates is not known) */
    struct t3_row *
        row; /* OK: as it will be (NULL: a deletion); CONFLICT: as it is pending, or NULL; in the caller's arena */
    uint64_t seq;
};

/*
 * Saves `count` writes of one table, in one durable step.  Conflicts are the row's own affair; any other failure saves nothing.
 * TEARS_OK, TEARS_LIMIT (rows_max or bytes_max: nothing was saved; or disk full: the error's detail is not 0), TEARS_TIMEOUT, TEARS_DENIED (the log was taken over),
 * TEARS_UNAVAILABLE, TEARS_CORRUPT, TEARS_NO_MEMORY.
 */
tears_status t3_pending_save(struct t3_pending_table *table, const struct t3_defer *defers,
                             size_t count, struct t3_arena *arena, struct t3_deadline deadline,
                             struct t3_pending_outcome *outcomes_out,
                             struct tears_error *error_out);

/* Waits until there is room for that much, as TEARS_FULL_BLOCK does.  TEARS_OK, TEARS_TIMEOUT, TEARS_LIMIT (there never will be: more than the limits). */
tears_status t3_pending_wait_for_room(struct t3_pending *pending, uint64_t rows, uint64_t bytes,
                                      struct t3_deadline deadline);

/* ---- flushing: one thread ---- */

/*
 * A record to be sent; its rows are the index's.  It is *claimed*: it stays as it is, and what is saved for its key meanwhile follows it, until the next
 * t3_pending_collect or t3_pending_release; one that flies until it has ended.  T3_FATE_BACK leaves a claim as it is, so that
 * the item can be sent again at once, in another batch.
 */
struct t3_pending_item {
    struct t3_pending_table *table;
    struct t3_record record;
};

/*
 * Gives records that may be sent: the first of their key, not parked, of the tables named (count 0: all that are open), in the order of ids, those after
 * `after_id`, at most `max`.  Claims of before end.  TEARS_OK, TEARS_NO_MEMORY.
 */
tears_status t3_pending_collect(struct t3_pending *pending, struct t3_pending_table *const *tables,
                                size_t table_count, uint64_t after_id, size_t max,
                                struct t3_arena *arena, struct t3_pending_item **items_out,
                                size_t *count_out);

/* The same of one table, with records that fly or are parked: to be looked at, not to be sent. */
tears_status t3_pending_survey(struct t3_pending *pending, struct t3_pending_table *table,
                               uint64_t after_id, size_t max, struct t3_arena *arena,
                               struct t3_pending_item **items_out, size_t *count_out);

/* Ends all claims: of what was collected, and is not going to be sent now. */
void t3_pending_release(struct t3_pending *pending);

/* The records of a flight of before (t3_pending_recover), as far as they are still there at that seq; their tables must be open.  TEARS_OK, TEARS_NO_MEMORY. */
tears_status t3_pending_flown(struct t3_pending *pending, const struct t3_journal_ref *refs,
                              size_t count, struct t3_arena *arena,
                              struct t3_pending_item **items_out, size_t *count_out);

/* Finds the pending record of a key that another row refers to; false: none is pending. */
bool t3_pending_find(struct t3_pending_table *table, const struct t3_key *key,
                     struct t3_journal_ref *ref_out);

/*
 * Finds a record by its id, also one in flight or parked: for batches of the last owner, and for what rows to be sent depend on.
 * *is_free_out: it may be sent, and is in *item_out, claimed.  False: it is gone, or of a table that is not open.
 */
bool t3_pending_item(struct t3_pending *pending, uint64_t id, struct t3_pending_item *item_out,
                     bool *is_free_out);

/* Marks them as in flight, in the journal too. */
tears_status t3_pending_fly(struct t3_pending *pending, const struct t3_pending_item *items,
                            size_t count, struct t3_deadline deadline, uint64_t *batch_out,
                            struct tears_error *error_out);

enum t3_pending_fate {
    T3_FATE_LANDED, /* L3 has it: `row` (NULL: deleted) at `version`; what follows is rebased on that */
    T3_FATE_BACK, /* not written: it waits again */
    T3_FATE_PARKED, /* the same, and it is not collected before t3_pending_unpark; what follows it is joined to it */
    T3_FATE_REPLACED, /* not written: `record` takes its place (after a merge); what follows it is joined to that */
    T3_FATE_DEAD /* refused for good: a dead letter; what follows it for the same key goes with it, in the same letter */
};

struct t3_pending_end {
    struct t3_journal_ref ref;
    struct t3_pending_table *table;
    enum t3_pending_fate fate;
    const struct t3_row *row;
    int64_t version;
    const struct t3_record *record;
    uint64_t dependants;
    struct tears_str sqlstate, message; /* of DEAD; of PARKED: why */
};

/* Ends a batch (0: of none), all of whose records must be among `ends`.  A record that is not at the seq of its end any more is passed over.  Shown to readers after it is durable.  As t3_journal_write. */
tears_status t3_pending_end(struct t3_pending *pending, uint64_t batch,
                            const struct t3_pending_end *ends, size_t count,
                            struct t3_deadline deadline, struct tears_error *error_out);

/* Lets parked records be collected again: of the tables that refer to `parent` (NULL: all). */
void t3_pending_unpark(struct t3_pending *pending, const struct t3_pending_table *parent);

/* Dead letters that people have marked become pending again. */
tears_status t3_pending_take_marked(struct t3_pending *pending, struct t3_deadline deadline,
                                    struct tears_error *error_out);

/*
 * What a landed write's row is now, for entities that were read while it was pending: remembered for the last 65,536 landings.
 * False: not known any more.
 */
bool t3_pending_landed(struct t3_pending_table *table, const struct t3_key *key, uint64_t seq,
                       int64_t *version_out);

struct t3_pending_stats {
    uint64_t rows, bytes, parked, in_flight;
    int64_t oldest_us; /* 0: nothing is pending */
    uint64_t saves, coalesced, landed, dead;
    uint64_t
        found; /* records taken out of the journal: what the last owner left, and dead letters that are tried again */
};
/* `table` NULL: of all. */
void t3_pending_stats(struct t3_pending *pending, const struct t3_pending_table *table,
                      struct t3_pending_stats *stats_out);

const struct tears_schema *t3_pending_schema(const struct t3_pending_table *table);

#endif
