/*
 * bench_l2.c -- rows read from the shared tier, with L1 off, against raw nats.c.
 */
#include "raw_kv.h"

enum { ROWS = 10000, READS = 1500, MANY = 1000, MANY_ROUNDS = 20, WINDOW = 1024 };
enum { THREADS = 32, READS_PER_THREAD = 300 };

struct l2_case {
    struct raw_kv raw;
    tears_client *client;
    tears_session *session;
    tears_collection *collection;
    uint64_t state;
};

static double raw_get(void *context)
{
    struct l2_case *one = context;
    double times[READS];
    for (int i = 0; i < READS; i++) {
        const uint64_t start = bench_now_ns();
        raw_kv_get(&one->raw, bench_random(&one->state) % ROWS);
        times[i] = (double)(bench_now_ns() - start) / 1000;
    }
    return bench_median(times, READS);
}

static double our_get(void *context)
{
    struct l2_case *one = context;
    double times[READS];
    for (int i = 0; i < READS; i++) {
        const uint64_t start = bench_now_ns();
        bench_get(one->session, one->collection, bench_random(&one->state) % ROWS, TEARS_TIER_L2);
        times[i] = (double)(bench_now_ns() - start) / 1000;
    }
    return bench_median(times, READS);
}

static double raw_many(void *context)
{
    struct l2_case *one = context;
    uint64_t numbers[MANY];
    const uint64_t start = bench_now_ns();
    for (int i = 0; i < MANY_ROUNDS; i++) {
        bench_choose(&one->state, ROWS, numbers, MANY);
        raw_kv_get_many(&one->raw, numbers, MANY, WINDOW);
    }
    return (double)MANY * MANY_ROUNDS * 1e9 / (double)(bench_now_ns() - start);
}

static double our_many(void *context)
{
    struct l2_case *one = context;
    uint64_t numbers[MANY];
    const uint64_t start = bench_now_ns();
    for (int i = 0; i < MANY_ROUNDS; i++) {
        bench_choose(&one->state, ROWS, numbers, MANY);
        bench_get_many(one->session, one->collection, numbers, MANY);
    }
    return (double)MANY * MANY_ROUNDS * 1e9 / (double)(bench_now_ns() - start);
}

static void *raw_thread(void *context)
{
    struct l2_case *one = context;
    uint64_t state = (uint64_t)(uintptr_t)&state;
    for (int i = 0; i < READS_PER_THREAD; i++)
        raw_kv_get(&one->raw, bench_random(&state) % ROWS);
    return NULL;
}

static void *our_thread(void *context)
{
    struct l2_case *one = context;
    uint64_t state = (uint64_t)(uintptr_t)&state;
    tears_session *session = NULL;
    bench_check(tears_session_new(one->client, NULL, &session), NULL, "session");
    for (int i = 0; i < READS_PER_THREAD; i++)
        bench_get(session, one->collection, bench_random(&state) % ROWS, TEARS_TIER_L2);
    tears_session_free(session);
    return NULL;
}

static double raw_threads(void *context)
{
    return bench_rate_of_threads(raw_thread, context, THREADS, READS_PER_THREAD);
}

static double our_threads(void *context)
{
    return bench_rate_of_threads(our_thread, context, THREADS, READS_PER_THREAD);
}

void bench_l2(const char *nats_url)
{
    if (!bench_wants("L2"))
        return;
    struct l2_case one = {.state = 5};
    struct bench_lite lite = {.rows = ROWS, .l1 = "none", .l2_url = nats_url};
    one.client = bench_lite_client(&lite);
    bench_check(tears_session_new(one.client, NULL, &one.session), NULL, "session");
    bench_check(tears_collection_find(one.client, TEARS_STR("bench"), &one.collection), NULL,
                "find");
    raw_kv_open(&one.raw, nats_url);
    bench_run(&(struct bench_case){"L2 hit, one key", "raw kvStore_Get (direct)", "us p50", false,
                                   1.15, raw_get, our_get, &one});
    bench_run(&(struct bench_case){"L2 get_many of 1,000", "raw direct gets, window 1,024",
                                   "rows/s", true, 0.7, raw_many, our_many, &one});
    bench_run(&(struct bench_case){"L2 hits, 32 threads", "kvStore_Get, 32 threads", "rows/s", true,
                                   3.0, raw_threads, our_threads, &one});
    raw_kv_close(&one.raw);
    tears_session_free(one.session);
    tears_client_free(one.client);
}
