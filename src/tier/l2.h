/*
 * l2.h -- the shared tier: rows as JSON in a NATS JetStream KV bucket.
 *
 * The bytes are those of spec core.md section 2.  What the Python package ignores travels in headers:
 *   Tears-Version   the row's version as the database issued it (decimal)
 *   Tears-Origin    who wrote it (UUID text)
 *   Tears-Epoch     the bucket's identity when it was written; an entry of another one is not believed
 *   Tears-Fill      a reader's copy or lease, and no change
 *   Tears-Dirty     a deferred write, which L3 does not have yet
 *   Tears-Lease     of a delete marker: milliseconds for which a write or fill was announced
 *   Tears-Key       the key's ids as in a notice, where the key's text is a hash
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

enum t3_l2_event_kind {
    T3_L2_EVENT_PUT,    /* a row */
    T3_L2_EVENT_FILL,   /* a row, copied from L3 by a reader */
    T3_L2_EVENT_MARKER, /* a delete marker */
    T3_L2_EVENT_WRITE_LEASE,
    T3_L2_EVENT_FILL_LEASE
};

/* One message of the stream, borrowed for the call. */
struct t3_l2_event {
    enum t3_l2_event_kind kind;
    struct tears_str key; /* "table.body" */
    uint64_t revision;
    bool has_version;
    int64_t version;
    bool is_own;
    struct tears_str origin;
    struct tears_str ids; /* a JSON array of texts, as in a notice; "" when the body is no hash */
};

/* News that come up from the tier, on threads of its own; nothing here may block or call the tier. */
struct t3_l2_sink {
    /* An asynchronous fill was acknowledged at `revision`, or (lost) someone else wrote the key first. */
    void (*filled)(void *owner, void *collection, const struct t3_key *key, int64_t version,
                   uint64_t revision, bool lost);
    /* An invalidation message arrived (raw payload of the subject threetears.cache.invalidate). */
    void (*notice)(void *owner, struct tears_str payload);
    /* The connection was lost and is there again: notices may have been missed. */
    void (*reconnected)(void *owner);
    /* The stream behind the bucket: see driver/kv_follow.h, whose words these are. */
    void (*event)(void *owner, const struct t3_l2_event *event);
    void (*current)(void *owner, uint64_t as_of_ms, uint64_t revision);
    void (*doubt)(void *owner, const char *why);
    void (*lost)(void *owner, uint64_t since_ms, const char *why);
    void *owner;
};

struct t3_l2_options {
    struct tears_str url;
    struct tears_str namespace_name;
    struct tears_str origin; /* this client's id, 36 characters */
    uint64_t wait_ms;        /* longest wait for one answer */
    uint64_t probe_ms;       /* how often the feed is proven; 0: 1,000 */
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
    T3_L2_DAMAGED /* a value that is no row of this table, or another row's, or of another bucket: a miss */
};

/* Whether somebody has announced something under the key, and the time for it is not over.  The time counts from when
 * this process first saw the announcement: no two machines' clocks are compared. */
enum t3_l2_lease {
    T3_L2_NO_LEASE,
    T3_L2_WRITE_LEASE, /* a write is under way: what L3 says now may be old in a moment; keep it nowhere */
    T3_L2_FILL_LEASE /* another process is reading the row from L3 */
};

struct t3_l2_entry {
    enum t3_l2_state state;
    uint64_t revision;
    int64_t version; /* from the header, else the row's version column; 0 unknown */
    enum t3_l2_lease lease;
    uint64_t lease_left_ms; /* of an active lease */
    bool is_dirty;          /* a row that L3 does not have yet */
    bool is_own;            /* of a dirty row: this client put it */
    bool
        hides_nothing; /* a marker that was announced where nothing was: no version was ever under it */
    struct t3_row *row;
    struct tears_str origin; /* who wrote it, in the arena, or ""; t3_l2_inspect only */
};

/* Reads many keys in one round trip.  TEARS_OK, TEARS_UNAVAILABLE, TEARS_TIMEOUT, TEARS_NO_MEMORY. */
tears_status t3_l2_get(struct t3_l2 *l2, const struct tears_schema *schema,
                       const struct t3_key *keys, size_t count, struct t3_arena *arena,
                       struct t3_deadline deadline, struct t3_l2_entry *entries_out,
                       struct tears_error *error_out);

/* One key for a person to look at: with its origin, and counted nowhere.  As t3_l2_get. */
tears_status t3_l2_inspect(struct t3_l2 *l2, const struct tears_schema *schema,
                           const struct t3_key *key, struct t3_arena *arena,
                           struct t3_deadline deadline, struct t3_l2_entry *entry_out,
                           struct tears_error *error_out);

