/*
 * l1_memory_read.c -- the tier's hits: found, checked, copied.
 *
 * Owns:     nothing.
 * Must not know: shards' mutexes, the budget.
 * Threads:  any, inside an RCU read section; no lock.
 * Fails:    TEARS_NO_MEMORY, when the caller's arena has none.
 * Begin at: t3_l1_memory_get().
 *
 * A hit costs: the read section, the tier's clock, a run of slots, the comparison of the key, the
 * copy.  It writes nothing that threads share, except the first time an entry is hit after the hand
 * of eviction went over it.
 */
#include "tier/l1_memory_impl.h"
#include "tier/l1_memory_rcu.h"

/* The entry of a key, unless its time is over.  Inside a read section. */
static const struct t3_l1_entry *find_fresh(struct t3_l1_memory *memory,
                                            const struct t3_l1_probe *probe, bool visit)
{
    /* Acquire: pairs with the release in t3_l1_shard_fit_locked. */
    struct t3_l1_table *table = atomic_load_explicit(
        &memory->tables[t3_l1_home_shard(memory, probe->hash)], memory_order_acquire);
    uint64_t word;
    _Atomic uint64_t *slot = t3_l1_find(table, probe, &word);
    if (slot == NULL)
        return NULL;
    const struct t3_l1_entry *entry = t3_l1_slot_entry(word);
    if (T3_UNLIKELY(t3_l1_is_expired(memory, entry)))
        return NULL;
    if (visit && T3_UNLIKELY((word & T3_SLOT_VISITED) == 0))
        atomic_compare_exchange_strong_explicit(slot, &word, word | T3_SLOT_VISITED,
                                                memory_order_relaxed, memory_order_relaxed);
    return entry;
}

static tears_status copy_row(const struct t3_l1_entry *entry, struct t3_arena *arena,
                             struct t3_l1_hit *hit_out)
{
    const struct t3_row *row = t3_l1_entry_row(entry);
    struct t3_row *copy = t3_arena_alloc(arena, row->size);
    if (copy == NULL)
        return TEARS_NO_MEMORY;
    memcpy(copy, row, row->size);
    hit_out->row = copy;
    hit_out->revision = t3_l1_entry_label(entry) >> 16;
    hit_out->now_ms = t3_now_coarse_ms();
    hit_out->confirmed_ms = hit_out->now_ms;
    return TEARS_OK;
}

tears_status t3_l1_memory_get(struct t3_l1 *l1, uint32_t space, const struct t3_key *key,
                              struct t3_arena *arena, enum t3_l1_answer *answer_out,
                              struct t3_l1_hit *hit_out)
{
    struct t3_l1_memory *memory = t3_l1_memory_of(l1);
    const struct t3_l1_probe probe = t3_l1_probe_of(memory, space, key);
    tears_status status = TEARS_OK;
    enum t3_l1_answer answer = T3_L1_MISS;
    t3_rcu_enter();
    const struct t3_l1_entry *entry = find_fresh(memory, &probe, true);
    if (entry != NULL) {
        answer = t3_l1_entry_is_absent(entry) ? T3_L1_ABSENT : T3_L1_HIT;
        if (answer == T3_L1_HIT)
            status = copy_row(entry, arena, hit_out);
    }
    t3_rcu_leave(memory);
    if (status == TEARS_OK)
        *answer_out = answer;
    return status;
}

static tears_status copy_vector(const struct tears_value *vector, struct t3_arena *arena,
                                struct tears_value *value_out)
{
    const size_t bytes = vector->as.vector.len * sizeof(double);
    double *numbers = t3_arena_alloc(arena, bytes);
    if (numbers == NULL)
        return TEARS_NO_MEMORY;
    if (bytes != 0)
        memcpy(numbers, vector->as.vector.ptr, bytes);
    *value_out = tears_vector(numbers, vector->as.vector.len);
    return TEARS_OK;
}

