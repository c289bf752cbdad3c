/*
 * fuzz_cursor.c -- any bytes as a page cursor, as its token and as the JSON inside one.
 *
 * What is decoded must encode again, and that token must decode to the same values.
 */
#include "base/str.h"
#include "codec/text.h"
#include "schema/page.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* JSON and long integers come back as text: their kind is the one thing a cursor does not keep. */
static bool is_kept(const struct tears_value *value)
{
    return value->kind != TEARS_KIND_JSON && value->kind != TEARS_KIND_DECIMAL;
}

static void decode(struct tears_str token)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    T3_AUTO(t3_buf_done) struct t3_buf again = {0};
    struct tears_value *values = NULL;
    struct tears_value *kept = NULL;
    size_t count = 0;
    size_t kept_count = 0;
    struct tears_error error;
    if (t3_cursor_decode(token, &arena, &values, &count, &error) != TEARS_OK) {
        check(error.message[0] != '\0');
        return;
    }
    if (t3_cursor_encode(values, count, &again) != TEARS_OK)
        return; /* escapes made it longer than a cursor may be */
    check(t3_cursor_decode(t3_buf_str(&again), &arena, &kept, &kept_count, &error) == TEARS_OK);
    check(count == kept_count);
    for (size_t i = 0; i < count; i++)
        check(!is_kept(&values[i]) || tears_value_equal(&values[i], &kept[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct tears_str bytes = tears_str_n((const char *)data, size);
    T3_AUTO(t3_buf_done) struct t3_buf token = {0};
    decode(bytes);
    if (t3_base64_put(&token, bytes, true) == TEARS_OK)
        decode(t3_buf_str(&token));
    return 0;
}
