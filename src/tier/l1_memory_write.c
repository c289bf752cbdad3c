/*
 * l1_memory_write.c -- what the tier keeps, and what it forgets.
 *
 * Owns:     nothing; it changes shards under their mutexes.
 * Must not know: how slots, weights and bytes are managed.
 * Threads:  any.  One shard's mutex at a time; garbage is freed without it.
 * Fails:    TEARS_NO_MEMORY, TEARS_LIMIT; what was cached before stays, except that an own write
 *           which cannot be kept drops its key: the row that was there is history.
 * Begin at: store_locked(), t3_l1_memory_put().
 *
 * The order of a put: make the entry, charge it (which may evict others), and only then take the
 * mutex, look at the ticket, and store.  So all that can fail or wait comes before the one step
 * that counts.
 */
#include "base/alloc.h"
#include "tier/l1_memory_impl.h"
#include "tier/l1_memory_rcu.h"

enum { REFITS_MAX = 8 /* tables fitted for one put, while other threads fill them up */ };

#define REVISION_MAX (T3_LABEL_ABSENT - 1)

/* ---- keeping ---- */

/* Up to a tenth earlier than asked for, so that rows read together do not all expire together. */
static uint32_t expiry_of(const struct t3_l1_memory *memory, uint64_t hash, uint64_t age_ms_max)
{
    const uint64_t now = t3_now_coarse_ms();
    const uint64_t dice = ((hash ^ now) * 0x9E3779B97F4A7C15u) >> 54; /* 0 to 1023 */
    const uint64_t jitter = age_ms_max / 10240 * dice + age_ms_max % 10240 * dice / 10240;
    const uint64_t age = age_ms_max - jitter;
    return t3_l1_tick(memory, age < UINT64_MAX - now ? now + age : UINT64_MAX);
}

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
    if (t3_l1_row_hash(probe->schema, probe->space, row) != probe->hash)
        return TEARS_UNAVAILABLE; /* not the key's row: it could never be found */
    struct t3_l1_entry *entry = t3_alloc(sizeof *entry + row->size);
    if (entry == NULL)
        return TEARS_NO_MEMORY;
    atomic_init(&entry->label, t3_l1_label(probe->space, revision));
    atomic_init(&entry->times, t3_l1_times(expiry_of(memory, probe->hash, put->age_ms_max),
                                           t3_l1_tick(memory, put->confirmed_ms)));
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
           !t3_l1_is_expired(memory, entry, t3_now_coarse_ms()) &&
           t3_schema_row_version(probe->schema, t3_l1_entry_row(entry)) > version;
}

/* Whether two entries of one key say the same: no row, or the row of one version. */
static bool is_same(const struct tears_schema *schema, const struct t3_l1_entry *a,
                    const struct t3_l1_entry *b)
{
    if (t3_l1_entry_is_absent(a) || t3_l1_entry_is_absent(b))
        return t3_l1_entry_is_absent(a) && t3_l1_entry_is_absent(b);
    return schema->version_column != T3_NO_COLUMN &&
           t3_schema_row_version(schema, t3_l1_entry_row(a)) ==
               t3_schema_row_version(schema, t3_l1_entry_row(b));
}

/*
 * An entry that comes, of which nobody knows yet, was right when either was.  The revision goes with the moment: each is
 * believed only because of the other.
 */
static void inherit_confirmed(struct t3_l1_entry *comes, const struct t3_l1_entry *goes)
{
    const uint64_t times = t3_l1_entry_times(comes);
    const uint32_t before = (uint32_t)t3_l1_entry_times(goes);
    if (before <= (uint32_t)times)
        return;
    atomic_store_explicit(&comes->times, t3_l1_times((uint32_t)(times >> 32), before),
                          memory_order_relaxed);
    atomic_store_explicit(&comes->label, t3_l1_entry_label(goes), memory_order_relaxed);
}

enum stored { STORED, DISCARDED, NO_SLOT };

