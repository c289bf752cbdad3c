/*
 * kv.h -- one JetStream KV bucket: many requests in flight, answered in one round trip.
 *
 *      caller   caller   caller
 *          \      |      /
 *           combine: one of them leads            a large call leads itself
 *                     |                                    |
 *               the small inbox                     one of the large inboxes
 *                     |                                    |
 *         the pumped connection: the           the gathering connection: the
 *      leader writes and reads its socket      library's reader fills the inbox
 *
 * The leader sends the requests of all callers and takes the answers itself: there is no delivery
 * thread, and for small calls no reader either, between the socket and the caller.
 */
#ifndef T3_DRIVER_KV_H
#define T3_DRIVER_KV_H

#include "driver/kv_bucket.h"
#include "driver/nats_conn.h"

struct t3_kv;

struct t3_kv_options {
    struct t3_nats *prompt;    /* sends each message at once: what is asked about the bucket */
    struct t3_nats *pumped;    /* the leader reads and writes: small calls, all at a time */
    struct t3_nats *gathering; /* gathers messages until a flush: large calls */
    const char *bucket;        /* copied */
    const char *writer;        /* goes into the header Tears-Origin; copied; "" none */
    struct t3_kv_settings wanted;
    uint64_t wait_ms; /* longest wait for one answer */
    const struct t3_log *log;
};

/* Does not touch the server.  TEARS_OK, TEARS_INVALID (a bad bucket name), TEARS_NO_MEMORY. */
tears_status t3_kv_new(const struct t3_kv_options *options, struct t3_kv **kv_out,
                       struct tears_error *error_out);
void t3_kv_free(struct t3_kv *kv);

/*
 * Finds the bucket or makes it, if that has not happened yet; operations do it by themselves.
 * TEARS_OK, TEARS_UNAVAILABLE, TEARS_TIMEOUT, TEARS_NO_MEMORY.
 */
tears_status t3_kv_open_bucket(struct t3_kv *kv, struct t3_deadline deadline,
                               struct tears_error *error_out);

/* The bucket is not trusted to exist any more: the next operation looks. */
void t3_kv_forget_bucket(struct t3_kv *kv);

/* Asks for the bucket's settings now.  TEARS_NOT_FOUND when there is no bucket; else as
 * t3_kv_open_bucket. */
tears_status t3_kv_settings(struct t3_kv *kv, struct t3_deadline deadline,
                            struct t3_kv_settings *settings_out, struct tears_error *error_out);

#define T3_KV_ANY_REVISION UINT64_MAX

enum t3_kv_verb { T3_KV_GET, T3_KV_PUT, T3_KV_DELETE };

enum t3_kv_outcome {
    T3_KV_FAILED, /* see status */
    T3_KV_ABSENT, /* get: nothing under the key */
    T3_KV_MARKER, /* get: a delete marker */
    T3_KV_VALUE,  /* get: a value */
    T3_KV_STORED, /* put, delete: done, as `revision` */
    T3_KV_RACED,  /* put, delete: the key's revision is not the expected one */
    T3_KV_REFUSED /* put, delete: the server does not take it (too large, out of space, ...) */
};

struct t3_kv_request {
    enum t3_kv_verb verb;
    bool has_version; /* put, delete: send `version` in the header Tears-Version */
    bool is_fill;     /* put, delete: send Tears-Fill: no change, only a reader's copy or lease */
    bool is_dirty;    /* put: send Tears-Dirty: L3 does not have it yet */
    const char *key;  /* NUL-terminated */
    struct tears_str value; /* put */
    struct tears_str
        ids; /* put, delete: send Tears-Key, for a key whose text is a hash; "": none */
    uint64_t
        expected; /* put, delete: the revision to replace, 0: nothing there; T3_KV_ANY_REVISION */
    int64_t version;
    uint64_t lease_ms; /* delete: send Tears-Lease: a marker of something under way; 0: none */
    /* Results.  Texts live until t3_kv_release. */
    enum t3_kv_outcome outcome;
    tears_status
        status; /* FAILED: UNAVAILABLE, TIMEOUT, NO_MEMORY, LIMIT (key too long), INVALID (key) */
    uint64_t revision;
    int64_t code;           /* REFUSED: the server's error code, 0 when it was not asked */
    struct tears_str found; /* get: the value */
    int64_t found_version;
    uint64_t found_lease_ms;       /* 0: no lease */
    struct tears_str found_epoch;  /* get: the header Tears-Epoch, or "" */
    struct tears_str found_origin; /* get: the header Tears-Origin, or "" */
    bool found_has_version;        /* get: the header Tears-Version is there and a number */
    bool found_is_own;             /* get: the header Tears-Origin names this writer */
    bool found_is_fill;
    bool found_is_dirty;
    /* The driver's own. */
    bool is_pending;
    bool is_unread;
    bool is_delivered;
    bool is_direct;
    bool bucket_missing; /* nobody listens */
    bool bucket_suspect; /* silence: a direct get from a bucket that is gone is not answered */
    struct t3_kv *kv;
    void *reply;
    char *decoded;
};

struct t3_kv_call {
    struct t3_kv_request *requests;
    size_t count;
    struct t3_deadline deadline;
    /* Called on the caller's thread for each request with an outcome but FAILED, while others may
     * be under way. */
    void (*answered)(void *owner, struct t3_kv_request *request);
    void *owner;
};

/*
 * Carries out the requests, in no particular order.  A vanished bucket is made again once.  Puts
 * and deletes that failed with TIMEOUT or UNAVAILABLE may have happened. TEARS_OK when the server
 * was there for all of them, else the first failure; a request that can never be sent (LIMIT,
 * INVALID) fails alone.
 */
tears_status t3_kv_run(struct t3_kv *kv, const struct t3_kv_call *call,
                       struct tears_error *error_out);

/* Ends the replies of requests that were run; all zero ones are accepted. */
void t3_kv_release(struct t3_kv_request *requests, size_t count);

enum { T3_KV_EPOCH_BYTES = 16 };

/* From now on every put and delete has this in its header Tears-Epoch; "" none.  Any thread, at any time. */
void t3_kv_set_epoch(struct t3_kv *kv, const char *epoch);

/* After how many milliseconds the bucket forgets an entry, as it was when it was last opened; 0: never, or not known. */
uint64_t t3_kv_age_max_ms(struct t3_kv *kv);

/* Whether an operation would be tried now: connected, and the server not known to hang. */
bool t3_kv_is_usable(struct t3_kv *kv);

/*
 * Sends a put or delete without waiting, within a millisecond: it is gathered with others, so that
 * the caller pays for no write of its own.  The answer goes to `reply_to`; t3_kv_parse_ack reads it.
 * TEARS_OK, TEARS_UNAVAILABLE, TEARS_LIMIT (larger than the server takes), TEARS_INVALID,
 * TEARS_NO_MEMORY.
 */
tears_status t3_kv_send(struct t3_kv *kv, const struct t3_kv_request *request,
                        const char *reply_to);

#endif
