/*
 * source.c -- reads records line by line and knows where each one stands.
 *
 * Owns:     the open file and its position.
 * Must not know: tables, values; what a record means is the importer's business.
 * Threads:  one.
 * Fails:    6 when the file cannot be opened or read; a record that is malformed is not a failure
 * but has a defect. Begin at: cli_source_next().
 *
 * A quoted CSV field may contain newlines, so one record may be many lines.  A quote that somebody
 * forgot to close would swallow good lines, up to the next quote or the end of the file: when many
 * lines together make no record, the first alone is the bad one, and reading goes on behind it.
 */
#include "source.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

/* A record longer than this is damage, not data: the library refuses rows of 256 MiB as well. */
#define RECORD_BYTES_MAX ((size_t)64 * 1024 * 1024)

int cli_format_find(const struct cli_args *args, const char *path, enum cli_format *format_out)
{
    const char *named = cli_option(args, "format");
    const struct tears_str text = tears_str_c(named != NULL ? named : path);

    if (named == NULL ? cli_str_ends(text, ".jsonl") || cli_str_ends(text, ".ndjson")
                      : cli_str_is(text, "jsonl"))
        *format_out = CLI_FORMAT_JSONL;
    else if (named == NULL ? cli_str_ends(text, ".csv") : cli_str_is(text, "csv"))
        *format_out = CLI_FORMAT_CSV;
    else if (named != NULL)
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "--format is jsonl or csv, not '%s'", named);
    else
        return cli_fail(
            args, CLI_EXIT_USAGE, "USAGE",
            "'%s' ends neither in .jsonl nor in .csv; say --format jsonl or --format csv", path);
    return CLI_EXIT_OK;
}

static int fail_file(const struct cli_args *args, const struct cli_source *source, const char *what)
{
    return cli_fail(args, CLI_EXIT_BROKEN, "FILE", "cannot %s '%s': %s", what, source->path,
                    strerror(errno));
}

/* ---- lines ---- */

/* Appends the next line, with its newline, to the record; *end_out when there is none. */
static int take_line(const struct cli_args *args, struct cli_source *source, bool *end_out)
{
    errno = 0;
    const ssize_t len = getline(&source->buffer, &source->capacity, source->file);
    *end_out = len < 0;
    if (len < 0)
        return ferror(source->file) || errno == ENOMEM ? fail_file(args, source, "read")
                                                       : CLI_EXIT_OK;
    cli_text_put(&source->record, tears_str_n(source->buffer, (size_t)len));
    source->offset += (uint64_t)len;
    source->line++;
    return CLI_EXIT_OK;
}

static struct tears_str without_newline(struct tears_str text)
{
    while (text.len > 0 && (text.ptr[text.len - 1] == '\n' || text.ptr[text.len - 1] == '\r'))
        text.len--;
    return text;
}

/* The first line alone is a bad record.  Of a pipe there is no way back: all that was read is it.
 */
static int shorten(const struct cli_args *args, struct cli_source *source, size_t first_line_len,
                   struct cli_source_record *record)
{
    record->defect = "a quote is not closed where the field ends";
    if (source->size == 0 || first_line_len == source->record.len)
        return CLI_EXIT_OK;
    source->record.len = first_line_len;
    return cli_source_seek(args, source, record->offset + first_line_len, record->line + 1);
}

/* Adds the lines into which a quoted field goes on. */
static int take_rest(const struct cli_args *args, struct cli_source *source,
                     struct cli_source_record *record)
{
    const size_t first_line_len = source->record.len;
    bool end = false;

    for (;;) {
        const enum cli_csv_state state =
            cli_csv_state(without_newline(cli_text_str(&source->record)));
        const bool one_line = source->record.len == first_line_len;
        if (state == CLI_CSV_WHOLE || (state == CLI_CSV_BAD && one_line))
            return CLI_EXIT_OK;
        if (state == CLI_CSV_BAD || end || source->record.len > RECORD_BYTES_MAX)
            return shorten(args, source, first_line_len, record);
        size_t before = 0;
        do { /* a line without a quote changes nothing, and need not be looked at with all before it
              */
            before = source->record.len;
            CLI_TRY(take_line(args, source, &end));
        } while (!end && source->record.len <= RECORD_BYTES_MAX &&
                 memchr(source->record.ptr + before, '"', source->record.len - before) == NULL);
    }
}

