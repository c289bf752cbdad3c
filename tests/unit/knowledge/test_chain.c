/*
 * test_chain.c -- layers of entries: who wins, what is hidden, what is reported, at what cost.
 *
 * The tests k1_, k2_ and k3_ are the weaknesses of the Python package that are to be beaten (spec
 * platform.md 9.4).
 */
#include "base/alloc.h"
#include "knowledge/chain.h"

#include <tears/value.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Rows of a test: an id of one byte, a scope, the origin's id (0: none). */
struct row {
    uint8_t id;
    uint32_t scope;
    uint8_t origin;
};

enum { P = TEARS_SCOPE_PLATFORM, C = TEARS_SCOPE_CUSTOMER, U = TEARS_SCOPE_USER, ROWS_MAX = 64 };

static struct tears_entry entry_of(uint32_t id, uint32_t scope, uint32_t origin)
{
    struct tears_entry entry = {.scope = scope};
    for (int i = 0; i < 4; i++) {
        entry.id[15 - i] = (uint8_t)(id >> 8 * i);
        entry.origin_id.bytes[15 - i] = (uint8_t)(origin >> 8 * i);
    }
    entry.origin_id.is_set = origin != 0;
    return entry;
}

static tears_layers *layers_of(const struct row *rows, size_t count)
{
    struct tears_entry entries[ROWS_MAX];
    tears_layers *layers = NULL;
    assert_true(count <= ROWS_MAX);
    for (size_t i = 0; i < count; i++)
        entries[i] = entry_of(rows[i].id, rows[i].scope, rows[i].origin);
    assert_int_equal(tears_layers_of_entries(entries, count, &layers, NULL), TEARS_OK);
    return layers;
}
#define LAYERS_OF(rows) layers_of(rows, T3_COUNT(rows))

static void nothing_has_no_layers(void **state)
{
    (void)state;
    tears_layers *layers = NULL;
    assert_int_equal(tears_layers_of_entries(NULL, 0, &layers, NULL), TEARS_OK);
    assert_non_null(layers);
    assert_int_equal(tears_layers_count(layers), 0);
    assert_null(tears_layers_at(layers, 0));
    tears_layers_free(layers);
    tears_layers_free(NULL);
    assert_int_equal(tears_layers_count(NULL), 0);
    assert_null(tears_layers_at(NULL, 0));
}

static void the_nearest_of_three_hides_the_others(void **state)
{
    (void)state;
    const struct row rows[] = {{2, C, 1}, {1, P, 0}, {3, U, 2}};
    tears_layers *layers = LAYERS_OF(rows);
    assert_int_equal(tears_layers_count(layers), 1);
    const struct tears_layer *layer = tears_layers_at(layers, 0);
    assert_int_equal(layer->winner, 2);
    assert_int_equal(layer->shadowed_count, 2);
    assert_int_equal(layer->shadowed[0], 0);
    assert_int_equal(layer->shadowed[1], 1);
    assert_int_equal(layer->rival_count, 0);
    assert_int_equal(layer->scope, U);
    assert_int_equal(layer->shadows_scope, C);
    assert_int_equal(layer->findings, 0);
    tears_layers_free(layers);
}

static void unlinked_rows_survive_in_order(void **state)
{
    (void)state;
    const struct row rows[] = {{9, U, 0}, {7, C, 0}, {8, C, 0}, {200, P, 0}, {1, P, 0}};
    const size_t expected[] = {4, 3, 1, 2, 0};
    tears_layers *layers = LAYERS_OF(rows);
    assert_int_equal(tears_layers_count(layers), T3_COUNT(expected));
    for (size_t i = 0; i < T3_COUNT(expected); i++) {
        assert_int_equal(tears_layers_at(layers, i)->winner, expected[i]);
        assert_int_equal(tears_layers_at(layers, i)->shadows_scope, TEARS_SCOPE_NONE);
        assert_int_equal(tears_layers_at(layers, i)->shadowed_count, 0);
    }
    tears_layers_free(layers);
}

