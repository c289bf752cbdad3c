/*
 * lease.c -- a lease in hand: is it held, renew it, give it back, lose it.
 *
 * Owns:     the lease.
 * Knows:    that a request without an answer may have happened; the next one looks.
 * Must not know: how others wait.
 * Threads:  any; one at a time asks the server about one lease.
 * Fails:    see include/tears/lease.h.
 * Begin at: t3_lease_renew(), tears_lease_release().
 */
#include "coord/lease.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "coord/keeper.h"
#include "coord/line.h"
#include "coord/marker.h"

#include <tears/client.h>

#include <inttypes.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const char origin[] = "lease";

/* ---- turns --------------------------------------------------------------------------------- */

void t3_lease_enter(struct tears_lease *lease)
{
    const struct t3_deadline never = {UINT64_MAX};
    t3_lock(&lease->coord->mutex);
    while (lease->is_busy)
        (void)t3_cond_wait(&lease->idle, &lease->coord->mutex, never);
    lease->is_busy = true;
    t3_unlock(&lease->coord->mutex);
}

void t3_lease_leave(struct tears_lease *lease)
{
    t3_lock(&lease->coord->mutex);
    lease->is_busy = false;
    t3_cond_broadcast(&lease->idle);
    t3_unlock(&lease->coord->mutex);
}

/* ---- the entry ----------------------------------------------------------------------------- */

tears_status t3_lease_write(struct tears_lease *lease, struct t3_lease_write *write,
                            struct t3_deadline deadline, struct tears_error *error_out)
{
    char attempt[T3_SOLO_ATTEMPT_BYTES];
    T3_AUTO(t3_buf_done) struct t3_buf value = {0};
    const struct t3_envelope envelope = {
        .holder = tears_str_c(lease->coord->holder),
        .expires_us = t3_calendar_us() + (int64_t)write->ttl_ms * 1000,
        .acquired_us = lease->acquired_us,
    };
    if (t3_envelope_put(&envelope, &value) != TEARS_OK)
        return t3_fail_memory(error_out, origin);
    snprintf(attempt, sizeof attempt, "%s.%" PRIu64, lease->id, ++lease->writes);
    const struct t3_solo_put put = {.key = lease->name,
                                    .value = t3_buf_str(&value),
                                    .expected = write->expected,
                                    .attempt = attempt,
                                    .ttl_ms = write->ttl_ms};
    write->sent_us = t3_boot_us();
    return t3_solo_put(lease->coord->leases, &put, deadline, &write->revision, error_out);
}

bool t3_lease_is_own(const struct tears_lease *lease, const struct t3_solo_entry *entry)
{
    const size_t len = strlen(lease->id);
    return entry->is_there && !entry->is_marker && strncmp(entry->attempt, lease->id, len) == 0 &&
           entry->attempt[len] == '.';
}

void t3_lease_held(struct tears_lease *lease, const struct t3_lease_write *write)
{
    lease->revision = write->revision;
    lease->ttl_ms = write->ttl_ms;
    lease->unknown_since_us = 0;
    atomic_store_explicit(&lease->valid_until_us,
                          t3_lease_valid_until(write->sent_us, write->ttl_ms),
                          memory_order_relaxed);
    t3_lock(&lease->coord->mutex);
    lease->renew_at_us = t3_lease_renew_at(write->sent_us, write->ttl_ms);
    t3_unlock(&lease->coord->mutex);
}

/* ---- loss ---------------------------------------------------------------------------------- */

static void signal_fd(const struct tears_lease *lease)
{
    const int fd = atomic_load(&lease->fd);
    if (fd >= 0)
        (void)!write(fd, &(uint64_t){1}, sizeof(uint64_t)); /* full means readable already */
}

void t3_lease_lose(struct tears_lease *lease, const char *why)
{
    int held = T3_LEASE_IS_HELD;
    if (!atomic_compare_exchange_strong(&lease->state, &held, T3_LEASE_IS_LOST))
        return;
    t3_log(&lease->coord->log, TEARS_LOG_WARN, origin, "'%s' is lost: %s", lease->name, why);
    signal_fd(lease);
    t3_keeper_wake(lease->coord);
}

int tears_lease_fd(tears_lease *lease)
{
    int fd = atomic_load(&lease->fd);
    if (fd >= 0)
        return fd;
    const int made = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (made < 0)
        return -1;
    if (!atomic_compare_exchange_strong(&lease->fd, &fd, made)) {
        close(made); /* another thread was faster */
        return fd;
    }
    if (atomic_load(&lease->state) == T3_LEASE_IS_LOST) /* before there was anything to signal */
        signal_fd(lease);
    return made;
}

