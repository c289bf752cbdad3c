/*
 * flush_send.c -- one transaction: noted in the journal, fenced, written, committed, and what became of it learned.
 *
 * Owns:     nothing; memory is flush->attempt.
 * Must not know: what is done about failures (flush_split.c).
 * Threads:  the pass.
 * Fails:    as flush_impl.h says.
 * Begin at: t3_flush_send().
 *
 *      journal: these rows fly as batch N
 *      L3:      BEGIN; the journal is mine, N is the last batch; rows; COMMIT
 *      journal: batch N landed          (or: its rows wait again)
 *
 * A crash between any two lines leaves either no N in L3 (the rows wait again) or N (they landed): never a doubt.  A lost COMMIT is the same question, asked
 * at once.  While L3 works on N, the journal is told what became of N - 1: a larger number in L3 says that N - 1 landed, too.  A store of rows has no N: there each row is compared with what was to become of it.
 */
#include "base/alloc.h"
#include "base/fail.h"
#include "base/thread.h"
#include "deferred/flush_steps.h"

enum {
    UNKNOWN_PAUSE_MS = 100,
    LATER_ROWS_MIN = 256,
    BRIEF_ROWS_MIN =
        1000 /* so many rows are not worth a place in the caches each: only their versions are asked for */
};

struct sending {
    struct t3_flush_run *run;
    struct t3_flush_failure *failure;
    struct t3_flush_entry **entries;
    size_t count;
    struct t3_fence *fence;
    struct t3_flush_steps steps;
    struct t3_flush_owed *owed; /* should its outcome stay unknown */
    uint64_t batch;
    uint64_t asked_ms;
    bool outcome_unknown;
    bool wrote_apart; /* without a transaction: some rows may be there, others not */
};

/* ---- in L3 ---------------------------------------------------------------------------------------- */

static tears_status call_write(struct sending *sending, struct t3_l3_call *call,
                               const struct t3_flush_step *step, enum t3_write_kind kind,
                               struct t3_write *writes, size_t count)
{
    struct t3_l3 *l3 = sending->fence->l3;
    sending->failure->known = step->known;
    sending->failure->is_write = true;
    sending->failure->is_removal = kind == T3_WRITE_DELETE;
    return l3->ops->write(l3, call, step->known->schema, kind, writes, count);
}

/* Whether the row that was to be replaced is out of the way: a row that was gone already is, too. */
static bool is_removed(const struct t3_write *removal)
{
    return removal->status == TEARS_OK || removal->row == NULL;
}

/* A row whose deletion went through must not be lost because its insert clashed. */
static tears_status check_replacements(const struct sending *sending, struct t3_l3_call *call,
                                       const struct t3_write *inserts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (inserts[i].status != TEARS_OK)
            return t3_fail_detail(call->error, TEARS_CONFLICT, T3_FLUSH_ORIGIN, 0, "23505",
                                  "a row of table '" T3_STR_FMT
                                  "' was to be replaced, and its insert clashes with another row",
                                  T3_STR_ARG(sending->failure->known->schema->name));
    return TEARS_OK;
}

static tears_status replace(struct sending *sending, struct t3_l3_call *call,
                            const struct t3_flush_step *step)
{
    T3_TRY(call_write(sending, call, step, T3_WRITE_DELETE, step->removals, step->count));
    struct t3_write *inserts = t3_arena_alloc(call->arena, step->count * sizeof *inserts);
    size_t count = 0;
    if (inserts == NULL)
        return t3_fail_memory(call->error, T3_FLUSH_ORIGIN);
    for (size_t i = 0; i < step->count; i++)
        if (is_removed(&step->removals[i]))
            inserts[count++] = step->writes[i];
    if (count == 0)
        return TEARS_OK;
    T3_TRY(call_write(sending, call, step, T3_WRITE_INSERT, inserts, count));
    T3_TRY(check_replacements(sending, call, inserts, count));
    for (size_t i = 0, at = 0; i < step->count; i++)
        if (is_removed(&step->removals[i]))
            step->writes[i] = inserts[at++];
    return TEARS_OK;
}

static tears_status run_step(struct sending *sending, struct t3_l3_call *call,
                             const struct t3_flush_step *step)
{
    switch (step->kind) {
    case T3_RECORD_REPLACE:
        return replace(sending, call, step);
    case T3_RECORD_INSERT:
        return call_write(sending, call, step, T3_WRITE_INSERT, step->writes, step->count);
    case T3_RECORD_UPSERT:
        return call_write(sending, call, step, T3_WRITE_UPSERT, step->writes, step->count);
    case T3_RECORD_UPDATE:
        return call_write(sending, call, step, T3_WRITE_UPDATE, step->writes, step->count);
    default:
        return call_write(sending, call, step, T3_WRITE_DELETE, step->writes, step->count);
    }
}

