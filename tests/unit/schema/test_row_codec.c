/*
 * test_row_codec.c -- rows through their L2 form: exact, tolerant of peers, and never confused by
 * damage.
 */
#include "base/alloc.h"
#include "base/limits.h"
#include "base/str.h"
#include "codec/json.h"
#include "schema/row_codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- helpers ------------------------------------------------------------------------------------
 */

static struct tears_schema *new_schema(const uint8_t *types, size_t count, uint8_t byte_codec)
{
    static const struct tears_str label = {"low", 3};
    static const char *const names[] = {"id", "caf\xc3\xa9", "a\"b", "date_updated", "x"};
    struct tears_column_def columns[40] = {0};
    char texts[40][32];
    for (size_t i = 0; i < count; i++) {
        snprintf(texts[i], sizeof texts[i], i == 0 ? "%s" : "%s_%zu", names[i % 5], i);
        columns[i].name = tears_str_c(texts[i]);
        columns[i].type = types[i];
        columns[i].nullable = i > 0;
        columns[i].vector_dim = types[i] == TEARS_TYPE_VECTOR ? 3 : 0;
        if (types[i] == TEARS_TYPE_ENUM) {
            columns[i].enum_values = &label;
            columns[i].enum_value_count = 1;
            columns[i].enum_name = TEARS_STR("level");
        }
        if (types[i] == TEARS_TYPE_NUMERIC) {
            columns[i].precision = 38;
            columns[i].scale = 18;
            columns[i].has_scale = true;
        }
        columns[i].immutable = types[i] == TEARS_TYPE_TSVECTOR;
    }
    const struct tears_str key = TEARS_STR("id");
    const struct tears_schema_def def = {.name = TEARS_STR("users"),
                                         .primary_key = &key,
                                         .primary_key_count = 1,
                                         .columns = columns,
                                         .column_count = count,
                                         .byte_codec = byte_codec};
    struct tears_schema *schema;
    struct tears_error error;
    if (tears_schema_new(&def, &schema, &error) != TEARS_OK)
        fail_msg("%s", error.message);
    return schema;
}

/* A schema of the key and one more column, `v`. */
static struct tears_schema *new_pair(uint8_t type)
{
    struct tears_column_def columns[2] = {{.name = TEARS_STR("id"), .type = TEARS_TYPE_BIGINT},
                                          {.name = TEARS_STR("v"), .type = type, .nullable = true}};
    columns[1].vector_dim = type == TEARS_TYPE_VECTOR ? 2 : 0;
    if (type == TEARS_TYPE_NUMERIC) {
        columns[1].precision = 38;
        columns[1].scale = 18;
        columns[1].has_scale = true;
    }
    const struct tears_schema_def def = {.name = TEARS_STR("pairs"),
                                         .primary_key = &columns[0].name,
                                         .primary_key_count = 1,
                                         .columns = columns,
                                         .column_count = 2};
    struct tears_schema *schema;
    struct tears_error error;
    if (tears_schema_new(&def, &schema, &error) != TEARS_OK)
        fail_msg("%s", error.message);
    return schema;
}

/* Decodes from a heap block of exactly the text's size, so that AddressSanitizer sees a read past
 * the end. */
static tears_status decode(const struct tears_schema *schema, struct tears_str json,
                           struct t3_arena *arena, struct t3_row **row_out,
                           struct tears_error *error_out)
{
    char *block = malloc(json.len > 0 ? json.len : 1);
    assert_non_null(block);
    if (json.len > 0)
        memcpy(block, json.ptr, json.len);
    const tears_status status =
        t3_row_decode(schema, tears_str_n(block, json.len), arena, row_out, error_out);
    free(block);
    return status;
}

static uint64_t random_state = 0x9e3779b97f4a7c15u;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static struct tears_str random_bytes(struct t3_arena *arena)
{
    const size_t len = next_random() % 50;
    char *bytes = t3_arena_alloc(arena, len + 1);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)next_random();
    return tears_str_n(bytes, len);
}

