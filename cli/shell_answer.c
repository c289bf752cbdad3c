/*
 * shell_answer.c -- prints the answers of the shell, for programs or for people.
 *
 * Owns:     the form of an answer: one JSON object on one line, flushed.
 * Must not know: verbs.
 * Threads:  the main thread.
 * Fails:    6 when standard output is gone.
 * Begin at: cli_answer_print().
 */
#include "shell.h"

#include "explanation.h"

#include <stddef.h>

/* ---- parts ---- */

static void put_row(const tears_entity *row, struct cli_text *line)
{
    struct tears_str json = {NULL, 0};
    if (row != NULL && tears_entity_json(row, &json) == TEARS_OK)
        cli_text_put(line, json);
    else
        cli_text_put_c(
            line, "null"); /* no such row; without memory, rather an honest null than no line */
}

static void put_degraded(uint32_t degraded, struct cli_text *line)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } names[] = {
        {TEARS_DEGRADED_L1, "l1"},
        {TEARS_DEGRADED_L2_READ, "l2_read"},
        {TEARS_DEGRADED_L2_WRITE, "l2_write"},
        {TEARS_DEGRADED_NOTICE, "notice"},
        {TEARS_DEGRADED_L3_READ, "l3_read"},
    };
    const char *comma = "";

    cli_text_put_c(line, ",\"degraded\":[");
    for (size_t i = 0; i < CLI_COUNT(names); i++) {
        if ((degraded & names[i].bit) == 0)
            continue;
        cli_text_printf(line, "%s\"%s\"", comma, names[i].name);
        comma = ",";
    }
    cli_text_put_char(line, ']');
}

/* The counters of struct tears_client_stats, in its order. */
static const struct {
    const char *name;
    size_t offset;
} counters[] = {
#define COUNTER(name) #name, offsetof(struct tears_client_stats, name)
    {COUNTER(l1_hits)},
    {COUNTER(l1_misses)},
    {COUNTER(l1_negative_hits)},
    {COUNTER(l1_rows)},
    {COUNTER(l1_bytes)},
    {COUNTER(l1_bytes_max)},
    {COUNTER(l1_evictions)},
    {COUNTER(l1_payload_bytes)},
    {COUNTER(l1_stale_fills)},
    {COUNTER(l2_hits)},
    {COUNTER(l2_misses)},
    {COUNTER(l2_errors)},
    {COUNTER(l2_damaged)},
    {COUNTER(l2_puts)},
    {COUNTER(l2_put_conflicts)},
    {COUNTER(l2_fills)},
    {COUNTER(l2_fills_lost)},
    {COUNTER(l2_connected)},
    {COUNTER(l3_reads)},
    {COUNTER(l3_rows_read)},
    {COUNTER(l3_writes)},
    {COUNTER(l3_conflicts)},
    {COUNTER(flights_joined)},
    {COUNTER(notices_sent)},
    {COUNTER(notices_received)},
    {COUNTER(notices_own)},
    {COUNTER(notices_ignored)},
    {COUNTER(notices_rejected)},
    {COUNTER(degraded_writes)},
    {COUNTER(l2_repairs_waiting)},
    {COUNTER(feed_events)},
    {COUNTER(feed_events_own)},
    {COUNTER(feed_gaps)},
    {COUNTER(feed_losses)},
    {COUNTER(l1_suspects)},
    {COUNTER(l1_verified)},
    {COUNTER(stale_served)},
    {COUNTER(early_refreshes)},
    {COUNTER(fill_leases_won)},
    {COUNTER(fill_leases_waited)},
    {COUNTER(fill_leases_expired)},
    {COUNTER(strong_reads)},
    {COUNTER(announcements)},
    {COUNTER(mutations)},
    {COUNTER(mutation_retries)},
    {COUNTER(outbox_notes)},
    {COUNTER(outbox_corrections)},
    {COUNTER(pending_rows)},
    {COUNTER(pending_bytes)},
    {COUNTER(pending_parked)},
    {COUNTER(pending_oldest_ms)},
    {COUNTER(pending_reads)},
    {COUNTER(deferred_saves)},
    {COUNTER(deferred_coalesced)},
    {COUNTER(journal_commits)},
    {COUNTER(journal_bytes)},
    {COUNTER(journal_damaged)},
    {COUNTER(flushed_rows)},
    {COUNTER(flush_batches)},
    {COUNTER(flush_retries)},
    {COUNTER(flush_conflicts)},
    {COUNTER(dead_letters)},
    {COUNTER(dirty_puts)},
#undef COUNTER
};

