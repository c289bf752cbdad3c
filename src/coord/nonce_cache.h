/*
 * nonce_cache.h -- nonces this process has seen lately, so that their replay costs no round trip.
 *
 * It forgets when it is full; what it knows is right, what it does not know says nothing.
 */
#ifndef T3_COORD_NONCE_CACHE_H
#define T3_COORD_NONCE_CACHE_H

#include "base/lock.h"

struct t3_nonce_cache;

/* Room for about `nonces`; they count for `ttl_ms`.  NULL: no memory. */
struct t3_nonce_cache *t3_nonce_cache_new(uint64_t nonces, uint64_t ttl_ms);
void t3_nonce_cache_free(struct t3_nonce_cache *cache);

/* The key is 64 hexadecimal digits of a SHA-256. */
bool t3_nonce_cache_has(struct t3_nonce_cache *cache, const char *key);
void t3_nonce_cache_add(struct t3_nonce_cache *cache, const char *key);

#endif
