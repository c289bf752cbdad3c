/*
 * herd.c -- of several processes that miss the same row, one asks L3.
 *
 * Owns:     nothing that outlives a call.
 * Knows:    who may ask L3, how long to wait for whom, and that nobody is waited for while own leases are held.
 * Must not know: how a lease looks in L2.
 * Threads:  the session's.
 * Fails:    as L3 does; whenever L2 cannot be agreed on, the reader asks L3 itself.
 * Begin at: t3_ask_l3_in_turn().
 *
 * Each row that L2 does not have is in one of three states:
 *
 *   won     the lease is ours: ask L3, and put the row over the lease
 *   waits   it is another process's: look into L2 again, after a random pause, until the row is there
 *   alone   L2 does not answer, or a write is announced: ask L3 and agree with nobody
 *
 * A winner that dies leaves a lease that runs out; then those who wait compete for the next one.  A winner that finds no row takes its
 * lease back, so that the others need not wait for the end of it.  Rows that are waited for are loaded last: two processes that each
 * hold what the other one waits for would both wait for the leases' end.
 */
#include "core/miss.h"

#include "base/jitter.h"
#include "base/thread.h"
#include "core/floors.h"
#include "core/freshness.h"

enum { PAUSE_US_MIN = 1000, PAUSE_US_MAX = 50000 };

/*
 * A row whose age is over, and nothing else: the feed proves that it is right.  It is given out rather than waited for another;
 * the winner's fill will give it a new age.
 */
static bool serve_aged(struct t3_reading *reading, struct t3_miss *miss)
{
    struct tears_session *session = reading->session;
    struct tears_collection *collection = reading->collection;
    struct t3_l1_hit now = miss->old;
    now.now_ms = t3_now_coarse_ms();
    if (now.row == NULL || !t3_is_fresh(collection, &now, t3_bound_ms(session, collection)) ||
        miss->ticket != t3_collection_ticket(collection, miss->key) ||
        (session->level == TEARS_READ_SESSION &&
         !t3_floors_allow(session, collection, miss->key, now.row)))
        return false;
    miss->missing = false;
    miss->waits = false;
    miss->found->row = now.row;
    miss->found->revision = 0;
    miss->found->confirmed_ms = now.confirmed_ms;
    miss->found->tier = TEARS_TIER_L1;
    return true;
}

static void wait_for_other(struct t3_reading *reading, struct t3_miss *miss)
{
    if (miss->waits || serve_aged(reading, miss))
        return;
    miss->waits = true;
    t3_count(&reading->collection->client->counters.fill_leases_waited, 1);
}

/* Asks to be the one who loads the row. */
static void compete(struct t3_reading *reading, struct t3_miss *miss)
{
    struct tears_collection *collection = reading->collection;
    uint64_t revision;
    const tears_status status = t3_l2_lease(
        collection->l2, collection->schema, miss->key, miss->seen, miss->l2_version,
        collection->options.fill_lease_ms, t3_session_deadline(reading->session), &revision);
    if (status == TEARS_CONFLICT) {
        wait_for_other(reading, miss);
        return;
    }
    miss->waits = false; /* won, or L2 is no help */
    if (status != TEARS_OK)
        return;
    miss->seen = revision;
    miss->won = true;
    t3_count(&collection->client->counters.fill_leases_won, 1);
}

/* What to do about a row, as L2 has it now. */
static void take_turn(struct t3_reading *reading, struct t3_miss *miss)
{
    if (miss->lease == T3_L2_WRITE_LEASE || miss->seen == UINT64_MAX || miss->l2_row != NULL)
        miss->waits =
            false; /* alone: nothing that L3 says would be kept, or L2 has a row that is too old for this session only */
    else if (miss->lease == T3_L2_FILL_LEASE)
        wait_for_other(reading, miss);
    else
        compete(reading, miss);
}

static size_t take_turns(struct t3_reading *reading)
{
    size_t waiting = 0;
    for (size_t i = 0; i < reading->count; i++) {
        struct t3_miss *miss = &reading->misses[i];
        if (miss->lead && miss->missing)
            take_turn(reading, miss);
        waiting += miss->lead && miss->missing && miss->waits;
    }
    return waiting;
}

/* The others have had their time: whoever is still without a row asks L3 itself. */
static void stop_waiting(struct t3_reading *reading)
{
    uint64_t expired = 0;
    for (size_t i = 0; i < reading->count; i++) {
        expired += reading->misses[i].waits;
        reading->misses[i].waits = false;
    }
    t3_count(&reading->collection->client->counters.fill_leases_expired, expired);
}

/* Waiting ends with the lease, and early enough to ask L3 within the call's own time. */
static struct t3_deadline patience(struct t3_reading *reading)
{
    const struct t3_deadline deadline = t3_session_deadline(reading->session);
    const uint64_t left_ms = t3_deadline_left_ms(deadline);
    return t3_deadline_at_most_ms(t3_deadline_in_ms(left_ms / 2),
                                  reading->collection->options.fill_lease_ms);
}

tears_status t3_ask_l3_in_turn(struct t3_reading *reading)
{
    size_t waiting = take_turns(reading);
    T3_TRY(t3_ask_l3(reading));
    const struct t3_deadline until = patience(reading);
    uint64_t pause_us = PAUSE_US_MIN;
    while (waiting > 0 && !t3_deadline_passed(until)) {
        t3_pause_us(pause_us / 2 + t3_jitter(pause_us / 2));
        pause_us = pause_us * 2 < PAUSE_US_MAX ? pause_us * 2 : PAUSE_US_MAX;
        T3_TRY(t3_ask_l2(reading, true));
        waiting = take_turns(reading);
        T3_TRY(t3_ask_l3(reading)); /* what has been won meanwhile, or is alone now */
    }
    if (waiting == 0)
        return TEARS_OK;
    stop_waiting(reading);
    return t3_ask_l3(reading);
}
