/*
 * test_facts.c -- what is noted with a table: written, found again, and passed over when it is damaged.
 */
#include "base/str.h"
#include "schema/ddl.h"
#include "schema/facts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct tears_schema *schema_of(const char *json)
{
    struct tears_schema *schema = NULL;
    struct tears_error error;
    if (tears_schema_from_json(tears_str_c(json), &schema, &error) != TEARS_OK)
        fail_msg("%s", error.message);
    return schema;
}

static const char noted[] =
    "{\"name\": \"t\", \"version_column\": \"rev\", \"on_conflict\": \"raise\", \"columns\": ["
    "{\"name\": \"agent\", \"column_type\": \"text\", \"partition\": true},"
    "{\"name\": \"id\", \"column_type\": \"bigint\"},"
    "{\"name\": \"made\", \"column_type\": \"text\", \"immutable\": true},"
    "{\"name\": \"rev\", \"column_type\": \"bigint\"}], \"primary_key\": [\"agent\", \"id\"]}";

static void facts_come_back(void **state)
{
    (void)state;
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    struct t3_arena arena = {0};
    struct t3_facts facts;
    struct tears_schema *schema = schema_of(noted);
    assert_true(t3_facts_are_needed(schema));
    assert_int_equal(t3_facts_put(schema, &text), TEARS_OK);
    assert_int_equal(t3_facts_of_comment(t3_buf_str(&text), &arena, &facts), TEARS_OK);
    assert_true(facts.found);
    assert_string_equal(facts.version_column.ptr, "rev");
    assert_string_equal(facts.partition.ptr, "agent");
    assert_int_equal(facts.immutable_count, 1);
    assert_string_equal(facts.immutable[0].ptr, "made");
    assert_int_equal(facts.on_conflict, TEARS_ON_CONFLICT_RAISE);
    assert_int_equal(facts.byte_codec, TEARS_BYTES_HEX);
    tears_schema_free(schema);
    t3_arena_done(&arena);
}

/* The comment ends where SQL's ends, whatever a column is called. */
static void a_columns_name_does_not_end_the_comment(void **state)
{
    (void)state;
    static const struct tears_str key = {"id", 2};
    static const struct tears_column_def columns[] = {
        {.name = {"id", 2}, .type = TEARS_TYPE_BIGINT},
        {.name = {"a */ b", 6}, .type = TEARS_TYPE_STRING, .immutable = true},
    };
    const struct tears_schema_def def = {.name = TEARS_STR("t"),
                                         .primary_key = &key,
                                         .primary_key_count = 1,
                                         .columns = columns,
                                         .column_count = 2};
    struct t3_arena arena = {0};
    struct t3_facts facts;
    struct tears_schema *schema = NULL;
    const struct tears_str *statements = NULL;
    size_t count = 0;
    assert_int_equal(tears_schema_new(&def, &schema, NULL), TEARS_OK);
    assert_int_equal(t3_ddl_statements(schema, T3_DIALECT_SQLITE, &arena, &statements, &count),
                     TEARS_OK);
    assert_int_equal(count, 1);
    assert_int_equal(t3_facts_of_sql(statements[0], &arena, &facts), TEARS_OK);
    assert_true(facts.found);
    assert_string_equal(facts.immutable[0].ptr, "a */ b");
    tears_schema_free(schema);
    t3_arena_done(&arena);
}

static void what_is_no_note_is_passed_over(void **state)
{
    (void)state;
    static const char *const comments[] = {
        "",         "a table of mine", "tears: ", "tears: [1]", "tears: {\"partition\":",
        "tears: {", "tears",
    };
    struct t3_arena arena = {0};
    for (size_t i = 0; i < sizeof comments / sizeof comments[0]; i++) {
        struct t3_facts facts;
        assert_int_equal(t3_facts_of_comment(tears_str_c(comments[i]), &arena, &facts), TEARS_OK);
        assert_false(facts.found);
        assert_int_equal(t3_facts_of_sql(tears_str_c(comments[i]), &arena, &facts), TEARS_OK);
        assert_false(facts.found);
    }
    /* wrong kinds within it are not believed */
    struct t3_facts facts;
    assert_int_equal(t3_facts_of_comment(
                         TEARS_STR("tears: {\"on_conflict\":99,\"byte_codec\":-1,\"immutable\":7,"
                                   "\"partition\":{}}"),
                         &arena, &facts),
                     TEARS_OK);
    assert_int_equal(facts.on_conflict, TEARS_ON_CONFLICT_UPDATE);
    assert_int_equal(facts.byte_codec, TEARS_BYTES_BASE64);
    assert_int_equal(facts.partition.len, 0);
    t3_arena_done(&arena);
}

static void a_plain_table_needs_none(void **state)
{
    (void)state;
    struct tears_schema *schema =
        schema_of("{\"name\": \"t\", \"byte_codec\": \"base64\", \"version_column\": "
                  "\"row_version\", \"columns\": [{\"name\": \"id\", \"column_type\": \"uuid\"},"
                  "{\"name\": \"row_version\", \"column_type\": \"bigint\"}]}");
    assert_false(t3_facts_are_needed(schema));
    tears_schema_free(schema);
    /* the column is there, and is no version: that has to be said */
    schema = schema_of("{\"name\": \"t\", \"byte_codec\": \"base64\", \"columns\": [{\"name\": "
                       "\"id\", \"column_type\": \"uuid\"},"
                       "{\"name\": \"row_version\", \"column_type\": \"bigint\"}]}");
    assert_true(t3_facts_are_needed(schema));
    tears_schema_free(schema);
}

