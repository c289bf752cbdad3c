/*
 * write.c -- the write path.
 *
 * Owns:     nothing that outlives a call.
 * Knows:    that L3 decides, and that nothing after it may fail the call.
 * Must not know: SQL, JSON, NATS.
 * Threads:  the session's.
 * Fails:    as L3 does; then nothing is written.  When the outcome is unknown the rows are dropped
 * from all caches. Begin at: t3_write_rows().
 */
#include "core/write.h"

#include "base/buf.h"
#include "base/fail.h"
#include "core/announce.h"
#include "core/defer.h"
#include "core/floors.h"
#include "core/soft_delete.h"

void t3_change_base(struct t3_change *change, const struct tears_schema *schema,
                    const struct t3_row *row, uint64_t revision)
{
    change->has_base =
        schema->version_column != T3_NO_COLUMN && !t3_row_is_null(row, schema->version_column);
    change->base = change->has_base ? t3_schema_row_version(schema, row) : 0;
    change->seen = revision != 0 ? revision : UINT64_MAX;
    change->from = row;
}

/* A batch on its way.  All memory it needs is there before L3 is asked: what is durable must not fail
 * for want of it, and a caller whose write succeeded gets the row. */
struct batch {
    struct tears_session *session;
    struct tears_collection *collection;
    enum t3_write_kind kind;
    size_t count;
    const struct t3_change *changes;
    struct t3_write *writes;
    struct t3_correction *corrections;
    struct tears_entity *entities; /* of the outcomes; NULL: nobody wants them */
    struct tears_value *keys;      /* room for keys that the database makes; NULL: it makes none */
    struct t3_correction **announced; /* strict: those that had to be; in the order of the rows */
    size_t announced_count;
    uint64_t began_ms;
};

/* ---- L3 ---------------------------------------------------------------------------------- */

static bool makes_keys(const struct t3_change *changes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (changes[i].key.count == 0)
            return true;
    return false;
}

static tears_status make_room(struct batch *batch, bool with_outcomes)
{
    struct t3_arena *arena = &batch->session->arena;
    const size_t count = batch->count;
    batch->writes = t3_arena_array(arena, count, sizeof *batch->writes);
    batch->corrections = t3_arena_array(arena, count, sizeof *batch->corrections);
    if (with_outcomes)
        batch->entities = t3_arena_array(arena, count, sizeof *batch->entities);
    const bool with_keys = makes_keys(batch->changes, count);
    if (with_keys)
        batch->keys = t3_arena_array(arena, count,
                                     batch->collection->schema->key_count * sizeof *batch->keys);
    if (batch->writes == NULL || batch->corrections == NULL ||
        (with_outcomes && batch->entities == NULL) || (with_keys && batch->keys == NULL))
        return t3_session_no_memory(batch->session);
    return TEARS_OK;
}

static void fill_writes(const struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct t3_change *change = &batch->changes[i];
        struct t3_write *write = &batch->writes[i];
        write->cells = change->cells;
        write->cell_count = change->cell_count;
        write->key = change->key;
        write->has_base = change->has_base;
        write->base = change->base;
        struct t3_correction *correction = &batch->corrections[i];
        correction->collection = batch->collection;
        correction->key = change->key;
        correction->seen = batch->kind == T3_WRITE_INSERT ? 0 : change->seen;
        correction->confirmed_ms = batch->began_ms;
    }
}

/* The generations before the write; a key that the database makes cannot have been cached. */
static void take_tickets(const struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        if (batch->changes[i].key.count > 0)
            batch->corrections[i].ticket =
                t3_collection_ticket(batch->collection, &batch->changes[i].key);
}

static bool is_in_transaction(const struct batch *batch)
{
    return batch->session->tx != NULL && batch->collection->l3 == batch->session->tx_l3;
}

/* What is under the key now cannot be what the write was based on; unless it is the write's own announcement. */
static void forget_seen(struct t3_correction *correction)
{
    if (correction->announced_ms == 0)
        correction->seen = UINT64_MAX;
}

