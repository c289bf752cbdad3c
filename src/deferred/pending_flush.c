/*
 * pending_flush.c -- records on their way to L3, and what becomes of them.
 *
 * Owns:     nothing; what is collected points into the index, which keeps it until it has ended.
 * Knows:    the index, the journal, records.
 * Must not know: L3, why a batch failed.
 * Threads:  one flushing thread; every step is led in the queue.
 * Fails:    as the journal, and then nothing has changed.
 * Begin at: t3_pending_collect(), t3_pending_end().
 *
 * A record that was collected is *claimed*: what is saved meanwhile follows it, and never changes what is being sent.
 */
#include "base/fail.h"
#include "base/str.h"
#include "deferred/pending_impl.h"

static const struct t3_deadline never = {INT64_MAX};

/* ---- claims ------------------------------------------------------------------------------------- */

static tears_status reserve_claims(struct t3_pending *pending, size_t more)
{
    const size_t needed = pending->claim_count + more;
    if (needed <= pending->claim_capacity)
        return TEARS_OK;
    struct t3_claim *claims = t3_resize(pending->claims, needed * 2 * sizeof *claims);
    if (claims == NULL)
        return TEARS_NO_MEMORY;
    pending->claims = claims;
    pending->claim_capacity = needed * 2;
    return TEARS_OK;
}

static void claim(struct t3_pending *pending, struct t3_entry *entry)
{
    if ((entry->flags & T3_ENTRY_CLAIMED) != 0)
        return;
    entry->flags |= T3_ENTRY_CLAIMED;
    pending->claims[pending->claim_count++] = (struct t3_claim){entry->table, entry->id};
}

static void release(struct t3_pending *pending)
{
    for (size_t i = 0; i < pending->claim_count; i++) {
        const struct t3_claim *claim = &pending->claims[i];
        struct t3_entry *entry = t3_list_find(&claim->table->list, claim->id);
        if (entry != NULL)
            entry->flags &= ~(uint32_t)T3_ENTRY_CLAIMED;
    }
    pending->claim_count = 0;
}

static tears_status release_led(struct t3_pending *pending, struct t3_pending_call *call)
{
    (void)call;
    release(pending);
    return TEARS_OK;
}

void t3_pending_release(struct t3_pending *pending)
{
    struct t3_pending_call call = {.run = release_led};
    (void)t3_pending_enter(pending, &call, never, NULL); /* never fails without a deadline */
}

/* ---- collecting --------------------------------------------------------------------------------- */

struct collecting {
    struct t3_pending_call call; /* first */
    struct t3_pending_table *const *tables;
    size_t table_count;
    uint64_t after_id;
    size_t max;
    uint32_t not_with; /* flags of records that are passed over */
    struct t3_arena *arena;
    struct t3_pending_item *items;
    size_t count;
};

/* Where collecting has got to in one table. */
struct reading {
    struct t3_pending_table *table;
    size_t at;
    uint32_t not_with;
};

static const uint32_t not_to_be_sent = T3_ENTRY_FLYING | T3_ENTRY_PARKED;

static bool is_follower(const struct t3_entry *entry)
{
    struct t3_record record;
    t3_entry_record(entry, &record);
    return record.follows;
}

static bool is_first(const struct t3_entry *entry, uint32_t not_with)
{
    return entry != NULL && (entry->flags & not_with) == 0 &&
           (entry->flags & T3_ENTRY_INDEXED) != 0 && !is_follower(entry);
}

/* The next record of the table that is to be collected; NULL: none. */
static struct t3_entry *peek(struct reading *reading)
{
    const struct t3_entry_list *list = &reading->table->list;
    while (reading->at < list->count &&
           !is_first(list->places[reading->at].entry, reading->not_with))
        reading->at++;
    return reading->at < list->count ? list->places[reading->at].entry : NULL;
}

static tears_status begin_reading(struct t3_pending *pending, const struct collecting *collecting,
                                  struct reading **readings_out, size_t *count_out)
{
    size_t count = 0;
    const size_t room = collecting->table_count + pending->table_count + 1;
    struct reading *readings = t3_arena_array(&pending->arena, room, sizeof *readings);
    if (readings == NULL)
        return TEARS_NO_MEMORY;
    for (size_t i = 0; i < collecting->table_count; i++)
        readings[count++].table = collecting->tables[i];
    struct t3_pending_table *table = atomic_load(&pending->tables);
    for (; collecting->table_count == 0 && table != NULL; table = table->next)
        if (table->is_open)
            readings[count++].table = table;
    for (size_t i = 0; i < count; i++) {
        readings[i].at = t3_list_after(&readings[i].table->list, collecting->after_id);
        readings[i].not_with = collecting->not_with;
    }
    *readings_out = readings;
    *count_out = count;
    return TEARS_OK;
}

