/*
 * l3_pg_read.c -- fetches, scans and ad-hoc statements.
 *
 * Owns:     nothing; rows are in the call's arena.
 * Must not know: caches, who asked.
 * Threads:  any.
 * Fails:    as tier/l3.h says.
 * Begin at: t3_l3_pg_fetch().
 *
 * A fetch or scan whose connection breaks is tried once more on another connection: reading twice
 * does no harm. A batch of keys is one statement per T3_BATCH_ROWS_MAX; its rows come back in any
 * order and are matched by key.  Where equal keys can have different bytes (numeric 1.0 and 1.00)
 * the keys are fetched one by one in a pipeline.
 */
#include "base/hash.h"
#include "base/limits.h"
#include "tier/l3_pg_impl.h"

/* ---- parameters -------------------------------------------------------------------------------
 */

static tears_status key_array(struct t3_pg_work *work, const struct t3_param *param,
                              const struct t3_key *const *keys, size_t count,
                              struct t3_pg_params *params)
{
    const struct tears_value **values = t3_arena_alloc(work->call->arena, count * sizeof *values);
    if (values == NULL)
        return t3_fail_memory(work->call->error, T3_PG_ORIGIN);
    for (size_t i = 0; i < count; i++)
        values[i] = &keys[i]->values[param->index];
    return t3_pg_put_param_array(work, param, values, count, params);
}

tears_status t3_pg_fetch_params(struct t3_pg_work *work, const struct t3_pg_plan *plan,
                                const struct t3_key *const *keys, size_t count,
                                struct t3_pg_params *params)
{
    if (t3_pg_params_init(params, work->call->arena, plan->dml.param_count) != TEARS_OK)
        return t3_fail_memory(work->call->error, T3_PG_ORIGIN);
    for (uint32_t i = 0; i < plan->dml.param_count; i++) {
        const struct t3_param *param = &plan->dml.params[i];
        if (plan->many)
            T3_TRY(key_array(work, param, keys, count, params));
        else
            T3_TRY(t3_pg_put_param(work, param, &keys[0]->values[param->index], params));
    }
    return TEARS_OK;
}

/* ---- matching rows to keys ---------------------------------------------------------------------
 */

/* Open addressing over the keys of one statement; equal keys have a slot each. */
struct key_index {
    uint32_t *slots; /* number of the key + 1; 0: free */
    uint32_t mask;
    const struct t3_key *keys;
};

static tears_status index_init(struct key_index *index, struct t3_arena *arena,
                               const struct t3_key *keys, size_t count)
{
    uint32_t size = 16;
    while (size < 2 * count)
        size *= 2;
    index->slots = t3_arena_array(arena, size, sizeof *index->slots);
    if (index->slots == NULL)
        return TEARS_NO_MEMORY;
    index->mask = size - 1;
    index->keys = keys;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = (uint32_t)keys[i].hash & index->mask;
        while (index->slots[at] != 0)
            at = (at + 1) & index->mask;
        index->slots[at] = i + 1;
    }
    return TEARS_OK;
}

static void index_give(const struct key_index *index, const struct t3_key *key, struct t3_row *row,
                       struct t3_row **rows_out)
{
    for (uint32_t at = (uint32_t)key->hash & index->mask; index->slots[at] != 0;
         at = (at + 1) & index->mask) {
        const uint32_t number = index->slots[at] - 1;
        if (t3_key_equal(&index->keys[number], key))
            rows_out[number] = row;
    }
}

/* ---- fetch -------------------------------------------------------------------------------------
 */

static tears_status read_matched(struct t3_pg_reader *reader, const struct key_index *index,
                                 struct t3_row **rows_out)
{
    struct tears_value storage[T3_KEY_COLUMNS_MAX];
    const size_t count = t3_pg_result_rows(reader->result);
    for (size_t i = 0; i < count; i++) {
        struct t3_row *row = NULL;
        struct t3_key key;
        T3_TRY(t3_pg_reader_row(reader, i, &row));
        t3_key_of_row(reader->schema, row, storage, &key);
        index_give(index, &key, row, rows_out);
    }
    return TEARS_OK;
}

