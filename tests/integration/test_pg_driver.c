/*
 * test_pg_driver.c -- the pool and its connections against servers that refuse, hang, die and come
 * back.
 */
#include "base/alloc.h"
#include "base/hash.h"
#include "base/str.h"
#include "driver/pg.h"
#include "support/pg_server.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include <tears/client.h>

struct fixture {
    struct test_pg *server;
    struct t3_pg_pool *pool;
    struct tears_error error;
    struct t3_pg_call call;
    struct t3_arena arena;
};

static void sleep_ms(long ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

static struct t3_pg_call *within(struct fixture *f, uint64_t ms)
{
    f->call = (struct t3_pg_call){.deadline = t3_deadline_in_ms(ms), .error = &f->error};
    return &f->call;
}

static void expect(struct fixture *f, tears_status status, tears_status wanted)
{
    if (status != wanted)
        fail_msg("%s instead of %s: %s", tears_status_name(status), tears_status_name(wanted),
                 f->error.message);
}

static tears_status open_pool(struct fixture *f, const char *url, uint64_t min, uint64_t max)
{
    const struct t3_pg_options options = {
        .url = tears_str_c(url), .pool_min = min, .pool_max = max, .connect_ms = 3000};
    return t3_pg_pool_open(&options, &f->pool, &f->error);
}

static struct t3_pg_conn *acquire(struct fixture *f)
{
    struct t3_pg_conn *conn = NULL;
    expect(f, t3_pg_acquire(f->pool, within(f, 5000), &conn), TEARS_OK);
    return conn;
}

static tears_status run(struct fixture *f, struct t3_pg_conn *conn, const char *sql, uint64_t ms)
{
    struct t3_pg_result *result = NULL;
    const tears_status status = t3_pg_query(conn, within(f, ms), sql, NULL, &result);
    t3_pg_result_free(result);
    return status;
}

/* Acquires, runs and releases. */
static tears_status run_once(struct fixture *f, const char *sql, uint64_t ms)
{
    struct t3_pg_conn *conn = NULL;
    const tears_status status = t3_pg_acquire(f->pool, within(f, ms), &conn);
    if (status != TEARS_OK)
        return status;
    const tears_status ran = run(f, conn, sql, ms);
    t3_pg_release(conn);
    return ran;
}

static void assert_silent_about(const struct fixture *f, const char *secret)
{
    if (strstr(f->error.message, secret) != NULL)
        fail_msg("the message shows the password: %s", f->error.message);
}

static int start(void **state)
{
    static struct fixture fixture;
    fixture.server = test_pg_start();
    *state = &fixture;
    return 0;
}

static int stop(void **state)
{
    struct fixture *f = *state;
    test_pg_free(f->server);
    return 0;
}

static int close_pool(void **state)
{
    struct fixture *f = *state;
    t3_pg_pool_free(f->pool);
    f->pool = NULL;
    t3_arena_done(&f->arena);
    return 0;
}

/* ---- connecting
 * ------------------------------------------------------------------------------------ */

static void test_wrong_password_is_denied(void **state)
{
    struct fixture *f = *state;
    char url[256];
    test_pg_url_with_password(test_pg_url(f->server), "opensesame", url, sizeof url);
    expect(f, open_pool(f, url, 1, 1), TEARS_DENIED);
    assert_string_equal(f->error.sqlstate, "28P01");
    assert_silent_about(f, "opensesame");
    test_pg_url_with_password(test_pg_url(f->server), "open-sesame", url, sizeof url);
    expect(f, open_pool(f, url, 1, 1), TEARS_OK);
}

static void test_wrong_database_is_invalid(void **state)
{
    struct fixture *f = *state;
    char url[256];
    test_pg_url_of_database(test_pg_url(f->server), "nowhere", url, sizeof url);
    expect(f, open_pool(f, url, 1, 1), TEARS_INVALID);
    assert_string_equal(f->error.sqlstate, "3D000");
    assert_non_null(strstr(f->error.message, "nowhere"));
}

static void test_no_server_is_unavailable(void **state)
{
    struct fixture *f = *state;
    expect(f, open_pool(f, "postgresql://tears:hush@127.0.0.1:1/x", 1, 1), TEARS_UNAVAILABLE);
    assert_silent_about(f, "hush");
}

static void test_a_broken_url_does_not_show_its_password(void **state)
{
    struct fixture *f = *state;
    static const char *urls[] = {"postgresql://u:hush@h:not-a-port:1/x?what",
                                 "host=h pass word=hush", "postgresql://u:hush%zz@h/x",
                                 "password='hush", "postgresql://u:hush@[::1/x"};
    for (size_t i = 0; i < T3_COUNT(urls); i++) {
        expect(f, open_pool(f, urls[i], 1, 1), TEARS_INVALID);
        assert_silent_about(f, "hush");
    }
}

static void test_settings_of_the_url_reach_the_server(void **state)
{
    struct fixture *f = *state;
    char url[320];
    snprintf(url, sizeof url, "%s?application_name=mine&options=-c%%20datestyle%%3DGerman",
             test_pg_url(f->server));
    expect(f, open_pool(f, url, 1, 1), TEARS_OK);
    struct t3_pg_conn *conn = acquire(f);
    assert_string_equal(t3_pg_conn_parameter(conn, "application_name"), "mine");
    assert_string_equal(t3_pg_conn_parameter(conn, "client_encoding"), "UTF8");
    assert_int_equal(strncmp(t3_pg_conn_parameter(conn, "DateStyle"), "ISO", 3), 0);
    t3_pg_release(conn);
}

/* ---- the pool
 * --------------------------------------------------------------------------------------- */

static void test_a_full_pool_waits_until_the_deadline(void **state)
{
    struct fixture *f = *state;
    expect(f, open_pool(f, test_pg_socket_url(f->server), 1, 2), TEARS_OK);
    struct t3_pg_conn *first = acquire(f);
    struct t3_pg_conn *second = acquire(f);
    struct t3_pg_conn *third = NULL;
    const uint64_t before = t3_now_us();
    expect(f, t3_pg_acquire(f->pool, within(f, 100), &third), TEARS_TIMEOUT);
    assert_in_range(t3_now_us() - before, 95000, 2000000);
    t3_pg_release(first);
    expect(f, t3_pg_acquire(f->pool, within(f, 100), &third), TEARS_OK);
    t3_pg_release(third);
    t3_pg_release(second);
}

static void test_idle_connections_are_closed_down_to_the_minimum(void **state)
{
    struct fixture *f = *state;
    const struct t3_pg_options options = {.url = tears_str_c(test_pg_socket_url(f->server)),
                                          .pool_min = 1,
                                          .pool_max = 4,
                                          .idle_ms_max = 100};
    expect(f, t3_pg_pool_open(&options, &f->pool, &f->error), TEARS_OK);
    struct t3_pg_conn *conns[4];
    for (size_t i = 0; i < 4; i++)
        conns[i] = acquire(f);
    for (size_t i = 0; i < 4; i++)
        t3_pg_release(conns[i]);
    uint32_t open = 0;
    uint32_t free = 0;
    t3_pg_pool_counts(f->pool, &open, &free);
    assert_int_equal(open, 4);
    for (int i = 0; i < 100 && open > 1; i++) {
        sleep_ms(50);
        t3_pg_pool_counts(f->pool, &open, &free);
    }
    assert_int_equal(open, 1);
}

static void test_a_released_transaction_is_undone(void **state)
{
    struct fixture *f = *state;
    expect(f, open_pool(f, test_pg_socket_url(f->server), 1, 1), TEARS_OK);
    expect(f, run_once(f, "CREATE TABLE left_open (a int)", 5000), TEARS_OK);
    expect(f, run_once(f, "BEGIN", 5000), TEARS_OK);
    struct t3_pg_conn *conn = acquire(f);
    struct t3_pg_result *result = NULL;
    expect(f, t3_pg_query(conn, within(f, 5000), "COMMIT", NULL, &result), TEARS_OK);
    t3_pg_result_free(result);
    t3_pg_release(conn);
    expect(f, run_once(f, "DROP TABLE left_open", 5000), TEARS_OK);
}

static void *use_pool(void *argument)
{
    struct t3_pg_pool *pool = argument;
    for (int i = 0; i < 100; i++) {
        struct tears_error error;
        struct t3_pg_call call = {.deadline = t3_deadline_in_ms(20000), .error = &error};
        struct t3_pg_conn *conn = NULL;
        struct t3_pg_result *result = NULL;
        if (t3_pg_acquire(pool, &call, &conn) != TEARS_OK)
            return argument;
        const tears_status status = t3_pg_query(conn, &call, "SELECT 1", NULL, &result);
        t3_pg_result_free(result);
        t3_pg_release(conn);
        if (status != TEARS_OK)
            return argument;
    }
    return NULL;
}

static void test_many_threads_share_few_connections(void **state)
{
    struct fixture *f = *state;
    enum { THREADS = 8 };
    expect(f, open_pool(f, test_pg_socket_url(f->server), 1, 3), TEARS_OK);
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_pool, f->pool), 0);
    for (size_t i = 0; i < THREADS; i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    uint32_t open = 0;
    uint32_t free = 0;
    t3_pg_pool_counts(f->pool, &open, &free);
    assert_true(open <= 3 && open == free);
}

