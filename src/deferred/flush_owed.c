/*
 * flush_owed.c -- batches whose outcome is not known: of the last owner, and of a COMMIT whose answer was lost.
 *
 * Owns:     the list of them.
 * Must not know: how batches are sent.
 * Threads:  the pass.
 * Fails:    as t3_flush_pass; what could not be learned stays owed, and nothing is sent before it is.
 * Begin at: t3_flush_settle_owed().
 *
 * A batch that landed was written by a process that may not have heard how its rows came out.  They are read again.  When somebody has changed a
 * row since, what follows it is based on what was written, not on what is there: else it would overwrite that change unseen.
 */
#include "deferred/flush_impl.h"

#include "base/alloc.h"
#include "base/fail.h"

struct t3_flush_owed *t3_flush_owed_new(const struct t3_journal_ref *refs, size_t count)
{
    struct t3_flush_owed *owed = t3_alloc(sizeof *owed + count * sizeof owed->refs[0]);
    if (owed == NULL)
        return NULL;
    owed->next = NULL;
    owed->batch = 0;
    owed->outcome = T3_OUTCOME_UNKNOWN;
    owed->count = count;
    if (count > 0)
        memcpy(owed->refs, refs, count * sizeof refs[0]);
    return owed;
}

void t3_flush_owe(struct t3_flush *flush, struct t3_flush_owed *owed)
{
    struct t3_flush_owed **last = &flush->owed;
    while (*last != NULL) /* settled in the order of their numbers */
        last = &(*last)->next;
    *last = owed;
}

/* ---- rows of the batch ----------------------------------------------------------------------------- */

struct settling {
    struct t3_flush_run *run;
    struct t3_flush_owed *owed;
    struct t3_flush_entry *entries;
    struct t3_flush_entry **list;
    size_t count;
    bool is_partial; /* others are of tables that are not open */
};

static tears_status add(struct settling *settling, const struct t3_pending_item *item)
{
    struct t3_flush_run *run = settling->run;
    struct t3_flush_entry *entry = &settling->entries[settling->count];
    entry->item = *item;
    T3_TRY(t3_flush_table_of(run->flush, item->table, &entry->known, run->error));
    struct tears_value *storage =
        t3_arena_alloc(run->flush->batch, entry->known->schema->key_count * sizeof *storage);
    if (storage == NULL)
        return t3_fail_memory(run->error, T3_FLUSH_ORIGIN);
    t3_key_of_row(entry->known->schema, item->record.row, storage, &entry->key);
    const struct t3_flush_hooks *hooks = &run->flush->options.hooks;
    if (hooks->ticket != NULL)
        entry->ticket = hooks->ticket(hooks->owner, &entry->known->table, &entry->key);
    settling->list[settling->count++] = entry;
    return TEARS_OK;
}

/* Records of tables that nobody could open stay as they are; others that are missing are damaged, and dead letters. */
static tears_status gather(struct settling *settling)
{
    struct t3_flush *flush = settling->run->flush;
    const struct t3_flush_owed *owed = settling->owed;
    struct t3_pending_item *items = NULL;
    struct tears_str *unopened = NULL;
    size_t found = 0;
    size_t unopened_count = 0;
    settling->entries = t3_arena_array(flush->batch, owed->count + 1, sizeof *settling->entries);
    settling->list = t3_arena_array(flush->batch, owed->count + 1, sizeof(*settling->list));
    if (settling->entries == NULL || settling->list == NULL ||
        t3_pending_flown(flush->options.pending, owed->refs, owed->count, flush->batch, &items,
                         &found) != TEARS_OK ||
        t3_pending_unopened(flush->options.pending, flush->batch, &unopened, &unopened_count) !=
            TEARS_OK)
        return t3_fail_memory(settling->run->error, T3_FLUSH_ORIGIN);
    for (size_t i = 0; i < found; i++)
        T3_TRY(add(settling, &items[i]));
    settling->is_partial = found < owed->count && unopened_count > 0;
    return TEARS_OK;
}

/* ---- what became of it ------------------------------------------------------------------------------- */

/* What the row's version was when this write had made it; 0, which no row has: not known. */
static int64_t version_made(const struct t3_flush_entry *entry)
{
    const struct tears_schema *schema = entry->known->schema;
    const struct t3_record *record = &entry->item.record;
    const bool counts = schema->version_column != T3_NO_COLUMN &&
                        schema->columns[schema->version_column].kind == TEARS_KIND_INT;
    return counts && record->kind == T3_RECORD_UPDATE && record->has_base ? record->base + 1 : 0;
}

