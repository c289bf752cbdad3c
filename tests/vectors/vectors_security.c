/*
 * vectors_security.c -- security.jsonl: sealed text, call hashes, keys, tokens, proofs, assertions.
 *
 * Threads:  one.
 * Begin at: security_ops.
 */
#include "base/fail.h"
#include "base/str.h"
#include "codec/text.h"
#include "security/seal.h"
#include "vectors/vectors.h"

#include <stdlib.h>
#include <tears/assertion.h>
#include <tears/call_hash.h>
#include <tears/pop.h>
#include <tears/token.h>

static struct tears_str text_at(const json_t *object, const char *member)
{
    return text_of(json_object_get(object, member));
}

static int64_t in_integer(const struct vector *vector, const char *member)
{
    return json_integer_value(json_object_get(vector->in, member));
}

static json_t *give_owned(const char *member, struct tears_owned_text *text)
{
    json_t *given = give_member(member, tears_owned_text_str(text));
    tears_owned_text_free(text);
    return given;
}

/* An optional claim that is not set is null. */
static json_t *give_optional(struct tears_str text)
{
    return text.len > 0 ? give_text(text) : json_null();
}

static json_t *parse(struct tears_owned_text *text)
{
    json_t *value = json_loadb(text->ptr, text->len, 0, NULL);
    tears_owned_text_free(text);
    return value;
}

/* The text of any JSON value; the arena's. */
static struct tears_str dump(struct vector *vector, const json_t *value)
{
    struct tears_str copy;
    char *text = json_dumps(value, JSON_ENCODE_ANY);
    must(t3_arena_str(vector->arena, tears_str_c(text), &copy), "t3_arena_str");
    free(text);
    return copy;
}

/* ---- sealed text --------------------------------------------------------------------------------
 */

static tears_keyring *keyring_of(struct vector *vector)
{
    const struct tears_seal_secret secret = {.master_key = in_text(vector, "master_key"),
                                             .flags = TEARS_SEAL_SHORT_KEY};
    tears_keyring *keyring = NULL;
    must(tears_keyring_new(&secret, 1, &keyring, NULL), "tears_keyring_new");
    return keyring;
}

static json_t *seal(struct vector *vector)
{
    tears_keyring *keyring = keyring_of(vector);
    struct tears_owned_text token = {0};
    T3_AUTO(t3_buf_done) struct t3_buf key = {0};
    const struct tears_str texts[2] = {in_text(vector, "plaintext"), TEARS_STR("")};
    const struct tears_str nonce = in_base64(vector, "nonce_b64");
    must(t3_keyring_seal_with(keyring, 1, (const uint8_t *)nonce.ptr, texts, &token),
         "t3_keyring_seal_with");
    must(t3_base64_put(&key, tears_str_n((const char *)t3_keyring_key(keyring, 1), 32), false),
         "t3_base64_put");
    tears_keyring_free(keyring);
    json_t *given = give_owned("token", &token);
    json_object_set_new(given, "aes_key_b64", give_text(t3_buf_str(&key)));
    return given;
}

static json_t *open_sealed(struct vector *vector)
{
    tears_keyring *keyring = keyring_of(vector);
    struct tears_owned_text text = {0};
    const tears_status status =
        tears_keyring_open(keyring, in_text(vector, "token"), TEARS_STR(""), &text, NULL);
    tears_keyring_free(keyring);
    if (status == TEARS_DENIED)
        return refuse(vector, "auth_failed");
    if (status == TEARS_UNSUPPORTED)
        return refuse(vector, "unsupported_version");
    if (status != TEARS_OK)
        return refuse(vector, status == TEARS_CORRUPT ? "malformed" : "failed");
    return give_owned("plaintext", &text);
}

/* ---- call hashes --------------------------------------------------------------------------------
 */

static json_t *call_hash(struct vector *vector)
{
    const struct tears_call call = {.tool_name = in_text(vector, "tool_name"),
                                    .arguments = in_text(vector, "arguments_json"),
                                    .correlation_id = in_text(vector, "correlation_id")};
    struct tears_owned_text canonical = {0};
    char hash[TEARS_CALL_HASH_BYTES];
    if (tears_call_canonical(&call, &canonical, NULL) != TEARS_OK ||
        tears_call_hash(&call, hash, NULL) != TEARS_OK)
        return refuse(vector, "failed");
    json_t *given = give_owned("canonical", &canonical);
    json_object_set_new(given, "hash", json_string(hash));
    json_object_set_new(given, "eq", json_string("bytes"));
    return given;
}

/* ---- keys ---------------------------------------------------------------------------------------
 */

static tears_signing_key *signing_key_of(struct vector *vector)
{
    const struct tears_str seed = in_base64(vector, "seed_b64");
    tears_signing_key *key = NULL;
    if (seed.len != TEARS_KEY_BYTES)
        give_up("a seed of another length");
    must(tears_signing_key_new((const uint8_t *)seed.ptr, &key, NULL), "tears_signing_key_new");
    return key;
}

