/*
 * test_chaos_check.c -- the judge finds every kind of violation in histories made by hand, and none where there is none.
 */
#include "frames.h"
#include "history.h"

#include <tears/tears.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ITEMS_MAX = 32, KEY = 5 };

#define MS(ms) ((uint64_t)(ms)*1000000u)

/* A history under construction.  Times are milliseconds. */
struct story {
    struct chaos_change changes[ITEMS_MAX];
    size_t change_count;
    struct chaos_record records[ITEMS_MAX];
    const struct chaos_record *pointers[ITEMS_MAX];
    size_t record_count;
    uint32_t table;
};

static struct chaos_record *add_record(struct story *story, enum chaos_kind kind, uint64_t began,
                                       uint64_t ended)
{
    struct chaos_record *record = &story->records[story->record_count];
    story->pointers[story->record_count++] = record;
    record->state = CHAOS_DONE;
    record->kind = (uint8_t)kind;
    record->table = (uint8_t)story->table;
    record->key = KEY;
    record->began_ns = MS(began);
    record->ended_ns = MS(ended);
    record->session = 1000 + story->record_count; /* each its own */
    record->bound_ms = 1000;
    return record;
}

/* A change in the database at a time; its version is that of its place. */
static void add_change(struct story *story, int64_t stamp, uint64_t at)
{
    story->changes[story->change_count] = (struct chaos_change){
        .table = story->table,
        .key = KEY,
        .stamp = stamp,
        .version = (int64_t)story->change_count + 1,
        .at_ns = MS(at),
        .is_delete = stamp == 0,
    };
    story->change_count++;
}

/* An acknowledged write, in the log and in the database. */
static struct chaos_record *write_row(struct story *story, int64_t stamp, uint64_t began,
                                      uint64_t ended)
{
    struct chaos_record *record =
        add_record(story, stamp != 0 ? CHAOS_UPSERT : CHAOS_DELETE, began, ended);
    add_change(story, stamp, (began + ended) / 2);
    record->stamp = stamp;
    record->version = (int64_t)story->change_count;
    return record;
}

/* A read that gave the row of a stamp; 0: no row. */
static struct chaos_record *read_row(struct story *story, uint8_t level, int64_t stamp,
                                     uint64_t began)
{
    struct chaos_record *record = add_record(story, CHAOS_GET, began, began + 1);
    record->level = level;
    record->stamp = stamp;
    record->status = stamp != 0 ? TEARS_OK : TEARS_NOT_FOUND;
    for (size_t i = 0; i < story->change_count; i++)
        if (stamp != 0 && story->changes[i].stamp == stamp)
            record->version = story->changes[i].version;
    return record;
}

static void judge(const struct story *story, struct chaos_verdict *verdict)
{
    const struct chaos_evidence evidence = {
        .changes = story->changes,
        .change_count = story->change_count,
        .records = story->pointers,
        .record_count = story->record_count,
        .rules = {.lease_ms = 5000, .lag_ms = 15000, .slack_ms = 10},
    };
    chaos_history_free(chaos_judge(&evidence, verdict));
}

/* Exactly one violation, of this rule. */
static void expect(const struct story *story, enum chaos_rule rule)
{
    struct chaos_verdict verdict;
    judge(story, &verdict);
    for (int i = 0; i < CHAOS_RULES; i++)
        if (verdict.count[i] != (i == (int)rule))
            fail_msg("%llu x %s", (unsigned long long)verdict.count[i],
                     chaos_rule_text((enum chaos_rule)i));
}

static void expect_nothing(const struct story *story)
{
    expect(story, CHAOS_RULES);
}

/* ---- writes ---- */

static void a_lost_write_is_found(void **state)
{
    struct story story = {0};
    (void)state;
    write_row(&story, 11, 100, 110);
    expect_nothing(&story);
    struct chaos_record *lost = add_record(&story, CHAOS_UPDATE, 200, 210);
    lost->stamp = 12;
    lost->base = 11;
    expect(&story, CHAOS_RULE_LOST);
    lost->state = CHAOS_BEGUN; /* killed: nobody was told that it happened */
    expect_nothing(&story);
    lost->state = CHAOS_DONE;
    lost->status = TEARS_TIMEOUT;
    expect_nothing(&story);
}

