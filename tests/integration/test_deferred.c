/*
 * test_deferred.c -- deferred tables through the public API: what is saved is read back at once, survives, and reaches L3 once; what L3
 * refuses is a dead letter; what others see of it is taken back.
 */
#include "support/deferring.h"
#include "support/embedded.h"
#include "support/nats_server.h"
#include "support/pg_server.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <tears/data.h>

/* ---- saving, reading, flushing ---- */

static void a_save_is_read_back_and_reaches_l3_with_a_flush(void **state)
{
    (void)state;
    struct deferring here;
    deferring_open(&here, &deferring_case, NULL);
    deferring_insert(&here, 1, "one");
    tears_entity *entity = deferring_get(&here, 1);
    assert_non_null(entity);
    assert_int_equal(tears_entity_tier(entity), TEARS_TIER_PENDING);
    assert_string_equal(embedded_text(entity, "body"), "one");
    assert_int_equal(deferring_rows_in_l3(&here), 0);
    assert_int_equal(deferring_stats(&here).pending_rows, 1);

    const struct tears_flush_result result = deferring_flush(&here);
    assert_int_equal(result.written, 1);
    assert_int_equal(result.waiting, 0);
    assert_string_equal(deferring_body_in_l3(&here, 1), "one");
    assert_string_equal(deferring_body(&here, 1), "one");
    assert_int_equal(deferring_stats(&here).pending_rows, 0);
    deferring_close(&here);
}

static void a_thousand_writes_of_one_row_are_one_write_to_l3(void **state)
{
    (void)state;
    char body[32];
    struct deferring here;
    deferring_open(&here, &deferring_case, NULL);
    deferring_insert(&here, 1, "first");
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(body, sizeof body, "write %d", i);
        assert_int_equal(deferring_update(&here, 1, body), TEARS_OK);
        tears_session_reset(here.session);
    }
    const struct tears_flush_result result = deferring_flush(&here);
    assert_int_equal(result.written, 1);
    assert_string_equal(deferring_body_in_l3(&here, 1), "write 999");
    assert_int_equal(deferring_stats(&here).deferred_coalesced, 1000);
    deferring_close(&here);
}

static void an_entity_read_while_pending_can_be_updated_after_it_landed(void **state)
{
    (void)state;
    const struct tears_field field = field_text("body", "two");
    struct deferring here;
    deferring_open(&here, &deferring_case, NULL);
    deferring_insert(&here, 1, "one");
    tears_entity *entity = deferring_get(&here, 1);
    (void)deferring_flush(&here);
    assert_int_equal(tears_update(here.session, entity, &field, 1, NULL), TEARS_OK);
    assert_int_equal(deferring_flush(&here).written, 1);
    assert_string_equal(deferring_body_in_l3(&here, 1), "two");
    deferring_close(&here);
}

/* So many rows are not asked back from the database: versions are, and the caches forget what they held. */
static void a_large_flush_is_as_good_as_a_small_one(void **state)
{
    (void)state;
    enum { ROWS = 2500 };
    const struct tears_field field = field_text("body", "changed");
    struct deferring here;
    deferring_open(&here, &deferring_case, NULL);
    deferring_sql(&here, "INSERT INTO notes (id, body) VALUES (7, 'old')");
    assert_string_equal(deferring_body(&here, 7), "old"); /* in L1 */
    assert_int_equal(deferring_update(&here, 7, "new"), TEARS_OK);
    for (int64_t id = 10; id < 10 + ROWS; id++)
        deferring_insert(&here, id, "one");
    tears_entity *entity = deferring_get(&here, 700);
    tears_session *session = NULL;
    tears_entity *kept = NULL;
    assert_int_equal(tears_session_new(here.client, NULL, &session), TEARS_OK);
    assert_int_equal(tears_entity_copy(entity, session, &kept), TEARS_OK);
    assert_int_equal(deferring_flush(&here).written, ROWS + 1);
    assert_string_equal(deferring_body(&here, 7), "new");
    assert_int_equal(tears_update(session, kept, &field, 1, NULL), TEARS_OK);
    assert_int_equal(deferring_flush(&here).written, 1);
    assert_string_equal(deferring_body_in_l3(&here, 700), "changed");
    assert_int_equal(deferring_stats(&here).dead_letters, 0);
    tears_session_free(session);
    deferring_close(&here);
}

