/*
 * test_key_text.c -- from L2's text of a key back to the keys, by hand and by chance.
 *
 * Begin at: main(), at the end.  T3_TEST_SEED sets the seed of the random part, which it prints.
 */
#include "schema/key_text.h"

#include "base/alloc.h"
#include "base/str.h"
#include "unit/schema/tables.h"

#include <stdio.h>

enum { COLUMNS_MAX = 6, FOUND_MAX = 130 };

/* ---- tables and keys ---- */

/* A table of key columns c0, c1, ... of these types. */
static struct tears_schema *table_of(const uint64_t *types, size_t count)
{
    static const struct tears_str names[COLUMNS_MAX] = {{"c0", 2}, {"c1", 2}, {"c2", 2},
                                                        {"c3", 2}, {"c4", 2}, {"c5", 2}};
    static const struct tears_str labels[] = {{"red", 3}, {"dark_blue", 9}, {"not safe", 8}};
    struct tears_column_def columns[COLUMNS_MAX];
    assert_true(count <= COLUMNS_MAX);
    memset(columns, 0, sizeof columns);
    for (size_t i = 0; i < count; i++) {
        columns[i].name = names[i];
        columns[i].type = types[i];
        if (types[i] == TEARS_TYPE_ENUM) {
            columns[i].enum_values = labels;
            columns[i].enum_value_count = 3;
            columns[i].enum_name = TEARS_STR("colour");
        }
        if (types[i] == TEARS_TYPE_NUMERIC) {
            columns[i].precision = 40;
            columns[i].scale = 10;
            columns[i].has_scale = true;
        }
    }
    const struct tears_schema_def def = {.name = TEARS_STR("things"),
                                         .columns = columns,
                                         .column_count = count,
                                         .primary_key = names,
                                         .primary_key_count = count};
    return make_schema(&def);
}

struct found {
    struct t3_key keys[FOUND_MAX];
    size_t count;
    struct t3_arena arena;
};

static void keep(void *owner, const struct t3_key *key)
{
    struct found *found = owner;
    assert_true(found->count < FOUND_MAX);
    assert_int_equal(t3_key_copy(key, &found->arena, &found->keys[found->count]), TEARS_OK);
    found->count++;
}

static tears_status find(const struct tears_schema *schema, struct tears_str body,
                         struct found *found)
{
    found->count = 0;
    return t3_key_from_text(schema, body, keep, found);
}

static bool has(const struct found *found, const struct t3_key *key)
{
    for (size_t i = 0; i < found->count; i++)
        if (t3_key_equal(&found->keys[i], key))
            return true;
    return false;
}

/* The number of keys that the body of a table of these types may stand for; all values of the only one go to `values_out`. */
static size_t read_body(const uint64_t *types, size_t count, const char *body,
                        struct tears_value *value_out)
{
    struct tears_schema *schema = table_of(types, count);
    struct found found = {.count = 0};
    assert_int_equal(find(schema, tears_str_c(body), &found), TEARS_OK);
    const size_t keys = found.count;
    if (keys > 0 && value_out != NULL) {
        assert_int_equal(found.keys[0].count, count);
        for (size_t i = 0; i < count; i++)
            value_out[i] = found.keys[0].values[i];
    }
    t3_arena_done(&found.arena); /* texts are gone: only for values without */
    tears_schema_free(schema);
    return keys;
}

static size_t keys_of_one(uint64_t type, const char *body)
{
    return read_body(&type, 1, body, NULL);
}

static tears_status status_of(const uint64_t *types, size_t count, const char *body)
{
    struct tears_schema *schema = table_of(types, count);
    struct found found = {.count = 0};
    const tears_status status = find(schema, tears_str_c(body), &found);
    assert_true(status == TEARS_OK || found.count == 0);
    t3_arena_done(&found.arena);
    tears_schema_free(schema);
    return status;
}

/* ---- one column ---- */

