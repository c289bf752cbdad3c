/*
 * fake_bus.c -- driver/bus.h over the simulated network: notices, and the late answers of puts.
 *
 * Owns:     a queue and a delivering fiber for each subscription, as the NATS library has.
 * Must not know: what notices say.
 * Threads:  fibers of the process.
 * Fails:    notices are lost, late, doubled and overtaken, as core NATS may.
 * Begin at: t3_bus_publish().
 */
#include "fake_bus.h"
#include "base/alloc.h"
#include "base/fail.h"
#include "base/thread.h"
#include "codec/notice.h"
#include "driver/bus.h"
#include "fake_kv.h"
#include "fake_nats.h"
#include "fiber.h"
#include "judge.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct letter {
    struct letter *next;
    struct t3_bus *bus;
    char payload[256]; /* a notice */
    size_t len;
    bool is_answer;
    uint64_t ticket;
    bool has_ack;
    struct t3_kv_ack ack;
};

struct queue {
    struct letter *first;
    struct letter *last;
};

struct t3_bus {
    struct t3_bus *next;
    struct sim_process *process;
    struct t3_bus_sink sink;
    struct queue messages;
    struct queue answers;
    bool is_closed;
    uint32_t delivering; /* fibers that still run */
};

static struct t3_bus *all;

void sim_bus_begin(void)
{
    all = NULL;
}

/* -- delivering ---------------------------------------------------------------------------- */

static void put_in(struct queue *queue, struct letter *letter)
{
    letter->next = NULL;
    if (queue->last != NULL)
        queue->last->next = letter;
    else
        queue->first = letter;
    queue->last = letter;
    sim_wake(queue, 1, true);
}

static struct letter *take_out(struct t3_bus *bus, struct queue *queue)
{
    while (queue->first == NULL && !bus->is_closed)
        (void)sim_wait(queue, 1, SIM_NEVER);
    struct letter *letter = bus->is_closed ? NULL : queue->first;
    if (letter != NULL) {
        queue->first = letter->next;
        if (queue->first == NULL)
            queue->last = NULL;
    }
    return letter;
}

static void deliver_messages(void *owner)
{
    struct t3_bus *bus = owner;
    for (struct letter *letter; (letter = take_out(bus, &bus->messages)) != NULL;) {
        sim_tell("hears %.*s", (int)letter->len, letter->payload);
        bus->sink.message(bus->sink.owner, tears_str_n(letter->payload, letter->len));
    }
    bus->delivering--;
}

static void deliver_answers(void *owner)
{
    struct t3_bus *bus = owner;
    for (struct letter *letter; (letter = take_out(bus, &bus->answers)) != NULL;)
        bus->sink.answer(bus->sink.owner, letter->ticket, letter->has_ack ? &letter->ack : NULL);
    bus->delivering--;
}

static void on_letter(void *owner)
{
    struct letter *letter = owner;
    struct t3_bus *bus = letter->bus;
    if (!bus->is_closed)
        put_in(letter->is_answer ? &bus->answers : &bus->messages, letter);
}

/* -- beginning and end --------------------------------------------------------------------- */

tears_status t3_bus_new(struct t3_nats *nats, const char *subject, const struct t3_bus_sink *sink,
                        struct t3_bus **bus_out, struct tears_error *error_out)
{
    struct t3_bus *bus = sim_alloc(sizeof *bus);
    (void)subject;
    (void)error_out;
    bus->process = nats->process;
    bus->sink = *sink;
    bus->delivering = 2;
    bus->next = all;
    all = bus;
    (void)sim_spawn(bus->process, "notices", deliver_messages, bus);
    (void)sim_spawn(bus->process, "answers", deliver_answers, bus);
    *bus_out = bus;
    return TEARS_OK;
}

void t3_bus_free(struct t3_bus *bus)
{
    if (bus == NULL)
        return;
    bus->is_closed = true;
    sim_wake(&bus->messages, 1, true);
    sim_wake(&bus->answers, 1, true);
    while (bus->delivering > 0)
        t3_pause_us(100);
}

/* -- notices ------------------------------------------------------------------------------- */

struct published {
    struct sim_process *from;
    char payload[256];
    size_t len;
};

static void give_letter(struct t3_bus *bus, struct tears_str payload)
{
    struct letter *letter = sim_alloc(sizeof *letter);
    letter->bus = bus;
    letter->len = payload.len;
    memcpy(letter->payload, payload.ptr, payload.len);
    uint64_t late_us = 0;
    if (sim_fault(SIM_NOTICE_DROPPED)) {
        sim_tally.notices_dropped++;
        return;
    }
    if (sim_fault(SIM_NOTICE_LATE)) {
        sim_tally.notices_late++;
        late_us = 400000;
    }
    sim_send_astray(bus->process, late_us, on_letter, letter);
    if (sim_fault(SIM_NOTICE_DOUBLED)) {
        sim_tally.notices_doubled++;
        struct letter *again = sim_alloc(sizeof *again);
        *again = *letter;
        sim_send_astray(bus->process, 3000, on_letter, again);
    }
}

void sim_bus_deliver(const struct sim_process *from, struct tears_str payload)
{
    for (struct t3_bus *bus = all; bus != NULL; bus = bus->next)
        if (bus->process != from && !bus->process->is_dead && !bus->is_closed)
            give_letter(bus, payload);
}

static void on_published(void *owner)
{
    const struct published *published = owner;
    sim_bus_deliver(published->from, tears_str_n(published->payload, published->len));
}

tears_status t3_bus_publish(struct t3_bus *bus, const char *subject, struct tears_str payload)
{
    sim_yield_point();
    if (!bus->process->is_connected)
        return TEARS_UNAVAILABLE;
    if (strcmp(subject, T3_NOTICE_SUBJECT) != 0)
        return TEARS_OK; /* a dead letter: nobody here reads them */
    sim_judge_notice(payload);
    struct published *published = sim_alloc(sizeof *published);
    T3_ASSERT(payload.len < sizeof published->payload);
    published->from = bus->process;
    published->len = payload.len;
    memcpy(published->payload, payload.ptr, payload.len);
    sim_send_up(bus->process, SIM_LINK_PROMPT, on_published, published);
    return TEARS_OK;
}

/* -- answers ------------------------------------------------------------------------------- */

void t3_bus_reply_to(const struct t3_bus *bus, uint64_t ticket, char reply_to[T3_BUS_REPLY_BYTES])
{
    (void)bus;
    snprintf(reply_to, T3_BUS_REPLY_BYTES, "%" PRIx64, ticket);
}

/* Arrives on the prompt connection's link; the subscription has its own queue. */
void sim_bus_answer(struct sim_process *process, const char *reply_to, const struct sim_put *put)
{
    for (struct t3_bus *bus = all; bus != NULL; bus = bus->next) {
        if (bus->process != process || bus->is_closed)
            continue;
        struct letter *letter = sim_alloc(sizeof *letter);
        letter->bus = bus;
        letter->is_answer = true;
        letter->ticket = strtoull(reply_to, NULL, 16);
        letter->has_ack = put->outcome != T3_KV_ABSENT;
        letter->ack.revision = put->revision;
        if (put->outcome == T3_KV_RACED)
            letter->ack.error = T3_JS_WRONG_REVISION;
        else if (put->outcome == T3_KV_REFUSED)
            letter->ack.error = put->code;
        on_letter(letter);
    }
}
