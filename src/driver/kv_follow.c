/*
 * kv_follow.c -- the follower's thread: carries out what its tracker wants, and hands it what comes.
 *
 * Owns:     the thread, one subscription, the consumer on the server.  The connection is lent.
 * Must not know: when something is to be asked, or what to believe (kv_follow_track.c).
 * Threads:  one of its own, which makes all calls of the sink; free, wake and stats from any.
 * Fails:    only at the start; a server that is away is waited for.
 * Begin at: follow_main().
 *
 * Each consumer has a subscription of its own, to exactly the subject it delivers to: a server of 2.9 does not see other
 * interest.  With the subscription goes the interest, and the server removes a consumer that was not deleted by
 * name.  Answers have another one, for good.  One thread serves both: while nothing is asked, which is nearly always, it
 * waits for deliveries alone; while an answer is due it waits for that, in slices so short that deliveries are not held up.
 */
#include "driver/kv_follow_impl.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "base/jitter.h"

#include <tears/client.h>

#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>

static const char origin[] = "l2.follow";

enum {
    PROBE_MS = 1000,
    WAIT_MS = 500,
    BATCH = 64, /* messages that are destroyed together: each time wakes a thread of the library */
    PENDING_MESSAGES_MAX = 262144,
    PENDING_BYTES_MAX = 64 * 1024 * 1024,
    SLICE_MS = 2,    /* how long a delivery may wait for an answer */
    UNOPENED_MAX = 3 /* consumers that do not come, before that is said */
};

/* -- subscriptions ------------------------------------------------------------------------- */

/* Writes a new inbox, with `ending` behind it. */
static bool write_inbox(char inbox[FOLLOW_INBOX_BYTES], const char *ending)
{
    natsInbox *name = NULL;
    if (natsInbox_Create(&name) != NATS_OK)
        return false;
    const int len = snprintf(inbox, FOLLOW_INBOX_BYTES, "%s%s", name, ending);
    natsInbox_Destroy(name);
    return len > 0 && len < FOLLOW_INBOX_BYTES;
}

static bool subscribe(struct t3_follow *follow, const char *subject,
                      natsSubscription **subscription)
{
    natsStatus status =
        natsConnection_SubscribeSync(subscription, follow->options.nats->connection, subject);
    if (status == NATS_OK)
        status = natsSubscription_SetPendingLimits(*subscription, PENDING_MESSAGES_MAX,
                                                   PENDING_BYTES_MAX);
    if (status != NATS_OK)
        t3_nats_unsubscribe(follow->options.nats, subscription);
    return status == NATS_OK;
}

static bool subscribe_answers(struct t3_follow *follow)
{
    char subject[FOLLOW_INBOX_BYTES + 2];
    if (follow->answers != NULL)
        return true;
    if (!write_inbox(follow->inbox, "."))
        return false;
    follow->inbox_len = strlen(follow->inbox);
    snprintf(subject, sizeof subject, "%s*", follow->inbox);
    return subscribe(follow, subject, &follow->answers);
}

static bool subscribe_deliveries(struct t3_follow *follow)
{
    T3_ASSERT(follow->deliveries == NULL); /* the last consumer was closed */
    return write_inbox(follow->deliver, "") &&
           subscribe(follow, follow->deliver, &follow->deliveries);
}

/* -- tasks --------------------------------------------------------------------------------- */

static void fail_task(struct t3_follow *follow, const struct t3_track_task *task, const char *why)
{
    t3_track_failed(&follow->track, t3_now_coarse_ms(), task->ticket, T3_TRACK_NO_ANSWER, why);
}

/* Sends a request; its answer comes through the subscription. */
static void ask(struct t3_follow *follow, const struct t3_track_task *task, const char *subject,
                struct tears_str body)
{
    char reply_to[FOLLOW_INBOX_BYTES + 24];
    snprintf(reply_to, sizeof reply_to, "%s%" PRIu64, follow->inbox, task->ticket);
    follow->asked = *task;
    if (natsConnection_PublishRequest(follow->options.nats->connection, subject, reply_to, body.ptr,
                                      (int)body.len) != NATS_OK)
        fail_task(follow, task, "the connection takes no request");
}

