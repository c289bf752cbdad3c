/*
 * kv.c -- one KV bucket: its existence, and the way of calls into batches.
 *
 * Owns:     inboxes, the circuit breaker, what is known of the bucket.  The connections are
 * lent. Must not know: rows, tables, versions' meaning. Threads:  any. Fails:    TEARS_UNAVAILABLE
 * at once while disconnected or while the server is known to hang. Begin at: t3_kv_run().
 */
#include "driver/kv_impl.h"

#include "base/alloc.h"
#include "base/fail.h"

#include <tears/client.h>

#include <stdio.h>

static const char origin[] = "l2.kv";

enum {
    RUNS_MAX = 4
}; /* of one request: a bucket made again, or an impatient neighbour in the batch */

/* -- inboxes ------------------------------------------------------------------------------- */

/* There is always a free one: the combiner runs no more batches than there are inboxes. */
static struct kv_inbox *take_inbox(struct t3_kv *kv)
{
    struct kv_inbox *inbox = NULL;
    t3_lock(&kv->mutex);
    for (size_t i = 0; i < KV_LARGE_RUNNING_MAX && inbox == NULL; i++)
        if (!kv->large_inboxes[i].is_taken)
            inbox = &kv->large_inboxes[i];
    T3_ASSERT(inbox != NULL);
    inbox->is_taken = true;
    t3_unlock(&kv->mutex);
    return inbox;
}

static void return_inbox(struct t3_kv *kv, struct kv_inbox *inbox)
{
    t3_lock(&kv->mutex);
    inbox->is_taken = false;
    t3_unlock(&kv->mutex);
}

/* -- batches ------------------------------------------------------------------------------- */

/* A call on its way through a combiner. */
struct queued_call {
    struct t3_combine_item item; /* first: the combiner gives it back */
    const struct t3_kv_call *call;
    struct t3_kv_request **requests;
    size_t count;
};

static struct kv_exchange new_exchange(struct t3_kv *kv, struct t3_kv_request **requests,
                                       size_t count, struct t3_deadline deadline)
{
    const struct kv_exchange exchange = {
        .kv = kv,
        .requests = requests,
        .count = count,
        .deadline = deadline,
        .is_direct =
            atomic_load_explicit(&kv->bucket_state, memory_order_relaxed) != KV_BUCKET_INDIRECT,
    };
    return exchange;
}

/* Small calls of several threads as one batch.  It ends when the first of their deadlines does. */
static void run_small(void *owner, struct t3_combine_item **items, size_t count)
{
    struct t3_kv *kv = owner;
    struct t3_deadline deadline = {UINT64_MAX};
    size_t request_count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct queued_call *queued = (const struct queued_call *)(void *)items[i];
        memcpy(kv->small_requests + request_count, queued->requests,
               queued->count * sizeof queued->requests[0]);
        request_count += queued->count;
        if (items[i]->deadline.at_us < deadline.at_us)
            deadline = items[i]->deadline;
    }
    struct kv_exchange exchange = new_exchange(kv, kv->small_requests, request_count, deadline);
    exchange.inbox = &kv->small_inbox;
    t3_nats_pump_take(kv->options.pumped->pump);
    t3_kv_exchange_run(&exchange);
    t3_nats_pump_give(kv->options.pumped->pump);
}

/* One large call; answers are handed to it as they come. */
static void run_large(void *owner, struct t3_combine_item **items, size_t count)
{
    struct t3_kv *kv = owner;
    const struct queued_call *queued = (const struct queued_call *)(void *)items[0];
    T3_ASSERT(count == 1);
    struct kv_exchange exchange =
        new_exchange(kv, queued->requests, queued->count, queued->call->deadline);
    exchange.answered = queued->call->answered;
    exchange.owner = queued->call->owner;
    exchange.inbox = take_inbox(kv);
    t3_kv_exchange_run(&exchange);
    return_inbox(kv, exchange.inbox);
}

