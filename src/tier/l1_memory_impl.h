/*
 * l1_memory_impl.h -- entries, slots and shards of l1_memory: what its sources share.
 *
 *   shard --> table (published under RCU)
 *               slots[capacity]:  one word each
 *                 | tag 16 | address of the entry 44 | 0 | weight 2 | visited 1 |
 *                               |
 *                               v
 *               entry: | label 8: revision 48, space 16 | times 8 | row ... |
 *               ghosts[capacity]: tags of rows evicted lately
 *
 * Open addressing with linear probing: a lookup reads a run of words, and touches an entry only
 * when its tag, the top of its hash, agrees.  Entries never change but for their label and times; a
 * new version of a row is a new entry in the same slot.
 */
#ifndef T3_TIER_L1_MEMORY_IMPL_H
#define T3_TIER_L1_MEMORY_IMPL_H

#include "base/limits.h"
#include "base/lock.h"
#include "tier/l1.h"
#include "tier/ticket.h"

enum {
    T3_L1_SHARDS_MAX = 16,
    T3_L1_GARBAGE_MAX =
        256, /* things unpublished and not yet freed, per shard: one wait frees them all */
    T3_L1_CAPACITY_MIN = 16,
    T3_L1_WEIGHT_MAX = 3,
    T3_L1_TICK_SHIFT =
        5 /* times count in 32 ms: 32 bits of them last four years, then nothing is cached */
};

#define T3_SLOT_EMPTY   UINT64_C(0)
#define T3_SLOT_VISITED UINT64_C(1) /* set by readers; cleared by the hand */
#define T3_SLOT_WEIGHT  UINT64_C(6) /* 0: on probation; 1 to 3: protected */
#define T3_SLOT_DELETED UINT64_C(8) /* was used: a probe goes on */
#define T3_SLOT_ADDRESS UINT64_C(0x0000FFFFFFFFFFF0)

/* Revisions from 2^48 - 1 on are kept as 0, "not known"; a stream of a million messages a second
 * needs nine years. */
#define T3_LABEL_ABSENT UINT64_C(0xFFFFFFFFFFFF)

struct t3_l1_entry {
    _Atomic uint64_t label;
    _Atomic uint64_t times; /* ticks: when it expires 32, when it was confirmed 32 */
};

struct t3_l1_table {
    uint32_t capacity;
    uint32_t reserved;
    _Atomic uint64_t slots[]; /* then uint16_t ghosts[capacity], of the writers */
};

/* What the writers of one shard share, under its mutex.  Readers use the table only. */
struct t3_l1_shard {
    struct t3_mutex mutex;
    _Atomic(struct t3_l1_table *) *table; /* where readers find it */
    uint32_t live;
    uint32_t deleted;
    uint32_t probation; /* of the live */
    uint32_t hands[2]; /* where the sweep stopped among [0] those on probation, [1] the protected */
    uint32_t garbage_count;
    void *garbage[T3_L1_GARBAGE_MAX]; /* entries and tables that readers may still look at */
    uint64_t garbage_bytes;
    uint64_t garbage_told; /* the part of it that the tier's `idle` has */
    uint64_t rows;
    uint64_t payload_bytes;
    uint64_t evictions;
    uint64_t stale_fills;
};

/* The tables the tier knows.  Outgrown ones stay until the end, so that readers need not care. */
struct t3_l1_spaces {
    struct t3_l1_spaces *previous;
    uint32_t capacity;
    const struct tears_schema *schemas[];
};

struct t3_l1_memory {
    struct t3_l1 base;
    /* Read by everyone, written rarely. */
    _Atomic(struct t3_l1_spaces *) spaces;
    struct t3_tickets tickets;
    struct t3_l1_shard *shards;
    uint64_t began_ms;
    uint64_t bytes_max;
    uint64_t live_max; /* what is not garbage stays below this, so that garbage has room too */
    uint32_t shard_mask;
    _Atomic(struct t3_l1_table *) tables[T3_L1_SHARDS_MAX];
    /* Written by every writer: on cache lines of their own. */
    char apart[64];
    _Atomic uint64_t held; /* heap bytes in all: never more than bytes_max */
    _Atomic uint64_t idle; /* of these, garbage that no reader can find any more */
    _Atomic uint64_t
        fixed; /* of these, what eviction cannot give back: tables, stripes, the tier itself */
    struct t3_mutex opening; /* of open_space */
    uint32_t space_count;
};

