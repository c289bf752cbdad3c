/*
 * l3_lite_plan.c -- from an operation to a prepared statement with its values, and from its cells
 * to a row.
 *
 * Owns:     the keys by which a connection finds its statements again.
 * Knows:    schema/dml (the SQL text), driver/lite (the statement cache).
 * Must not know: connections' lives, transactions.
 * Threads:  the connection's.
 * Fails:    INVALID on the way in; CORRUPT, naming table, column and key, on the way out.
 * Begin at: t3_l3_lite_prepare().
 *
 * Why binary keys: making an SQL text takes longer than running it.  A key says what the text
 * depends on (operation, schema, columns, which values are NULL) in a few words, begins with a NUL
 * byte, which no SQL text does, and is made on the stack.
 */
#include "base/alloc.h"
#include "base/fail.h"
#include "base/limits.h"
#include "tier/l3_lite_impl.h"

enum {
    KEY_WORDS_FIXED = 6,
    KEY_WORDS_STACK = 96, /* enough for 90 columns without touching the arena */
    VALUES_STACK = 64,    /* cells of a row; wider rows use the arena */
    NULL_MARK = 1 << 30   /* on a column in a key: its value is NULL */
};

/* What is kept with a statement. */
struct plan {
    struct tears_schema *schema; /* held: a key contains its address */
    uint32_t param_count;
    struct t3_param params[];
};

/* ---- keys ---- */

static size_t key_words_max(const struct t3_l3_lite_request *request)
{
    size_t words = KEY_WORDS_FIXED;
    if (request->write != NULL)
        words += request->write->cell_count;
    if (request->scan != NULL)
        words += (size_t)request->scan->filter_count + request->scan->order_count;
    return words;
}

static uint32_t put_scan_columns(const struct t3_scan *scan, uint32_t *words)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < scan->filter_count; i++) {
        const struct t3_cell *filter = &scan->filters[i];
        words[count++] =
            filter->column | (filter->value.kind == TEARS_KIND_NULL ? (uint32_t)NULL_MARK : 0);
    }
    for (uint32_t i = 0; i < scan->order_count; i++) {
        const bool is_null = scan->after != NULL && scan->after[i].kind == TEARS_KIND_NULL;
        words[count++] = scan->order[i] | (is_null ? (uint32_t)NULL_MARK : 0);
    }
    return count;
}

static struct tears_str make_key(const struct t3_l3_lite_request *request, uint32_t *words)
{
    uint32_t flags = 0;
    uint32_t first_count = 0;
    uint32_t count = KEY_WORDS_FIXED;
    if (request->write != NULL) {
        const struct t3_write *write = request->write;
        flags = write->has_base ? 1 : 0;
        first_count = write->cell_count;
        for (uint32_t i = 0; i < write->cell_count; i++)
            words[count++] = write->cells[i].column;
    } else if (request->scan != NULL) {
        const struct t3_scan *scan = request->scan;
        flags = (scan->descending ? 2u : 0) | (scan->after != NULL ? 4u : 0) |
                scan->partition_count << 3;
        first_count = scan->filter_count;
        count += put_scan_columns(scan, words + count);
    }
    const uint64_t address = (uintptr_t)request->schema;
    words[0] = 0; /* its first byte tells the key from SQL text */
    words[1] = (uint32_t)request->operation;
    words[2] = flags;
    words[3] = first_count;
    words[4] = (uint32_t)address;
    words[5] = (uint32_t)(address >> 32);
    return tears_str_n((const char *)words, count * sizeof *words);
}

/* ---- making a statement ---- */

