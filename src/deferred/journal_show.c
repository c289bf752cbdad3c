/*
 * journal_show.c -- a pending write as people see it: its key, its row as JSON, the columns it changes.
 *
 * Owns:     nothing; texts are the journal's arena's.
 * Must not know: where the record came from.
 * Threads:  the journal's.
 * Fails:    TEARS_NO_MEMORY.
 * Begin at: t3_journal_api_show().
 */
#include "base/fail.h"
#include "codec/json.h"
#include "deferred/journal_api.h"
#include "schema/row_codec.h"

_Static_assert((int)T3_RECORD_INSERT == TEARS_PENDING_INSERT &&
                   (int)T3_RECORD_UPSERT == TEARS_PENDING_UPSERT &&
                   (int)T3_RECORD_UPDATE == TEARS_PENDING_UPDATE &&
                   (int)T3_RECORD_DELETE == TEARS_PENDING_DELETE &&
                   (int)T3_RECORD_REPLACE == TEARS_PENDING_REPLACE,
               "the numbers are the same");

static tears_status put_key_object(const struct tears_schema *schema, const struct t3_row *row,
                                   struct t3_buf *out)
{
    T3_TRY(t3_buf_put_char(out, '{'));
    for (uint32_t i = 0; i < schema->key_count; i++) {
        const uint32_t column = schema->key[i];
        const struct tears_value value = t3_row_value(row, &schema->layout, column);
        if (i > 0)
            T3_TRY(t3_buf_put(out, TEARS_STR(", ")));
        T3_TRY(t3_json_put_string(out, schema->columns[column].name));
        T3_TRY(t3_buf_put(out, TEARS_STR(": ")));
        T3_TRY(t3_value_encode(&value, schema->byte_codec, out));
    }
    return t3_buf_put_char(out, '}');
}

static tears_status put_changed(const struct tears_schema *schema, const struct t3_record *record,
                                struct t3_buf *out)
{
    bool first = true;
    T3_TRY(t3_buf_put_char(out, '['));
    for (uint32_t i = 0; i < schema->column_count; i++) {
        if (record->kind == T3_RECORD_DELETE || !t3_record_changes(record, i))
            continue;
        if (!first)
            T3_TRY(t3_buf_put(out, TEARS_STR(", ")));
        T3_TRY(t3_json_put_string(out, schema->columns[i].name));
        first = false;
    }
    return t3_buf_put_char(out, ']');
}

static tears_status put_key(const struct tears_schema *schema, const struct t3_row *row,
                            struct t3_buf *out)
{
    struct tears_value values[T3_COUNT(schema->key)];
    struct t3_key key;
    t3_key_of_row(schema, row, values, &key);
    return t3_key_put_display(&key, out);
}

/* Moves the text of the buffer into the arena. */
static tears_status keep(tears_journal *journal, tears_status status, struct t3_buf *text,
                         struct tears_str *kept_out, struct tears_error *error_out)
{
    if (status == TEARS_OK)
        status = t3_arena_str(&journal->arena, t3_buf_str(text), kept_out);
    t3_buf_clear(text);
    if (status == TEARS_OK)
        return TEARS_OK;
    if (status == TEARS_NO_MEMORY)
        return t3_fail_memory(error_out, T3_JOURNAL_ORIGIN);
    return t3_fail(error_out, TEARS_CORRUPT, T3_JOURNAL_ORIGIN,
                   "%s: a row cannot be shown as JSON: %s", journal->path,
                   tears_status_text(status));
}

tears_status t3_journal_api_show(tears_journal *journal, const struct t3_journal_item *item,
                                 struct tears_pending *pending_out, struct tears_error *error_out)
{
    const struct tears_schema *schema = item->schema;
    const struct t3_record *record = &item->record;
    struct tears_pending pending = {.id = item->id,
                                    .kind = record->kind,
                                    .table = schema->name,
                                    .has_base = record->has_base ? 1 : 0,
                                    .base = record->has_base ? record->base : 0,
                                    .since_us = record->since_us,
                                    .bytes = item->bytes};
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    tears_status status = put_key(schema, record->row, &text);
    T3_TRY(keep(journal, status, &text, &pending.key, error_out));
    status = record->kind == T3_RECORD_DELETE ? put_key_object(schema, record->row, &text)
                                              : t3_row_encode(schema, record->row, &text);
    T3_TRY(keep(journal, status, &text, &pending.row, error_out));
    status = put_changed(schema, record, &text);
    T3_TRY(keep(journal, status, &text, &pending.changed, error_out));
    *pending_out = pending;
    return TEARS_OK;
}
