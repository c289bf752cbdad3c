/**
 * @file assertion.h
 * Proxy assertions: the second hop.  A proxy that has verified a caller states, under its own key,
 * for one pod, one call body and one nonce, who that caller is.
 *
 * Source: spec platform.md sections 2.5, 2.6 and 9.1 (S3, S19).
 */
#ifndef TEARS_ASSERTION_H
#define TEARS_ASSERTION_H

#include "jwks.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What an assertion says.  Its issuer is always "registry". */
struct tears_assertion {
    struct tears_str pod_id;      /**< aud: the pod it is for */
    struct tears_str agent_id;    /**< sub */
    struct tears_str customer_id; /**< customer_id */
    struct tears_str body_hash;   /**< bh: tears_call_hash of the call */
    struct tears_str nonce;       /**< jti */
    int64_t issued_at;            /**< iat, seconds since 1970 UTC */
    int64_t expires_at;           /**< exp, seconds since 1970 UTC */
    struct tears_str user_id;     /**< user_id; empty: none */
};

/** A verified assertion; all text in `assertion` lies in `text`. */
struct tears_verified_assertion {
    struct tears_assertion assertion;
    struct tears_owned_text text; /**< end it with tears_owned_text_free */
};

/** What a pod expects.  Start from TEARS_ASSERTION_POLICY_INIT. */
struct tears_assertion_policy {
    size_t size;
    struct tears_str pod_id;    /**< this pod; must be `aud`; required */
    struct tears_str body_hash; /**< of the call that came with the assertion; required */
    uint64_t leeway_seconds;    /**< how far clocks may differ; at most 3,600 */
    int64_t now;                /**< seconds since 1970 UTC; 0: the system's clock */
};

#define TEARS_ASSERTION_POLICY_INIT TEARS_SIZED(struct tears_assertion_policy)

/**
 * Signs an assertion.
 * @param kid           the name of the key in the published set.
 * @param assertion_out ASCII; owned by the caller.
 * @return TEARS_OK, TEARS_INVALID (a required text is empty or not UTF-8), TEARS_LIMIT (above 16
 * KiB), TEARS_NO_MEMORY.  @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_assertion_sign(const tears_signing_key *key,
                                                          struct tears_str kid,
                                                          const struct tears_assertion *assertion,
                                                          struct tears_owned_text *assertion_out,
                                                          struct tears_error *error_out);

/**
 * Verifies an assertion: form, algorithm, type, key and its purpose, signature, then claims.
 * @param assertion_out its text is owned by the caller.  Give its nonce to a replay guard.
 * @return TEARS_OK, TEARS_DENIED (`detail` is a TEARS_TOKEN_*), TEARS_NOT_FOUND (no such key;
 * refresh the set and try once more), TEARS_INVALID (the policy is incomplete, or its leeway above
 * an hour), TEARS_UNSUPPORTED (a policy of a newer header), TEARS_NO_MEMORY.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_assertion_verify(
    struct tears_str assertion, const tears_jwks *jwks, const struct tears_assertion_policy *policy,
    struct tears_verified_assertion *assertion_out, struct tears_error *error_out);

/** A proxy's key and the life of its assertions.  Immutable; wiped at its end. */
typedef struct tears_assertion_signer tears_assertion_signer;

/**
 * Makes a signer of a seed as secrets are kept (see tears_signing_key_parse).  Its `kid` is the
 * thumbprint of its public key, so proxy and hub find the same name without talking.
 * @param ttl_seconds life of an assertion; 1 to 3,600.
 * @param signer_out  owned by the caller; end it with tears_assertion_signer_free.
 * @return TEARS_OK, TEARS_INVALID (the secret is no seed), TEARS_LIMIT (the life),
 * TEARS_NO_MEMORY.  @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_assertion_signer_new(struct tears_str secret,
                                                                int64_t ttl_seconds,
                                                                tears_assertion_signer **signer_out,
                                                                struct tears_error *error_out);

/** The signer's key id.  Borrowed from it.  @thread any  @since 0.1 */
TEARS_API struct tears_str tears_assertion_signer_kid(const tears_assertion_signer *signer);

/**
 * Signs an assertion that is valid from `assertion->issued_at` (0: the system's clock) for the
 * signer's life; `assertion->expires_at` is not looked at.
 * @return as tears_assertion_sign.  @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_assertion_signer_mint(
    const tears_assertion_signer *signer, const struct tears_assertion *assertion,
    struct tears_owned_text *assertion_out, struct tears_error *error_out);

/**
 * The key set that a hub merges into what it publishes: this signer's public key alone.
 * @param purposes TEARS_PURPOSE_ASSERTION tags the key, so that it cannot pass for the hub's; 0
 * leaves it untagged, as the Python package does.
 * @return TEARS_OK, TEARS_NO_MEMORY.  @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status
tears_assertion_signer_jwks(const tears_assertion_signer *signer, uint64_t purposes,
                            struct tears_owned_text *document_out, struct tears_error *error_out);

/** Ends a signer and wipes its key.  NULL is accepted.  @thread any, when nobody uses it any more
 * @since 0.1 */
TEARS_API void tears_assertion_signer_free(tears_assertion_signer *signer);

#ifdef __cplusplus
}
#endif
#endif
