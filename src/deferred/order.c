/*
 * order.c -- parents before children, and children before parents that are deleted.
 *
 * Owns:     nothing; all memory is the caller's arena.
 * Knows:    schemas' foreign keys, records.
 * Must not know: what L3 does with the order.
 * Threads:  any.
 * Fails:    TEARS_NO_MEMORY.
 * Begin at: t3_order_rows().
 *
 * Most rows are in order once their tables are.  Only rows of tables that refer to themselves, or to each other in a circle, are looked at one by
 * one: each is put into a hash table under the columns by which others refer to it, and finds there those it refers to.
 */
#include "deferred/order.h"

#include "base/hash.h"
#include "base/str.h"
#include "deferred/order_graph.h"

/* ---- foreign keys ------------------------------------------------------------------------------- */

/* One foreign key, whether it was declared with its column or with the table. */
struct foreign_key {
    struct tears_str table;
    const struct tears_str *columns;
    const struct tears_str *target; /* NULL: the primary key */
    size_t count;
};

static size_t foreign_key_count(const struct tears_schema *schema)
{
    return schema->foreign_key_count + schema->column_count;
}

/* The one at `index`; one without a table is none. */
static void foreign_key_at(const struct tears_schema *schema, size_t index, struct foreign_key *out)
{
    memset(out, 0, sizeof *out);
    if (index < schema->foreign_key_count) {
        const struct tears_foreign_key_def *def = &schema->foreign_keys[index];
        out->table = def->references_table;
        out->columns = def->columns;
        out->target = def->references_column_count > 0 ? def->references_columns : NULL;
        out->count = def->column_count;
        return;
    }
    const struct t3_column *column = &schema->columns[index - schema->foreign_key_count];
    out->table = column->references_table;
    out->columns = &column->name;
    out->target = column->references_column.len > 0 ? &column->references_column : NULL;
    out->count = 1;
}

static size_t find_schema(const struct tears_schema *const *schemas, size_t count,
                          struct tears_str name)
{
    size_t at = 0;
    while (at < count && !t3_str_equal(schemas[at]->name, name))
        at++;
    return at;
}

/* ---- tables ------------------------------------------------------------------------------------- */

static size_t count_foreign_keys(const struct tears_schema *const *schemas, size_t count)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += foreign_key_count(schemas[i]);
    return total;
}

static size_t table_edges(const struct tears_schema *const *schemas, size_t count,
                          struct t3_order_edge *edges)
{
    size_t edge_count = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < foreign_key_count(schemas[i]); j++) {
            struct foreign_key key;
            foreign_key_at(schemas[i], j, &key);
            if (key.table.len == 0)
                continue;
            const size_t parent = find_schema(schemas, count, key.table);
            if (parent < count)
                edges[edge_count++] = (struct t3_order_edge){(uint32_t)parent, (uint32_t)i};
        }
    }
    return edge_count;
}

tears_status t3_order_tables(const struct tears_schema *const *schemas, size_t count,
                             struct t3_arena *arena, uint32_t *ranks_out, bool *in_cycle_out)
{
    uint32_t groups;
    struct t3_order_edge *edges =
        t3_arena_array(arena, count_foreign_keys(schemas, count) + 1, sizeof *edges);
    if (edges == NULL)
        return TEARS_NO_MEMORY;
    const size_t edge_count = table_edges(schemas, count, edges);
    T3_TRY(t3_order_groups(count, edges, edge_count, arena, ranks_out, &groups));
    for (size_t i = 0; i < count; i++)
        in_cycle_out[i] = false;
    for (size_t i = 0; i < edge_count;
         i++) /* an edge within a rank is part of a circle, or one by itself */
        if (ranks_out[edges[i].before] == ranks_out[edges[i].after])
            in_cycle_out[edges[i].before] = in_cycle_out[edges[i].after] = true;
    return TEARS_OK;
}

/* ---- rows of tables that refer to each other in a circle ----------------------------------------- */

