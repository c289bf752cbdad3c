/*
 * pending_recover.c -- records that come out of the file: at the start, and dead letters that are tried again.
 *
 * Owns:     the layouts that records were found under.
 * Knows:    the journal, records, the index.
 * Must not know: L3.
 * Threads:  t3_pending_recover and t3_pending_take_marked any; all else the leader of the queue.
 * Fails:    as the journal; TEARS_CORRUPT, TEARS_NO_MEMORY.
 * Begin at: t3_pending_recover(), then t3_pending_adopt().
 *
 * Reading is one pass over the file and one block of memory per record.  What a record says is looked at when its table is opened, and only
 * when its layout is not the table's own is it made anew.
 */
#include "base/fail.h"
#include "base/limits.h"
#include "deferred/pending_impl.h"

#include <inttypes.h>

enum { CHUNK = 4096 };

static const char unreadable[] = "the record cannot be read: it is damaged";

/* ---- reading the file --------------------------------------------------------------------------- */

struct recovering {
    struct t3_pending_call call; /* first */
    struct t3_pending *pending;
    struct t3_arena *arena;
    struct t3_found_layout *last; /* found; most records are of the same as the one before */
    struct t3_pending_table
        *counted; /* whose records these are: figures that threads share are moved once for many */
    uint64_t rows, bytes;
    struct t3_pending_flight *flights;
    size_t flight_count, flight_capacity;
    uint64_t damaged;
};

static struct t3_found_layout *find_layout(struct recovering *recovering, uint64_t number)
{
    if (recovering->last != NULL && recovering->last->number == number)
        return recovering->last;
    struct t3_found_layout *layout = recovering->pending->layouts;
    while (layout != NULL && layout->number != number)
        layout = layout->next;
    return layout;
}

static tears_status take_layout(void *owner, uint64_t number, struct tears_str name,
                                struct tears_str bytes)
{
    struct recovering *recovering = owner;
    struct t3_pending *pending = recovering->pending;
    struct t3_found_layout *layout = t3_alloc(sizeof *layout + bytes.len);
    if (layout == NULL)
        return TEARS_NO_MEMORY;
    memset(layout, 0, sizeof *layout);
    if (t3_pending_name_table(pending, name, &layout->table) != TEARS_OK) {
        t3_free(layout);
        return TEARS_NO_MEMORY;
    }
    char *copy = (char *)(layout + 1);
    if (bytes.len > 0)
        memcpy(copy, bytes.ptr, bytes.len);
    layout->number = number;
    layout->bytes = tears_str_n(copy, bytes.len);
    layout->next = pending->layouts;
    pending->layouts = layout;
    return TEARS_OK;
}

static tears_status take_flight(void *owner, uint64_t batch, const struct t3_journal_ref *refs,
                                size_t count)
{
    struct recovering *recovering = owner;
    struct t3_journal_ref *copy = t3_arena_array(recovering->arena, count + 1, sizeof *copy);
    if (copy == NULL)
        return TEARS_NO_MEMORY;
    if (count > 0)
        memcpy(copy, refs, count * sizeof *copy);
    if (recovering->flight_count == recovering->flight_capacity) {
        const size_t capacity = recovering->flight_capacity * 2 + 8;
        struct t3_pending_flight *flights =
            t3_arena_array(recovering->arena, capacity, sizeof *flights);
        if (flights == NULL)
            return TEARS_NO_MEMORY;
        if (recovering->flight_count > 0)
            memcpy(flights, recovering->flights, recovering->flight_count * sizeof *flights);
        recovering->flights = flights;
        recovering->flight_capacity = capacity;
    }
    recovering->flights[recovering->flight_count++] =
        (struct t3_pending_flight){batch, copy, count};
    return TEARS_OK;
}

/* The table that a record is of: by its layout, found in the file or given since. */
static struct t3_pending_table *table_of(struct recovering *recovering, uint64_t number)
{
    struct t3_found_layout *layout = find_layout(recovering, number);
    if (layout != NULL) {
        recovering->last = layout;
        return layout->table;
    }
    struct t3_pending_table *table = atomic_load(&recovering->pending->tables);
    while (table != NULL && table->layout != number)
        table = table->next;
    return table;
}

