/*
 * json_write.c -- writing JSON: strings as Python's json.dumps writes them, and as compact UTF-8.
 *
 * Owns:     nothing.
 * Must not know: columns, rows.
 * Threads:  one per buffer.
 * Fails:    TEARS_INVALID on text that is not UTF-8; TEARS_NO_MEMORY, TEARS_LIMIT.
 * Begin at: t3_json_put_string().
 */
#include "base/str.h"
#include "codec/json.h"
#include "codec/json_impl.h"
#include "codec/text.h"

#include <math.h>

static const char hex_digits[] = "0123456789abcdef";

static char *put_unit(char *to, uint32_t unit)
{
    to[0] = '\\';
    to[1] = 'u';
    to[2] = hex_digits[unit >> 12];
    to[3] = hex_digits[unit >> 8 & 15];
    to[4] = hex_digits[unit >> 4 & 15];
    to[5] = hex_digits[unit & 15];
    return to + 6;
}

/* The escape of an ASCII character; `to` has room for 6 bytes. */
static char *put_ascii_escape(char *to, unsigned char c)
{
    static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (size_t i = 0; i < sizeof shorts - 1; i += 2)
        if (c == (unsigned char)shorts[i]) {
            to[0] = '\\';
            to[1] = shorts[i + 1];
            return to + 2;
        }
    return put_unit(to, c);
}

/* The character of `len` UTF-8 bytes as one or two \uXXXX; `to` has room for 12 bytes. */
static char *put_character_escape(char *to, const char *from, size_t len)
{
    const unsigned char *p = (const unsigned char *)from;
    uint32_t code = len == 2 ? p[0] & 0x1fu : len == 3 ? p[0] & 0x0fu : p[0] & 0x07u;
    for (size_t i = 1; i < len; i++)
        code = code << 6 | (p[i] & 0x3fu);
    if (code < 0x10000)
        return put_unit(to, code);
    code -= 0x10000;
    to = put_unit(to, 0xd800 + (code >> 10));
    return put_unit(to, 0xdc00 + (code & 0x3ff));
}

/* Copies plain bytes, eight at a time; stops at the first that Python would escape. */
static void copy_plain(const char **from, const char *end, char **to)
{
    const char *p = *from;
    char *q = *to;
    while (end - p >= 8) {
        const uint64_t special = t3_escaped_bytes(t3_load_word(p));
        const size_t plain = special == 0 ? 8 : t3_first_byte(special);
        memcpy(q, p, 8); /* there is room for all that is left of the text */
        p += plain;
        q += plain;
        if (special != 0)
            break;
    }
    while (p < end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x7f && *p != '"' &&
           *p != '\\')
        *q++ = *p++;
    *from = p;
    *to = q;
}

enum escaping { ESCAPE_ALL_BUT_ASCII, ESCAPE_ONLY_NEEDED };

/* Writes the character at *from, which is not plain; `to` has room for 12 bytes.  NULL: not UTF-8.
 */
static char *put_special(char *to, const char **from, const char *end, enum escaping escaping)
{
    const size_t len = t3_utf8_length(*from, (size_t)(end - *from));
    const char *character = *from;
    *from += len;
    if (len == 0)
        return NULL;
    const bool stays = escaping == ESCAPE_ONLY_NEEDED && (len > 1 || *character == 0x7f);
    if (stays) {
        memcpy(to, character, len);
        return to + len;
    }
    return len == 1 ? put_ascii_escape(to, (unsigned char)*character)
                    : put_character_escape(to, character, len);
}

static tears_status put_content(struct t3_buf *out, struct tears_str utf8, enum escaping escaping)
{
    const char *from = utf8.ptr;
    const char *end = from + utf8.len;
    for (;;) {
        T3_TRY(t3_buf_room(out, (size_t)(end - from)));
        char *to = out->ptr + out->len;
        copy_plain(&from, end, &to);
        out->len = (size_t)(to - out->ptr);
        *to = '\0';
        if (from == end)
            return TEARS_OK;
        char escape[12];
        const char *escape_end = put_special(escape, &from, end, escaping);
        if (escape_end == NULL)
            return TEARS_INVALID;
        T3_TRY(t3_buf_put(out, tears_str_n(escape, (size_t)(escape_end - escape))));
    }
}

static tears_status put_string(struct t3_buf *out, struct tears_str utf8, enum escaping escaping)
{
    T3_TRY(t3_buf_room(out, utf8.len + 2));
    out->ptr[out->len++] = '"';
    if (utf8.len > 0)
        T3_TRY(put_content(out, utf8, escaping));
    T3_TRY(t3_buf_room(out, 1));
    out->ptr[out->len++] = '"';
    out->ptr[out->len] = '\0';
    return TEARS_OK;
}

tears_status t3_json_put_string(struct t3_buf *out, struct tears_str utf8)
{
    return put_string(out, utf8, ESCAPE_ALL_BUT_ASCII);
}

tears_status t3_json_put_string_utf8(struct t3_buf *out, struct tears_str utf8)
{
    return put_string(out, utf8, ESCAPE_ONLY_NEEDED);
}

/* The first byte from `p` on that is DEL or not ASCII. */
static const char *skip_ascii(const char *p, const char *end)
{
    while (end - p >= 8) {
        const uint64_t word = t3_load_word(p);
        /* DEL plus one has the top bit; a carry needs 0xff below it, which is a hit itself. */
        const uint64_t tops = (word | (word + T3_EACH_BYTE(1))) & T3_EACH_BYTE(0x80);
        if (tops != 0)
            return p + t3_first_byte(tops);
        p += 8;
    }
    while (p < end && (unsigned char)*p < 0x7f)
        p++;
    return p;
}

tears_status t3_json_put_ascii(struct t3_buf *out, struct tears_str json)
{
    if (json.len == 0)
        return TEARS_OK;
    const char *from = json.ptr;
    const char *end = from + json.len;
    for (;;) {
        const char *stop = skip_ascii(from, end);
        T3_TRY(t3_buf_put(out, tears_str_n(from, (size_t)(stop - from))));
        if (stop == end)
            return TEARS_OK;
        from = stop;
        char escape[12];
        const char *escape_end = put_special(escape, &from, end, ESCAPE_ALL_BUT_ASCII);
        if (escape_end == NULL)
            return TEARS_INVALID;
        T3_TRY(t3_buf_put(out, tears_str_n(escape, (size_t)(escape_end - escape))));
    }
}

tears_status t3_json_put_double(struct t3_buf *out, double number)
{
    if (isnan(number))
        return t3_buf_put(out, TEARS_STR("NaN"));
    if (isinf(number))
        return t3_buf_put(out, number > 0 ? TEARS_STR("Infinity") : TEARS_STR("-Infinity"));
    char text[T3_DOUBLE_TEXT_MAX];
    return t3_buf_put(out, tears_str_n(text, t3_double_text(number, text)));
}
