/*
 * run.h -- what the parts of chaos_run share.
 */
#ifndef CHAOS_RUN_H
#define CHAOS_RUN_H

#include "evidence.h"
#include "random.h"
#include "record.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

enum { CHAOS_NODES_MAX = 3, CHAOS_AGENDA_MAX = 64 };

struct run_options {
    unsigned seconds;
    uint64_t seed;
    unsigned workers;
    unsigned threads;
    unsigned keys;
    unsigned pause_us;
    bool is_cluster;
    bool is_calm;          /* no faults but the proxy's */
    bool versions_restart; /* integer versions begin anew when a row is deleted and made again */
    bool as_json;
    bool keep;       /* the folder stays in any case */
    const char *bug; /* "none", a bug of worker.h, or "all": each worker has another */
};

struct run_worker {
    pid_t pid; /* 0: not running */
    unsigned life;
    int input;  /* a pipe to it */
    int output; /* from it */
    char line[64];
    size_t line_length;
    bool is_open;
    bool is_resting;
    bool is_done;
    bool is_stopped;
};

/* Something to be done later: a stopped worker goes on, a killed server comes back. */
enum run_task { TASK_NONE, TASK_CONTINUE, TASK_SPAWN, TASK_NATS_AGAIN };

struct run_agenda {
    enum run_task task;
    unsigned who;
    uint64_t due_ns;
};

struct run_counts {
    unsigned kills, stops, nats_kills, nats_ends, wipes, purges, pg_restarts, cuts, holes, storms;
    unsigned crashes; /* workers that ended by themselves */
};

struct run {
    struct run_options options;
    struct chaos_random random;
    char folder[128];
    FILE *events;
    uint64_t began_ns;
    struct test_pg *pg;
    struct test_nats *nodes[CHAOS_NODES_MAX];
    bool node_is_down[CHAOS_NODES_MAX];
    unsigned node_count;
    pid_t proxy_pid;
    int proxy_input;
    FILE *proxy_output;
    unsigned ports[CHAOS_WORKERS_MAX][CHAOS_NODES_MAX];
    struct run_worker workers[CHAOS_WORKERS_MAX];
    struct run_agenda agenda[CHAOS_AGENDA_MAX];
    struct run_counts counts;
    char proxy_stats[1024];
    bool has_failed; /* the harness could not do its work */
};

/* Set by Ctrl-C. */
extern volatile sig_atomic_t run_is_interrupted;

/* Notes what was done, for the history of a violation. */
__attribute__((format(printf, 2, 3))) void run_note(struct run *run, const char *format, ...);
void run_pause_ms(unsigned ms);

/* ---- run_servers.c ---- */
void run_start_servers(struct run *run);
void run_stop_servers(struct run *run);
/* False when the bucket is not there, or nobody answers. */
bool run_wipe_bucket(struct run *run, bool by_purge);
/* The node that leads the bucket's stream; node_count when nobody says so. */
unsigned run_leader(struct run *run);
void run_nats_down(struct run *run, unsigned node, bool gracefully);
void run_nats_again(struct run *run, unsigned node);
/* One line to the proxy, one line back. */
bool run_tell_proxy(struct run *run, char *answer, size_t size, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- run_truth.c ---- */
bool run_make_tables(struct run *run);
/* True once no note of the outbox waits. */
bool run_outbox_is_empty(struct run *run);
bool run_read_truth(struct run *run, struct chaos_truth *truth);

/* ---- run_workers.c ---- */
void run_spawn(struct run *run, unsigned who);
/* Takes what workers said, and notices those that ended. */
void run_hear(struct run *run);
void run_tell_all(struct run *run, const char *word);
void run_stop_workers(struct run *run);
uint64_t run_operations(const struct run *run);

/* ---- run_faults.c ---- */
void run_set_noise(struct run *run);
/* Does one thing of the plan. */
void run_disturb(struct run *run);
/* Kills the server that leads the bucket's stream.  False when none does, or one is down already. */
bool run_kill_leader(struct run *run);
/* Does what is due; everything when `all`. */
void run_do_agenda(struct run *run, bool all);

#endif
