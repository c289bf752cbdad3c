/*
 * read.c -- the read path.
 *
 * Owns:     nothing that outlives a call.
 * Knows:    in which order the tiers are asked, and whose answer is fresh enough for whom.
 * Must not know: JSON, SQL, NATS.
 * Threads:  a session is one thread; the collection is any.
 * Fails:    when L3 fails for a row that no cache has; L2's failures only degrade.
 * Begin at: t3_read_many().
 *
 * A read of several keys goes through the same five steps as a read of one, each as one batch:
 *
 *   1. L1                       a hit or a negative entry ends it, when it is fresh enough
 *   2. board flights            keys someone else is fetching are waited for at the end
 *   3. L2                       hits are installed in L1 under the flight's ticket
 *   4. L3                       rows found are installed in L1 and started on their way into L2
 *   5. land the flights, then wait for the joined ones
 *
 * Own flights land before joined ones are waited for, so two readers can never wait for each other.
 *
 * A strong read boards no flight: one that was opened before it began may bring a row from before it began.  It looks at L2
 * only to put right what L3 contradicts.
 */
#include "core/read.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "core/defer.h"
#include "core/flight.h"
#include "core/floors.h"
#include "core/freshness.h"
#include "core/miss.h"
#include "core/refresh.h"

/* Whether only L3 can tell this session what it may be given. */
static bool is_strong(const struct tears_session *session,
                      const struct tears_collection *collection)
{
    return session->level == TEARS_READ_STRONG ||
           (session->level == TEARS_READ_SESSION &&
            collection->schema->version_column == T3_NO_COLUMN);
}

/* ---- L1 ---------------------------------------------------------------------------------- */

/* Whether what L1 holds may be given to the session: fresh enough, and no older than what it has seen.  Counts what is suspect. */
static bool may_serve(const struct tears_session *session, struct tears_collection *collection,
                      const struct t3_key *key, const struct t3_l1_hit *hit)
{
    if (T3_UNLIKELY(is_strong(session, collection)))
        return false;
    if (T3_UNLIKELY(!t3_is_fresh(collection, hit, t3_bound_ms(session, collection)))) {
        t3_count(&collection->client->counters.l1_suspects, 1);
        return false;
    }
    return T3_LIKELY(session->level != TEARS_READ_SESSION) ||
           t3_floors_allow(session, collection, key, hit->row);
}

void t3_read_look_ahead(struct tears_collection *collection, const struct t3_key *key,
                        const struct t3_l1_hit *hit)
{
    if (hit->expires_ms - hit->now_ms < collection->l1_age_ms / 10)
        t3_refresh_soon(collection->client->refresh, collection, key);
}

/* Gives what L1 has, if that will do; else *hit_out->row is what it has all the same, or NULL. */
static tears_status ask_l1(struct tears_session *session, struct tears_collection *collection,
                           const struct t3_key *key, struct t3_found *found_out,
                           struct t3_l1_hit *hit_out, bool *answered_out)
{
    enum t3_l1_answer answer;
    struct t3_l1 *l1 = collection->l1;
    hit_out->row = NULL;
    *answered_out = false;
    if (l1->ops->get(l1, collection->space, key, &session->arena, &answer, hit_out) != TEARS_OK)
        return t3_session_no_memory(session);
    if (answer == T3_L1_MISS || answer == T3_L1_EXPIRED ||
        !may_serve(session, collection, key, hit_out)) {
        t3_count_own(&session->counters.l1_misses);
        return TEARS_OK;
    }
    *answered_out = true;
    found_out->tier = TEARS_TIER_L1;
    found_out->row = hit_out->row;
    found_out->confirmed_ms = hit_out->confirmed_ms;
    found_out->revision = 0;
    if (answer == T3_L1_ABSENT) {
        t3_count_own(&session->counters.l1_negative_hits);
        return TEARS_OK;
    }
    t3_count_own(&session->counters.l1_hits);
    found_out->revision = hit_out->revision;
    if (T3_UNLIKELY(collection->options.early_refresh != 0))
        t3_read_look_ahead(collection, key, hit_out);
    return TEARS_OK;
}

/* ---- flights ----------------------------------------------------------------------------- */

static tears_status board(struct t3_reading *reading)
{
    struct tears_collection *collection = reading->collection;
    struct tears_client *client = collection->client;
    const uint64_t not_before_ms = t3_not_before_ms(t3_bound_ms(reading->session, collection));
    for (size_t i = 0; i < reading->count; i++) {
        struct t3_miss *miss = &reading->misses[i];
        miss->missing = true;
        miss->lead = true;
        if (reading->strong) {
            miss->ticket = t3_collection_ticket(collection, miss->key);
            continue;
        }
        const struct t3_flight_wish wish = {
            .collection = collection, .key = miss->key, .not_before_ms = not_before_ms};
        if (t3_flight_board(client->flights, &wish, &miss->flight, &miss->lead) != TEARS_OK)
            return t3_session_no_memory(reading->session);
        miss->ticket = t3_flight_ticket(miss->flight);
        if (!miss->lead)
            t3_count(&client->counters.flights_joined, 1);
    }
    return TEARS_OK;
}

