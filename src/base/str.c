/*
 * str.c -- comparisons and checks of text.
 *
 * Owns: nothing.  Threads: any.  Fails: never.
 */
#include "base/str.h"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

struct tears_str t3_str_trim(struct tears_str a, const char *blanks)
{
    const size_t count = strlen(blanks);
    while (a.len > 0 && memchr(blanks, a.ptr[0], count) != NULL)
        a = t3_str_from(a, 1);
    while (a.len > 0 && memchr(blanks, a.ptr[a.len - 1], count) != NULL)
        a.len--;
    return a;
}

bool t3_str_equal_nocase(struct tears_str a, struct tears_str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.ptr[i]) != lower(b.ptr[i]))
            return false;
    return true;
}

int t3_str_compare(struct tears_str a, struct tears_str b)
{
    const size_t len = a.len < b.len ? a.len : b.len;
    const int order = len > 0 ? memcmp(a.ptr, b.ptr, len) : 0;
    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

/* The length of the sequence that starts with `lead`, and the bounds of its second byte (RFC 3629).
 */
static size_t sequence(unsigned char lead, unsigned char *low, unsigned char *high)
{
    *low = 0x80;
    *high = 0xbf;
    if (lead >= 0xc2 && lead <= 0xdf)
        return 2;
    if (lead == 0xe0)
        *low = 0xa0;
    if (lead == 0xed)
        *high = 0x9f; /* surrogates */
    if (lead >= 0xe0 && lead <= 0xef)
        return 3;
    if (lead == 0xf0)
        *low = 0x90;
    if (lead == 0xf4)
        *high = 0x8f;
    return lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
}

size_t t3_utf8_length(const char *bytes, size_t left)
{
    const unsigned char *p = (const unsigned char *)bytes;
    if (left == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    unsigned char low;
    unsigned char high;
    const size_t len = sequence(p[0], &low, &high);
    if (len == 0 || left < len || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return len;
}

bool t3_str_is_utf8(struct tears_str a)
{
    size_t i = 0;
    while (i < a.len) {
        if (i + 8 <= a.len) { /* eight ASCII bytes at a time */
            uint64_t word;
            memcpy(&word, a.ptr + i, 8);
            if ((word & 0x8080808080808080u) == 0) {
                i += 8;
                continue;
            }
        }
        const size_t len = t3_utf8_length(a.ptr + i, a.len - i);
        if (len == 0)
            return false;
        i += len;
    }
    return true;
}
