/*
 * report.c -- tells people what was found.
 *
 * Owns:     nothing.
 * Must not know: how it was found.
 * Threads:  one.
 * Fails:    never.
 * Begin at: chaos_print_violations().
 */
#include "evidence.h"
#include "history_impl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* How much of a key's history is shown around a violation. */
enum { VERSIONS_BEFORE = 3, VERSIONS_SHOWN = 14, RECORDS_SHOWN = 40, WINDOW_MS = 400 };

static double seconds_of(const struct chaos_folder *folder, uint64_t ns)
{
    return ((double)ns - (double)folder->truth.began_ns) / 1e9;
}

static const char *status_of(const struct chaos_record *record)
{
    return record->state != CHAOS_DONE ? "never ended" : tears_status_name(record->status);
}

static void print_record(FILE *out, const struct chaos_folder *folder,
                         const struct chaos_history *history, const struct chaos_record *record)
{
    fprintf(out, "    %10.4f - %10.4f  worker %" PRIu32 " session %" PRIx64 " %s %s %s",
            seconds_of(folder, record->began_ns),
            record->state == CHAOS_DONE ? seconds_of(folder, record->ended_ns) : 0.0,
            record->worker, record->session, chaos_level_name(record->level),
            chaos_kind_name(record->kind), status_of(record));
    if (chaos_is_read(record) && chaos_has_answer(record)) {
        const uint32_t index = chaos_index_of_read(history, record);
        fprintf(out, ", tier %u, bound %" PRIu32 " ms", record->tier, record->bound_ms);
        if (index != NO_PLACE)
            fprintf(out, ", gave #%" PRIu32 "%s", index, record->stamp == 0 ? " (no row)" : "");
        else
            fprintf(out, ", gave stamp %" PRIx64 " version %" PRId64, (uint64_t)record->stamp,
                    record->version);
    } else if (chaos_is_write(record)) {
        const uint32_t index = chaos_index_of_write(history, record);
        fprintf(out, ", stamp %" PRIx64, (uint64_t)record->stamp);
        if (index != NO_PLACE)
            fprintf(out, ", wrote #%" PRIu32, index);
    }
    fprintf(out, "%s%s%s\n", (record->degraded & TEARS_DEGRADED_L2_READ) ? ", L2 not read" : "",
            (record->degraded & TEARS_DEGRADED_L2_WRITE) ? ", L2 not written" : "",
            (record->degraded & TEARS_DEGRADED_NOTICE) ? ", no notice" : "");
}

static void print_time(FILE *out, const struct chaos_folder *folder, const char *what, uint64_t ns)
{
    if (ns == CHAOS_NEVER)
        fprintf(out, ", never %s", what);
    else
        fprintf(out, ", %s %.4f", what, seconds_of(folder, ns));
}

static void print_versions(FILE *out, const struct chaos_folder *folder,
                           const struct chaos_history *history,
                           const struct chaos_violation *violation)
{
    uint32_t count = 0;
    const struct chaos_version *versions =
        chaos_history_of(history, violation->table, violation->key, &count);
    const uint32_t got = violation->got < count ? violation->got : count - 1;
    uint32_t first = got > VERSIONS_BEFORE ? got - VERSIONS_BEFORE : 0;
    fprintf(out, "  versions (of %" PRIu32 "):\n", count - 1);
    for (uint32_t i = first; i < count && i < first + VERSIONS_SHOWN; i++) {
        const struct chaos_version *version = &versions[i];
        fprintf(out, "    #%" PRIu32 " %s version %" PRId64 " stamp %" PRIx64 ", noted %.4f", i,
                chaos_is_absent(version, i) ? "no row," : "row,   ", version->version,
                (uint64_t)version->stamp, i == 0 ? 0.0 : seconds_of(folder, version->at_ns));
        print_time(out, folder, "acknowledged", version->acked_ns);
        print_time(out, folder, "seen", version->seen_ns);
        print_time(out, folder, "due", version->due_ns);
        fprintf(out, "%s%s\n", version->is_degraded ? ", degraded" : "",
                version->is_raw ? ", raw SQL" : "");
    }
}

static int compare_began(const void *left, const void *right)
{
    const struct chaos_record *a = *(const struct chaos_record *const *)left;
    const struct chaos_record *b = *(const struct chaos_record *const *)right;
    return (a->began_ns > b->began_ns) - (a->began_ns < b->began_ns);
}

