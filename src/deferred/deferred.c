/*
 * deferred.c -- deferred writes of one client: who flushes, and when.
 *
 * Owns:     journal, index and flusher; two threads.
 * Knows:    when rows are due.
 * Must not know: sessions, caches, SQL.
 * Threads:  any; the mutex guards what the threads are told, and is a leaf.
 * Fails:    as its parts; the threads log, and try again.
 * Begin at: run_flusher().
 *
 *   keeper    every second: the sign of life, dead letters that people have marked.  It never waits for L3: a process that waits for a slow database
 *             must not look dead.
 *   flusher   tables on schedule when they are due; everything when a limit is reached, when the last owner left something, and again and again
 *             after a flush that did not get through, with pauses that grow to half a minute.
 */
#include "deferred/deferred.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "base/lock.h"
#include "base/thread.h"

#include <stdatomic.h>
#include <tears/client.h>

static const char origin[] = "deferred";

enum {
    LIFE_MS = 1000,
    PASS_MS = 60000, /* a pass of the thread's own; it goes on with the next */
    PARKED_MS = 1000,
    PARKED_MS_MAX = 30000,
    MARKED_WAIT_MS = 5000
};

struct t3_deferred {
    struct t3_deferred_options options;
    struct t3_journal *journal;
    struct t3_pending *pending;
    struct t3_flush *flush;
    struct t3_thread keeper, flusher;
    atomic_bool has_flusher;

    struct t3_mutex mutex; /* guards all below */
    struct t3_cond wake;   /* of the flusher */
    struct t3_cond rest;   /* of the keeper */
    bool is_stopping;
    bool is_asked;      /* everything is to be flushed */
    uint64_t try_at_us; /* after a failure not before this; 0: whenever */
    uint32_t failures;
    uint64_t parked_at_us; /* when parked rows are tried again; 0: none are parked */
    uint64_t parked_ms;
    uint64_t due_us; /* of the tables on schedule */
    struct tears_str *scheduled;
    size_t scheduled_count;
};

/* ---- what the threads are told ------------------------------------------------------------------- */

static void ask(void *owner)
{
    struct t3_deferred *deferred = owner;
    t3_lock(&deferred->mutex);
    deferred->is_asked = true;
    t3_cond_signal(&deferred->wake);
    t3_unlock(&deferred->mutex);
}

static uint64_t in_ms(uint64_t ms)
{
    return t3_deadline_in_ms(ms).at_us;
}

/* ---- the keeper --------------------------------------------------------------------------------------- */

/* Marked dead letters become pending, and are flushed. */
static void take_marked(struct t3_deferred *deferred)
{
    struct t3_pending_stats before;
    struct t3_pending_stats after;
    struct tears_error error;
    t3_error_clear(&error);
    t3_pending_stats(deferred->pending, NULL, &before);
    const tears_status status =
        t3_pending_take_marked(deferred->pending, t3_deadline_in_ms(MARKED_WAIT_MS), &error);
    t3_pending_stats(deferred->pending, NULL, &after);
    if (after.found > before.found)
        ask(deferred); /* only then: what others save meanwhile is flushed by its table's strategy */
    if (status != TEARS_OK && status != TEARS_TIMEOUT && status != TEARS_DENIED)
        t3_log(deferred->options.log, TEARS_LOG_WARN, origin,
               "dead letters that are to be tried again could not be taken: %s", error.message);
}

static bool keep_on(struct t3_deferred *deferred)
{
    t3_lock(&deferred->mutex);
    if (!deferred->is_stopping)
        (void)t3_cond_wait(&deferred->rest, &deferred->mutex, t3_deadline_in_ms(LIFE_MS));
    const bool on = !deferred->is_stopping;
    t3_unlock(&deferred->mutex);
    return on;
}

static void *run_keeper(void *owner)
{
    struct t3_deferred *deferred = owner;
    bool was_lost = false;
    while (keep_on(deferred)) {
        t3_journal_touch(deferred->journal);
        const bool is_lost = t3_journal_is_lost(deferred->journal);
        if (is_lost && !was_lost)
            t3_log(deferred->options.log, TEARS_LOG_ERROR, origin,
                   "the journal " T3_STR_FMT
                   " was taken over by another process: this one can neither "
                   "save nor flush deferred writes any more",
                   T3_STR_ARG(t3_journal_path(deferred->journal)));
        was_lost = is_lost;
        if (!is_lost)
            take_marked(deferred);
    }
    return NULL;
}

/* ---- the flusher ---------------------------------------------------------------------------------------- */

struct task {
    bool everything;
    bool unpark;
    struct tears_str *tables; /* a copy */
    size_t table_count;
};

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return b != 0 && b < a ? b : a;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return b > a ? b : a;
}

