/**
 * @file client.h
 * The client: one per process, shared by all threads; it owns connections, tiers and collections.
 */
#ifndef TEARS_CLIENT_H
#define TEARS_CLIENT_H

#include "store.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tears_client tears_client;
struct tears_merge_field;
typedef struct tears_collection tears_collection;
typedef struct tears_session tears_session;

/** Levels of log messages. */
enum { TEARS_LOG_ERROR = 0, TEARS_LOG_WARN = 1, TEARS_LOG_INFO = 2, TEARS_LOG_DEBUG = 3 };

/**
 * Receives the library's log messages; the library itself never prints.  `origin` is such as
 * "l3.pg"; `message` is one line without secrets.  Called from any thread; must not call the
 * client.
 */
typedef void (*tears_log_fn)(void *owner, uint64_t level, const char *origin, const char *message);

/**
 * How to open a client.  Zero or empty means the default.  Start from TEARS_CLIENT_OPTIONS_INIT.
 */
struct tears_client_options {
    size_t size;
    /**
     * The database: "postgresql://..." (any libpq URL) or a libpq "key=value ..." string, or
     * "sqlite:PATH".  Empty: the environment's TEARS_L3_URL, else "sqlite:tears.db".
     */
    struct tears_str l3_url;
    /** "nats://host:port[,nats://...]" or "tls://...".  Empty: TEARS_L2_URL, else no L2. "none": no
     * L2. */
    struct tears_str l2_url;
    /** Names the L2 bucket `{namespace}-collections`.  Empty: TEARS_NAMESPACE, else "3tears". */
    struct tears_str namespace_name;
    /** "memory", "memory:64MiB", "sqlite", "sqlite:64MiB" or "none".  Empty: "memory:64MiB". */
    struct tears_str l1;
    uint64_t
        l1_age_ms_max; /**< longest life of an L1 row, jittered down by up to 10 %; 0: 60,000 */
    uint64_t l1_negative_ms;         /**< life of a cached "no such row"; 0: 1,000 */
    uint64_t timeout_ms;             /**< deadline of each call of a session; 0: 5,000 */
    uint64_t l2_wait_ms;             /**< longest wait for one L2 answer; 0: 500 */
    uint64_t l3_pool_min;            /**< database connections kept open; 0: 1 */
    uint64_t l3_pool_max;            /**< most database connections; 0: 8 */
    uint64_t l3_idle_ms_max;         /**< an idle connection is closed after this; 0: what the
                                          environment says (dsn.h), else 300,000 */
    uint64_t l3_connect_ms;          /**< longest wait for the database at open; 0: 30,000 */
    struct tears_str l2_creds_file;  /**< NATS credentials file */
    struct tears_str l2_tls_ca_file; /**< certificate authority for tls:// */
    struct tears_str l2_tls_cert_file;
    struct tears_str l2_tls_key_file;
    struct tears_str
        l2_storage;       /**< "memory" or "file", used when the bucket is created; "": memory */
    uint64_t l2_replicas; /**< used when the bucket is created; 0: 1 */
    const struct tears_store
        *store;       /**< a store of the program's own as L3; must outlive the client */
    tears_log_fn log; /**< NULL: silent */
    void *log_owner;
    uint64_t log_level; /**< highest TEARS_LOG_* delivered; 0: TEARS_LOG_ERROR */
    /**
     * The bound of reads with consistency ANY when other processes share L2: a row in L1 is served
     * only while it is known to have been right at most this long ago.  0: 3,000.  At least 100.
     */
    uint64_t staleness_ms_max;
    uint64_t no_outbox; /**< 1: this client never works on the outbox (coherence.h) */
    uint64_t
        flush_strategy; /**< TEARS_FLUSH_* (deferred.h) of the tables named in flush_tables; 0: ON_SCHEDULE */
    struct tears_str
        flush_tables; /**< names of tables whose writes are deferred, separated by commas; "": TEARS_FLUSH_TABLES, else none */
    uint64_t flush_interval_ms; /**< of ON_SCHEDULE; 0: 30,000 */
    uint64_t
        flush_shutdown_ms; /**< longest time that tears_client_free spends on a last flush; 0: 30,000 */
    struct tears_str
        journal_path; /**< file of pending writes, one for each client that is open.  Empty: TEARS_JOURNAL, else beside a SQLite
                                         L3 as `PATH-pending`, else `tears-pending.db` */
    uint64_t journal_durability; /**< TEARS_DURABLE_* (deferred.h) */
    uint64_t
        journal_full; /**< TEARS_FULL_* (deferred.h): what a save does when as much is pending as may be */
    uint64_t journal_rows_max;  /**< most rows that may be pending; 0: 10,000,000 */
    uint64_t journal_bytes_max; /**< most bytes; they are in memory, too; 0: 2 GiB */
    uint64_t
        journal_flush_rows; /**< so many pending rows are flushed at once, whatever the strategy; 0: 1,000,000 */
    uint64_t journal_flush_bytes; /**< so many bytes; 0: 256 MiB */
    uint64_t
        journal_flush_age_ms; /**< a row that has been pending for so long; 0: none is too old */
    uint64_t
        journal_take_over_ms; /**< a journal whose owner gave no sign of life for so long is taken over; 0: never */
};