static void drop_all(const struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct t3_correction *correction = &batch->corrections[i];
        if (batch->changes[i].key.count == 0)
            continue;
        correction->kind = T3_CORRECT_STALE;
        correction->keep_lease = correction->announced_ms != 0 && !is_in_transaction(batch);
        forget_seen(correction);
    }
    t3_correct(batch->session, batch->corrections, batch->count);
}

/* ---- strict mode -------------------------------------------------------------------------- */

/* Rows under keys that the database is yet to make are in no cache: nobody has to be told. */
static tears_status list_announced(struct batch *batch)
{
    struct t3_correction **list =
        t3_arena_array(&batch->session->arena, batch->count, sizeof(void *));
    if (list == NULL)
        return t3_session_no_memory(batch->session);
    size_t n = 0;
    for (size_t i = 0; i < batch->count; i++)
        if (batch->changes[i].key.count > 0)
            list[n++] = &batch->corrections[i];
    batch->announced = list;
    batch->announced_count = n;
    return TEARS_OK;
}

/* Announces the batch, and gives L3 no longer than the announcement allows.  Inside a transaction it is the commit that has
 * to be in time. */
static tears_status announce(struct batch *batch, struct t3_deadline *deadline)
{
    if (batch->collection->strict_lease_ms == 0)
        return TEARS_OK;
    T3_TRY(list_announced(batch));
    if (batch->announced_count == 0)
        return TEARS_OK;
    T3_TRY(t3_announce(batch->session, batch->announced, batch->announced_count));
    if (!is_in_transaction(batch)) {
        *deadline = t3_deadline_at_most_ms(*deadline, t3_announce_left_ms(batch->announced[0]));
        return TEARS_OK;
    }
    return t3_session_status(batch->session, t3_correct_expect(batch->session, batch->announced,
                                                               batch->announced_count));
}

/* Nothing was written.  What a transaction has announced is taken back when that ends. */
static void take_back(const struct batch *batch)
{
    for (size_t i = 0; !is_in_transaction(batch) && i < batch->announced_count; i++)
        t3_announce_release(batch->announced[i]);
}

/* ---- what follows for the caches ------------------------------------------------------------ */

/* The key of the row, also when the database has made it.  False: no row, hence no key. */
static bool find_key(const struct batch *batch, size_t index, struct t3_key *key_out)
{
    const struct tears_schema *schema = batch->collection->schema;
    const struct t3_row *row = batch->writes[index].row;
    *key_out = batch->changes[index].key;
    if (key_out->count > 0)
        return true;
    if (row != NULL)
        t3_key_of_row(schema, row, batch->keys + index * schema->key_count, key_out);
    return row != NULL;
}

static bool is_written(const struct t3_write *write, enum t3_write_kind kind)
{
    return write->status == TEARS_OK && kind != T3_WRITE_DELETE;
}

/* Fills in what the caches must be told of one row. */
static void fill_correction(const struct batch *batch, size_t index)
{
    const struct t3_write *write = &batch->writes[index];
    struct t3_correction *correction = &batch->corrections[index];
    if (!find_key(batch, index, &correction->key))
        return; /* a row under a key nobody knew before: no cache holds it */
    correction->version = write->version;
    if (is_written(write, batch->kind)) {
        correction->kind = T3_CORRECT_WRITTEN;
        correction->row = write->row;
        correction->inserted = batch->kind == T3_WRITE_INSERT;
        return;
    }
    if (write->status == TEARS_OK) {
        correction->kind = T3_CORRECT_DELETED;
        return;
    }
    /* a conflict: someone else's row is what counts, and they have told everyone about it */
    const bool winner_is_committed = write->row != NULL && batch->session->tx == NULL;
    correction->foreign = write->status == TEARS_CONFLICT;
    correction->kind = winner_is_committed ? T3_CORRECT_WRITTEN : T3_CORRECT_STALE;
    correction->row = winner_is_committed ? write->row : NULL;
    forget_seen(correction);
}

