/*
 * test_kv_follow_track.c -- what a follower believes, decided without a server: every state, every kind of trouble.
 *
 * The tests drive the tracker as kv_follow.c does: they hand in what happens and look at the task it wants next.
 */
#include "driver/kv_follow_track.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define EPOCH_A "000000000000000a"
#define EPOCH_B "000000000000000b"

enum { PROBE_MS = 1000, HEARTBEAT_MS = 1000, WAIT_MS = 500, START_MS = 100000 };

struct fixture {
    struct t3_track track;
    uint64_t now_ms;
    uint64_t random; /* what the next random number is, modulo its limit */
    size_t events, currents, doubts, losses;
    uint64_t revision;
    uint64_t as_of_ms;
    uint64_t since_ms;
    char epoch[32];
    char why[128];
};

static void on_event(void *owner, const struct t3_follow_event *event)
{
    struct fixture *f = owner;
    f->events++;
    f->revision = event->revision;
}

static void on_current(void *owner, uint64_t as_of_ms, uint64_t revision)
{
    struct fixture *f = owner;
    f->currents++;
    f->as_of_ms = as_of_ms;
    f->revision = revision;
}

static void on_doubt(void *owner, const char *why)
{
    struct fixture *f = owner;
    f->doubts++;
    snprintf(f->why, sizeof f->why, "%s", why);
}

static void on_lost(void *owner, uint64_t since_ms, const char *epoch, const char *why)
{
    struct fixture *f = owner;
    f->losses++;
    f->since_ms = since_ms;
    snprintf(f->epoch, sizeof f->epoch, "%s", epoch);
    snprintf(f->why, sizeof f->why, "%s", why);
}

static uint64_t random_below(void *owner, uint64_t limit)
{
    const struct fixture *f = owner;
    return limit == 0 ? 0 : f->random % limit;
}

/* -- steps --------------------------------------------------------------------------------- */

static void start(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    f->now_ms = START_MS;
    const struct t3_track_options options = {
        .probe_ms = PROBE_MS,
        .heartbeat_ms = HEARTBEAT_MS,
        .wait_ms = WAIT_MS,
        .random = random_below,
        .random_owner = f,
        .sink = {on_event, on_current, on_doubt, on_lost, f},
    };
    t3_track_init(&f->track, &options, f->now_ms);
}

/* The next task, which has to be this one; time passes as far as needed, and is listened to. */
static struct t3_track_task expect(struct fixture *f, enum t3_track_step step)
{
    for (int i = 0; i < 1000; i++) {
        const struct t3_track_task task = t3_track_next(&f->track, f->now_ms);
        if (task.step != T3_TRACK_WAIT) {
            if (task.step != step)
                fail_msg("task %d instead of %d (%s)", (int)task.step, (int)step, f->why);
            return task;
        }
        assert_in_range(task.wait_ms, 1, T3_TRACK_STEP_MS);
        f->now_ms += task.wait_ms;
    }
    fail_msg("task %d never comes (%s)", (int)step, f->why);
    return (struct t3_track_task){0};
}

/* Time passes; nothing but waiting may be wanted meanwhile. */
static void idle(struct fixture *f, uint64_t ms)
{
    const uint64_t end_ms = f->now_ms + ms;
    while (f->now_ms < end_ms) {
        assert_int_equal(t3_track_next(&f->track, f->now_ms).step, T3_TRACK_WAIT);
        f->now_ms += end_ms - f->now_ms < 50 ? end_ms - f->now_ms : 50;
    }
}

static void answer_identity(struct fixture *f, const char *epoch, uint64_t revision)
{
    const struct t3_track_task task = expect(f, T3_TRACK_ASK_IDENTITY);
    t3_track_identity(&f->track, f->now_ms, task.ticket, tears_str_c(epoch), revision);
}

static void answer_stream(struct fixture *f, uint64_t last_sequence)
{
    const struct t3_track_task task = expect(f, T3_TRACK_ASK_STREAM);
    const struct t3_track_stream stream = {.last_sequence = last_sequence};
    t3_track_stream(&f->track, f->now_ms, task.ticket, &stream);
}

