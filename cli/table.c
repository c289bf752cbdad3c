/*
 * table.c -- `tears table`: makes, drops and describes tables by their JSON definitions.
 *
 * Owns:     the data store of one run.
 * Must not know: DDL; the library writes it.
 * Threads:  the main thread.
 * Fails:    1 when a table is not as declared, or drop was not confirmed; 2 for a table that does not exist.
 * Begin at: cli_table_command.
 */
#include "table.h"

#include "commands.h"

#include <stdio.h>

static const struct cli_option options[] = {
    {"owner", "UUID", "the tables of this owner, in a schema of its own (else the client's)"},
    {"must-create", NULL, "create: fail when there is such a table already"},
    {"check", NULL, "create: only compare, and change nothing"},
    {"if-exists", NULL, "drop: a table that is not there is fine"},
    {"yes", NULL, "drop: do not ask"},
    {NULL, NULL, NULL},
};

/* ---- the data store ---- */

int cli_table_open(const struct cli_args *args, bool create_schema, struct cli_table_work *work)
{
    struct tears_data_options given = TEARS_DATA_OPTIONS_INIT;
    struct tears_error error = {.status = TEARS_OK};
    const char *owner = cli_option(args, "owner");
    uint8_t uuid[16];

    if (owner != NULL && tears_uuid_parse(tears_str_c(owner), uuid) != TEARS_OK)
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "--owner needs a UUID; '%s' is none", owner);
    CLI_TRY(cli_open(args, &work->context));
    given.owner = owner != NULL ? uuid : NULL;
    given.create_schema = create_schema ? 1 : 0;
    const tears_status status = tears_data_open(work->context.client, &given, &work->data, &error);
    if (status == TEARS_OK)
        return CLI_EXIT_OK;
    return cli_fail(args, status == TEARS_NOT_FOUND ? CLI_EXIT_USAGE : cli_exit_of(status),
                    tears_status_name(status), "%s", error.message);
}

void cli_table_close(struct cli_table_work *work)
{
    tears_data_free(work->data);
    cli_close(&work->context);
}

/* A table that is not there is a slip of the pen. */
static int fail(const struct cli_table_work *work, tears_status status)
{
    if (status == TEARS_NOT_FOUND)
        return cli_fail(work->context.args, CLI_EXIT_USAGE, tears_status_name(status), "%s",
                        tears_session_error(work->context.session)->message);
    return cli_fail_session(&work->context, status);
}

/* ---- drop ---- */

/* Asks whoever sits at the terminal; without one only --yes says so. */
static int confirm(const struct cli_args *args, struct tears_str table)
{
    if (cli_flag(args, "yes"))
        return CLI_EXIT_OK;
    if (args->json || !cli_is_terminal(stdin))
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE",
                        "table '" CLI_STR_FMT "' would be dropped with all its rows; say --yes",
                        CLI_STR_ARG(table));
    (void)fprintf(stderr, "Drop table '" CLI_STR_FMT "' with all its rows? [y/N] ",
                  CLI_STR_ARG(table));
    (void)fflush(stderr);
    const int answer = getchar();
    if (answer == 'y' || answer == 'Y')
        return CLI_EXIT_OK;
    cli_note("nothing was changed");
    return CLI_EXIT_NO;
}

static int print_dropped(const struct cli_args *args, struct tears_str table, bool dropped)
{
    CLI_AUTO(cli_text_done) struct cli_text line = {0};

    if (args->json) {
        cli_text_put_c(&line, "{\"table\":");
        cli_text_put_json(&line, table);
        cli_text_printf(&line, ",\"dropped\":%s}", dropped ? "true" : "false");
    } else {
        cli_text_printf(&line, "%s '" CLI_STR_FMT "'",
                        dropped ? "dropped table" : "there is no table", CLI_STR_ARG(table));
    }
    return cli_print_line(args, cli_text_str(&line));
}

static int run_drop(const struct cli_args *args)
{
    CLI_AUTO(cli_table_close) struct cli_table_work work = {0};
    const struct tears_str table = cli_word(args, 1);

    CLI_TRY(confirm(args, table));
    CLI_TRY(cli_table_open(args, false, &work));
    const tears_status status = tears_data_drop_table(work.context.session, work.data, table);
    if (status == TEARS_NOT_FOUND && cli_flag(args, "if-exists"))
        return print_dropped(args, table, false);
    if (status != TEARS_OK)
        return fail(&work, status);
    cli_note_degraded(tears_session_degraded(work.context.session));
    return print_dropped(args, table, true);
}

