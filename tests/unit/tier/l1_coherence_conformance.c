/*
 * l1_coherence_conformance.c -- the sentences of tier/l1.h about moments, ages and notices, each as a test.
 *
 * Owns: one tier, three tables and an arena per test.  Begin at: l1_coherence_conformance_run(), at the end.
 */
#include "unit/tier/l1_coherence_conformance.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { HOUR_MS = 3600000, TICK_MS = 32, BUDGET = 4 << 20, CROWDED = 64 << 10 };

static l1_constructor make_tier;

/* ---- tables ---- */

struct tears_schema *l1_pairs_schema(void)
{
    const struct tears_column_def columns[] = {
        {.name = TEARS_STR("a"), .type = TEARS_TYPE_BIGINT},
        {.name = TEARS_STR("b"), .type = TEARS_TYPE_BIGINT},
        {.name = TEARS_STR("row_version"), .type = TEARS_TYPE_BIGINT},
    };
    const struct tears_str primary_key[] = {TEARS_STR("a"), TEARS_STR("b")};
    const struct tears_schema_def def = {.name = TEARS_STR("pairs"),
                                         .primary_key = primary_key,
                                         .primary_key_count = 2,
                                         .columns = columns,
                                         .column_count = T3_COUNT(columns),
                                         .version_column = TEARS_STR("row_version")};
    struct tears_schema *schema = NULL;
    struct tears_error error;
    assert_int_equal(tears_schema_new(&def, &schema, &error), TEARS_OK);
    return schema;
}

/* The hash of a key's first integer, as schema/key.c begins it for two columns. */
static uint64_t begin_hash(int64_t a)
{
    __extension__ typedef unsigned __int128 wide;
    uint64_t hash = 0x8ebc6af09c88c6e3u + 2;
    const uint64_t words[] = {(uint64_t)a, 0xff51afd7ed558ccdu};
    for (size_t i = 0; i < T3_COUNT(words); i++) {
        const wide product = (wide)(hash ^ words[i]) * 0x9e3779b97f4a7c15u;
        hash = (uint64_t)product ^ (uint64_t)(product >> 64);
    }
    return hash;
}

int64_t l1_colliding_b(int64_t a, int64_t b, int64_t other_a)
{
    return (int64_t)(begin_hash(a) ^ (uint64_t)b ^ begin_hash(other_a));
}

/* ---- the world of one test ---- */

struct world {
    struct t3_l1 *l1;
    struct tears_schema *schema; /* versioned */
    struct tears_schema *plain;  /* not */
    struct tears_schema *pairs;
    uint32_t space;
    uint32_t plain_space;
    uint32_t pairs_space;
    struct t3_arena arena;
};

static void open_world(struct world *world, uint64_t bytes_max)
{
    struct tears_error error;
    memset(world, 0, sizeof *world);
    world->schema = l1_items_schema("items", true);
    world->plain = l1_items_schema("plain", false);
    world->pairs = l1_pairs_schema();
    assert_int_equal(make_tier(bytes_max, &world->l1, &error), TEARS_OK);
    struct t3_l1 *l1 = world->l1;
    assert_int_equal(l1->ops->open_space(l1, world->schema, &world->space, &error), TEARS_OK);
    assert_int_equal(l1->ops->open_space(l1, world->plain, &world->plain_space, &error), TEARS_OK);
    assert_int_equal(l1->ops->open_space(l1, world->pairs, &world->pairs_space, &error), TEARS_OK);
}

static void close_world(struct world *world)
{
    world->l1->ops->free(world->l1);
    tears_schema_free(world->schema);
    tears_schema_free(world->plain);
    tears_schema_free(world->pairs);
    t3_arena_done(&world->arena);
}

static int set_up(void **state)
{
    struct world *world = t3_alloc_zero(1, sizeof *world);
    if (world == NULL)
        return -1;
    open_world(world, BUDGET);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    close_world(*state);
    t3_free(*state);
    return 0;
}

static struct l1_key key_of(struct world *world, int64_t id)
{
    struct l1_key key;
    l1_item_key(world->schema, id, &key);
    return key;
}

/* Keys point into themselves, so a copy must be mended. */
#define KEY(name, id)                       \
    struct l1_key name = key_of(world, id); \
    name.key.values = &name.value

static struct t3_row *row_of(struct world *world, int64_t id, int64_t version)
{
    return l1_item_row(&world->arena, world->schema, id, version, 40, 'x');
}

