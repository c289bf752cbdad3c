/*
 * thread.c -- starting and joining threads; sleeping.
 *
 * Owns: nothing.  Threads: any.  Fails: t3_thread_start, when the system has no thread to give.
 */
#include "base/thread.h"

#include <signal.h>
#include <time.h>

tears_status t3_thread_start(struct t3_thread *thread, void *(*run)(void *owner), void *owner)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread->has_started = pthread_create(&thread->thread, NULL, run, owner) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return thread->has_started ? TEARS_OK : TEARS_UNAVAILABLE;
}

void t3_thread_join(struct t3_thread *thread)
{
    if (!thread->has_started)
        return;
    const int rc = pthread_join(thread->thread, NULL);
    T3_ASSERT(rc == 0); /* it is ours, and joined once */
    thread->has_started = false;
}

void t3_pause_us(uint64_t us)
{
    const struct timespec pause = {.tv_sec = (time_t)(us / 1000000),
                                   .tv_nsec = (long)(us % 1000000) * 1000};
    nanosleep(&pause, NULL);
}
