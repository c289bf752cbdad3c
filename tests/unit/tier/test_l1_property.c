/*
 * test_l1_property.c -- L1 in memory against a model, under threads, and against LRU and FIFO.
 *
 * Begin at: main(), at the end.  The steps are random and repeatable: T3_TEST_SEED sets the seed,
 * which each test prints; T3_TEST_STEPS the number of steps of the model.
 */
#include "unit/tier/l1_conformance.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

enum { HOUR_MS = 3600000, TICK_MS = 32 };

/* ---- chance ---- */

static uint64_t environment_number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static uint64_t random_below(uint64_t *state, uint64_t bound)
{
    return (next_random(state) >> 16) % bound;
}

static uint64_t seed_for(const char *test)
{
    const uint64_t seed = environment_number("T3_TEST_SEED", 20240517);
    print_message("%s: seed %llu\n", test, (unsigned long long)seed);
    return seed * 0x9E3779B97F4A7C15u | 1;
}

/* ---- the model: a table of what must be there ---- */

enum { IDS = 400, SPACES = 2, PENDING = 64, MODEL_AGE_MS = 60000 };

enum content { NOTHING, ROW, ABSENT };

struct cell {
    enum content content;
    int64_t version;
    size_t body_bytes;
    unsigned char fill;
    uint64_t revision;
    uint64_t confirmed_ms;
    uint64_t sure_until_ms; /* there, if not evicted */
    uint64_t gone_at_ms;    /* not there any more */
};

/* A fill that has its ticket and has not come back yet. */
struct pending {
    bool is_used;
    uint32_t space;
    int64_t id;
    uint64_t ticket;
};

struct model {
    struct t3_l1 *l1;
    struct tears_schema *schemas[SPACES];
    uint32_t spaces[SPACES];
    struct cell cells[SPACES][IDS];
    struct pending pending[PENDING];
    struct t3_arena arena;
    uint64_t random;
    bool may_evict;
    uint64_t hits, misses;
};

static bool is_versioned(uint32_t space)
{
    return space == 0;
}

static void model_expire(struct cell *cell)
{
    if (cell->content != NOTHING && t3_now_coarse_ms() >= cell->gone_at_ms)
        cell->content = NOTHING;
}

/* Whether a moment came back as it must: not later, and less than a tick earlier. */
static bool is_rounded(uint64_t got, uint64_t put_ms)
{
    return got <= put_ms && got + TICK_MS > put_ms;
}

static bool is_same(uint32_t space, const struct cell *a, const struct cell *b)
{
    if (a->content != b->content)
        return false;
    return a->content == ABSENT ||
           (a->content == ROW && is_versioned(space) && a->version == b->version);
}

/* What put must do, by the words of l1.h. */
static void model_put(struct model *model, uint32_t space, const struct t3_l1_put *put,
                      const struct cell *next, bool is_current, int64_t id)
{
    struct cell *cell = &model->cells[space][id];
    model_expire(cell);
    if (!is_current && !(put->own_write && is_versioned(space))) {
        if (put->own_write)
            cell->content = NOTHING;
        return;
    }
    if (is_versioned(space) && cell->content == ROW && cell->version > put->version)
        return;
    const struct cell before = *cell;
    *cell = *next;
    if (is_current && is_same(space, &before, next) && before.confirmed_ms > next->confirmed_ms) {
        cell->confirmed_ms = before.confirmed_ms;
        cell->revision = before.revision;
    }
    cell->sure_until_ms = t3_now_coarse_ms() + put->age_ms_max - put->age_ms_max / 10 - 200;
    cell->gone_at_ms = t3_now_coarse_ms() + put->age_ms_max;
}

/* In the grey time between the earliest and the latest end of an entry the model cannot know; it is
 * left alone. */
static bool is_grey(struct model *model, uint32_t space, int64_t id)
{
    const struct cell *cell = &model->cells[space][id];
    const uint64_t now = t3_now_coarse_ms();
    return cell->content != NOTHING && now + 50 >= cell->sure_until_ms &&
           now < cell->gone_at_ms + 50;
}

/* In a crowded tier the newer row that should have won may have been evicted: then the older one
 * was kept. */
static void model_settle(struct model *model, uint32_t space, const struct t3_key *key,
                         struct cell *cell, const struct cell *next)
{
    enum t3_l1_answer answer;
    struct t3_l1_hit hit;
    assert_int_equal(
        model->l1->ops->get(model->l1, model->spaces[space], key, &model->arena, &answer, &hit),
        TEARS_OK);
    const bool is_next =
        next->content == ROW
            ? answer == T3_L1_HIT &&
                  t3_row_value(hit.row, &model->schemas[space]->layout, 1).as.integer ==
                      next->version
            : answer == T3_L1_ABSENT;
    if (cell->content == ROW && cell->version > next->version && is_next) {
        *cell = *next;
        cell->sure_until_ms = t3_now_coarse_ms() + MODEL_AGE_MS - MODEL_AGE_MS / 10 - 200;
        cell->gone_at_ms = t3_now_coarse_ms() + MODEL_AGE_MS;
    }
}

/* Some time ago, in whole ticks: so two moments are equal for the tier just when they are. */
static uint64_t moment_before(uint64_t ms)
{
    const uint64_t moment = t3_now_coarse_ms() - ms;
    return moment - moment % TICK_MS;
}

/* In a crowded tier what was there may have been evicted: then nothing of it was inherited. */
static void model_inherit(struct model *model, uint32_t space, const struct t3_key *key,
                          struct cell *cell, const struct cell *next)
{
    enum t3_l1_answer answer;
    struct t3_l1_hit hit;
    struct t3_l1 *l1 = model->l1;
    assert_int_equal(l1->ops->peek(l1, model->spaces[space], key, &model->arena, &answer, &hit),
                     TEARS_OK);
    if (answer == T3_L1_MISS || !is_rounded(hit.confirmed_ms, next->confirmed_ms))
        return;
    cell->confirmed_ms = next->confirmed_ms;
    cell->revision = next->revision;
}

