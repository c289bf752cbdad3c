/*
 * bench_l1.c -- hits in the in-process tier, against liburcu's hash table and a copy of the row.
 */
#include "rows.h"

#include <urcu-bp.h>
#include <urcu/rculfhash.h>

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { ROW_BYTES = 300, OPERATIONS = 400000, RESET_EVERY = 64 };
enum { THREAD_ROUNDS = 4 };

/* ---- the floor ----------------------------------------------------------------------------- */

struct floor_row {
    struct cds_lfht_node node;
    uint8_t id[16];
    char bytes[ROW_BYTES];
};

static int floor_match(struct cds_lfht_node *node, const void *key)
{
    return memcmp(caa_container_of(node, struct floor_row, node)->id, key, 16) == 0;
}

static unsigned long floor_hash(const uint8_t *id)
{
    return (unsigned long)XXH3_64bits(id, 16);
}

struct l1_case {
    uint64_t rows;
    int threads;
    bool field;
    struct cds_lfht *table;
    struct floor_row *floor_rows;
    tears_client *client;
    tears_collection *collection;
    uint8_t (*ids)[16];
    uint32_t *order; /* which row each operation reads */
};

static void floor_fill(struct l1_case *one)
{
    one->table = cds_lfht_new(1024, 1024, 0, CDS_LFHT_AUTO_RESIZE, NULL);
    one->floor_rows = calloc(one->rows, sizeof *one->floor_rows);
    for (uint64_t i = 0; i < one->rows; i++) {
        struct floor_row *row = &one->floor_rows[i];
        memcpy(row->id, one->ids[i], 16);
        bench_text(i, row->bytes, sizeof row->bytes);
        rcu_read_lock();
        cds_lfht_add(one->table, floor_hash(row->id), &row->node);
        rcu_read_unlock();
    }
}

static volatile char sink;

static double floor_run(void *context)
{
    struct l1_case *one = context;
    char copies[RESET_EVERY][ROW_BYTES + 20];
    const uint64_t start = bench_now_ns();
    for (uint32_t i = 0; i < OPERATIONS; i++) {
        const uint8_t *id = one->ids[one->order[i]];
        struct cds_lfht_iter iter;
        rcu_read_lock();
        cds_lfht_lookup(one->table, floor_hash(id), floor_match, id, &iter);
        const struct cds_lfht_node *node = cds_lfht_iter_get_node(&iter);
        char *copy = copies[i % RESET_EVERY];
        memcpy(copy, caa_container_of(node, struct floor_row, node)->bytes, ROW_BYTES);
        rcu_read_unlock();
        sink = copy[i % ROW_BYTES];
    }
    return (double)(bench_now_ns() - start) / OPERATIONS;
}

/* ---- the library ----------------------------------------------------------------------------- */

static double get_rows(struct l1_case *one)
{
    tears_session *session = NULL;
    bench_check(tears_session_new(one->client, NULL, &session), NULL, "session");
    const uint64_t start = bench_now_ns();
    for (uint32_t i = 0; i < OPERATIONS; i++) {
        const struct tears_value key = tears_uuid(one->ids[one->order[i]]);
        tears_entity *entity;
        bench_check(tears_get(session, one->collection, &key, 1, &entity), session, "get");
        if (i % RESET_EVERY == RESET_EVERY - 1)
            tears_session_reset(session);
    }
    const double ns = (double)(bench_now_ns() - start) / OPERATIONS;
    tears_session_free(session);
    return ns;
}

static double get_fields(struct l1_case *one)
{
    tears_session *session = NULL;
    bench_check(tears_session_new(one->client, NULL, &session), NULL, "session");
    const uint64_t start = bench_now_ns();
    for (uint32_t i = 0; i < OPERATIONS; i++) {
        const struct tears_value key = tears_uuid(one->ids[one->order[i]]);
        struct tears_value n;
        bench_check(tears_get_field(session, one->collection, &key, 1, TEARS_STR("n"), &n), session,
                    "field");
        if (i % RESET_EVERY == RESET_EVERY - 1)
            tears_session_reset(session);
    }
    const double ns = (double)(bench_now_ns() - start) / OPERATIONS;
    tears_session_free(session);
    return ns;
}

