/*
 * outbox_pass.c -- turns notes into corrections of L2 and notices.
 *
 * Owns:     nothing; memory is of the pass.
 * Knows:    what an entry of L2 says about whether a change has reached the caches.
 * Must not know: where notes come from, who else could work on them.
 * Threads:  the outbox's.
 * Fails:    by saying that the notes have to come again.  All of it may be done twice.
 * Begin at: judge(), then t3_outbox_pass().
 *
 * Most notes are of writes through this library, whose writers correct L2 themselves.  Their rows must stay in L2: so a
 * note is compared with what is there, and an entry that is at least as new is left alone.  A note may be read sooner than
 * its writer gets to L2; therefore what seems to need a correction is looked at again a moment later.
 *
 * What is there is not believed on its version alone when the key was deleted in between: versions of a row that is made
 * anew start again, and a row of the old one could pass for it.  Rows up to the deleted version (the floor) count as old then.
 *
 * A row that was inserted, and nothing else noted of its key, needs no marker where L2 has nothing: no reader
 * can have found an older row to put there.  So a million rows copied into a table are not a million markers.
 */
#include "core/outbox_impl.h"

#include "base/limits.h"
#include "base/str.h"
#include "codec/notice.h"

enum {
    GRACE_US = 100000, /* a writer is given this long, from when its note was read, to get to L2 */
    L2_MS_MAX = 5000   /* for each call: the server is known to be there */
};

#define NO_FLOOR INT64_MIN

/* What is noted of one row. */
struct change {
    struct t3_key key;
    int64_t version;
    bool has_version;
    bool is_deletion; /* there is no row now */
    bool is_new;      /* all that was noted is an insertion */
    int64_t floor;    /* the highest version of a row that was deleted */
    struct t3_l2_entry entry;
};

/* The notes of one table. */
struct group {
    struct t3_outbox *outbox;
    struct t3_outbox_notes *pass;
    struct tears_str table;
    const struct tears_schema *schema; /* as the database has it: what the trigger was made from */
    const struct tears_schema *l2_schema; /* a collection's that is open, which decodes L2 better */
    bool versions_count; /* the collection has the version column that the notes are about */
    struct change *changes;
    size_t count;
    bool needs_sweep;
    uint64_t taken_us;
};

enum verdict {
    FINE,   /* L2 has it, or a marker that is new enough */
    NOTICE, /* L2 needs no correction, but somebody may have found that the row does not exist */
    CORRECT
};

/* ---- judging -------------------------------------------------------------------------------- */

static enum verdict judge_marker(const struct change *change)
{
    const struct t3_l2_entry *entry = &change->entry;
    const bool is_comparable = change->has_version && change->floor != INT64_MAX;
    if (!is_comparable || entry->version == 0)
        return CORRECT; /* its revision must move on: a fill may be based on it */
    return entry->version >= change->version && entry->version >= change->floor ? FINE : CORRECT;
}

static enum verdict judge_row(const struct change *change)
{
    const int64_t version = change->entry.version;
    if (version <= change->floor)
        return CORRECT;
    if (change->is_deletion)
        return FINE; /* of a row that was made later */
    return change->has_version && version >= change->version ? FINE : CORRECT;
}

static enum verdict judge(const struct change *change)
{
    /* Under an announced write nobody keeps anything, and the announcer puts its row over exactly it. */
    if (change->entry.lease == T3_L2_WRITE_LEASE)
        return FINE;
    switch (change->entry.state) {
    case T3_L2_ABSENT:
        return change->is_new ? NOTICE : CORRECT;
    case T3_L2_TOMBSTONE:
        return judge_marker(change);
    case T3_L2_ROW:
        return judge_row(change);
    case T3_L2_DAMAGED:
        break;
    }
    return CORRECT;
}

/* ---- notes to changes ----------------------------------------------------------------------- */

static void set_floor(struct change *change, const struct change *deletion)
{
    const int64_t version = deletion->has_version ? deletion->version : INT64_MAX;
    if (version > change->floor)
        change->floor = version;
}

