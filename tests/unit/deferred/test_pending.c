/*
 * test_pending.c -- what is pending: what a save promises, what a landing leaves, limits, tables that have changed, dead letters.
 */
#include "unit/deferred/log_fixture.h"

#include "base/thread.h"
#include "driver/lite.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

static int set_up(void **state)
{
    static struct log_fixture log;
    log_make(&log, TEARS_DURABLE_NORMAL);
    log_open(&log);
    *state = &log;
    return 0;
}

static int tear_down(void **state)
{
    log_remove(*state);
    return 0;
}

static void again(struct log_fixture *log)
{
    log_close(log);
    log_open(log);
}

/* ---- writes and flights ---------------------------------------------------------------------------- */

static void what_was_saved_is_read_and_outlives_the_process(void **state)
{
    struct log_fixture *log = *state;
    assert_true(t3_pending_is_empty(log->notes));
    (void)log_save(log, (struct log_write){.kind = T3_RECORD_INSERT, .id = 1, .a = 10});
    (void)log_save(log, (struct log_write){.kind = T3_RECORD_UPSERT, .id = 2, .a = 20});
    (void)log_save(
        log, (struct log_write){.kind = T3_RECORD_DELETE, .id = 3, .has_base = true, .base = 4});
    for (int i = 0; i < 2; i++) {
        assert_false(t3_pending_is_empty(log->notes));
        assert_int_equal(log_read(log, 1), 10);
        assert_int_equal(log_read(log, 2), 20);
        assert_int_equal(log_read(log, 3), -2);
        assert_int_equal(log_read(log, 4), NOTE_UNSET);
        assert_int_equal(log_stats(log).rows, 3);
        again(log);
    }
}

static void trap_17_a_write_made_during_a_flight_outlives_the_landing(void **state)
{
    struct log_fixture *log = *state;
    struct t3_pending_item *items;
    struct tears_value values[1];
    (void)log_save(log, (struct log_write){.kind = T3_RECORD_INSERT, .id = 1, .a = 10});
    assert_int_equal(log_collect(log, &items), 1);
    const uint64_t batch = log_fly(log, items, 1);
    (void)log_save(log, (struct log_write){.kind = T3_RECORD_UPDATE, .id = 1, .a = 11});
    assert_int_equal(log_read(log, 1), 11);
    values[0] = t3_row_value(items[0].record.row, &log->schema->layout, NOTE_A);
    assert_int_equal(values[0].as.integer, 10); /* what is on its way has not moved */
    const struct note landed = {true, {1, 10, NOTE_UNSET, NOTE_UNSET, FILLED_BY_DATABASE, 1}};
    log_end(log, batch, &items[0], T3_FATE_LANDED, &landed);
    for (int i = 0; i < 2; i++) { /* in memory, and in the file */
        assert_int_equal(log_read(log, 1), 11);
        assert_int_equal(log_collect(log, &items), 1);
        assert_int_equal(items[0].record.kind, T3_RECORD_UPDATE);
        assert_false(items[0].record.follows);
        assert_true(t3_record_changes(&items[0].record, NOTE_A));
        assert_false(t3_record_changes(&items[0].record, NOTE_FILLED));
        values[0] = t3_row_value(items[0].record.row, &log->schema->layout, NOTE_FILLED);
        assert_int_equal(values[0].as.integer, FILLED_BY_DATABASE);
        again(log);
    }
}

static void trap_17_a_landing_of_an_older_number_leaves_the_record(void **state)
{
    struct log_fixture *log = *state;
    struct t3_pending_item *items;
    (void)log_save(log, (struct log_write){.kind = T3_RECORD_INSERT, .id = 1, .a = 10});
    assert_int_equal(log_collect(log, &items), 1);
    const struct t3_pending_item old = items[0];
    t3_pending_release(log->pending);
    (void)log_save(log, (struct log_write){.kind = T3_RECORD_UPDATE, .id = 1, .a = 11});
    assert_int_equal(log_stats(log).rows, 1); /* the same record, of a new number */
    log_end(log, 0, &old, T3_FATE_LANDED, NULL);
    assert_int_equal(log_read(log, 1), 11);
    again(log);
    assert_int_equal(log_read(log, 1), 11);
}

static tears_status update_status(struct log_fixture *log, struct log_write write)
{
    struct t3_pending_outcome outcome;
    write.kind = T3_RECORD_UPDATE;
    log_check(log, log_save_in(log, log->notes, &write, &outcome));
    if (outcome.status == TEARS_CONFLICT)
        assert_non_null(outcome.row);
    return outcome.status;
}

