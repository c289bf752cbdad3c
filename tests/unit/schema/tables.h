/*
 * tables.h -- declarations that several tests of this folder start from.
 */
#ifndef TESTS_UNIT_SCHEMA_TABLES_H
#define TESTS_UNIT_SCHEMA_TABLES_H

#include "schema/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum {
    NOTE_ID,
    NOTE_PART,
    NOTE_TITLE,
    NOTE_MOOD,
    NOTE_PRICE,
    NOTE_BODY,
    NOTE_RAW,
    NOTE_COUNT,
    NOTE_EMBEDDING,
    NOTE_DONE,
    NOTE_CREATED,
    NOTE_VERSION,
    NOTE_COLUMNS
};

static const struct tears_str note_moods[] = {{"calm", 4}, {"it's on", 7}};

/* A table with a column of nearly every type.  `id` alone is its key unless key_count is 2. */
static inline void describe_notes(struct tears_schema_def *def, struct tears_column_def *columns)
{
    static const struct tears_str key[] = {{"id", 2}, {"part", 4}};
    static const struct {
        const char *name;
        uint64_t type;
        bool nullable;
    } parts[NOTE_COLUMNS] = {
        {"id", TEARS_TYPE_BIGINT, false},
        {"part", TEARS_TYPE_STRING, false},
        {"title", TEARS_TYPE_STRING, true},
        {"mood", TEARS_TYPE_ENUM, true},
        {"price", TEARS_TYPE_NUMERIC, true},
        {"body", TEARS_TYPE_JSONB, true},
        {"raw", TEARS_TYPE_BYTES, true},
        {"count", TEARS_TYPE_INT, true},
        {"emb", TEARS_TYPE_VECTOR, true},
        {"done", TEARS_TYPE_BOOL, false},
        {"date_created", TEARS_TYPE_TIMESTAMPTZ, false},
        {"row_version", TEARS_TYPE_BIGINT, false},
    };
    memset(def, 0, sizeof *def);
    memset(columns, 0, NOTE_COLUMNS * sizeof *columns);
    for (size_t i = 0; i < NOTE_COLUMNS; i++) {
        columns[i].name = tears_str_c(parts[i].name);
        columns[i].type = parts[i].type;
        columns[i].nullable = parts[i].nullable;
    }
    columns[NOTE_MOOD].enum_values = note_moods;
    columns[NOTE_MOOD].enum_value_count = 2;
    columns[NOTE_MOOD].enum_name = TEARS_STR("mood");
    columns[NOTE_PRICE].precision = 12;
    columns[NOTE_PRICE].scale = 4;
    columns[NOTE_PRICE].has_scale = true;
    columns[NOTE_EMBEDDING].vector_dim = 2;
    columns[NOTE_DONE].server_default = TEARS_STR("false");
    columns[NOTE_CREATED].immutable = true;
    def->name = TEARS_STR("notes");
    def->columns = columns;
    def->column_count = NOTE_COLUMNS;
    def->primary_key = key;
    def->primary_key_count = 1;
    def->version_column = TEARS_STR("row_version");
}

static inline struct tears_schema *make_schema(const struct tears_schema_def *def)
{
    struct tears_schema *schema = NULL;
    struct tears_error error = {0};
    const tears_status status = tears_schema_new(def, &schema, &error);
    if (status != TEARS_OK)
        print_error("%s\n", error.message);
    assert_int_equal(status, TEARS_OK);
    return schema;
}

static inline struct tears_schema *make_notes(size_t key_count)
{
    struct tears_schema_def def;
    struct tears_column_def columns[NOTE_COLUMNS];
    describe_notes(&def, columns);
    def.primary_key_count = key_count;
    return make_schema(&def);
}

#endif
