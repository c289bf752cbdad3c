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
 * Steps: stage (what each key's records become, one caller after the other; a caller that fails is undone alone), make (entries and room for them:
 * the last that can fail), write (the journal), show (to readers).  What a reader sees is durable.
 */
#include "base/fail.h"
#include "deferred/pending_impl.h"

enum { SEARCHED_IN_LINE = 8 }; /* so few keys are compared one by one */

struct save {
    struct t3_pending_call call; /* first */
    struct t3_pending_table *table;
    const struct t3_defer *defers;
    size_t count;
    struct t3_arena *arena;
    struct t3_pending_outcome *outcomes_out;
    struct t3_pending_outcome *outcomes; /* as staged */
    uint64_t coalesced;
};

/* One of the two records of a key. */
struct part {
    bool is_there;
    bool is_changed;
    struct t3_record record;
    struct t3_entry *old;  /* as readers see it; NULL: they do not */
    struct t3_entry *made; /* what takes its place */
};

/* A key that is written. */
struct staged {
    struct t3_pending_table *table;
    const struct t3_key *key;
    uint64_t hash;
    struct part first, follower;
};

/* How a part was before a caller changed it. */
struct undo {
    struct undo *next;
    struct part *part;
    struct part was;
};

/* Saves that are carried out together. */
struct group {
    struct t3_pending *pending;
    struct staged *staged;
    size_t staged_count;
    uint32_t *slots; /* places in `staged` plus 1, by hash; NULL: few */
    size_t slot_count;
    struct undo *undo; /* of the caller that is being staged */
    uint64_t rows_more, bytes_more;
};

static struct save *save_of(struct t3_combine_item *item)
{
    return (struct save *)(void *)item;
}

/* ---- staging: keys ------------------------------------------------------------------------------ */

