/*
 * dml_scan.c -- SQL text of one page of a keyset scan.
 *
 * Owns:     nothing beyond what dml.c does.
 * Knows:    the pen (dml_impl.h).
 * Must not know: cursors (page.c), libpq, SQLite.
 * Threads:  any.
 * Fails:    TEARS_NO_MEMORY, TEARS_LIMIT.
 * Begin at: t3_dml_scan().
 *
 * The rows after (A, B) are those with (a, b) > (A, B).  A row comparison says that in one index
 * condition, but it is NULL (and so ends the pagination) as soon as a or b is NULL.  When an order
 * column may be NULL, the comparison is spelled out with NULLs last, in both directions:
 *
 *     a after A   OR   a equals A and b after B
 *
 *   where "a after A" is   a > A or a is null        and nothing at all when A is NULL,
 *   and   "a equals A" is  a = A                     or a is null when A is NULL.
 */
#include "schema/dml_impl.h"

static bool is_null(const struct tears_value *value)
{
    return value->kind == TEARS_KIND_NULL;
}

static bool any_nullable(const struct tears_schema *schema, const struct t3_dml_scan *scan)
{
    for (uint32_t i = 0; i < scan->order_count; i++)
        if (schema->columns[scan->order[i]].nullable || is_null(&scan->after[i]))
            return true;
    return false;
}

/* Adds a parameter for each value that is not NULL; NULLs need none. */
static void add_after(struct t3_pen *pen, const struct t3_dml_scan *scan)
{
    for (uint32_t i = 0; i < scan->order_count; i++)
        if (!is_null(&scan->after[i]))
            t3_pen_add(pen, T3_PARAM_AFTER, scan->order[i], i);
}

static void put_row_comparison(struct t3_pen *pen, const struct t3_dml_scan *scan, uint32_t first)
{
    t3_pen_text(pen, "(");
    for (uint32_t i = 0; i < scan->order_count; i++) {
        t3_pen_text(pen, i > 0 ? ", " : "");
        t3_pen_own_column(pen, scan->order[i]);
    }
    t3_pen_text(pen, scan->descending ? ") < (" : ") > (");
    for (uint32_t i = 0; i < scan->order_count; i++) {
        t3_pen_text(pen, i > 0 ? ", " : "");
        t3_pen_value(pen, first + i);
    }
    t3_pen_text(pen, ")");
}

static void put_equals(struct t3_pen *pen, const struct t3_dml_scan *scan, uint32_t i,
                       uint32_t param)
{
    t3_pen_own_column(pen, scan->order[i]);
    if (is_null(&scan->after[i])) {
        t3_pen_text(pen, " IS NULL");
        return;
    }
    t3_pen_text(pen, " = ");
    t3_pen_value(pen, param);
}

static void put_after(struct t3_pen *pen, const struct t3_dml_scan *scan, uint32_t i,
                      uint32_t param)
{
    const bool nullable = pen->schema->columns[scan->order[i]].nullable;
    t3_pen_text(pen, nullable ? "(" : "");
    t3_pen_own_column(pen, scan->order[i]);
    t3_pen_text(pen, scan->descending ? " < " : " > ");
    t3_pen_value(pen, param);
    if (nullable) {
        t3_pen_text(pen, " OR ");
        t3_pen_own_column(pen, scan->order[i]);
        t3_pen_text(pen, " IS NULL)");
    }
}

/* One alternative: equal in the columns before `last`, and after in `last`. */
static void put_alternative(struct t3_pen *pen, const struct t3_dml_scan *scan, uint32_t last,
                            uint32_t first)
{
    uint32_t param = first;
    t3_pen_text(pen, "(");
    for (uint32_t i = 0; i < last; i++) {
        put_equals(pen, scan, i, param);
        t3_pen_text(pen, " AND ");
        param += is_null(&scan->after[i]) ? 0 : 1;
    }
    put_after(pen, scan, last, param);
    t3_pen_text(pen, ")");
}

