/*
 * page.c -- pages of rows, by key.
 *
 * Owns:     nothing.
 * Knows:    that a page is cut after its last row, and goes on from that row's sort key.
 * Must not know: SQL.
 * Threads:  the session's.
 * Fails:    TEARS_INVALID for a column or cursor that does not fit; as L3 does.
 * Begin at: tears_page_read().
 *
 * Rows of a page are not put in any cache: they were not asked for by key, and one large scan would
 * push out what is.
 */
#include "core/core.h"

#include "base/fail.h"
#include "base/sized.h"
#include "core/cells.h"
#include "core/partitions.h"
#include "core/soft_delete.h"
#include "schema/dml.h"
#include "schema/page.h"

enum { ROWS_DEFAULT = 100, ROWS_MAX = 100000 };

static tears_status unknown_column(struct tears_session *session, const struct tears_schema *schema,
                                   struct tears_str column)
{
    return t3_fail(&session->error, TEARS_INVALID, "schema",
                   "table '" T3_STR_FMT "' has no column '" T3_STR_FMT "'",
                   T3_STR_ARG(schema->name), T3_STR_ARG(column));
}

static tears_status filters_of(struct tears_session *session,
                               const struct tears_collection *collection,
                               const struct tears_page_options *options, struct t3_scan *scan)
{
    const struct tears_schema *schema = collection->schema;
    struct t3_cell *cells =
        t3_arena_array(&session->arena, options->filter_count + 1, sizeof *cells);
    if (cells == NULL)
        return t3_session_no_memory(session);
    for (size_t i = 0; i < options->filter_count; i++) {
        const struct tears_field *filter = &options->filters[i];
        cells[i].column = t3_schema_find(schema, filter->name);
        if (cells[i].column == T3_NO_COLUMN)
            return unknown_column(session, schema, filter->name);
        T3_TRY(t3_session_status(session, t3_value_coerce(schema, cells[i].column, &filter->value,
                                                          true, &session->arena, &cells[i].value,
                                                          &session->error)));
    }
    scan->filters = cells;
    scan->filter_count = (uint32_t)options->filter_count;
    if (t3_hides_deleted(session, collection))
        cells[scan->filter_count++] = t3_soft_delete_filter(collection);
    return TEARS_OK;
}

static bool is_among(const uint32_t *columns, uint32_t count, uint32_t column)
{
    for (uint32_t i = 0; i < count; i++)
        if (columns[i] == column)
            return true;
    return false;
}

/* The named columns, then those of the key that are not among them: a total order. */
static tears_status order_of(struct tears_session *session, const struct tears_schema *schema,
                             const struct tears_page_options *options, struct t3_scan *scan)
{
    uint32_t *order =
        t3_arena_array(&session->arena, options->order_by_count + schema->key_count, sizeof *order);
    if (order == NULL)
        return t3_session_no_memory(session);
    uint32_t count = 0;
    for (size_t i = 0; i < options->order_by_count; i++) {
        const uint32_t column = t3_schema_find(schema, options->order_by[i]);
        if (column == T3_NO_COLUMN)
            return unknown_column(session, schema, options->order_by[i]);
        if (!is_among(order, count, column))
            order[count++] = column;
    }
    for (uint32_t i = 0; i < schema->key_count; i++)
        if (!is_among(order, count, schema->key[i]))
            order[count++] = schema->key[i];
    scan->order = order;
    scan->order_count = count;
    scan->descending = options->descending != 0;
    return TEARS_OK;
}

/* Looks at what the statement will really ask for, wherever it came from. */
static tears_status check_partitions(struct tears_session *session,
                                     const struct tears_schema *schema, const struct t3_scan *scan)
{
    const struct t3_dml_scan asked = {.filters = scan->filters,
                                      .filter_count = scan->filter_count,
                                      .partition_count = scan->partition_count};
    if (t3_dml_scan_names_partition(schema, &asked))
        return TEARS_OK;
    const struct tears_str column = schema->columns[schema->partition_column].name;
    return t3_fail(&session->error, TEARS_INVALID, "core",
                   "table '" T3_STR_FMT "' is read by partition: a filter on '" T3_STR_FMT
                   "', or partitions, is missing",
                   T3_STR_ARG(schema->name), T3_STR_ARG(column));
}

