/*
 * l2_feed.c -- news of the bucket's stream, on their way from the driver to the one who opened the tier.
 *
 * Owns:     what is known of the bucket as a whole: its identity, how far its stream was obeyed.
 * Must not know: what is done about the news.
 * Threads:  news come on threads of the driver, one at a time; the rest on any.
 * Fails:    never.
 * Begin at: t3_l2_feed_start().
 */
#include "tier/l2_impl.h"

#include "base/hash.h"
#include "base/str.h"

#include <string.h>

/* -- the follower, which ends before the connection does ----------------------------------- */

/* NULL: there is none, or none any more. */
static struct t3_follow *borrow_follow(struct t3_l2 *l2)
{
    t3_lock(&l2->feed.mutex);
    struct t3_follow *follow = l2->feed.is_closing ? NULL : l2->feed.follow;
    l2->feed.borrowers += follow != NULL ? 1 : 0;
    t3_unlock(&l2->feed.mutex);
    return follow;
}

static void return_follow(struct t3_l2 *l2)
{
    t3_lock(&l2->feed.mutex);
    if (--l2->feed.borrowers == 0)
        t3_cond_broadcast(&l2->feed.returned);
    t3_unlock(&l2->feed.mutex);
}

void t3_l2_wake_feed(struct t3_l2 *l2)
{
    const uint64_t now_ms = t3_now_coarse_ms();
    uint64_t last_ms = atomic_load_explicit(&l2->feed.woken_ms, memory_order_relaxed);
    if (now_ms - last_ms < L2_WAKE_MS ||
        !atomic_compare_exchange_strong_explicit(&l2->feed.woken_ms, &last_ms, now_ms,
                                                 memory_order_relaxed, memory_order_relaxed))
        return;
    t3_l2_feed_connected(l2);
}

void t3_l2_feed_connected(struct t3_l2 *l2)
{
    struct t3_follow *follow = borrow_follow(l2);
    if (follow == NULL)
        return;
    t3_follow_wake(follow);
    return_follow(l2);
}

/* -- identity ------------------------------------------------------------------------------ */

static uint64_t epoch_of(struct tears_str text)
{
    const uint64_t hash = t3_hash(text.ptr, text.len, 0);
    return hash != 0 ? hash : 1;
}

bool t3_l2_is_of_this_bucket(struct t3_l2 *l2, struct tears_str epoch)
{
    const uint64_t here = atomic_load_explicit(&l2->feed.epoch, memory_order_acquire);
    return epoch.len == 0 || here == 0 || epoch_of(epoch) == here;
}

/* -- news ---------------------------------------------------------------------------------- */

/* A marker that was announced tells readers to keep off.  One put by a reader is no change, unless it may
 * hide one: see l2_lease.c. */
static enum t3_l2_event_kind marker_kind(const struct t3_follow_event *event)
{
    if (event->is_fill)
        return event->has_version ? T3_L2_EVENT_MARKER : T3_L2_EVENT_FILL_LEASE;
    return event->lease_ms > 0 ? T3_L2_EVENT_WRITE_LEASE : T3_L2_EVENT_MARKER;
}

static enum t3_l2_event_kind kind_of(struct t3_l2 *l2, const struct t3_follow_event *event)
{
    if (event->is_marker)
        return marker_kind(event);
    if (!t3_l2_is_of_this_bucket(l2, event->epoch))
        return T3_L2_EVENT_MARKER; /* readers will not believe the value */
    if (event->is_dirty)
        return T3_L2_EVENT_WRITE_LEASE; /* L3 will have it: what is cached is old, and stays so until it has */
    return event->is_fill ? T3_L2_EVENT_FILL : T3_L2_EVENT_PUT;
}

static void observe(struct t3_l2 *l2, const struct t3_follow_event *event)
{
    const struct l2_announcement announcement = {
        .key = event->key,
        .revision = event->revision,
        .lease_ms = event->lease_ms,
        .is_write = !event->is_fill,
        .hides_nothing = !event->has_version,
    };
    (void)t3_l2_observe(l2, &announcement);
}

static void on_event(void *owner, const struct t3_follow_event *event)
{
    struct t3_l2 *l2 = owner;
    if (event->is_marker && event->lease_ms > 0)
        observe(l2, event);
    if (l2->sink.event == NULL || event->key.len == 0 ||
        memchr(event->key.ptr, '.', event->key.len) == NULL)
        return; /* not a row's key */
    const struct t3_l2_event news = {
        .kind = kind_of(l2, event),
        .key = event->key,
        .revision = event->revision,
        .has_version = event->has_version,
        .version = event->version,
        .is_own = event->origin.len > 0 && t3_str_is(event->origin, l2->origin),
        .origin = event->origin,
        .ids = event->ids,
    };
    l2->sink.event(l2->sink.owner, &news);
}

