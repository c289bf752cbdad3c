/*
 * bench_coherence.c -- what it costs and how long it takes that several processes agree.
 *
 * The table `bench` in PostgreSQL, the bucket `bench-collections`; other processes are workers (worker.h).
 * Begin at: bench_coherence(), at the end.
 */
#include "raw_kv.h"
#include "raw_pg.h"
#include "worker.h"

#include "support/nats_server.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { ROWS = 20000, HELD = 1000 };
enum { SAMPLES = 400, SAMPLE_PAUSE_US = 1500 };
enum { FLOOD = 40000 };
enum { NOISE_PER_S = 5000, NOISE_PUTS_PER_S = 500, NOISE_FIRST = 1000000 };
enum { COLD_PROCESSES = 4, COLD_THREADS = 25 };
enum { MANY_CLIENTS = 50, MANY_ROWS = 10000 };

#define SUBJECT "threetears.cache.invalidate"

/* ---- clients --------------------------------------------------------------------------------- */

struct opened {
    tears_client *client;
    tears_session *session;
    tears_collection *collection;
};

static void check_open(tears_status status, const struct tears_error *error)
{
    if (status == TEARS_OK)
        return;
    fprintf(stderr, "bench: %s\n", error->message);
    exit(2);
}

static const char *storage = "memory"; /* of a bucket that is made */

static void open_with(struct opened *one, const char *pg_url, const char *nats_url,
                      struct tears_collection_options *wanted)
{
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    struct tears_error error;
    options.l3_url = tears_str_c(pg_url);
    options.l2_url = tears_str_c(nats_url);
    options.namespace_name = TEARS_STR("bench");
    options.l1 = TEARS_STR("memory:32MiB");
    options.l1_age_ms_max = 3600000;
    options.l3_pool_max = 4;
    options.no_outbox = 1;
    options.l2_storage = tears_str_c(storage);
    check_open(tears_client_open(&options, &one->client, &error), &error);
    bench_check(tears_session_new(one->client, NULL, &one->session), NULL, "session");
    check_open(
        tears_collection_open(one->client, TEARS_STR("bench"), wanted, &one->collection, &error),
        &error);
}

static void close_opened(struct opened *one)
{
    tears_session_free(one->session);
    tears_client_free(one->client);
}

static tears_entity *get(struct opened *one, uint64_t number)
{
    uint8_t id[16];
    tears_entity *entity;
    bench_uuid(number, id);
    const struct tears_value key = tears_uuid(id);
    bench_check(tears_get(one->session, one->collection, &key, 1, &entity), one->session, "get");
    return entity;
}

static void save(struct opened *one, tears_entity *entity, uint64_t n)
{
    const struct tears_field field = tears_field_of(TEARS_STR("n"), tears_int((int64_t)(n >> 1)));
    bench_check(tears_update(one->session, entity, &field, 1, NULL), one->session, "update");
}

static struct tears_client_stats stats_of(const struct opened *one)
{
    struct tears_client_stats stats = TEARS_CLIENT_STATS_INIT;
    tears_client_stats(one->client, &stats);
    return stats;
}

static bool is_current(const struct opened *one)
{
    struct tears_collection_status status = TEARS_COLLECTION_STATUS_INIT;
    tears_collection_status(one->collection, &status);
    return status.feed == TEARS_FEED_CURRENT;
}

static void wait_current(const struct opened *one)
{
    while (!is_current(one))
        usleep(1000);
}

static uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- roles of the workers ------------------------------------------------------------------------ */

static void wait_for_stop(struct bench_shared *shared)
{
    while (atomic_load(&shared->stop) == 0)
        usleep(2000);
}

/* Notes when the first news of a change has been obeyed. */
static void on_event(void *owner, const struct tears_event *event)
{
    struct bench_shared *shared = owner;
    uint64_t none = 0;
    if (event->is_own || (event->kind != TEARS_EVENT_PUT && event->kind != TEARS_EVENT_NOTICE &&
                          event->kind != TEARS_EVENT_MARKER))
        return;
    atomic_compare_exchange_strong(&shared->stamp_ns, &none, bench_now_ns());
}

static void role_reader(struct bench_shared *shared, const char *pg_url, const char *nats_url)
{
    struct opened one;
    tears_watch *watch = NULL;
    open_with(&one, pg_url, nats_url, NULL);
    for (uint64_t i = 0; i < SAMPLES; i++) {
        (void)get(&one, i);
        tears_session_reset(one.session);
    }
    bench_check(tears_watch_start(one.client, TEARS_STR("bench"), on_event, shared, &watch), NULL,
                "watch");
    atomic_fetch_add(&shared->ready, 1);
    wait_for_stop(shared);
    tears_watch_free(watch);
    close_opened(&one);
}

