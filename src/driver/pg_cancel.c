/*
 * pg_cancel.c -- tells a server to stop a statement nobody waits for any more.
 *
 * Owns:     the connection it is given, until it is closed.
 * Must not know: pools, deadlines.
 * Threads:  any; each cancellation runs on a short-lived thread of its own, a few at most.
 * Fails:    never; at worst the connection is closed without a cancellation.
 * Begin at: t3_pg_cancel_and_close().
 *
 * Why a thread: libpq's PQcancel blocks, without any limit, in connect and recv; a server that is
 * stopped or unreachable (the usual reason for a timeout) would hold the caller far beyond its
 * deadline.
 */
#include "driver/pg_impl.h"

#include <pthread.h>
#include <signal.h>

enum { CANCELS_AT_ONCE_MAX = 8 };

/* Of the whole process: the bound is on threads. */
static atomic_uint running;

static void *cancel_and_close(void *argument)
{
    PGconn *pg = argument;
    PGcancel *cancel = PQgetCancel(pg);
    if (cancel != NULL) {
        char ignored[256]; /* the reason it could not be sent; there is nothing left to do about it
                            */
        (void)PQcancel(cancel, ignored, sizeof ignored);
        PQfreeCancel(cancel);
    }
    PQfinish(pg);
    atomic_fetch_sub(&running, 1);
    return NULL;
}

/* The thread must not take signals that the host's own threads wait for. */
static bool start_thread(PGconn *pg)
{
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0)
        return false;
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_t thread;
    bool started = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0 &&
                   pthread_sigmask(SIG_SETMASK, &all, &before) == 0;
    if (started) {
        started = pthread_create(&thread, &attributes, cancel_and_close, pg) == 0;
        (void)pthread_sigmask(SIG_SETMASK, &before,
                              NULL); /* cannot fail: the arguments are right */
    }
    pthread_attr_destroy(&attributes);
    return started;
}

void t3_pg_cancel_and_close(PGconn *pg)
{
    if (atomic_fetch_add(&running, 1) < CANCELS_AT_ONCE_MAX && start_thread(pg))
        return;
    atomic_fetch_sub(&running, 1);
    PQfinish(pg);
}
