/*
 * batch.c -- writes rows in batches and finds the bad ones.
 *
 * Owns:     the rows between two writes.
 * Must not know: files, formats.
 * Threads:  one.
 * Fails:    as told in batch.h; rows before the point of failure are written, those behind it are
 * not. Begin at: cli_batch_write().
 *
 * A batch is one transaction, and one bad row makes the database refuse all of it.  The batch is
 * then halved, the first half written before the second is tried, until the bad row is alone:
 * log2(rows) extra round trips for each bad row, and none while the data is good.
 */
#include "batch.h"

#include <stdlib.h>
#include <time.h>

enum { BATCH_BYTES_MAX = 8 * 1024 * 1024, TRIES_MAX = 4, FIRST_PAUSE_MS = 250 };

void cli_batch_init(struct cli_batch *batch, size_t row_max)
{
    batch->row_max = row_max;
    batch->rows = cli_alloc(row_max, sizeof *batch->rows);
    batch->origins = cli_alloc(row_max, sizeof *batch->origins);
    batch->outcomes = cli_alloc(row_max, sizeof *batch->outcomes);
}

void cli_batch_done(struct cli_batch *batch)
{
    free(batch->rows);
    free(batch->origins);
    free(batch->outcomes);
    *batch = (struct cli_batch){0};
}

void cli_batch_add(struct cli_batch *batch, const struct tears_row_input *row,
                   struct cli_origin origin, size_t bytes)
{
    batch->rows[batch->count] = *row;
    batch->origins[batch->count] = origin;
    batch->bytes += bytes;
    batch->count++;
}

bool cli_batch_is_full(const struct cli_batch *batch)
{
    return batch->count >= batch->row_max || batch->bytes >= BATCH_BYTES_MAX;
}

/* ---- writing ---- */

/* Rows first..first+count of the batch, and where writing stopped. */
struct range {
    size_t first;
    size_t count;
};

static void pause_ms(unsigned ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)nanosleep(&pause, NULL); /* a signal may end it early: the next try just comes sooner */
}

/*
 * A conflict leaves the batch's other rows written, those behind it too.  Somebody who stops at the
 * first bad row and then goes on from there would meet them again as conflicts of their own; a
 * transaction takes them back.
 */
static tears_status insert_in_order(struct cli_batch *batch, struct range range)
{
    tears_session *session = batch->context->session;
    tears_status status = tears_begin(session);

    if (status != TEARS_OK)
        return status;
    status = tears_insert_many(session, batch->table, batch->rows + range.first, range.count,
                               batch->outcomes);
    if (status == TEARS_OK)
        return tears_commit(session);
    batch->error = *tears_session_error(session); /* the rollback's success would wipe it */
    const tears_status rolled_back = tears_rollback(session);
    return rolled_back == TEARS_OK ? status : rolled_back;
}

/* One row alone: the message of a failure is about the row and not about its place in a batch. */
static tears_status write_row(struct cli_batch *batch, const struct tears_row_input *row)
{
    tears_session *session = batch->context->session;
    return batch->insert ? tears_insert(session, batch->table, row->fields, row->field_count, NULL)
                         : tears_upsert(session, batch->table, row->fields, row->field_count, NULL);
}

static tears_status write_once(struct cli_batch *batch, struct range range)
{
    tears_session *session = batch->context->session;
    const struct tears_row_input *rows = batch->rows + range.first;

    for (size_t i = 0; i < range.count; i++)
        batch->outcomes[i] = (struct tears_outcome){.status = TEARS_OK};
    if (range.count == 1)
        return write_row(batch, rows);
    if (batch->insert && batch->in_order)
        return insert_in_order(batch, range);
    return batch->insert
               ? tears_insert_many(session, batch->table, rows, range.count, batch->outcomes)
               : tears_upsert_many(session, batch->table, rows, range.count, batch->outcomes);
}

/*
 * A tier that is away for a moment does not end an import.  Only upserts are tried again: after a
 * lost answer an insert cannot tell its own rows from somebody else's.
 */
