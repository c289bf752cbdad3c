/*
 * test_flush.c -- the flusher on SQLite, with calls that fail when the test says so.
 */
#include "base/alloc.h"
#include "support/fault_l3.h"
#include "support/flush_world.h"
#include "support/temp_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { PASS_MS = 20000, SHORT_MS = 400 };

struct fixture {
    struct temp_folder folder;
    struct t3_l3 *lite;
    struct fault_l3 fault;
    struct flush_world world;
};

static void run_sql(struct fixture *f, const char *sql)
{
    struct t3_arena arena = {0};
    struct tears_error error;
    struct t3_result result = {0};
    struct t3_l3_call call = {
        .arena = &arena, .deadline = t3_deadline_in_ms(PASS_MS), .error = &error};
    const tears_status status =
        f->lite->ops->query(f->lite, &call, tears_str_c(sql), NULL, 0, &result);
    if (status != TEARS_OK)
        fail_msg("%s: %s", sql, error.message);
    t3_arena_done(&arena);
}

static int64_t ask_sql(struct fixture *f, const char *sql)
{
    struct t3_arena arena = {0};
    struct tears_error error;
    struct t3_result result = {0};
    struct t3_l3_call call = {
        .arena = &arena, .deadline = t3_deadline_in_ms(PASS_MS), .error = &error};
    assert_int_equal(f->lite->ops->query(f->lite, &call, tears_str_c(sql), NULL, 0, &result),
                     TEARS_OK);
    const int64_t number = t3_result_number(&result, 0, 0);
    t3_arena_done(&arena);
    return number;
}

static int open_fixture(void **state)
{
    struct fixture *f = test_calloc(1, sizeof *f);
    char url[128];
    struct tears_error error;
    temp_folder_make(&f->folder);
    (void)snprintf(url, sizeof url, "sqlite:%s/l3.db", f->folder.path);
    const struct t3_l3_options options = {.url = tears_str_c(url)};
    assert_int_equal(t3_l3_lite_open(&options, &f->lite, &error), TEARS_OK);
    for (size_t i = 0; flush_world_sql[i] != NULL; i++)
        run_sql(f, flush_world_sql[i]);
    fault_l3_init(&f->fault, f->lite);
    (void)snprintf(url, sizeof url, "%s/journal.db", f->folder.path);
    flush_world_open(&f->world, &f->fault.base, url);
    *state = f;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *f = *state;
    flush_world_done(&f->world);
    f->lite->ops->free(f->lite);
    temp_folder_remove(&f->folder);
    test_free(f);
    return 0;
}

/* A smaller batch from now on. */
static void use_batches_of(struct fixture *f, uint64_t rows)
{
    flush_world_close(&f->world);
    f->world.batch_rows_max = rows;
    flush_world_reopen(&f->world);
}

static void put(struct fixture *f, const char *table, uint8_t kind, int64_t id, int64_t ref,
                const char *note)
{
    const struct world_row row = {.id = id, .ref = ref, .note = note};
    flush_world_put(&f->world, table, kind, &row);
}

static void insert(struct fixture *f, const char *table, int64_t id, int64_t ref)
{
    put(f, table, T3_RECORD_INSERT, id, ref, "x");
}

/* ---- order -------------------------------------------------------------------------------------- */

static void a_child_saved_before_its_parent_comes_after_it(void **state)
{
    struct fixture *f = *state;
    insert(f, "children", 1, 10);
    insert(f, "parents", 10, -1);
    insert(f, "nodes", 3, 2);
    insert(f, "nodes", 2, 1);
    insert(f, "nodes", 1, -1);
    flush_world_drain(&f->world);
    assert_int_equal(f->world.result.written, 5);
    assert_int_equal(f->world.result.parked, 0);
    assert_int_equal(f->fault.commits, 1);
    assert_int_equal(ask_sql(f, "SELECT count(*) FROM children"), 1);
    assert_int_equal(ask_sql(f, "SELECT count(*) FROM nodes"), 3);
}