static void a_write_made_from_an_old_pending_row_conflicts(void **state)
{
    (void)state;
    const struct tears_field late = field_text("body", "late");
    struct deferring here;
    deferring_open(&here, &deferring_case, NULL);
    deferring_insert(&here, 1, "one");
    tears_entity *old = deferring_get(&here, 1);
    assert_int_equal(deferring_update(&here, 1, "two"), TEARS_OK);
    tears_entity *winner = NULL;
    assert_int_equal(tears_update(here.session, old, &late, 1, &winner), TEARS_CONFLICT);
    assert_non_null(strstr(tears_session_error(here.session)->message, "'notes'"));
    assert_non_null(winner);
    assert_string_equal(embedded_text(winner, "body"), "two");
    assert_string_equal(deferring_body(&here, 1), "two");
    deferring_close(&here);
}

static void a_pending_deletion_hides_the_row_and_lands(void **state)
{
    (void)state;
    const struct tears_value key = tears_int(1);
    struct deferring here;
    deferring_open(&here, &deferring_case, NULL);
    deferring_insert(&here, 1, "one");
    (void)deferring_flush(&here);
    assert_int_equal(tears_delete(here.session, here.notes, &key, 1), TEARS_OK);
    assert_null(deferring_get(&here, 1));
    assert_int_equal(deferring_rows_in_l3(&here), 1);
    assert_int_equal(deferring_flush(&here).written, 1);
    assert_int_equal(deferring_rows_in_l3(&here), 0);
    assert_null(deferring_get(&here, 1));
    deferring_close(&here);
}

static void strong_reads_and_transactions_see_l3(void **state)
{
    (void)state;
    const struct tears_field fields[] = {field_int("id", 1), field_text("body", "mine")};
    struct deferring here;
    deferring_open(&here, &deferring_case, NULL);
    deferring_insert(&here, 1, "one");
    assert_int_equal(tears_session_set_consistency(here.session, TEARS_READ_STRONG, 0), TEARS_OK);
    assert_null(deferring_get(&here, 1));
    assert_int_equal(tears_session_set_consistency(here.session, TEARS_READ_ANY, 0), TEARS_OK);
    assert_int_equal(tears_begin(here.session), TEARS_OK);
    assert_null(deferring_get(&here, 1));
    assert_int_equal(tears_insert(here.session, here.notes, fields, 2, NULL), TEARS_CONFLICT);
    assert_non_null(strstr(tears_session_error(here.session)->message, "tears_flush"));
    assert_int_equal(tears_rollback(here.session), TEARS_OK);
    deferring_close(&here);
}

static void what_is_pending_waits_for_a_table_that_is_away(void **state)
{
    (void)state;
    const struct deferring_options hasty = {.shutdown_ms = 1};
    struct deferring here;
    deferring_open(&here, &deferring_case, &hasty);
    deferring_sql(&here, "ALTER TABLE notes RENAME TO elsewhere");
    for (int64_t id = 1; id <= 20; id++)
        deferring_insert(&here, id, "kept");
    deferring_close(&here);
    deferring_run(&deferring_case, "ALTER TABLE elsewhere RENAME TO notes");

    deferring_open(&here, &deferring_case, &hasty);
    assert_string_equal(deferring_body(&here, 20), "kept");
    (void)deferring_flush(&here);
    assert_int_equal(deferring_rows_in_l3(&here), 20);
    deferring_close(&here);
}

static void recovered_rows_are_read_and_flushed(void **state)
{
    (void)state;
    const struct deferring_options hasty = {.shutdown_ms = 1};
    struct deferring here;
    deferring_open(&here, &deferring_case, &hasty);
    deferring_insert(&here, 1, "parent");
    (void)deferring_flush(&here);
    for (int64_t id = 2; id <= 20; id++)
        deferring_insert_child(&here, id, id - 1);
    assert_int_equal(deferring_update(&here, 1, "changed"), TEARS_OK);
    deferring_close(&here);

    deferring_open(&here, &deferring_case, &hasty);
    const int64_t in_l3 = deferring_rows_in_l3(&here);
    assert_true(in_l3 >= 1 && in_l3 <= 20); /* the last flush may have had a moment */
    assert_string_equal(deferring_body(&here, 1), "changed");
    assert_string_equal(deferring_body(&here, 20), "child");
    (void)deferring_flush(&here);
    assert_int_equal(deferring_rows_in_l3(&here), 20);
    assert_string_equal(deferring_body_in_l3(&here, 1), "changed");
    deferring_close(&here);
}

