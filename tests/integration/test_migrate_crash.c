/*
 * test_migrate_crash.c -- a process is killed before each statement of five versions in turn, and another goes on.
 *
 * The worst outcome is looked for as well: every version writes rows, and each row must be there exactly once.
 */
#include "support/migrate_place.h"
#include "support/pg_server.h"
#include "tier/l3_admin.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
// clang-format on

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { VERSIONS = 5, STATEMENTS_MAX = 400, RANDOM_KILLS = 10, DOWN_STRIDE = 5 };

/* What is tried. */
struct trial {
    const char *name;
    bool is_postgres;
    bool alone;    /* checkpoints instead of transactions */
    bool yugabyte; /* a server that says it is one: no DDL in transactions */
};

static const char *const ups[VERSIONS] = {
    "CREATE TABLE log (n INTEGER); INSERT INTO log VALUES (1)",
    "ALTER TABLE log ADD COLUMN note TEXT; UPDATE log SET note = 'a';"
    "INSERT INTO log VALUES (2, 'b')",
    "CREATE TABLE other (id INTEGER PRIMARY KEY); INSERT INTO other VALUES (1);"
    "INSERT INTO log (n) SELECT 2 + id FROM other",
    "CREATE INDEX log_n ON log (n); INSERT INTO log (n) VALUES (4)",
    "DROP TABLE other; INSERT INTO log (n) VALUES (5)"};
static const char *const downs[VERSIONS] = {
    "DROP TABLE log", "DELETE FROM log WHERE n = 2; ALTER TABLE log DROP COLUMN note",
    "DELETE FROM log WHERE n = 3; DROP TABLE other",
    "DROP INDEX log_n; DELETE FROM log WHERE n = 4",
    "CREATE TABLE other (id INTEGER PRIMARY KEY); INSERT INTO other VALUES (1);"
    "DELETE FROM log WHERE n = 5"};
static const char *const alone_index_pg =
    "CREATE INDEX CONCURRENTLY log_n ON log (n); VACUUM log; INSERT INTO log (n) VALUES (4)";
static const char *const alone_index_lite =
    "CREATE INDEX log_n ON log (n); VACUUM; INSERT INTO log (n) VALUES (4)";

static void add_five(struct migrate_place *place, const struct trial *trial)
{
    struct tears_migration_def versions[VERSIONS];
    for (int i = 0; i < VERSIONS; i++) {
        versions[i] = migrate_sql(i + 1, ups[i], downs[i]);
        versions[i].flags = trial->alone ? TEARS_MIGRATION_NO_TRANSACTION : 0;
    }
    if (trial->alone)
        versions[3].up_sql = tears_str_c(trial->is_postgres ? alone_index_pg : alone_index_lite);
    migrate_add(place, "five", versions, VERSIONS);
}

/* ---- places ---- */

/* The schema `fake` is first in search_path and has a version() of its own. */
static const char *const fake_sql =
    "SET client_min_messages = warning; DROP SCHEMA IF EXISTS fake CASCADE; CREATE SCHEMA fake;"
    "CREATE FUNCTION fake.version() RETURNS text LANGUAGE sql AS"
    " $$SELECT 'PostgreSQL 11.2-YB-2.20.1.0-b97 on x86_64-pc-linux-gnu'::text$$";

static void empty(struct migrate_place *place, const struct trial *trial)
{
    migrate_place_close(place);
    if (!trial->is_postgres) {
        temp_folder_remove(&place->folder);
        temp_folder_make(&place->folder);
        (void)snprintf(place->url, sizeof place->url, "sqlite:%s",
                       temp_folder_path(&place->folder, "tears.db"));
    } else if (trial->yugabyte) {
        test_pg_run(place->url, fake_sql);
    } else {
        test_pg_run(place->url, "SET client_min_messages = warning;"
                                " DROP SCHEMA public CASCADE; CREATE SCHEMA public");
    }
}

static void make(struct migrate_place *place, const struct trial *trial)
{
    migrate_place_make(place, trial->is_postgres);
    if (trial->yugabyte)
        (void)strcat(place->url, "?options=-csearch_path%3Dfake,pg_catalog");
    empty(place, trial);
}

/* ---- the one that is killed ---- */

struct countdown {
    unsigned left;
};

static void die_in_time(void *owner, struct tears_str sql)
{
    struct countdown *countdown = owner;
    (void)sql;
    if (--countdown->left == 0)
        (void)kill(getpid(), SIGKILL);
}

