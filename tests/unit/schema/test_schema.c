/*
 * test_schema.c -- declarations: what is kept, what is refused, what a catalogue gives, running out
 * of memory.
 */
#include "base/alloc.h"
#include "base/limits.h"
#include "base/str.h"
#include "unit/schema/tables.h"

static void a_declaration_is_copied(void **state)
{
    (void)state;
    struct tears_schema_def def;
    struct tears_column_def columns[NOTE_COLUMNS];
    describe_notes(&def, columns);
    char name[] = "notes";
    def.name = tears_str_c(name);
    struct tears_schema *schema = make_schema(&def);
    memset(name, 'x', sizeof name - 1);
    memset(columns, 0, sizeof columns);
    assert_true(t3_str_is(tears_schema_name(schema), "notes"));
    assert_int_equal(tears_schema_column_count(schema), NOTE_COLUMNS);
    assert_int_equal(tears_schema_key_count(schema), 1);
    assert_int_equal(tears_schema_key_column(schema, 0), NOTE_ID);
    assert_int_equal(tears_schema_key_column(schema, 1), SIZE_MAX);
    assert_int_equal(tears_schema_version_column(schema), NOTE_VERSION);
    struct tears_column_info info;
    assert_int_equal(tears_schema_column(schema, NOTE_MOOD, &info), TEARS_OK);
    assert_int_equal(info.kind, TEARS_KIND_TEXT);
    assert_int_equal(info.enum_value_count, 2);
    assert_true(t3_str_is(info.enum_values[1], "it's on"));
    assert_int_equal(tears_schema_column(schema, NOTE_COLUMNS, &info), TEARS_NOT_FOUND);
    size_t index = 0;
    assert_int_equal(tears_schema_find_column(schema, TEARS_STR("price"), &index), TEARS_OK);
    assert_int_equal(index, NOTE_PRICE);
    assert_int_equal(tears_schema_find_column(schema, TEARS_STR("prices"), &index),
                     TEARS_NOT_FOUND);
    tears_schema_free(schema);
}

static void names_are_quoted_for_sql(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *quoted;
    } cases[] = {
        {"notes", "\"notes\""}, {"app.notes", "\"app\".\"notes\""},
        {"a\"b", "\"a\"\"b\""}, {".a", "\".a\""},
        {"a.", "\"a.\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tears_schema_def def;
        struct tears_column_def columns[NOTE_COLUMNS];
        describe_notes(&def, columns);
        def.name = tears_str_c(cases[i].name);
        struct tears_schema *schema = make_schema(&def);
        assert_string_equal(schema->sql_name.ptr, cases[i].quoted);
        tears_schema_free(schema);
    }
}

static void the_last_holder_ends_it(void **state)
{
    (void)state;
    struct tears_schema *schema = make_notes(1);
    assert_ptr_equal(t3_schema_hold(schema), schema);
    tears_schema_free(schema);
    assert_true(t3_str_is(schema->name, "notes")); /* AddressSanitizer would object */
    tears_schema_free(schema);
    tears_schema_free(NULL);
}

/* ---- rules ------------------------------------------------------------------------------------
 */

struct wrong {
    struct tears_schema_def def;
    struct tears_column_def columns[NOTE_COLUMNS];
    struct tears_index_def index;
    struct tears_unique_def unique;
    struct tears_foreign_key_def key;
};

static void expect_refused(struct wrong *wrong, const char *fragment)
{
    struct tears_schema *schema = NULL;
    struct tears_error error = {0};
    assert_int_equal(tears_schema_new(&wrong->def, &schema, &error), TEARS_INVALID);
    if (strstr(error.message, fragment) == NULL)
        fail_msg("'%s' does not say '%s'", error.message, fragment);
    assert_non_null(strstr(error.message, "notes"));
    assert_null(schema);
    describe_notes(&wrong->def, wrong->columns);
}