static void on_raw(natsConnection *conn, natsSubscription *sub, natsMsg *msg, void *closure)
{
    struct bench_shared *shared = closure;
    (void)conn;
    (void)sub;
    atomic_store(&shared->stamp_ns, bench_now_ns());
    natsMsg_Destroy(msg);
}

static void raw_check(natsStatus status, const char *what)
{
    if (status == NATS_OK)
        return;
    fprintf(stderr, "bench: %s: %s\n", what, natsStatus_GetText(status));
    exit(2);
}

static natsConnection *raw_connect(const char *nats_url)
{
    natsOptions *options = NULL;
    natsConnection *conn = NULL;
    raw_check(natsOptions_Create(&options), "options");
    raw_check(natsOptions_SetURL(options, nats_url), "url");
    raw_check(natsOptions_SetSendAsap(options, true), "send asap");
    raw_check(natsConnection_Connect(&conn, options), "connect");
    natsOptions_Destroy(options);
    return conn;
}

static void role_listener(struct bench_shared *shared, const char *pg_url, const char *nats_url)
{
    (void)pg_url;
    natsConnection *conn = raw_connect(nats_url);
    natsSubscription *sub = NULL;
    raw_check(natsConnection_Subscribe(&sub, conn, "bench.raw", on_raw, shared), "subscribe");
    raw_check(natsConnection_Flush(conn), "flush");
    atomic_fetch_add(&shared->ready, 1);
    wait_for_stop(shared);
    natsSubscription_Destroy(sub);
    natsConnection_Destroy(conn);
}

static int notice_of(uint64_t number, char *out, size_t size)
{
    uint8_t id[16];
    char text[37];
    bench_uuid(number, id);
    tears_uuid_text(id, text);
    return snprintf(out, size,
                    "{\"table\":\"bench\",\"ids\":[\"%s\"],\"origin\":"
                    "\"01a20510-7849-76bb-8905-57c1b562c65c\"}",
                    text);
}

static void raw_put(natsConnection *conn, uint64_t number)
{
    char key[64];
    char subject[128];
    raw_kv_key(number, key, sizeof key);
    snprintf(subject, sizeof subject, "$KV.bench-collections.%s", key);
    raw_check(natsConnection_Publish(conn, subject, "{}", 2), "put");
}

/* Changes rows that nobody holds, as another process would that writes all the time. */
static void role_noise(struct bench_shared *shared, const char *pg_url, const char *nats_url)
{
    (void)pg_url;
    natsConnection *conn = raw_connect(nats_url);
    uint64_t number = NOISE_FIRST;
    atomic_fetch_add(&shared->ready, 1);
    const uint64_t start = bench_now_ns();
    for (uint64_t sent = 0; atomic_load(&shared->stop) == 0;) {
        const uint64_t due = (bench_now_ns() - start) * NOISE_PER_S / 1000000000u;
        for (; sent < due; sent++, number++) {
            char notice[160];
            const int len = notice_of(number, notice, sizeof notice);
            raw_check(natsConnection_Publish(conn, SUBJECT, notice, len), "publish");
            if (sent % (NOISE_PER_S / NOISE_PUTS_PER_S) == 0)
                raw_put(conn, number % HELD + NOISE_FIRST);
        }
        atomic_store(&shared->count, sent);
        usleep(2000);
    }
    natsConnection_Destroy(conn);
}

/* Puts as fast as the server takes them, each time `go` moves. */
static void role_flood(struct bench_shared *shared, const char *pg_url, const char *nats_url)
{
    (void)pg_url;
    natsConnection *conn = NULL;
    raw_check(natsConnection_ConnectTo(&conn, nats_url), "connect");
    uint64_t done = 0;
    atomic_fetch_add(&shared->ready, 1);
    while (atomic_load(&shared->stop) == 0) {
        if (atomic_load(&shared->go) == done) {
            usleep(200);
            continue;
        }
        done++;
        for (uint64_t i = 0; i < FLOOD; i++)
            raw_put(conn, NOISE_FIRST +
                              i); /* a key that is put again before it is delivered counts once */
        raw_check(natsConnection_Flush(conn), "flush");
    }
    natsConnection_Destroy(conn);
}

