/*
 * test_fork.c -- a forked child gets TEARS_MISUSE from its parent's client, at once, and leaves it
 * undisturbed.
 */
#include "support/embedded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { CHILD_SECONDS_MAX = 20 };

static struct embedded world;
static tears_collection *notes;
static tears_entity *held;

static int open_world(void **state)
{
    (void)state;
    embedded_open(&world, "");
    embedded_sql(&world, "CREATE TABLE notes (id INTEGER PRIMARY KEY, title TEXT NOT NULL, "
                         "row_version BIGINT NOT NULL)");
    notes = embedded_collection(&world, "notes");
    const struct tears_field fields[] = {field_int("id", 1), field_text("title", "parent's")};
    assert_int_equal(tears_insert(world.session, notes, fields, 2, &held), TEARS_OK);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    embedded_close(&world);
    return 0;
}

/* Runs a function in a child; the number it returns, or fails when it hangs or crashes. */
static int in_child(int (*run)(void))
{
    fflush(NULL);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(CHILD_SECONDS_MAX);
        _exit(run());
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status))
        fail_msg("the child ended by signal %d", WTERMSIG(status));
    return WEXITSTATUS(status);
}

/* The number of the first call that was not MISUSE; 0: all were. */
static int use_everything(void)
{
    tears_session *session = world.session;
    const struct tears_value key = tears_int(1);
    const struct tears_field fields[] = {field_int("id", 2), field_text("title", "child's")};
    const struct tears_row_input row = {fields, 2, NULL};
    const struct tears_row_input update = {fields + 1, 1, held};
    const struct tears_str sql = TEARS_STR("SELECT 1");
    struct tears_error error;
    struct tears_value value;
    struct tears_page page;
    struct tears_str text;
    struct tears_outcome outcome;
    const struct tears_field *read = NULL;
    const struct tears_str *names = NULL;
    const struct tears_finding *findings = NULL;
    tears_entity *entity = NULL;
    tears_cursor *cursor = NULL;
    tears_session *another = NULL;
    tears_collection *collection = NULL;
    size_t count = 0;
    const tears_status statuses[] = {
        tears_get(session, notes, &key, 1, &entity),
        tears_get_many(session, notes, &key, 1, &entity),
        tears_get_field(session, notes, &key, 1, TEARS_STR("title"), &value),
        tears_ensure(session, notes, &key, 1, &count),
        tears_insert(session, notes, fields, 2, &entity),
        tears_update(session, held, fields + 1, 1, &entity),
        tears_upsert(session, notes, fields, 2, &entity),
        tears_delete(session, notes, &key, 1),
        tears_delete_entity(session, held),
        tears_insert_many(session, notes, &row, 1, &outcome),
        tears_update_many(session, notes, &update, 1, &outcome),
        tears_upsert_many(session, notes, &row, 1, &outcome),
        tears_delete_many(session, notes, &key, 1, &count),
        tears_entity_new(session, notes, fields, 2, &entity),
        tears_entity_set(held, TEARS_STR("title"), tears_text(TEARS_STR("x"))),
        tears_entity_save(held),
        tears_entity_reload(held),
        tears_entity_copy(held, session, &entity),
        tears_evict(session, notes, &key, 1),
        tears_invalidate(session, notes, &key, 1),
        tears_page_read(session, notes, NULL, &page),
        tears_begin(session),
        tears_commit(session),
        tears_rollback(session),
        tears_query(session, sql, NULL, 0, &cursor),
        tears_execute(session, sql, NULL, 0, NULL),
        tears_query_l1(session, sql, NULL, 0, &cursor),
        tears_tables(session, &names, &count),
        tears_client_doctor(session, &findings, &count),
        tears_value_parse(session, tears_collection_schema(notes), TEARS_STR("title"),
                          TEARS_STR("x"), &value),
        tears_value_json(session, &key, &text),
        tears_fields_from_json(session, tears_collection_schema(notes), TEARS_STR("{}"), &read,
                               &count),
        tears_session_new(world.client, NULL, &another),
        tears_collection_open(world.client, TEARS_STR("notes"), NULL, &collection, &error),
        tears_collection_open(world.client, TEARS_STR("others"), NULL, &collection, &error),
        tears_collection_find(world.client, TEARS_STR("notes"), &collection),
    };
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        if (statuses[i] != TEARS_MISUSE)
            return (int)i + 1;
    if (tears_exists_in_l1(session, notes, &key, 1))
        return 100;
    return 0;
}

