/*
 * flush_split.c -- a batch that fails: again, without the rows that cannot go, or in halves.
 *
 * Owns:     nothing.
 * Must not know: how a transaction is written.
 * Threads:  the pass.
 * Fails:    as t3_flush_pass: with what is nobody's fault, after which the same rows may be sent again.
 * Begin at: t3_flush_deliver().
 *
 * PostgreSQL refuses a batch for one row, and does not say which.  Halving finds a bad row among n in about 2 log2 n transactions, and all others are
 * written on the way.  Each half is a batch of its own, with its number in the journal and in L3: a crash in between leaves no doubt either.
 */
#include "deferred/flush_impl.h"

#include "base/fail.h"
#include "base/thread.h"

enum { CONTENTION_MAX = 8, CONTENTION_PAUSE_MS_MAX = 250 };

struct delivery {
    struct t3_flush_run *run;
    struct t3_flush_entry **entries;
    size_t count;
    uint32_t contentions;
    bool is_split; /* by halves: nothing is left to do */
};

/* Removes those that are done from the list; the order stays. */
static void drop_done(struct delivery *delivery)
{
    size_t left = 0;
    for (size_t i = 0; i < delivery->count; i++)
        if (!delivery->entries[i]->is_done)
            delivery->entries[left++] = delivery->entries[i];
    delivery->count = left;
}

/* ---- nobody's fault -------------------------------------------------------------------------------- */

static tears_status give_up(struct delivery *delivery, const struct t3_flush_failure *failure)
{
    struct t3_flush_run *run = delivery->run;
    struct t3_flush *flush = run->flush;
    const struct tears_error *cause = &failure->error;
    tears_status status = failure->status;
    if (status == TEARS_TIMEOUT && flush->rows_now > 1)
        flush->rows_now /= 2; /* it may be too much for one statement */
    if (t3_flush_is_over(run))
        status = TEARS_TIMEOUT;
    else if (status != TEARS_NO_MEMORY && (failure->is_write || status != TEARS_DENIED))
        status = TEARS_UNAVAILABLE;
    return t3_fail_detail(run->error, status, T3_FLUSH_ORIGIN, cause->detail, cause->sqlstate, "%s",
                          cause->message);
}

/* Somebody was in the way: a moment later the same batch may pass. */
static bool try_again(struct delivery *delivery, const struct t3_flush_failure *failure)
{
    const uint64_t pause_ms = t3_flush_pause_ms(delivery->contentions + 1) / 4;
    if (delivery->contentions == CONTENTION_MAX ||
        !t3_flush_is_contention(failure->status, failure->error.sqlstate) ||
        t3_deadline_left_ms(delivery->run->deadline) <= pause_ms)
        return false;
    delivery->contentions++;
    t3_flush_count(&delivery->run->flush->counters.retries, 1);
    t3_pause_us(1000 * (pause_ms < CONTENTION_PAUSE_MS_MAX ? pause_ms : CONTENTION_PAUSE_MS_MAX));
    return true;
}

/* ---- a table's fault ---------------------------------------------------------------------------------- */

/* Parks all rows of a table; those of later batches are parked without being sent. */
static tears_status park_table(struct delivery *delivery, struct t3_flush_known *known)
{
    struct t3_flush_run *run = delivery->run;
    struct t3_flush_entry **rows =
        t3_arena_alloc(run->flush->batch, delivery->count * sizeof(*rows));
    size_t count = 0;
    if (rows == NULL)
        return t3_fail_memory(run->error, T3_FLUSH_ORIGIN);
    for (size_t i = 0; i < delivery->count; i++)
        if (delivery->entries[i]->known == known)
            rows[count++] = delivery->entries[i];
    return t3_flush_park(run, rows, count, tears_str_c(known->why.message));
}

static tears_status table_is_out(struct delivery *delivery, const struct t3_flush_failure *failure)
{
    struct t3_flush_known *known = failure->known;
    known->is_out = true;
    known->why = failure->error;
    t3_log(delivery->run->flush->options.log, TEARS_LOG_WARN, T3_FLUSH_ORIGIN,
           "pending rows of table '" T3_STR_FMT "' wait: %s", T3_STR_ARG(known->schema->name),
           failure->error.message);
    return park_table(delivery, known);
}

