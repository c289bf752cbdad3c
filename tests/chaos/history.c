/*
 * history.c -- builds the sequence of states of every key, and finds who wrote each.
 *
 * Owns:     the history.
 * Must not know: sessions, and how anything is printed.
 * Threads:  one.
 * Fails:    only by ending the program, when memory is short.
 * Begin at: chaos_judge() in judge.c; here chaos_history_build().
 *
 * A delete stores nothing that would tell whose it is: an acknowledged delete is given the first delete in the audit that
 * was noted while it was under way and that no other has.
 */
#include "history_build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *chaos_alloc(size_t count, size_t size)
{
    void *memory = calloc(count > 0 ? count : 1, size);
    if (memory == NULL) {
        fprintf(stderr, "chaos: out of memory\n");
        abort();
    }
    return memory;
}

void *chaos_grow(void *memory, size_t count, size_t size)
{
    void *grown = reallocarray(memory, count > 0 ? count : 1, size);
    if (grown == NULL) {
        fprintf(stderr, "chaos: out of memory\n");
        abort();
    }
    return grown;
}

void chaos_history_free(struct chaos_history *history)
{
    if (history == NULL)
        return;
    free(history->versions);
    free(history->table_of);
    free(history->key_of);
    free(history->places);
    free(history);
}

const struct chaos_version *chaos_history_of(const struct chaos_history *history, uint32_t table,
                                             uint32_t key, uint32_t *count_out)
{
    const struct span *span = &history->spans[table][key];
    *count_out = span->count;
    return &history->versions[span->first];
}

/* ---- stamps ---- */

static size_t slot_of(const struct chaos_history *history, int64_t stamp)
{
    return (size_t)(((uint64_t)stamp * 0x9e3779b97f4a7c15u) >> 20) & history->place_mask;
}

static struct place *find_place(const struct chaos_history *history, int64_t stamp)
{
    size_t slot = slot_of(history, stamp);
    while (history->places[slot].stamp != 0 && history->places[slot].stamp != stamp)
        slot = (slot + 1) & history->place_mask;
    return &history->places[slot];
}

static void index_stamps(struct chaos_history *history, struct chaos_verdict *verdict)
{
    size_t room = 64;
    while (room < history->version_count * 2)
        room *= 2;
    history->places = chaos_alloc(room, sizeof *history->places);
    history->place_mask = room - 1;
    for (uint32_t i = 0; i < history->version_count; i++) {
        if (history->versions[i].stamp == 0)
            continue;
        struct place *place = find_place(history, history->versions[i].stamp);
        if (place->stamp == 0) {
            *place = (struct place){history->versions[i].stamp, i, NO_PLACE};
            continue;
        }
        place->again = i;
        const struct chaos_violation twice = {
            .rule = CHAOS_RULE_TWICE,
            .table = history->table_of[i],
            .key = history->key_of[i],
            .got = i - history->spans[history->table_of[i]][history->key_of[i]].first};
        chaos_violate(verdict, &twice);
    }
}

uint32_t chaos_place_of(const struct chaos_history *history, const struct chaos_record *record)
{
    if (record->stamp == 0)
        return NO_PLACE;
    const struct place *place = find_place(history, record->stamp);
    if (place->stamp == 0)
        return NO_PLACE;
    uint32_t found = place->version;
    if (place->again != NO_PLACE && history->versions[found].version != record->version)
        found = place->again;
    const bool is_here =
        history->table_of[found] == record->table && history->key_of[found] == record->key;
    return is_here ? found : NO_PLACE;
}

uint32_t chaos_index_of_write(const struct chaos_history *history,
                              const struct chaos_record *record)
{
    const struct span *span = &history->spans[record->table][record->key];
    if (record->kind != CHAOS_DELETE) {
        const uint32_t place = chaos_place_of(history, record);
        return place != NO_PLACE ? place - span->first : NO_PLACE;
    }
    for (uint32_t i = 1; i < span->count; i++)
        if (history->versions[span->first + i].writer == record)
            return i;
    return NO_PLACE;
}

