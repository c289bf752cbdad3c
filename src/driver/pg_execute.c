/*
 * pg_execute.c -- statements on a connection: prepared once, run alone or in a pipeline.
 *
 * Owns:     the names of what is prepared on each connection.
 * Must not know: tables, pools.
 * Threads:  one at a time per connection.
 * Fails:    as pg_wire.c; whatever the server answers, by pg_status.c.
 * Begin at: t3_pg_execute().
 *
 * Prepared statements are kept in small sets; the least recently used of a full set gives way and
 * is deallocated at the server, so neither side holds more than T3_PG_SETS * T3_PG_WAYS of them.
 */
#include "base/alloc.h"
#include "driver/pg_impl.h"

/* ---- prepared statements --------------------------------------------------------------------- */

static void forget(struct t3_pg_prepared *prepared)
{
    t3_free(prepared->sql);
    memset(prepared, 0, sizeof *prepared);
}

void t3_pg_forget_prepared(struct t3_pg_conn *conn)
{
    for (size_t set = 0; set < T3_PG_SETS; set++)
        for (size_t way = 0; way < T3_PG_WAYS; way++)
            forget(&conn->prepared[set][way]);
}

enum { NAME_BYTES = 16 };

static void put_name(char name_out[NAME_BYTES], uint32_t number)
{
    char digits[10];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    memcpy(name_out, "t3_", 3);
    for (size_t i = 0; i < count; i++)
        name_out[3 + i] = digits[count - 1 - i];
    name_out[3 + count] = '\0';
}

static struct t3_pg_prepared *find(struct t3_pg_conn *conn, const struct t3_pg_statement *statement)
{
    struct t3_pg_prepared *set = conn->prepared[statement->hash % T3_PG_SETS];
    for (size_t way = 0; way < T3_PG_WAYS; way++) {
        struct t3_pg_prepared *prepared = &set[way];
        if (prepared->hash == statement->hash && prepared->sql != NULL &&
            prepared->sql_len == statement->sql.len &&
            memcmp(prepared->sql, statement->sql.ptr, statement->sql.len) == 0) {
            prepared->used = conn->executions++;
            return prepared;
        }
    }
    return NULL;
}

static struct t3_pg_prepared *find_victim(struct t3_pg_conn *conn, uint64_t hash)
{
    struct t3_pg_prepared *set = conn->prepared[hash % T3_PG_SETS];
    struct t3_pg_prepared *victim = &set[0];
    for (size_t way = 0; way < T3_PG_WAYS; way++) {
        if (set[way].sql == NULL)
            return &set[way];
        if (conn->executions - set[way].used > conn->executions - victim->used)
            victim = &set[way];
    }
    return victim;
}

static tears_status deallocate(struct t3_pg_conn *conn, struct t3_pg_call *call,
                               struct t3_pg_prepared *prepared)
{
    T3_AUTO(t3_buf_done) struct t3_buf sql = {0};
    char name[NAME_BYTES];
    put_name(name, prepared->number);
    if (t3_buf_printf(&sql, "DEALLOCATE %s", name) != TEARS_OK)
        return t3_fail_memory(call->error, T3_PG_ORIGIN);
    forget(prepared);
    struct t3_pg_call own = {.deadline = call->deadline, .error = call->error};
    struct t3_pg_result *result = NULL;
    const tears_status status = t3_pg_query(conn, &own, sql.ptr, NULL, &result);
    if (status == TEARS_OK)
        t3_pg_result_free(result);
    return conn->broken ? status : TEARS_OK; /* unknown to the server: it is gone as wished */
}

static tears_status send_prepare(struct t3_pg_conn *conn, struct t3_pg_call *call,
                                 const struct t3_pg_statement *statement, const char *name)
{
    if (PQsendPrepare(conn->pg, name, statement->sql.ptr, (int)statement->type_count,
                      statement->types) == 0)
        return t3_pg_lost(conn, call);
    T3_TRY(t3_pg_flush(conn, call));
    struct t3_pg_result *result = NULL;
    T3_TRY(t3_pg_take_result(conn, call, &result));
    t3_pg_result_free(result);
    return TEARS_OK;
}

static tears_status prepare(struct t3_pg_conn *conn, struct t3_pg_call *call,
                            const struct t3_pg_statement *statement,
                            struct t3_pg_prepared **prepared_out)
{
    struct t3_pg_prepared *prepared = find(conn, statement);
    if (T3_LIKELY(prepared != NULL)) {
        *prepared_out = prepared;
        return TEARS_OK;
    }
    prepared = find_victim(conn, statement->hash);
    if (prepared->sql != NULL)
        T3_TRY(deallocate(conn, call, prepared));
    char *copy = t3_alloc(statement->sql.len);
    if (copy == NULL)
        return t3_fail_memory(call->error, T3_PG_ORIGIN);
    memcpy(copy, statement->sql.ptr, statement->sql.len);
    char name[NAME_BYTES];
    const uint32_t number = conn->prepared_next++;
    put_name(name, number);
    const tears_status status = send_prepare(conn, call, statement, name);
    if (status != TEARS_OK) {
        t3_free(copy);
        return status;
    }
    *prepared = (struct t3_pg_prepared){.sql = copy,
                                        .sql_len = statement->sql.len,
                                        .hash = statement->hash,
                                        .number = number,
                                        .used = conn->executions++};
    *prepared_out = prepared;
    return TEARS_OK;
}

