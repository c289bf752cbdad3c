/*
 * kv_follow_hear.c -- what the server sends a follower, told to its tracker.
 *
 * Owns:     nothing; a message is borrowed.
 * Must not know: what is done about it.
 * Threads:  the follower's.
 * Fails:    never: an answer that makes no sense is a failed one.
 * Begin at: t3_follow_hear_delivery().
 */
#include "driver/kv_follow_impl.h"

#include "base/str.h"
#include "codec/text.h"

#include <tears/client.h>

static const char origin[] = "l2.follow";

static const char *header_of(natsMsg *message, const char *name)
{
    const char *value = NULL;
    return natsMsgHeader_Get(message, name, &value) == NATS_OK ? value : NULL;
}

static struct tears_str header_text(natsMsg *message, const char *name)
{
    const char *value = header_of(message, name);
    return value != NULL ? tears_str_n(value, strlen(value)) : tears_str_n("", 0);
}

static struct tears_str data_of(natsMsg *message)
{
    const char *data = natsMsg_GetData(message);
    const int len = natsMsg_GetDataLength(message);
    return data != NULL && len > 0 ? tears_str_n(data, (size_t)len) : tears_str_n("", 0);
}

/* -- messages of the stream ---------------------------------------------------------------- */

static bool is_marker(natsMsg *message)
{
    const struct tears_str operation = header_text(message, "KV-Operation");
    return t3_str_is(operation, "DEL") || t3_str_is(operation, "PURGE") ||
           (operation.len == 0 && header_of(message, "Nats-Marker-Reason") != NULL);
}

static void hear_event(struct t3_follow *follow, natsMsg *message, struct tears_str key)
{
    struct t3_follow_place place;
    const char *reply = natsMsg_GetReply(message);
    if (reply == NULL || !t3_follow_parse_place(tears_str_c(reply), &place)) {
        t3_track_trouble(&follow->track, t3_now_coarse_ms(), "a message does not say its place");
        return;
    }
    struct t3_follow_event event = {
        .key = key,
        .revision = place.stream_sequence,
        .is_marker = is_marker(message),
        .is_fill = t3_str_is(header_text(message, "Tears-Fill"), "1"),
        .is_dirty = t3_str_is(header_text(message, "Tears-Dirty"), "1"),
        .origin = header_text(message, "Tears-Origin"),
        .epoch = header_text(message, "Tears-Epoch"),
        .ids = header_text(message, "Tears-Key"),
    };
    const struct tears_str version = header_text(message, "Tears-Version");
    event.has_version = version.len > 0 && t3_int_parse(version, &event.version) == TEARS_OK;
    if (event.is_marker)
        (void)t3_follow_parse_number(header_text(message, "Tears-Lease"), &event.lease_ms);
    t3_track_message(&follow->track, t3_now_coarse_ms(), follow->consumer, place.consumer_sequence,
                     &event);
}

/* -- what the consumer says of itself ------------------------------------------------------ */

/* The server stops sending until this is answered; it was queued behind all it is about. */
static void answer_flow_control(struct t3_follow *follow, const char *subject)
{
    (void)natsConnection_Publish(follow->options.nats->connection, subject, NULL, 0);
}

static void hear_heartbeat(struct t3_follow *follow, natsMsg *message)
{
    uint64_t consumer_sequence = 0;
    uint64_t stream_sequence = 0;
    const char *stalled = header_of(message, "Nats-Consumer-Stalled");
    if (stalled != NULL)
        answer_flow_control(follow, stalled);
    if (t3_follow_parse_number(header_text(message, "Nats-Last-Consumer"), &consumer_sequence) &&
        t3_follow_parse_number(header_text(message, "Nats-Last-Stream"), &stream_sequence))
        t3_track_heartbeat(&follow->track, t3_now_coarse_ms(), follow->consumer, consumer_sequence,
                           stream_sequence);
}

static void hear_control(struct t3_follow *follow, natsMsg *message)
{
    const char *reply = natsMsg_GetReply(message);
    if (!t3_str_is(header_text(message, "Status"), "100"))
        t3_track_trouble(&follow->track, t3_now_coarse_ms(), "the server ended the consumer");
    else if (reply != NULL && reply[0] != '\0')
        answer_flow_control(follow, reply);
    else
        hear_heartbeat(follow, message);
}

