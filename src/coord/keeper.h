/*
 * keeper.h -- the thread that renews leases and notices when their time is over.
 */
#ifndef T3_COORD_KEEPER_H
#define T3_COORD_KEEPER_H

#include "coord/coord.h"

tears_status t3_keeper_start(struct tears_coord *coord, struct tears_error *error_out);
/* One that never started is accepted. */
void t3_keeper_stop(struct tears_coord *coord);

/* From now on the lease is renewed; and no more: afterwards the keeper has forgotten it. */
void t3_keeper_add(struct tears_lease *lease);
void t3_keeper_remove(struct tears_lease *lease);

/* Something about the lease has changed: look at it now. */
void t3_keeper_wake(struct tears_coord *coord);

/* There is something to do at that time (t3_boot_us); wakes the keeper only if it would sleep longer. */
void t3_keeper_due_locked(struct tears_coord *coord, uint64_t at_us);

#endif
