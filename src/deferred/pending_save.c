/*
 * pending_save.c -- the writes of many threads become one commit of the journal.
 *
 * Owns:     nothing between two calls; what is staged is in the leader's arena, and new entries are freed when the journal refuses them.
 * Knows:    the index, records, the journal.
 * Must not know: L3, caches.
 * Threads:  t3_pending_save any; all else the leader of the queue.
 * Fails:    as the journal; TEARS_LIMIT, TEARS_NO_MEMORY; then nothing has changed.
 * Begin at: t3_pending_lead_saves().
 *
 * Steps: stage (pending_stage.c: what each key's records become, one caller after the other; a caller that fails is undone alone), make (entries and room for them:
 * the last that can fail), write (the journal), show (to readers).  What a reader sees is durable.
 */
#include "base/fail.h"
#include "deferred/pending_save_impl.h"

/* ---- making, writing, showing ------------------------------------------------------------------- */

/* The parts that have changed, the first of a key before what follows it. */
static size_t changed_parts(struct t3_group *group, struct t3_part **parts, struct t3_staged **of)
{
    size_t count = 0;
    for (size_t i = 0; i < group->staged_count; i++) {
        struct t3_staged *staged = &group->staged[i];
        of[count] = staged;
        parts[count] = &staged->first;
        count += staged->first.is_changed ? 1 : 0;
        of[count] = staged;
        parts[count] = &staged->follower;
        count += staged->follower.is_changed ? 1 : 0;
    }
    return count;
}

static tears_status make_entry(const struct t3_staged *staged, struct t3_part *part,
                               struct t3_journal_put *put)
{
    struct t3_pending_table *table = staged->table;
    if (part->old == NULL)
        T3_TRY(t3_list_reserve(&table->list, ++table->adding));
    if (part->old == NULL && part == &staged->first)
        T3_TRY(t3_index_reserve(table->pending, staged->hash));
    part->made = t3_entry_new(table, &part->record);
    if (part->made == NULL)
        return TEARS_NO_MEMORY;
    part->made->hash = staged->hash;
    part->made->id = part->record.id;
    part->made->seq = part->record.seq;
    *put = (struct t3_journal_put){.id = part->record.id,
                                   .seq = part->record.seq,
                                   .layout = table->layout,
                                   .bytes = tears_str_n(part->made->bytes, part->made->size)};
    return TEARS_OK;
}

static void show_part(struct t3_pending *pending, struct t3_staged *staged, struct t3_part *part)
{
    struct t3_entry *old = part->old;
    struct t3_entry *made = part->made;
    struct t3_pending_table *table = staged->table;
    if (part == &staged->first) {
        made->follower = old != NULL ? old->follower : NULL;
        t3_index_swap(pending, old, made);
    } else {
        struct t3_part *first = &staged->first;
        t3_index_set_follower(pending, first->made != NULL ? first->made : first->old, made);
    }
    if (old != NULL) {
        t3_entry_set_flag(old, T3_ENTRY_PARKED,
                          false); /* what it waited for may be another row now */
        t3_list_set(&table->list, made->id, made);
    } else {
        t3_list_add(&table->list, made);
    }
    t3_pending_count(table, old, made);
    t3_table_settle(table);
    t3_entry_free(old);
}

static tears_status write_parts(struct t3_group *group, struct t3_part **parts,
                                struct t3_staged **of, size_t count, struct t3_deadline deadline,
                                struct tears_error *error_out)
{
    struct t3_pending *pending = group->pending;
    struct t3_journal_put *puts = t3_arena_array(&pending->arena, count, sizeof *puts);
    tears_status status = puts != NULL ? TEARS_OK : TEARS_NO_MEMORY;
    for (size_t i = 0; i < count && status == TEARS_OK; i++)
        status = make_entry(of[i], parts[i], &puts[i]);
    for (size_t i = 0; i < count; i++)
        of[i]->table->adding = 0;
    if (status != TEARS_OK)
        return t3_fail_memory(error_out, "deferred");
    T3_TRY(t3_journal_write(pending->options.journal, puts, count, deadline, error_out));
    for (size_t i = 0; i < count; i++)
        parts[i]->made->id = puts[i].id;
    for (size_t i = 0; i < count; i++)
        show_part(pending, of[i], parts[i]);
    return TEARS_OK;
}

static tears_status carry_out(struct t3_group *group, struct t3_deadline deadline,
                              struct tears_error *error_out)
{
    struct t3_arena *arena = &group->pending->arena;
    const size_t room = group->staged_count * 2 + 1;
    struct t3_part **parts = t3_arena_array(arena, room, sizeof(struct t3_part *));
    struct t3_staged **of = t3_arena_array(arena, room, sizeof(struct t3_staged *));
    if (parts == NULL || of == NULL)
        return t3_fail_memory(error_out, "deferred");
    const size_t count = changed_parts(group, parts, of);
    if (count == 0)
        return TEARS_OK; /* conflicts only */
    const tears_status status = write_parts(group, parts, of, count, deadline, error_out);
    if (status == TEARS_OK)
        return TEARS_OK;
    for (size_t i = 0; i < count; i++)
        t3_entry_free(parts[i]->made);
    t3_index_unreserve(group->pending);
    return status;
}