static void k1_siblings_are_reported_as_rivals(void **state)
{
    (void)state;
    const struct row rows[] = {{1, P, 0}, {2, U, 1}, {3, U, 1}, {4, C, 1}};
    tears_layers *layers = LAYERS_OF(rows);
    assert_int_equal(tears_layers_count(layers), 1);
    const struct tears_layer *layer = tears_layers_at(layers, 0);
    assert_int_equal(layer->winner, 2);
    assert_int_equal(layer->rival_count, 1);
    assert_int_equal(layer->shadowed[0], 1);
    assert_int_equal(layer->shadows_scope, C); /* a user does not shadow a user */
    assert_int_equal(layer->findings, TEARS_LAYER_SIBLINGS);
    tears_layers_free(layers);
}

static void siblings_behind_the_winner_are_reported_too(void **state)
{
    (void)state;
    const struct row rows[] = {{1, P, 0}, {2, C, 1}, {3, C, 1}, {4, U, 2}};
    tears_layers *layers = LAYERS_OF(rows);
    const struct tears_layer *layer = tears_layers_at(layers, 0);
    assert_int_equal(layer->winner, 3);
    assert_int_equal(layer->rival_count, 0);
    assert_int_equal(layer->shadows_scope, C);
    assert_int_equal(layer->findings, TEARS_LAYER_SIBLINGS);
    tears_layers_free(layers);
}

static void k2_an_unseen_common_origin_groups(void **state)
{
    (void)state;
    const struct row rows[] = {{2, U, 99}, {3, C, 99}, {4, U, 98}};
    tears_layers *layers = LAYERS_OF(rows);
    assert_int_equal(tears_layers_count(layers), 2);
    const struct tears_layer *layer = tears_layers_at(layers, 0);
    assert_int_equal(layer->winner, 0);
    assert_int_equal(layer->shadowed_count, 1);
    assert_int_equal(layer->shadowed[0], 1);
    assert_int_equal(layer->shadows_scope, C);
    assert_int_equal(layer->findings, TEARS_LAYER_HIDDEN_ORIGIN);
    assert_int_equal(tears_layers_at(layers, 1)->winner, 2);
    tears_layers_free(layers);
}

static void k3_a_circle_is_one_chain(void **state)
{
    (void)state;
    const struct row rows[] = {{1, P, 2}, {2, C, 3}, {3, U, 1}, {4, U, 2}, {5, P, 0}};
    tears_layers *layers = LAYERS_OF(rows);
    assert_int_equal(tears_layers_count(layers), 2);
    assert_int_equal(tears_layers_at(layers, 0)->winner, 4);
    const struct tears_layer *layer = tears_layers_at(layers, 1);
    assert_int_equal(layer->winner, 3);
    assert_int_equal(layer->shadowed_count, 3);
    assert_int_equal(layer->findings,
                     TEARS_LAYER_CYCLE | TEARS_LAYER_DIRECTION | TEARS_LAYER_SIBLINGS);
    tears_layers_free(layers);
}

static void a_row_that_is_its_own_origin_stands_alone(void **state)
{
    (void)state;
    const struct row rows[] = {{1, C, 1}, {2, P, 0}};
    tears_layers *layers = LAYERS_OF(rows);
    assert_int_equal(tears_layers_count(layers), 2);
    assert_int_equal(tears_layers_at(layers, 1)->findings,
                     TEARS_LAYER_CYCLE | TEARS_LAYER_DIRECTION);
    tears_layers_free(layers);
}

static void k3_a_link_to_a_nearer_row_is_reported(void **state)
{
    (void)state;
    const struct row rows[] = {{1, P, 2}, {2, U, 0}};
    tears_layers *layers = LAYERS_OF(rows);
    assert_int_equal(tears_layers_count(layers), 1);
    assert_int_equal(tears_layers_at(layers, 0)->winner, 1);
    assert_int_equal(tears_layers_at(layers, 0)->findings, TEARS_LAYER_DIRECTION);
    tears_layers_free(layers);
}

