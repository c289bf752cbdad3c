/*
 * breaker.h -- keeps callers from waiting, one after the other, for a server that does not answer.
 *
 * After a time-out the breaker is open for a second: calls fail at once.  Then one caller is let
 * through as a probe; when it is answered the breaker closes, when it times out too the pause
 * doubles, up to five seconds.
 */
#ifndef T3_DRIVER_BREAKER_H
#define T3_DRIVER_BREAKER_H

#include "base/macros.h"

#include <stdatomic.h>

#define T3_BREAKER_PAUSE_US_MIN UINT64_C(1000000)
#define T3_BREAKER_PAUSE_US_MAX UINT64_C(5000000)

/* All zero is closed. */
struct t3_breaker {
    _Atomic uint64_t open_until_us; /* 0: closed */
    _Atomic uint64_t opened_at_us;
    _Atomic uint64_t pause_us;
};

/* Whether a call may go to the server now.  Of those who ask after a pause, one is let through. */
static inline bool t3_breaker_allows(struct t3_breaker *breaker, uint64_t now_us)
{
    uint64_t until = atomic_load_explicit(&breaker->open_until_us, memory_order_relaxed);
    if (T3_LIKELY(until == 0))
        return true;
    if (now_us < until)
        return false;
    const uint64_t pause = atomic_load_explicit(&breaker->pause_us, memory_order_relaxed);
    return atomic_compare_exchange_strong_explicit(&breaker->open_until_us, &until, now_us + pause,
                                                   memory_order_relaxed, memory_order_relaxed);
}

/* Whether calls go through without being probes. */
static inline bool t3_breaker_is_closed(struct t3_breaker *breaker)
{
    return atomic_load_explicit(&breaker->open_until_us, memory_order_relaxed) == 0;
}

/* The server answered. */
static inline void t3_breaker_close(struct t3_breaker *breaker)
{
    if (T3_LIKELY(atomic_load_explicit(&breaker->open_until_us, memory_order_relaxed) == 0))
        return;
    atomic_store_explicit(&breaker->open_until_us, 0, memory_order_relaxed);
}

/*
 * The server let a call wait in vain that was sent at `sent_us`.  Calls that were under way when
 * the breaker opened say nothing new; only one sent later, the probe, makes the pause longer.
 */
static inline void t3_breaker_open(struct t3_breaker *breaker, uint64_t sent_us, uint64_t now_us)
{
    const uint64_t until = atomic_load_explicit(&breaker->open_until_us, memory_order_relaxed);
    uint64_t pause = T3_BREAKER_PAUSE_US_MIN;
    if (until != 0) {
        if (sent_us < atomic_load_explicit(&breaker->opened_at_us, memory_order_relaxed))
            return;
        pause = 2 * atomic_load_explicit(&breaker->pause_us, memory_order_relaxed);
        pause = pause < T3_BREAKER_PAUSE_US_MAX ? pause : T3_BREAKER_PAUSE_US_MAX;
    }
    atomic_store_explicit(&breaker->pause_us, pause, memory_order_relaxed);
    atomic_store_explicit(&breaker->opened_at_us, now_us, memory_order_relaxed);
    atomic_store_explicit(&breaker->open_until_us, now_us + pause, memory_order_relaxed);
}

#endif