/* Adds what was counted to the table's figures, and goes on with another one. */
static void count_for(struct recovering *recovering, struct t3_pending_table *table)
{
    struct t3_pending_table *counted = recovering->counted;
    if (counted != NULL) {
        counted->unindexed += recovering->rows;
        atomic_fetch_add(&counted->found, recovering->rows);
        atomic_fetch_add(&counted->rows, recovering->rows);
        atomic_fetch_add(&counted->bytes, recovering->bytes);
        atomic_fetch_add(&recovering->pending->rows, recovering->rows);
        atomic_fetch_add(&recovering->pending->bytes, recovering->bytes);
    }
    recovering->counted = table;
    recovering->rows = 0;
    recovering->bytes = 0;
}

static tears_status take_record(void *owner, const struct t3_journal_found *found)
{
    struct recovering *recovering = owner;
    struct t3_pending_table *table = table_of(recovering, found->layout);
    if (table == NULL)
        return t3_fail(recovering->call.error_out, TEARS_CORRUPT, "deferred",
                       "record %" PRIu64 " of the log is of layout %" PRIu64
                       ", which the log does not have",
                       found->id, found->layout);
    T3_TRY(t3_list_reserve(&table->list, 1));
    struct t3_entry *entry = t3_entry_found(table, found->bytes);
    if (entry == NULL)
        return TEARS_NO_MEMORY;
    entry->id = found->id;
    entry->seq = found->seq;
    entry->hash = found->layout;
    t3_list_add(&table->list, entry);
    if (table != recovering->counted)
        count_for(recovering, table);
    recovering->rows++;
    recovering->bytes += entry->size;
    if (found->seq > recovering->pending->seq)
        recovering->pending->seq = found->seq;
    return TEARS_OK;
}

static void settle_tables(struct t3_pending *pending)
{
    struct t3_pending_table *table = atomic_load(&pending->tables);
    for (; table != NULL; table = table->next)
        t3_table_settle(table);
}

/* Records whose batch may have landed are not to be touched before that is known. */
static void mark_flying(struct t3_pending *pending, const struct t3_pending_flight *flight)
{
    for (size_t i = 0; i < flight->count; i++) {
        struct t3_pending_table *table = atomic_load(&pending->tables);
        struct t3_entry *entry = NULL;
        for (; table != NULL && entry == NULL; table = table->next)
            entry = t3_list_find(&table->list, flight->refs[i].id);
        if (entry != NULL && entry->seq == flight->refs[i].seq)
            t3_entry_set_flag(entry, T3_ENTRY_FLYING, true);
    }
}

static tears_status recover_led(struct t3_pending *pending, struct t3_pending_call *call)
{
    struct recovering *recovering = (struct recovering *)(void *)call;
    const struct t3_journal_reader reader = {
        .layout = take_layout, .record = take_record, .flight = take_flight, .owner = recovering};
    const tears_status status = t3_journal_recover(
        pending->options.journal, &reader, call->deadline, &recovering->damaged, call->error_out);
    count_for(recovering, NULL);
    t3_slab_end(pending);
    if (status == TEARS_NO_MEMORY)
        return t3_fail_memory(call->error_out, "deferred");
    T3_TRY(status);
    for (size_t i = 0; i < recovering->flight_count; i++)
        mark_flying(pending, &recovering->flights[i]);
    settle_tables(pending);
    return TEARS_OK;
}

tears_status t3_pending_recover(struct t3_pending *pending, struct t3_arena *arena,
                                struct t3_deadline deadline,
                                const struct t3_pending_flight **flights_out, size_t *count_out,
                                struct tears_error *error_out)
{
    struct recovering recovering = {
        .call = {.run = recover_led}, .pending = pending, .arena = arena};
    T3_TRY(t3_pending_enter(pending, &recovering.call, deadline, error_out));
    *flights_out = recovering.flights;
    *count_out = recovering.flight_count;
    return TEARS_OK;
}

