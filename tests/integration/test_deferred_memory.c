/*
 * test_deferred_memory.c -- allocation N of a call on a deferred table fails, then N + 1, until the call runs to its end.
 *
 * A call that is refused has changed nothing, one that was acknowledged is in L3 in the end; the client goes on working.
 */
#include "base/alloc.h"
#include "support/deferring.h"
#include "support/embedded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { FAULTS_MAX = 4000, ROW = 1, MANY = 3 };

static struct deferring here;

static int begin(void **state)
{
    (void)state;
    deferring_on_sqlite(&deferring_case);
    deferring_open(&here, &deferring_case, NULL);
    return 0;
}

static int end(void **state)
{
    (void)state;
    deferring_close(&here);
    deferring_end(&deferring_case);
    return 0;
}

/* What the row is before a call, and what a call that succeeds makes of it; "": no row. */
struct operation {
    const char *name;
    bool is_landed; /* the row is in L3, and nothing of it pending, before the call */
    const char *before, *after;
    tears_status (*run)(tears_session *session);
};

static const struct tears_field *row_with(const char *body)
{
    static struct tears_field fields[2];
    fields[0] = field_int("id", ROW);
    fields[1] = field_text("body", body);
    return fields;
}

static void set_up(const struct operation *operation)
{
    const struct tears_value key = tears_int(ROW);
    const bool is_row = operation->before[0] != '\0';
    const tears_status status =
        is_row ? tears_upsert(here.session, here.notes, row_with(operation->before), 2, NULL)
               : tears_delete(here.session, here.notes, &key, 1);
    if (status != TEARS_OK && (is_row || status != TEARS_NOT_FOUND))
        fail_msg("before: %s", tears_session_error(here.session)->message);
    if (operation->is_landed)
        (void)deferring_flush(&here);
    tears_session_reset(here.session);
}

static void run_until_whole(const struct operation *operation)
{
    uint64_t faults = 0;
    for (uint64_t nth = 1;; nth++) {
        tears_session *session = NULL;
        assert_true(nth < FAULTS_MAX);
        set_up(operation);
        assert_int_equal(tears_session_new(here.client, NULL, &session), TEARS_OK);
        t3_alloc_fail_at(nth);
        const tears_status status = operation->run(session);
        const uint64_t made = t3_alloc_count();
        t3_alloc_fail_at(0);
        if (status != TEARS_OK && status != TEARS_NO_MEMORY)
            fail_msg("%s, allocation %llu: %s", operation->name, (unsigned long long)nth,
                     tears_session_error(session)->message);
        const char *expected = status == TEARS_OK ? operation->after : operation->before;
        assert_string_equal(deferring_body(&here, ROW), expected);
        (void)deferring_flush(&here);
        assert_string_equal(deferring_body_in_l3(&here, ROW), expected);
        assert_string_equal(deferring_body(&here, ROW), expected);
        tears_session_free(session);
        faults += status == TEARS_NO_MEMORY ? 1 : 0;
        if (made < nth)
            break;
    }
    assert_int_equal(deferring_stats(&here).dead_letters, 0);
    print_message("%-40s %llu allocations refused\n", operation->name, (unsigned long long)faults);
}

/* ---- the calls ------------------------------------------------------------------------------------------------ */

static tears_status insert(tears_session *session)
{
    return tears_insert(session, here.notes, row_with("new"), 2, NULL);
}

static tears_status insert_many(tears_session *session)
{
    struct tears_field fields[MANY][2];
    struct tears_row_input rows[MANY];
    for (int64_t i = 0; i < MANY; i++) {
        fields[i][0] = field_int("id", ROW + i);
        fields[i][1] = field_text("body", "new");
        rows[i] = (struct tears_row_input){.fields = fields[i], .field_count = 2};
    }
    return tears_upsert_many(session, here.notes, rows, MANY, NULL);
}

static tears_status update(tears_session *session)
{
    const struct tears_value key = tears_int(ROW);
    const struct tears_field field = field_text("body", "changed");
    tears_entity *entity = NULL;
    const tears_status status = tears_get(session, here.notes, &key, 1, &entity);
    return status == TEARS_OK ? tears_update(session, entity, &field, 1, NULL) : status;
}

static tears_status put_field(tears_session *session)
{
    const struct tears_value key = tears_int(ROW);
    return tears_put_field(session, here.notes, &key, 1, TEARS_STR("body"),
                           tears_text(TEARS_STR("changed")));
}