static enum t3_l1_answer look(struct world *world, uint32_t space, const struct t3_key *key,
                              struct t3_l1_hit *hit_out)
{
    enum t3_l1_answer answer = T3_L1_MISS;
    memset(hit_out, 0, sizeof *hit_out);
    assert_int_equal(world->l1->ops->get(world->l1, space, key, &world->arena, &answer, hit_out),
                     TEARS_OK);
    assert_int_equal(world->l1->ops->contains(world->l1, space, key), answer == T3_L1_HIT);
    return answer;
}

static enum t3_l1_answer peek(struct world *world, uint32_t space, const struct t3_key *key,
                              struct t3_l1_hit *hit_out)
{
    enum t3_l1_answer answer = T3_L1_MISS;
    memset(hit_out, 0, sizeof *hit_out);
    assert_int_equal(world->l1->ops->peek(world->l1, space, key, &world->arena, &answer, hit_out),
                     TEARS_OK);
    return answer;
}

static enum t3_l1_answer look_at_cell(struct world *world, uint32_t space, const struct t3_key *key,
                                      struct tears_value *value, struct t3_l1_hit *hit_out)
{
    enum t3_l1_answer answer = T3_L1_MISS;
    memset(hit_out, 0, sizeof *hit_out);
    assert_int_equal(
        world->l1->ops->get_cell(world->l1, space, key, 1, &world->arena, &answer, value, hit_out),
        TEARS_OK);
    return answer;
}

static enum t3_l1_answer answer_of(struct world *world, uint32_t space, const struct t3_key *key)
{
    struct t3_l1_hit hit;
    return look(world, space, key, &hit);
}

static int64_t version_of(struct world *world, const struct t3_l1_hit *hit)
{
    return t3_row_value(hit->row, &world->schema->layout, 1).as.integer;
}

/* The version that is there; 0: none. */
static int64_t version_there(struct world *world, uint32_t space, const struct t3_key *key)
{
    struct t3_l1_hit hit;
    return look(world, space, key, &hit) == T3_L1_HIT ? version_of(world, &hit) : 0;
}

static void put(struct world *world, uint32_t space, const struct t3_l1_put *what)
{
    assert_int_equal(world->l1->ops->put(world->l1, space, what), TEARS_OK);
}

static void fill(struct world *world, uint32_t space, const struct t3_key *key, int64_t id,
                 int64_t version)
{
    const struct t3_l1_put what =
        l1_fill(world->l1, space, key, row_of(world, id, version), version);
    put(world, space, &what);
}

/* A fill that was asked for at `confirmed_ms` and knows a revision. */
static void fill_at(struct world *world, uint32_t space, const struct t3_key *key, int64_t version,
                    uint64_t confirmed_ms, uint64_t revision)
{
    struct t3_l1_put what = l1_fill(world->l1, space, key, row_of(world, 1, version), version);
    what.confirmed_ms = confirmed_ms;
    what.revision = revision;
    put(world, space, &what);
}

static void fill_absent_at(struct world *world, uint32_t space, const struct t3_key *key,
                           uint64_t confirmed_ms)
{
    struct t3_l1_put what = l1_fill(world->l1, space, key, NULL, 0);
    what.confirmed_ms = confirmed_ms;
    put(world, space, &what);
}

static uint64_t ticket_of(struct world *world, uint32_t space, const struct t3_key *key)
{
    return world->l1->ops->ticket(world->l1, space, key);
}

static bool drop_older(struct world *world, uint32_t space, const struct t3_key *key,
                       int64_t version)
{
    return world->l1->ops->drop_older(world->l1, space, key, version);
}

/* Whether a moment came back as it must: not later, and less than a tick earlier. */
static bool is_rounded(uint64_t got, uint64_t put_ms)
{
    return got <= put_ms && got + TICK_MS > put_ms;
}

/* Fills the tier with rows that nobody asks for again. */
static void crowd(struct world *world, int64_t first, int64_t count)
{
    for (int64_t id = first; id < first + count; id++) {
        KEY(key, id);
        fill(world, world->plain_space, &key.key, id, 1);
        t3_arena_reset(&world->arena);
    }
}

/* ---- moments ---- */

