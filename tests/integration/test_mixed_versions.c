/*
 * test_mixed_versions.c -- two versions of a program share a table and a bucket while one replaces the other: their schemas
 * differ, and the format of L2 has no place to say so.
 *
 * What has to hold: nobody takes an incomplete row for a whole one, whoever misses something gets it from L3 and puts the whole
 * row into L2, and that costs one question to L3 for each write or miss of the other version, not a storm.
 */
#include "support/embedded.h"
#include "support/l2_fixture.h"
#include "support/nats_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { WAIT_MS_MAX = 10000 };

/* One version of the program: what it knows of the table. */
struct version {
    tears_client *client;
    tears_collection *rows;
    tears_session *session;
    tears_schema *schema;
};

static struct embedded database; /* a client of its own makes the table */
static char space[32];
static struct version old;
static struct version new;

static tears_schema *schema_with(const char *extra, bool versioned)
{
    const struct tears_str key = TEARS_STR("id");
    struct tears_column_def columns[4];
    size_t count = 0;
    memset(columns, 0, sizeof columns);
    columns[count].name = key;
    columns[count++].type = TEARS_TYPE_BIGINT;
    columns[count].name = TEARS_STR("name");
    columns[count++].type = TEARS_TYPE_STRING;
    if (extra[0] != '\0') {
        columns[count].name = tears_str_c(extra);
        columns[count].nullable = true; /* a missing member must not pass for NULL */
        columns[count++].type = TEARS_TYPE_STRING;
    }
    if (versioned) {
        columns[count].name = TEARS_STR("row_version");
        columns[count].server_default = TEARS_STR("1");
        columns[count++].type = TEARS_TYPE_BIGINT;
    }
    struct tears_schema_def def = {.name = TEARS_STR("items"),
                                   .primary_key = &key,
                                   .primary_key_count = 1,
                                   .columns = columns,
                                   .column_count = count};
    if (versioned)
        def.version_column = TEARS_STR("row_version");
    tears_schema *schema = NULL;
    struct tears_error error;
    if (tears_schema_new(&def, &schema, &error) != TEARS_OK)
        fail_msg("schema: %s", error.message);
    return schema;
}

static void open_version(struct version *version, const char *extra, bool versioned)
{
    struct tears_client_options client = TEARS_CLIENT_OPTIONS_INIT;
    struct tears_collection_options collection = TEARS_COLLECTION_OPTIONS_INIT;
    struct tears_error error;
    char url[160];
    snprintf(url, sizeof url, "sqlite:%s", database.path);
    client.l3_url = tears_str_c(url);
    client.l2_url = tears_str_c(test_nats_shared_url());
    client.namespace_name = tears_str_c(space);
    client.staleness_ms_max = 60000; /* a late proof of a busy machine is no miss */
    if (tears_client_open(&client, &version->client, &error) != TEARS_OK)
        fail_msg("client: %s", error.message);
    version->schema = schema_with(extra, versioned);
    collection.schema = version->schema;
    if (tears_collection_open(version->client, TEARS_STR("items"), &collection, &version->rows,
                              &error) != TEARS_OK)
        fail_msg("items: %s", error.message);
    assert_int_equal(tears_session_new(version->client, NULL, &version->session), TEARS_OK);
    struct tears_collection_status status = TEARS_COLLECTION_STATUS_INIT;
    for (int ms = 0; ms < WAIT_MS_MAX && status.feed != TEARS_FEED_CURRENT; ms += 5) {
        usleep(5000);
        tears_collection_status(version->rows, &status);
    }
    assert_int_equal(status.feed, TEARS_FEED_CURRENT);
}

static void close_version(struct version *version)
{
    if (version->client == NULL)
        return;
    tears_session_free(version->session);
    tears_client_free(version->client);
    tears_schema_free(version->schema);
    memset(version, 0, sizeof *version);
}