/* Everything that an index may have, in the order of PostgreSQL's grammar; SQLite has less. */
static void indexes_are_written_in_full(void **state)
{
    (void)state;
    struct t3_arena arena = {0};
    const struct tears_str *statements = NULL;
    size_t count = 0;
    struct tears_schema *schema =
        schema_of("{\"name\": \"t\", \"columns\": [{\"name\": \"id\", \"column_type\": \"uuid\"},"
                  "{\"name\": \"v\", \"column_type\": \"vector\", \"vector_dim\": 3},"
                  "{\"name\": \"n\", \"column_type\": \"bigint\"}],"
                  "\"indexes\": [{\"name\": \"ix\", \"columns\": [\"v\"], \"method\": \"hnsw\","
                  " \"opclass\": {\"v\": \"vector_cosine_ops\"}, \"include\": [\"n\"],"
                  " \"with\": {\"m\": \"16\", \"note\": \"it's\"}, \"where\": \"n > 3\"}]}");
    assert_int_equal(t3_ddl_statements(schema, T3_DIALECT_POSTGRESQL, &arena, &statements, &count),
                     TEARS_OK);
    assert_int_equal(count, 3);
    assert_string_equal(statements[1].ptr,
                        "COMMENT ON TABLE \"t\" IS 'tears: {\"byte_codec\":1,\"immutable\":[],"
                        "\"on_conflict\":0,\"version_column\":\"none\"}'");
    assert_string_equal(statements[2].ptr,
                        "CREATE INDEX IF NOT EXISTS \"ix\" ON \"t\" USING \"hnsw\" (\"v\" "
                        "\"vector_cosine_ops\") INCLUDE (\"n\") WITH (\"m\" = '16', \"note\" = "
                        "'it''s') WHERE n > 3");
    assert_int_equal(t3_ddl_statements(schema, T3_DIALECT_SQLITE, &arena, &statements, &count),
                     TEARS_OK);
    assert_int_equal(count, 2);
    assert_string_equal(statements[1].ptr,
                        "CREATE INDEX IF NOT EXISTS \"ix\" ON \"t\" (\"v\") WHERE n > 3");
    tears_schema_free(schema);
    t3_arena_done(&arena);
}

static void members_of_our_own_are_checked(void **state)
{
    (void)state;
#define WITH(rest)                                                                             \
    "{\"name\":\"t\",\"columns\":[{\"name\":\"id\",\"column_type\":\"uuid\"},{\"name\":\"a\"," \
    "\"column_type\":\"text\"}]," rest "}"
#define INDEX(rest) WITH("\"indexes\":[{\"name\":\"i\",\"columns\":[\"a\"]," rest "}]")
    static const char *const refused[][2] = {
        {WITH("\"primary_key\":[]"), "primary_key"},
        {WITH("\"primary_key\":[\"x\"]"), "'x'"},
        {WITH("\"on_conflict\":\"perhaps\""), "on_conflict: one of"},
        {WITH("\"byte_codec\":\"utf8\""), "byte_codec: one of"},
        {WITH("\"unique_constraints\":[{\"name\":\"u\",\"columns\":[\"b\"]}]"), "not declared"},
        {INDEX("\"opclass\":{\"b\":\"text_ops\"}"), "indexes[0].opclass"},
        {INDEX("\"opclass\":[\"text_ops\"]"), "indexes[0].opclass"},
        {INDEX("\"with\":{\"m\":16}"), "indexes[0].with"},
        {INDEX("\"with\":[]"), "indexes[0].with"},
        {INDEX("\"include\":[\"b\"]"), "not declared"},
        {"{\"name\":\"t\",\"columns\":[{\"name\":\"id\",\"column_type\":\"enum\"}]}", "label"},
        {"{\"name\":\"t\",\"columns\":[{\"name\":\"id\",\"column_type\":\"uuid\"},{\"name\":\"p\","
         "\"column_type\":\"uuid\",\"partition\":true}]}",
         "must be part of primary_key"},
        {"{\"name\":\"t\",\"columns\":[{\"name\":\"id\",\"column_type\":\"decimal\",\"precision\":"
         "-1}]}",
         "precision: a whole number"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct tears_schema *schema = NULL;
        struct tears_error error = {0};
        assert_int_equal(tears_schema_from_json(tears_str_c(refused[i][0]), &schema, &error),
                         TEARS_INVALID);
        if (strstr(error.message, refused[i][1]) == NULL)
            fail_msg("%s gave '%s'", refused[i][0], error.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts_come_back),
        cmocka_unit_test(a_columns_name_does_not_end_the_comment),
        cmocka_unit_test(what_is_no_note_is_passed_over),
        cmocka_unit_test(a_plain_table_needs_none),
        cmocka_unit_test(indexes_are_written_in_full),
        cmocka_unit_test(members_of_our_own_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
