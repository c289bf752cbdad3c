/*
 * dead.c -- `tears dead`: writes that the database has refused for good, and what people do about them.
 *
 * Owns:     the command.
 * Must not know: why a write was refused; the letter says it.
 * Threads:  the main thread; a flush has one of its own.
 * Fails:    1 when there is no journal or no such letter; 4 when an edit does not fit, or the database refuses again.
 * Begin at: run_dead().
 */
#include "commands.h"
#include "flushing.h"
#include "interrupt.h"
#include "journal_words.h"

#include <time.h>

enum { PAGE = 500, NAMED_MAX = 10, TAKEN_MS = 10000, LOOK_MS = 50 };

static const struct cli_option options[] = {
    {"journal", "PATH", "the journal's file (else TEARS_JOURNAL, else beside the database)"},
    {"limit", "N", "list: at most so many letters (else 100)"},
    {"after", "ID", "list, export: letters behind this one"},
    {"all", NULL, "retry: all letters"},
    {"table", "NAME", "retry --all: those of this table"},
    {"rows", NULL, "export: the rows only, as `tears import` reads them"},
    {"yes", NULL, "drop: yes, forget it for good"},
    {NULL, NULL, NULL},
};

/* ---- letters, one after the other ---- */

/* What is done with each letter; another exit code than CLI_EXIT_OK ends it. */
typedef int (*letter_fn)(const struct cli_args *args, const struct tears_dead *dead, void *owner);

/* Goes through a part of the letters; *more_out: the limit was reached, and there are more. */
static int each_letter(const struct cli_args *args, tears_journal *journal, struct cli_part *part,
                       letter_fn fn, void *owner)
{
    struct tears_error error = {.status = TEARS_OK};
    const struct tears_dead *found = NULL;
    size_t count = PAGE;

    while (count == PAGE) {
        const tears_status status =
            tears_journal_dead(journal, part->table, part->after, PAGE, &found, &count, &error);
        if (status != TEARS_OK)
            return cli_journal_fail(args, status, &error);
        for (size_t i = 0; i < count; i++, part->limit--) {
            if (part->limit == 0) {
                cli_note("there are more: --after %llu goes on, --limit N shows more at once",
                         (unsigned long long)part->after);
                return CLI_EXIT_OK;
            }
            CLI_TRY(fn(args, &found[i], owner));
            part->after = found[i].id;
        }
    }
    return CLI_EXIT_OK;
}

static int print_json(const struct cli_args *args, const struct tears_dead *dead, void *owner)
{
    CLI_AUTO(cli_text_done) struct cli_text line = {0};

    (void)owner;
    cli_text_printf(&line, "{\"id\":%llu,\"sqlstate\":", (unsigned long long)dead->id);
    cli_text_put_json(&line, dead->sqlstate);
    cli_text_put_c(&line, ",\"message\":");
    cli_text_put_json(&line, dead->message);
    cli_text_put_c(&line, ",\"died\":\"");
    cli_text_put_time(&line, dead->died_us);
    cli_text_printf(&line, "\",\"dependants\":%llu,\"marked\":%s,",
                    (unsigned long long)dead->dependants, dead->is_marked != 0 ? "true" : "false");
    cli_pending_put_members(&dead->write, &line);
    cli_text_put_char(&line, '}');
    return cli_print_line(args, cli_text_str(&line));
}

/* ---- list ---- */

static int put_row(const struct cli_args *args, const struct tears_dead *dead, void *owner)
{
    CLI_AUTO(cli_text_done) struct cli_text text = {0};
    struct cli_grid *grid = owner;

    (void)args;
    cli_text_printf(&text, "%llu", (unsigned long long)dead->id);
    cli_grid_put(grid, cli_text_str(&text));
    cli_grid_put_c(grid, cli_pending_kind(&dead->write));
    cli_grid_put(grid, dead->write.table);
    cli_grid_put(grid, dead->write.key);
    cli_grid_put(grid, dead->sqlstate);
    cli_text_clear(&text);
    cli_text_put_c(&text, dead->is_marked != 0 ? "(to be tried again) " : "");
    cli_text_put(&text, dead->message);
    cli_grid_put(grid, cli_text_str(&text));
    return CLI_EXIT_OK;
}

static int run_list(const struct cli_args *args, tears_journal *journal)
{
    static const char *const header[] = {"id", "write", "table", "key", "sqlstate", "why"};
    CLI_AUTO(cli_grid_done) struct cli_grid grid;
    struct cli_part part;

    cli_grid_init(&grid, CLI_COUNT(header));
    for (size_t i = 0; i < CLI_COUNT(header); i++)
        cli_grid_put_c(&grid, header[i]);
    CLI_TRY(cli_part_of(args, &part));
    CLI_TRY(each_letter(args, journal, &part, args->json ? print_json : put_row, &grid));
    return grid.cell_count > CLI_COUNT(header) ? cli_grid_print(args, &grid) : CLI_EXIT_OK;
}

/* ---- show ---- */

