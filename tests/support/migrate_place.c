/*
 * migrate_place.c -- a database and a migrator on it.
 *
 * Threads:  one.
 * Fails:    the test.
 */
#include "support/migrate_place.h"

#include "support/pg_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void migrate_place_make(struct migrate_place *place, bool is_postgres)
{
    static const struct tears_migrator_options defaults = TEARS_MIGRATOR_OPTIONS_INIT;
    memset(place, 0, sizeof *place);
    place->is_postgres = is_postgres;
    place->options = defaults;
    temp_folder_make(&place->folder);
    if (is_postgres)
        test_pg_database(place->url, sizeof place->url);
    else
        (void)snprintf(place->url, sizeof place->url, "sqlite:%s",
                       temp_folder_path(&place->folder, "tears.db"));
    migrate_place_open(place);
}

void migrate_place_remove(struct migrate_place *place)
{
    migrate_place_close(place);
    temp_folder_remove(&place->folder);
}

void migrate_place_open(struct migrate_place *place)
{
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    struct tears_error error = {.status = TEARS_OK};
    options.l3_url = tears_str_c(place->url);
    options.l2_url = TEARS_STR("none");
    options.no_outbox = 1;
    if (tears_client_open(&options, &place->client, &error) != TEARS_OK)
        fail_msg("client: %s", error.message);
    assert_int_equal(tears_session_new(place->client, NULL, &place->session), TEARS_OK);
    migrate_place_anew(place);
}

void migrate_place_close(struct migrate_place *place)
{
    tears_migrator_free(place->migrator);
    tears_session_free(place->session);
    tears_client_free(place->client);
    place->migrator = NULL;
    place->session = NULL;
    place->client = NULL;
}

void migrate_place_anew(struct migrate_place *place)
{
    struct tears_error error = {.status = TEARS_OK};
    tears_migrator_free(place->migrator);
    place->migrator = NULL;
    if (tears_migrator_open(place->client, &place->options, &place->migrator, &error) != TEARS_OK)
        fail_msg("migrator: %s", error.message);
}

void migrate_place_sql(struct migrate_place *place, const char *sql)
{
    if (tears_execute(place->session, tears_str_c(sql), NULL, 0, NULL) != TEARS_OK)
        fail_msg("%s: %s", sql, tears_session_error(place->session)->message);
}

int64_t migrate_place_number(struct migrate_place *place, const char *sql)
{
    tears_cursor *cursor = NULL;
    const struct tears_field *fields;
    size_t count;
    if (tears_query(place->session, tears_str_c(sql), NULL, 0, &cursor) != TEARS_OK)
        return -1;
    assert_int_equal(tears_cursor_next(cursor, &fields, &count), TEARS_OK);
    assert_int_equal(fields[0].value.kind, TEARS_KIND_INT);
    const int64_t number = fields[0].value.as.integer;
    tears_cursor_free(cursor);
    return number;
}

bool migrate_place_has(struct migrate_place *place, const char *table)
{
    char sql[256];
    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", table);
    return migrate_place_number(place, sql) >= 0;
}

struct tears_migration_def migrate_sql(int64_t version, const char *up, const char *down)
{
    const struct tears_migration_def def = {.version = version,
                                            .description = TEARS_STR("a test"),
                                            .up_sql = tears_str_c(up),
                                            .down_sql = tears_str_c(down)};
    return def;
}

tears_status migrate_try_add(struct migrate_place *place, const char *name,
                             const struct tears_migration_def *versions, size_t count)
{
    struct tears_package_def def = TEARS_PACKAGE_DEF_INIT;
    def.name = tears_str_c(name);
    def.scope = TEARS_SCOPE_PLATFORM;
    def.migrations = versions;
    def.migration_count = count;
    return tears_migrator_add(place->migrator, &def);
}

static void must(struct migrate_place *place, tears_status status)
{
    if (status != TEARS_OK)
        fail_msg("%s: %s", tears_status_name(status),
                 tears_migrator_error(place->migrator)->message);
}

void migrate_add(struct migrate_place *place, const char *name,
                 const struct tears_migration_def *versions, size_t count)
{
    must(place, migrate_try_add(place, name, versions, count));
}

void migrate_up(struct migrate_place *place, uint64_t expected)
{
    uint64_t applied = 0;
    must(place, tears_migrate_up(place->migrator, NULL, &applied));
    assert_int_equal(applied, expected);
}

void migrate_down(struct migrate_place *place, uint64_t steps, uint64_t expected)
{
    struct tears_migrate_request request = TEARS_MIGRATE_REQUEST_INIT;
    uint64_t undone = 0;
    request.steps = steps;
    must(place, tears_migrate_down(place->migrator, &request, &undone));
    assert_int_equal(undone, expected);
}

/* ---- shapes ---- */

static const char *const shape_pg =
    "SELECT string_agg(line, E'\\n' ORDER BY line) FROM ("
    "SELECT c.relname || ' ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' '"
    " || a.attnotnull || ' ' || coalesce(pg_get_expr(d.adbin, d.adrelid), '') AS line"
    " FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0"
    " AND NOT a.attisdropped LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum"
    " WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'"
    " AND c.relname NOT LIKE '\\_%'"
    " UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema()"
    " AND tablename NOT LIKE '\\_%') AS shape";
static const char *const shape_lite =
    "SELECT group_concat(sql, char(10)) FROM (SELECT sql FROM sqlite_schema"
    " WHERE sql IS NOT NULL AND name NOT LIKE '\\_%' ESCAPE '\\' ORDER BY type, name)";

char *migrate_place_shape(struct migrate_place *place)
{
    tears_cursor *cursor = NULL;
    const struct tears_field *fields;
    size_t count;
    const char *sql = place->is_postgres ? shape_pg : shape_lite;
    if (tears_query(place->session, tears_str_c(sql), NULL, 0, &cursor) != TEARS_OK)
        fail_msg("%s", tears_session_error(place->session)->message);
    assert_int_equal(tears_cursor_next(cursor, &fields, &count), TEARS_OK);
    const struct tears_value value = fields[0].value;
    char *text = value.kind == TEARS_KIND_TEXT ? strndup(value.as.bytes.ptr, value.as.bytes.len)
                                               : strdup("");
    tears_cursor_free(cursor);
    return text;
}
