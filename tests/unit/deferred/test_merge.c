/*
 * test_merge.c -- a pending write meets a row that somebody else has changed: by each policy.
 */
#include "deferred/merge.h"
#include "unit/deferred/notes.h"

#include "base/alloc.h"

struct bench {
    struct tears_schema *schema;
    struct t3_arena arena;
    struct tears_error error;
    struct t3_record merged;
    bool is_done;
};

static int set_up(void **state)
{
    static struct bench bench;
    bench = (struct bench){.schema = notes_schema("notes", TEARS_ON_CONFLICT_UPDATE, true)};
    *state = &bench;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;
    tears_schema_free(bench->schema);
    t3_arena_done(&bench->arena);
    return 0;
}

/* {1, a, b}, version 5 or what is given; b as number, -1 NULL. */
static struct note note(int64_t a, int64_t b, int64_t version)
{
    return (struct note){true, {1, a, b, 9, FILLED_BY_DATABASE, version}};
}

static struct t3_record record_of(struct bench *bench, uint8_t kind, const struct note *mine,
                                  const struct note *before, uint64_t changed)
{
    uint64_t *bits = t3_arena_array(&bench->arena, 1, sizeof *bits);
    assert_non_null(bits);
    *bits = changed;
    return (struct t3_record){
        .id = 3,
        .seq = 4,
        .kind = kind,
        .has_base = kind != T3_RECORD_INSERT,
        .base = kind != T3_RECORD_INSERT ? 5 : 0,
        .row = note_row(bench->schema, mine, &bench->arena),
        .before = before != NULL ? note_row(bench->schema, before, &bench->arena) : NULL,
        .changed = bits};
}

static tears_status merge(struct bench *bench, const struct t3_merger *merger,
                          const struct t3_record *record, const struct note *theirs)
{
    const struct t3_row *row =
        theirs != NULL ? note_row(bench->schema, theirs, &bench->arena) : NULL;
    return t3_merge(bench->schema, merger, record, row, &bench->arena, &bench->merged,
                    &bench->is_done, &bench->error);
}

static int64_t merged_cell(struct bench *bench, uint32_t column)
{
    const struct tears_value value =
        t3_row_value(bench->merged.row, &bench->schema->layout, column);
    return note_number(&value);
}

enum { A = 1 << NOTE_A, B = 1 << NOTE_B, KEY = 1 << NOTE_ID, FIXED = 1 << NOTE_FIXED };

static const struct t3_merger rejecting = {.policy = TEARS_ON_STALE_REJECT};
static const struct t3_merger last_writer = {.policy = TEARS_ON_STALE_LAST_WRITER};
static const struct t3_merger merging = {.policy = TEARS_ON_STALE_MERGE};

static void reject_refuses_and_says_why(void **state)
{
    struct bench *bench = *state;
    const struct note mine = note(10, 20, 5);
    const struct note theirs = note(11, 20, 6);
    struct t3_record record = record_of(bench, T3_RECORD_UPDATE, &mine, NULL, A);
    assert_int_equal(merge(bench, &rejecting, &record, &theirs), TEARS_CONFLICT);
    assert_non_null(strstr(bench->error.message, "version 5"));
    assert_non_null(strstr(bench->error.message, "version 6"));
    /* the same value is no agreement: two that count to five have counted one of them twice */
    const struct note same = note(10, 20, 6);
    assert_int_equal(merge(bench, &rejecting, &record, &same), TEARS_CONFLICT);
    record = record_of(bench, T3_RECORD_INSERT, &mine, NULL, KEY | A);
    assert_int_equal(merge(bench, &rejecting, &record, &theirs), TEARS_CONFLICT);
    assert_non_null(strstr(bench->error.message, "exists already"));
    record = record_of(bench, T3_RECORD_DELETE, &mine, NULL, 0);
    assert_int_equal(merge(bench, &rejecting, &record, NULL), TEARS_OK);
    assert_true(bench->is_done);
}

