/*
 * flush_verdict.c -- rows that L3 refuses for good.
 *
 * Owns:     the verdicts of a round.
 * Must not know: how it was found out which row it is.
 * Threads:  the pass.
 * Fails:    as t3_pending_end.
 * Begin at: t3_flush_execute().
 *
 * A verdict is carried out at the end of the round.  Until then the row waits like others: a program may mend it, and one that clashes with
 * another row may fit once that has changed in the same round.
 */
#include "deferred/flush_impl.h"

#include "base/fail.h"
#include "base/limits.h"

enum { SCAN_ROWS = 4096, JOURNAL_WAIT_MS = 10000 };

static tears_status describe(const struct t3_flush_entry *entry, const struct tears_error *cause,
                             struct t3_arena *arena, struct tears_str *message_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    T3_TRY(t3_buf_printf(&text, "table '" T3_STR_FMT "', row ",
                         T3_STR_ARG(entry->known->schema->name)));
    T3_TRY(t3_key_put_display(&entry->key, &text));
    T3_TRY(t3_buf_printf(&text, ": %s", cause->message));
    return t3_arena_str(arena, t3_buf_str(&text), message_out);
}

tears_status t3_flush_condemn(struct t3_flush_run *run, struct t3_flush_entry *entry,
                              const struct tears_error *cause, bool is_clash)
{
    struct t3_arena *arena = &run->flush->round;
    struct t3_flush_verdict *verdict = t3_arena_array(arena, 1, sizeof *verdict);
    if (verdict == NULL || describe(entry, cause, arena, &verdict->message) != TEARS_OK ||
        t3_arena_str(arena, tears_str_c(cause->sqlstate), &verdict->sqlstate) != TEARS_OK)
        return t3_fail_memory(run->error, T3_FLUSH_ORIGIN);
    verdict->known = entry->known;
    verdict->ref =
        (struct t3_journal_ref){.id = entry->item.record.id, .seq = entry->item.record.seq};
    verdict->is_clash = is_clash;
    verdict->next = run->verdicts;
    run->verdicts = verdict;
    run->verdict_count++;
    entry->fate = T3_FATE_BACK;
    entry->is_done = true;
    return TEARS_OK;
}

/* ---- dependants -------------------------------------------------------------------------------------- */

/* Rows about to die, by their keys. */
struct dying {
    struct t3_pending_item *items;
    struct t3_flush_known **known;
    struct t3_key *keys;
    struct t3_pending_end *ends;
    size_t count;
    struct t3_flush_map by_key;
};

static bool refers_to_dying(const struct t3_flush_known *known, const struct dying *dying)
{
    for (uint32_t i = 0; i < known->reference_count; i++)
        for (size_t j = 0; j < dying->count; j++)
            if (known->references[i].parent == dying->known[j])
                return true;
    return false;
}

static void count_parents(const struct t3_flush_known *known, const struct t3_pending_item *item,
                          const struct dying *dying)
{
    struct tears_value storage[T3_KEY_COLUMNS_MAX];
    struct t3_key key;
    for (uint32_t i = 0; i < known->reference_count; i++) {
        size_t at = 0;
        uint32_t place;
        if (!t3_flush_parent_key(&known->references[i], known->schema, item->record.row, storage,
                                 &key))
            continue;
        while ((place = t3_flush_map_next(&dying->by_key, key.hash, &at)) != T3_FLUSH_MAP_END)
            if (dying->known[place] == known->references[i].parent &&
                t3_key_equal(&dying->keys[place], &key) &&
                dying->items[place].record.id != item->record.id)
                dying->ends[place].dependants++;
    }
}

/* Goes through all that waits in a table. */
static tears_status count_in_table(struct t3_flush_run *run, const struct t3_flush_known *known,
                                   const struct dying *dying)
{
    uint64_t after_id = 0;
    for (;;) {
        struct t3_pending_item *items = NULL;
        size_t count = 0;
        t3_arena_reset(run->flush->batch);
        T3_TRY(t3_pending_survey(run->flush->options.pending, known->table.pending, after_id,
                                 SCAN_ROWS, run->flush->batch, &items, &count));
        if (count == 0)
            return TEARS_OK;
        for (size_t i = 0; i < count; i++)
            if (items[i].record.kind != T3_RECORD_DELETE)
                count_parents(known, &items[i], dying);
        after_id = items[count - 1].record.id;
    }
}

static tears_status count_dependants(struct t3_flush_run *run, struct dying *dying)
{
    for (const struct t3_flush_known *known = run->flush->known; known != NULL; known = known->next)
        if (refers_to_dying(known, dying))
            T3_TRY(count_in_table(run, known, dying));
    return TEARS_OK;
}

/* ---- carrying out ---------------------------------------------------------------------------------------- */