static void a_lost_delete_is_found(void **state)
{
    struct story story = {0};
    (void)state;
    write_row(&story, 11, 100, 110);
    write_row(&story, 0, 200, 210);
    expect_nothing(&story);
    add_record(&story, CHAOS_DELETE, 300, 310); /* there is one delete, and this is another */
    expect(&story, CHAOS_RULE_LOST);
}

static void a_refused_write_that_happened_is_found(void **state)
{
    struct story story = {0};
    (void)state;
    write_row(&story, 11, 100, 110)->status = TEARS_CONFLICT;
    expect(&story, CHAOS_RULE_REFUSED);
}

static void an_update_over_another_row_is_found(void **state)
{
    struct story story = {0};
    (void)state;
    write_row(&story, 11, 100, 110);
    write_row(&story, 12, 120, 130);
    struct chaos_record *update = write_row(&story, 13, 140, 150);
    update->kind = CHAOS_UPDATE;
    update->base = 12;
    expect_nothing(&story);
    update->base = 11;
    expect(&story, CHAOS_RULE_OVERWROTE);
}

static void an_insert_over_a_row_is_found(void **state)
{
    struct story story = {0};
    (void)state;
    write_row(&story, 11, 100, 110);
    write_row(&story, 12, 120, 130)->kind = CHAOS_INSERT;
    expect(&story, CHAOS_RULE_OVERWROTE);
}

static void a_write_done_twice_is_found(void **state)
{
    struct story story = {0};
    (void)state;
    write_row(&story, 11, 100, 110);
    add_change(&story, 11, 108);
    expect(&story, CHAOS_RULE_TWICE);
}

/* ---- what cannot be read ---- */

static void a_phantom_is_found(void **state)
{
    struct story story = {0};
    (void)state;
    write_row(&story, 11, 100, 110);
    struct chaos_record *read = read_row(&story, TEARS_READ_ANY, 11, 200);
    expect_nothing(&story);
    read->version++; /* the row's content under another version */
    expect(&story, CHAOS_RULE_PHANTOM);
    read->version--;
    read->stamp = 99;
    expect(&story, CHAOS_RULE_PHANTOM);
    read->stamp = 11;
    read->key = KEY + 1; /* the right row, of another key */
    expect(&story, CHAOS_RULE_PHANTOM);
}

static void a_read_before_the_write_is_found(void **state)
{
    struct story story = {0};
    (void)state;
    write_row(&story, 11, 100, 110);
    read_row(&story, TEARS_READ_ANY, 11, 50);
    expect(&story, CHAOS_RULE_FUTURE);
}

/* ---- STRONG ---- */

static void a_strong_read_is_never_old(void **state)
{
    struct story story = {0};
    (void)state;
    write_row(&story, 11, 100, 110);
    write_row(&story, 12, 200, 210);
    struct chaos_record *read = read_row(&story, TEARS_READ_STRONG, 11, 209);
    expect_nothing(&story); /* it began before the write was acknowledged */
    read->began_ns = MS(211);
    read->ended_ns = MS(212);
    expect(&story, CHAOS_RULE_STRONG);
}

static void a_strong_read_is_not_older_than_what_anybody_saw(void **state)
{
    struct story story = {0};
    (void)state;
    write_row(&story, 11, 100, 110);
    write_row(&story, 12, 200, 210)->state = CHAOS_BEGUN; /* its writer was killed */
    read_row(&story, TEARS_READ_STRONG, 11, 230);
    expect_nothing(&story);
    read_row(&story, TEARS_READ_ANY, 12, 220);
    expect(&story, CHAOS_RULE_STRONG);
}

static void a_strong_read_of_a_deleted_row_is_found(void **state)
{
    struct story story = {0};
    (void)state;
    write_row(&story, 11, 100, 110);
    write_row(&story, 0, 200, 210);
    read_row(&story, TEARS_READ_STRONG, 0, 220);
    expect_nothing(&story);
    read_row(&story, TEARS_READ_STRONG, 11, 220);
    expect(&story, CHAOS_RULE_STRONG);
}

static void a_strong_read_that_misses_a_new_row_is_found(void **state)
{
    struct story story = {0};
    (void)state;
    write_row(&story, 11, 100, 110);
    read_row(&story, TEARS_READ_STRONG, 0, 120);
    expect(&story, CHAOS_RULE_STRONG);
}

/* ---- bounds ---- */