struct window {
    uint64_t from_ns;
    uint64_t to_ns;
};

/* From shortly before the oldest allowed version was made to shortly after the read. */
static struct window window_of(const struct chaos_history *history,
                               const struct chaos_violation *violation)
{
    uint32_t count = 0;
    const struct chaos_version *versions =
        chaos_history_of(history, violation->table, violation->key, &count);
    const uint64_t margin = (uint64_t)WINDOW_MS * 1000000u;
    const uint32_t wanted = violation->wanted < count ? violation->wanted : count - 1;
    uint64_t from = versions[wanted].at_ns;
    uint64_t to = from;
    if (violation->record != NULL) {
        to = violation->record->began_ns;
        if (from == 0 || from > to)
            from = to;
    }
    return (struct window){from > margin ? from - margin : 0, to + margin};
}

static void print_records(FILE *out, const struct chaos_folder *folder,
                          const struct chaos_history *history,
                          const struct chaos_violation *violation)
{
    const struct window window = window_of(history, violation);
    const struct chaos_evidence *evidence = &folder->evidence;
    const struct chaos_record **found = chaos_alloc(evidence->record_count, sizeof *found);
    size_t count = 0;
    for (size_t i = 0; i < evidence->record_count; i++) {
        const struct chaos_record *record = evidence->records[i];
        const bool is_here = record->table == violation->table && record->key == violation->key &&
                             record->kind < CHAOS_TOKEN;
        if (is_here && record->began_ns <= window.to_ns &&
            (record->state != CHAOS_DONE || record->ended_ns >= window.from_ns) &&
            (record->state == CHAOS_DONE || record->began_ns >= window.from_ns))
            found[count++] = record;
    }
    qsort(found, count, sizeof *found, compare_began);
    fprintf(out, "  operations on the key from %.4f to %.4f (%zu):\n",
            seconds_of(folder, window.from_ns), seconds_of(folder, window.to_ns), count);
    for (size_t i = 0; i < count; i++) {
        if (count > RECORDS_SHOWN && i == RECORDS_SHOWN / 2) {
            fprintf(out, "    ...\n");
            i = count - RECORDS_SHOWN / 2;
        }
        print_record(out, folder, history, found[i]);
    }
    free(found);
}

static void print_events(FILE *out, const struct chaos_folder *folder, struct window window)
{
    char path[512];
    char line[256];
    snprintf(path, sizeof path, "%s/%s", folder->path, CHAOS_EVENTS_FILE);
    FILE *file = fopen(path, "r");
    const uint64_t before = 12000000000u; /* what was done to servers works for a while */
    fprintf(out, "  what was done from 12 s before:\n");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        char *text = NULL;
        const uint64_t ns = strtoull(line, &text, 10);
        if (ns + before >= window.from_ns && ns <= window.to_ns)
            fprintf(out, "    %10.4f %s", seconds_of(folder, ns), text);
    }
    if (file != NULL)
        fclose(file);
}

void chaos_print_violations(FILE *out, const struct chaos_folder *folder,
                            const struct chaos_history *history,
                            const struct chaos_verdict *verdict, size_t count_max)
{
    for (size_t i = 0; i < verdict->kept_count && i < count_max; i++) {
        const struct chaos_violation *violation = &verdict->kept[i];
        fprintf(out, "\nVIOLATION: %s: table %s, key %" PRIu32, chaos_rule_text(violation->rule),
                chaos_table_name(violation->table), violation->key);
        if (violation->record != NULL)
            fprintf(out, "; got #%" PRId32 ", oldest allowed #%" PRIu32, (int32_t)violation->got,
                    violation->wanted);
        fprintf(out, "\n");
        if (violation->record != NULL)
            print_record(out, folder, history, violation->record);
        print_versions(out, folder, history, violation);
        print_records(out, folder, history, violation);
        print_events(out, folder, window_of(history, violation));
    }
    for (int rule = 0; rule < CHAOS_RULES; rule++)
        if (verdict->count[rule] > 0)
            fprintf(out, "violations: %" PRIu64 " x %s\n", verdict->count[rule],
                    chaos_rule_text(rule));
}

