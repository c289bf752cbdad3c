/*
 * kv_follow_track.c -- the follower's decisions, as a state machine.
 *
 * Owns:     what has been given out, and what was proven of it.
 * Must not know: NATS, time, threads, what an event is about.
 * Threads:  one; its counters may be read by others.
 * Fails:    never: trouble is doubt, and a new consumer.
 * Begin at: t3_track_next() for what it does, t3_track_message() and complete() for what it believes.
 */
#include "driver/kv_follow_track.h"

#include "base/str.h"
#include "driver/kv_wire.h"

#include <inttypes.h>
#include <stdio.h>

/* -- states -------------------------------------------------------------------------------- */

#define TO(state) (1u << T3_TRACK_##state)

static const unsigned allowed_moves[T3_TRACK_STATES] = {
    [T3_TRACK_AWAY] = TO(PAUSED),
    [T3_TRACK_PAUSED] = TO(AWAY) | TO(PAUSED) | TO(IDENTITY),
    [T3_TRACK_IDENTITY] = TO(AWAY) | TO(PAUSED) | TO(MAKING) | TO(BUCKET) | TO(STREAM),
    [T3_TRACK_MAKING] = TO(AWAY) | TO(PAUSED) | TO(IDENTITY) | TO(BUCKET),
    [T3_TRACK_BUCKET] = TO(AWAY) | TO(PAUSED) | TO(IDENTITY),
    [T3_TRACK_STREAM] = TO(AWAY) | TO(PAUSED) | TO(MAKING) | TO(BUCKET) | TO(OPENING),
    [T3_TRACK_OPENING] = TO(AWAY) | TO(PAUSED) | TO(BUCKET) | TO(FOLLOWING),
    [T3_TRACK_FOLLOWING] = TO(AWAY) | TO(PAUSED),
};

/* No task of an earlier state is waited for. */
static void move_to(struct t3_track *track, enum t3_track_state state)
{
    T3_ASSERT((allowed_moves[track->state] & 1u << state) != 0);
    track->state = state;
    track->ticket = 0;
    track->probe = T3_TRACK_NO_PROBE;
}

/* Sane in every state: proofs need a consumer, and a consumer an identity. */
static bool is_sane(const struct t3_track *track)
{
    const bool has_consumer =
        track->state == T3_TRACK_OPENING || track->state == T3_TRACK_FOLLOWING;
    if (track->is_trusted && track->state != T3_TRACK_FOLLOWING)
        return false;
    if (track->probe != T3_TRACK_NO_PROBE && track->state != T3_TRACK_FOLLOWING)
        return false;
    if (has_consumer && track->identity[0] == '\0')
        return false;
    return has_consumer || track->consumer == 0;
}

static void count_one(_Atomic uint64_t *counter)
{
    const uint64_t old = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, old + 1, memory_order_relaxed);
}

static uint64_t random_below(const struct t3_track *track, uint64_t limit)
{
    return track->options.random(track->options.random_owner, limit);
}

/* -- time ---------------------------------------------------------------------------------- */

static void advance(struct t3_track *track, uint64_t now_ms)
{
    uint64_t passed_ms = now_ms > track->now_ms ? now_ms - track->now_ms : 0;
    track->now_ms += passed_ms;
    if (passed_ms > T3_TRACK_SLEEP_MS) {
        passed_ms = T3_TRACK_SLEEP_MS;
        if (track->state == T3_TRACK_FOLLOWING)
            track->due_ms = track->listened_ms; /* what was proven before has aged: look now */
    }
    track->listened_ms += passed_ms;
}

static uint64_t left_ms(const struct t3_track *track, uint64_t at_ms)
{
    return at_ms > track->listened_ms ? at_ms - track->listened_ms : 0;
}

static struct t3_track_task wait_until(const struct t3_track *track, uint64_t at_ms)
{
    const uint64_t left = left_ms(track, at_ms);
    const struct t3_track_task task = {
        .step = T3_TRACK_WAIT,
        .wait_ms = left < T3_TRACK_STEP_MS ? left + (left == 0) : T3_TRACK_STEP_MS,
    };
    return task;
}

