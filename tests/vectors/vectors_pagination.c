/*
 * vectors_pagination.c -- pagination.jsonl: cursors and keyset fragments.
 *
 * Threads:  one.
 * Begin at: pagination_ops.
 */
#include "codec/json.h"
#include "schema/page.h"
#include "vectors/vectors.h"

static json_t *cursor_of(const struct tears_value *values, size_t count)
{
    T3_AUTO(t3_buf_done) struct t3_buf token = {0};
    must(t3_cursor_encode(values, count, &token), "t3_cursor_encode");
    return give_text(t3_buf_str(&token));
}

static json_t *cursor_encode(struct vector *vector)
{
    size_t count = 0;
    const struct tears_value *values =
        values_of(vector, json_object_get(vector->in, "values"), &count);
    return json_pack("{s:o}", "token", cursor_of(values, count));
}

static void put_json_value(struct t3_buf *out, const struct tears_value *value)
{
    switch (value->kind) {
    case TEARS_KIND_NULL:
        must(t3_buf_put(out, TEARS_STR("null")), "buffer");
        break;
    case TEARS_KIND_BOOL:
        must(t3_buf_put(out, value->as.boolean ? TEARS_STR("true") : TEARS_STR("false")), "buffer");
        break;
    case TEARS_KIND_INT:
        must(t3_buf_printf(out, "%lld", (long long)value->as.integer), "buffer");
        break;
    case TEARS_KIND_DOUBLE:
        must(t3_json_put_double(out, value->as.number), "t3_json_put_double");
        break;
    case TEARS_KIND_TEXT:
        must(t3_json_put_string(out, value->as.bytes), "t3_json_put_string");
        break;
    default: /* nested JSON, and integers of more than 64 bits: their own text */
        must(t3_buf_put(out, value->as.bytes), "buffer");
    }
}

static json_t *give_json(const struct tears_value *values, size_t count)
{
    T3_AUTO(t3_buf_done) struct t3_buf json = {0};
    must(t3_buf_put_char(&json, '['), "buffer");
    for (size_t i = 0; i < count; i++) {
        must(t3_buf_put(&json, i > 0 ? TEARS_STR(", ") : TEARS_STR("")), "buffer");
        put_json_value(&json, &values[i]);
    }
    must(t3_buf_put_char(&json, ']'), "buffer");
    return give_text(t3_buf_str(&json));
}

/* False: refused. */
static bool read_cursor(struct vector *vector, const char *member, struct tears_value **values,
                        size_t *count)
{
    struct tears_error error;
    const tears_status status =
        t3_cursor_decode(in_text(vector, member), vector->arena, values, count, &error);
    if (status == TEARS_INVALID)
        return false;
    must(status, "t3_cursor_decode");
    return true;
}

static json_t *cursor_decode(struct vector *vector)
{
    struct tears_value *values = NULL;
    size_t count = 0;
    if (!read_cursor(vector, "token", &values, &count))
        return refuse(vector, "cursor_error");
    return json_pack("{s:o}", "values_json", give_json(values, count));
}

static json_t *predicate(struct vector *vector)
{
    struct t3_keyset keyset = {0};
    struct tears_error error;
    keyset.columns = names_of(vector, json_object_get(vector->in, "columns"), &keyset.column_count);
    keyset.casts = names_of(vector, json_object_get(vector->in, "casts"), &keyset.cast_count);
    keyset.descending = json_is_true(json_object_get(vector->in, "descending"));
    if (t3_keyset_check(&keyset, &error) != TEARS_OK)
        return refuse(vector, "invalid_keyset");
    T3_AUTO(t3_buf_done) struct t3_buf order = {0};
    T3_AUTO(t3_buf_done) struct t3_buf sql = {0};
    struct tears_value *values = NULL;
    size_t count = 0;
    must(t3_keyset_put_order_by(&keyset, &order), "t3_keyset_put_order_by");
    if (in_text(vector, "cursor").ptr != NULL) {
        if (!read_cursor(vector, "cursor", &values, &count) || count != keyset.column_count)
            return refuse(vector, "cursor_error");
        const json_t *first = json_object_get(vector->in, "first_param");
        must(t3_keyset_put_predicate(&keyset, (uint64_t)json_integer_value(first), &sql),
             "t3_keyset_put_predicate");
    }
    return json_pack("{s:o, s:o, s:o}", "order_by", give_text(t3_buf_str(&order)), "predicate",
                     give_text(t3_buf_str(&sql)), "params_json", give_json(values, count));
}

static json_t *page(struct vector *vector)
{
    const json_t *keys = json_object_get(vector->in, "row_keys");
    const size_t page_size = (size_t)json_integer_value(json_object_get(vector->in, "page_size"));
    bool more = false;
    const size_t kept = t3_page_rows(json_array_size(keys), page_size, &more);
    json_t *cursor = json_null();
    if (more) {
        size_t count = 0;
        const struct tears_value *values =
            values_of(vector, json_array_get(keys, kept - 1), &count);
        cursor = cursor_of(values, count);
    }
    return json_pack("{s:I, s:o}", "items", (json_int_t)kept, "next_cursor", cursor);
}

const struct vector_op pagination_ops[] = {
    {"pagination", "cursor_encode", cursor_encode, false},
    {"pagination", "cursor_decode", cursor_decode, false},
    {"pagination", "predicate", predicate, false},
    {"pagination", "page", page, false},
    {NULL, NULL, NULL, false},
};
