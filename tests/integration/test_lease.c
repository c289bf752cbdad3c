/*
 * test_lease.c -- leases against a real broker: time, loss, many contenders, several processes, Python's envelopes.
 */
#include "base/clock.h"
#include "base/macros.h"
#include "driver/nats_conn.h"
#include "support/nats_server.h"
#include "support/pg_server.h"
#include "support/temp_folder.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
// clang-format on

#include <nats/nats.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <tears/fence.h>
#include <tears/lease.h>
#include <tears/lock.h>
#include <tears/tears.h>
#include <unistd.h>

static char space[32];

static void sleep_ms(unsigned ms)
{
    usleep(ms * 1000);
}

static double now_ms(void)
{
    return (double)t3_now_us() / 1000;
}

static void must(tears_status status, const struct tears_error *error)
{
    if (status != TEARS_OK)
        fail_msg("%s: %s", tears_status_name(status), error->message);
}

static tears_coord *open_at(const char *url, const char *holder, const char *storage)
{
    struct tears_coord_options options = TEARS_COORD_OPTIONS_INIT;
    struct tears_error error = {.status = TEARS_OK};
    tears_coord *coord = NULL;
    options.url = tears_str_c(url);
    options.namespace_name = tears_str_c(space);
    options.holder = tears_str_c(holder);
    options.storage = tears_str_c(storage);
    must(tears_coord_open(&options, &coord, &error), &error);
    return coord;
}

static tears_coord *open_coord(const char *holder)
{
    return open_at(test_nats_shared_url(), holder, "");
}

struct wanted {
    uint64_t ttl_ms, wait_ms;
    bool no_renewal;
};

static tears_status try_acquire(tears_coord *coord, const char *name, struct wanted wanted,
                                tears_lease **lease_out)
{
    struct tears_lease_options options = TEARS_LEASE_OPTIONS_INIT;
    struct tears_error error = {.status = TEARS_OK};
    options.ttl_ms = wanted.ttl_ms;
    options.wait_ms = wanted.wait_ms;
    options.no_renewal = wanted.no_renewal;
    const tears_status status =
        tears_lease_acquire(coord, tears_str_c(name), &options, lease_out, &error);
    assert_int_equal(error.status, status);
    return status;
}

static tears_lease *acquire(tears_coord *coord, const char *name, struct wanted wanted)
{
    tears_lease *lease = NULL;
    assert_int_equal(try_acquire(coord, name, wanted, &lease), TEARS_OK);
    assert_true(tears_lease_is_held(lease));
    return lease;
}

/* ---- a connection of the test's own, as another program would have it ---- */

static void put_as_python(const char *url, const char *key, const char *value)
{
    natsConnection *connection = NULL;
    jsCtx *js = NULL;
    kvStore *kv = NULL;
    char bucket[64];
    snprintf(bucket, sizeof bucket, "%s-leases", space);
    assert_int_equal(natsConnection_ConnectTo(&connection, url), NATS_OK);
    assert_int_equal(natsConnection_JetStream(&js, connection, NULL), NATS_OK);
    assert_int_equal(js_KeyValue(&kv, js, bucket), NATS_OK);
    if (value != NULL)
        assert_int_equal(kvStore_PutString(NULL, kv, key, value), NATS_OK);
    else
        assert_int_equal(kvStore_Delete(kv, key), NATS_OK);
    kvStore_Destroy(kv);
    jsCtx_Destroy(js);
    natsConnection_Destroy(connection);
}

static uint64_t stored_messages(tears_coord *coord)
{
    struct tears_coord_bucket bucket = TEARS_COORD_BUCKET_INIT;
    struct tears_error error = {.status = TEARS_OK};
    must(tears_coord_bucket(coord, &bucket, &error), &error);
    return bucket.messages;
}

/* ---- one process ---- */

