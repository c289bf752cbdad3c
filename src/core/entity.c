/*
 * entity.c -- a row as read, and the changes one has in mind for it.
 *
 * Owns:     nothing but memory of its session.
 * Knows:    that a snapshot never changes and that changes are private until saved.
 * Must not know: the tiers.
 * Threads:  the session's.
 * Fails:    TEARS_INVALID, TEARS_NO_MEMORY; saving and reloading as the write and read paths do.
 * Begin at: t3_entity_of(), tears_entity_set().
 */
#include "core/core.h"

#include "base/fail.h"
#include "base/str.h"
#include "core/cells.h"
#include "core/defer.h"
#include "core/read.h"
#include "core/soft_delete.h"
#include "core/write.h"

void t3_entity_init(struct tears_entity *entity, struct tears_session *session,
                    struct tears_collection *collection, const struct t3_found *found)
{
    entity->session = session;
    entity->collection = collection;
    entity->row = found->row;
    entity->revision = found->revision;
    entity->confirmed_ms = found->confirmed_ms;
    entity->pending_seq = found->pending_seq;
    entity->changes = NULL;
    entity->change_count = 0;
    entity->change_capacity = 0;
    entity->tier = found->tier;
}

tears_status t3_entity_of(struct tears_session *session, struct tears_collection *collection,
                          const struct t3_found *found, struct tears_entity **entity_out)
{
    struct tears_entity *entity = t3_arena_alloc(&session->arena, sizeof *entity);
    if (T3_UNLIKELY(entity == NULL))
        return t3_session_no_memory(session);
    t3_entity_init(entity, session, collection, found);
    *entity_out = entity;
    return TEARS_OK;
}

tears_status tears_entity_new(tears_session *session, tears_collection *collection,
                              const struct tears_field *fields, size_t field_count,
                              tears_entity **entity_out)
{
    T3_TRY(t3_session_enter(session));
    const struct t3_found nothing = {0};
    struct tears_entity *entity;
    T3_TRY(t3_entity_of(session, collection, &nothing, &entity));
    for (size_t i = 0; i < field_count; i++)
        T3_TRY(tears_entity_set(entity, fields[i].name, fields[i].value));
    *entity_out = entity;
    return TEARS_OK;
}

/* ---- reading ------------------------------------------------------------------------------- */

static struct tears_value value_at(const struct tears_entity *entity, uint32_t column)
{
    const struct t3_cell *change = t3_cells_find(entity->changes, entity->change_count, column);
    if (change != NULL)
        return change->value;
    if (entity->row == NULL)
        return tears_null();
    return t3_row_value(entity->row, &entity->collection->schema->layout, column);
}

tears_status tears_entity_at(const tears_entity *entity, size_t index,
                             struct tears_value *value_out)
{
    const struct tears_schema *schema = entity->collection->schema;
    if (index >= schema->column_count)
        return t3_fail(&entity->session->error, TEARS_INVALID, "schema",
                       "table '" T3_STR_FMT "' has %u columns, and none at index %zu",
                       T3_STR_ARG(schema->name), schema->column_count, index);
    *value_out = value_at(entity, (uint32_t)index);
    return TEARS_OK;
}

tears_status tears_entity_get(const tears_entity *entity, struct tears_str column,
                              struct tears_value *value_out)
{
    const struct tears_schema *schema = entity->collection->schema;
    const uint32_t index = t3_schema_find(schema, column);
    if (index == T3_NO_COLUMN)
        return t3_fail(&entity->session->error, TEARS_INVALID, "schema",
                       "table '" T3_STR_FMT "' has no column '" T3_STR_FMT "'",
                       T3_STR_ARG(schema->name), T3_STR_ARG(column));
    *value_out = value_at(entity, index);
    return TEARS_OK;
}

bool tears_entity_is_dirty(const tears_entity *entity)
{
    return entity->row == NULL || entity->change_count > 0;
}

bool tears_entity_is_new(const tears_entity *entity)
{
    return entity->row == NULL;
}

tears_collection *tears_entity_collection(const tears_entity *entity)
{
    return entity->collection;
}

int64_t tears_entity_version(const tears_entity *entity)
{
    return entity->row != NULL ? t3_schema_row_version(entity->collection->schema, entity->row) : 0;
}

uint32_t tears_entity_tier(const tears_entity *entity)
{
    return entity->tier;
}

tears_status tears_entity_changes(const tears_entity *entity, const struct tears_field **fields_out,
                                  size_t *count_out)
{
    struct tears_session *session = entity->session;
    struct tears_field *fields =
        t3_arena_array(&session->arena, entity->change_count, sizeof *fields);
    if (fields == NULL)
        return t3_session_no_memory(session);
    for (uint32_t i = 0; i < entity->change_count; i++) {
        fields[i].name = entity->collection->schema->columns[entity->changes[i].column].name;
        fields[i].value = entity->changes[i].value;
    }
    *fields_out = fields;
    *count_out = entity->change_count;
    return TEARS_OK;
}