struct cold {
    struct bench_shared *shared;
    struct opened *one;
};

static void *cold_thread(void *context)
{
    struct cold *cold = context;
    tears_session *session = NULL;
    tears_entity *entity;
    uint8_t id[16];
    bench_check(tears_session_new(cold->one->client, NULL, &session), NULL, "session");
    bench_uuid(atomic_load(&cold->shared->key), id);
    const struct tears_value key = tears_uuid(id);
    bench_check(tears_get(session, cold->one->collection, &key, 1, &entity), session, "get");
    tears_session_free(session);
    return NULL;
}

static void role_cold(struct bench_shared *shared, const char *pg_url, const char *nats_url)
{
    struct opened one;
    struct tears_collection_options options = TEARS_COLLECTION_OPTIONS_INIT;
    options.fill_lease_ms = 2000;
    open_with(&one, pg_url, nats_url, &options);
    struct cold cold = {.shared = shared, .one = &one};
    uint64_t before = stats_of(&one).l3_reads;
    atomic_fetch_add(&shared->ready, 1);
    for (uint64_t round = 1; atomic_load(&shared->stop) == 0;) {
        if (atomic_load(&shared->go) < round) {
            usleep(50);
            continue;
        }
        (void)bench_rate_of_threads(cold_thread, &cold, COLD_THREADS, 1);
        const uint64_t after = stats_of(&one).l3_reads;
        atomic_fetch_add(&shared->sum, after - before);
        before = after;
        atomic_fetch_add(&shared->count, 1);
        round++;
    }
    close_opened(&one);
}

const struct bench_role bench_roles[] = {
    {"reader", role_reader}, {"listener", role_listener}, {"noise", role_noise},
    {"flood", role_flood},   {"cold", role_cold},         {NULL, NULL},
};

/* ---- notice latency --------------------------------------------------------------------------------- */

struct latency_case {
    struct bench_crew readers;
    struct bench_crew listeners;
    natsConnection *conn;
    struct opened writer;
    double quantile;
    uint64_t state;
};

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile_of(double *values, size_t count, double quantile)
{
    qsort(values, count, sizeof *values, compare);
    return values[(size_t)((double)(count - 1) * quantile)];
}

/* Microseconds from `since` to the stamp; a stamp from before it counts as none at all. */
static double wait_stamp(struct bench_shared *shared, uint64_t since)
{
    while (atomic_load(&shared->stamp_ns) == 0)
        usleep(20);
    const uint64_t at = atomic_load(&shared->stamp_ns);
    return at > since ? (double)(at - since) / 1000 : 0;
}

static double raw_latency(void *context)
{
    struct latency_case *one = context;
    struct bench_shared *shared = one->listeners.shared;
    double times[SAMPLES];
    for (int i = 0; i < SAMPLES; i++) {
        atomic_store(&shared->stamp_ns, 0);
        usleep(SAMPLE_PAUSE_US);
        const uint64_t start = bench_now_ns();
        raw_check(natsConnection_Publish(one->conn, "bench.raw", "0123456789", 10), "publish");
        times[i] = wait_stamp(shared, start);
    }
    return quantile_of(times, SAMPLES, one->quantile);
}

static double our_latency(void *context)
{
    struct latency_case *one = context;
    struct bench_shared *shared = one->readers.shared;
    double times[SAMPLES];
    for (uint64_t i = 0; i < SAMPLES; i++) {
        tears_entity *entity = get(&one->writer, i);
        atomic_store(&shared->stamp_ns, 0);
        usleep(SAMPLE_PAUSE_US);
        save(&one->writer, entity, bench_random(&one->state));
        times[i] = wait_stamp(shared, bench_now_ns());
        tears_session_reset(one->writer.session);
    }
    return quantile_of(times, SAMPLES, one->quantile);
}

static void bench_latency(const char *pg_url, const char *nats_url)
{
    static const char *const half = "save returns -> other's L1 corrected, p50";
    static const char *const most = "save returns -> other's L1 corrected, p99";
    if (!bench_wants(half) && !bench_wants(most))
        return;
    struct latency_case one = {.state = 3};
    one.conn = raw_connect(nats_url);
    open_with(&one.writer, pg_url, nats_url, NULL);
    bench_crew_open(&one.readers);
    bench_crew_start(&one.readers, "reader");
    bench_crew_open(&one.listeners);
    bench_crew_start(&one.listeners, "listener");
    one.quantile = 0.5;
    bench_run(&(struct bench_case){half, "raw publish -> callback", "us", false, 1.5, raw_latency,
                                   our_latency, &one});
    one.quantile = 0.99;
    bench_run(&(struct bench_case){most, "raw publish -> callback", "us", false, 1.5, raw_latency,
                                   our_latency, &one});
    bench_crew_end(&one.listeners);
    bench_crew_end(&one.readers);
    natsConnection_Destroy(one.conn);
    close_opened(&one.writer);
}

