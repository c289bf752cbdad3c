/*
 * kv_follow_track.h -- decides what a follower of a stream does and believes; without I/O, clock or thread.
 *
 *      connection, answers, messages, heartbeats  --inputs-->  tracker  --tasks-->  ask, make, open, close, wait
 *                                                                 |
 *                                                                 +--sink-->  event, current, doubt, lost
 *
 * Whoever drives it (kv_follow.c, or a simulator) repeats: hand in what happened, then carry out what t3_track_next
 * says until that is WAIT.  Each asking task has a ticket that comes back with its answer; an answer with another ticket is late and
 * ignored, an answer that does not come is given up after wait_ms.  A consumer is named by the ticket of the task that opened it.
 *
 * One round of following:
 *
 *      AWAY -> PAUSED -> IDENTITY -> STREAM -> OPENING -> FOLLOWING: probe, probe, probe, ...
 *                           |  ^                              |
 *                        MAKING, BUCKET          any trouble: doubt, back to PAUSED
 *
 * The order of the questions is what makes a wiped bucket harmless.  Opening asks for the identity, then for the last
 * sequence, then opens the consumer; a probe asks for the last sequence, then for the identity.  A bucket that was replaced
 * anywhere in between therefore shows another identity to the next probe, and nothing is proven before that.
 *
 * What is proven: a consumer numbers its messages without gaps, so when `consumer_sequence` is continuous all messages behind
 * its start were given out.  A probe is complete when everything up to the sequence it was told has been given out, either
 * because the message itself has come or because a heartbeat says that the consumer is past it (it was purged or
 * superseded).  Then all that was in the bucket when the probe was *sent* is known, however late its answers came.
 *
 * Silence counts only while this side listened: a process that was stopped finds the heartbeats in its socket, and one that
 * calls t3_track_next less often than every T3_TRACK_STEP_MS is taken to have been stopped in between.
 */
#ifndef T3_DRIVER_KV_FOLLOW_TRACK_H
#define T3_DRIVER_KV_FOLLOW_TRACK_H

#include "driver/kv_follow.h"

#include <stdatomic.h>

enum {
    T3_TRACK_STEP_MS = 100,  /* the longest WAIT */
    T3_TRACK_SLEEP_MS = 250, /* more than this between two calls: this side was not listening */
    T3_TRACK_PAUSE_MS = 200, /* the longest pause before a new consumer after one failure */
    T3_TRACK_PAUSE_MS_MAX = 5000, /* and after many */
    T3_TRACK_BACK_LOOKS = 3,      /* a new leader may not have applied all it has: look again */
    T3_TRACK_IDENTITIES_MAX = 3,  /* made in one round: then something keeps eating them */
    T3_TRACK_CLOCK_STEP_MS = 10   /* how far t3_now_coarse_ms may lag behind */
};

struct t3_track_options {
    uint64_t probe_ms;
    uint64_t heartbeat_ms;
    uint64_t wait_ms;                                /* for an answer */
    uint64_t (*random)(void *owner, uint64_t limit); /* below `limit`; 0 when that is 0 */
    void *random_owner;
    struct t3_follow_sink sink;
};

enum t3_track_step {
    T3_TRACK_WAIT,          /* at most `wait_ms`, less when something happens */
    T3_TRACK_ASK_IDENTITY,  /* answer: t3_track_identity */
    T3_TRACK_MAKE_IDENTITY, /* put a new one over `revision` (0: nothing there); then, or when somebody was faster: t3_track_done */
    T3_TRACK_MAKE_BUCKET,   /* then: t3_track_done */
    T3_TRACK_ASK_STREAM,    /* answer: t3_track_stream */
    T3_TRACK_OPEN_CONSUMER, /* from `sequence` on; then: t3_track_done.  Its name is `ticket` */
    T3_TRACK_CLOSE_CONSUMER /* nobody waits for that */
};

struct t3_track_task {
    enum t3_track_step step;
    uint64_t ticket;
    uint64_t revision;
    uint64_t sequence;
    uint64_t wait_ms;
};

/* What the stream says of itself. */
struct t3_track_stream {
    uint64_t last_sequence;
    uint64_t max_age_ms; /* 0: it forgets nothing by age */
};

enum t3_track_failure {
    T3_TRACK_NO_ANSWER, /* or one that makes no sense, or a refusal: try again later */
    T3_TRACK_NO_BUCKET
};

