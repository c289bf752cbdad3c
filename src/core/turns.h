/*
 * turns.h -- one at a time for threads of this process that change the same row by compare-and-swap.
 *
 * Threads that have lost a race take turns: each round trip of theirs would otherwise make the others lose again.  What
 * remains is the race between processes.
 */
#ifndef T3_CORE_TURNS_H
#define T3_CORE_TURNS_H

#include "base/clock.h"

struct t3_turns;

tears_status t3_turns_new(struct t3_turns **turns_out);
void t3_turns_free(struct t3_turns *turns);

/* Waits for the turn of the key with this hash; others that share its place wait too.  False when the deadline passed. */
bool t3_turn_take(struct t3_turns *turns, uint64_t hash, struct t3_deadline deadline);

/* Gives the turn to whoever waits. */
void t3_turn_pass(struct t3_turns *turns, uint64_t hash);

#endif
