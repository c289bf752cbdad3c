/*
 * l1_memory.c -- the in-process tier: rows in a sharded table within a budget, read without locks.
 *
 * Owns:     the shards, the stripes of tickets, the names of the tables.
 * Must not know: the network, SQL, JSON, or that other tiers exist.
 * Threads:  any.  Readers are inside an RCU read section and take no lock; writers hold one
 *           shard's mutex, or `opening`, and never two.
 * Fails:    TEARS_NO_MEMORY, TEARS_LIMIT, TEARS_INVALID (a budget too small to begin with).
 * Begin at: t3_l1_memory_new(); l1_memory_impl.h has the layout and a picture of it.
 *
 * The parts, from the outside in: this file makes and ends the tier; l1_memory_read.c answers;
 * l1_memory_write.c decides what is kept; l1_memory_room.c keeps the budget; l1_memory_evict.c
 * chooses whom to spare; l1_memory_table.c puts entries in and takes them out; l1_memory_rcu.h is
 * where readers and freeing meet.
 */
#include "base/alloc.h"
#include "base/fail.h"
#include "tier/l1_memory_impl.h"

enum {
    SPACES_FIRST = 8,
    SPACES_MAX = 65536 /* 16 bits of a label */
};

/* A shard for each MiB of the budget: small tiers have one. */
#define SHARD_BYTES ((uint64_t)1 << 20)

static void memory_stats(struct t3_l1 *l1, struct t3_l1_stats *stats_out)
{
    struct t3_l1_memory *memory = t3_l1_memory_of(l1);
    struct t3_l1_stats stats = {.bytes_max = memory->bytes_max};
    for (uint32_t i = 0; i <= memory->shard_mask; i++) {
        struct t3_l1_shard *shard = &memory->shards[i];
        t3_lock(&shard->mutex);
        stats.rows += shard->rows;
        stats.payload_bytes += shard->payload_bytes;
        stats.evictions += shard->evictions;
        stats.stale_fills += shard->stale_fills;
        t3_unlock(&shard->mutex);
    }
    stats.bytes = atomic_load_explicit(&memory->held, memory_order_relaxed);
    *stats_out = stats;
}

/* Takes a larger array of tables into use, unless another thread was faster. */
static bool fit_spaces_locked(struct t3_l1_memory *memory, struct t3_l1_spaces *spaces)
{
    struct t3_l1_spaces *old = atomic_load(&memory->spaces);
    if (old->capacity >= spaces->capacity)
        return false;
    spaces->previous = old;
    memcpy(spaces->schemas, old->schemas, old->capacity * sizeof old->schemas[0]);
    atomic_store_explicit(&memory->spaces, spaces, memory_order_release);
    return true;
}

/* Makes room for as many tables again as `capacity`; without the mutex, since it may wait for
 * readers. */
static tears_status grow_spaces(struct t3_l1_memory *memory, uint32_t capacity)
{
    struct t3_l1_spaces *spaces =
        t3_alloc_zero(1, sizeof *spaces + 2 * (size_t)capacity * sizeof spaces->schemas[0]);
    if (spaces == NULL)
        return TEARS_NO_MEMORY;
    spaces->capacity = 2 * capacity;
    const uint64_t bytes = t3_alloc_bytes(spaces);
    const tears_status status = t3_l1_make_room(memory, 0, bytes, memory->bytes_max);
    if (status != TEARS_OK) {
        t3_free(spaces);
        return status;
    }
    t3_lock(&memory->opening);
    const bool is_fitted = fit_spaces_locked(memory, spaces);
    t3_unlock(&memory->opening);
    if (is_fitted) {
        atomic_fetch_add_explicit(&memory->fixed, bytes, memory_order_relaxed);
    } else {
        t3_free(spaces);
        t3_l1_uncharge(memory, bytes);
    }
    return TEARS_OK;
}

/* Names the table; false when the array of tables is full: then its capacity is in *capacity_out.
 */
static bool name_space_locked(struct t3_l1_memory *memory, const struct tears_schema *schema,
                              uint32_t *space_out, uint32_t *capacity_out)
{
    struct t3_l1_spaces *spaces = atomic_load(&memory->spaces);
    if (memory->space_count == spaces->capacity) {
        *capacity_out = spaces->capacity;
        return false;
    }
    *space_out = memory->space_count++;
    spaces->schemas[*space_out] = schema;
    return true;
}

static tears_status open_space(struct t3_l1_memory *memory, const struct tears_schema *schema,
                               uint32_t *space_out)
{
    for (;
         ;) { /* ends: each round either names the table or doubles the capacity, up to the bound */
        uint32_t capacity = 0;
        t3_lock(&memory->opening);
        const bool is_named = name_space_locked(memory, schema, space_out, &capacity);
        t3_unlock(&memory->opening);
        if (is_named)
            return TEARS_OK;
        if (capacity >= SPACES_MAX)
            return TEARS_LIMIT;
        T3_TRY(grow_spaces(memory, capacity));
    }
}

static tears_status memory_open_space(struct t3_l1 *l1, const struct tears_schema *schema,
                                      uint32_t *space_out, struct tears_error *error_out)
{
    const tears_status status = open_space(t3_l1_memory_of(l1), schema, space_out);
    if (status == TEARS_NO_MEMORY)
        return t3_fail_memory(error_out, "l1.memory");
    if (status != TEARS_OK)
        return t3_fail(error_out, TEARS_LIMIT, "l1.memory",
                       "no room to cache one more table, '" T3_STR_FMT "'",
                       T3_STR_ARG(schema->name));
    return TEARS_OK;
}

