/*
 * key.c -- Ed25519 keys: from a seed, and their thumbprints.
 *
 * Owns:     the OpenSSL key, which wipes the seed it holds when it ends.
 * Must not know: what is signed.
 * Threads:  any; a key never changes.
 * Fails:    TEARS_NO_MEMORY; TEARS_INVALID on text that is no seed.
 * Begin at: tears_signing_key_parse().
 */
#include "security/key.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "base/str.h"
#include "codec/text.h"
#include "security/jose.h"

#include <openssl/crypto.h>

static const char origin[] = "key";

EVP_PKEY *t3_public_key_new(const uint8_t bytes[TEARS_KEY_BYTES])
{
    return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, bytes, TEARS_KEY_BYTES);
}

void t3_public_key_done(EVP_PKEY **pkey)
{
    EVP_PKEY_free(*pkey);
    *pkey = NULL;
}

tears_status tears_signing_key_new(const uint8_t seed[TEARS_KEY_BYTES], tears_signing_key **key_out,
                                   struct tears_error *error_out)
{
    size_t len = TEARS_KEY_BYTES;
    tears_signing_key *key = t3_alloc_zero(1, sizeof *key);
    if (key == NULL)
        return t3_fail_memory(error_out, origin);
    key->pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, TEARS_KEY_BYTES);
    if (key->pkey == NULL || EVP_PKEY_get_raw_public_key(key->pkey, key->public_key, &len) != 1) {
        tears_signing_key_free(key);
        return t3_fail_memory(error_out, origin);
    }
    *key_out = key;
    return TEARS_OK;
}

/* The 32 bytes of 43 digits in either alphabet, with or without the "=" behind them. */
static bool parse_seed(struct tears_str text, uint8_t seed_out[TEARS_KEY_BYTES])
{
    const bool is_padded = text.len == T3_KEY_TEXT_LEN + 1 && text.ptr[T3_KEY_TEXT_LEN] == '=';
    if (!is_padded && text.len != T3_KEY_TEXT_LEN)
        return false;
    char padded[T3_KEY_TEXT_LEN + 1];
    char bytes[sizeof padded / 4 * 3];
    memcpy(padded, text.ptr, T3_KEY_TEXT_LEN);
    padded[T3_KEY_TEXT_LEN] = '=';
    const struct tears_str digits = tears_str_n(padded, sizeof padded);
    const bool is_seed = t3_base64_parse_to(digits, true, bytes) == TEARS_KEY_BYTES ||
                         t3_base64_parse_to(digits, false, bytes) == TEARS_KEY_BYTES;
    if (is_seed)
        memcpy(seed_out, bytes, TEARS_KEY_BYTES);
    OPENSSL_cleanse(padded, sizeof padded);
    OPENSSL_cleanse(bytes, sizeof bytes);
    return is_seed;
}

tears_status tears_signing_key_parse(struct tears_str secret, tears_signing_key **key_out,
                                     struct tears_error *error_out)
{
    uint8_t seed[TEARS_KEY_BYTES];
    if (!parse_seed(t3_str_trim(secret, T3_BLANKS), seed))
        return t3_fail(error_out, TEARS_INVALID, origin,
                       "the secret is not the base64 text of a 32-byte seed");
    const tears_status status = tears_signing_key_new(seed, key_out, error_out);
    OPENSSL_cleanse(seed, sizeof seed);
    return status;
}

void tears_signing_key_public(const tears_signing_key *key, uint8_t public_out[TEARS_KEY_BYTES])
{
    memcpy(public_out, key->public_key, TEARS_KEY_BYTES);
}

void tears_signing_key_free(tears_signing_key *key)
{
    if (key == NULL)
        return;
    EVP_PKEY_free(key->pkey);
    t3_free(key);
}

/* ---- thumbprints --------------------------------------------------------------------------------
 */

#define JWK_START "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\""
#define JWK_END   "\"}"

tears_status t3_public_key_put(struct t3_buf *out, const uint8_t public_key[TEARS_KEY_BYTES])
{
    char x[T3_DIGEST_TEXT_BYTES];
    t3_base64url_32(public_key, x);
    return t3_buf_printf(out, JWK_START "%s" JWK_END, x);
}

void tears_jwk_thumbprint(const uint8_t public_key[TEARS_KEY_BYTES],
                          char thumbprint_out[TEARS_THUMBPRINT_BYTES])
{
    enum { START = sizeof JWK_START - 1, END = sizeof JWK_END - 1 };
    char jwk[START + T3_DIGEST_TEXT_BYTES + END] = JWK_START;
    t3_base64url_32(public_key, jwk + START);
    memcpy(jwk + START + T3_KEY_TEXT_LEN, JWK_END, END);
    t3_digest_text(tears_str_n(jwk, START + T3_KEY_TEXT_LEN + END), thumbprint_out);
}
