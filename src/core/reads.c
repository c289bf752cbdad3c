/*
 * reads.c -- the public reads: arguments in, the read path, entities out.
 *
 * Owns: nothing.  Must not know: the tiers' order.  Threads: the session's.  Begin at: tears_get().
 */
#include "core/core.h"

#include "base/fail.h"
#include "core/defer.h"
#include "core/freshness.h"
#include "core/read.h"
#include "core/soft_delete.h"
#include "core/write.h"

tears_status t3_read_not_found(struct tears_session *session,
                               const struct tears_collection *collection, const struct t3_key *key)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    if (t3_key_put_display(key, &text) != TEARS_OK)
        t3_buf_clear(&text);
    return t3_fail(&session->error, TEARS_NOT_FOUND, "core",
                   "table '" T3_STR_FMT "' has no row with key (" T3_STR_FMT ")",
                   T3_STR_ARG(collection->schema->name), T3_STR_ARG(t3_buf_str(&text)));
}

static tears_status key_of(struct tears_session *session, struct tears_collection *collection,
                           const struct tears_value *values, size_t count,
                           struct tears_value *storage, struct t3_key *key_out)
{
    return t3_session_status(session, t3_key_init(collection->schema, values, count, storage,
                                                  &session->arena, key_out, &session->error));
}

tears_status tears_get(tears_session *session, tears_collection *collection,
                       const struct tears_value *key, size_t key_count, tears_entity **entity_out)
{
    struct tears_value storage[16];
    struct t3_key checked;
    struct t3_found found = {0};
    T3_TRY(t3_session_enter(session));
    T3_TRY(key_of(session, collection, key, key_count, storage, &checked));
    T3_TRY(t3_read_one(session, collection, &checked, &found));
    session->tier = found.tier;
    if (!t3_is_visible(session, collection, found.row))
        return t3_read_not_found(session, collection, &checked);
    return t3_entity_of(session, collection, &found, entity_out);
}

/* Checks a run of keys; the converted values stay in the session's memory. */
static tears_status keys_of(struct tears_session *session, struct tears_collection *collection,
                            const struct tears_value *values, size_t count,
                            struct t3_key **keys_out)
{
    const uint32_t parts = collection->schema->key_count;
    struct t3_key *keys = t3_arena_array(&session->arena, count, sizeof *keys);
    struct tears_value *storage = t3_arena_array(&session->arena, count, parts * sizeof *storage);
    if (keys == NULL || storage == NULL)
        return t3_session_no_memory(session);
    for (size_t i = 0; i < count; i++)
        T3_TRY(
            key_of(session, collection, values + i * parts, parts, storage + i * parts, &keys[i]));
    *keys_out = keys;
    return TEARS_OK;
}

static tears_status find_many(struct tears_session *session, struct tears_collection *collection,
                              const struct tears_value *values, size_t count,
                              struct t3_found **found_out)
{
    struct t3_key *keys = NULL;
    T3_TRY(t3_session_enter(session));
    T3_TRY(keys_of(session, collection, values, count, &keys));
    struct t3_found *found = t3_arena_array(&session->arena, count, sizeof *found);
    if (found == NULL)
        return t3_session_no_memory(session);
    T3_TRY(t3_read_many(session, collection, keys, count, found));
    *found_out = found;
    return TEARS_OK;
}

tears_status tears_get_many(tears_session *session, tears_collection *collection,
                            const struct tears_value *keys, size_t entity_count,
                            tears_entity **entities_out)
{
    struct t3_found *found = NULL;
    T3_TRY(find_many(session, collection, keys, entity_count, &found));
    tears_entity **entities = t3_arena_array(&session->arena, entity_count, sizeof *entities);
    if (entities == NULL)
        return t3_session_no_memory(session);
    for (size_t i = 0; i < entity_count; i++)
        if (t3_is_visible(session, collection, found[i].row))
            T3_TRY(t3_entity_of(session, collection, &found[i], &entities[i]));
    if (entity_count > 0)
        memcpy(entities_out, entities, entity_count * sizeof *entities);
    return TEARS_OK;
}

tears_status tears_ensure(tears_session *session, tears_collection *collection,
                          const struct tears_value *keys, size_t key_total, size_t *found_out)
{
    struct t3_found *found = NULL;
    T3_TRY(find_many(session, collection, keys, key_total, &found));
    size_t rows = 0;
    for (size_t i = 0; i < key_total; i++)
        rows += t3_is_visible(session, collection, found[i].row);
    if (found_out != NULL)
        *found_out = rows;
    return TEARS_OK;
}

