/*
 * test_store_faults.c -- a durable store whose N-th call fails, with every status, before or after it
 * has done its work: the status reaches the caller, and what the caches answer afterwards is what the
 * store holds.
 */
#include "support/embedded.h"
#include "support/fault_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ROWS = 6 }; /* the ids that may exist */

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static tears_session *session; /* a new one for each failure */
static tears_entity *held;     /* row 1, read through it */

struct operation {
    const char *name;
    tears_status (*run)(void);
};

static void expect_ok(tears_session *with, tears_status status)
{
    if (status != TEARS_OK)
        fail_msg("%s: %s", tears_status_name(status), tears_session_error(with)->message);
}

static struct hook_store rows; /* large: not for the stack */
static struct fault_store store;
static tears_schema *schema;
static tears_client *client;
static tears_collection *items;

static int open_store(void **state)
{
    (void)state;
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    struct tears_error error;
    hook_store_init(&rows);
    fault_store_init(&store, &rows);
    schema = hook_store_schema();
    options.store = &store.store;
    options.l2_url = TEARS_STR("none");
    if (tears_client_open(&options, &client, &error) != TEARS_OK)
        fail_msg("open: %s", error.message);
    items = hook_store_collection(client, schema);
    return 0;
}

static int close_store(void **state)
{
    (void)state;
    tears_client_free(client);
    tears_schema_free(schema);
    pthread_mutex_destroy(&rows.mutex);
    return 0;
}

/* Rows 1, 2 and 3 in the store and in L1; row 1 in `held`. */
static void set_up_store(void)
{
    memset(rows.rows, 0, sizeof rows.rows);
    assert_int_equal(tears_session_new(client, NULL, &session), TEARS_OK);
    for (int64_t id = 1; id <= ROWS; id++) {
        const struct tears_value key = tears_int(id);
        expect_ok(session, tears_invalidate(session, items, &key, 1));
    }
    for (int64_t id = 1; id <= 3; id++)
        hook_store_put(&rows, id, "old");
    const struct tears_value keys[] = {tears_int(1), tears_int(2), tears_int(3)};
    expect_ok(session, tears_ensure(session, items, keys, 3, NULL));
    expect_ok(session, tears_get(session, items, keys, 1, &held));
}

/* What a reader gets is what the store holds, whatever the failed call has done to it. */
static void check_store(const char *name, uint64_t nth)
{
    for (size_t i = 0; i < HOOK_ROWS; i++) {
        const struct hook_row *row = &rows.rows[i];
        if (!row->used)
            continue;
        const struct tears_value key = tears_int(row->id);
        tears_entity *entity = NULL;
        expect_ok(session, tears_get(session, items, &key, 1, &entity));
        if (strcmp(embedded_text(entity, "name"), row->name) != 0 ||
            tears_entity_version(entity) != row->version)
            fail_msg("%s, call %llu: row %lld is '%s' in the store and '%s' in the cache", name,
                     (unsigned long long)nth, (long long)row->id, row->name,
                     embedded_text(entity, "name"));
    }
    for (int64_t id = 1; id <= ROWS; id++) {
        bool used = false;
        for (size_t i = 0; i < HOOK_ROWS; i++)
            used = used || (rows.rows[i].used && rows.rows[i].id == id);
        const struct tears_value key = tears_int(id);
        tears_entity *entity = NULL;
        if (!used && tears_get(session, items, &key, 1, &entity) != TEARS_NOT_FOUND)
            fail_msg("%s, call %llu: row %lld is not in the store any more", name,
                     (unsigned long long)nth, (long long)id);
    }
}

static tears_status items_get(void)
{
    const struct tears_value key = tears_int(4);
    tears_entity *entity = NULL;
    const tears_status status = tears_get(session, items, &key, 1, &entity);
    return status == TEARS_NOT_FOUND ? TEARS_OK : status;
}

static tears_status items_get_many(void)
{
    const struct tears_value keys[] = {tears_int(4), tears_int(1), tears_int(5)};
    tears_entity *found[3];
    return tears_get_many(session, items, keys, 3, found);
}

