/*
 * delete.c -- `tears delete`: removes one row by primary key.
 *
 * Owns:     the command.
 * Must not know: how caches are told.
 * Threads:  the main thread.
 * Fails:    1 when there was no such row.
 * Begin at: cli_delete.
 */
#include "commands.h"
#include "onerow.h"

static int run_delete(const struct cli_args *args)
{
    CLI_AUTO(cli_onerow_done) struct cli_onerow onerow = {0};
    CLI_AUTO(cli_text_done) struct cli_text line = {0};

    CLI_TRY(cli_onerow_open(args, &onerow));
    CLI_TRY(cli_onerow_key(&onerow));
    const tears_status status =
        tears_delete(onerow.context.session, onerow.table, onerow.key, onerow.key_count);
    if (status == TEARS_NOT_FOUND)
        return cli_onerow_fail_absent(&onerow);
    if (status != TEARS_OK)
        return cli_fail_session(&onerow.context, status);
    cli_note_degraded(tears_session_degraded(onerow.context.session));
    if (args->json)
        return cli_print_line(args, TEARS_STR("{\"deleted\":1}"));
    cli_text_put_c(&line, "deleted the row with ");
    cli_key_describe(&onerow.target, onerow.key, &line);
    return cli_print_line(args, cli_text_str(&line));
}

const struct cli_command cli_delete = {
    .name = "delete",
    .synopsis = "TABLE KEY...",
    .summary = "remove one row by primary key",
    .details = "The row leaves the database first and then every cache of every process.\n"
               "\n"
               "  tears delete packages dpkg\n",
    .run = run_delete,
    .word_min = 2,
    .word_max = 1 + CLI_KEY_COLUMNS_MAX,
};
