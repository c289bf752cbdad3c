/*
 * get.c -- `tears get`: one row by primary key.
 *
 * Owns:     the command; the reading of a key from words for all one-row commands is in rows.c.
 * Must not know: which tier has the row.
 * Threads:  the main thread.
 * Fails:    1 when there is no such row; else by status.
 * Begin at: cli_get.
 */
#include "commands.h"
#include "onerow.h"

static int run_get(const struct cli_args *args)
{
    CLI_AUTO(cli_onerow_done) struct cli_onerow onerow = {0};
    tears_entity *row = NULL;

    CLI_TRY(cli_onerow_open(args, &onerow));
    CLI_TRY(cli_onerow_key(&onerow));
    CLI_TRY(cli_onerow_read(&onerow, &row));
    return cli_row_print(&onerow.context, row);
}

const struct cli_command cli_get = {
    .name = "get",
    .synopsis = "TABLE KEY...",
    .summary = "print one row by primary key",
    .details = "Looks in L1, L2 and L3.  A key of several columns is given in the key's order, one "
               "word each\n"
               "(`tears describe TABLE` shows it).\n"
               "\n"
               "  tears get packages dpkg\n"
               "  tears get orders 7 2026-01-31T12:00:00Z --json\n",
    .run = run_get,
    .word_min = 2,
    .word_max = 1 + CLI_KEY_COLUMNS_MAX,
};