static void step_put(struct model *model, uint32_t space, int64_t id, uint64_t ticket)
{
    const uint64_t dice = next_random(&model->random) >> 20;
    struct l1_key key;
    l1_item_key(model->schemas[space], id, &key);
    key.key.values = &key.value;
    struct cell next = {
        .content = dice % 8 == 0 ? ABSENT : ROW,
        .version = (int64_t)(dice >> 8) % 50,
        .body_bytes = (dice >> 16) % 300,
        .fill = (unsigned char)dice,
        .revision = (dice >> 3) % 3 == 0 ? dice >> 8 : 0,
        .confirmed_ms = moment_before((dice >> 40) % 5000),
    };
    const struct t3_row *row = next.content == ROW
                                   ? l1_item_row(&model->arena, model->schemas[space], id,
                                                 next.version, next.body_bytes, next.fill)
                                   : NULL;
    struct t3_l1_put put = l1_fill(model->l1, space, &key.key, row, next.version);
    const bool is_current = put.ticket == ticket;
    put.ticket = ticket;
    put.revision = next.revision;
    put.confirmed_ms = next.confirmed_ms;
    put.age_ms_max = MODEL_AGE_MS;
    put.own_write = dice % 5 == 0;
    model_put(model, space, &put, &next, is_current, id);
    assert_int_equal(model->l1->ops->put(model->l1, model->spaces[space], &put), TEARS_OK);
    struct cell *cell = &model->cells[space][id];
    if (model->may_evict && is_versioned(space) && (is_current || put.own_write))
        model_settle(model, space, &key.key, cell, &next);
    if (model->may_evict && is_current && is_same(space, cell, &next))
        model_inherit(model, space, &key.key, cell, &next);
}

static void step_look(struct model *model, uint32_t space, int64_t id)
{
    struct cell *cell = &model->cells[space][id];
    struct l1_key key;
    l1_item_key(model->schemas[space], id, &key);
    key.key.values = &key.value;
    model_expire(cell);
    enum t3_l1_answer answer;
    struct t3_l1_hit hit;
    struct t3_l1 *l1 = model->l1;
    assert_int_equal(l1->ops->get(l1, model->spaces[space], &key.key, &model->arena, &answer, &hit),
                     TEARS_OK);
    if (answer == T3_L1_EXPIRED) /* the model forgets such a row at once */
        answer = T3_L1_MISS;
    if (answer == T3_L1_MISS && (model->may_evict || cell->content == NOTHING)) {
        model->misses++;
        return;
    }
    model->hits++;
    assert_int_equal(answer, cell->content == ROW ? T3_L1_HIT : T3_L1_ABSENT);
    assert_true(cell->content != NOTHING);
    assert_true(is_rounded(hit.confirmed_ms, cell->confirmed_ms));
    assert_true(hit.expires_ms > hit.now_ms && hit.expires_ms <= cell->gone_at_ms);
    if (answer != T3_L1_HIT)
        return;
    const struct t3_row *row = l1_item_row(&model->arena, model->schemas[space], id, cell->version,
                                           cell->body_bytes, cell->fill);
    assert_int_equal(hit.row->size, row->size);
    assert_memory_equal(hit.row, row, row->size);
    assert_int_equal(hit.revision, cell->revision);
}

static void step_forget(struct model *model, uint32_t space, int64_t id, uint64_t dice)
{
    struct cell *cell = &model->cells[space][id];
    struct t3_l1 *l1 = model->l1;
    struct l1_key key;
    l1_item_key(model->schemas[space], id, &key);
    key.key.values = &key.value;
    if (dice % 4000 == 0) {
        l1->ops->clear(l1, model->spaces[space]);
        for (int64_t i = 0; i < IDS; i++)
            model->cells[space][i].content = NOTHING;
    } else if (dice % 3 == 0) {
        l1->ops->drop(l1, model->spaces[space], &key.key);
        cell->content = NOTHING;
    } else if (dice % 3 == 1) {
        l1->ops->bump(l1, model->spaces[space], &key.key);
        if (cell->content == ABSENT)
            cell->content = NOTHING;
    } else {
        const int64_t version = (int64_t)(dice >> 8) % 50;
        l1->ops->set_revision(l1, model->spaces[space], &key.key, version, dice);
        if (cell->content == ROW && (is_versioned(space) ? cell->version : 0) == version)
            cell->revision = dice;
    }
}

/* A notice that tells a version. */
static void step_notice(struct model *model, uint32_t space, int64_t id, uint64_t dice)
{
    struct cell *cell = &model->cells[space][id];
    struct l1_key key;
    l1_item_key(model->schemas[space], id, &key);
    key.key.values = &key.value;
    const int64_t version = (int64_t)(dice >> 8) % 50;
    const bool stays =
        model->l1->ops->drop_older(model->l1, model->spaces[space], &key.key, version);
    model_expire(cell);
    if (!is_versioned(space) || cell->content == ABSENT || cell->version < version)
        cell->content = NOTHING;
    if (!model->may_evict && cell->content == ROW)
        assert_int_equal(stays, cell->version == version);
    else if (stays) /* evicted, or expired: only what is of this version can have stayed */
        assert_true(is_versioned(space) && cell->version == version);
}

