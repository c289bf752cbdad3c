/*
 * l3_pg_indexes.c -- what PostgreSQL's catalogue says of a table's indexes and unique constraints.
 *
 * Owns:     nothing.
 * Must not know: how schemas are validated (schema/schema.c).
 * Threads:  any.
 * Fails:    as tier/l3.h says.
 * Begin at: t3_l3_pg_describe_indexes().
 *
 * LIMITATIONS.  Left out is what a declaration has no words for: indexes of expressions, with an order or a collation of
 * their own, exclusion constraints, and indexes that are not valid.
 */
#include "tier/l3_pg_impl.h"

#include "base/str.h"

/* A row per column of each index, the key's columns first. */
static const char indexes_sql[] =
    "SELECT x.relname::text, i.indisunique, u.oid IS NOT NULL,"
    " CASE WHEN m.amname = 'btree' THEN '' ELSE m.amname::text END,"
    " COALESCE(pg_catalog.pg_get_expr(i.indpred, i.indrelid), ''),"
    " COALESCE(pg_catalog.array_to_string(x.reloptions, E'\\n'), ''),"
    " a.attname::text, k.place <= i.indnkeyatts,"
    " CASE WHEN o.oid IS NULL OR o.opcdefault THEN ''"
    " WHEN pg_catalog.pg_opclass_is_visible(o.oid) THEN o.opcname::text"
    " ELSE n.nspname || '.' || o.opcname END"
    " FROM pg_catalog.pg_index i"
    " JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid"
    " JOIN pg_catalog.pg_am m ON m.oid = x.relam"
    " CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)"
    " JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum"
    " LEFT JOIN pg_catalog.pg_constraint u"
    " ON u.conindid = i.indexrelid AND u.conrelid = i.indrelid AND u.contype = 'u'"
    " LEFT JOIN pg_catalog.pg_opclass o"
    " ON k.place <= i.indnkeyatts AND o.oid = i.indclass[k.place - 1]"
    " LEFT JOIN pg_catalog.pg_namespace n ON n.oid = o.opcnamespace"
    " WHERE i.indrelid = $1::int8::oid AND NOT i.indisprimary AND NOT i.indisexclusion"
    " AND i.indisvalid AND i.indexprs IS NULL AND 0 = ALL (i.indoption::int2[])"
    " AND NOT EXISTS (SELECT 1 FROM unnest(i.indkey::int2[], i.indcollation::oid[]) AS c(num, coll)"
    " JOIN pg_catalog.pg_attribute b ON b.attrelid = i.indrelid AND b.attnum = c.num"
    " WHERE c.coll <> 0 AND c.coll <> b.attcollation)"
    " ORDER BY x.relname, k.place";

enum { NAME, IS_UNIQUE, IS_CONSTRAINT, METHOD, CONDITION, OPTIONS, COLUMN, IS_KEY, OPCLASS };

/* Rows `first` to before `end` are the columns of one index. */
struct run {
    const struct t3_result *rows;
    struct t3_arena *arena;
    size_t first;
    size_t end;
};

static size_t end_of_run(const struct t3_result *rows, size_t first)
{
    size_t end = first + 1;
    while (end < rows->row_count &&
           t3_str_equal(t3_result_text(rows, end, NAME), t3_result_text(rows, first, NAME)))
        end++;
    return end;
}

static size_t key_columns(const struct run *run)
{
    size_t count = 0;
    while (run->first + count < run->end && t3_result_truth(run->rows, run->first + count, IS_KEY))
        count++;
    return count;
}

static tears_status texts_of(const struct run *run, size_t from, size_t count, size_t column,
                             const struct tears_str **texts_out)
{
    struct tears_str *texts = t3_arena_array(run->arena, count, sizeof *texts);
    if (texts == NULL)
        return TEARS_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        texts[i] = t3_result_text(run->rows, run->first + from + i, column);
    *texts_out = texts;
    return TEARS_OK;
}

