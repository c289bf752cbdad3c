/*
 * judge.c -- holds every operation against the history.
 *
 * Owns:     nothing; the history is the caller's in the end.
 * Must not know: where the evidence comes from.
 * Threads:  one.
 * Fails:    only by ending the program, when memory is short.
 * Begin at: chaos_judge().
 */
#include "history_build.h"

#include <stdlib.h>
#include <string.h>

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t after(uint64_t ns, uint64_t ms)
{
    return ns == CHAOS_NEVER ? CHAOS_NEVER : ns + ms * 1000000u;
}

const char *chaos_rule_text(enum chaos_rule rule)
{
    static const char *const texts[CHAOS_RULES] = {
        "an acknowledged write is not in the database",
        "a write that was refused is in the database",
        "a write replaced another row than the one it was based on",
        "one write is twice in the database",
        "a read gave what was never committed under its key",
        "a read gave a write that had not begun",
        "a STRONG read gave an old row",
        "a read gave a row older than its bound",
        "a session did not read its own write",
        "a session read something older than it had seen",
        "after everything came to rest, a cache differs from L3",
        "after everything came to rest, a read failed",
        "the harness contradicts itself",
    };
    return rule < CHAOS_RULES ? texts[rule] : "?";
}

void chaos_violate(struct chaos_verdict *verdict, const struct chaos_violation *violation)
{
    /* The first of each kind are kept, so that one kind does not hide the others. */
    if (verdict->count[violation->rule] < 8 && verdict->kept_count < CHAOS_VIOLATIONS_KEPT)
        verdict->kept[verdict->kept_count++] = *violation;
    verdict->count[violation->rule]++;
    verdict->total++;
}

/* ---- when a write is due ---- */

static uint64_t due_of(const struct chaos_history *history, uint32_t table,
                       const struct chaos_version *version)
{
    if (version->acked_ns != CHAOS_NEVER && !version->is_degraded && !version->is_raw)
        return version->acked_ns;
    switch (table) {
    case CHAOS_STRICT:
        return after(version->at_ns, history->rules.lease_ms);
    case CHAOS_OUTBOX:
        return after(version->at_ns, history->rules.lag_ms);
    default:
        return CHAOS_NEVER;
    }
}

static void set_dues(const struct chaos_history *history, uint32_t table, uint32_t key)
{
    const struct span *span = &history->spans[table][key];
    struct chaos_version *versions = &history->versions[span->first];
    uint64_t due = CHAOS_NEVER;
    uint64_t known = CHAOS_NEVER;
    uint64_t clean = CHAOS_NEVER;
    for (uint32_t i = span->count; i-- > 0;) {
        struct chaos_version *version = &versions[i];
        version->due_after = due;
        version->known_after = known;
        version->clean_after = clean;
        version->due_ns = due_of(history, table, version);
        due = earlier(due, version->due_ns);
        known = earlier(known, earlier(version->acked_ns, version->seen_ns));
        clean =
            earlier(clean, version->acked_ns != CHAOS_NEVER ? version->acked_ns : version->at_ns);
    }
}

/* ---- what reads have seen ---- */

static void note_sight(struct chaos_history *history, const struct chaos_record *record,
                       struct chaos_verdict *verdict)
{
    const uint32_t index = chaos_index_of_read(history, record);
    struct chaos_violation violation = {
        .table = record->table, .key = record->key, .record = record, .got = index};
    if (index == NO_PLACE) {
        violation.rule = CHAOS_RULE_PHANTOM;
        chaos_violate(verdict, &violation);
        return;
    }
    struct chaos_version *version =
        &history->versions[history->spans[record->table][record->key].first + index];
    if (record->stamp == 0)
        return; /* which absence it was is not certain */
    version->seen_ns = earlier(version->seen_ns, record->ended_ns);
    violation.rule = CHAOS_RULE_FUTURE;
    if (version->began_ns > record->ended_ns)
        chaos_violate(verdict, &violation);
}

