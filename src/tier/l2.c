/*
 * l2.c -- the shared tier as a whole: its connections, bucket, notices.
 *
 * Owns:     three connections, the bucket's driver, the bus, the feed (l2_feed.c).
 * Must not know: in which order tiers are asked.
 * Threads:  any; news come on threads of the NATS library, through the sink.
 * Fails:    TEARS_INVALID for options; a server that is away is no failure.
 * Begin at: t3_l2_open().
 */
#include "tier/l2_impl.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "base/str.h"
#include "codec/notice.h"

#include <stdio.h>

static const char origin[] = "l2";

enum { FIRST_PROOF_MS_MAX = 300 };

/* -- news from below ----------------------------------------------------------------------- */

static void on_connected(void *owner)
{
    struct t3_l2 *l2 = owner;
    t3_l2_feed_connected(l2);
    if (l2->sink.reconnected != NULL)
        l2->sink.reconnected(l2->sink.owner);
}

static void on_message(void *owner, struct tears_str payload)
{
    struct t3_l2 *l2 = owner;
    if (l2->sink.notice != NULL)
        l2->sink.notice(l2->sink.owner, payload);
}

/* -- beginning and end --------------------------------------------------------------------- */

static tears_status set_names(struct t3_l2 *l2, const struct t3_l2_options *options,
                              struct tears_error *error_out)
{
    static const char suffix[] = "-collections";
    const struct tears_str name = options->namespace_name;
    if (!t3_kv_bucket_name_is_good(name) || name.len + sizeof suffix - 1 > T3_KV_BUCKET_BYTES_MAX)
        return t3_fail(error_out, TEARS_INVALID, origin,
                       "namespace '" T3_STR_FMT "' cannot name a bucket: letters, digits, '-' and "
                       "'_' only, at most %d bytes",
                       T3_STR_ARG(name), (int)(T3_KV_BUCKET_BYTES_MAX - sizeof suffix + 1));
    if (options->origin.len > L2_ORIGIN_BYTES_MAX)
        return t3_fail(error_out, TEARS_INVALID, origin, "the origin is longer than %d bytes",
                       L2_ORIGIN_BYTES_MAX);
    const int len = (int)name.len;
    snprintf(l2->bucket, sizeof l2->bucket, "%.*s%s", len, name.ptr, suffix);
    snprintf(l2->dead_subject, sizeof l2->dead_subject, "%.*s.deadletter.%s", len, name.ptr,
             T3_NOTICE_SUBJECT);
    if (options->origin.len > 0)
        memcpy(l2->origin, options->origin.ptr, options->origin.len);
    return TEARS_OK;
}

static tears_status set_wanted(struct t3_l2 *l2, const struct t3_l2_options *options,
                               struct tears_error *error_out)
{
    const struct tears_str storage = options->storage;
    const bool on_file = t3_str_is(storage, "file");
    if (!on_file && storage.len > 0 && !t3_str_is(storage, "memory"))
        return t3_fail(error_out, TEARS_INVALID, origin,
                       "storage '" T3_STR_FMT "' is neither \"memory\" nor \"file\"",
                       T3_STR_ARG(storage));
    l2->wanted = t3_kv_settings_wanted(on_file, options->replicas);
    l2->wait_ms = options->wait_ms != 0 ? options->wait_ms : 500;
    l2->sink = options->sink;
    l2->log = options->log;
    return TEARS_OK;
}

static tears_status open_connections(struct t3_l2 *l2, const struct t3_l2_options *options,
                                     struct tears_error *error_out)
{
    struct t3_nats_options nats = {
        .url = options->url,
        .creds_file = options->creds_file,
        .tls_ca_file = options->tls_ca_file,
        .tls_cert_file = options->tls_cert_file,
        .tls_key_file = options->tls_key_file,
        .name = "libtears-kv",
        .log = options->log,
    };
    T3_TRY(t3_nats_open(&nats, &l2->gathering, error_out));
    nats.name = "libtears-get";
    nats.pumped = true;
    T3_TRY(t3_nats_open(&nats, &l2->pumped, error_out));
    nats.name = "libtears-bus";
    nats.pumped = false;
    nats.prompt = true;
    nats.connected = on_connected;
    nats.owner = l2;
    return t3_nats_open(&nats, &l2->prompt, error_out);
}

/* Follows the bucket.  What is read before the first proof would have to be read again, so that is waited for, if the server is there. */
static tears_status open_feed(struct t3_l2 *l2, uint64_t probe_ms, struct tears_error *error_out)
{
    struct tears_error error = {0};
    const tears_status status =
        t3_kv_open_bucket(l2->kv, t3_deadline_in_ms(3 * l2->wait_ms), &error);
    if (status == TEARS_NO_MEMORY)
        return t3_fail_memory(error_out, origin);
    T3_TRY(t3_l2_feed_start(l2, probe_ms, error_out));
    if (status == TEARS_OK)
        t3_l2_feed_wait(
            l2,
            t3_deadline_in_ms(l2->wait_ms < FIRST_PROOF_MS_MAX ? l2->wait_ms : FIRST_PROOF_MS_MAX));
    else /* the first operation that can will open it */
        t3_log(l2->log, TEARS_LOG_WARN, origin, "%s", error.message);
    return TEARS_OK;
}