tears_status tears_entity_json(const tears_entity *entity, struct tears_str *json_out)
{
    struct tears_session *session = entity->session;
    const struct tears_schema *schema = entity->collection->schema;
    T3_AUTO(t3_buf_done) struct t3_buf json = {0};
    tears_status status = t3_buf_put_char(&json, '{');
    for (uint32_t i = 0; status == TEARS_OK && i < schema->column_count; i++) {
        const struct tears_value value = value_at(entity, i);
        if (i > 0)
            status = t3_buf_put(&json, TEARS_STR(", "));
        if (status == TEARS_OK)
            status = t3_buf_put(&json, schema->columns[i].json_name);
        if (status == TEARS_OK)
            status = t3_value_put_json(&value, schema->byte_codec, &json);
    }
    if (status == TEARS_OK)
        status = t3_buf_put_char(&json, '}');
    if (status == TEARS_OK)
        status = t3_arena_str(&session->arena, t3_buf_str(&json), json_out);
    return status == TEARS_OK ? TEARS_OK : t3_session_no_memory(session);
}

/* ---- changing ------------------------------------------------------------------------------ */

/* The value with its bytes in the session's memory. */
static tears_status keep_value(struct tears_session *session, const struct tears_value *value,
                               struct tears_value *kept_out)
{
    *kept_out = *value;
    switch (value->kind) {
    case TEARS_KIND_TEXT:
    case TEARS_KIND_DECIMAL:
    case TEARS_KIND_BYTES:
    case TEARS_KIND_JSON:
        return t3_arena_str(&session->arena, value->as.bytes, &kept_out->as.bytes);
    case TEARS_KIND_VECTOR: {
        const size_t bytes = value->as.vector.len * sizeof(double);
        double *numbers = t3_arena_alloc(&session->arena, bytes);
        if (numbers == NULL)
            return TEARS_NO_MEMORY;
        if (bytes > 0)
            memcpy(numbers, value->as.vector.ptr, bytes);
        kept_out->as.vector.ptr = numbers;
        return TEARS_OK;
    }
    default:
        return TEARS_OK;
    }
}

static tears_status make_room(struct tears_entity *entity)
{
    if (entity->change_count < entity->change_capacity)
        return TEARS_OK;
    const uint32_t capacity = entity->change_capacity == 0 ? 8 : entity->change_capacity * 2;
    struct t3_cell *changes = t3_arena_alloc(&entity->session->arena, capacity * sizeof *changes);
    if (changes == NULL)
        return TEARS_NO_MEMORY;
    if (entity->change_count > 0)
        memcpy(changes, entity->changes, entity->change_count * sizeof *changes);
    entity->changes = changes;
    entity->change_capacity = capacity;
    return TEARS_OK;
}

static tears_status put_change(struct tears_entity *entity, const struct t3_cell *cell)
{
    uint32_t at = 0;
    while (at < entity->change_count && entity->changes[at].column < cell->column)
        at++;
    if (at == entity->change_count || entity->changes[at].column != cell->column) {
        T3_TRY(make_room(entity));
        memmove(&entity->changes[at + 1], &entity->changes[at],
                (entity->change_count - at) * sizeof *entity->changes);
        entity->change_count++;
    }
    entity->changes[at] = *cell;
    return TEARS_OK;
}

tears_status tears_entity_set(tears_entity *entity, struct tears_str column,
                              struct tears_value value)
{
    struct tears_session *session = entity->session;
    struct t3_cell cell;
    T3_TRY(t3_session_enter(session));
    T3_TRY(t3_cell_check(session, entity->collection->schema, column, &value,
                         entity->row == NULL ? T3_CELLS_INSERT : T3_CELLS_UPDATE, &cell));
    if (entity->collection->schema->columns[cell.column].version)
        return TEARS_OK; /* only a new entity gets here: the database issues its version */
    const struct tears_value checked = cell.value;
    if (keep_value(session, &checked, &cell.value) != TEARS_OK ||
        put_change(entity, &cell) != TEARS_OK)
        return t3_session_no_memory(session);
    return TEARS_OK;
}

/* ---- saving -------------------------------------------------------------------------------- */

static tears_status key_of_entity(const struct tears_entity *entity, struct t3_key *key_out)
{
    struct tears_session *session = entity->session;
    const struct tears_schema *schema = entity->collection->schema;
    struct tears_value *storage =
        t3_arena_alloc(&session->arena, schema->key_count * sizeof *storage);
    if (storage == NULL)
        return t3_session_no_memory(session);
    t3_key_of_row(schema, entity->row, storage, key_out);
    return TEARS_OK;
}

