/*
 * fake_kv.c -- driver/kv.h over the simulated server.
 *
 * Owns:     the exchanges under way.
 * Must not know: rows.
 * Threads:  fibers of the process; answers come as events.
 * Fails:    as the driver does: UNAVAILABLE without a connection, TIMEOUT when an answer does not come, and then the
 *           request may have been carried out, or may be carried out later.
 * Begin at: t3_kv_run().
 */
#include "fake_kv.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "driver/breaker.h"
#include "driver/bus.h"
#include "driver/kv_list.h"
#include "fake_nats.h"
#include "fiber.h"
#include "judge.h"
#include "seams.h"

#include <stdio.h>
#include <string.h>

static const char origin[] = "l2.kv";

enum { RUNS_MAX = 3 };

struct t3_kv {
    struct t3_kv *next;
    struct sim_process *process;
    struct t3_kv_options options;
    char writer[SIM_TEXT_BYTES];
    char epoch[T3_KV_EPOCH_BYTES + 1];
    bool knows_bucket;
    struct t3_breaker breaker;
    struct exchange *exchanges; /* waited for */
};

/* One request on its way. */
struct trip {
    struct exchange *exchange;
    bool is_get;
    char key[SIM_KEY_BYTES];
    struct sim_put *put;
    struct sim_message found; /* get; revision 0: nothing */
    bool has_arrived;         /* the answer */
    bool bucket_missing;
};

struct exchange {
    struct exchange *next;
    struct t3_kv *kv;
    enum sim_link_name link;
    struct trip *trips;
    size_t count;
    size_t arrived;
    bool is_over; /* nobody waits any more */
    bool was_cut; /* the connection is lost */
};

static struct t3_kv *all;

void sim_kv_begin(void)
{
    all = NULL;
}

/* -- beginning and end --------------------------------------------------------------------- */

tears_status t3_kv_new(const struct t3_kv_options *options, struct t3_kv **kv_out,
                       struct tears_error *error_out)
{
    struct t3_kv *kv = sim_alloc(sizeof *kv);
    (void)error_out;
    kv->process = sim_here();
    kv->options = *options;
    snprintf(kv->writer, sizeof kv->writer, "%s", options->writer);
    kv->next = all;
    all = kv;
    *kv_out = kv;
    return TEARS_OK;
}

void t3_kv_free(struct t3_kv *kv)
{
    if (kv != NULL)
        T3_ASSERT(kv->exchanges == NULL);
}

void t3_kv_set_epoch(struct t3_kv *kv, const char *epoch)
{
    snprintf(kv->epoch, sizeof kv->epoch, "%s", epoch);
}

void t3_kv_forget_bucket(struct t3_kv *kv)
{
    kv->knows_bucket = false;
}

uint64_t t3_kv_age_max_ms(struct t3_kv *kv)
{
    (void)kv;
    return 0;
}

bool t3_kv_is_usable(struct t3_kv *kv)
{
    return kv->process->is_connected && t3_breaker_is_closed(&kv->breaker);
}

/* -- messages ------------------------------------------------------------------------------ */

static void copy_text(char *to, size_t size, struct tears_str text)
{
    T3_ASSERT(text.len < size);
    memcpy(to, text.len > 0 ? text.ptr : "", text.len);
    to[text.len] = '\0';
}

struct sim_put *sim_put_of(const struct t3_kv_request *request, const char *writer,
                           const char *epoch)
{
    struct sim_put *put = sim_alloc(sizeof *put);
    struct sim_message *message = &put->message;
    message->from = sim_here();
    copy_text(message->key, sizeof message->key, tears_str_c(request->key));
    copy_text(message->ids, sizeof message->ids, request->ids);
    copy_text(message->origin, sizeof message->origin, tears_str_c(writer));
    copy_text(message->epoch, sizeof message->epoch, tears_str_c(epoch));
    if (request->verb == T3_KV_PUT) {
        copy_text(message->value, sizeof message->value, request->value);
        message->value_len = request->value.len;
    }
    message->is_marker = request->verb == T3_KV_DELETE;
    message->has_version = request->has_version;
    message->version = request->version;
    message->is_fill = request->is_fill;
    message->lease_ms = request->lease_ms;
    put->expected = request->expected;
    return put;
}

