/*
 * fuzz_jwt.c -- any bytes as an identity token, a proof and an assertion; then as the header and the
 * claims of properly signed ones, so that the claims are reached as well.
 *
 * The first byte of the input decides where the header ends.  What is believed must say so twice,
 * and no error repeats anything of the token.
 */
#include "security/jws.h"

#include <stdlib.h>
#include <tears/assertion.h>
#include <tears/pop.h>
#include <tears/token.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* The seed 00 01 .. 1f; its key stands in the set as "k", good for everything. */
struct bench {
    tears_signing_key *key;
    tears_jwks *jwks;
    char thumbprint[TEARS_THUMBPRINT_BYTES];
};

static const struct bench *bench(void)
{
    static struct bench made;
    uint8_t seed[TEARS_KEY_BYTES];
    struct tears_jwk jwk = {.kid = TEARS_STR("k")};
    struct tears_owned_text document = {0};
    if (made.key != NULL)
        return &made;
    for (size_t i = 0; i < sizeof seed; i++)
        seed[i] = (uint8_t)i;
    check(tears_signing_key_new(seed, &made.key, NULL) == TEARS_OK);
    tears_signing_key_public(made.key, jwk.public_key);
    tears_jwk_thumbprint(jwk.public_key, made.thumbprint);
    check(tears_jwks_build(&jwk, 1, &document, NULL) == TEARS_OK);
    check(tears_jwks_parse(tears_owned_text_str(&document), NULL, &made.jwks, NULL) == TEARS_OK);
    tears_owned_text_free(&document);
    return &made;
}

static void check_outcome(tears_status status, const struct tears_error *error)
{
    check(status == TEARS_OK || status == TEARS_DENIED || status == TEARS_NOT_FOUND);
    check(status == TEARS_OK || (error->detail > 0 && error->message[0] != '\0'));
}

static void as_identity(struct tears_str text)
{
    struct tears_token_policy policy = TEARS_TOKEN_POLICY_INIT;
    struct tears_verified_identity verified = {0};
    struct tears_error error = {0};
    policy.issuer = TEARS_STR("hub");
    policy.now = 1700000000;
    policy.leeway_seconds = 30;
    const tears_status status = tears_token_verify(text, bench()->jwks, &policy, &verified, &error);
    check_outcome(status, &error);
    if (status == TEARS_OK) {
        struct tears_owned_text again = {0};
        check(verified.identity.agent_id.len > 0 && verified.identity.expires_at > 1699999970);
        check(tears_token_sign(bench()->key, TEARS_STR("k"), &verified.identity, &again, NULL) !=
              TEARS_INVALID);
        tears_owned_text_free(&again);
    }
    tears_owned_text_free(&verified.text);
}

static void as_proof(struct tears_str text)
{
    struct tears_pop_policy policy = TEARS_POP_POLICY_INIT;
    struct tears_owned_text nonce = {0};
    struct tears_error error = {0};
    policy.thumbprint = tears_str_c(bench()->thumbprint);
    policy.access_token_hash = TEARS_STR("A");
    policy.body_hash = TEARS_STR("B");
    policy.now = 1700000000;
    const tears_status status = tears_pop_verify(text, &policy, &nonce, &error);
    check_outcome(status, &error);
    check(status != TEARS_OK || nonce.len > 0);
    tears_owned_text_free(&nonce);
}

static void as_assertion(struct tears_str text)
{
    struct tears_assertion_policy policy = TEARS_ASSERTION_POLICY_INIT;
    struct tears_verified_assertion verified = {0};
    struct tears_error error = {0};
    policy.pod_id = TEARS_STR("p");
    policy.body_hash = TEARS_STR("B");
    policy.now = 1700000000;
    const tears_status status =
        tears_assertion_verify(text, bench()->jwks, &policy, &verified, &error);
    check_outcome(status, &error);
    check(status != TEARS_OK || verified.assertion.nonce.len > 0);
    tears_owned_text_free(&verified.text);
}

static void as_all(struct tears_str text)
{
    as_identity(text);
    as_proof(text);
    as_assertion(text);
}

static void signed_and_all(struct tears_str header, struct tears_str claims)
{
    struct tears_owned_text token = {0};
    if (t3_jws_sign(bench()->key, header, claims, &token, NULL) == TEARS_OK)
        as_all(tears_owned_text_str(&token));
    tears_owned_text_free(&token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct tears_str bytes = tears_str_n((const char *)data, size);
    as_all(bytes);
    if (size == 0)
        return 0;
    const size_t rest = size - 1;
    const size_t header_len = data[0] < rest ? data[0] : rest;
    signed_and_all(tears_str_n(bytes.ptr + 1, header_len),
                   tears_str_n(bytes.ptr + 1 + header_len, rest - header_len));
    return 0;
}
