/*
 * key.h -- Ed25519 keys as OpenSSL holds them.
 */
#ifndef T3_SECURITY_KEY_H
#define T3_SECURITY_KEY_H

#include "base/buf.h"

#include <openssl/evp.h>
#include <tears/jwks.h>

struct tears_signing_key {
    EVP_PKEY *pkey;
    uint8_t public_key[TEARS_KEY_BYTES];
};

/* A public key to verify with; ended by EVP_PKEY_free.  NULL: out of memory. */
EVP_PKEY *t3_public_key_new(const uint8_t bytes[TEARS_KEY_BYTES]);

/* For T3_AUTO. */
void t3_public_key_done(EVP_PKEY **pkey);

/* Appends {"crv":"Ed25519","kty":"OKP","x":"..."}: what a thumbprint is made of. */
tears_status t3_public_key_put(struct t3_buf *out, const uint8_t public_key[TEARS_KEY_BYTES]);

#endif
