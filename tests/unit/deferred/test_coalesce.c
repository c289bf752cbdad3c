/*
 * test_coalesce.c -- two writes of one key become one: every combination, against writes that are carried out one after the other.
 *
 * A note is a row in L3, or none.  The *truth* is one for which each write that was accepted happened at once.  The *database* is one that sees
 * records only, when they land.  Whatever is saved, sent, landed, refused or joined in whatever order: when all has landed, both are the same.
 */
#include "deferred/coalesce.h"
#include "unit/deferred/notes.h"

/* What may happen. */
enum event {
    INSERT_AB,
    INSERT_FIXED,
    UPSERT_A,
    UPSERT_B_FIXED,
    UPDATE_A, /* of the row as it is read */
    UPDATE_B,
    UPDATE_NOTHING,
    CLEAR_FILLED,   /* to NULL, which it seems to be as long as only the database knows better */
    UPDATE_A_BLIND, /* of whatever is there */
    UPDATE_STALE,   /* of a row that was read before something was pending */
    DELETE_READ,
    DELETE_BLIND,
    FLY,
    LAND,
    BACK,
    JOIN,
    EVENTS
};

/* Where one sequence of events has got to. */
struct play {
    const struct tears_schema *schema;
    struct t3_arena arena;
    struct note truth, database;
    struct note read_before; /* the row as it was at the start */
    struct t3_record first, follower;
    bool has_first, has_follower, is_flying;
    bool keep_before;
    int64_t value; /* the next to be written */
    uint64_t seq;
};

/* ---- writes -------------------------------------------------------------------------------------- */

static const struct t3_record *last_of(const struct play *play)
{
    if (play->has_follower)
        return &play->follower;
    return play->has_first ? &play->first : NULL;
}

static uint32_t cells_of(struct play *play, enum event event, struct t3_cell *cells)
{
    uint32_t count = 0;
    const bool has_key = event <= UPSERT_B_FIXED;
    const bool has_a = event == INSERT_AB || event == UPSERT_A || event == UPDATE_A ||
                       event == UPDATE_A_BLIND || event == UPDATE_STALE;
    const bool has_b = event == INSERT_AB || event == UPSERT_B_FIXED || event == UPDATE_B;
    const bool has_fixed = event == INSERT_FIXED || event == UPSERT_B_FIXED;
    if (has_key)
        cells[count++] = (struct t3_cell){NOTE_ID, tears_int(1)};
    if (has_a)
        cells[count++] = (struct t3_cell){NOTE_A, note_value(NOTE_A, play->value++)};
    if (has_b)
        cells[count++] = (struct t3_cell){NOTE_B, note_value(NOTE_B, play->value++)};
    if (event == CLEAR_FILLED)
        cells[count++] = (struct t3_cell){NOTE_FILLED, tears_null()};
    if (has_fixed)
        cells[count++] = (struct t3_cell){NOTE_FIXED, note_value(NOTE_FIXED, play->value++)};
    return count;
}

static uint8_t kind_of(enum event event)
{
    if (event <= INSERT_FIXED)
        return T3_RECORD_INSERT;
    if (event <= UPSERT_B_FIXED)
        return T3_RECORD_UPSERT;
    return event <= UPDATE_STALE ? T3_RECORD_UPDATE : T3_RECORD_DELETE;
}

/* What the program must be told. */
static tears_status expected(const struct play *play, enum event event)
{
    const bool is_upsert = kind_of(event) == T3_RECORD_UPSERT;
    const bool is_insert = kind_of(event) == T3_RECORD_INSERT ||
                           (is_upsert && play->schema->on_conflict == TEARS_ON_CONFLICT_RAISE);
    if (is_insert)
        return play->truth.exists ? TEARS_CONFLICT : TEARS_OK;
    if (is_upsert)
        return TEARS_OK;
    if (!play->truth.exists)
        return kind_of(event) == T3_RECORD_DELETE ? TEARS_NOT_FOUND : TEARS_CONFLICT;
    return event == UPDATE_STALE ? TEARS_CONFLICT : TEARS_OK;
}

static void carry_out(struct play *play, enum event event, const struct t3_cell *cells,
                      uint32_t count)
{
    switch (kind_of(event)) {
    case T3_RECORD_INSERT:
        note_insert(&play->truth, cells, count);
        break;
    case T3_RECORD_UPSERT:
        note_upsert(play->schema, &play->truth, cells, count);
        break;
    case T3_RECORD_UPDATE:
        note_update(&play->truth, cells, count);
        break;
    default:
        play->truth.exists = false;
        break;
    }
}

