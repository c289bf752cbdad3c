/*
 * tokens.h -- keys and signed texts for the tests of tokens, proofs and assertions.
 */
#ifndef TESTS_SUPPORT_TOKENS_H
#define TESTS_SUPPORT_TOKENS_H

#include "base/macros.h"

#include <tears/jwks.h>

enum { TOKEN_TEXT_MAX = 20000 };

/* The key whose seed is 00 01 .. 1f (0) or 80 81 .. 9f (1); the test ends it. */
tears_signing_key *test_key(unsigned which);

/* A set with the key under `kid`, for these purposes; the test ends it. */
tears_jwks *test_jwks(const tears_signing_key *key, const char *kid, uint64_t purposes);

/* Signs any header and payload, well formed or not, into `token`. */
void sign_text(const tears_signing_key *key, const char *header, const char *payload,
               char token[TOKEN_TEXT_MAX]);

/* Replaces the one occurrence of `from` in `text`; the result is static. */
const char *with(const char *text, const char *from, const char *to);

#endif
