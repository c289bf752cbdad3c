/*
 * migrate_show.c -- `tears migrate status`, `history` and `preview`.
 *
 * Owns:     how versions and statements look.
 * Must not know: how they are found out.
 * Threads:  the main thread.
 * Fails:    as migrate.c says.
 * Begin at: cli_migrate_status().
 */
#include "migrate.h"

/* ---- status ---- */

static const char *state_name(uint64_t state)
{
    static const char *const names[] = {[TEARS_MIGRATION_PENDING] = "pending",
                                        [TEARS_MIGRATION_APPLIED] = "applied",
                                        [TEARS_MIGRATION_CHANGED] = "changed",
                                        [TEARS_MIGRATION_OUT_OF_ORDER] = "out of order",
                                        [TEARS_MIGRATION_INTERRUPTED] = "interrupted",
                                        [TEARS_MIGRATION_FAILED] = "failed",
                                        [TEARS_MIGRATION_UNKNOWN] = "unknown"};
    return state < CLI_COUNT(names) && names[state] != NULL ? names[state] : "?";
}

static void put_json_status(const struct tears_migration_status *status, struct cli_text *out)
{
    cli_text_put_c(out, "{\"package\":");
    cli_text_put_json(out, status->package);
    cli_text_printf(out, ",\"version\":%lld,\"description\":", (long long)status->version);
    cli_text_put_json(out, status->description);
    cli_text_printf(out, ",\"state\":\"%s\",\"applied_at\":", state_name(status->state));
    if (status->date_applied_us != 0) {
        cli_text_put_char(out, '"');
        cli_migrate_put_time(status->date_applied_us, out);
        cli_text_put_char(out, '"');
    } else {
        cli_text_put_c(out, "null");
    }
    cli_text_printf(out, ",\"reversible\":%s,\"transaction\":%s,\"steps_done\":%llu,\"file\":",
                    status->has_down != 0 ? "true" : "false",
                    status->no_transaction != 0 ? "false" : "true",
                    (unsigned long long)status->steps_done);
    cli_text_put_json(out, status->file);
    cli_text_put_c(out, ",\"error\":");
    cli_text_put_json(out, status->error);
    cli_text_put_char(out, '}');
}

static void put_remark(const struct tears_migration_status *status, struct cli_text *out)
{
    if (status->state == TEARS_MIGRATION_INTERRUPTED)
        cli_text_printf(out, "%s, %llu statements are done%s", status->down != 0 ? "down" : "up",
                        (unsigned long long)status->steps_done, status->error.len > 0 ? ": " : "");
    if (status->error.len > 0)
        cli_text_put(out, status->error);
    else if (status->date_applied_us != 0)
        cli_migrate_put_time(status->date_applied_us, out);
}

static void put_status_row(const struct tears_migration_status *status, struct cli_grid *grid)
{
    CLI_AUTO(cli_text_done) struct cli_text text = {0};
    cli_grid_put(grid, status->package);
    cli_text_printf(&text, "%lld", (long long)status->version);
    cli_grid_put(grid, cli_text_str(&text));
    cli_grid_put(grid, status->description);
    cli_grid_put_c(grid, state_name(status->state));
    cli_text_clear(&text);
    put_remark(status, &text);
    cli_grid_put(grid, cli_text_str(&text));
}

static int print_status_grid(const struct cli_args *args,
                             const struct tears_migration_status *statuses, size_t count)
{
    static const char *const header[] = {"package", "version", "description", "state", ""};
    CLI_AUTO(cli_grid_done) struct cli_grid grid;
    cli_grid_init(&grid, CLI_COUNT(header));
    for (size_t i = 0; i < CLI_COUNT(header); i++)
        cli_grid_put_c(&grid, header[i]);
    for (size_t i = 0; i < count; i++)
        put_status_row(&statuses[i], &grid);
    return cli_grid_print(args, &grid);
}

static int print_status(const struct cli_args *args, const struct tears_migration_status *statuses,
                        size_t count)
{
    if (!args->json)
        return count > 0 ? print_status_grid(args, statuses, count) : CLI_EXIT_OK;
    for (size_t i = 0; i < count; i++) {
        CLI_AUTO(cli_text_done) struct cli_text line = {0};
        put_json_status(&statuses[i], &line);
        CLI_TRY(cli_print_line(args, cli_text_str(&line)));
    }
    return CLI_EXIT_OK;
}

int cli_migrate_status(struct cli_migrate *migrate)
{
    const struct tears_migration_status *statuses;
    size_t count;
    size_t amiss = 0;
    const tears_status status = tears_migrate_status(migrate->migrator, &statuses, &count);
    if (status != TEARS_OK)
        return cli_migrate_fail(migrate, status);
    for (size_t i = 0; i < count; i++)
        amiss += statuses[i].state != TEARS_MIGRATION_APPLIED ? 1 : 0;
    CLI_TRY(print_status(migrate->args, statuses, count));
    return amiss > 0 && cli_flag(migrate->args, "check") ? CLI_EXIT_NO : CLI_EXIT_OK;
}

/* ---- history ---- */

static void put_json_record(const struct tears_migration_record *record, struct cli_text *out)
{
    cli_text_put_c(out, "{\"package\":");
    cli_text_put_json(out, record->package);
    cli_text_printf(out, ",\"version\":%lld,\"description\":", (long long)record->version);
    cli_text_put_json(out, record->description);
    cli_text_put_c(out, ",\"applied_at\":\"");
    cli_migrate_put_time(record->date_applied_us, out);
    cli_text_printf(out, "\",\"sequence\":%lld,\"duration_us\":%llu,\"checksum\":",
                    (long long)record->sequence, (unsigned long long)record->duration_us);
    cli_text_put_json(out, record->checksum);
    cli_text_put_c(out, ",\"actor\":");
    cli_text_put_json(out, record->actor);
    cli_text_put_c(out, ",\"tool\":");
    cli_text_put_json(out, record->tool);
    cli_text_put_char(out, '}');
}

