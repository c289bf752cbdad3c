/*
 * test_session.c -- what a session promises: its deadline, its memory, its error, its end.
 */
#include "base/clock.h"
#include "support/embedded.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct embedded world;
static tears_collection *notes;

static int open_world(void **state)
{
    (void)state;
    embedded_open(&world, "");
    embedded_sql(&world, "CREATE TABLE notes (id INTEGER PRIMARY KEY, title TEXT NOT NULL, "
                         "row_version BIGINT NOT NULL)");
    notes = embedded_collection(&world, "notes");
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    embedded_close(&world);
    return 0;
}

static void insert_note(int64_t id, const char *title)
{
    const struct tears_field fields[] = {field_int("id", id), field_text("title", title)};
    if (tears_insert(world.session, notes, fields, 2, NULL) != TEARS_OK)
        fail_msg("insert: %s", tears_session_error(world.session)->message);
}

/* ---- deadlines ----------------------------------------------------------------------------- */

/* A statement that would run for hours ends when its session's time is over. */
static void a_long_statement_ends_in_time(void **state)
{
    (void)state;
    tears_session_set_timeout(world.session, 200);
    const uint64_t start = t3_now_us();
    assert_int_equal(
        tears_execute(world.session,
                      TEARS_STR("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
                                "SELECT count(*) FROM n"),
                      NULL, 0, NULL),
        TEARS_TIMEOUT);
    assert_true(t3_now_us() - start < 3000000);
    tears_session_set_timeout(world.session, 0); /* the client's again */
    insert_note(1, "works");
}

/* A writer that waits for another's transaction waits no longer than its deadline. */
static void waiting_for_a_writer_ends_in_time(void **state)
{
    (void)state;
    struct tears_session_options options = TEARS_SESSION_OPTIONS_INIT;
    tears_session *hasty = NULL;
    options.timeout_ms = 150;
    assert_int_equal(tears_session_new(world.client, &options, &hasty), TEARS_OK);
    assert_int_equal(tears_begin(world.session), TEARS_OK);
    insert_note(1, "held");
    const struct tears_field fields[] = {field_int("id", 2), field_text("title", "waits")};
    const uint64_t start = t3_now_us();
    assert_int_equal(tears_insert(hasty, notes, fields, 2, NULL), TEARS_TIMEOUT);
    assert_true(t3_now_us() - start < 3000000);
    assert_int_equal(tears_commit(world.session), TEARS_OK);
    assert_int_equal(tears_insert(hasty, notes, fields, 2, NULL), TEARS_OK);
    tears_session_free(hasty);
}

/* ---- memory -------------------------------------------------------------------------------- */

static void memory_has_a_limit_that_a_reset_restores(void **state)
{
    (void)state;
    enum { TITLE = 20000 };
    static char title[TITLE + 1];
    memset(title, 'x', TITLE);
    for (int64_t id = 1; id <= 8; id++)
        insert_note(id, title);
    struct tears_session_options options = TEARS_SESSION_OPTIONS_INIT;
    tears_session *small = NULL;
    options.memory_bytes_max = 100000;
    assert_int_equal(tears_session_new(world.client, &options, &small), TEARS_OK);
    for (int round = 0; round < 3; round++) {
        tears_status status = TEARS_OK;
        int64_t id = 1;
        for (; id <= 8 && status == TEARS_OK; id++) {
            const struct tears_value key = tears_int(id);
            tears_entity *entity = NULL;
            status = tears_get(small, notes, &key, 1, &entity);
        }
        assert_int_equal(status, TEARS_LIMIT);
        assert_true(id >= 3);
        assert_non_null(strstr(tears_session_error(small)->message, "memory_bytes_max"));
        assert_non_null(strstr(tears_session_error(small)->message, "reset"));
        tears_session_reset(small);
        assert_int_equal(tears_session_error(small)->status, TEARS_OK);
    }
    tears_session_free(small);
}

