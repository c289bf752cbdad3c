/*
 * pending_stage.c -- what each key's records become when it is written.
 *
 * Owns:     nothing; what is staged is in the leader's arena, and nobody else sees it.
 * Knows:    the index, coalesce.h.
 * Must not know: the journal, but for the numbers of layouts.
 * Threads:  the leader of the queue.
 * Fails:    TEARS_LIMIT, TEARS_NO_MEMORY, and as t3_journal_layout: for one caller, whose writes are undone.
 * Begin at: t3_stage_caller().
 */
#include "base/fail.h"
#include "deferred/pending_save_impl.h"

enum { SEARCHED_IN_LINE = 8 }; /* so few keys are compared one by one */

/* ---- staging: keys ------------------------------------------------------------------------------ */

tears_status t3_stage_begin(struct t3_pending *pending, struct t3_combine_item **items,
                            size_t count, struct t3_group *group)
{
    size_t writes = 0;
    for (size_t i = 0; i < count; i++)
        writes += t3_save_of(items[i])->count;
    memset(group, 0, sizeof *group);
    group->pending = pending;
    group->staged = t3_arena_alloc(&pending->arena, writes * sizeof *group->staged);
    if (group->staged == NULL)
        return TEARS_NO_MEMORY;
    if (writes <= SEARCHED_IN_LINE)
        return TEARS_OK;
    group->slot_count = 32;
    while (group->slot_count < writes * 2)
        group->slot_count *= 2;
    group->slots = t3_arena_array(&pending->arena, group->slot_count, sizeof *group->slots);
    return group->slots != NULL ? TEARS_OK : TEARS_NO_MEMORY;
}

static bool is_staged_as(const struct t3_staged *staged, const struct t3_pending_table *table,
                         const struct t3_key *key)
{
    return staged->table == table && t3_key_equal(staged->key, key);
}

/* The staged key; NULL: it is not staged yet, and *slot_out is where it belongs. */
static struct t3_staged *find_staged(const struct t3_group *group, struct t3_pending_table *table,
                                     const struct t3_key *key, uint32_t **slot_out)
{
    *slot_out = NULL;
    for (size_t i = 0; group->slots == NULL && i < group->staged_count; i++)
        if (is_staged_as(&group->staged[i], table, key))
            return &group->staged[i];
    if (group->slots == NULL)
        return NULL;
    size_t at = t3_index_hash(table, key) & (group->slot_count - 1);
    for (; group->slots[at] != 0; at = (at + 1) & (group->slot_count - 1))
        if (is_staged_as(&group->staged[group->slots[at] - 1], table, key))
            return &group->staged[group->slots[at] - 1];
    *slot_out = &group->slots[at];
    return NULL;
}

static void set_part(struct t3_part *part, struct t3_entry *entry)
{
    memset(part, 0, sizeof *part);
    if (entry == NULL)
        return;
    part->is_there = true;
    part->old = entry;
    t3_entry_record(entry, &part->record);
}

static struct t3_staged *stage_key(struct t3_group *group, struct t3_pending_table *table,
                                   const struct t3_key *key)
{
    uint32_t *slot;
    struct t3_staged *staged = find_staged(group, table, key, &slot);
    if (staged != NULL)
        return staged;
    staged = &group->staged[group->staged_count++];
    if (slot != NULL)
        *slot = (uint32_t)group->staged_count;
    staged->table = table;
    staged->key = key;
    staged->hash = t3_index_hash(table, key);
    struct t3_entry *first = t3_index_find(table, key, staged->hash);
    set_part(&staged->first, first);
    set_part(&staged->follower, first != NULL ? first->follower : NULL);
    return staged;
}

/* ---- staging: one write ------------------------------------------------------------------------- */

/* Bytes of a part in the log; 0: it is not there. */
static uint64_t part_bytes(const struct t3_staged *staged, const struct t3_part *part)
{
    return part->is_there ? t3_record_size(staged->table->schema, &part->record) : 0;
}

static bool fits(uint64_t used, uint64_t more, uint64_t max)
{
    return max == 0 || (more <= max && used <= max - more);
}

static tears_status check_room(const struct t3_group *group, uint64_t bytes,
                               struct tears_error *error_out)
{
    struct t3_pending *pending = group->pending;
    const struct t3_pending_limits *limits = &pending->options.limits;
    const uint64_t rows_now = atomic_load(&pending->rows) + group->rows_more;
    const uint64_t bytes_now = atomic_load(&pending->bytes) + group->bytes_more;
    if (!fits(rows_now, 1, limits->rows_max))
        return t3_fail(error_out, TEARS_LIMIT, "deferred",
                       "the log is full: %llu rows are pending, and the limit is %llu",
                       (unsigned long long)rows_now, (unsigned long long)limits->rows_max);
    if (!fits(bytes_now, bytes, limits->bytes_max))
        return t3_fail(error_out, TEARS_LIMIT, "deferred",
                       "the log is full: %llu bytes are pending, %llu more are asked for, and the "
                       "limit is %llu",
                       (unsigned long long)bytes_now, (unsigned long long)bytes,
                       (unsigned long long)limits->bytes_max);
    return TEARS_OK;
}

/* The part becomes the record, until the caller is undone. */
static tears_status change_part(struct t3_group *group, struct t3_staged *staged,
                                struct t3_part *part, const struct t3_record *record,
                                struct tears_error *error_out)
{
    const uint64_t bytes = t3_record_size(staged->table->schema, record);
    if (!part->is_there)
        T3_TRY(check_room(group, bytes, error_out));
    struct t3_undo *undo = t3_arena_alloc(&group->pending->arena, sizeof *undo);
    if (undo == NULL)
        return t3_fail_memory(error_out, "deferred");
    *undo = (struct t3_undo){group->undo, part, *part};
    group->undo = undo;
    group->rows_more += part->is_there ? 0 : 1;
    group->bytes_more += bytes - part_bytes(staged, part);
    part->is_there = true;
    part->is_changed = true;
    part->record = *record;
    return TEARS_OK;
}