/* A row (or, row NULL, its deletion) to put over whatever older version is there. */
struct t3_l2_put {
    const struct t3_key *key;
    const struct t3_row *row;
    int64_t version;
    uint64_t seen;  /* the revision this is based on; UINT64_MAX: not known */
    bool versioned; /* the table has a version column */
    bool
        is_dirty; /* a deferred write: `version` is that of the row it is based on, and a row of the same version goes over it, and it over that */
    uint64_t
        known_ms; /* when L3 was asked, by t3_now_coarse_ms: in a bucket that is younger the row may be history, and
                     a marker is put instead; 0: not known */
    bool
        authoritative; /* an insert or delete that the database just confirmed: goes over any version seen before it */
    /* results */
    tears_status
        status; /* OK; CONFLICT: the row is not there, because something newer is, or another writer's announcement:
                   neither may it be kept elsewhere; UNAVAILABLE, TIMEOUT: not corrected */
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
 * Starts a fill after a miss and returns at once: create when `seen` is 0, else compare-and-swap on `seen`.  `row` NULL takes back a
 * lease of one's own (t3_l2_lease): a plain marker.  `began_ms` is when the key was read here (t3_now_coarse_ms): in a bucket that
 * forgets markers by age, a fill older than half that age is not made, for the marker that should stop it may be gone.  The outcome comes through the
 * sink.  TEARS_OK (started), TEARS_LIMIT (too many under way, or too old: skipped), TEARS_UNAVAILABLE, TEARS_NO_MEMORY.
 */
tears_status t3_l2_fill(struct t3_l2 *l2, const struct tears_schema *schema, void *collection,
                        const struct t3_key *key, const struct t3_row *row, int64_t version,
                        uint64_t seen, uint64_t began_ms);

/*
 * Asks to be the one process that reads the row from L3: puts a marker with a fill lease over exactly `seen`.  The marker keeps
 * `version`, the highest known under the key (0: none is known).  TEARS_OK: won, fill over *revision_out; TEARS_CONFLICT: someone else was
 * faster, read again; TEARS_UNAVAILABLE, TEARS_TIMEOUT, TEARS_LIMIT, TEARS_NO_MEMORY: do without.
 */
tears_status t3_l2_lease(struct t3_l2 *l2, const struct tears_schema *schema,
                         const struct t3_key *key, uint64_t seen, int64_t version,
                         uint64_t lease_ms, struct t3_deadline deadline, uint64_t *revision_out);

/*
 * Announces writes (strict mode): puts a marker with a write lease over whatever is under each key; it keeps the highest version
 * known there.  seen[i] is the revision the write is based on (UINT64_MAX: not known), and afterwards that of the marker: the
 * `seen` of the put that follows.  All or nothing is not promised: on failure some keys may have markers, which run out.
 * TEARS_OK (all are announced), TEARS_UNAVAILABLE, TEARS_TIMEOUT, TEARS_CONFLICT (lost too many races), TEARS_LIMIT (a key that
 * cannot be sent), TEARS_NO_MEMORY; the message names the table.
 */
tears_status t3_l2_announce(struct t3_l2 *l2, const struct tears_schema *schema,
                            const struct t3_key *keys, size_t count, uint64_t lease_ms,
                            struct t3_arena *arena, struct t3_deadline deadline, uint64_t *seen,
                            struct tears_error *error_out);

/* One step of tears_l2_mutate: what to put over exactly `seen`. */
struct t3_l2_swap {
    const struct t3_key *key;
    const struct t3_row *row; /* NULL: a delete marker */
    bool has_version;
    int64_t version;
    uint64_t seen; /* 0: nothing may be there */
    /* results */
    bool had_happened; /* the acknowledgement was lost, and what is stored is what was sent */
    uint64_t revision;
};

/*
 * TEARS_OK (stored), TEARS_CONFLICT (something else is there, and this was never stored), TEARS_LIMIT (the server does not take
 * it), TEARS_UNAVAILABLE (it was not sent), TEARS_TIMEOUT (it may have happened: what is stored could not be read before the
 * deadline, or is something else by now), TEARS_NO_MEMORY.
 */
tears_status t3_l2_swap(struct t3_l2 *l2, const struct tears_schema *schema,
                        struct t3_l2_swap *swap, struct t3_arena *arena,
                        struct t3_deadline deadline, struct tears_error *error_out);

/* What the bucket can be relied on for. */
struct t3_l2_feed {
    bool is_followed;  /* news of the stream come */
    uint64_t revision; /* last one given out */
};
void t3_l2_feed(struct t3_l2 *l2, struct t3_l2_feed *feed_out);

/* Tells the other processes that the rows changed, at once.  TEARS_OK, TEARS_UNAVAILABLE, TEARS_NO_MEMORY. */
tears_status t3_l2_notify(struct t3_l2 *l2, const struct tears_schema *schema,
                          const struct t3_key *keys, size_t count, struct tears_error *error_out);

/* Sends a malformed notice to the dead-letter subject `{namespace}.deadletter.threetears.cache.invalidate`, rate-limited. */
void t3_l2_dead_letter(struct t3_l2 *l2, struct tears_str payload, const char *error_type,
                       const char *error_message);

/* A table without L3 is kept here: the doctor then says what the bucket can lose. */
void t3_l2_set_only_copy(struct t3_l2 *l2);

tears_status t3_l2_doctor(struct t3_l2 *l2, struct t3_findings *findings,
                          struct t3_deadline deadline);

struct t3_l2_stats {
    uint64_t puts, put_conflicts, fills, fills_lost, damaged;
    uint64_t feed_gaps, feed_losses;
};
void t3_l2_stats(struct t3_l2 *l2, struct t3_l2_stats *stats_out);

#endif