static void an_id_given_twice_is_reported_and_its_last_link_counts(void **state)
{
    (void)state;
    const struct row rows[] = {{1, P, 0}, {2, U, 3}, {3, C, 0}, {2, U, 1}};
    tears_layers *layers = LAYERS_OF(rows);
    assert_int_equal(tears_layers_count(layers), 2);
    assert_int_equal(tears_layers_at(layers, 0)->winner, 2);
    const struct tears_layer *layer = tears_layers_at(layers, 1);
    assert_int_equal(layer->winner, 1); /* equal rows stay as they were given */
    assert_int_equal(layer->shadowed_count, 2);
    assert_int_equal(layer->shadowed[0], 3);
    assert_int_equal(layer->shadowed[1], 0);
    assert_int_equal(layer->findings, TEARS_LAYER_DUPLICATE);
    tears_layers_free(layers);
}

static void long_chains_are_reported(void **state)
{
    (void)state;
    for (uint8_t ancestors = 31; ancestors <= 34; ancestors++) {
        struct row rows[ROWS_MAX];
        for (uint8_t i = 0; i <= ancestors; i++)
            rows[i] = (struct row){(uint8_t)(i + 1), i == 0 ? P : C, i};
        tears_layers *layers = layers_of(rows, (size_t)ancestors + 1);
        const uint32_t deep = tears_layers_at(layers, 0)->findings & TEARS_LAYER_DEEP;
        assert_int_equal(deep != 0, ancestors > TEARS_ORIGIN_DEPTH_MAX);
        tears_layers_free(layers);
    }
}

/* ---- against a model ------------------------------------------------------------------------- */

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* Labels rows by chain, the slow and obvious way: until nothing changes any more. */
static void label_chains(const struct row *rows, size_t count, size_t *labels)
{
    uint8_t origin[ROWS_MAX];
    for (size_t i = 0; i < count; i++) {
        labels[i] = i;
        for (size_t k = 0; k < count; k++)
            if (rows[k].id == rows[i].id)
                origin[i] = rows[k].origin;
    }
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t i = 0; i < count; i++)
            for (size_t k = 0; k < count; k++) {
                const bool linked = rows[i].id == rows[k].id || origin[i] == rows[k].id ||
                                    (origin[i] != 0 && origin[i] == origin[k]);
                if (linked && labels[i] != labels[k]) {
                    labels[i] = labels[k] = labels[i] < labels[k] ? labels[i] : labels[k];
                    changed = true;
                }
            }
    }
}

static bool is_nearer(const struct row *a, const struct row *b)
{
    return a->scope != b->scope ? a->scope > b->scope : a->id > b->id;
}

static void check_against_labels(const struct row *rows, size_t count, const tears_layers *layers)
{
    size_t labels[ROWS_MAX];
    size_t seen = 0;
    label_chains(rows, count, labels);
    for (size_t i = 0; i < tears_layers_count(layers); i++) {
        const struct tears_layer *layer = tears_layers_at(layers, i);
        size_t members = 0;
        for (size_t k = 0; k < count; k++)
            members += labels[k] == labels[layer->winner];
        assert_int_equal(layer->shadowed_count + 1, members);
        seen += members;
        size_t before = layer->winner;
        for (size_t k = 0; k < layer->shadowed_count; before = layer->shadowed[k++]) {
            assert_int_equal(labels[layer->shadowed[k]], labels[layer->winner]);
            assert_false(is_nearer(&rows[layer->shadowed[k]], &rows[before]));
            assert_int_equal(k < layer->rival_count,
                             rows[layer->shadowed[k]].scope == layer->scope);
        }
        if (i > 0)
            assert_true(
                is_nearer(&rows[layer->winner], &rows[tears_layers_at(layers, i - 1)->winner]));
    }
    assert_int_equal(seen, count);
}

static void any_links_give_what_the_model_gives(void **state)
{
    (void)state;
    uint32_t seed = 20260603;
    for (int round = 0; round < 3000; round++) {
        struct row rows[ROWS_MAX];
        const size_t count = next_random(&seed) % 24;
        const uint32_t ids = 1 + next_random(&seed) % 40;
        for (size_t i = 0; i < count; i++) {
            rows[i].id = (uint8_t)(1 + next_random(&seed) % ids);
            rows[i].scope = next_random(&seed) % 3;
            rows[i].origin = (uint8_t)(next_random(&seed) % (ids + 1));
        }
        tears_layers *layers = layers_of(rows, count);
        check_against_labels(rows, count, layers);
        tears_layers_free(layers);
    }
}