static void test_held_by_one(void **state)
{
    (void)state;
    tears_coord *one = open_coord("same name");
    tears_coord *other = open_coord("same name");
    tears_lease *lease = acquire(one, "job", (struct wanted){.ttl_ms = 5000});
    tears_lease *second = NULL;

    assert_int_equal(try_acquire(other, "job", (struct wanted){.ttl_ms = 5000}, &second),
                     TEARS_CONFLICT);
    assert_int_equal(try_acquire(one, "job", (struct wanted){.ttl_ms = 5000}, &second),
                     TEARS_CONFLICT);
    assert_null(second);
    const uint64_t token = tears_lease_token(lease);
    assert_int_equal(tears_lease_release(lease, NULL), TEARS_OK);
    assert_false(tears_lease_is_held(lease));
    assert_int_equal(tears_lease_refresh(lease, 0, NULL), TEARS_MISUSE);
    tears_lease_free(lease);
    second = acquire(other, "job", (struct wanted){.ttl_ms = 5000});
    assert_true(tears_lease_token(second) > token);
    assert_true(tears_lease_token(second) < UINT64_C(1) << 53);
    tears_lease_free(second);
    tears_coord_free(one);
    tears_coord_free(other);
}

static void test_what_cannot_be_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"", "a b", "a*", ">", ".a", "a..b", "tears-coord", "\xff"};
    tears_coord *coord = open_coord("");
    tears_lease *lease = NULL;
    for (size_t i = 0; i < T3_COUNT(names); i++)
        assert_int_equal(try_acquire(coord, names[i], (struct wanted){0}, &lease), TEARS_INVALID);
    assert_int_equal(try_acquire(coord, "t", (struct wanted){.ttl_ms = 99}, &lease), TEARS_INVALID);
    assert_int_equal(
        try_acquire(coord, "t", (struct wanted){.ttl_ms = TEARS_LEASE_TTL_MS_MAX + 1}, &lease),
        TEARS_INVALID);
    lease = acquire(coord, "t", (struct wanted){.ttl_ms = 5000});
    assert_int_equal(tears_lease_refresh(lease, 1, NULL), TEARS_INVALID);
    tears_lease_free(lease);
    tears_coord_free(coord);
}

static void test_nothing_piles_up(void **state)
{
    (void)state;
    tears_coord *coord = open_coord("");
    char name[32];
    tears_lease_free(acquire(coord, "first", (struct wanted){0}));
    const uint64_t before = stored_messages(coord);
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "pile-%d", i);
        tears_lease_free(acquire(coord, name, (struct wanted){0}));
    }
    for (int i = 0; i < 100 && stored_messages(coord) >= before; i++)
        sleep_ms(50); /* markers are removed about a second later */
    assert_true(stored_messages(coord) < before);
    tears_lease_free(acquire(coord, "last", (struct wanted){0}));
    tears_coord_free(coord); /* or at the end */
    coord = open_coord("");
    assert_true(stored_messages(coord) < before);
    tears_coord_free(coord);
}

struct waiting {
    tears_coord *coord;
    const char *name;
    struct wanted wanted;
    tears_status status;
    tears_lease *lease;
    double got_at;
    atomic_bool is_over;
};

static void *wait_for_it(void *owner)
{
    struct waiting *waiting = owner;
    waiting->status = try_acquire(waiting->coord, waiting->name, waiting->wanted, &waiting->lease);
    waiting->got_at = now_ms();
    atomic_store(&waiting->is_over, true);
    return NULL;
}

/* A waiter in another process, or the same one, has it within milliseconds. */
static void test_release_wakes_a_waiter(void **state)
{
    (void)state;
    tears_coord *one = open_coord("one");
    tears_coord *other = open_coord("other");
    for (int i = 0; i < 10; i++) {
        tears_lease *lease = acquire(one, "wake", (struct wanted){.ttl_ms = 60000});
        struct waiting waiting = {.coord = i % 2 == 0 ? other : one,
                                  .name = "wake",
                                  .wanted = {.ttl_ms = 60000, .wait_ms = 20000}};
        pthread_t thread;
        pthread_create(&thread, NULL, wait_for_it, &waiting);
        sleep_ms(50);
        const double released_at = now_ms();
        tears_lease_free(lease);
        pthread_join(thread, NULL);
        assert_int_equal(waiting.status, TEARS_OK);
        assert_true(waiting.got_at - released_at < 250);
        tears_lease_free(waiting.lease);
    }
    tears_coord_free(one);
    tears_coord_free(other);
}

