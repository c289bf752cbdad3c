/*
 * test_outbox.c -- changes made outside the library, on a real PostgreSQL and nats-server: psql is a connection of libpq here, and
 * two clients stand for two processes; where a process has to die or to stop, it is this program run again.
 */
#include "support/embedded.h"
#include "support/l2_fixture.h"
#include "support/nats_server.h"
#include "support/pg_server.h"
#include "tier/l3.h"

#include <libpq-fe.h>
#include <nats/nats.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { SEEN_MS = 5000, ROLE_MS = 20000, BULK_MS = 60000 };

struct process {
    tears_client *client;
    tears_session *session;
};

static char url[256];
static const char *nats_url;
static char namespace_name[32];
static struct process a;
static struct process b;
static PGconn *psql;
static struct test_nats *own_nats;

/* ---- the world ------------------------------------------------------------------------------ */

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void sleep_ms(long ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

static void print_log(void *owner, uint64_t level, const char *origin, const char *message)
{
    (void)owner;
    if (getenv("TEARS_TEST_LOG") != NULL)
        fprintf(stderr, "%d %llu %s: %s\n", (int)getpid(), (unsigned long long)level, origin,
                message);
}

static void open_process(struct process *process, bool no_outbox)
{
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    struct tears_error error;
    options.l3_url = tears_str_c(url);
    options.l2_url = tears_str_c(nats_url);
    options.namespace_name = tears_str_c(namespace_name);
    options.no_outbox = no_outbox;
    options.log = print_log;
    options.log_level = TEARS_LOG_INFO;
    if (tears_client_open(&options, &process->client, &error) != TEARS_OK)
        fail_msg("open: %s", error.message);
    assert_int_equal(tears_session_new(process->client, NULL, &process->session), TEARS_OK);
}

static void close_process(struct process *process)
{
    tears_session_free(process->session);
    tears_client_free(process->client);
    memset(process, 0, sizeof *process);
}

static PGresult *ask(PGconn *connection, const char *sql)
{
    PGresult *result = PQexec(connection, sql);
    const ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(connection));
    return result;
}

static void run(const char *sql)
{
    PQclear(ask(psql, sql));
}

static long long number_of(const char *sql)
{
    PGresult *result = ask(psql, sql);
    const long long number = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return number;
}

static PGconn *connect_to(const char *to)
{
    PGconn *connection = PQconnectdb(to);
    if (PQstatus(connection) != CONNECTION_OK)
        fail_msg("psql: %s", PQerrorMessage(connection));
    PQclear(ask(connection, "SET client_min_messages = warning"));
    return connection;
}

static void open_on(const char *nats)
{
    nats_url = nats;
    test_pg_database(url, sizeof url);
    test_namespace(namespace_name);
    psql = connect_to(url);
    run("CREATE TABLE notes (id bigint PRIMARY KEY, body text,"
        " row_version bigint NOT NULL DEFAULT 1)");
    open_process(&a, false);
    open_process(&b, false);
}

static int open_world(void **state)
{
    (void)state;
    open_on(test_nats_shared_url());
    return 0;
}

static int open_own_world(void **state)
{
    (void)state;
    own_nats = test_nats_start(&(struct test_nats_options){.jetstream = NULL});
    open_on(test_nats_url(own_nats));
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    if (a.client != NULL)
        close_process(&a);
    if (b.client != NULL)
        close_process(&b);
    PQfinish(psql);
    test_nats_free(own_nats);
    own_nats = NULL;
    return 0;
}

/* ---- what is done --------------------------------------------------------------------------- */

static void expect_ok(struct process *process, tears_status status)
{
    if (status != TEARS_OK)
        fail_msg("%s: %s", tears_status_name(status),
                 tears_session_error(process->session)->message);
}

static struct tears_outbox_status outbox_status(struct process *process)
{
    struct tears_outbox_status status = TEARS_OUTBOX_STATUS_INIT;
    expect_ok(process, tears_outbox_status(process->session, &status));
    return status;
}

/* Until somebody works on the outbox and it is empty. */
static void wait_until_tailed(struct process *process, uint64_t ms)
{
    const uint64_t until = now_ms() + ms;
    for (;;) {
        const struct tears_outbox_status status = outbox_status(process);
        if (status.has_tailer && status.waiting == 0)
            return;
        if (now_ms() > until)
            fail_msg("tailer %llu, %llu notes wait after %llu ms",
                     (unsigned long long)status.has_tailer, (unsigned long long)status.waiting,
                     (unsigned long long)ms);
        sleep_ms(20);
    }
}

static void install(const char *table)
{
    const struct tears_str name = tears_str_c(table);
    expect_ok(&a, tears_outbox_install(a.session, &name, 1));
    wait_until_tailed(&a, ROLE_MS);
}

static tears_collection *collection(struct process *process, const char *table)
{
    tears_collection *found = NULL;
    struct tears_error error;
    if (tears_collection_open(process->client, tears_str_c(table), NULL, &found, &error) !=
        TEARS_OK)
        fail_msg("%s: %s", table, error.message);
    return found;
}

/* The text of a column of a row; "(none)" when there is no row. */
static const char *read_key(struct process *process, const char *table,
                            const struct tears_value *key, size_t key_count)
{
    tears_entity *entity = NULL;
    tears_session_reset(process->session);
    const tears_status status =
        tears_get(process->session, collection(process, table), key, key_count, &entity);
    if (status == TEARS_NOT_FOUND)
        return "(none)";
    expect_ok(process, status);
    return embedded_text(entity, "body");
}

