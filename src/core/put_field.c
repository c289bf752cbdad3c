/*
 * put_field.c -- one column of one row, and flushes: the public functions of deferred.h.
 *
 * Owns:     nothing.
 * Knows:    that a field write has no base of its own: when the row has moved on, it is made again from what is there now.
 * Must not know: where the row comes from, or whether its table is deferred.
 * Threads:  the session's; threads that write the same row take turns.
 * Fails:    as reads and writes do.
 * Begin at: tears_put_field().
 */
#include "base/fail.h"
#include "base/sized.h"
#include "core/cells.h"
#include "core/defer.h"
#include "core/read.h"
#include "core/soft_delete.h"
#include "core/turns.h"

enum { TRIES_MAX = 32 };

/* A field on its way. */
struct putting {
    struct tears_session *session;
    struct tears_collection *collection;
    struct t3_change change;
};

/* Takes the row as it is now as the base. */
static tears_status read_base(struct putting *putting)
{
    struct t3_found found = {0};
    T3_TRY(t3_read_one(putting->session, putting->collection, &putting->change.key, &found));
    if (!t3_is_visible(putting->session, putting->collection, found.row))
        return t3_read_not_found(putting->session, putting->collection, &putting->change.key);
    t3_change_base(&putting->change, putting->collection->schema, found.row, found.revision);
    putting->change.pending_seq = found.pending_seq;
    return TEARS_OK;
}

static tears_status put(struct putting *putting)
{
    tears_status status = TEARS_CONFLICT;
    struct tears_outcome outcome = {0};
    for (int i = 0; status == TEARS_CONFLICT && i < TRIES_MAX; i++) {
        t3_error_clear(&putting->session->error);
        T3_TRY(read_base(putting));
        status = t3_write_rows(putting->session, putting->collection, T3_WRITE_UPDATE,
                               &putting->change, 1, &outcome);
        if (putting->session->tx != NULL)
            break; /* the transaction is to be begun again */
    }
    return status;
}

tears_status tears_put_field(tears_session *session, tears_collection *collection,
                             const struct tears_value *key, size_t key_count,
                             struct tears_str column, struct tears_value value)
{
    struct tears_value storage[16];
    const struct tears_field field = {.name = column, .value = value};
    struct putting putting = {.session = session, .collection = collection};
    struct t3_cell *cells = NULL;
    T3_TRY(t3_session_enter(session));
    if (collection->lives_in_l2)
        return t3_fail(&session->error, TEARS_UNSUPPORTED, "core",
                       "table '" T3_STR_FMT "' has no L3: change its rows with tears_l2_mutate",
                       T3_STR_ARG(collection->schema->name));
    T3_TRY(t3_session_status(session,
                             t3_key_init(collection->schema, key, key_count, storage,
                                         &session->arena, &putting.change.key, &session->error)));
    T3_TRY(t3_cells_of(session, collection->schema, &field, 1, T3_CELLS_UPDATE, &cells,
                       &putting.change.cell_count));
    putting.change.cells = cells;
    const uint64_t hash = t3_ticket_hash(collection->space, &putting.change.key);
    const struct t3_deadline deadline = t3_session_deadline(session);
    if (!t3_turn_take(session->client->turns, hash, deadline))
        return t3_fail(&session->error, TEARS_TIMEOUT, "core",
                       "table '" T3_STR_FMT "': other threads wrote fields of the row until the "
                       "deadline",
                       T3_STR_ARG(collection->schema->name));
    const tears_status status = put(&putting);
    t3_turn_pass(session->client->turns, hash);
    return status;
}

/* ---- flushing ---------------------------------------------------------------------------------- */

static tears_status check_tables(struct tears_session *session, const struct tears_str *tables,
                                 size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct tears_collection *one = t3_collection_lookup(session->client, tables[i]);
        if (one == NULL || one->pending == NULL)
            return t3_fail(&session->error, TEARS_NOT_FOUND, "deferred",
                           "table '" T3_STR_FMT "' is not open as a deferred one",
                           T3_STR_ARG(tables[i]));
    }
    return TEARS_OK;
}

tears_status tears_flush(tears_session *session, const struct tears_str *tables, size_t table_count,
                         uint64_t deadline_ms, struct tears_flush_result *result_out)
{
    struct tears_flush_result result = TEARS_FLUSH_RESULT_INIT;
    T3_TRY(t3_session_enter(session));
    if (session->tx != NULL)
        return t3_fail(&session->error, TEARS_MISUSE, "deferred",
                       "a transaction is open: rows that it has locked could not be flushed");
    if (table_count == 0)
        t3_defer_open_all(session->client);
    T3_TRY(check_tables(session, tables, table_count));
    const struct t3_deadline deadline =
        deadline_ms != 0 ? t3_deadline_in_ms(deadline_ms) : t3_session_deadline(session);
    tears_status status = TEARS_OK;
    if (session->client->deferred != NULL)
        status = t3_deferred_flush(session->client->deferred, tables, table_count, deadline,
                                   &result, &session->error);
    if (result_out != NULL)
        t3_sized_give(result_out, &result, sizeof result);
    return t3_session_status(session, status);
}