/* Gives the consumer's name. */
static uint64_t answer_consumer(struct fixture *f, uint64_t sequence)
{
    const struct t3_track_task task = expect(f, T3_TRACK_OPEN_CONSUMER);
    assert_int_equal(task.sequence, sequence);
    t3_track_done(&f->track, f->now_ms, task.ticket);
    return task.ticket;
}

static void probe(struct fixture *f, uint64_t last_sequence, const char *epoch)
{
    answer_stream(f, last_sequence);
    answer_identity(f, epoch, 1);
}

static void message(struct fixture *f, uint64_t consumer, uint64_t number, uint64_t revision)
{
    const struct t3_follow_event event = {.key = TEARS_STR("notes.1"), .revision = revision};
    t3_track_message(&f->track, f->now_ms, consumer, number, &event);
}

static void heartbeat(struct fixture *f, uint64_t consumer, uint64_t number, uint64_t revision)
{
    t3_track_heartbeat(&f->track, f->now_ms, consumer, number, revision);
}

/* Follows a bucket of identity A whose last sequence is `last`, and has a proof. */
static uint64_t follow(struct fixture *f, uint64_t last)
{
    start(f);
    t3_track_connected(&f->track, f->now_ms);
    answer_identity(f, EPOCH_A, 1);
    answer_stream(f, last);
    const uint64_t consumer = answer_consumer(f, last + 1);
    probe(f, last, EPOCH_A);
    assert_int_equal(f->currents, 1);
    return consumer;
}

/* After trouble: closes the consumer and opens another one behind what was given out. */
static uint64_t reopen(struct fixture *f, uint64_t last, uint64_t sequence)
{
    expect(f, T3_TRACK_CLOSE_CONSUMER);
    answer_identity(f, EPOCH_A, 1);
    answer_stream(f, last);
    return answer_consumer(f, sequence);
}

/* -- the ordinary course ------------------------------------------------------------------- */

static void test_the_beginning_is_a_loss_and_then_a_proof(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    idle(&f, 5000); /* not connected */
    t3_track_connected(&f.track, f.now_ms);
    answer_identity(&f, EPOCH_A, 1);
    assert_int_equal(f.losses, 0);
    const uint64_t answered_ms = f.now_ms;
    answer_stream(&f, 40);
    assert_int_equal(f.losses, 1);
    assert_string_equal(f.epoch, EPOCH_A);
    assert_true(f.since_ms >
                answered_ms); /* not when it was asked: what came in between may be below 40 */
    answer_consumer(&f, 41);
    assert_int_equal(f.currents, 0);
    const uint64_t asked_ms = f.now_ms;
    const struct t3_track_task task = expect(&f, T3_TRACK_ASK_STREAM);
    f.now_ms += 77;
    t3_track_stream(&f.track, f.now_ms, task.ticket,
                    &(struct t3_track_stream){.last_sequence = 40});
    answer_identity(&f, EPOCH_A, 1);
    assert_int_equal(f.currents, 1);
    assert_int_equal(f.as_of_ms, asked_ms); /* when it was asked, however late the answer */
    assert_int_equal(f.revision, 40);
    assert_int_equal(f.doubts, 0);
}

static void test_a_missing_identity_is_made_and_read_again(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    t3_track_connected(&f.track, f.now_ms);
    answer_identity(&f, "", 0);
    struct t3_track_task task = expect(&f, T3_TRACK_MAKE_IDENTITY);
    assert_int_equal(task.revision, 0);
    t3_track_done(&f.track, f.now_ms, task.ticket);
    answer_identity(&f, "nonsense", 9); /* somebody was faster, with nonsense */
    task = expect(&f, T3_TRACK_MAKE_IDENTITY);
    assert_int_equal(task.revision, 9);
    t3_track_done(&f.track, f.now_ms, task.ticket);
    answer_identity(&f, EPOCH_B, 10);
    answer_stream(&f, 10);
    assert_string_equal(f.epoch, EPOCH_B);
}

