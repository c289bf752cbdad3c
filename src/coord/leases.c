/*
 * leases.c -- lists the leases of the bucket, and breaks one, for people.
 *
 * Owns:     a list's memory.
 * Must not know: who in this process holds what.
 * Threads:  any.
 * Fails:    see include/tears/lease.h.
 * Begin at: tears_lease_list_open().
 */
#include "base/alloc.h"
#include "base/arena.h"
#include "base/fail.h"
#include "base/str.h"
#include "coord/coord.h"
#include "coord/line.h"
#include "coord/marker.h"

#include <inttypes.h>
#include <stdlib.h>

static const char origin[] = "lease";

enum { ENTRIES_FIRST = 16, ENTRIES_MAX = 1000000, LIST_MS_MAX = 60000 };

struct tears_lease_list {
    struct t3_arena arena;
    struct tears_lease_entry *entries;
    size_t count;
    size_t capacity;
};

/* ---- one entry ----------------------------------------------------------------------------- */

static tears_status grow(struct tears_lease_list *list)
{
    if (list->count < list->capacity)
        return TEARS_OK;
    const size_t capacity = list->capacity > 0 ? 2 * list->capacity : ENTRIES_FIRST;
    if (capacity > ENTRIES_MAX)
        return TEARS_LIMIT;
    void *entries = t3_resize(list->entries, capacity * sizeof list->entries[0]);
    if (entries == NULL)
        return TEARS_NO_MEMORY;
    list->entries = entries;
    list->capacity = capacity;
    return TEARS_OK;
}

static bool is_ours(struct tears_str key)
{
    return t3_str_is(key, T3_COORD_BASE_KEY) || t3_str_is(key, T3_COORD_CLOCK_KEY);
}

/* Adds a name; what is under it is asked for later. */
static tears_status add_name(void *owner, struct tears_str key)
{
    struct tears_lease_list *list = owner;
    if (is_ours(key))
        return TEARS_OK;
    struct tears_lease_entry entry = {.revision = 0};
    T3_TRY(grow(list));
    T3_TRY(t3_arena_str(&list->arena, key, &entry.name));
    list->entries[list->count++] = entry;
    return TEARS_OK;
}

/* Fills in what is under the name; its revision stays 0 when that is nothing. */
static tears_status read_entry(struct tears_coord *coord, struct tears_lease_list *list,
                               struct tears_lease_entry *entry, uint64_t base,
                               struct tears_error *error_out)
{
    T3_AUTO(t3_solo_entry_done) struct t3_solo_entry found = {.is_there = false};
    struct t3_envelope envelope = {.expires_us = 0};
    T3_TRY(
        t3_solo_get(coord->leases, entry->name.ptr, t3_coord_patience(coord), &found, error_out));
    if (!found.is_there || found.is_marker)
        return TEARS_OK;
    entry->revision = found.revision;
    entry->token = base + found.revision;
    const tears_status status = t3_envelope_read(t3_buf_str(&found.value), &list->arena, &envelope);
    if (status == TEARS_NO_MEMORY)
        return t3_fail_memory(error_out, origin);
    entry->is_corrupt = status != TEARS_OK;
    if (status != TEARS_OK)
        return TEARS_OK;
    entry->holder = envelope.holder;
    entry->acquired_us = envelope.acquired_us;
    entry->expires_us = envelope.expires_us;
    entry->ttl_ms = t3_envelope_ttl_ms(&envelope, found.ttl_ms);
    return TEARS_OK;
}

/* ---- the list ------------------------------------------------------------------------------ */

static int by_name(const void *a, const void *b)
{
    const struct tears_lease_entry *left = a;
    const struct tears_lease_entry *right = b;
    return t3_str_compare(left->name, right->name);
}

static tears_status fill(struct tears_coord *coord, struct tears_str name,
                         struct tears_lease_list *list, struct tears_error *error_out)
{
    struct t3_coord_epoch epoch;
    tears_status status;
    if (name.len > 0)
        T3_TRY(t3_coord_check_name(name, error_out));
    T3_TRY(t3_coord_epoch(coord, t3_coord_patience(coord), &epoch, error_out));
    if (name.len > 0)
        status = add_name(list, name);
    else
        status =
            t3_solo_keys(coord->leases, t3_deadline_in_ms(LIST_MS_MAX), add_name, list, error_out);
    if (status == TEARS_NO_MEMORY)
        return t3_fail_memory(error_out, origin);
    T3_TRY(status);
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        T3_TRY(read_entry(coord, list, &list->entries[i], epoch.base, error_out));
        if (list->entries[i].revision > 0)
            list->entries[kept++] = list->entries[i];
    }
    list->count = kept;
    if (kept > 1)
        qsort(list->entries, kept, sizeof list->entries[0], by_name);
    return TEARS_OK;
}

tears_status tears_lease_list_open(tears_coord *coord, struct tears_str name,
                                   tears_lease_list **list_out, struct tears_error *error_out)
{
    t3_error_clear(error_out);
    struct tears_lease_list *list = t3_alloc_zero(1, sizeof *list);
    if (list == NULL)
        return t3_fail_memory(error_out, origin);
    const tears_status status = fill(coord, name, list, error_out);
    if (status != TEARS_OK) {
        tears_lease_list_free(list);
        return status == TEARS_NOT_FOUND ? TEARS_UNAVAILABLE : status;
    }
    *list_out = list;
    return TEARS_OK;
}

size_t tears_lease_list_count(const tears_lease_list *list)
{
    return list->count;
}

struct tears_lease_entry tears_lease_list_at(const tears_lease_list *list, size_t index)
{
    T3_ASSERT(index < list->count);
    return list->entries[index];
}

void tears_lease_list_free(tears_lease_list *list)
{
    if (list == NULL)
        return;
    t3_free(list->entries);
    t3_arena_done(&list->arena);
    t3_free(list);
}

/* ---- breaking ------------------------------------------------------------------------------ */

tears_status tears_lease_break(tears_coord *coord, struct tears_str name, uint64_t revision,
                               struct tears_error *error_out)
{
    char key[TEARS_LEASE_NAME_BYTES_MAX + 1] = "";
    T3_AUTO(t3_solo_entry_done) struct t3_solo_entry found = {.is_there = false};
    struct t3_coord_epoch epoch;
    uint64_t marker = 0;
    const struct t3_deadline deadline = t3_coord_patience(coord);
    t3_error_clear(error_out);
    T3_TRY(t3_coord_check_name(name, error_out));
    memcpy(key, name.ptr, name.len);
    T3_TRY(t3_coord_epoch(coord, deadline, &epoch, error_out));
    T3_TRY(t3_solo_get(coord->leases, key, deadline, &found, error_out));
    if (!found.is_there)
        return t3_fail(error_out, TEARS_NOT_FOUND, origin, "nobody holds '%s'", key);
    if (revision != 0 && found.revision != revision)
        return t3_fail(error_out, TEARS_CONFLICT, origin,
                       "'%s' has revision %" PRIu64 " now, not %" PRIu64, key, found.revision,
                       revision);
    if (found.is_marker)
        return t3_fail(error_out, TEARS_NOT_FOUND, origin, "nobody holds '%s'", key);
    const struct t3_solo_put put = {.key = key, .expected = found.revision, .is_marker = true};
    T3_TRY(t3_solo_put(coord->leases, &put, deadline, &marker, error_out));
    t3_marker_left(coord, key, marker, &epoch);
    t3_line_ended(coord, name, false);
    return TEARS_OK;
}
