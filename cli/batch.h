/*
 * batch.h -- rows on their way into a table: collected, written together, and taken apart when one
 * is bad.
 */
#ifndef CLI_BATCH_H
#define CLI_BATCH_H

#include "context.h"

enum { CLI_BATCH_ROWS_MAX = 10000 };

/* Where a row of the batch came from. */
struct cli_origin {
    uint64_t line;
    uint64_t offset;
};

struct cli_batch {
    struct cli_context *context;
    tears_collection *table;
    bool insert;   /* existing rows are bad rows, instead of being overwritten */
    bool in_order; /* with insert: nothing behind a bad row is written */
    size_t row_max;
    struct tears_row_input *rows;
    struct cli_origin *origins;
    struct tears_outcome *outcomes;
    size_t count;
    size_t bytes; /* of the records, so that huge rows make small batches */
    uint64_t written;
    uint32_t degraded;        /* TEARS_DEGRADED_* bits of all writes */
    struct tears_error error; /* of a transaction that was rolled back */

    /* Told of every bad row.  False: stop there. */
    bool (*bad_row)(void *owner, struct cli_origin origin, const char *message);
    void *owner;
};

/* Sets the arrays up; the other members are the caller's. */
void cli_batch_init(struct cli_batch *batch, size_t row_max);
void cli_batch_done(struct cli_batch *batch);

/* Adds a row whose fields belong to the session. */
void cli_batch_add(struct cli_batch *batch, const struct tears_row_input *row,
                   struct cli_origin origin, size_t bytes);

bool cli_batch_is_full(const struct cli_batch *batch);

/*
 * Writes all rows and empties the batch and the session.  CLI_EXIT_INVALID when bad_row said stop;
 * another exit code when the tiers failed, reported.  After either, `*stopped_out` is where the
 * first row stands that is not written.
 */
int cli_batch_write(struct cli_batch *batch, struct cli_origin *stopped_out);

#endif