/* -- the bucket ---------------------------------------------------------------------------- */

struct opening_call {
    struct t3_combine_item item; /* first */
    tears_status status;
    struct tears_error error;
};

/* A server that was silent before is given less time. */
static int64_t ask_wait_ms(struct t3_kv *kv)
{
    enum { SUSPECT_WAIT_MS = 100 };
    const bool is_suspect = atomic_load_explicit(&kv->bucket_is_suspect, memory_order_relaxed);
    if (is_suspect && kv->options.wait_ms > SUSPECT_WAIT_MS)
        return SUSPECT_WAIT_MS;
    return (int64_t)kv->options.wait_ms;
}

/* Asks JetStream's interface; the settings, or the server's error code. */
static tears_status ask_stream(struct t3_kv *kv, const char *verb, struct tears_str body,
                               struct t3_kv_settings *settings_out, int64_t *code_out)
{
    char subject[T3_KV_BUCKET_BYTES_MAX + 64];
    snprintf(subject, sizeof subject, "$JS.API.STREAM.%s.KV_%s", verb, kv->bucket);
    natsMsg *reply = NULL;
    const natsStatus status = natsConnection_Request(
        &reply, kv->options.prompt->connection, subject, body.ptr, (int)body.len, ask_wait_ms(kv));
    if (status == NATS_NO_RESPONDERS)
        return TEARS_UNSUPPORTED;
    if (status != NATS_OK)
        return t3_nats_to_status(status);
    t3_kv_parse_info(tears_str_n(natsMsg_GetData(reply), (size_t)natsMsg_GetDataLength(reply)),
                     settings_out, code_out);
    natsMsg_Destroy(reply);
    return TEARS_OK;
}

static tears_status create_bucket(struct t3_kv *kv, struct t3_kv_settings *settings_out,
                                  int64_t *code_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf config = {0};
    T3_TRY(t3_kv_put_config(kv->bucket, &kv->options.wanted, &config));
    T3_TRY(ask_stream(kv, "CREATE", t3_buf_str(&config), settings_out, code_out));
    if (*code_out == 0)
        t3_log(kv->options.log, TEARS_LOG_INFO, origin, "bucket '%s' created", kv->bucket);
    else if (*code_out == T3_JS_BAD_NAME) /* another process was faster, with other settings */
        return ask_stream(kv, "INFO", tears_str_n("", 0), settings_out, code_out);
    return TEARS_OK;
}

static void log_differences(struct t3_kv *kv, const struct t3_kv_settings *found)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    if (t3_kv_put_differences(found, &kv->options.wanted, &text) != TEARS_OK || text.len == 0)
        return;
    if (!atomic_exchange(&kv->differences_logged, true))
        t3_log(kv->options.log, TEARS_LOG_INFO, origin,
               "bucket '%s' exists with other settings: %s", kv->bucket, text.ptr);
}

static tears_status ask_failed(struct t3_kv *kv, tears_status status, struct tears_error *error_out)
{
    const uint64_t now = t3_now_us();
    if (status == TEARS_NO_MEMORY)
        return t3_fail_memory(error_out, origin);
    t3_breaker_open(&kv->breaker, now, now);
    if (status == TEARS_UNSUPPORTED)
        return t3_fail(error_out, TEARS_UNAVAILABLE, origin,
                       "the NATS server has no JetStream for this account");
    return t3_fail(error_out, status, origin, "bucket '%s' cannot be opened: the server %s",
                   kv->bucket, status == TEARS_TIMEOUT ? "does not answer" : "went away");
}