/* An answer from L2: the row that is cached is right. */
static void step_confirm(struct model *model, uint32_t space, int64_t id, uint64_t dice)
{
    struct cell *cell = &model->cells[space][id];
    struct l1_key key;
    l1_item_key(model->schemas[space], id, &key);
    key.key.values = &key.value;
    model_expire(cell);
    if (cell->content == NOTHING)
        return; /* an expired row would come back to life, which the model has forgotten */
    struct t3_l1 *l1 = model->l1;
    const uint32_t number = model->spaces[space];
    const int64_t version = dice % 3 == 0 ? (int64_t)(dice >> 8) % 50 : cell->version;
    const uint64_t revision = dice % 5 == 0 || is_versioned(space) ? dice >> 20 : cell->revision;
    const uint64_t confirmed_ms = moment_before((dice >> 30) % 3000);
    const bool is_current = dice % 7 != 0;
    const uint64_t ticket = l1->ops->ticket(l1, number, &key.key) - (is_current ? 0 : 1);
    l1->ops->confirm(l1, number, &key.key, version, revision, ticket, confirmed_ms, MODEL_AGE_MS);
    const bool is_it = is_versioned(space) ? cell->version == version
                                           : revision != 0 && cell->revision == revision;
    if (cell->content != ROW || !is_current || !is_it)
        return;
    cell->sure_until_ms = t3_now_coarse_ms() + MODEL_AGE_MS - MODEL_AGE_MS / 10 - 200;
    cell->gone_at_ms = t3_now_coarse_ms() + MODEL_AGE_MS;
    if (confirmed_ms < cell->confirmed_ms)
        return;
    cell->revision = revision;
    cell->confirmed_ms = confirmed_ms;
}

static void step(struct model *model)
{
    const uint64_t dice = next_random(&model->random) >> 8;
    const uint32_t space = (uint32_t)(dice >> 10) % SPACES;
    struct pending *pending = &model->pending[(dice >> 12) % PENDING];
    const int64_t id = (int64_t)((dice >> 20) % IDS);
    if (is_grey(model, space, id) ||
        (pending->is_used && is_grey(model, pending->space, pending->id))) {
        t3_clock_shift_ms(MODEL_AGE_MS / 5); /* past the grey time */
        return;
    }
    switch (dice % 16) {
    case 0: /* something leaves for the database */
    case 1: {
        struct l1_key key;
        l1_item_key(model->schemas[space], id, &key);
        key.key.values = &key.value;
        pending->is_used = true;
        pending->space = space;
        pending->id = id;
        pending->ticket = model->l1->ops->ticket(model->l1, model->spaces[space], &key.key);
        break;
    }
    case 2: /* something comes back */
    case 3:
    case 4:
    case 5:
        if (pending->is_used)
            step_put(model, pending->space, pending->id, pending->ticket);
        pending->is_used = false;
        break;
    case 6:
        step_forget(model, space, id, dice >> 16);
        break;
    case 7:
        if (dice >> 30 & 1)
            t3_clock_shift_ms(1);
        break;
    case 8:
        if (dice >> 31 & 1)
            step_notice(model, space, id, dice >> 16);
        else
            step_confirm(model, space, id, dice >> 16);
        break;
    default:
        step_look(model, space, id);
    }
}

static void run_model(const char *name, uint64_t bytes_max, bool may_evict)
{
    struct model *model = t3_alloc_zero(1, sizeof *model);
    struct tears_error error;
    assert_non_null(model);
    model->random = seed_for(name);
    model->may_evict = may_evict;
    assert_int_equal(t3_l1_memory_new(bytes_max, &model->l1, &error), TEARS_OK);
    for (uint32_t i = 0; i < SPACES; i++) {
        model->schemas[i] = l1_items_schema(i == 0 ? "items" : "plain", is_versioned(i));
        assert_int_equal(
            model->l1->ops->open_space(model->l1, model->schemas[i], &model->spaces[i], &error),
            TEARS_OK);
    }
    t3_clock_shift_ms(10000); /* the tier was there at all moments that the steps think of */
    const uint64_t steps = environment_number("T3_TEST_STEPS", 1000000);
    for (uint64_t i = 0; i < steps; i++) {
        step(model);
        if (i % 64 == 0)
            t3_arena_reset(&model->arena);
        struct t3_l1_stats stats;
        if (i % 1024 == 0) {
            model->l1->ops->stats(model->l1, &stats);
            assert_true(stats.bytes <= bytes_max);
        }
    }
    print_message("%s: %llu hits, %llu misses\n", name, (unsigned long long)model->hits,
                  (unsigned long long)model->misses);
    assert_true(model->hits > steps / 50);
    model->l1->ops->free(model->l1);
    for (uint32_t i = 0; i < SPACES; i++)
        tears_schema_free(model->schemas[i]);
    t3_arena_done(&model->arena);
    t3_free(model);
}

static void the_tier_does_what_the_model_does(void **state)
{
    (void)state;
    run_model("roomy", 16 << 20, false);
}

static void a_crowded_tier_forgets_but_never_lies(void **state)
{
    (void)state;
    run_model("crowded", 64 << 10, true);
}

/* ---- threads: a database that moves on, its writers, fillers and readers ---- */

enum { RACE_IDS = 64, READERS = 2, STRESS_STEPS = 150000 };

struct race {
    struct t3_l1 *l1;
    struct tears_schema *schema;
    uint32_t space;
    _Atomic int64_t database[RACE_IDS]; /* the version stored there */
    _Atomic int64_t told[RACE_IDS];     /* the version that L1 has been told of */
    atomic_bool is_over;
    atomic_uint_fast64_t hits;
    atomic_uint_fast64_t failures; /* cmocka's assertions are for the main thread */
};

/* The body says which row it is: version and id decide its length and every byte. */
static size_t body_bytes_of(int64_t id, int64_t version)
{
    return (size_t)((id * 131 + version * 17) % 700);
}

