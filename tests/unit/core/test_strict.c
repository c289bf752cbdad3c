/*
 * test_strict.c -- strict mode: what is announced before it is written cannot be left behind old by a writer that dies.
 *
 * Two clients stand for two processes on one store in memory; a writer that really dies is this program run again
 * (see main), on a SQLite file.
 */
#include "support/embedded.h"
#include "support/fault_store.h"
#include "support/nats_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { BOUND_MS = 300, LEASE_MS = 1000, DIED = 42 };

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
static const char *url;
static struct test_nats *own_server;

static void pause_ms(uint64_t ms)
{
    const struct timespec pause = {.tv_sec = (time_t)(ms / 1000),
                                   .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&pause, NULL);
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- the world --------------------------------------------------------------------------- */

static struct tears_client_options options_on(const struct tears_store *store)
{
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    options.store = store;
    options.l2_url = tears_str_c(url);
    options.namespace_name = tears_str_c(namespace_name);
    options.l1_age_ms_max = 600000;
    options.staleness_ms_max = BOUND_MS;
    return options;
}

/* Rows known before the bucket was followed are not put there. */
static void wait_for_feed(const struct process *process)
{
    struct tears_collection_status status = TEARS_COLLECTION_STATUS_INIT;
    const uint64_t until = now_ms() + 5000;
    do {
        tears_collection_status(process->items, &status);
        pause_ms(2);
    } while (status.feed != TEARS_FEED_CURRENT && now_ms() < until);
    assert_int_equal(status.feed, TEARS_FEED_CURRENT);
}

static void start(struct process *process, const struct tears_store *store, bool strict,
                  uint64_t lease_ms)
{
    const struct tears_client_options options = options_on(store);
    struct tears_collection_options of_items = TEARS_COLLECTION_OPTIONS_INIT;
    struct tears_error error;
    if (tears_client_open(&options, &process->client, &error) != TEARS_OK)
        fail_msg("open: %s", error.message);
    of_items.schema = schema;
    of_items.strict = strict;
    of_items.strict_lease_ms = strict ? lease_ms : 0;
    if (tears_collection_open(process->client, TEARS_STR("items"), &of_items, &process->items,
                              &error) != TEARS_OK)
        fail_msg("items: %s", error.message);
    assert_int_equal(tears_session_new(process->client, NULL, &process->session), TEARS_OK);
    wait_for_feed(process);
}

static void end(struct process *process)
{
    tears_session_free(process->session);
    tears_client_free(process->client);
    memset(process, 0, sizeof *process);
}

static int open_world(void **state)
{
    (void)state;
    url = test_nats_shared_url();
    test_namespace(namespace_name);
    hook_store_init(&hook);
    schema = hook_store_schema();
    start(&a, &hook.store, true, LEASE_MS);
    start(&b, &hook.store, true, LEASE_MS);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    end(&a);
    end(&b);
    tears_schema_free(schema);
    test_nats_free(own_server);
    own_server = NULL;
    return 0;
}

/* ---- what processes do ------------------------------------------------------------------- */

static tears_entity *get(struct process *process, int64_t id)
{
    const struct tears_value key = tears_int(id);
    tears_entity *entity = NULL;
    const tears_status status = tears_get(process->session, process->items, &key, 1, &entity);
    if (status != TEARS_OK && status != TEARS_NOT_FOUND)
        fail_msg("get: %s", tears_session_error(process->session)->message);
    return entity;
}

static const char *name_in(struct process *process, int64_t id)
{
    const tears_entity *entity = get(process, id);
    return entity != NULL ? embedded_text(entity, "name") : "(none)";
}

static tears_status put(struct process *process, int64_t id, const char *name)
{
    const struct tears_field fields[] = {field_int("id", id), field_text("name", name)};
    return tears_upsert(process->session, process->items, fields, 2, NULL);
}

static struct tears_client_stats stats_of(const struct process *process)
{
    struct tears_client_stats stats = TEARS_CLIENT_STATS_INIT;
    tears_client_stats(process->client, &stats);
    return stats;
}

static const struct tears_explanation *explain(struct process *process, int64_t id)
{
    const struct tears_value key = tears_int(id);
    const struct tears_explanation *explanation = NULL;
    assert_int_equal(tears_explain(process->session, process->items, &key, 1, &explanation),
                     TEARS_OK);
    return explanation;
}

/* Waits until L2 holds the row in such a state. */
static bool wait_for_state(struct process *process, int64_t id, uint64_t state, uint64_t ms)
{
    const uint64_t until = now_ms() + ms;
    while (explain(process, id)->l2.state != state) {
        if (now_ms() > until)
            return false;
        pause_ms(5);
    }
    return true;
}

/* Reads until a reader has filled L2: a fill may be lost, and the next reader makes another. */
static bool readers_fill(struct process *process, int64_t id, uint64_t ms)
{
    const struct tears_value key = tears_int(id);
    const uint64_t until = now_ms() + ms;
    while (explain(process, id)->l2.state != TEARS_COPY_ROW) {
        if (now_ms() > until)
            return false;
        assert_int_equal(tears_evict(process->session, process->items, &key, 1), TEARS_OK);
        (void)name_in(process, id);
        pause_ms(20);
    }
    return true;
}

/* News of another process take a moment, and the bound at most. */
static bool wait_for_name(struct process *process, int64_t id, const char *name)
{
    const uint64_t until = now_ms() + BOUND_MS;
    while (strcmp(name_in(process, id), name) != 0) {
        if (now_ms() > until)
            return false;
        pause_ms(2);
    }
    return true;
}

/* ---- tests --------------------------------------------------------------------------------- */

static void a_write_is_announced_and_then_corrected(void **state)
{
    (void)state;
    assert_int_equal(put(&a, 1, "one"), TEARS_OK);
    assert_string_equal(name_in(&b, 1), "one");
    assert_int_equal(put(&a, 1, "two"), TEARS_OK);
    assert_int_equal(stats_of(&a).announcements, 2);
    const struct tears_explanation *explanation = explain(&a, 1);
    assert_int_equal(explanation->l2.state, TEARS_COPY_ROW);
    assert_int_equal(explanation->agree, 1);
    assert_true(wait_for_name(&b, 1, "two"));
    assert_int_equal(tears_session_degraded(a.session), 0);
}

static void an_update_a_delete_and_an_insert_are_announced(void **state)
{
    (void)state;
    const struct tears_field fields[] = {field_int("id", 5), field_text("name", "x")};
    const struct tears_value key = tears_int(5);
    tears_entity *entity = NULL;
    assert_int_equal(tears_insert(a.session, a.items, fields, 2, &entity), TEARS_OK);
    assert_int_equal(tears_update(a.session, entity, &fields[1], 1, &entity), TEARS_OK);
    assert_int_equal(explain(&a, 5)->l2.state, TEARS_COPY_ROW);
    assert_int_equal(tears_delete(a.session, a.items, &key, 1), TEARS_OK);
    assert_int_equal(explain(&a, 5)->l2.state, TEARS_COPY_MARKER);
    assert_int_equal(tears_insert(a.session, a.items, fields, 2, NULL), TEARS_OK);
    assert_int_equal(stats_of(&a).announcements, 4);
    assert_true(wait_for_name(&b, 5, "x"));
}

static void a_batch_is_announced_in_one_go(void **state)
{
    enum { ROWS = 200 };
    static struct tears_field fields[ROWS][2];
    static struct tears_row_input rows[ROWS];
    static struct tears_outcome outcomes[ROWS];
    (void)state;
    for (int i = 0; i < ROWS; i++) {
        fields[i][0] = field_int("id", i);
        fields[i][1] = field_text("name", "many");
        rows[i].fields = fields[i];
        rows[i].field_count = 2;
    }
    assert_int_equal(tears_upsert_many(a.session, a.items, rows, ROWS, outcomes), TEARS_OK);
    assert_int_equal(stats_of(&a).announcements, ROWS);
    assert_int_equal(explain(&a, 7)->agree, 1);
    assert_int_equal(explain(&a, ROWS - 1)->l2.state, TEARS_COPY_ROW);
}

static const char *seen_by_neighbour;
static tears_session *neighbour;

static void read_as_neighbour(void *owner, int64_t id)
{
    (void)owner;
    struct process same = {.client = a.client, .session = neighbour, .items = a.items};
    seen_by_neighbour = name_in(&same, id);
}

/* A writer whose thread sleeps between commit and correction is no better than a dead one. */
static void readers_of_the_writing_process_do_not_get_the_old_row(void **state)
{
    (void)state;
    assert_int_equal(tears_session_new(a.client, NULL, &neighbour), TEARS_OK);
    assert_int_equal(put(&a, 1, "old"), TEARS_OK);
    assert_string_equal(name_in(&a, 1), "old");
    hook.after_write = read_as_neighbour;
    assert_int_equal(put(&a, 1, "new"), TEARS_OK);
    assert_string_equal(seen_by_neighbour, "new");
    tears_session_free(neighbour);
}

static void l3_is_given_half_of_the_lease(void **state)
{
    (void)state;
    assert_int_equal(put(&a, 1, "x"), TEARS_OK);
    const uint64_t given = atomic_load(&hook.write_deadline_ms);
    assert_true(given > 0 && given <= LEASE_MS / 2);
}

static void a_conflict_gives_the_winner_and_leaves_no_lease(void **state)
{
    (void)state;
    const struct tears_field change = field_text("name", "loser");
    assert_int_equal(put(&a, 1, "first"), TEARS_OK);
    tears_entity *mine = get(&a, 1); /* before the other's, whenever its news arrive */
    assert_int_equal(put(&b, 1, "winner"), TEARS_OK);
    tears_entity *winner = NULL;
    assert_int_equal(tears_update(a.session, mine, &change, 1, &winner), TEARS_CONFLICT);
    assert_true(wait_for_state(&a, 1, TEARS_COPY_ROW, LEASE_MS / 2) ||
                wait_for_state(&a, 1, TEARS_COPY_MARKER, LEASE_MS / 2));
    assert_int_equal(explain(&a, 1)->agree, 1);
    assert_string_equal(name_in(&a, 1), "winner");
}

static void an_announcement_that_fails_writes_nothing(void **state)
{
    (void)state;
    own_server = test_nats_start(NULL);
    url = test_nats_url(own_server);
    struct process lonely;
    start(&lonely, &hook.store, true, LEASE_MS);
    assert_int_equal(put(&lonely, 1, "before"), TEARS_OK);
    const uint64_t writes = atomic_load(&hook.writes);
    test_nats_kill(own_server);
    assert_int_equal(put(&lonely, 1, "after"), TEARS_UNAVAILABLE);
    const char *message = tears_session_error(lonely.session)->message;
    assert_non_null(strstr(message, "'items'"));
    assert_non_null(strstr(message, "nothing was written"));
    assert_int_equal(atomic_load(&hook.writes), writes);
    end(&lonely);
}

/* The outcome is not known: it may still be written, so the announcement stays. */
static void an_unknown_outcome_keeps_the_lease(void **state)
{
    (void)state;
    static struct fault_store fault;
    struct process writer;
    fault_store_init(&fault, &hook);
    start(&writer, &fault.store, true, LEASE_MS);
    assert_int_equal(put(&writer, 1, "old"), TEARS_OK);
    assert_string_equal(name_in(&b, 1), "old");
    fault_store_arm(&fault, 1, TEARS_UNAVAILABLE, true);
    const uint64_t began = now_ms();
    assert_int_equal(put(&writer, 1, "new"), TEARS_UNAVAILABLE);
    if (now_ms() - began < LEASE_MS / 2)
        assert_int_equal(explain(&b, 1)->l2.state, TEARS_COPY_LEASED);
    assert_true(wait_for_name(&b, 1, "new"));
    assert_string_equal(name_in(&writer, 1), "new");
    pause_ms(LEASE_MS + BOUND_MS);
    assert_string_equal(name_in(&b, 1), "new");
    assert_true(wait_for_state(&b, 1, TEARS_COPY_ROW, 1000));
    end(&writer);
}

static void options_are_checked(void **state)
{
    (void)state;
    const struct {
        uint64_t strict, lease_ms, no_l2;
        const char *named;
    } bad[] = {{1, 0, 1, "strict"},
               {1, 100, 0, "strict_lease_ms"},
               {1, 700000, 0, "strict_lease_ms"},
               {0, 1000, 0, "strict_lease_ms"}};
    const struct tears_client_options options = options_on(&hook.store);
    tears_client *client = NULL;
    struct tears_error error;
    assert_int_equal(tears_client_open(&options, &client, &error), TEARS_OK);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct tears_collection_options given = TEARS_COLLECTION_OPTIONS_INIT;
        tears_collection *collection = NULL;
        given.schema = schema;
        given.strict = bad[i].strict;
        given.strict_lease_ms = bad[i].lease_ms;
        given.no_l2 = bad[i].no_l2;
        assert_int_equal(
            tears_collection_open(client, TEARS_STR("items"), &given, &collection, &error),
            TEARS_INVALID);
        assert_non_null(strstr(error.message, bad[i].named));
        assert_non_null(strstr(error.message, "'items'"));
    }
    tears_client_free(client);
}