static tears_status begin_group(struct t3_pending *pending, struct t3_combine_item **items,
                                size_t count, struct group *group)
{
    size_t writes = 0;
    for (size_t i = 0; i < count; i++)
        writes += save_of(items[i])->count;
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

static bool is_staged_as(const struct staged *staged, const struct t3_pending_table *table,
                         const struct t3_key *key)
{
    return staged->table == table && t3_key_equal(staged->key, key);
}

/* The staged key; NULL: it is not staged yet, and *slot_out is where it belongs. */
static struct staged *find_staged(const struct group *group, struct t3_pending_table *table,
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

static void set_part(struct part *part, struct t3_entry *entry)
{
    memset(part, 0, sizeof *part);
    if (entry == NULL)
        return;
    part->is_there = true;
    part->old = entry;
    t3_entry_record(entry, &part->record);
}

static struct staged *stage_key(struct group *group, struct t3_pending_table *table,
                                const struct t3_key *key)
{
    uint32_t *slot;
    struct staged *staged = find_staged(group, table, key, &slot);
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
static uint64_t part_bytes(const struct staged *staged, const struct part *part)
{
    return part->is_there ? t3_record_size(staged->table->schema, &part->record) : 0;
}

static bool fits(uint64_t used, uint64_t more, uint64_t max)
{
    return max == 0 || (more <= max && used <= max - more);
}

static tears_status check_room(const struct group *group, uint64_t bytes,
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
static tears_status change_part(struct group *group, struct staged *staged, struct part *part,
                                const struct t3_record *record, struct tears_error *error_out)
{
    const uint64_t bytes = t3_record_size(staged->table->schema, record);
    if (!part->is_there)
        T3_TRY(check_room(group, bytes, error_out));
    struct undo *undo = t3_arena_alloc(&group->pending->arena, sizeof *undo);
    if (undo == NULL)
        return t3_fail_memory(error_out, "deferred");
    *undo = (struct undo){group->undo, part, *part};
    group->undo = undo;
    group->rows_more += part->is_there ? 0 : 1;
    group->bytes_more += bytes - part_bytes(staged, part);
    part->is_there = true;
    part->is_changed = true;
    part->record = *record;
    return TEARS_OK;
}

static void undo_caller(struct group *group, uint64_t rows_more, uint64_t bytes_more)
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

static bool is_on_its_way(const struct part *first)
{
    return first->old != NULL && t3_entry_is_on_its_way(first->old);
}

/* Stages one write; *outcome is what it comes to. */
static tears_status stage_write(struct group *group, struct save *save,
                                const struct t3_defer *asked, struct t3_pending_outcome *outcome)
{
    struct t3_pending_table *table = save->table;
    struct t3_arena *arena = &group->pending->arena;
    struct staged *staged = stage_key(group, table, asked->key);
    struct part *last = staged->follower.is_there ? &staged->follower : &staged->first;
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
    struct part *target = last == &staged->first && record.follows ? &staged->follower : last;
    record.id = target->is_there ? target->record.id : 0;
    record.seq = ++group->pending->seq;
    record.since_us = target->is_there ? target->record.since_us : t3_calendar_us();
    save->coalesced += target->is_there ? 1 : 0;
    outcome->seq = record.seq;
    T3_TRY(tell(&record, save->arena, outcome));
    return change_part(group, staged, target, &record, save->call.error_out);
}

/* All writes of one caller, or none of them. */
static void stage_caller(struct group *group, struct save *save)
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

/* ---- making, writing, showing ------------------------------------------------------------------- */

/* The parts that have changed, the first of a key before what follows it. */
static size_t changed_parts(struct group *group, struct part **parts, struct staged **of)
{
    size_t count = 0;
    for (size_t i = 0; i < group->staged_count; i++) {
        struct staged *staged = &group->staged[i];
        of[count] = staged;
        parts[count] = &staged->first;
        count += staged->first.is_changed ? 1 : 0;
        of[count] = staged;
        parts[count] = &staged->follower;
        count += staged->follower.is_changed ? 1 : 0;
    }
    return count;
}

static tears_status make_entry(const struct staged *staged, struct part *part,
                               struct t3_journal_put *put)
{
    struct t3_pending_table *table = staged->table;
    if (part->old == NULL)
        T3_TRY(t3_list_reserve(&table->list, ++table->adding));
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

static void show_part(struct t3_pending *pending, struct staged *staged, struct part *part)
{
    struct t3_entry *old = part->old;
    struct t3_entry *made = part->made;
    struct t3_pending_table *table = staged->table;
    if (part == &staged->first) {
        made->follower = old != NULL ? old->follower : NULL;
        t3_index_swap(pending, old, made);
    } else {
        struct part *first = &staged->first;
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
    t3_free(old);
}

static tears_status write_parts(struct group *group, struct part **parts, struct staged **of,
                                size_t count, struct t3_deadline deadline,
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

static tears_status carry_out(struct group *group, struct t3_deadline deadline,
                              struct tears_error *error_out)
{
    struct t3_arena *arena = &group->pending->arena;
    const size_t room = group->staged_count * 2 + 1;
    struct part **parts = t3_arena_array(arena, room, sizeof(struct part *));
    struct staged **of = t3_arena_array(arena, room, sizeof(struct staged *));
    if (parts == NULL || of == NULL)
        return t3_fail_memory(error_out, "deferred");
    const size_t count = changed_parts(group, parts, of);
    if (count == 0)
        return TEARS_OK; /* conflicts only */
    const tears_status status = write_parts(group, parts, of, count, deadline, error_out);
    for (size_t i = 0; i < count && status != TEARS_OK; i++)
        t3_free(parts[i]->made);
    return status;
}

static void answer(struct save *save, tears_status status, const struct tears_error *error)
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
    struct group group;
    struct tears_error error;
    struct t3_deadline deadline = {0};
    t3_error_clear(&error);
    tears_status status = begin_group(pending, items, count, &group);
    if (status != TEARS_OK)
        (void)t3_fail_memory(&error, "deferred");
    for (size_t i = 0; i < count; i++) {
        struct save *save = save_of(items[i]);
        if (status == TEARS_OK)
            stage_caller(&group, save);
        if (save->call.deadline.at_us > deadline.at_us)
            deadline =
                save->call
                    .deadline; /* of the most patient: nobody is left before it is known what became of it */
    }
    if (status == TEARS_OK)
        status = carry_out(&group, deadline, &error);
    for (size_t i = 0; i < count; i++)
        answer(save_of(items[i]), status, &error);
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
    struct save save = {.call = {.is_save = true},
                        .table = table,
                        .count = count,
                        .arena = arena,
                        .outcomes_out = outcomes_out};
    if (stamp_all(table, defers, count, arena, &save.defers) != TEARS_OK)
        return t3_fail_memory(error_out, "deferred");
    return t3_pending_enter(table->pending, &save.call, deadline, error_out);
}
