/*
 * clock.h -- time: a monotonic clock for durations, the calendar for UUIDs only.
 */
#ifndef T3_BASE_CLOCK_H
#define T3_BASE_CLOCK_H

#include "base/macros.h"

/* Microseconds of the monotonic clock; never goes back.  About 20 ns. */
uint64_t t3_now_us(void);

/* Milliseconds of the coarse monotonic clock (a few ms old at most).  About 3 ns; for ages. */
uint64_t t3_now_coarse_ms(void);

/* Microseconds since 1970 by the calendar.  Orders nothing. */
int64_t t3_calendar_us(void);

/* A point on t3_now_us; every blocking call takes one. */
struct t3_deadline {
    uint64_t at_us;
};

static inline struct t3_deadline t3_deadline_in_ms(uint64_t ms)
{
    const uint64_t now = t3_now_us();
    const uint64_t most_ms = (UINT64_MAX - now) / 1000; /* "for ever" must not wrap into the past */
    struct t3_deadline deadline = {now + (ms < most_ms ? ms : most_ms) * 1000};
    return deadline;
}

/* Milliseconds left, rounded up; 0 when it has passed. */
uint64_t t3_deadline_left_ms(struct t3_deadline deadline);

static inline bool t3_deadline_passed(struct t3_deadline deadline)
{
    return t3_now_us() >= deadline.at_us;
}

/* The earlier of the deadline and `ms` from now. */
struct t3_deadline t3_deadline_at_most_ms(struct t3_deadline deadline, uint64_t ms);

/* Microseconds of the clock that goes on while the machine sleeps; for what others count on meanwhile. */
uint64_t t3_boot_us(void);

/* Tests only: adds to the coarse clock, so that ages can be tested without waiting. */
void t3_clock_shift_ms(uint64_t ms);

/* Tests only: from now on the calendar is this much ahead of the system's, or behind it. */
void t3_calendar_shift_us(int64_t us);

#endif