/* ---- statements
 * --------------------------------------------------------------------------------------- */

static void test_more_statements_than_the_cache_holds(void **state)
{
    struct fixture *f = *state;
    enum { STATEMENTS = 700 };
    expect(f, open_pool(f, test_pg_socket_url(f->server), 1, 1), TEARS_OK);
    struct t3_pg_conn *conn = acquire(f);
    struct t3_pg_params params;
    expect(f, t3_pg_params_init(&params, &f->arena, 0), TEARS_OK);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < STATEMENTS; i++) {
            char sql[32];
            snprintf(sql, sizeof sql, "SELECT %d", i);
            const struct t3_pg_statement statement = {.sql = tears_str_c(sql),
                                                      .hash = t3_hash(sql, strlen(sql), 0)};
            struct t3_pg_result *result = NULL;
            expect(f, t3_pg_execute(conn, within(f, 5000), &statement, &params, &result), TEARS_OK);
            struct tears_value value;
            expect(f,
                   t3_pg_decode(T3_PG_HOW_INT4, TEARS_KIND_INT, t3_pg_result_cell(result, 0, 0),
                                &f->arena, &value),
                   TEARS_OK);
            assert_int_equal(value.as.integer, i);
            t3_pg_result_free(result);
        }
    }
    struct t3_pg_result *count = NULL;
    expect(f,
           t3_pg_query(conn, within(f, 5000), "SELECT count(*) <= 256 FROM pg_prepared_statements",
                       NULL, &count),
           TEARS_OK);
    assert_int_equal(t3_pg_result_cell(count, 0, 0).ptr[0], 't');
    t3_pg_result_free(count);
    t3_pg_release(conn);
}

