/*
 * kv_exchange.c -- carries out one batch of KV requests: sends, collects, matches.
 *
 * Owns:     nothing; the inbox is lent.
 * Must not know: who asked, what the requests mean.
 * Threads:  the leader of the batch; an inbox serves one batch at a time.
 * Fails:    requests without an answer end as TIMEOUT or UNAVAILABLE.
 * Begin at: t3_kv_exchange_run().
 *
 * Each request asks for its answer at "<inbox>.<number>", so that the subject of an answer says what
 * it answers.  A number is used once: an answer that comes twice is taken for nobody else's.
 * "Nobody listens" is the one answer that comes without a subject (the library gives a status
 * instead of the message): when all others are in, those without an answer are the ones meant.
 *
 * An inbox that ends a batch with answers missing is given up: late answers go nowhere, and can
 * never be taken for answers of the next batch.
 *
 * Small calls go over the pumped connection: the leader has borrowed its pump, writes all requests
 * with one system call and reads the answers off the socket; no other thread has to wake up.  Large
 * ones are gathered by a connection that the library reads; the last request is sent with
 * natsConnection_Request, because only that flushes at once.  Very large batches flush themselves
 * whenever the buffer is full, and for their end the connection's flusher (1 ms) is early enough,
 * since the server is busy with the first ones.
 */
#include "driver/kv_impl.h"

#include <inttypes.h>
#include <stdio.h>

enum { SLICE_MS = 20 }; /* how long a lost connection goes unnoticed by one who waits */

enum step { STEP_GO_ON, STEP_TIMED_OUT, STEP_LOST };

/* -- inbox --------------------------------------------------------------------------------- */

void t3_kv_inbox_done(struct kv_inbox *inbox)
{
    t3_nats_unsubscribe(inbox->nats, &inbox->subscription);
}

static bool write_prefix(struct kv_inbox *inbox)
{
    natsInbox *name = NULL;
    if (natsInbox_Create(&name) != NATS_OK)
        return false;
    const int len = snprintf(inbox->prefix, sizeof inbox->prefix, "%s.", name);
    natsInbox_Destroy(name);
    inbox->prefix_len = (size_t)len;
    return len > 0 && (size_t)len + 10 < sizeof inbox->prefix; /* room for the index */
}

static tears_status prepare_inbox(struct kv_inbox *inbox)
{
    if (inbox->subscription != NULL)
        return TEARS_OK;
    if (!write_prefix(inbox))
        return TEARS_NO_MEMORY;
    char subject[KV_INBOX_BYTES + 2];
    snprintf(subject, sizeof subject, "%s*", inbox->prefix);
    natsStatus status =
        natsConnection_SubscribeSync(&inbox->subscription, inbox->nats->connection, subject);
    if (status == NATS_OK) /* bounded by the window; the library's default would drop answers */
        status = natsSubscription_SetPendingLimits(inbox->subscription, -1, -1);
    if (status != NATS_OK)
        t3_kv_inbox_done(inbox);
    return t3_nats_to_status(status);
}

/* The index of the request whose number is at the end of an answer's subject; one beyond all when there is none. */
static size_t index_of(const struct kv_exchange *exchange, const char *subject)
{
    const struct kv_inbox *inbox = exchange->inbox;
    const size_t len = strlen(subject);
    if (len <= inbox->prefix_len || len > inbox->prefix_len + 8)
        return SIZE_MAX;
    uint32_t number = 0;
    for (const char *digit = subject + inbox->prefix_len; *digit != '\0'; digit++) {
        if (*digit >= '0' && *digit <= '9')
            number = number * 16 + (uint32_t)(*digit - '0');
        else if (*digit >= 'a' && *digit <= 'f')
            number = number * 16 + (uint32_t)(*digit - 'a') + 10;
        else
            return SIZE_MAX;
    }
    return number - exchange->first; /* of an earlier exchange: beyond all that were sent */
}

/* -- outcomes ------------------------------------------------------------------------------ */

static void end_request(struct kv_exchange *exchange, struct t3_kv_request *request,
                        tears_status status)
{
    request->is_pending = false;
    request->outcome = T3_KV_FAILED;
    request->status = status;
    exchange->done++;
}

