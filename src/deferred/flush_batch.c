/*
 * flush_batch.c -- which rows go together, and which must wait for others.
 *
 * Owns:     nothing; entries are in the memory of the batch.
 * Must not know: transactions, what has failed before.
 * Threads:  the pass.
 * Fails:    TEARS_NO_MEMORY; as hooks.table.
 * Begin at: t3_flush_batch_build().
 *
 *   collect     the next records by id
 *   invite      a pending row that one of them refers to comes along, and what that refers to, whatever its id
 *   order       deletions, children first; then parents before children
 *   hold back   a row whose parent is pending and does not come along (parked, or there is no room), and those that refer to it
 *
 * So a child never meets the database before a parent that this process has still to write, however much later the parent was saved.
 */
#include "deferred/flush_impl.h"

#include "base/fail.h"
#include "base/limits.h"

enum { ROW_OVERHEAD_BYTES = 64 };

struct building {
    struct t3_flush_run *run;
    struct t3_flush_entry *entries;
    size_t count;
    size_t count_max;
    struct t3_flush_map by_id;
    struct t3_flush_members
        before; /* of the batch that has landed and not ended yet; no entries: none */
};

static bool writes_row(const struct t3_flush_entry *entry)
{
    return entry->item.record.kind != T3_RECORD_DELETE;
}

static struct t3_flush_entry *find_member(const struct t3_flush_members *members, uint64_t id)
{
    size_t at = 0;
    for (;;) {
        const uint32_t place = t3_flush_map_next(&members->by_id, id, &at);
        if (place == T3_FLUSH_MAP_END)
            return NULL;
        if (members->entries[place].item.record.id == id)
            return &members->entries[place];
    }
}

static struct t3_flush_entry *find(const struct building *building, uint64_t id)
{
    const struct t3_flush_members members = {building->entries, building->by_id};
    return find_member(&members, id);
}

/* It is in L3, though the index has not heard of it. */
static bool has_landed(const struct building *building, uint64_t id)
{
    if (building->before.entries == NULL)
        return false;
    const struct t3_flush_entry *entry = find_member(&building->before, id);
    return entry != NULL && entry->is_done && entry->fate == T3_FATE_LANDED;
}

static tears_status add(struct building *building, const struct t3_pending_item *item)
{
    struct t3_flush_run *run = building->run;
    struct t3_flush_entry *entry = &building->entries[building->count];
    struct tears_value *storage;
    memset(entry, 0, sizeof *entry);
    entry->item = *item;
    T3_TRY(t3_flush_table_of(run->flush, item->table, &entry->known, run->error));
    storage = t3_arena_alloc(run->flush->batch, entry->known->schema->key_count * sizeof *storage);
    if (storage == NULL)
        return t3_fail_memory(run->error, T3_FLUSH_ORIGIN);
    t3_key_of_row(entry->known->schema, item->record.row, storage, &entry->key);
    t3_flush_map_put(&building->by_id, item->record.id, (uint32_t)building->count);
    building->count++;
    return TEARS_OK;
}

/* ---- parents ------------------------------------------------------------------------------------- */

/* The pending record that the entry refers to by this key; false: none. */
static bool pending_parent(const struct building *building, const struct t3_flush_entry *entry,
                           const struct t3_flush_reference *reference, uint64_t *id_out)
{
    struct tears_value storage[T3_KEY_COLUMNS_MAX];
    struct t3_key key;
    struct t3_journal_ref ref;
    if (reference->parent == NULL || t3_pending_is_empty(reference->parent->table.pending) ||
        !t3_flush_parent_key(reference, entry->known->schema, entry->item.record.row, storage,
                             &key) ||
        !t3_pending_find(reference->parent->table.pending, &key, &ref))
        return false;
    *id_out = ref.id;
    return ref.id != entry->item.record.id && /* a row may refer to itself */
           !has_landed(building, ref.id);
}

static tears_status invite(struct building *building, uint64_t id)
{
    struct t3_pending_item item;
    bool is_free = false;
    if (building->count == building->count_max || find(building, id) != NULL ||
        !t3_pending_item(building->run->flush->options.pending, id, &item, &is_free) || !is_free)
        return TEARS_OK;
    return add(building, &item);
}

/* The entries grow while they are gone through: those who were invited bring their own parents. */
static tears_status invite_parents(struct building *building)
{
    for (size_t i = 0; i < building->count; i++) {
        const struct t3_flush_known *known = building->entries[i].known;
        uint64_t id;
        if (!writes_row(&building->entries[i]))
            continue;
        for (uint32_t j = 0; j < known->reference_count; j++)
            if (pending_parent(building, &building->entries[i], &known->references[j], &id))
                T3_TRY(invite(building, id));
    }
    return TEARS_OK;
}

static bool has_to_wait(const struct building *building, const struct t3_flush_entry *entry)
{
    const struct t3_flush_known *known = entry->known;
    if (!writes_row(entry))
        return false;
    for (uint32_t i = 0; i < known->reference_count; i++) {
        uint64_t id;
        if (!pending_parent(building, entry, &known->references[i], &id))
            continue;
        const struct t3_flush_entry *parent = find(building, id);
        if (parent == NULL || parent->is_held)
            return true;
    }
    return false;
}

/* ---- order ------------------------------------------------------------------------------------------ */

struct ranks {
    const struct tears_schema **schemas;
    uint32_t *ranks;
    bool *in_cycle;
    size_t count;
};

