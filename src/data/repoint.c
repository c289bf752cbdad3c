/*
 * repoint.c -- all rows of one owner become another's, in one statement.
 *
 * Owns:     nothing.
 * Must not know: what an owner is.
 * Threads:  the session's.
 * Fails:    as tears/data.h says.
 * Begin at: tears_repoint().
 *
 * The statement passes over what is immutable to everybody else, and moves the version of each row, so that no cached copy
 * outranks it.  It gives back the keys; each is noted as a correction of the caches, which is made after the commit.  When
 * the column is part of the key, the row has gone from one key to another, and both are corrected.
 */
#include "core/correct.h"
#include "core/defer.h"
#include "core/owner.h"
#include "core/write.h"
#include "data/store_impl.h"
#include "schema/dml.h"

#include "base/fail.h"
#include "base/sized.h"
#include "base/str.h"

struct work {
    struct tears_session *session;
    struct tears_collection *collection;
    struct t3_dml_repoint columns;
    struct tears_value values[2]; /* from, to: of the column's kind */
    struct tears_value *keys;
    size_t row_count;
    bool owns_tx;
    bool has_run;
};

static tears_status refuse(const struct work *work, tears_status status, const char *reason)
{
    return t3_fail(&work->session->error, status, STORE_ORIGIN, "table '" T3_STR_FMT "': %s",
                   T3_STR_ARG(work->collection->schema->name), reason);
}

/* ---- arguments --------------------------------------------------------------------------------- */

static tears_status find_column(const struct work *work, struct tears_str name,
                                uint32_t *column_out)
{
    *column_out = t3_schema_find(work->collection->schema, name);
    if (*column_out != T3_NO_COLUMN)
        return TEARS_OK;
    return t3_fail(&work->session->error, TEARS_INVALID, STORE_ORIGIN,
                   "table '" T3_STR_FMT "' has no column '" T3_STR_FMT "'",
                   T3_STR_ARG(work->collection->schema->name), T3_STR_ARG(name));
}

static tears_status read_request(struct work *work, const struct tears_repoint *given)
{
    struct tears_session *session = work->session;
    const struct tears_schema *schema = work->collection->schema;
    struct tears_repoint repoint = TEARS_REPOINT_INIT;
    T3_TRY(t3_sized_copy(&repoint, sizeof repoint, given, STORE_ORIGIN, &session->error));
    T3_TRY(find_column(work, repoint.column, &work->columns.column));
    work->columns.touched = T3_NO_COLUMN;
    if (repoint.touch.len > 0)
        T3_TRY(find_column(work, repoint.touch, &work->columns.touched));
    if (repoint.touch.len > 0 &&
        schema->columns[work->columns.touched].type != TEARS_TYPE_TIMESTAMPTZ)
        return refuse(work, TEARS_INVALID, "the column to touch is not a timestamp");
    if (work->columns.column == schema->version_column ||
        schema->columns[work->columns.column].generated)
        return refuse(work, TEARS_INVALID, "the database itself fills that column");
    const struct tears_value *values[] = {&repoint.from, &repoint.to};
    for (size_t i = 0; i < T3_COUNT(values); i++)
        T3_TRY(t3_session_status(session, t3_value_coerce(schema, work->columns.column, values[i],
                                                          false, &session->arena, &work->values[i],
                                                          &session->error)));
    if (tears_value_equal(&work->values[0], &work->values[1]))
        return refuse(work, TEARS_INVALID, "the rows would stay where they are: from is to");
    return TEARS_OK;
}

static tears_status check_collection(const struct work *work)
{
    const struct tears_collection *collection = work->collection;
    const char *name = collection->l3->ops->name;
    if (collection->lives_in_l2 || (strcmp(name, "postgresql") != 0 && strcmp(name, "sqlite") != 0))
        return refuse(work, TEARS_UNSUPPORTED, "its rows are not in a database");
    if (collection->strict_lease_ms != 0)
        return refuse(work, TEARS_UNSUPPORTED,
                      "its writes are announced before they are made, and it is not known which "
                      "rows this would be");
    if (work->session->tx != NULL && work->session->tx_l3 != collection->l3)
        return refuse(work, TEARS_MISUSE, "the open transaction is of another database");
    return t3_defer_refuse(work->session, collection);
}

/* ---- the statement ------------------------------------------------------------------------------ */

