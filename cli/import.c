/*
 * import.c -- `tears import`: a file of rows into a table.
 *
 * Owns:     the command: the loop from records to batches, what is reported, where a run can be
 * resumed. Must not know: CSV quoting, SQL. Threads:  the main thread. Fails:    4 at a bad line
 * (unless --skip-bad), 130 when interrupted; always says how to go on. Begin at: run_import().
 */
#include "batch.h"
#include "commands.h"
#include "flushing.h"
#include "interrupt.h"
#include "journal_words.h"
#include "onerow.h"
#include "resume.h"
#include "source.h"

#include <stdlib.h>

static const struct cli_option options[] = {
    {"format", "jsonl|csv", "what the file holds, when its name does not say it"},
    {"insert", NULL, "a row that exists already is a bad line; without it, it is overwritten"},
    {"skip-bad", NULL, "report bad lines and go on; without it, stop at the first"},
    {"batch", "N", "rows of one transaction (else 1000)"},
    {"from-line", "N", "begin at this line of the file"},
    {"restart", NULL, "begin at the start, though an earlier run was interrupted"},
    {"deferred", NULL, "save the rows to a journal first, and flush it at the end"},
    {"journal", "PATH", "its file (else TEARS_JOURNAL, else beside the database)"},
    {NULL, NULL, NULL},
};

struct import {
    const struct cli_args *args;
    struct cli_onerow onerow; /* the table; its key and fields stay unused */
    struct cli_source source;
    struct cli_batch batch;
    struct cli_resume resume;
    struct cli_progress progress;
    size_t *columns; /* CSV: the schema's column of each field */
    uint64_t skipped;
    uint64_t rows_before; /* written by earlier runs */
    double started;
    double seconds;         /* until all was written, or saved to the journal */
    uint32_t degraded;      /* bits of all batches */
    tears_journal *journal; /* deferred: the one that the client owns, as others see it */
    struct cli_flushing flushing;
    bool skip_bad;
    bool resumable;
    bool deferred;
};

static void import_done(struct import *import)
{
    cli_journal_close(&import->journal);
    cli_progress_end(&import->progress);
    cli_batch_done(&import->batch);
    cli_source_done(&import->source);
    cli_resume_done(&import->resume);
    cli_onerow_done(&import->onerow);
    free(import->columns);
}

/* ---- bad lines ---- */

/* Reports a bad line; whether the import goes on.  Told by the batch as well, hence the untyped
 * owner. */
static bool bad_line(void *owner, struct cli_origin origin, const char *message)
{
    struct import *import = owner;

    cli_progress_end(&import->progress);
    (void)cli_fail(import->args, CLI_EXIT_INVALID, "INVALID", "%s:%llu: %s", import->source.path,
                   (unsigned long long)origin.line, message);
    import->progress.on = cli_is_terminal(stderr);
    import->skipped += import->skip_bad;
    return import->skip_bad;
}

/* ---- from a record to fields ---- */

/* CSV: the value of a field that is nothing at all, not even quotes. */
enum absent { ABSENT_NULL, ABSENT_DEFAULT, ABSENT_EMPTY_TEXT };

static enum absent absent_of(const struct tears_column_info *info)
{
    if (info->nullable)
        return ABSENT_NULL;
    if (info->server_default.len > 0 || info->kind != TEARS_KIND_TEXT)
        return ABSENT_DEFAULT; /* without a default the library reports the missing column */
    return ABSENT_EMPTY_TEXT;
}

static tears_status csv_field(struct import *import, size_t column, const struct cli_csv_cell *cell,
                              struct tears_field *fields, size_t *count)
{
    struct tears_column_info info;
    struct tears_value value = tears_null();
    tears_status status = tears_schema_column(import->onerow.target.schema, column, &info);