static tears_status read_first(struct t3_pg_reader *reader, struct t3_row **row_out)
{
    *row_out = NULL;
    return t3_pg_result_rows(reader->result) > 0 ? t3_pg_reader_row(reader, 0, row_out) : TEARS_OK;
}

static tears_status fetch_statement(struct t3_pg_work *work, const struct t3_pg_plan *plan,
                                    const struct t3_key *keys, size_t count,
                                    struct t3_pg_result **result_out)
{
    const struct t3_key *one = &keys[0];
    const struct t3_key **all = &one;
    struct t3_pg_params params;
    if (count > 1) {
        all = t3_arena_alloc(work->call->arena, count * sizeof(*all));
        if (all == NULL)
            return t3_fail_memory(work->call->error, T3_PG_ORIGIN);
        for (size_t i = 0; i < count; i++)
            all[i] = &keys[i];
    }
    T3_TRY(t3_pg_fetch_params(work, plan, all, count, &params));
    return t3_pg_execute(work->conn, &work->pg, &plan->statement, &params, result_out);
}

static tears_status fetch_chunk(struct t3_pg_work *work, const struct t3_pg_plan *plan,
                                const struct t3_key *keys, size_t count, struct t3_row **rows_out)
{
    T3_AUTO(t3_pg_result_free_auto) struct t3_pg_result *result = NULL;
    T3_AUTO(t3_pg_reader_done) struct t3_pg_reader reader = {0};
    T3_TRY(fetch_statement(work, plan, keys, count, &result));
    T3_TRY(t3_pg_reader_init(&reader, work, result));
    if (!plan->many)
        return read_first(&reader, rows_out);
    struct key_index index;
    if (index_init(&index, work->call->arena, keys, count) != TEARS_OK)
        return t3_fail_memory(work->call->error, T3_PG_ORIGIN);
    memset(rows_out, 0, count * sizeof(*rows_out));
    return read_matched(&reader, &index, rows_out);
}

static tears_status receive_one(struct t3_pg_work *work, struct t3_row **row_out)
{
    T3_AUTO(t3_pg_result_free_auto) struct t3_pg_result *result = NULL;
    T3_AUTO(t3_pg_reader_done) struct t3_pg_reader reader = {0};
    T3_TRY(t3_pg_pipeline_receive(work->conn, &work->pg, &result));
    T3_TRY(t3_pg_reader_init(&reader, work, result));
    return read_first(&reader, row_out);
}

static tears_status fetch_window(struct t3_pg_work *work, const struct t3_pg_plan *plan,
                                 const struct t3_key *keys, size_t count, struct t3_row **rows_out)
{
    for (size_t i = 0; i < count; i++) {
        const struct t3_key *key = &keys[i];
        struct t3_pg_params params;
        T3_TRY(t3_pg_fetch_params(work, plan, &key, 1, &params));
        T3_TRY(t3_pg_pipeline_send(work->conn, &work->pg, &plan->statement, &params));
    }
    for (size_t i = 0; i < count; i++)
        T3_TRY(receive_one(work, &rows_out[i]));
    return TEARS_OK;
}

static size_t at_most(size_t count, size_t max)
{
    return count < max ? count : max;
}

static tears_status fetch_one_by_one(struct t3_pg_work *work, const struct t3_pg_plan *plan,
                                     const struct t3_key *keys, size_t count,
                                     struct t3_row **rows_out)
{
    T3_TRY(t3_pg_prepare(work->conn, &work->pg, &plan->statement));
    T3_TRY(t3_pg_pipeline_open(work->conn, &work->pg));
    tears_status status = TEARS_OK;
    for (size_t at = 0; at < count && status == TEARS_OK; at += T3_PG_WINDOW)
        status =
            fetch_window(work, plan, keys + at, at_most(count - at, T3_PG_WINDOW), rows_out + at);
    const tears_status closed = t3_pg_pipeline_close(work->conn, &work->pg, status == TEARS_OK);
    return status != TEARS_OK ? status : closed;
}

