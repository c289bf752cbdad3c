/*
 * test_races.c -- what happens between a read's look into L3 and its fill of L1, in one process:
 * each schedule is forced, not waited for.
 */
#include "support/hook_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct hook_store hook;
static tears_schema *schema;
static tears_client *client;
static tears_collection *items;
static tears_session *session; /* the reader's */
static tears_session *other;   /* whoever interferes */

static int open_world(void **state)
{
    (void)state;
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    struct tears_error error;
    hook_store_init(&hook);
    schema = hook_store_schema();
    options.store = &hook.store;
    options.l2_url = TEARS_STR("none");
    if (tears_client_open(&options, &client, &error) != TEARS_OK)
        fail_msg("open: %s", error.message);
    items = hook_store_collection(client, schema);
    assert_int_equal(tears_session_new(client, NULL, &session), TEARS_OK);
    assert_int_equal(tears_session_new(client, NULL, &other), TEARS_OK);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    tears_session_free(session);
    tears_session_free(other);
    tears_client_free(client);
    tears_schema_free(schema);
    return 0;
}

static tears_status get(tears_session *with, int64_t id, char *name_out)
{
    const struct tears_value key = tears_int(id);
    tears_entity *entity = NULL;
    const tears_status status = tears_get(with, items, &key, 1, &entity);
    if (status != TEARS_OK)
        return status;
    struct tears_value name;
    assert_int_equal(tears_entity_get(entity, TEARS_STR("name"), &name), TEARS_OK);
    snprintf(name_out, 64, "%.*s", (int)name.as.bytes.len, name.as.bytes.ptr);
    return TEARS_OK;
}

static void assert_name(int64_t id, const char *expected)
{
    char name[64];
    assert_int_equal(get(session, id, name), TEARS_OK);
    assert_string_equal(name, expected);
}

static bool in_l1(int64_t id)
{
    const struct tears_value key = tears_int(id);
    return tears_exists_in_l1(session, items, &key, 1);
}

static void upsert_meanwhile(void *owner, int64_t id)
{
    (void)owner;
    const struct tears_field fields[] = {
        tears_field_of(TEARS_STR("id"), tears_int(id)),
        tears_field_of(TEARS_STR("name"), tears_text(TEARS_STR("new")))};
    assert_int_equal(tears_upsert(other, items, fields, 2, NULL), TEARS_OK);
}

static void upsert_and_evict_meanwhile(void *owner, int64_t id)
{
    upsert_meanwhile(owner, id);
    const struct tears_value key = tears_int(id);
    assert_int_equal(tears_evict(other, items, &key, 1), TEARS_OK);
}

static void delete_meanwhile(void *owner, int64_t id)
{
    (void)owner;
    const struct tears_value key = tears_int(id);
    assert_int_equal(tears_delete(other, items, &key, 1), TEARS_OK);
}

static void invalidate_meanwhile(void *owner, int64_t id)
{
    (void)owner;
    const struct tears_value key = tears_int(id);
    assert_int_equal(tears_invalidate(other, items, &key, 1), TEARS_OK);
}

/* Trap 1, W-01: the old row is given to who asked first, and cached for nobody. */
static void t01_stale_fill_is_discarded(void **state)
{
    (void)state;
    hook_store_put(&hook, 1, "old");
    hook.after_read = upsert_meanwhile;
    assert_name(1, "old");
    assert_name(1, "new");
}

/* Trap 29: eviction between the write and the fill does not make the fill welcome. */
static void t29_eviction_keeps_the_fence(void **state)
{
    (void)state;
    hook_store_put(&hook, 1, "old");
    hook.after_read = upsert_and_evict_meanwhile;
    assert_name(1, "old");
    assert_false(in_l1(1));
    assert_name(1, "new");
}

/* Trap 3, W-05: a deleted row does not come back by a slow reader. */
static void t03_delete_is_not_undone(void **state)
{
    (void)state;
    hook_store_put(&hook, 1, "old");
    hook.after_read = delete_meanwhile;
    assert_name(1, "old");
    char name[64];
    assert_int_equal(get(session, 1, name), TEARS_NOT_FOUND);
}

/* W-02: an invalidation during a fill is not undone by it. */
static void w02_invalidation_during_a_fill(void **state)
{
    (void)state;
    hook_store_put(&hook, 1, "old");
    hook.after_read = invalidate_meanwhile;
    assert_name(1, "old");
    assert_false(in_l1(1));
}

/* Trap 23: absence is not cached over a row created meanwhile, and a creation ends a cached
 * absence. */
