/*
 * drift_compare.c -- which item of one catalogue is which of the other, and where the two differ.
 *
 * Owns:     nothing; pairs are in the comparison's arena.
 * Knows:    drift_catalogue.h.
 * Must not know: databases.
 * Threads:  any.
 * Fails:    TEARS_NO_MEMORY.
 * Begin at: t3_catalogue_compare().
 *
 * Tables, columns and whatever else people call by its name belong together by name.  Constraints and indexes belong together
 * when they say the same: their names may have been made up by the database, differently each time.  What is left of them
 * then is paired by name.
 */
#include "base/str.h"
#include "data/drift_catalogue.h"

/* The items of one table and kind on one side. */
struct side {
    const struct t3_item *items;
    size_t count;
    bool *taken;
};

static tears_status add_pair(struct t3_comparison *comparison, const struct t3_pair *pair)
{
    if (comparison->count == comparison->capacity) {
        const size_t capacity = comparison->capacity > 0 ? comparison->capacity * 2 : 64;
        struct t3_pair *grown = t3_arena_array(comparison->arena, capacity, sizeof *grown);
        if (grown == NULL)
            return TEARS_NO_MEMORY;
        if (comparison->count > 0)
            memcpy(grown, comparison->pairs, comparison->count * sizeof *grown);
        comparison->pairs = grown;
        comparison->capacity = capacity;
    }
    comparison->pairs[comparison->count++] = *pair;
    return TEARS_OK;
}

/* A constraint may be checked more than was declared: it was added without the check, and checked later. */
static bool is_better(const struct t3_item *declared, const struct t3_item *live)
{
    return t3_str_is(declared->parts[T3_PART_STATE], T3_STATE_NOT_VALID) &&
           live->parts[T3_PART_STATE].len == 0;
}

static tears_status add_both(struct t3_comparison *comparison, const struct t3_item *declared,
                             const struct t3_item *live)
{
    struct t3_pair pair = {.declared = declared, .live = live};

    for (size_t part = 0; part < T3_PART_COUNT; part++) {
        const bool same = t3_str_equal(declared->parts[part], live->parts[part]) ||
                          (part == T3_PART_STATE && is_better(declared, live));
        pair.parts |= same ? 0 : 1u << part;
    }
    pair.has_other_name = !t3_str_equal(declared->name, live->name) &&
                          !(t3_catalogue_is_invented(declared) && t3_catalogue_is_invented(live));
    return add_pair(comparison, &pair);
}

