/*
 * acquire.c -- gets a lease, at once or in a while.
 *
 * Owns:     the lease that is being made.
 * Knows:    when an entry may be taken from its holder: seen unchanged for its ttl by our own clock, or older than ttl and the largest step
 *           of the server's calendar, by that calendar.
 * Must not know: what is done under the lease.
 * Threads:  any; who waits stands in line (line.h) and holds no lock.
 * Fails:    see tears_lease_acquire.
 * Begin at: tears_lease_acquire(), attempt().
 */
#include "base/alloc.h"
#include "base/fail.h"
#include "base/jitter.h"
#include "base/sized.h"
#include "coord/keeper.h"
#include "coord/lease.h"
#include "coord/line.h"
#include "coord/marker.h"

#include <tears/client.h>

#include <inttypes.h>

static const char origin[] = "lease";

enum {
    TTL_MS = 30000,
    ROUNDS_MAX = 8,      /* writes of one attempt */
    PASS_US_MIN = 2000,  /* those who were woken by one release spread over so long, */
    PASS_US_MAX = 64000, /* doubled with each race that was lost */
    AWAY_MS_MIN = 100,   /* between two attempts while the server is away */
    AWAY_MS_MAX = 1000
};

struct acquiring {
    struct tears_coord *coord;
    struct tears_lease *lease;
    uint64_t token_above;
    struct t3_lease_write write;
    bool is_first;     /* write of an attempt: what is there has not been looked at */
    bool has_probed;   /* the server's calendar was asked */
    uint64_t expected; /* what look() has found: the revision to go over */
    uint64_t look_us;  /* t3_now_us: when it makes sense to look again */
    uint64_t pass_us;
    struct tears_error *error_out;
};

/* ---- what is there ------------------------------------------------------------------------- */

/* Whether the broker, by its own calendar, has stored the entry so long ago that no holder can still count on it. */
static bool is_over_by_server(struct acquiring *acquiring, const struct t3_solo_entry *entry,
                              uint64_t ttl_ms, struct t3_deadline deadline)
{
    struct tears_coord *coord = acquiring->coord;
    T3_AUTO(t3_solo_entry_done) struct t3_solo_entry clock = {.is_there = false};
    const struct t3_solo_put put = {
        .key = T3_COORD_CLOCK_KEY, .value = TEARS_STR("1"), .expected = T3_SOLO_ANY_REVISION};
    uint64_t revision = 0;
    acquiring->has_probed = true;
    if (entry->stored_us <= 0 ||
        t3_solo_put(coord->leases, &put, deadline, &revision, NULL) != TEARS_OK ||
        t3_solo_get(coord->leases, T3_COORD_CLOCK_KEY, deadline, &clock, NULL) != TEARS_OK ||
        clock.stored_us <= entry->stored_us)
        return false;
    const uint64_t age_us = (uint64_t)clock.stored_us - (uint64_t)entry->stored_us;
    return age_us / 1000 >= ttl_ms + coord->clock_step_us / 1000;
}

static enum t3_lease_found judge_held(struct acquiring *acquiring,
                                      const struct t3_solo_entry *entry,
                                      const struct t3_envelope *envelope,
                                      struct t3_deadline deadline)
{
    struct tears_coord *coord = acquiring->coord;
    const uint64_t ttl_ms = t3_envelope_ttl_ms(envelope, entry->ttl_ms);
    const uint64_t write = t3_write_hash(t3_buf_str(&entry->value), tears_str_c(entry->attempt));
    const uint64_t over_us =
        t3_observe(coord, tears_lease_name(acquiring->lease), write) + ttl_ms * 1000;
    const uint64_t now_us = t3_boot_us();
    if (now_us >= over_us)
        return T3_LEASE_OVER;
    /* Our calendar only says whether the question is worth its two round trips. */
    if (!acquiring->has_probed && t3_envelope_is_over(envelope, t3_calendar_us()) &&
        is_over_by_server(acquiring, entry, ttl_ms, deadline))
        return T3_LEASE_OVER;
    acquiring->look_us = t3_now_us() + (over_us - now_us);
    (void)t3_fail(acquiring->error_out, TEARS_CONFLICT, origin, "'%s' is held by '" T3_STR_FMT "'",
                  acquiring->lease->name, T3_STR_ARG(envelope->holder));
    return T3_LEASE_HELD;
}

