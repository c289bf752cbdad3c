/*
 * pending_index.c -- records by key, and by id.
 *
 * Owns:     the buckets of the shards, and the entries in them.
 * Must not know: what records mean.
 * Threads:  chains change under their shard's lock, and only by the leader of the queue, who may therefore read them without; lists are the leader's alone.
 * Fails:    TEARS_NO_MEMORY, before anything has changed.
 * Begin at: t3_index_swap().
 */
#include "deferred/pending_impl.h"

enum { BUCKETS_MIN = 16, PLACES_MIN = 64 };

/* ---- entries ------------------------------------------------------------------------------------ */

static struct t3_entry *entry_of(struct t3_pending_table *table, size_t size)
{
    if (size > UINT32_MAX)
        return NULL;
    struct t3_entry *entry = t3_alloc(sizeof *entry + size);
    if (entry == NULL)
        return NULL;
    memset(entry, 0, sizeof *entry);
    entry->table = table;
    entry->size = (uint32_t)size;
    return entry;
}

struct t3_entry *t3_entry_new(struct t3_pending_table *table, const struct t3_record *record)
{
    struct t3_entry *entry = entry_of(table, t3_record_size(table->schema, record));
    if (entry != NULL)
        t3_record_write(table->schema, record, entry->bytes);
    return entry;
}

struct t3_entry *t3_entry_of_bytes(struct t3_pending_table *table, struct tears_str bytes)
{
    struct t3_entry *entry = entry_of(table, bytes.len);
    if (entry != NULL && bytes.len > 0)
        memcpy(entry->bytes, bytes.ptr, bytes.len);
    return entry;
}

void t3_entry_record(const struct t3_entry *entry, struct t3_record *record_out)
{
    t3_record_view(tears_str_n(entry->bytes, entry->size), record_out);
    record_out->id = entry->id;
    record_out->seq = entry->seq;
}

void t3_entry_set_flag(struct t3_entry *entry, uint32_t flag, bool value)
{
    if (((entry->flags & flag) != 0) == value)
        return;
    entry->flags ^= flag;
    const uint64_t change = value ? 1 : UINT64_MAX; /* wraps: one more, or one less */
    if (flag == T3_ENTRY_PARKED)
        atomic_fetch_add(&entry->table->parked_rows, change);
    if (flag == T3_ENTRY_FLYING)
        atomic_fetch_add(&entry->table->in_flight, change);
}

/* ---- by key ------------------------------------------------------------------------------------- */

uint64_t t3_index_hash(const struct t3_pending_table *table, const struct t3_key *key)
{
    return key->hash ^ table->salt;
}

/* The upper bits choose the shard, the lower ones the bucket. */
struct t3_entry_shard *t3_index_shard(struct t3_pending *pending, uint64_t hash)
{
    return &pending->shards[hash >> 58];
}

static struct t3_entry **bucket_of(const struct t3_entry_shard *shard, uint64_t hash)
{
    return &shard->buckets[hash & (shard->bucket_count - 1)];
}

tears_status t3_index_init(struct t3_pending *pending)
{
    for (size_t i = 0; i < SHARDS; i++) {
        struct t3_entry_shard *shard = &pending->shards[i];
        shard->buckets = t3_alloc_zero(BUCKETS_MIN, sizeof(struct t3_entry *));
        shard->bucket_count = BUCKETS_MIN;
        if (shard->buckets == NULL) {
            for (size_t k = 0; k < i; k++)
                t3_free(pending->shards[k].buckets);
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
        t3_free(pending->shards[i].buckets);
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
    struct t3_entry *entry = *bucket_of(t3_index_shard(table->pending, hash), hash);
    while (entry != NULL && (entry->hash != hash || !is_of_key(entry, table, key)))
        entry = entry->next;
    return entry;
}

/* Twice as many buckets.  Without memory the chains just become longer. */
static void grow_locked(struct t3_entry_shard *shard) T3_REQUIRES(shard->mutex)
{
    const uint32_t count = shard->bucket_count * 2;
    struct t3_entry **buckets = t3_alloc_zero(count, sizeof *buckets);
    if (buckets == NULL)
        return;
    for (uint32_t i = 0; i < shard->bucket_count; i++) {
        struct t3_entry *entry = shard->buckets[i];
        while (entry != NULL) {
            struct t3_entry *next = entry->next;
            struct t3_entry **bucket = &buckets[entry->hash & (count - 1)];
            entry->next = *bucket;
            *bucket = entry;
            entry = next;
        }
    }
    t3_free(shard->buckets);
    shard->buckets = buckets;
    shard->bucket_count = count;
}

static void swap_locked(struct t3_entry_shard *shard, struct t3_entry *old, struct t3_entry *made)
    T3_REQUIRES(shard->mutex)
{
    struct t3_entry **link = bucket_of(shard, old != NULL ? old->hash : made->hash);
    while (old != NULL && *link != old)
        link = &(*link)->next;
    if (made == NULL) {
        *link = old->next;
        shard->count--;
        return;
    }
    made->next = old != NULL ? old->next : *link;
    *link = made;
    if (old == NULL && ++shard->count > shard->bucket_count && shard->bucket_count < 1u << 30)
        grow_locked(shard);
}

void t3_index_swap(struct t3_pending *pending, struct t3_entry *old, struct t3_entry *made)
{
    T3_ASSERT(old != NULL || made != NULL);
    struct t3_pending_table *table = old != NULL ? old->table : made->table;
    struct t3_entry_shard *shard = t3_index_shard(pending, old != NULL ? old->hash : made->hash);
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

void t3_entry_drop(struct t3_entry *entry)
{
    struct t3_pending_table *table = entry->table;
    t3_entry_set_flag(entry, T3_ENTRY_FLYING, false);
    t3_entry_set_flag(entry, T3_ENTRY_PARKED, false);
    t3_list_set(&table->list, entry->id, NULL);
    t3_pending_count(table, entry, NULL);
    t3_free(entry);
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
