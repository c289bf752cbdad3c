/*
 * uuid.c -- version-7 UUIDs (RFC 9562) and UUID text.
 *
 * Owns:     the last millisecond and counter handed out.
 * Must not know: what a UUID is used for.
 * Threads:  any; one atomic.
 * Fails:    only on text that is no UUID.
 * Begin at: tears_uuid_new().
 *
 * Why a counter: UUIDs made in one millisecond must still be unique and in order, so the 12 bits after the
 * version count within the millisecond (RFC 9562, method 1); when they run out the time moves on by one.
 */
#include <tears/value.h>

#include "base/clock.h"
#include "base/str.h"

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

/* Random bytes from the kernel, fetched in bulk: one system call for 32 UUIDs. */
static void random_bytes(uint8_t *out, size_t len)
{
    static _Thread_local uint8_t pool[256];
    static _Thread_local size_t left;
    if (left < len) {
        ssize_t got = getrandom(pool, sizeof pool, 0);
        T3_ASSERT(got == (ssize_t)sizeof pool);
        left = sizeof pool;
    }
    left -= len;
    memcpy(out, pool + left, len);
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

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

tears_status tears_uuid_parse(struct tears_str text, uint8_t uuid_out[16])
{
    if (text.len >= 2 && text.ptr[0] == '{' && text.ptr[text.len - 1] == '}')
        text = tears_str_n(text.ptr + 1, text.len - 2);
    if (text.len != 32 && text.len != 36)
        return TEARS_INVALID;
    uint8_t uuid[16];
    size_t at = 0;
    for (int i = 0; i < 16; i++) {
        if (text.len == 36 && (i == 4 || i == 6 || i == 8 || i == 10) && text.ptr[at++] != '-')
            return TEARS_INVALID;
        const int high = digit(text.ptr[at]);
        const int low = digit(text.ptr[at + 1]);
        if (high < 0 || low < 0)
            return TEARS_INVALID;
        uuid[i] = (uint8_t)(high << 4 | low);
        at += 2;
    }
    memcpy(uuid_out, uuid, sizeof uuid);
    return TEARS_OK;
}
