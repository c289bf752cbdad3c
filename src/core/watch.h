/*
 * watch.h -- hands news of the feeds to whoever watches (tears_watch_start).
 *
 * Whoever has news asks t3_is_watched first: nobody watching costs one load.
 */
#ifndef T3_CORE_WATCH_H
#define T3_CORE_WATCH_H

#include "base/lock.h"

#include <stdatomic.h>
#include <tears/coherence.h>

struct tears_watch;
struct t3_l2_event;
struct t3_notice;

/* All zero and t3_watchers_init: nobody watches. */
struct t3_watchers {
    struct t3_mutex mutex; /* guards the list and what is in it */
    struct t3_cond idle;   /* a watch is not being called any more */
    struct tears_watch *first;
    uint64_t last_number;
    atomic_uint count;
};

void t3_watchers_init(struct t3_watchers *watchers);
void t3_watchers_done(struct t3_watchers *watchers);

/* Relaxed: one who starts to watch may miss the news that are on their way at that moment. */
static inline bool t3_is_watched(const struct t3_watchers *watchers)
{
    return atomic_load_explicit(&watchers->count, memory_order_relaxed) != 0;
}

/* Calls the functions of those who watch the event's table.  Any thread. */
void t3_watchers_tell(struct tears_client *client, const struct tears_event *event);

/* The same for a message of the stream, a notice, and news of the feed (TEARS_EVENT_DOUBT, _TRUST, _LOST). */
void t3_watchers_tell_l2(struct tears_client *client, const struct t3_l2_event *event);
void t3_watchers_tell_notice(struct tears_client *client, const struct t3_notice *notice);
void t3_watchers_tell_feed(struct tears_client *client, uint64_t kind);

#endif