static int open_world(void **state)
{
    (void)state;
    test_namespace(space);
    embedded_open(&database, "");
    embedded_sql(&database, "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, note TEXT, "
                            "price TEXT, row_version INTEGER NOT NULL DEFAULT 1)");
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    close_version(&old);
    close_version(&new);
    embedded_close(&database);
    return 0;
}

static void put(struct version *version, const struct tears_field *fields, size_t count)
{
    if (tears_upsert(version->session, version->rows, fields, count, NULL) != TEARS_OK)
        fail_msg("put: %s", tears_session_error(version->session)->message);
    usleep(100000); /* the news have come, and nothing is dropped late */
}

static tears_entity *get(struct version *version)
{
    const struct tears_value key = tears_int(1);
    tears_entity *entity = NULL;
    if (tears_get(version->session, version->rows, &key, 1, &entity) != TEARS_OK)
        fail_msg("get: %s", tears_session_error(version->session)->message);
    return entity;
}

static void evict(struct version *version)
{
    const struct tears_value key = tears_int(1);
    assert_int_equal(tears_evict(version->session, version->rows, &key, 1), TEARS_OK);
}

static bool is_in_l1(struct version *version)
{
    const struct tears_value key = tears_int(1);
    return tears_exists_in_l1(version->session, version->rows, &key, 1);
}

static uint64_t l3_reads(const struct version *version)
{
    struct tears_client_stats stats = TEARS_CLIENT_STATS_INIT;
    tears_client_stats(version->client, &stats);
    return stats.l3_reads;
}

static void let_fill_arrive(void)
{
    usleep(150000);
}

/*
 * Trap 24: the new version has one more column.  What it writes is enough for the old one.  What the old one writes is not enough for
 * the new one: it asks L3, once for each such write, and heals L2.  That one question cannot be avoided, for the old one does not
 * know what it would have to write.
 */
static void trap_24_one_more_column(void **state)
{
    (void)state;
    open_version(&old, "", true);
    open_version(&new, "note", true);
    const struct tears_field whole[] = {field_int("id", 1), field_text("name", "one"),
                                        field_text("note", "kept")};
    const struct tears_field part[] = {field_int("id", 1), field_text("name", "two")};
    put(&new, whole, 3);
    assert_string_equal(embedded_text(get(&old), "name"), "one");
    assert_int_equal(tears_session_tier(old.session), TEARS_TIER_L2);
    for (int round = 0; round < 3; round++) {
        put(&old, part, 2);
        const uint64_t before = l3_reads(&new);
        tears_entity *entity = get(&new);
        assert_string_equal(embedded_text(entity, "name"), "two");
        assert_string_equal(embedded_text(entity, "note"), "kept"); /* and not NULL */
        assert_int_equal(l3_reads(&new), before + 1);
        let_fill_arrive();
        evict(&new);
        assert_string_equal(embedded_text(get(&new), "note"), "kept");
        assert_int_equal(tears_session_tier(new.session), TEARS_TIER_L2); /* healed */
        assert_int_equal(l3_reads(&new), before + 1);
        assert_true(is_in_l1(&old)); /* a row made whole is no news: it has the same version */
        evict(&old);
        assert_string_equal(embedded_text(get(&old), "name"), "two");
        assert_int_equal(tears_session_tier(old.session), TEARS_TIER_L2);
    }
}

/*
 * Trap 24: the new version has dropped a column, the other way round.  The old one finds it missing and asks L3, as long as L3 has
 * it; the new one does not mind it.
 */
static void trap_24_a_column_dropped(void **state)
{
    (void)state;
    open_version(&old, "note", true);
    open_version(&new, "", true);
    const struct tears_field whole[] = {field_int("id", 1), field_text("name", "one"),
                                        field_text("note", "kept")};
    const struct tears_field part[] = {field_int("id", 1), field_text("name", "two")};
    put(&old, whole, 3);
    assert_string_equal(embedded_text(get(&new), "name"), "one");
    assert_int_equal(tears_session_tier(new.session), TEARS_TIER_L2);
    put(&new, part, 2);
    assert_string_equal(embedded_text(get(&old), "note"), "kept");
    assert_string_equal(embedded_text(get(&old), "name"), "two");
    assert_int_equal(l3_reads(&old), 1);
    let_fill_arrive();
    assert_true(is_in_l1(&new));
    assert_string_equal(embedded_text(get(&new), "name"), "two");
    assert_int_equal(l3_reads(&new), 0);
}