static uint64_t counter_value(const struct tears_client_stats *stats, size_t offset)
{
    uint64_t value = 0;
    memcpy(&value, (const char *)stats + offset, sizeof value);
    return value;
}

/* As members of a JSON object, or one on a line for people. */
static void put_stats(tears_client *client, bool human, struct cli_text *line)
{
    struct tears_client_stats stats = TEARS_CLIENT_STATS_INIT;

    tears_client_stats(client, &stats);
    for (size_t i = 0; i < CLI_COUNT(counters); i++) {
        const char *separator = i == 0 ? "" : (human ? "\n" : ",");
        const uint64_t value = counter_value(&stats, counters[i].offset);
        if (human)
            cli_text_printf(line, "%s%-20s", separator, counters[i].name);
        else
            cli_text_printf(line, "%s\"%s\":", separator, counters[i].name);
        if (human)
            cli_text_put_count(line, value);
        else
            cli_text_printf(line, "%llu", (unsigned long long)value);
    }
}

static void put_flushed(const struct tears_flush_result *flushed, bool human, struct cli_text *line)
{
    cli_text_printf(line,
                    human ? "written %llu, still pending %llu (%llu parked), refused %llu"
                          : "{\"written\":%llu,\"waiting\":%llu,\"parked\":%llu,\"dead\":%llu}",
                    (unsigned long long)flushed->written, (unsigned long long)flushed->waiting,
                    (unsigned long long)flushed->parked, (unsigned long long)flushed->dead);
}

/* ---- for programs ---- */

static void put_version(const tears_entity *row, struct cli_text *line)
{
    if (row != NULL)
        cli_text_printf(line, ",\"version\":\"%lld\"", (long long)tears_entity_version(row));
}

static void put_shape(struct cli_shell *shell, const struct cli_answer *answer,
                      struct cli_text *line)
{
    struct tears_str json = TEARS_STR("null");

    switch (answer->shape) {
    case CLI_SHAPE_PLAIN:
        break;
    case CLI_SHAPE_ROW:
        cli_text_put_c(line, ",\"row\":");
        put_row(answer->row, line);
        break;
    case CLI_SHAPE_ROWS:
        cli_text_put_c(line, ",\"rows\":[");
        for (size_t i = 0; i < answer->row_count; i++) {
            cli_text_put_c(line, i > 0 ? "," : "");
            put_row(answer->rows[i], line);
        }
        cli_text_put_char(line, ']');
        break;
    case CLI_SHAPE_VALUE:
        cli_text_put_c(line, ",\"value\":");
        if (tears_value_json(shell->context.session, &answer->value, &json) != TEARS_OK)
            json = TEARS_STR("null");
        cli_text_put(line, json);
        break;
    case CLI_SHAPE_FOUND:
        cli_text_printf(line, ",\"found\":%zu", answer->found);
        break;
    case CLI_SHAPE_STATS:
        cli_text_put_c(line, ",\"stats\":{");
        put_stats(shell->context.client, false, line);
        cli_text_put_char(line, '}');
        break;
    case CLI_SHAPE_EXPLANATION:
        cli_text_put_c(line, ",\"explanation\":");
        cli_explanation_put_json(answer->explanation, line);
        break;
    case CLI_SHAPE_STATUS:
        cli_text_put_c(line, ",\"in_force\":");
        cli_status_put(&answer->in_force, false, line);
        break;
    case CLI_SHAPE_FLUSH:
        cli_text_put_c(line, ",\"flush\":");
        put_flushed(&answer->flushed, false, line);
        break;
    case CLI_SHAPE_TEXT:
        cli_text_put_c(line, ",\"text\":");
        cli_text_put_json(line, cli_text_str(&answer->text));
        break;
    }
}

