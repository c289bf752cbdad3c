/*
 * test_faults.c -- every failure that a public call can meet is met: allocation N fails, then N + 1,
 * until a call runs to its end without one.
 *
 * After each failure the status says so, the store is as it was before the call or as it is after a
 * success, what the caches answer is what the store holds, and the session goes on working.  Leaks
 * are found by the sanitizer build.
 */
#include "base/alloc.h"
#include "core/core.h"
#include "support/embedded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ROWS = 6, FAULTS_MAX = 4000, SESSION_BYTES = 4096, DUMP_BYTES = 4096 };

static struct embedded world;
static tears_collection *notes;
static tears_session *session; /* the one that meets the failures; a new one for each of them */
static tears_entity *held;     /* row 1, read through it */

/* ---- the world ----------------------------------------------------------------------------- */

static int open_with(const char *l1)
{
    embedded_open(&world, l1);
    embedded_sql(&world,
                 "CREATE TABLE notes (id INTEGER PRIMARY KEY, title TEXT NOT NULL, "
                 "body TEXT, stars BIGINT NOT NULL DEFAULT 3, row_version BIGINT NOT NULL)");
    notes = embedded_collection(&world, "notes");
    return 0;
}

static int open_memory(void **state)
{
    (void)state;
    return open_with("memory");
}

static int open_sqlite(void **state)
{
    (void)state;
    return open_with("sqlite");
}

static int open_without_l1(void **state)
{
    (void)state;
    return open_with("none");
}

static int close_world(void **state)
{
    (void)state;
    embedded_close(&world);
    return 0;
}

static void expect_ok(tears_session *with, tears_status status)
{
    if (status != TEARS_OK)
        fail_msg("%s: %s", tears_status_name(status), tears_session_error(with)->message);
}

static void invalidate_all(void)
{
    for (int64_t id = 1; id <= ROWS; id++) {
        const struct tears_value key = tears_int(id);
        expect_ok(world.session, tears_invalidate(world.session, notes, &key, 1));
    }
}

/* Rows 1, 2 and 3 in the store and, when `warm`, in L1; nothing else anywhere. */
static void set_up(bool warm, uint64_t memory_bytes_max)
{
    embedded_sql(&world, "DELETE FROM notes");
    embedded_sql(&world, "INSERT INTO notes (id, title, row_version) VALUES (1, 'one', 1), "
                         "(2, 'two', 1), (3, 'three', 1)");
    invalidate_all();
    struct tears_session_options options = TEARS_SESSION_OPTIONS_INIT;
    options.memory_bytes_max = memory_bytes_max;
    assert_int_equal(tears_session_new(world.client, &options, &session), TEARS_OK);
    const struct tears_value keys[] = {tears_int(1), tears_int(2), tears_int(3)};
    expect_ok(session, tears_get(session, notes, keys, 1, &held));
    for (size_t i = 0; i < 3; i++)
        expect_ok(session, tears_evict(session, notes, &keys[i], 1));
    if (warm)
        expect_ok(session, tears_ensure(session, notes, keys, 3, NULL));
    tears_session_reset(world.session);
}

/* All the store holds, as text. */
static void dump_store(char out[DUMP_BYTES])
{
    tears_cursor *cursor = NULL;
    const struct tears_field *fields;
    size_t count;
    expect_ok(world.session,
              tears_query(world.session,
                          TEARS_STR("SELECT coalesce(group_concat(id || '|' || title || '|' || "
                                    "coalesce(body, '-') || '|' || stars || '|' || row_version, "
                                    "';'), '') FROM (SELECT * FROM notes ORDER BY id)"),
                          NULL, 0, &cursor));
    assert_int_equal(tears_cursor_next(cursor, &fields, &count), TEARS_OK);
    snprintf(out, DUMP_BYTES, "%.*s", (int)fields[0].value.as.bytes.len,
             fields[0].value.as.bytes.ptr);
}