/*
 * What a reader of the pending row sees is the truth, but for what only the database knows: where an upsert leaves alone what is there, whether
 * it counts.
 */
static void check_seen(const struct play *play)
{
    const struct t3_record *last = last_of(play);
    if (play->schema->on_conflict == TEARS_ON_CONFLICT_IGNORE &&
        play->first.kind == T3_RECORD_UPSERT)
        return;
    assert_int_equal(last->kind != T3_RECORD_DELETE, play->truth.exists);
    for (uint32_t i = 0; play->truth.exists && i < NOTE_FILLED; i++) {
        const struct tears_value seen = t3_row_value(last->row, &play->schema->layout, i);
        const bool is_unsure = last->kind == T3_RECORD_UPSERT || play->has_follower;
        if (i == NOTE_FIXED && is_unsure)
            continue;
        assert_int_equal(note_number(&seen), play->truth.cells[i]);
    }
}

/* False: the event cannot happen here. */
static bool save(struct play *play, enum event event)
{
    struct t3_cell cells[NOTE_COLUMNS];
    struct tears_value storage;
    struct t3_record record;
    const struct t3_key key = note_key(play->schema, 1, &storage);
    const struct t3_record *last = last_of(play);
    const bool is_read = event == UPDATE_A || event == UPDATE_B || event == UPDATE_NOTHING ||
                         event == CLEAR_FILLED || event == DELETE_READ;
    const tears_status status = expected(play, event);
    if (last == NULL && status != TEARS_OK)
        return false; /* only L3 would notice */
    struct t3_defer defer = {.kind = kind_of(event), .key = &key, .cells = cells};
    defer.cell_count = cells_of(play, event, cells);
    if (is_read && last != NULL)
        defer.pending_seq = last->seq;
    if ((is_read && last == NULL) || event == UPDATE_STALE) {
        defer.has_base = true;
        defer.base = last == NULL ? play->database.cells[NOTE_VERSION]
                                  : play->read_before.cells[NOTE_VERSION];
    }
    defer.from = last == NULL ? note_row(play->schema, &play->database, &play->arena) : NULL;
    const bool in_flight = last == &play->first && play->is_flying;
    assert_int_equal(t3_coalesce(play->schema, last, in_flight, &defer, play->keep_before,
                                 &play->arena, &record),
                     status);
    if (status != TEARS_OK)
        return true;
    carry_out(play, event, cells, defer.cell_count);
    record.seq = ++play->seq;
    if (last == &play->follower || (last == &play->first && record.follows)) {
        play->follower = record;
        play->has_follower = true;
    } else {
        assert_false(record.follows);
        play->first = record;
        play->has_first = true;
    }
    check_seen(play);
    return true;
}

static bool land(struct play *play)
{
    if (!play->is_flying)
        return false;
    note_send(play->schema, &play->database, &play->first);
    play->is_flying = false;
    play->has_first = play->has_follower;
    if (play->has_follower) {
        assert_int_equal(t3_coalesce_rebase(play->schema, &play->follower,
                                            note_row(play->schema, &play->database, &play->arena),
                                            play->database.cells[NOTE_VERSION], &play->arena,
                                            &play->first),
                         TEARS_OK);
        play->first.seq = play->follower.seq;
        assert_int_equal(play->first.kind, play->follower.kind);
        play->has_follower = false;
        check_seen(play);
    }
    return true;
}

static bool join(struct play *play)
{
    struct t3_record joined;
    if (play->is_flying || !play->has_follower)
        return false;
    const tears_status status = t3_coalesce_fold(play->schema, &play->first, &play->follower,
                                                 play->keep_before, &play->arena, &joined);
    if (status == TEARS_CONFLICT) {
        assert_int_equal(play->schema->on_conflict, TEARS_ON_CONFLICT_IGNORE);
        return true;
    }
    assert_int_equal(status, TEARS_OK);
    assert_int_equal(joined.seq, play->follower.seq);
    play->first = joined;
    play->has_follower = false;
    check_seen(play);
    return true;
}

static bool happen(struct play *play, enum event event)
{
    if (event < FLY)
        return save(play, event);
    if (event == LAND)
        return land(play);
    if (event == JOIN)
        return join(play);
    if (event == FLY ? !play->has_first || play->is_flying : !play->is_flying)
        return false;
    play->is_flying = event == FLY;
    return true;
}

/* ---- all sequences ------------------------------------------------------------------------------- */

static void check_end(struct play *play)
{
    while (play->has_first) {
        play->is_flying = true;
        assert_true(land(play));
    }
    assert_int_equal(play->database.exists, play->truth.exists);
    for (uint32_t i = 0; play->truth.exists && i < NOTE_VERSION; i++)
        assert_int_equal(play->database.cells[i], play->truth.cells[i]);
}

