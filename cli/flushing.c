/*
 * flushing.c -- brings what is pending to the database while a person looks on.
 *
 * Owns:     a thread that flushes, so that progress is shown and Ctrl-C heard meanwhile.
 * Must not know: where the rows come from, files.
 * Threads:  the main thread, and its own; what the two tell each other is under the mutex.
 * Fails:    3 while rows wait, 4 when the database has refused some; what waits is safe in the journal.
 * Begin at: cli_flush_run().
 */
#include "flushing.h"

#include "interrupt.h"
#include "journal_words.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

enum { SLICE_MS = 3000, LOOK_MS = 100, PAGE = 1000, OPEN_PAUSE_MS = 500 };

/* ---- dead letters ---- */

int cli_letters_count(const struct cli_args *args, tears_journal *journal,
                      struct cli_letters *letters_out)
{
    struct cli_letters letters = {0};
    struct tears_error error = {.status = TEARS_OK};
    const struct tears_dead *dead = NULL;
    size_t count = 0;

    do {
        const tears_status status =
            tears_journal_dead(journal, TEARS_STR(""), letters.newest, PAGE, &dead, &count, &error);
        if (status != TEARS_OK)
            return cli_journal_fail(args, status, &error);
        for (size_t i = 0; i < count; i++) {
            letters.newest = dead[i].id;
            letters.marked += dead[i].is_marked;
            letters.unmarked += 1 - dead[i].is_marked;
        }
    } while (count == PAGE);
    *letters_out = letters;
    return CLI_EXIT_OK;
}

/* ---- the thread that flushes ---- */

struct worker {
    const struct cli_flushing *flushing;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards all below */
    bool is_to_stop;
    bool has_ended;
    tears_status status; /* of the last attempt */
    struct tears_error error;
    struct tears_flush_result result;
};

static uint64_t rows_written(const struct cli_flushing *flushing)
{
    struct tears_client_stats stats = TEARS_CLIENT_STATS_INIT;
    tears_client_stats(flushing->context->client, &stats);
    return stats.flushed_rows;
}

/* Notes how an attempt ended; whether there is to be another. */
static bool note_attempt(struct worker *worker, const struct worker *attempt, bool moved)
{
    const tears_status status = attempt->status;
    const bool again = (status == TEARS_TIMEOUT && (moved || worker->flushing->patient)) ||
                       (status == TEARS_UNAVAILABLE && worker->flushing->patient);

    (void)pthread_mutex_lock(&worker->mutex);
    worker->status = status;
    worker->error = attempt->error;
    worker->result = attempt->result;
    worker->has_ended = !again || worker->is_to_stop;
    const bool on = !worker->has_ended;
    (void)pthread_mutex_unlock(&worker->mutex);
    return on;
}

/* In slices, so that Ctrl-C is obeyed soon; what a slice has written stays written. */
static void *flush_in_slices(void *owner)
{
    struct worker *worker = owner;
    const struct cli_flushing *flushing = worker->flushing;
    tears_session *session = flushing->context->session;
    bool on = true;

    while (on) {
        struct worker attempt = {.result = TEARS_FLUSH_RESULT_INIT};
        const uint64_t before = rows_written(flushing);
        attempt.status = tears_flush(session, flushing->tables, flushing->table_count, SLICE_MS,
                                     &attempt.result);
        attempt.error = *tears_session_error(session);
        on = note_attempt(worker, &attempt, rows_written(flushing) > before);
    }
    return NULL;
}

/* Signals are for the main thread, which waits for them. */
static int start(struct worker *worker)
{
    sigset_t all;
    sigset_t before;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failed = pthread_create(&worker->thread, NULL, flush_in_slices, worker);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed == 0)
        return CLI_EXIT_OK;
    return cli_fail(worker->flushing->context->args, CLI_EXIT_BROKEN, "NO_MEMORY",
                    "cannot start a thread");
}

/* ---- looking on ---- */

static void pause_ms(long ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&pause, NULL); /* woken early by Ctrl-C, which is looked at next */
}

static void say_away(const struct tears_error *error)
{
    cli_note("%s; what is pending waits in the journal.  Ctrl-C ends the waiting, and nothing is "
             "lost",
             error->message);
}