static size_t rank_place(const struct ranks *ranks, const struct tears_schema *schema)
{
    size_t place = 0;
    while (place < ranks->count && ranks->schemas[place] != schema)
        place++;
    return place;
}

static tears_status rank_tables(struct building *building, struct ranks *ranks)
{
    struct t3_arena *arena = building->run->flush->batch;
    size_t known_count = 0;
    for (const struct t3_flush_known *known = building->run->flush->known; known != NULL;
         known = known->next)
        known_count++;
    ranks->schemas = t3_arena_array(arena, known_count, sizeof(struct tears_schema *));
    ranks->ranks = t3_arena_array(arena, known_count, sizeof *ranks->ranks);
    ranks->in_cycle = t3_arena_array(arena, known_count, sizeof *ranks->in_cycle);
    if (ranks->schemas == NULL || ranks->ranks == NULL || ranks->in_cycle == NULL)
        return TEARS_NO_MEMORY;
    ranks->count = 0;
    for (size_t i = 0; i < building->count; i++) {
        const struct tears_schema *schema = building->entries[i].known->schema;
        if (rank_place(ranks, schema) == ranks->count)
            ranks->schemas[ranks->count++] = schema;
    }
    return t3_order_tables(ranks->schemas, ranks->count, arena, ranks->ranks, ranks->in_cycle);
}

static tears_status order(struct building *building, struct t3_flush_entry **ordered)
{
    struct t3_arena *arena = building->run->flush->batch;
    struct ranks ranks;
    T3_TRY(rank_tables(building, &ranks));
    struct t3_order_row *rows = t3_arena_alloc(arena, building->count * sizeof *rows);
    size_t *places = t3_arena_alloc(arena, building->count * sizeof *places);
    size_t circles = 0;
    if (rows == NULL || places == NULL)
        return TEARS_NO_MEMORY;
    for (size_t i = 0; i < building->count; i++) {
        struct t3_flush_entry *entry = &building->entries[i];
        const size_t place = rank_place(&ranks, entry->known->schema);
        entry->rank = ranks.ranks[place];
        entry->in_cycle = ranks.in_cycle[place];
        rows[i] = (struct t3_order_row){
            .schema = entry->known->schema, .record = &entry->item.record, .rank = entry->rank};
    }
    T3_TRY(t3_order_rows(rows, building->count, arena, places, &circles));
    for (size_t i = 0; i < building->count; i++)
        ordered[i] = &building->entries[places[i]];
    if (circles > 0)
        t3_log(building->run->flush->options.log, TEARS_LOG_DEBUG, T3_FLUSH_ORIGIN,
               "%zu pending rows refer to each other in circles: they can be written only if their "
               "foreign keys are deferred",
               circles);
    return TEARS_OK;
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

static tears_status collect(struct building *building, uint64_t after_id, uint64_t max,
                            struct t3_flush_batch *batch)
{
    struct t3_flush_run *run = building->run;
    struct t3_flush *flush = run->flush;
    struct t3_pending_item *items = NULL;
    size_t count = 0;
    if (t3_pending_collect(flush->options.pending, run->tables, run->table_count, after_id,
                           (size_t)max, flush->batch, &items, &count) != TEARS_OK)
        return t3_fail_memory(run->error, T3_FLUSH_ORIGIN);
    building->count_max = count * 2; /* as many again may be invited */
    building->entries =
        t3_arena_alloc(flush->batch, building->count_max * sizeof *building->entries);
    if (building->entries == NULL ||
        t3_flush_map_init(&building->by_id, building->count_max, flush->batch) != TEARS_OK)
        return t3_fail_memory(run->error, T3_FLUSH_ORIGIN);
    uint64_t bytes = 0;
    for (size_t i = 0; i < count && items[i].record.id <= run->id_max; i++) {
        bytes += items[i].record.row->size + ROW_OVERHEAD_BYTES;
        if (i > 0 && bytes > flush->options.batch_bytes_max)
            break;
        T3_TRY(add(building, &items[i]));
        batch->last_id = items[i].record.id;
    }
    batch->looked_at = building->count;
    return TEARS_OK;
}

static void take_other_arena(struct t3_flush *flush)
{
    flush->batch = &flush->batches[flush->batch == &flush->batches[0] ? 1 : 0];
    t3_arena_reset(flush->batch);
}

tears_status t3_flush_batch_build(struct t3_flush_run *run, uint64_t after_id, uint64_t max,
                                  struct t3_flush_batch *batch_out)
{
    struct building building = {.run = run};
    struct t3_flush_entry **ordered;
    memset(batch_out, 0, sizeof *batch_out);
    if (run->flush->later.is_set)
        building.before = run->members;
    take_other_arena(run->flush);
    T3_TRY(collect(&building, after_id, max, batch_out));
    run->members = (struct t3_flush_members){building.entries, building.by_id};
    if (building.count == 0)
        return TEARS_OK;
    T3_TRY(invite_parents(&building));
    ordered = t3_arena_alloc(run->flush->batch, building.count * sizeof(*ordered));
    if (ordered == NULL || order(&building, ordered) != TEARS_OK)
        return t3_fail_memory(run->error, T3_FLUSH_ORIGIN);
    for (size_t i = 0; i < building.count; i++) {
        struct t3_flush_entry *entry = ordered[i];
        entry->is_held = !run->is_forced && has_to_wait(&building, entry);
        if (entry->is_held)
            run->held++;
        else
            ordered[batch_out->count++] = entry;
    }
    batch_out->entries = ordered;
    return TEARS_OK;
}
