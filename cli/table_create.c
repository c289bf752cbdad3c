/*
 * table_create.c -- `tears table create`: a definition, made or compared.
 *
 * Owns:     the definition's text and schema.
 * Must not know: SQL.
 * Threads:  the main thread.
 * Fails:    1 for a table that is not as declared (or is there, with --must-create), 4 for a definition that is none.
 * Begin at: cli_table_create().
 */
#include "table.h"

#include <errno.h>
#include <string.h>

enum { DEFINITION_BYTES_MAX = 4 << 20 };

/* ---- the definition ---- */

static int read_stream(const struct cli_args *args, FILE *file, const char *name,
                       struct cli_text *out)
{
    char buffer[4096];

    for (;;) {
        const size_t got = fread(buffer, 1, sizeof buffer, file);
        cli_text_put(out, tears_str_n(buffer, got));
        if (out->len > DEFINITION_BYTES_MAX)
            return cli_fail(args, CLI_EXIT_INVALID, "LIMIT", "%s has more than 4 MiB", name);
        if (got < sizeof buffer)
            break;
    }
    if (ferror(file) != 0)
        return cli_fail(args, CLI_EXIT_BROKEN, "INPUT", "%s cannot be read: %s", name,
                        strerror(errno));
    return CLI_EXIT_OK;
}

static int read_definition(const struct cli_args *args, const char *path, struct cli_text *out)
{
    if (strcmp(path, "-") == 0)
        return read_stream(args, stdin, "standard input", out);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return cli_fail(args, CLI_EXIT_BROKEN, "INPUT", "%s cannot be opened: %s", path,
                        strerror(errno));
    const int result = read_stream(args, file, path, out);
    (void)fclose(file); /* it was only read */
    return result;
}

static int parse(const struct cli_args *args, const char *path, tears_schema **schema_out)
{
    CLI_AUTO(cli_text_done) struct cli_text text = {0};
    struct tears_error error = {.status = TEARS_OK};

    CLI_TRY(read_definition(args, path, &text));
    const tears_status status = tears_schema_from_json(cli_text_str(&text), schema_out, &error);
    if (status == TEARS_OK)
        return CLI_EXIT_OK;
    return cli_fail(args, cli_exit_of(status), tears_status_name(status), "%s", error.message);
}

/* ---- printing ---- */

static void put_member(struct cli_text *out, const char *name, struct tears_str value)
{
    cli_text_printf(out, "%s\"%s\":", out->ptr[out->len - 1] == '{' ? "" : ",", name);
    cli_text_put_json(out, value);
}

static int print_json(const struct cli_args *args, struct tears_str table,
                      const struct tears_table_result *result)
{
    CLI_AUTO(cli_text_done) struct cli_text line = {0};

    cli_text_put_c(&line, "{");
    put_member(&line, "table", table);
    cli_text_printf(&line, ",\"created\":%s,\"differences\":[",
                    result->created != 0 ? "true" : "false");
    for (size_t i = 0; i < result->difference_count; i++) {
        const struct tears_table_difference *one = &result->differences[i];
        cli_text_put_c(&line, i > 0 ? ",{" : "{");
        put_member(&line, "part", one->part);
        put_member(&line, "name", one->name);
        put_member(&line, "aspect", one->aspect);
        put_member(&line, "declared", one->declared);
        put_member(&line, "found", one->found);
        cli_text_put_char(&line, '}');
    }
    cli_text_put_c(&line, "]}");
    return cli_print_line(args, cli_text_str(&line));
}

static int print_differences(const struct cli_args *args, const struct tears_table_result *result)
{
    CLI_AUTO(cli_grid_done) struct cli_grid grid;
    static const char *const header[] = {"part", "name", "aspect", "declared", "found"};

    cli_grid_init(&grid, CLI_COUNT(header));
    for (size_t i = 0; i < CLI_COUNT(header); i++)
        cli_grid_put_c(&grid, header[i]);
    for (size_t i = 0; i < result->difference_count; i++) {
        const struct tears_table_difference *one = &result->differences[i];
        cli_grid_put(&grid, one->part);
        cli_grid_put(&grid, one->name);
        cli_grid_put(&grid, one->aspect);
        cli_grid_put(&grid, one->declared);
        cli_grid_put(&grid, one->found);
    }
    return cli_grid_print(args, &grid);
}

static int print_result(const struct cli_args *args, struct tears_str table,
                        const struct tears_table_result *result)
{
    CLI_AUTO(cli_text_done) struct cli_text line = {0};

    if (args->json)
        return print_json(args, table, result);
    if (result->difference_count > 0)
        return print_differences(args, result);
    cli_text_printf(&line, "table '" CLI_STR_FMT "' %s", CLI_STR_ARG(table),
                    result->created != 0 ? "was made" : "is there, as declared");
    return cli_print_line(args, cli_text_str(&line));
}

/* ---- the command ---- */

static void schema_done(void *variable)
{
    tears_schema_free(*(tears_schema **)variable);
}

static int run(const struct cli_args *args, struct cli_table_work *work, const tears_schema *schema)
{
    struct tears_table_options options = TEARS_TABLE_OPTIONS_INIT;
    struct tears_table_result result = TEARS_TABLE_RESULT_INIT;
    const struct tears_str table = tears_schema_name(schema);

    options.must_create = cli_flag(args, "must-create") ? 1 : 0;
    const tears_status status =
        cli_flag(args, "check")
            ? tears_data_compare_table(work->context.session, work->data, schema, &result)
            : tears_data_create_table(work->context.session, work->data, schema, &options, &result);
    if (result.difference_count > 0) {
        CLI_TRY(print_result(args, table, &result));
        return CLI_EXIT_NO;
    }
    if (status != TEARS_OK)
        return cli_fail(args, status == TEARS_NOT_FOUND ? CLI_EXIT_NO : cli_exit_of(status),
                        tears_status_name(status), "%s",
                        tears_session_error(work->context.session)->message);
    cli_note_degraded(tears_session_degraded(work->context.session));
    return print_result(args, table, &result);
}

int cli_table_create(const struct cli_args *args)
{
    CLI_AUTO(cli_table_close) struct cli_table_work work = {0};
    CLI_AUTO(schema_done) tears_schema *schema = NULL;

    if (cli_flag(args, "check") && cli_flag(args, "must-create"))
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "--check makes nothing: no --must-create");
    CLI_TRY(parse(args, args->words[1], &schema));
    CLI_TRY(cli_table_open(args, !cli_flag(args, "check"), &work));
    return run(args, &work, schema);
}
