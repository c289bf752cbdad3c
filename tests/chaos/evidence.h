/*
 * evidence.h -- a run's folder: the workers' files, what the database says, and what was done to whom when.
 */
#ifndef CHAOS_EVIDENCE_H
#define CHAOS_EVIDENCE_H

#include "history.h"

#include <stdio.h>

/* Written by the runner while it runs: "NANOSECONDS what", one a line. */
#define CHAOS_EVENTS_FILE "events.txt"
/* Written by the runner at the end: what it read from the database. */
#define CHAOS_TRUTH_FILE "truth.bin"
/* Ending of the workers' files. */
#define CHAOS_LOG_ENDING ".ops"

struct chaos_truth {
    struct chaos_rules rules;
    uint64_t began_ns; /* of the run: times are printed from here on */
    bool has_rows;
    struct chaos_change *changes;
    size_t change_count;
    struct chaos_row *rows;
    size_t row_count;
};

bool chaos_truth_write(const char *folder, const struct chaos_truth *truth);

struct chaos_folder {
    char path[256];
    struct chaos_truth truth;
    struct chaos_log_view *logs;
    size_t log_count;
    const struct chaos_record **records;
    struct chaos_evidence evidence;
};

/* False when the folder is no run's; says why on stderr. */
bool chaos_folder_open(const char *path, struct chaos_folder *folder);
void chaos_folder_close(struct chaos_folder *folder);

/* ---- for people ---- */

void chaos_print_violations(FILE *out, const struct chaos_folder *folder,
                            const struct chaos_history *history,
                            const struct chaos_verdict *verdict, size_t count_max);
void chaos_print_figures(FILE *out, const struct chaos_verdict *verdict);
/* Members of a JSON object, without its braces. */
void chaos_print_json(FILE *out, const struct chaos_verdict *verdict);

#endif