static void a_read_older_than_its_bound_is_found(void **state)
{
    struct story story = {0};
    (void)state;
    write_row(&story, 11, 100, 110);
    write_row(&story, 12, 200, 210);
    struct chaos_record *read = read_row(&story, TEARS_READ_ANY, 11, 1205);
    expect_nothing(&story);
    read->began_ns = MS(1230);
    read->ended_ns = MS(1231);
    expect(&story, CHAOS_RULE_BOUND);
    read->level = TEARS_READ_BOUNDED;
    expect(&story, CHAOS_RULE_BOUND);
    read->bound_ms = 5000;
    expect_nothing(&story);
    read->status = TEARS_UNAVAILABLE; /* no answer is no old answer */
    read->bound_ms = 1000;
    expect_nothing(&story);
}

static void an_old_absence_is_found(void **state)
{
    struct story story = {0};
    (void)state;
    write_row(&story, 11, 100, 110);
    struct chaos_record *read = read_row(&story, TEARS_READ_ANY, 0, 1200);
    expect(&story, CHAOS_RULE_BOUND);
    read->began_ns = MS(1100);
    read->ended_ns = MS(1101);
    expect_nothing(&story);
}

/* A killed writer's row of another table, read at a time that is too late for the bound alone. */
static void read_after_kill(struct story *story, uint32_t table, uint64_t began)
{
    *story = (struct story){.table = table};
    write_row(story, 11, 100, 110);
    write_row(story, 12, 200, 210)->state = CHAOS_BEGUN;
    read_row(story, TEARS_READ_ANY, 11, began);
}

static void a_killed_writer_excuses_for_as_long_as_promised(void **state)
{
    struct story story;
    (void)state;
    read_after_kill(&story, CHAOS_STRICT, 6000);
    expect_nothing(&story);
    read_after_kill(&story, CHAOS_STRICT, 6300); /* noted at 205, + lease + bound + slack */
    expect(&story, CHAOS_RULE_BOUND);
    read_after_kill(&story, CHAOS_OUTBOX, 16000);
    expect_nothing(&story);
    read_after_kill(&story, CHAOS_OUTBOX, 16300);
    expect(&story, CHAOS_RULE_BOUND);
    read_after_kill(&story, CHAOS_RELAXED, 100000);
    expect_nothing(&story);
    write_row(&story, 13, 300, 310); /* and only until the row is written again */
    expect(&story, CHAOS_RULE_BOUND);
}

static void a_degraded_write_excuses_as_a_killed_writer_does(void **state)
{
    struct story story = {.table = CHAOS_RELAXED};
    (void)state;
    write_row(&story, 11, 100, 110);
    struct chaos_record *write = write_row(&story, 12, 200, 210);
    write->degraded = TEARS_DEGRADED_L2_WRITE;
    read_row(&story, TEARS_READ_ANY, 11, 9000);
    expect_nothing(&story);
    write->degraded = TEARS_DEGRADED_NOTICE; /* the stream tells all the same */
    expect(&story, CHAOS_RULE_BOUND);
}

static void raw_sql_is_due_after_the_lag(void **state)
{
    struct story story = {.table = CHAOS_OUTBOX};
    (void)state;
    write_row(&story, 11, 100, 110);
    write_row(&story, 12, 200, 210)->kind = CHAOS_RAW;
    struct chaos_record *read = read_row(&story, TEARS_READ_ANY, 11, 9000);
    expect_nothing(&story);
    read->began_ns = MS(17000);
    read->ended_ns = MS(17001);
    expect(&story, CHAOS_RULE_BOUND);
}

/* ---- sessions ---- */

static void a_session_that_goes_back_is_found(void **state)
{
    struct story story = {0};
    (void)state;
    write_row(&story, 11, 100, 110);
    write_row(&story, 12, 120, 130);
    struct chaos_record *newer = read_row(&story, TEARS_READ_SESSION, 12, 140);
    struct chaos_record *older = read_row(&story, TEARS_READ_SESSION, 11, 150);
    expect_nothing(&story); /* two sessions */
    older->session = newer->session;
    expect(&story, CHAOS_RULE_WENT_BACK);
}

static void a_session_that_misses_its_own_write_is_found(void **state)
{
    struct story story = {0};
    (void)state;
    write_row(&story, 11, 100, 110);
    struct chaos_record *write = write_row(&story, 12, 120, 130);
    write->level = TEARS_READ_SESSION;
    read_row(&story, TEARS_READ_SESSION, 11, 140)->session = write->session;
    expect(&story, CHAOS_RULE_OWN_WRITE);
}

