/*
 * l3_lite.c -- the durable tier on one SQLite file: reading, writing, transactions.
 *
 * Owns:     a pool of connections (driver/lite).
 * Knows:    l3_lite_plan (statements and rows); l3_lite_catalogue and l3_lite_query have the other
 * operations. Must not know: other tiers. Threads:  any.  Readers run beside the writer; writers
 * take turns. Fails:    as l3.h says; a failed call has written nothing. Begin at: lite_fetch(),
 * lite_write().
 *
 * A call of one row is one statement, which SQLite makes a transaction by itself.  A batch is a
 * loop over one prepared statement within one transaction: there is no network to save, and
 * preparing is what costs.
 */
#include "base/alloc.h"
#include "base/fail.h"
#include "base/str.h"
#include "tier/l3_lite_impl.h"

static struct l3_lite *of(struct t3_l3 *l3)
{
    return (struct l3_lite *)l3;
}

/* ---- connections ---- */

tears_status t3_l3_lite_lease(struct l3_lite *l3, struct t3_l3_call *call, bool write,
                              struct t3_l3_lite_lease *lease_out)
{
    *lease_out = (struct t3_l3_lite_lease){.tx = call->tx};
    if (call->tx == NULL)
        return write ? t3_lite_take_writer(l3->lite, call->deadline, &lease_out->conn, call->error)
                     : t3_lite_take_reader(l3->lite, call->deadline, &lease_out->conn, call->error);
    if (call->tx->broken != TEARS_OK)
        return t3_fail(call->error, call->tx->broken, L3_LITE_ORIGIN,
                       "the transaction was rolled back when an earlier statement of it failed");
    t3_lite_set_deadline(call->tx->conn, call->deadline);
    lease_out->conn = call->tx->conn;
    return TEARS_OK;
}

tears_status t3_l3_lite_release(struct t3_l3_lite_lease *lease, tears_status status)
{
    if (lease->tx == NULL)
        t3_lite_give(lease->conn);
    else if (!t3_lite_in_transaction(lease->conn))
        lease->tx->broken = status != TEARS_OK ? status : TEARS_INTERNAL;
    lease->conn = NULL;
    return status;
}

/* ---- fetch ---- */

static tears_status fetch_one(const struct t3_l3_lite_request *request, struct t3_row **row_out)
{
    T3_AUTO(t3_lite_reset) struct t3_lite_stmt *stmt = NULL;
    T3_TRY(t3_l3_lite_prepare(request, &stmt));
    bool found;
    T3_TRY(t3_lite_step(stmt, &found, request->error));
    *row_out = NULL;
    return found ? t3_l3_lite_row(request, stmt, row_out) : TEARS_OK;
}

static tears_status fetch_all(struct t3_l3_lite_request *request, const struct t3_key *keys,
                              size_t count, struct t3_row **rows_out)
{
    /* One snapshot for all, and one lock of the file instead of `count`. */
    const bool own = count > 1 && !t3_lite_in_transaction(request->conn);
    if (own)
        T3_TRY(t3_lite_begin(request->conn, false, request->error));
    tears_status status = TEARS_OK;
    for (size_t i = 0; i < count && status == TEARS_OK; i++) {
        request->key = &keys[i];
        status = fetch_one(request, &rows_out[i]);
    }
    if (own)
        t3_lite_rollback(request->conn); /* nothing was written */
    return status;
}

static tears_status lite_fetch(struct t3_l3 *l3, struct t3_l3_call *call,
                               const struct tears_schema *schema, const struct t3_key *keys,
                               size_t count, struct t3_row **rows_out)
{
    struct t3_l3_lite_lease lease;
    T3_TRY(t3_l3_lite_lease(of(l3), call, false, &lease));
    struct t3_l3_lite_request request = {.operation = L3_LITE_FETCH,
                                         .schema = schema,
                                         .conn = lease.conn,
                                         .arena = call->arena,
                                         .error = call->error};
    return t3_l3_lite_release(&lease, fetch_all(&request, keys, count, rows_out));
}

/* ---- write ---- */

