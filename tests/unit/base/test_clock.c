/*
 * test_clock.c -- deadlines, and waiting for them.
 */
#include "base/lock.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void a_deadline_counts_down(void **state)
{
    (void)state;
    const struct t3_deadline deadline = t3_deadline_in_ms(10000);
    const uint64_t left = t3_deadline_left_ms(deadline);
    assert_true(left > 9000 && left <= 10000);
    assert_false(t3_deadline_passed(deadline));
    const struct t3_deadline now = t3_deadline_in_ms(0);
    assert_true(t3_deadline_passed(now));
    assert_int_equal(t3_deadline_left_ms(now), 0);
}

static void for_ever_is_not_in_the_past(void **state)
{
    (void)state;
    const struct t3_deadline deadline = t3_deadline_in_ms(UINT64_MAX);
    assert_false(t3_deadline_passed(deadline));
    assert_true(t3_deadline_left_ms(deadline) > (uint64_t)1 << 40);
}

static void the_earlier_one_wins(void **state)
{
    (void)state;
    const struct t3_deadline later = t3_deadline_in_ms(10000);
    assert_true(t3_deadline_left_ms(t3_deadline_at_most_ms(later, 50)) <= 50);
    assert_int_equal(t3_deadline_at_most_ms(later, 20000).at_us, later.at_us);
}

static void a_part_of_a_millisecond_is_rounded_up(void **state)
{
    (void)state;
    struct t3_deadline deadline = t3_deadline_in_ms(0);
    deadline.at_us += 60 * 1000000 + 1; /* 60 s and 1 us from a moment ago */
    const uint64_t left = t3_deadline_left_ms(deadline);
    assert_true(left >= 59000 && left <= 60001);
    deadline.at_us = t3_now_us() + 300; /* poll(0) would spin */
    const uint64_t little = t3_deadline_left_ms(deadline);
    assert_true(little == 1 || t3_deadline_passed(deadline));
}

static void waiting_ends_at_the_deadline(void **state)
{
    (void)state;
    struct t3_mutex mutex;
    struct t3_cond cond;
    t3_mutex_init(&mutex);
    t3_cond_init(&cond);
    const uint64_t start = t3_now_us();
    const struct t3_deadline deadline = t3_deadline_in_ms(30);
    t3_lock(&mutex);
    while (t3_cond_wait(&cond, &mutex, deadline))
        continue;
    t3_unlock(&mutex);
    assert_true(t3_now_us() - start >= 30000);
    t3_cond_done(&cond);
    t3_mutex_done(&mutex);
}

static void the_coarse_clock_can_be_shifted(void **state)
{
    (void)state;
    const uint64_t before = t3_now_coarse_ms();
    t3_clock_shift_ms(3600000);
    assert_true(t3_now_coarse_ms() >= before + 3600000);
    assert_true(t3_calendar_us() > INT64_C(1700000000000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deadline_counts_down),
        cmocka_unit_test(for_ever_is_not_in_the_past),
        cmocka_unit_test(the_earlier_one_wins),
        cmocka_unit_test(a_part_of_a_millisecond_is_rounded_up),
        cmocka_unit_test(waiting_ends_at_the_deadline),
        cmocka_unit_test(the_coarse_clock_can_be_shifted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
