/*
 * bus.c -- publishes and receives messages of core NATS.
 *
 * Owns:     two subscriptions; the connection is lent.
 * Must not know: what the messages say.
 * Threads:  any; the sink is called on threads of the NATS library.
 * Fails:    TEARS_UNAVAILABLE while disconnected; nothing is kept for later.
 * Begin at: t3_bus_new().
 */
#include "driver/bus.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "driver/nats_impl.h"

#include <tears/client.h>

#include <inttypes.h>
#include <stdio.h>

static const char origin[] = "l2.bus";

enum { PENDING_MESSAGES_MAX = 65536, PENDING_BYTES_MAX = 64 * 1024 * 1024 };

struct t3_bus {
    struct t3_nats *nats;
    struct t3_bus_sink sink;
    natsSubscription *messages;
    natsSubscription *answers;
    struct t3_nats_end messages_end;
    struct t3_nats_end answers_end;
    char inbox[T3_BUS_REPLY_BYTES - 24]; /* "_INBOX.xxx." */
    size_t inbox_len;
};

static struct tears_str payload_of(natsMsg *message)
{
    const char *data = natsMsg_GetData(message);
    return tears_str_n(data != NULL ? data : "", (size_t)natsMsg_GetDataLength(message));
}

static void on_message(natsConnection *connection, natsSubscription *subscription, natsMsg *message,
                       void *closure)
{
    struct t3_bus *bus = closure;
    (void)connection;
    (void)subscription;
    bus->sink.message(bus->sink.owner, payload_of(message));
    natsMsg_Destroy(message);
}

/* The hexadecimal ticket at the end of the subject; false when it is none. */
static bool ticket_of(const struct t3_bus *bus, const char *subject, uint64_t *ticket_out)
{
    const size_t len = strlen(subject);
    if (len <= bus->inbox_len || len > bus->inbox_len + 16)
        return false;
    uint64_t ticket = 0;
    for (const char *digit = subject + bus->inbox_len; *digit != '\0'; digit++) {
        if (*digit >= '0' && *digit <= '9')
            ticket = ticket * 16 + (uint64_t)(*digit - '0');
        else if (*digit >= 'a' && *digit <= 'f')
            ticket = ticket * 16 + (uint64_t)(*digit - 'a') + 10;
        else
            return false;
    }
    *ticket_out = ticket;
    return true;
}

static void on_answer(natsConnection *connection, natsSubscription *subscription, natsMsg *message,
                      void *closure)
{
    struct t3_bus *bus = closure;
    uint64_t ticket = 0;
    (void)connection;
    (void)subscription;
    if (ticket_of(bus, natsMsg_GetSubject(message), &ticket)) {
        struct t3_kv_ack ack;
        const bool nobody_listens = natsMsg_IsNoResponders(message);
        if (!nobody_listens)
            t3_kv_parse_ack(payload_of(message), &ack);
        bus->sink.answer(bus->sink.owner, ticket, nobody_listens ? NULL : &ack);
    }
    natsMsg_Destroy(message);
}

static natsStatus subscribe(struct t3_bus *bus, const char *subject)
{
    natsInbox *inbox = NULL;
    natsStatus status = natsInbox_Create(&inbox);
    if (status != NATS_OK)
        return status;
    const int len = snprintf(bus->inbox, sizeof bus->inbox, "%s.", inbox);
    natsInbox_Destroy(inbox);
    T3_ASSERT(len > 0 && (size_t)len < sizeof bus->inbox);
    bus->inbox_len = (size_t)len;
    char answers[sizeof bus->inbox + 2];
    snprintf(answers, sizeof answers, "%s*", bus->inbox);
    natsConnection *connection = bus->nats->connection;
    status = natsConnection_Subscribe(&bus->messages, connection, subject, on_message, bus);
    if (status == NATS_OK)
        status = t3_nats_end_watch(&bus->messages_end, bus->messages);
    if (status == NATS_OK)
        status = natsSubscription_SetPendingLimits(bus->messages, PENDING_MESSAGES_MAX,
                                                   PENDING_BYTES_MAX);
    if (status == NATS_OK)
        status = natsConnection_Subscribe(&bus->answers, connection, answers, on_answer, bus);
    if (status == NATS_OK)
        status = t3_nats_end_watch(&bus->answers_end, bus->answers);
    if (status == NATS_OK)
        status = natsSubscription_SetPendingLimits(bus->answers, -1, -1);
    return status;
}

tears_status t3_bus_new(struct t3_nats *nats, const char *subject, const struct t3_bus_sink *sink,
                        struct t3_bus **bus_out, struct tears_error *error_out)
{
    struct t3_bus *bus = t3_alloc_zero(1, sizeof *bus);
    if (bus == NULL)
        return t3_fail_memory(error_out, origin);
    bus->nats = nats;
    bus->sink = *sink;
    t3_nats_end_init(&bus->messages_end);
    t3_nats_end_init(&bus->answers_end);
    const natsStatus status = subscribe(bus, subject);
    if (status == NATS_NO_MEMORY) {
        t3_bus_free(bus);
        return t3_fail_memory(error_out, origin);
    }
    if (status !=
        NATS_OK) /* a server that refuses us for good has closed the connection: a mute bus, no failure */
        t3_log(nats->options.log, TEARS_LOG_ERROR, origin, "cannot subscribe to '%s': %s", subject,
               natsStatus_GetText(status));
    *bus_out = bus;
    return TEARS_OK;
}

void t3_bus_free(struct t3_bus *bus)
{
    if (bus == NULL)
        return;
    const bool messages_ended =
        t3_nats_end_subscription(bus->nats, &bus->messages_end, bus->messages);
    const bool answers_ended = t3_nats_end_subscription(bus->nats, &bus->answers_end, bus->answers);
    if (!messages_ended || !answers_ended) /* better a leak than a callback after free */
        return;
    t3_nats_end_done(&bus->messages_end);
    t3_nats_end_done(&bus->answers_end);
    t3_free(bus);
}

tears_status t3_bus_publish(struct t3_bus *bus, const char *subject, struct tears_str payload)
{
    return t3_nats_to_status(
        natsConnection_Publish(bus->nats->connection, subject, payload.ptr, (int)payload.len));
}

void t3_bus_reply_to(const struct t3_bus *bus, uint64_t ticket, char reply_to[T3_BUS_REPLY_BYTES])
{
    snprintf(reply_to, T3_BUS_REPLY_BYTES, "%s%" PRIx64, bus->inbox, ticket);
}
