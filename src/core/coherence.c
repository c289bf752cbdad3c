/*
 * coherence.c -- what this process does when another one changed a row.
 *
 * Owns:     nothing; moves the client's trust.
 * Knows:    both feeds, and that a doubtful piece of news must drop more rather than less.
 * Must not know: how news travel.
 * Threads:  those of the L2 driver; nothing here blocks or calls L2, except to send a dead letter.
 * Fails:    never; what cannot be understood drops the table's rows or is reported.
 * Begin at: on_notice(), on_event().
 *
 * Notices are delivered at most once, and tell of every writer, Python ones too.  The stream behind the bucket misses nothing, and
 * proves it.  Whatever either says has the same outcome: the key's stripe moves on, and L1 forgets what is older.
 *
 * When the stream is in doubt nothing is dropped: rows are only not proven any more, and after the next proof they are again.
 */
#include "core/coherence.h"

#include "base/str.h"
#include "codec/notice.h"
#include "core/repair.h"
#include "core/verify.h"
#include "schema/key_text.h"
#include "schema/notice_action.h"

static void drop_table(struct tears_collection *collection)
{
    if (collection->l1 != NULL)
        collection->l1->ops->clear(collection->l1, collection->space);
    else
        t3_tickets_move_all(&collection->client->tickets);
}

/* Reads the ids by the key columns' types (W-06).  TEARS_INVALID when one does not fit. */
static tears_status key_of_ids(struct tears_collection *collection, const struct t3_notice *notice,
                               struct t3_arena *arena, struct t3_key *key_out)
{
    const struct tears_schema *schema = collection->schema;
    struct tears_value *values = t3_arena_array(arena, schema->key_count, sizeof *values);
    if (values == NULL)
        return TEARS_NO_MEMORY;
    for (uint32_t i = 0; i < schema->key_count; i++)
        T3_TRY(t3_value_from_text(schema, schema->key[i], notice->ids[i], arena, &values[i], NULL));
    return t3_key_init(schema, values, schema->key_count, values, arena, key_out, NULL);
}

static void obey(struct tears_collection *collection, const struct t3_notice *notice,
                 struct t3_arena *arena)
{
    struct t3_key key;
    if (key_of_ids(collection, notice, arena, &key) == TEARS_OK) {
        t3_collection_drop(collection, &key);
        return;
    }
    t3_log(&collection->client->log, TEARS_LOG_WARN, "notice",
           "an invalidation of table '" T3_STR_FMT "' names a key that does not fit; "
           "all its cached rows are dropped",
           T3_STR_ARG(collection->schema->name));
    drop_table(collection);
}

static void reject(struct tears_client *client, struct tears_str payload,
                   const struct tears_error *error)
{
    t3_count(&client->counters.notices_rejected, 1);
    t3_log(&client->log, TEARS_LOG_WARN, "notice", "a malformed invalidation was refused: %s",
           error->message);
    struct t3_l2 *l2 = client->l2;
    if (l2 != NULL)
        t3_l2_dead_letter(l2, payload, "ValidationError", error->message);
}

static void take_notice(struct tears_client *client, struct tears_str payload)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct tears_error error;
    struct t3_notice notice;
    const tears_status status = t3_notice_decode(payload, &arena, &notice, &error);
    if (status == TEARS_INVALID) {
        reject(client, payload, &error);
        return;
    }
    if (status != TEARS_OK) { /* no memory to read it: nothing that is cached can be trusted */
        for (struct tears_collection *one = client->collections; one != NULL; one = one->next)
            drop_table(one);
        return;
    }
    struct tears_collection *collection = t3_collection_lookup(client, notice.table);
    const struct t3_notice_receiver self = {
        .origin = tears_str_c(client->origin),
        .table_known = collection != NULL,
        .has_l1 = true, /* without L1 the tickets have to move all the same */
        .key_count = collection != NULL ? collection->schema->key_count : 0,
    };
    switch (t3_notice_decide(&notice, &self)) {
    case T3_NOTICE_OWN:
        t3_count(&client->counters.notices_own, 1);
        break;
    case T3_NOTICE_ARITY:
        t3_log(&client->log, TEARS_LOG_WARN, "notice",
               "an invalidation of table '" T3_STR_FMT "' has %zu key values; it is ignored",
               T3_STR_ARG(notice.table), notice.id_count);
        t3_count(&client->counters.notices_ignored, 1);
        break;
    case T3_NOTICE_FOREIGN:
        t3_count(&client->counters.notices_ignored, 1);
        break;
    case T3_NOTICE_EVICT:
        T3_ASSERT(collection != NULL); /* only a known table has rows to evict */
        obey(collection, &notice, &arena);
        break;
    }
    if (t3_is_watched(&client->watchers)) /* last: what is told has been obeyed */
        t3_watchers_tell_notice(client, &notice);
}