static bool any_opclass(const struct run *run)
{
    for (size_t i = run->first; i < run->end; i++)
        if (t3_result_text(run->rows, i, OPCLASS).len > 0)
            return true;
    return false;
}

static struct tears_str up_to(struct tears_str text, char end)
{
    const char *at = text.len > 0 ? memchr(text.ptr, end, text.len) : NULL;
    return at != NULL ? tears_str_n(text.ptr, (size_t)(at - text.ptr)) : text;
}

/* name=value, one a line. */
static tears_status set_parameters(const struct run *run, struct tears_index_def *index)
{
    struct tears_str rest = t3_result_text(run->rows, run->first, OPTIONS);
    size_t most = rest.len > 0 ? 1 : 0;
    for (size_t i = 0; i < rest.len; i++)
        most += rest.ptr[i] == '\n' ? 1 : 0;
    struct tears_parameter_def *list = t3_arena_array(run->arena, most, sizeof *list);
    if (list == NULL)
        return TEARS_NO_MEMORY;
    for (size_t i = 0; i < most; i++) {
        const struct tears_str line = up_to(rest, '\n');
        list[i].name = up_to(line, '=');
        list[i].value = t3_str_from(line, list[i].name.len + 1);
        rest = t3_str_from(rest, line.len + 1);
    }
    index->parameters = list;
    index->parameter_count = most;
    return TEARS_OK;
}

static tears_status set_index(const struct run *run, struct tears_index_def *index)
{
    index->name = t3_result_text(run->rows, run->first, NAME);
    index->unique = t3_result_truth(run->rows, run->first, IS_UNIQUE);
    index->using_method = t3_result_text(run->rows, run->first, METHOD);
    index->where = t3_result_text(run->rows, run->first, CONDITION);
    index->column_count = key_columns(run);
    index->include_count = run->end - run->first - index->column_count;
    T3_TRY(texts_of(run, 0, index->column_count, COLUMN, &index->columns));
    T3_TRY(texts_of(run, index->column_count, index->include_count, COLUMN, &index->include));
    if (any_opclass(run))
        T3_TRY(texts_of(run, 0, index->column_count, OPCLASS, &index->opclasses));
    return set_parameters(run, index);
}

static tears_status set_unique(const struct run *run, struct tears_unique_def *unique)
{
    unique->name = t3_result_text(run->rows, run->first, NAME);
    unique->column_count = key_columns(run);
    return texts_of(run, 0, unique->column_count, COLUMN, &unique->columns);
}

static tears_status set_all(const struct t3_result *rows, struct t3_arena *arena,
                            struct tears_schema_def *def)
{
    struct tears_index_def *indexes = t3_arena_array(arena, rows->row_count, sizeof *indexes);
    struct tears_unique_def *uniques = t3_arena_array(arena, rows->row_count, sizeof *uniques);
    if (indexes == NULL || uniques == NULL)
        return TEARS_NO_MEMORY;
    def->indexes = indexes;
    def->unique_constraints = uniques;
    struct run run = {.rows = rows, .arena = arena};
    for (; run.first < rows->row_count; run.first = run.end) {
        run.end = end_of_run(rows, run.first);
        if (t3_result_truth(rows, run.first, IS_CONSTRAINT))
            T3_TRY(set_unique(&run, &uniques[def->unique_constraint_count++]));
        else
            T3_TRY(set_index(&run, &indexes[def->index_count++]));
    }
    return TEARS_OK;
}

tears_status t3_l3_pg_describe_indexes(struct t3_l3 *l3, struct t3_l3_call *call, int64_t table_id,
                                       struct tears_schema_def *def)
{
    const struct tears_value parameter = tears_int(table_id);
    struct t3_result rows;
    T3_TRY(l3->ops->query(l3, call, tears_str_c(indexes_sql), &parameter, 1, &rows));
    const tears_status status = set_all(&rows, call->arena, def);
    return status == TEARS_OK ? TEARS_OK : t3_fail_memory(call->error, T3_PG_ORIGIN);
}
