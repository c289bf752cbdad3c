/*
 * pending.c -- `tears pending`: deferred writes that the database does not have yet.
 *
 * Owns:     the command.
 * Must not know: how a journal is kept; the library reads it beside its owner.
 * Threads:  the main thread; a flush has one of its own.
 * Fails:    1 when there is no journal or no such entry, 3 while rows wait, 4 when some were refused.
 * Begin at: run_pending().
 */
#include "commands.h"
#include "flushing.h"
#include "interrupt.h"
#include "journal_words.h"

#include <stdlib.h>

enum { PAGE = 500 };

static const struct cli_option options[] = {
    {"journal", "PATH", "the journal's file (else TEARS_JOURNAL, else beside the database)"},
    {"limit", "N", "list: at most so many entries (else 100)"},
    {"after", "ID", "list: entries behind this one"},
    {"wait", NULL, "flush: wait for a database that is away, until Ctrl-C"},
    {NULL, NULL, NULL},
};

/* ---- list ---- */

static void put_row(const struct tears_pending *pending, struct cli_grid *grid)
{
    CLI_AUTO(cli_text_done) struct cli_text text = {0};

    cli_text_printf(&text, "%llu", (unsigned long long)pending->id);
    cli_grid_put(grid, cli_text_str(&text));
    cli_grid_put_c(grid, cli_pending_kind(pending));
    cli_grid_put(grid, pending->table);
    cli_grid_put(grid, pending->key);
    cli_grid_put(grid, pending->changed);
    cli_text_clear(&text);
    cli_text_put_age(&text, pending->since_us);
    cli_grid_put(grid, cli_text_str(&text));
}

static int print_json(const struct cli_args *args, const struct tears_pending *pending)
{
    CLI_AUTO(cli_text_done) struct cli_text line = {0};

    cli_text_printf(&line, "{\"id\":%llu,", (unsigned long long)pending->id);
    cli_pending_put_members(pending, &line);
    cli_text_put_char(&line, '}');
    return cli_print_line(args, cli_text_str(&line));
}

/* Page by page, until the limit or the end; *more_out: there are more. */
static int list_part(const struct cli_args *args, tears_journal *journal, struct cli_part *part,
                     struct cli_grid *grid, bool *more_out)
{
    struct tears_error error = {.status = TEARS_OK};
    const struct tears_pending *found = NULL;
    size_t count = PAGE;

    while (count == PAGE) {
        const tears_status status =
            tears_journal_pending(journal, part->table, part->after, PAGE, &found, &count, &error);
        if (status != TEARS_OK)
            return cli_journal_fail(args, status, &error);
        for (size_t i = 0; i < count; i++, part->limit--) {
            *more_out = part->limit == 0;
            if (*more_out)
                return CLI_EXIT_OK;
            if (args->json)
                CLI_TRY(print_json(args, &found[i]));
            else
                put_row(&found[i], grid);
            part->after = found[i].id;
        }
    }
    return CLI_EXIT_OK;
}

static int run_list(const struct cli_args *args, tears_journal *journal)
{
    static const char *const header[] = {"id", "write", "table", "key", "columns", "for"};
    CLI_AUTO(cli_grid_done) struct cli_grid grid;
    struct cli_part part;
    bool more = false;

    cli_grid_init(&grid, CLI_COUNT(header));
    for (size_t i = 0; i < CLI_COUNT(header); i++)
        cli_grid_put_c(&grid, header[i]);
    CLI_TRY(cli_part_of(args, &part));
    CLI_TRY(list_part(args, journal, &part, &grid, &more));
    if (!args->json && grid.cell_count > CLI_COUNT(header))
        CLI_TRY(cli_grid_print(args, &grid));
    if (more)
        cli_note("there are more: --after %llu goes on, --limit N shows more at once",
                 (unsigned long long)part.after);
    return CLI_EXIT_OK;
}

/* ---- show ---- */

static int run_show(const struct cli_args *args, tears_journal *journal)
{
    CLI_AUTO(cli_grid_done) struct cli_grid grid;
    struct tears_error error = {.status = TEARS_OK};
    const struct tears_pending *found = NULL;
    uint64_t id = 0;
    size_t count = 0;

    cli_grid_init(&grid, 2);
    CLI_TRY(cli_journal_id(args, 1, &id));
    const tears_status status =
        tears_journal_pending(journal, TEARS_STR(""), id - 1, 1, &found, &count, &error);
    if (status != TEARS_OK)
        return cli_journal_fail(args, status, &error);
    if (count == 0 || found->id != id)
        return cli_fail(args, CLI_EXIT_NO, "NOT_FOUND",
                        "no pending write has the number %llu: it has landed, or never was; `tears "
                        "dead list` shows what was refused",
                        (unsigned long long)id);
    if (args->json)
        return print_json(args, found);
    cli_pending_put_facts(found, &grid);
    return cli_grid_print(args, &grid);
}

/* ---- status ---- */

