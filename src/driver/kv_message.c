/*
 * kv_message.c -- one KV request as a NATS message, and one reply as its result.
 *
 * Owns:     nothing; a reply belongs to its request.
 * Must not know: batches, time.
 * Threads:  any; a request belongs to one thread at a time.
 * Fails:    with a status or an outcome in the request.
 * Begin at: t3_kv_message_send() and t3_kv_message_read().
 */
#include "driver/kv_impl.h"

#include "base/alloc.h"
#include "base/str.h"
#include "codec/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define HEADER_EXPECTED  "Nats-Expected-Last-Subject-Sequence"
#define HEADER_OPERATION "KV-Operation"
#define HEADER_REVISION  "Nats-Sequence"
#define HEADER_VERSION   "Tears-Version"
#define HEADER_WRITER    "Tears-Origin"
#define HEADER_EPOCH     "Tears-Epoch"
#define HEADER_FILL      "Tears-Fill"
#define HEADER_DIRTY     "Tears-Dirty"
#define HEADER_LEASE     "Tears-Lease"
#define HEADER_IDS       "Tears-Key"
#define HEADER_REASON    "Nats-Marker-Reason"
#define HEADER_STATUS    "Status"

enum {
    HEADERS_BYTES_MAX = 384, /* what our own headers may need, generously, without the ids */
    IDS_ON_STACK_BYTES = 512
};

/* -- sending ------------------------------------------------------------------------------- */

/* A get's subject, or a put's; the caller checked the length. */
static void write_subject(const struct t3_kv *kv, const struct t3_kv_request *request,
                          char subject[KV_CONTROL_LINE_MAX])
{
    if (request->verb != T3_KV_GET)
        snprintf(subject, KV_CONTROL_LINE_MAX, "%s%s", kv->subject_prefix, request->key);
    else if (request->is_direct)
        snprintf(subject, KV_CONTROL_LINE_MAX, "%s%s", kv->direct_prefix, request->key);
    else
        snprintf(subject, KV_CONTROL_LINE_MAX, "%s", kv->stored_get);
}

static int write_stored_get(const struct t3_kv *kv, const struct t3_kv_request *request,
                            char body[KV_CONTROL_LINE_MAX])
{
    return snprintf(body, KV_CONTROL_LINE_MAX, "{\"last_by_subj\":\"%s%s\"}", kv->subject_prefix,
                    request->key);
}

static natsStatus set_number(natsMsg *message, const char *name, const char *format, ...)
    T3_PRINTF(3, 4);

static natsStatus set_number(natsMsg *message, const char *name, const char *format, ...)
{
    char text[32];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return natsMsgHeader_Set(message, name, text);
}

/* The NATS library wants its texts to end in NUL. */
static natsStatus set_ids(natsMsg *message, struct tears_str ids)
{
    char few[IDS_ON_STACK_BYTES];
    T3_AUTO(t3_free_auto) char *many = NULL;
    if (ids.len >= sizeof few && (many = t3_alloc(ids.len + 1)) == NULL)
        return NATS_NO_MEMORY;
    char *text = many != NULL ? many : few;
    memcpy(text, ids.ptr, ids.len);
    text[ids.len] = '\0';
    return natsMsgHeader_Set(message, HEADER_IDS, text);
}

/* What only some writes carry. */
static natsStatus set_rare_headers(const struct t3_kv_request *request, natsMsg *message)
{
    natsStatus status = NATS_OK;
    if (request->is_fill)
        status = natsMsgHeader_Set(message, HEADER_FILL, "1");
    if (status == NATS_OK && request->is_dirty)
        status = natsMsgHeader_Set(message, HEADER_DIRTY, "1");
    if (status == NATS_OK && request->verb == T3_KV_DELETE && request->lease_ms != 0)
        status = set_number(message, HEADER_LEASE, "%" PRIu64, request->lease_ms);
    if (status == NATS_OK && request->ids.len > 0)
        status = set_ids(message, request->ids);
    return status;
}

