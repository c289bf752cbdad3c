/*
 * nats_impl.h -- what the files that talk to the NATS library share; no other file includes it.
 */
#ifndef T3_DRIVER_NATS_IMPL_H
#define T3_DRIVER_NATS_IMPL_H

#include "base/lock.h"
#include "driver/nats_conn.h"
#include "driver/nats_pump.h"

#include <nats/nats.h>
#include <stdatomic.h>

/* Subscriptions that wait to be freed; beyond this the oldest do not wait. */
enum { NATS_ENDED_MAX = 64 };

struct t3_nats {
    natsConnection *connection;
    struct t3_nats_pump *pump;      /* NULL: the library reads */
    struct t3_nats_options options; /* texts in it are not kept */
    atomic_uint_fast64_t losses;
    atomic_bool
        is_connected; /* both as the callbacks know it: the library's own answers take its */
    atomic_size_t payload_max; /* connection lock, which every caller would fight for */
    atomic_bool stopping;
    struct t3_mutex mutex; /* guards what follows */
    struct t3_cond wake;
    bool closed;
    natsSubscription *ended[NATS_ENDED_MAX]; /* the library's reader may be at one of them still */
    size_t ended_count;
};

/*
 * Ends a subscription that has no callback, and frees it in time; NULL is accepted.  Until 3.6 the NATS library's reader
 * finds a subscription, and only then locks it: one that is freed in between crashes it (nats.c issue 637).  So the
 * subscription is taken off first, and freed when the reader has come to the answer of a ping; if none comes, it waits for
 * that of a later one.
 */
void t3_nats_unsubscribe(struct t3_nats *nats, natsSubscription **subscription);
/* The same without a ping of its own: freed with the next one, or with the connection. */
void t3_nats_unsubscribe_later(struct t3_nats *nats, natsSubscription **subscription);

/* What a failure of the library means to a caller. */
tears_status t3_nats_to_status(natsStatus status);

/* A subscription's end: no callback of it runs any more once `done` is set. */
struct t3_nats_end {
    struct t3_mutex mutex;
    struct t3_cond wake;
    bool is_watched;
    bool done;
};

void t3_nats_end_init(struct t3_nats_end *end);
/* To be called once, when the subscription is made: it ends by itself when the server refuses the
 * connection. */
natsStatus t3_nats_end_watch(struct t3_nats_end *end, natsSubscription *subscription);
/* Ends the subscription (NULL is accepted) and waits for its callbacks. False when that took too
 * long. */
bool t3_nats_end_subscription(struct t3_nats *nats, struct t3_nats_end *end,
                              natsSubscription *subscription);
void t3_nats_end_done(struct t3_nats_end *end);

#endif
