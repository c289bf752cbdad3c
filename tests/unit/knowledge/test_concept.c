/*
 * test_concept.c -- layers of concepts: whose names collide, by which rule.
 *
 * The tests k4_ are the weakness of the Python package that is to be beaten (spec platform.md 9.4).
 */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/str.h"
#include "knowledge/concept_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { P = TEARS_SCOPE_PLATFORM, C = TEARS_SCOPE_CUSTOMER, U = TEARS_SCOPE_USER };

/* Ids are one byte; 0 is no origin. */
static struct tears_concept concept_of(uint8_t id, uint32_t scope, uint8_t origin, const char *name)
{
    struct tears_concept concept = {.scope = scope, .name = tears_str_c(name)};
    concept.id[15] = id;
    concept.origin_id.bytes[15] = origin;
    concept.origin_id.is_set = origin != 0;
    return concept;
}

static tears_layers *layers_of(const struct tears_concept *concepts, size_t count,
                               const struct tears_concept_options *options)
{
    tears_layers *layers = NULL;
    assert_int_equal(tears_layers_of_concepts(concepts, count, options, &layers, NULL), TEARS_OK);
    return layers;
}

/* ---- names ----------------------------------------------------------------------------------- */

static bool same_names(const char *a, const char *b, uint64_t rule)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct tears_str key_a;
    struct tears_str key_b;
    assert_int_equal(t3_name_key(tears_str_c(a), rule, &arena, &key_a), TEARS_OK);
    assert_int_equal(t3_name_key(tears_str_c(b), rule, &arena, &key_b), TEARS_OK);
    return t3_str_equal(key_a, key_b);
}

static void lower_case_is_that_of_peers_in_python(void **state)
{
    (void)state;
    static const struct {
        const char *a;
        const char *b;
        bool same;
    } cases[] = {
        {"Revenue", "revenue ", true},
        {"\t\n\x1c Revenue\xe3\x80\x80", "REVENUE", true}, /* the ideographic blank too */
        {"\xe2\x80\x8bx", "x", false},                     /* but not the one of no width */
        {"\xc3\x89lan", "\xc3\xa9lan", true},
        {"Stra\xc3\x9f"
         "e",
         "STRASSE", false},
        {" Stra\xc3\x9f"
         "e ",
         "stra\xc3\x9f"
         "e",
         true},
        {"\xe1\xba\x9e", "\xc3\x9f", true},             /* capital sharp s */
        {"\xc4\xb0", "i\xcc\x87", true},                /* capital I with dot: two characters */
        {"\xce\x9f\xce\xa3", "\xce\xbf\xcf\x82", true}, /* sigma at the end of a word */
        {"\xce\x9f\xce\xa3", "\xce\xbf\xcf\x83", false},
        {"\xce\xa3\xce\x9f", "\xcf\x83\xce\xbf", true},   /* at its beginning */
        {"\xce\x9f\xce\xa3.", "\xce\xbf\xcf\x82.", true}, /* the point is passed over */
        {"\xce\x9f\xce\xa3.\xce\x9f", "\xce\xbf\xcf\x83.\xce\xbf", true},
        {"\xce\xa3", "\xcf\x83", true},                 /* alone it ends nothing */
        {"\xf0\x90\x90\x80", "\xf0\x90\x90\xa8", true}, /* Deseret, beyond 16 bits */
        {"\xef\xbc\xa1", "A", false},                   /* full width */
        {"\xd0\x96", "\xd0\xb6", true},
    };
    for (size_t i = 0; i < T3_COUNT(cases); i++)
        if (same_names(cases[i].a, cases[i].b, TEARS_NAMES_LOWER) != cases[i].same)
            fail_msg("\"%s\" and \"%s\"", cases[i].a, cases[i].b);
}