static natsStatus set_headers(const struct t3_kv *kv, const struct t3_kv_request *request,
                              natsMsg *message)
{
    natsStatus status = NATS_OK;
    const uint64_t epoch = atomic_load_explicit(&kv->epoch, memory_order_relaxed);
    if (request->verb == T3_KV_DELETE)
        status = natsMsgHeader_Set(message, HEADER_OPERATION, "DEL");
    if (status == NATS_OK && request->expected != T3_KV_ANY_REVISION)
        status = set_number(message, HEADER_EXPECTED, "%" PRIu64, request->expected);
    if (status == NATS_OK && request->has_version)
        status = set_number(message, HEADER_VERSION, "%" PRId64, request->version);
    if (status == NATS_OK && kv->writer[0] != '\0')
        status = natsMsgHeader_Set(message, HEADER_WRITER, kv->writer);
    if (status == NATS_OK && epoch != 0)
        status = set_number(message, HEADER_EPOCH, "%016" PRIx64, epoch);
    return status == NATS_OK ? set_rare_headers(request, message) : status;
}

/* A put or delete with its headers. */
static natsStatus new_write(const struct t3_kv *kv, const struct t3_kv_request *request,
                            const char *reply_to, natsMsg **message_out)
{
    char subject[KV_CONTROL_LINE_MAX];
    write_subject(kv, request, subject);
    const struct tears_str value = request->verb == T3_KV_PUT ? request->value : tears_str_n("", 0);
    natsMsg *message = NULL;
    natsStatus status = natsMsg_Create(&message, subject, reply_to, value.ptr, (int)value.len);
    if (status == NATS_OK)
        status = set_headers(kv, request, message);
    if (status != NATS_OK) {
        natsMsg_Destroy(message);
        return status;
    }
    *message_out = message;
    return NATS_OK;
}

static natsStatus send_get(const struct t3_kv *kv, const struct t3_kv_request *request,
                           natsConnection *connection, const char *reply_to)
{
    char subject[KV_CONTROL_LINE_MAX];
    write_subject(kv, request, subject);
    if (request->is_direct)
        return natsConnection_PublishRequest(connection, subject, reply_to, NULL, 0);
    char body[KV_CONTROL_LINE_MAX];
    const int len = write_stored_get(kv, request, body);
    return natsConnection_PublishRequest(connection, subject, reply_to, body, len);
}

tears_status t3_kv_message_send(struct t3_kv *kv, const struct t3_kv_request *request,
                                struct t3_nats *nats, const char *reply_to)
{
    natsConnection *connection = nats->connection;
    if (request->verb == T3_KV_GET)
        return t3_nats_to_status(send_get(kv, request, connection, reply_to));
    natsMsg *message = NULL;
    natsStatus status = new_write(kv, request, reply_to, &message);
    if (status == NATS_OK)
        status = natsConnection_PublishMsg(connection, message);
    natsMsg_Destroy(message);
    return t3_nats_to_status(status);
}

natsStatus t3_kv_message_exchange(struct t3_kv *kv, const struct t3_kv_request *request,
                                  struct t3_nats *nats, int64_t wait_ms, natsMsg **reply_out)
{
    natsConnection *connection = nats->connection;
    if (request->verb != T3_KV_GET) {
        natsMsg *message = NULL;
        natsStatus status = new_write(kv, request, NULL, &message);
        if (status == NATS_OK)
            status = natsConnection_RequestMsg(reply_out, connection, message, wait_ms);
        natsMsg_Destroy(message);
        return status;
    }
    char subject[KV_CONTROL_LINE_MAX];
    write_subject(kv, request, subject);
    if (request->is_direct)
        return natsConnection_Request(reply_out, connection, subject, NULL, 0, wait_ms);
    char body[KV_CONTROL_LINE_MAX];
    const int len = write_stored_get(kv, request, body);
    return natsConnection_Request(reply_out, connection, subject, body, len, wait_ms);
}

static bool cannot_send(struct t3_kv_request *request, enum t3_kv_outcome outcome,
                        tears_status status)
{
    request->outcome = outcome;
    request->status = status;
    return false;
}

bool t3_kv_message_is_sendable(struct t3_kv *kv, struct t3_kv_request *request)
{
    const struct tears_str key = tears_str_c(request->key);
    const size_t line_len = strlen(kv->direct_prefix) + key.len + KV_INBOX_BYTES + 64;
    if (line_len > KV_CONTROL_LINE_MAX)
        return cannot_send(request, T3_KV_FAILED, TEARS_LIMIT);
    if (!t3_kv_key_is_good(key))
        return cannot_send(request, T3_KV_FAILED, TEARS_INVALID);
    const size_t payload_max = t3_nats_payload_max(kv->options.gathering);
    if (request->verb == T3_KV_PUT && payload_max > 0 &&
        request->value.len + request->ids.len + HEADERS_BYTES_MAX > payload_max)
        return cannot_send(request, T3_KV_REFUSED, TEARS_OK);
    return true;
}