/* Looks what is under the name, and what a write has to go over. */
static tears_status look(struct acquiring *acquiring, struct t3_deadline deadline,
                         enum t3_lease_found *found_out)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    T3_AUTO(t3_solo_entry_done) struct t3_solo_entry entry = {.is_there = false};
    struct t3_envelope envelope;
    T3_TRY(t3_solo_get(acquiring->coord->leases, acquiring->lease->name, deadline, &entry,
                       acquiring->error_out));
    acquiring->expected = entry.revision; /* 0 when nothing is there */
    if (!entry.is_there || entry.is_marker) {
        *found_out = T3_LEASE_NOTHING;
        return TEARS_OK;
    }
    if (t3_lease_is_own(acquiring->lease, &entry)) {
        *found_out = T3_LEASE_OWN;
        return TEARS_OK;
    }
    const tears_status status = t3_envelope_read(t3_buf_str(&entry.value), &arena, &envelope);
    if (status == TEARS_NO_MEMORY)
        return t3_fail_memory(acquiring->error_out, origin);
    *found_out =
        status == TEARS_OK ? judge_held(acquiring, &entry, &envelope, deadline) : T3_LEASE_CORRUPT;
    return TEARS_OK;
}

/* ---- one attempt --------------------------------------------------------------------------- */

/*
 * The entry is written; its token.  What was known of the bucket before must still hold: a revision that is not above all that was
 * seen before the write, or a base that was written meanwhile, says that this is another bucket.  TEARS_CONFLICT: look again.
 */
static tears_status settle(struct acquiring *acquiring, uint64_t seen, struct t3_deadline deadline)
{
    struct tears_coord *coord = acquiring->coord;
    struct tears_lease *lease = acquiring->lease;
    const uint64_t revision = acquiring->write.revision;
    if (!t3_coord_is_same(coord, &lease->epoch) || revision <= seen) {
        t3_coord_forget(coord);
        return TEARS_CONFLICT;
    }
    t3_coord_saw(coord, revision);
    if (lease->epoch.base + revision <= acquiring->token_above) {
        T3_TRY(t3_coord_raise(coord, acquiring->token_above, deadline, acquiring->error_out));
        return TEARS_CONFLICT;
    }
    t3_marker_gone(coord, lease->name);
    lease->token = lease->epoch.base + revision;
    t3_lease_held(lease, &acquiring->write);
    atomic_store_explicit(&lease->state, T3_LEASE_IS_HELD, memory_order_release);
    return TEARS_OK;
}

static tears_status fail_corrupt(const struct acquiring *acquiring)
{
    return t3_fail(acquiring->error_out, TEARS_CORRUPT, origin,
                   "the entry '%s' is no lease; a person can remove it (tears lease break)",
                   acquiring->lease->name);
}

static tears_status check_age(const struct acquiring *acquiring)
{
    const uint64_t age_ms = acquiring->lease->epoch.age_max_ms;
    if (age_ms == 0 || acquiring->write.ttl_ms <= age_ms)
        return TEARS_OK;
    return t3_fail(acquiring->error_out, TEARS_INVALID, origin,
                   "a ttl of %" PRIu64 " ms: the bucket forgets entries after %" PRIu64 " ms",
                   acquiring->write.ttl_ms, age_ms);
}

