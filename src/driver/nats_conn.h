/*
 * nats_conn.h -- one connection to NATS that never gives up.
 */
#ifndef T3_DRIVER_NATS_CONN_H
#define T3_DRIVER_NATS_CONN_H

#include "base/clock.h"
#include "driver/nats_info.h"
#include "observe/log.h"

struct t3_nats;

struct t3_nats_options {
    struct tears_str url; /* a list, separated by commas */
    struct tears_str creds_file, tls_ca_file, tls_cert_file, tls_key_file;
    const char *name; /* shown by the server's monitoring; outlives the connection */
    bool prompt;      /* every message is sent at once; else they are gathered until a flush */
    bool pumped;      /* nobody reads but who has borrowed the pump (nats_pump.h) */
    const struct t3_log *log;
    /* The connection is there again, or for the first time after an open without it.  On a thread
     * of the library's. */
    void (*connected)(void *owner);
    void *owner;
};

/*
 * Connects, at most about a second for each server; a server that does not answer is no failure,
 * the connection is tried again in the background for ever. TEARS_OK, TEARS_INVALID (URL, a file
 * that cannot be used), TEARS_NO_MEMORY.
 */
tears_status t3_nats_open(const struct t3_nats_options *options, struct t3_nats **nats_out,
                          struct tears_error *error_out);

/* Closes and waits until no callback runs any more. */
void t3_nats_free(struct t3_nats *nats);

bool t3_nats_is_connected(const struct t3_nats *nats);

/* Moves whenever the connection is lost: replies that were under way before will not come. */
uint64_t t3_nats_losses(const struct t3_nats *nats);

/* The largest message the server takes; 0 while it was never connected. */
size_t t3_nats_payload_max(const struct t3_nats *nats);

/* One round trip.  TEARS_OK, TEARS_UNAVAILABLE, TEARS_TIMEOUT. */
tears_status t3_nats_round_trip(struct t3_nats *nats, uint64_t wait_ms, uint64_t *us_out);

/*
 * What the connected server says of itself.  TEARS_OK, TEARS_UNAVAILABLE, TEARS_TIMEOUT.
 */
tears_status t3_nats_ask_info(struct t3_nats *nats, struct t3_deadline deadline,
                              struct t3_nats_info *info_out);

#endif