tears_status t3_pg_prepare(struct t3_pg_conn *conn, struct t3_pg_call *call,
                           const struct t3_pg_statement *statement)
{
    struct t3_pg_prepared *ignored = NULL;
    return prepare(conn, call, statement, &ignored);
}

/* ---- execution ------------------------------------------------------------------------------- */

static tears_status send_prepared(struct t3_pg_conn *conn, struct t3_pg_call *call,
                                  const struct t3_pg_prepared *prepared,
                                  const struct t3_pg_params *params)
{
    char name[NAME_BYTES];
    put_name(name, prepared->number);
    call->sent = true;
    if (PQsendQueryPrepared(conn->pg, name, (int)params->count, params->values, params->lengths,
                            params->formats, 1) == 0)
        return t3_pg_lost(conn, call);
    return TEARS_OK;
}

static tears_status execute_once(struct t3_pg_conn *conn, struct t3_pg_call *call,
                                 const struct t3_pg_statement *statement,
                                 const struct t3_pg_params *params,
                                 struct t3_pg_result **result_out)
{
    struct t3_pg_prepared *prepared = NULL;
    T3_TRY(prepare(conn, call, statement, &prepared));
    T3_TRY(send_prepared(conn, call, prepared, params));
    T3_TRY(t3_pg_flush(conn, call));
    const tears_status status = t3_pg_take_result(conn, call, result_out);
    if (call->stale)
        forget(
            prepared); /* the name is never used again, so what the server may keep does no harm */
    return status;
}

tears_status t3_pg_execute(struct t3_pg_conn *conn, struct t3_pg_call *call,
                           const struct t3_pg_statement *statement,
                           const struct t3_pg_params *params, struct t3_pg_result **result_out)
{
    call->stale = false;
    const tears_status status = execute_once(conn, call, statement, params, result_out);
    if (!call->stale || conn->broken || PQtransactionStatus(conn->pg) != PQTRANS_IDLE)
        return status;
    call->stale = false;
    return execute_once(conn, call, statement, params, result_out);
}

tears_status t3_pg_query(struct t3_pg_conn *conn, struct t3_pg_call *call, const char *sql,
                         const struct t3_pg_params *params, struct t3_pg_result **result_out)
{
    static const struct t3_pg_params none;
    if (params == NULL)
        params = &none;
    call->sent = true;
    call->stale = false;
    if (PQsendQueryParams(conn->pg, sql, (int)params->count, NULL, params->values, params->lengths,
                          params->formats, 0) == 0)
        return t3_pg_lost(conn, call);
    T3_TRY(t3_pg_flush(conn, call));
    return t3_pg_take_result(conn, call, result_out);
}

/* ---- pipelines ------------------------------------------------------------------------------- */

enum { FLUSH_AT_ONCE_BYTES = 16384 };

tears_status t3_pg_pipeline_open(struct t3_pg_conn *conn, struct t3_pg_call *call)
{
    if (PQenterPipelineMode(conn->pg) == 0)
        return t3_pg_lost(conn, call);
    conn->in_pipeline = true;
    conn->pipeline_failed = false;
    conn->pipeline_unflushed = false;
    conn->unanswered = 0;
    call->stale = false;
    return TEARS_OK;
}

static size_t payload_bytes(const struct t3_pg_params *params)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < params->count; i++)
        bytes += (size_t)params->lengths[i];
    return bytes;
}

/* Answers wait at the server until they are asked for with a flush request. */
static tears_status pipeline_flush(struct t3_pg_conn *conn, struct t3_pg_call *call)
{
    if (PQsendFlushRequest(conn->pg) == 0)
        return t3_pg_lost(conn, call);
    conn->pipeline_unflushed = false;
    return t3_pg_flush(conn, call);
}

static tears_status send_unprepared(struct t3_pg_conn *conn, struct t3_pg_call *call,
                                    const struct t3_pg_statement *statement,
                                    const struct t3_pg_params *params)
{
    call->sent = true;
    if (PQsendQueryParams(conn->pg, statement->sql.ptr, (int)params->count, statement->types,
                          params->values, params->lengths, params->formats, 1) == 0)
        return t3_pg_lost(conn, call);
    return TEARS_OK;
}

