/*
 * read.c -- the read path.
 *
 * Owns:     nothing that outlives a call.
 * Knows:    in which order the tiers are asked, and what a miss may fill.
 * Must not know: JSON, SQL, NATS.
 * Threads:  a session is one thread; the collection is any.
 * Fails:    when L3 fails for a row that no cache has; L2's failures only degrade.
 * Begin at: t3_read_many().
 *
 * A read of several keys goes through the same five steps as a read of one, each as one batch:
 *
 *   1. L1                       a hit or a negative entry ends it
 *   2. board flights            keys someone else is fetching are waited for at the end
 *   3. L2                       hits are installed in L1 under the flight's ticket
 *   4. L3                       rows found are installed in L1 and started on their way into L2
 *   5. land the flights, then wait for the joined ones
 *
 * Own flights land before joined ones are waited for, so two readers can never wait for each other.
 */
#include "core/read.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "core/flight.h"

/* A key that L1 did not have. */
struct miss {
    const struct t3_key *key;
    struct t3_found *found;
    struct t3_flight *flight;
    uint64_t seen; /* revision of what L2 holds instead of the row */
    bool lead;
    bool missing; /* still to be found */
};

/* ---- L1 ---------------------------------------------------------------------------------- */

static tears_status ask_l1(struct tears_session *session, struct tears_collection *collection,
                           const struct t3_key *key, struct t3_found *found_out, bool *answered_out)
{
    enum t3_l1_answer answer;
    struct t3_l1_hit hit;
    struct t3_l1 *l1 = collection->l1;
    *answered_out = false;
    if (l1->ops->get(l1, collection->space, key, &session->arena, &answer, &hit) != TEARS_OK)
        return t3_session_no_memory(session);
    if (answer == T3_L1_MISS) {
        t3_count_own(&session->counters.l1_misses);
        return TEARS_OK;
    }
    *answered_out = true;
    found_out->tier = TEARS_TIER_L1;
    found_out->row = NULL;
    found_out->revision = 0;
    if (answer == T3_L1_ABSENT) {
        t3_count_own(&session->counters.l1_negative_hits);
        return TEARS_OK;
    }
    t3_count_own(&session->counters.l1_hits);
    found_out->row = hit.row;
    found_out->revision = hit.revision;
    return TEARS_OK;
}

/* Installs what a fill found; discarded by the tier when the flight's ticket has died. */
static void fill_l1(struct tears_session *session, struct tears_collection *collection,
                    const struct miss *miss)
{
    struct t3_l1 *l1 = collection->l1;
    if (l1 == NULL)
        return;
    const struct t3_row *row = miss->found->row;
    const struct t3_l1_put put = {
        .key = miss->key,
        .row = row,
        .version = row != NULL ? t3_schema_row_version(collection->schema, row) : 0,
        .revision = miss->found->revision,
        .ticket = t3_flight_ticket(miss->flight),
        .age_ms_max = row != NULL ? collection->l1_age_ms : collection->negative_ms,
    };
    if (l1->ops->put(l1, collection->space, &put) != TEARS_OK)
        session->degraded |= TEARS_DEGRADED_L1;
}

/* ---- L2 ---------------------------------------------------------------------------------- */

/* Collects the keys of the misses that pass: what the batch calls below want. */
static size_t gather(const struct miss *misses, size_t count, struct t3_key *keys,
                     const struct miss **chosen)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (!misses[i].lead || !misses[i].missing)
            continue;
        keys[n] = *misses[i].key;
        chosen[n] = &misses[i];
        n++;
    }
    return n;
}

static void take_l2_entry(struct tears_session *session, struct tears_collection *collection,
                          struct miss *miss, const struct t3_l2_entry *entry)
{
    miss->seen = entry->revision;
    if (entry->state != T3_L2_ROW) {
        t3_count(&collection->client->counters.l2_misses, 1);
        return;
    }
    t3_count(&collection->client->counters.l2_hits, 1);
    miss->missing = false;
    miss->found->row = entry->row;
    miss->found->revision = entry->revision;
    miss->found->tier = TEARS_TIER_L2;
    fill_l1(session, collection, miss);
}

