/*
 * page.c -- cursors and keyset fragments.
 *
 * Owns:     nothing; decoded values are the arena's.
 * Knows:    base/, codec/ (JSON as a stream, text forms), schema.h.
 * Must not know: tiers; the scan's own SQL is dml_scan.c.
 * Threads:  any.
 * Fails:    TEARS_INVALID, TEARS_NO_MEMORY, TEARS_LIMIT.
 * Begin at: t3_cursor_encode().
 */
#include "schema/page.h"

#include "base/fail.h"
#include "base/limits.h"
#include "base/str.h"
#include "codec/json.h"
#include "codec/text.h"

#include <math.h>

/* ---- encoding ---------------------------------------------------------------------------------
 */

static tears_status put_as_string(struct t3_buf *json, const struct tears_value *value)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    switch (value->kind) {
    case TEARS_KIND_BYTES:
        T3_TRY(t3_buf_put(&text, TEARS_STR("\\x")));
        T3_TRY(t3_hex_put(&text, value->as.bytes));
        break;
    case TEARS_KIND_JSON:
        T3_TRY(t3_buf_put(&text, value->as.bytes));
        break;
    case TEARS_KIND_VECTOR:
        T3_TRY(t3_vector_put(&text, value->as.vector));
        break;
    case TEARS_KIND_DOUBLE:
        T3_TRY(t3_json_put_double(&text, value->as.number));
        break;
    default:
        T3_TRY(t3_value_put_python(&text, value));
    }
    return t3_json_put_string(json, t3_buf_str(&text));
}

static tears_status put_value(struct t3_buf *json, const struct tears_value *value)
{
    switch (value->kind) {
    case TEARS_KIND_NULL:
        return t3_buf_put(json, TEARS_STR("null"));
    case TEARS_KIND_BOOL:
        return t3_buf_put(json, value->as.boolean ? TEARS_STR("true") : TEARS_STR("false"));
    case TEARS_KIND_INT:
        return t3_buf_printf(json, "%lld", (long long)value->as.integer);
    case TEARS_KIND_DOUBLE:
        if (isfinite(value->as.number))
            return t3_json_put_double(json, value->as.number);
        return put_as_string(json, value);
    case TEARS_KIND_TEXT:
        return t3_json_put_string(json, value->as.bytes);
    default:
        return put_as_string(json, value);
    }
}

tears_status t3_cursor_encode(const struct tears_value *values, size_t count, struct t3_buf *out)
{
    T3_AUTO(t3_buf_done) struct t3_buf json = {.len_max = T3_CURSOR_BYTES_MAX / 4 * 3};
    T3_TRY(t3_buf_put_char(&json, '['));
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            T3_TRY(t3_buf_put_char(&json, ','));
        T3_TRY(put_value(&json, &values[i]));
    }
    T3_TRY(t3_buf_put_char(&json, ']'));
    return t3_base64_put(out, t3_buf_str(&json), true);
}

/* ---- decoding ---------------------------------------------------------------------------------
 */

static tears_status read_number(struct tears_str text, struct tears_value *out)
{
    struct tears_value value = tears_int(0);
    bool is_integer = true;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] == '.' || text.ptr[i] == 'e' || text.ptr[i] == 'E')
            is_integer = false;
    if (is_integer && t3_int_parse(text, &value.as.integer) != TEARS_OK) {
        value = tears_decimal(text); /* more than 64 bits */
    } else if (!is_integer) {
        value = tears_double(0);
        T3_TRY(t3_double_parse(text, &value.as.number));
    }
    *out = value;
    return TEARS_OK;
}

static tears_status read_string(struct tears_str text, struct t3_arena *arena,
                                struct tears_value *out)
{
    T3_AUTO(t3_buf_done) struct t3_buf plain = {0};
    T3_TRY(t3_json_unescape(text, &plain));
    struct tears_str kept;
    T3_TRY(t3_arena_str(arena, t3_buf_str(&plain), &kept));
    *out = tears_text(kept);
    return TEARS_OK;
}

static tears_status read_value(struct t3_json_reader *reader, struct t3_arena *arena,
                               struct tears_value *out)
{
    struct t3_json_value value;
    T3_TRY(t3_json_value(reader, &value));
    switch (value.kind) {
    case T3_JSON_NULL:
        *out = tears_null();
        return TEARS_OK;
    case T3_JSON_TRUE:
    case T3_JSON_FALSE:
        *out = tears_bool(value.kind == T3_JSON_TRUE);
        return TEARS_OK;
    case T3_JSON_NUMBER:
        return read_number(value.text, out);
    case T3_JSON_STRING:
        return read_string(value.text, arena, out);
    case T3_JSON_ARRAY:
    case T3_JSON_OBJECT:
        *out = tears_json(value.text);
        return TEARS_OK;
    }
    return TEARS_INVALID;
}

/* Reads the array; there are never more values than commas and one. */
static tears_status read_array(struct tears_str json, struct t3_arena *arena,
                               struct tears_value **values_out, size_t *count_out)
{
    size_t count_max = 1;
    for (size_t i = 0; i < json.len; i++)
        count_max += json.ptr[i] == ',';
    struct tears_value *values = t3_arena_array(arena, count_max, sizeof *values);
    if (values == NULL)
        return TEARS_NO_MEMORY;
    struct t3_json_reader reader = {.text = json};
    T3_TRY(t3_json_array_open(&reader));
    size_t count = 0;
    for (;;) {
        bool done = false;
        T3_TRY(t3_json_element(&reader, count == 0, &done));
        if (done)
            break;
        if (count == count_max)
            return TEARS_INVALID;
        T3_TRY(read_value(&reader, arena, &values[count]));
        count++;
    }
    T3_TRY(t3_json_end(&reader));
    *values_out = values;
    *count_out = count;
    return TEARS_OK;
}