    if (status != TEARS_OK)
        return status;
    if (cell->text.len == 0 && !cell->quoted) {
        const enum absent absent = absent_of(&info);
        if (absent == ABSENT_DEFAULT)
            return TEARS_OK;
        if (absent == ABSENT_EMPTY_TEXT)
            value = tears_text(TEARS_STR(""));
    } else {
        status = tears_value_parse(import->onerow.context.session, import->onerow.target.schema,
                                   info.name, cell->text, &value);
    }
    if (status == TEARS_OK)
        fields[(*count)++] = tears_field_of(info.name, value);
    return status;
}

/* Splits a record and reads its fields; the text, in session memory, may be changed. */
static tears_status csv_fields(struct import *import, char *text, size_t len,
                               struct tears_row_input *row_out, struct cli_text *message)
{
    CLI_AUTO(cli_csv_done) struct cli_csv_record record = {0};
    tears_session *session = import->onerow.context.session;
    const size_t column_count = import->source.header.count;
    const char *defect = cli_csv_split(text, len, &record);

    if (defect != NULL || record.count != column_count) {
        if (defect != NULL)
            cli_text_put_c(message, defect);
        else
            cli_text_printf(message, "%zu fields; the header has %zu", record.count, column_count);
        return TEARS_INVALID;
    }
    struct tears_field *fields = tears_session_alloc(session, column_count * sizeof *fields);
    if (fields == NULL)
        return TEARS_NO_MEMORY;
    row_out->fields = fields;
    for (size_t i = 0; i < column_count; i++) {
        const tears_status status =
            csv_field(import, import->columns[i], &record.cells[i], fields, &row_out->field_count);
        if (status != TEARS_OK) {
            cli_text_put_c(message, tears_session_error(session)->message);
            return status;
        }
    }
    return TEARS_OK;
}

static tears_status record_fields(struct import *import, const struct cli_source_record *record,
                                  struct tears_row_input *row_out, struct cli_text *message)
{
    tears_session *session = import->onerow.context.session;

    if (record->defect != NULL) {
        cli_text_put_c(message, record->defect);
        return TEARS_INVALID;
    }
    /* Values may point into the text, which has to live until the batch is written. */
    char *text = tears_session_alloc(session, record->text.len + 1);
    if (text == NULL)
        return TEARS_NO_MEMORY;
    memcpy(text, record->text.ptr, record->text.len);
    text[record->text.len] = '\0';
    if (import->source.format == CLI_FORMAT_CSV)
        return csv_fields(import, text, record->text.len, row_out, message);
    const tears_status status = tears_fields_from_json(session, import->onerow.target.schema,
                                                       tears_str_n(text, record->text.len),
                                                       &row_out->fields, &row_out->field_count);
    if (status != TEARS_OK)
        cli_text_put_c(message, tears_session_error(session)->message);
    return status;
}

/* ---- the loop ---- */

/* Notes in the resume file that everything before `origin` is in the table. */
static void remember(struct import *import, struct cli_origin origin)
{
    import->resume.line = origin.line;
    import->resume.offset = origin.offset;
    import->resume.rows = import->rows_before + import->batch.written;
    import->resume.skipped = import->skipped;
    if (import->resumable)
        import->resumable = cli_resume_save(&import->resume);
}

static int write_batch(struct import *import)
{
    struct cli_origin next = {.line = import->source.line, .offset = import->source.offset};
    const int result = cli_batch_write(&import->batch, &next);

    import->degraded |= import->batch.degraded;
    remember(import, next);
    cli_progress_show(&import->progress, import->source.offset, import->source.size,
                      import->rows_before + import->batch.written);
    return result;
}

/* Rows before a bad line are written before it is reported, so that a run that stops there is
 * complete up to it. */
static int take_bad_record(struct import *import, struct cli_origin origin, tears_status status,
                           const struct cli_text *message)
{
    struct cli_origin stopped = origin;
    const char *text = message->len > 0 ? message->ptr : tears_status_text(status);
    int result = import->skip_bad ? CLI_EXIT_OK : cli_batch_write(&import->batch, &stopped);

    if (result == CLI_EXIT_OK && !bad_line(import, origin, text))
        result = CLI_EXIT_INVALID;
    if (result != CLI_EXIT_OK)
        remember(import, stopped);
    return result;
}