static void a_uuid_is_itself(void **state)
{
    (void)state;
    const uint64_t type = TEARS_TYPE_UUID;
    struct tears_value value;
    uint8_t uuid[16];
    assert_int_equal(tears_uuid_parse(TEARS_STR("6f1f9a50-13e7-4b1c-9d8e-0123456789ab"), uuid),
                     TEARS_OK);
    assert_int_equal(read_body(&type, 1, "6f1f9a50-13e7-4b1c-9d8e-0123456789ab", &value), 1);
    assert_memory_equal(value.as.uuid, uuid, 16);
    /* No key is written so, whatever else reads it. */
    assert_int_equal(keys_of_one(type, "6F1F9A50-13E7-4B1C-9D8E-0123456789AB"), 0);
    assert_int_equal(keys_of_one(type, "6f1f9a5013e74b1c9d8e0123456789ab"), 0);
    assert_int_equal(keys_of_one(type, "6f1f9a50"), 0);
}

static void integers_are_read_as_they_are_written(void **state)
{
    (void)state;
    const uint64_t type = TEARS_TYPE_BIGINT;
    struct tears_value value;
    assert_int_equal(read_body(&type, 1, "-9223372036854775808", &value), 1);
    assert_true(value.as.integer == INT64_MIN);
    assert_int_equal(keys_of_one(type, "9223372036854775808"), 0);
    assert_int_equal(keys_of_one(type, "007"), 0);
    assert_int_equal(keys_of_one(type, "-0"), 0);
    assert_int_equal(keys_of_one(type, ""), 0);
    assert_int_equal(keys_of_one(type, "7_8"), 0);
    assert_int_equal(keys_of_one(TEARS_TYPE_INT, "2147483647"), 1);
    assert_int_equal(keys_of_one(TEARS_TYPE_INT, "2147483648"), 0);
}

static void booleans_are_pythons(void **state)
{
    (void)state;
    const uint64_t type = TEARS_TYPE_BOOL;
    struct tears_value value;
    assert_int_equal(read_body(&type, 1, "True", &value), 1);
    assert_true(value.as.boolean);
    assert_int_equal(read_body(&type, 1, "False", &value), 1);
    assert_false(value.as.boolean);
    assert_int_equal(keys_of_one(type, "true"), 0);
    assert_int_equal(keys_of_one(type, "1"), 0);
}

static void text_may_have_underscores_and_dots(void **state)
{
    (void)state;
    const uint64_t type = TEARS_TYPE_STRING;
    assert_int_equal(keys_of_one(type, "a_b_c.d"), 1);
    assert_int_equal(keys_of_one(type, "___"), 1);
    /* What no key text can be: its key is hashed. */
    assert_int_equal(keys_of_one(type, ".a"), 0);
    assert_int_equal(keys_of_one(type, "a..b"), 0);
    assert_int_equal(keys_of_one(type, "a b"), 0);
    assert_int_equal(keys_of_one(type, ""), 0);
}

static void an_enum_has_its_labels(void **state)
{
    (void)state;
    assert_int_equal(keys_of_one(TEARS_TYPE_ENUM, "dark_blue"), 1);
    assert_int_equal(keys_of_one(TEARS_TYPE_ENUM, "blue"), 0);
}

/* Python writes 1E-8 where PostgreSQL writes 0.00000001; a cached row may have it from either. */
static void a_decimal_is_given_as_python_and_as_the_database_write_it(void **state)
{
    (void)state;
    const uint64_t type = TEARS_TYPE_NUMERIC;
    struct tears_schema *schema = table_of(&type, 1);
    struct found found = {.count = 0};
    static const struct {
        const char *body;
        size_t count;
        const char *forms[2];
    } cases[] = {
        {"1.50", 1, {"1.50"}},
        {"-3", 1, {"-3"}},
        {"1E-8", 2, {"1E-8", "0.00000001"}},
        {"-1.25E-7", 2, {"-1.25E-7", "-0.000000125"}},
        {"0E-10", 2, {"0E-10", "0.0000000000"}},
        {"01.5", 0, {NULL}},
        {"1e-8", 0, {NULL}},
        {"0.00000001", 0, {NULL}},
    };
    for (size_t i = 0; i < T3_COUNT(cases); i++) {
        assert_int_equal(find(schema, tears_str_c(cases[i].body), &found), TEARS_OK);
        assert_int_equal(found.count, cases[i].count);
        for (size_t k = 0; k < found.count; k++)
            assert_string_equal(found.keys[k].values[0].as.bytes.ptr, cases[i].forms[k]);
    }
    t3_arena_done(&found.arena);
    tears_schema_free(schema);
}