static tears_status fetch_on(struct t3_pg_work *work, const struct t3_pg_plan *plan,
                             const struct t3_key *keys, size_t count, struct t3_row **rows_out)
{
    if (!plan->many && count > 1)
        return fetch_one_by_one(work, plan, keys, count, rows_out);
    for (size_t at = 0; at < count; at += T3_BATCH_ROWS_MAX)
        T3_TRY(fetch_chunk(work, plan, keys + at, at_most(count - at, T3_BATCH_ROWS_MAX),
                           rows_out + at));
    return TEARS_OK;
}

tears_status t3_l3_pg_fetch(struct t3_l3 *l3, struct t3_l3_call *call,
                            const struct tears_schema *schema, const struct t3_key *keys,
                            size_t count, struct t3_row **rows_out)
{
    struct t3_l3_pg *pg = (struct t3_l3_pg *)(void *)l3;
    const struct t3_pg_shape shape = {.operation = T3_PG_FETCH,
                                      .many = count > 1 && t3_pg_key_is_exact(schema)};
    T3_AUTO(t3_pg_plan_drop_auto) struct t3_pg_plan *plan = NULL;
    if (t3_pg_plan_find(&pg->plans, schema, &shape, &plan) != TEARS_OK)
        return t3_fail_memory(call->error, T3_PG_ORIGIN);
    for (int attempt = 1;; attempt++) {
        struct t3_pg_work work;
        tears_status status = t3_pg_work_begin(l3, call, schema, &work);
        if (status == TEARS_OK)
            status = fetch_on(&work, plan, keys, count, rows_out);
        const bool again = attempt == 1 && (t3_pg_work_may_retry(&work, status) ||
                                            (work.pg.stale && call->tx == NULL));
        t3_pg_work_end(&work, status, false);
        if (!again)
            return status;
    }
}

/* ---- scan --------------------------------------------------------------------------------------
 */

static const struct tears_value *scan_value(const struct t3_scan *scan,
                                            const struct tears_value *limit,
                                            const struct t3_param *param)
{
    if (param->role == T3_PARAM_FILTER)
        return &scan->filters[param->index].value;
    if (param->role == T3_PARAM_AFTER)
        return &scan->after[param->index];
    if (param->role == T3_PARAM_PARTITION)
        return &scan->partitions[param->index];
    return limit;
}

static tears_status scan_params(struct t3_pg_work *work, const struct t3_scan *scan,
                                const struct t3_dml *dml, struct t3_pg_params *params)
{
    const uint64_t max = scan->row_max < INT64_MAX ? scan->row_max : INT64_MAX;
    const struct tears_value limit = tears_int((int64_t)max);
    if (t3_pg_params_init(params, work->call->arena, dml->param_count) != TEARS_OK)
        return t3_fail_memory(work->call->error, T3_PG_ORIGIN);
    for (uint32_t i = 0; i < dml->param_count; i++)
        T3_TRY(t3_pg_put_param(work, &dml->params[i], scan_value(scan, &limit, &dml->params[i]),
                               params));
    return TEARS_OK;
}

/* The statement depends on which values are NULL, so it is made for each scan; connections know it
 * by its text. */
static tears_status scan_statement(struct t3_arena *arena, const struct tears_schema *schema,
                                   const struct t3_scan *scan, struct t3_dml *dml,
                                   struct t3_pg_statement *statement_out)
{
    const struct t3_dml_scan wanted = {.filters = scan->filters,
                                       .filter_count = scan->filter_count,
                                       .order = scan->order,
                                       .order_count = scan->order_count,
                                       .descending = scan->descending,
                                       .after = scan->after,
                                       .partition_count = scan->partition_count};
    T3_TRY(t3_dml_scan(schema, T3_DIALECT_POSTGRESQL, &wanted, dml));
    uint32_t *types = t3_arena_alloc(arena, dml->param_count * sizeof *types);
    if (types == NULL)
        return TEARS_NO_MEMORY;
    for (uint32_t i = 0; i < dml->param_count; i++)
        types[i] = t3_pg_type_of_wire(dml->params[i].wire);
    statement_out->sql = t3_buf_str(&dml->sql);
    statement_out->hash = t3_hash(dml->sql.ptr, dml->sql.len, 0);
    statement_out->types = types;
    statement_out->type_count = dml->param_count;
    return TEARS_OK;
}

