/*
 * fake_nats.h -- what the fakes of the NATS drivers know of a connection.
 */
#ifndef TESTS_SIM_FAKE_NATS_H
#define TESTS_SIM_FAKE_NATS_H

#include "driver/nats_conn.h"
#include "net.h"

enum { SIM_PAYLOAD_MAX = 1 << 20 };

struct t3_nats {
    struct t3_nats *next;
    struct sim_process *process;
    enum sim_link_name link;
    void (*connected)(void *owner);
    void *owner;
    uint32_t callbacks;
    bool is_closed;
};

/* A new world has no connections. */
void sim_nats_begin(void);

#endif
