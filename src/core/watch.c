/*
 * watch.c -- news of the feeds for people and programs that want to see them.
 *
 * Owns:     the watches of a client.
 * Knows:    how news are named in the public API.
 * Must not know: what this process does about the news.
 * Threads:  any; functions are called without the mutex, and a watch ends only when none of its calls is under way.
 * Fails:    TEARS_UNSUPPORTED, TEARS_NO_MEMORY.
 * Begin at: tears_watch_start(), t3_watchers_tell().
 */
#include "core/watch.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fail.h"
#include "base/str.h"
#include "codec/notice.h"
#include "core/core.h"

enum { TOLD_AT_ONCE = 8 };

struct tears_watch {
    struct tears_watch *next; /* of a lower number */
    struct tears_client *client;
    uint64_t number; /* counted up: says who has been told already */
    uint32_t calls;  /* under way */
    tears_watch_fn fn;
    void *owner;
    size_t table_len;
    char table[]; /* "": all */
};

void t3_watchers_init(struct t3_watchers *watchers)
{
    t3_mutex_init(&watchers->mutex);
    t3_cond_init(&watchers->idle);
}

void t3_watchers_done(struct t3_watchers *watchers)
{
    t3_cond_done(&watchers->idle);
    t3_mutex_done(&watchers->mutex);
}

/* ---- beginning and end ------------------------------------------------------------------- */

tears_status tears_watch_start(tears_client *client, struct tears_str table, tears_watch_fn fn,
                               void *owner, tears_watch **watch_out)
{
    if (client == NULL || fn == NULL || watch_out == NULL || t3_client_is_foreign(client))
        return TEARS_MISUSE;
    if (client->l2 == NULL)
        return TEARS_UNSUPPORTED;
    struct tears_watch *watch = t3_alloc_zero(1, sizeof *watch + table.len);
    if (watch == NULL)
        return TEARS_NO_MEMORY;
    watch->client = client;
    watch->fn = fn;
    watch->owner = owner;
    watch->table_len = table.len;
    if (table.len > 0)
        memcpy(watch->table, table.ptr, table.len);
    struct t3_watchers *watchers = &client->watchers;
    t3_lock(&watchers->mutex);
    watch->number = ++watchers->last_number;
    watch->next = watchers->first;
    watchers->first = watch;
    atomic_fetch_add_explicit(&watchers->count, 1, memory_order_relaxed);
    t3_unlock(&watchers->mutex);
    *watch_out = watch;
    return TEARS_OK;
}

static void unlink_locked(struct t3_watchers *watchers, const struct tears_watch *watch)
    T3_REQUIRES(watchers->mutex)
{
    struct tears_watch **link = &watchers->first;
    while (*link != watch)
        link = &(*link)->next;
    *link = watch->next;
    atomic_fetch_sub_explicit(&watchers->count, 1, memory_order_relaxed);
}

void tears_watch_free(tears_watch *watch)
{
    if (watch == NULL || t3_client_is_foreign(watch->client))
        return;
    struct t3_watchers *watchers = &watch->client->watchers;
    t3_lock(&watchers->mutex);
    unlink_locked(watchers, watch);
    while (watch->calls > 0)
        (void)t3_cond_wait(&watchers->idle, &watchers->mutex, t3_deadline_in_ms(60000));
    t3_unlock(&watchers->mutex);
    t3_free(watch);
}

/* ---- telling ----------------------------------------------------------------------------- */

static bool wants(const struct tears_watch *watch, const struct tears_event *event)
{
    const struct tears_str table = tears_str_n(watch->table, watch->table_len);
    return event->table.len == 0 || table.len == 0 || t3_str_equal(event->table, table);
}

/* Of the watches below a number those that want the event, the highest numbers first; none of them can end until it is released. */
static size_t hold_locked(struct t3_watchers *watchers, const struct tears_event *event,
                          uint64_t below, struct tears_watch **held) T3_REQUIRES(watchers->mutex)
{
    size_t count = 0;
    for (struct tears_watch *one = watchers->first; one != NULL && count < TOLD_AT_ONCE;
         one = one->next) {
        if (one->number >= below || !wants(one, event))
            continue;
        one->calls++;
        held[count++] = one;
    }
    return count;
}

