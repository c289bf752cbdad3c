/*
 * pending_table.c -- tables that have, or may have, pending records.
 *
 * Owns:     the tables, the lists of their entries, and the entries.
 * Knows:    the journal's numbers of layouts.
 * Must not know: what records mean.
 * Threads:  t3_pending_table_open and t3_pending_unopened any; all else the leader of the queue.
 * Fails:    as the journal; TEARS_NO_MEMORY.
 * Begin at: t3_pending_table_open().
 *
 * A table that has records in the log exists from recovery on, by name; it gets its schema, and its records their places in the index, when the
 * program opens it.
 */
#include "base/fail.h"
#include "base/str.h"
#include "deferred/pending_impl.h"

/* ---- the list of tables ------------------------------------------------------------------------- */

struct t3_pending_table *t3_pending_find_table(struct t3_pending *pending, struct tears_str name)
{
    struct t3_pending_table *table = atomic_load(&pending->tables);
    while (table != NULL && !t3_str_equal(table->name, name))
        table = table->next;
    return table;
}

tears_status t3_pending_name_table(struct t3_pending *pending, struct tears_str name,
                                   struct t3_pending_table **table_out)
{
    struct t3_pending_table *table = t3_pending_find_table(pending, name);
    if (table == NULL) {
        char *copy = t3_alloc(name.len + 1);
        table = t3_alloc_zero(1, sizeof *table);
        if (table == NULL || copy == NULL) {
            t3_free(table);
            t3_free(copy);
            return TEARS_NO_MEMORY;
        }
        if (name.len > 0)
            memcpy(copy, name.ptr, name.len);
        copy[name.len] = '\0';
        table->name = tears_str_n(copy, name.len);
        table->pending = pending;
        table->stamped = T3_NO_COLUMN;
        table->salt = ++pending->table_count * 0x9e3779b97f4a7c15u;
        table->next = atomic_load(&pending->tables);
        atomic_store(&pending->tables,
                     table); /* releases what is in it to those who sum up figures */
    }
    *table_out = table;
    return TEARS_OK;
}

static void free_table(struct t3_pending_table *table)
{
    struct t3_entry_list *list = &table->list;
    for (size_t i = list->first; i < list->count; i++)
        t3_entry_free(list->places[i].entry);
    t3_free(list->places);
    t3_free(table->parked);
    t3_free((void *)(uintptr_t)table->name.ptr);
    tears_schema_free(table->schema);
    t3_free(table);
}

void t3_pending_free_tables(struct t3_pending *pending)
{
    for (struct t3_pending_table *table = atomic_load(&pending->tables); table != NULL;) {
        struct t3_pending_table *next = table->next;
        free_table(table);
        table = next;
    }
    while (pending->layouts != NULL) {
        struct t3_found_layout *layout = pending->layouts;
        pending->layouts = layout->next;
        tears_schema_free(layout->schema);
        t3_free(layout);
    }
}

/* ---- layouts ------------------------------------------------------------------------------------ */

tears_status t3_pending_layout(struct t3_pending_table *table, struct t3_deadline deadline,
                               struct tears_error *error_out)
{
    if (table->layout != 0)
        return TEARS_OK;
    T3_AUTO(t3_buf_done) struct t3_buf bytes = {0};
    if (t3_record_layout_put(table->schema, &bytes) != TEARS_OK)
        return t3_fail_memory(error_out, "deferred");
    return t3_journal_layout(table->pending->options.journal, table->name, t3_buf_str(&bytes),
                             deadline, &table->layout, error_out);
}

/* ---- opening ------------------------------------------------------------------------------------ */

struct opening {
    struct t3_pending_call call; /* first */
    struct tears_schema *schema;
    bool keep_before;
    struct t3_pending_table *table;
};

static tears_status open_led(struct t3_pending *pending, struct t3_pending_call *call)
{
    struct opening *opening = (struct opening *)(void *)call;
    struct t3_pending_table *table;
    if (t3_pending_name_table(pending, opening->schema->name, &table) != TEARS_OK)
        return t3_fail_memory(call->error_out, "deferred");
    opening->table = table;
    if (table->is_open)
        return TEARS_OK;
    tears_schema_free(table->schema); /* of an opening that failed */
    table->schema = t3_schema_hold(opening->schema);
    table->keep_before = opening->keep_before;
    const uint32_t created = t3_schema_find(table->schema, TEARS_STR("date_created"));
    if (created != T3_NO_COLUMN && t3_column_is_stamped(&table->schema->columns[created]))
        table->stamped = created;
    if (table->list.live > 0)
        T3_TRY(t3_pending_adopt(table, call->deadline, call->error_out));
    table->is_open = true;
    return TEARS_OK;
}

tears_status t3_pending_table_open(struct t3_pending *pending, struct tears_schema *schema,
                                   bool keep_before, struct t3_deadline deadline,
                                   struct t3_pending_table **table_out,
                                   struct tears_error *error_out)
{
    struct opening opening = {
        .call = {.run = open_led}, .schema = schema, .keep_before = keep_before};
    T3_TRY(t3_pending_enter(pending, &opening.call, deadline, error_out));
    *table_out = opening.table;
    return TEARS_OK;
}

/* ---- tables that nobody has opened --------------------------------------------------------------- */

struct listing {
    struct t3_pending_call call; /* first */
    struct t3_arena *arena;
    struct tears_str *names;
    size_t count;
};

static tears_status list_led(struct t3_pending *pending, struct t3_pending_call *call)
{
    struct listing *listing = (struct listing *)(void *)call;
    struct t3_pending_table *first = atomic_load(&pending->tables);
    size_t count = 0;
    for (struct t3_pending_table *table = first; table != NULL; table = table->next)
        count += !table->is_open && table->list.live > 0 ? 1 : 0;
    listing->names = t3_arena_array(listing->arena, count + 1, sizeof *listing->names);
    if (listing->names == NULL)
        return TEARS_NO_MEMORY;
    for (struct t3_pending_table *table = first; table != NULL; table = table->next)
        if (!table->is_open && table->list.live > 0)
            T3_TRY(t3_arena_str(listing->arena, table->name, &listing->names[listing->count++]));
    return TEARS_OK;
}

tears_status t3_pending_unopened(struct t3_pending *pending, struct t3_arena *arena,
                                 struct tears_str **names_out, size_t *count_out)
{
    const struct t3_deadline never = {INT64_MAX};
    struct listing listing = {.call = {.run = list_led}, .arena = arena};
    T3_TRY(t3_pending_enter(pending, &listing.call, never, NULL));
    *names_out = listing.names;
    *count_out = listing.count;
    return TEARS_OK;
}