static void landed(struct t3_flush_entry *entry)
{
    const struct t3_record *record = &entry->item.record;
    struct t3_row *stored = entry->stored;
    const int64_t stored_version = entry->stored_version;
    t3_flush_landed_as(entry, stored, stored_version);
    if (t3_merge_is_landed(entry->known->schema, record, stored))
        return;
    entry->made = record->kind == T3_RECORD_DELETE ? NULL : record->row;
    entry->made_version = version_made(entry);
}

static bool is_there(const struct settling *settling, const struct t3_flush_entry *entry)
{
    if (entry->known->fence->has_sql)
        return settling->owed->outcome == T3_OUTCOME_LANDED;
    return t3_merge_is_landed(entry->known->schema, &entry->item.record, entry->stored);
}

/* That a table is gone by now changes nothing about what landed. */
static tears_status read_rows(struct settling *settling)
{
    struct t3_flush_run *run = settling->run;
    const tears_status status =
        t3_flush_fetch(run, settling->list, settling->count, run->flush->batch);
    const bool is_gone = status == TEARS_UNAVAILABLE &&
                         settling->owed->outcome == T3_OUTCOME_LANDED &&
                         t3_flush_classify(TEARS_OK, run->error->sqlstate, run->error->message) ==
                             T3_FLUSH_TABLE_MISSING;
    return is_gone ? TEARS_OK : status;
}

static tears_status judge(struct settling *settling)
{
    if (settling->owed->outcome != T3_OUTCOME_LOST)
        T3_TRY(read_rows(settling));
    for (size_t i = 0; i < settling->count; i++) {
        settling->list[i]->fate = T3_FATE_BACK;
        if (is_there(settling, settling->list[i]))
            landed(settling->list[i]);
    }
    return TEARS_OK;
}

/* The database that the batch went to; NULL: none of its tables is open, and there are several databases, or none. */
static struct t3_fence *fence_of(const struct settling *settling)
{
    const struct t3_flush *flush = settling->run->flush;
    if (settling->count > 0)
        return settling->list[0]->known->fence;
    return flush->fence_count == 1 ? flush->fences[0] : NULL;
}

/* Asked once, and before anything else is sent: later batches have larger numbers. */
static tears_status ask_fence(struct settling *settling)
{
    struct t3_flush_run *run = settling->run;
    struct t3_flush_owed *owed = settling->owed;
    struct t3_fence *fence = fence_of(settling);
    if (owed->outcome != T3_OUTCOME_UNKNOWN || (settling->count == 0 && !settling->is_partial))
        return TEARS_OK;
    if (fence == NULL) { /* as long as it is so, nothing may be sent */
        run->flush->is_undecided = true;
        return TEARS_OK;
    }
    T3_TRY(t3_fence_claim(
        fence, t3_deadline_at_most_ms(run->deadline, run->flush->options.l3_wait_ms), run->error));
    if (fence->has_sql)
        owed->outcome = fence->batch >= owed->batch ? T3_OUTCOME_LANDED : T3_OUTCOME_LOST;
    return TEARS_OK;
}

/*
 * A batch that landed, and has rows in tables that are not open, stays noted in the journal, as it must: when they are opened, in this process or the next, they have
 * landed, too.  Of one that was lost the journal hears at once, or the next owner would see later numbers and take it for landed.
 */
static tears_status settle(struct t3_flush_run *run, struct t3_flush_owed *owed, bool *is_over_out)
{
    struct settling settling = {.run = run, .owed = owed};
    t3_arena_reset(run->flush->batch);
    t3_arena_reset(run->flush->attempt);
    const uint64_t asked_ms = t3_now_coarse_ms();
    T3_TRY(gather(&settling));
    T3_TRY(ask_fence(&settling));
    T3_TRY(judge(&settling));
    *is_over_out = !settling.is_partial;
    if (settling.count == 0 && owed->outcome == T3_OUTCOME_UNKNOWN && settling.is_partial)
        return TEARS_OK;
    const bool is_told = *is_over_out || owed->outcome == T3_OUTCOME_LOST;
    T3_TRY(t3_flush_end(run, is_told ? owed->batch : 0, settling.list, settling.count, asked_ms));
    if (is_told)
        owed->batch = 0;
    return TEARS_OK;
}

tears_status t3_flush_settle_owed(struct t3_flush_run *run)
{
    run->flush->is_undecided = false;
    for (struct t3_flush_owed **at = &run->flush->owed; *at != NULL;) {
        struct t3_flush_owed *owed = *at;
        bool is_over = false;
        T3_TRY(settle(run, owed, &is_over));
        if (is_over) {
            *at = owed->next;
            t3_free(owed);
        } else {
            at = &owed->next;
        }
    }
    return TEARS_OK;
}
