/*
 * kv_list.h -- which keys of a bucket have entries.
 */
#ifndef T3_DRIVER_KV_LIST_H
#define T3_DRIVER_KV_LIST_H

#include "driver/kv.h"

/*
 * Calls `found` with each key that starts with `prefix` and a dot, delete markers too, in no particular order; what is put or
 * removed meanwhile may be missed.  `prefix` is a valid key.  The server lists them in pages; this is for rare occasions.
 * TEARS_OK, TEARS_UNAVAILABLE, TEARS_TIMEOUT, TEARS_NO_MEMORY, and what `found` returns.
 */
tears_status t3_kv_list(struct t3_kv *kv, struct tears_str prefix, struct t3_deadline deadline,
                        tears_status (*found)(void *owner, struct tears_str key), void *owner);

#endif