/* ---- renewing ------------------------------------------------------------------------------ */

static tears_status lost(struct tears_lease *lease, const char *why, struct tears_error *error_out)
{
    t3_lease_lose(lease, why);
    return t3_fail(error_out, TEARS_CONFLICT, origin, "'%s' is lost: %s", lease->name, why);
}

/*
 * Looks whether the entry is still ours, and takes over its revision.  The time it counts from is that of the write found when that was the last one,
 * else that of the first without an answer: nobody knows which it was, and too early is safe.
 */
static tears_status find_own(struct tears_lease *lease, uint64_t sent_us,
                             struct t3_deadline deadline, struct tears_error *error_out)
{
    T3_AUTO(t3_solo_entry_done) struct t3_solo_entry entry = {.is_there = false};
    char last[T3_SOLO_ATTEMPT_BYTES];
    const tears_status status =
        t3_solo_get(lease->coord->leases, lease->name, deadline, &entry, error_out);
    if (status == TEARS_NOT_FOUND)
        return lost(lease, "the bucket is gone", error_out);
    T3_TRY(status);
    if (!t3_lease_is_own(lease, &entry))
        return lost(lease,
                    entry.is_there && !entry.is_marker ? "somebody else has it"
                                                       : "its entry is gone",
                    error_out);
    if (entry.revision == lease->revision)
        return TEARS_OK;
    snprintf(last, sizeof last, "%s.%" PRIu64, lease->id, lease->writes);
    const struct t3_lease_write found = {
        .ttl_ms = entry.ttl_ms > 0 ? entry.ttl_ms : lease->ttl_ms,
        .sent_us =
            sent_us > 0 && strcmp(entry.attempt, last) == 0 ? sent_us : lease->unknown_since_us,
        .revision = entry.revision,
    };
    t3_lease_held(lease, &found);
    return TEARS_OK;
}

/* In another bucket the same revision may be somebody else's entry: then look before writing over it. */
static tears_status check_bucket(struct tears_lease *lease, struct t3_deadline deadline,
                                 struct tears_error *error_out)
{
    if (t3_coord_is_same(lease->coord, &lease->epoch) && lease->unknown_since_us == 0)
        return TEARS_OK;
    struct t3_coord_epoch epoch;
    T3_TRY(t3_coord_epoch(lease->coord, deadline, &epoch, error_out));
    T3_TRY(find_own(lease, 0, deadline, error_out));
    lease->epoch = epoch;
    return TEARS_OK;
}

tears_status t3_lease_renew(struct tears_lease *lease, uint64_t ttl_ms, struct t3_deadline deadline,
                            struct tears_error *error_out)
{
    T3_TRY(check_bucket(lease, deadline, error_out));
    struct t3_lease_write write = {.ttl_ms = ttl_ms, .expected = lease->revision};
    const tears_status status = t3_lease_write(lease, &write, deadline, error_out);
    if (status == TEARS_OK) {
        t3_coord_saw(lease->coord, write.revision);
        t3_lease_held(lease, &write);
        return TEARS_OK;
    }
    if (status == TEARS_CONFLICT) /* somebody else, or an earlier attempt of our own */
        return find_own(lease, write.sent_us, deadline, error_out);
    if (status == TEARS_NOT_FOUND) {
        t3_coord_forget(lease->coord);
        return lost(lease, "the bucket is gone", error_out);
    }
    if (lease->unknown_since_us == 0 && (status == TEARS_TIMEOUT || status == TEARS_UNAVAILABLE))
        lease->unknown_since_us = write.sent_us;
    return status;
}

static tears_status refresh(struct tears_lease *lease, uint64_t ttl_ms,
                            struct tears_error *error_out)
{
    const int state = atomic_load(&lease->state);
    if (state == T3_LEASE_IS_RELEASED)
        return t3_fail(error_out, TEARS_MISUSE, origin, "'%s' was released", lease->name);
    if (state == T3_LEASE_IS_LOST)
        return t3_fail(error_out, TEARS_CONFLICT, origin, "'%s' was lost", lease->name);
    if (lease->is_renewed && t3_boot_us() >= atomic_load(&lease->valid_until_us))
        return lost(lease, "it was not renewed in time", error_out);
    return t3_lease_renew(lease, ttl_ms > 0 ? ttl_ms : lease->ttl_ms,
                          t3_coord_patience(lease->coord), error_out);
}