static tears_status find_or_create(struct t3_kv *kv, struct tears_error *error_out)
{
    struct t3_kv_settings found = {0};
    int64_t code = 0;
    const uint64_t losses = t3_nats_losses(kv->options.prompt);
    tears_status status = ask_stream(kv, "INFO", tears_str_n("", 0), &found, &code);
    if (status == TEARS_OK && code == T3_JS_NO_STREAM)
        status = create_bucket(kv, &found, &code);
    if (status != TEARS_OK)
        return ask_failed(kv, status, error_out);
    if (code != 0) {
        const uint64_t now = t3_now_us();
        t3_breaker_open(&kv->breaker, now, now); /* it will not be better for the next caller */
        return t3_fail_detail(error_out, TEARS_UNAVAILABLE, origin, (int32_t)code, "",
                              "bucket '%s' cannot be created: JetStream error %d", kv->bucket,
                              (int)code);
    }
    log_differences(kv, &found);
    t3_breaker_close(&kv->breaker);
    atomic_store_explicit(&kv->bucket_is_suspect, false, memory_order_relaxed);
    atomic_store_explicit(
        &kv->age_max_ms, found.max_age_ns > 0 ? ((uint64_t)found.max_age_ns + 999999) / 1000000 : 0,
        memory_order_relaxed);
    atomic_store_explicit(&kv->bucket_losses, losses, memory_order_relaxed);
    /* Any replica answers a direct get, one that lags too: then an own write seems undone. */
    const bool is_direct = found.allow_direct && found.replicas <= 1;
    atomic_store_explicit(&kv->bucket_state, is_direct ? KV_BUCKET_DIRECT : KV_BUCKET_INDIRECT,
                          memory_order_release);
    return TEARS_OK;
}

/* Not after a reconnect: a server that was restarted has lost what it had in memory. */
static bool bucket_is_known(struct t3_kv *kv)
{
    return atomic_load_explicit(&kv->bucket_state, memory_order_acquire) != KV_BUCKET_UNKNOWN &&
           atomic_load_explicit(&kv->bucket_losses, memory_order_relaxed) ==
               t3_nats_losses(kv->options.prompt);
}

/* One thread asks, for all who wait. */
static void run_opening(void *owner, struct t3_combine_item **items, size_t count)
{
    struct t3_kv *kv = owner;
    struct tears_error error = {0};
    const tears_status status = bucket_is_known(kv) ? TEARS_OK : find_or_create(kv, &error);
    for (size_t i = 0; i < count; i++) {
        struct opening_call *call = (struct opening_call *)(void *)items[i];
        call->status = status;
        call->error = error;
    }
}

static bool is_connected(const struct t3_kv *kv)
{
    return t3_nats_is_connected(kv->options.prompt) && t3_nats_is_connected(kv->options.pumped) &&
           t3_nats_is_connected(kv->options.gathering);
}

static tears_status check_usable(struct t3_kv *kv, struct tears_error *error_out)
{
    if (!is_connected(kv))
        return t3_fail(error_out, TEARS_UNAVAILABLE, origin, "not connected to NATS");
    if (!t3_breaker_allows(&kv->breaker, t3_now_us()))
        return t3_fail(error_out, TEARS_UNAVAILABLE, origin,
                       "NATS does not answer; not asked again for a moment");
    return TEARS_OK;
}

/* The caller has checked that the connection is usable. */
static tears_status open_bucket(struct t3_kv *kv, struct t3_deadline deadline,
                                struct tears_error *error_out)
{
    if (T3_LIKELY(bucket_is_known(kv)))
        return TEARS_OK;
    struct opening_call call = {.status = TEARS_OK};
    if (t3_combine_call(&kv->opening, &call.item, deadline) != TEARS_OK)
        return t3_fail(error_out, TEARS_TIMEOUT, origin,
                       "the deadline passed while bucket '%s' was opened", kv->bucket);
    if (call.status != TEARS_OK && error_out != NULL)
        *error_out = call.error;
    return call.status;
}

tears_status t3_kv_open_bucket(struct t3_kv *kv, struct t3_deadline deadline,
                               struct tears_error *error_out)
{
    T3_TRY(check_usable(kv, error_out));
    return open_bucket(kv, deadline, error_out);
}

void t3_kv_forget_bucket(struct t3_kv *kv)
{
    atomic_store_explicit(&kv->bucket_state, KV_BUCKET_UNKNOWN, memory_order_release);
}

