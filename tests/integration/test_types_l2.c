/*
 * test_types_l2.c -- every column type through every tier, as values and as keys: two clients on
 * one SQLite file and one nats-server stand for two processes.
 */
#include "support/embedded.h"
#include "support/nats_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct embedded a; /* makes the file */
static tears_client *b_client;
static tears_session *b_session;

static void open_b(const char *path, const char *namespace_name)
{
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    struct tears_error error;
    char l3[160];
    snprintf(l3, sizeof l3, "sqlite:%s", path);
    options.l3_url = tears_str_c(l3);
    options.l2_url = tears_str_c(test_nats_shared_url());
    options.namespace_name = tears_str_c(namespace_name);
    if (tears_client_open(&options, &b_client, &error) != TEARS_OK)
        fail_msg("open: %s", error.message);
    assert_int_equal(tears_session_new(b_client, NULL, &b_session), TEARS_OK);
}

static int open_world(void **state)
{
    char namespace_name[32];
    (void)state;
    test_namespace(namespace_name);
    embedded_open_shared(&a, test_nats_shared_url(), namespace_name);
    open_b(a.path, namespace_name);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    tears_session_free(b_session);
    tears_client_free(b_client);
    embedded_close(&a);
    return 0;
}

static tears_collection *b_collection(const char *table)
{
    tears_collection *collection = NULL;
    struct tears_error error;
    if (tears_collection_open(b_client, tears_str_c(table), NULL, &collection, &error) != TEARS_OK)
        fail_msg("%s: %s", table, error.message);
    return collection;
}

static uint64_t b_notices(void)
{
    struct tears_client_stats stats = {.size = sizeof stats};
    tears_client_stats(b_client, &stats);
    return stats.notices_received;
}

static void wait_for_notice(uint64_t before)
{
    for (int i = 0; i < 5000 && b_notices() == before; i++)
        usleep(1000);
    assert_true(b_notices() > before);
}

/* ---- values
 * --------------------------------------------------------------------------------------- */

static const double vector[] = {1.0, -2.5, 1e-300};

/* Columns of the table `everything`, in order, with a value of each that is easy to damage. */
static struct tears_field everything[12];

static size_t fill_everything(void)
{
    static const uint8_t uuid[16] = {0x01, 0x90, 0xa1, 0xb2, 0xc3, 0xd4, 0x7e, 0x5f,
                                     0x8a, 0x6b, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab};
    static const char bytes[] = {0, 1, (char)0xff, 0, 'x'};
    size_t n = 0;
    everything[n++] = tears_field_of(TEARS_STR("id"), tears_uuid(uuid));
    everything[n++] =
        tears_field_of(TEARS_STR("t"), tears_text(TEARS_STR("\xf0\x9f\x98\x80\" \\ \n \x7f")));
    everything[n++] = tears_field_of(TEARS_STR("d"), tears_decimal(TEARS_STR("12.3400")));
    everything[n++] = tears_field_of(TEARS_STR("ts"), tears_timestamp_us(1780488000000001));
    everything[n++] = tears_field_of(
        TEARS_STR("j"), tears_json(TEARS_STR("{\"a\": 0.10, \"b\": [1e400, \"\xc3\xa9\"]}")));
    everything[n++] =
        tears_field_of(TEARS_STR("by"), tears_bytes(tears_str_n(bytes, sizeof bytes)));
    everything[n++] = tears_field_of(TEARS_STR("empty"), tears_bytes(TEARS_STR("")));
    everything[n++] = tears_field_of(TEARS_STR("i"), tears_int(INT64_MIN));
    everything[n++] = tears_field_of(TEARS_STR("bo"), tears_bool(true));
    everything[n++] = tears_field_of(TEARS_STR("do"), tears_double(0.1));
    everything[n++] = tears_field_of(TEARS_STR("v"), tears_vector(vector, 3));
    everything[n++] = tears_field_of(TEARS_STR("absent"), tears_null());
    return n;
}

static void assert_everything(const tears_entity *entity, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct tears_value value;
        assert_int_equal(tears_entity_get(entity, everything[i].name, &value), TEARS_OK);
        if (!tears_value_equal(&value, &everything[i].value))
            fail_msg("column %.*s from tier %u", (int)everything[i].name.len,
                     everything[i].name.ptr, tears_entity_tier(entity));
    }
}

/* W-31: a value is the same, kind and content, whichever tier it comes from. */
static void w31_values_survive_every_tier(void **state)
{
    (void)state;
    embedded_sql(&a, "CREATE TABLE everything (id TEXT_UUID PRIMARY KEY, t TEXT, d TEXT_NUMERIC, "
                     "ts TEXT_DATETIME, j TEXT_JSON, \"by\" BLOB, empty BLOB, i BIGINT, "
                     "bo INTEGER_BOOL, \"do\" REAL, v TEXT_VECTOR(3), absent TEXT)");
    tears_collection *at_a = embedded_collection(&a, "everything");
    tears_collection *at_b = b_collection("everything");
    const size_t count = fill_everything();
    tears_entity *entity = NULL;
    const uint64_t before = b_notices();
    if (tears_insert(a.session, at_a, everything, count, &entity) != TEARS_OK)
        fail_msg("insert: %s", tears_session_error(a.session)->message);
    assert_everything(entity, count);
    wait_for_notice(before);
    const struct tears_value key = everything[0].value;
    static const uint32_t tiers[] = {TEARS_TIER_L2, TEARS_TIER_L1};
    for (size_t i = 0; i < 2; i++) {
        if (tears_get(b_session, at_b, &key, 1, &entity) != TEARS_OK)
            fail_msg("get: %s", tears_session_error(b_session)->message);
        assert_int_equal(tears_entity_tier(entity), tiers[i]);
        assert_everything(entity, count);
    }
    assert_int_equal(tears_invalidate(b_session, at_b, &key, 1), TEARS_OK);
    assert_int_equal(tears_get(b_session, at_b, &key, 1, &entity), TEARS_OK);
    assert_int_equal(tears_entity_tier(entity), TEARS_TIER_L3);
    assert_everything(entity, count);
}