static tears_status start(struct t3_l2 *l2, const struct t3_l2_options *options,
                          struct tears_error *error_out)
{
    T3_TRY(set_names(l2, options, error_out));
    T3_TRY(set_wanted(l2, options, error_out));
    T3_TRY(open_connections(l2, options, error_out));
    const struct t3_kv_options kv = {
        .prompt = l2->prompt,
        .pumped = l2->pumped,
        .gathering = l2->gathering,
        .bucket = l2->bucket,
        .writer = l2->origin,
        .wanted = l2->wanted,
        .wait_ms = l2->wait_ms,
        .log = l2->log,
    };
    T3_TRY(t3_kv_new(&kv, &l2->kv, error_out));
    const struct t3_bus_sink sink = {
        .message = on_message,
        .answer = t3_l2_fill_answered,
        .owner = l2,
    };
    T3_TRY(t3_bus_new(l2->prompt, T3_NOTICE_SUBJECT, &sink, &l2->bus, error_out));
    return open_feed(l2, options->probe_ms, error_out);
}

tears_status t3_l2_open(const struct t3_l2_options *options, struct t3_l2 **l2_out,
                        struct tears_error *error_out)
{
    struct t3_l2 *l2 = t3_alloc_zero(1, sizeof *l2);
    if (l2 == NULL)
        return t3_fail_memory(error_out, origin);
    t3_mutex_init(&l2->dead_mutex);
    t3_l2_feed_init(l2);
    tears_status status = t3_l2_fills_init(l2);
    const tears_status observed = t3_l2_observed_init(l2);
    status = status == TEARS_OK ? observed : status;
    if (status != TEARS_OK)
        (void)t3_fail_memory(error_out, origin);
    else
        status = start(l2, options, error_out);
    if (status != TEARS_OK) {
        t3_l2_free(l2);
        return status;
    }
    *l2_out = l2;
    return TEARS_OK;
}

void t3_l2_free(struct t3_l2 *l2)
{
    if (l2 == NULL)
        return;
    t3_bus_free(l2->bus); /* first: its callbacks use all the others */
    t3_l2_feed_stop(l2);  /* needs the connection to tidy up on the server */
    t3_kv_free(l2->kv);
    t3_nats_free(l2->prompt);
    t3_nats_free(l2->pumped);
    t3_nats_free(l2->gathering);
    t3_l2_fills_done(l2);
    t3_l2_observed_done(l2);
    t3_l2_feed_done(l2);
    t3_mutex_done(&l2->dead_mutex);
    t3_free(l2);
}

bool t3_l2_is_connected(struct t3_l2 *l2)
{
    return t3_kv_is_usable(l2->kv);
}

void t3_l2_set_only_copy(struct t3_l2 *l2)
{
    atomic_store_explicit(&l2->is_only_copy, true, memory_order_relaxed);
}

/* -- notices ------------------------------------------------------------------------------- */

tears_status t3_l2_notify(struct t3_l2 *l2, const struct tears_schema *schema,
                          const struct t3_key *keys, size_t count, struct tears_error *error_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf message = {0};
    for (size_t i = 0; i < count; i++) {
        t3_buf_clear(&message);
        tears_status status = t3_notice_encode(schema->name, keys[i].values, keys[i].count,
                                               tears_str_c(l2->origin), &message);
        if (status == TEARS_OK)
            status = t3_bus_publish(l2->bus, T3_NOTICE_SUBJECT, t3_buf_str(&message));
        if (status == TEARS_NO_MEMORY)
            return t3_fail_memory(error_out, origin);
        if (status != TEARS_OK)
            return t3_fail(error_out, TEARS_UNAVAILABLE, origin,
                           "the other processes could not be told of a change in '" T3_STR_FMT "'",
                           T3_STR_ARG(schema->name));
    }
    return TEARS_OK;
}

/* Whether one more may be sent now: every receiver answers a bad message, and a flood of those must
 * not be doubled. */
static bool dead_letter_is_due(struct t3_l2 *l2)
{
    const uint64_t now_ms = t3_now_coarse_ms();
    t3_lock(&l2->dead_mutex);
    if (now_ms - l2->dead_window_ms >= L2_DEAD_LETTER_MS) {
        l2->dead_window_ms = now_ms;
        l2->dead_in_window = 0;
    }
    const bool is_due = l2->dead_in_window < L2_DEAD_LETTERS_MAX;
    l2->dead_in_window += is_due ? 1 : 0;
    t3_unlock(&l2->dead_mutex);
    return is_due;
}

void t3_l2_dead_letter(struct t3_l2 *l2, struct tears_str payload, const char *error_type,
                       const char *error_message)
{
    T3_AUTO(t3_buf_done) struct t3_buf envelope = {0};
    if (!dead_letter_is_due(l2))
        return;
    const tears_status status = t3_dead_letter_encode(
        TEARS_STR(T3_NOTICE_SUBJECT), payload, tears_str_c(error_type), tears_str_c(error_message),
        TEARS_STR("libtears"), t3_calendar_us(), &envelope);
    if (status == TEARS_OK) /* a dead letter that cannot be sent is lost, as a notice would be */
        (void)t3_bus_publish(l2->bus, l2->dead_subject, t3_buf_str(&envelope));
}

/* -- counters ------------------------------------------------------------------------------ */

static uint64_t value_of(_Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void t3_l2_stats(struct t3_l2 *l2, struct t3_l2_stats *stats_out)
{
    stats_out->puts = value_of(&l2->puts);
    stats_out->put_conflicts = value_of(&l2->put_conflicts);
    stats_out->fills = value_of(&l2->fill_count);
    stats_out->fills_lost = value_of(&l2->fills_lost);
    stats_out->damaged = value_of(&l2->damaged);
    struct t3_follow_stats feed;
    t3_l2_feed_stats(l2, &feed);
    stats_out->feed_gaps = feed.gaps;
    stats_out->feed_losses = feed.losses;
}