static tears_status items_insert(void)
{
    const struct tears_field fields[] = {field_int("id", 4), field_text("name", "new")};
    return tears_insert(session, items, fields, 2, NULL);
}

static tears_status items_update(void)
{
    const struct tears_field change = field_text("name", "new");
    return tears_update(session, held, &change, 1, NULL);
}

static tears_status items_upsert(void)
{
    const struct tears_field fields[] = {field_int("id", 2), field_text("name", "new")};
    return tears_upsert(session, items, fields, 2, NULL);
}

static tears_status items_delete(void)
{
    const struct tears_value key = tears_int(3);
    return tears_delete(session, items, &key, 1);
}

static tears_status items_save(void)
{
    expect_ok(session, tears_entity_set(held, TEARS_STR("name"), tears_text(TEARS_STR("new"))));
    const tears_status status = tears_entity_save(held);
    assert_true(tears_entity_is_dirty(held) == (status != TEARS_OK));
    return status;
}

static tears_status items_reload(void)
{
    hook_store_put(&rows, 1, "by others");
    const tears_status status = tears_entity_reload(held);
    if (status !=
        TEARS_OK) { /* the caches do not know either; what they hold may be a minute old */
        const struct tears_value key = tears_int(1);
        const struct tears_error error = *tears_session_error(session);
        expect_ok(session, tears_invalidate(session, items, &key, 1));
        assert_int_equal(error.status, status);
    }
    return status;
}

static tears_status items_upsert_many(void)
{
    const struct tears_field fields[][2] = {{field_int("id", 1), field_text("name", "new 1")},
                                            {field_int("id", 4), field_text("name", "new 4")},
                                            {field_int("id", 3), field_text("name", "new 3")}};
    const struct tears_row_input inputs[] = {
        {fields[0], 2, NULL}, {fields[1], 2, NULL}, {fields[2], 2, NULL}};
    return tears_upsert_many(session, items, inputs, 3, NULL);
}

static tears_status items_delete_many(void)
{
    const struct tears_value keys[] = {tears_int(1), tears_int(2), tears_int(3)};
    return tears_delete_many(session, items, keys, 3, NULL);
}

static const struct operation calls[] = {
    {.name = "get", .run = items_get},
    {.name = "get_many", .run = items_get_many},
    {.name = "insert", .run = items_insert},
    {.name = "update", .run = items_update},
    {.name = "upsert", .run = items_upsert},
    {.name = "delete", .run = items_delete},
    {.name = "save", .run = items_save},
    {.name = "reload", .run = items_reload},
    {.name = "upsert_many", .run = items_upsert_many},
    {.name = "delete_many", .run = items_delete_many},
};

static void fail_every_call(const struct operation *operation, tears_status with, bool after)
{
    for (uint64_t nth = 1;; nth++) {
        set_up_store();
        fault_store_arm(&store, nth, with, after);
        const tears_status status = operation->run();
        const bool hit = store.calls >= nth;
        fault_store_arm(&store, 0, TEARS_OK, false);
        if (status != (hit ? with : TEARS_OK))
            fail_msg("%s, call %llu fails with %s: %s", operation->name, (unsigned long long)nth,
                     tears_status_name(with), tears_status_name(status));
        check_store(operation->name, nth);
        expect_ok(session, items_get()); /* the session goes on */
        tears_session_free(session);
        if (!hit)
            return;
    }
}

static void calls_of_the_store_fail_one_by_one(void **state)
{
    (void)state;
    static const tears_status statuses[] = {TEARS_UNAVAILABLE, TEARS_TIMEOUT, TEARS_INTERNAL,
                                            TEARS_NO_MEMORY,   TEARS_CORRUPT, TEARS_LIMIT,
                                            TEARS_DENIED,      TEARS_INVALID};
    for (size_t i = 0; i < COUNT(calls); i++)
        for (size_t k = 0; k < COUNT(statuses); k++) {
            fail_every_call(&calls[i], statuses[k], false);
            fail_every_call(&calls[i], statuses[k], true);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(calls_of_the_store_fail_one_by_one, open_store,
                                        close_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
