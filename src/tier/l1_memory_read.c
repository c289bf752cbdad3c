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
#include "base/limits.h"
#include "tier/l1_memory_impl.h"
#include "tier/l1_memory_rcu.h"

/* What a probe found, and what its times say. */
struct sight {
    const struct t3_l1_entry *entry; /* NULL: nothing */
    _Atomic uint64_t *slot;
    uint64_t word; /* that was read in the slot */
    uint64_t times;
    uint64_t now_ms;
};

/* Inside a read section, and so is all use of the entry.  Its clock is read after the entry: nothing there can be from later. */
static inline void look(struct t3_l1_memory *memory, const struct t3_l1_probe *probe,
                        struct sight *sight_out)
{
    /* Acquire: pairs with the release in t3_l1_shard_fit_locked. */
    struct t3_l1_table *table = atomic_load_explicit(
        &memory->tables[t3_l1_home_shard(memory, probe->hash)], memory_order_acquire);
    sight_out->entry = NULL;
    sight_out->slot = t3_l1_find(table, probe, &sight_out->word);
    if (sight_out->slot == NULL)
        return;
    sight_out->entry = t3_l1_slot_entry(sight_out->word);
    sight_out->times = t3_l1_entry_times(sight_out->entry);
    sight_out->now_ms = t3_now_coarse_ms();
}

/* What get answers. */
static inline enum t3_l1_answer judge(const struct t3_l1_memory *memory, const struct sight *sight)
{
    if (sight->entry == NULL)
        return T3_L1_MISS;
    const bool is_absent = t3_l1_entry_is_absent(sight->entry);
    if (T3_UNLIKELY(sight->now_ms >= t3_l1_expires_ms(memory, sight->times)))
        return is_absent ? T3_L1_MISS : T3_L1_EXPIRED;
    return is_absent ? T3_L1_ABSENT : T3_L1_HIT;
}

static inline void visit(const struct sight *sight)
{
    uint64_t word = sight->word;
    if (T3_UNLIKELY((word & T3_SLOT_VISITED) == 0))
        atomic_compare_exchange_strong_explicit(sight->slot, &word, word | T3_SLOT_VISITED,
                                                memory_order_relaxed, memory_order_relaxed);
}

static inline void tell(const struct t3_l1_memory *memory, const struct sight *sight,
                        struct t3_row *row, struct t3_l1_hit *hit_out)
{
    const uint64_t label = t3_l1_entry_label(sight->entry);
    hit_out->row = row;
    hit_out->revision = label >> 16 != T3_LABEL_ABSENT ? label >> 16 : 0;
    hit_out->confirmed_ms = t3_l1_confirmed_ms(memory, sight->times);
    hit_out->expires_ms = t3_l1_expires_ms(memory, sight->times);
    hit_out->now_ms = sight->now_ms;
}

static tears_status copy_row(const struct t3_l1_entry *entry, struct t3_arena *arena,
                             struct t3_row **row_out)
{
    const struct t3_row *row = t3_l1_entry_row(entry);
    struct t3_row *copy = t3_arena_alloc(arena, row->size);
    if (copy == NULL)
        return TEARS_NO_MEMORY;
    memcpy(copy, row, row->size);
    *row_out = copy;
    return TEARS_OK;
}

tears_status t3_l1_memory_get(struct t3_l1 *l1, uint32_t space, const struct t3_key *key,
                              struct t3_arena *arena, enum t3_l1_answer *answer_out,
                              struct t3_l1_hit *hit_out)
{
    struct t3_l1_memory *memory = t3_l1_memory_of(l1);
    const struct t3_l1_probe probe = t3_l1_probe_of(memory, space, key);
    tears_status status = TEARS_OK;
    struct t3_row *row = NULL;
    struct sight sight;
    t3_rcu_enter();
    look(memory, &probe, &sight);
    const enum t3_l1_answer answer = judge(memory, &sight);
    if (answer == T3_L1_HIT || answer == T3_L1_EXPIRED)
        status = copy_row(sight.entry, arena, &row);
    if (answer == T3_L1_HIT || answer == T3_L1_ABSENT)
        visit(&sight);
    if (answer != T3_L1_MISS && status == TEARS_OK)
        tell(memory, &sight, row, hit_out);
    t3_rcu_leave(memory);
    if (status == TEARS_OK)
        *answer_out = answer;
    return status;
}

