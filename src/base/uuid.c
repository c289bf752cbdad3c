/*
 * uuid.c -- version-7 UUIDs (RFC 9562) and UUID text.
 *
 * Owns:     the last millisecond and counter handed out; a pool of random bytes per thread.
 * Must not know: what a UUID is used for.
 * Threads:  any; one atomic.
 * Fails:    only on text that is no UUID.
 * Begin at: tears_uuid_new().
 *
 * Why a counter: UUIDs made in one millisecond must still be unique and in order, so the 12 bits
 * after the version count within the millisecond (RFC 9562, method 1); when they run out the time
 * moves on by one.
 *
 * Why generations: a forked child starts with a copy of the counter and of the pools; both
 * processes would hand out the same UUIDs.  fork() in the child moves the generation on, and a pool
 * of another generation is not used.
 */
#include <tears/value.h>

#include "base/clock.h"
#include "base/str.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/random.h>

static _Atomic uint64_t last; /* milliseconds << 12 | counter */

static uint64_t next_stamp(void)
{
    const uint64_t now = ((uint64_t)t3_calendar_us() / 1000u) << 12;
    uint64_t old = atomic_load_explicit(&last, memory_order_relaxed);
    uint64_t stamp;
    do {
        stamp = now > old ? now : old + 1;
    } while (!atomic_compare_exchange_weak_explicit(&last, &old, stamp, memory_order_relaxed,
                                                    memory_order_relaxed));
    return stamp;
}

static _Atomic uint64_t generation = 1;

static void after_fork_in_child(void)
{
    atomic_fetch_add_explicit(&generation, 1, memory_order_relaxed);
}

static void watch_forks(void)
{
    const int rc = pthread_atfork(NULL, NULL, after_fork_in_child);
    T3_ASSERT(rc == 0);
}

struct random_pool {
    uint8_t bytes[256];
    size_t left;
    uint64_t generation; /* of the process that filled it; 0: never filled */
};

static void refill(struct random_pool *pool, uint64_t now)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    const ssize_t got = getrandom(pool->bytes, sizeof pool->bytes, 0);
    T3_ASSERT(got == (ssize_t)sizeof pool->bytes); /* up to 256 bytes are never cut short */
    pool->left = sizeof pool->bytes;
    pool->generation = now;
}

/* Random bytes from the kernel, fetched in bulk: one system call for 32 UUIDs. */
static void random_bytes(uint8_t *out, size_t len)
{
    static _Thread_local struct random_pool pool;
    const uint64_t now = atomic_load_explicit(&generation, memory_order_relaxed);
    if (pool.left < len || pool.generation != now)
        refill(&pool, now);
    pool.left -= len;
    memcpy(out, pool.bytes + pool.left, len);
}

void tears_uuid_new(uint8_t uuid_out[16])
{
    const uint64_t stamp = next_stamp();
    const uint64_t ms = stamp >> 12;
    for (int i = 0; i < 6; i++)
        uuid_out[i] = (uint8_t)(ms >> (40 - 8 * i));
    uuid_out[6] = (uint8_t)(0x70 | ((stamp >> 8) & 0x0f));
    uuid_out[7] = (uint8_t)stamp;
    random_bytes(uuid_out + 8, 8);
    uuid_out[8] = (uint8_t)(0x80 | (uuid_out[8] & 0x3f));
}

void tears_uuid_text(const uint8_t uuid[16], char text_out[37])
{
    static const char digits[] = "0123456789abcdef";
    char *p = text_out;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *p++ = '-';
        *p++ = digits[uuid[i] >> 4];
        *p++ = digits[uuid[i] & 15];
    }
    *p = '\0';
}

/* The value of a hexadecimal digit plus one; 0 for every other character. */
static const uint8_t digit_plus_one[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16};

tears_status tears_uuid_parse(struct tears_str text, uint8_t uuid_out[16])
{
    if (text.len >= 2 && text.ptr[0] == '{' && text.ptr[text.len - 1] == '}')
        text = tears_str_n(text.ptr + 1, text.len - 2);
    if (text.len != 32 && text.len != 36)
        return TEARS_INVALID;
    const unsigned char *at = (const unsigned char *)text.ptr;
    uint8_t uuid[16];
    for (int i = 0; i < 16; i++) {
        if (text.len == 36 && (i == 4 || i == 6 || i == 8 || i == 10) && *at++ != '-')
            return TEARS_INVALID;
        const unsigned high = digit_plus_one[at[0]];
        const unsigned low = digit_plus_one[at[1]];
        if (high == 0 || low == 0)
            return TEARS_INVALID;
        uuid[i] = (uint8_t)((high - 1) << 4 | (low - 1));
        at += 2;
    }
    memcpy(uuid_out, uuid, sizeof uuid);
    return TEARS_OK;
}