/* ---- describe ---- */

/* On one line: there are no newlines within strings of JSON. */
static void put_compact(struct tears_str json, struct cli_text *out)
{
    for (size_t i = 0; i < json.len; i++) {
        if (json.ptr[i] != '\n')
            cli_text_put_char(out, json.ptr[i]);
        while (json.ptr[i] == '\n' && i + 1 < json.len && json.ptr[i + 1] == ' ')
            i++;
    }
}

static int run_describe(const struct cli_args *args)
{
    CLI_AUTO(cli_table_close) struct cli_table_work work = {0};
    CLI_AUTO(cli_text_done) struct cli_text line = {0};
    struct tears_str json;
    struct tears_str inexact;

    CLI_TRY(cli_table_open(args, false, &work));
    const tears_status status =
        tears_data_definition(work.context.session, work.data, cli_word(args, 1), &json, &inexact);
    if (status != TEARS_OK)
        return fail(&work, status);
    if (inexact.len > 0)
        cli_note("a definition has no words for: " CLI_STR_FMT, CLI_STR_ARG(inexact));
    if (!args->json)
        return cli_print_line(args, json);
    put_compact(json, &line);
    return cli_print_line(args, cli_text_str(&line));
}

/* ---- list ---- */

static int run_list(const struct cli_args *args)
{
    CLI_AUTO(cli_table_close) struct cli_table_work work = {0};
    CLI_AUTO(cli_text_done) struct cli_text line = {0};
    const struct tears_str *names = NULL;
    size_t count = 0;

    CLI_TRY(cli_table_open(args, false, &work));
    const tears_status status = tears_data_tables(work.context.session, work.data, &names, &count);
    if (status != TEARS_OK)
        return fail(&work, status);
    for (size_t i = 0; i < count; i++) {
        cli_text_clear(&line);
        cli_text_put_c(&line, args->json ? "{\"table\":" : "");
        if (args->json)
            cli_text_put_json(&line, names[i]);
        else
            cli_text_put(&line, names[i]);
        cli_text_put_c(&line, args->json ? "}" : "");
        CLI_TRY(cli_print_line(args, cli_text_str(&line)));
    }
    return CLI_EXIT_OK;
}

/* ---- the command ---- */

static const struct {
    const char *name;
    const char *needs; /* the word behind it; NULL: none */
    int (*run)(const struct cli_args *args);
} actions[] = {
    {"create", "a file with a definition, or -", cli_table_create},
    {"drop", "a table", run_drop},
    {"describe", "a table", run_describe},
    {"list", NULL, run_list},
};

static int run_table(const struct cli_args *args)
{
    for (size_t i = 0; i < CLI_COUNT(actions); i++) {
        if (!cli_str_is(cli_word(args, 0), actions[i].name))
            continue;
        if (actions[i].needs != NULL && args->word_count < 2)
            return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "%s what?  It needs %s", actions[i].name,
                            actions[i].needs);
        if (actions[i].needs == NULL && args->word_count > 1)
            return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "%s takes no more words",
                            actions[i].name);
        return actions[i].run(args);
    }
    return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "'%s' is none of create, drop, describe, list",
                    args->words[0]);
}

const struct cli_command cli_table_command = {
    .name = "table",
    .synopsis = "create FILE | drop TABLE | describe TABLE | list",
    .summary = "make, drop and describe tables by JSON definitions",
    .details =
        "create makes the table of a definition, with its indexes, in one transaction.  When the "
        "table is there\nalready, it is compared with the definition; what differs is printed, and "
        "the exit code is 1.  With --check\nnothing is made.  describe prints the definition that "
        "would make the table anew.  drop takes the rows out\nof all caches, too.\n"
        "\n"
        "With --owner the tables are those of one owner: on PostgreSQL in the schema "
        "agent_<hexadecimal id>, on\nSQLite in a file of that name beside the database's.\n"
        "\n"
        "  tears table create notes.json\n"
        "  tears table describe notes > notes.json\n"
        "  tears table create - --owner 0190b5c8-7a5e-7b2d-8c3d-0123456789ab < notes.json\n"
        "  tears table drop notes --yes\n",
    .options = options,
    .run = run_table,
    .word_min = 1,
    .word_max = 2,
};
