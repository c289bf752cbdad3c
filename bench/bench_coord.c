/*
 * bench_coord.c -- leases and replay guards against bare requests to a bucket of the same kind.
 *
 * The floors are those of nats.c's own key-value interface in a bucket on file: one create for a nonce, one create and one
 * purge for a lease that is taken and given back.
 */
#include "harness.h"

#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>
#include <tears/lease.h>
#include <tears/replay.h>
#include <unistd.h>

enum { SAMPLES = 400 };

struct coord_case {
    natsConnection *conn;
    jsCtx *js;
    kvStore *kv;
    tears_coord *coord;
    tears_replay_guard *guard;
    uint64_t next;
};

static void check(natsStatus status, const char *what)
{
    if (status == NATS_OK)
        return;
    fprintf(stderr, "bench: %s: %s\n", what, natsStatus_GetText(status));
    exit(2);
}

static double create_one(void *context)
{
    struct coord_case *one = context;
    double times[SAMPLES];
    for (int i = 0; i < SAMPLES; i++) {
        char key[64];
        uint64_t revision = 0;
        snprintf(key, sizeof key, "floor.%d.%llu", (int)getpid(), (unsigned long long)one->next++);
        const uint64_t start = bench_now_ns();
        check(kvStore_CreateString(&revision, one->kv, key,
                                   "{\"holder\": \"p1\", \"expires_at\": \"2026-11-22T20:47:20\"}"),
              "create");
        times[i] = (double)(bench_now_ns() - start) / 1000;
    }
    return bench_median(times, SAMPLES);
}

/* Taking and giving back with the bare interface: two round trips, which are not equally long.  The name is new each time:
 * over a name that was given back nats.c needs three to take it again. */
static double create_and_purge(void *context)
{
    struct coord_case *one = context;
    double times[SAMPLES];
    for (int i = 0; i < SAMPLES; i++) {
        char key[64];
        uint64_t revision = 0;
        snprintf(key, sizeof key, "pair.%d.%llu", (int)getpid(), (unsigned long long)one->next++);
        const uint64_t start = bench_now_ns();
        check(kvStore_CreateString(&revision, one->kv, key,
                                   "{\"holder\": \"p1\", \"expires_at\": \"2026-11-22T20:47:20\"}"),
              "create");
        check(kvStore_Purge(one->kv, key, NULL), "purge");
        times[i] = (double)(bench_now_ns() - start) / 1000;
    }
    return bench_median(times, SAMPLES);
}

static double acquire_and_release(void *context)
{
    struct coord_case *one = context;
    double times[SAMPLES];
    for (int i = 0; i < SAMPLES; i++) {
        char name[64];
        tears_lease *lease = NULL;
        snprintf(name, sizeof name, "bench.%d", i % 8);
        const uint64_t start = bench_now_ns();
        bench_check(tears_lease_acquire(one->coord, tears_str_c(name), NULL, &lease, NULL), NULL,
                    "acquire");
        bench_check(tears_lease_release(lease, NULL), NULL, "release");
        times[i] = (double)(bench_now_ns() - start) / 1000;
        tears_lease_free(lease);
    }
    return bench_median(times, SAMPLES);
}

static double record_nonce(void *context)
{
    struct coord_case *one = context;
    double times[SAMPLES];
    for (int i = 0; i < SAMPLES; i++) {
        char nonce[64];
        snprintf(nonce, sizeof nonce, "nonce-%d-%llu", (int)getpid(),
                 (unsigned long long)one->next++);
        const uint64_t start = bench_now_ns();
        bench_check(tears_replay_guard_record(one->guard, tears_str_c(nonce), NULL), NULL,
                    "record");
        times[i] = (double)(bench_now_ns() - start) / 1000;
    }
    return bench_median(times, SAMPLES);
}

/* `age_ms`: nonces are in a bucket that forgets, leases are not. */
static void open_floor(struct coord_case *one, const char *nats_url, int64_t age_ms)
{
    kvConfig config;
    check(natsConnection_ConnectTo(&one->conn, nats_url), "connect");
    check(natsConnection_JetStream(&one->js, one->conn, NULL), "JetStream");
    check(kvConfig_Init(&config), "bucket");
    config.Bucket = "bench-floor";
    config.StorageType = js_FileStorage;
    config.History = 1;
    config.TTL = age_ms * 1000000;
    check(js_CreateKeyValue(&one->kv, one->js, &config), "bucket");
}

static void close_floor(struct coord_case *one)
{
    kvStore_Destroy(one->kv);
    check(js_DeleteKeyValue(one->js, "bench-floor"), "delete the bucket");
    jsCtx_Destroy(one->js);
    natsConnection_Destroy(one->conn);
}

static void bench_lease(const char *nats_url)
{
    static const char *const name = "lease acquire and release";
    if (!bench_wants(name))
        return;
    struct coord_case one = {.next = 0};
    struct tears_coord_options options = TEARS_COORD_OPTIONS_INIT;
    options.url = tears_str_c(nats_url);
    options.namespace_name = TEARS_STR("bench");
    open_floor(&one, nats_url, 0);
    bench_check(tears_coord_open(&options, &one.coord, NULL), NULL, "coord");
    /* at most 2.2 round trips where these are 2 */
    bench_run(&(struct bench_case){name, "a KV create and a purge", "us p50", false, 1.1,
                                   create_and_purge, acquire_and_release, &one});
    tears_coord_free(one.coord);
    close_floor(&one);
}

static void bench_replay(const char *nats_url)
{
    static const char *const name = "replay check";
    enum { AGE_MS = 60000 };
    if (!bench_wants(name))
        return;
    struct coord_case one = {.next = 0};
    struct tears_coord_options options = TEARS_COORD_OPTIONS_INIT;
    struct tears_replay_options replay = TEARS_REPLAY_OPTIONS_INIT;
    options.url = tears_str_c(nats_url);
    options.namespace_name = TEARS_STR("bench");
    replay.bucket = TEARS_STR("bench_nonces");
    replay.ttl_ms = AGE_MS;
    open_floor(&one, nats_url, AGE_MS);
    bench_check(tears_coord_open(&options, &one.coord, NULL), NULL, "coord");
    bench_check(tears_replay_guard_open(one.coord, &replay, &one.guard, NULL), NULL, "guard");
    bench_run(&(struct bench_case){name, "one KV create", "us p50", false, 1.25, create_one,
                                   record_nonce, &one});
    tears_replay_guard_free(one.guard);
    tears_coord_free(one.coord);
    close_floor(&one);
}

void bench_coord(const char *nats_url)
{
    bench_lease(nats_url);
    bench_replay(nats_url);
}
