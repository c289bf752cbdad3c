/*
 * stats.c -- counters, findings, names of tables: what a client tells about itself.
 *
 * Owns:     nothing.
 * Must not know: how any tier comes by its numbers.
 * Threads:  any; sessions' counters are read while they count.
 * Fails:    as L3 does.
 * Begin at: tears_client_stats().
 */
#include "core/core.h"

#include "base/fail.h"
#include "base/sized.h"
#include "base/thread.h"
#include "core/defer.h"
#include "core/repair.h"
#include "core/status.h"
#include "tier/l1_sqlite.h"

enum { PROOF_WAIT_MS = 1500, PROOF_PAUSE_US = 10000 };

static void l1_stats(struct tears_client *client, struct tears_client_stats *stats)
{
    stats->l1_hits = t3_counted(&client->counters.l1_hits);
    stats->l1_misses = t3_counted(&client->counters.l1_misses);
    stats->l1_negative_hits = t3_counted(&client->counters.l1_negative_hits);
    t3_lock(&client->mutex);
    for (struct tears_session *one = client->sessions; one != NULL; one = one->next) {
        stats->l1_hits += t3_counted(&one->counters.l1_hits);
        stats->l1_misses += t3_counted(&one->counters.l1_misses);
        stats->l1_negative_hits += t3_counted(&one->counters.l1_negative_hits);
    }
    t3_unlock(&client->mutex);
    if (client->l1 == NULL)
        return;
    struct t3_l1_stats l1 = {0};
    client->l1->ops->stats(client->l1, &l1);
    stats->l1_rows = l1.rows;
    stats->l1_bytes = l1.bytes;
    stats->l1_bytes_max = l1.bytes_max;
    stats->l1_evictions = l1.evictions;
    stats->l1_payload_bytes = l1.payload_bytes;
    stats->l1_stale_fills = l1.stale_fills;
}

/* To begin to follow a bucket is to know nothing of what was there before: that is no loss. */
static uint64_t losses_of(const struct t3_l2_stats *l2)
{
    return l2->feed_losses > 0 ? l2->feed_losses - 1 : 0;
}

static void l2_stats(struct tears_client *client, struct tears_client_stats *stats)
{
    const struct t3_counters *counters = &client->counters;
    stats->l2_hits = t3_counted(&counters->l2_hits);
    stats->l2_misses = t3_counted(&counters->l2_misses);
    stats->l2_errors = t3_counted(&counters->l2_errors);
    if (client->l2 == NULL)
        return;
    struct t3_l2_stats l2 = {0};
    t3_l2_stats(client->l2, &l2);
    stats->l2_puts = l2.puts;
    stats->l2_put_conflicts = l2.put_conflicts;
    stats->l2_fills = l2.fills;
    stats->l2_fills_lost = l2.fills_lost;
    stats->l2_damaged = l2.damaged;
    stats->feed_gaps = l2.feed_gaps;
    stats->feed_losses = losses_of(&l2);
    stats->l2_connected = t3_l2_is_connected(client->l2);
    stats->l2_repairs_waiting = t3_repair_count(client->repair);
}

static void coherence_stats(const struct t3_counters *counters, struct tears_client_stats *stats)
{
    stats->feed_events = t3_counted(&counters->feed_events);
    stats->feed_events_own = t3_counted(&counters->feed_events_own);
    stats->l1_suspects = t3_counted(&counters->l1_suspects);
    stats->l1_verified = t3_counted(&counters->l1_verified);
    stats->stale_served = t3_counted(&counters->stale_served);
    stats->early_refreshes = t3_counted(&counters->early_refreshes);
    stats->fill_leases_won = t3_counted(&counters->fill_leases_won);
    stats->fill_leases_waited = t3_counted(&counters->fill_leases_waited);
    stats->fill_leases_expired = t3_counted(&counters->fill_leases_expired);
    stats->strong_reads = t3_counted(&counters->strong_reads);
    stats->announcements = t3_counted(&counters->announcements);
    stats->mutations = t3_counted(&counters->mutations);
    stats->mutation_retries = t3_counted(&counters->mutation_retries);
    stats->outbox_notes = t3_counted(&counters->outbox_notes);
    stats->outbox_corrections = t3_counted(&counters->outbox_corrections);
}

void tears_client_stats(tears_client *client, struct tears_client_stats *stats_out)
{
    if (t3_client_is_foreign(client))
        return;
    struct tears_client_stats stats = {.size = sizeof stats};
    const struct t3_counters *counters = &client->counters;
    l1_stats(client, &stats);
    l2_stats(client, &stats);
    coherence_stats(counters, &stats);
    t3_defer_stats(client, &stats);
    stats.l3_reads = t3_counted(&counters->l3_reads);
    stats.l3_rows_read = t3_counted(&counters->l3_rows_read);
    stats.l3_writes = t3_counted(&counters->l3_writes);
    stats.l3_conflicts = t3_counted(&counters->l3_conflicts);
    stats.flights_joined = t3_counted(&counters->flights_joined);
    stats.notices_sent = t3_counted(&counters->notices_sent);
    stats.notices_received = t3_counted(&counters->notices_received);
    stats.notices_own = t3_counted(&counters->notices_own);
    stats.notices_ignored = t3_counted(&counters->notices_ignored);
    stats.notices_rejected = t3_counted(&counters->notices_rejected);
    stats.degraded_writes = t3_counted(&counters->degraded_writes);
    t3_sized_give(stats_out, &stats, sizeof stats);
}