static void trap_20_a_write_of_a_row_that_is_not_the_latest_is_refused(void **state)
{
    struct log_fixture *log = *state;
    const struct log_write first = {
        .kind = T3_RECORD_UPDATE, .id = 1, .a = 10, .has_base = true, .base = 5};
    const uint64_t seq = log_save(log, first);
    /* another writer read version 5, too */
    assert_int_equal(
        update_status(log, (struct log_write){.id = 1, .a = 20, .has_base = true, .base = 5}),
        TEARS_CONFLICT);
    /* one that has read the pending row may write; then its own reading is old */
    assert_int_equal(update_status(log, (struct log_write){.id = 1, .a = 30, .seq = seq}),
                     TEARS_OK);
    assert_int_equal(update_status(log, (struct log_write){.id = 1, .a = 40, .seq = seq}),
                     TEARS_CONFLICT);
    assert_int_equal(log_read(log, 1), 30);
    struct t3_pending_item *items;
    assert_int_equal(log_collect(log, &items), 1);
    assert_true(items[0].record.has_base); /* and the first one's base goes to L3 */
    assert_int_equal(items[0].record.base, 5);
}

static void a_row_that_was_read_while_pending_can_be_written_after_it_has_landed(void **state)
{
    struct log_fixture *log = *state;
    struct t3_pending_item *items;
    const uint64_t seq =
        log_save(log, (struct log_write){.kind = T3_RECORD_INSERT, .id = 1, .a = 10});
    assert_int_equal(log_collect(log, &items), 1);
    const struct note landed = {true, {1, 10, NOTE_UNSET, NOTE_UNSET, FILLED_BY_DATABASE, 8}};
    log_end(log, 0, &items[0], T3_FATE_LANDED, &landed);
    assert_true(t3_pending_is_empty(log->notes));
    assert_int_equal(update_status(log, (struct log_write){.id = 1, .a = 20, .seq = seq}),
                     TEARS_OK);
    assert_int_equal(log_collect(log, &items), 1);
    assert_true(items[0].record.has_base);
    assert_int_equal(items[0].record.base, 8);
    const struct tears_value version =
        t3_row_value(items[0].record.row, &log->schema->layout, NOTE_VERSION);
    assert_int_equal(version.as.integer, 8);
    /* what nobody remembers is refused */
    const struct log_write unknown = {.kind = T3_RECORD_UPDATE, .id = 2, .a = 1, .seq = 999};
    struct t3_pending_outcome outcome;
    log_check(log, log_save_in(log, log->notes, &unknown, &outcome));
    assert_int_equal(outcome.status, TEARS_CONFLICT);
}

/* What the database has filled in is not in the row that was read; to set it to what it seemed to be is a change. */
static void what_only_the_database_knew_can_be_cleared_after_the_landing(void **state)
{
    struct log_fixture *log = *state;
    struct t3_pending_item *items;
    struct tears_value storage;
    struct t3_pending_outcome outcome;
    const uint64_t seq =
        log_save(log, (struct log_write){.kind = T3_RECORD_INSERT, .id = 1, .a = 10});
    assert_int_equal(log_collect(log, &items), 1);
    const struct note landed = {true, {1, 10, NOTE_UNSET, NOTE_UNSET, FILLED_BY_DATABASE, 8}};
    const struct note as_read = {true, {1, 10, NOTE_UNSET, NOTE_UNSET, NOTE_UNSET, NOTE_UNSET}};
    log_end(log, 0, &items[0], T3_FATE_LANDED, &landed);
    const struct t3_key key = note_key(log->schema, 1, &storage);
    const struct t3_cell cell = {NOTE_FILLED, tears_null()};
    const struct t3_defer defer = {.kind = T3_RECORD_UPDATE,
                                   .key = &key,
                                   .cells = &cell,
                                   .cell_count = 1,
                                   .pending_seq = seq,
                                   .from = note_row(log->schema, &as_read, &log->arena)};
    log_check(
        log, t3_pending_save(log->notes, &defer, 1, &log->arena, log_never, &outcome, &log->error));
    assert_int_equal(outcome.status, TEARS_OK);
    assert_int_equal(log_collect(log, &items), 1);
    assert_true(t3_record_changes(&items[0].record, NOTE_FILLED));
}

static void the_last_65536_landings_are_remembered(void **state)
{
    struct log_fixture *log = *state;
    static uint64_t seqs[65537];
    log_close(log);
    log->durability = TEARS_DURABLE_NONE;
    log_open(log);
    for (int64_t id = 0; id < 65537; id++) {
        struct t3_pending_item *items;
        seqs[id] = log_save(log, (struct log_write){.kind = T3_RECORD_INSERT, .id = id, .a = 1});
        assert_int_equal(log_collect(log, &items), 1);
        const struct note landed = {true, {id, 1, NOTE_UNSET, NOTE_UNSET, 0, id + 7}};
        log_end(log, 0, &items[0], T3_FATE_LANDED, &landed);
        t3_arena_reset(&log->arena);
    }
    for (int64_t id = 0; id < 65537; id++) {
        struct tears_value storage;
        int64_t version = 0;
        const struct t3_key key = note_key(log->schema, id, &storage);
        assert_int_equal(t3_pending_landed(log->notes, &key, seqs[id], &version), id > 0);
        assert_int_equal(version, id > 0 ? id + 7 : 0);
        assert_false(t3_pending_landed(log->notes, &key, seqs[(id + 1) % 65537], &version));
    }
}