static void release_locked(struct t3_watchers *watchers, struct tears_watch **held, size_t count)
    T3_REQUIRES(watchers->mutex)
{
    for (size_t i = 0; i < count; i++)
        held[i]->calls--;
    t3_cond_broadcast(&watchers->idle);
}

void t3_watchers_tell(struct tears_client *client, const struct tears_event *event)
{
    struct t3_watchers *watchers = &client->watchers;
    struct tears_watch *held[TOLD_AT_ONCE];
    uint64_t below = UINT64_MAX;
    size_t count;
    do {
        t3_lock(&watchers->mutex);
        count = hold_locked(watchers, event, below, held);
        t3_unlock(&watchers->mutex);
        if (count == 0)
            return;
        below = held[count - 1]->number;
        for (size_t i = 0; i < count; i++)
            held[i]->fn(held[i]->owner, event);
        t3_lock(&watchers->mutex);
        release_locked(watchers, held, count);
        t3_unlock(&watchers->mutex);
    } while (count == TOLD_AT_ONCE);
}

/* ---- naming ------------------------------------------------------------------------------ */

/* Splits "table.body".  A table's name may have a dot in it: a collection that is open is known by its name, of others
 * the first dot ends it. */
static void split_key(struct tears_client *client, struct tears_str key, struct tears_event *event)
{
    size_t len = 0;
    while (len < key.len && key.ptr[len] != '.')
        len++;
    for (struct tears_collection *one = client->collections; one != NULL; one = one->next) {
        const struct tears_str name = one->schema->name;
        if (name.len > len && name.len < key.len && key.ptr[name.len] == '.' &&
            t3_str_equal(tears_str_n(key.ptr, name.len), name))
            len = name.len;
    }
    event->table = tears_str_n(key.ptr, len);
    event->key = len < key.len ? t3_str_from(key, len + 1) : TEARS_STR("");
}

static uint64_t kind_of(enum t3_l2_event_kind kind)
{
    switch (kind) {
    case T3_L2_EVENT_PUT:
        return TEARS_EVENT_PUT;
    case T3_L2_EVENT_FILL:
        return TEARS_EVENT_FILL;
    case T3_L2_EVENT_MARKER:
        return TEARS_EVENT_MARKER;
    case T3_L2_EVENT_WRITE_LEASE:
    case T3_L2_EVENT_FILL_LEASE:
        break;
    }
    return TEARS_EVENT_LEASE;
}

void t3_watchers_tell_l2(struct tears_client *client, const struct t3_l2_event *event)
{
    struct tears_event told = {
        .kind = kind_of(event->kind),
        .origin = event->origin,
        .revision = event->revision,
        .has_version = event->has_version,
        .version = event->version,
        .is_own = event->is_own,
    };
    split_key(client, event->key, &told);
    t3_watchers_tell(client, &told);
}

void t3_watchers_tell_notice(struct tears_client *client, const struct t3_notice *notice)
{
    T3_AUTO(t3_buf_done) struct t3_buf ids = {0};
    tears_status status = TEARS_OK;
    for (size_t i = 0; status == TEARS_OK && i < notice->id_count; i++) {
        if (i > 0)
            status = t3_buf_put(&ids, TEARS_STR(", "));
        if (status == TEARS_OK)
            status = t3_buf_put(&ids, notice->ids[i]);
    }
    const struct tears_str own = tears_str_c(client->origin);
    const struct tears_event told = {
        .kind = TEARS_EVENT_NOTICE,
        .table = notice->table,
        .key = status == TEARS_OK ? t3_buf_str(&ids) : TEARS_STR(""),
        .origin = notice->origin.ptr != NULL ? notice->origin : TEARS_STR(""),
        .is_own = t3_str_equal(notice->origin, own),
    };
    t3_watchers_tell(client, &told);
}

void t3_watchers_tell_feed(struct tears_client *client, uint64_t kind)
{
    const struct tears_event told = {
        .kind = kind, .table = TEARS_STR(""), .key = TEARS_STR(""), .origin = TEARS_STR("")};
    t3_watchers_tell(client, &told);
}