static void test_a_bucket_that_eats_identities_is_left_alone_for_a_while(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    t3_track_connected(&f.track, f.now_ms);
    for (int i = 0; i < T3_TRACK_IDENTITIES_MAX; i++) {
        answer_identity(&f, "", 0);
        const struct t3_track_task task = expect(&f, T3_TRACK_MAKE_IDENTITY);
        t3_track_done(&f.track, f.now_ms, task.ticket);
    }
    answer_identity(&f, "", 0);
    assert_int_equal(f.track.state, T3_TRACK_PAUSED);
}

static void test_a_missing_bucket_is_made(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    t3_track_connected(&f.track, f.now_ms);
    struct t3_track_task task = expect(&f, T3_TRACK_ASK_IDENTITY);
    t3_track_failed(&f.track, f.now_ms, task.ticket, T3_TRACK_NO_BUCKET, "gone");
    task = expect(&f, T3_TRACK_MAKE_BUCKET);
    t3_track_done(&f.track, f.now_ms, task.ticket);
    answer_identity(&f, EPOCH_A, 1);
    answer_stream(&f, 1);
    task = expect(&f, T3_TRACK_OPEN_CONSUMER);
    t3_track_failed(&f.track, f.now_ms, task.ticket, T3_TRACK_NO_BUCKET, "gone");
    expect(&f, T3_TRACK_CLOSE_CONSUMER);
    task = expect(&f, T3_TRACK_MAKE_BUCKET);
    t3_track_failed(&f.track, f.now_ms, task.ticket, T3_TRACK_NO_ANSWER, "cannot");
    answer_identity(&f, EPOCH_B, 1);
    answer_stream(&f, 1);
    assert_int_equal(f.losses, 2);
    assert_int_equal(f.doubts, 0); /* nothing was believed so far */
}

static void test_events_are_given_out_once_and_in_order(void **state)
{
    struct fixture f;
    (void)state;
    const uint64_t consumer = follow(&f, 10);
    message(&f, consumer, 1, 11);
    message(&f, consumer, 2, 15); /* 12 to 14 were superseded: no gap */
    message(&f, consumer, 2, 15);
    message(&f, consumer, 1, 11);
    message(&f, consumer + 100, 3, 16); /* of nobody's consumer */
    message(&f, 0, 3, 16);
    assert_int_equal(f.events, 2);
    assert_int_equal(f.doubts, 0);
    assert_int_equal(f.track.given, 15);
}

static void test_the_identity_is_no_event_but_makes_look(void **state)
{
    struct fixture f;
    (void)state;
    const uint64_t consumer = follow(&f, 10);
    const struct t3_follow_event event = {.key = TEARS_STR(T3_FOLLOW_IDENTITY_KEY), .revision = 11};
    t3_track_message(&f.track, f.now_ms, consumer, 1, &event);
    assert_int_equal(f.events, 0);
    assert_int_equal(t3_track_next(&f.track, f.now_ms).step, T3_TRACK_ASK_STREAM);
}

static void test_a_message_may_be_faster_than_the_answer(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    t3_track_connected(&f.track, f.now_ms);
    answer_identity(&f, EPOCH_A, 1);
    answer_stream(&f, 10);
    const struct t3_track_task task = expect(&f, T3_TRACK_OPEN_CONSUMER);
    message(&f, task.ticket, 1, 11);
    assert_int_equal(f.events, 1);
    t3_track_done(&f.track, f.now_ms, task.ticket);
    assert_int_equal(f.track.state, T3_TRACK_FOLLOWING);
    probe(&f, 11, EPOCH_A);
    assert_int_equal(f.currents, 1);
}

/* -- proofs -------------------------------------------------------------------------------- */

static void test_a_proof_waits_for_what_is_still_on_its_way(void **state)
{
    struct fixture f;
    (void)state;
    const uint64_t consumer = follow(&f, 10);
    probe(&f, 13, EPOCH_A);
    assert_int_equal(f.currents, 1);
    message(&f, consumer, 1, 11);
    message(&f, consumer, 2, 12);
    assert_int_equal(f.currents, 1);
    message(&f, consumer, 3, 13);
    assert_int_equal(f.currents, 2);
    assert_int_equal(f.revision, 13);
}