static void a_thousand_writes_of_one_row_are_one_record(void **state)
{
    struct log_fixture *log = *state;
    for (int64_t i = 0; i < 1000; i++)
        (void)log_save(log, (struct log_write){.kind = T3_RECORD_UPSERT, .id = 1, .a = i});
    struct t3_pending_item *items;
    assert_int_equal(log_collect(log, &items), 1);
    assert_int_equal(log_read(log, 1), 999);
    assert_int_equal(log_stats(log).coalesced, 999);
}

static void what_follows_a_parked_row_is_joined_to_it(void **state)
{
    struct log_fixture *log = *state;
    struct t3_pending_item *items;
    (void)log_save(log, (struct log_write){.kind = T3_RECORD_INSERT, .id = 1, .a = 10});
    assert_int_equal(log_collect(log, &items), 1);
    const uint64_t batch = log_fly(log, items, 1);
    (void)log_save(log, (struct log_write){.kind = T3_RECORD_UPDATE, .id = 1, .a = 11});
    assert_int_equal(log_stats(log).rows, 2);
    log_end(log, batch, &items[0], T3_FATE_PARKED, NULL);
    assert_int_equal(log_stats(log).rows, 1);
    assert_int_equal(log_stats(log).parked, 1);
    assert_int_equal(log_collect(log, &items), 0);
    /* a write of it may be what makes it fit */
    (void)log_save(log, (struct log_write){.kind = T3_RECORD_UPDATE, .id = 1, .a = 12});
    assert_int_equal(log_stats(log).parked, 0);
    assert_int_equal(log_collect(log, &items), 1);
    assert_int_equal(items[0].record.kind, T3_RECORD_INSERT);
}

static struct tears_schema *child_schema(void)
{
    const struct tears_column_def columns[] = {
        {.name = TEARS_STR("id"), .type = TEARS_TYPE_BIGINT},
        {.name = TEARS_STR("a"),
         .type = TEARS_TYPE_BIGINT,
         .nullable = true,
         .references_table = TEARS_STR("notes"),
         .references_column = TEARS_STR("id")},
        {.name = TEARS_STR("date_created"), .type = TEARS_TYPE_TIMESTAMPTZ},
    };
    const struct tears_str key = TEARS_STR("id");
    const struct tears_schema_def def = {.name = TEARS_STR("children"),
                                         .columns = columns,
                                         .column_count = 3,
                                         .primary_key = &key,
                                         .primary_key_count = 1};
    struct tears_schema *schema = NULL;
    assert_int_equal(tears_schema_new(&def, &schema, NULL), TEARS_OK);
    return schema;
}

/* Saves {id, a} in a table without the other columns of a note. */
static void save_child(struct log_fixture *log, struct t3_pending_table *children, int64_t id,
                       struct t3_pending_outcome *outcome)
{
    struct tears_value storage;
    const struct t3_key key = note_key(t3_pending_schema(children), id, &storage);
    const struct t3_cell cells[] = {{0, tears_int(id)}, {1, tears_int(7)}};
    const struct t3_defer defer = {
        .kind = T3_RECORD_INSERT, .key = &key, .cells = cells, .cell_count = 2};
    log_check(log,
              t3_pending_save(children, &defer, 1, &log->arena, log_never, outcome, &log->error));
    assert_int_equal(outcome->status, TEARS_OK);
}

static void parked_rows_wait_for_the_table_they_refer_to(void **state)
{
    struct log_fixture *log = *state;
    struct t3_pending_item *items;
    struct t3_pending_outcome outcome;
    struct tears_schema *schema = child_schema();
    struct t3_pending_table *children = log_table(log, schema);
    save_child(log, children, 1, &outcome);
    assert_int_equal(log_collect(log, &items), 1);
    const struct t3_pending_end end = {.ref = {items[0].record.id, items[0].record.seq},
                                       .table = children,
                                       .fate = T3_FATE_PARKED};
    log_check(log, t3_pending_end(log->pending, 0, &end, 1, log_never, &log->error));
    assert_int_equal(log_collect(log, &items), 0);
    t3_pending_unpark(log->pending, children);
    assert_int_equal(log_collect(log, &items), 0);
    t3_pending_unpark(log->pending, log->notes);
    assert_int_equal(log_collect(log, &items), 1);
    log_close(log);
    tears_schema_free(schema);
}

