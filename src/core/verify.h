/*
 * verify.h -- after a loss: asks L2, in the background, about the rows in L1 that nobody vouches for any more.
 *
 * Those that are read before their turn are read anew by their reader.  This is for the others, and so that not all readers
 * come at once: it starts at a random moment, keeps to a rate, and never asks L3.
 */
#ifndef T3_CORE_VERIFY_H
#define T3_CORE_VERIFY_H

#include "core/core.h"

tears_status t3_verify_new(struct tears_client *client, struct t3_verify **verify_out);

/* Ends the thread, if one was needed; from here on nothing is started any more, though news may still come.  NULL is accepted. */
void t3_verify_stop(struct t3_verify *verify);
void t3_verify_free(struct t3_verify *verify);

/* Rows that were confirmed before this moment are to be verified.  A run under way begins anew.  NULL is accepted. */
void t3_verify_start(struct t3_verify *verify, uint64_t before_ms);

#endif