static void a_hit_tells_when_it_was_right(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    KEY(absent, 2);
    struct tears_value value;
    struct t3_l1_hit hit;
    t3_clock_shift_ms(10000);
    const uint64_t asked = t3_now_coarse_ms() - 5000;
    fill_at(world, world->space, &key.key, 5, asked, 70);
    fill_absent_at(world, world->space, &absent.key, asked - 1000);

    assert_int_equal(look(world, world->space, &key.key, &hit), T3_L1_HIT);
    assert_true(is_rounded(hit.confirmed_ms, asked));
    assert_true(hit.now_ms >= asked + 5000 && hit.now_ms <= t3_now_coarse_ms());
    assert_true(hit.expires_ms > hit.now_ms + HOUR_MS / 10 * 9 - 10000);
    assert_true(hit.expires_ms <= hit.now_ms + HOUR_MS);
    const struct t3_l1_hit row_hit = hit;

    assert_int_equal(look_at_cell(world, world->space, &key.key, &value, &hit), T3_L1_HIT);
    assert_int_equal(value.as.integer, 5);
    assert_true(hit.confirmed_ms == row_hit.confirmed_ms && hit.expires_ms == row_hit.expires_ms);
    assert_true(hit.revision == 70 && hit.now_ms >= row_hit.now_ms);

    assert_int_equal(look(world, world->space, &absent.key, &hit), T3_L1_ABSENT);
    assert_null(hit.row);
    assert_true(is_rounded(hit.confirmed_ms, asked - 1000));
    assert_int_equal(look_at_cell(world, world->space, &absent.key, &value, &hit), T3_L1_ABSENT);
    assert_true(is_rounded(hit.confirmed_ms, asked - 1000));
    assert_int_equal(peek(world, world->space, &absent.key, &hit), T3_L1_ABSENT);
    assert_true(is_rounded(hit.confirmed_ms, asked - 1000));
}

static void a_moment_is_never_rounded_up(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    struct t3_l1_hit hit;
    const uint64_t began = t3_now_coarse_ms();
    t3_clock_shift_ms(1000);
    for (uint64_t i = 0; i < 200; i++) {
        world->l1->ops->drop(world->l1, world->space, &key.key);
        fill_at(world, world->space, &key.key, 5, began + i, 0);
        assert_int_equal(look(world, world->space, &key.key, &hit), T3_L1_HIT);
        assert_true(is_rounded(hit.confirmed_ms, began + i));
    }
    const uint64_t before[] = {0, 1, began - 60000}; /* the tier was not there yet */
    for (size_t i = 0; i < T3_COUNT(before); i++) {
        world->l1->ops->drop(world->l1, world->space, &key.key);
        fill_at(world, world->space, &key.key, 5, before[i], 0);
        assert_int_equal(look(world, world->space, &key.key, &hit), T3_L1_HIT);
        assert_true(hit.confirmed_ms <= before[i]);
    }
}

static void the_same_version_keeps_the_later_moment_and_its_revision(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    struct t3_l1_hit hit;
    t3_clock_shift_ms(10000);
    const uint64_t now = t3_now_coarse_ms();
    fill_at(world, world->space, &key.key, 5, now - 2000, 70);
    fill_at(world, world->space, &key.key, 5, now - 4000, 60); /* asked before, back after */
    assert_int_equal(look(world, world->space, &key.key, &hit), T3_L1_HIT);
    assert_true(is_rounded(hit.confirmed_ms, now - 2000));
    assert_int_equal(hit.revision, 70);
    fill_at(world, world->space, &key.key, 5, now - 1000, 80);
    assert_int_equal(look(world, world->space, &key.key, &hit), T3_L1_HIT);
    assert_true(is_rounded(hit.confirmed_ms, now - 1000));
    assert_int_equal(hit.revision, 80);
    fill_at(world, world->space, &key.key, 6, now - 3000, 0); /* another row: its own moment */
    assert_int_equal(look(world, world->space, &key.key, &hit), T3_L1_HIT);
    assert_true(is_rounded(hit.confirmed_ms, now - 3000));
}

static void an_own_write_keeps_the_later_moment_only_with_a_living_ticket(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    struct t3_l1_hit hit;
    t3_clock_shift_ms(10000);
    const uint64_t now = t3_now_coarse_ms();
    for (int dies = 0; dies < 2; dies++) {
        world->l1->ops->drop(world->l1, world->space, &key.key);
        fill_at(world, world->space, &key.key, 5, now - 1000, 0);
        struct t3_l1_put what = l1_fill(world->l1, world->space, &key.key, row_of(world, 1, 5), 5);
        what.own_write = true;
        what.confirmed_ms = now - 3000;
        if (dies)
            world->l1->ops->bump(world->l1, world->space, &key.key);
        put(world, world->space, &what);
        assert_int_equal(look(world, world->space, &key.key, &hit), T3_L1_HIT);
        assert_true(is_rounded(hit.confirmed_ms, dies ? now - 3000 : now - 1000));
    }
}

static void without_versions_a_row_has_its_own_moment(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    struct t3_l1_hit hit;
    t3_clock_shift_ms(10000);
    const uint64_t now = t3_now_coarse_ms();
    fill_at(world, world->plain_space, &key.key, 5, now - 1000, 0);
    fill_at(world, world->plain_space, &key.key, 6, now - 3000, 0);
    assert_int_equal(look(world, world->plain_space, &key.key, &hit), T3_L1_HIT);
    assert_true(is_rounded(hit.confirmed_ms, now - 3000));
    world->l1->ops->drop(world->l1, world->plain_space, &key.key);
    fill_absent_at(world, world->plain_space, &key.key, now - 1000);
    fill_absent_at(world, world->plain_space, &key.key, now - 3000); /* the same: nothing */
    assert_int_equal(look(world, world->plain_space, &key.key, &hit), T3_L1_ABSENT);
    assert_true(is_rounded(hit.confirmed_ms, now - 1000));
}

