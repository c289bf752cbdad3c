/*
 * vectors_replay.c -- replay.jsonl: the keys that nonces are remembered under, the bucket, and sequences of nonces on a server.
 *
 * Threads:  one.
 * Begin at: replay_ops.
 */
#include "base/hash.h"
#include "codec/text.h"
#include "coord/replay.h"
#include "support/nats_server.h"
#include "vectors/vectors.h"

#include <tears/replay.h>

static json_t *key(struct vector *vector)
{
    char hex[65];
    t3_sha256_hex(in_text(vector, "nonce"), hex);
    return give_member("key", tears_str_c(hex));
}

/* ---- sequences, on a bucket of their own --------------------------------------------------------- */

static tears_coord *open_coord(void)
{
    struct tears_coord_options options = TEARS_COORD_OPTIONS_INIT;
    tears_coord *coord = NULL;
    char space[32];
    test_namespace(space);
    options.url = tears_str_c(test_nats_shared_url());
    options.namespace_name = tears_str_c(space);
    must(tears_coord_open(&options, &coord, NULL), "tears_coord_open");
    return coord;
}

static tears_replay_guard *open_guard(tears_coord *coord)
{
    struct tears_replay_options options = TEARS_REPLAY_OPTIONS_INIT;
    tears_replay_guard *guard = NULL;
    options.bucket = TEARS_STR("nonces");
    options.ttl_ms = 60000;
    must(tears_replay_guard_open(coord, &options, &guard, NULL), "tears_replay_guard_open");
    return guard;
}

/* Two guards by turns, so that the bucket has to know what the other one has seen. */
static json_t *sequence(struct vector *vector)
{
    const json_t *nonces = json_object_get(vector->in, "nonces");
    json_t *fresh = json_array();
    tears_coord *coord = open_coord();
    tears_replay_guard *guards[2] = {open_guard(coord), open_guard(coord)};
    for (size_t i = 0; i < json_array_size(nonces); i++) {
        const tears_status status =
            tears_replay_guard_record(guards[i % 2], text_of(json_array_get(nonces, i)), NULL);
        if (status != TEARS_CONFLICT)
            must(status, "tears_replay_guard_record");
        json_array_append_new(fresh, json_boolean(status == TEARS_OK));
    }
    tears_replay_guard_free(guards[0]);
    tears_replay_guard_free(guards[1]);
    tears_coord_free(coord);
    return json_pack("{s:o}", "fresh", fresh);
}

/* ---- the bucket ---------------------------------------------------------------------------------- */

static json_t *open_bucket(struct vector *vector)
{
    const json_int_t ttl = json_integer_value(json_object_get(vector->in, "ttl_seconds"));
    struct t3_kv_settings settings;
    T3_AUTO(t3_buf_done) struct t3_buf value = {0};
    if (t3_replay_settings(ttl > 0 ? (uint64_t)ttl * 1000 : 0, 1, &settings, NULL) != TEARS_OK)
        return refuse(vector, "invalid_ttl");
    must(t3_base64_put(&value, TEARS_STR(T3_REPLAY_VALUE), false), "t3_base64_put");
    return json_pack("{s:I,s:s,s:I,s:o}", "ttl_seconds",
                     (json_int_t)(settings.max_age_ns / 1000000000), "storage",
                     settings.on_file ? "file" : "memory", "history", (json_int_t)settings.history,
                     "value_b64", give_text(t3_buf_str(&value)));
}

const struct vector_op replay_ops[] = {
    {"replay", "key", key, false},
    {"replay", "sequence", sequence, false},
    {"replay", "open", open_bucket, false},
    {NULL, NULL, NULL, false},
};
