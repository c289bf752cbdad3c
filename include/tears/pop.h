/**
 * @file pop.h
 * Proof of possession: who presents an identity token holds the key that it names (RFC 9449 style).
 *
 * A proof binds one token (`ath`), one call (`bh`), one nonce (`jti`) and a moment (`iat`) under
 * the holder's own key, which it carries.  The verifier must remember the nonce for twice the
 * leeway: a proof is accepted from `leeway` before to `leeway` after its `iat`.
 * Source: spec platform.md sections 2.4 and 9.1 (S8, S14).
 */
#ifndef TEARS_POP_H
#define TEARS_POP_H

#include "jwks.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What a proof says. */
struct tears_pop {
    struct tears_str access_token_hash; /**< ath: tears_access_token_hash of the token */
    struct tears_str body_hash;         /**< bh: tears_call_hash of the call */
    struct tears_str nonce;             /**< jti */
    int64_t issued_at;                  /**< iat, seconds since 1970 UTC */
};

/** What a verifier expects.  Start from TEARS_POP_POLICY_INIT. */
struct tears_pop_policy {
    size_t size;
    struct tears_str thumbprint; /**< of the holder's key, as the verified token names it; required
                                  */
    struct tears_str access_token_hash; /**< of the token that came with the proof; required */
    struct tears_str body_hash;         /**< of the call that came with it; required */
    uint64_t leeway_seconds;            /**< both ways; 0: 60; at most 3,600 */
    int64_t now;                        /**< seconds since 1970 UTC; 0: the system's clock */
};

#define TEARS_POP_POLICY_INIT TEARS_SIZED(struct tears_pop_policy)

/**
 * Makes a proof under the holder's key.
 * @param proof_out ASCII; owned by the caller.
 * @return TEARS_OK, TEARS_INVALID (text that is not UTF-8), TEARS_LIMIT (above 16 KiB),
 * TEARS_NO_MEMORY.  @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_pop_make(const tears_signing_key *holder_key,
                                                    const struct tears_pop *pop,
                                                    struct tears_owned_text *proof_out,
                                                    struct tears_error *error_out);

/**
 * Verifies a proof: form, algorithm, `typ` "pop+jwt", the holder's key, signature, then claims.
 * @param nonce_out the proof's `jti`, to be given to a replay guard; owned by the caller.
 * @return TEARS_OK, TEARS_DENIED (`detail` is a TEARS_TOKEN_*), TEARS_INVALID (the policy is
 * incomplete, or its leeway above an hour), TEARS_UNSUPPORTED (a policy of a newer header),
 * TEARS_NO_MEMORY.  @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_pop_verify(struct tears_str proof,
                                                      const struct tears_pop_policy *policy,
                                                      struct tears_owned_text *nonce_out,
                                                      struct tears_error *error_out);

#ifdef __cplusplus
}
#endif
#endif