static void on_notice(void *owner, struct tears_str payload)
{
    struct tears_client *client = owner;
    take_notice(client, payload);
    t3_count(&client->counters.notices_received, 1); /* last: what is counted has been obeyed */
}

/* A fill of L2 was acknowledged: L1 learns the revision; or lost: what L1 holds may be older than
 * L2. */
static void on_filled(void *owner, void *collection_ptr, const struct t3_key *key, int64_t version,
                      uint64_t revision, bool lost)
{
    struct tears_client *client = owner;
    struct tears_collection *collection = collection_ptr;
    (void)client;
    if (collection->l1 == NULL)
        return;
    if (lost)
        t3_collection_drop(collection, key);
    else
        collection->l1->ops->set_revision(collection->l1, collection->space, key, version,
                                          revision);
}

/* ---- the stream ---------------------------------------------------------------------------- */

/* A message of the stream, for one of the tables that its key may be of. */
struct news {
    struct tears_collection *collection;
    const struct t3_l2_event *event;
};

/*
 * L1 has the row at a higher version than the news.  Most often the news are late: L2 has the higher one already, or will
 * have it.  But when L1's own entry of L2 is an older one than this, versions have begun anew: the row was deleted and inserted again.
 */
static void drop_if_begun_anew(const struct news *news, const struct t3_key *key)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct tears_collection *collection = news->collection;
    struct t3_l1 *l1 = collection->l1;
    enum t3_l1_answer answer = T3_L1_MISS;
    struct t3_l1_hit hit;
    if (l1->ops->peek(l1, collection->space, key, &arena, &answer, &hit) != TEARS_OK) {
        t3_collection_drop(collection, key);
        return;
    }
    if ((answer == T3_L1_HIT || answer == T3_L1_EXPIRED) && hit.revision != 0 &&
        hit.revision < news->event->revision)
        t3_collection_drop(collection, key);
}

static void obey_version(const struct news *news, const struct t3_key *key)
{
    struct tears_collection *collection = news->collection;
    struct t3_l1 *l1 = collection->l1;
    if (l1 == NULL) {
        t3_collection_bump(collection, key);
        return;
    }
    if (!l1->ops->drop_older(l1, collection->space, key, news->event->version) &&
        l1->ops->contains(l1, collection->space, key))
        drop_if_begun_anew(news, key);
}

static void obey_event_for(void *owner, const struct t3_key *key)
{
    const struct news *news = owner;
    const struct t3_l2_event *event = news->event;
    const bool versioned = news->collection->schema->version_column != T3_NO_COLUMN;
    const bool is_row = event->kind == T3_L2_EVENT_PUT || event->kind == T3_L2_EVENT_FILL;
    if (event->kind == T3_L2_EVENT_FILL && !versioned)
        return; /* no change, and nothing to compare */
    if (is_row && versioned && event->has_version)
        obey_version(news, key);
    else
        t3_collection_drop(news->collection, key);
}

/* The key's text is a hash, so its ids are beside it, or it is a Python process's. */
static void obey_hashed(struct news *news)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct t3_key key;
    if (news->event->ids.len > 0 &&
        t3_key_from_ids(news->collection->schema, news->event->ids, &arena, &key) == TEARS_OK)
        obey_event_for(news, &key);
    else
        drop_table(news->collection);
}

static void obey_event(struct tears_collection *collection, struct tears_str body,
                       const struct t3_l2_event *event)
{
    struct news news = {.collection = collection, .event = event};
    if (t3_key_from_text(collection->schema, body, obey_event_for, &news) != TEARS_OK)
        obey_hashed(&news);
}

