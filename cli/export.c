/*
 * export.c -- `tears export`: a table into a file, or to standard output.
 *
 * Owns:     the command.
 * Must not know: cursors, SQL.
 * Threads:  the main thread.
 * Fails:    130 when interrupted; the same command then goes on where it ended.
 * Begin at: run_export().
 *
 * Pages are read in key order, each from the database.  After each page the file is flushed and its
 * length and the next cursor are remembered; a resumed export cuts the file to that length first.
 */
#include "commands.h"
#include "interrupt.h"
#include "onerow.h"
#include "resume.h"
#include "source.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { PAGE_ROWS = 1000 };

static const struct cli_option options[] = {
    {"format", "jsonl|csv", "what to write, when the file's name does not say it (else jsonl)"},
    {"force", NULL, "overwrite a file that exists"},
    {"partition", "VALUE",
     "rows of this partition; may be repeated (a table with a partition column needs it)"},
    {NULL, NULL, NULL},
};

struct export
{
    const struct cli_args *args;
    struct cli_onerow onerow; /* the table; its key and fields stay unused */
    const char *path;         /* NULL: standard output */
    FILE *file;
    enum cli_format format;
    struct cli_resume resume;
    struct cli_progress progress;
    uint64_t rows; /* of this run */
    double started;
    bool resumed;
};

static void export_done(struct export *export)
{
    cli_progress_end(&export->progress);
    if (export->file != NULL && export->file != stdout)
        (void)fclose(export->file); /* a failure to write shows at the flush of each page */
    cli_resume_done(&export->resume);
    cli_onerow_done(&export->onerow);
}

static int fail_file(const struct export *export, const char *what)
{
    return cli_fail(export->args, CLI_EXIT_BROKEN, "FILE", "cannot %s '%s': %s", what,
                    export->path != NULL ? export->path : "standard output", strerror(errno));
}

/* ---- rows ---- */

static void put_csv_header(const tears_schema *schema, struct cli_text *out)
{
    for (size_t i = 0; i < tears_schema_column_count(schema); i++) {
        struct tears_column_info info;
        if (tears_schema_column(schema, i, &info) != TEARS_OK)
            break; /* i is below the count: cannot happen */
        cli_text_put_c(out, i > 0 ? "," : "");
        cli_csv_put(out, info.name);
    }
    cli_text_put_char(out, '\n');
}

static tears_status put_csv_row(struct export *export, const tears_entity *row,
                                struct cli_text *out)
{
    CLI_AUTO(cli_text_done) struct cli_text text = {0};
    const size_t count = tears_schema_column_count(export->onerow.target.schema);

    for (size_t i = 0; i < count; i++) {
        struct tears_value value = tears_null();
        tears_status status = tears_entity_at(row, i, &value);
        cli_text_put_c(out, i > 0 ? "," : "");
        cli_text_clear(&text);
        if (status == TEARS_OK && value.kind != TEARS_KIND_NULL) {
            status = cli_value_text(export->onerow.context.session, &value, &text);
            cli_csv_put(out, cli_text_str(&text));
        }
        if (status != TEARS_OK)
            return status;
    }
    cli_text_put_char(out, '\n');
    return TEARS_OK;
}

static tears_status put_row(struct export *export, const tears_entity *row, struct cli_text *out)
{
    struct tears_str json = {NULL, 0};

    if (export->format == CLI_FORMAT_CSV)
        return put_csv_row(export, row, out);
    const tears_status status = tears_entity_json(row, &json);
    if (status == TEARS_OK) {
        cli_text_put(out, json);
        cli_text_put_char(out, '\n');
    }
    return status;
}

/* Writes what was collected, and remembers that the file is good up to its end. */
static int write_out(struct export *export, const struct cli_text *out)
{
    if (fwrite(out->ptr, 1, out->len, export->file) != out->len || fflush(export->file) != 0)
        return fail_file(export, "write to");
    export->resume.offset += out->len;
    return CLI_EXIT_OK;
}