/* -- trouble ------------------------------------------------------------------------------- */

static void say_doubt(struct t3_track *track, const char *why)
{
    if (!track->is_trusted)
        return;
    track->is_trusted = false;
    count_one(&track->count.gaps);
    track->options.sink.doubt(track->options.sink.owner, why);
}

static void leave_consumer(struct t3_track *track)
{
    track->is_closing = track->is_closing || track->consumer != 0;
    track->consumer = 0;
}

static uint64_t pause_ms(const struct t3_track *track)
{
    uint64_t most_ms = T3_TRACK_PAUSE_MS;
    for (uint64_t i = 1; i < track->failures && most_ms < T3_TRACK_PAUSE_MS_MAX; i++)
        most_ms *= 2;
    if (most_ms > T3_TRACK_PAUSE_MS_MAX)
        most_ms = T3_TRACK_PAUSE_MS_MAX;
    const uint64_t least_ms = track->failures > 1 ? most_ms / 2 : 0;
    return least_ms + random_below(track, most_ms - least_ms);
}

/* Ends the round; the next one begins after a pause, so that many processes do not do so at once. */
static void end_round(struct t3_track *track, const char *why)
{
    say_doubt(track, why);
    leave_consumer(track);
    track->failures++;
    move_to(track, T3_TRACK_PAUSED);
    track->due_ms = track->listened_ms + pause_ms(track);
    T3_DEBUG_ASSERT(is_sane(track));
}

void t3_track_trouble(struct t3_track *track, uint64_t now_ms, const char *why)
{
    advance(track, now_ms);
    if (track->state == T3_TRACK_OPENING || track->state == T3_TRACK_FOLLOWING)
        end_round(track, why);
}

void t3_track_disconnected(struct t3_track *track, uint64_t now_ms, const char *why)
{
    advance(track, now_ms);
    if (track->state == T3_TRACK_AWAY)
        return;
    say_doubt(track, why);
    leave_consumer(track);
    move_to(track, T3_TRACK_AWAY);
}

void t3_track_connected(struct t3_track *track, uint64_t now_ms)
{
    advance(track, now_ms);
    if (track->state != T3_TRACK_AWAY)
        return;
    move_to(track, T3_TRACK_PAUSED);
    track->due_ms = track->listened_ms;
    if (track->was_connected) /* and so were all the others */
        track->due_ms += random_below(track, T3_TRACK_PAUSE_MS);
    track->was_connected = true;
}

void t3_track_wake(struct t3_track *track, uint64_t now_ms)
{
    advance(track, now_ms);
    if (track->state == T3_TRACK_FOLLOWING && track->probe == T3_TRACK_NO_PROBE) {
        track->due_ms = track->listened_ms;
    } else if (track->state == T3_TRACK_PAUSED) {
        const uint64_t soon_ms = track->listened_ms + random_below(track, T3_TRACK_PAUSE_MS);
        if (soon_ms < track->due_ms)
            track->due_ms = soon_ms;
    }
}

/* -- proofs -------------------------------------------------------------------------------- */

/* Whether messages may have aged out of the stream before they were given out here. */
static bool has_forgotten(const struct t3_track *track)
{
    return track->max_age_ms != 0 && track->now_ms > track->proof_ms + track->max_age_ms / 2;
}

static void complete(struct t3_track *track)
{
    if (has_forgotten(track)) {
        end_round(track, "the bucket may have forgotten changes by age");
        return;
    }
    track->probe = T3_TRACK_NO_PROBE;
    track->due_ms = track->listened_ms + track->options.probe_ms * 3 / 4 +
                    random_below(track, track->options.probe_ms / 2);
    track->failures = 0;
    track->is_trusted = true;
    track->proof_ms = track->asked_ms;
    track->options.sink.current(track->options.sink.owner, track->asked_ms, track->given);
}

static void complete_if_reached(struct t3_track *track)
{
    if (track->probe == T3_TRACK_PROBE_REACHING && track->given >= track->target)
        complete(track);
}