/* Lands what this read leads, with the common status where a row was not reached. */
static void land(struct t3_reading *reading, tears_status status)
{
    for (size_t i = 0; i < reading->count; i++) {
        struct t3_miss *miss = &reading->misses[i];
        if (miss->flight == NULL || !miss->lead)
            continue;
        t3_flight_finish(reading->collection->client->flights, miss->flight,
                         miss->missing ? status : TEARS_OK, &reading->session->error, miss->found);
        miss->flight = NULL;
    }
}

/* ---- when L3 fails --------------------------------------------------------------------------- */

/* Whether what L1 has all the same may be given out because nobody else answers. */
static bool is_within_stale_bound(const struct t3_reading *reading, const struct t3_miss *miss)
{
    struct tears_collection *collection = reading->collection;
    const struct tears_session *session = reading->session;
    const uint64_t bound_ms = collection->options.stale_ms_max;
    if (bound_ms == 0 || reading->strong || session->level == TEARS_READ_BOUNDED ||
        miss->old.row == NULL)
        return false;
    struct t3_l1_hit now = miss->old;
    now.now_ms = t3_now_coarse_ms(); /* L3 may have taken its time to fail */
    return t3_is_fresh(collection, &now, bound_ms) &&
           miss->ticket == t3_collection_ticket(collection, miss->key) &&
           (session->level != TEARS_READ_SESSION ||
            t3_floors_allow(session, collection, miss->key, miss->old.row));
}

/* TEARS_OK when the row is served stale; else the failure. */
static tears_status serve_stale(struct t3_reading *reading, struct t3_miss *miss,
                                tears_status status)
{
    if ((status != TEARS_UNAVAILABLE && status != TEARS_TIMEOUT) ||
        !is_within_stale_bound(reading, miss))
        return status;
    miss->missing = false;
    miss->found->row = miss->old.row;
    miss->found->revision = 0;
    miss->found->confirmed_ms = miss->old.confirmed_ms;
    miss->found->tier = TEARS_TIER_L1;
    reading->session->degraded |= TEARS_DEGRADED_L3_READ;
    t3_count(&reading->collection->client->counters.stale_served, 1);
    return TEARS_OK;
}

/* What remains of a failure when all that may be served stale has been.  Joined flights have statuses of their own. */
static tears_status serve_all_stale(struct t3_reading *reading, tears_status status)
{
    tears_status rest = TEARS_OK;
    for (size_t i = 0; i < reading->count && status != TEARS_OK; i++) {
        struct t3_miss *miss = &reading->misses[i];
        if (miss->lead && miss->missing && serve_stale(reading, miss, status) != TEARS_OK)
            rest = status;
    }
    return rest;
}

/* ---- joined flights -------------------------------------------------------------------------- */

/* Whether the answer of a flight that another reader led will do for this one: that reader may have demanded less. */
static bool joined_will_do(const struct t3_reading *reading, const struct t3_miss *miss)
{
    struct tears_session *session = reading->session;
    const struct t3_found *found = miss->found;
    if (found->tier == TEARS_TIER_L1 && session->level == TEARS_READ_BOUNDED)
        return false; /* an old row, given out because its age alone was over */
    if (found->is_dirty && session->level != TEARS_READ_ANY)
        return false;
    return session->level != TEARS_READ_SESSION ||
           t3_floors_allow(session, reading->collection, miss->key, found->row);
}

static tears_status fetch_misses(struct t3_reading *reading);

/* Reads the row oneself. */
static tears_status read_alone(struct t3_reading *reading, struct t3_miss *miss, bool strong)
{
    struct t3_miss alone = {.key = miss->key, .found = miss->found, .old = miss->old};
    struct t3_reading again = *reading;
    again.misses = &alone;
    again.count = 1;
    again.strong = strong;
    t3_error_clear(&reading->session->error);
    return fetch_misses(&again);
}

/* Waits for a row that another thread fetches; fetches it oneself when that one ran out of time, or demanded less. */
static tears_status wait_for_leader(struct t3_reading *reading, struct t3_miss *miss)
{
    struct tears_session *session = reading->session;
    bool leader_timed_out;
    struct t3_flight *flight = T3_TAKE(miss->flight);
    const tears_status status = t3_flight_wait(reading->collection->client->flights, flight,
                                               session, miss->found, &leader_timed_out);
    if (status == TEARS_OK)
        return joined_will_do(reading, miss) ? TEARS_OK : read_alone(reading, miss, true);
    if (leader_timed_out && !t3_deadline_passed(t3_session_deadline(session)))
        return read_alone(reading, miss, false);
    return serve_stale(reading, miss, status);
}

static tears_status wait_for_leaders(struct t3_reading *reading, tears_status status)
{
    for (size_t i = 0; i < reading->count; i++) {
        if (reading->misses[i].flight == NULL)
            continue;
        const tears_status one = wait_for_leader(reading, &reading->misses[i]);
        if (status == TEARS_OK)
            status = one; /* all flights are left even when one failed */
    }
    return status;
}