/* When there will be something to do. */
static uint64_t next_locked(const struct t3_deferred *deferred) T3_REQUIRES(deferred->mutex)
{
    uint64_t at = in_ms(60000);
    at = earlier(at, deferred->parked_at_us);
    if (deferred->scheduled_count > 0)
        at = earlier(at, deferred->due_us);
    if (deferred->is_asked)
        at = 1;
    return later(at, deferred->try_at_us);
}

static tears_status copy_scheduled_locked(struct t3_deferred *deferred, struct task *task)
    T3_REQUIRES(deferred->mutex)
{
    task->tables = t3_alloc((deferred->scheduled_count + 1) * sizeof *task->tables);
    if (task->tables == NULL)
        return TEARS_NO_MEMORY;
    if (deferred->scheduled_count > 0)
        memcpy(task->tables, deferred->scheduled, deferred->scheduled_count * sizeof *task->tables);
    task->table_count = deferred->scheduled_count;
    return TEARS_OK;
}

/* What is due now, in *task_out. */
static bool take_task_locked(struct t3_deferred *deferred, struct task *task_out)
    T3_REQUIRES(deferred->mutex)
{
    const uint64_t now = t3_now_us();
    const bool is_due = deferred->scheduled_count > 0 && now >= deferred->due_us;
    memset(task_out, 0, sizeof *task_out);
    if (now < deferred->try_at_us)
        return false;
    task_out->unpark = deferred->parked_at_us != 0 && now >= deferred->parked_at_us;
    task_out->everything = deferred->is_asked || task_out->unpark;
    if (!task_out->everything && !is_due)
        return false;
    if (!task_out->everything && copy_scheduled_locked(deferred, task_out) != TEARS_OK)
        return false; /* a minute later there may be memory */
    if (is_due)
        deferred->due_us = in_ms(deferred->options.interval_ms);
    deferred->is_asked = false;
    return true;
}

static bool wait_for_task(struct t3_deferred *deferred, struct task *task_out)
{
    bool found = false;
    t3_lock(&deferred->mutex);
    while (!deferred->is_stopping && !found) {
        found = take_task_locked(deferred, task_out);
        if (!found) {
            const struct t3_deadline until = {next_locked(deferred)};
            (void)t3_cond_wait(&deferred->wake, &deferred->mutex, until);
        }
    }
    t3_unlock(&deferred->mutex);
    return found;
}

/* Parked rows are tried again after pauses that grow as long as some are parked. */
static void plan_parked_locked(struct t3_deferred *deferred, bool tried)
    T3_REQUIRES(deferred->mutex)
{
    struct t3_pending_stats stats;
    t3_pending_stats(deferred->pending, NULL, &stats);
    if (stats.parked == 0) {
        deferred->parked_at_us = 0;
        deferred->parked_ms = PARKED_MS;
        return;
    }
    if (deferred->parked_at_us != 0 && !tried)
        return;
    deferred->parked_at_us = in_ms(deferred->parked_ms);
    deferred->parked_ms *= 2;
    if (deferred->parked_ms > PARKED_MS_MAX)
        deferred->parked_ms = PARKED_MS_MAX;
}

/* What a flush, the thread's or somebody else's, means for the next one. */
static void note_outcome(struct t3_deferred *deferred, tears_status status, bool tried_parked)
{
    t3_lock(&deferred->mutex);
    if (status == TEARS_OK) {
        deferred->failures = 0;
        deferred->try_at_us = 0;
    } else {
        deferred->failures += deferred->failures < 32 ? 1 : 0;
        deferred->try_at_us = in_ms(t3_flush_pause_ms(deferred->failures));
        deferred->is_asked = true;
    }
    plan_parked_locked(deferred, tried_parked);
    t3_cond_signal(&deferred->wake);
    t3_unlock(&deferred->mutex);
}

static void flush_task(struct t3_deferred *deferred, const struct task *task)
{
    struct tears_error error;
    t3_error_clear(&error);
    if (task->unpark)
        t3_pending_unpark(deferred->pending, NULL);
    const tears_status status = t3_flush_pass(deferred->flush, task->tables, task->table_count,
                                              t3_deadline_in_ms(PASS_MS), NULL, &error);
    if (status != TEARS_OK && status != TEARS_TIMEOUT)
        t3_log(deferred->options.log, TEARS_LOG_WARN, origin,
               "pending writes could not be flushed, and wait: %s", error.message);
    note_outcome(deferred, status == TEARS_TIMEOUT ? TEARS_OK : status, task->unpark);
    if (status == TEARS_TIMEOUT)
        ask(deferred);
}

