/*
 * world.h -- virtual time, the processes that live in it, and what is said about them.
 *
 * There is one world at a time.  Nothing in it happens by itself: time moves when nobody can do anything at the
 * present moment, threads of the library are fibers (fiber.h), and messages are events on the time line.
 */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include "decide.h"

#include <stdarg.h>

enum { SIM_PROCESSES_MAX = 16 };

#define SIM_NEVER UINT64_MAX

/* A connection of a process to the message server: what is sent on it arrives in order. */
struct sim_link {
    uint64_t up_last_us; /* when the last message sent arrives */
    uint64_t down_last_us;
};

enum sim_link_name { SIM_LINK_PROMPT, SIM_LINK_PUMPED, SIM_LINK_GATHERING, SIM_LINKS };

struct sim_memory; /* one allocation */
struct sim_held;   /* a message that waits at a cut */

/* One process with one client.  A process that crashed stays in the list, dead. */
struct sim_process {
    char name[8]; /* "A", after a crash "A2" */
    uint32_t host;
    uint32_t life;
    bool is_dead;
    uint64_t stopped_until_us; /* SIGSTOP */
    uint64_t stops;            /* times it was stopped */
    int64_t monotonic_skew_us;
    int64_t calendar_skew_us;
    struct sim_memory *memory; /* all it has allocated */
    /* the network, seen from here */
    bool is_cut;       /* nothing passes, nobody has noticed */
    bool is_connected; /* as the NATS library sees it */
    uint64_t losses;
    struct sim_held *held;
    struct sim_link links[SIM_LINKS];
    bool knows_bucket; /* has followed the stream */
};

/* What was broken so far, and how much was done: for the summary. */
struct sim_tally {
    uint64_t runs, steps, preemptions, messages;
    uint64_t reads, writes, conflicts, failures, degraded;
    uint64_t notices_dropped, notices_doubled, notices_late;
    uint64_t requests_lost, acks_lost, refusals, stale_answers;
    uint64_t feed_drops, consumers_lost;
    uint64_t cuts, disconnects, wipes, restarts;
    uint64_t stops, crashes, late_commits, store_errors, store_outages;
    uint64_t judged, excused;
};

struct sim_event;

struct sim_world {
    uint64_t now_us;
    struct sim_process *processes[SIM_PROCESSES_MAX];
    uint32_t process_count;
    struct sim_event *events; /* by time */
    uint64_t event_count;     /* ever */
    bool is_calm;             /* no more faults */
    bool is_searched;         /* exhaustive: messages may arrive in any order */
    bool is_told;             /* the trace is printed */
    bool has_failed;
    char failure[1024];
};

extern struct sim_world sim;
extern struct sim_tally sim_tally;

/* The first moment; monotonic clocks are never near 0 in life either. */
#define SIM_DAWN_US UINT64_C(100000000)

void sim_world_begin(bool is_told);
/* Forgets all: memory, fibers, events. */
void sim_world_end(void);

/* Memory that lives as long as the world, all zero. */
void *sim_alloc(size_t bytes);

/* -- events -- */

typedef void (*sim_event_fn)(void *owner);

/* Calls `fn` on the scheduler's own stack, where nothing may wait. */
void sim_at(uint64_t at_us, sim_event_fn fn, void *owner);
/* The same; in a search it may arrive in any order among the messages under way, but after those of its line (NULL: none). */
void sim_message_at(uint64_t at_us, const void *line, sim_event_fn fn, void *owner);

/* When the next event is due; SIM_NEVER: none. */
uint64_t sim_next_event_us(void);
/* Runs what is due. */
void sim_run_events(void);
/* In a search: takes one of the messages under way, whichever is decided, and moves time to it.  False: there is none
 * before `limit_us`. */
bool sim_run_any_message(uint64_t limit_us);

/* -- latency -- */

/* How long a hop takes: `usual_us`, or by decision a little to very much longer. */
uint64_t sim_latency_us(uint64_t usual_us);

/* -- processes -- */

struct sim_process *sim_process_new(uint32_t host, uint32_t life);
/* Its fibers never run again, its memory is gone, the world forgets that it listened. */
void sim_process_kill(struct sim_process *process);
bool sim_process_is_stopped(const struct sim_process *process);

/* -- what is said -- */

/* A line of the trace, with the time in front. */
void sim_tell(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* An invariant does not hold.  The first one counts; the run ends soon. */
void sim_fail(const char *invariant, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