void t3_follow_hear_delivery(struct t3_follow *follow, natsMsg *message)
{
    const struct tears_str subject = tears_str_c(natsMsg_GetSubject(message));
    if (t3_str_starts(subject, follow->key_prefix))
        hear_event(follow, message, t3_str_from(subject, follow->key_prefix_len));
    else
        hear_control(follow, message);
}

/* -- answers ------------------------------------------------------------------------------- */

static void fail(struct t3_follow *follow, int64_t code, const char *why)
{
    t3_track_failed(&follow->track, t3_now_coarse_ms(), follow->asked.ticket,
                    code == T3_JS_NO_STREAM ? T3_TRACK_NO_BUCKET : T3_TRACK_NO_ANSWER,
                    code == T3_JS_NO_STREAM ? "the bucket is gone" : why);
}

static void hear_identity(struct t3_follow *follow, struct tears_str json)
{
    T3_AUTO(t3_kv_stored_done) struct t3_kv_stored stored = {0};
    const tears_status status = t3_kv_parse_stored(json, &stored);
    if (status != TEARS_OK || (stored.error != 0 && stored.error != T3_JS_NO_MESSAGE)) {
        fail(follow, stored.error, "the bucket's identity cannot be read");
        return;
    }
    t3_track_identity(&follow->track, t3_now_coarse_ms(), follow->asked.ticket,
                      t3_buf_str(&stored.value), stored.error == 0 ? stored.revision : 0);
}

static void hear_identity_made(struct t3_follow *follow, struct tears_str json)
{
    struct t3_kv_ack ack;
    t3_kv_parse_ack(json, &ack);
    if (ack.error == 0 || ack.error == T3_JS_WRONG_REVISION)
        t3_track_done(&follow->track, t3_now_coarse_ms(), follow->asked.ticket);
    else
        fail(follow, ack.error, "the bucket's identity cannot be written");
}

/* A bucket that got replicas, or lost them, is read in another way. */
static void note_settings(struct t3_follow *follow, const struct t3_follow_stream *found)
{
    const bool differs = follow->replicas != 0 && (follow->replicas != found->replicas ||
                                                   follow->allow_direct != found->allow_direct);
    follow->replicas = found->replicas;
    follow->allow_direct = found->allow_direct;
    if (differs)
        t3_kv_forget_bucket(follow->options.kv);
}

static void hear_stream(struct t3_follow *follow, struct tears_str json)
{
    struct t3_follow_stream found;
    int64_t code = 0;
    t3_follow_parse_stream(json, &found, &code);
    if (code != 0) {
        fail(follow, code, "the stream does not say how far it is");
        return;
    }
    note_settings(follow, &found);
    const struct t3_track_stream stream = {
        .last_sequence = found.last_sequence,
        .max_age_ms = found.max_age_ms,
    };
    t3_track_stream(&follow->track, t3_now_coarse_ms(), follow->asked.ticket, &stream);
}

static void hear_consumer(struct t3_follow *follow, struct tears_str json)
{
    int64_t code = 0;
    t3_follow_parse_consumer(json, follow->consumer_name, &code);
    if (code != 0) {
        t3_log(follow->options.log, TEARS_LOG_DEBUG, origin,
               "bucket '%s': a consumer is refused: JetStream error %d", follow->bucket, (int)code);
        fail(follow, code, "the server refuses a consumer");
        return;
    }
    follow->unopened = 0;
    t3_track_done(&follow->track, t3_now_coarse_ms(), follow->asked.ticket);
}

static void hear_asked(struct t3_follow *follow, struct tears_str json)
{
    switch (follow->asked.step) {
    case T3_TRACK_ASK_IDENTITY:
        hear_identity(follow, json);
        break;
    case T3_TRACK_MAKE_IDENTITY:
        hear_identity_made(follow, json);
        break;
    case T3_TRACK_ASK_STREAM:
        hear_stream(follow, json);
        break;
    case T3_TRACK_OPEN_CONSUMER:
        hear_consumer(follow, json);
        break;
    case T3_TRACK_WAIT:
    case T3_TRACK_MAKE_BUCKET:
    case T3_TRACK_CLOSE_CONSUMER:
        break; /* not asked by a message */
    }
}

void t3_follow_hear_answer(struct t3_follow *follow, natsMsg *message)
{
    uint64_t ticket = 0;
    const struct tears_str subject = tears_str_c(natsMsg_GetSubject(message));
    if (t3_str_starts(subject, follow->inbox) &&
        t3_follow_parse_number(t3_str_from(subject, follow->inbox_len), &ticket) &&
        ticket == follow->asked.ticket)
        hear_asked(follow, data_of(message));
}