tears_status t3_kv_settings(struct t3_kv *kv, struct t3_deadline deadline,
                            struct t3_kv_settings *settings_out, struct tears_error *error_out)
{
    (void)deadline; /* one round trip of at most wait_ms */
    T3_TRY(check_usable(kv, error_out));
    int64_t code = 0;
    const tears_status status = ask_stream(kv, "INFO", tears_str_n("", 0), settings_out, &code);
    if (status != TEARS_OK)
        return ask_failed(kv, status, error_out);
    if (code == T3_JS_NO_STREAM)
        return t3_fail(error_out, TEARS_NOT_FOUND, origin, "there is no bucket '%s'", kv->bucket);
    if (code != 0)
        return t3_fail_detail(error_out, TEARS_UNAVAILABLE, origin, (int32_t)code, "",
                              "JetStream error %d", (int)code);
    return TEARS_OK;
}

/* -- calls --------------------------------------------------------------------------------- */

static void clear_results(struct t3_kv *kv, struct t3_kv_request *request)
{
    request->kv = kv;
    request->outcome = T3_KV_FAILED;
    request->status = TEARS_UNAVAILABLE;
    request->revision = 0;
    request->code = 0;
    request->found = tears_str_n("", 0);
    request->found_has_version = false;
    request->found_is_own = false;
    request->found_is_fill = false;
    request->found_is_dirty = false;
    request->found_lease_ms = 0;
    request->found_epoch = tears_str_n("", 0);
    request->found_origin = tears_str_n("", 0);
    request->reply = NULL;
    request->decoded = NULL;
    request->is_pending = false;
    request->is_unread = false;
    request->is_delivered = false;
    request->bucket_missing = false;
    request->bucket_suspect = false;
}

static void fail_all(struct t3_kv_request **requests, size_t count, tears_status status)
{
    for (size_t i = 0; i < count; i++) {
        requests[i]->outcome = T3_KV_FAILED;
        requests[i]->status = status;
    }
}

/* Runs the requests once, in a batch with others or alone. */
static tears_status run_once(struct t3_kv *kv, const struct t3_kv_call *call,
                             struct t3_kv_request **requests, size_t count,
                             struct tears_error *error_out)
{
    tears_status status = check_usable(kv, error_out);
    if (status == TEARS_OK)
        status = open_bucket(kv, call->deadline, error_out);
    if (status == TEARS_OK) {
        struct queued_call queued = {.call = call, .requests = requests, .count = count};
        const bool is_small = count <= KV_SMALL_REQUESTS_MAX;
        status = t3_combine_call(is_small ? &kv->small : &kv->large, &queued.item, call->deadline);
        if (status != TEARS_OK)
            (void)t3_fail(error_out, status, origin, "the deadline passed before NATS was asked");
    }
    if (status != TEARS_OK)
        fail_all(requests, count, status);
    return status;
}

static void deliver(const struct t3_kv_call *call, struct t3_kv_request *request)
{
    if (call->answered == NULL || request->outcome == T3_KV_FAILED || request->is_delivered)
        return;
    request->is_delivered = true;
    call->answered(call->owner, request);
}

/* Whether it makes sense to run the request again: it surely has not happened, or does not matter
 * if it has. */
static bool is_worth_another_run(const struct t3_kv_call *call, const struct t3_kv_request *request)
{
    if (request->outcome != T3_KV_FAILED)
        return false;
    return request->bucket_missing ||
           (request->verb == T3_KV_GET && request->status == TEARS_TIMEOUT &&
            !t3_deadline_passed(call->deadline)); /* a neighbour in the batch had less time */
}

/* Reads what came, hands it out, and moves what is to run again to the front; gives the number of
 * those. */