static void ask_identity(struct t3_follow *follow, const struct t3_track_task *task)
{
    char subject[FOLLOW_SUBJECT_BYTES];
    char body[FOLLOW_SUBJECT_BYTES];
    snprintf(subject, sizeof subject, "$JS.API.STREAM.MSG.GET.KV_%s", follow->bucket);
    const int len = snprintf(body, sizeof body, "{\"last_by_subj\":\"%s%s\"}", follow->key_prefix,
                             T3_FOLLOW_IDENTITY_KEY);
    ask(follow, task, subject, tears_str_n(body, (size_t)len));
}

static void ask_stream(struct t3_follow *follow, const struct t3_track_task *task)
{
    char subject[FOLLOW_SUBJECT_BYTES];
    snprintf(subject, sizeof subject, "$JS.API.STREAM.INFO.KV_%s", follow->bucket);
    ask(follow, task, subject, tears_str_n("", 0));
}

/* False when the system has no random bytes. */
static bool write_random_identity(char text[T3_KV_EPOCH_BYTES + 1])
{
    uint64_t number = 0;
    while (number == 0)
        if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
            return false;
    snprintf(text, T3_KV_EPOCH_BYTES + 1, "%016" PRIx64, number);
    return true;
}

static void make_identity(struct t3_follow *follow, const struct t3_track_task *task)
{
    char identity[T3_KV_EPOCH_BYTES + 1] = "";
    char reply_to[FOLLOW_INBOX_BYTES + 24];
    const struct t3_kv_request request = {
        .verb = T3_KV_PUT,
        .key = T3_FOLLOW_IDENTITY_KEY,
        .value = tears_str_n(identity, T3_KV_EPOCH_BYTES),
        .expected = task->revision,
    };
    snprintf(reply_to, sizeof reply_to, "%s%" PRIu64, follow->inbox, task->ticket);
    follow->asked = *task;
    if (!write_random_identity(identity) ||
        t3_kv_send(follow->options.kv, &request, reply_to) != TEARS_OK)
        fail_task(follow, task, "the bucket's identity cannot be sent");
}

static void make_bucket(struct t3_follow *follow, const struct t3_track_task *task)
{
    struct tears_error error;
    t3_kv_forget_bucket(follow->options.kv);
    if (t3_kv_open_bucket(follow->options.kv, t3_deadline_in_ms(follow->track.options.wait_ms),
                          &error) == TEARS_OK)
        t3_track_done(&follow->track, t3_now_coarse_ms(), task->ticket);
    else
        fail_task(follow, task, error.message);
}

/* Nobody waits for the answer.  False when it could not be sent. */
static bool send_delete(struct t3_follow *follow, const char *name)
{
    char subject[FOLLOW_SUBJECT_BYTES + T3_FOLLOW_CONSUMER_BYTES];
    char reply_to[FOLLOW_INBOX_BYTES + 2];
    snprintf(subject, sizeof subject, "$JS.API.CONSUMER.DELETE.KV_%s.%s", follow->bucket, name);
    snprintf(reply_to, sizeof reply_to, "%s0", follow->inbox); /* the server wants one */
    return natsConnection_PublishRequest(follow->options.nats->connection, subject, reply_to, NULL,
                                         0) == NATS_OK;
}

static void close_consumer(struct t3_follow *follow)
{
    if (follow->consumer_name[0] != '\0' && (!t3_nats_is_connected(follow->options.nats) ||
                                             !send_delete(follow, follow->consumer_name)))
        memcpy(follow->left_behind, follow->consumer_name, sizeof follow->left_behind);
    follow->consumer_name[0] = '\0';
    follow->consumer = 0;
    t3_nats_unsubscribe(follow->options.nats, &follow->deliveries);
}

/* A refusal is answered, or (permissions) not; both look the same from here, and last. */
static void note_unopened(struct t3_follow *follow)
{
    if (++follow->unopened == UNOPENED_MAX)
        t3_log(follow->options.log, TEARS_LOG_WARN, origin,
               "bucket '%s' cannot be followed: the server gives no consumer (permissions, "
               "limits); what is cached is believed for its age only",
               follow->bucket);
}

