/*
 * test_deferred_threads.c -- who flushes, and when: the timer, limits, what the last owner left, a database that is away, the end.
 */
#include "deferred/deferred.h"

#include "base/fail.h"
#include "base/str.h"
#include "base/thread.h"
#include "support/fault_l3.h"
#include "support/temp_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include <cmocka.h>

enum { WAIT_MS = 20000, LONG_MS = 3600000 };

struct fixture {
    struct temp_folder folder;
    char path[128];
    struct t3_l3 *lite;
    struct fault_l3 fault;
    tears_schema *schema;
    struct t3_deferred *deferred;
    struct t3_pending_table *table;
    struct t3_deferred_options options;
    struct t3_log log;
    struct t3_arena arena;
    struct tears_error error;
    atomic_uint_fast64_t landed, refused, complaints, tables_asked;
};

static void must(const struct fixture *f, tears_status status)
{
    if (status != TEARS_OK)
        fail_msg("%s: %s", tears_status_name(status), f->error.message);
}

/* ---- hooks --------------------------------------------------------------------------------------- */

static tears_status hook_table(void *owner, struct tears_str name, struct t3_flush_table *table_out,
                               struct tears_error *error_out)
{
    struct fixture *f = owner;
    atomic_fetch_add(&f->tables_asked, 1);
    if (!t3_str_is(name, "items"))
        return t3_fail(error_out, TEARS_NOT_FOUND, "test", "no such table");
    *table_out = (struct t3_flush_table){.pending = f->table, .l3 = &f->fault.base};
    return t3_pending_table_open(t3_deferred_pending(f->deferred), f->schema, false,
                                 t3_deadline_in_ms(WAIT_MS), &table_out->pending, error_out);
}

static void hook_landed(void *owner, const struct t3_flush_table *table,
                        const struct t3_flush_landed *landed, size_t count, uint64_t asked_ms)
{
    struct fixture *f = owner;
    (void)table, (void)landed, (void)asked_ms;
    atomic_fetch_add(&f->landed, count);
}

static void hook_refused(void *owner, const struct t3_flush_table *table,
                         const struct t3_record *const *records, size_t count)
{
    struct fixture *f = owner;
    (void)table, (void)records;
    atomic_fetch_add(&f->refused, count);
}

static void take_log(void *owner, uint64_t level, const char *origin, const char *message)
{
    struct fixture *f = owner;
    (void)origin, (void)message;
    if (level <= 1)
        atomic_fetch_add(&f->complaints, 1);
}

/* ---- life ------------------------------------------------------------------------------------------- */

static void run_sql(struct fixture *f, const char *sql)
{
    struct t3_result result = {0};
    struct t3_l3_call call = {
        .arena = &f->arena, .deadline = t3_deadline_in_ms(WAIT_MS), .error = &f->error};
    must(f, f->lite->ops->query(f->lite, &call, tears_str_c(sql), NULL, 0, &result));
    t3_arena_reset(&f->arena);
}

static int64_t rows_in_l3(struct fixture *f)
{
    struct t3_result result = {0};
    struct t3_l3_call call = {
        .arena = &f->arena, .deadline = t3_deadline_in_ms(WAIT_MS), .error = &f->error};
    must(f, f->lite->ops->query(f->lite, &call, TEARS_STR("SELECT count(*) FROM items"), NULL, 0,
                                &result));
    const int64_t count = t3_result_number(&result, 0, 0);
    t3_arena_reset(&f->arena);
    return count;
}

static void open_deferred(struct fixture *f)
{
    must(f, t3_deferred_open(&f->options, t3_deadline_in_ms(WAIT_MS), &f->deferred, &f->error));
    must(f, t3_pending_table_open(t3_deferred_pending(f->deferred), f->schema, false,
                                  t3_deadline_in_ms(WAIT_MS), &f->table, &f->error));
}

static int open_fixture(void **state)
{
    struct fixture *f = test_calloc(1, sizeof *f);
    char url[128];
    temp_folder_make(&f->folder);
    (void)snprintf(url, sizeof url, "sqlite:%s/l3.db", f->folder.path);
    (void)snprintf(f->path, sizeof f->path, "%s/journal.db", f->folder.path);
    const struct t3_l3_options l3 = {.url = tears_str_c(url)};
    must(f, t3_l3_lite_open(&l3, &f->lite, &f->error));
    run_sql(f, "CREATE TABLE items (id BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL CHECK (name "
               "<> 'bad'), row_version BIGINT NOT NULL)");
    struct t3_l3_call call = {
        .arena = &f->arena, .deadline = t3_deadline_in_ms(WAIT_MS), .error = &f->error};
    must(f,
         f->lite->ops->describe(f->lite, &call, TEARS_STR("items"), TEARS_STR(""), 0, &f->schema));
    fault_l3_init(&f->fault, f->lite);
    f->log = (struct t3_log){.put = take_log, .owner = f, .level_max = 3};
    f->options = (struct t3_deferred_options){
        .journal = {.path = tears_str_c(f->path), .durability = TEARS_DURABLE_NORMAL},
        .interval_ms = LONG_MS,
        .hooks = {.table = hook_table, .landed = hook_landed, .refused = hook_refused, .owner = f},
        .log = &f->log};
    open_deferred(f);
    *state = f;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *f = *state;
    t3_deferred_free(f->deferred);
    tears_schema_free(f->schema);
    f->lite->ops->free(f->lite);
    t3_arena_done(&f->arena);
    temp_folder_remove(&f->folder);
    test_free(f);
    return 0;
}

