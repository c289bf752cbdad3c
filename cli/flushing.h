/*
 * flushing.h -- brings what is pending to the database while a person looks on, and says what became of it.
 */
#ifndef CLI_FLUSHING_H
#define CLI_FLUSHING_H

#include "context.h"

/* The dead letters of a journal, as they were before a flush. */
struct cli_letters {
    uint64_t newest;   /* the largest number */
    uint64_t unmarked; /* those that nobody has asked to be tried again */
    uint64_t marked;
};

/* Counts them. */
int cli_letters_count(const struct cli_args *args, tears_journal *journal,
                      struct cli_letters *letters_out);

/* What is to be flushed, and what became of it. */
struct cli_flushing {
    struct cli_context *context;
    tears_journal *journal;         /* the same that the client owns */
    const struct tears_str *tables; /* none: all */
    size_t table_count;
    bool patient;              /* waits for a database that is away, until Ctrl-C */
    struct cli_letters before; /* of cli_letters_count */

    uint64_t written; /* rows that the database has got since the client was opened */
    uint64_t waiting; /* rows that are still pending */
    uint64_t parked;  /* of those: rows that wait for another row, or for a table */
    uint64_t refused; /* dead letters that have been added */
    double seconds;
    struct tears_error why; /* what the last attempt failed of */
};

/*
 * Flushes, with progress on a terminal.  cli_interrupt_catch comes before.  CLI_EXIT_OK: all is written.
 * CLI_EXIT_INVALID: some was refused; CLI_EXIT_UNAVAILABLE: some still waits; CLI_EXIT_INTERRUPTED; or another
 * failure, and `why` says which.  Nothing is printed as a failure yet; the figures are set in any case.
 */
int cli_flush_run(struct cli_flushing *flushing);

/*
 * Opens the context's client, as the owner of the journal; when patient, as soon as the database can be reached.
 * Afterwards cli_close.  CLI_EXIT_NO, reported: another process is the owner, and flushes itself.
 */
int cli_flush_open(const struct cli_args *args, struct cli_flushing *flushing);

/* Prints what became of it on standard output, and why something waits on standard error. */
int cli_flush_report(const struct cli_flushing *flushing, int result);

/* ,"written":N,"waiting":N,"parked":N,"dead":N */
void cli_flush_put_members(const struct cli_flushing *flushing, struct cli_text *out);

/* The second half of that. */
int cli_flush_complain(const struct cli_flushing *flushing, int result);

#endif
