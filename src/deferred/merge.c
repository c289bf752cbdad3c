/*
 * merge.c -- a pending write meets a row of L3 that is not the one it was made from.
 *
 * Owns:     nothing; what is made is in the caller's arena.
 * Knows:    schemas, rows, records.
 * Must not know: how the row was read, or what becomes of the result.
 * Threads:  the flushing one; the application's function is called on it.
 * Fails:    TEARS_CONFLICT with a message for people, TEARS_NO_MEMORY.
 * Begin at: t3_merge().
 */
#include "deferred/merge.h"

#include "base/fail.h"
#include "base/limits.h"

#include <inttypes.h>

/* One merge under way. */
struct merging {
    const struct tears_schema *schema;
    const struct t3_merger *merger;
    const struct t3_record *record;
    const struct t3_row *theirs;
    struct t3_arena *arena;
    struct tears_error *error_out;
    struct tears_value *values; /* of the row as it will be */
    uint64_t *changed;
    bool has_changes;
};

/* ---- refusing ----------------------------------------------------------------------------------- */

static tears_status refuse(const struct merging *merging, struct tears_str column,
                           const char *reason)
{
    const struct tears_schema *schema = merging->schema;
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    struct tears_value storage[T3_KEY_COLUMNS_MAX];
    struct t3_key key;
    t3_key_of_row(schema, merging->record->row, storage, &key);
    if (t3_key_put_display(&key, &text) != TEARS_OK)
        return t3_fail_memory(merging->error_out, "deferred");
    const struct tears_str display = t3_buf_str(&text);
    if (column.len == 0)
        return t3_fail(merging->error_out, TEARS_CONFLICT, "deferred",
                       "table '" T3_STR_FMT "', key " T3_STR_FMT ": %s", T3_STR_ARG(schema->name),
                       T3_STR_ARG(display), reason);
    return t3_fail(merging->error_out, TEARS_CONFLICT, "deferred",
                   "table '" T3_STR_FMT "', key " T3_STR_FMT ", column '" T3_STR_FMT "': %s",
                   T3_STR_ARG(schema->name), T3_STR_ARG(display), T3_STR_ARG(column), reason);
}

/* What a table's policy makes of a write that somebody else was faster than. */
static tears_status reject(const struct merging *merging)
{
    const struct t3_record *record = merging->record;
    if (merging->theirs == NULL)
        return refuse(merging, TEARS_STR(""), "the row is gone");
    if (record->kind == T3_RECORD_INSERT)
        return refuse(merging, TEARS_STR(""), "the row exists already");
    if (!record->has_base)
        return refuse(merging, TEARS_STR(""), "the row has changed");
    return t3_fail(merging->error_out, TEARS_CONFLICT, "deferred",
                   "table '" T3_STR_FMT "': the write was based on version %" PRId64
                   " of the row, which has version %" PRId64,
                   T3_STR_ARG(merging->schema->name), record->base,
                   t3_schema_row_version(merging->schema, merging->theirs));
}

/* ---- what may be written ------------------------------------------------------------------------- */

static bool is_updatable(const struct t3_column *column)
{
    return !column->primary && !column->version && !column->immutable && !column->generated;
}

static struct tears_value cell(const struct merging *merging, const struct t3_row *row,
                               uint32_t column)
{
    return row != NULL ? t3_row_value(row, &merging->schema->layout, column) : tears_null();
}

static void set(struct merging *merging, uint32_t column, struct tears_value value)
{
    merging->values[column] = value;
    merging->changed[column / 64] |= UINT64_C(1) << (column % 64);
    merging->has_changes = true;
}

static tears_status begin(struct merging *merging)
{
    const struct tears_schema *schema = merging->schema;
    merging->values = t3_arena_array(merging->arena, schema->column_count, sizeof *merging->values);
    merging->changed =
        t3_arena_array(merging->arena, t3_record_words(schema), sizeof *merging->changed);
    if (merging->values == NULL || merging->changed == NULL)
        return t3_fail_memory(merging->error_out, "deferred");
    for (uint32_t i = 0; i < schema->column_count; i++)
        merging->values[i] = cell(merging, merging->theirs, i);
    return TEARS_OK;
}

