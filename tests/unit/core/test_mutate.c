/*
 * test_mutate.c -- rows that live in L2 and change by compare-and-swap (spec core.md 20.7, W-22).
 */
#include "support/embedded.h"
#include "support/nats_server.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

struct process {
    struct embedded world;
    tears_collection *counters;
};

static tears_schema *schema;
static struct process a;
static struct process b;
static char namespace_name[32];
static struct test_nats *own_server;

/* counters(id, total, note, kind immutable, date_created, date_updated, row_version) */
static tears_schema *make_schema(bool versioned)
{
    static const struct tears_str key[] = {{"id", 2}};
    const struct tears_column_def columns[] = {
        {.name = TEARS_STR("id"), .type = TEARS_TYPE_STRING},
        {.name = TEARS_STR("total"), .type = TEARS_TYPE_BIGINT},
        {.name = TEARS_STR("note"), .type = TEARS_TYPE_STRING, .nullable = true},
        {.name = TEARS_STR("kind"), .type = TEARS_TYPE_STRING, .nullable = true, .immutable = true},
        {.name = TEARS_STR("date_created"), .type = TEARS_TYPE_TIMESTAMPTZ},
        {.name = TEARS_STR("date_updated"), .type = TEARS_TYPE_TIMESTAMPTZ},
        {.name = TEARS_STR("row_version"), .type = TEARS_TYPE_BIGINT, .nullable = true},
    };
    const struct tears_schema_def def = {
        .name = TEARS_STR("counters"),
        .primary_key = key,
        .primary_key_count = 1,
        .columns = columns,
        .column_count = 7,
        .version_column = versioned ? TEARS_STR("row_version") : tears_str_c(NULL),
    };
    tears_schema *made = NULL;
    struct tears_error error = {0};
    if (tears_schema_new(&def, &made, &error) != TEARS_OK)
        fail_msg("schema: %s", error.message);
    return made;
}

static void start(struct process *process, const char *url)
{
    struct tears_collection_options options = TEARS_COLLECTION_OPTIONS_INIT;
    struct tears_error error;
    embedded_open_shared(&process->world, url, namespace_name);
    options.schema = schema;
    options.no_l3 = 1;
    if (tears_collection_open(process->world.client, TEARS_STR("counters"), &options,
                              &process->counters, &error) != TEARS_OK)
        fail_msg("counters: %s", error.message);
}

static void open_on(const char *url, bool versioned)
{
    test_namespace(namespace_name);
    schema = make_schema(versioned);
    start(&a, url);
    start(&b, url);
}

static int open_world(void **state)
{
    (void)state;
    open_on(test_nats_shared_url(), true);
    return 0;
}

static int open_unversioned_world(void **state)
{
    (void)state;
    open_on(test_nats_shared_url(), false);
    return 0;
}

static int open_own_world(void **state)
{
    const struct test_nats_options small = {.config = "max_payload: 8192"};
    (void)state;
    own_server = test_nats_start(&small);
    open_on(test_nats_url(own_server), true);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    embedded_close(&a.world);
    embedded_close(&b.world);
    tears_schema_free(schema);
    test_nats_free(own_server);
    own_server = NULL;
    return 0;
}

/* ---- what is decided ----------------------------------------------------------------------- */

struct decision {
    uint64_t action;
    const char *note;
    tears_status status;
    int calls;
    void (*meanwhile)(void); /* called at the first call */
};

static tears_status decide(void *owner, tears_session *session, const tears_entity *current,
                           struct tears_mutation *mutation_out)
{
    struct decision *decision = owner;
    if (decision->calls++ == 0 && decision->meanwhile != NULL)
        decision->meanwhile();
    if (decision->status != TEARS_OK)
        return decision->status;
    struct tears_field *fields = tears_session_alloc(session, 2 * sizeof *fields);
    assert_non_null(fields);
    fields[0] = field_int("total", current != NULL ? embedded_int(current, "total") + 1 : 1);
    fields[1] = field_text("note", decision->note != NULL ? decision->note : "");
    mutation_out->action = decision->action;
    mutation_out->fields = fields;
    mutation_out->field_count = 2;
    return TEARS_OK;
}