static void test_the_deadline_ends_a_statement(void **state)
{
    struct fixture *f = *state;
    expect(f, open_pool(f, test_pg_url(f->server), 1, 2), TEARS_OK);
    const uint64_t before = t3_now_us();
    expect(f, run_once(f, "SELECT pg_sleep(30)", 150), TEARS_TIMEOUT);
    assert_in_range(t3_now_us() - before, 140000, 3000000);
    assert_true(f->call.sent);
    /* The server was told to stop it, and the pool goes on. */
    struct t3_pg_conn *conn = acquire(f);
    bool running = true;
    for (int i = 0; i < 100 && running; i++) {
        struct t3_pg_result *result = NULL;
        expect(f,
               t3_pg_query(conn, within(f, 5000),
                           "SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(30)'"
                           " AND state = 'active'",
                           NULL, &result),
               TEARS_OK);
        running = t3_pg_result_rows(result) > 0;
        t3_pg_result_free(result);
        sleep_ms(20);
    }
    t3_pg_release(conn);
    assert_false(running);
}

static void test_a_stopped_server_does_not_hold_the_caller(void **state)
{
    struct fixture *f = *state;
    expect(f, open_pool(f, test_pg_url(f->server), 1, 2), TEARS_OK);
    test_pg_pause(f->server);
    const uint64_t before = t3_now_us();
    const tears_status status = run_once(f, "SELECT 1", 200);
    struct t3_pg_conn *conn = NULL;
    const tears_status second = t3_pg_acquire(f->pool, within(f, 200), &conn);
    const uint64_t took = t3_now_us() - before;
    test_pg_resume(f->server);
    expect(f, status, TEARS_TIMEOUT);
    assert_int_not_equal(second, TEARS_OK);
    assert_in_range(took, 190000, 3000000);
}

/* ---- a server that dies
 * -------------------------------------------------------------------------------- */

static tears_status run_until_it_works(struct fixture *f, uint64_t ms)
{
    const uint64_t end = t3_now_us() + ms * 1000;
    tears_status status = run_once(f, "SELECT 1", 1000);
    while (status != TEARS_OK && t3_now_us() < end) {
        sleep_ms(20);
        status = run_once(f, "SELECT 1", 1000);
    }
    return status;
}