/* ---- hits while others write ----------------------------------------------------------------------- */

struct noise_case {
    struct opened one;
    uint64_t state;
};

/* CPU time, not time: that the machine has other things to do is not what is measured. */
static double hit_ns(struct noise_case *one)
{
    enum { BATCHES = 300, BATCH = 1000 };
    double times[BATCHES];
    for (int batch = 0; batch < BATCHES; batch++) {
        const uint64_t start = cpu_ns();
        for (int i = 0; i < BATCH; i++) {
            (void)get(&one->one, bench_random(&one->state) % HELD);
            tears_session_reset(one->one.session);
        }
        times[batch] = (double)(cpu_ns() - start) / BATCH;
        usleep(2000);
    }
    return bench_median(times, BATCHES);
}

static double quiet_hits(void *context)
{
    return hit_ns(context);
}

static double noisy_hits(void *context)
{
    struct bench_crew crew;
    bench_crew_open(&crew);
    bench_crew_start(&crew, "noise");
    usleep(200000);
    const double ns = hit_ns(context);
    bench_crew_end(&crew);
    return ns;
}

static void bench_noise(const char *pg_url, const char *nats_url)
{
    static const char *const name = "L1 hit under 5,000 foreign notices/s";
    if (!bench_wants(name))
        return;
    struct noise_case one = {.state = 4};
    open_with(&one.one, pg_url, nats_url, NULL);
    wait_current(&one.one);
    for (uint64_t i = 0; i < HELD; i++)
        (void)get(&one.one, i);
    tears_session_reset(one.one.session);
    bench_run(&(struct bench_case){name, "L1 hit, quiet", "ns CPU", false, 1.15, quiet_hits,
                                   noisy_hits, &one});
    close_opened(&one.one);
}

/* ---- news per second ------------------------------------------------------------------------------- */

struct flood_case {
    struct bench_crew crew;
    struct opened one;
    natsConnection *conn;
    _Atomic uint64_t heard;
    natsSubscription *sub;
};

static void on_flood(natsConnection *conn, natsSubscription *sub, natsMsg *msg, void *closure)
{
    struct flood_case *one = closure;
    (void)conn;
    (void)sub;
    if (natsMsg_GetReply(msg) != NULL &&
        natsMsgHeader_Get(msg, "Status", &(const char *){NULL}) != NATS_OK)
        atomic_fetch_add(&one->heard, 1);
    else if (natsMsg_GetReply(msg) != NULL)
        natsConnection_Publish(conn, natsMsg_GetReply(msg), NULL, 0); /* flow control */
    natsMsg_Destroy(msg);
}

/* An ordered push consumer with headers only, as nats.c has it. */
static void follow_raw(struct flood_case *one)
{
    jsCtx *js = NULL;
    jsSubOptions options;
    raw_check(natsConnection_JetStream(&js, one->conn, NULL), "JetStream");
    jsSubOptions_Init(&options);
    options.Ordered = true;
    options.Config.HeadersOnly = true;
    options.Config.DeliverPolicy = js_DeliverNew;
    raw_check(
        js_Subscribe(&one->sub, js, "$KV.bench-collections.>", on_flood, one, NULL, &options, NULL),
        "consumer");
    raw_check(natsSubscription_SetPendingLimits(one->sub, -1, -1), "limits");
    jsCtx_Destroy(js);
}

static double rate_of(struct flood_case *one, uint64_t (*count)(struct flood_case *))
{
    const uint64_t before = count(one);
    atomic_fetch_add(&one->crew.shared->go, 1);
    while (count(one) == before)
        usleep(20);
    const uint64_t start = bench_now_ns();
    while (count(one) < before + FLOOD)
        usleep(100);
    return FLOOD * 1e9 / (double)(bench_now_ns() - start);
}

static uint64_t count_raw(struct flood_case *one)
{
    return atomic_load(&one->heard);
}

static uint64_t count_ours(struct flood_case *one)
{
    return stats_of(&one->one).feed_events;
}

