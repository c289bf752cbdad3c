/*
 * pg_conn.c -- one connection: made, looked after, given up; and its prepared statements.
 *
 * Owns:     the PGconn and the names of what is prepared on it.
 * Must not know: pools (it only carries the pointer), tables.
 * Threads:  one at a time.
 * Fails:    as pg_wire.c; connecting also TEARS_DENIED and TEARS_INVALID.
 * Begin at: t3_pg_conn_open(), t3_pg_execute().
 */
#include "base/alloc.h"
#include "driver/pg_impl.h"

#include "base/str.h"

#include <poll.h>

/* ---- opening --------------------------------------------------------------------------------- */

static void take_notice(void *owner, const PGresult *result)
{
    struct t3_pg_conn *conn = owner;
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const bool warning = severity != NULL && strcmp(severity, "WARNING") == 0;
    if (severity != NULL && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0))
        conn->broken = true; /* the server hangs up while nobody asked it anything */
    t3_log(conn->log, warning ? TEARS_LOG_WARN : TEARS_LOG_INFO, T3_PG_ORIGIN, "%s: %s (%s)",
           severity != NULL ? severity : "NOTICE", text != NULL ? text : "",
           sqlstate != NULL ? sqlstate : "");
}

static void take_no_notice(void *owner, const char *message)
{
    (void)owner;
    (void)message; /* libpq's own warnings, which it would print */
}

static tears_status connect_refused(const struct t3_pg_target *target, PGconn *pg,
                                    struct tears_error *error_out)
{
    const char *message = PQerrorMessage(pg);
    char sqlstate[6] = "";
    struct tears_str said = tears_str_c(message);
    const bool answered = t3_pg_find_sqlstate(message, sqlstate, &said);
    const tears_status status = t3_pg_status_of(sqlstate);
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    if (t3_pg_redact(&text, said, target->secret, false) != TEARS_OK)
        return t3_fail_memory(error_out, T3_PG_ORIGIN);
    const char *reason = text.ptr != NULL ? text.ptr : "no reason given";
    return t3_fail_detail(error_out, status, T3_PG_ORIGIN, 0, sqlstate, "%s: %s",
                          answered ? "the database refused the connection"
                                   : "the database cannot be reached",
                          reason);
}

static tears_status connect_step(struct t3_pg_conn *conn, struct t3_pg_call *call, bool reading)
{
    short events = 0;
    return t3_pg_wait(conn, call, reading ? POLLIN : POLLOUT, &events);
}

/* Verbose until connected: only so does libpq put the SQLSTATE of a refusal into its message. */
static tears_status connect_within(struct t3_pg_conn *conn, const struct t3_pg_target *target,
                                   struct t3_pg_call *call)
{
    (void)PQsetErrorVerbosity(conn->pg, PQERRORS_VERBOSE);
    bool reading = false;
    if (PQstatus(conn->pg) == CONNECTION_BAD)
        return connect_refused(target, conn->pg, call->error);
    for (;;) {
        T3_TRY(connect_step(conn, call, reading));
        const PostgresPollingStatusType state = PQconnectPoll(conn->pg);
        if (state == PGRES_POLLING_OK)
            break;
        if (state == PGRES_POLLING_FAILED)
            return connect_refused(target, conn->pg, call->error);
        reading = state == PGRES_POLLING_READING;
    }
    (void)PQsetErrorVerbosity(conn->pg, PQERRORS_DEFAULT);
    return TEARS_OK;
}

static bool parameter_starts(const struct t3_pg_conn *conn, const char *name, const char *prefix)
{
    return t3_str_starts(tears_str_c(t3_pg_conn_parameter(conn, name)), prefix);
}

/*
 * Columns of types without a binary decoder travel as text, which must not depend on how the role
 * or the database is configured.  Almost everywhere the settings are right already, and then this
 * costs nothing.
 */
static tears_status settle_formats(struct t3_pg_conn *conn, struct t3_pg_call *call)
{
    if (parameter_starts(conn, "DateStyle", "ISO") &&
        parameter_starts(conn, "IntervalStyle", "postgres") &&
        !parameter_starts(conn, "IntervalStyle", "postgres_verbose"))
        return TEARS_OK;
    struct t3_pg_result *result = NULL;
    T3_TRY(t3_pg_query(conn, call,
                       "SELECT set_config('datestyle', 'ISO', false),"
                       " set_config('intervalstyle', 'postgres', false)",
                       NULL, &result));
    t3_pg_result_free(result);
    return TEARS_OK;
}

static tears_status set_up(struct t3_pg_conn *conn, const struct t3_pg_target *target,
                           struct t3_pg_call *call)
{
    conn->pg = PQconnectStartParams(target->keywords, target->values, 0);
    if (conn->pg == NULL)
        return t3_fail_memory(call->error, T3_PG_ORIGIN);
    (void)PQsetNoticeReceiver(conn->pg, take_notice, conn);
    (void)PQsetNoticeProcessor(conn->pg, take_no_notice, NULL);
    T3_TRY(connect_within(conn, target, call));
    if (PQsetnonblocking(conn->pg, 1) != 0)
        return t3_pg_lost(conn, call);
    return settle_formats(conn, call);
}