/* The `x` of a public key, out of the document that the library writes. */
static json_t *x_of(const struct tears_jwk *jwk)
{
    struct tears_owned_text document = {0};
    must(tears_jwks_build(jwk, 1, &document, NULL), "tears_jwks_build");
    json_t *keys = parse(&document);
    json_t *x = json_incref(json_object_get(json_array_get(json_object_get(keys, "keys"), 0), "x"));
    json_decref(keys);
    return x;
}

static json_t *thumbprint(struct vector *vector)
{
    tears_signing_key *key = signing_key_of(vector);
    struct tears_jwk jwk = {.kid = TEARS_STR("k")};
    char jkt[TEARS_THUMBPRINT_BYTES];
    tears_signing_key_public(key, jwk.public_key);
    tears_signing_key_free(key);
    tears_jwk_thumbprint(jwk.public_key, jkt);
    json_t *given = give_member("jkt", tears_str_c(jkt));
    json_object_set_new(given, "x", x_of(&jwk));
    return given;
}

static json_t *jwks_build(struct vector *vector)
{
    const json_t *keys = json_object_get(vector->in, "keys");
    struct tears_owned_text document = {0};
    struct tears_jwk jwks[8] = {0};
    const size_t count = json_array_size(keys);
    if (count > T3_COUNT(jwks))
        give_up("too many keys");
    for (size_t i = 0; i < count; i++) {
        const json_t *key = json_array_get(keys, i);
        struct vector inner = {.in = key, .arena = vector->arena};
        jwks[i].kid = text_at(key, "kid");
        memcpy(jwks[i].public_key, in_base64(&inner, "public_key_b64").ptr, TEARS_KEY_BYTES);
    }
    must(tears_jwks_build(jwks, count, &document, NULL), "tears_jwks_build");
    json_t *given = json_object();
    json_object_set_new(given, "jwks", parse(&document));
    json_object_set_new(given, "eq", json_string("json"));
    return given;
}

/* NULL: the vector's own error. */
static tears_jwks *jwks_of(struct vector *vector)
{
    tears_jwks *jwks = NULL;
    if (tears_jwks_parse(dump(vector, json_object_get(vector->in, "jwks")), NULL, &jwks, NULL) !=
        TEARS_OK)
        refuse(vector, "invalid_token");
    return jwks;
}

static json_t *jwks_select(struct vector *vector)
{
    struct tears_jwk jwk;
    tears_jwks *jwks = jwks_of(vector);
    if (jwks == NULL)
        return NULL;
    const tears_status status = tears_jwks_find(jwks, in_text(vector, "kid"), &jwk);
    json_t *given =
        status == TEARS_OK ? json_pack("{s:o}", "x", x_of(&jwk)) : refuse(vector, "key_not_found");
    tears_jwks_free(jwks);
    return given;
}

/* What the fetch function answers next. */
struct replies {
    const json_t *array;
    size_t next;
};

static tears_status fetch(void *owner, struct tears_owned_text *document_out)
{
    struct replies *replies = owner;
    const json_t *reply = json_array_get(replies->array, replies->next++);
    T3_AUTO(t3_buf_done) struct t3_buf document = {0};
    if (!json_is_string(reply))
        return TEARS_UNAVAILABLE;
    must(t3_base64_parse(&document, text_of(reply), false), "t3_base64_parse");
    return tears_owned_text_copy(t3_buf_str(&document), document_out);
}

static json_t *provider_state(tears_jwks_provider *provider)
{
    struct tears_jwks_provider_stats stats = TEARS_JWKS_PROVIDER_STATS_INIT;
    json_t *kids = json_array();
    tears_jwks *jwks = NULL;
    tears_jwks_provider_stats(provider, &stats);
    if (tears_jwks_provider_take(provider, &jwks, NULL) == TEARS_OK)
        for (size_t i = 0; i < tears_jwks_count(jwks); i++)
            json_array_append_new(kids, give_text(tears_jwks_at(jwks, i).kid));
    tears_jwks_free(jwks);
    return json_pack("{s:o,s:b}", "kids", kids, "warmed", (int)stats.is_warm);
}

static json_t *jwks_cache(struct vector *vector)
{
    struct replies replies = {.array = json_object_get(vector->in, "replies_b64")};
    struct tears_jwks_provider_options options = TEARS_JWKS_PROVIDER_OPTIONS_INIT;
    tears_jwks_provider *provider = NULL;
    json_t *states = json_array();
    options.fetch = fetch;
    options.fetch_owner = &replies;
    must(tears_jwks_provider_new(&options, &provider, NULL), "tears_jwks_provider_new");
    for (size_t i = 0; i < json_array_size(replies.array); i++) {
        const tears_status status = tears_jwks_provider_refresh(provider, NULL);
        (void)status; /* shows in the state */
        json_array_append_new(states, provider_state(provider));
    }
    tears_jwks_provider_free(provider);
    return json_pack("{s:o}", "states", states);
}

