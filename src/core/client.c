/*
 * client.c -- opens the tiers of one process and ends them.
 *
 * Owns:     the tiers, the list of collections, the list of sessions.
 * Knows:    in which order tiers start and stop.
 * Must not know: rows.
 * Threads:  opening and ending are one thread's; in between it is read by all.
 * Fails:    as the tiers do; then everything that was opened is closed again.
 * Begin at: tears_client_open().
 */
#include "core/core.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "base/sized.h"
#include "base/str.h"
#include "core/coherence.h"
#include "core/defer.h"
#include "core/flight.h"
#include "core/outbox.h"
#include "core/owner.h"
#include "core/refresh.h"
#include "core/repair.h"
#include "core/size.h"
#include "core/turns.h"
#include "core/verify.h"
#include "driver/lite.h"

#include <pthread.h>
#include <stdlib.h>
#include <tears/dsn.h>

enum {
    L1_AGE_MS = 60000,
    L1_NEGATIVE_MS = 1000,
    TIMEOUT_MS = 5000,
    L2_WAIT_MS = 500,
    POOL_MIN = 1,
    POOL_MAX = 8,
    CONNECT_MS = 30000,
    STALENESS_MS = 3000,
    STALENESS_MS_MIN = 100,
    PROBE_MS = 1000,
    PROBES_IN_BOUND = 3, /* one may be lost, and one be under way */
    TICKET_BITS_WITHOUT_L1 = 12
};
#define L1_BYTES_DEFAULT ((uint64_t)64 * 1024 * 1024)

/* ---- forks --------------------------------------------------------------------------------- */

static atomic_uint_fast64_t fork_generation;

static void in_child(void)
{
    atomic_fetch_add(&fork_generation, 1);
}

static void watch_forks(void)
{
    (void)pthread_atfork(NULL, NULL, in_child); /* fails only for want of memory, at first use */
}

bool t3_client_is_foreign(const struct tears_client *client)
{
    return client->fork_generation != atomic_load_explicit(&fork_generation, memory_order_relaxed);
}

/* ---- options ------------------------------------------------------------------------------- */

static void default_number(uint64_t *number, uint64_t value)
{
    if (*number == 0)
        *number = value;
}

/* What an option that was not set says: the environment, else a default. */
static struct tears_str default_text(struct tears_str given, const char *variable,
                                     const char *value)
{
    if (given.len > 0)
        return given;
    const char *environment = variable != NULL ? getenv(variable) : NULL;
    return tears_str_c(environment != NULL && environment[0] != '\0' ? environment : value);
}

static uint64_t idle_ms_of_environment(void)
{
    const char *seconds = getenv(TEARS_POOL_IDLE_ENV);
    return tears_pool_idle_ms(tears_str_c(seconds), NULL);
}

static tears_status keep_texts(struct tears_client *client)
{
    struct tears_client_options *options = &client->options;
    struct tears_str *texts[] = {&options->l3_url,           &options->l2_url,
                                 &options->namespace_name,   &options->l1,
                                 &options->l2_creds_file,    &options->l2_tls_ca_file,
                                 &options->l2_tls_cert_file, &options->l2_tls_key_file,
                                 &options->l2_storage,       &options->flush_tables,
                                 &options->journal_path};
    for (size_t i = 0; i < T3_COUNT(texts); i++)
        T3_TRY(t3_arena_str(&client->arena, *texts[i], texts[i]));
    return TEARS_OK;
}

static tears_status read_options(struct tears_client *client,
                                 const struct tears_client_options *given,
                                 struct tears_error *error_out)
{
    struct tears_client_options *options = &client->options;
    options->size = sizeof *options;
    if (given != NULL)
        T3_TRY(t3_sized_copy(options, sizeof *options, given, "core", error_out));
    options->l3_url = default_text(options->l3_url, "TEARS_L3_URL", "sqlite:tears.db");
    options->l2_url = default_text(options->l2_url, "TEARS_L2_URL", "none");
    options->namespace_name = default_text(options->namespace_name, "TEARS_NAMESPACE", "3tears");
    options->l1 = default_text(options->l1, NULL, "memory");
    options->l2_storage = default_text(options->l2_storage, NULL, "memory");
    options->flush_tables = default_text(options->flush_tables, "TEARS_FLUSH_TABLES", "");
    default_number(&options->l1_age_ms_max, L1_AGE_MS);
    default_number(&options->l1_negative_ms, L1_NEGATIVE_MS);
    default_number(&options->timeout_ms, TIMEOUT_MS);
    default_number(&options->l2_wait_ms, L2_WAIT_MS);
    default_number(&options->l3_pool_min, POOL_MIN);
    default_number(&options->l3_pool_max, POOL_MAX);
    default_number(&options->l3_idle_ms_max, idle_ms_of_environment());
    default_number(&options->l3_connect_ms, CONNECT_MS);
    default_number(&options->l2_replicas, 1);
    default_number(&options->staleness_ms_max, STALENESS_MS);
    if (options->staleness_ms_max < STALENESS_MS_MIN)
        return t3_fail(error_out, TEARS_INVALID, "core",
                       "staleness_ms_max is %llu; it must be at least %d: the feed needs time to "
                       "be proven",
                       (unsigned long long)options->staleness_ms_max, STALENESS_MS_MIN);
    if (options->l3_pool_min > options->l3_pool_max)
        return t3_fail(
            error_out, TEARS_INVALID, "core", "l3_pool_min %llu is above l3_pool_max %llu",
            (unsigned long long)options->l3_pool_min, (unsigned long long)options->l3_pool_max);
    client->log.put = options->log;
    client->log.owner = options->log_owner;
    client->log.level_max = options->log_level;
    return keep_texts(client) == TEARS_OK ? TEARS_OK : t3_fail_memory(error_out, "core");
}