/* The cell when L1 has the row; *answered_out false: it has to be read. */
static tears_status cell_in_l1(struct tears_session *session, struct tears_collection *collection,
                               const struct t3_key *key, uint32_t column,
                               struct tears_value *value_out, enum t3_l1_answer *answer_out)
{
    struct t3_l1 *l1 = collection->l1;
    *answer_out = T3_L1_MISS;
    if (l1 == NULL || session->tx != NULL || session->level >= TEARS_READ_SESSION ||
        t3_hides_deleted(session, collection) || t3_defer_is_to_look(session, collection))
        return TEARS_OK; /* what the level SESSION compares, and the mark, are the whole row's; so is what is pending */
    struct t3_l1_hit hit;
    struct tears_value value;
    if (l1->ops->get_cell(l1, collection->space, key, column, &session->arena, answer_out, &value,
                          &hit) != TEARS_OK)
        return t3_session_no_memory(session);
    if (*answer_out != T3_L1_HIT)
        return TEARS_OK;
    if (T3_UNLIKELY(!t3_is_fresh(collection, &hit, t3_bound_ms(session, collection)))) {
        *answer_out = T3_L1_MISS; /* the read that follows counts it */
        return TEARS_OK;
    }
    *value_out = value;
    t3_count_own(&session->counters.l1_hits);
    session->tier = TEARS_TIER_L1;
    if (T3_UNLIKELY(collection->options.early_refresh != 0))
        t3_read_look_ahead(collection, key, &hit);
    return TEARS_OK;
}

tears_status tears_get_field(tears_session *session, tears_collection *collection,
                             const struct tears_value *key, size_t key_count,
                             struct tears_str column, struct tears_value *value_out)
{
    struct tears_value storage[16];
    struct t3_key checked;
    const struct tears_schema *schema = collection->schema;
    T3_TRY(t3_session_enter(session));
    const uint32_t index = t3_schema_find(schema, column);
    if (index == T3_NO_COLUMN)
        return t3_fail(&session->error, TEARS_INVALID, "schema",
                       "table '" T3_STR_FMT "' has no column '" T3_STR_FMT "'",
                       T3_STR_ARG(schema->name), T3_STR_ARG(column));
    T3_TRY(key_of(session, collection, key, key_count, storage, &checked));
    enum t3_l1_answer answer;
    T3_TRY(cell_in_l1(session, collection, &checked, index, value_out, &answer));
    if (answer == T3_L1_HIT)
        return TEARS_OK;
    struct t3_found found = {0};
    T3_TRY(t3_read_one(session, collection, &checked, &found));
    session->tier = found.tier;
    if (!t3_is_visible(session, collection, found.row))
        return t3_read_not_found(session, collection, &checked);
    *value_out = t3_row_value(found.row, &schema->layout, index);
    return TEARS_OK;
}

bool tears_exists_in_l1(tears_session *session, tears_collection *collection,
                        const struct tears_value *key, size_t key_count)
{
    struct tears_value storage[16];
    struct t3_key checked;
    if (t3_session_enter(session) != TEARS_OK || collection->l1 == NULL ||
        key_of(session, collection, key, key_count, storage, &checked) != TEARS_OK)
        return false;
    return collection->l1->ops->contains(collection->l1, collection->space, &checked);
}

tears_status tears_evict(tears_session *session, tears_collection *collection,
                         const struct tears_value *key, size_t key_count)
{
    struct tears_value storage[16];
    struct t3_key checked;
    T3_TRY(t3_session_enter(session));
    T3_TRY(key_of(session, collection, key, key_count, storage, &checked));
    if (collection->l1 != NULL)
        collection->l1->ops->drop(collection->l1, collection->space, &checked);
    return TEARS_OK;
}

tears_status tears_invalidate(tears_session *session, tears_collection *collection,
                              const struct tears_value *key, size_t key_count)
{
    struct tears_value storage[16];
    struct t3_key checked;
    T3_TRY(t3_session_enter(session));
    T3_TRY(key_of(session, collection, key, key_count, storage, &checked));
    t3_write_invalidate(session, collection, &checked);
    return TEARS_OK;
}
