/*
 * pending_index.c -- records by key, and by id.
 *
 * Owns:     the slots of the shards.
 * Must not know: what records mean.
 * Threads:  slots change under their shard's lock, and only by the leader of the queue, who may therefore read them without; lists are the leader's alone.
 * Fails:    TEARS_NO_MEMORY, before anything has changed.
 * Begin at: t3_index_swap().
 */
#include "deferred/pending_impl.h"

enum { SLOTS_MIN = 4, PLACES_MIN = 64 };

/* ---- by key ------------------------------------------------------------------------------------- */

uint64_t t3_index_hash(const struct t3_pending_table *table, const struct t3_key *key)
{
    return key->hash ^ table->salt;
}

/* The upper bits choose the shard, the lower ones the slot. */
struct t3_entry_shard *t3_index_shard(struct t3_pending *pending, uint64_t hash)
{
    return &pending->shards[hash >> 58];
}

tears_status t3_index_init(struct t3_pending *pending)
{
    for (size_t i = 0; i < SHARDS; i++) {
        struct t3_entry_shard *shard = &pending->shards[i];
        shard->slots = t3_alloc_zero(SLOTS_MIN, sizeof *shard->slots);
        shard->slot_count = SLOTS_MIN;
        if (shard->slots == NULL) {
            for (size_t k = 0; k < i; k++)
                t3_free(pending->shards[k].slots);
            return TEARS_NO_MEMORY;
        }
    }
    for (size_t i = 0; i < SHARDS; i++)
        t3_mutex_init(&pending->shards[i].mutex);
    return TEARS_OK;
}

void t3_index_done(struct t3_pending *pending)
{
    for (size_t i = 0; i < SHARDS; i++) {
        t3_mutex_done(&pending->shards[i].mutex);
        t3_free(pending->shards[i].slots);
    }
}

static bool is_of_key(const struct t3_entry *entry, const struct t3_pending_table *table,
                      const struct t3_key *key)
{
    if (entry->table != table)
        return false;
    struct t3_record record;
    t3_record_view(tears_str_n(entry->bytes, entry->size), &record);
    return t3_key_matches_row(table->schema, key, record.row);
}

struct t3_entry *t3_index_find(struct t3_pending_table *table, const struct t3_key *key,
                               uint64_t hash)
{
    const struct t3_entry_shard *shard = t3_index_shard(table->pending, hash);
    const uint64_t mask = shard->slot_count - 1;
    for (uint64_t at = hash & mask; shard->slots[at].entry != NULL; at = (at + 1) & mask)
        if (shard->slots[at].hash == hash && is_of_key(shard->slots[at].entry, table, key))
            return shard->slots[at].entry;
    return NULL;
}

void t3_index_expect(struct t3_pending *pending, uint64_t hash)
{
    const struct t3_entry_shard *shard = t3_index_shard(pending, hash);
    __builtin_prefetch(&shard->slots[hash & (shard->slot_count - 1)]);
}

/* There is always a free slot. */
static void put_slot(struct t3_entry_slot *slots, uint64_t mask, const struct t3_entry_slot *slot)
{
    uint64_t at = slot->hash & mask;
    while (slots[at].entry != NULL)
        at = (at + 1) & mask;
    slots[at] = *slot;
}

bool t3_index_has(struct t3_pending *pending, uint64_t hash)
{
    const struct t3_entry_shard *shard = t3_index_shard(pending, hash);
    const uint64_t mask = shard->slot_count - 1;
    uint64_t at = hash & mask;
    while (shard->slots[at].entry != NULL && shard->slots[at].hash != hash)
        at = (at + 1) & mask;
    return shard->slots[at].entry != NULL;
}

static bool is_crowded(const struct t3_entry_shard *shard, uint32_t slot_count)
{
    return (uint64_t)shard->count + shard->adding > (uint64_t)slot_count / 4 * 3;
}

