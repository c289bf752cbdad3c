/*
 * thread.h -- the library's own threads, and pauses that a test can shorten.
 */
#ifndef T3_BASE_THREAD_H
#define T3_BASE_THREAD_H

#include "base/macros.h"

#include <pthread.h>

/* All zero: no thread. */
struct t3_thread {
    pthread_t thread;
    bool has_started;
};

/* Starts a thread with all signals blocked: the program's handlers run on the program's threads.  TEARS_OK, TEARS_UNAVAILABLE. */
tears_status t3_thread_start(struct t3_thread *thread, void *(*run)(void *owner), void *owner);

/* Waits for its end; one that never started is accepted. */
void t3_thread_join(struct t3_thread *thread);

/* Sleeps. */
void t3_pause_us(uint64_t us);

#endif
