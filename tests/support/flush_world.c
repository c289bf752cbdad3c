/*
 * flush_world.c -- a journal, an index and a flusher on a durable tier that a test brings.
 */
#include "support/flush_world.h"

#include "base/fail.h"
#include "base/str.h"
#include "base/thread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { WAIT_MS = 20000 };
enum { ID, REF, NOTE, CODE, VERSION };

#define COLUMNS(ref)                                                                           \
    " (id BIGINT NOT NULL PRIMARY KEY, ref BIGINT " ref ", note TEXT NOT NULL CHECK (note <> " \
    "'bad'), code TEXT UNIQUE, row_version BIGINT NOT NULL)"

const char *const flush_world_sql[] = {"CREATE TABLE parents" COLUMNS(""),
                                       "CREATE TABLE children" COLUMNS("REFERENCES parents (id)"),
                                       "CREATE TABLE nodes" COLUMNS("REFERENCES nodes (id)"), NULL};

static void must(const struct flush_world *world, tears_status status)
{
    if (status != TEARS_OK)
        fail_msg("%s: %s", tears_status_name(status), world->error.message);
}

static void arena_reset(struct flush_world *world)
{
    t3_arena_reset(&world->arena);
}

/* ---- hooks ------------------------------------------------------------------------------------ */

static struct world_table *find(struct flush_world *world, struct tears_str name)
{
    for (size_t i = 0; i < WORLD_TABLES; i++)
        if (world->tables[i].name != NULL && t3_str_is(name, world->tables[i].name))
            return &world->tables[i];
    return NULL;
}

static tears_status open_table(struct flush_world *world, struct world_table *table)
{
    if (table->pending != NULL)
        return TEARS_OK;
    return t3_pending_table_open(world->pending, table->schema,
                                 table->merger.policy == TEARS_ON_STALE_MERGE,
                                 t3_deadline_in_ms(WAIT_MS), &table->pending, &world->error);
}

static tears_status hook_table(void *owner, struct tears_str name, struct t3_flush_table *table_out,
                               struct tears_error *error_out)
{
    struct flush_world *world = owner;
    struct world_table *table = find(world, name);
    if (table == NULL || table->is_hidden)
        return t3_fail(error_out, TEARS_NOT_FOUND, "test", "no table " T3_STR_FMT " is known",
                       T3_STR_ARG(name));
    T3_TRY(open_table(world, table));
    *table_out = (struct t3_flush_table){
        .pending = table->pending, .l3 = world->l3, .merger = table->merger, .collection = table};
    return TEARS_OK;
}

static uint64_t hook_ticket(void *owner, const struct t3_flush_table *table,
                            const struct t3_key *key)
{
    (void)owner, (void)table;
    return key->hash;
}

static void expect_pending(const struct t3_flush_table *table, const struct t3_record *record,
                           bool wanted)
{
    struct t3_arena arena = {0};
    struct tears_value storage[1];
    struct t3_key key;
    struct t3_pending_hit hit;
    enum t3_pending_answer answer = T3_PENDING_NOTHING;
    t3_key_of_row(t3_pending_schema(table->pending), record->row, storage, &key);
    const tears_status status = t3_pending_look(table->pending, &key, &arena, &answer, &hit);
    t3_arena_done(&arena);
    if (status != TEARS_NO_MEMORY) /* a test may have made this allocation fail */
        assert_int_equal(answer != T3_PENDING_NOTHING, wanted);
}

static void hook_landed(void *owner, const struct t3_flush_table *table,
                        const struct t3_flush_landed *landed, size_t count, uint64_t asked_ms)
{
    (void)owner;
    struct world_table *of = table->collection;
    assert_true(asked_ms > 0);
    for (size_t i = 0; i < count; i++) {
        struct tears_value storage[1];
        struct t3_key key;
        t3_key_of_row(of->schema, landed[i].record->row, storage, &key);
        assert_true(landed[i].ticket == key.hash);
        expect_pending(table, landed[i].record, true);
    }
    of->landed += count;
}

static void hook_refused(void *owner, const struct t3_flush_table *table,
                         const struct t3_record *const *records, size_t count)
{
    (void)owner;
    struct world_table *of = table->collection;
    for (size_t i = 0; i < count; i++)
        expect_pending(table, records[i], false);
    of->refused += count;
}

static void take_log(void *owner, uint64_t level, const char *origin, const char *message)
{
    struct flush_world *world = owner;
    (void)level, (void)origin;
    if (strstr(message, "refused for good") != NULL)
        (void)snprintf(world->last_refusal, sizeof world->last_refusal, "%s", message);
}

/* ---- life --------------------------------------------------------------------------------------- */