static void children_are_deleted_before_their_parents(void **state)
{
    struct fixture *f = *state;
    run_sql(f, "INSERT INTO parents VALUES (1, NULL, 'x', NULL, 1)");
    run_sql(f, "INSERT INTO children VALUES (1, 1, 'x', NULL, 1)");
    put(f, "parents", T3_RECORD_DELETE, 1, -1, "");
    put(f, "children", T3_RECORD_DELETE, 1, -1, "");
    flush_world_drain(&f->world);
    assert_int_equal(f->world.result.written, 2);
    assert_int_equal(ask_sql(f, "SELECT count(*) FROM parents"), 0);
}

/* The parent has the last id of all; its child is in the first of 201 batches. */
static void a_parent_two_hundred_batches_later_brings_its_children_in(void **state)
{
    struct fixture *f = *state;
    use_batches_of(f, 5);
    insert(f, "children", 1, 5000);
    for (int64_t i = 0; i < 1000; i++)
        insert(f, "parents", i, -1);
    insert(f, "parents", 5000, -1);
    flush_world_drain(&f->world);
    assert_int_equal(f->world.result.written, 1002);
    assert_int_equal(f->fault.begins, f->fault.commits);
    assert_int_equal(ask_sql(f, "SELECT count(*) FROM children"), 1);
}

static void a_chain_saved_backwards_goes_in_link_by_link(void **state)
{
    struct fixture *f = *state;
    use_batches_of(f, 4);
    for (int64_t i = 40; i > 1; i--)
        insert(f, "nodes", i, i - 1);
    insert(f, "nodes", 1, -1);
    flush_world_drain(&f->world);
    assert_int_equal(ask_sql(f, "SELECT count(*) FROM nodes"), 40);
    assert_int_equal(f->fault.begins, f->fault.commits); /* held back, none fails a transaction */
}

static void rows_that_free_a_value_go_before_those_that_take_it(void **state)
{
    struct fixture *f = *state;
    run_sql(f, "INSERT INTO parents VALUES (1, NULL, 'x', 'one', 1), (2, NULL, 'x', 'two', 1)");
    const struct world_row takes = {.id = 3, .ref = -1, .note = "x", .code = "one"};
    const struct world_row frees = {.id = 1, .ref = -1, .note = "x", .code = "new"};
    const struct world_row again = {.id = 4, .ref = -1, .note = "x", .code = "two"};
    flush_world_put(&f->world, "parents", T3_RECORD_INSERT, &takes);
    flush_world_put(&f->world, "parents", T3_RECORD_UPDATE, &frees);
    flush_world_put(&f->world, "parents", T3_RECORD_INSERT, &again);
    put(f, "parents", T3_RECORD_DELETE, 2, -1, "");
    flush_world_drain(&f->world);
    assert_int_equal(flush_world_dead(&f->world), 0);
    assert_int_equal(ask_sql(f, "SELECT id FROM parents WHERE code = 'one'"), 3);
    assert_int_equal(ask_sql(f, "SELECT id FROM parents WHERE code = 'two'"), 4);
}

/* Updated rows hand a value on against the order they are sent in: it takes two rounds, and no dead letter. */
static void a_value_handed_on_among_updates_is_no_clash(void **state)
{
    struct fixture *f = *state;
    run_sql(f, "INSERT INTO parents VALUES (1, NULL, 'x', 'a', 1), (2, NULL, 'x', 'b', 1)");
    const struct world_row first = {.id = 1, .ref = -1, .note = "x", .code = "b"};
    const struct world_row second = {.id = 2, .ref = -1, .note = "x", .code = "c"};
    flush_world_put(&f->world, "parents", T3_RECORD_UPDATE, &first);
    flush_world_put(&f->world, "parents", T3_RECORD_UPDATE, &second);
    flush_world_drain(&f->world);
    assert_int_equal(flush_world_dead(&f->world), 0);
    assert_int_equal(ask_sql(f, "SELECT id FROM parents WHERE code = 'b'"), 1);
}

/* ---- rows that are refused ------------------------------------------------------------------------- */