/* -- the end of a reply -------------------------------------------------------------------- */

/*
 * natsMsg_Destroy does not free: it gives the message to a thread of the library, under a lock of
 * the whole process, and wakes that thread.  When dozens of callers do so at the same moment, they
 * spin on the lock; when one does it for all, the thread wakes once.
 */
void t3_kv_message_bury(struct t3_kv *kv, natsMsg *reply)
{
    if (reply == NULL)
        return;
    if (natsMsg_GetDataLength(reply) > KV_GRAVE_BYTES_MAX) {
        natsMsg_Destroy(reply);
        return;
    }
    struct kv_graveyard *graveyard = &kv->graveyard;
    const size_t index = atomic_fetch_add_explicit(&graveyard->buried, 1, memory_order_relaxed);
    natsMsg_Destroy(atomic_exchange(&graveyard->slots[index % KV_GRAVES], reply));
}

void t3_kv_messages_empty_graves(struct t3_kv *kv, size_t enough)
{
    struct kv_graveyard *graveyard = &kv->graveyard;
    if (atomic_load_explicit(&graveyard->buried, memory_order_relaxed) - graveyard->emptied <
        enough)
        return;
    graveyard->emptied = atomic_load_explicit(&graveyard->buried, memory_order_relaxed);
    for (size_t i = 0; i < KV_GRAVES; i++)
        natsMsg_Destroy(atomic_exchange(&graveyard->slots[i], NULL));
}

/* -- reading ------------------------------------------------------------------------------- */

static struct tears_str reply_data(natsMsg *reply)
{
    const char *data = natsMsg_GetData(reply);
    const int len = natsMsg_GetDataLength(reply);
    return tears_str_n(data != NULL ? data : "", data != NULL && len > 0 ? (size_t)len : 0);
}

static void set_failed(struct t3_kv_request *request, tears_status status)
{
    request->outcome = T3_KV_FAILED;
    request->status = status;
}

/* A reply's headers as they are found; `ptr` is NULL for those that are not there. */
struct found_headers {
    struct tears_str operation, version, writer, epoch, fill, lease, dirty;
};

static void set_found(struct t3_kv *kv, struct t3_kv_request *request,
                      const struct found_headers *found)
{
    const bool is_marker =
        t3_str_is(found->operation, "DEL") || t3_str_is(found->operation, "PURGE");
    int64_t lease_ms = 0;
    request->outcome = is_marker ? T3_KV_MARKER : T3_KV_VALUE;
    request->found_has_version =
        found->version.len > 0 && t3_int_parse(found->version, &request->found_version) == TEARS_OK;
    request->found_is_own = found->writer.ptr != NULL && t3_str_is(found->writer, kv->writer);
    request->found_is_fill = t3_str_is(found->fill, "1");
    request->found_is_dirty = t3_str_is(found->dirty, "1");
    if (found->lease.len > 0 && t3_int_parse(found->lease, &lease_ms) == TEARS_OK && lease_ms > 0)
        request->found_lease_ms = (uint64_t)lease_ms;
    if (found->epoch.ptr != NULL)
        request->found_epoch = found->epoch;
    if (found->writer.ptr != NULL)
        request->found_origin = found->writer;
}

static const char *header_of(natsMsg *reply, const char *name)
{
    const char *value = NULL;
    return natsMsgHeader_Get(reply, name, &value) == NATS_OK ? value : NULL;
}

static struct tears_str header_text(natsMsg *reply, const char *name)
{
    const char *value = header_of(reply, name);
    return tears_str_n(value, value != NULL ? strlen(value) : 0);
}

/* A marker the server put itself, when a limit or a time to live took the entry. */
static struct tears_str operation_of_server(natsMsg *reply)
{
    return header_of(reply, HEADER_REASON) != NULL ? TEARS_STR("DEL") : tears_str_n(NULL, 0);
}

