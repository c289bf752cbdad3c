/*
 * test_arena.c -- arenas: alignment, growth, limits, reset, trim, failing allocations.
 */
#include "base/alloc.h"
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void pieces_are_aligned_and_do_not_overlap(void **state)
{
    (void)state;
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    char *before = NULL;
    for (size_t i = 1; i < 3000; i++) {
        const size_t bytes = i % 97;
        char *piece = t3_arena_alloc(&arena, bytes);
        assert_non_null(piece);
        assert_int_equal((uintptr_t)piece % 8, 0);
        memset(piece, (int)(i & 0xff), bytes);
        if (before != NULL && (i - 1) % 97 > 0)
            assert_int_equal((unsigned char)before[(i - 1) % 97 - 1], (i - 1) & 0xff);
        before = piece;
    }
}

static void arrays_are_zero_and_products_are_checked(void **state)
{
    (void)state;
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    char *dirty = t3_arena_alloc(&arena, 512);
    assert_non_null(dirty);
    memset(dirty, 0xaa, 512);
    t3_arena_reset(&arena);
    const uint64_t *numbers = t3_arena_array(&arena, 64, sizeof *numbers);
    assert_non_null(numbers);
    for (size_t i = 0; i < 64; i++)
        assert_int_equal(numbers[i], 0);
    assert_null(t3_arena_array(&arena, SIZE_MAX / 2, 16));
    assert_null(t3_arena_alloc(&arena, SIZE_MAX));
}

static void the_limit_holds_and_can_be_used_up(void **state)
{
    (void)state;
    T3_AUTO(t3_arena_done) struct t3_arena arena = {.bytes_max = 10000};
    size_t taken = 0;
    while (t3_arena_alloc(&arena, 100) != NULL) {
        taken += 104;
        assert_true(arena.bytes <= 10000);
    }
    assert_true(taken > 9500); /* doubling blocks must not waste what the limit still allows */
    assert_null(t3_arena_alloc(&arena, 20000));
}

static void reset_keeps_one_block_but_not_a_huge_one(void **state)
{
    (void)state;
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    for (int i = 0; i < 100; i++)
        assert_non_null(t3_arena_alloc(&arena, 1000));
    const size_t most = arena.bytes;
    t3_arena_reset(&arena);
    assert_true(arena.bytes > 0 && arena.bytes < most);
    assert_non_null(t3_arena_alloc(&arena, (size_t)8 << 20));
    t3_arena_reset(&arena);
    assert_int_equal(arena.bytes, 0);
    assert_non_null(t3_arena_alloc(&arena, 1));
}

static void trim_gives_back_the_end(void **state)
{
    (void)state;
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    char *piece = t3_arena_alloc(&arena, 1000);
    t3_arena_trim(&arena, piece, 10);
    assert_ptr_equal(t3_arena_alloc(&arena, 1), piece + 16);
}

static void strings_are_copied_and_terminated(void **state)
{
    (void)state;
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct tears_str copy;
    assert_int_equal(t3_arena_str(&arena, tears_str_n(NULL, 0), &copy), TEARS_OK);
    assert_non_null(copy.ptr);
    assert_string_equal(copy.ptr, "");
    assert_int_equal(t3_arena_str(&arena, tears_str_n("a\0b", 3), &copy), TEARS_OK);
    assert_int_equal(copy.len, 3);
    assert_memory_equal(copy.ptr, "a\0b", 4);
}

static void a_failed_block_leaves_the_arena_usable(void **state)
{
    (void)state;
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    t3_alloc_fail_at(1);
    assert_null(t3_arena_alloc(&arena, 8));
    t3_alloc_fail_at(0);
    assert_int_equal(arena.bytes, 0);
    assert_non_null(t3_arena_alloc(&arena, 8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_aligned_and_do_not_overlap),
        cmocka_unit_test(arrays_are_zero_and_products_are_checked),
        cmocka_unit_test(the_limit_holds_and_can_be_used_up),
        cmocka_unit_test(reset_keeps_one_block_but_not_a_huge_one),
        cmocka_unit_test(trim_gives_back_the_end),
        cmocka_unit_test(strings_are_copied_and_terminated),
        cmocka_unit_test(a_failed_block_leaves_the_arena_usable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
