/*
 * test_l1_memory.c -- the tier in memory: the suite of all tiers, and what only this one promises.
 */
#include "unit/tier/l1_coherence_conformance.h"

#include "base/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

struct tier {
    struct t3_l1 *l1;
    struct tears_schema *schema;
    uint32_t space;
};

static struct tier open_tier(struct tears_schema *schema, uint64_t bytes_max)
{
    struct tier tier = {.schema = schema};
    struct tears_error error;
    assert_int_equal(t3_l1_memory_new(bytes_max, &tier.l1, &error), TEARS_OK);
    assert_int_equal(tier.l1->ops->open_space(tier.l1, schema, &tier.space, &error), TEARS_OK);
    return tier;
}

static void close_tier(struct tier *tier)
{
    tier->l1->ops->free(tier->l1);
    tears_schema_free(tier->schema);
}

static void a_budget_too_small_for_the_tier_itself_is_refused(void **state)
{
    (void)state;
    struct t3_l1 *l1 = NULL;
    struct tears_error error;
    assert_int_equal(t3_l1_memory_new(1000, &l1, &error), TEARS_INVALID);
    assert_null(l1);
    assert_non_null(strstr(error.message, "1000 bytes"));
}

/* ---- what a row costs ---- */

static struct tears_schema *six_columns(void)
{
    const struct tears_column_def columns[] = {
        {.name = TEARS_STR("id"), .type = TEARS_TYPE_UUID},
        {.name = TEARS_STR("owner"), .type = TEARS_TYPE_STRING},
        {.name = TEARS_STR("name"), .type = TEARS_TYPE_STRING},
        {.name = TEARS_STR("body"), .type = TEARS_TYPE_STRING},
        {.name = TEARS_STR("n"), .type = TEARS_TYPE_BIGINT},
        {.name = TEARS_STR("at"), .type = TEARS_TYPE_TIMESTAMPTZ},
    };
    const struct tears_str primary_key[] = {TEARS_STR("id")};
    const struct tears_schema_def def = {.name = TEARS_STR("things"),
                                         .primary_key = primary_key,
                                         .primary_key_count = 1,
                                         .columns = columns,
                                         .column_count = T3_COUNT(columns)};
    struct tears_schema *schema = NULL;
    struct tears_error error;
    assert_int_equal(tears_schema_new(&def, &schema, &error), TEARS_OK);
    return schema;
}

static void put_thing(struct tier *tier, struct t3_arena *arena, uint32_t number, size_t body_bytes)
{
    static const char text[400] = "";
    uint8_t id[16] = {0};
    struct tears_error error;
    struct tears_value storage;
    struct t3_key key;
    struct t3_row *row;
    memcpy(id + 4, &number, sizeof number);
    const struct tears_value values[] = {
        tears_uuid(id),
        tears_text(tears_str_n(text, 36)),
        tears_text(tears_str_n(text, 60)),
        tears_text(tears_str_n(text, body_bytes)),
        tears_int(number),
        tears_timestamp_us(number),
    };
    assert_int_equal(t3_key_init(tier->schema, values, 1, &storage, arena, &key, &error), TEARS_OK);
    assert_int_equal(t3_row_new(arena, &tier->schema->layout, values, &row), TEARS_OK);
    const struct t3_l1_put put = l1_fill(tier->l1, tier->space, &key, row, 0);
    assert_int_equal(tier->l1->ops->put(tier->l1, tier->space, &put), TEARS_OK);
    t3_arena_reset(arena);
}

/* At every tenth of the way to a full tier and beyond it. */
static void a_row_of_six_columns_costs_no_more_than_96_bytes(void **state)
{
    (void)state;
    struct tier tier = open_tier(six_columns(), 16 << 20);
    struct t3_arena arena = {0};
    for (uint32_t i = 0; i < 80000; i++) {
        put_thing(&tier, &arena, i, 140 + i % 16);
        if ((i + 1) % 8000 != 0)
            continue;
        struct t3_l1_stats stats;
        tier.l1->ops->stats(tier.l1, &stats);
        const double cost = (double)(stats.bytes - stats.payload_bytes) / (double)stats.rows;
        print_message("%llu rows: %.1f bytes each beyond the payload\n",
                      (unsigned long long)stats.rows, cost);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* their heaps cost more */
        assert_true(cost <= 96);
#endif
        assert_true(stats.bytes <= stats.bytes_max);
    }
    close_tier(&tier);
    t3_arena_done(&arena);
}

/* ---- hits take nothing from the heap */

static void a_hit_allocates_nothing_but_the_arenas_blocks(void **state)
{
    (void)state;
    struct tier tier = open_tier(l1_items_schema("items", true), 1 << 20);
    struct t3_arena arena = {0};
    struct l1_key key;
    l1_item_key(tier.schema, 1, &key);
    key.key.values = &key.value;
    const struct t3_row *row = l1_item_row(&arena, tier.schema, 1, 1, 50, 'x');
    const struct t3_l1_put put = l1_fill(tier.l1, tier.space, &key.key, row, 1);
    assert_int_equal(tier.l1->ops->put(tier.l1, tier.space, &put), TEARS_OK);
    t3_alloc_fail_at(UINT64_MAX); /* counts */
    for (int i = 0; i < 100; i++) {
        enum t3_l1_answer answer;
        struct t3_l1_hit hit;
        t3_arena_reset(&arena);
        assert_int_equal(tier.l1->ops->get(tier.l1, tier.space, &key.key, &arena, &answer, &hit),
                         TEARS_OK);
        assert_int_equal(answer, T3_L1_HIT);
    }
    assert_int_equal(t3_alloc_count(), 0);
    t3_alloc_fail_at(0);
    close_tier(&tier);
    t3_arena_done(&arena);
}