/* Until the thread has ended; says once of each outage that the database is away. */
static void look_on(struct worker *worker, struct cli_progress *progress, uint64_t total)
{
    bool was_away = false;

    for (bool on = true; on;) {
        pause_ms(LOOK_MS);
        (void)pthread_mutex_lock(&worker->mutex);
        worker->is_to_stop = worker->is_to_stop || cli_interrupted();
        on = !worker->has_ended;
        const bool is_away = worker->status == TEARS_UNAVAILABLE;
        const struct tears_error error = worker->error;
        (void)pthread_mutex_unlock(&worker->mutex);
        if (on && is_away && !was_away) {
            cli_progress_end(progress);
            say_away(&error);
            progress->on = cli_is_terminal(stderr);
        }
        was_away = is_away;
        const uint64_t written = rows_written(worker->flushing);
        cli_progress_show(progress, written, total, written);
    }
}

static int take_figures(struct cli_flushing *flushing, const struct worker *worker)
{
    struct tears_client_stats stats = TEARS_CLIENT_STATS_INIT;
    struct cli_letters now;
    const bool is_whole = worker->status == TEARS_OK;

    tears_client_stats(flushing->context->client, &stats);
    flushing->written = stats.flushed_rows;
    flushing->waiting = is_whole ? worker->result.waiting : stats.pending_rows;
    flushing->parked = is_whole ? worker->result.parked : stats.pending_parked;
    flushing->why = worker->error;
    CLI_TRY(cli_letters_count(flushing->context->args, flushing->journal, &now));
    flushing->refused =
        now.unmarked > flushing->before.unmarked ? now.unmarked - flushing->before.unmarked : 0;
    return CLI_EXIT_OK;
}

static int result_of(const struct cli_flushing *flushing, const struct worker *worker)
{
    if (cli_interrupted() && flushing->waiting > 0)
        return CLI_EXIT_INTERRUPTED;
    if (worker->status != TEARS_OK)
        return cli_exit_of(worker->status);
    if (flushing->refused > 0)
        return CLI_EXIT_INVALID;
    return flushing->waiting > 0 ? CLI_EXIT_UNAVAILABLE : CLI_EXIT_OK;
}

int cli_flush_run(struct cli_flushing *flushing)
{
    struct worker worker = {.flushing = flushing, .mutex = PTHREAD_MUTEX_INITIALIZER};
    struct tears_client_stats stats = TEARS_CLIENT_STATS_INIT;
    struct cli_progress progress;
    const double started = cli_now();

    tears_client_stats(flushing->context->client, &stats);
    cli_progress_begin(&progress, "flushing");
    if (cli_interrupted()) { /* before it has begun */
        worker.status = TEARS_TIMEOUT;
    } else {
        CLI_TRY(start(&worker));
        look_on(&worker, &progress, stats.flushed_rows + stats.pending_rows);
        (void)pthread_join(worker.thread, NULL); /* fails only for threads that are none */
    }
    (void)pthread_mutex_destroy(&worker.mutex);
    cli_progress_end(&progress);
    flushing->seconds = cli_now() - started;
    CLI_TRY(take_figures(flushing, &worker));
    return result_of(flushing, &worker);
}

/* ---- the owner ---- */

static int fail_owned(const struct cli_args *args, const struct tears_journal_status *status)
{
    return cli_fail(args, CLI_EXIT_NO, "CONFLICT",
                    "process %llu owns the journal " CLI_STR_FMT
                    ", and flushes what is pending itself (its last sign of life: %.1f s ago)",
                    (unsigned long long)status->owner_pid, CLI_STR_ARG(status->path),
                    (double)status->owner_idle_ms / 1000);
}

static void put_tables(const struct cli_flushing *flushing, struct cli_text *out)
{
    for (size_t i = 0; i < flushing->table_count; i++)
        cli_text_printf(out, "%s" CLI_STR_FMT, i > 0 ? "," : "", CLI_STR_ARG(flushing->tables[i]));
}

static int open_client(const struct cli_args *args, const struct tears_client_options *options,
                       struct cli_flushing *flushing)
{
    struct tears_error error = {.status = TEARS_OK};
    tears_client *probe = NULL;
    bool has_said = false;
    tears_status status = TEARS_UNAVAILABLE;

    while (flushing->patient && status == TEARS_UNAVAILABLE && !cli_interrupted()) {
        struct tears_client_options plain = *options;
        plain.journal_path = TEARS_STR("");
        plain.flush_tables = TEARS_STR("");
        status = tears_client_open(&plain, &probe, &error);
        if (status != TEARS_UNAVAILABLE)
            break;
        if (!has_said)
            say_away(&error);
        has_said = true;
        pause_ms(OPEN_PAUSE_MS);
    }
    tears_client_free(probe);
    if (cli_interrupted())
        return CLI_EXIT_INTERRUPTED;
    return cli_open_with(args, options, flushing->context);
}

