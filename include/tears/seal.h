/**
 * @file seal.h
 * Sealed text: a secret as a token that may be stored, readable only with an operator's master key.
 *
 * AES-256-GCM under a key that HKDF-SHA256 derives from the master key once, when the keyring is
 * made.  Version 2 tokens carry the number of their key, so that keys can be rotated without trying
 * each, and are bound to a context of the caller's (say "users/email/42"), so that a token moved to
 * another row does not open there.  Version 1 tokens, as the Python package writes them, can be
 * read and written as well.  Source: spec platform.md sections 2.1 and 9.1 (S11, S18).
 */
#ifndef TEARS_SEAL_H
#define TEARS_SEAL_H

#include "text.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Keys derived from master keys.  Immutable; wiped at its end. */
typedef struct tears_keyring tears_keyring;

/** Flags of struct tears_seal_secret. */
enum {
    /** Master keys shorter than 16 bytes are accepted: to read what was sealed under such a one. */
    TEARS_SEAL_SHORT_KEY = 1
};

/** A master key and the number that version 2 tokens name it by. */
struct tears_seal_secret {
    uint64_t id; /**< 0 to 4,294,967,295; unique in a keyring */
    struct tears_str master_key;
    uint64_t flags; /**< TEARS_SEAL_* */
};

/**
 * Makes a keyring.  The first secret seals; all of them open.  To rotate, put the new one in front
 * and keep the old ones until nothing sealed under them is left.
 *
 * @param secrets     borrowed for the call; the master keys are not kept.
 * @param count       1 to 64.
 * @param keyring_out owned by the caller; end it with tears_keyring_free.
 * @return TEARS_OK, TEARS_INVALID (a master key below 16 bytes, an id twice or above 32 bits),
 * TEARS_LIMIT (no secret, or more than 64), TEARS_NO_MEMORY.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_keyring_new(const struct tears_seal_secret *secrets,
                                                       size_t count, tears_keyring **keyring_out,
                                                       struct tears_error *error_out);

/** Ends a keyring and wipes its keys.  NULL is accepted.  @thread any, when nobody uses it any more
 * @since 0.1 */
TEARS_API void tears_keyring_free(tears_keyring *keyring);

/**
 * Seals bytes under the first secret, as a version 2 token: padded base64url of
 * `02 | key id (4, big-endian) | nonce (12) | ciphertext | tag (16)`.  Under one key no more than
 * about four thousand million texts should be sealed: the nonces are random.
 *
 * @param context   what the token belongs to; the same must be given to open it.  May be empty.
 * @param token_out ASCII; owned by the caller.
 * @return TEARS_OK, TEARS_LIMIT (more than 128 MiB), TEARS_NO_MEMORY, TEARS_INTERNAL (the operating
 * system gave no random bytes).
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_keyring_seal(const tears_keyring *keyring,
                                                        struct tears_str plaintext,
                                                        struct tears_str context,
                                                        struct tears_owned_text *token_out,
                                                        struct tears_error *error_out);

/**
 * The same as a version 1 token, which the Python package opens: no key id, no context.
 * @return as tears_keyring_seal.  @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_keyring_seal_v1(const tears_keyring *keyring,
                                                           struct tears_str plaintext,
                                                           struct tears_owned_text *token_out,
                                                           struct tears_error *error_out);

/**
 * Opens a token of either version.  A version 1 token names no key, so every key is tried; it has
 * no context, so `context` must be empty for it.
 *
 * @param plaintext_out bytes as they were sealed, marked secret; owned by the caller.
 * @return TEARS_OK, TEARS_CORRUPT (not exactly what sealing writes), TEARS_UNSUPPORTED (another
 * version), TEARS_NOT_FOUND (sealed under a key that is not in the keyring), TEARS_DENIED (wrong
 * key, wrong context, or tampered with), TEARS_LIMIT, TEARS_NO_MEMORY.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_keyring_open(const tears_keyring *keyring,
                                                        struct tears_str token,
                                                        struct tears_str context,
                                                        struct tears_owned_text *plaintext_out,
                                                        struct tears_error *error_out);

#ifdef __cplusplus
}
#endif
#endif