static tears_status decode(struct tears_str token, struct t3_arena *arena,
                           struct tears_value **values_out, size_t *count_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf json = {0};
    T3_TRY(t3_base64_parse(&json, token, true));
    if (!t3_str_is_utf8(t3_buf_str(&json)))
        return TEARS_INVALID;
    struct tears_str kept; /* numbers and nested JSON go on pointing into it */
    T3_TRY(t3_arena_str(arena, t3_buf_str(&json), &kept));
    return read_array(kept, arena, values_out, count_out);
}

tears_status t3_cursor_decode(struct tears_str token, struct t3_arena *arena,
                              struct tears_value **values_out, size_t *count_out,
                              struct tears_error *error_out)
{
    const tears_status status = token.len == 0 || token.len > T3_CURSOR_BYTES_MAX
                                    ? TEARS_INVALID
                                    : decode(token, arena, values_out, count_out);
    if (status == TEARS_NO_MEMORY)
        return t3_fail_memory(error_out, "page");
    if (status != TEARS_OK)
        return t3_fail(error_out, TEARS_INVALID, "page",
                       "the cursor of %zu bytes is not one that was given out", token.len);
    return TEARS_OK;
}

/* A decoded value as one of the column's kind: what JSON lacks came as text. */
static tears_status fit(const struct tears_schema *schema, uint32_t column, struct t3_arena *arena,
                        struct tears_value *value, struct tears_error *error_out)
{
    const struct tears_value given = *value;
    if (given.kind == TEARS_KIND_TEXT && schema->columns[column].kind != TEARS_KIND_TEXT)
        return t3_value_from_text(schema, column, given.as.bytes, arena, value, error_out);
    return t3_value_coerce(schema, column, &given, true, arena, value, error_out);
}

tears_status t3_cursor_decode_for(const struct tears_schema *schema, const struct t3_order *order,
                                  struct tears_str token, struct t3_arena *arena,
                                  struct tears_value **values_out, struct tears_error *error_out)
{
    struct tears_value *values = NULL;
    size_t count = 0;
    T3_TRY(t3_cursor_decode(token, arena, &values, &count, error_out));
    if (count != order->count)
        return t3_fail(error_out, TEARS_INVALID, "page",
                       "arity mismatch: the cursor has %zu values, the order has %u columns", count,
                       order->count);
    for (uint32_t i = 0; i < order->count; i++)
        T3_TRY(fit(schema, order->columns[i], arena, &values[i], error_out));
    *values_out = values;
    return TEARS_OK;
}

/* ---- fragments --------------------------------------------------------------------------------
 */

tears_status t3_keyset_check(const struct t3_keyset *keyset, struct tears_error *error_out)
{
    if (keyset->column_count == 0)
        return t3_fail(error_out, TEARS_INVALID, "page", "a keyset needs at least one column");
    if (keyset->cast_count != 0 && keyset->cast_count != keyset->column_count)
        return t3_fail(error_out, TEARS_INVALID, "page",
                       "casts arity: %zu casts for %zu columns of a keyset", keyset->cast_count,
                       keyset->column_count);
    return TEARS_OK;
}

tears_status t3_keyset_put_order_by(const struct t3_keyset *keyset, struct t3_buf *out)
{
    for (size_t i = 0; i < keyset->column_count; i++) {
        T3_TRY(t3_buf_put(out, i > 0 ? TEARS_STR(", ") : TEARS_STR("")));
        T3_TRY(t3_buf_put(out, keyset->columns[i]));
        T3_TRY(t3_buf_put(out, keyset->descending ? TEARS_STR(" DESC") : TEARS_STR(" ASC")));
    }
    return TEARS_OK;
}

tears_status t3_keyset_put_predicate(const struct t3_keyset *keyset, uint64_t first_param,
                                     struct t3_buf *out)
{
    T3_TRY(t3_buf_put_char(out, '('));
    for (size_t i = 0; i < keyset->column_count; i++) {
        T3_TRY(t3_buf_put(out, i > 0 ? TEARS_STR(", ") : TEARS_STR("")));
        T3_TRY(t3_buf_put(out, keyset->columns[i]));
    }
    T3_TRY(t3_buf_put(out, keyset->descending ? TEARS_STR(") < (") : TEARS_STR(") > (")));
    for (size_t i = 0; i < keyset->column_count; i++) {
        T3_TRY(
            t3_buf_printf(out, "%s$%llu", i > 0 ? ", " : "", (unsigned long long)first_param + i));
        if (keyset->cast_count == 0)
            continue;
        T3_TRY(t3_buf_put(out, TEARS_STR("::text::")));
        T3_TRY(t3_buf_put(out, keyset->casts[i]));
    }
    return t3_buf_put_char(out, ')');
}

size_t t3_page_rows(size_t row_count, size_t page_size, bool *more_out)
{
    *more_out = row_count > page_size && page_size > 0;
    return row_count < page_size ? row_count : page_size;
}
