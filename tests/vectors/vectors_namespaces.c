/*
 * vectors_namespaces.c -- namespaces.jsonl: names of authorization namespaces.
 *
 * Threads:  one.
 * Begin at: namespaces_ops.
 */
#include "schema/names.h"
#include "vectors/vectors.h"

static json_t *sanitize_segment(struct vector *vector)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    must(t3_namespace_put_segment(&text, in_text(vector, "value")), "t3_namespace_put_segment");
    return give_member("value", t3_buf_str(&text));
}

static json_t *build_name(struct vector *vector)
{
    T3_AUTO(t3_buf_done) struct t3_buf name = {0};
    size_t count = 0;
    const struct tears_str *segments =
        names_of(vector, json_object_get(vector->in, "segments"), &count);
    must(t3_namespace_put(&name, in_text(vector, "prefix"), segments, count), "t3_namespace_put");
    return give_member("name", t3_buf_str(&name));
}

static json_t *prefix_for_type(struct vector *vector)
{
    struct tears_str prefix;
    if (t3_namespace_prefix(in_text(vector, "type"), &prefix) != TEARS_OK)
        return refuse(vector, "unknown_namespace_type");
    return give_member("prefix", prefix);
}

const struct vector_op namespaces_ops[] = {
    {"namespaces", "sanitize_segment", sanitize_segment, false},
    {"namespaces", "build_name", build_name, false},
    {"namespaces", "prefix_for_type", prefix_for_type, false},
    {NULL, NULL, NULL, false},
};