static tears_status run(struct work *work, struct t3_result *result_out)
{
    struct tears_session *session = work->session;
    struct t3_l3 *l3 = work->collection->l3;
    T3_AUTO(t3_dml_done) struct t3_dml dml = {0};
    const enum t3_dialect dialect =
        strcmp(l3->ops->name, "sqlite") == 0 ? T3_DIALECT_SQLITE : T3_DIALECT_POSTGRESQL;
    T3_TRY(t3_session_status(
        session, t3_dml_repoint(work->collection->schema, dialect, &work->columns, &dml)));
    const struct t3_raw_place place = {.l3 = l3};
    const struct t3_adhoc statement = {
        .sql = t3_buf_str(&dml.sql), .params = work->values, .param_count = 2};
    return t3_run_on(session, &place, &statement, result_out);
}

static void correct(struct work *work, const struct tears_value *values)
{
    const struct tears_schema *schema = work->collection->schema;
    struct tears_value storage[16];
    struct t3_key key;
    /* the values were of this kind before; without memory the row is repaired as any that cannot be noted */
    if (t3_key_init(schema, values, schema->key_count, storage, &work->session->arena, &key,
                    NULL) == TEARS_OK)
        t3_write_invalidate(work->session, work->collection, &key);
}

/* The key that the row had: with the old owner where the owner is part of it. */
static void correct_old(struct work *work, const struct tears_value *values)
{
    const struct tears_schema *schema = work->collection->schema;
    struct tears_value old[16];
    bool differs = false;
    for (uint32_t i = 0; i < schema->key_count; i++) {
        const bool is_owner = schema->key[i] == work->columns.column;
        old[i] = is_owner ? work->values[0] : values[i];
        differs = differs || is_owner;
    }
    if (differs)
        correct(work, old);
}

/* A cell of the result as the key has it: SQLite gives a UUID as text. */
static tears_status take_keys(struct work *work, const struct t3_result *result)
{
    struct tears_session *session = work->session;
    const struct tears_schema *schema = work->collection->schema;
    const size_t parts = schema->key_count;
    work->keys = t3_arena_array(&session->arena, result->row_count, parts * sizeof *work->keys);
    if (work->keys == NULL)
        return t3_session_no_memory(session);
    for (size_t row = 0; row < result->row_count; row++)
        for (size_t i = 0; i < parts; i++) {
            const struct tears_value cell = t3_result_at(result, row, i);
            T3_TRY(t3_session_status(
                session, t3_value_coerce(schema, schema->key[i], &cell, false, &session->arena,
                                         &work->keys[row * parts + i], &session->error)));
        }
    work->row_count = result->row_count;
    return TEARS_OK;
}

static tears_status move(struct work *work)
{
    struct t3_result result;
    T3_TRY(run(work, &result));
    work->has_run = true;
    T3_TRY(take_keys(work, &result));
    for (size_t row = 0; row < work->row_count; row++) {
        const struct tears_value *key = work->keys + row * work->collection->schema->key_count;
        correct_old(work, key);
        correct(work, key);
    }
    return TEARS_OK;
}

/* ---- the call ------------------------------------------------------------------------------------ */

/* What was moved but could not be noted must not be committed: the error stays the first one. */
static void undo(struct tears_session *session)
{
    const struct tears_error error = session->error;
    if (tears_rollback(session) == TEARS_OK) /* it fails only without a transaction */
        session->error = error;
}

tears_status tears_repoint(tears_session *session, tears_collection *collection,
                           const struct tears_repoint *repoint, struct tears_repointed *moved_out)
{
    struct work work = {.session = session, .collection = collection};
    T3_TRY(t3_session_enter(session));
    T3_TRY(check_collection(&work));
    T3_TRY(read_request(&work, repoint));
    work.owns_tx = session->tx == NULL;
    if (work.owns_tx)
        T3_TRY(t3_begin_on(session, collection->l3));
    tears_status status = move(&work);
    if (status != TEARS_OK && session->tx != NULL && (work.owns_tx || work.has_run))
        undo(session);
    else if (status == TEARS_OK && work.owns_tx)
        status = tears_commit(session);
    if (status == TEARS_OK && moved_out != NULL) {
        moved_out->keys = work.keys;
        moved_out->row_count = work.row_count;
    }
    return status;
}