tears_status t3_l1_memory_peek(struct t3_l1 *l1, uint32_t space, const struct t3_key *key,
                               struct t3_arena *arena, enum t3_l1_answer *answer_out,
                               struct t3_l1_hit *hit_out)
{
    struct t3_l1_memory *memory = t3_l1_memory_of(l1);
    const struct t3_l1_probe probe = t3_l1_probe_of(memory, space, key);
    tears_status status = TEARS_OK;
    enum t3_l1_answer answer = T3_L1_MISS;
    struct t3_row *row = NULL;
    struct sight sight;
    t3_rcu_enter();
    look(memory, &probe, &sight);
    if (sight.entry != NULL) {
        answer = t3_l1_entry_is_absent(sight.entry) ? T3_L1_ABSENT : judge(memory, &sight);
        if (answer != T3_L1_ABSENT)
            status = copy_row(sight.entry, arena, &row);
        if (status == TEARS_OK)
            tell(memory, &sight, row, hit_out);
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
    struct t3_l1_memory *memory = t3_l1_memory_of(l1);
    const struct t3_l1_probe probe = t3_l1_probe_of(memory, space, key);
    tears_status status = TEARS_OK;
    struct sight sight;
    T3_ASSERT(column < probe.schema->layout.count);
    t3_rcu_enter();
    look(memory, &probe, &sight);
    enum t3_l1_answer answer = judge(memory, &sight);
    if (T3_UNLIKELY(answer == T3_L1_EXPIRED))
        answer = T3_L1_MISS;
    if (answer == T3_L1_HIT)
        status = copy_cell(t3_l1_entry_row(sight.entry), &probe.schema->layout, column, arena,
                           value_out);
    if (answer != T3_L1_MISS && status == TEARS_OK) {
        tell(memory, &sight, NULL, hit_out);
        visit(&sight);
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
    struct sight sight;
    t3_rcu_enter();
    look(memory, &probe, &sight);
    const bool contains = judge(memory, &sight) == T3_L1_HIT;
    t3_rcu_leave(memory);
    return contains;
}

uint64_t t3_l1_memory_ticket(struct t3_l1 *l1, uint32_t space, const struct t3_key *key)
{
    return t3_ticket_read(&t3_l1_memory_of(l1)->tickets, t3_ticket_hash(space, key));
}

/* ---- collecting ---- */

enum { SLOTS_AT_ONCE = 1024 /* looked at in one read section: writers wait for its end */ };

/* A call of collect under way. */
struct harvest {
    uint32_t space;
    uint64_t before_ms;
    uint64_t now_ms;
    size_t max;
    struct t3_arena *arena;
    struct t3_key *keys;
    size_t count;
};

static bool is_wanted(const struct t3_l1_memory *memory, const struct harvest *harvest,
                      uint64_t word)
{
    if (word >> 48 == 0)
        return false;
    const struct t3_l1_entry *entry = t3_l1_slot_entry(word);
    const uint64_t times = t3_l1_entry_times(entry);
    return (t3_l1_entry_label(entry) & 0xFFFF) == harvest->space &&
           t3_l1_confirmed_ms(memory, times) < harvest->before_ms &&
           harvest->now_ms < t3_l1_expires_ms(memory, times);
}

static tears_status gather(struct t3_l1_memory *memory, struct harvest *harvest,
                           const struct t3_l1_entry *entry)
{
    struct tears_value values[T3_KEY_COLUMNS_MAX];
    struct t3_key key;
    t3_key_of_row(t3_l1_schema(memory, harvest->space), t3_l1_entry_row(entry), values, &key);
    T3_TRY(t3_key_copy(&key, harvest->arena, &harvest->keys[harvest->count]));
    harvest->count++;
    return TEARS_OK;
}

/* Goes over some slots of a shard from *slot_io on; UINT32_MAX: the shard has no more. */
static tears_status gather_some(struct t3_l1_memory *memory, uint32_t home, struct harvest *harvest,
                                uint32_t *slot_io)
{
    struct t3_l1_table *table = atomic_load_explicit(&memory->tables[home], memory_order_acquire);
    for (int i = 0; i < SLOTS_AT_ONCE && harvest->count < harvest->max; i++) {
        if (*slot_io >= table->capacity) {
            *slot_io = UINT32_MAX;
            return TEARS_OK;
        }
        const uint64_t word = atomic_load_explicit(&table->slots[*slot_io], memory_order_acquire);
        if (is_wanted(memory, harvest, word))
            T3_TRY(gather(memory, harvest, t3_l1_slot_entry(word)));
        ++*slot_io;
    }
    return TEARS_OK;
}

/* The cursor is shard << 32 | slot.  Slots of an outgrown table mean others in the new one: then rows are missed or met again. */
tears_status t3_l1_memory_collect(struct t3_l1 *l1, uint32_t space, uint64_t before_ms,
                                  uint64_t *cursor, size_t max, struct t3_arena *arena,
                                  struct t3_key *keys_out, size_t *count_out)
{
    struct t3_l1_memory *memory = t3_l1_memory_of(l1);
    struct harvest harvest = {.space = space,
                              .before_ms = before_ms,
                              .now_ms = t3_now_coarse_ms(),
                              .max = max,
                              .arena = arena,
                              .keys = keys_out};
    uint64_t home = *cursor >> 32;
    uint32_t slot = (uint32_t)*cursor;
    while (home <= memory->shard_mask && harvest.count < max) {
        t3_rcu_enter();
        const tears_status status = gather_some(memory, (uint32_t)home, &harvest, &slot);
        t3_rcu_leave(memory);
        T3_TRY(status);
        if (slot == UINT32_MAX) {
            home++;
            slot = 0;
        }
    }
    *cursor = home <= memory->shard_mask ? home << 32 | slot : 0;
    *count_out = harvest.count;
    return TEARS_OK;
}
