/*
 * outbox.c -- `tears outbox`: have the database note what other programs change.
 *
 * Owns:     the command.
 * Must not know: triggers; the library installs them.
 * Threads:  the main thread.
 * Fails:    2 for an unknown action or table, 4 for a table without a key, 5 without rights.
 * Begin at: cli_outbox.
 */
#include "commands.h"
#include "context.h"

#include <stdlib.h>

/* The tables that the command line names, behind the action. */
static struct tears_str *named_tables(const struct cli_args *args, size_t *count_out)
{
    const size_t count = args->word_count - 1;
    struct tears_str *names = cli_alloc(count + 1, sizeof *names);

    for (size_t i = 0; i < count; i++)
        names[i] = cli_word(args, i + 1);
    *count_out = count;
    return names;
}

static void put_json_names(const struct tears_str *names, size_t count, struct cli_text *out)
{
    cli_text_put_char(out, '[');
    for (size_t i = 0; i < count; i++) {
        cli_text_put_c(out, i > 0 ? "," : "");
        cli_text_put_json(out, names[i]);
    }
    cli_text_put_char(out, ']');
}

static void put_names(const struct tears_str *names, size_t count, struct cli_text *out)
{
    for (size_t i = 0; i < count; i++)
        cli_text_printf(out, "%s" CLI_STR_FMT, i > 0 ? ", " : "", CLI_STR_ARG(names[i]));
}

/* Says what was done: {"VERB":["table",...]} or "VERB: table, ...". */
static int print_done(const struct cli_args *args, const char *verb, const struct tears_str *names,
                      size_t count)
{
    CLI_AUTO(cli_text_done) struct cli_text line = {0};

    cli_text_printf(&line, args->json ? "{\"%s\":" : "%s: ", verb);
    if (args->json)
        put_json_names(names, count, &line);
    else if (count > 0)
        put_names(names, count, &line);
    else
        cli_text_put_c(&line, "the outbox, and its triggers on all tables");
    cli_text_put_c(&line, args->json ? "}" : "");
    return cli_print_line(args, cli_text_str(&line));
}

/* A table that is not there is a slip of the pen. */
static int fail(const struct cli_context *context, tears_status status)
{
    if (status == TEARS_NOT_FOUND)
        return cli_fail(context->args, CLI_EXIT_USAGE, tears_status_name(status), "%s",
                        tears_session_error(context->session)->message);
    return cli_fail_session(context, status);
}

/* ---- install and remove ---- */

/* Without a version nothing tells a write of the library from another program's. */
static void remark_versions(struct cli_context *context, const struct tears_str *names,
                            size_t count)
{
    for (size_t i = 0; i < count; i++) {
        tears_collection *table = NULL;
        if (tears_collection_find(context->client, names[i], &table) == TEARS_OK &&
            tears_schema_version_column(tears_collection_schema(table)) == SIZE_MAX)
            cli_note("table '" CLI_STR_FMT "' has no version column: rows written through tears "
                     "leave L2 again each time",
                     CLI_STR_ARG(names[i]));
    }
}

static int install(struct cli_context *context)
{
    const struct cli_args *args = context->args;
    size_t count = 0;
    struct tears_str *names = named_tables(args, &count);
    int exit_code = CLI_EXIT_OK;

    if (count == 0) {
        exit_code = cli_fail(args, CLI_EXIT_USAGE, "USAGE",
                             "on which tables?  "
                             "tears outbox install TABLE...");
    } else {
        const tears_status status = tears_outbox_install(context->session, names, count);
        exit_code = status == TEARS_OK ? print_done(args, "installed", names, count)
                                       : fail(context, status);
        if (status == TEARS_OK)
            remark_versions(context, names, count);
    }
    free(names);
    return exit_code;
}

static int take_away(struct cli_context *context)
{
    size_t count = 0;
    struct tears_str *names = named_tables(context->args, &count);
    const tears_status status = tears_outbox_remove(context->session, names, count);
    const int exit_code = status == TEARS_OK ? print_done(context->args, "removed", names, count)
                                             : fail(context, status);

    free(names);
    return exit_code;
}

/* ---- status ---- */