static void t23_absence_yields_to_creation(void **state)
{
    (void)state;
    char name[64];
    hook.after_read = upsert_meanwhile;
    assert_int_equal(get(session, 1, name), TEARS_NOT_FOUND);
    assert_name(1, "new");

    assert_int_equal(get(session, 2, name), TEARS_NOT_FOUND);
    const uint64_t fetches = hook.fetches;
    assert_int_equal(get(session, 2, name), TEARS_NOT_FOUND);
    assert_int_equal(hook.fetches, fetches); /* the absence was cached */
    upsert_meanwhile(NULL, 2);
    assert_name(2, "new");
}

/* Reads of one row by many threads at once are one read of L3. */
static atomic_int threads_done;

static void *read_thread(void *context)
{
    (void)context;
    tears_session *mine = NULL;
    char name[64];
    if (tears_session_new(client, NULL, &mine) != TEARS_OK || get(mine, 7, name) != TEARS_OK ||
        strcmp(name, "one") != 0)
        abort();
    tears_session_free(mine);
    atomic_fetch_add(&threads_done, 1);
    return NULL;
}

static void wait_for_joiners(void *owner, int64_t id)
{
    (void)owner;
    (void)id;
    struct tears_client_stats stats = {.size = sizeof stats};
    for (int i = 0; i < 5000; i++) { /* 15 threads have to join; 5 s at most */
        tears_client_stats(client, &stats);
        if (stats.flights_joined >= 15)
            return;
        usleep(1000);
    }
    abort();
}

static void w45_single_flight(void **state)
{
    (void)state;
    pthread_t threads[16];
    hook_store_put(&hook, 7, "one");
    hook.after_read = wait_for_joiners;
    for (int i = 0; i < 16; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_thread, NULL), 0);
    for (int i = 0; i < 16; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(threads_done, 16);
    assert_int_equal(hook.fetches, 1);
}

/* Trap 27: a flight that fails lets everyone go, and the next read starts afresh. */
static void t27_failed_flight_is_forgotten(void **state)
{
    (void)state;
    char name[64];
    hook_store_put(&hook, 1, "row");
    atomic_store(&hook.down, true);
    assert_int_equal(get(session, 1, name), TEARS_UNAVAILABLE);
    assert_non_null(strstr(tears_session_error(session)->message, "down"));
    atomic_store(&hook.down, false);
    assert_name(1, "row");
}

/* A reader that asks after a write never gets what a read begun before it found. */
static atomic_bool reader_may_go;

static void hold_reader(void *owner, int64_t id)
{
    (void)owner;
    (void)id;
    while (!atomic_load(&reader_may_go))
        usleep(200);
}

static void *slow_reader(void *context)
{
    (void)context;
    tears_session *mine = NULL;
    char name[64];
    if (tears_session_new(client, NULL, &mine) != TEARS_OK || get(mine, 1, name) != TEARS_OK)
        abort();
    tears_session_free(mine);
    return NULL;
}

static void flight_from_before_a_write_is_not_joined(void **state)
{
    (void)state;
    pthread_t reader;
    hook_store_put(&hook, 1, "old");
    hook.after_read = hold_reader;
    atomic_store(&reader_may_go, false);
    assert_int_equal(pthread_create(&reader, NULL, slow_reader, NULL), 0);
    while (atomic_load(&hook.fetches) == 0)
        usleep(200);
    upsert_and_evict_meanwhile(NULL, 1);
    assert_name(1, "new");
    atomic_store(&reader_may_go, true);
    assert_int_equal(pthread_join(reader, NULL), 0);
    assert_name(1, "new");
}

/* L3 down: what L1 holds is still served; what it does not hold is unavailable, not absent. */
static void l3_down_serves_what_is_cached(void **state)
{
    (void)state;
    char name[64];
    hook_store_put(&hook, 1, "row");
    hook_store_put(&hook, 2, "row");
    assert_name(1, "row");
    atomic_store(&hook.down, true);
    assert_name(1, "row");
    assert_int_equal(get(session, 2, name), TEARS_UNAVAILABLE);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(t01_stale_fill_is_discarded),
        IN_WORLD(t29_eviction_keeps_the_fence),
        IN_WORLD(t03_delete_is_not_undone),
        IN_WORLD(w02_invalidation_during_a_fill),
        IN_WORLD(t23_absence_yields_to_creation),
        IN_WORLD(w45_single_flight),
        IN_WORLD(t27_failed_flight_is_forgotten),
        IN_WORLD(flight_from_before_a_write_is_not_joined),
        IN_WORLD(l3_down_serves_what_is_cached),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
