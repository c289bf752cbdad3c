/*
 * value.c -- comparing values, and the text Python's str() gives them.
 *
 * Owns:     nothing.
 * Must not know: rows, tables, tiers.
 * Threads:  any.
 * Fails:    TEARS_NO_MEMORY, TEARS_LIMIT.
 * Begin at: t3_value_put_python().
 */
#include "base/str.h"
#include "codec/text.h"

#include <math.h>

static bool doubles_equal(struct tears_doubles a, struct tears_doubles b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len * sizeof *a.ptr) == 0);
}

bool tears_value_equal(const struct tears_value *a, const struct tears_value *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case TEARS_KIND_NULL:
        return true;
    case TEARS_KIND_BOOL:
        return a->as.boolean == b->as.boolean;
    case TEARS_KIND_INT:
    case TEARS_KIND_TIMESTAMP:
        return a->as.integer == b->as.integer;
    case TEARS_KIND_DOUBLE: /* by bits: NaN is NaN, and -0.0 is not 0.0 */
        return memcmp(&a->as.number, &b->as.number, sizeof a->as.number) == 0;
    case TEARS_KIND_UUID:
        return memcmp(a->as.uuid, b->as.uuid, sizeof a->as.uuid) == 0;
    case TEARS_KIND_VECTOR:
        return doubles_equal(a->as.vector, b->as.vector);
    default:
        return t3_str_equal(a->as.bytes, b->as.bytes);
    }
}

/* repr() of bytes: b'...', with double quotes when only single ones are inside. */
static tears_status put_python_bytes(struct t3_buf *out, struct tears_str bytes)
{
    static const char digits[] = "0123456789abcdef";
    const bool has_single = bytes.len > 0 && memchr(bytes.ptr, '\'', bytes.len) != NULL;
    const bool has_double = bytes.len > 0 && memchr(bytes.ptr, '"', bytes.len) != NULL;
    const char quote = has_single && !has_double ? '"' : '\'';
    const char opening[2] = {'b', quote};
    T3_TRY(t3_buf_put(out, tears_str_n(opening, 2)));
    for (size_t i = 0; i < bytes.len; i++) {
        const unsigned char c = (unsigned char)bytes.ptr[i];
        const char *shorts = "t\tn\nr\r\\\\";
        char text[4] = {'\\', 'x', digits[c >> 4], digits[c & 15]};
        size_t len = 4;
        for (size_t k = 0; k < 8; k += 2)
            if (c == (unsigned char)shorts[k + 1]) {
                text[1] = shorts[k];
                len = 2;
            }
        if (c == (unsigned char)quote) {
            text[1] = quote;
            len = 2;
        } else if (len == 4 && c >= 0x20 && c < 0x7f) {
            text[0] = (char)c;
            len = 1;
        }
        T3_TRY(t3_buf_put(out, tears_str_n(text, len)));
    }
    return t3_buf_put_char(out, quote);
}

/* str() of a float: as repr, and nan, inf, -inf. */
static tears_status put_python_double(struct t3_buf *out, double number)
{
    if (isnan(number))
        return t3_buf_put(out, TEARS_STR("nan"));
    if (isinf(number))
        return t3_buf_put(out, number > 0 ? TEARS_STR("inf") : TEARS_STR("-inf"));
    char text[T3_DOUBLE_TEXT_MAX];
    return t3_buf_put(out, tears_str_n(text, t3_double_text(number, text)));
}

tears_status t3_vector_put(struct t3_buf *out, struct tears_doubles vector)
{
    T3_TRY(t3_buf_put_char(out, '['));
    for (size_t i = 0; i < vector.len; i++) {
        if (i > 0)
            T3_TRY(t3_buf_put(out, TEARS_STR(", ")));
        T3_TRY(put_python_double(out, vector.ptr[i]));
    }
    return t3_buf_put_char(out, ']');
}

tears_status t3_value_put_python(struct t3_buf *out, const struct tears_value *value)
{
    char text[T3_TIMESTAMP_TEXT_MAX];
    switch (value->kind) {
    case TEARS_KIND_NULL:
        return t3_buf_put(out, TEARS_STR("None"));
    case TEARS_KIND_BOOL:
        return t3_buf_put(out, value->as.boolean ? TEARS_STR("True") : TEARS_STR("False"));
    case TEARS_KIND_INT:
        return t3_buf_put(out, tears_str_n(text, t3_int_text(value->as.integer, text)));
    case TEARS_KIND_DOUBLE:
        return put_python_double(out, value->as.number);
    case TEARS_KIND_DECIMAL:
        return t3_decimal_put_python(out, value->as.bytes);
    case TEARS_KIND_BYTES:
        return put_python_bytes(out, value->as.bytes);
    case TEARS_KIND_UUID:
        tears_uuid_text(value->as.uuid, text);
        return t3_buf_put(out, tears_str_n(text, 36));
    case TEARS_KIND_TIMESTAMP: {
        const bool naive = (value->flags & T3_VALUE_NAIVE) != 0;
        const size_t len = t3_timestamp_text(value->as.integer, ' ', naive, text);
        return t3_buf_put(out, tears_str_n(text, len));
    }
    case TEARS_KIND_VECTOR:
        return t3_vector_put(out, value->as.vector);
    default:
        return t3_buf_put(out, value->as.bytes);
    }
}