/* 300 parents with children in one batch, one of them bad; all others land, its child waits. */
static void expect_only_one_dead(struct fixture *f, const struct world_row *bad)
{
    for (int64_t i = 1; i <= 300; i++) {
        if (i == 150)
            flush_world_put(&f->world, "parents", T3_RECORD_INSERT, bad);
        else
            insert(f, "parents", i, -1);
        insert(f, "children", i, i);
    }
    assert_int_equal(flush_world_pass(&f->world, PASS_MS), TEARS_OK);
    assert_int_equal(f->world.result.dead, 1);
    assert_int_equal(f->world.result.written, 598);
    assert_int_equal(f->world.result.parked, 1);
    assert_int_equal(flush_world_waiting(&f->world), 1);
    assert_int_equal(flush_world_dead(&f->world), 1);
    assert_int_equal(f->world.tables[0].refused, 1);
    assert_non_null(flush_world_pending(&f->world, "children", 150));
    assert_null(flush_world_pending(&f->world, "parents", 150));
    assert_null(flush_world_note(&f->world, "parents", 150, NULL));
    assert_non_null(strstr(f->world.last_refusal, "table 'parents', row 150"));
}

static void trap_18_a_row_that_violates_a_check_is_put_aside_and_all_others_are_written(
    void **state)
{
    struct fixture *f = *state;
    const struct world_row bad = {.id = 150, .ref = -1, .note = "bad"};
    expect_only_one_dead(f, &bad);
    assert_non_null(strstr(f->world.last_refusal, "CHECK"));
    /* 600 rows in one batch: 2 log2(600) transactions for the bad row, and a few for its child. */
    assert_in_range(f->fault.begins, 2, 30);
}

static void trap_18_a_row_without_a_value_is_put_aside_and_all_others_are_written(void **state)
{
    const struct world_row bad = {.id = 150, .ref = -1, .note = NULL};
    expect_only_one_dead(*state, &bad);
}

static void trap_18_a_row_that_clashes_is_put_aside_and_all_others_are_written(void **state)
{
    struct fixture *f = *state;
    const struct world_row bad = {.id = 150, .ref = -1, .note = "x", .code = "taken"};
    run_sql(f, "INSERT INTO parents VALUES (1000, NULL, 'x', 'taken', 1)");
    expect_only_one_dead(f, &bad);
}

static void trap_18_a_row_whose_parent_is_missing_waits_and_all_others_are_written(void **state)
{
    struct fixture *f = *state;
    for (int64_t i = 1; i <= 300; i++) {
        insert(f, "parents", i, -1);
        insert(f, "children", i, i % 3 == 0 ? 1000 + i : i);
    }
    assert_int_equal(flush_world_pass(&f->world, PASS_MS), TEARS_OK);
    assert_int_equal(f->world.result.written, 500);
    assert_int_equal(f->world.result.parked, 100);
    assert_int_equal(f->world.result.dead, 0);
    assert_in_range(f->fault.begins, 2, 4); /* a hundred orphans are found with one question */
    /* Another process writes the parents. */
    for (int64_t i = 3; i <= 300; i += 3) {
        char sql[96];
        (void)snprintf(sql, sizeof sql, "INSERT INTO parents VALUES (%lld, NULL, 'x', NULL, 1)",
                       (long long)(1000 + i));
        run_sql(f, sql);
    }
    t3_pending_unpark(f->world.pending, NULL);
    flush_world_drain(&f->world);
    assert_int_equal(ask_sql(f, "SELECT count(*) FROM children"), 300);
}

static void a_refused_row_that_is_saved_again_is_not_refused_twice(void **state)
{
    struct fixture *f = *state;
    put(f, "parents", T3_RECORD_INSERT, 1, -1, "bad");
    assert_int_equal(flush_world_pass(&f->world, PASS_MS), TEARS_OK);
    assert_int_equal(f->world.result.dead, 1);
    put(f, "parents", T3_RECORD_INSERT, 1, -1, "good");
    flush_world_drain(&f->world);
    assert_string_equal(flush_world_note(&f->world, "parents", 1, NULL), "good");
}

static void a_table_that_is_missing_parks_its_rows_until_it_is_there(void **state)
{
    struct fixture *f = *state;
    for (int64_t i = 1; i <= 50; i++) {
        insert(f, "nodes", i, -1);
        insert(f, "parents", i, -1);
    }
    run_sql(f, "DROP TABLE nodes");
    assert_int_equal(flush_world_pass(&f->world, PASS_MS), TEARS_OK);
    assert_int_equal(f->world.result.written, 50);
    assert_int_equal(f->world.result.parked, 50);
    assert_int_equal(f->world.result.dead, 0);
    assert_in_range(f->fault.begins, 2, 2);
    run_sql(f, flush_world_sql[2]);
    t3_pending_unpark(f->world.pending, NULL);
    flush_world_drain(&f->world);
    assert_int_equal(ask_sql(f, "SELECT count(*) FROM nodes"), 50);
}