static int take_record(struct import *import, const struct cli_source_record *record)
{
    CLI_AUTO(cli_text_done) struct cli_text message = {0};
    const struct cli_origin origin = {.line = record->line, .offset = record->offset};
    struct tears_row_input row = {NULL, 0, NULL};
    const tears_status status = record_fields(import, record, &row, &message);

    if (status == TEARS_INVALID || status == TEARS_LIMIT)
        return take_bad_record(import, origin, status, &message);
    if (status != TEARS_OK) {
        remember(import, origin);
        return cli_fail(import->args, cli_exit_of(status), tears_status_name(status), "%s:%llu: %s",
                        import->source.path, (unsigned long long)record->line,
                        tears_status_text(status));
    }
    cli_batch_add(&import->batch, &row, origin, record->text.len);
    return cli_batch_is_full(&import->batch) ? write_batch(import) : CLI_EXIT_OK;
}

static int import_records(struct import *import)
{
    uint64_t from_line = 1;
    struct cli_source_record record;
    bool end = false;

    CLI_TRY(cli_option_number(import->args, "from-line",
                              (struct cli_range){.min = 1, .max = INT64_MAX, .otherwise = 1},
                              &from_line));
    for (;;) {
        if (cli_interrupted()) {
            CLI_TRY(write_batch(import));
            return CLI_EXIT_INTERRUPTED;
        }
        CLI_TRY(cli_source_next(import->args, &import->source, &record, &end));
        if (end)
            return write_batch(import);
        if (record.line >= from_line)
            CLI_TRY(take_record(import, &record));
    }
}

/* ---- start ---- */

static int match_header(struct import *import)
{
    const struct cli_csv_record *header = &import->source.header;
    const tears_schema *schema = import->onerow.target.schema;

    import->columns = cli_alloc(header->count, sizeof *import->columns);
    for (size_t i = 0; i < header->count; i++) {
        const struct tears_str name = header->cells[i].text;
        if (tears_schema_find_column(schema, name, &import->columns[i]) != TEARS_OK) {
            const char *near = cli_nearest_column(schema, name);
            return cli_fail(import->args, CLI_EXIT_INVALID, "INVALID",
                            "%s:1: table '" CLI_STR_FMT "' has no column '" CLI_STR_FMT "'%s%s%s",
                            import->source.path, CLI_STR_ARG(tears_schema_name(schema)),
                            CLI_STR_ARG(name), near != NULL ? "; did you mean '" : "",
                            near != NULL ? near : "", near != NULL ? "'?" : "");
        }
        for (size_t before = 0; before < i; before++) {
            if (import->columns[before] == import->columns[i])
                return cli_fail(import->args, CLI_EXIT_INVALID, "INVALID",
                                "%s:1: column '" CLI_STR_FMT "' is named twice",
                                import->source.path, CLI_STR_ARG(name));
        }
    }
    return CLI_EXIT_OK;
}

/* Goes to where an earlier run of the same file into the same table ended, if there was one. */
static int find_start(struct import *import)
{
    cli_resume_init(&import->resume, import->source.path, cli_word(import->args, 0));
    import->resumable = import->source.size > 0;
    const bool asked = cli_flag(import->args, "restart") || cli_flag(import->args, "from-line");
    const bool found = import->resumable && !asked && cli_resume_load(&import->resume);
    const bool same = found && import->resume.size == import->source.size &&
                      import->resume.changed == import->source.changed;

    import->resume.size = import->source.size;
    import->resume.changed = import->source.changed;
    if (found && !same)
        cli_note("'%s' has changed since the interrupted run; beginning at its start (--from-line "
                 "%llu goes on where it ended)",
                 import->source.path, (unsigned long long)import->resume.line);
    if (!same)
        return CLI_EXIT_OK;
    import->rows_before = import->resume.rows;
    import->skipped = import->resume.skipped;
    cli_note("going on from line %llu of '%s'; %llu rows are in already (--restart begins anew)",
             (unsigned long long)import->resume.line, import->source.path,
             (unsigned long long)import->rows_before);
    return cli_source_seek(import->args, &import->source, import->resume.offset,
                           import->resume.line);
}

