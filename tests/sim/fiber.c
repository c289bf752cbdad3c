/*
 * fiber.c -- the scheduler.
 *
 * Owns:     the fibers, their stacks, and who runs.
 * Must not know: what fibers do.
 * Threads:  one.
 * Fails:    by ending the program when there is no stack; a world that never comes to rest is a violation.
 * Begin at: sim_run().
 */
#include "fiber.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <urcu-bp.h>

#ifdef __SANITIZE_ADDRESS__
#define SIM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SIM_ASAN 1
#endif
#endif

#ifdef SIM_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

enum {
#ifdef SIM_ASAN
    STACK_BYTES = 512 * 1024,
#else
    STACK_BYTES = 128 * 1024,
#endif
    GUARD_BYTES = 4096,
    STEPS_MAX = 3000000,
    LOCKS_MAX =
        2, /* a client that opens a collection holds its own while L1 makes room for the table */
    PREEMPT_WITHIN = 40 /* points at which a thread may be interrupted, counted from its start */
};

enum state { READY, WAITING, ENDED };

struct sim_fiber {
    struct sim_fiber *next;
    ucontext_t context;
    char *stack;
    void *fake_stack; /* AddressSanitizer's */
    struct sim_process *process;
    const char *name;
    void (*run)(void *owner);
    void *owner;
    enum state state;
    uint64_t ready_at;      /* place in the line */
    uint64_t until_us;      /* WAITING */
    const void *place;      /* WAITING */
    uint32_t bits;          /* WAITING */
    bool was_woken;         /* of the last wait */
    int locks;              /* held now */
    uint32_t until_preempt; /* 0: not this time */
    struct sim_op *op;
};

static struct sim_fiber *fibers;
static struct sim_fiber *running;
static ucontext_t scheduler;
static uint64_t line; /* places given out */
static uint64_t steps;

/* -- stacks -------------------------------------------------------------------------------- */

struct spare_stack {
    struct spare_stack *next;
};

static struct spare_stack *spare_stacks;

static char *stack_new(void)
{
    if (spare_stacks != NULL) {
        char *stack = (char *)spare_stacks;
        spare_stacks = spare_stacks->next;
        return stack;
    }
    char *memory = mmap(NULL, GUARD_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory, GUARD_BYTES, PROT_NONE) != 0) {
        fputs("sim: no stack for a fiber\n", stderr);
        exit(2);
    }
    return memory + GUARD_BYTES;
}

static void stack_free(char *stack)
{
#ifdef SIM_ASAN
    /* an abandoned fiber has left its frames' marks */
    ASAN_UNPOISON_MEMORY_REGION(stack, STACK_BYTES);
#endif
    struct spare_stack *spare = (struct spare_stack *)(void *)stack;
    spare->next = spare_stacks;
    spare_stacks = spare;
}

/* -- switching ----------------------------------------------------------------------------- */

/* AddressSanitizer is told of every change of stacks, before and after. */
#ifdef SIM_ASAN
static const void *scheduler_stack;
static size_t scheduler_stack_bytes;

static void leave_stack(void **fake_stack, const void *to, size_t bytes)
{
    __sanitizer_start_switch_fiber(fake_stack, to, bytes);
}

static void leave_for_scheduler(struct sim_fiber *self)
{
    leave_stack(self->state == ENDED ? NULL : &self->fake_stack, scheduler_stack,
                scheduler_stack_bytes);
}

static void reach_stack(void *fake_stack)
{
    __sanitizer_finish_switch_fiber(fake_stack, NULL, NULL);
}

static void reach_first(void)
{
    __sanitizer_finish_switch_fiber(NULL, &scheduler_stack, &scheduler_stack_bytes);
}
#else
static void leave_stack(void **fake_stack, const void *to, size_t bytes)
{
    (void)fake_stack;
    (void)to;
    (void)bytes;
}

static void leave_for_scheduler(struct sim_fiber *self)
{
    (void)self;
}

static void reach_stack(void *fake_stack)
{
    (void)fake_stack;
}

static void reach_first(void)
{
}
#endif

static void switch_to_scheduler(struct sim_fiber *self)
{
    leave_for_scheduler(self);
    swapcontext(&self->context, &scheduler);
    reach_stack(self->fake_stack);
}