/* -- the consumer's messages --------------------------------------------------------------- */

static void begin_following(struct t3_track *track)
{
    move_to(track, T3_TRACK_FOLLOWING);
    track->due_ms = track->listened_ms;
    track->quiet_ms = track->listened_ms;
    count_one(&track->count.consumers);
}

/* Whether it is the consumer's that is followed.  A message may be faster than the answer that it was opened. */
static bool is_heard(struct t3_track *track, uint64_t consumer)
{
    if (consumer == 0 || consumer != track->consumer)
        return false;
    if (track->state == T3_TRACK_OPENING)
        begin_following(track);
    track->quiet_ms = track->listened_ms;
    return true;
}

static void end_by_gap(struct t3_track *track, uint64_t first, uint64_t last)
{
    snprintf(track->why, sizeof track->why,
             "messages %" PRIu64 " to %" PRIu64 " of the consumer are missing", first, last);
    end_round(track, track->why);
}

void t3_track_message(struct t3_track *track, uint64_t now_ms, uint64_t consumer,
                      uint64_t consumer_sequence, const struct t3_follow_event *event)
{
    advance(track, now_ms);
    if (!is_heard(track, consumer) || consumer_sequence <= track->consumer_sequence)
        return; /* of another consumer, or given out already */
    if (consumer_sequence != track->consumer_sequence + 1) {
        end_by_gap(track, track->consumer_sequence + 1, consumer_sequence - 1);
        return;
    }
    if (event->revision <= track->given) {
        end_round(track, "the stream's sequence went back");
        return;
    }
    track->consumer_sequence = consumer_sequence;
    track->given = event->revision;
    if (t3_str_is(event->key, T3_FOLLOW_IDENTITY_KEY)) {
        track->due_ms = track->listened_ms; /* perhaps another one: look now */
    } else {
        count_one(&track->count.events);
        track->options.sink.event(track->options.sink.owner, event);
    }
    complete_if_reached(track);
}

void t3_track_heartbeat(struct t3_track *track, uint64_t now_ms, uint64_t consumer,
                        uint64_t consumer_sequence, uint64_t stream_sequence)
{
    advance(track, now_ms);
    if (!is_heard(track, consumer) || consumer_sequence < track->consumer_sequence)
        return;
    if (consumer_sequence > track->consumer_sequence) {
        end_by_gap(track, track->consumer_sequence + 1, consumer_sequence);
        return;
    }
    if (stream_sequence > track->given) /* what lies between is in the stream no more */
        track->given = stream_sequence;
    complete_if_reached(track);
}

/* -- answers ------------------------------------------------------------------------------- */

/* Whether it is the answer that is waited for. */
static bool take_answer(struct t3_track *track, uint64_t ticket)
{
    if (ticket == 0 || ticket != track->ticket)
        return false;
    track->ticket = 0;
    return true;
}

static void make_identity(struct t3_track *track, uint64_t revision)
{
    if (track->identities_made == T3_TRACK_IDENTITIES_MAX) {
        end_round(track, "the bucket does not keep its identity");
        return;
    }
    track->identities_made++;
    track->candidate_revision = revision;
    move_to(track, T3_TRACK_MAKING);
}

/* The probe's second answer. */
static void compare_identity(struct t3_track *track, struct tears_str text)
{
    if (!t3_str_is(text, track->identity)) {
        end_round(track, "the bucket's identity is another one");
        return;
    }
    track->probe = T3_TRACK_PROBE_REACHING;
    complete_if_reached(track);
}

void t3_track_identity(struct t3_track *track, uint64_t now_ms, uint64_t ticket,
                       struct tears_str text, uint64_t revision)
{
    uint64_t number = 0;
    advance(track, now_ms);
    if (!take_answer(track, ticket))
        return;
    const bool is_good = revision != 0 && t3_kv_parse_epoch(text, &number);
    if (track->state == T3_TRACK_FOLLOWING) {
        compare_identity(track, is_good ? text : tears_str_n("", 0));
    } else if (!is_good) {
        make_identity(track, revision);
    } else {
        memcpy(track->candidate, text.ptr, T3_KV_EPOCH_BYTES);
        track->candidate_revision = revision;
        move_to(track, T3_TRACK_STREAM);
    }
}