static void times_and_bytes_are_hashed_and_so_come_with_ids(void **state)
{
    (void)state;
    static const uint64_t types[] = {TEARS_TYPE_TIMESTAMPTZ, TEARS_TYPE_BYTES};
    struct tears_schema *schema = table_of(types, 2);
    struct t3_arena arena = {0};
    struct t3_buf ids = {0};
    struct tears_error error;
    struct tears_value storage[2];
    struct t3_key key;
    struct t3_key back;
    const char raw[] = "a\0\t\n\r\\'\"\x7f\xff";
    const struct tears_value values[] = {tears_timestamp_us(1780488000123456),
                                         tears_bytes(tears_str_n(raw, sizeof raw - 1))};
    assert_int_equal(t3_key_init(schema, values, 2, storage, &arena, &key, &error), TEARS_OK);
    assert_int_equal(t3_key_put_ids_of_hashed(schema, &key, &ids), TEARS_OK);
    assert_string_equal(ids.ptr, "[\"2026-06-03 12:00:00.123456+00:00\","
                                 "\"b'a\\\\x00\\\\t\\\\n\\\\r\\\\\\\\\\\\'\\\"\\\\x7f\\\\xff'\"]");
    assert_int_equal(t3_key_from_ids(schema, t3_buf_str(&ids), &arena, &back), TEARS_OK);
    assert_true(t3_key_equal(&key, &back));
    t3_buf_done(&ids);
    t3_arena_done(&arena);
    tears_schema_free(schema);
}

/* ---- several columns ---- */

static void all_splits_of_texts_are_given(void **state)
{
    (void)state;
    static const uint64_t two[] = {TEARS_TYPE_STRING, TEARS_TYPE_STRING};
    static const uint64_t three[] = {TEARS_TYPE_STRING, TEARS_TYPE_STRING, TEARS_TYPE_STRING};
    assert_int_equal(read_body(two, 2, "a_b_c", NULL), 2);
    assert_int_equal(read_body(two, 2, "a_b", NULL), 1);
    assert_int_equal(read_body(two, 2, "ab", NULL), 0);
    assert_int_equal(read_body(three, 3, "a_b_c_d_e", NULL), 6);
    assert_int_equal(read_body(three, 3, "a__b", NULL), 1); /* the one in the middle is empty */
    assert_int_equal(read_body(two, 2, "_", NULL), 1);
}

static void only_texts_take_the_underscores(void **state)
{
    (void)state;
    static const uint64_t types[] = {TEARS_TYPE_BIGINT, TEARS_TYPE_STRING, TEARS_TYPE_BOOL};
    static const uint64_t numbers[] = {TEARS_TYPE_BIGINT, TEARS_TYPE_BIGINT};
    assert_int_equal(read_body(types, 3, "7_a_b_c_True", NULL), 1);
    assert_int_equal(read_body(types, 3, "7__False", NULL), 1);
    assert_int_equal(read_body(types, 3, "x_a_True", NULL), 0);
    assert_int_equal(read_body(types, 3, "7_a_true", NULL), 0);
    struct tears_value values[2];
    assert_int_equal(read_body(numbers, 2, "-7_8", values), 1);
    assert_true(values[0].as.integer == -7 && values[1].as.integer == 8);
    assert_int_equal(read_body(numbers, 2, "7_8_9", NULL), 0);
}

static void a_type_leaves_only_the_splits_it_can_read(void **state)
{
    (void)state;
    static const uint64_t types[] = {TEARS_TYPE_STRING, TEARS_TYPE_BIGINT, TEARS_TYPE_STRING};
    assert_int_equal(read_body(types, 3, "a_1_b_2_c", NULL), 2);
    assert_int_equal(read_body(types, 3, "a_x_b", NULL), 0);
}

