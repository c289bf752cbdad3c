/*
 * test_log_property.c -- a million random steps of the log of pending writes, against a model that fits on a page.
 *
 * The model of a key: its row in the database; the row that its first record makes; the row as the program has written it.  Steps: saves (alone, many at once, of
 * stale rows, without memory), collecting, flights, landings, failures, parking, deaths, replacements, kill -9 and reopening.  After each,
 * what is read is what was written; what lands is what its record was made of; in the end the database has it all.
 *
 * TEARS_SEED=N plays other steps.
 */
#include "deferred/merge.h"
#include "deferred/pending.h"
#include "support/temp_folder.h"
#include "unit/deferred/notes.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KEYS = 48, TABLES = 2, SAVED_AT_ONCE = 12, FLIGHTS = 3, FLOWN = 8 };

struct entity { /* a row that the program has read, and may write to later */
    bool is_there;
    uint64_t stamp; /* of the key when it was read */
    uint64_t seq;
    bool has_base;
    int64_t base;
    struct note note;
};

struct key {
    struct note database, first, truth;
    bool has_first, has_follower;
    bool is_claimed, is_flying, is_parked;
    uint64_t stamp; /* moves with every write */
    struct entity entity;
};

struct flight {
    uint64_t batch; /* 0: none */
    struct t3_journal_ref refs[FLOWN];
    uint32_t tables[FLOWN], keys[FLOWN];
    size_t count;
};

struct game {
    uint64_t random;
    uint64_t durability;
    struct temp_folder folder;
    unsigned life; /* files of each have names of their own */
    struct t3_journal *journal;
    struct t3_pending *pending;
    struct tears_schema *schemas[TABLES];
    struct t3_pending_table *tables[TABLES];
    struct key keys[TABLES][KEYS];
    struct flight flights[FLIGHTS];
    struct t3_arena arena, items_arena;
    struct t3_pending_item *items; /* collected; what an item points to is gone once it has ended */
    struct key *item_keys[KEYS * TABLES];
    size_t item_count;
    int64_t value;
    uint64_t dead, dead_of_this_life, saved;
};

static const struct t3_deadline never = {INT64_MAX};

static uint64_t random_below(struct game *game, uint64_t bound)
{
    game->random += 0x9e3779b97f4a7c15u;
    uint64_t mixed = game->random;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return (mixed ^ (mixed >> 31)) % bound;
}

static void check(tears_status status, const struct tears_error *error)
{
    if (status != TEARS_OK)
        print_error("%s\n", error->message);
    assert_int_equal(status, TEARS_OK);
}

/* ---- opening and crashing ------------------------------------------------------------------------- */

static void log_path(const struct game *game, char path[128])
{
    (void)snprintf(path, 128, "%s/log%u", game->folder.path, game->life);
}

static void settle(struct game *game, const struct t3_pending_flight *found, size_t count);

static void open_log(struct game *game)
{
    char path[128];
    struct tears_error error;
    const struct t3_pending_flight *flights;
    size_t count;
    log_path(game, path);
    const struct t3_journal_options options = {.path = tears_str_c(path),
                                               .durability = game->durability};
    check(t3_journal_open(&options, never, &game->journal, &error), &error);
    const struct t3_pending_options pending = {.journal = game->journal};
    check(t3_pending_new(&pending, &game->pending, &error), &error);
    check(t3_pending_recover(game->pending, &game->arena, never, &flights, &count, &error), &error);
    for (size_t i = 0; i < TABLES; i++)
        check(t3_pending_table_open(game->pending, game->schemas[i], i == 0, never,
                                    &game->tables[i], &error),
              &error);
    settle(game, flights, count);
}

static void close_log(struct game *game)
{
    t3_pending_free(game->pending);
    t3_journal_free(game->journal);
    t3_arena_reset(&game->items_arena);
    game->item_count = 0;
    game->dead_of_this_life = 0;
    for (size_t i = 0; i < TABLES; i++) {
        for (size_t k = 0; k < KEYS; k++) {
            struct key *key = &game->keys[i][k];
            key->is_claimed = false;
            key->is_parked = false;
            key->entity.is_there = false; /* the program is another one */
        }
    }
}

