/*
 * random.h -- numbers that a seed repeats (splitmix64).
 */
#ifndef CHAOS_RANDOM_H
#define CHAOS_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct chaos_random {
    uint64_t state;
};

static inline void chaos_random_init(struct chaos_random *random, uint64_t seed)
{
    random->state = seed * 0x2545f4914f6cdd1du + 0x9e3779b97f4a7c15u;
}

static inline uint64_t chaos_random_next(struct chaos_random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* From 0 to below - 1. */
static inline uint64_t chaos_random_below(struct chaos_random *random, uint64_t below)
{
    return chaos_random_next(random) % below;
}

static inline uint64_t chaos_random_between(struct chaos_random *random, uint64_t from, uint64_t to)
{
    return from + chaos_random_below(random, to - from + 1);
}

/* True in `part` of 1,000 cases. */
static inline bool chaos_random_chance(struct chaos_random *random, uint64_t part)
{
    return chaos_random_below(random, 1000) < part;
}

#endif
