/*
 * ticket.h -- the generations that make a late fill harmless, shared by both in-process tiers.
 *
 * A key belongs to one stripe, by its hash.  A reader that missed takes the stripe's generation
 * with it as its ticket; whoever learns that a row changed moves the stripe on.  A fill is kept
 * only while its ticket is still the stripe's generation.  Keys that share a stripe disturb each
 * other's fills and nothing else.
 */
#ifndef T3_TIER_TICKET_H
#define T3_TIER_TICKET_H

#include "schema/key.h"

#include <stdatomic.h>

enum {
    T3_TICKET_BITS_MIN = 6, /* 64 stripes: half a KiB, for the smallest tiers */
    T3_TICKET_BITS_MAX =
        12 /* 32 KiB: a thousand notices a second disturb one fill in twenty thousand */
};

/* All zero is empty; t3_tickets_done accepts it. */
struct t3_tickets {
    _Atomic uint64_t *generations; /* start at 1, so that ticket 0 is never current */
    uint64_t mask;
};

/* 2^bits stripes.  TEARS_NO_MEMORY. */
tears_status t3_tickets_init(struct t3_tickets *tickets, uint32_t bits);
void t3_tickets_done(struct t3_tickets *tickets);

/* Stripes that suit a tier of `bytes_max`: about one per 16 KiB, within the bounds above. */
uint32_t t3_ticket_bits(uint64_t bytes_max);

/* The heap the stripes take. */
size_t t3_tickets_bytes(const struct t3_tickets *tickets);

/* Moves all stripes on. */
void t3_tickets_move_all(struct t3_tickets *tickets);

/*
 * The hash of a key within its table: equal keys of two tables must not meet in one place.  Bits 32
 * to 47 choose the stripe; a tier that shards by the low ones of these has each stripe in exactly
 * one shard.
 */
static inline uint64_t t3_ticket_hash(uint32_t space, const struct t3_key *key)
{
    uint64_t hash = key->hash + ((uint64_t)space + 1) * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 32;
    hash *= 0xD6E8FEB86659FD93u;
    return hash ^ (hash >> 32);
}

static inline uint64_t t3_ticket_stripe(uint64_t hash)
{
    return (hash >> 32) & 0xFFFF;
}

/* The generation of the hash's stripe now.  Any thread, without a lock. */
static inline uint64_t t3_ticket_read(const struct t3_tickets *tickets, uint64_t hash)
{
    /* Pairs with the release in t3_ticket_move: who sees the new generation sees what was done
     * before it. */
    return atomic_load_explicit(&tickets->generations[t3_ticket_stripe(hash) & tickets->mask],
                                memory_order_acquire);
}

/*
 * Moves the hash's stripe on.  A tier calls it under the lock under which it checks tickets and
 * stores rows, so that no fill slips in between its check and its store.
 */
static inline void t3_ticket_move(struct t3_tickets *tickets, uint64_t hash)
{
    atomic_fetch_add_explicit(&tickets->generations[t3_ticket_stripe(hash) & tickets->mask], 1,
                              memory_order_acq_rel);
}

#endif
