/*
 * journal_letters.c -- dead letters for people: seen, tried again, edited, dropped.
 *
 * Owns:     nothing.
 * Must not know: why L3 refused them.
 * Threads:  the journal's.
 * Fails:    as tears/deferred.h says.
 * Begin at: tears_journal_dead(), tears_journal_edit().
 *
 * These write the file beside its owner, and touch nothing but the table of dead letters, which the owner does not keep in memory.
 */
#include "base/fail.h"
#include "base/str.h"
#include "deferred/journal_api.h"
#include "schema/row_codec.h"

#include <inttypes.h>

/* ---- seeing ---- */

enum { SQLSTATE = 5, MESSAGE, DIED_US, DEPENDANTS, MARKED }; /* columns */

/* A damaged one has no more than its id and why it died. */
static tears_status read_letter(tears_journal *journal, struct t3_lite_conn *conn,
                                struct t3_lite_stmt *stmt, void *item_out,
                                struct tears_error *error_out)
{
    struct t3_journal_item item;
    struct tears_dead dead = {.died_us = (int64_t)t3_journal_number(stmt, DIED_US),
                              .dependants = t3_journal_number(stmt, DEPENDANTS),
                              .is_marked = t3_journal_number(stmt, MARKED) != 0 ? 1 : 0};
    T3_TRY(t3_journal_api_item(journal, conn, stmt, &item, error_out));
    dead.id = item.id;
    dead.write = (struct tears_pending){.id = item.id,
                                        .table = TEARS_STR(""),
                                        .key = TEARS_STR(""),
                                        .row = TEARS_STR(""),
                                        .changed = TEARS_STR(""),
                                        .bytes = item.bytes};
    if (item.schema != NULL)
        T3_TRY(t3_journal_api_show(journal, &item, &dead.write, error_out));
    if (t3_arena_str(&journal->arena, t3_journal_bytes(stmt, SQLSTATE), &dead.sqlstate) !=
            TEARS_OK ||
        t3_arena_str(&journal->arena, t3_journal_bytes(stmt, MESSAGE), &dead.message) != TEARS_OK)
        return t3_fail_memory(error_out, T3_JOURNAL_ORIGIN);
    *(struct tears_dead *)item_out = dead;
    return TEARS_OK;
}

tears_status tears_journal_dead(tears_journal *journal, struct tears_str table, uint64_t after_id,
                                size_t max, const struct tears_dead **dead_out, size_t *count_out,
                                struct tears_error *error_out)
{
    static const struct t3_journal_page page = {
        .all = "SELECT id, seq, layout, checksum, bytes, sqlstate, message, died_us, dependants, "
               "marked FROM dead WHERE id>?1 ORDER BY id LIMIT ?2",
        .some = "SELECT id, seq, layout, checksum, bytes, sqlstate, message, died_us, dependants, "
                "marked FROM dead WHERE id>?1 AND layout IN (SELECT l.id FROM layout l WHERE "
                "l.name=?3) ORDER BY id LIMIT ?2",
        .size = sizeof(struct tears_dead),
        .read = read_letter};
    const struct t3_journal_part part = {.table = table, .after_id = after_id, .max = max};
    const void *items = NULL;
    T3_TRY(t3_journal_api_page(journal, &page, &part, &items, count_out, error_out));
    *dead_out = items;
    return TEARS_OK;
}

/* ---- trying again, dropping ---- */

static tears_status begin(tears_journal *journal, struct t3_lite_conn **conn_out,
                          struct tears_error *error_out)
{
    T3_AUTO(t3_lite_give_auto) struct t3_lite_conn *conn = NULL;
    t3_arena_reset(&journal->arena);
    T3_TRY(t3_lite_take_writer(journal->lite, t3_journal_api_deadline(), &conn, error_out));
    T3_TRY(t3_lite_begin(conn, true, error_out));
    *conn_out = T3_TAKE(conn);
    return TEARS_OK;
}

