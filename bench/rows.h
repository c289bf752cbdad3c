/*
 * rows.h -- the table that the cases share, filled by number.
 */
#ifndef BENCH_ROWS_H
#define BENCH_ROWS_H

#include "harness.h"

#define BENCH_COLUMNS 6

/* `uuid_type` and so on are the database's names of the types. */
#define BENCH_TABLE_LITE                                                                     \
    "CREATE TABLE IF NOT EXISTS bench (id TEXT_UUID PRIMARY KEY, owner TEXT_UUID NOT NULL, " \
    "name TEXT NOT NULL, body TEXT NOT NULL, n BIGINT NOT NULL, row_version BIGINT NOT NULL)"
#define BENCH_TABLE_PG                                                                   \
    "CREATE TABLE bench (id UUID PRIMARY KEY, owner UUID NOT NULL, name TEXT NOT NULL, " \
    "body TEXT NOT NULL, n BIGINT NOT NULL, row_version BIGINT NOT NULL)"

struct bench_row {
    uint8_t id[16];
    uint8_t owner[16];
    char name[BENCH_NAME_BYTES];
    char body[BENCH_BODY_BYTES];
    int64_t n;
};

void bench_row_of(uint64_t number, struct bench_row *row_out);

/* The fields that an insert of the row gives (row_version is the database's); 5 places. */
enum { BENCH_FIELDS = 5 };
void bench_fields_of(const struct bench_row *row, struct tears_field *fields_out);

/* Inserts rows number `first` to first + count - 1 through a session. */
void bench_insert(tears_session *session, tears_collection *collection, uint64_t first,
                  uint64_t count);

/* One row through the library, which must come from the tier. */
void bench_get(tears_session *session, tears_collection *collection, uint64_t number,
               uint32_t tier);

/* Many rows through the library in one call. */
void bench_get_many(tears_session *session, tears_collection *collection, const uint64_t *numbers,
                    size_t count);

/* Fills `numbers` with scattered rows of a table of `rows`, none twice (`rows` and 97 share no divisor). */
void bench_choose(uint64_t *state, uint64_t rows, uint64_t *numbers, size_t count);

/* Operations per second of `threads` threads that do `each` operations together. */
double bench_rate_of_threads(void *(*run)(void *), void *context, int threads, int each);

/* A client on a temporary SQLite file that holds `count` rows; the file is removed at exit. */
struct bench_lite {
    uint64_t rows;
    const char *l1;
    const char *l2_url; /* "none": no L2 */
    char path[64];      /* filled in */
};
tears_client *bench_lite_client(struct bench_lite *lite);

#endif