/* Things taken from a shard's garbage, to be freed without its mutex. */
struct t3_l1_batch {
    uint32_t count;
    uint64_t bytes;
    void *items[T3_L1_GARBAGE_MAX];
};

/* A key as the shard looks for it. */
struct t3_l1_probe {
    const struct tears_schema *schema;
    const struct t3_key *key;
    uint64_t hash;
    uint32_t space;
};

/* ---- entries */

/* The entry's row.  A negative entry has one too: the key's cells, all others NULL. */
static inline const struct t3_row *t3_l1_entry_row(const struct t3_l1_entry *entry)
{
    return (const struct t3_row *)(entry + 1);
}

static inline uint64_t t3_l1_label(uint32_t space, uint64_t revision)
{
    return revision << 16 | space;
}

/* Relaxed: the entry itself was published by its slot; a revision that arrives later stands alone.
 */
static inline uint64_t t3_l1_entry_label(const struct t3_l1_entry *entry)
{
    return atomic_load_explicit(&entry->label, memory_order_relaxed);
}

static inline bool t3_l1_entry_is_absent(const struct t3_l1_entry *entry)
{
    return t3_l1_entry_label(entry) >> 16 == T3_LABEL_ABSENT;
}

static inline const struct tears_schema *t3_l1_schema(struct t3_l1_memory *memory, uint32_t space)
{
    return atomic_load_explicit(&memory->spaces, memory_order_acquire)->schemas[space];
}

/* Where a cell begins, unless it is a vector's: these are aligned. */
static inline uint32_t t3_l1_cell_start(const struct t3_row *row, uint32_t column)
{
    return column == 0 ? (uint32_t)(sizeof *row + row->count * sizeof row->ends[0])
                       : row->ends[column - 1] & ~T3_CELL_NULL;
}

/*
 * Whether a cell holds a key's value.  The same answer as t3_row_cell_equal, without making a value
 * of the cell first: on the way of every hit.
 */
static inline bool t3_l1_cell_is(const struct t3_row *row, const struct t3_layout *layout,
                                 uint32_t column, const struct tears_value *value)
{
    const uint32_t start = t3_l1_cell_start(row, column);
    const char *cell = (const char *)row + start;
    switch (value->kind) {
    case TEARS_KIND_UUID:
        return !t3_row_is_null(row, column) && memcmp(cell, value->as.uuid, 16) == 0;
    case TEARS_KIND_INT:
    case TEARS_KIND_TIMESTAMP:
        return !t3_row_is_null(row, column) && memcmp(cell, &value->as.integer, 8) == 0;
    case TEARS_KIND_TEXT: /* and one NUL */
        return !t3_row_is_null(row, column) &&
               row->ends[column] - start == value->as.bytes.len + 1 &&
               memcmp(cell, value->as.bytes.ptr, value->as.bytes.len) == 0;
    default:
        return t3_row_cell_equal(row, layout, column, value);
    }
}

static inline bool t3_l1_key_is(const struct tears_schema *schema, const struct t3_key *key,
                                const struct t3_row *row)
{
    for (uint32_t i = 0; i < key->count; i++)
        if (!t3_l1_cell_is(row, &schema->layout, schema->key[i], &key->values[i]))
            return false;
    return true;
}

/* ---- hashes */

/* The hash of a row's key, as a probe for it has it. */
static inline uint64_t t3_l1_row_hash(const struct tears_schema *schema, uint32_t space,
                                      const struct t3_row *row)
{
    struct tears_value values[T3_KEY_COLUMNS_MAX];
    struct t3_key key;
    t3_key_of_row(schema, row, values, &key);
    return t3_ticket_hash(space, &key);
}