static void the_last_writer_writes_what_it_changed_over_what_is_there(void **state)
{
    struct bench *bench = *state;
    const struct note mine = note(10, 20, 5);
    const struct note theirs = note(11, 21, 8);
    struct t3_record record = record_of(bench, T3_RECORD_UPDATE, &mine, NULL, A);
    assert_int_equal(merge(bench, &last_writer, &record, &theirs), TEARS_OK);
    assert_false(bench->is_done);
    assert_int_equal(bench->merged.kind, T3_RECORD_UPDATE);
    assert_true(bench->merged.has_base);
    assert_int_equal(bench->merged.base, 8);
    assert_int_equal(bench->merged.changed[0], A);
    assert_int_equal(merged_cell(bench, NOTE_A), 10);
    assert_int_equal(merged_cell(bench, NOTE_B), 21);
    /* an insert of a row that is there: its columns that may be updated */
    record = record_of(bench, T3_RECORD_INSERT, &mine, NULL, KEY | A | FIXED);
    assert_int_equal(merge(bench, &last_writer, &record, &theirs), TEARS_OK);
    assert_int_equal(bench->merged.kind, T3_RECORD_UPDATE);
    assert_int_equal(bench->merged.changed[0], A);
    /* nothing is left to do */
    const struct note same = note(10, 21, 8);
    assert_int_equal(merge(bench, &last_writer, &record, &same), TEARS_OK);
    assert_true(bench->is_done);
    record = record_of(bench, T3_RECORD_DELETE, &mine, NULL, 0);
    assert_int_equal(merge(bench, &last_writer, &record, &theirs), TEARS_OK);
    assert_int_equal(bench->merged.kind, T3_RECORD_DELETE);
    assert_false(bench->merged.has_base);
}

static void the_last_writer_inserts_a_row_that_is_gone(void **state)
{
    struct bench *bench = *state;
    const struct note mine = note(10, 20, 5);
    const struct t3_record record = record_of(bench, T3_RECORD_UPDATE, &mine, NULL, A);
    assert_int_equal(merge(bench, &last_writer, &record, NULL), TEARS_OK);
    assert_int_equal(bench->merged.kind, T3_RECORD_INSERT);
    assert_false(bench->merged.has_base);
    assert_int_equal(bench->merged.changed[0] & (KEY | A | B | FIXED), KEY | A | B | FIXED);
    assert_false(t3_record_changes(&bench->merged, NOTE_VERSION));
    assert_int_equal(merged_cell(bench, NOTE_VERSION), NOTE_UNSET);
}

static void columns_that_only_one_side_has_changed_are_put_together(void **state)
{
    struct bench *bench = *state;
    const struct note before = note(1, 2, 5);
    const struct note mine = note(10, 2, 5);
    const struct note theirs = note(1, 22, 6);
    const struct t3_record record = record_of(bench, T3_RECORD_UPDATE, &mine, &before, A);
    assert_int_equal(merge(bench, &merging, &record, &theirs), TEARS_OK);
    assert_int_equal(merged_cell(bench, NOTE_A), 10);
    assert_int_equal(merged_cell(bench, NOTE_B), 22);
    assert_int_equal(bench->merged.changed[0], A);
    assert_int_equal(bench->merged.base, 6);
    assert_non_null(bench->merged.before); /* it may be merged again */
    /* a column that is written as it was is theirs */
    const struct t3_record same = record_of(bench, T3_RECORD_UPDATE, &mine, &before, A | B);
    assert_int_equal(merge(bench, &merging, &same, &theirs), TEARS_OK);
    assert_int_equal(merged_cell(bench, NOTE_B), 22);
    assert_int_equal(bench->merged.changed[0], A);
    const struct note both = note(10, 22, 6);
    assert_int_equal(merge(bench, &merging, &record, &both), TEARS_OK);
    assert_true(bench->is_done);
}

static void columns_that_both_have_changed_are_refused_without_a_judge(void **state)
{
    struct bench *bench = *state;
    const struct note before = note(1, 2, 5);
    const struct note mine = note(10, 2, 5);
    const struct note theirs = note(11, 2, 6);
    const struct t3_record record = record_of(bench, T3_RECORD_UPDATE, &mine, &before, A);
    assert_int_equal(merge(bench, &merging, &record, &theirs), TEARS_CONFLICT);
    assert_non_null(strstr(bench->error.message, "'notes'"));
    assert_non_null(strstr(bench->error.message, "key 1"));
    assert_non_null(strstr(bench->error.message, "'a'"));
    assert_int_equal(merge(bench, &merging, &record, NULL), TEARS_CONFLICT);
    assert_non_null(strstr(bench->error.message, "gone"));
    const struct t3_record deletion = record_of(bench, T3_RECORD_DELETE, &mine, NULL, 0);
    assert_int_equal(merge(bench, &merging, &deletion, &theirs), TEARS_CONFLICT);
}