static void what_may_be_a_hash_or_too_many_is_unsupported(void **state)
{
    (void)state;
    static const char hash[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    static const uint64_t text[] = {TEARS_TYPE_STRING};
    static const uint64_t two[] = {TEARS_TYPE_STRING, TEARS_TYPE_STRING};
    char body[80];
    assert_int_equal(status_of(text, 1, hash), TEARS_UNSUPPORTED);
    assert_int_equal(keys_of_one(TEARS_TYPE_STRING, hash + 1), 1);
    memset(body, '_', sizeof body);
    body[64] = '\0'; /* 64 ways to choose the separator */
    assert_int_equal(read_body(two, 2, body, NULL), 64);
    body[64] = '_';
    body[65] = '\0';
    assert_int_equal(status_of(two, 2, body), TEARS_UNSUPPORTED);
    assert_int_equal(keys_of_one(TEARS_TYPE_STRING, body), 1);
}

static void ids_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    static const uint64_t types[] = {TEARS_TYPE_BIGINT, TEARS_TYPE_BYTES};
    static const char *const bad[] = {
        "",
        "null",
        "{}",
        "[",
        "[]",
        "[\"7\"]",
        "[\"7\",8]",
        "[\"7\",\"b''\"",
        "[\"7\",\"b''\",\"9\"]",
        "[\"x\",\"b''\"]",
        "[\"7\",\"b'\"]",
        "[\"7\",\"b'\\\\x4'\"]",
        "[\"7\",\"b'\\\\q'\"]",
        "[\"7\",\"b'a\\\"\"]",
        "[\"7\",\"zz\"]",
        "[\"7\",\"b''\"] x",
        "[\"7\",\"b'\\\\'\"]",
        "[null,\"b''\"]",
    };
    struct tears_schema *schema = table_of(types, 2);
    struct t3_arena arena = {0};
    struct t3_key key;
    for (size_t i = 0; i < T3_COUNT(bad); i++)
        assert_int_equal(t3_key_from_ids(schema, tears_str_c(bad[i]), &arena, &key), TEARS_INVALID);
    assert_int_equal(t3_key_from_ids(schema, TEARS_STR(" [ \"7\" , \"b''\" ] "), &arena, &key),
                     TEARS_OK);
    assert_int_equal(key.values[0].as.integer, 7);
    assert_int_equal(key.values[1].as.bytes.len, 0);
    t3_arena_done(&arena);
    tears_schema_free(schema);
}

static void ids_give_decimals_as_the_database_does(void **state)
{
    (void)state;
    static const char *const forms[][2] = {{"1E-8", "0.00000001"}, {"1.5E+3", "1500"},
                                           {"-2E+2", "-200"},      {"12.345E+2", "1234.5"},
                                           {"1.50", "1.50"},       {"1E-999999", "1E-999999"}};
    const uint64_t type = TEARS_TYPE_NUMERIC;
    struct tears_schema *schema = table_of(&type, 1);
    struct t3_arena arena = {0};
    struct t3_buf ids = {0};
    for (size_t i = 0; i < T3_COUNT(forms); i++) {
        struct t3_key key;
        t3_buf_clear(&ids);
        assert_int_equal(t3_buf_printf(&ids, "[\"%s\"]", forms[i][0]), TEARS_OK);
        assert_int_equal(t3_key_from_ids(schema, t3_buf_str(&ids), &arena, &key), TEARS_OK);
        const struct tears_value plain = tears_decimal(tears_str_c(forms[i][1]));
        assert_true(tears_value_equal(&key.values[0], &plain));
    }
    t3_buf_done(&ids);
    t3_arena_done(&arena);
    tears_schema_free(schema);
}

/* ---- chance ---- */

static uint64_t random_state;

static uint64_t below(uint64_t bound)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (random_state >> 16) % bound;
}

static struct tears_str random_text(struct t3_arena *arena, const char *alphabet, size_t len_max)
{
    const size_t len = below(len_max + 1);
    char *text = t3_arena_alloc(arena, len + 1);
    assert_non_null(text);
    for (size_t i = 0; i < len; i++)
        text[i] = alphabet[below(strlen(alphabet))];
    text[len] = '\0';
    return tears_str_n(text, len);
}

/* As PostgreSQL writes it: no exponent, no zero in front but one. */
static struct tears_str random_decimal(struct t3_arena *arena)
{
    char text[64];
    const size_t places = below(11);
    const uint64_t whole = below(3) == 0 ? below(100000) : 0;
    int len = snprintf(text, sizeof text, "%s%llu", whole > 0 && below(2) == 0 ? "-" : "",
                       (unsigned long long)whole);
    for (size_t i = 0; i < places; i++)
        len += snprintf(text + len, sizeof text - (size_t)len, "%s%c", i == 0 ? "." : "",
                        below(3) == 0 ? (char)('0' + below(10)) : '0');
    struct tears_str kept;
    assert_int_equal(t3_arena_str(arena, tears_str_n(text, (size_t)len), &kept), TEARS_OK);
    return kept;
}

