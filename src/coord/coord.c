/*
 * coord.c -- the connection that leases share, their bucket, and the base of their fencing tokens.
 *
 * Owns:     the connection, the bucket's driver, the thread that renews.
 * Knows:    that revisions start again when a bucket is lost, and may go back when a broker loses its last writes.
 * Must not know: what a lease's value says.
 * Threads:  any; one mutex.
 * Fails:    TEARS_UNAVAILABLE while there is no server; opening does not need one.
 * Begin at: tears_coord_open(), t3_coord_epoch().
 *
 * A token is the base plus the revision at which the lease was acquired.  The base is an entry of the bucket, written by compare-and-swap
 * by whoever finds none or one of another run of a single server: the calendar's microseconds, and well above the old
 * one.  Microseconds pass faster than a stream takes messages, so that tokens of a new bucket lie above those of the old.  A base of one's own
 * that may be outdated is noticed by the connection's losses, by hearing the entry written, and by a revision that is not above the last one.
 */
#include "coord/coord.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "base/sized.h"
#include "base/str.h"
#include "codec/json.h"
#include "codec/text.h"
#include "coord/keeper.h"
#include "coord/line.h"
#include "coord/marker.h"
#include "driver/kv_wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

static const char origin[] = "coord";

enum {
    WAIT_MS = 1000,
    CLOCK_STEP_MS = 120000,
    PATIENCE_WAITS = 4, /* answers waited for by one operation */
    BASE_TRIES_MAX = 8, /* races for the base's entry */
    BASE_STEP = 1 << 27 /* more than the messages a broker can lose at its end */
};

/* ---- small things -------------------------------------------------------------------------- */

tears_status t3_coord_random_id(char id_out[T3_COORD_ID_BYTES], struct tears_error *error_out)
{
    uint64_t words[2];
    if (getrandom(words, sizeof words, 0) != (ssize_t)sizeof words)
        return t3_fail(error_out, TEARS_INTERNAL, origin, "the system gives no random bytes");
    snprintf(id_out, T3_COORD_ID_BYTES, "%016" PRIx64 "%016" PRIx64, words[0], words[1]);
    return TEARS_OK;
}

struct t3_deadline t3_coord_patience(const struct tears_coord *coord)
{
    return t3_deadline_in_ms(coord->wait_ms * PATIENCE_WAITS);
}

tears_status t3_coord_check_name(struct tears_str name, struct tears_error *error_out)
{
    const bool is_ours = t3_str_is(name, T3_COORD_BASE_KEY) || t3_str_is(name, T3_COORD_CLOCK_KEY);
    if (name.len > 0 && name.len <= TEARS_LEASE_NAME_BYTES_MAX && t3_kv_key_is_good(name) &&
        t3_str_is_utf8(name) && !is_ours)
        return TEARS_OK;
    return t3_fail(error_out, TEARS_INVALID, origin,
                   "'" T3_STR_FMT "' cannot be the name of a lease", T3_STR_ARG(name));
}