/* What is in the journal before this run adds to it; there may be none yet. */
static int count_letters(struct import *import)
{
    CLI_AUTO(cli_journal_close) tears_journal *journal = NULL;
    struct tears_error error = {.status = TEARS_OK};
    const tears_status status = cli_journal_open(import->args, &journal, &error);

    if (status == TEARS_NOT_FOUND)
        return CLI_EXIT_OK;
    if (status != TEARS_OK)
        return cli_journal_fail(import->args, status, &error);
    return cli_letters_count(import->args, journal, &import->flushing.before);
}

static int open_table(struct import *import)
{
    struct tears_error error = {.status = TEARS_OK};

    if (import->deferred)
        CLI_TRY(count_letters(import));
    CLI_TRY(cli_onerow_open(import->args, &import->onerow));
    if (!import->deferred)
        return CLI_EXIT_OK;
    import->flushing.context = &import->onerow.context;
    import->flushing.patient = true;
    const tears_status status = cli_journal_open(import->args, &import->journal, &error);
    import->flushing.journal = import->journal;
    return status == TEARS_OK ? CLI_EXIT_OK : cli_journal_fail(import->args, status, &error);
}

static int import_begin(struct import *import)
{
    const struct cli_args *args = import->args;
    enum cli_format format = CLI_FORMAT_JSONL;
    uint64_t row_max = 0;

    CLI_TRY(cli_format_find(args, args->words[1], &format));
    CLI_TRY(cli_option_number(
        args, "batch", (struct cli_range){.min = 1, .max = CLI_BATCH_ROWS_MAX, .otherwise = 1000},
        &row_max));
    import->deferred = cli_flag(args, "deferred");
    if (cli_option(args, "journal") != NULL && !import->deferred)
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "--journal goes with --deferred");
    CLI_TRY(open_table(import));
    if (cli_option(args, "timeout") == NULL)
        tears_session_set_timeout(import->onerow.context.session, 60000);
    CLI_TRY(cli_source_open(args, args->words[1], format, &import->source));
    if (format == CLI_FORMAT_CSV)
        CLI_TRY(match_header(import));
    CLI_TRY(find_start(import));
    import->skip_bad = cli_flag(args, "skip-bad");
    import->batch = (struct cli_batch){.context = &import->onerow.context,
                                       .table = import->onerow.table,
                                       .insert = cli_flag(args, "insert"),
                                       .in_order = cli_flag(args, "insert") && !import->skip_bad &&
                                                   !import->deferred,
                                       .bad_row = bad_line,
                                       .owner = import};
    cli_batch_init(&import->batch, (size_t)row_max);
    cli_interrupt_catch();
    cli_progress_begin(&import->progress, "importing");
    import->started = cli_now();
    return CLI_EXIT_OK;
}

/* ---- end ---- */

static void say_how_to_go_on(const struct import *import, int result)
{
    const unsigned long long line = (unsigned long long)import->resume.line;
    const char *why = result == CLI_EXIT_INTERRUPTED ? "interrupted" : "stopped";

    if (import->resumable)
        cli_note("%s; all before line %llu of '%s' is in.  The same command goes on from there",
                 why, line, import->source.path);
    else
        cli_note("%s; all before line %llu is in.  Go on with --from-line %llu", why, line, line);
}

