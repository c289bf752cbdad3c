/*
 * core.h -- the objects behind the public API, shared by the files of this folder only.
 *
 *   client      connections, tiers, collections; one per process
 *   collection  a table's gateway: its schema and the tiers it goes through
 *   session     one unit of work: deadline, transaction, error, memory
 *   entity      a row as read, and changes of its own
 */
#ifndef T3_CORE_CORE_H
#define T3_CORE_CORE_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/combine.h"
#include "base/lock.h"
#include "core/gate.h"
#include "core/trust.h"
#include "core/watch.h"
#include "observe/log.h"
#include "schema/key.h"
#include "schema/schema.h"
#include "tier/l1.h"
#include "tier/l2.h"
#include "tier/l3.h"
#include "tier/ticket.h"

#include <stdatomic.h>
#include <tears/tears.h>

/* Counters that any thread may add to; not on the path of an L1 hit. */
struct t3_counters {
    atomic_uint_fast64_t l2_hits, l2_misses, l2_errors;
    atomic_uint_fast64_t l3_reads, l3_rows_read, l3_writes, l3_conflicts;
    atomic_uint_fast64_t flights_joined;
    atomic_uint_fast64_t notices_sent, notices_received, notices_own, notices_ignored,
        notices_rejected;
    atomic_uint_fast64_t degraded_writes;
    atomic_uint_fast64_t repairs, repairs_dropped;
    atomic_uint_fast64_t feed_events, feed_events_own;
    atomic_uint_fast64_t l1_suspects, l1_verified, stale_served, early_refreshes, strong_reads;
    atomic_uint_fast64_t fill_leases_won, fill_leases_waited, fill_leases_expired;
    atomic_uint_fast64_t announcements, mutations, mutation_retries;
    atomic_uint_fast64_t outbox_notes, outbox_corrections;
    atomic_uint_fast64_t pending_reads, dirty_puts;
    /* of sessions that have ended; those of living sessions are in the sessions */
    atomic_uint_fast64_t l1_hits, l1_misses, l1_negative_hits;
};