static void k4_folding_finds_what_lower_case_does_not(void **state)
{
    (void)state;
    static const struct {
        const char *a;
        const char *b;
        bool same;
    } cases[] = {
        {"Stra\xc3\x9f"
         "e",
         "STRASSE", true},
        {"e\xcc\x81lan", "\xc3\x89LAN", true},                          /* decomposed, composed */
        {"\xef\xbc\xa1", "a", true},                                    /* full width */
        {"\xce\x9f\xce\xa3", "\xce\xbf\xcf\x83", true},                 /* every sigma */
        {"\xef\xac\x81n", "FIN", true},                                 /* a ligature */
        {"\xea\xb0\x81", "\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8", true}, /* Hangul */
        {"a\xcc\xa3\xcc\x87", "A\xcc\x87\xcc\xa3", true},               /* marks in any order */
        {"a\xcc\x87\xcc\x81", "a\xcc\x81\xcc\x87", false},  /* but of one class, as written */
        {"\xe1\xbe\xb4", "\xce\x91\xcc\x81\xce\x99", true}, /* a subscript iota is a letter */
        {"\xf0\x9d\x90\x80", "A", true},                    /* mathematical bold */
        {"A", "B", false},
    };
    for (size_t i = 0; i < T3_COUNT(cases); i++)
        if (same_names(cases[i].a, cases[i].b, TEARS_NAMES_FOLD) != cases[i].same)
            fail_msg("\"%s\" and \"%s\"", cases[i].a, cases[i].b);
}

static void a_name_of_blanks_has_no_key(void **state)
{
    (void)state;
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct tears_str key = TEARS_STR("x");
    for (uint64_t rule = TEARS_NAMES_LOWER; rule <= TEARS_NAMES_FOLD; rule++) {
        assert_int_equal(t3_name_key(TEARS_STR(" \t\xc2\xa0"), rule, &arena, &key), TEARS_OK);
        assert_int_equal(key.len, 0);
        assert_int_equal(t3_name_key(tears_str_n(NULL, 0), rule, &arena, &key), TEARS_OK);
        assert_int_equal(key.len, 0);
        assert_int_equal(t3_name_key(TEARS_STR("a\xff"), rule, &arena, &key), TEARS_INVALID);
    }
}

static void marks_without_end_are_ordered(void **state)
{
    (void)state;
    enum { MARKS = 20000 };
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    T3_AUTO(t3_buf_done) struct t3_buf upwards = {0};
    T3_AUTO(t3_buf_done) struct t3_buf downwards = {0};
    struct tears_str a;
    struct tears_str b;
    for (int i = 0; i < MARKS; i++) { /* below and above: classes 220 and 230 */
        assert_int_equal(t3_buf_put(&upwards, TEARS_STR("\xcc\xa3\xcc\x87")), TEARS_OK);
        assert_int_equal(t3_buf_put(&downwards, TEARS_STR("\xcc\x87\xcc\xa3")), TEARS_OK);
    }
    assert_int_equal(t3_name_key(t3_buf_str(&upwards), TEARS_NAMES_FOLD, &arena, &a), TEARS_OK);
    assert_int_equal(t3_name_key(t3_buf_str(&downwards), TEARS_NAMES_FOLD, &arena, &b), TEARS_OK);
    assert_true(t3_str_equal(a, b));
}

/* ---- layers ---------------------------------------------------------------------------------- */

static void winners_of_one_name_are_ambiguous(void **state)
{
    (void)state;
    const struct tears_concept concepts[] = {
        concept_of(1, P, 0, "Margin"), concept_of(2, P, 0, "A"),  concept_of(3, C, 2, "A"),
        concept_of(4, U, 0, " a"),     concept_of(5, U, 0, " "),  concept_of(6, U, 0, ""),
        concept_of(7, U, 0, "MARGIN"), concept_of(8, U, 0, "One")};
    tears_layers *layers = layers_of(concepts, T3_COUNT(concepts), NULL);
    static const struct {
        size_t winner;
        size_t namesakes;
    } expected[] = {{0, 1}, {2, 2}, {3, 2}, {4, 0}, {5, 0}, {6, 1}, {7, 0}};
    assert_int_equal(tears_layers_count(layers), T3_COUNT(expected));
    for (size_t i = 0; i < T3_COUNT(expected); i++) {
        const struct tears_layer *layer = tears_layers_at(layers, i);
        assert_int_equal(layer->winner, expected[i].winner);
        assert_int_equal(layer->namesakes, expected[i].namesakes);
        assert_int_equal(layer->ambiguous, expected[i].namesakes != 0);
    }
    assert_int_equal(tears_layers_at(layers, 1)->shadows_scope,
                     P); /* and still says what it hides */
    tears_layers_free(layers);
}

