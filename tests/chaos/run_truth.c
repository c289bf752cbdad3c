/*
 * run_truth.c -- the tables of a run, the audit of their changes, and what both say in the end.
 *
 * Owns:     nothing but connections while they are used.
 * Must not know: the library's tables; its outbox is made through its own interface.
 * Threads:  one.
 * Fails:    returns false and says why on stderr.
 * Begin at: run_make_tables().
 */
#include "history_impl.h"
#include "run.h"
#include "support/pg_server.h"

#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>
#include <tears/tears.h>
#include <time.h>

/* One note for each change, in the transaction that makes it. */
static const char tables_sql[] =
    "CREATE TABLE chaos_audit (seq bigserial PRIMARY KEY, tbl int NOT NULL, key bigint NOT NULL,"
    " op \"char\" NOT NULL, stamp bigint NOT NULL, version bigint NOT NULL, was_there bool NOT "
    "NULL,"
    " at timestamptz NOT NULL);"
    "CREATE TABLE chaos_strict (id bigint PRIMARY KEY, stamp bigint NOT NULL, note text,"
    " date_updated timestamptz NOT NULL);"
    "CREATE TABLE chaos_relaxed (id bigint PRIMARY KEY, stamp bigint NOT NULL, note text,"
    " row_version bigint NOT NULL);"
    "CREATE TABLE chaos_outbox (LIKE chaos_relaxed INCLUDING ALL);"
    "CREATE FUNCTION chaos_note() RETURNS trigger LANGUAGE plpgsql AS $$\n"
    "DECLARE of_row jsonb := to_jsonb(CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END);\n"
    "        version bigint := 0;\n"
    "BEGIN\n"
    "  IF TG_OP <> 'DELETE' THEN\n"
    "    version := CASE WHEN of_row ? 'row_version' THEN (of_row->>'row_version')::bigint\n"
    "      ELSE (extract(epoch FROM (of_row->>'date_updated')::timestamptz) * 1000000)::bigint "
    "END;\n"
    "  END IF;\n"
    "  INSERT INTO chaos_audit (tbl, key, op, stamp, version, was_there, at)\n"
    "  VALUES (TG_ARGV[0]::int, (of_row->>'id')::bigint, left(TG_OP, 1)::\"char\",\n"
    "    CASE WHEN TG_OP = 'DELETE' THEN 0 ELSE (of_row->>'stamp')::bigint END, version,\n"
    "    TG_OP <> 'INSERT', clock_timestamp());\n"
    "  RETURN NULL;\n"
    "END $$;";

static bool run_sql(PGconn *connection, const char *sql)
{
    PGresult *result = PQexec(connection, sql);
    const ExecStatusType status = PQresultStatus(result);
    PQclear(result);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
        return true;
    fprintf(stderr, "chaos_run: %s\n", PQerrorMessage(connection));
    return false;
}

/*
 * An integer version begins at 1 with each life of a row: a row that is deleted and made again has its old versions once
 * more, and nobody can tell which is newer.  A table that wants to be cached has to do without that.
 */
static const char version_sql[] =
    "CREATE FUNCTION chaos_first_version() RETURNS trigger LANGUAGE plpgsql AS $$\n"
    "BEGIN\n"
    "  NEW.row_version := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;\n"
    "  RETURN NEW;\n"
    "END $$;"
    "CREATE TRIGGER chaos_first_version BEFORE INSERT ON chaos_relaxed"
    " FOR EACH ROW EXECUTE FUNCTION chaos_first_version();"
    "CREATE TRIGGER chaos_first_version BEFORE INSERT ON chaos_outbox"
    " FOR EACH ROW EXECUTE FUNCTION chaos_first_version();";

static bool make_triggers(PGconn *connection)
{
    char sql[256];
    bool is_made = true;
    for (unsigned table = 0; table < CHAOS_TABLES; table++) {
        snprintf(sql, sizeof sql,
                 "CREATE TRIGGER chaos_note AFTER INSERT OR UPDATE OR DELETE ON %s"
                 " FOR EACH ROW EXECUTE FUNCTION chaos_note(%u)",
                 chaos_table_name(table), table);
        is_made = is_made && run_sql(connection, sql);
    }
    return is_made;
}

/* ---- the outbox, by the library ---- */

struct library {
    tears_client *client;
    tears_session *session;
};

static bool open_library(const struct run *run, struct library *library)
{
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    struct tears_error error = {0};
    options.l3_url = tears_str_c(test_pg_url(run->pg));
    options.l2_url = TEARS_STR("none");
    options.no_outbox = 1;
    *library = (struct library){NULL, NULL};
    if (tears_client_open(&options, &library->client, &error) == TEARS_OK &&
        tears_session_new(library->client, NULL, &library->session) == TEARS_OK)
        return true;
    fprintf(stderr, "chaos_run: %s\n", error.message);
    return false;
}