/* What is known to fail is not sent. */
static tears_status leave_out(struct delivery *delivery)
{
    for (size_t i = 0; i < delivery->count; i++) {
        struct t3_flush_known *known = delivery->entries[i]->known;
        if (known->is_out && !delivery->entries[i]->is_done)
            T3_TRY(park_table(delivery, known));
    }
    drop_done(delivery);
    return TEARS_OK;
}

/* ---- a row's fault -------------------------------------------------------------------------------------- */

static tears_status halve(struct delivery *delivery)
{
    const size_t half = delivery->count / 2;
    t3_flush_count(&delivery->run->flush->counters.bisections, 1);
    delivery->is_split = true;
    t3_flush_shrink(delivery->run->flush);
    T3_TRY(t3_flush_deliver(delivery->run, delivery->entries, half));
    return t3_flush_deliver(delivery->run, delivery->entries + half, delivery->count - half);
}

static tears_status key_is_missing(struct delivery *delivery,
                                   const struct t3_flush_failure *failure)
{
    struct t3_flush_run *run = delivery->run;
    size_t parked = 0;
    if (!failure->is_removal)
        T3_TRY(t3_flush_park_orphans(run, delivery->entries, delivery->count, &parked));
    if (parked > 0)
        return TEARS_OK;
    if (delivery->count > 1)
        return halve(delivery);
    run->parked_alone++;
    struct tears_str why;
    if (t3_arena_str(run->flush->batch, tears_str_c(failure->error.message), &why) != TEARS_OK)
        return t3_fail_memory(run->error, T3_FLUSH_ORIGIN);
    return t3_flush_park(run, delivery->entries, 1, why);
}

static tears_status row_is_bad(struct delivery *delivery, const struct t3_flush_failure *failure)
{
    if (delivery->count > 1)
        return halve(delivery);
    return t3_flush_condemn(delivery->run, delivery->entries[0], &failure->error,
                            t3_flush_is_clash(failure->status, failure->error.sqlstate));
}

/* ---- the whole -------------------------------------------------------------------------------------------- */

/* TEARS_OK: what is left may be sent. */
static tears_status react(struct delivery *delivery, const struct t3_flush_failure *failure)
{
    if (!failure->is_write) { /* begin, or the fence: its row may have gone, too */
        delivery->entries[0]->known->fence->is_claimed = false;
        return give_up(delivery, failure);
    }
    switch (t3_flush_classify(failure->status, failure->error.sqlstate, failure->error.message)) {
    case T3_FLUSH_TRANSIENT:
        return try_again(delivery, failure) ? TEARS_OK : give_up(delivery, failure);
    case T3_FLUSH_FK_MISSING:
        return key_is_missing(delivery, failure);
    case T3_FLUSH_TABLE_MISSING:
        if (failure->known != NULL)
            return table_is_out(delivery, failure);
        return row_is_bad(delivery, failure);
    case T3_FLUSH_PERMANENT:
    default:
        return row_is_bad(delivery, failure);
    }
}

tears_status t3_flush_deliver(struct t3_flush_run *run, struct t3_flush_entry **entries,
                              size_t count)
{
    struct delivery delivery = {.run = run, .entries = entries, .count = count};
    T3_TRY(leave_out(&delivery));
    while (delivery.count > 0 && !delivery.is_split) {
        struct t3_flush_failure failure;
        if (t3_flush_is_over(run))
            return t3_fail(run->error, TEARS_TIMEOUT, T3_FLUSH_ORIGIN,
                           "the deadline passed before all pending rows were written");
        T3_TRY(t3_flush_send(run, delivery.entries, delivery.count, &failure));
        drop_done(&delivery);
        if (failure.status == TEARS_OK || delivery.count == 0)
            return TEARS_OK;
        T3_TRY(react(&delivery, &failure));
        drop_done(&delivery);
    }
    return TEARS_OK;
}
