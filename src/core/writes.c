/*
 * writes.c -- the public writes: arguments in, the write path, outcomes out.
 *
 * Owns: nothing.  Must not know: the tiers' order.  Threads: the session's.  Begin at:
 * tears_insert().
 */
#include "core/core.h"

#include "base/fail.h"
#include "core/cells.h"
#include "core/soft_delete.h"
#include "core/write.h"

/* The change that an insert or upsert of these fields is. */
static tears_status change_of_fields(struct tears_session *session,
                                     const struct tears_schema *schema,
                                     const struct tears_field *fields, size_t field_count,
                                     struct t3_change *change_out)
{
    struct t3_cell *cells;
    memset(change_out, 0, sizeof *change_out);
    T3_TRY(t3_cells_of(session, schema, fields, field_count, T3_CELLS_INSERT, &cells,
                       &change_out->cell_count));
    T3_TRY(t3_schema_check_insert(schema, cells, change_out->cell_count, &session->error));
    change_out->cells = cells;
    change_out->seen = UINT64_MAX;
    return t3_cells_key(session, schema, cells, change_out->cell_count, &change_out->key);
}

/* The change that an update of an entity by these fields is. */
static tears_status change_of_entity(struct tears_session *session, const tears_entity *base,
                                     const struct tears_field *fields, size_t field_count,
                                     struct t3_change *change_out)
{
    const struct tears_schema *schema = base->collection->schema;
    struct t3_cell *cells = NULL;
    memset(change_out, 0, sizeof *change_out);
    if (base->row == NULL)
        return t3_fail(&session->error, TEARS_MISUSE, "core",
                       "a new entity is not a base for an update; save it first");
    if (base->session->client != session->client)
        return t3_fail(&session->error, TEARS_MISUSE, "core",
                       "the entity belongs to another client");
    T3_TRY(t3_cells_of(session, schema, fields, field_count, T3_CELLS_UPDATE, &cells,
                       &change_out->cell_count));
    change_out->cells = cells;
    struct tears_value *storage =
        t3_arena_alloc(&session->arena, schema->key_count * sizeof *storage);
    if (storage == NULL)
        return t3_session_no_memory(session);
    t3_key_of_row(schema, base->row, storage, &change_out->key);
    t3_change_base(change_out, schema, base->row, t3_entity_revision(base));
    change_out->pending_seq = base->pending_seq;
    return TEARS_OK;
}

/* Said before the fields are looked at: what is wrong with them is not the point. */
static tears_status needs_l3(struct tears_session *session,
                             const struct tears_collection *collection)
{
    if (!collection->lives_in_l2)
        return TEARS_OK;
    return t3_fail(&session->error, TEARS_UNSUPPORTED, "core",
                   "table '" T3_STR_FMT "' has no L3: change its rows with tears_l2_mutate",
                   T3_STR_ARG(collection->schema->name));
}

static tears_status write_one(struct tears_session *session, struct tears_collection *collection,
                              enum t3_write_kind kind, const struct t3_change *change,
                              tears_entity **entity_out)
{
    struct tears_outcome outcome = {0};
    const tears_status status = t3_write_rows(session, collection, kind, change, 1, &outcome);
    if (entity_out != NULL && (status == TEARS_OK || status == TEARS_CONFLICT))
        *entity_out = outcome.entity;
    return status;
}

tears_status tears_insert(tears_session *session, tears_collection *collection,
                          const struct tears_field *fields, size_t field_count,
                          tears_entity **entity_out)
{
    struct t3_change change;
    T3_TRY(t3_session_enter(session));
    T3_TRY(needs_l3(session, collection));
    T3_TRY(change_of_fields(session, collection->schema, fields, field_count, &change));
    return write_one(session, collection, T3_WRITE_INSERT, &change, entity_out);
}

static tears_status needs_key(struct tears_session *session,
                              const struct tears_collection *collection,
                              const struct t3_change *change)
{
    if (change->key.count > 0)
        return TEARS_OK;
    return t3_fail(&session->error, TEARS_INVALID, "core",
                   "table '" T3_STR_FMT "': an upsert needs the whole primary key",
                   T3_STR_ARG(collection->schema->name));
}

tears_status tears_upsert(tears_session *session, tears_collection *collection,
                          const struct tears_field *fields, size_t field_count,
                          tears_entity **entity_out)
{
    struct t3_change change;
    T3_TRY(t3_session_enter(session));
    T3_TRY(needs_l3(session, collection));
    T3_TRY(change_of_fields(session, collection->schema, fields, field_count, &change));
    T3_TRY(needs_key(session, collection, &change));
    return write_one(session, collection, T3_WRITE_UPSERT, &change, entity_out);
}

tears_status tears_update(tears_session *session, const tears_entity *base,
                          const struct tears_field *fields, size_t field_count,
                          tears_entity **entity_out)
{
    struct t3_change change;
    T3_TRY(t3_session_enter(session));
    T3_TRY(change_of_entity(session, base, fields, field_count, &change));
    return write_one(session, base->collection, T3_WRITE_UPDATE, &change, entity_out);
}

static tears_status delete_one(struct tears_session *session, struct tears_collection *collection,
                               struct t3_change *change)
{
    struct tears_outcome outcome = {0};
    if (!t3_is_soft(collection))
        return write_one(session, collection, T3_WRITE_DELETE, change, NULL);
    T3_TRY(t3_soft_delete_rows(session, collection, change, 1, &outcome));
    if (outcome.status != TEARS_NOT_FOUND)
        return outcome.status; /* of a conflict the text is there already */
    return t3_fail(&session->error, TEARS_NOT_FOUND, "core",
                   "table '" T3_STR_FMT "' has no such row, or it is marked as deleted",
                   T3_STR_ARG(collection->schema->name));
}

