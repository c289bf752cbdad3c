/*
 * alloc.c -- the heap, with a switch that makes the N-th allocation fail.
 *
 * Owns:     the failure switch (two atomics).
 * Must not know: anything but libc.
 * Threads:  any.
 * Fails:    with NULL.
 */
#include "base/alloc.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>

static _Atomic uint64_t fail_at;
static _Atomic uint64_t calls;

static bool must_fail(void)
{
    const uint64_t nth = atomic_load_explicit(&fail_at, memory_order_relaxed);
    if (T3_LIKELY(nth == 0))
        return false;
    return atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed) + 1 == nth;
}

void *t3_alloc(size_t bytes)
{
    return must_fail() ? NULL : malloc(bytes != 0 ? bytes : 1);
}

void *t3_alloc_zero(size_t count, size_t bytes)
{
    return must_fail() ? NULL : calloc(count != 0 ? count : 1, bytes != 0 ? bytes : 1);
}

void *t3_resize(void *ptr, size_t bytes)
{
    return must_fail() ? NULL : realloc(ptr, bytes != 0 ? bytes : 1);
}

void t3_free(void *ptr)
{
    free(ptr);
}

size_t t3_alloc_bytes(const void *ptr)
{
    return ptr != NULL ? malloc_usable_size((void *)(uintptr_t)ptr) + sizeof(size_t) : 0;
}

void t3_free_auto(void *variable)
{
    void **pointer = variable;
    free(*pointer);
    *pointer = NULL;
}

void t3_alloc_fail_at(uint64_t nth)
{
    atomic_store(&calls, 0);
    atomic_store(&fail_at, nth);
}

uint64_t t3_alloc_count(void)
{
    return atomic_load(&calls);
}
