/*
 * test_explain.c -- what each tier holds of a row, and what is in force for a table.
 */
#include "support/embedded.h"
#include "support/nats_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static struct embedded world;
static tears_collection *items;
static char namespace_name[32];
static struct test_nats *own_server;

static void make_table(void)
{
    embedded_sql(&world, "CREATE TABLE items (id BIGINT NOT NULL PRIMARY KEY, name TEXT, "
                         "row_version BIGINT NOT NULL)");
    embedded_sql(&world, "INSERT INTO items VALUES (1, 'one', 5)");
    items = embedded_collection(&world, "items");
    struct tears_collection_status status = TEARS_COLLECTION_STATUS_INIT;
    const struct timespec pause = {.tv_nsec = 2000000};
    for (int i = 0; i < 2000; i++) {
        tears_collection_status(items, &status);
        if (status.feed == TEARS_FEED_CURRENT || status.feed == TEARS_FEED_NONE)
            return;
        nanosleep(&pause, NULL);
    }
    fail_msg("the feed is not proven");
}

static int open_world(void **state)
{
    (void)state;
    test_namespace(namespace_name);
    embedded_open_shared(&world, test_nats_shared_url(), namespace_name);
    make_table();
    return 0;
}

static int open_own_world(void **state)
{
    (void)state;
    test_namespace(namespace_name);
    own_server = test_nats_start(NULL);
    embedded_open_shared(&world, test_nats_url(own_server), namespace_name);
    make_table();
    return 0;
}

static int open_lone_world(void **state)
{
    (void)state;
    embedded_open(&world, "");
    make_table();
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    embedded_close(&world);
    test_nats_free(own_server);
    own_server = NULL;
    return 0;
}

static const struct tears_explanation *explain(int64_t id)
{
    const struct tears_value key = tears_int(id);
    const struct tears_explanation *explanation = NULL;
    if (tears_explain(world.session, items, &key, 1, &explanation) != TEARS_OK)
        fail_msg("explain: %s", tears_session_error(world.session)->message);
    return explanation;
}

static void read_row(int64_t id)
{
    const struct tears_value key = tears_int(id);
    tears_entity *entity = NULL;
    const tears_status status = tears_get(world.session, items, &key, 1, &entity);
    assert_true(status == TEARS_OK || status == TEARS_NOT_FOUND);
}

static const struct tears_explanation *explain_with_l2(int64_t id, uint64_t state)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    for (int i = 0; i < 400 && explain(id)->l2.state != state; i++)
        nanosleep(&pause, NULL);
    return explain(id);
}

static void put(int64_t id, const char *name)
{
    const struct tears_field fields[] = {field_int("id", id), field_text("name", name)};
    assert_int_equal(tears_upsert(world.session, items, fields, 2, NULL), TEARS_OK);
}

static void explaining_changes_nothing(void **state)
{
    (void)state;
    const struct tears_explanation *it = explain(1);
    assert_int_equal(it->l1.state, TEARS_COPY_ABSENT);
    assert_int_equal(it->l2.state, TEARS_COPY_ABSENT);
    assert_int_equal(it->l3.state, TEARS_COPY_ROW);
    assert_int_equal(it->l3.version, 5);
    assert_int_equal(it->agree, 1);
    assert_int_equal(it->pending, 0);
    assert_string_equal(it->l2_key.ptr, "items.1");
    assert_int_equal(it->hint.len, 0);
    assert_int_equal(explain(1)->l1.state, TEARS_COPY_ABSENT);
}

static void all_tiers_hold_the_same_row(void **state)
{
    (void)state;
    read_row(1);
    const struct tears_explanation *it = explain_with_l2(1, TEARS_COPY_ROW);
    assert_int_equal(it->l1.state, TEARS_COPY_ROW);
    assert_int_equal(it->l2.state, TEARS_COPY_ROW);
    assert_int_equal(it->l1.version, 5);
    assert_int_equal(it->l2.version, 5);
    assert_int_equal(it->l1.hash.len, 16);
    assert_string_equal(it->l1.hash.ptr, it->l3.hash.ptr);
    assert_string_equal(it->l2.hash.ptr, it->l3.hash.ptr);
    assert_int_equal(it->l2.writer.len, 36);
    assert_true(it->l2.revision > 0);
    assert_int_equal(it->l1.is_trusted, 1);
    assert_true(it->l1.age_ms < 60000);
    assert_true(it->l1.as_of_ms <= it->l1.age_ms);
    assert_int_equal(it->agree, 1);
}

