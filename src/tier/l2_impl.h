/*
 * l2_impl.h -- what the files of the L2 tier share.
 *
 *   l2.c          beginning, end, notices, dead letters, counters
 *   l2_get.c      reading
 *   l2_put.c      writing by compare-and-swap
 *   l2_fill.c     fills that nobody waits for
 *   l2_lease.c    announcing fills and writes
 *   l2_observed.c leases seen, and since when
 *   l2_swap.c     one write over exactly one revision
 *   l2_feed.c     news of the stream on their way up
 *   l2_doctor.c   what a person should know
 */
#ifndef T3_TIER_L2_IMPL_H
#define T3_TIER_L2_IMPL_H

#include "base/buf.h"
#include "base/lock.h"
#include "driver/bus.h"
#include "driver/kv.h"
#include "driver/kv_follow.h"
#include "driver/nats_conn.h"
#include "tier/l2.h"

#include <stdatomic.h>

enum {
    L2_FILLS_MAX = 4096, /* fills under way; a power of two */
    L2_FILL_MS_MAX =
        5000, /* a fill unanswered for this long is forgotten when its place is needed */
    L2_DEAD_LETTERS_MAX = 10, /* in each ... */
    L2_DEAD_LETTER_MS = 10000,
    L2_ORIGIN_BYTES_MAX = 63,
    L2_SIGHTINGS_MAX = 4096,  /* announcements remembered; a power of two */
    L2_LEASE_MS_MAX = 600000, /* a longer one is a mistake, and would block its key for as long */
    L2_LEASE_SLACK_MS = 20,   /* the coarse clock may lag when an announcement is first seen */
    L2_CLAIMS_MAX = 1024, /* swaps whose success may still be taken for another's; a power of two */
    L2_WAKE_MS = 200      /* entries of another bucket make the feed look no more often */
};

struct l2_fill; /* one place of the table */

struct l2_fills {
    struct t3_mutex mutex;
    struct l2_fill *places; /* L2_FILLS_MAX */
    uint64_t next;          /* tickets are counted up; the place is the lowest bits */
};

struct l2_sighting; /* an announcement, and since when it is known */

struct l2_observed {
    struct t3_mutex mutex;
    struct l2_sighting *places; /* L2_SIGHTINGS_MAX */
};

/* What is known of the bucket as a whole. */
struct l2_feed {
    struct t3_mutex mutex; /* guards the four below */
    struct t3_cond returned;
    struct t3_follow *follow;
    uint32_t borrowers;
    bool is_closing;
    _Atomic uint64_t epoch;      /* hash of the bucket's identity; 0: not known */
    _Atomic uint64_t generation; /* moves with every loss */
    _Atomic uint64_t
        since_ms; /* what was known before is older than the bucket; 0: it is still the first */
    _Atomic uint64_t woken_ms;
    _Atomic uint64_t revision;
    atomic_bool is_current;
};

struct t3_l2 {
    struct t3_nats *prompt;
    struct t3_nats *pumped;
    struct t3_nats *gathering;
    struct t3_kv *kv;
    struct t3_bus *bus;
    struct t3_l2_sink sink;
    const struct t3_log *log;
    struct t3_kv_settings wanted;
    uint64_t wait_ms;
    char origin[L2_ORIGIN_BYTES_MAX + 1];
    char bucket[T3_KV_BUCKET_BYTES_MAX + 1];
    char dead_subject[T3_KV_BUCKET_BYTES_MAX + 64];
    struct l2_fills fills;
    struct l2_observed observed;
    struct l2_feed feed;
    _Atomic uint64_t
        claims[L2_CLAIMS_MAX]; /* revisions of which some swap knows that they are its own */
    atomic_bool is_only_copy;
    struct t3_mutex dead_mutex; /* guards the two below */
    uint64_t dead_window_ms;
    uint32_t dead_in_window;
    _Atomic uint64_t puts, put_conflicts, fill_count, fills_lost, damaged;
};

