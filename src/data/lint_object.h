/*
 * lint_object.h -- struct tears_lint, for lint.c and lint_files.c.
 */
#ifndef T3_DATA_LINT_OBJECT_H
#define T3_DATA_LINT_OBJECT_H

#include "data/lint_impl.h"

/* A file that was linted, or a folder that was looked through. */
struct lint_seen {
    struct tears_str path; /* relative to the root */
    bool is_folder;
    struct lint_seen *next;
};

struct tears_lint {
    struct t3_arena arena;
    uint64_t groups;
    enum t3_sql_dialect dialect;
    struct tears_str root;
    struct lint_exemptions exemptions;
    struct tears_lint_finding *findings;
    size_t finding_count;
    size_t finding_room;
    struct lint_seen *seen;
    uint64_t files_seen;
    uint64_t statements_seen;
};

tears_status t3_lint_saw(tears_lint *lint, struct tears_str path, bool is_folder);

#endif
