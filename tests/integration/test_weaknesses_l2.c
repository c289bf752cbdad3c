/*
 * test_weaknesses_l2.c -- the weaknesses of the Python package that show between processes (spec
 * core.md section 32): two clients stand for two processes, on a real nats-server and one store.
 */
#include "support/hook_store.h"
#include "support/nats_server.h"

#include <nats/nats.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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
static struct test_nats *own_server; /* of tests that pause or kill it */
static const char *url;

/* ---- the world ---------------------------------------------------------------------------------
 */

static void start_process(struct process *process)
{
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    struct tears_error error;
    options.store = &hook.store;
    options.l2_url = tears_str_c(url);
    options.namespace_name = tears_str_c(namespace_name);
    options.l2_wait_ms = 300;
    options.l1_age_ms_max = 600000;
    if (tears_client_open(&options, &process->client, &error) != TEARS_OK)
        fail_msg("open: %s", error.message);
    process->items = hook_store_collection(process->client, schema);
    assert_int_equal(tears_session_new(process->client, NULL, &process->session), TEARS_OK);
}

static void end_process(struct process *process)
{
    tears_session_free(process->session);
    tears_client_free(process->client);
}

static void open_on(const char *server_url)
{
    url = server_url;
    test_namespace(namespace_name);
    hook_store_init(&hook);
    schema = hook_store_schema();
    start_process(&a);
    start_process(&b);
}

static int open_world(void **state)
{
    (void)state;
    open_on(test_nats_shared_url());
    return 0;
}

static int open_own_world(void **state)
{
    const struct test_nats_options small = {.config = "max_payload: 8192"};
    (void)state;
    own_server = test_nats_start(&small);
    open_on(test_nats_url(own_server));
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    end_process(&a);
    end_process(&b);
    tears_schema_free(schema);
    test_nats_free(own_server);
    own_server = NULL;
    return 0;
}

/* ---- what processes do -------------------------------------------------------------------------
 */

static tears_entity *get_entity(struct process *process, int64_t id)
{
    const struct tears_value key = tears_int(id);
    tears_entity *entity = NULL;
    const tears_status status = tears_get(process->session, process->items, &key, 1, &entity);
    if (status != TEARS_OK && status != TEARS_NOT_FOUND)
        fail_msg("get: %s", tears_session_error(process->session)->message);
    return entity;
}

static const char *name_of(const tears_entity *entity)
{
    struct tears_value name;
    if (entity == NULL)
        return "(none)";
    assert_int_equal(tears_entity_get(entity, TEARS_STR("name"), &name), TEARS_OK);
    return name.as.bytes.ptr;
}

static void assert_reads(struct process *process, int64_t id, const char *expected)
{
    assert_string_equal(name_of(get_entity(process, id)), expected);
}

static void upsert(struct process *process, int64_t id, const char *name)
{
    const struct tears_field fields[] = {
        tears_field_of(TEARS_STR("id"), tears_int(id)),
        tears_field_of(TEARS_STR("name"), tears_text(tears_str_c(name)))};
    if (tears_upsert(process->session, process->items, fields, 2, NULL) != TEARS_OK)
        fail_msg("upsert: %s", tears_session_error(process->session)->message);
}

static void evict(struct process *process, int64_t id)
{
    const struct tears_value key = tears_int(id);
    assert_int_equal(tears_evict(process->session, process->items, &key, 1), TEARS_OK);
}

static bool in_l1(struct process *process, int64_t id)
{
    const struct tears_value key = tears_int(id);
    return tears_exists_in_l1(process->session, process->items, &key, 1);
}

static uint64_t notices_of(struct process *process)
{
    struct tears_client_stats stats = {.size = sizeof stats};
    tears_client_stats(process->client, &stats);
    return stats.notices_received;
}