static tears_status fail_no_letter(const tears_journal *journal, uint64_t id,
                                   struct tears_error *error_out)
{
    return t3_fail(error_out, TEARS_NOT_FOUND, T3_JOURNAL_ORIGIN,
                   "%s: there is no dead letter %" PRIu64, journal->path, id);
}

/* Runs a statement that changes letters, in a transaction of its own. */
static tears_status change(tears_journal *journal, const struct t3_journal_sql *sql,
                           uint64_t *count_out, struct tears_error *error_out)
{
    T3_AUTO(t3_lite_give_auto) struct t3_lite_conn *conn = NULL;
    T3_TRY(begin(journal, &conn, error_out));
    T3_TRY(t3_journal_run(conn, sql, error_out));
    *count_out = t3_lite_changes(conn);
    return t3_lite_commit(conn, error_out);
}

tears_status tears_journal_retry(tears_journal *journal, uint64_t id, struct tears_str table,
                                 uint64_t *count_out, struct tears_error *error_out)
{
    const struct tears_value values[] = {t3_journal_value(id), tears_text(table)};
    const struct t3_journal_sql sql = {
        "UPDATE dead SET marked=1 WHERE (?1=0 OR id=?1) AND"
        " (?2='' OR layout IN (SELECT l.id FROM layout l WHERE l.name=?2))",
        values, 2};
    uint64_t count = 0;
    T3_TRY(change(journal, &sql, &count, error_out));
    if (count == 0 && id != 0)
        return fail_no_letter(journal, id, error_out);
    if (count == 0)
        return t3_fail(error_out, TEARS_NOT_FOUND, T3_JOURNAL_ORIGIN,
                       table.len > 0 ? "%s: there is no dead letter of table '" T3_STR_FMT "'"
                                     : "%s: there is no dead letter" T3_STR_FMT,
                       journal->path, T3_STR_ARG(table));
    if (count_out != NULL)
        *count_out = count;
    return TEARS_OK;
}

tears_status tears_journal_drop(tears_journal *journal, uint64_t id, struct tears_error *error_out)
{
    const struct tears_value values[] = {t3_journal_value(id)};
    const struct t3_journal_sql sql = {"DELETE FROM dead WHERE id=?1", values, 1};
    uint64_t count = 0;
    T3_TRY(change(journal, &sql, &count, error_out));
    return count == 1 ? TEARS_OK : fail_no_letter(journal, id, error_out);
}

/* ---- editing ---- */

static tears_status read_one(tears_journal *journal, struct t3_lite_conn *conn, uint64_t id,
                             struct t3_journal_item *item_out, struct tears_error *error_out)
{
    const struct tears_value values[] = {t3_journal_value(id)};
    const struct t3_journal_sql sql = {
        "SELECT id, seq, layout, checksum, bytes FROM dead WHERE id=?1", values, 1};
    T3_AUTO(t3_lite_reset) struct t3_lite_stmt *stmt = NULL;
    bool row;
    T3_TRY(t3_journal_query(conn, &sql, &stmt, error_out));
    T3_TRY(t3_lite_step(stmt, &row, error_out));
    if (!row)
        return fail_no_letter(journal, id, error_out);
    T3_TRY(t3_journal_api_item(journal, conn, stmt, item_out, error_out));
    if (item_out->schema == NULL)
        return t3_fail(error_out, TEARS_INVALID, T3_JOURNAL_ORIGIN,
                       "dead letter %" PRIu64 " is damaged: there is nothing to edit", id);
    if (item_out->record.kind == T3_RECORD_DELETE)
        return t3_fail(error_out, TEARS_INVALID, T3_JOURNAL_ORIGIN,
                       "dead letter %" PRIu64 " is a deletion: there is nothing to edit", id);
    return TEARS_OK;
}

static bool is_key_column(const struct tears_schema *schema, uint32_t column)
{
    return schema->columns[column].primary;
}

