/*
 * words.c -- splits a line of the shell into words.
 *
 * Owns:     the quoting of the shell.
 * Must not know: verbs.
 * Threads:  one.
 * Fails:    by naming the defect.
 * Begin at: cli_words_split().
 *
 * Blanks separate words.  A quote may open anywhere in a word: name="Ada Lovelace" is one.
 *   "..."   \" \\ \/ \n \t \r \b \f and \uXXXX are what they are in JSON; another backslash stays
 *   '...'   \' and \\ only, so that JSON can be written as it is
 *   else    a backslash is a backslash: \x00ff is how bytes are written
 */
#include "words.h"

#include <stdlib.h>

struct reader {
    struct tears_str line;
    size_t at;
    char *out; /* where the next byte of the word goes; a word is never longer than its text */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool hex4(struct tears_str text, size_t at, uint32_t *out)
{
    uint32_t number = 0;

    if (text.len - at < 4)
        return false;
    for (size_t i = at; i < at + 4; i++) {
        const char c = text.ptr[i];
        if (c >= '0' && c <= '9')
            number = number * 16 + (uint32_t)(c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            number = number * 16 + (uint32_t)((c | 0x20) - 'a') + 10;
        else
            return false;
    }
    *out = number;
    return true;
}

static void put_utf8(struct reader *reader, uint32_t point)
{
    if (point < 0x80) {
        *reader->out++ = (char)point;
    } else if (point < 0x800) {
        *reader->out++ = (char)(0xC0 | point >> 6);
        *reader->out++ = (char)(0x80 | (point & 0x3F));
    } else if (point < 0x10000) {
        *reader->out++ = (char)(0xE0 | point >> 12);
        *reader->out++ = (char)(0x80 | (point >> 6 & 0x3F));
        *reader->out++ = (char)(0x80 | (point & 0x3F));
    } else {
        *reader->out++ = (char)(0xF0 | point >> 18);
        *reader->out++ = (char)(0x80 | (point >> 12 & 0x3F));
        *reader->out++ = (char)(0x80 | (point >> 6 & 0x3F));
        *reader->out++ = (char)(0x80 | (point & 0x3F));
    }
}

/* Reads \uXXXX, and the second half of a surrogate pair; `at` is behind the u. */
static const char *unicode_escape(struct reader *reader)
{
    uint32_t point = 0;
    uint32_t low = 0;

    if (!hex4(reader->line, reader->at, &point))
        return "\\u needs four hexadecimal digits";
    reader->at += 4;
    if (point >= 0xD800 && point < 0xDC00) {
        const bool paired = reader->line.len - reader->at >= 6 &&
                            memcmp(reader->line.ptr + reader->at, "\\u", 2) == 0 &&
                            hex4(reader->line, reader->at + 2, &low) && low >= 0xDC00 &&
                            low < 0xE000;
        if (!paired)
            return "\\u gives half a surrogate pair";
        reader->at += 6;
        point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
    } else if (point >= 0xDC00 && point < 0xE000) {
        return "\\u gives half a surrogate pair";
    }
    put_utf8(reader, point);
    return NULL;
}

/* Reads what follows a backslash inside double quotes. */
static const char *double_escape(struct reader *reader)
{
    static const char names[] = "\"\\/ntrbf";
    static const char bytes[] = "\"\\/\n\t\r\b\f";
    const char c = reader->line.ptr[reader->at];
    const char *found = c != '\0' ? strchr(names, c) : NULL;

    if (c == 'u') {
        reader->at++;
        return unicode_escape(reader);
    }
    if (found == NULL) {
        *reader->out++ = '\\'; /* the character itself is read next, as any other */
        return NULL;
    }
    *reader->out++ = bytes[found - names];
    reader->at++;
    return NULL;
}

/* Reads to the closing quote; `at` is behind the opening one. */
static const char *quoted(struct reader *reader, char quote)
{
    while (reader->at < reader->line.len) {
        const char c = reader->line.ptr[reader->at++];
        if (c == quote)
            return NULL;
        const bool escape = c == '\\' && reader->at < reader->line.len;
        if (escape && quote == '"') {
            const char *defect = double_escape(reader);
            if (defect != NULL)
                return defect;
            continue;
        }
        const char next = escape ? reader->line.ptr[reader->at] : '\0';
        if (escape && (next == '\'' || next == '\\')) {
            *reader->out++ = next;
            reader->at++;
            continue;
        }
        *reader->out++ = c;
    }
    return "a quote is never closed";
}

static const char *word(struct reader *reader)
{
    while (reader->at < reader->line.len && !is_blank(reader->line.ptr[reader->at])) {
        const char c = reader->line.ptr[reader->at++];
        if (c != '"' && c != '\'') {
            *reader->out++ = c;
            continue;
        }
        const char *defect = quoted(reader, c);
        if (defect != NULL)
            return defect;
    }
    return NULL;
}

const char *cli_words_split(struct tears_str line, struct cli_words *words)
{
    if (words->bytes_capacity < line.len + 1) {
        words->bytes_capacity = line.len * 2 + 256;
        words->bytes = cli_resize(words->bytes, words->bytes_capacity, 1);
    }
    struct reader reader = {.line = line, .out = words->bytes};

    words->count = 0;
    for (;;) {
        while (reader.at < line.len && is_blank(line.ptr[reader.at]))
            reader.at++;
        if (reader.at >= line.len)
            return NULL;
        const char *start = reader.out;
        const char *defect = word(&reader);
        if (defect != NULL)
            return defect;
        if (words->count == words->capacity) {
            words->capacity = words->capacity > 0 ? words->capacity * 2 : 16;
            words->words = cli_resize(words->words, words->capacity, sizeof *words->words);
        }
        words->words[words->count++] = tears_str_n(start, (size_t)(reader.out - start));
    }
}

void cli_words_done(struct cli_words *words)
{
    free(words->words);
    free(words->bytes);
    *words = (struct cli_words){0};
}
