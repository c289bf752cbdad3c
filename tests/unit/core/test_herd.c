/*
 * test_herd.c -- many readers of few rows, in one process: one load each, a limit on loads, rows read anew before
 * their age ends; and what becomes of those who wait when the one they wait for fails.
 */
#include "base/clock.h"
#include "core/gate.h"
#include "support/items.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { READERS_MAX = 1000 };

static struct hook_store hook;
static tears_schema *schema;
static struct items here;

static int open_world(void **state)
{
    (void)state;
    hook_store_init(&hook);
    schema = hook_store_schema();
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    items_close(&here);
    tears_schema_free(schema);
    return 0;
}

static void open_here(const struct tears_collection_options *options)
{
    items_open(&here, &hook, schema, NULL, options);
}

/* ---- readers ------------------------------------------------------------------------------------- */

struct reader {
    pthread_t thread;
    int64_t id;
    uint64_t timeout_ms;
    tears_status status;
    char name[64];
};

static void *read_one(void *owner)
{
    struct reader *reader = owner;
    const struct tears_value key = tears_int(reader->id);
    tears_session *session = NULL;
    tears_entity *entity = NULL;
    struct tears_value name;
    if (tears_session_new(here.client, NULL, &session) != TEARS_OK)
        return NULL;
    tears_session_set_timeout(session, reader->timeout_ms);
    reader->status = tears_get(session, here.rows, &key, 1, &entity);
    if (reader->status == TEARS_OK &&
        tears_entity_get(entity, TEARS_STR("name"), &name) == TEARS_OK)
        snprintf(reader->name, sizeof reader->name, "%.*s", (int)name.as.bytes.len,
                 name.as.bytes.ptr);
    tears_session_free(session);
    return NULL;
}

static void start(struct reader *reader, int64_t id, uint64_t timeout_ms)
{
    pthread_attr_t small;
    reader->id = id;
    reader->timeout_ms = timeout_ms;
    reader->status = TEARS_INTERNAL;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 256 * 1024);
    assert_int_equal(pthread_create(&reader->thread, &small, read_one, reader), 0);
    pthread_attr_destroy(&small);
}

static bool wait_until_joined(uint64_t count)
{
    for (int i = 0; i < 20000 && items_stats(&here).flights_joined < count; i++)
        usleep(1000);
    return items_stats(&here).flights_joined >= count;
}

/* ---- one load for all ------------------------------------------------------------------------------ */

static uint64_t awaited; /* readers that must have joined before L3 answers */

static void answer_when_all_wait(void *owner, int64_t id)
{
    (void)owner;
    (void)id;
    assert_true(wait_until_joined(awaited));
}

static void trap_13_a_thousand_readers_make_one_load(void **state)
{
    (void)state;
    struct reader *readers = calloc(READERS_MAX, sizeof *readers);
    assert_non_null(readers);
    open_here(NULL);
    hook_store_put(&hook, 1, "wanted");
    hook.after_read = answer_when_all_wait;
    awaited = READERS_MAX - 1;
    for (int i = 0; i < READERS_MAX; i++)
        start(&readers[i], 1, 60000);
    for (int i = 0; i < READERS_MAX; i++) {
        pthread_join(readers[i].thread, NULL);
        assert_int_equal(readers[i].status, TEARS_OK);
        assert_string_equal(readers[i].name, "wanted");
    }
    assert_int_equal(atomic_load(&hook.fetches), 1);
    free(readers);
}

/* A store whose fetch fails after everybody has come. */
static tears_status (*real_fetch)(void *, void *, const tears_schema *, const struct tears_value *,
                                  size_t, uint64_t, const struct tears_row_sink *,
                                  struct tears_error *);
static tears_status failure;

static tears_status failing_fetch(void *owner, void *tx, const tears_schema *of,
                                  const struct tears_value *key, size_t key_count,
                                  uint64_t deadline_ms, const struct tears_row_sink *sink,
                                  struct tears_error *error)
{
    const tears_status status = real_fetch(owner, tx, of, key, key_count, deadline_ms, sink, error);
    if (failure == TEARS_OK)
        return status;
    error->status = failure;
    snprintf(error->message, sizeof error->message, "the loader has failed");
    return failure;
}

static void open_failing(tears_status status, const struct tears_collection_options *options)
{
    real_fetch = hook.store.fetch;
    hook.store.fetch = failing_fetch;
    failure = status;
    open_here(options);
}

/* Trap 27: the failure is everybody's, once; and then the row can be read. */
static void trap_27_a_failed_load_wedges_nobody(void **state)
{
    (void)state;
    enum { READERS = 20 };
    struct reader readers[READERS];
    open_failing(TEARS_UNAVAILABLE, NULL);
    hook_store_put(&hook, 1, "wanted");
    hook.after_read = answer_when_all_wait;
    awaited = READERS - 1;
    for (int i = 0; i < READERS; i++)
        start(&readers[i], 1, 15000);
    for (int i = 0; i < READERS; i++) {
        pthread_join(readers[i].thread, NULL);
        assert_int_equal(readers[i].status, TEARS_UNAVAILABLE);
    }
    assert_int_equal(atomic_load(&hook.fetches), 1);
    failure = TEARS_OK;
    assert_string_equal(items_name(here.session, &here, 1), "wanted");
}

