/*
 * deferred.h -- deferred writes of one client: journal, pending rows, flusher, and the thread that runs it.
 *
 * Begin here: core opens one of these when the first table is deferred, saves through t3_deferred_table, and reads what is pending before
 * it asks any tier.
 */
#ifndef T3_DEFERRED_DEFERRED_H
#define T3_DEFERRED_DEFERRED_H

#include "deferred/flush.h"

struct t3_deferred;

struct t3_deferred_options {
    struct t3_journal_options journal;
    struct t3_pending_limits limits;
    uint64_t interval_ms; /* of tables that are flushed on schedule */
    struct t3_flush_hooks hooks;
    const struct t3_log *log;
};

/*
 * Opens the journal, reads what is pending, and starts the thread that gives the sign of life.  No hook is called before t3_deferred_start or
 * t3_deferred_flush.  As t3_journal_open and t3_pending_recover.
 */
tears_status t3_deferred_open(const struct t3_deferred_options *options,
                              struct t3_deadline deadline, struct t3_deferred **deferred_out,
                              struct tears_error *error_out);

/* From now on rows are flushed when they are due; what the last owner left, at once.  TEARS_OK, TEARS_UNAVAILABLE (no thread). */
tears_status t3_deferred_start(struct t3_deferred *deferred, struct tears_error *error_out);

/* Flushes until the deadline and ends the threads; what is left stays in the log, and is logged (of a log in memory as an error).  NULL is accepted. */
void t3_deferred_stop(struct t3_deferred *deferred, struct t3_deadline deadline);
void t3_deferred_free(struct t3_deferred *deferred);

struct t3_pending *t3_deferred_pending(struct t3_deferred *deferred);
struct t3_journal *t3_deferred_journal(struct t3_deferred *deferred);

/* A table is flushed by the timer from now on.  TEARS_NO_MEMORY. */
tears_status t3_deferred_schedule(struct t3_deferred *deferred,
                                  const struct t3_pending_table *table);

/* A flush by the caller's thread; as t3_flush_pass, but what is transient is tried again until the deadline. */
tears_status t3_deferred_flush(struct t3_deferred *deferred, const struct tears_str *tables,
                               size_t table_count, struct t3_deadline deadline,
                               struct tears_flush_result *result_out,
                               struct tears_error *error_out);

void t3_deferred_stats(struct t3_deferred *deferred, struct t3_flush_stats *stats_out);

#endif
