/*
 * crash_point.h -- runs a function in a child process that dies before its n-th system call.
 *
 * The child is traced, with all its threads; at the stop before the n-th call after its mark it is killed with SIGKILL, as by a loss of the process
 * at exactly that moment.  What the child has acknowledged is in a pipe by then.
 */
#ifndef TESTS_SUPPORT_CRASH_POINT_H
#define TESTS_SUPPORT_CRASH_POINT_H

#include <stdbool.h>
#include <stdint.h>

struct crash_child; /* in the child: its end of the pipe */

/* From here on system calls count. */
void crash_point_mark(struct crash_child *child);
/* The step is done, and must not be lost. */
void crash_point_acknowledge(struct crash_child *child);

struct crash_point {
    uint64_t calls;        /* that were made after the mark */
    uint32_t acknowledged; /* steps */
    bool was_killed;       /* false: the child ended before the n-th call */
};

/* Runs it; a child that fails by itself fails the test.  `at` 0: it is not killed. */
struct crash_point crash_point_run(void (*run)(struct crash_child *child, void *owner), void *owner,
                                   uint64_t at);

#endif
