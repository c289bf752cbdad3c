/*
 * test_l1_sqlite.c -- the SQL form of L1: the suite of all tiers, and what only this one promises:
 * SQL over cached rows.
 */
#include "unit/tier/l1_coherence_conformance.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "codec/row.h"
#include "tier/l1_sqlite.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { BUDGET = 4 << 20 };

/* ---- a tier with the table that knows every kind ---- */

struct world {
    struct t3_l1 *l1;
    struct tears_schema *schema;
    uint32_t space;
    struct t3_arena arena;
    struct tears_error error;
};

static struct tears_schema *everything_schema(void)
{
    const struct tears_column_def columns[] = {
        {.name = TEARS_STR("id"), .type = TEARS_TYPE_UUID},
        {.name = TEARS_STR("select"), .type = TEARS_TYPE_STRING, .nullable = true},
        {.name = TEARS_STR("a \"b\""), .type = TEARS_TYPE_BIGINT, .nullable = true},
        {.name = TEARS_STR("flag"), .type = TEARS_TYPE_BOOL, .nullable = true},
        {.name = TEARS_STR("ratio"), .type = TEARS_TYPE_DOUBLE, .nullable = true},
        {.name = TEARS_STR("price"),
         .type = TEARS_TYPE_NUMERIC,
         .nullable = true,
         .precision = 12,
         .scale = 4,
         .has_scale = true},
        {.name = TEARS_STR("doc"), .type = TEARS_TYPE_JSONB, .nullable = true},
        {.name = TEARS_STR("raw"), .type = TEARS_TYPE_BYTES, .nullable = true},
        {.name = TEARS_STR("seen"), .type = TEARS_TYPE_TIMESTAMPTZ, .nullable = true},
        {.name = TEARS_STR("place"), .type = TEARS_TYPE_VECTOR, .nullable = true, .vector_dim = 3},
    };
    const struct tears_str key[] = {TEARS_STR("id")};
    const struct tears_schema_def def = {.name = TEARS_STR("order"),
                                         .primary_key = key,
                                         .primary_key_count = 1,
                                         .columns = columns,
                                         .column_count = T3_COUNT(columns)};
    struct tears_schema *schema = NULL;
    assert_int_equal(tears_schema_new(&def, &schema, NULL), TEARS_OK);
    return schema;
}

static int set_up(void **state)
{
    static struct world world;
    world = (struct world){0};
    world.schema = everything_schema();
    assert_int_equal(t3_l1_sqlite_new(BUDGET, &world.l1, &world.error), TEARS_OK);
    assert_int_equal(world.l1->ops->open_space(world.l1, world.schema, &world.space, &world.error),
                     TEARS_OK);
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    world->l1->ops->free(world->l1);
    tears_schema_free(world->schema);
    t3_arena_done(&world->arena);
    return 0;
}

enum { COLUMNS = 10 };

/* The values of one row; the tests change what they are about. */
static void some_values(struct tears_value values[COLUMNS], uint8_t id)
{
    static const double numbers[] = {1.0, -0.0, 1e-300};
    const uint8_t uuid[16] = {id};
    values[0] = tears_uuid(uuid);
    values[1] = tears_text(TEARS_STR("a\0b\xF0\x9F\x90\x98"));
    values[2] = tears_int(INT64_MIN);
    values[3] = tears_bool(true);
    values[4] = tears_double(-0.0);
    values[5] = tears_decimal(TEARS_STR("0.1000"));
    values[6] = tears_json(TEARS_STR("{\"n\": 1e400, \"s\": \"123\"}"));
    values[7] = tears_bytes(TEARS_STR("\0\xFF\0"));
    values[8] = tears_timestamp_us(1780488000123456);
    values[9] = tears_vector(numbers, 3);
}

static void keep(struct world *world, const struct tears_value values[COLUMNS])
{
    struct t3_row *row;
    assert_int_equal(t3_row_new(&world->arena, &world->schema->layout, values, &row), TEARS_OK);
    struct t3_key key;
    assert_int_equal(
        t3_key_init(world->schema, values, 1, NULL, &world->arena, &key, &world->error), TEARS_OK);
    const struct t3_l1_put put = l1_fill(world->l1, world->space, &key, row, 0);
    assert_int_equal(world->l1->ops->put(world->l1, world->space, &put), TEARS_OK);
}

