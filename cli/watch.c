/*
 * watch.c -- `tears watch`: notices and stream events as they arrive, one line each.
 *
 * Owns:     the command; the queue between the library's threads and the one that prints.
 * Must not know: how news travel.
 * Threads:  events come on threads of the library, which must not wait for a terminal: they are formatted there and printed
 *           by the main thread.
 * Fails:    130 when interrupted; 3 when --for ends before --count events have come; 2 without L2.
 * Begin at: run_watch().
 */
#include "commands.h"
#include "context.h"
#include "interrupt.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { LINES_MAX = 100000, LOOK_MS = 100 };

static const struct cli_option options[] = {
    {"all", NULL, "watch every table"},
    {"count", "N", "end after so many events"},
    {"for", "MS", "end after so many milliseconds"},
    {NULL, NULL, NULL},
};

struct line {
    struct line *next;
    struct cli_text text;
};

struct watching {
    const struct cli_args *args;
    pthread_mutex_t mutex;
    pthread_cond_t arrived;
    struct line *first;
    struct line **end;
    size_t waiting;
    uint64_t dropped;
};

/* ---- one event ---- */

static const char *kind_name(uint64_t kind)
{
    static const char *const names[] = {
        [TEARS_EVENT_NOTICE] = "notice", [TEARS_EVENT_PUT] = "put",
        [TEARS_EVENT_FILL] = "fill",     [TEARS_EVENT_MARKER] = "marker",
        [TEARS_EVENT_LEASE] = "lease",   [TEARS_EVENT_DOUBT] = "doubt",
        [TEARS_EVENT_TRUST] = "trust",   [TEARS_EVENT_LOST] = "lost",
    };
    return kind < CLI_COUNT(names) ? names[kind] : "unknown";
}

static void put_time(bool json, struct cli_text *out)
{
    struct timespec now;
    struct tm parts;
    char text[32];

    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail for this clock */
    if (gmtime_r(&now.tv_sec, &parts) == NULL ||
        strftime(text, sizeof text, json ? "%Y-%m-%dT%H:%M:%S" : "%H:%M:%S", &parts) == 0)
        text[0] = '\0';
    cli_text_printf(out, "%s.%03ld%s", text, now.tv_nsec / 1000000, json ? "Z" : "");
}

static void put_json_event(const struct tears_event *event, struct cli_text *out)
{
    cli_text_put_c(out, "{\"time\":\"");
    put_time(true, out);
    cli_text_printf(out, "\",\"kind\":\"%s\",\"table\":", kind_name(event->kind));
    cli_text_put_json(out, event->table);
    cli_text_put_c(out, ",\"key\":");
    cli_text_put_json(out, event->key);
    cli_text_put_c(out, ",\"origin\":");
    cli_text_put_json(out, event->origin);
    cli_text_printf(out, ",\"revision\":%llu,\"version\":", (unsigned long long)event->revision);
    if (event->has_version != 0)
        cli_text_printf(out, "\"%lld\"", (long long)event->version);
    else
        cli_text_put_c(out, "null");
    cli_text_printf(out, ",\"own\":%s}", event->is_own != 0 ? "true" : "false");
}

/* What comes from other processes is shown as it is but for characters that would move the cursor. */
static void put_safe(struct tears_str text, struct cli_text *out)
{
    for (size_t i = 0; i < text.len; i++)
        cli_text_put_char(
            out, (unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 127 ? '?' : text.ptr[i]);
}

static void put_event(const struct tears_event *event, struct cli_text *out)
{
    put_time(false, out);
    cli_text_printf(out, "  %-6s", kind_name(event->kind));
    if (event->table.len > 0) {
        cli_text_put_c(out, "  ");
        put_safe(event->table, out);
        cli_text_put_char(out, ' ');
        put_safe(event->key, out);
    }
    if (event->has_version != 0)
        cli_text_printf(out, "  version %lld", (long long)event->version);
    if (event->revision != 0)
        cli_text_printf(out, "  revision %llu", (unsigned long long)event->revision);
    if (event->origin.len > 0) {
        cli_text_put_c(out, "  by ");
        put_safe(event->origin, out);
    }
}

/* ---- the queue ---- */

static void on_event(void *owner, const struct tears_event *event)
{
    struct watching *watching = owner;
    struct line *line = cli_alloc(1, sizeof *line);

    if (watching->args->json)
        put_json_event(event, &line->text);
    else
        put_event(event, &line->text);
    (void)pthread_mutex_lock(&watching->mutex);
    const bool is_kept = watching->waiting < LINES_MAX;
    if (is_kept) {
        *watching->end = line;
        watching->end = &line->next;
        watching->waiting++;
    } else
        watching->dropped++;
    (void)pthread_cond_signal(&watching->arrived);
    (void)pthread_mutex_unlock(&watching->mutex);
    if (is_kept)
        return;
    cli_text_done(&line->text);
    free(line);
}

/* The next line, or NULL after a while. */
static struct line *take(struct watching *watching)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += LOOK_MS * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    (void)pthread_mutex_lock(&watching->mutex);
    if (watching->first == NULL)
        (void)pthread_cond_timedwait(&watching->arrived, &watching->mutex, &until);
    struct line *line = watching->first;
    if (line != NULL) {
        watching->first = line->next;
        watching->waiting--;
        if (watching->first == NULL)
            watching->end = &watching->first;
    }
    (void)pthread_mutex_unlock(&watching->mutex);
    return line;
}