/* Two threads may open a collection at once: the schema of the one that was slower goes. */
static void a_table_keeps_its_schema(void **state)
{
    struct log_fixture *log = *state;
    struct t3_pending_outcome outcome;
    struct tears_schema *schema = child_schema();
    struct t3_pending_table *children = log_table(log, schema);
    assert_int_equal(atomic_load(&schema->references), 2);
    tears_schema_free(schema);
    save_child(log, children, 1, &outcome);
    assert_false(t3_pending_is_empty(children));
}

static void an_insert_has_the_time_it_was_made_at(void **state)
{
    struct log_fixture *log = *state;
    struct t3_pending_outcome outcome;
    struct tears_schema *schema = child_schema();
    struct t3_pending_table *children = log_table(log, schema);
    const int64_t before = t3_calendar_us();
    save_child(log, children, 1, &outcome);
    const struct tears_value created = t3_row_value(outcome.row, &schema->layout, 2);
    assert_int_equal(created.kind, TEARS_KIND_TIMESTAMP);
    assert_in_range(created.as.integer, before, t3_calendar_us());
    struct t3_pending_item *items;
    assert_int_equal(log_collect(log, &items), 1);
    assert_true(t3_record_changes(&items[0].record, 2));
    log_close(log);
    tears_schema_free(schema);
}

/* ---- limits ---------------------------------------------------------------------------------------- */

static void a_full_log_takes_no_new_rows_but_changes_old_ones(void **state)
{
    struct log_fixture *log = *state;
    struct t3_pending_outcome outcome;
    log_close(log);
    log->limits.rows_max = 2;
    log_open(log);
    (void)log_save(log, (struct log_write){.kind = T3_RECORD_INSERT, .id = 1, .a = 1});
    (void)log_save(log, (struct log_write){.kind = T3_RECORD_INSERT, .id = 2, .a = 2});
    const struct log_write third = {.kind = T3_RECORD_INSERT, .id = 3, .a = 3};
    assert_int_equal(log_save_in(log, log->notes, &third, &outcome), TEARS_LIMIT);
    assert_int_equal(log->error.detail, 0);
    assert_non_null(strstr(log->error.message, "the limit is 2"));
    assert_int_equal(log_read(log, 3), NOTE_UNSET);
    (void)log_save(log, (struct log_write){.kind = T3_RECORD_UPDATE, .id = 2, .a = 22});
    assert_int_equal(log_read(log, 2), 22);
    assert_int_equal(t3_pending_wait_for_room(log->pending, 1, 100, t3_deadline_in_ms(20)),
                     TEARS_TIMEOUT);
    assert_int_equal(t3_pending_wait_for_room(log->pending, 3, 100, log_never), TEARS_LIMIT);
}

static void a_caller_whose_writes_do_not_fit_saves_none_of_them(void **state)
{
    struct log_fixture *log = *state;
    struct t3_pending_outcome outcomes[3];
    struct t3_defer defers[3];
    struct t3_key keys[3];
    struct tears_value storage[3];
    struct t3_cell cells[3][2];
    log_close(log);
    log->limits.rows_max = 2;
    log_open(log);
    (void)log_save(log, (struct log_write){.kind = T3_RECORD_UPSERT, .id = 0, .a = 7});
    for (size_t i = 0; i < 3; i++) {
        keys[i] = note_key(log->schema, (int64_t)i, &storage[i]);
        cells[i][0] = (struct t3_cell){NOTE_ID, tears_int((int64_t)i)};
        cells[i][1] = (struct t3_cell){NOTE_A, tears_int(8)};
        defers[i] = (struct t3_defer){
            .kind = T3_RECORD_UPSERT, .key = &keys[i], .cells = cells[i], .cell_count = 2};
    }
    assert_int_equal(
        t3_pending_save(log->notes, defers, 3, &log->arena, log_never, outcomes, &log->error),
        TEARS_LIMIT);
    assert_int_equal(log_read(log, 0), 7);
    assert_int_equal(log_read(log, 1), NOTE_UNSET);
    log_check(
        log, t3_pending_save(log->notes, defers, 2, &log->arena, log_never, outcomes, &log->error));
    assert_int_equal(log_read(log, 0), 8);
    assert_int_equal(log_read(log, 1), 8);
}

static void *land_soon(void *owner)
{
    struct log_fixture *log = owner;
    struct t3_pending_item *items;
    const struct note landed = {true, {1, 1, NOTE_UNSET, NOTE_UNSET, 0, 1}};
    t3_pause_us(20000);
    assert_int_equal(log_collect(log, &items), 1);
    log_end(log, 0, &items[0], T3_FATE_LANDED, &landed);
    return NULL;
}