/* ---- tiers --------------------------------------------------------------------------------- */

static tears_status open_l1(struct tears_client *client, struct tears_error *error_out)
{
    const struct tears_str spec = client->options.l1;
    size_t colon = 0;
    while (colon < spec.len && spec.ptr[colon] != ':')
        colon++;
    const struct tears_str kind = tears_str_n(spec.ptr, colon);
    uint64_t bytes_max = L1_BYTES_DEFAULT;
    if (colon < spec.len && t3_size_parse(t3_str_from(spec, colon + 1), &bytes_max) != TEARS_OK)
        return t3_fail(error_out, TEARS_INVALID, "l1",
                       "'" T3_STR_FMT "' has no size such as 64MiB after the colon",
                       T3_STR_ARG(spec));
    if (t3_str_is(kind, "none"))
        return TEARS_OK;
    if (t3_str_is(kind, "memory"))
        return t3_l1_memory_new(bytes_max, &client->l1, error_out);
    if (t3_str_is(kind, "sqlite"))
        return t3_l1_sqlite_new(bytes_max, &client->l1, error_out);
    return t3_fail(error_out, TEARS_INVALID, "l1",
                   "'" T3_STR_FMT "' is none of memory, memory:SIZE, sqlite, sqlite:SIZE, none",
                   T3_STR_ARG(spec));
}

/* A text without any of these is a file's name or a slip of the pen, and holds no password. */
static bool may_hold_password(struct tears_str url)
{
    for (size_t i = 0; i < url.len; i++)
        if (url.ptr[i] == '@' || url.ptr[i] == ':' || url.ptr[i] == '=')
            return true;
    return false;
}

static tears_status refuse_l3_url(struct tears_str url, struct tears_error *error_out)
{
    char safe[TEARS_DSN_SHOWN_BYTES];
    tears_dsn_redact(url, safe);
    return t3_fail(error_out, TEARS_INVALID, "l3",
                   "the L3 URL (" T3_STR_FMT ") is none of postgresql://..., key=value ..., "
                   "sqlite:PATH",
                   T3_STR_ARG(may_hold_password(url) ? tears_str_c(safe) : url));
}

static tears_status open_l3(struct tears_client *client, struct tears_error *error_out)
{
    const struct tears_client_options *options = &client->options;
    if (options->store != NULL)
        return t3_l3_store_open(options->store, &client->l3, error_out);
    struct t3_l3_options l3 = {.url = options->l3_url,
                               .pool_min = options->l3_pool_min,
                               .pool_max = options->l3_pool_max,
                               .idle_ms_max = options->l3_idle_ms_max,
                               .connect_ms = options->l3_connect_ms,
                               .log = &client->log};
    if (t3_lite_url(l3.url, &l3.url))
        return t3_l3_lite_open(&l3, &client->l3, error_out);
    const bool is_url =
        t3_str_starts(l3.url, "postgresql://") || t3_str_starts(l3.url, "postgres://");
    if (!is_url && memchr(l3.url.ptr, '=', l3.url.len) == NULL)
        return refuse_l3_url(l3.url, error_out);
    return t3_l3_pg_open(&l3, &client->l3, error_out);
}

/* A bound that is shorter than usual has to be proven more often. */
static uint64_t probe_ms_for(uint64_t staleness_ms_max)
{
    const uint64_t ms = staleness_ms_max / PROBES_IN_BOUND;
    return ms < PROBE_MS ? ms : PROBE_MS;
}

