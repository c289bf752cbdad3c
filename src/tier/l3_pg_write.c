/*
 * l3_pg_write.c -- one row written, and what single writes and batches share.
 *
 * Owns:     nothing; rows are in the call's arena.
 * Must not know: caches, retries of callers.
 * Threads:  any.
 * Fails:    as tier/l3.h says.
 * Begin at: t3_l3_pg_write().
 *
 * One row is one statement without BEGIN and COMMIT: a single round trip.  When it changed nothing,
 * a second statement reads the row that is there.
 */
#include "tier/l3_pg_impl.h"

/* ---- parameters ---------------------------------------------------------------------------------
 */

static enum t3_pg_operation operation_of(enum t3_write_kind kind)
{
    switch (kind) {
    case T3_WRITE_INSERT:
        return T3_PG_INSERT;
    case T3_WRITE_UPDATE:
        return T3_PG_UPDATE;
    case T3_WRITE_UPSERT:
        return T3_PG_UPSERT;
    case T3_WRITE_DELETE:
    default:
        return T3_PG_DELETE;
    }
}

struct t3_pg_shape t3_pg_shape_of(enum t3_write_kind kind, const struct t3_write *write, bool many)
{
    return (struct t3_pg_shape){.operation = operation_of(kind),
                                .many = many,
                                .has_base = write->has_base &&
                                            (kind == T3_WRITE_UPDATE || kind == T3_WRITE_DELETE),
                                .cells = write->cells,
                                .cell_count = kind == T3_WRITE_DELETE ? 0 : write->cell_count};
}

static struct tears_value base_value(const struct tears_schema *schema,
                                     const struct t3_write *write)
{
    const bool is_time = schema->columns[schema->version_column].kind == TEARS_KIND_TIMESTAMP;
    return is_time ? tears_timestamp_us(write->base) : tears_int(write->base);
}

/* Where a parameter's value of one write is; the base has to be made, in `storage`. */
static const struct tears_value *value_of(const struct tears_schema *schema,
                                          const struct t3_write *write,
                                          const struct t3_param *param, struct tears_value *storage)
{
    if (param->role == T3_PARAM_KEY)
        return &write->key.values[param->index];
    if (param->role == T3_PARAM_CELL)
        return &write->cells[param->index].value;
    T3_ASSERT(storage != NULL); /* only bases need it, and for those it is there */
    *storage = base_value(schema, write);
    return storage;
}

static tears_status put_array(struct t3_pg_work *work, const struct t3_param *param,
                              struct t3_write *const *writes, size_t count,
                              struct t3_pg_params *params)
{
    const struct tears_schema *schema = work->schema;
    struct t3_arena *arena = work->call->arena;
    const struct tears_value **values = t3_arena_alloc(arena, count * sizeof *values);
    struct tears_value *bases = NULL;
    if (param->role == T3_PARAM_BASE)
        bases = t3_arena_alloc(arena, count * sizeof *bases);
    if (values == NULL || (param->role == T3_PARAM_BASE && bases == NULL))
        return t3_fail_memory(work->call->error, T3_PG_ORIGIN);
    for (size_t i = 0; i < count; i++)
        values[i] = value_of(schema, writes[i], param, bases != NULL ? &bases[i] : NULL);
    return t3_pg_put_param_array(work, param, values, count, params);
}

tears_status t3_pg_write_params(struct t3_pg_work *work, const struct t3_pg_plan *plan,
                                struct t3_write *const *writes, size_t count,
                                struct t3_pg_params *params)
{
    const struct tears_schema *schema = work->schema;
    struct tears_value base;
    if (t3_pg_params_init(params, work->call->arena, plan->dml.param_count) != TEARS_OK)
        return t3_fail_memory(work->call->error, T3_PG_ORIGIN);
    for (uint32_t i = 0; i < plan->dml.param_count; i++) {
        const struct t3_param *param = &plan->dml.params[i];
        if (plan->many)
            T3_TRY(put_array(work, param, writes, count, params));
        else
            T3_TRY(t3_pg_put_param(work, param, value_of(schema, writes[0], param, &base), params));
    }
    return TEARS_OK;
}

/* ---- outcomes -----------------------------------------------------------------------------------
 */

void t3_pg_write_done(const struct tears_schema *schema, struct t3_write *write, struct t3_row *row)
{
    write->status = TEARS_OK;
    write->row = row;
    write->version = t3_schema_row_version(schema, row);
}

bool t3_pg_wants_winner(enum t3_write_kind kind, const struct t3_write *write)
{
    switch (kind) {
    case T3_WRITE_INSERT:
        return write->key.count > 0;
    case T3_WRITE_UPSERT:
        return true;
    case T3_WRITE_UPDATE:
    case T3_WRITE_DELETE:
    default:
        return write->has_base;
    }
}

/* What it means that nothing was changed, by what is there now. */
static tears_status lost_status(const struct tears_schema *schema, enum t3_write_kind kind,
                                const struct t3_write *write, const struct t3_row *winner)
{
    switch (kind) {
    case T3_WRITE_INSERT:
        return TEARS_CONFLICT;
    case T3_WRITE_UPSERT: /* the row stays, as the policy asks */
        return winner != NULL && schema->on_conflict == TEARS_ON_CONFLICT_IGNORE ? TEARS_OK
                                                                                 : TEARS_CONFLICT;
    case T3_WRITE_UPDATE:
        return write->has_base ? TEARS_CONFLICT : TEARS_NOT_FOUND;
    case T3_WRITE_DELETE:
    default:
        return winner != NULL ? TEARS_CONFLICT : TEARS_NOT_FOUND;
    }
}

