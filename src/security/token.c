/*
 * token.c -- identity tokens: who calls, signed by the hub.
 *
 * Owns:     nothing.
 * Must not know: how keys are fetched, what the identity may do.
 * Threads:  any.
 * Fails:    TEARS_DENIED for every token not to be trusted; TEARS_NOT_FOUND when only its key is
 * missing.
 * Begin at: tears_token_verify().
 */
#include <tears/token.h>

#include "base/fail.h"
#include "base/owned_text.h"
#include "base/sized.h"
#include "base/str.h"
#include "security/jws.h"

static const char origin[] = "token";

/* ---- signing ------------------------------------------------------------------------------------
 */

static bool is_complete(const struct tears_identity *identity)
{
    return identity->issuer.len > 0 && identity->agent_id.len > 0 &&
           identity->customer_id.len > 0 && identity->session_id.len > 0 &&
           identity->pod_id.len > 0;
}

/* In the order of the Python package, so that the same claims give the same bytes. */
static tears_status put_claims(struct t3_buf *out, const struct tears_identity *identity)
{
    T3_TRY(t3_buf_put_char(out, '{'));
    T3_TRY(t3_claim_put(out, "iss", identity->issuer));
    T3_TRY(t3_claim_put(out, "sub", identity->agent_id));
    T3_TRY(t3_claim_put(out, "customer_id", identity->customer_id));
    T3_TRY(t3_claim_put(out, "sid", identity->session_id));
    T3_TRY(t3_claim_put(out, "pod_id", identity->pod_id));
    T3_TRY(t3_claim_put_integer(out, "iat", identity->issued_at));
    T3_TRY(t3_claim_put_integer(out, "exp", identity->expires_at));
    if (identity->user_id.len > 0)
        T3_TRY(t3_claim_put(out, "user_id", identity->user_id));
    if (identity->holder.len > 0) {
        T3_TRY(t3_buf_put(out, TEARS_STR(",\"cnf\":{")));
        T3_TRY(t3_claim_put(out, "jkt", identity->holder));
        T3_TRY(t3_buf_put_char(out, '}'));
    }
    if (identity->conversation_id.len > 0)
        T3_TRY(t3_claim_put(out, "conversation_id", identity->conversation_id));
    return t3_buf_put_char(out, '}');
}

tears_status tears_token_sign(const tears_signing_key *key, struct tears_str kid,
                              const struct tears_identity *identity,
                              struct tears_owned_text *token_out, struct tears_error *error_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf header = {0};
    T3_AUTO(t3_buf_done) struct t3_buf payload = {0};
    if (kid.len == 0 || !is_complete(identity))
        return t3_fail(error_out, TEARS_INVALID, origin,
                       "an identity token needs a key id, an issuer, an agent, a customer, a "
                       "session and a pod");
    tears_status status = t3_jws_put_header(&header, kid);
    if (status == TEARS_OK)
        status = put_claims(&payload, identity);
    if (status != TEARS_OK)
        return t3_claims_unwritable(status, error_out);
    return t3_jws_sign(key, t3_buf_str(&header), t3_buf_str(&payload), token_out, error_out);
}

/* ---- verifying ----------------------------------------------------------------------------------
 */

enum {
    ISS = T3_CLAIMS_COMMON,
    SUB,
    CUSTOMER_ID,
    SID,
    POD_ID,
    USER_ID,
    CNF,
    CONVERSATION_ID,
    CLAIMS
};

/* cnf counts only as an object with a jkt; anything else means a token without a holder. */
static tears_status read_holder(const struct t3_member *cnf, struct t3_jws *jws,
                                struct tears_str *holder_out, struct tears_error *error_out)
{
    struct t3_member members[] = {{.name = "jkt"}};
    const struct t3_member *jkt = &members[0];
    *holder_out = TEARS_STR("");
    if (!cnf->present || cnf->value.kind != T3_JSON_OBJECT)
        return TEARS_OK;
    if (t3_members_read(cnf->value.text, members, T3_COUNT(members)) != TEARS_OK)
        return t3_token_deny(error_out, TEARS_TOKEN_BAD_CLAIM,
                             "the token's claim 'cnf' is malformed");
    if (jkt->present && jkt->value.kind == T3_JSON_STRING)
        *holder_out = t3_member_text(jkt, &jws->texts);
    return TEARS_OK;
}

