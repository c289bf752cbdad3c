/*
 * nats_conn.c -- opens, watches and closes one connection of the NATS library.
 *
 * Owns:     a natsConnection and its callbacks.
 * Must not know: what is sent over it.
 * Threads:  any; callbacks come on the NATS library's own thread, one at a time.
 * Fails:    TEARS_INVALID for options that can never work; an absent server is no failure.
 * Begin at: t3_nats_open().
 *
 * Settings, and what goes wrong without them: no reconnect buffer (a publish while disconnected
 * would be accepted, reported as a time-out and applied later); endless reconnects (the default
 * gives up after two minutes); a short ping interval (a hung server would be noticed after four
 * minutes only).
 *
 * nats_Close is never called: the library's threads belong to the process, and the program may use
 * NATS itself.
 */
#include "driver/nats_impl.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "driver/nats_url.h"

#include <tears/client.h>

#include <unistd.h>

static const char origin[] = "l2.nats";

enum {
    CONNECT_MS = 1000,
    RECONNECT_WAIT_MS = 200,
    RECONNECT_JITTER_MS = 100,
    PING_INTERVAL_MS = 2000,
    PINGS_OUT_MAX = 2,
    WRITE_MS = 2000, /* a server that reads nothing is as good as gone */
    CLOSE_WAIT_MS = 10000,
    PASS_WAIT_MS = 100 /* for the reader to come past what it is at */
};

tears_status t3_nats_to_status(natsStatus status)
{
    if (status == NATS_OK)
        return TEARS_OK;
    if (status == NATS_TIMEOUT)
        return TEARS_TIMEOUT;
    if (status == NATS_NO_MEMORY)
        return TEARS_NO_MEMORY;
    if (status == NATS_MAX_PAYLOAD)
        return TEARS_LIMIT;
    return TEARS_UNAVAILABLE;
}

/* -- callbacks, on the library's thread ---------------------------------------------------- */

static void note_connected(struct t3_nats *nats, natsConnection *connection)
{
    const int64_t bytes = natsConnection_GetMaxPayload(connection);
    atomic_store_explicit(&nats->payload_max, bytes > 0 ? (size_t)bytes : 0, memory_order_relaxed);
    atomic_store_explicit(&nats->is_connected, true, memory_order_relaxed);
}

static void on_disconnected(natsConnection *connection, void *closure)
{
    struct t3_nats *nats = closure;
    (void)connection;
    atomic_store_explicit(&nats->is_connected, false, memory_order_relaxed);
    atomic_fetch_add_explicit(&nats->losses, 1, memory_order_release);
    if (!atomic_load_explicit(&nats->stopping, memory_order_relaxed))
        t3_log(nats->options.log, TEARS_LOG_WARN, origin, "connection '%s' lost; trying again",
               nats->options.name);
}

static void on_connected(natsConnection *connection, void *closure)
{
    struct t3_nats *nats = closure;
    note_connected(nats, connection);
    t3_log(nats->options.log, TEARS_LOG_INFO, origin, "connection '%s' established",
           nats->options.name);
    if (nats->options.connected != NULL)
        nats->options.connected(nats->options.owner);
}

static void on_error(natsConnection *connection, natsSubscription *subscription, natsStatus status,
                     void *closure)
{
    struct t3_nats *nats = closure;
    (void)connection;
    (void)subscription;
    t3_log(nats->options.log, TEARS_LOG_WARN, origin, "connection '%s': %s", nats->options.name,
           natsStatus_GetText(status));
}

static void on_closed(natsConnection *connection, void *closure)
{
    struct t3_nats *nats = closure;
    (void)connection;
    if (!atomic_load_explicit(&nats->stopping, memory_order_relaxed))
        t3_log(nats->options.log, TEARS_LOG_ERROR, origin,
               "connection '%s' closed for good: the server refuses it (check the credentials)",
               nats->options.name);
    t3_lock(&nats->mutex);
    nats->closed = true;
    t3_cond_broadcast(&nats->wake);
    t3_unlock(&nats->mutex);
}

/* -- opening ------------------------------------------------------------------------------- */

static void options_done(natsOptions **options)
{
    natsOptions_Destroy(*options);
}

static tears_status set_failed(natsStatus status, const char *what, struct tears_error *error_out)
{
    if (status == NATS_NO_MEMORY)
        return t3_fail_memory(error_out, origin);
    return t3_fail_detail(error_out, TEARS_INVALID, origin, (int32_t)status, "",
                          "%s cannot be used: %s", what, natsStatus_GetText(status));
}

