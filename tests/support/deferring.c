/*
 * deferring.c -- see deferring.h.
 */
#include "support/deferring.h"

#include "support/embedded.h"
#include "support/pg_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { BODY_BYTES = 64, SHUTDOWN_MS = 5000 };

static const char table_sql[] =
    "CREATE TABLE notes (id BIGINT PRIMARY KEY, body TEXT NOT NULL CHECK (length(body) <= 40), "
    "parent BIGINT REFERENCES notes (id), row_version BIGINT NOT NULL DEFAULT 1)";

void deferring_run(const struct deferring_database *database, const char *sql)
{
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    struct tears_error error;
    tears_client *client = NULL;
    tears_session *session = NULL;
    options.l3_url = tears_str_c(database->url);
    options.l2_url = TEARS_STR("none");
    if (tears_client_open(&options, &client, &error) != TEARS_OK)
        fail_msg("open: %s", error.message);
    assert_int_equal(tears_session_new(client, NULL, &session), TEARS_OK);
    if (tears_execute(session, tears_str_c(sql), NULL, 0, NULL) != TEARS_OK)
        fail_msg("%s", tears_session_error(session)->message);
    tears_session_free(session);
    tears_client_free(client);
}

void deferring_on_sqlite(struct deferring_database *database)
{
    temp_folder_make_in_memory(&database->folder);
    (void)snprintf(database->url, sizeof database->url, "sqlite:%s",
                   temp_folder_path(&database->folder, "l3.db"));
    deferring_run(database, table_sql);
}

void deferring_on_postgresql(struct deferring_database *database)
{
    temp_folder_make_in_memory(&database->folder);
    test_pg_database(database->url, sizeof database->url);
    deferring_run(database, table_sql);
}

void deferring_end(struct deferring_database *database)
{
    temp_folder_remove(&database->folder);
}

struct deferring_database deferring_case;

int deferring_set_up_sqlite(void **state)
{
    (void)state;
    deferring_on_sqlite(&deferring_case);
    return 0;
}

int deferring_set_up_postgresql(void **state)
{
    (void)state;
    deferring_on_postgresql(&deferring_case);
    return 0;
}

int deferring_tear_down(void **state)
{
    (void)state;
    deferring_end(&deferring_case);
    return 0;
}

static void open_collection(struct deferring *process, const struct deferring_options *given)
{
    struct tears_collection_options options = TEARS_COLLECTION_OPTIONS_INIT;
    struct tears_error error;
    options.flush_strategy = given->strategy != 0 ? given->strategy : TEARS_FLUSH_ON_CHECKPOINT;
    if (given->not_deferred)
        options.flush_strategy = TEARS_FLUSH_ALWAYS;
    options.on_stale = given->on_stale;
    options.merge = given->merge;
    if (tears_collection_open(process->client, TEARS_STR("notes"), &options, &process->notes,
                              &error) != TEARS_OK)
        fail_msg("collection: %s", error.message);
}

tears_status deferring_try_open(struct deferring *process,
                                const struct deferring_database *database,
                                const struct deferring_options *given,
                                struct tears_error *error_out)
{
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    (void)snprintf(
        process->journal, sizeof process->journal, "%s",
        temp_folder_path(&database->folder, given->journal != NULL ? given->journal : "journal"));
    options.l3_url = tears_str_c(database->url);
    options.l2_url = tears_str_c(given->l2_url != NULL ? given->l2_url : "none");
    options.namespace_name = tears_str_c(given->space);
    options.l2_storage = TEARS_STR("file");
    if (!given->not_deferred)
        options.journal_path = tears_str_c(process->journal);
    options.journal_durability = given->durability;
    options.journal_full = given->full;
    options.journal_rows_max = given->rows_max;
    options.journal_bytes_max = given->bytes_max;
    options.journal_flush_rows = given->flush_rows;
    options.journal_take_over_ms = given->take_over_ms;
    options.flush_interval_ms = given->interval_ms;
    options.flush_shutdown_ms = given->shutdown_ms != 0 ? given->shutdown_ms : SHUTDOWN_MS;
    const tears_status status = tears_client_open(&options, &process->client, error_out);
    if (status != TEARS_OK)
        return status;
    assert_int_equal(tears_session_new(process->client, NULL, &process->session), TEARS_OK);
    open_collection(process, given);
    return TEARS_OK;
}

void deferring_open(struct deferring *process, const struct deferring_database *database,
                    const struct deferring_options *given)
{
    static const struct deferring_options none;
    struct tears_error error;
    if (deferring_try_open(process, database, given != NULL ? given : &none, &error) != TEARS_OK)
        fail_msg("open: %s", error.message);
}