static const char *read_note(struct process *process, int64_t id)
{
    const struct tears_value key = tears_int(id);
    return read_key(process, "notes", &key, 1);
}

/* Until a read gives the text; how long that took. */
static uint64_t expect_note(struct process *process, int64_t id, const char *body, uint64_t ms)
{
    const uint64_t began = now_ms();
    while (strcmp(read_note(process, id), body) != 0) {
        if (now_ms() - began > ms)
            fail_msg("note %lld is still '%s', not '%s', after %llu ms", (long long)id,
                     read_note(process, id), body, (unsigned long long)ms);
        sleep_ms(5);
    }
    return now_ms() - began;
}

static void expect_both(int64_t id, const char *body)
{
    expect_note(&a, id, body, SEEN_MS);
    expect_note(&b, id, body, SEEN_MS);
}

static void save(struct process *process, int64_t id, const char *body)
{
    const struct tears_field fields[] = {field_int("id", id), field_text("body", body)};
    expect_ok(process,
              tears_upsert(process->session, collection(process, "notes"), fields, 2, NULL));
}

/* Both have the row in L1. */
static void warm(int64_t id, const char *body)
{
    assert_string_equal(read_note(&a, id), body);
    assert_string_equal(read_note(&b, id), body);
    assert_string_equal(read_note(&b, id), body);
}

static struct tears_client_stats stats_of(struct process *process)
{
    struct tears_client_stats stats = TEARS_CLIENT_STATS_INIT;
    tears_client_stats(process->client, &stats);
    return stats;
}

static uint64_t corrections(void)
{
    return stats_of(&a).outbox_corrections + stats_of(&b).outbox_corrections;
}

/* Until all that is noted has been dealt with. */
static void settle(void)
{
    wait_until_tailed(&a, BULK_MS);
}

/* ---- changes -------------------------------------------------------------------------------- */

static void changes_by_psql_are_seen_by_all(void **state)
{
    (void)state;
    install("notes");
    run("INSERT INTO notes VALUES (1, 'first', 1)");
    expect_both(1, "first");
    warm(1, "first");
    run("UPDATE notes SET body = 'second', row_version = row_version + 1 WHERE id = 1");
    const uint64_t took_a = expect_note(&a, 1, "second", SEEN_MS);
    const uint64_t took_b = expect_note(&b, 1, "second", SEEN_MS);
    print_message("seen after %llu and %llu ms\n", (unsigned long long)took_a,
                  (unsigned long long)took_b);
    warm(1, "second");
    run("DELETE FROM notes WHERE id = 1");
    expect_both(1, "(none)");
    assert_true(stats_of(&a).outbox_notes + stats_of(&b).outbox_notes >= 3);
}

/* Nobody in psql thinks of the version column. */
static void an_update_that_leaves_the_version_is_seen(void **state)
{
    (void)state;
    install("notes");
    save(&a, 1, "first");
    settle();
    warm(1, "first");
    run("UPDATE notes SET body = 'same version' WHERE id = 1");
    expect_both(1, "same version");
    warm(1, "same version");
    run("UPDATE notes SET body = 'older version', row_version = 0 WHERE id = 1");
    expect_both(1, "older version");
}

static void trap_05_outbox_a_commit_without_its_notice_is_seen(void **state)
{
    struct process dead;
    (void)state;
    install("notes");
    save(&a, 1, "first");
    settle();
    warm(1, "first");
    const char *kept = nats_url;
    nats_url = "none"; /* it commits, and never gets to L2 or to a notice */
    open_process(&dead, true);
    nats_url = kept;
    save(&dead, 1, "by the dead");
    expect_both(1, "by the dead");
    close_process(&dead);
}

static void trap_05_outbox_a_transaction_that_commits_late_is_not_skipped(void **state)
{
    (void)state;
    install("notes");
    save(&a, 1, "first");
    save(&a, 2, "first");
    settle();
    warm(1, "first");
    warm(2, "first");
    PGconn *late = connect_to(url);
    PQclear(ask(late, "BEGIN"));
    PQclear(ask(late, "UPDATE notes SET body = 'late', row_version = 2 WHERE id = 1"));
    run("UPDATE notes SET body = 'early', row_version = 2 WHERE id = 2");
    expect_both(2, "early"); /* its note has a higher number, and is dealt with */
    assert_string_equal(read_note(&a, 1), "first");
    PQclear(ask(late, "COMMIT"));
    expect_both(1, "late");
    PQfinish(late);
}

static void what_is_rolled_back_leaves_no_note(void **state)
{
    (void)state;
    install("notes");
    save(&a, 1, "first");
    settle();
    const uint64_t before = stats_of(&a).outbox_notes + stats_of(&b).outbox_notes;
    run("BEGIN");
    run("UPDATE notes SET body = 'never', row_version = 9 WHERE id = 1");
    run("ROLLBACK");
    run("UPDATE notes SET body = body WHERE id = 77");
    sleep_ms(300);
    settle();
    assert_int_equal(stats_of(&a).outbox_notes + stats_of(&b).outbox_notes, before);
    warm(1, "first");
}

/* ---- keys ----------------------------------------------------------------------------------- */

