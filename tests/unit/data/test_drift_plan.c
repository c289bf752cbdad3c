/*
 * test_drift_plan.c -- drift without a database: types, pairing, findings, the order of a repair.
 */
#include "base/alloc.h"
#include "base/str.h"
#include "data/drift_catalogue.h"
#include "data/drift_finding.h"
#include "data/drift_repair.h"
#include "data/drift_text.h"
#include "data/drift_type.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* ---- types ------------------------------------------------------------------------------------ */

static void widening_loses_nothing(void **state)
{
    static const struct {
        const char *from;
        const char *to;
        bool widens;
    } cases[] = {
        {"integer", "bigint", true},
        {"bigint", "integer", false},
        {"character varying(20)", "character varying(30)", true},
        {"character varying(30)", "character varying(20)", false},
        {"character varying(30)", "text", true},
        {"character varying", "character varying(9)", false},
        {"numeric(10,2)", "numeric(12,2)", true},
        {"numeric(10,2)", "numeric(12,4)", true},
        {"numeric(10,2)", "numeric(10,4)", false},
        {"numeric(10,2)", "numeric(12,1)", false},
        {"numeric(10,2)", "numeric", true},
        {"integer", "numeric(5,0)", false},
        {"text", "uuid", false},
        {"character(3)", "character(5)", false},
        {"bit varying(3)", "bit varying(4)", true},
        {"public.vector(3)", "public.vector(4)", false},
        {"timestamp with time zone", "timestamp without time zone", false},
        {"numeric(", "numeric(3", false},
        {"numeric(99999999999)", "numeric(1,2,3)", false},
    };
    (void)state;

    for (size_t i = 0; i < T3_COUNT(cases); i++)
        if (t3_drift_type_widens(tears_str_c(cases[i].from), tears_str_c(cases[i].to)) !=
            cases[i].widens)
            fail_msg("%s to %s", cases[i].from, cases[i].to);
}

/* ---- the reference's reading ------------------------------------------------------------------ */

/* Text that is no statement, or half of one, changes nothing and hurts nothing. */
static void half_statements_are_passed_over(void **state)
{
    static const char *const texts[] = {"",
                                        ";",
                                        "CREATE",
                                        "CREATE TABLE",
                                        "CREATE TABLE t",
                                        "CREATE TABLE t (",

                                        "CREATE TABLE \"t (a INT)",
                                        "ALTER TABLE",
                                        "ALTER TABLE t ADD COLUMN",
                                        "ALTER TABLE t RENAME TO u",
                                        "CREATE TABLE t. (a)"};
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct t3_text_tables tables = {.arena = &arena};
    (void)state;

    for (size_t i = 0; i < T3_COUNT(texts); i++)
        assert_int_equal(t3_text_read(&tables, tears_str_c(texts[i])), TEARS_OK);
    assert_int_equal(tables.count, 0);
}

/* ---- pairing ---------------------------------------------------------------------------------- */

static struct t3_item item(uint8_t object, const char *name, const char *definition)
{
    struct t3_item made = {.object = object,
                           .table = TEARS_STR("t"),
                           .name = tears_str_c(name),
                           .reference = TEARS_STR(""),
                           .create = TEARS_STR("")};
    for (size_t part = 0; part < T3_PART_COUNT; part++)
        made.parts[part] = TEARS_STR("");
    made.parts[T3_PART_DEFINITION] = tears_str_c(definition);
    return made;
}

#define CHECK(name, definition) item(TEARS_DRIFT_OBJECT_CHECK, name, definition)

static size_t differences(const struct t3_comparison *comparison)
{
    size_t count = 0;
    for (size_t i = 0; i < comparison->count; i++)
        count += t3_pair_differs(&comparison->pairs[i]) ? 1 : 0;
    return count;
}

static tears_status compare(struct t3_arena *arena, const struct t3_catalogue *declared,
                            const struct t3_catalogue *live, struct t3_comparison *comparison)
{
    *comparison = (struct t3_comparison){.arena = arena};
    return t3_catalogue_compare(declared, live, comparison);
}

static void add(struct t3_catalogue *catalogue, struct t3_item made)
{
    assert_int_equal(t3_catalogue_add(catalogue, &made), TEARS_OK);
}

/* The database numbers what it names: the same two checks may have each other's names. */
static void invented_names_do_not_pair(void **state)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct t3_catalogue declared = {.arena = &arena};
    struct t3_catalogue live = {.arena = &arena};
    struct t3_comparison comparison;
    (void)state;

    add(&declared, CHECK("t_check", "CHECK (a)"));
    add(&declared, CHECK("t_check1", "CHECK (b)"));
    add(&live, CHECK("t_check", "CHECK (b)"));
    add(&live, CHECK("t_check1", "CHECK (a)"));
    t3_catalogue_sort(&declared);
    t3_catalogue_sort(&live);
    assert_int_equal(compare(&arena, &declared, &live, &comparison), TEARS_OK);
    assert_int_equal(differences(&comparison), 0);
}

