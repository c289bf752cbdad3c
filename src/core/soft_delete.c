/*
 * soft_delete.c -- deletes that mark, and reads that pass over what is marked.
 *
 * Owns:     nothing.
 * Knows:    the two columns of the bundle: is_deleted and date_deleted.
 * Must not know: the tiers' order, SQL.
 * Threads:  the session's.
 * Fails:    as the read and write paths do.
 * Begin at: t3_soft_delete_rows().
 *
 * Why the row is read from L3 before it is marked: the answer "there was none" must not come from a cache, and a mark
 * that is there already must keep its date.  Two who delete one row at the same moment may both be told that they did.
 */
#include "core/soft_delete.h"

#include "base/fail.h"
#include "core/cells.h"
#include "core/read.h"

#define FLAG TEARS_STR("is_deleted")
#define DATE TEARS_STR("date_deleted")

/* ---- the columns --------------------------------------------------------------------------- */

static tears_status refuse(const struct tears_collection *collection, const char *reason,
                           struct tears_error *error_out)
{
    return t3_fail(error_out, TEARS_INVALID, "core",
                   "table '" T3_STR_FMT "', option soft_delete: %s",
                   T3_STR_ARG(collection->schema->name), reason);
}

tears_status t3_soft_delete_init(struct tears_collection *collection, struct tears_error *error_out)
{
    const struct tears_schema *schema = collection->schema;
    if (!t3_is_soft(collection))
        return TEARS_OK;
    if (collection->lives_in_l2)
        return refuse(collection, "a table without L3 is changed with tears_l2_mutate", error_out);
    const uint32_t flag = t3_schema_find(schema, FLAG);
    const uint32_t date = t3_schema_find(schema, DATE);
    if (flag == T3_NO_COLUMN || schema->columns[flag].kind != TEARS_KIND_BOOL ||
        schema->columns[flag].nullable)
        return refuse(collection, "it needs a column is_deleted, boolean and not null", error_out);
    if (date != T3_NO_COLUMN && schema->columns[date].kind != TEARS_KIND_TIMESTAMP)
        return refuse(collection, "its column date_deleted is no timestamp", error_out);
    collection->deleted_column = flag;
    return TEARS_OK;
}

/* ---- reading ------------------------------------------------------------------------------- */

static bool is_marked(const struct tears_collection *collection, const struct t3_row *row)
{
    const struct tears_value mark =
        t3_row_value(row, &collection->schema->layout, collection->deleted_column);
    return mark.kind == TEARS_KIND_BOOL && mark.as.boolean;
}

bool t3_is_visible(const struct tears_session *session, const struct tears_collection *collection,
                   const struct t3_row *row)
{
    return row != NULL && (!t3_hides_deleted(session, collection) || !is_marked(collection, row));
}

struct t3_cell t3_soft_delete_filter(const struct tears_collection *collection)
{
    const struct t3_cell cell = {.column = collection->deleted_column, .value = tears_bool(false)};
    return cell;
}

/* ---- deleting ------------------------------------------------------------------------------ */

/* The cells that mark a row. */
static tears_status mark_cells(struct tears_session *session,
                               const struct tears_collection *collection,
                               struct t3_cell **cells_out, uint32_t *count_out)
{
    const struct tears_schema *schema = collection->schema;
    const struct tears_field fields[] = {
        tears_field_of(FLAG, tears_bool(true)),
        tears_field_of(DATE, tears_timestamp_us(t3_calendar_us())),
    };
    const size_t count = t3_schema_find(schema, DATE) != T3_NO_COLUMN ? 2 : 1;
    return t3_cells_of(session, schema, fields, count, T3_CELLS_UPDATE, cells_out, count_out);
}

/* A deferred mark needs the row that it is put on. */
static void base_on(const struct tears_collection *collection, const struct t3_found *found,
                    struct t3_change *change)
{
    t3_change_base(change, collection->schema, found->row, found->revision);
    change->pending_seq = found->pending_seq;
}

/* Finds out which rows are there to be marked; has_base: whoever gave the base has seen the row. */
static tears_status find_rows(struct tears_session *session, struct tears_collection *collection,
                              struct t3_change *changes, size_t count, bool *there_out)
{
    struct t3_key *keys = t3_arena_array(&session->arena, count, sizeof *keys);
    struct t3_found *found = t3_arena_array(&session->arena, count, sizeof *found);
    if (keys == NULL || found == NULL)
        return t3_session_no_memory(session);
    for (size_t i = 0; i < count; i++)
        keys[i] = changes[i].key;
    T3_TRY(collection->defers ? t3_read_many(session, collection, keys, count, found)
                              : t3_read_l3(session, collection, keys, count, found));
    for (size_t i = 0; i < count; i++) {
        there_out[i] =
            changes[i].has_base || (found[i].row != NULL && !is_marked(collection, found[i].row));
        if (there_out[i] && changes[i].from == NULL && collection->defers)
            base_on(collection, &found[i], &changes[i]);
    }
    return TEARS_OK;
}

/* A row without a base that vanished since it was found is as one that was not there. */
static tears_status outcome_of(const struct t3_change *change, const struct tears_outcome *outcome)
{
    return outcome->status == TEARS_CONFLICT && !change->has_base ? TEARS_NOT_FOUND
                                                                  : outcome->status;
}

tears_status t3_soft_delete_rows(struct tears_session *session, struct tears_collection *collection,
                                 struct t3_change *changes, size_t count,
                                 struct tears_outcome *outcomes_out)
{
    struct t3_cell *cells = NULL;
    uint32_t cell_count = 0;
    size_t n = 0;
    if (count == 0)
        return TEARS_OK;
    bool *there = t3_arena_array(&session->arena, count, sizeof *there);
    struct t3_change *marks = t3_arena_array(&session->arena, count, sizeof *marks);
    struct tears_outcome *outcomes = t3_arena_array(&session->arena, count, sizeof *outcomes);
    if (there == NULL || marks == NULL || outcomes == NULL)
        return t3_session_no_memory(session);
    T3_TRY(mark_cells(session, collection, &cells, &cell_count));
    T3_TRY(find_rows(session, collection, changes, count, there));
    for (size_t i = 0; i < count; i++) {
        if (!there[i]) {
            t3_write_invalidate(session, collection, &changes[i].key);
            continue;
        }
        marks[n] = changes[i];
        marks[n].cells = cells;
        marks[n++].cell_count = cell_count;
    }
    const tears_status status =
        t3_write_rows(session, collection, T3_WRITE_UPDATE, marks, n, outcomes);
    if (status != TEARS_OK && status != TEARS_CONFLICT)
        return status;
    n = 0;
    for (size_t i = 0; i < count; i++) {
        outcomes_out[i].entity = NULL;
        outcomes_out[i].status = there[i] ? outcome_of(&changes[i], &outcomes[n]) : TEARS_NOT_FOUND;
        n += there[i];
    }
    return TEARS_OK;
}