static void a_change_outside_the_library_shows(void **state)
{
    (void)state;
    read_row(1);
    (void)explain_with_l2(1, TEARS_COPY_ROW);
    embedded_sql(&world, "UPDATE items SET name = 'raw', row_version = 6 WHERE id = 1");
    const struct tears_explanation *it = explain(1);
    assert_int_equal(it->agree, 0);
    assert_int_equal(it->l3.version, 6);
    assert_int_equal(it->l2.version, 5);
    assert_non_null(strstr(it->hint.ptr, "outside the library"));
    const struct tears_value key = tears_int(1);
    assert_int_equal(tears_invalidate(world.session, items, &key, 1), TEARS_OK);
    it = explain(1);
    assert_int_equal(it->agree, 1);
    assert_int_equal(it->l2.state, TEARS_COPY_MARKER);
}

static void what_does_not_exist_is_known_not_to(void **state)
{
    (void)state;
    read_row(2);
    const struct tears_explanation *it = explain(2);
    assert_int_equal(it->l1.state, TEARS_COPY_MARKER);
    assert_int_equal(it->l3.state, TEARS_COPY_ABSENT);
    assert_int_equal(it->agree, 1);
    embedded_sql(&world, "INSERT INTO items VALUES (2, 'two', 1)");
    assert_int_equal(explain(2)->agree, 0);
}

static void a_deleted_row_leaves_a_marker(void **state)
{
    (void)state;
    const struct tears_value key = tears_int(1);
    put(1, "again");
    assert_int_equal(tears_delete(world.session, items, &key, 1), TEARS_OK);
    const struct tears_explanation *it = explain(1);
    assert_int_equal(it->l2.state, TEARS_COPY_MARKER);
    assert_int_equal(it->l3.state, TEARS_COPY_ABSENT);
    assert_int_equal(it->agree, 1);
}

static void a_transaction_is_pending(void **state)
{
    (void)state;
    assert_int_equal(tears_begin(world.session), TEARS_OK);
    put(1, "maybe");
    assert_int_equal(explain(1)->pending, 1);
    assert_int_equal(tears_rollback(world.session), TEARS_OK);
    assert_int_equal(explain(1)->pending, 0);
}

static void a_tier_that_does_not_answer_is_unknown(void **state)
{
    (void)state;
    put(1, "before");
    test_nats_kill(own_server);
    put(1, "after");
    const struct tears_explanation *it = explain(1);
    assert_int_equal(it->l2.state, TEARS_COPY_UNKNOWN);
    assert_true(it->l2.detail.len > 0);
    assert_int_equal(it->l3.state, TEARS_COPY_ROW);
    assert_int_equal(it->pending, 1);
    struct tears_collection_status status = TEARS_COLLECTION_STATUS_INIT;
    tears_collection_status(items, &status);
    assert_int_equal(status.bound_ms, 3000);
}

static void a_key_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    const struct tears_value key = tears_text(TEARS_STR("x"));
    const struct tears_explanation *explanation = NULL;
    assert_int_equal(tears_explain(world.session, items, &key, 1, &explanation), TEARS_INVALID);
}

static void without_l2_age_is_the_bound(void **state)
{
    (void)state;
    struct tears_collection_status status = TEARS_COLLECTION_STATUS_INIT;
    read_row(1);
    const struct tears_explanation *it = explain(1);
    assert_int_equal(it->l2.state, TEARS_COPY_UNUSED);
    assert_int_equal(it->l1.state, TEARS_COPY_ROW);
    assert_int_equal(it->l1.is_trusted, 1);
    assert_int_equal(it->agree, 1);
    tears_collection_status(items, &status);
    assert_int_equal(status.feed, TEARS_FEED_NONE);
    assert_int_equal(status.bound_ms, 60000);
    assert_int_equal(status.l1_age_ms_max, 60000);
}

/* ---- bounds -------------------------------------------------------------------------------- */