static void free_table(struct t3_l1_table *table)
{
    for (uint32_t i = 0; table != NULL && i < table->capacity; i++) {
        const uint64_t word = atomic_load_explicit(&table->slots[i], memory_order_relaxed);
        if (word >> 48 != 0)
            t3_free(t3_l1_slot_entry(word));
    }
    t3_free(table);
}

/* No thread is inside any more, so nothing is waited for: a forked child can do this too. */
static void memory_free(struct t3_l1 *l1)
{
    struct t3_l1_memory *memory = t3_l1_memory_of(l1);
    if (memory == NULL)
        return;
    for (uint32_t i = 0; memory->shards != NULL && i <= memory->shard_mask; i++) {
        struct t3_l1_shard *shard = &memory->shards[i];
        free_table(atomic_load(&memory->tables[i]));
        for (uint32_t j = 0; j < shard->garbage_count; j++)
            t3_free(shard->garbage[j]);
        t3_mutex_done(&shard->mutex);
    }
    t3_free(memory->shards);
    t3_tickets_done(&memory->tickets);
    for (struct t3_l1_spaces *spaces = atomic_load(&memory->spaces); spaces != NULL;) {
        struct t3_l1_spaces *previous = spaces->previous;
        t3_free(spaces);
        spaces = previous;
    }
    t3_mutex_done(&memory->opening);
    t3_free(memory);
}

static const struct t3_l1_ops memory_ops = {
    .open_space = memory_open_space,
    .get = t3_l1_memory_get,
    .get_cell = t3_l1_memory_get_cell,
    .peek = t3_l1_memory_peek,
    .contains = t3_l1_memory_contains,
    .ticket = t3_l1_memory_ticket,
    .put = t3_l1_memory_put,
    .set_revision = t3_l1_memory_set_revision,
    .confirm = t3_l1_memory_confirm,
    .bump = t3_l1_memory_bump,
    .drop = t3_l1_memory_drop,
    .drop_older = t3_l1_memory_drop_older,
    .collect = t3_l1_memory_collect,
    .clear = t3_l1_memory_clear,
    .stats = memory_stats,
    .free = memory_free,
};

static uint32_t shard_count_for(uint64_t bytes_max)
{
    uint32_t count = 1;
    while (count < T3_L1_SHARDS_MAX && count < bytes_max / SHARD_BYTES)
        count *= 2;
    return count;
}

/*
 * What is kept free of live entries, for garbage: enough that one wait for readers frees dozens of
 * rows, and so little that it does not matter.
 */
static uint64_t reserve_for(uint64_t bytes_max)
{
    const uint64_t least = bytes_max / 8 < 16384 ? bytes_max / 8 : 16384;
    const uint64_t share = bytes_max / 32 < SHARD_BYTES ? bytes_max / 32 : SHARD_BYTES;
    return share > least ? share : least;
}

/* Allocates the parts; on failure memory_free takes back what is there. */
static tears_status build(struct t3_l1_memory *memory)
{
    const uint32_t shard_count = memory->shard_mask + 1;
    memory->shards = t3_alloc_zero(shard_count, sizeof *memory->shards);
    if (memory->shards == NULL)
        return TEARS_NO_MEMORY;
    for (uint32_t i = 0; i < shard_count; i++) {
        t3_mutex_init(&memory->shards[i].mutex);
        memory->shards[i].table = &memory->tables[i];
    }
    uint64_t bytes = t3_alloc_bytes(memory) + t3_alloc_bytes(memory->shards);
    for (uint32_t i = 0; i < shard_count; i++) {
        struct t3_l1_table *table = t3_l1_table_new(T3_L1_CAPACITY_MIN);
        if (table == NULL)
            return TEARS_NO_MEMORY;
        atomic_init(&memory->tables[i], table);
        bytes += t3_alloc_bytes(table);
    }
    struct t3_l1_spaces *spaces =
        t3_alloc_zero(1, sizeof *spaces + SPACES_FIRST * sizeof spaces->schemas[0]);
    if (spaces == NULL)
        return TEARS_NO_MEMORY;
    spaces->capacity = SPACES_FIRST;
    atomic_init(&memory->spaces, spaces);
    T3_TRY(t3_tickets_init(&memory->tickets, t3_ticket_bits(memory->bytes_max)));
    bytes += t3_alloc_bytes(spaces) + t3_tickets_bytes(&memory->tickets);
    atomic_init(&memory->held, bytes);
    atomic_init(&memory->fixed, bytes);
    return TEARS_OK;
}

tears_status t3_l1_memory_new(uint64_t bytes_max, struct t3_l1 **l1_out,
                              struct tears_error *error_out)
{
    struct t3_l1_memory *memory = t3_alloc_zero(1, sizeof *memory);
    if (memory == NULL)
        return t3_fail_memory(error_out, "l1.memory");
    memory->base.ops = &memory_ops;
    memory->began_ms = t3_now_coarse_ms();
    memory->bytes_max = bytes_max;
    memory->live_max = bytes_max - reserve_for(bytes_max);
    memory->shard_mask = shard_count_for(bytes_max) - 1;
    t3_mutex_init(&memory->opening);
    if (build(memory) != TEARS_OK) {
        memory_free(&memory->base);
        return t3_fail_memory(error_out, "l1.memory");
    }
    const uint64_t fixed = atomic_load(&memory->fixed);
    if (fixed > bytes_max) {
        memory_free(&memory->base);
        return t3_fail(error_out, TEARS_INVALID, "l1.memory",
                       "a cache of %llu bytes is too small; the least is %llu",
                       (unsigned long long)bytes_max, (unsigned long long)fixed);
    }
    *l1_out = &memory->base;
    return TEARS_OK;
}