static void save(struct fixture *f, int64_t id, const char *name)
{
    struct tears_value key_value = tears_int(id);
    struct t3_key key;
    struct t3_pending_outcome outcome;
    const struct t3_cell cells[] = {{0, key_value}, {1, tears_text(tears_str_c(name))}};
    must(f, t3_key_init(f->schema, &key_value, 1, &key_value, &f->arena, &key, &f->error));
    const struct t3_defer defer = {
        .kind = T3_RECORD_INSERT, .key = &key, .cells = cells, .cell_count = 2};
    must(f, t3_pending_save(f->table, &defer, 1, &f->arena, t3_deadline_in_ms(WAIT_MS), &outcome,
                            &f->error));
    assert_int_equal(outcome.status, TEARS_OK);
    t3_arena_reset(&f->arena);
}

static void wait_until_landed(struct fixture *f, uint64_t count)
{
    const struct t3_deadline deadline = t3_deadline_in_ms(WAIT_MS);
    while (atomic_load(&f->landed) < count && !t3_deadline_passed(deadline))
        t3_pause_us(2000);
    assert_int_equal(atomic_load(&f->landed), count);
}

static uint64_t waiting(const struct fixture *f)
{
    struct t3_pending_stats stats;
    t3_pending_stats(t3_deferred_pending(f->deferred), NULL, &stats);
    return stats.rows;
}

/* ---- when ----------------------------------------------------------------------------------------------- */

static void nothing_is_flushed_before_it_is_due(void **state)
{
    struct fixture *f = *state;
    must(f, t3_deferred_start(f->deferred, &f->error));
    must(f, t3_deferred_schedule(f->deferred, f->table));
    save(f, 1, "one");
    t3_pause_us(200000);
    assert_int_equal(atomic_load(&f->landed), 0);
    assert_int_equal(waiting(f), 1);
}

static void tables_on_schedule_are_flushed_by_the_timer(void **state)
{
    struct fixture *f = *state;
    t3_deferred_free(f->deferred);
    f->options.interval_ms = 50;
    open_deferred(f);
    must(f, t3_deferred_start(f->deferred, &f->error));
    must(f, t3_deferred_schedule(f->deferred, f->table));
    save(f, 1, "one");
    wait_until_landed(f, 1);
    save(f, 2, "two");
    wait_until_landed(f, 2);
}

static void a_limit_that_is_reached_flushes(void **state)
{
    struct fixture *f = *state;
    t3_deferred_free(f->deferred);
    f->options.limits.flush_rows = 10;
    open_deferred(f);
    must(f, t3_deferred_start(f->deferred, &f->error));
    for (int64_t i = 1; i <= 10; i++)
        save(f, i, "x");
    wait_until_landed(f, 10);
}

static void what_the_last_owner_left_is_flushed_at_the_start(void **state)
{
    struct fixture *f = *state;
    save(f, 1, "one");
    t3_deferred_free(f->deferred);
    must(f, t3_deferred_open(&f->options, t3_deadline_in_ms(WAIT_MS), &f->deferred, &f->error));
    t3_pause_us(100000);
    assert_int_equal(atomic_load(&f->tables_asked), 0); /* no hook before the start */
    must(f, t3_deferred_start(f->deferred, &f->error));
    wait_until_landed(f, 1);
}

/* L3 is away for a while, at full write rate; nothing is lost, and it goes on by itself. */
static void a_database_that_is_away_is_tried_until_it_is_back(void **state)
{
    struct fixture *f = *state;
    t3_deferred_free(f->deferred);
    f->options.interval_ms = 20;
    open_deferred(f);
    f->fault.is_down = true;
    must(f, t3_deferred_start(f->deferred, &f->error));
    must(f, t3_deferred_schedule(f->deferred, f->table));
    for (int64_t i = 1; i <= 2000; i++)
        save(f, i, "x");
    t3_pause_us(300000);
    assert_int_equal(atomic_load(&f->landed), 0);
    struct t3_flush_stats stats;
    t3_deferred_stats(f->deferred, &stats);
    assert_true(stats.is_stuck);
    assert_in_range(stats.passes, 1, 12); /* with pauses that grow */
    f->fault.is_down = false;
    wait_until_landed(f, 2000);
    assert_int_equal(rows_in_l3(f), 2000);
}

static void a_flush_that_was_asked_for_is_tried_on_after_its_deadline(void **state)
{
    struct fixture *f = *state;
    struct tears_flush_result result = TEARS_FLUSH_RESULT_INIT;
    must(f, t3_deferred_start(f->deferred, &f->error));
    save(f, 1, "one");
    f->fault.is_down = true;
    assert_int_equal(
        t3_deferred_flush(f->deferred, NULL, 0, t3_deadline_in_ms(150), &result, &f->error),
        TEARS_UNAVAILABLE);
    assert_int_equal(result.waiting, 1);
    f->fault.is_down = false;
    wait_until_landed(f, 1);
}