void t3_pg_write_lost(const struct tears_schema *schema, enum t3_write_kind kind,
                      struct t3_write *write, struct t3_row *winner)
{
    write->status = lost_status(schema, kind, write, winner);
    write->row = winner;
    write->version = winner != NULL ? t3_schema_row_version(schema, winner) : 0;
}

/* A deletion returns the key, then the version if the table has one. */
tears_status t3_pg_take_deleted(struct t3_pg_work *work, const struct t3_pg_result *result,
                                size_t row, struct t3_write *write)
{
    const struct tears_schema *schema = work->schema;
    write->status = TEARS_OK;
    write->row = NULL;
    write->version = 0;
    if (schema->version_column == T3_NO_COLUMN)
        return TEARS_OK;
    const struct tears_str cell = t3_pg_result_cell(result, row, schema->key_count);
    const uint32_t kind = schema->columns[schema->version_column].kind;
    const enum t3_pg_how how = t3_pg_how(t3_pg_result_type(result, schema->key_count), kind);
    struct tears_value version;
    if (cell.ptr == NULL)
        return TEARS_OK;
    if (how == T3_PG_HOW_NONE ||
        t3_pg_decode(how, kind, cell, work->call->arena, &version) != TEARS_OK)
        return t3_fail(work->call->error, TEARS_CORRUPT, T3_PG_ORIGIN,
                       "the version of a deleted row of table '" T3_STR_FMT
                       "' could not be decoded",
                       T3_STR_ARG(schema->name));
    write->version = version.as.integer;
    return TEARS_OK;
}

/* ---- one row
 * -------------------------------------------------------------------------------------- */

/* Runs in the same transaction when there is one; else nothing was written, so a failure here hides
 * nothing. */
static tears_status settle_lost(struct t3_pg_work *work, enum t3_write_kind kind,
                                struct t3_write *write)
{
    const struct tears_schema *schema = work->schema;
    struct t3_row *winner = NULL;
    if (t3_pg_wants_winner(kind, write)) {
        const struct t3_pg_shape shape = {.operation = T3_PG_FETCH};
        const struct t3_key *key = &write->key;
        T3_AUTO(t3_pg_plan_drop_auto) struct t3_pg_plan *plan = NULL;
        T3_AUTO(t3_pg_result_free_auto) struct t3_pg_result *result = NULL;
        T3_AUTO(t3_pg_reader_done) struct t3_pg_reader reader = {0};
        struct t3_pg_params params;
        if (t3_pg_plan_find(&work->l3->plans, schema, &shape, &plan) != TEARS_OK)
            return t3_fail_memory(work->call->error, T3_PG_ORIGIN);
        work->pg.sent = false;
        T3_TRY(t3_pg_fetch_params(work, plan, &key, 1, &params));
        T3_TRY(t3_pg_execute(work->conn, &work->pg, &plan->statement, &params, &result));
        T3_TRY(t3_pg_reader_init(&reader, work, result));
        if (t3_pg_result_rows(result) > 0)
            T3_TRY(t3_pg_reader_row(&reader, 0, &winner));
    }
    t3_pg_write_lost(schema, kind, write, winner);
    return TEARS_OK;
}

static tears_status take_written(struct t3_pg_work *work, const struct t3_pg_result *result,
                                 struct t3_write *write)
{
    const struct tears_schema *schema = work->schema;
    T3_AUTO(t3_pg_reader_done) struct t3_pg_reader reader = {0};
    struct t3_row *row = NULL;
    T3_TRY(t3_pg_reader_init(&reader, work, result));
    T3_TRY(t3_pg_reader_row(&reader, 0, &row));
    t3_pg_write_done(schema, write, row);
    return TEARS_OK;
}

static tears_status write_one(struct t3_pg_work *work, enum t3_write_kind kind,
                              struct t3_write *write)
{
    const struct tears_schema *schema = work->schema;
    const struct t3_pg_shape shape = t3_pg_shape_of(kind, write, false);
    T3_AUTO(t3_pg_plan_drop_auto) struct t3_pg_plan *plan = NULL;
    T3_AUTO(t3_pg_result_free_auto) struct t3_pg_result *result = NULL;
    struct t3_pg_params params;
    const tears_status status = t3_pg_plan_find(&work->l3->plans, schema, &shape, &plan);
    if (status != TEARS_OK)
        return t3_fail(work->call->error, status, T3_PG_ORIGIN,
                       "the statement for table '" T3_STR_FMT "' could not be built",
                       T3_STR_ARG(schema->name));
    T3_TRY(t3_pg_write_params(work, plan, &write, 1, &params));
    T3_TRY(t3_pg_execute(work->conn, &work->pg, &plan->statement, &params, &result));
    if (t3_pg_result_rows(result) == 0)
        return settle_lost(work, kind, write);
    work->applied = true;
    if (kind == T3_WRITE_DELETE)
        return t3_pg_take_deleted(work, result, 0, write);
    return take_written(work, result, write);
}

/*
 * The batch is retried once when its statements turned out to be stale: nothing was written then.
 * A single statement is retried by the driver itself.
 */
tears_status t3_l3_pg_write(struct t3_l3 *l3, struct t3_l3_call *call,
                            const struct tears_schema *schema, enum t3_write_kind kind,
                            struct t3_write *writes, size_t count)
{
    if (count == 0)
        return TEARS_OK;
    for (int attempt = 1;; attempt++) {
        struct t3_pg_work work;
        tears_status status = t3_pg_work_begin(l3, call, schema, &work);
        if (status == TEARS_OK)
            status = count == 1 ? write_one(&work, kind, writes)
                                : t3_pg_write_many(&work, schema, kind, writes, count);
        const bool again = attempt == 1 && status != TEARS_OK && work.pg.stale && call->tx == NULL;
        t3_pg_work_end(&work, status, true);
        if (!again)
            return status;
    }
}