static tears_status delete_row(tears_session *session)
{
    const struct tears_value key = tears_int(ROW);
    return tears_delete(session, here.notes, &key, 1);
}

static tears_status look(tears_session *session)
{
    const struct tears_value key = tears_int(ROW);
    tears_entity *entity = NULL;
    const tears_status status = tears_get(session, here.notes, &key, 1, &entity);
    if (status == TEARS_OK)
        assert_string_equal(embedded_text(entity, "body"), "one");
    return status;
}

static tears_status flush(tears_session *session)
{
    return tears_flush(session, NULL, 0, 10000, NULL);
}

static const struct operation operations[] = {
    {"insert", true, "", "new", insert},
    {"upsert of many, first pending", false, "one", "new", insert_many},
    {"update of a pending row", false, "one", "changed", update},
    {"update of a row", true, "one", "changed", update},
    {"field of a pending row", false, "one", "changed", put_field},
    {"field of a row", true, "one", "changed", put_field},
    {"deletion of a pending row", false, "one", "", delete_row},
    {"deletion of a row", true, "one", "", delete_row},
    {"read of a pending row", false, "one", "one", look},
    {"flush", false, "one", "one", flush},
};

static void no_failed_allocation_of_a_call_loses_or_makes_a_write(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
        run_until_whole(&operations[i]);
}

/* ---- opening with rows that wait ------------------------------------------------------------------------------- */

static tears_status try_to_open(struct deferring *process)
{
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    struct tears_collection_options deferred = TEARS_COLLECTION_OPTIONS_INIT;
    struct tears_error error;
    options.l3_url = tears_str_c(deferring_case.url);
    options.l2_url = TEARS_STR("none");
    options.journal_path = tears_str_c(process->journal);
    options.flush_shutdown_ms = 1;
    deferred.flush_strategy = TEARS_FLUSH_ON_CHECKPOINT;
    const tears_status status = tears_client_open(&options, &process->client, &error);
    if (status != TEARS_OK)
        return status;
    return tears_collection_open(process->client, TEARS_STR("notes"), &deferred, &process->notes,
                                 &error);
}

static void no_failed_allocation_of_an_opening_loses_what_waits(void **state)
{
    (void)state;
    uint64_t faults = 0;
    deferring_insert(&here, 1, "waits");
    deferring_insert_child(&here, 2, 1);
    for (uint64_t nth = 1;; nth++) {
        struct deferring next = {.client = NULL};
        assert_true(nth < FAULTS_MAX);
        (void)snprintf(next.journal, sizeof next.journal, "%s", here.journal);
        deferring_run(&deferring_case, "ALTER TABLE notes RENAME TO elsewhere"); /* no last flush */
        deferring_close(&here);
        deferring_run(&deferring_case, "ALTER TABLE elsewhere RENAME TO notes");
        t3_alloc_fail_at(nth);
        const tears_status status = try_to_open(&next);
        const uint64_t made = t3_alloc_count();
        t3_alloc_fail_at(0);
        if (status != TEARS_OK && status != TEARS_NO_MEMORY)
            fail_msg("allocation %llu: %s", (unsigned long long)nth, tears_status_name(status));
        tears_client_free(next.client);
        deferring_open(&here, &deferring_case, NULL);
        assert_string_equal(deferring_body(&here, 1), "waits");
        assert_string_equal(deferring_body(&here, 2), "child");
        assert_int_equal(deferring_stats(&here).dead_letters, 0);
        (void)deferring_flush(&here);
        assert_int_equal(deferring_rows_in_l3(&here), 2);
        deferring_sql(&here, "DELETE FROM notes");
        assert_int_equal(
            tears_invalidate(here.session, here.notes, (struct tears_value[]){tears_int(1)}, 1),
            TEARS_OK);
        assert_int_equal(
            tears_invalidate(here.session, here.notes, (struct tears_value[]){tears_int(2)}, 1),
            TEARS_OK);
        deferring_insert(&here, 1, "waits");
        deferring_insert_child(&here, 2, 1);
        faults += status == TEARS_NO_MEMORY ? 1 : 0;
        if (made < nth)
            break;
    }
    print_message("%llu allocations refused\n", (unsigned long long)faults);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_failed_allocation_of_a_call_loses_or_makes_a_write,
                                        begin, end),
        cmocka_unit_test_setup_teardown(no_failed_allocation_of_an_opening_loses_what_waits, begin,
                                        end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