static void put_record_row(const struct tears_migration_record *record, struct cli_grid *grid)
{
    CLI_AUTO(cli_text_done) struct cli_text text = {0};
    cli_migrate_put_time(record->date_applied_us, &text);
    cli_grid_put(grid, cli_text_str(&text));
    cli_grid_put(grid, record->package);
    cli_text_clear(&text);
    cli_text_printf(&text, "%lld", (long long)record->version);
    cli_grid_put(grid, cli_text_str(&text));
    cli_grid_put(grid, record->description);
    cli_text_clear(&text);
    if (record->duration_us > 0)
        cli_text_put_duration(&text, (double)record->duration_us / 1e6);
    cli_grid_put(grid, cli_text_str(&text));
    cli_grid_put(grid, record->actor);
    cli_grid_put(grid, record->tool);
}

static int print_history(const struct cli_args *args, const struct tears_migration_record *records,
                         size_t count)
{
    static const char *const header[] = {"applied", "package", "version", "description",
                                         "took",    "by",      "with"};
    CLI_AUTO(cli_grid_done) struct cli_grid grid;
    cli_grid_init(&grid, CLI_COUNT(header));
    for (size_t i = 0; i < CLI_COUNT(header); i++)
        cli_grid_put_c(&grid, header[i]);
    for (size_t i = 0; i < count; i++)
        put_record_row(&records[i], &grid);
    return cli_grid_print(args, &grid);
}

int cli_migrate_history(struct cli_migrate *migrate)
{
    const struct cli_args *args = migrate->args;
    const struct tears_migration_record *records;
    size_t count;
    const tears_status status = tears_migrate_history(migrate->migrator, &records, &count);
    if (status != TEARS_OK)
        return cli_migrate_fail(migrate, status);
    if (!args->json)
        return count > 0 ? print_history(args, records, count) : CLI_EXIT_OK;
    for (size_t i = 0; i < count; i++) {
        CLI_AUTO(cli_text_done) struct cli_text line = {0};
        put_json_record(&records[i], &line);
        CLI_TRY(cli_print_line(args, cli_text_str(&line)));
    }
    return CLI_EXIT_OK;
}

/* ---- preview ---- */

static const char *kind_name(uint64_t kind)
{
    static const char *const names[] = {[TEARS_STATEMENT_DDL] = "ddl",
                                        [TEARS_STATEMENT_DML] = "dml",
                                        [TEARS_STATEMENT_OTHER] = "other",
                                        [TEARS_STATEMENT_BOOKKEEPING] = "bookkeeping"};
    return kind < CLI_COUNT(names) && names[kind] != NULL ? names[kind] : "?";
}

static int print_json_statement(const struct cli_args *args,
                                const struct tears_migration_statement *statement)
{
    CLI_AUTO(cli_text_done) struct cli_text line = {0};
    cli_text_put_c(&line, "{\"package\":");
    cli_text_put_json(&line, statement->package);
    cli_text_printf(&line, ",\"version\":%lld,\"statement\":%llu,\"kind\":\"%s\",\"sql\":",
                    (long long)statement->version, (unsigned long long)statement->ordinal,
                    kind_name(statement->kind));
    cli_text_put_json(&line, statement->sql);
    if (statement->params.len > 0) {
        cli_text_put_c(&line, ",\"params\":");
        cli_text_put(&line, statement->params);
    }
    cli_text_put_c(&line, ",\"file\":");
    cli_text_put_json(&line, statement->file);
    cli_text_printf(&line, ",\"line\":%llu,\"transaction\":%s}",
                    (unsigned long long)statement->line,
                    statement->in_transaction != 0 ? "true" : "false");
    return cli_print_line(args, cli_text_str(&line));
}

/* As SQL that could be run: the versions are comments. */
static int print_statement(const struct cli_args *args,
                           const struct tears_migration_statement *statement)
{
    CLI_AUTO(cli_text_done) struct cli_text text = {0};
    if (statement->ordinal == 1)
        cli_text_printf(&text, "-- " CLI_STR_FMT " %lld%s\n", CLI_STR_ARG(statement->package),
                        (long long)statement->version,
                        statement->in_transaction != 0 ? "" : ", not in a transaction");
    cli_text_put(&text, statement->sql);
    cli_text_put_char(&text, ';');
    if (statement->params.len > 0)
        cli_text_printf(&text, " -- " CLI_STR_FMT, CLI_STR_ARG(statement->params));
    return cli_print_line(args, cli_text_str(&text));
}

int cli_migrate_preview(struct cli_migrate *migrate)
{
    CLI_AUTO(cli_migrate_request_done) struct cli_migrate_request request = {0};
    const struct cli_args *args = migrate->args;
    const struct tears_migration_statement *statements;
    size_t count;
    CLI_TRY(cli_migrate_request(args, &request));
    const tears_status status =
        request.request.steps > 0
            ? tears_migrate_preview_down(migrate->migrator, &request.request, &statements, &count)
            : tears_migrate_preview(migrate->migrator, &request.request, &statements, &count);
    if (status != TEARS_OK)
        return cli_migrate_fail(migrate, status);
    for (size_t i = 0; i < count; i++) {
        if (args->json)
            CLI_TRY(print_json_statement(args, &statements[i]));
        else if (statements[i].kind != TEARS_STATEMENT_BOOKKEEPING)
            CLI_TRY(print_statement(args, &statements[i]));
    }
    return CLI_EXIT_OK;
}