static void test_waiting_ends_at_its_deadline(void **state)
{
    (void)state;
    tears_coord *one = open_coord("one");
    tears_coord *other = open_coord("other");
    tears_lease *lease = acquire(one, "late", (struct wanted){.ttl_ms = 60000});
    tears_lease *second = NULL;
    const double began = now_ms();
    assert_int_equal(
        try_acquire(other, "late", (struct wanted){.ttl_ms = 1000, .wait_ms = 200}, &second),
        TEARS_TIMEOUT);
    assert_true(now_ms() - began >= 200);
    assert_true(now_ms() - began < 1500);
    tears_lease_free(lease);
    tears_coord_free(one);
    tears_coord_free(other);
}

/* Taken after its ttl by who has watched it, and not before; the holder said sooner that it does not hold it any more. */
static void test_taken_when_its_time_is_over(void **state)
{
    (void)state;
    tears_coord *one = open_coord("one");
    tears_coord *other = open_coord("other");
    tears_lease *lease = acquire(one, "steal", (struct wanted){.ttl_ms = 600, .no_renewal = true});
    struct waiting waiting = {
        .coord = other, .name = "steal", .wanted = {.ttl_ms = 5000, .wait_ms = 10000}};
    pthread_t thread;
    const double began = now_ms();
    pthread_create(&thread, NULL, wait_for_it, &waiting);
    while (tears_lease_is_held(lease))
        sleep_ms(1);
    assert_false(atomic_load(&waiting.is_over));
    assert_true(now_ms() - began <= 600);
    pthread_join(thread, NULL);
    assert_int_equal(waiting.status, TEARS_OK);
    assert_true(waiting.got_at - began >= 600);
    assert_true(waiting.got_at - began < 2000);
    assert_true(tears_lease_token(waiting.lease) > tears_lease_token(lease));
    assert_int_equal(tears_lease_refresh(lease, 0, NULL), TEARS_CONFLICT);
    assert_int_equal(tears_lease_release(lease, NULL), TEARS_OK);
    assert_true(tears_lease_is_held(waiting.lease)); /* and is still there */
    assert_int_equal(tears_lease_refresh(waiting.lease, 0, NULL), TEARS_OK);
    tears_lease_free(lease);
    tears_lease_free(waiting.lease);
    tears_coord_free(one);
    tears_coord_free(other);
}

/* Nobody waits; somebody comes later who has never seen the entry. */
static void test_dead_holder_is_found_without_waiting(void **state)
{
    (void)state;
    struct tears_coord_options options = TEARS_COORD_OPTIONS_INIT;
    tears_coord *one = open_coord("one");
    tears_coord *other = NULL;
    tears_lease *second = NULL;
    options.url = tears_str_c(test_nats_shared_url());
    options.namespace_name = tears_str_c(space);
    options.clock_step_ms_max = 300;
    assert_int_equal(tears_coord_open(&options, &other, NULL), TEARS_OK);
    tears_lease *lease = acquire(one, "dead", (struct wanted){.ttl_ms = 200, .no_renewal = true});
    sleep_ms(320); /* over by the calendar, not by as much as that may be set forward */
    assert_int_equal(try_acquire(other, "dead", (struct wanted){.ttl_ms = 5000}, &second),
                     TEARS_CONFLICT);
    tears_coord_free(other);
    assert_int_equal(tears_coord_open(&options, &other, NULL), TEARS_OK);
    sleep_ms(300);
    second = acquire(other, "dead", (struct wanted){.ttl_ms = 5000});
    tears_lease_free(lease);
    assert_true(tears_lease_is_held(second));
    tears_lease_free(second);
    tears_coord_free(one);
    tears_coord_free(other);
}