static void answer(struct t3_save *save, tears_status status, const struct tears_error *error)
{
    if (save->call.status != TEARS_OK)
        return; /* failed on its own */
    save->call.status = status;
    if (status != TEARS_OK) {
        if (save->call.error_out != NULL)
            *save->call.error_out = *error;
        return;
    }
    uint64_t saved = 0;
    for (size_t i = 0; i < save->count; i++)
        saved += save->outcomes[i].status == TEARS_OK ? 1 : 0;
    atomic_fetch_add(&save->table->saves, saved);
    atomic_fetch_add(&save->table->coalesced, save->coalesced);
    memcpy(save->outcomes_out, save->outcomes, save->count * sizeof *save->outcomes);
}

void t3_pending_lead_saves(struct t3_pending *pending, struct t3_combine_item **items, size_t count)
{
    struct t3_group group;
    struct tears_error error;
    struct t3_deadline deadline = {0};
    t3_error_clear(&error);
    tears_status status = t3_stage_begin(pending, items, count, &group);
    if (status != TEARS_OK)
        (void)t3_fail_memory(&error, "deferred");
    for (size_t i = 0; i < count; i++) {
        struct t3_save *save = t3_save_of(items[i]);
        if (status == TEARS_OK)
            t3_stage_caller(&group, save);
        if (save->call.deadline.at_us > deadline.at_us)
            deadline =
                save->call
                    .deadline; /* of the most patient: nobody is left before it is known what became of it */
    }
    if (status == TEARS_OK)
        status = carry_out(&group, deadline, &error);
    for (size_t i = 0; i < count; i++)
        answer(t3_save_of(items[i]), status, &error);
}

/* ---- the call ----------------------------------------------------------------------------------- */

static bool has_cell(const struct t3_defer *defer, uint32_t column)
{
    for (uint32_t i = 0; i < defer->cell_count; i++)
        if (defer->cells[i].column == column)
            return true;
    return false;
}

/*
 * Whether the library gives the write the time it was made at.  An upsert only where that cannot touch a row that is there; else the database's
 * statement stamps the row when it is new.
 */
static bool is_stamped(const struct t3_pending_table *table, const struct t3_defer *defer)
{
    if (table->stamped == T3_NO_COLUMN || has_cell(defer, table->stamped))
        return false;
    return defer->kind == T3_RECORD_INSERT ||
           (defer->kind == T3_RECORD_UPSERT && table->schema->columns[table->stamped].immutable);
}

static tears_status stamp(const struct t3_pending_table *table, struct t3_defer *defer,
                          struct t3_arena *arena)
{
    struct t3_cell *cells = t3_arena_array(arena, (size_t)defer->cell_count + 1, sizeof *cells);
    if (cells == NULL)
        return TEARS_NO_MEMORY;
    uint32_t at = 0;
    while (at < defer->cell_count && defer->cells[at].column < table->stamped) {
        cells[at] = defer->cells[at];
        at++;
    }
    cells[at].column = table->stamped;
    cells[at].value = tears_int(t3_calendar_us());
    cells[at].value.kind = TEARS_KIND_TIMESTAMP;
    for (; at < defer->cell_count; at++)
        cells[at + 1] = defer->cells[at];
    defer->cells = cells;
    defer->cell_count++;
    return TEARS_OK;
}

/* The writes, with the times that the database would give them too late. */
static tears_status stamp_all(const struct t3_pending_table *table, const struct t3_defer *defers,
                              size_t count, struct t3_arena *arena,
                              const struct t3_defer **stamped_out)
{
    struct t3_defer *stamped = NULL;
    for (size_t i = 0; i < count; i++) {
        if (!is_stamped(table, &defers[i]))
            continue;
        if (stamped == NULL) {
            stamped = t3_arena_array(arena, count, sizeof *stamped);
            if (stamped == NULL)
                return TEARS_NO_MEMORY;
            memcpy(stamped, defers, count * sizeof *stamped);
        }
        T3_TRY(stamp(table, &stamped[i], arena));
    }
    *stamped_out = stamped != NULL ? stamped : defers;
    return TEARS_OK;
}

tears_status t3_pending_save(struct t3_pending_table *table, const struct t3_defer *defers,
                             size_t count, struct t3_arena *arena, struct t3_deadline deadline,
                             struct t3_pending_outcome *outcomes_out, struct tears_error *error_out)
{
    if (count == 0)
        return TEARS_OK;
    struct t3_save save = {.call = {.is_save = true},
                           .table = table,
                           .count = count,
                           .arena = arena,
                           .outcomes_out = outcomes_out};
    if (stamp_all(table, defers, count, arena, &save.defers) != TEARS_OK)
        return t3_fail_memory(error_out, "deferred");
    return t3_pending_enter(table->pending, &save.call, deadline, error_out);
}