/* Notes of one row come in the order of its changes. */
static void merge(struct change *kept, const struct change *later)
{
    const struct change before = *kept;
    *kept = *later;
    kept->key = before.key;
    kept->is_new = before.is_new && later->is_new;
    if (before.floor > kept->floor)
        kept->floor = before.floor;
}

static tears_status key_of(const struct group *group, const struct t3_l3_note *note,
                           struct t3_key *key_out)
{
    const struct tears_schema *schema = group->schema;
    struct t3_arena *arena = group->pass->arena;
    struct tears_value *values = t3_arena_array(arena, schema->key_count, sizeof *values);
    if (values == NULL)
        return TEARS_NO_MEMORY;
    if (note->id_count != schema->key_count)
        return TEARS_INVALID;
    for (uint32_t i = 0; i < schema->key_count; i++)
        T3_TRY(t3_value_from_text(schema, schema->key[i], note->ids[i], arena, &values[i], NULL));
    return t3_key_init(schema, values, schema->key_count, values, arena, key_out, NULL);
}

/* A version that cannot be read is none: the row is corrected in any case. */
static void read_version(const struct group *group, const struct t3_l3_note *note,
                         struct change *change)
{
    struct tears_value value;
    const uint32_t column = group->schema->version_column;
    if (!group->versions_count || column == T3_NO_COLUMN || note->version.len == 0 ||
        t3_value_from_text(group->schema, column, note->version, group->pass->arena, &value,
                           NULL) != TEARS_OK)
        return;
    change->has_version = true;
    change->version = value.as.integer;
}

static tears_status read_change(const struct group *group, const struct t3_l3_note *note,
                                struct change *change_out)
{
    struct change change = {
        .is_deletion = note->is_deletion, .is_new = note->is_insertion, .floor = NO_FLOOR};
    T3_TRY(key_of(group, note, &change.key));
    read_version(group, note, &change);
    if (change.is_deletion)
        set_floor(&change, &change);
    *change_out = change;
    return TEARS_OK;
}

/* The place of a key in a table of `size` places (a power of two, never full). */
static struct change **place_of(struct change **places, size_t size, const struct t3_key *key)
{
    size_t at = (size_t)key->hash & (size - 1);
    while (places[at] != NULL && !t3_key_equal(&places[at]->key, key))
        at = (at + 1) & (size - 1);
    return &places[at];
}

static bool is_of(const struct group *group, const struct t3_l3_note *note)
{
    return t3_str_equal(note->table, group->table);
}

static size_t count_notes(const struct group *group)
{
    size_t count = 0;
    for (size_t i = 0; i < group->pass->count; i++)
        count += is_of(group, &group->pass->notes[i]) ? 1 : 0;
    return count;
}

/* TEARS_INVALID: the ids of some do not fit the table. */
static tears_status read_changes(struct group *group)
{
    size_t size = 16;
    const size_t count = count_notes(group);
    while (size < 2 * count)
        size *= 2;
    struct change **places = t3_arena_array(group->pass->arena, size, sizeof(void *));
    group->changes = t3_arena_array(group->pass->arena, count, sizeof(struct change));
    group->count = 0;
    bool all_fit = true;
    if (places == NULL || group->changes == NULL)
        return TEARS_NO_MEMORY;
    for (size_t i = 0; i < group->pass->count; i++) {
        const struct t3_l3_note *note = &group->pass->notes[i];
        struct change *change = &group->changes[group->count];
        if (!is_of(group, note) || note->id_count == 0)
            continue;
        const tears_status status = read_change(group, note, change);
        if (status == TEARS_NO_MEMORY)
            return status;
        all_fit = all_fit && status == TEARS_OK;
        if (status != TEARS_OK)
            continue;
        struct change **place = place_of(places, size, &change->key);
        if (*place != NULL) {
            merge(*place, change);
            continue;
        }
        *place = change;
        group->count++;
    }
    return all_fit ? TEARS_OK : TEARS_INVALID;
}

/* ---- looking and correcting ----------------------------------------------------------------- */