static void put_spelled_out(struct t3_pen *pen, const struct t3_dml_scan *scan, uint32_t first)
{
    const char *separator = "(";
    for (uint32_t i = 0; i < scan->order_count; i++) {
        if (is_null(&scan->after[i]))
            continue; /* NULLs are last: nothing comes after one in its own column */
        t3_pen_text(pen, separator);
        put_alternative(pen, scan, i, first);
        separator = " OR ";
    }
    t3_pen_text(pen, separator[0] == '(' ? "(1 = 0)" : ")");
}

bool t3_dml_scan_names_partition(const struct tears_schema *schema, const struct t3_dml_scan *scan)
{
    if (schema->partition_column == T3_NO_COLUMN || scan->partition_count > 0)
        return true;
    for (uint32_t i = 0; i < scan->filter_count; i++)
        if (scan->filters[i].column == schema->partition_column &&
            !is_null(&scan->filters[i].value))
            return true;
    return false;
}

static void put_partitions(struct t3_pen *pen, const struct t3_dml_scan *scan)
{
    const uint32_t column = pen->schema->partition_column;
    if (scan->partition_count == 0)
        return;
    t3_pen_text(pen, " WHERE ");
    t3_pen_own_column(pen, column);
    for (uint32_t i = 0; i < scan->partition_count; i++) {
        t3_pen_text(pen, i > 0 ? ", " : " IN (");
        t3_pen_value(pen, t3_pen_add(pen, T3_PARAM_PARTITION, column, i));
    }
    t3_pen_text(pen, ")");
}

static void put_filters(struct t3_pen *pen, const struct t3_dml_scan *scan)
{
    put_partitions(pen, scan);
    for (uint32_t i = 0; i < scan->filter_count; i++) {
        t3_pen_text(pen, i > 0 || scan->partition_count > 0 ? " AND " : " WHERE ");
        t3_pen_own_column(pen, scan->filters[i].column);
        if (is_null(&scan->filters[i].value)) {
            t3_pen_text(pen, " IS NULL");
            continue;
        }
        t3_pen_text(pen, " = ");
        t3_pen_value(pen, t3_pen_add(pen, T3_PARAM_FILTER, scan->filters[i].column, i));
    }
}

static void put_order(struct t3_pen *pen, const struct t3_dml_scan *scan)
{
    for (uint32_t i = 0; i < scan->order_count; i++) {
        t3_pen_text(pen, i > 0 ? ", " : " ORDER BY ");
        t3_pen_own_column(pen, scan->order[i]);
        t3_pen_text(pen, scan->descending ? " DESC" : " ASC");
        if (pen->schema->columns[scan->order[i]].nullable)
            t3_pen_text(pen, " NULLS LAST");
    }
}

tears_status t3_dml_scan(const struct tears_schema *schema, enum t3_dialect dialect,
                         const struct t3_dml_scan *scan, struct t3_dml *dml)
{
    struct t3_pen pen = t3_pen_start(schema, dialect, false, dml);
    if (!t3_dml_scan_names_partition(schema, scan))
        return TEARS_INVALID;
    t3_pen_text(&pen, "SELECT ");
    t3_pen_select_list(&pen);
    t3_pen_text(&pen, " FROM ");
    t3_pen_str(&pen, schema->sql_name);
    put_filters(&pen, scan);
    if (scan->after != NULL) {
        const uint32_t first = dml->param_count;
        t3_pen_text(&pen, scan->filter_count + scan->partition_count > 0 ? " AND " : " WHERE ");
        add_after(&pen, scan);
        if (any_nullable(schema, scan))
            put_spelled_out(&pen, scan, first);
        else
            put_row_comparison(&pen, scan, first);
    }
    put_order(&pen, scan);
    t3_pen_text(&pen, " LIMIT ");
    t3_pen_value(&pen, t3_pen_add(&pen, T3_PARAM_LIMIT, T3_NO_COLUMN, 0));
    return pen.status;
}