static void the_end_of_the_client_flushes(void **state)
{
    (void)state;
    const struct deferring_options options = {.strategy = TEARS_FLUSH_ON_SHUTDOWN};
    struct deferring here;
    deferring_open(&here, &deferring_case, &options);
    deferring_insert(&here, 1, "one");
    deferring_close(&here);
    const struct deferring_options plain = {.not_deferred = true};
    deferring_open(&here, &deferring_case, &plain);
    assert_string_equal(deferring_body(&here, 1), "one");
    deferring_close(&here);
}

static void wait_until_landed(const struct deferring *process)
{
    for (int ms = 0; ms < 10000 && deferring_stats(process).pending_rows > 0; ms += 5)
        usleep(5000);
    assert_int_equal(deferring_stats(process).pending_rows, 0);
}

static void the_timer_flushes(void **state)
{
    (void)state;
    const struct deferring_options options = {.strategy = TEARS_FLUSH_ON_SCHEDULE,
                                              .interval_ms = 100};
    struct deferring here;
    deferring_open(&here, &deferring_case, &options);
    deferring_insert(&here, 1, "one");
    wait_until_landed(&here);
    assert_string_equal(deferring_body_in_l3(&here, 1), "one");
    deferring_close(&here);
}

/* Something looks for dead letters to try again, once a second. */
static void a_table_on_checkpoint_is_not_flushed_because_somebody_saves(void **state)
{
    (void)state;
    const struct deferring_options options = {.durability = TEARS_DURABLE_NORMAL, .shutdown_ms = 1};
    const time_t began = time(NULL);
    uint64_t saved = 0;
    struct deferring here;
    deferring_open(&here, &deferring_case, &options);
    while (time(NULL) < began + 4) /* dead letters are looked for every second */
        deferring_insert(&here, (int64_t)++saved, "waits");
    assert_int_equal(deferring_stats(&here).pending_rows, saved);
    assert_int_equal(deferring_stats(&here).flushed_rows, 0);
    deferring_close(&here);
}

static void a_limit_asks_for_a_flush(void **state)
{
    (void)state;
    const struct deferring_options options = {.flush_rows = 10};
    struct deferring here;
    deferring_open(&here, &deferring_case, &options);
    for (int64_t id = 1; id <= 10; id++)
        deferring_insert(&here, id, "one");
    wait_until_landed(&here);
    assert_int_equal(deferring_rows_in_l3(&here), 10);
    deferring_close(&here);
}

/* ---- one field ---- */

static void a_field_is_written_to_a_row_that_no_cache_has(void **state)
{
    (void)state;
    const struct tears_value key = tears_int(1);
    struct deferring here;
    deferring_open(&here, &deferring_case, NULL);
    deferring_sql(&here, "INSERT INTO notes (id, body) VALUES (1, 'one')");
    assert_int_equal(tears_put_field(here.session, here.notes, &key, 1, TEARS_STR("body"),
                                     tears_text(TEARS_STR("put"))),
                     TEARS_OK);
    assert_string_equal(deferring_body(&here, 1), "put");
    const struct tears_value none = tears_int(77);
    assert_int_equal(tears_put_field(here.session, here.notes, &none, 1, TEARS_STR("body"),
                                     tears_text(TEARS_STR("put"))),
                     TEARS_NOT_FOUND);
    (void)deferring_flush(&here);
    assert_string_equal(deferring_body_in_l3(&here, 1), "put");
    deferring_close(&here);
}

enum { PUTTERS = 4, PUTS = 50 };

struct putter {
    const struct deferring *process;
    const char *column;
    pthread_t thread;
};