static void a_changed_key_is_noted_under_both(void **state)
{
    (void)state;
    install("notes");
    save(&a, 1, "moves");
    settle();
    warm(1, "moves");
    assert_string_equal(read_note(&b, 2), "(none)");
    run("UPDATE notes SET id = 2, row_version = row_version + 1 WHERE id = 1");
    expect_both(1, "(none)");
    expect_both(2, "moves");
}

static void rows_that_change_places_are_seen(void **state)
{
    (void)state;
    run("CREATE TABLE places (id bigint PRIMARY KEY DEFERRABLE, body text,"
        " row_version bigint NOT NULL DEFAULT 1)");
    run("INSERT INTO places VALUES (1, 'one'), (2, 'two')");
    install("places");
    const struct tears_value key = tears_int(1);
    assert_string_equal(read_key(&b, "places", &key, 1), "one");
    run("UPDATE places SET id = 3 - id");
    const uint64_t until = now_ms() + SEEN_MS;
    while (strcmp(read_key(&b, "places", &key, 1), "two") != 0)
        assert_true(now_ms() < until);
}

static const struct {
    const char *type;
    const char *literal; /* of the key */
    const char *text;    /* as a person writes it */
} key_types[] = {
    {"uuid", "'0190B5C8-7a5e-7b2d-8c3d-0123456789ab'", "0190b5c8-7a5e-7b2d-8c3d-0123456789ab"},
    {"smallint", "-3", "-3"},
    {"int", "42", "42"},
    {"bigint", "9223372036854775807", "9223372036854775807"},
    {"text", "'a \"quoted\", {braced}\\ \xc3\xa9'", "a \"quoted\", {braced}\\ \xc3\xa9"},
    {"varchar(9)", "''", ""},
    {"char(6)", "'ab'", "ab    "},
    {"timestamptz", "'2026-02-03 04:05:06.000007+02'", "2026-02-03T02:05:06.000007+00:00"},
    {"boolean", "true", "true"},
    {"numeric(10,4)", "12.5", "12.5000"},
    {"numeric", "1e30", "1000000000000000000000000000000"},
    {"mood", "'two words'", "two words"},
    {"bytea", "'\\x00ff5c'", "\\x00ff5c"},
    {"double precision", "0.1", "0.1"},
    {"date", "'2026-02-03'", "2026-02-03"},
    {"inet", "'10.1.2.3'", "10.1.2.3/32"},
    {"int[]", "'{1,2}'", "{1,2}"},
};

/* The settings of who changes a row must not change the text of its key. */
static void every_type_of_key_is_understood(void **state)
{
    (void)state;
    run("CREATE TYPE mood AS ENUM ('one', 'two words')");
    run("SET datestyle = 'SQL, DMY'; SET timezone = 'Asia/Tokyo'; SET bytea_output = 'escape';"
        " SET extra_float_digits = -5");
    for (size_t i = 0; i < sizeof key_types / sizeof key_types[0]; i++) {
        char sql[400];
        char table[32];
        struct tears_value key;
        snprintf(table, sizeof table, "keys_%zu", i);
        snprintf(sql, sizeof sql,
                 "CREATE TABLE %s (k %s PRIMARY KEY, body text, row_version bigint NOT NULL "
                 "DEFAULT 1); INSERT INTO %s (k, body) VALUES (%s, 'first')",
                 table, key_types[i].type, table, key_types[i].literal);
        run(sql);
        const struct tears_str name = tears_str_c(table);
        expect_ok(&a, tears_outbox_install(a.session, &name, 1));
        const tears_schema *schema = tears_collection_schema(collection(&b, table));
        tears_session *session = NULL;
        assert_int_equal(tears_session_new(b.client, NULL, &session), TEARS_OK);
        if (tears_value_parse(session, schema, TEARS_STR("k"), tears_str_c(key_types[i].text),
                              &key) != TEARS_OK)
            fail_msg("%s: %s", key_types[i].type, tears_session_error(session)->message);
        assert_string_equal(read_key(&b, table, &key, 1), "first");
        snprintf(sql, sizeof sql, "UPDATE %s SET body = 'second'", table);
        run(sql);
        const uint64_t until = now_ms() + ROLE_MS;
        while (strcmp(read_key(&b, table, &key, 1), "second") != 0) {
            if (now_ms() > until)
                fail_msg("a change under a key of type %s is not seen", key_types[i].type);
            sleep_ms(5);
        }
        tears_session_free(session);
    }
    assert_int_equal(stats_of(&a).notices_rejected + stats_of(&b).notices_rejected, 0);
}

static void composite_keys_of_a_table_in_another_schema(void **state)
{
    (void)state;
    run("CREATE SCHEMA app");
    run("CREATE TABLE app.\"Odd \"\"name\" (a int PRIMARY KEY)"); /* is in nobody's way */
    run("CREATE TABLE app.parts (b text, \"A \"\"b\" int, body text,"
        " date_updated timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (\"A \"\"b\", b))");
    run("INSERT INTO app.parts VALUES ('x_y', 1, 'first')");
    install("app.parts");
    const struct tears_value key[] = {tears_int(1), tears_text(TEARS_STR("x_y"))};
    assert_string_equal(read_key(&b, "app.parts", key, 2), "first");
    run("UPDATE app.parts SET body = 'second', date_updated = clock_timestamp()");
    const uint64_t until = now_ms() + SEEN_MS;
    while (strcmp(read_key(&b, "app.parts", key, 2), "second") != 0)
        assert_true(now_ms() < until);
    const struct tears_outbox_status status = outbox_status(&a);
    assert_int_equal(status.table_count, 1);
    assert_string_equal(status.tables[0].ptr, "app.parts");
}

