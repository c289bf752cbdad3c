/*
 * l1_memory_table.c -- one shard's table: entries in and out, while readers look on.
 *
 * Owns:     the words of the slots and the shard's list of garbage.
 * Must not know: tickets, versions, ages and budgets; l1_memory_write.c decides.
 * Threads:  writers under the shard's mutex; readers without any lock, through t3_l1_find.
 * Fails:    t3_l1_table_new only.
 * Begin at: t3_l1_shard_add_locked().
 *
 * Readers and writers.  A slot is one atomic word, so a reader sees an entry wholly or not at all.
 * Entries never move within a table: a reader that walks a run of slots cannot miss one that stays.
 * Taking an entry out leaves a mark, "deleted", so that probes go on past it; when the next slot is
 * empty, no probe has to, and the mark, with all marks before it, becomes "empty" at once.  The
 * marks that remain go when the table is rebuilt.  Readers write one bit, "visited", by
 * compare-and-swap, and only into the word that they read: when a writer was faster their bit is
 * lost and nothing else.
 *
 * What was taken out is garbage: it goes on the shard's list until a grace period has passed.
 */
#include "base/alloc.h"
#include "tier/l1_memory_impl.h"

/* Fuller than 7 of 8 slots, probes for keys that are not there become long. */
static uint32_t used_max(uint32_t capacity)
{
    return capacity - capacity / 8;
}

static struct t3_l1_table *table_of(const struct t3_l1_shard *shard)
{
    /* Relaxed: only writers store it, and this is one, under their mutex. */
    return atomic_load_explicit(shard->table, memory_order_relaxed);
}

struct t3_l1_table *t3_l1_table_new(uint32_t capacity)
{
    const size_t slot_bytes = sizeof(uint64_t) + sizeof(uint16_t);
    struct t3_l1_table *table = t3_alloc_zero(1, sizeof *table + capacity * slot_bytes);
    if (table != NULL)
        table->capacity = capacity;
    return table;
}

uint32_t t3_l1_shard_wants_locked(const struct t3_l1_shard *shard)
{
    const uint32_t capacity = table_of(shard)->capacity;
    if (shard->live + shard->deleted < used_max(capacity))
        return 0;
    /* Half as much again: the table is two thirds full afterwards.  With few entries left, marks
     * were the problem, and a table of the same size or a smaller one will do. */
    const uint64_t wanted = (uint64_t)shard->live + shard->live / 2 + 1;
    if (wanted > UINT32_MAX)
        return UINT32_MAX;
    return wanted < T3_L1_CAPACITY_MIN ? T3_L1_CAPACITY_MIN : (uint32_t)wanted;
}

static void put_garbage(struct t3_l1_shard *shard, void *garbage)
{
    T3_ASSERT(shard->garbage_count < T3_L1_GARBAGE_MAX);
    shard->garbage[shard->garbage_count++] = garbage;
    shard->garbage_bytes += t3_alloc_bytes(garbage);
}

/* The first slot from the hash's home on that holds no entry. */
static _Atomic uint64_t *free_slot(struct t3_l1_table *table, uint32_t hash, uint64_t *word_out)
{
    for (uint32_t i = t3_l1_home(table, hash);;) {
        const uint64_t word = atomic_load_explicit(&table->slots[i], memory_order_relaxed);
        if (word >> 48 == 0) {
            *word_out = word;
            return &table->slots[i];
        }
        if (++i == table->capacity)
            i = 0;
    }
}

bool t3_l1_shard_fit_locked(struct t3_l1_memory *memory, struct t3_l1_shard *shard,
                            struct t3_l1_table *table)
{
    struct t3_l1_table *old = table_of(shard);
    if (shard->live >= used_max(table->capacity))
        return false;
    for (uint32_t i = 0; i < old->capacity; i++) {
        const uint64_t word = atomic_load_explicit(&old->slots[i], memory_order_relaxed);
        if (word >> 48 == 0)
            continue;
        const uint32_t hash = t3_l1_entry_hash(memory, t3_l1_slot_entry(word));
        uint64_t free_word;
        atomic_store_explicit(free_slot(table, hash, &free_word), word, memory_order_relaxed);
    }
    if (table->capacity == old->capacity)
        memcpy(&table->slots[table->capacity], &old->slots[old->capacity],
               old->capacity * sizeof(uint16_t));
    shard->deleted = 0;
    shard->hands[0] = shard->hands[1] = 0;
    /* Release: pairs with the readers' acquire; they see the words stored above. */
    atomic_store_explicit(shard->table, table, memory_order_release);
    put_garbage(shard, old);
    return true;
}