/* One result that is larger than all the session may hold is LIMIT too, not "out of memory". */
static void one_large_row_is_over_the_limit(void **state)
{
    (void)state;
    enum { TITLE = 300000 };
    static char title[TITLE + 1];
    memset(title, 'x', TITLE);
    insert_note(1, title);
    struct tears_session_options options = TEARS_SESSION_OPTIONS_INIT;
    tears_session *small = NULL;
    options.memory_bytes_max = 100000;
    assert_int_equal(tears_session_new(world.client, &options, &small), TEARS_OK);
    const struct tears_value key = tears_int(1);
    tears_entity *entity = NULL;
    assert_int_equal(tears_get(small, notes, &key, 1, &entity), TEARS_LIMIT);
    assert_int_equal(tears_evict(small, notes, &key, 1), TEARS_OK);
    assert_int_equal(tears_get(small, notes, &key, 1, &entity), TEARS_LIMIT); /* from L3 */
    assert_null(tears_session_alloc(small, 200000));
    assert_non_null(tears_session_alloc(small, 1000));
    tears_session_free(small);
}

/* ---- errors -------------------------------------------------------------------------------- */

static void an_error_lasts_until_the_next_call(void **state)
{
    (void)state;
    const struct tears_value key = tears_int(1);
    tears_entity *entity = NULL;
    assert_int_equal(tears_get(world.session, notes, &key, 1, &entity), TEARS_NOT_FOUND);
    const struct tears_error *error = tears_session_error(world.session);
    assert_int_equal(error->status, TEARS_NOT_FOUND);
    assert_non_null(strstr(error->message, "notes"));
    assert_non_null(strstr(error->message, "1"));
    insert_note(1, "a");
    assert_int_equal(error->status, TEARS_OK);
    assert_string_equal(error->message, "");
}

static void options_of_another_age(void **state)
{
    (void)state;
    struct {
        struct tears_session_options known;
        uint64_t from_the_future;
    } options = {.known = {.size = sizeof options}};
    tears_session *session = NULL;
    assert_int_equal(tears_session_new(world.client, &options.known, &session), TEARS_OK);
    tears_session_free(session);
    session = NULL;
    options.from_the_future = 1;
    assert_int_equal(tears_session_new(world.client, &options.known, &session), TEARS_UNSUPPORTED);
    assert_null(session);
    options.known.size = 0;
    assert_int_equal(tears_session_new(world.client, &options.known, &session), TEARS_MISUSE);
    assert_int_equal(tears_session_new(NULL, NULL, &session), TEARS_MISUSE);
}

/* ---- the end ------------------------------------------------------------------------------- */

static void ending_a_session_rolls_back(void **state)
{
    (void)state;
    tears_session *session = NULL;
    assert_int_equal(tears_session_new(world.client, NULL, &session), TEARS_OK);
    const struct tears_field fields[] = {field_int("id", 1), field_text("title", "never")};
    assert_int_equal(tears_begin(session), TEARS_OK);
    assert_int_equal(tears_insert(session, notes, fields, 2, NULL), TEARS_OK);
    tears_session_free(session);
    const struct tears_value key = tears_int(1);
    tears_entity *entity = NULL;
    assert_int_equal(tears_get(world.session, notes, &key, 1, &entity), TEARS_NOT_FOUND);
    insert_note(1, "the writer is free again");
}

/* A reset in a transaction frees what was read; the transaction and its corrections stay. */
static void a_reset_keeps_the_transaction(void **state)
{
    (void)state;
    insert_note(1, "old");
    const struct tears_value key = tears_int(1);
    tears_entity *entity = NULL;
    assert_int_equal(tears_begin(world.session), TEARS_OK);
    assert_int_equal(tears_get(world.session, notes, &key, 1, &entity), TEARS_OK);
    const struct tears_field change = field_text("title", "new");
    assert_int_equal(tears_update(world.session, entity, &change, 1, NULL), TEARS_OK);
    tears_session_reset(world.session);
    assert_int_equal(tears_commit(world.session), TEARS_OK);
    assert_int_equal(tears_get(world.session, notes, &key, 1, &entity), TEARS_OK);
    assert_string_equal(embedded_text(entity, "title"), "new");
}

