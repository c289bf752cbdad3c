/*
 * soft_delete.h -- rows that are deleted by a mark in them, and hidden from then on.
 *
 * The tiers know nothing of it: a marked row is a row, cached and corrected like any other.  What is given out through a
 * session hides it here.
 */
#ifndef T3_CORE_SOFT_DELETE_H
#define T3_CORE_SOFT_DELETE_H

#include "core/write.h"

/* Finds the columns when the collection's option asks for it.  TEARS_INVALID: the table has none, or not as they must be. */
tears_status t3_soft_delete_init(struct tears_collection *collection,
                                 struct tears_error *error_out);

static inline bool t3_is_soft(const struct tears_collection *collection)
{
    return collection->options.soft_delete != 0;
}

/* Whether marked rows are hidden from the session. */
static inline bool t3_hides_deleted(const struct tears_session *session,
                                    const struct tears_collection *collection)
{
    return t3_is_soft(collection) && !session->with_deleted;
}

/* Whether the row is there for the session; NULL is not. */
bool t3_is_visible(const struct tears_session *session, const struct tears_collection *collection,
                   const struct t3_row *row);

/* The filter of a page that leaves marked rows out. */
struct t3_cell t3_soft_delete_filter(const struct tears_collection *collection);

/*
 * Marks rows as deleted.  Of a change without a base the row is read from L3 first: one that is not there, or is marked
 * already, is TEARS_NOT_FOUND in its outcome.  `outcomes_out` has `count` places.  As t3_write_rows of kind DELETE.
 */
tears_status t3_soft_delete_rows(struct tears_session *session, struct tears_collection *collection,
                                 struct t3_change *changes, size_t count,
                                 struct tears_outcome *outcomes_out);

#endif