static void close_library(struct library *library)
{
    tears_session_free(library->session);
    tears_client_free(library->client);
}

static bool install_outbox(const struct run *run)
{
    struct library library;
    const struct tears_str table = tears_str_c(chaos_table_name(CHAOS_OUTBOX));
    bool is_installed =
        open_library(run, &library) && tears_outbox_install(library.session, &table, 1) == TEARS_OK;
    if (!is_installed && library.session != NULL)
        fprintf(stderr, "chaos_run: the outbox cannot be installed: %s\n",
                tears_session_error(library.session)->message);
    close_library(&library);
    return is_installed;
}

bool run_outbox_is_empty(struct run *run)
{
    struct library library;
    struct tears_outbox_status status = TEARS_OUTBOX_STATUS_INIT;
    const bool is_known =
        open_library(run, &library) && tears_outbox_status(library.session, &status) == TEARS_OK;
    const bool is_empty = is_known && status.waiting == 0;
    close_library(&library);
    return is_empty;
}

bool run_make_tables(struct run *run)
{
    PGconn *connection = PQconnectdb(test_pg_url(run->pg));
    const bool is_made = run_sql(connection, tables_sql) &&
                         (run->options.versions_restart || run_sql(connection, version_sql)) &&
                         make_triggers(connection);
    PQfinish(connection);
    return is_made && install_outbox(run);
}

/* ---- in the end ---- */

static int64_t number_at(const PGresult *result, int row, int column)
{
    return strtoll(PQgetvalue(result, row, column), NULL, 10);
}

/* What to take off a time of CLOCK_REALTIME, which PostgreSQL's are, for one of CLOCK_MONOTONIC. */
static int64_t realtime_ahead_ns(void)
{
    struct timespec now;
    const uint64_t monotonic_ns = chaos_now_ns();
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - (int64_t)monotonic_ns;
}

static void take_changes(const PGresult *result, struct chaos_truth *truth)
{
    const int64_t ahead_ns = realtime_ahead_ns();
    truth->change_count = (size_t)PQntuples(result);
    truth->changes = chaos_alloc(truth->change_count, sizeof *truth->changes);
    for (int row = 0; row < PQntuples(result); row++)
        truth->changes[row] = (struct chaos_change){
            .table = (uint32_t)number_at(result, row, 0),
            .key = (uint32_t)number_at(result, row, 1),
            .is_delete = PQgetvalue(result, row, 2)[0] == 'D',
            .stamp = number_at(result, row, 3),
            .version = number_at(result, row, 4),
            .was_there = PQgetvalue(result, row, 5)[0] == 't',
            .at_ns = (uint64_t)(number_at(result, row, 6) * 1000 - ahead_ns),
        };
}

static bool read_rows(PGconn *connection, struct chaos_truth *truth)
{
    PGresult *result = PQexec(connection, "SELECT 0, id, stamp FROM chaos_strict UNION ALL "
                                          "SELECT 1, id, stamp FROM chaos_relaxed UNION ALL "
                                          "SELECT 2, id, stamp FROM chaos_outbox");
    truth->has_rows = PQresultStatus(result) == PGRES_TUPLES_OK;
    truth->row_count = truth->has_rows ? (size_t)PQntuples(result) : 0;
    truth->rows = chaos_alloc(truth->row_count, sizeof *truth->rows);
    for (size_t row = 0; row < truth->row_count; row++)
        truth->rows[row] = (struct chaos_row){(uint32_t)number_at(result, (int)row, 0),
                                              (uint32_t)number_at(result, (int)row, 1),
                                              number_at(result, (int)row, 2)};
    PQclear(result);
    return truth->has_rows;
}

bool run_read_truth(struct run *run, struct chaos_truth *truth)
{
    PGconn *connection = PQconnectdb(test_pg_url(run->pg));
    PGresult *result =
        PQexec(connection, "SELECT tbl, key, op, stamp, version, was_there,"
                           " (extract(epoch FROM at) * 1000000)::bigint FROM chaos_audit"
                           " ORDER BY tbl, key, seq");
    bool is_read = PQresultStatus(result) == PGRES_TUPLES_OK;
    if (is_read)
        take_changes(result, truth);
    else
        fprintf(stderr, "chaos_run: the audit: %s\n", PQerrorMessage(connection));
    PQclear(result);
    is_read = is_read && read_rows(connection, truth);
    PQfinish(connection);
    return is_read;
}