void t3_coord_saw(struct tears_coord *coord, uint64_t revision)
{
    uint64_t seen = atomic_load_explicit(&coord->revision_seen, memory_order_relaxed);
    while (seen < revision &&
           !atomic_compare_exchange_weak_explicit(&coord->revision_seen, &seen, revision,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}

/* ---- the base ------------------------------------------------------------------------------ */

uint64_t t3_coord_next_base(uint64_t old, int64_t calendar_us)
{
    const uint64_t calendar = calendar_us > 0 ? (uint64_t)calendar_us : 0;
    const uint64_t above = old == 0 ? 1 : old + BASE_STEP;
    return calendar > above ? calendar : above;
}

/* One member of {"base": N, "server": "..."}. */
static bool read_base_member(struct tears_str name, const struct t3_json_value *value,
                             uint64_t *base, char server_out[T3_SOLO_SERVER_BYTES])
{
    int64_t number = 0;
    if (t3_str_is(name, "base")) {
        if (value->kind != T3_JSON_NUMBER || t3_int_parse(value->text, &number) != TEARS_OK ||
            number <= 0 || number > INT64_MAX / 2)
            return false;
        *base = (uint64_t)number;
    }
    if (t3_str_is(name, "server")) {
        if (value->kind != T3_JSON_STRING || value->text.len >= T3_SOLO_SERVER_BYTES)
            return false;
        memcpy(server_out, value->text.ptr, value->text.len);
        server_out[value->text.len] = '\0';
    }
    return true;
}

bool t3_coord_read_base(struct tears_str text, uint64_t *base_out,
                        char server_out[T3_SOLO_SERVER_BYTES])
{
    struct t3_json_reader reader = {.text = text};
    uint64_t base = 0;
    bool done = false;
    server_out[0] = '\0';
    if (t3_json_object_open(&reader) != TEARS_OK)
        return false;
    for (bool first = true;; first = false) {
        struct t3_json_value name;
        struct t3_json_value value;
        if (t3_json_member(&reader, first, &name, &done) != TEARS_OK)
            return false;
        if (done)
            break;
        if (t3_json_value(&reader, &value) != TEARS_OK ||
            !read_base_member(name.text, &value, &base, server_out))
            return false;
    }
    *base_out = base;
    return base > 0;
}

static tears_status put_base(struct tears_coord *coord, uint64_t base, uint64_t expected,
                             struct t3_deadline deadline, struct tears_error *error_out)
{
    char server[T3_SOLO_SERVER_BYTES];
    char text[160];
    uint64_t revision = 0;
    t3_solo_server(coord->leases, server);
    const int len =
        snprintf(text, sizeof text, "{\"base\": %" PRIu64 ", \"server\": \"%s\"}", base, server);
    const struct t3_solo_put put = {
        .key = T3_COORD_BASE_KEY, .value = tears_str_n(text, (size_t)len), .expected = expected};
    T3_TRY(t3_solo_put(coord->leases, &put, deadline, &revision, error_out));
    t3_log(&coord->log, TEARS_LOG_INFO, origin, "fencing tokens now start at %" PRIu64, base);
    return TEARS_OK;
}

/* Whether revisions may have gone back since the base was written: a single server was restarted. */
static bool is_of_another_run(const struct tears_coord *coord, const struct t3_solo_bucket *bucket,
                              const char *written_by)
{
    char server[T3_SOLO_SERVER_BYTES];
    t3_solo_server(coord->leases, server);
    return !bucket->is_clustered && strcmp(server, written_by) != 0;
}

/* Reads the base, or writes one; one race at a time.  TEARS_CONFLICT: somebody was faster, look again. */
static tears_status find_base(struct tears_coord *coord, const struct t3_solo_bucket *bucket,
                              uint64_t least, struct t3_deadline deadline, uint64_t *base_out,
                              struct tears_error *error_out)
{
    T3_AUTO(t3_solo_entry_done) struct t3_solo_entry entry = {.is_there = false};
    char written_by[T3_SOLO_SERVER_BYTES] = "";
    uint64_t base = 0;
    T3_TRY(t3_solo_get(coord->leases, T3_COORD_BASE_KEY, deadline, &entry, error_out));
    const bool is_base =
        entry.is_there && t3_coord_read_base(t3_buf_str(&entry.value), &base, written_by);
    if (is_base && base >= least && !is_of_another_run(coord, bucket, written_by)) {
        t3_coord_saw(coord, entry.revision);
        *base_out = base;
        return TEARS_OK;
    }
    base = t3_coord_next_base(is_base ? base : 0, t3_calendar_us());
    if (base < least)
        base = least;
    const tears_status status = put_base(coord, base, entry.revision, deadline, error_out);
    return status == TEARS_OK ? TEARS_CONFLICT : status; /* what counts is what is read back */
}

/* ---- the bucket ---------------------------------------------------------------------------- */

/* What of the bucket would break leases: not what it is allowed to differ in. */
static void put_differences(const struct tears_coord *coord, const struct t3_kv_settings *found,
                            struct t3_buf *out)
{
    struct t3_kv_settings wanted = coord->wanted;
    wanted.allow_direct = found->allow_direct; /* nothing is read that way */
    wanted.discard_new = found->discard_new;
    wanted.max_bytes = found->max_bytes;
    if (found->replicas > wanted.replicas)
        wanted.replicas = found->replicas;
    if (!wanted.on_file && found->on_file)
        wanted.on_file = true;
    if (t3_kv_put_differences(found, &wanted, out) != TEARS_OK)
        t3_buf_clear(out);
}

static tears_status check_bucket(struct tears_coord *coord, const struct t3_solo_bucket *bucket,
                                 struct tears_error *error_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    put_differences(coord, &bucket->settings, &text);
    if (text.len == 0)
        return TEARS_OK;
    if (coord->is_strict)
        return t3_fail(error_out, TEARS_INVALID, origin, "the bucket of leases is another: %s",
                       text.ptr);
    if (!atomic_exchange(&coord->differences_logged, true))
        t3_log(&coord->log, TEARS_LOG_WARN, origin, "the bucket of leases is another: %s",
               text.ptr);
    return TEARS_OK;
}

static uint64_t age_ms(const struct t3_kv_settings *settings)
{
    return settings->max_age_ns > 0 ? (uint64_t)settings->max_age_ns / 1000000 : 0;
}

static tears_status ask_epoch(struct tears_coord *coord, uint64_t least,
                              struct t3_deadline deadline, struct t3_coord_epoch *epoch_out,
                              struct tears_error *error_out)
{
    tears_status status = TEARS_CONFLICT;
    for (int i = 0; i < BASE_TRIES_MAX && status == TEARS_CONFLICT; i++) {
        struct t3_solo_bucket bucket;
        struct t3_coord_epoch epoch = {
            .losses = t3_nats_losses(coord->nats),
            .writes = atomic_load_explicit(&coord->base_writes, memory_order_acquire),
            .is_known = true,
        };
        T3_TRY(t3_solo_ensure(coord->leases, deadline, &bucket, error_out));
        T3_TRY(check_bucket(coord, &bucket, error_out));
        epoch.age_max_ms = age_ms(&bucket.settings);
        status = find_base(coord, &bucket, least, deadline, &epoch.base, error_out);
        if (status == TEARS_OK)
            *epoch_out = epoch;
    }
    if (status != TEARS_CONFLICT && status != TEARS_NOT_FOUND)
        return status;
    return t3_fail(error_out, TEARS_UNAVAILABLE, origin, "the bucket of leases does not settle");
}

static tears_status learn_epoch(struct tears_coord *coord, uint64_t least,
                                struct t3_deadline deadline, struct t3_coord_epoch *epoch_out,
                                struct tears_error *error_out)
{
    struct t3_coord_epoch epoch;
    atomic_store_explicit(&coord->revision_seen, 0, memory_order_relaxed);
    T3_TRY(ask_epoch(coord, least, deadline, &epoch, error_out));
    t3_lock(&coord->mutex);
    coord->epoch = epoch;
    t3_unlock(&coord->mutex);
    *epoch_out = epoch;
    return TEARS_OK;
}

bool t3_coord_is_same(struct tears_coord *coord, const struct t3_coord_epoch *epoch)
{
    return epoch->is_known && epoch->losses == t3_nats_losses(coord->nats) &&
           epoch->writes == atomic_load_explicit(&coord->base_writes, memory_order_acquire);
}

tears_status t3_coord_epoch(struct tears_coord *coord, struct t3_deadline deadline,
                            struct t3_coord_epoch *epoch_out, struct tears_error *error_out)
{
    t3_lock(&coord->mutex);
    const struct t3_coord_epoch epoch = coord->epoch;
    t3_unlock(&coord->mutex);
    if (!t3_coord_is_same(coord, &epoch))
        return learn_epoch(coord, 0, deadline, epoch_out, error_out);
    *epoch_out = epoch;
    return TEARS_OK;
}

void t3_coord_forget(struct tears_coord *coord)
{
    t3_lock(&coord->mutex);
    coord->epoch.is_known = false;
    t3_unlock(&coord->mutex);
}

tears_status t3_coord_raise(struct tears_coord *coord, uint64_t least, struct t3_deadline deadline,
                            struct tears_error *error_out)
{
    struct t3_coord_epoch epoch;
    return learn_epoch(coord, least, deadline, &epoch, error_out);
}

tears_status tears_coord_bucket(tears_coord *coord, struct tears_coord_bucket *bucket_out,
                                struct tears_error *error_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    struct tears_coord_bucket own = TEARS_COORD_BUCKET_INIT;
    struct t3_coord_epoch epoch;
    struct t3_solo_bucket bucket;
    const struct t3_deadline deadline = t3_coord_patience(coord);
    T3_TRY(t3_coord_epoch(coord, deadline, &epoch, error_out));
    T3_TRY(t3_solo_ensure(coord->leases, deadline, &bucket, error_out));
    put_differences(coord, &bucket.settings, &text);
    own.on_file = bucket.settings.on_file;
    own.replicas = bucket.settings.replicas;
    own.age_ms_max = age_ms(&bucket.settings);
    own.messages = bucket.settings.messages;
    own.token_base = epoch.base;
    snprintf(own.name, sizeof own.name, "%s", coord->bucket);
    snprintf(own.differences, sizeof own.differences, "%s", t3_buf_str(&text).ptr);
    t3_sized_give(bucket_out, &own, sizeof own);
    return TEARS_OK;
}

/* ---- news ---------------------------------------------------------------------------------- */

static void on_news(void *owner, const struct t3_solo_news *news)
{
    struct tears_coord *coord = owner;
    if (t3_str_is(news->key, T3_COORD_BASE_KEY))
        atomic_fetch_add_explicit(&coord->base_writes, 1, memory_order_release);
    else if (news->is_end)
        t3_line_ended(coord, news->key, true);
    else
        t3_line_taken(coord, news->key, news);
}

/* What was released while the connection was away was not heard. */
static void on_connected(void *owner)
{
    t3_lines_look(owner);
}

/* ---- opening ------------------------------------------------------------------------------- */

static struct tears_str or_environment(struct tears_str given, const char *variable,
                                       const char *otherwise)
{
    const char *environment = getenv(variable);
    if (given.len > 0)
        return given;
    if (environment != NULL && environment[0] != '\0')
        return tears_str_c(environment);
    return tears_str_c(otherwise);
}

static tears_status set_storage(struct tears_coord *coord,
                                const struct tears_coord_options *options,
                                struct tears_error *error_out)
{
    const bool in_memory = t3_str_is(options->storage, "memory");
    if (!in_memory && options->storage.len > 0 && !t3_str_is(options->storage, "file"))
        return t3_fail(error_out, TEARS_INVALID, origin,
                       "storage '" T3_STR_FMT "' is none of file, memory",
                       T3_STR_ARG(options->storage));
    coord->wanted = t3_kv_settings_wanted(!in_memory, options->replicas);
    return TEARS_OK;
}

/* Unique: two processes that start at the same moment on machines of one name differ all the same. */
static tears_status set_holder(struct tears_coord *coord, struct tears_str given,
                               struct tears_error *error_out)
{
    char id[T3_COORD_ID_BYTES];
    char host[65] = "";
    if (given.len >= sizeof coord->holder || !t3_str_is_utf8(given))
        return t3_fail(error_out, TEARS_INVALID, origin, "the holder's name cannot be used");
    if (given.len > 0) {
        memcpy(coord->holder, given.ptr, given.len);
        return TEARS_OK;
    }
    T3_TRY(t3_coord_random_id(id, error_out));
    (void)gethostname(host, sizeof host - 1);
    snprintf(coord->holder, sizeof coord->holder, "%s-%ld-%" PRIu64 "-%s",
             t3_str_is_utf8(tears_str_c(host)) && host[0] != '\0' ? host : "host", (long)getpid(),
             t3_boot_us() / 1000, id);
    return TEARS_OK;
}

static tears_status set_names(struct tears_coord *coord, const struct tears_coord_options *options,
                              struct tears_error *error_out)
{
    const struct tears_str name =
        or_environment(options->namespace_name, "TEARS_NAMESPACE", "3tears");
    const struct tears_str suffix =
        options->lease_bucket.len > 0 ? options->lease_bucket : TEARS_STR("leases");
    if (!t3_kv_bucket_name_is_good(name) || name.len >= sizeof coord->namespace_name ||
        !t3_kv_bucket_name_is_good(suffix) || name.len + suffix.len + 1 > T3_KV_BUCKET_BYTES_MAX)
        return t3_fail(error_out, TEARS_INVALID, origin,
                       "'" T3_STR_FMT "-" T3_STR_FMT "' is no name of a bucket", T3_STR_ARG(name),
                       T3_STR_ARG(suffix));
    memcpy(coord->namespace_name, name.ptr, name.len);
    snprintf(coord->bucket, sizeof coord->bucket, "%.*s-%.*s", (int)name.len, name.ptr,
             (int)suffix.len, suffix.ptr);
    return TEARS_OK;
}

static tears_status set_up(struct tears_coord *coord, const struct tears_coord_options *options,
                           struct tears_error *error_out)
{
    coord->log = (struct t3_log){options->log, options->log_owner, options->log_level};
    coord->wait_ms = options->wait_ms > 0 ? options->wait_ms : WAIT_MS;
    coord->clock_step_us =
        (options->clock_step_ms_max > 0 ? options->clock_step_ms_max : CLOCK_STEP_MS) * 1000;
    coord->is_strict = options->strict_bucket != 0;
    if (coord->wait_ms > 600000 || options->clock_step_ms_max > TEARS_LEASE_TTL_MS_MAX)
        return t3_fail(error_out, TEARS_INVALID, origin, "a time in the options is too long");
    T3_TRY(set_storage(coord, options, error_out));
    T3_TRY(set_names(coord, options, error_out));
    return set_holder(coord, options->holder, error_out);
}

static tears_status connect_to(struct tears_coord *coord, const struct tears_coord_options *options,
                               struct tears_error *error_out)
{
    const struct t3_nats_options nats = {
        .url = or_environment(options->url, "TEARS_L2_URL", ""),
        .creds_file = options->creds_file,
        .tls_ca_file = options->tls_ca_file,
        .tls_cert_file = options->tls_cert_file,
        .tls_key_file = options->tls_key_file,
        .name = "tears-coord",
        .prompt = true,
        .log = &coord->log,
        .connected = on_connected,
        .owner = coord,
    };
    if (nats.url.len == 0 || t3_str_is(nats.url, "none"))
        return t3_fail(error_out, TEARS_INVALID, origin,
                       "leases need NATS: give its URL (or TEARS_L2_URL)");
    T3_TRY(t3_nats_open(&nats, &coord->nats, error_out));
    const struct t3_solo_options solo = {.nats = coord->nats,
                                         .bucket = coord->bucket,
                                         .wanted = coord->wanted,
                                         .wait_ms = coord->wait_ms,
                                         .log = &coord->log};
    const struct t3_solo_sink sink = {.news = on_news, .owner = coord};
    T3_TRY(t3_solo_new(&solo, &coord->leases, error_out));
    T3_TRY(t3_solo_hear(coord->leases, &sink, error_out));
    return t3_keeper_start(coord, error_out);
}

tears_status tears_coord_open(const struct tears_coord_options *options, tears_coord **coord_out,
                              struct tears_error *error_out)
{
    struct tears_coord_options own = TEARS_COORD_OPTIONS_INIT;
    t3_error_clear(error_out);
    if (options != NULL)
        T3_TRY(t3_sized_copy(&own, sizeof own, options, origin, error_out));
    struct tears_coord *coord = t3_alloc_zero(1, sizeof *coord);
    if (coord == NULL)
        return t3_fail_memory(error_out, origin);
    t3_mutex_init(&coord->mutex);
    t3_cond_init(&coord->keeper_wake);
    tears_status status = set_up(coord, &own, error_out);
    if (status == TEARS_OK)
        status = connect_to(coord, &own, error_out);
    if (status != TEARS_OK) {
        tears_coord_free(coord);
        return status;
    }
    *coord_out = coord;
    return TEARS_OK;
}

void tears_coord_free(tears_coord *coord)
{
    if (coord == NULL)
        return;
    t3_keeper_stop(coord);
    T3_ASSERT(coord->lines == NULL && coord->renewed == NULL);
    t3_markers_end(coord);
    t3_solo_free(coord->leases);
    t3_nats_free(coord->nats);
    t3_cond_done(&coord->keeper_wake);
    t3_mutex_done(&coord->mutex);
    t3_free(coord);
}

struct tears_str tears_coord_holder(const tears_coord *coord)
{
    return tears_str_c(coord->holder);
}