static struct t3_row *read_back(struct world *world, const struct tears_value *id)
{
    struct t3_key key;
    assert_int_equal(t3_key_init(world->schema, id, 1, NULL, &world->arena, &key, &world->error),
                     TEARS_OK);
    enum t3_l1_answer answer;
    struct t3_l1_hit hit;
    assert_int_equal(
        world->l1->ops->get(world->l1, world->space, &key, &world->arena, &answer, &hit), TEARS_OK);
    assert_int_equal(answer, T3_L1_HIT);
    return hit.row;
}

static void assert_round_trip(struct world *world, const struct tears_value values[COLUMNS])
{
    keep(world, values);
    const struct t3_row *row = read_back(world, &values[0]);
    for (uint32_t i = 0; i < COLUMNS; i++) {
        const struct tears_value got = t3_row_value(row, &world->schema->layout, i);
        assert_true(tears_value_equal(&got, &values[i]));
    }
}

static tears_status query(struct world *world, const char *sql, struct t3_result *result)
{
    const struct t3_adhoc adhoc = {.sql = tears_str_c(sql)};
    return t3_l1_sqlite_query(world->l1, &adhoc, &world->arena, result, &world->error);
}

static int64_t count_of(struct world *world, const char *sql)
{
    struct t3_result result;
    assert_int_equal(query(world, sql, &result), TEARS_OK);
    assert_int_equal(result.row_count, 1);
    return result.values[0].as.integer;
}

/* ---- values stay what they are (W-31) ---- */

static void every_kind_comes_back_exactly(void **state)
{
    struct tears_value values[COLUMNS];
    some_values(values, 1);
    assert_round_trip(*state, values);
}

static void values_that_look_like_others_stay_what_they_are(void **state)
{
    struct tears_value values[COLUMNS];
    some_values(values, 2);
    const char *const texts[] = {"", "123", "1.0", "true", "null", "NaN", "2026-01-01T00:00:00Z"};
    for (size_t i = 0; i < T3_COUNT(texts); i++) {
        values[1] = tears_text(tears_str_c(texts[i]));
        values[7] = tears_bytes(tears_str_c(texts[i]));
        assert_round_trip(*state, values);
    }
    const char *const documents[] = {"123", "true", "null", "\"x\"", "0.10", "[1.0,  2]"};
    for (size_t i = 0; i < T3_COUNT(documents); i++) {
        values[6] = tears_json(tears_str_c(documents[i]));
        assert_round_trip(*state, values);
    }
}

static void extreme_numbers_and_times_come_back(void **state)
{
    struct tears_value values[COLUMNS];
    some_values(values, 3);
    const double numbers[] = {(double)NAN, (double)INFINITY, -(double)INFINITY, 5e-324, 3.0, 1e308};
    for (size_t i = 0; i < T3_COUNT(numbers); i++) {
        values[4] = tears_double(numbers[i]);
        assert_round_trip(*state, values);
    }
    const int64_t integers[] = {
        INT64_MIN,          INT64_MAX,         0, -1, -62135596800000000, 253402300799999999,
        -62135596800000001, 253402300800000000};
    for (size_t i = 0; i < T3_COUNT(integers); i++) {
        values[2] = tears_int(integers[i]);
        values[8] = tears_timestamp_us(integers[i]);
        assert_round_trip(*state, values);
    }
}

static void nulls_stay_null(void **state)
{
    struct tears_value values[COLUMNS];
    some_values(values, 4);
    for (size_t i = 1; i < COLUMNS; i++)
        values[i] = tears_null();
    assert_round_trip(*state, values);
}

/* ---- SQL over the cache ---- */

