/*
 * kv_bucket.h -- the settings of a bucket and of the stream behind it, as JSON.
 */
#ifndef T3_DRIVER_KV_BUCKET_H
#define T3_DRIVER_KV_BUCKET_H

#include "base/buf.h"

/* What a bucket is made with, or was found with.  -1 means unlimited in max_bytes; 0 in max_age_ns.
 */
struct t3_kv_settings {
    bool on_file; /* else in memory */
    uint64_t replicas;
    bool allow_direct;
    bool discard_new;
    int64_t history;
    int64_t max_age_ns;
    int64_t max_bytes;
    uint64_t messages; /* found only */
    uint64_t bytes;    /* found only */
};

/* What the library makes a bucket with: spec core.md 2.1, with direct get
 * unless there are several replicas. */
struct t3_kv_settings t3_kv_settings_wanted(bool on_file, uint64_t replicas);

/* Appends the body of $JS.API.STREAM.CREATE. */
tears_status t3_kv_put_config(const char *bucket, const struct t3_kv_settings *wanted,
                              struct t3_buf *out);

/*
 * Reads the answer to $JS.API.STREAM.INFO or CREATE.  *error_out_code 0 and the settings, or the
 * server's error code (-1: no sense).
 */
void t3_kv_parse_info(struct tears_str json, struct t3_kv_settings *found_out, int64_t *code_out);

/* Appends "allow_direct is false (wanted true), ..." ; nothing when all agree. */
tears_status t3_kv_put_differences(const struct t3_kv_settings *found,
                                   const struct t3_kv_settings *wanted, struct t3_buf *out);

#endif