static tears_status mutate(struct process *process, const char *id, struct decision *decision,
                           tears_entity **entity_out)
{
    const struct tears_value key = tears_text(tears_str_c(id));
    return tears_l2_mutate(process->world.session, process->counters, &key, 1, decide, decision,
                           entity_out);
}

static tears_entity *add(struct process *process, const char *id)
{
    struct decision decision = {.action = TEARS_MUTATE_UPSERT};
    tears_entity *entity = NULL;
    if (mutate(process, id, &decision, &entity) != TEARS_OK)
        fail_msg("add: %s", tears_session_error(process->world.session)->message);
    return entity;
}

static tears_status get(struct process *process, const char *id, tears_entity **entity_out)
{
    const struct tears_value key = tears_text(tears_str_c(id));
    return tears_get(process->world.session, process->counters, &key, 1, entity_out);
}

static int64_t total_in(struct process *process, const char *id)
{
    tears_entity *entity = NULL;
    const tears_status status = get(process, id, &entity);
    return status == TEARS_OK ? embedded_int(entity, "total") : -(int64_t)status;
}

static bool wait_for_total(struct process *process, const char *id, int64_t total)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    for (int i = 0; i < 400 && total_in(process, id) != total; i++)
        nanosleep(&pause, NULL);
    return total_in(process, id) == total;
}

static struct tears_client_stats stats_of(const struct process *process)
{
    struct tears_client_stats stats = TEARS_CLIENT_STATS_INIT;
    tears_client_stats(process->world.client, &stats);
    return stats;
}

static int64_t time_in(const tears_entity *entity, const char *column)
{
    struct tears_value value;
    assert_int_equal(tears_entity_get(entity, tears_str_c(column), &value), TEARS_OK);
    assert_int_equal(value.kind, TEARS_KIND_TIMESTAMP);
    return value.as.integer;
}

/* ---- tests --------------------------------------------------------------------------------- */

static void a_row_is_made_changed_and_seen_by_all(void **state)
{
    (void)state;
    tears_entity *entity = add(&a, "x");
    assert_int_equal(embedded_int(entity, "total"), 1);
    assert_int_equal(tears_entity_version(entity), 1);
    assert_int_equal(total_in(&b, "x"), 1);
    const int64_t created = time_in(entity, "date_created");
    const int64_t updated = time_in(entity, "date_updated");
    assert_true(created > 0 && updated > 0);
    entity = add(&b, "x");
    assert_int_equal(embedded_int(entity, "total"), 2);
    assert_int_equal(tears_entity_version(entity), 2);
    assert_int_equal(time_in(entity, "date_created"), created);
    assert_true(time_in(entity, "date_updated") > updated);
    assert_true(wait_for_total(&a, "x", 2));
    assert_int_equal(tears_session_tier(b.world.session), TEARS_TIER_L2);
    assert_int_equal(stats_of(&b).mutations, 1);
}

static void the_writer_reads_its_row_from_l1(void **state)
{
    (void)state;
    (void)add(&a, "x");
    assert_int_equal(total_in(&a, "x"), 1);
    assert_int_equal(tears_session_tier(a.world.session), TEARS_TIER_L1);
}

static void nothing_writes_and_tells_nothing(void **state)
{
    (void)state;
    (void)add(&a, "x");
    const uint64_t sent = stats_of(&a).notices_sent;
    struct decision nothing = {.action = TEARS_MUTATE_NOTHING};
    tears_entity *entity = NULL;
    assert_int_equal(mutate(&a, "x", &nothing, &entity), TEARS_OK);
    assert_int_equal(embedded_int(entity, "total"), 1);
    assert_int_equal(mutate(&a, "absent", &nothing, &entity), TEARS_OK);
    assert_null(entity);
    assert_int_equal(stats_of(&a).notices_sent, sent);
    assert_int_equal(stats_of(&a).mutations, 1);
}