static void *put_fields(void *owner)
{
    const struct putter *putter = owner;
    const struct tears_value key = tears_int(1);
    tears_session *session = NULL;
    if (tears_session_new(putter->process->client, NULL, &session) != TEARS_OK)
        return NULL;
    bool ok = true;
    for (int64_t i = 1; i <= PUTS && ok; i++) {
        const bool is_text = strcmp(putter->column, "body") == 0;
        const struct tears_value value =
            is_text ? tears_text(i == PUTS ? TEARS_STR("last") : TEARS_STR("more")) : tears_int(1);
        ok = tears_put_field(session, putter->process->notes, &key, 1, tears_str_c(putter->column),
                             value) == TEARS_OK;
        tears_session_reset(session);
    }
    tears_session_free(session);
    return ok ? owner : NULL;
}

/* W-16: writes of different columns never undo each other, whether the table is deferred or not. */
static void threads_that_put_fields_lose_nothing(const struct deferring_options *options)
{
    struct deferring here;
    struct putter putters[PUTTERS];
    deferring_open(&here, &deferring_case, options);
    deferring_insert(&here, 1, "one");
    for (int i = 0; i < PUTTERS; i++) {
        putters[i] = (struct putter){.process = &here, .column = i % 2 == 0 ? "body" : "parent"};
        assert_int_equal(pthread_create(&putters[i].thread, NULL, put_fields, &putters[i]), 0);
    }
    for (int i = 0; i < PUTTERS; i++) {
        void *result = NULL;
        assert_int_equal(pthread_join(putters[i].thread, &result), 0);
        assert_non_null(result);
    }
    if (!options->not_deferred)
        (void)deferring_flush(&here);
    tears_session_reset(here.session);
    assert_int_equal(tears_session_set_consistency(here.session, TEARS_READ_STRONG, 0), TEARS_OK);
    tears_entity *entity = deferring_get(&here, 1);
    assert_string_equal(embedded_text(entity, "body"), "last");
    assert_int_equal(embedded_int(entity, "parent"), 1);
    deferring_close(&here);
}

static void deferred_fields_lose_nothing(void **state)
{
    (void)state;
    const struct deferring_options options = {.strategy = TEARS_FLUSH_ON_SCHEDULE,
                                              .interval_ms = 20};
    threads_that_put_fields_lose_nothing(&options);
}

static void immediate_fields_lose_nothing(void **state)
{
    (void)state;
    const struct deferring_options options = {.not_deferred = true};
    threads_that_put_fields_lose_nothing(&options);
}

/* ---- conflicts with other writers ---- */

/* Another process writes L3's row under a pending update. */
static void overtake(struct deferring *here, const struct deferring_options *options)
{
    deferring_open(here, &deferring_case, options);
    deferring_sql(here, "INSERT INTO notes (id, body) VALUES (1, 'one')");
    assert_int_equal(deferring_update(here, 1, "mine"), TEARS_OK);
    deferring_sql(here, "UPDATE notes SET body = 'theirs', row_version = row_version + 1");
}

static void trap_20_a_deferred_write_does_not_bypass_the_lock(void **state)
{
    (void)state;
    struct deferring here;
    overtake(&here, &(struct deferring_options){0});
    const struct tears_flush_result result = deferring_flush(&here);
    assert_int_equal(result.written, 0);
    assert_int_equal(result.dead, 1);
    assert_string_equal(deferring_body_in_l3(&here, 1), "theirs");
    assert_string_equal(deferring_body(&here, 1), "theirs"); /* and this process sees it */
    assert_int_equal(deferring_stats(&here).dead_letters, 1);
    deferring_close(&here);
}

static void the_last_writer_may_win(void **state)
{
    (void)state;
    struct deferring here;
    overtake(&here, &(struct deferring_options){.on_stale = TEARS_ON_STALE_LAST_WRITER});
    assert_int_equal(deferring_flush(&here).written, 1);
    assert_string_equal(deferring_body_in_l3(&here, 1), "mine");
    deferring_close(&here);
}

static tears_status join_texts(void *owner, struct tears_str table,
                               const struct tears_merge_field *field, struct tears_value *value_out)
{
    static char joined[64];
    (void)owner;
    assert_int_equal(table.len, strlen("notes"));
    assert_int_equal(field->before.as.bytes.len, strlen("one"));
    const int len = snprintf(joined, sizeof joined, "%.*s+%.*s", (int)field->theirs.as.bytes.len,
                             field->theirs.as.bytes.ptr, (int)field->mine.as.bytes.len,
                             field->mine.as.bytes.ptr);
    *value_out = tears_text(tears_str_n(joined, (size_t)len));
    return TEARS_OK;
}