static void rows_of_a_table_that_nobody_has_registered_wait_in_the_journal(void **state)
{
    struct fixture *f = *state;
    insert(f, "nodes", 1, -1);
    insert(f, "parents", 1, -1);
    flush_world_close(&f->world);
    f->world.tables[2].is_hidden = true;
    flush_world_reopen(&f->world);
    assert_int_equal(flush_world_pass(&f->world, PASS_MS), TEARS_OK);
    assert_int_equal(f->world.result.written, 1);
    assert_int_equal(f->world.result.waiting, 1);
    f->world.tables[2].is_hidden = false;
    flush_world_drain(&f->world);
    assert_int_equal(ask_sql(f, "SELECT count(*) FROM nodes"), 1);
}

/* ---- conflicts ------------------------------------------------------------------------------------------ */

/* Row 1 is changed by somebody else between the save and the flush. */
static void save_a_stale_update(struct fixture *f)
{
    run_sql(f, "INSERT INTO parents VALUES (1, 7, 'x', NULL, 1)");
    put(f, "parents", T3_RECORD_UPDATE, 1, 7, "mine");
    run_sql(f, "UPDATE parents SET ref = 8, row_version = 2 WHERE id = 1");
}

static void a_stale_update_is_refused_by_default(void **state)
{
    struct fixture *f = *state;
    save_a_stale_update(f);
    assert_int_equal(flush_world_pass(&f->world, PASS_MS), TEARS_OK);
    assert_int_equal(f->world.result.dead, 1);
    assert_string_equal(flush_world_note(&f->world, "parents", 1, NULL), "x");
    assert_non_null(strstr(f->world.last_refusal, "it has version 2, this write is based on 1"));
}

static void the_last_writer_s_columns_are_written_over_the_others(void **state)
{
    struct fixture *f = *state;
    f->world.tables[0].merger.policy = TEARS_ON_STALE_LAST_WRITER;
    save_a_stale_update(f);
    flush_world_drain(&f->world);
    int64_t version = 0;
    assert_string_equal(flush_world_note(&f->world, "parents", 1, &version), "mine");
    assert_int_equal(version, 3);
    assert_int_equal(ask_sql(f, "SELECT ref FROM parents"), 8);
    assert_int_equal(flush_world_dead(&f->world), 0);
}

static void a_deletion_of_what_is_gone_is_done(void **state)
{
    struct fixture *f = *state;
    run_sql(f, "INSERT INTO parents VALUES (1, 7, 'x', NULL, 1)");
    put(f, "parents", T3_RECORD_DELETE, 1, -1, "");
    run_sql(f, "DELETE FROM parents");
    flush_world_drain(&f->world);
    assert_int_equal(flush_world_dead(&f->world), 0);
}

static void a_row_deleted_and_inserted_anew_is_replaced(void **state)
{
    struct fixture *f = *state;
    run_sql(f, "INSERT INTO parents VALUES (1, 7, 'x', 'old', 5)");
    put(f, "parents", T3_RECORD_DELETE, 1, -1, "");
    put(f, "parents", T3_RECORD_INSERT, 1, -1, "anew");
    flush_world_drain(&f->world);
    assert_string_equal(flush_world_note(&f->world, "parents", 1, NULL), "anew");
    assert_int_equal(ask_sql(f, "SELECT code IS NULL FROM parents"), 1);
}

/* The deletion of the old row goes through, the insert of the new one clashes: both, or neither. */
static void a_replacement_that_clashes_leaves_the_old_row(void **state)
{
    struct fixture *f = *state;
    run_sql(f, "INSERT INTO parents VALUES (1, 7, 'x', 'old', 5), (2, 7, 'x', 'taken', 1)");
    const struct world_row anew = {.id = 1, .ref = -1, .note = "anew", .code = "taken"};
    put(f, "parents", T3_RECORD_DELETE, 1, -1, "");
    flush_world_put(&f->world, "parents", T3_RECORD_INSERT, &anew);
    insert(f, "parents", 3, -1);
    assert_int_equal(flush_world_pass(&f->world, PASS_MS), TEARS_OK);
    assert_int_equal(f->world.result.dead, 1);
    assert_int_equal(f->world.result.written, 1);
    assert_string_equal(flush_world_note(&f->world, "parents", 1, NULL), "x");
}