/* The answer to a direct get: the message itself, or a status. */
static void read_direct(struct t3_kv *kv, struct t3_kv_request *request, natsMsg *reply)
{
    const struct tears_str data = reply_data(reply);
    const char *status = data.len == 0 ? header_of(reply, HEADER_STATUS) : NULL;
    if (status != NULL) {
        if (strcmp(status, "404") == 0)
            request->outcome = T3_KV_ABSENT;
        else
            set_failed(request, TEARS_UNAVAILABLE);
        return;
    }
    int64_t revision = 0;
    const char *text = header_of(reply, HEADER_REVISION);
    if (text == NULL || t3_int_parse(tears_str_c(text), &revision) != TEARS_OK || revision <= 0) {
        set_failed(request, TEARS_UNAVAILABLE);
        return;
    }
    request->revision = (uint64_t)revision;
    request->found = data;
    struct found_headers found = {
        .version = header_text(reply, HEADER_VERSION),
        .writer = header_text(reply, HEADER_WRITER),
        .epoch = header_text(reply, HEADER_EPOCH),
        .fill = header_text(reply, HEADER_FILL),
        .dirty = header_text(reply, HEADER_DIRTY),
    };
    if (data.len ==
        0) { /* else it is no marker: a value costs no look-up for what it cannot have */
        found.operation = header_text(reply, HEADER_OPERATION);
        found.lease = header_text(reply, HEADER_LEASE);
        if (found.operation.ptr == NULL)
            found.operation = operation_of_server(reply);
    }
    set_found(kv, request, &found);
}

static struct tears_str block_header(struct tears_str block, const char *name)
{
    struct tears_str value = {0};
    return t3_kv_find_header(block, name, &value) ? value : tears_str_n(NULL, 0);
}

/* The value and, behind it, the headers, as one piece of memory: the request's texts point into it. */
static tears_status join_stored(struct t3_kv_request *request, struct t3_kv_stored *stored,
                                struct tears_str *block_out)
{
    const size_t value_len = stored->value.len;
    T3_TRY(t3_buf_put(&stored->value, t3_buf_str(&stored->headers)));
    const size_t all = stored->value.len;
    request->decoded = t3_buf_take(&stored->value);
    const struct tears_str text =
        tears_str_n(request->decoded != NULL ? request->decoded : "", all);
    request->found = tears_str_n(text.ptr, value_len);
    *block_out = t3_str_from(text, value_len);
    return TEARS_OK;
}

/* The answer to $JS.API.STREAM.MSG.GET: JSON around base64. */
static void read_stored(struct t3_kv *kv, struct t3_kv_request *request, natsMsg *reply)
{
    T3_AUTO(t3_kv_stored_done) struct t3_kv_stored stored = {0};
    const tears_status status = t3_kv_parse_stored(reply_data(reply), &stored);
    if (status != TEARS_OK) {
        set_failed(request, status == TEARS_NO_MEMORY ? status : TEARS_UNAVAILABLE);
        return;
    }
    if (stored.error == T3_JS_NO_MESSAGE) {
        request->outcome = T3_KV_ABSENT;
        return;
    }
    if (stored.error != 0) {
        request->bucket_missing = stored.error == T3_JS_NO_STREAM;
        set_failed(request, TEARS_UNAVAILABLE);
        return;
    }
    struct tears_str block;
    if (join_stored(request, &stored, &block) != TEARS_OK) {
        set_failed(request, TEARS_NO_MEMORY);
        return;
    }
    struct found_headers found = {
        .operation = block_header(block, HEADER_OPERATION),
        .version = block_header(block, HEADER_VERSION),
        .writer = block_header(block, HEADER_WRITER),
        .epoch = block_header(block, HEADER_EPOCH),
        .fill = block_header(block, HEADER_FILL),
        .dirty = block_header(block, HEADER_DIRTY),
        .lease = block_header(block, HEADER_LEASE),
    };
    if (found.operation.ptr == NULL && block_header(block, HEADER_REASON).ptr != NULL)
        found.operation = TEARS_STR("DEL");
    request->revision = stored.revision;
    set_found(kv, request, &found);
}

static void read_ack(struct t3_kv_request *request, natsMsg *reply)
{
    struct t3_kv_ack ack;
    t3_kv_parse_ack(reply_data(reply), &ack);
    if (ack.error == 0) {
        request->outcome = T3_KV_STORED;
        request->revision = ack.revision;
    } else if (ack.error == T3_JS_WRONG_REVISION) {
        request->outcome = T3_KV_RACED;
    } else {
        request->outcome = T3_KV_REFUSED;
        request->code = ack.error;
    }
}

void t3_kv_message_read(struct t3_kv *kv, struct t3_kv_request *request)
{
    if (!request->is_unread)
        return;
    request->is_unread = false;
    request->status = TEARS_OK;
    if (request->verb != T3_KV_GET)
        read_ack(request, request->reply);
    else if (request->is_direct)
        read_direct(kv, request, request->reply);
    else
        read_stored(kv, request, request->reply);
}