static void open_consumer(struct t3_follow *follow, const struct t3_track_task *task)
{
    T3_AUTO(t3_buf_done) struct t3_buf body = {0};
    char subject[FOLLOW_SUBJECT_BYTES];
    snprintf(subject, sizeof subject, "$JS.API.CONSUMER.CREATE.KV_%s", follow->bucket);
    const struct t3_follow_consumer_settings settings = {
        .bucket = follow->bucket,
        .deliver = follow->deliver,
        .sequence = task->sequence,
        .heartbeat_ms = FOLLOW_HEARTBEAT_MS,
        .inactive_ms = FOLLOW_INACTIVE_MS,
    };
    if (follow->left_behind[0] != '\0' && send_delete(follow, follow->left_behind))
        follow->left_behind[0] = '\0';
    note_unopened(follow);
    follow->consumer = task->ticket;
    if (subscribe_deliveries(follow) && t3_follow_put_consumer(&settings, &body) == TEARS_OK)
        ask(follow, task, subject, t3_buf_str(&body));
    else
        fail_task(follow, task, "the connection takes no subscription");
}

static void carry_out(struct t3_follow *follow, const struct t3_track_task *task)
{
    if (task->step != T3_TRACK_CLOSE_CONSUMER && !subscribe_answers(follow)) {
        fail_task(follow, task, "the connection takes no subscription");
        return;
    }
    switch (task->step) {
    case T3_TRACK_ASK_IDENTITY:
        ask_identity(follow, task);
        break;
    case T3_TRACK_MAKE_IDENTITY:
        make_identity(follow, task);
        break;
    case T3_TRACK_MAKE_BUCKET:
        make_bucket(follow, task);
        break;
    case T3_TRACK_ASK_STREAM:
        ask_stream(follow, task);
        break;
    case T3_TRACK_OPEN_CONSUMER:
        open_consumer(follow, task);
        break;
    case T3_TRACK_CLOSE_CONSUMER:
        close_consumer(follow);
        break;
    case T3_TRACK_WAIT:
        break;
    }
}

/* -- the thread ---------------------------------------------------------------------------- */

/* What the library gives instead of a message. */
static void hear_status(struct t3_follow *follow, natsStatus status)
{
    const uint64_t now_ms = t3_now_coarse_ms();
    if (status == NATS_NO_RESPONDERS)
        t3_track_failed(&follow->track, now_ms, follow->asked.ticket, T3_TRACK_NO_ANSWER,
                        "the server has no JetStream");
    else if (status == NATS_SLOW_CONSUMER)
        t3_track_trouble(&follow->track, now_ms, "messages were dropped: the follower is too slow");
    else if (status != NATS_TIMEOUT)
        t3_track_trouble(&follow->track, now_ms, natsStatus_GetText(status));
}

/* Takes what has come, or waits for the first of it.  Gives how many that were. */
static size_t take(struct t3_follow *follow, natsSubscription *subscription, uint64_t wait_ms,
                   void (*hear)(struct t3_follow *follow, natsMsg *message))
{
    natsMsg *batch[BATCH];
    size_t count = 0;
    natsStatus status = NATS_OK;
    while (status == NATS_OK && count < BATCH) {
        status = natsSubscription_NextMsg(&batch[count], subscription,
                                          count == 0 ? (int64_t)wait_ms : 0);
        if (status == NATS_OK)
            hear(follow, batch[count++]);
    }
    for (size_t i = 0; i < count; i++)
        natsMsg_Destroy(batch[i]);
    if (status != NATS_OK)
        hear_status(follow, status);
    return count;
}

/* Takes news; at most `wait_ms` pass. */
static void take_news(struct t3_follow *follow, uint64_t wait_ms)
{
    const bool is_asking = follow->track.ticket != 0;
    size_t count = 0;
    if (follow->deliveries != NULL) {
        count = take(follow, follow->deliveries, is_asking ? 0 : wait_ms, t3_follow_hear_delivery);
        wait_ms = count > 0 ? 0 : wait_ms < SLICE_MS ? wait_ms : SLICE_MS;
    }
    if (is_asking)
        (void)take(follow, follow->answers, wait_ms, t3_follow_hear_answer);
}