static void who_waits_for_room_is_told_of_a_landing(void **state)
{
    struct log_fixture *log = *state;
    struct t3_thread thread = {0};
    log_close(log);
    log->limits.rows_max = 1;
    log_open(log);
    (void)log_save(log, (struct log_write){.kind = T3_RECORD_INSERT, .id = 1, .a = 1});
    assert_int_equal(t3_thread_start(&thread, land_soon, log), TEARS_OK);
    assert_int_equal(t3_pending_wait_for_room(log->pending, 1, 0, t3_deadline_in_ms(20000)),
                     TEARS_OK);
    t3_thread_join(&thread);
    (void)log_save(log, (struct log_write){.kind = T3_RECORD_INSERT, .id = 2, .a = 1});
}

static void count_wake(void *owner)
{
    (*(int *)owner)++;
}

static void a_flush_is_asked_for_when_enough_is_pending(void **state)
{
    struct log_fixture *log = *state;
    int wakes = 0;
    log_close(log);
    log->limits.flush_rows = 2;
    log->wake = count_wake;
    log->owner = &wakes;
    log_open(log);
    (void)log_save(log, (struct log_write){.kind = T3_RECORD_INSERT, .id = 1, .a = 1});
    assert_int_equal(wakes, 0);
    (void)log_save(log, (struct log_write){.kind = T3_RECORD_INSERT, .id = 2, .a = 1});
    assert_true(wakes > 0);
    log_close(log);
    log->limits = (struct t3_pending_limits){.flush_age_ms = 5000};
    log_open(log);
    wakes = 0;
    (void)log_save(log, (struct log_write){.kind = T3_RECORD_INSERT, .id = 3, .a = 1});
    assert_int_equal(wakes, 0);
    t3_calendar_shift_us(6000000);
    (void)log_save(log, (struct log_write){.kind = T3_RECORD_INSERT, .id = 4, .a = 1});
    t3_calendar_shift_us(0);
    assert_true(wakes > 0);
}

/* A disk that is full saves nothing, and shows nothing; when there is room again, all goes on. */
static void a_save_that_the_disk_refuses_has_not_happened(void **state)
{
    struct log_fixture *log = *state;
    struct t3_pending_outcome outcome = {.seq = 77};
    struct rlimit old;
    struct sigaction before;
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)log_save(log, (struct log_write){.kind = T3_RECORD_INSERT, .id = 1, .a = 1});
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(sigaction(SIGXFSZ, &ignore, &before), 0);
    const struct rlimit small = {.rlim_cur = 100000, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    tears_status status = TEARS_OK;
    int64_t id = 2;
    for (; status == TEARS_OK && id < 5000; id++)
        status =
            log_save_in(log, log->notes,
                        &(struct log_write){.kind = T3_RECORD_INSERT, .id = id, .a = 1}, &outcome);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(sigaction(SIGXFSZ, &before, NULL), 0);
    assert_int_equal(status, TEARS_LIMIT);
    assert_int_equal(log_read(log, id - 1), NOTE_UNSET);
    assert_int_equal(log_stats(log).rows, id - 2);
    (void)log_save(log, (struct log_write){.kind = T3_RECORD_INSERT, .id = id - 1, .a = 9});
    again(log);
    assert_int_equal(log_read(log, id - 1), 9);
    assert_int_equal(log_stats(log).rows, id - 1);
}

/* ---- memory ------------------------------------------------------------------------------------------ */

static void a_save_without_memory_has_not_happened(void **state)
{
    struct log_fixture *log = *state;
    uint64_t rows = 0;
    tears_status status;
    (void)log_save(log, (struct log_write){.kind = T3_RECORD_INSERT, .id = 1, .a = 1});
    for (uint64_t nth = 1;; nth++) {
        struct t3_pending_outcome outcome;
        const struct log_write write = {.kind = T3_RECORD_INSERT, .id = 2, .a = 2};
        rows = log_stats(log).rows;
        t3_alloc_fail_at(nth);
        status = log_save_in(log, log->notes, &write, &outcome);
        t3_alloc_fail_at(0);
        if (status != TEARS_NO_MEMORY)
            break;
        assert_int_equal(log_stats(log).rows, rows);
        assert_int_equal(log_read(log, 2), NOTE_UNSET);
    }
    assert_int_equal(status, TEARS_OK);
    assert_int_equal(log_read(log, 2), 2);
    again(log);
    assert_int_equal(log_stats(log).rows, 2);
}