static void outlast_the_impatient(void *owner, int64_t id)
{
    (void)owner;
    (void)id;
    assert_true(wait_until_joined(1));
    usleep(150000);
}

/* Trap 27: one who gives up waiting leaves the flight to the others. */
static void trap_27_a_reader_that_gives_up(void **state)
{
    (void)state;
    struct reader leader;
    struct reader impatient;
    open_here(NULL);
    hook_store_put(&hook, 1, "wanted");
    hook.after_read = outlast_the_impatient;
    start(&leader, 1, 60000);
    usleep(20000);
    start(&impatient, 1, 50);
    pthread_join(impatient.thread, NULL);
    pthread_join(leader.thread, NULL);
    assert_int_equal(impatient.status, TEARS_TIMEOUT);
    assert_int_equal(leader.status, TEARS_OK);
    assert_int_equal(atomic_load(&hook.fetches), 1);
}

/* ---- a limit on loads ------------------------------------------------------------------------------ */

static atomic_int inside;
static atomic_int inside_max;
static atomic_int slow_ms;

static tears_status slow_fetch(void *owner, void *tx, const tears_schema *of,
                               const struct tears_value *key, size_t key_count,
                               uint64_t deadline_ms, const struct tears_row_sink *sink,
                               struct tears_error *error)
{
    const int now = atomic_fetch_add(&inside, 1) + 1;
    int most = atomic_load(&inside_max);
    while (now > most && !atomic_compare_exchange_weak(&inside_max, &most, now)) {
    }
    usleep((useconds_t)atomic_load(&slow_ms) * 1000);
    const tears_status status = real_fetch(owner, tx, of, key, key_count, deadline_ms, sink, error);
    atomic_fetch_sub(&inside, 1);
    return status;
}

static void open_slow(uint64_t loads_max, int ms)
{
    struct tears_collection_options options = TEARS_COLLECTION_OPTIONS_INIT;
    options.l3_loads_max = loads_max;
    real_fetch = hook.store.fetch;
    hook.store.fetch = slow_fetch;
    atomic_store(&inside, 0);
    atomic_store(&inside_max, 0);
    atomic_store(&slow_ms, ms);
    open_here(&options);
}

static void loads_are_limited(void **state)
{
    (void)state;
    enum { READERS = 16 };
    struct reader readers[READERS];
    open_slow(2, 10);
    for (int i = 0; i < READERS; i++)
        hook_store_put(&hook, i, "row");
    for (int i = 0; i < READERS; i++)
        start(&readers[i], i, 60000);
    for (int i = 0; i < READERS; i++) {
        pthread_join(readers[i].thread, NULL);
        assert_int_equal(readers[i].status, TEARS_OK);
    }
    assert_in_range(atomic_load(&inside_max), 1, 2);
}

static void who_waits_for_a_load_keeps_its_deadline(void **state)
{
    (void)state;
    struct reader slow;
    struct reader late;
    open_slow(1, 300);
    hook_store_put(&hook, 1, "row");
    hook_store_put(&hook, 2, "row");
    start(&slow, 1, 60000);
    usleep(30000);
    const uint64_t began_us = t3_now_us();
    start(&late, 2, 50);
    pthread_join(late.thread, NULL);
    const uint64_t took_us = t3_now_us() - began_us;
    pthread_join(slow.thread, NULL);
    assert_int_equal(late.status, TEARS_TIMEOUT);
    assert_true(took_us < 250000);
    assert_int_equal(slow.status, TEARS_OK);
    assert_int_equal(items_get(here.session, &here, 2), TEARS_OK); /* and the gate is as it was */
}

/* ---- the gate itself --------------------------------------------------------------------------------- */

struct guest {
    pthread_t thread;
    struct t3_gate *gate;
    int number;
    int *order;
    atomic_int *entered;
};

static void *go_in(void *owner)
{
    struct guest *guest = owner;
    assert_int_equal(t3_gate_enter(guest->gate, t3_deadline_in_ms(20000)), TEARS_OK);
    guest->order[atomic_fetch_add(guest->entered, 1)] = guest->number;
    t3_gate_leave(guest->gate);
    return NULL;
}

/* Who came first goes in first. */
static void the_gate_keeps_the_order(void **state)
{
    (void)state;
    enum { GUESTS = 8 };
    struct guest guests[GUESTS];
    int order[GUESTS];
    atomic_int entered = 0;
    struct t3_gate gate;
    t3_gate_init(&gate, 1);
    assert_int_equal(t3_gate_enter(&gate, t3_deadline_in_ms(1)), TEARS_OK);
    for (int i = 0; i < GUESTS; i++) {
        guests[i] = (struct guest){.gate = &gate, .number = i, .order = order, .entered = &entered};
        assert_int_equal(pthread_create(&guests[i].thread, NULL, go_in, &guests[i]), 0);
        usleep(20000);
    }
    assert_int_equal(t3_gate_enter(&gate, t3_deadline_in_ms(10)), TEARS_TIMEOUT);
    assert_int_equal(atomic_load(&entered), 0);
    t3_gate_leave(&gate);
    for (int i = 0; i < GUESTS; i++)
        pthread_join(guests[i].thread, NULL);
    for (int i = 0; i < GUESTS; i++)
        assert_int_equal(order[i], i);
    t3_gate_done(&gate);
}

