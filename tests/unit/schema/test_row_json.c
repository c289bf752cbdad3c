/*
 * test_row_json.c -- the row codec as programs see it: Python's text, there and back.
 */
#include "base/alloc.h"
#include "base/macros.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <tears/row_json.h>

static struct tears_error error;

/* The form of Python's json.dumps; numbers inside JSON values keep their text (2.50). */
static const char plain[] =
    "{\"id\": \"0192f1c0-0000-7000-8000-000000000001\", \"name\": \"\\u00e9\\\"\", \"n\": -7, "
    "\"price\": \"1E-8\", \"at\": \"2026-06-03T12:00:00.500000+00:00\", \"raw\": \"00ff\", "
    "\"tags\": {\"a\": [1, 2.50]}, \"gone\": null, \"ok\": true, \"ratio\": 0.1}";

static size_t make_fields(struct tears_field fields[10])
{
    uint8_t id[16];
    assert_int_equal(tears_uuid_parse(TEARS_STR("0192f1c0-0000-7000-8000-000000000001"), id),
                     TEARS_OK);
    fields[0] = tears_field_of(TEARS_STR("id"), tears_uuid(id));
    fields[1] = tears_field_of(TEARS_STR("name"), tears_text(TEARS_STR("\xc3\xa9\"")));
    fields[2] = tears_field_of(TEARS_STR("n"), tears_int(-7));
    fields[3] = tears_field_of(TEARS_STR("price"), tears_decimal(TEARS_STR("1E-8")));
    fields[4] = tears_field_of(TEARS_STR("at"), tears_timestamp_us(1780488000500000));
    fields[5] = tears_field_of(TEARS_STR("raw"), tears_bytes(TEARS_STR("\0\xff")));
    fields[6] = tears_field_of(TEARS_STR("tags"), tears_json(TEARS_STR("{\"a\": [1, 2.50]}")));
    fields[7] = tears_field_of(TEARS_STR("gone"), tears_null());
    fields[8] = tears_field_of(TEARS_STR("ok"), tears_bool(true));
    fields[9] = tears_field_of(TEARS_STR("ratio"), tears_double(0.1));
    return 10;
}

static void rows_are_written_as_python_writes_them(void **state)
{
    (void)state;
    struct tears_field fields[10];
    struct tears_owned_text text = TEARS_OWNED_TEXT_INIT;
    const size_t count = make_fields(fields);
    assert_int_equal(tears_row_to_json(fields, count, TEARS_BYTES_HEX, &text, &error), TEARS_OK);
    assert_string_equal(text.ptr, plain);
    tears_owned_text_free(&text);
    assert_int_equal(tears_row_to_json(fields + 5, 1, TEARS_BYTES_BASE64, &text, &error), TEARS_OK);
    assert_string_equal(text.ptr, "{\"raw\": \"AP8=\"}");
    tears_owned_text_free(&text);
    assert_int_equal(tears_row_to_json(NULL, 0, TEARS_BYTES_HEX, &text, &error), TEARS_OK);
    assert_string_equal(text.ptr, "{}");
    tears_owned_text_free(&text);
}

static void expect_invalid(struct tears_str name, struct tears_value value)
{
    struct tears_owned_text text = TEARS_OWNED_TEXT_INIT;
    const struct tears_field fields[] = {tears_field_of(TEARS_STR("a"), tears_int(1)),
                                         tears_field_of(name, value)};
    assert_int_equal(tears_row_to_json(fields, 2, TEARS_BYTES_HEX, &text, &error), TEARS_INVALID);
    assert_null(text.ptr);
}

static void what_cannot_be_json_is_refused(void **state)
{
    (void)state;
    struct tears_value strange = tears_null();
    struct tears_owned_text text = TEARS_OWNED_TEXT_INIT;
    strange.kind = 99;
    expect_invalid(TEARS_STR("a"), tears_int(2));
    expect_invalid(TEARS_STR("b\xff"), tears_int(2));
    expect_invalid(TEARS_STR("b"), tears_text(TEARS_STR("\xff")));
    expect_invalid(TEARS_STR("b"), tears_decimal(TEARS_STR("1, \"x\": 2")));
    expect_invalid(TEARS_STR("b"), tears_json(TEARS_STR("1} ")));
    expect_invalid(TEARS_STR("b"), strange);
    assert_int_equal(tears_row_to_json(NULL, 0, 7, &text, &error), TEARS_MISUSE);
}