/* The probe's first answer. */
static void aim(struct t3_track *track, const struct t3_track_stream *stream)
{
    track->max_age_ms = stream->max_age_ms;
    if (stream->last_sequence < track->given_when_asked) {
        track->back_looks++;
        end_round(track, "the stream is behind what it gave out");
        return;
    }
    track->target = stream->last_sequence;
    track->probe = T3_TRACK_PROBE_IDENTITY;
}

/* What is missing is not known: everything is as at the beginning. */
static void begin_anew(struct t3_track *track, uint64_t last_sequence, const char *why)
{
    memcpy(track->identity, track->candidate, sizeof track->identity);
    track->given = last_sequence;
    track->back_looks = 0;
    /* What happened until the answer came is behind `last_sequence` or not; only what is read later is surely covered. */
    track->proof_ms = track->now_ms + T3_TRACK_CLOCK_STEP_MS;
    track->bad_news = NULL;
    count_one(&track->count.losses);
    track->options.sink.lost(track->options.sink.owner, track->proof_ms, track->identity, why);
}

/* A stream that is behind under the same identity is a copy, unless it only seems so. */
static void look_back(struct t3_track *track)
{
    track->back_looks++;
    if (track->back_looks < T3_TRACK_BACK_LOOKS) {
        end_round(track, "the stream is behind what it gave out");
        return;
    }
    track->back_looks = 0;
    track->bad_news = "the bucket was put back from an older copy";
    make_identity(track, track->candidate_revision);
}

/* Decides where the consumer starts. */
static void resume(struct t3_track *track, const struct t3_track_stream *stream)
{
    const bool is_same = strcmp(track->candidate, track->identity) == 0;
    track->max_age_ms = stream->max_age_ms;
    if (is_same && stream->last_sequence < track->given) {
        look_back(track);
        return;
    }
    track->back_looks = 0;
    if (track->identity[0] == '\0')
        begin_anew(track, stream->last_sequence, "following begins");
    else if (!is_same)
        begin_anew(track, stream->last_sequence,
                   track->bad_news != NULL ? track->bad_news : "the bucket is another one");
    else if (has_forgotten(track))
        begin_anew(track, stream->last_sequence, "the bucket may have forgotten changes by age");
    move_to(track, T3_TRACK_OPENING);
}

void t3_track_stream(struct t3_track *track, uint64_t now_ms, uint64_t ticket,
                     const struct t3_track_stream *stream)
{
    advance(track, now_ms);
    if (!take_answer(track, ticket))
        return;
    if (track->state == T3_TRACK_FOLLOWING)
        aim(track, stream);
    else
        resume(track, stream);
}

void t3_track_done(struct t3_track *track, uint64_t now_ms, uint64_t ticket)
{
    advance(track, now_ms);
    if (!take_answer(track, ticket))
        return;
    if (track->state == T3_TRACK_OPENING)
        begin_following(track);
    else
        move_to(track, T3_TRACK_IDENTITY); /* made here or by somebody faster: read it */
}

static void fail_probe(struct t3_track *track)
{
    track->ticket = 0;
    track->probe = T3_TRACK_NO_PROBE;
    track->due_ms = track->listened_ms + track->options.probe_ms / 2 +
                    random_below(track, track->options.probe_ms / 2);
}

void t3_track_failed(struct t3_track *track, uint64_t now_ms, uint64_t ticket,
                     enum t3_track_failure failure, const char *why)
{
    advance(track, now_ms);
    if (!take_answer(track, ticket))
        return;
    if (track->state == T3_TRACK_FOLLOWING && failure == T3_TRACK_NO_ANSWER) {
        fail_probe(track); /* the consumer's silence, if it is silent, says more */
    } else if (failure == T3_TRACK_NO_BUCKET && track->state != T3_TRACK_FOLLOWING &&
               track->state != T3_TRACK_BUCKET) {
        leave_consumer(track);
        move_to(track, T3_TRACK_BUCKET);
    } else {
        end_round(track, why);
    }
}