int cli_flush_open(const struct cli_args *args, struct cli_flushing *flushing)
{
    CLI_AUTO(cli_text_done) struct cli_text tables = {0};
    struct tears_journal_status status;
    struct tears_client_options options;

    CLI_TRY(cli_journal_look(args, flushing->journal, &status));
    if (status.is_owned != 0)
        return fail_owned(args, &status);
    CLI_TRY(cli_letters_count(args, flushing->journal, &flushing->before));
    CLI_TRY(cli_client_options(args, &options));
    put_tables(flushing, &tables);
    options.journal_path = status.path;
    options.flush_tables = cli_text_str(&tables);
    options.flush_strategy = TEARS_FLUSH_ON_CHECKPOINT;
    cli_flushes_itself(args, &options);
    const int opened = open_client(args, &options, flushing);
    if (opened != CLI_EXIT_OK) {
        cli_note("%llu writes are pending, safe in the journal " CLI_STR_FMT,
                 (unsigned long long)status.pending, CLI_STR_ARG(status.path));
        return opened;
    }
    for (size_t i = 0; i < flushing->table_count; i++) {
        tears_collection *table = NULL;
        CLI_TRY(cli_table(flushing->context, flushing->tables[i], &table));
    }
    return CLI_EXIT_OK;
}

/* ---- what became of it ---- */

void cli_flush_put_members(const struct cli_flushing *flushing, struct cli_text *out)
{
    cli_text_printf(out, ",\"written\":%llu,\"waiting\":%llu,\"parked\":%llu,\"dead\":%llu",
                    (unsigned long long)flushing->written, (unsigned long long)flushing->waiting,
                    (unsigned long long)flushing->parked, (unsigned long long)flushing->refused);
}

static void put_rows(struct cli_text *out, uint64_t rows)
{
    cli_text_put_count(out, rows);
    cli_text_put_c(out, rows == 1 ? " row" : " rows");
}

static void put_sentence(const struct cli_flushing *flushing, struct cli_text *out)
{
    cli_text_put_c(out, "written ");
    put_rows(out, flushing->written);
    if (flushing->written > 0 && flushing->seconds > 0) {
        cli_text_put_c(out, " in ");
        cli_text_put_duration(out, flushing->seconds);
    }
    cli_text_put_c(out, flushing->refused > 0 ? ", refused " : "");
    if (flushing->refused > 0)
        cli_text_put_count(out, flushing->refused);
    cli_text_put_c(out, ", still pending ");
    cli_text_put_count(out, flushing->waiting);
}

/* How to go on with what waits or was refused. */
static void advise(const struct cli_flushing *flushing)
{
    CLI_AUTO(cli_text_done) struct cli_text text = {0};

    if (flushing->refused > 0)
        cli_note("the database has refused rows: `tears dead list` shows which, and why");
    if (flushing->waiting == 0)
        return;
    put_rows(&text, flushing->waiting);
    if (flushing->parked > 0 && flushing->why.status == TEARS_OK)
        cli_note("%s wait for rows that are not there, or for a table; `tears pending list` shows "
                 "them, `tears pending flush` tries again",
                 text.ptr);
    else
        cli_note("%s %s safe in the journal; `tears pending flush` goes on", text.ptr,
                 flushing->waiting == 1 ? "is" : "are");
}

int cli_flush_report(const struct cli_flushing *flushing, int result)
{
    CLI_AUTO(cli_text_done) struct cli_text line = {0};
    const struct cli_args *args = flushing->context->args;

    if (args->json) {
        cli_text_printf(&line, "{\"seconds\":%.3f", flushing->seconds);
        cli_flush_put_members(flushing, &line);
        cli_text_put_char(&line, '}');
    } else {
        put_sentence(flushing, &line);
    }
    CLI_TRY(cli_print_line(args, cli_text_str(&line)));
    return cli_flush_complain(flushing, result);
}

int cli_flush_complain(const struct cli_flushing *flushing, int result)
{
    const struct cli_args *args = flushing->context->args;

    if (flushing->why.status != TEARS_OK && result != CLI_EXIT_INTERRUPTED)
        (void)cli_fail(args, result, tears_status_name(flushing->why.status), "%s",
                       flushing->why.message);
    if (!args->json)
        advise(flushing);
    return result;
}
