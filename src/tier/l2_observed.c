/*
 * l2_observed.c -- announcements seen under keys of the bucket, and since when.
 *
 * Owns:     a table of them, of fixed size.
 * Must not know: who announces what for.
 * Threads:  any; one lock, held for a few instructions.
 * Fails:    never; see below for a table that is full.
 * Begin at: t3_l2_observe().
 *
 * An announcement says for how long it is good, and no clock of another machine says since when.  So each process counts
 * from when it first saw it, which is never earlier than when it was made: here it may only last longer than for the one who made it.
 *
 * The place of an announcement is its revision, so that those made together do not collide.  A place is given up only when
 * what is in it is over.  A newcomer that finds its place taken counts as seen just now, whenever it is looked at,
 * until the place is free: that errs towards longer, and ends, because no announcement lasts longer than L2_LEASE_MS_MAX.
 */
#include "tier/l2_impl.h"

#include "base/alloc.h"
#include "base/hash.h"

struct l2_sighting {
    uint64_t id; /* of key, revision and bucket; 0: free */
    uint64_t since_ms;
    uint64_t lease_ms;
    uint64_t under_ms;
    bool is_write;
    bool is_ours;
    bool hides_nothing;
};

/* Revisions start again in another bucket. */
static uint64_t id_of(struct t3_l2 *l2, struct tears_str key, uint64_t revision)
{
    const uint64_t epoch = atomic_load_explicit(&l2->feed.epoch, memory_order_relaxed);
    const uint64_t id = t3_hash(key.ptr, key.len, revision ^ epoch);
    return id != 0 ? id : 1;
}

static uint64_t left_of(uint64_t lease_ms, uint64_t age_ms)
{
    const uint64_t most = lease_ms < L2_LEASE_MS_MAX ? lease_ms : L2_LEASE_MS_MAX;
    return age_ms < most + L2_LEASE_SLACK_MS ? most + L2_LEASE_SLACK_MS - age_ms : 0;
}

uint64_t t3_l2_observe(struct t3_l2 *l2, const struct l2_announcement *announcement)
{
    const uint64_t id = id_of(l2, announcement->key, announcement->revision);
    const uint64_t now_ms = t3_now_coarse_ms();
    uint64_t since_ms = now_ms;
    t3_lock(&l2->observed.mutex);
    struct l2_sighting *place = &l2->observed.places[announcement->revision % L2_SIGHTINGS_MAX];
    if (place->id == id) {
        since_ms = place->since_ms;
        place->is_ours = place->is_ours || announcement->is_ours;
        if (announcement->under_ms != 0)
            place->under_ms = announcement->under_ms + (now_ms - since_ms);
    } else if (place->id == 0 || left_of(place->lease_ms, now_ms - place->since_ms) == 0) {
        *place = (struct l2_sighting){
            .id = id,
            .since_ms = now_ms,
            .lease_ms = announcement->lease_ms,
            .under_ms = announcement->under_ms,
            .is_write = announcement->is_write,
            .is_ours = announcement->is_ours,
            .hides_nothing = announcement->hides_nothing,
        };
    }
    t3_unlock(&l2->observed.mutex);
    return left_of(announcement->lease_ms, now_ms - since_ms);
}

bool t3_l2_recall(struct t3_l2 *l2, struct tears_str key, uint64_t revision,
                  struct l2_known *known_out)
{
    const uint64_t id = id_of(l2, key, revision);
    const uint64_t now_ms = t3_now_coarse_ms();
    t3_lock(&l2->observed.mutex);
    const struct l2_sighting place = l2->observed.places[revision % L2_SIGHTINGS_MAX];
    t3_unlock(&l2->observed.mutex);
    if (place.id != id)
        return false;
    const uint64_t age_ms = now_ms - place.since_ms;
    *known_out = (struct l2_known){
        .left_ms = left_of(place.lease_ms, age_ms),
        .under_left_ms = place.under_ms > age_ms ? place.under_ms - age_ms : 0,
        .is_write = place.is_write,
        .is_ours = place.is_ours,
        .hides_nothing = place.hides_nothing,
    };
    return true;
}

tears_status t3_l2_observed_init(struct t3_l2 *l2)
{
    t3_mutex_init(&l2->observed.mutex);
    l2->observed.places = t3_alloc_zero(L2_SIGHTINGS_MAX, sizeof l2->observed.places[0]);
    return l2->observed.places != NULL ? TEARS_OK : TEARS_NO_MEMORY;
}

void t3_l2_observed_done(struct t3_l2 *l2)
{
    t3_free(l2->observed.places);
    t3_mutex_done(&l2->observed.mutex);
}