static void a_deleted_row_is_gone_and_its_successor_is_newer(void **state)
{
    (void)state;
    (void)add(&a, "x");
    (void)add(&a, "x");
    assert_int_equal(total_in(&b, "x"), 2);
    struct decision remove = {.action = TEARS_MUTATE_DELETE};
    tears_entity *entity = NULL;
    assert_int_equal(mutate(&a, "x", &remove, &entity), TEARS_OK);
    assert_null(entity);
    assert_true(wait_for_total(&b, "x", -(int64_t)TEARS_NOT_FOUND));
    assert_int_equal(total_in(&a, "x"), -(int64_t)TEARS_NOT_FOUND);
    entity = add(&b, "x");
    assert_int_equal(embedded_int(entity, "total"), 1);
    assert_int_equal(tears_entity_version(entity), 4); /* 1, 2, the marker's 3 */
    assert_int_equal(mutate(&a, "never", &remove, &entity), TEARS_OK);
    assert_null(entity);
}

static void raise_in_b(void)
{
    (void)add(&b, "x");
}

static void remove_in_b(void)
{
    struct decision remove = {.action = TEARS_MUTATE_DELETE};
    assert_int_equal(mutate(&b, "x", &remove, NULL), TEARS_OK);
}

static void who_loses_decides_again(void **state)
{
    (void)state;
    (void)add(&a, "x");
    struct decision slow = {.action = TEARS_MUTATE_UPSERT, .meanwhile = raise_in_b};
    tears_entity *entity = NULL;
    assert_int_equal(mutate(&a, "x", &slow, &entity), TEARS_OK);
    assert_int_equal(embedded_int(entity, "total"), 3);
    assert_int_equal(slow.calls, 2);
    assert_int_equal(stats_of(&a).mutation_retries, 1);
    struct decision after_delete = {.action = TEARS_MUTATE_UPSERT, .meanwhile = remove_in_b};
    assert_int_equal(mutate(&a, "x", &after_delete, &entity), TEARS_OK);
    assert_int_equal(embedded_int(entity, "total"), 1);
}

/* W-22: a delete of a value seen as absent must not remove a racing creator's. */
static void a_deletion_of_nothing_removes_nothing(void **state)
{
    (void)state;
    struct decision remove = {.action = TEARS_MUTATE_DELETE, .meanwhile = raise_in_b};
    assert_int_equal(mutate(&a, "x", &remove, NULL), TEARS_OK);
    assert_int_equal(total_in(&b, "x"), 1);
}

static void a_function_that_fails_ends_it(void **state)
{
    (void)state;
    (void)add(&a, "x");
    struct decision refusing = {.action = TEARS_MUTATE_UPSERT, .status = TEARS_DENIED};
    assert_int_equal(mutate(&a, "x", &refusing, NULL), TEARS_DENIED);
    assert_non_null(strstr(tears_session_error(a.world.session)->message, "counters"));
    assert_int_equal(total_in(&b, "x"), 1);
}

static tears_status give_fields(void *owner, tears_session *session, const tears_entity *current,
                                struct tears_mutation *mutation_out)
{
    (void)session;
    (void)current;
    mutation_out->action = TEARS_MUTATE_UPSERT;
    mutation_out->fields = owner;
    mutation_out->field_count = 2;
    return TEARS_OK;
}

static void fields_are_checked(void **state)
{
    (void)state;
    const struct tears_value key = tears_text(TEARS_STR("x"));
    tears_session *session = a.world.session;
    struct tears_field kind[] = {field_int("total", 1), field_text("kind", "first")};
    struct tears_field other_kind[] = {field_int("total", 1), field_text("kind", "second")};
    struct tears_field other_key[] = {field_int("total", 1), field_text("id", "y")};
    struct tears_field own_key[] = {field_int("total", 1), field_text("id", "x")};
    struct tears_field no_total[] = {field_text("note", "a"), field_text("id", "x")};
    struct tears_field unknown[] = {field_int("total", 1), field_text("what", "b")};
#define GIVE(fields) tears_l2_mutate(session, a.counters, &key, 1, give_fields, fields, NULL)
    assert_int_equal(GIVE(no_total), TEARS_INVALID);
    assert_non_null(strstr(tears_session_error(session)->message, "'total'"));
    assert_int_equal(GIVE(kind), TEARS_OK);
    assert_int_equal(GIVE(kind), TEARS_OK);
    assert_int_equal(GIVE(other_kind), TEARS_INVALID);
    assert_int_equal(GIVE(other_key), TEARS_INVALID);
    assert_int_equal(GIVE(own_key), TEARS_OK);
    assert_int_equal(GIVE(unknown), TEARS_INVALID);
#undef GIVE
}