/*
 * Where a table puts the entry.  Not kept, for it is asked for only when a table is rebuilt or an entry evicted, and four
 * bytes in each entry would be eight.
 */
static inline uint32_t t3_l1_entry_hash(struct t3_l1_memory *memory,
                                        const struct t3_l1_entry *entry)
{
    const uint32_t space = (uint32_t)(t3_l1_entry_label(entry) & 0xFFFF);
    return (uint32_t)t3_l1_row_hash(t3_l1_schema(memory, space), space, t3_l1_entry_row(entry));
}

/* ---- times */

/* A moment in ticks, rounded down.  The tick in which the tier began is 1; 0 is any time before. */
static inline uint32_t t3_l1_tick(const struct t3_l1_memory *memory, uint64_t ms)
{
    if (ms < memory->began_ms)
        return 0;
    const uint64_t tick = (ms - memory->began_ms) >> T3_L1_TICK_SHIFT;
    return tick < UINT32_MAX - 1 ? (uint32_t)tick + 1 : UINT32_MAX;
}

/* When a tick begins; 0 for the time before the tier. */
static inline uint64_t t3_l1_tick_ms(const struct t3_l1_memory *memory, uint32_t tick)
{
    return tick == 0 ? 0 : memory->began_ms + ((uint64_t)(tick - 1) << T3_L1_TICK_SHIFT);
}

static inline uint64_t t3_l1_times(uint32_t expires, uint32_t confirmed)
{
    return (uint64_t)expires << 32 | confirmed;
}

/*
 * Acquire: pairs with the release in t3_l1_memory_confirm.  Who sees that an entry was confirmed sees the revision it was
 * confirmed at, if it loads the label afterwards.
 */
static inline uint64_t t3_l1_entry_times(const struct t3_l1_entry *entry)
{
    return atomic_load_explicit(&entry->times, memory_order_acquire);
}

static inline uint64_t t3_l1_expires_ms(const struct t3_l1_memory *memory, uint64_t times)
{
    return t3_l1_tick_ms(memory, (uint32_t)(times >> 32));
}

static inline uint64_t t3_l1_confirmed_ms(const struct t3_l1_memory *memory, uint64_t times)
{
    return t3_l1_tick_ms(memory, (uint32_t)times);
}

static inline bool t3_l1_is_expired(const struct t3_l1_memory *memory,
                                    const struct t3_l1_entry *entry, uint64_t now_ms)
{
    return now_ms >= t3_l1_expires_ms(memory, t3_l1_entry_times(entry));
}

/* ---- keys and shards */

static inline struct t3_l1_memory *t3_l1_memory_of(struct t3_l1 *l1)
{
    return (struct t3_l1_memory *)l1;
}

static inline struct t3_l1_probe t3_l1_probe_of(struct t3_l1_memory *memory, uint32_t space,
                                                const struct t3_key *key)
{
    const struct t3_l1_probe probe = {
        .schema = t3_l1_schema(memory, space),
        .key = key,
        .hash = t3_ticket_hash(space, key),
        .space = space,
    };
    return probe;
}

/* A shard has whole stripes: both take the low bits of the same part of the hash. */
static inline uint32_t t3_l1_home_shard(const struct t3_l1_memory *memory, uint64_t hash)
{
    return (uint32_t)t3_ticket_stripe(hash) & memory->shard_mask;
}

static inline struct t3_l1_shard *t3_l1_shard_of(const struct t3_l1_memory *memory, uint64_t hash)
{
    return &memory->shards[t3_l1_home_shard(memory, hash)];
}

/* ---- slots */

static inline struct t3_l1_entry *t3_l1_slot_entry(uint64_t word)
{
    return (struct t3_l1_entry *)(uintptr_t)(word & T3_SLOT_ADDRESS);
}

