/*
 * seams.c -- clocks, locks, threads, memory and chance of the simulated processes.
 *
 * Owns:     the list of each process's memory.
 * Must not know: the tiers.
 * Threads:  one; fibers change places only where this file lets them.
 * Fails:    never, but by a violation.
 * Begin at: t3_lock(), t3_now_us().
 */
#include "seams.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/jitter.h"
#include "base/lock.h"
#include "base/thread.h"
#include "fiber.h"

#include <tears/value.h>

#include <errno.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

/* What the linker's --wrap calls. */
long __wrap_syscall(long number, ...);
void __wrap_tears_uuid_new(uint8_t uuid_out[16]);
_Noreturn void __wrap_t3_assert_failed(const char *condition, const char *file, int line);

/* -- time ---------------------------------------------------------------------------------- */

uint64_t t3_now_us(void)
{
    sim_yield_point();
    const struct sim_process *here = sim_here();
    return here != NULL ? sim.now_us + (uint64_t)here->monotonic_skew_us : sim.now_us;
}

/* The kernel moves it on at each of its ticks only. */
uint64_t t3_now_coarse_ms(void)
{
    enum { TICK_MS = 4 };
    const uint64_t now_ms = t3_now_us() / 1000;
    return now_ms - now_ms % TICK_MS;
}

/* Somebody sets it back now and then. */
int64_t t3_calendar_us(void)
{
    const struct sim_process *here = sim_here();
    const int64_t step_us = (int64_t)(sim_noise() % 2000000) - 1000000;
    return INT64_C(1790000000000000) + (int64_t)sim.now_us + step_us +
           (here != NULL ? here->calendar_skew_us : 0);
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
    (void)ms; /* for tests that have no time of their own */
}

uint64_t sim_world_us(const struct sim_process *process, uint64_t monotonic_us)
{
    if (process == NULL || monotonic_us >= INT64_MAX)
        return monotonic_us >= INT64_MAX ? SIM_NEVER : monotonic_us;
    const int64_t at = (int64_t)monotonic_us - process->monotonic_skew_us;
    return at > 0 ? (uint64_t)at : 0;
}

void t3_pause_us(uint64_t us)
{
    sim_sleep_until(sim.now_us + us);
}

/* -- locks --------------------------------------------------------------------------------- */

/* In the storage of a pthread mutex. */
struct __attribute__((may_alias)) mutex {
    struct sim_fiber *owner;
    uint64_t is_locked;
};

_Static_assert(sizeof(struct mutex) <= sizeof(struct t3_mutex), "a mutex has room for ours");

static struct mutex *mutex_of(struct t3_mutex *mutex)
{
    return (struct mutex *)(void *)mutex;
}

void t3_mutex_init(struct t3_mutex *mutex)
{
    memset(mutex, 0, sizeof *mutex);
}

void t3_mutex_done(struct t3_mutex *mutex)
{
    T3_ASSERT(mutex_of(mutex)->is_locked == 0);
}

static void take(struct t3_mutex *mutex)
{
    struct mutex *own = mutex_of(mutex);
    T3_ASSERT(own->is_locked == 0); /* nobody is ever interrupted who holds one */
    own->is_locked = 1;
    own->owner = sim_self();
    sim_count_locks(1);
}

static void give(struct t3_mutex *mutex)
{
    struct mutex *own = mutex_of(mutex);
    T3_ASSERT(own->is_locked == 1 && own->owner == sim_self());
    own->is_locked = 0;
    sim_count_locks(-1);
}

void t3_lock(struct t3_mutex *mutex)
{
    sim_yield_point();
    take(mutex);
}

void t3_unlock(struct t3_mutex *mutex)
{
    give(mutex);
    sim_yield_point();
}

void t3_cond_init(struct t3_cond *cond)
{
    memset(cond, 0, sizeof *cond);
}

void t3_cond_done(struct t3_cond *cond)
{
    (void)cond;
}

void t3_cond_signal(struct t3_cond *cond)
{
    sim_wake(cond, UINT32_MAX, false);
}

void t3_cond_broadcast(struct t3_cond *cond)
{
    sim_wake(cond, UINT32_MAX, true);
}

bool t3_cond_wait(struct t3_cond *cond, struct t3_mutex *mutex, struct t3_deadline deadline)
{
    give(mutex);
    const bool was_woken = sim_wait(cond, UINT32_MAX, sim_world_us(sim_here(), deadline.at_us));
    take(mutex);
    return was_woken;
}

/* The futex of base/combine.c. */
long __wrap_syscall(long number, ...)
{
    va_list arguments;
    va_start(arguments, number);
    _Atomic uint32_t *word = va_arg(arguments, _Atomic uint32_t *);
    const int operation = va_arg(arguments, int);
    const uint32_t value = va_arg(arguments, uint32_t);
    const struct timespec *at = va_arg(arguments, const struct timespec *);
    (void)va_arg(arguments, void *);
    const uint32_t bits = va_arg(arguments, uint32_t);
    va_end(arguments);
    T3_ASSERT(number == SYS_futex);
    if (operation == FUTEX_WAKE_BITSET_PRIVATE) {
        sim_wake(word, bits, true);
        sim_yield_point();
        return 0;
    }
    T3_ASSERT(operation == FUTEX_WAIT_BITSET_PRIVATE);
    if (*word != value) {
        errno = EAGAIN;
        return -1;
    }
    uint64_t until_us = SIM_NEVER;
    if ((uint64_t)at->tv_sec < INT64_MAX / 1000000)
        until_us =
            sim_world_us(sim_here(), (uint64_t)at->tv_sec * 1000000 + (uint64_t)at->tv_nsec / 1000);
    if (sim_wait(word, bits, until_us))
        return 0;
    errno = ETIMEDOUT;
    return -1;
}