static void what_needs_l3_is_refused(void **state)
{
    (void)state;
    tears_session *session = a.world.session;
    const struct tears_value key = tears_text(TEARS_STR("x"));
    const struct tears_field fields[] = {field_text("id", "x"), field_int("total", 9)};
    struct tears_page_options page = TEARS_PAGE_OPTIONS_INIT;
    struct tears_page rows;
    tears_entity *entity = add(&a, "x");
    assert_int_equal(tears_upsert(session, a.counters, fields, 2, NULL), TEARS_UNSUPPORTED);
    assert_non_null(strstr(tears_session_error(session)->message, "tears_l2_mutate"));
    assert_int_equal(tears_update(session, entity, &fields[1], 1, NULL), TEARS_UNSUPPORTED);
    assert_int_equal(tears_delete(session, a.counters, &key, 1), TEARS_UNSUPPORTED);
    assert_int_equal(tears_page_read(session, a.counters, &page, &rows), TEARS_UNSUPPORTED);
    assert_int_equal(total_in(&b, "x"), 1);

    struct decision any = {.action = TEARS_MUTATE_UPSERT};
    assert_int_equal(tears_begin(session), TEARS_OK);
    assert_int_equal(mutate(&a, "x", &any, NULL), TEARS_MISUSE);
    assert_int_equal(tears_rollback(session), TEARS_OK);

    embedded_sql(&a.world, "CREATE TABLE durable (id TEXT NOT NULL PRIMARY KEY, total BIGINT)");
    struct process durable = {.world = a.world,
                              .counters = embedded_collection(&a.world, "durable")};
    assert_int_equal(mutate(&durable, "x", &any, NULL), TEARS_MISUSE);
}

/* What drops copies elsewhere must not drop the only one there is. */
static void invalidation_and_reload_keep_the_row(void **state)
{
    (void)state;
    const struct tears_value key = tears_text(TEARS_STR("x"));
    tears_entity *entity = add(&a, "x");
    assert_int_equal(tears_invalidate(a.world.session, a.counters, &key, 1), TEARS_OK);
    assert_int_equal(total_in(&a, "x"), 1);
    assert_int_equal(tears_entity_reload(entity), TEARS_OK);
    assert_int_equal(embedded_int(entity, "total"), 1);
    assert_int_equal(total_in(&b, "x"), 1);
    assert_int_equal(tears_session_set_consistency(b.world.session, TEARS_READ_STRONG, 0),
                     TEARS_OK);
    assert_int_equal(total_in(&b, "x"), 1);
}

static void options_are_checked(void **state)
{
    (void)state;
    struct tears_collection_options options = TEARS_COLLECTION_OPTIONS_INIT;
    struct tears_error error;
    tears_collection *collection = NULL;
    tears_schema *another = make_schema(true);
    options.no_l3 = 1;
    assert_int_equal(
        tears_collection_open(a.world.client, TEARS_STR("orphans"), &options, &collection, &error),
        TEARS_INVALID);
    assert_non_null(strstr(error.message, "schema"));
    struct embedded lone;
    embedded_open(&lone, "");
    options.schema = another;
    assert_int_equal(
        tears_collection_open(lone.client, TEARS_STR("counters"), &options, &collection, &error),
        TEARS_INVALID);
    assert_non_null(strstr(error.message, "L2"));
    embedded_close(&lone);
    tears_schema_free(another);
}