/*
 * Trap 24: each version has a column that the other one has not, so no row in L2 is enough for both.  Each miss in L1 of a row that the other
 * one has put there costs a question to L3; that is the price of sharing the key.  Rows in L1 are not touched by it: with versions
 * the two do not drive each other out.
 */
static void trap_24_each_lacks_a_column_of_the_other(void **state)
{
    enum { ROUNDS = 20, MISSES = 4 };
    (void)state;
    open_version(&old, "note", true);
    open_version(&new, "price", true);
    embedded_sql(&database, "INSERT INTO items VALUES (1, 'one', 'kept', '9.50', 1)");
    assert_string_equal(embedded_text(get(&old), "note"), "kept");
    let_fill_arrive();
    assert_string_equal(embedded_text(get(&new), "price"), "9.50");
    let_fill_arrive();
    for (int round = 0; round < ROUNDS; round++) {
        assert_string_equal(embedded_text(get(&old), "note"), "kept");
        assert_string_equal(embedded_text(get(&new), "price"), "9.50");
    }
    assert_int_equal(l3_reads(&old), 1);
    assert_int_equal(l3_reads(&new), 1);
    for (int miss = 0; miss < MISSES; miss++) {
        evict(&old);
        assert_string_equal(embedded_text(get(&old), "note"), "kept");
        let_fill_arrive();
        assert_true(is_in_l1(&new));
        evict(&new);
        assert_string_equal(embedded_text(get(&new), "price"), "9.50");
        let_fill_arrive();
        assert_true(is_in_l1(&old));
    }
    assert_int_equal(l3_reads(&old), 1 + MISSES);
    assert_int_equal(l3_reads(&new), 1 + MISSES);
}

/*
 * The same without a version column: that the other one's fill says nothing new cannot be seen, so it drops the row.  Two such versions that
 * take turns reading one row ask L3 each time.  It is never wrong, and it ends with the rollout.
 */
static void trap_24_without_versions_both_stay_right(void **state)
{
    enum { ROUNDS = 5 };
    (void)state;
    open_version(&old, "note", false);
    open_version(&new, "price", false);
    embedded_sql(&database, "INSERT INTO items VALUES (1, 'one', 'kept', '9.50', 1)");
    for (int round = 0; round < ROUNDS; round++) {
        assert_string_equal(embedded_text(get(&old), "note"), "kept");
        let_fill_arrive();
        assert_string_equal(embedded_text(get(&new), "price"), "9.50");
        let_fill_arrive();
    }
    assert_in_range(l3_reads(&old), 1, ROUNDS);
    assert_in_range(l3_reads(&new), 1, ROUNDS);
    const struct tears_field part[] = {field_int("id", 1), field_text("name", "two")};
    put(&old, part, 2);
    assert_string_equal(embedded_text(get(&new), "name"), "two");
    assert_string_equal(embedded_text(get(&new), "price"), "9.50");
}

/* ---- keys ------------------------------------------------------------------------------------------ */

static tears_schema *notes_by(uint64_t key_type)
{
    const struct tears_str key = TEARS_STR("id");
    struct tears_column_def columns[3];
    memset(columns, 0, sizeof columns);
    columns[0].name = key;
    columns[0].type = key_type;
    columns[1].name = TEARS_STR("body");
    columns[1].type = TEARS_TYPE_STRING;
    columns[2].name = TEARS_STR("row_version");
    columns[2].type = TEARS_TYPE_BIGINT;
    const struct tears_schema_def def = {.name = TEARS_STR("notes"),
                                         .primary_key = &key,
                                         .primary_key_count = 1,
                                         .columns = columns,
                                         .column_count = 3,
                                         .version_column = TEARS_STR("row_version")};
    tears_schema *schema = NULL;
    assert_int_equal(tears_schema_new(&def, &schema, NULL), TEARS_OK);
    return schema;
}

