/*
 * explain.c -- `tears explain`: what each tier holds of one row, and whether they agree.
 *
 * Owns:     the command.
 * Must not know: how a tier is asked.
 * Threads:  the main thread.
 * Fails:    1 when the tiers disagree; else by status.
 * Begin at: cli_explain.
 */
#include "commands.h"
#include "explanation.h"
#include "onerow.h"

static int print(const struct cli_args *args, const struct tears_explanation *explanation)
{
    CLI_AUTO(cli_text_done) struct cli_text line = {0};

    if (!args->json)
        return cli_explanation_print(args, explanation);
    cli_explanation_put_json(explanation, &line);
    return cli_print_line(args, cli_text_str(&line));
}

static int run_explain(const struct cli_args *args)
{
    CLI_AUTO(cli_onerow_done) struct cli_onerow onerow = {0};
    const struct tears_explanation *explanation = NULL;

    CLI_TRY(cli_onerow_open(args, &onerow));
    CLI_TRY(cli_onerow_key(&onerow));
    const tears_status status = tears_explain(onerow.context.session, onerow.table, onerow.key,
                                              onerow.key_count, &explanation);
    if (status != TEARS_OK)
        return cli_fail_session(&onerow.context, status);
    CLI_TRY(print(args, explanation));
    return explanation->agree != 0 ? CLI_EXIT_OK : CLI_EXIT_NO;
}

const struct cli_command cli_explain = {
    .name = "explain",
    .synopsis = "TABLE KEY...",
    .summary = "show what each tier holds of one row, and whether they agree",
    .details =
        "Asks L1, L2 and L3 for the row and changes nothing.  A tier that holds what L3 "
        "contradicts "
        "is a\n"
        "disagreement; the command then ends with 1 and says what to make of it.  `hash` is over "
        "all "
        "columns:\n"
        "equal rows have equal hashes.  L1 is that of this process, which has just begun and holds "
        "nothing:\n"
        "the verb `explain` of `tears shell` shows an L1 that is warm.\n"
        "\n"
        "  tears explain packages dpkg --l2 nats://127.0.0.1:4222\n",
    .run = run_explain,
    .word_min = 2,
    .word_max = 1 + CLI_KEY_COLUMNS_MAX,
};
