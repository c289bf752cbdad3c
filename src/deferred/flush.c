/*
 * flush.c -- brings what is pending to L3: passes, their rounds, and whose turn it is.
 *
 * Owns:     struct t3_flush.
 * Knows:    flush_batch (what goes next), flush_split (brings it there), flush_verdict (who is refused), flush_owed (doubts).
 * Must not know: when passes run (deferred.c).
 * Threads:  any; one pass at a time.
 * Fails:    as flush.h says.
 * Begin at: t3_flush_pass().
 *
 * A pass goes through the records by id, in rounds.  What could not go in one round because something else had to go first (a parent that was parked, a
 * value that another row held) may go in the next; so there is another round as long as the last one moved anything.  When nothing moves, rows that
 * wait for each other are tried once all the same: the database may know better.  Then clashes are final.
 */
#include "deferred/flush_impl.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "base/jitter.h"

enum {
    BATCH_ROWS = 20000,
    BATCH_ROWS_FIRST = 5000, /* as long as all goes well the next one is twice as large */
    BATCH_BYTES = 16 << 20,
    L3_WAIT_MS = 30000,
    ROUNDS_WITHOUT_LANDING = 16, /* rows that are merged again and again: somebody else is faster */
    PAUSE_MS = 50,
    PAUSE_MS_MAX = 30000
};

/* ---- life ---------------------------------------------------------------------------------------- */

static uint64_t or_default(uint64_t value, uint64_t otherwise)
{
    return value != 0 ? value : otherwise;
}

tears_status t3_flush_new(const struct t3_flush_options *options, struct t3_flush **flush_out,
                          struct tears_error *error_out)
{
    struct t3_flush *flush = t3_alloc_zero(1, sizeof *flush);
    if (flush == NULL)
        return t3_fail_memory(error_out, T3_FLUSH_ORIGIN);
    flush->options = *options;
    flush->options.batch_rows_max = or_default(options->batch_rows_max, BATCH_ROWS);
    flush->options.batch_bytes_max = or_default(options->batch_bytes_max, BATCH_BYTES);
    flush->options.l3_wait_ms = or_default(options->l3_wait_ms, L3_WAIT_MS);
    t3_flush_shrink(flush);
    flush->batch = &flush->batches[0];
    flush->attempt = &flush->attempts[0];
    t3_mutex_init(&flush->mutex);
    t3_cond_init(&flush->idle);
    *flush_out = flush;
    return TEARS_OK;
}

void t3_flush_free(struct t3_flush *flush)
{
    if (flush == NULL)
        return;
    while (flush->owed != NULL) {
        struct t3_flush_owed *owed = flush->owed;
        flush->owed = owed->next;
        t3_free(owed);
    }
    t3_flush_sender_free(flush->sender);
    for (int i = 0; i < 2; i++) {
        t3_arena_done(&flush->batches[i]);
        t3_arena_done(&flush->attempts[i]);
    }
    t3_arena_done(&flush->ending);
    t3_arena_done(&flush->round);
    t3_arena_done(&flush->tables);
    t3_cond_done(&flush->idle);
    t3_mutex_done(&flush->mutex);
    t3_free(flush);
}

void t3_flush_shrink(struct t3_flush *flush)
{
    const uint64_t most = flush->options.batch_rows_max;
    flush->rows_now = most < BATCH_ROWS_FIRST ? most : BATCH_ROWS_FIRST;
}

/* ---- whose turn it is -------------------------------------------------------------------------------- */

static tears_status enter(struct t3_flush *flush, struct t3_deadline deadline,
                          struct tears_error *error_out)
{
    bool has_time = true;
    t3_lock(&flush->mutex);
    while (flush->is_busy && has_time)
        has_time = t3_cond_wait(&flush->idle, &flush->mutex, deadline);
    const bool is_mine = !flush->is_busy;
    if (is_mine)
        flush->is_busy = true;
    t3_unlock(&flush->mutex);
    return is_mine ? TEARS_OK
                   : t3_fail(error_out, TEARS_TIMEOUT, T3_FLUSH_ORIGIN,
                             "another flush was under way until the deadline");
}

static void leave(struct t3_flush *flush)
{
    for (int i = 0; i < 2; i++) {
        t3_arena_reset(&flush->batches[i]);
        t3_arena_reset(&flush->attempts[i]);
    }
    t3_arena_reset(&flush->ending);
    t3_lock(&flush->mutex);
    flush->is_busy = false;
    t3_cond_signal(&flush->idle);
    t3_unlock(&flush->mutex);
}

/* ---- rounds -------------------------------------------------------------------------------------------- */

/* The entries of one database at a time. */
static tears_status deliver(struct t3_flush_run *run, const struct t3_flush_batch *batch)
{
    struct t3_flush *flush = run->flush;
    for (size_t i = 0; i < flush->fence_count; i++) {
        struct t3_flush_entry **list = t3_arena_alloc(flush->batch, batch->count * sizeof(*list));
        size_t count = 0;
        if (list == NULL)
            return t3_fail_memory(run->error, T3_FLUSH_ORIGIN);
        for (size_t j = 0; j < batch->count; j++)
            if (batch->entries[j]->known->fence == flush->fences[i])
                list[count++] = batch->entries[j];
        T3_TRY(t3_flush_deliver(run, list, count));
    }
    return TEARS_OK;
}

