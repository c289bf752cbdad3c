/*
 * flush_settle.c -- what became of rows: told to the caches, the index and the journal, in this order.
 *
 * Owns:     nothing.
 * Must not know: transactions.
 * Threads:  the pass; hooks are called by it under no lock.
 * Fails:    as t3_pending_end.
 * Begin at: t3_flush_end().
 *
 * Readers find a row first among what is pending, then in the caches.  So the caches hold what landed before it stops being pending: at no moment can a
 * reader see an older row than the one it saw before.
 */
#include "deferred/flush_impl.h"

#include "base/fail.h"

enum {
    JOURNAL_WAIT_MS = 10000
}; /* what happened in L3 is to be noted even when the caller's time is over */

/* ---- ending a batch --------------------------------------------------------------------------------- */

static size_t count_landed(struct t3_flush_entry **entries, size_t count)
{
    size_t landed = 0;
    for (size_t i = 0; i < count; i++)
        landed += entries[i]->fate == T3_FATE_LANDED ? 1 : 0;
    return landed;
}

/* One call for neighbours of one table. */
static tears_status tell_caches(struct t3_flush_run *run, struct t3_flush_entry **entries,
                                size_t count, uint64_t asked_ms)
{
    struct t3_flush *flush = run->flush;
    const struct t3_flush_hooks *hooks = &flush->options.hooks;
    struct t3_flush_landed *landed = t3_arena_alloc(&flush->ending, count * sizeof *landed);
    if (landed == NULL)
        return t3_fail_memory(run->error, T3_FLUSH_ORIGIN);
    for (size_t i = 0; i < count;) {
        const struct t3_flush_known *known = entries[i]->known;
        size_t found = 0;
        for (; i < count && entries[i]->known == known; i++)
            if (entries[i]->fate == T3_FATE_LANDED)
                landed[found++] = (struct t3_flush_landed){.record = &entries[i]->item.record,
                                                           .row = entries[i]->stored,
                                                           .version = entries[i]->stored_version,
                                                           .ticket = entries[i]->ticket};
        if (found > 0)
            hooks->landed(hooks->owner, &known->table, landed, found, asked_ms);
    }
    return TEARS_OK;
}

static tears_status end_pending(struct t3_flush_run *run, uint64_t batch,
                                struct t3_flush_entry **entries, size_t count)
{
    struct t3_flush *flush = run->flush;
    struct t3_pending_end *ends = t3_arena_array(&flush->ending, count, sizeof *ends);
    if (ends == NULL && count > 0)
        return t3_fail_memory(run->error, T3_FLUSH_ORIGIN);
    for (size_t i = 0; i < count; i++) {
        const struct t3_flush_entry *entry = entries[i];
        const bool landed = entry->fate == T3_FATE_LANDED;
        ends[i] = (struct t3_pending_end){
            .ref = {.id = entry->item.record.id, .seq = entry->item.record.seq},
            .table = entry->item.table,
            .fate = entry->fate,
            .row = landed ? entry->made : NULL,
            .version = landed ? entry->made_version : 0,
            .record = entry->fate == T3_FATE_REPLACED ? &entry->replacement : NULL,
            .message = entry->message};
    }
    return t3_pending_end(flush->options.pending, batch, ends, count,
                          t3_deadline_in_ms(JOURNAL_WAIT_MS), run->error);
}

/* Rows that waited for one of these may go now. */
static void unpark(struct t3_flush_run *run, struct t3_flush_entry **entries, size_t count)
{
    const struct t3_flush_known *told = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct t3_flush_entry *entry = entries[i];
        if (entry->fate != T3_FATE_LANDED || entry->known == told ||
            entry->item.record.kind == T3_RECORD_DELETE)
            continue;
        told = entry->known;
        t3_pending_unpark(run->flush->options.pending, told->table.pending);
    }
}

static void count_ended(struct t3_flush_run *run, struct t3_flush_entry **entries, size_t count,
                        size_t landed)
{
    for (size_t i = 0; i < count; i++)
        run->moved += entries[i]->fate == T3_FATE_REPLACED ? 1 : 0;
    run->landed += landed;
    t3_flush_count(&run->flush->counters.rows, landed);
}

tears_status t3_flush_end(struct t3_flush_run *run, uint64_t batch, struct t3_flush_entry **entries,
                          size_t count, uint64_t asked_ms)
{
    const size_t landed = count_landed(entries, count);
    t3_arena_reset(&run->flush->ending);
    if (landed > 0)
        T3_TRY(tell_caches(run, entries, count, asked_ms));
    T3_TRY(end_pending(run, batch, entries, count));
    count_ended(run, entries, count, landed);
    if (landed > 0)
        unpark(run, entries, count);
    return TEARS_OK;
}

