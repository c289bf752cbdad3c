/*
 * test_combine.c -- combined calls: each carried out exactly once, in batches when there are many,
 * never late.
 */
#include "base/combine.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <unistd.h>

#include <cmocka.h>

enum { THREADS = 16, CALLS = 500 };

/* A call adds its number to a sum; `times` counts how often that was done for it. */
struct call {
    struct t3_combine_item item;
    uint64_t number;
    int times;
};

struct server {
    struct t3_combine combine;
    atomic_uint running;
    atomic_uint running_most;
    atomic_uint batches;
    atomic_uint largest;
    atomic_ullong sum;
    unsigned delay_us;
};

static void note_most(atomic_uint *most, unsigned value)
{
    unsigned old = atomic_load(most);
    while (value > old && !atomic_compare_exchange_weak(most, &old, value))
        continue;
}

static void serve(void *owner, struct t3_combine_item **items, size_t count)
{
    struct server *server = owner;
    note_most(&server->running_most, atomic_fetch_add(&server->running, 1) + 1);
    note_most(&server->largest, (unsigned)count);
    atomic_fetch_add(&server->batches, 1);
    if (server->delay_us > 0)
        usleep(server->delay_us);
    for (size_t i = 0; i < count; i++) {
        struct call *call = (struct call *)(void *)items[i];
        call->times++;
        atomic_fetch_add(&server->sum, call->number);
    }
    atomic_fetch_sub(&server->running, 1);
}

static void start(struct server *server, uint32_t running_max, uint32_t batch_max,
                  unsigned delay_us)
{
    memset(server, 0, sizeof *server);
    server->delay_us = delay_us;
    t3_combine_init(&server->combine, running_max, batch_max, serve, server);
}

static void *call_many(void *argument)
{
    struct server *server = argument;
    for (uint64_t i = 1; i <= CALLS; i++) {
        struct call call = {.number = i};
        const tears_status status =
            t3_combine_call(&server->combine, &call.item, t3_deadline_in_ms(60000));
        if (status != TEARS_OK || call.times != 1)
            return argument;
    }
    return NULL;
}

static void run_threads(struct server *server)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, call_many, server), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
}

static void every_call_is_carried_out_once(void **state)
{
    (void)state;
    static const struct {
        uint32_t running_max;
        uint32_t batch_max;
        unsigned delay_us;
    } shapes[] = {{1, 1024, 0}, {1, 1024, 100}, {2, 3, 0}, {3, 1, 20}, {4, 64, 50}};
    for (size_t i = 0; i < T3_COUNT(shapes); i++) {
        struct server server;
        start(&server, shapes[i].running_max, shapes[i].batch_max, shapes[i].delay_us);
        run_threads(&server);
        assert_int_equal(atomic_load(&server.sum), (uint64_t)THREADS * CALLS * (CALLS + 1) / 2);
        assert_true(atomic_load(&server.running_most) <= shapes[i].running_max);
        assert_true(atomic_load(&server.largest) <= shapes[i].batch_max);
        t3_combine_done(&server.combine);
    }
}

static void many_callers_share_batches(void **state)
{
    (void)state;
    struct server server;
    start(&server, 1, 1024, 200);
    run_threads(&server);
    assert_true(atomic_load(&server.batches) < THREADS * CALLS / 4);
    assert_true(atomic_load(&server.largest) >= THREADS / 4);
    t3_combine_done(&server.combine);
}

static void a_single_caller_waits_for_nobody(void **state)
{
    (void)state;
    struct server server;
    start(&server, 1, 1024, 0);
    assert_null(call_many(&server));
    assert_int_equal(atomic_load(&server.batches), CALLS);
    t3_combine_done(&server.combine);
}

static void *call_once(void *argument)
{
    struct server *server = argument;
    struct call call = {.number = 1};
    return t3_combine_call(&server->combine, &call.item, t3_deadline_in_ms(60000)) == TEARS_OK
               ? NULL
               : argument;
}

/* While a batch of 300 ms runs, a caller with 30 ms leaves the queue, and what is queued around it
 * is still served. */
static void a_deadline_takes_a_call_out_of_the_queue(void **state)
{
    (void)state;
    struct server server;
    start(&server, 1, 1024, 300000);
    pthread_t threads[3];
    assert_int_equal(pthread_create(&threads[0], NULL, call_once, &server), 0);
    while (atomic_load(&server.running) == 0)
        usleep(1000);
    assert_int_equal(pthread_create(&threads[1], NULL, call_once, &server), 0);
    usleep(20000);
    struct call call = {.number = 1000};
    const uint64_t before = t3_now_us();
    assert_int_equal(t3_combine_call(&server.combine, &call.item, t3_deadline_in_ms(30)),
                     TEARS_TIMEOUT);
    assert_true(t3_now_us() - before < 250000);
    assert_int_equal(pthread_create(&threads[2], NULL, call_once, &server), 0);
    for (int i = 0; i < 3; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(call.times, 0);
    assert_int_equal(atomic_load(&server.sum), 3);
    t3_combine_done(&server.combine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_is_carried_out_once),
        cmocka_unit_test(many_callers_share_batches),
        cmocka_unit_test(a_single_caller_waits_for_nobody),
        cmocka_unit_test(a_deadline_takes_a_call_out_of_the_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
