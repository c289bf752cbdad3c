/*
 * kv_follow.h -- follows the stream behind a bucket, and knows whether it has missed anything.
 *
 *      bucket's stream  --push consumer, headers only, in order-->  events
 *      "how far is the stream, whose is it?"  --every probe_ms-->   proofs
 *
 * Why probes and not the consumer's heartbeats alone: a heartbeat that waited in a socket while this process was
 * stopped says nothing about now.  A probe asks for the stream's last sequence and then for the bucket's identity; once
 * everything up to that sequence has been given out, all that was in the bucket when the probe was sent is known.
 *
 * Identity: the entry T3_FOLLOW_IDENTITY_KEY, made by compare-and-swap by whoever finds none.  A bucket that was wiped, made anew or put
 * back from a copy starts its sequences again under other keys; only the identity tells.  A stream whose last sequence has gone
 * back under the same identity is a copy: then the identity is replaced, by compare-and-swap.
 *
 * What ends a proof at once (doubt): a sequence missing, a heartbeat missing, the connection lost, the
 * subscription dropped messages.  Then a new consumer starts behind the last sequence given out; the stream keeps the last
 * message of every key, so nothing is lost, and the next proof restores trust.  Only another identity, or a
 * bucket that forgets by age while nobody listened, is a loss.
 *
 * On the server: one ephemeral consumer per follower, deleted at the end, and given up by the server itself (inactive_threshold) when this
 * process is gone.  Works with nats-server 2.9 and newer.
 */
#ifndef T3_DRIVER_KV_FOLLOW_H
#define T3_DRIVER_KV_FOLLOW_H

#include "driver/kv.h"

/* No row's key: it has no "." in it. */
#define T3_FOLLOW_IDENTITY_KEY "tears-identity"

/* One message of the stream, borrowed for the call. */
struct t3_follow_event {
    struct tears_str key;
    uint64_t revision;
    bool is_marker;
    bool is_fill;
    bool is_dirty;
    bool has_version;
    int64_t version;
    uint64_t lease_ms;
    struct tears_str origin;
    struct tears_str epoch;
    struct tears_str ids; /* Tears-Key, or "" */
};

/* News, on threads of the library's or of the NATS library's, one at a time.  Must not block. */
struct t3_follow_sink {
    void (*event)(void *owner, const struct t3_follow_event *event);
    /* All that was in the bucket at `as_of_ms` (t3_now_coarse_ms) has been given out, back to the last loss. */
    void (*current)(void *owner, uint64_t as_of_ms, uint64_t revision);
    /* Something may be missing, until the next `current`.  `why` is one line. */
    void (*doubt)(void *owner, const char *why);
    /*
     * What was known before `since_ms` may be wrong for good; also once at the beginning.  From `since_ms` on nothing is missed.
     * `epoch` is the bucket's identity now.
     */
    void (*lost)(void *owner, uint64_t since_ms, const char *epoch, const char *why);
    void *owner;
};

struct t3_follow_options {
    struct t3_nats
        *nats; /* sends each message at once; its `connected` is forwarded by t3_follow_wake */
    struct t3_kv *kv;
    const char *bucket; /* copied */
    uint64_t probe_ms;  /* between two probes, jittered; 0: 1,000 */
    uint64_t wait_ms;   /* longest wait for one answer */
    struct t3_follow_sink sink;
    const struct t3_log *log;
};

struct t3_follow;

/* Starts to follow, in a thread of its own; a server that is away is waited for.  TEARS_OK, TEARS_UNAVAILABLE (no thread), TEARS_NO_MEMORY. */
tears_status t3_follow_start(const struct t3_follow_options *options, struct t3_follow **follow_out,
                             struct tears_error *error_out);

/* Deletes the consumer and waits until no news come any more.  NULL is accepted. */
void t3_follow_free(struct t3_follow *follow);

/* The connection is there again, or an answer made no sense: look now. */
void t3_follow_wake(struct t3_follow *follow);

/* Waits until the first `current`, at most until the deadline.  False when it did not come. */
bool t3_follow_wait_current(struct t3_follow *follow, struct t3_deadline deadline);

struct t3_follow_stats {
    uint64_t events, gaps, losses, probes, consumers;
};
void t3_follow_stats(struct t3_follow *follow, struct t3_follow_stats *stats_out);

#endif
