/*
 * l1_conformance.c -- each sentence of tier/l1.h as a test.
 *
 * Owns: one tier, two tables and an arena per test.  Begin at: l1_conformance_run(), at the end.
 */
#include "unit/tier/l1_conformance.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { HOUR_MS = 3600000, BUDGET = 4 << 20 };

static l1_constructor make_tier;

/* ---- tables and rows ---- */

struct tears_schema *l1_items_schema(const char *name, bool versioned)
{
    const struct tears_column_def columns[] = {
        {.name = TEARS_STR("id"), .type = TEARS_TYPE_BIGINT},
        {.name = TEARS_STR("row_version"), .type = TEARS_TYPE_BIGINT},
        {.name = TEARS_STR("name"), .type = TEARS_TYPE_STRING, .nullable = true},
        {.name = TEARS_STR("body"), .type = TEARS_TYPE_BYTES, .nullable = true},
    };
    const struct tears_str primary_key[] = {TEARS_STR("id")};
    const struct tears_schema_def def = {
        .name = tears_str_c(name),
        .primary_key = primary_key,
        .primary_key_count = 1,
        .columns = columns,
        .column_count = T3_COUNT(columns),
        .version_column = versioned ? TEARS_STR("row_version") : tears_str_c(""),
    };
    struct tears_schema *schema = NULL;
    struct tears_error error;
    const tears_status status = tears_schema_new(&def, &schema, &error);
    if (status != TEARS_OK)
        fail_msg("%s", error.message);
    return schema;
}

void l1_item_key(const struct tears_schema *schema, int64_t id, struct l1_key *key_out)
{
    struct t3_arena arena = {0};
    struct tears_error error;
    const struct tears_value value = tears_int(id);
    assert_int_equal(t3_key_init(schema, &value, 1, &key_out->value, &arena, &key_out->key, &error),
                     TEARS_OK);
    key_out->value = value;
    key_out->key.values = &key_out->value;
    t3_arena_done(&arena);
}

struct t3_row *l1_item_row(struct t3_arena *arena, const struct tears_schema *schema, int64_t id,
                           int64_t version, size_t body_bytes, unsigned char fill)
{
    char *body = t3_arena_alloc(arena, body_bytes + 1);
    assert_non_null(body);
    memset(body, fill, body_bytes + 1);
    const struct tears_value values[] = {
        tears_int(id),
        tears_int(version),
        tears_text(TEARS_STR("an item")),
        tears_bytes(tears_str_n(body, body_bytes)),
    };
    struct t3_row *row = NULL;
    assert_int_equal(t3_row_new(arena, &schema->layout, values, &row), TEARS_OK);
    return row;
}

struct t3_l1_put l1_fill(struct t3_l1 *l1, uint32_t space, const struct t3_key *key,
                         const struct t3_row *row, int64_t version)
{
    const struct t3_l1_put put = {
        .key = key,
        .row = row,
        .version = version,
        .ticket = l1->ops->ticket(l1, space, key),
        .age_ms_max = HOUR_MS,
        .confirmed_ms = t3_now_coarse_ms(),
    };
    return put;
}

/* ---- the world of one test ---- */

struct world {
    struct t3_l1 *l1;
    struct tears_schema *schema; /* versioned */
    struct tears_schema *plain;  /* not */
    uint32_t space;
    uint32_t plain_space;
    struct t3_arena arena;
};

static void open_world(struct world *world, uint64_t bytes_max)
{
    struct tears_error error;
    memset(world, 0, sizeof *world);
    world->schema = l1_items_schema("items", true);
    world->plain = l1_items_schema("plain", false);
    assert_int_equal(make_tier(bytes_max, &world->l1, &error), TEARS_OK);
    struct t3_l1 *l1 = world->l1;
    assert_int_equal(l1->ops->open_space(l1, world->schema, &world->space, &error), TEARS_OK);
    assert_int_equal(l1->ops->open_space(l1, world->plain, &world->plain_space, &error), TEARS_OK);
}