/* ---- keys
 * ------------------------------------------------------------------------------------------ */

static void assert_notice_evicts(const char *table, struct tears_value key)
{
    tears_collection *at_a = embedded_collection(&a, table);
    tears_collection *at_b = b_collection(table);
    const struct tears_field row[] = {tears_field_of(TEARS_STR("id"), key), field_int("n", 1)};
    tears_entity *entity = NULL;
    uint64_t before = b_notices();
    if (tears_insert(a.session, at_a, row, 2, &entity) != TEARS_OK)
        fail_msg("%s: %s", table, tears_session_error(a.session)->message);
    wait_for_notice(before);
    tears_entity *seen = NULL;
    assert_int_equal(tears_get(b_session, at_b, &key, 1, &seen), TEARS_OK);
    assert_true(tears_exists_in_l1(b_session, at_b, &key, 1));
    before = b_notices();
    const struct tears_field change = field_int("n", 2);
    assert_int_equal(tears_update(a.session, entity, &change, 1, NULL), TEARS_OK);
    wait_for_notice(before);
    assert_int_equal(tears_get(b_session, at_b, &key, 1, &seen), TEARS_OK);
    assert_int_equal(embedded_int(seen, "n"), 2);
}

/* W-06: ids are read by the type of the key column, so keys of every type are evicted. */
static void w06_notices_evict_keys_of_every_type(void **state)
{
    (void)state;
    embedded_sql(
        &a, "CREATE TABLE by_time (id TEXT_DATETIME PRIMARY KEY, n BIGINT, row_version BIGINT)");
    embedded_sql(
        &a, "CREATE TABLE by_flag (id INTEGER_BOOL PRIMARY KEY, n BIGINT, row_version BIGINT)");
    embedded_sql(&a, "CREATE TABLE by_bytes (id BLOB PRIMARY KEY, n BIGINT, row_version BIGINT)");
    embedded_sql(
        &a, "CREATE TABLE by_number (id TEXT_NUMERIC PRIMARY KEY, n BIGINT, row_version BIGINT)");
    embedded_sql(&a, "CREATE TABLE by_text (id TEXT PRIMARY KEY, n BIGINT, row_version BIGINT)");
    assert_notice_evicts("by_time", tears_timestamp_us(1780488000000001));
    assert_notice_evicts("by_flag", tears_bool(true));
    assert_notice_evicts("by_bytes", tears_bytes(tears_str_n("\0'x\"\xff", 5)));
    assert_notice_evicts("by_number", tears_decimal(TEARS_STR("1.50")));
    assert_notice_evicts("by_text", tears_text(TEARS_STR("a b\n\xc3\xa9")));
}

/* W-07: two keys that share their text in L2 are never taken for each other. */
static void w07_keys_that_look_alike(void **state)
{
    (void)state;
    embedded_sql(&a, "CREATE TABLE pairs (a TEXT, b TEXT, n BIGINT, row_version BIGINT, "
                     "PRIMARY KEY (a, b))");
    tears_collection *at_a = embedded_collection(&a, "pairs");
    tears_collection *at_b = b_collection("pairs");
    const struct tears_field one[] = {field_text("a", "a_b"), field_text("b", "c"),
                                      field_int("n", 1)};
    const struct tears_field two[] = {field_text("a", "a"), field_text("b", "b_c"),
                                      field_int("n", 2)};
    assert_int_equal(tears_insert(a.session, at_a, one, 3, NULL), TEARS_OK);
    assert_int_equal(tears_insert(a.session, at_a, two, 3, NULL), TEARS_OK);
    for (int i = 0; i < 3; i++) {
        const struct tears_value first[] = {one[0].value, one[1].value};
        const struct tears_value second[] = {two[0].value, two[1].value};
        tears_entity *entity = NULL;
        assert_int_equal(tears_get(b_session, at_b, first, 2, &entity), TEARS_OK);
        assert_int_equal(embedded_int(entity, "n"), 1);
        assert_int_equal(tears_get(b_session, at_b, second, 2, &entity), TEARS_OK);
        assert_int_equal(embedded_int(entity, "n"), 2);
        assert_int_equal(tears_evict(b_session, at_b, first, 2), TEARS_OK);
        assert_int_equal(tears_evict(b_session, at_b, second, 2), TEARS_OK);
        usleep(20000);
    }
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void)
{
    test_nats_alone();
    const struct CMUnitTest tests[] = {
        IN_WORLD(w31_values_survive_every_tier),
        IN_WORLD(w06_notices_evict_keys_of_every_type),
        IN_WORLD(w07_keys_that_look_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
