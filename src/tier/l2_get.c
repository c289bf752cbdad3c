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
#include "schema/key_text.h"
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

tears_status t3_l2_put_ids(const struct tears_schema *schema, const struct t3_key *key,
                           const char *text, struct t3_buf *out)
{
    enum { HASH_BYTES = 64 };
    if (strlen(text) != schema->name.len + 1 + HASH_BYTES) /* "table.hash" */
        return TEARS_OK;
    return t3_key_put_ids_of_hashed(schema, key, out);
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

/* What a delete marker announces, and for how much longer. */
static void read_announcement(struct t3_l2 *l2, const struct t3_kv_request *request,
                              struct t3_l2_entry *entry)
{
    const bool is_ours_to_read = request->found_is_fill || request->found_lease_ms > 0;
    entry->hides_nothing = is_ours_to_read && !request->found_has_version;
    if (request->found_lease_ms == 0 && !entry->hides_nothing)
        return;
    const struct l2_announcement announcement = {
        .key = tears_str_c(request->key),
        .revision = request->revision,
        .lease_ms = request->found_lease_ms,
        .is_write = !request->found_is_fill,
        .hides_nothing = entry->hides_nothing,
    };
    const uint64_t left_ms = t3_l2_observe(l2, &announcement);
    if (request->found_lease_ms == 0)
        return; /* a lease that was taken back: the next one over it hides nothing either */
    entry->lease_left_ms = left_ms;
    if (left_ms > 0)
        entry->lease = request->found_is_fill ? T3_L2_FILL_LEASE : T3_L2_WRITE_LEASE;
}

/* Decodes a value that is there.  TEARS_OK (a row, or damage), TEARS_NO_MEMORY. */
static tears_status read_value(struct t3_l2 *l2, const struct tears_schema *schema,
                               const struct t3_key *key, const struct t3_kv_request *request,
                               struct t3_arena *arena, struct t3_l2_entry *entry)
{
    struct t3_row *row = NULL;
    entry->state = T3_L2_DAMAGED;
    if (!t3_l2_is_of_this_bucket(l2, request->found_epoch)) {
        t3_l2_wake_feed(
            l2); /* either the entry is from elsewhere, or we do not know the bucket yet */
        return TEARS_OK;
    }
    const tears_status status = t3_row_decode(schema, request->found, arena, &row, NULL);
    if (status == TEARS_NO_MEMORY)
        return status;
    if (status == TEARS_OK && t3_key_matches_row(schema, key, row)) {
        entry->state = T3_L2_ROW;
        entry->row = row;
        entry->version = version_of(schema, request, row);
        entry->is_dirty = request->found_is_dirty;
        entry->is_own = request->found_is_own;
    }
    return TEARS_OK;
}

tears_status t3_l2_read_entry(struct t3_l2 *l2, const struct tears_schema *schema,
                              const struct t3_key *key, const struct t3_kv_request *request,
                              struct t3_arena *arena, struct t3_l2_entry *entry_out)
{
    struct t3_l2_entry entry = {.state = T3_L2_ABSENT, .origin = tears_str_n("", 0)};
    if (request->outcome == T3_KV_MARKER || request->outcome == T3_KV_VALUE) {
        entry.state = T3_L2_TOMBSTONE;
        entry.revision = request->revision;
        entry.version = version_of(schema, request, NULL);
    }
    if (request->outcome == T3_KV_MARKER)
        read_announcement(l2, request, &entry);
    else if (request->outcome == T3_KV_VALUE)
        T3_TRY(read_value(l2, schema, key, request, arena, &entry));
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
    bool is_inspection;
    tears_status status;
};

static void read_answer(void *owner, struct t3_kv_request *request)
{
    struct reading *reading = owner;
    const size_t index = (size_t)(request - reading->requests);
    struct t3_l2_entry *entry = &reading->entries[index];
    tears_status status = t3_l2_read_entry(reading->l2, reading->schema, &reading->keys[index],
                                           request, reading->arena, entry);
    if (status == TEARS_OK && reading->is_inspection)
        status = t3_arena_str(reading->arena, request->found_origin, &entry->origin);
    else if (status == TEARS_OK && entry->state == T3_L2_DAMAGED)
        t3_l2_count(&reading->l2->damaged, 1);
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

/* Reads `count` keys into entries_out; of the reading the rest is set. */
static tears_status read_keys(struct reading *reading, size_t count, struct t3_deadline deadline,
                              struct t3_l2_entry *entries_out, struct tears_error *error_out)
{
    reading->requests = t3_arena_array(reading->arena, count, sizeof(struct t3_kv_request));
    reading->entries =
        t3_arena_array(reading->arena, count, sizeof(struct t3_l2_entry)); /* all absent */
    if (reading->requests == NULL || reading->entries == NULL)
        return t3_fail_memory(error_out, origin);
    const tears_status status = run(reading, count, deadline, error_out);
    t3_kv_release(reading->requests, count);
    T3_TRY(status);
    if (reading->status != TEARS_OK)
        return t3_fail_memory(error_out, origin);
    memcpy(entries_out, reading->entries, count * sizeof *entries_out);
    return TEARS_OK;
}

tears_status t3_l2_get(struct t3_l2 *l2, const struct tears_schema *schema,
                       const struct t3_key *keys, size_t count, struct t3_arena *arena,
                       struct t3_deadline deadline, struct t3_l2_entry *entries_out,
                       struct tears_error *error_out)
{
    if (count == 0)
        return TEARS_OK;
    struct reading reading = {.l2 = l2, .schema = schema, .keys = keys, .arena = arena};
    return read_keys(&reading, count, deadline, entries_out, error_out);
}

tears_status t3_l2_inspect(struct t3_l2 *l2, const struct tears_schema *schema,
                           const struct t3_key *key, struct t3_arena *arena,
                           struct t3_deadline deadline, struct t3_l2_entry *entry_out,
                           struct tears_error *error_out)
{
    struct reading reading = {
        .l2 = l2, .schema = schema, .keys = key, .arena = arena, .is_inspection = true};
    return read_keys(&reading, 1, deadline, entry_out, error_out);
}