uint32_t chaos_index_of_read(const struct chaos_history *history, const struct chaos_record *record)
{
    const struct span *span = &history->spans[record->table][record->key];
    const struct chaos_version *versions = &history->versions[span->first];
    if (record->stamp != 0) {
        const uint32_t place = chaos_place_of(history, record);
        if (place == NO_PLACE || history->versions[place].version != record->version)
            return NO_PLACE;
        return place - span->first;
    }
    const uint64_t latest_ns = record->ended_ns + history->rules.slack_ms * 1000000u;
    for (uint32_t i = span->count - 1; i > 0; i--)
        if (versions[i].is_delete && versions[i].at_ns <= latest_ns)
            return i;
    return 0;
}

/* ---- versions ---- */

static void count_versions(struct chaos_history *history, const struct chaos_evidence *evidence)
{
    for (size_t i = 0; i < evidence->change_count; i++)
        history->spans[evidence->changes[i].table][evidence->changes[i].key].count++;
    uint32_t first = 0;
    for (uint32_t table = 0; table < CHAOS_TABLES; table++)
        for (uint32_t key = 0; key < CHAOS_KEYS_MAX; key++) {
            struct span *span = &history->spans[table][key];
            const uint32_t count = span->count + 1; /* and "not there yet" */
            *span = (struct span){.first = first, .count = 1};
            first += count;
        }
    history->version_count = first;
}

static void take_changes(struct chaos_history *history, const struct chaos_evidence *evidence)
{
    history->versions = chaos_alloc(history->version_count, sizeof *history->versions);
    history->table_of = chaos_alloc(history->version_count, sizeof *history->table_of);
    history->key_of = chaos_alloc(history->version_count, sizeof *history->key_of);
    for (size_t i = 0; i < history->version_count; i++)
        history->versions[i].acked_ns = history->versions[i].seen_ns = CHAOS_NEVER;
    for (size_t i = 0; i < evidence->change_count; i++) {
        const struct chaos_change *change = &evidence->changes[i];
        struct span *span = &history->spans[change->table][change->key];
        const uint32_t place = span->first + span->count++;
        history->table_of[place] = change->table;
        history->key_of[place] = change->key;
        history->versions[place].stamp = change->is_delete ? 0 : change->stamp;
        history->versions[place].version = change->version;
        history->versions[place].at_ns = change->at_ns;
        history->versions[place].is_delete = change->is_delete;
        history->versions[place].was_there = change->was_there;
    }
}

struct chaos_history *chaos_history_build(const struct chaos_evidence *evidence,
                                          struct chaos_verdict *verdict)
{
    struct chaos_history *history = chaos_alloc(1, sizeof *history);
    history->rules = evidence->rules;
    count_versions(history, evidence);
    take_changes(history, evidence);
    index_stamps(history, verdict);
    return history;
}

/* ---- writers ---- */

static void judge_base(const struct chaos_history *history, const struct chaos_record *record,
                       uint32_t place, struct chaos_verdict *verdict)
{
    const struct span *span = &history->spans[record->table][record->key];
    const uint32_t index = place - span->first;
    const struct chaos_version *before = &history->versions[place - 1];
    const bool is_right = record->kind == CHAOS_UPDATE   ? before->stamp == record->base
                          : record->kind == CHAOS_INSERT ? chaos_is_absent(before, index - 1)
                                                         : true;
    const struct chaos_violation overwrote = {
        .rule = CHAOS_RULE_OVERWROTE,
        .table = record->table,
        .key = record->key,
        .record = record,
        .got = index,
        .wanted = index - 1,
    };
    if (!is_right)
        chaos_violate(verdict, &overwrote);
}