static bool goes_in_turn(const struct t3_reading *reading)
{
    const struct tears_collection *collection = reading->collection;
    return collection->options.fill_lease_ms != 0 && collection->l2 != NULL &&
           !collection->lives_in_l2 && !reading->strong;
}

static tears_status fetch_misses(struct t3_reading *reading)
{
    tears_status status = board(reading);
    if (status == TEARS_OK)
        status = t3_ask_l2(reading, false);
    if (status == TEARS_OK)
        status = goes_in_turn(reading) ? t3_ask_l3_in_turn(reading) : t3_ask_l3(reading);
    land(reading, status);
    status = serve_all_stale(reading, status);
    status = wait_for_leaders(reading, status);
    if (status == TEARS_OK && reading->session->error.status != TEARS_OK)
        t3_error_clear(&reading->session->error); /* a failure that a stale row has made good */
    return status;
}

/* ---- the path ---------------------------------------------------------------------------- */

tears_status t3_read_l3(struct tears_session *session, struct tears_collection *collection,
                        const struct t3_key *keys, size_t count, struct t3_found *found_out)
{
    struct t3_row **rows = t3_arena_array(&session->arena, count, sizeof *rows);
    if (rows == NULL)
        return t3_session_no_memory(session);
    const uint64_t asked_ms = t3_now_coarse_ms();
    T3_TRY(t3_load_many(session, collection, keys, count, rows));
    for (size_t i = 0; i < count; i++) {
        found_out[i].row = rows[i];
        found_out[i].revision = 0;
        found_out[i].confirmed_ms = asked_ms;
        found_out[i].tier = rows[i] != NULL ? TEARS_TIER_L3 : TEARS_TIER_NONE;
    }
    return TEARS_OK;
}

tears_status t3_read_one(struct tears_session *session, struct tears_collection *collection,
                         const struct t3_key *key, struct t3_found *found_out)
{
    if (session->tx != NULL)
        return t3_read_l3(session, collection, key, 1, found_out);
    struct t3_l1_hit hit = {0};
    bool answered = false;
    if (T3_UNLIKELY(t3_defer_is_to_look(session, collection)))
        T3_TRY(t3_defer_look(session, collection, key, found_out, &answered));
    if (answered)
        return TEARS_OK;
    if (collection->l1 != NULL)
        T3_TRY(ask_l1(session, collection, key, found_out, &hit, &answered));
    if (!answered) {
        struct t3_miss miss = {.key = key, .found = found_out};
        if (hit.row != NULL)
            miss.old = hit;
        struct t3_reading reading = {.session = session,
                                     .collection = collection,
                                     .misses = &miss,
                                     .count = 1,
                                     .strong = is_strong(session, collection)};
        T3_TRY(fetch_misses(&reading));
    }
    if (T3_UNLIKELY(session->level == TEARS_READ_SESSION))
        t3_floors_note_row(session, collection, key, found_out->row);
    return TEARS_OK;
}

tears_status t3_read_anew(struct tears_session *session, struct tears_collection *collection,
                          const struct t3_key *key, struct t3_found *found_out)
{
    struct t3_miss miss = {.key = key, .found = found_out};
    struct t3_reading reading = {
        .session = session, .collection = collection, .misses = &miss, .count = 1};
    struct t3_l1 *l1 = collection->l1;
    struct t3_l1_hit hit = {0};
    enum t3_l1_answer answer = T3_L1_MISS;
    if (l1 != NULL &&
        l1->ops->peek(l1, collection->space, key, &session->arena, &answer, &hit) != TEARS_OK)
        return t3_session_no_memory(session);
    if (answer == T3_L1_HIT || answer == T3_L1_EXPIRED)
        miss.old = hit; /* what is read is compared with it */
    return fetch_misses(&reading);
}

tears_status t3_read_many(struct tears_session *session, struct tears_collection *collection,
                          const struct t3_key *keys, size_t count, struct t3_found *found_out)
{
    if (count == 0)
        return TEARS_OK;
    if (session->tx != NULL)
        return t3_read_l3(session, collection, keys, count, found_out);
    struct t3_reading reading = {.session = session,
                                 .collection = collection,
                                 .misses =
                                     t3_arena_array(&session->arena, count, sizeof *reading.misses),
                                 .strong = is_strong(session, collection)};
    if (reading.misses == NULL)
        return t3_session_no_memory(session);
    for (size_t i = 0; i < count; i++) {
        struct t3_miss *miss = &reading.misses[reading.count];
        bool answered = false;
        if (T3_UNLIKELY(t3_defer_is_to_look(session, collection)))
            T3_TRY(t3_defer_look(session, collection, &keys[i], &found_out[i], &answered));
        if (!answered && collection->l1 != NULL)
            T3_TRY(ask_l1(session, collection, &keys[i], &found_out[i], &miss->old, &answered));
        if (answered)
            continue;
        miss->key = &keys[i];
        miss->found = &found_out[i];
        reading.count++;
    }
    if (reading.count > 0)
        T3_TRY(fetch_misses(&reading));
    if (session->level == TEARS_READ_SESSION)
        for (size_t i = 0; i < count; i++)
            t3_floors_note_row(session, collection, &keys[i], found_out[i].row);
    return TEARS_OK;
}