/* ---- records of another layout ------------------------------------------------------------------ */

/* Records that are made anew or die, in one step of the journal. */
struct chunk {
    struct t3_pending_table *table;
    struct t3_arena *arena;
    struct t3_journal_put puts[CHUNK];
    struct t3_entry *made[CHUNK]; /* of the puts */
    struct t3_journal_death deaths[CHUNK];
    size_t put_count, death_count;
};

static tears_status die(struct chunk *chunk, const struct t3_entry *entry, struct tears_str why)
{
    struct tears_str message;
    T3_TRY(t3_arena_str(chunk->arena, why, &message));
    chunk->deaths[chunk->death_count++] =
        (struct t3_journal_death){.id = entry->id, .message = message};
    return TEARS_OK;
}

static tears_status schema_of(struct t3_pending *pending, uint64_t number,
                              const struct tears_schema **schema_out)
{
    struct t3_found_layout *layout = pending->layouts;
    while (layout != NULL && layout->number != number)
        layout = layout->next;
    if (layout == NULL)
        return TEARS_CORRUPT;
    if (layout->schema == NULL)
        T3_TRY(t3_record_layout_read(layout->bytes, &layout->schema));
    *schema_out = layout->schema;
    return TEARS_OK;
}

static tears_status convert(struct chunk *chunk, const struct t3_entry *entry)
{
    struct t3_pending_table *table = chunk->table;
    const struct tears_schema *from;
    struct t3_record record;
    struct t3_record converted;
    struct tears_error error;
    t3_error_clear(&error);
    tears_status status = schema_of(table->pending, entry->hash, &from);
    if (status == TEARS_OK)
        status =
            t3_record_read(from, tears_str_n(entry->bytes, entry->size), chunk->arena, &record);
    if (status == TEARS_CORRUPT)
        return die(chunk, entry, tears_str_c(unreadable));
    T3_TRY(status);
    status = t3_record_convert(from, &record, table->schema, chunk->arena, &converted, &error);
    if (status == TEARS_INVALID)
        return die(chunk, entry, tears_str_c(error.message));
    T3_TRY(status);
    struct t3_entry *made = t3_entry_new(table, &converted);
    if (made == NULL)
        return TEARS_NO_MEMORY;
    made->id = entry->id;
    made->seq = entry->seq; /* says what it said: whatever refers to it still does */
    made->hash = table->layout;
    chunk->made[chunk->put_count] = made;
    chunk->puts[chunk->put_count++] =
        (struct t3_journal_put){.id = made->id,
                                .seq = made->seq,
                                .layout = table->layout,
                                .bytes = tears_str_n(made->bytes, made->size)};
    return TEARS_OK;
}

static tears_status note_chunk(struct chunk *chunk, struct t3_deadline deadline,
                               struct tears_error *error_out)
{
    const struct t3_journal_landing landing = {.deaths = chunk->deaths,
                                               .death_count = chunk->death_count,
                                               .puts = chunk->puts,
                                               .put_count = chunk->put_count};
    return t3_journal_land(chunk->table->pending->options.journal, &landing, deadline, error_out);
}

/* Entries that are not in the index yet are in the list only. */
static void carry_out_chunk(struct chunk *chunk)
{
    struct t3_pending_table *table = chunk->table;
    for (size_t i = 0; i < chunk->put_count; i++) {
        struct t3_entry *made = chunk->made[i];
        struct t3_entry *old = t3_list_find(&table->list, made->id);
        made->flags = old->flags;
        t3_list_set(&table->list, made->id, made);
        t3_pending_count(table, old, made);
        t3_entry_free(old);
    }
    for (size_t i = 0; i < chunk->death_count; i++) {
        t3_entry_drop(t3_list_find(&table->list, chunk->deaths[i].id));
        table->unindexed--;
        atomic_fetch_add(&table->dead, 1);
        t3_log(table->pending->options.log, TEARS_LOG_ERROR, "deferred",
               "table '" T3_STR_FMT "': pending write %" PRIu64
               " has become a dead letter: " T3_STR_FMT,
               T3_STR_ARG(table->name), chunk->deaths[i].id, T3_STR_ARG(chunk->deaths[i].message));
    }
    chunk->put_count = 0;
    chunk->death_count = 0;
}

