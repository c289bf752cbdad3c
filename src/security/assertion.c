/*
 * assertion.c -- proxy assertions, and the signer that a proxy keeps its key in.
 *
 * Owns:     a signer's key.
 * Must not know: how the proxy verified the caller, how nonces are remembered.
 * Threads:  any.
 * Fails:    TEARS_DENIED for every assertion not to be trusted; TEARS_NOT_FOUND when only its key is
 * missing.
 * Begin at: tears_assertion_verify().
 */
#include <tears/assertion.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fail.h"
#include "base/owned_text.h"
#include "base/sized.h"
#include "base/str.h"
#include "security/jws.h"

static const char origin[] = "assertion";
static const char issuer[] = "registry"; /* who signs assertions, in every deployment */

/* ---- signing ------------------------------------------------------------------------------------
 */

static bool is_complete(const struct tears_assertion *assertion)
{
    return assertion->pod_id.len > 0 && assertion->agent_id.len > 0 &&
           assertion->customer_id.len > 0 && assertion->body_hash.len > 0 &&
           assertion->nonce.len > 0;
}

/* In the order of the Python package, so that the same claims give the same bytes. */
static tears_status put_claims(struct t3_buf *out, const struct tears_assertion *assertion)
{
    T3_TRY(t3_buf_put_char(out, '{'));
    T3_TRY(t3_claim_put(out, "iss", tears_str_c(issuer)));
    T3_TRY(t3_claim_put(out, "aud", assertion->pod_id));
    T3_TRY(t3_claim_put(out, "sub", assertion->agent_id));
    T3_TRY(t3_claim_put(out, "customer_id", assertion->customer_id));
    T3_TRY(t3_claim_put(out, "bh", assertion->body_hash));
    T3_TRY(t3_claim_put(out, "jti", assertion->nonce));
    T3_TRY(t3_claim_put_integer(out, "iat", assertion->issued_at));
    T3_TRY(t3_claim_put_integer(out, "exp", assertion->expires_at));
    if (assertion->user_id.len > 0)
        T3_TRY(t3_claim_put(out, "user_id", assertion->user_id));
    return t3_buf_put_char(out, '}');
}

tears_status tears_assertion_sign(const tears_signing_key *key, struct tears_str kid,
                                  const struct tears_assertion *assertion,
                                  struct tears_owned_text *assertion_out,
                                  struct tears_error *error_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf header = {0};
    T3_AUTO(t3_buf_done) struct t3_buf payload = {0};
    if (kid.len == 0 || !is_complete(assertion))
        return t3_fail(error_out, TEARS_INVALID, origin,
                       "an assertion needs a key id, a pod, an agent, a customer, a body hash and "
                       "a nonce");
    tears_status status = t3_jws_put_header(&header, kid);
    if (status == TEARS_OK)
        status = put_claims(&payload, assertion);
    if (status != TEARS_OK)
        return t3_claims_unwritable(status, error_out);
    return t3_jws_sign(key, t3_buf_str(&header), t3_buf_str(&payload), assertion_out, error_out);
}

/* ---- verifying ----------------------------------------------------------------------------------
 */

enum { ISS = T3_CLAIMS_COMMON, SUB, CUSTOMER_ID, BH, USER_ID, CLAIMS };

/* Who it is for and what call: must be this pod and this body. */
static tears_status check_target(struct t3_jws *jws, const struct t3_member claims[CLAIMS],
                                 const struct tears_assertion_policy *policy,
                                 struct tears_assertion *assertion, struct tears_error *error_out)
{
    T3_TRY(t3_claim_text(&claims[T3_CLAIM_AUD], jws, &assertion->pod_id, error_out));
    if (!t3_str_equal(assertion->pod_id, policy->pod_id))
        return t3_token_deny(error_out, TEARS_TOKEN_WRONG_AUDIENCE,
                             "the assertion is for another pod");
    T3_TRY(t3_claim_text(&claims[BH], jws, &assertion->body_hash, error_out));
    if (!t3_equal_secret(assertion->body_hash, policy->body_hash))
        return t3_token_deny(error_out, TEARS_TOKEN_OTHER_BODY,
                             "the assertion is for another call");
    return TEARS_OK;
}