static struct tears_str random_text(struct t3_arena *arena)
{
    static const char *const pieces[] = {"a",
                                         "Zq",
                                         "\"",
                                         "\\",
                                         "\n",
                                         "\x01",
                                         "\x7f",
                                         "\xc3\xa9",
                                         "/",
                                         "\xe2\x80\xa8",
                                         "\xf0\x9f\x99\x82",
                                         "plain text ",
                                         "\\u00e9"};
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    for (uint64_t left = next_random() % 20; left > 0; left--) {
        const uint64_t piece = next_random() % (T3_COUNT(pieces) + 1);
        const tears_status status = piece < T3_COUNT(pieces)
                                        ? t3_buf_put(&text, tears_str_c(pieces[piece]))
                                        : t3_buf_put_char(&text, '\0');
        assert_int_equal(status, TEARS_OK);
    }
    struct tears_str copy;
    assert_int_equal(t3_arena_str(arena, t3_buf_str(&text), &copy), TEARS_OK);
    return copy;
}

static void put_random_json(struct t3_buf *out, unsigned depth)
{
    static const char *const scalars[] = {"0.10", "1e400",
                                          "-0",   "123456789012345678901234567890",
                                          "true", "\"caf\xc3\xa9\x7f\\n\\\"\\u0001\"",
                                          "\"\"", "-1.50E+3"};
    const uint64_t kind = next_random() % (depth < 4 ? 4 : 2);
    tears_status status = TEARS_OK;
    if (kind < 2) {
        status = t3_buf_put(out, tears_str_c(scalars[next_random() % T3_COUNT(scalars)]));
        assert_int_equal(status, TEARS_OK);
        return;
    }
    assert_int_equal(t3_buf_put_char(out, kind == 2 ? '[' : '{'), TEARS_OK);
    for (uint64_t i = 0, count = next_random() % 4; i < count; i++) {
        if (i > 0)
            status = t3_buf_put(out, TEARS_STR(", "));
        assert_int_equal(status, TEARS_OK);
        if (kind == 3)
            assert_int_equal(t3_buf_printf(out, "\"k%d\xc3\xa9\":", (int)i), TEARS_OK);
        put_random_json(out, depth + 1);
    }
    assert_int_equal(t3_buf_put_char(out, kind == 2 ? ']' : '}'), TEARS_OK);
}

static struct tears_value random_value(uint8_t kind, bool nullable, struct t3_arena *arena)
{
    static const char *const decimals[] = {
        "0.10", "-12.3400", "1E-8", "NaN", "0", "99999999999999999999.999999999999999999"};
    const uint64_t bits = next_random();
    if (nullable && bits % 8 == 0)
        return tears_null();
    switch (kind) {
    case TEARS_KIND_BOOL:
        return tears_bool((bits >> 9 & 1) != 0);
    case TEARS_KIND_INT:
        return tears_int((int64_t)(bits >> (bits % 64)));
    case TEARS_KIND_TIMESTAMP:
        return tears_timestamp_us((int64_t)(bits >> (bits % 30)));
    case TEARS_KIND_DOUBLE: {
        double number;
        memcpy(&number, &bits, sizeof number);
        return tears_double(number == number ? number : 0.5);
    }
    case TEARS_KIND_UUID: {
        uint8_t uuid[16];
        memcpy(uuid, &bits, 8);
        memcpy(uuid + 8, &random_state, 8);
        return tears_uuid(uuid);
    }
    case TEARS_KIND_DECIMAL:
        return tears_decimal(tears_str_c(decimals[bits % T3_COUNT(decimals)]));
    case TEARS_KIND_BYTES:
        return tears_bytes(random_bytes(arena));
    case TEARS_KIND_VECTOR: {
        double *numbers = t3_arena_array(arena, 3, sizeof *numbers);
        for (size_t i = 0; i < 3; i++)
            numbers[i] = (double)(int64_t)next_random() / 1e12;
        return tears_vector(numbers, next_random() % 4);
    }
    case TEARS_KIND_JSON: {
        T3_AUTO(t3_buf_done) struct t3_buf json = {0};
        struct tears_str copy;
        put_random_json(&json, 0);
        assert_int_equal(t3_arena_str(arena, t3_buf_str(&json), &copy), TEARS_OK);
        return tears_json(copy);
    }
    default:
        return tears_text(random_text(arena));
    }
}