static int print_json_status(const struct cli_args *args, const struct tears_journal_status *status)
{
    CLI_AUTO(cli_text_done) struct cli_text line = {0};
    const int64_t age_us = status->oldest_us != 0 ? cli_calendar_us() - status->oldest_us : 0;

    cli_text_put_c(&line, "{\"journal\":");
    cli_text_put_json(&line, status->path);
    cli_text_put_c(&line, ",\"id\":");
    cli_text_put_json(&line, status->id);
    cli_text_printf(&line, ",\"epoch\":%llu,\"owner_pid\":", (unsigned long long)status->epoch);
    if (status->is_owned != 0)
        cli_text_printf(&line, "%llu,\"owner_idle_ms\":%llu", (unsigned long long)status->owner_pid,
                        (unsigned long long)status->owner_idle_ms);
    else
        cli_text_put_c(&line, "null,\"owner_idle_ms\":null");
    cli_text_printf(&line, ",\"pending\":%llu,\"pending_bytes\":%llu,\"oldest_ms\":%lld",
                    (unsigned long long)status->pending, (unsigned long long)status->pending_bytes,
                    (long long)(age_us > 0 ? age_us / 1000 : 0));
    cli_text_printf(&line, ",\"dead\":%llu}", (unsigned long long)status->dead);
    return cli_print_line(args, cli_text_str(&line));
}

static void put_owner(const struct tears_journal_status *status, struct cli_text *out)
{
    if (status->is_owned == 0) {
        cli_text_put_c(out, "nobody");
        return;
    }
    cli_text_printf(out, "process %llu, last sign of life ", (unsigned long long)status->owner_pid);
    cli_text_put_duration(out, (double)status->owner_idle_ms / 1000);
    cli_text_put_c(out, " ago");
}

static void put_pending(const struct tears_journal_status *status, struct cli_text *out)
{
    cli_text_put_count(out, status->pending);
    if (status->pending == 0)
        return;
    cli_text_put_c(out, ", ");
    cli_text_put_bytes(out, status->pending_bytes);
    if (status->oldest_us == 0)
        return; /* it is damaged */
    cli_text_put_c(out, ", the oldest for ");
    cli_text_put_age(out, status->oldest_us);
}

static void put_fact(struct cli_grid *grid, const char *name, struct cli_text *text)
{
    cli_grid_put_c(grid, name);
    cli_grid_put(grid, cli_text_str(text));
    cli_text_clear(text);
}

static int print_status(const struct cli_args *args, const struct tears_journal_status *status)
{
    CLI_AUTO(cli_grid_done) struct cli_grid grid;
    CLI_AUTO(cli_text_done) struct cli_text text = {0};

    cli_grid_init(&grid, 2);
    cli_text_put(&text, status->path);
    put_fact(&grid, "journal", &text);
    put_owner(status, &text);
    put_fact(&grid, "owner", &text);
    put_pending(status, &text);
    put_fact(&grid, "pending", &text);
    cli_text_put_count(&text, status->dead);
    put_fact(&grid, "dead letters", &text);
    return cli_grid_print(args, &grid);
}

static int run_status(const struct cli_args *args, tears_journal *journal)
{
    struct tears_journal_status status;

    CLI_TRY(cli_journal_look(args, journal, &status));
    return args->json ? print_json_status(args, &status) : print_status(args, &status);
}

/* ---- flush ---- */

static int run_flush(const struct cli_args *args, tears_journal *journal)
{
    CLI_AUTO(cli_close) struct cli_context context = {.args = args};
    struct tears_str *tables = cli_alloc(args->word_count, sizeof *tables);
    struct cli_flushing flushing = {.context = &context,
                                    .journal = journal,
                                    .tables = tables,
                                    .table_count = args->word_count - 1,
                                    .patient = cli_flag(args, "wait")};

    for (size_t i = 1; i < args->word_count; i++)
        tables[i - 1] = cli_word(args, i);
    cli_interrupt_catch();
    int result = cli_flush_open(args, &flushing);
    if (result == CLI_EXIT_OK)
        result = cli_flush_report(&flushing, cli_flush_run(&flushing));
    free(tables);
    return result;
}

/* ---- the command ---- */

static const struct cli_action actions[] = {
    {"list", 1, 2, run_list, "list [TABLE]"},
    {"show", 2, 2, run_show, "show ID"},
    {"flush", 1, SIZE_MAX, run_flush, "flush [TABLE...]"},
    {"status", 1, 1, run_status, "status"},
};

static int run_pending(const struct cli_args *args)
{
    return cli_action_run(args, actions, CLI_COUNT(actions));
}

const struct cli_command cli_pending = {
    .name = "pending",
    .synopsis = "list [TABLE] | show ID | flush [TABLE...] | status",
    .summary = "deferred writes that the database does not have yet",
    .details =
        "A deferred write is in a journal, a file of the process that made it, until a flush has "
        "brought it to\n"
        "the database.  list, show and status read that file beside its owner, who is not "
        "disturbed; the\n"
        "database is not asked, so they work while it is away.\n"
        "\n"
        "flush is for a journal whose process has died, or was stopped while the database was "
        "away: it writes\n"
        "what is left, parents before children, and nothing twice.  A process that lives owns its "
        "journal and\n"
        "flushes itself; flush then says which one it is, and ends with 1.  With TABLE it ends "
        "when the rows of\n"
        "these tables, and those they depend on, are written.  It ends with 3 when rows are left, "
        "and with 4 when\n"
        "the database has refused some: see `tears help dead`.\n"
        "\n"
        "  tears pending status\n"
        "  tears pending list orders --limit 10\n"
        "  tears pending show 4711 --json\n"
        "  tears pending flush --wait\n",
    .options = options,
    .run = run_pending,
    .word_min = 1,
    .word_max = SIZE_MAX,
};