/* The record with the lowest id of all tables. */
static struct t3_entry *take_lowest(struct reading *readings, size_t count)
{
    struct t3_entry *lowest = NULL;
    struct reading *of = NULL;
    for (size_t i = 0; i < count; i++) {
        struct t3_entry *entry = peek(&readings[i]);
        if (entry != NULL && (lowest == NULL || entry->id < lowest->id)) {
            lowest = entry;
            of = &readings[i];
        }
    }
    if (of != NULL)
        of->at++;
    return lowest;
}

static tears_status collect_led(struct t3_pending *pending, struct t3_pending_call *call)
{
    struct collecting *collecting = (struct collecting *)(void *)call;
    struct reading *readings;
    size_t count;
    release(pending);
    T3_TRY(begin_reading(pending, collecting, &readings, &count));
    uint64_t room = atomic_load(&pending->rows);
    room = room < collecting->max ? room : collecting->max;
    collecting->items = t3_arena_array(collecting->arena, room + 1, sizeof *collecting->items);
    if (collecting->items == NULL || reserve_claims(pending, room) != TEARS_OK)
        return TEARS_NO_MEMORY;
    while (collecting->count < room) {
        struct t3_entry *entry = take_lowest(readings, count);
        if (entry == NULL)
            break;
        claim(pending, entry);
        struct t3_pending_item *item = &collecting->items[collecting->count++];
        item->table = entry->table;
        t3_entry_record(entry, &item->record);
    }
    return TEARS_OK;
}

static tears_status collect(struct t3_pending *pending, struct collecting *collecting,
                            struct t3_pending_item **items_out, size_t *count_out)
{
    collecting->call.run = collect_led;
    T3_TRY(t3_pending_enter(pending, &collecting->call, never, NULL));
    *items_out = collecting->items;
    *count_out = collecting->count;
    return TEARS_OK;
}

tears_status t3_pending_collect(struct t3_pending *pending, struct t3_pending_table *const *tables,
                                size_t table_count, uint64_t after_id, size_t max,
                                struct t3_arena *arena, struct t3_pending_item **items_out,
                                size_t *count_out)
{
    struct collecting collecting = {.tables = tables,
                                    .table_count = table_count,
                                    .after_id = after_id,
                                    .max = max,
                                    .not_with = not_to_be_sent,
                                    .arena = arena};
    return collect(pending, &collecting, items_out, count_out);
}

tears_status t3_pending_survey(struct t3_pending *pending, struct t3_pending_table *table,
                               uint64_t after_id, size_t max, struct t3_arena *arena,
                               struct t3_pending_item **items_out, size_t *count_out)
{
    struct collecting collecting = {
        .tables = &table, .table_count = 1, .after_id = after_id, .max = max, .arena = arena};
    return collect(pending, &collecting, items_out, count_out);
}

/* ---- records by id ------------------------------------------------------------------------------ */

struct finding {
    struct t3_pending_call call; /* first */
    const struct t3_journal_ref *refs;
    size_t count;
    struct t3_pending_item *items;
    size_t found;
};

static struct t3_entry *find_anywhere(struct t3_pending *pending, uint64_t id)
{
    struct t3_entry *entry = NULL;
    struct t3_pending_table *table = atomic_load(&pending->tables);
    for (; table != NULL && entry == NULL; table = table->next)
        if (table->is_open)
            entry = t3_list_find(&table->list, id);
    return entry;
}

static tears_status find_led(struct t3_pending *pending, struct t3_pending_call *call)
{
    struct finding *finding = (struct finding *)(void *)call;
    for (size_t i = 0; i < finding->count; i++) {
        const struct t3_entry *entry = find_anywhere(pending, finding->refs[i].id);
        if (entry == NULL || entry->seq != finding->refs[i].seq ||
            (entry->flags & T3_ENTRY_INDEXED) == 0)
            continue;
        struct t3_pending_item *item = &finding->items[finding->found++];
        item->table = entry->table;
        t3_entry_record(entry, &item->record);
    }
    return TEARS_OK;
}

tears_status t3_pending_flown(struct t3_pending *pending, const struct t3_journal_ref *refs,
                              size_t count, struct t3_arena *arena,
                              struct t3_pending_item **items_out, size_t *count_out)
{
    struct finding finding = {.call = {.run = find_led}, .refs = refs, .count = count};
    finding.items = t3_arena_array(arena, count + 1, sizeof *finding.items);
    if (finding.items == NULL)
        return TEARS_NO_MEMORY;
    T3_TRY(t3_pending_enter(pending, &finding.call, never, NULL));
    *items_out = finding.items;
    *count_out = finding.found;
    return TEARS_OK;
}