static void grow_batches(struct t3_flush *flush)
{
    const uint64_t more = flush->rows_now * 2;
    flush->rows_now = more < flush->options.batch_rows_max ? more : flush->options.batch_rows_max;
}

static tears_status decide(struct t3_flush_run *run)
{
    T3_TRY(t3_flush_settle_owed(run));
    if (!run->flush->is_undecided)
        return TEARS_OK;
    return t3_fail(run->error, TEARS_UNAVAILABLE, T3_FLUSH_ORIGIN,
                   "a batch of the journal's last owner is of tables that cannot be opened: "
                   "nothing is flushed "
                   "before it is known whether it landed");
}

/* The next batch; *looked_at_out 0: nothing is left. */
static tears_status next_batch(struct t3_flush_run *run, uint64_t max, uint64_t *after_id,
                               size_t *looked_at_out)
{
    struct t3_flush *flush = run->flush;
    const uint64_t left_for_later = flush->later.is_set ? flush->later.batch : 0;
    struct t3_flush_batch batch;
    T3_TRY(t3_flush_batch_build(run, *after_id, max, &batch));
    *looked_at_out = batch.looked_at;
    if (batch.looked_at > 0 &&
        flush->is_undecided) /* now that there are tables, perhaps not any more */
        return decide(run);
    if (batch.count > 0) {
        T3_TRY(deliver(run, &batch));
        grow_batches(flush);
    }
    if (batch.looked_at > 0)
        *after_id = batch.last_id;
    /* When nothing was sent, nothing was ended beside it; and its memory is needed. */
    return flush->later.is_set && flush->later.batch == left_for_later ? t3_flush_end_later(run)
                                                                       : TEARS_OK;
}

/* All that may go, once: at most `budget` records.  *last_id_out: where it ended. */
static tears_status go_through(struct t3_flush_run *run, uint64_t budget, uint64_t *last_id_out)
{
    *last_id_out = 0;
    while (budget > 0) {
        const uint64_t most = run->flush->rows_now < budget ? run->flush->rows_now : budget;
        const uint64_t before = *last_id_out;
        size_t looked_at = 0;
        T3_TRY(next_batch(run, most, last_id_out, &looked_at));
        if (looked_at == 0)
            break;
        if (*last_id_out != before)
            budget -= looked_at < budget ? looked_at : budget;
    }
    return TEARS_OK;
}

/* One round and its verdicts; *progress_out: something landed, was replaced or died. */
static tears_status round_of(struct t3_flush_run *run, uint64_t budget, bool *progress_out)
{
    const uint64_t landed = run->landed;
    const uint64_t moved = run->moved;
    const uint64_t dead = run->dead;
    uint64_t last_id = 0;
    run->held = 0;
    t3_arena_reset(&run->flush->round);
    tears_status status = go_through(run, budget, &last_id);
    const tears_status ended = t3_flush_end_later(run);
    if (status == TEARS_OK)
        status = ended;
    const bool is_still = run->landed == landed && run->moved == moved;
    const bool is_final = status == TEARS_OK && is_still && (run->is_forced || run->held == 0);
    const tears_status executed = t3_flush_execute(run, is_final);
    if (status == TEARS_OK)
        status = executed;
    run->verdicts = NULL;
    run->verdict_count = 0;
    if (run->id_max == UINT64_MAX)
        run->id_max = last_id;
    if (run->landed != landed && run->parked_alone > 0) /* what could not be deleted, perhaps */
        t3_pending_unpark(run->flush->options.pending, NULL);
    run->parked_alone = 0;
    *progress_out = !is_still || run->dead != dead;
    run->fruitless = run->landed != landed ? 0 : run->fruitless + 1;
    return status;
}

static tears_status run_rounds(struct t3_flush_run *run)
{
    struct t3_pending_stats stats;
    t3_pending_stats(run->flush->options.pending, NULL, &stats);
    run->id_max = UINT64_MAX;
    for (uint64_t budget = stats.rows; budget > 0; budget = UINT64_MAX) {
        bool progress = false;
        T3_TRY(round_of(run, budget, &progress));
        if (run->fruitless > ROUNDS_WITHOUT_LANDING)
            break;
        if (!progress && (run->is_forced || run->held == 0))
            break;
        run->is_forced = !progress;
    }
    return TEARS_OK;
}

/* ---- a pass ------------------------------------------------------------------------------------------------ */

static tears_status choose_tables(struct t3_flush_run *run, const struct tears_str *names,
                                  size_t count)
{
    struct t3_flush *flush = run->flush;
    if (count == 0)
        return TEARS_OK;
    run->tables = t3_alloc(count * sizeof(*run->tables));
    if (run->tables == NULL)
        return t3_fail_memory(run->error, T3_FLUSH_ORIGIN);
    for (size_t i = 0; i < count; i++) {
        struct t3_flush_known *known = NULL;
        T3_TRY(t3_flush_table_find(flush, names[i], &known, run->error));
        run->tables[run->table_count++] = known->table.pending;
    }
    return TEARS_OK;
}