static void an_end_without_memory_has_not_happened(void **state)
{
    struct log_fixture *log = *state;
    struct t3_pending_item *items;
    (void)log_save(log, (struct log_write){.kind = T3_RECORD_INSERT, .id = 1, .a = 1});
    assert_int_equal(log_collect(log, &items), 1);
    const uint64_t batch = log_fly(log, items, 1);
    (void)log_save(log, (struct log_write){.kind = T3_RECORD_UPDATE, .id = 1, .a = 2});
    const struct note landed = {true, {1, 1, NOTE_UNSET, NOTE_UNSET, 0, 1}};
    tears_status status = TEARS_NO_MEMORY;
    for (uint64_t nth = 1; status == TEARS_NO_MEMORY; nth++) {
        assert_int_equal(log_stats(log).in_flight, 1);
        assert_int_equal(log_stats(log).rows, 2);
        t3_alloc_fail_at(nth);
        status = log_try_end(log, batch, &items[0], T3_FATE_LANDED, &landed);
        t3_alloc_fail_at(0);
    }
    log_check(log, status);
    assert_int_equal(log_stats(log).rows, 1);
    assert_int_equal(log_read(log, 1), 2);
}

/* ---- tables that have changed ------------------------------------------------------------------------- */

/* notes with other columns: `gone` of the two that may go, and one that is new. */
static struct tears_schema *changed_schema(uint32_t gone)
{
    struct tears_column_def columns[NOTE_COLUMNS];
    size_t count = 0;
    for (uint32_t i = 0; i < NOTE_COLUMNS; i++) {
        struct tears_column_info info;
        struct tears_schema *old = notes_schema("notes", TEARS_ON_CONFLICT_UPDATE, true);
        assert_int_equal(tears_schema_column(old, i, &info), TEARS_OK);
        static char names[NOTE_COLUMNS][16];
        (void)snprintf(names[i], sizeof names[i], "%.*s", (int)info.name.len, info.name.ptr);
        if (i != gone)
            columns[count++] = (struct tears_column_def){
                .name = tears_str_c(names[i]), .type = info.type, .nullable = info.nullable};
        tears_schema_free(old);
    }
    columns[count++] = (struct tears_column_def){
        .name = TEARS_STR("new"), .type = TEARS_TYPE_STRING, .nullable = true};
    const struct tears_str key = TEARS_STR("id");
    const struct tears_schema_def def = {.name = TEARS_STR("notes"),
                                         .columns = columns,
                                         .column_count = count,
                                         .primary_key = &key,
                                         .primary_key_count = 1,
                                         .version_column = TEARS_STR("version")};
    struct tears_schema *schema = NULL;
    assert_int_equal(tears_schema_new(&def, &schema, NULL), TEARS_OK);
    return schema;
}

static void records_of_a_table_that_has_changed_are_records_of_what_it_is(void **state)
{
    struct log_fixture *log = *state;
    for (int64_t id = 1; id <= 5000; id++)
        (void)log_save(log, (struct log_write){.kind = T3_RECORD_INSERT, .id = id, .a = id});
    log_close(log);
    tears_schema_free(log->schema);
    log->schema = changed_schema(NOTE_B); /* none of the writes has it */
    for (int i = 0; i < 2; i++) {
        log_open(log);
        struct t3_journal_stats stats;
        t3_journal_stats(log->journal, &stats);
        assert_int_equal(stats.dead, 0);
        assert_int_equal(log_stats(log).rows, 5000);
        assert_int_equal(log_read(log, 4321), 4321);
        log_close(log);
    }
    log_open(log);
}

static void a_write_of_a_column_that_is_gone_is_a_dead_letter(void **state)
{
    struct log_fixture *log = *state;
    (void)log_save(log, (struct log_write){.kind = T3_RECORD_INSERT, .id = 1, .a = 1});
    (void)log_save(
        log, (struct log_write){.kind = T3_RECORD_DELETE, .id = 2, .has_base = true, .base = 3});
    log_close(log);
    tears_schema_free(log->schema);
    log->schema = changed_schema(NOTE_A);
    log_open(log);
    struct t3_journal_stats stats;
    t3_journal_stats(log->journal, &stats);
    assert_int_equal(stats.dead, 1);
    assert_int_equal(log_stats(log).dead, 1);
    assert_int_equal(log_stats(log).rows, 1);
    assert_int_equal(log_read(log, 2), -2);
}

static void tables_that_nobody_has_opened_keep_their_rows(void **state)
{
    struct log_fixture *log = *state;
    struct tears_str *names;
    struct t3_pending_item *items;
    size_t count;
    (void)log_save(log, (struct log_write){.kind = T3_RECORD_INSERT, .id = 1, .a = 1});
    log_close(log);
    log_open_bare(log);
    assert_int_equal(t3_pending_unopened(log->pending, &log->arena, &names, &count), TEARS_OK);
    assert_int_equal(count, 1);
    assert_int_equal(names[0].len, 5);
    assert_memory_equal(names[0].ptr, "notes", 5);
    assert_int_equal(log_collect(log, &items), 0);
    assert_int_equal(log_stats(log).rows, 1);
    assert_true(log_stats(log).oldest_us > 0);
    log->notes = log_table(log, log->schema);
    assert_int_equal(t3_pending_unopened(log->pending, &log->arena, &names, &count), TEARS_OK);
    assert_int_equal(count, 0);
    assert_int_equal(log_collect(log, &items), 1);
    assert_ptr_equal(log_table(log, log->schema), log->notes);
}

