/*
 * deferring.h -- clients with a deferred table, for tests: a database (SQLite, PostgreSQL), a journal, and what is in them.
 *
 * Table `notes`: id bigint (key), body text (at most 40 characters: a CHECK), parent bigint (refers to notes), row_version bigint.
 */
#ifndef TESTS_SUPPORT_DEFERRING_H
#define TESTS_SUPPORT_DEFERRING_H

#include "support/temp_folder.h"

#include <tears/tears.h>

struct deferring_database {
    char url[256];
    struct temp_folder folder; /* of the journals, and of the SQLite file */
};

/* A new database with the table; PostgreSQL's is on the tests' server. */
void deferring_on_sqlite(struct deferring_database *database);
void deferring_on_postgresql(struct deferring_database *database);
/* Runs SQL on the database, without a process. */
void deferring_run(const struct deferring_database *database, const char *sql);
void deferring_end(struct deferring_database *database);

/* The database of the case at hand, and what makes and ends it: for cmocka. */
extern struct deferring_database deferring_case;
int deferring_set_up_sqlite(void **state);
int deferring_set_up_postgresql(void **state);
int deferring_tear_down(void **state);

/* A process. */
struct deferring {
    tears_client *client;
    tears_session *session;
    tears_collection *notes;
    char journal[192];
};

struct deferring_options {
    const char *journal; /* its name in the folder; NULL: "journal" */
    const char *l2_url;  /* NULL: none */
    const char *space;   /* of L2 */
    uint64_t strategy;   /* 0: ON_CHECKPOINT */
    uint64_t on_stale;
    tears_merge_fn merge;
    uint64_t durability;
    uint64_t full; /* TEARS_FULL_* */
    uint64_t rows_max;
    uint64_t bytes_max;
    uint64_t interval_ms;
    uint64_t flush_rows;
    uint64_t take_over_ms;
    uint64_t shutdown_ms; /* 0: 5,000; 1: nothing is flushed at the end */
    bool not_deferred;
};

void deferring_open(struct deferring *process, const struct deferring_database *database,
                    const struct deferring_options *options);
/* The same where the client may fail to open. */
tears_status deferring_try_open(struct deferring *process,
                                const struct deferring_database *database,
                                const struct deferring_options *options,
                                struct tears_error *error_out);
void deferring_close(struct deferring *process);

/* Saves; must succeed. */
void deferring_insert(struct deferring *process, int64_t id, const char *body);
void deferring_insert_child(struct deferring *process, int64_t id, int64_t parent);
/* Reads the row and updates its body. */
tears_status deferring_update(struct deferring *process, int64_t id, const char *body);

/* The entity, or NULL. */
tears_entity *deferring_get(struct deferring *process, int64_t id);
/* The body as the process reads it at the level of its session, or "" without a row; lives until the next call. */
const char *deferring_body(struct deferring *process, int64_t id);
/* The same as L3 has it. */
const char *deferring_body_in_l3(struct deferring *process, int64_t id);
int64_t deferring_rows_in_l3(struct deferring *process);
/* The one integer of a query on L3 with one parameter, an id. */
int64_t deferring_number_above(struct deferring *process, const char *sql, int64_t id);

/* Flushes; must succeed. */
struct tears_flush_result deferring_flush(struct deferring *process);

struct tears_client_stats deferring_stats(const struct deferring *process);

/* Runs SQL on L3; must succeed. */
void deferring_sql(struct deferring *process, const char *sql);

#endif
