/*
 * pending_end.c -- what becomes of records when their batch has ended.
 *
 * Owns:     nothing; entries that take the place of others are freed when the journal refuses the step.
 * Knows:    the index, the journal, records.
 * Must not know: L3.
 * Threads:  t3_pending_end the flushing one; all else the leader of the queue.
 * Fails:    as the journal, TEARS_NO_MEMORY; then nothing has changed.
 * Begin at: end_led().
 *
 * Ends are told by id and sequence number, never by key: a key may have been written again meanwhile, and that write is another
 * record, which stays.
 */
#include "base/fail.h"
#include "deferred/pending_impl.h"

struct ending {
    struct t3_pending_call call; /* first */
    uint64_t batch;
    const struct t3_pending_end *ends;
    size_t count;
};

/* What one end comes to. */
struct step {
    const struct t3_pending_end *end;
    struct t3_entry *first;
    struct t3_entry *follower; /* NULL: none, or it stays as it is */
    struct t3_entry
        *made; /* takes the place of both, in the index or among the dead; NULL: nothing does */
};

/* All of them, and what the journal is told. */
struct plan {
    struct t3_pending *pending;
    struct step *steps;
    size_t count;
    struct t3_journal_ref *landed;
    struct t3_journal_death *deaths;
    struct t3_journal_put *puts;
    struct t3_journal_landing landing;
};

/* ---- planning ----------------------------------------------------------------------------------- */

static tears_status begin_plan(struct t3_pending *pending, const struct ending *ending,
                               struct plan *plan)
{
    struct t3_arena *arena = &pending->arena;
    const size_t room = ending->count * 2 + 1; /* an end is of one record, or of two */
    memset(plan, 0, sizeof *plan);
    plan->pending = pending;
    plan->steps = t3_arena_array(arena, ending->count + 1, sizeof *plan->steps);
    plan->landed = t3_arena_array(arena, room, sizeof *plan->landed);
    plan->deaths = t3_arena_array(arena, room, sizeof *plan->deaths);
    plan->puts = t3_arena_array(arena, room, sizeof *plan->puts);
    plan->landing.batch = ending->batch;
    plan->landing.landed = plan->landed;
    plan->landing.deaths = plan->deaths;
    plan->landing.puts = plan->puts;
    return plan->steps != NULL && plan->landed != NULL && plan->deaths != NULL && plan->puts != NULL
               ? TEARS_OK
               : TEARS_NO_MEMORY;
}

static void plan_put(struct plan *plan, const struct t3_entry *entry)
{
    plan->puts[plan->landing.put_count++] =
        (struct t3_journal_put){.id = entry->id,
                                .seq = entry->seq,
                                .layout = entry->table->layout,
                                .bytes = tears_str_n(entry->bytes, entry->size)};
}

static void plan_removal(struct plan *plan, const struct t3_entry *entry)
{
    plan->puts[plan->landing.put_count++] =
        (struct t3_journal_put){.id = entry->id, .seq = entry->seq, .remove = true};
}

static tears_status make(struct step *step, const struct t3_record *record, uint64_t id,
                         uint64_t seq)
{
    step->made = t3_entry_new(step->first->table, record);
    if (step->made == NULL)
        return TEARS_NO_MEMORY;
    step->made->id = id;
    step->made->seq = seq;
    step->made->hash = step->first->hash;
    return TEARS_OK;
}

/* What follows a row that has landed is based on that row from now on; it keeps its number, as it says what it said. */
static tears_status plan_landing(struct plan *plan, struct step *step)
{
    const struct t3_pending_end *end = step->end;
    plan->landed[plan->landing.landed_count++] = end->ref;
    if (step->follower == NULL)
        return TEARS_OK;
    struct t3_record record;
    struct t3_record rebased;
    t3_entry_record(step->follower, &record);
    T3_TRY(t3_coalesce_rebase(step->first->table->schema, &record, end->row, end->version,
                              &plan->pending->arena, &rebased));
    T3_TRY(make(step, &rebased, step->follower->id, step->follower->seq));
    plan_put(plan, step->made);
    return TEARS_OK;
}

/*
 * `first`, which was not written, and what follows it become one.  `seq`: 0: as readers know the row, it is the same.  A follower that
 * cannot be joined to it stays, and is no part of the step.
 */