/* Adds what both have added; refuses numbers above 100; gives text for 50. */
static tears_status judge(void *owner, struct tears_str table,
                          const struct tears_merge_field *field, struct tears_value *value_out)
{
    int *asked = owner;
    (*asked)++;
    assert_int_equal(table.len, 5);
    assert_memory_equal(field->column.ptr, "a", 1);
    const int64_t sum = field->mine.as.integer + field->theirs.as.integer -
                        (field->before.kind == TEARS_KIND_INT ? field->before.as.integer : 0);
    *value_out = sum == 50 ? tears_text(TEARS_STR("fifty")) : tears_int(sum);
    return sum > 100 ? TEARS_CONFLICT : TEARS_OK;
}

static void a_judge_decides_what_both_have_changed(void **state)
{
    struct bench *bench = *state;
    int asked = 0;
    const struct t3_merger judged = {TEARS_ON_STALE_MERGE, judge, &asked};
    const struct note before = note(1, 2, 5);
    const struct note mine = note(11, 3, 5);
    struct note theirs = note(21, 2, 6);
    const struct t3_record record = record_of(bench, T3_RECORD_UPDATE, &mine, &before, A | B);
    assert_int_equal(merge(bench, &judged, &record, &theirs), TEARS_OK);
    assert_int_equal(asked, 1);
    assert_int_equal(merged_cell(bench, NOTE_A), 31);
    assert_int_equal(merged_cell(bench, NOTE_B), 3);
    theirs = note(200, 2, 6);
    assert_int_equal(merge(bench, &judged, &record, &theirs), TEARS_CONFLICT);
    assert_non_null(strstr(bench->error.message, "refused to decide"));
    theirs = note(40, 2, 6);
    assert_int_equal(merge(bench, &judged, &record, &theirs), TEARS_CONFLICT);
    assert_non_null(strstr(bench->error.message, "cannot hold"));
    /* of an insert, nothing is known of before */
    const struct t3_record insert = record_of(bench, T3_RECORD_INSERT, &mine, NULL, KEY | A);
    theirs = note(5, 2, 6);
    assert_int_equal(merge(bench, &judged, &insert, &theirs), TEARS_OK);
    assert_int_equal(merged_cell(bench, NOTE_A), 16);
    assert_int_equal(bench->merged.kind, T3_RECORD_UPDATE);
}

static void what_is_there_already_has_landed(void **state)
{
    struct bench *bench = *state;
    const struct tears_schema *schema = bench->schema;
    const struct note mine = note(10, 20, 5);
    const struct note there = note(10, 99, 6);
    const struct t3_row *row = note_row(schema, &there, &bench->arena);
    const struct t3_record update = record_of(bench, T3_RECORD_UPDATE, &mine, NULL, A);
    const struct t3_record both = record_of(bench, T3_RECORD_UPDATE, &mine, NULL, A | B);
    const struct t3_record deletion = record_of(bench, T3_RECORD_DELETE, &mine, NULL, 0);
    assert_true(t3_merge_is_landed(schema, &update, row));
    assert_false(t3_merge_is_landed(schema, &both, row));
    assert_false(t3_merge_is_landed(schema, &update, NULL));
    assert_true(t3_merge_is_landed(schema, &deletion, NULL));
    assert_false(t3_merge_is_landed(schema, &deletion, row));
}

static void without_memory_it_says_so(void **state)
{
    struct bench *bench = *state;
    const struct note before = note(1, 2, 5);
    const struct note mine = note(10, 2, 5);
    const struct note theirs = note(1, 22, 6);
    const struct t3_record record = record_of(bench, T3_RECORD_UPDATE, &mine, &before, A);
    const struct t3_row *row = note_row(bench->schema, &theirs, &bench->arena);
    tears_status status = TEARS_NO_MEMORY;
    for (uint64_t nth = 1; status == TEARS_NO_MEMORY; nth++) {
        struct t3_arena arena = {0};
        t3_alloc_fail_at(nth);
        status = t3_merge(bench->schema, &merging, &record, row, &arena, &bench->merged,
                          &bench->is_done, &bench->error);
        t3_alloc_fail_at(0);
        t3_arena_done(&arena);
    }
    assert_int_equal(status, TEARS_OK);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(reject_refuses_and_says_why),
        CASE(the_last_writer_writes_what_it_changed_over_what_is_there),
        CASE(the_last_writer_inserts_a_row_that_is_gone),
        CASE(columns_that_only_one_side_has_changed_are_put_together),
        CASE(columns_that_both_have_changed_are_refused_without_a_judge),
        CASE(a_judge_decides_what_both_have_changed),
        CASE(what_is_there_already_has_landed),
        CASE(without_memory_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
