/*
 * l1_memory.c -- the in-process tier: rows in a sharded table within a byte budget, read without
 * locks.
 *
 * Owns:     the shards, the stripes of tickets, the names of the tables.
 * Must not know: the network, SQL, JSON, or that other tiers exist.
 * Threads:  any.  Readers are inside an RCU read section and take no lock; writers hold one shard's
 * mutex, and never two. Fails:    TEARS_NO_MEMORY, TEARS_LIMIT; what was cached before stays,
 * except that an own write which cannot be kept drops its key: the row that was there is history.
 * Begin at: memory_get(), store_locked().
 *
 * The parts: l1_memory_impl.h has the layout and a picture of it; l1_memory_table.c puts entries in
 * and takes them out; l1_memory_evict.c chooses whom to spare; l1_memory_room.c keeps the budget;
 * this file decides what is kept.
 *
 * A hit costs: the read section, the tier's clock, a run of slots, the comparison of the key, the
 * copy.  It writes nothing that threads share, except the first time an entry is hit after the hand
 * of eviction went over it.
 */
#include "base/alloc.h"
#include "base/fail.h"
#include "tier/l1_memory_impl.h"
#include "tier/l1_memory_rcu.h"

enum {
    TICK_SHIFT =
        5, /* ages count in 32 ms: 32 bits of them last four years, after which nothing is cached */
    SPACES_FIRST = 8,
    SPACES_MAX = 65536, /* 16 bits of a label */
    REFITS_MAX = 8      /* tables fitted for one put, while other threads fill them up */
};

#define SHARD_BYTES \
    ((uint64_t)1 << 20) /* a shard for each MiB of the budget: small tiers have one */
#define RESERVE_MAX  ((uint64_t)1 << 20) /* for garbage; a sixteenth of smaller tiers */
#define REVISION_MAX (T3_LABEL_ABSENT - 1)

static struct t3_l1_memory *memory_of(struct t3_l1 *l1)
{
    return (struct t3_l1_memory *)l1;
}

