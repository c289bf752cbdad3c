/*
 * flush_orphans.c -- rows whose parent is not there: found with one question, not one by one.
 *
 * Owns:     nothing; memory is flush->batch.
 * Must not know: why the database was asked.
 * Threads:  the pass.
 * Fails:    as t3_flush_pass.
 * Begin at: t3_flush_park_orphans().
 *
 * When a foreign key fails, the database names one row at most.  A log may hold thousands of children of parents that another process has yet to write;
 * so all parents that the batch needs are read at once.
 */
#include "deferred/flush_impl.h"

#include "base/fail.h"
#include "base/limits.h"

struct probing {
    struct t3_flush_run *run;
    struct t3_flush_entry **entries;
    size_t count;
    struct t3_flush_map by_key; /* of the rows that the entries write */
};

static uint64_t hash_of(const struct t3_flush_known *known, const struct t3_key *key)
{
    return key->hash ^ (uint64_t)(uintptr_t)known;
}

static bool writes_row(const struct t3_flush_entry *entry)
{
    return entry->item.record.kind != T3_RECORD_DELETE;
}

/* The entry that writes the parent; NULL: none of them. */
static const struct t3_flush_entry *parent_among(const struct probing *probing,
                                                 const struct t3_flush_known *known,
                                                 const struct t3_key *key)
{
    size_t at = 0;
    for (;;) {
        const uint32_t place = t3_flush_map_next(&probing->by_key, hash_of(known, key), &at);
        if (place == T3_FLUSH_MAP_END)
            return NULL;
        const struct t3_flush_entry *entry = probing->entries[place];
        if (entry->known == known && t3_key_equal(&entry->key, key))
            return entry;
    }
}

/* Asks for all parents of one table that entries need and that are not among them. */
static tears_status probe_table(struct probing *probing, struct t3_flush_known *parent)
{
    struct t3_flush_run *run = probing->run;
    struct t3_arena *arena = run->flush->batch;
    struct t3_flush_entry *asked = t3_arena_array(arena, probing->count, sizeof *asked);
    struct t3_flush_entry **list = t3_arena_alloc(arena, probing->count * sizeof(*list));
    struct t3_flush_entry **children = t3_arena_alloc(arena, probing->count * sizeof(*children));
    if (asked == NULL || list == NULL || children == NULL)
        return t3_fail_memory(run->error, T3_FLUSH_ORIGIN);
    size_t count = 0;
    for (size_t i = 0; i < probing->count; i++) {
        struct t3_flush_entry *entry = probing->entries[i];
        const struct t3_flush_known *known = entry->known;
        for (uint32_t j = 0; writes_row(entry) && j < known->reference_count; j++) {
            struct tears_value *storage =
                t3_arena_alloc(arena, parent->schema->key_count * sizeof *storage);
            struct t3_key *key = &asked[count].key;
            if (storage == NULL)
                return t3_fail_memory(run->error, T3_FLUSH_ORIGIN);
            if (known->references[j].parent != parent || count == probing->count ||
                !t3_flush_parent_key(&known->references[j], known->schema, entry->item.record.row,
                                     storage, key) ||
                parent_among(probing, parent, key) != NULL)
                continue;
            asked[count].known = parent;
            list[count] = &asked[count];
            children[count++] = entry;
        }
    }
    T3_TRY(t3_flush_fetch(run, list, count, arena));
    for (size_t i = 0; i < count; i++)
        if (asked[i].stored == NULL)
            children[i]->is_orphan = true;
    return TEARS_OK;
}

/* A child of an orphan is one: the entries are in the order in which they refer to each other. */
static void spread(const struct probing *probing)
{
    for (size_t i = 0; i < probing->count; i++) {
        struct t3_flush_entry *entry = probing->entries[i];
        const struct t3_flush_known *known = entry->known;
        for (uint32_t j = 0; writes_row(entry) && j < known->reference_count; j++) {
            struct tears_value storage[T3_KEY_COLUMNS_MAX];
            struct t3_key key;
            if (!t3_flush_parent_key(&known->references[j], known->schema, entry->item.record.row,
                                     storage, &key))
                continue;
            const struct t3_flush_entry *parent =
                parent_among(probing, known->references[j].parent, &key);
            if (parent != NULL && parent->is_orphan)
                entry->is_orphan = true;
        }
    }
}

static bool is_parent(const struct probing *probing, const struct t3_flush_known *known)
{
    for (size_t i = 0; i < probing->count; i++)
        for (uint32_t j = 0; j < probing->entries[i]->known->reference_count; j++)
            if (probing->entries[i]->known->references[j].parent == known)
                return true;
    return false;
}

static tears_status probe(struct probing *probing)
{
    struct t3_flush *flush = probing->run->flush;
    if (t3_flush_map_init(&probing->by_key, probing->count, flush->batch) != TEARS_OK)
        return t3_fail_memory(probing->run->error, T3_FLUSH_ORIGIN);
    for (size_t i = 0; i < probing->count; i++) {
        probing->entries[i]->is_orphan = false;
        if (writes_row(probing->entries[i]))
            t3_flush_map_put(&probing->by_key,
                             hash_of(probing->entries[i]->known, &probing->entries[i]->key),
                             (uint32_t)i);
    }
    for (struct t3_flush_known *known = flush->known; known != NULL; known = known->next)
        if (is_parent(probing, known))
            T3_TRY(probe_table(probing, known));
    spread(probing);
    return TEARS_OK;
}

tears_status t3_flush_park(struct t3_flush_run *run, struct t3_flush_entry **entries, size_t count,
                           struct tears_str why)
{
    for (size_t i = 0; i < count; i++) {
        entries[i]->fate = T3_FATE_PARKED;
        entries[i]->message = why;
        entries[i]->is_done = true;
    }
    return count > 0 ? t3_flush_end(run, 0, entries, count, 0) : TEARS_OK;
}

tears_status t3_flush_park_orphans(struct t3_flush_run *run, struct t3_flush_entry **entries,
                                   size_t count, size_t *parked_out)
{
    struct probing probing = {.run = run, .entries = entries, .count = count};
    size_t orphan_count = 0;
    T3_TRY(probe(&probing));
    struct t3_flush_entry **orphans = t3_arena_alloc(run->flush->batch, count * sizeof(*orphans));
    if (orphans == NULL)
        return t3_fail_memory(run->error, T3_FLUSH_ORIGIN);
    for (size_t i = 0; i < count; i++)
        if (entries[i]->is_orphan)
            orphans[orphan_count++] = entries[i];
    *parked_out = orphan_count;
    return t3_flush_park(run, orphans, orphan_count,
                         TEARS_STR("a row that it refers to (foreign key) is not there yet"));
}