/* Plays the events until one cannot happen; gives how many did. */
static int play_all(struct play *play, const int *events, int length)
{
    int i = 0;
    while (i < length && happen(play, (enum event)events[i]))
        i++;
    return i;
}

/* The next sequence that differs at place `at` or before; false: that was the last. */
static bool advance(int *events, int at, int length)
{
    for (int i = at + 1; i < length; i++)
        events[i] = 0;
    while (at >= 0 && ++events[at] == EVENTS)
        events[at--] = 0;
    return at >= 0;
}

static void every_sequence(const struct tears_schema *schema, bool exists, bool keep_before,
                           int length)
{
    struct t3_arena arena = {0};
    int events[8] = {0};
    size_t played = 0;
    int reached;
    do {
        struct play play = {.schema = schema, .arena = arena, .keep_before = keep_before};
        play.truth = (struct note){exists, {1, 2, 3, 4, FILLED_BY_DATABASE, 5}};
        play.database = play.truth;
        play.read_before = play.truth;
        play.value = 10;
        play.seq = 100;
        reached = play_all(&play, events, length);
        if (reached == length) {
            check_end(&play);
            played++;
        }
        arena = play.arena;
        t3_arena_reset(&arena);
    } while (advance(events, reached < length ? reached : length - 1, length));
    assert_true(played > 1000);
    t3_arena_done(&arena);
}

static void writes_that_become_one_do_what_they_would_have_done_one_by_one(void **state)
{
    (void)state;
    struct tears_schema *schema = notes_schema("notes", TEARS_ON_CONFLICT_UPDATE, true);
    every_sequence(schema, true, false, 6);
    every_sequence(schema, false, true, 5);
    tears_schema_free(schema);
}

static void so_they_do_where_an_upsert_leaves_alone_what_is_there(void **state)
{
    (void)state;
    struct tears_schema *schema = notes_schema("notes", TEARS_ON_CONFLICT_IGNORE, true);
    every_sequence(schema, true, true, 5);
    every_sequence(schema, false, false, 5);
    tears_schema_free(schema);
}

static void so_they_do_where_an_upsert_is_an_insert(void **state)
{
    (void)state;
    struct tears_schema *schema = notes_schema("notes", TEARS_ON_CONFLICT_RAISE, true);
    every_sequence(schema, true, false, 4);
    every_sequence(schema, false, false, 4);
    tears_schema_free(schema);
}

static void an_update_writes_what_changes_and_never_what_may_not(void **state)
{
    (void)state;
    struct tears_schema *schema = notes_schema("notes", TEARS_ON_CONFLICT_UPDATE, true);
    struct t3_arena arena = {0};
    struct t3_record record;
    struct tears_value storage;
    const struct t3_key key = note_key(schema, 1, &storage);
    const struct note from = {true, {1, 2, 3, 4, FILLED_BY_DATABASE, 5}};
    const struct t3_cell cells[] = {{NOTE_ID, tears_int(1)},
                                    {NOTE_A, tears_int(2)},
                                    {NOTE_B, note_value(NOTE_B, 33)},
                                    {NOTE_FIXED, tears_int(44)},
                                    {NOTE_VERSION, tears_int(55)}};
    struct t3_defer defer = {.kind = T3_RECORD_UPDATE,
                             .key = &key,
                             .cells = cells,
                             .cell_count = 5,
                             .has_base = true,
                             .base = 5,
                             .from = note_row(schema, &from, &arena)};
    assert_int_equal(t3_coalesce(schema, NULL, false, &defer, true, &arena, &record), TEARS_OK);
    assert_int_equal(record.changed[0], 1 << NOTE_B);
    assert_ptr_equal(record.before, defer.from);
    defer.has_base = false; /* whatever is there: what was asked for is written */
    assert_int_equal(t3_coalesce(schema, NULL, false, &defer, false, &arena, &record), TEARS_OK);
    assert_int_equal(record.changed[0], 1 << NOTE_A | 1 << NOTE_B);
    assert_null(record.before);
    defer.from = NULL;
    assert_int_equal(t3_coalesce(schema, NULL, false, &defer, false, &arena, &record),
                     TEARS_INVALID);
    t3_arena_done(&arena);
    tears_schema_free(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_that_become_one_do_what_they_would_have_done_one_by_one),
        cmocka_unit_test(so_they_do_where_an_upsert_leaves_alone_what_is_there),
        cmocka_unit_test(so_they_do_where_an_upsert_is_an_insert),
        cmocka_unit_test(an_update_writes_what_changes_and_never_what_may_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
