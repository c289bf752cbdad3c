/*
 * test_journal_api.c -- a journal seen from outside: pending writes and dead letters, tried again, edited, dropped.
 */
#include "deferred/journal_impl.h"
#include "deferred/record.h"

#include "base/alloc.h"
#include "base/str.h"
#include "support/journal_content.h"
#include "support/temp_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct world {
    struct temp_folder folder;
    char path[128];
    tears_schema *schema;
    struct t3_arena arena;
    struct t3_journal *owner;
    tears_journal *journal;
    struct tears_error error;
    uint64_t layout;
};

static struct t3_deadline soon(void)
{
    return t3_deadline_in_ms(10000);
}

static void open_owner(struct world *world)
{
    T3_AUTO(t3_buf_done) struct t3_buf layout = {0};
    const struct t3_journal_options options = {.path = tears_str_c(world->path)};
    if (t3_journal_open(&options, soon(), &world->owner, &world->error) != TEARS_OK)
        fail_msg("%s", world->error.message);
    assert_int_equal(t3_record_layout_put(world->schema, &layout), TEARS_OK);
    assert_int_equal(t3_journal_layout(world->owner, world->schema->name, t3_buf_str(&layout),
                                       soon(), &world->layout, &world->error),
                     TEARS_OK);
}

static int set_up(void **state)
{
    static struct world world;
    static const struct tears_column_def columns[] = {
        {.name = {"id", 2}, .type = TEARS_TYPE_BIGINT},
        {.name = {"name", 4}, .type = TEARS_TYPE_STRING, .nullable = true},
        {.name = {"amount", 6},
         .type = TEARS_TYPE_NUMERIC,
         .nullable = true,
         .precision = 10,
         .scale = 2,
         .has_scale = true},
        {.name = {"row_version", 11}, .type = TEARS_TYPE_BIGINT}};
    static const struct tears_str key[] = {{"id", 2}};
    const struct tears_schema_def def = {.name = TEARS_STR("items"),
                                         .primary_key = key,
                                         .primary_key_count = 1,
                                         .columns = columns,
                                         .column_count = T3_COUNT(columns),
                                         .version_column = TEARS_STR("row_version")};
    world = (struct world){0};
    temp_folder_make(&world.folder);
    snprintf(world.path, sizeof world.path, "%s/pending.db", world.folder.path);
    if (tears_schema_new(&def, &world.schema, &world.error) != TEARS_OK)
        fail_msg("%s", world.error.message);
    open_owner(&world);
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    tears_journal_free(world->journal);
    t3_journal_free(world->owner);
    tears_schema_free(world->schema);
    t3_arena_done(&world->arena);
    temp_folder_remove(&world->folder);
    return 0;
}

/* A write of a row, as core makes them. */
static uint64_t save(struct world *world, uint8_t kind, int64_t id, const char *name)
{
    const struct tears_value values[] = {tears_int(id), tears_text(tears_str_c(name)),
                                         tears_bytes_of_kind(TEARS_KIND_DECIMAL, TEARS_STR("1.50")),
                                         tears_int(4)};
    const uint64_t changed = 2; /* name */
    struct t3_row *row = NULL;
    T3_AUTO(t3_buf_done) struct t3_buf bytes = {0};
    assert_int_equal(t3_row_new(&world->arena, &world->schema->layout, values, &row), TEARS_OK);
    const struct t3_record record = {.kind = kind,
                                     .has_base = kind == T3_RECORD_UPDATE,
                                     .base = kind == T3_RECORD_UPDATE ? 4 : 0,
                                     .since_us = 1700000000000000 + id,
                                     .row = row,
                                     .changed = &changed};
    assert_int_equal(t3_record_put(world->schema, &record, &bytes), TEARS_OK);
    struct t3_journal_put put = {
        .seq = (uint64_t)id, .layout = world->layout, .bytes = t3_buf_str(&bytes)};
    assert_int_equal(t3_journal_write(world->owner, &put, 1, soon(), NULL), TEARS_OK);
    return put.id;
}

