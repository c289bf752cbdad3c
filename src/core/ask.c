/*
 * ask.c -- asks L2 and L3 for rows that L1 could not give, and keeps what they say.
 *
 * Owns:     nothing.
 * Knows:    which answer may be kept where, and what follows when two tiers contradict each other.
 * Must not know: JSON, SQL, NATS.
 * Threads:  the session's.
 * Fails:    as L3 does; L2's failures only degrade.
 * Begin at: t3_ask_l2(), t3_ask_l3().
 *
 * What L3 says may be kept only if nothing happened to the row since the ticket was taken, and nobody has announced a write
 * of it: such a write may be done the moment after L3 has answered.
 */
#include "core/miss.h"

#include "base/fail.h"
#include "core/floors.h"
#include "core/write.h"

/* A batch of those misses that a tier is asked for. */
struct batch {
    struct t3_key *keys;
    struct t3_miss **misses;
    size_t count;
};

static tears_status gather(struct t3_reading *reading, bool waiting, struct batch *batch_out)
{
    struct t3_arena *arena = &reading->session->arena;
    batch_out->keys = t3_arena_array(arena, reading->count, sizeof *batch_out->keys);
    batch_out->misses = t3_arena_array(arena, reading->count, sizeof(struct t3_miss *));
    batch_out->count = 0;
    if (batch_out->keys == NULL || batch_out->misses == NULL)
        return t3_session_no_memory(reading->session);
    for (size_t i = 0; i < reading->count; i++) {
        struct t3_miss *miss = &reading->misses[i];
        if (!miss->lead || !miss->missing || miss->waits != waiting)
            continue;
        batch_out->keys[batch_out->count] = *miss->key;
        batch_out->misses[batch_out->count++] = miss;
    }
    return TEARS_OK;
}

static bool has_versions(const struct tears_collection *collection)
{
    return collection->schema->version_column != T3_NO_COLUMN;
}

/* Whether nothing is known to have happened to the row since the read of it began. */
static bool is_current(struct tears_collection *collection, const struct t3_miss *miss)
{
    return miss->ticket == t3_collection_ticket(collection, miss->key);
}

/*
 * How long the row may be kept.  When L2 could not be asked, a write may have been announced there and its news may have come already: proofs
 * say nothing of it, so the row is good for the bound alone.
 */
static uint64_t age_max_ms(const struct tears_collection *collection, const struct t3_miss *miss)
{
    const uint64_t age_ms =
        miss->found->row != NULL ? collection->l1_age_ms : collection->negative_ms;
    const bool was_asked = collection->l2 == NULL || miss->seen != UINT64_MAX;
    return was_asked || age_ms < collection->bound_ms ? age_ms : collection->bound_ms;
}

/* Installs what was found; discarded by the tier when the ticket has died. */
static void fill_l1(struct t3_reading *reading, const struct t3_miss *miss)
{
    struct tears_collection *collection = reading->collection;
    struct t3_l1 *l1 = collection->l1;
    if (l1 == NULL)
        return;
    const struct t3_row *row = miss->found->row;
    if (row == NULL && miss->old.row != NULL && is_current(collection, miss))
        l1->ops->drop(l1, collection->space, miss->key); /* it would outrank a negative entry */
    const struct t3_l1_put put = {
        .key = miss->key,
        .row = row,
        .version = row != NULL ? t3_schema_row_version(collection->schema, row) : 0,
        .revision = miss->found->revision,
        .ticket = miss->ticket,
        .age_ms_max = age_max_ms(collection, miss),
        .confirmed_ms = miss->found->confirmed_ms,
    };
    if (l1->ops->put(l1, collection->space, &put) != TEARS_OK)
        reading->session->degraded |= TEARS_DEGRADED_L1;
}

/* ---- L2 ---------------------------------------------------------------------------------- */

/*
 * Whether L1 has the row at a higher version.  Of L2: then it is behind, for a writer could not correct it.  Of L3: then versions
 * have begun anew, or the answer is from a copy of the database that lags behind.
 */
static bool l1_outranks(const struct tears_collection *collection, const struct t3_miss *miss,
                        const struct t3_row *row)
{
    return row != NULL && miss->old.row != NULL && has_versions(collection) &&
           t3_schema_row_version(collection->schema, miss->old.row) >
               t3_schema_row_version(collection->schema, row);
}