static unsigned char fill_of(int64_t id, int64_t version)
{
    return (unsigned char)(id * 7 + version);
}

static struct t3_row *race_row(struct race *race, struct t3_arena *arena, int64_t id,
                               int64_t version)
{
    return l1_item_row(arena, race->schema, id, version, body_bytes_of(id, version),
                       fill_of(id, version));
}

static bool is_whole(struct race *race, const struct t3_row *row, int64_t id)
{
    const struct t3_layout *layout = &race->schema->layout;
    if (!t3_row_is_sane(row, layout, row->size))
        return false;
    const int64_t version = t3_row_value(row, layout, 1).as.integer;
    const struct tears_str body = t3_row_value(row, layout, 3).as.bytes;
    if (t3_row_value(row, layout, 0).as.integer != id || body.len != body_bytes_of(id, version))
        return false;
    for (size_t i = 0; i < body.len; i++)
        if ((unsigned char)body.ptr[i] != fill_of(id, version))
            return false;
    return true;
}

/* Writes of this process and notices of others', one writer per key. */
static void *run_writer(void *argument)
{
    struct race *race = argument;
    struct t3_arena arena = {0};
    uint64_t random = 77;
    for (int i = 0; i < STRESS_STEPS; i++) {
        const int64_t id = (int64_t)random_below(&random, RACE_IDS);
        struct l1_key key;
        l1_item_key(race->schema, id, &key);
        key.key.values = &key.value;
        struct t3_l1_put put = l1_fill(race->l1, race->space, &key.key, NULL, 0);
        const int64_t version = atomic_fetch_add(&race->database[id], 1) + 1;
        if (random_below(&random, 3) == 0) {
            race->l1->ops->bump(race->l1, race->space, &key.key);
            race->l1->ops->drop(race->l1, race->space, &key.key);
        } else {
            put.row = race_row(race, &arena, id, version);
            put.version = version;
            put.own_write = true;
            if (race->l1->ops->put(race->l1, race->space, &put) != TEARS_OK)
                atomic_fetch_add(&race->failures, 1);
        }
        atomic_store(&race->told[id], version);
        if (i % 20000 == 0)
            race->l1->ops->clear(race->l1, race->space);
        t3_arena_reset(&arena);
    }
    atomic_store(&race->is_over, true);
    t3_arena_done(&arena);
    return NULL;
}

static void *run_filler(void *argument)
{
    struct race *race = argument;
    struct t3_arena arena = {0};
    uint64_t random = 99;
    while (!atomic_load(&race->is_over)) {
        const int64_t id = (int64_t)random_below(&random, RACE_IDS);
        struct l1_key key;
        l1_item_key(race->schema, id, &key);
        key.key.values = &key.value;
        struct t3_l1_put put = l1_fill(race->l1, race->space, &key.key, NULL, 0);
        put.version = atomic_load(&race->database[id]);
        put.row = race_row(race, &arena, id, put.version);
        if (race->l1->ops->put(race->l1, race->space, &put) != TEARS_OK)
            atomic_fetch_add(&race->failures, 1);
        race->l1->ops->set_revision(race->l1, race->space, &key.key, put.version,
                                    (uint64_t)put.version);
        t3_arena_reset(&arena);
    }
    t3_arena_done(&arena);
    return NULL;
}

/* A row read after L1 was told of a version is of that version or a later one, and whole. */
static void *run_reader(void *argument)
{
    struct race *race = argument;
    struct t3_arena arena = {0};
    uint64_t random = 55 + (uint64_t)(uintptr_t)&arena;
    uint64_t hits = 0;
    while (!atomic_load(&race->is_over)) {
        const int64_t id = (int64_t)random_below(&random, RACE_IDS);
        const int64_t told = atomic_load(&race->told[id]);
        struct l1_key key;
        l1_item_key(race->schema, id, &key);
        key.key.values = &key.value;
        enum t3_l1_answer answer;
        struct t3_l1_hit hit;
        struct tears_value value;
        struct t3_l1 *l1 = race->l1;
        if (l1->ops->get(l1, race->space, &key.key, &arena, &answer, &hit) != TEARS_OK)
            atomic_fetch_add(&race->failures, 1);
        else if (answer == T3_L1_HIT &&
                 (++hits, !is_whole(race, hit.row, id) ||
                              t3_row_value(hit.row, &race->schema->layout, 1).as.integer < told))
            atomic_fetch_add(&race->failures, 1);
        if (l1->ops->get_cell(l1, race->space, &key.key, 1, &arena, &answer, &value, &hit) !=
                TEARS_OK ||
            (answer == T3_L1_HIT && value.as.integer < told))
            atomic_fetch_add(&race->failures, 1);
        t3_arena_reset(&arena);
    }
    atomic_fetch_add(&race->hits, hits);
    t3_arena_done(&arena);
    return NULL;
}

