/*
 * test_key.c -- keys: what is accepted, equality and hashes, copies, L2 text.
 */
#include "schema/key.h"

#include "base/limits.h"
#include "base/str.h"
#include "unit/schema/tables.h"

static void a_plain_key_is_used_as_it_is(void **state)
{
    (void)state;
    struct tears_schema *schema = make_notes(2);
    struct t3_arena arena = {0};
    const struct tears_value values[] = {tears_int(7), tears_text(TEARS_STR("a"))};
    struct tears_value storage[2];
    struct t3_key key;
    struct tears_error error;
    assert_int_equal(t3_key_init(schema, values, 2, storage, &arena, &key, &error), TEARS_OK);
    assert_ptr_equal(key.values, values);
    assert_int_equal(arena.bytes, 0);
    tears_schema_free(schema);
}

static void wrong_keys_are_refused(void **state)
{
    (void)state;
    static char long_text[T3_KEY_BYTES_MAX + 1];
    memset(long_text, 'a', sizeof long_text);
    struct tears_schema *schema = make_notes(2);
    struct t3_arena arena = {0};
    struct tears_value storage[2];
    struct t3_key key;
    struct tears_error error;
    struct tears_value values[] = {tears_int(7), tears_text(TEARS_STR("a"))};
    assert_int_equal(t3_key_init(schema, values, 1, storage, &arena, &key, &error), TEARS_INVALID);
    assert_non_null(strstr(error.message, "arity mismatch"));
    values[0] = tears_null();
    assert_int_equal(t3_key_init(schema, values, 2, storage, &arena, &key, &error), TEARS_INVALID);
    assert_non_null(strstr(error.message, "'id'"));
    values[0] = tears_bool(true);
    assert_int_equal(t3_key_init(schema, values, 2, storage, &arena, &key, &error), TEARS_INVALID);
    values[0] = tears_int(7);
    values[1] = tears_text(TEARS_STR("\xc3"));
    assert_int_equal(t3_key_init(schema, values, 2, storage, &arena, &key, &error), TEARS_INVALID);
    assert_non_null(strstr(error.message, "UTF-8"));
    values[1] = tears_text(tears_str_n(long_text, sizeof long_text));
    assert_int_equal(t3_key_init(schema, values, 2, storage, &arena, &key, &error), TEARS_LIMIT);
    t3_arena_done(&arena);
    tears_schema_free(schema);
}

/* A key of one column of the type, of the value. */
static tears_status init_one(uint64_t type, struct tears_value value, struct tears_value *storage,
                             struct t3_arena *arena, struct t3_key *key_out)
{
    static const struct tears_str name[] = {{"k", 1}};
    const struct tears_column_def column = {
        .name = name[0], .type = type, .precision = 20, .scale = 2, .has_scale = true};
    struct tears_column_def plain = column;
    if (type != TEARS_TYPE_NUMERIC) {
        plain.precision = 0;
        plain.scale = 0;
        plain.has_scale = false;
    }
    const struct tears_schema_def def = {.name = TEARS_STR("t"),
                                         .columns = &plain,
                                         .column_count = 1,
                                         .primary_key = name,
                                         .primary_key_count = 1};
    struct tears_schema *schema = make_schema(&def);
    struct tears_error error;
    const tears_status status = t3_key_init(schema, &value, 1, storage, arena, key_out, &error);
    if (status == TEARS_OK && key_out->values != storage) {
        storage[0] = key_out->values[0]; /* the caller's value is a local of this function */
        key_out->values = storage;
    }
    tears_schema_free(schema);
    return status;
}

static void text_becomes_the_columns_kind(void **state)
{
    (void)state;
    struct t3_arena arena = {0};
    struct tears_value a;
    struct tears_value b;
    struct t3_key text_key;
    struct t3_key uuid_key;
    uint8_t uuid[16];
    const struct tears_str text = TEARS_STR("0190A1B2-C3D4-7E5F-8A6B-0123456789AB");
    assert_int_equal(tears_uuid_parse(text, uuid), TEARS_OK);
    assert_int_equal(init_one(TEARS_TYPE_UUID, tears_text(text), &a, &arena, &text_key), TEARS_OK);
    assert_int_equal(init_one(TEARS_TYPE_UUID, tears_uuid(uuid), &b, &arena, &uuid_key), TEARS_OK);
    assert_true(t3_key_equal(&text_key, &uuid_key));
    assert_int_equal(init_one(TEARS_TYPE_INT, tears_int(INT64_C(1) << 31), &a, &arena, &text_key),
                     TEARS_INVALID);
    t3_arena_done(&arena);
}