static void many_writes_of_one_row_are_one_row_of_the_flush(void **state)
{
    struct fixture *f = *state;
    insert(f, "parents", 1, -1);
    for (int i = 0; i < 1000; i++) {
        char note[32];
        (void)snprintf(note, sizeof note, "note %d", i);
        put(f, "parents", T3_RECORD_UPDATE, 1, -1, note);
    }
    f->fault.rows = 0;
    flush_world_drain(&f->world);
    assert_int_equal(f->fault.rows, 1);
    assert_string_equal(flush_world_note(&f->world, "parents", 1, NULL), "note 999");
}

/* ---- failures that are nobody's fault ---------------------------------------------------------------------- */

/* An insert, an update, a deletion and a child: what a batch can hold.  Afterwards every row says how often it was written. */
static void save_a_mixture(struct fixture *f)
{
    run_sql(f, "DELETE FROM children");
    run_sql(f, "DELETE FROM parents");
    run_sql(f, "INSERT INTO parents VALUES (1, 7, 'x', NULL, 1), (2, 7, 'x', NULL, 1)");
    put(f, "parents", T3_RECORD_UPDATE, 1, 7, "updated");
    put(f, "parents", T3_RECORD_DELETE, 2, -1, "");
    insert(f, "parents", 3, -1);
    insert(f, "children", 4, 3);
    put(f, "parents", T3_RECORD_UPSERT, 5, -1, "upserted");
}

static void expect_the_mixture(struct fixture *f)
{
    assert_int_equal(flush_world_dead(&f->world), 0);
    assert_int_equal(ask_sql(f, "SELECT row_version FROM parents WHERE id = 1"), 2);
    assert_int_equal(ask_sql(f, "SELECT count(*) FROM parents WHERE id = 2"), 0);
    assert_int_equal(ask_sql(f, "SELECT row_version FROM parents WHERE id = 3"), 1);
    assert_int_equal(ask_sql(f, "SELECT row_version FROM children WHERE id = 4"), 1);
    assert_int_equal(ask_sql(f, "SELECT row_version FROM parents WHERE id = 5"), 1);
}

/* Flushes until nothing is left; what fails meanwhile must be what may be tried again. */
static void flush_on(struct fixture *f)
{
    for (int i = 0; i < 20 && flush_world_waiting(&f->world) > 0; i++) {
        const tears_status status = flush_world_pass(&f->world, PASS_MS);
        if (status != TEARS_OK && status != TEARS_UNAVAILABLE)
            fail_msg("%s: %s", tears_status_name(status), f->world.error.message);
    }
    assert_int_equal(flush_world_waiting(&f->world), 0);
}

/* Call 1 fails, then call 2, and so on until none is left that could. */
static void fail_at_every_call(struct fixture *f, tears_status status, const char *sqlstate,
                               bool after, bool unknown)
{
    uint64_t nth = 1;
    do {
        save_a_mixture(f);
        fault_l3_arm(&f->fault, nth, status, sqlstate, after);
        f->fault.unknown = unknown;
        flush_on(f);
        expect_the_mixture(f);
    } while (f->fault.calls >= nth++);
    assert_true(nth > 5);
}

static void a_serialization_failure_at_any_call_loses_and_repeats_nothing(void **state)
{
    fail_at_every_call(*state, TEARS_CONFLICT, "40001", false, false);
}

static void a_deadlock_at_any_call_loses_and_repeats_nothing(void **state)
{
    fail_at_every_call(*state, TEARS_CONFLICT, "40P01", false, false);
}

static void a_lost_connection_at_any_call_loses_and_repeats_nothing(void **state)
{
    fail_at_every_call(*state, TEARS_UNAVAILABLE, "", false, false);
}

static void a_timeout_at_any_call_loses_and_repeats_nothing(void **state)
{
    fail_at_every_call(*state, TEARS_TIMEOUT, "57014", false, true);
}

static void trap_22_a_commit_whose_answer_is_lost_is_not_repeated(void **state)
{
    fail_at_every_call(*state, TEARS_UNAVAILABLE, "", true, true);
}

