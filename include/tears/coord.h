/**
 * @file coord.h
 * The connection that leases, locks and replay guards share.  It needs NATS with JetStream and no
 * client.
 *
 * Source: spec platform.md sections 3 and 9.2.
 */
#ifndef TEARS_COORD_H
#define TEARS_COORD_H

#include "client.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A connection to NATS, the bucket of leases, and a thread that renews them.  One per process. */
typedef struct tears_coord tears_coord;

/** How to open it.  Zero or empty means the default.  Start from TEARS_COORD_OPTIONS_INIT. */
struct tears_coord_options {
    size_t size;
    struct tears_str url; /**< "nats://host:port[,...]" or "tls://..."; "": TEARS_L2_URL */
    struct tears_str namespace_name; /**< "": TEARS_NAMESPACE, else "3tears" */
    /**
     * The part of the bucket's name behind "{namespace}-".  "": "leases".  (The Python package puts the
     * namespace in there once more when its environment names one: "prod_leases" in the bucket
     * "prod-prod_leases".)
     */
    struct tears_str lease_bucket;
    /**
     * What this process is called in the leases it holds, for people.  "": unique by a 128-bit random
     * number, with host and process id.  Nothing is decided by it, so two processes may have one name.
     */
    struct tears_str holder;
    struct tears_str creds_file;
    struct tears_str tls_ca_file;
    struct tears_str tls_cert_file;
    struct tears_str tls_key_file;
    struct tears_str storage; /**< "file" or "memory", when the bucket is created; "": file */
    uint64_t replicas;        /**< when the bucket is created; 0: 1 */
    /** 1: a bucket that exists with another storage, fewer replicas or an age limit is refused (TEARS_INVALID);
     * otherwise that is logged and reported by tears_coord_bucket. */
    uint64_t strict_bucket;
    uint64_t wait_ms; /**< longest wait for one answer of the server; 0: 1,000 */
    /** By how much the server's calendar may be set forward without a lease being taken too early from a holder that
     * lives; see lease.h.  0: 120,000. */
    uint64_t clock_step_ms_max;
    tears_log_fn log; /**< NULL: silent */
    void *log_owner;
    uint64_t log_level; /**< highest TEARS_LOG_* delivered; 0: TEARS_LOG_ERROR */
};

#define TEARS_COORD_OPTIONS_INIT TEARS_SIZED(struct tears_coord_options)

/**
 * Connects.  A server that does not answer is no failure: the connection is tried again in the
 * background, and the operations give TEARS_UNAVAILABLE meanwhile.
 *
 * @param options    NULL: all defaults; TEARS_L2_URL must be set then.
 * @param coord_out  owned by the caller; end it with tears_coord_free, after everything made with it.
 * @return TEARS_OK, TEARS_INVALID (no URL, or an option that cannot be understood), TEARS_UNSUPPORTED
 * (options from a newer header), TEARS_UNAVAILABLE (no thread can be started), TEARS_NO_MEMORY.
 * @thread any; a forked child must not use it  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_coord_open(const struct tears_coord_options *options,
                                                      tears_coord **coord_out,
                                                      struct tears_error *error_out);

/** Ends it.  Leases, locks and guards made with it must have ended.  NULL is accepted.  @thread
 * setup  @since 0.1 */
TEARS_API void tears_coord_free(tears_coord *coord);

/** What the process is called in its leases; lives as long as the coord.  @thread any  @since 0.1 */
TEARS_API struct tears_str tears_coord_holder(const tears_coord *coord);

/** The bucket of leases, as it is. */
struct tears_coord_bucket {
    size_t size;
    uint64_t on_file; /**< 0: in memory, so a restart of the broker forgets who holds what */
    uint64_t replicas;
    uint64_t age_ms_max; /**< entries are forgotten after so long, held or not; 0: never */
    uint64_t messages;   /**< stored: leases held, and two entries of the library's own */
    uint64_t token_base; /**< what is added to a revision to make a fencing token */
    char name[208];
    char differences[256]; /**< "storage is memory (wanted file), ..."; "": none */
};

#define TEARS_COORD_BUCKET_INIT TEARS_SIZED(struct tears_coord_bucket)

/**
 * Opens the bucket if that has not happened yet, and says what it is like.
 * @param bucket_out  its `size` must be set.
 * @return TEARS_OK, TEARS_INVALID (refused by `strict_bucket`), TEARS_UNAVAILABLE, TEARS_TIMEOUT,
 * TEARS_NO_MEMORY.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_coord_bucket(tears_coord *coord,
                                                        struct tears_coord_bucket *bucket_out,
                                                        struct tears_error *error_out);

#ifdef __cplusplus
}
#endif
#endif
