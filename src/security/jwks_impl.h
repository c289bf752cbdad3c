/*
 * jwks_impl.h -- a key set as the verifiers use it.
 *
 * Private to security/.
 */
#ifndef T3_SECURITY_JWKS_IMPL_H
#define T3_SECURITY_JWKS_IMPL_H

#include "base/arena.h"
#include "security/jose.h"
#include "security/key.h"

#include <stdatomic.h>

struct t3_jwks_key {
    struct tears_jwk jwk;
    EVP_PKEY *pkey; /* made once, so that verifying costs one verification */
};

struct tears_jwks {
    atomic_uint users;
    struct t3_jwks_key *keys;
    size_t count;
    size_t skipped;
    bool has_nameless;     /* a good key without a kid: nobody can ask for it, but the set is one */
    struct t3_arena arena; /* keys and their kids */
};

/* NULL: there is none. */
const struct t3_jwks_key *t3_jwks_lookup(const tears_jwks *jwks, struct tears_str kid);

/* One more user of the set. */
tears_jwks *t3_jwks_share(tears_jwks *jwks);

/*
 * The Ed25519 public key of a JWK.  TEARS_INVALID: it is none, or not for verifying, or carries a
 * private key.
 */
tears_status t3_jwk_parse(struct tears_str json, uint8_t public_out[TEARS_KEY_BYTES]);

#endif
