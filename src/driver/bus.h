/*
 * bus.h -- messages without an answer: notices out and in, and the late answers of puts nobody
 * waits for.
 */
#ifndef T3_DRIVER_BUS_H
#define T3_DRIVER_BUS_H

#include "driver/kv_wire.h"
#include "driver/nats_conn.h"

struct t3_bus;

/* What arrives, on threads of the NATS library; must not block. */
struct t3_bus_sink {
    void (*message)(void *owner, struct tears_str payload);
    /* The answer to a put that asked for it at t3_bus_reply_to(ticket).  `ack` NULL: nobody
     * listens, there is no bucket. */
    void (*answer)(void *owner, uint64_t ticket, const struct t3_kv_ack *ack);
    void *owner;
};

enum { T3_BUS_REPLY_BYTES = 96 };

/* Subscribes to the subject and to answers.  TEARS_OK (also when a refused connection makes the bus mute), TEARS_NO_MEMORY. */
tears_status t3_bus_new(struct t3_nats *nats, const char *subject, const struct t3_bus_sink *sink,
                        struct t3_bus **bus_out, struct tears_error *error_out);

/* Waits until no callback runs any more. */
void t3_bus_free(struct t3_bus *bus);

/* Sends a message at once, without waiting for anything.  TEARS_OK, TEARS_UNAVAILABLE, TEARS_LIMIT,
 * TEARS_NO_MEMORY. */
tears_status t3_bus_publish(struct t3_bus *bus, const char *subject, struct tears_str payload);

/* Writes the subject at which answers with this ticket arrive. */
void t3_bus_reply_to(const struct t3_bus *bus, uint64_t ticket, char reply_to[T3_BUS_REPLY_BYTES]);

#endif