/* Asks L2 for all that is missing.  Its failure is no failure of the read. */
static tears_status ask_l2(struct tears_session *session, struct tears_collection *collection,
                           struct miss *misses, size_t count)
{
    if (collection->l2 == NULL)
        return TEARS_OK;
    struct t3_arena *arena = &session->arena;
    struct t3_key *keys = t3_arena_array(arena, count, sizeof *keys);
    const struct miss **chosen = t3_arena_array(arena, count, sizeof(struct miss *));
    struct t3_l2_entry *entries = t3_arena_array(arena, count, sizeof *entries);
    if (keys == NULL || chosen == NULL || entries == NULL)
        return t3_session_no_memory(session);
    const size_t n = gather(misses, count, keys, chosen);
    if (n == 0)
        return TEARS_OK;
    const tears_status status = t3_l2_get(collection->l2, collection->schema, keys, n, arena,
                                          t3_session_deadline(session), entries, NULL);
    if (status == TEARS_NO_MEMORY)
        return t3_session_no_memory(session);
    if (status != TEARS_OK) {
        t3_count(&collection->client->counters.l2_errors, 1);
        session->degraded |= TEARS_DEGRADED_L2_READ;
        for (size_t i = 0; i < count; i++)
            misses[i].seen = UINT64_MAX;
        return TEARS_OK;
    }
    for (size_t i = 0; i < n; i++)
        take_l2_entry(session, collection, &misses[chosen[i] - misses], &entries[i]);
    return TEARS_OK;
}

/* Starts a fill of L2 on its way; the caller does not wait for it. */
static void fill_l2(struct tears_collection *collection, const struct miss *miss)
{
    if (collection->l2 == NULL || miss->seen == UINT64_MAX ||
        t3_flight_ticket(miss->flight) != t3_collection_ticket(collection, miss->key))
        return; /* L2 was not asked, or the row has changed since this read began */
    const struct t3_row *row = miss->found->row;
    const tears_status status =
        t3_l2_fill(collection->l2, collection->schema, collection, miss->key, row,
                   t3_schema_row_version(collection->schema, row), miss->seen, t3_now_coarse_ms());
    (void)status; /* a fill that is not made costs the next reader a round trip, nothing else */
}

/* ---- L3 ---------------------------------------------------------------------------------- */

/* A single-row load that waits to be carried out with others of the same table. */
struct load {
    struct t3_combine_item item; /* first: the combine gives it back */
    const struct t3_key *key;
    struct tears_session *session;
    struct t3_row *row;
    tears_status status;
};

static tears_status fetch(struct tears_session *session, struct tears_collection *collection,
                          const struct t3_key *keys, size_t count, struct t3_row **rows_out)
{
    struct t3_counters *counters = &collection->client->counters;
    struct t3_l3_call call = t3_session_l3_call(session, collection);
    t3_count(&counters->l3_reads, 1);
    T3_TRY(t3_session_status(session,
                             collection->l3->ops->fetch(collection->l3, &call, collection->schema,
                                                        keys, count, rows_out)));
    uint64_t rows = 0;
    for (size_t i = 0; i < count; i++)
        rows += rows_out[i] != NULL;
    t3_count(&counters->l3_rows_read, rows);
    return TEARS_OK;
}

/* Gives each caller its row, in its own memory: the callers wait, so this thread may use their
 * sessions. */
static void deliver_loads(struct t3_combine_item **items, size_t count, struct t3_row **rows,
                          tears_status status, const struct tears_error *error)
{
    for (size_t i = 0; i < count; i++) {
        struct load *load = (struct load *)items[i];
        load->status = status;
        load->row = NULL;
        if (status != TEARS_OK) {
            load->session->error = *error;
            continue;
        }
        if (rows[i] == NULL)
            continue;
        load->row = t3_arena_alloc(&load->session->arena, rows[i]->size);
        if (load->row == NULL)
            load->status = t3_session_no_memory(load->session);
        else
            memcpy(load->row, rows[i], rows[i]->size);
    }
}

static struct t3_deadline earliest(struct t3_combine_item **items, size_t count)
{
    struct t3_deadline deadline = items[0]->deadline;
    for (size_t i = 1; i < count; i++)
        if (items[i]->deadline.at_us < deadline.at_us)
            deadline = items[i]->deadline;
    return deadline;
}