static struct tears_value random_value(uint64_t type, struct t3_arena *arena)
{
    static const char *const labels[] = {"red", "dark_blue", "not safe"};
    uint8_t uuid[16];
    switch (type) {
    case TEARS_TYPE_UUID:
        for (size_t i = 0; i < sizeof uuid; i++)
            uuid[i] = (uint8_t)below(256);
        return tears_uuid(uuid);
    case TEARS_TYPE_STRING:
        if (below(50) == 0) /* as long as a hash, and alike */
            return tears_text(random_text(arena, "0123456789abcdef", 64));
        return tears_text(random_text(arena, below(8) == 0 ? "a_. \xc3" : "ab_1_.-/=", 12));
    case TEARS_TYPE_ENUM:
        return tears_text(tears_str_c(labels[below(3)]));
    case TEARS_TYPE_NUMERIC:
        return tears_decimal(random_decimal(arena));
    case TEARS_TYPE_INT:
        return tears_int((int32_t)(uint32_t)below(UINT32_MAX));
    case TEARS_TYPE_BIGINT:
        return tears_int((int64_t)(below(UINT64_MAX) << below(40)));
    case TEARS_TYPE_BOOL:
        return tears_bool(below(2) == 0);
    case TEARS_TYPE_DOUBLE:
        return tears_double((double)below(1000000) / (double)(1 + below(1000000000)));
    case TEARS_TYPE_TIMESTAMPTZ:
        return tears_timestamp_us(below(5) == 0 ? INT64_MAX : (int64_t)below(1) << below(50));
    default:
        return tears_bytes(random_text(arena, "ab\\'\"\x01\t", 10));
    }
}

/* Counts the splits one by one, by the words of the header. */
static size_t count_splits(const struct tears_schema *schema, uint32_t index, size_t extra)
{
    const bool is_text = schema->columns[schema->key[index]].kind == TEARS_KIND_TEXT;
    if (index + 1 == schema->key_count)
        return is_text || extra == 0;
    size_t splits = 0;
    for (size_t own = 0; own <= (is_text ? extra : 0); own++)
        splits += count_splits(schema, index + 1, extra - own);
    return splits;
}

static bool is_unclear(const struct tears_schema *schema, struct tears_str body)
{
    size_t underscores = 0;
    size_t hex = 0;
    for (size_t i = 0; i < body.len; i++) {
        underscores += body.ptr[i] == '_';
        hex += strchr("0123456789abcdef", body.ptr[i]) != NULL;
    }
    if (hex == 64 && body.len == 64)
        return true;
    return count_splits(schema, 0, underscores + 1 - schema->key_count) > 64;
}

static void check_key(const struct tears_schema *schema, const struct t3_key *key,
                      struct found *found, bool *unclear_out)
{
    struct t3_buf text = {0};
    struct t3_buf ids = {0};
    assert_int_equal(t3_key_put_l2(schema, key, &text), TEARS_OK);
    const struct tears_str body = t3_str_from(t3_buf_str(&text), schema->name.len + 1);
    *unclear_out = is_unclear(schema, body);
    const tears_status status = find(schema, body, found);
    assert_int_equal(status, *unclear_out ? TEARS_UNSUPPORTED : TEARS_OK);
    assert_int_equal(t3_key_put_ids_of_hashed(schema, key, &ids), TEARS_OK);
    assert_int_equal(ids.len > 0, *unclear_out);
    if (*unclear_out) {
        struct t3_key back;
        assert_int_equal(t3_key_from_ids(schema, t3_buf_str(&ids), &found->arena, &back), TEARS_OK);
        assert_true(t3_key_equal(&back, key));
    } else if (!has(found, key)) {
        fail_msg("%s: the key is not among %zu", text.ptr, found->count);
    }
    t3_buf_done(&text);
    t3_buf_done(&ids);
}

