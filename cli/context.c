/*
 * context.c -- opens what the command line names.
 *
 * Owns:     the client and the session of a command.
 * Must not know: what the command does with them.
 * Threads:  the main thread; the log function is called from any.
 * Fails:    with the exit code of the library's status, after reporting it.
 * Begin at: cli_open().
 */
#include "context.h"

#include "commands.h"

#include <stdlib.h>

static void log_to_stderr(void *owner, uint64_t level, const char *origin, const char *message)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    (void)owner;
    cli_note("%s: %s: %s", level < CLI_COUNT(names) ? names[level] : "note", origin, message);
}

/* For a command that says itself what becomes of pending writes, and once that the database is away. */
static void log_all_but_flushes(void *owner, uint64_t level, const char *origin,
                                const char *message)
{
    static const char *const known[] = {"flush", "deferred", "l3.pg"};
    for (size_t i = 0; i < CLI_COUNT(known); i++) {
        if (strcmp(origin, known[i]) == 0)
            return;
    }
    log_to_stderr(owner, level, origin, message);
}

void cli_flushes_itself(const struct cli_args *args, struct tears_client_options *options)
{
    options->flush_shutdown_ms = 1; /* what the command did not get done is not tried again */
    if (!args->verbose)
        options->log = log_all_but_flushes;
}

/*
 * A journal has one owner, and its variables are for the program that owns it: a command in the same environment
 * must not take it away.  With --deferred the command is such a program; as a plain option that is of its table.
 */
static void set_deferral(const struct cli_args *args, struct tears_client_options *options)
{
    const char *tables = cli_option(args, "deferred");

    (void)unsetenv("TEARS_FLUSH_TABLES"); /* fails for names that are none only */
    if (tables == NULL) {
        (void)unsetenv("TEARS_JOURNAL");
        return;
    }
    options->journal_path = tears_str_c(cli_option(args, "journal"));
    options->flush_tables = tears_str_c(tables);
    options->flush_shutdown_ms = 5000;
    if (tables[0] == '\0') {
        options->flush_tables = cli_word(args, 0);
        cli_flushes_itself(args, options);
    }
}

int cli_client_options(const struct cli_args *args, struct tears_client_options *options_out)
{
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;

    CLI_TRY(cli_option_number(args, "timeout",
                              (struct cli_range){.min = 1, .max = 86400000, .otherwise = 0},
                              &options.timeout_ms));
    options.l3_url = tears_str_c(cli_option(args, "l3"));
    options.l2_url = tears_str_c(cli_option(args, "l2"));
    options.namespace_name = tears_str_c(cli_option(args, "namespace"));
    options.l1 = tears_str_c(cli_option(args, "l1"));
    /* A person who names a deadline does not want to wait longer than that for the connection
     * either. */
    options.l3_connect_ms = options.timeout_ms > 0 ? options.timeout_ms : 5000;
    options.no_outbox = args->command == &cli_outbox; /* it is over before it could do the work */
    options.log = log_to_stderr;
    options.log_level = args->verbose ? TEARS_LOG_INFO : TEARS_LOG_WARN;
    set_deferral(args, &options);
    *options_out = options;
    return CLI_EXIT_OK;
}

int cli_open(const struct cli_args *args, struct cli_context *context_out)
{
    struct tears_client_options options;

    *context_out = (struct cli_context){.args = args};
    CLI_TRY(cli_client_options(args, &options));
    return cli_open_with(args, &options, context_out);
}

int cli_open_with(const struct cli_args *args, const struct tears_client_options *options,
                  struct cli_context *context_out)
{
    struct tears_error error = {.status = TEARS_OK};

    *context_out = (struct cli_context){.args = args};
    tears_status status = tears_client_open(options, &context_out->client, &error);
    if (status != TEARS_OK)
        return cli_fail(args, cli_exit_of(status), tears_status_name(status), "%s",
                        error.message[0] != '\0' ? error.message : tears_status_text(status));
    status = tears_session_new(context_out->client, NULL, &context_out->session);
    if (status != TEARS_OK)
        return cli_fail(args, cli_exit_of(status), tears_status_name(status),
                        "cannot start a session: %s", tears_status_text(status));
    return CLI_EXIT_OK;
}

void cli_close(struct cli_context *context)
{
    tears_session_free(context->session);
    tears_client_free(context->client);
    *context = (struct cli_context){.args = context->args};
}

int cli_fail_session(const struct cli_context *context, tears_status status)
{
    const struct tears_error *error = tears_session_error(context->session);
    const char *message = error->status == status && error->message[0] != '\0'
                              ? error->message
                              : tears_status_text(status);
    return cli_fail(context->args, cli_exit_of(status), tears_status_name(status), "%s", message);
}

/* What is in the database instead: the nearest name, or how to list them. */
static int fail_no_table(struct cli_context *context, struct tears_str name)
{
    const struct tears_str *names = NULL;
    size_t count = 0;
    char *wanted = cli_copy(name);
    const char *near = NULL;

    if (tears_tables(context->session, &names, &count) == TEARS_OK && count > 0) {
        const char **candidates = cli_alloc(count, sizeof *candidates);
        for (size_t i = 0; i < count; i++)
            candidates[i] = names[i].ptr; /* text of the library is NUL-terminated as well */
        near = cli_nearest(wanted, candidates, count);
        free(candidates);
    }
    const int result = near != NULL ? cli_fail(context->args, CLI_EXIT_USAGE, "NOT_FOUND",
                                               "no table '%s'; did you mean '%s'?", wanted, near)
                                    : cli_fail(context->args, CLI_EXIT_USAGE, "NOT_FOUND",
                                               "no table '%s'; `tears tables` lists them", wanted);
    free(wanted);
    return result;
}

int cli_table(struct cli_context *context, struct tears_str name, tears_collection **table_out)
{
    struct tears_error error = {.status = TEARS_OK};
    const tears_status status =
        tears_collection_open(context->client, name, NULL, table_out, &error);

    if (status == TEARS_OK)
        return CLI_EXIT_OK;
    if (status == TEARS_NOT_FOUND)
        return fail_no_table(context, name);
    return cli_fail(context->args, cli_exit_of(status), tears_status_name(status), "%s",
                    error.message[0] != '\0' ? error.message : tears_status_text(status));
}

void cli_note_degraded(uint32_t degraded)
{
    if ((degraded & TEARS_DEGRADED_L3_READ) != 0)
        cli_note("warning: the database cannot be asked; a cache answered");
    if ((degraded & TEARS_DEGRADED_L2_READ) != 0)
        cli_note("warning: L2 cannot be asked; the database answered");
    if ((degraded & TEARS_DEGRADED_L2_WRITE) != 0)
        cli_note("warning: saved, but L2 could not be corrected yet");
    if ((degraded & TEARS_DEGRADED_NOTICE) != 0)
        cli_note("warning: saved, but other processes could not be told");
}

const char *cli_tier_name(uint32_t tier)
{
    static const char *const names[] = {"none", "l1", "l2", "l3", "pending"};
    return tier < CLI_COUNT(names) ? names[tier] : "none";
}
