/*
 * buf.h -- a buffer of bytes that grows up to a limit.
 */
#ifndef T3_BASE_BUF_H
#define T3_BASE_BUF_H

#include "base/macros.h"

/* All zero is an empty buffer without a limit of its own (T3_ROW_BYTES_MAX holds). */
struct t3_buf {
    char *ptr; /* NUL-terminated whenever it is not NULL */
    size_t len;
    size_t capacity;
    size_t len_max;
};

/* Makes room for `more` bytes after the end.  TEARS_NO_MEMORY, TEARS_LIMIT. */
tears_status t3_buf_reserve(struct t3_buf *buf, size_t more);

/* The same for the hot paths: only compares when there is room.  (capacity never exceeds the limit by more than the NUL.) */
static inline tears_status t3_buf_room(struct t3_buf *buf, size_t more)
{
    return T3_LIKELY(buf->capacity - buf->len > more) ? TEARS_OK : t3_buf_reserve(buf, more);
}

tears_status t3_buf_put(struct t3_buf *buf, struct tears_str text);
tears_status t3_buf_put_char(struct t3_buf *buf, char c);
tears_status t3_buf_printf(struct t3_buf *buf, const char *format, ...) T3_PRINTF(2, 3);

static inline struct tears_str t3_buf_str(const struct t3_buf *buf)
{
    return tears_str_n(buf->ptr != NULL ? buf->ptr : "", buf->len);
}

/* Moves the bytes out: the caller frees them with t3_free; the buffer is empty. NULL if nothing was ever put. */
char *t3_buf_take(struct t3_buf *buf);

/* Forgets the content, keeps the memory. */
static inline void t3_buf_clear(struct t3_buf *buf)
{
    buf->len = 0;
    if (buf->ptr != NULL)
        buf->ptr[0] = '\0';
}

/* Empties and frees; accepts an empty buffer. */
void t3_buf_done(struct t3_buf *buf);

#endif