static void assert_parent_goes_on(void)
{
    const struct tears_value key = tears_int(1);
    tears_entity *entity = NULL;
    assert_int_equal(tears_evict(world.session, notes, &key, 1), TEARS_OK);
    assert_int_equal(tears_get(world.session, notes, &key, 1, &entity), TEARS_OK);
    assert_string_equal(embedded_text(entity, "title"), "parent's");
    const struct tears_field change = field_text("title", "parent's");
    assert_int_equal(tears_update(world.session, entity, &change, 1, &held), TEARS_OK);
}

static void every_call_of_a_child_is_misuse(void **state)
{
    (void)state;
    assert_int_equal(in_child(use_everything), 0);
    assert_parent_goes_on();
}

/* The message says what to do instead. */
static int read_message(void)
{
    const struct tears_value key = tears_int(1);
    tears_entity *entity = NULL;
    (void)!tears_get(world.session, notes, &key, 1, &entity);
    return strstr(tears_session_error(world.session)->message, "forked") != NULL ? 0 : 1;
}

static void the_message_says_why(void **state)
{
    (void)state;
    assert_int_equal(in_child(read_message), 0);
}

/* Ending what belongs to the parent touches neither its connections nor its transaction. */
static int end_everything(void)
{
    struct tears_client_stats stats = TEARS_CLIENT_STATS_INIT;
    tears_client_stats(world.client, &stats);
    tears_session_reset(world.session);
    tears_session_free(world.session);
    tears_client_free(world.client);
    return 0;
}

static void a_child_cannot_end_its_parents_client(void **state)
{
    (void)state;
    const struct tears_field fields[] = {field_int("id", 7), field_text("title", "pending")};
    assert_int_equal(tears_begin(world.session), TEARS_OK);
    assert_int_equal(tears_insert(world.session, notes, fields, 2, NULL), TEARS_OK);
    assert_int_equal(in_child(end_everything), 0);
    assert_int_equal(tears_commit(world.session), TEARS_OK);
    const struct tears_value key = tears_int(7);
    tears_entity *entity = NULL;
    assert_int_equal(tears_get(world.session, notes, &key, 1, &entity), TEARS_OK);
    assert_parent_goes_on();
}

/* A child that opens a client of its own on the same file; what it writes its parent reads. */
static int write_as_child(void)
{
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    struct tears_error error;
    tears_client *client = NULL;
    tears_session *session = NULL;
    tears_collection *own = NULL;
    char url[160];
    snprintf(url, sizeof url, "sqlite:%s", world.path);
    options.l3_url = tears_str_c(url);
    options.l2_url = TEARS_STR("none");
    if (tears_client_open(&options, &client, &error) != TEARS_OK)
        return 1;
    if (tears_session_new(client, NULL, &session) != TEARS_OK ||
        tears_collection_find(client, TEARS_STR("notes"), &own) != TEARS_OK)
        return 2;
    const struct tears_field fields[] = {field_int("id", 2), field_text("title", "child's")};
    if (tears_insert(session, own, fields, 2, NULL) != TEARS_OK)
        return 3;
    tears_session_free(session);
    tears_client_free(client);
    return 0;
}

static void a_child_opens_a_client_of_its_own(void **state)
{
    (void)state;
#if defined(__SANITIZE_THREAD__)
    print_message("skipped: ThreadSanitizer ends a forked child that starts threads\n");
    skip();
#endif
    assert_int_equal(in_child(write_as_child), 0);
    const struct tears_value key = tears_int(2);
    tears_entity *entity = NULL;
    assert_int_equal(tears_get(world.session, notes, &key, 1, &entity), TEARS_OK);
    assert_string_equal(embedded_text(entity, "title"), "child's");
    assert_parent_goes_on();
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_call_of_a_child_is_misuse),
        TEST(the_message_says_why),
        TEST(a_child_cannot_end_its_parents_client),
        TEST(a_child_opens_a_client_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