static void on_lost(void *owner, tears_lease *lease)
{
    atomic_int *count = owner;
    assert_false(tears_lease_is_held(lease));
    atomic_fetch_add(count, 1);
}

static tears_lease *acquire_watched(tears_coord *coord, const char *name, uint64_t ttl_ms,
                                    atomic_int *losses)
{
    struct tears_lease_options options = TEARS_LEASE_OPTIONS_INIT;
    struct tears_error error = {.status = TEARS_OK};
    tears_lease *lease = NULL;
    options.ttl_ms = ttl_ms;
    options.lost = on_lost;
    options.lost_owner = losses;
    must(tears_lease_acquire(coord, tears_str_c(name), &options, &lease, &error), &error);
    return lease;
}

static bool is_readable(int fd, int wait_ms)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    return poll(&wait, 1, wait_ms) == 1;
}

static void test_renewed_until_it_is_lost(void **state)
{
    (void)state;
    tears_coord *one = open_coord("one");
    tears_coord *other = open_coord("other");
    atomic_int losses = 0;
    tears_lease *lease = acquire_watched(one, "renew", 600, &losses);
    const int fd = tears_lease_fd(lease);
    const double began = now_ms();
    while (now_ms() - began < 1500) {
        assert_true(tears_lease_is_held(lease));
        sleep_ms(5);
    }
    assert_false(is_readable(fd, 0));
    assert_int_equal(tears_lease_break(other, TEARS_STR("renew"), 0, NULL), TEARS_OK);
    assert_true(is_readable(fd, 1000));
    sleep_ms(50);
    assert_int_equal(atomic_load(&losses), 1);
    assert_false(tears_lease_is_held(lease));
    assert_int_equal(tears_lease_refresh(lease, 0, NULL), TEARS_CONFLICT);
    tears_lease_free(lease);
    tears_coord_free(one);
    tears_coord_free(other);
}

static tears_status body(void *owner, tears_lease *lease)
{
    tears_coord *other = owner;
    tears_lease *second = NULL;
    assert_true(tears_lease_is_held(lease));
    assert_int_equal(try_acquire(other, "work", (struct wanted){0}, &second), TEARS_CONFLICT);
    return TEARS_OK;
}

static tears_status body_that_loses(void *owner, tears_lease *lease)
{
    assert_int_equal(tears_lease_break(owner, TEARS_STR("work"), 0, NULL), TEARS_OK);
    while (tears_lease_is_held(lease))
        sleep_ms(5);
    return TEARS_OK;
}

static void test_lock_runs_its_body(void **state)
{
    (void)state;
    tears_coord *one = open_coord("one");
    tears_coord *other = open_coord("other");
    struct tears_error error = {.status = TEARS_OK};
    struct tears_lease_options options = TEARS_LEASE_OPTIONS_INIT;
    must(tears_lock_run(one, TEARS_STR("work"), NULL, body, other, &error), &error);
    options.ttl_ms = 300;
    assert_int_equal(
        tears_lock_run(one, TEARS_STR("work"), &options, body_that_loses, other, &error),
        TEARS_CONFLICT);
    assert_int_equal(error.detail, 1);
    tears_lease_free(acquire(other, "work", (struct wanted){0}));
    tears_coord_free(one);
    tears_coord_free(other);
}

/* ---- envelopes of others ---- */