static void copy_file(const char *from, const char *to, const char *suffix)
{
    char source[160], target[160];
    char bytes[65536];
    (void)snprintf(source, sizeof source, "%s%s", from, suffix);
    (void)snprintf(target, sizeof target, "%s%s", to, suffix);
    FILE *in = fopen(source, "rb");
    if (in == NULL)
        return;
    FILE *out = fopen(target, "wb");
    assert_non_null(out);
    for (size_t got = fread(bytes, 1, sizeof bytes, in); got > 0;
         got = fread(bytes, 1, sizeof bytes, in))
        assert_int_equal(fwrite(bytes, 1, got, out), got);
    (void)fclose(in);
    assert_int_equal(fclose(out), 0);
}

/* What kill -9 leaves behind is what the files are at that moment. */
static void crash(struct game *game)
{
    char from[128], to[128], gone[160];
    static const char *const suffixes[] = {"", "-wal", "-shm", ".owner"};
    log_path(game, from);
    game->life++;
    log_path(game, to);
    copy_file(from, to, "");
    copy_file(from, to, "-wal");
    close_log(game);
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        (void)snprintf(gone, sizeof gone, "%s%s", from, suffixes[i]);
        (void)unlink(gone);
    }
    open_log(game);
}

static void reopen(struct game *game)
{
    if (game->durability == TEARS_DURABLE_NONE)
        return;
    if (random_below(game, 2) == 0) {
        crash(game);
        return;
    }
    close_log(game);
    open_log(game);
}

/* ---- reading -------------------------------------------------------------------------------------- */

static void check_key(struct game *game, size_t table, size_t number)
{
    const struct key *key = &game->keys[table][number];
    const struct tears_schema *schema = game->schemas[table];
    struct tears_value storage;
    const struct t3_key row_key = note_key(schema, (int64_t)number, &storage);
    enum t3_pending_answer answer;
    struct t3_pending_hit hit;
    assert_int_equal(t3_pending_look(game->tables[table], &row_key, &game->arena, &answer, &hit),
                     TEARS_OK);
    if (!key->has_first) {
        assert_int_equal(answer, T3_PENDING_NOTHING);
        return;
    }
    assert_int_equal(answer, key->truth.exists ? T3_PENDING_ROW : T3_PENDING_DELETED);
    for (uint32_t i = 0; key->truth.exists && i < NOTE_FIXED; i++) {
        const struct tears_value seen = t3_row_value(hit.row, &schema->layout, i);
        assert_int_equal(note_number(&seen), key->truth.cells[i]);
    }
}

static void check_all(struct game *game)
{
    uint64_t rows = 0, parked = 0, flying = 0, keys = 0;
    for (size_t i = 0; i < TABLES; i++) {
        uint64_t of_table = 0;
        for (size_t k = 0; k < KEYS; k++) {
            const struct key *key = &game->keys[i][k];
            check_key(game, i, k);
            of_table += key->has_first ? 1 : 0;
            rows += (key->has_first ? 1u : 0u) + (key->has_follower ? 1u : 0u);
            parked += key->is_parked ? 1 : 0;
            flying += key->is_flying ? 1 : 0;
        }
        keys += of_table;
        assert_int_equal(t3_pending_is_empty(game->tables[i]), of_table == 0);
    }
    struct t3_pending_stats stats;
    t3_pending_stats(game->pending, NULL, &stats);
    assert_int_equal(stats.rows, rows);
    assert_int_equal(stats.parked, parked);
    assert_int_equal(stats.in_flight, flying);
    assert_int_equal(stats.oldest_us != 0, keys > 0);
    assert_int_equal(stats.dead, game->dead_of_this_life);
    t3_arena_reset(&game->arena);
}