/* -- tasks --------------------------------------------------------------------------------- */

static struct t3_track_task ask(struct t3_track *track, enum t3_track_step step)
{
    track->ticket = ++track->tickets;
    track->overdue_ms = track->listened_ms + track->options.wait_ms;
    const struct t3_track_task task = {.step = step, .ticket = track->ticket};
    return task;
}

/* What each state asks for, once. */
static struct t3_track_task ask_of_state(struct t3_track *track)
{
    static const enum t3_track_step steps[T3_TRACK_STATES] = {
        [T3_TRACK_IDENTITY] = T3_TRACK_ASK_IDENTITY, [T3_TRACK_MAKING] = T3_TRACK_MAKE_IDENTITY,
        [T3_TRACK_BUCKET] = T3_TRACK_MAKE_BUCKET,    [T3_TRACK_STREAM] = T3_TRACK_ASK_STREAM,
        [T3_TRACK_OPENING] = T3_TRACK_OPEN_CONSUMER,
    };
    struct t3_track_task task = ask(track, steps[track->state]);
    task.revision = track->candidate_revision;
    if (task.step != T3_TRACK_OPEN_CONSUMER)
        return task;
    task.sequence = track->given + 1;
    track->consumer = task.ticket;
    track->consumer_sequence = 0;
    return task;
}

static bool is_overdue(const struct t3_track *track)
{
    return track->ticket != 0 && track->listened_ms >= track->overdue_ms;
}

static bool is_silent(const struct t3_track *track)
{
    return track->listened_ms - track->quiet_ms > track->options.heartbeat_ms * 5 / 2;
}

static struct t3_track_task next_probe_task(struct t3_track *track)
{
    if (track->ticket != 0)
        return wait_until(track, track->overdue_ms);
    if (track->probe == T3_TRACK_PROBE_IDENTITY)
        return ask(track, T3_TRACK_ASK_IDENTITY);
    if (track->probe == T3_TRACK_PROBE_REACHING || left_ms(track, track->due_ms) > 0)
        return wait_until(track,
                          track->probe == T3_TRACK_PROBE_REACHING ? UINT64_MAX : track->due_ms);
    track->probe = T3_TRACK_PROBE_STREAM;
    track->asked_ms = track->now_ms;
    track->given_when_asked = track->given;
    count_one(&track->count.probes);
    return ask(track, T3_TRACK_ASK_STREAM);
}

/* Gives up what took too long. */
static void look_at_clock(struct t3_track *track)
{
    if (track->state == T3_TRACK_FOLLOWING && is_silent(track))
        end_round(track, "no heartbeat came");
    else if (is_overdue(track) && track->state == T3_TRACK_FOLLOWING)
        fail_probe(track);
    else if (is_overdue(track))
        end_round(track, "no answer came");
    if (track->state == T3_TRACK_PAUSED && left_ms(track, track->due_ms) == 0) {
        track->identities_made = 0;
        move_to(track, T3_TRACK_IDENTITY);
    }
}

struct t3_track_task t3_track_next(struct t3_track *track, uint64_t now_ms)
{
    advance(track, now_ms);
    look_at_clock(track);
    T3_DEBUG_ASSERT(is_sane(track));
    if (track->is_closing) {
        const struct t3_track_task task = {.step = T3_TRACK_CLOSE_CONSUMER};
        track->is_closing = false;
        return task;
    }
    if (track->state == T3_TRACK_AWAY)
        return wait_until(track, UINT64_MAX);
    if (track->state == T3_TRACK_PAUSED)
        return wait_until(track, track->due_ms);
    if (track->state == T3_TRACK_FOLLOWING)
        return next_probe_task(track);
    return track->ticket != 0 ? wait_until(track, track->overdue_ms) : ask_of_state(track);
}

void t3_track_init(struct t3_track *track, const struct t3_track_options *options, uint64_t now_ms)
{
    memset(track, 0, sizeof *track);
    track->options = *options;
    track->now_ms = now_ms;
}
