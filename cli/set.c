/*
 * set.c -- `tears set`: changes some columns of a row.
 *
 * Owns:     the command.
 * Must not know: how a conflict is found.
 * Threads:  the main thread.
 * Fails:    1 when there is no such row or somebody else changed it meanwhile.
 * Begin at: cli_set.
 *
 * The change is based on the row just read, so a change by somebody else between reading and
 * writing shows as a conflict instead of being lost.
 */
#include "commands.h"
#include "onerow.h"

#include <stdlib.h>

static const struct cli_option options[] = {
    {"upsert", NULL, "write the row whether or not it exists; the last writer wins"},
    {NULL, NULL, NULL},
};

static int fail_conflict(struct cli_onerow *onerow)
{
    CLI_AUTO(cli_text_done) struct cli_text key = {0};
    const struct tears_error *error = tears_session_error(onerow->context.session);

    if (error->status == TEARS_CONFLICT && error->message[0] != '\0')
        return cli_fail_session(&onerow->context, TEARS_CONFLICT);
    cli_key_describe(&onerow->target, onerow->key, &key);
    return cli_fail(onerow->context.args, CLI_EXIT_NO, "CONFLICT",
                    "the row with %s was changed by somebody else meanwhile; nothing was written",
                    key.ptr);
}

static int update(struct cli_onerow *onerow, tears_entity **row_out)
{
    CLI_TRY(cli_onerow_read(onerow, row_out));
    const tears_status status = tears_update(onerow->context.session, *row_out, onerow->fields,
                                             onerow->field_count, row_out);
    if (status == TEARS_CONFLICT)
        return fail_conflict(onerow);
    return status == TEARS_OK ? CLI_EXIT_OK : cli_fail_session(&onerow->context, status);
}

/* The key's columns are fields of an upsert like any other. */
static int upsert(struct cli_onerow *onerow, tears_entity **row_out)
{
    const size_t count = onerow->key_count + onerow->field_count;
    struct tears_field *fields = cli_alloc(count, sizeof *fields);

    for (size_t i = 0; i < onerow->key_count; i++) {
        struct tears_column_info info;
        const size_t column = tears_schema_key_column(onerow->target.schema, i);
        if (tears_schema_column(onerow->target.schema, column, &info) == TEARS_OK)
            fields[i] = tears_field_of(info.name, onerow->key[i]);
    }
    for (size_t i = 0; i < onerow->field_count; i++)
        fields[onerow->key_count + i] = onerow->fields[i];
    const tears_status status =
        tears_upsert(onerow->context.session, onerow->table, fields, count, row_out);
    free(fields);
    return status == TEARS_OK ? CLI_EXIT_OK : cli_fail_session(&onerow->context, status);
}

static int run_set(const struct cli_args *args)
{
    CLI_AUTO(cli_onerow_done) struct cli_onerow onerow = {0};
    tears_entity *row = NULL;

    CLI_TRY(cli_onerow_open(args, &onerow));
    CLI_TRY(cli_onerow_key_and_fields(&onerow));
    CLI_TRY(cli_flag(args, "upsert") ? upsert(&onerow, &row) : update(&onerow, &row));
    cli_note_degraded(tears_session_degraded(onerow.context.session));
    return cli_row_print(&onerow.context, row);
}

const struct cli_command cli_set = {
    .name = "set",
    .synopsis = "TABLE KEY... column=value...",
    .summary = "change columns of one row",
    .details = "Only the columns given are written.  The row must exist, unless --upsert is given. "
               " The row as the\n"
               "database stored it is printed.  `column:=JSON` gives a value as JSON, which is how "
               "NULL is written.\n"
               "\n"
               "  tears set packages dpkg section=admin\n"
               "  tears set packages dpkg homepage:=null 'maintainer=Ada Lovelace'\n"
               "  tears set counters visits total=1 --upsert\n",
    .options = options,
    .run = run_set,
    .word_min = 2,
    .word_max = SIZE_MAX,
};
