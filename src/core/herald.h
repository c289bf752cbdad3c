/*
 * herald.h -- shows pending rows to other processes: puts them into L2, marked as not yet true, and sends notices.
 *
 * Best effort, on a thread of its own, after the save has returned: what others must not miss is sent when the row lands.
 */
#ifndef T3_CORE_HERALD_H
#define T3_CORE_HERALD_H

#include "core/core.h"

struct t3_herald;

tears_status t3_herald_new(struct tears_client *client, struct t3_herald **herald_out);
/* Ends the thread; before L2 ends.  NULL is accepted. */
void t3_herald_free(struct t3_herald *herald);

/* The key was saved, and is pending.  NULL is accepted: there is no L2. */
void t3_herald_tell(struct t3_herald *herald, struct tears_collection *collection,
                    const struct t3_key *key);

#endif
