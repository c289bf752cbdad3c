/*
 * fake_follow.c -- driver/kv_follow.h over the simulated stream: the real decisions, simulated messages.
 *
 * Owns:     the followers, and the server's consumers.
 * Must not know: what is decided; that is driver/kv_follow_track.c.
 * Threads:  one fiber for each follower, as the driver has one thread.
 * Fails:    messages and heartbeats are lost, late, or come when nobody listens.
 * Begin at: follow().
 */
#include "fake_follow.h"

#include "base/fail.h"
#include "base/jitter.h"
#include "base/thread.h"
#include "driver/kv_follow_track.h"
#include "fake_kv.h"
#include "fake_nats.h"
#include "fiber.h"
#include "seams.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { HEARTBEAT_MS = 1000, IDENTITY_BYTES = 16 };

/* The server's: pushes what is in the stream from a sequence on. */
struct consumer {
    struct consumer *next;
    struct t3_follow *follow;
    uint64_t name;
    uint64_t delivered;     /* messages so far */
    uint64_t last_sequence; /* of the stream, seen */
    uint64_t pushed_us;
    bool is_gone;
};

enum news_kind { NEWS_IDENTITY, NEWS_STREAM, NEWS_DONE, NEWS_FAILED, NEWS_MESSAGE, NEWS_BEAT };

/* An answer or a message, waiting for the follower's fiber. */
struct news {
    struct news *next;
    struct t3_follow *follow;
    enum news_kind kind;
    enum t3_track_step asked;
    uint64_t ticket;
    uint64_t sequence; /* asked: where to begin; what to replace */
    struct t3_track_stream stream;
    struct sim_message message;
    uint64_t consumer;
    uint64_t consumer_sequence;
    uint64_t stream_sequence;
};

struct t3_follow {
    struct t3_follow *next;
    struct sim_process *process;
    struct t3_track track;
    struct t3_follow_options options;
    struct news *first;
    struct news *last;
    uint64_t losses;
    bool is_stopping;
    bool has_ended;
    bool is_woken;
    bool was_current;
};

static struct t3_follow *all;
static struct consumer *consumers;

void sim_follow_begin(void)
{
    all = NULL;
    consumers = NULL;
}

/* -- the server's side --------------------------------------------------------------------- */

static void take_news(void *owner)
{
    struct news *news = owner;
    struct t3_follow *follow = news->follow;
    if (follow->has_ended)
        return;
    news->next = NULL;
    if (follow->last != NULL)
        follow->last->next = news;
    else
        follow->first = news;
    follow->last = news;
    sim_wake(follow, 1, true);
}

static void push(struct consumer *consumer, const struct sim_message *message)
{
    struct news *news = sim_alloc(sizeof *news);
    news->follow = consumer->follow;
    news->kind = NEWS_MESSAGE;
    news->message = *message;
    news->consumer = consumer->name;
    news->consumer_sequence = ++consumer->delivered;
    news->stream_sequence = message->revision;
    consumer->last_sequence = message->revision;
    consumer->pushed_us = sim.now_us;
    if (sim_fault(SIM_FEED_DROPPED))
        sim_tally.feed_drops++;
    else
        sim_send_down(consumer->follow->process, SIM_LINK_PROMPT, take_news, news);
}

static void beat(void *owner)
{
    struct consumer *consumer = owner;
    struct t3_follow *follow = consumer->follow;
    if (consumer->is_gone || follow->has_ended || follow->process->is_dead)
        return;
    sim_at(sim.now_us + HEARTBEAT_MS * 1000u, beat, consumer);
    if (sim.now_us - consumer->pushed_us < HEARTBEAT_MS * 1000u || sim_fault(SIM_BEAT_LOST))
        return;
    struct news *news = sim_alloc(sizeof *news);
    news->follow = follow;
    news->kind = NEWS_BEAT;
    news->consumer = consumer->name;
    news->consumer_sequence = consumer->delivered;
    news->stream_sequence = sim_stream.last;
    sim_send_down(follow->process, SIM_LINK_PROMPT, take_news, news);
}

/* What is there already comes in the order in which it was stored. */
static void push_stored(struct consumer *consumer, uint64_t from)
{
    for (;;) {
        const struct sim_message *first = NULL;
        for (uint32_t i = 0; i < sim_stream.count; i++) {
            const struct sim_message *one = &sim_stream.entries[i].now;
            if (one->revision >= from && (first == NULL || one->revision < first->revision))
                first = one;
        }
        if (first == NULL)
            return;
        push(consumer, first);
        from = first->revision + 1;
    }
}

static void open_consumer(struct t3_follow *follow, uint64_t name, uint64_t from)
{
    struct consumer *consumer = sim_alloc(sizeof *consumer);
    consumer->follow = follow;
    consumer->name = name;
    consumer->last_sequence = sim_stream.last;
    consumer->pushed_us = sim.now_us;
    consumer->next = consumers;
    consumers = consumer;
    push_stored(consumer, from);
    sim_at(sim.now_us + HEARTBEAT_MS * 1000u, beat, consumer);
}

