/*
 * flush_steps.c -- the rows of a transaction as calls of L3: few, and each of one table and one kind.
 *
 * Owns:     nothing; steps and writes are in the memory of the attempt.
 * Must not know: transactions, outcomes.
 * Threads:  the pass.
 * Fails:    TEARS_NO_MEMORY.
 * Begin at: t3_flush_steps_build().
 *
 * Within a table, what may free a value comes before what may need it: deletions, updates, replacements, upserts, inserts.  The rows of tables that refer to themselves keep the order
 * they have, in steps of one statement each: the foreign keys of a statement's rows are checked when all of them are there.
 */
#include "deferred/flush_steps.h"

#include "base/limits.h"

struct cutting {
    struct t3_arena *arena;
    struct t3_flush_steps *steps;
    size_t placed;
};

static const uint8_t kinds[] = {T3_RECORD_UPDATE, T3_RECORD_REPLACE, T3_RECORD_UPSERT,
                                T3_RECORD_INSERT};

/* ---- one row ---------------------------------------------------------------------------------- */

static tears_status make_cells(struct cutting *cutting, const struct t3_flush_entry *entry,
                               struct t3_write *write)
{
    const struct tears_schema *schema = entry->known->schema;
    struct t3_cell *cells = t3_arena_alloc(cutting->arena, schema->column_count * sizeof *cells);
    if (cells == NULL)
        return TEARS_NO_MEMORY;
    write->cells = cells;
    write->cell_count = t3_record_cells(schema, &entry->item.record, cells);
    t3_arena_trim(cutting->arena, cells, write->cell_count * sizeof *cells);
    return TEARS_OK;
}

static void make_deletion(const struct t3_flush_entry *entry, struct t3_write *write)
{
    *write = (struct t3_write){.key = entry->key,
                               .has_base = entry->item.record.has_base,
                               .base = entry->item.record.base};
}

static tears_status make_write(struct cutting *cutting, const struct t3_flush_entry *entry,
                               struct t3_write *write)
{
    const bool has_base =
        entry->item.record.kind == T3_RECORD_UPDATE && entry->item.record.has_base;
    *write = (struct t3_write){
        .key = entry->key, .has_base = has_base, .base = has_base ? entry->item.record.base : 0};
    return make_cells(cutting, entry, write);
}

/* ---- steps --------------------------------------------------------------------------------------- */

static tears_status close_step(struct cutting *cutting, size_t first, uint8_t kind)
{
    struct t3_flush_steps *steps = cutting->steps;
    const size_t count = cutting->placed - first;
    if (count == 0)
        return TEARS_OK;
    struct t3_write *writes = t3_arena_alloc(cutting->arena, count * sizeof *writes);
    struct t3_write *removals = NULL;
    if (kind == T3_RECORD_REPLACE)
        removals = t3_arena_alloc(cutting->arena, count * sizeof *removals);
    if (writes == NULL || (kind == T3_RECORD_REPLACE && removals == NULL))
        return TEARS_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        struct t3_flush_entry *entry = steps->placed[first + i];
        entry->write = &writes[i];
        entry->remove = removals != NULL ? &removals[i] : NULL;
        if (removals != NULL)
            make_deletion(entry, &removals[i]);
        if (kind == T3_RECORD_DELETE)
            make_deletion(entry, &writes[i]);
        else
            T3_TRY(make_write(cutting, entry, &writes[i]));
    }
    steps->steps[steps->count++] = (struct t3_flush_step){.known = steps->placed[first]->known,
                                                          .kind = kind,
                                                          .entries = steps->placed + first,
                                                          .writes = writes,
                                                          .removals = removals,
                                                          .count = count};
    return TEARS_OK;
}

static bool same_columns(const struct t3_flush_entry *a, const struct t3_flush_entry *b)
{
    const size_t bytes = t3_record_words(a->known->schema) * sizeof a->item.record.changed[0];
    return a->item.record.has_base == b->item.record.has_base &&
           memcmp(a->item.record.changed, b->item.record.changed, bytes) == 0;
}

static bool belongs(const struct t3_flush_entry *first, const struct t3_flush_entry *entry)
{
    return entry->known == first->known && entry->item.record.kind == first->item.record.kind;
}

/* Neighbours of one table and kind, and, if they are to be one statement, of the same columns. */
static tears_status cut_runs(struct cutting *cutting, struct t3_flush_entry **entries, size_t count,
                             bool one_statement)
{
    for (size_t i = 0; i < count;) {
        const size_t first = cutting->placed;
        const struct t3_flush_entry *head = entries[i];
        for (; i < count && belongs(head, entries[i]); i++) {
            if (one_statement &&
                (cutting->placed - first == T3_BATCH_ROWS_MAX || !same_columns(head, entries[i])))
                break;
            cutting->steps->placed[cutting->placed++] = entries[i];
        }
        T3_TRY(close_step(cutting, first, head->item.record.kind));
    }
    return TEARS_OK;
}

/* All rows of one table among the entries, which do not refer to each other. */
static tears_status cut_table(struct cutting *cutting, struct t3_flush_entry **entries,
                              size_t count, const struct t3_flush_known *known)
{
    for (size_t k = 0; k < T3_COUNT(kinds); k++) {
        const size_t first = cutting->placed;
        for (size_t i = 0; i < count; i++) {
            if (entries[i]->known != known || entries[i]->item.record.kind != kinds[k])
                continue;
            entries[i]->write = NULL; /* placed; close_step gives it one */
            cutting->steps->placed[cutting->placed++] = entries[i];
        }
        T3_TRY(close_step(cutting, first, kinds[k]));
    }
    return TEARS_OK;
}

static bool is_placed(const struct t3_flush_entry *entry)
{
    return entry->write != NULL;
}

/* Tables of one rank: those that refer to nothing of their own rank, then circles, in the order they have. */
static tears_status cut_rank(struct cutting *cutting, struct t3_flush_entry **entries, size_t count)
{
    struct t3_flush_entry **circles = t3_arena_alloc(cutting->arena, count * sizeof *circles);
    size_t circle_count = 0;
    if (circles == NULL)
        return TEARS_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        if (entries[i]->in_cycle)
            circles[circle_count++] = entries[i];
        else if (!is_placed(entries[i]))
            T3_TRY(cut_table(cutting, entries, count, entries[i]->known));
    }
    return cut_runs(cutting, circles, circle_count, true);
}

tears_status t3_flush_steps_build(struct t3_flush_entry **entries, size_t count,
                                  struct t3_arena *arena, struct t3_flush_steps *steps_out)
{
    struct cutting cutting = {.arena = arena, .steps = steps_out};
    steps_out->placed = t3_arena_alloc(arena, count * sizeof *steps_out->placed);
    steps_out->steps = t3_arena_alloc(arena, count * sizeof *steps_out->steps);
    steps_out->count = 0;
    if (steps_out->placed == NULL || steps_out->steps == NULL)
        return TEARS_NO_MEMORY;
    size_t deletions = 0;
    for (size_t i = 0; i < count; i++)
        entries[i]->write = NULL;
    while (deletions < count && entries[deletions]->item.record.kind == T3_RECORD_DELETE)
        deletions++;
    T3_TRY(cut_runs(&cutting, entries, deletions, false));
    for (size_t at = deletions; at < count;) {
        size_t end = at + 1;
        while (end < count && entries[end]->rank == entries[at]->rank)
            end++;
        T3_TRY(cut_rank(&cutting, entries + at, end - at));
        at = end;
    }
    return TEARS_OK;
}
