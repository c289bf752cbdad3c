/*
 * buf.c -- a growing buffer.
 *
 * Owns: its bytes.  Threads: one at a time.  Fails: NO_MEMORY, LIMIT; the content is then
 * unchanged.
 */
#include "base/buf.h"

#include "base/alloc.h"
#include "base/limits.h"

#include <stdarg.h>
#include <stdio.h>

tears_status t3_buf_reserve(struct t3_buf *buf, size_t more)
{
    const size_t limit = buf->len_max != 0 ? buf->len_max : T3_ROW_BYTES_MAX;
    if (more > limit || buf->len > limit - more)
        return TEARS_LIMIT;
    const size_t need = buf->len + more + 1;
    if (need <= buf->capacity)
        return TEARS_OK;
    size_t capacity = buf->capacity < 64 ? 64 : buf->capacity * 2;
    if (capacity > limit + 1)
        capacity = limit + 1; /* t3_buf_room relies on it */
    if (capacity < need)
        capacity = need;
    char *ptr = t3_resize(buf->ptr, capacity);
    if (ptr == NULL)
        return TEARS_NO_MEMORY;
    ptr[buf->len] = '\0';
    buf->ptr = ptr;
    buf->capacity = capacity;
    return TEARS_OK;
}

tears_status t3_buf_put(struct t3_buf *buf, struct tears_str text)
{
    T3_TRY(t3_buf_room(buf, text.len));
    if (text.len > 0)
        memcpy(buf->ptr + buf->len, text.ptr, text.len);
    buf->len += text.len;
    buf->ptr[buf->len] = '\0';
    return TEARS_OK;
}

tears_status t3_buf_put_char(struct t3_buf *buf, char c)
{
    return t3_buf_put(buf, tears_str_n(&c, 1));
}

tears_status t3_buf_printf(struct t3_buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    const int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    tears_status status = len < 0 ? TEARS_INTERNAL : t3_buf_reserve(buf, (size_t)len);
    if (status == TEARS_OK) {
        vsnprintf(buf->ptr + buf->len, (size_t)len + 1, format, again);
        buf->len += (size_t)len;
    }
    va_end(again);
    return status;
}

char *t3_buf_take(struct t3_buf *buf)
{
    char *ptr = buf->ptr;
    buf->ptr = NULL;
    buf->len = 0;
    buf->capacity = 0;
    return ptr;
}

void t3_buf_done(struct t3_buf *buf)
{
    t3_free(t3_buf_take(buf));
}