static void open_parts(struct flush_world *world)
{
    const struct t3_journal_options journal = {
        .path = tears_str_c(world->path),
        .durability = world->path[0] != '\0' ? TEARS_DURABLE_NORMAL : TEARS_DURABLE_NONE,
        .take_over_ms = world->take_over_ms,
        .log = &world->log};
    const struct t3_flush_hooks hooks = {.table = hook_table,
                                         .ticket = hook_ticket,
                                         .landed = hook_landed,
                                         .refused = hook_refused,
                                         .owner = world};
    struct t3_arena arena = {0};
    const struct t3_pending_flight *flights = NULL;
    size_t count = 0;
    const struct t3_deadline deadline = t3_deadline_in_ms(WAIT_MS);
    tears_status status = TEARS_CONFLICT;
    while (status == TEARS_CONFLICT && !t3_deadline_passed(deadline)) {
        status = t3_journal_open(&journal, deadline, &world->journal, &world->error);
        if (status == TEARS_CONFLICT)
            t3_pause_us(50000);
    }
    must(world, status);
    const struct t3_pending_options pending = {.journal = world->journal, .log = &world->log};
    must(world, t3_pending_new(&pending, &world->pending, &world->error));
    const struct t3_flush_options flush = {.pending = world->pending,
                                           .journal = world->journal,
                                           .hooks = hooks,
                                           .batch_rows_max = world->batch_rows_max,
                                           .log = &world->log};
    must(world, t3_flush_new(&flush, &world->flush, &world->error));
    must(world, t3_pending_recover(world->pending, &arena, t3_deadline_in_ms(WAIT_MS), &flights,
                                   &count, &world->error));
    must(world, t3_flush_adopt(world->flush, flights, count));
    t3_arena_done(&arena);
}

struct world_table *flush_world_table(struct flush_world *world, const char *name)
{
    struct world_table *table = NULL;
    for (size_t i = 0; i < WORLD_TABLES && table == NULL; i++)
        if (world->tables[i].name == NULL)
            table = &world->tables[i];
    assert_non_null(table);
    table->name = name;
    return table;
}

static void describe(struct flush_world *world, struct t3_l3 *l3, struct world_table *table)
{
    struct t3_l3_call call = {
        .arena = &world->arena, .deadline = t3_deadline_in_ms(WAIT_MS), .error = &world->error};
    must(world,
         l3->ops->describe(l3, &call, tears_str_c(table->name), TEARS_STR(""), 0, &table->schema));
    assert_int_equal(table->schema->version_column, VERSION);
}

void flush_world_open(struct flush_world *world, struct t3_l3 *l3, const char *path)
{
    static const char *const names[] = {"parents", "children", "nodes"};
    memset(world, 0, sizeof *world);
    world->l3 = l3;
    world->log = (struct t3_log){.put = take_log, .owner = world, .level_max = 3};
    if (path != NULL)
        (void)snprintf(world->path, sizeof world->path, "%s", path);
    for (size_t i = 0; i < T3_COUNT(names); i++)
        describe(world, l3, flush_world_table(world, names[i]));
    open_parts(world);
}

void flush_world_reopen(struct flush_world *world)
{
    open_parts(world);
}

void flush_world_close(struct flush_world *world)
{
    t3_flush_free(world->flush);
    t3_pending_free(world->pending);
    t3_journal_free(world->journal);
    world->flush = NULL;
    world->pending = NULL;
    world->journal = NULL;
    for (size_t i = 0; i < WORLD_TABLES; i++)
        world->tables[i].pending = NULL;
}

void flush_world_done(struct flush_world *world)
{
    flush_world_close(world);
    for (size_t i = 0; i < WORLD_TABLES; i++)
        tears_schema_free(world->tables[i].schema);
    t3_arena_done(&world->arena);
}

/* ---- saving --------------------------------------------------------------------------------------- */

static struct t3_key key_of(struct flush_world *world, const struct world_table *table, int64_t id)
{
    struct tears_value *values = t3_arena_array(&world->arena, 1, sizeof *values);
    struct t3_key key;
    assert_non_null(values);
    values[0] = tears_int(id);
    must(world, t3_key_init(table->schema, values, 1, values, &world->arena, &key, &world->error));
    return key;
}

static struct t3_row *fetch(struct flush_world *world, const struct world_table *table, int64_t id)
{
    struct t3_l3_call call = {
        .arena = &world->arena, .deadline = t3_deadline_in_ms(WAIT_MS), .error = &world->error};
    const struct t3_key key = key_of(world, table, id);
    struct t3_row *row = NULL;
    must(world, world->l3->ops->fetch(world->l3, &call, table->schema, &key, 1, &row));
    return row;
}

