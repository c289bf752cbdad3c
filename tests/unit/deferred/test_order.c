/*
 * test_order.c -- parents before children; children before parents that are deleted; circles.
 */
#include "deferred/order.h"
#include "unit/deferred/notes.h"

#include "base/alloc.h"

enum { ROWS_MAX = 400 };

/* A table `name` of id, parent and other, where `parent` refers to `of` ("": to nothing). */
static struct tears_schema *table(const char *name, const char *of, const char *of_other)
{
    const struct tears_str id = TEARS_STR("id");
    struct tears_column_def columns[] = {
        {.name = TEARS_STR("id"), .type = TEARS_TYPE_BIGINT},
        {.name = TEARS_STR("parent"), .type = TEARS_TYPE_BIGINT, .nullable = true},
        {.name = TEARS_STR("other"), .type = TEARS_TYPE_BIGINT, .nullable = true},
    };
    const struct tears_str other[] = {TEARS_STR("other")};
    const struct tears_str code[] = {TEARS_STR("other")};
    const struct tears_foreign_key_def key = {.columns = other,
                                              .column_count = 1,
                                              .references_table = tears_str_c(of_other),
                                              .references_columns = code,
                                              .references_column_count = 1};
    if (of[0] != '\0') {
        columns[1].references_table = tears_str_c(of);
        columns[1].references_column = id;
    }
    const struct tears_schema_def def = {.name = tears_str_c(name),
                                         .columns = columns,
                                         .column_count = 3,
                                         .primary_key = &id,
                                         .primary_key_count = 1,
                                         .foreign_keys = &key,
                                         .foreign_key_count = of_other[0] != '\0' ? 1 : 0};
    struct tears_schema *schema = NULL;
    struct tears_error error;
    if (tears_schema_new(&def, &schema, &error) != TEARS_OK)
        fail_msg("%s", error.message);
    return schema;
}

static const struct t3_record *record(const struct tears_schema *schema, uint8_t kind, int64_t id,
                                      int64_t parent, int64_t other, struct t3_arena *arena)
{
    const struct tears_value values[] = {note_value(0, id), note_value(0, parent),
                                         note_value(0, other)};
    struct t3_record *made = t3_arena_array(arena, 1, sizeof *made);
    struct t3_row *row;
    assert_non_null(made);
    assert_int_equal(t3_row_new(arena, &schema->layout, values, &row), TEARS_OK);
    made->kind = kind;
    made->row = row;
    return made;
}

static void tables_come_after_those_they_refer_to(void **state)
{
    (void)state;
    struct t3_arena arena = {0};
    struct tears_schema *schemas[] = {table("leaf", "branch", ""), table("alone", "", ""),
                                      table("branch", "root", ""), table("root", "", ""),
                                      table("tree", "tree", ""),   table("hen", "egg", ""),
                                      table("egg", "hen", ""),     table("chick", "egg", "leaf")};
    uint32_t ranks[8];
    bool in_cycle[8];
    const struct tears_schema *const *given = (const struct tears_schema *const *)schemas;
    assert_int_equal(t3_order_tables(given, 8, &arena, ranks, in_cycle), TEARS_OK);
    assert_true(ranks[3] < ranks[2] && ranks[2] < ranks[0]);
    assert_int_equal(ranks[5], ranks[6]);
    assert_true(ranks[7] > ranks[5] && ranks[7] > ranks[0]);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(in_cycle[i], i >= 4 && i <= 6);
    for (size_t i = 0; i < 8; i++)
        tears_schema_free(schemas[i]);
    t3_arena_done(&arena);
}

/* Orders the rows and gives each one's place. */
static size_t places_of(const struct t3_order_row *rows, size_t count, size_t *place)
{
    static size_t order[ROWS_MAX];
    struct t3_arena arena = {0};
    size_t circles = 99;
    bool seen[ROWS_MAX] = {false};
    assert_int_equal(t3_order_rows(rows, count, &arena, order, &circles), TEARS_OK);
    for (size_t i = 0; i < count; i++) {
        assert_true(order[i] < count && !seen[order[i]]);
        seen[order[i]] = true;
        place[order[i]] = i;
    }
    t3_arena_done(&arena);
    return circles;
}