static tears_status run_steps(struct sending *sending, struct t3_l3_call *call)
{
    for (size_t i = 0; i < sending->steps.count; i++) {
        const tears_status status = run_step(sending, call, &sending->steps.steps[i]);
        if (status != TEARS_OK) {
            sending->wrote_apart = call->tx == NULL;
            return status;
        }
    }
    sending->failure->known = NULL; /* what fails at commit is nobody's in particular */
    sending->failure->is_removal = false;
    return TEARS_OK;
}

static tears_status run_fenced(struct sending *sending, struct t3_l3_call *call)
{
    if (sending->fence->has_sql)
        T3_TRY(t3_fence_pass(sending->fence, call, sending->batch));
    return run_steps(sending, call);
}

static tears_status transact(struct sending *sending, struct t3_l3_call *call)
{
    struct t3_l3 *l3 = sending->fence->l3;
    struct t3_l3_tx *tx = NULL;
    tears_status status = l3->ops->begin(l3, call, &tx);
    if (status == TEARS_UNSUPPORTED && !sending->fence->has_sql)
        return run_steps(sending, call);
    if (status != TEARS_OK)
        return status;
    call->tx = tx;
    status = run_fenced(sending, call);
    call->tx = NULL;
    if (status != TEARS_OK) {
        l3->ops->rollback(l3, tx);
        return status;
    }
    call->outcome_unknown = false;
    status = l3->ops->commit(l3, call, tx);
    sending->outcome_unknown = status != TEARS_OK && call->outcome_unknown;
    return status;
}

/* ---- what became of it ------------------------------------------------------------------------------- */

/* The landed: by what the database said of each row. */
static tears_status judge(struct sending *sending)
{
    for (size_t i = 0; i < sending->count; i++) {
        struct t3_flush_entry *entry = sending->steps.placed[i];
        const bool kept = entry->remove != NULL && !is_removed(entry->remove);
        const struct t3_write *write = kept ? entry->remove : entry->write;
        if (write->status == TEARS_OK) {
            const bool is_deletion = entry->item.record.kind == T3_RECORD_DELETE;
            t3_flush_landed_as(entry, is_deletion ? NULL : write->row, write->version);
            if (!is_deletion && write->row == NULL) /* the rows were not asked for */
                entry->made = entry->item.record.row;
        } else {
            T3_TRY(t3_flush_conflict(sending->run, entry, write->row, write->version));
        }
    }
    return TEARS_OK;
}

/* The same without the database's word: rows are compared. */
static tears_status judge_by_rows(struct sending *sending)
{
    struct t3_flush_run *run = sending->run;
    T3_TRY(t3_flush_fetch(run, sending->entries, sending->count, run->flush->attempt));
    for (size_t i = 0; i < sending->count; i++) {
        struct t3_flush_entry *entry = sending->entries[i];
        entry->fate = T3_FATE_BACK;
        if (t3_merge_is_landed(entry->known->schema, &entry->item.record, entry->stored))
            t3_flush_landed_as(entry, entry->stored, entry->stored_version);
    }
    return TEARS_OK;
}

static void all_back(struct sending *sending)
{
    for (size_t i = 0; i < sending->count; i++)
        sending->entries[i]->fate = T3_FATE_BACK;
}

static tears_status owe(struct sending *sending, tears_status why)
{
    sending->owed->batch = sending->batch;
    t3_flush_owe(sending->run->flush, T3_TAKE(sending->owed));
    return why == TEARS_TIMEOUT ? TEARS_UNAVAILABLE : why;
}

/* Another transaction may be written meanwhile. */
static bool may_end_later(const struct sending *sending)
{
    return sending->count >= LATER_ROWS_MIN && !sending->run->flush->later.is_set;
}

static void leave_for_later(struct sending *sending)
{
    struct t3_flush *flush = sending->run->flush;
    struct t3_flush_owed *owed = T3_TAKE(sending->owed);
    owed->batch = sending->batch;
    flush->later = (struct t3_flush_later){.is_set = true,
                                           .batch = sending->batch,
                                           .entries = sending->steps.placed,
                                           .count = sending->count,
                                           .asked_ms = sending->asked_ms,
                                           .owed = owed};
    flush->attempt = &flush->attempts[flush->attempt == &flush->attempts[0] ? 1 : 0];
}

