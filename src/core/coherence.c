/*
 * coherence.c -- what this process does when another one changed a row.
 *
 * Owns:     nothing.
 * Knows:    notices, and that a doubtful one must drop more rather than less.
 * Must not know: how notices travel.
 * Threads:  those of the L2 driver; nothing here blocks or calls L2, except to send a dead letter.
 * Fails:    never; what cannot be understood drops the table's rows or is reported.
 * Begin at: on_notice().
 */
#include "core/coherence.h"

#include "codec/notice.h"
#include "core/repair.h"
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

/* Notices may have been missed while the connection was away. */
static void on_reconnected(void *owner)
{
    struct tears_client *client = owner;
    t3_log(&client->log, TEARS_LOG_INFO, "l2", "connected again; L1 starts over");
    for (struct tears_collection *one = client->collections; one != NULL; one = one->next)
        drop_table(one);
    if (client->repair != NULL)
        t3_repair_wake(client->repair);
}

struct t3_l2_sink t3_coherence_sink(struct tears_client *client)
{
    struct t3_l2_sink sink = {
        .filled = on_filled, .notice = on_notice, .reconnected = on_reconnected, .owner = client};
    return sink;
}