void chaos_print_figures(FILE *out, const struct chaos_verdict *verdict)
{
    const struct chaos_figures *figures = &verdict->figures;
    fprintf(out, "operations: ");
    for (unsigned kind = CHAOS_GET; kind < CHAOS_KINDS; kind++)
        fprintf(out, "%s%" PRIu64 " %s", kind > CHAOS_GET ? ", " : "", figures->operations[kind],
                chaos_kind_name(kind));
    fprintf(out, "\nreads by level: ");
    for (unsigned level = 0; level < 4; level++)
        fprintf(out, "%s%" PRIu64 " %s", level > 0 ? ", " : "", figures->reads_of_level[level],
                chaos_level_name(level));
    fprintf(out, "; by tier: %" PRIu64 " L1, %" PRIu64 " L2, %" PRIu64 " L3; failed %" PRIu64 "\n",
            figures->reads_of_tier[1], figures->reads_of_tier[2], figures->reads_of_tier[3],
            figures->failed_reads);
    fprintf(out,
            "writes: %" PRIu64 " acknowledged (%" PRIu64 " of them degraded), %" PRIu64
            " conflicts, %" PRIu64 " of unknown outcome (%" PRIu64 " committed); %" PRIu64
            " versions of %" PRIu64 " rows\n",
            figures->acknowledged, figures->degraded_writes, figures->conflicts, figures->unknown,
            figures->unknown_committed, figures->versions, figures->keys);
    fprintf(
        out,
        "staleness of ANY reads: p50 %.1f ms, p90 %.1f, p99 %.1f, p99.9 %.1f, max %.1f (%" PRIu64
        " of %" PRIu64 " were stale at all)\n",
        figures->any_ms_p50, figures->any_ms_p90, figures->any_ms_p99, figures->any_ms_p999,
        figures->any_ms_max, figures->any_stale, figures->any_reads);
    fprintf(out, "excused reads:");
    for (unsigned table = 0; table < CHAOS_TABLES; table++)
        fprintf(out, "%s %" PRIu64 " of %s (oldest by %.0f ms)", table > 0 ? "," : "",
                figures->excused[table], chaos_table_name(table), figures->excused_ms[table]);
    fprintf(out, "\ndegraded calls: %" PRIu64 "\nviolations: %" PRIu64 "\n",
            figures->degraded_calls, verdict->total);
}

void chaos_print_json(FILE *out, const struct chaos_verdict *verdict)
{
    const struct chaos_figures *figures = &verdict->figures;
    fprintf(out, "\"operations\":{");
    for (unsigned kind = CHAOS_GET; kind < CHAOS_KINDS; kind++)
        fprintf(out, "%s\"%s\":%" PRIu64, kind > CHAOS_GET ? "," : "", chaos_kind_name(kind),
                figures->operations[kind]);
    fprintf(out, "},\"reads\":{");
    for (unsigned level = 0; level < 4; level++)
        fprintf(out, "%s\"%s\":%" PRIu64, level > 0 ? "," : "", chaos_level_name(level),
                figures->reads_of_level[level]);
    fprintf(out,
            "},\"failed_reads\":%" PRIu64 ",\"acknowledged\":%" PRIu64 ",\"conflicts\":%" PRIu64
            ",\"unknown\":%" PRIu64 ",\"degraded_calls\":%" PRIu64 ",\"degraded_writes\":%" PRIu64
            ",\"versions\":%" PRIu64,
            figures->failed_reads, figures->acknowledged, figures->conflicts, figures->unknown,
            figures->degraded_calls, figures->degraded_writes, figures->versions);
    fprintf(out,
            ",\"any_staleness_ms\":{\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"p999\":%.3f,"
            "\"max\":%.3f},\"any_reads\":%" PRIu64 ",\"any_stale\":%" PRIu64 ",\"violations\":{",
            figures->any_ms_p50, figures->any_ms_p90, figures->any_ms_p99, figures->any_ms_p999,
            figures->any_ms_max, figures->any_reads, figures->any_stale);
    bool is_first = true;
    for (int rule = 0; rule < CHAOS_RULES; rule++) {
        if (verdict->count[rule] > 0) {
            fprintf(out, "%s\"%s\":%" PRIu64, is_first ? "" : ",", chaos_rule_text(rule),
                    verdict->count[rule]);
            is_first = false;
        }
    }
    fprintf(out, "},\"violation_count\":%" PRIu64, verdict->total);
}
