/*
 * journal_file.c -- the tables of a journal's file, and the few ways in which they are used.
 *
 * Owns:     nothing.
 * Must not know: who owns the journal; what records mean.
 * Threads:  the connection's.
 * Fails:    as journal_impl.h says.
 * Begin at: t3_journal_prepare().
 */
#include "base/fail.h"
#include "base/hash.h"
#include "base/str.h"
#include "deferred/journal_impl.h"

#include <inttypes.h>
#include <stdio.h>

#define FORMAT_TEXT      "1" /* T3_JOURNAL_FORMAT */
#define APPLICATION_TEXT "1949528170"

_Static_assert(T3_JOURNAL_FORMAT == 1, "FORMAT_TEXT says the same");
_Static_assert(T3_JOURNAL_APPLICATION == 1949528170, "APPLICATION_TEXT says the same");

/* Rows are in the byte order of the machine; this number tells which. */
enum { BYTE_ORDER_MARK = 0x01020304 };

static const char tables[] =
    "PRAGMA application_id=" APPLICATION_TEXT ";"
    "PRAGMA user_version=" FORMAT_TEXT ";"
    "CREATE TABLE record (id INTEGER PRIMARY KEY, seq INTEGER NOT NULL, layout INTEGER NOT NULL,"
    " checksum INTEGER NOT NULL, bytes BLOB NOT NULL);"
    "CREATE TABLE flight (batch INTEGER PRIMARY KEY, checksum INTEGER NOT NULL,"
    " records BLOB NOT NULL);"
    "CREATE TABLE dead (id INTEGER PRIMARY KEY, seq INTEGER NOT NULL, layout INTEGER NOT NULL,"
    " checksum INTEGER NOT NULL, sqlstate TEXT NOT NULL, message TEXT NOT NULL,"
    " died_us INTEGER NOT NULL, dependants INTEGER NOT NULL, marked INTEGER NOT NULL,"
    " bytes BLOB NOT NULL);"
    "CREATE INDEX dead_marked ON dead (marked);"
    "CREATE TABLE layout (id INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum INTEGER NOT NULL,"
    " bytes BLOB NOT NULL);"
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID";

/* ---- statements ---- */

tears_status t3_journal_query(struct t3_lite_conn *conn, const struct t3_journal_sql *sql,
                              struct t3_lite_stmt **stmt_out, struct tears_error *error_out)
{
    const struct tears_str text = tears_str_c(sql->sql);
    T3_AUTO(t3_lite_reset) struct t3_lite_stmt *stmt = t3_lite_find(conn, text);
    if (stmt == NULL) {
        const struct t3_lite_sql prepare = {.key = text, .sql = text};
        T3_TRY(t3_lite_prepare(conn, &prepare, &stmt, error_out));
    }
    for (uint32_t i = 0; i < sql->count; i++) /* numbers, text and blobs need no arena */
        T3_TRY(t3_lite_bind(stmt, i + 1, &sql->values[i], NULL, error_out));
    *stmt_out = T3_TAKE(stmt);
    return TEARS_OK;
}

tears_status t3_journal_run(struct t3_lite_conn *conn, const struct t3_journal_sql *sql,
                            struct tears_error *error_out)
{
    T3_AUTO(t3_lite_reset) struct t3_lite_stmt *stmt = NULL;
    bool row;
    T3_TRY(t3_journal_query(conn, sql, &stmt, error_out));
    return t3_lite_step(stmt, &row, error_out);
}

uint64_t t3_journal_number(struct t3_lite_stmt *stmt, uint32_t column)
{
    return (uint64_t)t3_lite_cell_int(stmt, column);
}

struct tears_str t3_journal_bytes(struct t3_lite_stmt *stmt, uint32_t column)
{
    const struct tears_value value = t3_lite_cell_raw(stmt, column);
    return value.kind == TEARS_KIND_BYTES || value.kind == TEARS_KIND_TEXT ? value.as.bytes
                                                                           : TEARS_STR("");
}

/* ---- meta ---- */

tears_status t3_journal_meta(struct t3_lite_conn *conn, const char *name, uint64_t *value_out,
                             struct tears_error *error_out)
{
    const struct tears_value values[] = {tears_text(tears_str_c(name))};
    const struct t3_journal_sql sql = {"SELECT value FROM meta WHERE name=?1", values, 1};
    T3_AUTO(t3_lite_reset) struct t3_lite_stmt *stmt = NULL;
    bool row;
    T3_TRY(t3_journal_query(conn, &sql, &stmt, error_out));
    T3_TRY(t3_lite_step(stmt, &row, error_out));
    if (!row || t3_lite_cell_raw(stmt, 0).kind != TEARS_KIND_INT)
        return t3_fail(error_out, TEARS_CORRUPT, T3_JOURNAL_ORIGIN,
                       "the journal has no number '%s' of its own", name);
    *value_out = t3_journal_number(stmt, 0);
    return TEARS_OK;
}

