/*
 * flight.h -- single flight: of all threads that miss the same row, one fetches it.
 *
 * Why a flight has a ticket: a reader that joined a fetch begun before a write it has already seen
 * would be given the row from before that write.  So a flight is joined only while its ticket is
 * current.
 */
#ifndef T3_CORE_FLIGHT_H
#define T3_CORE_FLIGHT_H

#include "core/core.h"

struct t3_flight;

/* Which row, and how early the flight may have been opened whose answer will do. */
struct t3_flight_wish {
    struct tears_collection *collection;
    const struct t3_key *key;
    uint64_t not_before_ms; /* of t3_now_coarse_ms */
};

tears_status t3_flights_new(struct t3_flights **flights_out);
void t3_flights_free(struct t3_flights *flights);

/*
 * Joins the fetch under way for the key, or opens one (lead_out true).  The leader must finish it;
 * until then the key's memory must stay.  A joiner must wait for it.  TEARS_OK, TEARS_NO_MEMORY.
 */
tears_status t3_flight_board(struct t3_flights *flights, const struct t3_flight_wish *wish,
                             struct t3_flight **flight_out, bool *lead_out);

/* The ticket taken when the flight was opened. */
uint64_t t3_flight_ticket(const struct t3_flight *flight);

/* The leader's last act: shares the outcome (`error` when status is not TEARS_OK) with whoever
 * joined. */
void t3_flight_finish(struct t3_flights *flights, struct t3_flight *flight, tears_status status,
                      const struct tears_error *error, const struct t3_found *found);

/*
 * Waits for the leader; the row is copied into the arena.  Whatever the leader's status was;
 * TEARS_TIMEOUT of one's own; TEARS_NO_MEMORY.  *leader_timed_out_out: the leader ran out of its
 * own time, try again.
 */
tears_status t3_flight_wait(struct t3_flights *flights, struct t3_flight *flight,
                            struct tears_session *session, struct t3_found *found_out,
                            bool *leader_timed_out_out);

#endif