static int print_summary(const struct import *import)
{
    CLI_AUTO(cli_text_done) struct cli_text line = {0};
    const double seconds = import->seconds;
    const double rate = seconds > 0 ? (double)import->batch.written / seconds : 0;

    if (import->args->json) {
        cli_text_printf(
            &line, "{\"imported\":%llu,\"skipped\":%llu,\"seconds\":%.3f,\"rows_per_second\":%.0f",
            (unsigned long long)import->batch.written, (unsigned long long)import->skipped, seconds,
            rate);
        if (import->deferred)
            cli_flush_put_members(&import->flushing, &line);
        cli_text_put_char(&line, '}');
        return cli_print_line(import->args, cli_text_str(&line));
    }
    cli_text_put_c(&line, "imported ");
    cli_text_put_count(&line, import->batch.written);
    cli_text_put_c(&line, import->batch.written == 1 ? " row in " : " rows in ");
    cli_text_put_duration(&line, seconds);
    cli_text_put_c(&line, " (");
    cli_text_put_count(&line, (uint64_t)rate);
    cli_text_put_c(&line, " rows/s)");
    if (import->skipped > 0)
        cli_text_printf(&line, ", %llu bad line%s skipped", (unsigned long long)import->skipped,
                        import->skipped == 1 ? "" : "s");
    return cli_print_line(import->args, cli_text_str(&line));
}

/*
 * Rows that were deferred, also those before a bad line, go to the database now.  A person sees first what was saved: from here on it is
 * safe, however long the rest takes.
 */
static int finish_deferred(struct import *import, int result)
{
    if (!import->args->json) {
        CLI_TRY(print_summary(import));
        (void)fflush(stdout);
    }
    const int flushed = cli_flush_run(&import->flushing);
    const int exit_code = result != CLI_EXIT_OK ? result : flushed;
    if (!import->args->json)
        return cli_flush_report(&import->flushing, exit_code);
    CLI_TRY(print_summary(import));
    return cli_flush_complain(&import->flushing, exit_code);
}

static int run_import(const struct cli_args *args)
{
    CLI_AUTO(import_done) struct import import = {.args = args};

    CLI_TRY(import_begin(&import));
    const int result = import_records(&import);
    import.seconds = cli_now() - import.started;
    cli_progress_end(&import.progress);
    if (result != CLI_EXIT_OK) {
        say_how_to_go_on(&import, result);
    } else {
        cli_resume_forget(&import.resume);
        cli_note_degraded(import.degraded);
    }
    if (import.deferred)
        return finish_deferred(&import, result);
    const int printed = print_summary(&import);
    return result != CLI_EXIT_OK ? result : printed;
}

const struct cli_command cli_import = {
    .name = "import",
    .synopsis = "TABLE FILE.{jsonl,csv}",
    .summary = "write a file of rows into a table",
    .details =
        "JSON Lines: one object per line.  CSV: a line of column names, then rows; nothing between "
        "two commas is\n"
        "NULL (or the column's default, when it cannot be NULL), \"\" is the empty text.  A row "
        "that exists is\n"
        "overwritten unless --insert is given.  FILE may be - for standard input, with --format.\n"
        "\n"
        "A bad line is reported with its number.  An import that stops or is interrupted with "
        "Ctrl-C has\n"
        "written everything before the line it names; the same command goes on from there (it "
        "keeps\n"
        "FILE.tears-resume until it is done).\n"
        "\n"
        "With --deferred the rows are first saved to a journal, a local file, and then flushed to "
        "the database in\n"
        "its own order: parents before children, whatever the order of files.  The database may go "
        "away meanwhile;\n"
        "the import waits for it.  Ctrl-C, a kill or a loss of power then lose nothing: `tears "
        "pending status` says\n"
        "what is left, `tears pending flush` goes on.  What the database refuses does not stop the "
        "import; it\n"
        "becomes a dead letter: `tears help dead`.\n"
        "\n"
        "  tears import packages packages.jsonl\n"
        "  tears import packages packages.jsonl --deferred\n"
        "  tears import packages packages.csv --skip-bad\n"
        "  zcat rows.jsonl.gz | tears import packages - --format jsonl\n",
    .options = options,
    .run = run_import,
    .word_min = 2,
    .word_max = 2,
};