/* ---- identity tokens ----------------------------------------------------------------------------
 */

static json_t *give_signed(const char *member, struct tears_owned_text *text)
{
    json_t *given = give_owned(member, text);
    json_object_set_new(given, "eq", json_string("bytes"));
    return given;
}

static json_t *sign_identity(struct vector *vector)
{
    const json_t *claims = json_object_get(vector->in, "claims");
    const struct tears_identity identity = {
        .issuer = text_at(claims, "iss"),
        .agent_id = text_at(claims, "sub"),
        .customer_id = text_at(claims, "customer_id"),
        .session_id = text_at(claims, "sid"),
        .pod_id = text_at(claims, "pod_id"),
        .issued_at = json_integer_value(json_object_get(claims, "iat")),
        .expires_at = json_integer_value(json_object_get(claims, "exp")),
        .user_id = text_at(claims, "user_id"),
        .holder = text_at(claims, "cnf"),
        .conversation_id = text_at(claims, "conversation_id")};
    tears_signing_key *key = signing_key_of(vector);
    struct tears_owned_text token = {0};
    const tears_status status =
        tears_token_sign(key, in_text(vector, "kid"), &identity, &token, NULL);
    tears_signing_key_free(key);
    return status == TEARS_OK ? give_signed("token", &token) : refuse(vector, "failed");
}

static json_t *refuse_token(struct vector *vector, tears_status status)
{
    if (status == TEARS_NOT_FOUND)
        return refuse(vector, "key_not_found");
    return refuse(vector, status == TEARS_DENIED ? "invalid_token" : "failed");
}

static json_t *verify_identity(struct vector *vector)
{
    struct tears_token_policy policy = TEARS_TOKEN_POLICY_INIT;
    struct tears_verified_identity verified = {0};
    policy.issuer = in_text(vector, "issuer");
    policy.leeway_seconds = (uint64_t)in_integer(vector, "leeway_seconds");
    policy.now = in_integer(vector, "now");
    tears_jwks *jwks = jwks_of(vector);
    if (jwks == NULL)
        return NULL;
    const tears_status status =
        tears_token_verify(in_text(vector, "token"), jwks, &policy, &verified, NULL);
    tears_jwks_free(jwks);
    if (status != TEARS_OK)
        return refuse_token(vector, status);
    const struct tears_identity *identity = &verified.identity;
    json_t *claims = json_pack(
        "{s:o,s:o,s:o,s:o,s:o,s:I,s:I,s:o,s:o,s:o}", "sub", give_text(identity->agent_id),
        "customer_id", give_text(identity->customer_id), "sid", give_text(identity->session_id),
        "pod_id", give_text(identity->pod_id), "iss", give_text(identity->issuer), "iat",
        (json_int_t)identity->issued_at, "exp", (json_int_t)identity->expires_at, "user_id",
        give_optional(identity->user_id), "cnf", give_optional(identity->holder), "conversation_id",
        give_optional(identity->conversation_id));
    tears_owned_text_free(&verified.text);
    return json_pack("{s:o}", "claims", claims);
}

static json_t *access_token_hash(struct vector *vector)
{
    char hash[TEARS_THUMBPRINT_BYTES];
    if (tears_access_token_hash(in_text(vector, "token"), hash) != TEARS_OK)
        return refuse(vector, "invalid_token");
    return give_member("ath", tears_str_c(hash));
}

/* ---- proofs of possession -----------------------------------------------------------------------
 */

static json_t *make_pop(struct vector *vector)
{
    const struct tears_pop pop = {.access_token_hash = in_text(vector, "ath"),
                                  .body_hash = in_text(vector, "bh"),
                                  .nonce = in_text(vector, "jti"),
                                  .issued_at = in_integer(vector, "iat")};
    tears_signing_key *key = signing_key_of(vector);
    struct tears_owned_text proof = {0};
    const tears_status status = tears_pop_make(key, &pop, &proof, NULL);
    tears_signing_key_free(key);
    return status == TEARS_OK ? give_signed("proof", &proof) : refuse(vector, "failed");
}

static json_t *verify_pop(struct vector *vector)
{
    struct tears_pop_policy policy = TEARS_POP_POLICY_INIT;
    struct tears_owned_text nonce = {0};
    policy.thumbprint = in_text(vector, "expected_jkt");
    policy.access_token_hash = in_text(vector, "ath");
    policy.body_hash = in_text(vector, "bh");
    policy.leeway_seconds = (uint64_t)in_integer(vector, "leeway_seconds");
    policy.now = in_integer(vector, "now");
    const tears_status status = tears_pop_verify(in_text(vector, "proof"), &policy, &nonce, NULL);
    return status == TEARS_OK ? give_owned("jti", &nonce) : refuse_token(vector, status);
}

