/*
 * lock.c -- pthread mutexes and condition variables, with failure as a bug.
 *
 * Owns: nothing.  Threads: any.  Fails: never; misuse aborts.
 */
#include "base/lock.h"

void t3_mutex_init(struct t3_mutex *mutex)
{
    const int rc = pthread_mutex_init(&mutex->mutex, NULL);
    T3_ASSERT(rc == 0);
}

void t3_mutex_done(struct t3_mutex *mutex)
{
    const int rc = pthread_mutex_destroy(&mutex->mutex);
    T3_ASSERT(rc == 0);
}

void t3_lock(struct t3_mutex *mutex)
{
    const int rc = pthread_mutex_lock(&mutex->mutex);
    T3_ASSERT(rc == 0);
}

void t3_unlock(struct t3_mutex *mutex)
{
    const int rc = pthread_mutex_unlock(&mutex->mutex);
    T3_ASSERT(rc == 0);
}

void t3_cond_init(struct t3_cond *cond)
{
    pthread_condattr_t attributes;
    int rc = pthread_condattr_init(&attributes);
    T3_ASSERT(rc == 0);
    rc = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    T3_ASSERT(rc == 0);
    rc = pthread_cond_init(&cond->cond, &attributes);
    T3_ASSERT(rc == 0);
    pthread_condattr_destroy(&attributes);
}

void t3_cond_done(struct t3_cond *cond)
{
    const int rc = pthread_cond_destroy(&cond->cond);
    T3_ASSERT(rc == 0);
}

void t3_cond_signal(struct t3_cond *cond)
{
    pthread_cond_signal(&cond->cond);
}

void t3_cond_broadcast(struct t3_cond *cond)
{
    pthread_cond_broadcast(&cond->cond);
}

bool t3_cond_wait(struct t3_cond *cond, struct t3_mutex *mutex, struct t3_deadline deadline)
{
    struct timespec at;
    at.tv_sec = (time_t)(deadline.at_us / 1000000u);
    at.tv_nsec = (long)(deadline.at_us % 1000000u) * 1000;
    return pthread_cond_timedwait(&cond->cond, &mutex->mutex, &at) == 0;
}