static void trap_22_a_commit_that_did_not_happen_is_repeated(void **state)
{
    fail_at_every_call(*state, TEARS_UNAVAILABLE, "", false, true);
}

/* The number of a batch's commit among its calls, once the journal is known in L3. */
static uint64_t commit_of_a_mixture(struct fixture *f)
{
    for (int i = 0; i < 2; i++) {
        save_a_mixture(f);
        fault_l3_arm(&f->fault, 0, TEARS_OK, "", false);
        flush_on(f);
    }
    return f->fault.calls;
}

/* The process ends when L3 has committed and before the journal has heard of it. */
static void crash_around_commit(struct fixture *f, bool committed)
{
    const uint64_t commit = commit_of_a_mixture(f);
    save_a_mixture(f);
    fault_l3_arm(&f->fault, commit, TEARS_UNAVAILABLE, "", committed);
    f->fault.unknown = true;
    f->fault.fail_count = UINT64_MAX / 2; /* and L3 stays away */
    assert_int_equal(flush_world_pass(&f->world, SHORT_MS), TEARS_UNAVAILABLE);
    put(f, "parents", T3_RECORD_UPDATE, 1, 7, "after the crash");
    flush_world_close(&f->world);
    fault_l3_arm(&f->fault, 0, TEARS_OK, "", false);
    assert_int_equal(ask_sql(f, "SELECT count(*) FROM children"), committed ? 1 : 0);
    flush_world_reopen(&f->world);
    flush_on(f);
    assert_int_equal(flush_world_dead(&f->world), 0);
    assert_int_equal(ask_sql(f, "SELECT row_version FROM parents WHERE id = 1"), 3);
    assert_string_equal(flush_world_note(&f->world, "parents", 1, NULL), "after the crash");
    run_sql(f, "UPDATE parents SET row_version = 2 WHERE id = 1");
    expect_the_mixture(f);
}

static void trap_22_a_crash_after_the_commit_repeats_nothing(void **state)
{
    crash_around_commit(*state, true);
}

static void trap_22_a_crash_before_the_commit_loses_nothing(void **state)
{
    crash_around_commit(*state, false);
}

/* The same without a crash: the database is away when it is asked, and comes back. */
static void trap_22_an_answer_lost_with_the_database_is_asked_for_when_that_is_back(void **state)
{
    struct fixture *f = *state;
    for (int committed = 0; committed < 2; committed++) {
        const uint64_t commit = commit_of_a_mixture(f);
        save_a_mixture(f);
        fault_l3_arm(&f->fault, commit, TEARS_UNAVAILABLE, "", committed == 1);
        f->fault.unknown = true;
        f->fault.fail_count = UINT64_MAX / 2;
        assert_int_equal(flush_world_pass(&f->world, SHORT_MS), TEARS_UNAVAILABLE);
        put(f, "parents", T3_RECORD_UPDATE, 1, 7, "meanwhile");
        fault_l3_arm(&f->fault, 0, TEARS_OK, "", false);
        flush_on(f);
        assert_int_equal(ask_sql(f, "SELECT row_version FROM parents WHERE id = 1"), 3);
        run_sql(f, "UPDATE parents SET row_version = 2 WHERE id = 1");
        expect_the_mixture(f);
    }
}

/* What somebody wrote over a batch that landed before the crash must not be overwritten by what follows it. */
static void trap_22_what_others_wrote_since_the_crash_is_a_conflict(void **state)
{
    struct fixture *f = *state;
    const uint64_t commit = commit_of_a_mixture(f);
    save_a_mixture(f);
    fault_l3_arm(&f->fault, commit, TEARS_UNAVAILABLE, "", true);
    f->fault.fail_count = UINT64_MAX / 2;
    assert_int_equal(flush_world_pass(&f->world, SHORT_MS), TEARS_UNAVAILABLE);
    put(f, "parents", T3_RECORD_UPDATE, 1, 7, "after the crash");
    flush_world_close(&f->world);
    fault_l3_arm(&f->fault, 0, TEARS_OK, "", false);
    run_sql(f, "UPDATE parents SET note = 'theirs', row_version = 3 WHERE id = 1");
    flush_world_reopen(&f->world);
    assert_int_equal(flush_world_pass(&f->world, PASS_MS), TEARS_OK);
    assert_int_equal(flush_world_dead(&f->world), 1);
    assert_string_equal(flush_world_note(&f->world, "parents", 1, NULL), "theirs");
}

