/*
 * world.c -- time, events, processes, memory of one simulated world.
 *
 * Owns:     the time line and the world's memory.
 * Must not know: what processes do or what messages say.
 * Threads:  one.
 * Fails:    by ending the program when memory is gone.
 * Begin at: sim_world_begin(), sim_run_events().
 */
#include "world.h"

#include "fiber.h"
#include "seams.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sim_world sim;
struct sim_tally sim_tally;

struct sim_event {
    struct sim_event *next;
    uint64_t at_us;
    bool is_message;
    const void *line;
    sim_event_fn fn;
    void *owner;
};

/* -- memory -------------------------------------------------------------------------------- */

enum { CHUNK_BYTES = 1 << 18 };

struct chunk {
    struct chunk *next;
    size_t used;
    _Alignas(16) char bytes[CHUNK_BYTES];
};

static struct chunk *chunks; /* of all worlds; used again */
static struct chunk *chunk;  /* being filled */

static struct chunk *chunk_new(void)
{
    struct chunk *made = malloc(sizeof *made);
    if (made == NULL) {
        fputs("sim: out of memory\n", stderr);
        exit(2);
    }
    made->used = 0;
    made->next = NULL;
    return made;
}

void *sim_alloc(size_t bytes)
{
    const size_t rounded = (bytes + 15) & ~(size_t)15;
    if (rounded > CHUNK_BYTES) {
        fputs("sim: too large a piece of memory\n", stderr);
        exit(2);
    }
    if (chunks == NULL)
        chunk = chunks = chunk_new();
    if (chunk->used + rounded > CHUNK_BYTES) {
        if (chunk->next == NULL)
            chunk->next = chunk_new();
        chunk = chunk->next;
    }
    void *memory = chunk->bytes + chunk->used;
    chunk->used += rounded;
    memset(memory, 0, rounded);
    return memory;
}

static void forget_memory(void)
{
    for (struct chunk *one = chunks; one != NULL; one = one->next)
        one->used = 0;
    chunk = chunks;
}

/* -- beginning and end --------------------------------------------------------------------- */

void sim_world_begin(bool is_told)
{
    memset(&sim, 0, sizeof sim);
    sim.now_us = SIM_DAWN_US;
    sim.is_told = is_told;
    sim_tally.runs++;
}

void sim_world_end(void)
{
    sim_fibers_forget();
    for (uint32_t i = 0; i < sim.process_count; i++)
        sim_memory_drop(sim.processes[i]);
    sim.process_count = 0;
    sim.events = NULL;
    forget_memory();
}

/* -- events -------------------------------------------------------------------------------- */

static struct sim_event *add_event(uint64_t at_us, sim_event_fn fn, void *owner)
{
    struct sim_event *event = sim_alloc(sizeof *event);
    event->at_us = at_us > sim.now_us ? at_us : sim.now_us;
    event->fn = fn;
    event->owner = owner;
    struct sim_event **link = &sim.events;
    while (*link != NULL && (*link)->at_us <= event->at_us)
        link = &(*link)->next;
    event->next = *link;
    *link = event;
    sim.event_count++;
    return event;
}

void sim_at(uint64_t at_us, sim_event_fn fn, void *owner)
{
    (void)add_event(at_us, fn, owner);
}

void sim_message_at(uint64_t at_us, const void *line, sim_event_fn fn, void *owner)
{
    struct sim_event *event = add_event(at_us, fn, owner);
    event->is_message = true;
    event->line = line;
    sim_tally.messages++;
}

uint64_t sim_next_event_us(void)
{
    return sim.events != NULL ? sim.events->at_us : SIM_NEVER;
}

void sim_run_events(void)
{
    while (sim.events != NULL && sim.events->at_us <= sim.now_us && !sim.has_failed) {
        struct sim_event *event = sim.events;
        sim.events = event->next;
        event->fn(event->owner);
    }
}

