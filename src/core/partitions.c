/*
 * partitions.c -- makes sets of partitions.
 *
 * Owns:     nothing; a set is the session's.
 * Must not know: SQL.
 * Threads:  the session's.
 * Fails:    TEARS_INVALID, TEARS_LIMIT, TEARS_NO_MEMORY.
 * Begin at: tears_partitions_new().
 *
 * A set is a type of its own, and there is none without a value: a list that came out empty, because somebody may see nothing,
 * must not become a read of everything.
 */
#include "core/partitions.h"

#include "base/fail.h"

enum { PARTITIONS_MAX = 1000 /* parameters of one statement */ };

static tears_status refuse(struct tears_session *session, const struct tears_collection *collection,
                           tears_status status, const char *reason)
{
    return t3_fail(&session->error, status, "core", "partitions of table '" T3_STR_FMT "': %s",
                   T3_STR_ARG(collection->schema->name), reason);
}

static bool is_among(const struct tears_partitions *set, const struct tears_value *value)
{
    for (uint32_t i = 0; i < set->count; i++)
        if (tears_value_equal(&set->values[i], value))
            return true;
    return false;
}

static tears_status fill(struct tears_session *session, const struct tears_collection *collection,
                         const struct tears_value *values, size_t count,
                         struct tears_partitions *set)
{
    const struct tears_schema *schema = collection->schema;
    for (size_t i = 0; i < count; i++) {
        struct tears_value *value = &set->values[set->count];
        T3_TRY(t3_session_status(session,
                                 t3_value_coerce(schema, schema->partition_column, &values[i],
                                                 false, &session->arena, value, &session->error)));
        if (!is_among(set, value))
            set->count++;
    }
    return TEARS_OK;
}

/* Texts outlive what the caller lent. */
static tears_status keep_bytes(struct tears_session *session, struct tears_partitions *set)
{
    for (uint32_t i = 0; i < set->count; i++) {
        struct tears_value *value = &set->values[i];
        if (value->kind != TEARS_KIND_TEXT && value->kind != TEARS_KIND_BYTES &&
            value->kind != TEARS_KIND_DECIMAL && value->kind != TEARS_KIND_JSON)
            continue;
        if (t3_arena_str(&session->arena, value->as.bytes, &value->as.bytes) != TEARS_OK)
            return t3_session_no_memory(session);
    }
    return TEARS_OK;
}

tears_status tears_partitions_new(tears_session *session, tears_collection *collection,
                                  const struct tears_value *values, size_t value_count,
                                  const tears_partitions **partitions_out)
{
    T3_TRY(t3_session_enter(session));
    if (collection->schema->partition_column == T3_NO_COLUMN)
        return refuse(session, collection, TEARS_INVALID, "it has no partition column");
    if (value_count == 0)
        return refuse(session, collection, TEARS_INVALID, "at least one is needed");
    if (value_count > PARTITIONS_MAX)
        return refuse(session, collection, TEARS_LIMIT, "1000 are the most in one read");
    struct tears_partitions *set = t3_arena_array(&session->arena, 1, sizeof *set);
    struct tears_value *room = t3_arena_array(&session->arena, value_count, sizeof *room);
    if (set == NULL || room == NULL)
        return t3_session_no_memory(session);
    set->collection = collection;
    set->values = room;
    T3_TRY(fill(session, collection, values, value_count, set));
    T3_TRY(keep_bytes(session, set));
    *partitions_out = set;
    return TEARS_OK;
}
