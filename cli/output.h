/*
 * output.h -- what the command says: rows, tables, errors, progress.
 *
 * Results go to stdout, everything about them to stderr.  With --json a result is one JSON object
 * per line, and so is an error.
 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include "command.h"

#include <stdio.h>

/* Says what went wrong on stderr and gives `exit_code` back.  `status` is its name for programs. */
int cli_fail(const struct cli_args *args, int exit_code, const char *status, const char *format,
             ...) CLI_PRINTF(4, 5);

/* The exit code of a library status. */
int cli_exit_of(tears_status status);

/* A remark on stderr: "tears: ...". */
void cli_note(const char *format, ...) CLI_PRINTF(1, 2);

/* Writes text and a newline to stdout; CLI_EXIT_BROKEN when stdout cannot take it. */
int cli_print_line(const struct cli_args *args, struct tears_str text);

/* A table of text cells, printed aligned on a terminal and with tabs elsewhere. */
struct cli_grid {
    size_t column_count;
    char **cells; /* row after row; the first row is the header */
    size_t cell_count;
    size_t capacity;
    bool *right;  /* align this column to the right */
    bool whole;   /* never cut cells to fit the terminal */
    bool aligned; /* aligned also where stdout is no terminal */
};

void cli_grid_init(struct cli_grid *grid, size_t column_count);
void cli_grid_put(struct cli_grid *grid, struct tears_str cell);
void cli_grid_put_c(struct cli_grid *grid, const char *cell);
int cli_grid_print(const struct cli_args *args, const struct cli_grid *grid);
void cli_grid_done(struct cli_grid *grid);

/* Whether stdout (or stderr) is a terminal; overridden for tests by TEARS_TERMINAL=0|1. */
bool cli_is_terminal(FILE *stream);

/* Columns of the terminal. */
size_t cli_terminal_width(void);

/* A duration in seconds as people read it: "412 ns", "3.2 us", "1.4 ms", "2.0 s". */
void cli_text_put_duration(struct cli_text *text, double seconds);

/* A moment, in microseconds since 1970: "2026-01-31T12:00:00Z". */
void cli_text_put_time(struct cli_text *text, int64_t us);

/* The calendar now, in microseconds since 1970. */
int64_t cli_calendar_us(void);

/* A size as people read it: "512 B", "64.0 MiB". */
void cli_text_put_bytes(struct cli_text *text, uint64_t bytes);

/* The progress of a long command on stderr; silent when stderr is no terminal. */
struct cli_progress {
    const char *verb; /* "importing packages" */
    double started;
    double shown;
    bool on;
};

void cli_progress_begin(struct cli_progress *progress, const char *verb);
/* `done` of `total` (0: unknown) in any unit; `rows` so far. */
void cli_progress_show(struct cli_progress *progress, uint64_t done, uint64_t total, uint64_t rows);
void cli_progress_end(struct cli_progress *progress);

#endif