/* -- one request --------------------------------------------------------------------------- */

static void on_answer(void *owner)
{
    struct trip *trip = owner;
    struct exchange *exchange = trip->exchange;
    if (exchange->is_over || trip->has_arrived)
        return;
    trip->has_arrived = true;
    exchange->arrived++;
    if (exchange->arrived == exchange->count)
        sim_wake(exchange, 1, true);
}

static void on_request(void *owner)
{
    struct trip *trip = owner;
    struct t3_kv *kv = trip->exchange->kv;
    trip->bucket_missing = !sim_stream.exists;
    if (!sim_stream.exists) {
        sim_send_down(kv->process, trip->exchange->link, on_answer, trip);
        return;
    }
    if (trip->is_get) {
        /* with replicas the library asks the leader, and a follower's answer is not possible */
        const struct sim_message *found = sim_server_find_anywhere(trip->key);
        if (found != NULL)
            trip->found = *found;
    } else {
        sim_server_put(trip->put);
    }
    if (!trip->is_get && sim_fault(SIM_ACK_LOST)) {
        sim_tally.acks_lost++;
        return;
    }
    sim_send_down(kv->process, trip->exchange->link, on_answer, trip);
}

static void send_trip(struct trip *trip)
{
    struct exchange *exchange = trip->exchange;
    if (sim_fault(SIM_REQUEST_LOST)) {
        sim_tally.requests_lost++;
        return;
    }
    sim_send_up(exchange->kv->process, exchange->link, on_request, trip);
}

/* -- results ------------------------------------------------------------------------------- */

static void clear(struct t3_kv *kv, struct t3_kv_request *request)
{
    request->kv = kv;
    request->outcome = T3_KV_FAILED;
    request->status = TEARS_UNAVAILABLE;
    request->revision = 0;
    request->code = 0;
    request->found = tears_str_n("", 0);
    request->found_has_version = false;
    request->found_version = 0;
    request->found_is_own = false;
    request->found_is_fill = false;
    request->found_lease_ms = 0;
    request->found_epoch = tears_str_n("", 0);
    request->found_origin = tears_str_n("", 0);
    request->reply = NULL;
    request->decoded = NULL;
    request->is_delivered = false;
}

static void give_found(const struct t3_kv *kv, const struct sim_message *found,
                       struct t3_kv_request *request)
{
    if (found->revision == 0) {
        request->outcome = T3_KV_ABSENT;
        return;
    }
    struct sim_message *copy = t3_alloc(sizeof *copy);
    if (copy == NULL) {
        request->status = TEARS_NO_MEMORY;
        return;
    }
    *copy = *found;
    request->reply = copy;
    request->outcome = found->is_marker ? T3_KV_MARKER : T3_KV_VALUE;
    request->revision = found->revision;
    request->found = tears_str_n(copy->value, copy->value_len);
    request->found_has_version = copy->has_version;
    request->found_version = copy->version;
    request->found_is_own = kv->writer[0] != '\0' && strcmp(copy->origin, kv->writer) == 0;
    request->found_is_fill = copy->is_fill;
    request->found_lease_ms = copy->lease_ms;
    request->found_epoch = tears_str_c(copy->epoch);
    request->found_origin = tears_str_c(copy->origin);
}

static void give_result(const struct exchange *exchange, const struct trip *trip,
                        struct t3_kv_request *request)
{
    if (!trip->has_arrived) {
        request->status = exchange->was_cut ? TEARS_UNAVAILABLE : TEARS_TIMEOUT;
        return;
    }
    if (trip->bucket_missing)
        return;
    if (trip->is_get) {
        give_found(exchange->kv, &trip->found, request);
        return;
    }
    request->outcome = trip->put->outcome;
    request->revision = trip->put->revision;
    request->code = trip->put->code;
}

/* -- an exchange --------------------------------------------------------------------------- */