/* ---- proxy assertions ---------------------------------------------------------------------------
 */

static json_t *mint_assertion(struct vector *vector)
{
    const struct tears_assertion assertion = {.pod_id = in_text(vector, "pod_id"),
                                              .agent_id = in_text(vector, "agent_id"),
                                              .customer_id = in_text(vector, "customer_id"),
                                              .body_hash = in_text(vector, "body_hash"),
                                              .nonce = in_text(vector, "nonce"),
                                              .issued_at = in_integer(vector, "iat"),
                                              .expires_at = in_integer(vector, "exp"),
                                              .user_id = in_text(vector, "user_id")};
    tears_signing_key *key = signing_key_of(vector);
    struct tears_owned_text text = {0};
    const tears_status status =
        tears_assertion_sign(key, in_text(vector, "kid"), &assertion, &text, NULL);
    tears_signing_key_free(key);
    return status == TEARS_OK ? give_signed("assertion", &text) : refuse(vector, "failed");
}

static json_t *verify_assertion(struct vector *vector)
{
    struct tears_assertion_policy policy = TEARS_ASSERTION_POLICY_INIT;
    struct tears_verified_assertion verified = {0};
    policy.pod_id = in_text(vector, "expected_pod_id");
    policy.body_hash = in_text(vector, "body_hash");
    policy.leeway_seconds = (uint64_t)in_integer(vector, "leeway_seconds");
    policy.now = in_integer(vector, "now");
    tears_jwks *jwks = jwks_of(vector);
    if (jwks == NULL)
        return NULL;
    const tears_status status =
        tears_assertion_verify(in_text(vector, "assertion"), jwks, &policy, &verified, NULL);
    tears_jwks_free(jwks);
    if (status != TEARS_OK)
        return refuse_token(vector, status);
    const struct tears_assertion *assertion = &verified.assertion;
    json_t *claims =
        json_pack("{s:o,s:o,s:o,s:o,s:o,s:I,s:I,s:o}", "sub", give_text(assertion->agent_id),
                  "customer_id", give_text(assertion->customer_id), "pod_id",
                  give_text(assertion->pod_id), "body_hash", give_text(assertion->body_hash), "jti",
                  give_text(assertion->nonce), "iat", (json_int_t)assertion->issued_at, "exp",
                  (json_int_t)assertion->expires_at, "user_id", give_optional(assertion->user_id));
    tears_owned_text_free(&verified.text);
    return json_pack("{s:o}", "claims", claims);
}

static json_t *signer(struct vector *vector)
{
    const struct tears_assertion assertion = {.pod_id = TEARS_STR("p"),
                                              .agent_id = TEARS_STR("a"),
                                              .customer_id = TEARS_STR("c"),
                                              .body_hash = TEARS_STR("B"),
                                              .nonce = TEARS_STR("N"),
                                              .issued_at = in_integer(vector, "now")};
    tears_assertion_signer *made = NULL;
    struct tears_owned_text minted = {0};
    struct tears_owned_text document = {0};
    const tears_status status = tears_assertion_signer_new(
        in_text(vector, "secret"), in_integer(vector, "ttl_seconds"), &made, NULL);
    if (status != TEARS_OK)
        return refuse(vector, status == TEARS_LIMIT ? "invalid_ttl" : "invalid_key");
    must(tears_assertion_signer_mint(made, &assertion, &minted, NULL), "mint");
    must(tears_assertion_signer_jwks(made, 0, &document, NULL), "jwks");
    json_t *given = give_owned("assertion", &minted);
    json_object_set_new(given, "kid", give_text(tears_assertion_signer_kid(made)));
    json_object_set_new(given, "jwks", parse(&document));
    tears_assertion_signer_free(made);
    return given;
}

const struct vector_op security_ops[] = {
    {"security", "seal", seal, false},
    {"security", "open", open_sealed, false},
    {"security", "call_hash", call_hash, false},
    {"security", "thumbprint", thumbprint, false},
    {"security", "jwks_build", jwks_build, false},
    {"security", "jwks_select", jwks_select, false},
    {"security", "jwks_cache", jwks_cache, false},
    {"security", "sign_identity", sign_identity, false},
    {"security", "verify_identity", verify_identity, false},
    {"security", "access_token_hash", access_token_hash, false},
    {"security", "make_pop", make_pop, false},
    {"security", "verify_pop", verify_pop, false},
    {"security", "mint_assertion", mint_assertion, false},
    {"security", "verify_assertion", verify_assertion, false},
    {"security", "signer", signer, false},
    {NULL, NULL, NULL, false},
};
