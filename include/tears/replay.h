/**
 * @file replay.h
 * A replay guard: a nonce is accepted once, by all processes together.
 *
 * Each nonce becomes an entry that the broker creates only if there is none, in a bucket that forgets after the time for which the
 * assertions with such nonces are accepted.  Source: spec platform.md sections 3.2 and 9.2 (C5, C10).
 */
#ifndef TEARS_REPLAY_H
#define TEARS_REPLAY_H

#include "coord.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Remembers nonces of one kind. */
typedef struct tears_replay_guard tears_replay_guard;

/** How to open a guard.  Start from TEARS_REPLAY_OPTIONS_INIT. */
struct tears_replay_options {
    size_t size;
    struct tears_str
        bucket; /**< the part behind "{namespace}-": one for each kind of assertion, such as "pop_nonces"; required */
    uint64_t ttl_ms;   /**< at least as long as an assertion is accepted; required, at least 100 */
    uint64_t replicas; /**< when the bucket is created; 0: 1 */
    uint64_t cache_nonces; /**< nonces also remembered in this process; 0: 65,536 */
};

#define TEARS_REPLAY_OPTIONS_INIT TEARS_SIZED(struct tears_replay_options)

/**
 * Makes a guard; the bucket is opened by the first nonce.
 * @param coord      must outlive the guard.
 * @param guard_out  owned by the caller; end it with tears_replay_guard_free.
 * @return TEARS_OK, TEARS_INVALID (bucket, ttl), TEARS_UNSUPPORTED (options from a newer header), TEARS_NO_MEMORY.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status
tears_replay_guard_open(tears_coord *coord, const struct tears_replay_options *options,
                        tears_replay_guard **guard_out, struct tears_error *error_out);

/**
 * Whether the nonce is fresh; from now on it is not.  One round trip; none for a nonce this process has seen.  When the answer to its own
 * entry was lost, the guard looks whether the entry is its own.
 *
 * @param nonce  any bytes; the bucket holds only their SHA-256.
 * @return TEARS_OK (fresh), TEARS_CONFLICT (a replay).  Everything else means that nobody knows, and the caller must refuse:
 * TEARS_UNAVAILABLE, TEARS_TIMEOUT, TEARS_INVALID (the bucket forgets sooner than `ttl_ms`, or is in memory), TEARS_LIMIT, TEARS_NO_MEMORY.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_replay_guard_record(tears_replay_guard *guard,
                                                               struct tears_str nonce,
                                                               struct tears_error *error_out);

/** Ends a guard.  NULL is accepted.  @thread setup  @since 0.1 */
TEARS_API void tears_replay_guard_free(tears_replay_guard *guard);

#ifdef __cplusplus
}
#endif
#endif