/* Writes over `expected`.  TEARS_CONFLICT: somebody else has, or nobody knows whether we have; look. */
static tears_status write_once(struct acquiring *acquiring, struct t3_deadline deadline)
{
    struct tears_coord *coord = acquiring->coord;
    struct tears_lease *lease = acquiring->lease;
    T3_TRY(t3_coord_epoch(coord, deadline, &lease->epoch, acquiring->error_out));
    T3_TRY(check_age(acquiring));
    const uint64_t seen = atomic_load_explicit(&coord->revision_seen, memory_order_relaxed);
    if (acquiring->is_first)
        acquiring->expected = t3_marker_over(coord, lease->name, &lease->epoch);
    acquiring->is_first = false;
    acquiring->write.expected = acquiring->expected;
    lease->acquired_us = t3_calendar_us();
    const tears_status status =
        t3_lease_write(lease, &acquiring->write, deadline, acquiring->error_out);
    if (status == TEARS_OK)
        return settle(acquiring, seen, deadline);
    if (status == TEARS_NOT_FOUND) /* the bucket is gone; the next look makes it anew */
        t3_coord_forget(coord);
    const bool is_unknown = status == TEARS_TIMEOUT || status == TEARS_UNAVAILABLE;
    return is_unknown || status == TEARS_NOT_FOUND ? TEARS_CONFLICT : status;
}

/*
 * TEARS_CONFLICT: somebody holds it, and look_us is when it can be over.  `look_first`: another process has left a marker, whose revision
 * is to be found out; else what is there is what this process knows, or nothing.
 */
static tears_status attempt(struct acquiring *acquiring, bool look_first)
{
    const struct t3_deadline deadline = t3_coord_patience(acquiring->coord);
    acquiring->is_first = !look_first;
    for (int round = 0; round < ROUNDS_MAX; round++) {
        enum t3_lease_found found = T3_LEASE_NOTHING;
        const bool is_look = look_first && round == 0;
        const tears_status status = is_look ? TEARS_CONFLICT : write_once(acquiring, deadline);
        if (status != TEARS_CONFLICT)
            return status;
        const tears_status looked = look(acquiring, deadline, &found);
        if (looked == TEARS_NOT_FOUND) {
            t3_coord_forget(acquiring->coord);
            acquiring->expected = 0;
        } else if (looked != TEARS_OK)
            return looked;
        const enum t3_lease_step step = t3_lease_next(found);
        if (step == T3_LEASE_REFUSE)
            return fail_corrupt(acquiring);
        if (step == T3_LEASE_WAIT)
            return TEARS_CONFLICT;
    }
    acquiring->look_us = t3_now_us() + t3_jitter(acquiring->pass_us);
    return t3_fail(acquiring->error_out, TEARS_CONFLICT, origin, "'%s' is fought for",
                   acquiring->lease->name);
}

/* ---- waiting ------------------------------------------------------------------------------- */

static bool is_transient(tears_status status)
{
    return status == TEARS_CONFLICT || status == TEARS_UNAVAILABLE || status == TEARS_TIMEOUT;
}

/* The first of the line tries.  True: that is the end of it. */
static bool try_first(struct acquiring *acquiring, bool look_first, struct t3_deadline deadline,
                      tears_status *status_out)
{
    const bool is_last = t3_deadline_passed(deadline);
    acquiring->look_us = 0;
    *status_out = attempt(acquiring, look_first);
    if (!is_transient(*status_out))
        return true;
    if (*status_out != TEARS_CONFLICT)
        acquiring->look_us =
            t3_now_us() + (AWAY_MS_MIN + t3_jitter(AWAY_MS_MAX - AWAY_MS_MIN)) * 1000;
    if (acquiring->pass_us < PASS_US_MAX)
        acquiring->pass_us *= 2;
    const struct t3_lease_pause pause = t3_lease_pause(acquiring->look_us, deadline.at_us, is_last);
    if (pause.is_over && *status_out == TEARS_CONFLICT)
        *status_out = TEARS_TIMEOUT;
    return pause.is_over;
}

/* Stands in line until it has the lease, or may not wait any longer. */
static tears_status stand_in_line(struct acquiring *acquiring, struct t3_waiter *waiter,
                                  struct t3_deadline deadline)
{
    tears_status status = TEARS_CONFLICT;
    for (bool is_over = false; !is_over;) {
        const enum t3_line_wake wake =
            t3_line_wait(acquiring->coord, waiter, acquiring->look_us, deadline);
        if (wake == T3_LINE_TIMED_OUT)
            return t3_fail(acquiring->error_out, TEARS_TIMEOUT, origin,
                           "'%s': others of this process were still before us in the line",
                           acquiring->lease->name);
        if (wake == T3_LINE_HEARD &&
            t3_line_let_pass(acquiring->coord, waiter, acquiring->pass_us, &acquiring->look_us))
            continue;
        is_over = try_first(acquiring, wake == T3_LINE_HEARD, deadline, &status);
    }
    return status;
}

