/*
 * keeper.c -- renews leases three times in a ttl, and says when one is lost.
 *
 * Owns:     the list of leases to be renewed.
 * Must not know: what a renewal sends.
 * Threads:  one of its own for each coord; it calls the lost functions.
 * Fails:    a renewal without an answer is tried again, sooner; a lease whose time is over is lost.
 * Begin at: run().
 */
#include "coord/keeper.h"

#include "base/fail.h"
#include "base/jitter.h"
#include "coord/lease.h"
#include "coord/marker.h"

static const char origin[] = "lease";

enum {
    AGAIN_MS_MIN = 50, /* after a renewal without an answer */
    AGAIN_MS_MAX = 250
};

void t3_keeper_wake(struct tears_coord *coord)
{
    t3_lock(&coord->mutex);
    t3_cond_signal(&coord->keeper_wake);
    t3_unlock(&coord->mutex);
}

void t3_keeper_due_locked(struct tears_coord *coord, uint64_t at_us)
{
    if (at_us < coord->keeper_until_us)
        t3_cond_signal(&coord->keeper_wake);
}

void t3_keeper_add(struct tears_lease *lease)
{
    struct tears_coord *coord = lease->coord;
    t3_lock(&coord->mutex);
    lease->next = coord->renewed;
    lease->link = &coord->renewed;
    if (lease->next != NULL)
        lease->next->link = &lease->next;
    coord->renewed = lease;
    t3_keeper_due_locked(coord, lease->renew_at_us);
    t3_unlock(&coord->mutex);
}

static void remove_locked(struct tears_lease *lease)
{
    if (lease->link == NULL)
        return;
    *lease->link = lease->next;
    if (lease->next != NULL)
        lease->next->link = lease->link;
    lease->link = NULL;
}

void t3_keeper_remove(struct tears_lease *lease)
{
    t3_lock(&lease->coord->mutex);
    remove_locked(lease);
    t3_unlock(&lease->coord->mutex);
}

/* ---- one pass ------------------------------------------------------------------------------ */

static uint64_t valid_until(const struct tears_lease *lease)
{
    return atomic_load_explicit(&lease->valid_until_us, memory_order_relaxed);
}

static bool is_lost(const struct tears_lease *lease)
{
    return atomic_load_explicit(&lease->state, memory_order_acquire) == T3_LEASE_IS_LOST;
}

/* When something has to be done for the lease; 0: now. */
static uint64_t due_at_locked(const struct tears_lease *lease)
{
    if (is_lost(lease))
        return lease->is_told ? UINT64_MAX : 0;
    return lease->renew_at_us < valid_until(lease) ? lease->renew_at_us : valid_until(lease);
}

/*
 * A lease for which something is due, and that nobody else is at; it is marked busy.  NULL: none, and *next_us is when one will
 * be.  *first_end_us is the earliest moment at which one of the leases is lost if nothing is done.
 */
static struct tears_lease *take_due_locked(struct tears_coord *coord, uint64_t *next_us,
                                           uint64_t *first_end_us)
{
    const uint64_t now_us = t3_boot_us();
    struct tears_lease *due = NULL;
    *next_us = UINT64_MAX;
    *first_end_us = UINT64_MAX;
    for (struct tears_lease *lease = coord->renewed; lease != NULL; lease = lease->next) {
        const uint64_t at_us = due_at_locked(lease);
        if (at_us < *next_us && !lease->is_busy) { /* the most urgent one */
            *next_us = at_us;
            due = at_us <= now_us ? lease : NULL;
        }
        if (!is_lost(lease) && valid_until(lease) < *first_end_us)
            *first_end_us = valid_until(lease);
    }
    if (due != NULL)
        due->is_busy = true;
    return due;
}