void sim_feed_deliver(const struct sim_message *message)
{
    for (struct consumer *one = consumers; one != NULL; one = one->next)
        if (!one->is_gone && !one->follow->has_ended && !one->follow->process->is_dead)
            push(one, message);
}

void sim_feed_end_all(void)
{
    for (struct consumer *one = consumers; one != NULL; one = one->next)
        one->is_gone = true;
}

static void close_consumers(const struct t3_follow *follow)
{
    for (struct consumer *one = consumers; one != NULL; one = one->next)
        if (one->follow == follow)
            one->is_gone = true;
}

/* -- questions ----------------------------------------------------------------------------- */

static void answer_identity(struct news *news)
{
    const struct sim_message *found = sim_server_find(T3_FOLLOW_IDENTITY_KEY);
    news->kind = NEWS_IDENTITY;
    if (found != NULL)
        news->message = *found;
}

static void put_identity(struct news *news)
{
    struct sim_put *put = sim_alloc(sizeof *put);
    snprintf(put->message.key, sizeof put->message.key, "%s", T3_FOLLOW_IDENTITY_KEY);
    snprintf(put->message.value, sizeof put->message.value, "%016" PRIx64, sim_noise());
    put->message.value_len = IDENTITY_BYTES;
    put->expected = news->sequence;
    sim_server_put(put);
    sim_tell("the bucket's identity is %s", sim_server_identity());
}

static void on_question(void *owner)
{
    struct news *news = owner;
    news->kind = NEWS_DONE;
    if (news->asked == T3_TRACK_MAKE_BUCKET)
        sim_server_make();
    if (!sim_stream.exists) {
        news->kind = NEWS_FAILED;
    } else if (news->asked == T3_TRACK_ASK_IDENTITY) {
        answer_identity(news);
    } else if (news->asked == T3_TRACK_MAKE_IDENTITY) {
        put_identity(news);
    } else if (news->asked == T3_TRACK_ASK_STREAM) {
        news->kind = NEWS_STREAM;
        news->stream.last_sequence = sim_stream.last;
    } else if (news->asked == T3_TRACK_OPEN_CONSUMER) {
        open_consumer(news->follow, news->ticket, news->sequence);
    }
    sim_send_down(news->follow->process, SIM_LINK_PROMPT, take_news, news);
}

static void ask(struct t3_follow *follow, const struct t3_track_task *task)
{
    if (task->step == T3_TRACK_CLOSE_CONSUMER) {
        close_consumers(follow);
        return;
    }
    struct news *news = sim_alloc(sizeof *news);
    news->follow = follow;
    news->asked = task->step;
    news->ticket = task->ticket;
    news->sequence = task->step == T3_TRACK_MAKE_IDENTITY ? task->revision : task->sequence;
    if (sim_fault(SIM_REQUEST_LOST))
        sim_tally.requests_lost++;
    else
        sim_send_up(follow->process, SIM_LINK_PROMPT, on_question, news);
}

/* -- the follower's side ------------------------------------------------------------------- */

static void hand_in_message(struct t3_follow *follow, const struct news *news)
{
    const struct sim_message *message = &news->message;
    const struct t3_follow_event event = {
        .key = tears_str_c(message->key),
        .revision = message->revision,
        .is_marker = message->is_marker,
        .is_fill = message->is_fill,
        .has_version = message->has_version,
        .version = message->version,
        .lease_ms = message->lease_ms,
        .origin = tears_str_c(message->origin),
        .epoch = tears_str_c(message->epoch),
        .ids = tears_str_c(message->ids),
    };
    t3_track_message(&follow->track, t3_now_coarse_ms(), news->consumer, news->consumer_sequence,
                     &event);
}

static void hand_in(struct t3_follow *follow, const struct news *news)
{
    struct t3_track *track = &follow->track;
    const uint64_t now_ms = t3_now_coarse_ms();
    switch (news->kind) {
    case NEWS_IDENTITY:
        t3_track_identity(track, now_ms, news->ticket,
                          tears_str_n(news->message.value, news->message.value_len),
                          news->message.revision);
        break;
    case NEWS_STREAM:
        t3_track_stream(track, now_ms, news->ticket, &news->stream);
        break;
    case NEWS_DONE:
        t3_track_done(track, now_ms, news->ticket);
        break;
    case NEWS_FAILED:
        t3_track_failed(track, now_ms, news->ticket, T3_TRACK_NO_BUCKET, "there is no bucket");
        break;
    case NEWS_MESSAGE:
        hand_in_message(follow, news);
        break;
    case NEWS_BEAT:
        t3_track_heartbeat(track, now_ms, news->consumer, news->consumer_sequence,
                           news->stream_sequence);
        break;
    }
}

