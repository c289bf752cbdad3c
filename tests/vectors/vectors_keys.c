/*
 * vectors_keys.c -- keys.jsonl: L2 keys and names of buckets.
 *
 * Threads:  one.
 * Begin at: keys_ops.
 */
#include "schema/key.h"
#include "schema/names.h"
#include "vectors/vectors.h"

static json_t *l2_key(struct vector *vector)
{
    size_t count = 0;
    const struct tears_value *values = values_of(vector, json_object_get(vector->in, "pk"), &count);
    const json_t *columns = json_object_get(vector->in, "columns");
    if (columns != NULL && (size_t)json_integer_value(columns) != count)
        return refuse(vector, "arity_mismatch");
    T3_AUTO(t3_buf_done) struct t3_buf key = {0};
    must(t3_key_text(in_text(vector, "table"), values, count, &key), "t3_key_text");
    return give_member("key", t3_buf_str(&key));
}

static json_t *kv_names(struct vector *vector)
{
    T3_AUTO(t3_buf_done) struct t3_buf bucket = {0};
    T3_AUTO(t3_buf_done) struct t3_buf stream = {0};
    T3_AUTO(t3_buf_done) struct t3_buf subjects = {0};
    T3_AUTO(t3_buf_done) struct t3_buf subject = {0};
    const tears_status status =
        t3_kv_put_bucket(&bucket, in_text(vector, "namespace"), in_text(vector, "suffix"));
    if (status == TEARS_INVALID)
        return refuse(vector, "invalid_bucket_name");
    must(status, "t3_kv_put_bucket");
    must(t3_kv_put_stream(&stream, t3_buf_str(&bucket)), "t3_kv_put_stream");
    must(t3_kv_put_subject(&subjects, t3_buf_str(&bucket), TEARS_STR(">")), "t3_kv_put_subject");
    json_t *out = give_member("bucket", t3_buf_str(&bucket));
    json_object_set_new(out, "stream", give_text(t3_buf_str(&stream)));
    json_object_set_new(out, "stream_subject", give_text(t3_buf_str(&subjects)));
    const struct tears_str key = in_text(vector, "key");
    if (key.ptr != NULL) {
        must(t3_kv_put_subject(&subject, t3_buf_str(&bucket), key), "t3_kv_put_subject");
        json_object_set_new(out, "key_subject", give_text(t3_buf_str(&subject)));
    }
    return out;
}

static json_t *kv_key_valid(struct vector *vector)
{
    return json_pack("{s:b}", "valid", t3_kv_key_is_valid(in_text(vector, "key")));
}

const struct vector_op keys_ops[] = {
    {"keys", "l2_key", l2_key, false},
    {"keys", "kv_names", kv_names, false},
    {"keys", "kv_key_valid", kv_key_valid, false},
    {NULL, NULL, NULL, false},
};