/* ---- cost ------------------------------------------------------------------------------------ */

enum shape { ALONE, LONG, STAR, CIRCLE, BACKWARDS, UNSEEN, PAIRS, SHAPES };

static uint32_t origin_in(enum shape shape, uint32_t row, uint32_t count)
{
    switch (shape) {
    case ALONE:
        return 0;
    case LONG:
        return row;
    case STAR:
        return row == 0 ? 0 : 1;
    case CIRCLE:
        return row == 0 ? count : row;
    case BACKWARDS:
        return row + 1 < count ? row + 2 : 0;
    case UNSEEN:
        return count + 1 + row;
    case PAIRS:
        return row % 2 == 0 ? row + 2 : row;
    case SHAPES:
        break;
    }
    fail();
    return 0;
}

static uint64_t steps_of(enum shape shape, uint32_t count)
{
    struct tears_entry *entries = t3_alloc(count * sizeof *entries);
    tears_layers *layers = NULL;
    assert_non_null(entries);
    for (uint32_t i = 0; i < count; i++)
        entries[i] = entry_of(i + 1, i % 3, origin_in(shape, i, count));
    assert_int_equal(tears_layers_of_entries(entries, count, &layers, NULL), TEARS_OK);
    const uint64_t steps = layers->steps;
    tears_layers_free(layers);
    t3_free(entries);
    return steps;
}