static tears_status end_chunk(struct chunk *chunk, struct t3_deadline deadline,
                              struct tears_error *error_out)
{
    if (chunk->put_count == 0 && chunk->death_count == 0)
        return TEARS_OK;
    const tears_status status = note_chunk(chunk, deadline, error_out);
    if (status == TEARS_OK)
        carry_out_chunk(chunk);
    for (size_t i = 0; i < chunk->put_count; i++)
        t3_entry_free(chunk->made[i]);
    chunk->put_count = 0;
    t3_arena_reset(chunk->arena);
    return status;
}

/* ---- into the index ----------------------------------------------------------------------------- */

enum { AHEAD = 32 }; /* so many slots are fetched from memory at once */

/* A record whose place is being looked for. */
struct newcomer {
    struct t3_entry *entry;
    uint64_t hash;
    bool is_damaged;
};

static void meet(struct chunk *chunk, struct t3_entry *entry, struct newcomer *newcomer)
{
    struct t3_pending_table *table = chunk->table;
    struct tears_value storage[T3_KEY_COLUMNS_MAX];
    struct t3_record record;
    struct t3_key key;
    newcomer->entry = entry;
    newcomer->is_damaged = t3_record_read(table->schema, tears_str_n(entry->bytes, entry->size),
                                          chunk->arena, &record) != TEARS_OK;
    if (newcomer->is_damaged)
        return;
    t3_key_of_row(table->schema, record.row, storage, &key);
    newcomer->hash = t3_index_hash(table, &key);
    t3_index_expect(table->pending, newcomer->hash);
}

/* The first record of the same key.  Nearly always there is none, and that can be told by the hash. */
static struct t3_entry *find_first(struct t3_pending_table *table, const struct t3_record *record,
                                   uint64_t hash)
{
    struct tears_value storage[T3_KEY_COLUMNS_MAX];
    struct t3_key key;
    if (T3_LIKELY(!t3_index_has(table->pending, hash)))
        return NULL;
    t3_key_of_row(table->schema, record->row, storage, &key);
    return t3_index_find(table, &key, hash);
}

/* Why the record cannot be found a place; "" when it has one now. */
static tears_status settle_down(struct t3_pending_table *table, struct t3_entry *entry,
                                uint64_t hash, struct tears_str *why_out)
{
    struct t3_record record;
    t3_entry_record(entry, &record);
    struct t3_entry *first = find_first(table, &record, hash);
    *why_out = TEARS_STR("");
    if (first == NULL && record.follows) {
        *why_out = TEARS_STR("it follows a write of the same row that is not pending");
        return TEARS_OK;
    }
    if (first != NULL && (!record.follows || first->follower != NULL)) {
        *why_out =
            TEARS_STR("another write of the same row is pending: try again when it has landed");
        return TEARS_OK;
    }
    if (first == NULL)
        T3_TRY(t3_index_reserve(table->pending, hash));
    entry->hash = hash;
    if (first == NULL)
        t3_index_swap(table->pending, NULL, entry);
    else
        t3_index_set_follower(table->pending, first, entry);
    table->unindexed--;
    return TEARS_OK;
}

static tears_status place(struct chunk *chunk, const struct newcomer *newcomer)
{
    struct tears_str why = tears_str_c(unreadable);
    if (!newcomer->is_damaged)
        T3_TRY(settle_down(chunk->table, newcomer->entry, newcomer->hash, &why));
    return why.len > 0 ? die(chunk, newcomer->entry, why) : TEARS_OK;
}

/* The next of the list, from *at on, that have no place yet; gives how many. */
static size_t next_newcomers(struct chunk *chunk, size_t *at, struct newcomer *newcomers)
{
    const struct t3_entry_list *list = &chunk->table->list;
    size_t count = 0;
    for (; *at < list->count && count < AHEAD; (*at)++) {
        struct t3_entry *entry = list->places[*at].entry;
        if (entry != NULL && (entry->flags & T3_ENTRY_INDEXED) == 0)
            meet(chunk, entry, &newcomers[count++]);
    }
    return count;
}

