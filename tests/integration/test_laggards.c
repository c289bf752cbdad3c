/*
 * test_laggards.c -- answers of copies that lag behind: a follower of the bucket's stream, a replica of the database.
 *
 * Neither can be had on demand from real servers, so both are played: a cluster by a program that answers in its place,
 * a replica by a store that goes back to an earlier row.
 */
#include "codec/text.h"
#include "support/items.h"
#include "support/l2_fixture.h"
#include "support/nats_server.h"

#include <nats/nats.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- a cluster ----------------------------------------------------------------------------------- */

/* Three replicas of a bucket: the leader has the row as it was written last, a follower the one before. */
struct cluster {
    struct test_nats *server; /* without JetStream: this program is it */
    natsConnection *connection;
    natsSubscription *requests;
    atomic_int asked_leader;
    atomic_int asked_follower;
};

static const char stream_info[] =
    "{\"config\":{\"name\":\"KV_lag-collections\",\"storage\":\"memory\",\"num_replicas\":3,"
    "\"max_msgs_per_subject\":1,\"discard\":\"new\",\"allow_direct\":true},"
    "\"state\":{\"messages\":1,\"bytes\":64,\"first_seq\":2,\"last_seq\":2}}";

static void answer_as_leader(natsConnection *connection, const char *reply_to)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    assert_int_equal(t3_buf_put(&text, TEARS_STR("{\"message\":{\"subject\":\"$KV.lag-collections."
                                                 "notes.1\",\"seq\":2,\"data\":\"")),
                     TEARS_OK);
    assert_int_equal(
        t3_base64_put(&text, TEARS_STR("{\"id\": 1, \"body\": \"written\", \"row_version\": 2}"),
                      false),
        TEARS_OK);
    assert_int_equal(t3_buf_put(&text, TEARS_STR("\",\"time\":\"2026-01-01T00:00:00Z\"}}")),
                     TEARS_OK);
    natsConnection_Publish(connection, reply_to, text.ptr, (int)text.len);
}

static void answer_as_follower(natsConnection *connection, const char *reply_to)
{
    natsMsg *message = NULL;
    const char *row = "{\"id\": 1, \"body\": \"overwritten\", \"row_version\": 1}";
    natsMsg_Create(&message, reply_to, NULL, row, (int)strlen(row));
    natsMsgHeader_Set(message, "Nats-Stream", "KV_lag-collections");
    natsMsgHeader_Set(message, "Nats-Subject", "$KV.lag-collections.notes.1");
    natsMsgHeader_Set(message, "Nats-Sequence", "1");
    natsConnection_PublishMsg(connection, message);
    natsMsg_Destroy(message);
}

static void on_request(natsConnection *connection, natsSubscription *subscription, natsMsg *message,
                       void *owner)
{
    struct cluster *cluster = owner;
    const char *subject = natsMsg_GetSubject(message);
    const char *reply_to = natsMsg_GetReply(message);
    (void)subscription;
    if (strstr(subject, ".STREAM.INFO.") != NULL) {
        natsConnection_PublishString(connection, reply_to, stream_info);
    } else if (strstr(subject, ".STREAM.MSG.GET.") != NULL) {
        atomic_fetch_add(&cluster->asked_leader, 1);
        answer_as_leader(connection, reply_to);
    } else if (strstr(subject, ".DIRECT.GET.") != NULL) {
        atomic_fetch_add(&cluster->asked_follower, 1);
        answer_as_follower(connection, reply_to);
    } /* nothing else is answered: whoever wants to follow the stream waits */
    natsMsg_Destroy(message);
}

static void open_cluster(struct cluster *cluster)
{
    const struct test_nats_options options = {.no_jetstream = true};
    memset(cluster, 0, sizeof *cluster);
    cluster->server = test_nats_start(&options);
    assert_int_equal(natsConnection_ConnectTo(&cluster->connection, test_nats_url(cluster->server)),
                     NATS_OK);
    assert_int_equal(natsConnection_Subscribe(&cluster->requests, cluster->connection, "$JS.API.>",
                                              on_request, cluster),
                     NATS_OK);
    assert_int_equal(natsConnection_Flush(cluster->connection), NATS_OK);
}

static void close_cluster(struct cluster *cluster)
{
    natsConnection_Close(cluster->connection);
    natsSubscription_Destroy(cluster->requests);
    natsConnection_Destroy(cluster->connection);
    test_nats_free(cluster->server);
}

