/*
 * judge_sessions.c -- what a session has seen or written, it never sees older again.
 *
 * Owns:     the floors of sessions and tokens while it judges.
 * Must not know: bounds.
 * Threads:  one.
 * Fails:    only by ending the program, when memory is short.
 * Begin at: chaos_judge_sessions().
 *
 * The operations of SESSION sessions are taken in the order in which they ended.  A session is used by one thread, and a
 * token was written down before any other process could take it, so that order has every cause before its effect.
 */
#include "history_impl.h"

#include <stdlib.h>
#include <string.h>

struct floor {
    uint32_t table;
    uint32_t key;
    uint32_t index;
    bool by_write;
};

/* Of a session, or as a token carries them. */
struct floors {
    uint64_t id; /* 0: an empty place */
    struct floor *all;
    size_t count;
    size_t room;
};

struct floors_map {
    struct floors *places;
    size_t mask;
};

static struct floors_map make_map(size_t count)
{
    size_t room = 64;
    while (room < count * 2)
        room *= 2;
    return (struct floors_map){chaos_alloc(room, sizeof(struct floors)), room - 1};
}

static void free_map(struct floors_map *map)
{
    for (size_t i = 0; i <= map->mask; i++)
        free(map->places[i].all);
    free(map->places);
}

static struct floors *floors_of(struct floors_map *map, uint64_t id)
{
    size_t place = (size_t)((id * 0x9e3779b97f4a7c15u) >> 20) & map->mask;
    while (map->places[place].id != 0 && map->places[place].id != id)
        place = (place + 1) & map->mask;
    map->places[place].id = id;
    return &map->places[place];
}

static struct floor *floor_of(struct floors *floors, uint32_t table, uint32_t key)
{
    for (size_t i = 0; i < floors->count; i++)
        if (floors->all[i].table == table && floors->all[i].key == key)
            return &floors->all[i];
    if (floors->count == floors->room) {
        floors->room = floors->room > 0 ? floors->room * 2 : 16;
        floors->all = chaos_grow(floors->all, floors->room, sizeof *floors->all);
    }
    floors->all[floors->count] = (struct floor){.table = table, .key = key};
    return &floors->all[floors->count++];
}

static void raise_floor(struct floor *floor, uint32_t index, bool by_write)
{
    if (index > floor->index || (index == floor->index && by_write)) {
        floor->index = index;
        floor->by_write = by_write;
    }
}

static void add_floors(struct floors *to, const struct floors *from)
{
    for (size_t i = 0; i < from->count; i++) {
        const struct floor *floor = &from->all[i];
        raise_floor(floor_of(to, floor->table, floor->key), floor->index, floor->by_write);
    }
}

static void judge_sight(const struct chaos_history *history, struct floors *session,
                        const struct chaos_record *record, struct chaos_verdict *verdict)
{
    uint32_t index = chaos_index_of_read(history, record);
    if (index == NO_PLACE)
        return; /* judged as a phantom */
    struct floor *floor = floor_of(session, record->table, record->key);
    const struct chaos_violation back = {
        .rule = floor->by_write ? CHAOS_RULE_OWN_WRITE : CHAOS_RULE_WENT_BACK,
        .table = record->table,
        .key = record->key,
        .record = record,
        .got = index,
        .wanted = floor->index,
    };
    if (index < floor->index) {
        chaos_violate(verdict, &back);
        return;
    }
    /* An absence may have been any of those from the floor on: the first is all that is certain. */
    const struct span *span = &history->spans[record->table][record->key];
    const struct chaos_version *versions = &history->versions[span->first];
    for (uint32_t i = floor->index; record->stamp == 0 && i < index; i++)
        if (chaos_is_absent(&versions[i], i))
            index = i;
    raise_floor(floor, index, false);
}

static void judge_one(const struct chaos_history *history, struct floors_map *sessions,
                      struct floors_map *tokens, const struct chaos_record *record,
                      struct chaos_verdict *verdict)
{
    struct floors *session = floors_of(sessions, record->session);
    if (record->kind == CHAOS_TOKEN) {
        add_floors(floors_of(tokens, (uint64_t)record->stamp), session);
    } else if (record->kind == CHAOS_FOLLOW) {
        add_floors(session, floors_of(tokens, (uint64_t)record->stamp));
    } else if (chaos_is_read(record)) {
        judge_sight(history, session, record, verdict);
    } else if (chaos_is_acked(record) && record->kind != CHAOS_RAW) {
        const uint32_t index = chaos_index_of_write(history, record);
        if (index != NO_PLACE)
            raise_floor(floor_of(session, record->table, record->key), index, true);
    }
}

static int compare_ended(const void *left, const void *right)
{
    const struct chaos_record *a = *(const struct chaos_record *const *)left;
    const struct chaos_record *b = *(const struct chaos_record *const *)right;
    return (a->ended_ns > b->ended_ns) - (a->ended_ns < b->ended_ns);
}

void chaos_judge_sessions(const struct chaos_history *history,
                          const struct chaos_evidence *evidence, struct chaos_verdict *verdict)
{
    const struct chaos_record **records = chaos_alloc(evidence->record_count, sizeof *records);
    size_t count = 0;
    for (size_t i = 0; i < evidence->record_count; i++) {
        const struct chaos_record *record = evidence->records[i];
        if (record->level == TEARS_READ_SESSION && chaos_has_answer(record) &&
            record->kind != CHAOS_FINAL)
            records[count++] = record;
    }
    qsort(records, count, sizeof *records, compare_ended);
    struct floors_map sessions = make_map(count);
    struct floors_map tokens = make_map(count);
    for (size_t i = 0; i < count; i++)
        judge_one(history, &sessions, &tokens, records[i], verdict);
    free_map(&sessions);
    free_map(&tokens);
    free(records);
}
