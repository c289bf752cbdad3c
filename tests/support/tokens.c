/*
 * tokens.c -- keys and signed texts for the tests of tokens, proofs and assertions.
 *
 * Owns:     nothing but with()'s result.
 * Threads:  one.
 * Fails:    by ending the test.
 * Begin at: sign_text().
 */
#include "support/tokens.h"

#include "security/jws.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

tears_signing_key *test_key(unsigned which)
{
    uint8_t seed[TEARS_KEY_BYTES];
    tears_signing_key *key = NULL;
    for (size_t i = 0; i < sizeof seed; i++)
        seed[i] = (uint8_t)(i + (which == 0 ? 0 : 0x80));
    assert_int_equal(tears_signing_key_new(seed, &key, NULL), TEARS_OK);
    return key;
}

tears_jwks *test_jwks(const tears_signing_key *key, const char *kid, uint64_t purposes)
{
    struct tears_jwk jwk = {.kid = tears_str_c(kid), .purposes = purposes};
    struct tears_owned_text document = {0};
    tears_jwks *jwks = NULL;
    tears_signing_key_public(key, jwk.public_key);
    assert_int_equal(tears_jwks_build(&jwk, 1, &document, NULL), TEARS_OK);
    assert_int_equal(tears_jwks_parse(tears_owned_text_str(&document), NULL, &jwks, NULL),
                     TEARS_OK);
    tears_owned_text_free(&document);
    return jwks;
}

void sign_text(const tears_signing_key *key, const char *header, const char *payload,
               char token[TOKEN_TEXT_MAX])
{
    struct tears_owned_text made = {0};
    assert_int_equal(t3_jws_sign(key, tears_str_c(header), tears_str_c(payload), &made, NULL),
                     TEARS_OK);
    assert_true(made.len < TOKEN_TEXT_MAX);
    memcpy(token, made.ptr, made.len + 1);
    tears_owned_text_free(&made);
}

const char *with(const char *text, const char *from, const char *to)
{
    static char result[TOKEN_TEXT_MAX];
    const char *at = strstr(text, from);
    assert_non_null(at);
    const int len =
        snprintf(result, sizeof result, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    assert_true(len > 0 && (size_t)len < sizeof result);
    return result;
}
