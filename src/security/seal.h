/*
 * seal.h -- sealing, with the parts that only tests may choose.
 */
#ifndef T3_SECURITY_SEAL_H
#define T3_SECURITY_SEAL_H

#include "base/macros.h"

#include <tears/seal.h>

enum { T3_SEAL_KEY_BYTES = 32, T3_SEAL_NONCE_BYTES = 12 };

/* Seals under the first key with this nonce: once per key, ever.  Version 1 or 2. */
tears_status t3_keyring_seal_with(const tears_keyring *keyring, unsigned version,
                                  const uint8_t nonce[T3_SEAL_NONCE_BYTES],
                                  const struct tears_str texts[2],
                                  struct tears_owned_text *token_out);

/* The first secret's derived key for a version. */
const uint8_t *t3_keyring_key(const tears_keyring *keyring, unsigned version);

#endif