/* Whether a message of the same line is in front. */
static bool has_to_wait(const struct sim_event *event)
{
    for (const struct sim_event *other = sim.events; event->line != NULL && other != event;
         other = other->next)
        if (other->line == event->line)
            return true;
    return false;
}

/*
 * Messages that are under way at once may overtake each other.  An event that is none (the end of a fault, the beat of
 * a server) keeps its time, and none after it is taken before it.
 */
bool sim_run_any_message(uint64_t limit_us)
{
    enum { AT_ONCE_MAX = 6 };
    struct sim_event **links[AT_ONCE_MAX];
    uint32_t count = 0;
    for (struct sim_event **link = &sim.events; *link != NULL && count < AT_ONCE_MAX;
         link = &(*link)->next) {
        if ((*link)->at_us > limit_us || !(*link)->is_message)
            break;
        if (!has_to_wait(*link))
            links[count++] = link;
    }
    if (count == 0 && (sim.events == NULL || sim.events->at_us > limit_us))
        return false;
    struct sim_event **link = count > 0 ? links[sim_pick(SIM_ORDER, count, 0)] : &sim.events;
    struct sim_event *event = *link;
    *link = event->next;
    if (event->at_us > sim.now_us)
        sim.now_us = event->at_us;
    event->fn(event->owner);
    return true;
}

/* -- latency ------------------------------------------------------------------------------- */

uint64_t sim_latency_us(uint64_t usual_us)
{
    /* the last ones are longer than anybody waits for an answer */
    static const uint32_t times[] = {1, 2, 3, 5, 10, 30, 100, 400, 1500, 6000};
    const uint32_t count = sim.is_calm ? 4 : sizeof times / sizeof times[0];
    uint32_t which = sim_pick(SIM_DELAY, count, 350);
    if (which > 5 && sim_happens(SIM_DELAY, 600)) /* the longest are rarer */
        which -= 4;
    return usual_us * times[which];
}

/* -- processes ----------------------------------------------------------------------------- */

/* Clocks of machines that were started at other times, by people who set them differently. */
static int64_t skew(uint64_t most_us)
{
    return (int64_t)(sim_noise() % (2 * most_us + 1)) - (int64_t)most_us;
}

struct sim_process *sim_process_new(uint32_t host, uint32_t life)
{
    if (sim.process_count == SIM_PROCESSES_MAX)
        return NULL;
    struct sim_process *process = sim_alloc(sizeof *process);
    if (life == 1)
        snprintf(process->name, sizeof process->name, "%c", (int)('A' + host));
    else
        snprintf(process->name, sizeof process->name, "%c%u", (int)('A' + host), life % 1000);
    process->host = host;
    process->life = life;
    process->is_connected = true;
    process->monotonic_skew_us = skew(SIM_DAWN_US / 2);
    process->calendar_skew_us = skew(UINT64_C(600000000));
    sim.processes[sim.process_count++] = process;
    return process;
}

void sim_process_kill(struct sim_process *process)
{
    sim_tell("%s dies", process->name);
    process->is_dead = true;
    process->is_connected = false;
    sim_abandon_fibers(process);
    sim_memory_drop(process);
}

bool sim_process_is_stopped(const struct sim_process *process)
{
    return process != NULL && process->stopped_until_us > sim.now_us;
}

/* -- what is said -------------------------------------------------------------------------- */

void sim_tell(const char *format, ...)
{
    if (!sim.is_told)
        return;
    const struct sim_process *here = sim_here();
    const uint64_t since = sim.now_us - SIM_DAWN_US;
    printf("%7" PRIu64 ".%03u ms  %-4s ", since / 1000, (unsigned)(since % 1000),
           here != NULL ? here->name : "");
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

void sim_fail(const char *invariant, const char *format, ...)
{
    if (sim.has_failed)
        return;
    sim.has_failed = true;
    const int len = snprintf(sim.failure, sizeof sim.failure, "%s: ", invariant);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sim.failure + len, sizeof sim.failure - (size_t)len, format, arguments);
    va_end(arguments);
    sim_tell("VIOLATION %s", sim.failure);
}