/* A batch of the last owner landed, with rows of a table that this process does not know until later. */
static void trap_22_a_batch_with_rows_of_an_unknown_table_is_settled_when_that_is_opened(
    void **state)
{
    struct fixture *f = *state;
    enum { COMMIT = 5 }; /* begin, the fence, two tables */
    insert(f, "parents", 1, -1);
    flush_on(f);
    insert(f, "parents", 2, -1);
    insert(f, "nodes", 2, -1);
    fault_l3_arm(&f->fault, COMMIT, TEARS_UNAVAILABLE, "", true);
    f->fault.fail_count = UINT64_MAX / 2;
    assert_int_equal(flush_world_pass(&f->world, SHORT_MS), TEARS_UNAVAILABLE);
    assert_int_equal(ask_sql(f, "SELECT count(*) FROM nodes"), 1);
    flush_world_close(&f->world);
    fault_l3_arm(&f->fault, 0, TEARS_OK, "", false);
    f->world.tables[2].is_hidden = true;
    flush_world_reopen(&f->world);
    insert(f, "parents", 3, -1); /* later batches must not confuse it */
    assert_int_equal(flush_world_pass(&f->world, PASS_MS), TEARS_OK);
    assert_int_equal(flush_world_waiting(&f->world), 1);
    flush_world_close(&f->world); /* neither must another crash */
    flush_world_reopen(&f->world);
    assert_int_equal(flush_world_pass(&f->world, PASS_MS), TEARS_OK);
    f->world.tables[2].is_hidden = false;
    flush_world_drain(&f->world);
    assert_int_equal(flush_world_dead(&f->world), 0);
    assert_int_equal(ask_sql(f, "SELECT row_version FROM nodes"), 1);
}

struct meanwhile {
    struct fixture *f;
    const char *note;
};

static void save_meanwhile(void *owner)
{
    struct meanwhile *meanwhile = owner;
    put(meanwhile->f, "parents", T3_RECORD_UPDATE, 1, -1, meanwhile->note);
}

static void what_is_saved_while_a_batch_is_under_way_is_written_after_it(void **state)
{
    struct fixture *f = *state;
    struct meanwhile meanwhile = {.f = f, .note = "meanwhile"};
    insert(f, "parents", 1, -1);
    f->fault.before_commit = save_meanwhile;
    f->fault.owner = &meanwhile;
    assert_int_equal(flush_world_pass(&f->world, PASS_MS), TEARS_OK);
    assert_string_equal(flush_world_note(&f->world, "parents", 1, NULL),
                        flush_world_waiting(&f->world) > 0 ? "x" : "meanwhile");
    flush_world_drain(&f->world);
    assert_string_equal(flush_world_note(&f->world, "parents", 1, NULL), "meanwhile");
    assert_int_equal(flush_world_dead(&f->world), 0);
}

/* ---- owners ---------------------------------------------------------------------------------------------------- */

static void trap_21_an_owner_that_was_taken_over_writes_nothing(void **state)
{
    struct fixture *f = *state;
    insert(f, "parents", 1, -1);
    flush_world_drain(&f->world);
    insert(f, "parents", 2, -1);
    run_sql(f, "UPDATE tears_journals SET epoch = epoch + 1");
    assert_int_equal(flush_world_pass(&f->world, PASS_MS), TEARS_DENIED);
    assert_non_null(strstr(f->world.error.message, "taken over"));
    assert_int_equal(ask_sql(f, "SELECT count(*) FROM parents"), 1);
    assert_int_equal(flush_world_pass(&f->world, PASS_MS), TEARS_DENIED); /* nor later */
    assert_int_equal(flush_world_waiting(&f->world), 1);
}

