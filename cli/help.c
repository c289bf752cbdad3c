/*
 * help.c -- `tears help`, `tears help COMMAND`, `tears COMMAND --help`.
 *
 * Owns:     how help looks.
 * Must not know: any command; all it prints comes from their tables.
 * Threads:  the main thread.
 * Fails:    2 for a topic that does not exist.
 * Begin at: cli_help().
 */
#include "commands.h"
#include "output.h"

static void put_options(struct cli_text *out, const struct cli_option *options)
{
    for (; options != NULL && options->name != NULL; options++) {
        const int used = (int)strlen(options->name) +
                         (options->value_name != NULL ? 1 + (int)strlen(options->value_name) : 0);
        cli_text_printf(out, "  --%s%s%s%*s  %s\n", options->name,
                        options->value_name != NULL ? " " : "",
                        options->value_name != NULL ? options->value_name : "",
                        used < 18 ? 18 - used : 0, "", options->help);
    }
}

static void put_overview(struct cli_text *out)
{
    cli_text_put_c(
        out,
        "tears -- rows through three tiers: L1 in the process, L2 in NATS, L3 in the database\n"
        "\n"
        "usage: tears [OPTION]... COMMAND [WORD]...\n"
        "\n"
        "commands:\n");
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        if (!cli_commands[i]->hidden)
            cli_text_printf(out, "  %-9s %s\n", cli_commands[i]->name, cli_commands[i]->summary);
    }
    cli_text_put_c(out, "\noptions of every command:\n");
    put_options(out, cli_global_options);
    cli_text_put_c(out, "\nWithout options the database is the SQLite file tears.db and there is "
                        "no L2.  Tables are found\n"
                        "by reading the database's catalogue.\n"
                        "\n"
                        "  tears tables                      what is there\n"
                        "  tears get packages dpkg           one row\n"
                        "  tears help get                    a command explained\n"
                        "  tears help exit-codes             what the exit codes say\n");
}

static void put_exit_codes(struct cli_text *out)
{
    cli_text_put_c(
        out,
        "exit codes of tears:\n"
        "  0    done\n"
        "  1    no such row, or somebody else changed it first\n"
        "  2    the command line is wrong: command, option, table, column, number of key values\n"
        "  3    a tier cannot be reached, or the deadline passed\n"
        "  4    the data is refused: type, missing column, constraint, limit\n"
        "  5    not permitted\n"
        "  6    damaged data, an unreadable file, no memory, or a bug\n"
        "  130  interrupted\n");
}

static void put_command(struct cli_text *out, const struct cli_command *command)
{
    cli_text_printf(out, "usage: tears %s%s%s\n\n%s.\n\n%s", command->name,
                    command->synopsis[0] != '\0' ? " " : "", command->synopsis, command->summary,
                    command->details);
    if (command->options != NULL) {
        cli_text_put_c(out, "\noptions:\n");
        put_options(out, command->options);
    }
    cli_text_put_c(out, "\nOptions of every command: see `tears help`.\n");
}

int cli_help(const struct cli_args *args, const char *topic)
{
    CLI_AUTO(cli_text_done) struct cli_text out = {0};
    const struct cli_command *command = topic != NULL ? cli_command_find(topic) : NULL;

    if (topic == NULL)
        put_overview(&out);
    else if (strcmp(topic, "exit-codes") == 0)
        put_exit_codes(&out);
    else if (command != NULL)
        put_command(&out, command);
    else
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "no help on '%s'; see `tears help`", topic);
    return cli_print_line(args,
                          tears_str_n(out.ptr, out.len - 1)); /* the line adds the last newline */
}

static int run_help(const struct cli_args *args)
{
    return cli_help(args, args->word_count > 0 ? args->words[0] : NULL);
}

const struct cli_command cli_help_command = {
    .name = "help",
    .synopsis = "[COMMAND | exit-codes]",
    .summary = "explain tears or one command",
    .details = "  tears help\n  tears help import\n",
    .run = run_help,
    .word_min = 0,
    .word_max = 1,
};