static void assert_rows_equal(const struct tears_schema *schema, const struct t3_row *a,
                              const struct t3_row *b)
{
    for (uint32_t i = 0; i < schema->column_count; i++) {
        const struct tears_value value = t3_row_value(a, &schema->layout, i);
        if (!t3_row_cell_equal(b, &schema->layout, i, &value))
            fail_msg("column %u differs", i);
    }
}

/* ---- round trips --------------------------------------------------------------------------------
 */

static struct t3_row *random_row(const struct tears_schema *schema, struct t3_arena *arena)
{
    struct tears_value values[40];
    for (uint32_t i = 0; i < schema->column_count; i++)
        values[i] = random_value(schema->columns[i].kind, i > 0, arena);
    struct t3_row *row;
    assert_int_equal(t3_row_new(arena, &schema->layout, values, &row), TEARS_OK);
    return row;
}

static struct tears_schema *random_schema(void)
{
    uint8_t types[40];
    const size_t count = 1 + next_random() % 39;
    for (size_t i = 0; i < count; i++)
        types[i] = (uint8_t)(1 + next_random() % 13);
    types[0] = TEARS_TYPE_UUID;
    return new_schema(types, count, (uint8_t)(next_random() % 2));
}

static void any_row_of_any_schema_comes_back_exactly(void **state)
{
    (void)state;
    for (int round = 0; round < 300; round++) {
        struct tears_schema *schema = random_schema();
        T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
        for (int i = 0; i < 10; i++) {
            struct t3_row *row = random_row(schema, &arena);
            struct t3_row *back;
            T3_AUTO(t3_buf_done) struct t3_buf json = {0};
            struct tears_error error;
            assert_int_equal(t3_row_encode(schema, row, &json), TEARS_OK);
            for (size_t k = 0; k < json.len; k++)
                assert_in_range((unsigned char)json.ptr[k], 0x20, 0x7e);
            if (decode(schema, t3_buf_str(&json), &arena, &back, &error) != TEARS_OK)
                fail_msg("%s in %s", error.message, json.ptr);
            assert_true(t3_row_is_sane(back, &schema->layout, back->size));
            assert_rows_equal(schema, row, back);
        }
        tears_schema_free(schema);
    }
}

static void a_row_is_written_as_python_writes_it(void **state)
{
    (void)state;
    const uint8_t types[] = {TEARS_TYPE_UUID,        TEARS_TYPE_STRING, TEARS_TYPE_BOOL,
                             TEARS_TYPE_TIMESTAMPTZ, TEARS_TYPE_BYTES,  TEARS_TYPE_JSONB,
                             TEARS_TYPE_NUMERIC,     TEARS_TYPE_VECTOR, TEARS_TYPE_INT};
    struct tears_schema *schema = new_schema(types, T3_COUNT(types), TEARS_BYTES_BASE64);
    const uint8_t uuid[16] = {0x01, 0x90, 0xa1, 0xb2};
    const double numbers[] = {1.0, 1e-7};
    const struct tears_value values[] = {tears_uuid(uuid),
                                         tears_text(TEARS_STR("\xc3\xa9/")),
                                         tears_bool(false),
                                         tears_timestamp_us(INT64_C(1780488000000001)),
                                         tears_bytes(TEARS_STR("\0\xff\x10")),
                                         tears_json(TEARS_STR("{\"a\":0.10,\"\xc3\xa9\": 1e400}")),
                                         tears_decimal(TEARS_STR("12.3400")),
                                         tears_vector(numbers, 2),
                                         tears_null()};
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    T3_AUTO(t3_buf_done) struct t3_buf json = {0};
    struct t3_row *row;
    assert_int_equal(t3_row_new(&arena, &schema->layout, values, &row), TEARS_OK);
    assert_int_equal(t3_row_encode(schema, row, &json), TEARS_OK);
    assert_string_equal(json.ptr, "{\"id\": \"0190a1b2-0000-0000-0000-000000000000\", "
                                  "\"caf\\u00e9_1\": \"\\u00e9/\", \"a\\\"b_2\": false, "
                                  "\"date_updated_3\": \"2026-06-03T12:00:00.000001+00:00\", "
                                  "\"x_4\": \"AP8Q\", \"id_5\": {\"a\":0.10,\"\\u00e9\": 1e400}, "
                                  "\"caf\\u00e9_6\": \"12.3400\", \"a\\\"b_7\": [1.0, 1e-07], "
                                  "\"date_updated_8\": null}");
    tears_schema_free(schema);
}