static enum t3_l3_lite_operation operation_of(enum t3_write_kind kind)
{
    switch (kind) {
    case T3_WRITE_INSERT:
        return L3_LITE_INSERT;
    case T3_WRITE_UPDATE:
        return L3_LITE_UPDATE;
    case T3_WRITE_UPSERT:
        return L3_LITE_UPSERT;
    case T3_WRITE_DELETE:
        break;
    }
    return L3_LITE_DELETE;
}

/* The last version of a row that was deleted: it comes after the key columns. */
static tears_status deleted_version(const struct t3_l3_lite_request *request,
                                    struct t3_lite_stmt *stmt, struct t3_write *write)
{
    const struct tears_schema *schema = request->schema;
    write->version = 0;
    if (schema->version_column == T3_NO_COLUMN)
        return TEARS_OK;
    struct tears_value value;
    const uint8_t kind = schema->columns[schema->version_column].kind;
    const tears_status status =
        t3_lite_cell(stmt, schema->key_count, kind, T3_LITE_FOREIGN, request->arena, &value);
    if (status == TEARS_OK && value.kind != TEARS_KIND_NULL)
        write->version = value.as.integer;
    /* A damaged version does not keep anybody from deleting the row. */
    return status == TEARS_CORRUPT ? TEARS_OK : status;
}

/* Keeps what the statement says about the row it has written. */
static tears_status keep_written(const struct t3_l3_lite_request *request,
                                 struct t3_lite_stmt *stmt, struct t3_write *write)
{
    if (request->operation == L3_LITE_DELETE)
        return deleted_version(request, stmt, write);
    T3_TRY(t3_l3_lite_row(request, stmt, &write->row));
    write->version = t3_schema_row_version(request->schema, write->row);
    return TEARS_OK;
}

/* Runs the statement to its end: only then is the row written.  *found_out: it gave a row. */
static tears_status run_write(const struct t3_l3_lite_request *request, struct t3_write *write,
                              bool *found_out)
{
    T3_AUTO(t3_lite_reset) struct t3_lite_stmt *stmt = NULL;
    T3_TRY(t3_l3_lite_prepare(request, &stmt));
    T3_TRY(t3_lite_step(stmt, found_out, request->error));
    if (!*found_out)
        return TEARS_OK;
    const tears_status status = keep_written(request, stmt, write);
    if (status != TEARS_OK) { /* a caller who is told of a failure must not find the row */
        if (!request->in_batch)
            t3_lite_abandon(stmt);
        return status;
    }
    for (bool more = true; more;)
        T3_TRY(t3_lite_step(stmt, &more, request->error));
    return TEARS_OK;
}

static tears_status fetch_winner(const struct t3_l3_lite_request *request, struct t3_write *write)
{
    write->row = NULL;
    write->version = 0;
    if (write->key.count == 0)
        return TEARS_OK;
    struct t3_l3_lite_request fetch = *request;
    fetch.operation = L3_LITE_FETCH;
    fetch.key = &write->key;
    fetch.write = NULL;
    T3_TRY(fetch_one(&fetch, &write->row));
    if (write->row != NULL)
        write->version = t3_schema_row_version(request->schema, write->row);
    return TEARS_OK;
}

/* No row came back: what that means depends on what was asked for. */
static tears_status explain_nothing(const struct t3_l3_lite_request *request,
                                    struct t3_write *write)
{
    const bool by_key_only =
        request->operation == L3_LITE_UPDATE || request->operation == L3_LITE_DELETE;
    if (by_key_only && !write->has_base) {
        write->status = TEARS_NOT_FOUND;
        return TEARS_OK;
    }
    T3_TRY(fetch_winner(request, write));
    /* An upsert gives no row only under the policy "ignore": the row that stays is its result. */
    const bool stays = request->operation == L3_LITE_UPSERT && write->row != NULL;
    write->status = stays ? TEARS_OK : TEARS_CONFLICT;
    return TEARS_OK;
}

