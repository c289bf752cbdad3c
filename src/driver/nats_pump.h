/*
 * nats_pump.h -- a connection's socket, written and read by whoever waits for an answer.
 *
 * The NATS library would start a reader for the connection, which wakes the one who waits; and a
 * flusher, which is woken by the one who sends.  With a pump there is neither: who has borrowed it
 * publishes, and then takes turns until the answers are in the inbox.  While nobody has borrowed
 * it, a keeper takes a turn now and then, so that the server's pings are answered and a lost
 * connection is noticed.
 */
#ifndef T3_DRIVER_NATS_PUMP_H
#define T3_DRIVER_NATS_PUMP_H

#include "base/macros.h"

#include <nats/nats.h>

struct t3_nats_pump;

/* NULL: no memory. */
struct t3_nats_pump *t3_nats_pump_new(void);

/* Makes a connection with these options one of the pump's.  A pump has one connection. */
natsStatus t3_nats_pump_set(struct t3_nats_pump *pump, natsOptions *options);

/* The keeper begins.  False: no thread could be started. */
bool t3_nats_pump_start(struct t3_nats_pump *pump, natsConnection *connection);

/* The keeper ends, and what was published is written: then the connection can be closed. */
void t3_nats_pump_stop(struct t3_nats_pump *pump);

/* After the connection was closed.  NULL is accepted. */
void t3_nats_pump_free(struct t3_nats_pump *pump);

/* Waits for others who have borrowed it.  Returned with t3_nats_pump_give, soon. */
void t3_nats_pump_take(struct t3_nats_pump *pump);
void t3_nats_pump_give(struct t3_nats_pump *pump);

/* By the borrower: writes what was published. */
void t3_nats_pump_write(struct t3_nats_pump *pump);

/*
 * By the borrower: writes what was published, waits for bytes and puts the messages in them into
 * the inboxes.  NATS_OK, NATS_TIMEOUT (no bytes came), NATS_CONNECTION_DISCONNECTED.
 */
natsStatus t3_nats_pump_turn(struct t3_nats_pump *pump, uint64_t wait_ms);

#endif