/* Whether the reader may be given this row of L2's. */
static bool suffices(const struct t3_reading *reading, const struct t3_miss *miss,
                     const struct t3_row *row)
{
    return !reading->strong && !l1_outranks(reading->collection, miss, row) &&
           (reading->session->level != TEARS_READ_SESSION ||
            t3_floors_allow(reading->session, reading->collection, miss->key, row));
}

/*
 * A deferred write of another process, which L3 does not have yet.  It is given out at level ANY and kept nowhere, as if its write had
 * been announced: what L3 says now will be old when the write gets there.
 */
static void take_dirty(struct t3_reading *reading, struct t3_miss *miss,
                       const struct t3_l2_entry *entry)
{
    struct t3_counters *counters = &reading->collection->client->counters;
    miss->lease = T3_L2_WRITE_LEASE;
    miss->l2_row = NULL;
    if (reading->strong || reading->session->level != TEARS_READ_ANY || entry->is_own) {
        t3_count(&counters->l2_misses, 1);
        return;
    }
    t3_count(&counters->l2_hits, 1);
    miss->missing = false;
    miss->waits = false;
    *miss->found = (struct t3_found){.row = entry->row,
                                     .revision = entry->revision,
                                     .confirmed_ms = miss->asked_l2_ms,
                                     .tier = TEARS_TIER_L2,
                                     .is_dirty = true};
}

static void take_entry(struct t3_reading *reading, struct t3_miss *miss,
                       const struct t3_l2_entry *entry)
{
    struct t3_counters *counters = &reading->collection->client->counters;
    miss->seen = entry->revision;
    miss->l2_version = entry->version;
    miss->lease = entry->lease;
    miss->l2_row = entry->state == T3_L2_ROW ? entry->row : NULL;
    if (entry->is_dirty) {
        take_dirty(reading, miss, entry);
        return;
    }
    if (miss->l2_row == NULL || !suffices(reading, miss, entry->row)) {
        if (!miss->waits)
            t3_count(&counters->l2_misses, 1);
        return;
    }
    t3_count(&counters->l2_hits, 1);
    miss->missing = false;
    miss->waits = false;
    miss->found->row = entry->row;
    miss->found->revision = entry->revision;
    miss->found->confirmed_ms = miss->asked_l2_ms;
    miss->found->tier = TEARS_TIER_L2;
    miss->found->is_dirty = false;
    fill_l1(reading, miss);
}

static void without_l2(struct t3_reading *reading, const struct batch *batch)
{
    t3_count(&reading->collection->client->counters.l2_errors, 1);
    reading->session->degraded |= TEARS_DEGRADED_L2_READ;
    for (size_t i = 0; i < batch->count; i++) {
        batch->misses[i]->seen = UINT64_MAX;
        batch->misses[i]->lease = T3_L2_NO_LEASE;
        batch->misses[i]->waits = false;
    }
}

tears_status t3_ask_l2(struct t3_reading *reading, bool waiting)
{
    struct tears_session *session = reading->session;
    struct tears_collection *collection = reading->collection;
    struct batch batch;
    if (collection->l2 == NULL)
        return TEARS_OK;
    T3_TRY(gather(reading, waiting, &batch));
    if (batch.count == 0)
        return TEARS_OK;
    struct t3_l2_entry *entries = t3_arena_array(&session->arena, batch.count, sizeof *entries);
    if (entries == NULL)
        return t3_session_no_memory(session);
    const uint64_t asked_ms = t3_now_coarse_ms(); /* before: whatever is there is as of then */
    const tears_status status =
        t3_l2_get(collection->l2, collection->schema, batch.keys, batch.count, &session->arena,
                  t3_session_deadline(session), entries, NULL);
    if (status == TEARS_NO_MEMORY)
        return t3_session_no_memory(session);
    if (status != TEARS_OK) {
        without_l2(reading, &batch);
        return TEARS_OK;
    }
    for (size_t i = 0; i < batch.count; i++) {
        batch.misses[i]->asked_l2_ms = asked_ms;
        take_entry(reading, batch.misses[i], &entries[i]);
    }
    return TEARS_OK;
}

/* ---- what L3 says, for L2 ------------------------------------------------------------------ */

void t3_give_lease_back(struct t3_reading *reading, struct t3_miss *miss)
{
    if (!miss->won)
        return;
    miss->won = false;
    /* best effort: a lease that is not taken back runs out */
    (void)t3_l2_fill(reading->collection->l2, reading->collection->schema, reading->collection,
                     miss->key, NULL, miss->l2_version, miss->seen, miss->asked_l2_ms);
}