static bool has_table(const struct t3_catalogue *catalogue, struct tears_str table)
{
    size_t low = 0;
    size_t high = catalogue->count;

    while (low < high) { /* a table is the first of its items */
        const size_t middle = low + (high - low) / 2;
        if (t3_str_compare(catalogue->items[middle].table, table) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < catalogue->count && t3_str_equal(catalogue->items[low].table, table) &&
           catalogue->items[low].object == TEARS_DRIFT_OBJECT_TABLE;
}

/* What of the live schema nobody declared and nobody asks for. */
static bool is_passed_over(const struct t3_comparison *comparison, const struct t3_item *live)
{
    return comparison->only_declared &&
           (live->table.len == 0 || !has_table(comparison->declared, live->table));
}

/* ---- pairing ---------------------------------------------------------------------------------- */

typedef bool (*belongs_fn)(const struct t3_item *declared, const struct t3_item *live);

static bool same_name(const struct t3_item *declared, const struct t3_item *live)
{
    return t3_str_equal(declared->name, live->name) &&
           (declared->name.len > 0 || !t3_object_is_anonymous(declared->object));
}

static bool same_definition(const struct t3_item *declared, const struct t3_item *live)
{
    return t3_str_equal(declared->parts[T3_PART_DEFINITION], live->parts[T3_PART_DEFINITION]);
}

static bool same_both(const struct t3_item *declared, const struct t3_item *live)
{
    return same_name(declared, live) && same_definition(declared, live);
}

/* A table has one of them, whatever it is called. */
static bool only_one(const struct t3_item *declared, const struct t3_item *live)
{
    (void)live;
    return declared->object == TEARS_DRIFT_OBJECT_PRIMARY_KEY;
}

static tears_status pair_up(struct t3_comparison *comparison, struct side *declared,
                            struct side *live, belongs_fn belongs)
{
    for (size_t i = 0; i < declared->count; i++) {
        for (size_t j = 0; j < live->count && !declared->taken[i]; j++) {
            if (live->taken[j] || !belongs(&declared->items[i], &live->items[j]))
                continue;
            declared->taken[i] = true;
            live->taken[j] = true;
            T3_TRY(add_both(comparison, &declared->items[i], &live->items[j]));
        }
    }
    return TEARS_OK;
}

static tears_status compare_group(struct t3_comparison *comparison, struct side *declared,
                                  struct side *live)
{
    static const belongs_fn named[] = {same_name};
    static const belongs_fn anonymous[] = {same_both, same_definition, same_name, only_one};
    const uint8_t object = declared->count > 0 ? declared->items->object : live->items->object;
    const bool by_definition = t3_object_is_anonymous(object);
    const belongs_fn *ways = by_definition ? anonymous : named;
    const size_t way_count = by_definition ? T3_COUNT(anonymous) : T3_COUNT(named);

    declared->taken = t3_arena_array(comparison->arena, declared->count + 1, sizeof(bool));
    live->taken = t3_arena_array(comparison->arena, live->count + 1, sizeof(bool));
    if (declared->taken == NULL || live->taken == NULL)
        return TEARS_NO_MEMORY;
    for (size_t i = 0; i < way_count; i++)
        T3_TRY(pair_up(comparison, declared, live, ways[i]));
    for (size_t i = 0; i < declared->count; i++)
        if (!declared->taken[i])
            T3_TRY(add_pair(comparison, &(struct t3_pair){.declared = &declared->items[i]}));
    for (size_t i = 0; i < live->count; i++)
        if (!live->taken[i] && !is_passed_over(comparison, &live->items[i]))
            T3_TRY(add_pair(comparison, &(struct t3_pair){.live = &live->items[i]}));
    return TEARS_OK;
}

/* ---- both catalogues side by side ------------------------------------------------------------- */

static bool same_group(const struct t3_item *a, const struct t3_item *b)
{
    return a->object == b->object && t3_str_equal(a->table, b->table);
}

static size_t group_length(const struct t3_catalogue *catalogue, size_t from)
{
    size_t to = from;

    while (to < catalogue->count && same_group(&catalogue->items[from], &catalogue->items[to]))
        to++;
    return to - from;
}

/* As the catalogues are sorted. */
static int compare_groups(const struct t3_catalogue *a, size_t a_at, const struct t3_catalogue *b,
                          size_t b_at)
{
    if (a_at == a->count || b_at == b->count)
        return a_at == a->count ? (b_at == b->count ? 0 : 1) : -1;
    const int table = t3_str_compare(a->items[a_at].table, b->items[b_at].table);
    if (table != 0)
        return table;
    const uint8_t a_object = a->items[a_at].object;
    const uint8_t b_object = b->items[b_at].object;
    return a_object < b_object ? -1 : a_object > b_object;
}

tears_status t3_catalogue_compare(const struct t3_catalogue *declared,
                                  const struct t3_catalogue *live, struct t3_comparison *comparison)
{
    size_t i = 0;
    size_t j = 0;

    comparison->declared = declared;
    while (i < declared->count || j < live->count) {
        const int order = compare_groups(declared, i, live, j);
        struct side a = {.items = declared->items + i,
                         .count = order <= 0 ? group_length(declared, i) : 0};
        struct side b = {.items = live->items + j, .count = order >= 0 ? group_length(live, j) : 0};
        i += a.count;
        j += b.count;
        T3_TRY(compare_group(comparison, &a, &b));
    }
    return TEARS_OK;
}