static tears_status grow(struct t3_entry_shard *shard, uint32_t count)
{
    struct t3_entry_slot *slots =
        count > shard->slot_count ? t3_alloc_zero(count, sizeof *slots) : NULL;
    if (slots == NULL)
        return TEARS_NO_MEMORY;
    for (uint32_t i = 0; i < shard->slot_count; i++)
        if (shard->slots[i].entry != NULL)
            put_slot(slots, count - 1, &shard->slots[i]);
    struct t3_entry_slot *old = shard->slots;
    t3_lock(
        &shard
             ->mutex); /* only the leader changes slots: while it copied them, readers could go on */
    shard->slots = slots;
    shard->slot_count = count;
    t3_unlock(&shard->mutex);
    t3_free(old);
    return TEARS_OK;
}

tears_status t3_index_reserve(struct t3_pending *pending, uint64_t hash)
{
    struct t3_entry_shard *shard = t3_index_shard(pending, hash);
    shard->adding++;
    return is_crowded(shard, shard->slot_count) ? grow(shard, shard->slot_count * 2) : TEARS_OK;
}

void t3_index_expect_many(struct t3_pending *pending, size_t count)
{
    const size_t of_shard = count / SHARDS + count / SHARDS / 8;
    for (size_t i = 0; i < SHARDS && of_shard < UINT32_MAX / 4; i++) {
        struct t3_entry_shard *shard = &pending->shards[i];
        uint32_t slots = shard->slot_count;
        while ((shard->count + of_shard) / 3 * 4 > slots)
            slots *= 2;
        if (slots > shard->slot_count && grow(shard, slots) != TEARS_OK)
            return; /* it grows when it must, and that may fail */
    }
}

void t3_index_unreserve(struct t3_pending *pending)
{
    for (size_t i = 0; i < SHARDS; i++)
        pending->shards[i].adding = 0;
}

/* Frees a slot, and moves up what stands behind it and belongs there or before. */
static void free_slot_locked(struct t3_entry_shard *shard, uint64_t at) T3_REQUIRES(shard->mutex)
{
    const uint64_t mask = shard->slot_count - 1;
    struct t3_entry_slot *slots = shard->slots;
    for (uint64_t next = (at + 1) & mask; slots[next].entry != NULL; next = (next + 1) & mask) {
        const uint64_t home = slots[next].hash & mask;
        if (((next - home) & mask) < ((next - at) & mask))
            continue; /* it would stand before its home */
        slots[at] = slots[next];
        at = next;
    }
    slots[at] = (struct t3_entry_slot){0};
    shard->count--;
}

static void swap_locked(struct t3_entry_shard *shard, struct t3_entry *old, struct t3_entry *made)
    T3_REQUIRES(shard->mutex)
{
    const uint64_t mask = shard->slot_count - 1;
    if (old == NULL) {
        T3_ASSERT(shard->adding > 0);
        put_slot(shard->slots, mask, &(struct t3_entry_slot){made->hash, made});
        shard->adding--;
        shard->count++;
        return;
    }
    uint64_t at = old->hash & mask;
    while (shard->slots[at].entry != old)
        at = (at + 1) & mask;
    if (made != NULL)
        shard->slots[at].entry = made;
    else
        free_slot_locked(shard, at);
}

void t3_index_swap(struct t3_pending *pending, struct t3_entry *old, struct t3_entry *made)
{
    const struct t3_entry *either = old != NULL ? old : made;
    if (either == NULL)
        return; /* nothing for nothing */
    struct t3_pending_table *table = either->table;
    struct t3_entry_shard *shard = t3_index_shard(pending, either->hash);
    if (old == NULL) /* before it can be found, so that who finds the table empty cannot find it */
        atomic_fetch_add_explicit(&table->keys, 1, memory_order_release);
    if (made != NULL)
        made->flags |= T3_ENTRY_INDEXED;
    t3_lock(&shard->mutex);
    swap_locked(shard, old, made);
    t3_unlock(&shard->mutex);
    if (made == NULL)
        atomic_fetch_sub_explicit(&table->keys, 1, memory_order_release);
}