static void hidden_names_are_not_ambiguous(void **state)
{
    (void)state;
    const struct tears_concept concepts[] = {concept_of(1, P, 0, "Old"), concept_of(2, U, 1, "New"),
                                             concept_of(3, C, 0, "old")};
    tears_layers *layers = layers_of(concepts, T3_COUNT(concepts), NULL);
    assert_int_equal(tears_layers_count(layers), 2);
    assert_false(tears_layers_at(layers, 0)->ambiguous);
    assert_false(tears_layers_at(layers, 1)->ambiguous);
    tears_layers_free(layers);
}

static void k4_aliases_collide_when_asked_for(void **state)
{
    (void)state;
    const struct tears_str turnover[] = {TEARS_STR("Turnover"), TEARS_STR("revenue"),
                                         TEARS_STR(" ")};
    const struct tears_str sales[] = {TEARS_STR("SALES"), TEARS_STR(" ")};
    struct tears_concept concepts[] = {concept_of(1, P, 0, "Revenue"),
                                       concept_of(2, C, 0, "turnover"),
                                       concept_of(3, U, 0, "Sales"), concept_of(4, U, 0, "Churn")};
    concepts[0].aliases = turnover;
    concepts[0].alias_count = T3_COUNT(turnover);
    concepts[3].aliases = sales;
    concepts[3].alias_count = T3_COUNT(sales);
    tears_layers *layers = layers_of(concepts, T3_COUNT(concepts), NULL);
    for (size_t i = 0; i < T3_COUNT(concepts); i++)
        assert_false(tears_layers_at(layers, i)->ambiguous);
    tears_layers_free(layers);
    struct tears_concept_options options = TEARS_CONCEPT_OPTIONS_INIT;
    options.aliases = 1;
    const size_t expected[] = {1, 1, 3, 3};
    layers = layers_of(concepts, T3_COUNT(concepts), &options);
    for (size_t i = 0; i < T3_COUNT(concepts); i++)
        assert_int_equal(tears_layers_at(layers, i)->namesakes, expected[i]);
    tears_layers_free(layers);
}

static void k4_names_fold_when_asked_for(void **state)
{
    (void)state;
    const struct tears_concept concepts[] = {concept_of(1, P, 0, "STRASSE"),
                                             concept_of(2, P, 0,
                                                        "Stra\xc3\x9f"
                                                        "e")};
    struct tears_concept_options options = TEARS_CONCEPT_OPTIONS_INIT;
    tears_layers *layers = layers_of(concepts, T3_COUNT(concepts), &options);
    assert_false(tears_layers_at(layers, 0)->ambiguous);
    tears_layers_free(layers);
    options.names = TEARS_NAMES_FOLD;
    layers = layers_of(concepts, T3_COUNT(concepts), &options);
    assert_true(tears_layers_at(layers, 0)->ambiguous);
    assert_true(tears_layers_at(layers, 1)->ambiguous);
    tears_layers_free(layers);
}

static void many_concepts_of_one_name_have_one_number(void **state)
{
    (void)state;
    enum { COUNT = 200 };
    struct tears_concept concepts[COUNT];
    char names[COUNT][8];
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof names[i], "n%zu", i % 7);
        concepts[i] = concept_of((uint8_t)(i + 1), P, 0, names[i]);
    }
    tears_layers *layers = layers_of(concepts, COUNT, NULL);
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(tears_layers_at(layers, i)->namesakes, 1 + i % 7);
    tears_layers_free(layers);
}