/* -- threads ------------------------------------------------------------------------------- */

/* A thread is its fiber, whose address stands where the id would. */
struct start {
    void *(*run)(void *owner);
    void *owner;
};

static void run_thread(void *owner)
{
    const struct start *start = owner;
    (void)start->run(start->owner);
    sim_wake(start, 1, true);
}

tears_status t3_thread_start(struct t3_thread *thread, void *(*run)(void *owner), void *owner)
{
    struct start *start = sim_alloc(sizeof *start + sizeof(struct sim_fiber *));
    start->run = run;
    start->owner = owner;
    struct sim_fiber **fiber = (struct sim_fiber **)(void *)(start + 1);
    *fiber = sim_spawn(sim_here(), "a thread of the library", run_thread, start);
    thread->thread = (pthread_t)(uintptr_t)start;
    thread->has_started = true;
    return TEARS_OK;
}

void t3_thread_join(struct t3_thread *thread)
{
    if (!thread->has_started)
        return;
    struct start *start = (struct start *)(uintptr_t)thread->thread;
    struct sim_fiber **fiber = (struct sim_fiber **)(void *)(start + 1);
    while (!sim_fiber_has_ended(*fiber))
        (void)sim_wait(start, 1, sim.now_us + 100);
    thread->has_started = false;
}

/* -- memory -------------------------------------------------------------------------------- */

/* In front of each piece; as large as a cache line, so that what is aligned to one stays so. */
struct sim_memory {
    _Alignas(64) struct sim_memory *next;
    struct sim_memory *before;
    struct sim_process *process;
    size_t bytes;
};

static void link_in(struct sim_memory *memory, struct sim_process *process)
{
    memory->process = process;
    memory->next = NULL;
    memory->before = NULL;
    if (process == NULL)
        return;
    memory->next = process->memory;
    if (memory->next != NULL)
        memory->next->before = memory;
    process->memory = memory;
}

static void link_out(struct sim_memory *memory)
{
    if (memory->before != NULL)
        memory->before->next = memory->next;
    else if (memory->process != NULL)
        memory->process->memory = memory->next;
    if (memory->next != NULL)
        memory->next->before = memory->before;
}

void *t3_alloc(size_t bytes)
{
    void *piece;
    if (posix_memalign(&piece, _Alignof(struct sim_memory), sizeof(struct sim_memory) + bytes) != 0)
        return NULL;
    struct sim_memory *memory = piece;
    memory->bytes = bytes;
    link_in(memory, sim_here());
    return memory + 1;
}

void *t3_alloc_zero(size_t count, size_t bytes)
{
    void *memory = t3_alloc(count * bytes);
    if (memory != NULL)
        memset(memory, 0, count * bytes);
    return memory;
}

void *t3_resize(void *ptr, size_t bytes)
{
    void *memory = t3_alloc(bytes);
    if (memory == NULL || ptr == NULL)
        return memory;
    const struct sim_memory *old = (const struct sim_memory *)ptr - 1;
    memcpy(memory, ptr, old->bytes < bytes ? old->bytes : bytes);
    t3_free(ptr);
    return memory;
}

void t3_free(void *ptr)
{
    if (ptr == NULL)
        return;
    struct sim_memory *memory = (struct sim_memory *)ptr - 1;
    link_out(memory);
    free(memory);
}

size_t t3_alloc_bytes(const void *ptr)
{
    return ptr != NULL ? ((const struct sim_memory *)ptr - 1)->bytes + 16 : 0;
}

void t3_free_auto(void *variable)
{
    void **pointer = variable;
    t3_free(*pointer);
    *pointer = NULL;
}

void t3_alloc_fail_at(uint64_t nth)
{
    (void)nth;
}

uint64_t t3_alloc_count(void)
{
    return 0;
}

void sim_memory_drop(struct sim_process *process)
{
    struct sim_memory *memory = process->memory;
    process->memory = NULL;
    while (memory != NULL) {
        struct sim_memory *next = memory->next;
        free(memory);
        memory = next;
    }
}

uint64_t sim_memory_count(const struct sim_process *process)
{
    uint64_t count = 0;
    for (const struct sim_memory *memory = process->memory; memory != NULL; memory = memory->next)
        count++;
    return count;
}

/* -- chance -------------------------------------------------------------------------------- */

uint64_t t3_jitter(uint64_t limit)
{
    return limit == 0 ? 0 : sim_noise() % limit;
}

void __wrap_tears_uuid_new(uint8_t uuid_out[16])
{
    const uint64_t words[2] = {sim_noise(), sim_noise()};
    memcpy(uuid_out, words, 16);
    uuid_out[6] = (uint8_t)(0x70 | (uuid_out[6] & 0x0f));
    uuid_out[8] = (uint8_t)(0x80 | (uuid_out[8] & 0x3f));
}

/* -- assertions ---------------------------------------------------------------------------- */

_Noreturn void __wrap_t3_assert_failed(const char *condition, const char *file, int line)
{
    sim_fail("assertion", "%s (%s:%d)", condition, file, line);
    if (sim_self() != NULL)
        sim_abandon_self();
    fprintf(stderr, "sim: %s failed outside of a fiber (%s:%d)\n", condition, file, line);
    abort();
}