static void fields_are_merged(void **state)
{
    (void)state;
    struct deferring here;
    overtake(&here,
             &(struct deferring_options){.on_stale = TEARS_ON_STALE_MERGE, .merge = join_texts});
    assert_int_equal(deferring_flush(&here).written, 1);
    assert_string_equal(deferring_body_in_l3(&here, 1), "theirs+mine");
    deferring_close(&here);
}

/* ---- dead letters ---- */

static tears_journal *open_journal(const struct deferring *process)
{
    struct tears_error error;
    tears_journal *journal = NULL;
    if (tears_journal_open(tears_str_c(process->journal), &journal, &error) != TEARS_OK)
        fail_msg("journal: %s", error.message);
    return journal;
}

static void a_row_that_l3_refuses_is_a_dead_letter_that_can_be_mended(void **state)
{
    (void)state;
    struct tears_error error;
    const struct tears_dead *dead = NULL;
    size_t count = 0;
    uint64_t marked = 0;
    struct deferring here;
    deferring_open(&here, &deferring_case, NULL);
    for (int64_t id = 1; id <= 30; id++)
        deferring_insert(&here, id,
                         id == 17 ? "a body that is longer than the forty characters it may have"
                                  : "good");
    deferring_insert_child(&here, 40, 17);
    struct tears_flush_result result = deferring_flush(&here);
    assert_int_equal(result.written, 29);
    assert_int_equal(result.dead, 1);
    assert_int_equal(result.waiting, 1); /* the child */
    assert_null(deferring_get(&here, 17));

    tears_journal *journal = open_journal(&here);
    assert_int_equal(tears_journal_dead(journal, TEARS_STR(""), 0, 10, &dead, &count, &error),
                     TEARS_OK);
    assert_int_equal(count, 1);
    assert_int_equal(dead[0].write.key.len, 2);
    assert_memory_equal(dead[0].write.key.ptr, "17", 2);
    assert_true(dead[0].message.len > 0);
    assert_int_equal(dead[0].dependants, 1);
    const uint64_t id = dead[0].id;
    if (tears_journal_edit(journal, id, TEARS_STR("{\"body\":\"short\"}"), &error) != TEARS_OK)
        fail_msg("edit: %s", error.message);
    assert_int_equal(tears_journal_retry(journal, id, TEARS_STR(""), &marked, &error), TEARS_OK);
    assert_int_equal(marked, 1);
    tears_journal_free(journal);
    wait_until_landed(&here);
    assert_string_equal(deferring_body_in_l3(&here, 17), "short");
    assert_string_equal(deferring_body_in_l3(&here, 40), "child");
    assert_int_equal(deferring_stats(&here).dead_letters, 0);
    deferring_close(&here);
}

/* ---- when the journal is full ---- */

static void fill(struct deferring *here, uint64_t policy)
{
    const struct deferring_options options = {.full = policy, .rows_max = 5};
    deferring_open(here, &deferring_case, &options);
    tears_session_set_timeout(here->session, 300);
    for (int64_t id = 1; id <= 5; id++)
        deferring_insert(here, id, "one");
}

static tears_status insert_sixth(struct deferring *here)
{
    const struct tears_field fields[] = {field_int("id", 6), field_text("body", "six")};
    return tears_insert(here->session, here->notes, fields, 2, NULL);
}

static void a_full_journal_makes_room_or_says_so(void **state)
{
    (void)state;
    struct deferring here;
    fill(&here, TEARS_FULL_FAIL);
    assert_int_equal(insert_sixth(&here), TEARS_LIMIT);
    assert_int_equal(deferring_update(&here, 3, "three"), TEARS_OK); /* no more than there was */
    (void)deferring_flush(&here);
    assert_int_equal(insert_sixth(&here), TEARS_OK);
    deferring_close(&here);
}

