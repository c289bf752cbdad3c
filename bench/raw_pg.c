/*
 * raw_pg.c -- libpq as its documentation has it: prepared, binary, one connection.
 */
#include "raw_pg.h"

#include <arpa/inet.h>
#include <endian.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

enum { OID_UUID = 2950, OID_TEXT = 25, OID_INT8 = 20 };

static void die(PGconn *conn)
{
    fprintf(stderr, "bench: %s", PQerrorMessage(conn));
    exit(2);
}

void raw_pg_exec(PGconn *conn, const char *sql)
{
    PGresult *result = PQexec(conn, sql);
    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
        die(conn);
    PQclear(result);
}

static void prepare(PGconn *conn, const char *name, const char *sql)
{
    PGresult *result = PQprepare(conn, name, sql, 0, NULL);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        die(conn);
    PQclear(result);
}

PGconn *raw_pg_open(const char *url)
{
    PGconn *conn = PQconnectdb(url);
    if (PQstatus(conn) != CONNECTION_OK)
        die(conn);
    prepare(conn, "fetch", "SELECT id, owner, name, body, n, row_version FROM bench WHERE id = $1");
    prepare(conn, "many",
            "SELECT id, owner, name, body, n, row_version FROM bench WHERE id = ANY($1::uuid[])");
    prepare(
        conn, "upsert",
        "INSERT INTO bench (id, owner, name, body, n, row_version) VALUES ($1, $2, $3, $4, $5, 1) "
        "ON CONFLICT (id) DO UPDATE SET owner = EXCLUDED.owner, name = EXCLUDED.name, "
        "body = EXCLUDED.body, n = EXCLUDED.n, row_version = bench.row_version + 1");
    prepare(conn, "upsert_many",
            "INSERT INTO bench (id, owner, name, body, n, row_version) "
            "SELECT u.id, u.owner, u.name, u.body, u.n, 1 "
            "FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::int8[]) "
            "AS u(id, owner, name, body, n) "
            "ON CONFLICT (id) DO UPDATE SET owner = EXCLUDED.owner, name = EXCLUDED.name, "
            "body = EXCLUDED.body, n = EXCLUDED.n, row_version = bench.row_version + 1");
    return conn;
}

static void allow_cores(pid_t pid, bool only_first)
{
    cpu_set_t cores;
    CPU_ZERO(&cores);
    for (size_t core = 0; core < (only_first ? 1 : CPU_SETSIZE); core++)
        CPU_SET(core, &cores);
    if (sched_setaffinity(pid, sizeof cores, &cores) != 0)
        fprintf(stderr, "bench: process %d stays on all cores\n", (int)pid);
}