/* The new owner's first question waits for, and then sees, what the old one has under way. */
static void the_table_of_journals_is_made_when_it_is_missing(void **state)
{
    struct fixture *f = *state;
    insert(f, "parents", 1, -1);
    flush_world_drain(&f->world);
    run_sql(f, "DROP TABLE tears_journals");
    insert(f, "parents", 2, -1);
    (void)flush_world_pass(&f->world, PASS_MS); /* notices */
    flush_world_drain(&f->world);
    assert_int_equal(ask_sql(f, "SELECT count(*) FROM parents"), 2);
    assert_int_equal(ask_sql(f, "SELECT count(*) FROM tears_journals"), 1);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static void no_failed_allocation_loses_or_repeats_a_row(void **state)
{
    struct fixture *f = *state;
    for (uint64_t nth = 1;; nth++) {
        save_a_mixture(f);
        put(f, "parents", T3_RECORD_INSERT, 9, -1, "bad");
        t3_alloc_fail_at(nth);
        tears_status status = flush_world_pass(&f->world, PASS_MS);
        const uint64_t made = t3_alloc_count();
        t3_alloc_fail_at(0);
        for (int i = 0; i < 5 && (status != TEARS_OK || flush_world_waiting(&f->world) > 0); i++) {
            t3_pending_unpark(f->world.pending, NULL);
            status = flush_world_pass(&f->world, PASS_MS);
        }
        if (status != TEARS_OK)
            fail_msg("allocation %llu: %s: %s", (unsigned long long)nth, tears_status_name(status),
                     f->world.error.message);
        assert_int_equal(flush_world_waiting(&f->world), 0);
        assert_int_equal(flush_world_dead(&f->world), nth);
        run_sql(f, "SELECT 1");
        assert_int_equal(ask_sql(f, "SELECT row_version FROM parents WHERE id = 1"), 2);
        assert_int_equal(ask_sql(f, "SELECT count(*) FROM children"), 1);
        if (made < nth)
            return;
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)
    const struct CMUnitTest tests[] = {
        T(a_child_saved_before_its_parent_comes_after_it),
        T(children_are_deleted_before_their_parents),
        T(a_parent_two_hundred_batches_later_brings_its_children_in),
        T(a_chain_saved_backwards_goes_in_link_by_link),
        T(rows_that_free_a_value_go_before_those_that_take_it),
        T(a_value_handed_on_among_updates_is_no_clash),
        T(trap_18_a_row_that_violates_a_check_is_put_aside_and_all_others_are_written),
        T(trap_18_a_row_without_a_value_is_put_aside_and_all_others_are_written),
        T(trap_18_a_row_that_clashes_is_put_aside_and_all_others_are_written),
        T(trap_18_a_row_whose_parent_is_missing_waits_and_all_others_are_written),
        T(a_refused_row_that_is_saved_again_is_not_refused_twice),
        T(a_table_that_is_missing_parks_its_rows_until_it_is_there),
        T(rows_of_a_table_that_nobody_has_registered_wait_in_the_journal),
        T(a_stale_update_is_refused_by_default),
        T(the_last_writer_s_columns_are_written_over_the_others),
        T(a_deletion_of_what_is_gone_is_done),
        T(a_row_deleted_and_inserted_anew_is_replaced),
        T(a_replacement_that_clashes_leaves_the_old_row),
        T(many_writes_of_one_row_are_one_row_of_the_flush),
        T(a_serialization_failure_at_any_call_loses_and_repeats_nothing),
        T(a_deadlock_at_any_call_loses_and_repeats_nothing),
        T(a_lost_connection_at_any_call_loses_and_repeats_nothing),
        T(a_timeout_at_any_call_loses_and_repeats_nothing),
        T(trap_22_a_commit_whose_answer_is_lost_is_not_repeated),
        T(trap_22_a_commit_that_did_not_happen_is_repeated),
        T(trap_22_a_crash_after_the_commit_repeats_nothing),
        T(trap_22_a_crash_before_the_commit_loses_nothing),
        T(trap_22_an_answer_lost_with_the_database_is_asked_for_when_that_is_back),
        T(trap_22_what_others_wrote_since_the_crash_is_a_conflict),
        T(trap_22_a_batch_with_rows_of_an_unknown_table_is_settled_when_that_is_opened),
        T(what_is_saved_while_a_batch_is_under_way_is_written_after_it),
        T(trap_21_an_owner_that_was_taken_over_writes_nothing),
        T(the_table_of_journals_is_made_when_it_is_missing),
        T(no_failed_allocation_loses_or_repeats_a_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
