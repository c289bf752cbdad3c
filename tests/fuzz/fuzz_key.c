/*
 * fuzz_key.c -- any bytes as key values: the L2 text is always a valid key, and equal keys have
 * equal texts.
 *
 * The first byte chooses how many values and of which kinds; the rest is cut into them.
 */
#include "base/str.h"
#include "schema/key.h"
#include "schema/names.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* The next value; its kind comes from its first byte. */
static struct tears_value next_value(struct tears_str bytes)
{
    struct tears_value value = tears_int(0);
    const struct tears_str rest = t3_str_from(bytes, 1);
    const size_t number_bytes =
        rest.len < sizeof value.as.integer ? rest.len : sizeof value.as.integer;
    if (bytes.len == 0 || bytes.ptr[0] % 4 == 0)
        return t3_str_is_utf8(rest) ? tears_text(rest) : tears_bytes(rest);
    if (number_bytes > 0)
        memcpy(&value.as.integer, rest.ptr, number_bytes);
    if (bytes.ptr[0] % 4 == 1)
        return value;
    if (bytes.ptr[0] % 4 == 2)
        return tears_timestamp_us(value.as.integer);
    return tears_bytes(rest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct tears_value values[3];
    const size_t count = 1 + data[0] % 3;
    const struct tears_str all = tears_str_n((const char *)data + 1, size - 1);
    for (size_t i = 0; i < count; i++) {
        const size_t from = all.len * i / count;
        values[i] = next_value(tears_str_n(all.ptr + from, all.len * (i + 1) / count - from));
    }
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    T3_AUTO(t3_buf_done) struct t3_buf again = {0};
    const struct t3_key key = {.values = values, .count = (uint32_t)count};
    struct t3_key copy;
    check(t3_key_copy(&key, &arena, &copy) == TEARS_OK);
    check(t3_key_equal(&key, &copy));
    const tears_status status = t3_key_text(TEARS_STR("t"), values, count, &text);
    check(status == t3_key_text(TEARS_STR("t"), copy.values, count, &again));
    if (status == TEARS_OK) {
        check(t3_kv_key_is_valid(t3_buf_str(&text)));
        check(t3_str_equal(t3_buf_str(&text), t3_buf_str(&again)));
    }
    return 0;
}