/* Trap 10: any replica answers a direct get.  Of a bucket with several, the leader is asked, whatever it allows. */
static void trap_10_a_follower_that_lags_is_not_asked(void **state)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    static struct cluster cluster; /* the library may call back after it was told to stop */
    struct tears_schema *schema = test_notes_schema(true);
    struct tears_value value;
    const struct t3_key key = test_note_key(1, &value);
    struct t3_l2_entry entry = {0};
    (void)state;
    open_cluster(&cluster);
    struct t3_l2 *l2 = test_l2_open(test_nats_url(cluster.server), "lag", "one", NULL);
    assert_int_equal(t3_l2_get(l2, schema, &key, 1, &arena, t3_deadline_in_ms(5000), &entry, NULL),
                     TEARS_OK);
    assert_int_equal(entry.state, T3_L2_ROW);
    assert_int_equal(entry.version, 2);
    assert_string_equal(test_note_body(schema, entry.row).ptr, "written");
    assert_true(atomic_load(&cluster.asked_leader) > 0);
    assert_int_equal(atomic_load(&cluster.asked_follower), 0);
    t3_l2_free(l2);
    close_cluster(&cluster);
    tears_schema_free(schema);
}

/* ---- a replica of the database --------------------------------------------------------------------- */

static struct hook_store hook;
static tears_schema *items_schema;
static struct items here;
static struct items there;
static char space[32];

static void open_items(struct items *items)
{
    struct tears_client_options client = TEARS_CLIENT_OPTIONS_INIT;
    client.l2_url = tears_str_c(test_nats_shared_url());
    client.namespace_name = tears_str_c(space);
    items_open(items, &hook, items_schema, &client, NULL);
}

static int open_world(void **state)
{
    (void)state;
    hook_store_init(&hook);
    items_schema = hook_store_schema();
    test_namespace(space);
    open_items(&here);
    open_items(&there);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    items_close(&here);
    items_close(&there);
    tears_schema_free(items_schema);
    return 0;
}

/* The row is written twice; then the database is asked by way of a replica that knows of the first time only. */
static void write_and_lag(void)
{
    items_put(here.session, &here, 1, "first");
    items_put(here.session, &here, 1, "second");
    usleep(150000); /* the news have come everywhere */
    pthread_mutex_lock(&hook.mutex);
    hook.rows[0].version = 1;
    snprintf(hook.rows[0].name, sizeof hook.rows[0].name, "first");
    pthread_mutex_unlock(&hook.mutex);
}

static const char *read_strong(const struct items *items)
{
    tears_session *session = items_session(items);
    assert_int_equal(tears_session_set_consistency(session, TEARS_READ_STRONG, 0), TEARS_OK);
    const char *name = items_name(session, items, 1);
    tears_session_free(session);
    return name;
}

/* Trap 25: L1 has the newer row, so what the replica said is for its caller alone. */
static void trap_25_an_older_answer_than_l1_has_is_kept_nowhere(void **state)
{
    (void)state;
    write_and_lag();
    assert_true(items_in_l1(&here, 1));
    assert_string_equal(read_strong(&here), "first");
    assert_false(items_in_l1(&here, 1)); /* nobody knows which of the two is right */
    assert_string_equal(items_name(here.session, &here, 1), "second");
    assert_int_equal(tears_session_tier(here.session), TEARS_TIER_L2);
}

/* Trap 25: L2 has the newer row, and keeps it. */
static void trap_25_an_older_answer_than_l2_has_does_not_replace_it(void **state)
{
    (void)state;
    write_and_lag();
    assert_false(items_in_l1(&there, 1));
    assert_string_equal(read_strong(&there), "first");
    usleep(150000); /* a fill would have arrived */
    const struct tears_value key = tears_int(1);
    assert_int_equal(tears_evict(here.session, here.rows, &key, 1), TEARS_OK);
    assert_string_equal(items_name(here.session, &here, 1), "second");
    assert_int_equal(tears_session_tier(here.session), TEARS_TIER_L2);
}

int main(void)
{
    test_nats_alone();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trap_10_a_follower_that_lags_is_not_asked),
        cmocka_unit_test_setup_teardown(trap_25_an_older_answer_than_l1_has_is_kept_nowhere,
                                        open_world, close_world),
        cmocka_unit_test_setup_teardown(trap_25_an_older_answer_than_l2_has_does_not_replace_it,
                                        open_world, close_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
