/*
 * flight.c -- who is fetching which row.
 *
 * Owns:     the flights under way and a few that can be used again.
 * Must not know: the tiers.
 * Threads:  any.  One mutex per shard, a leaf.
 * Fails:    TEARS_NO_MEMORY when a flight cannot be made; TEARS_TIMEOUT when waiting.
 * Begin at: t3_flight_board().
 */
#include "core/flight.h"

#include "base/alloc.h"
#include "base/fail.h"

enum { SHARDS = 64, SPARE_MAX = 16 };

struct t3_flight {
    struct t3_flight *next;
    struct tears_collection *collection;
    struct t3_key key; /* borrowed from the leader, valid while the flight is in its shard */
    uint64_t ticket;
    uint64_t opened_ms;
    uint32_t references; /* leader and joiners */
    bool landed;
    bool has_cond; /* made when the first joiner arrives */
    struct t3_cond cond;
    tears_status status;
    struct tears_error *error;
    struct t3_found found; /* row: a copy on the heap, made only when someone joined */
};

struct shard {
    struct t3_mutex mutex;
    struct t3_flight *first;
    struct t3_flight *spare;
    uint32_t spare_count;
} __attribute__((aligned(64)));

struct t3_flights {
    struct shard shards[SHARDS];
};

tears_status t3_flights_new(struct t3_flights **flights_out)
{
    struct t3_flights *flights = t3_alloc_zero(1, sizeof *flights);
    if (flights == NULL)
        return TEARS_NO_MEMORY;
    for (size_t i = 0; i < SHARDS; i++)
        t3_mutex_init(&flights->shards[i].mutex);
    *flights_out = flights;
    return TEARS_OK;
}

void t3_flights_free(struct t3_flights *flights)
{
    if (flights == NULL)
        return;
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &flights->shards[i];
        T3_ASSERT(shard->first == NULL);
        while (shard->spare != NULL) {
            struct t3_flight *flight = shard->spare;
            shard->spare = flight->next;
            t3_free(flight);
        }
        t3_mutex_done(&shard->mutex);
    }
    t3_free(flights);
}

static struct shard *shard_of(struct t3_flights *flights, const struct t3_key *key)
{
    return &flights->shards[(key->hash >> 20) % SHARDS];
}

static struct t3_flight *find_locked(struct shard *shard, const struct t3_flight_wish *wish)
    T3_REQUIRES(shard->mutex)
{
    const struct t3_key *key = wish->key;
    for (struct t3_flight *flight = shard->first; flight != NULL; flight = flight->next)
        if (flight->collection == wish->collection && flight->key.hash == key->hash &&
            flight->opened_ms >= wish->not_before_ms && t3_key_equal(&flight->key, key) &&
            flight->ticket == t3_collection_ticket(wish->collection, key))
            return flight;
    return NULL;
}

static void join_locked(struct t3_flight *flight)
{
    if (!flight->has_cond) {
        t3_cond_init(&flight->cond);
        flight->has_cond = true;
    }
    flight->references++;
}

static struct t3_flight *take_spare_locked(struct shard *shard) T3_REQUIRES(shard->mutex)
{
    struct t3_flight *flight = shard->spare;
    if (flight != NULL) {
        shard->spare = flight->next;
        shard->spare_count--;
        memset(flight, 0, sizeof *flight);
        return flight;
    }
    return t3_alloc_zero(1, sizeof *flight);
}

static struct t3_flight *open_locked(struct shard *shard, const struct t3_flight_wish *wish)
    T3_REQUIRES(shard->mutex)
{
    struct t3_flight *flight = take_spare_locked(shard);
    if (flight == NULL)
        return NULL;
    flight->collection = wish->collection;
    flight->key = *wish->key;
    flight->ticket = t3_collection_ticket(wish->collection, wish->key);
    flight->opened_ms = t3_now_coarse_ms();
    flight->references = 1;
    flight->next = shard->first;
    shard->first = flight;
    return flight;
}

tears_status t3_flight_board(struct t3_flights *flights, const struct t3_flight_wish *wish,
                             struct t3_flight **flight_out, bool *lead_out)
{
    struct shard *shard = shard_of(flights, wish->key);
    t3_lock(&shard->mutex);
    struct t3_flight *flight = find_locked(shard, wish);
    const bool lead = flight == NULL;
    if (lead)
        flight = open_locked(shard, wish);
    else
        join_locked(flight);
    t3_unlock(&shard->mutex);
    if (flight == NULL)
        return TEARS_NO_MEMORY;
    *flight_out = flight;
    *lead_out = lead;
    return TEARS_OK;
}

