/**
 * @file text.h
 * Text that the library hands out and the caller ends: what the functions without a session give.
 *
 * They have no session that could own a result, so they fill one of these; it stays valid until
 * tears_owned_text_free, whatever else is freed meanwhile.
 */
#ifndef TEARS_TEXT_H
#define TEARS_TEXT_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Text or bytes that the caller owns.  All zero is none, and may be freed. */
struct tears_owned_text {
    char *ptr;   /**< NUL-terminated as well, for printing; NULL in one that is all zero */
    size_t len;  /**< in bytes, without that NUL */
    bool secret; /**< wiped before its memory goes back; set by the function that filled it */
};

#ifdef __cplusplus
#define TEARS_OWNED_TEXT_INIT \
    {                         \
    }
#else
#define TEARS_OWNED_TEXT_INIT \
    {                         \
        0                     \
    }
#endif

/** The text as the functions of the library take it; borrowed from `owned`.  @thread any  @since
 * 0.1 */
static inline struct tears_str tears_owned_text_str(const struct tears_owned_text *owned)
{
    return tears_str_n(owned->ptr != NULL ? owned->ptr : "", owned->len);
}

/**
 * Copies text into one that is owned: for functions of the program that give text to the library.
 * @return TEARS_OK or TEARS_NO_MEMORY, and then `*owned_out` is untouched.  @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_owned_text_copy(struct tears_str text,
                                                           struct tears_owned_text *owned_out);

/**
 * Ends the text, wiped first when it is secret; `owned` is all zero afterwards.
 * @param owned  NULL and all zero are accepted.
 * @thread any (one at a time on one text)  @since 0.1
 */
TEARS_API void tears_owned_text_free(struct tears_owned_text *owned);

#ifdef __cplusplus
}
#endif
#endif