enum t3_track_state {
    T3_TRACK_AWAY,     /* not connected */
    T3_TRACK_PAUSED,   /* until `due_ms` */
    T3_TRACK_IDENTITY, /* asks whose bucket it is */
    T3_TRACK_MAKING,   /* makes the identity */
    T3_TRACK_BUCKET,   /* makes the bucket */
    T3_TRACK_STREAM,   /* asks how far the stream is */
    T3_TRACK_OPENING,  /* opens a consumer */
    T3_TRACK_FOLLOWING,
    T3_TRACK_STATES
};

enum t3_track_probe {
    T3_TRACK_NO_PROBE, /* the next one at `due_ms` */
    T3_TRACK_PROBE_STREAM,
    T3_TRACK_PROBE_IDENTITY,
    T3_TRACK_PROBE_REACHING /* until everything up to `target` has been given out */
};

/* Its members are the tracker's own; a driver may read `state` and the counters. */
struct t3_track {
    struct t3_track_options options;
    enum t3_track_state state;
    enum t3_track_probe probe;
    /* Two clocks: the real one, and one that stands still while nobody listens. */
    uint64_t now_ms;
    uint64_t listened_ms;
    uint64_t due_ms;     /* on the second clock: end of a pause, time of the next probe */
    uint64_t overdue_ms; /* on the second clock: when what was asked is given up */
    uint64_t quiet_ms;   /* on the second clock: when the consumer was last heard */
    uint64_t tickets;    /* handed out so far */
    uint64_t ticket;     /* of what is asked; 0: nothing is */
    uint64_t failures;   /* since the last proof */
    bool is_closing;     /* a consumer is to be closed */
    bool is_trusted;     /* `current` was the last thing said */
    bool was_connected;
    /* What has been given out. */
    char identity[T3_KV_EPOCH_BYTES + 1]; /* whose sequences `given` is about; "" none so far */
    uint64_t given;                       /* everything up to here */
    uint64_t consumer;                    /* 0: none */
    uint64_t consumer_sequence;
    uint64_t proof_ms; /* real clock: the last moment that was covered */
    uint64_t max_age_ms;
    /* The round, or the probe, under way. */
    char candidate[T3_KV_EPOCH_BYTES + 1];
    uint64_t candidate_revision;
    uint64_t identities_made;
    uint64_t back_looks;
    uint64_t asked_ms; /* real clock */
    uint64_t given_when_asked;
    uint64_t target;
    const char *bad_news; /* why the next loss is one */
    char why[128];
    /* One writer; read by anybody. */
    struct {
        _Atomic uint64_t events, gaps, losses, probes, consumers;
    } count;
};

void t3_track_init(struct t3_track *track, const struct t3_track_options *options, uint64_t now_ms);

/* What is to be done now.  To be called again at once until it is WAIT. */
struct t3_track_task t3_track_next(struct t3_track *track, uint64_t now_ms);

/* -- inputs; all at `now_ms` of t3_now_coarse_ms ----------------------------------------------- */

void t3_track_connected(struct t3_track *track, uint64_t now_ms);
void t3_track_disconnected(struct t3_track *track, uint64_t now_ms, const char *why);

/* Something seems to be different: look now. */
void t3_track_wake(struct t3_track *track, uint64_t now_ms);

/* The consumer cannot be relied upon any more, for instance because the subscription dropped messages. */
void t3_track_trouble(struct t3_track *track, uint64_t now_ms, const char *why);

/* Answers.  `revision` 0: there is no identity entry. */
void t3_track_identity(struct t3_track *track, uint64_t now_ms, uint64_t ticket,
                       struct tears_str text, uint64_t revision);
void t3_track_stream(struct t3_track *track, uint64_t now_ms, uint64_t ticket,
                     const struct t3_track_stream *stream);
void t3_track_done(struct t3_track *track, uint64_t now_ms, uint64_t ticket);
void t3_track_failed(struct t3_track *track, uint64_t now_ms, uint64_t ticket,
                     enum t3_track_failure failure, const char *why);

/* A message of a consumer's, the `consumer_sequence`-th; gives it out when it is the next one. */
void t3_track_message(struct t3_track *track, uint64_t now_ms, uint64_t consumer,
                      uint64_t consumer_sequence, const struct t3_follow_event *event);

/* "So many messages of mine, and I am at that sequence of the stream." */
void t3_track_heartbeat(struct t3_track *track, uint64_t now_ms, uint64_t consumer,
                        uint64_t consumer_sequence, uint64_t stream_sequence);

#endif