static uint32_t cells_of(const struct world_row *row, bool with_key, struct t3_cell *cells)
{
    uint32_t count = 0;
    if (with_key)
        cells[count++] = (struct t3_cell){ID, tears_int(row->id)};
    cells[count++] = (struct t3_cell){REF, row->ref < 0 ? tears_null() : tears_int(row->ref)};
    cells[count++] = (struct t3_cell){NOTE, row->note == NULL ? tears_null()
                                                              : tears_text(tears_str_c(row->note))};
    cells[count++] = (struct t3_cell){CODE, row->code == NULL ? tears_null()
                                                              : tears_text(tears_str_c(row->code))};
    return count;
}

/* The row that an update or deletion is made from: pending, or L3's. */
static void base_on(struct flush_world *world, struct world_table *table, struct t3_defer *defer)
{
    struct t3_pending_hit hit = {0};
    enum t3_pending_answer answer = T3_PENDING_NOTHING;
    must(world, t3_pending_look(table->pending, defer->key, &world->arena, &answer, &hit));
    if (answer == T3_PENDING_ROW) {
        defer->from = hit.row;
        defer->pending_seq = hit.seq;
    } else if (answer == T3_PENDING_NOTHING) {
        const struct t3_row *row = fetch(world, table, defer->key->values[0].as.integer);
        defer->from = row;
        defer->has_base = row != NULL;
        defer->base = row != NULL ? t3_schema_row_version(table->schema, row) : 0;
    }
}

tears_status flush_world_save(struct flush_world *world, const char *name, uint8_t kind,
                              const struct world_row *row)
{
    struct world_table *table = find(world, tears_str_c(name));
    struct t3_cell cells[4];
    struct t3_pending_outcome outcome;
    assert_non_null(table);
    must(world, open_table(world, table));
    const struct t3_key key = key_of(world, table, row->id);
    struct t3_defer defer = {.kind = kind, .key = &key, .cells = cells};
    if (kind != T3_RECORD_DELETE)
        defer.cell_count = cells_of(row, kind != T3_RECORD_UPDATE, cells);
    if (kind == T3_RECORD_UPDATE || kind == T3_RECORD_DELETE)
        base_on(world, table, &defer);
    must(world, t3_pending_save(table->pending, &defer, 1, &world->arena,
                                t3_deadline_in_ms(WAIT_MS), &outcome, &world->error));
    arena_reset(world);
    return outcome.status;
}

void flush_world_put(struct flush_world *world, const char *table, uint8_t kind,
                     const struct world_row *row)
{
    const tears_status status = flush_world_save(world, table, kind, row);
    if (status != TEARS_OK)
        fail_msg("saving row %lld of %s: %s", (long long)row->id, table, tears_status_name(status));
}

/* ---- flushing and looking --------------------------------------------------------------------------- */

tears_status flush_world_pass(struct flush_world *world, uint64_t ms)
{
    return t3_flush_pass(world->flush, NULL, 0, t3_deadline_in_ms(ms), &world->result,
                         &world->error);
}

void flush_world_drain(struct flush_world *world)
{
    must(world, flush_world_pass(world, WAIT_MS));
    if (flush_world_waiting(world) != 0)
        fail_msg("%llu rows are still pending", (unsigned long long)flush_world_waiting(world));
}

static const char *note_of(struct flush_world *world, const struct world_table *table,
                           const struct t3_row *row)
{
    struct tears_str copy;
    const struct tears_value value = t3_row_value(row, &table->schema->layout, NOTE);
    assert_int_equal(t3_arena_str(&world->arena, value.as.bytes, &copy), TEARS_OK);
    return copy.ptr;
}

const char *flush_world_note(struct flush_world *world, const char *name, int64_t id,
                             int64_t *version_out)
{
    const struct world_table *table = find(world, tears_str_c(name));
    const struct t3_row *row = fetch(world, table, id);
    if (version_out != NULL)
        *version_out = row != NULL ? t3_schema_row_version(table->schema, row) : 0;
    return row != NULL ? note_of(world, table, row) : NULL;
}

const char *flush_world_pending(struct flush_world *world, const char *name, int64_t id)
{
    struct world_table *table = find(world, tears_str_c(name));
    const struct t3_key key = key_of(world, table, id);
    struct t3_pending_hit hit = {0};
    enum t3_pending_answer answer = T3_PENDING_NOTHING;
    must(world, open_table(world, table));
    must(world, t3_pending_look(table->pending, &key, &world->arena, &answer, &hit));
    if (answer == T3_PENDING_ROW)
        return note_of(world, table, hit.row);
    return answer == T3_PENDING_DELETED ? "" : NULL;
}

uint64_t flush_world_waiting(struct flush_world *world)
{
    struct t3_pending_stats stats;
    t3_pending_stats(world->pending, NULL, &stats);
    return stats.rows;
}

uint64_t flush_world_dead(struct flush_world *world)
{
    struct t3_journal_stats stats;
    t3_journal_stats(world->journal, &stats);
    return stats.dead;
}