static void correct_caches(const struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        fill_correction(batch, i);
    t3_correct(batch->session, batch->corrections, batch->count);
}

/* ---- what the caller gets ------------------------------------------------------------------- */

static const char *conflict_text(const struct t3_write_report *report)
{
    if (report->kind == T3_WRITE_INSERT)
        return "a row with this key exists already";
    return report->row_is_there ? "another writer changed the row first"
                                : "another writer deleted the row first";
}

tears_status t3_write_say(struct tears_session *session, const struct tears_collection *collection,
                          const struct t3_write_report *report)
{
    struct tears_error *error = &session->error;
    const struct tears_schema *schema = collection->schema;
    const struct t3_change *change = report->change;
    T3_AUTO(t3_buf_done) struct t3_buf key = {0};
    if (t3_key_put_display(&change->key, &key) != TEARS_OK)
        t3_buf_clear(&key);
    const struct tears_str text = t3_buf_str(&key);
    if (report->status == TEARS_NOT_FOUND)
        return t3_fail(error, TEARS_NOT_FOUND, "core",
                       "table '" T3_STR_FMT "' has no row with key (" T3_STR_FMT ")",
                       T3_STR_ARG(schema->name), T3_STR_ARG(text));
    const char *what = conflict_text(report);
    if (!change->has_base)
        return t3_fail(error, TEARS_CONFLICT, "core",
                       "table '" T3_STR_FMT "', key (" T3_STR_FMT "): %s", T3_STR_ARG(schema->name),
                       T3_STR_ARG(text), what);
    return t3_fail(error, TEARS_CONFLICT, "core",
                   "table '" T3_STR_FMT "', key (" T3_STR_FMT "): %s (expected version %lld)",
                   T3_STR_ARG(schema->name), T3_STR_ARG(text), what, (long long)change->base);
}

static void give_outcomes(const struct batch *batch, struct tears_outcome *outcomes_out)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct t3_write *write = &batch->writes[i];
        const struct t3_found found = {.row = write->row,
                                       .revision = batch->corrections[i].revision,
                                       .confirmed_ms = batch->began_ms,
                                       .tier = TEARS_TIER_L3};
        outcomes_out[i].status = write->status;
        /* a row that stands in the way although it is marked as deleted is not given out either */
        const bool is_given = write->status == TEARS_OK
                                  ? write->row != NULL
                                  : t3_is_visible(batch->session, batch->collection, write->row);
        outcomes_out[i].entity = is_given ? &batch->entities[i] : NULL;
        t3_entity_init(&batch->entities[i], batch->session, batch->collection, &found);
    }
}

static tears_status sum_up(const struct batch *batch)
{
    const struct t3_write *first = NULL;
    uint64_t conflicts = 0;
    for (size_t i = 0; i < batch->count; i++) {
        const struct t3_write *write = &batch->writes[i];
        if (write->status == TEARS_OK)
            continue;
        conflicts += write->status == TEARS_CONFLICT;
        if (first == NULL || first->status == TEARS_NOT_FOUND)
            first = write;
    }
    t3_count(&batch->collection->client->counters.l3_conflicts, conflicts);
    if (first == NULL || (first->status == TEARS_NOT_FOUND && batch->count > 1))
        return TEARS_OK;
    const struct t3_write_report report = {.kind = batch->kind,
                                           .change = &batch->changes[first - batch->writes],
                                           .status = first->status,
                                           .row_is_there = first->row != NULL};
    return t3_write_say(batch->session, batch->collection, &report);
}

/* An update without a base whose row is gone has lost against a deletion. */
static void missing_is_conflict(const struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        if (batch->kind == T3_WRITE_UPDATE && batch->writes[i].status == TEARS_NOT_FOUND)
            batch->writes[i].status = TEARS_CONFLICT;
}