static void *run_flusher(void *owner)
{
    struct t3_deferred *deferred = owner;
    struct task task;
    while (wait_for_task(deferred, &task)) {
        flush_task(deferred, &task);
        t3_free(task.tables);
    }
    return NULL;
}

/* ---- flushing by others ------------------------------------------------------------------------------------ */

static void add_result(struct tears_flush_result *sum, const struct tears_flush_result *more)
{
    sum->written += more->written;
    sum->dead += more->dead;
    sum->waiting = more->waiting;
    sum->parked = more->parked;
}

tears_status t3_deferred_flush(struct t3_deferred *deferred, const struct tears_str *tables,
                               size_t table_count, struct t3_deadline deadline,
                               struct tears_flush_result *result_out, struct tears_error *error_out)
{
    struct tears_flush_result sum = TEARS_FLUSH_RESULT_INIT;
    tears_status status;
    t3_pending_unpark(deferred->pending, NULL);
    for (uint32_t failures = 1;; failures++) {
        struct tears_flush_result result = TEARS_FLUSH_RESULT_INIT;
        status = t3_flush_pass(deferred->flush, tables, table_count, deadline, &result, error_out);
        add_result(&sum, &result);
        const uint64_t pause_ms = t3_flush_pause_ms(failures);
        if (status != TEARS_UNAVAILABLE || t3_deadline_left_ms(deadline) <= pause_ms)
            break;
        t3_pause_us(pause_ms * 1000);
    }
    if (status != TEARS_NOT_FOUND)
        note_outcome(deferred, status, true);
    if (result_out != NULL) {
        const size_t size = result_out->size;
        *result_out = sum;
        result_out->size = size;
    }
    return status;
}

/* ---- life ---------------------------------------------------------------------------------------------------- */

static tears_status recover(struct t3_deferred *deferred, struct t3_deadline deadline,
                            struct tears_error *error_out)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    const struct t3_pending_flight *flights = NULL;
    size_t count = 0;
    T3_TRY(t3_pending_recover(deferred->pending, &arena, deadline, &flights, &count, error_out));
    if (t3_flush_adopt(deferred->flush, flights, count) != TEARS_OK)
        return t3_fail_memory(error_out, origin);
    return TEARS_OK;
}

static tears_status open_parts(struct t3_deferred *deferred, struct t3_deadline deadline,
                               struct tears_error *error_out)
{
    const struct t3_deferred_options *options = &deferred->options;
    T3_TRY(t3_journal_open(&options->journal, deadline, &deferred->journal, error_out));
    const struct t3_pending_options pending = {.journal = deferred->journal,
                                               .limits = options->limits,
                                               .wake = ask,
                                               .owner = deferred,
                                               .log = options->log};
    T3_TRY(t3_pending_new(&pending, &deferred->pending, error_out));
    const struct t3_flush_options flush = {.pending = deferred->pending,
                                           .journal = deferred->journal,
                                           .hooks = options->hooks,
                                           .log = options->log};
    T3_TRY(t3_flush_new(&flush, &deferred->flush, error_out));
    T3_TRY(recover(deferred, deadline, error_out));
    if (t3_thread_start(&deferred->keeper, run_keeper, deferred) != TEARS_OK)
        return t3_fail(error_out, TEARS_UNAVAILABLE, origin, "a thread could not be started");
    return TEARS_OK;
}

tears_status t3_deferred_open(const struct t3_deferred_options *options,
                              struct t3_deadline deadline, struct t3_deferred **deferred_out,
                              struct tears_error *error_out)
{
    struct t3_deferred *deferred = t3_alloc_zero(1, sizeof *deferred);
    if (deferred == NULL)
        return t3_fail_memory(error_out, origin);
    deferred->options = *options;
    deferred->parked_ms = PARKED_MS;
    t3_mutex_init(&deferred->mutex);
    t3_cond_init(&deferred->wake);
    t3_cond_init(&deferred->rest);
    const tears_status status = open_parts(deferred, deadline, error_out);
    if (status != TEARS_OK) {
        t3_deferred_free(deferred);
        return status;
    }
    *deferred_out = deferred;
    return TEARS_OK;
}

tears_status t3_deferred_start(struct t3_deferred *deferred, struct tears_error *error_out)
{
    struct t3_pending_stats stats;
    t3_pending_stats(deferred->pending, NULL, &stats);
    if (stats.rows > 0)
        ask(deferred);
    if (atomic_exchange(&deferred->has_flusher, true))
        return TEARS_OK;
    if (t3_thread_start(&deferred->flusher, run_flusher, deferred) == TEARS_OK)
        return TEARS_OK;
    atomic_store(&deferred->has_flusher, false);
    return t3_fail(error_out, TEARS_UNAVAILABLE, origin, "a thread could not be started");
}