static uint64_t bury(struct world *world, uint8_t kind, int64_t id, const char *name)
{
    const struct t3_journal_death death = {.id = save(world, kind, id, name),
                                           .dependants = 2,
                                           .sqlstate = TEARS_STR("23505"),
                                           .message = TEARS_STR("duplicate key")};
    const struct t3_journal_landing landing = {.deaths = &death, .death_count = 1};
    assert_int_equal(t3_journal_land(world->owner, &landing, soon(), NULL), TEARS_OK);
    return death.id;
}

static void open_journal(struct world *world)
{
    if (tears_journal_open(tears_str_c(world->path), &world->journal, &world->error) != TEARS_OK)
        fail_msg("%s", world->error.message);
}

static void assert_text(struct tears_str text, const char *expected)
{
    if (!t3_str_is(text, expected))
        fail_msg("'%.*s' is not '%s'", (int)text.len, text.ptr, expected);
}

static void exec(struct world *world, const char *sql)
{
    struct t3_lite_conn *conn = NULL;
    assert_int_equal(t3_lite_take_writer(world->owner->lite, soon(), &conn, NULL), TEARS_OK);
    assert_int_equal(t3_lite_exec(conn, sql, &world->error), TEARS_OK);
    t3_lite_give(conn);
}

/* ---- looking ---- */

static void the_state_of_a_journal_that_is_open(void **state)
{
    struct world *world = *state;
    struct tears_journal_status status = TEARS_JOURNAL_STATUS_INIT;
    save(world, T3_RECORD_INSERT, 7, "seven");
    save(world, T3_RECORD_UPDATE, 8, "eight");
    bury(world, T3_RECORD_INSERT, 9, "nine");
    open_journal(world);
    assert_int_equal(tears_journal_look(world->journal, &status, &world->error), TEARS_OK);
    assert_text(status.path, world->path);
    assert_text(status.id, t3_journal_id(world->owner));
    assert_int_equal(status.epoch, 1);
    assert_int_equal(status.is_owned, 1);
    assert_int_equal(status.owner_pid, getpid());
    assert_true(status.owner_idle_ms < 60000);
    assert_int_equal(status.pending, 2);
    assert_true(status.pending_bytes > 0);
    assert_int_equal(status.dead, 1);
    assert_int_equal(status.oldest_us, 1700000000000007);
    t3_journal_free(T3_TAKE(world->owner));
    assert_int_equal(tears_journal_look(world->journal, &status, &world->error), TEARS_OK);
    assert_int_equal(status.is_owned, 0);
    assert_int_equal(status.owner_pid, 0);
}

static void pending_writes_are_shown_as_rows(void **state)
{
    struct world *world = *state;
    const uint64_t first = save(world, T3_RECORD_INSERT, 7, "se\"ven");
    const uint64_t second = save(world, T3_RECORD_UPDATE, 8, "eight");
    const uint64_t third = save(world, T3_RECORD_DELETE, 9, "nine");
    const struct tears_pending *pending;
    size_t count;
    open_journal(world);
    assert_int_equal(tears_journal_pending(world->journal, TEARS_STR(""), 0, 100, &pending, &count,
                                           &world->error),
                     TEARS_OK);
    assert_int_equal(count, 3);
    assert_int_equal(pending[0].id, first);
    assert_int_equal(pending[0].kind, TEARS_PENDING_INSERT);
    assert_text(pending[0].table, "items");
    assert_text(pending[0].key, "7");
    assert_text(pending[0].row,
                "{\"id\": 7, \"name\": \"se\\\"ven\", \"amount\": \"1.50\", \"row_version\": 4}");
    assert_text(pending[0].changed, "[\"name\"]");
    assert_int_equal(pending[0].has_base, 0);
    assert_int_equal(pending[0].since_us, 1700000000000007);
    assert_true(pending[0].bytes > 0);
    assert_int_equal(pending[1].has_base, 1);
    assert_int_equal(pending[1].base, 4);
    assert_text(pending[2].row, "{\"id\": 9}");
    assert_text(pending[2].changed, "[]");
    assert_int_equal(
        tears_journal_pending(world->journal, TEARS_STR("items"), first, 1, &pending, &count, NULL),
        TEARS_OK);
    assert_int_equal(count, 1);
    assert_int_equal(pending[0].id, second);
    assert_int_equal(
        tears_journal_pending(world->journal, TEARS_STR("other"), 0, 100, &pending, &count, NULL),
        TEARS_OK);
    assert_int_equal(count, 0);
    assert_int_equal(tears_journal_pending(world->journal, TEARS_STR(""), third, SIZE_MAX, &pending,
                                           &count, NULL),
                     TEARS_OK);
    assert_int_equal(count, 0);
}

