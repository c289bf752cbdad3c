/*
 * test_correct.c -- own writes that another process overtakes between their commit and their corrections.
 *
 * Two clients stand for two processes on one store in memory.  The schedule is forced: the other one writes while the first is
 * still inside its store, and the first has heard of it before its own write returns.
 */
#include "support/embedded.h"
#include "support/hook_store.h"
#include "support/nats_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

struct process {
    tears_client *client;
    tears_session *session;
    tears_collection *items;
};

static struct hook_store hook;
static tears_schema *schema;
static struct process a;
static struct process b;
static char namespace_name[32];

static void start(struct process *process, bool no_l2)
{
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    struct tears_collection_options of_items = TEARS_COLLECTION_OPTIONS_INIT;
    struct tears_error error;
    options.store = &hook.store;
    options.l2_url = tears_str_c(test_nats_shared_url());
    options.namespace_name = tears_str_c(namespace_name);
    options.l1_age_ms_max = 600000;
    if (tears_client_open(&options, &process->client, &error) != TEARS_OK)
        fail_msg("open: %s", error.message);
    of_items.schema = schema;
    of_items.no_l2 = no_l2;
    if (tears_collection_open(process->client, TEARS_STR("items"), &of_items, &process->items,
                              &error) != TEARS_OK)
        fail_msg("items: %s", error.message);
    assert_int_equal(tears_session_new(process->client, NULL, &process->session), TEARS_OK);
}

static void end(struct process *process)
{
    tears_session_free(process->session);
    tears_client_free(process->client);
}

static int open_with(bool no_l2)
{
    test_namespace(namespace_name);
    hook_store_init(&hook);
    schema = hook_store_schema();
    start(&a, no_l2);
    start(&b, no_l2);
    return 0;
}

static int open_world(void **state)
{
    (void)state;
    return open_with(false);
}

static int open_world_of_notices(void **state)
{
    (void)state;
    return open_with(true);
}

static int close_world(void **state)
{
    (void)state;
    end(&a);
    end(&b);
    tears_schema_free(schema);
    return 0;
}

static tears_status put(struct process *process, int64_t id, const char *name)
{
    const struct tears_field fields[] = {field_int("id", id), field_text("name", name)};
    return tears_upsert(process->session, process->items, fields, 2, NULL);
}

static const char *name_in(struct process *process, int64_t id)
{
    const struct tears_value key = tears_int(id);
    tears_entity *entity = NULL;
    if (tears_get(process->session, process->items, &key, 1, &entity) != TEARS_OK)
        fail_msg("get: %s", tears_session_error(process->session)->message);
    return embedded_text(entity, "name");
}

static uint64_t notices_heard_by_a(void)
{
    struct tears_client_stats stats = TEARS_CLIENT_STATS_INIT;
    tears_client_stats(a.client, &stats);
    return stats.notices_received;
}

/* The other process writes; a has obeyed its notice when this returns. */
static void overtake(void *owner, int64_t id)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    const uint64_t heard = notices_heard_by_a();
    (void)owner;
    assert_int_equal(put(&b, id, "newest"), TEARS_OK);
    for (int i = 0; i < 2000 && notices_heard_by_a() == heard; i++)
        nanosleep(&pause, NULL);
    assert_true(notices_heard_by_a() > heard);
}

/* Trap 1: the news of the newer row have come and gone when the own row arrives, and are not repeated. */
static void trap_01_an_own_row_that_was_overtaken_is_not_kept(void **state)
{
    (void)state;
    assert_int_equal(put(&a, 1, "first"), TEARS_OK);
    hook.after_write = overtake;
    assert_int_equal(put(&a, 1, "second"), TEARS_OK);
    assert_string_equal(name_in(&a, 1), "newest");
    assert_string_equal(name_in(&b, 1), "newest");
}

/* Trap 2: nor does it come back into L2. */
static void trap_02_an_overtaken_row_does_not_reach_l2(void **state)
{
    (void)state;
    assert_int_equal(put(&a, 1, "first"), TEARS_OK);
    hook.after_write = overtake;
    assert_int_equal(put(&a, 1, "second"), TEARS_OK);
    struct process late;
    start(&late, false);
    assert_string_equal(name_in(&late, 1), "newest");
    end(&late);
}

int main(void)
{
    test_nats_alone();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(trap_01_an_own_row_that_was_overtaken_is_not_kept,
                                        open_world, close_world),
        {"trap_01_an_own_row_that_was_overtaken_is_not_kept_by_notices",
         trap_01_an_own_row_that_was_overtaken_is_not_kept, open_world_of_notices, close_world,
         NULL},
        cmocka_unit_test_setup_teardown(trap_02_an_overtaken_row_does_not_reach_l2, open_world,
                                        close_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