/* ---- dead letters ------------------------------------------------------------------------------------- */

static void mark_all(struct log_fixture *log)
{
    const struct t3_lite_options options = {.path = tears_str_c(log->path), .origin = "test"};
    struct t3_lite *lite;
    struct t3_lite_conn *conn;
    log_check(log, t3_lite_open(&options, log_never, &lite, &log->error));
    log_check(log, t3_lite_take_writer(lite, log_never, &conn, &log->error));
    log_check(log, t3_lite_exec(conn, "UPDATE dead SET marked=1", &log->error));
    t3_lite_give(conn);
    t3_lite_free(lite);
}

/* An insert that is refused while an update of it waits. */
static void kill_both(struct log_fixture *log)
{
    struct t3_pending_item *items;
    (void)log_save(log, (struct log_write){.kind = T3_RECORD_INSERT, .id = 1, .a = 10});
    assert_int_equal(log_collect(log, &items), 1);
    const uint64_t batch = log_fly(log, items, 1);
    (void)log_save(log, (struct log_write){.kind = T3_RECORD_UPDATE, .id = 1, .a = 11});
    log_end(log, batch, &items[0], T3_FATE_DEAD, NULL);
    assert_int_equal(log_read(log, 1), NOTE_UNSET);
    assert_int_equal(log_stats(log).dead, 1); /* one letter, of what both say */
}

static void dead_letters_that_are_marked_are_pending_again(void **state)
{
    struct log_fixture *log = *state;
    kill_both(log);
    log_check(log, t3_pending_take_marked(log->pending, log_never, &log->error));
    assert_int_equal(log_stats(log).rows, 0);
    mark_all(log);
    log_check(log, t3_pending_take_marked(log->pending, log_never, &log->error));
    assert_int_equal(log_stats(log).rows, 1);
    assert_int_equal(log_read(log, 1), 11);
    struct t3_pending_item *items;
    assert_int_equal(log_collect(log, &items), 1);
    assert_int_equal(items[0].record.kind, T3_RECORD_INSERT);
    again(log);
    assert_int_equal(log_read(log, 1), 11);
}

static void a_dead_letter_does_not_come_back_over_a_newer_write(void **state)
{
    struct log_fixture *log = *state;
    kill_both(log);
    (void)log_save(log, (struct log_write){.kind = T3_RECORD_INSERT, .id = 1, .a = 20});
    mark_all(log);
    log_check(log, t3_pending_take_marked(log->pending, log_never, &log->error));
    assert_int_equal(log_read(log, 1), 20);
    assert_int_equal(log_stats(log).rows, 1);
    struct t3_journal_stats stats;
    t3_journal_stats(log->journal, &stats);
    assert_int_equal(stats.dead, 1);
}

/* ---- threads ------------------------------------------------------------------------------------------- */

enum { SAVERS = 8, SAVES = 200 };

struct saver {
    struct log_fixture *log;
    int64_t number;
};

static void *save_many(void *owner)
{
    const struct saver *saver = owner;
    struct t3_arena arena = {0};
    for (int64_t i = 0; i < SAVES; i++) {
        struct tears_value storage;
        struct t3_pending_outcome outcome;
        struct tears_error error;
        const int64_t id = saver->number * 1000 + i % 10;
        const struct t3_key key = note_key(saver->log->schema, id, &storage);
        const struct t3_cell cells[] = {{NOTE_ID, tears_int(id)}, {NOTE_A, tears_int(i)}};
        const struct t3_defer defer = {
            .kind = T3_RECORD_UPSERT, .key = &key, .cells = cells, .cell_count = 2};
        assert_int_equal(
            t3_pending_save(saver->log->notes, &defer, 1, &arena, log_never, &outcome, &error),
            TEARS_OK);
        enum t3_pending_answer answer;
        struct t3_pending_hit hit;
        assert_int_equal(t3_pending_look(saver->log->notes, &key, &arena, &answer, &hit), TEARS_OK);
        if (answer ==
            T3_PENDING_ROW) { /* nobody else writes these keys: it is this write, unless it has landed */
            const struct tears_value a = t3_row_value(hit.row, &saver->log->schema->layout, NOTE_A);
            assert_int_equal(a.as.integer, i);
        }
        t3_arena_reset(&arena);
    }
    t3_arena_done(&arena);
    return NULL;
}

