/**
 * @file call_hash.h
 * The hash of a tool call: what proofs and assertions bind themselves to.
 *
 * Both sides write the call as canonical JSON (sorted members, no blanks, ASCII, numbers as Python
 * writes them) and hash that, so that the two hashes agree byte for byte with the Python package's.
 * Source: spec platform.md section 2.2.4.
 */
#ifndef TEARS_CALL_HASH_H
#define TEARS_CALL_HASH_H

#include "text.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { TEARS_CALL_HASH_BYTES = 44 /**< base64url of a SHA-256 without padding, and a NUL */ };

/** One call of a tool. */
struct tears_call {
    struct tears_str tool_name;
    struct tears_str arguments;      /**< JSON text of an object */
    struct tears_str correlation_id; /**< ptr NULL: none (null) */
};

/**
 * Hashes a call.  As in Python, of members with one name the last counts, 1 and 1.0 differ, and the
 * words NaN, Infinity and -Infinity are numbers.
 * @return TEARS_OK, TEARS_INVALID (the arguments are no JSON object, or text is not UTF-8: half a
 * surrogate pair has no UTF-8), TEARS_LIMIT (nested deeper than 64, or above 256 MiB),
 * TEARS_NO_MEMORY.  @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_call_hash(const struct tears_call *call,
                                                     char hash_out[TEARS_CALL_HASH_BYTES],
                                                     struct tears_error *error_out);

/**
 * The canonical JSON itself, to find out why two hashes differ.
 * @return as tears_call_hash.  @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_call_canonical(const struct tears_call *call,
                                                          struct tears_owned_text *canonical_out,
                                                          struct tears_error *error_out);

#ifdef __cplusplus
}
#endif
#endif