static void switch_to(struct sim_fiber *fiber)
{
    void *fake_stack = NULL;
    running = fiber;
    leave_stack(&fake_stack, fiber->stack, STACK_BYTES);
    swapcontext(&scheduler, &fiber->context);
    reach_stack(fake_stack);
    running = NULL;
}

static void begin_fiber(void)
{
    reach_first();
    running->run(running->owner);
    sim_abandon_self();
}

static void leave(struct sim_fiber *self)
{
    if (self->locks != 0 || urcu_bp_read_ongoing())
        sim_fail("locks", "%s waits while it holds a lock or reads L1", self->name);
    switch_to_scheduler(self);
}

/* -- fibers -------------------------------------------------------------------------------- */

static void make_ready(struct sim_fiber *fiber)
{
    fiber->state = READY;
    fiber->ready_at = ++line;
}

struct sim_fiber *sim_spawn(struct sim_process *process, const char *name, void (*run)(void *owner),
                            void *owner)
{
    struct sim_fiber *fiber = sim_alloc(sizeof *fiber);
    fiber->process = process;
    fiber->name = name;
    fiber->run = run;
    fiber->owner = owner;
    fiber->stack = stack_new();
    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = fiber->stack;
    fiber->context.uc_stack.ss_size = STACK_BYTES;
    fiber->context.uc_link = NULL;
    makecontext(&fiber->context, begin_fiber, 0);
    make_ready(fiber);
    fiber->next = fibers;
    fibers = fiber;
    return fiber;
}

struct sim_fiber *sim_self(void)
{
    return running;
}

struct sim_process *sim_here(void)
{
    return running != NULL ? running->process : NULL;
}

bool sim_fiber_has_ended(const struct sim_fiber *fiber)
{
    return fiber->state == ENDED;
}

const char *sim_fiber_name(const struct sim_fiber *fiber)
{
    return fiber->name;
}

void sim_set_op(struct sim_op *op)
{
    running->op = op;
}

struct sim_op *sim_op_here(void)
{
    return running != NULL ? running->op : NULL;
}

void sim_count_locks(int more)
{
    if (running == NULL)
        return;
    running->locks += more;
    if (running->locks > LOCKS_MAX)
        sim_fail("locks", "%s takes a lock while it holds others", running->name);
}

static void end_fiber(struct sim_fiber *fiber)
{
    fiber->state = ENDED;
    fiber->place = NULL;
}

_Noreturn void sim_abandon_self(void)
{
    end_fiber(running);
    switch_to_scheduler(running);
    abort();
}

void sim_abandon_fibers(const struct sim_process *process)
{
    for (struct sim_fiber *fiber = fibers; fiber != NULL; fiber = fiber->next)
        if (fiber->process == process)
            end_fiber(fiber);
}

/* Takes the ended ones out of the list. */
static void bury(void)
{
    struct sim_fiber **link = &fibers;
    while (*link != NULL) {
        struct sim_fiber *fiber = *link;
        if (fiber->state != ENDED || fiber->stack == NULL) {
            link = &fiber->next;
            continue;
        }
        *link = fiber->next;
        stack_free(fiber->stack);
        fiber->stack = NULL;
    }
}

void sim_fibers_forget(void)
{
    for (struct sim_fiber *fiber = fibers; fiber != NULL; fiber = fiber->next)
        if (fiber->stack != NULL)
            stack_free(fiber->stack);
    fibers = NULL;
    line = 0;
    steps = 0;
}

/* -- waiting ------------------------------------------------------------------------------- */

void sim_yield_point(void)
{
    struct sim_fiber *self = running;
    if (self == NULL || self->until_preempt == 0 || self->locks != 0 || urcu_bp_read_ongoing())
        return;
    if (--self->until_preempt > 0)
        return;
    sim_tally.preemptions++;
    make_ready(self);
    leave(self);
}

bool sim_wait(const void *place, uint32_t bits, uint64_t until_us)
{
    struct sim_fiber *self = running;
    self->state = WAITING;
    self->place = place;
    self->bits = bits;
    self->until_us = until_us;
    self->was_woken = false;
    leave(self);
    return self->was_woken;
}