static tears_status write_one(struct t3_l3_lite_request *request, struct t3_write *write)
{
    write->row = NULL;
    write->version = 0;
    write->status = TEARS_OK;
    request->write = write;
    request->key = &write->key;
    bool found = false;
    const tears_status status = run_write(request, write, &found);
    if (status == TEARS_CONFLICT) { /* a unique constraint; SQLite has undone this statement only */
        write->status = TEARS_CONFLICT;
        return fetch_winner(request, write);
    }
    if (status != TEARS_OK || found)
        return status;
    return explain_nothing(request, write);
}

static tears_status write_rows(struct t3_l3_lite_request *request, struct t3_write *writes,
                               size_t count)
{
    request->in_batch = true;
    for (size_t i = 0; i < count; i++)
        T3_TRY(write_one(request, &writes[i]));
    return TEARS_OK;
}

/* Within a caller's transaction a batch that fails must leave nothing behind; a single statement
 * never does, if need be at the cost of the transaction. */
static tears_status write_nested(struct t3_l3_lite_request *request, struct t3_write *writes,
                                 size_t count)
{
    if (count == 1)
        return write_one(request, writes);
    T3_TRY(t3_lite_savepoint(request->conn, request->error));
    tears_status status = write_rows(request, writes, count);
    if (status == TEARS_OK)
        status = t3_lite_savepoint_keep(request->conn, request->error);
    if (status != TEARS_OK)
        t3_lite_savepoint_undo(request->conn);
    return status;
}

static tears_status write_batch(struct t3_l3_lite_request *request, struct t3_write *writes,
                                size_t count)
{
    if (count == 1)
        return write_one(request, writes);
    T3_TRY(t3_lite_begin(request->conn, true, request->error));
    const tears_status status = write_rows(request, writes, count);
    if (status == TEARS_OK)
        return t3_lite_commit(request->conn, request->error);
    t3_lite_rollback(request->conn);
    return status;
}

static tears_status lite_write(struct t3_l3 *l3, struct t3_l3_call *call,
                               const struct tears_schema *schema, enum t3_write_kind kind,
                               struct t3_write *writes, size_t count)
{
    if (count == 0)
        return TEARS_OK;
    struct t3_l3_lite_lease lease;
    T3_TRY(t3_l3_lite_lease(of(l3), call, true, &lease));
    struct t3_l3_lite_request request = {.operation = operation_of(kind),
                                         .schema = schema,
                                         .conn = lease.conn,
                                         .arena = call->arena,
                                         .error = call->error};
    const tears_status status = call->tx != NULL ? write_nested(&request, writes, count)
                                                 : write_batch(&request, writes, count);
    if (status == TEARS_UNAVAILABLE) /* an I/O error may have hit the commit itself */
        call->outcome_unknown = true;
    return t3_l3_lite_release(&lease, status);
}

/* ---- scan ---- */

static tears_status grow_rows(struct t3_arena *arena, struct t3_row ***rows, size_t *capacity)
{
    const size_t larger = *capacity == 0 ? 64 : *capacity * 2;
    struct t3_row **copy = t3_arena_array(arena, larger, sizeof(struct t3_row *));
    if (copy == NULL)
        return TEARS_NO_MEMORY;
    if (*capacity > 0)
        memcpy(copy, *rows, *capacity * sizeof(struct t3_row *));
    *rows = copy;
    *capacity = larger;
    return TEARS_OK;
}

static tears_status scan_rows(const struct t3_l3_lite_request *request, struct t3_row ***rows_out,
                              size_t *count_out)
{
    T3_AUTO(t3_lite_reset) struct t3_lite_stmt *stmt = NULL;
    T3_TRY(t3_l3_lite_prepare(request, &stmt));
    struct t3_row **rows = NULL;
    size_t capacity = 0;
    size_t count = 0;
    bool found;
    for (;;) {
        T3_TRY(t3_lite_step(stmt, &found, request->error));
        if (!found)
            break;
        if (count == capacity && grow_rows(request->arena, &rows, &capacity) != TEARS_OK)
            return t3_fail_memory(request->error, L3_LITE_ORIGIN);
        T3_TRY(t3_l3_lite_row(request, stmt, &rows[count]));
        count++;
    }
    *rows_out = rows;
    *count_out = count;
    return TEARS_OK;
}