static void rows_of_a_table_that_refers_to_itself_are_parents_first(void **state)
{
    (void)state;
    struct t3_arena arena = {0};
    struct tears_schema *tree = table("tree", "tree", "");
    const struct t3_order_row rows[] = {
        {tree, record(tree, T3_RECORD_INSERT, 4, 3, -1, &arena), 0},
        {tree, record(tree, T3_RECORD_INSERT, 1, -1, -1, &arena), 0},
        {tree, record(tree, T3_RECORD_UPDATE, 9, 9, -1, &arena), 0}, /* to itself */
        {tree, record(tree, T3_RECORD_UPSERT, 3, 1, -1, &arena), 0},
        {tree, record(tree, T3_RECORD_INSERT, 5, 77, -1, &arena), 0}, /* to one that is not here */
    };
    size_t place[5];
    assert_int_equal(places_of(rows, 5, place), 0);
    assert_true(place[1] < place[3] && place[3] < place[0]);
    assert_true(place[2] < place[4]); /* as given */
    tears_schema_free(tree);
    t3_arena_done(&arena);
}

static void deletions_are_children_first_and_before_all_else(void **state)
{
    (void)state;
    struct t3_arena arena = {0};
    struct tears_schema *root = table("root", "", "");
    struct tears_schema *tree = table("tree", "tree", "");
    const struct t3_order_row rows[] = {
        {root, record(root, T3_RECORD_INSERT, 1, -1, -1, &arena), 0},
        {root, record(root, T3_RECORD_DELETE, 2, -1, -1, &arena), 0},
        {tree, record(tree, T3_RECORD_DELETE, 1, -1, -1, &arena), 1},
        {tree, record(tree, T3_RECORD_DELETE, 2, 1, -1, &arena), 1},
        {tree, record(tree, T3_RECORD_REPLACE, 3, 3, -1, &arena), 1},
    };
    size_t place[5];
    assert_int_equal(places_of(rows, 5, place), 0);
    assert_int_equal(place[3], 0);
    assert_int_equal(place[2], 1);
    assert_int_equal(place[1], 2);
    assert_int_equal(place[0], 3);
    assert_int_equal(place[4], 4);
    tears_schema_free(root);
    tears_schema_free(tree);
    t3_arena_done(&arena);
}

static void rows_in_a_circle_stay_as_given_and_are_counted(void **state)
{
    (void)state;
    struct t3_arena arena = {0};
    struct tears_schema *hen = table("hen", "egg", "");
    struct tears_schema *egg = table("egg", "hen", "");
    const struct t3_order_row rows[] = {
        {egg, record(egg, T3_RECORD_INSERT, 8, 7, -1, &arena), 0}, /* of hen 7, which is below */
        {hen, record(hen, T3_RECORD_INSERT, 1, 2, -1, &arena), 0}, /* 1 -> 2 -> 1 */
        {egg, record(egg, T3_RECORD_INSERT, 2, 1, -1, &arena), 0},
        {hen, record(hen, T3_RECORD_INSERT, 7, 2, -1, &arena), 0}, /* of the circle */
    };
    size_t place[4];
    assert_int_equal(places_of(rows, 4, place), 2);
    assert_true(place[1] < place[2] && place[2] < place[3] && place[3] < place[0]);
    tears_schema_free(hen);
    tears_schema_free(egg);
    t3_arena_done(&arena);
}

static void a_reference_to_another_column_counts_too(void **state)
{
    (void)state;
    struct t3_arena arena = {0};
    struct tears_schema *tree = table("tree", "", "tree"); /* other refers to other */
    const struct t3_order_row rows[] = {
        {tree, record(tree, T3_RECORD_INSERT, 1, -1, 50, &arena), 0},
        {tree, record(tree, T3_RECORD_INSERT, 2, -1, 50, &arena), 0},
    };
    size_t place[2];
    assert_int_equal(places_of(rows, 2, place), 0);
    tears_schema_free(tree);
    t3_arena_done(&arena);
}

