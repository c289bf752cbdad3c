/*
 * lock.h -- mutexes and waiting with a deadline on the monotonic clock.
 */
#ifndef T3_BASE_LOCK_H
#define T3_BASE_LOCK_H

#include "base/clock.h"

#include <pthread.h>

/* Functions that expect a lock held end in _locked and say which one with this. */
#define T3_REQUIRES(mutex)

struct t3_mutex {
    pthread_mutex_t mutex;
};

struct t3_cond {
    pthread_cond_t cond;
};

void t3_mutex_init(struct t3_mutex *mutex);
void t3_mutex_done(struct t3_mutex *mutex);
void t3_lock(struct t3_mutex *mutex);
void t3_unlock(struct t3_mutex *mutex);

void t3_cond_init(struct t3_cond *cond);
void t3_cond_done(struct t3_cond *cond);
void t3_cond_signal(struct t3_cond *cond);
void t3_cond_broadcast(struct t3_cond *cond);
/* False when the deadline passed. */
bool t3_cond_wait(struct t3_cond *cond, struct t3_mutex *mutex, struct t3_deadline deadline);

#endif