/* ---- transactions, on SQLite ------------------------------------------------------------- */

struct files {
    struct embedded world; /* makes the file, and stays outside L2 */
    char l3_url[160];
};

static void open_files(struct files *files)
{
    embedded_open(&files->world, "none");
    embedded_sql(&files->world, "CREATE TABLE items (id BIGINT NOT NULL PRIMARY KEY, "
                                "name TEXT CHECK (length(name) < 20), "
                                "row_version BIGINT NOT NULL)");
    embedded_sql(&files->world, "INSERT INTO items VALUES (1, 'old', 1)");
    snprintf(files->l3_url, sizeof files->l3_url, "sqlite:%s", files->world.path);
}

static void start_on_file(struct process *process, const struct files *files, bool strict,
                          uint64_t lease_ms)
{
    struct tears_client_options options = options_on(NULL);
    struct tears_collection_options of_items = TEARS_COLLECTION_OPTIONS_INIT;
    struct tears_error error;
    options.l3_url = tears_str_c(files->l3_url);
    if (tears_client_open(&options, &process->client, &error) != TEARS_OK)
        fail_msg("open: %s", error.message);
    of_items.strict = strict;
    of_items.strict_lease_ms = strict ? lease_ms : 0;
    if (tears_collection_open(process->client, TEARS_STR("items"), &of_items, &process->items,
                              &error) != TEARS_OK)
        fail_msg("items: %s", error.message);
    assert_int_equal(tears_session_new(process->client, NULL, &process->session), TEARS_OK);
    wait_for_feed(process);
}

