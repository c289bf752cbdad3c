/*
 * jose.h -- what tokens, proofs and key sets are written in: strict base64url without padding,
 * digests as such text, members of a JSON object, comparing without leaking where.
 */
#ifndef T3_SECURITY_JOSE_H
#define T3_SECURITY_JOSE_H

#include "base/buf.h"
#include "codec/json.h"

enum {
    T3_DIGEST_TEXT_BYTES = 44, /* base64url of SHA-256 without padding, and a NUL */
    T3_KEY_TEXT_LEN = 43       /* base64url of 32 bytes without padding */
};

/* Appends the bytes as base64url without padding. */
tears_status t3_base64url_put(struct t3_buf *out, struct tears_str bytes);

/*
 * Into memory with room for text.len bytes; the number of bytes, or SIZE_MAX when it is not exactly
 * what t3_base64url_put writes: of the spellings of some bytes only one is accepted.
 */
size_t t3_base64url_parse_to(struct tears_str text, char *to);

/* base64url of 32 bytes: 43 characters, NUL-terminated. */
void t3_base64url_32(const uint8_t bytes[32], char text_out[T3_DIGEST_TEXT_BYTES]);

/* The SHA-256 of the text in that form. */
void t3_digest_text(struct tears_str text, char text_out[T3_DIGEST_TEXT_BYTES]);

/* Equal, found in a time that depends on the lengths only. */
bool t3_equal_secret(struct tears_str a, struct tears_str b);

/* A member that somebody looks for; all but `name` is filled by t3_members_read. */
struct t3_member {
    const char *name;
    bool present; /* also when it is null */
    struct t3_json_value value;
};

/*
 * Reads a whole text as one JSON object and finds members in it.  TEARS_INVALID: it is none, or one
 * of the members stands twice; TEARS_LIMIT: nested too deeply.
 */
tears_status t3_members_read(struct tears_str json, struct t3_member *members, size_t count);

/* Present and not null. */
static inline bool t3_member_is_set(const struct t3_member *member)
{
    return member->present && member->value.kind != T3_JSON_NULL;
}

/* Whether the member is a string with exactly this content. */
bool t3_member_is(const struct t3_member *member, struct tears_str text);

/* Whether the member is a whole number that fits. */
bool t3_member_integer(const struct t3_member *member, int64_t *out);

/*
 * The string's content, escapes resolved, kept in `storage`, which must have room for it (as many
 * bytes as the JSON had) so that it does not move.
 */
struct tears_str t3_member_text(const struct t3_member *member, struct t3_buf *storage);

#endif
