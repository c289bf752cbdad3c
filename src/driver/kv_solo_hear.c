/*
 * kv_solo_hear.c -- hears what other processes do to the entries of one bucket.
 *
 * Owns:     a subscription of core NATS to the subjects that the stream takes its entries from.
 * Must not know: what entries say.
 * Threads:  the sink is called on threads of the NATS library.
 * Fails:    what is said while the connection is away is not heard.
 * Begin at: t3_solo_hear().
 */
#include "base/alloc.h"
#include "base/fail.h"
#include "base/str.h"
#include "codec/text.h"
#include "driver/kv_solo_impl.h"

#include <tears/client.h>

#include <stdio.h>

static const char origin[] = "nats.kv";

static struct tears_str header_of(natsMsg *message, const char *name)
{
    const char *value = NULL;
    if (natsMsgHeader_Get(message, name, &value) != NATS_OK)
        value = NULL;
    return tears_str_c(value);
}

/* The part of the subject behind the prefix. */
static struct tears_str key_of(natsMsg *message, const char *prefix)
{
    return t3_str_from(tears_str_c(natsMsg_GetSubject(message)), strlen(prefix));
}

static void on_entry(natsConnection *connection, natsSubscription *subscription, natsMsg *message,
                     void *closure)
{
    struct t3_solo *solo = closure;
    const struct tears_str operation = header_of(message, "KV-Operation");
    const struct tears_str ttl = header_of(message, T3_SOLO_TTL);
    const char *data = natsMsg_GetData(message);
    int64_t ttl_ms = 0;
    if (ttl.len > 0 && (t3_int_parse(ttl, &ttl_ms) != TEARS_OK || ttl_ms < 0))
        ttl_ms = 0;
    const struct t3_solo_news news = {
        .key = key_of(message, solo->subject_prefix),
        .is_end = t3_str_is(operation, "DEL") || t3_str_is(operation, "PURGE"),
        .value = tears_str_n(data != NULL ? data : "",
                             data != NULL ? (size_t)natsMsg_GetDataLength(message) : 0),
        .attempt = header_of(message, T3_SOLO_ATTEMPT),
        .ttl_ms = (uint64_t)ttl_ms,
    };
    (void)connection;
    (void)subscription;
    solo->sink.news(solo->sink.owner, &news);
    natsMsg_Destroy(message);
}

static natsStatus subscribe(struct t3_solo *solo)
{
    char subject[T3_KV_BUCKET_BYTES_MAX + 24];
    natsConnection *connection = solo->options.nats->connection;
    snprintf(subject, sizeof subject, "%s>", solo->subject_prefix);
    natsStatus status =
        natsConnection_Subscribe(&solo->entries, connection, subject, on_entry, solo);
    if (status == NATS_OK)
        status = t3_nats_end_watch(&solo->entries_end, solo->entries);
    return status;
}

tears_status t3_solo_hear(struct t3_solo *solo, const struct t3_solo_sink *sink,
                          struct tears_error *error_out)
{
    solo->sink = *sink;
    const natsStatus status = subscribe(solo);
    if (status == NATS_NO_MEMORY)
        return t3_fail_memory(error_out, origin);
    if (status != NATS_OK) /* a server that refuses us for good has closed the connection */
        t3_log(solo->options.log, TEARS_LOG_ERROR, origin, "cannot hear of bucket '%s': %s",
               solo->bucket, natsStatus_GetText(status));
    return TEARS_OK;
}

void t3_solo_server(const struct t3_solo *solo, char server_out[T3_SOLO_SERVER_BYTES])
{
    if (natsConnection_GetConnectedServerId(solo->options.nats->connection, server_out,
                                            T3_SOLO_SERVER_BYTES) != NATS_OK)
        server_out[0] = '\0';
}

void t3_solo_free(struct t3_solo *solo)
{
    if (solo == NULL)
        return;
    const bool entries_ended =
        t3_nats_end_subscription(solo->options.nats, &solo->entries_end, solo->entries);
    if (!entries_ended) /* better a leak than a callback after free */
        return;
    t3_nats_end_done(&solo->entries_end);
    t3_solo_inboxes_end(solo);
    t3_mutex_done(&solo->mutex);
    t3_free(solo);
}
