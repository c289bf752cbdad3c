/*
 * worker_bugs.c -- makes a worker report what a broken cache would have given.
 *
 * Owns:     nothing; the memory of old copies is the thread's.
 * Must not know: how the checker finds it.
 * Threads:  each with its own copies.
 * Fails:    never; that is the point.
 * Begin at: chaos_falsify().
 */
#include "worker.h"

#include <string.h>

enum { OLD_NS_MIN = 1000000000 };

enum chaos_bug chaos_bug_named(const char *name)
{
    static const char *const names[CHAOS_BUGS] = {"none",       "old-copy", "no-floor",
                                                  "lost-write", "phantom",  "weak-strong",
                                                  "no-bound",   "stuck"};
    for (int bug = 0; bug < CHAOS_BUGS; bug++)
        if (strcmp(name, names[bug]) == 0)
            return (enum chaos_bug)bug;
    return CHAOS_BUGS;
}

static void give(struct chaos_record *record, int64_t stamp, int64_t version)
{
    record->stamp = stamp;
    record->version = version;
    record->status = stamp != 0 ? TEARS_OK : TEARS_NOT_FOUND;
}

/* Gives a copy once it is old enough to be wrong, and then keeps the newer one. */
static void give_old(struct chaos_record *record, struct chaos_copy *copy, uint64_t old_ns)
{
    const struct chaos_copy now = {record->began_ns, record->stamp, record->version};
    if (copy->at_ns == 0) {
        *copy = now;
    } else if (copy->at_ns + old_ns < now.at_ns) {
        give(record, copy->stamp, copy->version);
        *copy = now;
    }
}

void chaos_falsify(struct chaos_thread *thread, struct chaos_record *record)
{
    if (record->status != TEARS_OK && record->status != TEARS_NOT_FOUND)
        return;
    switch (thread->worker->options.bug) {
    case CHAOS_BUG_OLD_COPY:
        give_old(record, &thread->copies[record->table][record->key],
                 OLD_NS_MIN + (uint64_t)record->bound_ms * 1000000u);
        break;
    case CHAOS_BUG_STUCK:
        if (record->kind == CHAOS_FINAL && record->key % 7 == 0)
            give(record, 0, 0);
        break;
    case CHAOS_BUG_PHANTOM:
        if (chaos_random_chance(&thread->random, 8))
            give(record, (int64_t)chaos_number(thread->worker), record->version + 1);
        break;
    case CHAOS_BUG_NO_FLOOR:
        if (thread->has_own && thread->level == TEARS_READ_SESSION &&
            record->table == thread->own_table && record->key == thread->own_key)
            give(record, thread->own_base_stamp, thread->own_base_version);
        thread->has_own = false;
        break;
    case CHAOS_BUG_NONE:
    case CHAOS_BUG_LOST_WRITE:
    case CHAOS_BUG_WEAK_STRONG:
    case CHAOS_BUG_NO_BOUND:
    case CHAOS_BUGS:
        break;
    }
}

bool chaos_forgets_write(struct chaos_thread *thread)
{
    return thread->worker->options.bug == CHAOS_BUG_LOST_WRITE &&
           chaos_random_chance(&thread->random, 30);
}

void chaos_remember_own(struct chaos_thread *thread, const struct chaos_record *record,
                        int64_t base_version)
{
    thread->has_own = true;
    thread->own_table = record->table;
    thread->own_key = record->key;
    thread->own_base_stamp = record->base;
    thread->own_base_version = base_version;
}