static void test_holders_that_run_python(void **state)
{
    (void)state;
    tears_coord *coord = open_coord("me");
    const char *url = test_nats_shared_url();
    tears_lease *lease = acquire(coord, "probe", (struct wanted){0});
    char value[256];
    tears_lease_free(lease);
    /* Two seconds by its own calendar, which is wrong by years; so it counts for two seconds from when it was seen. */
    snprintf(value, sizeof value,
             "{\"holder\": \"pod-0190a1b2c3d4\", \"expires_at\": \"%s\", \"acquired_at\": \"%s\"}",
             "2031-01-01T00:00:00.500000+00:00", "2031-01-01T00:00:00+00:00");
    put_as_python(url, "py", value);
    assert_int_equal(try_acquire(coord, "py", (struct wanted){.ttl_ms = 5000}, &lease),
                     TEARS_CONFLICT);
    const double began = now_ms();
    lease = acquire(coord, "py", (struct wanted){.ttl_ms = 5000, .wait_ms = 5000});
    assert_in_range((uint64_t)(now_ms() - began), 300, 1500);
    tears_lease_free(lease);
    /* Its release leaves a marker, and wakes us. */
    put_as_python(url, "py",
                  "{\"holder\": \"p\", \"expires_at\": \"2099-01-01T00:00:00Z\", "
                  "\"acquired_at\": \"2026-01-01T00:00:00Z\"}");
    struct waiting waiting = {
        .coord = coord, .name = "py", .wanted = {.ttl_ms = 5000, .wait_ms = 20000}};
    pthread_t thread;
    pthread_create(&thread, NULL, wait_for_it, &waiting);
    sleep_ms(100);
    const double released_at = now_ms();
    put_as_python(url, "py", NULL);
    pthread_join(thread, NULL);
    assert_int_equal(waiting.status, TEARS_OK);
    assert_true(waiting.got_at - released_at < 500);
    tears_lease_free(waiting.lease);
    tears_coord_free(coord);
}

static void test_what_python_finds(void **state)
{
    (void)state;
    tears_coord *coord = open_coord("the-holder");
    tears_lease *lease = acquire(coord, "seen", (struct wanted){.ttl_ms = 30000});
    tears_lease_list *list = NULL;
    struct tears_error error = {.status = TEARS_OK};
    must(tears_lease_refresh(lease, 60000, &error), &error);
    must(tears_lease_list_open(coord, TEARS_STR("seen"), &list, &error), &error);
    assert_int_equal(tears_lease_list_count(list), 1);
    const struct tears_lease_entry entry = tears_lease_list_at(list, 0);
    assert_string_equal(entry.holder.ptr, "the-holder");
    assert_int_equal(entry.ttl_ms, 60000);
    /* When it was acquired is kept, so the span is longer than the ttl. */
    assert_true(entry.expires_us - entry.acquired_us >= 60000000);
    assert_true(entry.token > tears_lease_token(lease));
    tears_lease_list_free(list);
    tears_lease_free(lease);
    must(tears_lease_list_open(coord, TEARS_STR(""), &list, &error), &error);
    for (size_t i = 0; i < tears_lease_list_count(list); i++)
        assert_string_not_equal(tears_lease_list_at(list, i).name.ptr, "seen");
    tears_lease_list_free(list);
    tears_coord_free(coord);
}

static void test_corrupt_entries(void **state)
{
    (void)state;
    static const char *const values[] = {
        "{}",
        "",
        "x",
        "null",
        "{\"holder\": \"p\"}",
        "{\"holder\": \"p\", \"expires_at\": \"2026-01-01T00:00:00\", "
        "\"acquired_at\": \"2026-01-01T00:00:00\"}"};
    tears_coord *coord = open_coord("me");
    tears_lease *lease = NULL;
    tears_lease_list *list = NULL;
    tears_lease_free(acquire(coord, "probe", (struct wanted){0}));
    for (size_t i = 0; i < T3_COUNT(values); i++) {
        put_as_python(test_nats_shared_url(), "poison", values[i]);
        assert_int_equal(
            try_acquire(coord, "poison", (struct wanted){.wait_ms = i % 2 * 1000}, &lease),
            TEARS_CORRUPT);
        assert_int_equal(tears_lease_list_open(coord, TEARS_STR("poison"), &list, NULL), TEARS_OK);
        assert_true(tears_lease_list_at(list, 0).is_corrupt);
        const uint64_t revision = tears_lease_list_at(list, 0).revision;
        tears_lease_list_free(list);
        assert_int_equal(tears_lease_break(coord, TEARS_STR("poison"), revision + 1, NULL),
                         TEARS_CONFLICT);
        assert_int_equal(tears_lease_break(coord, TEARS_STR("poison"), revision, NULL), TEARS_OK);
        assert_int_equal(tears_lease_break(coord, TEARS_STR("poison"), 0, NULL), TEARS_NOT_FOUND);
        tears_lease_free(acquire(coord, "poison", (struct wanted){0}));
    }
    tears_coord_free(coord);
}