/* ---- ages ---- */

static void an_expired_row_is_given_to_who_asks_for_the_row(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    struct t3_l1_hit hit;
    struct tears_value value = tears_int(9);
    const struct t3_row *row = row_of(world, 1, 5);
    fill_at(world, world->space, &key.key, 5, t3_now_coarse_ms(), 70);
    t3_clock_shift_ms(HOUR_MS);
    assert_int_equal(look(world, world->space, &key.key, &hit), T3_L1_EXPIRED);
    assert_int_equal(hit.row->size, row->size);
    assert_memory_equal(hit.row, row, row->size);
    assert_int_equal(hit.revision, 70);
    assert_true(hit.expires_ms <= hit.now_ms && hit.confirmed_ms + HOUR_MS <= hit.now_ms);
    assert_int_equal(peek(world, world->space, &key.key, &hit), T3_L1_EXPIRED);
    assert_int_equal(version_of(world, &hit), 5);
    assert_int_equal(look_at_cell(world, world->space, &key.key, &value, &hit), T3_L1_MISS);
    assert_int_equal(value.as.integer, 9);
}

static void an_expired_negative_entry_is_for_people_only(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    struct t3_l1_hit hit;
    fill_absent_at(world, world->space, &key.key, t3_now_coarse_ms());
    t3_clock_shift_ms(HOUR_MS);
    assert_int_equal(look(world, world->space, &key.key, &hit), T3_L1_MISS);
    assert_int_equal(peek(world, world->space, &key.key, &hit), T3_L1_ABSENT);
    assert_true(hit.expires_ms <= hit.now_ms);
    KEY(nothing, 2);
    assert_int_equal(peek(world, world->space, &nothing.key, &hit), T3_L1_MISS);
}

/* Of rows that are looked at all the time, those stay that get gives as hits. */
static void what_is_expired_or_only_peeked_at_is_not_spared(void **state)
{
    (void)state;
    struct world here;
    struct world *world = &here;
    struct t3_l1_hit hit;
    open_world(world, CROWDED);
    KEY(used, 1);
    KEY(expired, 2);
    KEY(peeked, 3);
    struct t3_l1_put brief = l1_fill(world->l1, world->space, &expired.key, row_of(world, 2, 5), 5);
    brief.age_ms_max = 1000;
    put(world, world->space, &brief);
    t3_clock_shift_ms(1000);
    fill(world, world->space, &used.key, 1, 5);
    fill(world, world->space, &peeked.key, 3, 5);
    for (int64_t round = 0; round < 300; round++) {
        (void)look(world, world->space, &used.key, &hit);
        (void)look(world, world->space, &expired.key, &hit);
        (void)peek(world, world->space, &peeked.key, &hit);
        crowd(world, 1000 + round * 10, 10);
    }
    assert_int_equal(answer_of(world, world->space, &used.key), T3_L1_HIT);
    assert_int_equal(peek(world, world->space, &expired.key, &hit), T3_L1_MISS);
    assert_int_equal(peek(world, world->space, &peeked.key, &hit), T3_L1_MISS);
    close_world(world);
}

/* ---- confirming ---- */

/* Confirms with a ticket of now. */
static void confirm(struct world *world, uint32_t space, const struct t3_key *key, int64_t version,
                    uint64_t revision, uint64_t confirmed_ms)
{
    world->l1->ops->confirm(world->l1, space, key, version, revision, ticket_of(world, space, key),
                            confirmed_ms, HOUR_MS);
}

static void a_confirmed_row_has_a_new_moment_age_and_revision(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    struct t3_l1_hit hit;
    fill_at(world, world->space, &key.key, 5, t3_now_coarse_ms(), 70);
    t3_clock_shift_ms(HOUR_MS);
    assert_int_equal(answer_of(world, world->space, &key.key), T3_L1_EXPIRED);
    const uint64_t asked = t3_now_coarse_ms() - 10;
    confirm(world, world->space, &key.key, 5, 71, asked);
    assert_int_equal(look(world, world->space, &key.key, &hit), T3_L1_HIT);
    assert_true(is_rounded(hit.confirmed_ms, asked));
    assert_int_equal(hit.revision, 71);
    assert_true(hit.expires_ms > hit.now_ms + HOUR_MS / 10 * 9 - 10000);
    confirm(world, world->space, &key.key, 5, 60, asked - 5000); /* asked before that */
    assert_int_equal(look(world, world->space, &key.key, &hit), T3_L1_HIT);
    assert_true(is_rounded(hit.confirmed_ms, asked));
    assert_int_equal(hit.revision, 71);
    confirm(world, world->space, &key.key, 5, 0, asked + 5000); /* of a revision nobody knows */
    assert_int_equal(look(world, world->space, &key.key, &hit), T3_L1_HIT);
    assert_int_equal(hit.revision, 0);
}

