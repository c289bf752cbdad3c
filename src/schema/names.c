/*
 * names.c -- names of namespaces, buckets, streams and subjects.
 *
 * Owns:     the table of namespace types.
 * Knows:    base/.
 * Must not know: NATS itself; these are texts.
 * Threads:  any.
 * Fails:    TEARS_INVALID, TEARS_NOT_FOUND, TEARS_NO_MEMORY.
 * Begin at: t3_namespace_put(), t3_kv_put_bucket().
 */
#include "schema/names.h"

#include "base/str.h"

/* ---- namespaces -------------------------------------------------------------------------------
 */

static const struct {
    const char *type;
    const char *prefix;
} namespace_types[] = {
    {"agent", "agents"},
    {"api_key", "api_keys"},
    {"audit", "audits"},
    {"channel", "channels"},
    {"conversation", "conversations"},
    {"customer", "customers"},
    {"datasource", "datasources"},
    {"knowledge", "knowledge"},
    {"memory", "memories"},
    {"model", "models"},
    {"shared", "shared"},
    {"shared_agent", "shared_agents"},
    {"system", "system"},
    {"tool", "tools"},
    {"workspace", "workspaces"},
};

tears_status t3_namespace_put_segment(struct t3_buf *out, struct tears_str segment)
{
    const size_t start = out->len;
    T3_TRY(t3_buf_put(out, segment));
    for (size_t i = start; i < out->len; i++)
        if (out->ptr[i] == '.')
            out->ptr[i] = '-';
    return TEARS_OK;
}

tears_status t3_namespace_put(struct t3_buf *out, struct tears_str prefix,
                              const struct tears_str *segments, size_t count)
{
    T3_TRY(t3_buf_put(out, prefix));
    for (size_t i = 0; i < count; i++) {
        T3_TRY(t3_buf_put_char(out, '.'));
        T3_TRY(t3_namespace_put_segment(out, segments[i]));
    }
    return TEARS_OK;
}

tears_status t3_namespace_prefix(struct tears_str type, struct tears_str *prefix_out)
{
    for (size_t i = 0; i < T3_COUNT(namespace_types); i++) {
        if (t3_str_is(type, namespace_types[i].type)) {
            *prefix_out = tears_str_c(namespace_types[i].prefix);
            return TEARS_OK;
        }
    }
    return TEARS_NOT_FOUND;
}

/* ---- buckets and keys -------------------------------------------------------------------------
 */

static bool is_word_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

bool t3_kv_bucket_is_valid(struct tears_str bucket)
{
    for (size_t i = 0; i < bucket.len; i++)
        if (!is_word_character(bucket.ptr[i]))
            return false;
    return bucket.len > 0;
}

bool t3_kv_key_is_valid(struct tears_str key)
{
    char before = '.';
    for (size_t i = 0; i < key.len; i++) {
        const char c = key.ptr[i];
        if (!is_word_character(c) && c != '/' && c != '=' && c != '.')
            return false;
        if (before == '.' && c == '.')
            return false;
        before = c;
    }
    return before != '.';
}

tears_status t3_kv_put_bucket(struct t3_buf *out, struct tears_str namespace_name,
                              struct tears_str suffix)
{
    if (!t3_kv_bucket_is_valid(namespace_name) || !t3_kv_bucket_is_valid(suffix))
        return TEARS_INVALID;
    T3_TRY(t3_buf_reserve(out, namespace_name.len + suffix.len + 1));
    T3_TRY(t3_buf_put(out, namespace_name));
    T3_TRY(t3_buf_put_char(out, '-'));
    return t3_buf_put(out, suffix);
}

tears_status t3_kv_put_stream(struct t3_buf *out, struct tears_str bucket)
{
    T3_TRY(t3_buf_put(out, TEARS_STR("KV_")));
    return t3_buf_put(out, bucket);
}

tears_status t3_kv_put_subject(struct t3_buf *out, struct tears_str bucket, struct tears_str key)
{
    T3_TRY(t3_buf_put(out, TEARS_STR("$KV.")));
    T3_TRY(t3_buf_put(out, bucket));
    T3_TRY(t3_buf_put_char(out, '.'));
    return t3_buf_put(out, key);
}
