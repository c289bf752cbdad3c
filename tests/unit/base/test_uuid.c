/*
 * test_uuid.c -- UUIDs: version 7, ordered, unique across threads and across fork.
 */
#include "base/macros.h"

#include <tears/value.h>

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { THREADS = 4, EACH = 20000 };

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, 16);
}

static void one_thread_gets_them_in_order(void **state)
{
    (void)state;
    uint8_t before[16] = {0};
    for (int i = 0; i < 100000; i++) {
        uint8_t uuid[16];
        tears_uuid_new(uuid);
        assert_true(memcmp(before, uuid, 16) < 0);
        assert_int_equal(uuid[6] >> 4, 7);
        assert_int_equal(uuid[8] >> 6, 2);
        memcpy(before, uuid, 16);
    }
}

static void *make_many(void *argument)
{
    uint8_t(*uuids)[16] = argument;
    for (int i = 0; i < EACH; i++)
        tears_uuid_new(uuids[i]);
    return NULL;
}

static void threads_never_get_the_same(void **state)
{
    (void)state;
    static uint8_t uuids[THREADS * EACH][16];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, make_many, uuids[i * EACH]), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    qsort(uuids, THREADS * EACH, 16, compare);
    for (int i = 1; i < THREADS * EACH; i++)
        assert_true(memcmp(uuids[i - 1], uuids[i], 16) < 0);
}

/* The random halves: the counters of parent and child may be equal, which is what makes the random
 * part matter. */
static void a_forked_child_gets_others(void **state)
{
    (void)state;
    enum { COUNT = 20 };
    int pipes[2];
    uint8_t mine[COUNT][16];
    uint8_t childs[COUNT][16];
    tears_uuid_new(mine[0]); /* the pool is filled before the fork */
    assert_int_equal(pipe(pipes), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    for (int i = 0; i < COUNT; i++)
        tears_uuid_new(mine[i]);
    if (child == 0) {
        const ssize_t written = write(pipes[1], mine, sizeof mine);
        _exit(written == (ssize_t)sizeof mine ? 0 : 1);
    }
    assert_int_equal(read(pipes[0], childs, sizeof childs), sizeof childs);
    int exit_status;
    assert_int_equal(waitpid(child, &exit_status, 0), child);
    assert_int_equal(exit_status, 0);
    close(pipes[0]);
    close(pipes[1]);
    for (int i = 0; i < COUNT; i++)
        for (int k = 0; k < COUNT; k++)
            assert_memory_not_equal(mine[i] + 8, childs[k] + 8, 8);
}

static void text_goes_both_ways(void **state)
{
    (void)state;
    static const char *const accepted[] = {"0190A1B2-C3D4-7E5F-8A6B-0123456789AB",
                                           "0190a1b2c3d47e5f8a6b0123456789ab",
                                           "{0190a1b2-c3d4-7e5f-8a6b-0123456789ab}"};
    static const char *const refused[] = {"",
                                          "{}",
                                          "0190a1b2-c3d4-7e5f-8a6b-0123456789a",
                                          "0190a1b2-c3d4-7e5f-8a6b-0123456789ag",
                                          "0190a1b2c-3d4-7e5f-8a6b-0123456789ab",
                                          "0190a1b2-c3d4-7e5f-8a6b-0123456789ab "};
    for (size_t i = 0; i < T3_COUNT(accepted); i++) {
        uint8_t uuid[16];
        char text[37];
        assert_int_equal(tears_uuid_parse(tears_str_c(accepted[i]), uuid), TEARS_OK);
        tears_uuid_text(uuid, text);
        assert_string_equal(text, "0190a1b2-c3d4-7e5f-8a6b-0123456789ab");
    }
    for (size_t i = 0; i < T3_COUNT(refused); i++) {
        uint8_t uuid[16];
        assert_int_equal(tears_uuid_parse(tears_str_c(refused[i]), uuid), TEARS_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_thread_gets_them_in_order),
        cmocka_unit_test(threads_never_get_the_same),
        cmocka_unit_test(a_forked_child_gets_others),
        cmocka_unit_test(text_goes_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