/* Dynamic tables hold timestamps without time zone; peers could not store one that has an offset.
 */
static void dynamic_tables_write_timestamps_without_offset(void **state)
{
    (void)state;
    struct tears_schema *schema;
    struct tears_error error;
    assert_int_equal(
        tears_schema_from_json(
            TEARS_STR("{\"name\": \"notes\", \"columns\": ["
                      "{\"name\": \"id\", \"column_type\": \"bigint\", \"primary_key\": true}, "
                      "{\"name\": \"at\", \"column_type\": \"timestamp\"}]}"),
            &schema, &error),
        TEARS_OK);
    const struct tears_str text = TEARS_STR("{\"id\": 1, \"at\": \"2026-06-03T12:00:00\"}");
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    T3_AUTO(t3_buf_done) struct t3_buf again = {0};
    struct t3_row *row;
    assert_int_equal(decode(schema, text, &arena, &row, &error), TEARS_OK);
    assert_int_equal(t3_row_value(row, &schema->layout, 1).as.integer, INT64_C(1780488000000000));
    assert_int_equal(t3_row_encode(schema, row, &again), TEARS_OK);
    assert_true(t3_str_equal(t3_buf_str(&again), text));
    tears_schema_free(schema);
}

/* ---- tolerance ----------------------------------------------------------------------------------
 */

/* Decodes {"id": 1, "v": <v>} and gives v as encoded again, or the status. */
static void check_value(uint8_t type, const char *v, const char *expected)
{
    struct tears_schema *schema = new_pair(type);
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    T3_AUTO(t3_buf_done) struct t3_buf json = {0};
    T3_AUTO(t3_buf_done) struct t3_buf again = {0};
    struct tears_error error;
    struct t3_row *row;
    assert_int_equal(t3_buf_printf(&json, "{\"id\":1,\"v\":%s}", v), TEARS_OK);
    const tears_status status = decode(schema, t3_buf_str(&json), &arena, &row, &error);
    if (expected == NULL) {
        if (status != TEARS_CORRUPT)
            fail_msg("type %d accepted %s", type, v);
        assert_non_null(strstr(error.message, "byte"));
    } else {
        if (status != TEARS_OK)
            fail_msg("type %d refused %s: %s", type, v, error.message);
        const struct tears_value value = t3_row_value(row, &schema->layout, 1);
        assert_int_equal(t3_value_encode(&value, TEARS_BYTES_BASE64, &again), TEARS_OK);
        assert_string_equal(again.ptr, expected);
    }
    tears_schema_free(schema);
}