static void sql_sees_tables_and_columns_by_their_names(void **state)
{
    struct world *world = *state;
    struct tears_value values[COLUMNS];
    some_values(values, 5);
    keep(world, values);
    struct t3_result result;
    assert_int_equal(query(world, "SELECT * FROM \"order\"", &result), TEARS_OK);
    assert_int_equal(result.row_count, 1);
    assert_int_equal(result.column_count, COLUMNS);
    assert_string_equal(result.names[1].ptr, "select");
    assert_string_equal(result.names[2].ptr, "a \"b\"");
    assert_int_equal(result.values[2].kind, TEARS_KIND_INT);
    assert_true(result.values[2].as.integer == INT64_MIN);
    assert_string_equal(result.values[8].as.bytes.ptr, "2026-06-03T12:00:00.123456+00:00");
    const struct tears_value id = values[0];
    const struct t3_adhoc adhoc = {.sql = TEARS_STR("SELECT count(*) FROM \"order\" WHERE id = $1"),
                                   .params = &id,
                                   .param_count = 1};
    assert_int_equal(t3_l1_sqlite_query(world->l1, &adhoc, &world->arena, &result, &world->error),
                     TEARS_OK);
    assert_int_equal(result.values[0].as.integer, 1);
}

static void sql_does_not_see_what_get_does_not(void **state)
{
    struct world *world = *state;
    struct tears_value values[COLUMNS];
    some_values(values, 6);
    keep(world, values);
    const uint8_t absent[16] = {77};
    const struct tears_value id = tears_uuid(absent);
    struct t3_key key;
    assert_int_equal(t3_key_init(world->schema, &id, 1, NULL, &world->arena, &key, NULL), TEARS_OK);
    const struct t3_l1_put nothing = l1_fill(world->l1, world->space, &key, NULL, 0);
    assert_int_equal(world->l1->ops->put(world->l1, world->space, &nothing), TEARS_OK);
    assert_int_equal(count_of(world, "SELECT count(*) FROM \"order\""), 1);
    t3_clock_shift_ms(3600 * 1000 + 1);
    assert_int_equal(count_of(world, "SELECT count(*) FROM \"order\""), 0);
}

static void sql_only_reads(void **state)
{
    struct world *world = *state;
    struct tears_value values[COLUMNS];
    some_values(values, 7);
    keep(world, values);
    const char *const denied[] = {
        "DELETE FROM t3_rows_0",
        "UPDATE t3_rows_0 SET c2 = 1",
        "DROP TABLE t3_rows_0",
        "CREATE TABLE mine (a)",
        "BEGIN",
        "ATTACH ':memory:' AS x",
        "PRAGMA max_page_count = 1000",
        "SAVEPOINT a",
        "DROP VIEW \"order\"",
    };
    struct t3_result result;
    for (size_t i = 0; i < T3_COUNT(denied); i++)
        assert_int_equal(query(world, denied[i], &result), TEARS_DENIED);
    assert_int_equal(query(world, "SELECT nonsense", &result), TEARS_INVALID);
    assert_int_equal(query(world, "SELECT 1; SELECT 2", &result), TEARS_INVALID);
    assert_int_equal(query(world, "", &result), TEARS_INVALID);
    assert_int_equal(count_of(world, "SELECT count(*) FROM \"order\""), 1);
    assert_round_trip(world, values); /* and writing goes on (W-29) */
}

static void two_tiers_never_share_rows(void **state) /* W-32 */
{
    struct world *world = *state;
    struct tears_value values[COLUMNS];
    some_values(values, 8);
    keep(world, values);
    struct t3_l1 *other;
    uint32_t space;
    assert_int_equal(t3_l1_sqlite_new(BUDGET, &other, NULL), TEARS_OK);
    assert_int_equal(other->ops->open_space(other, world->schema, &space, NULL), TEARS_OK);
    const struct t3_adhoc adhoc = {.sql = TEARS_STR("SELECT count(*) FROM \"order\"")};
    struct t3_result result;
    assert_int_equal(t3_l1_sqlite_query(other, &adhoc, &world->arena, &result, NULL), TEARS_OK);
    assert_int_equal(result.values[0].as.integer, 0);
    other->ops->free(other);
}