static tears_status fetch_loads(struct tears_collection *collection, struct t3_l3_call *call,
                                struct t3_combine_item **items, size_t count,
                                struct t3_row ***rows_out)
{
    struct t3_key *keys = t3_arena_array(call->arena, count, sizeof *keys);
    struct t3_row **rows = t3_arena_array(call->arena, count, sizeof *rows);
    if (keys == NULL || rows == NULL)
        return t3_fail_memory(call->error, "core");
    for (size_t i = 0; i < count; i++)
        keys[i] = *((struct load *)items[i])->key;
    *rows_out = rows;
    struct t3_counters *counters = &collection->client->counters;
    t3_count(&counters->l3_reads, 1);
    t3_count(&counters->l3_rows_read, count);
    return collection->l3->ops->fetch(collection->l3, call, collection->schema, keys, count, rows);
}

void t3_read_run_loads(void *owner, struct t3_combine_item **items, size_t count)
{
    struct tears_collection *collection = owner;
    if (count == 1) { /* the usual case needs no copy */
        struct load *load = (struct load *)items[0];
        load->status = fetch(load->session, collection, load->key, 1, &load->row);
        return;
    }
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct tears_error error;
    t3_error_clear(&error);
    struct t3_l3_call call = {.arena = &arena, .deadline = earliest(items, count), .error = &error};
    struct t3_row **rows = NULL;
    const tears_status status = fetch_loads(collection, &call, items, count, &rows);
    deliver_loads(items, count, rows, status, &error);
}

/* One row, together with whoever else wants one of this table at the moment. */
static tears_status load_one(struct tears_session *session, struct tears_collection *collection,
                             const struct t3_key *key, struct t3_row **row_out)
{
    if (!collection->combine_loads || session->tx != NULL)
        return fetch(session, collection, key, 1, row_out);
    const struct t3_deadline deadline = t3_session_deadline(session);
    struct load load = {.key = key, .session = session, .status = TEARS_INTERNAL};
    do { /* again when another caller of the batch had less time than this one */
        if (t3_combine_call(&collection->loads, &load.item, deadline) != TEARS_OK)
            return t3_fail(&session->error, TEARS_TIMEOUT, "core",
                           "the deadline passed while waiting for a connection to read table "
                           "'" T3_STR_FMT "'",
                           T3_STR_ARG(collection->schema->name));
    } while (load.status == TEARS_TIMEOUT && !t3_deadline_passed(deadline));
    *row_out = load.row;
    return load.status;
}

static void take_l3_row(struct tears_session *session, struct tears_collection *collection,
                        struct miss *miss, struct t3_row *row)
{
    miss->missing = false;
    miss->found->row = row;
    miss->found->revision = 0;
    miss->found->tier = row != NULL ? TEARS_TIER_L3 : TEARS_TIER_NONE;
    fill_l1(session, collection, miss);
    if (row != NULL)
        fill_l2(collection, miss);
}

/* Asks L3 for all that is missing. */
static tears_status ask_l3(struct tears_session *session, struct tears_collection *collection,
                           struct miss *misses, size_t count)
{
    if (count == 1 && misses[0].lead && misses[0].missing) {
        struct t3_row *row = NULL;
        T3_TRY(load_one(session, collection, misses[0].key, &row));
        take_l3_row(session, collection, &misses[0], row);
        return TEARS_OK;
    }
    struct t3_arena *arena = &session->arena;
    struct t3_key *keys = t3_arena_array(arena, count, sizeof *keys);
    const struct miss **chosen = t3_arena_array(arena, count, sizeof(struct miss *));
    struct t3_row **rows = t3_arena_array(arena, count, sizeof *rows);
    if (keys == NULL || chosen == NULL || rows == NULL)
        return t3_session_no_memory(session);
    const size_t n = gather(misses, count, keys, chosen);
    if (n == 0)
        return TEARS_OK;
    T3_TRY(fetch(session, collection, keys, n, rows));
    for (size_t i = 0; i < n; i++)
        take_l3_row(session, collection, &misses[chosen[i] - misses], rows[i]);
    return TEARS_OK;
}

/* ---- flights ----------------------------------------------------------------------------- */

static tears_status board(struct tears_session *session, struct tears_collection *collection,
                          struct miss *misses, size_t count)
{
    struct tears_client *client = collection->client;
    for (size_t i = 0; i < count; i++) {
        struct miss *miss = &misses[i];
        miss->missing = true;
        if (t3_flight_board(client->flights, collection, miss->key, &miss->flight, &miss->lead) !=
            TEARS_OK)
            return t3_session_no_memory(session);
        if (!miss->lead)
            t3_count(&client->counters.flights_joined, 1);
    }
    return TEARS_OK;
}