static tears_status partitions_of(struct tears_session *session,
                                  const struct tears_collection *collection,
                                  const struct tears_page_options *options, struct t3_scan *scan)
{
    const tears_partitions *partitions = options->partitions;
    if (partitions != NULL && partitions->collection != collection)
        return t3_fail(&session->error, TEARS_INVALID, "core",
                       "the partitions are not of table '" T3_STR_FMT "'",
                       T3_STR_ARG(collection->schema->name));
    if (partitions != NULL) {
        scan->partitions = partitions->values;
        scan->partition_count = partitions->count;
    }
    return check_partitions(session, collection->schema, scan);
}

static tears_status scan_of(struct tears_session *session,
                            const struct tears_collection *collection,
                            const struct tears_page_options *options, struct t3_scan *scan)
{
    const struct tears_schema *schema = collection->schema;
    memset(scan, 0, sizeof *scan);
    T3_TRY(filters_of(session, collection, options, scan));
    T3_TRY(partitions_of(session, collection, options, scan));
    T3_TRY(order_of(session, schema, options, scan));
    if (options->cursor.len == 0)
        return TEARS_OK;
    const struct t3_order order = {.columns = scan->order, .count = scan->order_count};
    struct tears_value *after;
    T3_TRY(
        t3_session_status(session, t3_cursor_decode_for(schema, &order, options->cursor,
                                                        &session->arena, &after, &session->error)));
    scan->after = after;
    return TEARS_OK;
}

/* The cursor that goes on after this row. */
static tears_status cursor_after(struct tears_session *session, const struct tears_schema *schema,
                                 const struct t3_scan *scan, const struct t3_row *row,
                                 struct tears_str *cursor_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf token = {0};
    struct tears_value *values = t3_arena_array(&session->arena, scan->order_count, sizeof *values);
    if (values == NULL)
        return t3_session_no_memory(session);
    for (uint32_t i = 0; i < scan->order_count; i++)
        values[i] = t3_row_value(row, &schema->layout, scan->order[i]);
    if (t3_cursor_encode(values, scan->order_count, &token) != TEARS_OK ||
        t3_arena_str(&session->arena, t3_buf_str(&token), cursor_out) != TEARS_OK)
        return t3_session_no_memory(session);
    return TEARS_OK;
}

static tears_status page_of(struct tears_session *session, struct tears_collection *collection,
                            struct t3_row **rows, size_t count, struct tears_page *page_out)
{
    tears_entity **entities = t3_arena_array(&session->arena, count, sizeof *entities);
    if (entities == NULL)
        return t3_session_no_memory(session);
    for (size_t i = 0; i < count; i++) {
        const struct t3_found found = {.row = rows[i], .tier = TEARS_TIER_L3};
        T3_TRY(t3_entity_of(session, collection, &found, &entities[i]));
    }
    page_out->entities = entities;
    page_out->count = count;
    return TEARS_OK;
}

tears_status tears_page_read(tears_session *session, tears_collection *collection,
                             const struct tears_page_options *options, struct tears_page *page_out)
{
    struct tears_page_options given = TEARS_PAGE_OPTIONS_INIT;
    struct t3_scan scan;
    T3_TRY(t3_session_enter(session));
    if (options != NULL)
        T3_TRY(t3_sized_copy(&given, sizeof given, options, "core", &session->error));
    const uint64_t row_max = given.row_max != 0 ? given.row_max : ROWS_DEFAULT;
    if (row_max > ROWS_MAX)
        return t3_fail(&session->error, TEARS_LIMIT, "core",
                       "a page of %llu rows is asked for; the limit is %d",
                       (unsigned long long)row_max, ROWS_MAX);
    T3_TRY(scan_of(session, collection, &given, &scan));
    scan.row_max = row_max + 1; /* one more says whether there is a next page */

    struct t3_l3_call call = t3_session_l3_call(session, collection);
    struct t3_row **rows = NULL;
    size_t count = 0;
    T3_TRY(t3_session_status(session,
                             collection->l3->ops->scan(collection->l3, &call, collection->schema,
                                                       &scan, &rows, &count)));
    bool more;
    const size_t kept = t3_page_rows(count, row_max, &more);
    struct tears_page page = {.next_cursor = TEARS_STR("")};
    T3_TRY(page_of(session, collection, rows, kept, &page));
    if (more)
        T3_TRY(cursor_after(session, collection->schema, &scan, rows[kept - 1], &page.next_cursor));
    session->tier = TEARS_TIER_L3;
    *page_out = page;
    return TEARS_OK;
}
