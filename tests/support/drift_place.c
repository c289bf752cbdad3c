/*
 * drift_place.c -- live tables, declared tables, and what is expected of their comparison.
 *
 * Owns:     the client of a place.
 * Threads:  one.
 * Fails:    ends the test.
 * Begin at: drift_place_compare().
 */
#include "support/drift_place.h"

#include "base/arena.h"
#include "base/str.h"
#include "core/core.h"
#include "data/drift_impl.h"
#include "data/sql_scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

void drift_place_open(struct drift_place *place, const char *l3_url, const char *schema)
{
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    struct tears_error error = {0};

    options.l3_url = tears_str_c(l3_url);
    options.l2_url = TEARS_STR("none");
    if (tears_client_open(&options, &place->client, &error) != TEARS_OK)
        fail_msg("open: %s", error.message);
    place->schema = tears_str_c(schema);
}

void drift_place_close(struct drift_place *place)
{
    tears_client_free(place->client);
    place->client = NULL;
}

/* ---- statements ------------------------------------------------------------------------------- */

static tears_status run_all(struct t3_admin *admin, const char *sql, struct tears_error *error)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    const bool is_lite = t3_admin_facts(admin)->dialect == T3_DIALECT_SQLITE;
    struct t3_sql_tokens tokens;
    struct t3_sql_range range;
    size_t at = 0;

    T3_TRY(
        t3_sql_scan(&arena, tears_str_c(sql), is_lite ? T3_SQL_SQLITE : T3_SQL_POSTGRES, &tokens));
    while (t3_sql_next(&tokens, &at, &range))
        T3_TRY(t3_admin_execute(admin, t3_sql_text(&tokens, range), error));
    return TEARS_OK;
}

static struct t3_admin *open_admin(const struct drift_place *place)
{
    const struct t3_admin_options options = {
        .schema = place->schema, .create_schema = true, .deadline = t3_deadline_in_ms(60000)};
    struct t3_admin *admin = NULL;
    struct tears_error error = {0};

    if (t3_admin_open(place->client->l3, &options, &admin, &error) != TEARS_OK)
        fail_msg("admin: %s", error.message);
    t3_admin_set_deadline(admin, t3_deadline_in_ms(60000));
    return admin;
}

void drift_place_run(const struct drift_place *place, const char *sql)
{
    struct tears_error error = {0};
    struct t3_admin *admin = open_admin(place);
    const tears_status status = run_all(admin, sql, &error);

    t3_admin_free(admin);
    if (status != TEARS_OK)
        fail_msg("%s: %s", sql, error.message);
}

int64_t drift_place_number(const struct drift_place *place, const char *sql)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct tears_error error = {0};
    struct t3_result result = {0};
    struct t3_admin *admin = open_admin(place);
    const struct t3_admin_statement statement = {.sql = tears_str_c(sql)};
    const tears_status status = t3_admin_run(admin, &statement, &arena, &result, &error);

    t3_admin_free(admin);
    if (status != TEARS_OK || result.row_count != 1)
        fail_msg("%s: %zu rows: %s", sql, result.row_count, error.message);
    return t3_result_number(&result, 0, 0);
}

/* ---- comparing -------------------------------------------------------------------------------- */

static tears_status declare(void *owner, struct t3_admin *scratch, struct tears_error *error_out)
{
    return run_all(scratch, owner, error_out);
}

tears_drift *drift_place_compare(const struct drift_place *place, const char *declared,
                                 bool destructive)
{
    struct tears_drift_options options = TEARS_DRIFT_OPTIONS_INIT;
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct tears_str text;
    struct tears_error error = {0};
    tears_drift *drift = NULL;

    options.schema = place->schema;
    options.destructive = destructive;
    assert_int_equal(t3_arena_str(&arena, tears_str_c(declared), &text), TEARS_OK);
    const struct t3_drift_source source = {declare, (void *)(uintptr_t)text.ptr};
    if (t3_drift_open(place->client, &options, &source, &drift, &error) != TEARS_OK)
        fail_msg("drift: %s", error.message);
    return drift;
}

static void show(const tears_drift *drift)
{
    struct tears_owned_text text = TEARS_OWNED_TEXT_INIT;
    struct tears_owned_text sql = TEARS_OWNED_TEXT_INIT;

    if (tears_drift_text(drift, &text) == TEARS_OK)
        print_error("%s", text.ptr);
    if (tears_drift_sql(drift, &sql) == TEARS_OK)
        print_error("%s", sql.ptr);
    tears_owned_text_free(&text);
    tears_owned_text_free(&sql);
}

void drift_expect_none(const tears_drift *drift, const char *what)
{
    if (tears_drift_count(drift) == 0)
        return;
    show(drift);
    fail_msg("%s: there are differences", what);
}

void drift_expect(const tears_drift *drift, const struct drift_seed *seed)
{
    struct tears_drift_finding finding;

    for (size_t i = 0; tears_drift_finding(drift, i, &finding) == TEARS_OK; i++)
        if (finding.difference == seed->difference && finding.object == seed->object &&
            t3_str_is(finding.table, seed->table) && t3_str_is(finding.name, seed->subject))
            return;
    show(drift);
    fail_msg("%s: the difference is not reported", seed->name);
}

void drift_expect_sql(const tears_drift *drift, const char *part)
{
    struct tears_owned_text sql = TEARS_OWNED_TEXT_INIT;

    assert_int_equal(tears_drift_sql(drift, &sql), TEARS_OK);
    if (strstr(sql.ptr, part) == NULL) {
        print_error("%s", sql.ptr);
        tears_owned_text_free(&sql);
        fail_msg("the script does not have: %s", part);
    }
    tears_owned_text_free(&sql);
}

void drift_repair(tears_drift *drift)
{
    struct tears_error error = {0};
    uint64_t done = 0;

    if (tears_drift_repair(drift, &done, &error) == TEARS_OK)
        return;
    show(drift);
    fail_msg("repair: %s", error.message);
}
