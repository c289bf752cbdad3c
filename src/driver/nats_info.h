/*
 * nats_info.h -- what a NATS server says of itself before anybody logs in.
 *
 * The NATS library keeps that text to itself, so it is read over a connection of its own; for
 * doctor only.
 */
#ifndef T3_DRIVER_NATS_INFO_H
#define T3_DRIVER_NATS_INFO_H

#include "base/clock.h"

struct t3_nats_info {
    char version[32];
    char name[64];
    bool has_jetstream;
    uint64_t payload_max;
};

/* Reads "INFO {...}".  False when it makes no sense. */
bool t3_nats_info_parse(struct tears_str line, struct t3_nats_info *info_out);

/* Asks HOST:PORT.  TEARS_OK, TEARS_UNAVAILABLE, TEARS_TIMEOUT. */
tears_status t3_nats_info_ask(const char *host, const char *port, struct t3_deadline deadline,
                              struct t3_nats_info *info_out);

#endif