static int print_letter(const struct cli_args *args, const struct tears_dead *dead)
{
    CLI_AUTO(cli_grid_done) struct cli_grid grid;
    CLI_AUTO(cli_text_done) struct cli_text text = {0};

    cli_grid_init(&grid, 2);
    grid.whole = true; /* the row and the reason are to be read to their ends */
    cli_grid_put_c(&grid, "refused");
    cli_grid_put(&grid, dead->message);
    cli_grid_put_c(&grid, "sqlstate");
    cli_grid_put(&grid, dead->sqlstate.len > 0 ? dead->sqlstate : TEARS_STR("-"));
    cli_grid_put_c(&grid, "at");
    cli_text_put_time(&text, dead->died_us);
    cli_grid_put(&grid, cli_text_str(&text));
    cli_grid_put_c(&grid, "rows that waited for it");
    cli_text_clear(&text);
    cli_text_put_count(&text, dead->dependants);
    cli_grid_put(&grid, cli_text_str(&text));
    cli_grid_put_c(&grid, "to be tried again");
    cli_grid_put_c(&grid, dead->is_marked != 0 ? "yes" : "no");
    cli_pending_put_facts(&dead->write, &grid);
    return cli_grid_print(args, &grid);
}

static int run_show(const struct cli_args *args, tears_journal *journal)
{
    struct tears_error error = {.status = TEARS_OK};
    const struct tears_dead *found = NULL;
    uint64_t id = 0;
    size_t count = 0;

    CLI_TRY(cli_journal_id(args, 1, &id));
    const tears_status status =
        tears_journal_dead(journal, TEARS_STR(""), id - 1, 1, &found, &count, &error);
    if (status != TEARS_OK)
        return cli_journal_fail(args, status, &error);
    if (count == 0 || found->id != id)
        return cli_fail(args, CLI_EXIT_NO, "NOT_FOUND", "no dead letter has the number %llu",
                        (unsigned long long)id);
    return args->json ? print_json(args, found, NULL) : print_letter(args, found);
}

/* ---- export ---- */

/* A deletion has no row. */
static int print_row(const struct cli_args *args, const struct tears_dead *dead, void *owner)
{
    uint64_t *left_out = owner;

    if (dead->write.row.len > 0 && dead->write.kind != TEARS_PENDING_DELETE)
        return cli_print_line(args, dead->write.row);
    (*left_out)++;
    return CLI_EXIT_OK;
}

static int run_export(const struct cli_args *args, tears_journal *journal)
{
    struct cli_part part;
    uint64_t left_out = 0;
    const bool rows = cli_flag(args, "rows");

    CLI_TRY(cli_part_of(args, &part));
    if (cli_option(args, "limit") == NULL)
        part.limit = INT64_MAX;
    if (rows && part.table.len == 0)
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE",
                        "--rows is for one table: tears dead export TABLE --rows");
    CLI_TRY(each_letter(args, journal, &part, rows ? print_row : print_json, &left_out));
    if (left_out > 0)
        cli_note("%llu letters are deletions or damaged, and have no row",
                 (unsigned long long)left_out);
    return CLI_EXIT_OK;
}

/* ---- retry ---- */

/* Whoever has just become the owner takes the marked letters within a second or so. */
static int wait_until_taken(const struct cli_args *args, tears_journal *journal)
{
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    struct cli_letters letters = {.marked = 1};

    for (int waited = 0; waited < TAKEN_MS && letters.marked > 0 && !cli_interrupted();
         waited += LOOK_MS) {
        CLI_TRY(cli_letters_count(args, journal, &letters));
        if (letters.marked > 0)
            (void)nanosleep(&pause, NULL); /* woken early by Ctrl-C, which is looked at next */
    }
    return CLI_EXIT_OK;
}

/* The letters that have been added say why they were refused again. */
static int name_refused(const struct cli_args *args, const struct cli_flushing *flushing)
{
    struct tears_error error = {.status = TEARS_OK};
    const struct tears_dead *found = NULL;
    size_t count = 0;

    if (args->json || flushing->refused == 0)
        return CLI_EXIT_OK;
    const tears_status status =
        tears_journal_dead(flushing->journal, TEARS_STR(""), flushing->before.newest, NAMED_MAX,
                           &found, &count, &error);
    if (status != TEARS_OK)
        return cli_journal_fail(args, status, &error);
    for (size_t i = 0; i < count; i++)
        cli_note("refused again, now letter %llu: " CLI_STR_FMT, (unsigned long long)found[i].id,
                 CLI_STR_ARG(found[i].message));
    return CLI_EXIT_OK;
}

/* Nobody owns the journal: this command does, until the letters have been tried. */
static int try_again(const struct cli_args *args, tears_journal *journal)
{
    CLI_AUTO(cli_close) struct cli_context context = {.args = args};
    struct cli_flushing flushing = {.context = &context, .journal = journal};

    cli_interrupt_catch();
    CLI_TRY(cli_flush_open(args, &flushing));
    CLI_TRY(wait_until_taken(args, journal));
    const int result = cli_flush_run(&flushing);
    CLI_TRY(name_refused(args, &flushing));
    return cli_flush_report(&flushing, result);
}

