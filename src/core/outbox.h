/*
 * outbox.h -- brings the caches up to date with what others changed in the database.
 */
#ifndef T3_CORE_OUTBOX_H
#define T3_CORE_OUTBOX_H

#include "core/core.h"

/* Starts the thread that looks for an outbox, and works on it when nobody else does; L2 and L3 must outlive it.
 * TEARS_OK, TEARS_UNAVAILABLE (no thread), TEARS_LIMIT (no file descriptor), TEARS_NO_MEMORY. */
tears_status t3_outbox_start(struct tears_client *client, struct t3_outbox **outbox_out,
                             struct tears_error *error_out);

/* Ends it; what it had not finished is left to others.  NULL is accepted. */
void t3_outbox_free(struct t3_outbox *outbox);

/* Whether the database notes changes of the table, as far as is known; no I/O. */
bool t3_outbox_covers(const struct tears_client *client, struct tears_str table);

#endif