static tears_status place_all(struct chunk *chunk, struct t3_deadline deadline,
                              struct tears_error *error_out)
{
    struct newcomer newcomers[AHEAD];
    size_t count;
    t3_index_expect_many(chunk->table->pending, chunk->table->unindexed);
    for (size_t at = chunk->table->list.first; chunk->table->unindexed > 0;) {
        while (chunk->death_count < CHUNK - AHEAD &&
               (count = next_newcomers(chunk, &at, newcomers)) > 0)
            for (size_t i = 0; i < count; i++)
                if (place(chunk, &newcomers[i]) != TEARS_OK)
                    return t3_fail_memory(error_out, "deferred");
        const bool is_last = at >= chunk->table->list.count;
        T3_TRY(end_chunk(chunk, deadline, error_out));
        if (is_last)
            break;
    }
    return TEARS_OK;
}

static tears_status convert_all(struct chunk *chunk, struct t3_deadline deadline,
                                struct tears_error *error_out)
{
    const struct t3_pending_table *table = chunk->table;
    for (size_t at = table->list.first; at < table->list.count; at++) {
        const struct t3_entry *entry = table->list.places[at].entry;
        if (entry == NULL || (entry->flags & T3_ENTRY_INDEXED) != 0 || entry->hash == table->layout)
            continue;
        if (convert(chunk, entry) != TEARS_OK)
            return t3_fail_memory(error_out, "deferred");
        if (chunk->put_count == CHUNK || chunk->death_count == CHUNK)
            T3_TRY(end_chunk(chunk, deadline, error_out));
    }
    return end_chunk(chunk, deadline, error_out);
}

/* What a failure leaves behind: records that were made and not written. */
static void forget(struct chunk *chunk)
{
    for (size_t i = 0; i < chunk->put_count; i++)
        t3_entry_free(chunk->made[i]);
    t3_free(chunk);
}

tears_status t3_pending_adopt(struct t3_pending_table *table, struct t3_deadline deadline,
                              struct tears_error *error_out)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    T3_TRY(t3_pending_layout(table, deadline, error_out));
    struct chunk *chunk = t3_alloc_zero(1, sizeof *chunk);
    if (chunk == NULL)
        return t3_fail_memory(error_out, "deferred");
    chunk->table = table;
    chunk->arena = &arena;
    tears_status status = convert_all(chunk, deadline, error_out);
    if (status == TEARS_OK)
        status = place_all(chunk, deadline, error_out);
    forget(chunk);
    t3_index_unreserve(table->pending); /* of one that could not be placed */
    t3_table_settle(table);
    return status;
}

/* ---- dead letters that are tried again ----------------------------------------------------------- */

static tears_status take_marked_led(struct t3_pending *pending, struct t3_pending_call *call)
{
    struct recovering *recovering = (struct recovering *)(void *)call;
    const struct t3_journal_reader reader = {
        .layout = take_layout, .record = take_record, .flight = take_flight, .owner = recovering};
    const tears_status status = t3_journal_take_marked(
        pending->options.journal, &reader, ++pending->seq, call->deadline, call->error_out);
    count_for(recovering, NULL);
    if (status == TEARS_NO_MEMORY)
        return t3_fail_memory(call->error_out, "deferred");
    T3_TRY(status);
    struct t3_pending_table *table = atomic_load(&pending->tables);
    for (; table != NULL; table = table->next)
        if (table->is_open && table->unindexed > 0)
            T3_TRY(t3_pending_adopt(table, call->deadline, call->error_out));
    settle_tables(pending);
    return TEARS_OK;
}

tears_status t3_pending_take_marked(struct t3_pending *pending, struct t3_deadline deadline,
                                    struct tears_error *error_out)
{
    struct recovering taking = {
        .call = {.run = take_marked_led}, .pending = pending, .arena = &pending->arena};
    return t3_pending_enter(pending, &taking.call, deadline, error_out);
}