static void a_write_that_l3_refuses_is_taken_back(void **state)
{
    (void)state;
    struct files files;
    struct process writer;
    open_files(&files);
    start_on_file(&writer, &files, true, 10000);
    assert_int_equal(put(&writer, 1, "kept"), TEARS_OK);
    assert_int_equal(put(&writer, 1, "much too long for the table"), TEARS_INVALID);
    assert_int_equal(stats_of(&writer).announcements, 2);
    assert_true(wait_for_state(&writer, 1, TEARS_COPY_MARKER, 2000));
    assert_string_equal(name_in(&writer, 1), "kept");
    assert_true(readers_fill(&writer, 1, 2000));
    end(&writer);
    embedded_close(&files.world);
}

static void a_rollback_takes_back_what_was_announced(void **state)
{
    (void)state;
    struct files files;
    struct process writer;
    open_files(&files);
    start_on_file(&writer, &files, true, 10000);
    assert_string_equal(name_in(&writer, 1), "old");
    assert_int_equal(tears_begin(writer.session), TEARS_OK);
    assert_int_equal(put(&writer, 1, "new"), TEARS_OK);
    assert_int_equal(stats_of(&writer).announcements, 1);
    assert_int_equal(explain(&writer, 1)->l2.state, TEARS_COPY_LEASED);
    assert_int_equal(explain(&writer, 1)->pending, 1);
    assert_int_equal(tears_rollback(writer.session), TEARS_OK);
    assert_true(wait_for_state(&writer, 1, TEARS_COPY_MARKER, 2000));
    assert_string_equal(name_in(&writer, 1), "old");
    assert_true(readers_fill(&writer, 1, 2000));
    end(&writer);
    embedded_close(&files.world);
}