static void a_change_in_one_partition_is_seen(void **state)
{
    (void)state;
    run("CREATE TABLE parted (id bigint PRIMARY KEY, body text, row_version bigint NOT NULL"
        " DEFAULT 1) PARTITION BY RANGE (id)");
    run("CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (100)");
    run("CREATE TABLE parted_high PARTITION OF parted FOR VALUES FROM (100) TO (200)");
    run("INSERT INTO parted VALUES (1, 'first')");
    install("parted");
    const struct tears_value key = tears_int(1);
    assert_string_equal(read_key(&b, "parted", &key, 1), "first");
    run("UPDATE parted_low SET body = 'second', row_version = 2");
    uint64_t until = now_ms() + SEEN_MS;
    while (strcmp(read_key(&b, "parted", &key, 1), "second") != 0)
        assert_true(now_ms() < until);
    run("UPDATE parted SET id = 101, row_version = 3");
    until = now_ms() + SEEN_MS;
    while (strcmp(read_key(&b, "parted", &key, 1), "(none)") != 0)
        assert_true(now_ms() < until);
    run("DELETE FROM parted_high");
}

/* ---- many ----------------------------------------------------------------------------------- */

static void a_bulk_update_is_seen_in_every_row(void **state)
{
    enum { ROWS = 20000, SAMPLE = 997 };
    (void)state;
    run("INSERT INTO notes SELECT i, 'old ' || i FROM generate_series(1, 20000) i");
    install("notes");
    char body[32];
    for (int64_t id = 1; id <= ROWS; id += SAMPLE) {
        snprintf(body, sizeof body, "old %lld", (long long)id);
        warm(id, body);
    }
    run("UPDATE notes SET row_version = 1 WHERE id = 1"); /* the plan is made for one row */
    const uint64_t began = now_ms();
    run("UPDATE notes SET body = 'new ' || id, row_version = row_version + 1");
    const uint64_t updated = now_ms();
    for (int64_t id = 1; id <= ROWS; id += SAMPLE) {
        snprintf(body, sizeof body, "new %lld", (long long)id);
        expect_note(&a, id, body, BULK_MS);
        expect_note(&b, id, body, BULK_MS);
    }
    settle();
    print_message("20,000 rows: update %llu ms, all seen after %llu ms more\n",
                  (unsigned long long)(updated - began), (unsigned long long)(now_ms() - updated));
    assert_int_equal(number_of("SELECT count(*) FROM tears_outbox"), 0);
}

static void rows_that_are_copied_in_are_no_markers(void **state)
{
    (void)state;
    install("notes");
    assert_string_equal(read_note(&b, 3000), "(none)");
    const uint64_t before = corrections();
    run("INSERT INTO notes SELECT i, 'copied' FROM generate_series(1, 5000) i");
    expect_note(&b, 3000, "copied", SEEN_MS);
    settle();
    assert_int_equal(corrections(), before);
}

static void truncate_is_seen(void **state)
{
    (void)state;
    install("notes");
    for (int64_t id = 1; id <= 50; id++) {
        save(&a, id, "there");
        warm(id, "there");
    }
    settle();
    run("TRUNCATE notes");
    for (int64_t id = 1; id <= 50; id++)
        expect_both(id, "(none)");
    save(&b, 1, "again");
    expect_both(1, "again");
}

/* Empties the bucket of the table's entries behind everybody's back. */
static void purge_l2(void)
{
    natsConnection *nats = NULL;
    natsMsg *reply = NULL;
    char subject[128];
    char filter[128];
    snprintf(subject, sizeof subject, "$JS.API.STREAM.PURGE.KV_%s-collections", namespace_name);
    snprintf(filter, sizeof filter, "{\"filter\":\"$KV.%s-collections.notes.>\"}", namespace_name);
    assert_int_equal(natsConnection_ConnectTo(&nats, nats_url), NATS_OK);
    assert_int_equal(natsConnection_RequestString(&reply, nats, subject, filter, 2000), NATS_OK);
    assert_non_null(strstr(natsMsg_GetData(reply), "\"success\":true"));
    natsMsg_Destroy(reply);
    natsConnection_Destroy(nats);
}

/* There is no entry that could get a marker. */
static void truncate_is_seen_by_who_has_rows_in_l1_only(void **state)
{
    (void)state;
    run("INSERT INTO notes VALUES (1, 'there')");
    install("notes");
    warm(1, "there");
    sleep_ms(200); /* the fill of L2 has arrived */
    purge_l2();
    run("TRUNCATE notes");
    expect_both(1, "(none)");
}

/* ---- what the library does itself -------------------------------------------------------------- */

static void writes_through_the_library_stay_in_l2(void **state)
{
    (void)state;
    install("notes");
    const uint64_t before = corrections();
    for (int round = 0; round < 5; round++)
        for (int64_t id = 1; id <= 40; id++)
            save(id % 2 == 0 ? &a : &b, id, "by the library");
    settle();
    assert_int_equal(corrections(), before);
    const uint64_t l3_reads = stats_of(&a).l3_reads + stats_of(&b).l3_reads;
    struct process third;
    open_process(&third, true);
    for (int64_t id = 1; id <= 40; id++)
        assert_string_equal(read_note(&third, id), "by the library");
    assert_int_equal(stats_of(&third).l3_reads, 0);
    assert_int_equal(stats_of(&a).l3_reads + stats_of(&b).l3_reads, l3_reads);
    close_process(&third);
}

