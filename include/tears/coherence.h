/**
 * @file coherence.h
 * How fresh a read must be, and what keeps several processes in step.
 *
 * Rows in L1 are kept right by two feeds: the invalidation messages of other writers, and the stream behind the L2
 * bucket, which every client follows.  The client regularly proves to itself that it has obeyed all that was in the
 * bucket at some moment; a row is "as of" that moment, or of the moment at which it was read, whichever is later.  A
 * read asks for rows that are as of a recent enough moment, and goes to the next tier when L1 cannot show that.
 */
#ifndef TEARS_COHERENCE_H
#define TEARS_COHERENCE_H

#include "entity.h"

#ifdef __cplusplus
extern "C" {
#endif

/** @name Consistency of reads */
/** @{ */

/**
 * Consistency of a session's reads.
 *   ANY      a row as of at most the collection's bound ago (tears_collection_status: bound_ms)
 *   BOUNDED  a row as of at most the given time ago
 *   SESSION  ANY, and never older than what this session, or one whose token it follows, has seen or
 *            written
 *   STRONG   the row that L3 holds now
 */
enum { TEARS_READ_ANY = 0, TEARS_READ_BOUNDED = 1, TEARS_READ_SESSION = 2, TEARS_READ_STRONG = 3 };

/**
 * Sets the consistency of the reads that follow.  A session starts with that of its options, else ANY.
 * @param level    TEARS_READ_*.
 * @param bound_ms milliseconds, for BOUNDED; else 0.
 * @return TEARS_OK, TEARS_INVALID (unknown level; a bound with another level).
 * @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_session_set_consistency(tears_session *session,
                                                                   uint32_t level,
                                                                   uint64_t bound_ms);

/**
 * What this session has seen and written so far while its level was SESSION, as text of letters, digits, `-` and `_`: hand it to
 * another process, whose session then reads nothing older.
 * @param token_out  belongs to the session; "" when there is nothing to tell.
 * @return TEARS_OK, TEARS_NO_MEMORY.
 * @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_session_token(tears_session *session,
                                                         struct tears_str *token_out);

/**
 * Takes over what another session has seen and written; sets the level to SESSION.  Tokens add up.
 * @return TEARS_OK, TEARS_INVALID (not a token), TEARS_NO_MEMORY.
 * @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_session_follow(tears_session *session,
                                                          struct tears_str token);

/** @} */
/** @name What is in force */
/** @{ */

/** States of the feed that keeps L1 right. */
enum {
    TEARS_FEED_NONE = 0,    /**< no L2: nobody else is expected to write */
    TEARS_FEED_AWAY = 1,    /**< not connected, or not proven for longer than the bound */
    TEARS_FEED_CURRENT = 2, /**< proven within the bound */
    TEARS_FEED_NOTICES = 3  /**< this table is not kept in L2: invalidation messages only */
};

struct tears_collection_status {
    size_t size;
    uint64_t feed; /**< TEARS_FEED_* */
    uint64_t
        bound_ms; /**< no row is served by ANY that is older than this, by the rules of docs/guide/coherence.md */
    uint64_t proof_age_ms; /**< how long ago the feed was last proven; UINT64_MAX: never */
    uint64_t revision;     /**< last revision of the bucket that was obeyed */
    uint64_t l1_age_ms_max;
    uint64_t stale_ms_max;  /**< how old a row may be that is served when L3 fails; 0: none is */
    uint64_t fill_lease_ms; /**< 0: processes do not wait for each other's fills */
    uint64_t strict;        /**< 1: writes are announced */
    uint64_t outbox;        /**< 1: changes made outside the library are noted by the database */
};

#define TEARS_COLLECTION_STATUS_INIT TEARS_SIZED(struct tears_collection_status)

/** What is in force for a collection now.  `status_out->size` must be set.  @thread any  @since 0.1 */
TEARS_API void tears_collection_status(tears_collection *collection,
                                       struct tears_collection_status *status_out);

/** What one tier holds of a row. */
struct tears_copy {
    uint64_t state;          /**< TEARS_COPY_* */
    int64_t version;         /**< of the row or marker; 0: not known */
    uint64_t revision;       /**< L1, L2: of the L2 entry; 0: not known */
    uint64_t age_ms;         /**< L1: since it was last read from L2 or L3; UINT64_MAX: not known */
    uint64_t as_of_ms;       /**< L1: how long ago it was certainly right; UINT64_MAX: not known */
    uint64_t is_trusted;     /**< L1: 1: ANY would serve it */
    struct tears_str hash;   /**< 16 hexadecimal digits over all cells; "" without a row */
    struct tears_str writer; /**< L2: who put it, or "" */
    struct tears_str detail; /**< one short sentence for people, or "" */
};

enum {
    TEARS_COPY_UNUSED = 0, /**< the collection does not use this tier */
    TEARS_COPY_ABSENT = 1,
    TEARS_COPY_ROW = 2,
    TEARS_COPY_MARKER = 3,  /**< L1: known not to exist; L2: a delete marker */
    TEARS_COPY_LEASED = 4,  /**< L2: a marker of a write or fill under way */
    TEARS_COPY_DAMAGED = 5, /**< L2: a value that is none of this table */
    TEARS_COPY_UNKNOWN = 6, /**< the tier could not be asked; see detail */
    TEARS_COPY_DIRTY = 7    /**< L2: a deferred write, which L3 does not have yet */
};

struct tears_explanation {
    struct tears_str l2_key; /**< the key's text in the bucket */
    struct tears_copy l1, l2, l3;
    uint64_t agree;        /**< 1: no tier holds anything that L3 contradicts */
    uint64_t pending;      /**< 1: a write of this process waits to reach L3 or to correct L2 */
    struct tears_str hint; /**< what to make of a disagreement; "" when they agree */
};

/**
 * Asks every tier what it holds of one row, without changing any.
 * @param explanation_out  belongs to the session.
 * @return TEARS_OK (also when a tier cannot be asked: see the copies), TEARS_INVALID (key), TEARS_NO_MEMORY.
 * @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status
tears_explain(tears_session *session, tears_collection *collection, const struct tears_value *key,
              size_t key_count, const struct tears_explanation **explanation_out);

/** @} */
/** @name Watching */
/** @{ */

enum {
    TEARS_EVENT_NOTICE = 0, /**< an invalidation message */
    TEARS_EVENT_PUT = 1,    /**< a row was put into L2 */
    TEARS_EVENT_FILL = 2,   /**< a reader put a row into L2 that it had read from L3 */
    TEARS_EVENT_MARKER = 3, /**< a delete marker */
    TEARS_EVENT_LEASE = 4,  /**< a write or fill was announced */
    TEARS_EVENT_DOUBT = 5,  /**< the feed is not proven any more */
    TEARS_EVENT_TRUST = 6,  /**< the feed is proven again */
    TEARS_EVENT_LOST = 7    /**< the bucket is another one, or its history is gone */
};

/** One piece of news; everything in it is borrowed for the call. */
struct tears_event {
    uint64_t kind;           /**< TEARS_EVENT_* */
    struct tears_str table;  /**< "" for DOUBT, TRUST, LOST */
    struct tears_str key;    /**< as in L2, without the table; of a notice its ids joined by ", " */
    struct tears_str origin; /**< who did it, or "" */
    uint64_t revision;       /**< of the L2 entry; 0 for notices */
    uint64_t has_version;
    int64_t version;
    uint64_t is_own; /**< 1: this client did it */
};

typedef struct tears_watch tears_watch;

/** Receives news that this client has obeyed, on a thread of the library; must not block or call the client. */
typedef void (*tears_watch_fn)(void *owner, const struct tears_event *event);

/**
 * Has a function called for the notices and stream events of a table, and for news of the feed.
 * @param table      "": of all tables, also those without a collection.
 * @param watch_out  owned by the caller; end it with tears_watch_free before the client.
 * @return TEARS_OK, TEARS_UNSUPPORTED (no L2), TEARS_NO_MEMORY.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_watch_start(tears_client *client, struct tears_str table,
                                                       tears_watch_fn fn, void *owner,
                                                       tears_watch **watch_out);

/** Ends it; the function is not called any more when this returns.  NULL is accepted.  @thread any  @since 0.1 */
TEARS_API void tears_watch_free(tears_watch *watch);

/** @} */
/** @name Tables without L3
 * A collection with the option `no_l3` lives in L2, and is cached in L1.  Its rows change by compare-and-swap only. */
/** @{ */

enum { TEARS_MUTATE_NOTHING = 0, TEARS_MUTATE_UPSERT = 1, TEARS_MUTATE_DELETE = 2 };

/** What to do with a row. */
struct tears_mutation {
    uint64_t action;                  /**< TEARS_MUTATE_* */
    const struct tears_field *fields; /**< UPSERT: columns to set; the others keep their values */
    size_t field_count;
};

/**
 * Decides, from the row as it is now, what becomes of it.  Called again when another writer was faster, so it must
 * do nothing but decide.
 * @param current       NULL: there is no row.
 * @param mutation_out  fields may be memory of the session.
 * @return TEARS_OK, or a failure that ends the mutation and is returned.
 */
typedef tears_status (*tears_mutate_fn)(void *owner, tears_session *session,
                                        const tears_entity *current,
                                        struct tears_mutation *mutation_out);

/**
 * Changes one row of a table without L3 by compare-and-swap: read, decide, put over exactly what was read; again, after
 * a short random pause, when someone else was faster.  A lost acknowledgement is recognised by what is stored.
 * Columns `date_updated` and, in a new row, `date_created` are set, never backwards.
 * Source: spec core.md 20.7.
 * @param entity_out  may be NULL; the row as it is then, or NULL when there is none.
 * @return TEARS_OK, TEARS_CONFLICT (others were faster too many times), TEARS_MISUSE (the table has an L3; a
 * transaction is open), TEARS_INVALID (fields), TEARS_LIMIT (the row is larger than the server takes),
 * TEARS_UNAVAILABLE, TEARS_TIMEOUT, TEARS_NO_MEMORY, and what `fn` returns.
 * @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_l2_mutate(tears_session *session,
                                                     tears_collection *collection,
                                                     const struct tears_value *key,
                                                     size_t key_count, tears_mutate_fn fn,
                                                     void *owner, tears_entity **entity_out);

/** @} */
/** @name Outbox: changes made outside the library
 * A trigger notes the key of every row that anyone changes, in the same transaction; one client at a time turns the
 * notes into corrections of L2 and notices.  PostgreSQL only. */
/** @{ */

/**
 * Makes the outbox and puts its trigger on tables; what is there and fits is left alone, and what does not fit any more (the key
 * is another one) is made anew.  All tables or none.  Waits for their writers.
 * @return TEARS_OK, TEARS_NOT_FOUND (no such table), TEARS_INVALID (a table without primary key, or whose name cannot be part of
 * an L2 key),
 * TEARS_UNSUPPORTED (not PostgreSQL), TEARS_DENIED, TEARS_UNAVAILABLE, TEARS_TIMEOUT.
 * @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_outbox_install(tears_session *session,
                                                          const struct tears_str *tables,
                                                          size_t table_count);

/** Takes the trigger off tables; none given: off all, and the outbox with it.  @return as tears_outbox_install.
 * @thread session @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_outbox_remove(tears_session *session,
                                                         const struct tears_str *tables,
                                                         size_t table_count);

struct tears_outbox_status {
    size_t size;
    uint64_t installed;             /**< 1: the outbox exists */
    uint64_t waiting;               /**< notes that wait */
    uint64_t oldest_ms;             /**< age of the oldest, by the database's clock */
    uint64_t has_tailer;            /**< 1: some client is working on them */
    const struct tears_str *tables; /**< with the trigger; belongs to the session */
    size_t table_count;
};

#define TEARS_OUTBOX_STATUS_INIT TEARS_SIZED(struct tears_outbox_status)

/** @return TEARS_OK, TEARS_UNSUPPORTED, TEARS_UNAVAILABLE, TEARS_TIMEOUT, TEARS_NO_MEMORY.  @thread session  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_outbox_status(tears_session *session,
                                                         struct tears_outbox_status *status_out);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
