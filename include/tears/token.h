/**
 * @file token.h
 * Identity tokens: a short-lived, signed statement of who calls (agent, customer, session, pod).
 *
 * A token is a compact JWS with EdDSA (Ed25519) and nothing else: there is no parameter that could
 * name another algorithm.  Reading is strict: canonical base64url without padding, exactly three
 * segments, at most 16 KiB, whole seconds as times.  Every reason not to trust a token is
 * TEARS_DENIED with a TEARS_TOKEN_* as `detail`; only "no such key" is TEARS_NOT_FOUND, because
 * fresher keys may help.  No message repeats anything of a token.
 * Source: spec platform.md sections 2.2 and 9.1 (S3, S6, S7).
 */
#ifndef TEARS_TOKEN_H
#define TEARS_TOKEN_H

#include "jwks.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What an identity token says.  Empty text in the last three means that the token does not say. */
struct tears_identity {
    struct tears_str issuer;          /**< iss */
    struct tears_str agent_id;        /**< sub */
    struct tears_str customer_id;     /**< customer_id */
    struct tears_str session_id;      /**< sid */
    struct tears_str pod_id;          /**< pod_id */
    int64_t issued_at;                /**< iat, seconds since 1970 UTC */
    int64_t expires_at;               /**< exp, seconds since 1970 UTC */
    struct tears_str user_id;         /**< user_id */
    struct tears_str holder;          /**< cnf.jkt: thumbprint of the holder's key */
    struct tears_str conversation_id; /**< conversation_id */
};

/** A verified identity; all text in `identity` lies in `text`. */
struct tears_verified_identity {
    struct tears_identity identity;
    struct tears_owned_text text; /**< end it with tears_owned_text_free */
};

/** What a verifier expects.  Start from TEARS_TOKEN_POLICY_INIT. */
struct tears_token_policy {
    size_t size;
    struct tears_str issuer; /**< must be `iss`; required */
    uint64_t leeway_seconds; /**< how far clocks may differ; at most 3,600 */
    int64_t now;             /**< seconds since 1970 UTC; 0: the system's clock */
};

#define TEARS_TOKEN_POLICY_INIT TEARS_SIZED(struct tears_token_policy)

/**
 * Signs an identity token.  The caller decides on `issued_at` and `expires_at`.
 * @param kid       the name of the key in the published set.
 * @param token_out ASCII; owned by the caller.
 * @return TEARS_OK, TEARS_INVALID (a required text is empty or not UTF-8), TEARS_LIMIT (the token
 * would exceed 16 KiB), TEARS_NO_MEMORY.  @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_token_sign(const tears_signing_key *key,
                                                      struct tears_str kid,
                                                      const struct tears_identity *identity,
                                                      struct tears_owned_text *token_out,
                                                      struct tears_error *error_out);

/**
 * Verifies an identity token: form, algorithm, type, key and its purpose, signature, then claims.
 * @param identity_out its text is owned by the caller: tears_owned_text_free(&identity_out->text).
 * @return TEARS_OK, TEARS_DENIED (not to be trusted; `detail` is a TEARS_TOKEN_*),
 * TEARS_NOT_FOUND (no such key; refresh the set and try once more), TEARS_INVALID (the policy names
 * no issuer, or a leeway above an hour), TEARS_UNSUPPORTED (a policy of a newer header),
 * TEARS_NO_MEMORY.  @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_token_verify(
    struct tears_str token, const tears_jwks *jwks, const struct tears_token_policy *policy,
    struct tears_verified_identity *identity_out, struct tears_error *error_out);

/**
 * The hash of a token that a proof of possession carries (RFC 9449 `ath`): 43 characters,
 * NUL-terminated.
 * @return TEARS_OK, TEARS_INVALID (the token is not ASCII).  @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_access_token_hash(struct tears_str token,
                                                             char hash_out[TEARS_THUMBPRINT_BYTES]);

#ifdef __cplusplus
}
#endif
#endif