_Atomic uint64_t *t3_l1_shard_find_locked(struct t3_l1_shard *shard,
                                          const struct t3_l1_probe *probe, uint64_t *word_out)
{
    return t3_l1_find(table_of(shard), probe, word_out);
}

/* ---- putting ---- */

static uint64_t word_of(const struct t3_l1_entry *entry, uint64_t hash, uint64_t bits)
{
    const uint64_t address = (uint64_t)(uintptr_t)entry;
    T3_ASSERT((address & ~T3_SLOT_ADDRESS) == 0);
    return t3_l1_tag(hash) << 48 | address | bits;
}

static void count_in(struct t3_l1_shard *shard, const struct tears_schema *schema,
                     const struct t3_l1_entry *entry)
{
    if (t3_l1_entry_is_absent(entry))
        return;
    shard->rows++;
    shard->payload_bytes += t3_row_payload(t3_l1_entry_row(entry), &schema->layout);
}

static void count_out(struct t3_l1_shard *shard, const struct tears_schema *schema,
                      const struct t3_l1_entry *entry)
{
    if (t3_l1_entry_is_absent(entry))
        return;
    shard->rows--;
    shard->payload_bytes -= t3_row_payload(t3_l1_entry_row(entry), &schema->layout);
}

void t3_l1_shard_add_locked(struct t3_l1_shard *shard, const struct t3_l1_probe *probe,
                            struct t3_l1_entry *entry)
{
    struct t3_l1_table *table = table_of(shard);
    T3_ASSERT(shard->live + shard->deleted < used_max(table->capacity));
    uint64_t free_word;
    const uint32_t hash = (uint32_t)probe->hash;
    _Atomic uint64_t *slot = free_slot(table, hash, &free_word);
    const bool came_back = t3_l1_ghost_take_locked(table, hash, t3_l1_tag(probe->hash));
    if (free_word == T3_SLOT_DELETED)
        shard->deleted--;
    shard->live++;
    shard->probation += !came_back;
    count_in(shard, probe->schema, entry);
    /* Release: the entry's bytes are there for whoever sees its address. */
    atomic_store_explicit(slot, word_of(entry, probe->hash, came_back ? 1u << 1 : 0),
                          memory_order_release);
}

void t3_l1_shard_replace_locked(struct t3_l1_shard *shard, const struct t3_l1_probe *probe,
                                _Atomic uint64_t *slot, struct t3_l1_entry *entry)
{
    const uint64_t old = atomic_load_explicit(slot, memory_order_relaxed);
    const uint64_t bits = old & (T3_SLOT_WEIGHT | T3_SLOT_VISITED);
    count_out(shard, probe->schema, t3_l1_slot_entry(old));
    count_in(shard, probe->schema, entry);
    atomic_store_explicit(slot, word_of(entry, probe->hash, bits), memory_order_release);
    put_garbage(shard, t3_l1_slot_entry(old));
}

/* ---- taking out ---- */

/* Marks a slot; when no probe has to pass it, it and the marks before it become empty. */
static void vacate(struct t3_l1_shard *shard, struct t3_l1_table *table, uint32_t index)
{
    const uint32_t last = table->capacity - 1;
    const uint32_t next = index == last ? 0 : index + 1;
    atomic_store_explicit(&table->slots[index], T3_SLOT_DELETED, memory_order_relaxed);
    shard->deleted++;
    if (atomic_load_explicit(&table->slots[next], memory_order_relaxed) != T3_SLOT_EMPTY)
        return;
    while (atomic_load_explicit(&table->slots[index], memory_order_relaxed) == T3_SLOT_DELETED) {
        atomic_store_explicit(&table->slots[index], T3_SLOT_EMPTY, memory_order_relaxed);
        shard->deleted--;
        index = index == 0 ? last : index - 1;
    }
}

void t3_l1_shard_remove_locked(struct t3_l1_shard *shard, const struct tears_schema *schema,
                               _Atomic uint64_t *slot)
{
    struct t3_l1_table *table = table_of(shard);
    const uint64_t word = atomic_load_explicit(slot, memory_order_relaxed);
    struct t3_l1_entry *entry = t3_l1_slot_entry(word);
    count_out(shard, schema, entry);
    shard->live--;
    shard->probation -= t3_l1_slot_weight(word) == 0;
    vacate(shard, table, (uint32_t)(slot - table->slots));
    put_garbage(shard, entry);
}