static void read_entity(struct game *game, size_t table, size_t number)
{
    struct key *key = &game->keys[table][number];
    const struct tears_schema *schema = game->schemas[table];
    struct tears_value storage;
    const struct t3_key row_key = note_key(schema, (int64_t)number, &storage);
    enum t3_pending_answer answer;
    struct t3_pending_hit hit;
    memset(&key->entity, 0, sizeof key->entity);
    assert_int_equal(t3_pending_look(game->tables[table], &row_key, &game->arena, &answer, &hit),
                     TEARS_OK);
    if (!key->truth.exists)
        return;
    key->entity.is_there = true;
    key->entity.stamp = key->stamp;
    key->entity.note = key->truth;
    if (answer == T3_PENDING_ROW) {
        key->entity.seq = hit.seq;
    } else {
        key->entity.has_base = true;
        key->entity.base = key->database.cells[NOTE_VERSION];
    }
}

/* ---- saving --------------------------------------------------------------------------------------- */

struct write {
    struct t3_defer defer;
    struct t3_key key;
    struct tears_value storage;
    struct t3_cell cells[NOTE_COLUMNS];
    size_t number;
    tears_status status; /* that is expected */
    bool is_of_entity;
};

static uint32_t make_cells(struct game *game, uint8_t kind, size_t number, struct t3_cell *cells)
{
    uint32_t count = 0;
    if (kind == T3_RECORD_DELETE)
        return 0;
    if (kind != T3_RECORD_UPDATE)
        cells[count++] = (struct t3_cell){NOTE_ID, tears_int((int64_t)number)};
    if (random_below(game, 2) == 0)
        cells[count++] = (struct t3_cell){NOTE_A, note_value(NOTE_A, game->value++)};
    if (random_below(game, 2) == 0)
        cells[count++] = (struct t3_cell){NOTE_B, note_value(NOTE_B, game->value++)};
    if (kind == T3_RECORD_INSERT && random_below(game, 2) == 0)
        cells[count++] = (struct t3_cell){NOTE_FIXED, note_value(NOTE_FIXED, game->value++)};
    return count;
}

/* A write of the key as the model has it; false: none that makes sense. */
static bool make_write(struct game *game, size_t table, size_t number, const struct key *key,
                       struct write *write)
{
    memset(write, 0, sizeof *write);
    const bool is_versioned = game->schemas[table]->version_column != T3_NO_COLUMN;
    const uint8_t kind = (uint8_t)(1 + random_below(game, 4));
    write->number = number;
    write->key = note_key(game->schemas[table], (int64_t)number, &write->storage);
    write->key.values = &write->storage;
    write->defer = (struct t3_defer){.kind = kind, .key = &write->key, .cells = write->cells};
    write->defer.cell_count = make_cells(game, kind, number, write->cells);
    if (kind == T3_RECORD_INSERT)
        write->status = key->truth.exists ? TEARS_CONFLICT : TEARS_OK;
    if (kind == T3_RECORD_UPDATE && !key->truth.exists)
        write->status = TEARS_CONFLICT;
    if (kind == T3_RECORD_DELETE && !key->truth.exists)
        write->status = TEARS_NOT_FOUND;
    if (write->status != TEARS_OK)
        return key->has_first; /* else only the database would notice */
    write->defer.from = note_row(game->schemas[table], &key->truth, &game->arena);
    if (kind < T3_RECORD_UPDATE || !key->entity.is_there || random_below(game, 3) == 0 ||
        (!is_versioned && key->entity.stamp != key->stamp && !key->has_first))
        return true; /* of the row as it is; without versions nobody would notice that it is not */
    write->is_of_entity = true;
    write->defer.from = note_row(game->schemas[table], &key->entity.note, &game->arena);
    write->defer.pending_seq = key->entity.seq;
    write->defer.has_base = key->entity.has_base && is_versioned;
    write->defer.base = key->entity.base;
    if (is_versioned && key->entity.stamp != key->stamp) {
        write->status = TEARS_CONFLICT;
        return key->has_first; /* else only the database would notice */
    }
    return true;
}