static void rest(struct t3_follow *follow, uint64_t wait_ms)
{
    const struct t3_deadline deadline = t3_deadline_in_ms(wait_ms);
    t3_lock(&follow->mutex);
    if (!follow->is_ending && !atomic_load_explicit(&follow->is_woken, memory_order_relaxed))
        (void)t3_cond_wait(&follow->changed, &follow->mutex, deadline);
    t3_unlock(&follow->mutex);
}

static bool is_ending(struct t3_follow *follow)
{
    t3_lock(&follow->mutex);
    const bool ending = follow->is_ending;
    t3_unlock(&follow->mutex);
    return ending;
}

static void look_at_connection(struct t3_follow *follow)
{
    struct t3_nats *nats = follow->options.nats;
    const uint64_t losses = t3_nats_losses(nats);
    const bool is_connected = t3_nats_is_connected(nats);
    const uint64_t now_ms = t3_now_coarse_ms();
    if (losses != follow->losses || !is_connected)
        t3_track_disconnected(&follow->track, now_ms, "the connection was lost");
    follow->losses = losses;
    if (is_connected)
        t3_track_connected(&follow->track, now_ms);
    if (atomic_load_explicit(&follow->is_woken, memory_order_relaxed) &&
        atomic_exchange(&follow->is_woken, false))
        t3_track_wake(&follow->track, now_ms);
}

/* Waits for the answer, so that who ended the follower finds nothing of it on the server. */
static void delete_consumer(struct t3_follow *follow)
{
    char subject[FOLLOW_SUBJECT_BYTES + T3_FOLLOW_CONSUMER_BYTES];
    natsMsg *reply = NULL;
    if (follow->consumer_name[0] != '\0' && t3_nats_is_connected(follow->options.nats)) {
        snprintf(subject, sizeof subject, "$JS.API.CONSUMER.DELETE.KV_%s.%s", follow->bucket,
                 follow->consumer_name);
        (void)natsConnection_Request(&reply, follow->options.nats->connection, subject, NULL, 0,
                                     (int64_t)follow->track.options.wait_ms);
        natsMsg_Destroy(reply);
    }
    t3_nats_unsubscribe(follow->options.nats, &follow->deliveries);
    t3_nats_unsubscribe(follow->options.nats, &follow->answers);
}

static void *follow_main(void *owner)
{
    struct t3_follow *follow = owner;
    while (!is_ending(follow)) {
        look_at_connection(follow);
        const struct t3_track_task task = t3_track_next(&follow->track, t3_now_coarse_ms());
        if (task.step != T3_TRACK_WAIT)
            carry_out(follow, &task);
        else if (follow->deliveries != NULL || follow->track.ticket != 0)
            take_news(follow, task.wait_ms);
        else
            rest(follow, task.wait_ms);
    }
    delete_consumer(follow);
    return NULL;
}

/* -- news ---------------------------------------------------------------------------------- */

static void on_event(void *owner, const struct t3_follow_event *event)
{
    const struct t3_follow *follow = owner;
    follow->options.sink.event(follow->options.sink.owner, event);
}

static void on_current(void *owner, uint64_t as_of_ms, uint64_t revision)
{
    struct t3_follow *follow = owner;
    follow->options.sink.current(follow->options.sink.owner, as_of_ms, revision);
    if (follow->was_current) /* this thread is the only one that changes it */
        return;
    t3_lock(&follow->mutex);
    follow->was_current = true;
    t3_cond_broadcast(&follow->changed);
    t3_unlock(&follow->mutex);
}

static void on_doubt(void *owner, const char *why)
{
    const struct t3_follow *follow = owner;
    t3_log(follow->options.log, TEARS_LOG_DEBUG, origin, "bucket '%s': %s", follow->bucket, why);
    follow->options.sink.doubt(follow->options.sink.owner, why);
}