static size_t settle(struct t3_kv *kv, const struct t3_kv_call *call,
                     struct t3_kv_request **requests, size_t count)
{
    size_t again = 0;
    bool is_missing = false;
    bool is_suspect = false;
    for (size_t i = 0; i < count; i++) {
        struct t3_kv_request *request = requests[i];
        t3_kv_message_read(kv, request);
        deliver(call, request);
        is_missing = is_missing || request->bucket_missing;
        is_suspect = is_suspect || request->bucket_suspect;
        if (is_worth_another_run(call, request))
            requests[again++] = request;
    }
    if (is_suspect)
        atomic_store_explicit(&kv->bucket_is_suspect, true, memory_order_relaxed);
    if (is_missing || is_suspect)
        t3_kv_forget_bucket(kv);
    return again;
}

/* The bucket is there and the server speaks, but direct gets stay unanswered: no more of them for a
 * moment. */
static bool gives_up(struct t3_kv *kv, struct t3_kv_request **requests, size_t count, size_t runs)
{
    if (runs == RUNS_MAX || count == 0)
        return true;
    if (runs == 1 || !requests[0]->bucket_suspect)
        return false;
    const uint64_t now = t3_now_us();
    t3_breaker_open(&kv->breaker, now, now);
    return true;
}

static tears_status run_requests(struct t3_kv *kv, const struct t3_kv_call *call,
                                 struct t3_kv_request **requests, size_t count,
                                 struct tears_error *error_out)
{
    for (size_t runs = 1; count > 0; runs++) {
        T3_TRY(run_once(kv, call, requests, count, error_out));
        count = settle(kv, call, requests, count);
        if (gives_up(kv, requests, count, runs))
            break;
        for (size_t i = 0; i < count; i++) {
            t3_kv_release(requests[i], 1);
            clear_results(kv, requests[i]);
        }
    }
    return TEARS_OK;
}

/* The first failure that the server caused. */
static tears_status first_failure(const struct t3_kv_call *call, struct tears_error *error_out)
{
    for (size_t i = 0; i < call->count; i++) {
        const struct t3_kv_request *request = &call->requests[i];
        if (request->outcome != T3_KV_FAILED || request->status == TEARS_LIMIT ||
            request->status == TEARS_INVALID)
            continue;
        if (request->status == TEARS_NO_MEMORY)
            return t3_fail_memory(error_out, origin);
        return t3_fail(error_out, request->status, origin, "no answer from NATS for key '%s': %s",
                       request->key, tears_status_text(request->status));
    }
    return TEARS_OK;
}

tears_status t3_kv_run(struct t3_kv *kv, const struct t3_kv_call *call,
                       struct tears_error *error_out)
{
    struct t3_kv_request *few[KV_SMALL_REQUESTS_MAX];
    T3_AUTO(t3_free_auto) struct t3_kv_request **many = NULL;
    for (size_t i = 0; i < call->count; i++)
        clear_results(kv, &call->requests[i]);
    if (call->count > KV_SMALL_REQUESTS_MAX) {
        many = t3_alloc(call->count * sizeof many[0]);
        if (many == NULL) {
            for (size_t i = 0; i < call->count; i++)
                call->requests[i].status = TEARS_NO_MEMORY;
            return t3_fail_memory(error_out, origin);
        }
    }
    struct t3_kv_request **requests = many != NULL ? many : few;
    size_t count = 0;
    for (size_t i = 0; i < call->count; i++) {
        if (t3_kv_message_is_sendable(kv, &call->requests[i]))
            requests[count++] = &call->requests[i];
        else
            deliver(call, &call->requests[i]);
    }
    T3_TRY(run_requests(kv, call, requests, count, error_out));
    return first_failure(call, error_out);
}

void t3_kv_release(struct t3_kv_request *requests, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (count <= KV_SMALL_REQUESTS_MAX)
            t3_kv_message_bury(requests[i].kv, requests[i].reply);
        else
            natsMsg_Destroy(requests[i].reply);
        t3_free(requests[i].decoded);
        requests[i].reply = NULL;
        requests[i].decoded = NULL;
    }
}

