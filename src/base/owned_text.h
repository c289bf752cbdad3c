/*
 * owned_text.h -- filling a struct tears_owned_text.
 */
#ifndef T3_BASE_OWNED_TEXT_H
#define T3_BASE_OWNED_TEXT_H

#include "base/buf.h"

#include <tears/text.h>

/* Moves what the buffer holds into *text_out, which the caller of the library then owns. */
tears_status t3_owned_text_take(struct t3_buf *buf, bool secret, struct tears_owned_text *text_out);

/* The same with a copy.  TEARS_NO_MEMORY. */
tears_status t3_owned_text_copy(struct tears_str text, bool secret,
                                struct tears_owned_text *text_out);

/* For T3_AUTO: wipes all the memory a buffer holds, then frees it. */
void t3_buf_wipe(struct t3_buf *buf);

#endif