static void test_a_heartbeat_shows_that_the_rest_is_gone(void **state)
{
    struct fixture f;
    (void)state;
    const uint64_t consumer = follow(&f, 10);
    probe(&f, 13, EPOCH_A); /* 11 to 13 were purged before they were delivered */
    heartbeat(&f, consumer, 0, 12);
    assert_int_equal(f.currents, 1);
    heartbeat(&f, consumer, 0, 13);
    assert_int_equal(f.currents, 2);
    assert_int_equal(f.revision, 13);
}

/* Answers of an earlier probe would prove an earlier moment. */
static void test_late_answers_prove_nothing(void **state)
{
    struct fixture f;
    (void)state;
    (void)follow(&f, 10);
    const struct t3_track_task late = expect(&f, T3_TRACK_ASK_STREAM);
    const struct t3_track_task next = expect(&f, T3_TRACK_ASK_STREAM); /* the first was given up */
    assert_int_not_equal(late.ticket, next.ticket);
    t3_track_stream(&f.track, f.now_ms, late.ticket,
                    &(struct t3_track_stream){.last_sequence = 10});
    assert_int_equal(f.track.probe, T3_TRACK_PROBE_STREAM);
    t3_track_identity(&f.track, f.now_ms, next.ticket + 1, TEARS_STR(EPOCH_A), 1);
    assert_int_equal(f.currents, 1);
}

static void test_a_probe_without_answer_is_no_doubt_but_no_proof(void **state)
{
    struct fixture f;
    (void)state;
    const uint64_t consumer = follow(&f, 10);
    for (int i = 0; i < 5; i++) {
        expect(&f, T3_TRACK_ASK_STREAM);
        heartbeat(&f, consumer, 0, 10);
    }
    assert_int_equal(f.doubts, 0);
    assert_int_equal(f.currents, 1);
}

static void test_probes_are_spread(void **state)
{
    struct fixture f;
    (void)state;
    (void)follow(&f, 10);
    const uint64_t proven_ms = f.now_ms;
    expect(&f, T3_TRACK_ASK_STREAM);
    assert_int_equal(f.now_ms - proven_ms, PROBE_MS * 3 / 4);
    (void)follow(&f, 10);
    f.random = PROBE_MS / 2 - 1;
    probe(&f, 10, EPOCH_A);
    const uint64_t again_ms = f.now_ms;
    expect(&f, T3_TRACK_ASK_STREAM);
    assert_int_equal(f.now_ms - again_ms, PROBE_MS * 5 / 4 - 1);
}

/* -- traps --------------------------------------------------------------------------------- */

static void trap_06_messages_dropped_at_random_are_never_passed_over(void **state)
{
    enum { LAST = 2000 };
    struct fixture f;
    (void)state;
    uint64_t consumer = follow(&f, 10);
    uint64_t number = 0;
    uint64_t seed = 7;
    size_t drops = 0;
    for (uint64_t revision = 11; revision <= LAST; revision++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        number++;
        if (seed >> 60 == 0) {
            drops++;
            continue; /* the network ate it */
        }
        const uint64_t given = f.track.given;
        message(&f, consumer, number, revision);
        if (f.track.state == T3_TRACK_FOLLOWING)
            continue;
        assert_int_equal(f.track.given, given);
        consumer = reopen(&f, revision, given + 1);
        number = 0;
        revision = given; /* the server sends again from there */
    }
    assert_true(drops > 50);
    if (f.track.given < LAST) /* the very last one was among them */
        heartbeat(&f, consumer, number, LAST);
    assert_int_equal(f.losses, 1);
    assert_true(f.track.given == LAST || f.track.state == T3_TRACK_PAUSED);
}

