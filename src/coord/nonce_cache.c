/*
 * nonce_cache.c -- a table of sets of eight; the oldest of a set makes room.
 *
 * Owns:     the table.
 * Must not know: servers.
 * Threads:  any, one mutex.
 * Fails:    never, once it is made.
 * Begin at: t3_nonce_cache_has().
 */
#include "coord/nonce_cache.h"

#include "base/alloc.h"
#include "base/hash.h"

enum { WAYS = 8 };

/* 128 bits of the key tell nonces apart; the first 64 choose the set. */
struct nonce {
    uint64_t low, high;
    uint64_t until_us; /* t3_boot_us; 0: empty */
};

struct t3_nonce_cache {
    struct t3_mutex mutex;
    uint64_t ttl_us;
    uint64_t set_mask;
    struct nonce nonces[];
};

struct t3_nonce_cache *t3_nonce_cache_new(uint64_t nonces, uint64_t ttl_ms)
{
    uint64_t sets = 1;
    while (sets * WAYS < nonces && sets < (UINT64_C(1) << 24))
        sets *= 2;
    struct t3_nonce_cache *cache =
        t3_alloc_zero(1, sizeof *cache + sets * WAYS * sizeof cache->nonces[0]);
    if (cache == NULL)
        return NULL;
    t3_mutex_init(&cache->mutex);
    cache->ttl_us = ttl_ms * 1000;
    cache->set_mask = sets - 1;
    return cache;
}

void t3_nonce_cache_free(struct t3_nonce_cache *cache)
{
    if (cache == NULL)
        return;
    t3_mutex_done(&cache->mutex);
    t3_free(cache);
}

static uint64_t word_of(const char *digits)
{
    uint64_t word = 0;
    for (size_t i = 0; i < 16; i++) {
        const char c = digits[i];
        word = word * 16 + (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return word;
}

static struct nonce *set_of(struct t3_nonce_cache *cache, uint64_t low)
{
    return cache->nonces + (low & cache->set_mask) * WAYS;
}

bool t3_nonce_cache_has(struct t3_nonce_cache *cache, const char *key)
{
    const uint64_t low = word_of(key);
    const uint64_t high = word_of(key + 16);
    const uint64_t now_us = t3_boot_us();
    bool found = false;
    t3_lock(&cache->mutex);
    const struct nonce *set = set_of(cache, low);
    for (size_t i = 0; i < WAYS && !found; i++)
        found = set[i].until_us > now_us && set[i].low == low && set[i].high == high;
    t3_unlock(&cache->mutex);
    return found;
}

void t3_nonce_cache_add(struct t3_nonce_cache *cache, const char *key)
{
    const struct nonce added = {word_of(key), word_of(key + 16), t3_boot_us() + cache->ttl_us};
    t3_lock(&cache->mutex);
    struct nonce *set = set_of(cache, added.low);
    struct nonce *oldest = &set[0];
    for (size_t i = 1; i < WAYS; i++)
        if (set[i].until_us < oldest->until_us)
            oldest = &set[i];
    *oldest = added;
    t3_unlock(&cache->mutex);
}