static inline void t3_l2_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* Appends the L2 text of each key, each with a NUL at its end; starts[i] is where it begins. */
tears_status t3_l2_put_keys(const struct tears_schema *schema, const struct t3_key *keys,
                            size_t count, struct t3_buf *out, size_t *starts);

/* Appends the key's ids when its text is a hash, else nothing. */
tears_status t3_l2_put_ids(const struct tears_schema *schema, const struct t3_key *key,
                           const char *text, struct t3_buf *out);

/* Whether a value with this in its header Tears-Epoch belongs to the bucket that is there now; one without is believed. */
bool t3_l2_is_of_this_bucket(struct t3_l2 *l2, struct tears_str epoch);

/* Moves whenever the bucket turns out to be another one. */
static inline uint64_t t3_l2_generation(struct t3_l2 *l2)
{
    return atomic_load_explicit(&l2->feed.generation, memory_order_acquire);
}

/* Before this moment another bucket was there: markers that stood in the way of what was asked then are gone.  0: none was. */
static inline uint64_t t3_l2_since_ms(struct t3_l2 *l2)
{
    return atomic_load_explicit(&l2->feed.since_ms, memory_order_acquire);
}

/* Something makes no sense unless the bucket is another one: the feed is to look. */
void t3_l2_wake_feed(struct t3_l2 *l2);

/*
 * Makes an entry of an answered get: decodes and checks the value.  TEARS_OK, TEARS_NO_MEMORY.
 */
tears_status t3_l2_read_entry(struct t3_l2 *l2, const struct tears_schema *schema,
                              const struct t3_key *key, const struct t3_kv_request *request,
                              struct t3_arena *arena, struct t3_l2_entry *entry_out);

/* An announcement under a key, as it was read or heard of. */
struct l2_announcement {
    struct tears_str key;
    uint64_t revision;
    uint64_t lease_ms;
    bool is_write;
    bool is_ours;       /* made here, by t3_l2_announce */
    bool hides_nothing; /* there was nothing under the key before */
    uint64_t
        under_ms; /* it is ours, and went over another write's that was good for so long; 0: over none */
};

/* Remembers it, if it is new; gives the milliseconds left of it, 0 when it is over. */
uint64_t t3_l2_observe(struct t3_l2 *l2, const struct l2_announcement *announcement);

/* What is known of an announcement.  `left_ms` 0: it is over; `under_left_ms` likewise. */
struct l2_known {
    uint64_t left_ms;
    uint64_t under_left_ms;
    bool is_write;
    bool is_ours;
    bool hides_nothing;
};

/* False: nothing is known of such a revision. */
bool t3_l2_recall(struct t3_l2 *l2, struct tears_str key, uint64_t revision,
                  struct l2_known *known_out);

/* The beginning and end of the feed: init before anything can fail, stop before the connections end, done last. */
void t3_l2_feed_init(struct t3_l2 *l2);
tears_status t3_l2_feed_start(struct t3_l2 *l2, uint64_t probe_ms, struct tears_error *error_out);
void t3_l2_feed_wait(struct t3_l2 *l2, struct t3_deadline deadline);
void t3_l2_feed_stop(struct t3_l2 *l2);
void t3_l2_feed_done(struct t3_l2 *l2);

/* The prompt connection is there again. */
void t3_l2_feed_connected(struct t3_l2 *l2);

/* All zero while nothing is followed. */
void t3_l2_feed_stats(struct t3_l2 *l2, struct t3_follow_stats *stats_out);

tears_status t3_l2_observed_init(struct t3_l2 *l2);
void t3_l2_observed_done(struct t3_l2 *l2);

tears_status t3_l2_fills_init(struct t3_l2 *l2);
void t3_l2_fills_done(struct t3_l2 *l2);
/* The answer to a fill; for the bus. */
void t3_l2_fill_answered(void *owner, uint64_t ticket, const struct t3_kv_ack *ack);

#endif