tears_status tears_delete(tears_session *session, tears_collection *collection,
                          const struct tears_value *key, size_t key_count)
{
    struct tears_value storage[16];
    struct t3_change change = {.seen = UINT64_MAX};
    T3_TRY(t3_session_enter(session));
    T3_TRY(t3_session_status(session, t3_key_init(collection->schema, key, key_count, storage,
                                                  &session->arena, &change.key, &session->error)));
    return delete_one(session, collection, &change);
}

tears_status tears_delete_entity(tears_session *session, const tears_entity *base)
{
    struct t3_change change;
    T3_TRY(t3_session_enter(session));
    T3_TRY(change_of_entity(session, base, NULL, 0, &change));
    return delete_one(session, base->collection, &change);
}

/* ---- batches ------------------------------------------------------------------------------- */

/* Adds which row of the batch was refused to the message. */
static tears_status name_row(struct tears_session *session, size_t index, tears_status status)
{
    struct tears_error error = session->error;
    return t3_fail_detail(&session->error, status, error.origin, error.detail, error.sqlstate,
                          "row %zu of the batch: %s", index, error.message);
}

static tears_status change_of_input(struct tears_session *session,
                                    struct tears_collection *collection, enum t3_write_kind kind,
                                    const struct tears_row_input *row, struct t3_change *change_out)
{
    if (kind == T3_WRITE_UPDATE) {
        if (row->base == NULL || row->base->collection != collection)
            return t3_fail(&session->error, TEARS_MISUSE, "core",
                           "an update needs an entity of the same collection as its base");
        return change_of_entity(session, row->base, row->fields, row->field_count, change_out);
    }
    T3_TRY(
        change_of_fields(session, collection->schema, row->fields, row->field_count, change_out));
    return kind == T3_WRITE_UPSERT ? needs_key(session, collection, change_out) : TEARS_OK;
}

static tears_status write_many(struct tears_session *session, struct tears_collection *collection,
                               enum t3_write_kind kind, const struct tears_row_input *rows,
                               size_t row_count, struct tears_outcome *outcomes_out)
{
    T3_TRY(t3_session_enter(session));
    T3_TRY(needs_l3(session, collection));
    struct t3_change *changes = t3_arena_array(&session->arena, row_count, sizeof *changes);
    if (changes == NULL)
        return t3_session_no_memory(session);
    for (size_t i = 0; i < row_count; i++) {
        const tears_status status =
            change_of_input(session, collection, kind, &rows[i], &changes[i]);
        if (status != TEARS_OK)
            return name_row(session, i, status);
    }
    return t3_write_rows(session, collection, kind, changes, row_count, outcomes_out);
}

tears_status tears_insert_many(tears_session *session, tears_collection *collection,
                               const struct tears_row_input *rows, size_t row_count,
                               struct tears_outcome *outcomes_out)
{
    return write_many(session, collection, T3_WRITE_INSERT, rows, row_count, outcomes_out);
}

tears_status tears_update_many(tears_session *session, tears_collection *collection,
                               const struct tears_row_input *rows, size_t row_count,
                               struct tears_outcome *outcomes_out)
{
    return write_many(session, collection, T3_WRITE_UPDATE, rows, row_count, outcomes_out);
}

tears_status tears_upsert_many(tears_session *session, tears_collection *collection,
                               const struct tears_row_input *rows, size_t row_count,
                               struct tears_outcome *outcomes_out)
{
    return write_many(session, collection, T3_WRITE_UPSERT, rows, row_count, outcomes_out);
}

tears_status tears_delete_many(tears_session *session, tears_collection *collection,
                               const struct tears_value *keys, size_t row_count,
                               size_t *deleted_out)
{
    T3_TRY(t3_session_enter(session));
    const uint32_t parts = collection->schema->key_count;
    struct t3_change *changes = t3_arena_array(&session->arena, row_count, sizeof *changes);
    struct tears_value *storage =
        t3_arena_array(&session->arena, row_count, parts * sizeof *storage);
    struct tears_outcome *outcomes = t3_arena_array(&session->arena, row_count, sizeof *outcomes);
    if (changes == NULL || storage == NULL || outcomes == NULL)
        return t3_session_no_memory(session);
    for (size_t i = 0; i < row_count; i++) {
        changes[i].seen = UINT64_MAX;
        T3_TRY(t3_session_status(session, t3_key_init(collection->schema, keys + i * parts, parts,
                                                      storage + i * parts, &session->arena,
                                                      &changes[i].key, &session->error)));
    }
    const tears_status status =
        t3_is_soft(collection)
            ? t3_soft_delete_rows(session, collection, changes, row_count, outcomes)
            : t3_write_rows(session, collection, T3_WRITE_DELETE, changes, row_count, outcomes);
    if (status != TEARS_OK && status != TEARS_NOT_FOUND)
        return status;
    size_t deleted = 0;
    for (size_t i = 0; i < row_count; i++)
        deleted += outcomes[i].status == TEARS_OK;
    if (deleted_out != NULL)
        *deleted_out = deleted;
    t3_error_clear(&session->error);
    return TEARS_OK;
}