/* The entity becomes the row as stored. */
static void settle(struct tears_entity *entity, const struct tears_outcome *outcome)
{
    entity->row = outcome->entity->row;
    entity->revision = outcome->entity->revision;
    entity->confirmed_ms = outcome->entity->confirmed_ms;
    entity->pending_seq = outcome->entity->pending_seq;
    entity->tier = outcome->entity->tier;
    entity->change_count = 0;
}

tears_status tears_entity_save(tears_entity *entity)
{
    struct tears_session *session = entity->session;
    struct tears_collection *collection = entity->collection;
    const struct tears_schema *schema = collection->schema;
    T3_TRY(t3_session_enter(session));
    if (!tears_entity_is_dirty(entity))
        return TEARS_OK;
    struct t3_change change = {.cells = entity->changes, .cell_count = entity->change_count};
    const bool is_new = entity->row == NULL;
    if (is_new) {
        T3_TRY(t3_schema_check_insert(schema, change.cells, change.cell_count, &session->error));
        T3_TRY(t3_cells_key(session, schema, change.cells, change.cell_count, &change.key));
    } else {
        T3_TRY(key_of_entity(entity, &change.key));
        t3_change_base(&change, schema, entity->row, t3_entity_revision(entity));
        change.pending_seq = entity->pending_seq;
    }
    struct tears_outcome outcome = {0};
    T3_TRY(t3_write_rows(session, collection, is_new ? T3_WRITE_INSERT : T3_WRITE_UPDATE, &change,
                         1, &outcome));
    settle(entity, &outcome);
    return TEARS_OK;
}

/* What is pending is newer than what L3 has; else L3 is asked, and the caches learn what it says. */
static tears_status read_for_reload(struct tears_session *session,
                                    struct tears_collection *collection, const struct t3_key *key,
                                    struct t3_found *found_out)
{
    bool is_pending = false;
    if (t3_defer_is_to_look(session, collection))
        T3_TRY(t3_defer_look(session, collection, key, found_out, &is_pending));
    if (is_pending)
        return TEARS_OK;
    const uint64_t ticket = t3_collection_ticket(collection, key);
    T3_TRY(t3_read_l3(session, collection, key, 1, found_out));
    t3_write_refresh(session, collection, key, found_out, ticket);
    return TEARS_OK;
}

tears_status tears_entity_reload(tears_entity *entity)
{
    struct tears_session *session = entity->session;
    struct tears_collection *collection = entity->collection;
    T3_TRY(t3_session_enter(session));
    struct t3_key key;
    if (entity->row != NULL)
        T3_TRY(key_of_entity(entity, &key));
    else
        T3_TRY(
            t3_cells_key(session, collection->schema, entity->changes, entity->change_count, &key));
    if (key.count == 0)
        return t3_fail(&session->error, TEARS_INVALID, "core",
                       "a new entity without a key cannot be reloaded");
    struct t3_found found = {0};
    T3_TRY(read_for_reload(session, collection, &key, &found));
    if (!t3_is_visible(session, collection, found.row))
        return t3_fail(&session->error, TEARS_NOT_FOUND, "core",
                       "the row of table '" T3_STR_FMT "' does not exist any more",
                       T3_STR_ARG(collection->schema->name));
    entity->row = found.row;
    entity->revision = found.revision;
    entity->confirmed_ms = found.confirmed_ms;
    entity->pending_seq = found.pending_seq;
    entity->tier = found.tier;
    entity->change_count = 0;
    session->tier = found.tier;
    return TEARS_OK;
}

static tears_status copy_changes(const struct tears_entity *from, struct tears_entity *to)
{
    for (uint32_t i = 0; i < from->change_count; i++) {
        struct t3_cell cell = from->changes[i];
        if (keep_value(to->session, &from->changes[i].value, &cell.value) != TEARS_OK ||
            put_change(to, &cell) != TEARS_OK)
            return t3_session_no_memory(to->session);
    }
    return TEARS_OK;
}

tears_status tears_entity_copy(const tears_entity *entity, tears_session *session,
                               tears_entity **entity_out)
{
    T3_TRY(t3_session_enter(session));
    if (session->client != entity->session->client)
        return t3_fail(&session->error, TEARS_MISUSE, "core",
                       "an entity can be copied only into a session of its own client");
    struct t3_found found = {.revision = entity->revision,
                             .confirmed_ms = entity->confirmed_ms,
                             .pending_seq = entity->pending_seq,
                             .tier = entity->tier};
    if (entity->row != NULL) {
        found.row = t3_arena_alloc(&session->arena, entity->row->size);
        if (found.row == NULL)
            return t3_session_no_memory(session);
        memcpy(found.row, entity->row, entity->row->size);
    }
    struct tears_entity *copy;
    T3_TRY(t3_entity_of(session, entity->collection, &found, &copy));
    T3_TRY(copy_changes(entity, copy));
    *entity_out = copy;
    return TEARS_OK;
}
