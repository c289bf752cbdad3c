/*
 * drift_catalogue.c -- the list of items: what is left out of it, its order, its fingerprint.
 *
 * Owns:     which objects are the library's own.
 * Knows:    base/.
 * Must not know: how a database keeps its catalogue.
 * Threads:  one at a time.
 * Fails:    TEARS_NO_MEMORY, TEARS_LIMIT; reading as the database does.
 * Begin at: t3_catalogue_read().
 */
#include "data/drift_catalogue.h"

#include "base/fail.h"
#include "base/hash.h"
#include "base/str.h"

#include <stdlib.h>

#define ORIGIN "drift"

enum { ITEMS_MAX = 1000000 };

/* The ledger shared with the Python package, and tables that libtears makes for itself; others begin with `_tears_`. */
static const char *const own_tables[] = {"_schema_migrations", "tears_outbox", "tears_journals",
                                         "tears_fences"};

bool t3_catalogue_is_own(const struct t3_item *item)
{
    for (size_t i = 0; i < T3_COUNT(own_tables); i++)
        if (t3_str_is(item->table, own_tables[i]))
            return true;
    return t3_str_starts(item->table, "_tears_") || t3_str_starts(item->name, "_tears_") ||
           t3_str_starts(item->name, "tears_outbox"); /* its triggers, and their functions */
}

tears_status t3_catalogue_add(struct t3_catalogue *catalogue, const struct t3_item *item)
{
    if (t3_catalogue_is_own(item))
        return TEARS_OK;
    if (catalogue->count == ITEMS_MAX)
        return TEARS_LIMIT;
    if (catalogue->count == catalogue->capacity) {
        const size_t capacity = catalogue->capacity > 0 ? catalogue->capacity * 2 : 64;
        struct t3_item *grown = t3_arena_array(catalogue->arena, capacity, sizeof *grown);
        if (grown == NULL)
            return TEARS_NO_MEMORY;
        if (catalogue->count > 0)
            memcpy(grown, catalogue->items, catalogue->count * sizeof *grown);
        catalogue->items = grown;
        catalogue->capacity = capacity;
    }
    catalogue->items[catalogue->count++] = *item;
    return TEARS_OK;
}

bool t3_object_is_anonymous(uint8_t object)
{
    return object >= TEARS_DRIFT_OBJECT_PRIMARY_KEY && object <= TEARS_DRIFT_OBJECT_INDEX;
}

/* ---- order ------------------------------------------------------------------------------------ */

static int compare_items(const void *a_void, const void *b_void)
{
    const struct t3_item *a = a_void;
    const struct t3_item *b = b_void;
    const int table = t3_str_compare(a->table, b->table);

    if (table != 0)
        return table;
    if (a->object != b->object)
        return a->object < b->object ? -1 : 1;
    if (a->position != b->position)
        return a->position < b->position ? -1 : 1;
    const int name = t3_str_compare(a->name, b->name);
    return name != 0 ? name
                     : t3_str_compare(a->parts[T3_PART_DEFINITION], b->parts[T3_PART_DEFINITION]);
}

void t3_catalogue_sort(struct t3_catalogue *catalogue)
{
    if (catalogue->count > 1)
        qsort(catalogue->items, catalogue->count, sizeof *catalogue->items, compare_items);
}

/* ---- reading ---------------------------------------------------------------------------------- */

tears_status t3_catalogue_read(struct t3_catalogue *catalogue, struct t3_admin *admin,
                               struct tears_error *error_out)
{
    const struct t3_admin_facts *facts = t3_admin_facts(admin);
    const bool own_transaction = !t3_admin_in_transaction(admin);

    catalogue->dialect = facts->dialect;
    T3_TRY(t3_arena_str(catalogue->arena, facts->schema, &catalogue->schema));
    if (own_transaction)
        T3_TRY(t3_admin_begin_read(admin, error_out));
    const tears_status status = facts->dialect == T3_DIALECT_POSTGRESQL
                                    ? t3_catalogue_read_pg(catalogue, admin, error_out)
                                    : t3_catalogue_read_lite(catalogue, admin, error_out);
    if (own_transaction)
        t3_admin_rollback(admin); /* nothing was written */
    if (status == TEARS_NO_MEMORY)
        return t3_fail_memory(error_out, ORIGIN);
    if (status == TEARS_LIMIT)
        return t3_fail(error_out, TEARS_LIMIT, ORIGIN, "the schema has more than %d objects",
                       ITEMS_MAX);
    T3_TRY(status);
    t3_catalogue_sort(catalogue);
    return TEARS_OK;
}

/* ---- names ------------------------------------------------------------------------------------ */

/* The endings that PostgreSQL gives, with the number it appends when the name is taken. */
bool t3_catalogue_is_invented(const struct t3_item *item)
{
    static const char *const endings[] = {"_pkey", "_key", "_check", "_fkey", "_excl", "_idx"};
    struct tears_str name = item->name;

    if (!t3_object_is_anonymous(item->object))
        return false;
    while (name.len > 0 && name.ptr[name.len - 1] >= '0' && name.ptr[name.len - 1] <= '9')
        name.len--;
    for (size_t i = 0; i < T3_COUNT(endings); i++) {
        const size_t len = strlen(endings[i]);
        if (name.len >= len && memcmp(name.ptr + name.len - len, endings[i], len) == 0)
            return true;
    }
    return item->name.len == 0;
}

static uint64_t mix(uint64_t hash, struct tears_str text)
{
    return t3_hash(text.len > 0 ? text.ptr : "", text.len, hash);
}

uint64_t t3_catalogue_fingerprint(const struct t3_catalogue *catalogue)
{
    uint64_t hash = catalogue->count;

    for (size_t i = 0; i < catalogue->count; i++) {
        const struct t3_item *item = &catalogue->items[i];
        hash = t3_hash(&item->object, sizeof item->object, hash);
        hash = mix(mix(hash, item->table), item->name);
        for (size_t part = 0; part < T3_PART_COUNT; part++)
            hash = mix(hash, item->parts[part]);
    }
    return hash;
}