static int take_record(const struct cli_args *args, struct cli_source *source,
                       struct cli_source_record *record, bool *end_out)
{
    cli_text_clear(&source->record);
    *record = (struct cli_source_record){.line = source->line, .offset = source->offset};
    CLI_TRY(take_line(args, source, end_out));
    if (source->format == CLI_FORMAT_CSV && !*end_out)
        CLI_TRY(take_rest(args, source, record));
    record->text = without_newline(cli_text_str(&source->record));
    if (record->text.len > RECORD_BYTES_MAX)
        record->defect = "the line is longer than 64 MiB";
    return CLI_EXIT_OK;
}

int cli_source_next(const struct cli_args *args, struct cli_source *source,
                    struct cli_source_record *record_out, bool *end_out)
{
    do {
        CLI_TRY(take_record(args, source, record_out, end_out));
    } while (!*end_out && record_out->text.len == 0);
    return CLI_EXIT_OK;
}

/* ---- opening ---- */

static void skip_byte_order_mark(struct cli_source *source)
{
    static const char mark[] = "\xEF\xBB\xBF";
    char start[3];
    const size_t len = fread(start, 1, sizeof start, source->file);

    if (len == sizeof start && memcmp(start, mark, sizeof start) == 0) {
        source->offset = sizeof start;
        return;
    }
    for (size_t i = len; i > 0; i--) /* also of a pipe: three bytes were just read */
        (void)ungetc((unsigned char)start[i - 1], source->file);
}

static int read_header(const struct cli_args *args, struct cli_source *source)
{
    struct cli_source_record record;
    bool end = false;

    CLI_TRY(cli_source_next(args, source, &record, &end));
    if (end)
        return cli_fail(args, CLI_EXIT_INVALID, "INVALID",
                        "'%s' is empty; a CSV file starts with a line of column names",
                        source->path);
    cli_text_put(&source->header_text, record.text);
    const char *defect =
        record.defect != NULL
            ? record.defect
            : cli_csv_split(source->header_text.ptr, source->header_text.len, &source->header);
    if (defect != NULL)
        return cli_fail(args, CLI_EXIT_INVALID, "INVALID", "%s:%llu: %s", source->path,
                        (unsigned long long)record.line, defect);
    return CLI_EXIT_OK;
}

int cli_source_open(const struct cli_args *args, const char *path, enum cli_format format,
                    struct cli_source *source_out)
{
    struct cli_source *source = source_out;
    struct stat status;

    *source = (struct cli_source){.path = path, .format = format, .line = 1};
    source->file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    if (source->file == NULL)
        return fail_file(args, source, "open");
    if (fstat(fileno(source->file), &status) != 0)
        return fail_file(args, source, "examine");
    if (S_ISDIR(status.st_mode)) {
        errno = EISDIR;
        return fail_file(args, source, "read");
    }
    if (S_ISREG(status.st_mode)) {
        source->size = (uint64_t)status.st_size;
        source->changed = (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
    }
    skip_byte_order_mark(source);
    return format == CLI_FORMAT_CSV ? read_header(args, source) : CLI_EXIT_OK;
}

int cli_source_seek(const struct cli_args *args, struct cli_source *source, uint64_t offset,
                    uint64_t line)
{
    if (fseeko(source->file, (off_t)offset, SEEK_SET) != 0)
        return fail_file(args, source, "go back in");
    source->offset = offset;
    source->line = line;
    return CLI_EXIT_OK;
}

void cli_source_done(struct cli_source *source)
{
    if (source->file != NULL && source->file != stdin)
        (void)fclose(source->file);
    free(source->buffer);
    cli_text_done(&source->record);
    cli_text_done(&source->header_text);
    cli_csv_done(&source->header);
    *source = (struct cli_source){0};
}