static void wrong_columns_are_refused(void **state)
{
    (void)state;
    struct wrong wrong;
    describe_notes(&wrong.def, wrong.columns);
    wrong.columns[NOTE_TITLE].name = TEARS_STR("part");
    expect_refused(&wrong, "declared twice");
    wrong.columns[NOTE_TITLE].name = TEARS_STR("\xff");
    expect_refused(&wrong, "not UTF-8");
    wrong.columns[NOTE_TITLE].type = 99;
    expect_refused(&wrong, "unknown column type");
    wrong.columns[NOTE_TITLE].enum_values = note_moods;
    expect_refused(&wrong, "only valid for an enum");
    wrong.columns[NOTE_MOOD].enum_name = TEARS_STR("");
    expect_refused(&wrong, "name of the enum type");
    wrong.columns[NOTE_TITLE].vector_dim = 3;
    expect_refused(&wrong, "only valid for a vector");
    wrong.columns[NOTE_EMBEDDING].vector_dim = 0;
    expect_refused(&wrong, "requires vector_dim");
    wrong.columns[NOTE_EMBEDDING].vector_dim = 16001;
    expect_refused(&wrong, "16000");
    wrong.columns[NOTE_PRICE].has_scale = false;
    expect_refused(&wrong, "both precision and scale");
    wrong.columns[NOTE_PRICE].scale = 13;
    expect_refused(&wrong, "scale is above precision");
    wrong.columns[NOTE_TITLE].references_table = TEARS_STR("t");
    expect_refused(&wrong, "both a table and a column");
    wrong.columns[NOTE_TITLE].type = TEARS_TYPE_TSVECTOR;
    expect_refused(&wrong, "tsvector column must be immutable");
    wrong.columns[NOTE_TITLE].partition = true;
    expect_refused(&wrong, "part of primary_key");
    wrong.def.primary_key_count = 0;
    expect_refused(&wrong, "no primary key");
    wrong.def.version_column = TEARS_STR("title");
    expect_refused(&wrong, "integer or a timestamptz");
    wrong.def.version_column = TEARS_STR("id");
    expect_refused(&wrong, "must not be part of primary_key");
    wrong.def.version_column = TEARS_STR("date_created");
    expect_refused(&wrong, "must not be immutable");
    wrong.def.on_conflict = 3;
    expect_refused(&wrong, "out of range");
}

static void wrong_constraints_are_refused(void **state)
{
    (void)state;
    static const struct tears_str title[] = {{"title", 5}};
    static const struct tears_str nope[] = {{"nope", 4}};
    struct wrong wrong = {.index = {.name = TEARS_STR("i"), .columns = nope, .column_count = 1}};
    describe_notes(&wrong.def, wrong.columns);
    wrong.def.indexes = &wrong.index;
    wrong.def.index_count = 1;
    expect_refused(&wrong, "not declared in columns");
    wrong.index.columns = title;
    wrong.unique = (struct tears_unique_def){TEARS_STR("i"), title, 1};
    wrong.def.indexes = &wrong.index;
    wrong.def.index_count = 1;
    wrong.def.unique_constraints = &wrong.unique;
    wrong.def.unique_constraint_count = 1;
    expect_refused(&wrong, "used by both");
    wrong.key.columns = title;
    wrong.key.column_count = 1;
    wrong.key.references_table = TEARS_STR("o");
    wrong.def.foreign_keys = &wrong.key;
    wrong.def.foreign_key_count = 1;
    expect_refused(&wrong, "same length");
    wrong.key.references_columns = title;
    wrong.key.references_column_count = 1;
    wrong.key.on_delete = TEARS_STR("cascade");
    wrong.def.foreign_keys = &wrong.key;
    wrong.def.foreign_key_count = 1;
    expect_refused(&wrong, "on_delete must be one of");
}

static void too_many_columns_are_a_limit(void **state)
{
    (void)state;
    static struct tears_column_def columns[T3_COLUMNS_MAX + 1];
    struct tears_schema_def def;
    struct tears_column_def notes[NOTE_COLUMNS];
    describe_notes(&def, notes);
    def.columns = columns;
    def.column_count = T3_COLUMNS_MAX + 1;
    struct tears_schema *schema = NULL;
    struct tears_error error;
    assert_int_equal(tears_schema_new(&def, &schema, &error), TEARS_LIMIT);
}

/* ---- catalogues -------------------------------------------------------------------------------
 */

