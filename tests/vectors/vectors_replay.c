/*
 * vectors_replay.c -- replay.jsonl: the keys that nonces are remembered under.
 *
 * The operations that need a bucket are tested against a server instead.
 *
 * Threads:  one.
 * Begin at: replay_ops.
 */
#include "base/hash.h"
#include "vectors/vectors.h"

static json_t *key(struct vector *vector)
{
    char hex[65];
    t3_sha256_hex(in_text(vector, "nonce"), hex);
    return give_member("key", tears_str_c(hex));
}

const struct vector_op replay_ops[] = {
    {"replay", "key", key, false},
    {NULL, NULL, NULL, false},
};
