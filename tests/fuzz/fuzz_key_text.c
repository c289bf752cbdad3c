/*
 * fuzz_key_text.c -- any bytes as the body of an L2 key, and as ids: every key that comes out has that text, and its ids
 * lead back to it.
 *
 * The first byte chooses the table; the rest is the body, and the JSON of ids.
 */
#include "base/str.h"
#include "schema/key_text.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

enum { COLUMNS = 4, TABLES = 6 };

static const uint64_t types[TABLES][COLUMNS] = {
    {TEARS_TYPE_STRING},
    {TEARS_TYPE_UUID, TEARS_TYPE_BIGINT},
    {TEARS_TYPE_STRING, TEARS_TYPE_NUMERIC, TEARS_TYPE_STRING},
    {TEARS_TYPE_BOOL, TEARS_TYPE_ENUM, TEARS_TYPE_DOUBLE, TEARS_TYPE_INT},
    {TEARS_TYPE_TIMESTAMPTZ, TEARS_TYPE_BYTES},
    {TEARS_TYPE_STRING, TEARS_TYPE_STRING, TEARS_TYPE_JSONB, TEARS_TYPE_BYTES},
};

static struct tears_schema *make_table(const uint64_t *of)
{
    static const struct tears_str names[COLUMNS] = {{"a", 1}, {"b", 1}, {"c", 1}, {"d", 1}};
    static const struct tears_str labels[] = {{"red", 3}, {"dark_blue", 9}};
    struct tears_column_def columns[COLUMNS] = {0};
    size_t count = 0;
    for (; count < COLUMNS && of[count] != 0; count++) {
        columns[count].name = names[count];
        columns[count].type = of[count];
        if (of[count] == TEARS_TYPE_ENUM) {
            columns[count].enum_name = TEARS_STR("colour");
            columns[count].enum_values = labels;
            columns[count].enum_value_count = 2;
        }
        if (of[count] == TEARS_TYPE_NUMERIC) {
            columns[count].precision = 30;
            columns[count].scale = 10;
            columns[count].has_scale = true;
        }
    }
    const struct tears_schema_def def = {.name = TEARS_STR("t"),
                                         .columns = columns,
                                         .column_count = count,
                                         .primary_key = names,
                                         .primary_key_count = count};
    struct tears_schema *schema = NULL;
    struct tears_error error;
    check(tears_schema_new(&def, &schema, &error) == TEARS_OK);
    return schema;
}

struct fuzz {
    const struct tears_schema *schema;
    struct tears_str body;
    size_t keys;
};

static void on_key(void *owner, const struct t3_key *key)
{
    struct fuzz *fuzz = owner;
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    check(t3_key_put_l2(fuzz->schema, key, &text) == TEARS_OK);
    check(t3_str_equal(t3_str_from(t3_buf_str(&text), 2), fuzz->body));
    t3_buf_clear(&text);
    check(t3_key_put_ids_of_hashed(fuzz->schema, key, &text) == TEARS_OK);
    check(text.len == 0); /* for the text told it */
    fuzz->keys++;
}

/* The key that a key's own ids lead to; false: it has none, since its text tells it. */
static bool go_round(const struct tears_schema *schema, const struct t3_key *key,
                     struct t3_arena *arena, struct t3_key *key_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf ids = {0};
    check(t3_key_put_ids_of_hashed(schema, key, &ids) == TEARS_OK);
    if (ids.len == 0)
        return false;
    check(t3_key_from_ids(schema, t3_buf_str(&ids), arena, key_out) == TEARS_OK);
    return true;
}

/* Ids may write a value in a way that we do not (a decimal, mostly); from then on nothing changes. */
static void check_ids(const struct tears_schema *schema, struct tears_str json)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct t3_key keys[3];
    if (t3_key_from_ids(schema, json, &arena, &keys[0]) == TEARS_OK &&
        go_round(schema, &keys[0], &arena, &keys[1]) &&
        go_round(schema, &keys[1], &arena, &keys[2]))
        check(t3_key_equal(&keys[1], &keys[2]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct tears_schema *schema = make_table(types[data[0] % TABLES]);
    struct fuzz fuzz = {.schema = schema, .body = tears_str_n((const char *)data + 1, size - 1)};
    const tears_status status = t3_key_from_text(schema, fuzz.body, on_key, &fuzz);
    check(status == TEARS_OK || status == TEARS_UNSUPPORTED);
    check(fuzz.keys <= 128);
    check(status == TEARS_OK || fuzz.keys == 0);
    check_ids(schema, fuzz.body);
    tears_schema_free(schema);
    return 0;
}