/* Random forests: every parent that is there comes before its children, whatever is given first. */
static void random_forests_are_in_order(void **state)
{
    (void)state;
    struct tears_schema *tree = table("tree", "tree", "");
    uint64_t seed = 1;
    for (int round = 0; round < 200; round++) {
        struct t3_arena arena = {0};
        static struct t3_order_row rows[ROWS_MAX];
        static int64_t parents[ROWS_MAX];
        static size_t place[ROWS_MAX];
        int64_t number[ROWS_MAX];
        for (int64_t i = 0; i < ROWS_MAX; i++) { /* of rows that are shuffled */
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            const int64_t at = (int64_t)((seed >> 33) % (uint64_t)(i + 1));
            number[i] = number[at];
            number[at] = i;
        }
        for (int64_t i = 0; i < ROWS_MAX; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            const int64_t id = number[i];
            parents[i] =
                id == 0 ? -1 : (int64_t)((seed >> 33) % (uint64_t)id); /* one of a lower number */
            rows[i] = (struct t3_order_row){
                tree, record(tree, T3_RECORD_INSERT, id, parents[i], -1, &arena), 0};
        }
        assert_int_equal(places_of(rows, ROWS_MAX, place), 0);
        int64_t place_of_id[ROWS_MAX];
        for (size_t i = 0; i < ROWS_MAX; i++)
            place_of_id[number[i]] = (int64_t)place[i];
        for (size_t i = 0; i < ROWS_MAX; i++)
            if (parents[i] >= 0)
                assert_true(place_of_id[parents[i]] < (int64_t)place[i]);
        t3_arena_done(&arena);
    }
    tears_schema_free(tree);
}

/* A chain as long as it gets, the last one first: neither the stack nor the time grows with it. */
static void a_chain_of_a_hundred_thousand_rows_is_ordered(void **state)
{
    (void)state;
    enum { LONG = 100000 };
    struct t3_arena arena = {0};
    struct tears_schema *tree = table("tree", "tree", "");
    struct t3_order_row *rows = t3_arena_array(&arena, LONG, sizeof *rows);
    size_t *order = t3_arena_array(&arena, LONG, sizeof *order);
    size_t circles;
    assert_true(rows != NULL && order != NULL);
    for (int64_t i = 0; i < LONG; i++)
        rows[i] = (struct t3_order_row){
            tree, record(tree, T3_RECORD_INSERT, LONG - i, LONG - i - 1, -1, &arena), 0};
    assert_int_equal(t3_order_rows(rows, LONG, &arena, order, &circles), TEARS_OK);
    for (size_t i = 0; i < LONG; i++)
        assert_int_equal(order[i], LONG - 1 - i);
    tears_schema_free(tree);
    t3_arena_done(&arena);
}

static void without_memory_it_says_so(void **state)
{
    (void)state;
    struct t3_arena rows_arena = {0};
    struct tears_schema *tree = table("tree", "tree", "");
    const struct t3_order_row rows[] = {
        {tree, record(tree, T3_RECORD_INSERT, 2, 1, -1, &rows_arena), 0},
        {tree, record(tree, T3_RECORD_INSERT, 1, -1, -1, &rows_arena), 0},
    };
    tears_status status = TEARS_NO_MEMORY;
    for (uint64_t nth = 1; status == TEARS_NO_MEMORY; nth++) {
        struct t3_arena arena = {0};
        size_t order[2];
        size_t circles;
        t3_alloc_fail_at(nth);
        status = t3_order_rows(rows, 2, &arena, order, &circles);
        t3_alloc_fail_at(0);
        t3_arena_done(&arena);
    }
    assert_int_equal(status, TEARS_OK);
    tears_schema_free(tree);
    t3_arena_done(&rows_arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_come_after_those_they_refer_to),
        cmocka_unit_test(rows_of_a_table_that_refers_to_itself_are_parents_first),
        cmocka_unit_test(deletions_are_children_first_and_before_all_else),
        cmocka_unit_test(rows_in_a_circle_stay_as_given_and_are_counted),
        cmocka_unit_test(a_reference_to_another_column_counts_too),
        cmocka_unit_test(random_forests_are_in_order),
        cmocka_unit_test(a_chain_of_a_hundred_thousand_rows_is_ordered),
        cmocka_unit_test(without_memory_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