static struct tears_schema *from_catalogue(const char *version_type_name, uint64_t type,
                                           const char *asked, tears_status expected)
{
    const struct tears_str key[] = {TEARS_STR("id")};
    const struct t3_catalogue_column columns[] = {
        {.def = {.name = TEARS_STR("id"), .type = TEARS_TYPE_BIGINT},
         .sql_type = TEARS_STR("bigint")},
        {.def = {.name = TEARS_STR("total"), .type = TEARS_TYPE_NUMERIC}, .generated = true},
        {.def = {.name = tears_str_c(version_type_name), .type = type}},
        {.def = {.name = TEARS_STR("vec"), .type = TEARS_TYPE_VECTOR, .nullable = true}},
        {.def = {.name = TEARS_STR("fts"), .type = TEARS_TYPE_TSVECTOR, .nullable = true}},
    };
    const struct tears_schema_def def = {.name = TEARS_STR("app.orders"),
                                         .primary_key = key,
                                         .primary_key_count = 1,
                                         .column_count = 5};
    struct tears_schema *schema = NULL;
    struct tears_error error;
    assert_int_equal(t3_schema_from_catalogue(&def, columns, tears_str_c(asked), &schema, &error),
                     expected);
    return schema;
}

static void a_catalogue_names_the_version_by_convention(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t type;
        const char *asked;
        uint32_t version;
    } cases[] = {
        {"row_version", TEARS_TYPE_INT, "", 2},
        {"row_version", TEARS_TYPE_STRING, "", T3_NO_COLUMN},
        {"date_updated", TEARS_TYPE_TIMESTAMPTZ, "", 2},
        {"date_updated", TEARS_TYPE_BIGINT, "", T3_NO_COLUMN},
        {"row_version", TEARS_TYPE_INT, "none", T3_NO_COLUMN},
        {"revision", TEARS_TYPE_BIGINT, "", T3_NO_COLUMN},
        {"revision", TEARS_TYPE_BIGINT, "revision", 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tears_schema *schema =
            from_catalogue(cases[i].name, cases[i].type, cases[i].asked, TEARS_OK);
        assert_int_equal(schema->version_column, cases[i].version);
        assert_true(schema->columns[1].generated);
        assert_true(schema->columns[4].immutable); /* a tsvector is never updated */
        assert_string_equal(schema->columns[0].sql_type.ptr, "bigint");
        tears_schema_free(schema);
    }
    from_catalogue("row_version", TEARS_TYPE_INT, "id", TEARS_INVALID);
    from_catalogue("row_version", TEARS_TYPE_INT, "nope", TEARS_INVALID);
}

static void the_version_of_a_row(void **state)
{
    (void)state;
    struct tears_schema *schema = make_notes(1);
    struct t3_arena arena = {0};
    struct tears_value values[NOTE_COLUMNS];
    memset(values, 0, sizeof values);
    struct t3_row *row = NULL;
    assert_int_equal(t3_row_new(&arena, &schema->layout, values, &row), TEARS_OK);
    assert_int_equal(t3_schema_row_version(schema, row), 0);
    values[NOTE_VERSION] = tears_int(INT64_MAX);
    assert_int_equal(t3_row_new(&arena, &schema->layout, values, &row), TEARS_OK);
    assert_int_equal(t3_schema_row_version(schema, row), INT64_MAX);
    t3_arena_done(&arena);
    tears_schema_free(schema);
}

static void every_failing_allocation_is_survived(void **state)
{
    (void)state;
    static const struct tears_str title[] = {{"title", 5}};
    const struct tears_index_def index = {
        .name = TEARS_STR("i"), .columns = title, .column_count = 1};
    struct tears_schema_def def;
    struct tears_column_def columns[NOTE_COLUMNS];
    describe_notes(&def, columns);
    def.indexes = &index;
    def.index_count = 1;
    for (uint64_t nth = 1;; nth++) {
        struct tears_schema *schema = NULL;
        struct tears_error error;
        t3_alloc_fail_at(nth);
        const tears_status status = tears_schema_new(&def, &schema, &error);
        const bool failed = t3_alloc_count() >= nth;
        t3_alloc_fail_at(0);
        if (!failed) {
            assert_int_equal(status, TEARS_OK);
            tears_schema_free(schema);
            return;
        }
        assert_int_equal(status, TEARS_NO_MEMORY);
        assert_null(schema);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_declaration_is_copied),
        cmocka_unit_test(names_are_quoted_for_sql),
        cmocka_unit_test(the_last_holder_ends_it),
        cmocka_unit_test(wrong_columns_are_refused),
        cmocka_unit_test(wrong_constraints_are_refused),
        cmocka_unit_test(too_many_columns_are_a_limit),
        cmocka_unit_test(a_catalogue_names_the_version_by_convention),
        cmocka_unit_test(the_version_of_a_row),
        cmocka_unit_test(every_failing_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