static tears_status end(struct sending *sending, struct t3_flush_entry **entries)
{
    struct t3_flush_run *run = sending->run;
    const tears_status status =
        t3_flush_end(run, sending->batch, entries, sending->count, sending->asked_ms);
    if (status == TEARS_OK)
        return TEARS_OK;
    /* The journal did not take it down: what became of the batch is asked again later. */
    return owe(sending, status);
}

static tears_status land(struct sending *sending)
{
    t3_flush_count(&sending->run->flush->counters.batches, 1);
    const tears_status status = judge(sending);
    if (status != TEARS_OK)
        return owe(sending, status);
    if (!may_end_later(sending))
        return end(sending, sending->steps.placed);
    leave_for_later(sending);
    return TEARS_OK;
}

/* Asks L3 whether the batch landed, until it says or the time is over. */
static tears_status ask_fence(struct sending *sending)
{
    struct t3_flush_run *run = sending->run;
    const struct t3_deadline deadline =
        t3_deadline_at_most_ms(run->deadline, run->flush->options.l3_wait_ms);
    for (;;) {
        const tears_status status = t3_fence_claim(sending->fence, deadline, run->error);
        if (status != TEARS_UNAVAILABLE || t3_deadline_passed(deadline))
            return status;
        t3_pause_us(UNKNOWN_PAUSE_MS * 1000);
    }
}

/* TEARS_OK also when it did not land: then the failure still says why. */
static tears_status learn_outcome(struct sending *sending)
{
    tears_status status;
    if (!sending->fence->has_sql) {
        status = judge_by_rows(sending);
        return status == TEARS_OK ? end(sending, sending->entries) : owe(sending, status);
    }
    status = ask_fence(sending);
    if (status != TEARS_OK)
        return owe(sending, status);
    if (sending->fence->batch < sending->batch) {
        all_back(sending);
        return end(sending, sending->entries);
    }
    sending->failure->status = TEARS_OK;
    return land(sending);
}

static tears_status finish(struct sending *sending, tears_status status)
{
    if (sending->outcome_unknown || sending->wrote_apart)
        return learn_outcome(sending);
    if (status != TEARS_OK) {
        all_back(sending);
        return end(sending, sending->entries);
    }
    return land(sending);
}

/* ---- before -------------------------------------------------------------------------------------------- */

static tears_status fly(struct sending *sending)
{
    struct t3_flush_run *run = sending->run;
    struct t3_arena *arena = run->flush->attempt;
    struct t3_pending_item *items = t3_arena_alloc(arena, sending->count * sizeof *items);
    struct t3_journal_ref *refs = t3_arena_alloc(arena, sending->count * sizeof *refs);
    if (items == NULL || refs == NULL)
        return t3_fail_memory(run->error, T3_FLUSH_ORIGIN);
    for (size_t i = 0; i < sending->count; i++) {
        items[i] = sending->entries[i]->item;
        refs[i] = (struct t3_journal_ref){.id = items[i].record.id, .seq = items[i].record.seq};
    }
    sending->owed = t3_flush_owed_new(refs, sending->count);
    if (sending->owed == NULL)
        return t3_fail_memory(run->error, T3_FLUSH_ORIGIN);
    return t3_pending_fly(run->flush->options.pending, items, sending->count, run->deadline,
                          &sending->batch, run->error);
}

static void ask_tickets(struct sending *sending)
{
    const struct t3_flush_hooks *hooks = &sending->run->flush->options.hooks;
    sending->asked_ms = t3_now_coarse_ms();
    for (size_t i = 0; hooks->ticket != NULL && i < sending->count; i++) {
        struct t3_flush_entry *entry = sending->entries[i];
        entry->ticket = hooks->ticket(hooks->owner, &entry->known->table, &entry->key);
    }
}

/* Runs on this thread, or on the sender's. */
static void transact_owned(void *owner)
{
    struct sending *sending = owner;
    struct t3_flush_run *run = sending->run;
    struct t3_l3_call call = {
        .arena = run->flush->attempt,
        .deadline = t3_deadline_at_most_ms(run->deadline, run->flush->options.l3_wait_ms),
        .error = &sending->failure->error,
        .is_brief = sending->count >= BRIEF_ROWS_MIN};
    sending->failure->status = transact(sending, &call);
}