/* The check and the store, in one step: see l1.h.  With NO_SLOT nothing has happened yet. */
static enum stored store_locked(struct t3_l1_memory *memory, const struct t3_l1_probe *probe,
                                const struct t3_l1_put *put, struct t3_l1_entry *entry)
{
    struct t3_l1_shard *shard = t3_l1_shard_of(memory, probe->hash);
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
    if (slot != NULL && is_current && is_same(probe->schema, entry, t3_l1_slot_entry(word)))
        inherit_confirmed(entry, t3_l1_slot_entry(word));
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
    const bool is_fitted = t3_l1_shard_fit_locked(memory, shard, table);
    t3_l1_settle_locked(memory, shard, true, &batch); /* the old table is too large to lie about */
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
    struct t3_l1_shard *shard = t3_l1_shard_of(memory, probe->hash);
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
        T3_TRY(refit(memory, t3_l1_home_shard(memory, probe->hash)));
    }
    return TEARS_UNAVAILABLE;
}

/* Charges and stores the entry, or frees it. */
static tears_status admit(struct t3_l1_memory *memory, const struct t3_l1_probe *probe,
                          const struct t3_l1_put *put, struct t3_l1_entry *entry)
{
    const uint64_t bytes = t3_alloc_bytes(entry);
    tears_status status =
        t3_l1_make_room(memory, t3_l1_home_shard(memory, probe->hash), bytes, memory->live_max);
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
    struct t3_l1_shard *shard = t3_l1_shard_of(memory, probe->hash);
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

tears_status t3_l1_memory_put(struct t3_l1 *l1, uint32_t space, const struct t3_l1_put *put)
{
    struct t3_l1_memory *memory = t3_l1_memory_of(l1);
    const struct t3_l1_probe probe = t3_l1_probe_of(memory, space, put->key);
    struct t3_l1_entry *entry = NULL;
    tears_status status = entry_new(memory, &probe, put, &entry);
    if (status == TEARS_OK)
        status = admit(memory, &probe, put, entry);
    /* What is there is older than the own write, or than the row too large to keep. */
    if (status != TEARS_OK && (put->own_write || status == TEARS_LIMIT))
        forget(memory, &probe, put->own_write, FORGET_ALL);
    return status == TEARS_UNAVAILABLE ? TEARS_OK : status; /* discarded: a cache may */
}

void t3_l1_memory_bump(struct t3_l1 *l1, uint32_t space, const struct t3_key *key)
{
    const struct t3_l1_probe probe = t3_l1_probe_of(t3_l1_memory_of(l1), space, key);
    /* That there is no such row may not be true any more; a row that is there is the caller's to
     * judge. */
    forget(t3_l1_memory_of(l1), &probe, true, FORGET_ABSENT);
}

void t3_l1_memory_drop(struct t3_l1 *l1, uint32_t space, const struct t3_key *key)
{
    const struct t3_l1_probe probe = t3_l1_probe_of(t3_l1_memory_of(l1), space, key);
    forget(t3_l1_memory_of(l1), &probe, false, FORGET_ALL);
}

/* Takes the entry out unless it is a row of `version` or later; true: it is of exactly this
 * version, and stays. */
static bool spare_locked(struct t3_l1_shard *shard, const struct t3_l1_probe *probe,
                         _Atomic uint64_t *slot, int64_t version) T3_REQUIRES(shard->mutex)
{
    const struct t3_l1_entry *entry =
        t3_l1_slot_entry(atomic_load_explicit(slot, memory_order_relaxed));
    const bool is_ordered =
        probe->schema->version_column != T3_NO_COLUMN && !t3_l1_entry_is_absent(entry);
    const int64_t there =
        is_ordered ? t3_schema_row_version(probe->schema, t3_l1_entry_row(entry)) : 0;
    if (is_ordered && there >= version)
        return there == version;
    t3_l1_shard_remove_locked(shard, probe->schema, slot);
    return false;
}

bool t3_l1_memory_drop_older(struct t3_l1 *l1, uint32_t space, const struct t3_key *key,
                             int64_t version)
{
    struct t3_l1_memory *memory = t3_l1_memory_of(l1);
    const struct t3_l1_probe probe = t3_l1_probe_of(memory, space, key);
    struct t3_l1_shard *shard = t3_l1_shard_of(memory, probe.hash);
    struct t3_l1_batch batch;
    uint64_t word;
    t3_lock(&shard->mutex);
    t3_ticket_move(&memory->tickets, probe.hash);
    _Atomic uint64_t *slot = t3_l1_shard_find_locked(shard, &probe, &word);
    const bool is_there = slot != NULL && spare_locked(shard, &probe, slot, version);
    t3_l1_settle_locked(memory, shard, false, &batch);
    t3_unlock(&shard->mutex);
    t3_l1_batch_free(memory, &batch);
    return is_there;
}

void t3_l1_memory_set_revision(struct t3_l1 *l1, uint32_t space, const struct t3_key *key,
                               int64_t version, uint64_t revision)
{
    struct t3_l1_memory *memory = t3_l1_memory_of(l1);
    const struct t3_l1_probe probe = t3_l1_probe_of(memory, space, key);
    struct t3_l1_shard *shard = t3_l1_shard_of(memory, probe.hash);
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

/* What a question to L2 or L3 found out about a row that is cached. */
struct confirmation {
    int64_t version;
    uint64_t revision;
    uint64_t ticket;
    uint64_t confirmed_ms;
    uint64_t age_ms_max;
};

/* Whether the entry is the row that was asked about. */
static bool is_confirmed(const struct t3_l1_probe *probe, const struct t3_l1_entry *entry,
                         const struct confirmation *confirmation)
{
    if (t3_l1_entry_is_absent(entry))
        return false;
    if (probe->schema->version_column == T3_NO_COLUMN)
        return confirmation->revision != 0 &&
               t3_l1_entry_label(entry) >> 16 == confirmation->revision;
    return t3_schema_row_version(probe->schema, t3_l1_entry_row(entry)) == confirmation->version;
}

static void confirm_locked(struct t3_l1_memory *memory, const struct t3_l1_probe *probe,
                           const struct confirmation *confirmation)
{
    struct t3_l1_shard *shard = t3_l1_shard_of(memory, probe->hash);
    uint64_t word;
    if (t3_l1_shard_find_locked(shard, probe, &word) == NULL ||
        confirmation->ticket != t3_ticket_read(&memory->tickets, probe->hash))
        return;
    struct t3_l1_entry *entry = t3_l1_slot_entry(word);
    if (!is_confirmed(probe, entry, confirmation))
        return;
    const uint64_t kept = confirmation->revision <= REVISION_MAX ? confirmation->revision : 0;
    const uint32_t before = (uint32_t)t3_l1_entry_times(entry);
    const uint32_t asked = t3_l1_tick(memory, confirmation->confirmed_ms);
    const uint32_t expires = expiry_of(memory, probe->hash, confirmation->age_ms_max);
    if (asked >= before)
        atomic_store_explicit(&entry->label, t3_l1_label(probe->space, kept), memory_order_relaxed);
    /* Release: whoever sees these times sees that label. */
    atomic_store_explicit(&entry->times, t3_l1_times(expires, asked > before ? asked : before),
                          memory_order_release);
}

void t3_l1_memory_confirm(struct t3_l1 *l1, uint32_t space, const struct t3_key *key,
                          int64_t version, uint64_t revision, uint64_t ticket,
                          uint64_t confirmed_ms, uint64_t age_ms_max)
{
    struct t3_l1_memory *memory = t3_l1_memory_of(l1);
    const struct t3_l1_probe probe = t3_l1_probe_of(memory, space, key);
    const struct confirmation confirmation = {.version = version,
                                              .revision = revision,
                                              .ticket = ticket,
                                              .confirmed_ms = confirmed_ms,
                                              .age_ms_max = age_ms_max};
    struct t3_l1_shard *shard = t3_l1_shard_of(memory, probe.hash);
    t3_lock(&shard->mutex);
    confirm_locked(memory, &probe, &confirmation);
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

void t3_l1_memory_clear(struct t3_l1 *l1, uint32_t space)
{
    struct t3_l1_memory *memory = t3_l1_memory_of(l1);
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