static void look_at_connection(struct t3_follow *follow)
{
    struct sim_process *process = follow->process;
    if (process->losses != follow->losses || !process->is_connected)
        t3_track_disconnected(&follow->track, t3_now_coarse_ms(), "the connection was lost");
    follow->losses = process->losses;
    if (process->is_connected)
        t3_track_connected(&follow->track, t3_now_coarse_ms());
}

static void take_all_news(struct t3_follow *follow)
{
    while (follow->first != NULL) {
        struct news *news = follow->first;
        follow->first = news->next;
        if (follow->first == NULL)
            follow->last = NULL;
        hand_in(follow, news);
    }
}

static void follow_steps(struct t3_follow *follow)
{
    for (;;) {
        const struct t3_track_task task = t3_track_next(&follow->track, t3_now_coarse_ms());
        if (task.step == T3_TRACK_WAIT) {
            if (follow->first == NULL && !follow->is_stopping)
                (void)sim_wait(follow, 1, sim.now_us + task.wait_ms * 1000);
            return;
        }
        ask(follow, &task);
    }
}

static void follow(void *owner)
{
    struct t3_follow *follow = owner;
    while (!follow->is_stopping) {
        look_at_connection(follow);
        take_all_news(follow);
        if (follow->is_woken) {
            follow->is_woken = false;
            t3_track_wake(&follow->track, t3_now_coarse_ms());
        }
        follow_steps(follow);
    }
    close_consumers(follow);
    follow->has_ended = true;
    sim_wake(&follow->has_ended, 1, true);
}

/* -- the driver's interface ---------------------------------------------------------------- */

static uint64_t random_below(void *owner, uint64_t limit)
{
    (void)owner;
    return t3_jitter(limit);
}

static void on_event(void *owner, const struct t3_follow_event *event)
{
    const struct t3_follow *follow = owner;
    follow->options.sink.event(follow->options.sink.owner, event);
}

static void on_current(void *owner, uint64_t as_of_ms, uint64_t revision)
{
    struct t3_follow *follow = owner;
    follow->options.sink.current(follow->options.sink.owner, as_of_ms, revision);
    follow->was_current = true;
    sim_wake(&follow->was_current, 1, true);
}

static void on_doubt(void *owner, const char *why)
{
    const struct t3_follow *follow = owner;
    sim_tell("doubts its feed: %s", why);
    follow->options.sink.doubt(follow->options.sink.owner, why);
}

static void on_lost(void *owner, uint64_t since_ms, const char *epoch, const char *why)
{
    const struct t3_follow *follow = owner;
    sim_tell("starts to follow bucket %s: %s", epoch, why);
    follow->process->knows_bucket = true;
    follow->options.sink.lost(follow->options.sink.owner, since_ms, epoch, why);
}

tears_status t3_follow_start(const struct t3_follow_options *options, struct t3_follow **follow_out,
                             struct tears_error *error_out)
{
    struct t3_follow *made = sim_alloc(sizeof *made);
    (void)error_out;
    made->process = sim_here();
    made->options = *options;
    const struct t3_track_options track = {
        .probe_ms = options->probe_ms != 0 ? options->probe_ms : 1000,
        .heartbeat_ms = HEARTBEAT_MS,
        .wait_ms = options->wait_ms,
        .random = random_below,
        .sink = {.event = on_event,
                 .current = on_current,
                 .doubt = on_doubt,
                 .lost = on_lost,
                 .owner = made},
    };
    t3_track_init(&made->track, &track, t3_now_coarse_ms());
    made->losses = made->process->losses;
    made->next = all;
    all = made;
    (void)sim_spawn(made->process, "follower", follow, made);
    *follow_out = made;
    return TEARS_OK;
}

void t3_follow_free(struct t3_follow *one)
{
    if (one == NULL)
        return;
    one->is_stopping = true;
    sim_wake(one, 1, true);
    while (!one->has_ended)
        (void)sim_wait(&one->has_ended, 1, SIM_NEVER);
}

void t3_follow_wake(struct t3_follow *one)
{
    one->is_woken = true;
    sim_wake(one, 1, true);
}

bool t3_follow_wait_current(struct t3_follow *one, struct t3_deadline deadline)
{
    while (!one->was_current && !t3_deadline_passed(deadline))
        (void)sim_wait(&one->was_current, 1, sim_world_us(one->process, deadline.at_us));
    return one->was_current;
}

void t3_follow_stats(struct t3_follow *one, struct t3_follow_stats *stats_out)
{
    stats_out->events = one->track.count.events;
    stats_out->gaps = one->track.count.gaps;
    stats_out->losses = one->track.count.losses;
    stats_out->probes = one->track.count.probes;
    stats_out->consumers = one->track.count.consumers;
}
