/*
 * test_coerce.c -- values that a column takes, those it refuses, and a person's text.
 */
#include "schema/coerce.h"

#include "base/str.h"
#include "unit/schema/tables.h"

struct fixture {
    struct tears_schema *schema;
    struct t3_arena arena;
    struct tears_error error;
    struct tears_value value;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    memset(&fixture, 0, sizeof fixture);
    fixture.schema = make_notes(1);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    t3_arena_done(&fixture->arena);
    tears_schema_free(fixture->schema);
    return 0;
}

static tears_status coerce(struct fixture *fixture, uint32_t column, struct tears_value in)
{
    return t3_value_coerce(fixture->schema, column, &in, true, &fixture->arena, &fixture->value,
                           &fixture->error);
}

static tears_status parse(struct fixture *fixture, uint32_t column, const char *text)
{
    return t3_value_from_text(fixture->schema, column, tears_str_c(text), &fixture->arena,
                              &fixture->value, &fixture->error);
}

static void numbers_become_decimals_exactly(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(coerce(fixture, NOTE_PRICE, tears_int(INT64_MIN)), TEARS_OK);
    assert_int_equal(fixture->value.kind, TEARS_KIND_DECIMAL);
    assert_true(t3_str_is(fixture->value.as.bytes, "-9223372036854775808"));
    assert_int_equal(coerce(fixture, NOTE_PRICE, tears_text(TEARS_STR("12.3400"))), TEARS_OK);
    assert_true(t3_str_is(fixture->value.as.bytes, "12.3400"));
    assert_int_equal(coerce(fixture, NOTE_PRICE, tears_double(0.1)), TEARS_OK);
    assert_true(t3_str_is(fixture->value.as.bytes, "0.1"));
    assert_int_equal(coerce(fixture, NOTE_PRICE, tears_text(TEARS_STR("12,5"))), TEARS_INVALID);
    assert_non_null(strstr(fixture->error.message, "'notes'"));
    assert_non_null(strstr(fixture->error.message, "'price'"));
    assert_non_null(strstr(fixture->error.message, "'12,5'"));
}

static void bounds_are_kept(void **state)
{
    struct fixture *fixture = *state;
    const double three[] = {1, 2, 3};
    const double not_finite[] = {1, 1e308 * 10};
    assert_int_equal(coerce(fixture, NOTE_COUNT, tears_int(INT32_MAX)), TEARS_OK);
    assert_int_equal(coerce(fixture, NOTE_COUNT, tears_int((int64_t)INT32_MAX + 1)), TEARS_INVALID);
    assert_non_null(strstr(fixture->error.message, "2147483648"));
    assert_int_equal(coerce(fixture, NOTE_MOOD, tears_text(TEARS_STR("calm"))), TEARS_OK);
    assert_int_equal(coerce(fixture, NOTE_MOOD, tears_text(TEARS_STR("angry"))), TEARS_INVALID);
    assert_int_equal(coerce(fixture, NOTE_EMBEDDING, tears_vector(three, 2)), TEARS_OK);
    assert_int_equal(coerce(fixture, NOTE_EMBEDDING, tears_vector(three, 3)), TEARS_INVALID);
    assert_int_equal(coerce(fixture, NOTE_EMBEDDING, tears_vector(not_finite, 2)), TEARS_INVALID);
    assert_int_equal(coerce(fixture, NOTE_TITLE, tears_text(TEARS_STR("\xff"))), TEARS_INVALID);
    assert_int_equal(coerce(fixture, NOTE_BODY, tears_json(TEARS_STR("{\"a\":}"))), TEARS_INVALID);
    assert_int_equal(coerce(fixture, NOTE_BODY, tears_text(TEARS_STR("{\"a\":1e400}"))), TEARS_OK);
    assert_int_equal(fixture->value.kind, TEARS_KIND_JSON);
    assert_int_equal(coerce(fixture, NOTE_DONE, tears_int(1)), TEARS_INVALID);
    assert_int_equal(coerce(fixture, NOTE_DONE, tears_null()), TEARS_OK);
}

static void null_passes_only_where_it_may(void **state)
{
    struct fixture *fixture = *state;
    const struct tears_value null = tears_null();
    assert_int_equal(t3_value_coerce(fixture->schema, NOTE_ID, &null, false, &fixture->arena,
                                     &fixture->value, &fixture->error),
                     TEARS_INVALID);
    assert_non_null(strstr(fixture->error.message, "NULL"));
}

static void people_write_text(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(parse(fixture, NOTE_DONE, "YES"), TEARS_OK);
    assert_true(fixture->value.as.boolean);
    assert_int_equal(parse(fixture, NOTE_DONE, "0"), TEARS_OK);
    assert_false(fixture->value.as.boolean);
    assert_int_equal(parse(fixture, NOTE_DONE, "maybe"), TEARS_INVALID);
    assert_int_equal(parse(fixture, NOTE_COUNT, "-42"), TEARS_OK);
    assert_int_equal(fixture->value.as.integer, -42);
    assert_int_equal(parse(fixture, NOTE_COUNT, "4.2"), TEARS_INVALID);
    assert_int_equal(parse(fixture, NOTE_RAW, "\\x00ff"), TEARS_OK);
    assert_int_equal(fixture->value.as.bytes.len, 2);
    assert_memory_equal(fixture->value.as.bytes.ptr, "\x00\xff", 2);
    assert_int_equal(parse(fixture, NOTE_RAW, "\\x0"), TEARS_INVALID);
    assert_int_equal(parse(fixture, NOTE_EMBEDDING, "[1,2.5]"), TEARS_OK);
    assert_true(fixture->value.as.vector.ptr[1] == 2.5);
    assert_int_equal(parse(fixture, NOTE_CREATED, "2026-01-31T12:00:00Z"), TEARS_OK);
    assert_int_equal(fixture->value.as.integer, INT64_C(1769860800000000));
    assert_int_equal(parse(fixture, NOTE_CREATED, "yesterday"), TEARS_INVALID);
}

static void inserts_need_their_columns(void **state)
{
    struct fixture *fixture = *state;
    const struct t3_cell cells[] = {{.column = NOTE_ID}, {.column = NOTE_PART}};
    /* `done` has a default, `date_created` is stamped, `row_version` is the database's, the rest
     * may be NULL */
    assert_int_equal(t3_schema_check_insert(fixture->schema, cells, 2, &fixture->error), TEARS_OK);
    assert_int_equal(t3_schema_check_insert(fixture->schema, cells, 1, &fixture->error),
                     TEARS_INVALID);
    assert_non_null(strstr(fixture->error.message, "required column 'part' is missing"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(numbers_become_decimals_exactly, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bounds_are_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(null_passes_only_where_it_may, set_up, tear_down),
        cmocka_unit_test_setup_teardown(people_write_text, set_up, tear_down),
        cmocka_unit_test_setup_teardown(inserts_need_their_columns, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
