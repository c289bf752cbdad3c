/*
 * refresh.h -- reads rows anew in the background, shortly before their age ends, while somebody still reads them.
 *
 * A refresh is a miss like any other: under a ticket taken before anything is asked, so an invalidation that comes meanwhile
 * wins; and nobody is told of it.
 */
#ifndef T3_CORE_REFRESH_H
#define T3_CORE_REFRESH_H

#include "core/core.h"

tears_status t3_refresh_new(struct tears_client *client, struct t3_refresh **refresh_out);

/* Stops the thread, if one was needed.  NULL is accepted. */
void t3_refresh_free(struct t3_refresh *refresh);

/* Queues a row, once; a full queue or want of memory lets it go.  Cheap when the row is queued already. */
void t3_refresh_soon(struct t3_refresh *refresh, struct tears_collection *collection,
                     const struct t3_key *key);

#endif