static _Noreturn void child(struct migrate_place *place, const struct trial *trial, bool is_down,
                            unsigned die_at)
{
    struct countdown countdown = {.left = die_at};
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    migrate_place_open(place);
    add_five(place, trial);
    struct tears_migrate_request request = TEARS_MIGRATE_REQUEST_INIT;
    request.steps = VERSIONS;
    if (die_at > 0)
        t3_admin_watch(die_in_time, &countdown);
    const tears_status status = is_down ? tears_migrate_down(place->migrator, &request, NULL)
                                        : tears_migrate_up(place->migrator, &request, NULL);
    if (status != TEARS_OK)
        fprintf(stderr, "child: %s\n", tears_migrator_error(place->migrator)->message);
    _exit(status == TEARS_OK ? 0 : 1);
}

/* True when it was killed; a child that came to its end ends the search. */
static bool run_and_kill(struct migrate_place *place, const struct trial *trial, bool is_down,
                         unsigned die_at)
{
    int status = 0;
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        child(place, trial, is_down, die_at);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status))
        return true;
    assert_int_equal(WEXITSTATUS(status), 0);
    return false;
}

/* ---- the one that goes on ---- */

static void check_up(struct migrate_place *place)
{
    assert_int_equal(migrate_place_number(place, "SELECT count(*) FROM _schema_migrations"), 5);
    assert_int_equal(migrate_place_number(place, "SELECT count(*) FROM log"), 5);
    assert_int_equal(migrate_place_number(place, "SELECT count(DISTINCT n) FROM log"), 5);
    assert_int_equal(
        migrate_place_number(place, "SELECT count(*) FROM _tears_migrations WHERE state = 'applied'"
                                    " AND sequence = version AND length(checksum) = 64"),
        5);
    assert_false(migrate_place_has(place, "other"));
}

static void go_on_up(struct migrate_place *place, const struct trial *trial, const char *fresh)
{
    migrate_place_open(place);
    add_five(place, trial);
    if (tears_migrate_up(place->migrator, NULL, NULL) != TEARS_OK)
        fail_msg("%s", tears_migrator_error(place->migrator)->message);
    check_up(place);
    char *shape = migrate_place_shape(place);
    if (fresh != NULL)
        assert_string_equal(shape, fresh);
    free(shape);
}

static void go_on_down(struct migrate_place *place, const struct trial *trial)
{
    struct tears_migrate_request request = TEARS_MIGRATE_REQUEST_INIT;
    migrate_place_open(place);
    add_five(place, trial);
    const int64_t left = migrate_place_number(place, "SELECT count(*) FROM _schema_migrations");
    request.steps = left > 0 ? (uint64_t)left : 1;
    if (tears_migrate_down(place->migrator, &request, NULL) != TEARS_OK)
        fail_msg("%s", tears_migrator_error(place->migrator)->message);
    assert_int_equal(migrate_place_number(place, "SELECT count(*) FROM _schema_migrations"), 0);
    assert_int_equal(migrate_place_number(place, "SELECT count(*) FROM _tears_migrations"), 0);
    assert_false(migrate_place_has(place, "log"));
    assert_false(migrate_place_has(place, "other"));
}

/* ---- trials ---- */

static char *fresh_shape(struct migrate_place *place, const struct trial *trial)
{
    go_on_up(place, trial, NULL);
    char *shape = migrate_place_shape(place);
    return shape;
}

static void killed_on_the_way_up(void **state)
{
    const struct trial *trial = *state;
    struct migrate_place place;
    make(&place, trial);
    char *fresh = fresh_shape(&place, trial);
    unsigned at = 1;
    for (;; at++) {
        assert_true(at < STATEMENTS_MAX);
        empty(&place, trial);
        if (!run_and_kill(&place, trial, false, at))
            break;
        go_on_up(&place, trial, fresh);
    }
    print_message("%s: killed before each of %u statements\n", trial->name, at - 1);
    assert_true(at > 40);
    free(fresh);
    migrate_place_remove(&place);
}

