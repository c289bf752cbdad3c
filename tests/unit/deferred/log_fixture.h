/*
 * log_fixture.h -- a log of pending notes in a folder of its own, for tests of pending writes.
 */
#ifndef TESTS_UNIT_DEFERRED_LOG_FIXTURE_H
#define TESTS_UNIT_DEFERRED_LOG_FIXTURE_H

#include "deferred/pending.h"
#include "support/temp_folder.h"
#include "unit/deferred/notes.h"

#include "base/alloc.h"

struct log_fixture {
    struct temp_folder folder;
    char path[96];
    uint64_t durability;
    struct t3_pending_limits limits;
    void (*wake)(void *owner);
    void *owner;
    struct t3_journal *journal;
    struct t3_pending *pending;
    struct tears_schema *schema;
    struct t3_pending_table *notes;
    struct t3_arena arena;
    struct tears_error error;
};

static const struct t3_deadline log_never = {INT64_MAX};

static inline void log_check(const struct log_fixture *log, tears_status status)
{
    if (status != TEARS_OK)
        print_error("%s\n", log->error.message);
    assert_int_equal(status, TEARS_OK);
}

static inline struct t3_pending_table *log_table(struct log_fixture *log,
                                                 struct tears_schema *schema)
{
    struct t3_pending_table *table;
    log_check(log,
              t3_pending_table_open(log->pending, schema, false, log_never, &table, &log->error));
    return table;
}

/* Opens the log without any table. */
static inline void log_open_bare(struct log_fixture *log)
{
    const struct t3_pending_flight *flights;
    size_t count;
    const struct t3_journal_options options = {.path = tears_str_c(log->path),
                                               .durability = log->durability};
    log_check(log, t3_journal_open(&options, log_never, &log->journal, &log->error));
    const struct t3_pending_options pending = {
        .journal = log->journal, .limits = log->limits, .wake = log->wake, .owner = log->owner};
    log_check(log, t3_pending_new(&pending, &log->pending, &log->error));
    log_check(log, t3_pending_recover(log->pending, &log->arena, log_never, &flights, &count,
                                      &log->error));
    assert_int_equal(count, 0);
}

static inline void log_open(struct log_fixture *log)
{
    log_open_bare(log);
    log->notes = log_table(log, log->schema);
}

static inline void log_close(struct log_fixture *log)
{
    t3_pending_free(log->pending);
    t3_journal_free(log->journal);
    log->pending = NULL;
    log->journal = NULL;
}

static inline void log_make(struct log_fixture *log, uint64_t durability)
{
    memset(log, 0, sizeof *log);
    temp_folder_make(&log->folder);
    (void)snprintf(log->path, sizeof log->path, "%s/log", log->folder.path);
    log->durability = durability;
    log->schema = notes_schema("notes", TEARS_ON_CONFLICT_UPDATE, true);
}

static inline void log_remove(struct log_fixture *log)
{
    log_close(log);
    tears_schema_free(log->schema);
    t3_arena_done(&log->arena);
    temp_folder_remove(&log->folder);
}

/* ---- writes of one note ---- */

struct log_write {
    uint8_t kind;
    int64_t id, a; /* column a, of what is not a deletion */
    uint64_t seq;  /* the pending row it was made from */
    bool has_base;
    int64_t base;
};

static inline tears_status log_save_in(struct log_fixture *log, struct t3_pending_table *table,
                                       const struct log_write *write,
                                       struct t3_pending_outcome *outcome)
{
    const struct tears_schema *schema = t3_pending_schema(table);
    struct tears_value storage;
    const struct t3_key key = note_key(schema, write->id, &storage);
    const struct note known = {true, {write->id, 0, NOTE_UNSET, NOTE_UNSET, 0, write->base}};
    const struct t3_cell cells[] = {{NOTE_ID, tears_int(write->id)}, {NOTE_A, tears_int(write->a)}};
    const bool has_key = write->kind != T3_RECORD_UPDATE;
    const struct t3_defer defer = {.kind = write->kind,
                                   .key = &key,
                                   .cells = has_key ? cells : cells + 1,
                                   .cell_count = write->kind == T3_RECORD_DELETE ? 0
                                                 : has_key                       ? 2
                                                                                 : 1,
                                   .has_base = write->has_base,
                                   .base = write->base,
                                   .pending_seq = write->seq,
                                   .from = note_row(schema, &known, &log->arena)};
    return t3_pending_save(table, &defer, 1, &log->arena, log_never, outcome, &log->error);
}

/* Saves it; gives its sequence number. */
static inline uint64_t log_save(struct log_fixture *log, struct log_write write)
{
    struct t3_pending_outcome outcome;
    log_check(log, log_save_in(log, log->notes, &write, &outcome));
    assert_int_equal(outcome.status, TEARS_OK);
    return outcome.seq;
}

/* What is read of column a; NOTE_UNSET: nothing is pending; -2: a deletion is. */
static inline int64_t log_read(struct log_fixture *log, int64_t id)
{
    struct tears_value storage;
    const struct t3_key key = note_key(log->schema, id, &storage);
    enum t3_pending_answer answer;
    struct t3_pending_hit hit;
    assert_int_equal(t3_pending_look(log->notes, &key, &log->arena, &answer, &hit), TEARS_OK);
    if (answer != T3_PENDING_ROW)
        return answer == T3_PENDING_NOTHING ? NOTE_UNSET : -2;
    const struct tears_value value = t3_row_value(hit.row, &log->schema->layout, NOTE_A);
    return note_number(&value);
}

/* ---- flights ---- */

static inline size_t log_collect(struct log_fixture *log, struct t3_pending_item **items)
{
    size_t count;
    assert_int_equal(t3_pending_collect(log->pending, NULL, 0, 0, 1000, &log->arena, items, &count),
                     TEARS_OK);
    return count;
}

static inline uint64_t log_fly(struct log_fixture *log, const struct t3_pending_item *items,
                               size_t count)
{
    uint64_t batch;
    log_check(log, t3_pending_fly(log->pending, items, count, log_never, &batch, &log->error));
    return batch;
}

static inline tears_status log_try_end(struct log_fixture *log, uint64_t batch,
                                       const struct t3_pending_item *item,
                                       enum t3_pending_fate fate, const struct note *landed)
{
    const struct tears_schema *schema = t3_pending_schema(item->table);
    const struct t3_pending_end end = {.ref = {item->record.id, item->record.seq},
                                       .table = item->table,
                                       .fate = fate,
                                       .row = landed != NULL ? note_row(schema, landed, &log->arena)
                                                             : NULL,
                                       .version = landed != NULL ? landed->cells[NOTE_VERSION] : 0,
                                       .sqlstate = TEARS_STR("23514"),
                                       .message = TEARS_STR("refused")};
    return t3_pending_end(log->pending, batch, &end, 1, log_never, &log->error);
}

static inline void log_end(struct log_fixture *log, uint64_t batch,
                           const struct t3_pending_item *item, enum t3_pending_fate fate,
                           const struct note *landed)
{
    log_check(log, log_try_end(log, batch, item, fate, landed));
}

static inline struct t3_pending_stats log_stats(struct log_fixture *log)
{
    struct t3_pending_stats stats;
    t3_pending_stats(log->pending, NULL, &stats);
    return stats;
}

#endif