/* The new row starts at version 1 again, and L2 has the old one at 3. */
static void a_row_that_was_made_anew_is_seen(void **state)
{
    (void)state;
    install("notes");
    save(&a, 1, "old");
    save(&a, 1, "old");
    save(&a, 1, "old");
    settle();
    warm(1, "old");
    run("BEGIN");
    run("DELETE FROM notes WHERE id = 1");
    run("INSERT INTO notes VALUES (1, 'new', 1)");
    run("COMMIT");
    expect_both(1, "new");
    warm(1, "new");
    run("BEGIN"); /* and at the same version */
    run("DELETE FROM notes WHERE id = 1");
    run("INSERT INTO notes VALUES (1, 'newest', 1)");
    run("COMMIT");
    expect_both(1, "newest");
}

static void a_table_without_versions_is_covered(void **state)
{
    (void)state;
    run("CREATE TABLE plain (id bigint PRIMARY KEY, body text)");
    run("INSERT INTO plain VALUES (1, 'first')");
    install("plain");
    const struct tears_value key = tears_int(1);
    assert_string_equal(read_key(&b, "plain", &key, 1), "first");
    run("UPDATE plain SET body = 'second'");
    const uint64_t until = now_ms() + SEEN_MS;
    while (strcmp(read_key(&b, "plain", &key, 1), "second") != 0)
        assert_true(now_ms() < until);
}

/* ---- who works on it ------------------------------------------------------------------------ */

/* A process that does nothing but to have a client. */
static pid_t start_client(void)
{
    char program[256];
    const ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    assert_true(len > 0);
    program[len] = '\0';
    char role[] = "--client";
    char nats[128];
    snprintf(nats, sizeof nats, "%s", nats_url);
    char *const arguments[] = {program, role, url, nats, namespace_name, NULL};
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execv(program, arguments);
        _exit(127);
    }
    return child;
}

static int be_a_client(char **words)
{
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    struct tears_error error;
    tears_client *client = NULL;
    options.l3_url = tears_str_c(words[0]);
    options.l2_url = tears_str_c(words[1]);
    options.namespace_name = tears_str_c(words[2]);
    options.log = print_log;
    options.log_level = TEARS_LOG_INFO;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a stopped one, too, whatever becomes of the test */
    if (tears_client_open(&options, &client, &error) != TEARS_OK)
        return 1;
    for (;;)
        pause();
}

static void end_child(pid_t child)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static const char holders_sql[] =
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1952801138 AND granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

static const char tailers_sql[] = "SELECT count(*) FROM pg_stat_activity"
                                  " WHERE application_name = 'tears outbox'"
                                  " AND datname = current_database()";

/* Installed without a client of this process taking the role. */
static pid_t give_role_to_child(void)
{
    const struct tears_str name = TEARS_STR("notes");
    struct process installer;
    close_process(&a);
    close_process(&b);
    open_process(&installer, true);
    expect_ok(&installer, tears_outbox_install(installer.session, &name, 1));
    const pid_t child = start_client();
    wait_until_tailed(&installer, ROLE_MS);
    close_process(&installer);
    open_process(&a, false);
    open_process(&b, false);
    return child;
}

static void a_tailer_that_is_killed_is_replaced(void **state)
{
    (void)state;
    const pid_t child = give_role_to_child();
    save(&a, 1, "first");
    settle();
    warm(1, "first");
    assert_int_equal(stats_of(&a).outbox_notes + stats_of(&b).outbox_notes, 0);
    end_child(child);
    run("UPDATE notes SET body = 'after the kill', row_version = 2");
    expect_note(&b, 1, "after the kill", ROLE_MS);
    assert_true(stats_of(&a).outbox_notes + stats_of(&b).outbox_notes > 0);
}

/* Its connection stays open, and its lock held, until the server finds that it says nothing. */
static void a_tailer_that_is_stopped_is_replaced(void **state)
{
    (void)state;
    const pid_t child = give_role_to_child();
    save(&a, 1, "first");
    settle();
    warm(1, "first");
    kill(child, SIGSTOP);
    run("UPDATE notes SET body = 'after the stop', row_version = 2");
    expect_note(&b, 1, "after the stop", 2 * ROLE_MS);
    kill(child, SIGCONT);
    run("UPDATE notes SET body = 'after it went on', row_version = 3");
    expect_note(&b, 1, "after it went on", ROLE_MS);
    end_child(child);
}

