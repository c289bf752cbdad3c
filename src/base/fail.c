/*
 * fail.c -- statuses, their names, and the one place that fills struct tears_error.
 *
 * Owns:     nothing.
 * Must not know: what any message is about.
 * Threads:  any; the error belongs to the caller.
 * Begin at: t3_fail().
 */
#include "base/fail.h"

#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

_Static_assert(sizeof(struct tears_error) == 512, "the size is part of the ABI");

const char *tears_status_name(tears_status status)
{
    switch (status) {
#define NAME(name, number, text) \
    case TEARS_##name:           \
        return #name;
        TEARS_STATUS_MAP(NAME)
#undef NAME
    case TEARS_STATUS_FORCE_INT:
        break;
    }
    return "UNKNOWN";
}

const char *tears_status_text(tears_status status)
{
    switch (status) {
#define SENTENCE(name, number, text) \
    case TEARS_##name:               \
        return text;
        TEARS_STATUS_MAP(SENTENCE)
#undef SENTENCE
    case TEARS_STATUS_FORCE_INT:
        break;
    }
    return "unknown status";
}

uint32_t tears_version_number(void)
{
    return TEARS_VERSION_NUMBER;
}

const char *tears_version(void)
{
    return TEARS_VERSION;
}

void t3_assert_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "libtears: a bug: %s does not hold at %s:%d\n", condition, file, line);
    abort();
}

/*
 * Copies text that fits, cut at a character boundary.  Control characters become blanks, and bytes
 * that are no UTF-8 (half a character at the end of a shortened argument, too) become question
 * marks.
 */
static void put_text(char *to, size_t size, const char *from, size_t from_len)
{
    size_t len = from_len;
    if (len >= size) {
        len = size - 4;
        while (len > 0 && ((unsigned char)from[len] & 0xc0) == 0x80)
            len--;
    }
    size_t i = 0;
    while (i < len) {
        const size_t character = t3_utf8_length(from + i, len - i);
        if (character > 1)
            memcpy(to + i, from + i, character);
        else if (character == 1)
            to[i] = (unsigned char)from[i] < 0x20 || from[i] == 0x7f ? ' ' : from[i];
        else
            to[i] = '?';
        i += character > 0 ? character : 1;
    }
    memcpy(to + len, len < from_len ? "..." : "", len < from_len ? 4 : 1);
}

static void fill(struct tears_error *error, tears_status status, const char *origin, int32_t detail,
                 const char *sqlstate, const char *format, va_list args) T3_PRINTF(6, 0);

static void fill(struct tears_error *error, tears_status status, const char *origin, int32_t detail,
                 const char *sqlstate, const char *format, va_list args)
{
    char text[1024];
    const int len = vsnprintf(text, sizeof text, format, args);
    const size_t used = len < 0 ? 0 : (size_t)len < sizeof text ? (size_t)len : sizeof text - 1;
    memset(error, 0, sizeof *error);
    error->status = status;
    error->detail = detail;
    put_text(error->sqlstate, sizeof error->sqlstate, sqlstate, strlen(sqlstate));
    put_text(error->origin, sizeof error->origin, origin, strlen(origin));
    put_text(error->message, sizeof error->message, text, used);
}

tears_status t3_fail(struct tears_error *error_out, tears_status status, const char *origin,
                     const char *format, ...)
{
    if (error_out != NULL) {
        va_list args;
        va_start(args, format);
        fill(error_out, status, origin, 0, "", format, args);
        va_end(args);
    }
    return status;
}

tears_status t3_fail_detail(struct tears_error *error_out, tears_status status, const char *origin,
                            int32_t detail, const char *sqlstate, const char *format, ...)
{
    if (error_out != NULL) {
        va_list args;
        va_start(args, format);
        fill(error_out, status, origin, detail, sqlstate, format, args);
        va_end(args);
    }
    return status;
}

tears_status t3_fail_memory(struct tears_error *error_out, const char *origin)
{
    return t3_fail(error_out, TEARS_NO_MEMORY, origin, "out of memory");
}

void t3_error_clear(struct tears_error *error)
{
    if (error == NULL)
        return;
    error->status = TEARS_OK;
    error->detail = 0;
    error->sqlstate[0] = '\0';
    error->origin[0] = '\0';
    error->message[0] = '\0';
}
