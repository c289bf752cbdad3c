/*
 * pending_landed.c -- which version a row got that was read while it was pending.
 *
 * Owns:     the last landings, in a ring; found by their sequence number, of which no two are the same.
 * Must not know: records, the journal.
 * Threads:  any; one mutex.
 * Fails:    never: without memory it just does not remember, and a write based on what is not remembered is refused.
 * Begin at: t3_pending_landed().
 */
#include "deferred/pending_impl.h"

enum { LANDINGS_MAX = 65536, NOBODY = 0 };

struct landing {
    uint64_t hash; /* of table and key */
    uint64_t seq;
    int64_t version;
    uint32_t next; /* in its bucket: a place plus 1 */
};

struct t3_landing_ring {
    uint64_t count; /* landings so far */
    uint32_t buckets[LANDINGS_MAX];
    struct landing places[LANDINGS_MAX];
};

static uint32_t *bucket_of(struct t3_landing_ring *ring, uint64_t seq)
{
    return &ring->buckets[seq % LANDINGS_MAX];
}

static void forget_oldest(struct t3_landing_ring *ring, uint32_t place)
{
    uint32_t *link = bucket_of(ring, ring->places[place].seq);
    while (*link != place + 1)
        link = &ring->places[*link - 1].next;
    *link = ring->places[place].next;
}

static void note_locked(struct t3_landing_ring *ring, const struct landing *landing)
{
    const uint32_t place = (uint32_t)(ring->count % LANDINGS_MAX);
    if (ring->count >= LANDINGS_MAX)
        forget_oldest(ring, place);
    ring->count++;
    uint32_t *bucket = bucket_of(ring, landing->seq);
    ring->places[place] = *landing;
    ring->places[place].next = *bucket;
    *bucket = place + 1;
}

void t3_landed_note(struct t3_pending *pending, const struct t3_entry *entry, int64_t version)
{
    if (pending->landed == NULL) { /* only the leader sets it; readers look under the lock */
        struct t3_landing_ring *ring = t3_alloc_zero(1, sizeof *ring);
        t3_lock(&pending->landed_mutex);
        pending->landed = ring;
        t3_unlock(&pending->landed_mutex);
    }
    const struct landing landing = {.hash = entry->hash, .seq = entry->seq, .version = version};
    t3_lock(&pending->landed_mutex);
    if (pending->landed != NULL)
        note_locked(pending->landed, &landing);
    t3_unlock(&pending->landed_mutex);
}

static const struct landing *find_locked(struct t3_landing_ring *ring, uint64_t hash, uint64_t seq)
{
    uint32_t at = ring != NULL ? *bucket_of(ring, seq) : NOBODY;
    while (at != NOBODY && (ring->places[at - 1].seq != seq || ring->places[at - 1].hash != hash))
        at = ring->places[at - 1].next;
    return at != NOBODY ? &ring->places[at - 1] : NULL;
}

bool t3_pending_landed(struct t3_pending_table *table, const struct t3_key *key, uint64_t seq,
                       int64_t *version_out)
{
    struct t3_pending *pending = table->pending;
    const uint64_t hash = t3_index_hash(table, key);
    t3_lock(&pending->landed_mutex);
    const struct landing *landing = find_locked(pending->landed, hash, seq);
    if (landing != NULL)
        *version_out = landing->version;
    t3_unlock(&pending->landed_mutex);
    return landing != NULL;
}

void t3_landed_done(struct t3_pending *pending)
{
    t3_free(pending->landed);
}