/* ---- clocks ---- */

static void test_calendar_steps_change_nothing(void **state)
{
    (void)state;
    static const int64_t steps_us[] = {120000000, -120000000};
    tears_coord *one = open_coord("one");
    tears_coord *other = open_coord("other");
    for (size_t i = 0; i < T3_COUNT(steps_us); i++) {
        atomic_int losses = 0;
        tears_lease *second = NULL;
        tears_lease *lease = acquire_watched(one, "clock", 1000, &losses);
        t3_calendar_shift_us(steps_us[i]);
        assert_true(tears_lease_is_held(lease));
        assert_int_equal(try_acquire(other, "clock", (struct wanted){.ttl_ms = 1000}, &second),
                         TEARS_CONFLICT);
        const double began = now_ms();
        assert_int_equal(
            try_acquire(other, "clock", (struct wanted){.ttl_ms = 1000, .wait_ms = 1500}, &second),
            TEARS_TIMEOUT);
        assert_in_range((uint64_t)(now_ms() - began), 1490, 3500);
        assert_int_equal(atomic_load(&losses), 0);
        assert_true(tears_lease_is_held(lease));
        tears_lease_free(lease);
        tears_lease_free(acquire(other, "clock", (struct wanted){.ttl_ms = 1000}));
        t3_calendar_shift_us(0);
    }
    tears_coord_free(one);
    tears_coord_free(other);
}

/* ---- a broker that goes away ---- */

static void restart(struct test_nats *nats)
{
    test_nats_kill(nats);
    test_nats_again(nats);
}

static void test_restart_with_a_file_keeps_leases(void **state)
{
    (void)state;
    struct test_nats *nats = test_nats_start(&(struct test_nats_options){0});
    tears_coord *one = open_at(test_nats_url(nats), "one", "file");
    tears_coord *other = open_at(test_nats_url(nats), "other", "file");
    atomic_int losses = 0;
    tears_lease *lease = acquire_watched(one, "kept", 6000, &losses);
    tears_lease *second = NULL;
    restart(nats);
    assert_int_equal(
        try_acquire(other, "kept", (struct wanted){.ttl_ms = 1000, .wait_ms = 3000}, &second),
        TEARS_TIMEOUT);
    assert_true(tears_lease_is_held(lease));
    assert_int_equal(atomic_load(&losses), 0);
    assert_int_equal(tears_lease_refresh(lease, 0, NULL), TEARS_OK);
    const uint64_t token = tears_lease_token(lease);
    tears_lease_free(lease);
    second = acquire(other, "kept", (struct wanted){.ttl_ms = 1000});
    assert_true(tears_lease_token(second) > token);
    tears_lease_free(second);
    tears_coord_free(one);
    tears_coord_free(other);
    test_nats_free(nats);
}

