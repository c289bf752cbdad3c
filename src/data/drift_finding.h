/*
 * drift_finding.h -- a list of differences, and the report that people and programs read.
 */
#ifndef T3_DATA_DRIFT_FINDING_H
#define T3_DATA_DRIFT_FINDING_H

#include "base/arena.h"
#include "base/buf.h"

#include <tears/drift.h>

/* All zero but for the arena is an empty list; texts are borrowed. */
struct t3_drift_list {
    struct t3_arena *arena;
    struct tears_drift_finding *findings;
    size_t count;
    size_t capacity;
};

tears_status t3_drift_add(struct t3_drift_list *list, const struct tears_drift_finding *finding);

/* In the order of the report: by what differs, then by table and name. */
void t3_drift_sort(struct t3_drift_list *list);

/* The words of programs: "missing", "column", ... */
const char *t3_drift_difference_word(uint64_t difference);
const char *t3_drift_object_word(uint64_t object);

/*
 * Appends the members of the report's JSON object, without its braces: those of spec data.md 13.4 and,
 * when `complete`, `differences` with every finding.  TEARS_INVALID (a name is no UTF-8), TEARS_NO_MEMORY, TEARS_LIMIT.
 */
tears_status t3_drift_put_json(struct t3_buf *out, const struct t3_drift_list *list, bool complete);

/* Appends the report's lines, each with its newline. */
tears_status t3_drift_put_text(struct t3_buf *out, const struct t3_drift_list *list);

#endif