/* Gives the news to every table its key may be of: both a table's name and a key may have dots in them. */
static void find_tables(struct tears_client *client, const struct t3_l2_event *event)
{
    for (size_t dot = 0; dot < event->key.len; dot++) {
        if (event->key.ptr[dot] != '.')
            continue;
        struct tears_collection *collection =
            t3_collection_lookup(client, tears_str_n(event->key.ptr, dot));
        if (collection != NULL && collection->l2 != NULL)
            obey_event(collection, t3_str_from(event->key, dot + 1), event);
    }
}

/*
 * A reader at work changes nothing, and own rows are in L1 already.  An own marker may be one whose call had given up waiting: what was
 * read from L2 before it came goes.
 */
static bool concerns_l1(const struct t3_l2_event *event)
{
    return event->kind != T3_L2_EVENT_FILL_LEASE &&
           (!event->is_own || event->kind == T3_L2_EVENT_MARKER);
}

static void on_event(void *owner, const struct t3_l2_event *event)
{
    struct tears_client *client = owner;
    if (event->is_own)
        t3_count(&client->counters.feed_events_own, 1);
    if (concerns_l1(event))
        find_tables(client, event);
    t3_count(&client->counters.feed_events, 1); /* what is counted and told has been obeyed */
    if (t3_is_watched(&client->watchers))
        t3_watchers_tell_l2(client, event);
}

/* ---- trust --------------------------------------------------------------------------------- */

/* The moments are stored in an order that t3_trust_as_of relies on, by one thread at a time (the feed's). */

static void on_current(void *owner, uint64_t as_of_ms, uint64_t revision)
{
    struct tears_client *client = owner;
    struct t3_trust *trust = &client->trust;
    const bool was_in_doubt = atomic_load_explicit(&trust->proof_ms, memory_order_relaxed) == 0;
    atomic_store_explicit(&trust->revision, revision, memory_order_relaxed);
    atomic_store_explicit(&trust->proof_ms, as_of_ms, memory_order_release);
    if (!was_in_doubt)
        return;
    t3_log(&client->log, TEARS_LOG_INFO, "feed", "proven, at revision %llu",
           (unsigned long long)revision);
    if (t3_is_watched(&client->watchers))
        t3_watchers_tell_feed(client, TEARS_EVENT_TRUST);
}

static void on_doubt(void *owner, const char *why)
{
    struct tears_client *client = owner;
    if (atomic_exchange_explicit(&client->trust.proof_ms, 0, memory_order_acq_rel) == 0)
        return;
    t3_log(&client->log, TEARS_LOG_INFO, "feed", "in doubt: %s", why);
    if (t3_is_watched(&client->watchers))
        t3_watchers_tell_feed(client, TEARS_EVENT_DOUBT);
}

static void on_lost(void *owner, uint64_t since_ms, const char *why)
{
    struct tears_client *client = owner;
    struct t3_trust *trust = &client->trust;
    const bool is_first =
        atomic_exchange_explicit(&trust->since_ms, since_ms, memory_order_acq_rel) == UINT64_MAX;
    atomic_store_explicit(&trust->proof_ms, 0, memory_order_release);
    t3_log(&client->log, is_first ? TEARS_LOG_INFO : TEARS_LOG_WARN, "feed",
           "what was cached before is not vouched for any more: %s", why);
    if (t3_is_watched(&client->watchers))
        t3_watchers_tell_feed(client, TEARS_EVENT_LOST);
    t3_verify_start(client->verify, since_ms);
}

/* Notices may have been missed while the connection was away.  Tables that are kept in L2 learn from the stream what they said;
 * the others have nothing but notices. */
static void on_reconnected(void *owner)
{
    struct tears_client *client = owner;
    t3_log(&client->log, TEARS_LOG_INFO, "l2", "connected again");
    for (struct tears_collection *one = client->collections; one != NULL; one = one->next)
        if (one->l2 == NULL)
            drop_table(one);
    if (client->repair != NULL)
        t3_repair_wake(client->repair);
}

struct t3_l2_sink t3_coherence_sink(struct tears_client *client)
{
    const struct t3_l2_sink sink = {.filled = on_filled,
                                    .notice = on_notice,
                                    .reconnected = on_reconnected,
                                    .event = on_event,
                                    .current = on_current,
                                    .doubt = on_doubt,
                                    .lost = on_lost,
                                    .owner = client};
    return sink;
}