void t3_flush_landed_as(struct t3_flush_entry *entry, struct t3_row *row, int64_t version)
{
    entry->is_done = true;
    entry->fate = T3_FATE_LANDED;
    entry->stored = row;
    entry->stored_version = version;
    entry->made = row;
    entry->made_version = version;
}

/* ---- conflicts --------------------------------------------------------------------------------------------- */

/* L3 wrote nothing, and not because the row is another than it was: a unique constraint, or a trigger. */
static bool is_clash(const struct t3_flush_entry *entry, const struct t3_row *theirs,
                     int64_t version)
{
    const struct t3_record *record = &entry->item.record;
    switch (record->kind) {
    case T3_RECORD_INSERT:
        return theirs == NULL;
    case T3_RECORD_UPDATE:
        return theirs != NULL && (!record->has_base || version == record->base);
    case T3_RECORD_UPSERT:
        return true;
    default:
        return false;
    }
}

static tears_status refuse_clash(struct t3_flush_run *run, struct t3_flush_entry *entry)
{
    struct tears_error cause;
    (void)t3_fail_detail(
        &cause, TEARS_CONFLICT, T3_FLUSH_ORIGIN, 0, "23505",
        "the row clashes with another one (a unique constraint), or a trigger suppresses it");
    return t3_flush_condemn(run, entry, &cause, true);
}

static tears_status refuse_stale(struct t3_flush_run *run, struct t3_flush_entry *entry,
                                 const struct t3_row *theirs, int64_t version)
{
    const struct t3_record *record = &entry->item.record;
    struct tears_error cause;
    if (theirs == NULL)
        (void)t3_fail(&cause, TEARS_CONFLICT, T3_FLUSH_ORIGIN,
                      "somebody has deleted the row since it was read");
    else if (record->kind == T3_RECORD_INSERT)
        (void)t3_fail(&cause, TEARS_CONFLICT, T3_FLUSH_ORIGIN,
                      "a row with this key exists already (version %lld)", (long long)version);
    else
        (void)t3_fail(&cause, TEARS_CONFLICT, T3_FLUSH_ORIGIN,
                      "somebody has changed the row since it was read: it has version %lld, this "
                      "write is based on %lld",
                      (long long)version, (long long)record->base);
    return t3_flush_condemn(run, entry, &cause, false);
}

static tears_status merge(struct t3_flush_run *run, struct t3_flush_entry *entry,
                          struct t3_row *theirs, int64_t version)
{
    struct t3_flush *flush = run->flush;
    struct tears_error cause;
    bool is_over = false;
    t3_error_clear(&cause);
    const tears_status status =
        t3_merge(entry->known->schema, &entry->known->table.merger, &entry->item.record, theirs,
                 flush->attempt, &entry->replacement, &is_over, &cause);
    if (status == TEARS_CONFLICT)
        return t3_flush_condemn(run, entry, &cause, false);
    if (status != TEARS_OK)
        return t3_fail(run->error, status, T3_FLUSH_ORIGIN, "%s", cause.message);
    if (is_over) {
        t3_flush_landed_as(entry, theirs, version);
        return TEARS_OK;
    }
    t3_flush_count(&flush->counters.merged, 1);
    entry->fate = T3_FATE_REPLACED;
    entry->is_done = true;
    return TEARS_OK;
}

tears_status t3_flush_conflict(struct t3_flush_run *run, struct t3_flush_entry *entry,
                               struct t3_row *theirs, int64_t version)
{
    const struct t3_record *record = &entry->item.record;
    t3_flush_count(&run->flush->counters.conflicts, 1);
    if (record->kind == T3_RECORD_DELETE && theirs == NULL) { /* as was wished */
        t3_flush_landed_as(entry, NULL, record->base);
        return TEARS_OK;
    }
    if (is_clash(entry, theirs, version))
        return refuse_clash(run, entry);
    if (entry->known->table.merger.policy != TEARS_ON_STALE_REJECT)
        return merge(run, entry, theirs, version);
    if (record->kind == T3_RECORD_UPDATE &&
        t3_merge_is_landed(entry->known->schema, record, theirs)) {
        t3_flush_landed_as(entry, theirs, version);
        return TEARS_OK;
    }
    return refuse_stale(run, entry, theirs, version);
}