/* Copies a cell of bytes, with the NUL that ends them in the row. */
static tears_status copy_bytes(const char *cell, size_t bytes, uint32_t kind,
                               struct t3_arena *arena, struct tears_value *value_out)
{
    char *copy = t3_arena_alloc(arena, bytes);
    if (copy == NULL)
        return TEARS_NO_MEMORY;
    memcpy(copy, cell, bytes);
    *value_out = tears_bytes_of_kind(kind, tears_str_n(copy, bytes - 1));
    return TEARS_OK;
}

/*
 * Copies one cell.  The kinds that nearly every cell is of go straight from the row to where the caller wants them; this
 * is what makes one cell cheaper than the row.
 */
static tears_status copy_cell(const struct t3_row *row, const struct t3_layout *layout,
                              uint32_t column, struct t3_arena *arena,
                              struct tears_value *value_out)
{
    const uint8_t kind = layout->kinds[column];
    const uint32_t start = t3_l1_cell_start(row, column);
    const char *cell = (const char *)row + start;
    if (t3_row_is_null(row, column)) {
        *value_out = tears_null();
        return TEARS_OK;
    }
    switch (kind) {
    case TEARS_KIND_TEXT:
    case TEARS_KIND_DECIMAL:
    case TEARS_KIND_JSON:
    case TEARS_KIND_BYTES:
        return copy_bytes(cell, row->ends[column] - start, kind, arena, value_out);
    case TEARS_KIND_INT:
    case TEARS_KIND_TIMESTAMP: {
        int64_t integer;
        memcpy(&integer, cell, sizeof integer);
        *value_out = tears_int(integer);
        value_out->kind = kind;
        return TEARS_OK;
    }
    case TEARS_KIND_VECTOR: {
        const struct tears_value vector = t3_row_value(row, layout, column);
        return copy_vector(&vector, arena, value_out);
    }
    default:
        *value_out = t3_row_value(row, layout, column);
        return TEARS_OK;
    }
}

tears_status t3_l1_memory_get_cell(struct t3_l1 *l1, uint32_t space, const struct t3_key *key,
                                   uint32_t column, struct t3_arena *arena,
                                   enum t3_l1_answer *answer_out, struct tears_value *value_out,
                                   struct t3_l1_hit *hit_out)
{
    *hit_out = (struct t3_l1_hit){.confirmed_ms = t3_now_coarse_ms(), .now_ms = t3_now_coarse_ms()};
    struct t3_l1_memory *memory = t3_l1_memory_of(l1);
    const struct t3_l1_probe probe = t3_l1_probe_of(memory, space, key);
    tears_status status = TEARS_OK;
    enum t3_l1_answer answer = T3_L1_MISS;
    T3_ASSERT(column < probe.schema->layout.count);
    t3_rcu_enter();
    const struct t3_l1_entry *entry = find_fresh(memory, &probe, true);
    if (entry != NULL) {
        answer = t3_l1_entry_is_absent(entry) ? T3_L1_ABSENT : T3_L1_HIT;
        if (answer == T3_L1_HIT)
            status =
                copy_cell(t3_l1_entry_row(entry), &probe.schema->layout, column, arena, value_out);
    }
    t3_rcu_leave(memory);
    if (status == TEARS_OK)
        *answer_out = answer;
    return status;
}

bool t3_l1_memory_contains(struct t3_l1 *l1, uint32_t space, const struct t3_key *key)
{
    struct t3_l1_memory *memory = t3_l1_memory_of(l1);
    const struct t3_l1_probe probe = t3_l1_probe_of(memory, space, key);
    t3_rcu_enter();
    const struct t3_l1_entry *entry = find_fresh(memory, &probe, false);
    const bool contains = entry != NULL && !t3_l1_entry_is_absent(entry);
    t3_rcu_leave(memory);
    return contains;
}

uint64_t t3_l1_memory_ticket(struct t3_l1 *l1, uint32_t space, const struct t3_key *key)
{
    return t3_ticket_read(&t3_l1_memory_of(l1)->tickets, t3_ticket_hash(space, key));
}