static void what_peers_write_is_understood(void **state)
{
    (void)state;
    static const struct {
        uint8_t type;
        const char *v;
        const char *expected; /* NULL: damage */
    } cases[] = {
        {TEARS_TYPE_BIGINT, "9223372036854775807", "9223372036854775807"},
        {TEARS_TYPE_BIGINT, "-9223372036854775808", "-9223372036854775808"},
        {TEARS_TYPE_BIGINT, "9223372036854775808", NULL},
        {TEARS_TYPE_BIGINT, "1e300", NULL},
        {TEARS_TYPE_BIGINT, "5.0", "5"},
        {TEARS_TYPE_BIGINT, "-5.9", "-5"},
        {TEARS_TYPE_BIGINT, "1e3", "1000"},
        {TEARS_TYPE_BIGINT, "-0", "0"},
        {TEARS_TYPE_BIGINT, "\"5\"", "5"},
        {TEARS_TYPE_BIGINT, "true", "1"},
        {TEARS_TYPE_BIGINT, "\"5x\"", NULL},
        {TEARS_TYPE_BIGINT, "[5]", NULL},
        {TEARS_TYPE_BIGINT, "NaN", NULL},
        {TEARS_TYPE_BOOL, "1", "true"},
        {TEARS_TYPE_BOOL, "0", "false"},
        {TEARS_TYPE_BOOL, "2", "true"},
        {TEARS_TYPE_BOOL, "\"true\"", NULL},
        {TEARS_TYPE_NUMERIC, "12.3400", "\"12.3400\""},
        {TEARS_TYPE_NUMERIC, "\"12.3400\"", "\"12.3400\""},
        {TEARS_TYPE_NUMERIC, "NaN", "\"NaN\""},
        {TEARS_TYPE_NUMERIC, "\"abc\"", NULL},
        {TEARS_TYPE_NUMERIC, "true", NULL},
        {TEARS_TYPE_UUID, "\"0190A1B2-C3D4-7E5F-8A6B-0123456789AB\"",
         "\"0190a1b2-c3d4-7e5f-8a6b-0123456789ab\""},
        {TEARS_TYPE_UUID, "\"\"", NULL},
        {TEARS_TYPE_UUID, "5", NULL},
        {TEARS_TYPE_TIMESTAMPTZ, "\"2026-01-02 03:04:05.123456789+01\"",
         "\"2026-01-02T02:04:05.123456+00:00\""},
        {TEARS_TYPE_TIMESTAMPTZ, "\"2026-01-02T03:04:05\"", "\"2026-01-02T03:04:05+00:00\""},
        {TEARS_TYPE_TIMESTAMPTZ, "\"2026-02-30T00:00:00Z\"", NULL},
        {TEARS_TYPE_TIMESTAMPTZ, "1767323045", NULL},
        {TEARS_TYPE_STRING, "\"a\\u0000\\ud83d\\ude42\"", "\"a\\u0000\\ud83d\\ude42\""},
        {TEARS_TYPE_STRING, "\"\\ud83d\"", NULL},
        {TEARS_TYPE_STRING, "\"\xff\"", NULL},
        {TEARS_TYPE_STRING, "5", NULL},
        {TEARS_TYPE_BYTES, "\"\"", "\"\""},
        {TEARS_TYPE_BYTES, "\"YQ\"", NULL},
        {TEARS_TYPE_BYTES, "\"\\u0059Q==\"", "\"YQ==\""},
        {TEARS_TYPE_VECTOR, "[1, 2.5]", "[1.0, 2.5]"},
        {TEARS_TYPE_VECTOR, "\"[1,2]\"", "[1.0, 2.0]"},
        {TEARS_TYPE_VECTOR, "{\"a\": 1}", "null"},
        {TEARS_TYPE_VECTOR, "[\"1\"]", NULL},
        {TEARS_TYPE_VECTOR, "\"x\"", NULL},
        {TEARS_TYPE_DOUBLE, "0.1", "0.1"},
        {TEARS_TYPE_DOUBLE, "5", "5.0"},
        {TEARS_TYPE_DOUBLE, "-Infinity", "-Infinity"},
        {TEARS_TYPE_DOUBLE, "1e400", NULL},
        {TEARS_TYPE_JSONB, "[0.10,1e400 ]", "[0.10,1e400 ]"},
        {TEARS_TYPE_JSONB, "\"{\\\"a\\\": 1}\"", "\"{\\\"a\\\": 1}\""},
        {TEARS_TYPE_JSONB, "{\"a\": NaN}", NULL},
        {TEARS_TYPE_JSONB, "{\"a\": \"\\udc00\"}", NULL},
        {TEARS_TYPE_JSONB, "null", "null"}};
    for (size_t i = 0; i < T3_COUNT(cases); i++)
        check_value(cases[i].type, cases[i].v, cases[i].expected);
}