static void take_reply(struct kv_exchange *exchange, struct t3_kv_request *request, natsMsg *reply)
{
    request->is_pending = false;
    request->is_unread = true;
    request->reply = reply;
    exchange->done++;
    exchange->heard_us = t3_now_us();
    if (exchange->answered == NULL)
        return; /* its owner, on another thread, reads it */
    t3_kv_message_read(exchange->kv, request);
    if (request->outcome == T3_KV_FAILED)
        return;
    request->is_delivered = true;
    exchange->answered(exchange->owner, request);
}

static void take_no_responder(struct kv_exchange *exchange)
{
    exchange->no_responders++;
    exchange->done++;
    exchange->heard_us = t3_now_us();
}

/* -- sending ------------------------------------------------------------------------------- */

static bool is_gathering(const struct kv_exchange *exchange)
{
    return exchange->inbox->nats == exchange->kv->options.gathering;
}

static uint64_t wait_left_ms(const struct kv_exchange *exchange)
{
    const struct t3_deadline silence = {exchange->heard_us + exchange->kv->options.wait_ms * 1000};
    const uint64_t a = t3_deadline_left_ms(silence);
    const uint64_t b = t3_deadline_left_ms(exchange->deadline);
    return a < b ? a : b;
}

/* Sends the last request so that everything before it is flushed, and waits for its answer. */
static void send_last(struct kv_exchange *exchange, struct t3_kv_request *request)
{
    const uint64_t wait_ms = wait_left_ms(exchange);
    natsMsg *reply = NULL;
    const natsStatus status = t3_kv_message_exchange(exchange->kv, request, exchange->inbox->nats,
                                                     (int64_t)(wait_ms > 0 ? wait_ms : 1), &reply);
    if (status == NATS_OK)
        take_reply(exchange, request, reply);
    else if (status == NATS_NO_RESPONDERS)
        take_no_responder(exchange);
    else
        end_request(exchange, request, t3_nats_to_status(status));
}

static void send_next(struct kv_exchange *exchange)
{
    const size_t index = exchange->sent++;
    struct t3_kv_request *request = exchange->requests[index];
    request->is_pending = true;
    request->is_direct = exchange->is_direct;
    if (is_gathering(exchange) && index + 1 == exchange->count &&
        exchange->count <= KV_FLUSHED_REQUESTS_MAX) {
        send_last(exchange, request);
        return;
    }
    char reply_to[KV_INBOX_BYTES + 16];
    snprintf(reply_to, sizeof reply_to, "%s%" PRIx32, exchange->inbox->prefix,
             exchange->first + (uint32_t)index);
    const tears_status status =
        t3_kv_message_send(exchange->kv, request, exchange->inbox->nats, reply_to);
    if (status != TEARS_OK)
        end_request(exchange, request, status);
}

/* -- collecting ---------------------------------------------------------------------------- */

static bool is_lost(const struct kv_exchange *exchange)
{
    const struct t3_nats *nats = exchange->inbox->nats;
    return t3_nats_losses(nats) != exchange->losses ||
           natsConnection_Status(nats->connection) != NATS_CONN_STATUS_CONNECTED;
}

static void match_reply(struct kv_exchange *exchange, natsMsg *reply)
{
    const size_t index = index_of(exchange, natsMsg_GetSubject(reply));
    if (index >= exchange->sent || !exchange->requests[index]->is_pending) {
        natsMsg_Destroy(reply); /* nothing we asked for */
        return;
    }
    take_reply(exchange, exchange->requests[index], reply);
}

/* The next message of the inbox.  With a pump nobody but this thread fills the inbox: it is looked
 * into before and after a turn, and never waited for. */
static natsStatus next_message(struct kv_exchange *exchange, int64_t wait_ms, natsMsg **reply_out)
{
    struct t3_nats_pump *pump = exchange->inbox->nats->pump;
    natsSubscription *subscription = exchange->inbox->subscription;
    if (pump == NULL)
        return natsSubscription_NextMsg(reply_out, subscription, wait_ms);
    natsStatus status = natsSubscription_NextMsg(reply_out, subscription, 0);
    if (status != NATS_TIMEOUT)
        return status;
    status = t3_nats_pump_turn(pump, (uint64_t)wait_ms);
    return status == NATS_OK ? natsSubscription_NextMsg(reply_out, subscription, 0) : status;
}