/* Both believe that nobody has the role. */
static void two_that_ask_at_once_do_not_both_get_the_role(void **state)
{
    const struct tears_str name = TEARS_STR("notes");
    const struct t3_l3_options options = {.url = tears_str_c(url)};
    struct t3_l3 *l3[2] = {NULL, NULL};
    struct t3_l3_tail *tail[2] = {NULL, NULL};
    (void)state;
    close_process(&b);
    close_process(&a);
    open_process(&a, true);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(t3_l3_pg_open(&options, &l3[i], NULL), TEARS_OK);
    const struct t3_l3_outbox_ops *ops = l3[0]->ops->outbox;
    assert_int_equal(ops->tail_open(l3[0], &tail[0], NULL), TEARS_NOT_FOUND);
    expect_ok(&a, tears_outbox_install(a.session, &name, 1));
    assert_int_equal(ops->tail_open(l3[0], &tail[0], NULL), TEARS_OK);
    assert_int_equal(ops->tail_open(l3[1], &tail[1], NULL), TEARS_CONFLICT);
    assert_int_equal(ops->tail_open(l3[0], &tail[1], NULL), TEARS_CONFLICT);
    ops->tail_free(tail[0]);
    const uint64_t until = now_ms() + SEEN_MS; /* the server notices a hang-up in its own time */
    while (ops->tail_open(l3[1], &tail[1], NULL) != TEARS_OK)
        assert_true(now_ms() < until);
    ops->tail_free(tail[1]);
    for (size_t i = 0; i < 2; i++)
        l3[i]->ops->free(l3[i]);
}

static void there_is_one_tailer_at_a_time(void **state)
{
    struct process more[4];
    (void)state;
    install("notes");
    for (size_t i = 0; i < 4; i++)
        open_process(&more[i], false);
    for (int64_t id = 1; id <= 30; id++) {
        char sql[128];
        snprintf(sql, sizeof sql, "INSERT INTO notes VALUES (%lld, 'x')", (long long)id);
        run(sql);
        assert_int_equal(number_of(holders_sql), 1);
        assert_true(number_of(tailers_sql) <= 1);
        sleep_ms(30);
    }
    for (size_t i = 0; i < 4; i++)
        close_process(&more[i]);
    settle();
}

static void notes_wait_while_nats_is_away(void **state)
{
    (void)state;
    install("notes");
    save(&a, 1, "first");
    settle();
    warm(1, "first");
    test_nats_end(own_nats);
    run("UPDATE notes SET body = 'meanwhile', row_version = 2 WHERE id = 1");
    sleep_ms(2500);
    assert_true(number_of("SELECT count(*) FROM tears_outbox") >= 1);
    test_nats_again(own_nats);
    expect_note(&a, 1, "meanwhile", ROLE_MS);
    expect_note(&b, 1, "meanwhile", ROLE_MS);
    wait_until_tailed(&a, ROLE_MS);
}

/* It is connected, and says nothing: what was taken goes back. */
static void notes_wait_while_nats_does_not_answer(void **state)
{
    (void)state;
    install("notes");
    save(&a, 1, "first");
    settle();
    warm(1, "first");
    test_nats_pause(own_nats);
    run("UPDATE notes SET body = 'meanwhile', row_version = 2 WHERE id = 1");
    sleep_ms(2000);
    assert_int_equal(number_of("SELECT count(*) FROM tears_outbox"), 1);
    test_nats_resume(own_nats);
    expect_note(&a, 1, "meanwhile", ROLE_MS);
    expect_note(&b, 1, "meanwhile", ROLE_MS);
    wait_until_tailed(&a, ROLE_MS);
}

/* ---- slow readers ---------------------------------------------------------------------------- */

struct slow_reader {
    struct t3_l2 *l2;
    struct tears_schema *schema;
    struct t3_arena arena;
    struct test_news news;
};

static struct t3_l2_entry entry_of(struct slow_reader *reader, int64_t id)
{
    struct tears_value value;
    struct t3_l2_entry entry = {.state = T3_L2_DAMAGED};
    const struct t3_key key = test_note_key(id, &value);
    assert_int_equal(t3_l2_get(reader->l2, reader->schema, &key, 1, &reader->arena,
                               t3_deadline_in_ms(2000), &entry, NULL),
                     TEARS_OK);
    return entry;
}

/* Puts what it read long ago; it must not get there. */
static void fill_late(struct slow_reader *reader, int64_t id, uint64_t seen)
{
    struct tears_value value;
    const struct t3_key key = test_note_key(id, &value);
    const struct t3_row *row = test_note(reader->schema, &reader->arena, id, "old", 1);
    const int lost = atomic_load(&reader->news.lost);
    assert_int_equal(
        t3_l2_fill(reader->l2, reader->schema, reader, &key, row, 1, seen, t3_now_coarse_ms()),
        TEARS_OK);
    assert_true(test_wait_for(&reader->news.lost, lost + 1));
}

static void put_marker_without_version(struct slow_reader *reader, int64_t id)
{
    struct tears_value value;
    const struct t3_key key = test_note_key(id, &value);
    struct t3_l2_put put = {.key = &key, .seen = UINT64_MAX};
    assert_int_equal(t3_l2_put(reader->l2, reader->schema, &put, 1, &reader->arena,
                               t3_deadline_in_ms(2000), NULL),
                     TEARS_OK);
}

/* It read L2 and then the database before the change, and fills L2 when the note of the change has been dealt with. */
static void trap_02_outbox_a_slow_fill_does_not_undo_an_outside_change(void **state)
{
    static struct slow_reader reader; /* the news outlive the case's frame on failure */
    (void)state;
    memset(&reader, 0, sizeof reader);
    install("notes");
    run("INSERT INTO notes VALUES (1, 'old', 1), (2, 'old', 1)");
    settle();
    reader.schema = test_notes_schema(true);
    reader.l2 = test_l2_open(nats_url, namespace_name, "slow-reader", &reader.news);
    put_marker_without_version(&reader, 2);
    const struct t3_l2_entry absent = entry_of(&reader, 1);
    const struct t3_l2_entry marker = entry_of(&reader, 2);
    assert_int_equal(absent.state, T3_L2_ABSENT);
    assert_int_equal(marker.state, T3_L2_TOMBSTONE);
    run("UPDATE notes SET body = 'new', row_version = 2");
    settle();
    fill_late(&reader, 1, absent.revision);
    fill_late(&reader, 2, marker.revision);
    assert_string_equal(read_note(&b, 1), "new");
    assert_string_equal(read_note(&b, 2), "new");
    t3_l2_free(reader.l2);
    t3_arena_done(&reader.arena);
    tears_schema_free(reader.schema);
}