static void the_object_may_be_written_otherwise(void **state)
{
    (void)state;
    static const char *const same[] = {"{\"id\": 1, \"v\": \"x\"}",
                                       "{\"v\":\"x\",\"id\":1}",
                                       " \n{ \"id\" :1 , \"v\" :\"x\" } ",
                                       "{\"\\u0069d\": 1, \"\\u0076\": \"x\"}",
                                       "{\"id\": 1, \"extra\": [{\"v\": NaN}], \"v\": \"x\"}",
                                       "{\"id\": 1, \"v\": \"x\", \"i\": 9, \"\": {}}"};
    struct tears_schema *schema = new_pair(TEARS_TYPE_STRING);
    for (size_t i = 0; i < T3_COUNT(same); i++) {
        T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
        struct t3_row *row;
        struct tears_error error;
        if (decode(schema, tears_str_c(same[i]), &arena, &row, &error) != TEARS_OK)
            fail_msg("%s: %s", same[i], error.message);
        assert_int_equal(t3_row_value(row, &schema->layout, 0).as.integer, 1);
        assert_true(t3_str_is(t3_row_value(row, &schema->layout, 1).as.bytes, "x"));
    }
    tears_schema_free(schema);
}

static void of_duplicate_members_the_last_counts(void **state)
{
    (void)state;
    struct tears_schema *schema = new_pair(TEARS_TYPE_STRING);
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct t3_row *row;
    assert_int_equal(decode(schema, TEARS_STR("{\"id\": 2, \"v\": \"y\", \"id\": 1, \"v\": null}"),
                            &arena, &row, NULL),
                     TEARS_OK);
    assert_int_equal(t3_row_value(row, &schema->layout, 0).as.integer, 1);
    assert_true(t3_row_is_null(row, 1));
    tears_schema_free(schema);
}

/* ---- damage -------------------------------------------------------------------------------------
 */

static void damage_is_a_status_with_a_position(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *message;
    } cases[] = {
        {"", "malformed JSON at byte 0 of 0"},
        {"null", "malformed JSON at byte 0"},
        {"[]", "malformed JSON at byte 0"},
        {"\"x\"", "malformed JSON at byte 0"},
        {"{\"id\": ", "malformed JSON at byte 7 of 7"},
        {"{\"id\": 1, \"v\": \"x\"} x", "malformed JSON at byte 20"},
        {"\xef\xbb\xbf{\"id\": 1}", "malformed JSON at byte 0"},
        {"{\"id\": 1}", "column 'v' is missing"},
        {"{}", "column 'id' is missing"},
        {"{\"id\": \"q\", \"v\": \"x\"}", "column 'id' at byte 8: expected an integer"},
        {"{\"id\": 1, \"v\": [1]}", "column 'v' at byte 15: expected a string, found an array"}};
    struct tears_schema *schema = new_pair(TEARS_TYPE_STRING);
    for (size_t i = 0; i < T3_COUNT(cases); i++) {
        T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
        struct t3_row *row = NULL;
        struct tears_error error;
        assert_int_equal(decode(schema, tears_str_c(cases[i].json), &arena, &row, &error),
                         TEARS_CORRUPT);
        assert_null(row);
        if (strstr(error.message, cases[i].message) == NULL)
            fail_msg("%s: %s", cases[i].json, error.message);
    }
    tears_schema_free(schema);
}

static void every_truncated_or_flipped_value_is_harmless(void **state)
{
    (void)state;
    struct tears_schema *schema = random_schema();
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    T3_AUTO(t3_buf_done) struct t3_buf json = {0};
    assert_int_equal(t3_row_encode(schema, random_row(schema, &arena), &json), TEARS_OK);
    struct t3_row *row;
    for (size_t len = 0; len < json.len; len++)
        assert_int_equal(decode(schema, tears_str_n(json.ptr, len), &arena, &row, NULL),
                         TEARS_CORRUPT);
    for (size_t i = 0; i < json.len * 8; i++) {
        json.ptr[i / 8] = (char)(json.ptr[i / 8] ^ 1 << i % 8);
        const tears_status status = decode(schema, t3_buf_str(&json), &arena, &row, NULL);
        if (status == TEARS_OK)
            assert_true(t3_row_is_sane(row, &schema->layout, row->size));
        else
            assert_int_equal(status, TEARS_CORRUPT);
        json.ptr[i / 8] = (char)(json.ptr[i / 8] ^ 1 << i % 8);
        t3_arena_reset(&arena);
    }
    tears_schema_free(schema);
}