static void transactions_do_not_nest(void **state)
{
    (void)state;
    assert_int_equal(tears_commit(world.session), TEARS_MISUSE);
    assert_int_equal(tears_rollback(world.session), TEARS_MISUSE);
    assert_int_equal(tears_begin(world.session), TEARS_OK);
    assert_int_equal(tears_begin(world.session), TEARS_MISUSE);
    insert_note(1, "kept all the same");
    assert_int_equal(tears_commit(world.session), TEARS_OK);
    const struct tears_value key = tears_int(1);
    assert_true(tears_exists_in_l1(world.session, notes, &key, 1));
}

/* ---- threads ------------------------------------------------------------------------------- */

enum { THREADS = 6, ROUNDS = 150, SHARED_ROWS = 4 };

/* Adds one to a row again and again, trying once more after every conflict. */
static void *count_up(void *argument)
{
    const int64_t start = (int64_t)(intptr_t)argument;
    tears_session *session = NULL;
    intptr_t failures = tears_session_new(world.client, NULL, &session) != TEARS_OK;
    for (int64_t i = 0; i < ROUNDS && failures == 0; i++) {
        const struct tears_value key = tears_int((start + i) % SHARED_ROWS);
        tears_status status = TEARS_CONFLICT;
        while (status == TEARS_CONFLICT) {
            tears_entity *entity = NULL;
            struct tears_value n;
            status = tears_get(session, notes, &key, 1, &entity);
            if (status == TEARS_OK)
                status = tears_entity_get(entity, TEARS_STR("n"), &n);
            if (status != TEARS_OK)
                break;
            const struct tears_field change = field_int("n", n.as.integer + 1);
            status = tears_update(session, entity, &change, 1, NULL);
        }
        failures += status != TEARS_OK;
        tears_session_reset(session);
    }
    tears_session_free(session);
    return (void *)failures; // NOLINT: a number, not an address
}

static void sessions_of_many_threads_lose_no_update(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    embedded_sql(&world, "CREATE TABLE counters (id INTEGER PRIMARY KEY, n BIGINT NOT NULL, "
                         "row_version BIGINT NOT NULL)");
    notes = embedded_collection(&world, "counters");
    for (int64_t id = 0; id < SHARED_ROWS; id++) {
        const struct tears_field fields[] = {field_int("id", id), field_int("n", 0)};
        assert_int_equal(tears_insert(world.session, notes, fields, 2, NULL), TEARS_OK);
    }
    for (intptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, (void *)i), 0);
    for (size_t i = 0; i < THREADS; i++) {
        void *failures = NULL;
        pthread_join(threads[i], &failures);
        assert_null(failures);
    }
    int64_t sum = 0;
    for (int64_t id = 0; id < SHARED_ROWS; id++) {
        const struct tears_value key = tears_int(id);
        tears_entity *entity = NULL;
        assert_int_equal(tears_get(world.session, notes, &key, 1, &entity), TEARS_OK);
        sum += embedded_int(entity, "n");
    }
    assert_int_equal(sum, THREADS * ROUNDS);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_long_statement_ends_in_time),
        TEST(waiting_for_a_writer_ends_in_time),
        TEST(memory_has_a_limit_that_a_reset_restores),
        TEST(one_large_row_is_over_the_limit),
        TEST(an_error_lasts_until_the_next_call),
        TEST(options_of_another_age),
        TEST(ending_a_session_rolls_back),
        TEST(a_reset_keeps_the_transaction),
        TEST(transactions_do_not_nest),
        TEST(sessions_of_many_threads_lose_no_update),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
