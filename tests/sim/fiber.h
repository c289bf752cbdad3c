/*
 * fiber.h -- the threads of all simulated processes, as fibers of one thread.
 *
 * A fiber runs until it waits, or until a point at which a real thread could have been interrupted and the decisions
 * say so.  No lock is held then, and no read section of L1 is open: that is the library's own rule (src/LOCKS.md),
 * and it is asserted here.
 */
#ifndef TESTS_SIM_FIBER_H
#define TESTS_SIM_FIBER_H

#include "world.h"

struct sim_fiber;

/* What a program asked of a client; the invariants look at it. */
struct sim_op;

/* `process` NULL: the world's own. */
struct sim_fiber *sim_spawn(struct sim_process *process, const char *name, void (*run)(void *owner),
                            void *owner);

struct sim_fiber *sim_self(void);
/* The process whose fiber runs; NULL: the world's own. */
struct sim_process *sim_here(void);
bool sim_fiber_has_ended(const struct sim_fiber *fiber);
const char *sim_fiber_name(const struct sim_fiber *fiber);

/* The running fiber's call of the library, for those who are asked to do something on its behalf. */
void sim_set_op(struct sim_op *op);
struct sim_op *sim_op_here(void);

/* A place where a thread may be interrupted. */
void sim_yield_point(void);

/* Waits at a place (any address) until woken; false: the time came first.  `bits`: what kind of sleeper. */
bool sim_wait(const void *place, uint32_t bits, uint64_t until_us);
void sim_wake(const void *place, uint32_t bits, bool all);
void sim_sleep_until(uint64_t at_us);

void sim_count_locks(int more);

/* The fiber that runs never runs again. */
_Noreturn void sim_abandon_self(void);
void sim_abandon_fibers(const struct sim_process *process);

/* Runs the world until `done` (NULL: never) says so, or until the time, or a failure. */
void sim_run(bool (*done)(void *owner), void *owner, uint64_t until_us);

/* All fibers that still have something to do, for the trace of a world that stands still. */
void sim_tell_fibers(void);
void sim_fibers_forget(void);

#endif