static void a_refused_row_in_a_transaction_is_taken_back_with_it(void **state)
{
    (void)state;
    struct files files;
    struct process writer;
    open_files(&files);
    start_on_file(&writer, &files, true, 10000);
    const struct tears_field fields[] = {field_int("id", 1), field_text("name", "twice")};
    assert_int_equal(tears_begin(writer.session), TEARS_OK);
    assert_int_equal(tears_insert(writer.session, writer.items, fields, 2, NULL), TEARS_CONFLICT);
    assert_int_equal(put(&writer, 2, "other"), TEARS_OK);
    assert_int_equal(tears_commit(writer.session), TEARS_OK);
    assert_true(wait_for_state(&writer, 1, TEARS_COPY_MARKER, 2000));
    assert_int_equal(explain(&writer, 2)->l2.state, TEARS_COPY_ROW);
    assert_string_equal(name_in(&writer, 1), "old");
    end(&writer);
    embedded_close(&files.world);
}

static void a_late_commit_announces_again(void **state)
{
    (void)state;
    struct files files;
    struct process writer;
    open_files(&files);
    start_on_file(&writer, &files, true, LEASE_MS);
    assert_int_equal(tears_begin(writer.session), TEARS_OK);
    assert_int_equal(put(&writer, 1, "new"), TEARS_OK);
    assert_int_equal(put(&writer, 1, "newer"), TEARS_OK);
    assert_int_equal(stats_of(&writer).announcements, 2);
    pause_ms(LEASE_MS + 100);
    assert_int_equal(explain(&writer, 1)->l2.state, TEARS_COPY_MARKER);
    assert_int_equal(tears_commit(writer.session), TEARS_OK);
    assert_int_equal(stats_of(&writer).announcements, 3);
    assert_int_equal(explain(&writer, 1)->l2.state, TEARS_COPY_ROW);
    assert_int_equal(explain(&writer, 1)->agree, 1);
    assert_string_equal(name_in(&writer, 1), "newer");
    end(&writer);
    embedded_close(&files.world);
}