/* A NUL-terminated copy of a file's name; NULL in *name_out when there is none. */
static tears_status file_name(struct t3_arena *arena, struct tears_str name, const char **name_out,
                              struct tears_error *error_out)
{
    *name_out = NULL;
    if (name.len == 0)
        return TEARS_OK;
    struct tears_str copy;
    if (t3_arena_str(arena, name, &copy) != TEARS_OK)
        return t3_fail_memory(error_out, origin);
    if (access(copy.ptr, R_OK) != 0)
        return t3_fail(error_out, TEARS_INVALID, origin, "file '" T3_STR_FMT "' cannot be read",
                       T3_STR_ARG(name));
    *name_out = copy.ptr;
    return TEARS_OK;
}

static tears_status set_security(natsOptions *to, const struct t3_nats_options *options,
                                 bool secure, struct t3_arena *arena, struct tears_error *error_out)
{
    const char *creds;
    const char *ca;
    const char *cert;
    const char *key;
    T3_TRY(file_name(arena, options->creds_file, &creds, error_out));
    T3_TRY(file_name(arena, options->tls_ca_file, &ca, error_out));
    T3_TRY(file_name(arena, options->tls_cert_file, &cert, error_out));
    T3_TRY(file_name(arena, options->tls_key_file, &key, error_out));
    if ((cert == NULL) != (key == NULL))
        return t3_fail(error_out, TEARS_INVALID, origin,
                       "a TLS certificate and its key must be given together");
    natsStatus status = NATS_OK;
    if (creds != NULL)
        status = natsOptions_SetUserCredentialsFromFiles(to, creds, NULL);
    if (status != NATS_OK)
        return set_failed(status, "the credentials file", error_out);
    if (secure || ca != NULL || cert != NULL)
        status = natsOptions_SetSecure(to, true);
    if (status == NATS_OK && ca != NULL)
        status = natsOptions_LoadCATrustedCertificates(to, ca);
    if (status != NATS_OK)
        return set_failed(status, "the TLS authority file", error_out);
    if (cert != NULL)
        status = natsOptions_LoadCertificatesChain(to, cert, key);
    if (status != NATS_OK)
        return set_failed(status, "the TLS certificate", error_out);
    return TEARS_OK;
}

static natsStatus set_timing(natsOptions *to)
{
    natsStatus status = natsOptions_SetTimeout(to, CONNECT_MS);
    if (status == NATS_OK)
        status = natsOptions_SetReconnectWait(to, RECONNECT_WAIT_MS);
    if (status == NATS_OK)
        status = natsOptions_SetReconnectJitter(to, RECONNECT_JITTER_MS, RECONNECT_JITTER_MS);
    if (status == NATS_OK)
        status = natsOptions_SetMaxReconnect(to, -1);
    if (status == NATS_OK)
        status = natsOptions_SetReconnectBufSize(to, 0);
    if (status == NATS_OK)
        status = natsOptions_SetPingInterval(to, PING_INTERVAL_MS);
    if (status == NATS_OK)
        status = natsOptions_SetMaxPingsOut(to, PINGS_OUT_MAX);
    if (status == NATS_OK)
        status = natsOptions_SetWriteDeadline(to, WRITE_MS);
    if (status == NATS_OK)
        status = natsOptions_SetFailRequestsOnDisconnect(to, true);
    return status;
}

static natsStatus set_callbacks(natsOptions *to, struct t3_nats *nats)
{
    natsStatus status = natsOptions_SetErrorHandler(to, on_error, nats);
    if (status == NATS_OK)
        status = natsOptions_SetDisconnectedCB(to, on_disconnected, nats);
    if (status == NATS_OK)
        status = natsOptions_SetReconnectedCB(to, on_connected, nats);
    if (status == NATS_OK)
        status = natsOptions_SetClosedCB(to, on_closed, nats);
    if (status == NATS_OK)
        status = natsOptions_SetRetryOnFailedConnect(to, true, on_connected, nats);
    return status;
}

static tears_status set_options(natsOptions *to, struct t3_nats *nats,
                                const struct t3_nats_urls *urls, struct t3_arena *arena,
                                struct tears_error *error_out)
{
    const struct t3_nats_options *options = &nats->options;
    const char *items[T3_NATS_URLS_MAX];
    memcpy(items, urls->items, sizeof items);
    natsStatus status = natsOptions_SetServers(to, items, urls->count);
    if (status != NATS_OK)
        return set_failed(status, "the NATS URL", error_out);
    status = natsOptions_SetName(to, options->name);
    if (status == NATS_OK && options->prompt)
        status = natsOptions_SetSendAsap(to, true);
    if (status == NATS_OK) /* what we publish is for others: hearing it again would only cost */
        status = natsOptions_SetNoEcho(to, true);
    if (status == NATS_OK)
        status = set_timing(to);
    if (status == NATS_OK)
        status = set_callbacks(to, nats);
    if (status == NATS_OK && nats->pump != NULL)
        status = t3_nats_pump_set(nats->pump, to);
    if (status != NATS_OK)
        return set_failed(status, "a NATS option", error_out);
    return set_security(to, options, urls->secure, arena, error_out);
}

