/*
 * workload.h -- the programs that use the clients.
 */
#ifndef TESTS_SIM_WORKLOAD_H
#define TESTS_SIM_WORKLOAD_H

#include "run.h"
#include "search.h"

/* The place where a process runs; after a death the next one. */
struct sim_host {
    uint32_t number;
    uint32_t lives;
    struct sim_process *process; /* NULL: none now */
    tears_client *client;        /* NULL: not open */
    tears_collection *collections[SIM_TABLES];
    uint32_t busy; /* sessions that are not done */
    uint32_t ops_left;
    bool is_up;
};

enum { SIM_HOSTS_MAX = 3 };

extern struct sim_host sim_hosts[SIM_HOSTS_MAX];

void sim_workload_begin(const struct sim_setup *setup);

/* Starts a process: it opens its client, and then its sessions work. */
void sim_host_boot(struct sim_host *host);

/* In a scenario: the sessions begin. */
void sim_workload_start(void);

/* Whether nobody works any more. */
bool sim_workload_is_done(void *unused);

/* Every client reads every row; the answers are judged as those of a world at rest. */
void sim_workload_look(void);
/* Every client ends. */
void sim_workload_close(void);

#endif