/* Waits, 5 s at most, until the process has received more notices than `before`. */
static void wait_for_notice(struct process *process, uint64_t before)
{
    for (int i = 0; i < 5000 && notices_of(process) == before; i++)
        usleep(1000);
    assert_true(notices_of(process) > before);
}

/* Waits, 5 s at most, until a fresh read gives the tier: fills of L2 are not waited for by their
 * readers. */
static void wait_for_tier(struct process *process, int64_t id, uint32_t tier)
{
    uint32_t last = 0;
    for (int i = 0; i < 1000; i++) {
        evict(process, id);
        tears_entity *entity = get_entity(process, id);
        last = entity != NULL ? tears_entity_tier(entity) : 0;
        if (last == tier)
            return;
        usleep(5000);
    }
    assert_int_equal(last, tier);
}

/* ---- what other programs do to the bucket -------------------------------------------------------
 */

struct bucket {
    natsConnection *conn;
    jsCtx *js;
    kvStore *kv;
};

static void bucket_open(struct bucket *bucket)
{
    char name[64];
    snprintf(name, sizeof name, "%s-collections", namespace_name);
    assert_int_equal(natsConnection_ConnectTo(&bucket->conn, url), NATS_OK);
    assert_int_equal(natsConnection_JetStream(&bucket->js, bucket->conn, NULL), NATS_OK);
    assert_int_equal(js_KeyValue(&bucket->kv, bucket->js, name), NATS_OK);
}

static void bucket_close(struct bucket *bucket)
{
    kvStore_Destroy(bucket->kv);
    jsCtx_Destroy(bucket->js);
    natsConnection_Destroy(bucket->conn);
}

static void put_raw(const char *key, const char *value)
{
    struct bucket bucket;
    bucket_open(&bucket);
    assert_int_equal(kvStore_PutString(NULL, bucket.kv, key, value), NATS_OK);
    bucket_close(&bucket);
}

/* The stored text, or NULL; freed by the caller. */
static char *get_raw(const char *key)
{
    struct bucket bucket;
    kvEntry *entry = NULL;
    char *text = NULL;
    bucket_open(&bucket);
    if (kvStore_Get(&entry, bucket.kv, key) == NATS_OK) {
        text = strndup(kvEntry_Value(entry), (size_t)kvEntry_ValueLen(entry));
        kvEntry_Destroy(entry);
    }
    bucket_close(&bucket);
    return text;
}

/* ---- scenarios
 * ------------------------------------------------------------------------------------ */

static void b_saves_meanwhile(void *owner, int64_t id)
{
    (void)owner;
    const uint64_t before = notices_of(&a);
    upsert(&b, id, "new");
    wait_for_notice(&a, before);
}

/* The reader that was away while another process saved spoils neither its own L1 nor L2. */
static void w01_stale_fill_spoils_no_tier(void **state)
{
    (void)state;
    hook_store_put(&hook, 1, "old");
    hook.after_read = b_saves_meanwhile;
    assert_reads(&a, 1, "old");
    assert_reads(&a, 1, "new");
    evict(&b, 1);
    tears_entity *entity = get_entity(&b, 1);
    assert_string_equal(name_of(entity), "new");
    usleep(100000); /* a fill that had been started would be there by now */
    evict(&b, 1);
    assert_reads(&b, 1, "new");
}

/* A value too large for L2 leaves no old one behind. */
static void w03_failed_put_leaves_nothing_stale(void **state)
{
    (void)state;
    upsert(&b, 1, "small");
    assert_reads(&a, 1, "small");
    char *large = malloc(12000);
    assert_non_null(large);
    memset(large, 'x', 11999);
    large[11999] = '\0';
    const uint64_t before = notices_of(&a);
    upsert(&b, 1, large);
    wait_for_notice(&a, before);
    assert_reads(&a, 1, large);
    evict(&b, 1);
    assert_reads(&b, 1, large);
    free(large);
}