static tears_status copy_record(struct t3_flush_run *run, const struct tears_schema *schema,
                                const struct t3_record *record, struct t3_record *copy_out)
{
    const size_t words = t3_record_words(schema);
    struct t3_row *row = t3_arena_alloc(&run->flush->round, record->row->size);
    uint64_t *changed = t3_arena_alloc(&run->flush->round, words * sizeof *changed);
    if (row == NULL || changed == NULL)
        return TEARS_NO_MEMORY;
    memcpy(row, record->row, record->row->size);
    memcpy(changed, record->changed, words * sizeof *changed);
    *copy_out = *record;
    copy_out->row = row;
    copy_out->changed = changed;
    copy_out->before = NULL;
    return TEARS_OK;
}

/* A copy of a row that is still as it was when it was refused; false in *is_same_out: it is not. */
static tears_status take(struct t3_flush_run *run, const struct t3_flush_verdict *verdict,
                         struct dying *dying, bool *is_same_out)
{
    struct t3_pending_item *item = &dying->items[dying->count];
    const struct tears_schema *schema = verdict->known->schema;
    bool is_free = false;
    *is_same_out = t3_pending_item(run->flush->options.pending, verdict->ref.id, item, &is_free) &&
                   is_free && item->record.seq == verdict->ref.seq;
    if (!*is_same_out)
        return TEARS_OK;
    const struct t3_record found = item->record;
    struct tears_value *storage =
        t3_arena_alloc(&run->flush->round, schema->key_count * sizeof *storage);
    if (storage == NULL || copy_record(run, schema, &found, &item->record) != TEARS_OK)
        return TEARS_NO_MEMORY;
    t3_key_of_row(schema, item->record.row, storage, &dying->keys[dying->count]);
    dying->known[dying->count] = verdict->known;
    dying->ends[dying->count] = (struct t3_pending_end){.ref = verdict->ref,
                                                        .table = item->table,
                                                        .fate = T3_FATE_DEAD,
                                                        .sqlstate = verdict->sqlstate,
                                                        .message = verdict->message};
    t3_flush_map_put(&dying->by_key, dying->keys[dying->count].hash, (uint32_t)dying->count);
    dying->count++;
    return TEARS_OK;
}

static tears_status gather(struct t3_flush_run *run, bool all, struct dying *dying)
{
    struct t3_arena *arena = &run->flush->round;
    const size_t count = run->verdict_count;
    dying->items = t3_arena_array(arena, count, sizeof *dying->items);
    dying->known = t3_arena_array(arena, count, sizeof(*dying->known));
    dying->keys = t3_arena_array(arena, count, sizeof *dying->keys);
    dying->ends = t3_arena_array(arena, count, sizeof *dying->ends);
    if (dying->items == NULL || dying->known == NULL || dying->keys == NULL ||
        dying->ends == NULL || t3_flush_map_init(&dying->by_key, count, arena) != TEARS_OK)
        return TEARS_NO_MEMORY;
    for (const struct t3_flush_verdict *verdict = run->verdicts; verdict != NULL;
         verdict = verdict->next) {
        bool is_same = false;
        if (all || !verdict->is_clash)
            T3_TRY(take(run, verdict, dying, &is_same));
    }
    return TEARS_OK;
}

/* Counting has ended the claims: whoever saved meanwhile has made another write of it, which is not refused yet. */
static void claim_again(struct t3_flush_run *run, struct dying *dying)
{
    size_t left = 0;
    for (size_t i = 0; i < dying->count; i++) {
        struct t3_pending_item item;
        bool is_free = false;
        if (!t3_pending_item(run->flush->options.pending, dying->ends[i].ref.id, &item, &is_free) ||
            !is_free || item.record.seq != dying->ends[i].ref.seq)
            continue;
        dying->items[left] = dying->items[i];
        dying->known[left] = dying->known[i];
        dying->ends[left++] = dying->ends[i];
    }
    dying->count = left;
}

static void tell(struct t3_flush_run *run, const struct dying *dying)
{
    const struct t3_flush_options *options = &run->flush->options;
    for (size_t i = 0; i < dying->count; i++) {
        const struct t3_record *record = &dying->items[i].record;
        t3_log(options->log, TEARS_LOG_ERROR, T3_FLUSH_ORIGIN,
               "a pending write is refused for good and kept as dead letter %llu: " T3_STR_FMT,
               (unsigned long long)dying->ends[i].ref.id, T3_STR_ARG(dying->ends[i].message));
        options->hooks.refused(options->hooks.owner, &dying->known[i]->table, &record, 1);
    }
}

tears_status t3_flush_execute(struct t3_flush_run *run, bool all)
{
    struct dying dying = {0};
    if (run->verdict_count == 0)
        return TEARS_OK;
    if (gather(run, all, &dying) != TEARS_OK || count_dependants(run, &dying) != TEARS_OK)
        return t3_fail_memory(run->error, T3_FLUSH_ORIGIN);
    claim_again(run, &dying);
    if (dying.count == 0)
        return TEARS_OK;
    T3_TRY(t3_pending_end(run->flush->options.pending, 0, dying.ends, dying.count,
                          t3_deadline_in_ms(JOURNAL_WAIT_MS), run->error));
    run->dead += dying.count;
    tell(run, &dying);
    return TEARS_OK;
}