/* Only one of the two follows at a time, so that neither is held up by the other's deliveries. */
static double raw_flood(void *context)
{
    struct flood_case *one = context;
    follow_raw(one);
    const double rate = rate_of(one, count_raw);
    natsSubscription_Unsubscribe(one->sub);
    natsSubscription_Destroy(one->sub);
    return rate;
}

static double our_flood(void *context)
{
    struct flood_case *one = context;
    open_with(&one->one, getenv("TEARS_TEST_PG_URL"), getenv("TEARS_TEST_NATS_URL"), NULL);
    wait_current(&one->one);
    const double rate = rate_of(one, count_ours);
    close_opened(&one->one);
    return rate;
}

static void bench_flood(const char *pg_url, const char *nats_url)
{
    static const char *const name = "news absorbed";
    if (!bench_wants(name))
        return;
    static struct flood_case one;
    open_with(&one.one, pg_url, nats_url, NULL); /* makes the bucket, if there is none */
    close_opened(&one.one);
    one.conn = raw_connect(nats_url);
    bench_crew_open(&one.crew);
    bench_crew_start(&one.crew, "flood");
    bench_run(&(struct bench_case){name, "raw ordered headers-only consumer", "msgs/s", true, 0.7,
                                   raw_flood, our_flood, &one});
    bench_crew_end(&one.crew);
    natsConnection_Destroy(one.conn);
}

/* ---- many cold readers of one row --------------------------------------------------------------------- */

static double cold_readers(void *context)
{
    struct bench_crew *crew = context;
    struct bench_shared *shared = crew->shared;
    const uint64_t done = atomic_load(&shared->count);
    atomic_store(&shared->sum, 0);
    atomic_fetch_add(&shared->key, 1); /* a row that no cache has */
    atomic_fetch_add(&shared->go, 1);
    bench_wait_for(&shared->count, done + COLD_PROCESSES, "cold readers");
    return (double)atomic_load(&shared->sum);
}

static void bench_cold(void)
{
    static const char *const name = "L3 queries of 100 cold readers, 4 processes";
    if (!bench_wants(name))
        return;
    struct bench_crew crew;
    bench_crew_open(&crew);
    atomic_store(&crew.shared->key, ROWS / 2);
    for (int i = 0; i < COLD_PROCESSES; i++)
        bench_crew_start(&crew, "cold");
    bench_run(&(struct bench_case){name, NULL, "queries", false, 1, NULL, cold_readers, &crew});
    bench_crew_end(&crew);
}

/* ---- reconnect of many ----------------------------------------------------------------------------------- */

static void hold_rows(struct opened *one)
{
    enum { BATCH = 1000 };
    for (uint64_t first = 0; first < MANY_ROWS; first += BATCH) {
        uint64_t numbers[BATCH];
        for (uint64_t i = 0; i < BATCH; i++)
            numbers[i] = first + i;
        bench_get_many(one->session, one->collection, numbers, BATCH);
    }
}

static uint64_t l3_reads_of(const struct opened *clients)
{
    uint64_t reads = 0;
    for (int i = 0; i < MANY_CLIENTS; i++)
        reads += stats_of(&clients[i]).l3_reads;
    return reads;
}

static uint64_t l3_rows_of(const struct opened *clients)
{
    uint64_t rows = 0;
    for (int i = 0; i < MANY_CLIENTS; i++)
        rows += stats_of(&clients[i]).l3_rows_read;
    return rows;
}

static int consumers_on(const char *nats_url)
{
    natsConnection *conn = raw_connect(nats_url);
    jsCtx *js = NULL;
    jsStreamInfo *info = NULL;
    raw_check(natsConnection_JetStream(&js, conn, NULL), "JetStream");
    raw_check(js_GetStreamInfo(&info, js, "KV_bench-collections", NULL, NULL), "stream");
    const int count = (int)info->State.Consumers;
    jsStreamInfo_Destroy(info);
    jsCtx_Destroy(js);
    natsConnection_Destroy(conn);
    return count;
}

struct reconnect_case {
    const char *pg_url;
    struct opened *clients;
    const char *storage; /* "file": the bucket is there again; "memory": it is wiped */
    const char *trust_name;
    const char *reads_name;
    const char *rows_name;
    const char *consumers_name;
};

