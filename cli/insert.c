/*
 * insert.c -- `tears insert`: a new row.
 *
 * Owns:     the command.
 * Must not know: defaults; the database fills them in.
 * Threads:  the main thread.
 * Fails:    1 when the key exists already.
 * Begin at: cli_insert.
 */
#include "commands.h"
#include "onerow.h"

static int run_insert(const struct cli_args *args)
{
    CLI_AUTO(cli_onerow_done) struct cli_onerow onerow = {0};
    tears_entity *row = NULL;

    CLI_TRY(cli_onerow_open(args, &onerow));
    CLI_TRY(cli_onerow_fields(&onerow));
    const tears_status status =
        tears_insert(onerow.context.session, onerow.table, onerow.fields, onerow.field_count, &row);
    if (status != TEARS_OK)
        return cli_fail_session(&onerow.context, status);
    cli_note_degraded(tears_session_degraded(onerow.context.session));
    return cli_row_print(&onerow.context, row);
}

const struct cli_command cli_insert = {
    .name = "insert",
    .synopsis = "TABLE column=value...",
    .summary = "add one row",
    .details = "The row must not exist.  Columns not given take the database's default, else NULL. "
               " The row as stored\n"
               "is printed, with its defaults.  `column:=JSON` gives a value as JSON.\n"
               "\n"
               "  tears insert users name=Ada 'email=ada@example.org'\n"
               "  tears insert users name=Bob 'tags:=[\"new\"]' --json\n",
    .run = run_insert,
    .word_min = 2,
    .word_max = SIZE_MAX,
};