static tears_status lite_scan(struct t3_l3 *l3, struct t3_l3_call *call,
                              const struct tears_schema *schema, const struct t3_scan *scan,
                              struct t3_row ***rows_out, size_t *count_out)
{
    struct t3_l3_lite_lease lease;
    T3_TRY(t3_l3_lite_lease(of(l3), call, false, &lease));
    const struct t3_l3_lite_request request = {.operation = L3_LITE_SCAN,
                                               .schema = schema,
                                               .conn = lease.conn,
                                               .arena = call->arena,
                                               .error = call->error,
                                               .scan = scan};
    return t3_l3_lite_release(&lease, scan_rows(&request, rows_out, count_out));
}

/* ---- transactions ---- */

static tears_status lite_begin(struct t3_l3 *l3, struct t3_l3_call *call, struct t3_l3_tx **tx_out)
{
    T3_AUTO(t3_lite_give_auto) struct t3_lite_conn *conn = NULL;
    T3_TRY(t3_lite_take_writer(of(l3)->lite, call->deadline, &conn, call->error));
    T3_TRY(t3_lite_begin(conn, true, call->error));
    struct t3_l3_tx *tx = t3_alloc_zero(1, sizeof *tx);
    if (tx == NULL)
        return t3_fail_memory(call->error, L3_LITE_ORIGIN);
    tx->conn = T3_TAKE(conn);
    *tx_out = tx;
    return TEARS_OK;
}

static void lite_rollback(struct t3_l3 *l3, struct t3_l3_tx *tx)
{
    (void)l3;
    t3_lite_give(tx->conn); /* rolls back */
    t3_free(tx);
}

static tears_status lite_commit(struct t3_l3 *l3, struct t3_l3_call *call, struct t3_l3_tx *tx)
{
    struct t3_l3_lite_lease lease;
    struct t3_l3_call commit = *call;
    commit.tx = tx;
    tears_status status = t3_l3_lite_lease(of(l3), &commit, true, &lease);
    if (status == TEARS_OK)
        status = t3_lite_commit(lease.conn, call->error);
    if (status == TEARS_UNAVAILABLE)
        call->outcome_unknown = true;
    lite_rollback(l3, tx);
    return status;
}

/* ---- life ---- */

static void lite_free(struct t3_l3 *l3)
{
    t3_lite_free(of(l3)->lite);
    t3_free(l3);
}

static const struct t3_l3_ops ops = {.name = "sqlite",
                                     .fetch = lite_fetch,
                                     .write = lite_write,
                                     .scan = lite_scan,
                                     .begin = lite_begin,
                                     .commit = lite_commit,
                                     .rollback = lite_rollback,
                                     .query = t3_l3_lite_query,
                                     .describe = t3_l3_lite_describe,
                                     .tables = t3_l3_lite_tables,
                                     .doctor = t3_l3_lite_doctor,
                                     .free = lite_free};

tears_status t3_l3_lite_open(const struct t3_l3_options *options, struct t3_l3 **l3_out,
                             struct tears_error *error_out)
{
    struct l3_lite *l3 = t3_alloc_zero(1, sizeof *l3);
    if (l3 == NULL)
        return t3_fail_memory(error_out, L3_LITE_ORIGIN);
    struct tears_str path = options->url;
    (void)t3_lite_url(options->url, &path); /* else it is a path */
    const struct t3_lite_options lite = {
        .path = path,
        .origin = L3_LITE_ORIGIN,
        .reader_max = options->pool_max < 64 ? (uint32_t)options->pool_max : 64,
        .log = options->log};
    const uint64_t wait_ms = options->connect_ms != 0 ? options->connect_ms : 30000;
    const tears_status status =
        t3_lite_open(&lite, t3_deadline_in_ms(wait_ms), &l3->lite, error_out);
    if (status != TEARS_OK) {
        t3_free(l3);
        return status;
    }
    l3->base.ops = &ops;
    l3->base.parallel = t3_lite_reader_max(l3->lite);
    *l3_out = &l3->base;
    return TEARS_OK;
}
