/*
 * fuzz_schema_json.c -- any bytes as a JSON table definition, and the SQL of the tables that come
 * of it.
 */
#include "base/str.h"
#include "schema/ddl.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void write_sql(const struct tears_schema *schema)
{
    T3_AUTO(t3_dml_done) struct t3_dml dml = {0};
    T3_AUTO(t3_buf_done) struct t3_buf sql = {0};
    const struct t3_shape one = {.dialect = T3_DIALECT_SQLITE};
    const struct t3_shape many = {.many = true};
    check(t3_ddl_create_table(schema, T3_DIALECT_POSTGRESQL, &sql) == TEARS_OK);
    check(t3_ddl_create_table(schema, T3_DIALECT_SQLITE, &sql) == TEARS_OK);
    for (size_t i = 0; i < schema->index_count; i++)
        check(t3_ddl_create_index(schema, T3_DIALECT_POSTGRESQL, i, &sql) == TEARS_OK);
    check(t3_dml_fetch(schema, &one, &dml) == TEARS_OK);
    check(t3_dml_upsert(schema, &one, &dml) == TEARS_OK);
    check(t3_dml_delete(schema, &many, &dml) == TEARS_OK);
    check(t3_str_is_utf8(t3_buf_str(&sql)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tears_schema *schema = NULL;
    struct tears_error error;
    const tears_status status =
        tears_schema_from_json(tears_str_n((const char *)data, size), &schema, &error);
    if (status != TEARS_OK) {
        check(schema == NULL && error.message[0] != '\0');
        return 0;
    }
    check(schema->key_count > 0 && schema->key_count <= schema->column_count);
    write_sql(schema);
    tears_schema_free(schema);
    return 0;
}