static tears_status l1_findings(struct tears_client *client, struct t3_findings *findings)
{
    if (client->l1 == NULL)
        return t3_finding_add(findings, "l1", 1, "kind", TEARS_STR("none"),
                              TEARS_STR("every read goes to L2 or L3; use --l1 memory"));
    T3_TRY(t3_finding_add(findings, "l1", 0, "kind",
                          t3_l1_is_sqlite(client->l1) ? TEARS_STR("sqlite") : TEARS_STR("memory"),
                          TEARS_STR("")));
    struct t3_l1_stats l1 = {0};
    client->l1->ops->stats(client->l1, &l1);
    char text[64];
    T3_AUTO(t3_buf_done) struct t3_buf size = {.len_max = sizeof text};
    T3_TRY(t3_buf_printf(&size, "%llu of %llu bytes", (unsigned long long)l1.bytes,
                         (unsigned long long)l1.bytes_max));
    T3_TRY(t3_finding_add(findings, "l1", 0, "size", t3_buf_str(&size), TEARS_STR("")));
    t3_buf_clear(&size);
    T3_TRY(t3_buf_printf(&size, "%llu ms", (unsigned long long)client->options.l1_age_ms_max));
    return t3_finding_add(findings, "l1", 0, "longest age of a row", t3_buf_str(&size),
                          TEARS_STR(""));
}

/* A client that was just opened has not proven anything yet, and that is no finding. */
static uint64_t wait_for_proof(struct tears_session *session)
{
    const struct tears_client *client = session->client;
    const struct t3_deadline deadline = t3_deadline_at_most_ms(
        t3_session_deadline(session), client->options.l2_wait_ms + PROOF_WAIT_MS);
    uint64_t age_ms = t3_proof_age_ms(&client->trust);
    while (age_ms > client->options.staleness_ms_max && !t3_deadline_passed(deadline)) {
        t3_pause_us(PROOF_PAUSE_US);
        age_ms = t3_proof_age_ms(&client->trust);
    }
    return age_ms;
}

static tears_status feed_findings(struct tears_session *session, struct t3_findings *findings)
{
    struct tears_client *client = session->client;
    const uint64_t age_ms = wait_for_proof(session);
    const bool is_current = age_ms <= client->options.staleness_ms_max;
    struct t3_l2_stats l2 = {0};
    t3_l2_stats(client->l2, &l2);
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    T3_TRY(t3_buf_printf(&text, "%llu ms", (unsigned long long)client->options.staleness_ms_max));
    T3_TRY(t3_finding_add(findings, "l1", 0, "bound of reads", t3_buf_str(&text), TEARS_STR("")));
    t3_buf_clear(&text);
    if (age_ms == UINT64_MAX)
        T3_TRY(t3_buf_put(&text, TEARS_STR("none")));
    else
        T3_TRY(t3_buf_printf(&text, "%llu ms ago", (unsigned long long)age_ms));
    T3_TRY(t3_buf_printf(&text, "; %llu gaps, %llu losses", (unsigned long long)l2.feed_gaps,
                         (unsigned long long)losses_of(&l2)));
    return t3_finding_add(findings, "l2", is_current ? 0 : 1, "proof of the feed",
                          t3_buf_str(&text),
                          is_current ? TEARS_STR("")
                                     : TEARS_STR("rows in L1 are read anew until the stream behind "
                                                 "the bucket can be followed"));
}

static tears_status l2_findings(struct tears_session *session, struct t3_findings *findings)
{
    struct tears_client *client = session->client;
    if (client->l2 == NULL)
        return t3_finding_add(findings, "l2", 0, "reachable", TEARS_STR("not used"),
                              TEARS_STR("several processes need one: TEARS_L2_URL=nats://..."));
    T3_TRY(t3_l2_doctor(client->l2, findings, t3_session_deadline(session)));
    return feed_findings(session, findings);
}

tears_status tears_client_doctor(tears_session *session, const struct tears_finding **findings_out,
                                 size_t *count_out)
{
    T3_TRY(t3_session_enter(session));
    struct t3_findings findings = {.arena = &session->arena};
    struct t3_l3 *l3 = session->client->l3;
    struct t3_l3_call call = t3_session_l3_call(session, NULL);
    call.tx = NULL;
    tears_status status = l1_findings(session->client, &findings);
    if (status == TEARS_OK)
        status = l2_findings(session, &findings);
    if (status == TEARS_OK)
        status = t3_defer_findings(session->client, &findings);
    if (status == TEARS_OK)
        status = l3->ops->doctor(l3, &call, &findings);
    if (status == TEARS_NO_MEMORY)
        return t3_session_no_memory(session);
    if (status != TEARS_OK) /* a tier that is broken is a finding, not a failure */
        T3_TRY(t3_finding_add(&findings, "l3", 2, "reachable", TEARS_STR("no"),
                              tears_str_c(session->error.message)));
    t3_error_clear(&session->error);
    *findings_out = findings.items;
    *count_out = findings.count;
    return TEARS_OK;
}

tears_status tears_tables(tears_session *session, const struct tears_str **names_out,
                          size_t *count_out)
{
    T3_TRY(t3_session_enter(session));
    struct t3_l3 *l3 = session->client->l3;
    struct t3_l3_call call = t3_session_l3_call(session, NULL);
    struct tears_str *names = NULL;
    T3_TRY(t3_session_status(session, l3->ops->tables(l3, &call, &names, count_out)));
    *names_out = names;
    return TEARS_OK;
}