/* The column that rows are partitioned by; SIZE_MAX: none. */
static size_t partition_column(const tears_schema *schema, struct tears_column_info *info_out)
{
    for (size_t i = 0; i < tears_schema_column_count(schema); i++)
        if (tears_schema_column(schema, i, info_out) == TEARS_OK && info_out->partition)
            return i;
    return SIZE_MAX;
}

/* The partitions that are asked for; they belong to the session, so they are made for each page. */
static tears_status read_partitions(struct export *export, const tears_partitions **partitions_out)
{
    const struct cli_args *args = export->args;
    tears_session *session = export->onerow.context.session;
    const tears_schema *schema = export->onerow.target.schema;
    struct tears_column_info info;
    size_t count = 0;

    if (cli_option(args, "partition") == NULL)
        return TEARS_OK;
    if (partition_column(schema, &info) == SIZE_MAX) /* which the library then says */
        return tears_partitions_new(session, export->onerow.table, NULL, 0, partitions_out);
    struct tears_value *values = cli_alloc(args->given_count, sizeof *values);
    tears_status status = TEARS_OK;
    for (size_t i = 0; i < args->given_count && status == TEARS_OK; i++)
        if (strcmp(args->given[i].option->name, "partition") == 0)
            status = tears_value_parse(session, schema, info.name,
                                       tears_str_c(args->given[i].value), &values[count++]);
    if (status == TEARS_OK)
        status = tears_partitions_new(session, export->onerow.table, values, count, partitions_out);
    free(values);
    return status;
}

static int export_page(struct export *export, bool *end_out)
{
    CLI_AUTO(cli_text_done) struct cli_text out = {0};
    struct tears_page_options page_options = TEARS_PAGE_OPTIONS_INIT;
    struct tears_page page = {NULL, 0, {NULL, 0}};
    tears_session *session = export->onerow.context.session;

    page_options.row_max = PAGE_ROWS;
    page_options.cursor = tears_str_c(export->resume.cursor);
    tears_status status = read_partitions(export, &page_options.partitions);
    if (status == TEARS_OK)
        status = tears_page_read(session, export->onerow.table, &page_options, &page);
    for (size_t i = 0; status == TEARS_OK && i < page.count; i++)
        status = put_row(export, page.entities[i], &out);
    if (status != TEARS_OK)
        return cli_fail_session(&export->onerow.context, status);
    CLI_TRY(out.len > 0 ? write_out(export, &out) : CLI_EXIT_OK);
    export->rows += page.count;
    export->resume.rows += page.count;
    free(export->resume.cursor);
    export->resume.cursor = cli_copy(page.next_cursor);
    *end_out = page.next_cursor.len == 0;
    if (export->path != NULL && !*end_out)
        (void)cli_resume_save(&export->resume); /* best effort: only resuming depends on it */
    tears_session_reset(session);
    return CLI_EXIT_OK;
}

static int export_all(struct export *export)
{
    CLI_AUTO(cli_text_done) struct cli_text header = {0};
    bool end = false;

    if (export->format == CLI_FORMAT_CSV && !export->resumed) {
        put_csv_header(export->onerow.target.schema, &header);
        CLI_TRY(write_out(export, &header));
    }
    while (!end) {
        if (cli_interrupted())
            return CLI_EXIT_INTERRUPTED;
        CLI_TRY(export_page(export, &end));
        cli_progress_show(&export->progress, 0, 0, export->resume.rows);
    }
    return CLI_EXIT_OK;
}

/* ---- start and end ---- */

static int open_resumed(struct export *export)
{
    export->file = fopen(export->path, "r+e");
    if (export->file == NULL ||
        ftruncate(fileno(export->file), (off_t) export->resume.offset) != 0 ||
        fseeko(export->file, 0, SEEK_END) != 0)
        return fail_file(export, "go on with");
    export->resumed = true;
    cli_note("going on after row %llu of '%s' (--force begins anew)",
             (unsigned long long)export->resume.rows, export->path);
    return CLI_EXIT_OK;
}