static tears_status begin(struct t3_flush_run *run)
{
    struct t3_flush *flush = run->flush;
    flush->pass_number++;
    for (struct t3_flush_known *known = flush->known; known != NULL; known = known->next)
        known->is_out = false;
    T3_TRY(t3_flush_tables_open(flush, run->error));
    return t3_flush_settle_owed(run);
}

static void fill_result(const struct t3_flush_run *run, struct tears_flush_result *result)
{
    struct t3_pending_stats stats;
    result->written = run->landed;
    result->dead = run->dead;
    result->waiting = 0;
    result->parked = run->held;
    for (size_t i = 0; i < (run->tables != NULL ? run->table_count : 1); i++) {
        t3_pending_stats(run->flush->options.pending, run->tables != NULL ? run->tables[i] : NULL,
                         &stats);
        result->waiting += stats.rows;
        result->parked += stats.parked;
    }
}

/* What is pending is another's affair then, also when nothing of it is left here. */
static tears_status check_owner(const struct t3_flush *flush, struct tears_error *error_out)
{
    const struct t3_journal *journal = flush->options.journal;
    if (!t3_journal_is_lost(journal))
        return TEARS_OK;
    return t3_fail(error_out, TEARS_DENIED, T3_FLUSH_ORIGIN,
                   T3_STR_FMT ": another process has taken the journal over; nothing more is "
                              "flushed by this one",
                   T3_STR_ARG(t3_journal_path(journal)));
}

tears_status t3_flush_pass(struct t3_flush *flush, const struct tears_str *tables,
                           size_t table_count, struct t3_deadline deadline,
                           struct tears_flush_result *result_out, struct tears_error *error_out)
{
    struct tears_error error;
    struct t3_flush_run run = {.flush = flush, .deadline = deadline, .error = &error};
    t3_error_clear(&error);
    tears_status status = enter(flush, deadline, &error);
    if (status == TEARS_OK) {
        t3_flush_count(&flush->counters.passes, 1);
        status = check_owner(flush, &error);
        if (status == TEARS_OK)
            status = choose_tables(&run, tables, table_count);
        if (status == TEARS_OK)
            status = begin(&run);
        if (status == TEARS_OK)
            status = run_rounds(&run);
        if (status == TEARS_TIMEOUT && !t3_flush_is_over(&run))
            status = TEARS_UNAVAILABLE; /* of one call: L3 is slow, and the caller has time */
        t3_pending_release(flush->options.pending);
        atomic_store_explicit(&flush->is_stuck, status != TEARS_OK, memory_order_relaxed);
        leave(flush);
    }
    if (result_out != NULL)
        fill_result(&run, result_out);
    if (error_out != NULL)
        *error_out = error;
    t3_free(run.tables);
    return status;
}

tears_status t3_flush_adopt(struct t3_flush *flush, const struct t3_pending_flight *flights,
                            size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct t3_flush_owed *owed = t3_flush_owed_new(flights[i].refs, flights[i].count);
        if (owed == NULL)
            return TEARS_NO_MEMORY;
        owed->batch = flights[i].batch;
        t3_flush_owe(flush, owed);
    }
    return TEARS_OK;
}

void t3_flush_hurry(struct t3_flush *flush, bool hurry)
{
    atomic_store_explicit(&flush->is_hurried, hurry, memory_order_relaxed);
}

void t3_flush_forget(struct t3_flush *flush, struct t3_deadline deadline)
{
    if (enter(flush, deadline, NULL) != TEARS_OK)
        return;
    for (size_t i = 0; i < flush->fence_count; i++)
        t3_fence_forget(flush->fences[i], deadline);
    leave(flush);
}

/* ---- the rest ------------------------------------------------------------------------------------------------ */

uint64_t t3_flush_pause_ms(uint32_t failures)
{
    uint64_t pause = PAUSE_MS;
    for (uint32_t i = 1; i < failures && pause < PAUSE_MS_MAX; i++)
        pause *= 2;
    if (pause > PAUSE_MS_MAX)
        pause = PAUSE_MS_MAX;
    return failures == 0 ? 0 : pause / 2 + t3_jitter(pause / 2 + 1);
}

void t3_flush_stats(struct t3_flush *flush, struct t3_flush_stats *stats_out)
{
    *stats_out = (struct t3_flush_stats){
        .passes = atomic_load_explicit(&flush->counters.passes, memory_order_relaxed),
        .batches = atomic_load_explicit(&flush->counters.batches, memory_order_relaxed),
        .rows = atomic_load_explicit(&flush->counters.rows, memory_order_relaxed),
        .bisections = atomic_load_explicit(&flush->counters.bisections, memory_order_relaxed),
        .conflicts = atomic_load_explicit(&flush->counters.conflicts, memory_order_relaxed),
        .merged = atomic_load_explicit(&flush->counters.merged, memory_order_relaxed),
        .retries = atomic_load_explicit(&flush->counters.retries, memory_order_relaxed),
        .is_stuck = atomic_load_explicit(&flush->is_stuck, memory_order_relaxed),
    };
}