static void a_session_that_sees_what_it_deleted_is_found(void **state)
{
    struct story story = {0};
    (void)state;
    write_row(&story, 11, 100, 110);
    struct chaos_record *write = write_row(&story, 0, 120, 130);
    write->level = TEARS_READ_SESSION;
    struct chaos_record *read = read_row(&story, TEARS_READ_SESSION, 0, 140);
    read->session = write->session;
    expect_nothing(&story);
    read->stamp = 11;
    read->version = 1;
    read->status = TEARS_OK;
    expect(&story, CHAOS_RULE_OWN_WRITE);
}

static void a_token_carries_what_was_seen(void **state)
{
    struct story story = {0};
    (void)state;
    write_row(&story, 11, 100, 110);
    write_row(&story, 12, 120, 130);
    struct chaos_record *seen = read_row(&story, TEARS_READ_SESSION, 12, 140);
    struct chaos_record *token = add_record(&story, CHAOS_TOKEN, 150, 151);
    token->level = TEARS_READ_SESSION;
    token->session = seen->session;
    token->stamp = 77;
    struct chaos_record *follow = add_record(&story, CHAOS_FOLLOW, 160, 161);
    follow->level = TEARS_READ_SESSION;
    follow->stamp = 77;
    struct chaos_record *read = read_row(&story, TEARS_READ_SESSION, 11, 170);
    expect_nothing(&story);
    read->session = follow->session;
    expect(&story, CHAOS_RULE_WENT_BACK);
    follow->status = TEARS_INVALID;
    expect_nothing(&story);
}

static void an_absence_is_taken_for_the_one_that_fits(void **state)
{
    struct story story = {0};
    (void)state;
    write_row(&story, 11, 100, 110);
    write_row(&story, 0, 120, 130);
    write_row(&story, 12, 140, 150);
    write_row(&story, 0, 160, 170);
    struct chaos_record *row = read_row(&story, TEARS_READ_SESSION, 12, 155);
    struct chaos_record *none = read_row(&story, TEARS_READ_SESSION, 0, 180);
    none->session = row->session; /* the second absence, after the second row */
    expect_nothing(&story);
    none->began_ns = none->ended_ns =
        MS(147); /* before the second absence there is only the first */
    row->began_ns = MS(141);
    row->ended_ns = MS(142);
    expect(&story, CHAOS_RULE_WENT_BACK);
}

/* ---- rest ---- */

static void a_cache_that_differs_at_rest_is_found(void **state)
{
    struct story story = {.table = CHAOS_RELAXED};
    (void)state;
    write_row(&story, 11, 100, 110);
    struct chaos_record *last = write_row(&story, 12, 200, 210);
    struct chaos_record *read = read_row(&story, TEARS_READ_ANY, 12, 90000);
    read->kind = CHAOS_FINAL;
    expect_nothing(&story);
    read->stamp = 11;
    read->version = 1;
    expect(&story, CHAOS_RULE_NOT_EQUAL);
    last->state = CHAOS_BEGUN; /* killed, in a relaxed table: nobody was told */
    expect_nothing(&story);
    read->status = TEARS_TIMEOUT;
    expect(&story, CHAOS_RULE_UNANSWERED);
}

static void an_audit_that_differs_from_the_table_is_found(void **state)
{
    struct story story = {0};
    struct chaos_verdict verdict;
    const struct chaos_row rows[] = {{0, KEY, 11}};
    (void)state;
    write_row(&story, 11, 100, 110);
    struct chaos_evidence evidence = {
        .changes = story.changes,
        .change_count = story.change_count,
        .rows = rows,
        .row_count = 1,
        .has_rows = true,
        .records = story.pointers,
        .record_count = story.record_count,
    };
    chaos_history_free(chaos_judge(&evidence, &verdict));
    assert_int_equal(verdict.total, 0);
    evidence.row_count = 0;
    chaos_history_free(chaos_judge(&evidence, &verdict));
    assert_int_equal(verdict.count[CHAOS_RULE_HARNESS], 1);
}

