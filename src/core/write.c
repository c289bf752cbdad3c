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
#include "core/correct.h"

void t3_change_base(struct t3_change *change, const struct tears_schema *schema,
                    const struct t3_row *row, uint64_t revision)
{
    change->has_base =
        schema->version_column != T3_NO_COLUMN && !t3_row_is_null(row, schema->version_column);
    change->base = change->has_base ? t3_schema_row_version(schema, row) : 0;
    change->seen = revision != 0 ? revision : UINT64_MAX;
}

/* ---- L3 ---------------------------------------------------------------------------------- */

static void fill_writes(struct t3_write *writes, const struct t3_change *changes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        writes[i].cells = changes[i].cells;
        writes[i].cell_count = changes[i].cell_count;
        writes[i].key = changes[i].key;
        writes[i].has_base = changes[i].has_base;
        writes[i].base = changes[i].base;
    }
}

/* The generations before the write; a key that the database makes cannot have been cached. */
static void take_tickets(struct tears_collection *collection, const struct t3_change *changes,
                         struct t3_correction *corrections, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (changes[i].key.count > 0)
            corrections[i].ticket = t3_collection_ticket(collection, &changes[i].key);
}

static void drop_all(struct tears_session *session, struct tears_collection *collection,
                     const struct t3_change *changes, struct t3_correction *corrections,
                     size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (changes[i].key.count == 0)
            continue;
        corrections[i].kind = T3_CORRECT_STALE;
        corrections[i].collection = collection;
        corrections[i].key = changes[i].key;
        corrections[i].seen = UINT64_MAX;
    }
    t3_correct(session, corrections, count);
}

/* ---- what follows for the caches ------------------------------------------------------------ */

static tears_status key_of_row(struct tears_session *session, const struct tears_schema *schema,
                               const struct t3_row *row, struct t3_key *key_out)
{
    struct tears_value *storage =
        t3_arena_alloc(&session->arena, schema->key_count * sizeof *storage);
    if (storage == NULL)
        return TEARS_NO_MEMORY;
    t3_key_of_row(schema, row, storage, key_out);
    return TEARS_OK;
}

static bool is_written(const struct t3_write *write, enum t3_write_kind kind)
{
    return write->status == TEARS_OK && kind != T3_WRITE_DELETE;
}

/* Fills in what the caches must be told of one row. */
static void correction_of(struct tears_session *session, struct tears_collection *collection,
                          enum t3_write_kind kind, const struct t3_change *change,
                          const struct t3_write *write, struct t3_correction *correction)
{
    correction->collection = collection;
    correction->key = change->key;
    correction->seen = change->seen;
    correction->version = write->version;
    if (change->key.count == 0 &&
        (write->row == NULL ||
         key_of_row(session, collection->schema, write->row, &correction->key) != TEARS_OK))
        return; /* a row under a key nobody knew before: no cache holds it */
    if (is_written(write, kind)) {
        correction->kind = T3_CORRECT_WRITTEN;
        correction->row = write->row;
        correction->inserted = kind == T3_WRITE_INSERT;
        if (correction->inserted)
            correction->seen = 0;
        return;
    }
    if (write->status == TEARS_OK) {
        correction->kind = T3_CORRECT_DELETED;
        return;
    }
    /* a conflict: someone else's row is what counts, and they have told everyone about it */
    const bool winner_is_committed = write->row != NULL && session->tx == NULL;
    correction->foreign = write->status == TEARS_CONFLICT;
    correction->kind = winner_is_committed ? T3_CORRECT_WRITTEN : T3_CORRECT_STALE;
    correction->row = winner_is_committed ? write->row : NULL;
    correction->seen = UINT64_MAX;
}

static void correct_caches(struct tears_session *session, struct tears_collection *collection,
                           enum t3_write_kind kind, const struct t3_change *changes,
                           const struct t3_write *writes, struct t3_correction *corrections,
                           size_t count)
{
    for (size_t i = 0; i < count; i++)
        correction_of(session, collection, kind, &changes[i], &writes[i], &corrections[i]);
    t3_correct(session, corrections, count);
}

/* ---- what the caller gets ------------------------------------------------------------------- */

static const char *conflict_text(enum t3_write_kind kind, const struct t3_write *write)
{
    if (kind == T3_WRITE_INSERT)
        return "a row with this key exists already";
    return write->row != NULL ? "another writer changed the row first"
                              : "another writer deleted the row first";
}

/* Names the row of a conflict or a missing row in the session's error. */
static tears_status report(struct tears_session *session, struct tears_collection *collection,
                           enum t3_write_kind kind, const struct t3_change *change,
                           const struct t3_write *write)
{
    T3_AUTO(t3_buf_done) struct t3_buf key = {0};
    if (t3_key_put_display(&change->key, &key) != TEARS_OK)
        t3_buf_clear(&key);
    const struct tears_str text = t3_buf_str(&key);
    if (write->status == TEARS_NOT_FOUND)
        return t3_fail(&session->error, TEARS_NOT_FOUND, "core",
                       "table '" T3_STR_FMT "' has no row with key (" T3_STR_FMT ")",
                       T3_STR_ARG(collection->schema->name), T3_STR_ARG(text));
    if (!change->has_base)
        return t3_fail(&session->error, TEARS_CONFLICT, "core",
                       "table '" T3_STR_FMT "', key (" T3_STR_FMT "): %s",
                       T3_STR_ARG(collection->schema->name), T3_STR_ARG(text),
                       conflict_text(kind, write));
    return t3_fail(&session->error, TEARS_CONFLICT, "core",
                   "table '" T3_STR_FMT "', key (" T3_STR_FMT "): %s (expected version %lld)",
                   T3_STR_ARG(collection->schema->name), T3_STR_ARG(text),
                   conflict_text(kind, write), (long long)change->base);
}

