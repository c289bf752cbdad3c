/*
 * owned_text.c -- text that the caller of the library owns, wiped at its end when it is secret.
 *
 * Owns:     nothing; the text is the caller's.
 * Must not know: what the text means.
 * Threads:  any; one at a time on one text.
 * Fails:    TEARS_NO_MEMORY, and then the result is untouched.
 * Begin at: t3_owned_text_take().
 */
#include "base/owned_text.h"

#include "base/alloc.h"

#include <openssl/crypto.h>

tears_status t3_owned_text_take(struct t3_buf *buf, bool secret, struct tears_owned_text *text_out)
{
    if (buf->ptr == NULL) /* nothing was ever put; an empty text is still not NULL */
        T3_TRY(t3_buf_reserve(buf, 1));
    buf->ptr[buf->len] = '\0';
    text_out->len = buf->len;
    text_out->secret = secret;
    text_out->ptr = t3_buf_take(buf);
    return TEARS_OK;
}

tears_status t3_owned_text_copy(struct tears_str text, bool secret,
                                struct tears_owned_text *text_out)
{
    char *copy = t3_alloc(text.len + 1);
    if (copy == NULL)
        return TEARS_NO_MEMORY;
    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    text_out->ptr = copy;
    text_out->len = text.len;
    text_out->secret = secret;
    return TEARS_OK;
}

void t3_buf_wipe(struct t3_buf *buf)
{
    if (buf->ptr != NULL)
        OPENSSL_cleanse(buf->ptr, buf->len);
    t3_buf_done(buf);
}

tears_status tears_owned_text_copy(struct tears_str text, struct tears_owned_text *owned_out)
{
    return t3_owned_text_copy(text, false, owned_out);
}

void tears_owned_text_free(struct tears_owned_text *owned)
{
    if (owned == NULL)
        return;
    if (owned->secret && owned->ptr != NULL)
        OPENSSL_cleanse(owned->ptr, owned->len);
    t3_free(owned->ptr);
    *owned = (struct tears_owned_text){0};
}
