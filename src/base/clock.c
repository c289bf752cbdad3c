/*
 * clock.c -- the clocks.
 *
 * Owns: the shifts that tests put on the coarse clock and the calendar.  Threads: any.  Fails: never.
 */
#include "base/clock.h"

#include <stdatomic.h>
#include <time.h>

static _Atomic uint64_t shift_ms;
static _Atomic int64_t calendar_shift_us;

static uint64_t read_us(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

uint64_t t3_now_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

uint64_t t3_now_coarse_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u +
           atomic_load_explicit(&shift_ms, memory_order_relaxed);
}

int64_t t3_calendar_us(void)
{
    return (int64_t)read_us(CLOCK_REALTIME) +
           atomic_load_explicit(&calendar_shift_us, memory_order_relaxed);
}

uint64_t t3_boot_us(void)
{
    return read_us(CLOCK_BOOTTIME);
}

uint64_t t3_deadline_left_ms(struct t3_deadline deadline)
{
    const uint64_t now = t3_now_us();
    return now >= deadline.at_us ? 0 : (deadline.at_us - now + 999) / 1000;
}

struct t3_deadline t3_deadline_at_most_ms(struct t3_deadline deadline, uint64_t ms)
{
    const struct t3_deadline other = t3_deadline_in_ms(ms);
    return other.at_us < deadline.at_us ? other : deadline;
}

void t3_clock_shift_ms(uint64_t ms)
{
    atomic_fetch_add(&shift_ms, ms);
}

void t3_calendar_shift_us(int64_t us)
{
    atomic_store_explicit(&calendar_shift_us, us, memory_order_relaxed);
}
