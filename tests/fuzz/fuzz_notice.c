/*
 * fuzz_notice.c -- any bytes as an invalidation message.
 *
 * What must hold: nothing is read outside the input; a message that is understood is understood the
 * same after it was written again.
 */
#include "base/str.h"
#include "codec/notice.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void write_again(const struct t3_notice *notice, struct t3_arena *arena)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    struct tears_value *key = t3_arena_array(arena, notice->id_count, sizeof *key);
    check(key != NULL);
    for (size_t i = 0; i < notice->id_count; i++)
        key[i] = tears_text(notice->ids[i]);
    check(t3_notice_encode(notice->table, key, notice->id_count, notice->origin, &text) ==
          TEARS_OK);
    struct t3_notice again;
    check(t3_notice_decode(t3_buf_str(&text), arena, &again, NULL) == TEARS_OK);
    check(t3_str_equal(again.table, notice->table) && again.id_count == notice->id_count);
    check(t3_str_equal(again.origin, notice->origin));
    check((again.origin.ptr == NULL) == (notice->origin.ptr == NULL));
    for (size_t i = 0; i < notice->id_count; i++)
        check(t3_str_equal(again.ids[i], notice->ids[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct t3_notice notice;
    struct tears_error error;
    const tears_status status =
        t3_notice_decode(tears_str_n((const char *)data, size), &arena, &notice, &error);
    check(status == TEARS_OK || status == TEARS_INVALID);
    if (status == TEARS_OK)
        write_again(&notice, &arena);
    else
        check(error.message[0] != '\0' && t3_str_is_utf8(tears_str_c(error.message)));
    return 0;
}