static void only_the_row_that_was_asked_about_is_confirmed(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    KEY(absent, 2);
    KEY(nothing, 3);
    struct t3_l1_hit hit;
    t3_clock_shift_ms(10000);
    const uint64_t before = t3_now_coarse_ms() - 5000;
    fill_at(world, world->space, &key.key, 5, before, 70);
    fill_absent_at(world, world->space, &absent.key, before);
    confirm(world, world->space, &key.key, 4, 70, before + 4000);
    confirm(world, world->space, &key.key, 6, 70, before + 4000);
    confirm(world, world->space, &absent.key, 0, 0, before + 4000);
    confirm(world, world->space, &nothing.key, 5, 70, before + 4000);
    assert_int_equal(look(world, world->space, &key.key, &hit), T3_L1_HIT);
    assert_true(is_rounded(hit.confirmed_ms, before));
    assert_int_equal(look(world, world->space, &absent.key, &hit), T3_L1_ABSENT);
    assert_true(is_rounded(hit.confirmed_ms, before));
    assert_int_equal(answer_of(world, world->space, &nothing.key), T3_L1_MISS);
}

static void without_versions_the_revision_says_which_row(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    KEY(unknown, 2);
    struct t3_l1_hit hit;
    t3_clock_shift_ms(10000);
    const uint64_t before = t3_now_coarse_ms() - 5000;
    fill_at(world, world->plain_space, &key.key, 5, before, 70);
    confirm(world, world->plain_space, &key.key, 0, 71, before + 3000);
    assert_int_equal(look(world, world->plain_space, &key.key, &hit), T3_L1_HIT);
    assert_true(is_rounded(hit.confirmed_ms, before));
    confirm(world, world->plain_space, &key.key, 0, 70, before + 3000);
    assert_int_equal(look(world, world->plain_space, &key.key, &hit), T3_L1_HIT);
    assert_true(is_rounded(hit.confirmed_ms, before + 3000));
    struct t3_l1_put what =
        l1_fill(world->l1, world->plain_space, &unknown.key, row_of(world, 2, 5), 0);
    what.confirmed_ms = before;
    put(world, world->plain_space, &what);
    confirm(world, world->plain_space, &unknown.key, 0, 0, before + 3000);
    assert_int_equal(look(world, world->plain_space, &unknown.key, &hit), T3_L1_HIT);
    assert_true(is_rounded(hit.confirmed_ms, before));
}

static void a_confirmation_whose_ticket_died_stamps_nothing(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    struct t3_l1_hit hit;
    t3_clock_shift_ms(10000);
    const uint64_t before = t3_now_coarse_ms() - 5000;
    fill_at(world, world->space, &key.key, 5, before, 70);
    const uint64_t ticket = ticket_of(world, world->space, &key.key);
    assert_true(drop_older(world, world->space, &key.key, 5));
    world->l1->ops->confirm(world->l1, world->space, &key.key, 5, 71, ticket, before + 4000,
                            HOUR_MS);
    assert_int_equal(look(world, world->space, &key.key, &hit), T3_L1_HIT);
    assert_true(is_rounded(hit.confirmed_ms, before));
    assert_int_equal(hit.revision, 70);
}

/* ---- notices that tell a version ---- */

static void a_notice_drops_what_is_older_only(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    fill(world, world->space, &key.key, 1, 5);
    assert_false(drop_older(world, world->space, &key.key, 4)); /* ours is newer */
    assert_int_equal(version_there(world, world->space, &key.key), 5);
    assert_true(drop_older(world, world->space, &key.key, 5));
    assert_int_equal(version_there(world, world->space, &key.key), 5);
    assert_false(drop_older(world, world->space, &key.key, 6));
    assert_int_equal(answer_of(world, world->space, &key.key), T3_L1_MISS);
    assert_false(drop_older(world, world->space, &key.key, 6));

    fill(world, world->plain_space, &key.key, 1, 5);
    assert_false(drop_older(world, world->plain_space, &key.key, 0));
    assert_int_equal(answer_of(world, world->plain_space, &key.key), T3_L1_MISS);
    fill_absent_at(world, world->space, &key.key, t3_now_coarse_ms());
    assert_false(drop_older(world, world->space, &key.key, 0));
    assert_int_equal(answer_of(world, world->space, &key.key), T3_L1_MISS);
}