static struct t3_l1_probe probe_of(struct t3_l1_memory *memory, uint32_t space,
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
static uint32_t home_of(const struct t3_l1_memory *memory, uint64_t hash)
{
    return (uint32_t)t3_ticket_stripe(hash) & memory->shard_mask;
}

static struct t3_l1_shard *shard_of(const struct t3_l1_memory *memory, uint64_t hash)
{
    return &memory->shards[home_of(memory, hash)];
}

/* ---- ages ---- */

static uint32_t tick_at(uint64_t ms)
{
    const uint64_t tick = ms >> TICK_SHIFT;
    return tick < UINT32_MAX ? (uint32_t)tick : UINT32_MAX;
}

static uint64_t age_of_tier(const struct t3_l1_memory *memory)
{
    return t3_now_coarse_ms() - memory->began_ms;
}

static bool is_expired(const struct t3_l1_memory *memory, const struct t3_l1_entry *entry)
{
    return entry->expiry <= tick_at(age_of_tier(memory));
}

/* Up to a tenth earlier than asked for, so that rows read together do not all expire together. */
static uint32_t expiry_of(const struct t3_l1_memory *memory, uint64_t hash, uint64_t age_ms_max)
{
    const uint64_t now = age_of_tier(memory);
    const uint64_t dice = ((hash ^ now) * 0x9E3779B97F4A7C15u) >> 54; /* 0 to 1023 */
    const uint64_t jitter = age_ms_max / 10240 * dice + age_ms_max % 10240 * dice / 10240;
    const uint64_t age = age_ms_max - jitter;
    return tick_at(age < UINT64_MAX - now ? now + age : UINT64_MAX);
}

/* ---- reading ---- */

/* The entry of a key, unless its time is over.  Inside a read section. */
static const struct t3_l1_entry *find_fresh(struct t3_l1_memory *memory,
                                            const struct t3_l1_probe *probe, bool visit)
{
    /* Acquire: pairs with the release in t3_l1_shard_fit_locked. */
    struct t3_l1_table *table =
        atomic_load_explicit(&memory->tables[home_of(memory, probe->hash)], memory_order_acquire);
    uint64_t word;
    _Atomic uint64_t *slot = t3_l1_find(table, probe, &word);
    if (slot == NULL)
        return NULL;
    const struct t3_l1_entry *entry = t3_l1_slot_entry(word);
    if (T3_UNLIKELY(is_expired(memory, entry)))
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
    return TEARS_OK;
}

static tears_status memory_get(struct t3_l1 *l1, uint32_t space, const struct t3_key *key,
                               struct t3_arena *arena, enum t3_l1_answer *answer_out,
                               struct t3_l1_hit *hit_out)
{
    struct t3_l1_memory *memory = memory_of(l1);
    const struct t3_l1_probe probe = probe_of(memory, space, key);
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

/* Moves what the value points to into the arena. */
static tears_status own_value(struct t3_arena *arena, struct tears_value *value)
{
    switch (value->kind) {
    case TEARS_KIND_TEXT:
    case TEARS_KIND_DECIMAL:
    case TEARS_KIND_JSON:
    case TEARS_KIND_BYTES:
        return t3_arena_str(arena, value->as.bytes, &value->as.bytes);
    case TEARS_KIND_VECTOR: {
        const size_t bytes = value->as.vector.len * sizeof(double);
        double *numbers = t3_arena_alloc(arena, bytes);
        if (numbers == NULL)
            return TEARS_NO_MEMORY;
        if (bytes != 0)
            memcpy(numbers, value->as.vector.ptr, bytes);
        value->as.vector.ptr = numbers;
        return TEARS_OK;
    }
    default:
        return TEARS_OK;
    }
}

static tears_status memory_get_cell(struct t3_l1 *l1, uint32_t space, const struct t3_key *key,
                                    uint32_t column, struct t3_arena *arena,
                                    enum t3_l1_answer *answer_out, struct tears_value *value_out)
{
    struct t3_l1_memory *memory = memory_of(l1);
    const struct t3_l1_probe probe = probe_of(memory, space, key);
    tears_status status = TEARS_OK;
    enum t3_l1_answer answer = T3_L1_MISS;
    struct tears_value value = tears_null();
    T3_ASSERT(column < probe.schema->layout.count);
    t3_rcu_enter();
    const struct t3_l1_entry *entry = find_fresh(memory, &probe, true);
    if (entry != NULL) {
        answer = t3_l1_entry_is_absent(entry) ? T3_L1_ABSENT : T3_L1_HIT;
        value = t3_row_value(t3_l1_entry_row(entry), &probe.schema->layout, column);
        status = own_value(arena, &value);
    }
    t3_rcu_leave(memory);
    if (status != TEARS_OK)
        return status;
    if (answer == T3_L1_HIT)
        *value_out = value;
    *answer_out = answer;
    return TEARS_OK;
}

static bool memory_contains(struct t3_l1 *l1, uint32_t space, const struct t3_key *key)
{
    struct t3_l1_memory *memory = memory_of(l1);
    const struct t3_l1_probe probe = probe_of(memory, space, key);
    t3_rcu_enter();
    const struct t3_l1_entry *entry = find_fresh(memory, &probe, false);
    const bool contains = entry != NULL && !t3_l1_entry_is_absent(entry);
    t3_rcu_leave(memory);
    return contains;
}

static uint64_t memory_ticket(struct t3_l1 *l1, uint32_t space, const struct t3_key *key)
{
    return t3_ticket_read(&memory_of(l1)->tickets, t3_ticket_hash(space, key));
}

/* ---- keeping ---- */

/* The row that stands for "no such row": its key, and NULL in all other cells. */
static tears_status absent_row(const struct t3_l1_probe *probe, struct t3_arena *arena,
                               struct t3_row **row_out)
{
    const struct tears_schema *schema = probe->schema;
    struct tears_value *values = t3_arena_array(arena, schema->column_count, sizeof *values);
    if (values == NULL)
        return TEARS_NO_MEMORY;
    for (uint32_t i = 0; i < probe->key->count; i++)
        values[schema->key[i]] = probe->key->values[i];
    return t3_row_new(arena, &schema->layout, values, row_out);
}

/* An entry of what is to be kept; not charged yet. */
static tears_status entry_new(const struct t3_l1_memory *memory, const struct t3_l1_probe *probe,
                              const struct t3_l1_put *put, struct t3_l1_entry **entry_out)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    const struct t3_row *row = put->row;
    uint64_t revision = put->revision <= REVISION_MAX ? put->revision : 0;
    if (row == NULL) {
        struct t3_row *absent;
        T3_TRY(absent_row(probe, &arena, &absent));
        row = absent;
        revision = T3_LABEL_ABSENT;
    }
    struct t3_l1_entry *entry = t3_alloc(sizeof *entry + row->size);
    if (entry == NULL)
        return TEARS_NO_MEMORY;
    atomic_init(&entry->label, t3_l1_label(probe->space, revision));
    entry->hash = (uint32_t)probe->hash;
    entry->expiry = expiry_of(memory, probe->hash, put->age_ms_max);
    memcpy(entry + 1, row, row->size);
    *entry_out = entry;
    return TEARS_OK;
}

/* Whether the slot holds a row newer than `version`. */
static bool is_newer(const struct t3_l1_memory *memory, const struct t3_l1_probe *probe,
                     uint64_t word, int64_t version)
{
    const struct t3_l1_entry *entry = t3_l1_slot_entry(word);
    return probe->schema->version_column != T3_NO_COLUMN && !t3_l1_entry_is_absent(entry) &&
           !is_expired(memory, entry) &&
           t3_schema_row_version(probe->schema, t3_l1_entry_row(entry)) > version;
}

enum stored { STORED, DISCARDED, NO_SLOT };

/* The check and the store, in one step: see l1.h.  With NO_SLOT nothing has happened yet. */
static enum stored store_locked(struct t3_l1_memory *memory, const struct t3_l1_probe *probe,
                                const struct t3_l1_put *put, struct t3_l1_entry *entry)
{
    struct t3_l1_shard *shard = shard_of(memory, probe->hash);
    if (t3_l1_shard_wants_locked(shard) != 0)
        return NO_SLOT;

    uint64_t word = T3_SLOT_EMPTY;
    _Atomic uint64_t *slot = t3_l1_shard_find_locked(shard, probe, &word);
    const bool is_current = put->ticket == t3_ticket_read(&memory->tickets, probe->hash);
    if (put->own_write)
        t3_ticket_move(&memory->tickets, probe->hash);

    const bool is_versioned = probe->schema->version_column != T3_NO_COLUMN;
    if (!is_current && !(put->own_write && is_versioned)) {
        if (put->own_write && slot != NULL)
            t3_l1_shard_remove_locked(shard, probe->schema, slot);
        shard->stale_fills += !put->own_write;
        return DISCARDED;
    }
    if (slot != NULL && is_newer(memory, probe, word, put->version)) {
        shard->stale_fills += !put->own_write;
        return DISCARDED;
    }
    if (slot != NULL)
        t3_l1_shard_replace_locked(shard, probe, slot, entry);
    else
        t3_l1_shard_add_locked(shard, probe, entry);
    return STORED;
}

/* Gives a shard whose slots are used up a new table.  TEARS_OK, TEARS_NO_MEMORY, TEARS_LIMIT. */
static tears_status refit(struct t3_l1_memory *memory, uint32_t home)
{
    struct t3_l1_shard *shard = &memory->shards[home];
    t3_lock(&shard->mutex);
    const uint32_t capacity = t3_l1_shard_wants_locked(shard);
    t3_unlock(&shard->mutex);
    if (capacity == 0)
        return TEARS_OK; /* another thread was faster */

    T3_AUTO(t3_free_auto) struct t3_l1_table *table = t3_l1_table_new(capacity);
    if (table == NULL)
        return TEARS_NO_MEMORY;
    const uint64_t bytes = t3_alloc_bytes(table);
    T3_TRY(t3_l1_make_room(memory, home, bytes, memory->bytes_max));

    struct t3_l1_batch batch;
    t3_lock(&shard->mutex);
    const uint64_t old_bytes = t3_alloc_bytes(atomic_load(shard->table));
    const bool is_fitted = t3_l1_shard_fit_locked(shard, table);
    t3_l1_settle_locked(memory, shard, false, &batch);
    t3_unlock(&shard->mutex);
    t3_l1_batch_free(memory, &batch);

    if (!is_fitted) {
        t3_l1_uncharge(memory, bytes);
        return TEARS_OK;
    }
    table = NULL;
    /* Unsigned, so that a smaller table subtracts. */
    atomic_fetch_add_explicit(&memory->fixed, bytes - old_bytes, memory_order_relaxed);
    return TEARS_OK;
}

/* Stores a charged entry or says why not. */
static tears_status store(struct t3_l1_memory *memory, const struct t3_l1_probe *probe,
                          const struct t3_l1_put *put, struct t3_l1_entry *entry,
                          enum stored *stored_out)
{
    struct t3_l1_shard *shard = shard_of(memory, probe->hash);
    struct t3_l1_batch batch;
    for (uint32_t i = 0; i < REFITS_MAX; i++) {
        t3_lock(&shard->mutex);
        const enum stored stored = store_locked(memory, probe, put, entry);
        t3_l1_settle_locked(memory, shard, false, &batch);
        t3_unlock(&shard->mutex);
        t3_l1_batch_free(memory, &batch);
        if (stored != NO_SLOT) {
            *stored_out = stored;
            return TEARS_OK;
        }
        T3_TRY(refit(memory, home_of(memory, probe->hash)));
    }
    return TEARS_LIMIT;
}

/* Charges and stores the entry, or frees it. */
static tears_status admit(struct t3_l1_memory *memory, const struct t3_l1_probe *probe,
                          const struct t3_l1_put *put, struct t3_l1_entry *entry)
{
    const uint64_t bytes = t3_alloc_bytes(entry);
    tears_status status =
        t3_l1_make_room(memory, home_of(memory, probe->hash), bytes, memory->live_max);
    if (status != TEARS_OK) {
        t3_free(entry);
        return status;
    }
    enum stored stored = DISCARDED;
    status = store(memory, probe, put, entry, &stored);
    if (stored != STORED) {
        t3_free(entry); /* nobody has seen it */
        t3_l1_uncharge(memory, bytes);
    }
    return status;
}

/* ---- forgetting ---- */

enum forget { FORGET_ALL, FORGET_ABSENT };

static void forget(struct t3_l1_memory *memory, const struct t3_l1_probe *probe, bool move,
                   enum forget what)
{
    struct t3_l1_shard *shard = shard_of(memory, probe->hash);
    struct t3_l1_batch batch;
    uint64_t word;
    t3_lock(&shard->mutex);
    if (move)
        t3_ticket_move(&memory->tickets, probe->hash);
    _Atomic uint64_t *slot = t3_l1_shard_find_locked(shard, probe, &word);
    if (slot != NULL && (what == FORGET_ALL || t3_l1_entry_is_absent(t3_l1_slot_entry(word))))
        t3_l1_shard_remove_locked(shard, probe->schema, slot);
    t3_l1_settle_locked(memory, shard, false, &batch);
    t3_unlock(&shard->mutex);
    t3_l1_batch_free(memory, &batch);
}

static tears_status memory_put(struct t3_l1 *l1, uint32_t space, const struct t3_l1_put *put)
{
    struct t3_l1_memory *memory = memory_of(l1);
    const struct t3_l1_probe probe = probe_of(memory, space, put->key);
    struct t3_l1_entry *entry = NULL;
    tears_status status = entry_new(memory, &probe, put, &entry);
    if (status == TEARS_OK)
        status = admit(memory, &probe, put, entry);
    /* What is there is older than the own write, or than the row too large to keep. */
    if (status != TEARS_OK && (put->own_write || status == TEARS_LIMIT))
        forget(memory, &probe, put->own_write, FORGET_ALL);
    return status;
}

static void memory_bump(struct t3_l1 *l1, uint32_t space, const struct t3_key *key)
{
    const struct t3_l1_probe probe = probe_of(memory_of(l1), space, key);
    /* That there is no such row may not be true any more; a row that is there is the caller's to
     * judge. */
    forget(memory_of(l1), &probe, true, FORGET_ABSENT);
}

static void memory_drop(struct t3_l1 *l1, uint32_t space, const struct t3_key *key)
{
    const struct t3_l1_probe probe = probe_of(memory_of(l1), space, key);
    forget(memory_of(l1), &probe, false, FORGET_ALL);
}

static void memory_set_revision(struct t3_l1 *l1, uint32_t space, const struct t3_key *key,
                                int64_t version, uint64_t revision)
{
    struct t3_l1_memory *memory = memory_of(l1);
    const struct t3_l1_probe probe = probe_of(memory, space, key);
    struct t3_l1_shard *shard = shard_of(memory, probe.hash);
    const uint64_t kept = revision <= REVISION_MAX ? revision : 0;
    uint64_t word;
    t3_lock(&shard->mutex);
    _Atomic uint64_t *slot = t3_l1_shard_find_locked(shard, &probe, &word);
    struct t3_l1_entry *entry = slot != NULL ? t3_l1_slot_entry(word) : NULL;
    if (entry != NULL && !t3_l1_entry_is_absent(entry) &&
        t3_schema_row_version(probe.schema, t3_l1_entry_row(entry)) == version)
        atomic_store_explicit(&entry->label, t3_l1_label(space, kept), memory_order_relaxed);
    t3_unlock(&shard->mutex);
}

/* Forgets rows of the space from slot `*at_io` on; false when the garbage must be freed before
 * going on. */
static bool clear_locked(struct t3_l1_memory *memory, struct t3_l1_shard *shard, uint32_t space,
                         uint32_t *at_io)
{
    struct t3_l1_table *table = atomic_load_explicit(shard->table, memory_order_relaxed);
    for (; *at_io < table->capacity; ++*at_io) {
        const uint64_t word = atomic_load_explicit(&table->slots[*at_io], memory_order_relaxed);
        if (word >> 48 == 0 || (t3_l1_entry_label(t3_l1_slot_entry(word)) & 0xFFFF) != space)
            continue;
        if (t3_l1_is_littered_locked(shard))
            return false;
        t3_l1_shard_remove_locked(shard, t3_l1_schema(memory, space), &table->slots[*at_io]);
    }
    return true;
}

static void memory_clear(struct t3_l1 *l1, uint32_t space)
{
    struct t3_l1_memory *memory = memory_of(l1);
    struct t3_l1_batch batch;
    /* First of all: a fill that is stored after its shard was cleared finds its ticket out of date.
     */
    t3_tickets_move_all(&memory->tickets);
    for (uint32_t i = 0; i <= memory->shard_mask; i++) {
        struct t3_l1_shard *shard = &memory->shards[i];
        const struct t3_l1_table *table = NULL;
        uint32_t at = 0;
        bool is_done = false;
        while (!is_done) {
            t3_lock(&shard->mutex);
            if (table != atomic_load(shard->table))
                at = 0; /* another table: other places */
            table = atomic_load(shard->table);
            is_done = clear_locked(memory, shard, space, &at);
            t3_l1_settle_locked(memory, shard, !is_done, &batch);
            t3_unlock(&shard->mutex);
            t3_l1_batch_free(memory, &batch);
        }
    }
}

/* ---- the tier ---- */

static void memory_stats(struct t3_l1 *l1, struct t3_l1_stats *stats_out)
{
    struct t3_l1_memory *memory = memory_of(l1);
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

/* A larger array of tables in place of a full one. */
static tears_status grow_spaces_locked(struct t3_l1_memory *memory)
{
    struct t3_l1_spaces *old = atomic_load(&memory->spaces);
    const uint32_t capacity = old->capacity * 2;
    struct t3_l1_spaces *spaces =
        t3_alloc_zero(1, sizeof *spaces + capacity * sizeof spaces->schemas[0]);
    if (spaces == NULL)
        return TEARS_NO_MEMORY;
    const uint64_t bytes = t3_alloc_bytes(spaces);
    const tears_status status = t3_l1_make_room(memory, 0, bytes, memory->bytes_max);
    if (status != TEARS_OK) {
        t3_free(spaces);
        return status;
    }
    atomic_fetch_add_explicit(&memory->fixed, bytes, memory_order_relaxed);
    spaces->previous = old;
    spaces->capacity = capacity;
    memcpy(spaces->schemas, old->schemas, old->capacity * sizeof old->schemas[0]);
    atomic_store_explicit(&memory->spaces, spaces, memory_order_release);
    return TEARS_OK;
}

static tears_status open_space_locked(struct t3_l1_memory *memory,
                                      const struct tears_schema *schema, uint32_t *space_out)
{
    if (memory->space_count == SPACES_MAX)
        return TEARS_LIMIT;
    if (memory->space_count == atomic_load(&memory->spaces)->capacity)
        T3_TRY(grow_spaces_locked(memory));
    *space_out = memory->space_count++;
    atomic_load(&memory->spaces)->schemas[*space_out] = schema;
    return TEARS_OK;
}

static tears_status memory_open_space(struct t3_l1 *l1, const struct tears_schema *schema,
                                      uint32_t *space_out, struct tears_error *error_out)
{
    struct t3_l1_memory *memory = memory_of(l1);
    t3_lock(&memory->opening);
    const tears_status status = open_space_locked(memory, schema, space_out);
    t3_unlock(&memory->opening);
    if (status == TEARS_NO_MEMORY)
        return t3_fail_memory(error_out, "l1.memory");
    if (status != TEARS_OK)
        return t3_fail(error_out, status, "l1.memory",
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
    struct t3_l1_memory *memory = memory_of(l1);
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
    .get = memory_get,
    .get_cell = memory_get_cell,
    .contains = memory_contains,
    .ticket = memory_ticket,
    .put = memory_put,
    .set_revision = memory_set_revision,
    .bump = memory_bump,
    .drop = memory_drop,
    .clear = memory_clear,
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
    memory->live_max = bytes_max - (bytes_max / 16 < RESERVE_MAX ? bytes_max / 16 : RESERVE_MAX);
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