static struct exchange *exchange_new(struct t3_kv *kv, struct t3_kv_request **requests,
                                     size_t count)
{
    enum { SMALL_MAX = 16 };
    struct exchange *exchange = sim_alloc(sizeof *exchange);
    exchange->kv = kv;
    exchange->link = count <= SMALL_MAX ? SIM_LINK_PUMPED : SIM_LINK_GATHERING;
    exchange->count = count;
    exchange->trips = sim_alloc(count * sizeof exchange->trips[0]);
    for (size_t i = 0; i < count; i++) {
        struct trip *trip = &exchange->trips[i];
        trip->exchange = exchange;
        trip->is_get = requests[i]->verb == T3_KV_GET;
        copy_text(trip->key, sizeof trip->key, tears_str_c(requests[i]->key));
        if (!trip->is_get)
            trip->put = sim_put_of(requests[i], kv->writer, kv->epoch);
    }
    return exchange;
}

static void wait_for_answers(struct exchange *exchange, struct t3_deadline deadline)
{
    struct t3_kv *kv = exchange->kv;
    const uint64_t sent_us = t3_now_us();
    const struct t3_deadline until = t3_deadline_at_most_ms(deadline, kv->options.wait_ms);
    exchange->next = kv->exchanges;
    kv->exchanges = exchange;
    while (exchange->arrived < exchange->count && !exchange->was_cut && !t3_deadline_passed(until))
        (void)sim_wait(exchange, 1, sim_world_us(kv->process, until.at_us));
    exchange->is_over = true;
    struct exchange **link = &kv->exchanges;
    while (*link != exchange)
        link = &(*link)->next;
    *link = exchange->next;
    if (exchange->arrived > 0) {
        t3_breaker_close(&kv->breaker);
    } else if (!exchange->was_cut) {
        t3_breaker_open(&kv->breaker, sent_us, t3_now_us());
    }
}

void sim_kv_lost(struct sim_process *process)
{
    for (struct t3_kv *kv = all; kv != NULL; kv = kv->next)
        for (struct exchange *one = kv->process == process ? kv->exchanges : NULL; one != NULL;
             one = one->next) {
            one->was_cut = true;
            sim_wake(one, 1, true);
        }
}

static tears_status check_usable(struct t3_kv *kv, struct tears_error *error_out)
{
    if (!kv->process->is_connected)
        return t3_fail(error_out, TEARS_UNAVAILABLE, origin, "not connected to NATS");
    if (!t3_breaker_allows(&kv->breaker, t3_now_us()))
        return t3_fail(error_out, TEARS_UNAVAILABLE, origin, "NATS does not answer");
    return TEARS_OK;
}

/* One round trip. */
static bool ask_for_bucket(struct t3_kv *kv, struct t3_deadline deadline)
{
    const struct t3_deadline until = t3_deadline_at_most_ms(deadline, kv->options.wait_ms);
    const uint64_t at = sim.now_us + sim_latency_us(200);
    const uint64_t until_us = sim_world_us(kv->process, until.at_us);
    sim_sleep_until(at < until_us ? at : until_us);
    return at < until_us && kv->process->is_connected && !kv->process->is_cut;
}

/* Asking for the bucket makes it. */
tears_status t3_kv_open_bucket(struct t3_kv *kv, struct t3_deadline deadline,
                               struct tears_error *error_out)
{
    T3_TRY(check_usable(kv, error_out));
    if (kv->knows_bucket)
        return TEARS_OK;
    const uint64_t asked_us = t3_now_us();
    if (!ask_for_bucket(kv, deadline)) {
        t3_breaker_open(&kv->breaker, asked_us, t3_now_us());
        return t3_fail(error_out, TEARS_TIMEOUT, origin, "the bucket cannot be opened");
    }
    t3_breaker_close(&kv->breaker);
    sim_server_make();
    kv->knows_bucket = true;
    return TEARS_OK;
}

tears_status t3_kv_settings(struct t3_kv *kv, struct t3_deadline deadline,
                            struct t3_kv_settings *settings_out, struct tears_error *error_out)
{
    T3_TRY(t3_kv_open_bucket(kv, deadline, error_out));
    *settings_out = kv->options.wanted;
    return TEARS_OK;
}

