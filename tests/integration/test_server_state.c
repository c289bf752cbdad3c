/*
 * test_server_state.c -- what clients leave on the server while they run: a fixed number of subscriptions and one consumer
 * each, however many rows they hold.
 *
 * A server that kept a list of what each of its readers has cached would tell nobody too much, and would grow with readers times
 * rows.  Here everybody hears everything and throws away what is none of his business.
 */
#include "support/embedded.h"
#include "support/nats_server.h"

#include <jansson.h>
#include <nats/nats.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    READERS = 8,
    ROWS = 10000,
    BATCH = 1000,
    WARM = 200,
    BYTES_PER_ROW_MAX = 400 /* of the server's memory, for each row that a reader holds */
};

#define BUCKET "state-collections"

/* What the server tells of itself to its own account. */
static const char accounts[] = "accounts {\n"
                               "  APP { jetstream: enabled, users: [{user: app, password: app}] }\n"
                               "  SYS { users: [{user: sys, password: sys}] }\n"
                               "}\n"
                               "system_account: SYS\n"
                               "no_auth_user: app\n";

struct reader {
    tears_client *client;
    tears_collection *rows;
    tears_session *session;
};

static struct test_nats *server;
static struct embedded database;
static natsConnection *as_system;
static natsConnection *as_user;

static json_t *ask(natsConnection *connection, const char *subject)
{
    natsMsg *reply = NULL;
    const natsStatus status = natsConnection_RequestString(&reply, connection, subject, "", 5000);
    if (status != NATS_OK)
        fail_msg("%s: %s", subject, natsStatus_GetText(status));
    json_t *answer =
        json_loadb(natsMsg_GetData(reply), (size_t)natsMsg_GetDataLength(reply), 0, NULL);
    natsMsg_Destroy(reply);
    return answer;
}

static int64_t number_in(natsConnection *connection, const char *subject, const char *object,
                         const char *member)
{
    json_t *answer = ask(connection, subject);
    const json_t *number = json_object_get(json_object_get(answer, object), member);
    if (!json_is_integer(number))
        fail_msg("%s says nothing of %s", subject, member);
    const int64_t value = json_integer_value(number);
    json_decref(answer);
    return value;
}

static int64_t of_server(const char *member)
{
    return number_in(as_system, "$SYS.REQ.SERVER.PING.VARZ", "data", member);
}

static int64_t of_stream(const char *member)
{
    return number_in(as_user, "$JS.API.STREAM.INFO.KV_" BUCKET, "state", member);
}

static void connect_to(const char *who, natsConnection **connection_out)
{
    char url[128];
    snprintf(url, sizeof url, "nats://%s:%s@%s", who, who,
             test_nats_url(server) + strlen("nats://"));
    assert_int_equal(natsConnection_ConnectTo(connection_out, url), NATS_OK);
}

static int open_world(void **state)
{
    (void)state;
    const struct test_nats_options options = {.config = accounts};
    server = test_nats_start(&options);
    connect_to("sys", &as_system);
    connect_to("app", &as_user);
    embedded_open(&database, "");
    embedded_sql(&database, "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, "
                            "row_version INTEGER NOT NULL DEFAULT 1)");
    embedded_sql(&database, "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE "
                            "i < 9999) INSERT INTO items SELECT i, 'row ' || i, 1 FROM n");
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    embedded_close(&database);
    natsConnection_Destroy(as_system);
    natsConnection_Destroy(as_user);
    test_nats_free(server);
    return 0;
}

static void open_reader(struct reader *reader)
{
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    struct tears_error error;
    char url[160];
    snprintf(url, sizeof url, "sqlite:%s", database.path);
    options.l3_url = tears_str_c(url);
    options.l2_url = tears_str_c(test_nats_url(server));
    options.namespace_name = TEARS_STR("state");
    if (tears_client_open(&options, &reader->client, &error) != TEARS_OK ||
        tears_collection_open(reader->client, TEARS_STR("items"), NULL, &reader->rows, &error) !=
            TEARS_OK)
        fail_msg("open: %s", error.message);
    assert_int_equal(tears_session_new(reader->client, NULL, &reader->session), TEARS_OK);
}

static void close_reader(struct reader *reader)
{
    tears_session_free(reader->session);
    tears_client_free(reader->client);
}

static void read_rows(struct reader *reader, size_t first, size_t count)
{
    struct tears_value keys[BATCH];
    tears_entity *entities[BATCH];
    for (size_t i = 0; i < count; i++)
        keys[i] = tears_int((int64_t)(first + i));
    assert_int_equal(tears_get_many(reader->session, reader->rows, keys, count, entities),
                     TEARS_OK);
    tears_session_reset(reader->session);
}

static void read_all(struct reader *reader)
{
    for (size_t first = 0; first < ROWS; first += BATCH)
        read_rows(reader, first, BATCH);
}

static uint64_t rows_in_l1(const struct reader *readers)
{
    uint64_t rows = 0;
    for (size_t i = 0; i < READERS; i++) {
        struct tears_client_stats stats = TEARS_CLIENT_STATS_INIT;
        tears_client_stats(readers[i].client, &stats);
        rows += stats.l1_rows;
    }
    return rows;
}

/* Every way to read has been gone once: what a client needs on the server is there. */
static void warm_up(struct reader *readers)
{
    for (size_t i = 0; i < READERS; i++) {
        open_reader(&readers[i]);
        read_rows(&readers[i], 0, 1);
        read_rows(&readers[i], 0, WARM);
    }
    read_all(&readers[0]); /* the rows are in L2 */
    for (int64_t before = -1; before != of_stream("messages");) {
        before = of_stream("messages");
        usleep(200000);
    }
}

static void trap_26_a_reader_costs_the_server_the_same_whatever_it_caches(void **state)
{
    static struct reader readers[READERS];
    (void)state;
    warm_up(readers);
    const int64_t subscriptions = of_server("subscriptions");
    const int64_t connections = of_server("connections");
    const int64_t messages = of_stream("messages");
    const int64_t bytes = of_stream("bytes");
    const int64_t memory = of_server("mem");
    assert_int_equal(of_stream("consumer_count"), READERS);
    for (size_t i = 0; i < READERS; i++)
        read_all(&readers[i]);
    for (size_t i = 0; i < READERS; i++)
        for (size_t id = 0; id < ROWS; id += 100)
            read_rows(&readers[i], id, 1);
    assert_in_range(rows_in_l1(readers), (uint64_t)READERS * ROWS * 9 / 10,
                    (uint64_t)READERS * ROWS);
    assert_int_equal(of_server("subscriptions"), subscriptions);
    assert_int_equal(of_server("connections"), connections);
    assert_int_equal(of_stream("consumer_count"), READERS);
    assert_int_equal(of_stream("messages"), messages);
    assert_int_equal(of_stream("bytes"), bytes);
    const int64_t grown = of_server("mem") - memory;
    print_message(
        "%d readers hold %d rows each: the server has %d subscriptions and grew by %d kB\n",
        READERS, ROWS, (int)subscriptions, (int)(grown / 1024));
    assert_true(grown < (int64_t)READERS * ROWS * BYTES_PER_ROW_MAX);
    for (size_t i = 0; i < READERS; i++)
        close_reader(&readers[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            trap_26_a_reader_costs_the_server_the_same_whatever_it_caches, open_world, close_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
