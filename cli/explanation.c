/*
 * explanation.c -- shows what tears_explain and tears_collection_status have found out.
 *
 * Owns:     the words for states.
 * Must not know: how the tiers were asked.
 * Threads:  the main thread.
 * Fails:    6 when standard output is gone.
 * Begin at: cli_explanation_print().
 */
#include "explanation.h"

static const char *state_name(uint64_t state)
{
    static const char *const names[] = {
        [TEARS_COPY_UNUSED] = "unused",   [TEARS_COPY_ABSENT] = "absent",
        [TEARS_COPY_ROW] = "row",         [TEARS_COPY_MARKER] = "marker",
        [TEARS_COPY_LEASED] = "leased",   [TEARS_COPY_DAMAGED] = "damaged",
        [TEARS_COPY_UNKNOWN] = "unknown", [TEARS_COPY_DIRTY] = "dirty",
    };
    return state < CLI_COUNT(names) ? names[state] : "unknown";
}

/* ---- for programs ---- */

static void put_ms(const char *name, uint64_t ms, struct cli_text *out)
{
    if (ms == UINT64_MAX)
        cli_text_printf(out, ",\"%s\":null", name);
    else
        cli_text_printf(out, ",\"%s\":%llu", name, (unsigned long long)ms);
}

static void put_copy(const char *tier, const struct tears_copy *copy, struct cli_text *out)
{
    cli_text_printf(out, ",\"%s\":{\"state\":\"%s\",\"version\":\"%lld\",\"revision\":%llu", tier,
                    state_name(copy->state), (long long)copy->version,
                    (unsigned long long)copy->revision);
    put_ms("age_ms", copy->age_ms, out);
    put_ms("as_of_ms", copy->as_of_ms, out);
    cli_text_printf(out, ",\"trusted\":%s,\"hash\":", copy->is_trusted != 0 ? "true" : "false");
    cli_text_put_json(out, copy->hash);
    cli_text_put_c(out, ",\"writer\":");
    cli_text_put_json(out, copy->writer);
    cli_text_put_c(out, ",\"detail\":");
    cli_text_put_json(out, copy->detail);
    cli_text_put_char(out, '}');
}

void cli_explanation_put_json(const struct tears_explanation *explanation, struct cli_text *out)
{
    cli_text_put_c(out, "{\"l2_key\":");
    cli_text_put_json(out, explanation->l2_key);
    put_copy("l1", &explanation->l1, out);
    put_copy("l2", &explanation->l2, out);
    put_copy("l3", &explanation->l3, out);
    cli_text_printf(
        out, ",\"agree\":%s,\"pending\":%s,\"hint\":", explanation->agree != 0 ? "true" : "false",
        explanation->pending != 0 ? "true" : "false");
    cli_text_put_json(out, explanation->hint);
    cli_text_put_char(out, '}');
}

/* ---- for people ---- */

static void put_number(struct cli_grid *grid, bool is_known, long long number)
{
    CLI_AUTO(cli_text_done) struct cli_text text = {0};
    if (is_known)
        cli_text_printf(&text, "%lld", number);
    else
        cli_text_put_char(&text, '-');
    cli_grid_put(grid, cli_text_str(&text));
}

static void put_duration(struct cli_grid *grid, uint64_t ms)
{
    CLI_AUTO(cli_text_done) struct cli_text text = {0};
    if (ms == UINT64_MAX)
        cli_text_put_char(&text, '-');
    else
        cli_text_printf(&text, "%llu ms", (unsigned long long)ms);
    cli_grid_put(grid, cli_text_str(&text));
}

static void put_text(struct cli_grid *grid, struct tears_str text)
{
    cli_grid_put(grid, text.len > 0 ? text : TEARS_STR("-"));
}

static void put_line(struct cli_grid *grid, const char *tier, const struct tears_copy *copy)
{
    const bool is_l1 = copy->age_ms != UINT64_MAX;
    cli_grid_put_c(grid, tier);
    cli_grid_put_c(grid, state_name(copy->state));
    put_number(grid, copy->version != 0, (long long)copy->version);
    put_number(grid, copy->revision != 0, (long long)copy->revision);
    put_duration(grid, copy->age_ms);
    put_duration(grid, copy->as_of_ms);
    cli_grid_put_c(grid, !is_l1 ? "-" : (copy->is_trusted != 0 ? "yes" : "no"));
    put_text(grid, copy->hash);
    put_text(grid, copy->writer);
    cli_grid_put(grid, copy->detail);
}

int cli_explanation_print(const struct cli_args *args, const struct tears_explanation *explanation)
{
    CLI_AUTO(cli_grid_done) struct cli_grid grid;
    CLI_AUTO(cli_text_done) struct cli_text verdict = {0};
    static const char *const header[] = {"tier",  "holds",   "version", "revision",   "age",
                                         "as of", "trusted", "hash",    "written by", ""};

    cli_grid_init(&grid, CLI_COUNT(header));
    grid.whole = true;
    grid.aligned = true;
    for (size_t i = 0; i < CLI_COUNT(header); i++)
        cli_grid_put_c(&grid, header[i]);
    put_line(&grid, "l1", &explanation->l1);
    put_line(&grid, "l2", &explanation->l2);
    put_line(&grid, "l3", &explanation->l3);
    CLI_TRY(cli_grid_print(args, &grid));
    cli_text_printf(&verdict, "%s (%s" CLI_STR_FMT ")%s",
                    explanation->agree != 0 ? "the tiers agree" : "THE TIERS DISAGREE", "key ",
                    CLI_STR_ARG(explanation->l2_key),
                    explanation->pending != 0 ? "; a correction waits" : "");
    if (explanation->hint.len > 0)
        cli_text_printf(&verdict, ": " CLI_STR_FMT, CLI_STR_ARG(explanation->hint));
    return cli_print_line(args, cli_text_str(&verdict));
}

/* ---- what is in force ---- */

static const char *feed_name(uint64_t feed)
{
    static const char *const names[] = {
        [TEARS_FEED_NONE] = "none",
        [TEARS_FEED_AWAY] = "away",
        [TEARS_FEED_CURRENT] = "current",
        [TEARS_FEED_NOTICES] = "notices",
    };
    return feed < CLI_COUNT(names) ? names[feed] : "none";
}

void cli_status_put(const struct tears_collection_status *status, bool human, struct cli_text *out)
{
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        {"bound_ms", status->bound_ms},
        {"proof_age_ms", status->proof_age_ms},
        {"revision", status->revision},
        {"l1_age_ms_max", status->l1_age_ms_max},
        {"stale_ms_max", status->stale_ms_max},
        {"fill_lease_ms", status->fill_lease_ms},
        {"strict", status->strict},
        {"outbox", status->outbox},
    };
    cli_text_printf(out, human ? "%-14s%s" : "{\"%s\":\"%s\"", "feed", feed_name(status->feed));
    for (size_t i = 0; i < CLI_COUNT(numbers); i++) {
        cli_text_printf(out, human ? "\n%-14s" : ",\"%s\":", numbers[i].name);
        if (numbers[i].value == UINT64_MAX)
            cli_text_put_c(out, human ? "-" : "null");
        else
            cli_text_printf(out, "%llu", (unsigned long long)numbers[i].value);
    }
    if (!human)
        cli_text_put_char(out, '}');
}