static void tables_with_odd_names_are_cached(void **state) /* W-30 */
{
    struct world *world = *state;
    const char *const names[] = {"group", "t3_rows_0", "a\"b'c", "public.users", "ORDER", "x y"};
    for (size_t i = 0; i < T3_COUNT(names); i++) {
        struct tears_schema *schema = l1_items_schema(names[i], false);
        uint32_t space;
        assert_int_equal(world->l1->ops->open_space(world->l1, schema, &space, &world->error),
                         TEARS_OK);
        struct l1_key key;
        l1_item_key(schema, 1, &key);
        struct t3_row *row = l1_item_row(&world->arena, schema, 1, 1, 5, 'x');
        const struct t3_l1_put put = l1_fill(world->l1, space, &key.key, row, 1);
        assert_int_equal(world->l1->ops->put(world->l1, space, &put), TEARS_OK);
        assert_true(world->l1->ops->contains(world->l1, space, &key.key));
        world->l1->ops->clear(world->l1, space);
        tears_schema_free(schema);
    }
}

/* Pages, not only estimates: rows of all sizes must not make SQLite take more memory than the
 * bound. */
static void sqlite_stays_within_the_budget(void **state)
{
    struct world *world = *state;
    struct tears_value values[COLUMNS];
    for (uint32_t i = 0; i < 6000; i++) {
        t3_arena_reset(&world->arena);
        some_values(values, (uint8_t)i);
        memcpy(values[0].as.uuid + 1, &i, sizeof i);
        char *body = t3_arena_array(&world->arena, 1, 5000);
        assert_non_null(body);
        values[7] = tears_bytes(tears_str_n(body, i * 31 % 5000));
        keep(world, values);
    }
    const int64_t pages = count_of(world, "SELECT page_count FROM pragma_page_count");
    assert_true(pages * 4096 <= BUDGET);
    struct t3_l1_stats stats;
    world->l1->ops->stats(world->l1, &stats);
    assert_true(stats.evictions > 0 && stats.bytes <= BUDGET);
    assert_true(stats.payload_bytes > BUDGET / 3); /* the bound is used, not only kept */
}

static void every_failing_allocation_is_survived(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct tears_schema *schema = l1_items_schema("items", true);
        struct t3_arena arena = {0};
        struct t3_row *row = l1_item_row(&arena, schema, 1, 1, 50, 'x');
        struct l1_key key;
        l1_item_key(schema, 1, &key);
        struct t3_l1 *l1 = NULL;
        uint32_t space = 0;
        enum t3_l1_answer answer = T3_L1_MISS;
        struct t3_l1_hit hit = {0};
        t3_alloc_fail_at(nth);
        tears_status status = t3_l1_sqlite_new(BUDGET, &l1, NULL);
        if (status == TEARS_OK)
            status = l1->ops->open_space(l1, schema, &space, NULL);
        if (status == TEARS_OK) {
            const struct t3_l1_put put = l1_fill(l1, space, &key.key, row, 1);
            status = l1->ops->put(l1, space, &put);
        }
        if (status == TEARS_OK)
            status = l1->ops->get(l1, space, &key.key, &arena, &answer, &hit);
        const bool reached = t3_alloc_count() >= nth;
        t3_alloc_fail_at(0);
        assert_true(status == TEARS_OK || status == TEARS_NO_MEMORY);
        if (l1 != NULL)
            l1->ops->free(l1);
        tears_schema_free(schema);
        t3_arena_done(&arena);
        if (!reached) {
            assert_int_equal(answer, T3_L1_HIT);
            assert_true(nth > 5);
            return;
        }
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_kind_comes_back_exactly),
        TEST(values_that_look_like_others_stay_what_they_are),
        TEST(extreme_numbers_and_times_come_back),
        TEST(nulls_stay_null),
        TEST(sql_sees_tables_and_columns_by_their_names),
        TEST(sql_does_not_see_what_get_does_not),
        TEST(sql_only_reads),
        TEST(two_tiers_never_share_rows),
        TEST(tables_with_odd_names_are_cached),
        TEST(sqlite_stays_within_the_budget),
        cmocka_unit_test(every_failing_allocation_is_survived),
    };
    const int failed = l1_conformance_run("l1_sqlite", t3_l1_sqlite_new) +
                       l1_coherence_conformance_run("l1_sqlite, among processes", t3_l1_sqlite_new);
    return failed + cmocka_run_group_tests_name("l1_sqlite only", tests, NULL, NULL);
}
