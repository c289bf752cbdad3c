/*
 * kv_solo.h -- one JetStream KV bucket, one request at a time: each thread asks for itself and waits.
 *
 * For what is rare and has to be exact: leases and nonces.  All reads are answered by the stream's leader, with the
 * time at which it stored the entry.  (kv.h is for many requests in flight.)
 *
 * An entry of the library's own has two headers that Python processes ignore:
 *   Tears-Attempt   which attempt to write it was, so that a writer whose answer was lost recognises its own
 *   Tears-Ttl       for how many milliseconds it counts
 */
#ifndef T3_DRIVER_KV_SOLO_H
#define T3_DRIVER_KV_SOLO_H

#include "driver/kv_bucket.h"
#include "driver/nats_conn.h"

struct t3_solo;

struct t3_solo_options {
    struct t3_nats *nats; /* sends each message at once; lent */
    const char *bucket;   /* copied */
    struct t3_kv_settings wanted;
    uint64_t wait_ms; /* longest wait for one answer */
    const struct t3_log *log;
};

/* Does not touch the server.  TEARS_OK, TEARS_INVALID (a bad bucket name), TEARS_NO_MEMORY. */
tears_status t3_solo_new(const struct t3_solo_options *options, struct t3_solo **solo_out,
                         struct tears_error *error_out);
void t3_solo_free(struct t3_solo *solo);

struct t3_solo_bucket {
    struct t3_kv_settings settings; /* as found */
    bool is_clustered;              /* the stream's server is one of several */
};

/*
 * Finds the bucket or makes it.  All functions below that ask the server give TEARS_UNAVAILABLE and TEARS_TIMEOUT, after
 * which nobody knows whether it happened, and TEARS_NO_MEMORY; those that need the bucket TEARS_NOT_FOUND when it is not
 * there.  None waits longer than `wait_ms` or the deadline for an answer.
 */
tears_status t3_solo_ensure(struct t3_solo *solo, struct t3_deadline deadline,
                            struct t3_solo_bucket *bucket_out, struct tears_error *error_out);

enum { T3_SOLO_ATTEMPT_BYTES = 64 };

/* What is under a key.  Ended by t3_solo_entry_done. */
struct t3_solo_entry {
    bool is_there;
    bool is_marker; /* of a deletion; then it has no value */
    uint64_t revision;
    int64_t stored_us;                   /* by the server's calendar */
    uint64_t ttl_ms;                     /* 0: not said */
    char attempt[T3_SOLO_ATTEMPT_BYTES]; /* "": not said */
    struct t3_buf value;
};
void t3_solo_entry_done(struct t3_solo_entry *entry);

/* An entry that is not there is no failure. */
tears_status t3_solo_get(struct t3_solo *solo, const char *key, struct t3_deadline deadline,
                         struct t3_solo_entry *entry_out, struct tears_error *error_out);

#define T3_SOLO_ANY_REVISION UINT64_MAX

struct t3_solo_put {
    const char *key; /* NUL-terminated, good by t3_kv_key_is_good */
    struct tears_str value;
    uint64_t expected;   /* the revision to replace; 0: nothing there; T3_SOLO_ANY_REVISION */
    const char *attempt; /* ""  or NULL: none */
    uint64_t ttl_ms;     /* 0: none */
    bool is_marker;
};

/* TEARS_CONFLICT: the key's revision is not the expected one.  TEARS_LIMIT: the server does not take it. */
tears_status t3_solo_put(struct t3_solo *solo, const struct t3_solo_put *put,
                         struct t3_deadline deadline, uint64_t *revision_out,
                         struct tears_error *error_out);

/*
 * Removes what is under the key with a revision of at most `revision`, and leaves no marker.  *removed_out: how many entries
 * that were.  TEARS_UNSUPPORTED: the bucket does not permit it.
 */
tears_status t3_solo_remove(struct t3_solo *solo, const char *key, uint64_t revision,
                            struct t3_deadline deadline, uint64_t *removed_out,
                            struct tears_error *error_out);

/* Calls `found` with each key, markers too.  As well: what `found` returns. */
tears_status t3_solo_keys(struct t3_solo *solo, struct t3_deadline deadline,
                          tears_status (*found)(void *owner, struct tears_str key), void *owner,
                          struct tears_error *error_out);

/* What other processes did. */
struct t3_solo_news {
    struct tears_str key;
    bool is_end; /* removed; else it was written */
    struct tears_str value;
    struct tears_str attempt;
    uint64_t ttl_ms; /* 0: not said */
};

struct t3_solo_sink {
    void (*news)(void *owner, const struct t3_solo_news *news); /* must not block */
    void *owner;
};

/* From now on news arrive, on threads of the NATS library.  Once, before other threads use it.  TEARS_OK (also when the server refuses us), TEARS_NO_MEMORY. */
tears_status t3_solo_hear(struct t3_solo *solo, const struct t3_solo_sink *sink,
                          struct tears_error *error_out);

enum { T3_SOLO_SERVER_BYTES = 64 };

/* Names the run of the server that the connection is with: another one after a restart.  "" while there is none. */
void t3_solo_server(const struct t3_solo *solo, char server_out[T3_SOLO_SERVER_BYTES]);

#endif