/* Asks L2 about some changes; those that are not fine move to the front, their number is given. */
static tears_status look(const struct group *group, struct change *changes, size_t count,
                         size_t *open_out)
{
    struct t3_arena *arena = group->pass->arena;
    struct t3_key *keys = t3_arena_array(arena, count, sizeof *keys);
    struct t3_l2_entry *entries = t3_arena_array(arena, count, sizeof *entries);
    if (keys == NULL || entries == NULL)
        return TEARS_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        keys[i] = changes[i].key;
    T3_TRY(t3_l2_get(group->outbox->client->l2, group->l2_schema, keys, count, arena,
                     t3_deadline_in_ms(L2_MS_MAX), entries, NULL));
    size_t open = 0;
    for (size_t i = 0; i < count; i++) {
        changes[i].entry = entries[i];
        if (judge(&changes[i]) != FINE)
            changes[open++] = changes[i];
    }
    *open_out = open;
    return TEARS_OK;
}

static int64_t greater(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* The marker's version is the highest known under the key, so that nothing late passes it. */
static struct t3_l2_put put_of(const struct change *change)
{
    struct t3_l2_put put = {.key = &change->key, .seen = change->entry.revision};
    put.versioned = change->has_version && change->floor != INT64_MAX;
    if (put.versioned) {
        put.version = greater(change->version, change->floor);
        if (change->entry.state == T3_L2_ROW || change->entry.state == T3_L2_TOMBSTONE)
            put.version = greater(put.version, change->entry.version);
    }
    return put;
}

static tears_status put_markers(const struct group *group, const struct change *changes,
                                size_t count)
{
    struct tears_client *client = group->outbox->client;
    struct t3_l2_put *puts = t3_arena_array(group->pass->arena, count, sizeof *puts);
    size_t n = 0;
    if (puts == NULL)
        return TEARS_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        if (judge(&changes[i]) == CORRECT)
            puts[n++] = put_of(&changes[i]);
    if (n == 0)
        return TEARS_OK;
    T3_TRY(t3_l2_put(client->l2, group->l2_schema, puts, n, group->pass->arena,
                     t3_deadline_in_ms(L2_MS_MAX), NULL));
    for (size_t i = 0; i < n; i++)
        t3_count(&client->counters.outbox_corrections, puts[i].status == TEARS_OK ? 1 : 0);
    return TEARS_OK;
}

/* L1 after L2: a fill that found the old entry meanwhile dies with its ticket. */
static void drop_own(const struct group *group, const struct change *changes, size_t count)
{
    struct tears_collection *collection = t3_collection_lookup(group->outbox->client, group->table);
    for (size_t i = 0; collection != NULL && i < count; i++)
        t3_collection_drop(collection, &changes[i].key);
}

static tears_status correct(const struct group *group, const struct change *changes, size_t count)
{
    struct tears_client *client = group->outbox->client;
    struct t3_key *keys = t3_arena_array(group->pass->arena, count, sizeof *keys);
    if (keys == NULL)
        return TEARS_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        keys[i] = changes[i].key;
    T3_TRY(put_markers(group, changes, count));
    drop_own(group, changes, count);
    T3_TRY(t3_l2_notify(client->l2, group->l2_schema, keys, count, NULL));
    t3_count(&client->counters.notices_sent, count);
    return TEARS_OK;
}

/* Lets writers of ours get to L2.  False: the thread is to end. */
static bool wait_for_writers(const struct group *group)
{
    const uint64_t now_us = t3_now_us();
    const uint64_t until_us = group->taken_us + GRACE_US;
    return now_us >= until_us || t3_outbox_pause(group->outbox, (until_us - now_us) / 1000 + 1);
}

static tears_status settle(const struct group *group)
{
    size_t open = 0;
    for (size_t at = 0; at < group->count; at += T3_KV_BATCH_MAX) {
        struct change *changes = group->changes + at;
        const size_t left = group->count - at;
        const size_t count = left < T3_KV_BATCH_MAX ? left : T3_KV_BATCH_MAX;
        T3_TRY(look(group, changes, count, &open));
        if (open == 0)
            continue;
        if (!wait_for_writers(group))
            return TEARS_UNAVAILABLE;
        T3_TRY(look(group, changes, open, &open));
        if (open > 0)
            T3_TRY(correct(group, changes, open));
    }
    return TEARS_OK;
}

/* ---- a table -------------------------------------------------------------------------------- */

static struct tears_str version_name(const struct tears_schema *schema)
{
    return schema->version_column != T3_NO_COLUMN ? schema->columns[schema->version_column].name
                                                  : TEARS_STR("");
}

/* A key that nobody can read is a dead letter, like a notice that nobody can read. */
static void report_misfit(const struct group *group)
{
    struct tears_client *client = group->outbox->client;
    T3_AUTO(t3_buf_done) struct t3_buf payload = {0};
    t3_log(&client->log, TEARS_LOG_ERROR, "outbox",
           "notes of table '" T3_STR_FMT "' name keys that do not fit it; all its cached rows are "
           "thrown away.  Has its key changed?  Then install its outbox again",
           T3_STR_ARG(group->table));
    if (t3_notice_encode(group->table, NULL, 0, tears_str_c(client->origin), &payload) == TEARS_OK)
        t3_l2_dead_letter(client->l2, t3_buf_str(&payload), "OutboxKeyMismatch",
                          "the noted keys do not fit the table");
}

static tears_status describe(struct group *group, bool anew)
{
    const struct tears_collection *collection =
        t3_collection_lookup(group->outbox->client, group->table);
    T3_TRY(t3_outbox_describe(group->outbox, group->table, anew, &group->schema));
    group->l2_schema = group->schema;
    group->versions_count = true;
    if (collection == NULL || collection->schema->key_count != group->schema->key_count)
        return TEARS_OK;
    group->l2_schema = collection->schema;
    group->versions_count =
        t3_str_equal(version_name(collection->schema), version_name(group->schema));
    return TEARS_OK;
}

static tears_status read_group(struct group *group)
{
    T3_TRY(describe(group, false));
    tears_status status = read_changes(group);
    if (status == TEARS_INVALID) { /* perhaps only what is known of the table is old */
        T3_TRY(describe(group, true));
        status = read_changes(group);
    }
    if (status != TEARS_INVALID)
        return status;
    report_misfit(group);
    group->needs_sweep = true;
    return TEARS_OK;
}

static tears_status handle_rows(struct group *group)
{
    const tears_status status = read_group(group);
    if (status == TEARS_NOT_FOUND) {
        t3_log(&group->outbox->client->log, TEARS_LOG_INFO, "outbox",
               "table '" T3_STR_FMT "' is gone; the notes of it are dropped",
               T3_STR_ARG(group->table));
        return TEARS_OK;
    }
    if (status == TEARS_INVALID) { /* without a key there is no telling which rows */
        group->needs_sweep = true;
        return TEARS_OK;
    }
    return status == TEARS_OK ? settle(group) : status;
}

static bool names_all_rows(const struct group *group)
{
    for (size_t i = 0; i < group->pass->count; i++)
        if (is_of(group, &group->pass->notes[i]) && group->pass->notes[i].id_count == 0)
            return true;
    return false;
}

static tears_status handle(struct group *group)
{
    group->needs_sweep = names_all_rows(group);
    if (group->table.len > 0)
        T3_TRY(handle_rows(group));
    if (!group->needs_sweep)
        return TEARS_OK;
    group->pass->swept = true;
    return t3_outbox_sweep(group->outbox, group->table);
}

/* ---- the pass ------------------------------------------------------------------------------- */

/* Whether this is the first note of its table. */
static bool is_first(const struct t3_outbox_notes *notes, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (t3_str_equal(notes->notes[i].table, notes->notes[index].table))
            return false;
    return true;
}

bool t3_outbox_pass(struct t3_outbox *outbox, struct t3_outbox_notes *notes)
{
    const uint64_t taken_us = t3_now_us();
    notes->swept = false;
    for (size_t i = 0; i < notes->count; i++) {
        if (!is_first(notes, i))
            continue;
        struct group group = {
            .outbox = outbox, .pass = notes, .table = notes->notes[i].table, .taken_us = taken_us};
        if (handle(&group) != TEARS_OK)
            return false;
    }
    t3_count(&outbox->client->counters.outbox_notes, notes->count);
    return true;
}