/* ---- trap 5 -------------------------------------------------------------------------------- */

/* The store of a process that dies when the row is durable and nobody has been told. */
static struct process inner;

static tears_status dying_upsert(void *owner, void *tx, const tears_schema *of, uint64_t mode,
                                 const struct tears_field *fields, size_t field_count,
                                 const struct tears_value *base, uint64_t deadline_ms,
                                 const struct tears_row_sink *sink, struct tears_error *error)
{
    (void)owner;
    (void)tx;
    (void)of;
    (void)mode;
    (void)base;
    (void)deadline_ms;
    (void)sink;
    (void)error;
    _exit(tears_upsert(inner.session, inner.items, fields, field_count, NULL) == TEARS_OK ? DIED
                                                                                          : 1);
}

/* What the other process does: arguments are the URL of L2, the namespace, the file, and whether it is strict. */
static int die(char **arguments)
{
    struct hook_store rows;
    struct process writer;
    struct tears_client_options of_inner = TEARS_CLIENT_OPTIONS_INIT;
    struct tears_error error;
    hook_store_init(&rows);
    url = arguments[0];
    snprintf(namespace_name, sizeof namespace_name, "%s", arguments[1]);
    schema = hook_store_schema();
    of_inner.l3_url = tears_str_c(arguments[2]);
    of_inner.l2_url = TEARS_STR("none");
    if (tears_client_open(&of_inner, &inner.client, &error) != TEARS_OK ||
        tears_collection_open(inner.client, TEARS_STR("items"), NULL, &inner.items, &error) !=
            TEARS_OK ||
        tears_session_new(inner.client, NULL, &inner.session) != TEARS_OK)
        return 1;
    rows.store.upsert = dying_upsert;
    start(&writer, &rows.store, strcmp(arguments[3], "strict") == 0, LEASE_MS);
    (void)put(&writer, 1, "new");
    return 1;
}

