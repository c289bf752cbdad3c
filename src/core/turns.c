/*
 * turns.c -- places at which threads wait for their turn.
 *
 * Owns:     the places.
 * Must not know: what is done in a turn.
 * Threads:  any; the mutex is a leaf, and not held during a turn.
 * Fails:    TEARS_NO_MEMORY at the beginning.
 * Begin at: t3_turn_take().
 */
#include "core/turns.h"

#include "base/alloc.h"
#include "base/lock.h"

enum { PLACES = 64 }; /* a power of two; keys that meet in one wait for each other without need */

struct place {
    struct t3_mutex mutex;
    struct t3_cond free;
    bool is_taken;
};

struct t3_turns {
    struct place places[PLACES];
};

tears_status t3_turns_new(struct t3_turns **turns_out)
{
    struct t3_turns *turns = t3_alloc_zero(1, sizeof *turns);
    if (turns == NULL)
        return TEARS_NO_MEMORY;
    for (size_t i = 0; i < PLACES; i++) {
        t3_mutex_init(&turns->places[i].mutex);
        t3_cond_init(&turns->places[i].free);
    }
    *turns_out = turns;
    return TEARS_OK;
}

void t3_turns_free(struct t3_turns *turns)
{
    if (turns == NULL)
        return;
    for (size_t i = 0; i < PLACES; i++) {
        t3_cond_done(&turns->places[i].free);
        t3_mutex_done(&turns->places[i].mutex);
    }
    t3_free(turns);
}

static struct place *place_of(struct t3_turns *turns, uint64_t hash)
{
    return &turns->places[(hash >> 32 ^ hash) & (PLACES - 1)];
}

bool t3_turn_take(struct t3_turns *turns, uint64_t hash, struct t3_deadline deadline)
{
    struct place *place = place_of(turns, hash);
    bool has_time = true;
    t3_lock(&place->mutex);
    while (place->is_taken && has_time)
        has_time = t3_cond_wait(&place->free, &place->mutex, deadline);
    const bool is_mine = !place->is_taken;
    place->is_taken = true;
    t3_unlock(&place->mutex);
    return is_mine;
}

void t3_turn_pass(struct t3_turns *turns, uint64_t hash)
{
    struct place *place = place_of(turns, hash);
    t3_lock(&place->mutex);
    place->is_taken = false;
    t3_cond_signal(&place->free);
    t3_unlock(&place->mutex);
}