/* A foreign key between two tables of a circle. */
struct reference {
    const struct tears_schema *child, *parent;
    const uint32_t *child_columns, *parent_columns;
    uint32_t count;
};

/* Rows that go together: all written, or all deleted, of tables of one rank. */
struct circle {
    const struct t3_order_row *rows;
    const size_t *members; /* places in `rows`, as given */
    size_t count;
    bool deletes;
    struct t3_arena *arena;
    const struct tears_schema **schemas;
    size_t schema_count;
    struct reference *references;
    size_t reference_count;
    uint32_t *slots; /* members plus 1, by reference and values */
    size_t slot_mask;
    struct t3_order_edge *edges;
    size_t edge_count;
};

static tears_status find_tables(struct circle *circle)
{
    size_t capacity = 8;
    circle->schemas = t3_arena_array(circle->arena, capacity, sizeof *circle->schemas);
    if (circle->schemas == NULL)
        return TEARS_NO_MEMORY;
    for (size_t i = 0; i < circle->count; i++) {
        const struct tears_schema *schema = circle->rows[circle->members[i]].schema;
        size_t at = circle->schema_count;
        while (at > 0 && circle->schemas[at - 1] != schema)
            at--;
        if (at > 0)
            continue;
        if (circle->schema_count == capacity) {
            const struct tears_schema **grown =
                t3_arena_array(circle->arena, capacity *= 2, sizeof *grown);
            if (grown == NULL)
                return TEARS_NO_MEMORY;
            memcpy(grown, circle->schemas, circle->schema_count * sizeof *grown);
            circle->schemas = grown;
        }
        circle->schemas[circle->schema_count++] = schema;
    }
    return TEARS_OK;
}

/* The columns of both sides; false: they do not fit together, and the database will have to say so. */
static bool resolve(const struct foreign_key *key, const struct reference *reference,
                    uint32_t *child_columns, uint32_t *parent_columns)
{
    if (key->target == NULL && key->count != reference->parent->key_count)
        return false;
    for (size_t i = 0; i < key->count; i++) {
        const uint32_t child = t3_schema_find(reference->child, key->columns[i]);
        const uint32_t parent = key->target != NULL
                                    ? t3_schema_find(reference->parent, key->target[i])
                                    : reference->parent->key[i];
        if (child == T3_NO_COLUMN || parent == T3_NO_COLUMN ||
            reference->child->columns[child].kind != reference->parent->columns[parent].kind)
            return false;
        child_columns[i] = child;
        parent_columns[i] = parent;
    }
    return true;
}

static tears_status add_reference(struct circle *circle, const struct tears_schema *child,
                                  const struct foreign_key *key)
{
    const size_t parent = find_schema(circle->schemas, circle->schema_count, key->table);
    if (key->table.len == 0 || parent == circle->schema_count)
        return TEARS_OK;
    struct reference reference = {
        .child = child, .parent = circle->schemas[parent], .count = (uint32_t)key->count};
    uint32_t *columns = t3_arena_array(circle->arena, key->count * 2 + 1, sizeof *columns);
    if (columns == NULL)
        return TEARS_NO_MEMORY;
    reference.child_columns = columns;
    reference.parent_columns = columns + key->count;
    if (resolve(key, &reference, columns, columns + key->count))
        circle->references[circle->reference_count++] = reference;
    return TEARS_OK;
}

static tears_status find_references(struct circle *circle)
{
    const size_t room = count_foreign_keys(circle->schemas, circle->schema_count);
    circle->references = t3_arena_array(circle->arena, room + 1, sizeof *circle->references);
    if (circle->references == NULL)
        return TEARS_NO_MEMORY;
    for (size_t i = 0; i < circle->schema_count; i++) {
        const struct tears_schema *child = circle->schemas[i];
        for (size_t j = 0; j < foreign_key_count(child); j++) {
            struct foreign_key key;
            foreign_key_at(child, j, &key);
            T3_TRY(add_reference(circle, child, &key));
        }
    }
    return TEARS_OK;
}

/* ---- rows found by what others refer to them by -------------------------------------------------- */

