/*
 * net.h -- what lies between a process and the message server, and what can go wrong with it.
 */
#ifndef TESTS_SIM_NET_H
#define TESTS_SIM_NET_H

#include "world.h"

/* What may break at any message; how often is the run's profile. */
enum sim_fault_kind {
    SIM_NOTICE_DROPPED,
    SIM_NOTICE_DOUBLED,
    SIM_NOTICE_LATE,
    SIM_REQUEST_LOST,
    SIM_ACK_LOST,
    SIM_PUT_REFUSED,
    SIM_STALE_ANSWER,
    SIM_FEED_DROPPED,
    SIM_BEAT_LOST,
    SIM_STORE_ERROR,   /* before anything is written */
    SIM_STORE_SILENCE, /* written, but the caller is told that it failed */
    SIM_STORE_LATE,    /* the caller gives up, and then it is written */
    SIM_CRASH,         /* the process, at any of its messages */
    SIM_FAULT_KINDS
};

struct sim_profile {
    uint16_t per_mille[SIM_FAULT_KINDS];
    uint32_t left; /* no more than this many in a run */
};

extern struct sim_profile sim_profile;

/* Whether it happens now. */
bool sim_fault(enum sim_fault_kind kind);

/* One hop, in order with what went before on the link.  What is on the way when the connection ends is lost. */
void sim_send_up(struct sim_process *process, enum sim_link_name link, sim_event_fn fn,
                 void *owner);
void sim_send_down(struct sim_process *process, enum sim_link_name link, sim_event_fn fn,
                   void *owner);
/* The same beside the links: may be overtaken. */
void sim_send_astray(struct sim_process *process, uint64_t late_us, sim_event_fn fn, void *owner);

/* The network between the process and the server is cut for a while; sometimes nobody notices. */
void sim_cut(struct sim_process *process, uint64_t for_us);
/* The server goes away for a moment: all connections end. */
void sim_disconnect_all(uint64_t for_us);

/* The process dies; another takes its place after a while.  Safe to call from anywhere. */
void sim_crash(struct sim_process *process);
/* Called for the host of a process that has died. */
extern void (*sim_on_death)(uint32_t host);

/* fake_nats.c: the library of the process notices. */
void sim_nats_lost(struct sim_process *process);
void sim_nats_connected(struct sim_process *process);
/* fake_kv.c: nobody answers any more. */
void sim_kv_lost(struct sim_process *process);

#endif