tears_status t3_pg_conn_open(const struct t3_pg_target *target, const struct t3_log *log,
                             struct t3_pg_call *call, struct t3_pg_conn **conn_out)
{
    struct t3_pg_conn *conn = t3_alloc_zero(1, sizeof *conn);
    if (conn == NULL)
        return t3_fail_memory(call->error, T3_PG_ORIGIN);
    conn->log = log;
    const tears_status status = set_up(conn, target, call);
    if (status != TEARS_OK) {
        t3_pg_conn_free(conn);
        return status;
    }
    *conn_out = conn;
    return TEARS_OK;
}

/* ---- closing --------------------------------------------------------------------------------- */

static void forget(struct t3_pg_prepared *prepared)
{
    t3_free(prepared->sql);
    memset(prepared, 0, sizeof *prepared);
}

static void forget_all(struct t3_pg_conn *conn)
{
    for (size_t set = 0; set < T3_PG_SETS; set++)
        for (size_t way = 0; way < T3_PG_WAYS; way++)
            forget(&conn->prepared[set][way]);
}

void t3_pg_conn_free(struct t3_pg_conn *conn)
{
    if (conn == NULL)
        return;
    forget_all(conn);
    if (conn->pg != NULL) {
        (void)PQsetNoticeReceiver(conn->pg, NULL, NULL);
        const bool running =
            PQtransactionStatus(conn->pg) == PQTRANS_ACTIVE && PQstatus(conn->pg) == CONNECTION_OK;
        if (running)
            t3_pg_cancel_and_close(conn->pg);
        else
            PQfinish(conn->pg);
    }
    t3_free(conn);
}

/* ---- health ---------------------------------------------------------------------------------- */

void t3_pg_conn_abandon(struct t3_pg_conn *conn)
{
    conn->broken = true;
}

bool t3_pg_conn_is_alive(const struct t3_pg_conn *conn)
{
    return !conn->broken;
}

bool t3_pg_conn_looks_sound(struct t3_pg_conn *conn)
{
    enum { READS_MAX = 8 }; /* an idle server says little: settings that changed, a last word */
    struct pollfd watched = {.fd = PQsocket(conn->pg), .events = POLLIN};
    if (conn->broken || watched.fd < 0)
        return false;
    for (int i = 0; i < READS_MAX && poll(&watched, 1, 0) > 0; i++) {
        if (PQconsumeInput(conn->pg) == 0)
            return false;
        (void)PQisBusy(
            conn->pg); /* makes libpq read what came; a FATAL notice marks the connection */
    }
    return !conn->broken && PQstatus(conn->pg) == CONNECTION_OK;
}

tears_status t3_pg_conn_ping(struct t3_pg_conn *conn, struct t3_pg_call *call)
{
    struct t3_pg_result *result = NULL;
    T3_TRY(t3_pg_query(conn, call, "", NULL, &result));
    t3_pg_result_free(result);
    return TEARS_OK;
}

const char *t3_pg_conn_parameter(const struct t3_pg_conn *conn, const char *name)
{
    const char *value = PQparameterStatus(conn->pg, name);
    return value != NULL ? value : "";
}

bool t3_pg_conn_has_ssl(const struct t3_pg_conn *conn)
{
    return PQsslInUse(conn->pg) != 0;
}

/* ---- prepared statements --------------------------------------------------------------------- */

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
    call->sent = true;
    call->stale = false;
    const int count = params != NULL ? (int)params->count : 0;
    if (PQsendQueryParams(conn->pg, sql, count, NULL, count > 0 ? params->values : NULL,
                          count > 0 ? params->lengths : NULL, count > 0 ? params->formats : NULL,
                          0) == 0)
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
            forget_all(conn); /* whichever it was; a change of tables is rare */
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

/* ---- results --------------------------------------------------------------------------------- */

static const PGresult *of(const struct t3_pg_result *result)
{
    return (const PGresult *)result;
}

size_t t3_pg_result_rows(const struct t3_pg_result *result)
{
    return (size_t)PQntuples(of(result));
}

uint32_t t3_pg_result_columns(const struct t3_pg_result *result)
{
    return (uint32_t)PQnfields(of(result));
}

const char *t3_pg_result_name(const struct t3_pg_result *result, uint32_t column)
{
    const char *name = PQfname(of(result), (int)column);
    return name != NULL ? name : "";
}

uint32_t t3_pg_result_type(const struct t3_pg_result *result, uint32_t column)
{
    return PQftype(of(result), (int)column);
}

struct tears_str t3_pg_result_cell(const struct t3_pg_result *result, size_t row, uint32_t column)
{
    const int length = PQgetlength(of(result), (int)row, (int)column);
    if (length == 0 && PQgetisnull(of(result), (int)row, (int)column) != 0)
        return tears_str_n(NULL, 0);
    return tears_str_n(PQgetvalue(of(result), (int)row, (int)column), (size_t)length);
}

uint64_t t3_pg_result_affected(const struct t3_pg_result *result)
{
    PGresult *unqualified = (PGresult *)(uintptr_t)result; /* libpq forgot a const; it only reads */
    uint64_t rows = 0;
    for (const char *at = PQcmdTuples(unqualified); *at >= '0' && *at <= '9'; at++)
        rows = rows * 10 + (uint64_t)(*at - '0');
    return rows;
}

const char *t3_pg_result_tag(const struct t3_pg_result *result)
{
    return PQcmdStatus((PGresult *)(uintptr_t)result);
}

void t3_pg_result_free(struct t3_pg_result *result)
{
    PQclear((PGresult *)result);
}

void t3_pg_result_free_auto(struct t3_pg_result **result)
{
    t3_pg_result_free(*result);
    *result = NULL;
}