void sim_wake(const void *place, uint32_t bits, bool all)
{
    struct sim_fiber *first = NULL;
    for (struct sim_fiber *fiber = fibers; fiber != NULL; fiber = fiber->next) {
        if (fiber->state != WAITING || fiber->place != place || (fiber->bits & bits) == 0)
            continue;
        if (all) {
            fiber->was_woken = true;
            make_ready(fiber);
        } else if (first == NULL || fiber->ready_at < first->ready_at) {
            first = fiber;
        }
    }
    if (first != NULL) {
        first->was_woken = true;
        make_ready(first);
    }
}

void sim_sleep_until(uint64_t at_us)
{
    (void)sim_wait(NULL, 0, at_us);
}

/* -- the scheduler ------------------------------------------------------------------------- */

static bool can_run(const struct sim_fiber *fiber)
{
    return fiber->state == READY && !sim_process_is_stopped(fiber->process);
}

/* Who runs: the one that has waited longest, or by decision another. */
static struct sim_fiber *choose(void)
{
    enum { AMONG_MAX = 12 };
    struct sim_fiber *ready[AMONG_MAX];
    uint32_t count = 0;
    for (struct sim_fiber *fiber = fibers; fiber != NULL; fiber = fiber->next) {
        if (!can_run(fiber))
            continue;
        uint32_t at = count < AMONG_MAX ? count++ : AMONG_MAX - 1;
        while (at > 0 && ready[at - 1]->ready_at > fiber->ready_at) {
            ready[at] = ready[at - 1];
            at--;
        }
        ready[at] = fiber;
    }
    return count > 0 ? ready[sim_pick(SIM_FIBER, count, 400)] : NULL;
}

static uint64_t wake_time(const struct sim_fiber *fiber)
{
    uint64_t at = SIM_NEVER;
    if (fiber->state == WAITING)
        at = fiber->until_us;
    else if (fiber->state == READY)
        at = sim.now_us;
    if (fiber->process != NULL && at < fiber->process->stopped_until_us)
        at = fiber->process->stopped_until_us;
    return at;
}

static void wake_the_late(void)
{
    for (struct sim_fiber *fiber = fibers; fiber != NULL; fiber = fiber->next)
        if (fiber->state == WAITING && fiber->until_us <= sim.now_us)
            make_ready(fiber);
}

/* Nobody can run: moves time on to the next moment at which somebody can.  False: there is none. */
static bool move_time(uint64_t until_us)
{
    uint64_t at = SIM_NEVER;
    for (const struct sim_fiber *fiber = fibers; fiber != NULL; fiber = fiber->next) {
        const uint64_t one = wake_time(fiber);
        at = one < at ? one : at;
    }
    if (sim.is_searched && sim_run_any_message(at < until_us ? at : until_us))
        return true;
    const uint64_t event = sim_next_event_us();
    at = event < at ? event : at;
    at = until_us < at ? until_us : at;
    if (at == SIM_NEVER)
        return false;
    if (at > sim.now_us)
        sim.now_us = at;
    wake_the_late();
    return true;
}

static void resume(struct sim_fiber *fiber)
{
    fiber->until_preempt = sim_pick(SIM_PREEMPT, PREEMPT_WITHIN, 300);
    sim.now_us += 1; /* nothing is free, and a loop that polls must not stop time */
    switch_to(fiber);
    if (fiber->state == ENDED)
        bury();
}

void sim_run(bool (*done)(void *owner), void *owner, uint64_t until_us)
{
    while (!sim.has_failed && sim.now_us < until_us && (done == NULL || !done(owner))) {
        sim_tally.steps++;
        if (++steps > STEPS_MAX) {
            sim_tell_fibers();
            sim_fail("5 progress", "the world does not come to rest");
            return;
        }
        if (!sim.is_searched)
            sim_run_events();
        struct sim_fiber *fiber = choose();
        if (fiber != NULL)
            resume(fiber);
        else if (!move_time(until_us))
            return;
        if (sim.is_searched)
            wake_the_late();
        bury();
    }
}

void sim_tell_fibers(void)
{
    for (const struct sim_fiber *fiber = fibers; fiber != NULL; fiber = fiber->next)
        if (fiber->state != ENDED)
            sim_tell("  %s %s %s", fiber->process != NULL ? fiber->process->name : "world",
                     fiber->name, fiber->state == READY ? "is ready" : "waits");
}