static void a_flush_by_name_knows_its_tables(void **state)
{
    struct fixture *f = *state;
    struct tears_flush_result result = TEARS_FLUSH_RESULT_INIT;
    const struct tears_str names[] = {TEARS_STR("items"), TEARS_STR("nothing")};
    save(f, 1, "one");
    assert_int_equal(t3_deferred_flush(f->deferred, &names[1], 1, t3_deadline_in_ms(WAIT_MS),
                                       &result, &f->error),
                     TEARS_NOT_FOUND);
    must(f,
         t3_deferred_flush(f->deferred, names, 1, t3_deadline_in_ms(WAIT_MS), &result, &f->error));
    assert_int_equal(result.written, 1);
    assert_int_equal(result.size, sizeof result);
}

static void rows_of_a_table_that_comes_back_are_flushed_without_being_asked(void **state)
{
    struct fixture *f = *state;
    struct tears_flush_result result = TEARS_FLUSH_RESULT_INIT;
    must(f, t3_deferred_start(f->deferred, &f->error));
    save(f, 1, "one");
    run_sql(f, "ALTER TABLE items RENAME TO gone");
    must(f,
         t3_deferred_flush(f->deferred, NULL, 0, t3_deadline_in_ms(WAIT_MS), &result, &f->error));
    assert_int_equal(result.parked, 1);
    run_sql(f, "ALTER TABLE gone RENAME TO items");
    wait_until_landed(f, 1); /* a second later */
}

/* ---- dead letters --------------------------------------------------------------------------------------------- */

static void a_dead_letter_that_was_mended_and_marked_is_flushed(void **state)
{
    struct fixture *f = *state;
    struct tears_flush_result result = TEARS_FLUSH_RESULT_INIT;
    tears_journal *journal = NULL;
    const struct tears_dead *dead = NULL;
    size_t count = 0;
    uint64_t marked = 0;
    must(f, t3_deferred_start(f->deferred, &f->error));
    save(f, 1, "bad");
    must(f,
         t3_deferred_flush(f->deferred, NULL, 0, t3_deadline_in_ms(WAIT_MS), &result, &f->error));
    assert_int_equal(result.dead, 1);
    assert_int_equal(atomic_load(&f->refused), 1);
    must(f, tears_journal_open(tears_str_c(f->path), &journal, &f->error));
    must(f, tears_journal_dead(journal, TEARS_STR(""), 0, 10, &dead, &count, &f->error));
    assert_int_equal(count, 1);
    const uint64_t id = dead[0].id;
    must(f, tears_journal_edit(journal, id, TEARS_STR("{\"name\": \"good\"}"), &f->error));
    must(f, tears_journal_retry(journal, id, TEARS_STR(""), &marked, &f->error));
    tears_journal_free(journal);
    wait_until_landed(f, 1);
    assert_int_equal(rows_in_l3(f), 1);
}

/* ---- the end ---------------------------------------------------------------------------------------------------- */

static void the_end_flushes_what_is_left(void **state)
{
    struct fixture *f = *state;
    must(f, t3_deferred_start(f->deferred, &f->error));
    for (int64_t i = 1; i <= 100; i++)
        save(f, i, "x");
    t3_deferred_stop(f->deferred, t3_deadline_in_ms(WAIT_MS));
    assert_int_equal(rows_in_l3(f), 100);
    assert_int_equal(atomic_load(&f->complaints), 0);
}

static void what_could_not_be_flushed_at_the_end_is_reported(void **state)
{
    struct fixture *f = *state;
    must(f, t3_deferred_start(f->deferred, &f->error));
    save(f, 1, "x");
    f->fault.is_down = true;
    const uint64_t start = t3_now_us();
    t3_deferred_stop(f->deferred, t3_deadline_in_ms(200));
    assert_in_range(t3_now_us() - start, 0, 2000000);
    assert_true(atomic_load(&f->complaints) > 0);
    t3_deferred_free(f->deferred);
    f->fault.is_down = false;
    open_deferred(f);
    assert_int_equal(waiting(f), 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)
    const struct CMUnitTest tests[] = {
        T(nothing_is_flushed_before_it_is_due),
        T(tables_on_schedule_are_flushed_by_the_timer),
        T(a_limit_that_is_reached_flushes),
        T(what_the_last_owner_left_is_flushed_at_the_start),
        T(a_database_that_is_away_is_tried_until_it_is_back),
        T(a_flush_that_was_asked_for_is_tried_on_after_its_deadline),
        T(a_flush_by_name_knows_its_tables),
        T(rows_of_a_table_that_comes_back_are_flushed_without_being_asked),
        T(a_dead_letter_that_was_mended_and_marked_is_flushed),
        T(the_end_flushes_what_is_left),
        T(what_could_not_be_flushed_at_the_end_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