static void trap_06_a_gap_is_doubt_and_nothing_is_given_out_behind_it(void **state)
{
    struct fixture f;
    (void)state;
    uint64_t consumer = follow(&f, 10);
    message(&f, consumer, 1, 11);
    message(&f, consumer, 3, 13);
    assert_int_equal(f.events, 1);
    assert_int_equal(f.doubts, 1);
    message(&f, consumer, 2, 12); /* too late: that consumer is done with */
    assert_int_equal(f.events, 1);
    consumer = reopen(&f, 13, 12);
    message(&f, consumer, 1, 12);
    message(&f, consumer, 2, 13);
    assert_int_equal(f.events, 3);
    assert_int_equal(f.currents, 1);
    probe(&f, 13, EPOCH_A);
    assert_int_equal(f.currents, 2);
    assert_int_equal(f.losses, 1);
}

static void trap_07_the_last_message_lost_then_silence(void **state)
{
    struct fixture f;
    (void)state;
    uint64_t consumer = follow(&f, 10);
    message(&f, consumer, 1, 11);
    /* message 2, revision 12, is lost; nobody ever writes again */
    heartbeat(&f, consumer, 2, 12);
    assert_int_equal(f.doubts, 1);
    assert_int_equal(f.track.given, 11);
    consumer = reopen(&f, 12, 12);
    message(&f, consumer, 1, 12);
    assert_int_equal(f.events, 2);
}

/* The same, and the heartbeats are lost too: the probe alone must not believe. */
static void trap_07_the_last_message_lost_and_no_heartbeat_either(void **state)
{
    struct fixture f;
    (void)state;
    const uint64_t consumer = follow(&f, 10);
    (void)consumer;
    probe(&f, 11, EPOCH_A);
    expect(&f, T3_TRACK_CLOSE_CONSUMER); /* after two and a half heartbeats of silence */
    assert_int_equal(f.currents, 1);
    assert_int_equal(f.doubts, 1);
    assert_string_equal(f.why, "no heartbeat came");
}

static void trap_08_a_late_joiner_loses_nothing(void **state)
{
    struct fixture f;
    (void)state;
    const uint64_t consumer = follow(&f, 1000000); /* starts behind what is there, not at 0 */
    message(&f, consumer, 1, 1000001);
    assert_int_equal(f.doubts, 0);
    assert_int_equal(f.losses, 1);
    assert_int_equal(f.events, 1);
}

static void trap_08_reordered_messages_are_doubt_and_never_a_loss(void **state)
{
    struct fixture f;
    (void)state;
    uint64_t consumer = follow(&f, 10);
    message(&f, consumer, 2, 12);
    message(&f, consumer, 1, 11);
    assert_int_equal(f.events, 0);
    consumer = reopen(&f, 12, 11);
    message(&f, consumer, 1, 11);
    message(&f, consumer, 2, 12);
    heartbeat(&f, consumer, 1, 11); /* an old one */
    probe(&f, 12, EPOCH_A);
    assert_int_equal(f.events, 2);
    assert_int_equal(f.currents, 2);
    assert_int_equal(f.losses, 1);
}

static void trap_09_a_wiped_bucket_whose_sequences_passed_the_old_ones(void **state)
{
    struct fixture f;
    (void)state;
    const uint64_t consumer = follow(&f, 10);
    message(&f, consumer, 1, 11);
    probe(&f, 500, EPOCH_B); /* only the identity tells */
    assert_int_equal(f.doubts, 1);
    assert_int_equal(f.currents, 1);
    expect(&f, T3_TRACK_CLOSE_CONSUMER);
    answer_identity(&f, EPOCH_B, 3);
    answer_stream(&f, 500);
    assert_int_equal(f.losses, 2);
    assert_string_equal(f.epoch, EPOCH_B);
    answer_consumer(&f, 501);
    assert_int_equal(f.currents, 1); /* nothing is proven yet */
}

