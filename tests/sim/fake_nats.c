/*
 * fake_nats.c -- driver/nats_conn.h over the simulated network.
 *
 * Owns:     the connections of a process; all three of them live and die together, for they go to one server.
 * Must not know: what is sent.
 * Threads:  fibers of the process.
 * Fails:    never at open: the simulated server is there at the beginning.
 * Begin at: t3_nats_open().
 */
#include "fake_nats.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "base/thread.h"
#include "fiber.h"
#include "net.h"

#include <stdio.h>

static struct t3_nats *all; /* of all processes */

void sim_nats_begin(void)
{
    all = NULL;
}

tears_status t3_nats_open(const struct t3_nats_options *options, struct t3_nats **nats_out,
                          struct tears_error *error_out)
{
    struct t3_nats *nats = sim_alloc(sizeof *nats);
    (void)error_out;
    nats->process = sim_here();
    nats->connected = options->connected;
    nats->owner = options->owner;
    nats->link = SIM_LINK_GATHERING;
    if (options->prompt)
        nats->link = SIM_LINK_PROMPT;
    else if (options->pumped)
        nats->link = SIM_LINK_PUMPED;
    nats->next = all;
    all = nats;
    *nats_out = nats;
    return TEARS_OK;
}

/* A callback that runs is waited for. */
void t3_nats_free(struct t3_nats *nats)
{
    if (nats == NULL)
        return;
    nats->is_closed = true;
    while (nats->callbacks > 0)
        t3_pause_us(100);
}

bool t3_nats_is_connected(const struct t3_nats *nats)
{
    return nats->process->is_connected;
}

uint64_t t3_nats_losses(const struct t3_nats *nats)
{
    return nats->process->losses;
}

size_t t3_nats_payload_max(const struct t3_nats *nats)
{
    (void)nats;
    return SIM_PAYLOAD_MAX;
}

tears_status t3_nats_round_trip(struct t3_nats *nats, uint64_t wait_ms, uint64_t *us_out)
{
    (void)wait_ms;
    *us_out = 200;
    return nats->process->is_connected ? TEARS_OK : TEARS_UNAVAILABLE;
}

tears_status t3_nats_ask_info(struct t3_nats *nats, struct t3_deadline deadline,
                              struct t3_nats_info *info_out)
{
    (void)deadline;
    snprintf(info_out->version, sizeof info_out->version, "2.9.10");
    snprintf(info_out->name, sizeof info_out->name, "simulated");
    info_out->has_jetstream = true;
    info_out->payload_max = SIM_PAYLOAD_MAX;
    return nats->process->is_connected ? TEARS_OK : TEARS_UNAVAILABLE;
}

void sim_nats_lost(struct sim_process *process)
{
    (void)process; /* the library tells nobody: is_connected and losses are all there is */
}

static void run_connected(void *owner)
{
    struct t3_nats *nats = owner;
    if (!nats->is_closed)
        nats->connected(nats->owner);
    nats->callbacks--;
}

void sim_nats_connected(struct sim_process *process)
{
    for (struct t3_nats *nats = all; nats != NULL; nats = nats->next) {
        if (nats->process != process || nats->is_closed || nats->connected == NULL)
            continue;
        nats->callbacks++;
        (void)sim_spawn(process, "connected", run_connected, nats);
    }
}
