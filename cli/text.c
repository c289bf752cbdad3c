/*
 * text.c -- memory, growing text, and the few text functions every command needs.
 *
 * Owns:     nothing; all state is in its arguments.
 * Must not know: tables, tiers, terminals.
 * Threads:  any.
 * Fails:    only by exhausted memory, which ends the program.
 * Begin at: cli_text_put().
 */
#include "text.h"

#include "command.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* ---- memory ---- */

static void *or_exit(void *ptr)
{
    if (ptr == NULL) {
        fputs("tears: out of memory\n", stderr);
        exit(CLI_EXIT_BROKEN);
    }
    return ptr;
}

void *cli_alloc(size_t count, size_t bytes)
{
    return or_exit(calloc(count > 0 ? count : 1, bytes));
}

void *cli_resize(void *ptr, size_t count, size_t bytes)
{
    if (count > SIZE_MAX / bytes)
        return or_exit(NULL);
    return or_exit(realloc(ptr, count > 0 ? count * bytes : 1));
}

char *cli_copy(struct tears_str text)
{
    char *copy = cli_alloc(text.len + 1, 1);
    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    return copy;
}

/* ---- borrowed text ---- */

bool cli_str_equal(struct tears_str a, struct tears_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool cli_str_is(struct tears_str a, const char *literal)
{
    return cli_str_equal(a, tears_str_c(literal));
}

bool cli_str_ends(struct tears_str a, const char *suffix)
{
    const size_t len = strlen(suffix);
    return a.len >= len && memcmp(a.ptr + a.len - len, suffix, len) == 0;
}

bool cli_number(struct tears_str text, uint64_t max, uint64_t *out)
{
    uint64_t number = 0;

    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        const uint64_t digit = (uint64_t)(text.ptr[i] - '0');
        if (number > (max - digit) / 10 || digit > max)
            return false;
        number = number * 10 + digit;
    }
    *out = number;
    return true;
}

/* ---- text that grows ---- */

static void text_reserve(struct cli_text *text, size_t more)
{
    if (text->capacity - text->len > more)
        return;
    size_t capacity = text->capacity < 64 ? 64 : text->capacity;
    while (capacity - text->len <= more)
        capacity *= 2;
    text->ptr = cli_resize(text->ptr, capacity, 1);
    text->capacity = capacity;
}

void cli_text_put(struct cli_text *text, struct tears_str more)
{
    text_reserve(text, more.len);
    if (more.len > 0)
        memcpy(text->ptr + text->len, more.ptr, more.len);
    text->len += more.len;
    text->ptr[text->len] = '\0';
}

void cli_text_put_c(struct cli_text *text, const char *more)
{
    cli_text_put(text, tears_str_c(more));
}

void cli_text_put_char(struct cli_text *text, char c)
{
    cli_text_put(text, tears_str_n(&c, 1));
}

void cli_text_printf(struct cli_text *text, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    const int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0)
        return;
    text_reserve(text, (size_t)len);
    va_start(args, format);
    (void)vsnprintf(text->ptr + text->len, (size_t)len + 1, format, args);
    va_end(args);
    text->len += (size_t)len;
}

struct tears_str cli_text_str(const struct cli_text *text)
{
    return tears_str_n(text->ptr != NULL ? text->ptr : "", text->len);
}

void cli_text_clear(struct cli_text *text)
{
    text->len = 0;
    if (text->ptr != NULL)
        text->ptr[0] = '\0';
}

void cli_text_done(struct cli_text *text)
{
    free(text->ptr);
    *text = (struct cli_text){0};
}

/* ---- UTF-8 and JSON ---- */

/* Bytes of a character by its first byte; 0: it cannot be a first byte. */
static size_t utf8_len(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first >= 0xC2 && first < 0xE0)
        return 2;
    if (first >= 0xE0 && first < 0xF0)
        return 3;
    return first >= 0xF0 && first < 0xF5 ? 4 : 0;
}

size_t cli_utf8_char(struct tears_str text)
{
    const unsigned char *bytes = (const unsigned char *)text.ptr;
    const size_t len = text.len > 0 ? utf8_len(bytes[0]) : 0;

    if (len == 0 || len > text.len)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((bytes[i] & 0xC0) != 0x80)
            return 0;
    }
    /* Overlong forms, surrogates and code points past U+10FFFF show in the second byte. */
    if ((bytes[0] == 0xE0 && bytes[1] < 0xA0) || (bytes[0] == 0xED && bytes[1] > 0x9F) ||
        (bytes[0] == 0xF0 && bytes[1] < 0x90) || (bytes[0] == 0xF4 && bytes[1] > 0x8F))
        return 0;
    return len;
}

size_t cli_utf8_width(struct tears_str text)
{
    size_t width = 0;
    for (size_t i = 0; i < text.len; i++)
        width += ((unsigned char)text.ptr[i] & 0xC0) != 0x80;
    return width;
}

static void put_json_ascii(struct cli_text *text, char c)
{
    switch (c) {
    case '"':
        cli_text_put_c(text, "\\\"");
        break;
    case '\\':
        cli_text_put_c(text, "\\\\");
        break;
    case '\n':
        cli_text_put_c(text, "\\n");
        break;
    case '\r':
        cli_text_put_c(text, "\\r");
        break;
    case '\t':
        cli_text_put_c(text, "\\t");
        break;
    default:
        if ((unsigned char)c < 0x20 || c == 0x7F)
            cli_text_printf(text, "\\u%04x", (unsigned)c);
        else
            cli_text_put_char(text, c);
    }
}

void cli_text_put_json(struct cli_text *text, struct tears_str utf8)
{
    cli_text_put_char(text, '"');
    for (size_t i = 0; i < utf8.len;) {
        const size_t len = cli_utf8_char(tears_str_n(utf8.ptr + i, utf8.len - i));
        if (len == 1)
            put_json_ascii(text, utf8.ptr[i]);
        else if (len > 1)
            cli_text_put(text, tears_str_n(utf8.ptr + i, len));
        else
            cli_text_put_c(text, "\\ufffd");
        i += len > 0 ? len : 1;
    }
    cli_text_put_char(text, '"');
}

void cli_text_put_count(struct cli_text *text, uint64_t number)
{
    if (number >= 1000) {
        uint64_t rest = number;
        uint64_t unit = 1;
        while (rest >= 1000) {
            rest /= 1000;
            unit *= 1000;
        }
        cli_text_printf(text, "%llu", (unsigned long long)rest);
        for (uint64_t left = number % unit; unit > 1; left %= unit) {
            unit /= 1000;
            cli_text_printf(text, ",%03llu", (unsigned long long)(left / unit));
        }
        return;
    }
    cli_text_printf(text, "%llu", (unsigned long long)number);
}

double cli_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}