static void depth_is_limited(void **state)
{
    (void)state;
    struct tears_schema *schema = new_pair(TEARS_TYPE_JSONB);
    for (size_t extra = 0; extra < 2; extra++) {
        const size_t depth = T3_JSON_DEPTH_MAX + extra;
        T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
        T3_AUTO(t3_buf_done) struct t3_buf json = {0};
        struct t3_row *row;
        assert_int_equal(t3_buf_put(&json, TEARS_STR("{\"id\": 1, \"v\": ")), TEARS_OK);
        for (size_t i = 0; i < 2 * depth; i++)
            assert_int_equal(t3_buf_put_char(&json, i < depth ? '[' : ']'), TEARS_OK);
        assert_int_equal(t3_buf_put_char(&json, '}'), TEARS_OK);
        assert_int_equal(decode(schema, t3_buf_str(&json), &arena, &row, NULL),
                         extra == 0 ? TEARS_OK : TEARS_LIMIT);
    }
    tears_schema_free(schema);
}

static void text_that_is_no_utf8_is_not_written(void **state)
{
    (void)state;
    struct tears_schema *schema = new_pair(TEARS_TYPE_STRING);
    const struct tears_value values[] = {tears_int(1), tears_text(TEARS_STR("abc\xff"))};
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    T3_AUTO(t3_buf_done) struct t3_buf out = {0};
    struct t3_row *row;
    assert_int_equal(t3_row_new(&arena, &schema->layout, values, &row), TEARS_OK);
    assert_int_equal(t3_buf_put(&out, TEARS_STR("kept")), TEARS_OK);
    assert_int_equal(t3_row_encode(schema, row, &out), TEARS_INVALID);
    assert_string_equal(out.ptr, "kept");
    tears_schema_free(schema);
}

static void memory_may_run_out_anywhere(void **state)
{
    (void)state;
    uint8_t types[30];
    for (size_t i = 0; i < T3_COUNT(types); i++)
        types[i] = (uint8_t)(i == 0 ? TEARS_TYPE_UUID : 1 + i % 13);
    struct tears_schema *schema = new_schema(types, T3_COUNT(types), TEARS_BYTES_HEX);
    T3_AUTO(t3_arena_done) struct t3_arena source = {0};
    const struct t3_row *row = random_row(schema, &source);
    T3_AUTO(t3_buf_done) struct t3_buf json = {0};
    bool ran_through = false;
    for (uint64_t nth = 1; !ran_through; nth++) {
        t3_buf_done(&json);
        t3_alloc_fail_at(nth);
        const tears_status status = t3_row_encode(schema, row, &json);
        ran_through = t3_alloc_count() < nth;
        t3_alloc_fail_at(0);
        assert_int_equal(status, ran_through ? TEARS_OK : TEARS_NO_MEMORY);
    }
    ran_through = false;
    for (uint64_t nth = 1; !ran_through; nth++) {
        T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
        struct t3_row *back = NULL;
        struct tears_error error;
        t3_alloc_fail_at(nth);
        const tears_status status = t3_row_decode(schema, t3_buf_str(&json), &arena, &back, &error);
        ran_through = t3_alloc_count() < nth;
        t3_alloc_fail_at(0);
        assert_int_equal(status, ran_through ? TEARS_OK : TEARS_NO_MEMORY);
        assert_int_equal(back != NULL, ran_through);
    }
    tears_schema_free(schema);
}

/* ---- members and fields -------------------------------------------------------------------------
 */

struct unknown {
    int count;
    char text[100];
};