/* A delete that L2 did not hear of is told to it later, and says so meanwhile. */
static void w05_delete_does_not_resurrect(void **state)
{
    (void)state;
    upsert(&b, 1, "row");
    assert_reads(&a, 1, "row");
    const struct tears_value key = tears_int(1);
    test_nats_pause(own_server);
    assert_int_equal(tears_delete(b.session, b.items, &key, 1), TEARS_OK);
    assert_true(tears_session_degraded(b.session) & TEARS_DEGRADED_L2_WRITE);
    test_nats_resume(own_server);
    for (int i = 0; i < 2000; i++) {
        evict(&a, 1);
        evict(&b, 1);
        if (get_entity(&a, 1) == NULL && get_entity(&b, 1) == NULL)
            break;
        usleep(5000);
    }
    assert_null(get_entity(&a, 1));
    assert_null(get_entity(&b, 1));
}

/* A value of a Python peer that lacks a column is a miss, and is replaced by the whole row. */
static void w08_incomplete_values_are_healed(void **state)
{
    (void)state;
    hook_store_put(&hook, 1, "whole");
    put_raw("items.1", "{\"id\": 1, \"row_version\": 1}");
    tears_entity *entity = get_entity(&a, 1);
    assert_string_equal(name_of(entity), "whole");
    assert_int_equal(tears_entity_tier(entity), TEARS_TIER_L3);
    wait_for_tier(&a, 1, TEARS_TIER_L2);
    char *text = get_raw("items.1");
    assert_non_null(text);
    assert_string_equal(text, "{\"id\": 1, \"name\": \"whole\", \"row_version\": 1}");
    free(text);
}

/* Once L3 has the row a dead L2 cannot fail the save. */
static void w09_no_failure_after_the_commit(void **state)
{
    (void)state;
    upsert(&a, 1, "before");
    test_nats_kill(own_server);
    upsert(&a, 1, "after");
    assert_true(tears_session_degraded(a.session) &
                (TEARS_DEGRADED_L2_WRITE | TEARS_DEGRADED_NOTICE));
    assert_string_equal(hook.rows[0].name, "after");
    assert_reads(&a, 1, "after");
    evict(&a, 1);
    assert_reads(&a, 1, "after");
    assert_true(tears_session_degraded(a.session) & TEARS_DEGRADED_L2_READ);
    test_nats_again(own_server);
    wait_for_tier(&a, 1, TEARS_TIER_L2);
    assert_reads(&a, 1, "after");
}

/* What is in L2 but is no row of the table is a miss, whatever it is. */
static void w10_damaged_values_are_misses(void **state)
{
    (void)state;
    static const char *const damaged[] = {"null",
                                          "",
                                          "{",
                                          "[1]",
                                          "not JSON",
                                          "\"text\"",
                                          "{\"id\": 2, \"name\": \"x\", \"row_version\": 1}",
                                          "{\"id\": \"one\", \"name\": \"x\", \"row_version\": 1}",
                                          "{\"id\": 1, \"name\": \"\xff\", \"row_version\": 1}"};
    hook_store_put(&hook, 1, "right");
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        put_raw("items.1", damaged[i]);
        evict(&a, 1);
        tears_entity *entity = get_entity(&a, 1);
        assert_string_equal(name_of(entity), "right");
        assert_int_equal(tears_entity_tier(entity), TEARS_TIER_L3);
        wait_for_tier(&a, 1, TEARS_TIER_L2);
    }
}

/* A server that is not there when the client opens is used once it is. */
static void w10_l2_down_at_open(void **state)
{
    (void)state;
    hook_store_put(&hook, 1, "row");
    test_nats_kill(own_server);
    struct process late;
    start_process(&late);
    assert_reads(&late, 1, "row");
    assert_true(tears_session_degraded(late.session) & TEARS_DEGRADED_L2_READ);
    test_nats_again(own_server);
    for (int i = 0; i < 1000; i++) {
        evict(&late, 1);
        assert_reads(&late, 1, "row");
        if (tears_session_degraded(late.session) == 0)
            break;
        usleep(10000);
    }
    assert_int_equal(tears_session_degraded(late.session), 0);
    end_process(&late);
}