/* Two equal checks there, one declared: one is extra, under whatever name. */
static void one_of_two_equal_checks_is_extra(void **state)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct t3_catalogue declared = {.arena = &arena};
    struct t3_catalogue live = {.arena = &arena};
    struct t3_comparison comparison;
    (void)state;

    add(&declared, CHECK("sane", "CHECK (a)"));
    add(&live, CHECK("insane", "CHECK (a)"));
    add(&live, CHECK("sane", "CHECK (a)"));
    assert_int_equal(compare(&arena, &declared, &live, &comparison), TEARS_OK);
    assert_int_equal(differences(&comparison), 1);
    assert_int_equal(comparison.count, 2);
    assert_true(t3_str_is(comparison.pairs[1].live->name, "insane"));
}

static void own_tables_are_left_out(void **state)
{
    static const char *const names[] = {"_schema_migrations", "_tears_migrations", "tears_outbox",
                                        "tears_journals"};
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct t3_catalogue live = {.arena = &arena};
    (void)state;

    for (size_t i = 0; i < T3_COUNT(names); i++) {
        struct t3_item made = CHECK("x", "y");
        made.table = tears_str_c(names[i]);
        add(&live, made);
    }
    add(&live, item(TEARS_DRIFT_OBJECT_TRIGGER, "tears_outbox_insert", ""));
    assert_int_equal(live.count, 0);
}

/* ---- repairs ---------------------------------------------------------------------------------- */

/* Everything is made and thrown away with the N-th allocation failing, then the next. */
static void memory_may_run_out_anywhere(void **state)
{
    (void)state;
    for (uint64_t fail_at = 1;; fail_at++) {
        struct t3_arena arena = {0};
        struct t3_catalogue declared = {.arena = &arena};
        struct t3_catalogue live = {.arena = &arena};
        struct t3_comparison comparison;
        struct t3_item column = item(TEARS_DRIFT_OBJECT_COLUMN, "c", "");
        add(&declared, item(TEARS_DRIFT_OBJECT_TABLE, "t", ""));
        add(&declared, column);
        add(&declared, CHECK("sane", "CHECK (a)"));
        add(&live, item(TEARS_DRIFT_OBJECT_TABLE, "t", ""));
        add(&live, CHECK("other", "CHECK (b)"));
        t3_alloc_fail_at(fail_at);
        tears_status status = compare(&arena, &declared, &live, &comparison);
        struct t3_repair repair = {.arena = &arena, .comparison = &comparison};
        if (status == TEARS_OK)
            status = t3_repair_plan(&repair, T3_DIALECT_POSTGRESQL);
        const uint64_t made = t3_alloc_count();
        t3_alloc_fail_at(0);
        t3_arena_done(&arena);
        if (made < fail_at) {
            assert_int_equal(status, TEARS_OK);
            assert_int_equal(repair.count, 3);
            return;
        }
        assert_int_equal(status, TEARS_NO_MEMORY);
    }
}

static void names_are_quoted(void **state)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct t3_repair repair = {.arena = &arena};
    const struct tears_str text =
        T3_TEXT(&repair, "DROP TABLE @; #", TEARS_STR("a\"b"), TEARS_STR("it's @ and #"));
    (void)state;

    assert_int_equal(repair.status, TEARS_OK);
    assert_true(t3_str_is(text, "DROP TABLE \"a\"\"b\"; it's @ and #"));
}

/* ---- the report ------------------------------------------------------------------------------- */

static void a_report_is_one_line_for_each_finding(void **state)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    struct t3_drift_list list = {.arena = &arena};
    const struct tears_drift_finding finding = {.difference = TEARS_DRIFT_DEFINITION,
                                                .object = TEARS_DRIFT_OBJECT_FUNCTION,
                                                .table = TEARS_STR(""),
                                                .name = TEARS_STR("f()"),
                                                .expected = TEARS_STR("a\nb"),
                                                .actual = TEARS_STR("c")};
    (void)state;

    assert_int_equal(t3_drift_add(&list, &finding), TEARS_OK);
    assert_int_equal(t3_drift_put_text(&text, &list), TEARS_OK);
    assert_string_equal(text.ptr, "definition mismatches (expected vs actual):\n"
                                  "  - function f(): expected 'a b', actual 'c'\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(widening_loses_nothing),
        cmocka_unit_test(half_statements_are_passed_over),
        cmocka_unit_test(invented_names_do_not_pair),
        cmocka_unit_test(one_of_two_equal_checks_is_extra),
        cmocka_unit_test(own_tables_are_left_out),
        cmocka_unit_test(memory_may_run_out_anywhere),
        cmocka_unit_test(names_are_quoted),
        cmocka_unit_test(a_report_is_one_line_for_each_finding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