tears_status tears_lease_refresh(tears_lease *lease, uint64_t ttl_ms, struct tears_error *error_out)
{
    t3_error_clear(error_out);
    if (ttl_ms != 0 && (ttl_ms < TEARS_LEASE_TTL_MS_MIN || ttl_ms > TEARS_LEASE_TTL_MS_MAX ||
                        (lease->epoch.age_max_ms > 0 && ttl_ms > lease->epoch.age_max_ms)))
        return t3_fail(error_out, TEARS_INVALID, origin, "a ttl of %" PRIu64 " ms", ttl_ms);
    t3_lease_enter(lease);
    const tears_status status = refresh(lease, ttl_ms, error_out);
    t3_lease_leave(lease);
    if (lease->is_renewed) /* its next renewal may be sooner now */
        t3_keeper_wake(lease->coord);
    return status;
}

/* ---- the end ------------------------------------------------------------------------------- */

/* Puts a marker over our entry, and over nobody else's.  *revision_out 0: it was not ours any more. */
static tears_status put_marker(struct tears_lease *lease, struct t3_deadline deadline,
                               uint64_t *revision_out, struct tears_error *error_out)
{
    const struct t3_solo_put put = {
        .key = lease->name, .expected = lease->revision, .is_marker = true};
    *revision_out = 0;
    const tears_status status =
        t3_solo_put(lease->coord->leases, &put, deadline, revision_out, error_out);
    return status == TEARS_CONFLICT || status == TEARS_NOT_FOUND ? TEARS_OK : status;
}

/* Gives the entry up, if it is still ours. */
static tears_status give_back(struct tears_lease *lease, struct tears_error *error_out)
{
    struct tears_coord *coord = lease->coord;
    const struct t3_deadline deadline = t3_coord_patience(coord);
    uint64_t revision = 0;
    tears_status status = check_bucket(lease, deadline, error_out);
    if (status == TEARS_CONFLICT) /* somebody else's now */
        return TEARS_OK;
    T3_TRY(status);
    status = put_marker(lease, deadline, &revision, error_out);
    if (status == TEARS_TIMEOUT ||
        status == TEARS_UNAVAILABLE) /* done or not: twice does no harm */
        status = put_marker(lease, deadline, &revision, error_out);
    if (status != TEARS_OK)
        return status;
    if (revision > 0) {
        t3_coord_saw(coord, revision);
        t3_marker_left(coord, lease->name, revision, &lease->epoch);
    }
    return TEARS_OK;
}

tears_status tears_lease_release(tears_lease *lease, struct tears_error *error_out)
{
    tears_status status = TEARS_OK;
    t3_error_clear(error_out);
    if (lease->is_renewed)
        t3_keeper_remove(lease);
    t3_lease_enter(lease);
    /* Lost because its time was over: the entry may still be there, and is in the way of others. */
    if (atomic_load(&lease->state) != T3_LEASE_IS_RELEASED) {
        atomic_store(&lease->state, T3_LEASE_IS_RELEASED);
        status = give_back(lease, error_out);
        t3_line_ended(lease->coord, tears_lease_name(lease), false);
    }
    t3_lease_leave(lease);
    return status;
}

void tears_lease_free(tears_lease *lease)
{
    if (lease == NULL)
        return;
    if (tears_lease_release(lease, NULL) != TEARS_OK)
        t3_log(&lease->coord->log, TEARS_LOG_WARN, origin,
               "'%s' could not be given back; it is free when its ttl has passed", lease->name);
    const int fd = atomic_load(&lease->fd);
    if (fd >= 0)
        close(fd);
    t3_cond_done(&lease->idle);
    t3_free(lease);
}

/* ---- questions ----------------------------------------------------------------------------- */

bool tears_lease_is_held(const tears_lease *lease)
{
    return tears_lease_left_ms(lease) > 0;
}

uint64_t tears_lease_left_ms(const tears_lease *lease)
{
    if (atomic_load_explicit(&lease->state, memory_order_acquire) != T3_LEASE_IS_HELD)
        return 0;
    const uint64_t until_us = atomic_load_explicit(&lease->valid_until_us, memory_order_relaxed);
    const uint64_t now_us = t3_boot_us();
    return until_us > now_us ? (until_us - now_us + 999) / 1000 : 0;
}

uint64_t tears_lease_token(const tears_lease *lease)
{
    return lease->token;
}

struct tears_str tears_lease_name(const tears_lease *lease)
{
    return tears_str_c(lease->name);
}
