/*
 * fault_store.h -- a durable store in memory whose N-th call fails, before or after it has done its
 * work.
 *
 * It stands in front of a hook_store: that one holds the rows, this one breaks.  A call that fails
 * "after" has written: what the caller is told is that it may not have.
 */
#ifndef TESTS_SUPPORT_FAULT_STORE_H
#define TESTS_SUPPORT_FAULT_STORE_H

#include "support/hook_store.h"

struct fault_store {
    struct tears_store store;
    struct hook_store *rows;
    uint64_t calls;      /* since fault_store_arm */
    uint64_t fail_at;    /* the call that fails, from 1; 0: none */
    tears_status status; /* what it fails with */
    bool after;          /* it fails when its work is done */
    uint64_t delay_ms;   /* every call takes so long */
};

/* `rows` must be initialised and outlive the store. */
void fault_store_init(struct fault_store *fault, struct hook_store *rows);

/* From now on call `nth` fails; 0: none. */
void fault_store_arm(struct fault_store *fault, uint64_t nth, tears_status status, bool after);

#endif