/* Takes one answer, waiting for it if need be. */
static enum step receive(struct kv_exchange *exchange)
{
    for (;;) {
        const uint64_t left_ms = wait_left_ms(exchange);
        natsMsg *reply = NULL;
        const natsStatus status =
            next_message(exchange, left_ms < SLICE_MS ? (int64_t)left_ms : SLICE_MS, &reply);
        if (status == NATS_OK) {
            match_reply(exchange, reply);
            return STEP_GO_ON;
        }
        if (status == NATS_NO_RESPONDERS) {
            take_no_responder(exchange);
            return STEP_GO_ON;
        }
        if (status != NATS_TIMEOUT || is_lost(exchange))
            return STEP_LOST;
        if (left_ms == 0)
            return STEP_TIMED_OUT;
    }
}

/* While the server works there is time for the replies of earlier batches. */
static void write_and_tidy(struct kv_exchange *exchange)
{
    t3_nats_pump_write(exchange->inbox->nats->pump);
    t3_kv_messages_empty_graves(exchange->kv, KV_GRAVES / 2);
}

static enum step send_and_collect(struct kv_exchange *exchange)
{
    enum step step = STEP_GO_ON;
    while (exchange->done < exchange->count && step == STEP_GO_ON) {
        while (exchange->sent < exchange->count &&
               exchange->sent - exchange->done < T3_KV_BATCH_MAX)
            send_next(exchange);
        if (exchange->inbox->nats->pump != NULL)
            write_and_tidy(exchange);
        if (exchange->done < exchange->sent)
            step = receive(exchange);
    }
    return step;
}

/* Gives an outcome to the requests that have none. */
static void end_unanswered(struct kv_exchange *exchange, tears_status status)
{
    const bool nobody_listens = exchange->no_responders > 0;
    for (size_t i = 0; i < exchange->count; i++) {
        struct t3_kv_request *request = exchange->requests[i];
        if (i < exchange->sent && !request->is_pending)
            continue;
        end_request(exchange, request, nobody_listens ? TEARS_UNAVAILABLE : status);
        request->bucket_missing = nobody_listens;
    }
}

/* Whether the server was silent for the whole wait, or a good part of it. */
static bool was_silent(const struct kv_exchange *exchange, enum step step)
{
    enum { PATIENCE_US = 100000 };
    const uint64_t waited_us = t3_now_us() - exchange->started_us;
    return step == STEP_TIMED_OUT && exchange->heard_us == exchange->started_us &&
           (waited_us >= PATIENCE_US || waited_us >= exchange->kv->options.wait_ms * 1000);
}

/*
 * A silent server hangs; unless all that was asked of it were direct gets, which it does not answer
 * when the bucket is gone: then that is looked into first.
 */
static void judge_silence(struct kv_exchange *exchange)
{
    bool may_be_bucket = exchange->is_direct;
    for (size_t i = 0; i < exchange->count; i++)
        may_be_bucket = may_be_bucket && exchange->requests[i]->verb == T3_KV_GET;
    for (size_t i = 0; i < exchange->count; i++)
        exchange->requests[i]->bucket_suspect = may_be_bucket;
    if (!may_be_bucket)
        t3_breaker_open(&exchange->kv->breaker, exchange->started_us, t3_now_us());
}

void t3_kv_exchange_run(struct kv_exchange *exchange)
{
    T3_ASSERT(exchange->count > 0);
    exchange->started_us = t3_now_us();
    exchange->heard_us = exchange->started_us;
    exchange->losses = t3_nats_losses(exchange->inbox->nats);
    const tears_status status = prepare_inbox(exchange->inbox);
    if (status != TEARS_OK) {
        end_unanswered(exchange, status);
        return;
    }
    exchange->first = exchange->inbox->next;
    exchange->inbox->next += (uint32_t)exchange->count;
    const enum step step = send_and_collect(exchange);
    end_unanswered(exchange, step == STEP_LOST ? TEARS_UNAVAILABLE : TEARS_TIMEOUT);
    if (step != STEP_GO_ON)
        t3_kv_inbox_done(exchange->inbox);
    if (exchange->heard_us != exchange->started_us)
        t3_breaker_close(&exchange->kv->breaker);
    else if (was_silent(exchange, step))
        judge_silence(exchange);
}