static tears_status read_all(struct t3_pg_work *work, const struct t3_pg_result *result,
                             struct t3_row ***rows_out, size_t *count_out)
{
    T3_AUTO(t3_pg_reader_done) struct t3_pg_reader reader = {0};
    T3_TRY(t3_pg_reader_init(&reader, work, result));
    const size_t count = t3_pg_result_rows(result);
    struct t3_row **rows = t3_arena_array(work->call->arena, count, sizeof(*rows));
    if (rows == NULL)
        return t3_fail_memory(work->call->error, T3_PG_ORIGIN);
    for (size_t i = 0; i < count; i++)
        T3_TRY(t3_pg_reader_row(&reader, i, &rows[i]));
    *rows_out = rows;
    *count_out = count;
    return TEARS_OK;
}

struct scan_goal {
    struct t3_row **rows;
    size_t count;
};

static tears_status scan_on(struct t3_pg_work *work, const struct t3_scan *scan,
                            struct scan_goal *goal)
{
    const struct tears_schema *schema = work->schema;
    T3_AUTO(t3_dml_done) struct t3_dml dml = {0};
    T3_AUTO(t3_pg_result_free_auto) struct t3_pg_result *result = NULL;
    struct t3_pg_statement statement;
    struct t3_pg_params params;
    const tears_status status = scan_statement(work->call->arena, schema, scan, &dml, &statement);
    if (status != TEARS_OK)
        return t3_fail(work->call->error, status, T3_PG_ORIGIN,
                       "the statement of a scan of table '" T3_STR_FMT "' could not be built",
                       T3_STR_ARG(schema->name));
    T3_TRY(scan_params(work, scan, &dml, &params));
    T3_TRY(t3_pg_execute(work->conn, &work->pg, &statement, &params, &result));
    return read_all(work, result, &goal->rows, &goal->count);
}

tears_status t3_l3_pg_scan(struct t3_l3 *l3, struct t3_l3_call *call,
                           const struct tears_schema *schema, const struct t3_scan *scan,
                           struct t3_row ***rows_out, size_t *count_out)
{
    for (int attempt = 1;; attempt++) {
        struct t3_pg_work work;
        struct scan_goal goal = {0};
        tears_status status = t3_pg_work_begin(l3, call, schema, &work);
        if (status == TEARS_OK)
            status = scan_on(&work, scan, &goal);
        const bool again = attempt == 1 && t3_pg_work_may_retry(&work, status);
        t3_pg_work_end(&work, status, false);
        if (again)
            continue;
        if (status == TEARS_OK) {
            *rows_out = goal.rows;
            *count_out = goal.count;
        }
        return status;
    }
}

/* ---- ad-hoc statements
 * --------------------------------------------------------------------------- */

static tears_status query_params(struct t3_pg_work *work, const struct tears_value *values,
                                 size_t count, struct t3_pg_params *params)
{
    if (count > UINT16_MAX)
        return t3_fail(work->call->error, TEARS_LIMIT, T3_PG_ORIGIN,
                       "a statement may have 65535 parameters; this has %zu", count);
    tears_status status = t3_pg_params_init(params, work->call->arena, (uint32_t)count);
    for (size_t i = 0; i < count && status == TEARS_OK; i++) {
        status = t3_pg_put_text(params, &values[i]);
        if (status == TEARS_INVALID)
            return t3_fail(work->call->error, status, T3_PG_ORIGIN,
                           "parameter $%zu contains a NUL byte, which text cannot have", i + 1);
    }
    return status == TEARS_OK ? TEARS_OK
                              : t3_fail(work->call->error, status, T3_PG_ORIGIN,
                                        "the parameters of a statement need too much memory");
}