static tears_status outcome_of(struct tears_session *session, struct tears_collection *collection,
                               const struct t3_write *write, uint64_t revision,
                               struct tears_outcome *outcome_out)
{
    outcome_out->status = write->status;
    outcome_out->entity = NULL;
    if (write->row == NULL)
        return TEARS_OK;
    const struct t3_found found = {.row = write->row, .revision = revision, .tier = TEARS_TIER_L3};
    return t3_entity_of(session, collection, &found, &outcome_out->entity);
}

/*
 * Fills the outcomes.  Memory that runs out here must not turn a durable write into a failure: the
 * outcome then has no entity, and the session says that its memory is exhausted by the degraded
 * bits.
 */
static void give_outcomes(struct tears_session *session, struct tears_collection *collection,
                          const struct t3_write *writes, const struct t3_correction *corrections,
                          size_t count, struct tears_outcome *outcomes_out)
{
    for (size_t i = 0; outcomes_out != NULL && i < count; i++)
        if (outcome_of(session, collection, &writes[i], corrections[i].revision,
                       &outcomes_out[i]) != TEARS_OK)
            session->degraded |= TEARS_DEGRADED_L1;
}

static tears_status sum_up(struct tears_session *session, struct tears_collection *collection,
                           enum t3_write_kind kind, const struct t3_change *changes,
                           const struct t3_write *writes, size_t count)
{
    const struct t3_write *first = NULL;
    uint64_t conflicts = 0;
    for (size_t i = 0; i < count; i++) {
        if (writes[i].status == TEARS_OK)
            continue;
        conflicts += writes[i].status == TEARS_CONFLICT;
        if (first == NULL || first->status == TEARS_NOT_FOUND)
            first = &writes[i];
    }
    t3_count(&collection->client->counters.l3_conflicts, conflicts);
    if (first == NULL || (first->status == TEARS_NOT_FOUND && count > 1))
        return TEARS_OK;
    return report(session, collection, kind, &changes[first - writes], first);
}

/* An update without a base whose row is gone has lost against a deletion. */
static void missing_is_conflict(enum t3_write_kind kind, struct t3_write *writes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (kind == T3_WRITE_UPDATE && writes[i].status == TEARS_NOT_FOUND)
            writes[i].status = TEARS_CONFLICT;
}

tears_status t3_write_rows(struct tears_session *session, struct tears_collection *collection,
                           enum t3_write_kind kind, const struct t3_change *changes, size_t count,
                           struct tears_outcome *outcomes_out)
{
    if (count == 0)
        return TEARS_OK;
    struct t3_arena *arena = &session->arena;
    struct t3_write *writes = t3_arena_array(arena, count, sizeof *writes);
    struct t3_correction *corrections = t3_arena_array(arena, count, sizeof *corrections);
    if (writes == NULL || corrections == NULL)
        return t3_session_no_memory(session);
    fill_writes(writes, changes, count);
    take_tickets(collection, changes, corrections, count);

    struct t3_l3_call call = t3_session_l3_call(session, collection);
    t3_count(&collection->client->counters.l3_writes, 1);
    const tears_status status =
        collection->l3->ops->write(collection->l3, &call, collection->schema, kind, writes, count);
    if (status != TEARS_OK) {
        if (call.outcome_unknown)
            drop_all(session, collection, changes, corrections, count);
        return status;
    }
    missing_is_conflict(kind, writes, count);
    correct_caches(session, collection, kind, changes, writes, corrections, count);
    give_outcomes(session, collection, writes, corrections, count, outcomes_out);
    session->tier = TEARS_TIER_L3;
    return sum_up(session, collection, kind, changes, writes, count);
}

void t3_write_invalidate(struct tears_session *session, struct tears_collection *collection,
                         const struct t3_key *key)
{
    struct t3_correction correction = {
        .kind = T3_CORRECT_STALE, .collection = collection, .key = *key, .seen = UINT64_MAX};
    t3_correct(session, &correction, 1);
}

void t3_write_refresh(struct tears_session *session, struct tears_collection *collection,
                      const struct t3_key *key, struct t3_row *row, uint64_t ticket)
{
    struct t3_correction correction = {
        .kind = row != NULL ? T3_CORRECT_WRITTEN : T3_CORRECT_STALE,
        .collection = collection,
        .key = *key,
        .row = row,
        .version = row != NULL ? t3_schema_row_version(collection->schema, row) : 0,
        .seen = UINT64_MAX,
        .ticket = ticket,
        .foreign = true};
    t3_correct(session, &correction, 1);
}