/*
 * What the session has learnt of one row, for its later reads (floors.h): its own row, the one that stands in its way, or that there is
 * none.  In a transaction that is rolled back later it has learnt too much; then a read too many goes to L3.
 */
static void note_floor(const struct batch *batch, size_t index)
{
    const struct t3_write *write = &batch->writes[index];
    struct t3_key key;
    if (!find_key(batch, index, &key))
        return;
    if (write->row == NULL && write->status == TEARS_OK)
        t3_floors_note(batch->session, batch->collection, &key, write->version, true);
    else
        t3_floors_note_row(batch->session, batch->collection, &key, write->row);
}

static void note_floors(const struct batch *batch, tears_status status, bool outcome_unknown)
{
    for (size_t i = 0; i < batch->count; i++) {
        if (status == TEARS_OK)
            note_floor(batch, i);
        else if (outcome_unknown && batch->changes[i].key.count > 0)
            t3_floors_note(batch->session, batch->collection, &batch->changes[i].key,
                           T3_FLOOR_UNKNOWN, false);
    }
}

tears_status t3_write_rows(struct tears_session *session, struct tears_collection *collection,
                           enum t3_write_kind kind, const struct t3_change *changes, size_t count,
                           struct tears_outcome *outcomes_out)
{
    if (count == 0)
        return TEARS_OK;
    if (T3_UNLIKELY(collection->pending != NULL)) {
        bool is_done;
        T3_TRY(t3_defer_rows(session, collection, kind, changes, count, outcomes_out, &is_done));
        if (is_done)
            return TEARS_OK;
    }
    struct batch batch = {.session = session,
                          .collection = collection,
                          .kind = kind,
                          .count = count,
                          .changes = changes,
                          .began_ms = t3_now_coarse_ms()};
    T3_TRY(make_room(&batch, outcomes_out != NULL));
    fill_writes(&batch);

    struct t3_l3 *l3 = collection->l3;
    struct t3_l3_call call = t3_session_l3_call(session, collection);
    T3_TRY(announce(&batch, &call.deadline));
    take_tickets(&batch);
    t3_count(&collection->client->counters.l3_writes, 1);
    const tears_status status =
        l3->ops->write(l3, &call, collection->schema, kind, batch.writes, count);
    if (session->level == TEARS_READ_SESSION)
        note_floors(&batch, status, call.outcome_unknown);
    if (status != TEARS_OK) {
        if (call.outcome_unknown)
            drop_all(&batch);
        else
            take_back(&batch);
        return t3_session_status(session, status);
    }
    t3_error_clear(&session->error); /* a tier may have left the text of a row's conflict there */
    missing_is_conflict(&batch);
    correct_caches(&batch);
    if (outcomes_out != NULL)
        give_outcomes(&batch, outcomes_out);
    session->tier = TEARS_TIER_L3;
    return sum_up(&batch);
}

void t3_write_invalidate(struct tears_session *session, struct tears_collection *collection,
                         const struct t3_key *key)
{
    struct t3_correction correction = {
        .kind = T3_CORRECT_STALE, .collection = collection, .key = *key, .seen = UINT64_MAX};
    t3_correct(session, &correction, 1);
}

void t3_write_refresh(struct tears_session *session, struct tears_collection *collection,
                      const struct t3_key *key, const struct t3_found *found, uint64_t ticket)
{
    struct t3_row *row = found->row;
    struct t3_correction correction = {
        .kind = row != NULL ? T3_CORRECT_WRITTEN : T3_CORRECT_STALE,
        .collection = collection,
        .key = *key,
        .row = row,
        .version = row != NULL ? t3_schema_row_version(collection->schema, row) : 0,
        .seen = UINT64_MAX,
        .ticket = ticket,
        .confirmed_ms = found->confirmed_ms,
        .foreign = true};
    t3_correct(session, &correction, 1);
}