/* The record of what was put together, based on theirs if it is there. */
static tears_status end(struct merging *merging, uint8_t kind, struct t3_record *record_out)
{
    const struct tears_schema *schema = merging->schema;
    struct t3_row *row;
    const tears_status status = t3_row_new(merging->arena, &schema->layout, merging->values, &row);
    if (status == TEARS_LIMIT)
        return refuse(merging, TEARS_STR(""), "the merged row is too large");
    if (status != TEARS_OK)
        return t3_fail_memory(merging->error_out, "deferred");
    struct t3_record merged = {.id = merging->record->id,
                               .seq = merging->record->seq,
                               .kind = kind,
                               .since_us = merging->record->since_us,
                               .row = row,
                               .changed = merging->changed};
    merged.has_base = merging->theirs != NULL && schema->version_column != T3_NO_COLUMN;
    if (merged.has_base)
        merged.base = t3_schema_row_version(schema, merging->theirs);
    if (kind == T3_RECORD_UPDATE && merging->merger->policy == TEARS_ON_STALE_MERGE)
        merged.before = merging->theirs;
    *record_out = merged;
    return TEARS_OK;
}

/* The whole row, for a table in which it is not any more.  A NULL that the column does not take is the database's to fill. */
static tears_status insert_again(struct merging *merging, struct t3_record *record_out)
{
    const struct t3_record *record = merging->record;
    const bool is_whole = record->kind == T3_RECORD_UPDATE;
    for (uint32_t i = 0; i < merging->schema->column_count; i++) {
        const struct t3_column *column = &merging->schema->columns[i];
        const struct tears_value value = cell(merging, record->row, i);
        merging->values[i] = column->version ? tears_null() : value;
        if (column->version || column->generated || column->type == TEARS_TYPE_TSVECTOR)
            continue;
        if (is_whole ? value.kind != TEARS_KIND_NULL || column->nullable
                     : t3_record_changes(record, i))
            set(merging, i, value);
    }
    return end(merging, T3_RECORD_INSERT, record_out);
}

/* ---- last writer -------------------------------------------------------------------------------- */

static tears_status write_over(struct merging *merging, struct t3_record *record_out, bool *is_done)
{
    const struct t3_record *record = merging->record;
    for (uint32_t i = 0; i < merging->schema->column_count; i++)
        if (t3_record_changes(record, i) && is_updatable(&merging->schema->columns[i])) {
            const struct tears_value mine = cell(merging, record->row, i);
            if (!t3_row_cell_equal(merging->theirs, &merging->schema->layout, i, &mine))
                set(merging, i, mine);
        }
    *is_done = !merging->has_changes;
    return end(merging, T3_RECORD_UPDATE, record_out);
}

static tears_status last_writer(struct merging *merging, struct t3_record *record_out,
                                bool *is_done)
{
    switch (merging->record->kind) {
    case T3_RECORD_DELETE:
        *record_out = *merging->record;
        record_out->has_base = false;
        record_out->base = 0;
        return TEARS_OK;
    case T3_RECORD_REPLACE:
        *record_out = *merging->record;
        record_out->has_base = merging->schema->version_column != T3_NO_COLUMN;
        record_out->base = t3_schema_row_version(merging->schema, merging->theirs);
        return TEARS_OK;
    default:
        return write_over(merging, record_out, is_done);
    }
}

/* ---- three ways --------------------------------------------------------------------------------- */

/* Lets the application decide a column that both sides have changed. */
static tears_status ask(struct merging *merging, uint32_t index, struct tears_merge_field *field,
                        struct tears_value *value_out)
{
    const struct t3_merger *merger = merging->merger;
    const struct t3_column *column = &merging->schema->columns[index];
    if (merger->fn == NULL)
        return refuse(merging, column->name, "both sides have changed it");
    const tears_status status = merger->fn(merger->owner, merging->schema->name, field, value_out);
    if (status == TEARS_NO_MEMORY)
        return t3_fail_memory(merging->error_out, "deferred");
    if (status != TEARS_OK)
        return refuse(merging, column->name,
                      "both sides have changed it, and the application's merge refused to decide");
    if (value_out->kind == TEARS_KIND_NULL ? !column->nullable : value_out->kind != column->kind)
        return refuse(merging, column->name,
                      "the application's merge gave a value that the column cannot hold");
    return TEARS_OK;
}