void deferring_close(struct deferring *process)
{
    tears_session_free(process->session);
    tears_client_free(process->client);
    memset(process, 0, sizeof *process);
}

static void insert(struct deferring *process, const struct tears_field *fields, size_t count)
{
    if (tears_insert(process->session, process->notes, fields, count, NULL) != TEARS_OK)
        fail_msg("insert: %s", tears_session_error(process->session)->message);
    tears_session_reset(process->session);
}

void deferring_insert(struct deferring *process, int64_t id, const char *body)
{
    const struct tears_field fields[] = {field_int("id", id), field_text("body", body)};
    insert(process, fields, 2);
}

void deferring_insert_child(struct deferring *process, int64_t id, int64_t parent)
{
    const struct tears_field fields[] = {field_int("id", id), field_text("body", "child"),
                                         field_int("parent", parent)};
    insert(process, fields, 3);
}

tears_entity *deferring_get(struct deferring *process, int64_t id)
{
    const struct tears_value key = tears_int(id);
    tears_entity *entity = NULL;
    const tears_status status = tears_get(process->session, process->notes, &key, 1, &entity);
    if (status != TEARS_OK && status != TEARS_NOT_FOUND)
        fail_msg("get: %s", tears_session_error(process->session)->message);
    return entity;
}

tears_status deferring_update(struct deferring *process, int64_t id, const char *body)
{
    const struct tears_field field = field_text("body", body);
    tears_entity *entity = deferring_get(process, id);
    assert_non_null(entity);
    return tears_update(process->session, entity, &field, 1, NULL);
}

const char *deferring_body(struct deferring *process, int64_t id)
{
    static char body[BODY_BYTES];
    tears_entity *entity = deferring_get(process, id);
    (void)snprintf(body, sizeof body, "%s", entity != NULL ? embedded_text(entity, "body") : "");
    tears_session_reset(process->session);
    return body;
}

/* The one value of a query, or NULL. */
static tears_status query_one(struct deferring *process, const char *sql, int64_t id,
                              struct tears_value *value_out)
{
    const struct tears_value param = tears_int(id);
    const struct tears_field *fields = NULL;
    tears_cursor *cursor = NULL;
    size_t count = 0;
    if (tears_query(process->session, tears_str_c(sql), &param, 1, &cursor) != TEARS_OK)
        fail_msg("%s", tears_session_error(process->session)->message);
    const tears_status status = tears_cursor_next(cursor, &fields, &count);
    if (status == TEARS_OK)
        *value_out = fields[0].value;
    return status;
}

const char *deferring_body_in_l3(struct deferring *process, int64_t id)
{
    static char body[BODY_BYTES];
    struct tears_value value = tears_null();
    body[0] = '\0';
    if (query_one(process, "SELECT body FROM notes WHERE id = $1", id, &value) == TEARS_OK)
        (void)snprintf(body, sizeof body, "%.*s", (int)value.as.bytes.len, value.as.bytes.ptr);
    tears_session_reset(process->session);
    return body;
}

int64_t deferring_number_above(struct deferring *process, const char *sql, int64_t id)
{
    struct tears_value value = tears_null();
    assert_int_equal(query_one(process, sql, id, &value), TEARS_OK);
    assert_int_equal(value.kind, TEARS_KIND_INT);
    const int64_t number = value.as.integer;
    tears_session_reset(process->session);
    return number;
}

int64_t deferring_rows_in_l3(struct deferring *process)
{
    return deferring_number_above(process, "SELECT count(*) FROM notes WHERE id > $1",
                                  INT64_MIN + 1);
}

struct tears_flush_result deferring_flush(struct deferring *process)
{
    struct tears_flush_result result = TEARS_FLUSH_RESULT_INIT;
    if (tears_flush(process->session, NULL, 0, 20000, &result) != TEARS_OK)
        fail_msg("flush: %s", tears_session_error(process->session)->message);
    return result;
}

struct tears_client_stats deferring_stats(const struct deferring *process)
{
    struct tears_client_stats stats = TEARS_CLIENT_STATS_INIT;
    tears_client_stats(process->client, &stats);
    return stats;
}

void deferring_sql(struct deferring *process, const char *sql)
{
    if (tears_execute(process->session, tears_str_c(sql), NULL, 0, NULL) != TEARS_OK)
        fail_msg("%s", tears_session_error(process->session)->message);
}
