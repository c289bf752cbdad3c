/*
 * transaction.c -- transactions of a session, and raw SQL.
 *
 * Owns:     the cursor over a statement's rows (its memory is the session's).
 * Knows:    that caches are corrected after the commit and not before.
 * Must not know: which database it is.
 * Threads:  the session's.
 * Fails:    as L3 does.
 * Begin at: tears_begin().
 */
#include "core/core.h"

#include "base/fail.h"
#include "core/announce.h"
#include "core/owner.h"
#include "tier/l1_sqlite.h"

tears_status t3_begin_on(struct tears_session *session, struct t3_l3 *l3)
{
    T3_TRY(t3_session_enter(session));
    if (session->tx != NULL)
        return t3_fail(&session->error, TEARS_MISUSE, "core",
                       "a transaction is open already; transactions do not nest");
    struct t3_l3_call call = t3_session_l3_call(session, NULL);
    T3_TRY(l3->ops->begin(l3, &call, &session->tx));
    session->tx_l3 = l3;
    return TEARS_OK;
}

tears_status tears_begin(tears_session *session)
{
    return t3_begin_on(session, session->client->l3);
}

static tears_status no_transaction(struct tears_session *session)
{
    return t3_fail(&session->error, TEARS_MISUSE, "core", "no transaction is open");
}

tears_status tears_commit(tears_session *session)
{
    T3_TRY(t3_session_enter(session));
    if (session->tx == NULL)
        return no_transaction(session);
    struct t3_l3 *l3 = session->tx_l3;
    struct t3_l3_call call = t3_session_l3_call(session, NULL);
    struct t3_l3_tx *tx = T3_TAKE(session->tx);
    const uint64_t began_ms = t3_now_coarse_ms();
    t3_correct_merge_queue(session);
    tears_status status = t3_announce_commit(session, &call.deadline);
    if (status == TEARS_OK)
        status = l3->ops->commit(l3, &call, tx);
    else
        l3->ops->rollback(l3, tx);
    if (status == TEARS_OK || call.outcome_unknown)
        t3_correct_queued(session, status == TEARS_OK, began_ms);
    else
        t3_correct_rolled_back(session);
    return status;
}

tears_status tears_rollback(tears_session *session)
{
    T3_TRY(t3_session_enter(session));
    if (session->tx == NULL)
        return no_transaction(session);
    struct t3_l3 *l3 = session->tx_l3;
    l3->ops->rollback(l3, T3_TAKE(session->tx));
    t3_correct_rolled_back(session);
    return TEARS_OK;
}

/* ---- raw SQL ------------------------------------------------------------------------------- */

struct tears_cursor {
    struct tears_session *session;
    struct t3_result result;
    struct tears_field
        *fields; /* made for the first row: once a statement has run, it must not fail */
    size_t next;
};

static tears_status cursor_new(struct tears_session *session, tears_cursor **cursor_out)
{
    tears_cursor *cursor = t3_arena_array(&session->arena, 1, sizeof *cursor);
    if (cursor == NULL)
        return t3_session_no_memory(session);
    cursor->session = session;
    *cursor_out = cursor;
    return TEARS_OK;
}

static tears_status make_fields(tears_cursor *cursor)
{
    const struct t3_result *result = &cursor->result;
    struct tears_field *fields =
        t3_arena_array(&cursor->session->arena, result->column_count, sizeof *fields);
    if (fields == NULL)
        return t3_session_no_memory(cursor->session);
    for (size_t i = 0; i < result->column_count; i++)
        fields[i].name = result->names[i];
    cursor->fields = fields;
    return TEARS_OK;
}

tears_status t3_run_on(struct tears_session *session, const struct t3_raw_place *place,
                       const struct t3_adhoc *statement, struct t3_result *result_out)
{
    struct t3_l3 *l3 = place->l3;
    struct t3_l3_call call = t3_session_l3_call(session, NULL);
    call.tx = l3 == session->tx_l3 ? session->tx : NULL;
    call.path = place->path;
    memset(result_out, 0, sizeof *result_out);
    return t3_session_status(session, l3->ops->query(l3, &call, statement->sql, statement->params,
                                                     statement->param_count, result_out));
}

tears_status t3_query_on(struct tears_session *session, const struct t3_raw_place *place,
                         const struct t3_adhoc *statement, tears_cursor **cursor_out)
{
    tears_cursor *cursor = NULL;
    T3_TRY(t3_session_enter(session));
    T3_TRY(cursor_new(session, &cursor));
    T3_TRY(t3_run_on(session, place, statement, &cursor->result));
    *cursor_out = cursor;
    return TEARS_OK;
}

tears_status tears_query(tears_session *session, struct tears_str sql,
                         const struct tears_value *params, size_t param_count,
                         tears_cursor **cursor_out)
{
    const struct t3_raw_place place = {.l3 = session->client->l3};
    const struct t3_adhoc statement = {.sql = sql, .params = params, .param_count = param_count};
    return t3_query_on(session, &place, &statement, cursor_out);
}

tears_status tears_execute(tears_session *session, struct tears_str sql,
                           const struct tears_value *params, size_t param_count, uint64_t *rows_out)
{
    struct t3_result result;
    const struct t3_raw_place place = {.l3 = session->client->l3};
    const struct t3_adhoc statement = {.sql = sql, .params = params, .param_count = param_count};
    T3_TRY(t3_session_enter(session));
    T3_TRY(t3_run_on(session, &place, &statement, &result));
    if (rows_out != NULL)
        *rows_out = result.affected;
    return TEARS_OK;
}

tears_status tears_query_l1(tears_session *session, struct tears_str sql,
                            const struct tears_value *params, size_t param_count,
                            tears_cursor **cursor_out)
{
    T3_TRY(t3_session_enter(session));
    struct tears_client *client = session->client;
    if (client->l1 == NULL || !t3_l1_is_sqlite(client->l1))
        return t3_fail(&session->error, TEARS_UNSUPPORTED, "l1",
                       "SQL over cached rows needs an L1 of kind 'sqlite'");
    tears_cursor *cursor = NULL;
    T3_TRY(cursor_new(session, &cursor));
    const struct t3_adhoc adhoc = {.sql = sql, .params = params, .param_count = param_count};
    T3_TRY(t3_session_status(session, t3_l1_sqlite_query(client->l1, &adhoc, &session->arena,
                                                         &cursor->result, &session->error)));
    *cursor_out = cursor;
    return TEARS_OK;
}

tears_status tears_cursor_next(tears_cursor *cursor, const struct tears_field **fields_out,
                               size_t *column_count_out)
{
    const struct t3_result *result = &cursor->result;
    if (cursor->next >= result->row_count)
        return TEARS_DONE;
    if (cursor->fields == NULL)
        T3_TRY(make_fields(cursor));
    const struct tears_value *values = result->values + cursor->next * result->column_count;
    for (size_t i = 0; i < result->column_count; i++)
        cursor->fields[i].value = values[i];
    cursor->next++;
    *fields_out = cursor->fields;
    *column_count_out = result->column_count;
    return TEARS_OK;
}

void tears_cursor_free(tears_cursor *cursor)
{
    (void)cursor; /* its memory is the session's */
}