static void apply(const struct tears_schema *schema, struct key *key, const struct write *write)
{
    const struct t3_defer *defer = &write->defer;
    switch (defer->kind) {
    case T3_RECORD_INSERT:
        note_insert(&key->truth, defer->cells, defer->cell_count);
        break;
    case T3_RECORD_UPSERT:
        note_upsert(schema, &key->truth, defer->cells, defer->cell_count);
        break;
    case T3_RECORD_UPDATE:
        note_update(&key->truth, defer->cells, defer->cell_count);
        break;
    default:
        key->truth.exists = false;
        break;
    }
    key->stamp++;
    if (!key->has_first || (!key->has_follower && !key->is_claimed && !key->is_flying)) {
        key->has_first = true;
        key->is_parked = false;
        key->first = key->truth;
    } else {
        key->has_follower = true;
    }
}

static void save(struct game *game)
{
    static struct key keys[KEYS];
    static struct write writes[SAVED_AT_ONCE];
    struct t3_defer defers[SAVED_AT_ONCE];
    struct t3_pending_outcome outcomes[SAVED_AT_ONCE];
    struct tears_error error;
    const size_t table = random_below(game, TABLES);
    const size_t wanted = random_below(game, 4) == 0 ? SAVED_AT_ONCE : 1;
    size_t count = 0;
    memcpy(keys, game->keys[table], sizeof keys);
    for (size_t i = 0; i < wanted; i++) {
        const size_t number = random_below(game, KEYS);
        struct write *write = &writes[count];
        if (!make_write(game, table, number, &keys[number], write))
            continue;
        if (write->status == TEARS_OK)
            apply(game->schemas[table], &keys[number], write);
        defers[count] = write->defer;
        defers[count++].key = &write->key;
    }
    const bool starves = random_below(game, 50) == 0;
    if (starves)
        t3_alloc_fail_at(1 + random_below(game, 12));
    const tears_status status =
        t3_pending_save(game->tables[table], defers, count, &game->arena, never, outcomes, &error);
    t3_alloc_fail_at(0);
    if (starves && status == TEARS_NO_MEMORY)
        return; /* and nothing has changed */
    check(status, &error);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(outcomes[i].status, writes[i].status);
    memcpy(game->keys[table], keys, sizeof keys);
    game->saved += count;
}

/* ---- flights -------------------------------------------------------------------------------------- */

static size_t table_of(const struct game *game, const struct t3_pending_item *item)
{
    return item->table == game->tables[0] ? 0 : 1;
}

static size_t number_of_item(const struct game *game, const struct t3_pending_item *item)
{
    const struct tears_value value =
        t3_row_value(item->record.row, &game->schemas[table_of(game, item)]->layout, NOTE_ID);
    return (size_t)value.as.integer;
}

static struct key *key_of(struct game *game, const struct t3_pending_item *item)
{
    return &game->keys[table_of(game, item)][number_of_item(game, item)];
}

static void collect(struct game *game)
{
    uint64_t last = 0;
    t3_arena_reset(&game->items_arena);
    for (size_t i = 0; i < TABLES; i++)
        for (size_t k = 0; k < KEYS; k++)
            game->keys[i][k].is_claimed = false;
    assert_int_equal(t3_pending_collect(game->pending, NULL, 0, 0, 1 + random_below(game, 24),
                                        &game->items_arena, &game->items, &game->item_count),
                     TEARS_OK);
    for (size_t i = 0; i < game->item_count; i++) {
        struct key *key = key_of(game, &game->items[i]);
        assert_true(key->has_first && !key->is_flying && !key->is_parked && !key->is_claimed);
        assert_true(game->items[i].record.id > last);
        last = game->items[i].record.id;
        key->is_claimed = true;
        game->item_keys[i] = key;
    }
}