/* Wiped between two questions of the same round. */
static void trap_09_a_bucket_wiped_while_it_was_looked_at(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    t3_track_connected(&f.track, f.now_ms);
    answer_identity(&f, EPOCH_A, 1);
    answer_stream(&f, 3); /* of the new bucket: 1 to 3 will never be given out here */
    answer_consumer(&f, 4);
    probe(&f, 3, EPOCH_B);
    assert_int_equal(f.currents, 0);
    expect(&f, T3_TRACK_CLOSE_CONSUMER);
    answer_identity(&f, EPOCH_B, 1);
    answer_stream(&f, 3);
    answer_consumer(&f, 4);
    assert_int_equal(f.losses, 2);
    probe(&f, 3, EPOCH_B);
    assert_int_equal(f.currents, 1);
}

static void trap_09_an_identity_that_is_gone_is_another_bucket(void **state)
{
    struct fixture f;
    (void)state;
    (void)follow(&f, 10);
    answer_stream(&f, 10);
    answer_identity(&f, "", 0);
    assert_int_equal(f.doubts, 1);
    assert_int_equal(f.currents, 1);
}

/* A copy has the old identity: it is replaced, but not for one look's sake (a leader that is new may lag). */
static void trap_09_a_bucket_put_back_from_a_copy(void **state)
{
    struct fixture f;
    (void)state;
    (void)follow(&f, 10);
    answer_stream(&f, 7);
    assert_int_equal(f.doubts, 1);
    expect(&f, T3_TRACK_CLOSE_CONSUMER);
    for (int i = 1; i < T3_TRACK_BACK_LOOKS; i++) {
        answer_identity(&f, EPOCH_A, 2);
        answer_stream(&f, 7);
    }
    const struct t3_track_task task = expect(&f, T3_TRACK_MAKE_IDENTITY);
    assert_int_equal(task.revision, 2);
    assert_int_equal(f.losses, 1);
    t3_track_done(&f.track, f.now_ms, task.ticket);
    answer_identity(&f, EPOCH_B, 8);
    answer_stream(&f, 8);
    assert_int_equal(f.losses, 2);
    assert_string_equal(f.why, "the bucket was put back from an older copy");
    answer_consumer(&f, 9);
}

static void test_a_leader_that_catches_up_is_no_loss(void **state)
{
    struct fixture f;
    (void)state;
    (void)follow(&f, 10);
    answer_stream(&f, 7);
    (void)reopen(&f, 12, 11);
    probe(&f, 10, EPOCH_A);
    assert_int_equal(f.losses, 1);
    assert_int_equal(f.currents, 2);
}

static void test_a_sequence_that_goes_back_within_a_consumer(void **state)
{
    struct fixture f;
    (void)state;
    const uint64_t consumer = follow(&f, 10);
    message(&f, consumer, 1, 10);
    assert_int_equal(f.events, 0);
    assert_int_equal(f.doubts, 1);
}

/* -- away ---------------------------------------------------------------------------------- */

static void test_a_lost_connection_is_doubt_and_resumed_behind_the_last_event(void **state)
{
    struct fixture f;
    (void)state;
    uint64_t consumer = follow(&f, 10);
    message(&f, consumer, 1, 11);
    t3_track_disconnected(&f.track, f.now_ms, "lost");
    assert_int_equal(f.doubts, 1);
    t3_track_disconnected(&f.track, f.now_ms, "lost");
    assert_int_equal(f.doubts, 1);
    expect(&f, T3_TRACK_CLOSE_CONSUMER);
    idle(&f, 60000);
    t3_track_connected(&f.track, f.now_ms);
    answer_identity(&f, EPOCH_A, 1);
    answer_stream(&f, 20);
    consumer = answer_consumer(&f, 12);
    probe(&f, 20, EPOCH_A);
    message(&f, consumer, 1, 20);
    assert_int_equal(f.currents, 2);
    assert_int_equal(f.losses, 1);
}

