/*
 * replay.c -- accepts a nonce once.
 *
 * Owns:     the driver of the guard's bucket and the cache; the connection is the coord's.
 * Knows:    that an entry whose acknowledgement was lost may be its own.
 * Must not know: what the nonces are of.
 * Threads:  any.
 * Fails:    in every doubt with another status than TEARS_OK and TEARS_CONFLICT: the caller refuses then.
 * Begin at: tears_replay_guard_record().
 */
#include "coord/replay.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "base/hash.h"
#include "base/sized.h"
#include "base/str.h"
#include "coord/coord.h"
#include "coord/nonce_cache.h"
#include "driver/kv_wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <tears/replay.h>

static const char origin[] = "replay";

enum {
    TTL_MS_MIN = 100, /* the least a server keeps entries */
    CACHE_NONCES = 65536,
    CACHE_NONCES_MAX = 1 << 24,
    TRIES_MAX = 3, /* of one nonce */
    KEY_BYTES = 65
};

struct tears_replay_guard {
    struct tears_coord *coord;
    struct t3_solo *nonces;
    struct t3_nonce_cache *cache;
    struct t3_kv_settings wanted;
    _Atomic uint64_t
        known_losses; /* of the connection when the bucket was looked at; UINT64_MAX: never */
};

/* ---- the bucket ---------------------------------------------------------------------------- */

tears_status t3_replay_settings(uint64_t ttl_ms, uint64_t replicas,
                                struct t3_kv_settings *settings_out, struct tears_error *error_out)
{
    if (ttl_ms < TTL_MS_MIN || ttl_ms > INT64_MAX / 1000000)
        return t3_fail(error_out, TEARS_INVALID, origin,
                       "nonces cannot be remembered for %" PRIu64 " ms", ttl_ms);
    *settings_out = t3_kv_settings_wanted(true, replicas);
    settings_out->max_age_ns = (int64_t)ttl_ms * 1000000;
    return TEARS_OK;
}

/* A bucket that forgets sooner, or with its broker, would let replays through. */
static tears_status check_bucket(const struct tears_replay_guard *guard,
                                 const struct t3_kv_settings *found, struct tears_error *error_out)
{
    const bool is_short = found->max_age_ns > 0 && found->max_age_ns < guard->wanted.max_age_ns;
    if (found->on_file && !is_short)
        return TEARS_OK;
    return t3_fail(error_out, TEARS_INVALID, origin,
                   is_short ? "the bucket of nonces forgets them too soon"
                            : "the bucket of nonces is in memory: a restart would forget them");
}

/* Looks at the bucket, or makes it, once for each connection. */
static tears_status open_bucket(struct tears_replay_guard *guard, struct t3_deadline deadline,
                                struct tears_error *error_out)
{
    const uint64_t losses = t3_nats_losses(guard->coord->nats);
    struct t3_solo_bucket bucket;
    if (atomic_load_explicit(&guard->known_losses, memory_order_acquire) == losses)
        return TEARS_OK;
    T3_TRY(t3_solo_ensure(guard->nonces, deadline, &bucket, error_out));
    T3_TRY(check_bucket(guard, &bucket.settings, error_out));
    atomic_store_explicit(&guard->known_losses, losses, memory_order_release);
    return TEARS_OK;
}

/* ---- one nonce ----------------------------------------------------------------------------- */

static tears_status fail_replay(struct tears_error *error_out)
{
    return t3_fail(error_out, TEARS_CONFLICT, origin, "the nonce was used before");
}

/*
 * The entry was refused, or the answer to an earlier try is missing: whose is what is there?  TEARS_NOT_FOUND: nothing is there.
 */
static tears_status whose(struct tears_replay_guard *guard, const struct t3_solo_put *put,
                          struct t3_deadline deadline, struct tears_error *error_out)
{
    T3_AUTO(t3_solo_entry_done) struct t3_solo_entry entry = {.is_there = false};
    T3_TRY(t3_solo_get(guard->nonces, put->key, deadline, &entry, error_out));
    if (!entry.is_there)
        return TEARS_NOT_FOUND;
    return strcmp(entry.attempt, put->attempt) == 0 ? TEARS_OK : fail_replay(error_out);
}

/* Creates the entry.  `is_unknown` says in and out whether a try of ours has got no answer. */
static tears_status create(struct tears_replay_guard *guard, const struct t3_solo_put *put,
                           struct t3_deadline deadline, bool *is_unknown,
                           struct tears_error *error_out)
{
    uint64_t revision = 0;
    T3_TRY(open_bucket(guard, deadline, error_out));
    const tears_status status = t3_solo_put(guard->nonces, put, deadline, &revision, error_out);
    if (status == TEARS_CONFLICT)
        return *is_unknown ? whose(guard, put, deadline, error_out) : fail_replay(error_out);
    if (status == TEARS_NOT_FOUND) /* the bucket is gone, and with it what it knew */
        atomic_store_explicit(&guard->known_losses, UINT64_MAX, memory_order_release);
    if (status != TEARS_TIMEOUT && status != TEARS_UNAVAILABLE)
        return status;
    *is_unknown = true;
    const tears_status found = whose(guard, put, deadline, error_out);
    return found == TEARS_NOT_FOUND || found == TEARS_OK || found == TEARS_CONFLICT ? found
                                                                                    : status;
}