/* ---- revisions ---- */

static void a_revision_too_large_to_keep_is_not_known(void **state)
{
    (void)state;
    struct tier tier = open_tier(l1_items_schema("items", true), 1 << 20);
    struct t3_arena arena = {0};
    struct l1_key key;
    l1_item_key(tier.schema, 1, &key);
    key.key.values = &key.value;
    const uint64_t revisions[][2] = {{(UINT64_C(1) << 48) - 2, (UINT64_C(1) << 48) - 2},
                                     {(UINT64_C(1) << 48) - 1, 0},
                                     {UINT64_MAX, 0}};
    for (size_t i = 0; i < T3_COUNT(revisions); i++) {
        enum t3_l1_answer answer;
        struct t3_l1_hit hit;
        const struct t3_row *row = l1_item_row(&arena, tier.schema, 1, 1, 50, 'x');
        struct t3_l1_put put = l1_fill(tier.l1, tier.space, &key.key, row, 1);
        put.revision = revisions[i][0];
        assert_int_equal(tier.l1->ops->put(tier.l1, tier.space, &put), TEARS_OK);
        assert_int_equal(tier.l1->ops->get(tier.l1, tier.space, &key.key, &arena, &answer, &hit),
                         TEARS_OK);
        assert_int_equal(answer, T3_L1_HIT);
        assert_true(hit.revision == revisions[i][1]);
    }
    close_tier(&tier);
    t3_arena_done(&arena);
}

/* ---- rows of other keys ---- */

/* Where an entry lies is made from its row again when a table is rebuilt. */
static void a_row_that_is_not_the_keys_is_not_kept(void **state)
{
    (void)state;
    struct tier tier = open_tier(l1_items_schema("items", true), 1 << 20);
    struct t3_arena arena = {0};
    struct l1_key key;
    struct t3_l1_stats stats;
    l1_item_key(tier.schema, 1, &key);
    key.key.values = &key.value;
    for (int own_write = 0; own_write < 2; own_write++) {
        const struct t3_row *row = l1_item_row(&arena, tier.schema, 1, 1, 50, 'x');
        const struct t3_row *other = l1_item_row(&arena, tier.schema, 2, 2, 50, 'x');
        struct t3_l1_put put = l1_fill(tier.l1, tier.space, &key.key, row, 1);
        assert_int_equal(tier.l1->ops->put(tier.l1, tier.space, &put), TEARS_OK);
        put.row = other;
        put.version = 2;
        put.own_write = own_write != 0;
        assert_int_equal(tier.l1->ops->put(tier.l1, tier.space, &put), TEARS_OK);
        /* An own write says that what is there is history, whatever it brings. */
        assert_int_equal(tier.l1->ops->contains(tier.l1, tier.space, &key.key), !own_write);
        tier.l1->ops->stats(tier.l1, &stats);
        assert_int_equal(stats.rows, !own_write);
    }
    close_tier(&tier);
    t3_arena_done(&arena);
}

/* ---- a process that forks */

struct background {
    struct tier *tier;
    atomic_bool is_over;
};

static void *read_and_write(void *argument)
{
    struct background *background = argument;
    struct tier *tier = background->tier;
    struct t3_arena arena = {0};
    for (int64_t id = 0; !atomic_load(&background->is_over); id = (id + 1) % 5000) {
        struct l1_key key;
        enum t3_l1_answer answer;
        struct t3_l1_hit hit;
        l1_item_key(tier->schema, id, &key);
        key.key.values = &key.value;
        const struct t3_row *row = l1_item_row(&arena, tier->schema, id, 1, 50, 'x');
        const struct t3_l1_put put = l1_fill(tier->l1, tier->space, &key.key, row, 1);
        (void)!tier->l1->ops->put(tier->l1, tier->space, &put);
        (void)!tier->l1->ops->get(tier->l1, tier->space, &key.key, &arena, &answer, &hit);
        t3_arena_reset(&arena);
    }
    t3_arena_done(&arena);
    return NULL;
}

static void a_forked_child_can_end(void **state)
{
    (void)state;
    struct tier tier = open_tier(l1_items_schema("items", true), 256 << 10);
    struct background background = {.tier = &tier};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, read_and_write, &background), 0);
    for (int i = 0; i < 50; i++) {
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            alarm(20); /* a hang ends by a signal, which the parent sees */
            _exit(0);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    atomic_store(&background.is_over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    close_tier(&tier);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_budget_too_small_for_the_tier_itself_is_refused),
        cmocka_unit_test(a_row_of_six_columns_costs_no_more_than_96_bytes),
        cmocka_unit_test(a_hit_allocates_nothing_but_the_arenas_blocks),
        cmocka_unit_test(a_revision_too_large_to_keep_is_not_known),
        cmocka_unit_test(a_row_that_is_not_the_keys_is_not_kept),
        cmocka_unit_test(a_forked_child_can_end),
    };
    const int failed = l1_conformance_run("l1_memory, as every tier", t3_l1_memory_new) +
                       l1_coherence_conformance_run("l1_memory, among processes", t3_l1_memory_new);
    return failed + cmocka_run_group_tests_name("l1_memory, on its own", tests, NULL, NULL);
}