struct picking {
    struct t3_pending_call call; /* first */
    uint64_t id;
    struct t3_pending_item *item_out;
    bool is_found;
    bool is_free;
};

static tears_status pick_led(struct t3_pending *pending, struct t3_pending_call *call)
{
    struct picking *picking = (struct picking *)(void *)call;
    struct t3_entry *entry = find_anywhere(pending, picking->id);
    if (entry == NULL || (entry->flags & T3_ENTRY_INDEXED) == 0)
        return TEARS_OK;
    picking->is_found = true;
    if (!is_first(entry, not_to_be_sent) || reserve_claims(pending, 1) != TEARS_OK)
        return TEARS_OK;
    claim(pending, entry);
    picking->is_free = true;
    picking->item_out->table = entry->table;
    t3_entry_record(entry, &picking->item_out->record);
    return TEARS_OK;
}

bool t3_pending_item(struct t3_pending *pending, uint64_t id, struct t3_pending_item *item_out,
                     bool *is_free_out)
{
    struct picking picking = {.call = {.run = pick_led}, .id = id, .item_out = item_out};
    (void)t3_pending_enter(pending, &picking.call, never, NULL); /* as above */
    *is_free_out = picking.is_free;
    return picking.is_found;
}

/* ---- taking off --------------------------------------------------------------------------------- */

struct taking_off {
    struct t3_pending_call call; /* first */
    const struct t3_pending_item *items;
    size_t count;
    uint64_t batch;
};

static tears_status fly_led(struct t3_pending *pending, struct t3_pending_call *call)
{
    struct taking_off *taking_off = (struct taking_off *)(void *)call;
    const struct t3_pending_item *items = taking_off->items;
    struct t3_journal_ref *refs = t3_arena_array(&pending->arena, taking_off->count, sizeof *refs);
    if (refs == NULL)
        return t3_fail_memory(call->error_out, "deferred");
    for (size_t i = 0; i < taking_off->count; i++)
        refs[i] = (struct t3_journal_ref){items[i].record.id, items[i].record.seq};
    T3_TRY(t3_journal_fly(pending->options.journal, refs, taking_off->count, call->deadline,
                          &taking_off->batch, call->error_out));
    for (size_t i = 0; i < taking_off->count; i++) {
        struct t3_entry *entry = t3_list_find(&items[i].table->list, refs[i].id);
        T3_ASSERT(entry != NULL && entry->seq == refs[i].seq); /* it was claimed */
        t3_entry_set_flag(entry, T3_ENTRY_FLYING, true);
    }
    return TEARS_OK;
}

tears_status t3_pending_fly(struct t3_pending *pending, const struct t3_pending_item *items,
                            size_t count, struct t3_deadline deadline, uint64_t *batch_out,
                            struct tears_error *error_out)
{
    struct taking_off taking_off = {.call = {.run = fly_led}, .items = items, .count = count};
    T3_TRY(t3_pending_enter(pending, &taking_off.call, deadline, error_out));
    *batch_out = taking_off.batch;
    return TEARS_OK;
}

/* ---- parked records ----------------------------------------------------------------------------- */

struct unparking {
    struct t3_pending_call call; /* first */
    const struct t3_pending_table *parent;
};

static bool refers_to(const struct tears_schema *schema, struct tears_str parent)
{
    for (size_t i = 0; i < schema->foreign_key_count; i++)
        if (t3_str_equal(schema->foreign_keys[i].references_table, parent))
            return true;
    for (uint32_t i = 0; i < schema->column_count; i++)
        if (t3_str_equal(schema->columns[i].references_table, parent))
            return true;
    return false;
}

static tears_status unpark_led(struct t3_pending *pending, struct t3_pending_call *call)
{
    const struct t3_pending_table *parent = ((struct unparking *)(void *)call)->parent;
    struct t3_pending_table *table = atomic_load(&pending->tables);
    for (; table != NULL; table = table->next) {
        if (table->parked_count == 0 || (parent != NULL && !refers_to(table->schema, parent->name)))
            continue;
        for (size_t i = 0; i < table->parked_count; i++) {
            struct t3_entry *entry = t3_list_find(&table->list, table->parked[i]);
            if (entry != NULL)
                t3_entry_set_flag(entry, T3_ENTRY_PARKED, false);
        }
        table->parked_count = 0;
    }
    return TEARS_OK;
}

void t3_pending_unpark(struct t3_pending *pending, const struct t3_pending_table *parent)
{
    struct unparking unparking = {.call = {.run = unpark_led}, .parent = parent};
    (void)t3_pending_enter(pending, &unparking.call, never, NULL); /* as above */
}
