/*
 * l1_memory_evict.c -- which entry of a shard can be spared.  docs/adr/0010 says why this way.
 *
 * Owns:     the weights in the slots' words, the hands, the ghosts.
 * Must not know: bytes; whoever needs room asks for one victim after another.
 * Threads:  under the shard's mutex, while readers set "visited".
 * Fails:    never.
 * Begin at: t3_l1_shard_victim_locked().
 *
 * A clock of two classes.  A new entry is on probation (weight 0).  While more than a tenth of the
 * entries are on probation, the hand goes over these: one visited since it came becomes protected,
 * any other is the victim.  Otherwise the hand goes over the protected: a visited one gains weight,
 * one that was not loses some, and one that has none left to lose is the victim.  So a scan of rows
 * that nobody asks for twice passes through a tenth of the shard and leaves the rest alone.
 *
 * The hand goes in slot order, which is the order of hashes: no list, so no links in the entries,
 * and a sweep reads words that lie side by side without touching the entries.  What insertion order
 * would add, the time an entry has had to prove itself, ghosts make good: the tag of each entry
 * evicted on probation is left in an array by its hash, and a key that comes back while its tag is
 * still there was evicted too soon and is protected at once.
 *
 * An entry whose age is over is a victim wherever a hand meets it.  That costs a look at the entries
 * the hand would spare, and at these only.
 *
 * LIMITATIONS: all entries count alike, large or small; a ghost may be another key's (1 in 32,768).
 */
#include "tier/l1_memory_impl.h"

enum { PROBATION_SHARE = 10 /* one in so many may be on probation */ };

/* Ghosts live behind the slots. */
static uint16_t *ghosts_of(struct t3_l1_table *table)
{
    return (uint16_t *)(uintptr_t)(table->slots + table->capacity);
}

void t3_l1_ghost_put_locked(struct t3_l1_table *table, uint32_t hash, uint64_t tag)
{
    ghosts_of(table)[t3_l1_home(table, hash)] = (uint16_t)tag;
}

bool t3_l1_ghost_take_locked(struct t3_l1_table *table, uint32_t hash, uint64_t tag)
{
    uint16_t *ghost = &ghosts_of(table)[t3_l1_home(table, hash)];
    if (*ghost != tag)
        return false;
    *ghost = 0;
    return true;
}

static uint64_t with_weight(uint64_t word, uint32_t weight)
{
    return (word & ~(T3_SLOT_WEIGHT | T3_SLOT_VISITED)) | (uint64_t)weight << 1;
}

/* The weight a passing hand leaves an entry with; -1: it is the victim. */
static int weighed(uint64_t word)
{
    const int weight = (int)t3_l1_slot_weight(word);
    if ((word & T3_SLOT_VISITED) != 0)
        return weight < T3_L1_WEIGHT_MAX ? weight + 1 : weight;
    return weight > 1 ? weight - 1 : -1;
}

/*
 * Moves the hand of one class on until it finds a victim.  `steps` bounds it, since readers may set
 * "visited" as fast as the hand clears it; NULL then.
 */
static _Atomic uint64_t *sweep(struct t3_l1_memory *memory, struct t3_l1_shard *shard,
                               bool is_protected, uint64_t *steps)
{
    struct t3_l1_table *table = atomic_load_explicit(shard->table, memory_order_relaxed);
    uint32_t *hand = &shard->hands[is_protected];
    const uint64_t now_ms = t3_now_coarse_ms();
    while (*steps > 0) {
        --*steps;
        *hand = *hand + 1 < table->capacity ? *hand + 1 : 0;
        _Atomic uint64_t *slot = &table->slots[*hand];
        uint64_t word = atomic_load_explicit(slot, memory_order_relaxed);
        if (word >> 48 == 0 || (t3_l1_slot_weight(word) != 0) != is_protected)
            continue;
        const int weight = weighed(word);
        if (weight < 0 || t3_l1_is_expired(memory, t3_l1_slot_entry(word), now_ms))
            return slot;
        /* A reader that visits just now wins: its bit stays, and the entry is looked at again next
         * time. */
        const bool moved = atomic_compare_exchange_strong_explicit(
            slot, &word, with_weight(word, (uint32_t)weight), memory_order_relaxed,
            memory_order_relaxed);
        if (moved && !is_protected) {
            shard->probation--;
            return NULL;
        }
    }
    return NULL;
}

/* Any entry from the hand on, visited or not. */
static _Atomic uint64_t *any(struct t3_l1_shard *shard, struct t3_l1_table *table)
{
    for (;;) {
        uint32_t *hand = &shard->hands[0];
        *hand = *hand + 1 < table->capacity ? *hand + 1 : 0;
        if (atomic_load_explicit(&table->slots[*hand], memory_order_relaxed) >> 48 != 0)
            return &table->slots[*hand];
    }
}

_Atomic uint64_t *t3_l1_shard_victim_locked(struct t3_l1_memory *memory, struct t3_l1_shard *shard)
{
    T3_ASSERT(shard->live > 0);
    struct t3_l1_table *table = atomic_load_explicit(shard->table, memory_order_relaxed);
    uint64_t steps = (uint64_t)table->capacity * (T3_L1_WEIGHT_MAX + 3);
    _Atomic uint64_t *victim = NULL;
    while (victim == NULL && steps > 0) {
        const bool sweep_probation =
            shard->probation == shard->live || shard->probation > shard->live / PROBATION_SHARE;
        victim = sweep(memory, shard, !sweep_probation, &steps);
    }
    if (victim == NULL)
        victim = any(shard, table);
    const uint64_t word = atomic_load_explicit(victim, memory_order_relaxed);
    if (t3_l1_slot_weight(word) == 0)
        t3_l1_ghost_put_locked(table, t3_l1_entry_hash(memory, t3_l1_slot_entry(word)), word >> 48);
    return victim;
}