static inline uint32_t t3_l1_slot_weight(uint64_t word)
{
    return (uint32_t)((word & T3_SLOT_WEIGHT) >> 1);
}

/* Never 0, so that neither an empty nor a deleted slot carries a tag. */
static inline uint64_t t3_l1_tag(uint64_t hash)
{
    return hash >> 48 | 1;
}

/* Where the probe for a hash starts: the low half of the hash, scaled to the capacity. */
static inline uint32_t t3_l1_home(const struct t3_l1_table *table, uint32_t hash)
{
    return (uint32_t)((uint64_t)hash * table->capacity >> 32);
}

/*
 * Finds the slot of a key, or NULL; gives the word that was read there.  Readers call it inside a
 * read section, writers under the mutex.  Ends because a table always has an empty slot.
 */
static inline _Atomic uint64_t *t3_l1_find(struct t3_l1_table *table,
                                           const struct t3_l1_probe *probe, uint64_t *word_out)
{
    const uint64_t tag = t3_l1_tag(probe->hash);
    for (uint32_t i = t3_l1_home(table, (uint32_t)probe->hash);;) {
        /* Acquire: pairs with the release that published the entry. */
        const uint64_t word = atomic_load_explicit(&table->slots[i], memory_order_acquire);
        if (word >> 48 == tag) {
            const struct t3_l1_entry *entry = t3_l1_slot_entry(word);
            if ((t3_l1_entry_label(entry) & 0xFFFF) == probe->space &&
                t3_l1_key_is(probe->schema, probe->key, t3_l1_entry_row(entry))) {
                *word_out = word;
                return &table->slots[i];
            }
        } else if (word == T3_SLOT_EMPTY) {
            return NULL;
        }
        if (++i == table->capacity)
            i = 0;
    }
}

/* ---- l1_memory_read.c: see l1.h */

tears_status t3_l1_memory_get(struct t3_l1 *l1, uint32_t space, const struct t3_key *key,
                              struct t3_arena *arena, enum t3_l1_answer *answer_out,
                              struct t3_l1_hit *hit_out);
tears_status t3_l1_memory_get_cell(struct t3_l1 *l1, uint32_t space, const struct t3_key *key,
                                   uint32_t column, struct t3_arena *arena,
                                   enum t3_l1_answer *answer_out, struct tears_value *value_out,
                                   struct t3_l1_hit *hit_out);
tears_status t3_l1_memory_peek(struct t3_l1 *l1, uint32_t space, const struct t3_key *key,
                               struct t3_arena *arena, enum t3_l1_answer *answer_out,
                               struct t3_l1_hit *hit_out);
bool t3_l1_memory_contains(struct t3_l1 *l1, uint32_t space, const struct t3_key *key);
uint64_t t3_l1_memory_ticket(struct t3_l1 *l1, uint32_t space, const struct t3_key *key);
tears_status t3_l1_memory_collect(struct t3_l1 *l1, uint32_t space, uint64_t before_ms,
                                  uint64_t *cursor, size_t max, struct t3_arena *arena,
                                  struct t3_key *keys_out, size_t *count_out);

/* ---- l1_memory_write.c: see l1.h */

tears_status t3_l1_memory_put(struct t3_l1 *l1, uint32_t space, const struct t3_l1_put *put);
void t3_l1_memory_set_revision(struct t3_l1 *l1, uint32_t space, const struct t3_key *key,
                               int64_t version, uint64_t revision);
void t3_l1_memory_confirm(struct t3_l1 *l1, uint32_t space, const struct t3_key *key,
                          int64_t version, uint64_t revision, uint64_t ticket,
                          uint64_t confirmed_ms, uint64_t age_ms_max);
void t3_l1_memory_bump(struct t3_l1 *l1, uint32_t space, const struct t3_key *key);
void t3_l1_memory_drop(struct t3_l1 *l1, uint32_t space, const struct t3_key *key);
bool t3_l1_memory_drop_older(struct t3_l1 *l1, uint32_t space, const struct t3_key *key,
                             int64_t version);