static tears_status merge_column(struct merging *merging, uint32_t index)
{
    const struct t3_record *record = merging->record;
    struct tears_merge_field field = {.column = merging->schema->columns[index].name,
                                      .before = cell(merging, record->before, index),
                                      .mine = cell(merging, record->row, index),
                                      .theirs = cell(merging, merging->theirs, index)};
    if (tears_value_equal(&field.mine, &field.theirs))
        return TEARS_OK;
    if (record->before != NULL && tears_value_equal(&field.mine, &field.before))
        return TEARS_OK; /* written, but not changed */
    const bool knows_before = record->before != NULL || record->kind != T3_RECORD_UPDATE;
    struct tears_value value = field.mine;
    if (!knows_before || !tears_value_equal(&field.before, &field.theirs))
        T3_TRY(ask(merging, index, &field, &value));
    if (!tears_value_equal(&value, &field.theirs))
        set(merging, index, value);
    return TEARS_OK;
}

static tears_status three_ways(struct merging *merging, struct t3_record *record_out, bool *is_done)
{
    const struct t3_record *record = merging->record;
    if (record->kind == T3_RECORD_DELETE || record->kind == T3_RECORD_REPLACE)
        return refuse(merging, TEARS_STR(""), "the row to be deleted was changed");
    for (uint32_t i = 0; i < merging->schema->column_count; i++)
        if (t3_record_changes(record, i) && is_updatable(&merging->schema->columns[i]))
            T3_TRY(merge_column(merging, i));
    *is_done = !merging->has_changes;
    return end(merging, T3_RECORD_UPDATE, record_out);
}

/* ---- the policies -------------------------------------------------------------------------------- */

/* Nothing of the row is there. */
static tears_status merge_with_nothing(struct merging *merging, struct t3_record *record_out)
{
    if (merging->record->kind == T3_RECORD_UPDATE &&
        merging->merger->policy == TEARS_ON_STALE_MERGE)
        return refuse(merging, TEARS_STR(""), "the row is gone");
    return insert_again(merging, record_out);
}

tears_status t3_merge(const struct tears_schema *schema, const struct t3_merger *merger,
                      const struct t3_record *record, const struct t3_row *theirs,
                      struct t3_arena *arena, struct t3_record *record_out, bool *is_done,
                      struct tears_error *error_out)
{
    struct merging merging = {.schema = schema,
                              .merger = merger,
                              .record = record,
                              .theirs = theirs,
                              .arena = arena,
                              .error_out = error_out};
    struct t3_record merged = *record;
    bool done = record->kind == T3_RECORD_DELETE && theirs == NULL;
    if (!done && merger->policy == TEARS_ON_STALE_REJECT)
        return reject(&merging);
    if (!done) {
        T3_TRY(begin(&merging));
        if (theirs == NULL)
            T3_TRY(merge_with_nothing(&merging, &merged));
        else if (merger->policy == TEARS_ON_STALE_LAST_WRITER)
            T3_TRY(last_writer(&merging, &merged, &done));
        else
            T3_TRY(three_ways(&merging, &merged, &done));
    }
    *record_out = merged;
    *is_done = done;
    return TEARS_OK;
}

/* ---- comparing ---------------------------------------------------------------------------------- */

bool t3_merge_is_landed(const struct tears_schema *schema, const struct t3_record *record,
                        const struct t3_row *theirs)
{
    if (record->kind == T3_RECORD_DELETE || theirs == NULL)
        return record->kind == T3_RECORD_DELETE && theirs == NULL;
    const bool is_upsert = record->kind == T3_RECORD_UPSERT;
    if (is_upsert && schema->on_conflict == TEARS_ON_CONFLICT_IGNORE)
        return true; /* a row that is there is left alone */
    for (uint32_t i = 0; i < schema->column_count; i++) {
        const struct t3_column *column = &schema->columns[i];
        if (!t3_record_changes(record, i) || column->version || (is_upsert && column->immutable))
            continue;
        const struct tears_value mine = t3_row_value(record->row, &schema->layout, i);
        if (!t3_row_cell_equal(theirs, &schema->layout, i, &mine))
            return false;
    }
    return true;
}
