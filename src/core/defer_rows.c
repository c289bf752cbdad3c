/*
 * defer_rows.c -- the write path of deferred tables, and reading what is pending.
 *
 * Owns:     nothing.
 * Knows:    what a save does when the journal is full, and when pending rows stand in the way of a write to L3.
 * Must not know: how pending rows are kept.
 * Threads:  the session's.
 * Fails:    as the journal does.
 * Begin at: t3_defer_rows(), t3_defer_look().
 */
#include "core/defer.h"

#include "base/fail.h"
#include "core/herald.h"

/* ---- reading ----------------------------------------------------------------------------------- */

tears_status t3_defer_look(struct tears_session *session, struct tears_collection *collection,
                           const struct t3_key *key, struct t3_found *found_out, bool *answered_out)
{
    enum t3_pending_answer answer;
    struct t3_pending_hit hit;
    if (t3_pending_look(collection->pending, key, &session->arena, &answer, &hit) != TEARS_OK)
        return t3_session_no_memory(session);
    *answered_out = answer != T3_PENDING_NOTHING;
    if (!*answered_out)
        return TEARS_OK;
    *found_out = (struct t3_found){.row = answer == T3_PENDING_ROW ? hit.row : NULL,
                                   .confirmed_ms = t3_now_coarse_ms(),
                                   .pending_seq = hit.seq,
                                   .tier = TEARS_TIER_PENDING};
    t3_count(&collection->client->counters.pending_reads, 1);
    return TEARS_OK;
}

/* ---- a write to L3 that pending rows may stand in the way of --------------------------------------- */

static bool is_pending(struct tears_collection *collection, const struct t3_key *key)
{
    struct t3_journal_ref ref;
    return key->count > 0 && t3_pending_find(collection->pending, key, &ref);
}

tears_status t3_defer_refuse(struct tears_session *session,
                             const struct tears_collection *collection)
{
    if (collection == NULL || collection->pending == NULL ||
        t3_pending_is_empty(collection->pending))
        return TEARS_OK;
    return t3_fail(&session->error, TEARS_CONFLICT, "deferred",
                   "table '" T3_STR_FMT "' has deferred writes that wait: call tears_flush first",
                   T3_STR_ARG(collection->schema->name));
}

/* The first change whose row is pending, or NULL. */
static const struct t3_change *find_pending(struct tears_collection *collection,
                                            const struct t3_change *changes, size_t count)
{
    for (size_t i = 0; i < count && !t3_pending_is_empty(collection->pending); i++)
        if (is_pending(collection, &changes[i].key))
            return &changes[i];
    return NULL;
}

static tears_status say_pending(struct tears_session *session,
                                const struct tears_collection *collection,
                                const struct t3_change *change, const char *what)
{
    T3_AUTO(t3_buf_done) struct t3_buf key = {0};
    if (t3_key_put_display(&change->key, &key) != TEARS_OK)
        t3_buf_clear(&key);
    return t3_fail(&session->error, TEARS_CONFLICT, "deferred",
                   "table '" T3_STR_FMT "', key (" T3_STR_FMT "): a deferred write waits: %s",
                   T3_STR_ARG(collection->schema->name), T3_STR_ARG(t3_buf_str(&key)), what);
}

/* Has what is pending of the table written, so that a write to L3 does not overtake it. */
static tears_status clear_the_way(struct tears_session *session,
                                  struct tears_collection *collection,
                                  const struct t3_change *changes, size_t count)
{
    const struct t3_change *change = find_pending(collection, changes, count);
    if (change == NULL)
        return TEARS_OK;
    if (session->tx != NULL)
        return say_pending(session, collection, change,
                           "call tears_flush before the transaction begins");
    T3_TRY(t3_session_status(
        session, t3_deferred_flush(collection->client->deferred, &collection->schema->name, 1,
                                   t3_session_deadline(session), NULL, &session->error)));
    change = find_pending(collection, changes, count);
    return change == NULL
               ? TEARS_OK
               : say_pending(session, collection, change, "see `tears pending` and `tears dead`");
}

/* ---- saving ------------------------------------------------------------------------------------ */

static uint8_t record_kind(enum t3_write_kind kind)
{
    switch (kind) {
    case T3_WRITE_INSERT:
        return T3_RECORD_INSERT;
    case T3_WRITE_UPSERT:
        return T3_RECORD_UPSERT;
    case T3_WRITE_UPDATE:
        return T3_RECORD_UPDATE;
    case T3_WRITE_DELETE:
        break;
    }
    return T3_RECORD_DELETE;
}