static tears_status build(const struct t3_l3_lite_request *request, struct t3_dml *dml)
{
    const struct t3_write *write = request->write;
    const struct t3_shape shape = {.dialect = T3_DIALECT_SQLITE,
                                   .has_base = write != NULL && write->has_base,
                                   .on_conflict = request->schema->on_conflict,
                                   .cells = write != NULL ? write->cells : NULL,
                                   .cell_count = write != NULL ? write->cell_count : 0};
    switch (request->operation) {
    case L3_LITE_FETCH:
        return t3_dml_fetch(request->schema, &shape, dml);
    case L3_LITE_INSERT:
        return t3_dml_insert(request->schema, &shape, dml);
    case L3_LITE_UPDATE:
        return t3_dml_update(request->schema, &shape, dml);
    case L3_LITE_UPSERT:
        return t3_dml_upsert(request->schema, &shape, dml);
    case L3_LITE_DELETE:
        return t3_dml_delete(request->schema, &shape, dml);
    case L3_LITE_SCAN:
        break;
    }
    const struct t3_dml_scan scan = {.filters = request->scan->filters,
                                     .filter_count = request->scan->filter_count,
                                     .order = request->scan->order,
                                     .order_count = request->scan->order_count,
                                     .descending = request->scan->descending,
                                     .after = request->scan->after,
                                     .partition_count = request->scan->partition_count};
    return t3_dml_scan(request->schema, T3_DIALECT_SQLITE, &scan, dml);
}

static void plan_free(void *held)
{
    struct plan *plan = held;
    tears_schema_free(plan->schema);
    t3_free(plan);
}

static struct plan *plan_new(const struct tears_schema *schema, const struct t3_dml *dml)
{
    const size_t bytes = dml->param_count * sizeof *dml->params;
    struct plan *plan = t3_alloc(sizeof *plan + bytes);
    if (plan == NULL)
        return NULL;
    /* The count of holders is the one part of a schema that changes; hence the cast. */
    plan->schema = t3_schema_hold((struct tears_schema *)(uintptr_t)schema);
    plan->param_count = dml->param_count;
    if (bytes > 0)
        memcpy(plan->params, dml->params, bytes);
    return plan;
}

static void dml_done(struct t3_dml *dml)
{
    t3_dml_done(dml);
}

static tears_status make_statement(const struct t3_l3_lite_request *request, struct tears_str key,
                                   struct t3_lite_stmt **stmt_out)
{
    T3_AUTO(dml_done) struct t3_dml dml = {.sql = {.len_max = T3_SQL_BYTES_MAX}};
    const tears_status status = build(request, &dml);
    if (status != TEARS_OK)
        return t3_fail(request->error, status, L3_LITE_ORIGIN,
                       "table '" T3_STR_FMT "': the SQL text cannot be made: %s",
                       T3_STR_ARG(request->schema->name), tears_status_text(status));
    struct plan *plan = plan_new(request->schema, &dml);
    if (plan == NULL)
        return t3_fail_memory(request->error, L3_LITE_ORIGIN);
    const struct t3_lite_sql sql = {.key = key,
                                    .sql = t3_buf_str(&dml.sql),
                                    .table = request->schema->name,
                                    .held = plan,
                                    .release = plan_free};
    return t3_lite_prepare(request->conn, &sql, stmt_out, request->error);
}

/* ---- binding ---- */

static struct tears_value base_value(const struct t3_l3_lite_request *request)
{
    const struct tears_schema *schema = request->schema;
    T3_ASSERT(schema->version_column != T3_NO_COLUMN);
    const uint8_t kind = schema->columns[schema->version_column].kind;
    return kind == TEARS_KIND_TIMESTAMP ? tears_timestamp_us(request->write->base)
                                        : tears_int(request->write->base);
}

static struct tears_value param_value(const struct t3_l3_lite_request *request,
                                      const struct t3_param *param)
{
    switch ((enum t3_param_role)param->role) {
    case T3_PARAM_KEY:
        return request->key->values[param->index];
    case T3_PARAM_CELL:
        return request->write->cells[param->index].value;
    case T3_PARAM_BASE:
        return base_value(request);
    case T3_PARAM_FILTER:
        return request->scan->filters[param->index].value;
    case T3_PARAM_AFTER:
        return request->scan->after[param->index];
    case T3_PARAM_PARTITION:
        return request->scan->partitions[param->index];
    case T3_PARAM_LIMIT:
        break;
    }
    const uint64_t rows = request->scan->row_max;
    return tears_int(rows < INT64_MAX ? (int64_t)rows : INT64_MAX);
}

static tears_status bind_all(const struct t3_l3_lite_request *request, struct t3_lite_stmt *stmt)
{
    const struct plan *plan = t3_lite_held(stmt);
    for (uint32_t i = 0; i < plan->param_count; i++) {
        const struct tears_value value = param_value(request, &plan->params[i]);
        T3_TRY(t3_lite_bind(stmt, i + 1, &value, request->arena, request->error));
    }
    return TEARS_OK;
}

