/*
 * migrate_change.c -- `tears migrate up`, `down`, `stamp`, `unstamp` and `accept`.
 *
 * Owns:     which of them ask first.
 * Must not know: how versions are applied.
 * Threads:  the main thread.
 * Fails:    as migrate.c says.
 * Begin at: cli_migrate_up().
 */
#include "migrate.h"

#include <strings.h>

/* ---- progress ---- */

static void put_version(const struct tears_migrate_event *event, struct cli_text *out)
{
    cli_text_printf(out, CLI_STR_FMT " %lld", CLI_STR_ARG(event->package),
                    (long long)event->version);
    if (event->description.len > 0)
        cli_text_printf(out, " (" CLI_STR_FMT ")", CLI_STR_ARG(event->description));
}

static void print_finished(const struct cli_args *args, const struct tears_migrate_event *event)
{
    CLI_AUTO(cli_text_done) struct cli_text line = {0};
    const char *verb = event->down != 0 ? "undone" : "applied";
    if (args->json) {
        cli_text_printf(&line, "{\"%s\":", verb);
        cli_text_put_json(&line, event->package);
        cli_text_printf(&line, ",\"version\":%lld,\"duration_us\":%llu}", (long long)event->version,
                        (unsigned long long)event->elapsed_us);
    } else {
        cli_text_printf(&line, "%s ", verb);
        put_version(event, &line);
        cli_text_put_c(&line, ", ");
        cli_text_put_duration(&line, (double)event->elapsed_us / 1e6);
    }
    /* What was done is done, whether or not standard output can take the line. */
    (void)cli_print_line(args, cli_text_str(&line));
    (void)fflush(stdout);
}

static void note_progress(const struct cli_args *args, const struct tears_migrate_event *event)
{
    CLI_AUTO(cli_text_done) struct cli_text line = {0};
    if (!args->verbose && !cli_is_terminal(stderr))
        return;
    put_version(event, &line);
    if (event->kind == TEARS_MIGRATE_STARTED)
        cli_text_put_c(&line, event->resumed != 0 ? " goes on" : " begins");
    else
        cli_text_printf(&line, ": " CLI_STR_FMT "%s%llu", CLI_STR_ARG(event->phase),
                        event->phase.len > 0 ? " " : "statement ", (unsigned long long)event->done);
    if (event->kind == TEARS_MIGRATE_STEP && event->total > 0)
        cli_text_printf(&line, " of %llu", (unsigned long long)event->total);
    cli_note(CLI_STR_FMT, CLI_STR_ARG(cli_text_str(&line)));
}

void cli_migrate_on_progress(void *owner, const struct tears_migrate_event *event)
{
    const struct cli_args *args = ((const struct cli_migrate *)owner)->args;
    switch (event->kind) {
    case TEARS_MIGRATE_WAITING:
        cli_note("another process works on this schema; waiting (%llu s so far)",
                 (unsigned long long)(event->elapsed_us / 1000000));
        break;
    case TEARS_MIGRATE_FINISHED:
        print_finished(args, event);
        break;
    default:
        note_progress(args, event);
        break;
    }
}

static int print_total(const struct cli_args *args, const char *verb, uint64_t count)
{
    CLI_AUTO(cli_text_done) struct cli_text line = {0};
    if (args->json)
        cli_text_printf(&line, "{\"ok\":true,\"%s\":%llu}", verb, (unsigned long long)count);
    else if (count > 0)
        cli_text_printf(&line, "%llu %s", (unsigned long long)count, verb);
    else
        cli_text_put_c(&line, "nothing to do");
    return cli_print_line(args, cli_text_str(&line));
}

/* ---- up ---- */

static bool holds(struct tears_str sql, const char *words)
{
    const size_t len = strlen(words);
    for (size_t i = 0; i + len <= sql.len; i++)
        if (strncasecmp(sql.ptr + i, words, len) == 0)
            return true;
    return false;
}

/* Rather once too often: a comment or a text that has these words makes the command ask, too. */
static bool takes_data_away(const struct tears_migration_statement *statement)
{
    static const char *const words[] = {"DROP TABLE", "DROP COLUMN", "DROP SCHEMA", "TRUNCATE",
                                        "DROP DATABASE"};
    for (size_t i = 0; i < CLI_COUNT(words); i++)
        if (statement->kind != TEARS_STATEMENT_BOOKKEEPING && holds(statement->sql, words[i]))
            return true;
    return false;
}