static void note_unknown(void *owner, struct tears_str name, struct tears_str json)
{
    struct unknown *unknown = owner;
    unknown->count++;
    snprintf(unknown->text, sizeof unknown->text, T3_STR_FMT "=" T3_STR_FMT, T3_STR_ARG(name),
             T3_STR_ARG(json));
}

static void members_tell_absent_from_null(void **state)
{
    (void)state;
    struct tears_schema *schema = new_pair(TEARS_TYPE_STRING);
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct tears_value values[2];
    struct unknown unknown = {0};
    const struct t3_members members = {values, note_unknown, &unknown};
    assert_int_equal(t3_members_decode(schema, TEARS_STR("{}"), &arena, &members, NULL), TEARS_OK);
    assert_int_equal(values[0].kind, T3_KIND_ABSENT);
    assert_int_equal(values[1].kind, T3_KIND_ABSENT);
    assert_int_equal(t3_members_decode(schema, TEARS_STR("{\"v\": null, \"\\u00e9\": \"q\"}"),
                                       &arena, &members, NULL),
                     TEARS_OK);
    assert_int_equal(values[0].kind, T3_KIND_ABSENT);
    assert_int_equal(values[1].kind, TEARS_KIND_NULL);
    assert_int_equal(unknown.count, 1);
    assert_string_equal(unknown.text, "\xc3\xa9=\"q\"");
    tears_schema_free(schema);
}

static void fields_of_people_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *message;
    } refused[] = {{"{\"id\": 1, \"id\": 2}", "'id' is given twice"},
                   {"{\"nope\": 1}", "no column 'nope'"},
                   {"{\"id\": 5.5}", "not '5.5'"},
                   {"{\"id\": \"5\"}", "expects an integer"},
                   {"{\"id\": 1,}", "malformed JSON at byte 9"},
                   {"{\"id\": NaN}", "malformed JSON"},
                   {"[1]", "malformed JSON"}};
    struct tears_schema *schema = new_pair(TEARS_TYPE_TIMESTAMPTZ);
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct tears_field *fields;
    size_t count;
    struct tears_error error;
    for (size_t i = 0; i < T3_COUNT(refused); i++) {
        assert_int_equal(
            t3_fields_decode(schema, tears_str_c(refused[i].json), &arena, &fields, &count, &error),
            TEARS_INVALID);
        if (strstr(error.message, refused[i].message) == NULL)
            fail_msg("%s: %s", refused[i].json, error.message);
    }
    assert_int_equal(t3_fields_decode(schema,
                                      TEARS_STR("{\"v\": \"1970-01-01 00:00:01\", \"id\": 5.0}"),
                                      &arena, &fields, &count, &error),
                     TEARS_OK);
    assert_int_equal(count, 2);
    assert_true(t3_str_is(fields[0].name, "id"));
    assert_int_equal(fields[0].value.as.integer, 5);
    assert_int_equal(fields[1].value.kind, TEARS_KIND_TIMESTAMP);
    assert_int_equal(fields[1].value.as.integer, 1000000);
    assert_int_equal(t3_fields_decode(schema, TEARS_STR("{}"), &arena, &fields, &count, &error),
                     TEARS_OK);
    assert_int_equal(count, 0);
    tears_schema_free(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_row_of_any_schema_comes_back_exactly),
        cmocka_unit_test(a_row_is_written_as_python_writes_it),
        cmocka_unit_test(dynamic_tables_write_timestamps_without_offset),
        cmocka_unit_test(what_peers_write_is_understood),
        cmocka_unit_test(the_object_may_be_written_otherwise),
        cmocka_unit_test(of_duplicate_members_the_last_counts),
        cmocka_unit_test(damage_is_a_status_with_a_position),
        cmocka_unit_test(every_truncated_or_flipped_value_is_harmless),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(text_that_is_no_utf8_is_not_written),
        cmocka_unit_test(memory_may_run_out_anywhere),
        cmocka_unit_test(members_tell_absent_from_null),
        cmocka_unit_test(fields_of_people_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
