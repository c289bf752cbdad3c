/*
 * defer_figures.c -- counters of deferred writes, and what the doctor has to say about them.
 *
 * Owns: nothing.  Must not know: how pending rows are kept.  Threads: any.  Begin at: t3_defer_stats().
 */
#include "core/defer.h"

#include "base/buf.h"
#include "base/fail.h"

enum { OLD_MS = 5 * 60 * 1000 };

/* Microseconds of the calendar since then, in milliseconds; clocks may have been set. */
static uint64_t age_ms(int64_t since_us)
{
    const int64_t now_us = t3_calendar_us();
    return since_us == 0 || since_us >= now_us ? 0 : (uint64_t)(now_us - since_us) / 1000;
}

void t3_defer_stats(struct tears_client *client, struct tears_client_stats *stats)
{
    struct t3_deferred *deferred = client->deferred;
    stats->pending_reads = t3_counted(&client->counters.pending_reads);
    stats->dirty_puts = t3_counted(&client->counters.dirty_puts);
    if (deferred == NULL)
        return;
    struct t3_pending_stats pending = {0};
    struct t3_journal_stats journal = {0};
    struct t3_flush_stats flush = {0};
    t3_pending_stats(t3_deferred_pending(deferred), NULL, &pending);
    t3_journal_stats(t3_deferred_journal(deferred), &journal);
    t3_deferred_stats(deferred, &flush);
    stats->pending_rows = pending.rows;
    stats->pending_bytes = pending.bytes;
    stats->pending_parked = pending.parked;
    stats->pending_oldest_ms = age_ms(pending.oldest_us);
    stats->deferred_saves = pending.saves;
    stats->deferred_coalesced = pending.coalesced;
    stats->journal_commits = journal.commits;
    stats->journal_bytes = journal.file_bytes;
    stats->journal_damaged = journal.damaged;
    stats->dead_letters = journal.dead;
    stats->flushed_rows = flush.rows;
    stats->flush_batches = flush.batches;
    stats->flush_retries = flush.retries;
    stats->flush_conflicts = flush.conflicts;
}

static tears_status journal_findings(struct tears_client *client, struct t3_journal *journal,
                                     struct t3_findings *findings)
{
    static const char *const durabilities[] = {"full", "normal", "none"};
    const uint64_t durability = client->options.journal_durability;
    const struct tears_str path = t3_journal_path(journal);
    T3_TRY(t3_finding_add(findings, "journal", 0, "file",
                          path.len > 0 ? path : TEARS_STR("in memory"), TEARS_STR("")));
    T3_TRY(t3_finding_add(
        findings, "journal", durability == TEARS_DURABLE_FULL ? 0 : 1, "durability",
        tears_str_c(durabilities[durability]),
        durability == TEARS_DURABLE_FULL
            ? TEARS_STR("")
            : TEARS_STR("a loss of power can lose the last saves; journal_durability full")));
    if (!t3_journal_is_lost(journal))
        return TEARS_OK;
    return t3_finding_add(findings, "journal", 2, "owner", TEARS_STR("another process"),
                          TEARS_STR("it was taken over while this process slept: saves of deferred "
                                    "tables fail until the client is opened again"));
}

static tears_status pending_findings(const struct t3_pending_stats *pending,
                                     struct t3_findings *findings)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    const bool is_old = age_ms(pending->oldest_us) > OLD_MS;
    T3_TRY(t3_buf_printf(&text, "%llu rows, %llu bytes, %llu parked, oldest %llu ms",
                         (unsigned long long)pending->rows, (unsigned long long)pending->bytes,
                         (unsigned long long)pending->parked,
                         (unsigned long long)age_ms(pending->oldest_us)));
    return t3_finding_add(findings, "journal", is_old ? 1 : 0, "pending", t3_buf_str(&text),
                          is_old ? TEARS_STR("see what they wait for: `tears pending list`")
                                 : TEARS_STR(""));
}

tears_status t3_defer_findings(struct tears_client *client, struct t3_findings *findings)
{
    struct t3_deferred *deferred = client->deferred;
    if (deferred == NULL)
        return TEARS_OK;
    struct t3_pending_stats pending = {0};
    struct t3_journal_stats journal = {0};
    t3_pending_stats(t3_deferred_pending(deferred), NULL, &pending);
    t3_journal_stats(t3_deferred_journal(deferred), &journal);
    T3_TRY(journal_findings(client, t3_deferred_journal(deferred), findings));
    T3_TRY(pending_findings(&pending, findings));
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    T3_TRY(t3_buf_printf(&text, "%llu", (unsigned long long)journal.dead));
    return t3_finding_add(
        findings, "journal", journal.dead > 0 ? 1 : 0, "dead letters", t3_buf_str(&text),
        journal.dead > 0 ? TEARS_STR("the database refused them: `tears dead list`")
                         : TEARS_STR(""));
}