static void without_l2_nothing_is_known(void **state)
{
    (void)state;
    (void)add(&a, "x");
    test_nats_kill(own_server);
    struct decision any = {.action = TEARS_MUTATE_UPSERT};
    const tears_status status = mutate(&a, "x", &any, NULL);
    assert_true(status == TEARS_UNAVAILABLE || status == TEARS_TIMEOUT);
    assert_int_equal(total_in(&b, "x"), -(int64_t)TEARS_UNAVAILABLE); /* and not "no such row" */
}

static void a_row_that_is_too_large_is_a_limit(void **state)
{
    (void)state;
    static char note[10000];
    memset(note, 'n', sizeof note - 1);
    (void)add(&a, "x");
    struct decision large = {.action = TEARS_MUTATE_UPSERT, .note = note};
    assert_int_equal(mutate(&a, "x", &large, NULL), TEARS_LIMIT);
    assert_non_null(strstr(tears_session_error(a.world.session)->message, "counters"));
    assert_int_equal(total_in(&b, "x"), 1);
    assert_int_equal(embedded_int(add(&a, "x"), "total"), 2);
}

/* ---- many at once -------------------------------------------------------------------------- */

enum { THREADS = 8, TIMES = 500 };

static void *add_many(void *owner)
{
    struct process *process = owner;
    tears_session *session = NULL;
    struct process mine = *process;
    if (tears_session_new(process->world.client, NULL, &session) != TEARS_OK)
        return process; /* anything but NULL: it failed */
    mine.world.session = session;
    void *failed = NULL;
    for (int i = 0; i < TIMES && failed == NULL; i++) {
        struct decision decision = {.action = TEARS_MUTATE_UPSERT};
        if (mutate(&mine, "x", &decision, NULL) != TEARS_OK) {
            print_message("mutate: %s\n", tears_session_error(session)->message);
            failed = process;
        }
        tears_session_reset(session);
    }
    tears_session_free(session);
    return failed;
}

static void every_increment_of_two_processes_counts(void **state)
{
    (void)state;
    pthread_t threads[2 * THREADS];
    for (int i = 0; i < 2 * THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, i % 2 == 0 ? &a : &b), 0);
    for (int i = 0; i < 2 * THREADS; i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_true(wait_for_total(&a, "x", 2 * THREADS * TIMES));
    assert_true(wait_for_total(&b, "x", 2 * THREADS * TIMES));
    print_message(
        "%d increments, %llu retries\n", 2 * THREADS * TIMES,
        (unsigned long long)(stats_of(&a).mutation_retries + stats_of(&b).mutation_retries));
}

#define MUTATE_TEST(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)

int main(void)
{
    test_nats_alone();
    const struct CMUnitTest tests[] = {
        MUTATE_TEST(a_row_is_made_changed_and_seen_by_all),
        MUTATE_TEST(the_writer_reads_its_row_from_l1),
        MUTATE_TEST(nothing_writes_and_tells_nothing),
        MUTATE_TEST(a_deleted_row_is_gone_and_its_successor_is_newer),
        MUTATE_TEST(who_loses_decides_again),
        MUTATE_TEST(a_deletion_of_nothing_removes_nothing),
        MUTATE_TEST(a_function_that_fails_ends_it),
        MUTATE_TEST(fields_are_checked),
        MUTATE_TEST(what_needs_l3_is_refused),
        MUTATE_TEST(invalidation_and_reload_keep_the_row),
        cmocka_unit_test_setup_teardown(invalidation_and_reload_keep_the_row,
                                        open_unversioned_world, close_world),
        MUTATE_TEST(options_are_checked),
        cmocka_unit_test_setup_teardown(without_l2_nothing_is_known, open_own_world, close_world),
        cmocka_unit_test_setup_teardown(a_row_that_is_too_large_is_a_limit, open_own_world,
                                        close_world),
        MUTATE_TEST(every_increment_of_two_processes_counts),
        cmocka_unit_test_setup_teardown(every_increment_of_two_processes_counts,
                                        open_unversioned_world, close_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
