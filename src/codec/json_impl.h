/*
 * json_impl.h -- finding the next byte of a JSON string that needs attention, eight bytes at a
 * time.
 *
 * Private to codec/json*.c.
 */
#ifndef T3_CODEC_JSON_IMPL_H
#define T3_CODEC_JSON_IMPL_H

#include "base/macros.h"

#include <endian.h>

#define T3_EACH_BYTE(byte) ((uint64_t)0x0101010101010101u * (byte))

/* Eight bytes, the first in the lowest bits. */
static inline uint64_t t3_load_word(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return le64toh(word);
}

/*
 * The top bit of every byte that is below 0x20, a quote, a backslash, or not ASCII.  Above the
 * first such byte there may be false ones (a borrow runs upwards), so only the lowest bit set may
 * be used.
 */
static inline uint64_t t3_special_bytes(uint64_t word)
{
    const uint64_t quotes = word ^ T3_EACH_BYTE('"');
    const uint64_t backslashes = word ^ T3_EACH_BYTE('\\');
    const uint64_t below = (word - T3_EACH_BYTE(0x20)) & ~word;
    const uint64_t is_quote = (quotes - T3_EACH_BYTE(1)) & ~quotes;
    const uint64_t is_backslash = (backslashes - T3_EACH_BYTE(1)) & ~backslashes;
    return (word | below | is_quote | is_backslash) & T3_EACH_BYTE(0x80);
}

/* The same and DEL: what Python escapes. */
static inline uint64_t t3_escaped_bytes(uint64_t word)
{
    const uint64_t deletes = word ^ T3_EACH_BYTE(0x7f);
    return t3_special_bytes(word) | ((deletes - T3_EACH_BYTE(1)) & ~deletes & T3_EACH_BYTE(0x80));
}

static inline size_t t3_first_byte(uint64_t tops)
{
    return (size_t)__builtin_ctzll(tops) / 8;
}

/* Four hexadecimal digits; above 0xffff when they are not. */
static inline uint32_t t3_hex4(const char *at)
{
    uint32_t code = 0;
    for (int i = 0; i < 4; i++) {
        const unsigned char c = (unsigned char)at[i];
        uint32_t digit;
        if (c >= '0' && c <= '9')
            digit = (uint32_t)c - '0';
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            digit = ((uint32_t)c | 0x20) - 'a' + 10;
        else
            return UINT32_MAX;
        code = code << 4 | digit;
    }
    return code;
}

/*
 * The escape that starts at the backslash `at`: its length, and the character it stands for.  0: it
 * is none, or half a surrogate pair.
 */
size_t t3_json_escape(const char *at, const char *end, uint32_t *code_out);

/* Writes the character as UTF-8: 1 to 4 bytes. */
char *t3_json_put_code(char *to, uint32_t code);

#endif