static uint64_t hash_value(const struct tears_value *value, uint64_t seed)
{
    switch (value->kind) {
    case TEARS_KIND_BOOL:
        return t3_hash(&value->as.boolean, sizeof value->as.boolean, seed);
    case TEARS_KIND_INT:
    case TEARS_KIND_TIMESTAMP:
        return t3_hash(&value->as.integer, sizeof value->as.integer, seed);
    case TEARS_KIND_DOUBLE:
        return t3_hash(&value->as.number, sizeof value->as.number, seed);
    case TEARS_KIND_UUID:
        return t3_hash(value->as.uuid, sizeof value->as.uuid, seed);
    case TEARS_KIND_VECTOR:
        return t3_hash(value->as.vector.ptr, value->as.vector.len * sizeof(double), seed);
    default:
        return t3_hash(value->as.bytes.ptr, value->as.bytes.len, seed);
    }
}

/* The hash of a row's values in these columns; false: one is NULL, and nothing is referred to. */
static bool hash_columns(const struct t3_order_row *row, const uint32_t *columns, uint32_t count,
                         uint64_t seed, uint64_t *hash_out)
{
    uint64_t hash = seed;
    for (uint32_t i = 0; i < count; i++) {
        if (t3_row_is_null(row->record->row, columns[i]))
            return false;
        const struct tears_value value =
            t3_row_value(row->record->row, &row->schema->layout, columns[i]);
        hash = hash_value(&value, hash);
    }
    *hash_out = hash;
    return true;
}

static const struct t3_order_row *member(const struct circle *circle, size_t at)
{
    return &circle->rows[circle->members[at]];
}

static bool refers_to(const struct reference *reference, const struct t3_order_row *child,
                      const struct t3_order_row *parent)
{
    if (parent->schema != reference->parent)
        return false;
    for (uint32_t i = 0; i < reference->count; i++) {
        const struct tears_value value =
            t3_row_value(child->record->row, &child->schema->layout, reference->child_columns[i]);
        if (!t3_row_cell_equal(parent->record->row, &parent->schema->layout,
                               reference->parent_columns[i], &value))
            return false;
    }
    return true;
}

/* The hash table for one reference: where its parents are. */
static void put_parents(struct circle *circle, const struct reference *reference)
{
    memset(circle->slots, 0, (circle->slot_mask + 1) * sizeof *circle->slots);
    for (size_t i = 0; i < circle->count; i++) {
        uint64_t hash;
        const struct t3_order_row *row = member(circle, i);
        if (row->schema != reference->parent ||
            !hash_columns(row, reference->parent_columns, reference->count, 0, &hash))
            continue;
        size_t at = hash & circle->slot_mask;
        while (circle->slots[at] != 0)
            at = (at + 1) & circle->slot_mask;
        circle->slots[at] = (uint32_t)i + 1;
    }
}

static void add_edges(struct circle *circle, const struct reference *reference)
{
    put_parents(circle, reference);
    for (size_t i = 0; i < circle->count; i++) {
        uint64_t hash;
        const struct t3_order_row *row = member(circle, i);
        if (row->schema != reference->child ||
            !hash_columns(row, reference->child_columns, reference->count, 0, &hash))
            continue;
        size_t at = hash & circle->slot_mask;
        while (circle->slots[at] != 0 &&
               !refers_to(reference, row, member(circle, circle->slots[at] - 1)))
            at = (at + 1) & circle->slot_mask;
        if (circle->slots[at] == 0 || circle->slots[at] == i + 1)
            continue; /* nothing that is pending, or the row itself */
        const uint32_t parent = circle->slots[at] - 1;
        const uint32_t child = (uint32_t)i;
        circle->edges[circle->edge_count++] = circle->deletes
                                                  ? (struct t3_order_edge){child, parent}
                                                  : (struct t3_order_edge){parent, child};
    }
}