static bool is_refused(const struct chaos_record *record)
{
    return record->state == CHAOS_DONE &&
           (record->status == TEARS_CONFLICT || record->status == TEARS_INVALID ||
            record->status == TEARS_NOT_FOUND || record->status == TEARS_MISUSE);
}

/* A write that is twice in the audit is judged for that, and is nobody else's. */
static void own_again(struct chaos_history *history, int64_t stamp)
{
    const struct place *place = find_place(history, stamp);
    if (place->stamp != 0 && place->again != NO_PLACE)
        history->versions[place->again].has_writer = true;
}

static void match_write(struct chaos_history *history, const struct chaos_record *record,
                        struct chaos_verdict *verdict)
{
    const uint32_t place = chaos_place_of(history, record);
    struct chaos_violation violation = {
        .table = record->table, .key = record->key, .record = record};
    if (place == NO_PLACE) {
        violation.rule = CHAOS_RULE_LOST;
        if (chaos_is_acked(record))
            chaos_violate(verdict, &violation);
        return;
    }
    struct chaos_version *version = &history->versions[place];
    violation.got = place - history->spans[record->table][record->key].first;
    violation.rule = CHAOS_RULE_REFUSED;
    if (is_refused(record))
        chaos_violate(verdict, &violation);
    version->has_writer = true;
    version->writer = record;
    version->began_ns = record->began_ns;
    version->is_raw = record->kind == CHAOS_RAW;
    own_again(history, record->stamp);
    verdict->figures.unknown_committed += !chaos_is_acked(record);
    if (!chaos_is_acked(record))
        return;
    version->acked_ns = record->ended_ns;
    version->is_degraded = (record->degraded & TEARS_DEGRADED_L2_WRITE) != 0;
    judge_base(history, record, place, verdict);
}

/* By the end of the call: who ended first takes the first delete. */
static int compare_ended(const void *left, const void *right)
{
    const struct chaos_record *a = *(const struct chaos_record *const *)left;
    const struct chaos_record *b = *(const struct chaos_record *const *)right;
    return (a->ended_ns > b->ended_ns) - (a->ended_ns < b->ended_ns);
}

static void match_delete(struct chaos_history *history, const struct chaos_record *record,
                         struct chaos_verdict *verdict)
{
    const struct span *span = &history->spans[record->table][record->key];
    const uint64_t slack_ns = history->rules.slack_ms * 1000000u;
    for (uint32_t i = 1; i < span->count; i++) {
        struct chaos_version *version = &history->versions[span->first + i];
        if (!version->is_delete || version->writer != NULL ||
            version->at_ns + slack_ns < record->began_ns ||
            version->at_ns > record->ended_ns + slack_ns)
            continue;
        version->has_writer = true;
        version->writer = record;
        version->began_ns = record->began_ns;
        version->acked_ns = record->ended_ns;
        version->is_degraded = (record->degraded & TEARS_DEGRADED_L2_WRITE) != 0;
        return;
    }
    const struct chaos_violation lost = {.rule = CHAOS_RULE_LOST,
                                         .table = record->table,
                                         .key = record->key,
                                         .record = record,
                                         .got = span->count - 1};
    chaos_violate(verdict, &lost);
}

void chaos_match_writers(struct chaos_history *history, const struct chaos_evidence *evidence,
                         struct chaos_verdict *verdict)
{
    const struct chaos_record **deletes = chaos_alloc(evidence->record_count, sizeof *deletes);
    size_t delete_count = 0;
    for (size_t i = 0; i < evidence->record_count; i++) {
        const struct chaos_record *record = evidence->records[i];
        if (!chaos_is_write(record))
            continue;
        if (record->kind != CHAOS_DELETE)
            match_write(history, record, verdict);
        else if (chaos_is_acked(record))
            deletes[delete_count++] = record;
    }
    qsort(deletes, delete_count, sizeof *deletes, compare_ended);
    for (size_t i = 0; i < delete_count; i++)
        match_delete(history, deletes[i], verdict);
    free(deletes);
}