/* The batch before is ended while the database works on this one.  *ended_out: how that went. */
static void transact_beside(struct sending *sending, tears_status *ended_out)
{
    struct t3_flush_run *run = sending->run;
    *ended_out = TEARS_OK;
    if (!run->flush->later.is_set) {
        transact_owned(sending);
        return;
    }
    const bool is_beside = t3_flush_sender_begin(run->flush, transact_owned, sending);
    *ended_out = t3_flush_end_later(run);
    if (is_beside)
        t3_flush_sender_end(run->flush);
    else
        transact_owned(sending);
}

static tears_status send(struct sending *sending)
{
    struct t3_flush_run *run = sending->run;
    struct t3_flush *flush = run->flush;
    tears_status ended;
    if (!sending->fence->is_claimed)
        T3_TRY(t3_fence_claim(sending->fence, run->deadline, run->error));
    if (t3_flush_steps_build(sending->entries, sending->count, flush->attempt, &sending->steps) !=
        TEARS_OK)
        return t3_fail_memory(run->error, T3_FLUSH_ORIGIN);
    T3_TRY(fly(sending));
    ask_tickets(sending);
    transact_beside(sending, &ended);
    const tears_status status = finish(sending, sending->failure->status);
    return ended != TEARS_OK ? ended : status;
}

tears_status t3_flush_send(struct t3_flush_run *run, struct t3_flush_entry **entries, size_t count,
                           struct t3_flush_failure *failure)
{
    struct sending sending = {.run = run,
                              .failure = failure,
                              .entries = entries,
                              .count = count,
                              .fence = entries[0]->known->fence};
    memset(failure, 0, sizeof *failure);
    t3_arena_reset(run->flush->attempt);
    const tears_status status = send(&sending);
    t3_free(sending.owed);
    return status;
}

tears_status t3_flush_end_later(struct t3_flush_run *run)
{
    struct t3_flush_later later = run->flush->later;
    run->flush->later.is_set = false;
    if (!later.is_set)
        return TEARS_OK;
    const tears_status status =
        t3_flush_end(run, later.batch, later.entries, later.count, later.asked_ms);
    if (status == TEARS_OK)
        t3_free(later.owed);
    else /* the journal did not take it down: what became of the batch is asked again */
        t3_flush_owe(run->flush, later.owed);
    return status;
}

/* ---- rows as they are ------------------------------------------------------------------------------------ */

/* What is wrong with a table is found out when it is written to. */
static tears_status fetch_failed(struct t3_flush_run *run, const struct t3_flush_known *known,
                                 tears_status status)
{
    const struct tears_error cause = *run->error;
    if (status == TEARS_NO_MEMORY || status == TEARS_TIMEOUT || status == TEARS_DENIED)
        return status;
    return t3_fail_detail(run->error, TEARS_UNAVAILABLE, T3_FLUSH_ORIGIN, cause.detail,
                          cause.sqlstate, "rows of table '" T3_STR_FMT "' could not be read: %s",
                          T3_STR_ARG(known->schema->name), cause.message);
}

tears_status t3_flush_fetch(struct t3_flush_run *run, struct t3_flush_entry **entries, size_t count,
                            struct t3_arena *arena)
{
    struct t3_key *keys = t3_arena_alloc(arena, count * sizeof *keys);
    struct t3_row **rows = t3_arena_array(arena, count, sizeof(*rows));
    if (count > 0 && (keys == NULL || rows == NULL))
        return t3_fail_memory(run->error, T3_FLUSH_ORIGIN);
    for (size_t first = 0; first < count;) {
        const struct t3_flush_known *known = entries[first]->known;
        size_t end = first;
        for (; end < count && entries[end]->known == known; end++)
            keys[end] = entries[end]->key;
        struct t3_l3_call call = {
            .arena = arena,
            .deadline = t3_deadline_at_most_ms(run->deadline, run->flush->options.l3_wait_ms),
            .error = run->error};
        const tears_status status = known->fence->l3->ops->fetch(
            known->fence->l3, &call, known->schema, keys + first, end - first, rows + first);
        if (status != TEARS_OK)
            return fetch_failed(run, known, status);
        for (size_t i = first; i < end; i++) {
            entries[i]->stored = rows[i];
            entries[i]->stored_version =
                rows[i] != NULL ? t3_schema_row_version(known->schema, rows[i]) : 0;
        }
        first = end;
    }
    return TEARS_OK;
}