#define TEARS_CLIENT_OPTIONS_INIT TEARS_SIZED(struct tears_client_options)

/**
 * Opens a client: connects to the tiers, creates the L2 bucket when it is missing, and starts to
 * obey other processes' invalidations.  L3 must be reachable; an L2 that is not is reported by the
 * log and by tears_client_stats, and is used as soon as it answers.
 *
 * @param options    NULL: all defaults (an embedded SQLite file, no server).
 * @param client_out owned by the caller; end it with tears_client_free.
 * @return TEARS_OK, TEARS_INVALID (an option cannot be understood), TEARS_UNSUPPORTED (options from
 * a newer header), TEARS_UNAVAILABLE or TEARS_TIMEOUT (L3 cannot be reached), TEARS_DENIED (wrong
 * password), TEARS_CORRUPT (not a database), TEARS_NO_MEMORY.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_client_open(const struct tears_client_options *options,
                                                       tears_client **client_out,
                                                       struct tears_error *error_out);

/** Ends a client: sessions and collections must not be used any more.  NULL is accepted. @thread
 * setup @since 0.1 */
TEARS_API void tears_client_free(tears_client *client);

/** Counters since the client was opened, and sizes now. */
struct tears_client_stats {
    size_t size;
    uint64_t l1_hits, l1_misses, l1_negative_hits;
    uint64_t l1_rows, l1_bytes, l1_bytes_max, l1_evictions, l1_payload_bytes;
    uint64_t l1_stale_fills; /**< fills discarded because their ticket died */
    uint64_t l2_hits, l2_misses, l2_errors, l2_damaged;
    uint64_t l2_puts, l2_put_conflicts, l2_fills, l2_fills_lost;
    uint64_t l3_reads, l3_rows_read, l3_writes, l3_conflicts;
    uint64_t flights_joined; /**< reads that shared another thread's fill */
    uint64_t notices_sent, notices_received, notices_own, notices_ignored, notices_rejected;
    uint64_t degraded_writes;
    uint64_t l2_connected;                 /**< 1: L2 answers; 0: none or unreachable */
    uint64_t l2_repairs_waiting;           /**< rows that L2 could not be told about yet */
    uint64_t feed_events, feed_events_own; /**< of the stream behind L2 */
    uint64_t feed_gaps; /**< times the stream was followed anew because something was missing */
    uint64_t
        feed_losses; /**< times what is in L1 had to be read again: another bucket, or its history gone */
    uint64_t l1_suspects;  /**< L1 rows that were not served before they had been read again */
    uint64_t l1_verified;  /**< L1 rows confirmed in the background after a loss */
    uint64_t stale_served; /**< rows served although L3 failed */
    uint64_t early_refreshes;
    uint64_t fill_leases_won, fill_leases_waited, fill_leases_expired;
    uint64_t
        strong_reads; /**< rows read from L3 because a session asked for it or had seen newer */
    uint64_t announcements; /**< writes announced in L2 */
    uint64_t mutations, mutation_retries;
    uint64_t outbox_notes, outbox_corrections;
    uint64_t pending_rows, pending_bytes; /**< deferred writes that L3 does not have yet */
    uint64_t pending_parked;              /**< of those: waiting for another row, or for a table */
    uint64_t pending_oldest_ms;           /**< age of the oldest; 0: nothing is pending */
    uint64_t pending_reads;               /**< reads that were answered by a pending write */
    uint64_t deferred_saves, deferred_coalesced;
    uint64_t journal_commits, journal_bytes, journal_damaged;
    uint64_t flushed_rows, flush_batches, flush_retries, flush_conflicts;
    uint64_t dead_letters; /**< writes that L3 refused for good, now in the journal */
    uint64_t dirty_puts;   /**< pending rows shown to other processes in L2 */
};

#define TEARS_CLIENT_STATS_INIT TEARS_SIZED(struct tears_client_stats)

/** Reads the counters.  `stats_out->size` must be set.  @thread any  @since 0.1 */
TEARS_API void tears_client_stats(tears_client *client, struct tears_client_stats *stats_out);

/** One finding of tears_client_doctor. */
struct tears_finding {
    struct tears_str tier;    /**< "l1", "l2", "l3" */
    uint64_t severity;        /**< 0 fine, 1 worth changing, 2 broken */
    struct tears_str subject; /**< such as "version", "storage", "latency" */
    struct tears_str value;   /**< what was found */
    struct tears_str advice;  /**< what to do; "" when nothing */
};

/**
 * Examines every tier: reachable, version, settings that matter.
 * @param findings_out  belongs to the session.
 * @return TEARS_OK (also when a tier is broken: see the findings), TEARS_NO_MEMORY.
 * @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_client_doctor(tears_session *session,
                                                         const struct tears_finding **findings_out,
                                                         size_t *count_out);

/**
 * Decides a column that a deferred write and another writer have both changed (struct tears_merge_field, deferred.h).  Called on a thread of the
 * library; must not call the client.
 * @param value_out  the value to store: one of the field's three, or memory that lives as long as `owner`.
 * @return TEARS_OK, or TEARS_CONFLICT: the write becomes a dead letter.
 */