void t3_l1_memory_clear(struct t3_l1 *l1, uint32_t space);

/* ---- l1_memory_table.c: all of it under the shard's mutex */

/* An empty table, not charged and not published.  NULL: no memory. */
struct t3_l1_table *t3_l1_table_new(uint32_t capacity);

/* The capacity of the table that must be fitted before one more entry can go in; 0: none. */
uint32_t t3_l1_shard_wants_locked(const struct t3_l1_shard *shard) T3_REQUIRES(shard->mutex);

/* Moves everything into the new table and publishes it; false when it is too small (then nothing
 * happened). */
bool t3_l1_shard_fit_locked(struct t3_l1_memory *memory, struct t3_l1_shard *shard,
                            struct t3_l1_table *table) T3_REQUIRES(shard->mutex);

/* Finds a key. */
_Atomic uint64_t *t3_l1_shard_find_locked(struct t3_l1_shard *shard,
                                          const struct t3_l1_probe *probe, uint64_t *word_out)
    T3_REQUIRES(shard->mutex);

/* Puts an entry whose key is not there; t3_l1_shard_wants_locked said 0. */
void t3_l1_shard_add_locked(struct t3_l1_shard *shard, const struct t3_l1_probe *probe,
                            struct t3_l1_entry *entry) T3_REQUIRES(shard->mutex);

/* Puts an entry in the place of the one in `slot`; it inherits how well that one was used. */
void t3_l1_shard_replace_locked(struct t3_l1_shard *shard, const struct t3_l1_probe *probe,
                                _Atomic uint64_t *slot, struct t3_l1_entry *entry)
    T3_REQUIRES(shard->mutex);

/* Takes out what is in `slot`. */
void t3_l1_shard_remove_locked(struct t3_l1_shard *shard, const struct tears_schema *schema,
                               _Atomic uint64_t *slot) T3_REQUIRES(shard->mutex);

/* ---- l1_memory_room.c: the budget */

/* Adds to the bytes held, if they stay within the budget. */
bool t3_l1_charge(struct t3_l1_memory *memory, uint64_t bytes);
void t3_l1_uncharge(struct t3_l1_memory *memory, uint64_t bytes);

/*
 * Charges `bytes`, after evicting until what is in use comes to no more than `limit` with them.
 * The shard numbered `home` pays first.  No mutex may be held.  TEARS_OK; TEARS_LIMIT: can never
 * fit; TEARS_UNAVAILABLE: not just now, other threads are still freeing what they evicted.
 */
tears_status t3_l1_make_room(struct t3_l1_memory *memory, uint32_t home, uint64_t bytes,
                             uint64_t limit);

/* Ends every piece of work under a shard's mutex: takes the garbage when it is (or `now`: even if
 * it is not) much. */
void t3_l1_settle_locked(struct t3_l1_memory *memory, struct t3_l1_shard *shard, bool now,
                         struct t3_l1_batch *batch) T3_REQUIRES(shard->mutex);

/* Whether so much garbage waits that the work must be interrupted. */
bool t3_l1_is_littered_locked(const struct t3_l1_shard *shard) T3_REQUIRES(shard->mutex);

/* Waits until no reader can be looking at it, and frees it.  Without the mutex. */
void t3_l1_batch_free(struct t3_l1_memory *memory, struct t3_l1_batch *batch);

/* ---- l1_memory_evict.c */

/* The slot whose entry can best be spared; there is one (live is not 0). */
_Atomic uint64_t *t3_l1_shard_victim_locked(struct t3_l1_memory *memory, struct t3_l1_shard *shard)
    T3_REQUIRES(shard->mutex);

/* Remembers that an entry was evicted on probation: should its key come back soon, it is protected
 * at once. */
void t3_l1_ghost_put_locked(struct t3_l1_table *table, uint32_t hash, uint64_t tag);

/* Whether the key was evicted lately; forgets it. */
bool t3_l1_ghost_take_locked(struct t3_l1_table *table, uint32_t hash, uint64_t tag);

#endif
