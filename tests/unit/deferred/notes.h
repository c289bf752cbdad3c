/*
 * notes.h -- the table that tests of pending writes write to, and its rows.
 */
#ifndef TESTS_UNIT_DEFERRED_NOTES_H
#define TESTS_UNIT_DEFERRED_NOTES_H

#include "deferred/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

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

/* ---- a row in L3, or none; numbers only, so that two are compared at a glance ---- */

#define NOTE_UNSET INT64_C(-1)

struct note {
    bool exists;
    int64_t cells[NOTE_COLUMNS];
};

/* A text lives until 4,096 others have been asked for. */
static inline struct tears_value note_value(uint32_t column, int64_t number)
{
    static char texts[4096][24];
    static unsigned next;
    if (number == NOTE_UNSET)
        return tears_null();
    if (column != NOTE_B)
        return tears_int(number);
    char *text = texts[next++ % 4096];
    (void)snprintf(text, sizeof texts[0], "%lld", (long long)number);
    return tears_text(tears_str_c(text));
}

static inline int64_t note_number(const struct tears_value *value)
{
    if (value->kind == TEARS_KIND_NULL)
        return NOTE_UNSET;
    if (value->kind == TEARS_KIND_INT)
        return value->as.integer;
    int64_t number = 0;
    for (size_t i = 0; i < value->as.bytes.len; i++)
        number = number * 10 + (value->as.bytes.ptr[i] - '0');
    return number;
}

static inline const struct t3_row *note_row(const struct tears_schema *schema,
                                            const struct note *note, struct t3_arena *arena)
{
    struct tears_value values[NOTE_COLUMNS];
    struct t3_row *row;
    if (!note->exists)
        return NULL;
    for (uint32_t i = 0; i < NOTE_COLUMNS; i++)
        values[i] = note_value(i, note->cells[i]);
    assert_int_equal(t3_row_new(arena, &schema->layout, values, &row), TEARS_OK);
    return row;
}

/* ---- what L3 does ---- */

static inline void note_set(struct note *note, const struct t3_cell *cells, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        note->cells[cells[i].column] = note_number(&cells[i].value);
}

static inline void note_insert(struct note *note, const struct t3_cell *cells, uint32_t count)
{
    assert_false(note->exists);
    note->exists = true;
    for (uint32_t i = 0; i < NOTE_COLUMNS; i++)
        note->cells[i] = NOTE_UNSET;
    note->cells[NOTE_FILLED] = FILLED_BY_DATABASE;
    note_set(note, cells, count);
    note->cells[NOTE_VERSION] = 1;
}

static inline void note_update(struct note *note, const struct t3_cell *cells, uint32_t count)
{
    assert_true(note->exists);
    note_set(note, cells, count);
    note->cells[NOTE_VERSION]++;
}

static inline void note_upsert(const struct tears_schema *schema, struct note *note,
                               const struct t3_cell *cells, uint32_t count)
{
    if (!note->exists) {
        note_insert(note, cells, count);
        return;
    }
    if (schema->on_conflict == TEARS_ON_CONFLICT_IGNORE)
        return;
    struct t3_cell updated[NOTE_COLUMNS];
    uint32_t updated_count = 0;
    for (uint32_t i = 0; i < count; i++)
        if (cells[i].column != NOTE_ID && cells[i].column != NOTE_FIXED)
            updated[updated_count++] = cells[i];
    note_update(note, updated, updated_count);
}

/* What the flusher and L3 do with a record of which it is known that nothing is in its way. */
static inline void note_send(const struct tears_schema *schema, struct note *note,
                             const struct t3_record *record)
{
    struct t3_cell cells[NOTE_COLUMNS];
    const uint32_t count = t3_record_cells(schema, record, cells);
    for (uint32_t i = 0; i < count; i++)
        assert_int_not_equal(cells[i].column, NOTE_VERSION);
    assert_false(record->follows);
    if (record->has_base)
        assert_true(note->exists && note->cells[NOTE_VERSION] == record->base);
    switch (record->kind) {
    case T3_RECORD_INSERT:
        note_insert(note, cells, count);
        break;
    case T3_RECORD_UPSERT:
        note_upsert(schema, note, cells, count);
        break;
    case T3_RECORD_UPDATE:
        for (uint32_t i = 0; i < count; i++)
            assert_true(cells[i].column != NOTE_ID && cells[i].column != NOTE_FIXED);
        note_update(note, cells, count);
        break;
    case T3_RECORD_DELETE:
        note->exists = false;
        break;
    default:
        note->exists = false;
        note_insert(note, cells, count);
        break;
    }
}

#endif
