/*
 * bytes.c -- bytes as text: hexadecimal and base64.
 *
 * Owns:     nothing.
 * Must not know: what the bytes are.
 * Threads:  any.
 * Fails:    TEARS_INVALID on text that is not exactly what an encoder writes; TEARS_NO_MEMORY,
 * TEARS_LIMIT. Begin at: t3_base64_parse_to().
 *
 * Why strict: two texts that decode to the same bytes would make one value look like two.
 */
#include "codec/text.h"

static const char hex_digits[] = "0123456789abcdef";
static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64url_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* ---- hexadecimal --------------------------------------------------------------------------------
 */

tears_status t3_hex_put(struct t3_buf *out, struct tears_str bytes)
{
    T3_TRY(t3_buf_reserve(out, bytes.len * 2));
    char *to = out->ptr + out->len;
    for (size_t i = 0; i < bytes.len; i++) {
        const unsigned char byte = (unsigned char)bytes.ptr[i];
        *to++ = hex_digits[byte >> 4];
        *to++ = hex_digits[byte & 15];
    }
    *to = '\0';
    out->len += bytes.len * 2;
    return TEARS_OK;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

size_t t3_hex_parse_to(struct tears_str text, char *to)
{
    if (text.len % 2 != 0)
        return SIZE_MAX;
    for (size_t i = 0; i < text.len; i += 2) {
        const int high = hex_digit(text.ptr[i]);
        const int low = hex_digit(text.ptr[i + 1]);
        if (high < 0 || low < 0)
            return SIZE_MAX;
        to[i / 2] = (char)(high << 4 | low);
    }
    return text.len / 2;
}

/* Accounts for what a parser wrote behind the end of the buffer. */
static tears_status keep_parsed(struct t3_buf *out, size_t len)
{
    if (len != SIZE_MAX)
        out->len += len;
    out->ptr[out->len] = '\0';
    return len != SIZE_MAX ? TEARS_OK : TEARS_INVALID;
}

tears_status t3_hex_parse(struct t3_buf *out, struct tears_str text)
{
    T3_TRY(t3_buf_reserve(out, text.len / 2));
    return keep_parsed(out, t3_hex_parse_to(text, out->ptr + out->len));
}

/* ---- base64 -------------------------------------------------------------------------------------
 */

static char *put_group(char *to, const char *digits, uint32_t group, size_t bytes)
{
    *to++ = digits[group >> 18];
    *to++ = digits[(group >> 12) & 63];
    *to++ = bytes > 1 ? digits[(group >> 6) & 63] : '=';
    *to++ = bytes > 2 ? digits[group & 63] : '=';
    return to;
}

tears_status t3_base64_put(struct t3_buf *out, struct tears_str bytes, bool url)
{
    const char *digits = url ? base64url_digits : base64_digits;
    if (bytes.len > SIZE_MAX / 2)
        return TEARS_LIMIT;
    T3_TRY(t3_buf_reserve(out, (bytes.len + 2) / 3 * 4));
    const unsigned char *from = (const unsigned char *)bytes.ptr;
    char *to = out->ptr + out->len;
    size_t i = 0;
    for (; i + 3 <= bytes.len; i += 3)
        to = put_group(to, digits,
                       (uint32_t)from[i] << 16 | (uint32_t)from[i + 1] << 8 | (uint32_t)from[i + 2],
                       3);
    if (bytes.len - i == 1)
        to = put_group(to, digits, (uint32_t)from[i] << 16, 1);
    else if (bytes.len - i == 2)
        to = put_group(to, digits, (uint32_t)from[i] << 16 | (uint32_t)from[i + 1] << 8, 2);
    *to = '\0';
    out->len = (size_t)(to - out->ptr);
    return TEARS_OK;
}

/* The value of a digit; a number above 63 when it is none. */
static uint32_t base64_digit(unsigned char c, bool url)
{
    if (c >= 'A' && c <= 'Z')
        return c - (uint32_t)'A';
    if (c >= 'a' && c <= 'z')
        return c - (uint32_t)'a' + 26;
    if (c >= '0' && c <= '9')
        return c - (uint32_t)'0' + 52;
    if (c == (url ? '-' : '+'))
        return 62;
    return c == (url ? '_' : '/') ? 63 : 0xff;
}

/* Four digits as 24 bits; above 24 bits when one of them is none. */
static uint32_t read_group(const char *text, bool url)
{
    uint32_t group = 0;
    uint32_t worst = 0;
    for (size_t i = 0; i < 4; i++) {
        const uint32_t digit = base64_digit((unsigned char)text[i], url);
        worst |= digit;
        group = group << 6 | (digit & 63);
    }
    return worst > 63 ? UINT32_MAX : group;
}

/* The last group: one or two "=", and no bits lost under them. */
static size_t read_padded(const char *text, bool url, char *to)
{
    const size_t bytes = text[2] == '=' ? 1 : 2;
    if (bytes == 1 && text[3] != '=')
        return SIZE_MAX;
    const char group_text[4] = {text[0], text[1], bytes == 1 ? 'A' : text[2], 'A'};
    const uint32_t group = read_group(group_text, url);
    if (group == UINT32_MAX || (group & (bytes == 1 ? 0xffffu : 0xffu)) != 0)
        return SIZE_MAX;
    to[0] = (char)(group >> 16);
    if (bytes == 2)
        to[1] = (char)(group >> 8);
    return bytes;
}

size_t t3_base64_parse_to(struct tears_str text, bool url, char *to)
{
    if (text.len % 4 != 0)
        return SIZE_MAX;
    size_t len = 0;
    for (size_t i = 0; i < text.len; i += 4) {
        if (i + 4 == text.len && text.ptr[i + 3] == '=') {
            const size_t last = read_padded(text.ptr + i, url, to + len);
            return last == SIZE_MAX ? SIZE_MAX : len + last;
        }
        const uint32_t group = read_group(text.ptr + i, url);
        if (group == UINT32_MAX)
            return SIZE_MAX;
        to[len++] = (char)(group >> 16);
        to[len++] = (char)(group >> 8);
        to[len++] = (char)group;
    }
    return len;
}

tears_status t3_base64_parse(struct t3_buf *out, struct tears_str text, bool url)
{
    T3_TRY(t3_buf_reserve(out, text.len / 4 * 3));
    return keep_parsed(out, t3_base64_parse_to(text, url, out->ptr + out->len));
}