static tears_status connect_to(struct t3_nats *nats, struct tears_error *error_out)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    T3_AUTO(options_done) natsOptions *options = NULL;
    struct t3_nats_urls urls;
    T3_TRY(t3_nats_urls_parse(nats->options.url, &arena, &urls, error_out));
    if (natsOptions_Create(&options) != NATS_OK)
        return t3_fail_memory(error_out, origin);
    T3_TRY(set_options(options, nats, &urls, &arena, error_out));
    const natsStatus status = natsConnection_Connect(&nats->connection, options);
    if (status == NATS_OK) {
        note_connected(nats, nats->connection);
        return TEARS_OK;
    }
    if (status == NATS_NOT_YET_CONNECTED) {
        t3_log(nats->options.log, TEARS_LOG_WARN, origin,
               "connection '%s': no server answers; trying again in the background",
               nats->options.name);
        return TEARS_OK;
    }
    return set_failed(status, "the NATS URL", error_out);
}

static tears_status start_pump(struct t3_nats *nats, struct tears_error *error_out)
{
    if (t3_nats_pump_start(nats->pump, nats->connection))
        return TEARS_OK;
    return t3_fail(error_out, TEARS_LIMIT, origin, "no thread can be started for connection '%s'",
                   nats->options.name);
}

tears_status t3_nats_open(const struct t3_nats_options *options, struct t3_nats **nats_out,
                          struct tears_error *error_out)
{
    struct t3_nats *nats = t3_alloc_zero(1, sizeof *nats);
    if (nats == NULL)
        return t3_fail_memory(error_out, origin);
    nats->options = *options;
    t3_mutex_init(&nats->mutex);
    t3_cond_init(&nats->wake);
    tears_status status = TEARS_OK;
    if (options->pumped && (nats->pump = t3_nats_pump_new()) == NULL)
        status = t3_fail_memory(error_out, origin);
    if (status == TEARS_OK)
        status = connect_to(nats, error_out);
    if (status == TEARS_OK && nats->pump != NULL)
        status = start_pump(nats, error_out);
    if (status != TEARS_OK) {
        t3_nats_free(nats);
        return status;
    }
    *nats_out = nats;
    return TEARS_OK;
}

static void destroy_all(natsSubscription **ended, size_t count)
{
    for (size_t i = 0; i < count; i++)
        natsSubscription_Destroy(ended[i]);
}

/* Waits for the last callback.  False when it does not come, and then nothing may be freed. */
static bool close_and_wait(struct t3_nats *nats)
{
    if (nats->connection == NULL)
        return true;
    atomic_store_explicit(&nats->stopping, true, memory_order_relaxed);
    if (nats->pump != NULL)
        t3_nats_pump_stop(nats->pump);
    natsConnection_Close(nats->connection);
    const struct t3_deadline deadline = t3_deadline_in_ms(CLOSE_WAIT_MS);
    t3_lock(&nats->mutex);
    bool in_time = true;
    while (!nats->closed && in_time)
        in_time = t3_cond_wait(&nats->wake, &nats->mutex, deadline);
    const bool closed = nats->closed;
    t3_unlock(&nats->mutex);
    return closed;
}

void t3_nats_free(struct t3_nats *nats)
{
    if (nats == NULL)
        return;
    if (!close_and_wait(nats)) /* a callback may still come: better a leak than a use after free */
        return;
    destroy_all(nats->ended, nats->ended_count); /* the reader has ended with the connection */
    natsConnection_Destroy(nats->connection);
    t3_nats_pump_free(nats->pump);
    t3_cond_done(&nats->wake);
    t3_mutex_done(&nats->mutex);
    t3_free(nats);
}

/* -- asking -------------------------------------------------------------------------------- */

bool t3_nats_is_connected(const struct t3_nats *nats)
{
    return atomic_load_explicit(&nats->is_connected, memory_order_relaxed);
}

uint64_t t3_nats_losses(const struct t3_nats *nats)
{
    return atomic_load_explicit(&nats->losses, memory_order_acquire);
}

size_t t3_nats_payload_max(const struct t3_nats *nats)
{
    return atomic_load_explicit(&nats->payload_max, memory_order_relaxed);
}

tears_status t3_nats_round_trip(struct t3_nats *nats, uint64_t wait_ms, uint64_t *us_out)
{
    const uint64_t start = t3_now_us();
    const natsStatus status = natsConnection_FlushTimeout(nats->connection, (int64_t)wait_ms);
    if (status != NATS_OK)
        return t3_nats_to_status(status);
    *us_out = t3_now_us() - start;
    return TEARS_OK;
}