static void an_expired_row_is_dropped_and_kept_by_the_same_rule(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    fill(world, world->space, &key.key, 1, 5);
    t3_clock_shift_ms(HOUR_MS);
    assert_true(drop_older(world, world->space, &key.key, 5));
    assert_int_equal(answer_of(world, world->space, &key.key), T3_L1_EXPIRED);
    assert_false(drop_older(world, world->space, &key.key, 6));
    assert_int_equal(answer_of(world, world->space, &key.key), T3_L1_MISS);
}

static void a_notice_kills_fills_under_way_whatever_is_there(void **state)
{
    struct world *world = *state;
    KEY(cached, 1);
    KEY(absent, 2);
    KEY(nothing, 3);
    fill(world, world->space, &cached.key, 1, 5);
    fill_absent_at(world, world->space, &absent.key, t3_now_coarse_ms());
    const struct t3_key *keys[] = {&cached.key, &absent.key, &nothing.key};
    for (size_t i = 0; i < T3_COUNT(keys); i++) {
        const struct t3_l1_put late =
            l1_fill(world->l1, world->space, keys[i], row_of(world, (int64_t)i + 1, 9), 9);
        (void)drop_older(world, world->space, keys[i], 5);
        assert_true(ticket_of(world, world->space, keys[i]) != late.ticket);
        put(world, world->space, &late);
        assert_int_equal(version_there(world, world->space, keys[i]), i == 0 ? 5 : 0);
    }
}

/* ---- collecting ---- */

enum { COLLECTED = 600 };

/* Collects all, `at_a_time` keys; how often each id came is added to `times`. */
static void collect_all(struct world *world, uint32_t space, uint64_t before_ms, size_t at_a_time,
                        int *times)
{
    struct t3_key keys[64];
    uint64_t cursor = 0;
    size_t calls = 0;
    do {
        size_t count = 99;
        assert_int_equal(world->l1->ops->collect(world->l1, space, before_ms, &cursor, at_a_time,
                                                 &world->arena, keys, &count),
                         TEARS_OK);
        assert_true(count <= at_a_time);
        for (size_t i = 0; i < count; i++) {
            const int64_t id = keys[i].values[0].as.integer;
            KEY(key, id);
            assert_true(t3_key_equal(&keys[i], &key.key));
            assert_true(id >= 0 && id < COLLECTED);
            times[id]++;
        }
        assert_true(++calls < 10000);
    } while (cursor != 0);
}

static void what_was_confirmed_before_is_collected_once(void **state)
{
    struct world *world = *state;
    const size_t portions[] = {1, 7, 64};
    t3_clock_shift_ms(10000);
    const uint64_t moment = t3_now_coarse_ms() - 5000;
    for (int64_t id = 0; id < COLLECTED; id++) {
        KEY(key, id);
        struct t3_l1_put what =
            l1_fill(world->l1, world->space, &key.key, id % 5 == 0 ? NULL : row_of(world, id, 5),
                    id % 5 == 0 ? 0 : 5);
        what.confirmed_ms = id % 2 == 0 ? moment - 1000 : moment + 1000;
        what.age_ms_max = id % 3 == 0 ? 1000 : HOUR_MS;
        put(world, world->space, &what);
        fill_at(world, world->plain_space, &key.key, 5, 0, 0); /* not asked for */
    }
    t3_clock_shift_ms(1000);
    for (size_t i = 0; i < T3_COUNT(portions); i++) {
        int times[COLLECTED] = {0};
        collect_all(world, world->space, moment, portions[i], times);
        for (int64_t id = 0; id < COLLECTED; id++)
            assert_int_equal(times[id], id % 2 == 0 && id % 3 != 0);
    }
}

static void an_empty_table_is_collected_at_once(void **state)
{
    struct world *world = *state;
    int times[COLLECTED] = {0};
    KEY(key, 1);
    fill(world, world->plain_space, &key.key, 1, 5);
    collect_all(world, world->space, UINT64_MAX, 1, times);
    assert_int_equal(times[1], 0);
}

