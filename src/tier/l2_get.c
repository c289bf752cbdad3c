/*
 * l2_get.c -- reads rows from L2, and decides what counts as one.
 *
 * Owns:     nothing.
 * Must not know: what is done about a miss.
 * Threads:  any; the arena is the caller's.
 * Fails:    TEARS_UNAVAILABLE, TEARS_TIMEOUT; a value that makes no sense is an entry, not a
 * failure. Begin at: t3_l2_get().
 */
#include "tier/l2_impl.h"

#include "base/fail.h"
#include "schema/row_codec.h"

static const char origin[] = "l2";

tears_status t3_l2_put_keys(const struct tears_schema *schema, const struct t3_key *keys,
                            size_t count, struct t3_buf *out, size_t *starts)
{
    for (size_t i = 0; i < count; i++) {
        starts[i] = out->len;
        T3_TRY(t3_key_put_l2(schema, &keys[i], out));
        T3_TRY(t3_buf_put_char(out, '\0'));
    }
    return TEARS_OK;
}

/* A header belongs to its message: a peer that overwrites the value drops it.  So it is always
 * right when it is there. */
static int64_t version_of(const struct tears_schema *schema, const struct t3_kv_request *request,
                          const struct t3_row *row)
{
    if (request->found_has_version)
        return request->found_version;
    return row != NULL ? t3_schema_row_version(schema, row) : 0;
}

tears_status t3_l2_read_entry(struct t3_l2 *l2, const struct tears_schema *schema,
                              const struct t3_key *key, const struct t3_kv_request *request,
                              struct t3_arena *arena, struct t3_l2_entry *entry_out)
{
    struct t3_l2_entry entry = {.state = T3_L2_ABSENT};
    if (request->outcome == T3_KV_MARKER || request->outcome == T3_KV_VALUE) {
        entry.state = T3_L2_TOMBSTONE;
        entry.revision = request->revision;
        entry.version = version_of(schema, request, NULL);
    }
    if (request->outcome == T3_KV_VALUE) {
        struct t3_row *row = NULL;
        const tears_status status = t3_row_decode(schema, request->found, arena, &row, NULL);
        if (status == TEARS_NO_MEMORY)
            return status;
        if (status == TEARS_OK && t3_key_matches_row(schema, key, row)) {
            entry.state = T3_L2_ROW;
            entry.row = row;
            entry.version = version_of(schema, request, row);
        } else {
            entry.state = T3_L2_DAMAGED;
            entry.version = 0;
            t3_l2_count(&l2->damaged, 1);
        }
    }
    *entry_out = entry;
    return TEARS_OK;
}

/* A get under way. */
struct reading {
    struct t3_l2 *l2;
    const struct tears_schema *schema;
    const struct t3_key *keys;
    struct t3_kv_request *requests;
    struct t3_arena *arena;
    struct t3_l2_entry *entries;
    tears_status status;
};

static void read_answer(void *owner, struct t3_kv_request *request)
{
    struct reading *reading = owner;
    const size_t index = (size_t)(request - reading->requests);
    const tears_status status =
        t3_l2_read_entry(reading->l2, reading->schema, &reading->keys[index], request,
                         reading->arena, &reading->entries[index]);
    if (status != TEARS_OK)
        reading->status = status;
    t3_kv_release(request, 1); /* the row is in the arena now */
}

static tears_status run(struct reading *reading, size_t count, struct t3_deadline deadline,
                        struct tears_error *error_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    size_t few[16];
    size_t *starts = few;
    if (count > T3_COUNT(few))
        starts = t3_arena_alloc(reading->arena, count * sizeof *starts);
    if (starts == NULL)
        return t3_fail_memory(error_out, origin);
    const tears_status status =
        t3_l2_put_keys(reading->schema, reading->keys, count, &text, starts);
    if (status != TEARS_OK)
        return t3_fail(error_out, status, origin, "a key has no text: %s",
                       tears_status_text(status));
    for (size_t i = 0; i < count; i++)
        reading->requests[i].key = text.ptr + starts[i];
    const struct t3_kv_call call = {
        .requests = reading->requests,
        .count = count,
        .deadline = deadline,
        .answered = read_answer,
        .owner = reading,
    };
    return t3_kv_run(reading->l2->kv, &call, error_out);
}

tears_status t3_l2_get(struct t3_l2 *l2, const struct tears_schema *schema,
                       const struct t3_key *keys, size_t count, struct t3_arena *arena,
                       struct t3_deadline deadline, struct t3_l2_entry *entries_out,
                       struct tears_error *error_out)
{
    if (count == 0)
        return TEARS_OK;
    struct reading reading = {
        .l2 = l2,
        .schema = schema,
        .keys = keys,
        .requests = t3_arena_array(arena, count, sizeof(struct t3_kv_request)),
        .arena = arena,
        .entries = t3_arena_array(arena, count, sizeof(struct t3_l2_entry)), /* all absent */
    };
    if (reading.requests == NULL || reading.entries == NULL)
        return t3_fail_memory(error_out, origin);
    const tears_status status = run(&reading, count, deadline, error_out);
    t3_kv_release(reading.requests, count);
    T3_TRY(status);
    if (reading.status != TEARS_OK)
        return t3_fail_memory(error_out, origin);
    memcpy(entries_out, reading.entries, count * sizeof *entries_out);
    return TEARS_OK;
}
