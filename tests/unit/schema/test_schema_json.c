/*
 * test_schema_json.c -- JSON table definitions: what they make, and how precisely they are refused.
 */
#include "base/str.h"
#include "unit/schema/tables.h"

static const char full[] =
    "{\"name\": \"notes\", \"version_column\": \"rev\", \"columns\": ["
    " {\"name\": \"id\", \"column_type\": \"uuid\", \"primary_key\": true},"
    " {\"name\": \"at\", \"column_type\": \"timestamp\", \"default\": \"now()\"},"
    " {\"name\": \"rev\", \"column_type\": \"bigint\", \"nullable\": false},"
    " {\"name\": \"price\", \"column_type\": \"decimal\"},"
    " {\"name\": \"emb\", \"column_type\": \"vector\", \"vector_dim\": 3},"
    " {\"name\": \"raw\", \"column_type\": \"bytea\"}],"
    " \"indexes\": [{\"name\": \"ix\", \"columns\": [\"at\", \"rev\"], \"unique\": true}],"
    " \"foreign_keys\": [{\"name\": \"fk\", \"columns\": [\"id\"], \"references_table\": \"o\","
    "   \"references_columns\": [\"id\"]}]}";

static void a_definition_makes_a_schema(void **state)
{
    (void)state;
    struct tears_schema *schema = NULL;
    struct tears_error error = {0};
    assert_int_equal(tears_schema_from_json(tears_str_c(full), &schema, &error), TEARS_OK);
    assert_true(schema->dynamic);
    assert_int_equal(schema->byte_codec, TEARS_BYTES_HEX);
    assert_int_equal(schema->column_count, 6);
    assert_int_equal(schema->columns[1].type, TEARS_TYPE_TIMESTAMPTZ);
    assert_true(schema->columns[1].nullable);
    assert_false(schema->columns[0].nullable);
    assert_int_equal(schema->version_column, 2);
    assert_int_equal(schema->columns[4].vector_dim, 3);
    assert_true(schema->indexes[0].unique);
    assert_int_equal(schema->indexes[0].column_count, 2);
    assert_true(t3_str_is(schema->foreign_keys[0].on_delete, "CASCADE"));
    assert_true(t3_str_is(schema->foreign_keys[0].on_update, "NO ACTION"));
    tears_schema_free(schema);
}

static void without_a_flag_id_is_the_key(void **state)
{
    (void)state;
    struct tears_schema *schema = NULL;
    struct tears_error error = {0};
    const char *json = "{\"name\":\"t\",\"columns\":[{\"name\":\"x\",\"column_type\":\"text\"},"
                       "{\"name\":\"id\",\"column_type\":\"integer\"}]}";
    assert_int_equal(tears_schema_from_json(tears_str_c(json), &schema, &error), TEARS_OK);
    assert_int_equal(schema->key_count, 1);
    assert_int_equal(schema->key[0], 1);
    tears_schema_free(schema);
}

static void faults_are_named(void **state)
{
    (void)state;
#define TABLE(columns) "{\"name\":\"t\",\"columns\":[" columns "]}"
#define ID             "{\"name\":\"id\",\"column_type\":\"uuid\"}"
    static const struct {
        const char *json;
        const char *fragment;
    } cases[] = {
        {"", "line 1"},
        {"{", "line 1"},
        {"[]", "an object is expected"},
        {"{\"name\":\"t\",\"name\":\"u\"}", "duplicate"},
        {"{\"name\":\"T\",\"columns\":[]}", "name: a name is a lower-case letter"},
        {"{\"name\":\"t\\n\",\"columns\":[]}", "name: a name is a lower-case letter"},
        {"{\"columns\":[]}", "name: a name is required"},
        {"{\"name\":\"t\",\"columns\":[]}", "no columns"},
        {"{\"name\":\"t\",\"columns\":{}}", "columns: an array"},
        {TABLE("{\"name\":\"x\",\"column_type\":\"text\"}"), "no primary key"},
        {TABLE(ID ",{\"name\":\"x\",\"column_type\":\"float\"}"), "columns[1].column_type: one of"},
        {TABLE(ID ",{\"name\":\"x\",\"column_type\":\"text\",\"nulable\":true}"),
         "columns[1].nulable: unknown member"},
        {TABLE(ID ",{\"name\":\"x\",\"column_type\":\"text\",\"nullable\":1}"),
         "columns[1].nullable: true or false"},
        {TABLE(ID ",{\"name\":\"x\",\"column_type\":\"vector\"}"),
         "columns[1].vector_dim: required"},
        {TABLE(ID ",{\"name\":\"x\",\"column_type\":\"text\",\"vector_dim\":3}"),
         "columns[1].vector_dim: only valid"},
        {TABLE(ID ",{\"name\":\"x\",\"column_type\":\"vector\",\"vector_dim\":0}"),
         "columns[1].vector_dim: a positive"},
        {TABLE(ID "," ID), "declared twice"},
        {TABLE("7"), "columns[0]: an object is expected"},
        {"{\"name\":\"t\",\"columns\":[" ID
         "],\"indexes\":[{\"name\":\"i\",\"columns\":[\"no\"]}]}",
         "not declared in columns"},
        {"{\"name\":\"t\",\"columns\":[" ID "],\"indexes\":[{\"name\":\"i\",\"columns\":[]}]}",
         "indexes[0].columns: an array"},
        {"{\"name\":\"t\",\"columns\":[" ID "],\"version_column\":\"id\"}", "'id'"},
    };
#undef TABLE
#undef ID
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tears_schema *schema = NULL;
        struct tears_error error = {0};
        assert_int_equal(tears_schema_from_json(tears_str_c(cases[i].json), &schema, &error),
                         TEARS_INVALID);
        if (strstr(error.message, cases[i].fragment) == NULL)
            fail_msg("%s gave '%s' and not '%s'", cases[i].json, error.message, cases[i].fragment);
        assert_null(schema);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_definition_makes_a_schema),
        cmocka_unit_test(without_a_flag_id_is_the_key),
        cmocka_unit_test(faults_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
