/*
 * read.h -- the read path: L1, then L2, then L3, and back up.
 */
#ifndef T3_CORE_READ_H
#define T3_CORE_READ_H

#include "core/core.h"

/*
 * Finds one row, as fresh as the session's level demands.  found_out->row is NULL when it does not exist.  TEARS_OK or the failure,
 * with the session's error filled.
 */
tears_status t3_read_one(struct tears_session *session, struct tears_collection *collection,
                         const struct t3_key *key, struct t3_found *found_out);

/* Says that there is no such row; TEARS_NOT_FOUND. */
tears_status t3_read_not_found(struct tears_session *session,
                               const struct tears_collection *collection, const struct t3_key *key);

/* Finds many rows; found_out has `count` places. */
tears_status t3_read_many(struct tears_session *session, struct tears_collection *collection,
                          const struct t3_key *keys, size_t count, struct t3_found *found_out);

/* Reads one row as if L1 did not have it, and keeps it there (early refresh). */
tears_status t3_read_anew(struct tears_session *session, struct tears_collection *collection,
                          const struct t3_key *key, struct t3_found *found_out);

/* Reads rows from L3, past the caches and into none of them. */
tears_status t3_read_l3(struct tears_session *session, struct tears_collection *collection,
                        const struct t3_key *keys, size_t count, struct t3_found *found_out);

/* What a hit of L1's may set going: a row whose age is nearly over is read anew in the background. */
void t3_read_look_ahead(struct tears_collection *collection, const struct t3_key *key,
                        const struct t3_l1_hit *hit);

/* Carries out a batch of single-row loads (struct t3_combine's function of a collection). */
void t3_read_run_loads(void *collection, struct t3_combine_item **items, size_t count);

#endif