/* The row of a key as one version of the program sees it in L2. */
struct view {
    tears_schema *schema;
    struct tears_value value;
    struct t3_key key;
    struct t3_row *row;
};

static void open_view(struct view *view, struct t3_arena *arena, uint64_t key_type,
                      struct tears_value value)
{
    struct tears_value storage;
    view->schema = notes_by(key_type);
    view->value = value;
    assert_int_equal(t3_key_init(view->schema, &view->value, 1, &storage, arena, &view->key, NULL),
                     TEARS_OK);
    view->key.values = &view->value;
    const struct tears_value values[] = {value, tears_text(TEARS_STR("body")), tears_int(1)};
    assert_int_equal(t3_row_new(arena, &view->schema->layout, values, &view->row), TEARS_OK);
}

static enum t3_l2_state look(struct t3_l2 *l2, const struct view *view, struct t3_arena *arena,
                             uint64_t *revision_out)
{
    struct t3_l2_entry entry;
    assert_int_equal(
        t3_l2_get(l2, view->schema, &view->key, 1, arena, t3_deadline_in_ms(5000), &entry, NULL),
        TEARS_OK);
    *revision_out = entry.revision;
    return entry.state;
}

static void fill_over(struct t3_l2 *l2, const struct view *view, uint64_t seen,
                      struct test_news *news)
{
    const int before = atomic_load(&news->filled);
    assert_int_equal(
        t3_l2_fill(l2, view->schema, NULL, &view->key, view->row, 1, seen, t3_now_coarse_ms()),
        TEARS_OK);
    for (int ms = 0; ms < 500 && atomic_load(&news->filled) == before; ms++)
        usleep(1000);
}

/*
 * Trap 24: the key's column has another type.  Where its text is the same (1 and "1"), the two share an entry.  Who wants a text takes the
 * number for damaged and puts its own there; who wants a number understands the text that says it.  Where the text is another one, they
 * have entries of their own.
 */
static void trap_24_another_type_of_key(void **state)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    static struct test_news news;
    struct view number;
    struct view text;
    struct view uuid;
    uint64_t revision = 0;
    (void)state;
    struct t3_l2 *l2 = test_l2_open(test_nats_shared_url(), space, "one", &news);
    open_view(&number, &arena, TEARS_TYPE_BIGINT, tears_int(1));
    open_view(&text, &arena, TEARS_TYPE_STRING, tears_text(TEARS_STR("1")));
    const uint8_t bytes[16] = {1};
    open_view(&uuid, &arena, TEARS_TYPE_UUID, tears_uuid(bytes));
    fill_over(l2, &number, 0, &news);
    assert_int_equal(look(l2, &number, &arena, &revision), T3_L2_ROW);
    assert_int_equal(look(l2, &text, &arena, &revision), T3_L2_DAMAGED);
    fill_over(l2, &text, revision, &news);
    assert_int_equal(look(l2, &text, &arena, &revision), T3_L2_ROW);
    assert_int_equal(look(l2, &number, &arena, &revision), T3_L2_ROW);
    assert_int_equal(look(l2, &uuid, &arena, &revision), T3_L2_ABSENT);
    t3_l2_free(l2);
    tears_schema_free(number.schema);
    tears_schema_free(text.schema);
    tears_schema_free(uuid.schema);
}

int main(void)
{
    test_nats_alone();
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
    const struct CMUnitTest tests[] = {
        TEST(trap_24_one_more_column),
        TEST(trap_24_a_column_dropped),
        TEST(trap_24_each_lacks_a_column_of_the_other),
        TEST(trap_24_without_versions_both_stay_right),
        TEST(trap_24_another_type_of_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
