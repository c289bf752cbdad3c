/*
 * fault_l3.h -- a durable tier whose N-th call fails, before or after it has done its work.
 *
 * It stands in front of a real one.  Every begin, query, write, fetch and commit is a call; a rollback is none, it never fails.
 */
#ifndef TESTS_SUPPORT_FAULT_L3_H
#define TESTS_SUPPORT_FAULT_L3_H

#include "tier/l3.h"

#include <stdatomic.h>

struct fault_l3 {
    struct t3_l3 base;
    struct t3_l3 *inner;
    uint64_t calls;           /* since fault_l3_arm */
    uint64_t fail_at;         /* the call that fails, from 1; 0: none */
    uint64_t fail_count;      /* how many in a row */
    struct tears_error error; /* what it fails with */
    bool after;   /* it fails when its work is done; of a commit: its outcome is unknown then */
    bool unknown; /* of a commit that fails before: the caller is not told that nothing happened */
    atomic_bool is_down;                /* every call gives UNAVAILABLE */
    uint64_t begins, commits, rows;     /* that went through */
    void (*before_begin)(void *owner);  /* once */
    void (*before_commit)(void *owner); /* once */
    void *owner;
};

/* `inner` must outlive it. */
void fault_l3_init(struct fault_l3 *fault, struct t3_l3 *inner);

/* From now on call `nth` fails; 0: none. */
void fault_l3_arm(struct fault_l3 *fault, uint64_t nth, tears_status status, const char *sqlstate,
                  bool after);

#endif