static void a_damaged_record_is_named(void **state)
{
    struct world *world = *state;
    save(world, T3_RECORD_INSERT, 7, "seven");
    exec(world, "UPDATE record SET bytes=x'0011'");
    const struct tears_pending *pending;
    size_t count;
    open_journal(world);
    assert_int_equal(tears_journal_pending(world->journal, TEARS_STR(""), 0, 100, &pending, &count,
                                           &world->error),
                     TEARS_CORRUPT);
    assert_non_null(strstr(world->error.message, "record 1 is damaged"));
}

/* ---- dead letters ---- */

static void dead_letters_say_why(void **state)
{
    struct world *world = *state;
    const uint64_t id = bury(world, T3_RECORD_INSERT, 7, "seven");
    const struct tears_dead *dead;
    size_t count;
    open_journal(world);
    assert_int_equal(
        tears_journal_dead(world->journal, TEARS_STR("items"), 0, 10, &dead, &count, &world->error),
        TEARS_OK);
    assert_int_equal(count, 1);
    assert_int_equal(dead[0].id, id);
    assert_int_equal(dead[0].write.id, id);
    assert_text(dead[0].write.key, "7");
    assert_text(dead[0].sqlstate, "23505");
    assert_text(dead[0].message, "duplicate key");
    assert_int_equal(dead[0].dependants, 2);
    assert_int_equal(dead[0].is_marked, 0);
    assert_true(dead[0].died_us > 1700000000000000);
}

static void a_damaged_dead_letter_is_listed_with_its_cause(void **state)
{
    struct world *world = *state;
    const uint64_t id = bury(world, T3_RECORD_INSERT, 7, "seven");
    exec(world, "UPDATE dead SET bytes=x'00'");
    const struct tears_dead *dead;
    size_t count;
    open_journal(world);
    assert_int_equal(
        tears_journal_dead(world->journal, TEARS_STR(""), 0, 10, &dead, &count, &world->error),
        TEARS_OK);
    assert_int_equal(count, 1);
    assert_text(dead[0].message, "duplicate key");
    assert_text(dead[0].write.row, "");
    assert_int_equal(tears_journal_edit(world->journal, id, TEARS_STR("{}"), &world->error),
                     TEARS_INVALID);
}

static void the_owner_tries_marked_letters_again(void **state)
{
    struct world *world = *state;
    const uint64_t first = bury(world, T3_RECORD_INSERT, 7, "seven");
    bury(world, T3_RECORD_INSERT, 8, "eight");
    uint64_t count = 0;
    open_journal(world);
    assert_int_equal(
        tears_journal_retry(world->journal, first, TEARS_STR(""), &count, &world->error), TEARS_OK);
    assert_int_equal(count, 1);
    const struct tears_dead *dead;
    size_t listed;
    assert_int_equal(tears_journal_dead(world->journal, TEARS_STR(""), 0, 10, &dead, &listed, NULL),
                     TEARS_OK);
    assert_int_equal(dead[0].is_marked, 1);
    assert_int_equal(dead[1].is_marked, 0);
    struct journal_content content = {0};
    const struct t3_journal_reader reader = journal_content_reader(&content);
    assert_int_equal(t3_journal_take_marked(world->owner, &reader, 99, soon(), NULL), TEARS_OK);
    assert_int_equal(content.record_count, 1);
    journal_content_done(&content);
    assert_int_equal(
        tears_journal_retry(world->journal, first, TEARS_STR(""), &count, &world->error),
        TEARS_NOT_FOUND);
    assert_int_equal(
        tears_journal_retry(world->journal, 0, TEARS_STR("other"), &count, &world->error),
        TEARS_NOT_FOUND);
    assert_non_null(strstr(world->error.message, "of table 'other'"));
    assert_int_equal(tears_journal_retry(world->journal, 0, TEARS_STR("items"), &count, NULL),
                     TEARS_OK);
    assert_int_equal(count, 1);
}

