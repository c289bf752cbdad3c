/*
 * history_build.h -- the steps of building a history, for judge.c.
 */
#ifndef CHAOS_HISTORY_BUILD_H
#define CHAOS_HISTORY_BUILD_H

#include "history_impl.h"

struct chaos_history *chaos_history_build(const struct chaos_evidence *evidence,
                                          struct chaos_verdict *verdict);

/* Finds the version of each write, and judges what can be judged of writes alone. */
void chaos_match_writers(struct chaos_history *history, const struct chaos_evidence *evidence,
                         struct chaos_verdict *verdict);

/* The version that stores the record's stamp under the record's key, or NO_PLACE. */
uint32_t chaos_place_of(const struct chaos_history *history, const struct chaos_record *record);

#endif