void raw_pg_share_core(PGconn *conn, bool share)
{
    PGresult *result =
        PQexec(conn, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'");
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        die(conn);
    for (int i = 0; i < PQntuples(result); i++)
        allow_cores((pid_t)strtol(PQgetvalue(result, i, 0), NULL, 10), share);
    allow_cores(0, share);
    PQclear(result);
}

static volatile int64_t sink;

static void read_rows(PGconn *conn, PGresult *result)
{
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        die(conn);
    for (int row = 0; row < PQntuples(result); row++)
        for (int column = 0; column < 6; column++)
            sink += PQgetlength(result, row, column) + PQgetvalue(result, row, column)[0];
    PQclear(result);
}

void raw_pg_fetch(PGconn *conn, uint64_t number)
{
    uint8_t id[16];
    bench_uuid(number, id);
    const char *values[] = {(const char *)id};
    const int lengths[] = {16};
    const int formats[] = {1};
    read_rows(conn, PQexecPrepared(conn, "fetch", 1, values, lengths, formats, 1));
}

/* ---- binary arrays --------------------------------------------------------------------------- */

static void put_int(char **at, uint32_t number)
{
    const uint32_t wire = htonl(number);
    memcpy(*at, &wire, 4);
    *at += 4;
}

static void put_header(char **at, uint32_t oid, int count)
{
    put_int(at, 1);
    put_int(at, 0);
    put_int(at, oid);
    put_int(at, (uint32_t)count);
    put_int(at, 1);
}

static void put_item(char **at, const void *bytes, size_t len)
{
    put_int(at, (uint32_t)len);
    memcpy(*at, bytes, len);
    *at += len;
}

void raw_pg_fetch_many(PGconn *conn, const uint64_t *numbers, int count)
{
    char *array = malloc(20 + (size_t)count * 20);
    char *at = array;
    put_header(&at, OID_UUID, count);
    for (int i = 0; i < count; i++) {
        uint8_t id[16];
        bench_uuid(numbers[i], id);
        put_item(&at, id, 16);
    }
    const char *values[] = {array};
    const int lengths[] = {(int)(at - array)};
    const int formats[] = {1};
    read_rows(conn, PQexecPrepared(conn, "many", 1, values, lengths, formats, 1));
    free(array);
}

void raw_pg_upsert(PGconn *conn, const struct bench_row *row)
{
    const uint64_t n = htobe64((uint64_t)row->n);
    const char *values[] = {(const char *)row->id, (const char *)row->owner, row->name, row->body,
                            (const char *)&n};
    const int lengths[] = {16, 16, BENCH_NAME_BYTES, BENCH_BODY_BYTES, 8};
    const int formats[] = {1, 1, 1, 1, 1};
    PGresult *result = PQexecPrepared(conn, "upsert", 5, values, lengths, formats, 1);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        die(conn);
    PQclear(result);
}

static void upsert_chunk(PGconn *conn, const struct bench_row *rows, int count)
{
    static const uint32_t oids[] = {OID_UUID, OID_UUID, OID_TEXT, OID_TEXT, OID_INT8};
    char *arrays[5];
    char *at[5];
    int lengths[5];
    static const int formats[] = {1, 1, 1, 1, 1};
    for (int i = 0; i < 5; i++) {
        arrays[i] = malloc(20 + (size_t)count * (4 + BENCH_BODY_BYTES));
        at[i] = arrays[i];
        put_header(&at[i], oids[i], count);
    }
    for (int i = 0; i < count; i++) {
        const struct bench_row *row = &rows[i];
        const uint64_t n = htobe64((uint64_t)row->n);
        put_item(&at[0], row->id, 16);
        put_item(&at[1], row->owner, 16);
        put_item(&at[2], row->name, BENCH_NAME_BYTES);
        put_item(&at[3], row->body, BENCH_BODY_BYTES);
        put_item(&at[4], &n, 8);
    }
    for (int i = 0; i < 5; i++)
        lengths[i] = (int)(at[i] - arrays[i]);
    PGresult *result =
        PQexecPrepared(conn, "upsert_many", 5, (const char *const *)arrays, lengths, formats, 1);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        die(conn);
    PQclear(result);
    for (int i = 0; i < 5; i++)
        free(arrays[i]);
}

void raw_pg_upsert_many(PGconn *conn, const struct bench_row *rows, int count, int chunk)
{
    raw_pg_exec(conn, "BEGIN");
    for (int done = 0; done < count; done += chunk)
        upsert_chunk(conn, rows + done, count - done < chunk ? count - done : chunk);
    raw_pg_exec(conn, "COMMIT");
}

/* ---- COPY ------------------------------------------------------------------------------------- */

static void put_field(char **at, const void *bytes, size_t len)
{
    const uint32_t length = htobe32((uint32_t)len);
    memcpy(*at, &length, 4);
    memcpy(*at + 4, bytes, len);
    *at += 4 + len;
}

static size_t put_tuple(char *to, const struct bench_row *row)
{
    char *at = to;
    const uint16_t fields = htobe16(5);
    const uint64_t n = htobe64((uint64_t)row->n);
    memcpy(at, &fields, 2);
    at += 2;
    put_field(&at, row->id, 16);
    put_field(&at, row->owner, 16);
    put_field(&at, row->name, BENCH_NAME_BYTES);
    put_field(&at, row->body, BENCH_BODY_BYTES);
    put_field(&at, &n, 8);
    return (size_t)(at - to);
}

static void copy_rows(PGconn *conn, const struct bench_row *rows, int count)
{
    enum { TUPLES = 64 };
    static const char header[19] = "PGCOPY\n\377\r\n";
    static const char trailer[2] = "\377\377";
    char buffer[TUPLES * (BENCH_NAME_BYTES + BENCH_BODY_BYTES + 100)];
    PGresult *result = PQexec(conn, "COPY bench_load FROM STDIN (FORMAT binary)");
    if (PQresultStatus(result) != PGRES_COPY_IN || PQputCopyData(conn, header, sizeof header) != 1)
        die(conn);
    PQclear(result);
    for (int i = 0; i < count;) {
        size_t len = 0;
        for (int j = 0; j < TUPLES && i < count; j++)
            len += put_tuple(buffer + len, &rows[i++]);
        if (PQputCopyData(conn, buffer, (int)len) != 1)
            die(conn);
    }
    if (PQputCopyData(conn, trailer, sizeof trailer) != 1 || PQputCopyEnd(conn, NULL) != 1)
        die(conn);
    while ((result = PQgetResult(conn)) != NULL) {
        if (PQresultStatus(result) != PGRES_COMMAND_OK)
            die(conn);
        PQclear(result);
    }
}

void raw_pg_copy_many(PGconn *conn, const struct bench_row *rows, int count)
{
    raw_pg_exec(conn, "BEGIN");
    raw_pg_exec(conn, "CREATE TEMP TABLE bench_load (id UUID, owner UUID, name TEXT, body TEXT, "
                      "n BIGINT) ON COMMIT DROP");
    copy_rows(conn, rows, count);
    raw_pg_exec(conn,
                "INSERT INTO bench (id, owner, name, body, n, row_version) SELECT id, owner, name, "
                "body, n, 1 FROM bench_load ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, "
                "name = excluded.name, body = excluded.body, n = excluded.n, row_version = "
                "bench.row_version + 1");
    raw_pg_exec(conn, "COMMIT");
}