/* Lands what this read leads, with the common status where a row was not reached. */
static void land(struct tears_session *session, struct tears_collection *collection,
                 struct miss *misses, size_t count, tears_status status)
{
    for (size_t i = 0; i < count; i++) {
        struct miss *miss = &misses[i];
        if (miss->flight == NULL || !miss->lead)
            continue;
        t3_flight_finish(collection->client->flights, miss->flight,
                         miss->missing ? status : TEARS_OK, &session->error, miss->found);
        miss->flight = NULL;
    }
}

/* Waits for a row that another thread fetches; fetches it oneself when that one ran out of time. */
static tears_status wait_for_leader(struct tears_session *session,
                                    struct tears_collection *collection, struct miss *miss)
{
    bool leader_timed_out;
    struct t3_flight *flight = T3_TAKE(miss->flight);
    const tears_status status = t3_flight_wait(collection->client->flights, flight, session,
                                               miss->found, &leader_timed_out);
    if (!leader_timed_out || t3_deadline_passed(t3_session_deadline(session)))
        return status;
    t3_error_clear(&session->error);
    return t3_read_one(session, collection, miss->key, miss->found);
}

static tears_status wait_for_leaders(struct tears_session *session,
                                     struct tears_collection *collection, struct miss *misses,
                                     size_t count, tears_status status)
{
    for (size_t i = 0; i < count; i++) {
        if (misses[i].flight == NULL)
            continue;
        const tears_status one = wait_for_leader(session, collection, &misses[i]);
        if (status == TEARS_OK)
            status = one; /* all flights are left even when one failed */
    }
    return status;
}

static tears_status fetch_misses(struct tears_session *session, struct tears_collection *collection,
                                 struct miss *misses, size_t count)
{
    tears_status status = board(session, collection, misses, count);
    if (status == TEARS_OK)
        status = ask_l2(session, collection, misses, count);
    if (status == TEARS_OK)
        status = ask_l3(session, collection, misses, count);
    land(session, collection, misses, count, status);
    return wait_for_leaders(session, collection, misses, count, status);
}

/* ---- the path ---------------------------------------------------------------------------- */

tears_status t3_read_l3(struct tears_session *session, struct tears_collection *collection,
                        const struct t3_key *keys, size_t count, struct t3_found *found_out)
{
    struct t3_row **rows = t3_arena_array(&session->arena, count, sizeof *rows);
    if (rows == NULL)
        return t3_session_no_memory(session);
    T3_TRY(fetch(session, collection, keys, count, rows));
    for (size_t i = 0; i < count; i++) {
        found_out[i].row = rows[i];
        found_out[i].revision = 0;
        found_out[i].tier = rows[i] != NULL ? TEARS_TIER_L3 : TEARS_TIER_NONE;
    }
    return TEARS_OK;
}

tears_status t3_read_one(struct tears_session *session, struct tears_collection *collection,
                         const struct t3_key *key, struct t3_found *found_out)
{
    if (session->tx != NULL)
        return t3_read_l3(session, collection, key, 1, found_out);
    if (collection->l1 != NULL) {
        bool answered;
        T3_TRY(ask_l1(session, collection, key, found_out, &answered));
        if (answered)
            return TEARS_OK;
    }
    struct miss miss = {.key = key, .found = found_out};
    return fetch_misses(session, collection, &miss, 1);
}

tears_status t3_read_many(struct tears_session *session, struct tears_collection *collection,
                          const struct t3_key *keys, size_t count, struct t3_found *found_out)
{
    if (count == 0)
        return TEARS_OK;
    if (session->tx != NULL)
        return t3_read_l3(session, collection, keys, count, found_out);
    struct miss *misses = t3_arena_array(&session->arena, count, sizeof *misses);
    if (misses == NULL)
        return t3_session_no_memory(session);
    size_t missed = 0;
    for (size_t i = 0; i < count; i++) {
        bool answered = false;
        if (collection->l1 != NULL)
            T3_TRY(ask_l1(session, collection, &keys[i], &found_out[i], &answered));
        if (answered)
            continue;
        misses[missed].key = &keys[i];
        misses[missed].found = &found_out[i];
        missed++;
    }
    return missed == 0 ? TEARS_OK : fetch_misses(session, collection, misses, missed);
}