/* Runs the requests once; gives how many found no bucket, at the front of the list. */
static size_t run_once(struct t3_kv *kv, const struct t3_kv_call *call,
                       struct t3_kv_request **requests, size_t count)
{
    struct exchange *exchange = exchange_new(kv, requests, count);
    size_t again = 0;
    for (size_t i = 0; i < count; i++)
        send_trip(&exchange->trips[i]);
    wait_for_answers(exchange, call->deadline);
    for (size_t i = 0; i < count; i++) {
        struct t3_kv_request *request = requests[i];
        give_result(exchange, &exchange->trips[i], request);
        if (request->outcome != T3_KV_FAILED && call->answered != NULL)
            call->answered(call->owner, request);
        if (exchange->trips[i].has_arrived && exchange->trips[i].bucket_missing)
            requests[again++] = request;
    }
    if (again > 0)
        kv->knows_bucket = false;
    return again;
}

static tears_status first_failure(const struct t3_kv_call *call, struct tears_error *error_out)
{
    for (size_t i = 0; i < call->count; i++)
        if (call->requests[i].outcome == T3_KV_FAILED)
            return t3_fail(error_out, call->requests[i].status, origin,
                           "no answer from NATS for key '%s'", call->requests[i].key);
    return TEARS_OK;
}

tears_status t3_kv_run(struct t3_kv *kv, const struct t3_kv_call *call,
                       struct tears_error *error_out)
{
    struct t3_kv_request **requests = sim_alloc(call->count * sizeof(void *));
    size_t count = call->count;
    for (size_t i = 0; i < count; i++) {
        clear(kv, &call->requests[i]);
        requests[i] = &call->requests[i];
    }
    for (int runs = 0; count > 0 && runs < RUNS_MAX; runs++) {
        T3_TRY(t3_kv_open_bucket(kv, call->deadline, error_out));
        count = run_once(kv, call, requests, count);
    }
    return first_failure(call, error_out);
}

void t3_kv_release(struct t3_kv_request *requests, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        t3_free(requests[i].reply);
        requests[i].reply = NULL;
    }
}

tears_status t3_kv_list(struct t3_kv *kv, struct tears_str prefix, struct t3_deadline deadline,
                        tears_status (*found)(void *owner, struct tears_str key), void *owner)
{
    T3_TRY(t3_kv_open_bucket(kv, deadline, NULL));
    if (!ask_for_bucket(kv, deadline))
        return TEARS_TIMEOUT;
    for (uint32_t i = 0; i < sim_stream.count; i++) {
        const struct tears_str key = tears_str_c(sim_stream.entries[i].now.key);
        if (key.len > prefix.len && key.ptr[prefix.len] == '.' &&
            memcmp(key.ptr, prefix.ptr, prefix.len) == 0)
            T3_TRY(found(owner, key));
    }
    return TEARS_OK;
}

/* -- puts that nobody waits for ------------------------------------------------------------ */

struct sent {
    struct t3_kv *kv;
    struct sim_put *put;
    char reply_to[T3_BUS_REPLY_BYTES];
};

static void give_ack(void *owner)
{
    const struct sent *sent = owner;
    sim_bus_answer(sent->kv->process, sent->reply_to, sent->put);
}

static void on_sent(void *owner)
{
    struct sent *sent = owner;
    sim_server_put(sent->put);
    if (sim_fault(SIM_ACK_LOST))
        sim_tally.acks_lost++;
    else
        sim_send_down(sent->kv->process, SIM_LINK_PROMPT, give_ack, sent);
}

tears_status t3_kv_send(struct t3_kv *kv, const struct t3_kv_request *request, const char *reply_to)
{
    if (!kv->process->is_connected)
        return TEARS_UNAVAILABLE;
    struct sent *sent = sim_alloc(sizeof *sent);
    sent->kv = kv;
    sent->put = sim_put_of(request, kv->writer, kv->epoch);
    snprintf(sent->reply_to, sizeof sent->reply_to, "%s", reply_to);
    if (sim_fault(SIM_REQUEST_LOST))
        sim_tally.requests_lost++;
    else
        sim_send_up(kv->process, SIM_LINK_GATHERING, on_sent, sent);
    return TEARS_OK;
}