static tears_status set(struct t3_lite_conn *conn, const char *name, struct tears_value value,
                        struct tears_error *error_out)
{
    const struct tears_value values[] = {tears_text(tears_str_c(name)), value};
    const struct t3_journal_sql sql = {"REPLACE INTO meta (name, value) VALUES (?1, ?2)", values,
                                       2};
    return t3_journal_run(conn, &sql, error_out);
}

tears_status t3_journal_set_meta(struct t3_lite_conn *conn, const char *name, uint64_t value,
                                 struct tears_error *error_out)
{
    return set(conn, name, t3_journal_value(value), error_out);
}

tears_status t3_journal_read_id(struct t3_lite_conn *conn, char id_out[37],
                                struct tears_error *error_out)
{
    const struct t3_journal_sql sql = {"SELECT value FROM meta WHERE name='id'", NULL, 0};
    T3_AUTO(t3_lite_reset) struct t3_lite_stmt *stmt = NULL;
    uint8_t uuid[16];
    bool row;
    T3_TRY(t3_journal_query(conn, &sql, &stmt, error_out));
    T3_TRY(t3_lite_step(stmt, &row, error_out));
    if (!row || tears_uuid_parse(t3_journal_bytes(stmt, 0), uuid) != TEARS_OK)
        return t3_fail(error_out, TEARS_CORRUPT, T3_JOURNAL_ORIGIN, "the journal has no id");
    tears_uuid_text(uuid, id_out);
    return TEARS_OK;
}

/* ---- making and checking ---- */

static uint64_t byte_order(void)
{
    const uint32_t mark = BYTE_ORDER_MARK;
    uint8_t bytes[sizeof mark];
    memcpy(bytes, &mark, sizeof mark);
    return bytes[0];
}

static tears_status make(struct t3_lite_conn *conn, struct tears_error *error_out)
{
    uint8_t uuid[16];
    char id[37];
    tears_uuid_new(uuid);
    tears_uuid_text(uuid, id);
    T3_TRY(t3_lite_exec(conn, tables, error_out));
    T3_TRY(set(conn, "id", tears_text(tears_str_c(id)), error_out));
    T3_TRY(t3_journal_set_meta(conn, "byte_order", byte_order(), error_out));
    T3_TRY(t3_journal_set_meta(conn, "epoch", 0, error_out));
    T3_TRY(t3_journal_set_meta(conn, "next_id", 1, error_out));
    return t3_journal_set_meta(conn, "next_batch", 1, error_out);
}

tears_status t3_journal_prepare(struct t3_lite_conn *conn, const char *path, bool create,
                                struct tears_error *error_out)
{
    int64_t application = 0;
    int64_t format = 0;
    uint64_t order = 0;
    T3_TRY(t3_lite_int(conn, "PRAGMA application_id", &application, error_out));
    if (application == 0 && create)
        return make(conn, error_out);
    if (application != T3_JOURNAL_APPLICATION)
        return t3_fail(error_out, TEARS_CORRUPT, T3_JOURNAL_ORIGIN,
                       "%s: the file is no journal of pending writes", path);
    T3_TRY(t3_lite_int(conn, "PRAGMA user_version", &format, error_out));
    if (format != T3_JOURNAL_FORMAT)
        return t3_fail(
            error_out, TEARS_UNSUPPORTED, T3_JOURNAL_ORIGIN,
            "%s: the journal is of format %" PRId64
            ", and this library knows format %d: use the version of the library that wrote it",
            path, format, T3_JOURNAL_FORMAT);
    T3_TRY(t3_journal_meta(conn, "byte_order", &order, error_out));
    if (order != byte_order())
        return t3_fail(error_out, TEARS_UNSUPPORTED, T3_JOURNAL_ORIGIN,
                       "%s: the journal was written by a machine of another byte order", path);
    return TEARS_OK;
}

/* ---- checksums ---- */

uint64_t t3_journal_checksum(uint64_t id, uint64_t seq, uint64_t layout, struct tears_str bytes)
{
    const uint64_t place[] = {id, seq, layout};
    return t3_hash(bytes.ptr, bytes.len, t3_hash(place, sizeof place, 0));
}

uint64_t t3_journal_layout_checksum(struct tears_str table, struct tears_str bytes)
{
    return t3_hash(bytes.ptr, bytes.len, t3_hash(table.ptr, table.len, 0));
}

/* ---- what to do about damage ---- */

tears_status t3_journal_explain(const char *path, tears_status status,
                                struct tears_error *error_out)
{
    if (status != TEARS_CORRUPT || error_out == NULL)
        return status;
    const struct tears_error cause = *error_out;
    return t3_fail_detail(error_out, status, T3_JOURNAL_ORIGIN, cause.detail, "",
                          "%s. Nothing was deleted. Copy the journal %s and its -wal away; "
                          "`sqlite3 COPY .recover` shows what can "
                          "be read; put a good file in its place, or none, to begin anew",
                          cause.message, path);
}