static void fly(struct game *game)
{
    struct t3_pending_item items[FLOWN];
    struct tears_error error;
    struct flight *flight = &game->flights[random_below(game, FLIGHTS)];
    if (flight->batch != 0)
        return;
    flight->count = 0;
    for (size_t i = 0; i < game->item_count && flight->count < FLOWN; i++) {
        struct key *key = game->item_keys[i];
        if (!key->is_claimed || key->is_flying || random_below(game, 2) == 0)
            continue;
        items[flight->count] = game->items[i];
        flight->refs[flight->count] = (struct t3_journal_ref){items[flight->count].record.id,
                                                              items[flight->count].record.seq};
        flight->tables[flight->count] = (uint32_t)table_of(game, &items[flight->count]);
        flight->keys[flight->count] = (uint32_t)number_of_item(game, &items[flight->count]);
        key->is_flying = true;
        flight->count++;
    }
    if (flight->count > 0)
        check(t3_pending_fly(game->pending, items, flight->count, never, &flight->batch, &error),
              &error);
}

/* Somebody else writes the row without changing what is in it, so that its version is not the base any more. */
static void touch(struct game *game, const struct t3_pending_item *item, struct key *key,
                  struct t3_pending_end *end)
{
    static const struct t3_merger merger = {.policy = TEARS_ON_STALE_LAST_WRITER};
    const struct tears_schema *schema = game->schemas[table_of(game, item)];
    struct t3_record *merged = t3_arena_alloc(&game->arena, sizeof *merged);
    struct tears_error error;
    bool is_done;
    if (!item->record.has_base)
        return;
    key->database.cells[NOTE_VERSION]++;
    check(t3_merge(schema, &merger, &item->record, note_row(schema, &key->database, &game->arena),
                   &game->arena, merged, &is_done, &error),
          &error);
    if (is_done) { /* an update of nothing: L3 has it already */
        end->fate = T3_FATE_LANDED;
        return;
    }
    end->fate = T3_FATE_REPLACED;
    end->record = merged;
}

/* One record's fate, and what the model makes of it. */
static void decide(struct game *game, const struct t3_pending_item *item, uint64_t kind,
                   struct t3_pending_end *end, struct key *key)
{
    const struct tears_schema *schema = game->schemas[table_of(game, item)];
    *end = (struct t3_pending_end){.ref = {item->record.id, item->record.seq},
                                   .table = item->table,
                                   .fate = T3_FATE_BACK,
                                   .message = TEARS_STR("refused"),
                                   .sqlstate = TEARS_STR("23514")};
    bool is_sent = kind < 10;
    if (kind == 10)
        end->fate = T3_FATE_PARKED;
    if (kind == 11)
        end->fate = T3_FATE_DEAD;
    if (kind == 12) {
        touch(game, item, key, end);
        is_sent = false;
    }
    if (is_sent) {
        note_send(schema, &key->database, &item->record);
        end->fate = T3_FATE_LANDED;
        assert_int_equal(key->database.exists, key->first.exists);
        for (uint32_t i = 0; key->first.exists && i < NOTE_VERSION; i++)
            assert_int_equal(key->database.cells[i], key->first.cells[i]);
    }
    end->row = note_row(schema, &key->database, &game->arena);
    end->version = key->database.cells[NOTE_VERSION];
    key->is_flying = false;
    switch (end->fate) {
    case T3_FATE_LANDED:
        key->is_claimed = false;
        key->has_first = key->has_follower;
        key->has_follower = false;
        key->first = key->truth;
        break;
    case T3_FATE_PARKED:
    case T3_FATE_REPLACED:
        key->is_claimed = false;
        key->is_parked = end->fate == T3_FATE_PARKED;
        key->has_follower = false;
        key->first = key->truth;
        key->stamp += end->fate == T3_FATE_REPLACED ? 1 : 0;
        break;
    case T3_FATE_DEAD:
        game->dead++;
        game->dead_of_this_life++;
        key->is_claimed = false;
        key->has_first = key->has_follower = false;
        key->truth = key->database;
        key->stamp++;
        break;
    case T3_FATE_BACK:
        break;
    }
}

