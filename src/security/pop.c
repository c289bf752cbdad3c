/*
 * pop.c -- proof of possession: the holder of a token signs each call.
 *
 * Owns:     nothing.
 * Must not know: tokens beyond their hash, how nonces are remembered.
 * Threads:  any.
 * Fails:    TEARS_DENIED for every proof not to be trusted.
 * Begin at: tears_pop_verify().
 *
 * The proof carries its own key; what makes that key the right one is its thumbprint, which the
 * verified token names.
 */
#include <tears/pop.h>

#include "base/fail.h"
#include "base/owned_text.h"
#include "base/sized.h"
#include "security/jwks_impl.h"
#include "security/jws.h"

static const char origin[] = "pop";
static const char type[] = "pop+jwt";

enum { LEEWAY_SECONDS = 60 };

/* ---- making -------------------------------------------------------------------------------------
 */

static tears_status put_header(struct t3_buf *out, const tears_signing_key *key)
{
    T3_TRY(t3_buf_put(out, TEARS_STR("{\"alg\":\"EdDSA\",\"jwk\":")));
    T3_TRY(t3_public_key_put(out, key->public_key));
    return t3_buf_printf(out, ",\"typ\":\"%s\"}", type);
}

static tears_status put_claims(struct t3_buf *out, const struct tears_pop *pop)
{
    T3_TRY(t3_buf_put_char(out, '{'));
    T3_TRY(t3_claim_put(out, "ath", pop->access_token_hash));
    T3_TRY(t3_claim_put(out, "bh", pop->body_hash));
    T3_TRY(t3_claim_put(out, "jti", pop->nonce));
    T3_TRY(t3_claim_put_integer(out, "iat", pop->issued_at));
    return t3_buf_put_char(out, '}');
}

tears_status tears_pop_make(const tears_signing_key *holder_key, const struct tears_pop *pop,
                            struct tears_owned_text *proof_out, struct tears_error *error_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf header = {0};
    T3_AUTO(t3_buf_done) struct t3_buf payload = {0};
    tears_status status = put_header(&header, holder_key);
    if (status == TEARS_OK)
        status = put_claims(&payload, pop);
    if (status != TEARS_OK)
        return t3_claims_unwritable(status, error_out);
    return t3_jws_sign(holder_key, t3_buf_str(&header), t3_buf_str(&payload), proof_out, error_out);
}

/* ---- verifying ----------------------------------------------------------------------------------
 */

enum { ATH = T3_CLAIMS_COMMON, BH, CLAIMS };

/* The signature under the key that the proof carries, once that is known to be the holder's. */
static tears_status verify_signature(const struct t3_jws *jws, struct tears_str thumbprint,
                                     struct tears_error *error_out)
{
    uint8_t public_key[TEARS_KEY_BYTES];
    char found[TEARS_THUMBPRINT_BYTES];
    if (!jws->jwk.present || t3_jwk_parse(jws->jwk.value.text, public_key) != TEARS_OK)
        return t3_token_deny(error_out, TEARS_TOKEN_WRONG_KEY,
                             "the proof carries no Ed25519 public key");
    tears_jwk_thumbprint(public_key, found);
    if (!t3_equal_secret(tears_str_c(found), thumbprint))
        return t3_token_deny(error_out, TEARS_TOKEN_WRONG_KEY,
                             "the proof's key is not the one that the token names");
    T3_AUTO(t3_public_key_done) EVP_PKEY *key = t3_public_key_new(public_key);
    if (key == NULL)
        return t3_fail_memory(error_out, origin);
    return t3_jws_verify(jws, key, error_out);
}

/* A claim that must be exactly this text; how much of it agrees does not show in the time. */
static tears_status check_hash(const struct t3_member *claim, struct t3_jws *jws,
                               struct tears_str expected, int32_t reason,
                               struct tears_error *error_out)
{
    if (claim->value.kind != T3_JSON_STRING ||
        !t3_equal_secret(t3_member_text(claim, &jws->texts), expected))
        return t3_token_deny(error_out, reason, "the proof is for another token or call");
    return TEARS_OK;
}

static tears_status check_claims(struct t3_jws *jws, const struct tears_pop_policy *policy,
                                 struct t3_moment moment, struct tears_str *nonce_out,
                                 struct tears_error *error_out)
{
    struct t3_member claims[CLAIMS] = {T3_COMMON_CLAIMS, {.name = "ath"}, {.name = "bh"}};
    const uint32_t required = T3_CLAIM_BIT(T3_CLAIM_IAT) | T3_CLAIM_BIT(T3_CLAIM_JTI) |
                              T3_CLAIM_BIT(ATH) | T3_CLAIM_BIT(BH);
    struct t3_claim_times times;
    T3_TRY(t3_claims_read(jws, claims, CLAIMS, required, error_out));
    T3_TRY(t3_claims_check_times(claims, moment, &times, error_out));
    T3_TRY(check_hash(&claims[ATH], jws, policy->access_token_hash, TEARS_TOKEN_OTHER_TOKEN,
                      error_out));
    T3_TRY(check_hash(&claims[BH], jws, policy->body_hash, TEARS_TOKEN_OTHER_BODY, error_out));
    if (t3_member_is_set(&claims[T3_CLAIM_AUD]))
        return t3_token_deny(error_out, TEARS_TOKEN_WRONG_AUDIENCE,
                             "a proof names no audience, this one does");
    if (times.issued_at < moment.now - moment.leeway)
        return t3_token_deny(error_out, TEARS_TOKEN_EXPIRED, "the proof is too old");
    return t3_claim_text(&claims[T3_CLAIM_JTI], jws, nonce_out, error_out);
}

static tears_status read_policy(const struct tears_pop_policy *policy, struct tears_pop_policy *own,
                                struct t3_moment *moment, struct tears_error *error_out)
{
    own->size = sizeof *own;
    T3_TRY(t3_sized_copy(own, sizeof *own, policy, origin, error_out));
    if (own->thumbprint.len == 0 || own->access_token_hash.len == 0 || own->body_hash.len == 0)
        return t3_fail(error_out, TEARS_INVALID, origin,
                       "the policy lacks the holder's thumbprint or a hash");
    const uint64_t leeway = own->leeway_seconds != 0 ? own->leeway_seconds : LEEWAY_SECONDS;
    return t3_moment_of(own->now, leeway, moment, error_out);
}

tears_status tears_pop_verify(struct tears_str proof, const struct tears_pop_policy *policy,
                              struct tears_owned_text *nonce_out, struct tears_error *error_out)
{
    T3_AUTO(t3_jws_done) struct t3_jws jws = {0};
    struct tears_pop_policy own = {0};
    struct tears_str nonce = {0};
    struct t3_moment moment;
    T3_TRY(read_policy(policy, &own, &moment, error_out));
    T3_TRY(t3_jws_read(proof, type, &jws, error_out));
    T3_TRY(verify_signature(&jws, own.thumbprint, error_out));
    T3_TRY(check_claims(&jws, &own, moment, &nonce, error_out));
    if (t3_owned_text_copy(nonce, false, nonce_out) != TEARS_OK)
        return t3_fail_memory(error_out, origin);
    return TEARS_OK;
}