static tears_status find_or_make(const struct t3_l3_lite_request *request,
                                 struct t3_lite_stmt **stmt_out)
{
    uint32_t on_stack[KEY_WORDS_STACK];
    uint32_t *words = on_stack;
    const size_t count = key_words_max(request);
    if (count > KEY_WORDS_STACK) {
        words = t3_arena_alloc(request->arena, count * sizeof *words);
        if (words == NULL)
            return t3_fail_memory(request->error, L3_LITE_ORIGIN);
    }
    const struct tears_str key = make_key(request, words);
    *stmt_out = t3_lite_find(request->conn, key);
    return *stmt_out != NULL ? TEARS_OK : make_statement(request, key, stmt_out);
}

tears_status t3_l3_lite_prepare(const struct t3_l3_lite_request *request,
                                struct t3_lite_stmt **stmt_out)
{
    T3_AUTO(t3_lite_reset) struct t3_lite_stmt *stmt = NULL;
    T3_TRY(find_or_make(request, &stmt));
    T3_TRY(bind_all(request, stmt));
    *stmt_out = T3_TAKE(stmt);
    return TEARS_OK;
}

/* ---- rows ---- */

/* The key of the row the statement is at, as it is stored: the cells may be what cannot be decoded.
 */
static tears_status put_raw_key(const struct t3_l3_lite_request *request, struct t3_lite_stmt *stmt,
                                struct t3_buf *out)
{
    const struct tears_schema *schema = request->schema;
    struct tears_value values[T3_KEY_COLUMNS_MAX];
    for (uint32_t i = 0; i < schema->key_count; i++)
        values[i] = t3_lite_cell_raw(stmt, schema->key[i]);
    const struct t3_key key = {.values = values, .count = schema->key_count};
    return t3_key_put_display(&key, out);
}

static tears_status fail_cell(const struct t3_l3_lite_request *request, struct t3_lite_stmt *stmt,
                              uint32_t column, tears_status status)
{
    if (status == TEARS_NO_MEMORY)
        return t3_fail_memory(request->error, L3_LITE_ORIGIN);
    static const char *const kinds[] = {"NULL",        "a boolean", "an integer", "a number",
                                        "text",        "a decimal", "bytes",      "a UUID",
                                        "a timestamp", "JSON",      "a vector"};
    T3_AUTO(t3_buf_done) struct t3_buf key = {0};
    const bool has_key = put_raw_key(request, stmt, &key) == TEARS_OK;
    const uint8_t kind = request->schema->columns[column].kind;
    return t3_fail(
        request->error, status, L3_LITE_ORIGIN,
        "table '" T3_STR_FMT "', column '" T3_STR_FMT "', key %s: %s is stored that is not %s",
        T3_STR_ARG(request->schema->name), T3_STR_ARG(request->schema->columns[column].name),
        has_key ? key.ptr : "?", t3_lite_cell_class(stmt, column),
        kind < T3_COUNT(kinds) ? kinds[kind] : "known");
}

tears_status t3_l3_lite_row(const struct t3_l3_lite_request *request, struct t3_lite_stmt *stmt,
                            struct t3_row **row_out)
{
    const struct tears_schema *schema = request->schema;
    struct tears_value on_stack[VALUES_STACK];
    struct tears_value *values = on_stack;
    if (schema->column_count > VALUES_STACK) {
        values = t3_arena_array(request->arena, schema->column_count, sizeof *values);
        if (values == NULL)
            return t3_fail_memory(request->error, L3_LITE_ORIGIN);
    }
    for (uint32_t i = 0; i < schema->column_count; i++) {
        const tears_status status = t3_lite_cell(stmt, i, schema->layout.kinds[i], T3_LITE_FOREIGN,
                                                 request->arena, &values[i]);
        if (T3_UNLIKELY(status != TEARS_OK))
            return fail_cell(request, stmt, i, status);
    }
    const tears_status status = t3_row_new(request->arena, &schema->layout, values, row_out);
    if (status != TEARS_OK)
        return t3_fail(request->error, status, L3_LITE_ORIGIN, "table '" T3_STR_FMT "': a row: %s",
                       T3_STR_ARG(schema->name), tears_status_text(status));
    return TEARS_OK;
}