static void end_items(struct game *game, uint64_t batch, const struct t3_pending_item *items,
                      size_t count, uint64_t kinds)
{
    struct t3_pending_end ends[FLOWN * 4];
    struct tears_error error;
    bool starves = random_below(game, 50) == 0;
    for (size_t i = 0; i < count; i++) {
        decide(game, &items[i], random_below(game, kinds), &ends[i], key_of(game, &items[i]));
        if (ends[i].fate == T3_FATE_PARKED)
            starves = false; /* without memory it would just not be parked */
    }
    if (starves)
        t3_alloc_fail_at(1 + random_below(game, 8));
    tears_status status = t3_pending_end(game->pending, batch, ends, count, never, &error);
    t3_alloc_fail_at(0);
    if (starves && status == TEARS_NO_MEMORY) /* and nothing has changed: once more */
        status = t3_pending_end(game->pending, batch, ends, count, never, &error);
    check(status, &error);
}

static void land(struct game *game)
{
    struct flight *flight = &game->flights[random_below(game, FLIGHTS)];
    struct t3_pending_item *items;
    size_t count;
    if (flight->batch == 0)
        return;
    assert_int_equal(
        t3_pending_flown(game->pending, flight->refs, flight->count, &game->arena, &items, &count),
        TEARS_OK);
    assert_int_equal(count, flight->count);
    end_items(game, flight->batch, items, count, 16);
    flight->batch = 0;
}

/* Flights that the last process was in the middle of: the database knows which of them it has. */
static void settle(struct game *game, const struct t3_pending_flight *found, size_t count)
{
    size_t expected = 0;
    for (size_t i = 0; i < FLIGHTS; i++)
        expected += game->flights[i].batch != 0 ? 1 : 0;
    assert_int_equal(count, expected);
    collect(game); /* nothing of a flight: it may have landed */
    for (size_t i = 0; i < count; i++) {
        struct t3_pending_item *items;
        size_t item_count;
        assert_int_equal(t3_pending_flown(game->pending, found[i].refs, found[i].count,
                                          &game->arena, &items, &item_count),
                         TEARS_OK);
        assert_int_equal(item_count, found[i].count);
        const bool has_landed = random_below(game, 2) == 0;
        for (size_t k = 0; k < FLIGHTS; k++)
            if (game->flights[k].batch == found[i].batch)
                game->flights[k].batch = 0;
        for (size_t k = 0; k < item_count; k++)
            assert_true(key_of(game, &items[k])->is_flying);
        struct t3_pending_end ends[FLOWN];
        struct tears_error error;
        for (size_t k = 0; k < item_count; k++)
            decide(game, &items[k], has_landed ? 0 : 15, &ends[k], key_of(game, &items[k]));
        check(t3_pending_end(game->pending, found[i].batch, ends, item_count, never, &error),
              &error);
    }
}

/* Records that were collected end without having been sent. */
static void end_on_the_ground(struct game *game)
{
    struct t3_pending_item items[4];
    size_t count = 0;
    for (size_t i = 0; i < game->item_count && count < 4; i++) {
        const struct key *key = game->item_keys[i];
        if (key->is_claimed && !key->is_flying)
            items[count++] = game->items[i];
    }
    game->item_count = 0;
    for (size_t i = 0; i < count; i++) { /* not landed: parked, dead, replaced, back */
        struct t3_pending_end end;
        struct tears_error error;
        decide(game, &items[i], 10 + random_below(game, 5), &end, key_of(game, &items[i]));
        check(t3_pending_end(game->pending, 0, &end, 1, never, &error), &error);
    }
}

static void unpark(struct game *game)
{
    t3_pending_unpark(game->pending, NULL);
    for (size_t i = 0; i < TABLES; i++)
        for (size_t k = 0; k < KEYS; k++)
            game->keys[i][k].is_parked = false;
}