static void what_cannot_be_merged_is_refused(void **state)
{
    (void)state;
    struct tears_concept concepts[] = {concept_of(1, P, 0, "a"), concept_of(2, U, 1, "b\xff")};
    struct tears_concept_options options = TEARS_CONCEPT_OPTIONS_INIT;
    tears_layers *layers = NULL;
    struct tears_error error;
    assert_int_equal(tears_layers_of_concepts(concepts, 2, NULL, &layers, &error), TEARS_INVALID);
    assert_non_null(strstr(error.message, "row 1"));
    options.size = 0;
    assert_int_equal(tears_layers_of_concepts(concepts, 1, &options, &layers, &error),
                     TEARS_MISUSE);
    options.size = sizeof options;
    options.names = 2;
    assert_int_equal(tears_layers_of_concepts(concepts, 1, &options, &layers, &error),
                     TEARS_UNSUPPORTED);
    assert_int_equal(tears_layers_of_concepts(NULL, 1, NULL, &layers, &error), TEARS_MISUSE);
    assert_int_equal(tears_layers_of_concepts(concepts, 1, NULL, NULL, &error), TEARS_MISUSE);
    concepts[0].scope = 7;
    assert_int_equal(tears_layers_of_concepts(concepts, 1, NULL, &layers, &error), TEARS_INVALID);
    assert_null(layers);
}

static void options_of_other_versions_are_understood(void **state)
{
    (void)state;
    const struct tears_concept concept = concept_of(1, P, 0, "a");
    struct {
        struct tears_concept_options known;
        uint64_t newer;
    } options = {.known = TEARS_CONCEPT_OPTIONS_INIT};
    tears_layers *layers = NULL;
    options.known.size = sizeof options;
    tears_layers_free(layers_of(&concept, 1, &options.known));
    options.newer = 1;
    assert_int_equal(tears_layers_of_concepts(&concept, 1, &options.known, &layers, NULL),
                     TEARS_UNSUPPORTED);
    options.known.size = sizeof options.known.size; /* older, and so without what follows */
    options.known.names = 99;
    tears_layers_free(layers_of(&concept, 1, &options.known));
}

static void memory_may_run_out_anywhere(void **state)
{
    (void)state;
    char name[3000];
    memset(name, 'N', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    struct tears_concept_options options = TEARS_CONCEPT_OPTIONS_INIT;
    const struct tears_concept concepts[] = {concept_of(1, P, 0, name), concept_of(2, U, 0, name),
                                             concept_of(3, U, 0, "b")};
    options.names = TEARS_NAMES_FOLD;
    for (uint64_t nth = 1;; nth++) {
        tears_layers *layers = NULL;
        t3_alloc_fail_at(nth);
        const tears_status status =
            tears_layers_of_concepts(concepts, T3_COUNT(concepts), &options, &layers, NULL);
        const bool failed = t3_alloc_count() >= nth;
        t3_alloc_fail_at(0);
        assert_int_equal(status, failed ? TEARS_NO_MEMORY : TEARS_OK);
        assert_int_equal(layers == NULL, failed);
        tears_layers_free(layers);
        if (!failed)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lower_case_is_that_of_peers_in_python),
        cmocka_unit_test(k4_folding_finds_what_lower_case_does_not),
        cmocka_unit_test(a_name_of_blanks_has_no_key),
        cmocka_unit_test(marks_without_end_are_ordered),
        cmocka_unit_test(winners_of_one_name_are_ambiguous),
        cmocka_unit_test(hidden_names_are_not_ambiguous),
        cmocka_unit_test(k4_aliases_collide_when_asked_for),
        cmocka_unit_test(k4_names_fold_when_asked_for),
        cmocka_unit_test(many_concepts_of_one_name_have_one_number),
        cmocka_unit_test(what_cannot_be_merged_is_refused),
        cmocka_unit_test(options_of_other_versions_are_understood),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
