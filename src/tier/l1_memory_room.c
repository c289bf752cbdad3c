/*
 * l1_memory_room.c -- the budget: every heap byte of the tier is charged before it is used.
 *
 * Owns:     the counters held, idle and fixed; the way of garbage to the heap.
 * Must not know: keys, tickets, versions.
 * Threads:  any.  Takes one shard's mutex at a time; waits for readers only without any.
 * Fails:    TEARS_LIMIT, TEARS_UNAVAILABLE.
 * Begin at: t3_l1_make_room().
 *
 * What eviction takes out stays on the heap until readers have left, and stays charged as long.  So
 * the entries in use are kept below live_max, and the gap to bytes_max is where garbage collects:
 * writers only pay for a grace period when the gap is full, and then it frees hundreds of entries
 * at once.
 */
#include "base/alloc.h"
#include "tier/l1_memory_impl.h"
#include "tier/l1_memory_rcu.h"

enum {
    GARBAGE_SPARE = 4, /* more than any one piece of work under a mutex throws away */
    ROUNDS_MAX = 8     /* while other threads' garbage is still on its way */
};

/* Relaxed throughout: the counters order nothing; that none is charged twice follows from each
 * being atomic. */

bool t3_l1_charge(struct t3_l1_memory *memory, uint64_t bytes)
{
    uint64_t held = atomic_load_explicit(&memory->held, memory_order_relaxed);
    do {
        if (bytes > memory->bytes_max || held > memory->bytes_max - bytes)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&memory->held, &held, held + bytes,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

void t3_l1_uncharge(struct t3_l1_memory *memory, uint64_t bytes)
{
    const uint64_t before = atomic_fetch_sub_explicit(&memory->held, bytes, memory_order_relaxed);
    T3_ASSERT(before >= bytes);
}

/* Whether `bytes` more would take what is in use above the limit. */
static bool is_over(struct t3_l1_memory *memory, uint64_t bytes, uint64_t limit)
{
    const uint64_t idle = atomic_load_explicit(&memory->idle, memory_order_relaxed);
    const uint64_t held = atomic_load_explicit(&memory->held, memory_order_relaxed);
    return held + bytes > limit + idle;
}

/* ---- garbage ---- */

static void tell_idle_locked(struct t3_l1_memory *memory, struct t3_l1_shard *shard)
{
    const uint64_t news = shard->garbage_bytes - shard->garbage_told;
    atomic_fetch_add_explicit(&memory->idle, news, memory_order_relaxed);
    shard->garbage_told = shard->garbage_bytes;
}

bool t3_l1_is_littered_locked(const struct t3_l1_shard *shard)
{
    return shard->garbage_count > T3_L1_GARBAGE_MAX - GARBAGE_SPARE;
}

void t3_l1_settle_locked(struct t3_l1_memory *memory, struct t3_l1_shard *shard, bool now,
                         struct t3_l1_batch *batch)
{
    batch->count = 0;
    tell_idle_locked(memory, shard);
    if (!now && !t3_l1_is_littered_locked(shard))
        return;
    batch->count = shard->garbage_count;
    batch->bytes = shard->garbage_bytes;
    memcpy(batch->items, shard->garbage, shard->garbage_count * sizeof shard->garbage[0]);
    shard->garbage_count = 0;
    shard->garbage_bytes = shard->garbage_told = 0;
}

void t3_l1_batch_free(struct t3_l1_memory *memory, struct t3_l1_batch *batch)
{
    if (batch->count == 0)
        return;
    t3_rcu_wait(memory);
    for (uint32_t i = 0; i < batch->count; i++)
        t3_free(batch->items[i]);
    batch->count = 0;
    /* `held` first: were `idle` to fall before it, the bytes would seem to be in use for a moment.
     */
    t3_l1_uncharge(memory, batch->bytes);
    atomic_fetch_sub_explicit(&memory->idle, batch->bytes, memory_order_relaxed);
}

/* ---- making room ---- */

/* Evicts from one shard; true when it stopped only because of the garbage. */
static bool evict_locked(struct t3_l1_memory *memory, struct t3_l1_shard *shard, uint64_t bytes,
                         uint64_t limit)
{
    while (shard->live > 0 && is_over(memory, bytes, limit)) {
        if (t3_l1_is_littered_locked(shard))
            return true;
        _Atomic uint64_t *victim = t3_l1_shard_victim_locked(memory, shard);
        const uint64_t word = atomic_load_explicit(victim, memory_order_relaxed);
        const uint64_t label = t3_l1_entry_label(t3_l1_slot_entry(word));
        t3_l1_shard_remove_locked(shard, t3_l1_schema(memory, label & 0xFFFF), victim);
        shard->evictions++;
        tell_idle_locked(memory, shard);
    }
    return false;
}

static void evict_from(struct t3_l1_memory *memory, struct t3_l1_shard *shard, uint64_t bytes,
                       uint64_t limit)
{
    struct t3_l1_batch batch;
    bool more = true;
    while (more) {
        t3_lock(&shard->mutex);
        more = evict_locked(memory, shard, bytes, limit);
        t3_l1_settle_locked(memory, shard, more, &batch);
        t3_unlock(&shard->mutex);
        t3_l1_batch_free(memory, &batch);
    }
}

/* True when there was any. */
static bool free_garbage(struct t3_l1_memory *memory, struct t3_l1_shard *shard)
{
    struct t3_l1_batch batch;
    t3_lock(&shard->mutex);
    t3_l1_settle_locked(memory, shard, true, &batch);
    t3_unlock(&shard->mutex);
    const bool is_any = batch.count != 0;
    t3_l1_batch_free(memory, &batch);
    return is_any;
}

/* True when any shard had garbage and now it is freed; stops as soon as there is room. */
static bool free_garbage_of_all(struct t3_l1_memory *memory, uint32_t home, uint64_t bytes)
{
    bool is_any = false;
    for (uint32_t i = 0; i <= memory->shard_mask; i++) {
        is_any |= free_garbage(memory, &memory->shards[(home + i) & memory->shard_mask]);
        if (atomic_load_explicit(&memory->held, memory_order_relaxed) + bytes <= memory->bytes_max)
            break;
    }
    return is_any;
}

tears_status t3_l1_make_room(struct t3_l1_memory *memory, uint32_t home, uint64_t bytes,
                             uint64_t limit)
{
    const uint64_t fixed = atomic_load_explicit(&memory->fixed, memory_order_relaxed);
    if (fixed >= memory->bytes_max || bytes > memory->bytes_max - fixed)
        return TEARS_LIMIT; /* before anything is evicted in vain */

    const uint32_t shard_count = memory->shard_mask + 1;
    for (uint32_t i = 0; i < shard_count && is_over(memory, bytes, limit); i++)
        evict_from(memory, &memory->shards[(home + i) & memory->shard_mask], bytes, limit);

    for (int round = 0; round < ROUNDS_MAX; round++) {
        if (t3_l1_charge(memory, bytes))
            return TEARS_OK;
        /* Without garbage in any shard, it is in the hands of threads that wait for readers: so
         * does this one. */
        if (!free_garbage_of_all(memory, home, bytes))
            t3_rcu_wait(memory);
    }
    return t3_l1_charge(memory, bytes) ? TEARS_OK : TEARS_UNAVAILABLE;
}
