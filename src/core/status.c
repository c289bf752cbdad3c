/*
 * status.c -- what is in force for a collection: bounds, and the state of the feed behind them.
 *
 * Owns:     nothing.
 * Must not know: how the feed is proven.
 * Threads:  any.
 * Fails:    never.
 * Begin at: tears_collection_status().
 */
#include "core/status.h"

#include "base/sized.h"
#include "core/outbox.h"

uint64_t t3_proof_age_ms(const struct t3_trust *trust)
{
    const uint64_t proof = atomic_load_explicit(&trust->proof_ms, memory_order_acquire);
    const uint64_t now = t3_now_coarse_ms();
    if (proof == 0)
        return UINT64_MAX;
    return now > proof ? now - proof : 0;
}

uint64_t t3_collection_feed(const struct tears_collection *collection)
{
    const struct tears_client *client = collection->client;
    if (client->l2 == NULL)
        return TEARS_FEED_NONE;
    if (collection->l2 == NULL)
        return TEARS_FEED_NOTICES;
    return t3_proof_age_ms(&client->trust) <= collection->bound_ms ? TEARS_FEED_CURRENT
                                                                   : TEARS_FEED_AWAY;
}

uint64_t t3_collection_bound_ms(const struct tears_collection *collection)
{
    return collection->bound_ms < collection->l1_age_ms ? collection->bound_ms
                                                        : collection->l1_age_ms;
}

void tears_collection_status(tears_collection *collection,
                             struct tears_collection_status *status_out)
{
    const struct tears_client *client = collection->client;
    const struct tears_collection_options *options = &collection->options;
    if (t3_client_is_foreign(client))
        return;
    const struct tears_collection_status status = {
        .size = sizeof status,
        .feed = t3_collection_feed(collection),
        .bound_ms = t3_collection_bound_ms(collection),
        .proof_age_ms = t3_proof_age_ms(&client->trust),
        .revision = atomic_load_explicit(&client->trust.revision, memory_order_relaxed),
        .l1_age_ms_max = collection->l1_age_ms,
        .stale_ms_max = options->stale_ms_max,
        .fill_lease_ms = options->fill_lease_ms,
        .strict = options->strict != 0,
        .outbox = t3_outbox_covers(client, collection->schema->name),
    };
    t3_sized_give(status_out, &status, sizeof status);
}