static tears_status write_patiently(struct cli_batch *batch, struct range range)
{
    unsigned pause = FIRST_PAUSE_MS;
    tears_status status = write_once(batch, range);

    for (int tries = 1; tries < TRIES_MAX && !batch->insert; tries++) {
        if (status != TEARS_UNAVAILABLE && status != TEARS_TIMEOUT)
            break;
        pause_ms(pause);
        pause *= 2;
        status = write_once(batch, range);
    }
    batch->degraded |= tears_session_degraded(batch->context->session);
    return status;
}

static bool is_bad_data(tears_status status)
{
    return status == TEARS_INVALID || status == TEARS_LIMIT || status == TEARS_CONFLICT;
}

static const char *conflict_text(const struct cli_batch *batch)
{
    return batch->insert ? "a row with this key, or an equal unique value, exists already"
                         : "an equal unique value exists already in another row";
}

/* After TEARS_CONFLICT the good rows of the range are written; the outcomes tell which are not. */
static int report_outcomes(struct cli_batch *batch, struct range range, size_t *stopped_out)
{
    bool stop = false;

    for (size_t i = 0; i < range.count; i++) {
        if (batch->outcomes[i].status == TEARS_OK) {
            batch->written++;
            continue;
        }
        if (stop)
            continue;
        const char *text = batch->outcomes[i].status == TEARS_CONFLICT
                               ? conflict_text(batch)
                               : tears_status_text(batch->outcomes[i].status);
        stop = !batch->bad_row(batch->owner, batch->origins[range.first + i], text);
        *stopped_out = range.first + i;
    }
    return stop ? CLI_EXIT_INVALID : CLI_EXIT_OK;
}

static int fail_batch(const struct cli_batch *batch, tears_status status)
{
    if (batch->error.status != status)
        return cli_fail_session(batch->context, status);
    return cli_fail(batch->context->args, cli_exit_of(status), tears_status_name(status), "%s",
                    batch->error.message);
}

static int write_range(struct cli_batch *batch, struct range range, size_t *stopped_out);

static int write_halves(struct cli_batch *batch, struct range range, size_t *stopped_out)
{
    const size_t half = range.count / 2;
    CLI_TRY(write_range(batch, (struct range){range.first, half}, stopped_out));
    return write_range(batch, (struct range){range.first + half, range.count - half}, stopped_out);
}

/* Recursion ends after log2(CLI_BATCH_ROWS_MAX) levels. */
static int write_range(struct cli_batch *batch, struct range range, size_t *stopped_out)
{
    const tears_status status = write_patiently(batch, range);

    *stopped_out = range.first;
    if (status == TEARS_OK) {
        batch->written += range.count;
        return CLI_EXIT_OK;
    }
    if (status == TEARS_CONFLICT && range.count > 1 && !batch->in_order)
        return report_outcomes(batch, range, stopped_out);
    if (!is_bad_data(status))
        return fail_batch(batch, status);
    if (range.count > 1)
        return write_halves(batch, range, stopped_out);
    const struct tears_error *error = tears_session_error(batch->context->session);
    const char *text = status == TEARS_CONFLICT    ? conflict_text(batch)
                       : error->message[0] != '\0' ? error->message
                                                   : tears_status_text(status);
    return batch->bad_row(batch->owner, batch->origins[range.first], text) ? CLI_EXIT_OK
                                                                           : CLI_EXIT_INVALID;
}

int cli_batch_write(struct cli_batch *batch, struct cli_origin *stopped_out)
{
    size_t stopped = 0;
    int result = CLI_EXIT_OK;

    if (batch->count > 0)
        result = write_range(batch, (struct range){0, batch->count}, &stopped);
    if (result != CLI_EXIT_OK)
        *stopped_out = batch->origins[stopped];
    batch->count = 0;
    batch->bytes = 0;
    tears_session_reset(batch->context->session);
    return result;
}