uint64_t t3_flight_ticket(const struct t3_flight *flight)
{
    return flight->ticket;
}

static void release_locked(struct shard *shard, struct t3_flight *flight) T3_REQUIRES(shard->mutex)
{
    if (--flight->references > 0)
        return;
    t3_free(flight->error);
    t3_free(flight->found.row);
    if (flight->has_cond)
        t3_cond_done(&flight->cond);
    if (shard->spare_count >= SPARE_MAX) {
        t3_free(flight);
        return;
    }
    flight->next = shard->spare;
    shard->spare = flight;
    shard->spare_count++;
}

static void remove_locked(struct shard *shard, struct t3_flight *flight) T3_REQUIRES(shard->mutex)
{
    struct t3_flight **link = &shard->first;
    while (*link != flight)
        link = &(*link)->next;
    *link = flight->next;
}

/* Copies the outcome for the joiners; a copy that cannot be made is an outcome too. */
static void share_locked(struct t3_flight *flight, tears_status status,
                         const struct tears_error *error, const struct t3_found *found)
{
    flight->status = status;
    if (status != TEARS_OK) {
        flight->error = t3_alloc(sizeof *flight->error);
        if (flight->error != NULL)
            *flight->error = *error;
        return;
    }
    flight->found = *found;
    if (found->row == NULL)
        return;
    flight->found.row = t3_alloc(found->row->size);
    if (flight->found.row == NULL)
        flight->status = TEARS_NO_MEMORY;
    else
        memcpy(flight->found.row, found->row, found->row->size);
}

void t3_flight_finish(struct t3_flights *flights, struct t3_flight *flight, tears_status status,
                      const struct tears_error *error, const struct t3_found *found)
{
    struct shard *shard = shard_of(flights, &flight->key);
    t3_lock(&shard->mutex);
    remove_locked(shard, flight);
    flight->landed = true;
    if (flight->references > 1) {
        share_locked(flight, status, error, found);
        t3_cond_broadcast(&flight->cond);
    }
    release_locked(shard, flight);
    t3_unlock(&shard->mutex);
}

/* What the joiner takes away.  Runs under the shard's mutex: the copy is what keeps the flight
 * short. */
static tears_status take_outcome_locked(struct t3_flight *flight, struct tears_session *session,
                                        struct t3_found *found_out)
{
    if (flight->status != TEARS_OK) {
        if (flight->error != NULL)
            session->error = *flight->error;
        else
            (void)t3_fail(&session->error, flight->status, "core",
                          "the read this one had joined failed: %s",
                          tears_status_text(flight->status));
        return flight->status;
    }
    *found_out = flight->found;
    if (flight->found.row == NULL)
        return TEARS_OK;
    found_out->row = t3_arena_alloc(&session->arena, flight->found.row->size);
    if (found_out->row == NULL)
        return t3_session_no_memory(session);
    memcpy(found_out->row, flight->found.row, flight->found.row->size);
    return TEARS_OK;
}

tears_status t3_flight_wait(struct t3_flights *flights, struct t3_flight *flight,
                            struct tears_session *session, struct t3_found *found_out,
                            bool *leader_timed_out_out)
{
    struct t3_key key = flight->key; /* only its hash: the rest dies with the leader's call */
    struct shard *shard = shard_of(flights, &key);
    const struct t3_deadline deadline = t3_session_deadline(session);
    *leader_timed_out_out = false;
    t3_lock(&shard->mutex);
    while (!flight->landed && !t3_deadline_passed(deadline))
        (void)t3_cond_wait(&flight->cond, &shard->mutex, deadline);
    tears_status status;
    if (!flight->landed) {
        status = t3_fail(&session->error, TEARS_TIMEOUT, "core",
                         "the deadline passed while another thread was reading the row");
    } else {
        status = take_outcome_locked(flight, session, found_out);
        *leader_timed_out_out = status == TEARS_TIMEOUT;
    }
    release_locked(shard, flight);
    t3_unlock(&shard->mutex);
    return status;
}