static inline void t3_count(atomic_uint_fast64_t *counter, uint64_t more)
{
    atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

static inline uint64_t t3_counted(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* Counters written by one thread and read by any: no read-modify-write, no shared cache line. */
struct t3_session_counters {
    atomic_uint_fast64_t l1_hits, l1_misses, l1_negative_hits;
};

static inline void t3_count_own(atomic_uint_fast64_t *counter)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

struct t3_flights;
struct t3_owned_l3;
struct t3_repair;
struct t3_turns; /* mutate.c */
struct t3_refresh;
struct t3_verify;
struct t3_floors;
struct t3_outbox;
struct t3_deferred;
struct t3_herald;
struct t3_pending_table;

struct tears_client {
    struct t3_arena arena; /* options' texts */
    struct tears_client_options options;
    struct t3_log log;
    uint64_t fork_generation;
    char origin[37]; /* this client's id in notices and headers */
    struct t3_l1 *l1;
    struct t3_l2 *_Atomic l2; /* news may arrive while it is being opened */
    struct t3_l3 *l3;
    struct t3_tickets tickets; /* of collections that are not kept in L1 */
    struct t3_trust trust;
    struct t3_flights *flights;
    struct t3_repair *repair;
    struct t3_watchers watchers;
    struct t3_turns *turns;
    struct t3_refresh *refresh;
    struct t3_verify *verify;
    struct t3_outbox *outbox;
    struct t3_mutex defer_mutex;          /* one thread opens the journal */
    struct t3_deferred *_Atomic deferred; /* NULL: no table is deferred so far */
    struct t3_herald *herald;             /* NULL: no L2, or nothing is deferred */
    struct tears_session *flusher;        /* of the one flush that runs at a time */
    struct t3_mutex mutex;                /* guards collections (adding) and sessions */
    struct tears_collection
        *_Atomic collections; /* a list that only grows: read without the mutex */
    struct tears_session *sessions;
    struct t3_owned_l3 *owned; /* owner.h; guarded by the mutex */
    struct t3_counters counters;
};

struct tears_collection {
    struct tears_collection *next;
    struct tears_client *client;
    struct tears_schema *schema;
    struct t3_l1 *l1; /* NULL: not kept in L1 */
    uint32_t space;
    struct t3_l2 *l2; /* NULL: not kept in L2 */
    struct t3_l3 *l3; /* of a table that lives in L2: a view of L2 (l2_truth.h) */
    bool own_l3;      /* the collection's own, ended with the collection */
    bool lives_in_l2; /* option no_l3: what is in L2 is the row, not a copy that may be dropped */
    struct t3_combine loads;
    bool combine_loads;
    struct t3_gate gate; /* how many loads may be under way */
    uint64_t l1_age_ms;
    uint64_t negative_ms;
    uint64_t
        bound_ms; /* of ANY: a row in L1 is served while it is as of at most so long ago; UINT64_MAX: its age alone counts */
    uint64_t strict_lease_ms;         /* 0: writes are not announced */
    struct t3_pending_table *pending; /* NULL: nothing of this table waits for L3 (defer.h) */
    bool defers;                      /* its writes wait for L3 */
    uint32_t deleted_column;          /* of soft_delete: is_deleted (soft_delete.h) */
    atomic_bool is_retired; /* its table is gone or another one: it is not found any more */
    struct t3_arena arena;  /* the options' texts */
    struct tears_collection_options options;
};

/* A correction of the caches that waits for the commit of a transaction. */
struct t3_correction;

struct tears_session {
    struct tears_client *client;
    struct t3_arena arena;
    struct tears_error error;
    struct t3_session_counters counters;
    uint32_t degraded;
    uint32_t tier;
    uint64_t timeout_ms;
    uint64_t level;              /* TEARS_READ_* */
    uint64_t bound_ms;           /* of BOUNDED */
    struct t3_floors *floors;    /* what was seen at level SESSION; NULL: nothing so far */
    bool floors_are_full;        /* what has no floor must be read from L3 */
    bool with_deleted;           /* rows marked as deleted are given, too */
    struct t3_deadline deadline; /* of the call; 0: not needed so far */
    struct t3_l3_tx *tx;
    struct t3_l3 *tx_l3;      /* whose transaction it is, while there is one */
    struct t3_arena tx_arena; /* corrections outlive a reset of the session */
    struct t3_correction *corrections;
    struct t3_correction *corrections_last;
    struct tears_session *next;
    struct tears_session *before;
};

struct tears_entity {
    struct tears_session *session;
    struct tears_collection *collection;
    struct t3_row *row;      /* NULL: new */
    uint64_t revision;       /* of its L2 entry; 0: not known */
    uint64_t confirmed_ms;   /* when whoever gave the row was asked */
    uint64_t pending_seq;    /* of the deferred write that the row is; 0: of none */
    struct t3_cell *changes; /* sorted by column */
    uint32_t change_count;
    uint32_t change_capacity;
    uint32_t tier;
};

/* A row on its way up, with where it came from. */
struct t3_found {
    struct t3_row *row; /* NULL: the row does not exist */
    uint64_t revision;
    uint64_t confirmed_ms; /* when whoever gave it was asked: as in struct t3_l1_hit */
    uint64_t pending_seq;  /* of a deferred write of this process that waits; 0: it is none */
    uint32_t tier;
    bool is_dirty; /* another process's deferred write, as L2 has it: only ANY may be given it */
};

/*
 * Begins a public call: forgets the last error, checks that this is the process that opened the
 * client. TEARS_OK or TEARS_MISUSE.
 */
tears_status t3_session_enter(struct tears_session *session);

/* The deadline of the call under way; the clock is read on first use, so that an L1 hit never reads
 * it. */
struct t3_deadline t3_session_deadline(struct tears_session *session);

/* Whether this process is a fork of the one that opened the client. */
bool t3_client_is_foreign(const struct tears_client *client);

/* Sets how fresh its reads must be.  TEARS_OK, TEARS_INVALID. */
tears_status t3_session_set_level(struct tears_session *session, uint64_t level, uint64_t bound_ms);

/* Fails the call with TEARS_NO_MEMORY (or LIMIT, when the session's limit is exhausted). */
tears_status t3_session_no_memory(struct tears_session *session);

/* What a lower layer returned, as the caller of the session gets it: NO_MEMORY that the session's own
 * limit has caused is LIMIT, and says what to do. */
tears_status t3_session_status(struct tears_session *session, tears_status status);

/* What an L3 call is given in this session. */
struct t3_l3_call t3_session_l3_call(struct tears_session *session,
                                     const struct tears_collection *collection);

/* The collection of a table that is open already, or NULL.  No lock. */
struct tears_collection *t3_collection_lookup(struct tears_client *client, struct tears_str table);
void t3_collection_free(struct tears_collection *collection);

/* The revision a write may be based on: 0 when it may be of a bucket that is not there any more. */
static inline uint64_t t3_entity_revision(const struct tears_entity *entity)
{
    return t3_trust_covers(&entity->collection->client->trust, entity->confirmed_ms)
               ? entity->revision
               : 0;
}

/* Makes an entity around a row of the session's arena. */
void t3_entity_init(struct tears_entity *entity, struct tears_session *session,
                    struct tears_collection *collection, const struct t3_found *found);

/* The same, in new memory.  TEARS_NO_MEMORY. */
tears_status t3_entity_of(struct tears_session *session, struct tears_collection *collection,
                          const struct t3_found *found, struct tears_entity **entity_out);

/* Appends a value as JSON that any parser takes: as in L2, but a double that is not finite is a
 * string. */
tears_status t3_value_put_json(const struct tears_value *value, uint8_t byte_codec,
                               struct t3_buf *out);

/* The generation of a key's stripe, and moving it, for collections with and without L1. */
uint64_t t3_collection_ticket(struct tears_collection *collection, const struct t3_key *key);
void t3_collection_bump(struct tears_collection *collection, const struct t3_key *key);

/* Moves the key's stripe and forgets what L1 holds of the row. */
void t3_collection_drop(struct tears_collection *collection, const struct t3_key *key);

#endif
