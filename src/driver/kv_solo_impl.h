/*
 * kv_solo_impl.h -- what the two files of the solo KV driver share: kv_solo.c asks, kv_solo_hear.c hears.
 */
#ifndef T3_DRIVER_KV_SOLO_IMPL_H
#define T3_DRIVER_KV_SOLO_IMPL_H

#include "driver/kv_solo.h"
#include "driver/kv_wire.h"
#include "driver/nats_impl.h"

#define T3_SOLO_ATTEMPT "Tears-Attempt"
#define T3_SOLO_TTL     "Tears-Ttl"

enum { T3_JS_WRONG_REVISION_CONSTANT = 10164 }; /* as newer servers say it */

struct t3_solo {
    struct t3_solo_options options;
    char bucket[T3_KV_BUCKET_BYTES_MAX + 1];
    char subject_prefix[T3_KV_BUCKET_BYTES_MAX + 16]; /* "$KV.b." */
    struct t3_solo_sink sink;
    natsSubscription *entries;
    struct t3_nats_end entries_end;
};

#endif
