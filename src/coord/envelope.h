/*
 * envelope.h -- the value of a lease as all processes write it, Python ones included, and what follows from one: pure functions.
 *
 *     {"holder": "...", "expires_at": "2026-11-22T20:47:20.655869+00:00", "acquired_at": "2026-11-22T20:46:50.655869+00:00"}
 */
#ifndef T3_COORD_ENVELOPE_H
#define T3_COORD_ENVELOPE_H

#include "base/arena.h"
#include "base/buf.h"

struct t3_envelope {
    struct tears_str holder;
    int64_t expires_us; /* since 1970, by the holder's calendar */
    int64_t acquired_us;
};

/* Appends it as Python writes it.  TEARS_INVALID (holder is not UTF-8), TEARS_NO_MEMORY. */
tears_status t3_envelope_put(const struct t3_envelope *envelope, struct t3_buf *out);

/* Reads one; the holder is the arena's.  TEARS_CORRUPT, TEARS_NO_MEMORY. */
tears_status t3_envelope_read(struct tears_str text, struct t3_arena *arena,
                              struct t3_envelope *envelope_out);

/*
 * For how long an entry counts from when it was written: what its header says, else the difference of its two times, which one calendar
 * gave.
 */
uint64_t t3_envelope_ttl_ms(const struct t3_envelope *envelope, uint64_t header_ms);

/* Whether it is over by a calendar: what Python processes go by, and what is shown to people. */
bool t3_envelope_is_over(const struct t3_envelope *envelope, int64_t now_us);

/* ---- decisions ---- */

/* What was found under the key, as far as it matters to someone who wants the lease. */
enum t3_lease_found {
    T3_LEASE_NOTHING, /* or a marker */
    T3_LEASE_OVER,    /* its time has passed */
    T3_LEASE_OWN,     /* an attempt of one's own, whose answer was lost */
    T3_LEASE_HELD,
    T3_LEASE_CORRUPT
};

/* What to do about it. */
enum t3_lease_step { T3_LEASE_CREATE, T3_LEASE_STEAL, T3_LEASE_WAIT, T3_LEASE_REFUSE };

enum t3_lease_step t3_lease_next(enum t3_lease_found found);

/* When somebody who waits looks again: `look_us` on its clock, or that it gives up now. */
struct t3_lease_pause {
    bool is_over;
    uint64_t look_us;
};

/*
 * `over_us`: when the holder's time is over.  A waiter that was not woken looks then, and once more at its deadline; `last` says
 * that this look has been made.
 */
struct t3_lease_pause t3_lease_pause(uint64_t over_us, uint64_t deadline_us, bool last);

/*
 * Until when a holder may say that it holds: a tenth of the ttl, at most 2 s, less than those will wait who want to take it.  That covers
 * clocks that differ in speed, and the time between the question and what is done about it.
 */
uint64_t t3_lease_valid_until(uint64_t sent_us, uint64_t ttl_ms);

/* When a renewal is due that is to come three times in a ttl. */
uint64_t t3_lease_renew_at(uint64_t sent_us, uint64_t ttl_ms);

#endif
