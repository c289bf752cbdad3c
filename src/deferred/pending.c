/*
 * pending.c -- what is pending, for readers; and the queue in which everything that changes it stands.
 *
 * Owns:     the index, its tables, the queue.  Not the journal.
 * Knows:    the journal, records.
 * Must not know: L3, caches, sessions.
 * Threads:  any.  One mutex per shard, held for a lookup and the copy of one row; all changes are made by whoever leads the queue.
 * Fails:    as the journal; TEARS_LIMIT, TEARS_TIMEOUT, TEARS_NO_MEMORY.
 * Begin at: t3_pending_look() for reading, t3_pending_lead_saves() in pending_save.c for writing.
 *
 * Why one leader: what a write becomes depends on what is pending for its key, and what is pending changes only when the journal has it.  One
 * thread that decides, writes and shows needs no lock while the disk is busy; those who come meanwhile are its next batch, and share one commit.
 */
#include "base/fail.h"
#include "deferred/pending_impl.h"

enum { CALLS_MAX = 1024 };

/* ---- the queue ---------------------------------------------------------------------------------- */

static struct t3_pending_call *call_of(struct t3_combine_item *item)
{
    return (struct t3_pending_call *)(void *)item;
}

/* Carries out calls in their order; saves that stand next to each other together. */
static void lead(void *owner, struct t3_combine_item **items, size_t count)
{
    struct t3_pending *pending = owner;
    for (size_t at = 0; at < count;) {
        size_t end = at;
        while (end < count && call_of(items[end])->is_save)
            end++;
        if (end > at) {
            t3_pending_lead_saves(pending, items + at, end - at);
            at = end;
        } else {
            struct t3_pending_call *call = call_of(items[at++]);
            call->status = call->run(pending, call);
        }
        t3_arena_reset(&pending->arena);
    }
    t3_pending_settle(pending);
}

tears_status t3_pending_enter(struct t3_pending *pending, struct t3_pending_call *call,
                              struct t3_deadline deadline, struct tears_error *error_out)
{
    call->deadline = deadline;
    call->error_out = error_out;
    call->status = TEARS_OK;
    if (t3_combine_call(&pending->calls, &call->item, deadline) != TEARS_OK)
        return t3_fail(error_out, TEARS_TIMEOUT, "deferred",
                       "the deadline passed while other writes to the log were under way");
    return call->status;
}

/* ---- life --------------------------------------------------------------------------------------- */

tears_status t3_pending_new(const struct t3_pending_options *options,
                            struct t3_pending **pending_out, struct tears_error *error_out)
{
    struct t3_pending *pending = t3_alloc_zero(1, sizeof *pending);
    if (pending == NULL)
        return t3_fail_memory(error_out, "deferred");
    pending->options = *options;
    if (t3_index_init(pending) != TEARS_OK) {
        t3_free(pending);
        return t3_fail_memory(error_out, "deferred");
    }
    t3_combine_init(&pending->calls, 1, CALLS_MAX, lead, pending);
    t3_mutex_init(&pending->room_mutex);
    t3_cond_init(&pending->room_cond);
    t3_mutex_init(&pending->landed_mutex);
    *pending_out = pending;
    return TEARS_OK;
}

void t3_pending_free(struct t3_pending *pending)
{
    if (pending == NULL)
        return;
    t3_slab_end(pending);
    t3_pending_free_tables(pending);
    t3_index_done(pending);
    t3_landed_done(pending);
    t3_free(pending->claims);
    t3_arena_done(&pending->arena);
    t3_combine_done(&pending->calls);
    t3_mutex_done(&pending->room_mutex);
    t3_cond_done(&pending->room_cond);
    t3_mutex_done(&pending->landed_mutex);
    t3_free(pending);
}

const struct tears_schema *t3_pending_schema(const struct t3_pending_table *table)
{
    return table->schema;
}

/* ---- reading ------------------------------------------------------------------------------------ */

bool t3_pending_is_empty(const struct t3_pending_table *table)
{
    /* acquire: who has seen a landing through a cache must not find the table empty before it is, nor full after */
    return atomic_load_explicit(&table->keys, memory_order_acquire) == 0;
}

static tears_status copy_row(const struct t3_row *row, struct t3_arena *arena,
                             struct t3_row **row_out)
{
    struct t3_row *copy = t3_arena_alloc(arena, row->size);
    if (copy == NULL)
        return TEARS_NO_MEMORY;
    memcpy(copy, row, row->size);
    *row_out = copy;
    return TEARS_OK;
}

/* What a reader of this key is told: the last that was saved. */
static tears_status look_locked(const struct t3_entry *first, struct t3_arena *arena,
                                enum t3_pending_answer *answer_out, struct t3_pending_hit *hit_out)
{
    if (first == NULL) {
        *answer_out = T3_PENDING_NOTHING;
        return TEARS_OK;
    }
    const struct t3_entry *last = first->follower != NULL ? first->follower : first;
    struct t3_record record;
    t3_entry_record(last, &record);
    struct t3_pending_hit hit = {.seq = last->seq};
    if (record.kind != T3_RECORD_DELETE)
        T3_TRY(copy_row(record.row, arena, &hit.row));
    *hit_out = hit;
    *answer_out = record.kind == T3_RECORD_DELETE ? T3_PENDING_DELETED : T3_PENDING_ROW;
    return TEARS_OK;
}