/* Asks when something among what is pending takes data away. */
static int confirm_up(struct cli_migrate *migrate, const struct tears_migrate_request *request)
{
    const struct tears_migration_statement *statements;
    size_t count;
    if (cli_flag(migrate->args, "yes"))
        return CLI_EXIT_OK;
    const tears_status status =
        tears_migrate_preview(migrate->migrator, request, &statements, &count);
    if (status == TEARS_NOT_FOUND && cli_flag(migrate->args, "create-schema"))
        return CLI_EXIT_OK; /* an empty schema has no data */
    if (status != TEARS_OK)
        return CLI_EXIT_OK; /* up says what is the matter */
    for (size_t i = 0; i < count; i++) {
        CLI_AUTO(cli_text_done) struct cli_text what = {0};
        if (!takes_data_away(&statements[i]))
            continue;
        cli_text_printf(&what, CLI_STR_FMT " %lld takes data away: " CLI_STR_FMT,
                        CLI_STR_ARG(statements[i].package), (long long)statements[i].version,
                        CLI_STR_ARG(statements[i].sql));
        return cli_migrate_confirm(migrate->args, what.ptr);
    }
    return CLI_EXIT_OK;
}

int cli_migrate_up(struct cli_migrate *migrate)
{
    CLI_AUTO(cli_migrate_request_done) struct cli_migrate_request request = {0};
    uint64_t applied = 0;
    CLI_TRY(cli_migrate_request(migrate->args, &request));
    CLI_TRY(confirm_up(migrate, &request.request));
    const tears_status status = tears_migrate_up(migrate->migrator, &request.request, &applied);
    return status == TEARS_OK ? print_total(migrate->args, "applied", applied)
                              : cli_migrate_fail(migrate, status);
}

/* ---- down ---- */

int cli_migrate_down(struct cli_migrate *migrate)
{
    CLI_AUTO(cli_migrate_request_done) struct cli_migrate_request request = {0};
    CLI_AUTO(cli_text_done) struct cli_text what = {0};
    const struct cli_args *args = migrate->args;
    uint64_t undone = 0;
    CLI_TRY(cli_migrate_request(args, &request));
    if (request.request.steps == 0)
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "how far?  tears migrate down --steps N");
    cli_text_printf(&what, "undoing %llu version%s takes away what they made",
                    (unsigned long long)request.request.steps,
                    request.request.steps == 1 ? "" : "s");
    CLI_TRY(cli_migrate_confirm(args, what.ptr));
    const tears_status status = tears_migrate_down(migrate->migrator, &request.request, &undone);
    return status == TEARS_OK ? print_total(args, "undone", undone)
                              : cli_migrate_fail(migrate, status);
}

/* ---- corrections ---- */

static int version_word(const struct cli_args *args, int64_t *version_out)
{
    uint64_t version;
    if (!cli_number(cli_word(args, 2), INT32_MAX, &version) || version == 0)
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "'%s' is no version", args->words[2]);
    *version_out = (int64_t)version;
    return CLI_EXIT_OK;
}

static int print_done(const struct cli_args *args, const char *word)
{
    return cli_print_line(args, args->json ? TEARS_STR("{\"ok\":true}") : tears_str_c(word));
}

int cli_migrate_stamp(struct cli_migrate *migrate)
{
    int64_t version = 0;
    CLI_TRY(version_word(migrate->args, &version));
    const tears_status status =
        tears_migrate_stamp(migrate->migrator, cli_word(migrate->args, 1), version, TEARS_STR(""));
    return status == TEARS_OK ? print_done(migrate->args, "stamped")
                              : cli_migrate_fail(migrate, status);
}

int cli_migrate_unstamp(struct cli_migrate *migrate)
{
    int64_t version = 0;
    CLI_TRY(version_word(migrate->args, &version));
    CLI_TRY(cli_migrate_confirm(migrate->args,
                                "taking a version out of the ledger makes up run it again"));
    const tears_status status =
        tears_migrate_unstamp(migrate->migrator, cli_word(migrate->args, 1), version);
    return status == TEARS_OK ? print_done(migrate->args, "unstamped")
                              : cli_migrate_fail(migrate, status);
}

int cli_migrate_accept(struct cli_migrate *migrate)
{
    uint64_t accepted = 0;
    const struct tears_str package =
        migrate->args->word_count > 1 ? cli_word(migrate->args, 1) : TEARS_STR("");
    CLI_TRY(cli_migrate_confirm(migrate->args,
                                "accepting changed texts forgets what was really applied"));
    const tears_status status = tears_migrate_accept(migrate->migrator, package, &accepted);
    return status == TEARS_OK ? print_total(migrate->args, "accepted", accepted)
                              : cli_migrate_fail(migrate, status);
}