static void a_full_journal_is_flushed_while_savers_wait(void **state)
{
    (void)state;
    struct deferring here;
    fill(&here, TEARS_FULL_BLOCK);
    tears_session_set_timeout(here.session, 10000);
    assert_int_equal(insert_sixth(&here), TEARS_OK);
    deferring_close(&here);
}

static void a_full_journal_is_written_past(void **state)
{
    (void)state;
    struct deferring here;
    fill(&here, TEARS_FULL_WRITE_THROUGH);
    tears_session_set_timeout(here.session, 10000);
    assert_int_equal(insert_sixth(&here), TEARS_OK);
    assert_string_equal(deferring_body_in_l3(&here, 6), "six");
    deferring_close(&here);
}

/* ---- other processes ---- */

struct two {
    struct deferring here, there;
};

static void open_two(struct two *two)
{
    static char space[32];
    test_namespace(space);
    const struct deferring_options writer = {.l2_url = test_nats_shared_url(), .space = space};
    const struct deferring_options reader = {
        .l2_url = test_nats_shared_url(), .space = space, .not_deferred = true};
    deferring_open(&two->here, &deferring_case, &writer);
    deferring_open(&two->there, &deferring_case, &reader);
}

static void close_two(struct two *two)
{
    deferring_close(&two->there);
    deferring_close(&two->here);
}

static void wait_for_body(struct deferring *process, int64_t id, const char *body)
{
    for (int ms = 0; ms < 10000 && strcmp(deferring_body(process, id), body) != 0; ms += 10)
        usleep(10000);
    assert_string_equal(deferring_body(process, id), body);
}

static void other_processes_see_pending_rows_only_with_any(void **state)
{
    (void)state;
    struct two two;
    open_two(&two);
    deferring_sql(&two.there, "INSERT INTO notes (id, body) VALUES (1, 'one')");
    assert_string_equal(deferring_body(&two.there, 1), "one"); /* in L1 and L2 now */
    assert_int_equal(deferring_update(&two.here, 1, "pending"), TEARS_OK);
    wait_for_body(&two.there, 1, "pending");
    tears_session *there = two.there.session;
    assert_int_equal(tears_session_set_consistency(there, TEARS_READ_BOUNDED, 60000), TEARS_OK);
    assert_string_equal(deferring_body(&two.there, 1), "one");
    assert_int_equal(tears_session_set_consistency(there, TEARS_READ_SESSION, 0), TEARS_OK);
    assert_string_equal(deferring_body(&two.there, 1), "one");
    assert_int_equal(tears_session_set_consistency(there, TEARS_READ_STRONG, 0), TEARS_OK);
    assert_string_equal(deferring_body(&two.there, 1), "one");
    assert_int_equal(tears_session_set_consistency(there, TEARS_READ_ANY, 0), TEARS_OK);
    assert_string_equal(deferring_body(&two.there, 1), "pending"); /* those reads kept nothing */
    (void)deferring_flush(&two.here);
    assert_int_equal(tears_session_set_consistency(there, TEARS_READ_STRONG, 0), TEARS_OK);
    assert_string_equal(deferring_body(&two.there, 1), "pending");
    close_two(&two);
}

static void trap_19_a_phantom_goes_when_l3_refuses_it(void **state)
{
    (void)state;
    struct two two;
    open_two(&two);
    deferring_sql(&two.there, "INSERT INTO notes (id, body) VALUES (1, 'one')");
    assert_string_equal(deferring_body(&two.there, 1), "one");
    assert_int_equal(
        deferring_update(&two.here, 1, "a body of more than forty characters, too long"), TEARS_OK);
    wait_for_body(&two.there, 1, "a body of more than forty characters, too long");
    assert_int_equal(deferring_flush(&two.here).dead, 1);
    wait_for_body(&two.there, 1, "one");
    assert_string_equal(deferring_body(&two.here, 1), "one");
    close_two(&two);
}

/* ---- changes past the write path ---- */