static int open_file(struct export *export)
{
    if (export->path == NULL) {
        cli_resume_init(&export->resume, "-", cli_word(export->args, 0));
        export->file = stdout;
        return CLI_EXIT_OK;
    }
    cli_resume_init(&export->resume, export->path, cli_word(export->args, 0));
    const bool force = cli_flag(export->args, "force");
    if (!force && access(export->path, F_OK) == 0) {
        if (cli_resume_load(&export->resume))
            return open_resumed(export);
        return cli_fail(export->args, CLI_EXIT_USAGE, "USAGE", "'%s' exists; --force overwrites it",
                        export->path);
    }
    export->file = fopen(export->path, "we");
    return export->file != NULL ? CLI_EXIT_OK : fail_file(export, "create");
}

static int export_begin(struct export *export)
{
    const struct cli_args *args = export->args;

    export->path = args->word_count > 1 && strcmp(args->words[1], "-") != 0 ? args->words[1] : NULL;
    if (export->path != NULL || cli_option(args, "format") != NULL)
        CLI_TRY(cli_format_find(args, export->path != NULL ? export->path : "-", &export->format));
    CLI_TRY(cli_onerow_open(args, &export->onerow));
    if (cli_option(args, "timeout") == NULL)
        tears_session_set_timeout(export->onerow.context.session, 60000);
    CLI_TRY(open_file(export));
    cli_interrupt_catch();
    cli_progress_begin(&export->progress, "exporting");
    export->progress.on = export->progress.on && (export->path != NULL || !cli_is_terminal(stdout));
    export->started = cli_now();
    return CLI_EXIT_OK;
}

static int print_summary(const struct export *export)
{
    CLI_AUTO(cli_text_done) struct cli_text line = {0};
    const double seconds = cli_now() - export->started;

    if (export->path == NULL)
        return CLI_EXIT_OK; /* standard output holds rows and nothing else */
    if (export->args->json) {
        cli_text_printf(&line, "{\"exported\":%llu,\"seconds\":%.3f}",
                        (unsigned long long)export->rows, seconds);
        return cli_print_line(export->args, cli_text_str(&line));
    }
    cli_text_put_c(&line, "exported ");
    cli_text_put_count(&line, export->rows);
    cli_text_put_c(&line, export->rows == 1 ? " row in " : " rows in ");
    cli_text_put_duration(&line, seconds);
    cli_text_put_c(&line, " (");
    cli_text_put_count(&line, seconds > 0 ? (uint64_t)((double)export->rows / seconds) : 0);
    cli_text_put_c(&line, " rows/s)");
    return cli_print_line(export->args, cli_text_str(&line));
}

static int run_export(const struct cli_args *args)
{
    CLI_AUTO(export_done) struct export export = {.args = args};

    CLI_TRY(export_begin(&export));
    const int result = export_all(&export);
    cli_progress_end(&export.progress);
    if (result == CLI_EXIT_INTERRUPTED && export.path != NULL)
        cli_note("interrupted after row %llu; the same command goes on from there",
                 (unsigned long long)export.resume.rows);
    CLI_TRY(result);
    if (export.path != NULL)
        cli_resume_forget(&export.resume);
    return print_summary(&export);
}

const struct cli_command cli_export = {
    .name = "export",
    .synopsis = "TABLE [FILE.{jsonl,csv}]",
    .summary = "write all rows of a table to a file",
    .details = "Rows come in key order.  Without a file they go to standard output, as JSON Lines "
               "unless --format csv is\n"
               "given.  An export that is interrupted with Ctrl-C goes on when the same command is "
               "given again.\n"
               "What is exported can be imported again unchanged.\n"
               "\n"
               "  tears export packages packages.csv\n"
               "  tears export packages | gzip > packages.jsonl.gz\n",
    .options = options,
    .run = run_export,
    .word_min = 1,
    .word_max = 2,
};