static tears_status find_edges(struct circle *circle)
{
    size_t slots = 16;
    while (slots < circle->count * 2)
        slots *= 2;
    circle->slots = t3_arena_array(circle->arena, slots, sizeof *circle->slots);
    circle->slot_mask = slots - 1;
    circle->edges = t3_arena_array(circle->arena, circle->count * circle->reference_count + 1,
                                   sizeof *circle->edges);
    if (circle->slots == NULL || circle->edges == NULL)
        return TEARS_NO_MEMORY;
    for (size_t i = 0; i < circle->reference_count; i++)
        add_edges(circle, &circle->references[i]);
    return TEARS_OK;
}

/* Sorts members by group; those of one group stay as given.  Rows of a group of two and more are in a circle. */
static tears_status place_by_group(struct circle *circle, const uint32_t *group, uint32_t groups,
                                   size_t *order_out, size_t *circles)
{
    size_t *first = t3_arena_array(circle->arena, (size_t)groups + 1, sizeof *first);
    if (first == NULL)
        return TEARS_NO_MEMORY;
    for (size_t i = 0; i < circle->count; i++)
        first[group[i] + 1]++;
    for (uint32_t i = 0; i < groups; i++) {
        if (first[i + 1] > 1)
            *circles += first[i + 1];
        first[i + 1] += first[i];
    }
    for (size_t i = 0; i < circle->count; i++)
        order_out[first[group[i]]++] = circle->members[i];
    return TEARS_OK;
}

/* Orders the rows of one rank; order_out has room for them. */
static tears_status order_circle(struct circle *circle, size_t *order_out, size_t *circles)
{
    T3_TRY(find_tables(circle));
    T3_TRY(find_references(circle));
    if (circle->reference_count == 0) {
        memcpy(order_out, circle->members, circle->count * sizeof *order_out);
        return TEARS_OK;
    }
    uint32_t groups;
    uint32_t *group = t3_arena_array(circle->arena, circle->count, sizeof *group);
    if (group == NULL)
        return TEARS_NO_MEMORY;
    T3_TRY(find_edges(circle));
    T3_TRY(t3_order_groups(circle->count, circle->edges, circle->edge_count, circle->arena, group,
                           &groups));
    return place_by_group(circle, group, groups, order_out, circles);
}

/* ---- all rows ----------------------------------------------------------------------------------- */

static bool is_deletion(const struct t3_order_row *row)
{
    return row->record->kind == T3_RECORD_DELETE;
}

/* Deletions first, of the last rank first; then what writes rows. */
static size_t place_of(const struct t3_order_row *row, uint32_t rank_max)
{
    return is_deletion(row) ? rank_max - row->rank : (size_t)rank_max + 1 + row->rank;
}

tears_status t3_order_rows(const struct t3_order_row *rows, size_t count, struct t3_arena *arena,
                           size_t *order_out, size_t *circles_out)
{
    uint32_t rank_max = 0;
    for (size_t i = 0; i < count; i++)
        rank_max = rows[i].rank > rank_max ? rows[i].rank : rank_max;
    const size_t places = ((size_t)rank_max + 1) * 2;
    size_t *first = t3_arena_array(arena, places + 1, sizeof *first);
    size_t *members = t3_arena_array(arena, count + 1, sizeof *members);
    if (first == NULL || members == NULL)
        return TEARS_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        first[place_of(&rows[i], rank_max) + 1]++;
    for (size_t i = 0; i < places; i++)
        first[i + 1] += first[i];
    for (size_t i = 0; i < count; i++)
        members[first[place_of(&rows[i], rank_max)]++] = i;
    size_t circles = 0;
    for (size_t start = 0, end; start < count; start = end) {
        const size_t place = place_of(&rows[members[start]], rank_max);
        for (end = start; end < count && place_of(&rows[members[end]], rank_max) == place;)
            end++;
        struct circle circle = {.rows = rows,
                                .members = members + start,
                                .count = end - start,
                                .deletes = is_deletion(&rows[members[start]]),
                                .arena = arena};
        T3_TRY(order_circle(&circle, order_out + start, &circles));
    }
    *circles_out = circles;
    return TEARS_OK;
}
