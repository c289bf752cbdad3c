/*
 * fuzz_row.c -- any bytes as an L2 value of a table with a column of every type, in both byte
 * codecs.
 *
 * What must hold: nothing is read outside the input; damage is TEARS_CORRUPT or TEARS_LIMIT; a row
 * that is understood is a sane block and reads back the same after it was written again, except
 * that JSON null is SQL NULL.
 */
#include "base/str.h"
#include "schema/row_codec.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static struct tears_schema *new_schema(uint8_t byte_codec)
{
    static const struct tears_str label = {"low", 3};
    static const char *const names[] = {"id", "s", "e",   "n", "ts", "t", "j",
                                        "b",  "i", "big", "f", "v",  "d"};
    struct tears_column_def columns[T3_COUNT(names)] = {0};
    for (size_t i = 0; i < T3_COUNT(names); i++) {
        columns[i].name = tears_str_c(names[i]);
        columns[i].type = i + 1; /* TEARS_TYPE_UUID ... TEARS_TYPE_DOUBLE */
        columns[i].nullable = i > 0;
    }
    columns[2].enum_values = &label;
    columns[2].enum_value_count = 1;
    columns[2].enum_name = TEARS_STR("level");
    columns[3].precision = 38;
    columns[3].scale = 18;
    columns[3].has_scale = true;
    columns[4].immutable = true;
    columns[11].vector_dim = 3;
    const struct tears_schema_def def = {.name = TEARS_STR("everything"),
                                         .primary_key = &columns[0].name,
                                         .primary_key_count = 1,
                                         .columns = columns,
                                         .column_count = T3_COUNT(names),
                                         .byte_codec = byte_codec};
    struct tears_schema *schema;
    check(tears_schema_new(&def, &schema, NULL) == TEARS_OK);
    return schema;
}

static void write_again(const struct tears_schema *schema, const struct t3_row *row,
                        struct t3_arena *arena)
{
    T3_AUTO(t3_buf_done) struct t3_buf json = {0};
    struct t3_row *back;
    check(t3_row_is_sane(row, &schema->layout, row->size));
    check(t3_row_encode(schema, row, &json) == TEARS_OK);
    check(t3_row_decode(schema, t3_buf_str(&json), arena, &back, NULL) == TEARS_OK);
    check(back->size == row->size && memcmp(back, row, row->size) == 0);
}

static void decode(const struct tears_schema *schema, struct tears_str json)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct tears_error error;
    struct t3_row *row;
    struct tears_field *fields;
    size_t count;
    tears_status status = t3_row_decode(schema, json, &arena, &row, &error);
    check(status == TEARS_OK || status == TEARS_CORRUPT || status == TEARS_LIMIT);
    if (status == TEARS_OK)
        write_again(schema, row, &arena);
    else
        check(error.status == status && t3_str_is_utf8(tears_str_c(error.message)));
    status = t3_fields_decode(schema, json, &arena, &fields, &count, &error);
    check(status == TEARS_OK || status == TEARS_INVALID || status == TEARS_LIMIT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tears_schema *schemas[2];
    for (uint8_t i = 0; i < 2; i++) {
        if (schemas[i] == NULL)
            schemas[i] = new_schema(i);
        decode(schemas[i], tears_str_n((const char *)data, size));
    }
    return 0;
}