/* A batch on its way into the journal. */
struct saving {
    struct tears_session *session;
    struct tears_collection *collection;
    enum t3_write_kind kind;
    const struct t3_change *changes;
    size_t count;
    struct t3_defer *defers;
    struct t3_key *keys; /* of rows whose key was made here */
    struct t3_pending_outcome *outcomes;
    struct tears_entity *entities;
};

/* Nobody can say which key the database will make; a UUID is made here. */
static tears_status refuse_key(const struct saving *saving)
{
    return t3_fail(&saving->session->error, TEARS_INVALID, "deferred",
                   "table '" T3_STR_FMT "': a deferred insert needs its whole primary key, for the "
                   "database is not asked for one now; only a single UUID is made here",
                   T3_STR_ARG(saving->collection->schema->name));
}

/* Adds a new UUID as the key to the cells of an insert. */
static tears_status make_key(struct saving *saving, const struct t3_change *change,
                             struct t3_defer *defer, struct t3_key *key_out)
{
    struct tears_session *session = saving->session;
    const struct tears_schema *schema = saving->collection->schema;
    const uint32_t column = schema->key[0];
    if (schema->key_count != 1 || schema->columns[column].kind != TEARS_KIND_UUID)
        return refuse_key(saving);
    uint8_t uuid[16];
    tears_uuid_new(uuid);
    const struct tears_value value = tears_uuid(uuid);
    struct tears_value storage;
    struct t3_key key;
    struct t3_cell *cells = t3_arena_array(&session->arena, change->cell_count + 1, sizeof *cells);
    if (cells == NULL ||
        t3_key_init(schema, &value, 1, &storage, &session->arena, &key, &session->error) !=
            TEARS_OK ||
        t3_key_copy(&key, &session->arena, key_out) != TEARS_OK)
        return t3_session_no_memory(session);
    uint32_t n = 0;
    for (uint32_t i = 0; i <= change->cell_count; i++) {
        const bool is_place =
            n == i && (i == change->cell_count || change->cells[i].column > column);
        if (is_place)
            cells[n++] = (struct t3_cell){.column = column, .value = key_out->values[0]};
        if (i < change->cell_count)
            cells[n++] = change->cells[i];
    }
    defer->cells = cells;
    defer->cell_count = n;
    return TEARS_OK;
}

static tears_status fill_defer(struct saving *saving, size_t index)
{
    const struct t3_change *change = &saving->changes[index];
    struct t3_defer *defer = &saving->defers[index];
    *defer = (struct t3_defer){.kind = record_kind(saving->kind),
                               .key = &change->key,
                               .cells = change->cells,
                               .cell_count = change->cell_count,
                               .has_base = change->has_base,
                               .base = change->base,
                               .pending_seq = change->pending_seq,
                               .from = change->from};
    if (change->key.count > 0)
        return TEARS_OK;
    defer->key = &saving->keys[index];
    return make_key(saving, change, defer, &saving->keys[index]);
}

static tears_status make_room(struct saving *saving, bool with_outcomes)
{
    struct t3_arena *arena = &saving->session->arena;
    saving->defers = t3_arena_array(arena, saving->count, sizeof *saving->defers);
    saving->keys = t3_arena_array(arena, saving->count, sizeof *saving->keys);
    saving->outcomes = t3_arena_array(arena, saving->count, sizeof *saving->outcomes);
    if (with_outcomes)
        saving->entities = t3_arena_array(arena, saving->count, sizeof *saving->entities);
    if (saving->defers == NULL || saving->keys == NULL || saving->outcomes == NULL ||
        (with_outcomes && saving->entities == NULL))
        return t3_session_no_memory(saving->session);
    for (size_t i = 0; i < saving->count; i++)
        T3_TRY(fill_defer(saving, i));
    return TEARS_OK;
}

static tears_status save(struct saving *saving)
{
    struct tears_session *session = saving->session;
    return t3_session_status(session, t3_pending_save(saving->collection->pending, saving->defers,
                                                      saving->count, &session->arena,
                                                      t3_session_deadline(session),
                                                      saving->outcomes, &session->error));
}

static uint64_t value_bytes(const struct tears_value *value)
{
    switch (value->kind) {
    case TEARS_KIND_TEXT:
    case TEARS_KIND_DECIMAL:
    case TEARS_KIND_BYTES:
    case TEARS_KIND_JSON:
        return value->as.bytes.len;
    case TEARS_KIND_VECTOR:
        return value->as.vector.len * sizeof(double);
    default:
        return 16;
    }
}

static uint64_t bytes_of(const struct saving *saving)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < saving->count; i++)
        for (uint32_t c = 0; c < saving->defers[i].cell_count; c++)
            bytes += value_bytes(&saving->defers[i].cells[c].value);
    return bytes;
}