/* ---- early refresh ------------------------------------------------------------------------------------- */

static void open_refreshing(void)
{
    struct tears_collection_options options = TEARS_COLLECTION_OPTIONS_INIT;
    options.early_refresh = 1;
    options.l1_age_ms_max = 100000;
    open_here(&options);
}

static bool wait_for_refreshes(uint64_t count)
{
    for (int i = 0; i < 5000 && items_stats(&here).early_refreshes < count; i++)
        usleep(1000);
    return items_stats(&here).early_refreshes >= count;
}

static void a_hot_row_is_read_anew_before_its_age_ends(void **state)
{
    (void)state;
    open_refreshing();
    hook_store_put(&hook, 1, "old");
    assert_string_equal(items_name(here.session, &here, 1), "old");
    hook_store_put(&hook, 1, "new");
    t3_clock_shift_ms(50000);
    assert_string_equal(items_name(here.session, &here, 1), "old");
    assert_int_equal(items_stats(&here).early_refreshes, 0);
    t3_clock_shift_ms(39900); /* the age is 90 to 100 s */
    for (int i = 0; i < 100; i++)
        (void)items_name(here.session, &here, 1);
    assert_true(wait_for_refreshes(1));
    assert_string_equal(items_name(here.session, &here, 1), "new");
    assert_int_equal(tears_session_tier(here.session), TEARS_TIER_L1);
    assert_int_equal(atomic_load(&hook.fetches), 2);
    t3_clock_shift_ms(50000);
    assert_string_equal(items_name(here.session, &here, 1), "new"); /* its age began anew */
    assert_int_equal(atomic_load(&hook.fetches), 2);
}

/* The row is gone from L3: L1 does not keep it for want of a newer version. */
static void a_refresh_that_finds_nothing_forgets_the_row(void **state)
{
    (void)state;
    open_refreshing();
    hook_store_put(&hook, 1, "old");
    assert_string_equal(items_name(here.session, &here, 1), "old");
    pthread_mutex_lock(&hook.mutex);
    hook.rows[0].used = false;
    pthread_mutex_unlock(&hook.mutex);
    t3_clock_shift_ms(89900);
    (void)items_name(here.session, &here, 1);
    assert_true(wait_for_refreshes(1));
    assert_string_equal(items_name(here.session, &here, 1), "");
}

static void write_meanwhile(void *owner, int64_t id)
{
    (void)owner;
    tears_session *writer = items_session(&here);
    items_put(writer, &here, id, "written");
    tears_session_free(writer);
}

/* Trap 16: the refresh has read the old row when a write comes; what it brings is discarded. */
static void trap_16_a_refresh_does_not_undo_a_write(void **state)
{
    (void)state;
    open_refreshing();
    hook_store_put(&hook, 1, "old");
    assert_string_equal(items_name(here.session, &here, 1), "old");
    t3_clock_shift_ms(89900);
    hook.after_read = write_meanwhile;
    (void)items_name(here.session, &here, 1);
    assert_true(wait_for_refreshes(1));
    assert_string_equal(items_name(here.session, &here, 1), "written");
}

static void drop_meanwhile(void *owner, int64_t id)
{
    (void)owner;
    const struct tears_value key = tears_int(id);
    tears_session *other = items_session(&here);
    hook_store_put(&hook, id, "elsewhere");
    assert_int_equal(tears_invalidate(other, here.rows, &key, 1), TEARS_OK); /* as a notice does */
    tears_session_free(other);
}

static void trap_16_a_refresh_does_not_undo_an_invalidation(void **state)
{
    (void)state;
    open_refreshing();
    hook_store_put(&hook, 1, "old");
    assert_string_equal(items_name(here.session, &here, 1), "old");
    t3_clock_shift_ms(89900);
    hook.after_read = drop_meanwhile;
    (void)items_name(here.session, &here, 1);
    assert_true(wait_for_refreshes(1));
    assert_false(items_in_l1(&here, 1));
    assert_string_equal(items_name(here.session, &here, 1), "elsewhere");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
    const struct CMUnitTest tests[] = {
        TEST(trap_13_a_thousand_readers_make_one_load),
        TEST(trap_27_a_failed_load_wedges_nobody),
        TEST(trap_27_a_reader_that_gives_up),
        TEST(loads_are_limited),
        TEST(who_waits_for_a_load_keeps_its_deadline),
        cmocka_unit_test(the_gate_keeps_the_order),
        TEST(a_hot_row_is_read_anew_before_its_age_ends),
        TEST(a_refresh_that_finds_nothing_forgets_the_row),
        TEST(trap_16_a_refresh_does_not_undo_a_write),
        TEST(trap_16_a_refresh_does_not_undo_an_invalidation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
