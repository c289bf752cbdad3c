/*
 * alloc.h -- the only way to the heap, so that tests can make the N-th allocation fail.
 */
#ifndef T3_BASE_ALLOC_H
#define T3_BASE_ALLOC_H

#include "base/macros.h"

/* Memory of `bytes`; NULL when there is none.  Ended by t3_free. */
void *t3_alloc(size_t bytes) __attribute__((malloc, warn_unused_result));

/* The same, all zero. */
void *t3_alloc_zero(size_t count, size_t bytes) __attribute__((malloc, warn_unused_result));

/* Grows or shrinks; on NULL the old memory stays. */
void *t3_resize(void *ptr, size_t bytes) __attribute__((warn_unused_result));

void t3_free(void *ptr);

/* The bytes the heap really spends on `ptr` (its usable size and the allocator's own header). */
size_t t3_alloc_bytes(const void *ptr);

/* For T3_AUTO(t3_free_auto) on any pointer variable. */
void t3_free_auto(void *variable);

/* Tests only: the `nth` allocation from now (1: the next) fails, once; 0 turns it off. */
void t3_alloc_fail_at(uint64_t nth);

/* Tests only: allocations made since the last t3_alloc_fail_at. */
uint64_t t3_alloc_count(void);

#endif