/* Not longer than until the next lease is over: its loss must be told then. */
static struct t3_deadline patience(const struct tears_coord *coord, uint64_t first_end_us)
{
    const uint64_t now_us = t3_boot_us();
    const uint64_t left_ms = first_end_us > now_us ? (first_end_us - now_us) / 1000 : 0;
    return t3_deadline_in_ms(left_ms < coord->wait_ms ? left_ms : coord->wait_ms);
}

static void tell(struct tears_lease *lease)
{
    t3_lock(&lease->coord->mutex);
    const bool is_told = lease->is_told;
    lease->is_told = true;
    t3_unlock(&lease->coord->mutex);
    if (!is_told && lease->lost != NULL)
        lease->lost(lease->lost_owner, lease);
}

/* Does what is due.  False: the server did not answer. */
static bool attend(struct tears_lease *lease, uint64_t first_end_us)
{
    tears_status status = TEARS_OK;
    if (!is_lost(lease) && t3_boot_us() >= valid_until(lease))
        t3_lease_lose(lease, "it could not be renewed in time");
    if (!is_lost(lease))
        status = t3_lease_renew(lease, lease->ttl_ms, patience(lease->coord, first_end_us), NULL);
    if (is_lost(lease))
        tell(lease);
    return status == TEARS_OK || status == TEARS_CONFLICT;
}

/* A server that does not answer one renewal is not asked for the next lease at once. */
static void put_off_locked(struct tears_coord *coord)
{
    const uint64_t again_us =
        t3_boot_us() + (AGAIN_MS_MIN + t3_jitter(AGAIN_MS_MAX - AGAIN_MS_MIN)) * 1000;
    for (struct tears_lease *lease = coord->renewed; lease != NULL; lease = lease->next)
        if (lease->renew_at_us < again_us)
            lease->renew_at_us = again_us;
}

static void wait_until_locked(struct tears_coord *coord, uint64_t at_us)
{
    const uint64_t now_us = t3_boot_us();
    const uint64_t pause_us = at_us > now_us ? at_us - now_us : 0;
    struct t3_deadline until = {UINT64_MAX};
    if (at_us != UINT64_MAX)
        until.at_us = t3_now_us() + pause_us;
    coord->keeper_until_us = at_us;
    (void)t3_cond_wait(&coord->keeper_wake, &coord->mutex, until);
    coord->keeper_until_us = 0;
}

static void *run(void *owner)
{
    struct tears_coord *coord = owner;
    t3_lock(&coord->mutex);
    while (!coord->is_ending) {
        uint64_t next_us = 0;
        uint64_t first_end_us = 0;
        struct tears_lease *lease = take_due_locked(coord, &next_us, &first_end_us);
        struct t3_marker marker;
        if (lease == NULL && t3_marker_take_locked(coord, false, &next_us, &marker)) {
            t3_unlock(&coord->mutex);
            t3_marker_remove(coord, &marker, patience(coord, first_end_us));
            t3_lock(&coord->mutex);
            continue;
        }
        if (lease == NULL) {
            wait_until_locked(coord, next_us);
            continue;
        }
        t3_unlock(&coord->mutex);
        const bool was_answered = attend(lease, first_end_us);
        t3_lock(&coord->mutex);
        lease->is_busy = false;
        t3_cond_broadcast(&lease->idle);
        if (!was_answered)
            put_off_locked(coord);
    }
    t3_unlock(&coord->mutex);
    return NULL;
}

tears_status t3_keeper_start(struct tears_coord *coord, struct tears_error *error_out)
{
    if (t3_thread_start(&coord->keeper, run, coord) == TEARS_OK)
        return TEARS_OK;
    return t3_fail(error_out, TEARS_UNAVAILABLE, origin, "no thread can be started");
}

void t3_keeper_stop(struct tears_coord *coord)
{
    t3_lock(&coord->mutex);
    coord->is_ending = true;
    t3_cond_signal(&coord->keeper_wake);
    t3_unlock(&coord->mutex);
    t3_thread_join(&coord->keeper);
}
