/*
 * frames.c -- splits what a NATS server sends into messages.
 *
 *      MSG  subject sid [reply] size\r\n payload \r\n
 *      HMSG subject sid [reply] header-size size\r\n header payload \r\n
 *      anything else is one line
 *
 * Owns:     nothing.
 * Must not know: sockets.
 * Threads:  any.
 * Fails:    by -1, when a line is too long or a size is none.
 */
#include "frames.h"

#include <string.h>

struct word {
    const char *ptr;
    size_t len;
};

/* The blank-separated words of a line; returns their number, at most `max`. */
static size_t split(const char *line, size_t length, struct word *words, size_t max)
{
    size_t count = 0;
    for (size_t at = 0; at < length && count < max;) {
        while (at < length && (line[at] == ' ' || line[at] == '\t'))
            at++;
        const size_t begin = at;
        while (at < length && line[at] != ' ' && line[at] != '\t')
            at++;
        if (at > begin)
            words[count++] = (struct word){line + begin, at - begin};
    }
    return count;
}

static bool is_word(const struct word *word, const char *text)
{
    return word->len == strlen(text) && memcmp(word->ptr, text, word->len) == 0;
}

static bool begins_with(const struct word *word, const char *text)
{
    return word->len >= strlen(text) && memcmp(word->ptr, text, strlen(text)) == 0;
}

static bool read_size(const struct word *word, size_t *size_out)
{
    size_t size = 0;
    for (size_t i = 0; i < word->len; i++) {
        if (word->ptr[i] < '0' || word->ptr[i] > '9' || size > CHAOS_MESSAGE_MAX)
            return false;
        size = size * 10 + (size_t)(word->ptr[i] - '0');
    }
    *size_out = size;
    return word->len > 0 && size <= CHAOS_MESSAGE_MAX;
}

static enum chaos_frame_kind kind_of(const struct word *subject)
{
    if (is_word(subject, "threetears.cache.invalidate"))
        return CHAOS_FRAME_NOTICE;
    if (begins_with(subject, "$KV."))
        return CHAOS_FRAME_STREAM;
    return CHAOS_FRAME_REPLY;
}

int chaos_frame_read(const char *bytes, size_t count, struct chaos_frame *frame_out)
{
    struct word words[6];
    if (count == 0)
        return 0;
    const char *end = memchr(bytes, '\n', count < CHAOS_LINE_MAX ? count : CHAOS_LINE_MAX);
    if (end == NULL)
        return count < CHAOS_LINE_MAX ? 0 : -1;
    const size_t line = (size_t)(end - bytes) + 1;
    const size_t text = line >= 2 && end[-1] == '\r' ? line - 2 : line - 1;
    const size_t found = split(bytes, text, words, 6);
    const bool is_message = found > 0 && (is_word(&words[0], "MSG") || is_word(&words[0], "HMSG"));
    *frame_out = (struct chaos_frame){CHAOS_FRAME_CONTROL, line};
    if (!is_message)
        return 1;
    size_t size = 0;
    if (found < 4 || !read_size(&words[found - 1], &size))
        return -1;
    *frame_out = (struct chaos_frame){kind_of(&words[1]), line + size + 2};
    return frame_out->length <= count ? 1 : 0;
}