static void done(struct watching *watching)
{
    while (watching->first != NULL) {
        struct line *line = watching->first;
        watching->first = line->next;
        cli_text_done(&line->text);
        free(line);
    }
    (void)pthread_cond_destroy(&watching->arrived);
    (void)pthread_mutex_destroy(&watching->mutex);
}

/* ---- the command ---- */

static int print_events(struct watching *watching, uint64_t count, uint64_t for_ms)
{
    const double started = cli_now();
    uint64_t printed = 0;

    while (count == 0 || printed < count) {
        if (cli_interrupted())
            return CLI_EXIT_INTERRUPTED;
        if (for_ms > 0 && (cli_now() - started) * 1000.0 >= (double)for_ms)
            return count > 0 ? cli_fail(watching->args, CLI_EXIT_UNAVAILABLE, "TIMEOUT",
                                        "only %llu of %llu events have come",
                                        (unsigned long long)printed, (unsigned long long)count)
                             : CLI_EXIT_OK;
        struct line *line = take(watching);
        if (line == NULL)
            continue;
        const int result = cli_print_line(watching->args, cli_text_str(&line->text));
        cli_text_done(&line->text);
        free(line);
        CLI_TRY(result);
        if (fflush(stdout) != 0)
            return CLI_EXIT_BROKEN;
        printed++;
    }
    return CLI_EXIT_OK;
}

/* A table nobody knows is watched all the same: it may live in L2 only. */
static void note_unknown(const struct cli_context *context, struct tears_str table)
{
    const struct tears_str *names = NULL;
    size_t count = 0;

    if (table.len == 0 || tears_tables(context->session, &names, &count) != TEARS_OK)
        return;
    for (size_t i = 0; i < count; i++) {
        if (cli_str_equal(names[i], table))
            return;
    }
    cli_note("the database has no table '" CLI_STR_FMT "'; watching for it all the same",
             CLI_STR_ARG(table));
}

static int watch(struct watching *watching, struct cli_context *context, struct tears_str table)
{
    const struct cli_args *args = watching->args;
    uint64_t count = 0;
    uint64_t for_ms = 0;
    tears_watch *handle = NULL;

    CLI_TRY(cli_option_number(args, "count", (struct cli_range){.min = 1, .max = UINT64_MAX / 2},
                              &count));
    CLI_TRY(cli_option_number(args, "for", (struct cli_range){.min = 1, .max = 86400000}, &for_ms));
    CLI_TRY(cli_open(args, context));
    note_unknown(context, table);
    const tears_status status =
        tears_watch_start(context->client, table, on_event, watching, &handle);
    if (status == TEARS_UNSUPPORTED)
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE",
                        "there is nothing to watch without L2: give --l2 (or TEARS_L2_URL)");
    if (status != TEARS_OK)
        return cli_fail(args, cli_exit_of(status), tears_status_name(status), "%s",
                        tears_status_text(status));
    cli_interrupt_catch();
    cli_note("watching; Ctrl-C ends it");
    const int result = print_events(watching, count, for_ms);
    tears_watch_free(handle);
    if (watching->dropped > 0)
        cli_note("%llu events came faster than they could be printed, and were left out",
                 (unsigned long long)watching->dropped);
    return result;
}

static int run_watch(const struct cli_args *args)
{
    CLI_AUTO(cli_close) struct cli_context context = {.args = args};
    const bool is_all = cli_flag(args, "all");

    if (is_all == (args->word_count > 0))
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "say either a table or --all");
    struct watching watching = {
        .args = args, .mutex = PTHREAD_MUTEX_INITIALIZER, .arrived = PTHREAD_COND_INITIALIZER};
    watching.end = &watching.first;
    const int result = watch(&watching, &context, cli_word(args, 0));
    done(&watching);
    return result;
}

const struct cli_command cli_watch = {
    .name = "watch",
    .synopsis = "TABLE | --all [--count N] [--for MS]",
    .summary = "print notices and stream events as they arrive",
    .details =
        "One line for each: the time (UTC), what it is, table and key, version, revision, who did "
        "it.\n"
        "  notice   another process says that a row has changed\n"
        "  put      a row was written to L2; fill: a reader brought it there\n"
        "  marker   a delete marker; lease: a write or a fill is announced\n"
        "  doubt    the stream is not proven to be complete; trust: it is again; lost: it cannot "
        "be\n"
        "\n"
        "  tears watch packages --l2 nats://127.0.0.1:4222\n"
        "  tears watch --all --count 10 --json\n",
    .options = options,
    .run = run_watch,
    .word_min = 0,
    .word_max = 1,
};
