/*
 * tables.c -- `tears tables` and `tears describe`: what the database holds.
 *
 * Owns:     the commands.
 * Must not know: catalogues; the library reads them.
 * Threads:  the main thread.
 * Fails:    2 for a table that does not exist.
 * Begin at: cli_tables, cli_describe.
 */
#include "commands.h"
#include "onerow.h"

static int run_tables(const struct cli_args *args)
{
    CLI_AUTO(cli_close) struct cli_context context = {0};
    CLI_AUTO(cli_text_done) struct cli_text line = {0};
    const struct tears_str *names = NULL;
    size_t count = 0;

    CLI_TRY(cli_open(args, &context));
    const tears_status status = tears_tables(context.session, &names, &count);
    if (status != TEARS_OK)
        return cli_fail_session(&context, status);
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
    if (count == 0 && !args->json)
        cli_note("the database has no tables");
    return CLI_EXIT_OK;
}

/* ---- describe ---- */

static const char *type_name(uint64_t type)
{
    static const char *const names[] = {
        [0] = "unknown",
        [TEARS_TYPE_UUID] = "uuid",
        [TEARS_TYPE_STRING] = "string",
        [TEARS_TYPE_ENUM] = "enum",
        [TEARS_TYPE_NUMERIC] = "numeric",
        [TEARS_TYPE_TSVECTOR] = "tsvector",
        [TEARS_TYPE_TIMESTAMPTZ] = "timestamptz",
        [TEARS_TYPE_JSONB] = "jsonb",
        [TEARS_TYPE_BYTES] = "bytes",
        [TEARS_TYPE_INT] = "int",
        [TEARS_TYPE_BIGINT] = "bigint",
        [TEARS_TYPE_BOOL] = "bool",
        [TEARS_TYPE_VECTOR] = "vector",
        [TEARS_TYPE_DOUBLE] = "double",
    };
    return names[type < CLI_COUNT(names) ? type : 0];
}

/* The place of a column in the primary key, counted from 1; 0 when it is not part of it. */
static size_t key_position(const tears_schema *schema, size_t column)
{
    for (size_t i = 0; i < tears_schema_key_count(schema); i++) {
        if (tears_schema_key_column(schema, i) == column)
            return i + 1;
    }
    return 0;
}

static void put_notes(const struct tears_column_info *info, struct cli_text *out)
{
    const struct {
        bool on;
        const char *text;
    } notes[] = {
        {info->version, "version"},
        {info->partition, "partition"},
        {info->immutable && !info->primary_key, "immutable"},
    };
    for (size_t i = 0; i < CLI_COUNT(notes); i++) {
        if (notes[i].on)
            cli_text_printf(out, "%s%s", out->len > 0 ? ", " : "", notes[i].text);
    }
    for (size_t i = 0; i < info->enum_value_count; i++)
        cli_text_printf(out, "%s" CLI_STR_FMT,
                        i > 0 ? "|" : (out->len > 0 ? ", one of " : "one of "),
                        CLI_STR_ARG(info->enum_values[i]));
    if (info->vector_dim > 0)
        cli_text_printf(out, "%s%llu dimensions", out->len > 0 ? ", " : "",
                        (unsigned long long)info->vector_dim);
}

static void put_json_column(const struct tears_column_info *info, size_t key, struct cli_text *out)
{
    cli_text_put_c(out, "{\"column\":");
    cli_text_put_json(out, info->name);
    cli_text_printf(out, ",\"type\":\"%s\",\"sql_type\":", type_name(info->type));
    cli_text_put_json(out, info->sql_type);
    cli_text_printf(
        out, ",\"key\":%zu,\"nullable\":%s,\"immutable\":%s,\"version\":%s,\"default\":", key,
        info->nullable ? "true" : "false", info->immutable ? "true" : "false",
        info->version ? "true" : "false");
    if (info->server_default.len > 0)
        cli_text_put_json(out, info->server_default);
    else
        cli_text_put_c(out, "null");
    if (info->enum_value_count > 0) {
        cli_text_put_c(out, ",\"labels\":[");
        for (size_t i = 0; i < info->enum_value_count; i++) {
            cli_text_put_c(out, i > 0 ? "," : "");
            cli_text_put_json(out, info->enum_values[i]);
        }
        cli_text_put_char(out, ']');
    }
    if (info->vector_dim > 0)
        cli_text_printf(out, ",\"dimensions\":%llu", (unsigned long long)info->vector_dim);
    cli_text_put_char(out, '}');
}

static void put_grid_column(const struct tears_column_info *info, size_t key, struct cli_grid *grid)
{
    CLI_AUTO(cli_text_done) struct cli_text text = {0};

    cli_grid_put(grid, info->name);
    cli_grid_put_c(grid, type_name(info->type));
    if (key > 0)
        cli_text_printf(&text, "%zu", key);
    cli_grid_put(grid, cli_text_str(&text));
    cli_grid_put_c(grid, info->nullable ? "yes" : "no");
    cli_grid_put(grid, info->server_default);
    cli_text_clear(&text);
    put_notes(info, &text);
    cli_grid_put(grid, cli_text_str(&text));
}

static int print_columns(const struct cli_args *args, const tears_schema *schema)
{
    CLI_AUTO(cli_grid_done) struct cli_grid grid;
    CLI_AUTO(cli_text_done) struct cli_text line = {0};
    static const char *const header[] = {"column", "type", "key", "null", "default", "notes"};

    cli_grid_init(&grid, CLI_COUNT(header));
    for (size_t i = 0; i < CLI_COUNT(header); i++)
        cli_grid_put_c(&grid, header[i]);
    for (size_t i = 0; i < tears_schema_column_count(schema); i++) {
        struct tears_column_info info;
        if (tears_schema_column(schema, i, &info) != TEARS_OK)
            break; /* i is below the count: cannot happen */
        if (!args->json) {
            put_grid_column(&info, key_position(schema, i), &grid);
            continue;
        }
        cli_text_clear(&line);
        put_json_column(&info, key_position(schema, i), &line);
        CLI_TRY(cli_print_line(args, cli_text_str(&line)));
    }
    return args->json ? CLI_EXIT_OK : cli_grid_print(args, &grid);
}

static int run_describe(const struct cli_args *args)
{
    CLI_AUTO(cli_onerow_done) struct cli_onerow onerow = {0};

    CLI_TRY(cli_onerow_open(args, &onerow));
    CLI_TRY(print_columns(args, onerow.target.schema));
    if (!args->json && tears_schema_version_column(onerow.target.schema) == SIZE_MAX)
        cli_note("no version column: the last writer wins (add row_version or date_updated for "
                 "optimistic locking)");
    return CLI_EXIT_OK;
}

const struct cli_command cli_tables = {
    .name = "tables",
    .synopsis = "",
    .summary = "list the tables of the database",
    .details = "  tears tables\n"
               "  tears tables --l3 postgresql:///app --json\n",
    .run = run_tables,
    .word_min = 0,
    .word_max = 0,
};

const struct cli_command cli_describe = {
    .name = "describe",
    .synopsis = "TABLE",
    .summary = "show the columns and the key of a table",
    .details = "`key` numbers the columns of the primary key in the order in which get, set and "
               "delete take them.\n"
               "\n"
               "  tears describe packages\n",
    .run = run_describe,
    .word_min = 1,
    .word_max = 1,
};
