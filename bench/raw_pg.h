/*
 * raw_pg.h -- PostgreSQL without the library: the floors of the database cases.
 */
#ifndef BENCH_RAW_PG_H
#define BENCH_RAW_PG_H

#include "rows.h"

#include <libpq-fe.h>

/* A connection with the statements below prepared; ends the program when it cannot. */
PGconn *raw_pg_open(const char *url);
void raw_pg_exec(PGconn *conn, const char *sql);

/*
 * Puts this thread and all backends of the server on one core, or lets them run anywhere again.  A round trip
 * costs three times as much when the scheduler happens to have put the two ends on different cores; for the
 * ratio of two single round trips that must not be left to chance.
 */
void raw_pg_share_core(PGconn *conn, bool share);

/* One row by key, binary; the columns are read. */
void raw_pg_fetch(PGconn *conn, uint64_t number);

/* Many rows by `= ANY($1)`. */
void raw_pg_fetch_many(PGconn *conn, const uint64_t *numbers, int count);

/* One upsert of all columns, committed on its own. */
void raw_pg_upsert(PGconn *conn, const struct bench_row *row);

/* An upsert of `count` rows by unnest, in one transaction, `chunk` rows a statement. */
void raw_pg_upsert_many(PGconn *conn, const struct bench_row *rows, int count, int chunk);

/* The same rows by COPY in the binary format into a temporary table, and one INSERT ... SELECT of that, in one transaction. */
void raw_pg_copy_many(PGconn *conn, const struct bench_row *rows, int count);

#endif