static int leave_to_owner(const struct cli_args *args, const struct tears_journal_status *status,
                          uint64_t count)
{
    CLI_AUTO(cli_text_done) struct cli_text line = {0};

    if (args->json)
        cli_text_printf(&line, "{\"marked\":%llu,\"owner_pid\":%llu}", (unsigned long long)count,
                        (unsigned long long)status->owner_pid);
    else
        cli_text_printf(&line,
                        "marked %llu; process %llu, which owns the journal, tries again within "
                        "seconds",
                        (unsigned long long)count, (unsigned long long)status->owner_pid);
    return cli_print_line(args, cli_text_str(&line));
}

static int run_retry(const struct cli_args *args, tears_journal *journal)
{
    struct tears_error error = {.status = TEARS_OK};
    struct tears_journal_status owner;
    const bool all = cli_flag(args, "all");
    const char *table = cli_option(args, "table");
    uint64_t id = 0;
    uint64_t count = 0;

    if (all == (args->word_count == 2) || (table != NULL && !all))
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE",
                        "which ones?  tears dead retry ID, or --all [--table NAME]");
    if (!all)
        CLI_TRY(cli_journal_id(args, 1, &id));
    const tears_status status =
        tears_journal_retry(journal, id, tears_str_c(table), &count, &error);
    if (status != TEARS_OK)
        return cli_journal_fail(args, status, &error);
    CLI_TRY(cli_journal_look(args, journal, &owner));
    return owner.is_owned != 0 ? leave_to_owner(args, &owner, count) : try_again(args, journal);
}

/* ---- edit and drop ---- */

static int print_done(const struct cli_args *args, const char *what)
{
    return cli_print_line(args, args->json ? TEARS_STR("{\"ok\":true}") : tears_str_c(what));
}

static int run_edit(const struct cli_args *args, tears_journal *journal)
{
    struct tears_error error = {.status = TEARS_OK};
    uint64_t id = 0;

    CLI_TRY(cli_journal_id(args, 1, &id));
    const tears_status status = tears_journal_edit(journal, id, cli_word(args, 2), &error);
    if (status != TEARS_OK)
        return cli_journal_fail(args, status, &error);
    return print_done(args, "changed; `tears dead retry` has it tried again");
}

static int run_drop(const struct cli_args *args, tears_journal *journal)
{
    struct tears_error error = {.status = TEARS_OK};
    uint64_t id = 0;

    CLI_TRY(cli_journal_id(args, 1, &id));
    if (!cli_flag(args, "yes"))
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE",
                        "the write is in no other place: `tears dead show %llu` shows it, `tears "
                        "dead drop %llu --yes` forgets it for good",
                        (unsigned long long)id, (unsigned long long)id);
    const tears_status status = tears_journal_drop(journal, id, &error);
    if (status != TEARS_OK)
        return cli_journal_fail(args, status, &error);
    return print_done(args, "forgotten");
}

/* ---- the command ---- */

static const struct cli_action actions[] = {
    {"list", 1, 2, run_list, "list [TABLE]"},
    {"show", 2, 2, run_show, "show ID"},
    {"retry", 1, 2, run_retry, "retry ID | --all [--table NAME]"},
    {"edit", 3, 3, run_edit, "edit ID JSON"},
    {"drop", 2, 2, run_drop, "drop ID --yes"},
    {"export", 1, 2, run_export, "export [TABLE] [--rows]"},
};

static int run_dead(const struct cli_args *args)
{
    return cli_action_run(args, actions, CLI_COUNT(actions));
}

const struct cli_command cli_dead = {
    .name = "dead",
    .synopsis = "list [TABLE] | show ID | retry ID|--all | edit ID JSON | drop ID --yes | export",
    .summary = "deferred writes that the database has refused",
    .details =
        "A deferred write that the database refuses for good (a check, a unique value, a row that "
        "somebody else\n"
        "changed first) becomes a dead letter; all others are written.  A letter stays in the "
        "journal, with the\n"
        "row and the reason, until somebody deals with it.\n"
        "\n"
        "edit changes columns of it, given as a JSON object.  retry has letters tried again: by "
        "the process that\n"
        "owns the journal, or, when none does, at once by this command, which then says what "
        "became of them.\n"
        "A letter that is refused again gets a new number.  drop forgets one for good.  export "
        "prints letters as\n"
        "JSON lines; with --rows only the rows, as `tears import` reads them.\n"
        "\n"
        "  tears dead list\n"
        "  tears dead show 17\n"
        "  tears dead edit 17 '{\"amount\": 3}'\n"
        "  tears dead retry 17\n"
        "  tears dead retry --all --table orders\n"
        "  tears dead export orders --rows > refused.jsonl\n",
    .options = options,
    .run = run_dead,
    .word_min = 1,
    .word_max = 3,
};