/* Whether the journal is full by its limits, and not the disk. */
static bool is_full(const struct tears_session *session, tears_status status)
{
    return status == TEARS_LIMIT && session->error.detail == 0 && !session->arena.limited;
}

/* Saves when there is room; a flush that makes some is under way, for the limits asked for it. */
static tears_status save_when_there_is_room(struct saving *saving)
{
    struct tears_session *session = saving->session;
    struct t3_pending *pending = t3_deferred_pending(saving->collection->client->deferred);
    tears_status status = save(saving);
    while (is_full(session, status)) {
        if (t3_pending_wait_for_room(pending, saving->count, bytes_of(saving),
                                     t3_session_deadline(session)) != TEARS_OK)
            return t3_fail(&session->error, TEARS_TIMEOUT, "deferred",
                           "table '" T3_STR_FMT
                           "': as much is pending as may be, and no flush made "
                           "room before the deadline",
                           T3_STR_ARG(saving->collection->schema->name));
        t3_error_clear(&session->error);
        status = save(saving);
    }
    return status;
}

/* Takes rows past the full journal; what is pending of the table goes first, and what it depends on with it. */
static tears_status write_through(struct saving *saving, bool *done_out)
{
    struct tears_session *session = saving->session;
    t3_error_clear(&session->error);
    *done_out = false;
    T3_TRY(t3_session_status(session, t3_deferred_flush(saving->collection->client->deferred,
                                                        &saving->collection->schema->name, 1,
                                                        t3_session_deadline(session), NULL,
                                                        &session->error)));
    return clear_the_way(session, saving->collection, saving->changes, saving->count);
}

static tears_status save_by_policy(struct saving *saving, bool *done_out)
{
    const uint64_t policy = saving->collection->client->options.journal_full;
    *done_out = true;
    if (policy == TEARS_FULL_BLOCK)
        return save_when_there_is_room(saving);
    const tears_status status = save(saving);
    if (policy == TEARS_FULL_WRITE_THROUGH && is_full(saving->session, status))
        return write_through(saving, done_out);
    return status;
}

/* ---- what the caller gets ------------------------------------------------------------------------ */

static void give_outcome(const struct saving *saving, size_t index,
                         struct tears_outcome *outcome_out)
{
    const struct t3_pending_outcome *outcome = &saving->outcomes[index];
    const struct t3_found found = {.row = outcome->row,
                                   .confirmed_ms = t3_now_coarse_ms(),
                                   .pending_seq = outcome->seq,
                                   .tier = TEARS_TIER_PENDING};
    outcome_out->status = outcome->status;
    outcome_out->entity = outcome->row != NULL ? &saving->entities[index] : NULL;
    t3_entity_init(&saving->entities[index], saving->session, saving->collection, &found);
}

static tears_status sum_up(const struct saving *saving)
{
    size_t bad = SIZE_MAX;
    for (size_t i = 0; i < saving->count; i++) {
        const tears_status status = saving->outcomes[i].status;
        if (status != TEARS_OK &&
            (bad == SIZE_MAX || saving->outcomes[bad].status == TEARS_NOT_FOUND))
            bad = i;
    }
    if (bad == SIZE_MAX || (saving->outcomes[bad].status == TEARS_NOT_FOUND && saving->count > 1))
        return TEARS_OK;
    const struct t3_write_report report = {.kind = saving->kind,
                                           .change = &saving->changes[bad],
                                           .status = saving->outcomes[bad].status,
                                           .row_is_there = saving->outcomes[bad].row != NULL};
    return t3_write_say(saving->session, saving->collection, &report);
}

tears_status t3_defer_rows(struct tears_session *session, struct tears_collection *collection,
                           enum t3_write_kind kind, const struct t3_change *changes, size_t count,
                           struct tears_outcome *outcomes_out, bool *done_out)
{
    *done_out = false;
    if (!collection->defers || session->tx != NULL)
        return clear_the_way(session, collection, changes, count);
    struct saving saving = {.session = session,
                            .collection = collection,
                            .kind = kind,
                            .changes = changes,
                            .count = count};
    T3_TRY(make_room(&saving, outcomes_out != NULL));
    T3_TRY(save_by_policy(&saving, done_out));
    if (!*done_out)
        return TEARS_OK;
    for (size_t i = 0; i < count; i++) {
        if (saving.outcomes[i].status == TEARS_OK)
            t3_herald_tell(collection->client->herald, collection, saving.defers[i].key);
        if (outcomes_out != NULL)
            give_outcome(&saving, i, &outcomes_out[i]);
    }
    session->tier = TEARS_TIER_PENDING;
    return sum_up(&saving);
}