static void columns_of_a_dead_letter_are_edited(void **state)
{
    struct world *world = *state;
    const uint64_t id = bury(world, T3_RECORD_UPDATE, 7, "seven");
    const struct tears_dead *dead;
    size_t count;
    open_journal(world);
    assert_int_equal(tears_journal_edit(world->journal, id,
                                        TEARS_STR("{\"id\": 70, \"amount\": \"2.25\"}"),
                                        &world->error),
                     TEARS_OK);
    assert_int_equal(tears_journal_dead(world->journal, TEARS_STR(""), 0, 10, &dead, &count, NULL),
                     TEARS_OK);
    assert_text(dead[0].write.key, "70");
    assert_text(dead[0].write.row,
                "{\"id\": 70, \"name\": \"seven\", \"amount\": \"2.25\", \"row_version\": 4}");
    assert_text(dead[0].write.changed, "[\"name\", \"amount\"]");
    assert_int_equal(dead[0].write.base, 4);
}

static void edits_that_do_not_fit_change_nothing(void **state)
{
    struct world *world = *state;
    const uint64_t id = bury(world, T3_RECORD_UPDATE, 7, "seven");
    const uint64_t deletion = bury(world, T3_RECORD_DELETE, 8, "eight");
    open_journal(world);
    struct tears_error *error = &world->error;
    assert_int_equal(tears_journal_edit(world->journal, id, TEARS_STR("{\"nme\": 1}"), error),
                     TEARS_INVALID);
    assert_non_null(strstr(error->message, "nme"));
    assert_int_equal(tears_journal_edit(world->journal, id, TEARS_STR("{\"id\": \"x\"}"), error),
                     TEARS_INVALID);
    assert_int_equal(tears_journal_edit(world->journal, id, TEARS_STR("{\"id\": null}"), error),
                     TEARS_INVALID);
    assert_int_equal(tears_journal_edit(world->journal, id, TEARS_STR("nonsense"), error),
                     TEARS_INVALID);
    assert_int_equal(tears_journal_edit(world->journal, 4711, TEARS_STR("{}"), error),
                     TEARS_NOT_FOUND);
    assert_int_equal(tears_journal_edit(world->journal, deletion, TEARS_STR("{}"), error),
                     TEARS_INVALID);
    const struct tears_dead *dead;
    size_t count;
    assert_int_equal(tears_journal_dead(world->journal, TEARS_STR(""), 0, 10, &dead, &count, NULL),
                     TEARS_OK);
    assert_text(dead[0].write.key, "7");
    assert_text(dead[0].write.changed, "[\"name\"]");
}

static void a_dropped_letter_is_gone(void **state)
{
    struct world *world = *state;
    const uint64_t id = bury(world, T3_RECORD_INSERT, 7, "seven");
    struct t3_journal_stats stats;
    open_journal(world);
    assert_int_equal(tears_journal_drop(world->journal, id, &world->error), TEARS_OK);
    assert_int_equal(tears_journal_drop(world->journal, id, &world->error), TEARS_NOT_FOUND);
    t3_journal_stats(world->owner, &stats);
    assert_int_equal(stats.dead, 0);
}

/* ---- opening ---- */

static void a_file_that_is_not_there_is_not_made(void **state)
{
    struct world *world = *state;
    const char *path = temp_folder_path(&world->folder, "nowhere.db");
    assert_int_equal(tears_journal_open(tears_str_c(path), &world->journal, &world->error),
                     TEARS_NOT_FOUND);
    assert_int_not_equal(access(path, F_OK), 0);
    temp_folder_file(&world->folder, "text", "not a database at all, but of some length");
    path = temp_folder_path(&world->folder, "text");
    assert_int_equal(tears_journal_open(tears_str_c(path), &world->journal, &world->error),
                     TEARS_CORRUPT);
    temp_folder_file(&world->folder, "empty", "");
    path = temp_folder_path(&world->folder, "empty");
    assert_int_equal(tears_journal_open(tears_str_c(path), &world->journal, &world->error),
                     TEARS_CORRUPT);
    tears_journal_free(NULL);
}