static void staleness_is_measured(void **state)
{
    struct story story = {0};
    struct chaos_verdict verdict;
    (void)state;
    write_row(&story, 11, 100, 110);
    write_row(&story, 12, 200, 210);
    read_row(&story, TEARS_READ_ANY, 12, 300);
    read_row(&story, TEARS_READ_ANY, 11, 250);
    judge(&story, &verdict);
    assert_int_equal(verdict.figures.any_reads, 2);
    assert_int_equal(verdict.figures.any_stale, 1);
    assert_true(verdict.figures.any_ms_max > 39.9 && verdict.figures.any_ms_max < 40.1);
}

/* ---- the proxy's frames ---- */

static void frames_end_where_messages_end(void **state)
{
    static const char sent[] = "INFO {\"x\":1}\r\n"
                               "MSG threetears.cache.invalidate 3 5\r\nhello\r\n"
                               "HMSG $KV.b.t.1 4 _R.1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"
                               "MSG _INBOX.a 1 0\r\n\r\nPING\r\n";
    static const enum chaos_frame_kind kinds[] = {CHAOS_FRAME_CONTROL, CHAOS_FRAME_NOTICE,
                                                  CHAOS_FRAME_STREAM, CHAOS_FRAME_REPLY,
                                                  CHAOS_FRAME_CONTROL};
    size_t at = 0;
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct chaos_frame frame;
        assert_int_equal(chaos_frame_read(sent + at, sizeof sent - 1 - at, &frame), 1);
        assert_int_equal(frame.kind, kinds[i]);
        for (size_t cut = 0; cut < frame.length; cut++) { /* a part of it is not enough */
            struct chaos_frame part;
            assert_int_equal(chaos_frame_read(sent + at, cut, &part), 0);
        }
        at += frame.length;
    }
    assert_int_equal(at, sizeof sent - 1);
}

static void what_is_no_frame_is_refused(void **state)
{
    struct chaos_frame frame;
    (void)state;
    assert_int_equal(chaos_frame_read("MSG a 1 x\r\n", 11, &frame), -1);
    assert_int_equal(chaos_frame_read("MSG a\r\n", 7, &frame), -1);
    assert_int_equal(chaos_frame_read("MSG a 1 99999999999\r\n", 21, &frame), -1);
    char *line = calloc(1, CHAOS_LINE_MAX + 1);
    assert_non_null(line);
    memset(line, 'a', CHAOS_LINE_MAX);
    assert_int_equal(chaos_frame_read(line, CHAOS_LINE_MAX, &frame), -1);
    free(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lost_write_is_found),
        cmocka_unit_test(a_lost_delete_is_found),
        cmocka_unit_test(a_refused_write_that_happened_is_found),
        cmocka_unit_test(an_update_over_another_row_is_found),
        cmocka_unit_test(an_insert_over_a_row_is_found),
        cmocka_unit_test(a_write_done_twice_is_found),
        cmocka_unit_test(a_phantom_is_found),
        cmocka_unit_test(a_read_before_the_write_is_found),
        cmocka_unit_test(a_strong_read_is_never_old),
        cmocka_unit_test(a_strong_read_is_not_older_than_what_anybody_saw),
        cmocka_unit_test(a_strong_read_of_a_deleted_row_is_found),
        cmocka_unit_test(a_strong_read_that_misses_a_new_row_is_found),
        cmocka_unit_test(a_read_older_than_its_bound_is_found),
        cmocka_unit_test(an_old_absence_is_found),
        cmocka_unit_test(a_killed_writer_excuses_for_as_long_as_promised),
        cmocka_unit_test(a_degraded_write_excuses_as_a_killed_writer_does),
        cmocka_unit_test(raw_sql_is_due_after_the_lag),
        cmocka_unit_test(a_session_that_goes_back_is_found),
        cmocka_unit_test(a_session_that_misses_its_own_write_is_found),
        cmocka_unit_test(a_session_that_sees_what_it_deleted_is_found),
        cmocka_unit_test(a_token_carries_what_was_seen),
        cmocka_unit_test(an_absence_is_taken_for_the_one_that_fits),
        cmocka_unit_test(a_cache_that_differs_at_rest_is_found),
        cmocka_unit_test(an_audit_that_differs_from_the_table_is_found),
        cmocka_unit_test(staleness_is_measured),
        cmocka_unit_test(frames_end_where_messages_end),
        cmocka_unit_test(what_is_no_frame_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