static tears_status check_claims(struct t3_jws *jws, const struct tears_assertion_policy *policy,
                                 struct t3_moment moment, struct tears_assertion *assertion,
                                 struct tears_error *error_out)
{
    struct t3_member claims[CLAIMS] = {T3_COMMON_CLAIMS, {.name = "iss"},
                                       {.name = "sub"},  {.name = "customer_id"},
                                       {.name = "bh"},   {.name = "user_id"}};
    const uint32_t required = T3_CLAIM_BIT(T3_CLAIM_IAT) | T3_CLAIM_BIT(T3_CLAIM_EXP) |
                              T3_CLAIM_BIT(T3_CLAIM_AUD) | T3_CLAIM_BIT(T3_CLAIM_JTI) |
                              T3_CLAIM_BIT(ISS) | T3_CLAIM_BIT(SUB) | T3_CLAIM_BIT(CUSTOMER_ID) |
                              T3_CLAIM_BIT(BH);
    struct t3_claim_times times;
    T3_TRY(t3_claims_read(jws, claims, CLAIMS, required, error_out));
    T3_TRY(t3_claims_check_times(claims, moment, &times, error_out));
    if (!t3_member_is(&claims[ISS], tears_str_c(issuer)))
        return t3_token_deny(error_out, TEARS_TOKEN_WRONG_ISSUER,
                             "the assertion is not of the registry");
    T3_TRY(check_target(jws, claims, policy, assertion, error_out));
    T3_TRY(t3_claim_text(&claims[SUB], jws, &assertion->agent_id, error_out));
    T3_TRY(t3_claim_text(&claims[CUSTOMER_ID], jws, &assertion->customer_id, error_out));
    T3_TRY(t3_claim_text(&claims[T3_CLAIM_JTI], jws, &assertion->nonce, error_out));
    T3_TRY(t3_claim_text_if_set(&claims[USER_ID], jws, &assertion->user_id, error_out));
    assertion->issued_at = times.issued_at;
    assertion->expires_at = times.expires_at;
    return TEARS_OK;
}

tears_status tears_assertion_verify(struct tears_str assertion, const tears_jwks *jwks,
                                    const struct tears_assertion_policy *policy,
                                    struct tears_verified_assertion *assertion_out,
                                    struct tears_error *error_out)
{
    T3_AUTO(t3_jws_done) struct t3_jws jws = {0};
    struct tears_assertion_policy own = {.size = sizeof own};
    struct tears_verified_assertion verified = {0};
    struct t3_moment moment;
    T3_TRY(t3_sized_copy(&own, sizeof own, policy, origin, error_out));
    if (own.pod_id.len == 0 || own.body_hash.len == 0)
        return t3_fail(error_out, TEARS_INVALID, origin, "the policy lacks a pod or a body hash");
    T3_TRY(t3_moment_of(own.now, own.leeway_seconds, &moment, error_out));
    T3_TRY(t3_jws_read(assertion, "JWT", &jws, error_out));
    T3_TRY(t3_jws_verify_with(&jws, jwks, TEARS_PURPOSE_ASSERTION, error_out));
    T3_TRY(check_claims(&jws, &own, moment, &verified.assertion, error_out));
    if (t3_owned_text_take(&jws.texts, false, &verified.text) != TEARS_OK)
        return t3_fail_memory(error_out, origin);
    *assertion_out = verified;
    return TEARS_OK;
}

/* ---- the signer ---------------------------------------------------------------------------------
 */

enum { TTL_SECONDS_MAX = 3600 };

struct tears_assertion_signer {
    tears_signing_key *key;
    int64_t ttl_seconds;
    char kid[TEARS_THUMBPRINT_BYTES];
};

tears_status tears_assertion_signer_new(struct tears_str secret, int64_t ttl_seconds,
                                        tears_assertion_signer **signer_out,
                                        struct tears_error *error_out)
{
    if (ttl_seconds <= 0 || ttl_seconds > TTL_SECONDS_MAX)
        return t3_fail(error_out, TEARS_LIMIT, origin,
                       "an assertion lives 1 to %d seconds, not %lld", TTL_SECONDS_MAX,
                       (long long)ttl_seconds);
    tears_assertion_signer *signer = t3_alloc_zero(1, sizeof *signer);
    if (signer == NULL)
        return t3_fail_memory(error_out, origin);
    const tears_status status = tears_signing_key_parse(secret, &signer->key, error_out);
    if (status != TEARS_OK) {
        tears_assertion_signer_free(signer);
        return status;
    }
    signer->ttl_seconds = ttl_seconds;
    tears_jwk_thumbprint(signer->key->public_key, signer->kid);
    *signer_out = signer;
    return TEARS_OK;
}

struct tears_str tears_assertion_signer_kid(const tears_assertion_signer *signer)
{
    return tears_str_c(signer->kid);
}

tears_status tears_assertion_signer_mint(const tears_assertion_signer *signer,
                                         const struct tears_assertion *assertion,
                                         struct tears_owned_text *assertion_out,
                                         struct tears_error *error_out)
{
    struct tears_assertion minted = *assertion;
    struct t3_moment moment;
    T3_TRY(t3_moment_of(assertion->issued_at, 0, &moment, error_out));
    minted.issued_at = moment.now;
    minted.expires_at = moment.now + signer->ttl_seconds;
    return tears_assertion_sign(signer->key, tears_assertion_signer_kid(signer), &minted,
                                assertion_out, error_out);
}

tears_status tears_assertion_signer_jwks(const tears_assertion_signer *signer, uint64_t purposes,
                                         struct tears_owned_text *document_out,
                                         struct tears_error *error_out)
{
    struct tears_jwk jwk = {.kid = tears_assertion_signer_kid(signer), .purposes = purposes};
    tears_signing_key_public(signer->key, jwk.public_key);
    return tears_jwks_build(&jwk, 1, document_out, error_out);
}

void tears_assertion_signer_free(tears_assertion_signer *signer)
{
    if (signer == NULL)
        return;
    tears_signing_key_free(signer->key);
    t3_free(signer);
}