/* The table grows and shrinks meanwhile. */
static void collecting_ends_whatever_happens(void **state)
{
    struct world *world = *state;
    struct t3_key keys[4];
    uint64_t cursor = 0;
    int calls = 0;
    crowd(world, 0, 100);
    do {
        size_t count;
        assert_int_equal(world->l1->ops->collect(world->l1, world->plain_space, UINT64_MAX, &cursor,
                                                 T3_COUNT(keys), &world->arena, keys, &count),
                         TEARS_OK);
        t3_arena_reset(&world->arena);
        crowd(world, calls * 50, 50);
        if (calls == 40)
            world->l1->ops->clear(world->l1, world->plain_space);
        assert_true(++calls < 2000);
        if (calls > 60)
            for (int64_t id = 0; id < 50; id++) {
                KEY(key, (calls * 50 + id) / 2);
                world->l1->ops->drop(world->l1, world->plain_space, &key.key);
            }
    } while (cursor != 0 && calls < 400);
    for (int i = 0; cursor != 0; i++) { /* nothing grows any more */
        size_t count;
        assert_int_equal(world->l1->ops->collect(world->l1, world->plain_space, UINT64_MAX, &cursor,
                                                 T3_COUNT(keys), &world->arena, keys, &count),
                         TEARS_OK);
        assert_true(i < 100000);
    }
}

static void collecting_without_memory_can_be_tried_again(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    fill(world, world->space, &key.key, 1, 5);
    for (uint64_t nth = 1;; nth++) {
        struct t3_arena arena = {0};
        struct t3_key keys[2];
        uint64_t cursor = 0;
        size_t count = 99;
        t3_alloc_fail_at(nth);
        const tears_status status = world->l1->ops->collect(world->l1, world->space, UINT64_MAX,
                                                            &cursor, 2, &arena, keys, &count);
        const bool is_past = t3_alloc_count() < nth;
        t3_alloc_fail_at(0);
        if (status == TEARS_OK)
            assert_true(count == 1 && t3_key_equal(&keys[0], &key.key));
        else
            assert_true(status == TEARS_NO_MEMORY && count == 99 && cursor == 0);
        t3_arena_done(&arena);
        if (is_past)
            break;
    }
}

/* ---- traps ---- */

/* A reader that found no row, and a creation: in every order of their steps the absence is not there afterwards. */
static void trap_23_cached_absence_and_creation(void **state)
{
    struct world *world = *state;
    enum { OWN_WRITE, NOTICE, BUMP, WAYS };
    for (int way = 0; way < WAYS; way++) {
        for (int is_late = 0; is_late < 2; is_late++) {
            KEY(key, way * 2 + is_late);
            const int64_t id = key.value.as.integer;
            const struct t3_l1_put absence = l1_fill(world->l1, world->space, &key.key, NULL, 0);
            if (!is_late)
                put(world, world->space, &absence);
            struct t3_l1_put created =
                l1_fill(world->l1, world->space, &key.key, row_of(world, id, 1), 1);
            created.own_write = true;
            if (way == OWN_WRITE)
                put(world, world->space, &created);
            else if (way == NOTICE)
                (void)drop_older(world, world->space, &key.key, 1);
            else
                world->l1->ops->bump(world->l1, world->space, &key.key);
            if (is_late)
                put(world, world->space, &absence);
            assert_int_equal(answer_of(world, world->space, &key.key),
                             way == OWN_WRITE ? T3_L1_HIT : T3_L1_MISS);
        }
    }
}

/* Two keys of one hash in one table: what happens to one does not happen to the other. */
static void trap_28_a_hash_collision_is_another_key(void **state)
{
    struct world *world = *state;
    struct t3_l1 *l1 = world->l1;
    enum { PAIRS = 40 };
    struct tears_value values[PAIRS][2];
    struct tears_value storage[2];
    struct t3_key keys[PAIRS];
    struct tears_error error;
    t3_clock_shift_ms(10000);
    const uint64_t before = t3_now_coarse_ms() - 5000;
    for (int64_t i = 0; i < PAIRS; i++) {
        values[i][0] = tears_int(i);
        values[i][1] = tears_int(l1_colliding_b(0, 7, i));
        assert_int_equal(
            t3_key_init(world->pairs, values[i], 2, storage, &world->arena, &keys[i], &error),
            TEARS_OK);
        assert_true(keys[i].hash == keys[0].hash);
        const struct tears_value cells[] = {values[i][0], values[i][1], tears_int(100 + i)};
        struct t3_row *row;
        assert_int_equal(t3_row_new(&world->arena, &world->pairs->layout, cells, &row), TEARS_OK);
        struct t3_l1_put what = l1_fill(l1, world->pairs_space, &keys[i], row, 100 + i);
        what.confirmed_ms = before;
        put(world, world->pairs_space, &what);
    }
    l1->ops->drop(l1, world->pairs_space, &keys[3]);
    assert_false(drop_older(world, world->pairs_space, &keys[4], 1000));
    assert_true(drop_older(world, world->pairs_space, &keys[5], 105));
    confirm(world, world->pairs_space, &keys[6], 106, 60, before + 3000);
    l1->ops->set_revision(l1, world->pairs_space, &keys[7], 107, 70);
    for (int64_t i = 0; i < PAIRS; i++) {
        struct t3_l1_hit hit;
        struct tears_value value;
        const bool is_gone = i == 3 || i == 4;
        assert_int_equal(look(world, world->pairs_space, &keys[i], &hit),
                         is_gone ? T3_L1_MISS : T3_L1_HIT);
        if (is_gone)
            continue;
        assert_int_equal(t3_row_value(hit.row, &world->pairs->layout, 2).as.integer, 100 + i);
        assert_true(is_rounded(hit.confirmed_ms, i == 6 ? before + 3000 : before));
        assert_int_equal(hit.revision, i == 6 ? 60 : i == 7 ? 70 : 0);
        assert_int_equal(look_at_cell(world, world->pairs_space, &keys[i], &value, &hit),
                         T3_L1_HIT);
        assert_true(value.as.integer == values[i][1].as.integer);
    }
    struct t3_key collected[PAIRS];
    uint64_t cursor = 0;
    size_t count;
    assert_int_equal(l1->ops->collect(l1, world->pairs_space, before + 1000, &cursor, PAIRS,
                                      &world->arena, collected, &count),
                     TEARS_OK);
    assert_int_equal(count, PAIRS - 3); /* two are gone, one was confirmed later */
    for (size_t i = 0; i < count; i++) {
        const int64_t number = collected[i].values[0].as.integer;
        assert_true(t3_key_equal(&collected[i], &keys[number]) && number != 3 && number != 4 &&
                    number != 6);
    }
}

