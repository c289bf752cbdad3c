/*
 * jitter.c -- a shared sequence of well-mixed numbers (splitmix64).
 *
 * Owns: the sequence's state.  Threads: any.  Fails: never.
 */
#include "base/jitter.h"

#include "base/clock.h"

#include <stdatomic.h>
#include <unistd.h>

uint64_t t3_jitter(uint64_t limit)
{
    static _Atomic uint64_t state;
    if (limit == 0)
        return 0;
    uint64_t word = atomic_fetch_add_explicit(&state, 0x9E3779B97F4A7C15u, memory_order_relaxed);
    word ^= t3_now_us() << 20 ^ (uint64_t)getpid(); /* other processes, other pauses */
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9u;
    word = (word ^ word >> 27) * 0x94D049BB133111EBu;
    return (word ^ word >> 31) % limit;
}