/* Many processes lose the same server at the same moment. */
static void trap_14_a_reconnect_waits_for_a_random_moment(void **state)
{
    struct fixture f;
    (void)state;
    (void)follow(&f, 10);
    t3_track_disconnected(&f.track, f.now_ms, "lost");
    expect(&f, T3_TRACK_CLOSE_CONSUMER);
    f.random = T3_TRACK_PAUSE_MS - 1;
    t3_track_connected(&f.track, f.now_ms);
    const uint64_t connected_ms = f.now_ms;
    expect(&f, T3_TRACK_ASK_IDENTITY);
    assert_int_equal(f.now_ms - connected_ms, T3_TRACK_PAUSE_MS - 1);
}

static void trap_14_a_refused_consumer_is_asked_for_less_and_less(void **state)
{
    struct fixture f;
    uint64_t last_ms = 0;
    (void)state;
    start(&f);
    f.random = 0;
    t3_track_connected(&f.track, f.now_ms);
    for (int i = 0; i < 10; i++) {
        answer_identity(&f, EPOCH_A, 1);
        last_ms = f.now_ms;
        answer_stream(&f, 10);
        const struct t3_track_task task = expect(&f, T3_TRACK_OPEN_CONSUMER);
        t3_track_failed(&f.track, f.now_ms, task.ticket, T3_TRACK_NO_ANSWER, "refused");
        expect(&f, T3_TRACK_CLOSE_CONSUMER);
    }
    expect(&f, T3_TRACK_ASK_IDENTITY);
    assert_int_equal(f.now_ms - last_ms, T3_TRACK_PAUSE_MS_MAX / 2);
    assert_int_equal(f.currents, 0);
    assert_int_equal(f.losses, 1);
}

static void test_wake_ends_pauses_and_hastens_probes(void **state)
{
    struct fixture f;
    (void)state;
    (void)follow(&f, 10);
    t3_track_wake(&f.track, f.now_ms);
    assert_int_equal(t3_track_next(&f.track, f.now_ms).step, T3_TRACK_ASK_STREAM);
    t3_track_trouble(&f.track, f.now_ms, "dropped");
    f.track.failures = 20;
    t3_track_disconnected(&f.track, f.now_ms, "x");
    t3_track_wake(&f.track, f.now_ms);
    assert_int_equal(f.track.state, T3_TRACK_AWAY);
}

static void test_dropped_messages_are_doubt(void **state)
{
    struct fixture f;
    (void)state;
    (void)follow(&f, 10);
    t3_track_trouble(&f.track, f.now_ms, "dropped");
    assert_int_equal(f.doubts, 1);
    assert_string_equal(f.why, "dropped");
    (void)reopen(&f, 10, 11);
}

/* -- a process that was stopped ------------------------------------------------------------- */

static void test_a_stopped_process_does_not_call_the_server_silent(void **state)
{
    struct fixture f;
    (void)state;
    const uint64_t consumer = follow(&f, 10);
    f.now_ms += 3600000;
    /* it looks at once: what was proven is an hour old */
    assert_int_equal(t3_track_next(&f.track, f.now_ms).step, T3_TRACK_ASK_STREAM);
    heartbeat(&f, consumer, 0, 10); /* from an hour ago, out of the socket */
    assert_int_equal(f.doubts, 0);
    assert_int_equal(f.currents, 1); /* and it proves nothing about now */
}

static void test_a_probe_answered_after_a_stop_proves_the_time_before(void **state)
{
    struct fixture f;
    (void)state;
    (void)follow(&f, 10);
    const struct t3_track_task task = expect(&f, T3_TRACK_ASK_STREAM);
    const uint64_t asked_ms = f.now_ms;
    f.now_ms += 3600000;
    t3_track_stream(&f.track, f.now_ms, task.ticket,
                    &(struct t3_track_stream){.last_sequence = 10});
    answer_identity(&f, EPOCH_A, 1);
    assert_int_equal(f.currents, 2);
    assert_int_equal(f.as_of_ms, asked_ms);
}

/* -- buckets that forget ------------------------------------------------------------------- */

