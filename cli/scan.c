/*
 * scan.c -- `tears scan`: one page of rows, and the cursor of the next.
 *
 * Owns:     the command.
 * Must not know: what a cursor is made of.
 * Threads:  the main thread.
 * Fails:    by status; a cursor of another order is refused.
 * Begin at: cli_scan.
 */
#include "commands.h"
#include "onerow.h"

#include <stdlib.h>

static const struct cli_option options[] = {
    {"where", "COLUMN=VALUE", "only rows whose column equals the value; may be repeated"},
    {"order", "COLUMN", "order by the column, then by the key; may be repeated"},
    {"desc", NULL, "descending"},
    {"page", "N", "rows of the page (else 20)"},
    {"cursor", "CURSOR", "go on where the page that printed this cursor ended"},
    {NULL, NULL, NULL},
};

/* The values of a repeated option, in order; the array is ended by free. */
static struct tears_str *option_values(const struct cli_args *args, const char *name,
                                       size_t *count_out)
{
    struct tears_str *values = cli_alloc(args->given_count, sizeof *values);

    *count_out = 0;
    for (size_t i = 0; i < args->given_count; i++) {
        if (strcmp(args->given[i].option->name, name) == 0)
            values[(*count_out)++] = tears_str_c(args->given[i].value);
    }
    return values;
}

/* Before the library sees them, so that a wrong column gets a suggestion. */
static int check_order(const struct cli_onerow *onerow, const struct tears_str *columns,
                       size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t index = 0;
        if (tears_schema_find_column(onerow->target.schema, columns[i], &index) == TEARS_OK)
            continue;
        const char *near = cli_nearest_column(onerow->target.schema, columns[i]);
        return cli_fail(onerow->context.args, CLI_EXIT_USAGE, "INVALID",
                        "no column '" CLI_STR_FMT "' to order by%s%s%s", CLI_STR_ARG(columns[i]),
                        near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                        near != NULL ? "'?" : "");
    }
    return CLI_EXIT_OK;
}

static int print_next(const struct cli_args *args, struct tears_str cursor)
{
    CLI_AUTO(cli_text_done) struct cli_text line = {0};

    if (cursor.len == 0)
        return CLI_EXIT_OK;
    if (!args->json) {
        (void)fflush(stdout);
        cli_note("more rows: --cursor '" CLI_STR_FMT "'", CLI_STR_ARG(cursor));
        return CLI_EXIT_OK;
    }
    cli_text_put_c(&line, "{\"next_cursor\":");
    cli_text_put_json(&line, cursor);
    cli_text_put_char(&line, '}');
    return cli_print_line(args, cli_text_str(&line));
}

static int read_page(struct cli_onerow *onerow, struct tears_page_options *page_options)
{
    const struct cli_args *args = onerow->context.args;
    struct tears_page page = {NULL, 0, {NULL, 0}};

    page_options->cursor = tears_str_c(cli_option(args, "cursor"));
    page_options->descending = cli_flag(args, "desc");
    CLI_TRY(cli_option_number(args, "page",
                              (struct cli_range){.min = 1, .max = 100000, .otherwise = 20},
                              &page_options->row_max));
    const tears_status status =
        tears_page_read(onerow->context.session, onerow->table, page_options, &page);
    if (status != TEARS_OK)
        return cli_fail_session(&onerow->context, status);
    CLI_TRY(cli_rows_print(&onerow->context, onerow->target.schema, page.entities, page.count));
    return print_next(args, page.next_cursor);
}

static int run_scan(const struct cli_args *args)
{
    CLI_AUTO(cli_onerow_done) struct cli_onerow onerow = {0};
    CLI_AUTO(cli_problem_done) struct cli_problem problem = {0};
    struct tears_page_options page_options = TEARS_PAGE_OPTIONS_INIT;

    CLI_TRY(cli_onerow_open(args, &onerow));
    struct tears_str *where = option_values(args, "where", &onerow.field_count);
    onerow.fields = cli_alloc(onerow.field_count, sizeof *onerow.fields);
    const tears_status status =
        cli_fields_parse(&onerow.target, where, onerow.field_count, onerow.fields, &problem);
    free(where);
    if (status != TEARS_OK)
        return cli_fail_problem(args, &problem);

    struct tears_str *order = option_values(args, "order", &page_options.order_by_count);
    page_options.filters = onerow.fields;
    page_options.filter_count = onerow.field_count;
    page_options.order_by = order;
    int result = check_order(&onerow, order, page_options.order_by_count);
    if (result == CLI_EXIT_OK)
        result = read_page(&onerow, &page_options);
    free(order);
    return result;
}

const struct cli_command cli_scan = {
    .name = "scan",
    .synopsis = "TABLE [--where COLUMN=VALUE]... [--order COLUMN] [--desc] [--page N] [--cursor C]",
    .summary = "print rows page by page",
    .details = "Rows come from the database in key order, or in the order named.  When there are "
               "more, the cursor of\n"
               "the next page is printed: on stderr, or with --json as a last line "
               "{\"next_cursor\":\"...\"}.\n"
               "\n"
               "  tears scan packages --where section=libs --page 5\n"
               "  tears scan packages --order installed_size --desc --page 10\n",
    .options = options,
    .run = run_scan,
    .word_min = 1,
    .word_max = 1,
};
