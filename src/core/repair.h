/*
 * repair.h -- tries again, in the background, to correct L2 for rows whose correction failed.
 *
 * A repair does not know the row any more: it puts a delete marker and tells everyone, and whoever
 * reads next asks L3.  That is always safe (W-03, W-05).
 */
#ifndef T3_CORE_REPAIR_H
#define T3_CORE_REPAIR_H

#include "core/core.h"

struct t3_repair;

tears_status t3_repair_new(struct tears_client *client, struct t3_repair **repair_out);

/* Ends the thread, if one was needed: L2 is not used any more, but its news may still wake.  NULL is
 * accepted. */
void t3_repair_stop(struct t3_repair *repair);

/* Frees what is stopped; what is still to be repaired is logged.  NULL is accepted. */
void t3_repair_free(struct t3_repair *repair);

/* Queues a row; never fails the caller: with no memory or a full queue it is logged and counted. */
void t3_repair_add(struct t3_repair *repair, struct tears_collection *collection,
                   const struct t3_key *key);

/* L2 may answer again: try now. */
void t3_repair_wake(struct t3_repair *repair);

/* Whether the row waits, or is being corrected. */
bool t3_repair_holds(struct t3_repair *repair, const struct tears_collection *collection,
                     const struct t3_key *key);

/* Rows waiting. */
uint64_t t3_repair_count(struct t3_repair *repair);

#endif
