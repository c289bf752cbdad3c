/*
 * defer.h -- deferred writes, as the rest of core sees them: which tables are deferred, saving, and reading what is pending.
 *
 * A collection with `pending` set may have rows that wait for L3; one that `defers` puts its writes there.  The two differ for a table that
 * was deferred when the journal was written, and is not any more.
 */
#ifndef T3_CORE_DEFER_H
#define T3_CORE_DEFER_H

#include "core/write.h"
#include "deferred/deferred.h"

/* Opens the journal when the client's options ask for it.  As t3_deferred_open. */
tears_status t3_defer_start(struct tears_client *client, struct tears_error *error_out);

/* Opens the tables that have pending rows from before and that nobody has opened. */
void t3_defer_open_all(struct tears_client *client);

/* A last flush; what is left stays in the journal. */
void t3_defer_stop(struct tears_client *client);
void t3_defer_free(struct tears_client *client);

/* Finds out whether the table is deferred or has rows that wait, and opens what that needs. */
tears_status t3_defer_attach(struct tears_collection *collection, struct tears_error *error_out);

/* Whether a read of the session is to look at what is pending. */
static inline bool t3_defer_is_to_look(const struct tears_session *session,
                                       const struct tears_collection *collection)
{
    return collection->pending != NULL && session->tx == NULL &&
           session->level != TEARS_READ_STRONG && !t3_pending_is_empty(collection->pending);
}

/*
 * For what changes rows past the write path: TEARS_CONFLICT while deferred writes of the table wait, for nobody could say which comes first.
 * `collection` may be NULL.
 */
tears_status t3_defer_refuse(struct tears_session *session,
                             const struct tears_collection *collection);

/* Gives a row that is pending; *answered_out false: ask the tiers.  TEARS_OK, TEARS_NO_MEMORY, TEARS_LIMIT. */
tears_status t3_defer_look(struct tears_session *session, struct tears_collection *collection,
                           const struct t3_key *key, struct t3_found *found_out,
                           bool *answered_out);

/*
 * Writes rows of a collection that has `pending`.  *done_out false: they are to be written to L3, and nothing that is pending stands in
 * the way of that.  As t3_write_rows.
 */
tears_status t3_defer_rows(struct tears_session *session, struct tears_collection *collection,
                           enum t3_write_kind kind, const struct t3_change *changes, size_t count,
                           struct tears_outcome *outcomes_out, bool *done_out);

/* Counters, and what the doctor has to say. */
void t3_defer_stats(struct tears_client *client, struct tears_client_stats *stats);
tears_status t3_defer_findings(struct tears_client *client, struct t3_findings *findings);

#endif