static tears_status record(struct tears_replay_guard *guard, const char *key,
                           struct tears_error *error_out)
{
    char attempt[T3_COORD_ID_BYTES];
    bool is_unknown = false;
    tears_status status = TEARS_NOT_FOUND;
    const struct t3_deadline deadline = t3_coord_patience(guard->coord);
    T3_TRY(t3_coord_random_id(attempt, error_out));
    const struct t3_solo_put put = {
        .key = key, .value = TEARS_STR(T3_REPLAY_VALUE), .expected = 0, .attempt = attempt};
    for (int i = 0; i < TRIES_MAX && status == TEARS_NOT_FOUND; i++)
        status = create(guard, &put, deadline, &is_unknown, error_out);
    if (status == TEARS_NOT_FOUND)
        return t3_fail(error_out, TEARS_UNAVAILABLE, origin, "the bucket of nonces does not stay");
    return status;
}

tears_status tears_replay_guard_record(tears_replay_guard *guard, struct tears_str nonce,
                                       struct tears_error *error_out)
{
    char key[KEY_BYTES];
    t3_error_clear(error_out);
    t3_sha256_hex(nonce, key);
    if (t3_nonce_cache_has(guard->cache, key))
        return fail_replay(error_out);
    const tears_status status = record(guard, key, error_out);
    if (status == TEARS_OK || status == TEARS_CONFLICT)
        t3_nonce_cache_add(guard->cache, key);
    if (status == TEARS_OK)
        t3_error_clear(error_out);
    return status;
}

/* ---- opening ------------------------------------------------------------------------------- */

static tears_status set_up(struct tears_replay_guard *guard,
                           const struct tears_replay_options *options,
                           struct tears_error *error_out)
{
    char bucket[T3_KV_BUCKET_BYTES_MAX + 1];
    const struct tears_coord *coord = guard->coord;
    T3_TRY(t3_replay_settings(options->ttl_ms, options->replicas, &guard->wanted, error_out));
    if (!t3_kv_bucket_name_is_good(options->bucket) ||
        strlen(coord->namespace_name) + 1 + options->bucket.len >= sizeof bucket)
        return t3_fail(error_out, TEARS_INVALID, origin,
                       "'" T3_STR_FMT "' cannot be the name of a bucket",
                       T3_STR_ARG(options->bucket));
    snprintf(bucket, sizeof bucket, "%s-%.*s", coord->namespace_name, (int)options->bucket.len,
             options->bucket.ptr);
    const uint64_t nonces = options->cache_nonces > 0 ? options->cache_nonces : CACHE_NONCES;
    guard->cache =
        t3_nonce_cache_new(nonces < CACHE_NONCES_MAX ? nonces : CACHE_NONCES_MAX, options->ttl_ms);
    if (guard->cache == NULL)
        return t3_fail_memory(error_out, origin);
    const struct t3_solo_options solo = {.nats = coord->nats,
                                         .bucket = bucket,
                                         .wanted = guard->wanted,
                                         .wait_ms = coord->wait_ms,
                                         .log = &coord->log};
    return t3_solo_new(&solo, &guard->nonces, error_out);
}

tears_status tears_replay_guard_open(tears_coord *coord, const struct tears_replay_options *options,
                                     tears_replay_guard **guard_out, struct tears_error *error_out)
{
    struct tears_replay_options own = TEARS_REPLAY_OPTIONS_INIT;
    t3_error_clear(error_out);
    T3_TRY(t3_sized_copy(&own, sizeof own, options, origin, error_out));
    struct tears_replay_guard *guard = t3_alloc_zero(1, sizeof *guard);
    if (guard == NULL)
        return t3_fail_memory(error_out, origin);
    guard->coord = coord;
    atomic_init(&guard->known_losses, UINT64_MAX);
    const tears_status status = set_up(guard, &own, error_out);
    if (status != TEARS_OK) {
        tears_replay_guard_free(guard);
        return status;
    }
    *guard_out = guard;
    return TEARS_OK;
}

void tears_replay_guard_free(tears_replay_guard *guard)
{
    if (guard == NULL)
        return;
    t3_solo_free(guard->nonces);
    t3_nonce_cache_free(guard->cache);
    t3_free(guard);
}