static void run_race(bool versioned, uint64_t bytes_max)
{
    struct race *race = t3_alloc_zero(1, sizeof *race);
    struct tears_error error;
    pthread_t threads[2 + READERS];
    assert_non_null(race);
    race->schema = l1_items_schema("items", versioned);
    assert_int_equal(t3_l1_memory_new(bytes_max, &race->l1, &error), TEARS_OK);
    assert_int_equal(race->l1->ops->open_space(race->l1, race->schema, &race->space, &error),
                     TEARS_OK);
    assert_int_equal(pthread_create(&threads[0], NULL, run_writer, race), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, run_filler, race), 0);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[2 + i], NULL, run_reader, race), 0);
    for (size_t i = 0; i < T3_COUNT(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    struct t3_l1_stats stats;
    race->l1->ops->stats(race->l1, &stats);
    print_message("%llu hits, %llu stale fills, %llu evictions\n",
                  (unsigned long long)atomic_load(&race->hits),
                  (unsigned long long)stats.stale_fills, (unsigned long long)stats.evictions);
    assert_int_equal(atomic_load(&race->failures), 0);
    assert_true(atomic_load(&race->hits) > 0);
    assert_true(stats.bytes <= bytes_max);
    race->l1->ops->free(race->l1);
    tears_schema_free(race->schema);
    t3_free(race);
}

static void readers_see_whole_rows_and_never_go_back(void **state)
{
    (void)state;
    run_race(true, 4 << 20);
    run_race(false, 4 << 20);
}

static void the_same_while_rows_are_evicted(void **state)
{
    (void)state;
    run_race(true, 24 << 10);
    run_race(false, 24 << 10);
}

/* ---- a fill and a notice at the same moment ---- */

enum { DUELS = 20000 };

struct duel {
    struct t3_l1 *l1;
    struct tears_schema *schema;
    uint32_t space;
    pthread_barrier_t start;
    pthread_barrier_t end;
    struct t3_row *row;
    struct l1_key key;
    struct t3_arena rows;
    int64_t notice;        /* the version that the notices tell */
    struct t3_arena arena; /* of the thread of notices */
    uint64_t after_ms;     /* what was there after the notice; 0: nothing */
    uint64_t after_revision;
    atomic_bool is_over;
};

static void *run_notices(void *argument)
{
    struct duel *duel = argument;
    for (int i = 0; i < DUELS; i++) {
        pthread_barrier_wait(&duel->start);
        duel->l1->ops->bump(duel->l1, duel->space, &duel->key.key);
        duel->l1->ops->drop(duel->l1, duel->space, &duel->key.key);
        pthread_barrier_wait(&duel->end);
    }
    return NULL;
}

static void a_fill_from_before_a_notice_is_never_there_after_it(void **state)
{
    (void)state;
    struct duel duel = {.schema = l1_items_schema("items", true)};
    struct t3_arena arena = {0};
    struct tears_error error;
    pthread_t thread;
    int kept = 0;
    assert_int_equal(t3_l1_memory_new(1 << 20, &duel.l1, &error), TEARS_OK);
    assert_int_equal(duel.l1->ops->open_space(duel.l1, duel.schema, &duel.space, &error), TEARS_OK);
    l1_item_key(duel.schema, 1, &duel.key);
    duel.key.key.values = &duel.key.value;
    duel.row = l1_item_row(&arena, duel.schema, 1, 1, 50, 'x');
    pthread_barrier_init(&duel.start, NULL, 2);
    pthread_barrier_init(&duel.end, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, run_notices, &duel), 0);
    for (int i = 0; i < DUELS; i++) {
        const struct t3_l1_put put = l1_fill(duel.l1, duel.space, &duel.key.key, duel.row, 1);
        pthread_barrier_wait(&duel.start);
        const tears_status status = duel.l1->ops->put(duel.l1, duel.space, &put);
        pthread_barrier_wait(&duel.end);
        kept += status != TEARS_OK || duel.l1->ops->contains(duel.l1, duel.space, &duel.key.key);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(kept, 0);
    pthread_barrier_destroy(&duel.start);
    pthread_barrier_destroy(&duel.end);
    duel.l1->ops->free(duel.l1);
    tears_schema_free(duel.schema);
    t3_arena_done(&arena);
}

/* ---- a question that was on its way, and a notice, at the same moment ---- */

enum question { FILL_OF_OLD, CONFIRM_OF_OLD, FILL_OF_SAME, CONFIRM_OF_SAME, QUESTIONS };

/* A notice comes: the row there is older than it says, or just what it says. */
static void *run_versioned_notices(void *argument)
{
    struct duel *duel = argument;
    for (int i = 0; i < DUELS; i++) {
        pthread_barrier_wait(&duel->start);
        (void)duel->l1->ops->drop_older(duel->l1, duel->space, &duel->key.key, duel->notice);
        atomic_store(&duel->is_over, true);
        struct t3_l1_hit hit = {0};
        enum t3_l1_answer answer = T3_L1_MISS;
        t3_arena_reset(&duel->arena);
        if (duel->l1->ops->peek(duel->l1, duel->space, &duel->key.key, &duel->arena, &answer,
                                &hit) != TEARS_OK)
            answer = T3_L1_MISS;
        duel->after_ms = answer == T3_L1_HIT ? hit.confirmed_ms : 0;
        duel->after_revision = answer == T3_L1_HIT ? hit.revision : 0;
        pthread_barrier_wait(&duel->end);
    }
    return NULL;
}

static void ask_late(struct duel *duel, enum question question, uint64_t ticket, uint64_t now)
{
    struct t3_l1_put put = l1_fill(duel->l1, duel->space, &duel->key.key, duel->row, 1);
    put.ticket = ticket;
    put.confirmed_ms = now;
    put.revision = 9;
    if (question == FILL_OF_OLD || question == FILL_OF_SAME)
        assert_int_equal(duel->l1->ops->put(duel->l1, duel->space, &put), TEARS_OK);
    else
        duel->l1->ops->confirm(duel->l1, duel->space, &duel->key.key, 1, 9, ticket, now, HOUR_MS);
}

static void run_duel(enum question question)
{
    struct duel duel = {.schema = l1_items_schema("items", true),
                        .notice = question == FILL_OF_OLD || question == CONFIRM_OF_OLD ? 2 : 1};
    struct t3_arena arena = {0};
    struct tears_error error;
    struct t3_l1_hit hit;
    enum t3_l1_answer answer;
    pthread_t thread;
    int wrong = 0;
    assert_int_equal(t3_l1_memory_new(1 << 20, &duel.l1, &error), TEARS_OK);
    assert_int_equal(duel.l1->ops->open_space(duel.l1, duel.schema, &duel.space, &error), TEARS_OK);
    l1_item_key(duel.schema, 1, &duel.key);
    duel.key.key.values = &duel.key.value;
    duel.row = l1_item_row(&duel.rows, duel.schema, 1, 1, 50, 'x');
    t3_clock_shift_ms(10000);
    pthread_barrier_init(&duel.start, NULL, 2);
    pthread_barrier_init(&duel.end, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, run_versioned_notices, &duel), 0);
    for (int i = 0; i < DUELS; i++) {
        const uint64_t now = t3_now_coarse_ms();
        duel.l1->ops->drop(duel.l1, duel.space, &duel.key.key);
        struct t3_l1_put put = l1_fill(duel.l1, duel.space, &duel.key.key, duel.row, 1);
        put.confirmed_ms = now - 5000;
        put.revision = 8;
        assert_int_equal(duel.l1->ops->put(duel.l1, duel.space, &put), TEARS_OK);
        const uint64_t ticket = duel.l1->ops->ticket(duel.l1, duel.space, &duel.key.key);
        atomic_store(&duel.is_over, false);
        pthread_barrier_wait(&duel.start);
        do /* again and again: one of them is sure to meet the notice half way */
            ask_late(&duel, question, ticket, now);
        while (!atomic_load(&duel.is_over));
        pthread_barrier_wait(&duel.end);
        t3_arena_reset(&arena);
        assert_int_equal(
            duel.l1->ops->peek(duel.l1, duel.space, &duel.key.key, &arena, &answer, &hit),
            TEARS_OK);
        wrong += answer == T3_L1_HIT ? duel.notice == 2 || hit.confirmed_ms != duel.after_ms ||
                                           hit.revision != duel.after_revision
                                     : duel.notice == 1;
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(wrong, 0);
    pthread_barrier_destroy(&duel.start);
    pthread_barrier_destroy(&duel.end);
    duel.l1->ops->free(duel.l1);
    tears_schema_free(duel.schema);
    t3_arena_done(&duel.arena);
    t3_arena_done(&duel.rows);
    t3_arena_done(&arena);
}

/* After the notice nothing changes any more: what came before it is gone or was stamped before it. */
static void nothing_is_kept_or_stamped_after_a_notice(void **state)
{
    (void)state;
    for (int question = 0; question < QUESTIONS; question++)
        run_duel((enum question)question);
}

/* ---- a moment and its revision ---- */

enum { STAMPS = 200000 };

static void *run_stamps(void *argument)
{
    struct duel *duel = argument;
    const struct t3_l1_ops *ops = duel->l1->ops;
    for (uint64_t i = 1; i <= STAMPS; i++) {
        const uint64_t moment = duel->after_ms + i * TICK_MS;
        const uint64_t ticket = ops->ticket(duel->l1, duel->space, &duel->key.key);
        ops->confirm(duel->l1, duel->space, &duel->key.key, 1, i, ticket, moment, HOUR_MS);
    }
    atomic_store(&duel->is_over, true);
    return NULL;
}

/* The revision was right at the moment or later; an older one would be taken for one of another bucket's. */
static void a_reader_never_sees_a_moment_without_its_revision(void **state)
{
    (void)state;
    struct duel duel = {.schema = l1_items_schema("items", true), .after_ms = t3_now_coarse_ms()};
    struct t3_arena arena = {0};
    struct tears_error error;
    struct t3_l1_hit hit;
    enum t3_l1_answer answer;
    pthread_t thread;
    int wrong = 0;
    assert_int_equal(t3_l1_memory_new(1 << 20, &duel.l1, &error), TEARS_OK);
    assert_int_equal(duel.l1->ops->open_space(duel.l1, duel.schema, &duel.space, &error), TEARS_OK);
    l1_item_key(duel.schema, 1, &duel.key);
    duel.key.key.values = &duel.key.value;
    duel.row = l1_item_row(&duel.rows, duel.schema, 1, 1, 50, 'x');
    const struct t3_l1_put put = l1_fill(duel.l1, duel.space, &duel.key.key, duel.row, 1);
    assert_int_equal(duel.l1->ops->put(duel.l1, duel.space, &put), TEARS_OK);
    assert_int_equal(pthread_create(&thread, NULL, run_stamps, &duel), 0);
    while (!atomic_load(&duel.is_over)) {
        t3_arena_reset(&arena);
        assert_int_equal(
            duel.l1->ops->get(duel.l1, duel.space, &duel.key.key, &arena, &answer, &hit), TEARS_OK);
        const uint64_t passed =
            hit.confirmed_ms > duel.after_ms ? hit.confirmed_ms - duel.after_ms : 0;
        wrong += answer != T3_L1_HIT || hit.revision < passed / TICK_MS;
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(wrong, 0);
    duel.l1->ops->free(duel.l1);
    tears_schema_free(duel.schema);
    t3_arena_done(&duel.rows);
    t3_arena_done(&arena);
}

/* ---- trap 1: a stale set, every step of it behind a barrier ---- */

/*
 * A reader takes a ticket, asks the database, and comes back with what it found; a writer commits, and its notice
 * arrives.  The steps of the two are done in every order, each by its own thread.
 */
enum { READER_STEPS = 3, WRITER_STEPS = 2, ALL_STEPS = READER_STEPS + WRITER_STEPS };

struct schedule {
    struct duel duel;
    pthread_barrier_t step;
    bool is_writers[ALL_STEPS]; /* whose step it is */
    bool is_cached;             /* at the beginning the row is there */
    bool confirms;              /* the reader comes back to confirm, not to fill */
    bool is_versioned;
    int64_t database; /* the version there */
    uint64_t ticket;
    int64_t seen;
    uint64_t asked_ms;
};

static void come_back(struct schedule *schedule)
{
    struct duel *duel = &schedule->duel;
    struct t3_row *row = l1_item_row(&duel->rows, duel->schema, 1, schedule->seen, 50, 'x');
    struct t3_l1_put put = l1_fill(duel->l1, duel->space, &duel->key.key, row,
                                   schedule->is_versioned ? schedule->seen : 0);
    put.ticket = schedule->ticket;
    put.confirmed_ms = schedule->asked_ms;
    put.revision = (uint64_t)schedule->seen;
    if (!schedule->confirms)
        (void)!duel->l1->ops->put(duel->l1, duel->space, &put);
    else
        duel->l1->ops->confirm(duel->l1, duel->space, &duel->key.key, put.version, put.revision,
                               put.ticket, put.confirmed_ms, HOUR_MS);
}

static void reader_step(struct schedule *schedule, int step)
{
    struct duel *duel = &schedule->duel;
    if (step == 0)
        schedule->ticket = duel->l1->ops->ticket(duel->l1, duel->space, &duel->key.key);
    else if (step == 1)
        schedule->seen = schedule->database;
    else
        come_back(schedule);
}

static void writer_step(struct schedule *schedule, int step)
{
    struct duel *duel = &schedule->duel;
    if (step == 0)
        schedule->database = 2;
    else
        (void)duel->l1->ops->drop_older(duel->l1, duel->space, &duel->key.key, 2);
}

static void run_side(struct schedule *schedule, bool is_writer)
{
    int own = 0;
    for (int i = 0; i < ALL_STEPS; i++) {
        if (schedule->is_writers[i] == is_writer) {
            if (is_writer)
                writer_step(schedule, own++);
            else
                reader_step(schedule, own++);
        }
        pthread_barrier_wait(&schedule->step);
    }
}

static void *run_writer_side(void *argument)
{
    run_side(argument, true);
    return NULL;
}

static void play(struct schedule *schedule)
{
    struct duel *duel = &schedule->duel;
    pthread_t thread;
    t3_arena_reset(&duel->rows);
    duel->l1->ops->clear(duel->l1, duel->space);
    schedule->database = 1;
    schedule->asked_ms = t3_now_coarse_ms();
    struct t3_l1_put put =
        l1_fill(duel->l1, duel->space, &duel->key.key,
                l1_item_row(&duel->rows, duel->schema, 1, 1, 50, 'x'), schedule->is_versioned);
    put.revision = 1;
    if (schedule->is_cached)
        assert_int_equal(duel->l1->ops->put(duel->l1, duel->space, &put), TEARS_OK);
    assert_int_equal(pthread_create(&thread, NULL, run_writer_side, schedule), 0);
    run_side(schedule, false);
    assert_int_equal(pthread_join(thread, NULL), 0);

    enum t3_l1_answer answer;
    struct t3_l1_hit hit;
    assert_int_equal(
        duel->l1->ops->get(duel->l1, duel->space, &duel->key.key, &duel->rows, &answer, &hit),
        TEARS_OK);
    if (answer == T3_L1_HIT)
        assert_int_equal(t3_row_value(hit.row, &duel->schema->layout, 1).as.integer, 2);
}

static void play_all_orders(struct schedule *schedule)
{
    int orders = 0;
    for (unsigned bits = 0; bits < 1u << ALL_STEPS; bits++) {
        int writers = 0;
        for (int i = 0; i < ALL_STEPS; i++) {
            schedule->is_writers[i] = (bits >> i & 1) != 0;
            writers += schedule->is_writers[i];
        }
        if (writers != WRITER_STEPS)
            continue;
        play(schedule);
        orders++;
    }
    assert_int_equal(orders, 10);
}

static void play_on_tier(l1_constructor make, bool is_versioned)
{
    struct schedule schedule = {.is_versioned = is_versioned};
    struct duel *duel = &schedule.duel;
    struct tears_error error;
    duel->schema = l1_items_schema("items", is_versioned);
    assert_int_equal(make(4 << 20, &duel->l1, &error), TEARS_OK);
    assert_int_equal(duel->l1->ops->open_space(duel->l1, duel->schema, &duel->space, &error),
                     TEARS_OK);
    l1_item_key(duel->schema, 1, &duel->key);
    duel->key.key.values = &duel->key.value;
    pthread_barrier_init(&schedule.step, NULL, 2);
    for (int variant = 0; variant < 4; variant++) {
        schedule.is_cached = (variant & 1) != 0;
        schedule.confirms = (variant & 2) != 0;
        play_all_orders(&schedule);
    }
    pthread_barrier_destroy(&schedule.step);
    duel->l1->ops->free(duel->l1);
    tears_schema_free(duel->schema);
    t3_arena_done(&duel->rows);
}

static void trap_01_a_reader_installs_what_was_there_before_the_notice(void **state)
{
    (void)state;
    play_on_tier(t3_l1_memory_new, true);
    play_on_tier(t3_l1_memory_new, false);
    play_on_tier(t3_l1_sqlite_new, true);
    play_on_tier(t3_l1_sqlite_new, false);
}

/* ---- eviction: a zipf load with a scan through it ---- */

enum { POPULATION = 20000, SCANNED = 200000, REQUESTS = 400000, SCAN_PERCENT = 30 };

struct load {
    uint32_t *keys; /* ids; those from POPULATION on are the scan */
    struct t3_row *row;
};

static uint32_t zipf(const double *sums, double at)
{
    uint32_t low = 0;
    uint32_t high = POPULATION - 1;
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (sums[middle] < at * sums[POPULATION - 1])
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void make_load(struct load *load, uint64_t random)
{
    double *sums = t3_alloc(POPULATION * sizeof *sums);
    load->keys = t3_alloc(REQUESTS * sizeof *load->keys);
    assert_non_null(sums);
    assert_non_null(load->keys);
    double sum = 0;
    for (uint32_t i = 0; i < POPULATION; i++)
        sums[i] = sum += pow(i + 1, -0.9);
    uint32_t scanned = 0;
    for (int i = 0; i < REQUESTS; i++) {
        const double at = (double)(next_random(&random) >> 11) / 9007199254740992.0;
        load->keys[i] = random_below(&random, 100) < SCAN_PERCENT ? POPULATION + scanned++ % SCANNED
                                                                  : zipf(sums, at);
    }
    t3_free(sums);
}

/* The hit ratio of the zipf part through the tier; the rows the tier held at its fullest. */
static double ratio_of_tier(const struct load *load, uint64_t *rows_out)
{
    struct t3_l1 *l1 = NULL;
    struct tears_schema *schema = l1_items_schema("items", true);
    struct tears_error error;
    struct t3_arena arena = {0};
    uint32_t space;
    uint64_t hits = 0;
    uint64_t asked = 0;
    *rows_out = 0;
    assert_int_equal(t3_l1_memory_new(1 << 20, &l1, &error), TEARS_OK);
    assert_int_equal(l1->ops->open_space(l1, schema, &space, &error), TEARS_OK);
    for (int i = 0; i < REQUESTS; i++) {
        struct l1_key key;
        enum t3_l1_answer answer;
        struct t3_l1_hit hit;
        l1_item_key(schema, load->keys[i], &key);
        key.key.values = &key.value;
        t3_arena_reset(&arena);
        assert_int_equal(l1->ops->get(l1, space, &key.key, &arena, &answer, &hit), TEARS_OK);
        const bool is_zipf = load->keys[i] < POPULATION;
        asked += is_zipf;
        hits += is_zipf && answer == T3_L1_HIT;
        if (answer != T3_L1_HIT) {
            const struct t3_row *row = l1_item_row(&arena, schema, load->keys[i], 1, 250, 'x');
            const struct t3_l1_put put = l1_fill(l1, space, &key.key, row, 1);
            assert_int_equal(l1->ops->put(l1, space, &put), TEARS_OK);
        }
        struct t3_l1_stats stats;
        l1->ops->stats(l1, &stats);
        if (stats.rows > *rows_out)
            *rows_out = stats.rows;
    }
    l1->ops->free(l1);
    tears_schema_free(schema);
    t3_arena_done(&arena);
    return (double)hits / (double)asked;
}

/* The same through a list of `rows` ids: the one used (LRU) or put (FIFO) longest ago goes. */
static double ratio_of_list(const struct load *load, uint64_t rows, bool is_lru)
{
    const uint32_t none = UINT32_MAX;
    const uint32_t ids = POPULATION + SCANNED;
    uint32_t *next = t3_alloc((ids + 1) * sizeof *next);
    uint32_t *previous = t3_alloc((ids + 1) * sizeof *previous);
    assert_non_null(next);
    assert_non_null(previous);
    for (uint32_t i = 0; i <= ids; i++)
        next[i] = previous[i] = none;
    next[ids] = previous[ids] = ids; /* the ends of the list meet here */
    uint64_t count = 0;
    uint64_t hits = 0;
    uint64_t asked = 0;
    for (int i = 0; i < REQUESTS; i++) {
        const uint32_t id = load->keys[i];
        const bool is_there = next[id] != none;
        asked += id < POPULATION;
        hits += id < POPULATION && is_there;
        if (is_there && !is_lru)
            continue;
        const uint32_t out = is_there ? id : count == rows ? previous[ids] : none;
        if (out != none) {
            next[previous[out]] = next[out];
            previous[next[out]] = previous[out];
            next[out] = none;
            count--;
        }
        next[id] = next[ids];
        previous[id] = ids;
        previous[next[ids]] = id;
        next[ids] = id;
        count++;
    }
    t3_free(next);
    t3_free(previous);
    return (double)hits / (double)asked;
}

static void a_scan_does_not_push_out_the_rows_in_use(void **state)
{
    (void)state;
    struct load load;
    uint64_t rows;
    make_load(&load, seed_for("scan"));
    const double tier = ratio_of_tier(&load, &rows);
    const double lru = ratio_of_list(&load, rows, true);
    const double fifo = ratio_of_list(&load, rows, false);
    print_message("%llu rows: tier %.4f, LRU %.4f, FIFO %.4f\n", (unsigned long long)rows, tier,
                  lru, fifo);
    assert_true(lru > fifo);
    assert_true(tier > lru + 0.03); /* the simulation in docs/adr/0010 says about 0.1 */
    t3_free(load.keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tier_does_what_the_model_does),
        cmocka_unit_test(a_crowded_tier_forgets_but_never_lies),
        cmocka_unit_test(readers_see_whole_rows_and_never_go_back),
        cmocka_unit_test(the_same_while_rows_are_evicted),
        cmocka_unit_test(a_fill_from_before_a_notice_is_never_there_after_it),
        cmocka_unit_test(nothing_is_kept_or_stamped_after_a_notice),
        cmocka_unit_test(a_reader_never_sees_a_moment_without_its_revision),
        cmocka_unit_test(trap_01_a_reader_installs_what_was_there_before_the_notice),
        cmocka_unit_test(a_scan_does_not_push_out_the_rows_in_use),
    };
    return cmocka_run_group_tests_name("l1_property", tests, NULL, NULL);
}