/* The row that a notice was about is evicted while a reader is on its way with the row from before. */
static void trap_29_eviction_forgets_no_fence(void **state)
{
    (void)state;
    enum { OWN_WRITE, NOTICE, BUMP, WAYS };
    for (int way = 0; way < WAYS; way++) {
        struct world here;
        struct world *world = &here;
        open_world(world, CROWDED);
        KEY(key, 1);
        fill(world, world->space, &key.key, 1, 5);
        struct t3_arena arena = {0};
        struct t3_l1_put late = l1_fill(world->l1, world->space, &key.key,
                                        l1_item_row(&arena, world->schema, 1, 5, 40, 'x'), 5);
        struct t3_l1_put newer = l1_fill(world->l1, world->space, &key.key, row_of(world, 1, 6), 6);
        newer.own_write = true;
        if (way == OWN_WRITE)
            put(world, world->space, &newer);
        else if (way == NOTICE)
            (void)drop_older(world, world->space, &key.key, 5);
        else
            world->l1->ops->bump(world->l1, world->space, &key.key);
        struct t3_l1_hit hit;
        for (int64_t round = 0; peek(world, world->space, &key.key, &hit) != T3_L1_MISS; round++) {
            assert_true(round < 1000);
            crowd(world, 1000 + round * 300, 300);
        }
        put(world, world->space, &late);
        assert_int_equal(answer_of(world, world->space, &key.key), T3_L1_MISS);
        t3_arena_done(&arena);
        close_world(world);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int l1_coherence_conformance_run(const char *name, l1_constructor make)
{
    const struct CMUnitTest tests[] = {
        TEST(a_hit_tells_when_it_was_right),
        TEST(a_moment_is_never_rounded_up),
        TEST(the_same_version_keeps_the_later_moment_and_its_revision),
        TEST(an_own_write_keeps_the_later_moment_only_with_a_living_ticket),
        TEST(without_versions_a_row_has_its_own_moment),
        TEST(an_expired_row_is_given_to_who_asks_for_the_row),
        TEST(an_expired_negative_entry_is_for_people_only),
        cmocka_unit_test(what_is_expired_or_only_peeked_at_is_not_spared),
        TEST(a_confirmed_row_has_a_new_moment_age_and_revision),
        TEST(only_the_row_that_was_asked_about_is_confirmed),
        TEST(without_versions_the_revision_says_which_row),
        TEST(a_confirmation_whose_ticket_died_stamps_nothing),
        TEST(a_notice_drops_what_is_older_only),
        TEST(an_expired_row_is_dropped_and_kept_by_the_same_rule),
        TEST(a_notice_kills_fills_under_way_whatever_is_there),
        TEST(what_was_confirmed_before_is_collected_once),
        TEST(an_empty_table_is_collected_at_once),
        TEST(collecting_ends_whatever_happens),
        TEST(collecting_without_memory_can_be_tried_again),
        TEST(trap_23_cached_absence_and_creation),
        TEST(trap_28_a_hash_collision_is_another_key),
        cmocka_unit_test(trap_29_eviction_forgets_no_fence),
    };
    make_tier = make;
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
