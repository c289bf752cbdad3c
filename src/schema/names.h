/*
 * names.h -- names that peers share: authorization namespaces, KV buckets and their subjects.
 *
 * Source: spec core.md 2.1, 2.2 and 10.
 */
#ifndef T3_SCHEMA_NAMES_H
#define T3_SCHEMA_NAMES_H

#include "base/buf.h"

/* Appends the segment with every dot as a hyphen.  One-way: `a.b` and `a-b` become the same. */
tears_status t3_namespace_put_segment(struct t3_buf *out, struct tears_str segment);

/* Appends `prefix.segment.segment`; the prefix stays as it is. */
tears_status t3_namespace_put(struct t3_buf *out, struct tears_str prefix,
                              const struct tears_str *segments, size_t count);

/* The prefix of one of the fifteen types of namespaces.  TEARS_NOT_FOUND. */
tears_status t3_namespace_prefix(struct tears_str type, struct tears_str *prefix_out);

/* Whether a KV bucket may be called so: letters, digits, `_` and `-`, at least one. */
bool t3_kv_bucket_is_valid(struct tears_str bucket);

/* Whether a KV key may be used: the key alphabet, and no empty token (a dot at either end, or two
 * in a row). */
bool t3_kv_key_is_valid(struct tears_str key);

/* Appends `namespace-suffix`.  TEARS_INVALID when that is no bucket name; nothing is then appended.
 */
tears_status t3_kv_put_bucket(struct t3_buf *out, struct tears_str namespace_name,
                              struct tears_str suffix);

/* Appends the name of a bucket's stream, `KV_bucket`. */
tears_status t3_kv_put_stream(struct t3_buf *out, struct tears_str bucket);

/* Appends the subject of a key, `$KV.bucket.key`; the key `>` gives the subjects of the stream. */
tears_status t3_kv_put_subject(struct t3_buf *out, struct tears_str bucket, struct tears_str key);

#endif