/* Reads publish nothing (trap 15); a save publishes one notice, and its own process keeps the row.
 */
static void t15_fills_publish_nothing(void **state)
{
    (void)state;
    for (int64_t id = 1; id <= 20; id++)
        hook_store_put(&hook, id, "row");
    const uint64_t before = notices_of(&b);
    for (int64_t id = 1; id <= 20; id++)
        assert_reads(&a, id, "row");
    usleep(100000);
    assert_int_equal(notices_of(&b), before);
    upsert(&a, 1, "saved");
    wait_for_notice(&b, before);
    assert_true(in_l1(&a, 1));
    assert_int_equal(notices_of(&b), before + 1);
}

/* A save by one process is seen by the other at once. */
static void a_save_is_seen_by_the_other_process(void **state)
{
    (void)state;
    upsert(&a, 1, "one");
    assert_reads(&b, 1, "one");
    for (int i = 0; i < 20; i++) {
        char name[32];
        const uint64_t before = notices_of(&b);
        snprintf(name, sizeof name, "value %d", i);
        upsert(&a, 1, name);
        wait_for_notice(&b, before);
        assert_reads(&b, 1, name);
    }
}

/* A notice by a Python peer evicts; what is no notice is reported to the dead-letter subject. */
static void notices_of_peers(void **state)
{
    (void)state;
    struct bucket bucket;
    natsSubscription *dead = NULL;
    natsMsg *letter = NULL;
    char subject[96];
    hook_store_put(&hook, 1, "old");
    assert_reads(&a, 1, "old");
    wait_for_tier(&a, 1, TEARS_TIER_L2);
    hook_store_put(&hook, 1, "new");
    bucket_open(&bucket);
    snprintf(subject, sizeof subject, "%s.deadletter.threetears.cache.invalidate", namespace_name);
    assert_int_equal(natsConnection_SubscribeSync(&dead, bucket.conn, subject), NATS_OK);
    put_raw("items.1", "{\"row_version\": 2, \"extra\": [1], \"name\": \"new\", \"id\": 1}");
    const uint64_t before = notices_of(&a);
    assert_int_equal(
        natsConnection_PublishString(bucket.conn, "threetears.cache.invalidate",
                                     "{\"table\":\"items\",\"ids\":[\"1\"],\"origin\":null}"),
        NATS_OK);
    wait_for_notice(&a, before);
    assert_reads(&a, 1, "new");
    assert_int_equal(natsConnection_PublishString(bucket.conn, "threetears.cache.invalidate",
                                                  "{\"table\":\"items\",\"ids\":[5]}"),
                     NATS_OK);
    assert_int_equal(natsSubscription_NextMsg(&letter, dead, 5000), NATS_OK);
    assert_non_null(strstr(natsMsg_GetData(letter), "ValidationError"));
    natsMsg_Destroy(letter);
    natsSubscription_Destroy(dead);
    bucket_close(&bucket);
}

#define SHARED(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)
#define OWN(test)    cmocka_unit_test_setup_teardown(test, open_own_world, close_world)

int main(void)
{
    test_nats_alone();
    const struct CMUnitTest tests[] = {
        SHARED(w01_stale_fill_spoils_no_tier),
        OWN(w03_failed_put_leaves_nothing_stale),
        OWN(w05_delete_does_not_resurrect),
        SHARED(w08_incomplete_values_are_healed),
        OWN(w09_no_failure_after_the_commit),
        SHARED(w10_damaged_values_are_misses),
        OWN(w10_l2_down_at_open),
        SHARED(t15_fills_publish_nothing),
        SHARED(a_save_is_seen_by_the_other_process),
        SHARED(notices_of_peers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
