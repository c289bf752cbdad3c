/*
 * notes.h -- the table that tests of pending writes write to, and its rows.
 */
#ifndef TESTS_UNIT_DEFERRED_NOTES_H
#define TESTS_UNIT_DEFERRED_NOTES_H

#include "schema/key.h"
#include "schema/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Columns of the table: a key, two that change, one that never does, one that the database fills, and the version. */
enum { NOTE_ID, NOTE_A, NOTE_B, NOTE_FIXED, NOTE_FILLED, NOTE_VERSION, NOTE_COLUMNS };

enum { FILLED_BY_DATABASE = 77 };

static inline struct tears_schema *notes_schema(const char *name, uint64_t on_conflict,
                                                bool is_versioned)
{
    const struct tears_column_def columns[NOTE_COLUMNS] = {
        {.name = TEARS_STR("id"), .type = TEARS_TYPE_BIGINT},
        {.name = TEARS_STR("a"), .type = TEARS_TYPE_BIGINT, .nullable = true},
        {.name = TEARS_STR("b"), .type = TEARS_TYPE_STRING, .nullable = true},
        {.name = TEARS_STR("fixed"),
         .type = TEARS_TYPE_BIGINT,
         .nullable = true,
         .immutable = true},
        {.name = TEARS_STR("filled"), .type = TEARS_TYPE_BIGINT, .server_default = TEARS_STR("77")},
        {.name = TEARS_STR("version"), .type = TEARS_TYPE_BIGINT},
    };
    const struct tears_str key = TEARS_STR("id");
    const struct tears_schema_def def = {.name = tears_str_c(name),
                                         .columns = columns,
                                         .column_count = NOTE_COLUMNS,
                                         .primary_key = &key,
                                         .primary_key_count = 1,
                                         .version_column =
                                             is_versioned ? TEARS_STR("version") : TEARS_STR(""),
                                         .on_conflict = on_conflict};
    struct tears_schema *schema = NULL;
    struct tears_error error;
    assert_int_equal(tears_schema_new(&def, &schema, &error), TEARS_OK);
    return schema;
}

/* The key of a note; `storage` is what it points to. */
static inline struct t3_key note_key(const struct tears_schema *schema, int64_t id,
                                     struct tears_value *storage)
{
    struct t3_arena unused = {0};
    struct t3_key key;
    struct tears_value converted;
    *storage = tears_int(id);
    assert_int_equal(t3_key_init(schema, storage, 1, &converted, &unused, &key, NULL), TEARS_OK);
    return key;
}

#endif