static void killed_on_the_way_down(void **state)
{
    const struct trial *trial = *state;
    struct migrate_place place;
    make(&place, trial);
    unsigned at = 1;
    for (;; at += DOWN_STRIDE) {
        assert_true(at < STATEMENTS_MAX);
        empty(&place, trial);
        go_on_up(&place, trial, NULL);
        migrate_place_close(&place);
        if (!run_and_kill(&place, trial, true, at))
            break;
        go_on_down(&place, trial);
    }
    print_message("%s: killed before every fifth of %u statements down\n", trial->name, at - 1);
    assert_true(at > 40);
    migrate_place_remove(&place);
}

/* Not between statements but anywhere, so that the server may be in the middle of one. */
static void killed_at_any_time(void **state)
{
    const struct trial *trial = *state;
    struct migrate_place place;
    make(&place, trial);
    for (unsigned i = 0; i < RANDOM_KILLS; i++) {
        int status = 0;
        empty(&place, trial);
        const pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            child(&place, trial, false, 0);
        usleep(3000 + 2000 * i);
        (void)kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        go_on_up(&place, trial, NULL);
    }
    migrate_place_remove(&place);
}

/* ---- a step of which nobody knows ---- */

/* The index was being built when the process died: what is left of it is in the way. */
static void an_index_that_was_left_invalid_is_built_anew(void **state)
{
    const struct trial *trial = *state;
    struct migrate_place place;
    migrate_place_make(&place, true);
    const struct tears_migration_def version =
        migrate_sql(1,
                    "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1), (1);\n"
                    "CREATE UNIQUE INDEX CONCURRENTLY a_x ON a (x)",
                    "");
    (void)trial;
    migrate_add(&place, "p", &version, 1);
    assert_int_equal(tears_migrate_up(place.migrator, NULL, NULL), TEARS_CONFLICT);
    assert_string_equal(tears_migrator_error(place.migrator)->sqlstate, "23505");
    assert_int_equal(
        migrate_place_number(&place, "SELECT count(*) FROM pg_index WHERE NOT indisvalid"), 1);
    migrate_place_sql(&place, "UPDATE a SET x = 2 WHERE ctid = (SELECT min(ctid) FROM a)");
    migrate_up(&place, 1);
    assert_int_equal(
        migrate_place_number(&place, "SELECT count(*) FROM pg_index WHERE NOT indisvalid"), 0);
    migrate_place_remove(&place);
}

/* Something else has the name: that is an error, and not a step that was done. */
static void a_name_that_is_taken_is_an_error(void **state)
{
    struct migrate_place place;
    (void)state;
    migrate_place_make(&place, true);
    migrate_place_sql(&place, "CREATE TABLE a (x INTEGER)");
    migrate_place_sql(&place, "CREATE INDEX a_x ON a (x)");
    const struct tears_migration_def version =
        migrate_sql(1, "CREATE INDEX CONCURRENTLY a_x ON a (x)", "");
    migrate_add(&place, "p", &version, 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(tears_migrate_up(place.migrator, NULL, NULL), TEARS_INVALID);
        assert_string_equal(tears_migrator_error(place.migrator)->sqlstate, "42P07");
    }
    migrate_place_remove(&place);
}

int main(void)
{
    static struct trial trials[] = {{"sqlite, transactions", false, false, false},
                                    {"sqlite, checkpoints", false, true, false},
                                    {"postgresql, transactions", true, false, false},
                                    {"postgresql, checkpoints", true, true, false},
                                    {"yugabytedb's rules", true, false, true}};
#define TRIAL(test, number)                                                            \
    {                                                                                  \
        .name = #test " " #number, .test_func = test, .initial_state = &trials[number] \
    }
    const struct CMUnitTest tests[] = {TRIAL(killed_on_the_way_up, 0),
                                       TRIAL(killed_on_the_way_up, 1),
                                       TRIAL(killed_on_the_way_up, 2),
                                       TRIAL(killed_on_the_way_up, 3),
                                       TRIAL(killed_on_the_way_up, 4),
                                       TRIAL(killed_on_the_way_down, 0),
                                       TRIAL(killed_on_the_way_down, 1),
                                       TRIAL(killed_on_the_way_down, 2),
                                       TRIAL(killed_on_the_way_down, 3),
                                       TRIAL(killed_on_the_way_down, 4),
                                       TRIAL(killed_at_any_time, 1),
                                       TRIAL(killed_at_any_time, 2),
                                       TRIAL(killed_at_any_time, 3),
                                       TRIAL(an_index_that_was_left_invalid_is_built_anew, 3),
                                       TRIAL(a_name_that_is_taken_is_an_error, 3)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