tears_status t3_nats_ask_info(struct t3_nats *nats, struct t3_deadline deadline,
                              struct t3_nats_info *info_out)
{
    char url[512];
    struct t3_nats_address address;
    if (natsConnection_GetConnectedUrl(nats->connection, url, sizeof url) != NATS_OK ||
        !t3_nats_url_address(tears_str_c(url), &address))
        return TEARS_UNAVAILABLE;
    return t3_nats_info_ask(address.host, address.port, deadline, info_out);
}

/* -- the end of a subscription ------------------------------------------------------------- */

/*
 * Whether the library's reader holds nothing any more that was taken off before: the answer of a ping comes by the
 * same thread.  A pumped connection is read by the one who ends its subscriptions.
 */
static bool reader_has_passed(struct t3_nats *nats)
{
    return nats->pump != NULL ||
           natsConnection_FlushTimeout(nats->connection, PASS_WAIT_MS) == NATS_OK;
}

/* Takes over those that wait.  Gives their number. */
static size_t take_ended(struct t3_nats *nats, natsSubscription **ended)
{
    t3_lock(&nats->mutex);
    const size_t count = nats->ended_count;
    memcpy(ended, nats->ended, count * sizeof *ended);
    nats->ended_count = 0;
    t3_unlock(&nats->mutex);
    return count;
}

/* Lets them wait on.  Gives how many, the oldest, there is no place for. */
static size_t keep_ended(struct t3_nats *nats, natsSubscription **ended, size_t count)
{
    t3_lock(&nats->mutex);
    const size_t room = NATS_ENDED_MAX - nats->ended_count;
    const size_t kept = count < room ? count : room;
    memcpy(&nats->ended[nats->ended_count], &ended[count - kept], kept * sizeof *ended);
    nats->ended_count += kept;
    t3_unlock(&nats->mutex);
    return count - kept;
}

/* Frees a subscription that was taken off, once the reader cannot be at it: with it those that wait for that. */
static void give_back(struct t3_nats *nats, natsSubscription *subscription)
{
    natsSubscription *ended[NATS_ENDED_MAX + 1];
    size_t count = take_ended(nats, ended);
    ended[count++] = subscription;
    if (!reader_has_passed(nats))
        count = keep_ended(nats, ended, count);
    destroy_all(ended, count);
}

void t3_nats_unsubscribe(struct t3_nats *nats, natsSubscription **subscription)
{
    if (*subscription == NULL)
        return;
    (void)natsSubscription_Unsubscribe(*subscription); /* fails only when it has ended already */
    give_back(nats, *subscription);
    *subscription = NULL;
}

void t3_nats_unsubscribe_later(struct t3_nats *nats, natsSubscription **subscription)
{
    (void)natsSubscription_Unsubscribe(*subscription);
    if (keep_ended(nats, subscription, 1) > 0)
        give_back(nats, *subscription);
    *subscription = NULL;
}

static void on_subscription_complete(void *closure)
{
    struct t3_nats_end *end = closure;
    t3_lock(&end->mutex);
    end->done = true;
    t3_cond_broadcast(&end->wake);
    t3_unlock(&end->mutex);
}

void t3_nats_end_init(struct t3_nats_end *end)
{
    end->is_watched = false;
    end->done = false;
    t3_mutex_init(&end->mutex);
    t3_cond_init(&end->wake);
}

natsStatus t3_nats_end_watch(struct t3_nats_end *end, natsSubscription *subscription)
{
    const natsStatus status =
        natsSubscription_SetOnCompleteCB(subscription, on_subscription_complete, end);
    end->is_watched = status == NATS_OK;
    return status;
}

bool t3_nats_end_subscription(struct t3_nats *nats, struct t3_nats_end *end,
                              natsSubscription *subscription)
{
    if (subscription == NULL)
        return true;
    if (!end->is_watched) { /* a refused connection had closed it already: it never delivered anything */
        const bool has_ended = !natsSubscription_IsValid(subscription);
        natsSubscription_Destroy(subscription);
        return has_ended;
    }
    (void)natsSubscription_Unsubscribe(subscription); /* fails only when it has ended already */
    const struct t3_deadline deadline = t3_deadline_in_ms(CLOSE_WAIT_MS);
    t3_lock(&end->mutex);
    bool in_time = true;
    while (!end->done && in_time)
        in_time = t3_cond_wait(&end->wake, &end->mutex, deadline);
    const bool done = end->done;
    t3_unlock(&end->mutex);
    give_back(nats, subscription);
    return done;
}

void t3_nats_end_done(struct t3_nats_end *end)
{
    t3_cond_done(&end->wake);
    t3_mutex_done(&end->mutex);
}
