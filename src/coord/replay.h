/*
 * replay.h -- what of a replay guard does not need a server.
 */
#ifndef T3_COORD_REPLAY_H
#define T3_COORD_REPLAY_H

#include "driver/kv_bucket.h"

#define T3_REPLAY_VALUE "1"

/* The settings of a guard's bucket.  TEARS_INVALID: the time is too short or too long. */
tears_status t3_replay_settings(uint64_t ttl_ms, uint64_t replicas,
                                struct t3_kv_settings *settings_out, struct tears_error *error_out);

#endif