static void the_true_key_is_always_among_those_given(void **state)
{
    (void)state;
    static const uint64_t types[] = {TEARS_TYPE_UUID,        TEARS_TYPE_STRING,  TEARS_TYPE_STRING,
                                     TEARS_TYPE_ENUM,        TEARS_TYPE_NUMERIC, TEARS_TYPE_INT,
                                     TEARS_TYPE_BIGINT,      TEARS_TYPE_BOOL,    TEARS_TYPE_DOUBLE,
                                     TEARS_TYPE_TIMESTAMPTZ, TEARS_TYPE_BYTES};
    const char *seed = getenv("T3_TEST_SEED");
    random_state = seed != NULL ? strtoull(seed, NULL, 10) | 1 : 20240517;
    print_message("seed %llu\n", (unsigned long long)random_state);
    size_t clear = 0;
    size_t unclear = 0;
    struct found *found = t3_alloc_zero(1, sizeof *found);
    assert_non_null(found);
    for (int round = 0; round < 2000; round++) {
        uint64_t chosen[5];
        const size_t count = 1 + below(T3_COUNT(chosen));
        for (size_t i = 0; i < count; i++)
            chosen[i] = types[below(T3_COUNT(types))];
        struct tears_schema *schema = table_of(chosen, count);
        for (int k = 0; k < 20; k++) {
            struct tears_value values[5];
            struct tears_value storage[5];
            struct tears_error error;
            struct t3_key key;
            bool is_hidden;
            for (size_t i = 0; i < count; i++)
                values[i] = random_value(chosen[i], &found->arena);
            if (t3_key_init(schema, values, count, storage, &found->arena, &key, &error) !=
                TEARS_OK)
                continue; /* not UTF-8 */
            check_key(schema, &key, found, &is_hidden);
            clear += !is_hidden;
            unclear += is_hidden;
            t3_arena_reset(&found->arena);
        }
        tears_schema_free(schema);
    }
    print_message("%zu keys told by their text, %zu by their ids\n", clear, unclear);
    assert_true(clear > 5000 && unclear > 5000);
    t3_arena_done(&found->arena);
    t3_free(found);
}

/* ---- memory ---- */

static void count_key(void *owner, const struct t3_key *key)
{
    (void)key;
    ++*(size_t *)owner;
}

static void without_memory_it_says_so(void **state)
{
    (void)state;
    static const uint64_t types[] = {TEARS_TYPE_STRING, TEARS_TYPE_NUMERIC, TEARS_TYPE_STRING};
    struct tears_schema *schema = table_of(types, 3);
    for (uint64_t nth = 1;; nth++) {
        struct t3_arena arena = {0};
        struct t3_key key;
        size_t given = 0;
        t3_alloc_fail_at(nth);
        const tears_status status =
            t3_key_from_text(schema, TEARS_STR("a_b_1E-8_c"), count_key, &given);
        const tears_status status_2 =
            status == TEARS_OK
                ? t3_key_from_ids(schema, TEARS_STR("[\"a\",\"1E-8\",\"c\"]"), &arena, &key)
                : TEARS_OK;
        const bool is_past = t3_alloc_count() < nth;
        t3_alloc_fail_at(0);
        t3_arena_done(&arena);
        assert_true(status == TEARS_OK || status == TEARS_NO_MEMORY);
        assert_true(status_2 == TEARS_OK || status_2 == TEARS_NO_MEMORY);
        if (status == TEARS_OK)
            assert_int_equal(given, 2);
        if (is_past)
            break;
    }
    tears_schema_free(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_uuid_is_itself),
        cmocka_unit_test(integers_are_read_as_they_are_written),
        cmocka_unit_test(booleans_are_pythons),
        cmocka_unit_test(text_may_have_underscores_and_dots),
        cmocka_unit_test(an_enum_has_its_labels),
        cmocka_unit_test(a_decimal_is_given_as_python_and_as_the_database_write_it),
        cmocka_unit_test(times_and_bytes_are_hashed_and_so_come_with_ids),
        cmocka_unit_test(all_splits_of_texts_are_given),
        cmocka_unit_test(only_texts_take_the_underscores),
        cmocka_unit_test(a_type_leaves_only_the_splits_it_can_read),
        cmocka_unit_test(what_may_be_a_hash_or_too_many_is_unsupported),
        cmocka_unit_test(ids_that_do_not_fit_are_refused),
        cmocka_unit_test(ids_give_decimals_as_the_database_does),
        cmocka_unit_test(the_true_key_is_always_among_those_given),
        cmocka_unit_test(without_memory_it_says_so),
    };
    return cmocka_run_group_tests_name("key_text", tests, NULL, NULL);
}
