/*
 * source.h -- a file of records to import: where each begins, so that bad ones can be named and an
 * import resumed.
 */
#ifndef CLI_SOURCE_H
#define CLI_SOURCE_H

#include "csv.h"
#include "output.h"

enum cli_format { CLI_FORMAT_JSONL, CLI_FORMAT_CSV };

/* A record as it stands in the file, without its newline. */
struct cli_source_record {
    struct tears_str text; /* borrowed until the next call */
    uint64_t line;         /* the line it starts on, from 1 */
    uint64_t offset;       /* the byte it starts at */
    const char *defect;    /* NULL, or why it cannot be read */
};

struct cli_source {
    FILE *file;
    const char *path;
    enum cli_format format;
    uint64_t size;   /* bytes; 0: unknown (a pipe) */
    int64_t changed; /* when the file was last changed, in nanoseconds; 0: unknown */
    uint64_t offset; /* of the next record */
    uint64_t line;   /* of the next record */
    char *buffer;    /* the line read last */
    size_t capacity;
    struct cli_text record;
    struct cli_text header_text;
    struct cli_csv_record header; /* CSV: the names of the columns */
};

/* The format that the option or the file's name says. */
int cli_format_find(const struct cli_args *args, const char *path, enum cli_format *format_out);

/* Opens the file ("-": standard input), and reads the header line of CSV. */
int cli_source_open(const struct cli_args *args, const char *path, enum cli_format format,
                    struct cli_source *source_out);
void cli_source_done(struct cli_source *source);

/* Goes to a record's start as it was told by an earlier run. */
int cli_source_seek(const struct cli_args *args, struct cli_source *source, uint64_t offset,
                    uint64_t line);

/* The next record that is not blank.  *end_out: there is none.  Fails only when the file cannot be
 * read. */
int cli_source_next(const struct cli_args *args, struct cli_source *source,
                    struct cli_source_record *record_out, bool *end_out);

#endif