static void put_failure(const struct cli_answer *answer, struct cli_text *line)
{
    cli_text_printf(
        line, "{\"ok\":false,\"status\":\"%s\",\"error\":", tears_status_name(answer->status));
    cli_text_put_json(line, cli_text_str(&answer->error));
    if (answer->status == TEARS_CONFLICT && answer->row != NULL) { /* the row that won */
        cli_text_put_c(line, ",\"row\":");
        put_row(answer->row, line);
        put_version(answer->row, line);
    }
    cli_text_put_char(line, '}');
}

static int print_json(struct cli_shell *shell, const struct cli_answer *answer)
{
    CLI_AUTO(cli_text_done) struct cli_text line = {0};

    if (answer->status != TEARS_OK) {
        put_failure(answer, &line);
        return cli_print_line(shell->context.args, cli_text_str(&line));
    }
    cli_text_put_c(&line, "{\"ok\":true");
    put_shape(shell, answer, &line);
    cli_text_printf(&line, ",\"tier\":\"%s\"", cli_tier_name(answer->tier));
    if (answer->shape == CLI_SHAPE_ROW)
        put_version(answer->row, &line);
    put_degraded(answer->degraded, &line);
    cli_text_printf(&line, ",\"us\":%.1f}", answer->seconds * 1e6);
    return cli_print_line(shell->context.args, cli_text_str(&line));
}

/* ---- for people ---- */

static int print_rows(struct cli_shell *shell, const struct cli_answer *answer)
{
    size_t found = 0;
    tears_entity **rows = answer->rows;

    for (size_t i = 0; i < answer->row_count; i++) {
        if (rows[i] != NULL)
            rows[found++] = rows[i];
    }
    if (found == 0)
        return CLI_EXIT_OK;
    return cli_rows_print(&shell->context,
                          tears_collection_schema(tears_entity_collection(rows[0])), rows, found);
}

static int print_shape(struct cli_shell *shell, const struct cli_answer *answer)
{
    CLI_AUTO(cli_text_done) struct cli_text line = {0};

    switch (answer->shape) {
    case CLI_SHAPE_PLAIN:
        return CLI_EXIT_OK;
    case CLI_SHAPE_ROW:
        return cli_row_print(&shell->context, answer->row);
    case CLI_SHAPE_ROWS:
        return print_rows(shell, answer);
    case CLI_SHAPE_VALUE:
        if (answer->value.kind == TEARS_KIND_NULL ||
            cli_value_text(shell->context.session, &answer->value, &line) != TEARS_OK)
            cli_text_put_char(&line, '-');
        break;
    case CLI_SHAPE_FOUND:
        cli_text_printf(&line, "%zu found", answer->found);
        break;
    case CLI_SHAPE_STATS:
        put_stats(shell->context.client, true, &line);
        break;
    case CLI_SHAPE_EXPLANATION:
        return cli_explanation_print(shell->context.args, answer->explanation);
    case CLI_SHAPE_STATUS:
        cli_status_put(&answer->in_force, true, &line);
        break;
    case CLI_SHAPE_FLUSH:
        put_flushed(&answer->flushed, true, &line);
        break;
    case CLI_SHAPE_TEXT:
        cli_text_put(&line, cli_text_str(&answer->text));
        break;
    }
    return cli_print_line(shell->context.args, cli_text_str(&line));
}

static int print_human(struct cli_shell *shell, const struct cli_answer *answer)
{
    CLI_AUTO(cli_text_done) struct cli_text footer = {0};

    if (answer->status != TEARS_OK) {
        (void)cli_fail(shell->context.args, 0, tears_status_name(answer->status), "%s",
                       answer->error.ptr);
        return CLI_EXIT_OK;
    }
    if (answer->tiered)
        cli_note_degraded(answer->degraded);
    CLI_TRY(print_shape(shell, answer));
    if (!answer->tiered)
        return CLI_EXIT_OK;
    cli_text_put_c(&footer, "-- ");
    if (answer->tier != TEARS_TIER_NONE)
        cli_text_printf(&footer, "%s, ", cli_tier_name(answer->tier));
    cli_text_put_duration(&footer, answer->seconds);
    return cli_print_line(shell->context.args, cli_text_str(&footer));
}

int cli_answer_print(struct cli_shell *shell, const struct cli_answer *answer)
{
    const int result = shell->human ? print_human(shell, answer) : print_json(shell, answer);
    if (result == CLI_EXIT_OK && fflush(stdout) != 0)
        return CLI_EXIT_BROKEN;
    return result;
}
