/*
 * test_page.c -- cursors of a table's pages: every kind survives, foreign ones are refused.
 */
#include "schema/page.h"

#include "base/str.h"
#include "unit/schema/tables.h"

static void every_kind_survives_a_cursor(void **state)
{
    (void)state;
    static const uint32_t columns[] = {NOTE_ID,        NOTE_TITLE, NOTE_PRICE,
                                       NOTE_BODY,      NOTE_RAW,   NOTE_COUNT,
                                       NOTE_EMBEDDING, NOTE_DONE,  NOTE_CREATED};
    const struct t3_order order = {columns, sizeof columns / sizeof columns[0]};
    const double numbers[] = {1, 2.5};
    const struct tears_value values[] = {
        tears_int(INT64_MIN),
        tears_text(TEARS_STR("\xf0\x9f\x99\x82\n\"")),
        tears_decimal(TEARS_STR("12.3400")),
        tears_json(TEARS_STR("{\"a\":[1,null]}")),
        tears_bytes(TEARS_STR("\x00\xff")),
        tears_null(),
        tears_vector(numbers, 2),
        tears_bool(true),
        tears_timestamp_us(INT64_C(1769860800000001)),
    };
    struct tears_schema *schema = make_notes(1);
    struct t3_arena arena = {0};
    T3_AUTO(t3_buf_done) struct t3_buf token = {0};
    struct tears_value *read = NULL;
    struct tears_error error = {0};
    assert_int_equal(t3_cursor_encode(values, order.count, &token), TEARS_OK);
    assert_int_equal(
        t3_cursor_decode_for(schema, &order, t3_buf_str(&token), &arena, &read, &error), TEARS_OK);
    for (uint32_t i = 0; i < order.count; i++)
        assert_true(tears_value_equal(&values[i], &read[i]));
    t3_arena_done(&arena);
    tears_schema_free(schema);
}

static void foreign_cursors_are_refused(void **state)
{
    (void)state;
    static const uint32_t columns[] = {NOTE_COUNT, NOTE_ID};
    static const char *const tokens[] = {
        "",
        "!!!!",
        "W10", /* not base64 */
        "W10=",
        "WzFd",                 /* [] and [1]: too few */
        "WzEsMiwzXQ==",         /* [1,2,3] */
        "WyJhIiwyXQ==",         /* ["a",2]: no integer */
        "WzIxNDc0ODM2NDgsMV0=", /* [2147483648,1]: out of range */
        "W1sxXSwyXQ==",         /* [[1],2] */
        "eyJhIjoxfQ==",         /* {"a":1} */
        "Wy0xLDJdWw==",         /* something after the array */
    };
    const struct t3_order order = {columns, 2};
    struct tears_schema *schema = make_notes(1);
    struct t3_arena arena = {0};
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        struct tears_value *read = NULL;
        struct tears_error error = {0};
        assert_int_equal(
            t3_cursor_decode_for(schema, &order, tears_str_c(tokens[i]), &arena, &read, &error),
            TEARS_INVALID);
        assert_int_not_equal(error.message[0], '\0');
        assert_null(read);
    }
    t3_arena_done(&arena);
    tears_schema_free(schema);
}

static void the_last_page_has_no_successor(void **state)
{
    (void)state;
    bool more = true;
    assert_int_equal(t3_page_rows(5, 5, &more), 5);
    assert_false(more);
    assert_int_equal(t3_page_rows(6, 5, &more), 5);
    assert_true(more);
    assert_int_equal(t3_page_rows(1, 0, &more), 0);
    assert_false(more);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_survives_a_cursor),
        cmocka_unit_test(foreign_cursors_are_refused),
        cmocka_unit_test(the_last_page_has_no_successor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
