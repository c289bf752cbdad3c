/*
 * seams.h -- the parts of src/base that are the world's: time, locks, threads, memory, chance.
 *
 * Their headers are the library's own; this program's objects stand before the archive, so the linker takes these
 * definitions and leaves those of src/base out.  What is no function of the library's (the futex of combine.c, the
 * ids of uuid.c, a failed assertion) is wrapped by the linker.
 */
#ifndef TESTS_SIM_SEAMS_H
#define TESTS_SIM_SEAMS_H

#include "world.h"

/* Frees all that the process has allocated. */
void sim_memory_drop(struct sim_process *process);

/* Pieces that the process holds. */
uint64_t sim_memory_count(const struct sim_process *process);

/* A moment on the process's monotonic clock, as a moment of the world. */
uint64_t sim_world_us(const struct sim_process *process, uint64_t monotonic_us);

#endif