static void on_current(void *owner, uint64_t as_of_ms, uint64_t revision)
{
    struct t3_l2 *l2 = owner;
    atomic_store_explicit(&l2->feed.revision, revision, memory_order_relaxed);
    atomic_store_explicit(&l2->feed.is_current, true, memory_order_relaxed);
    if (l2->sink.current != NULL)
        l2->sink.current(l2->sink.owner, as_of_ms, revision);
}

static void on_doubt(void *owner, const char *why)
{
    struct t3_l2 *l2 = owner;
    atomic_store_explicit(&l2->feed.is_current, false, memory_order_relaxed);
    if (l2->sink.doubt != NULL)
        l2->sink.doubt(l2->sink.owner, why);
}

/* The moment is known before the generation moves, and that moves before anything can be written in the name of the new bucket:
 * see begin() and after_stored() in l2_put.c.
 * With the identity all announcements that were seen are forgotten. */
static void on_lost(void *owner, uint64_t since_ms, const char *epoch, const char *why)
{
    struct t3_l2 *l2 = owner;
    atomic_store_explicit(&l2->feed.is_current, false, memory_order_relaxed);
    atomic_store_explicit(&l2->feed.revision, 0, memory_order_relaxed); /* of the old one */
    if (atomic_load_explicit(&l2->feed.epoch, memory_order_relaxed) != 0)
        atomic_store_explicit(&l2->feed.since_ms, since_ms, memory_order_release);
    atomic_fetch_add_explicit(&l2->feed.generation, 1, memory_order_acq_rel);
    atomic_store_explicit(&l2->feed.epoch, epoch_of(tears_str_c(epoch)), memory_order_release);
    char text[T3_KV_EPOCH_BYTES + 1] = "";
    if (strlen(epoch) <= T3_KV_EPOCH_BYTES)
        memcpy(text, epoch, strlen(epoch));
    t3_kv_set_epoch(l2->kv, text);
    if (l2->sink.lost != NULL)
        l2->sink.lost(l2->sink.owner, since_ms, why);
}

void t3_l2_feed(struct t3_l2 *l2, struct t3_l2_feed *feed_out)
{
    feed_out->is_followed = atomic_load_explicit(&l2->feed.is_current, memory_order_relaxed);
    feed_out->revision = atomic_load_explicit(&l2->feed.revision, memory_order_relaxed);
}

void t3_l2_feed_stats(struct t3_l2 *l2, struct t3_follow_stats *stats_out)
{
    struct t3_follow *follow = borrow_follow(l2);
    memset(stats_out, 0, sizeof *stats_out);
    if (follow == NULL)
        return;
    t3_follow_stats(follow, stats_out);
    return_follow(l2);
}

/* -- beginning and end --------------------------------------------------------------------- */

void t3_l2_feed_init(struct t3_l2 *l2)
{
    t3_mutex_init(&l2->feed.mutex);
    t3_cond_init(&l2->feed.returned);
}

tears_status t3_l2_feed_start(struct t3_l2 *l2, uint64_t probe_ms, struct tears_error *error_out)
{
    const struct t3_follow_options options = {
        .nats = l2->prompt,
        .kv = l2->kv,
        .bucket = l2->bucket,
        .probe_ms = probe_ms,
        .wait_ms = l2->wait_ms,
        .sink = {.event = on_event,
                 .current = on_current,
                 .doubt = on_doubt,
                 .lost = on_lost,
                 .owner = l2},
        .log = l2->log,
    };
    struct t3_follow *follow = NULL;
    T3_TRY(t3_follow_start(&options, &follow, error_out));
    t3_lock(&l2->feed.mutex);
    l2->feed.follow = follow;
    t3_unlock(&l2->feed.mutex);
    return TEARS_OK;
}

void t3_l2_feed_wait(struct t3_l2 *l2, struct t3_deadline deadline)
{
    struct t3_follow *follow = borrow_follow(l2);
    if (follow == NULL)
        return;
    (void)t3_follow_wait_current(follow, deadline); /* else what is read first is read again */
    return_follow(l2);
}

void t3_l2_feed_stop(struct t3_l2 *l2)
{
    t3_lock(&l2->feed.mutex);
    l2->feed.is_closing = true;
    while (l2->feed.borrowers > 0)
        (void)t3_cond_wait(&l2->feed.returned, &l2->feed.mutex, t3_deadline_in_ms(1000));
    struct t3_follow *follow = l2->feed.follow;
    l2->feed.follow = NULL;
    t3_unlock(&l2->feed.mutex);
    t3_follow_free(follow);
}

void t3_l2_feed_done(struct t3_l2 *l2)
{
    t3_cond_done(&l2->feed.returned);
    t3_mutex_done(&l2->feed.mutex);
}