/* The oldest version that a read of this age may give. */
static uint32_t oldest_allowed(const struct chaos_history *history,
                               const struct chaos_record *record, bool is_strong)
{
    const struct span *span = &history->spans[record->table][record->key];
    const struct chaos_version *versions = &history->versions[span->first];
    const uint64_t slack_ms = record->level == TEARS_READ_STRONG ? 0 : history->rules.slack_ms;
    uint32_t index = span->count - 1;
    while (index > 0 && !(is_strong ? versions[index - 1].known_after < record->began_ns
                                    : after(versions[index - 1].due_after,
                                            record->bound_ms + slack_ms) < record->began_ns))
        index--;
    return index;
}

struct samples {
    uint32_t *us;
    size_t count;
    size_t room;
};

static void add_sample(struct samples *samples, uint64_t ns)
{
    if (samples->count == samples->room) {
        samples->room = samples->room > 0 ? samples->room * 2 : 4096;
        samples->us = chaos_grow(samples->us, samples->room, sizeof *samples->us);
    }
    const uint64_t us = ns / 1000;
    samples->us[samples->count++] = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

/* How old the answer was, and whether only an excuse saved it. */
static void measure(const struct chaos_record *record, const struct chaos_version *version,
                    struct samples *samples, struct chaos_figures *figures)
{
    const uint64_t began_ns = record->began_ns;
    if (record->level == TEARS_READ_ANY && record->kind != CHAOS_FINAL) {
        const uint64_t late_ns = version->due_after < began_ns ? began_ns - version->due_after : 0;
        figures->any_reads++;
        figures->any_stale += late_ns > 0;
        add_sample(samples, late_ns);
    }
    if (record->level != TEARS_READ_STRONG && version->due_after > version->clean_after &&
        after(version->clean_after, record->bound_ms) < began_ns) {
        const double ms = (double)(began_ns - version->clean_after) / 1e6;
        figures->excused[record->table]++;
        if (ms > figures->excused_ms[record->table])
            figures->excused_ms[record->table] = ms;
    }
}

static void judge_read(const struct chaos_history *history, const struct chaos_record *record,
                       struct samples *samples, struct chaos_verdict *verdict)
{
    const uint32_t index = chaos_index_of_read(history, record);
    if (index == NO_PLACE)
        return;
    const struct span *span = &history->spans[record->table][record->key];
    const struct chaos_version *version = &history->versions[span->first + index];
    struct chaos_violation violation = {
        .table = record->table, .key = record->key, .record = record, .got = index};
    measure(record, version, samples, &verdict->figures);
    if (record->kind == CHAOS_FINAL) {
        violation.rule = CHAOS_RULE_NOT_EQUAL;
        violation.wanted = span->count - 1;
        if (index + 1 < span->count && version->due_after != CHAOS_NEVER)
            chaos_violate(verdict, &violation);
        return;
    }
    const bool is_strong = record->level == TEARS_READ_STRONG;
    violation.rule = is_strong ? CHAOS_RULE_STRONG : CHAOS_RULE_BOUND;
    violation.wanted = oldest_allowed(history, record, is_strong);
    if (index < violation.wanted)
        chaos_violate(verdict, &violation);
}

/* ---- totals ---- */

static void count_operation(const struct chaos_record *record, struct chaos_figures *figures)
{
    if (record->kind < CHAOS_KINDS)
        figures->operations[record->kind]++;
    figures->degraded_calls += record->degraded != 0;
    if (chaos_is_read(record)) {
        figures->reads_of_level[record->level & 3]++;
        figures->failed_reads += !chaos_has_answer(record);
        if (chaos_has_answer(record))
            figures->reads_of_tier[record->tier & 3]++;
    }
    if (!chaos_is_write(record))
        return;
    const bool is_acked = chaos_is_acked(record);
    figures->acknowledged += is_acked;
    figures->degraded_writes += is_acked && (record->degraded & TEARS_DEGRADED_L2_WRITE) != 0;
    figures->conflicts += record->state == CHAOS_DONE && record->status == TEARS_CONFLICT;
    figures->unknown += record->state != CHAOS_DONE || record->status == TEARS_TIMEOUT ||
                        record->status == TEARS_UNAVAILABLE;
}

static int compare_us(const void *left, const void *right)
{
    const uint32_t a = *(const uint32_t *)left;
    const uint32_t b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

static double share(const struct samples *samples, double part)
{
    if (samples->count == 0)
        return 0;
    return samples->us[(size_t)((double)(samples->count - 1) * part)] / 1000.0;
}

static void finish_figures(const struct chaos_history *history, struct samples *samples,
                           struct chaos_figures *figures)
{
    if (samples->count > 0)
        qsort(samples->us, samples->count, sizeof *samples->us, compare_us);
    figures->any_ms_p50 = share(samples, 0.5);
    figures->any_ms_p90 = share(samples, 0.9);
    figures->any_ms_p99 = share(samples, 0.99);
    figures->any_ms_p999 = share(samples, 0.999);
    figures->any_ms_max = share(samples, 1.0);
    for (uint32_t table = 0; table < CHAOS_TABLES; table++)
        for (uint32_t key = 0; key < CHAOS_KEYS_MAX; key++) {
            figures->versions += history->spans[table][key].count - 1;
            figures->keys += history->spans[table][key].count > 1;
        }
}

/* The audit has to end with what the table holds, every change has to be of somebody's. */
static void judge_harness(const struct chaos_history *history,
                          const struct chaos_evidence *evidence, struct chaos_verdict *verdict)
{
    struct chaos_violation violation = {.rule = CHAOS_RULE_HARNESS};
    int64_t(*stamps)[CHAOS_KEYS_MAX] = chaos_alloc(CHAOS_TABLES, sizeof *stamps);
    for (size_t i = 0; i < evidence->row_count; i++)
        stamps[evidence->rows[i].table][evidence->rows[i].key] = evidence->rows[i].stamp;
    for (violation.table = 0; violation.table < CHAOS_TABLES; violation.table++)
        for (violation.key = 0; violation.key < CHAOS_KEYS_MAX; violation.key++) {
            const struct span *span = &history->spans[violation.table][violation.key];
            violation.got = span->count - 1;
            const struct chaos_version *last = &history->versions[span->first + violation.got];
            const bool is_unwritten = last->stamp != 0 && !last->has_writer;
            if ((evidence->has_rows && last->stamp != stamps[violation.table][violation.key]) ||
                is_unwritten)
                chaos_violate(verdict, &violation);
        }
    free(stamps);
}

struct chaos_history *chaos_judge(const struct chaos_evidence *evidence,
                                  struct chaos_verdict *verdict_out)
{
    struct chaos_verdict *verdict = verdict_out;
    struct samples samples = {0};
    memset(verdict, 0, sizeof *verdict);
    struct chaos_history *history = chaos_history_build(evidence, verdict);
    chaos_match_writers(history, evidence, verdict);
    for (size_t i = 0; i < evidence->record_count; i++) {
        const struct chaos_record *record = evidence->records[i];
        count_operation(record, &verdict->figures);
        if (chaos_is_read(record) && chaos_has_answer(record))
            note_sight(history, record, verdict);
        const struct chaos_violation unanswered = {.rule = CHAOS_RULE_UNANSWERED,
                                                   .table = record->table,
                                                   .key = record->key,
                                                   .record = record};
        if (record->kind == CHAOS_FINAL && !chaos_has_answer(record))
            chaos_violate(verdict, &unanswered);
    }
    for (uint32_t table = 0; table < CHAOS_TABLES; table++)
        for (uint32_t key = 0; key < CHAOS_KEYS_MAX; key++)
            set_dues(history, table, key);
    for (size_t i = 0; i < evidence->record_count; i++)
        if (chaos_is_read(evidence->records[i]) && chaos_has_answer(evidence->records[i]))
            judge_read(history, evidence->records[i], &samples, verdict);
    chaos_judge_sessions(history, evidence, verdict);
    judge_harness(history, evidence, verdict);
    finish_figures(history, &samples, &verdict->figures);
    free(samples.us);
    return history;
}
