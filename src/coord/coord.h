/*
 * coord.h -- what the parts of coordination share.
 *
 *   coord.c     the connection, the bucket of leases, the base of fencing tokens
 *   line.c      who in this process waits for which name, and what was seen of whose lease
 *   acquire.c   getting a lease
 *   lease.c     a lease that is held: refresh, release, loss
 *   marker.c    what releases have left in the bucket
 *   keeper.c    the thread that renews
 *   leases.c    listing and breaking
 *
 * One mutex, a leaf: no I/O and no call-back under it.
 */
#ifndef T3_COORD_COORD_H
#define T3_COORD_COORD_H

#include "base/lock.h"
#include "base/thread.h"
#include "coord/envelope.h"
#include "driver/kv_solo.h"
#include "observe/log.h"

#include <stdatomic.h>
#include <tears/lease.h>

/* Entries of our own in the bucket of leases; no lease may have such a name. */
#define T3_COORD_BASE_KEY  "tears-coord" /* the base of tokens */
#define T3_COORD_CLOCK_KEY "tears-clock" /* written to learn the server's time */

enum {
    T3_COORD_ID_BYTES = 33,      /* 128 random bits in hexadecimal, and a NUL */
    T3_COORD_MARKERS = 256,      /* remembered; one more is removed at once */
    T3_COORD_OBSERVATIONS = 1024 /* entries whose age is known here; more only cost time */
};

/* What is known of the bucket: valid while neither the connection was lost nor the entry with the base written anew. */
struct t3_coord_epoch {
    uint64_t base;       /* token = base + revision */
    uint64_t losses;     /* of the connection, before the base was read */
    uint64_t writes;     /* of the base's entry that were heard, before it was read */
    uint64_t age_max_ms; /* of the bucket; 0: none */
    bool is_known;
};

/* When an entry was first seen as it is. */
struct t3_observation {
    uint64_t name; /* hashes */
    uint64_t write;
    uint64_t since_us; /* t3_boot_us; 0: an empty place */
};

/* A delete marker of our own (marker.h). */
struct t3_marker {
    char *name; /* NULL: an empty place */
    uint64_t revision;
    struct t3_coord_epoch epoch; /* when it was put */
    uint64_t due_us;             /* t3_boot_us: when it is removed */
};

struct t3_line;
struct tears_lease;

struct tears_coord {
    struct t3_log log;
    char namespace_name[128];
    char bucket[208]; /* of leases */
    char holder[256];
    uint64_t wait_ms;
    uint64_t clock_step_us;
    bool is_strict;
    struct t3_kv_settings wanted;
    struct t3_nats *nats;
    struct t3_solo *leases;
    _Atomic uint64_t base_writes;   /* heard; pairs with t3_coord_epoch.writes */
    _Atomic uint64_t revision_seen; /* the highest acknowledged; orders nothing */
    atomic_bool differences_logged;
    struct t3_mutex mutex; /* guards all that follows */
    struct t3_coord_epoch epoch;
    struct t3_line *lines;
    struct t3_observation observations[T3_COORD_OBSERVATIONS];
    struct t3_marker markers[T3_COORD_MARKERS];
    size_t marker_count;
    struct tears_lease *renewed; /* the keeper's */
    uint64_t keeper_until_us;    /* t3_boot_us: when it looks next by itself; 0: it is awake */
    struct t3_cond keeper_wake;
    bool is_ending;
    struct t3_thread keeper;
};

/* Writes 32 hexadecimal digits.  TEARS_INTERNAL: the system gives no random bytes. */
tears_status t3_coord_random_id(char id_out[T3_COORD_ID_BYTES], struct tears_error *error_out);

/* How long one operation may ask the server in all. */
struct t3_deadline t3_coord_patience(const struct tears_coord *coord);

/*
 * What is known of the bucket; asks for it when that is nothing or may be of another bucket.  TEARS_OK, TEARS_INVALID (strict),
 * TEARS_UNAVAILABLE, TEARS_TIMEOUT, TEARS_NO_MEMORY.
 */
tears_status t3_coord_epoch(struct tears_coord *coord, struct t3_deadline deadline,
                            struct t3_coord_epoch *epoch_out, struct tears_error *error_out);

/* Whether nothing has happened since that could mean another bucket. */
bool t3_coord_is_same(struct tears_coord *coord, const struct t3_coord_epoch *epoch);

/* The next t3_coord_epoch asks. */
void t3_coord_forget(struct tears_coord *coord);

/* Makes the base at least `least`. */
tears_status t3_coord_raise(struct tears_coord *coord, uint64_t least, struct t3_deadline deadline,
                            struct tears_error *error_out);

/* Notes an acknowledged revision. */
void t3_coord_saw(struct tears_coord *coord, uint64_t revision);

/* TEARS_INVALID for what cannot be a lease's name. */
tears_status t3_coord_check_name(struct tears_str name, struct tears_error *error_out);

/* The base entry's text; pure.  Reading: false when it is none. */
bool t3_coord_read_base(struct tears_str text, uint64_t *base_out,
                        char server_out[T3_SOLO_SERVER_BYTES]);
/* The base of a bucket that had `old` (0: none): above every token given out so far, as far as anybody here can know. */
uint64_t t3_coord_next_base(uint64_t old, int64_t calendar_us);

#endif