/* The same through the tiers, by key. */
static void dump_tiers(tears_session *with, char out[DUMP_BYTES])
{
    size_t used = 0;
    out[0] = '\0';
    for (int64_t id = 1; id <= ROWS; id++) {
        const struct tears_value key = tears_int(id);
        tears_entity *entity = NULL;
        const tears_status status = tears_get(with, notes, &key, 1, &entity);
        if (status == TEARS_NOT_FOUND)
            continue;
        expect_ok(with, status);
        const char *body = embedded_text(entity, "body");
        used += (size_t)snprintf(
            out + used, DUMP_BYTES - used, "%s%lld|%s|%s|%lld|%lld", used > 0 ? ";" : "",
            (long long)id, embedded_text(entity, "title"), strcmp(body, "NULL") == 0 ? "-" : body,
            (long long)embedded_int(entity, "stars"), (long long)tears_entity_version(entity));
    }
}

/* ---- the loop ------------------------------------------------------------------------------ */

struct operation {
    const char *name;
    tears_status (*run)(void);
    tears_status expected; /* of a run without a fault */
    bool warm;             /* rows 1 to 3 are in L1 before */
    void (*prepare)(void); /* what happens before; NULL: nothing */
    bool raw;              /* changes the store behind the caches' back */
};

static tears_status transaction(void);

static void check_after(const struct operation *operation, uint64_t nth, tears_status status,
                        const char *before)
{
    char store[DUMP_BYTES];
    char tiers[DUMP_BYTES];
    if (operation->run != transaction) /* whose last call is a rollback that succeeds */
        assert_int_equal(tears_session_error(session)->status, status);
    if (status != TEARS_NO_MEMORY && status != TEARS_LIMIT && status != operation->expected)
        fail_msg("%s, failure %llu: %s: %s", operation->name, (unsigned long long)nth,
                 tears_status_name(status), tears_session_error(session)->message);
    tears_session_reset(session);
    dump_store(store);
    if (operation->raw)
        invalidate_all();
    const bool refused = status == TEARS_NO_MEMORY || status == TEARS_LIMIT;
    if (refused && strcmp(store, before) != 0)
        fail_msg("%s, failure %llu: refused, but the store went from %s to %s", operation->name,
                 (unsigned long long)nth, before, store);
    dump_tiers(session, tiers);
    if (strcmp(store, tiers) != 0)
        fail_msg("%s, failure %llu (%s): the store has %s, the tiers give %s", operation->name,
                 (unsigned long long)nth, tears_status_name(status), store, tiers);
    assert_int_equal(tears_session_error(session)->status,
                     TEARS_NOT_FOUND); /* of the last row, which never exists */
}

static void run_until_whole(const struct operation *operation)
{
    char before[DUMP_BYTES];
    uint64_t faults = 0;
    for (uint64_t nth = 1;; nth++) {
        assert_true(nth < FAULTS_MAX);
        set_up(operation->warm, 0);
        if (operation->prepare != NULL)
            operation->prepare();
        dump_store(before);
        t3_alloc_fail_at(nth);
        const tears_status status = operation->run();
        const uint64_t made = t3_alloc_count();
        t3_alloc_fail_at(0);
        check_after(operation, nth, status, before);
        tears_session_free(session);
        faults += status == TEARS_NO_MEMORY;
        if (made < nth) {
            assert_int_equal(status, operation->expected);
            break;
        }
    }
    print_message("%-32s %llu allocations refused\n", operation->name, (unsigned long long)faults);
}

/* Leaves `left` bytes of the session's memory, of which there is no more to come. */
static void leave_memory(size_t left)
{
    const struct t3_arena *arena = &session->arena;
    const size_t free_bytes = (size_t)(arena->end - arena->at);
    assert_true(free_bytes >= left);
    if (free_bytes > left)
        assert_non_null(tears_session_alloc(session, free_bytes - left));
}

/* The same with a session whose memory ends a little later each time. */
static void run_until_enough(const struct operation *operation)
{
    char before[DUMP_BYTES];
    size_t left = 0;
    for (;; left += 8) {
        set_up(operation->warm, SESSION_BYTES);
        if (operation->prepare != NULL)
            operation->prepare();
        dump_store(before);
        leave_memory(left);
        const tears_status status = operation->run();
        if (status == TEARS_LIMIT && operation->run != transaction)
            assert_non_null(strstr(tears_session_error(session)->message, "memory_bytes_max"));
        assert_int_not_equal(status, TEARS_NO_MEMORY);
        check_after(operation, left, status, before);
        tears_session_free(session);
        if (status == operation->expected)
            break;
    }
    print_message("%-32s %zu bytes are enough\n", operation->name, left);
}