tears_status t3_pending_look(struct t3_pending_table *table, const struct t3_key *key,
                             struct t3_arena *arena, enum t3_pending_answer *answer_out,
                             struct t3_pending_hit *hit_out)
{
    if (t3_pending_is_empty(table)) {
        *answer_out = T3_PENDING_NOTHING;
        return TEARS_OK;
    }
    const uint64_t hash = t3_index_hash(table, key);
    struct t3_entry_shard *shard = t3_index_shard(table->pending, hash);
    t3_lock(&shard->mutex);
    const tears_status status =
        look_locked(t3_index_find(table, key, hash), arena, answer_out, hit_out);
    t3_unlock(&shard->mutex);
    return status;
}

bool t3_pending_find(struct t3_pending_table *table, const struct t3_key *key,
                     struct t3_journal_ref *ref_out)
{
    if (t3_pending_is_empty(table))
        return false;
    const uint64_t hash = t3_index_hash(table, key);
    struct t3_entry_shard *shard = t3_index_shard(table->pending, hash);
    t3_lock(&shard->mutex);
    const struct t3_entry *first = t3_index_find(table, key, hash);
    if (first != NULL)
        *ref_out = (struct t3_journal_ref){first->id, first->seq};
    t3_unlock(&shard->mutex);
    return first != NULL;
}

/* ---- room --------------------------------------------------------------------------------------- */

static bool fits(uint64_t used, uint64_t more, uint64_t max)
{
    return max == 0 || (more <= max && used <= max - more);
}

static bool has_room(struct t3_pending *pending, uint64_t rows, uint64_t bytes)
{
    const struct t3_pending_limits *limits = &pending->options.limits;
    return fits(atomic_load(&pending->rows), rows, limits->rows_max) &&
           fits(atomic_load(&pending->bytes), bytes, limits->bytes_max);
}

static bool wait_locked(struct t3_pending *pending, uint64_t rows, uint64_t bytes,
                        struct t3_deadline deadline) T3_REQUIRES(pending->room_mutex)
{
    bool in_time = true;
    while (in_time && !has_room(pending, rows, bytes))
        in_time = t3_cond_wait(&pending->room_cond, &pending->room_mutex, deadline);
    return in_time;
}

tears_status t3_pending_wait_for_room(struct t3_pending *pending, uint64_t rows, uint64_t bytes,
                                      struct t3_deadline deadline)
{
    if (!fits(0, rows, pending->options.limits.rows_max) ||
        !fits(0, bytes, pending->options.limits.bytes_max))
        return TEARS_LIMIT;
    if (has_room(pending, rows, bytes))
        return TEARS_OK;
    if (pending->options.wake != NULL)
        pending->options.wake(pending->options.owner);
    /* counted before the condition is looked at; a leader counts rows out before it looks for waiters */
    atomic_fetch_add(&pending->room_waiters, 1);
    t3_lock(&pending->room_mutex);
    const bool in_time = wait_locked(pending, rows, bytes, deadline);
    t3_unlock(&pending->room_mutex);
    atomic_fetch_sub(&pending->room_waiters, 1);
    return in_time ? TEARS_OK : TEARS_TIMEOUT;
}

static bool asks_for_flush(struct t3_pending *pending)
{
    const struct t3_pending_limits *limits = &pending->options.limits;
    const uint64_t rows = atomic_load(&pending->rows);
    if (rows == 0)
        return false;
    if ((limits->flush_rows != 0 && rows >= limits->flush_rows) ||
        (limits->flush_bytes != 0 && atomic_load(&pending->bytes) >= limits->flush_bytes))
        return true;
    if (limits->flush_age_ms == 0)
        return false;
    struct t3_pending_stats stats;
    t3_pending_stats(pending, NULL, &stats);
    const int64_t age_us = t3_calendar_us() - stats.oldest_us;
    return age_us > 0 && (uint64_t)age_us / 1000 >= limits->flush_age_ms;
}

void t3_pending_settle(struct t3_pending *pending)
{
    if (atomic_load(&pending->room_waiters) > 0) {
        t3_lock(&pending->room_mutex);
        t3_cond_broadcast(&pending->room_cond);
        t3_unlock(&pending->room_mutex);
    }
    if (pending->options.wake != NULL && asks_for_flush(pending))
        pending->options.wake(pending->options.owner);
}

/* ---- figures ------------------------------------------------------------------------------------ */

static void add_table(const struct t3_pending_table *table, struct t3_pending_stats *stats)
{
    stats->rows += atomic_load(&table->rows);
    stats->bytes += atomic_load(&table->bytes);
    stats->parked += atomic_load(&table->parked_rows);
    stats->in_flight += atomic_load(&table->in_flight);
    stats->saves += atomic_load(&table->saves);
    stats->coalesced += atomic_load(&table->coalesced);
    stats->landed += atomic_load(&table->landed);
    stats->dead += atomic_load(&table->dead);
    stats->found += atomic_load(&table->found);
    const int64_t oldest = atomic_load(&table->oldest_us);
    if (oldest != 0 && (stats->oldest_us == 0 || oldest < stats->oldest_us))
        stats->oldest_us = oldest;
}

void t3_pending_stats(struct t3_pending *pending, const struct t3_pending_table *table,
                      struct t3_pending_stats *stats_out)
{
    struct t3_pending_stats stats = {0};
    if (table != NULL)
        add_table(table, &stats);
    const struct t3_pending_table *at = table != NULL ? NULL : atomic_load(&pending->tables);
    for (; at != NULL; at = at->next)
        add_table(at, &stats);
    *stats_out = stats;
}