static double ours_run(void *context)
{
    struct l1_case *one = context;
    return get_rows(one);
}

static double field_run(void *context)
{
    struct l1_case *one = context;
    return get_fields(one);
}

static void *thread_run(void *context)
{
    struct l1_case *one = context;
    for (int i = 0; i < THREAD_ROUNDS; i++)
        (void)get_rows(one);
    return NULL;
}

static pthread_t start_on_core(struct l1_case *one, size_t core)
{
    pthread_t thread;
    pthread_attr_t attributes;
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(core, &cores);
    pthread_attr_init(&attributes);
    pthread_attr_setaffinity_np(&attributes, sizeof cores, &cores);
    pthread_create(&thread, &attributes, thread_run, one);
    pthread_attr_destroy(&attributes);
    return thread;
}

/* Millions of reads per second by the threads of some cores together. */
static double rate_on_cores(struct l1_case *one, size_t first, size_t count)
{
    pthread_t threads[2];
    const uint64_t start = bench_now_ns();
    for (size_t i = 0; i < count; i++)
        threads[i] = start_on_core(one, first + i);
    for (size_t i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    return (double)count * THREAD_ROUNDS * OPERATIONS * 1000 / (double)(bench_now_ns() - start);
}

/* What one thread does, on either core: they need not be equally busy with other things. */
static double one_thread(void *context)
{
    return (rate_on_cores(context, 0, 1) + rate_on_cores(context, 1, 1)) / 2;
}

static double two_threads(void *context)
{
    return rate_on_cores(context, 0, 2);
}

static double bytes_per_row(void *context)
{
    struct l1_case *one = context;
    struct tears_client_stats stats = {.size = sizeof stats};
    tears_client_stats(one->client, &stats);
    return (double)(stats.l1_bytes - stats.l1_payload_bytes) / (double)stats.l1_rows;
}

static void prepare(struct l1_case *one, uint64_t rows)
{
    memset(one, 0, sizeof *one);
    one->rows = rows;
    one->ids = calloc(rows, 16);
    one->order = calloc(OPERATIONS, sizeof *one->order);
    uint64_t state = 1;
    for (uint64_t i = 0; i < rows; i++)
        bench_uuid(i, one->ids[i]);
    for (uint32_t i = 0; i < OPERATIONS; i++)
        one->order[i] = (uint32_t)(bench_random(&state) % rows);
    floor_fill(one);
    struct bench_lite lite = {.rows = rows, .l1 = "memory:256MiB", .l2_url = "none"};
    one->client = bench_lite_client(&lite);
    bench_check(tears_collection_find(one->client, TEARS_STR("bench"), &one->collection), NULL,
                "find");
    (void)get_rows(one); /* warms L1 */
}

static void finish(struct l1_case *one)
{
    tears_client_free(one->client);
    for (uint64_t i = 0; i < one->rows; i++) {
        rcu_read_lock();
        cds_lfht_del(one->table, &one->floor_rows[i].node);
        rcu_read_unlock();
    }
    cds_lfht_destroy(one->table, NULL);
    free(one->floor_rows);
    free(one->ids);
    free(one->order);
}

void bench_l1(void)
{
    if (!bench_wants("L1"))
        return;
    struct l1_case hot;
    prepare(&hot, 1000);
    bench_run(&(struct bench_case){"L1 hit, whole row, 1,000 keys", "cds_lfht + copy", "ns", false,
                                   4.0, floor_run, ours_run, &hot});
    bench_run(&(struct bench_case){"L1 hit, 2 threads", "1 thread", "M/s", true, 1.8, one_thread,
                                   two_threads, &hot});
    bench_run(&(struct bench_case){"L1 single-field read", "L1 hit, whole row", "ns", false, 1.0,
                                   ours_run, field_run, &hot});
    finish(&hot);
    struct l1_case many;
    prepare(&many, 100000);
    bench_run(&(struct bench_case){"L1 hit, whole row, 100,000 keys", "cds_lfht + copy", "ns",
                                   false, 2.0, floor_run, ours_run, &many});
    bench_run(&(struct bench_case){"L1 bytes per row beyond payload", NULL, "bytes", false, 96.0,
                                   NULL, bytes_per_row, &many});
    finish(&many);
}