static void end_threads(struct t3_deferred *deferred)
{
    t3_lock(&deferred->mutex);
    deferred->is_stopping = true;
    t3_cond_signal(&deferred->wake);
    t3_cond_signal(&deferred->rest);
    t3_unlock(&deferred->mutex);
    if (deferred->flush != NULL)
        t3_flush_hurry(deferred->flush, true);
    t3_thread_join(&deferred->flusher);
    t3_thread_join(&deferred->keeper);
    memset(&deferred->flusher, 0, sizeof deferred->flusher);
    memset(&deferred->keeper, 0, sizeof deferred->keeper);
    if (deferred->flush != NULL)
        t3_flush_hurry(deferred->flush, false);
}

static void report_rest(const struct t3_deferred *deferred, uint64_t rows, const char *why)
{
    const struct tears_str path = t3_journal_path(deferred->journal);
    if (path.len == 0)
        t3_log(
            deferred->options.log, TEARS_LOG_ERROR, origin,
            "%llu pending writes are lost: they were in memory only and could not be flushed: %s",
            (unsigned long long)rows, why);
    else
        t3_log(deferred->options.log, TEARS_LOG_WARN, origin,
               "%llu pending writes stay in the journal " T3_STR_FMT " for its next owner: %s",
               (unsigned long long)rows, T3_STR_ARG(path), why);
}

void t3_deferred_stop(struct t3_deferred *deferred, struct t3_deadline deadline)
{
    if (deferred == NULL || deferred->is_stopping)
        return;
    struct tears_error error;
    struct t3_pending_stats stats;
    t3_error_clear(&error);
    end_threads(deferred);
    t3_pending_stats(deferred->pending, NULL, &stats);
    if (stats.rows > 0) {
        (void)t3_deferred_flush(deferred, NULL, 0, deadline, NULL,
                                &error); /* what is left is reported */
        t3_pending_stats(deferred->pending, NULL, &stats);
    }
    if (stats.rows > 0)
        report_rest(deferred, stats.rows,
                    error.message[0] != '\0' ? error.message
                                             : "they wait for other rows, or for tables");
    if (t3_journal_path(deferred->journal).len == 0)
        t3_flush_forget(deferred->flush, t3_deadline_at_most_ms(deadline, MARKED_WAIT_MS));
}

void t3_deferred_free(struct t3_deferred *deferred)
{
    if (deferred == NULL)
        return;
    end_threads(deferred);
    t3_flush_free(deferred->flush);
    if (deferred->pending != NULL)
        t3_pending_free(deferred->pending);
    t3_journal_free(deferred->journal);
    t3_cond_done(&deferred->rest);
    t3_cond_done(&deferred->wake);
    t3_mutex_done(&deferred->mutex);
    t3_free(deferred->scheduled);
    t3_free(deferred);
}

/* ---- the rest ---------------------------------------------------------------------------------------------------- */

struct t3_pending *t3_deferred_pending(struct t3_deferred *deferred)
{
    return deferred->pending;
}

struct t3_journal *t3_deferred_journal(struct t3_deferred *deferred)
{
    return deferred->journal;
}

static bool is_scheduled_locked(const struct t3_deferred *deferred, struct tears_str name)
    T3_REQUIRES(deferred->mutex)
{
    for (size_t i = 0; i < deferred->scheduled_count; i++)
        if (deferred->scheduled[i].ptr == name.ptr)
            return true;
    return false;
}

static tears_status schedule_locked(struct t3_deferred *deferred, struct tears_str name)
    T3_REQUIRES(deferred->mutex)
{
    if (is_scheduled_locked(deferred, name))
        return TEARS_OK;
    struct tears_str *larger = t3_resize(deferred->scheduled, (deferred->scheduled_count + 1) *
                                                                  sizeof *deferred->scheduled);
    if (larger == NULL)
        return TEARS_NO_MEMORY;
    if (deferred->scheduled_count == 0)
        deferred->due_us = in_ms(deferred->options.interval_ms);
    deferred->scheduled = larger;
    deferred->scheduled[deferred->scheduled_count++] = name;
    t3_cond_signal(&deferred->wake);
    return TEARS_OK;
}

tears_status t3_deferred_schedule(struct t3_deferred *deferred,
                                  const struct t3_pending_table *table)
{
    t3_lock(&deferred->mutex);
    const tears_status status =
        schedule_locked(deferred, t3_pending_schema(table)->name); /* outlives `deferred` */
    t3_unlock(&deferred->mutex);
    return status;
}

void t3_deferred_stats(struct t3_deferred *deferred, struct t3_flush_stats *stats_out)
{
    t3_flush_stats(deferred->flush, stats_out);
}