static tears_status result_names(struct t3_arena *arena, const struct t3_pg_result *result,
                                 struct t3_result *out)
{
    out->column_count = t3_pg_result_columns(result);
    out->row_count = t3_pg_result_rows(result);
    out->affected = t3_pg_result_affected(result);
    out->names = t3_arena_array(arena, out->column_count, sizeof *out->names);
    if (out->names == NULL)
        return TEARS_NO_MEMORY;
    for (uint32_t i = 0; i < out->column_count; i++)
        T3_TRY(t3_arena_str(arena, tears_str_c(t3_pg_result_name(result, i)), &out->names[i]));
    return TEARS_OK;
}

/* All in text format: a result may have types we do not know, and the format is one for the whole
 * result. */
static tears_status result_values(struct t3_arena *arena, const struct t3_pg_result *result,
                                  struct t3_result *out)
{
    if (out->column_count != 0 && out->row_count > SIZE_MAX / out->column_count)
        return TEARS_LIMIT;
    out->values = t3_arena_array(arena, out->row_count * out->column_count, sizeof *out->values);
    if (out->values == NULL)
        return TEARS_NO_MEMORY;
    struct tears_value *value = out->values;
    for (size_t row = 0; row < out->row_count; row++) {
        for (uint32_t column = 0; column < out->column_count; column++, value++) {
            const struct tears_str cell = t3_pg_result_cell(result, row, column);
            if (cell.ptr != NULL)
                T3_TRY(t3_pg_decode_text(t3_pg_result_type(result, column), cell, arena, value));
        }
    }
    return TEARS_OK;
}

static tears_status take_values(struct t3_pg_work *work, const struct t3_pg_result *result,
                                struct t3_result *result_out)
{
    struct t3_result made = {0};
    tears_status status = result_names(work->call->arena, result, &made);
    if (status == TEARS_OK)
        status = result_values(work->call->arena, result, &made);
    if (status == TEARS_OK)
        *result_out = made;
    else if (status == TEARS_NO_MEMORY)
        return t3_fail_memory(work->call->error, T3_PG_ORIGIN);
    else
        return t3_fail(work->call->error, status, T3_PG_ORIGIN,
                       "the result of a statement could not be decoded");
    return TEARS_OK;
}

static tears_status query_on(struct t3_pg_work *work, struct tears_str sql,
                             const struct t3_pg_params *params, struct t3_result *result_out)
{
    struct tears_str copy;
    T3_AUTO(t3_pg_result_free_auto) struct t3_pg_result *result = NULL;
    if (t3_arena_str(work->call->arena, sql, &copy) != TEARS_OK)
        return t3_fail_memory(work->call->error, T3_PG_ORIGIN);
    T3_TRY(t3_pg_query(work->conn, &work->pg, copy.ptr, params, &result));
    work->applied = true;
    return take_values(work, result, result_out);
}

tears_status t3_pg_work_query(struct t3_pg_work *work, struct tears_str sql,
                              const struct tears_value *params, size_t param_count,
                              struct t3_result *result_out)
{
    struct t3_pg_params sent;
    T3_TRY(query_params(work, params, param_count, &sent));
    return query_on(work, sql, &sent, result_out);
}

tears_status t3_l3_pg_query(struct t3_l3 *l3, struct t3_l3_call *call, struct tears_str sql,
                            const struct tears_value *params, size_t param_count,
                            struct t3_result *result_out)
{
    if (sql.len > 0 && memchr(sql.ptr, '\0', sql.len) != NULL)
        return t3_fail(call->error, TEARS_INVALID, T3_PG_ORIGIN,
                       "the statement contains a NUL byte");
    struct t3_pg_work work;
    tears_status status = t3_pg_work_begin(l3, call, NULL, &work);
    if (status == TEARS_OK)
        status = t3_pg_work_query(&work, sql, params, param_count, result_out);
    t3_pg_doubt_path(&work);
    t3_pg_work_end(&work, status, true);
    return status;
}