static void test_restart_that_forgets_is_noticed(void **state)
{
    (void)state;
    struct test_nats *nats = test_nats_start(&(struct test_nats_options){0});
    tears_coord *one = open_at(test_nats_url(nats), "one", "memory");
    tears_coord *other = open_at(test_nats_url(nats), "other", "memory");
    atomic_int losses = 0;
    tears_lease *lease = acquire_watched(one, "gone", 3000, &losses);
    const uint64_t token = tears_lease_token(lease);
    restart(nats);
    /* The bucket starts again at revision 1; the token does not. */
    tears_lease *second = acquire(other, "gone", (struct wanted){.ttl_ms = 5000, .wait_ms = 10000});
    assert_true(tears_lease_token(second) > token);
    assert_true(is_readable(tears_lease_fd(lease), 4000));
    sleep_ms(50);
    assert_int_equal(atomic_load(&losses), 1);
    tears_lease_free(lease); /* touches nothing that is another's */
    assert_int_equal(tears_lease_refresh(second, 0, NULL), TEARS_OK);
    tears_lease_free(second);
    tears_coord_free(one);
    tears_coord_free(other);
    test_nats_free(nats);
}

static void test_bucket_made_again_gives_larger_tokens(void **state)
{
    (void)state;
    tears_coord *coord = open_coord("me");
    natsConnection *connection = NULL;
    jsCtx *js = NULL;
    char bucket[64];
    uint64_t token = 0;
    snprintf(bucket, sizeof bucket, "%s-leases", space);
    assert_int_equal(natsConnection_ConnectTo(&connection, test_nats_shared_url()), NATS_OK);
    assert_int_equal(natsConnection_JetStream(&js, connection, NULL), NATS_OK);
    for (int i = 0; i < 5; i++) {
        tears_coord *other = open_coord("other");
        for (int j = 0; j < 3; j++) {
            tears_lease *lease =
                acquire(j == 1 ? other : coord, "again", (struct wanted){.ttl_ms = 5000});
            assert_true(tears_lease_token(lease) > token);
            token = tears_lease_token(lease);
            tears_lease_free(lease);
        }
        tears_coord_free(other);
        assert_int_equal(js_DeleteKeyValue(js, bucket), NATS_OK);
    }
    jsCtx_Destroy(js);
    natsConnection_Destroy(connection);
    tears_coord_free(coord);
}

struct pausing {
    struct test_nats *nats;
    unsigned ms;
};

static void *pause_for(void *owner)
{
    struct pausing *pausing = owner;
    test_nats_pause(pausing->nats);
    sleep_ms(pausing->ms);
    test_nats_resume(pausing->nats);
    return NULL;
}

/* The request is in the server's socket, and no answer comes in time; the server takes it later. */
static void test_lost_answers_are_looked_up(void **state)
{
    (void)state;
    struct test_nats *nats = test_nats_start(&(struct test_nats_options){0});
    tears_coord *coord = open_at(test_nats_url(nats), "me", "file");
    tears_coord *other = open_at(test_nats_url(nats), "other", "file");
    tears_lease_free(acquire(coord, "warm", (struct wanted){0}));
    tears_lease_free(acquire(other, "warm", (struct wanted){0}));
    struct pausing pausing = {nats, 1500}; /* longer than one answer is waited for */
    pthread_t thread;
    pthread_create(&thread, NULL, pause_for, &pausing);
    sleep_ms(50);
    tears_lease *lease = acquire(coord, "ack", (struct wanted){.ttl_ms = 20000, .wait_ms = 8000});
    pthread_join(thread, NULL);
    tears_lease *second = NULL;
    assert_int_equal(try_acquire(other, "ack", (struct wanted){0}, &second), TEARS_CONFLICT);
    /* A refresh whose answer is lost is no loss. */
    struct tears_error error = {.status = TEARS_OK};
    pthread_create(&thread, NULL, pause_for, &pausing);
    sleep_ms(50);
    const tears_status status = tears_lease_refresh(lease, 0, &error);
    assert_true(status == TEARS_OK || status == TEARS_TIMEOUT || status == TEARS_UNAVAILABLE);
    pthread_join(thread, NULL);
    sleep_ms(200);
    must(tears_lease_refresh(lease, 0, &error), &error);
    assert_true(tears_lease_is_held(lease));
    /* Nor is a release whose answer is lost left undone. */
    pthread_create(&thread, NULL, pause_for, &pausing);
    sleep_ms(50);
    assert_int_equal(tears_lease_release(lease, &error), TEARS_OK);
    pthread_join(thread, NULL);
    tears_lease_free(lease);
    tears_lease_free(acquire(other, "ack", (struct wanted){.wait_ms = 2000}));
    tears_coord_free(coord);
    tears_coord_free(other);
    test_nats_free(nats);
}