/* Whether L2 has a row that a fill would not make any newer. */
static bool l2_is_no_older(const struct tears_collection *collection, const struct t3_miss *miss,
                           const struct t3_row *row)
{
    if (miss->l2_row == NULL)
        return false;
    /* without versions: what L3 contradicts was dealt with, so it is the same row */
    return !has_versions(collection) ||
           miss->l2_version >= t3_schema_row_version(collection->schema, row);
}

/* Starts a fill of L2 on its way; the caller does not wait for it. */
static void fill_l2(struct t3_reading *reading, struct t3_miss *miss)
{
    struct tears_collection *collection = reading->collection;
    const struct t3_row *row = miss->found->row;
    if (collection->l2 == NULL || collection->lives_in_l2 || miss->seen == UINT64_MAX ||
        l2_is_no_older(collection, miss, row))
        return;
    if (is_current(collection, miss) &&
        t3_l2_fill(collection->l2, collection->schema, collection, miss->key, row,
                   t3_schema_row_version(collection->schema, row), miss->seen,
                   miss->asked_l2_ms) == TEARS_OK)
        miss->won = false; /* the row replaces the lease */
    t3_give_lease_back(reading, miss);
}

/*
 * Whether L2 holds a row that L3 contradicts and that a fill cannot replace: one that does not exist, or another one in a table
 * without versions, where other processes take no notice of fills.
 */
static bool l2_contradicts(const struct t3_reading *reading, const struct t3_miss *miss,
                           const struct t3_row *row)
{
    const struct t3_row *held = miss->l2_row;
    if (held == NULL || reading->collection->lives_in_l2)
        return false;
    if (row == NULL)
        return true;
    return !has_versions(reading->collection) &&
           (held->size != row->size || memcmp(held, row, row->size) != 0);
}

/* ---- L3 ---------------------------------------------------------------------------------- */

static void take_row(struct t3_reading *reading, struct t3_miss *miss, struct t3_row *row,
                     uint64_t confirmed_ms)
{
    struct tears_collection *collection = reading->collection;
    miss->missing = false;
    miss->found->row = row;
    miss->found->revision = 0;
    miss->found->confirmed_ms = confirmed_ms;
    miss->found->tier = row != NULL ? TEARS_TIER_L3 : TEARS_TIER_NONE;
    miss->found->is_dirty = false;
    if (miss->lease == T3_L2_WRITE_LEASE)
        return; /* old in a moment, perhaps */
    if (l2_contradicts(reading, miss, row)) {
        t3_write_invalidate(reading->session, collection, miss->key);
        return;
    }
    if (l1_outranks(collection, miss,
                    row)) { /* who is right the next read will see; neither is kept */
        if (is_current(collection, miss))
            t3_collection_drop(collection, miss->key);
        t3_give_lease_back(reading, miss);
        return;
    }
    fill_l1(reading, miss);
    if (row != NULL)
        fill_l2(reading, miss);
    else
        t3_give_lease_back(reading, miss);
}

static tears_status load(struct t3_reading *reading, const struct batch *batch,
                         struct t3_row **rows_out)
{
    if (batch->count == 1)
        return t3_load_one(reading->session, reading->collection, batch->keys, rows_out);
    return t3_load_many(reading->session, reading->collection, batch->keys, batch->count, rows_out);
}

/* Counts what is read from L3 because the session wants it so, or has seen something newer than L2 has. */
static void count_strong(const struct t3_reading *reading, const struct batch *batch)
{
    size_t strong = 0;
    for (size_t i = 0; i < batch->count; i++)
        strong += reading->strong || batch->misses[i]->l2_row != NULL;
    t3_count(&reading->collection->client->counters.strong_reads, strong);
}

tears_status t3_ask_l3(struct t3_reading *reading)
{
    struct tears_session *session = reading->session;
    struct batch batch;
    T3_TRY(gather(reading, false, &batch));
    if (batch.count == 0)
        return TEARS_OK;
    struct t3_row **rows = t3_arena_array(&session->arena, batch.count, sizeof *rows);
    if (rows == NULL)
        return t3_session_no_memory(session);
    count_strong(reading, &batch);
    const uint64_t asked_ms = t3_now_coarse_ms();
    const tears_status status = load(reading, &batch, rows);
    for (size_t i = 0; i < batch.count && status != TEARS_OK; i++)
        t3_give_lease_back(reading, batch.misses[i]);
    T3_TRY(status);
    for (size_t i = 0; i < batch.count; i++)
        take_row(reading, batch.misses[i], rows[i], asked_ms);
    return TEARS_OK;
}