tears_status t3_pg_pipeline_send(struct t3_pg_conn *conn, struct t3_pg_call *call,
                                 const struct t3_pg_statement *statement,
                                 const struct t3_pg_params *params)
{
    T3_ASSERT(conn->in_pipeline && conn->unanswered < T3_PG_WINDOW);
    const struct t3_pg_prepared *prepared = find(conn, statement);
    T3_TRY(prepared != NULL ? send_prepared(conn, call, prepared, params)
                            : send_unprepared(conn, call, statement, params));
    conn->unanswered++;
    conn->pipeline_unflushed = true;
    if (payload_bytes(params) >= FLUSH_AT_ONCE_BYTES)
        return pipeline_flush(conn, call); /* the server works on it while the next one is made */
    return TEARS_OK;
}

/* The NULL that ends a statement's results, so that the next one's can be asked for. */
static tears_status take_end(struct t3_pg_conn *conn, struct t3_pg_call *call)
{
    PGresult *end = NULL;
    T3_TRY(t3_pg_next_result(conn, call, &end));
    if (end == NULL)
        return TEARS_OK;
    PQclear(end);
    conn->broken = true;
    return t3_fail(call->error, TEARS_INTERNAL, T3_PG_ORIGIN, "a statement gave two results");
}

tears_status t3_pg_pipeline_receive(struct t3_pg_conn *conn, struct t3_pg_call *call,
                                    struct t3_pg_result **result_out)
{
    T3_ASSERT(conn->in_pipeline && conn->unanswered > 0);
    if (conn->pipeline_unflushed)
        T3_TRY(pipeline_flush(conn, call));
    PGresult *result = NULL;
    T3_TRY(t3_pg_next_result(conn, call, &result));
    if (result == NULL)
        return t3_pg_lost(conn, call);
    conn->unanswered--;
    const tears_status status = t3_pg_judge(conn, call, result);
    if (status != TEARS_OK) {
        conn->pipeline_failed = true;
        if (call->stale)
            t3_pg_forget_prepared(conn); /* whichever it was; a change of tables is rare */
        if (!conn->broken) {
            struct t3_pg_call quiet = {.deadline = call->deadline};
            (void)take_end(conn, &quiet); /* the statement's own error is what the caller is told */
        }
        return status;
    }
    const tears_status ended = take_end(conn, call);
    if (ended != TEARS_OK) {
        PQclear(result);
        return ended;
    }
    *result_out = (struct t3_pg_result *)result;
    return TEARS_OK;
}

/* Reads up to the sync; a statement that fails now (a deferred constraint at commit) is the
 * outcome. */
static tears_status drain(struct t3_pg_conn *conn, struct t3_pg_call *call)
{
    enum { RESULTS_MAX = 2 * T3_PG_WINDOW + 4 }; /* one and a NULL for each, some to spare */
    tears_status outcome = TEARS_OK;
    for (int i = 0; i < RESULTS_MAX; i++) {
        PGresult *result = NULL;
        T3_TRY(t3_pg_next_result(conn, call, &result));
        if (result == NULL) {
            if (PQstatus(conn->pg) == CONNECTION_BAD)
                return t3_pg_lost(conn, call);
            continue;
        }
        const ExecStatusType kind = PQresultStatus(result);
        if (kind == PGRES_FATAL_ERROR && outcome == TEARS_OK)
            outcome = t3_pg_judge(conn, call, result);
        else
            PQclear(result);
        if (kind == PGRES_PIPELINE_SYNC)
            return outcome;
    }
    conn->broken = true;
    return t3_fail(call->error, TEARS_INTERNAL, T3_PG_ORIGIN, "a pipeline did not end");
}

static tears_status pipeline_sync(struct t3_pg_conn *conn, struct t3_pg_call *call)
{
    if (PQpipelineSync(conn->pg) == 0)
        return t3_pg_lost(conn, call);
    T3_TRY(t3_pg_flush(conn, call));
    T3_TRY(drain(conn, call));
    if (PQexitPipelineMode(conn->pg) == 0)
        return t3_pg_lost(conn, call);
    return TEARS_OK;
}

tears_status t3_pg_pipeline_close(struct t3_pg_conn *conn, struct t3_pg_call *call, bool keep)
{
    T3_ASSERT(conn->in_pipeline);
    conn->in_pipeline = false;
    if (conn->broken)
        return TEARS_UNAVAILABLE;
    if (keep) {
        const tears_status status = pipeline_sync(conn, call);
        if (status != TEARS_OK && PQpipelineStatus(conn->pg) != PQ_PIPELINE_OFF &&
            PQexitPipelineMode(conn->pg) == 0)
            conn->broken = true;
        return status;
    }
    if (!conn->pipeline_failed) {
        conn->broken = true; /* a sync would commit it; hanging up undoes it */
        return TEARS_OK;
    }
    struct t3_pg_call quiet = {.deadline = call->deadline}; /* the caller has its error already */
    if (pipeline_sync(conn, &quiet) != TEARS_OK)
        conn->broken = true;
    return TEARS_OK;
}