static void test_a_killed_server_is_unavailable_then_found_again(void **state)
{
    struct fixture *f = *state;
    expect(f, open_pool(f, test_pg_url(f->server), 2, 4), TEARS_OK);
    struct t3_pg_conn *conn = acquire(f);
    test_pg_kill(f->server);
    expect(f, run(f, conn, "SELECT 1", 2000), TEARS_UNAVAILABLE);
    assert_false(t3_pg_conn_is_alive(conn));
    t3_pg_release(conn);
    expect(f, run_once(f, "SELECT 1", 2000), TEARS_UNAVAILABLE);
    const uint64_t before = t3_now_us(); /* in the pause after a failed attempt: at once */
    expect(f, run_once(f, "SELECT 1", 2000), TEARS_UNAVAILABLE);
    assert_in_range(t3_now_us() - before, 0, 1000000);
    test_pg_again(f->server);
    expect(f, run_until_it_works(f, 10000), TEARS_OK);
}

static void test_idle_connections_cut_by_the_server_are_replaced_unnoticed(void **state)
{
    struct fixture *f = *state;
    expect(f, open_pool(f, test_pg_url(f->server), 3, 3), TEARS_OK);
    struct t3_pg_conn *conns[3];
    for (size_t i = 0; i < 3; i++)
        conns[i] = acquire(f);
    for (size_t i = 0; i < 3; i++)
        t3_pg_release(conns[i]);
    test_pg_run(test_pg_url(f->server), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                                        " WHERE application_name = 'tears'");
    sleep_ms(300);
    for (int i = 0; i < 3; i++)
        expect(f, run_once(f, "SELECT 1", 3000), TEARS_OK);
}

static void test_a_server_that_hangs_up_says_why(void **state)
{
    struct fixture *f = *state;
    expect(f, open_pool(f, test_pg_url(f->server), 1, 1), TEARS_OK);
    expect(f, run_once(f, "SELECT pg_terminate_backend(pg_backend_pid())", 3000),
           TEARS_UNAVAILABLE);
    assert_string_equal(f->error.sqlstate, "57P01");
    expect(f, run_once(f, "SELECT 1", 3000), TEARS_OK);
}

/* ---- notices and memory
 * ---------------------------------------------------------------------------------- */

struct heard {
    char message[256];
};

static void hear(void *owner, uint64_t level, const char *origin, const char *message)
{
    struct heard *heard = owner;
    assert_int_equal(level, TEARS_LOG_WARN);
    assert_string_equal(origin, "l3.pg");
    snprintf(heard->message, sizeof heard->message, "%s", message);
}

static void test_notices_reach_the_log(void **state)
{
    struct fixture *f = *state;
    struct heard heard = {""};
    const struct t3_log log = {.put = hear, .owner = &heard, .level_max = TEARS_LOG_WARN};
    const struct t3_pg_options options = {.url = tears_str_c(test_pg_socket_url(f->server)),
                                          .log = &log};
    expect(f, t3_pg_pool_open(&options, &f->pool, &f->error), TEARS_OK);
    expect(f, run_once(f, "DO $$ BEGIN RAISE WARNING 'look\nhere'; END $$", 3000), TEARS_OK);
    assert_non_null(strstr(heard.message, "look here"));
}

static void test_every_allocation_of_opening_may_fail(void **state)
{
    struct fixture *f = *state;
    for (uint64_t nth = 1;; nth++) {
        t3_alloc_fail_at(nth);
        const tears_status status = open_pool(f, test_pg_socket_url(f->server), 1, 1);
        const bool reached = t3_alloc_count() >= nth;
        t3_alloc_fail_at(0);
        expect(f, status, reached ? TEARS_NO_MEMORY : TEARS_OK);
        if (!reached)
            break;
    }
}

#define WITH_SERVER(test) cmocka_unit_test_teardown(test, close_pool)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SERVER(test_wrong_password_is_denied),
        WITH_SERVER(test_wrong_database_is_invalid),
        WITH_SERVER(test_no_server_is_unavailable),
        WITH_SERVER(test_a_broken_url_does_not_show_its_password),
        WITH_SERVER(test_settings_of_the_url_reach_the_server),
        WITH_SERVER(test_a_full_pool_waits_until_the_deadline),
        WITH_SERVER(test_idle_connections_are_closed_down_to_the_minimum),
        WITH_SERVER(test_a_released_transaction_is_undone),
        WITH_SERVER(test_many_threads_share_few_connections),
        WITH_SERVER(test_more_statements_than_the_cache_holds),
        WITH_SERVER(test_the_deadline_ends_a_statement),
        WITH_SERVER(test_a_stopped_server_does_not_hold_the_caller),
        WITH_SERVER(test_a_killed_server_is_unavailable_then_found_again),
        WITH_SERVER(test_idle_connections_cut_by_the_server_are_replaced_unnoticed),
        WITH_SERVER(test_a_server_that_hangs_up_says_why),
        WITH_SERVER(test_notices_reach_the_log),
        WITH_SERVER(test_every_allocation_of_opening_may_fail),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