/* The server is killed and starts again; then every client reads all its rows once more. */
static void reconnect(const struct reconnect_case *one)
{
    struct test_nats *nats = test_nats_start(NULL);
    storage = one->storage;
    for (int i = 0; i < MANY_CLIENTS; i++) {
        open_with(&one->clients[i], one->pg_url, test_nats_url(nats), NULL);
        hold_rows(&one->clients[i]);
    }
    for (int i = 0; i < MANY_CLIENTS; i++)
        wait_current(&one->clients[i]);
    const uint64_t reads = l3_reads_of(one->clients);
    const uint64_t rows = l3_rows_of(one->clients);
    test_nats_kill(nats);
    usleep(500000);
    test_nats_again(nats);
    const uint64_t start = bench_now_ns();
    for (int i = 0; i < MANY_CLIENTS; i++)
        wait_current(&one->clients[i]);
    bench_note(one->trust_name, (double)(bench_now_ns() - start) / 1e9, "s");
    for (int i = 0; i < MANY_CLIENTS; i++)
        hold_rows(&one->clients[i]);
    bench_note(one->reads_name, (double)(l3_reads_of(one->clients) - reads), "");
    bench_note(one->rows_name, (double)(l3_rows_of(one->clients) - rows), "");
    bench_note(one->consumers_name, consumers_on(test_nats_url(nats)), "");
    for (int i = 0; i < MANY_CLIENTS; i++)
        close_opened(&one->clients[i]);
    storage = "memory";
    test_nats_free(nats);
}

static void bench_reconnect(const char *pg_url)
{
    static const char *const name = "reconnect of 50 clients";
    if (!bench_wants(name))
        return;
    fprintf(stderr, "  %s ...\n", name);
    struct opened *clients = calloc(MANY_CLIENTS, sizeof *clients);
    reconnect(&(struct reconnect_case){pg_url, clients, "file",
                                       "50 clients x 10,000 rows, server again: proof",
                                       "  L3 queries until all is read again",
                                       "  rows read from L3", "  consumers on the server"});
    reconnect(&(struct reconnect_case){pg_url, clients, "memory", "the same, bucket wiped: proof",
                                       "  L3 queries until all is read again",
                                       "  rows read from L3", "  consumers on the server"});
    free(clients);
}

/* ---- strict ---------------------------------------------------------------------------------------------- */

struct strict_case {
    struct opened strict;
    struct opened relaxed;
    uint64_t state;
};

static double save_us(struct opened *one, uint64_t *state)
{
    double times[SAMPLES];
    for (uint64_t i = 0; i < SAMPLES; i++) {
        tears_entity *entity = get(one, i);
        const uint64_t start = bench_now_ns();
        save(one, entity, bench_random(state));
        times[i] = (double)(bench_now_ns() - start) / 1000;
        tears_session_reset(one->session);
    }
    return bench_median(times, SAMPLES);
}

static double strict_save(void *context)
{
    struct strict_case *one = context;
    return save_us(&one->strict, &one->state);
}

static double relaxed_save(void *context)
{
    struct strict_case *one = context;
    return save_us(&one->relaxed, &one->state);
}

static void bench_strict(const char *pg_url, const char *nats_url)
{
    static const char *const name = "strict save";
    if (!bench_wants(name))
        return;
    struct strict_case one = {.state = 9};
    struct tears_collection_options options = TEARS_COLLECTION_OPTIONS_INIT;
    options.strict = 1;
    open_with(&one.strict, pg_url, nats_url, &options);
    open_with(&one.relaxed, pg_url, nats_url, NULL);
    bench_run(&(struct bench_case){name, "relaxed save", "us p50", false, INFINITY, relaxed_save,
                                   strict_save, &one});
    close_opened(&one.strict);
    close_opened(&one.relaxed);
}

/* ---- all ---------------------------------------------------------------------------------------------------- */

static void fill(const char *pg_url)
{
    PGconn *setup = PQconnectdb(pg_url);
    raw_pg_exec(setup, "DROP TABLE IF EXISTS bench");
    raw_pg_exec(setup, BENCH_TABLE_PG);
    PQfinish(setup);
    PGconn *conn = raw_pg_open(pg_url);
    struct bench_row *rows = calloc(ROWS, sizeof *rows);
    for (uint64_t i = 0; i < ROWS; i++)
        bench_row_of(i, &rows[i]);
    raw_pg_upsert_many(conn, rows, ROWS, 1000);
    free(rows);
    PQfinish(conn);
}

void bench_coherence(const char *pg_url, const char *nats_url)
{
    fill(pg_url);
    bench_latency(pg_url, nats_url);
    bench_noise(pg_url, nats_url);
    bench_flood(pg_url, nats_url);
    bench_cold();
    bench_strict(pg_url, nats_url);
    bench_reconnect(pg_url);
}