static void have_a_writer_die(const struct files *files, const char *mode)
{
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execl("/proc/self/exe", "test_strict", "die", url, namespace_name, files->l3_url, mode,
              (char *)NULL);
        _exit(1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), DIED);
}

/* How long after the death some process is still given the old row; at most a while. */
static uint64_t old_for_ms(struct process *reader, const struct files *files, const char *mode)
{
    enum { WHILE_MS = 2 * (LEASE_MS + BOUND_MS) };
    assert_string_equal(name_in(reader, 1), "old");
    assert_true(wait_for_state(reader, 1, TEARS_COPY_ROW, 2000)); /* L2 has it as well */
    have_a_writer_die(files, mode);
    const uint64_t died = now_ms();
    uint64_t last_old = died;
    while (now_ms() < died + WHILE_MS) {
        const uint64_t asked = now_ms();
        if (strcmp(name_in(reader, 1), "old") == 0)
            last_old = asked;
        pause_ms(10);
    }
    return last_old - died;
}

static void trap_05_a_writer_dies_between_commit_and_notice(void **state)
{
    (void)state;
    struct files files;
    struct process reader;
    open_files(&files);
    start_on_file(&reader, &files, false, 0);
    assert_true(old_for_ms(&reader, &files, "strict") <= LEASE_MS + BOUND_MS);
    assert_string_equal(name_in(&reader, 1), "new");
    struct process late; /* with nothing in L1 */
    start_on_file(&late, &files, false, 0);
    assert_string_equal(name_in(&late, 1), "new");
    end(&late);
    end(&reader);
    embedded_close(&files.world);
}

/* What strict mode is for: without it nothing but an outbox tells of such a write. */
static void without_strict_mode_the_old_row_stays(void **state)
{
    (void)state;
    struct files files;
    struct process reader;
    open_files(&files);
    start_on_file(&reader, &files, false, 0);
    assert_true(old_for_ms(&reader, &files, "relaxed") > LEASE_MS + BOUND_MS);
    end(&reader);
    embedded_close(&files.world);
}

#define STRICT_TEST(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)

int main(int count, char **arguments)
{
    test_nats_alone();
    const struct CMUnitTest tests[] = {
        STRICT_TEST(a_write_is_announced_and_then_corrected),
        STRICT_TEST(an_update_a_delete_and_an_insert_are_announced),
        STRICT_TEST(a_batch_is_announced_in_one_go),
        STRICT_TEST(readers_of_the_writing_process_do_not_get_the_old_row),
        STRICT_TEST(l3_is_given_half_of_the_lease),
        STRICT_TEST(a_conflict_gives_the_winner_and_leaves_no_lease),
        STRICT_TEST(an_announcement_that_fails_writes_nothing),
        STRICT_TEST(a_write_that_l3_refuses_is_taken_back),
        STRICT_TEST(an_unknown_outcome_keeps_the_lease),
        STRICT_TEST(options_are_checked),
        STRICT_TEST(a_rollback_takes_back_what_was_announced),
        STRICT_TEST(a_refused_row_in_a_transaction_is_taken_back_with_it),
        STRICT_TEST(a_late_commit_announces_again),
        STRICT_TEST(trap_05_a_writer_dies_between_commit_and_notice),
        STRICT_TEST(without_strict_mode_the_old_row_stays),
    };
    if (count == 6 && strcmp(arguments[1], "die") == 0)
        return die(arguments + 2);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
