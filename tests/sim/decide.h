/*
 * decide.h -- every choice of the simulated world, as one sequence of small numbers.
 *
 * Whatever could go one way or another asks here: which thread runs next, how long a message takes, whether it is
 * lost, what a client does next.  0 is always the dullest answer (no fault, no detour, the next one in line), so a
 * sequence with more zeros in it is a simpler schedule, and the empty sequence is the simplest of all.
 */
#ifndef TESTS_SIM_DECIDE_H
#define TESTS_SIM_DECIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a choice is about. */
enum sim_about {
    SIM_WORK,    /* what the clients do */
    SIM_DELAY,   /* how long a message takes */
    SIM_FIBER,   /* who of those who could runs next */
    SIM_PREEMPT, /* after how many steps a thread has to wait for the others */
    SIM_FAULT,   /* what breaks, and when */
    SIM_ORDER    /* which of the messages under way arrives next (exhaustive search only) */
};

enum sim_manner {
    SIM_AT_RANDOM, /* by a generator with a seed; recorded */
    SIM_REPLAYED,  /* as recorded; 0 after the end */
    SIM_SEARCHED   /* as recorded; after the end 0, but the number of alternatives is noted */
};

struct sim_decisions {
    uint16_t *values;
    uint16_t *counts; /* how many alternatives there were */
    size_t len;       /* made so far, or to be replayed */
    size_t capacity;
};

void sim_decisions_done(struct sim_decisions *decisions);
void sim_decisions_copy(struct sim_decisions *to, const struct sim_decisions *from);
void sim_decisions_add(struct sim_decisions *decisions, uint32_t value, uint32_t count);

/* Begins a run.  `known` (NULL: none) are replayed; in any manner the run's own are recorded anew. */
void sim_decide_begin(enum sim_manner manner, uint64_t seed, const struct sim_decisions *known);

/* One of `count` alternatives.  At random: 0, but another one `other` times of 1000. */
uint32_t sim_pick(enum sim_about about, uint32_t count, uint32_t other);

static inline bool sim_happens(enum sim_about about, uint32_t per_mille)
{
    return sim_pick(about, 2, per_mille) == 1;
}

/* What was decided in this run; valid until the next begins. */
const struct sim_decisions *sim_decided(void);

/* Turns the sequence of a search into the next one, of which at most `others_max` are not 0.  False: there is none. */
bool sim_decisions_next(struct sim_decisions *decisions, uint32_t others_max);

/* Numbers that mean nothing (ids, pauses of the library): of the seed, never recorded. */
uint64_t sim_noise(void);

#endif