static tears_status open_l2(struct tears_client *client, struct tears_error *error_out)
{
    const struct tears_client_options *options = &client->options;
    if (t3_str_is(options->l2_url, "none"))
        return TEARS_OK;
    const struct t3_l2_options l2 = {.url = options->l2_url,
                                     .namespace_name = options->namespace_name,
                                     .origin = tears_str_c(client->origin),
                                     .wait_ms = options->l2_wait_ms,
                                     .probe_ms = probe_ms_for(options->staleness_ms_max),
                                     .creds_file = options->l2_creds_file,
                                     .tls_ca_file = options->l2_tls_ca_file,
                                     .tls_cert_file = options->l2_tls_cert_file,
                                     .tls_key_file = options->l2_tls_key_file,
                                     .storage = options->l2_storage,
                                     .replicas = options->l2_replicas,
                                     .sink = t3_coherence_sink(client),
                                     .log = &client->log};
    struct t3_l2 *opened = NULL;
    T3_TRY(t3_l2_open(&l2, &opened, error_out));
    client->l2 = opened;
    return TEARS_OK;
}

static tears_status open_tiers(struct tears_client *client, struct tears_error *error_out)
{
    if (t3_tickets_init(&client->tickets, TICKET_BITS_WITHOUT_L1) != TEARS_OK ||
        t3_flights_new(&client->flights) != TEARS_OK || t3_turns_new(&client->turns) != TEARS_OK ||
        t3_repair_new(client, &client->repair) != TEARS_OK ||
        t3_refresh_new(client, &client->refresh) != TEARS_OK ||
        t3_verify_new(client, &client->verify) != TEARS_OK)
        return t3_fail_memory(error_out, "core");
    T3_TRY(open_l1(client, error_out));
    T3_TRY(open_l3(client, error_out));
    return open_l2(client, error_out); /* last: from here on news arrive */
}

/* Changes made outside the library are for those who share an L2 to hear of. */
static tears_status start_outbox(struct tears_client *client, struct tears_error *error_out)
{
    if (client->l2 == NULL || client->l3->ops->outbox == NULL || client->options.no_outbox)
        return TEARS_OK;
    return t3_outbox_start(client, &client->outbox, error_out);
}

tears_status tears_client_open(const struct tears_client_options *options,
                               tears_client **client_out, struct tears_error *error_out)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, watch_forks);
    if (error_out != NULL)
        t3_error_clear(error_out);
    if (client_out == NULL)
        return t3_fail(error_out, TEARS_MISUSE, "core", "client_out is NULL");
    struct tears_client *client = t3_alloc_zero(1, sizeof *client);
    if (client == NULL)
        return t3_fail_memory(error_out, "core");
    t3_mutex_init(&client->mutex);
    t3_mutex_init(&client->defer_mutex);
    t3_watchers_init(&client->watchers);
    atomic_init(&client->trust.since_ms, UINT64_MAX); /* nothing is followed so far */
    client->fork_generation = atomic_load(&fork_generation);
    uint8_t uuid[16];
    tears_uuid_new(uuid);
    tears_uuid_text(uuid, client->origin);
    tears_status status = read_options(client, options, error_out);
    if (status == TEARS_OK)
        status = open_tiers(client, error_out);
    if (status == TEARS_OK)
        status = start_outbox(client, error_out);
    if (status == TEARS_OK)
        status = t3_defer_start(client, error_out);
    if (status != TEARS_OK) {
        tears_client_free(client);
        return status;
    }
    *client_out = client;
    return TEARS_OK;
}

static void free_collections(struct tears_client *client)
{
    struct tears_collection *one = client->collections;
    while (one != NULL) {
        struct tears_collection *next = one->next;
        t3_collection_free(one);
        one = next;
    }
}

void tears_client_free(tears_client *client)
{
    if (client == NULL || t3_client_is_foreign(client))
        return;            /* a forked child leaves its parent's connections alone */
    t3_defer_stop(client); /* these first: they use all tiers */
    t3_outbox_free(client->outbox);
    t3_refresh_free(client->refresh);
    t3_verify_stop(client->verify);
    t3_repair_stop(client->repair);
    if (client->l2 != NULL)
        t3_l2_free(client->l2); /* no news from here on */
    t3_repair_free(client->repair);
    t3_verify_free(client->verify);
    t3_flights_free(client->flights);
    if (client->l1 != NULL)
        client->l1->ops->free(client->l1); /* before the schemas that its spaces point to */
    t3_defer_free(client);
    free_collections(client);
    t3_client_free_owned(client);
    if (client->l3 != NULL)
        client->l3->ops->free(client->l3);
    t3_tickets_done(&client->tickets);
    t3_turns_free(client->turns);
    t3_watchers_done(&client->watchers);
    t3_mutex_done(&client->defer_mutex);
    t3_mutex_done(&client->mutex);
    t3_arena_done(&client->arena);
    t3_free(client);
}