static void run_all(const struct operation *operations, size_t count)
{
    for (size_t i = 0; i < count; i++)
        run_until_whole(&operations[i]);
    for (size_t i = 0; i < count; i++)
        run_until_enough(&operations[i]);
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- reads --------------------------------------------------------------------------------- */

static tears_status get_one(void)
{
    const struct tears_value key = tears_int(1);
    tears_entity *entity = NULL;
    const tears_status status = tears_get(session, notes, &key, 1, &entity);
    assert_true((status == TEARS_OK) == (entity != NULL));
    return status;
}

static tears_status get_absent(void)
{
    const struct tears_value key = tears_int(ROWS);
    tears_entity *entity = NULL;
    return tears_get(session, notes, &key, 1, &entity);
}

static tears_status get_many(void)
{
    const struct tears_value keys[] = {tears_int(1), tears_int(ROWS), tears_int(3), tears_int(1)};
    tears_entity *entities[4] = {NULL, NULL, NULL, NULL};
    const tears_status status = tears_get_many(session, notes, keys, 4, entities);
    if (status == TEARS_OK) {
        assert_string_equal(embedded_text(entities[2], "title"), "three");
        assert_string_equal(embedded_text(entities[3], "title"), "one");
        assert_null(entities[1]);
    }
    return status;
}

static tears_status get_field(void)
{
    const struct tears_value key = tears_int(2);
    struct tears_value title;
    return tears_get_field(session, notes, &key, 1, TEARS_STR("title"), &title);
}

static tears_status ensure(void)
{
    const struct tears_value keys[] = {tears_int(1), tears_int(2), tears_int(ROWS)};
    size_t found = 0;
    const tears_status status = tears_ensure(session, notes, keys, 3, &found);
    if (status == TEARS_OK)
        assert_int_equal(found, 2);
    return status;
}

static tears_status read_page(void)
{
    const struct tears_str order = TEARS_STR("title");
    const struct tears_field filter = field_int("stars", 3);
    struct tears_page_options options = TEARS_PAGE_OPTIONS_INIT;
    struct tears_page page;
    options.row_max = 2;
    options.order_by = &order;
    options.order_by_count = 1;
    options.filters = &filter;
    options.filter_count = 1;
    tears_status status = tears_page_read(session, notes, &options, &page);
    if (status != TEARS_OK)
        return status;
    assert_int_equal(page.count, 2);
    options.cursor = page.next_cursor;
    status = tears_page_read(session, notes, &options, &page);
    if (status == TEARS_OK)
        assert_int_equal(page.count, 1);
    return status;
}

static tears_status query(void)
{
    const struct tears_value params[] = {tears_int(2)};
    tears_cursor *cursor = NULL;
    return tears_query(session, TEARS_STR("SELECT id, title, stars FROM notes WHERE id > $1"),
                       params, 1, &cursor);
}

static const struct operation reads[] = {
    {.name = "get, in L1", .run = get_one, .warm = true},
    {.name = "get, not in L1", .run = get_one},
    {.name = "get, nowhere", .run = get_absent, .expected = TEARS_NOT_FOUND},
    {.name = "get_many, in L1", .run = get_many, .warm = true},
    {.name = "get_many, not in L1", .run = get_many},
    {.name = "get_field, in L1", .run = get_field, .warm = true},
    {.name = "get_field, not in L1", .run = get_field},
    {.name = "ensure", .run = ensure},
    {.name = "page_read", .run = read_page},
    {.name = "query", .run = query},
};

static void reads_survive_every_refused_allocation(void **state)
{
    (void)state;
    run_all(reads, COUNT(reads));
}

/* ---- writes -------------------------------------------------------------------------------- */

/* A write that is done is OK even when its outcome could not be kept. */
static void check_written(tears_status status, const tears_entity *entity)
{
    if (status == TEARS_OK)
        assert_non_null(entity);
}

static tears_status insert_one(void)
{
    const struct tears_field fields[] = {field_int("id", 4), field_text("title", "four")};
    tears_entity *entity = NULL;
    const tears_status status = tears_insert(session, notes, fields, 2, &entity);
    check_written(status, entity);
    return status;
}

static tears_status insert_again(void)
{
    const struct tears_field fields[] = {field_int("id", 1), field_text("title", "again")};
    tears_entity *entity = NULL;
    return tears_insert(session, notes, fields, 2, &entity);
}

static tears_status update_one(void)
{
    const struct tears_field fields[] = {field_text("title", "changed"), field_int("stars", 5)};
    tears_entity *entity = NULL;
    const tears_status status = tears_update(session, held, fields, 2, &entity);
    check_written(status, entity);
    return status;
}

/* Another program changes row 1 behind the caches. */
static void change_by_others(void)
{
    embedded_sql(&world, "UPDATE notes SET row_version = 2, title = 'theirs' WHERE id = 1");
    invalidate_all();
}

static tears_status update_stale(void)
{
    const struct tears_field change = field_text("title", "mine");
    tears_entity *entity = NULL;
    return tears_update(session, held, &change, 1, &entity);
}

static tears_status upsert_one(void)
{
    const struct tears_field fields[] = {field_int("id", 2), field_text("title", "upserted")};
    tears_entity *entity = NULL;
    const tears_status status = tears_upsert(session, notes, fields, 2, &entity);
    check_written(status, entity);
    return status;
}

static tears_status delete_one(void)
{
    const struct tears_value key = tears_int(1);
    return tears_delete(session, notes, &key, 1);
}

static tears_status delete_held(void)
{
    return tears_delete_entity(session, held);
}

static tears_status insert_many(void)
{
    const struct tears_field fields[][2] = {{field_int("id", 4), field_text("title", "four")},
                                            {field_int("id", 5), field_text("title", "five")}};
    const struct tears_row_input rows[] = {{fields[0], 2, NULL}, {fields[1], 2, NULL}};
    struct tears_outcome outcomes[2];
    const tears_status status = tears_insert_many(session, notes, rows, 2, outcomes);
    for (size_t i = 0; status == TEARS_OK && i < 2; i++)
        assert_non_null(outcomes[i].entity);
    return status;
}

static tears_status insert_many_with_conflict(void)
{
    const struct tears_field fields[][2] = {{field_int("id", 4), field_text("title", "four")},
                                            {field_int("id", 1), field_text("title", "again")}};
    const struct tears_row_input rows[] = {{fields[0], 2, NULL}, {fields[1], 2, NULL}};
    struct tears_outcome outcomes[2];
    return tears_insert_many(session, notes, rows, 2, outcomes);
}

static tears_status update_many(void)
{
    const struct tears_field change = field_text("title", "changed");
    const struct tears_value key = tears_int(2);
    tears_entity *second = NULL;
    const tears_status status = tears_get(session, notes, &key, 1, &second);
    if (status != TEARS_OK)
        return status;
    const struct tears_row_input rows[] = {{&change, 1, held}, {&change, 1, second}};
    return tears_update_many(session, notes, rows, 2, NULL);
}

static tears_status upsert_many(void)
{
    const struct tears_field fields[][2] = {{field_int("id", 4), field_text("title", "four")},
                                            {field_int("id", 1), field_text("title", "again")}};
    const struct tears_row_input rows[] = {{fields[0], 2, NULL}, {fields[1], 2, NULL}};
    return tears_upsert_many(session, notes, rows, 2, NULL);
}

static tears_status delete_many(void)
{
    const struct tears_value keys[] = {tears_int(1), tears_int(3), tears_int(ROWS)};
    size_t deleted = 0;
    const tears_status status = tears_delete_many(session, notes, keys, 3, &deleted);
    if (status == TEARS_OK)
        assert_int_equal(deleted, 2);
    return status;
}

static tears_status execute(void)
{
    const struct tears_value params[] = {tears_int(4), tears_text(TEARS_STR("four"))};
    return tears_execute(session,
                         TEARS_STR("INSERT INTO notes (id, title, row_version) VALUES ($1, $2, 1)"),
                         params, 2, NULL);
}

static tears_status query_returning(void)
{
    tears_cursor *cursor = NULL;
    return tears_query(session,
                       TEARS_STR("INSERT INTO notes (id, title, row_version) VALUES (4, 'four', 1) "
                                 "RETURNING id, title, stars"),
                       NULL, 0, &cursor);
}

/* Two writes of one transaction: both are there, or neither. */
static tears_status transaction(void)
{
    const struct tears_field fields[] = {field_int("id", 4), field_text("title", "four")};
    const struct tears_field change = field_text("title", "changed");
    tears_status status = tears_begin(session);
    if (status != TEARS_OK)
        return status;
    status = tears_insert(session, notes, fields, 2, NULL);
    if (status == TEARS_OK)
        status = tears_update(session, held, &change, 1, NULL);
    if (status == TEARS_OK)
        return tears_commit(session);
    const struct tears_error error = *tears_session_error(session);
    assert_int_equal(tears_rollback(session), TEARS_OK);
    /* the check that follows wants the failure, not the rollback's success */
    assert_int_equal(error.status, status);
    return status;
}

static const struct operation writes[] = {
    {.name = "insert", .run = insert_one, .warm = true},
    {.name = "insert, row exists", .run = insert_again, .expected = TEARS_CONFLICT, .warm = true},
    {.name = "update, cold", .run = update_one},
    {.name = "update, warm", .run = update_one, .warm = true},
    {.name = "update, changed meanwhile",
     .run = update_stale,
     .expected = TEARS_CONFLICT,
     .prepare = change_by_others},
    {.name = "upsert", .run = upsert_one, .warm = true},
    {.name = "delete", .run = delete_one, .warm = true},
    {.name = "delete_entity", .run = delete_held, .warm = true},
    {.name = "insert_many", .run = insert_many, .warm = true},
    {.name = "insert_many, row exists",
     .run = insert_many_with_conflict,
     .expected = TEARS_CONFLICT,
     .warm = true},
    {.name = "update_many", .run = update_many, .warm = true},
    {.name = "upsert_many", .run = upsert_many, .warm = true},
    {.name = "delete_many", .run = delete_many, .warm = true},
    {.name = "execute", .run = execute, .warm = true, .raw = true},
    {.name = "query with RETURNING", .run = query_returning, .warm = true, .raw = true},
    {.name = "transaction", .run = transaction, .warm = true},
};

static void writes_survive_every_refused_allocation(void **state)
{
    (void)state;
    run_all(writes, COUNT(writes));
}

/* ---- entities ------------------------------------------------------------------------------ */

static tears_status save_changed(void)
{
    tears_status status =
        tears_entity_set(held, TEARS_STR("title"), tears_text(TEARS_STR("changed")));
    if (status == TEARS_OK)
        status = tears_entity_save(held);
    if (status == TEARS_OK) {
        assert_false(tears_entity_is_dirty(held));
        assert_string_equal(embedded_text(held, "title"), "changed");
    }
    return status;
}

static tears_status save_new(void)
{
    const struct tears_field fields[] = {field_int("id", 4), field_text("title", "four")};
    tears_entity *entity = NULL;
    tears_status status = tears_entity_new(session, notes, fields, 2, &entity);
    if (status == TEARS_OK)
        status = tears_entity_save(entity);
    if (status == TEARS_OK) {
        assert_false(tears_entity_is_new(entity));
        assert_int_equal(embedded_int(entity, "stars"), 3);
    }
    return status;
}

static tears_status reload(void)
{
    const tears_status status = tears_entity_reload(held);
    if (status == TEARS_OK)
        assert_string_equal(embedded_text(held, "title"), "theirs");
    else
        assert_string_equal(embedded_text(held, "title"), "one");
    return status;
}

static void change_held(void)
{
    expect_ok(session,
              tears_entity_set(held, TEARS_STR("body"), tears_text(TEARS_STR("mine only"))));
}

static tears_status copy(void)
{
    tears_entity *twin = NULL;
    const tears_status status = tears_entity_copy(held, session, &twin);
    if (status == TEARS_OK)
        assert_string_equal(embedded_text(twin, "body"), "mine only");
    return status;
}

static tears_status changes(void)
{
    const struct tears_field *fields = NULL;
    size_t count = 0;
    const tears_status status = tears_entity_changes(held, &fields, &count);
    if (status == TEARS_OK)
        assert_int_equal(count, 1);
    return status;
}

static tears_status json(void)
{
    struct tears_str text = TEARS_STR("");
    const tears_status status = tears_entity_json(held, &text);
    if (status == TEARS_OK)
        assert_non_null(strstr(text.ptr, "\"title\""));
    return status;
}

static tears_status fields_from_json(void)
{
    const struct tears_field *fields = NULL;
    size_t count = 0;
    const tears_status status = tears_fields_from_json(
        session, tears_collection_schema(notes),
        TEARS_STR("{\"id\": 4, \"title\": \"\\u00e9\", \"stars\": 9, \"body\": null}"), &fields,
        &count);
    if (status == TEARS_OK)
        assert_int_equal(count, 4);
    return status;
}

static tears_status value_parse(void)
{
    struct tears_value value;
    return tears_value_parse(session, tears_collection_schema(notes), TEARS_STR("title"),
                             TEARS_STR("some text"), &value);
}

static tears_status value_json(void)
{
    const struct tears_value value = tears_text(TEARS_STR("some text"));
    struct tears_str text;
    return tears_value_json(session, &value, &text);
}

static const struct operation entities[] = {
    {.name = "save, changed", .run = save_changed, .warm = true},
    {.name = "save, new", .run = save_new, .warm = true},
    {.name = "reload", .run = reload, .prepare = change_by_others},
    {.name = "copy", .run = copy, .prepare = change_held},
    {.name = "changes", .run = changes, .prepare = change_held},
    {.name = "json", .run = json},
    {.name = "fields_from_json", .run = fields_from_json},
    {.name = "value_parse", .run = value_parse},
    {.name = "value_json", .run = value_json},
};

static void entities_survive_every_refused_allocation(void **state)
{
    (void)state;
    run_all(entities, COUNT(entities));
}

/* ---- opening ------------------------------------------------------------------------------- */

static void a_client_opens_whole_or_not_at_all(void **state)
{
    (void)state;
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    char url[160];
    snprintf(url, sizeof url, "sqlite:%s", world.path);
    options.l3_url = tears_str_c(url);
    options.l2_url = TEARS_STR("none");
    for (uint64_t nth = 1;; nth++) {
        tears_client *client = NULL;
        tears_session *own = NULL;
        struct tears_error error;
        assert_true(nth < FAULTS_MAX);
        t3_alloc_fail_at(nth);
        tears_status status = tears_client_open(&options, &client, &error);
        if (status == TEARS_OK) {
            status = tears_session_new(client, NULL, &own);
            assert_true((status == TEARS_OK) == (own != NULL));
        } else {
            assert_null(client);
            assert_int_equal(error.status, status);
        }
        const uint64_t made = t3_alloc_count();
        t3_alloc_fail_at(0);
        if (status != TEARS_NO_MEMORY)
            assert_int_equal(status, TEARS_OK);
        tears_session_free(own);
        tears_client_free(client);
        if (made < nth)
            break;
    }
}

static void a_collection_opens_whole_or_not_at_all(void **state)
{
    (void)state;
    char table[32];
    for (uint64_t nth = 1;; nth++) {
        tears_collection *collection = NULL;
        struct tears_error error;
        char sql[160];
        assert_true(nth < FAULTS_MAX);
        snprintf(table, sizeof table, "table_%llu", (unsigned long long)nth);
        snprintf(sql, sizeof sql,
                 "CREATE TABLE %s (id INTEGER PRIMARY KEY, name TEXT, at TEXT DEFAULT 'x')", table);
        embedded_sql(&world, sql);
        t3_alloc_fail_at(nth);
        const tears_status status =
            tears_collection_open(world.client, tears_str_c(table), NULL, &collection, &error);
        const uint64_t made = t3_alloc_count();
        t3_alloc_fail_at(0);
        if (status != TEARS_OK) {
            assert_int_equal(status, TEARS_NO_MEMORY);
            assert_null(collection);
        }
        collection = embedded_collection(&world, table); /* the next attempt succeeds */
        const struct tears_field fields[] = {field_int("id", 1), field_text("name", "a")};
        expect_ok(world.session, tears_insert(world.session, collection, fields, 2, NULL));
        if (made < nth)
            break;
    }
}

#define ALL(suffix)                                                                               \
    cmocka_unit_test_setup_teardown(reads_survive_every_refused_allocation, open_##suffix,        \
                                    close_world),                                                 \
        cmocka_unit_test_setup_teardown(writes_survive_every_refused_allocation, open_##suffix,   \
                                        close_world),                                             \
        cmocka_unit_test_setup_teardown(entities_survive_every_refused_allocation, open_##suffix, \
                                        close_world),                                             \
        cmocka_unit_test_setup_teardown(a_client_opens_whole_or_not_at_all, open_##suffix,        \
                                        close_world),                                             \
        cmocka_unit_test_setup_teardown(a_collection_opens_whole_or_not_at_all, open_##suffix,    \
                                        close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {ALL(memory), ALL(sqlite), ALL(without_l1)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
