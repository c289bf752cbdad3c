/*
 * net.c -- messages between processes and the server: latency, order, cuts, disconnections, deaths.
 *
 * Owns:     the messages that wait at a cut.
 * Must not know: what messages say.
 * Threads:  one.
 * Fails:    as networks do, when the decisions say so.
 * Begin at: sim_send_up().
 *
 * A cut is noticed after a while, or is over before that.  TCP keeps what was sent meanwhile: it arrives late when the
 * cut ends unnoticed, and never when the connection was given up.
 */
#include "net.h"

#include "fiber.h"

struct sim_profile sim_profile;
void (*sim_on_death)(uint32_t host);

enum { HOP_US = 100 };

static const char *const fault_names[SIM_FAULT_KINDS] = {
    [SIM_NOTICE_DROPPED] = "a notice is lost",
    [SIM_NOTICE_DOUBLED] = "a notice comes twice",
    [SIM_NOTICE_LATE] = "a notice is late",
    [SIM_REQUEST_LOST] = "a request to L2 is lost",
    [SIM_ACK_LOST] = "an answer of L2 is lost",
    [SIM_PUT_REFUSED] = "L2 refuses a put",
    [SIM_STALE_ANSWER] = "a follower of L2 answers",
    [SIM_FEED_DROPPED] = "a message of the stream is lost",
    [SIM_BEAT_LOST] = "a heartbeat of the stream is lost",
    [SIM_STORE_ERROR] = "L3 fails",
    [SIM_STORE_SILENCE] = "L3 writes and says it failed",
    [SIM_STORE_LATE] = "L3 writes after its caller has given up",
    [SIM_CRASH] = "a process is to die",
};

bool sim_fault(enum sim_fault_kind kind)
{
    if (sim.is_calm || sim_profile.left == 0 || sim_profile.per_mille[kind] == 0)
        return false;
    if (!sim_happens(SIM_FAULT, sim_profile.per_mille[kind]))
        return false;
    sim_profile.left--;
    sim_tell("FAULT: %s", fault_names[kind]);
    return true;
}

/* -- messages ------------------------------------------------------------------------------ */

struct sim_held {
    struct sim_held *next;
    struct sim_process *process;
    bool is_up;
    uint64_t losses; /* of the connection when it was sent */
    sim_event_fn fn;
    void *owner;
};

static void arrive(void *owner)
{
    struct sim_held *message = owner;
    struct sim_process *process = message->process;
    if (process->is_dead && !message->is_up)
        return;
    if (message->losses != process->losses)
        return;
    if (process->is_cut) {
        struct sim_held **link = &process->held;
        while (*link != NULL)
            link = &(*link)->next;
        message->next = NULL;
        *link = message;
        return;
    }
    if (!process->is_dead && sim_fault(SIM_CRASH))
        sim_crash(process);
    message->fn(message->owner);
}

static struct sim_held *message_new(struct sim_process *process, bool is_up, sim_event_fn fn,
                                    void *owner)
{
    struct sim_held *message = sim_alloc(sizeof *message);
    message->process = process;
    message->is_up = is_up;
    message->losses = process->losses;
    message->fn = fn;
    message->owner = owner;
    return message;
}

static void send_in_line(struct sim_held *message, uint64_t *last_us)
{
    uint64_t at = sim.now_us + sim_latency_us(HOP_US);
    if (at <= *last_us)
        at = *last_us + 1;
    *last_us = at;
    sim_message_at(at, last_us, arrive, message);
}

void sim_send_up(struct sim_process *process, enum sim_link_name link, sim_event_fn fn, void *owner)
{
    if (process->is_connected)
        send_in_line(message_new(process, true, fn, owner), &process->links[link].up_last_us);
}

void sim_send_down(struct sim_process *process, enum sim_link_name link, sim_event_fn fn,
                   void *owner)
{
    if (process->is_connected && !process->is_dead)
        send_in_line(message_new(process, false, fn, owner), &process->links[link].down_last_us);
}

void sim_send_astray(struct sim_process *process, uint64_t late_us, sim_event_fn fn, void *owner)
{
    if (process->is_connected && !process->is_dead)
        sim_message_at(sim.now_us + sim_latency_us(HOP_US) + late_us, NULL, arrive,
                       message_new(process, false, fn, owner));
}

/* -- connections --------------------------------------------------------------------------- */

static void connect_again(void *owner)
{
    struct sim_process *process = owner;
    if (process->is_dead || process->is_connected)
        return;
    sim_tell("%s is connected again", process->name);
    process->is_cut = false;
    process->is_connected = true;
    sim_nats_connected(process);
}

static void disconnect(struct sim_process *process, uint64_t again_us)
{
    if (process->is_dead || !process->is_connected)
        return;
    sim_tell("%s has lost its connection", process->name);
    sim_tally.disconnects++;
    process->is_connected = false;
    process->losses++;
    process->held = NULL;
    sim_kv_lost(process);
    sim_nats_lost(process);
    sim_at(again_us + 1000 + sim_noise() % 50000, connect_again, process);
}

struct cut {
    struct sim_process *process;
    uint64_t until_us;
    uint64_t losses;
};

static void notice_cut(void *owner)
{
    const struct cut *cut = owner;
    if (cut->process->losses == cut->losses && cut->process->is_cut)
        disconnect(cut->process, cut->until_us);
}

static void end_cut(void *owner)
{
    const struct cut *cut = owner;
    struct sim_process *process = cut->process;
    if (process->is_dead || process->losses != cut->losses)
        return;
    sim_tell("the network of %s is whole again", process->name);
    process->is_cut = false;
    struct sim_held *message = process->held;
    process->held = NULL;
    while (message != NULL) {
        struct sim_held *next = message->next;
        arrive(message);
        message = next;
    }
}

void sim_cut(struct sim_process *process, uint64_t for_us)
{
    static const uint32_t noticed_after_ms[] = {200, 1, 1000, 5000};
    if (process->is_dead || process->is_cut || !process->is_connected)
        return;
    sim_tell("FAULT: the network of %s is cut for %llu ms", process->name,
             (unsigned long long)for_us / 1000);
    sim_tally.cuts++;
    process->is_cut = true;
    struct cut *cut = sim_alloc(sizeof *cut);
    cut->process = process;
    cut->until_us = sim.now_us + for_us;
    cut->losses = process->losses;
    sim_at(sim.now_us + 1000u * noticed_after_ms[sim_pick(SIM_FAULT, 4, 700)], notice_cut, cut);
    sim_at(cut->until_us, end_cut, cut);
}

void sim_disconnect_all(uint64_t for_us)
{
    for (uint32_t i = 0; i < sim.process_count; i++)
        disconnect(sim.processes[i], sim.now_us + for_us);
}

/* -- deaths -------------------------------------------------------------------------------- */

static void die(void *owner)
{
    struct sim_process *process = owner;
    if (process->is_dead)
        return;
    sim_tally.crashes++;
    sim_process_kill(process);
    if (sim_on_death != NULL)
        sim_on_death(process->host);
}

void sim_crash(struct sim_process *process)
{
    sim_at(sim.now_us, die, process);
}