/* ---- the game ------------------------------------------------------------------------------------- */

static void step(struct game *game)
{
    const uint64_t dice = random_below(game, 1000);
    if (dice < 600)
        save(game);
    else if (dice < 700)
        read_entity(game, random_below(game, TABLES), random_below(game, KEYS));
    else if (dice < 780)
        check_key(game, random_below(game, TABLES), random_below(game, KEYS));
    else if (dice < 840)
        collect(game);
    else if (dice < 910)
        fly(game);
    else if (dice < 980)
        land(game);
    else if (dice < 988)
        end_on_the_ground(game);
    else if (dice < 996)
        unpark(game);
    else
        check_all(game);
    if (game->arena.bytes > 1 << 20)
        t3_arena_reset(&game->arena);
}

static void land_everything(struct game *game)
{
    for (size_t i = 0; i < FLIGHTS; i++) {
        struct flight *flight = &game->flights[i];
        struct t3_pending_item *items;
        size_t count;
        if (flight->batch == 0)
            continue;
        assert_int_equal(t3_pending_flown(game->pending, flight->refs, flight->count, &game->arena,
                                          &items, &count),
                         TEARS_OK);
        end_items(game, flight->batch, items, count, 1);
        flight->batch = 0;
    }
    unpark(game);
    for (;;) {
        collect(game);
        if (game->item_count == 0)
            break;
        end_items(game, 0, game->items, game->item_count, 1);
    }
    check_all(game);
    for (size_t i = 0; i < TABLES; i++) {
        for (size_t k = 0; k < KEYS; k++) {
            const struct key *key = &game->keys[i][k];
            assert_false(key->has_first);
            assert_int_equal(key->database.exists, key->truth.exists);
            for (uint32_t c = 0; key->truth.exists && c < NOTE_VERSION; c++)
                assert_int_equal(key->database.cells[c], key->truth.cells[c]);
        }
    }
}

static void play(uint64_t durability, uint64_t steps, uint64_t steps_of_a_life)
{
    static struct game game;
    const char *seed = getenv("TEARS_SEED");
    game = (struct game){.durability = durability, .value = 1};
    game.random = seed != NULL ? strtoull(seed, NULL, 10) : 4;
    temp_folder_make(&game.folder);
    game.schemas[0] = notes_schema("notes", TEARS_ON_CONFLICT_UPDATE, true);
    game.schemas[1] = notes_schema("memos", TEARS_ON_CONFLICT_UPDATE, false);
    open_log(&game);
    for (uint64_t i = 0; i < steps; i++) {
        step(&game);
        if (random_below(&game, steps_of_a_life) == 0)
            reopen(&game);
    }
    land_everything(&game);
    print_message("%llu steps, %llu writes, %llu dead letters\n", (unsigned long long)steps,
                  (unsigned long long)game.saved, (unsigned long long)game.dead);
    close_log(&game);
    for (size_t i = 0; i < TABLES; i++)
        tears_schema_free(game.schemas[i]);
    t3_arena_done(&game.arena);
    t3_arena_done(&game.items_arena);
    temp_folder_remove(&game.folder);
}

static void a_log_in_memory_is_as_its_model(void **state)
{
    (void)state;
    play(TEARS_DURABLE_NONE, 850000, UINT64_MAX);
}

static void a_log_that_survives_its_process_is_as_its_model(void **state)
{
    (void)state;
    play(TEARS_DURABLE_NORMAL, 145000, 1000);
}

static void a_log_that_survives_loss_of_power_is_as_its_model(void **state)
{
    (void)state;
    play(TEARS_DURABLE_FULL, 5000, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_in_memory_is_as_its_model),
        cmocka_unit_test(a_log_that_survives_its_process_is_as_its_model),
        cmocka_unit_test(a_log_that_survives_loss_of_power_is_as_its_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