static void on_lost(void *owner, uint64_t since_ms, const char *epoch, const char *why)
{
    const struct t3_follow *follow = owner;
    t3_log(follow->options.log, TEARS_LOG_INFO, origin, "bucket '%s' (identity %s): %s",
           follow->bucket, epoch, why);
    follow->options.sink.lost(follow->options.sink.owner, since_ms, epoch, why);
}

static uint64_t random_below(void *owner, uint64_t limit)
{
    (void)owner;
    return t3_jitter(limit);
}

/* -- beginning and end --------------------------------------------------------------------- */

static void set_up(struct t3_follow *follow, const struct t3_follow_options *options)
{
    follow->options = *options;
    snprintf(follow->bucket, sizeof follow->bucket, "%s", options->bucket);
    snprintf(follow->key_prefix, sizeof follow->key_prefix, "$KV.%s.", follow->bucket);
    follow->key_prefix_len = strlen(follow->key_prefix);
    follow->losses = t3_nats_losses(options->nats);
    const struct t3_track_options track = {
        .probe_ms = options->probe_ms != 0 ? options->probe_ms : PROBE_MS,
        .heartbeat_ms = FOLLOW_HEARTBEAT_MS,
        .wait_ms = options->wait_ms != 0 ? options->wait_ms : WAIT_MS,
        .random = random_below,
        .sink = {on_event, on_current, on_doubt, on_lost, follow},
    };
    t3_track_init(&follow->track, &track, t3_now_coarse_ms());
}

tears_status t3_follow_start(const struct t3_follow_options *options, struct t3_follow **follow_out,
                             struct tears_error *error_out)
{
    struct t3_follow *follow = t3_alloc_zero(1, sizeof *follow);
    if (follow == NULL)
        return t3_fail_memory(error_out, origin);
    T3_ASSERT(t3_kv_bucket_name_is_good(tears_str_c(options->bucket))); /* t3_kv_new took it */
    set_up(follow, options);
    t3_mutex_init(&follow->mutex);
    t3_cond_init(&follow->changed);
    if (t3_thread_start(&follow->thread, follow_main, follow) != TEARS_OK) {
        t3_follow_free(follow);
        return t3_fail(error_out, TEARS_UNAVAILABLE, origin,
                       "no thread can be started to follow bucket '%s'", options->bucket);
    }
    *follow_out = follow;
    return TEARS_OK;
}

void t3_follow_free(struct t3_follow *follow)
{
    if (follow == NULL)
        return;
    t3_lock(&follow->mutex);
    follow->is_ending = true;
    t3_cond_broadcast(&follow->changed);
    t3_unlock(&follow->mutex);
    t3_thread_join(&follow->thread);
    t3_cond_done(&follow->changed);
    t3_mutex_done(&follow->mutex);
    t3_free(follow);
}

void t3_follow_wake(struct t3_follow *follow)
{
    atomic_store(&follow->is_woken, true);
    t3_lock(&follow->mutex);
    t3_cond_broadcast(&follow->changed);
    t3_unlock(&follow->mutex);
}

bool t3_follow_wait_current(struct t3_follow *follow, struct t3_deadline deadline)
{
    t3_lock(&follow->mutex);
    bool in_time = true;
    while (!follow->was_current && !follow->is_ending && in_time)
        in_time = t3_cond_wait(&follow->changed, &follow->mutex, deadline);
    const bool was_current = follow->was_current;
    t3_unlock(&follow->mutex);
    return was_current;
}

void t3_follow_stats(struct t3_follow *follow, struct t3_follow_stats *stats_out)
{
    stats_out->events = atomic_load_explicit(&follow->track.count.events, memory_order_relaxed);
    stats_out->gaps = atomic_load_explicit(&follow->track.count.gaps, memory_order_relaxed);
    stats_out->losses = atomic_load_explicit(&follow->track.count.losses, memory_order_relaxed);
    stats_out->probes = atomic_load_explicit(&follow->track.count.probes, memory_order_relaxed);
    stats_out->consumers =
        atomic_load_explicit(&follow->track.count.consumers, memory_order_relaxed);
}