static void close_world(struct world *world)
{
    world->l1->ops->free(world->l1);
    tears_schema_free(world->schema);
    tears_schema_free(world->plain);
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

static struct t3_row *row_of(struct world *world, int64_t id, int64_t version, unsigned char fill)
{
    return l1_item_row(&world->arena, world->schema, id, version, 40, fill);
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

static enum t3_l1_answer answer_of(struct world *world, uint32_t space, const struct t3_key *key)
{
    struct t3_l1_hit hit;
    return look(world, space, key, &hit);
}

static int64_t version_there(struct world *world, uint32_t space, const struct t3_key *key)
{
    struct t3_l1_hit hit;
    assert_int_equal(look(world, space, key, &hit), T3_L1_HIT);
    return t3_row_value(hit.row, &world->schema->layout, 1).as.integer;
}

static tears_status put(struct world *world, uint32_t space, const struct t3_l1_put *what)
{
    return world->l1->ops->put(world->l1, space, what);
}

static void fill(struct world *world, uint32_t space, const struct t3_key *key, int64_t id,
                 int64_t version)
{
    const struct t3_l1_put what =
        l1_fill(world->l1, space, key, row_of(world, id, version, 'x'), version);
    assert_int_equal(put(world, space, &what), TEARS_OK);
}

static void own_write(struct world *world, uint32_t space, const struct t3_key *key, int64_t id,
                      int64_t version)
{
    struct t3_l1_put what =
        l1_fill(world->l1, space, key, row_of(world, id, version, 'o'), version);
    what.own_write = true;
    assert_int_equal(put(world, space, &what), TEARS_OK);
}

static void fill_absent(struct world *world, const struct t3_key *key)
{
    const struct t3_l1_put what = l1_fill(world->l1, world->space, key, NULL, 0);
    assert_int_equal(put(world, world->space, &what), TEARS_OK);
}

static struct t3_l1_stats stats_of(struct world *world)
{
    struct t3_l1_stats stats;
    world->l1->ops->stats(world->l1, &stats);
    return stats;
}

/* ---- reading ---- */

static void a_key_never_put_is_a_miss(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    assert_int_equal(answer_of(world, world->space, &key.key), T3_L1_MISS);
}

static void a_row_comes_back_byte_for_byte(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    struct t3_row *row = row_of(world, 1, 5, 'x');
    struct t3_l1_put what = l1_fill(world->l1, world->space, &key.key, row, 5);
    what.revision = 77;
    assert_int_equal(put(world, world->space, &what), TEARS_OK);
    struct t3_l1_hit hit;
    assert_int_equal(look(world, world->space, &key.key, &hit), T3_L1_HIT);
    assert_int_equal(hit.row->size, row->size);
    assert_memory_equal(hit.row, row, row->size);
    assert_int_equal(hit.revision, 77);
}

static void a_hit_is_a_copy_that_outlives_the_entry(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    fill(world, world->space, &key.key, 1, 5);
    struct t3_l1_hit hit;
    assert_int_equal(look(world, world->space, &key.key, &hit), T3_L1_HIT);
    own_write(world, world->space, &key.key, 1, 6);
    world->l1->ops->drop(world->l1, world->space, &key.key);
    assert_int_equal(t3_row_value(hit.row, &world->schema->layout, 1).as.integer, 5);
}

static void one_cell_comes_alone(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    fill(world, world->space, &key.key, 1, 5);
    enum t3_l1_answer answer = T3_L1_MISS;
    struct tears_value value;
    struct t3_l1_hit hit;
    struct t3_l1 *l1 = world->l1;
    assert_int_equal(
        l1->ops->get_cell(l1, world->space, &key.key, 2, &world->arena, &answer, &value, &hit),
        TEARS_OK);
    assert_int_equal(answer, T3_L1_HIT);
    l1->ops->drop(l1, world->space, &key.key);
    const struct tears_value name = tears_text(TEARS_STR("an item"));
    assert_true(tears_value_equal(&value, &name));
    assert_int_equal(value.as.bytes.ptr[value.as.bytes.len], '\0');
}

static void a_cell_of_a_missing_or_absent_row(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    enum t3_l1_answer answer = T3_L1_HIT;
    struct tears_value value = tears_int(9);
    struct t3_l1_hit hit;
    struct t3_l1 *l1 = world->l1;
    assert_int_equal(
        l1->ops->get_cell(l1, world->space, &key.key, 1, &world->arena, &answer, &value, &hit),
        TEARS_OK);
    assert_int_equal(answer, T3_L1_MISS);
    fill_absent(world, &key.key);
    assert_int_equal(
        l1->ops->get_cell(l1, world->space, &key.key, 1, &world->arena, &answer, &value, &hit),
        TEARS_OK);
    assert_int_equal(answer, T3_L1_ABSENT);
    assert_int_equal(value.as.integer, 9);
}

static void null_and_empty_cells_stay_different(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    const struct tears_value values[] = {tears_int(1), tears_int(1), tears_null(),
                                         tears_bytes(tears_str_n("", 0))};
    struct t3_row *row;
    assert_int_equal(t3_row_new(&world->arena, &world->schema->layout, values, &row), TEARS_OK);
    const struct t3_l1_put what = l1_fill(world->l1, world->space, &key.key, row, 1);
    assert_int_equal(put(world, world->space, &what), TEARS_OK);
    struct t3_l1_hit hit;
    assert_int_equal(look(world, world->space, &key.key, &hit), T3_L1_HIT);
    for (uint32_t i = 0; i < T3_COUNT(values); i++)
        assert_true(t3_row_cell_equal(hit.row, &world->schema->layout, i, &values[i]));
}

static void tables_do_not_share_keys(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    fill(world, world->space, &key.key, 1, 5);
    assert_int_equal(answer_of(world, world->plain_space, &key.key), T3_L1_MISS);
    fill(world, world->plain_space, &key.key, 1, 6);
    assert_int_equal(version_there(world, world->space, &key.key), 5);
    assert_int_equal(version_there(world, world->plain_space, &key.key), 6);
}

/* ---- tickets ---- */

static void a_fill_with_a_current_ticket_is_kept(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    fill(world, world->space, &key.key, 1, 5);
    assert_int_equal(version_there(world, world->space, &key.key), 5);
    assert_int_equal(stats_of(world).stale_fills, 0);
}

static void a_fill_from_before_a_bump_is_discarded(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    const struct t3_l1_put what =
        l1_fill(world->l1, world->space, &key.key, row_of(world, 1, 5, 'x'), 5);
    world->l1->ops->bump(world->l1, world->space, &key.key);
    assert_int_equal(put(world, world->space, &what), TEARS_OK);
    assert_int_equal(answer_of(world, world->space, &key.key), T3_L1_MISS);
    assert_int_equal(stats_of(world).stale_fills, 1);
}

static void a_bump_moves_the_stripe_of_a_key_that_is_not_cached(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    const uint64_t before = world->l1->ops->ticket(world->l1, world->space, &key.key);
    world->l1->ops->bump(world->l1, world->space, &key.key);
    assert_true(world->l1->ops->ticket(world->l1, world->space, &key.key) != before);
}

static void ticket_zero_is_never_current(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    struct t3_l1_put what = l1_fill(world->l1, world->space, &key.key, row_of(world, 1, 5, 'x'), 5);
    what.ticket = 0;
    assert_int_equal(put(world, world->space, &what), TEARS_OK);
    assert_int_equal(answer_of(world, world->space, &key.key), T3_L1_MISS);
}

static void a_bump_leaves_a_row_and_a_drop_leaves_the_stripe(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    fill(world, world->space, &key.key, 1, 5);
    world->l1->ops->bump(world->l1, world->space, &key.key);
    assert_int_equal(version_there(world, world->space, &key.key), 5);
    const uint64_t before = world->l1->ops->ticket(world->l1, world->space, &key.key);
    world->l1->ops->drop(world->l1, world->space, &key.key);
    assert_int_equal(answer_of(world, world->space, &key.key), T3_L1_MISS);
    assert_true(world->l1->ops->ticket(world->l1, world->space, &key.key) == before);
}

/* ---- versions ---- */

static void an_older_fill_does_not_replace_a_newer_row(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    fill(world, world->space, &key.key, 1, 5);
    fill(world, world->space, &key.key, 1, 4);
    assert_int_equal(version_there(world, world->space, &key.key), 5);
    assert_int_equal(stats_of(world).stale_fills, 1);
    fill(world, world->space, &key.key, 1, 6);
    assert_int_equal(version_there(world, world->space, &key.key), 6);
}

static void without_a_version_column_the_last_fill_stays(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    fill(world, world->plain_space, &key.key, 1, 5);
    fill(world, world->plain_space, &key.key, 1, 4);
    assert_int_equal(version_there(world, world->plain_space, &key.key), 4);
}

static void an_expired_row_does_not_outrank_a_fill(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    fill(world, world->space, &key.key, 1, 5);
    t3_clock_shift_ms(HOUR_MS + 1000);
    fill(world, world->space, &key.key, 1, 4);
    assert_int_equal(version_there(world, world->space, &key.key), 4);
}

/* ---- own writes ---- */

static void an_own_write_kills_fills_under_way(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    const struct t3_l1_put late =
        l1_fill(world->l1, world->space, &key.key, row_of(world, 1, 9, 'x'), 9);
    own_write(world, world->space, &key.key, 1, 5);
    assert_int_equal(put(world, world->space, &late), TEARS_OK);
    assert_int_equal(version_there(world, world->space, &key.key), 5);
}

static void an_own_write_is_kept_whatever_its_ticket(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    struct t3_l1_put what = l1_fill(world->l1, world->space, &key.key, row_of(world, 1, 5, 'x'), 5);
    what.own_write = true;
    world->l1->ops->bump(world->l1, world->space, &key.key);
    assert_int_equal(put(world, world->space, &what), TEARS_OK);
    assert_int_equal(version_there(world, world->space, &key.key), 5);
}

static void an_own_write_yields_to_a_higher_version(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    fill(world, world->space, &key.key, 1, 9);
    own_write(world, world->space, &key.key, 1, 5);
    assert_int_equal(version_there(world, world->space, &key.key), 9);
    own_write(world, world->space, &key.key, 1, 10);
    assert_int_equal(version_there(world, world->space, &key.key), 10);
}

static void without_versions_an_own_write_needs_its_ticket(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    own_write(world, world->plain_space, &key.key, 1, 1);
    assert_int_equal(version_there(world, world->plain_space, &key.key), 1);

    /* Another writer's notice arrives while ours is on its way: nobody knows who was last. */
    struct t3_l1_put what =
        l1_fill(world->l1, world->plain_space, &key.key, row_of(world, 1, 2, 'x'), 0);
    what.own_write = true;
    world->l1->ops->bump(world->l1, world->plain_space, &key.key);
    assert_int_equal(put(world, world->plain_space, &what), TEARS_OK);
    assert_int_equal(answer_of(world, world->plain_space, &key.key), T3_L1_MISS);
}

static void a_discarded_own_write_moves_the_stripe_too(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    fill(world, world->space, &key.key, 1, 9);
    const uint64_t before = world->l1->ops->ticket(world->l1, world->space, &key.key);
    own_write(world, world->space, &key.key, 1, 5);
    assert_true(world->l1->ops->ticket(world->l1, world->space, &key.key) != before);
}

/* ---- negative entries ---- */

static void an_absent_row_is_remembered(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    KEY(other, 2);
    fill_absent(world, &key.key);
    assert_int_equal(answer_of(world, world->space, &key.key), T3_L1_ABSENT);
    assert_int_equal(answer_of(world, world->space, &other.key), T3_L1_MISS);
}

static void bump_drop_and_put_end_a_negative_entry(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    fill_absent(world, &key.key);
    world->l1->ops->bump(world->l1, world->space, &key.key);
    assert_int_equal(answer_of(world, world->space, &key.key), T3_L1_MISS);
    fill_absent(world, &key.key);
    world->l1->ops->drop(world->l1, world->space, &key.key);
    assert_int_equal(answer_of(world, world->space, &key.key), T3_L1_MISS);
    fill_absent(world, &key.key);
    fill(world, world->space, &key.key, 1, 5);
    assert_int_equal(version_there(world, world->space, &key.key), 5);
}

static void a_stale_negative_entry_is_discarded(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    const struct t3_l1_put what = l1_fill(world->l1, world->space, &key.key, NULL, 0);
    world->l1->ops->bump(world->l1, world->space, &key.key);
    assert_int_equal(put(world, world->space, &what), TEARS_OK);
    assert_int_equal(answer_of(world, world->space, &key.key), T3_L1_MISS);
}

static void a_negative_entry_does_not_replace_a_newer_row(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    fill(world, world->space, &key.key, 1, 5);
    fill_absent(world, &key.key);
    assert_int_equal(version_there(world, world->space, &key.key), 5);
}

static void a_negative_entry_ends_with_its_age(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    struct t3_l1_put what = l1_fill(world->l1, world->space, &key.key, NULL, 0);
    what.age_ms_max = 1000;
    assert_int_equal(put(world, world->space, &what), TEARS_OK);
    assert_int_equal(answer_of(world, world->space, &key.key), T3_L1_ABSENT);
    t3_clock_shift_ms(1000);
    assert_int_equal(answer_of(world, world->space, &key.key), T3_L1_MISS);
}

/* ---- ages ---- */

static void a_row_is_expired_after_its_age_and_not_long_before(void **state)
{
    struct world *world = *state;
    for (int64_t id = 0; id < 50; id++) {
        KEY(key, id);
        struct t3_l1_put what =
            l1_fill(world->l1, world->space, &key.key, row_of(world, id, 5, 'x'), 5);
        what.age_ms_max = 100000;
        assert_int_equal(put(world, world->space, &what), TEARS_OK);
    }
    t3_clock_shift_ms(85000); /* a tenth of jitter, and time for a slow machine */
    for (int64_t id = 0; id < 50; id++) {
        KEY(key, id);
        assert_int_equal(answer_of(world, world->space, &key.key), T3_L1_HIT);
    }
    t3_clock_shift_ms(15000);
    for (int64_t id = 0; id < 50; id++) {
        KEY(key, id);
        assert_int_equal(answer_of(world, world->space, &key.key), T3_L1_EXPIRED);
    }
}

static void ages_are_spread(void **state)
{
    struct world *world = *state;
    for (int64_t id = 0; id < 200; id++) {
        KEY(key, id);
        struct t3_l1_put what =
            l1_fill(world->l1, world->space, &key.key, row_of(world, id, 5, 'x'), 5);
        what.age_ms_max = 1000000;
        assert_int_equal(put(world, world->space, &what), TEARS_OK);
    }
    t3_clock_shift_ms(950000);
    int gone = 0;
    for (int64_t id = 0; id < 200; id++) {
        KEY(key, id);
        gone += answer_of(world, world->space, &key.key) == T3_L1_EXPIRED;
    }
    assert_in_range(gone, 40, 160);
}

static void the_longest_age_does_not_overflow(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    struct t3_l1_put what = l1_fill(world->l1, world->space, &key.key, row_of(world, 1, 5, 'x'), 5);
    what.age_ms_max = UINT64_MAX;
    assert_int_equal(put(world, world->space, &what), TEARS_OK);
    t3_clock_shift_ms(HOUR_MS);
    assert_int_equal(answer_of(world, world->space, &key.key), T3_L1_HIT);
}

/* ---- revisions ---- */

static void a_revision_is_recorded_at_its_version_only(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    struct t3_l1_hit hit;
    fill(world, world->space, &key.key, 1, 5);
    world->l1->ops->set_revision(world->l1, world->space, &key.key, 4, 70);
    assert_int_equal(look(world, world->space, &key.key, &hit), T3_L1_HIT);
    assert_int_equal(hit.revision, 0);
    world->l1->ops->set_revision(world->l1, world->space, &key.key, 5, 71);
    assert_int_equal(look(world, world->space, &key.key, &hit), T3_L1_HIT);
    assert_int_equal(hit.revision, 71);
}

static void a_revision_of_what_is_not_there_is_ignored(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    world->l1->ops->set_revision(world->l1, world->space, &key.key, 0, 70);
    assert_int_equal(answer_of(world, world->space, &key.key), T3_L1_MISS);
    fill_absent(world, &key.key);
    world->l1->ops->set_revision(world->l1, world->space, &key.key, 0, 70);
    assert_int_equal(answer_of(world, world->space, &key.key), T3_L1_ABSENT);
}

/* ---- clear ---- */

static void clear_forgets_one_table_and_its_fills(void **state)
{
    struct world *world = *state;
    for (int64_t id = 0; id < 1000; id++) {
        KEY(key, id);
        fill(world, world->space, &key.key, id, 5);
        fill(world, world->plain_space, &key.key, id, 6);
    }
    KEY(late, 2000);
    const struct t3_l1_put what =
        l1_fill(world->l1, world->space, &late.key, row_of(world, 2000, 5, 'x'), 5);
    world->l1->ops->clear(world->l1, world->space);
    assert_int_equal(put(world, world->space, &what), TEARS_OK);
    assert_int_equal(answer_of(world, world->space, &late.key), T3_L1_MISS);
    for (int64_t id = 0; id < 1000; id++) {
        KEY(key, id);
        assert_int_equal(answer_of(world, world->space, &key.key), T3_L1_MISS);
        assert_int_equal(version_there(world, world->plain_space, &key.key), 6);
    }
    assert_int_equal(stats_of(world).rows, 1000);
}

/* ---- the budget ---- */

static void bytes_stay_within_the_budget(void **state)
{
    (void)state;
    const uint64_t budgets[] = {64 << 10, 1 << 20, 3 << 20};
    for (size_t b = 0; b < T3_COUNT(budgets); b++) {
        struct world here;
        struct world *world = &here;
        open_world(world, budgets[b]);
        for (int64_t id = 0; id < 20000; id++) {
            KEY(key, id);
            t3_arena_reset(&world->arena);
            const size_t body = (size_t)(id * 37 % 900);
            const struct t3_l1_put what = l1_fill(
                world->l1, world->space, &key.key,
                l1_item_row(&world->arena, world->schema, id, 1, body, (unsigned char)id), 1);
            assert_int_equal(put(world, world->space, &what), TEARS_OK);
            assert_int_equal(answer_of(world, world->space, &key.key), T3_L1_HIT);
            if (id % 16 == 0)
                assert_true(stats_of(world).bytes <= budgets[b]);
        }
        const struct t3_l1_stats stats = stats_of(world);
        assert_int_equal(stats.bytes_max, budgets[b]);
        assert_true(stats.rows > 0 && stats.evictions > 0);
        assert_true(stats.payload_bytes < stats.bytes);
        assert_int_equal(stats.rows + stats.evictions, 20000);
        close_world(world);
    }
}

static void a_row_larger_than_the_tier_drops_its_key(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    KEY(bystander, 2);
    fill(world, world->space, &key.key, 1, 5);
    fill(world, world->space, &bystander.key, 2, 5);
    const struct t3_l1_put what =
        l1_fill(world->l1, world->space, &key.key,
                l1_item_row(&world->arena, world->schema, 1, 6, BUDGET + 1, 'x'), 6);
    assert_int_equal(put(world, world->space, &what), TEARS_LIMIT);
    assert_int_equal(answer_of(world, world->space, &key.key), T3_L1_MISS);
    assert_int_equal(answer_of(world, world->space, &bystander.key), T3_L1_HIT);
}

static void payload_and_rows_are_counted(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    KEY(absent, 2);
    struct t3_row *row = row_of(world, 1, 5, 'x');
    const struct t3_l1_put what = l1_fill(world->l1, world->space, &key.key, row, 5);
    assert_int_equal(put(world, world->space, &what), TEARS_OK);
    fill_absent(world, &absent.key);
    assert_int_equal(stats_of(world).rows, 1);
    assert_int_equal(stats_of(world).payload_bytes, t3_row_payload(row, &world->schema->layout));
    world->l1->ops->drop(world->l1, world->space, &key.key);
    assert_int_equal(stats_of(world).rows, 0);
    assert_int_equal(stats_of(world).payload_bytes, 0);
}

/* ---- memory ---- */

static void a_fill_without_memory_changes_nothing(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    KEY(other, 2);
    fill(world, world->space, &key.key, 1, 5);
    struct t3_row *newer = row_of(world, 1, 6, 'y');
    struct t3_row *another = row_of(world, 2, 1, 'z');
    for (uint64_t nth = 1;; nth++) {
        const struct t3_l1_put first = l1_fill(world->l1, world->space, &key.key, newer, 6);
        const struct t3_l1_put second = l1_fill(world->l1, world->space, &other.key, another, 1);
        t3_alloc_fail_at(nth);
        const tears_status status = put(world, world->space, &first);
        const tears_status status_2 =
            status == TEARS_OK ? put(world, world->space, &second) : TEARS_OK;
        const bool is_past = t3_alloc_count() < nth;
        t3_alloc_fail_at(0);
        assert_true(status == TEARS_OK || status == TEARS_NO_MEMORY);
        assert_true(status_2 == TEARS_OK || status_2 == TEARS_NO_MEMORY);
        assert_int_equal(version_there(world, world->space, &key.key), status == TEARS_OK ? 6 : 5);
        if (is_past)
            break;
    }
    assert_int_equal(version_there(world, world->space, &other.key), 1);
}

static void an_own_write_without_memory_leaves_nothing_older(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    struct t3_row *newer = row_of(world, 1, 6, 'y');
    for (uint64_t nth = 1;; nth++) {
        world->l1->ops->drop(world->l1, world->space, &key.key);
        fill(world, world->space, &key.key, 1, 5);
        struct t3_l1_put what = l1_fill(world->l1, world->space, &key.key, newer, 6);
        what.own_write = true;
        t3_alloc_fail_at(nth);
        const tears_status status = put(world, world->space, &what);
        const bool is_past = t3_alloc_count() < nth;
        t3_alloc_fail_at(0);
        struct t3_l1_hit hit;
        if (look(world, world->space, &key.key, &hit) == T3_L1_HIT)
            assert_int_equal(t3_row_value(hit.row, &world->schema->layout, 1).as.integer, 6);
        else
            assert_int_equal(status, TEARS_NO_MEMORY);
        if (is_past)
            break;
    }
}

static void a_read_without_memory_says_so(void **state)
{
    struct world *world = *state;
    KEY(key, 1);
    fill(world, world->space, &key.key, 1, 5);
    struct t3_arena empty = {0};
    enum t3_l1_answer answer = T3_L1_MISS;
    struct t3_l1_hit hit;
    struct t3_l1 *l1 = world->l1;
    t3_alloc_fail_at(1);
    const tears_status status = l1->ops->get(l1, world->space, &key.key, &empty, &answer, &hit);
    t3_alloc_fail_at(0);
    assert_int_equal(status, TEARS_NO_MEMORY);
    assert_int_equal(l1->ops->get(l1, world->space, &key.key, &empty, &answer, &hit), TEARS_OK);
    assert_int_equal(answer, T3_L1_HIT);
    t3_arena_done(&empty);
}

static void a_tier_without_memory_is_not_made(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct t3_l1 *l1 = NULL;
        struct tears_error error;
        t3_alloc_fail_at(nth);
        const tears_status status = make_tier(BUDGET, &l1, &error);
        const bool is_past = t3_alloc_count() < nth;
        t3_alloc_fail_at(0);
        if (status == TEARS_OK)
            l1->ops->free(l1);
        else
            assert_int_equal(status, TEARS_NO_MEMORY);
        if (is_past)
            break;
        assert_int_equal(status, TEARS_NO_MEMORY);
    }
}

/* ---- keys of several columns ---- */

static void keys_may_have_several_columns(void **state)
{
    struct world *world = *state;
    const struct tears_column_def columns[] = {
        {.name = TEARS_STR("n"), .type = TEARS_TYPE_BIGINT},
        {.name = TEARS_STR("b"), .type = TEARS_TYPE_STRING},
        {.name = TEARS_STR("a"), .type = TEARS_TYPE_UUID},
    };
    const struct tears_str primary_key[] = {TEARS_STR("a"), TEARS_STR("b")};
    const struct tears_schema_def def = {.name = TEARS_STR("pairs"),
                                         .primary_key = primary_key,
                                         .primary_key_count = 2,
                                         .columns = columns,
                                         .column_count = 3};
    struct tears_schema *schema = NULL;
    struct tears_error error;
    uint32_t space;
    struct t3_l1 *l1 = world->l1;
    assert_int_equal(tears_schema_new(&def, &schema, &error), TEARS_OK);
    assert_int_equal(l1->ops->open_space(l1, schema, &space, &error), TEARS_OK);

    const uint8_t uuids[2][16] = {{1}, {2}};
    const struct tears_str texts[2] = {TEARS_STR("x"), TEARS_STR("")};
    struct tears_value values[4][2];
    struct tears_value storage[2];
    struct t3_key keys[4];
    for (int i = 0; i < 4; i++) {
        values[i][0] = tears_uuid(uuids[i & 1]);
        values[i][1] = tears_text(texts[i >> 1]);
        assert_int_equal(
            t3_key_init(schema, values[i], 2, storage, &world->arena, &keys[i], &error), TEARS_OK);
        keys[i].values = values[i];
        const struct tears_value cells[] = {tears_int(i), values[i][1], values[i][0]};
        struct t3_row *row;
        assert_int_equal(t3_row_new(&world->arena, &schema->layout, cells, &row), TEARS_OK);
        const struct t3_l1_put what = l1_fill(l1, space, &keys[i], row, 0);
        assert_int_equal(put(world, space, &what), TEARS_OK);
    }
    for (int i = 0; i < 4; i++) {
        struct t3_l1_hit hit;
        assert_int_equal(look(world, space, &keys[i], &hit), T3_L1_HIT);
        assert_int_equal(t3_row_value(hit.row, &schema->layout, 0).as.integer, i);
    }
    l1->ops->clear(l1, space);
    tears_schema_free(schema);
}

static void many_tables_can_be_opened(void **state)
{
    struct world *world = *state;
    struct t3_l1 *l1 = world->l1;
    struct tears_error error;
    uint32_t spaces[40];
    KEY(key, 1);
    for (int i = 0; i < 40; i++) {
        assert_int_equal(l1->ops->open_space(l1, world->schema, &spaces[i], &error), TEARS_OK);
        fill(world, spaces[i], &key.key, 1, i + 1);
    }
    for (int i = 0; i < 40; i++)
        assert_int_equal(version_there(world, spaces[i], &key.key), i + 1);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int l1_conformance_run(const char *name, l1_constructor make)
{
    const struct CMUnitTest tests[] = {
        TEST(a_key_never_put_is_a_miss),
        TEST(a_row_comes_back_byte_for_byte),
        TEST(a_hit_is_a_copy_that_outlives_the_entry),
        TEST(one_cell_comes_alone),
        TEST(a_cell_of_a_missing_or_absent_row),
        TEST(null_and_empty_cells_stay_different),
        TEST(tables_do_not_share_keys),
        TEST(a_fill_with_a_current_ticket_is_kept),
        TEST(a_fill_from_before_a_bump_is_discarded),
        TEST(a_bump_moves_the_stripe_of_a_key_that_is_not_cached),
        TEST(ticket_zero_is_never_current),
        TEST(a_bump_leaves_a_row_and_a_drop_leaves_the_stripe),
        TEST(an_older_fill_does_not_replace_a_newer_row),
        TEST(without_a_version_column_the_last_fill_stays),
        TEST(an_expired_row_does_not_outrank_a_fill),
        TEST(an_own_write_kills_fills_under_way),
        TEST(an_own_write_is_kept_whatever_its_ticket),
        TEST(an_own_write_yields_to_a_higher_version),
        TEST(without_versions_an_own_write_needs_its_ticket),
        TEST(a_discarded_own_write_moves_the_stripe_too),
        TEST(an_absent_row_is_remembered),
        TEST(bump_drop_and_put_end_a_negative_entry),
        TEST(a_stale_negative_entry_is_discarded),
        TEST(a_negative_entry_does_not_replace_a_newer_row),
        TEST(a_negative_entry_ends_with_its_age),
        TEST(a_row_is_expired_after_its_age_and_not_long_before),
        TEST(ages_are_spread),
        TEST(the_longest_age_does_not_overflow),
        TEST(a_revision_is_recorded_at_its_version_only),
        TEST(a_revision_of_what_is_not_there_is_ignored),
        TEST(clear_forgets_one_table_and_its_fills),
        TEST(bytes_stay_within_the_budget),
        TEST(a_row_larger_than_the_tier_drops_its_key),
        TEST(payload_and_rows_are_counted),
        TEST(a_fill_without_memory_changes_nothing),
        TEST(an_own_write_without_memory_leaves_nothing_older),
        TEST(a_read_without_memory_says_so),
        TEST(a_tier_without_memory_is_not_made),
        TEST(keys_may_have_several_columns),
        TEST(many_tables_can_be_opened),
    };
    make_tier = make;
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