static void rows_are_not_moved_past_what_waits(void **state)
{
    (void)state;
    struct tears_repoint repoint = TEARS_REPOINT_INIT;
    struct tears_repointed moved = {0};
    struct deferring here;
    deferring_open(&here, &deferring_case, NULL);
    deferring_insert(&here, 1, "one");
    repoint.column = TEARS_STR("body");
    repoint.from = tears_text(TEARS_STR("one"));
    repoint.to = tears_text(TEARS_STR("two"));
    assert_int_equal(tears_repoint(here.session, here.notes, &repoint, &moved), TEARS_CONFLICT);
    (void)deferring_flush(&here);
    assert_int_equal(tears_repoint(here.session, here.notes, &repoint, &moved), TEARS_OK);
    assert_int_equal(moved.row_count, 1);
    assert_string_equal(deferring_body(&here, 1), "two");
    deferring_close(&here);
}

/* ---- without L3 ---- */

static void saves_go_on_while_the_database_is_away(void **state)
{
    (void)state;
    struct test_pg *pg = test_pg_start();
    struct deferring_database away = {.url = ""};
    struct deferring here;
    temp_folder_make(&away.folder);
    (void)snprintf(away.url, sizeof away.url, "%s", test_pg_url(pg));
    test_pg_run(away.url,
                "CREATE TABLE notes (id BIGINT PRIMARY KEY, body TEXT NOT NULL, parent BIGINT, "
                "row_version BIGINT NOT NULL DEFAULT 1)");
    const struct deferring_options options = {.strategy = TEARS_FLUSH_ON_SCHEDULE,
                                              .interval_ms = 100};
    deferring_open(&here, &away, &options);
    test_pg_kill(pg);
    for (int64_t id = 1; id <= 500; id++)
        deferring_insert(&here, id, "kept");
    assert_string_equal(deferring_body(&here, 500), "kept");
    test_pg_again(pg);
    for (int ms = 0; ms < 40000 && deferring_stats(&here).pending_rows > 0; ms += 10)
        usleep(10000);
    assert_int_equal(deferring_rows_in_l3(&here), 500);
    deferring_close(&here);
    temp_folder_remove(&away.folder);
    test_pg_free(pg);
}

#define ON_SQLITE(test) \
    cmocka_unit_test_setup_teardown(test, deferring_set_up_sqlite, deferring_tear_down)
#define ON_BOTH(test)                                                                    \
    cmocka_unit_test_setup_teardown(test, deferring_set_up_sqlite, deferring_tear_down), \
        cmocka_unit_test_setup_teardown(test, deferring_set_up_postgresql, deferring_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(a_save_is_read_back_and_reaches_l3_with_a_flush),
        ON_SQLITE(a_thousand_writes_of_one_row_are_one_write_to_l3),
        ON_BOTH(an_entity_read_while_pending_can_be_updated_after_it_landed),
        ON_BOTH(a_large_flush_is_as_good_as_a_small_one),
        ON_SQLITE(a_write_made_from_an_old_pending_row_conflicts),
        ON_BOTH(a_pending_deletion_hides_the_row_and_lands),
        ON_BOTH(strong_reads_and_transactions_see_l3),
        ON_BOTH(what_is_pending_waits_for_a_table_that_is_away),
        ON_BOTH(recovered_rows_are_read_and_flushed),
        ON_BOTH(the_end_of_the_client_flushes),
        ON_SQLITE(the_timer_flushes),
        ON_SQLITE(a_table_on_checkpoint_is_not_flushed_because_somebody_saves),
        ON_SQLITE(a_limit_asks_for_a_flush),
        ON_BOTH(a_field_is_written_to_a_row_that_no_cache_has),
        ON_BOTH(deferred_fields_lose_nothing),
        ON_BOTH(immediate_fields_lose_nothing),
        ON_BOTH(trap_20_a_deferred_write_does_not_bypass_the_lock),
        ON_BOTH(the_last_writer_may_win),
        ON_BOTH(fields_are_merged),
        ON_BOTH(a_row_that_l3_refuses_is_a_dead_letter_that_can_be_mended),
        ON_SQLITE(a_full_journal_makes_room_or_says_so),
        ON_SQLITE(a_full_journal_is_flushed_while_savers_wait),
        ON_SQLITE(a_full_journal_is_written_past),
        ON_BOTH(other_processes_see_pending_rows_only_with_any),
        ON_BOTH(trap_19_a_phantom_goes_when_l3_refuses_it),
        ON_SQLITE(rows_are_not_moved_past_what_waits),
        cmocka_unit_test(saves_go_on_while_the_database_is_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