static void k3_the_cost_grows_with_the_number_of_rows_only(void **state)
{
    (void)state;
    for (enum shape shape = ALONE; shape < SHAPES; shape++) {
        const uint64_t few = steps_of(shape, 1000);
        const uint64_t many = steps_of(shape, 100000);
        assert_true(few >= 1000);
        assert_true(many <= 100000 * 50);
        assert_true(many <= few * 100 * 6 / 5); /* larger ids need another sorting pass */
    }
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void what_cannot_be_merged_is_refused(void **state)
{
    (void)state;
    const struct tears_entry entries[] = {entry_of(1, P, 0), entry_of(2, 3, 0)};
    tears_layers *layers = NULL;
    struct tears_error error;
    assert_int_equal(tears_layers_of_entries(entries, 2, &layers, &error), TEARS_INVALID);
    assert_non_null(strstr(error.message, "row 1"));
    assert_int_equal(
        tears_layers_of_entries(entries, (size_t)TEARS_LAYER_ROWS_MAX + 1, &layers, &error),
        TEARS_LIMIT);
    assert_int_equal(tears_layers_of_entries(NULL, 1, &layers, &error), TEARS_MISUSE);
    assert_int_equal(tears_layers_of_entries(entries, 1, NULL, &error), TEARS_MISUSE);
    assert_null(layers);
}

static void memory_may_run_out_anywhere(void **state)
{
    (void)state;
    struct tears_entry entries[400];
    for (uint32_t i = 0; i < T3_COUNT(entries); i++)
        entries[i] = entry_of(i + 1, i % 3, i);
    for (uint64_t nth = 1;; nth++) {
        tears_layers *layers = NULL;
        t3_alloc_fail_at(nth);
        const tears_status status =
            tears_layers_of_entries(entries, T3_COUNT(entries), &layers, NULL);
        const bool failed = t3_alloc_count() >= nth;
        t3_alloc_fail_at(0);
        assert_int_equal(status, failed ? TEARS_NO_MEMORY : TEARS_OK);
        assert_int_equal(layers == NULL, failed);
        tears_layers_free(layers);
        if (!failed)
            break;
    }
}

/* ---- before a link is written ---------------------------------------------------------------- */

/* Ids count upwards: the origin of n is n + 1, until `last`, whose origin is `then` (0: none). */
struct ladder {
    uint8_t last;
    uint8_t then;
    unsigned asked;
    tears_status status;
};

static tears_status origin_on(void *owner, const uint8_t id[16],
                              struct tears_optional_uuid *origin_out)
{
    struct ladder *ladder = owner;
    const uint8_t next = id[15] == ladder->last ? ladder->then : (uint8_t)(id[15] + 1);
    ladder->asked++;
    origin_out->is_set = next != 0;
    origin_out->bytes[15] = next;
    return ladder->status;
}

static tears_status check(struct ladder *ladder, uint8_t entry, uint8_t origin,
                          struct tears_error *error)
{
    const struct tears_entry row = entry_of(entry, U, origin);
    return tears_origin_check(row.id, &row.origin_id, origin_on, ladder, error);
}

static void a_way_that_ends_is_right(void **state)
{
    (void)state;
    struct ladder ladder = {.last = 40};
    assert_int_equal(check(&ladder, 1, 0, NULL), TEARS_OK);
    assert_int_equal(ladder.asked, 0);
    assert_int_equal(check(&ladder, 1, 40, NULL), TEARS_OK);
    assert_int_equal(ladder.asked, 1);
    const uint8_t id[16] = {1};
    assert_int_equal(tears_origin_check(id, NULL, origin_on, &ladder, NULL), TEARS_OK);
}

static void thirty_two_ancestors_are_the_most(void **state)
{
    (void)state;
    struct tears_error error;
    struct ladder ladder = {.last = 141};
    assert_int_equal(check(&ladder, 9, 110, &error), TEARS_OK);
    assert_int_equal(ladder.asked, TEARS_ORIGIN_DEPTH_MAX);
    assert_int_equal(check(&ladder, 9, 109, &error), TEARS_LIMIT);
    assert_non_null(strstr(error.message, "00000000-0000-0000-0000-000000000009"));
    assert_int_equal(ladder.asked, 2 * TEARS_ORIGIN_DEPTH_MAX); /* and nobody is asked for more */
}

static void circles_are_refused(void **state)
{
    (void)state;
    struct tears_error error;
    struct ladder to_itself = {.last = 5, .then = 1};
    assert_int_equal(check(&to_itself, 1, 2, &error), TEARS_INVALID);
    assert_non_null(strstr(error.message, "circle"));
    assert_int_equal(check(&to_itself, 1, 1, NULL), TEARS_INVALID);
    struct ladder elsewhere = {.last = 5, .then = 3};
    assert_int_equal(check(&elsewhere, 1, 2, NULL), TEARS_INVALID);
}

static void a_look_up_that_fails_fails_the_check(void **state)
{
    (void)state;
    struct tears_error error;
    struct ladder ladder = {.last = 5, .status = TEARS_UNAVAILABLE};
    assert_int_equal(check(&ladder, 1, 2, &error), TEARS_UNAVAILABLE);
    assert_int_equal(error.status, TEARS_UNAVAILABLE);
    assert_int_equal(ladder.asked, 1);
    const struct tears_optional_uuid none = {0};
    assert_int_equal(tears_origin_check(NULL, &none, origin_on, &ladder, &error), TEARS_MISUSE);
    assert_int_equal(tears_origin_check(none.bytes, &none, NULL, NULL, &error), TEARS_MISUSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_has_no_layers),
        cmocka_unit_test(the_nearest_of_three_hides_the_others),
        cmocka_unit_test(unlinked_rows_survive_in_order),
        cmocka_unit_test(k1_siblings_are_reported_as_rivals),
        cmocka_unit_test(siblings_behind_the_winner_are_reported_too),
        cmocka_unit_test(k2_an_unseen_common_origin_groups),
        cmocka_unit_test(k3_a_circle_is_one_chain),
        cmocka_unit_test(a_row_that_is_its_own_origin_stands_alone),
        cmocka_unit_test(k3_a_link_to_a_nearer_row_is_reported),
        cmocka_unit_test(an_id_given_twice_is_reported_and_its_last_link_counts),
        cmocka_unit_test(long_chains_are_reported),
        cmocka_unit_test(any_links_give_what_the_model_gives),
        cmocka_unit_test(k3_the_cost_grows_with_the_number_of_rows_only),
        cmocka_unit_test(what_cannot_be_merged_is_refused),
        cmocka_unit_test(memory_may_run_out_anywhere),
        cmocka_unit_test(a_way_that_ends_is_right),
        cmocka_unit_test(thirty_two_ancestors_are_the_most),
        cmocka_unit_test(circles_are_refused),
        cmocka_unit_test(a_look_up_that_fails_fails_the_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