static int print_json_status(const struct cli_args *args, const struct tears_outbox_status *status)
{
    CLI_AUTO(cli_text_done) struct cli_text line = {0};

    cli_text_printf(&line,
                    "{\"installed\":%s,\"has_tailer\":%s,\"waiting\":%llu,\"oldest_ms\":%llu,"
                    "\"tables\":",
                    status->installed ? "true" : "false", status->has_tailer ? "true" : "false",
                    (unsigned long long)status->waiting, (unsigned long long)status->oldest_ms);
    put_json_names(status->tables, status->table_count, &line);
    cli_text_put_char(&line, '}');
    return cli_print_line(args, cli_text_str(&line));
}

static void put_waiting(const struct tears_outbox_status *status, struct cli_text *out)
{
    cli_text_put_count(out, status->waiting);
    if (status->waiting == 0)
        return;
    cli_text_put_c(out, ", the oldest for ");
    cli_text_put_duration(out, (double)status->oldest_ms / 1000);
}

static int print_status(const struct cli_args *args, const struct tears_outbox_status *status)
{
    CLI_AUTO(cli_grid_done) struct cli_grid grid;
    CLI_AUTO(cli_text_done) struct cli_text text = {0};

    cli_grid_init(&grid, 2);
    cli_grid_put_c(&grid, "tables");
    put_names(status->tables, status->table_count, &text);
    cli_grid_put(&grid, cli_text_str(&text));
    cli_grid_put_c(&grid, "notes waiting");
    cli_text_clear(&text);
    put_waiting(status, &text);
    cli_grid_put(&grid, cli_text_str(&text));
    cli_grid_put_c(&grid, "worked on");
    cli_grid_put_c(&grid, status->has_tailer ? "yes" : "no: no client with L2 runs");
    return cli_grid_print(args, &grid);
}

static int show_status(struct cli_context *context)
{
    struct tears_outbox_status found = TEARS_OUTBOX_STATUS_INIT;
    const struct cli_args *args = context->args;

    if (args->word_count > 1)
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE",
                        "status is of the whole outbox; it takes no table");
    const tears_status status = tears_outbox_status(context->session, &found);
    if (status != TEARS_OK)
        return cli_fail_session(context, status);
    if (args->json)
        return print_json_status(args, &found);
    if (!found.installed)
        return cli_print_line(args, TEARS_STR("not installed"));
    return print_status(args, &found);
}

/* ---- the command ---- */

static const struct {
    const char *name;
    int (*run)(struct cli_context *context);
} actions[] = {
    {"install", install},
    {"remove", take_away},
    {"status", show_status},
};

static int run_outbox(const struct cli_args *args)
{
    CLI_AUTO(cli_close) struct cli_context context = {0};

    for (size_t i = 0; i < CLI_COUNT(actions); i++) {
        if (!cli_str_is(cli_word(args, 0), actions[i].name))
            continue;
        CLI_TRY(cli_open(args, &context));
        return actions[i].run(&context);
    }
    return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "'%s' is none of install, remove, status",
                    args->words[0]);
}

const struct cli_command cli_outbox = {
    .name = "outbox",
    .synopsis = "install TABLE... | remove [TABLE...] | status",
    .summary = "have the database note what other programs change",
    .details =
        "With the outbox, a change made straight in PostgreSQL is seen by all processes, and so "
        "is a write\nwhose process died before it could tell the others.  A trigger notes the key "
        "of every changed row in\nthe table tears_outbox, in the same transaction; one of the "
        "clients that have L2 turns the notes into\ncorrections of L2 and notices.\n"
        "\n"
        "install needs the right to create a table, and to put triggers on the tables; for a "
        "moment it waits\nfor their writers.  Install again when a table's key or its name has "
        "changed.  Clients of another role\nthan the installing one need: GRANT SELECT, UPDATE, "
        "DELETE ON tears_outbox TO role.\n"
        "remove without a table removes everything.\n"
        "\n"
        "  tears outbox install packages users app.orders\n"
        "  tears outbox status\n",
    .run = run_outbox,
    .word_min = 1,
    .word_max = SIZE_MAX,
};
