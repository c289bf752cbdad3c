/*
 * l2.h -- the shared tier: rows as JSON in a NATS JetStream KV bucket.
 *
 * The bytes are those of spec core.md section 2.  What the Python package ignores travels in headers:
 *   Tears-Version   the row's version as the database issued it (decimal)
 *   Tears-Origin    who wrote it (UUID text)
 * An older version never replaces a newer one: every put is a compare-and-swap on the revision seen.
 * The tier never fails a caller for what a cache may lose: damaged values are misses.
 */
#ifndef T3_TIER_L2_H
#define T3_TIER_L2_H

#include "base/clock.h"
#include "observe/log.h"
#include "schema/key.h"
#include "tier/finding.h"

struct t3_l2;

/* News that come up from the tier, on threads of its own; nothing here may block or call the tier. */
struct t3_l2_sink {
    /* An asynchronous fill was acknowledged at `revision`, or (lost) someone else wrote the key first. */
    void (*filled)(void *owner, void *collection, const struct t3_key *key, int64_t version,
                   uint64_t revision, bool lost);
    /* An invalidation message arrived (raw payload of the subject threetears.cache.invalidate). */
    void (*notice)(void *owner, struct tears_str payload);
    /* The connection was lost and is there again: notices may have been missed. */
    void (*reconnected)(void *owner);
    void *owner;
};

struct t3_l2_options {
    struct tears_str url;
    struct tears_str namespace_name;
    struct tears_str origin; /* this client's id, 36 characters */
    uint64_t wait_ms;        /* longest wait for one answer */
    struct tears_str creds_file, tls_ca_file, tls_cert_file, tls_key_file;
    struct tears_str storage; /* "memory" or "file" */
    uint64_t replicas;
    struct t3_l2_sink sink;
    const struct t3_log *log;
};

/*
 * Connects and opens (or creates) the bucket `{namespace}-collections`.  A server that does not answer is no failure: the tier
 * goes on trying in the background, and operations give TEARS_UNAVAILABLE meanwhile.
 * TEARS_OK, TEARS_INVALID (URL, namespace, file), TEARS_NO_MEMORY.
 */
tears_status t3_l2_open(const struct t3_l2_options *options, struct t3_l2 **l2_out,
                        struct tears_error *error_out);
void t3_l2_free(struct t3_l2 *l2);

bool t3_l2_is_connected(struct t3_l2 *l2);

enum t3_l2_state {
    T3_L2_ABSENT,    /* nothing under the key: revision 0 */
    T3_L2_TOMBSTONE, /* a delete marker */
    T3_L2_ROW,
    T3_L2_DAMAGED /* a value that is no row of this table, or another row's: to be treated as absent */
};

struct t3_l2_entry {
    enum t3_l2_state state;
    uint64_t revision;
    int64_t version; /* from the header, else the row's version column; 0 unknown */
    struct t3_row *row;
};

/* Reads many keys in one round trip.  TEARS_OK, TEARS_UNAVAILABLE, TEARS_TIMEOUT, TEARS_NO_MEMORY. */
tears_status t3_l2_get(struct t3_l2 *l2, const struct tears_schema *schema,
                       const struct t3_key *keys, size_t count, struct t3_arena *arena,
                       struct t3_deadline deadline, struct t3_l2_entry *entries_out,
                       struct tears_error *error_out);

/* A row (or, row NULL, its deletion) to put over whatever older version is there. */
struct t3_l2_put {
    const struct t3_key *key;
    const struct t3_row *row;
    int64_t version;
    uint64_t seen;  /* the revision this is based on; UINT64_MAX: not known */
    bool versioned; /* the table has a version column */
    bool
        authoritative; /* an insert or delete that the database just confirmed: goes over any version seen before it */
    /* results */
    tears_status
        status; /* OK; CONFLICT: a newer version is there and stays; UNAVAILABLE, TIMEOUT: not corrected */
    uint64_t revision; /* OK: of what was put */
};

/*
 * Puts rows and delete markers, many in flight, each by compare-and-swap over an older version.  In a table without versions a lost
 * race ends in a delete marker, so that readers ask the database.  A value that cannot be put (too large) becomes
 * a delete marker (W-03).  The results are in the puts; the call itself gives TEARS_OK when all are OK or CONFLICT,
 * else the first failure.
 */
tears_status t3_l2_put(struct t3_l2 *l2, const struct tears_schema *schema, struct t3_l2_put *puts,
                       size_t count, struct t3_arena *arena, struct t3_deadline deadline,
                       struct tears_error *error_out);

/*
 * Starts a fill after a miss and returns at once: create when `seen` is 0, else compare-and-swap on `seen`.  The outcome comes through the
 * sink.  TEARS_OK (started), TEARS_LIMIT (too many under way: skipped), TEARS_UNAVAILABLE, TEARS_NO_MEMORY.
 */
tears_status t3_l2_fill(struct t3_l2 *l2, const struct tears_schema *schema, void *collection,
                        const struct t3_key *key, const struct t3_row *row, int64_t version,
                        uint64_t seen);

/* Tells the other processes that the rows changed, at once.  TEARS_OK, TEARS_UNAVAILABLE, TEARS_NO_MEMORY. */
tears_status t3_l2_notify(struct t3_l2 *l2, const struct tears_schema *schema,
                          const struct t3_key *keys, size_t count, struct tears_error *error_out);

/* Sends a malformed notice to the dead-letter subject `{namespace}.deadletter.threetears.cache.invalidate`, rate-limited. */
void t3_l2_dead_letter(struct t3_l2 *l2, struct tears_str payload, const char *error_type,
                       const char *error_message);

tears_status t3_l2_doctor(struct t3_l2 *l2, struct t3_findings *findings,
                          struct t3_deadline deadline);

struct t3_l2_stats {
    uint64_t puts, put_conflicts, fills, fills_lost, damaged;
};
void t3_l2_stats(struct t3_l2 *l2, struct t3_l2_stats *stats_out);

#endif