/* ---- growth --------------------------------------------------------------------------------- */

static void notes_that_are_too_old_are_thrown_away_with_all_that_is_cached(void **state)
{
    (void)state;
    install("notes");
    save(&a, 1, "first");
    settle();
    warm(1, "first");
    close_process(&a); /* nobody works on it */
    close_process(&b);
    run("UPDATE notes SET body = 'long ago', row_version = 2 WHERE id = 1");
    run("UPDATE tears_outbox SET at = at - interval '8 days', ids = '{99}'");
    open_process(&a, false);
    open_process(&b, false);
    expect_note(&a, 1, "long ago", ROLE_MS);
    expect_note(&b, 1, "long ago", ROLE_MS);
    settle();
}

static void notes_of_a_table_that_is_gone_are_dropped(void **state)
{
    (void)state;
    run("CREATE TABLE brief (id bigint PRIMARY KEY, body text)");
    install("brief");
    run("BEGIN");
    run("INSERT INTO brief VALUES (1, 'x')");
    run("DROP TABLE brief");
    run("COMMIT");
    settle();
    install("notes"); /* others go on */
    run("INSERT INTO notes VALUES (1, 'after')");
    expect_both(1, "after");
}

static void a_key_that_does_not_fit_empties_the_table(void **state)
{
    (void)state;
    install("notes");
    save(&a, 1, "first");
    settle();
    warm(1, "first");
    run("ALTER TABLE notes DISABLE TRIGGER tears_outbox_update");
    run("UPDATE notes SET body = 'second', row_version = 2");
    run("INSERT INTO tears_outbox (table_name, op, ids, version)"
        " VALUES ('notes', 'U', '{not a number}', '2'), ('notes', 'U', '{1,2}', '2')");
    expect_both(1, "second");
    settle();
}

/* ---- installing ----------------------------------------------------------------------------- */

static void installing_twice_changes_nothing(void **state)
{
    static const char fingerprint[] =
        "SELECT sum(hashtext(tgname || tgfoid::text)) FROM pg_trigger WHERE tgname LIKE 'tears%'";
    (void)state;
    install("notes");
    const long long before = number_of(fingerprint);
    PGconn *reader = connect_to(url); /* a lock on the table would make the second one wait */
    PQclear(ask(reader, "BEGIN; UPDATE notes SET body = body"));
    install("notes");
    PQclear(ask(reader, "ROLLBACK"));
    PQfinish(reader);
    assert_int_equal(number_of(fingerprint), before);
}

/* The key is another one after a migration: installing again makes the triggers fit. */
static void installing_again_follows_a_changed_key(void **state)
{
    (void)state;
    run("CREATE TABLE moved (id bigint PRIMARY KEY, tenant text NOT NULL, body text)");
    install("moved");
    run("ALTER TABLE moved DROP CONSTRAINT moved_pkey");
    run("ALTER TABLE moved ADD PRIMARY KEY (tenant, id)");
    install("moved");
    const struct tears_value key[] = {tears_text(TEARS_STR("t")), tears_int(1)};
    assert_string_equal(read_key(&b, "moved", key, 2), "(none)");
    run("INSERT INTO moved VALUES (1, 't', 'first')");
    const uint64_t until = now_ms() + SEEN_MS;
    while (strcmp(read_key(&b, "moved", key, 2), "first") != 0)
        assert_true(now_ms() < until);
    assert_int_equal(number_of("SELECT count(*) FROM pg_proc WHERE proname LIKE 'tears_outbox%'"),
                     1);
}

static void removing_leaves_nothing(void **state)
{
    const struct tears_str name = TEARS_STR("notes");
    (void)state;
    run("CREATE TABLE others (id bigint PRIMARY KEY)");
    install("notes");
    install("others");
    assert_int_equal(outbox_status(&a).table_count, 2);
    expect_ok(&a, tears_outbox_remove(a.session, &name, 1));
    assert_int_equal(outbox_status(&a).table_count, 1);
    expect_ok(&a, tears_outbox_remove(a.session, NULL, 0));
    assert_int_equal(outbox_status(&a).installed, 0);
    expect_ok(&a, tears_outbox_remove(a.session, NULL, 0)); /* nothing is there */
    assert_int_equal(number_of("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'tears%'"), 0);
    assert_int_equal(number_of("SELECT count(*) FROM pg_proc WHERE proname LIKE 'tears%'"), 0);
    run("INSERT INTO notes VALUES (1, 'free again')");
}

static void expect_refused(struct process *process, const char *table, tears_status status,
                           const char *says)
{
    const struct tears_str name = tears_str_c(table);
    assert_int_equal(tears_outbox_install(process->session, &name, 1), status);
    if (strstr(tears_session_error(process->session)->message, says) == NULL)
        fail_msg("'%s' does not say '%s'", tears_session_error(process->session)->message, says);
    assert_int_equal(outbox_status(process).installed, 0);
}

