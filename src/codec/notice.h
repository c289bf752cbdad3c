/*
 * notice.h -- the invalidation message and its dead-letter envelope, as bytes.
 *
 * Source: spec core.md 2.5 and 2.6; vectors/invalidation.jsonl.
 */
#ifndef T3_CODEC_NOTICE_H
#define T3_CODEC_NOTICE_H

#include "base/arena.h"
#include "base/buf.h"

#include <tears/value.h>

#define T3_NOTICE_SUBJECT "threetears.cache.invalidate"

struct t3_notice {
    struct tears_str table;
    struct tears_str *ids;
    size_t id_count;
    struct tears_str origin; /* ptr NULL: null or absent */
};

/* Appends the message for one row: compact JSON, raw UTF-8, members table, ids, origin. */
tears_status t3_notice_encode(struct tears_str table, const struct tears_value *key,
                              size_t key_count, struct tears_str origin, struct t3_buf *out);

/* TEARS_INVALID with the reason in the error when it is not a valid message; TEARS_NO_MEMORY. */
tears_status t3_notice_decode(struct tears_str payload, struct t3_arena *arena,
                              struct t3_notice *notice_out, struct tears_error *error_out);

/* Appends the subject of dead letters: namespace.deadletter.original_subject. */
tears_status t3_dead_letter_subject(struct tears_str namespace_name,
                                    struct tears_str original_subject, struct t3_buf *out);

/* Appends the dead-letter envelope; its member payload_b64 holds lower-case hex, as the peers write
 * it. */
tears_status t3_dead_letter_encode(struct tears_str original_subject, struct tears_str payload,
                                   struct tears_str error_type, struct tears_str error_message,
                                   struct tears_str client_name, int64_t now_us,
                                   struct t3_buf *out);

#endif