static void without_a_path_the_environment_tells(void **state)
{
    struct world *world = *state;
    struct tears_journal_status status = TEARS_JOURNAL_STATUS_INIT;
    assert_int_equal(setenv("TEARS_JOURNAL", world->path, 1), 0);
    const tears_status opened = tears_journal_open(TEARS_STR(""), &world->journal, &world->error);
    assert_int_equal(unsetenv("TEARS_JOURNAL"), 0);
    assert_int_equal(opened, TEARS_OK);
    assert_int_equal(tears_journal_look(world->journal, &status, NULL), TEARS_OK);
    assert_text(status.path, world->path);
}

/* Looking at the journal of a process that died is what recovers it: the tail is looked at then, too. */
static void whoever_looks_first_keeps_a_damaged_tail_aside(void **state)
{
    struct world *world = *state;
    t3_journal_free(T3_TAKE(world->owner));
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        open_owner(world);
        save(world, T3_RECORD_INSERT, 7, "seven");
        save(world, T3_RECORD_INSERT, 8, "eight");
        _exit(0);
    }
    int how;
    assert_int_equal(waitpid(pid, &how, 0), pid);
    assert_int_equal(how, 0);
    char command[400];
    snprintf(command, sizeof command, "truncate -s -1000 %s-wal", world->path);
    assert_int_equal(system(command), 0);
    open_journal(world);
    struct tears_journal_status status = TEARS_JOURNAL_STATUS_INIT;
    assert_int_equal(tears_journal_look(world->journal, &status, NULL), TEARS_OK);
    assert_int_equal(status.pending, 1);
    assert_int_equal(status.is_owned, 0);
    snprintf(command, sizeof command, "ls %s.damaged-* > /dev/null", world->path);
    assert_int_equal(system(command), 0);
    open_owner(world); /* a reader keeps no owner away */
}

static tears_status read_and_mark(struct world *world)
{
    const struct tears_pending *pending;
    const struct tears_dead *dead;
    struct tears_journal_status status = TEARS_JOURNAL_STATUS_INIT;
    size_t count;
    uint64_t marked;
    struct tears_error *error = &world->error;
    T3_TRY(tears_journal_open(tears_str_c(world->path), &world->journal, error));
    T3_TRY(tears_journal_look(world->journal, &status, error));
    T3_TRY(tears_journal_pending(world->journal, TEARS_STR(""), 0, 9, &pending, &count, error));
    T3_TRY(tears_journal_dead(world->journal, TEARS_STR(""), 0, 9, &dead, &count, error));
    T3_TRY(tears_journal_edit(world->journal, dead[0].id, TEARS_STR("{\"name\": \"a\"}"), error));
    return tears_journal_retry(world->journal, 0, TEARS_STR("items"), &marked, error);
}

static void every_failure_of_memory_is_reported(void **state)
{
    struct world *world = *state;
    save(world, T3_RECORD_UPDATE, 7, "seven");
    bury(world, T3_RECORD_INSERT, 8, "eight");
    for (uint64_t fail_at = 1; fail_at < 2000; fail_at++) {
        t3_alloc_fail_at(fail_at);
        const tears_status status = read_and_mark(world);
        const bool is_over = t3_alloc_count() < fail_at;
        t3_alloc_fail_at(0);
        assert_true(status == TEARS_OK || status == TEARS_NO_MEMORY);
        tears_journal_free(T3_TAKE(world->journal));
        if (is_over)
            return;
    }
    fail();
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest cases[] = {
        CASE(the_state_of_a_journal_that_is_open),
        CASE(pending_writes_are_shown_as_rows),
        CASE(a_damaged_record_is_named),
        CASE(dead_letters_say_why),
        CASE(a_damaged_dead_letter_is_listed_with_its_cause),
        CASE(the_owner_tries_marked_letters_again),
        CASE(columns_of_a_dead_letter_are_edited),
        CASE(edits_that_do_not_fit_change_nothing),
        CASE(a_dropped_letter_is_gone),
        CASE(a_file_that_is_not_there_is_not_made),
        CASE(without_a_path_the_environment_tells),
        CASE(whoever_looks_first_keeps_a_damaged_tail_aside),
        CASE(every_failure_of_memory_is_reported),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