/* The row with the fields put in, and their columns among those that the write sets. */
static tears_status apply(tears_journal *journal, struct t3_journal_item *item,
                          const struct tears_field *fields, size_t count,
                          struct tears_error *error_out)
{
    const struct tears_schema *schema = item->schema;
    const uint32_t words = t3_record_words(schema);
    struct tears_value *values =
        t3_arena_array(&journal->arena, schema->column_count, sizeof *values);
    uint64_t *changed = t3_arena_array(&journal->arena, words, sizeof *changed);
    if (values == NULL || changed == NULL)
        return t3_fail_memory(error_out, T3_JOURNAL_ORIGIN);
    memcpy(changed, item->record.changed, words * sizeof *changed);
    for (uint32_t i = 0; i < schema->column_count; i++)
        values[i] = t3_row_value(item->record.row, &schema->layout, i);
    for (size_t i = 0; i < count; i++) {
        const uint32_t column = t3_schema_find(schema, fields[i].name);
        if (is_key_column(schema, column) && fields[i].value.kind == TEARS_KIND_NULL)
            return t3_fail(error_out, TEARS_INVALID, T3_JOURNAL_ORIGIN,
                           "table '" T3_STR_FMT "': column '" T3_STR_FMT
                           "' is of the primary key and cannot be null",
                           T3_STR_ARG(schema->name), T3_STR_ARG(fields[i].name));
        values[column] = fields[i].value;
        if (!is_key_column(schema, column))
            changed[column / 64] |= (uint64_t)1 << (column % 64);
    }
    struct t3_row *row = NULL;
    if (t3_row_new(&journal->arena, &schema->layout, values, &row) != TEARS_OK)
        return t3_fail_memory(error_out, T3_JOURNAL_ORIGIN);
    item->record.row = row;
    item->record.changed = changed;
    return TEARS_OK;
}

static tears_status store(struct t3_lite_conn *conn, const struct t3_journal_item *item,
                          struct tears_error *error_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf bytes = {0};
    const tears_status status = t3_record_put(item->schema, &item->record, &bytes);
    if (status == TEARS_NO_MEMORY)
        return t3_fail_memory(error_out, T3_JOURNAL_ORIGIN);
    if (status != TEARS_OK)
        return t3_fail(error_out, TEARS_INVALID, T3_JOURNAL_ORIGIN,
                       "dead letter %" PRIu64 " would be too large", item->id);
    const uint64_t checksum =
        t3_journal_checksum(item->id, item->seq, item->layout, t3_buf_str(&bytes));
    const struct tears_value values[] = {t3_journal_value(item->id), t3_journal_value(checksum),
                                         tears_bytes(t3_buf_str(&bytes))};
    const struct t3_journal_sql sql = {"UPDATE dead SET checksum=?2, bytes=?3 WHERE id=?1", values,
                                       3};
    return t3_journal_run(conn, &sql, error_out);
}

tears_status tears_journal_edit(tears_journal *journal, uint64_t id, struct tears_str json,
                                struct tears_error *error_out)
{
    T3_AUTO(t3_lite_give_auto) struct t3_lite_conn *conn = NULL;
    struct t3_journal_item item;
    struct tears_field *fields = NULL;
    struct tears_str copy;
    size_t count = 0;
    T3_TRY(begin(journal, &conn, error_out));
    T3_TRY(read_one(journal, conn, id, &item, error_out));
    if (t3_arena_str(&journal->arena, json, &copy) != TEARS_OK)
        return t3_fail_memory(error_out, T3_JOURNAL_ORIGIN);
    T3_TRY(t3_fields_decode(item.schema, copy, &journal->arena, &fields, &count, error_out));
    T3_TRY(apply(journal, &item, fields, count, error_out));
    T3_TRY(store(conn, &item, error_out));
    return t3_lite_commit(conn, error_out);
}