static void minus_zero_is_zero(void **state)
{
    (void)state;
    struct t3_arena arena = {0};
    struct tears_value a;
    struct tears_value b;
    struct t3_key minus;
    struct t3_key plus;
    assert_int_equal(init_one(TEARS_TYPE_DOUBLE, tears_double(-0.0), &a, &arena, &minus), TEARS_OK);
    assert_int_equal(init_one(TEARS_TYPE_DOUBLE, tears_double(0.0), &b, &arena, &plus), TEARS_OK);
    assert_true(t3_key_equal(&minus, &plus));
    t3_arena_done(&arena);
}

static void hashes_of_neighbours_differ(void **state)
{
    (void)state;
    enum { KEYS = 4096 };
    static uint64_t buckets[KEYS];
    struct t3_arena arena = {0};
    memset(buckets, 0, sizeof buckets);
    unsigned collisions = 0;
    struct tears_schema *schema = make_notes(1);
    for (int64_t i = 0; i < KEYS; i++) {
        const struct tears_value value = tears_int(i);
        struct tears_value storage;
        struct t3_key key;
        assert_int_equal(t3_key_init(schema, &value, 1, &storage, &arena, &key, NULL), TEARS_OK);
        uint64_t *bucket = &buckets[key.hash % KEYS];
        collisions += *bucket != 0;
        *bucket = 1;
    }
    /* thrown at random, 4096 keys meet in 4096 * 1/e = 1507 buckets */
    assert_in_range(collisions, 0, 1700);
    tears_schema_free(schema);
}

static void a_row_knows_its_key(void **state)
{
    (void)state;
    struct tears_schema *schema = make_notes(2);
    struct t3_arena arena = {0};
    struct tears_value values[NOTE_COLUMNS];
    memset(values, 0, sizeof values);
    values[NOTE_ID] = tears_int(7);
    values[NOTE_PART] = tears_text(TEARS_STR("p"));
    struct t3_row *row = NULL;
    assert_int_equal(t3_row_new(&arena, &schema->layout, values, &row), TEARS_OK);
    struct tears_value storage[2];
    struct tears_value other_storage[2];
    struct t3_key of_row;
    struct t3_key asked;
    t3_key_of_row(schema, row, storage, &of_row);
    assert_int_equal(t3_key_init(schema, values, 2, other_storage, &arena, &asked, NULL), TEARS_OK);
    assert_true(t3_key_equal(&of_row, &asked));
    assert_true(t3_key_matches_row(schema, &asked, row));
    values[NOTE_PART] = tears_text(TEARS_STR("q"));
    assert_int_equal(t3_key_init(schema, values, 2, other_storage, &arena, &asked, NULL), TEARS_OK);
    assert_false(t3_key_matches_row(schema, &asked, row));
    assert_false(t3_key_equal(&of_row, &asked));
    t3_arena_done(&arena);
    tears_schema_free(schema);
}

static void a_copy_outlives_its_source(void **state)
{
    (void)state;
    struct t3_arena arena = {0};
    char text[] = "abc";
    double numbers[] = {1, 2};
    const struct tears_value values[] = {tears_text(tears_str_c(text)), tears_vector(numbers, 2)};
    const struct t3_key key = {.hash = 5, .values = values, .count = 2};
    struct t3_key copy;
    assert_int_equal(t3_key_copy(&key, &arena, &copy), TEARS_OK);
    assert_true(t3_key_equal(&key, &copy));
    text[0] = 'x';
    numbers[0] = 9;
    assert_true(t3_str_is(copy.values[0].as.bytes, "abc"));
    assert_true(copy.values[1].as.vector.ptr[0] == 1);
    t3_arena_done(&arena);
}

static void bodies_that_no_subject_can_hold_are_hashed(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        bool raw;
    } cases[] = {{"a.b", true}, {".a", false}, {"a.", false},  {"a..b", false},
                 {"", false},   {".", false},  {"a b", false}, {"a/b=c-d_e", true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        T3_AUTO(t3_buf_done) struct t3_buf text = {0};
        const struct tears_value value = tears_text(tears_str_c(cases[i].value));
        assert_int_equal(t3_key_text(TEARS_STR("t"), &value, 1, &text), TEARS_OK);
        if (cases[i].raw)
            assert_string_equal(text.ptr + 2, cases[i].value);
        else
            assert_int_equal(text.len, 2 + 64);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_key_is_used_as_it_is),
        cmocka_unit_test(wrong_keys_are_refused),
        cmocka_unit_test(text_becomes_the_columns_kind),
        cmocka_unit_test(minus_zero_is_zero),
        cmocka_unit_test(hashes_of_neighbours_differ),
        cmocka_unit_test(a_row_knows_its_key),
        cmocka_unit_test(a_copy_outlives_its_source),
        cmocka_unit_test(bodies_that_no_subject_can_hold_are_hashed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