static tears_status wait_for_it(struct acquiring *acquiring, uint64_t wait_ms)
{
    const struct t3_deadline deadline = t3_deadline_in_ms(wait_ms);
    struct t3_waiter waiter;
    if (t3_line_join(acquiring->coord, tears_lease_name(acquiring->lease), &waiter) != TEARS_OK)
        return t3_fail_memory(acquiring->error_out, origin);
    const tears_status status = stand_in_line(acquiring, &waiter, deadline);
    const uint64_t held_ms = status == TEARS_OK ? acquiring->write.ttl_ms : 0;
    t3_line_leave(acquiring->coord, &waiter, held_ms > 0 ? t3_now_us() + held_ms * 1000 : 0);
    if (status == TEARS_TIMEOUT && acquiring->error_out != NULL)
        acquiring->error_out->status = TEARS_TIMEOUT; /* the text says who holds it */
    return status;
}

/* ---- the call ------------------------------------------------------------------------------ */

static tears_status check_ttl(uint64_t ttl_ms, struct tears_error *error_out)
{
    if (ttl_ms >= TEARS_LEASE_TTL_MS_MIN && ttl_ms <= TEARS_LEASE_TTL_MS_MAX)
        return TEARS_OK;
    return t3_fail(error_out, TEARS_INVALID, origin,
                   "a ttl of %" PRIu64 " ms: it must be between %d and %d", ttl_ms,
                   (int)TEARS_LEASE_TTL_MS_MIN, (int)TEARS_LEASE_TTL_MS_MAX);
}

static tears_status new_lease(struct tears_coord *coord, struct tears_str name,
                              const struct tears_lease_options *options,
                              struct tears_lease **lease_out, struct tears_error *error_out)
{
    char id[T3_COORD_ID_BYTES];
    T3_TRY(t3_coord_check_name(name, error_out));
    T3_TRY(check_ttl(options->ttl_ms, error_out));
    T3_TRY(t3_coord_random_id(id, error_out));
    struct tears_lease *lease = t3_alloc_zero(1, sizeof *lease);
    if (lease == NULL)
        return t3_fail_memory(error_out, origin);
    lease->coord = coord;
    memcpy(lease->name, name.ptr, name.len);
    memcpy(lease->id, id, sizeof lease->id);
    lease->lost = options->lost;
    lease->lost_owner = options->lost_owner;
    lease->is_renewed = options->no_renewal == 0;
    atomic_init(&lease->state, T3_LEASE_IS_RELEASED); /* until it is acquired */
    atomic_init(&lease->fd, -1);
    t3_cond_init(&lease->idle);
    *lease_out = lease;
    return TEARS_OK;
}

tears_status tears_lease_acquire(tears_coord *coord, struct tears_str name,
                                 const struct tears_lease_options *options, tears_lease **lease_out,
                                 struct tears_error *error_out)
{
    struct tears_lease_options own = TEARS_LEASE_OPTIONS_INIT;
    t3_error_clear(error_out);
    if (options != NULL)
        T3_TRY(t3_sized_copy(&own, sizeof own, options, origin, error_out));
    if (own.ttl_ms == 0)
        own.ttl_ms = TTL_MS;
    struct acquiring acquiring = {.coord = coord,
                                  .token_above = own.token_above,
                                  .write = {.ttl_ms = own.ttl_ms},
                                  .pass_us = PASS_US_MIN,
                                  .error_out = error_out};
    T3_TRY(new_lease(coord, name, &own, &acquiring.lease, error_out));
    const tears_status status =
        own.wait_ms > 0 ? wait_for_it(&acquiring, own.wait_ms) : attempt(&acquiring, false);
    if (status != TEARS_OK) {
        tears_lease_free(acquiring.lease);
        return status;
    }
    t3_error_clear(error_out);
    if (acquiring.lease->is_renewed)
        t3_keeper_add(acquiring.lease);
    *lease_out = acquiring.lease;
    return TEARS_OK;
}