static tears_status plan_join(struct plan *plan, struct step *step, const struct t3_record *first,
                              uint64_t seq)
{
    struct t3_record joined = *first;
    struct t3_record second;
    tears_status status = TEARS_CONFLICT;
    if (step->follower != NULL) {
        t3_entry_record(step->follower, &second);
        status = t3_coalesce_fold(step->first->table->schema, first, &second,
                                  step->first->table->keep_before, &plan->pending->arena, &joined);
        if (status != TEARS_OK && status != TEARS_CONFLICT)
            return status;
    }
    if (status == TEARS_CONFLICT) {
        step->follower = NULL;
        if (seq == 0)
            return TEARS_OK; /* nothing has changed */
    }
    joined.since_us = first->since_us;
    T3_TRY(make(step, &joined, step->first->id, seq != 0 ? seq : joined.seq));
    plan_put(plan, step->made);
    if (step->follower != NULL)
        plan_removal(plan, step->follower);
    return TEARS_OK;
}

static tears_status plan_replacement(struct plan *plan, struct step *step)
{
    struct t3_record was;
    t3_entry_record(step->first, &was);
    struct t3_record record = *step->end->record;
    record.follows = false;
    record.since_us = was.since_us;
    return plan_join(plan, step, &record, ++plan->pending->seq);
}

/* A follower that cannot be joined to what it follows dies beside it, as a write of its own: what it followed may never come back. */
static tears_status plan_death_of_follower(struct plan *plan, struct step *step)
{
    const struct t3_pending_end *end = step->end;
    const struct tears_schema *schema = step->first->table->schema;
    struct t3_arena *arena = &plan->pending->arena;
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    struct tears_str message;
    struct t3_record record;
    T3_TRY(t3_buf_put(&text, TEARS_STR("follows a write of the same row that was refused: ")));
    T3_TRY(t3_buf_put(&text, end->message));
    T3_TRY(t3_arena_str(arena, t3_buf_str(&text), &message));
    t3_entry_record(step->follower, &record);
    record.follows = false;
    record.has_base = false;
    char *bytes = t3_arena_alloc(arena, t3_record_size(schema, &record));
    if (bytes == NULL)
        return TEARS_NO_MEMORY;
    t3_record_write(schema, &record, bytes);
    plan->puts[plan->landing.put_count++] =
        (struct t3_journal_put){.id = step->follower->id,
                                .seq = step->follower->seq,
                                .layout = step->follower->table->layout,
                                .bytes = tears_str_n(bytes, t3_record_size(schema, &record))};
    plan->deaths[plan->landing.death_count++] =
        (struct t3_journal_death){step->follower->id, 0, end->sqlstate, message};
    return TEARS_OK;
}

/* One dead letter says all that was to become of the row: who tries it again need not know that it was two writes. */
static tears_status plan_deaths(struct plan *plan, struct step *step)
{
    const struct t3_pending_end *end = step->end;
    struct t3_entry *follower = step->follower;
    struct t3_record first;
    t3_entry_record(step->first, &first);
    T3_TRY(plan_join(plan, step, &first, 0));
    plan->deaths[plan->landing.death_count++] =
        (struct t3_journal_death){end->ref.id, end->dependants, end->sqlstate, end->message};
    if (step->follower == follower)
        return TEARS_OK;
    step->follower = follower;
    return plan_death_of_follower(plan, step);
}

static tears_status plan_step(struct plan *plan, struct step *step)
{
    struct t3_record first;
    switch (step->end->fate) {
    case T3_FATE_LANDED:
        return plan_landing(plan, step);
    case T3_FATE_PARKED:
        t3_entry_record(step->first, &first);
        return plan_join(plan, step, &first, 0);
    case T3_FATE_REPLACED:
        return plan_replacement(plan, step);
    case T3_FATE_DEAD:
        return plan_deaths(plan, step);
    case T3_FATE_BACK:
        break;
    }
    step->follower = NULL;
    return TEARS_OK;
}

static tears_status plan_all(struct plan *plan, const struct ending *ending)
{
    for (size_t i = 0; i < ending->count; i++) {
        const struct t3_pending_end *end = &ending->ends[i];
        struct t3_entry *first = t3_list_find(&end->table->list, end->ref.id);
        if (first == NULL || first->seq != end->ref.seq || (first->flags & T3_ENTRY_ENDING) != 0)
            continue;
        first->flags |= T3_ENTRY_ENDING;
        struct step *step = &plan->steps[plan->count++];
        step->end = end;
        step->first = first;
        step->follower = first->follower;
        T3_TRY(plan_step(plan, step));
    }
    return TEARS_OK;
}

/* ---- carrying out ------------------------------------------------------------------------------- */

static void note_end(const struct step *step)
{
    struct t3_pending_table *table = step->first->table;
    if (step->end->fate == T3_FATE_LANDED) {
        atomic_fetch_add(&table->landed, 1);
        if (step->end->row != NULL) /* before readers cease to find it here */
            t3_landed_note(table->pending, step->first, step->end->version);
    }
    if (step->end->fate == T3_FATE_DEAD)
        atomic_fetch_add(&table->dead, step->follower != NULL && step->made == NULL ? 2u : 1u);
}