static void test_a_bucket_that_forgets_by_age_while_nobody_listened(void **state)
{
    struct fixture f;
    const struct t3_track_stream stream = {.last_sequence = 10, .max_age_ms = 10000};
    (void)state;
    (void)follow(&f, 10);
    struct t3_track_task task = expect(&f, T3_TRACK_ASK_STREAM);
    t3_track_stream(&f.track, f.now_ms, task.ticket, &stream);
    answer_identity(&f, EPOCH_A, 1);
    assert_int_equal(f.currents, 2);
    t3_track_disconnected(&f.track, f.now_ms, "lost");
    expect(&f, T3_TRACK_CLOSE_CONSUMER);
    idle(&f, 4000);
    t3_track_connected(&f.track, f.now_ms);
    answer_identity(&f, EPOCH_A, 1);
    task = expect(&f, T3_TRACK_ASK_STREAM);
    t3_track_stream(&f.track, f.now_ms, task.ticket, &stream);
    assert_int_equal(f.losses, 1); /* less than half of its age: nothing can have gone */
    t3_track_disconnected(&f.track, f.now_ms, "lost");
    idle(&f, 2000);
    t3_track_connected(&f.track, f.now_ms);
    answer_identity(&f, EPOCH_A, 1);
    task = expect(&f, T3_TRACK_ASK_STREAM);
    t3_track_stream(&f.track, f.now_ms, task.ticket, &stream);
    assert_int_equal(f.losses, 2);
    answer_consumer(&f, 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_beginning_is_a_loss_and_then_a_proof),
        cmocka_unit_test(test_a_missing_identity_is_made_and_read_again),
        cmocka_unit_test(test_a_bucket_that_eats_identities_is_left_alone_for_a_while),
        cmocka_unit_test(test_a_missing_bucket_is_made),
        cmocka_unit_test(test_events_are_given_out_once_and_in_order),
        cmocka_unit_test(test_the_identity_is_no_event_but_makes_look),
        cmocka_unit_test(test_a_message_may_be_faster_than_the_answer),
        cmocka_unit_test(test_a_proof_waits_for_what_is_still_on_its_way),
        cmocka_unit_test(test_a_heartbeat_shows_that_the_rest_is_gone),
        cmocka_unit_test(test_late_answers_prove_nothing),
        cmocka_unit_test(test_a_probe_without_answer_is_no_doubt_but_no_proof),
        cmocka_unit_test(test_probes_are_spread),
        cmocka_unit_test(trap_06_messages_dropped_at_random_are_never_passed_over),
        cmocka_unit_test(trap_06_a_gap_is_doubt_and_nothing_is_given_out_behind_it),
        cmocka_unit_test(trap_07_the_last_message_lost_then_silence),
        cmocka_unit_test(trap_07_the_last_message_lost_and_no_heartbeat_either),
        cmocka_unit_test(trap_08_a_late_joiner_loses_nothing),
        cmocka_unit_test(trap_08_reordered_messages_are_doubt_and_never_a_loss),
        cmocka_unit_test(trap_09_a_wiped_bucket_whose_sequences_passed_the_old_ones),
        cmocka_unit_test(trap_09_a_bucket_wiped_while_it_was_looked_at),
        cmocka_unit_test(trap_09_an_identity_that_is_gone_is_another_bucket),
        cmocka_unit_test(trap_09_a_bucket_put_back_from_a_copy),
        cmocka_unit_test(test_a_leader_that_catches_up_is_no_loss),
        cmocka_unit_test(test_a_sequence_that_goes_back_within_a_consumer),
        cmocka_unit_test(test_a_lost_connection_is_doubt_and_resumed_behind_the_last_event),
        cmocka_unit_test(trap_14_a_reconnect_waits_for_a_random_moment),
        cmocka_unit_test(trap_14_a_refused_consumer_is_asked_for_less_and_less),
        cmocka_unit_test(test_wake_ends_pauses_and_hastens_probes),
        cmocka_unit_test(test_dropped_messages_are_doubt),
        cmocka_unit_test(test_a_stopped_process_does_not_call_the_server_silent),
        cmocka_unit_test(test_a_probe_answered_after_a_stop_proves_the_time_before),
        cmocka_unit_test(test_a_bucket_that_forgets_by_age_while_nobody_listened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
