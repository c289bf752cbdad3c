/**
 * @file deferred.h
 * Deferred writes: a save that is durable in a local journal after microseconds, and reaches L3 later.
 *
 * A table is deferred when its collection says so (struct tears_collection_options, flush_strategy) or when the client's
 * options name it.  Its writes are then noted in the client's journal, one SQLite file, and are *pending* until a flush has written
 * them to L3.  The process that made them reads them back at once; others may see them in L2, marked as not yet true, and only with
 * consistency ANY.  Nothing is ever dropped: what L3 refuses for good becomes a *dead letter*, which people look at, edit, try again,
 * or drop (`tears dead`).  Source: spec core.md section 21; architecture section 9.
 */
#ifndef TEARS_DEFERRED_H
#define TEARS_DEFERRED_H

#include "entity.h"

#ifdef __cplusplus
extern "C" {
#endif

/** When pending writes of a table are written to L3.  Whatever the strategy: also on tears_flush, when a limit of the client is reached
 * (pending_rows_max and the others), and when the client is freed. */
enum {
    TEARS_FLUSH_DEFAULT = 0,       /**< as the client's options say; for a client: ALWAYS */
    TEARS_FLUSH_ALWAYS = 1,        /**< not deferred: each write goes to L3 */
    TEARS_FLUSH_ON_CHECKPOINT = 2, /**< when the program calls tears_flush */
    TEARS_FLUSH_ON_SCHEDULE = 3,   /**< every flush_interval_ms */
    TEARS_FLUSH_ON_SHUTDOWN = 4    /**< when the client is freed */
};

/** What a save survives. */
enum {
    TEARS_DURABLE_FULL =
        0, /**< kill -9 and loss of power: each save waits for the disk, together with those of other threads */
    TEARS_DURABLE_NORMAL = 1, /**< kill -9; the last moments are lost with the power */
    TEARS_DURABLE_NONE =
        2 /**< nothing: pending writes are in memory only, and lost with the process */
};

/** What a save does when as much is pending as may be (journal_rows_max, journal_bytes_max). */
enum {
    TEARS_FULL_BLOCK =
        0, /**< waits for a flush to make room, until the session's deadline: TEARS_TIMEOUT */
    TEARS_FULL_FAIL = 1, /**< TEARS_LIMIT */
    TEARS_FULL_WRITE_THROUGH =
        2 /**< the row goes to L3 at once, as in a table that is not deferred */
};

/** What happens when L3's row is not the one that a pending write was based on. */
enum {
    TEARS_ON_STALE_REJECT = 0,      /**< the write becomes a dead letter */
    TEARS_ON_STALE_LAST_WRITER = 1, /**< its changed columns are written over what is there */
    TEARS_ON_STALE_MERGE =
        2 /**< columns that only one side changed are put together; see tears_merge_fn for the rest */
};

/** One column that both sides have changed, to different values. */
struct tears_merge_field {
    struct tears_str column;
    struct tears_value before; /**< when the pending write was made; of an insert NULL */
    struct tears_value mine;   /**< what the pending write sets */
    struct tears_value theirs; /**< what L3 has */
};

/** What a flush has done, and what is left. */
struct tears_flush_result {
    size_t size;
    uint64_t written; /**< rows that L3 has now */
    uint64_t waiting; /**< rows of these tables that are still pending */
    uint64_t parked;  /**< of those: rows that wait for another row, or for a table */
    uint64_t dead;    /**< rows that have become dead letters in this flush */
};

#define TEARS_FLUSH_RESULT_INIT TEARS_SIZED(struct tears_flush_result)

/**
 * Writes what is pending to L3, parents before children, and returns when all of it is written, parked or dead, or the deadline has
 * passed.  What others save meanwhile may be left for the next flush.
 *
 * @param tables       NULL: all.  Rows that these depend on are written too, whichever table they are of.
 * @param deadline_ms  0: the session's.  Progress is kept when it passes.
 * @param result_out   may be NULL; `size` must be set.
 * @return TEARS_OK (see the result), TEARS_TIMEOUT, TEARS_UNAVAILABLE (L3 cannot be reached: rows wait, the journal keeps trying),
 * TEARS_DENIED (another process has taken the journal over; the database refuses the journal's table), TEARS_NOT_FOUND (no such table is deferred),
 * TEARS_MISUSE (a transaction is open), TEARS_NO_MEMORY.
 * @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_flush(tears_session *session,
                                                 const struct tears_str *tables, size_t table_count,
                                                 uint64_t deadline_ms,
                                                 struct tears_flush_result *result_out);

/**
 * Sets one column of one row.  Works for every table; the row is read first when it is not at hand.  Writes to one row keep their
 * order, and two of them never lose each other's columns: only this column is written, whatever else has changed (of a table with a version
 * column, too).
 *
 * @return TEARS_OK, TEARS_NOT_FOUND (no such row), TEARS_INVALID (column, value or key), TEARS_CONFLICT (the row changed under this write again and
 * again), and as tears_update.
 * @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_put_field(tears_session *session,
                                                     tears_collection *collection,
                                                     const struct tears_value *key,
                                                     size_t key_count, struct tears_str column,
                                                     struct tears_value value);

/** @name Pending writes
 * The journal of a client that is open, or of none: tears_journal_open reads the file of a process that runs, or has died. */
/** @{ */

/** What a pending write or dead letter does. */
enum {
    TEARS_PENDING_INSERT = 1,
    TEARS_PENDING_UPSERT = 2,
    TEARS_PENDING_UPDATE = 3,
    TEARS_PENDING_DELETE = 4,
    TEARS_PENDING_REPLACE = 5 /**< a deletion and an insert of the same key */
};

/** A write that waits. */
struct tears_pending {
    uint64_t id;
    uint64_t kind; /**< TEARS_PENDING_* */
    struct tears_str table;
    struct tears_str key;     /**< its values joined by ", " */
    struct tears_str row;     /**< JSON: the row as it will be; of a deletion its key */
    struct tears_str changed; /**< JSON: an array of the columns to write */
    uint64_t has_base;
    int64_t base;     /**< version that the write was based on */
    int64_t since_us; /**< microseconds since 1970: when it was made */
    uint64_t bytes;   /**< in the journal */
};

/** A write that L3 has refused for good. */
struct tears_dead {
    uint64_t id;
    struct tears_pending write; /**< its id is that which it had */
    struct tears_str sqlstate;  /**< "", "23505", ... */
    struct tears_str message;
    int64_t died_us;
    uint64_t dependants; /**< pending rows that wait for this one */
    uint64_t is_marked;  /**< 1: to be tried again by the journal's owner */
};

typedef struct tears_journal tears_journal;

/** Who owns a journal, and how much is in it. */
struct tears_journal_status {
    size_t size;
    struct tears_str path;
    struct tears_str id;    /**< of the journal; the database knows it by this */
    uint64_t epoch;         /**< owners so far */
    uint64_t is_owned;      /**< 1: a process has it open */
    uint64_t owner_pid;     /**< of that process */
    uint64_t owner_idle_ms; /**< how long ago it last gave a sign of life */
    uint64_t pending, pending_bytes, dead;
    int64_t oldest_us; /**< of the oldest pending write; 0: none */
};

#define TEARS_JOURNAL_STATUS_INIT TEARS_SIZED(struct tears_journal_status)

/**
 * Opens a journal to look at it, and to deal with its dead letters; its owner is not disturbed.
 * @param path  "": the default of the environment (struct tears_client_options, journal_path).
 * @return TEARS_OK, TEARS_NOT_FOUND (no such file), TEARS_CORRUPT, TEARS_UNSUPPORTED (of a newer version), TEARS_DENIED, TEARS_TIMEOUT,
 * TEARS_NO_MEMORY.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_journal_open(struct tears_str path,
                                                        tears_journal **journal_out,
                                                        struct tears_error *error_out);
/** Ends it; NULL is accepted.  @thread setup  @since 0.1 */
TEARS_API void tears_journal_free(tears_journal *journal);

/** @param status_out  texts live until the next call with this journal.  @return TEARS_OK, TEARS_TIMEOUT, TEARS_CORRUPT.  @thread session  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_journal_look(tears_journal *journal,
                                                        struct tears_journal_status *status_out,
                                                        struct tears_error *error_out);

/**
 * Gives pending writes in the order they were made, those after `after_id`, at most `max`.
 * @param table        "": of all tables.
 * @param pending_out  lives until the next call with this journal.
 * @return TEARS_OK (also when there is none), TEARS_CORRUPT (a damaged record: the message names it), TEARS_TIMEOUT, TEARS_NO_MEMORY.
 * @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_journal_pending(
    tears_journal *journal, struct tears_str table, uint64_t after_id, size_t max,
    const struct tears_pending **pending_out, size_t *count_out, struct tears_error *error_out);

/** The same of dead letters.  @return as tears_journal_pending.  @thread session  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_journal_dead(
    tears_journal *journal, struct tears_str table, uint64_t after_id, size_t max,
    const struct tears_dead **dead_out, size_t *count_out, struct tears_error *error_out);

/**
 * Has dead letters tried again: marks them; the journal's owner, or the next one, makes them pending and flushes them.
 * @param id     0: all of `table`.
 * @param table  "": of all tables.
 * @return TEARS_OK, TEARS_NOT_FOUND, TEARS_TIMEOUT, TEARS_LIMIT (disk full), TEARS_DENIED.  @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_journal_retry(tears_journal *journal, uint64_t id,
                                                         struct tears_str table,
                                                         uint64_t *count_out,
                                                         struct tears_error *error_out);

/**
 * Changes columns of a dead letter before it is tried again.
 * @param json  an object of columns and values, as tears_fields_from_json takes it; of the key's columns too.
 * @return TEARS_OK, TEARS_NOT_FOUND, TEARS_INVALID (unknown column, wrong type; a deletion has nothing to edit), TEARS_TIMEOUT, TEARS_NO_MEMORY.
 * @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_journal_edit(tears_journal *journal, uint64_t id,
                                                        struct tears_str json,
                                                        struct tears_error *error_out);

/** Forgets a dead letter for good.  @return TEARS_OK, TEARS_NOT_FOUND, TEARS_TIMEOUT.  @thread session  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_journal_drop(tears_journal *journal, uint64_t id,
                                                        struct tears_error *error_out);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