static void what_cannot_be_installed_is_refused_and_leaves_nothing(void **state)
{
    (void)state;
    run("CREATE TABLE keyless (body text)");
    run("CREATE VIEW seen AS SELECT * FROM notes");
    run("CREATE TABLE \"a b\" (id bigint PRIMARY KEY)");
    expect_refused(&a, "keyless", TEARS_INVALID, "no primary key");
    expect_refused(&a, "seen", TEARS_INVALID, "view");
    expect_refused(&a, "nowhere", TEARS_NOT_FOUND, "nowhere");
    expect_refused(&a, "a b", TEARS_INVALID, "L2 key");
}

static void without_rights_it_is_denied(void **state)
{
    char kept[256];
    struct process guest;
    (void)state;
    run("DO $$ BEGIN CREATE ROLE tears_guest LOGIN; EXCEPTION WHEN duplicate_object THEN NULL;"
        " WHEN unique_violation THEN NULL; END $$");
    run("GRANT SELECT, INSERT, UPDATE ON notes TO tears_guest");
    memcpy(kept, url, sizeof kept);
    const char *at = strstr(kept, "tears@");
    assert_non_null(at);
    snprintf(url, sizeof url, "%.*stears_guest@%s", (int)(at - kept), kept, at + 6);
    open_process(&guest, true);
    expect_refused(&guest, "notes", TEARS_DENIED, "permission denied");
    memcpy(url, kept, sizeof kept);
    install("notes");
    save(&guest, 1, "by a guest"); /* who needs no right to the outbox */
    expect_both(1, "by a guest");
    close_process(&guest);
}

static void sqlite_has_no_outbox(void **state)
{
    struct embedded world;
    const struct tears_str name = TEARS_STR("notes");
    struct tears_outbox_status status = TEARS_OUTBOX_STATUS_INIT;
    (void)state;
    embedded_open(&world, "memory");
    assert_int_equal(tears_outbox_install(world.session, &name, 1), TEARS_UNSUPPORTED);
    assert_int_equal(tears_outbox_status(world.session, &status), TEARS_UNSUPPORTED);
    embedded_close(&world);
}

/* ---- costs ---------------------------------------------------------------------------------- */

static double save_us(struct process *process, int rounds)
{
    const uint64_t began = now_ms();
    for (int i = 0; i < rounds; i++)
        save(process, 1, i % 2 == 0 ? "even" : "odd");
    return (double)(now_ms() - began) * 1000 / rounds;
}

/* Printed, for people; a machine that is busy says nothing. */
static void what_the_trigger_costs(void **state)
{
    enum { ROUNDS = 1000 };
    (void)state;
    (void)save_us(&a, ROUNDS / 5);
    const double without = save_us(&a, ROUNDS);
    install("notes");
    (void)save_us(&a, ROUNDS / 5);
    const double with = save_us(&a, ROUNDS);
    print_message("a save: %.0f us without, %.0f us with the outbox\n", without, with);
    settle();
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(int count, char **words)
{
    test_nats_alone();
    const struct CMUnitTest tests[] = {
        CASE(changes_by_psql_are_seen_by_all),
        CASE(an_update_that_leaves_the_version_is_seen),
        CASE(trap_05_outbox_a_commit_without_its_notice_is_seen),
        CASE(trap_05_outbox_a_transaction_that_commits_late_is_not_skipped),
        CASE(what_is_rolled_back_leaves_no_note),
        CASE(a_changed_key_is_noted_under_both),
        CASE(rows_that_change_places_are_seen),
        CASE(every_type_of_key_is_understood),
        CASE(composite_keys_of_a_table_in_another_schema),
        CASE(a_change_in_one_partition_is_seen),
        CASE(a_bulk_update_is_seen_in_every_row),
        CASE(rows_that_are_copied_in_are_no_markers),
        CASE(truncate_is_seen),
        CASE(truncate_is_seen_by_who_has_rows_in_l1_only),
        CASE(trap_02_outbox_a_slow_fill_does_not_undo_an_outside_change),
        CASE(writes_through_the_library_stay_in_l2),
        CASE(a_row_that_was_made_anew_is_seen),
        CASE(a_table_without_versions_is_covered),
        CASE(a_tailer_that_is_killed_is_replaced),
        CASE(a_tailer_that_is_stopped_is_replaced),
        CASE(two_that_ask_at_once_do_not_both_get_the_role),
        CASE(there_is_one_tailer_at_a_time),
        cmocka_unit_test_setup_teardown(notes_wait_while_nats_is_away, open_own_world, close_world),
        cmocka_unit_test_setup_teardown(notes_wait_while_nats_does_not_answer, open_own_world,
                                        close_world),
        CASE(notes_that_are_too_old_are_thrown_away_with_all_that_is_cached),
        CASE(notes_of_a_table_that_is_gone_are_dropped),
        CASE(a_key_that_does_not_fit_empties_the_table),
        CASE(installing_twice_changes_nothing),
        CASE(installing_again_follows_a_changed_key),
        CASE(removing_leaves_nothing),
        CASE(what_cannot_be_installed_is_refused_and_leaves_nothing),
        CASE(without_rights_it_is_denied),
        cmocka_unit_test(sqlite_has_no_outbox),
        CASE(what_the_trigger_costs),
    };
    if (count == 5 && strcmp(words[1], "--client") == 0)
        return be_a_client(words + 2);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