/* Lands whatever is there; gives how many records it has landed.  `newest`: of each key what landed last. */
static size_t land_round(struct log_fixture *log, int64_t newest[SAVERS][10])
{
    struct t3_pending_item *items;
    const size_t count = log_collect(log, &items);
    if (count == 0)
        return 0;
    const uint64_t batch = log_fly(log, items, count);
    struct t3_pending_end *ends = t3_arena_array(&log->arena, count, sizeof *ends);
    assert_non_null(ends);
    for (size_t i = 0; i < count; i++) {
        const struct t3_layout *layout = &log->schema->layout;
        const int64_t id = t3_row_value(items[i].record.row, layout, NOTE_ID).as.integer;
        const int64_t a = t3_row_value(items[i].record.row, layout, NOTE_A).as.integer;
        assert_true(a > newest[id / 1000][id % 1000]);
        newest[id / 1000][id % 1000] = a;
        ends[i] = (struct t3_pending_end){.ref = {items[i].record.id, items[i].record.seq},
                                          .table = items[i].table,
                                          .fate = T3_FATE_LANDED,
                                          .row = items[i].record.row,
                                          .version = 1};
    }
    log_check(log, t3_pending_end(log->pending, batch, ends, count, log_never, &log->error));
    t3_arena_reset(&log->arena);
    return count;
}

static void threads_share_commits_and_lose_nothing(void **state)
{
    struct log_fixture *log = *state;
    struct saver savers[SAVERS];
    struct t3_thread threads[SAVERS] = {0};
    int64_t newest[SAVERS][10];
    log_close(log);
    log->durability = TEARS_DURABLE_FULL;
    log_open(log);
    memset(newest, 0xff, sizeof newest);
    for (int64_t i = 0; i < SAVERS; i++) {
        savers[i] = (struct saver){log, i};
        assert_int_equal(t3_thread_start(&threads[i], save_many, &savers[i]), TEARS_OK);
    }
    while (log_stats(log).saves < SAVERS * SAVES)
        (void)land_round(log, newest);
    for (size_t i = 0; i < SAVERS; i++)
        t3_thread_join(&threads[i]);
    while (land_round(log, newest) > 0)
        continue;
    for (size_t i = 0; i < SAVERS; i++)
        for (size_t k = 0; k < 10; k++)
            assert_int_equal(newest[i][k], SAVES - 10 + (int64_t)k);
    assert_int_equal(log_stats(log).rows, 0);
    assert_true(t3_pending_is_empty(log->notes));
}

static void saves_of_threads_are_one_commit(void **state)
{
    struct log_fixture *log = *state;
    struct saver savers[SAVERS];
    struct t3_thread threads[SAVERS] = {0};
    struct t3_journal_stats stats;
    log_close(log);
    log->durability = TEARS_DURABLE_FULL;
    log_open(log);
    for (int64_t i = 0; i < SAVERS; i++) {
        savers[i] = (struct saver){log, i};
        assert_int_equal(t3_thread_start(&threads[i], save_many, &savers[i]), TEARS_OK);
    }
    for (size_t i = 0; i < SAVERS; i++)
        t3_thread_join(&threads[i]);
    t3_journal_stats(log->journal, &stats);
    assert_true(stats.commits < SAVERS * SAVES / 2);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_was_saved_is_read_and_outlives_the_process),
        CASE(trap_17_a_write_made_during_a_flight_outlives_the_landing),
        CASE(trap_17_a_landing_of_an_older_number_leaves_the_record),
        CASE(trap_20_a_write_of_a_row_that_is_not_the_latest_is_refused),
        CASE(a_row_that_was_read_while_pending_can_be_written_after_it_has_landed),
        CASE(what_only_the_database_knew_can_be_cleared_after_the_landing),
        CASE(the_last_65536_landings_are_remembered),
        CASE(a_thousand_writes_of_one_row_are_one_record),
        CASE(what_follows_a_parked_row_is_joined_to_it),
        CASE(parked_rows_wait_for_the_table_they_refer_to),
        CASE(a_table_keeps_its_schema),
        CASE(an_insert_has_the_time_it_was_made_at),
        CASE(a_full_log_takes_no_new_rows_but_changes_old_ones),
        CASE(a_caller_whose_writes_do_not_fit_saves_none_of_them),
        CASE(who_waits_for_room_is_told_of_a_landing),
        CASE(a_flush_is_asked_for_when_enough_is_pending),
        CASE(a_save_that_the_disk_refuses_has_not_happened),
        CASE(a_save_without_memory_has_not_happened),
        CASE(an_end_without_memory_has_not_happened),
        CASE(records_of_a_table_that_has_changed_are_records_of_what_it_is),
        CASE(a_write_of_a_column_that_is_gone_is_a_dead_letter),
        CASE(tables_that_nobody_has_opened_keep_their_rows),
        CASE(dead_letters_that_are_marked_are_pending_again),
        CASE(a_dead_letter_does_not_come_back_over_a_newer_write),
        CASE(threads_share_commits_and_lose_nothing),
        CASE(saves_of_threads_are_one_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
