/*
 * migrate_drift.c -- `tears migrate drift` and `repair`: where the tables differ from what the versions declare.
 *
 * Owns:     the command's part.
 * Must not know: catalogues, SQL.
 * Threads:  the main thread.
 * Fails:    1 when something differs (drift) or still differs (repair); else as the library's statuses say.
 * Begin at: cli_migrate_drift(), cli_migrate_repair().
 */
#include "migrate_drift.h"

#include <stdio.h>

static void drift_done(tears_drift **drift)
{
    tears_drift_free(*drift);
}

static int fail(const struct cli_args *args, tears_status status, const struct tears_error *error)
{
    return cli_fail(args, cli_exit_of(status), tears_status_name(status), "%s",
                    error->message[0] != '\0' ? error->message : tears_status_text(status));
}

static int compare(struct cli_migrate *migrate, tears_drift **drift_out)
{
    struct tears_drift_options options = TEARS_DRIFT_OPTIONS_INIT;
    struct tears_error error = {.status = TEARS_OK};

    options.all_versions = cli_flag(migrate->args, "pending");
    options.destructive = cli_flag(migrate->args, "destructive");
    const tears_status status =
        tears_drift_of_migrations(migrate->migrator, &options, drift_out, &error);
    return status == TEARS_OK ? CLI_EXIT_OK : fail(migrate->args, status, &error);
}

/* ---- printing --------------------------------------------------------------------------------- */

static struct tears_str without_last_newline(struct tears_str text)
{
    if (text.len > 0 && text.ptr[text.len - 1] == '\n')
        text.len--;
    return text;
}

typedef tears_status (*text_fn)(const tears_drift *drift, struct tears_owned_text *text_out);

static int print(const struct cli_args *args, const tears_drift *drift, text_fn text_of)
{
    CLI_AUTO(tears_owned_text_free) struct tears_owned_text text = TEARS_OWNED_TEXT_INIT;
    const struct tears_error none = {.status = TEARS_OK};
    const tears_status status = text_of(drift, &text);

    if (status != TEARS_OK)
        return fail(args, status, &none);
    return cli_print_line(args, without_last_newline(tears_owned_text_str(&text)));
}

static int print_drift(const struct cli_args *args, const tears_drift *drift)
{
    if (args->json)
        return print(args, drift, tears_drift_json);
    return print(args, drift, cli_flag(args, "sql") ? tears_drift_sql : tears_drift_text);
}

int cli_migrate_drift(struct cli_migrate *migrate)
{
    CLI_AUTO(drift_done) tears_drift *drift = NULL;

    CLI_TRY(compare(migrate, &drift));
    CLI_TRY(print_drift(migrate->args, drift));
    return tears_drift_count(drift) == 0 ? CLI_EXIT_OK : CLI_EXIT_NO;
}

/* ---- repair ----------------------------------------------------------------------------------- */

static size_t steps_to_run(const tears_drift *drift)
{
    struct tears_drift_step step;
    size_t count = 0;

    for (size_t i = 0; tears_drift_step(drift, i, &step) == TEARS_OK; i++)
        count += step.is_run != 0;
    return count;
}

/* A person sees the statements before the question. */
static int confirm(const struct cli_args *args, const tears_drift *drift, size_t count)
{
    char what[64];

    if (!cli_flag(args, "yes") && !args->json && cli_is_terminal(stdin))
        CLI_TRY(print(args, drift, tears_drift_sql));
    (void)snprintf(what, sizeof what, "%zu statements would be run", count);
    return cli_migrate_confirm(args, what);
}

static int print_done(const struct cli_args *args, uint64_t done, size_t left)
{
    CLI_AUTO(cli_text_done) struct cli_text line = {0};

    if (args->json)
        cli_text_printf(&line, "{\"repaired\":%s,\"statements\":%llu,\"differences\":%zu}",
                        left == 0 ? "true" : "false", (unsigned long long)done, left);
    else if (left == 0)
        cli_text_printf(&line, "repaired by %llu statements; no drift.", (unsigned long long)done);
    else
        cli_text_printf(&line, "%llu statements run; differences that stay: %zu",
                        (unsigned long long)done, left);
    return cli_print_line(args, cli_text_str(&line));
}

/* What is left is found by looking again, not by counting what was done. */
static int look_again(struct cli_migrate *migrate, uint64_t done)
{
    CLI_AUTO(drift_done) tears_drift *drift = NULL;

    CLI_TRY(compare(migrate, &drift));
    const size_t left = tears_drift_count(drift);
    CLI_TRY(print_done(migrate->args, done, left));
    if (left > 0 && !migrate->args->json)
        CLI_TRY(print(migrate->args, drift, tears_drift_sql));
    return left == 0 ? CLI_EXIT_OK : CLI_EXIT_NO;
}

int cli_migrate_repair(struct cli_migrate *migrate)
{
    CLI_AUTO(drift_done) tears_drift *drift = NULL;
    const struct cli_args *args = migrate->args;
    struct tears_error error = {.status = TEARS_OK};
    uint64_t done = 0;

    CLI_TRY(compare(migrate, &drift));
    if (cli_flag(args, "sql"))
        return print(args, drift, tears_drift_sql);
    const size_t count = steps_to_run(drift);
    if (count == 0)
        return look_again(migrate, 0);
    CLI_TRY(confirm(args, drift, count));
    const tears_status status = tears_drift_repair(drift, &done, &error);
    if (status != TEARS_OK)
        return fail(args, status, &error);
    return look_again(migrate, done);
}