static void undo_caller(struct t3_group *group, uint64_t rows_more, uint64_t bytes_more)
{
    for (; group->undo != NULL; group->undo = group->undo->next)
        *group->undo->part = group->undo->was;
    group->rows_more = rows_more;
    group->bytes_more = bytes_more;
}

/* The row, with a version that was not known when it was read. */
static tears_status with_version(const struct tears_schema *schema, const struct t3_row *row,
                                 int64_t version, struct t3_arena *arena,
                                 const struct t3_row **row_out)
{
    struct tears_value *values = t3_arena_array(arena, schema->column_count, sizeof *values);
    if (values == NULL)
        return TEARS_NO_MEMORY;
    for (uint32_t i = 0; i < schema->column_count; i++)
        values[i] = t3_row_value(row, &schema->layout, i);
    struct tears_value *value = &values[schema->version_column];
    *value = tears_int(version);
    value->kind = schema->columns[schema->version_column].kind;
    struct t3_row *made;
    T3_TRY(t3_row_new(arena, &schema->layout, values, &made));
    *row_out = made;
    return TEARS_OK;
}

/*
 * What was made from a pending row that has landed meanwhile is based on what the row became.  Looked up here, by the leader: before, it might land
 * between the look and the save.
 */
static tears_status find_base(struct t3_pending_table *table, struct t3_defer *defer,
                              struct t3_arena *arena)
{
    int64_t version;
    if (table->schema->version_column == T3_NO_COLUMN || defer->pending_seq == 0 ||
        !t3_pending_landed(table, defer->key, defer->pending_seq, &version))
        return TEARS_OK;
    defer->has_base = true;
    defer->base = version;
    return defer->from != NULL
               ? with_version(table->schema, defer->from, version, arena, &defer->from)
               : TEARS_OK;
}

static tears_status copy_row(const struct t3_row *row, struct t3_arena *arena,
                             struct t3_row **row_out)
{
    struct t3_row *copy = t3_arena_alloc(arena, row->size);
    if (copy == NULL)
        return TEARS_NO_MEMORY;
    memcpy(copy, row, row->size);
    *row_out = copy;
    return TEARS_OK;
}

static tears_status tell(const struct t3_record *record, struct t3_arena *arena,
                         struct t3_pending_outcome *outcome)
{
    if (record == NULL || record->kind == T3_RECORD_DELETE)
        return TEARS_OK;
    return copy_row(record->row, arena, &outcome->row);
}

static bool is_on_its_way(const struct t3_part *first)
{
    return first->old != NULL && t3_entry_is_on_its_way(first->old);
}

/* Stages one write; *outcome is what it comes to. */
static tears_status stage_write(struct t3_group *group, struct t3_save *save,
                                const struct t3_defer *asked, struct t3_pending_outcome *outcome)
{
    struct t3_pending_table *table = save->table;
    struct t3_arena *arena = &group->pending->arena;
    struct t3_staged *staged = stage_key(group, table, asked->key);
    struct t3_part *last = staged->follower.is_there ? &staged->follower : &staged->first;
    const struct t3_record *last_record = last->is_there ? &last->record : NULL;
    const bool in_flight = last == &staged->first && is_on_its_way(last);
    struct t3_defer defer = *asked;
    struct t3_record record;
    memset(outcome, 0, sizeof *outcome);
    if (last_record == NULL)
        T3_TRY(find_base(table, &defer, arena));
    outcome->status = t3_coalesce(table->schema, last_record, in_flight, &defer, table->keep_before,
                                  arena, &record);
    if (outcome->status == TEARS_NO_MEMORY || outcome->status == TEARS_LIMIT)
        return t3_fail(save->call.error_out, outcome->status, "deferred",
                       outcome->status == TEARS_LIMIT ? "the row is too large" : "out of memory");
    if (outcome->status != TEARS_OK)
        return outcome->status == TEARS_CONFLICT ? tell(last_record, save->arena, outcome)
                                                 : TEARS_OK;
    struct t3_part *target = last == &staged->first && record.follows ? &staged->follower : last;
    record.id = target->is_there ? target->record.id : 0;
    record.seq = ++group->pending->seq;
    record.since_us = target->is_there ? target->record.since_us : t3_calendar_us();
    save->coalesced += target->is_there ? 1 : 0;
    outcome->seq = record.seq;
    T3_TRY(tell(&record, save->arena, outcome));
    return change_part(group, staged, target, &record, save->call.error_out);
}

void t3_stage_caller(struct t3_group *group, struct t3_save *save)
{
    const uint64_t rows_more = group->rows_more;
    const uint64_t bytes_more = group->bytes_more;
    struct t3_pending_call *call = &save->call;
    group->undo = NULL;
    save->outcomes = t3_arena_array(&group->pending->arena, save->count, sizeof *save->outcomes);
    call->status = save->outcomes != NULL
                       ? t3_pending_layout(save->table, call->deadline, call->error_out)
                       : t3_fail_memory(call->error_out, "deferred");
    for (size_t i = 0; i < save->count && call->status == TEARS_OK; i++)
        call->status = stage_write(group, save, &save->defers[i], &save->outcomes[i]);
    if (call->status == TEARS_OK)
        return;
    if (call->status == TEARS_NO_MEMORY)
        (void)t3_fail_memory(call->error_out, "deferred");
    undo_caller(group, rows_more, bytes_more);
}