/* Parked records are remembered by id.  One that cannot be is just tried again soon. */
static void park(struct t3_entry *entry)
{
    struct t3_pending_table *table = entry->table;
    if (table->parked_count == table->parked_capacity) {
        const size_t capacity = table->parked_capacity * 2 + 64;
        uint64_t *parked = t3_resize(table->parked, capacity * sizeof *parked);
        if (parked == NULL)
            return;
        table->parked = parked;
        table->parked_capacity = capacity;
    }
    table->parked[table->parked_count++] = entry->id;
    t3_entry_set_flag(entry, T3_ENTRY_PARKED, true);
}

/* Puts what was made where the first was; it has the id of one of the two that it comes from. */
static void show_made(struct step *step)
{
    struct t3_entry *first = step->first;
    struct t3_entry *made = step->made;
    struct t3_pending_table *table = first->table;
    made->follower = step->follower == NULL ? first->follower : NULL;
    t3_index_swap(table->pending, first, made);
    struct t3_entry *same = made->id == first->id ? first : step->follower;
    struct t3_entry *other = same == first ? step->follower : first;
    t3_entry_set_flag(same, T3_ENTRY_FLYING, false);
    t3_entry_set_flag(same, T3_ENTRY_PARKED, false);
    t3_list_set(&table->list, made->id, made);
    t3_pending_count(table, same, made);
    t3_entry_free(same);
    if (other != NULL)
        t3_entry_drop(other);
}

static void carry_out(struct step *step)
{
    struct t3_entry *first = step->first;
    struct t3_pending_table *table = first->table;
    const bool goes_away = step->end->fate == T3_FATE_LANDED || step->end->fate == T3_FATE_DEAD;
    note_end(step);
    first->flags &= ~(uint32_t)T3_ENTRY_ENDING;
    struct t3_entry *stays = first;
    if (step->made != NULL && step->end->fate != T3_FATE_DEAD) {
        show_made(step);
        stays = step->made;
    } else if (goes_away) {
        t3_entry_free(step->made); /* of the dead, only the journal keeps anything */
        t3_index_swap(table->pending, first, NULL);
        t3_entry_drop(first);
        if (step->follower != NULL)
            t3_entry_drop(step->follower);
        stays = NULL;
    } else {
        t3_entry_set_flag(first, T3_ENTRY_FLYING, false);
    }
    if (stays != NULL && step->end->fate == T3_FATE_PARKED) {
        stays->flags &= ~(uint32_t)T3_ENTRY_CLAIMED;
        park(stays);
    }
    t3_table_settle(table);
}

static void forget(struct plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        plan->steps[i].first->flags &= ~(uint32_t)T3_ENTRY_ENDING;
        t3_entry_free(plan->steps[i].made);
    }
}

/* A batch that nobody has to be told about changes nothing that is durable. */
static bool is_worth_noting(const struct t3_journal_landing *landing)
{
    return landing->batch != 0 || landing->landed_count > 0 || landing->death_count > 0 ||
           landing->put_count > 0;
}

static tears_status end_led(struct t3_pending *pending, struct t3_pending_call *call)
{
    struct ending *ending = (struct ending *)(void *)call;
    struct plan plan;
    if (begin_plan(pending, ending, &plan) != TEARS_OK)
        return t3_fail_memory(call->error_out, "deferred");
    tears_status status = plan_all(&plan, ending);
    if (status == TEARS_NO_MEMORY)
        (void)t3_fail_memory(call->error_out, "deferred");
    if (status == TEARS_LIMIT)
        (void)t3_fail(call->error_out, status, "deferred", "a merged row is too large");
    if (status == TEARS_OK && is_worth_noting(&plan.landing))
        status = t3_journal_land(pending->options.journal, &plan.landing, call->deadline,
                                 call->error_out);
    if (status != TEARS_OK) {
        forget(&plan);
        return status;
    }
    for (size_t i = 0; i < plan.count; i++)
        carry_out(&plan.steps[i]);
    return TEARS_OK;
}

tears_status t3_pending_end(struct t3_pending *pending, uint64_t batch,
                            const struct t3_pending_end *ends, size_t count,
                            struct t3_deadline deadline, struct tears_error *error_out)
{
    struct ending ending = {.call = {.run = end_led}, .batch = batch, .ends = ends, .count = count};
    return t3_pending_enter(pending, &ending.call, deadline, error_out);
}