void t3_kv_set_epoch(struct t3_kv *kv, const char *epoch)
{
    uint64_t number = 0;
    if (!t3_kv_parse_epoch(tears_str_c(epoch), &number))
        number = 0;
    atomic_store_explicit(&kv->epoch, number, memory_order_relaxed);
}

uint64_t t3_kv_age_max_ms(struct t3_kv *kv)
{
    return atomic_load_explicit(&kv->age_max_ms, memory_order_relaxed);
}

bool t3_kv_is_usable(struct t3_kv *kv)
{
    return is_connected(kv) && t3_breaker_is_closed(&kv->breaker);
}

tears_status t3_kv_send(struct t3_kv *kv, const struct t3_kv_request *request, const char *reply_to)
{
    struct t3_kv_request copy = *request;
    clear_results(kv, &copy);
    if (!t3_kv_message_is_sendable(kv, &copy))
        return copy.outcome == T3_KV_REFUSED ? TEARS_LIMIT : copy.status;
    return t3_kv_message_send(kv, &copy, kv->options.gathering, reply_to);
}

/* -- beginning and end --------------------------------------------------------------------- */

static void write_subjects(struct t3_kv *kv)
{
    const char *bucket = kv->bucket;
    snprintf(kv->direct_prefix, sizeof kv->direct_prefix, "$JS.API.DIRECT.GET.KV_%s.$KV.%s.",
             bucket, bucket);
    snprintf(kv->stored_get, sizeof kv->stored_get, "$JS.API.STREAM.MSG.GET.KV_%s", bucket);
    snprintf(kv->subject_prefix, sizeof kv->subject_prefix, "$KV.%s.", bucket);
}

tears_status t3_kv_new(const struct t3_kv_options *options, struct t3_kv **kv_out,
                       struct tears_error *error_out)
{
    const struct tears_str bucket = tears_str_c(options->bucket);
    if (!t3_kv_bucket_name_is_good(bucket))
        return t3_fail(error_out, TEARS_INVALID, origin,
                       "'" T3_STR_FMT "' cannot name a bucket: letters, digits, '-' and '_' only, "
                       "at most %d",
                       T3_STR_ARG(bucket), T3_KV_BUCKET_BYTES_MAX);
    struct t3_kv *kv = t3_alloc_zero(1, sizeof *kv);
    if (kv == NULL)
        return t3_fail_memory(error_out, origin);
    kv->options = *options;
    memcpy(kv->bucket, bucket.ptr, bucket.len);
    const size_t writer_len = strlen(options->writer);
    if (writer_len < sizeof kv->writer)
        memcpy(kv->writer, options->writer, writer_len);
    write_subjects(kv);
    t3_mutex_init(&kv->mutex);
    t3_combine_init(&kv->small, KV_SMALL_RUNNING_MAX, KV_SMALL_CALLS_MAX, run_small, kv);
    t3_combine_init(&kv->large, KV_LARGE_RUNNING_MAX, 1, run_large, kv);
    t3_combine_init(&kv->opening, 1, KV_SMALL_CALLS_MAX, run_opening, kv);
    kv->small_inbox.nats = options->pumped;
    for (size_t i = 0; i < KV_LARGE_RUNNING_MAX; i++)
        kv->large_inboxes[i].nats = options->gathering;
    *kv_out = kv;
    return TEARS_OK;
}

void t3_kv_free(struct t3_kv *kv)
{
    if (kv == NULL)
        return;
    t3_kv_messages_empty_graves(kv, 0);
    t3_kv_inbox_done(&kv->small_inbox);
    for (size_t i = 0; i < KV_LARGE_RUNNING_MAX; i++)
        t3_kv_inbox_done(&kv->large_inboxes[i]);
    t3_combine_done(&kv->opening);
    t3_combine_done(&kv->large);
    t3_combine_done(&kv->small);
    t3_mutex_done(&kv->mutex);
    t3_free(kv);
}