static void bounds_are_what_the_options_say(void **state)
{
    (void)state;
    struct tears_collection_options options = TEARS_COLLECTION_OPTIONS_INIT;
    struct tears_collection_status status = TEARS_COLLECTION_STATUS_INIT;
    tears_collection *own = NULL;
    struct tears_error error;
    tears_collection_status(items, &status);
    assert_int_equal(status.bound_ms, 3000);
    assert_int_equal(status.strict, 0);
    embedded_sql(&world, "CREATE TABLE own (id BIGINT NOT NULL PRIMARY KEY)");
    options.staleness_ms_max = 99;
    assert_int_equal(tears_collection_open(world.client, TEARS_STR("own"), &options, &own, &error),
                     TEARS_INVALID);
    assert_non_null(strstr(error.message, "staleness_ms_max"));
    options.staleness_ms_max = 500;
    options.stale_ms_max = 9000;
    options.fill_lease_ms = 700;
    options.strict = 1;
    assert_int_equal(tears_collection_open(world.client, TEARS_STR("own"), &options, &own, &error),
                     TEARS_OK);
    tears_collection_status(own, &status);
    assert_int_equal(status.bound_ms, 500);
    assert_int_equal(status.stale_ms_max, 9000);
    assert_int_equal(status.fill_lease_ms, 700);
    assert_int_equal(status.strict, 1);
    options.staleness_ms_max = 600;
    assert_int_equal(tears_collection_open(world.client, TEARS_STR("own"), &options, &own, &error),
                     TEARS_MISUSE);
    embedded_sql(&world, "CREATE TABLE apart (id BIGINT NOT NULL PRIMARY KEY)");
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.no_l2 = 1;
    assert_int_equal(
        tears_collection_open(world.client, TEARS_STR("apart"), &options, &own, &error), TEARS_OK);
    tears_collection_status(own, &status);
    assert_int_equal(status.feed, TEARS_FEED_NOTICES);
    assert_int_equal(status.bound_ms, 60000);
}

static void a_client_that_asks_too_much_is_refused(void **state)
{
    (void)state;
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    struct tears_error error;
    tears_client *client = NULL;
    options.l3_url = TEARS_STR("sqlite::memory:");
    options.staleness_ms_max = 50;
    assert_int_equal(tears_client_open(&options, &client, &error), TEARS_INVALID);
    assert_non_null(strstr(error.message, "staleness_ms_max"));
}

/* What doctor says of the feed, to people. */
static void doctor_tells_of_the_feed(void **state)
{
    (void)state;
    const struct tears_finding *findings = NULL;
    size_t count = 0;
    bool has_bound = false;
    bool has_feed = false;
    assert_int_equal(tears_client_doctor(world.session, &findings, &count), TEARS_OK);
    for (size_t i = 0; i < count; i++) {
        const char *subject = findings[i].subject.ptr;
        has_bound = has_bound || (strcmp(subject, "bound of reads") == 0 &&
                                  strcmp(findings[i].value.ptr, "3000 ms") == 0);
        has_feed =
            has_feed || (strcmp(subject, "proof of the feed") == 0 && findings[i].severity == 0 &&
                         strstr(findings[i].value.ptr, "0 losses") != NULL);
    }
    assert_true(has_bound);
    assert_true(has_feed);
}

#define EXPLAIN_TEST(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)

int main(void)
{
    test_nats_alone();
    const struct CMUnitTest tests[] = {
        EXPLAIN_TEST(explaining_changes_nothing),
        EXPLAIN_TEST(all_tiers_hold_the_same_row),
        EXPLAIN_TEST(a_change_outside_the_library_shows),
        EXPLAIN_TEST(what_does_not_exist_is_known_not_to),
        EXPLAIN_TEST(a_deleted_row_leaves_a_marker),
        EXPLAIN_TEST(a_transaction_is_pending),
        cmocka_unit_test_setup_teardown(a_tier_that_does_not_answer_is_unknown, open_own_world,
                                        close_world),
        EXPLAIN_TEST(a_key_that_does_not_fit_is_refused),
        cmocka_unit_test_setup_teardown(without_l2_age_is_the_bound, open_lone_world, close_world),
        EXPLAIN_TEST(bounds_are_what_the_options_say),
        EXPLAIN_TEST(a_client_that_asks_too_much_is_refused),
        EXPLAIN_TEST(doctor_tells_of_the_feed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
