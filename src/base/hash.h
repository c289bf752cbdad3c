/*
 * hash.h -- a fast 64-bit hash (XXH3, header-only xxhash) and SHA-256 (OpenSSL).
 */
#ifndef T3_BASE_HASH_H
#define T3_BASE_HASH_H

#include "base/macros.h"

/* XXH3 of xxhash 0.8 and later: the same in every process and on every machine.  Not for secrets. */
uint64_t t3_hash(const void *bytes, size_t len, uint64_t seed);

/* The 64 lower-case hexadecimal digits of SHA-256, NUL-terminated. */
void t3_sha256_hex(struct tears_str text, char hex_out[65]);

#endif