/* ---- reading ---- */

static tears_schema *make_schema(void)
{
    tears_schema *schema = NULL;
    const tears_status status = tears_schema_from_json(
        TEARS_STR("{\"name\": \"t\", \"columns\": ["
                  "{\"name\": \"id\", \"column_type\": \"uuid\", \"primary_key\": true},"
                  "{\"name\": \"name\", \"column_type\": \"text\"},"
                  "{\"name\": \"n\", \"column_type\": \"integer\"},"
                  "{\"name\": \"price\", \"column_type\": \"decimal\"},"
                  "{\"name\": \"at\", \"column_type\": \"timestamp\"},"
                  "{\"name\": \"raw\", \"column_type\": \"bytea\"},"
                  "{\"name\": \"tags\", \"column_type\": \"jsonb\"},"
                  "{\"name\": \"missing\", \"column_type\": \"text\"},"
                  "{\"name\": \"gone\", \"column_type\": \"text\"},"
                  "{\"name\": \"ok\", \"column_type\": \"boolean\"}]}"),
        &schema, &error);
    if (status != TEARS_OK)
        fail_msg("%s", error.message);
    return schema;
}

static tears_status compare(void *owner, const struct tears_field *found, size_t count)
{
    struct tears_field fields[10];
    unsigned *calls = owner;
    const size_t expected = make_fields(fields);
    assert_int_equal(count, expected);
    for (size_t i = 0; i + 1 < count; i++) {
        assert_memory_equal(found[i].name.ptr, fields[i].name.ptr, fields[i].name.len);
        if (!tears_value_equal(&found[i].value, &fields[i].value))
            fail_msg("%s differs", fields[i].name.ptr);
    }
    /* the last is no column: it passes as JSON */
    assert_int_equal(found[9].value.kind, TEARS_KIND_JSON);
    assert_memory_equal(found[9].value.as.bytes.ptr, "0.1", 3);
    (*calls)++;
    return TEARS_OK;
}

static tears_status say_full(void *owner, const struct tears_field *found, size_t count)
{
    (void)owner;
    (void)found;
    (void)count;
    return TEARS_LIMIT;
}

static void rows_are_read_by_their_schema(void **state)
{
    (void)state;
    unsigned calls = 0;
    tears_schema *schema = make_schema();
    const struct tears_row_sink sink = {compare, &calls};
    const struct tears_row_sink full = {say_full, NULL};
    assert_int_equal(tears_row_from_json(schema, tears_str_c(plain), &sink, &error), TEARS_OK);
    assert_int_equal(calls, 1);
    assert_int_equal(tears_row_from_json(schema, TEARS_STR("{}"), &full, &error), TEARS_LIMIT);
    assert_int_equal(tears_row_from_json(schema, TEARS_STR("{\"n\": "), &sink, &error),
                     TEARS_CORRUPT);
    assert_int_equal(tears_row_from_json(schema, TEARS_STR("[]"), &sink, &error), TEARS_CORRUPT);
    assert_int_equal(calls, 1);
    tears_schema_free(schema);
}

static void every_failing_allocation_is_told(void **state)
{
    (void)state;
    unsigned calls = 0;
    struct tears_field fields[10];
    const size_t count = make_fields(fields);
    tears_schema *schema = make_schema();
    const struct tears_row_sink sink = {compare, &calls};
    tears_status status = TEARS_NO_MEMORY;
    for (uint64_t nth = 1; status == TEARS_NO_MEMORY && nth < 50; nth++) {
        struct tears_owned_text text = TEARS_OWNED_TEXT_INIT;
        t3_alloc_fail_at(nth);
        status = tears_row_to_json(fields, count, TEARS_BYTES_HEX, &text, &error);
        if (status == TEARS_OK)
            status = tears_row_from_json(schema, tears_str_c(plain), &sink, &error);
        t3_alloc_fail_at(0);
        tears_owned_text_free(&text);
    }
    assert_int_equal(status, TEARS_OK);
    assert_int_equal(calls, 1);
    tears_schema_free(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_written_as_python_writes_them),
        cmocka_unit_test(what_cannot_be_json_is_refused),
        cmocka_unit_test(rows_are_read_by_their_schema),
        cmocka_unit_test(every_failing_allocation_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