static tears_status read_identity(struct t3_jws *jws, const struct t3_member claims[CLAIMS],
                                  struct tears_identity *identity, struct tears_error *error_out)
{
    const struct t3_member *conversation = &claims[CONVERSATION_ID];
    T3_TRY(t3_claim_text(&claims[SUB], jws, &identity->agent_id, error_out));
    T3_TRY(t3_claim_text(&claims[CUSTOMER_ID], jws, &identity->customer_id, error_out));
    T3_TRY(t3_claim_text(&claims[SID], jws, &identity->session_id, error_out));
    T3_TRY(t3_claim_text(&claims[POD_ID], jws, &identity->pod_id, error_out));
    T3_TRY(t3_claim_text_if_set(&claims[USER_ID], jws, &identity->user_id, error_out));
    T3_TRY(read_holder(&claims[CNF], jws, &identity->holder, error_out));
    identity->conversation_id = TEARS_STR("");
    if (conversation->present && conversation->value.kind == T3_JSON_STRING)
        identity->conversation_id = t3_member_text(conversation, &jws->texts);
    return TEARS_OK;
}

static tears_status check_claims(struct t3_jws *jws, const struct tears_token_policy *policy,
                                 struct t3_moment moment, struct tears_identity *identity,
                                 struct tears_error *error_out)
{
    struct t3_member claims[CLAIMS] = {
        T3_COMMON_CLAIMS,        {.name = "iss"}, {.name = "sub"},
        {.name = "customer_id"}, {.name = "sid"}, {.name = "pod_id"},
        {.name = "user_id"},     {.name = "cnf"}, {.name = "conversation_id"}};
    const uint32_t required = T3_CLAIM_BIT(T3_CLAIM_IAT) | T3_CLAIM_BIT(T3_CLAIM_EXP) |
                              T3_CLAIM_BIT(ISS) | T3_CLAIM_BIT(SUB) | T3_CLAIM_BIT(CUSTOMER_ID) |
                              T3_CLAIM_BIT(SID) | T3_CLAIM_BIT(POD_ID);
    struct t3_claim_times times;
    T3_TRY(t3_claims_read(jws, claims, CLAIMS, required, error_out));
    T3_TRY(t3_claims_check_times(claims, moment, &times, error_out));
    T3_TRY(t3_claim_text(&claims[ISS], jws, &identity->issuer, error_out));
    if (!t3_str_equal(identity->issuer, policy->issuer))
        return t3_token_deny(error_out, TEARS_TOKEN_WRONG_ISSUER, "the token is of another issuer");
    if (t3_member_is_set(&claims[T3_CLAIM_AUD]))
        return t3_token_deny(error_out, TEARS_TOKEN_WRONG_AUDIENCE,
                             "an identity token names no audience, this one does");
    identity->issued_at = times.issued_at;
    identity->expires_at = times.expires_at;
    return read_identity(jws, claims, identity, error_out);
}

tears_status tears_token_verify(struct tears_str token, const tears_jwks *jwks,
                                const struct tears_token_policy *policy,
                                struct tears_verified_identity *identity_out,
                                struct tears_error *error_out)
{
    T3_AUTO(t3_jws_done) struct t3_jws jws = {0};
    struct tears_token_policy own = {.size = sizeof own};
    struct tears_verified_identity verified = {0};
    struct t3_moment moment;
    T3_TRY(t3_sized_copy(&own, sizeof own, policy, origin, error_out));
    if (own.issuer.len == 0)
        return t3_fail(error_out, TEARS_INVALID, origin, "the policy names no issuer");
    T3_TRY(t3_moment_of(own.now, own.leeway_seconds, &moment, error_out));
    T3_TRY(t3_jws_read(token, "JWT", &jws, error_out));
    T3_TRY(t3_jws_verify_with(&jws, jwks, TEARS_PURPOSE_IDENTITY, error_out));
    T3_TRY(check_claims(&jws, &own, moment, &verified.identity, error_out));
    if (t3_owned_text_take(&jws.texts, false, &verified.text) != TEARS_OK)
        return t3_fail_memory(error_out, origin);
    *identity_out = verified;
    return TEARS_OK;
}

tears_status tears_access_token_hash(struct tears_str token, char hash_out[TEARS_THUMBPRINT_BYTES])
{
    for (size_t i = 0; i < token.len; i++)
        if ((unsigned char)token.ptr[i] > 0x7f)
            return TEARS_INVALID;
    t3_digest_text(token, hash_out);
    return TEARS_OK;
}