typedef tears_status (*tears_merge_fn)(void *owner, struct tears_str table,
                                       const struct tears_merge_field *field,
                                       struct tears_value *value_out);

/** Options of one collection: what differs from the client's. */
struct tears_collection_options {
    size_t size;
    const tears_schema *schema;      /**< NULL: read from the database's catalogue */
    struct tears_str version_column; /**< for a table read from the catalogue; "": by convention
                                          `row_version` (integer), else `date_updated`
                                        (timestamptz); "none": no optimistic locking */
    const struct tears_store *store; /**< this table's own L3 */
    uint64_t no_l1;                  /**< 1: this table is not kept in L1 */
    uint64_t no_l2;                  /**< 1: this table is not kept in L2 */
    uint64_t l1_age_ms_max;          /**< 0: the client's */
    uint64_t l1_negative_ms;         /**< 0: the client's */
    uint64_t byte_codec;             /**< TEARS_BYTES_*, for a table read from the catalogue */
    uint64_t staleness_ms_max;       /**< 0: the client's */
    /**
     * 1: each write is announced in L2 before L3 is asked, so that a writer which dies between the two
     * cannot leave the old row in a cache for longer than the lease.  Costs a round trip to L2, and a
     * write fails when L2 cannot be reached.
     */
    uint64_t strict;
    uint64_t
        strict_lease_ms; /**< life of an announcement; longer than any write takes; 0: 10,000 */
    /**
     * Processes that miss the same row agree in L2 who reads it from L3; the others wait for it at most
     * this long.  Costs a round trip to L2 for each row read from L3.  0: each reads for itself.
     */
    uint64_t fill_lease_ms;
    uint64_t
        l3_loads_max; /**< most reads of this table under way to L3 at once; 0: as many as connections */
    /**
     * When L3 fails, a row that was right at most this long ago is served all the same, and the session
     * is degraded (TEARS_DEGRADED_L3_READ).  0: never.
     */
    uint64_t stale_ms_max;
    uint64_t
        early_refresh; /**< 1: a row that is still being read is read anew shortly before its age ends */
    uint64_t no_l3; /**< 1: the rows live in L2 only (tears_l2_mutate); needs `schema` */
    /**
     * 1: a row is deleted by a mark.  The table has a column `is_deleted` (boolean, not null) and may
     * have `date_deleted` (timestamp): tears_columns_soft_delete declares them.  tears_delete and its
     * forms set both, by this machine's clock, and the row is as good as gone: reads by key, fields and
     * pages pass over it, unless the session was started `with_deleted`.  The row is still there: its key
     * stays taken (tears_insert gives TEARS_CONFLICT and no entity), tears_upsert writes over it without
     * taking the mark away, and raw SQL, tears_exists_in_l1 and the caches have it.  To take a deletion
     * back, update `is_deleted` through a session with_deleted.
     */
    uint64_t soft_delete;
    uint64_t
        flush_strategy; /**< TEARS_FLUSH_* (deferred.h); 0: as the client's options say of this table */
    uint64_t on_stale;    /**< TEARS_ON_STALE_* (deferred.h) */
    tears_merge_fn merge; /**< for TEARS_ON_STALE_MERGE; NULL: what both have changed is refused */
    void *merge_owner;
};

#define TEARS_COLLECTION_OPTIONS_INIT TEARS_SIZED(struct tears_collection_options)

/**
 * Opens the collection of a table with options of its own.  A table has one collection per client.
 * @param collection_out  borrowed; lives as long as the client.
 * @return TEARS_OK, TEARS_MISUSE (already open with other options), TEARS_NOT_FOUND (no such
 * table), TEARS_INVALID (no primary key, a name that cannot be an L2 key, a bad schema),
 * TEARS_UNAVAILABLE, TEARS_TIMEOUT, TEARS_NO_MEMORY.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_collection_open(
    tears_client *client, struct tears_str table, const struct tears_collection_options *options,
    tears_collection **collection_out, struct tears_error *error_out);

/**
 * Finds the collection of a table, opening it with default options on first use.
 * @return as tears_collection_open.  The text of a failure: open it with tears_collection_open.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_collection_find(tears_client *client,
                                                           struct tears_str table,
                                                           tears_collection **collection_out);

/** The collection's schema; lives as long as the client.  @thread any  @since 0.1 */
TEARS_API const tears_schema *tears_collection_schema(const tears_collection *collection);

/**
 * Names of the tables in L3, sorted.
 * @param names_out  belongs to the session.
 * @return TEARS_OK, TEARS_UNSUPPORTED (a program's own store), TEARS_UNAVAILABLE, TEARS_TIMEOUT,
 * TEARS_NO_MEMORY.
 * @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_tables(tears_session *session,
                                                  const struct tears_str **names_out,
                                                  size_t *count_out);

#ifdef __cplusplus
}
#endif
#endif