void t3_index_set_follower(struct t3_pending *pending, struct t3_entry *first,
                           struct t3_entry *made)
{
    struct t3_entry_shard *shard = t3_index_shard(pending, first->hash);
    if (made != NULL)
        made->flags |= T3_ENTRY_INDEXED;
    t3_lock(&shard->mutex);
    first->follower = made;
    t3_unlock(&shard->mutex);
}

/* ---- by id -------------------------------------------------------------------------------------- */

/* Closes up the places that are free. */
static void pack(struct t3_entry_list *list)
{
    size_t to = 0;
    for (size_t from = list->first; from < list->count; from++)
        if (list->places[from].entry != NULL)
            list->places[to++] = list->places[from];
    list->first = 0;
    list->count = to;
}

tears_status t3_list_reserve(struct t3_entry_list *list, size_t more)
{
    if (list->capacity - list->count >= more)
        return TEARS_OK;
    if (list->live < list->count / 2)
        pack(list);
    if (list->capacity - list->count >= more)
        return TEARS_OK;
    size_t capacity = list->capacity < PLACES_MIN ? PLACES_MIN : list->capacity;
    while (capacity - list->count < more) {
        if (capacity > SIZE_MAX / 4 / sizeof *list->places)
            return TEARS_NO_MEMORY;
        capacity *= 2;
    }
    void *places = t3_resize(list->places, capacity * sizeof *list->places);
    if (places == NULL)
        return TEARS_NO_MEMORY;
    list->places = places;
    list->capacity = capacity;
    return TEARS_OK;
}

void t3_list_add(struct t3_entry_list *list, struct t3_entry *entry)
{
    T3_ASSERT(list->count < list->capacity);
    T3_ASSERT(list->count == 0 || list->places[list->count - 1].id < entry->id);
    list->places[list->count].id = entry->id;
    list->places[list->count].entry = entry;
    list->count++;
    list->live++;
}

size_t t3_list_after(const struct t3_entry_list *list, uint64_t id)
{
    size_t low = list->first;
    size_t high = list->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (list->places[middle].id <= id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The place of an id; SIZE_MAX: it has none. */
static size_t place_of(const struct t3_entry_list *list, uint64_t id)
{
    const size_t after = t3_list_after(list, id);
    return after > list->first && list->places[after - 1].id == id ? after - 1 : SIZE_MAX;
}

struct t3_entry *t3_list_find(const struct t3_entry_list *list, uint64_t id)
{
    const size_t place = place_of(list, id);
    return place != SIZE_MAX ? list->places[place].entry : NULL;
}

void t3_list_set(struct t3_entry_list *list, uint64_t id, struct t3_entry *made)
{
    const size_t place = place_of(list, id);
    T3_ASSERT(place != SIZE_MAX);
    list->places[place].entry = made;
    if (made != NULL)
        return;
    list->live--;
    while (list->first < list->count && list->places[list->first].entry == NULL)
        list->first++;
    if (list->first == list->count) {
        list->first = 0;
        list->count = 0;
    }
}

/* ---- figures ------------------------------------------------------------------------------------ */

void t3_pending_count(struct t3_pending_table *table, const struct t3_entry *old,
                      const struct t3_entry *made)
{
    const uint64_t rows = (made != NULL ? 1u : 0u) - (uint64_t)(old != NULL ? 1u : 0u);
    const uint64_t bytes =
        (made != NULL ? (uint64_t)made->size : 0) - (old != NULL ? (uint64_t)old->size : 0);
    /* differences may be negative: they wrap, and sums are right again */
    atomic_fetch_add(&table->rows, rows);
    atomic_fetch_add(&table->bytes, bytes);
    atomic_fetch_add(&table->pending->rows, rows);
    atomic_fetch_add(&table->pending->bytes, bytes);
}

void t3_table_settle(struct t3_pending_table *table)
{
    const struct t3_entry_list *list = &table->list;
    int64_t oldest = 0;
    if (list->live > 0) { /* that is in the first place: places before are given up */
        const struct t3_entry *entry = list->places[list->first].entry;
        oldest = t3_record_since(tears_str_n(entry->bytes, entry->size));
    }
    atomic_store(&table->oldest_us, oldest);
}