static void test_broker_away_is_a_loss_in_time(void **state)
{
    (void)state;
    struct test_nats *nats = test_nats_start(&(struct test_nats_options){0});
    tears_coord *coord = open_at(test_nats_url(nats), "me", "file");
    atomic_int losses = 0;
    tears_lease *lease = acquire_watched(coord, "away", 1000, &losses);
    const int fd = tears_lease_fd(lease);
    test_nats_pause(nats);
    const double began = now_ms();
    assert_true(is_readable(fd, 5000));
    assert_true(now_ms() - began < 1600);
    sleep_ms(30);
    assert_int_equal(atomic_load(&losses), 1);
    tears_lease *second = NULL;
    assert_int_equal(try_acquire(coord, "elsewhere", (struct wanted){0}, &second), TEARS_TIMEOUT);
    test_nats_resume(nats);
    tears_lease_free(lease);
    tears_coord_free(coord);
    test_nats_free(nats);
}

/* ---- settings of the bucket ---- */

static void test_bucket_of_others_is_checked(void **state)
{
    (void)state;
    struct tears_coord_options options = TEARS_COORD_OPTIONS_INIT;
    struct tears_coord_bucket bucket = TEARS_COORD_BUCKET_INIT;
    tears_coord *strict = NULL;
    tears_lease *lease = NULL;
    char name[32];
    memcpy(name, space, sizeof name);
    test_namespace(space);
    tears_coord *coord = open_at(test_nats_shared_url(), "", "memory");
    tears_lease_free(acquire(coord, "a", (struct wanted){0}));
    tears_coord_free(coord);
    coord = open_coord("");
    assert_int_equal(tears_coord_bucket(coord, &bucket, NULL), TEARS_OK);
    assert_false(bucket.on_file);
    assert_string_equal(bucket.differences, "storage is memory (wanted file)");
    tears_lease_free(acquire(coord, "a", (struct wanted){0}));
    tears_coord_free(coord);
    options.url = tears_str_c(test_nats_shared_url());
    options.namespace_name = tears_str_c(space);
    options.strict_bucket = 1;
    assert_int_equal(tears_coord_open(&options, &strict, NULL), TEARS_OK);
    assert_int_equal(try_acquire(strict, "a", (struct wanted){0}, &lease), TEARS_INVALID);
    tears_coord_free(strict);
    memcpy(space, name, sizeof name);
}

int main(void)
{
    test_nats_alone();
    test_namespace(space);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_held_by_one),
        cmocka_unit_test(test_what_cannot_be_is_refused),
        cmocka_unit_test(test_nothing_piles_up),
        cmocka_unit_test(test_release_wakes_a_waiter),
        cmocka_unit_test(test_waiting_ends_at_its_deadline),
        cmocka_unit_test(test_taken_when_its_time_is_over),
        cmocka_unit_test(test_dead_holder_is_found_without_waiting),
        cmocka_unit_test(test_renewed_until_it_is_lost),
        cmocka_unit_test(test_lock_runs_its_body),
        cmocka_unit_test(test_holders_that_run_python),
        cmocka_unit_test(test_what_python_finds),
        cmocka_unit_test(test_corrupt_entries),
        cmocka_unit_test(test_calendar_steps_change_nothing),
        cmocka_unit_test(test_restart_with_a_file_keeps_leases),
        cmocka_unit_test(test_restart_that_forgets_is_noticed),
        cmocka_unit_test(test_bucket_made_again_gives_larger_tokens),
        cmocka_unit_test(test_lost_answers_are_looked_up),
        cmocka_unit_test(test_broker_away_is_a_loss_in_time),
        cmocka_unit_test(test_bucket_of_others_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
